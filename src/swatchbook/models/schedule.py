"""The optimiser and its learning rate."""

from __future__ import annotations

import math

import torch

from swatchbook.models.network import Network
from swatchbook.models.recipe import Recipe


def optimizer_of(network: Network, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW with two groups, the backbone and, at a higher rate, the heads, all updated in one fused step."""
    groups = [
        {"params": list(network.backbone.parameters()), "lr": recipe.backbone_lr},
        {"params": list(network.heads.parameters()), "lr": recipe.head_lr},
    ]
    return torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, fused=True)


def lr_factor(step: int, steps_per_epoch: int, recipe: Recipe) -> float:
    """The share of the peak learning rate at a step, in [0, 1].

    It rises linearly to 1 at the last step of the warm-up and then falls to 0 along half a cosine that
    begins after the warm-up, not inside it. A function of the step has no state to save.

    Args:
        step: Optimiser step, from 0.
        steps_per_epoch: Steps of an epoch.
        recipe: Its `epochs` and `warmup_epochs`.
    """
    warm, total = recipe.warmup_epochs * steps_per_epoch, recipe.epochs * steps_per_epoch
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))
