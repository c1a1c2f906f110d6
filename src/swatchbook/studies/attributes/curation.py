"""Was a handful of shown images picked? How varied they are, against what a random handful would be."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

PAIR = ("material", "texture")


def distinct_pairs(sample: pd.DataFrame, attributes: tuple[str, str] = PAIR) -> int:
    """How many different pairs of labels occur in a table of labels; rows without both are left out."""
    return len(sample[list(attributes)].dropna().drop_duplicates())


def distinct_pairs_null(pool: pd.DataFrame, size: int, attributes: tuple[str, str] = PAIR) -> np.ndarray:
    """The exact distribution of the number of distinct pairs in a simple random sample of images.

    The pool is walked through one pair of labels at a time; given how many images of the sample are still
    to be drawn, the number that has this pair is hypergeometric.

    Args:
        pool: The images that could have been drawn, a column an attribute; rows without both labels are
            left out.
        size: Images in the sample, drawn without replacement.
        attributes: The two columns.

    Returns:
        Probabilities of 0…size distinct pairs, shape (size + 1,), summing to 1.

    Raises:
        ValueError: If the sample is empty or larger than the pool.
    """
    counts = pool[list(attributes)].dropna().value_counts().to_numpy()
    if not 1 <= size <= counts.sum():
        raise ValueError(f"size must be 1 to {counts.sum()}, the images of the pool; received {size}")
    left, taken = np.arange(size + 1)[:, None], np.arange(size + 1)
    state = np.zeros((size + 1, size + 1))  # probability of (images still to draw, distinct so far)
    state[size, 0] = 1
    rest = int(counts.sum())
    for count in counts:
        # A state that asks for more images than are left has no probability; its row must not be NaN.
        p = np.where(left <= rest, hypergeom.pmf(taken, rest, count, np.minimum(left, rest)), 0)
        after = np.zeros_like(state)
        for k in range(min(int(count), size) + 1):
            moved = state[k:] * p[k:, k, None]
            if k:
                after[: size + 1 - k, 1:] += moved[:, :-1]
            else:
                after += moved
        state, rest = after, rest - int(count)
    return state[0]


def curation_table(
    sample: pd.DataFrame,
    pool: pd.DataFrame,
    attributes: tuple[str, str] = PAIR,
    claimed: int | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """A shown sample against random samples of its size.

    Args:
        sample: Labels of the shown images.
        pool: Labels of all images that it could have been drawn from.
        attributes: The two columns whose pairs are counted.
        claimed: A number of distinct pairs that somebody claimed for the sample.
        level: Share of random samples in the printed range, in (0, 1).

    Returns:
        Columns ``a, b, statistic, value, low, high, n, interval``. Statistics: ``images`` and
        ``distinct_pairs`` (in the sample), ``expected_distinct_pairs`` (mean of random samples, with their
        central range), ``p_at_least_observed``, and where there is a claim ``distinct_pairs_claimed`` and
        ``p_at_least_claimed``. n is the size of the sample.

    Raises:
        ValueError: If the level is not in (0, 1), or the sample is empty or larger than the pool.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1; received {level}")
    size = len(sample[list(attributes)].dropna())
    p = distinct_pairs_null(pool, size, attributes)
    cumulative = np.cumsum(p)
    low, high = (int(np.searchsorted(cumulative, tail)) for tail in ((1 - level) / 2, (1 + level) / 2))
    observed = distinct_pairs(sample, attributes)
    exact = f"central {level:.0%} of random samples of {size}, exact"
    rows = [
        ("images", size, np.nan, np.nan, "count"),
        ("distinct_pairs", observed, np.nan, np.nan, "count"),
        ("expected_distinct_pairs", float(p @ np.arange(size + 1)), low, high, exact),
        ("p_at_least_observed", p[observed:].sum(), np.nan, np.nan, ""),
    ]
    if claimed is not None:
        rows += [
            ("distinct_pairs_claimed", claimed, np.nan, np.nan, ""),
            ("p_at_least_claimed", p[claimed:].sum(), np.nan, np.nan, ""),
        ]
    table = pd.DataFrame(rows, columns=["statistic", "value", "low", "high", "interval"])
    table.insert(4, "n", size)
    table.insert(0, "a", attributes[0])
    table.insert(1, "b", attributes[1])
    return table.astype({"value": float, "low": float, "high": float})
