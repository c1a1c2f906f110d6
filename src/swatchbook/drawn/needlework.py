"""Needlework on cloth: pleats laid in it, and flowers embroidered onto it in thread."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from swatchbook.drawn.fields import UVMap, painted
from swatchbook.drawn.layout import Layout
from swatchbook.drawn.periodic import TILE, periodic, sample
from swatchbook.drawn.tiles import TURN, canvas, disc, draw_wrapped, ink_of, petals, scattered

Array = np.ndarray


def pleated(layout: Layout, rng: np.random.Generator) -> Layout:
    """The layout with knife pleats in the front: they run down it and fan out where it widens."""
    front = layout.body > 0.5
    left, right = (
        _steadied(edge, front) for edge in (np.argmax(front, axis=1), np.argmax(front[:, ::-1], axis=1))
    )
    columns, count = np.arange(front.shape[1], dtype=np.float32), rng.integers(8, 14)
    wide = np.maximum(front.shape[1] - right - left, 1)
    phase = (columns - left[:, None]) / wide[:, None] * count
    share = (phase - np.floor(phase)).astype(np.float32)
    # A knife pleat rises slowly to its fold, and falls off behind it into its own shadow.
    profile = np.minimum(share / 0.8, (1 - share) / 0.2)
    shadow = 0.2 * np.exp(-((share / 0.14) ** 2)) - 0.24 * (share - 0.5)
    height = layout.height + front * (0.16 * layout.scale / count * profile)
    return replace(layout, height=height.astype(np.float32), light=layout.light * (1 - shadow * front))


def _steadied(margin: Array, front: Array) -> Array:
    """How far a front lies from the picture's edge by row, without steps at sleeves and round hems."""
    wide = front.sum(axis=1)
    rows = np.flatnonzero(wide > 0.6 * np.median(wide[wide > 0])) if wide.any() else np.arange(len(front))
    rows = rows[len(rows) // 12 : len(rows) - len(rows) // 8]
    reach = max(3, len(rows) // 8)
    filled = np.interp(np.arange(-reach, len(front) + reach), rows, margin[rows])
    return np.convolve(filled, np.full(2 * reach + 1, 1 / (2 * reach + 1)), mode="valid")


def embroidered(
    cloth: Array, layout: Layout, uv: UVMap, colours: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Flowers of thread along the neck or waist and along the hem.

    Args:
        cloth: Its colour, shape (3, pixels).
        layout: The garment on the picture.
        uv: Coordinates of the pixels that are coloured.
        colours: sRGB in [0, 1], shape (4, 3), the cloth's own first.
        rng: Source of randomness.

    Returns:
        The cloth with the thread on it, shape (3, pixels), and the thread's height, shape (pixels,).
    """
    step = TILE / (rng.uniform(0.34, 0.5) * layout.scale)  # pixels of the tile in one of the picture
    coverage, *thread = sample(_flowers(colours, rng), uv.u * step, uv.v * step)
    down = uv.of(layout.v) / layout.scale + layout.place.middle[1]
    front = uv.of(layout.body)
    inside = down[front > 0.5]
    top, bottom = np.quantile(inside, (0.02, 0.98)) if len(inside) else (0.0, 1.0)
    wide = rng.uniform(0.16, 0.28) * (bottom - top)
    zone = np.clip((top + 1.2 * wide - down) / 0.03, 0, 1) + np.clip((down - bottom + wide) / 0.03, 0, 1)
    coverage = coverage * np.clip(zone, 0, 1)
    coverage = np.clip(coverage * front, 0, 1)
    # Satin stitch: threads side by side, slanted, each with its own light.
    ridges = np.sin(TURN * (uv.u + 0.6 * uv.v) / max(2.2, 0.014 * layout.scale))
    return painted(cloth, np.stack(thread) * (1 + 0.2 * ridges), coverage), coverage * (1.6 + 0.5 * ridges)


def _flowers(colours: Array, rng: np.random.Generator) -> Array:
    """A periodic tile of blossoms, leaves and tendrils: coverage and colour, shape (4, side, side)."""
    picture, draw = canvas(np.zeros(3))
    shapes, cover = canvas(np.zeros(3))
    leaf = np.clip(np.array([0.2, 0.45, 0.22]) * rng.uniform(0.8, 1.5), 0, 1)
    across = int(rng.integers(2, 4))
    size = 2 * TILE / across
    for x, y in scattered(rng, across):
        turn = rng.uniform(0, TURN)
        along = np.array([np.cos(turn), np.sin(turn)])
        bend = np.array([-along[1], along[0]])
        t = np.linspace(-1, 1, 13)[:, None]
        tendril = (along * t + bend * 0.35 * np.sin(2.4 * t)) * 0.62 * size
        shapes_here = [(tendril, leaf, 0.035 * size)]
        shapes_here += [
            (blade, leaf, 0.0)
            for blade in petals(turn + np.array([0.5, 2.6, 3.7, 5.6]), 0.26 * size, 0.5 * size, 0.34)
        ]
        ink = colours[1 + rng.integers(2)]
        shapes_here += [
            (blade, ink * rng.uniform(0.9, 1.0), 0.0)
            for blade in petals(turn + TURN * np.arange(6) / 6, 0.04 * size, 0.3 * size, 0.52)
        ]
        shapes_here.append((disc(0.08 * size), colours[3], 0.0))
        for shape, ink, outline in shapes_here:
            draw_wrapped(draw, shape, x, y, ink_of(ink), outline)
            draw_wrapped(cover, shape, x, y, (255, 255, 255), outline)
    inked, covered = (np.asarray(p.reduce(2), dtype=np.float32) / 255 for p in (picture, shapes))
    coverage = covered[..., 0]
    colour = inked / np.maximum(coverage, 1e-3)[..., None]
    return periodic(np.concatenate([coverage[None], colour.transpose(2, 0, 1)]))
