"""Tiles that repeat over cloth, drawn with Pillow at twice their size, and the shapes drawn on them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from swatchbook.drawn.fields import TILE, sample

Array = np.ndarray
TURN = 2 * np.pi


def canvas(ground: Array) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A tile at twice its size, so that edges come out smooth when it is halved."""
    picture = Image.new("RGB", (2 * TILE, 2 * TILE), ink_of(ground))
    return picture, ImageDraw.Draw(picture)


def repeated(picture: Image.Image, u: Array, v: Array, period: float) -> Array:
    """The halved tile sampled so that it repeats every ``period`` pixels."""
    shrink = max(1, round(2 * TILE / max(period, 32)))
    tile = np.asarray(picture.reduce(shrink), dtype=np.float32) / 255
    return sample(tile, u * (tile.shape[1] / period), v * (tile.shape[0] / period)).astype(np.float32)


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
    reach = np.abs(shape).max() + outline
    placed = shape + np.array([x % side, y % side])
    for dx in (-side, 0, side):
        for dy in (-side, 0, side):
            corner = placed.min(axis=0) + np.array([dx, dy])
            if (corner > side).any() or (corner + 2 * reach + outline < 0).any():
                continue
            if outline:
                draw.line(flat(placed + np.array([dx, dy])), fill=ink, width=round(outline), joint="curve")
            else:
                draw.polygon(flat(placed + np.array([dx, dy])), fill=ink)


def ink_of(colour: Array) -> tuple[int, int, int]:
    """A colour in [0, 1] as Pillow wants it."""
    red, green, blue = np.clip(np.asarray(colour) * 255, 0, 255).astype(int)
    return int(red), int(green), int(blue)


def flat(points: Array) -> list[float]:
    """Points, shape (n, 2), as Pillow wants them."""
    return np.asarray(points, dtype=float).ravel().tolist()


def disc(radius: float) -> Array:
    """A circle's outline, shape (16, 2)."""
    angles = TURN * np.arange(16) / 16
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius


def blob(radius: float, rng: np.random.Generator) -> Array:
    """An uneven patch's outline, shape (16, 2)."""
    return disc(radius) * rng.uniform(0.75, 1.2, size=(16, 1)) * rng.uniform(0.75, 1.25, size=2)


def petal(angle: float, start: float, end: float, slim: float) -> Array:
    """A leaf-like outline from ``start`` to ``end`` along the angle; ``slim`` is its width by its length."""
    along = np.linspace(0, 1, 7)
    half = np.sin(np.pi * along**0.8) * slim * (end - start) / 2
    x = np.concatenate([start + along * (end - start), start + along[::-1] * (end - start)])
    y = np.concatenate([half, -half[::-1]])
    return np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], axis=1)
