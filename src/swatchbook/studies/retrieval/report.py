"""What the report says of the retrieval study first."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pandas as pd

from swatchbook.evaluation.attributes import ATTRIBUTES, CATEGORY, TIERS
from swatchbook.evaluation.retrieval import DIRECTIONS, EXACT
from swatchbook.names import called
from swatchbook.pipeline.stage import Trace
from swatchbook.report.verdicts import counted
from swatchbook.report.wording import estimate, joined, number, words
from swatchbook.studies.documents import NotAskedError
from swatchbook.studies.retrieval.claims import Evidence, estimate_of
from swatchbook.studies.retrieval.systems import SYSTEMS

LEADS = {
    True: "Drawn garments with captions, in the files of DeepFashion-MultiModal: a dual encoder of images "
    "and texts, trained small, with category and attributes on top of it. No photograph is in it, so it "
    "shows that the study works, not how good the published system is.",
    False: "Photographs with captions: a dual encoder of images and texts, with category and attributes on "
    "top of it. Epochs were chosen on the validation part; the test part was scored once, at the end.",
}
HEADLINE = {
    "image to text, R@10": (EXACT, DIRECTIONS[0], "recall", 10),
    "text to image, R@10": (EXACT, DIRECTIONS[1], "recall", 10),
    "category": (CATEGORY, "", "accuracy", 1),
    "fabric, macro-F1": (f"{TIERS} fabric", "", "macro_f1", np.nan),
    "pattern, macro-F1": (f"{TIERS} pattern", "", "macro_f1", np.nan),
    "all 18, macro-F1": (f"{TIERS} mean", "", "macro_f1", np.nan),
}


def content(trace: Trace) -> dict[str, object]:
    """What the report says of a run, as arguments of `report.page.write_page`."""
    drawn, systems = trace.location("source") is None, trace.setting("systems")
    names = ("scores", "differences", "systems", "counts", "claims")
    tables = {name: trace.table(f"tables/retrieval_{name}.csv") for name in names}
    evidence = Evidence(tables, tuple(systems), drawn=drawn)
    claims = tables["claims"]
    shown = claims.assign(where="document " + claims["document"].astype(str) + ", " + claims["place"])
    return {
        "lead": LEADS[drawn],
        "findings": findings(trace, evidence, claims),
        "figure": trace.path("figures/retrieval_recall.png").with_suffix(""),
        "headline": headline_table(tables["scores"]),
        "headline_title": "Every model on the test images",
        "claims": shown[["printed", "verdict", "sentence", "where"]],
        "claims_title": "What the document claims, and what this run says",
    }


def findings(trace: Trace, evidence: Evidence, claims: pd.DataFrame) -> list[str]:
    """What was found, in five sentences."""
    name = evidence.name
    ceiling = evidence.row("captions", "", EXACT, "recall", 10, DIRECTIONS[0])
    chance = evidence.row("chance", "", EXACT, "recall", 10, DIRECTIONS[0])
    pool = evidence.recall(name, DIRECTIONS[0])["pool"]
    sentences = [
        f"**Search**: among {pool:,.0f} test images the own caption, or the own image, is one of the first "
        f"ten for {evidence.both(name)} of the queries; chance is {number(chance['value'])}, and captions "
        f"that repeat allow no more than {number(ceiling['value'])} ([all ranks](08_retrieval.ipynb))."
    ]
    with suppress(NotAskedError):
        sentences += _of_readers(evidence)
    sentences.append(counted(claims, f"the document{', asked of drawn garments' * evidence.drawn}"))
    if evidence.drawn:
        known = trace.table("tables/retrieval_known.csv")
        estimable = known[known["low"].notna()]
        sentences.append(
            f"**The drawn world is known**: {int(estimable['covered'].sum())} of {len(estimable)} intervals "
            "hold the score on many other images of it."
        )
    else:
        with suppress(NotAskedError):
            sentences.append(_of_attributes(evidence))
    return sentences


def _of_readers(evidence: Evidence) -> list[str]:
    """Sentences about category and attributes, and what learning them does to retrieval."""
    name = evidence.readers()[0]
    key, start = SYSTEMS[name].key, SYSTEMS[name].start
    probes = {
        what: evidence.row("probe_balanced", "frozen features", f"{TIERS} {what}", "macro_f1")
        for what in ("fabric", "pattern")
    }
    told = joined(
        [
            f"{what} {estimate_of(evidence.row(*key, f'{TIERS} {what}', 'macro_f1'))} (a balanced linear "
            f"probe {estimate_of(row)})"
            for what, row in probes.items()
        ]
    )
    sentences = [
        "**Attributes**: the same checkpoint reads the category of "
        f"{estimate_of(evidence.row(*key, CATEGORY, 'accuracy', 1))} rightly (the most frequent one: "
        f"{estimate_of(evidence.row('majority', '', CATEGORY, 'accuracy', 1))}); macro-F1 of {told}.",
    ]
    if start in evidence.systems:
        before = [evidence.recall(start, way) for way in DIRECTIONS]
        sentences.append(
            f"**What learning attributes does to search**: recall at 10 was {evidence.both(start)} before it "
            f"({before[0]['n']:,.0f} queries), and is {evidence.both(name)} after it."
        )
    return sentences


def _of_attributes(evidence: Evidence) -> str:
    """Recall of attributes beside a constant answer."""
    key = SYSTEMS[evidence.readers()[0]].key
    prior = evidence.row("constant prior", "", ATTRIBUTES, "recall", 5)
    return (
        f"**Recall at 5** of its attributes is {estimate_of(evidence.row(*key, ATTRIBUTES, 'recall', 5))}; "
        f"always answering the most frequent ones reaches {estimate_of(prior)}, and six positives an image "
        "allow .833."
    )


def headline_table(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores of every model and stage as text."""
    wanted = scores.fillna({"stage": "", "direction": ""})
    rows = []
    for (model, stage), own in wanted.groupby(["model", "stage"], sort=False):
        row: dict[str, object] = {
            "what": f"{words(called(model))}, {stage}" if stage else words(called(model))
        }
        for title, (task, direction, metric, k) in HEADLINE.items():
            kept = (own["task"] == task) & (own["direction"] == direction) & (own["metric"] == metric)
            found = own[kept & (own["k"].isna() if np.isnan(k) else own["k"] == k)]
            row[title] = estimate(*found[["value", "low", "high"]].iloc[0].tolist()) if len(found) else ""
        if any(row[title] for title in HEADLINE):
            rows.append(row)
    return pd.DataFrame(rows)
