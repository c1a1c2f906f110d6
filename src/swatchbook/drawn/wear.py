"""What a real garment of one colour shows besides it: washing, uneven dye, pieces of another colour.

None of it is a pattern, and the main colour stays the one that is named.
"""

from __future__ import annotations

import numpy as np

from swatchbook.drawn.fields import UVMap, blurred, painted
from swatchbook.drawn.layout import Layout

Array = np.ndarray


def worn(
    cloth: Array, folder: str, layout: Layout, uv: UVMap, other: Array, rng: np.random.Generator
) -> Array:
    """The cloth after dyeing, sewing and washing.

    Args:
        cloth: Its colour, shape (3, …), sRGB in [0, 1].
        folder: The kind of fabric; denim fades most.
        layout: The garment on the picture.
        uv: Coordinates of the pixels that are coloured.
        other: The colour of a piece that differs, shape (3,).
        rng: Source of randomness.

    Returns:
        Shape (3, …), float32.
    """
    if rng.random() < 0.35:
        cloth = cloth * (1 + rng.uniform(0.03, 0.1) * uv.noise(rng.uniform(1.5, 4), rng))
    if rng.random() < (0.6 if folder == "denim" else 0.06):
        cloth = _faded(cloth, layout, uv, rng)
    if rng.random() < 0.1:
        cloth = _pieced(cloth, layout, uv, other, rng)
    return np.clip(cloth, 0, 1).astype(np.float32)


def _faded(cloth: Array, layout: Layout, uv: UVMap, rng: np.random.Generator) -> Array:
    """Paler where it is rubbed: in the middle of the pieces, with creases across."""
    middle = uv.of(blurred(layout.mask, 0.06 * layout.scale)) ** 2
    patches = np.clip(0.6 + 0.5 * uv.noise(2.5, rng), 0, 1.4)
    creases = np.clip(uv.noise(16, rng, 0.2), 0, 2) * np.clip(uv.noise(3, rng), 0, 1)
    share = rng.uniform(0.1, 0.32) * middle * patches + rng.uniform(0, 0.14) * creases
    return cloth + (0.86 - cloth) * np.clip(share, 0, 0.45)


def _pieced(cloth: Array, layout: Layout, uv: UVMap, other: Array, rng: np.random.Generator) -> Array:
    """Sleeves or edges of another colour."""
    piece = np.clip(layout.mask - layout.body, 0, 1) if rng.random() < 0.4 else layout.bands
    # A piece that covers more than a third would be the garment's colour.
    if piece.sum() > 0.33 * layout.mask.sum():
        piece = layout.bands
    return painted(cloth, other, uv.of(piece))
