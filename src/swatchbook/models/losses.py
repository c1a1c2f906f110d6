"""Losses of many heads with missing labels: masked items and heads cost nothing and teach nothing.

Every loss is a mean over the labelled items of a head. A head without a labelled item in the batch
gives exactly 0 and a gradient of exactly 0, where a plain mean would give NaN.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention

from swatchbook.models.recipe import LOSSES, Recipe
from swatchbook.schema import Schema

MASKED = -100


def class_weights(
    codes: Mapping[str, np.ndarray], schema: Schema, kind: str, beta: float = 0.999
) -> dict[str, torch.Tensor]:
    """A weight for each class of each head, from the training labels.

    A class without items gets weight 0; `absent_classes` names it.

    Args:
        codes: Attribute → codes of the training images, shape (n,), −1 where there is no label.
        schema: Gives the heads and the number of classes K.
        kind: ``weighted`` for N/(K·n_c), N being the labelled items; ``effective`` for weights in
            proportion to (1 − β)/(1 − β^n_c), scaled so that the mean weight of an item is 1.
        beta: β of ``effective``, in [0, 1).

    Returns:
        Attribute → float32 tensor of shape (K,).

    Source:
        N/(K·n_c): King & Zeng (2001), scikit-learn's "balanced". Effective number: Cui et al. (2019),
        arXiv 1901.05555, who scale the weights to sum to K; ours keep the loss of all kinds comparable.
    """
    if kind not in ("weighted", "effective"):
        raise ValueError(f"kind {kind!r} has no class weights; allowed: weighted, effective")
    weights = {}
    for a in schema:
        counts = np.bincount(codes[a.name][codes[a.name] >= 0], minlength=len(a)).astype(float)
        seen = counts > 0
        raw = np.zeros(len(a))
        if kind == "weighted":
            raw[seen] = counts.sum() / (len(a) * counts[seen])
        else:
            raw[seen] = (1 - beta) / (1 - beta ** counts[seen])
            raw *= counts.sum() / max((raw * counts).sum(), 1e-12)
        weights[a.name] = torch.tensor(raw, dtype=torch.float32)
    return weights


def absent_classes(codes: Mapping[str, np.ndarray], schema: Schema) -> dict[str, list[str]]:
    """Attribute → the classes of which there is no item, for the attributes where there are any."""
    absent = {a.name: [c for k, c in enumerate(a.classes) if not (codes[a.name] == k).any()] for a in schema}
    return {name: classes for name, classes in absent.items() if classes}


def is_labelled(targets: torch.Tensor) -> torch.Tensor:
    """Which items have a target, shape (n,): a code of 0 or more, or probabilities that are not all 0."""
    if targets.is_floating_point():
        return torch.nan_to_num(targets).sum(1) > 0
    return targets >= 0


def item_losses(
    logits: torch.Tensor, targets: torch.Tensor, recipe: Recipe, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Loss of each item of one head, in float32, exactly 0 where it has no target.

    Args:
        logits: Shape (n, K).
        targets: Codes of shape (n,), negative (−1 or −100) where there is no label; or probabilities
            of shape (n, K), NaN or all 0 where there are none.
        recipe: Its `loss`, `smoothing` and `gce_q` are used. Codes under ``soft`` (validation labels)
            are scored by plain cross-entropy, which is the divergence from a certain label.
        weights: Shape (K,), of the kinds ``weighted`` and ``effective``.

    Returns:
        Shape (n,).

    Source:
        ``gce``: (1 − p_y^q)/q, Zhang & Sabuncu (2018), arXiv 1805.07836. ``soft``: KL(target ‖ softmax).
        ``smooth``: Szegedy et al. (2016), (1 − ε)·CE + ε·mean over classes.
    """
    logits = logits.float()
    mask = is_labelled(targets)
    if targets.is_floating_point():
        targets = torch.nan_to_num(targets.float())
        divergence = torch.special.xlogy(targets, targets) - targets * F.log_softmax(logits, 1)
        return torch.where(mask, divergence.sum(1), 0.0)
    targets = torch.where(mask, targets.long(), MASKED)
    if recipe.loss == "gce":
        log_p = F.log_softmax(logits, 1).gather(1, targets.clamp(min=0)[:, None])[:, 0]
        # p^q as exp(q·log p): the gradient of p^q itself is infinite at p = 0.
        return torch.where(mask, -torch.expm1(recipe.gce_q * log_p) / recipe.gce_q, 0.0)
    smoothing = recipe.smoothing if recipe.loss == "smooth" else 0.0
    return F.cross_entropy(
        logits, targets, weights, ignore_index=MASKED, reduction="none", label_smoothing=smoothing
    )


def multi_head_loss(
    logits: Mapping[str, torch.Tensor],
    targets: Mapping[str, torch.Tensor],
    recipe: Recipe,
    weights: Mapping[str, torch.Tensor] | None = None,
    labelled: Mapping[str, torch.Tensor | int] | None = None,
) -> dict[str, torch.Tensor]:
    """The loss of all heads together and of each.

    The mean over the labelled items is a plain one: a batch of one rare class weighs as much as its
    class weight says, which a division by the sum of the weights would cancel.

    Args:
        logits: Head → shape (n, K).
        targets: Head → codes or probabilities, as in `item_losses`.
        recipe: Its `loss`, `combine`, `smoothing` and `gce_q` are used.
        weights: Head → class weights; needed by ``weighted`` and ``effective``.
        labelled: Head → the number of labelled items to divide by, where the batch is a part of a
            larger one; counted in `targets` by default.

    Returns:
        ``loss`` (sum or mean over heads) and an entry a head, each a scalar.
    """
    if recipe.loss not in LOSSES or (recipe.loss in ("weighted", "effective") and weights is None):
        raise ValueError(f"loss {recipe.loss!r} needs class weights; received none")
    losses: dict[str, torch.Tensor] = {}
    for head, scores in logits.items():
        count = is_labelled(targets[head]).sum() if labelled is None else torch.as_tensor(labelled[head])
        items = item_losses(scores, targets[head], recipe, None if weights is None else weights[head])
        losses[head] = items.sum() / count.clamp(min=1)
    total = torch.stack(list(losses.values())).sum()
    return {"loss": total / len(losses) if recipe.combine == "mean" else total, **losses}
