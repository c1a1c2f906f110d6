"""Estimators of a model's true scores from a few judged images and the silver labels of many."""

from __future__ import annotations

import numpy as np
from scipy import stats

from swatchbook.evaluation.resample import cells


def post_stratified_tables(
    human: np.ndarray,
    predicted: np.ndarray,
    agrees: np.ndarray,
    split_predicted: np.ndarray,
    split_agrees: np.ndarray,
    k: int,
    weights: np.ndarray,
    pseudo: np.ndarray | None = None,
) -> np.ndarray:
    """Estimated human × predicted counts of the whole split, post-stratified.

    Post-strata are predicted class × whether the model agrees with the silver label. How many images
    of the split lie in each is known; only how the human labels distribute within one is taken from
    the judged images, by their weights. A post-stratum without a judged image takes the hit rate
    pooled over the other predicted classes at the same agreement (over both, if that has none
    either), its misses spread over the other classes as the judged truth does.

    Args:
        human: Codes of the judged images, −1 is left out (taken to be like the other images of its
            post-stratum); shape (n,).
        predicted: Codes, −1 for no label; shape (n,).
        agrees: Whether the prediction equals the silver label, boolean of shape (n,).
        split_predicted: Codes of the whole split, shape (N,).
        split_agrees: Boolean of shape (N,).
        k: Number of classes K.
        weights: Weights of the judged images in each replicate, shape (B, n).
        pseudo: Pseudo-images mixed into each replicate at (disagreement, agreement), (hits, misses),
            in images of mean weight, shape (B, 2, 2); see `pseudo_images`. None for none.

    Returns:
        Shape (B, K + 1, K + 1), the last class being "no label"; sums to N.

    Raises:
        ValueError: If the split holds fewer images of a post-stratum than were judged.

    Source:
        Holt & Smith (1979), JRSS A 142:33–46.
    """
    post = 2 * np.where(predicted < 0, k, predicted).astype(np.int64) + agrees
    split_post = 2 * np.where(split_predicted < 0, k, split_predicted).astype(np.int64) + split_agrees
    known = np.bincount(split_post, minlength=2 * k + 2)
    if (np.bincount(post, minlength=2 * k + 2) > known).any():
        raise ValueError(
            "population must hold every image of the split, the judged ones among them; "
            f"received {len(split_predicted)} images, fewer of a predicted class than were judged"
        )
    code = np.where(human >= 0, post * k + human, -1)
    seen = cells(code, (2 * k + 2) * k, weights).reshape(-1, k + 1, 2, k)
    size = seen.sum(-1, keepdims=True)
    own, others = _hit_and_miss(seen)
    rates = np.divide(seen, size, out=_borrowed_rates(seen, own, others), where=size > 0)
    if pseudo is not None:
        unit = weights[0].sum() / max(weights.shape[1], 1)
        hits, misses = np.moveaxis(pseudo[:, None, :, None, :] * unit, -1, 0)
        judged = size.sum((1, 3))[:, None, :, None]
        total = judged + hits * own.sum(-1, keepdims=True) + misses * others.sum(-1, keepdims=True)
        mixed = judged * rates + hits * own + misses * others
        rates = np.divide(mixed, total, out=rates, where=total > 0)
    counts = np.zeros((len(seen), k + 1, k + 1))
    counts[:, :k] = np.einsum("bpat,pa->btp", rates, known.reshape(k + 1, 2))
    return counts


def pseudo_images(draws: int, rng: np.random.Generator) -> np.ndarray:
    """Pseudo-images for the replicates of `post_stratified_tables`, the estimate's (none) first.

    Where the labeller is nearly always right, the judged images show two or three of the rare events
    (a model right against the label, a shared error) that the estimate hangs on, or none, and
    resampling cannot produce what it has not seen: intervals come out too short. One hit and one miss
    at each level of agreement, each with an exponential weight of mean one image, mend that.

    Args:
        draws: Number of replicates B.
        rng: Source of randomness.

    Returns:
        Shape (1 + B, 2, 2).

    Source:
        In the spirit of Agresti & Coull (1998), Am. Stat. 52:119–126, with the exponential weights
        of Rubin's (1981) Bayesian bootstrap.
    """
    return np.concatenate([np.zeros((1, 2, 2)), rng.exponential(size=(draws, 2, 2))])


