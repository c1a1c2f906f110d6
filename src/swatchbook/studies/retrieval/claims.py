"""What the document claims, asked of a run: a verdict and a sentence each, filled from its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from swatchbook.evaluation.attributes import ATTRIBUTES, CATEGORY, TIERS
from swatchbook.evaluation.likeness import METRIC, TASK
from swatchbook.evaluation.resample import z_value
from swatchbook.evaluation.retrieval import DIRECTIONS, EXACT
from swatchbook.pipeline.stage import Trace
from swatchbook.report.wording import estimate, joined, number, points
from swatchbook.studies.documents import (
    HOLDS,
    NOT,
    OPEN,
    PART,
    UNASKED,
    NotAskedError,
    Verdict,
    read_numbers,
    sign,
    verdicts,
)
from swatchbook.studies.retrieval.systems import ITEM, RANDOM, SYSTEMS, shown
from swatchbook.studies.retrieval.tables import VERSIONS

POOL = 6383  # published
PUBLISHED_IMAGES = (44096, 42544)  # with labels, and with captions


class Evidence:
    """A run's tables, asked by what a row is about; `NotAskedError` where the run cannot answer.

    Attributes:
        systems: Those that the run trained.
        drawn: Whether its images are drawn.
        tables: Name → table, without the study's name.
    """

    def __init__(self, tables: Mapping[str, pd.DataFrame], systems: tuple[str, ...], *, drawn: bool) -> None:
        self.tables, self.systems, self.drawn = tables, systems, drawn

    @property
    def name(self) -> str:
        """The system that is shown."""
        return shown(self.systems)

    def require(self, *names: str) -> None:
        """Refuse what was not trained."""
        missing = [f"{SYSTEMS[n].model} ({SYSTEMS[n].stage})" for n in names if n not in self.systems]
        if missing:
            raise NotAskedError(f"This run has not trained {joined(missing)}.")

    def row(
        self, model: str, stage: str, task: str, metric: str, k: float = np.nan, way: str = ""
    ) -> pd.Series:
        """A score."""
        table = self.tables["scores"]
        kept = (table["model"] == model) & (table["stage"].fillna("") == stage) & (table["task"] == task)
        kept &= (table["metric"] == metric) & (table["direction"].fillna("") == way)
        kept &= table["k"].isna() if np.isnan(k) else table["k"] == k
        if not kept.any():
            raise NotAskedError("No system of this run answers that.")
        return table[kept].iloc[0]

    def recall(self, name: str, way: str, k: int = 10) -> pd.Series:
        """Recall of exact pairs of a system."""
        self.require(name)
        return self.row(*SYSTEMS[name].key, EXACT, "recall", k, way)

    def both(self, name: str, k: int = 10) -> str:
        """Recall both ways, in words."""
        return joined([f"{estimate_of(self.recall(name, way, k))} {way}" for way in DIRECTIONS])

    def difference(
        self, name: str, other: str, task: str, metric: str, k: float = np.nan, way: str = ""
    ) -> pd.Series:
        """A paired difference of two systems."""
        self.require(name, other)
        table = self.tables["differences"]
        (model, stage), (baseline, before) = SYSTEMS[name].key, SYSTEMS[other].key
        kept = (table["model"] == model) & (table["stage"] == stage) & (table["task"] == task)
        kept &= (
            (table["baseline"] == baseline)
            & (table["baseline_stage"] == before)
            & (table["metric"] == metric)
        )
        kept &= table["direction"].fillna("") == way
        kept &= table["k"].isna() if np.isnan(k) else table["k"] == k
        return table[kept].iloc[0]

    def readers(self) -> list[str]:
        """Systems that read category and attributes, the one shown first."""
        found = [n for n in self.systems if SYSTEMS[n].heads]
        if not found:
            raise NotAskedError("No system of this run reads category and attributes.")
        return sorted(found, key=lambda n: n != self.name)


def estimate_of(row: Mapping) -> str:
    """A score with its interval."""
    return estimate(row["value"], row["low"], row["high"])


def claim_table(trace: Trace) -> None:
    """The document's claims, each with a verdict and one sentence from this run."""
    names = ("scores", "differences", "systems", "counts")
    tables = {name: trace.table(f"tables/retrieval_{name}.csv") for name in names}
    evidence = Evidence(tables, trace.setting("systems"), drawn=trace.location("source") is None)
    trace.write_table("tables/retrieval_claims.csv", verdicts("retrieval", CLAIMS, evidence))


def _fact(verdict: str, sentence: str) -> Callable[[Evidence], Verdict]:
    """What needs no run."""
    return lambda _: (verdict, sentence)


# ---- the claims -----------------------------------------------------------------------------------------


def _above(rows: Sequence[tuple[Mapping, float]]) -> tuple[str, int]:
    """Whether scores are above what is trivial, and how many of them are."""
    above = [row["low"] > trivial for row, trivial in rows]
    below = any(row["high"] < trivial for row, trivial in rows)
    verdict = HOLDS if all(above) else NOT if below else PART if any(above) else OPEN
    return verdict, sum(above)


