"""Abstention: risk against coverage, thresholds that keep a promise, and temperature.

A threshold chosen as the largest coverage whose *observed* risk is at most α breaks α on new data
about half the time. Learn-then-test asks for evidence instead, and pays for it in coverage. Choose a
threshold and score it on disjoint items.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

from swatchbook.evaluation.resample import percentile_interval

COLUMNS = ["statistic", "threshold", "coverage", "value", "low", "high", "n", "interval"]


class Threshold(NamedTuple):
    """A chosen threshold: accept an item if its confidence is at least `value`.

    Attributes:
        value: The threshold; infinite where nothing can be accepted.
        coverage: Share of the calibration items accepted, in [0, 1].
        accepted: Number of them.
        errors: Number of errors among them.
    """

    value: float
    coverage: float
    accepted: int
    errors: int


NOTHING = Threshold(float("inf"), 0.0, 0, 0)


def risk_coverage(
    confidence: np.ndarray,
    correct: np.ndarray,
    weights: np.ndarray,
    *,
    level: float = 0.95,
    points: int = 100,
) -> pd.DataFrame:
    """Selective risk at every coverage, and the area under the curve, with a bootstrap band.

    Args:
        confidence: Shape (n,), any finite numbers; higher is surer.
        correct: Whether each item is right, 0 or 1, shape (n,).
        weights: Bootstrap weights, shape (B, n), as `image_weights` or `rao_wu_weights` give them.
        level: Confidence level in (0, 1).
        points: Number of coverages at most.

    Returns:
        Columns `COLUMNS`. Rows "risk": the error rate among items whose confidence is at least
        ``threshold``, at increasing coverage, n items accepted; the band is pointwise, at that
        threshold. Last row "aurc": the mean of the risk over coverage (0 is best).

    Raises:
        ValueError: If nothing is given, lengths differ, or a confidence is not a number.

    Source:
        El-Yaniv & Wiener (2010), JMLR 11:1605–1641; AURC as in Geifman et al. (2019), ICLR.
    """
    confidence, correct = _checked(confidence, correct)
    n = len(confidence)
    if np.ndim(weights) != 2 or np.shape(weights)[1] != n:
        raise ValueError(f"weights must have shape (B, {n}); received {np.shape(weights)}")
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    replicates = np.vstack([np.ones(n), np.asarray(weights, dtype=float)])[:, order]
    kept = np.cumsum(replicates, axis=1)
    wrong = np.cumsum(replicates * ~correct[order], axis=1)
    # Items of equal confidence are accepted together, so only the last of them is a choice.
    last = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    risk = np.full((len(replicates), len(last)), np.nan)
    np.divide(wrong[:, last], kept[:, last], out=risk, where=kept[:, last] > 0)
    mass = np.diff(kept[:, last], axis=1, prepend=0)
    area = np.where(mass > 0, risk * mass, 0).sum(1) / kept[:, -1]
    shown = np.unique(np.linspace(0, len(last) - 1, min(points, len(last))).round().astype(int))
    low, high = percentile_interval(risk[1:, shown], level)
    frame = pd.DataFrame(
        {
            "statistic": "risk",
            "threshold": ranked[last[shown]],
            "coverage": (last[shown] + 1) / n,
            "value": risk[0, shown],
            "low": low,
            "high": high,
            "n": last[shown] + 1,
        }
    )
    low, high = percentile_interval(area[1:], level)
    frame.loc[len(frame)] = ["aurc", np.nan, 1.0, area[0], float(low), float(high), n]
    return frame.assign(interval=f"{level:.0%} percentile bootstrap, B={len(weights)}")[COLUMNS]


def learn_then_test(
    confidence: np.ndarray,
    correct: np.ndarray,
    alpha: float,
    delta: float,
    start_coverage: float = 0.3,
    step: float = 0.05,
) -> Threshold:
    """The loosest threshold whose selective risk is at most α with probability at least 1 − δ.

    Thresholds are tested from strict to loose, in an order fixed beforehand by coverage; each tests
    "the risk is above α" by the exact binomial tail p = P(Bin(accepted, α) ≤ errors), and the first
    p > δ ends the walk. Starting at the strictest tail would end it at once for lack of items.

    Args:
        confidence: Shape (n,), a simple random sample of what the promise is for; weighted samples
            need another test.
        correct: Whether each item is right, 0 or 1, shape (n,).
        alpha: Highest risk allowed among accepted items, in (0, 1).
        delta: Probability with which the promise may fail, in (0, 1).
        start_coverage: Share of items that the strictest threshold accepts, in (0, 1].
        step: Coverage between one threshold and the next; finer steps stop earlier by bad luck.

    Returns:
        The threshold, or `NOTHING` (an infinite one) where not even the strictest can be certified.

    Raises:
        ValueError: If a parameter is out of range, nothing is given, or lengths differ.

    Source:
        Angelopoulos, Bates, Candès, Jordan & Lei (2021), Learn then Test, arXiv 2110.01052.
    """
    for name, x in (("alpha", alpha), ("delta", delta)):
        if not 0 < x < 1:
            raise ValueError(f"{name} must lie between 0 and 1; received {x}")
    for name, x in (("start_coverage", start_coverage), ("step", step)):
        if not 0 < x <= 1:
            raise ValueError(f"{name} must lie in (0, 1]; received {x}")
    steps = int(np.floor((1 - start_coverage) / step + 1e-9))
    coverages = np.append(start_coverage + step * np.arange(steps + 1), 1.0)
    choices = _choices(confidence, correct)
    wanted = np.ceil(np.unique(coverages.round(9)) * len(confidence) - 1e-9)
    chosen = NOTHING
    for choice in choices.iloc[np.searchsorted(choices["accepted"], wanted)].itertuples(index=False):
        if stats.binom.cdf(choice.errors, choice.accepted, alpha) > delta:
            break
        chosen = Threshold(*choice)
    return chosen


def largest_coverage_naive(confidence: np.ndarray, correct: np.ndarray, alpha: float) -> Threshold:
    """The loosest threshold whose *observed* risk is at most α: no promise, only for contrast.

    Args:
        confidence: Shape (n,).
        correct: Whether each item is right, 0 or 1, shape (n,).
        alpha: Highest observed risk allowed, in [0, 1].

    Returns:
        The threshold, or `NOTHING`.
    """
    choices = _choices(confidence, correct)
    good = choices[choices["errors"] <= alpha * choices["accepted"]]
    return Threshold(*next(good.iloc[::-1].itertuples(index=False))) if len(good) else NOTHING


def fit_temperature(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The temperature T that makes softmax(logits / T) fit the labels best.

    Args:
        logits: Shape (n, K), finite.
        labels: Codes 0…K−1, −1 is left out; shape (n,).
        weights: Item weights ≥ 0, shape (n,); equal by default.

    Returns:
        T in [1e−3, 1e3], the least weighted negative log-likelihood.

    Raises:
        ValueError: If no item is labelled, or shapes differ, or a logit is not a number.

    Source:
        Guo et al. (2017), On Calibration of Modern Neural Networks, arXiv 1706.04599.
    """
    logits, labels = np.asarray(logits, dtype=float), np.asarray(labels)
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, dtype=float)
    if logits.ndim != 2 or not len(logits) == len(labels) == len(weights):
        raise ValueError(
            f"logits (n, K), labels (n,) and weights (n,) are needed; received {logits.shape}, "
            f"{labels.shape}, {weights.shape}"
        )
    if not np.isfinite(logits).all():
        raise ValueError("logits must be finite; received NaN or infinity")
    used = np.flatnonzero((labels >= 0) & (weights > 0))
    if not used.size:
        raise ValueError("labels: none given; at least one item needs a label and a positive weight")
    logits, labels, weights = logits[used], labels[used], weights[used] / weights[used].sum()

    def loss(log_temperature: float) -> float:
        log_p = special.log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-(weights * log_p[np.arange(len(labels)), labels]).sum())

    # In log T the loss has one minimum, but far from it the loss is flat; a coarse grid finds the valley.
    grid = np.linspace(np.log(1e-3), np.log(1e3), 61)
    best = int(np.argmin([loss(x) for x in grid]))
    bounds = (grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])
    return float(np.exp(optimize.minimize_scalar(loss, bounds=bounds, method="bounded").x))


def _checked(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    confidence, correct = np.asarray(confidence, dtype=float), np.asarray(correct)
    if confidence.ndim != 1 or confidence.shape != correct.shape or not len(confidence):
        raise ValueError(
            f"confidence and correct must have one entry an item, at least one; received "
            f"{confidence.shape} and {correct.shape}"
        )
    if not np.isfinite(confidence).all():
        raise ValueError("confidence must be finite; received NaN or infinity")
    if not np.isin(correct, (0, 1)).all():
        raise ValueError("correct must be 0 or 1 for each item")
    return confidence, correct.astype(bool)


def _choices(confidence: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    """Every threshold that can be chosen, strict to loose, in the fields of `Threshold`."""
    confidence, correct = _checked(confidence, correct)
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    last = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    errors = np.cumsum(~correct[order])[last]
    columns = (ranked[last], (last + 1) / len(ranked), last + 1, errors)
    return pd.DataFrame(dict(zip(Threshold._fields, columns, strict=True)))
