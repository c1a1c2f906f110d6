"""Photographs of garments drawn into files, and the full truth of each: attributes, box and landmarks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.data.landmarks import ABSENT, BOX, SLOTS, TRUNCATED, TYPES
from swatchbook.drawn.files import draw_files
from swatchbook.drawn.garment_world import GROUPS, group_cramers_v
from swatchbook.drawn.latent import World
from swatchbook.drawn.photographs import Geometry, draw_photograph


def draw_garments(root: Path, truth: pd.DataFrame, seed: int, size: int, workers: int | None) -> pd.DataFrame:
    """Draw a photograph a row, and complete the truth by what is where.

    Args:
        root: Where the files go.
        truth: As from ``sample_garments``, and ``path`` relative to ``root``.
        seed: At least 0.
        size: The longer side in pixels.
        workers: Processes; all cores by default, 1 draws in this process.

    Returns:
        The truth with ``worn`` and the columns of ``swatchbook.data.landmarks``: the edges of the box that
        the cloth fills, and for each slot x, y and a visibility; x and y are missing where the picture's
        edge cuts the point off (2) and where the garment has none (−1).
    """
    rows = [
        {name: value for name, value in row.items() if pd.notna(value)} for row in truth.to_dict("records")
    ]
    known = draw_files(root, rows, partial(draw_photograph, size=size), seed, workers)
    return pd.concat([truth, pd.DataFrame([_columns(geometry) for geometry in known])], axis=1)


def _columns(geometry: Geometry) -> dict[str, object]:
    columns: dict[str, object] = {"worn": geometry.worn, **dict(zip(BOX, geometry.box, strict=True))}
    for slot in SLOTS:
        x, y, visibility = geometry.points.get(slot, (np.nan, np.nan, ABSENT))
        columns[f"{slot}_x"], columns[f"{slot}_y"] = (np.nan, np.nan) if visibility == TRUNCATED else (x, y)
        columns[f"{slot}_visibility"] = visibility
    return columns


def corners_of(row: Mapping[str, object]) -> list[int]:
    """A truth row's box as DeepFashion's files have it: its first and last pixel, counted from 1."""
    left, top, right, bottom = (int(row[name]) for name in BOX)
    return [left + 1, top + 1, right, bottom]


def points_of(row: Mapping[str, object]) -> list[tuple[int, int, int]]:
    """A truth row's landmarks as DeepFashion's files have them, in the order of its clothes type.

    Returns:
        Visibility, x and y of each, pixels counted from 1; (2, 0, 0) for a point that is cut off.
    """
    points = []
    for slot in (SLOTS[number] for number in TYPES[row["clothes_type"]]):
        x, y, visibility = (row[f"{slot}_{part}"] for part in ("x", "y", "visibility"))
        points.append((visibility, 0, 0) if visibility == TRUNCATED else (visibility, int(x) + 1, int(y) + 1))
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
