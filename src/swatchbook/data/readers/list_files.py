"""DeepFashion's ``list_….txt``: the number of rows in the first line, then column names, then the rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.data.images import SPLITS
from swatchbook.data.number_rows import first_lines, read_rows
from swatchbook.data.strict_csv import DataError, utf8_text

Named = Sequence[tuple[str, int]]  # names, each with its type, in the order of a list


def read_partition(path: Path) -> pd.DataFrame:
    """``image_id`` and ``split`` in the file's order."""
    rows = [line.split() for line in _rows_of(path)]
    wrong = [i for i, row in enumerate(rows) if len(row) != 2 or row[1] not in SPLITS]
    if wrong:
        line = f"{path.name}, line {wrong[0] + 3:,}"
        raise DataError(f"{line}: {' '.join(rows[wrong[0]])!r}; allowed: an image and train, val or test")
    table = pd.DataFrame(rows, columns=["image_id", "split"])
    twice = table["image_id"].duplicated()
    if twice.any():
        name = table.loc[twice, "image_id"].iloc[0]
        splits = " and ".join(table.loc[table["image_id"] == name, "split"])
        raise DataError(f"{path.name}: {name!r} is in {splits}; allowed: each image once")
    return table


def _rows_of(path: Path) -> list[str]:
    """The lines after the header, as many as it says."""
    count = stated_rows(path)
    lines = utf8_text(path.read_bytes(), path.name).rstrip().split("\n")[2:]
    refuse_other_count(path, count, len(lines))
    return lines


def stated_rows(path: Path) -> int:
    """The number of rows that a file's first line states."""
    if not path.is_file():
        raise DataError(
            f"{str(path.parent)!r} has no {path.name}; allowed: the whole of DeepFashion's annotations"
        )
    first = next(iter(first_lines(path, 1)), "")
    if not first.isdigit():
        raise DataError(
            f"{path.name}, line 1: {first[:60]!r} is no number of rows; allowed: a count, then names"
        )
    return int(first)


def refuse_other_count(path: Path, stated: int, received: int) -> None:
    """Refuse a file whose first line states another number of rows than it has."""
    if stated != received:
        raise DataError(f"{path.name} has {received:,} rows; allowed: {stated:,}, as its first line states")


def read_named_types(path: Path, most: int) -> Named:
    """Names, which may have spaces in them, each with its type from 1 to `most`."""
    rows = [line.rsplit(None, 1) for line in _rows_of(path)]
    for i, row in enumerate(rows):
        if len(row) != 2 or row[1] not in map(str, range(1, most + 1)):
            raise DataError(
                f"{path.name}, line {i + 3}: {' '.join(row)!r}; allowed: a name and a type from 1 to {most}"
            )
    return [(name.strip(), int(kind)) for name, kind in rows]


def read_listed(path: Path, width: int, images: pd.Series) -> np.ndarray:
    """A list's numbers in the order of the partition: int32 of shape (images, width)."""
    stated = stated_rows(path)
    names, rows = read_rows(path, width, named=True, skip=2)
    refuse_other_count(path, stated, len(rows))
    return rows[places_of(path, names, images)]


def places_of(path: Path, names: Sequence[str], images: pd.Series) -> np.ndarray:
    """Where each image of the partition is in a list."""
    index = pd.Index(names)
    if index.has_duplicates:
        raise DataError(f"{path.name} has {index[index.duplicated()][0]!r} twice; allowed: each image once")
    if len(index) != len(images):
        stray = index.difference(images)
        if len(stray):
            raise DataError(f"{path.name}: {stray[0]!r} is in no partition ({len(stray):,} such images)")
    places = index.get_indexer(images)
    lacking = images[places < 0]
    if len(lacking):
        raise DataError(
            f"{path.name} has no {lacking.iloc[0]!r} ({len(lacking):,} such images of the partition)"
        )
    return places
