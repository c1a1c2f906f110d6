"""How something grows with a size: slopes with intervals, of rounds that each measured all sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats


def exponent(sizes: Sequence[float], values: Sequence[float], rounds: Sequence[int]) -> dict | None:
    """The exponent s of value = c·size^s: the slope of log value on log size, as `slope`.

    Args:
        sizes: Above 0.
        values: Pairs in which it is not above 0 are left out: there was less than could be measured.
        rounds: As in `slope`.
    """
    sizes, values, rounds = (np.asarray(each) for each in (sizes, values, rounds))
    kept = values > 0
    return slope(np.log(sizes[kept]), np.log(values[kept]), rounds[kept])


def slope(x: Sequence[float], y: Sequence[float], rounds: Sequence[int], level: float = 0.95) -> dict | None:
    """The common slope of y on x in several rounds, each with an intercept of its own.

    A round's intercept takes up how fast the machine was in it. With one round it is the ordinary slope.

    Args:
        x: Shape (n,).
        y: Shape (n,).
        rounds: The round of each pair, shape (n,).
        level: Confidence level in (0, 1).

    Returns:
        ``value``, ``low``, ``high`` (Student's t of the residuals) and ``df``; None where there are too few
        pairs for an interval.
    """
    x, y, rounds = np.array(x, float), np.array(y, float), np.asarray(rounds)
    number = len(np.unique(rounds))
    df = len(x) - number - 1
    for each in np.unique(rounds):
        here = rounds == each
        x[here], y[here] = x[here] - x[here].mean(), y[here] - y[here].mean()
    spread = (x**2).sum()
    if df < 1 or not spread > 0:
        return None
    value = (x * y).sum() / spread
    error = np.sqrt(((y - value * x) ** 2).sum() / df / spread)
    half = stats.t.ppf((1 + level) / 2, df) * error
    return {"value": float(value), "low": float(value - half), "high": float(value + half), "df": int(df)}
