"""What a run found, a sentence each, for the head of its report: every number is read from the run's tables.

A sentence whose numbers are not estimable is left out. Links lead to the chapter that shows the evidence.
"""

from __future__ import annotations

import pandas as pd

from swatchbook.data import duplicates
from swatchbook.data.images import left_out
from swatchbook.evaluation.known import KNOWN
from swatchbook.names import called
from swatchbook.pipeline.stage import Trace
from swatchbook.report.verdicts import counted
from swatchbook.report.wording import capital, estimate, joined, number, percentage, points, words
from swatchbook.studies.attributes.settings import judge_of
from swatchbook.studies.attributes.tables import is_audited

POST_STRATIFIED = {"estimator": "post_stratified", "class": "all"}
UNAUDITED = (
    "**Nobody audited these labels.** Every score is agreement with the labeller and says nothing of what "
    "is true."
)


def findings(trace: Trace) -> list[str]:
    """Five sentences on what a run found, and what a reader must know of its images, in Markdown."""
    data, judge = trace.setting("data"), judge_of(trace.setting("data"))
    model, baseline, margin = (trace.setting(k) for k in ("model", "baseline", "evaluation.margin"))
    comparison, coupling = trace.table("tables/comparison.csv"), trace.table("tables/coupling.csv")
    told = []
    if data == "published":
        told.append(printed(trace.table("tables/numbers.csv"), trace.table("tables/claims.csv")))
    if is_audited(trace):
        truth = trace.table("tables/truth.csv")
        told += [labels_right(truth, judge), agreement(truth, model, judge)]
    else:
        told += [UNAUDITED, baselines(trace.table("tables/scores.csv"), model)]
    told += [gap(comparison, model, baseline), coupled(coupling, model, margin)]
    if data == "drawn":
        told.append(known_truths(trace.table("tables/known.csv"), trace.setting("evaluation.level")))
    elif data != "published":
        told.append(least_labelled(trace.table("tables/coverage.csv")))
    told += facts_of_images(trace) if data in ("drawn", "textilenet") else []
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
        f"them**, each meant to hold in {100 * level:.0f} % of audits ([all of "
        f"them](#headline)){'; missed: ' + '; '.join(missed) if missed else ''}."
    )


def printed(numbers: pd.DataFrame, claims: pd.DataFrame) -> str:
    """How many printed numbers come out again, and what becomes of the claims."""
    testable = numbers[numbers["verdict"] != "not in the exports"]
    again = (testable["verdict"] == "reproduced").sum()
    return (
        f"**{again} of {len(testable)} printed numbers come out again** ([the main ones](#headline)). "
        f"{counted(claims, 'the published study')}"
    )


def labels_right(truth: pd.DataFrame, judge: str) -> str:
    """The share of the silver labels that is right, by attribute; beside it the truth, where it is known."""
    rows = _known(truth, model="silver", statistic="accuracy", **POST_STRATIFIED)
    if not rows:
        return ""
    true = {
        r["head"]: r["value"] for r in _known(truth, model="silver", statistic="accuracy", estimator=KNOWN)
    }
    shares = [f"{percentage(row)} of {words(row['head'])}" for row in rows]
    known = [f"{number(100 * true[row['head']], 1)}\u00a0%" for row in rows if row["head"] in true]
    return (
        f"**Silver labels are right** in {joined(shares)}, by the {rows[0]['n']:,.0f} images that the "
        f"{judge} judged{'; the known truth is ' + joined(known) if known else ''} ([the "
        "audit](02_audit.ipynb))."
    )


def agreement(truth: pd.DataFrame, model: str, judge: str) -> str:
    """Where scores against the judge and silver labels are furthest apart, and what the latter bound."""
    silver, known = (
        {r["head"]: r for r in _known(truth, model=model, estimator=name, statistic="macro_f1")}
        for name in ("silver", KNOWN)
    )
    pairs = [
        (silver[row["head"]], row)
        for row in _known(truth, model=model, statistic="macro_f1", **POST_STRATIFIED)
        if row["head"] in silver
    ]
    if not pairs:
        return ""
    by_silver, by_judge = max(pairs, key=lambda pair: abs(pair[0]["value"] - pair[1]["value"]))
    head = by_judge["head"]
    true = f" (known truth {number(known[head]['value'])})" if head in known else ""
    bound = truth[(truth["model"] == model) & (truth["estimator"] == "bound") & (truth["head"] == head)]
    ends = [f"{number(bound[end].iloc[0], 2)}" for end in ("low", "high") if bound[end].notna().any()]
    return (
        f"**Agreement with silver labels is not truth**: the macro-F1 of {called(model)} on {words(head)} is "
        f"{_with_ends(by_silver)} against silver labels and {_with_ends(by_judge)} against the {judge}{true}"
        + (f"; agreement alone leaves its accuracy anywhere from {' to '.join(ends)}" if ends else "")
        + " ([all of them](02_audit.ipynb))."
    )


def baselines(scores: pd.DataFrame, model: str) -> str:
    """A model's agreement with silver labels beside two answers that see no image."""
    rows = {r["model"]: r for r in _known(scores, head="mean", metric="macro_f1", **{"class": "all"})}
    if model not in rows:
        return ""
    blind = [f"{called(m)} {_with_ends(rows[m])}" for m in ("majority", "fabric_folder") if m in rows]
    return (
        f"**Against silver labels** the mean macro-F1 of {called(model)} is {_with_ends(rows[model])}, n = "
        f"{rows[model]['n']:,.0f}; without a look at the image: {joined(blind)}."
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
        f"{counts['classes_proved']:.0f} of them proved one by one ([class by "
        "class](04_backbone_comparison.ipynb))."
    )


def coupled(coupling: pd.DataFrame, model: str, margin: float) -> str:
    """How far predictions couple attributes otherwise than silver labels, and than independent errors."""
    rows = _known(coupling, model=model, rows="identical", statistic="delta_v_corrected")
    pairs = [row for row in rows if row["a"] != "all"]
    if not pairs:
        return ""
    most = max(pairs, key=lambda row: abs(row["value"]))
    mean = [row for row in rows if row["a"] == "all"]
    average = f"by {_with_ends(mean[0], sign=True)} on average and " if mean else ""
    excess = _known(coupling, model=model, rows="identical", statistic="excess")
    clear = sum(row["low"] > 0 for row in excess)
    together = f"; errors of two heads go together in {clear} of {len(excess)} pairs" if excess else ""
    return (
        f"**Coupling**: on the same images V of the predictions of {called(model)} differs from that of the "
        f"silver labels {average}by {_with_ends(most, sign=True)} on {_pair(most)} (n = {most['n']:,.0f}; at "
        f"a margin of ±{margin:g} “{most['verdict']}”){together} ([all pairs](05_orthogonality.ipynb))."
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
