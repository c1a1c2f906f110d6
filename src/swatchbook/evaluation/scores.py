"""How well labels are predicted: accuracy, F1 by class and head, all heads at once, and baselines.

Every function of counts takes reference × predicted tables with any leading dimensions, so the same
line gives the estimate (one table) and its bootstrap (B tables).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from swatchbook.evaluation.resample import cells, percentile_interval, table, tables
from swatchbook.schema import Schema

Codes = Mapping[str, np.ndarray]
COLUMNS = ["model", "head", "class", "metric", "value", "low", "high", "n", "interval", "reference"]


class Sums(NamedTuple):
    """What the scores take from tables, shape (…, K) each; in the place of the tables in every score.

    Attributes:
        hits: The diagonal.
        support: Items of each reference class.
        predicted: Items of each predicted class.
    """

    hits: np.ndarray
    support: np.ndarray
    predicted: np.ndarray


def sums_of(counts: np.ndarray | Sums) -> Sums:
    """The `Sums` of tables, shape (…, K, K): once for several scores."""
    if isinstance(counts, Sums):
        return counts
    counts = np.asarray(counts, dtype=float)
    return Sums(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-1), counts.sum(-2))


def f1(counts: np.ndarray | Sums) -> np.ndarray:
    """F1 of each class, 2·C_kk / (C_k· + C_·k); NaN where the reference holds no item of the class.

    Args:
        counts: Reference × predicted counts, shape (…, K, K), weighted or not, or their sums.

    Returns:
        Shape (…, K), values in [0, 1].
    """
    diagonal, support, predicted = sums_of(counts)
    return _divide(2 * diagonal, np.where(support > 0, support + predicted, 0))


def precision(counts: np.ndarray | Sums) -> np.ndarray:
    """Share of each predicted class that is right, shape (…, K); NaN where a class is never predicted."""
    diagonal, _, predicted = sums_of(counts)
    return _divide(diagonal, predicted)


def recall(counts: np.ndarray | Sums) -> np.ndarray:
    """Share of each reference class that is found, shape (…, K); NaN where a class has no item."""
    diagonal, support, _ = sums_of(counts)
    return _divide(diagonal, support)


def accuracy(counts: np.ndarray | Sums) -> np.ndarray:
    """Share of items on the diagonal, shape (…); NaN for an empty table."""
    diagonal, support, _ = sums_of(counts)
    return _divide(diagonal.sum(-1), support.sum(-1))


def macro_f1(counts: np.ndarray | Sums) -> np.ndarray:
    """Mean of the class F1s over the classes that the reference holds, shape (…); NaN if it holds none.

    Source:
        The mean of F1s, not the F1 of means; the two differ (Opitz & Burst 2019, arXiv 1911.03347).
    """
    scores = f1(counts)
    defined = ~np.isnan(scores)
    return _divide(np.where(defined, scores, 0).sum(-1), defined.sum(-1))


def weighted_f1(counts: np.ndarray | Sums) -> np.ndarray:
    """Mean of the class F1s weighted by the reference's class counts, shape (…)."""
    support = sums_of(counts)[1]
    return _divide(np.where(support > 0, f1(counts) * support, 0).sum(-1), support.sum(-1))


WHOLE_HEAD = {"accuracy": accuracy, "macro_f1": macro_f1, "weighted_f1": weighted_f1}
BY_CLASS = {"f1": f1, "precision": precision, "recall": recall}


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    b = np.asarray(b, dtype=float)
    return np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b > 0)


