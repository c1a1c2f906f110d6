"""Images → a network's outputs, from the exact views of the evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from swatchbook.models.augment import STANDARD, Augmentation
from swatchbook.models.hardware import Hardware
from swatchbook.models.inputs import batches
from swatchbook.models.pixel_loader import PixelLoader
from swatchbook.models.recipe import Recipe

Inputs = Callable[[np.ndarray], Mapping[str, torch.Tensor]]


@torch.no_grad()
def outputs_of(
    network: nn.Module,
    loader: PixelLoader,
    rows: np.ndarray,
    recipe: Recipe,
    hardware: Hardware,
    *,
    batch: int | None = None,
    augmentation: Augmentation = STANDARD,
    inputs: Inputs | None = None,
) -> dict[str, torch.Tensor]:
    """A network's outputs for images; with `flip_test` the mean over each view and its mirror image.

    Args:
        network: On the hardware's device.
        loader: Gives the images.
        rows: Which of them, shape (n,).
        recipe: Gives the view.
        hardware: Where and how to compute.
        batch: Images a forward pass; the recipe's `eval_batch` by default.
        augmentation: Its evaluation views are used.
        inputs: Rows → what the network takes beside the views.

    Returns:
        Name → float32 on the CPU, the first dimension n. A network that has `mirrored` (outputs of mirrored
        views → those that they are of the plain ones) brings the places in its outputs back by it.
    """
    was_training = network.training
    network.eval()
    parts: list[dict[str, torch.Tensor]] = []
    # No rows: one image's outputs have the shapes and types of those that are not there.
    for some, images in loader.ahead(
        batches(rows if len(rows) else np.zeros(1, int), batch or recipe.eval_batch)
    ):
        views, _ = augmentation.evaluation(images, recipe)
        further = inputs(some) if inputs else {}
        with hardware.autocast():
            outputs = network(views, **further)
            if recipe.flip_test:
                back = getattr(network, "mirrored", dict)(network(views.flip(3), **further))
                outputs = {name: (value + back[name]) / 2 for name, value in outputs.items()}
        parts.append({name: value.float() for name, value in outputs.items()})
    network.train(was_training)
    return {name: torch.cat([part[name].cpu() for part in parts])[: len(rows)] for name in parts[0]}
