"""What a study claimed in words, beside what its data says: a verdict and one sentence a claim.

No number is written here. Each sentence is filled from the run's tables, so it changes with them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from swatchbook.names import called
from swatchbook.report.wording import joined, points, words
from swatchbook.schema import Schema
from swatchbook.studies.attributes.facts import NOT_KNITTED
from swatchbook.studies.attributes.printed import Tables

CLAIM_COLUMNS = ["claim", "printed", "verdict", "value", "low", "high", "n", "interval", "sentence", "where"]


class _Rows:
    """Rows of the run's tables by what they are about; a missing one is an error, never a blank."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def __call__(self, table: str, **keys: object) -> pd.Series:
        frame = self._tables[table]
        found = frame[np.logical_and.reduce([frame[k] == v for k, v in keys.items()])]
        if len(found) != 1:
            raise LookupError(f"tables/{table}.csv has {len(found)} rows for {keys}, not one")
        return found.iloc[0]


def claim_table(
    tables: Tables, schema: Schema, *, model: str, baseline: str, margin: float, claimed: bool = True
) -> pd.DataFrame:
    """The published study's claims, asked of a run: a number, a verdict and one plain sentence each.

    Args:
        tables: Name → table: scores, comparison, audit, truth, coupling, curation; audit and truth may be
            missing, and what rests on them then says so.
        schema: Gives the attributes.
        model: The model whose advantage is claimed.
        baseline: The model it is held against.
        margin: The threshold of |ΔV|.
        claimed: Whether the run is of the data that the claims were made of. Of other data its sentences
            say what is found on the same questions, and there are no verdicts.

    Returns:
        Columns `claim, printed, verdict, value, low, high, n, interval, sentence, where`; ``verdict`` is
        ``holds``, ``does not hold``, ``unresolved`` or ``holds in part``; ``not asked`` where the run
        lacks what it is about: an audit, or images picked for show.
    """
    rows_of = _Rows(tables)
    judged = [a.name for a in schema if a.labelled_by == "zero_shot"]
    of_audit = _of_audit(rows_of, model, judged) if "audit" in tables else _UNASKED
    makers: list[Callable[[], dict]] = [
        lambda: _all_classes(rows_of, tables, model, baseline),
        lambda: _uniform_gap(tables, model, baseline),
        *of_audit[:2],
        lambda: _perfect_precision(rows_of, schema),
        *of_audit[2:],
        lambda: _mixed_rows(rows_of, model),
        lambda: _just_outside(rows_of, model, margin),
        lambda: _independence(rows_of, model),
    ]
    # A study that picked images to show is the published one, of which there are labels and no pixels.
    exports = bool((tables["curation"]["statistic"] == "distinct_pairs").any())
    makers.append(lambda: _clashes(rows_of, exports))
    makers.append((lambda: _twenty(rows_of)) if exports else _unasked(*TWENTY, _NOTHING_PICKED))
    made = pd.DataFrame([maker() for maker in makers]).reindex(columns=CLAIM_COLUMNS)
    made["sentence"] = made["sentence"].str[:1].str.upper() + made["sentence"].str[1:]  # a name may begin one
    if not claimed:
        made["sentence"] = made["sentence"].where(made["verdict"] != "not asked", "")
        made["verdict"] = ""
    return made


def _of_audit(rows_of: _Rows, model: str, judged: list[str]) -> list[Callable[[], dict]]:
    return [
        lambda: _ceiling_classes(rows_of, judged),
        lambda: _ceiling(rows_of, model, judged),
        lambda: _silver_is_truth(rows_of, model, judged),
    ]


def _unasked(claim: str, printed: str, sentence: str) -> Callable[[], dict]:
    """A claim that a run lacks the data for."""
    return lambda: {
        "claim": claim, "printed": printed, "verdict": "not asked", "value": np.nan, "low": np.nan, "high": np.nan,
        "n": 0, "interval": "", "sentence": sentence, "where": "",
    }  # fmt: skip


TWENTY = ("twenty_images", "17 distinct combinations across just 20 images")
_NOTHING_PICKED = "No images were picked for show here, so there is nothing to test."
_NO_AUDIT = (
    "Nobody audited these labels, so nothing can be said of how true they are. --audit FILE gives an audit."
)
# The claims that take an audit, for a run that has none.
_UNASKED = [
    _unasked("audit_classes", "audit macro-F1 0.971 / 0.803 / 0.681", _NO_AUDIT),
    _unasked("ceiling", "the audit is the empirical ceiling", _NO_AUDIT),
    _unasked("silver_is_truth", "test macro-F1 against silver labels", _NO_AUDIT),
]


