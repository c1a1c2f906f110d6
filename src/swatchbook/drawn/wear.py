"""What a real garment of one colour shows besides it: washing, uneven dye, pieces of another colour.

None of it is a pattern, and the main colour stays the one that is named.
"""

from __future__ import annotations

import numpy as np

from swatchbook.drawn.fields import blurred, noise
from swatchbook.drawn.layout import Laid

Array = np.ndarray


def worn(cloth: Array, folder: str, laid: Laid, other: Array, rng: np.random.Generator) -> Array:
    """The cloth after dyeing, sewing and washing.

    Args:
        cloth: Its colour, shape (height, width, 3), sRGB in [0, 1].
        folder: The kind of fabric; denim fades most.
        laid: The garment on the picture.
        other: The colour of a piece that differs, shape (3,).
        rng: Source of randomness.

    Returns:
        Shape (height, width, 3), float32.
    """
    shape = cloth.shape[:2]
    if rng.random() < 0.35:
        cloth = cloth * (1 + rng.uniform(0.03, 0.1) * noise(shape, rng.uniform(1.5, 4), rng))[..., None]
    if rng.random() < (0.6 if folder == "denim" else 0.06):
        cloth = _faded(cloth, laid, rng)
    if rng.random() < 0.1:
        cloth = _pieced(cloth, laid, other, rng)
    return np.clip(cloth, 0, 1).astype(np.float32)


def _faded(cloth: Array, laid: Laid, rng: np.random.Generator) -> Array:
    """Paler where it is rubbed: in the middle of the pieces, with creases across."""
    shape = cloth.shape[:2]
    middle = blurred(laid.mask, 0.06 * laid.scale) ** 2
    patches = np.clip(0.6 + 0.5 * noise(shape, 2.5, rng), 0, 1.4)
    creases = np.clip(noise(shape, 16, rng, 0.2), 0, 2) * np.clip(noise(shape, 3, rng), 0, 1)
    share = rng.uniform(0.1, 0.32) * middle * patches + rng.uniform(0, 0.14) * creases
    return cloth + (0.86 - cloth) * np.clip(share, 0, 0.45)[..., None]


def _pieced(cloth: Array, laid: Laid, other: Array, rng: np.random.Generator) -> Array:
    """Sleeves or edges of another colour."""
    piece = np.clip(laid.mask - laid.body, 0, 1) if rng.random() < 0.4 else laid.bands
    # A piece that covers more than a third would be the garment's colour.
    if piece.sum() > 0.33 * laid.mask.sum():
        piece = laid.bands
    return cloth + (other - cloth) * piece[..., None]
