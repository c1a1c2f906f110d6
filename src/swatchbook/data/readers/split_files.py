"""Files of one split, such as ``train.txt`` and ``train_attr.txt``, kept in step by the order of their lines.

DeepFashion's fine annotations and the challenge set, which was cut from them, come so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.data.images import SPLITS, SUFFIXES
from swatchbook.data.landmarks import SLOTS
from swatchbook.data.number_rows import first_lines, read_rows
from swatchbook.data.strict_csv import DataError

BOXES = ("bbox",)
LANDMARKS = ("landmards", "landmarks")  # as it is spelt in the files, and as it is meant


def spelling(folder: Path, spellings: Sequence[str]) -> str:
    """Which spelling of a kind of file every split has; an empty text where no split has any.

    Raises:
        DataError: If some splits have it and others do not.
    """
    there = {name: [s for s in SPLITS if (folder / f"{s}_{name}.txt").is_file()] for name in spellings}
    used = next((name for name in spellings if there[name]), "")
    lacking = [split for split in SPLITS if used and split not in there[used]]
    if lacking:
        raise DataError(
            f"{str(folder)!r} has {there[used][0]}_{used}.txt and no {lacking[0]}_{used}.txt; allowed: such "
            "a file for each of train, val and test, or none"
        )
    return used


def headed(path: Path, *, named: bool = False) -> int:
    """How many lines of column names a file begins with: 0 or 1."""
    line = next(iter(first_lines(path, 1)), "")
    fits = line.lower().endswith(SUFFIXES) if named else line.split(" ")[0].lstrip("-").isdigit()
    return int(bool(line) and not fits)


def read_names(path: Path) -> list[str]:
    """The images of a split.

    Raises:
        DataError: If the file is missing or empty, or a line is no name of an image.
    """
    _require(path)
    header = headed(path, named=True)
    names, _ = read_rows(path, 0, named=True, skip=header)
    no_image = [i for i, name in enumerate(names) if not name.lower().endswith(SUFFIXES)]
    if no_image:
        line = f"{path.name}, line {no_image[0] + 1 + header}"
        raise DataError(
            f"{line}: {names[no_image[0]]!r} is no image; allowed: one header line at most, then images"
        )
    return names


def read_aligned(path: Path, width: int, images: int) -> np.ndarray:
    """A file with so many numbers an image: int32 of shape (images, width).

    Raises:
        DataError: If it is missing, or has another number of lines or of numbers in a line.
    """
    _require(path)
    _, rows = read_rows(path, width, named=False, skip=headed(path))
    if len(rows) != images:
        raise DataError(f"{path.name} has {len(rows):,} rows; allowed: {images:,}, one an image of its list")
    return rows


def read_points(path: Path, images: int) -> np.ndarray:
    """A file of landmarks, padded with zeros to eight: shape (images, 8, 2), in each garment's own order."""
    return read_aligned(path, 2 * len(SLOTS), images).reshape(images, len(SLOTS), 2)


def together(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The tables of all splits in one, each image in one split.

    Raises:
        DataError: If an image occurs twice; names the splits.
    """
    whole = pd.concat(parts, ignore_index=True)
    twice = whole["image_id"].duplicated()
    if twice.any():
        name = whole.loc[twice, "image_id"].iloc[0]
        places = ", ".join(f"{split}.txt" for split in whole.loc[whole["image_id"] == name, "split"])
        raise DataError(f"{name!r} is in {places}; allowed: each image in one split")
    return whole


def _require(path: Path) -> None:
    if not path.is_file():
        raise DataError(
            f"{str(path.parent)!r} has no {path.name}; allowed: train.txt, val.txt and test.txt with their "
            "labels"
        )
