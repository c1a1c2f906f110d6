"""What the report says of the challenge study first."""

from __future__ import annotations

import pandas as pd

from swatchbook.evaluation.operating_points import chosen_strengths
from swatchbook.names import called
from swatchbook.pipeline.stage import Trace
from swatchbook.report.verdicts import counted
from swatchbook.report.wording import estimate, joined, words
from swatchbook.studies.documents import read_numbers

METRICS = {"overall_accuracy": "overall accuracy", "aca": "average class accuracy"}
LEADS = {
    True: "Garments drawn with six known attributes, in the files of the fashion attribute challenge: both "
    "published systems, built small, and our recipe, trained and scored alike. No photograph is in it, so "
    "it shows that the study works, not how good the systems are.",
    False: "The photographs of the fashion attribute challenge: six attributes, 26 classes. Everything "
    "was chosen on parts cut from the training images; the validation images were scored once, at the end.",
}


def content(trace: Trace) -> dict[str, object]:
    """What the report says of a run, as arguments of `report.page.write_page`."""
    drawn = trace.location("source") is None
    scores = trace.table("tables/challenge_scores.csv")
    claims = trace.table("tables/challenge_claims.csv")
    shown = claims.assign(where="document " + claims["document"].astype(str) + ", " + claims["place"])
    return {
        "lead": LEADS[drawn],
        "findings": findings(trace, scores, claims, drawn),
        "figure": trace.path("figures/challenge_scores.png").with_suffix(""),
        "headline": headline_table(scores),
        "headline_title": "Every model on the validation images",
        "claims": shown[["printed", "verdict", "sentence", "where"]],
        "claims_title": "What the two documents claim, and what this run says",
    }


def findings(trace: Trace, scores: pd.DataFrame, claims: pd.DataFrame, drawn: bool) -> list[str]:
    """What was found, in five sentences."""
    whole = scores[scores["group"] == "all"].set_index(["model", "variant", "metric"])

    def scored(model: str, variant: str, metric: str) -> str:
        row = whole.loc[(model, variant, metric)]
        return estimate(row["value"], row["low"], row["high"])

    strengths = chosen_strengths(trace.table("tables/challenge_points.csv")).values()
    others = whole.xs("overall_accuracy", level="metric")["value"]
    published = others[
        [not name.startswith(("ours", "majority", "zero_shot", "probe")) for name, _ in others.index]
    ]
    sentences = [
        f"**Our recipe** reaches an overall accuracy of {scored('ours', 'plain', 'overall_accuracy')} on "
        f"{whole['n'].max():,.0f} images; a linear probe on frozen features "
        f"{scored('probe', 'plain', 'overall_accuracy')}, the zero-shot labeller "
        f"{scored('zero_shot', 'plain', 'overall_accuracy')}, always the most frequent class "
        f"{scored('majority', 'constant', 'overall_accuracy')} ([every model](07_challenge.ipynb)).",
        f"**Rare classes cost frequent ones**: with logits adjusted by a strength of {min(strengths):g} to "
        f"{max(strengths):g}, chosen on images cut from the training part, average class accuracy goes from "
        f"{scored('ours', 'plain', 'aca')} to {scored('ours', 'adjusted', 'aca')}, and overall accuracy to "
        f"{scored('ours', 'adjusted', 'overall_accuracy')}; a balanced probe has "
        f"{scored('probe_balanced', 'plain', 'aca')} by class.",
    ]
    if len(published):
        best = published.idxmax()
        sentences.append(
            f"**Of the published systems'** {len(published)} variants trained here, {called(best[0])} is "
            f"best: {scored(*best, 'overall_accuracy')} overall, {scored(*best, 'aca')} by class."
        )
    sentences.append(counted(claims, f"the two documents{', asked of drawn garments' * drawn}"))
    if drawn:
        known = trace.table("tables/challenge_known.csv")
        sentences.append(
            f"**The drawn world is known**: {int(known['covered'].sum())} of {len(known)} intervals hold the "
            "score on other images of it."
        )
    else:
        sentences.append(f"**Published**, on the secret test images: {joined(_printed())}.")
    return sentences


def _printed() -> list[str]:
    """The best score that each document prints of the test images."""
    numbers = read_numbers("challenge").astype({"value": float})
    tests = numbers[numbers["split"] == "test"]
    best = tests.loc[tests.groupby(["document", "metric"])["value"].idxmax()]
    return [f"{words(called(row.model))} {row.text} of {METRICS[row.metric]}" for row in best.itertuples()]


def headline_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Both scores of every model as text, best overall accuracy first."""
    whole = scores[scores["group"] == "all"]
    table = whole.set_index(["model", "variant", "metric"])
    order = whole[whole["metric"] == "overall_accuracy"].sort_values("value", ascending=False, kind="stable")
    rows = []
    for model, variant in order[["model", "variant"]].itertuples(index=False, name=None):
        own = {metric: table.loc[(model, variant, metric)] for metric in METRICS}
        name = words(called(model))
        row: dict[str, object] = {"what": name if variant in ("plain", "constant") else f"{name}, {variant}"}
        row |= {METRICS[m]: estimate(v["value"], v["low"], v["high"]) for m, v in own.items()}
        row["published"] = own["overall_accuracy"]["published"]
        row["n"] = f"{own['aca']['n']:,.0f}"
        rows.append(row)
    return pd.DataFrame(rows)
