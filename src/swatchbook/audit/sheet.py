"""An audit of photographs as a CSV file → answers that fit a run, or what is wrong, line by line.

The file has a column ``path`` (below the folder of images, with or without that folder's own name before
it) or ``image_id``, and one column for each attribute that was judged. A blank answer is "can't tell".
``annotator`` (who judged, a person or a model), ``stratum`` with ``weight``, and ``note`` may be there.
Nothing else is accepted, and one wrong line refuses the whole file, so that no audit is taken in half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.audit.columns import (
    CANNOT_TELL,
    NO_CLASS,
    NOT_JUDGED,
    NOTE,
    Problems,
    outside_of,
    wrong_cells,
)
from swatchbook.csv_io import unguard
from swatchbook.data.strict_csv import DataError, read_csv
from swatchbook.schema import Attribute, Schema

UNNAMED = "an unnamed judge"  # where the file does not say who judged; it need not have been a person
EVERYTHING = "all"  # the stratum of a simple random sample
_OPTIONAL = ("annotator", "stratum", "weight", NOTE)
_SHOWN = 5


@dataclass(frozen=True)
class Sheet:
    """An audit file as it was read.

    Attributes:
        judged: ``image_id, annotator, stratum, weight`` (NaN where the file says none) and a column an
            attribute of the schema, null for "can't tell" and for what was not asked; a row a line.
        answers: ``attribute, label, taken_as, n``: how often each answer was given and what it counts as;
            an attribute without a column in the file has one row, whose ``taken_as`` is "not judged".
        problems: One sentence for each thing that is wrong, by line; empty where the file is accepted.
    """

    judged: pd.DataFrame
    answers: pd.DataFrame
    problems: tuple[str, ...]


def read_sheet(path: Path, image_ids: Sequence[str], root: Path, schema: Schema) -> Sheet:
    """Read an audit file that must be right.

    Args:
        path: The file.
        image_ids: The images that may be judged: POSIX paths below ``root``.
        root: The folder of images.
        schema: Gives attributes and classes.

    Raises:
        DataError: If anything is wrong; the message gives the first few problems with their lines.
    """
    sheet = check_sheet(path, image_ids, root, schema)
    if sheet.problems:
        more = f"; and {len(sheet.problems) - _SHOWN:,} more" if len(sheet.problems) > _SHOWN else ""
        raise DataError("; ".join(sheet.problems[:_SHOWN]) + more)
    return sheet


def check_sheet(path: Path, image_ids: Sequence[str], root: Path, schema: Schema) -> Sheet:
    """Read an audit file and say everything that is wrong with its lines; arguments as in `read_sheet`.

    Raises:
        DataError: If it cannot be read as such a file at all: missing, empty, cut off, another encoding or
            separator, a line with too many fields, or a column that is missing, unknown or there twice.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"audit {str(path)!r} is no file; allowed: a CSV file with path and attributes")
    key = "image_id" if "image_id" in header_of(path) else "path"
    rows = read_csv(path, (key,))
    _check_columns(rows, path.name, schema)
    ids, problems = _image_ids(rows[key], set(image_ids), Path(root))
    judged = pd.DataFrame({"image_id": ids, "annotator": UNNAMED}, index=rows.index)
    if "annotator" in rows:
        judged["annotator"] = rows["annotator"].map(unguard)
        problems += _blank(rows["annotator"])
    problems += _judged_twice(judged, rows[key])
    judged["stratum"], judged["weight"], wrong = _design(rows)
    problems += wrong
    answers = []
    for attribute in schema:
        if attribute.name not in rows:
            judged[attribute.name] = None
            answers.append((attribute.name, "", NOT_JUDGED, 0))
            continue
        given = rows[attribute.name].map(unguard)
        known = [*attribute.classes, *outside_of(attribute)]
        allowed = f"{', '.join(known)}, or blank for {CANNOT_TELL}"
        problems += wrong_cells(given, ~given.isin([*known, ""]), allowed)
        judged[attribute.name] = given.astype(object).where(given.isin(attribute.classes), None)
        answers += _counted(attribute, given)
    wrong = tuple(f"{path.name}, line {line}: {what}" for line, what in sorted(problems))
    columns = ["attribute", "label", "taken_as", "n"]
    return Sheet(judged.reset_index(drop=True), pd.DataFrame(answers, columns=columns), wrong)


