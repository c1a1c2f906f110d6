"""What the report says of a labeller first."""

from __future__ import annotations

import pandas as pd

from swatchbook.evaluation.labelling import ALL, KEPT, MAJORITY, NEAREST
from swatchbook.pipeline.stage import Trace
from swatchbook.report.wording import estimate, joined, number, percentage, points, words
from swatchbook.studies.figures import SUFFIXES
from swatchbook.studies.labeller.measure import NAMES_OF_SETS

LEAD = (
    "A zero-shot labeller, measured: on garments drawn for the purpose, whose attributes are known, and, "
    "where they were given, on judged photographs; the notes say who judged them. The labeller in the box "
    "was trained on drawings and on photographs of one collection; only yours say what it is worth on yours."
)
FIGURE = "figures/labeller_f1"


def gain_claims(scores: pd.DataFrame) -> pd.DataFrame:
    """Whether the labels kept at the thresholds are right more often than all labels.

    Args:
        scores: The table ``scores``.

    Returns:
        ``printed, verdict, sentence``, a row for each set of images and attribute. The interval of the
        paired difference decides: ``holds`` if it lies above 0, ``unresolved`` if only its end does.
    """
    rows = []
    for row in scores[scores["metric"] == "accuracy_gain"].itertuples():
        gain = points({"value": row.value, "low": row.low, "high": row.high})
        said = f"Accuracy of those kept less that of all: {gain}; {row.n:,.0f} are kept."
        verdict = "holds" if row.low > 0 else "does not hold" if row.high <= 0 else "unresolved"
        if row.value == row.low == row.high == 0:
            said = "The threshold lies below every confidence: all labels are kept, and nothing is gained."
        if not row.n:
            said, verdict = "The threshold lies above every confidence: no label is kept.", "not estimable"
        where = NAMES_OF_SETS[row.images]
        claim = f"On {where}, the labels of {row.attribute} that are kept are right more often."
        rows.append({"printed": claim, "verdict": verdict, "sentence": said})
    return pd.DataFrame(rows, columns=["printed", "verdict", "sentence"])


def content(trace: Trace) -> dict[str, object]:
    """What the report says of a labeller, as arguments of `report.page.write_page`."""
    scores = trace.table("tables/labeller_scores.csv")
    notes = trace.table("tables/notes.csv").rename(columns={"about": "printed", "said": "sentence"})
    for suffix in SUFFIXES:
        trace.path(f"{FIGURE}{suffix}")
    return {
        "lead": LEAD,
        "findings": findings(scores),
        "figure": trace.folder(FIGURE),
        "headline": headline_table(scores),
        "headline_title": "How good the labels are, and what they must beat",
        "claims": pd.concat([gain_claims(scores), notes.assign(verdict=None)]),
        "claims_title": "What thresholds do, and what to know of this run",
    }


def findings(scores: pd.DataFrame) -> list[str]:
    """What was found, in five sentences of Markdown; what is not estimable is left out.

    Args:
        scores: The table ``scores``. Photographs come first, where there are any.
    """
    whole, told = scores[scores["class"] == "all"], []
    sets = sorted(scores["images"].unique(), key="drawn".__eq__)
    for images in sets:
        right = _rows(whole[whole["images"] == images], "accuracy", ALL)
        shares = [f"{percentage(row)} of {words(row['attribute'])}" for row in right]
        if shares:
            told.append(
                f"**On {NAMES_OF_SETS[images]}** the labels are right in {joined(shares)}, {_counts(right)} "
                "([by attribute and class](10_labeller.ipynb))."
            )
    here, where = whole[whole["images"] == sets[0]], f"on {NAMES_OF_SETS[sets[0]]}"
    gains = _rows(here, "macro_f1_gain", ALL)
    if gains:
        differences = [f"{points(row)} on {words(row['attribute'])}" for row in gains]
        told.append(
            "**Over a simple rule**, the named colour nearest to the centre's mean, macro-F1 differs "
            f"{where} by {joined(differences)} ([both](10_labeller.ipynb))."
        )
    errors = _rows(here, "ece", ALL)
    if errors:
        row = max(errors, key=lambda row: row["value"])
        told.append(
            f"**Confidence** {where} is furthest from being right on {words(row['attribute'])}: calibration "
            f"error {estimate(row['value'], row['low'], row['high'])} ([the curve](10_labeller.ipynb))."
        )
    kept = _rows(here, "accuracy_gain", KEPT)
    if kept:
        row = max(kept, key=lambda row: row["value"])
        (share,) = (r for r in _rows(here, "coverage", KEPT) if r["attribute"] == row["attribute"])
        told.append(
            f"**Thresholds** help {where} most on {words(row['attribute'])}: the {percentage(share)} of "
            f"labels that are kept differ by {points(row)} of accuracy ([what abstaining "
            "brings](10_labeller.ipynb))."
        )
    if set(sets) == {"drawn"}:
        told.append("**No photographs were given**, so its worth on yours was not measured here.")
    return told


def _counts(rows: list[dict]) -> str:
    """``n = 1,713`` or ``n = 1,713–2,000``."""
    fewest, most = (end(row["n"] for row in rows) for end in (min, max))
    return f"n = {fewest:,.0f}" + (f"–{most:,.0f}" if most > fewest else "")


def _rows(scores: pd.DataFrame, metric: str, labels: str) -> list[dict]:
    """The estimates of a metric, a row an attribute."""
    chosen = (scores["metric"] == metric) & (scores["labels"] == labels) & scores["value"].notna()
    return scores[chosen].to_dict("records")


def headline_table(scores: pd.DataFrame) -> pd.DataFrame:
    """How good a labeller is, a row for each set of images and attribute.

    Args:
        scores: From `swatchbook.evaluation.labelling.labelling_scores`, with ``images`` beside it.

    Returns:
        Columns as text, values with their intervals: of all labels macro-F1, beside that of the better
        baseline, accuracy, and calibration error.
    """
    whole = scores[scores["class"] == "all"].set_index(["images", "attribute", "labels", "metric"])

    def told(images: str, attribute: str, metric: str) -> str:
        row = whole.loc[(images, attribute, ALL, metric)]
        return estimate(row["value"], row["low"], row["high"], 2)

    keys = whole.index[
        whole.index.isin([ALL], level="labels") & whole.index.isin(["accuracy"], level="metric")
    ]
    return pd.DataFrame(
        {
            "what": f"{'drawn images' if images == 'drawn' else images}, {attribute}",
            "n": f"{whole.loc[(images, attribute, ALL, 'accuracy'), 'n']:,.0f}",
            "macro-F1": told(images, attribute, "macro_f1"),
            "to beat": _to_beat(whole, images, attribute),
            "accuracy": told(images, attribute, "accuracy"),
            "calibration error": told(images, attribute, "ece"),
        }
        for images, attribute, _, _ in keys
    )


def _to_beat(whole: pd.DataFrame, images: str, attribute: str) -> str:
    """The better baseline's macro-F1, and which it is."""
    said = {MAJORITY: "commonest class", NEAREST: "nearest colour"}
    keys = {name: (images, attribute, name, "macro_f1") for name in said}
    found = {name: whole.loc[key, "value"] for name, key in keys.items() if key in whole.index}
    best = max(found, key=lambda name: found[name])
    return f"{number(found[best], 2)}, {said[best]}"
