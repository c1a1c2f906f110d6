"""Coupling of attributes: how strongly labels go together, and what a model adds to that.

Every number of a model stands beside the same number of its reference on the same rows, with one set
of bootstrap weights, so that all differences are paired.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from swatchbook.evaluation.association import (
    classes_in_use,
    cramers_v,
    permutation_p,
    phi2,
    provable_margin,
    v_interval,
    verdict,
)
from swatchbook.evaluation.contingency import rake
from swatchbook.evaluation.independent_errors import confusion_null, null_p, v_ref
from swatchbook.evaluation.resample import estimate_first, holm, normal_interval, normal_words, spread, tables
from swatchbook.schema import Schema

REFERENCE = "reference"
COLUMNS = [
    "model", "a", "b", "rows", "statistic", "value", "low", "high", "n", "interval", "verdict",
]  # fmt: skip

Codes = Mapping[str, np.ndarray]


def coupling_table(
    reference: Codes,
    predictions: Mapping[str, Codes],
    schema: Schema,
    *,
    weights: np.ndarray,
    rng: np.random.Generator,
    level: float = 0.95,
    margin: float = 0.03,
    permutations: int = 9999,
    null_draws: int = 2000,
) -> pd.DataFrame:
    """Cramér's V of every pair of attributes, in the reference and in the predictions of every model.

    Rows are ``identical`` (the reference has both labels; the same rows for reference and model), ``all``
    (predictions on every row), ``listwise`` (the reference has all labels) or ``mixed`` (the model on all
    rows against the reference on its own, as is often printed).

    Statistics: ``v`` is the plug-in, ``v_corrected`` Bergsma's; both carry the interval of the true V.
    ``delta_v`` and ``delta_v_corrected`` are model − reference, ``delta_v_corrected_90`` the 90 % interval
    behind the verdict, ``provable_margin`` its larger end, ``plain_rule`` 1 where the plug-in |ΔV| ≤ margin.
    ``v_ref`` is V under independent errors and ``excess`` = V − V_ref, each also ``_corrected``;
    ``null_v`` and ``null_p`` come from redrawing each head from its own confusion matrix. ``v_rake`` is V
    of the predictions at the reference's margins, which splits ΔV into ``marginal_shift`` = V − V_rake
    and ``odds_ratio_change`` = V_rake − V of the reference. ``mean_abs_cell_change`` is the mean change
    of a cell's share of the table, which opposite changes cannot hide.

    The pair ``all, all`` is the mean over pairs. There the corrected V of a pair counts with its sign
    (`cramers_v` with ``truncate=False``), because cutting each at 0 first would lift the mean.

    Args:
        reference: Attribute → codes, shape (n,), −1 where there is no label.
        predictions: Model → attribute → codes, shape (n,). Rows without a prediction are left out of
            that model's numbers and of the reference that it is held against.
        schema: Gives the attributes, classes and their order.
        weights: Bootstrap weights from `image_weights`, shape (B, n).
        rng: Source of randomness for permutations and redraws.
        level: Confidence level of the intervals.
        margin: Largest |ΔV| that counts as none.
        permutations: Shuffles behind each permutation p.
        null_draws: Redraws behind each confusion-matched null.

    Returns:
        Tidy table with columns `model, a, b, rows, statistic, value, low, high, n, interval,
        verdict`; model ``reference`` is the reference itself.

    Raises:
        ValueError: If codes differ in length or miss an attribute, a model is called ``reference``,
            weights have another shape.
    """
    both = estimate_first(weights, check_codes(reference, predictions, schema))
    run = _Run(schema, both, rng, level, margin, permutations, null_draws)
    found = [
        row for rows in ("identical", "listwise") for row in _shared_rows(reference, predictions, rows, run)
    ]
    found += _all_rows(reference, predictions, run)
    found.append({"model": REFERENCE, "a": "all", "b": "all", "rows": "identical", "statistic": "margin",
                  "value": margin, "n": weights.shape[1], "interval": "chosen beforehand"})  # fmt: skip
    return _finish(found, [REFERENCE, *predictions], schema)


@dataclass(frozen=True)
class _Run:
    """What every part of one table needs; `both` are the weights from `estimate_first`."""

    schema: Schema
    both: np.ndarray
    rng: np.random.Generator
    level: float
    margin: float
    permutations: int
    null_draws: int

    @property
    def how(self) -> str:
        return normal_words(len(self.both) - 1, self.level)


def check_codes(reference: Codes, predictions: Mapping[str, Codes], schema: Schema) -> int:
    """The common number of rows; refuses missing attributes, unequal lengths and codes out of range."""
    if REFERENCE in predictions:
        raise ValueError(f"predictions: a model cannot be called {REFERENCE!r}; rename it")
    n = len(reference[schema.names[0]]) if schema.names[0] in reference else 0
    for who, codes in ((REFERENCE, reference), *predictions.items()):
        for attribute in schema:
            if attribute.name not in codes:
                raise ValueError(f"{who}: no codes of {attribute.name!r}; got {', '.join(codes) or 'none'}")
            column = np.asarray(codes[attribute.name])
            if column.shape != (n,):
                raise ValueError(f"{who}: {attribute.name} must have shape ({n},); received {column.shape}")
            if n and not (column.min() >= -1 and column.max() < len(attribute)):
                raise ValueError(
                    f"{who}: {attribute.name} must hold −1 … {len(attribute) - 1}; "
                    f"received {column.min()} … {column.max()}"
                )
    if n == 0:
        raise ValueError("reference: no rows")
    return n


def labelled(codes: Codes, names: tuple[str, ...]) -> np.ndarray:
    """Rows that have a label of every named attribute: boolean array of shape (n,)."""
    return np.logical_and.reduce([codes[name] >= 0 for name in names])


def pair_tables(
    codes: Codes, a: str, b: str, schema: Schema, both: np.ndarray, keep: np.ndarray
) -> np.ndarray:
    """Tables of a pair on the kept rows, shape (1 + B, K_a, K_b): the estimate's, then each replicate's."""
    return tables(np.where(keep, codes[a], -1), codes[b], (len(schema[a]), len(schema[b])), both)


def unless_constant(counts: np.ndarray) -> np.ndarray:
    """The tables as they are, or all NaN where an attribute of the first has a single class in use.

    For the reference only: labels that do not vary cannot show how they go together, whereas a model
    that gives one answer has V = 0 and must answer for it.
    """
    return counts if min(classes_in_use(counts[0])) > 1 else np.full_like(counts, np.nan)


def v_rows(counts: np.ndarray, n: int, level: float) -> list[dict]:
    """Rows ``v`` and ``v_corrected`` of one pair; `counts` are `pair_tables` of `n` items."""
    corrected = cramers_v(counts)
    low, high, rule = v_interval(counts[0], spread(corrected), level)
    if rule == "corrected V":
        rule += " " + normal_words(len(counts) - 1, level)
    shared = {"low": low, "high": high, "n": n, "interval": rule or "not estimable"}
    plain = float(cramers_v(counts[0], correct=False))
    return [
        {"statistic": "v", "value": plain, **shared},
        {"statistic": "v_corrected", "value": float(corrected[0]), **shared},
    ]


def chi2_rows(table: np.ndarray, n: int) -> list[dict]:
    """Rows ``chi2``, ``dof`` and ``p_value``: Pearson's test of independence over the classes in use."""
    dof = int(np.prod([used - 1 for used in classes_in_use(table)]))
    chi2 = float(phi2(table)) * float(table.sum())
    values = {"chi2": chi2, "dof": dof, "p_value": float(stats.chi2.sf(chi2, dof)) if dof else np.nan}
    return [{"statistic": s, "value": v, "n": n, "interval": "Pearson's χ² test"} for s, v in values.items()]


