"""Intervals of Cramér's V, and of the difference of two, that hold down to V = 0.

V is a root, and a root behaves badly near 0; φ² does not. Its estimate, less the mean that it has under
independence, is unbiased and may be negative, and its variance is that under independence plus a part in
proportion to φ². Intervals of V come from tests of each φ² that it could be.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats

from swatchbook.evaluation.association import classes_in_use, phi2

_HALVINGS = 60


class Phi2(NamedTuple):
    """What is known of φ² of one table, or of many at once.

    Attributes:
        observed: The plug-in φ².
        bias: Its mean under independence.
        bias_here: Its second-order bias at the association found, at most `bias`.
        null: Its variance under independence.
        slope: Its variance beyond that, over φ².
        classes: min(K_a, K_b) − 1, which φ² is divided by for V².
    """

    observed: np.ndarray
    bias: np.ndarray
    bias_here: np.ndarray
    null: np.ndarray
    slope: np.ndarray
    classes: int


def gradient(table: np.ndarray) -> np.ndarray:
    """Derivative of φ² by the share of each cell: its weighted mean is 0; shape (…, K_a, K_b)."""
    p, one_a, one_b = _shares(table)
    return (
        2 * p * one_a * one_b
        - (p**2 * one_b).sum(-1, keepdims=True) * one_a**2
        - (p**2 * one_a).sum(-2, keepdims=True) * one_b**2
    )


def of_counts(table: np.ndarray, size: np.ndarray | float | None = None) -> Phi2:
    """φ² of counts of independent items.

    Args:
        table: Counts, shape (…, K_a, K_b).
        size: Effective number of items, shape (…); the table's sum by default.

    Source:
        Mean (r − 1)(c − 1) / (n − 1) and variance under independence: Haldane (1940), Biometrika
        31:346–355, as in Lewis, Saunders & Westcott (1984), Biometrika 71:515–522. Linearised variance:
        Bishop, Fienberg & Holland (1975), Discrete Multivariate Analysis, section 11.3.
    """
    table = np.asarray(table, dtype=float)
    n = table.sum((-2, -1)) if size is None else np.broadcast_to(np.asarray(size, float), table.shape[:-2])
    n = np.maximum(n, 4.0)
    p, one_a, one_b = _shares(table)
    observed, (r, c) = phi2(table), classes_in_use(table)
    slopes = gradient(table)
    spread = (p * slopes**2).sum((-2, -1)) - (p * slopes).sum((-2, -1)) ** 2
    v = [(k - 1) * (n - k) / (n - 1) for k in (r, c)]
    w = [(one.sum((-2, -1)) - k**2) / (n - 2) for one, k in ((one_a, r), (one_b, c))]
    null = 2 * n / (n - 3) * (v[0] - w[0]) * (v[1] - w[1]) + n**2 / (n - 1) * w[0] * w[1]
    bias = (r - 1) * (c - 1) / (n - 1)
    slope = _slope(spread / n, observed, n)
    return Phi2(
        observed, bias, bias_here(table, observed, bias, n), null / n**2, slope, min(table.shape[-2:]) - 1
    )


def bias_here(table: np.ndarray, observed: np.ndarray, bias: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Second-order bias of φ² of independent items where the association is the one found; at most `bias`.

    The association found is the table shrunk towards independence until its φ² is the corrected one.
    """
    p, one_a, one_b = _shares(table)
    alone = p.sum(-1, keepdims=True) * p.sum(-2, keepdims=True)
    kept = np.sqrt(np.clip(1 - bias / np.maximum(observed, 1e-300), 0, 1))
    p = alone + np.asarray(kept)[..., None, None] * (p - alone)
    second = (
        2 * one_a * one_b
        - 4 * p * one_a * one_b * (one_a + one_b)
        + 2 * (p * one_a * one_b) ** 2
        + 2 * (p**2 * one_b).sum(-1, keepdims=True) * one_a**3
        + 2 * (p**2 * one_a).sum(-2, keepdims=True) * one_b**3
    )
    return np.clip((p * second).sum((-2, -1)) / (2 * size), 0, bias)


def v_interval(table: np.ndarray, level: float = 0.95, size: float | None = None) -> tuple[float, float, str]:
    """Interval of the true V from one table of independent items; see `v_ends`.

    Args:
        table: Counts, shape (K_a, K_b).
        level: Confidence level in (0, 1).
        size: Effective number of items; the table's sum by default.

    Returns:
        (low, high, rule): rule names the method in a few words; NaN and "" where V is not defined.
    """
    known = of_counts(table, size)
    low, high = (float(x) for x in v_ends(known, level))
    if known.classes < 1 or np.isnan(known.observed):
        return math.nan, math.nan, ""
    # A head that collapsed has no degree of freedom left; its V is 0 and nothing is uncertain about it.
    if min(classes_in_use(np.asarray(table))) < 2:
        return 0.0, 0.0, "one class in use"
    return low, high, f"{level:.0%} by inversion of φ²"


