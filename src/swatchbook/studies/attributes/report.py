"""What the report of each kind of run says first: a lead, a headline table, claims or notes."""

from __future__ import annotations

import pandas as pd

from swatchbook.data.readers import published
from swatchbook.names import called
from swatchbook.pipeline.stage import Trace
from swatchbook.studies.attributes import folder_report
from swatchbook.studies.attributes.findings import findings
from swatchbook.studies.attributes.headline import headline_table, known_headline
from swatchbook.studies.attributes.settings import judge_of
from swatchbook.studies.attributes.tables import is_audited
from swatchbook.studies.figures import SUFFIXES

LEADS = {
    "published": "Every number of a published four-attribute study, computed again from its own predictions "
    "and audit: each with an interval, and each printed claim held against what the data says.",
    "drawn": "Garments drawn with known colour, pattern, material and texture, labelled, audited and trained "
    "on as photographs would be. The truth is known, so every estimator can be seen to be right or wrong. "
    "The auditor is simulated.",
    "textilenet": "TextileNet labelled by a zero-shot labeller, and two backbones trained on its labels by "
    "one recipe.",
    "folder": "Your own photographs, labelled by a labeller, and two models trained on its labels. A score "
    "against silver labels is agreement with that labeller; only a person's audit says what is true.",
    "nobody": "Nobody audited these labels: every score is agreement with the labeller, and says nothing of "
    "what is true. --audit FILE gives an audit.",
}


def content(trace: Trace) -> dict[str, object]:
    """What the report says of a run, as arguments of `report.page.write_page`."""
    if not trace.setting("train"):
        return folder_report.content(trace)
    data = trace.setting("data")
    makers = {"published": _published, "drawn": _drawn, "textilenet": _textilenet, "folder": _folder}
    figure = "figures/truth" if is_audited(trace) else "figures/backbone_gaps"
    for suffix in SUFFIXES:
        trace.path(f"{figure}{suffix}")
    shown = {"findings": findings(trace), "figure": trace.folder(figure)}
    return {"lead": LEADS[data], **shown, **makers[data](trace)}


def _published(trace: Trace) -> dict[str, object]:
    """Of the published study: its numbers and its claims."""
    numbers, claims = trace.table("tables/numbers.csv"), trace.table("tables/claims.csv")
    return {
        "headline": headline_table(numbers, trace.setting("baseline")),
        "claims": claims[["printed", "verdict", "sentence", "where"]],
        "inputs": published.pinned(),
    }


def _drawn(trace: Trace) -> dict[str, object]:
    """Of the drawn world: every estimate beside the truth."""
    return {
        "headline": known_headline(trace.table("tables/known.csv")),
        "headline_title": "What is true of the drawn world, and what the estimators say of it from the audit",
    }


def _textilenet(trace: Trace) -> dict[str, object]:
    """Of TextileNet: the models' scores by what they are held against."""
    shared = {"headline_title": "How well the models do, by what they are held against", **_claims(trace)}
    if trace.setting("labelling.audit") is not None:
        return {"headline": headline_of(trace.table("tables/three_columns.csv")), **shared}
    headline = headline_of(_silver_scores(trace.table("tables/scores.csv")))
    return {"lead": f"{LEADS['textilenet']} {LEADS['nobody']}", "headline": headline, **shared}


def _folder(trace: Trace) -> dict[str, object]:
    """Of a person's photographs: each score by what it was held against, and what to know of the run."""
    models = [trace.setting("model"), trace.setting("baseline")]
    if trace.setting("labelling.audit") is not None:
        truth = trace.table("tables/truth.csv")
        labels = (
            (truth["model"] == "silver")
            & (truth["estimator"] == "post_stratified")
            & (truth["class"] == "all")
        )
        labels = truth[labels & truth["statistic"].isin(["accuracy", "macro_f1"])]
        labels = labels.assign(against=judge_of(trace.setting("data")))
        scores = pd.concat([labels, trace.table("tables/three_columns.csv")])
    else:
        scores = _silver_scores(trace.table("tables/scores.csv"))
        scores = scores[scores["model"].isin(models)]
    notes = trace.table("tables/notes.csv").rename(columns={"about": "printed", "said": "sentence"})
    return {
        "headline": headline_of(scores),
        "headline_title": "How well the models do, by what they are held against",
        "claims": notes,
        "claims_title": "What to know of this run",
    }


def _claims(trace: Trace) -> dict[str, object]:
    claims = trace.table("tables/claims.csv")[["printed", "verdict", "sentence"]]
    return {"claims": claims, "claims_title": "The published study's claims, asked of this run"}


def _silver_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores over whole heads against silver labels, in the columns of `headline_of`."""
    scores = scores.rename(columns={"metric": "statistic"})
    whole = scores["statistic"].isin(["accuracy", "macro_f1"]) & (scores["class"] == "all")
    return scores[whole].assign(against="silver labels")


def headline_of(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores as text, for the report's first table.

    Args:
        scores: With ``model, head, statistic, against, value, low, high, n``; a value that is missing
            although its ends are there is a bound.
    """
    rows = scores.to_dict("records")
    return pd.DataFrame(
        {
            "what": [
                f"{called(r['model'])}, {r['head']}: {r['statistic'].replace('_f1', '-F1')}" for r in rows
            ],
            "against": [r["against"] for r in rows],
            "value": [_value(r) for r in rows],
            "interval": ["" if pd.isna(r["low"]) else f"{r['low']:.3f} to {r['high']:.3f}" for r in rows],
            "n": ["" if pd.isna(r["n"]) else f"{r['n']:,.0f}" for r in rows],
        }
    )


def _value(row: dict) -> str:
    if pd.notna(row["value"]):
        return f"{row['value']:.3f}"
    return "not estimable" if pd.isna(row["low"]) else "bound"
