"""What a run found, a sentence each, for the head of its report: every number is read from the run's tables.

A sentence whose numbers are not estimable is left out. Links lead to the chapter that shows the evidence.
"""

from __future__ import annotations

import pandas as pd

from swatchbook.data import duplicates
from swatchbook.data.images import left_out
from swatchbook.names import called
from swatchbook.pipeline.stage import Trace
from swatchbook.report.display import capital, estimate, joined, number, percentage, points, words
from swatchbook.studies.attributes.settings import judge_of
from swatchbook.studies.attributes.tables import is_audited

POST_STRATIFIED = {"estimator": "post_stratified", "class": "all"}


def findings(trace: Trace) -> list[str]:
    """The findings of a run, in Markdown, for `report.page.write_page`."""
    data, judge = trace.setting("data"), judge_of(trace.setting("data"))
    model, baseline, margin = (trace.setting(k) for k in ("model", "baseline", "evaluation.margin"))
    comparison, coupling = trace.table("tables/comparison.csv"), trace.table("tables/coupling.csv")
    told = []
    if data == "drawn":
        told.append(known_truths(trace.table("tables/known.csv"), trace.setting("evaluation.level")))
    if data in ("drawn", "textilenet"):
        told += facts_of_images(trace)
    if data == "published":
        told.append(printed(trace.table("tables/numbers.csv"), trace.table("tables/claims.csv")))
    if is_audited(trace):
        truth = trace.table("tables/truth.csv")
        told += [labels_right(truth, judge), furthest(truth, model, judge), bound(truth, model)]
    else:
        told.append(
            "**Nobody audited these labels.** Every score is agreement with the labeller and says nothing of "
            "what is true."
        )
    if data != "published":
        told.append(least_labelled(trace.table("tables/coverage.csv")))
    told += [gap(comparison, model, baseline), coupled(coupling, model, margin), together(coupling, model)]
    return [sentence for sentence in told if sentence]


def facts_of_images(trace: Trace) -> list[str]:
    """What a reader must know of the images: copies in two splits, and files that could not be read."""
    copies, lost = trace.table("tables/duplicates.csv"), trace.table("tables/copies_left_out.csv")
    found = [f"**{duplicates.said(len(copies), lost, trace.setting('duplicates'))}**"] if len(copies) else []
    broken = left_out(trace.table("tables/quarantine.csv"))
    return [*found, *([f"**{broken}**"] if broken else [])]


def known_truths(known: pd.DataFrame, level: float) -> str:
    """How many intervals hold the truth that they estimate."""
    missed = [f"{called(r.model)}, {words(r.head)}: {r.what}" for r in known[~known["covered"]].itertuples()]
    return (
        f"**{known['covered'].sum()} of {len(known)} known truths lie in the interval that an audit gave for "
        f"them**, each meant to hold in {100 * level:.0f} % of audits "
        f"([all of them](#headline)){'; missed: ' + '; '.join(missed) if missed else ''}."
    )


def printed(numbers: pd.DataFrame, claims: pd.DataFrame) -> str:
    """How many printed numbers come out again, and what becomes of the claims."""
    testable = numbers[numbers["verdict"] != "not in the exports"]
    again, held = (testable["verdict"] == "reproduced").sum(), claims["verdict"].value_counts()
    verdicts = joined([f"“{verdict}” {n} times" for verdict, n in held.items()])
    return (
        f"**{again} of {len(testable)} printed numbers come out again** ([the main ones](#headline)). The "
        f"verdict on the {len(claims)} [claims](#claims) is {verdicts}."
    )


def labels_right(truth: pd.DataFrame, judge: str) -> str:
    """The share of the silver labels that is right, by attribute."""
    rows = _known(truth, model="silver", statistic="accuracy", **POST_STRATIFIED)
    shares = [f"{percentage(row)} of {words(row['head'])}" for row in rows]
    if not shares:
        return ""
    return (
        f"**Silver labels are right** in {joined(shares)}, by the {rows[0]['n']:,.0f} images that the "
        f"{judge} judged ([the audit](02_audit.ipynb))."
    )


def furthest(truth: pd.DataFrame, model: str, judge: str) -> str:
    """Where a model's score against the judge is furthest from that against silver labels."""
    silver = {r["head"]: r for r in _known(truth, model=model, estimator="silver", statistic="macro_f1")}
    pairs = [
        (silver[row["head"]], row)
        for row in _known(truth, model=model, statistic="macro_f1", **POST_STRATIFIED)
        if row["head"] in silver
    ]
    if not pairs:
        return ""
    by_silver, by_judge = max(pairs, key=lambda pair: abs(pair[0]["value"] - pair[1]["value"]))
    return (
        f"**Agreement with silver labels is not truth**: the macro-F1 of {called(model)} on "
        f"{words(by_judge['head'])} is {_with_ends(by_silver)} against silver labels and "
        f"{_with_ends(by_judge)} against the {judge}, the largest of {len(pairs)} such differences "
        "([all of them](02_audit.ipynb))."
    )


