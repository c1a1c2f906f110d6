"""Logits → probabilities → the scores on the validation images by which an epoch is chosen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from sklearn.metrics import average_precision_score, f1_score

from swatchbook.evaluation.resample import table
from swatchbook.evaluation.scores import accuracy, macro_f1, recall
from swatchbook.schema import Attribute, Schema

OF_ALL_CLASSES = ("accuracy", "aca", "product")
SCORES = ("macro_f1", "macro_ap", *OF_ALL_CLASSES)


def probabilities(logits: torch.Tensor, attribute: Attribute) -> torch.Tensor:
    """A head's logits as probabilities, shape (n, K): of one class among all, or of each class by itself."""
    return torch.sigmoid(logits) if attribute.multiple else torch.softmax(logits, 1)


def validation_scores(
    score: str, schema: Schema, logits: Mapping[str, torch.Tensor], truth: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Columns of a history: one of `SCORES` on the labelled items, and what it is the mean of.

    Args:
        score: ``macro_f1``, ``macro_ap`` or ``accuracy``, as means over attributes; ``aca``, the mean recall
            of all classes of all attributes; or ``product``, accuracy times ACA. Where no attribute has
            several classes at once, the latter three come together.
        schema: Gives attributes and classes.
        logits: Attribute → shape (n, K).
        truth: Attribute → codes or memberships.

    Returns:
        ``<score>``, and ``<score>_<attribute>`` for each attribute, NaN where it has no labelled item.
    """
    together = score in OF_ALL_CLASSES and not any(a.multiple for a in schema)
    kind = "accuracy" if together else score
    by_attribute = {a.name: _score(kind, a, logits[a.name], truth[a.name]) for a in schema}
    scores = {kind: float(np.nanmean(list(by_attribute.values())))}
    if together:
        counts = (table(truth[a.name], logits[a.name].argmax(1).numpy(), (len(a), len(a))) for a in schema)
        scores["aca"] = float(np.nanmean(np.concatenate([recall(c) for c in counts])))
        scores["product"] = scores["accuracy"] * scores["aca"]
    return scores | {f"{kind}_{name}": value for name, value in by_attribute.items()}


def _score(score: str, attribute: Attribute, logits: torch.Tensor, codes: np.ndarray) -> float:
    """The score of one attribute; NaN where it has no labelled item."""
    if not attribute.multiple and score != "macro_ap":
        k = len(attribute)
        metric = {"macro_f1": macro_f1, "accuracy": accuracy}[score]
        return float(metric(table(codes, logits.argmax(1).numpy(), (k, k))))
    members = codes if attribute.multiple else np.where(codes[:, None] < 0, -1, np.eye(len(attribute))[codes])
    p = probabilities(logits, attribute).numpy()
    known = members >= 0
    if not known.any():
        return np.nan
    if score == "accuracy":
        return float(((p > 0.5) == members)[known].mean())
    by_class = []
    for c in range(len(attribute)):
        wanted, sure = members[known[:, c], c], p[known[:, c], c]
        if wanted.any():  # as everywhere, a class without a labelled item is no part of the mean
            found = (
                f1_score(wanted, sure > 0.5) if score == "macro_f1" else average_precision_score(wanted, sure)
            )
            by_class.append(found)
    return float(np.mean(by_class)) if by_class else np.nan
