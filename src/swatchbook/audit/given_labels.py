"""Labels that somebody's model gave → what an audit needs: images, labels, confidences, and a schema.

The columns of a file say most of it: one names the image, columns of classes are attributes, and
``<attribute>_confidence`` (or ``_p``) says how sure the model was. A file that holds the probability of every
class has columns ``<attribute>:<class>``. What is no attribute is left alone, and said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from pydantic import TypeAdapter, ValidationError

from swatchbook.audit.columns import CANNOT_TELL, NOTE, SAMPLE_COLUMNS, SEVERAL
from swatchbook.audit.labels_file import read_rows
from swatchbook.csv_io import unguard
from swatchbook.data.images import find
from swatchbook.data.strict_csv import DataError
from swatchbook.schema import RESERVED, Attribute, Schema
from swatchbook.validation import Label, Name

IMAGE_COLUMNS = ("image_id", "path", "image", "file", "filename", "file_name", "filepath")
CONFIDENCES = ("_confidence", "_conf", "_probability", "_prob", "_p")
NO_LABEL = ("", "unknown")
MOST_CLASSES = 60  # that a person can choose from on a page
# Columns of tables: those of a run, and those of the answers.
_TAKEN = {*RESERVED, *IMAGE_COLUMNS, *SAMPLE_COLUMNS, "sample", NOTE, "seconds"}


@dataclass(frozen=True)
class GivenLabels:
    """Labels of images, as somebody gave them.

    Attributes:
        schema: The attributes that the file has, with their classes.
        root: The folder of images.
        table: ``image_id``, and for each attribute its label (null where there is none) and
            ``<attribute>_confidence`` in [0, 1] (NaN where there is none); a row a row of the file.
        probabilities: Attribute → probabilities of its classes, shape (rows, K), where the file has them.
        notes: What was found, a line each.
    """

    schema: Schema
    root: Path
    table: pd.DataFrame
    probabilities: dict[str, np.ndarray]
    notes: tuple[str, ...]


def read_labels(
    path: Path,
    images: str | Path,
    schema: Schema | None = None,
    attributes: Sequence[str] = (),
    *,
    foreign: bool = False,
) -> GivenLabels:
    """Read labels and hold them against the images and the schema.

    Args:
        path: The file, as `labels_file.locate` gives it.
        images: The folder of images. The file may name an image by its path below it, or by a longer path.
        schema: What the labels may say. By default the classes are those that occur.
        attributes: The columns of classes; by default all that look like some.
        foreign: Whether classes outside the schema count as no label instead of being refused, as of a
            second labeller.

    Raises:
        DataError: If no column names an image or none holds classes; an image is named that is not there, or
            one twice; a label is not in the schema, or a confidence is no number from 0 to 1.
    """
    rows = read_rows(path)
    listing = find(Path(images))
    root = Path(images).absolute()
    key = next((name for name in IMAGE_COLUMNS if name in rows), None)
    if key is None:
        raise DataError(
            f"{path.name} has no column that names the image; allowed: {', '.join(IMAGE_COLUMNS)}; "
            f"its columns are {', '.join(rows)}"
        )
    ids = _image_ids(rows[key], set(listing["image_id"]), root, path.name)
    missing = [name for name in attributes if name not in rows]
    if missing:
        raise DataError(f"{path.name} has no column {missing[0]!r}; its columns are {', '.join(rows)}")
    text = rows.map(unguard)
    if schema is None:
        schema, notes = _derived(text, key, attributes, path.name)
    else:
        schema, notes = _restricted(schema, text, attributes, path.name), []
    table, probabilities = pd.DataFrame({"image_id": ids}), {}
    for a in schema:
        label = text[a.name].where(~text[a.name].isin(NO_LABEL), None).astype(object)
        outside = label.notna() & ~label.isin(a.classes)
        if outside.any() and not foreign:
            _refuse(path.name, label, outside, f"{', '.join(a.classes)}, or blank for no label")
        label = label.where(~outside, None)
        confidence = _confidences(text, a, path.name)
        matrix = _probabilities(text, a, path.name)
        if matrix is not None:
            probabilities[a.name] = matrix
            code = pd.Index(a.classes).get_indexer(label)
            own = np.where(code >= 0, matrix[np.arange(len(code)), np.maximum(code, 0)], np.nan)
            confidence = own if confidence is None else confidence
        sure = np.nan if confidence is None else np.where(label.notna(), confidence, np.nan)
        table[a.name], table[f"{a.name}_confidence"] = label.to_numpy(), sure
        known = bool(table[f"{a.name}_confidence"].notna().any())
        notes.append(_described(a, label, known, int(outside.sum())))
    return GivenLabels(schema, root, table, probabilities, tuple(notes))


def write_schema(schema: Schema, out: Path) -> None:
    """Write a schema as `Schema.load` reads it; prompts and rules, which no audit needs, stay out."""
    attributes = {
        a.name: {
            "labelled_by": "zero_shot",
            "prompts_by": "nobody: the labels were given",
            "templates": ["{}"],
            "threshold": 0.0,
            "classes": dict(a.surface),
        }
        for a in schema
    }
    content = {"name": schema.name, "attributes": attributes}
    out.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _image_ids(given: pd.Series, known: set[str], root: Path, name: str) -> list[str]:
    """Each row's image: that whose id is the longest end of the path, once its folder is taken off."""
    ids = [_image_of(text, known) for text in given]
    unknown = pd.Series([each is None for each in ids], index=given.index)
    if unknown.any():
        _refuse(name, given, unknown, f"an image below {str(root)!r}, such as {min(known)!r}")
    images = pd.Series(ids, index=given.index)
    twice = images.duplicated()
    if twice.any():
        where = images.index[twice][0]
        first = images.index[images == images[where]][0]
        raise DataError(
            f"{name}, {where}: {given.name} {given[where]!r} is the image of {first} "
            f"({int(twice.sum())} such); allowed: each image once"
        )
    return ids


