"""Coupling of attributes: how strongly labels go together, and what a model adds to that.

Every number of a model stands beside the same number of its reference on the same rows, with one set
of bootstrap weights, so that all differences are paired.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from swatchbook.evaluation.association import (
    classes_in_use,
    cramers_v,
    permutation_p,
    phi2,
    provable_margin,
    verdict,
)
from swatchbook.evaluation.association_intervals import (
    mean_ends,
    v_interval,
)
from swatchbook.evaluation.contingency import rake
from swatchbook.evaluation.coupling_pairs import (
    REFERENCE,
    Codes,
    Pair,
    check_codes,
    effective_size,
    labelled,
    pair_of,
)
from swatchbook.evaluation.independent_errors import confusion_null, null_p, v_ref
from swatchbook.evaluation.resample import (
    estimate_first,
    holm,
    normal_interval,
    normal_words,
)
from swatchbook.schema import Schema

COLUMNS = [
    "model", "a", "b", "rows", "statistic", "value", "low", "high", "n", "interval", "verdict",
]  # fmt: skip
#: What stands in place of the interval of a plug-in.
PLUG_IN = "plug-in, of which chance is a part; the corrected one has the interval"


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

    Statistics: ``v`` is the plug-in, as is often printed, ``v_corrected`` Bergsma's with the interval of the
    true V; the plug-in lies above that by chance and has no interval of its own. ``delta_v`` and
    ``delta_v_corrected``, likewise, are model − reference (on ``mixed`` rows ``delta_v_mixed_rows`` and
    ``delta_v_mixed_rows_corrected``), ``delta_v_corrected_90`` the 90 % interval behind the verdict,
    ``provable_margin`` its larger end, ``plain_rule`` 1 where the plug-in |ΔV| ≤ margin.
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
    records = [
        row for rows in ("identical", "listwise") for row in _shared_rows(reference, predictions, rows, run)
    ]
    records += _all_rows(reference, predictions, run)
    records.append({"model": REFERENCE, "a": "all", "b": "all", "rows": "identical", "statistic": "margin",
                  "value": margin, "n": weights.shape[1], "interval": "chosen beforehand"})  # fmt: skip
    return _finish(records, [REFERENCE, *predictions], schema)


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


def v_rows(counts: np.ndarray, n: int, level: float) -> list[dict]:
    """Rows ``v`` and ``v_corrected`` of one pair; `counts` are `pair_tables` of `n` items."""
    low, high, rule = v_interval(counts[0], level, effective_size(counts))
    plain, corrected = (float(cramers_v(counts[0], correct=correct)) for correct in (False, True))
    ends = {"low": low, "high": high, "n": n, "interval": rule or "not estimable"}
    return [_plug_in("v", plain, n), {"statistic": "v_corrected", "value": corrected, **ends}]


def _plug_in(statistic: str, value: float, n: int) -> dict:
    """A row of a plug-in value, which has no interval."""
    how = "not estimable" if math.isnan(value) else PLUG_IN
    return {
        "statistic": statistic,
        "value": value,
        "low": math.nan,
        "high": math.nan,
        "n": n,
        "interval": how,
    }


def chi2_rows(table: np.ndarray, n: int) -> list[dict]:
    """Rows ``chi2``, ``dof`` and ``p_value``: Pearson's test of independence over the classes in use."""
    dof = int(np.prod([used - 1 for used in classes_in_use(table)]))
    chi2 = float(phi2(table)) * float(table.sum())
    values = {"chi2": chi2, "dof": dof, "p_value": float(stats.chi2.sf(chi2, dof)) if dof else np.nan}
    return [{"statistic": s, "value": v, "n": n, "interval": "Pearson's χ² test"} for s, v in values.items()]


def _shared_rows(reference: Codes, predictions: Mapping[str, Codes], rows: str, run: _Run) -> list[dict]:
    """Everything on rows that the reference and a model share, and the means over pairs."""
    records: list[dict] = []
    for model, codes in ((REFERENCE, reference), *predictions.items()):
        pairs: list[Pair] = []
        p_values, used = [], np.zeros(run.both.shape[1], dtype=bool)
        for a, b in run.schema.pairs:
            needed = (a, b) if rows == "identical" else run.schema.names
            keep = labelled(reference, needed) & labelled(codes, needed)
            used, n = used | keep, int(keep.sum())
            pair = pair_of(
                reference, codes, a, b, keep, keep, run.schema, run.both, itself=model == REFERENCE
            )
            pairs.append(pair)
            records_here = v_rows(pair.counts, n, run.level) + chi2_rows(pair.counts[0], n)
            if rows == "identical":
                p_values.append(permutation_p(pair.counts[0], run.permutations, run.rng))
                records_here += [{"statistic": s, "n": n} for s in ("permutation_p", "permutation_p_holm")]
            if model != REFERENCE:
                records_here += _delta_rows([pair], n, run)
            if model != REFERENCE and rows == "identical":
                records_here += _split_rows(pair.counts, pair.truth, *pair.confusions, n, run)
            records += [{"model": model, "a": a, "b": b, "rows": rows, **row} for row in records_here]
        _fill_p(records, model, np.array(p_values))
        n, over_pairs = int(used.sum()), _mean_v_rows(pairs, int(used.sum()), run)
        if model != REFERENCE:
            over_pairs += _delta_rows(pairs, n, run)
        records += [{"model": model, "a": "all", "b": "all", "rows": rows, **row} for row in over_pairs]
    return records


