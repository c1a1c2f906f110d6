"""Estimate and replicates in one array: the first entry is the estimate, the rest its bootstrap.

A statistic written once for tables of shape (1 + B, K_a, K_b) is then estimated and resampled by the
same line, and differences between such arrays are paired.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from swatchbook.evaluation.resample import percentile_interval


def estimate_first(weights: np.ndarray, n: int) -> np.ndarray:
    """Bootstrap weights with a row of ones, the sample itself, before them.

    Args:
        weights: Shape (B, n), B ≥ 2.
        n: Number of items that the weights must cover.

    Returns:
        float64 array of shape (1 + B, n), column-major: what sparse products read without a copy.

    Raises:
        ValueError: If the shape is another.
    """
    weights = np.asarray(weights)
    if weights.ndim != 2 or weights.shape[1] != n or len(weights) < 2:
        raise ValueError(f"weights must have shape (B ≥ 2, {n}); received {weights.shape}")
    both = np.empty((1 + len(weights), n), order="F")
    both[0], both[1:] = 1.0, weights
    return both


def z_value(level: float) -> float:
    """Half-width, in standard deviations, of a two-sided normal interval."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1; received {level}")
    return float(stats.norm.ppf((1 + level) / 2))


def spread(samples: np.ndarray) -> float:
    """Standard deviation of the replicates (all but the first entry); NaN if fewer than two are defined."""
    replicates = samples[1:][np.isfinite(samples[1:])]
    return float(np.std(replicates, ddof=1)) if len(replicates) > 1 else math.nan


def normal_interval(
    samples: np.ndarray, level: float, least: float = -math.inf, most: float = math.inf
) -> dict[str, float]:
    """Value ± z·SD of the replicates, clipped to the statistic's range: `value`, `low` and `high`."""
    value, reach = float(samples[0]), z_value(level) * spread(samples)
    if math.isnan(value) or math.isnan(reach):
        return {"value": value, "low": math.nan, "high": math.nan}
    return {"value": value, "low": max(value - reach, least), "high": min(value + reach, most)}


def percentiles(samples: np.ndarray, level: float) -> dict[str, float]:
    """Value with the percentile interval of the replicates: `value`, `low` and `high`."""
    value = float(samples[0])
    low, high = percentile_interval(samples[1:], level)
    defined = not math.isnan(value)
    return {"value": value, "low": float(low) if defined else math.nan,
            "high": float(high) if defined else math.nan}  # fmt: skip


def normal_words(draws: int, level: float) -> str:
    """How `normal_interval` was made from so many replicates, for the column `interval`."""
    return f"± {z_value(level):.2f} SD, bootstrap of images, B={draws}"


def percentile_words(draws: int, level: float) -> str:
    """How `percentiles` was made from so many replicates, for the column `interval`."""
    return f"{level:.0%} percentile bootstrap of images, B={draws}"
