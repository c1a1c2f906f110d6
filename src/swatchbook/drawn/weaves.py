"""Fine structures of cloth: weaves, knits, nets, lace and leather's pebbles, as relief."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from swatchbook.drawn.fields import bump, fraction
from swatchbook.drawn.periodic import TILE, grain, nearest, nubs, periodic, sample, speckle, strands
from swatchbook.drawn.tiles import TURN, draw_wrapped

Array = np.ndarray


def weave(kind: str, u: Array, v: Array, zoom: float) -> Array:
    """A fine structure's relief in [0, 1] or so, whose mean is near a half."""
    if kind == "plain" or kind == "heather" or kind == "tweed":
        return basket(u, v, 3.6 * zoom)
    if kind in ("denim", "twill"):
        slope = 0.5 + 0.5 * np.sin(TURN * (u + 0.8 * v) / (4.6 * zoom))
        return 0.75 * slope + 0.1 * sample(strands(), u / zoom, v / zoom) + 0.12
    if kind == "wales":
        return bump(u / (5.2 * zoom)) - 0.25 + 0.07 * nearest(speckle(), u / zoom, v / zoom)
    if kind == "knit":
        return _stitches(u, v, 6.0 * zoom)
    if kind == "jersey":
        return _stitches(u, v, 3.4 * zoom)
    if kind == "leather":
        return sample(grain(), u * 1.1 / zoom, v * 1.1 / zoom)
    if kind in ("nubs", "tufts"):
        stretched = 1.6 if kind == "tufts" else 1.0
        return sample(nubs(), u * 1.2 / zoom, v * 1.2 * stretched / zoom)
    if kind == "pebble":
        return 0.5 + 0.3 * nearest(speckle(), u * 0.55 / zoom, v * 0.55 / zoom)
    if kind == "net":
        return net(u, v, 6.0 * zoom)
    if kind == "lace":
        return sample(lace(), u * 1.6 / zoom, v * 1.6 / zoom)
    if kind in ("fur", "pile", "velvet", "brushed"):
        return 0.5 + 0.22 * sample(strands(), u * 0.9 / zoom, v * 1.2 / zoom)
    return 0.5 + 0.12 * nearest(speckle(), u / zoom, v / zoom)


def basket(u: Array, v: Array, pitch: float) -> Array:
    """Plain weave: warp and weft pass over each other in turn."""
    over = (np.floor(u / pitch) + np.floor(v / pitch)) % 2
    across, along = bump(u / pitch), bump(v / pitch)
    return np.where(over > 0.5, across * (0.45 + 0.55 * along), along * (0.45 + 0.55 * across)) * 0.8


def _stitches(u: Array, v: Array, pitch: float) -> Array:
    """Stocking stitch: columns of V-shaped loops."""
    across = np.abs(fraction(u / pitch) - 0.5)
    leg = 1 - (4 * across - 1) ** 2
    rows = bump(v / (0.72 * pitch) + 1.3 * across)
    return np.clip(leg, 0, 1) ** 0.6 * (0.25 + 0.75 * rows)


def net(u: Array, v: Array, pitch: float) -> Array:
    """The threads of a mesh of hexagons, coverage in [0, 1]."""
    x, y = u / pitch, v / (0.9 * pitch)
    cell = np.sin(TURN * x) * np.sin(TURN * y) + 0.45 * np.sin(TURN * 2 * y)
    return np.clip(1.25 - 2.6 * np.abs(cell - 0.1), 0, 1)


@lru_cache(maxsize=1)
def lace() -> Array:
    """A periodic tile of lace's threads, 0 where there is a hole and 1 where it is dense."""
    picture = Image.new("L", (2 * TILE, 2 * TILE), 0)
    draw = ImageDraw.Draw(picture)
    pitch = 2 * TILE / 24
    for line in np.arange(-24, 48) * pitch:
        for slope in (-2 * TILE, 2 * TILE):
            draw.line([line, 0, line + slope, 2 * TILE], fill=190, width=4)
    rng = np.random.default_rng(5)
    across = 3
    cell = 2 * TILE / across
    for row in range(across):
        for column in range(across):
            x, y = (column + 0.5 * (row % 2)) * cell, row * cell + rng.uniform(-8, 8)
            _lace_flower(draw, x, y, 0.43 * cell, rng)
            _lace_flower(draw, x + 0.5 * cell, y + 0.42 * cell, 0.17 * cell, rng)
    return periodic(np.asarray(picture.reduce(2), dtype=np.float32) / 255)


def _lace_flower(
    draw: ImageDraw.ImageDraw, x: float, y: float, reach: float, rng: np.random.Generator
) -> None:
    turn, petals = rng.uniform(0, TURN), 6
    angles = TURN * np.arange(24) / 24
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for petal in range(petals):
        middle = turn + TURN * petal / petals
        blade = ring * [0.3 * reach, 0.24 * reach] + [0.66 * reach, 0]
        turned = blade @ np.array([[np.cos(middle), np.sin(middle)], [-np.sin(middle), np.cos(middle)]])
        draw_wrapped(draw, turned, x, y, 225)
        draw_wrapped(draw, turned * 0.55 + 0.33 * turned.mean(axis=0), x, y, 120)
        draw_wrapped(draw, np.vstack([turned, turned[:1]]), x, y, 255, outline=max(3, 0.06 * reach))
    draw_wrapped(draw, ring * 0.25 * reach, x, y, 255)
    draw_wrapped(draw, ring * 0.1 * reach, x, y, 0)
