"""Stratified samples: checks, design effects, and the interval of a weighted error rate.

Every score of an audit is one less a weighted error rate. Accuracy weighs an error by what the image
stands for; the F1 of a class by that over the class's size; macro-F1 by the mean over both classes
concerned. So one interval serves them all: Wilson's, at the size of a simple random sample that would
know the rate as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from swatchbook.evaluation.intervals import wilson
from swatchbook.schema import Schema

Codes = Mapping[str, np.ndarray]

#: A design effect is seen in errors alone; it is shrunk by this many towards that of the weights.
_SHRINKAGE = 10.0


def check_design(
    stratum: np.ndarray, weight: np.ndarray, labels: Mapping[str, Codes], schema: Schema
) -> tuple[np.ndarray, np.ndarray]:
    """Refuse an audit whose parts do not fit together; returns strata (0…H−1) and weights as arrays.

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
    return np.unique(stratum, return_inverse=True)[1].reshape(-1), weight


def kish_size(weights: np.ndarray) -> np.ndarray:
    """Effective number of items of a weighted sample, (Σw)²/Σw²; n for equal weights, 0 for none.

    Args:
        weights: Item weights ≥ 0, shape (n,) or (n, S).

    Source:
        Kish (1965), Survey Sampling, section 8.2.
    """
    weights = np.asarray(weights, dtype=float)
    return weights.sum(0) ** 2 * inverse((weights**2).sum(0))


def centred_in_strata(values: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """Values less their stratum's mean, times √(n_h / (n_h − 1)): their squares sum to a total's variance.

    A stratum with one item shows no variance; its item is held against 0. The finite population correction
    is left out.

    Args:
        values: What each item adds to a total, shape (n,) or (n, S).
        stratum: Stratum of each item, 0…H−1, shape (n,).

    Source:
        Särndal, Swensson & Wretman (1992), Model Assisted Survey Sampling, sections 3.7 and 5.5.
    """
    n = np.bincount(stratum)
    sums = np.zeros((len(n), *values.shape[1:]))
    np.add.at(sums, stratum, values)
    shape = (-1, *[1] * (values.ndim - 1))
    mean = sums * np.where(n > 1, 1 / np.maximum(n, 1), 0.0).reshape(shape)
    scale = np.sqrt(np.where(n > 1, n / np.maximum(n - 1, 1), 1.0)).reshape(shape)
    return (values - mean[stratum]) * scale[stratum]


class ErrorRate(NamedTuple):
    """Weighted error rates, and the sizes of simple random samples that would know their ends as well.

    Attributes:
        rate: In [0, 1], shape (S,).
        above: Size behind the upper end: by all items, since any of them could have been an error.
        below: Size behind the lower end: by the errors seen, as a few heavy ones say little of it.
    """

    rate: np.ndarray
    above: np.ndarray
    below: np.ndarray

    def interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Wilson's ends, (low, high), each of shape (S,)."""
        return wilson(self.rate, self.below, level)[0], wilson(self.rate, self.above, level)[1]


def error_rate(
    potential: np.ndarray,
    wrong: np.ndarray,
    stratum: np.ndarray,
    influence: np.ndarray,
    *,
    covered: float | np.ndarray = 1.0,
    unseen: float | np.ndarray = 0.0,
) -> ErrorRate:
    """The share of a potential that lies on wrong items.

    Its effective size is Kish's over the potential, over the design effect of the strata: the linearised
    variance by that of the weights alone. A few errors say little of that effect, so it is shrunk to 1.

    Args:
        potential: How much each item adds if it is wrong, ≥ 0, shape (n, S).
        wrong: Whether it is, shape (n,).
        stratum: Stratum of each item, 0…H−1, shape (n,).
        influence: First-order influence of each item on the rate, shape (n, S); see `ratio_influence`.
        covered: Share of the rate that the items speak for, shape (S,).
        unseen: Σ of the squared shares of the parts that no item speaks for, shape (S,).

    Source:
        Effective sizes: Korn & Graubard (1998), Survey Methodology 24:193–201; with Wilson's interval
        Franco, Little, Louis & Slud (2019), J. Survey Stat. Methodol. 7:334–364.
    """
    share = potential * inverse(potential.sum(0))
    errors = share * wrong[:, None]
    rate = np.clip(errors.sum(0), 0.0, 1.0)
    square = (share**2).sum(0)
    by_weights = rate * (1 - rate) * square
    effect = np.divide(
        (centred_in_strata(influence, stratum) ** 2).sum(0),
        by_weights,
        out=np.ones_like(rate),
        where=by_weights > 0,
    )
    of_all = inverse(covered**2 * square + unseen)
    items = (share > 0).sum(0)
    few = (errors > 0).sum(0)
    few = np.minimum(few, items - few) * of_all / np.maximum(items, 1)
    shrunk = (_SHRINKAGE + few * effect) / (_SHRINKAGE + few)
    of_errors = inverse(covered**2 * (errors**2).sum(0) + rate * unseen)
    return ErrorRate(rate, of_all / shrunk, np.where(rate > 0, rate * of_errors, of_all))


def ratio_influence(potential: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """First-order influence of each item on Σ potential · wrong / Σ potential.

    Args:
        potential: Shape (n, S).
        wrong: Shape (n,).

    Returns:
        Shape (n, S).
    """
    share = potential * inverse(potential.sum(0))
    return share * (wrong[:, None] - wrong @ share)


def inverse(x: np.ndarray) -> np.ndarray:
    """1 / x, and 0 where x is not above 0."""
    return np.divide(1.0, x, out=np.zeros(np.shape(x)), where=np.asarray(x) > 0)
