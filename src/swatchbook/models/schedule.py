"""The optimiser, its learning rate, and averages of the weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from swatchbook.models.recipe import Recipe


def optimizer_of(groups: Mapping[str, list[nn.Parameter]], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over groups of parameters, all updated in one fused step.

    Args:
        groups: ``backbone``, ``heads`` and ``text``, whose peak rates are the recipe's `backbone_lr`,
        `head_lr`
            and `text_lr`. A group may be empty or missing.
        recipe: Gives the optimiser, its betas, the rates and the decay.

    Returns:
        The optimiser; its groups have a ``name``, the one of `groups`, and a ``peak``.
    """
    peaks = {"backbone": recipe.backbone_lr, "heads": recipe.head_lr}
    peaks["text"] = recipe.text_lr or recipe.backbone_lr
    made = []
    for name, parameters in groups.items():
        decayed = [p for p in parameters if recipe.decay_all or p.ndim > 1]
        spared = [p for p in parameters if not (recipe.decay_all or p.ndim > 1)]
        for part, decay in ((decayed, recipe.weight_decay), (spared, 0.0)):
            if part:
                made.append(
                    {
                        "params": part,
                        "weight_decay": decay,
                        "lr": peaks[name],
                        "peak": peaks[name],
                        "name": name,
                    }
                )
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[recipe.optimizer]
    return kind(made, betas=(recipe.beta1, recipe.beta2), fused=True)


def lr_factor(step: int, steps_per_epoch: int, recipe: Recipe, scores: Sequence[float] = ()) -> float:
    """The share of the peak learning rate at a step, in [0, 1].

    It rises linearly to 1 at the last step of the warm-up. Then, and not inside the warm-up, begins half a
    cosine that falls to 0, or a fall by the same factor every epoch or at every plateau. A function of the
    step and of the history has no state to save.

    Args:
        step: Optimiser step, from 0.
        steps_per_epoch: Steps of an epoch.
        recipe: Its `epochs`, `warmup_epochs`, `schedule`, `epoch_factor` and `patience`.
        scores: Validation scores of the epochs before this one.
    """
    warm, total = recipe.warmup_epochs * steps_per_epoch, recipe.epochs * steps_per_epoch
    if step < warm:
        return min(1.0, (step + 1) / warm)
    if recipe.schedule == "exponential":
        return recipe.epoch_factor ** ((step - math.ceil(warm)) // steps_per_epoch)
    if recipe.schedule == "plateau":
        return recipe.epoch_factor ** plateaus(scores, recipe.patience)
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))


def plateaus(scores: Sequence[float], patience: int) -> int:
    """How often scores have stood still for more than `patience` epochs, as torch's ReduceLROnPlateau counts.

    Args:
        scores: 0 or more, the higher the better; what is better by less than 1 in 10,000 stands still.
        patience: Epochs.
    """
    best, still, found = -math.inf, 0, 0
    for score in scores:
        best, still = (score, 0) if score > best * (1 + 1e-4) else (best, still + 1)
        if still > patience:
            found, still = found + 1, 0
    return found


class WeightAverage:
    """An average of a network's weights and buffers over the course of a training.

    Attributes:
        followed: The network that is averaged.
        network: A copy of it, which holds the average.
        count: How many states went into it; at 0 the copy means nothing yet.
    """

    def __init__(self, network: nn.Module, decay: float = 0.0) -> None:
        """Start an average.

        Args:
            network: What is to be averaged.
            decay: Of an exponential moving average; 0 makes it the plain mean of all states.
        """
        self.followed, self.count, self._decay = network, 0, decay
        self.network = copy.deepcopy(network).requires_grad_(False)
        pairs = list(zip(self.network.state_dict().values(), network.state_dict().values(), strict=True))
        self._floats = [
            list(side) for side in zip(*(p for p in pairs if p[0].is_floating_point()), strict=True)
        ]
        self._counters = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Take the network's present state in, statistics of batch normalisation like weights."""
        weight = 1 - self._decay if self._decay and self.count else 1 / (self.count + 1)
        torch._foreach_lerp_(*self._floats, weight)
        for kept, now in self._counters:
            kept.copy_(now)
        self.count += 1
