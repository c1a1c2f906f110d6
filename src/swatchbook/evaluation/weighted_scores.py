"""Scores of a weighted sample: tables in which an abstention is a column, and rows with their intervals.

Shared by the audit (silver labels against a person) and the truth (models against a person): both
score a stratified sample in which a class can be missing or be without a single error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from scipy import stats

from swatchbook.evaluation.resample import percentile_interval, tables
from swatchbook.evaluation.scores import BY_CLASS, WHOLE_HEAD, f1
from swatchbook.schema import Schema

Codes = Mapping[str, np.ndarray]

NO_HUMAN_LABEL = "not estimable: no human label"
NO_VARIATION = "Wilson; no variation seen"


def check_design(
    stratum: np.ndarray, weight: np.ndarray, labels: Mapping[str, Codes], schema: Schema
) -> tuple[np.ndarray, np.ndarray]:
    """Refuse an audit whose parts do not fit together; returns strata and weights as arrays.

    Args:
        stratum: Stratum of each judged image, shape (n,).
        weight: How many images each one stands for, shape (n,).
        labels: What the codes are → attribute → codes of shape (n,).
        schema: Gives the attributes.

    Raises:
        ValueError: If a length differs from the strata's or a weight is not a positive number.
    """
    stratum, weight = np.asarray(stratum), np.asarray(weight, dtype=float)
    if weight.shape != stratum.shape:
        raise ValueError(f"weight must have one entry an image; received {weight.shape} for {stratum.shape}")
    usable = np.isfinite(weight) & (weight > 0)
    if not usable.all():
        raise ValueError(f"weight must be positive and finite; received {weight[~usable][0]}")
    for what, codes in labels.items():
        for name in schema.names:
            if len(codes[name]) != len(stratum):
                raise ValueError(
                    f"{what}: {name} has {len(codes[name])} entries; the audit has {len(stratum)} images"
                )
    return stratum, weight


def with_estimate(base: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
    """Weights with the estimate's first and the replicates' after it, shape (1 + B, n)."""
    return np.vstack([base, base * multipliers])


def abstention_tables(reference: np.ndarray, label: np.ndarray, k: int, weights: np.ndarray) -> np.ndarray:
    """Reference × label tables whose last class is "no label".

    The reference never holds the last class, so scores that average over the classes the reference
    holds count an abstention as wrong and no more.

    Args:
        reference: Codes 0…K−1, −1 is left out; shape (n,).
        label: Codes 0…K−1, −1 is an abstention; shape (n,).
        k: Number of classes K.
        weights: Shape (B, n).

    Returns:
        Shape (B, K + 1, K + 1).
    """
    return tables(np.asarray(reference), np.where(label < 0, k, label), (k + 1, k + 1), weights)


def score_rows(
    weighted: np.ndarray,
    counts: np.ndarray,
    classes: tuple[str, ...],
    how: str,
    *,
    level: float,
    whole: tuple[str, ...] = tuple(WHOLE_HEAD),
    by_class: tuple[str, ...] = tuple(BY_CLASS),
    effective: float = 1.0,
) -> Iterator[dict]:
    """Rows of one head: statistics of the whole (class "all"), then of each class.

    A statistic that is exactly 0 or 1 does not vary over bootstrap replicates although it is uncertain:
    its interval is Wilson's. F1 = 2j / (1 + j) with j = hits / (hits + misses + false alarms), so an
    interval of the proportion j is one of F1. For a head's mean F1 the class ends are averaged, which
    is conservative.

    Args:
        weighted: The estimate's table first and the replicates' after it, shape (1 + B, K + 1, K + 1),
            as `abstention_tables` gives them.
        counts: The unweighted table, shape (K + 1, K + 1), for the n of each row.
        classes: The K class names.
        how: The words for the interval column.
        level: Confidence level in (0, 1).
        whole: Which of accuracy, macro_f1 and weighted_f1 are wanted.
        by_class: Which of f1, precision and recall are wanted.
        effective: Effective items an item counts for (Kish's size over n) in Wilson's intervals.

    Yields:
        Dicts with ``class, statistic, value, low, high, n, interval``. ``n`` is the number of judged
        images for a head, the class's own for F1 and recall, those so labelled for precision.
    """
    k = len(classes)
    hits, support, predicted = np.diagonal(counts)[:k], counts.sum(1)[:k], counts.sum(0)[:k]
    trials = {"f1": support + predicted - hits, "recall": support, "precision": predicted}
    n = {"f1": support, "recall": support, "precision": predicted}
    f1_ends = ends_without_variation(f1(weighted[0])[:k], trials["f1"] * effective, level, as_f1=True)
    for statistic in whole:
        both = WHOLE_HEAD[statistic](weighted)[:, None]
        if statistic == "accuracy":
            ends = ends_without_variation(both[0], support.sum(keepdims=True) * effective, level)
        else:
            ends = f1_ends[:, support > 0].mean(1, keepdims=True) if support.any() else np.zeros((2, 1))
        yield from _rows(("all",), statistic, both, support.sum(keepdims=True), ends, support, how, level)
    for statistic in by_class:
        both = BY_CLASS[statistic](weighted)[:, :k]
        ends = ends_without_variation(both[0], trials[statistic] * effective, level, as_f1=statistic == "f1")
        yield from _rows(classes, statistic, both, n[statistic], ends, support, how, level)


def _rows(
    classes: tuple[str, ...],
    statistic: str,
    both: np.ndarray,
    n: np.ndarray,
    ends: np.ndarray,
    support: np.ndarray,
    how: str,
    level: float,
) -> Iterator[dict]:
    low, high = percentile_interval(both[1:], level)
    for c, label in enumerate(classes):
        value, interval = both[0, c], how
        # A replicate loses rare classes, so its percentiles can all lie on one side of the estimate.
        between = (min(low[c], value), max(high[c], value))
        if np.isnan(value):
            between, interval = (np.nan, np.nan), "not estimable: no judged image"
            if support.sum() == 0:
                interval = NO_HUMAN_LABEL
        elif value in (0, 1):
            between, interval = tuple(ends[:, c]), NO_VARIATION
        yield {
            "class": label,
            "statistic": statistic,
            "value": value,
            "low": between[0],
            "high": between[1],
            "n": int(n[c]),
            "interval": interval,
        }


def ends_without_variation(
    value: np.ndarray, trials: np.ndarray, level: float, as_f1: bool = False
) -> np.ndarray:
    """Wilson's ends of proportions that were seen as exactly 0 or 1; other values are both their ends.

    Args:
        value: Proportions, shape (K,); F1s with ``as_f1``.
        trials: Number of items behind each, shape (K,).
        level: Confidence level in (0, 1).
        as_f1: Take the ends through F1 = 2j / (1 + j).

    Returns:
        Shape (2, K): low and high ends in [0, 1].

    Source:
        Wilson (1927), JASA 22:209–212.
    """
    z2 = stats.norm.ppf((1 + level) / 2) ** 2
    slack = z2 / (np.asarray(trials, dtype=float) + z2)
    low, high = 1 - slack, slack
    if as_f1:
        low, high = 2 * low / (1 + low), 2 * high / (1 + high)
    return np.array([np.where(value == 1, low, value), np.where(value == 0, high, value)])