def _shared_rows(reference: Codes, predictions: Mapping[str, Codes], rows: str, run: _Run) -> list[dict]:
    """Everything on rows that the reference and a model share, and the means over pairs."""
    found: list[dict] = []
    for model, codes in ((REFERENCE, reference), *predictions.items()):
        p_values, plain, corrected, used = [], [], [], np.zeros(run.both.shape[1], dtype=bool)
        for a, b in run.schema.pairs:
            needed = (a, b) if rows == "identical" else run.schema.names
            keep = labelled(reference, needed) & labelled(codes, needed)
            used, n = used | keep, int(keep.sum())
            truth = unless_constant(pair_tables(reference, a, b, run.schema, run.both, keep))
            counts = truth if model == REFERENCE else pair_tables(codes, a, b, run.schema, run.both, keep)
            found_here = v_rows(counts, n, run.level) + chi2_rows(counts[0], n)
            plain.append([cramers_v(t, correct=False) for t in (counts, truth)])
            # Cutting each pair at 0 before the mean over pairs would lift the mean.
            corrected.append([cramers_v(t, truncate=False) for t in (counts, truth)])
            if rows == "identical":
                p_values.append(permutation_p(counts[0], run.permutations, run.rng))
                found_here += [{"statistic": s, "n": n} for s in ("permutation_p", "permutation_p_holm")]
            if model != REFERENCE:
                found_here += _delta_rows(plain[-1], [np.maximum(v, 0) for v in corrected[-1]], n, run)
            if model != REFERENCE and rows == "identical":
                confusions = [
                    tables(np.where(keep, reference[x], -1), codes[x], (len(run.schema[x]),) * 2, run.both)
                    for x in (a, b)
                ]
                found_here += _split_rows(counts, truth, *confusions, n, run)
            found += [{"model": model, "a": a, "b": b, "rows": rows, **row} for row in found_here]
        _fill_p(found, model, np.array(p_values))
        mean_plain, mean_corrected = np.mean(plain, axis=0), np.mean(corrected, axis=0)
        n, over_pairs = int(used.sum()), []
        for statistic, samples in (("v", mean_plain[0]), ("v_corrected", mean_corrected[0])):
            over_pairs.append(_row(statistic, samples, n, 0.0, run, run.how))
        if model != REFERENCE:
            over_pairs += _delta_rows(mean_plain, mean_corrected, n, run)
        found += [{"model": model, "a": "all", "b": "all", "rows": rows, **row} for row in over_pairs]
    return found


