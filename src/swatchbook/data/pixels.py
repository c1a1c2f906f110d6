"""Manifest → one array of pixels on disk, decoded once.

A row is the image after ``Resize(256)`` (bilinear, the short side becomes 256) and a centre crop of 256,
bit for bit as torchvision makes it with Pillow. Because torchvision rounds the corners of its crops alike,
the centre 224 of a row is bit for bit its ``Resize(256) → CenterCrop(224)`` of the original.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from swatchbook.atomic import write_file
from swatchbook.data.decoding import UnreadableError, decode, read_bytes, threads
from swatchbook.data.images import require
from swatchbook.data.strict_csv import DataError

SIZE = 256
EVALUATED = 224
ROW = (SIZE, SIZE, 3)
_BLOCK = 256  # rows mapped at a time: 48 MiB
_SPARE = 2**26  # bytes of disk left to others


@dataclass(frozen=True)
class Geometry:
    """Where the points of a picture lie in its square: ``scale · point − offset``.

    Coordinates are (x, y) in pixels and continuous: a picture covers [0, width] × [0, height], so that the
    middle of its first pixel is (0.5, 0.5).

    Attributes:
        scale: Of x and of y; the two differ by rounding only.
        offset: What the crop takes off at the left and at the top, in pixels of the square.
    """

    scale: tuple[float, float]
    offset: tuple[int, int]

    @classmethod
    def of(cls, width: int, height: int) -> Geometry:
        """The geometry of `square` for an upright picture of this size, as a manifest gives it."""
        size = _scaled(width, height)
        scale = (size[0] / width, size[1] / height)
        return cls(scale, tuple(round((side - SIZE) / 2) for side in size))

    def points(self, points: np.ndarray) -> np.ndarray:
        """Points of the picture, shape (…, 2), in the square; outside of [0, 256] they were cropped off."""
        return np.asarray(points, dtype=float) * self.scale - self.offset

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (left, top, right, bottom), shape (…, 4), in the square, cut off at its edges.

        A box that lies outside has no area left.
        """
        boxes = np.asarray(boxes, dtype=float)
        corners = self.points(boxes.reshape(*boxes.shape[:-1], 2, 2))
        return np.clip(corners, 0, SIZE).reshape(boxes.shape)


class Square(NamedTuple):
    """A picture as it is stored, and how its coordinates got there.

    Attributes:
        pixels: uint8, shape (256, 256, 3).
        geometry: For the boxes and landmarks of the picture.
    """

    pixels: np.ndarray
    geometry: Geometry


def square(image: Image.Image) -> Square:
    """An RGB picture → ``Resize(256) → CenterCrop(256)``, with the geometry of both."""
    size, geometry = _scaled(*image.size), Geometry.of(*image.size)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = geometry.offset
    return Square(np.asarray(image.crop((left, top, left + SIZE, top + SIZE))), geometry)


def _scaled(width: int, height: int) -> tuple[int, int]:
    """Width and height once the short side is 256."""
    long = int(SIZE * max(width, height) / min(width, height))
    return (SIZE, long) if width <= height else (long, SIZE)


def squashed(image: Image.Image, box: Sequence[float] | None, side: int) -> np.ndarray:
    """A picture, or the part of it in a box, squashed to a square whatever its shape (bilinear).

    Args:
        image: RGB.
        box: Left, top, right and bottom in pixels, rounded to whole ones; None takes the whole picture.
        side: Of the square, in pixels.

    Returns:
        uint8, shape (side, side, 3).
    """
    part = image if box is None else image.crop(tuple(map(round, box)))
    return np.asarray(part.resize((side, side), Image.Resampling.BILINEAR))


def centre(pixels: np.ndarray, size: int = EVALUATED) -> np.ndarray:
    """The centre of stored rows, as evaluation sees it.

    Args:
        pixels: Shape (…, 256, 256, 3).
        size: From 4 to 256 and a multiple of 4, so that both roundings agree; 224 by default.

    Returns:
        A view of shape (…, size, size, 3).
    """
    if not 0 < size <= SIZE or size % 4:
        raise ValueError(f"size must be a multiple of 4 from 4 to {SIZE}; received {size}")
    start = (SIZE - size) // 2
    return pixels[..., start : start + size, start : start + size, :]


