"""Resampling: one set of image weights, drawn once, serves every statistic and keeps them paired.

A bootstrap replicate is a row of weights over images. A statistic of a replicate is the same function
of a weighted contingency table that gives the estimate itself, so models, heads and differences are
paired by construction, and thousands of replicates are one sparse product.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse, stats

_FEW = 8  # replicates; for fewer, a sparse product takes longer to set up than to count one by one


def image_weights(
    n: int, draws: int, rng: np.random.Generator, clusters: np.ndarray | None = None
) -> np.ndarray:
    """Weights of the nonparametric bootstrap, over images or over clusters of images.

    Args:
        n: Number of images.
        draws: Number of replicates B.
        rng: Source of randomness.
        clusters: Cluster of each image, shape (n,), any hashable dtype; images of one cluster (say,
            photographs of one product) are drawn together. None draws images.

    Returns:
        float32 array of shape (draws, n): how often each image is drawn. Rows sum to n without
        clusters, and to n on average with them.

    Source:
        Efron (1979); cluster bootstrap as in Davison & Hinkley (1997), section 3.8.
    """
    if n < 1 or draws < 1:
        raise ValueError(f"n and draws must be at least 1; received n={n}, draws={draws}")
    if clusters is None:
        return rng.multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float32)
    if len(clusters) != n:
        raise ValueError(f"clusters must have one entry an image; received {len(clusters)} for {n} images")
    _, of_image = np.unique(clusters, return_inverse=True)
    m = int(of_image.max()) + 1
    return rng.multinomial(m, np.full(m, 1 / m), size=draws).astype(np.float32)[:, of_image]


def rao_wu_weights(strata: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Weight multipliers of the Rao–Wu bootstrap for a stratified sample.

    In each stratum, n_h − 1 of its n_h items are drawn with replacement and their counts rescaled by
    n_h / (n_h − 1), which makes the bootstrap variance unbiased where the naive one is too small by
    (n_h − 1) / n_h. A stratum with one item cannot show its variance and keeps weight 1.

    Args:
        strata: Stratum of each sampled item, shape (n,).
        draws: Number of replicates B.
        rng: Source of randomness.

    Returns:
        float64 array of shape (draws, n); multiply it into the design weights.

    Source:
        Rao & Wu (1988), JASA 83:231–241; rescaled as in Rao, Wu & Yue (1992).
    """
    strata = np.asarray(strata)
    weights = np.ones((draws, len(strata)))
    for stratum in np.unique(strata):
        items = np.flatnonzero(strata == stratum)
        size = len(items)
        if size > 1:
            counts = rng.multinomial(size - 1, np.full(size, 1 / size), size=draws)
            weights[:, items] = counts * (size / (size - 1))
    return weights


def table(
    a: np.ndarray, b: np.ndarray, shape: tuple[int, int], weights: np.ndarray | None = None
) -> np.ndarray:
    """Contingency table over the full schema; rows where either code is negative are left out.

    Args:
        a: Codes 0…K_a−1 or −1, shape (n,).
        b: Codes 0…K_b−1 or −1, shape (n,).
        shape: (K_a, K_b).
        weights: Item weights, shape (n,); ones by default.

    Returns:
        float64 array of shape (K_a, K_b).
    """
    return tables(a, b, shape, np.ones((1, len(a))) if weights is None else np.asarray(weights)[None])[0]


def tables(a: np.ndarray, b: np.ndarray, shape: tuple[int, int], weights: np.ndarray) -> np.ndarray:
    """Weighted contingency tables of every replicate: float64 array of shape (B, K_a, K_b).

    Args:
        a: Codes 0…K_a−1 or −1, shape (n,).
        b: Codes 0…K_b−1 or −1, shape (n,).
        shape: (K_a, K_b).
        weights: Replicate weights, shape (B, n).
    """
    return cells(
        np.where((a >= 0) & (b >= 0), a.astype(np.int64) * shape[1] + b, -1), shape[0] * shape[1], weights
    ).reshape(-1, *shape)


def cells(codes: np.ndarray, k: int, weights: np.ndarray) -> np.ndarray:
    """Weighted counts of codes 0…k−1 in every replicate: float64 array of shape (B, k).

    Args:
        codes: Codes, shape (n,); negative ones are left out.
        k: Number of cells.
        weights: Replicate weights, shape (B, n).
    """
    codes, weights = np.asarray(codes), np.asarray(weights, dtype=np.float64)
    kept = np.flatnonzero(codes >= 0)
    if 0 < len(weights) <= _FEW:
        return np.stack([np.bincount(codes[kept], row[kept], minlength=k) for row in weights])
    one_hot = sparse.csr_matrix((np.ones(len(kept)), (kept, codes[kept])), shape=(len(codes), k))
    return np.asarray((one_hot.T @ weights.T).T)


def percentile_interval(samples: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of replicates along the first axis; NaN replicates are left out.

    Args:
        samples: Shape (B, …).
        level: Confidence level in (0, 1).

    Returns:
        (low, high), each of shape (…); NaN where no replicate is defined.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1; received {level}")
    samples = np.asarray(samples, dtype=float)
    tail, unknown = (1 - level) / 2, np.isnan(samples)
    tails = [tail, 1 - tail]
    if len(samples) and not unknown.any():
        low, high = np.quantile(samples, tails, axis=0)  # much faster than nanquantile
        return low, high
    low, high = np.full(samples.shape[1:], np.nan), np.full(samples.shape[1:], np.nan)
    defined = ~unknown.all(axis=0)
    if defined.any():
        low[defined], high[defined] = np.nanquantile(samples[:, defined], tails, axis=0)
    return low, high


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


def with_estimate(base: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
    """Design weights with the estimate's first and the replicates' after it, shape (1 + B, n)."""
    return np.vstack([base, base * multipliers])


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


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values: step-down control of the family-wise error rate.

    Args:
        p: p-values in [0, 1], shape (m,); NaN is left out of the family and stays NaN.

    Source:
        Holm (1979), Scand. J. Statist. 6:65–70.
    """
    p = np.asarray(p, dtype=float)
    adjusted = np.full(p.shape, np.nan)
    family = np.flatnonzero(~np.isnan(p))
    order = family[np.argsort(p[family], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
