"""Tiles that repeat over cloth, drawn with Pillow at twice their size, and the shapes drawn on them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from swatchbook.drawn.fields import UVMap, channels
from swatchbook.drawn.periodic import TILE, periodic, sample

Array = np.ndarray
TURN = 2 * np.pi
_ANGLES = TURN * np.arange(16) / 16
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_ALONG = np.linspace(0, 1, 7)
_LEAF_HALF = np.sin(np.pi * _ALONG**0.8)
_LEAF_ALONG = np.concatenate([_ALONG, _ALONG[::-1]])


def canvas(ground: Array) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A tile at twice its size, so that edges come out smooth when it is halved."""
    picture = Image.new("RGB", (2 * TILE, 2 * TILE), ink_of(ground))
    return picture, ImageDraw.Draw(picture)


def repeated(picture: Image.Image, uv: UVMap, period: float) -> Array:
    """The tile repeated every ``period`` pixels over the cloth, shape (3, height, width)."""
    shrink = max(1, round(2 * TILE / max(period, 32)))
    small = picture.reduce(shrink)
    tile = periodic(channels(small))
    return sample(tile, uv.u * (small.width / period), uv.v * (small.height / period))


def scattered(rng: np.random.Generator, across: int) -> Array:
    """Points in a jittered, staggered grid over the doubled tile, shape (across², 2)."""
    pitch = 2 * TILE / across
    rows, columns = np.divmod(np.arange(across * across), across)
    points = np.stack([columns + 0.5 * (rows % 2), rows], axis=1) * pitch
    return points + rng.uniform(-0.2, 0.2, size=points.shape) * pitch


def draw_wrapped(
    draw: ImageDraw.ImageDraw, shape: Array, x: float, y: float, ink: tuple[int, int, int], outline: float = 0
) -> None:
    """Draw a polygon (or, with an outline, a thick line) on a tile that repeats."""
    side = 2 * TILE
    placed = shape + np.array([x % side, y % side])
    corners = placed.ravel().tolist()
    left, right, top, bottom = min(corners[::2]), max(corners[::2]), min(corners[1::2]), max(corners[1::2])
    for dx in (-side, 0, side):
        if left + dx > side or right + dx < -outline:
            continue
        for dy in (-side, 0, side):
            if top + dy > side or bottom + dy < -outline:
                continue
            copy = (placed + np.array([dx, dy])).ravel().tolist() if dx or dy else corners
            if outline:
                draw.line(copy, fill=ink, width=round(outline), joint="curve")
            else:
                draw.polygon(copy, fill=ink)


def ink_of(colour: Array) -> tuple[int, int, int]:
    """A colour in [0, 1] as Pillow wants it."""
    red, green, blue = (np.asarray(colour) * 255).tolist()
    return int(min(max(red, 0), 255)), int(min(max(green, 0), 255)), int(min(max(blue, 0), 255))


def flat(points: Array) -> list[float]:
    """Points, shape (n, 2), as Pillow wants them."""
    return np.asarray(points, dtype=float).ravel().tolist()


def disc(radius: float) -> Array:
    """A circle's outline, shape (16, 2)."""
    return _CIRCLE * radius


def blob(radius: float, rng: np.random.Generator) -> Array:
    """An uneven patch's outline, shape (16, 2)."""
    return disc(radius) * rng.uniform(0.75, 1.2, size=(16, 1)) * rng.uniform(0.75, 1.25, size=2)


def petals(angles: Array, start: float, end: float, slim: float) -> Array:
    """Leaf-like outlines from ``start`` to ``end`` along each angle; ``slim`` is their width by their length.

    Returns:
        Shape (angles, 14, 2).
    """
    half = _LEAF_HALF * slim * (end - start) / 2
    x, y = start + _LEAF_ALONG * (end - start), np.concatenate([half, -half[::-1]])
    c, s = np.cos(angles)[:, None], np.sin(angles)[:, None]
    return np.stack([x * c - y * s, x * s + y * c], axis=2)
