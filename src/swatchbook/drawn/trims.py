"""What is sewn, riveted and tied onto a garment: buttons, zips, pockets, cords, labels, quilting, rips.

None of it is a pattern or a motif. A labeller that never saw a zip or a pocket takes one for a print.
"""

from __future__ import annotations

import numpy as np

from swatchbook.drawn.fields import UVMap, grid, painted
from swatchbook.drawn.layout import Layout, lines, polygons
from swatchbook.drawn.outlines import Garment, shifted
from swatchbook.drawn.tiles import TURN

Array = np.ndarray
_METAL = ((0.78, 0.78, 0.8), (0.75, 0.62, 0.32), (0.2, 0.2, 0.21))
_HORN = ((0.12, 0.1, 0.09), (0.93, 0.92, 0.88), (0.42, 0.27, 0.15))
_CORDS = ((0.94, 0.94, 0.93), (0.08, 0.08, 0.09), (0.3, 0.3, 0.32))
_OUTERWEAR = ("jacket", "coat", "vest", "jumper")


def sewn(garment: Garment, kind: str, rng: np.random.Generator) -> Garment:
    """Add pockets, zips, buttons and seams to a garment's own, in place.

    Args:
        garment: In its own units.
        kind: Its name in ``GARMENTS``; lengths of cloth get nothing.
        rng: Source of randomness.

    Returns:
        The same garment.
    """
    if not garment.parts or not (garment.neck or garment.legs or kind in (*_OUTERWEAR, "trousers", "shirt")):
        return garment
    body = np.vstack([part.outline for part in garment.parts if part.body])
    half, bottom = 0.5 * np.ptp(body[:, 0]), body[:, 1].max()
    if rng.random() < 0.35:
        _pockets(garment, half, bottom, rng)
    if rng.random() < 0.2:  # panels: seams from top to bottom
        x = rng.uniform(0.3, 0.6) * half
        for side in (1, -1):
            garment.seams.append(np.array([(0.8 * x, 0.2), (x, 0.5 * bottom), (1.1 * x, bottom)]) * [side, 1])
    if not garment.zips and not garment.buttons and rng.random() < 0.3:
        top, end = (0.12 if garment.neck else 0.02), rng.uniform(0.4, 1.0) * bottom
        if rng.random() < 0.55:
            garment.zips.append(np.array([(0.0, top), (0.0, end)]))
        else:
            garment.buttons.extend(np.array([0.0, y]) for y in np.arange(top + 0.05, end, 0.13))
    for _ in range(rng.integers(0, 3)):  # tiers and tucks run across
        if rng.random() < 0.25:
            y = rng.uniform(0.35, 0.95) * bottom
            garment.seams.append(np.array([(-half, y), (0, y + 0.03), (half, y)]))
    return garment


def _pockets(garment: Garment, half: float, bottom: float, rng: np.random.Generator) -> None:
    high = rng.uniform(0.28, 0.45) if rng.random() < 0.4 else rng.uniform(0.55, 0.8) * bottom
    x, wide, tall = rng.uniform(0.35, 0.6) * half, rng.uniform(0.06, 0.11), rng.uniform(0.1, 0.2)
    slant, kind = rng.uniform(-0.05, 0.09), rng.random()
    for side in (1, -1):
        opening = np.array([(x - wide, high), (x + wide, high + slant)]) * [side, 1]
        if kind < 0.35:
            garment.zips.append(opening)
        elif kind < 0.6:
            garment.seams.append(opening)
        else:
            pouch = np.array(
                [
                    *[(x - wide, high), (x + wide, high), (x + wide, high + tall)],
                    *[(x, high + 1.15 * tall), (x - wide, high + tall), (x - wide, high)],
                ]
            )
            garment.seams.append(pouch * [side, 1])
            garment.stitches.append((pouch * 0.985 + 0.015 * np.array([x, high + 0.5 * tall])) * [side, 1])
            if rng.random() < 0.4:
                garment.buttons.append(np.array([x, high + 0.04]) * [side, 1])


def trimmed(
    lit: Array,
    garment: Garment,
    kind: str,
    folder: str,
    layout: Layout,
    uv: UVMap,
    base: Array,
    rng: np.random.Generator,
) -> Array:
    """Quilting, rips, buttons, zips, cords, labels and small logos on the lit cloth.

    Args:
        lit: The cloth under the light, shape (3, …).
        garment: With what ``sewn`` added.
        kind: Its name in ``GARMENTS``.
        folder: The kind of fabric.
        layout: The garment on the picture.
        uv: Coordinates of the pixels that are coloured.
        base: The garment's colour, shape (3,).
        rng: Source of randomness.

    Returns:
        Shape (3, …).
    """
    if kind in _OUTERWEAR and rng.random() < 0.22:
        lit = _quilted(lit, layout, uv, rng)
    if folder == "denim" and garment.chest and rng.random() < 0.3:
        lit = _ripped(lit, garment, layout, uv, rng)
    if garment.zips:
        lit = _zipped(lit, garment, layout, uv, rng)
    if garment.buttons:
        lit = _buttoned(lit, garment, layout, uv, base, rng)
    if garment.chest and rng.random() < 0.18:
        lit = _corded(lit, garment, layout, uv, rng)
    if garment.chest and rng.random() < 0.35:
        lit = _labelled(lit, garment, layout, uv, rng)
    return lit