def _all_classes(rows_of: _Rows, tables: Tables, model: str, baseline: str) -> dict:
    ahead, worst = (
        rows_of("comparison", statistic=s, reference="silver") for s in ("classes_won", "all_classes_p")
    )
    proved = rows_of("comparison", statistic="classes_proved", reference="silver")
    frame = tables["comparison"]
    classes = frame[(frame["statistic"] == "delta_f1") & (frame["reference"] == "silver")]
    weakest, smallest = classes.loc[classes["p"].idxmax()], classes.loc[classes["value"].idxmin()]
    holds = ahead["value"] == ahead["n"] and worst["value"] <= 0.05
    clear = weakest["low"] > 0
    sentence = (
        f"{called(model)} is ahead of {called(baseline)} on {ahead['value']:.0f} of {ahead['n']:.0f} classes as point estimates; "
        f"as one claim about all of them the one-sided p is {worst['value']:.3f}, carried by {_class(weakest)}, "
        f"whose gap of {points(weakest)} {'excludes' if clear else 'does not exclude'} zero; the smallest gap is that "
        f"of {_class(smallest)}, {points(smallest)}. "
    )
    if not np.isnan(proved["value"]):
        sentence += (
            f"Asked class by class, {proved['value']:.0f} of {proved['n']:.0f} are proved after Holm. "
        )
    sentence += "All of it is against silver labels."
    return {
        "claim": "all_classes", "printed": "wins on all 29 classes",
        "verdict": ("holds" if clear else "holds in part") if holds else "does not hold",
        **_numbers(ahead), "sentence": sentence, "where": "project page, text",
    }  # fmt: skip


def _uniform_gap(tables: Tables, model: str, baseline: str) -> dict:
    frame = tables["comparison"]
    heads = frame[(frame["statistic"] == "delta_macro_f1") & (frame["reference"] == "silver")].set_index(
        "head"
    )
    mean, heads = heads.loc["mean"], heads.drop(index="mean")
    low, high = heads.loc[heads["value"].idxmin()], heads.loc[heads["value"].idxmax()]
    apart = low["high"] < high["low"]
    sentence = (
        f"The mean gap of {called(model)} over {called(baseline)} is {points(mean)}, but it is not the same everywhere: it runs "
        f"from {points(low)} on {low.name} to {points(high)} on {high.name}"
        f"{', whose intervals do not overlap' if apart else ''}."
    )
    return {
        "claim": "uniform_gap", "printed": "a uniform +11.6 pp", "verdict": "does not hold" if apart else "unresolved",
        **_numbers(mean), "sentence": sentence, "where": "project page, text",
    }  # fmt: skip


def _audit(rows_of: _Rows, attribute: str, abstained: str, statistic: str = "macro_f1") -> pd.Series:
    return rows_of(
        "audit", **{"attribute": attribute, "class": "all", "abstained": abstained, "weighting": "none",
                    "statistic": statistic}
    )  # fmt: skip


def _ceiling_classes(rows_of: _Rows, judged: list[str]) -> dict:
    rows = {
        a: (_audit(rows_of, a, "extra_class"), _audit(rows_of, a, "wrong"), _audit(rows_of, a, "left_out"))
        for a in judged
    }
    moved = {a: r for a, r in rows.items() if abs(r[0]["value"] - r[1]["value"]) > 1e-9}
    parts = [
        f"{a} {wrong['value']:.3f} {_range(wrong)} instead of {extra['value']:.3f} "
        f"({left['value']:.3f} on the images that received a label)"
        for a, (extra, wrong, left) in moved.items()
    ]
    same = [words(a) for a in judged if a not in moved]
    verb = "is" if len(same) == 1 else "are"
    sentence = (
        f"Averaging over abstention as one more class whose F1 is 0 lowers the score of the silver labels. Over the "
        f"schema's own classes, an abstention still counted as wrong, they score {' and '.join(parts)}"
        f"{f'; {joined(same)} {verb} unchanged' if same else ''}."
    )
    last = (
        max(moved.values(), key=lambda r: r[1]["value"] - r[0]["value"])[1] if moved else rows[judged[0]][1]
    )
    return {
        "claim": "audit_classes", "printed": "audit macro-F1 0.971 / 0.803 / 0.681",
        "verdict": "does not hold" if moved else "holds", **_numbers(last), "sentence": sentence,
        "where": "project page, text",
    }  # fmt: skip


def _truth(rows_of: _Rows, model: str, head: str, estimator: str, statistic: str = "macro_f1") -> pd.Series:
    return rows_of(
        "truth",
        **{"model": model, "head": head, "class": "all", "estimator": estimator, "statistic": statistic},
    )


