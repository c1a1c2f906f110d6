"""Temperature and bias fitted to an audit, and what they do for calibration on images that had no say.

A labeller's logits are divided by a temperature, and each class may get a bias, so that the weighted
likelihood of a person's answers is greatest. Calibration before and after is compared out of fold: each
image is scored by a fit that has not seen it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import optimize, special

from swatchbook.evaluation.association import kish_size
from swatchbook.evaluation.certification import folds
from swatchbook.evaluation.confidence import expected_calibration_error
from swatchbook.evaluation.resample import percentile_interval, rao_wu_weights
from swatchbook.evaluation.weighted_scores import NO_HUMAN_LABEL, with_estimate
from swatchbook.schema import Schema

COLUMNS = ["attribute", "calibration", "statistic", "class", "value", "low", "high", "n", "interval"]
CALIBRATIONS = ("none", "temperature", "temperature and bias")
STATISTICS = ("ece", "nll", "brier", "accuracy")
FEWEST = 20  # scored images below which five folds would each be fitted to next to nothing
_LIMITS = (1e-3, 1e3)


class Calibration(NamedTuple):
    """A fit: softmax(logits / temperature + bias).

    Attributes:
        temperature: Above 0.
        bias: Shape (K,), sums to 0.
    """

    temperature: float
    bias: np.ndarray


def calibration_table(
    logits: Mapping[str, np.ndarray],
    human: Mapping[str, np.ndarray],
    schema: Schema,
    *,
    stratum: np.ndarray,
    weight: np.ndarray,
    draws: int,
    rng: np.random.Generator,
    parts: int = 5,
    refits: int = 100,
    level: float = 0.95,
) -> tuple[pd.DataFrame, dict[str, Calibration]]:
    """Calibration as it is, with a temperature, and with a temperature and a bias a class.

    Args:
        logits: Attribute → what the labeller's softmax is taken of (cosines times their factor), shape
            (n, K), rows of NaN where it saw nothing. Attributes that are not in it are left out.
        human: Attribute → codes, shape (n,); −1 where the person could not tell.
        schema: Gives attributes and classes.
        stratum: Stratum of each judged image, shape (n,).
        weight: How many images of the split each one stands for, shape (n,), positive.
        draws: Rao–Wu replicates B for the scores.
        rng: Source of randomness.
        parts: Folds of the cross-fitting.
        refits: Rao–Wu replicates for the parameters.
        level: Confidence level of the intervals.

    Returns:
        (table, fits). Columns `COLUMNS`. For each of `CALIBRATIONS`: ``ece`` (as in
        `expected_calibration_error`; its intervals are basic ones, because chance keeps
        it above 0), ``nll``, ``brier`` (summed over classes) and ``accuracy`` of the surest class; after
        "none" also each one's change against it, such as ``ece_change`` (paired). Then the parameters of the
        fit to all images, ``temperature`` and, a row a class, ``bias``. Fits: attribute → temperature and
        bias. An attribute with fewer than `FEWEST` scored images has one row and no fit.

    Raises:
        ValueError: If shapes differ or a logit is infinite.

    Source:
        Guo et al. (2017), arXiv 1706.04599, sections 2 and 4.2; cross-fitting as in Chernozhukov et al.
        (2018), Econom. J. 21:C1–C68.
    """
    rows: list[dict] = []
    fits: dict[str, Calibration] = {}
    for a in schema:
        if a.name not in logits:
            continue
        z, judged = np.asarray(logits[a.name], dtype=float), np.asarray(human[a.name])
        if z.shape != (len(stratum), len(a)) or not len(judged) == len(stratum) == len(weight):
            raise ValueError(
                f"{a.name}: logits ({len(stratum)}, {len(a)}), and a code and a weight an image are needed; "
                f"received {z.shape}, {len(judged)} codes and {len(weight)} weights"
            )
        if np.isinf(z).any():
            raise ValueError(
                f"{a.name}: logits must be finite, or NaN where nothing was seen; received infinity"
            )
        used = np.flatnonzero((judged >= 0) & ~np.isnan(z).any(axis=1))
        if len(used) < FEWEST:
            why = f"not estimable: fewer than {FEWEST} scored images" if len(used) else NO_HUMAN_LABEL
            blank = dict.fromkeys(("value", "low", "high"), np.nan)
            row = {"attribute": a.name, "calibration": "none", "statistic": "ece", "class": "all"}
            rows.append(row | blank | {"n": len(used), "interval": why})
            continue
        z, judged, base, where = z[used], judged[used], np.asarray(weight, dtype=float)[used], stratum[used]
        after = cross_fitted(z, judged, base, folds(where, parts, rng))
        replicates = with_estimate(base, rao_wu_weights(where, draws, rng))
        made = [*_score_rows(after, judged, replicates, level)]
        replicates = with_estimate(base, rao_wu_weights(where, refits, rng))
        fits[a.name], more = _parameter_rows(z, judged, replicates, a.classes, level)
        rows += [{"attribute": a.name, "class": "all", "n": len(used)} | row for row in [*made, *more]]
    return pd.DataFrame(rows, columns=COLUMNS), fits


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


def fit_temperature_and_bias(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray, *, spread: float = 1.0
) -> Calibration:
    """The temperature and the class biases that fit the labels best.

    A class that nobody named would get a bias of −∞, so the biases have a normal prior around 0.

    Args:
        logits: Shape (n, K), finite.
        labels: Codes 0…K−1, shape (n,).
        weights: Item weights ≥ 0, shape (n,); only their ratios matter.
        spread: Standard deviation of the prior, in units of a logit.

    Source:
        Guo et al. (2017), arXiv 1706.04599, section 4.2, vector scaling with one scale.
    """
    n, k = logits.shape
    start = max(float((logits - logits.mean(axis=1, keepdims=True)).std()), 1e-6)
    share = weights / weights.sum()
    penalty = 1 / (spread**2 * kish_size(weights))
    scaled, named = logits / start, np.eye(k)[labels]

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        log_p = special.log_softmax(x[0] * scaled + x[1:], axis=1)
        value = -(share * log_p[np.arange(n), labels]).sum() + penalty * (x[1:] ** 2).sum() / 2
        excess = share[:, None] * (np.exp(log_p) - named)
        return value, np.append((excess * scaled).sum(), excess.sum(0) + penalty * x[1:])

    # Convex in (1 / T, bias), so there is one minimum; the start only sets the scale of the search.
    bounds = [(start / _LIMITS[1], start / _LIMITS[0])] + [(None, None)] * k
    found = optimize.minimize(loss, np.append(1.0, np.zeros(k)), jac=True, method="L-BFGS-B", bounds=bounds)
    return Calibration(float(start / found.x[0]), found.x[1:] - found.x[1:].mean())


def calibrated(logits: np.ndarray, fit: Calibration) -> np.ndarray:
    """Probabilities after calibration, shape (n, K); rows of NaN stay so.

    Args:
        logits: Shape (n, K).
        fit: As `fit_temperature_and_bias` or `calibration_table` gives it.
    """
    return special.softmax(logits / fit.temperature + fit.bias, axis=1)


def cross_fitted(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray, fold: np.ndarray
) -> dict[str, np.ndarray]:
    """Probabilities by each of `CALIBRATIONS`, each image's from fits to the other folds; shape (n, K) each.

    Args:
        logits: Shape (n, K), finite.
        labels: Codes 0…K−1, shape (n,).
        weights: Item weights, shape (n,).
        fold: Fold of each image, shape (n,).
    """
    made = {name: special.softmax(logits, axis=1) for name in CALIBRATIONS}
    for number in np.unique(fold):
        out, rest = fold == number, fold != number
        temperature = fit_temperature(logits[rest], labels[rest], weights[rest])
        both = fit_temperature_and_bias(logits[rest], labels[rest], weights[rest])
        made["temperature"][out] = special.softmax(logits[out] / temperature, axis=1)
        made["temperature and bias"][out] = calibrated(logits[out], both)
    return made


def _score_rows(
    after: Mapping[str, np.ndarray], judged: np.ndarray, replicates: np.ndarray, level: float
) -> list[dict]:
    rows = []
    before = {}
    for calibration, p in after.items():
        for statistic in STATISTICS:
            values = _score(statistic, p, judged, replicates)
            rows.append(_row(calibration, statistic, values, level))
            if calibration == "none":
                before[statistic] = values
            else:
                rows.append(_row(calibration, f"{statistic}_change", values - before[statistic], level))
    return rows


def _score(statistic: str, p: np.ndarray, judged: np.ndarray, replicates: np.ndarray) -> np.ndarray:
    if statistic == "ece":
        return expected_calibration_error(p.max(1), p.argmax(1) == judged, replicates)
    each = {
        "nll": -np.log(np.maximum(p[np.arange(len(p)), judged], 1e-300)),
        "brier": ((p - np.eye(p.shape[1])[judged]) ** 2).sum(1),
        "accuracy": (p.argmax(1) == judged).astype(float),
    }[statistic]
    return replicates @ each / replicates.sum(1)


def _row(calibration: str, statistic: str, values: np.ndarray, level: float) -> dict:
    """The estimate comes first in ``values``, the replicates after it."""
    value, (low, high) = values[0], percentile_interval(values[1:], level)
    kind = "percentile"
    if statistic.startswith("ece"):
        low, high, kind = 2 * value - high, 2 * value - low, "basic"
        if statistic == "ece":
            # Where chance alone explains it all, the basic interval would lie below the estimate.
            low, high = max(low, 0.0), max(high, value)
    how = f"{level:.0%} {kind} Rao–Wu bootstrap, B={len(values) - 1}"
    if calibration != "none":
        how += ", cross-fitted"
    ends = {"value": float(value), "low": float(low), "high": float(high)}
    return {"calibration": calibration, "statistic": statistic, "interval": how} | ends


def _parameter_rows(
    z: np.ndarray, judged: np.ndarray, replicates: np.ndarray, classes: tuple[str, ...], level: float
) -> tuple[Calibration, list[dict]]:
    fits = [fit_temperature_and_bias(z, judged, weights) for weights in replicates]
    how = f"{level:.0%} percentile Rao–Wu bootstrap, B={len(replicates) - 1}"
    same = {"calibration": CALIBRATIONS[-1], "interval": how}
    values = np.array([[fit.temperature, *fit.bias] for fit in fits])
    low, high = percentile_interval(values[1:], level)
    names = [("temperature", "all"), *(("bias", c) for c in classes)]
    rows = [
        same | {"statistic": s, "class": c, "value": v, "low": lo, "high": hi}
        for (s, c), v, lo, hi in zip(names, values[0], low, high, strict=True)
    ]
    return fits[0], rows