def _quilted(lit: Array, layout: Layout, uv: UVMap, rng: np.random.Generator) -> Array:
    """Padding between seams that run across: bright above, dark below."""
    rows, columns = grid(layout.mask.shape)
    every = rng.uniform(0.08, 0.2) * layout.scale
    along = uv.of(rows + rng.normal(0, 0.08) * columns) + 0.05 * layout.scale * uv.noise(3, rng)
    phase = along / every % 1
    tone = 1 + rng.uniform(0.08, 0.22) * (np.cos(TURN * (phase - 0.35)) - 1.5 * np.exp(-40 * phase))
    return lit * np.where(uv.of(layout.mask) > 0.5, tone, 1).astype(np.float32)


def _ripped(lit: Array, garment: Garment, layout: Layout, uv: UVMap, rng: np.random.Generator) -> Array:
    """Holes with threads across: pale, or skin behind."""
    body = np.vstack([part.outline for part in garment.parts if part.body])
    behind = np.array([(0.86, 0.86, 0.84), (0.8, 0.64, 0.53), (0.2, 0.22, 0.28)])[rng.integers(3)]
    shape = layout.mask.shape
    ragged = uv.noise(24, rng)
    for _ in range(rng.integers(1, 5)):
        x, y = rng.uniform(*np.quantile(body[:, 0], (0.15, 0.85))), rng.uniform(0.3, 0.85) * body[:, 1].max()
        turn = np.arange(10) * TURN / 10
        hole = np.stack([np.cos(turn) * rng.uniform(0.03, 0.09), np.sin(turn) * rng.uniform(0.015, 0.05)], 1)
        cover = polygons([layout.place(shifted(hole, x, y))], shape) * layout.mask
        lit = painted(lit, behind.astype(np.float32), np.clip(uv.of(cover) * (0.7 + 0.5 * ragged), 0, 0.9))
    return lit


def _zipped(lit: Array, garment: Garment, layout: Layout, uv: UVMap, rng: np.random.Generator) -> Array:
    shape, scale = layout.mask.shape, layout.scale
    metal = np.float32(_METAL[rng.integers(len(_METAL))])
    tape = lines([(layout.place(line), 0.045 * scale) for line in garment.zips], shape)
    teeth = lines([(layout.place(line), 0.014 * scale) for line in garment.zips], shape)
    return painted(lit * (1 - 0.35 * uv.of(tape)), metal, uv.of(teeth))


def _buttoned(
    lit: Array, garment: Garment, layout: Layout, uv: UVMap, base: Array, rng: np.random.Generator
) -> Array:
    shape = layout.mask.shape
    horn = np.float32((*_HORN, tuple(base * 0.7), *_METAL[:2])[rng.integers(len(_HORN) + 3)])
    turn = np.arange(12) * TURN / 12
    ring = rng.uniform(0.012, 0.024) * layout.scale * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    middles = layout.place(np.array(garment.buttons))
    under = lines([(m + 1.25 * ring, 1.0) for m in middles], shape)
    discs = polygons([middle + ring for middle in middles], shape)
    return painted(lit * (1 - 0.5 * uv.of(under)), horn, uv.of(discs))


def _corded(lit: Array, garment: Garment, layout: Layout, uv: UVMap, rng: np.random.Generator) -> Array:
    """Two ends of a cord at the neck or the waist."""
    ink = np.float32(_CORDS[rng.integers(len(_CORDS))])
    top, long = (0.1 if garment.neck else 0.04), rng.uniform(0.12, 0.4)
    ends = [np.array([(side * 0.03, top), (side * rng.uniform(0.02, 0.12), top + long)]) for side in (1, -1)]
    cord = lines([(layout.place(end), max(1.2, 0.018 * layout.scale)) for end in ends], layout.mask.shape)
    return painted(lit, ink, uv.of(cord))


def _labelled(lit: Array, garment: Garment, layout: Layout, uv: UVMap, rng: np.random.Generator) -> Array:
    """A label in the neck or waistband, a hang tag, or a logo no larger than a coin or two."""
    ink = np.float32(rng.uniform(0, 1, 3) if rng.random() < 0.4 else _CORDS[rng.integers(len(_CORDS))])
    choice = rng.random()
    x = 0.0 if choice < 0.5 else rng.choice([-1, 1]) * rng.uniform(0.1, 0.2)
    y = rng.uniform(0.0, 0.05) if choice < 0.5 else garment.chest[1] + rng.uniform(-0.12, 0.12)
    wide, tall = rng.uniform(0.02, 0.055), rng.uniform(0.015, 0.05)
    corners = np.array([(-wide, -tall), (wide, -tall), (wide, tall), (-wide, tall)])
    if choice > 0.75:  # a logo is no rectangle
        corners = corners @ np.array([[0.7, 0.7], [-0.7, 0.7]]) * rng.uniform(0.5, 1, (4, 1))
    cover = polygons([layout.place(shifted(corners, x, y))], layout.mask.shape)
    return painted(lit, ink, rng.uniform(0.6, 1.0) * uv.of(cover * (layout.mask > 0.5)))
