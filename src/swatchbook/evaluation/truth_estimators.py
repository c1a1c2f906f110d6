"""Estimators of a model's true scores from a few judged images and the silver labels of many.

How many images of the split a model gives each class, and on how many it agrees with the silver label, is
known. A few judged images tell how often it is right at each of the two levels of agreement.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from swatchbook.evaluation.resample import percentile_interval
from swatchbook.evaluation.survey import error_rate, inverse, ratio_influence

#: Judged images of mean weight that the pooled hit rate counts for in each predicted class.
POOLED = 0.5


class Levels(NamedTuple):
    """Scores as sums over the levels of agreement (disagreement, agreement), each with one error rate.

    Attributes:
        value: The scores, shape (S,).
        weight: What a level takes from a score if all of it is wrong, shape (S, 2).
        rate: Its error rate, shape (S, 2).
        size: Judged images of a simple random sample that would know the rate as well, shape (S, 2).
    """

    value: np.ndarray
    weight: np.ndarray
    rate: np.ndarray
    size: np.ndarray

    def draws(self, draws: int, rng: np.random.Generator) -> np.ndarray:
        """The scores' posterior with Jeffreys' prior on each error rate: shape (B, S).

        Source:
            Brown, Cai & DasGupta (2001), Stat. Sci. 16:101–133, for the prior's intervals near 0 and 1.
        """
        a, b = self.rate * self.size + 0.5, (1 - self.rate) * self.size + 0.5
        rates = rng.beta(a, b, size=(draws, *a.shape))
        return self.value + (self.weight * (self.rate - rates)).sum(-1)

    def interval(self, draws: int, rng: np.random.Generator, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the equal-tailed interval, at least as far out as the value, each of shape (S,)."""
        low, high = percentile_interval(np.clip(self.draws(draws, rng), 0, 1), level)
        return np.minimum(low, self.value), np.maximum(high, self.value)