def _image_of(given: str, known: set[str]) -> str | None:
    # A table written for a spreadsheet guards names such as =1.jpg; by hand any name may be.
    for text in dict.fromkeys((given, unguard(given))):
        parts = text.replace("\\", "/").split("/") if text not in known else [text]
        ends = ("/".join(parts[k:]) for k in range(len(parts)))
        found = next((end for end in ends if end in known), None)
        if found is not None:
            return found
    return None


def _refuse(name: str, column: pd.Series, wrong: pd.Series, allowed: str) -> None:
    where = list(column.index[wrong.to_numpy()])
    more = f" ({len(where):,} such)" if len(where) > 1 else ""
    raise DataError(f"{name}, {where[0]}: {column.name} {column[where[0]]!r}{more}; allowed: {allowed}")


def _restricted(schema: Schema, text: pd.DataFrame, attributes: Sequence[str], name: str) -> Schema:
    """The attributes of a schema that the file has."""
    kept = [a for a in schema if a.name in text and (not attributes or a.name in attributes)]
    unknown = [each for each in attributes if each not in schema.names]
    if unknown or not kept:
        raise DataError(
            f"{name}: {repr(unknown[0]) + ' is' if unknown else 'its columns are'} none of the attributes of "
            f"the schema {schema.name!r}; allowed: {', '.join(schema.names)}"
        )
    return Schema(schema.name, tuple(kept))


def _derived(text: pd.DataFrame, key: str, attributes: Sequence[str], name: str) -> tuple[Schema, list[str]]:
    """A schema from the columns that hold classes, and a line about those that do not."""
    made, left = [], []
    for column in attributes or [c for c in text if c != key and not _belongs(c, text)]:
        classes = sorted(set(text[column]) - set(NO_LABEL))
        why = _why_not(column, text[column], classes, asked=bool(attributes))
        if why and attributes:
            raise DataError(f"{name}: column {column!r} {why}; allowed: columns of classes")
        if why:
            left.append(f"{column} ({why})")
            continue
        _check_classes(name, text[column], classes)
        made.append(Attribute(column, {c: c for c in classes}, ("{}",), "zero_shot", 0.0, "nobody"))
    if not made:
        told = f"; not taken for some: {', '.join(left)}" if left else ""
        raise DataError(f"{name} has no column of classes beside {key!r}{told}")
    notes = [f"left alone: {', '.join(left)}"] if left else []
    return Schema("given", tuple(made)), notes


