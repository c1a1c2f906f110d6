"""What goes into a model: checked at the edge, cut into batches, fingerprinted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict

import numpy as np

from swatchbook.models.recipe import Recipe
from swatchbook.schema import Schema


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
    pixels: np.ndarray,
    codes: Mapping[str, np.ndarray],
    train_rows: np.ndarray,
    val_rows: np.ndarray,
    schema: Schema,
    recipe: Recipe,
    soft: Mapping[str, np.ndarray] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of a training, if all that it is given fits together; arguments as in `training.train`.

    Raises:
        ValueError: If something does not fit, or there is nothing to learn from or to choose by.
    """
    train_rows = checked_rows(train_rows, pixels, "train_rows")
    val_rows = checked_rows(val_rows, pixels, "val_rows")
    both = np.intersect1d(train_rows, val_rows)
    if both.size:
        raise ValueError(
            f"{both.size} rows are in train_rows and in val_rows, the first {both[0]}; none may be"
        )
    if (recipe.loss == "soft") != (soft is not None):
        raise ValueError(
            f"loss {recipe.loss!r} with soft={'given' if soft else None}; soft targets serve 'soft'"
        )
    for a in schema:
        code = np.asarray(codes.get(a.name, ()))
        if code.shape != (len(pixels),) or not np.issubdtype(code.dtype, np.integer):
            raise ValueError(
                f"codes[{a.name!r}] of {code.dtype} and shape {code.shape}; integers of shape "
                f"({len(pixels)},) are needed"
            )
        if code.min() < -1 or code.max() >= len(a):
            raise ValueError(
                f"codes[{a.name!r}] from {code.min()} to {code.max()}; allowed: -1 to {len(a) - 1}"
            )
        given, needed = np.shape(soft.get(a.name)) if soft else (), (len(pixels), len(a))
        if soft is not None and given != needed:
            raise ValueError(f"soft[{a.name!r}] has shape {given}; {needed} is needed")
    taught = [
        np.nan_to_num(soft[n][train_rows]) > 0 if soft else codes[n][train_rows] >= 0 for n in schema.names
    ]
    if not any(known.any() for known in taught):
        raise ValueError(f"none of the {len(train_rows)} training images has a label; nothing can be learnt")
    if not any((codes[name][val_rows] >= 0).any() for name in schema.names):
        raise ValueError(f"none of the {len(val_rows)} validation images has a label; no epoch can be chosen")
    return train_rows, val_rows


def fingerprint(
    pixels: np.ndarray,
    codes: Mapping[str, np.ndarray],
    soft: Mapping[str, np.ndarray] | None,
    train_rows: np.ndarray,
    val_rows: np.ndarray,
    schema: Schema,
    recipe: Recipe,
    info: Mapping[str, object],
) -> str:
    """SHA-256 over all that a training's result depends on but the machine: data, settings, weights."""
    heads = [[a.name, list(a.classes)] for a in schema]
    digest = hashlib.sha256(json.dumps([asdict(recipe), heads, info, pixels.shape], sort_keys=True).encode())
    for rows in (train_rows, val_rows):
        digest.update(f"rows {len(rows)}".encode() + rows.tobytes())
        for name in schema.names:
            digest.update(np.asarray(codes[name][rows], np.int64).tobytes())
            if soft is not None:
                digest.update(np.asarray(soft[name][rows], np.float64).tobytes())
        for some in batches(rows, 256):
            digest.update(np.ascontiguousarray(pixels[some]))
    return digest.hexdigest()


def batches(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Cut rows into batches of at most `size`, as equal as can be: no batch is left with one image."""
    if len(rows):
        yield from np.array_split(rows, -(-len(rows) // size))