def bound(truth: pd.DataFrame, model: str) -> str:
    """How little silver agreement alone says of true accuracy, where it says least."""
    rows = truth[(truth["model"] == model) & (truth["estimator"] == "bound") & truth["low"].notna()]
    if rows.empty:
        return ""
    row = rows.loc[(rows["high"] - rows["low"]).idxmax()]
    return (
        f"**What agreement alone says of truth**: the accuracy of {called(model)} on {words(row['head'])}, "
        f"where it says least, lies between {number(row['low'], 2)} and {number(row['high'], 2)}, "
        f"n = {row['n']:,.0f} ([why](02_audit.ipynb))."
    )


def least_labelled(coverage: pd.DataFrame) -> str:
    """The attribute on which the labeller abstained most."""
    rows = _known(coverage, metric="coverage", **{"class": "all"})
    if not rows:
        return ""
    row = min(rows, key=lambda row: row["value"])
    return (
        f"**The labeller abstained most** on {words(row['attribute'])}: {percentage(row)} of {row['n']:,.0f} "
        "images have a label ([on whom it is silent](01_silver_labels.ipynb))."
    )


def gap(comparison: pd.DataFrame, model: str, baseline: str) -> str:
    """How far one model leads the other, where least and most, and on how many classes."""
    silver = comparison[comparison["reference"] == "silver"]
    heads = {r["head"]: r for r in _known(silver, statistic="delta_macro_f1")}
    mean = heads.pop("mean", None)
    counts = silver.set_index("statistic")["value"]
    if mean is None or not heads or not {"classes_won", "classes_proved"} <= set(counts.index):
        return ""
    least, most = (end(heads.values(), key=lambda r: r["value"]) for end in (min, max))
    classes = silver.loc[silver["statistic"] == "classes_won", "n"].iloc[0]
    return (
        f"**{capital(called(model))} over {called(baseline)}**, against silver labels: {points(mean)} of "
        f"mean macro-F1, from {points(least)} on {words(least['head'])} to {points(most)} on "
        f"{words(most['head'])}; it is ahead on {counts['classes_won']:.0f} of {classes:.0f} classes, "
        f"{counts['classes_proved']:.0f} of them proved one by one "
        "([class by class](04_backbone_comparison.ipynb))."
    )


def coupled(coupling: pd.DataFrame, model: str, margin: float) -> str:
    """By how much more predictions couple attributes than the silver labels of the same images do."""
    rows = _known(coupling, model=model, rows="identical", statistic="delta_v_corrected")
    pairs = [row for row in rows if row["a"] != "all"]
    if not pairs:
        return ""
    most = max(pairs, key=lambda row: abs(row["value"]))
    mean = [row for row in rows if row["a"] == "all"]
    average = f" on average by {_with_ends(mean[0], sign=True)} and" if mean else ""
    return (
        f"**Coupling**: on the same images V of the predictions of {called(model)} differs from that of the "
        f"silver labels{average} most on {_pair(most)}, by {_with_ends(most, sign=True)}, n = "
        f"{most['n']:,.0f}; with a margin of ±{margin:g} the verdict there is “{most['verdict']}” "
        "([all pairs](05_orthogonality.ipynb))."
    )


def together(coupling: pd.DataFrame, model: str) -> str:
    """How much of a pair's coupling comes of errors that are made together."""
    rows = _known(coupling, model=model, rows="identical", statistic="excess")
    if not rows:
        return ""
    most = max(rows, key=lambda row: row["value"])
    clear = sum(row["low"] > 0 for row in rows)
    return (
        f"**Do heads err together?** V of {_pair(most)} is {_with_ends(most, sign=True)} above what "
        f"independent errors would give; the excess lies clearly above 0 in {clear} of {len(rows)} pairs "
        "([what honest heads would give](05_orthogonality.ipynb))."
    )


def _known(table: pd.DataFrame, **keys: object) -> list[dict]:
    """The rows of a table with these values in these columns, where there is an estimate."""
    for column, wanted in keys.items():
        table = table[table[column] == wanted]
    return table[table["value"].notna()].to_dict("records")


def _with_ends(row: dict, *, sign: bool = False) -> str:
    return estimate(row["value"], row["low"], row["high"], sign=sign)


def _pair(row: dict) -> str:
    return f"{words(row['a'])} × {words(row['b'])}"
