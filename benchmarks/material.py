"""Photographs to measure with: drawn by the package or one's own, and any number of links to them."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from swatchbook.data import images
from swatchbook.drawn import write_dataset
from swatchbook.labeller import IMAGE_GRAPH
from swatchbook.labeller.files import found_at
from swatchbook.schema import Schema

QUALITY = 90  # of the JPEGs


def photographs(place: Path, folder: Path | None, drawn: int, side: int) -> list[str]:
    """Files to measure with.

    Args:
        place: An empty folder for drawn photographs.
        folder: A person's own photographs; if given, none are drawn.
        drawn: How many to draw, at least 1.
        side: Their short side in pixels, at least 48.

    Returns:
        Absolute paths, in a fixed order.

    Raises:
        ValueError: If a number is too small.
        DataError: If the folder holds no image.
    """
    if folder is not None:
        return images.find(folder)["path"].tolist()
    if drawn < 1 or side < 48:
        raise ValueError(f"drawn must be at least 1 and side at least 48; received {drawn} and {side}")
    root = place / "drawn"
    # The sides' ratio is at most 1/.6, so that nothing is enlarged.
    write_dataset(
        root, n_train=drawn, n_test=0, coupling=0.5, seed=1, schema=Schema.load(), size=-(-side * 5 // 3)
    )
    files = images.find(root)["path"].tolist()
    for file in files:
        with Image.open(file) as opened:
            factor = side / min(opened.size)
            picture = opened.resize([max(side, round(length * factor)) for length in opened.size])
        picture.save(file, "JPEG", quality=QUALITY)
    return files


def without_graphs(labeller: str, place: Path) -> str | None:
    """A copy of a labeller that ONNX Runtime has no graphs of, so that torch computes; None if it has none.

    Args:
        labeller: As in `Labeller.load`.
        place: A folder to copy it into.
    """
    folder, _ = found_at(labeller, None)
    if not (folder / IMAGE_GRAPH).is_file():
        return None
    copy = shutil.copytree(folder, place / "by torch", ignore=shutil.ignore_patterns("*.onnx"))
    return f"local-dir:{copy}"


def linked(files: Sequence[str], count: int, folder: Path) -> Path:
    """A new folder with so many photographs: links to the files, over and over."""
    folder.mkdir()
    for number, file in zip(range(count), itertools.cycle(files), strict=False):
        (folder / f"{number:08d}{Path(file).suffix}").symlink_to(file)
    return folder
