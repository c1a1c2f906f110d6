"""The interval of a share: one helper wherever something is counted and its share printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import special


def wilson(
    share: np.ndarray | float, size: np.ndarray | float, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of a proportion; it never has zero width and never leaves [0, 1].

    Args:
        share: Observed proportion in [0, 1], any shape.
        size: Items behind it, at least 0; an effective size may be a fraction.
        level: Confidence level in (0, 1).

    Returns:
        (low, high); NaN where the size is 0.

    Source:
        Wilson (1927), JASA 22:209–212.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1; received {level}")
    p, n = np.broadcast_arrays(np.asarray(share, dtype=float), np.asarray(size, dtype=float))
    z = special.ndtri(0.5 + 0.5 * level)
    below = 2 * (n + z**2)
    centre = (2 * n * p + z**2) / below
    reach = z / below * np.sqrt(4 * n * p * (1 - p) + z**2)
    known = n > 0
    low, high = np.where(p == 0, 0.0, centre - reach), np.where(p == 1, 1.0, centre + reach)
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def share_row(hits: int, n: int, level: float = 0.95, otherwise: str = "not estimable") -> dict[str, object]:
    """A counted share as the last columns of a tidy table: ``value, low, high, n, interval``.

    Args:
        hits: How many of the n.
        n: Items, at least 0.
        level: Confidence level in (0, 1).
        otherwise: The words for the interval where n is 0.
    """
    if not n:
        return {"value": np.nan, "low": np.nan, "high": np.nan, "n": 0, "interval": otherwise}
    low, high = wilson(hits / n, n, level)
    ends = {"low": float(low), "high": float(high)}
    return {"value": hits / n, **ends, "n": int(n), "interval": f"{level:.0%} Wilson score interval"}


def share_table(counts: Mapping[tuple, tuple[int, int]], columns: Sequence[str]) -> pd.DataFrame:
    """Counts as shares with their intervals.

    Args:
        counts: What is counted, a value a column → how many, of how many.
        columns: Names of the first columns.

    Returns:
        ``columns, count, n, value, low, high, interval``; NaN where nothing is counted.
    """
    table = pd.DataFrame([(*key, *of) for key, of in counts.items()], columns=[*columns, "count", "n"])
    table["value"] = table["count"] / table["n"].replace(0, np.nan)
    table["low"], table["high"] = wilson(table["value"], table["n"])
    return table.assign(interval="95% Wilson")
