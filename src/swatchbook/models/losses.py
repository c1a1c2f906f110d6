"""Losses of many heads with missing labels: masked items and heads cost nothing and teach nothing.

Every loss is a mean over the labelled items of a head. A head without a labelled item in the batch
gives exactly 0 and a gradient of exactly 0, where a plain mean would give NaN.

Targets are of three kinds: codes of shape (n,), negative (−1 or −100) where there is no label; probabilities
of shape (n, K) and a floating type, NaN or all 0 where there are none; and, of attributes with several
classes at once, memberships of shape (n, K) and an integer type, 1, 0, or −1 where it is not known.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention

from swatchbook.models.recipe import Recipe
from swatchbook.schema import Schema

MASKED = -100
WEIGHTED = ("weighted", "effective", "weighted_bce")  # the losses that need class weights


def class_counts(codes: np.ndarray, classes: int) -> np.ndarray:
    """How many items each class has: codes of shape (n,) or memberships of shape (n, K) → shape (K,)."""
    if codes.ndim == 2:
        return (codes == 1).sum(0)
    return np.bincount(codes[codes >= 0], minlength=classes)


def class_weights(
    codes: Mapping[str, np.ndarray], schema: Schema, kind: str, beta: float = 0.999
) -> dict[str, torch.Tensor]:
    """A weight for each class of each head, from the training labels.

    A class without items gets weight 0; `absent_classes` names it.

    Args:
        codes: Attribute → codes or memberships of the training images.
        schema: Gives the heads and the number of classes K.
        kind: ``weighted`` for N/(K·n_c), N being the labelled items; ``effective`` for weights in
            proportion to (1 − β)/(1 − β^n_c), scaled so that the mean weight of an item is 1;
            ``weighted_bce`` for the weight N/n_c of a positive. Memberships get, of every kind, the weight of
            a positive against a negative, (N_c − n_c)/n_c.
        beta: β of ``effective``, in [0, 1).

    Returns:
        Attribute → float32 tensor of shape (K,).

    Source:
        N/(K·n_c): King & Zeng (2001), scikit-learn's "balanced". Effective number: Cui et al. (2019),
        arXiv 1901.05555, who scale the weights to sum to K; ours keep the loss of all kinds comparable.
    """
    if kind not in WEIGHTED:
        raise ValueError(f"kind {kind!r} has no class weights; allowed: {', '.join(WEIGHTED)}")
    weights = {}
    for a in schema:
        counts = class_counts(codes[a.name], len(a)).astype(float)
        seen = counts > 0
        raw = np.zeros(len(a))
        if a.multiple:
            raw[seen] = ((codes[a.name] == 0).sum(0) / np.maximum(counts, 1))[seen]
        elif kind == "weighted":
            raw[seen] = counts.sum() / (len(a) * counts[seen])
        elif kind == "weighted_bce":
            raw[seen] = counts.sum() / counts[seen]
        else:
            raw[seen] = (1 - beta) / (1 - beta ** counts[seen])
            raw *= counts.sum() / max((raw * counts).sum(), 1e-12)
        weights[a.name] = torch.tensor(raw, dtype=torch.float32)
    return weights


def absent_classes(codes: Mapping[str, np.ndarray], schema: Schema) -> dict[str, list[str]]:
    """Attribute → the classes of which there is no item, for the attributes where there are any."""
    counts = {a.name: class_counts(codes[a.name], len(a)) for a in schema}
    absent = {a.name: [c for c, n in zip(a.classes, counts[a.name], strict=True) if not n] for a in schema}
    return {name: classes for name, classes in absent.items() if classes}


def logit_shifts(codes: Mapping[str, np.ndarray], schema: Schema, strength: float) -> dict[str, torch.Tensor]:
    """What is added to the logits of each head in training: τ·log of its class frequencies.

    A class without items counts as if it had half an item.

    Args:
        codes: Attribute → codes or memberships of the training images.
        schema: Gives the heads.
        strength: τ; at 1 with ``plain`` this is the balanced softmax.

    Returns:
        Attribute → float32 tensor of shape (K,); 0 for memberships, whose classes do not compete.

    Source:
        Menon et al. (2021), Long-tail learning via logit adjustment, arXiv 2007.07314, section 5; balanced
        softmax: Ren et al. (2020), arXiv 2007.10740.
    """
    shifts = {}
    for a in schema:
        counts = np.maximum(class_counts(codes[a.name], len(a)), 0.5)
        shift = np.zeros(len(a)) if a.multiple else strength * np.log(counts / counts.sum())
        shifts[a.name] = torch.tensor(shift, dtype=torch.float32)
    return shifts


def is_labelled(targets: torch.Tensor) -> torch.Tensor:
    """Which items have a target, shape (n,)."""
    if targets.is_floating_point():
        return torch.nan_to_num(targets).sum(1) > 0
    return targets >= 0 if targets.ndim == 1 else (targets >= 0).any(1)


def item_losses(
    logits: torch.Tensor, targets: torch.Tensor, recipe: Recipe, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Loss of each item of one head, in float32, exactly 0 where it has no target.

    Args:
        logits: Shape (n, K).
        targets: Codes, probabilities or memberships.
        recipe: Its `loss`, `smoothing`, `gce_q`, `focal_gamma` and `bce_of_softmax` are used. Codes under
            ``soft`` (validation labels) are scored by plain cross-entropy, which is the divergence from a
            certain label; memberships, whatever the loss, by the mean binary cross-entropy of the classes
            that are known.
        weights: Shape (K,), of the kinds `WEIGHTED`.

    Returns:
        Shape (n,).

    Source:
        ``gce``: (1 − p_y^q)/q, Zhang & Sabuncu (2018), arXiv 1805.07836. ``soft``: KL(target ‖ softmax).
        ``smooth``: Szegedy et al. (2016), (1 − ε)·CE + ε·mean over classes. Focal: (1 − p_y)^γ·CE, Lin et
        al. (2017), arXiv 1708.02002.
    """
    logits = logits.float()
    mask = is_labelled(targets)
    if targets.is_floating_point():
        targets = torch.nan_to_num(targets.float())
        divergence = torch.special.xlogy(targets, targets) - targets * F.log_softmax(logits, 1)
        return torch.where(mask, divergence.sum(1), 0.0)
    if targets.ndim == 2:
        return _membership_losses(logits, targets, recipe.focal_gamma, weights)
    targets = torch.where(mask, targets.long(), MASKED)
    if recipe.loss in ("bce", "weighted_bce"):
        members = F.one_hot(targets.clamp(min=0), logits.shape[1]).float()
        scores = F.softmax(logits, 1) if recipe.bce_of_softmax else logits
        binary = F.binary_cross_entropy_with_logits(scores, members, pos_weight=weights, reduction="none")
        return torch.where(mask, binary.mean(1), 0.0)
    if recipe.loss == "gce":
        log_p = F.log_softmax(logits, 1).gather(1, targets.clamp(min=0)[:, None])[:, 0]
        # p^q as exp(q·log p): the gradient of p^q itself is infinite at p = 0.
        return torch.where(mask, -torch.expm1(recipe.gce_q * log_p) / recipe.gce_q, 0.0)
    smoothing = recipe.smoothing if recipe.loss == "smooth" else 0.0
    losses = F.cross_entropy(
        logits, targets, weights, ignore_index=MASKED, reduction="none", label_smoothing=smoothing
    )
    if recipe.focal_gamma:
        p = F.softmax(logits, 1).gather(1, targets.clamp(min=0)[:, None])[:, 0]
        losses = losses * (1 - p).clamp(min=1e-6) ** recipe.focal_gamma  # a finite gradient at p = 1
    return losses


