"""Floral prints: blossoms, roses, foliage and sprigs, strewn on a tile that repeats.

Each takes coordinates on the cloth, the repeat in pixels, four inks (the first is the cloth's own
colour), whether the cloth is pale, and a source of randomness, and gives sRGB of shape (3, …).
"""

from __future__ import annotations

import numpy as np

from swatchbook.drawn.fields import UVMap
from swatchbook.drawn.periodic import TILE
from swatchbook.drawn.tiles import TURN, canvas, disc, draw_wrapped, ink_of, petals, repeated, scattered

Array = np.ndarray


def _around(count: int) -> Array:
    """As many angles, evenly around a circle."""
    return TURN * np.arange(count) / count


def flowers(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    """Open blossoms with a heart, and leaves between them."""
    tile, draw = canvas(inks[0])
    across = int(rng.integers(3, 5))
    count, slim, size = int(rng.integers(5, 8)), rng.uniform(0.4, 0.6), 2 * TILE / across * 0.47
    leaf = np.array([0.22, 0.42, 0.24]) * rng.uniform(0.7, 1.3)
    for x, y in scattered(rng, across):
        turn, reach = rng.uniform(0, TURN), size * rng.uniform(0.65, 1.05)
        for blade in petals(rng.uniform(0, TURN, rng.integers(1, 4)), 0.9 * reach, 1.45 * reach, 0.24):
            draw_wrapped(draw, blade, x, y, ink_of(leaf))
        colour = inks[1] if rng.random() < 0.7 else inks[2]
        for blade in petals(turn + _around(count), 0.05 * reach, reach, slim):
            draw_wrapped(draw, blade, x, y, ink_of(colour * rng.uniform(0.86, 1.0)))
        draw_wrapped(draw, disc(0.24 * reach), x, y, ink_of(inks[3]))
        draw_wrapped(draw, disc(0.1 * reach), x, y, ink_of(0.6 * inks[3]))
    return repeated(tile, uv, across * p * rng.uniform(0.6, 1.15))


def foliage(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    """Leaves and blossoms that crowd the cloth, in several shades."""
    tile, draw = canvas(inks[0])
    across = int(rng.integers(4, 7))
    size = 2 * TILE / across * 0.55
    for x, y in scattered(rng, across):
        turn, kind = rng.uniform(0, TURN), rng.random()
        ink = inks[rng.integers(1, 4)] * rng.uniform(0.8, 1.05)
        if kind < 0.55:
            for side in (-0.35, 0.0, 0.35):
                (blade,) = petals(turn + np.array([side]), 0.0, size * rng.uniform(0.8, 1.2), 0.22)
                draw_wrapped(draw, blade, x, y, ink_of(ink))
        else:
            for blade in petals(turn + _around(5), 0.05 * size, 0.62 * size, 0.7):
                draw_wrapped(draw, blade, x, y, ink_of(ink))
            draw_wrapped(draw, disc(0.14 * size), x, y, ink_of(inks[3]))
    return repeated(tile, uv, across * p * rng.uniform(0.5, 1.1))


def sprigs(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    """Small blossoms on stalks with pairs of leaves."""
    tile, draw = canvas(inks[0])
    across = int(rng.integers(4, 6))
    size = 2 * TILE / across * 0.36
    leaf = np.array([0.25, 0.45, 0.25]) * rng.uniform(0.6, 1.3)
    for x, y in scattered(rng, across):
        turn = rng.uniform(0, TURN)
        along = np.array([np.cos(turn), np.sin(turn)])
        draw_wrapped(draw, np.stack([-along, along]) * size, x, y, ink_of(leaf), outline=0.1 * size)
        for blade in petals(turn + np.array([-0.9, 0.9]), 0.0, 0.8 * size, 0.3):
            draw_wrapped(draw, blade, x - along[0] * 9, y - along[1] * 9, ink_of(leaf))
        head, ink = along * size, inks[1 + rng.integers(2)]
        for blade in petals(turn + _around(5), 0.0, 0.75 * size, 0.6):
            draw_wrapped(draw, blade, x + head[0], y + head[1], ink_of(ink))
        draw_wrapped(draw, disc(0.22 * size), x + head[0], y + head[1], ink_of(inks[3]))
    return repeated(tile, uv, across * p * rng.uniform(0.45, 0.9))


def roses(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    """Full blossoms: petals within petals, each ring a shade paler or darker, in a wreath of leaves."""
    tile, draw = canvas(inks[0])
    across = int(rng.integers(2, 5))
    leaf = np.array([0.2, 0.36, 0.22]) * rng.uniform(0.7, 1.5)
    for x, y in scattered(rng, across):
        size = 2 * TILE / across * rng.uniform(0.3, 0.55)
        for blade in petals(rng.uniform(0, TURN, rng.integers(2, 6)), 0.5 * size, 1.5 * size, 0.3):
            draw_wrapped(draw, blade, x, y, ink_of(leaf))
        ink, step = inks[rng.integers(1, 4)], rng.choice([-0.17, 0.17])
        for ring in range(4):
            shade, reach = np.clip(ink + step * (ring - 1), 0, 1), size * (1 - 0.23 * ring)
            for blade in petals(rng.uniform(0, TURN) + _around(6 - ring), 0.0, reach, 0.75):
                draw_wrapped(draw, blade, x, y, ink_of(shade * rng.uniform(0.86, 1.1)))
    return repeated(tile, uv, across * p * rng.uniform(0.7, 1.7))