def _fill_p(found: list[dict], model: str, p: np.ndarray) -> None:
    """Write the permutation p-values and their Holm adjustment into the rows that wait for them."""
    if len(p):
        for statistic, values in (("permutation_p", p), ("permutation_p_holm", holm(p))):
            waiting = [row for row in found if row["model"] == model and row["statistic"] == statistic]
            for row, value in zip(waiting, values, strict=True):
                row["value"] = float(value)


def _row(statistic: str, samples: np.ndarray, n: int, least: float, run: _Run, words: str) -> dict:
    ends = normal_interval(samples, run.level, least, 1.0)
    return {"statistic": statistic, **ends, "n": n,
            "interval": "not estimable" if math.isnan(ends["value"]) else words}  # fmt: skip


def _delta_rows(
    plain: Sequence[np.ndarray], corrected: Sequence[np.ndarray], n: int, run: _Run
) -> list[dict]:
    """Rows of ΔV from (model, reference) arrays of shape (1 + B,): plug-in, corrected and verdict."""
    delta, delta_corrected = plain[0] - plain[1], corrected[0] - corrected[1]
    value, se = float(delta_corrected[0]), spread(delta_corrected)
    said = {"verdict": verdict(value, se, run.margin)}
    ninety = "paired " + normal_words(len(delta) - 1, 0.90)
    within = math.nan if math.isnan(delta[0]) else float(abs(delta[0]) <= run.margin)
    return [
        _row("delta_v", delta, n, -1.0, run, "paired " + run.how),
        _row("delta_v_corrected", delta_corrected, n, -1.0, run, "paired " + run.how) | said,
        _row("delta_v_corrected_90", delta_corrected, n, -1.0, replace(run, level=0.90), ninety) | said,
        {"statistic": "provable_margin", "value": provable_margin(value, se), "n": n},
        {"statistic": "plain_rule", "value": within, "n": n},
    ]


