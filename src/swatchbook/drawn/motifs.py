"""The motif on a chest: a badge, a star, a picture, and words in block letters."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from swatchbook.drawn.fields import channels, noise, spread
from swatchbook.drawn.periodic import TILE, periodic, sample
from swatchbook.drawn.tiles import TURN, blob, disc, flat, ink_of

Array = np.ndarray


def motif(x: Array, y: Array, inks: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """A logo for the chest.

    Args:
        x: Across, −1…1 over the motif, a number a pixel.
        y: Down, likewise.
        inks: sRGB in [0, 1], shape (4, 3), the cloth's own first.
        rng: Source of randomness.

    Returns:
        The motif's colour, shape (3, …), and its coverage in [0, 1], a number a pixel.
    """
    side = TILE
    if rng.random() < 0.3:  # printed tone on tone
        strength = rng.uniform(0.3, 0.6)
        inks = inks[0] + (inks - inks[0]) * strength
    picture = Image.new("RGB", (2 * side, 2 * side), ink_of(inks[0]))
    draw = ImageDraw.Draw(picture)
    kind = rng.integers(7)
    centre = np.array([side, side * (0.8 if kind != 2 else 1.0)])
    points = int(rng.integers(5, 9))
    if kind == 0:
        angles = TURN * np.arange(2 * points) / (2 * points) - np.pi / 2
        star = (
            np.stack([np.cos(angles), np.sin(angles)], axis=1)
            * np.where(np.arange(2 * points) % 2, 0.45, 1)[:, None]
        )
        draw.polygon(flat(star * side * 0.62 + centre), fill=ink_of(inks[1]))
    elif kind == 1:
        draw.ellipse(flat(np.array([centre - 0.6 * side, centre + 0.6 * side])), fill=ink_of(inks[1]))
        ridge = np.array([[-0.5, 0.3], [-0.15, -0.3], [0.02, 0.0], [0.2, -0.2], [0.5, 0.3]])
        draw.polygon(flat(ridge * side + centre), fill=ink_of(inks[2]))
    elif kind == 3:
        draw.rectangle(
            flat(np.array([centre - [0.8 * side, 0.5 * side], centre + np.array([0.8 * side, 0.45 * side])])),
            fill=ink_of(inks[1]),
        )
        draw.polygon(flat(blob(0.36 * side, rng) + centre), fill=ink_of(inks[2]))
    elif kind == 4:
        picture.paste(_photograph(inks, rng), _whole(centre - np.array([0.8, 0.62]) * side))
    elif kind == 5:
        _strewn(draw, inks, rng)
    elif kind == 6:
        _figure(draw, centre, inks, rng)
    if kind < 5 or rng.random() < 0.4:
        rows = 2 if kind == 2 else 1
        for row in range(rows):
            tall = side * (0.42 if kind == 2 else 0.26)
            top = side * (1.5 if kind != 2 else 0.5 + 0.58 * row)
            _lettering(draw, side * 0.22, top, side * 1.56, tall, ink_of(inks[1 + row]), rng)
    tile = periodic(channels(picture.reduce(2)))
    inside = (np.abs(x) < 0.98) & (np.abs(y) < 0.98)
    colour = sample(tile, (np.clip(x, -0.99, 0.99) + 1) * side / 2, (np.clip(y, -0.99, 0.99) + 1) * side / 2)
    coverage = np.clip(np.abs(colour - spread(inks[0], x)).sum(axis=0) * 6, 0, 1) * inside
    return colour, coverage.astype(np.float32)


def _whole(point: Array) -> tuple[int, int]:
    """A point in whole pixels, as Pillow pastes."""
    return int(point[0]), int(point[1])


def _photograph(inks: Array, rng: np.random.Generator) -> Image.Image:
    """A printed photograph: light and dark in a few tones, as of a face or a view."""
    wide, tall = int(1.6 * TILE), int(1.2 * TILE)
    field = noise((tall, wide), rng.uniform(3, 7), rng) + 0.5 * noise((tall, wide), 14, rng)
    tones = np.digitize(field, [-0.9, 0.0, 0.9])
    palette = np.stack([inks[1], inks[1] * 0.5 + inks[2] * 0.5, inks[2], inks[3]])
    return Image.fromarray((np.clip(palette[tones], 0, 1) * 255).astype(np.uint8))


def _strewn(draw: ImageDraw.ImageDraw, inks: Array, rng: np.random.Generator) -> None:
    """Little pictures in rows."""
    across = int(rng.integers(3, 6))
    pitch = 2 * TILE / across
    for index in range(across * across):
        row, column = divmod(index, across)
        centre = np.array([column + 0.5, row + 0.5]) * pitch
        ink = ink_of(inks[1 + index % 2])
        draw.polygon(flat(blob(0.24 * pitch, rng) + centre), fill=ink)
        draw.line(
            flat(np.array([[-0.3, 0.34], [0.3, 0.34]]) * pitch + centre),
            fill=ink,
            width=max(2, round(pitch / 14)),
        )


def _figure(draw: ImageDraw.ImageDraw, centre: Array, inks: Array, rng: np.random.Generator) -> None:
    """A cartoon head: face, ears, eyes and a mouth."""
    reach = 0.55 * TILE
    for ear in (-0.7, 0.7):
        draw.polygon(
            flat(blob(0.38 * reach, rng) + centre + np.array([ear, -0.75]) * reach), fill=ink_of(inks[1])
        )
    draw.polygon(flat(disc(reach) * [1, rng.uniform(0.8, 1.1)] + centre), fill=ink_of(inks[1]))
    for eye in (-0.35, 0.35):
        draw.polygon(flat(disc(0.16 * reach) + centre + np.array([eye, -0.15]) * reach), fill=ink_of(inks[2]))
    mouth = np.array([[-0.35, 0.35], [0, 0.5], [0.35, 0.35]]) * reach + centre
    draw.line(flat(mouth), fill=ink_of(inks[2]), width=round(0.09 * reach), joint="curve")


# Strokes of a few block letters on a grid three wide and four high.
_LETTERS = (
    ((0, 4), (0, 0), (2, 0), (2, 4), (2, 2), (0, 2)),
    ((2, 0), (0, 0), (0, 4), (2, 4)),
    ((2, 0), (0, 0), (0, 4), (2, 4), (0, 4), (0, 2), (2, 2)),
    ((0, 0), (0, 4), (0, 2), (2, 2), (2, 0), (2, 4)),
    ((0, 0), (0, 4), (2, 4)),
    ((0, 4), (0, 0), (1, 2), (2, 0), (2, 4)),
    ((0, 4), (0, 0), (2, 4), (2, 0)),
    ((0, 0), (2, 0), (2, 4), (0, 4), (0, 0)),
    ((2, 0), (0, 0), (0, 2), (2, 2), (2, 4), (0, 4)),
    ((0, 0), (2, 0), (1, 0), (1, 4)),
)


def _lettering(
    draw: ImageDraw.ImageDraw,
    left: float,
    top: float,
    width: float,
    tall: float,
    ink: tuple,
    rng: np.random.Generator,
) -> None:
    count = int(rng.integers(4, 8))
    pitch = width / count
    for index, which in enumerate(rng.integers(len(_LETTERS), size=count)):
        strokes = np.array(_LETTERS[which]) * [0.34 * pitch, tall / 4] + [left + index * pitch, top]
        draw.line(flat(strokes), fill=ink, width=max(3, round(0.2 * min(pitch, tall))), joint="curve")