def _ceiling(rows_of: _Rows, model: str, judged: list[str]) -> dict:
    silver = {
        a: rows_of("scores", **{"model": model, "head": a, "class": "all", "metric": "macro_f1"})
        for a in judged
    }
    printed = {a: _audit(rows_of, a, "extra_class") for a in judged}
    above = [a for a in judged if silver[a]["value"] > printed[a]["value"]]
    head = (above or judged)[-1]
    copied = (
        f", and {called(model)} does on {head}: {silver[head]['value']:.3f} against a “ceiling” of {printed[head]['value']:.3f}"
        if above
        else ""
    )
    sentence = (
        f"A model may score above the audit against silver labels by copying their errors{copied}; and it may be "
        f"truer than the labels. What the audit does bound is accuracy: on {head}, silver agreement puts {called(model)}'s "
        f"true accuracy between {_bound(rows_of, model, head)}."
    )
    return {
        "claim": "ceiling", "printed": "the audit is the empirical ceiling", "verdict": "does not hold",
        **_numbers(silver[head]), "sentence": sentence, "where": "project page, text",
    }  # fmt: skip


def _bound(rows_of: _Rows, model: str, head: str) -> str:
    row = _truth(rows_of, model, head, "bound", "accuracy")
    return f"{row['low']:.2f} and {row['high']:.2f}"


def _silver_is_truth(rows_of: _Rows, model: str, judged: list[str]) -> dict:
    pairs = {
        a: (
            rows_of("scores", **{"model": model, "head": a, "class": "all", "metric": "macro_f1"}),
            _truth(rows_of, model, a, "post_stratified"),
        )
        for a in judged
    }
    parts = [
        f"{a} {silver['value']:.3f} against silver, {truth['value']:.3f} {_range(truth)} against the audit"
        for a, (silver, truth) in pairs.items()
    ]
    furthest = min(pairs.values(), key=lambda pair: pair[1]["value"] - pair[0]["value"])[1]
    sentence = (
        f"Scores against silver labels are agreement with the labeller that also labelled the training images. Against the "
        f"audit, {called(model)}'s macro-F1 is: {'; '.join(parts)}."
    )
    return {
        "claim": "silver_is_truth", "printed": "test macro-F1 against silver labels", "verdict": "holds in part",
        **_numbers(furthest), "sentence": sentence, "where": "project page, table",
    }  # fmt: skip


def _perfect_precision(rows_of: _Rows, schema: Schema) -> dict:
    ruled = next(a for a in schema if a.labelled_by == "folder")
    doubtful = [f for f in NOT_KNITTED if schema.folders.get(f) == "knitwear"]
    share = rows_of("curation", statistic="share_of_doubtful_folders")
    sentence = (
        f"The rule repeats the folder's name, so it agrees with itself by construction; whether the folder names the "
        f"{ruled.name} was not audited. By the rule {joined([words(f) for f in doubtful])} are knitwear, which they are not as cloth: "
        f"{share['value']:.1%} of the test images ({share['n']:.0f}) rest on that."
    )
    return {
        "claim": "perfect_precision", "printed": "material: perfect precision by construction",
        "verdict": "does not hold", **_numbers(share), "sentence": sentence, "where": "project page, text",
    }  # fmt: skip


def _coupling(rows_of: _Rows, model: str, rows: str, statistic: str) -> pd.Series:
    return rows_of("coupling", model=model, a="material", b="texture", rows=rows, statistic=statistic)


def _mixed_rows(rows_of: _Rows, model: str) -> dict:
    mixed = _coupling(rows_of, model, "mixed", "delta_v_mixed_rows")
    reference, everywhere = (
        _coupling(rows_of, "reference", "identical", "v"),
        _coupling(rows_of, model, "all", "v"),
    )
    same, plain, delta = (
        _coupling(rows_of, model, "identical", statistic)
        for statistic in ("v", "delta_v", "delta_v_corrected")
    )
    sentence = (
        f"Silver labels stand for {reference['n']:,.0f} images and predictions for {everywhere['n']:,.0f}. On the same "
        f"{same['n']:,.0f} images V of the predictions is {same['value']:.4f}, so that Δ is {plain['value']:+z.3f} "
        f"rather than {mixed['value']:+z.3f}; corrected for bias it is {delta['value']:+z.3f} {_range(delta)}."
    )
    return {
        "claim": "same_rows", "printed": "V_gt 0.318, V_pred 0.353, Δ +0.035", "verdict": "holds in part",
        **_numbers(delta), "sentence": sentence, "where": "project page, text",
    }  # fmt: skip


