"""A person's audit of photographs: a CSV file → answers that fit a run, or what is wrong, line by line.

The file has a column ``path`` (below the folder of images, with or without that folder's own name before
it) or ``image_id``, and one column for each attribute that was judged. A blank answer is "can't tell".
``annotator``, ``stratum`` with ``weight``, and ``note`` may be there. Nothing else is accepted, and one
wrong line refuses the whole file, so that no audit is taken in half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.data.strict_csv import DataError, read_csv
from swatchbook.schema import Schema

# What a person may see on a garment although a schema has no class for it. Where the schema in force has
# the class it is used as it is; where it has not, the answer counts as "can't tell" and is reported.
OUTSIDE: Mapping[str, tuple[str, ...]] = {"color": ("orange",), "pattern": ("polka_dot", "graphic")}
OTHER = "other"  # likewise, of any attribute: "none of the classes"
CANNOT_TELL = "can't tell"
NO_CLASS = "no class of the schema"
PERSON = "person"
EVERYTHING = "all"  # the stratum of a simple random sample
_OPTIONAL = ("annotator", "stratum", "weight", "note")
_TOLD = 5


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
        more = f"; and {len(sheet.problems) - _TOLD:,} more" if len(sheet.problems) > _TOLD else ""
        raise DataError("; ".join(sheet.problems[:_TOLD]) + more)
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
    rows = read_csv(path, (_key(path),))
    key = _check_columns(rows, path.name, schema)
    problems: list[tuple[int, str]] = []
    ids = _image_ids(rows[key], set(image_ids), Path(root), problems)
    judged = pd.DataFrame({"image_id": ids, "annotator": PERSON}, index=rows.index)
    if "annotator" in rows:
        judged["annotator"] = rows["annotator"]
        _note_blank(rows["annotator"], "annotator", problems)
    _note_repeated(judged, rows[key], problems)
    judged["stratum"], judged["weight"] = _design(rows, problems)
    answers = []
    for attribute in schema:
        if attribute.name not in rows:
            judged[attribute.name] = None
            answers.append((attribute.name, "", "not judged", 0))
            continue
        given = rows[attribute.name]
        outside = [x for x in (*OUTSIDE.get(attribute.name, ()), OTHER) if x not in attribute.classes]
        unknown = ~given.isin([*attribute.classes, *outside, ""])
        allowed = f"{', '.join((*attribute.classes, *outside))}, or blank for {CANNOT_TELL}"
        problems += [
            (line, f"{attribute.name} {label!r}; allowed: {allowed}")
            for line, label in given[unknown].items()
        ]
        judged[attribute.name] = given.astype(object).where(given.isin(attribute.classes), None)
        answers += _counted(attribute.name, given, attribute.classes, outside)
    told = tuple(f"{path.name}, line {line}: {what}" for line, what in sorted(problems))
    columns = ["attribute", "label", "taken_as", "n"]
    return Sheet(judged.reset_index(drop=True), pd.DataFrame(answers, columns=columns), told)


def sheet_in_words(path: Path, manifest: pd.DataFrame, root: Path, schema: Schema) -> tuple[list[str], bool]:
    """Check an audit file against the photographs of a run, in words.

    Args:
        path: The file.
        manifest: The run's, with ``image_id, split``.
        root: The folder of images.
        schema: Gives attributes and classes.

    Returns:
        Lines to print, and whether the file is accepted.

    Raises:
        DataError: If the file cannot be read as an audit at all.
    """
    sheet = check_sheet(path, manifest["image_id"].tolist(), root, schema)
    return _told_lines(sheet, manifest, path.name, schema), not sheet.problems


def _told_lines(sheet: Sheet, manifest: pd.DataFrame, name: str, schema: Schema) -> list[str]:
    judged = sheet.judged
    split = manifest.set_index("image_id")["split"].reindex(judged["image_id"].unique())
    lines = [
        f"{name}: {len(judged):,} lines, {judged['image_id'].nunique():,} photographs, "
        f"{judged['annotator'].nunique():,} annotator(s); {int((split == 'test').sum()):,} of the "
        "photographs lie in the run's test split (a run with --audit puts them all there)"
    ]
    for attribute in schema:
        rows = sheet.answers[sheet.answers["attribute"] == attribute.name]
        if (rows["taken_as"] == "not judged").any():
            lines.append(f"{attribute.name}: not judged")
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


def _key(path: Path) -> str:
    """The column that names the images: what is asked for where neither is there."""
    with path.open("rb") as file:
        header = file.readline().decode("utf-8", "replace").strip().replace('"', "").split(",")
    return "image_id" if "image_id" in header else "path"


def _check_columns(rows: pd.DataFrame, name: str, schema: Schema) -> str:
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
    return "image_id" if "image_id" in rows else "path"


def _image_ids(given: pd.Series, known: set[str], root: Path, problems: list[tuple[int, str]]) -> list[str]:
    """Each line's image; a name that no image has is noted and kept."""
    ids = []
    for line, name in given.items():
        # A table written for a spreadsheet guards names such as =1.jpg with an apostrophe.
        plain = name[1:] if name[:1] == "'" and name not in known else name
        plain = plain.removeprefix("./").removeprefix(f"{root.as_posix()}/")
        found = next((n for n in (name, plain, plain.removeprefix(f"{root.name}/")) if n in known), None)
        if found is None:
            allowed = f"an image below {str(root)!r} that can be read, such as {min(known, default='')!r}"
            problems.append((line, f"{given.name} {name!r} is unknown; allowed: {allowed}"))
        ids.append(found or name)
    return ids


def _note_blank(column: pd.Series, name: str, problems: list[tuple[int, str]]) -> None:
    blank = column[column.str.strip() == ""]
    problems += [(line, f"{name} is blank; allowed: a name, or no such column") for line in blank.index]


def _note_repeated(judged: pd.DataFrame, given: pd.Series, problems: list[tuple[int, str]]) -> None:
    first: dict[tuple[str, str], int] = {}
    for line, image, annotator in zip(judged.index, judged["image_id"], judged["annotator"], strict=True):
        before = first.setdefault((image, annotator), line)
        if before != line:
            what = f"{given.name} {given[line]!r} was judged in line {before} already"
            problems.append((line, f"{what}; allowed: each image once an annotator"))


def _design(rows: pd.DataFrame, problems: list[tuple[int, str]]) -> tuple[pd.Series, pd.Series]:
    """Stratum and weight of each line; without such columns "all" and NaN."""
    stratum = pd.Series(EVERYTHING, index=rows.index, dtype=object)
    weight = pd.Series(np.nan, index=rows.index)
    if "stratum" in rows:
        stratum = rows["stratum"]
        _note_blank(stratum, "stratum", problems)
    if "weight" in rows:
        weight = pd.to_numeric(rows["weight"], errors="coerce").astype(float)
        wrong = ~(np.isfinite(weight) & (weight > 0))
        problems += [
            (line, f"weight {given!r}; allowed: a number above 0")
            for line, given in rows["weight"][wrong].items()
        ]
    return stratum, weight


def _counted(
    attribute: str, given: pd.Series, classes: Sequence[str], outside: Sequence[str]
) -> list[tuple[str, str, str, int]]:
    counts = given.value_counts()
    taken = [(label, label) for label in classes]
    taken += [(label, f"{CANNOT_TELL}: {NO_CLASS}") for label in outside] + [("", CANNOT_TELL)]
    return [(attribute, label, what, int(counts[label])) for label, what in taken if label in counts]