def _membership_losses(
    logits: torch.Tensor, targets: torch.Tensor, gamma: float, weights: torch.Tensor | None
) -> torch.Tensor:
    known, wanted = targets >= 0, targets.clamp(min=0).float()
    losses = F.binary_cross_entropy_with_logits(logits, wanted, pos_weight=weights, reduction="none")
    if gamma:
        losses = losses * torch.sigmoid(torch.where(wanted > 0, -logits, logits)) ** gamma
    return (losses * known).sum(1) / known.sum(1).clamp(min=1)


def head_losses(
    logits: Mapping[str, torch.Tensor],
    targets: Mapping[str, torch.Tensor],
    recipe: Recipe,
    weights: Mapping[str, torch.Tensor] | None = None,
    labelled: Mapping[str, torch.Tensor | int] | None = None,
) -> dict[str, torch.Tensor]:
    """The loss of each head.

    The mean over the labelled items is a plain one: a batch of one rare class weighs as much as its
    class weight says, which a division by the sum of the weights would cancel.

    Args:
        logits: Head → shape (n, K).
        targets: Head → codes, probabilities or memberships.
        recipe: As in `item_losses`.
        weights: Head → class weights; needed by the losses `WEIGHTED`.
        labelled: Head → the number of labelled items to divide by, where the batch is a part of a
            larger one; counted in `targets` by default.

    Returns:
        Head → a scalar.
    """
    if recipe.loss in WEIGHTED and weights is None:
        raise ValueError(f"loss {recipe.loss!r} needs class weights; received none")
    losses: dict[str, torch.Tensor] = {}
    for head, scores in logits.items():
        count = is_labelled(targets[head]).sum() if labelled is None else torch.as_tensor(labelled[head])
        items = item_losses(scores, targets[head], recipe, None if weights is None else weights[head])
        losses[head] = items.sum() / count.clamp(min=1)
    return losses


def combined(parts: Mapping[str, torch.Tensor | float], recipe: Recipe) -> torch.Tensor | float:
    """The loss of all parts together, by the recipe's `combine` and `part_weights`.

    Raises:
        ValueError: If the recipe weighs another number of parts.
    """
    values = list(parts.values())
    if recipe.part_weights:
        if len(recipe.part_weights) != len(values):
            raise ValueError(
                f"recipe.part_weights = {recipe.part_weights!r} for {len(values)} parts: {', '.join(parts)}"
            )
        values = [weight * value for weight, value in zip(recipe.part_weights, values, strict=True)]
    if recipe.combine == "share":
        plain = [float(torch.as_tensor(value).detach()) for value in values]
        values = [share / max(sum(plain), 1e-12) * value for share, value in zip(plain, values, strict=True)]
    total = torch.stack(values).sum() if isinstance(values[0], torch.Tensor) else sum(values)
    return total / len(values) if recipe.combine == "mean" else total
