"""Which cells make a pair of attributes go together, and how a model shifts their weight."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from swatchbook.evaluation.contingency import adjusted_residuals, chi2_shares, expected, npmi
from swatchbook.evaluation.coupling import REFERENCE, Codes, check_codes, labelled, pair_tables
from swatchbook.evaluation.resample import estimate_first, holm, percentile_interval, percentile_words
from swatchbook.schema import Schema

COLUMNS = [
    "model", "a", "b", "class_a", "class_b", "count", "expected", "residual", "p_holm", "npmi", "share",
    "low", "high", "change", "change_low", "change_high", "n", "interval",
]  # fmt: skip


def cell_table(
    reference: Codes,
    predictions: Mapping[str, Codes],
    schema: Schema,
    *,
    weights: np.ndarray,
    level: float = 0.95,
) -> pd.DataFrame:
    """Every cell of every pair: count, residual, NPMI and share of χ², and the change of share.

    Rows are those where the reference (and the model) has both labels.

    Args:
        reference: Attribute → codes, shape (n,), −1 where there is no label.
        predictions: Model → attribute → codes, shape (n,).
        schema: Gives the attributes, classes and their order.
        weights: Bootstrap weights from `image_weights`, shape (B, n).
        level: Confidence level of the intervals.

    Returns:
        One row a model (first ``reference``), pair and cell. `residual` is the adjusted residual and
        `p_holm` its two-sided normal p, Holm over the pair's cells; `npmi` is NaN below 5 expected.
        `share` of χ² has the interval `low, high`; `change` = share − the reference's share has the
        paired `change_low, change_high`. NaN where a class is empty or the table shows no association.
    """
    both = estimate_first(weights, check_codes(reference, predictions, schema))
    frames = []
    for model, codes in ((REFERENCE, reference), *predictions.items()):
        for a, b in schema.pairs:
            keep = labelled(reference, (a, b)) & labelled(codes, (a, b))
            counts = pair_tables(codes, a, b, schema, both, keep)
            truth = counts if model == REFERENCE else pair_tables(reference, a, b, schema, both, keep)
            names = pd.MultiIndex.from_product([schema[a].classes, schema[b].classes])
            frames.append(_cells(counts, truth, model != REFERENCE, level).assign(
                model=model, a=a, b=b, class_a=names.get_level_values(0), class_b=names.get_level_values(1),
                n=int(counts[0].sum()), interval=percentile_words(len(weights), level),
            ))  # fmt: skip
    frame = pd.concat(frames, ignore_index=True)
    frame.loc[frame["share"].isna(), "interval"] = "not estimable"
    return frame[COLUMNS]


def _cells(counts: np.ndarray, truth: np.ndarray, compared: bool, level: float) -> pd.DataFrame:
    residual, shares = adjusted_residuals(counts[0]), chi2_shares(counts)
    change = shares - chi2_shares(truth) if compared else np.full(shares.shape, np.nan)
    low, high = percentile_interval(shares[1:], level)
    change_low, change_high = percentile_interval(change[1:], level)
    columns = {
        "count": counts[0], "expected": expected(counts[0]), "residual": residual,
        "p_holm": holm(2 * stats.norm.sf(np.abs(residual)).ravel()), "npmi": npmi(counts[0]),
        "share": shares[0], "low": low, "high": high, "change": change[0],
        "change_low": change_low, "change_high": change_high,
    }  # fmt: skip
    frame = pd.DataFrame({name: np.ravel(values) for name, values in columns.items()})
    for share, ends in (("share", ["low", "high"]), ("change", ["change_low", "change_high"])):
        frame.loc[frame[share].isna(), ends] = np.nan
    return frame.astype({"count": int})
