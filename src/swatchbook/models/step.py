"""One optimiser step of a training, on a whole batch or, where the memory is short, on parts of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from swatchbook.models.augment import training_view
from swatchbook.models.distributed import Team
from swatchbook.models.hardware import Hardware
from swatchbook.models.losses import multi_head_loss
from swatchbook.models.network import Network
from swatchbook.models.pixel_loader import Feed
from swatchbook.models.recipe import Recipe

Targets = dict[str, torch.Tensor]


class TrainingError(RuntimeError):
    """A training that cannot go on; the message says where it stood and which checkpoint is good."""


@dataclass
class Job:
    """What one training holds in its hands."""

    network: Network
    forward: torch.nn.Module  # the network as it is trained: shared among processes, compiled
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    hardware: Hardware
    recipe: Recipe
    feed: Feed
    targets: Targets  # on the device
    labelled: dict[str, np.ndarray]  # which images have a target
    truth: Mapping[str, np.ndarray]
    weights: Targets | None
    train_rows: np.ndarray
    val_rows: np.ndarray
    log: Callable[[str], object]
    micro: int
    team: Team = field(default_factory=Team)
    history: list[dict] = field(default_factory=list)


def take_step(
    job: Job, rows: np.ndarray, images: torch.Tensor, thrown: torch.Tensor, labelled: Mapping[str, int]
) -> Targets:
    """One optimiser step; where the memory does not suffice, in smaller parts of the same batch."""
    losses, at = None, torch.from_numpy(rows).to(job.hardware.device)
    while losses is None:
        job.optimizer.zero_grad(set_to_none=True)
        try:
            losses = gradients(job, at, images, thrown, labelled)
        except torch.OutOfMemoryError:
            if job.team.size > 1:
                raise TrainingError(
                    f"out of memory in process {job.team.rank} of {job.team.size}; a smaller batch is needed"
                ) from None
            if job.micro == 1:
                raise TrainingError(
                    "the GPU's memory does not hold one image; use a smaller backbone"
                ) from None
        if losses is None:  # outside the handler, which holds on to the failed attempt's memory
            job.micro = (job.micro + 1) // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            job.log(f"out of memory: batches of {job.recipe.batch} in parts of {job.micro} from here on")
    job.scaler.unscale_(job.optimizer)
    torch.nn.utils.clip_grad_norm_(job.network.parameters(), job.recipe.clip)
    job.scaler.step(job.optimizer)
    job.scaler.update()
    return losses


def gradients(
    job: Job, rows: torch.Tensor, images: torch.Tensor, thrown: torch.Tensor, labelled: Mapping[str, int]
) -> Targets:
    """Add up the gradient of a batch part by part; the losses of its heads."""
    sums: Targets = {}
    parts = max(1, -(-len(rows) // job.micro))
    for at, seen in zip(rows.tensor_split(parts), images.tensor_split(parts), strict=True):
        views = training_view(seen, thrown[at], job.recipe)
        targets = {name: target[at] for name, target in job.targets.items()}
        with job.hardware.autocast():
            logits = job.forward(views)
        losses = multi_head_loss(logits, targets, job.recipe, job.weights, labelled)
        # Processes average their gradients, where the parts of a batch must be added.
        job.scaler.scale(losses["loss"] * job.team.size).backward()
        for name in job.network.names:
            sums[name] = sums.get(name, 0) + losses[name].detach()
    return sums