def describe_sheet(sheet: Sheet, name: str, manifest: pd.DataFrame, schema: Schema) -> list[str]:
    """Lines that say what an audit file holds, and whether it is accepted.

    Args:
        sheet: As `check_sheet` gives it.
        name: The file's.
        manifest: The run's, with ``image_id, split``.
        schema: Gives attributes and classes.
    """
    judged = sheet.judged
    split = manifest.set_index("image_id")["split"].reindex(judged["image_id"].unique())
    lines = [
        f"{name}: {len(judged):,} lines, {judged['image_id'].nunique():,} photographs, "
        f"{judged['annotator'].nunique():,} annotator(s); {int((split == 'test').sum()):,} of the "
        "photographs lie in the run's test split (a run with --audit puts them all there)"
    ]
    for attribute in schema:
        rows = sheet.answers[sheet.answers["attribute"] == attribute.name]
        if (rows["taken_as"] == NOT_JUDGED).any():
            lines.append(f"{attribute.name}: {NOT_JUDGED}")
            continue
        scored = rows[rows["taken_as"] == rows["label"]]
        classes = ", ".join(f"{row.label} {row.n}" for row in scored.itertuples())
        lines.append(f"{attribute.name}: {scored['n'].sum():,} judged{': ' if classes else ''}{classes}")
        others = rows[rows["taken_as"] != rows["label"]]
        lines += [f"    {row.label or 'blank'} {row.n}: {row.taken_as}" for row in others.itertuples()]
    if not sheet.problems:
        return [*lines, "accepted"]
    return [*lines, *sheet.problems, f"refused: {len(sheet.problems):,} problem(s)"]


def with_design(judged: pd.DataFrame, images: int) -> pd.DataFrame:
    """Give each judged image the number of images it stands for.

    Without weights of its own the audit is taken for a simple random sample: stratum "all", and weight
    N / n. Given weights are scaled so that they add up to N. Both for each annotator.

    Args:
        judged: As in `Sheet`.
        images: N, the images of the split that the judged ones lie in.
    """
    weight = judged["weight"].fillna(1.0)
    return judged.assign(weight=weight * images / weight.groupby(judged["annotator"]).transform("sum"))


def header_of(path: Path) -> list[str]:
    """The columns that a file's first line names; none where there is no file."""
    if not path.is_file():
        return []
    with path.open("rb") as file:
        line = file.readline().decode("utf-8", "replace")
    return line.removeprefix("\ufeff").strip().replace('"', "").split(",")


def _check_columns(rows: pd.DataFrame, name: str, schema: Schema) -> None:
    allowed = ("path", "image_id", *schema.names, *_OPTIONAL)
    unknown = [column for column in rows if column not in allowed]
    if unknown:
        raise DataError(f"{name} has an unknown column {unknown[0]!r}; allowed: {', '.join(allowed)}")
    if "path" in rows and "image_id" in rows:
        raise DataError(f"{name} names its images twice, by path and by image_id; allowed: one of the two")
    if not set(schema.names) & set(rows):
        raise DataError(f"{name} judges no attribute; allowed: a column for any of {', '.join(schema.names)}")
    if "stratum" in rows and "weight" not in rows:
        raise DataError(f"{name} has strata but no column weight; allowed: both, weight alone, or neither")


def _image_ids(given: pd.Series, known: set[str], root: Path) -> tuple[list[str], Problems]:
    """Each line's image; a name that no image has is kept, and is a problem."""
    ids, problems = [], []
    for line, name in given.items():
        # A table written for a spreadsheet guards names such as =1.jpg; by hand any name may be.
        plain = [n.removeprefix("./").removeprefix(f"{root.as_posix()}/") for n in
                 (name, unguard(name), name.removeprefix("'"))]  # fmt: skip
        below = [n.removeprefix(f"{root.name}/") for n in plain]
        match = next((n for n in (name, *plain, *below) if n in known), None)
        if match is None:
            allowed = f"an image below {str(root)!r} that can be read, such as {min(known, default='')!r}"
            problems.append((line, f"{given.name} {name!r} is unknown; allowed: {allowed}"))
        ids.append(match or name)
    return ids, problems


def _blank(column: pd.Series) -> Problems:
    what = f"{column.name} is blank; allowed: a name, or no such column"
    return [(line, what) for line in column.index[column.str.strip() == ""]]


def _judged_twice(judged: pd.DataFrame, given: pd.Series) -> Problems:
    lines = pd.Series(judged.index, index=judged.index)
    first = lines.groupby([judged["image_id"], judged["annotator"]]).transform("first")
    return [
        (line, f"{given.name} {given[line]!r} was judged in line {first[line]} already; "
         "allowed: each image once an annotator")
        for line in lines[first != lines]
    ]  # fmt: skip


def _design(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series, Problems]:
    """Stratum and weight of each line, "all" and NaN without such columns; and what is wrong with them."""
    stratum, problems = pd.Series(EVERYTHING, index=rows.index, dtype=object), []
    weight = pd.Series(np.nan, index=rows.index)
    if "stratum" in rows:
        stratum = rows["stratum"].map(unguard)
        problems += _blank(stratum)
    if "weight" in rows:
        weight = pd.to_numeric(rows["weight"], errors="coerce").astype(float)
        wrong = ~(np.isfinite(weight) & (weight > 0))
        problems += wrong_cells(rows["weight"], wrong, "a number above 0")
    return stratum, weight, problems


def _counted(attribute: Attribute, given: pd.Series) -> list[tuple[str, str, str, int]]:
    counts = given.value_counts()
    taken = [(label, label) for label in attribute.classes]
    taken += [(label, f"{CANNOT_TELL}: {NO_CLASS}") for label in outside_of(attribute)]
    taken += [("", CANNOT_TELL)]
    return [(attribute.name, label, what, int(counts[label])) for label, what in taken if label in counts]
