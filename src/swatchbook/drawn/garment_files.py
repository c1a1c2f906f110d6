"""Photographs of garments drawn into files, and the full truth of each: attributes, box and landmarks.

Slots, visibility and the orders in which DeepFashion lists the landmarks of a garment stand here too, for the
writers of data sets.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.drawn.files import draw_files
from swatchbook.drawn.garment_world import GROUPS, group_cramers_v
from swatchbook.drawn.latent import World
from swatchbook.drawn.photographs import ABSENT, SLOTS, TRUNCATED, Geometry, draw_photograph

COLUMNS = tuple(slot.replace(" ", "_") for slot in SLOTS)
# Slots of upper-, lower- and full-body clothes, in the order of DeepFashion's files.
ORDERS = {1: (0, 1, 2, 3, 6, 7), 2: (4, 5, 6, 7), 3: (0, 1, 2, 3, 4, 5, 6, 7)}
BOX = ("x_1", "y_1", "x_2", "y_2")


def draw_garments(root: Path, truth: pd.DataFrame, seed: int, size: int, workers: int | None) -> pd.DataFrame:
    """Draw a photograph a row, and complete the truth by what is where.

    Args:
        root: Where the files go.
        truth: As from ``sample_garments``, and ``path`` relative to ``root``.
        seed: At least 0.
        size: The longer side in pixels.
        workers: Processes; all cores by default, 1 draws in this process.

    Returns:
        The truth with the columns ``worn``, ``x_1``, ``y_1``, ``x_2``, ``y_2`` (the box that the cloth fills;
        the last two are one beyond it) and for each of ``COLUMNS`` its ``…_x``, ``…_y`` in whole pixels and
        its ``…_visibility``: 0 visible, 1 occluded, 2 cut off by the picture's edge, 3 not of this garment.
        Where a point is not in the picture, x and y are missing.
    """
    draw = partial(draw_photograph, size=size)
    rows = [
        {name: value for name, value in row.items() if pd.notna(value)} for row in truth.to_dict("records")
    ]
    known = draw_files(root, rows, draw, seed, workers)
    where = pd.DataFrame([_columns(geometry) for geometry in known])
    return pd.concat([truth, where.convert_dtypes()], axis=1)


def _columns(geometry: Geometry) -> dict[str, object]:
    columns: dict[str, object] = {"worn": geometry.worn, **dict(zip(BOX, geometry.box, strict=True))}
    for name, (x, y), visibility in zip(COLUMNS, geometry.landmarks, geometry.visibility, strict=True):
        seen = visibility not in (TRUNCATED, ABSENT)
        columns[f"{name}_x"], columns[f"{name}_y"] = (int(x), int(y)) if seen else (None, None)
        columns[f"{name}_visibility"] = int(visibility)
    return columns


def landmarks_of(row: dict[str, object]) -> list[tuple[int, int, int]]:
    """A truth row's landmarks in its type's order: visibility, x, y; a point that is cut off is at 0, 0."""
    points = []
    for slot in ORDERS[row["clothes_type"]]:
        x, y, visibility = (row[f"{COLUMNS[slot]}_{part}"] for part in ("x", "y", "visibility"))
        points.append((int(visibility), *((0, 0) if visibility == TRUNCATED else (int(x), int(y)))))
    return points


def write_world(path: Path, world: World, **settings: object) -> None:
    """Write everything that determines the truth, and the V by pair of groups that follows from it."""
    known = settings | {
        "coupling": world.coupling,
        "classes": GROUPS,
        "prior": world.prior.tolist(),
        "given": {name: theta.tolist() for name, theta in world.given.items()},
        "margins": {
            name: dict(zip(GROUPS[name], world.margin(name).tolist(), strict=True)) for name in GROUPS
        },
        "cramers_v": group_cramers_v(world).to_dict("records"),
    }
    path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def write_lines(path: Path, lines: list[str]) -> None:
    """Write a text file, and the folder that it stands in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def splits(**counts: int) -> np.ndarray:
    """The names of the splits, each as often as it counts."""
    return np.repeat(list(counts), list(counts.values()))