class PostStratified:
    """Judged images by predicted class and level of agreement, and how many of the split lie there.

    Args:
        human: Codes of the judged images, −1 is left out (taken to be like the other images of its
            post-stratum); shape (n,).
        predicted: Codes, −1 for no label; shape (n,).
        agrees: Whether the prediction equals the silver label, boolean of shape (n,).
        split_predicted: Codes of the whole split, shape (N,).
        split_agrees: Boolean of shape (N,).
        k: Number of classes K.
        weight: Weights of the judged images, shape (n,).
        stratum: Stratum of each judged image, 0…H−1, shape (n,).

    Attributes:
        given_share: Share of each level's images of the split that have a label, shape (2,).
        accuracy: `Levels` of the accuracy. Classes are collapsed: at each level one hit rate.
        counts: Estimated human × predicted counts of the whole split, shape (K + 1, K + 1), the last class
            being "no label"; sums to N. In each predicted class the hit rate of its judged images is shrunk
            to the pooled one of the level by `POOLED` images, and misses fall as the judged truth does.

    Raises:
        ValueError: If the split holds fewer images of a post-stratum than were judged.

    Source:
        Holt & Smith (1979), JRSS A 142:33–46; small post-strata collapsed and shrunk as in Little (1993),
        JASA 88:1001–1012.
    """

    def __init__(
        self,
        human: np.ndarray,
        predicted: np.ndarray,
        agrees: np.ndarray,
        split_predicted: np.ndarray,
        split_agrees: np.ndarray,
        k: int,
        weight: np.ndarray,
        stratum: np.ndarray,
    ) -> None:
        cell, split_cell = (
            np.where(p < 0, k, p) + (k + 1) * np.asarray(a, dtype=np.int64)
            for p, a in ((predicted, agrees), (split_predicted, split_agrees))
        )
        known = np.bincount(split_cell, minlength=2 * k + 2)
        if (np.bincount(cell, minlength=2 * k + 2) > known).any():
            raise ValueError(
                "population must hold every image of the split, the judged ones among them; "
                f"received {len(split_predicted)} images, fewer of a predicted class than were judged"
            )
        seen = np.flatnonzero(human >= 0)
        self.k, self.known = k, known.reshape(2, k + 1).astype(float)
        self.judged = np.bincount(cell[seen], minlength=2 * k + 2).reshape(2, k + 1)
        self.level, self.predicted = np.divmod(cell[seen], k + 1)
        self.truth, self.weight, self.stratum = human[seen], weight[seen], stratum[seen]
        self.wrong = self.truth != self.predicted
        self.given = self.predicted < k
        self.in_level = (self.level[:, None] == (0, 1)) & self.given[:, None]
        self.rates = self._rates()
        self.given_share = self.known[:, :k].sum(1) * inverse(self.known.sum(1))
        self.accuracy = self._accuracy()
        self.counts = np.zeros((k + 1, k + 1))
        self.counts[:k] = np.einsum("ap,apt->tp", self.known, self.rates)

    def _level_rates(self) -> np.ndarray:
        """Hit rate of each level; of both together where a level has no judged image; ½ without any."""
        hits, all_of = (self.weight * x @ self.in_level for x in (~self.wrong, self.given))
        pooled = hits.sum() / all_of.sum() if all_of.sum() > 0 else 0.5
        return np.where(all_of > 0, hits * inverse(all_of), pooled)

    def _rates(self) -> np.ndarray:
        """How the truth of each post-stratum distributes, shape (2, K + 1, K)."""
        k, hit = self.k, self._level_rates()
        seen = np.zeros((2, k + 1, k))
        np.add.at(seen, (self.level, self.predicted, self.truth), self.weight)
        truth = seen.sum((0, 1))
        truth = truth / truth.sum() if truth.sum() > 0 else np.full(k, 1 / k)
        others = truth * (1 - np.eye(k))
        others = np.where(others.sum(1, keepdims=True) > 0, others, 1 - np.eye(k))
        others = others * inverse(others.sum(1, keepdims=True))
        prior = np.empty((2, k + 1, k))
        prior[:, :k] = hit[:, None, None] * np.eye(k) + (1 - hit)[:, None, None] * others
        prior[:, k] = truth
        # A post-stratum that was judged as a whole needs no pooling.
        unjudged = 1 - self.judged * inverse(self.known)
        self.unit = POOLED * (self.weight.mean() if len(self.weight) else 1.0) * unjudged
        self.size = seen.sum(-1) + self.unit
        return (seen + self.unit[..., None] * prior) * inverse(self.size)[..., None]

    def _accuracy(self) -> Levels:
        weight = (self.known[:, : self.k] / self.known.sum()).sum(1)
        rate = 1 - self._level_rates()
        potential, wrong = self.weight[:, None] * self.in_level, self.wrong.astype(float)
        size = error_rate(potential, wrong, self.stratum, ratio_influence(potential, wrong)).above
        return Levels(np.array([weight @ (1 - rate)]), weight[None], rate[None], size[None])

    def scores(self, share: np.ndarray, value: np.ndarray) -> Levels:
        """`Levels` of scores that lose by an error what it takes from the two classes concerned.

        A post-stratum rests on its own judged images and, for the share that the pooled rate has in it, on
        all of its level; how far its own rate may lie from the pooled one adds to the variance. Rare classes
        are often harder in the same way, so that the post-strata that nobody judged lie apart together.

        Args:
            share: What an error takes of each score as (true or predicted) class, shape (S, K + 1).
            value: The scores, shape (S,).
        """
        k, by_class = self.k, share[:, : self.k]
        cost = by_class[:, None, :] + share[:, :, None]  # (S, predicted, true)
        expected = self.known[..., None] * self.rates
        of_cell = np.einsum("apt,spt->sap", expected, cost)[:, :, :k]
        wrong = np.einsum("apt,spt->sap", expected * (1 - np.eye(k + 1)[:, :k]), cost)[:, :, :k]
        weight = of_cell.sum(-1)
        rate = wrong.sum(-1) * inverse(weight)
        part = of_cell * inverse(weight)[..., None]
        borrowed = (self.unit * inverse(self.size))[:, :k]
        here = np.minimum(self.predicted, k - 1)
        level_weight = self.weight @ self.in_level
        own = part[:, self.level, here] * self.weight / self.size[self.level, here]
        lent = (part * borrowed).sum(-1)[:, self.level] * self.weight * inverse(level_weight)[self.level]
        items = ((own + lent) ** 2) @ self.in_level
        whole, unseen = part * borrowed, self.judged[:, :k] == 0
        apart = ((whole**2 * ~unseen).sum(-1) + (whole * unseen).sum(-1) ** 2) / (POOLED + 1)
        alone = np.where(level_weight > 0, 0.0, (part**2).sum(-1))
        return Levels(value, weight, rate, inverse(items + apart + alone))


class Ppi(NamedTuple):
    """Prediction-powered accuracy.

    Attributes:
        value: In [0, 1] or, by chance, a little outside.
        low: Lower end of the normal interval of the source.
        high: Upper end.
        lam: The λ in [0, 1] that makes the variance least.
    """

    value: float
    low: float
    high: float
    lam: float


def ppi_accuracy(
    hits: np.ndarray,
    agrees: np.ndarray,
    split_agrees: np.ndarray,
    weight: np.ndarray | None = None,
    z: float = 1.959963984540054,
) -> Ppi:
    """Accuracy from a few judged images and the silver agreement of many.

    θ = λ·mean over the split of agreement + weighted mean of (hit − λ·agreement), with the λ in [0, 1]
    that makes the variance least; λ = 0 is the plain weighted accuracy.

    Args:
        hits: Whether the model is right on each judged image, 0 or 1, shape (n,).
        agrees: Whether it agrees with the silver label there, 0 or 1, shape (n,).
        split_agrees: Whether it agrees on each image of the split, 0 or 1, shape (N,).
        weight: Design weights, shape (n,); equal by default.
        z: Half-width of the interval in standard errors.

    Returns:
        The estimate; its interval ignores strata and takes the split for a sample.

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
    value = float(lam * split.mean() + (w * (y - lam * f)).mean())
    sd = float(np.sqrt((lam * split).var() / total + (w * (y - lam * f)).var() / n))
    return Ppi(value, value - z * sd, value + z * sd, lam)


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