def _split_rows(
    counts: np.ndarray, truth: np.ndarray, confusion_a: np.ndarray, confusion_b: np.ndarray, n: int, run: _Run
) -> list[dict]:
    """Rows that say where a model's V comes from: independent errors, null, margins and odds ratios."""
    paired = "paired " + run.how
    v, v_truth = (cramers_v(t, correct=False) for t in (counts, truth))
    expected, expected_corrected = (v_ref(truth, confusion_a, confusion_b, correct=c) for c in (False, True))
    raked = cramers_v(rake(counts, truth.sum(-1), truth.sum(-2), strict=False, tolerance=1e-8), correct=False)
    change = np.abs(_shares(counts) - _shares(truth)).mean(axis=(-2, -1))
    null = np.full(run.null_draws, np.nan)
    if not math.isnan(v_truth[0]):
        null = confusion_null(truth[0], confusion_a[0], confusion_b[0], run.null_draws, run.rng)
    low, high = np.quantile(null, [(1 - run.level) / 2, (1 + run.level) / 2])
    words = f"{100 * run.level:g} % band of {run.null_draws} redraws with independent errors"
    return [
        _row("v_ref", expected, n, 0.0, run, run.how),
        _row("v_ref_corrected", expected_corrected, n, 0.0, run, run.how),
        _row("excess", v - expected, n, -1.0, run, paired),
        _row("excess_corrected", cramers_v(counts) - expected_corrected, n, -1.0, run, paired),
        {"statistic": "null_v", "value": float(null.mean()), "low": float(low), "high": float(high), "n": n,
         "interval": "not estimable" if math.isnan(low) else words},
        {"statistic": "null_p", "value": null_p(float(v[0]), null), "n": n},
        _row("v_rake", raked, n, 0.0, run, run.how),
        _row("marginal_shift", v - raked, n, -1.0, run, paired),
        _row("odds_ratio_change", raked - v_truth, n, -1.0, run, paired),
        _row("mean_abs_cell_change", change, n, 0.0, run, paired),
    ]  # fmt: skip


def _shares(counts: np.ndarray) -> np.ndarray:
    total = counts.sum(axis=(-2, -1), keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


def _all_rows(reference: Codes, predictions: Mapping[str, Codes], run: _Run) -> list[dict]:
    """V of the predictions on every row, and its difference to the reference on the reference's rows."""
    found = []
    for a, b in run.schema.pairs:
        has_labels = labelled(reference, (a, b))
        truth = unless_constant(pair_tables(reference, a, b, run.schema, run.both, has_labels))
        for model, codes in predictions.items():
            keep = labelled(codes, (a, b))
            counts, n = pair_tables(codes, a, b, run.schema, run.both, keep), int(keep.sum())
            key = {"model": model, "a": a, "b": b}
            here = v_rows(counts, n, run.level) + chi2_rows(counts[0], n)
            found += [{**key, "rows": "all", **row} for row in here]
            delta = cramers_v(counts, correct=False) - cramers_v(truth, correct=False)
            mixed = _row("delta_v_mixed_rows", delta, n, -1.0, run, "paired " + run.how)
            said = verdict(float(delta[0]), spread(delta), run.margin)
            found.append({**key, "rows": "mixed", **mixed, "verdict": said})
    return found


def _finish(found: list[dict], models: list[str], schema: Schema) -> pd.DataFrame:
    """One frame in the order of models, pairs and rows."""
    frame = pd.DataFrame(found).reindex(columns=COLUMNS)
    for column in ("verdict", "interval"):
        # Without a model no row has a verdict, and pandas would take the empty column for numbers.
        frame[column] = frame[column].astype(object).fillna("")
    order = {
        "model": {name: i for i, name in enumerate(models)},
        "a": {pair: i for i, pair in enumerate([*schema.pairs, ("all", "all")])},
        "rows": {name: i for i, name in enumerate(("identical", "all", "mixed", "listwise"))},
    }
    rank = pd.DataFrame({
        "model": frame["model"].map(order["model"]),
        "pair": [order["a"][pair] for pair in zip(frame["a"], frame["b"], strict=True)],
        "rows": frame["rows"].map(order["rows"]),
    })  # fmt: skip
    return frame.loc[rank.sort_values(list(rank), kind="stable").index].reset_index(drop=True)