def _one_checkpoint(evidence: Evidence) -> Verdict:
    name = evidence.readers()[0]
    system = SYSTEMS[name]
    chance = evidence.row("chance", "", EXACT, "recall", 10, DIRECTIONS[0])["value"]
    rows = [(evidence.recall(name, way), chance) for way in DIRECTIONS]
    for task, metric, k, trivial in (
        (CATEGORY, "accuracy", 1, "majority"),
        (ATTRIBUTES, "recall", 5, "constant prior"),
    ):
        floor = evidence.row(trivial, "", task, metric, k)["value"]
        rows.append((evidence.row(*system.key, task, metric, k), floor))
    verdict, above = _above(rows)
    changes = []
    for other in evidence.readers():
        start = SYSTEMS[other].start
        if start and start in evidence.systems:
            moved = [evidence.difference(other, start, EXACT, "recall", 10, way) for way in DIRECTIONS]
            told = joined([f"{points(row)} {way}" for row, way in zip(moved, DIRECTIONS, strict=True)])
            changes.append(f"{SYSTEMS[other].model}, {SYSTEMS[other].stage}: {told}")
    return verdict, (
        f"One checkpoint ({system.model}, {system.stage}) is above what needs no image in "
        f"{above} of its four "
        f"tasks; recall at 10 after the second stage less before it: {'; '.join(changes)}."
    )


def _printed(direction: str) -> float:
    table = read_numbers("retrieval")
    kept = (table["document"] == "002") & (table["task"] == EXACT) & (table["direction"] == direction)
    return float(table.loc[kept & (table["k"] == 10), "value"].iloc[0])


def _recall_at_ten(direction: str) -> Callable[[Evidence], Verdict]:
    def judge(evidence: Evidence) -> Verdict:
        row = evidence.recall(evidence.name, direction)
        ceiling = evidence.row("captions", "", EXACT, "recall", 10, direction)["value"]
        chance = evidence.row("chance", "", EXACT, "recall", 10, direction)["value"]
        what = "drawn pairs" if evidence.drawn else "pairs"
        said = (
            f"Among {row['pool']:,.0f} {what} it is {estimate_of(row)} here (chance {number(chance)}, "
            "ceiling of "
            f"captions that repeat {number(ceiling)})"
        )
        if evidence.drawn or row["pool"] != POOL:
            return UNASKED, f"{said}; the published pool has {POOL:,}, and recall falls as the pool grows."
        printed = _printed(direction)
        within = row["low"] <= printed + 0.01 and printed - 0.01 <= row["high"]
        return HOLDS if within else NOT, f"{said}."

    return judge


def _one_point(evidence: Evidence) -> Verdict:
    printed = _printed(DIRECTIONS[0])
    half = z_value(0.95) * np.sqrt(printed * (1 - printed) / POOL)
    row = evidence.recall(evidence.name, DIRECTIONS[0])
    alone = 2 * z_value(0.95) * np.sqrt(row["value"] * (1 - row["value"]) / row["n"])
    widening = (row["high"] - row["low"]) / alone if alone > 0 else np.nan
    verdict = HOLDS if half <= 0.0105 else PART
    return verdict, (
        f"With {POOL:,} independent queries the half-width of a 95 % interval is {number(half, 4)}: ± "
        ".01 is about "
        "that of queries alone; drawing items together widens this run's interval "
        f"{number(widening, 2)}-fold."
    )


def _unseen(evidence: Evidence) -> Verdict:
    counts = evidence.tables["counts"]
    tests = counts[counts["part"] == "test"].set_index("split")
    shared = {
        split: tests.loc[split, "shared_images"] / tests.loc[split, "images"] for split in (ITEM, RANDOM)
    }
    said = (
        f"{percentage_of(shared[RANDOM])} of the test images show a garment that training shows, too, "
        "when images "
        f"are split at random, {percentage_of(shared[ITEM])} when items are"
    )
    if shared[RANDOM] == 0:
        return UNASKED, f"{said}: here every garment has one photograph."
    if "ours_random" in evidence.systems and "ours" in evidence.systems:
        said += f"; recall at 10 {evidence.both('ours_random')} against {evidence.both('ours')}"
    return NOT, f"{said}."


def percentage_of(share: float) -> str:
    """A share without an interval: it is counted."""
    return f"{number(100 * share, 1)}\u00a0%"


def _category(evidence: Evidence) -> Verdict:
    row = evidence.row(*SYSTEMS[evidence.readers()[0]].key, CATEGORY, "accuracy", 1)
    majority = evidence.row("majority", "", CATEGORY, "accuracy", 1)
    return UNASKED, (
        f"On this run's images top-1 accuracy is {estimate_of(row)}, the most frequent category's "
        f"{estimate_of(majority)}; the published images are others."
    )


