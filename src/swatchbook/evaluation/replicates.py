"""Statistics by name, each with its bootstrap replicates: tidy rows, means over seeds, paired differences.

All statistics of one set of images are computed under the same weights (`resample.image_weights`), so that a
difference of two of them, replicate by replicate, is paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from swatchbook.evaluation.resample import percentile_interval

NUMBERS = ["value", "low", "high", "n", "interval"]


class Replicates(NamedTuple):
    """One statistic.

    Attributes:
        samples: The estimate first, then its B replicates, shape (1 + B,).
        n: Items behind it.
        note: What the interval's words have to add.
    """

    samples: np.ndarray
    n: int
    note: str = ""


#: What a statistic is about, in the order of its table's columns → the statistic.
Statistics = Mapping[tuple, Replicates]


def with_ones(weights: np.ndarray) -> np.ndarray:
    """Bootstrap weights, shape (B, n), after a row of ones, which gives the estimate: shape (1 + B, n)."""
    return np.vstack([np.ones((1, np.shape(weights)[1])), weights])


def shares(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part over whole; NaN where the whole is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, dtype=float), np.asarray(whole, dtype=float))
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def weighted_means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of each column under each row of weights, over the items where it is not NaN.

    Args:
        values: Shape (n,) or (n, k).
        weights: As `with_ones` gives them, shape (1 + B, n).

    Returns:
        Shape (1 + B,) or (1 + B, k); NaN where all weight lies on NaN.
    """
    values = np.asarray(values, dtype=float)
    known = ~np.isnan(values)
    return shares(weights @ np.where(known, values, 0), weights @ known.astype(float))


def mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Mean along the last axis over what is not NaN; NaN where nothing is defined."""
    known = ~np.isnan(values)
    return shares(np.where(known, values, 0).sum(-1), known.sum(-1))


def tidy(statistics: Statistics, columns: Sequence[str], *, level: float, how: str) -> pd.DataFrame:
    """A row a statistic, with its percentile interval.

    Args:
        statistics: Their keys have a part for each of the columns.
        columns: Names of the columns before `NUMBERS`.
        level: Confidence level in (0, 1).
        how: How the weights resample, for the column ``interval``.
    """
    rows = []
    for key, statistic in statistics.items():
        value = float(statistic.samples[0])
        low, high = percentile_interval(statistic.samples[1:], level)
        if np.isnan(value):
            ends, words = (np.nan, np.nan), "not estimable"
        else:
            ends = (float(low), float(high))
            words = f"{level:.0%} percentile {how}, B={len(statistic.samples) - 1}{statistic.note}"
        rows.append((*key, value, *ends, statistic.n, words))
    return pd.DataFrame(rows, columns=[*columns, *NUMBERS])


def over_seeds(trainings: Sequence[Statistics]) -> dict[tuple, Replicates]:
    """The mean of each statistic over trainings that differ in their seed; its note has their deviation.

    Raises:
        ValueError: If the trainings have other statistics, or other numbers of replicates.
    """
    keys = list(trainings[0])
    if any(list(training) != keys for training in trainings):
        raise ValueError("trainings have different statistics; allowed: the same ones, computed alike")
    means = {}
    for key in keys:
        each = np.stack([training[key].samples for training in trainings])
        note = trainings[0][key].note
        if len(trainings) > 1:
            note += f"; mean of {len(trainings)} seeds, which deviate by {each[:, 0].std(ddof=1):.4f}"
        means[key] = Replicates(each.mean(0), trainings[0][key].n, note)
    return means


def differences(ours: Sequence[Statistics], theirs: Sequence[Statistics]) -> dict[tuple, Replicates]:
    """Each statistic of ours less theirs, seed by seed, then as `over_seeds`.

    Raises:
        ValueError: If there are not as many trainings of both.
    """
    if len(ours) != len(theirs):
        raise ValueError(
            f"{len(ours)} trainings against {len(theirs)}; allowed: as many, with the same seeds"
        )
    return over_seeds(
        [
            {key: Replicates(a[key].samples - b[key].samples, a[key].n, a[key].note) for key in a}
            for a, b in zip(ours, theirs, strict=True)
        ]
    )


def beside_others(
    here: Sequence[Statistics], there: Sequence[Statistics], columns: Sequence[str], *, level: float, how: str
) -> pd.DataFrame:
    """Statistics of some items beside those of others of the same world, over trainings.

    Args:
        here: Statistics of each training on the items that are reported on.
        there: The same on the others, under weights that were drawn apart.
        columns: Names of the columns of their keys.
        level: Confidence level of the intervals.
        how: How the weights resample.

    Returns:
        `columns`, ``known`` (on the others), ``value`` (reported), ``low, high`` (of the difference, both
        samples' errors counted), ``n, interval`` and ``covered``, whether it holds 0.
    """
    table = tidy(differences(here, there), columns, level=level, how=f"{how}, of the difference")
    for column, some in (("known", there), ("value", here)):
        table[column] = [float(value.samples[0]) for value in over_seeds(some).values()]
    table["covered"] = (table["low"] <= 0) & (table["high"] >= 0)
    return table[[*columns, "known", *NUMBERS, "covered"]]
