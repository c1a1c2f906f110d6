"""Several annotators, or one asked twice: what each answered, where they differ, how far they agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from swatchbook.audit.columns import ADJUDICATED, ASIDE, CANNOT_TELL, NOT_JUDGED, SEVERAL, answer_columns
from swatchbook.evaluation.agreement import COLUMNS, agreement_table
from swatchbook.evaluation.intervals import share_row
from swatchbook.schema import Schema

GIVEN_COLUMNS = ["annotator", "attribute", "label", "taken_as", "n"]
AGAIN_COLUMNS = ["annotator", "attribute", "statistic", "value", "low", "high", "n", "interval"]
SAME_ANSWER = "same_answer"
TWICE = "not estimable: nothing was judged twice"


def given_table(judgements: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """How often each annotator gave each answer, first judgements only.

    Args:
        judgements: Columns `columns.judgement_columns`.
        schema: Gives attributes, classes and their order.

    Returns:
        Columns `GIVEN_COLUMNS`: ``taken_as`` is what the answer counts as in scores (the class itself, or
        "can't tell" for that and for "several"); the last label of an attribute is "", not judged.
    """
    first, rows = judgements[judgements["repeat"] == 0], []
    for who, own in first.groupby("annotator", sort=False):
        for attribute in schema:
            counts = own[attribute.name].value_counts()
            taken = [(label, label) for label in attribute.classes]
            taken += [(CANNOT_TELL, CANNOT_TELL), (SEVERAL, CANNOT_TELL), ("", NOT_JUDGED)]
            rows += [(who, attribute.name, x, what, int(counts.get(x, 0))) for x, what in taken]
    return pd.DataFrame(rows, columns=GIVEN_COLUMNS)


def between_table(
    judgements: pd.DataFrame, schema: Schema, *, draws: int, rng: np.random.Generator, level: float = 0.95
) -> pd.DataFrame:
    """Agreement between annotators: raw, kappa, alpha and AC1 with intervals.

    Adjudicated answers are left out, because they were given with the others' in sight. Answers other than
    a class are left out too; arguments and columns as in `evaluation.agreement.agreement_table`.
    """
    first = judgements[(judgements["repeat"] == 0) & (judgements["annotator"] != ADJUDICATED)]
    return agreement_table(_classes_only(first, schema), schema, draws=draws, rng=rng, level=level)


def self_agreement_table(
    judgements: pd.DataFrame, schema: Schema, *, draws: int, rng: np.random.Generator, level: float = 0.95
) -> pd.DataFrame:
    """How far each annotator agrees with themselves on the images that came twice, unannounced.

    It is the ceiling of the audit: no label can agree with a person more often than the person does, save
    by chance.

    Args:
        judgements: Columns `columns.judgement_columns`.
        schema: Gives attributes and classes.
        draws: Number of bootstrap replicates B, of images, for kappa, alpha and AC1.
        rng: Source of randomness.
        level: Confidence level in (0, 1).

    Returns:
        Columns `AGAIN_COLUMNS`. ``agreement`` counts images to which both times a class was given;
        ``same_answer`` counts "can't tell" and "several" as answers as well. Both have Wilson intervals, as
        a bootstrap of twenty images is too narrow.
    """
    people = judgements[judgements["annotator"] != ADJUDICATED]
    parts = [
        _again(who, own, schema, draws, rng, level) for who, own in people.groupby("annotator", sort=False)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=AGAIN_COLUMNS)


def _again(
    who: str, own: pd.DataFrame, schema: Schema, draws: int, rng: np.random.Generator, level: float
) -> pd.DataFrame:
    twice = own.loc[own["repeat"] == 1, "image_id"]
    both = own[own["image_id"].isin(twice)].assign(annotator=lambda x: x["repeat"].map({0: "1", 1: "2"}))
    if not len(both):
        row = {"annotator": who, "statistic": "agreement", "n": 0, "interval": TWICE}
        return pd.DataFrame([row | {"attribute": a} for a in schema.names], columns=AGAIN_COLUMNS)
    table = agreement_table(_classes_only(both, schema), schema, draws=draws, rng=rng, level=level)
    rows = table[COLUMNS].drop(columns=["a", "b"]).to_dict("records")
    made = []
    for attribute in schema.names:
        wide = _wide(both, attribute, ("1", "2"), "image_id")
        wide = wide[(wide != "").all(axis=1)]
        same = share_row(int((wide["1"] == wide["2"]).sum()), len(wide), level, TWICE)
        made.append({"attribute": attribute, "statistic": SAME_ANSWER, **same})
        for row in (r for r in rows if r["attribute"] == attribute):
            if row["statistic"] == "agreement" and row["n"]:
                row |= share_row(round(row["value"] * row["n"]), row["n"], level)
            made.append(row)
    return pd.DataFrame(made).assign(annotator=who)[AGAIN_COLUMNS]


def _classes_only(judgements: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    kept = {a.name: judgements[a.name].where(judgements[a.name].isin(a.classes), None) for a in schema}
    return judgements.assign(**kept)


def differences(judgements: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The images to settle: an answers file for ``adjudicated`` with everybody's answers beside it.

    Args:
        judgements: Columns `columns.judgement_columns`.
        schema: Gives the attributes.

    Returns:
        The columns `answer_columns` and one "<attribute>: <annotator>" an attribute and annotator; a row an
        image that two annotators answered differently in any attribute. What all agree on is filled in,
        what they differ on is blank and to be decided, unless it was decided in an earlier import.
    """
    first = judgements[judgements["repeat"] == 0]
    people = [who for who in first["annotator"].unique() if who != ADJUDICATED]
    columns = list(answer_columns(schema))
    aside = [f"{name}{ASIDE}{who}" for name in schema.names for who in people]
    items = first.drop_duplicates("item").sort_values("item").set_index("item")
    wide = {name: _wide(first, name, people).reindex(items.index) for name in schema.names}
    differs = np.column_stack([_first_answers(table)[1] for table in wide.values()]).any(axis=1)
    settled = _settled(first, wide, schema.names)
    out = items[["sample", "image_id"]].assign(annotator=ADJUDICATED, note="", seconds="", **settled)
    for name, table in wide.items():
        out = out.assign(**{f"{name}{ASIDE}{who}": table[who] for who in people})
    return out[differs].reset_index()[[*columns, *aside]]


