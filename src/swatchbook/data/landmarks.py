"""Boxes and landmarks as columns of a manifest: eight slots for every garment, whatever its type.

Coordinates are (x, y) in pixels and continuous: a picture covers [0, width] × [0, height], so that the
middle of its first pixel is (0.5, 0.5). DeepFashion counts pixels from 1 and its boxes hold their last pixel:
sides of boxes reach from 1 to the picture's width, and (0, 0) stands for no point.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from swatchbook.data.images import require
from swatchbook.data.strict_csv import DataError

SLOTS = (
    "left_collar", "right_collar", "left_sleeve", "right_sleeve",
    "left_waistline", "right_waistline", "left_hem", "right_hem",
)  # fmt: skip
#: Type of a garment → the slots of the points that it has, in the order in which files list them.
TYPES = {"upper": (0, 1, 2, 3, 6, 7), "lower": (4, 5, 6, 7), "full": (0, 1, 2, 3, 4, 5, 6, 7)}
VISIBLE, OCCLUDED, TRUNCATED = 0, 1, 2  # as files code them
ABSENT = -1  # the garment has no such point, or none is given
BOX = ("box_left", "box_top", "box_right", "box_bottom")
POINTS = tuple(f"{slot}_{axis}" for slot in SLOTS for axis in "xy")
VISIBILITY = tuple(f"{slot}_visibility" for slot in SLOTS)


def box_columns(corners: np.ndarray) -> pd.DataFrame:
    """Boxes as files give them → columns `BOX`.

    Args:
        corners: First and last pixel (x_1, y_1, x_2, y_2), counted from 1, shape (n, 4).
    """
    edges = np.asarray(corners, dtype=np.float32) - np.array([1, 1, 0, 0], np.float32)
    return pd.DataFrame(np.maximum(edges, 0), columns=list(BOX))


def point_columns(points: np.ndarray, visibility: np.ndarray, types: np.ndarray) -> pd.DataFrame:
    """Landmarks as files give them → `clothes_type`, `POINTS` and `VISIBILITY`, in the eight slots.

    Args:
        points: Pixels (x, y), counted from 1, in the order of each garment's own type; shape (n, 8, 2), of
            which a garment with fewer points uses the first. (0, 0) is no point.
        visibility: Codes 0, 1 or 2, in the same order, shape (n, 8).
        types: Keys of `TYPES`, or None where a garment has no points; shape (n,).

    Returns:
        Coordinates are NaN, and the code is −1, where there is no point; a point that the picture's edge
        cut off keeps its code 2 and has no coordinates.
    """
    placed = np.full((len(points), len(SLOTS), 2), np.nan, np.float32)
    codes = np.full((len(points), len(SLOTS)), ABSENT, np.int8)
    for name, slots in TYPES.items():
        rows = np.flatnonzero(np.asarray(types, dtype=object) == name)[:, None]
        placed[rows, slots] = points[rows, np.arange(len(slots))]
        codes[rows, slots] = visibility[rows, np.arange(len(slots))]
    codes[(placed == 0).all(2) & (codes != TRUNCATED)] = ABSENT
    placed[(codes == ABSENT) | (codes == TRUNCATED)] = np.nan
    columns = {"clothes_type": np.asarray(types, dtype=object)}
    columns |= dict(zip(POINTS, np.maximum(placed - 0.5, 0).reshape(len(points), -1).T, strict=True))
    return pd.DataFrame(columns | dict(zip(VISIBILITY, codes.T, strict=True)))


def suggested_types(points: np.ndarray) -> np.ndarray:
    """The type that a row of points suggests where none is written: by its last point.

    A garment with more than six points is full, with more than four upper, else lower. Of 6,000 garments of
    the challenge set about one in twenty of those called lower is an upper one whose hem is not seen.

    Args:
        points: As in `point_columns`, shape (n, 8, 2).

    Returns:
        Keys of `TYPES`, or None where a row has no point; objects, shape (n,).
    """
    given = (np.asarray(points) != 0).any(2)
    last = np.where(given.any(1), given.shape[1] - given[:, ::-1].argmax(1), 0)
    names = np.array([None, "lower", "upper", "full"], dtype=object)
    return names[np.searchsorted([1, 5, 7], last, side="right")]


def points_of(manifest: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The landmarks of a manifest as arrays.

    Args:
        manifest: With `POINTS` and `VISIBILITY`.

    Returns:
        Coordinates, float32 of shape (n, 8, 2), NaN where there is none; codes, int8 of shape (n, 8).
    """
    require(manifest, (*POINTS, *VISIBILITY))
    places = manifest[list(POINTS)].to_numpy(np.float32).reshape(-1, len(SLOTS), 2)
    return places, manifest[list(VISIBILITY)].to_numpy(np.int8)


def refuse_outside(manifest: pd.DataFrame) -> None:
    """Refuse boxes without an area, and boxes and points that leave their picture.

    Args:
        manifest: With ``width, height`` as `images.examine` gives them, and `BOX`, or `POINTS`, or both.

    Raises:
        DataError: Names the first image.
    """
    require(manifest, ("image_id", "width", "height"))
    size = manifest[["width", "height"]].to_numpy(np.float32)
    if BOX[0] in manifest:
        box = manifest[list(BOX)].to_numpy(np.float32).reshape(-1, 2, 2)
        wrong = (box[:, 0] < 0) | (box[:, 0] >= box[:, 1]) | (box[:, 1] > size)
        _refuse(wrong.any(1), manifest, "box", box.reshape(-1, 4))
    if POINTS[0] in manifest:
        places = points_of(manifest)[0]
        for slot, name in enumerate(SLOTS):
            point = places[:, slot]  # comparisons with NaN are false
            _refuse(((point < 0) | (point > size)).any(1), manifest, name, point)


def _refuse(wrong: np.ndarray, manifest: pd.DataFrame, what: str, received: np.ndarray) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        about = manifest.iloc[row]
        numbers = ", ".join(f"{number:g}" for number in received[row])
        raise DataError(
            f"{about['image_id']!r}: {what} ({numbers}) ({int(wrong.sum()):,} such); allowed: inside the "
            f"picture, which is {about['width']} × {about['height']} pixels"
        )
