"""What the report says of the landmarks study first."""

from __future__ import annotations

import numpy as np
import pandas as pd

from swatchbook.names import called
from swatchbook.pipeline.stage import Trace
from swatchbook.report.verdicts import counted
from swatchbook.report.wording import estimate, number, points, words
from swatchbook.studies.documents import OPEN, read_numbers, sign
from swatchbook.studies.landmarks.claims import ERROR, WORDS, Evidence
from swatchbook.studies.landmarks.systems import SYSTEMS

LEADS = {
    True: "Garments drawn with known landmarks, category and attributes, in DeepFashion's files: the thesis' "
    "network in small, trained with and without landmarks and against fair controls. No photograph is in it.",
    False: "Photographs of garments with their landmarks: the thesis' network, trained with and without "
    "landmarks and against fair controls. Everything was chosen on images that are not reported on.",
}


def content(trace: Trace) -> dict[str, object]:
    """What the report says of a run, as arguments of `report.page.write_page`."""
    drawn = trace.location("source") is None
    names = ("scores", "differences", "history", "systems", "counts")
    evidence = Evidence({name: trace.table(f"tables/landmark_{name}.csv") for name in names})
    claims = trace.table("tables/landmark_claims.csv")
    shown = claims.assign(where="thesis, " + claims["place"])
    return {
        "lead": LEADS[drawn],
        "findings": [
            *findings(evidence),
            counted(claims, f"the thesis{', asked of drawn garments' * drawn}"),
            _known(trace) if drawn else _printed(),
        ],
        "figure": trace.path("figures/landmark_controls.png").with_suffix(""),
        "headline": headline_table(evidence),
        "headline_title": "Every system, means over its seeds, on images that nothing was chosen on",
        "claims": shown[["printed", "verdict", "sentence", "where"]],
        "claims_title": "What the thesis claims, and what this run says",
    }


def findings(evidence: Evidence) -> list[str]:
    """What was found, in three sentences."""
    error, mean = evidence.score("mtl", ERROR), evidence.score("mean_position", ERROR)
    names = evidence.tables["scores"].query("task == 'landmarks'")["name"].unique()
    slots = [name for name in names if name != "mean"]
    each = {slot: evidence.score("mtl", ("landmarks", slot, *ERROR[2:]))["value"] for slot in slots}
    each = {slot: value for slot, value in each.items() if not np.isnan(value)}
    best, worst = min(each, key=each.get), max(each, key=each.get)
    sentences = [
        f"**MTL places landmarks** with an error of {_estimate(error)} of the box's side, on "
        f"{error['n']:,.0f} visible points; putting each where it lies on average, {_estimate(mean)}. "
        f"Easiest is the {words(best)} ({number(each[best])}), hardest the {words(worst)} "
        f"({number(each[worst])}) ([all of them](09_landmarks.ipynb))."
    ]
    told = [
        f"{WORDS[key]} {_estimate(evidence.score('mtl', key))} with landmarks (MTL) and "
        f"{_estimate(evidence.score('cat', key))} without (CAT), constant answers "
        f"{number(evidence.score('majority', key)['value'])}: "
        f"{points(evidence.difference('mtl', 'cat', key))}, paired"
        for key in evidence.answers
    ]
    if told:
        sentences.append(f"**With and without landmarks**: {'; '.join(told)}.")
    names = {
        "attention_only": "attention without landmark loss",
        "loss_only": "landmark loss without attention",
        "cat_large": "as many parameters in wider branches",
        "shuffled": "other images' landmarks",
    }
    key, trained = evidence.answers[0], set(evidence.tables["differences"]["model"])
    parts = [
        f"{words_of} {points(row)}{'' if sign(row) == OPEN else ' (proved)'}"
        for model, words_of in names.items()
        if model in trained
        for row in [evidence.difference(model, "cat", key)]
    ]
    if parts:
        sentences.append(f"**Which part it is**, over CAT in {WORDS[key]}: {', '.join(parts)}.")
    return sentences


def _printed() -> str:
    published = read_numbers("landmarks").astype({"k": object})
    printed = published[(published["task"] == "category") & (published["k"] == 3)].drop_duplicates("model")
    top = printed.set_index("model")["text"]
    return (
        f"**Printed**, on DeepFashion's benchmark, top-3 category accuracy: MTL {top['mtl']}, CAT "
        f"{top['cat']}, Liu and Lu {top['Liu et al.']}; always answering the three most frequent categories "
        "reaches .462 there."
    )


def _known(trace: Trace) -> str:
    known = trace.table("tables/landmark_known.csv")
    return (
        f"**The drawn world is known**: {int(known['covered'].sum())} of {len(known)} intervals hold what "
        "they should."
    )


def _estimate(row: pd.Series) -> str:
    return estimate(row["value"], row["low"], row["high"])


def headline_table(evidence: Evidence) -> pd.DataFrame:
    """What is asked first, and the error of landmarks, of every system and baseline, as text."""
    scores, systems = evidence.tables["scores"], evidence.tables["systems"]
    parameters = systems.drop_duplicates("model").set_index("model")["parameters"]
    rows = []
    for model in scores["model"].unique():
        row: dict[str, object] = {"what": words(called(model))}
        row["change"] = SYSTEMS[model].what if model in SYSTEMS else "sees no image"
        for key in (*evidence.answers, ERROR):
            own = _at_or_none(evidence, model, key)
            row[WORDS[key]] = "" if own is None else _estimate(own)
        row["parameters"] = f"{parameters[model]:,}" if model in parameters else ""
        rows.append(row)
    return pd.DataFrame(rows)


def _at_or_none(evidence: Evidence, model: str, key: tuple) -> pd.Series | None:
    try:
        return evidence.score(model, key)
    except LookupError:
        return None