Cut = Callable[[Image.Image, Mapping], np.ndarray]


def build(
    manifest: pd.DataFrame,
    out: Path,
    *,
    row: tuple[int, ...] = ROW,
    cut: Cut = lambda image, _: square(image).pixels,
    workers: int | None = None,
) -> None:
    """Decode every image of a manifest into one ``.npy`` array of shape (images, …), uint8.

    The array is written through a memory map, a block of rows at a time, and appears only when it is whole.
    The bytes do not depend on the number of workers.

    Args:
        manifest: With ``image_id, path, sha256``, as ``images.examine`` gives it; row i becomes row i.
        out: Where the array goes; what is there is replaced.
        row: Shape of what is stored of an image; (256, 256, 3) by default.
        cut: An RGB picture and its row of the manifest → what is stored; `square` by default.
        workers: Threads; all cores by default.

    Raises:
        DataError: If an image cannot be read or has changed since the manifest was made, or there is no
            room; nothing is left and what was at ``out`` is untouched.
        StoreError: If the disk is full all the same, or cannot be written.
        ValueError: If a column is missing, an image occurs twice or there is no image.
    """
    require(manifest, ("image_id", "path", "sha256"))
    out = Path(out)
    shape = (len(manifest), *row)
    _check_room(out.parent, int(np.prod(shape)))
    write_file(out, lambda unfinished: _fill(unfinished, manifest, shape, cut, workers))


def _check_room(folder: Path, needed: int) -> None:
    if not folder.is_dir():
        raise DataError(f"folder {str(folder)!r} does not exist; make it, or name another for the pixels")
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE:
        raise DataError(
            f"the pixels need {needed / 1e9:.1f} GB in {str(folder)!r}, where {free / 1e9:.1f} GB are free"
        )


def _fill(path: Path, manifest: pd.DataFrame, shape: tuple[int, ...], cut: Cut, workers: int | None) -> None:
    offset = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape).offset
    _reserve(path)
    rows = manifest.to_dict("records")
    row_bytes = int(np.prod(shape[1:]))
    with threads(workers) as pool, tqdm(total=len(rows), desc="decoding", unit="image") as progress:
        for start in range(0, len(rows), _BLOCK):
            wanted = rows[start : start + _BLOCK]
            # A map a block: pages of finished blocks do not stay with this process.
            block_shape = (len(wanted), *shape[1:])
            block = np.memmap(path, np.uint8, "r+", offset + start * row_bytes, shape=block_shape)
            for i, stored in enumerate(pool.map(partial(_row, cut=cut), wanted)):
                block[i] = stored
                progress.update()
            block.flush()
            del block


def _reserve(path: Path) -> None:
    """Take the disk space now: on a full disk, writing through a map would kill the process."""
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("rb+") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # some network disks cannot
                raise


def _row(image: Mapping, cut: Cut) -> np.ndarray:
    try:
        data = read_bytes(image["path"])
        if hashlib.sha256(data).hexdigest() != image["sha256"]:
            raise UnreadableError("the file has changed")
        return cut(decode(data), image)
    except UnreadableError as error:
        raise DataError(
            f"image {image['image_id']!r} is not as it was when the manifest was made ({error}); make the "
            "manifest again"
        ) from None


def read(path: Path, images: int | None = None, row: tuple[int, ...] = ROW) -> np.memmap:
    """Open an array of pixels for reading; nothing is loaded.

    Args:
        path: A file that ``build`` wrote.
        images: How many rows it must have; any number by default.
        row: Shape of each; (256, 256, 3) by default.

    Returns:
        A read-only map, uint8, shape (images, …).

    Raises:
        DataError: If it is missing, cut off, holds Python objects, or has another shape or type.
    """
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{str(path)!r} is no array of pixels: {error}; build it again") from None
    wanted = f"uint8 ({'images' if images is None else images}, {', '.join(map(str, row))})"
    right = isinstance(stored, np.memmap) and stored.dtype == np.uint8 and stored.flags.c_contiguous
    if not right or stored.shape[1:] != row or images not in (None, len(stored)):
        shape = getattr(stored, "shape", "several arrays")
        raise DataError(
            f"{str(path)!r} holds {getattr(stored, 'dtype', '')} {shape}; allowed: {wanted}; build it again"
        )
    return stored
