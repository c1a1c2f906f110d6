"""Whether a labeller that says 0.8 is right eight times in ten."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from swatchbook.evaluation.intervals import share_row
from swatchbook.evaluation.resample import percentile_interval
from swatchbook.schema import Schema

COLUMNS = [
    "attribute", "reference", "statistic", "labels", "left", "right", "confidence", "threshold", "value",
    "low", "high", "n", "interval",
]  # fmt: skip
GROUPS = ("kept", "abstained")
BINS = 15


def expected_calibration_error(
    confidence: np.ndarray, right: np.ndarray, weights: np.ndarray | None = None, bins: int = BINS
) -> np.ndarray:
    """Mean distance between confidence and accuracy over bins of confidence, by their size.

    Args:
        confidence: In [0, 1], shape (n,).
        right: Whether each label is right, shape (n,).
        weights: Weights of each replicate, shape (B, n); one replicate of ones by default.
        bins: Bins of equal width over [0, 1].

    Returns:
        Shape (B,), in [0, 1]; NaN for a replicate without weight.

    Source:
        Guo et al. (2017), arXiv 1706.04599, section 2.
    """
    weights = np.ones((1, len(confidence))) if weights is None else weights
    # A bin's weight times |confidence − accuracy| is the absolute sum of its excesses.
    excess = np.eye(bins)[_bin_of(confidence, bins)] * (np.asarray(confidence) - right)[:, None]
    with np.errstate(invalid="ignore"):
        return np.abs(weights @ excess).sum(1) / weights.sum(1)


def _bin_of(confidence: np.ndarray, bins: int) -> np.ndarray:
    return np.clip(np.digitize(confidence, _edges(bins)) - 1, 0, bins - 1)


def _edges(bins: int) -> np.ndarray:
    return np.linspace(0, 1, bins + 1).round(12)  # else a threshold of 0.3 lies beside the edge 0.3


def confidence_table(
    labels: Mapping[str, np.ndarray],
    confidence: Mapping[str, np.ndarray],
    truth: Mapping[str, np.ndarray],
    schema: Schema,
    *,
    weights: np.ndarray,
    reference: str = "known truth",
    bins: int = 10,
    level: float = 0.95,
) -> pd.DataFrame:
    """Confidence against being right, where the truth is known.

    Args:
        labels: Attribute → codes of the surest class of each image, shape (n,), whether or not the labeller
            then abstained; −1 where it saw nothing.
        confidence: Attribute → confidence in that class, in [0, 1], shape (n,). An attribute whose
            confidences are all NaN (a rule gave it) is left out.
        truth: Attribute → codes of what is true, shape (n,), −1 where that is not known.
        schema: Gives attributes and, by their thresholds, what was kept and what was abstained from.
        weights: Bootstrap weights of the images, shape (B, n).
        reference: Where the truth is from, in words.
        bins: Bins of equal width over [0, 1].
        level: Confidence level of the intervals.

    Returns:
        Columns `COLUMNS`, over the images whose truth is known. Rows ``share_right`` are the bins: of the n
        images with confidence in [``left``, ``right``), whose mean is ``confidence``, the share that is
        right. A bin that the threshold divides gives two rows, ``labels`` being "abstained" or "kept". Then,
        over all bins: ``accuracy`` of the kept and of the abstained, ``gap``, the mean confidence of the kept
        less their accuracy (above 0: too sure), and ``ece``, the mean over bins of the kept, by their size,
        of the distance between confidence and accuracy. Chance alone keeps ``ece`` above 0, and resampling
        adds about as much again, so its interval is the basic one, which takes that away.

    Raises:
        ValueError: If lengths differ, a confidence lies outside [0, 1], or there is less than one bin.

    Source:
        Guo et al. (2017), arXiv 1706.04599, section 2; basic bootstrap as in Davison & Hinkley (1997), 5.2.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1; received {bins}")
    rows: list[dict] = []
    for attribute in schema:
        code, sure, true = (np.asarray(x[attribute.name]) for x in (labels, confidence, truth))
        if not len(code) == len(sure) == len(true) == np.shape(weights)[1]:
            raise ValueError(
                f"{attribute.name}: labels, confidence, truth and weights must have one entry an image; "
                f"received {len(code)}, {len(sure)}, {len(true)} and {np.shape(weights)[1]}"
            )
        if np.isnan(sure).all():
            continue
        used = np.flatnonzero((code >= 0) & (true >= 0) & ~np.isnan(sure))
        code, sure, true = code[used], sure[used], true[used]
        if len(sure) and not (sure.min() >= 0 and sure.max() <= 1):
            raise ValueError(
                f"{attribute.name}: confidence {sure.min():g} to {sure.max():g}; 0 to 1 is allowed"
            )
        threshold = attribute.threshold or 0.0
        same = {"attribute": attribute.name, "reference": reference, "threshold": threshold}
        edges, place = _edges(bins), _bin_of(sure, bins)
        right, kept = code == true, sure >= threshold
        for k in range(bins):
            for group, inside in zip(GROUPS[::-1], (~kept, kept), strict=True):
                here = inside & (place == k)
                if here.any():
                    edge = {"left": edges[k], "right": edges[k + 1], "confidence": sure[here].mean()}
                    rows.append(same | edge | _share(right[here], "share_right", group, level))
        for group, inside in zip(GROUPS, (kept, ~kept), strict=True):
            rows.append(same | _share(right[inside], "accuracy", group, level))
        rows += [same | row for row in _errors(sure[kept], right[kept], weights[:, used[kept]], bins, level)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _share(right: np.ndarray, statistic: str, group: str, level: float) -> dict:
    return {"statistic": statistic, "labels": group} | share_row(int(right.sum()), len(right), level, "")


def _errors(sure: np.ndarray, right: np.ndarray, weights: np.ndarray, bins: int, level: float) -> list[dict]:
    """The calibration gap and the expected calibration error of the kept labels."""
    rows = [{"statistic": s, "labels": "kept", "n": len(sure), "interval": ""} for s in ("gap", "ece")]
    if not len(sure):
        return [row | {"value": np.nan, "low": np.nan, "high": np.nan} for row in rows]
    drawn = np.vstack([np.ones(len(sure)), weights])
    with np.errstate(invalid="ignore"):
        gap = drawn @ (sure - right) / drawn.sum(1)
    ece = expected_calibration_error(sure, right, drawn, bins)
    low, high = percentile_interval(gap[1:], level)
    b = len(weights)
    rows[0] |= {"value": gap[0], "low": float(low), "high": float(high)}
    rows[0]["interval"] = f"{level:.0%} percentile bootstrap of images, B={b}"
    low, high = percentile_interval(ece[1:], level)
    rows[1] |= {
        "value": ece[0],
        "low": max(2 * ece[0] - float(high), 0.0),
        "high": max(2 * ece[0] - float(low), 0.0),
    }
    rows[1]["interval"] = f"{level:.0%} basic bootstrap of images, B={b}"
    return rows
