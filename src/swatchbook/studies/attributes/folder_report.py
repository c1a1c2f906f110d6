"""What the report of a folder says where nothing was trained: the labels, and how right they are."""

from __future__ import annotations

import pandas as pd

from swatchbook.pipeline.stage import Trace
from swatchbook.report.wording import capital, estimate, joined, percentage, words
from swatchbook.studies.attributes.settings import judge_of
from swatchbook.studies.figures import SUFFIXES

LEAD = (
    "Your own photographs, labelled by a labeller. The contact sheet beside this page, sheet.html, shows "
    "each of them with its labels, to filter, sort and correct."
)
STATISTICS = {"accuracy": "accuracy", "macro_f1": "macro-F1"}


def content(trace: Trace) -> dict[str, object]:
    """What the report says of such a run, as arguments of `report.page.write_page`."""
    audited = trace.setting("labelling.audit") is not None
    audit = trace.table("tables/audit.csv") if audited else None
    judge = judge_of(trace.setting("data"))
    coverage, asked = trace.table("tables/coverage.csv"), trace.table("tables/asked.csv")
    for suffix in SUFFIXES:
        trace.path(f"figures/label_coverage{suffix}")
    notes = trace.table("tables/notes.csv").rename(columns={"about": "printed", "said": "sentence"})
    told = [labelled(coverage), expected(asked), left_out(asked), right(audit, judge), commonest(coverage)]
    return {
        "lead": LEAD,
        "findings": [sentence for sentence in told if sentence],
        "figure": trace.folder("figures/label_coverage"),
        "headline": headline(coverage, asked, audit, judge),
        "headline_title": "How much is labelled, and how right the labels are",
        "claims": notes,
        "claims_title": "What to know of this run",
    }


def labelled(coverage: pd.DataFrame) -> str:
    """The share of the photographs that has each label."""
    rows = _whole(coverage)
    if not rows:
        return ""
    shares = joined([f"{words(row['attribute'])} to {percentage(row)}" for row in rows])
    return (
        f"**Of {rows[0]['n']:,.0f} photographs** the labeller gave a label of {shares}; of the others it was "
        "not sure enough ([the numbers](#headline))."
    )


def expected(asked: pd.DataFrame) -> str:
    """How right the labeller was on the photographs that it was measured on."""
    rows = asked[asked["labelled"] & asked["value"].notna()].to_dict("records")
    if not rows:
        return "**How right this labeller is on photographs was not measured.** An audit of these would say."
    shares = [
        f"{words(row['attribute'])} in {percentage(row)}, n = {row['n']:,.0f} (always naming the commonest "
        f"class would be in {100 * row['majority']:.1f}\u00a0%)"
        for row in rows
    ]
    return (
        f"**Where it was measured**, on photographs that {rows[0]['judged_by']}, judged, this labeller was "
        f"right about {joined(shares)}, sure or not."
    )


def left_out(asked: pd.DataFrame) -> str:
    """The attributes that are not labelled, and why."""
    rows = asked[~asked["labelled"]]
    if rows.empty:
        return ""
    return " ".join(f"**{capital(words(row.attribute))}** is {row.said}." for row in rows.itertuples())


def right(audit: pd.DataFrame | None, judge: str) -> str:
    """The share of the labels that is right, by the audit of these photographs."""
    if audit is None:
        return (
            "**Nobody audited these labels**, so nothing here says how many of them are right. `swatchbook "
            "audit draw` draws which photographs to judge; --audit FILE takes the answers."
        )
    rows = _of_labels(audit, "accuracy")
    if not rows:
        return ""
    shares = [f"{percentage(row)} of {words(row['attribute'])} (n = {row['n']:,.0f})" for row in rows]
    return (
        f"**By the audit of these photographs**, of the labels given {joined(shares)} are right, as the "
        f"{judge} saw them."
    )


def commonest(coverage: pd.DataFrame) -> str:
    """The commonest class of each attribute, by its share of the labels."""
    shares = coverage[(coverage["metric"] == "share") & coverage["value"].notna()]
    if shares.empty:
        return ""
    top = shares.loc[shares.groupby("attribute", sort=False)["value"].idxmax()].to_dict("records")
    told = joined([f"{words(row['class'])} ({percentage(row)} of {words(row['attribute'])})" for row in top])
    return f"**The commonest labels** are {told}."


def headline(
    coverage: pd.DataFrame, asked: pd.DataFrame, audit: pd.DataFrame | None, judge: str
) -> pd.DataFrame:
    """Every number on the labels as text: ``what, against, value, n``, by attribute."""
    rows = []
    for covered in _whole(coverage):
        name = covered["attribute"]
        rows.append((name, "share labelled", "counted", covered))
        for statistic, called in STATISTICS.items():
            found = [row for row in _of_labels(audit, statistic) if row["attribute"] == name]
            rows += [(name, f"{called} of the labels", judge, row) for row in found]
        measured = asked[(asked["attribute"] == name) & asked["value"].notna()].to_dict("records")
        rows += [
            (name, "accuracy where it was measured, sure or not", row["judged_by"], row) for row in measured
        ]
    return pd.DataFrame(
        {
            "what": [f"{words(name)}: {what}" for name, what, _, _ in rows],
            "against": [against for _, _, against, _ in rows],
            "value": [estimate(row["value"], row["low"], row["high"]) for *_, row in rows],
            "n": [f"{row['n']:,.0f}" for *_, row in rows],
        }
    )


def _whole(coverage: pd.DataFrame) -> list[dict]:
    return coverage[(coverage["metric"] == "coverage") & (coverage["class"] == "all")].to_dict("records")


def _of_labels(audit: pd.DataFrame | None, statistic: str) -> list[dict]:
    """Scores of the labels given, by design, where they are estimable."""
    if audit is None:
        return []
    chosen = (audit["class"] == "all") & (audit["statistic"] == statistic) & (audit["weighting"] == "design")
    chosen &= (audit["abstained"] == "left_out") & audit["value"].notna()
    return audit[chosen].to_dict("records")
