"""What goes into a training: checked at the edge, cut into batches, fingerprinted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

import numpy as np


def checked_rows(rows: np.ndarray, pixels: np.ndarray, what: str) -> np.ndarray:
    """`rows` as int64, if they are rows of a proper array of pixels.

    Raises:
        ValueError: If `pixels` is not uint8 of shape (N, S, S, 3) or a row lies outside it.
    """
    shape, dtype = getattr(pixels, "shape", ()), getattr(pixels, "dtype", type(pixels).__name__)
    if dtype != np.uint8 or len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3:
        raise ValueError(f"pixels of {dtype} and shape {shape}; uint8 of shape (N, S, S, 3) is needed")
    rows = np.asarray(rows)
    if rows.ndim != 1 or (rows.size and not np.issubdtype(rows.dtype, np.integer)):
        raise ValueError(f"{what} of {rows.dtype} and shape {rows.shape}; integers of shape (n,) are needed")
    if rows.size and not (rows.min() >= 0 and rows.max() < len(pixels)):
        raise ValueError(f"{what} from {rows.min()} to {rows.max()}; allowed: 0 to {len(pixels) - 1}")
    return rows.astype(np.int64)


def checked_split(
    pixels: np.ndarray, train_rows: np.ndarray, val_rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The rows to learn from and to choose by as int64, if they are rows of `pixels` and differ."""
    train_rows = checked_rows(train_rows, pixels, "train_rows")
    val_rows = checked_rows(val_rows, pixels, "val_rows")
    both = np.intersect1d(train_rows, val_rows)
    if both.size:
        raise ValueError(
            f"{both.size} rows are in train_rows and in val_rows, the first {both[0]}; none may be"
        )
    return train_rows, val_rows


def fingerprint(
    settings: object, targets: Mapping[str, np.ndarray], pixels: np.ndarray, *parts: np.ndarray
) -> str:
    """SHA-256 over all that a training's result depends on but the machine.

    Args:
        settings: Recipe, task and weights, as JSON can say them.
        targets: Name → targets of all images.
        pixels: The images.
        parts: Rows of the images that count, part by part.
    """
    digest = hashlib.sha256(json.dumps([settings, pixels.shape], sort_keys=True).encode())
    for rows in parts:
        digest.update(f"rows {len(rows)}".encode() + rows.tobytes())
        for name, values in targets.items():
            some = np.ascontiguousarray(values[rows])
            digest.update(f"{name} {some.dtype} {some.shape}".encode() + some.tobytes())
        for some in batches(rows, 256):
            digest.update(np.ascontiguousarray(pixels[some]))
    return digest.hexdigest()


def batches(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Cut rows into batches of at most `size`, as equal as can be: no batch is left with one image."""
    if len(rows):
        yield from np.array_split(rows, -(-len(rows) // size))