def _attributes(evidence: Evidence) -> Verdict:
    row = evidence.row(*SYSTEMS[evidence.readers()[0]].key, ATTRIBUTES, "recall", 5)
    prior = evidence.row("constant prior", "", ATTRIBUTES, "recall", 5)
    ceiling = evidence.row("ceiling", "", ATTRIBUTES, "recall", 5)
    said = (
        f"Recall at 5 of the 48 entries is {estimate_of(row)} here, always answering the most frequent ones "
        f"{estimate_of(prior)}, and no more than {number(ceiling['value'])} is possible"
    )
    if evidence.drawn:
        return UNASKED, f"{said}; the images are drawn."
    if prior["high"] >= 0.729:
        return PART, f"{said}: on these images .729 needs no model."
    return UNASKED, f"{said}; the published images are others."


def _ninety_two(evidence: Evidence) -> Verdict:
    ceilings = {
        version: [evidence.row("ceiling", "", task, "recall", k)["value"] for k in (1, 3, 5)]
        for version, task in VERSIONS.items()
    }
    numbers = read_numbers("retrieval")
    printed = numbers[(numbers["task"] == ATTRIBUTES) & (numbers["place"].str.startswith("notebook"))]
    printed = printed.sort_values("k")["value"].tolist()
    above = [p > c for p, c in zip(printed, ceilings[92], strict=True)]
    told = "; ".join(f"{v}: {', '.join(number(c) for c in found)}" for v, found in ceilings.items())
    return NOT if any(above) else OPEN, (
        f"Most that recall at 1, 3 and 5 can be, by number of attributes, {told}; printed "
        f"{', '.join(number(p, 4) for p in printed)}, which fits six positives an image and not 92 "
        "attributes."
        if any(above)
        else f"Most that recall at 1, 3 and 5 can be, by number of attributes, {told}; printed ones fit both."
    )


def _joint_space(evidence: Evidence) -> Verdict:
    chance = {k: evidence.row("chance", "", EXACT, "recall", k, DIRECTIONS[0])["value"] for k in (1, 5, 10)}
    rows = [(evidence.recall(evidence.name, way, k), chance[k]) for way in DIRECTIONS for k in chance]
    verdict, above = _above(rows)
    return verdict, (
        f"Recall at 10 is {evidence.both(evidence.name)}, chance {number(chance[10])}; above chance in "
        f"{above} of {len(rows)} recalls at 1, 5 and 10."
    )


def _cosine(evidence: Evidence) -> Verdict:
    row = evidence.row(*SYSTEMS[evidence.name].key, TASK, METRIC)
    return sign(row), (
        "Embeddings have length 1 here, so that their product is a cosine; over all other test "
        "images its rank "
        f"correlation with the share of equal attributes is {estimate_of(row)} on average."
    )


def _two_stages(evidence: Evidence) -> Verdict:
    pair = ("ours_tuned", "ours_direct")
    rows = {
        "category": evidence.difference(*pair, CATEGORY, "accuracy", 1),
        "macro-F1 of the attributes": evidence.difference(*pair, f"{TIERS} mean", "macro_f1"),
    }
    found = [sign(row) for row in rows.values()]
    verdict = found[0] if len(set(found)) == 1 else PART if HOLDS in found else NOT if NOT in found else OPEN
    told = joined([f"{what} {points(row)}" for what, row in rows.items()])
    return verdict, f"With the first stage less without it: {told}."


def _forty(evidence: Evidence) -> Verdict:
    systems = evidence.tables["systems"]
    over = systems["captions_over_40"].iloc[0]
    said = f"{percentage_of(over)} of the captions have more than 40 tokens of this run's tokenizer"
    if not {"ours", "ours_short"} <= set(evidence.systems):
        return UNASKED, f"{said}; no system was trained on shorter ones alone."
    rows = [evidence.difference("ours", "ours_short", EXACT, "recall", 10, way) for way in DIRECTIONS]
    found = [sign(row) for row in rows]
    verdict = NOT if HOLDS in found else HOLDS if over < 0.05 else OPEN
    told = joined([f"{points(row)} {way}" for row, way in zip(rows, DIRECTIONS, strict=True)])
    return verdict, f"{said}; whole captions less captions cut to 40, recall at 10: {told}."


def _elsewhere(_: Evidence) -> Verdict:
    raise NotAskedError("This study has no photographs of another source that a person has judged.")


CLAIMS: dict[str, Callable[[Evidence], Verdict]] = {
    "one_checkpoint_does_all": _one_checkpoint,
    "image_to_text": _recall_at_ten(DIRECTIONS[0]),
    "text_to_image": _recall_at_ten(DIRECTIONS[1]),
    "plus_minus_one_point": _one_point,
    "test_is_unseen": _unseen,
    "category": _category,
    "attributes": _attributes,
    "ninety_two_attributes": _ninety_two,
    "size_of_the_data": _fact(
        NOT,
        f"DeepFashion-MultiModal has {PUBLISHED_IMAGES[0]:,} labelled images and "
        f"{PUBLISHED_IMAGES[1]:,} captions.",
    ),
    "joint_space": _joint_space,
    "cosine_is_relevance": _cosine,
    "search_and_recommendation": _elsewhere,
    "fails_elsewhere": _elsewhere,
    "western_bias": _fact(UNASKED, "No data at hand say where a garment is worn."),
    "contrastive_then_tasks": _two_stages,
    "forty_tokens": _forty,
}
