"""A pair of attributes: its tables in a model and in the reference, V of each, and their difference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from swatchbook.evaluation.association import classes_in_use, cramers_v, phi2
from swatchbook.evaluation.association_intervals import (
    Phi2,
    difference_ends,
    gradient,
    of_counts,
    v_ends,
)
from swatchbook.evaluation.resample import tables
from swatchbook.schema import Schema

REFERENCE = "reference"

Codes = Mapping[str, np.ndarray]

#: Replicates by which a design effect is shrunk to 1.
_REPLICATES = 50


def check_codes(reference: Codes, predictions: Mapping[str, Codes], schema: Schema) -> int:
    """The common number of rows; refuses missing attributes, unequal lengths and codes out of range."""
    if REFERENCE in predictions:
        raise ValueError(f"predictions: a model cannot be called {REFERENCE!r}; rename it")
    n = len(reference[schema.names[0]]) if schema.names[0] in reference else 0
    for who, codes in ((REFERENCE, reference), *predictions.items()):
        for attribute in schema:
            if attribute.name not in codes:
                raise ValueError(f"{who}: no codes of {attribute.name!r}; got {', '.join(codes) or 'none'}")
            column = np.asarray(codes[attribute.name])
            if column.shape != (n,):
                raise ValueError(f"{who}: {attribute.name} must have shape ({n},); received {column.shape}")
            if n and not (column.min() >= -1 and column.max() < len(attribute)):
                raise ValueError(
                    f"{who}: {attribute.name} must hold −1 … {len(attribute) - 1}; "
                    f"received {column.min()} … {column.max()}"
                )
    if n == 0:
        raise ValueError("reference: no rows")
    return n


def labelled(codes: Codes, names: tuple[str, ...]) -> np.ndarray:
    """Rows that have a label of every named attribute: boolean array of shape (n,)."""
    return np.logical_and.reduce([codes[name] >= 0 for name in names])


def pair_tables(
    codes: Codes, a: str, b: str, schema: Schema, both: np.ndarray, keep: np.ndarray
) -> np.ndarray:
    """Tables of a pair on the kept rows, shape (1 + B, K_a, K_b): the estimate's, then each replicate's."""
    return tables(np.where(keep, codes[a], -1), codes[b], (len(schema[a]), len(schema[b])), both)


def unless_constant(counts: np.ndarray) -> np.ndarray:
    """The tables as they are, or all NaN where an attribute of the first has a single class in use.

    For the reference only: labels that do not vary cannot show how they go together, whereas a model
    that gives one answer has V = 0 and must answer for it.
    """
    return counts if min(classes_in_use(counts[0])) > 1 else np.full_like(counts, np.nan)


def effective_size(counts: np.ndarray) -> float:
    """Number of independent items that would know φ² as well as resampling says; `counts` as in `v_rows`.

    Images that are drawn together know less. Few replicates know little of that, so the design effect is
    shrunk to 1.
    """
    slopes, total = gradient(counts[0]), counts.sum((-2, -1))
    linear = (counts * slopes).sum((-2, -1)) / np.where(total > 0, total, np.nan)
    share = counts[0] / max(total[0], 1e-300)
    alone = (share * slopes**2).sum() / max(total[0], 1e-300)
    seen = np.nanvar(linear[1:]) if alone > 0 and np.isfinite(linear[1:]).any() else 0.0
    effect = seen / alone if alone > 0 else 1.0
    b = len(counts) - 1
    return float(total[0] / ((_REPLICATES + b * effect) / (_REPLICATES + b)))


@dataclass(frozen=True)
class Pair:
    """A pair of attributes in a model and in the reference.

    Attributes:
        counts: Tables of the model, the estimate's first and each replicate's after it.
        truth: Those of the reference; all NaN where its labels do not vary.
        confusions: Reference × model tables of either attribute on the rows of both.
        known: φ² of the model and of the reference.
        null_covariance: Of the two, under independence.
        correlation: Of their linearised parts.
        skewness: Of the mean of the linearised difference of both V over the rows.
        freedom: Degrees of freedom of its estimated variance.
        same: Whether model and reference say the same of every row.
    """

    counts: np.ndarray
    truth: np.ndarray
    confusions: tuple[np.ndarray, np.ndarray]
    known: tuple[Phi2, Phi2]
    null_covariance: float
    correlation: float
    skewness: float
    freedom: float
    same: bool

    def v(self, correct: bool) -> tuple[np.ndarray, np.ndarray]:
        """V of the model and of the reference, the estimate first; corrected values may be negative."""
        return tuple(cramers_v(t, correct=correct, truncate=False) for t in (self.counts, self.truth))

    def difference(self, level: float) -> tuple[float, float]:
        """Ends of the interval of the model's V less the reference's."""
        if self.same:
            return 0.0, 0.0
        if self.counts[0].sum() > 0 and min(classes_in_use(self.counts[0])) < 2:
            # A model that gives one answer has V = 0, and nothing of that is uncertain.
            low, high = v_ends(self.known[1], level)
            return -float(high), -float(low)
        low, high = difference_ends(
            *self.known,
            self.null_covariance,
            self.correlation,
            level,
            skewness=self.skewness,
            freedom=self.freedom,
        )
        return float(low[0]), float(high[0])


def pair_of(
    reference: Codes,
    codes: Codes,
    a: str,
    b: str,
    keep: np.ndarray,
    keep_reference: np.ndarray,
    schema: Schema,
    both: np.ndarray,
    itself: bool = False,
) -> Pair:
    """A pair on the kept rows of the model and of the reference, and how the two estimates go together.

    Under independence two φ² of the same items vary together as far as either attribute does: the trace of
    the product of their covariances is φ² of one confusion table times φ² of the other.
    """
    truth = unless_constant(pair_tables(reference, a, b, schema, both, keep_reference))
    counts = truth if itself else pair_tables(codes, a, b, schema, both, keep)
    shared = keep & keep_reference
    confusions = tuple(
        tables(np.where(shared, reference[x], -1), codes[x], (len(schema[x]),) * 2, both) for x in (a, b)
    )
    known = tuple(of_counts(t[0], effective_size(t)) for t in (counts, truth))
    slopes = [gradient(t[0])[c[a][shared], c[b][shared]] for t, c in ((counts, codes), (truth, reference))]
    sizes = [t[0].sum() for t in (counts, truth)]
    overlap = shared.sum() / np.sqrt(sizes[0] * sizes[1]) if min(sizes) > 0 else math.nan
    spreads = [x.std() if shared.any() else 0.0 for x in slopes]
    correlation = 0.0
    if min(spreads) > 1e-12:
        correlation = float(np.mean((slopes[0] - slopes[0].mean()) * (slopes[1] - slopes[1].mean())))
        correlation *= overlap / (spreads[0] * spreads[1])
    independent = np.sqrt(known[0].null * known[1].null) * overlap**2
    trace = float(phi2(confusions[0][0]) * phi2(confusions[1][0]))
    freedom = [np.prod([k - 1.0 for k in classes_in_use(t[0])]) for t in (counts, truth)]
    together = trace / math.sqrt(freedom[0] * freedom[1]) if min(freedom) > 0 else 0.0
    same = keep.sum() == keep_reference.sum() == shared.sum() and all(
        np.array_equal(reference[x][keep], codes[x][keep]) for x in (a, b)
    )
    covariance = float(independent * min(together, 1.0))
    same = same and not np.isnan(truth).any()
    shape = _shape(known, slopes)
    return Pair(counts, truth, confusions, known, covariance, correlation, *shape, same)


def _shape(known: tuple[Phi2, Phi2], slopes: list[np.ndarray]) -> tuple[float, float]:
    """Skewness, and degrees of freedom of the variance, of the estimated difference of both V.

    Args:
        known: φ² of both.
        slopes: Influence of each row on either φ², shape (n,) each.

    Source:
        Degrees of freedom by the variance of a variance, Satterthwaite (1946), Biometrics 2:110–114.
    """
    # V is a root; below the standard deviation that φ² has under independence its derivative says nothing.
    roots = [np.sqrt(max(x.observed - x.bias, np.sqrt(x.null)) * max(x.classes, 1)) for x in known]
    influence = slopes[0] / roots[0] - slopes[1] / roots[1] if min(roots) > 0 else np.zeros(0)
    n = len(influence)
    if n < 2 or not influence.std() > 1e-12:
        return 0.0, math.inf
    scaled = (influence - influence.mean()) / influence.std()
    beyond = float((scaled**4).mean()) - 1
    return float((scaled**3).mean() / np.sqrt(n)), 2 * n / beyond if beyond > 0 else math.inf
