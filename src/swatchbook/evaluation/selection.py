"""Coupling against abstention: how V moves when only the confident or agreed rows are kept.

A labeller abstains where an image is hard, and hard images are the atypical ones, so V of what it kept
is too large. The table shows V at every level of strictness with what each level leaves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from swatchbook.evaluation.coupling import (
    REFERENCE,
    Codes,
    check_codes,
    labelled,
    pair_tables,
    unless_constant,
    v_rows,
)
from swatchbook.evaluation.resample import estimate_first
from swatchbook.schema import Schema

COLUMNS = [
    "model", "a", "b", "keep", "threshold", "coverage", "statistic", "value", "low", "high", "n", "interval",
]  # fmt: skip

#: (a, b) → the rows that one level keeps for that pair, boolean, shape (n,).
Kept = Mapping[tuple[str, str], np.ndarray]


def selection_table(
    reference: Codes,
    predictions: Mapping[str, Codes],
    schema: Schema,
    *,
    keep: Mapping[str | float, Kept],
    weights: np.ndarray,
    level: float = 0.95,
) -> pd.DataFrame:
    """V of labels and predictions on the rows that each level keeps.

    Args:
        reference: Attribute → codes, shape (n,), −1 where there is no label.
        predictions: Model → attribute → codes, shape (n,).
        schema: Gives the pairs, classes and their order.
        keep: Level → rows kept for each pair, from `keep_by_confidence` or `keep_by_agreement`. A number
            is a confidence threshold and fills the column `threshold`; a name is a rule.
        weights: Bootstrap weights from `image_weights`, shape (B, n).
        level: Confidence level of the intervals.

    Returns:
        Tidy table: for every model (first ``reference``), pair and level, in the order of `keep`, the
        statistics ``v`` and ``v_corrected``; `coverage` is the share of all rows that the level keeps.
        Where a kept row has no label, V of the labels would be of other rows: NaN, "not estimable".

    Raises:
        ValueError: If a level misses a pair or a mask has another shape.
    """
    n = check_codes(reference, predictions, schema)
    both = estimate_first(weights, n)
    rows: list[dict] = []
    for model, codes in ((REFERENCE, reference), *predictions.items()):
        for a, b in schema.pairs:
            for name, masks in keep.items():
                kept = _mask(masks, a, b, n, name)
                named = isinstance(name, str)
                key = {
                    "model": model, "a": a, "b": b, "keep": name if named else f"confidence ≥ {name:g}",
                    "threshold": math.nan if named else float(name), "coverage": float(kept.mean()),
                }  # fmt: skip
                if (kept & ~labelled(codes, (a, b))).any() or not kept.any():
                    rows += [{**key, "statistic": s, "n": int(kept.sum()), "interval": "not estimable"}
                             for s in ("v", "v_corrected")]  # fmt: skip
                else:
                    counts = pair_tables(codes, a, b, schema, both, kept)
                    counts = unless_constant(counts) if model == REFERENCE else counts
                    rows += [{**key, **row} for row in v_rows(counts, int(kept.sum()), level)]
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def keep_by_confidence(
    confidence: Mapping[str, np.ndarray], thresholds: Sequence[float], schema: Schema
) -> dict[str | float, Kept]:
    """Levels that keep a row where the confidence in both attributes reaches the threshold.

    Args:
        confidence: Attribute → confidence in [0, 1], shape (n,); NaN never reaches a threshold.
        thresholds: Levels, in the order in which they are to be listed.
        schema: Gives the pairs.
    """
    for name in schema.names:
        if name not in confidence:
            raise ValueError(f"confidence: no {name!r}; got {', '.join(confidence) or 'none'}")
    return {
        float(t): {(a, b): (confidence[a] >= t) & (confidence[b] >= t) for a, b in schema.pairs}
        for t in thresholds
    }


def keep_by_agreement(
    reference: Codes, predictions: Mapping[str, Codes], schema: Schema
) -> dict[str | float, Kept]:
    """Levels for labels without confidences: ever more agreement that a row's two labels are right.

    Levels: ``all rows``, ``labelled`` (the labeller kept both), ``any model agrees`` (at least one model
    reproduces both labels) and ``all models agree``. Rows that models get right are the easy ones; that
    is the point, as it stands in for confidence.
    """
    levels: dict[str | float, dict] = {"all rows": {}, "labelled": {}}
    if predictions:
        levels |= {"any model agrees": {}, "all models agree": {}}
    for a, b in schema.pairs:
        has = labelled(reference, (a, b))
        levels["all rows"][a, b], levels["labelled"][a, b] = np.ones(len(has), bool), has
        if predictions:
            agree = [has & (p[a] == reference[a]) & (p[b] == reference[b]) for p in predictions.values()]
            levels["any model agrees"][a, b] = np.logical_or.reduce(agree)
            levels["all models agree"][a, b] = np.logical_and.reduce(agree)
    return levels


def _mask(masks: Kept, a: str, b: str, n: int, name: str | float) -> np.ndarray:
    if (a, b) not in masks:
        raise ValueError(f"keep {name!r}: no mask for ({a}, {b}); got {', '.join(map(str, masks)) or 'none'}")
    mask = np.asarray(masks[a, b])
    if mask.shape != (n,) or mask.dtype != bool:
        raise ValueError(
            f"keep {name!r}: the mask of ({a}, {b}) must be boolean of shape ({n},); "
            f"received {mask.dtype} of shape {mask.shape}"
        )
    return mask
