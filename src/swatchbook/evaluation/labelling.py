"""How good a labeller is where the truth is known: all its labels, those it keeps, and what it must beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from swatchbook.evaluation.confidence import BINS, confidence_table
from swatchbook.evaluation.intervals import share_row
from swatchbook.evaluation.resample import percentile_interval, table, tables
from swatchbook.evaluation.scores import accuracy, macro_f1, majority_baseline, score_table
from swatchbook.schema import Attribute, Schema

Codes = Mapping[str, np.ndarray]

ALL, KEPT, MAJORITY, NEAREST = "all labels", "labels kept", "most frequent class", "nearest named colour"
COLUMNS = ["labels", "attribute", "class", "metric", "value", "low", "high", "n", "interval"]
RISK = ["attribute", "statistic", "threshold", "coverage", "value", "low", "high", "n", "interval"]


def kept(labels: Codes, confidence: Codes, schema: Schema) -> dict[str, np.ndarray]:
    """Labels whose confidence reaches the schema's threshold; −1 in place of the others.

    Args:
        labels: Attribute → codes of the surest class, shape (n,), −1 where the labeller saw nothing.
        confidence: Attribute → confidence in [0, 1], shape (n,), NaN where it saw nothing.
        schema: Gives the thresholds; an attribute without one keeps every label.
    """
    return {
        a.name: np.where(
            np.nan_to_num(confidence[a.name], nan=-1.0) >= (a.threshold or 0.0), labels[a.name], -1
        )
        for a in schema
    }


def labelling_scores(
    truth: Codes,
    labels: Codes,
    confidence: Codes,
    schema: Schema,
    weights: np.ndarray,
    *,
    nearest: np.ndarray | None = None,
    bins: int = BINS,
    level: float = 0.95,
) -> pd.DataFrame:
    """Scores of a labeller and of two baselines against what is true.

    Args:
        truth: Attribute → codes, −1 where it is not known, shape (n,).
        labels: As in `kept`.
        confidence: As in `kept`.
        schema: Gives attributes, classes and thresholds.
        weights: Bootstrap weights of the images, shape (B, n).
        nearest: Codes of ``color`` by the nearest named colour, shape (n,).
        bins: Bins of the calibration error.
        level: Confidence level of the intervals.

    Returns:
        Columns `COLUMNS`, attributes without a known truth left out. ``labels`` says which: `ALL`, sure or
        not; those `KEPT` at the thresholds, scored on the images that have one; and two baselines,
        `MAJORITY` and, for ``color``, `NEAREST`. Metrics: ``accuracy``, ``macro_f1``, ``weighted_f1``, and of
        each class ``f1``, ``precision``, ``recall``. Of all labels also ``ece`` and ``gap`` as in
        `confidence_table`, and ``aurc`` as in `risk_coverage`. Of those kept also ``coverage``, their share,
        and ``accuracy_gain``: their accuracy less that of all labels. ``macro_f1_gain`` is that of all labels
        less that of the nearest named colour. Gains are paired: both sides of a replicate are drawn together.

    Raises:
        ValueError: If lengths differ or a confidence lies outside [0, 1].
    """
    schema = _known(truth, schema)
    if not schema.attributes:
        return pd.DataFrame(columns=COLUMNS)
    how = f"{level:.0%} percentile bootstrap of images"
    some = kept(labels, confidence, schema)
    shared = {"level": level, "how": how}
    seen = {name: np.where(some[name] >= 0, truth[name], -1) for name in schema.names}
    parts = [
        score_table(
            truth, {ALL: labels, MAJORITY: majority_baseline(truth, schema)}, schema, weights, **shared
        ),
        score_table(seen, {KEPT: some}, schema, weights, **shared),
    ]
    color = Schema(schema.name, tuple(a for a in schema if a.name == "color"))
    if nearest is not None and color.attributes:
        parts.append(score_table(truth, {NEAREST: {"color": nearest}}, color, weights, **shared))
    scored = pd.concat(parts).rename(columns={"model": "labels", "head": "attribute"})
    scored = scored[scored["attribute"].isin(schema.names)]
    extra: list[dict] = []
    for a in schema:
        t, all_, few = (np.asarray(codes[a.name]) for codes in (truth, labels, some))
        extra.append(_coverage(a.name, t, few, level))
        extra.append(_gain(a, KEPT, "accuracy_gain", accuracy, t, few, all_, weights, level))
        if nearest is not None and a.name == "color":
            extra.append(_gain(a, ALL, "macro_f1_gain", macro_f1, t, all_, nearest, weights, level))
    sure = reliability_table(truth, labels, confidence, schema, weights, bins=bins, level=level)
    sure = sure[sure["labels"] == "all"].assign(labels=ALL).rename(columns={"statistic": "metric"})
    risk = risk_table(truth, labels, confidence, schema, weights, level=level)
    area = risk[risk["statistic"] == "aurc"].assign(labels=ALL, metric="aurc")
    tail = pd.concat([pd.DataFrame(extra), sure, area]).assign(**{"class": "all"})
    return pd.concat([scored, tail], ignore_index=True)[COLUMNS]


def reliability_table(
    truth: Codes,
    labels: Codes,
    confidence: Codes,
    schema: Schema,
    weights: np.ndarray,
    *,
    reference: str = "known truth",
    bins: int = BINS,
    level: float = 0.95,
) -> pd.DataFrame:
    """Confidence against being right: bins and accuracies by the thresholds, errors over all labels.

    Arguments and columns are those of `labelling_scores` and `confidence_table`; the rows ``gap`` and ``ece``
    are those of all labels (``labels`` is "all"), so that they say how honest confidence is and not where a
    threshold lies.
    """
    schema = _known(truth, schema)
    given = {"weights": weights, "reference": reference, "bins": bins, "level": level}
    by_threshold = confidence_table(labels, confidence, truth, schema, **given)
    whole = confidence_table(labels, confidence, truth, _unsure(schema), **given)
    errors = whole[whole["statistic"].isin(["gap", "ece"])].assign(labels="all")
    return pd.concat(
        [by_threshold[~by_threshold["statistic"].isin(["gap", "ece"])], errors], ignore_index=True
    )


def risk_table(
    truth: Codes,
    labels: Codes,
    confidence: Codes,
    schema: Schema,
    weights: np.ndarray,
    *,
    level: float = 0.95,
) -> pd.DataFrame:
    """Share of wrong labels against the share of images labelled, surest first, of each attribute.

    Arguments as in `labelling_scores`.

    Returns:
        Columns `RISK`: the rows of `risk_coverage`, and a row ``kept`` at the schema's threshold.
    """
    parts = []
    for a in _known(truth, schema):
        used = np.flatnonzero((truth[a.name] >= 0) & (labels[a.name] >= 0))
        sure, right = confidence[a.name][used], labels[a.name][used] == truth[a.name][used]
        if not len(used):
            continue
        curve = risk_coverage(sure, right, weights[:, used], level=level)
        inside = sure >= (a.threshold or 0.0)
        here = share_row(int((~right & inside).sum()), int(inside.sum()), level)
        here |= {"statistic": "kept", "threshold": a.threshold or 0.0, "coverage": inside.mean()}
        parts.append(pd.concat([curve, pd.DataFrame([here])]).assign(attribute=a.name))
    return pd.concat(parts, ignore_index=True)[RISK] if parts else pd.DataFrame(columns=RISK)


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
        Columns `RISK` but for the attribute. Rows "risk": the error rate among items whose confidence is at
        least ``threshold``, at increasing coverage, n items accepted; the band is pointwise, at that
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
    return frame.assign(interval=f"{level:.0%} percentile bootstrap, B={len(weights)}")[RISK[1:]]


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


def _known(truth: Codes, schema: Schema) -> Schema:
    """The attributes of which anything is known."""
    return Schema(schema.name, tuple(a for a in schema if (np.asarray(truth[a.name]) >= 0).any()))


def _unsure(schema: Schema) -> Schema:
    """The schema with every label kept."""
    return Schema(schema.name, tuple(replace(a, threshold=0.0) for a in schema))


def _coverage(name: str, truth: np.ndarray, some: np.ndarray, level: float) -> dict:
    known = truth >= 0
    share = share_row(int((some[known] >= 0).sum()), int(known.sum()), level)
    return {"labels": KEPT, "attribute": name, "metric": "coverage", **share}


def _gain(
    a: Attribute,
    whose: str,
    metric: str,
    score: Callable[[np.ndarray], np.ndarray],
    truth: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    weights: np.ndarray,
    level: float,
) -> dict:
    """A score of the first labels less that of the second, both of a replicate drawn together."""
    shape = (len(a), len(a))
    gain = score(table(truth, first, shape)) - score(table(truth, second, shape))
    drawn = score(tables(truth, first, shape, weights)) - score(tables(truth, second, shape, weights))
    low, high = percentile_interval(drawn, level)
    known = not np.isnan(gain)
    how = f"paired {level:.0%} percentile bootstrap of images, B={len(weights)}" if known else "not estimable"
    ends = {"low": float(low), "high": float(high)} if known else {"low": np.nan, "high": np.nan}
    n = int(((truth >= 0) & (first >= 0)).sum())
    row = {"labels": whose, "attribute": a.name, "metric": metric, "value": float(gain)}
    return row | ends | {"n": n, "interval": how}