def with_consensus(judgements: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Make the adjudicated answers whole: where nobody differs, their answer holds.

    Args:
        judgements: Columns `columns.judgement_columns`.
        schema: Gives the attributes.

    Returns:
        The judgements, those by ``adjudicated`` with what they left blank filled in from the annotators who
        answered and all agree; what is still undecided stays blank. Without adjudicated answers
        they are returned as they are.
    """
    first = judgements[judgements["repeat"] == 0]
    own = first[first["annotator"] == ADJUDICATED]
    people = [who for who in first["annotator"].unique() if who != ADJUDICATED]
    if not len(own) or not people:
        return judgements
    wide = {name: _wide(first, name, people).reindex(own["item"]) for name in schema.names}
    settled = _settled(first, wide, schema.names)
    filled = own.assign(**{name: column.to_numpy() for name, column in settled.items()})
    return pd.concat([filled, judgements[judgements["annotator"] != ADJUDICATED]], ignore_index=True)


def _wide(first: pd.DataFrame, name: str, people: Sequence[str], key: str = "item") -> pd.DataFrame:
    """Answers to one attribute, a row an item and a column an annotator; "" where not judged."""
    return first.pivot_table(name, key, "annotator", aggfunc="first")[list(people)].fillna("")


def _first_answers(answers: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Each row's first answer that is not blank ("" without one), and whether another differs from it."""
    given = answers.to_numpy(dtype=object)
    first = given[np.arange(len(given)), (given != "").argmax(axis=1)]
    return first, ((given != "") & (given != first[:, None])).any(axis=1)


def _settled(
    first: pd.DataFrame, wide: dict[str, pd.DataFrame], names: Sequence[str]
) -> dict[str, pd.Series]:
    """Each item's answer: as adjudicated, else as all who answered agree, else blank."""
    decided = first[first["annotator"] == ADJUDICATED].set_index("item")
    settled = {}
    for name in names:
        answer, differs = _first_answers(wide[name])
        ruled = decided[name].reindex(wide[name].index).fillna("")
        settled[name] = ruled.where(ruled != "", np.where(differs, "", answer))
    return settled
