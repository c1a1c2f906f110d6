"""What the files of an audit hold: their columns, and what a cell of each may say.

===============  ==================================================================================
sample.csv       what is asked: `SAMPLE_COLUMNS`, a row an item in the order of asking
strata.csv       the key of the sample, for the analyst: `STRATA_COLUMNS`, a row a stratum
answers-*.csv    what one person answered: `answer_columns`, as page, widget and adjudication have it
judgements.csv   all answers that were imported: `judgement_columns`, a row an item and annotator
answers.csv      the same as an audit sheet, which a run takes with ``--audit``; see `audit.sheet`
===============  ==================================================================================

An answer is a class of the schema, ``can't tell`` or ``several``; a blank one was not given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from swatchbook.schema import Attribute, Schema

SAMPLE_COLUMNS = ("item", "image_id", "stratum", "weight", "repeat")
STRATA_COLUMNS = (
    "stratum", "fabric", "attribute", "label", "confidence_low", "confidence_high", "population", "drawn",
)  # fmt: skip
NOTE = "note"

CANNOT_TELL = "can't tell"
SEVERAL = "several"
NOT_JUDGED = "not judged"
NO_CLASS = "no class of the schema"
# What a person may see on a garment although a schema has no class for it. Where the schema in force has
# the class it is used as it is; where it has not, the answer counts as "can't tell" and is reported.
OUTSIDE: Mapping[str, tuple[str, ...]] = {"color": ("orange",), "pattern": ("polka_dot", "graphic")}
OTHER = "other"  # likewise, of any attribute: "none of the classes"

ADJUDICATED = "adjudicated"  # the annotator whose answers settle the others' differences
ASIDE = ": "  # a column "color: Anna" stands beside the answers of an adjudication and is not read
NAME_LENGTH = 40
RESERVED = ("all", "")  # what tables call all annotators together, and none

SECONDS = re.compile(r"\d{1,9}(\.\d+)?|")
UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, and what is no UTF-8
NO_TEXT = re.compile(r"[\x00\ud800-\udfff]")  # of a note, which may have several lines

Problems = list[tuple[object, str]]  # where, and what is wrong there


def answer_columns(schema: Schema) -> tuple[str, ...]:
    """The columns of a file of answers, in their order: every attribute is asked, whoever labelled it."""
    return ("sample", "item", "image_id", "annotator", *schema.names, NOTE, "seconds")


def judgement_columns(schema: Schema) -> tuple[str, ...]:
    """The columns of a table of judgements, in their order."""
    about = ("sample", "item", "image_id", "annotator", "repeat", "stratum", "weight")
    return (*about, *schema.names, NOTE, "seconds")


def choices(attribute: Attribute) -> tuple[str, ...]:
    """The answers that a person can give."""
    return (*attribute.classes, CANNOT_TELL, SEVERAL)


def outside_of(attribute: Attribute) -> list[str]:
    """Answers that count as "can't tell" because the schema has no such class."""
    return [x for x in (*OUTSIDE.get(attribute.name, ()), OTHER) if x not in attribute.classes]


def wrong_cells(column: pd.Series, wrong: pd.Series, allowed: str) -> Problems:
    """A problem for each cell of a column that is wrong, on its index.

    Args:
        column: Received texts, with the column's name.
        wrong: Boolean, with the same index.
        allowed: What would have been right, in words.
    """
    return [(where, f"{column.name} {cell!r}; allowed: {allowed}") for where, cell in column[wrong].items()]