def score_table(
    reference: Codes,
    predictions: Mapping[str, Codes],
    schema: Schema,
    weights: np.ndarray,
    *,
    level: float = 0.95,
    reference_name: str = "silver",
    how: str = "percentile bootstrap of images",
) -> pd.DataFrame:
    """Scores of every model, head and class against one reference, with bootstrap intervals.

    Args:
        reference: Attribute → codes, shape (n,), −1 where there is no label (those rows are not scored).
        predictions: Model → attribute → codes, shape (n,).
        schema: Gives the heads, classes and their order.
        weights: Bootstrap weights from `image_weights`, shape (B, n).
        level: Confidence level of the intervals.
        reference_name: What the reference is, for the column of that name.
        how: How `weights` resample, for the column `interval`.

    Returns:
        Tidy table with columns `model, head, class, metric, value, low, high, n, interval, reference`.
        Class ``all`` is a whole head; head ``mean`` averages the heads; head ``all`` with metric
        ``all_right`` is the share of fully labelled images on which every head is right. ``n`` is the
        number of images scored (for a class: its support; for ``mean``: with a label in any head).
    """
    how = f"{how}, B={len(weights)}"
    rows: list[dict] = []
    for model, predicted in predictions.items():
        whole: dict[str, list[np.ndarray]] = {metric: [] for metric in WHOLE_HEAD}
        for a in schema:
            truth, guess, shape = reference[a.name], predicted[a.name], (len(a), len(a))
            estimate, replicates = table(truth, guess, shape), tables(truth, guess, shape, weights)
            support = estimate.sum(1)
            for metric, score in WHOLE_HEAD.items():
                both = np.concatenate([[score(estimate)], score(replicates)])
                whole[metric].append(both)
                rows += _rows(model, a.name, ["all"], metric, both[:, None], [support.sum()], level, how)
            for metric, score in BY_CLASS.items():
                both = np.concatenate([score(estimate)[None], score(replicates)])
                rows += _rows(model, a.name, a.classes, metric, both, support, level, how)
        scored = np.logical_or.reduce([reference[name] >= 0 for name in schema.names]).sum()
        for metric, heads in whole.items():
            mean = np.mean(heads, axis=0)[:, None]
            rows += _rows(model, "mean", ["all"], metric, mean, [scored], level, how)
        right = all_right(reference, predicted, schema)
        counts = cells(right, 2, np.vstack([np.ones(len(right)), weights]))
        share = _divide(counts[:, 1], counts.sum(1))
        rows += _rows(model, "all", ["all"], "all_right", share[:, None], [(right >= 0).sum()], level, how)
    return pd.DataFrame(rows).assign(reference=reference_name)[COLUMNS]


def _rows(
    model: str, head: str, classes: object, metric: str, both: np.ndarray, n: object, level: float, how: str
) -> Iterator[dict]:
    """Rows of one metric: `both` holds the estimate first and the replicates after it, shape (1+B, K)."""
    low, high = percentile_interval(both[1:], level)
    for k, label in enumerate(classes):
        estimable = not np.isnan(both[0, k])
        yield {
            "model": model,
            "head": head,
            "class": label,
            "metric": metric,
            "value": both[0, k],
            "low": low[k] if estimable else np.nan,
            "high": high[k] if estimable else np.nan,
            "n": n[k],
            "interval": how if estimable else "not estimable",
        }


def all_right(reference: Codes, predicted: Codes, schema: Schema) -> np.ndarray:
    """Whether every head is right: 1 or 0, and −1 where the reference lacks a label, shape (n,)."""
    labelled = np.logical_and.reduce([reference[name] >= 0 for name in schema.names])
    right = np.logical_and.reduce([reference[name] == predicted[name] for name in schema.names])
    return np.where(labelled, right, -1)


def confusion_table(reference: Codes, predictions: Mapping[str, Codes], schema: Schema) -> pd.DataFrame:
    """Confusion counts of every model and head.

    Returns:
        Columns `model, head, reference_class, predicted_class, value, n`: ``value`` is the share of the
        reference class's ``n`` images that received the predicted class (NaN where n is 0), ``count``
        the number of them.
    """
    rows = []
    for model, predicted in predictions.items():
        for a in schema:
            counts = table(reference[a.name], predicted[a.name], (len(a), len(a)))
            support = counts.sum(1, keepdims=True)
            index = pd.MultiIndex.from_product(
                [[model], [a.name], a.classes, a.classes],
                names=["model", "head", "reference_class", "predicted_class"],
            )
            frame = pd.DataFrame({"count": counts.ravel().astype(int)}, index=index)
            frame["value"] = _divide(counts, support).ravel()
            frame["n"] = np.broadcast_to(support, counts.shape).ravel().astype(int)
            rows.append(frame.reset_index())
    return pd.concat(rows, ignore_index=True)


def majority_baseline(reference: Codes, schema: Schema) -> dict[str, np.ndarray]:
    """Always answer each attribute's most frequent class: what a model that sees nothing scores."""
    answers = {}
    for a in schema:
        codes = reference[a.name]
        counts = np.bincount(codes[codes >= 0], minlength=len(a))
        answers[a.name] = np.full(len(codes), counts.argmax(), np.int16)
    return answers


def folder_baseline(reference: Codes, folders: np.ndarray, schema: Schema) -> dict[str, np.ndarray]:
    """Answer the most frequent class among the *other* images of the same folder (leave-one-out).

    What a model scores that knows which fabric folder an image lies in and looks at nothing else.

    Args:
        reference: Attribute → codes, shape (n,).
        folders: Folder of each image, shape (n,).
        schema: Gives the attributes.
    """
    _, folder = np.unique(folders, return_inverse=True)
    answers = {}
    for a in schema:
        codes = reference[a.name]
        counts = table(folder, codes, (folder.max() + 1, len(a)))[folder]
        known = np.flatnonzero(codes >= 0)
        counts[known, codes[known]] -= 1
        answers[a.name] = counts.argmax(1).astype(np.int16)
    return answers