def v_ends(known: Phi2, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interval of the true V: every V whose φ² the observed one does not speak against.

    The observed φ² has mean φ² + bias and variance null + slope · φ², and is taken as a gamma variable,
    which at φ² = 0 is the usual χ². The upper end takes the smaller bias, the lower end the larger one. An
    observed φ² below all that independence makes likely does not shrink the interval to nothing. The upper
    end so has a least value; a V below it can be missed by the lower end alone, which gets both tails there.

    Args:
        known: Of one table or of many.
        level: Confidence level in (0, 1).

    Returns:
        (low, high), in [0, 1]; NaN where φ² is.

    Source:
        Inversion of the noncentral χ²: Smithson (2003), Confidence Intervals, chapter 4; by two moments as
        in Patnaik (1949), Biometrika 36:202–232. Tails that depend on the parameter, so that the interval
        holds near a bound: Feldman & Cousins (1998), Phys. Rev. D 57:3873–3889.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1; received {level}")
    tail = (1 - level) / 2
    likely, lesser = (
        _gamma_quantile(2 * tail, known.bias, known.null),
        np.minimum(known.bias, known.bias_here),
    )
    high = _solve(np.maximum(known.observed, likely), lesser, known, 1 - tail)
    least = _solve(np.where(np.isnan(known.observed), np.nan, likely), lesser, known, 1 - tail)
    low = np.minimum(
        _solve(known.observed, known.bias, known, 2 * tail),
        np.maximum(least, _solve(known.observed, known.bias, known, tail)),
    )
    return tuple(np.sqrt(np.minimum(x / max(known.classes, 1), 1.0)) for x in (low, high))


def _solve(observed: np.ndarray, bias: np.ndarray, known: Phi2, upper_tail: float) -> np.ndarray:
    """The φ² at which an observed one or more has this probability; 0 where none reaches it."""
    null, slope = np.maximum(known.null, 1e-300), known.slope
    low = np.zeros(np.shape(observed))
    high = observed + 30 * np.sqrt(null + slope * observed) + 200 * slope
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        mean, variance = np.maximum(bias + middle, 1e-300), null + slope * middle
        with np.errstate(invalid="ignore"):
            reached = special.gammaincc(mean**2 / variance, np.maximum(observed, 0) * mean / variance)
        below = reached < upper_tail
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(np.isnan(observed), np.nan, (low + high) / 2 * (low > 0))


def _gamma_quantile(p: float, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    mean, variance = np.maximum(mean, 1e-300), np.maximum(variance, 1e-300)
    return special.gammaincinv(mean**2 / variance, p) * variance / mean


def difference_ends(
    first: Phi2,
    second: Phi2,
    null_covariance: np.ndarray,
    correlation: np.ndarray,
    level: float,
    *,
    skewness: np.ndarray | float = 0.0,
    freedom: np.ndarray | float = math.inf,
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interval of V₁ − V₂ by profile likelihood, where the two are of the same items.

    Both corrected φ² are taken as jointly normal with the variances that the two V in question give them. A
    difference d stays in the interval if some V₂ ≥ 0 with V₁ = V₂ + d ≥ 0 fits nearly as well as the best
    pair does. Where one of the two V would be 0, its noise cannot be fitted by a V below that, so that the
    best pair fits worse by chance; what counts as nearly as well is wider there.

    Args:
        first: φ² of the one, of one table or of many, shape (M,).
        second: φ² of the other.
        null_covariance: Covariance of the two observed φ² under independence, shape (M,).
        correlation: Correlation of their linearised parts, in [−1, 1], shape (M,).
        level: Confidence level in (0, 1).
        skewness: Of the estimated difference, shape (M,). Where few items in rare cells carry it, a sample
            that lacks them has both too low a difference and too small a standard error.
        freedom: Degrees of freedom of its variance, shape (M,).

    Returns:
        (low, high), each of shape (M,), in [−1, 1]; NaN where a φ² is.

    Source:
        Signed likelihood-ratio intervals: Cox & Hinkley (1974), Theoretical Statistics, chapter 9; at a bound
        of the nuisance parameter by the mixture of χ² with one and two degrees of freedom: Self & Liang
        (1987), JASA 82:605–610. Skewness of a studentized estimate: Johnson (1978), JASA 73:536–544; Hall
        (1992), J. R. Stat. Soc. B 54:221–228.
    """
    first, second = (
        Phi2(*(np.atleast_1d(x) for x in known[:-1]), known.classes) for known in (first, second)
    )
    v = [np.sqrt(np.maximum(x.observed - x.bias, 0) / x.classes) for x in (first, second)]
    sd = [np.sqrt(x.null + x.slope * np.maximum(x.observed - x.bias, 0)) / x.classes for x in (first, second)]
    steps = np.linspace(-7, 7, 161)
    ahead = np.sqrt(np.maximum(v[1][:, None] ** 2 + steps * sd[1][:, None], 0))
    ahead = np.concatenate([np.zeros((len(ahead), 1)), ahead], 1)  # V₂ to try

    def distance(d: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Squared distance of the estimates from V₂ = other, V₁ = other + d."""
        one = other + d
        allowed, one = (one >= 0) & (one <= 1), np.maximum(one, 0)
        mean = [known.classes * x**2 for known, x in ((first, one), (second, other))]
        gap = [
            (known.observed - known.bias)[:, None] - m for known, m in zip((first, second), mean, strict=True)
        ]
        linear = [known.slope[:, None] * m for known, m in zip((first, second), mean, strict=True)]
        variance = [known.null[:, None] + x for known, x in zip((first, second), linear, strict=True)]
        shared = null_covariance[:, None] + correlation[:, None] * np.sqrt(linear[0] * linear[1])
        determinant = np.maximum(variance[0] * variance[1] - shared**2, 1e-12 * variance[0] * variance[1])
        value = variance[1] * gap[0] ** 2 - 2 * shared * gap[0] * gap[1] + variance[0] * gap[1] ** 2
        return np.where(allowed, value / determinant, np.inf)

    null_covariance, correlation = (
        np.atleast_1d(np.asarray(x, float)) for x in (null_covariance, correlation)
    )
    edges = [np.linspace(0, 1, 161) * (x + 6 * np.sqrt(y))[:, None] for x, y in zip(v, sd, strict=True)]
    on_first, on_second = distance(edges[0], np.zeros_like(edges[0])), distance(-edges[1], edges[1])
    inside = (first.observed >= first.bias) & (second.observed >= second.bias)
    best = np.where(inside, 0.0, np.minimum(on_first.min(1), on_second.min(1)))
    rows = np.arange(len(best))
    at_edge = np.where(
        on_first.min(1) <= on_second.min(1),
        edges[0][rows, on_first.argmin(1)],
        -edges[1][rows, on_second.argmin(1)],
    )
    centre = np.where(inside, v[0] - v[1], at_edge)
    z = stats.t.ppf((1 + level) / 2, freedom)
    wider = _mixture_quantile(level) / stats.chi2.ppf(level, 1)
    ends = []
    for sign in (-1, 1):
        reach = (z + np.maximum(sign * np.asarray(skewness), 0) * (2 * z**2 + 1) / 6) ** 2
        allowed, at_bound = reach + best, reach * wider + best
        near, far = centre.copy(), np.full(len(centre), float(sign))
        for _ in range(40):
            middle = (near + far) / 2
            others = np.maximum(ahead, np.maximum(-middle, 0)[:, None])
            gaps = distance(middle[:, None], others)
            within = (gaps.min(1) <= allowed) | (gaps[:, 0] <= at_bound)
            near, far = np.where(within, middle, near), np.where(within, far, middle)
        ends.append(np.where(np.isnan(first.observed + second.observed), np.nan, (near + far) / 2))
    return ends[0], ends[1]


@functools.cache
def _mixture_quantile(level: float) -> float:
    """Quantile of the even mixture of χ² with one and with two degrees of freedom."""

    def missing(x: float) -> float:
        return float(stats.chi2.cdf(x, (1, 2)).mean()) - level

    return float(optimize.brentq(missing, 0.0, stats.chi2.ppf(level, 2)))


def mean_ends(
    values: np.ndarray, low: np.ndarray, high: np.ndarray, samples: np.ndarray
) -> tuple[float, float]:
    """Ends of the mean of several estimates from the ends of each and their correlations.

    Args:
        values: Estimates, shape (P,).
        low: Lower ends of each, shape (P,).
        high: Upper ends, shape (P,).
        samples: Replicates of the estimates, shape (B, P), for the correlations alone.

    Source:
        Zou (2008), Stat. Med. 27:5250–5261: variances recovered from intervals, with correlations.
    """
    spread = samples.std(0)
    centred = np.divide(samples - samples.mean(0), spread, out=np.zeros_like(samples), where=spread > 0)
    correlation = centred.T @ centred / len(samples)
    np.fill_diagonal(correlation, 1.0)
    down, up = values - low, high - values
    reach = [np.sqrt(max(float(x @ correlation @ x), 0.0)) / len(values) for x in (down, up)]
    return float(values.mean() - reach[0]), float(values.mean() + reach[1])


def _shares(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares, and one over each margin or 0 where it is empty: (…, K_a, K_b), (…, K_a, 1), (…, 1, K_b)."""
    table = np.asarray(table, dtype=float)
    total = table.sum((-2, -1), keepdims=True)
    p = np.divide(table, total, out=np.zeros_like(table), where=total > 0)
    margins = p.sum(-1, keepdims=True), p.sum(-2, keepdims=True)
    one_a, one_b = (np.divide(1.0, m, out=np.zeros_like(m), where=m > 0) for m in margins)
    return p, one_a, one_b


def _slope(variance: np.ndarray, observed: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Linearised variance over φ²; that of a weak association, 4 / n, where φ² is 0."""
    known = observed > 1e-9
    return np.where(known, variance / np.where(known, observed, 1.0), 4.0 / size)