def _just_outside(rows_of: _Rows, model: str, margin: float) -> dict:
    mixed, ends = (
        _coupling(rows_of, model, "mixed", s) for s in ("delta_v_mixed_rows", "delta_v_mixed_rows_corrected")
    )
    delta, ninety = (
        _coupling(rows_of, model, "identical", s) for s in ("delta_v_corrected", "delta_v_corrected_90")
    )
    provable = _coupling(rows_of, model, "identical", "provable_margin")
    inside = ends["low"] < margin < ends["high"]
    sentence = (
        f"Taken over different rows, Δ is {mixed['value']:+z.3f}, corrected for bias {ends['value']:+z.3f} with a 95 % "
        f"interval of {_range(ends)}, which {'contains' if inside else 'does not contain'} the threshold {margin:g}. On "
        f"identical rows Δ, corrected, is {delta['value']:+z.3f} with a 90 % interval of {_range(ninety)}: the verdict is "
        f"“{delta['verdict']}”, and the smallest margin that the data can prove is ±{provable['value']:.3f}."
    )
    return {
        "claim": "just_outside", "printed": "just outside the ±0.03 threshold",
        "verdict": {"outside": "holds", "inconclusive": "unresolved"}.get(delta["verdict"], "does not hold"),
        **_numbers(delta), "sentence": sentence, "where": "project page, text",
    }  # fmt: skip


def _independence(rows_of: _Rows, model: str) -> dict:
    reference, excess = (
        _coupling(rows_of, model, "identical", "v_ref"),
        _coupling(rows_of, model, "identical", "excess"),
    )
    null, p = (_coupling(rows_of, model, "identical", s) for s in ("null_v", "null_p"))
    together = excess["low"] > 0
    sentence = (
        f"Δ = 0 is not what honest heads give: if the two heads erred independently of each other, V would fall to "
        f"{reference['value']:.3f} {_range(reference)} (redrawn: {_range(null)}). The predictions carry "
        f"{excess['value']:+z.3f} {_range(excess)} more than that (p = {p['value']:.4f}), so the heads err "
        f"{'together, part of which ambiguous images explain' if together else 'no more together than that'}."
    )
    return {
        "claim": "independent_errors", "printed": "amplifies coupling slightly", "verdict": "does not hold" if together else "holds",
        **_numbers(excess), "sentence": sentence, "where": "project page, text",
    }  # fmt: skip


def _twenty(rows_of: _Rows) -> dict:
    seen, null = (
        rows_of("curation", statistic="distinct_pairs"),
        rows_of("curation", statistic="expected_distinct_pairs"),
    )
    p = rows_of("curation", statistic="p_at_least_claimed")
    sentence = (
        f"The exported list of twenty images holds {seen['value']:.0f} distinct (material, texture) pairs, not the 17 "
        f"printed. Twenty images drawn at random hold {null['value']:.1f} on average (95 %: {null['low']:.0f} to "
        f"{null['high']:.0f}), and 17 or more with probability {p['value']:.4f}: the images were picked, and say "
        f"nothing about the heads."
    )
    return {
        "claim": TWENTY[0], "printed": TWENTY[1],
        "verdict": "does not hold", **_numbers(seen), "sentence": sentence, "where": "project page, text",
    }  # fmt: skip


def _clashes(rows_of: _Rows, exports: bool) -> dict:
    folders, splits = (
        rows_of("curation", statistic=s) for s in ("names_in_several_folders", "names_in_train_and_test")
    )
    sentence = (
        f"{folders['value']:.0f} file names occur in more than one fabric folder and {splits['value']:.0f} in both the "
        f"training and the test split"
    )
    sentence += (
        ", so that a duplicate check (by content) was needed and none is reported; the exports hold no pixels to make it."
        if exports
        else ". Here copies were looked for by content and by name; tables/duplicates.csv lists those in two splits."
    )
    return {
        "claim": "name_clashes", "printed": "(split first, label second; no duplicate check)",
        "verdict": "unresolved" if exports else "does not hold",
        **_numbers(splits), "sentence": sentence, "where": "manifest.json",
    }  # fmt: skip


def _numbers(row: pd.Series) -> dict:
    return {k: row.get(k) for k in ("value", "low", "high", "n", "interval")}


def _class(row: pd.Series) -> str:
    return f"{words(row['class'])} ({words(row['head'])})"


def _range(row: pd.Series) -> str:
    return f"[{row['low']:z.3f}, {row['high']:z.3f}]"