def _mean_v_rows(pairs: Sequence[Pair], n: int, run: _Run) -> list[dict]:
    """Rows of the mean V over pairs. Cutting each pair at 0 first would lift the mean."""
    plain, signed = (np.array([pair.v(correct)[0] for pair in pairs]) for correct in (False, True))
    ends = np.array(
        [v_interval(pair.counts[0], run.level, effective_size(pair.counts))[:2] for pair in pairs]
    )
    values = np.maximum(signed[:, 0], 0)
    above = ends[:, 1] - values
    # Where an interval is cut off at 0, its other side stands for both.
    below = np.where(ends[:, 0] > 0, values - ends[:, 0], above)
    low, high = mean_ends(signed[:, 0], signed[:, 0] - below, signed[:, 0] + above, signed[:, 1:].T)
    ends = {"low": max(low, 0.0), "high": min(max(high, 0.0), 1.0), "n": n}
    known = not math.isnan(low)
    words = f"{run.level:.0%} from the pairs' intervals and their correlations" if known else "not estimable"
    ends |= {"interval": words} if known else {"interval": words, "low": math.nan, "high": math.nan}
    corrected = {"statistic": "v_corrected", "value": float(signed[:, 0].mean()), **ends}
    return [_plug_in("v", float(plain[:, 0].mean()), n), corrected]


def _fill_p(records: list[dict], model: str, p: np.ndarray) -> None:
    """Write the permutation p-values and their Holm adjustment into the rows that wait for them."""
    if len(p):
        for statistic, values in (("permutation_p", p), ("permutation_p_holm", holm(p))):
            waiting = [row for row in records if row["model"] == model and row["statistic"] == statistic]
            for row, value in zip(waiting, values, strict=True):
                row["value"] = float(value)


def _row(statistic: str, samples: np.ndarray, n: int, least: float, run: _Run, words: str) -> dict:
    ends = normal_interval(samples, run.level, least, 1.0)
    return {"statistic": statistic, **ends, "n": n,
            "interval": "not estimable" if math.isnan(ends["value"]) else words}  # fmt: skip


def _delta_rows(pairs: Sequence[Pair], n: int, run: _Run) -> list[dict]:
    """Rows of ΔV of one pair, or of the mean over several: plug-in, corrected and verdict."""
    plain = np.array([pair.v(False) for pair in pairs])[:, :, 0]
    signed = np.array([pair.v(True) for pair in pairs])
    corrected = np.maximum(signed, 0) if len(pairs) == 1 else signed
    delta, samples = corrected[:, 0, 0] - corrected[:, 1, 0], (signed[:, 0, 1:] - signed[:, 1, 1:]).T
    ends = {}
    for level in (run.level, 0.90, 0.95):
        each = np.array([pair.difference(level) for pair in pairs])
        ends[level] = (float(each[0, 0]), float(each[0, 1])) if len(pairs) == 1 else mean_ends(
            delta, *each.T, samples
        )  # fmt: skip
    moved = float((plain[:, 0] - plain[:, 1]).mean())
    judgement = {"verdict": verdict(ends[0.90], ends[0.95], run.margin)}
    within = math.nan if math.isnan(moved) else float(abs(moved) <= run.margin)
    how = "by profile likelihood of φ²" if len(pairs) == 1 else "from the pairs' intervals"

    def row(statistic: str, value: float, level: float) -> dict:
        low, high = ends[level]
        words = "not estimable" if math.isnan(low) else f"paired {level:.0%} {how}"
        return {"statistic": statistic, "value": value, "low": low, "high": high, "n": n, "interval": words}

    value = float(delta.mean())
    return [
        _plug_in("delta_v", moved, n),
        row("delta_v_corrected", value, run.level) | judgement,
        row("delta_v_corrected_90", value, 0.90) | judgement,
        {"statistic": "provable_margin", "value": provable_margin(ends[0.90]), "n": n},
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
    records = []
    for a, b in run.schema.pairs:
        has_labels = labelled(reference, (a, b))
        for model, codes in predictions.items():
            keep = labelled(codes, (a, b))
            pair, n = pair_of(reference, codes, a, b, keep, has_labels, run.schema, run.both), int(keep.sum())
            key = {"model": model, "a": a, "b": b}
            here = v_rows(pair.counts, n, run.level) + chi2_rows(pair.counts[0], n)
            records += [{**key, "rows": "all", **row} for row in here]
            for suffix, row in zip(("", "_corrected"), _delta_rows([pair], n, run), strict=False):
                records.append({**key, "rows": "mixed", **row, "statistic": f"delta_v_mixed_rows{suffix}"})
    return records


def _finish(records: list[dict], models: list[str], schema: Schema) -> pd.DataFrame:
    """One frame in the order of models, pairs and rows."""
    frame = pd.DataFrame(records).reindex(columns=COLUMNS)
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