def _belongs(column: str, text: pd.DataFrame) -> bool:
    """Whether a column says something of an attribute's column, or of the image."""
    about = [column.removesuffix(end) for end in CONFIDENCES if column.endswith(end)]
    return column in _TAKEN or any(a in text for a in [*about, column.partition(":")[0]] if a != column)


def _why_not(column: str, cells: pd.Series, classes: list[str], *, asked: bool) -> str | None:
    """Why a column holds no classes; None where it does."""
    labelled = int((~cells.isin(NO_LABEL)).sum())
    try:
        TypeAdapter(Name).validate_python(column)
    except ValidationError:
        return "has a name that no attribute can have"
    if column in _TAKEN or column.endswith("_confidence") or column.startswith("true_"):
        return "has a name that tables use for something else"
    if len(classes) > MOST_CLASSES:
        return f"has {len(classes):,} classes, and a page asks for at most {MOST_CLASSES}"
    if len(classes) < 2:
        return f"has {'one class' if classes else 'no label'} only; --schema can name others"
    if asked:
        return None
    if all(re.fullmatch(r"[+-]?\d*\.?\d+([eE][+-]?\d+)?", each) for each in classes):
        return "has numbers"
    if labelled < 2 * len(classes) and len(classes) > 2:
        return "has nearly as many texts as rows"
    return None


def _check_classes(name: str, cells: pd.Series, classes: list[str]) -> None:
    for each in classes:
        try:
            TypeAdapter(Label).validate_python(each)
            fits = each not in (*RESERVED, CANNOT_TELL, SEVERAL)
        except ValidationError:
            fits = False
        if not fits:
            _refuse(
                name, cells, cells == each,
                "a class whose signs can be printed, no blank at either end, and no answer of the page "
                f"({CANNOT_TELL}, {SEVERAL})",
            )  # fmt: skip


def _confidences(text: pd.DataFrame, a: Attribute, name: str) -> np.ndarray | None:
    column = next((f"{a.name}{end}" for end in CONFIDENCES if f"{a.name}{end}" in text), None)
    return None if column is None else _numbers(text[column], name)


def _probabilities(text: pd.DataFrame, a: Attribute, name: str) -> np.ndarray | None:
    columns = [f"{a.name}:{label}" for label in a.classes]
    if not set(columns) <= set(text):
        return None
    matrix = np.stack([_numbers(text[column], name) for column in columns], axis=1)
    total = matrix.sum(axis=1)
    wrong = pd.Series(np.abs(total - 1) > 0.02, index=text.index)
    if wrong.any():
        where = wrong.index[wrong.to_numpy()][0]
        raise DataError(
            f"{name}, {where}: the probabilities of {a.name} add up to {total[wrong.to_numpy()][0]:.3g}; "
            "allowed: 1"
        )
    return matrix / total[:, None]


def _numbers(cells: pd.Series, name: str) -> np.ndarray:
    values = pd.to_numeric(cells.where(cells != "", "nan"), errors="coerce").astype(float)
    wrong = (cells != "") & ~values.between(0, 1) & (cells.str.lower() != "nan")
    if wrong.any():
        _refuse(name, cells, wrong, "a number from 0 to 1, or blank")
    return values.to_numpy()


def _described(a: Attribute, label: pd.Series, sure: bool, outside: int) -> str:
    without = int(label.isna().sum()) - outside
    parts = [f"{len(a)} classes", f"{int(label.notna().sum()):,} labels"]
    parts += [f"{without:,} without one"] * bool(without)
    parts += [f"{outside:,} outside the schema"] * bool(outside)
    parts += ["with confidences" if sure else "no confidences"]
    return f"{a.name}: {', '.join(parts)}"
