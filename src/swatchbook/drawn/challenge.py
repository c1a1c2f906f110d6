"""A drawn data set in the files of the fashion attribute challenge, with its truth beside it.

``FashionDataset/img/00000.jpg`` and on; ``FashionDataset/split/``: for each split the images, their boxes
and their landmarks, for training and validation their six classes, and the list of the 26 attributes. No file
has a header but that list. Landmarks are eight pairs in the order of the garment's type, ``0 0`` for a point
that is not in the picture and for those that the type lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from swatchbook.atomic import new_folder
from swatchbook.csv_io import write_csv
from swatchbook.drawn.files import require_drawable
from swatchbook.drawn.garment_files import (
    corners_of,
    draw_garments,
    points_of,
    splits,
    write_lines,
    write_world,
)
from swatchbook.drawn.garment_truth import challenge_groups, sample_garments
from swatchbook.drawn.garment_world import GROUPS, MARGINS, garment_world


def write_challenge(
    out: Path,
    *,
    n_train: int,
    n_val: int,
    n_test: int = 0,
    coupling: float = 0.7,
    seed: int,
    size: int = 300,
    workers: int | None = None,
    margins: Mapping[str, Mapping[str, float]] = MARGINS,
) -> pd.DataFrame:
    """Draw a data set: ``FashionDataset``, ``truth.csv`` and ``world.json``.

    Either all of it is there in the end or nothing is; the files do not depend on the number of workers.

    Args:
        out: The folder to make; it must not hold anything yet.
        n_train: Images in the training split, at least 0.
        n_val: Images in the validation split, at least 0.
        n_test: Images in the test split, whose classes stand in ``truth.csv`` only, at least 0.
        coupling: λ in [0, 1]; true V by pair of groups is λ times its value at 1.
        seed: At least 0.
        size: The longer side in pixels.
        workers: Processes; all cores by default, 1 draws in this process.
        margins: Group → class → share or count; the challenge's own by default.

    Returns:
        The truth, a row an image, as from ``garment_files.draw_garments``, with ``path`` and ``split``.

    Raises:
        ValueError: If an argument lies outside its range or ``out`` holds something.
        StoreError: If the target cannot be written; nothing is left behind.
    """
    counts = {"n_train": (n_train, 0), "n_val": (n_val, 0), "n_test": (n_test, 0)}
    require_drawable(seed=seed, size=size, workers=workers, **counts, images=(n_train + n_val + n_test, 1))
    world = garment_world(coupling, margins)
    split = splits(train=n_train, val=n_val, test=n_test)
    truth = sample_garments(len(split), seed, world)
    truth.insert(0, "path", [f"FashionDataset/img/{number:05d}.jpg" for number in range(len(split))])
    truth.insert(1, "split", split)
    with new_folder(out) as folder:
        truth = draw_garments(folder, truth, seed, size, workers)
        _write_splits(folder / "FashionDataset" / "split", truth)
        write_csv(truth, folder / "truth.csv")
        write_world(folder / "world.json", world, seed=seed, size=size)
    return truth


def _write_splits(folder: Path, truth: pd.DataFrame) -> None:
    attributes = [(label, number) for number, classes in enumerate(GROUPS.values(), 1) for label in classes]
    lines = [f"{label:<20} {number}" for label, number in attributes]
    write_lines(folder / "list_attr_cloth.txt", [f"{len(lines)} ", "attribute_name   attribute_type", *lines])
    groups = challenge_groups(truth)
    for split in ("train", "val", "test"):
        here = truth["split"] == split
        rows = truth[here].to_dict("records")
        write_lines(folder / f"{split}.txt", [row["path"].removeprefix("FashionDataset/") for row in rows])
        boxes = [" ".join(f"{value:03d}" for value in corners_of(row)) for row in rows]
        write_lines(folder / f"{split}_bbox.txt", boxes)
        write_lines(folder / f"{split}_landmards.txt", [_landmarks(row) for row in rows])
        if split != "test":
            codes = [
                [GROUPS[group].index(label) for group, label in row.items()]
                for row in groups[here].to_dict("records")
            ]
            write_lines(folder / f"{split}_attr.txt", [" ".join(map(str, row)) for row in codes])


def _landmarks(row: dict[str, object]) -> str:
    points = [f"{x:03d} {y:03d}" if (x, y) != (0, 0) else "0 0" for _, x, y in points_of(row)]
    return " ".join(points + ["0 0"] * (8 - len(points)))