def _hit_and_miss(seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How a hit and a miss of each predicted class distribute over the truth: (B, K + 1, 1, K) each."""
    k = seen.shape[-1]
    truth = seen.sum((1, 2))
    # A class that no judged image belongs to cannot be hit: its F1 stays not estimable.
    own = np.vstack([np.eye(k), np.zeros((1, k))])[None, :, None, :] * (truth > 0)[:, None, None, :]
    others = truth[:, None, None, :] * (1 - own)
    return own, _share(others, others.sum(-1, keepdims=True))


def _borrowed_rates(seen: np.ndarray, own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """What a post-stratum without a judged image is taken to hold, shape (B, K + 1, 2, K)."""
    right = np.einsum("bkak->ba", seen[:, :-1])
    size = seen[:, :-1].sum((1, 3))
    pooled = _share(right.sum(1, keepdims=True), size.sum(1, keepdims=True))
    hit = np.where(size > 0, _share(right, size), pooled)[:, None, :, None] * own.sum(-1, keepdims=True)
    return hit * own + (1 - hit) * others


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The part over the whole, 0 where the whole is empty."""
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0)


def ppi_accuracy(
    hits: np.ndarray,
    agrees: np.ndarray,
    split_agrees: np.ndarray,
    weight: np.ndarray | None = None,
    level: float = 0.95,
) -> tuple[float, float, float, float]:
    """Accuracy from a few judged images and the silver agreement of many.

    θ = λ·mean over the split of agreement + weighted mean of (hit − λ·agreement), with the λ in [0, 1]
    that makes the variance least; λ = 0 is the plain weighted accuracy.

    Args:
        hits: Whether the model is right on each judged image, 0 or 1, shape (n,).
        agrees: Whether it agrees with the silver label there, 0 or 1, shape (n,).
        split_agrees: Whether it agrees on each image of the split, 0 or 1, shape (N,).
        weight: Design weights, shape (n,); equal by default.
        level: Confidence level in (0, 1).

    Returns:
        (value, low, high, λ). The interval is the normal one of the source: it ignores strata and
        takes the split for a sample; `truth_table` uses the Rao–Wu bootstrap instead.

    Raises:
        ValueError: If nothing was judged, or lengths differ.

    Source:
        Angelopoulos, Duchi & Zrnic (2023), PPI++, arXiv 2311.01453.
    """
    y, f, split = (np.asarray(x, dtype=float) for x in (hits, agrees, split_agrees))
    n, total = len(y), len(split)
    if n == 0 or total == 0 or len(f) != n:
        raise ValueError(
            f"hits, agrees and the split: {n}, {len(f)} and {total} entries; n, n and N are needed"
        )
    w = np.ones(n) if weight is None else np.asarray(weight, dtype=float) * n / np.sum(weight)
    first = split.mean() + (w * (y - f)).mean()
    spread = np.var(np.concatenate([w * (f - first), split - first]), ddof=1)
    together = np.cov(w * (y - first), w * (f - first), ddof=0)[0, 1]
    lam = float(np.clip(together / ((1 + n / total) * spread), 0, 1)) if np.ptp(f) + np.ptp(split) else 0.0
    value = lam * split.mean() + (w * (y - lam * f)).mean()
    sd = np.sqrt((lam * split).var() / total + (w * (y - lam * f)).var() / n)
    reach = stats.norm.ppf((1 + level) / 2) * sd
    return float(value), float(value - reach), float(value + reach), lam


def metric_bound(
    agreement_silver_truth: np.ndarray | float, agreement_model_silver: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """What two agreements with the silver label say of a model's true accuracy, whatever the errors are.

    Disagreement is a metric (Hamming), so the triangle inequality bounds the third side.

    Args:
        agreement_silver_truth: a = P(silver = truth) in [0, 1].
        agreement_model_silver: g = P(model = silver) in [0, 1].

    Returns:
        (max(0, a + g − 1), 1 − |a − g|), between which P(model = truth) lies.

    Raises:
        ValueError: If an agreement lies outside [0, 1].
    """
    a, g = (np.asarray(x, dtype=float) for x in (agreement_silver_truth, agreement_model_silver))
    for name, x in (("agreement_silver_truth", a), ("agreement_model_silver", g)):
        if ((x < 0) | (x > 1)).any():
            raise ValueError(f"{name} must lie in [0, 1]; received {x[(x < 0) | (x > 1)].flat[0]}")
    return np.maximum(0.0, a + g - 1), 1 - np.abs(a - g)
