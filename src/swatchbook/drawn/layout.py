"""From a garment's outlines to maps over the picture: where cloth lies, its grain, folds and shadows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from swatchbook.drawn.fields import blurred, bump, grid, moved, noise, turned
from swatchbook.drawn.outlines import Garment, Part
from swatchbook.drawn.periodic import folds, sample
from swatchbook.drawn.tiles import TURN

Array = np.ndarray
WHOLE = ("close_up", "draped")  # kinds that fill the picture


@dataclass(frozen=True)
class Layout:
    """A garment laid out on the picture; every map has its shape, (height, width).

    Attributes:
        mask: Where there is cloth, 0…1.
        pixels: Where cloth is seen, and the pixels next to it, in the picture's rows laid end to end; what
            is known of the cloth alone is computed for these only, shape (pixels,).
        layers: How many pieces lie over each other.
        u: Across the grain, in pixels.
        v: Along the grain, in pixels.
        light: Factor for shadows of one piece on another and for insides.
        height: Folds, in pixels.
        owner: Which of the garment's parts lies on top, counted from 1; 0 where there is none.
        body: Where a motif may be, 0…1.
        seams: Lines of seams, 0…1.
        bands: Ribbed or doubled edges, 0…1.
        stitches: Visible thread, 0…1.
        place: Turns the garment's units, shape (n, 2), into pixels.
        landmarks: Name → (x, y) in pixels, shape (2,).
    """

    mask: Array
    pixels: Array
    layers: Array
    u: Array
    v: Array
    light: Array
    height: Array
    owner: Array
    body: Array
    seams: Array
    bands: Array
    stitches: Array
    place: Place
    landmarks: dict[str, Array]

    @property
    def scale(self) -> float:
        """Pixels in one of the garment's units."""
        return self.place.scale


@dataclass(frozen=True)
class Place:
    """Where a garment lies: a rotation, a scale and a shift."""

    angle: float
    scale: float
    middle: tuple[float, float]
    centre: tuple[float, float]

    def __call__(self, points: Array) -> Array:
        """Pixels (x, y) of points in the garment's units, shape (n, 2)."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        return (points - np.array(self.middle)) @ np.array([[c, s], [-s, c]]) * self.scale + np.array(
            self.centre
        )


def placed(garment: Garment, kind: str, shape: tuple[int, int], rng: np.random.Generator) -> Place:
    """A place for the garment so that it fills most of the picture."""
    height, width = shape
    if kind in WHOLE:
        angle = rng.normal(0, 0.08) if rng.random() < 0.5 else rng.uniform(-np.pi, np.pi)
        return Place(angle, max(shape) * 0.5, (0.0, 0.0), (width / 2, height / 2))
    corners = np.vstack([part.outline for part in garment.parts])
    low, high = corners.min(axis=0), corners.max(axis=0)
    fill = rng.uniform(0.76, 0.94)
    scale = float(min(width * fill / (high - low)[0], height * fill / (high - low)[1]))
    angle = rng.normal(0, 0.03) if rng.random() < 0.8 else rng.normal(0, 0.12)
    slack = np.maximum(np.array([width, height]) - (high - low) * scale, 0)
    shift = rng.uniform(-0.3, 0.3, size=2) * slack
    middle = 0.5 * (low + high)
    return Place(
        angle,
        scale,
        (float(middle[0]), float(middle[1])),
        (width / 2 + float(shift[0]), height / 2 + float(shift[1])),
    )


def lay_out(
    garment: Garment,
    kind: str,
    shape: tuple[int, int],
    style: str,
    light: Array,
    rng: np.random.Generator,
    hairy: bool = False,
    place: Place | None = None,
) -> Layout:
    """Draw the garment's pieces one on another.

    Args:
        garment: The pieces.
        kind: Which garment or length of cloth.
        shape: Height and width of the picture in pixels.
        style: How the cloth falls, see ``surfaces.Fabric.folds``.
        light: Where the light comes from, shape (3,), a unit vector; x right, y down, z to the viewer.
        rng: Source of randomness.
        hairy: Whether hairs stand out beyond the cloth's edge.
        place: Where the garment lies; drawn at random so that it fills most of the picture by default.
    """
    place = place or placed(garment, kind, shape, rng)
    bends = rng.normal(size=(2, 3))
    groups = [
        [part.outline for part in garment.parts],
        garment.seams,
        [line for line, _ in garment.bands],
        garment.stitches,
        [point[None] for point in garment.landmarks.values()],
    ]
    outlines, seams, bands, stitches, points = _on_picture(groups, bends, kind, place)
    u, v, mask, layers, height = np.zeros((5, *shape), dtype=np.float32)
    shade = np.ones(shape, dtype=np.float32)
    owner = np.zeros(shape, dtype=np.uint8)
    numbers = np.arange(mask.size).reshape(shape)
    cast = np.round(np.array([-light[0], -light[1]]) * 0.02 * place.scale).astype(int)
    for number, (part, corners) in enumerate(zip(garment.parts, outlines, strict=True)):
        here = _window(corners, shape, margin=0.09 * place.scale + 4)
        start = np.array([here[1].start, here[0].start])
        piece = polygons([corners - start], (here[0].stop - here[0].start, here[1].stop - here[1].start))
        soft = blurred(piece, max(2.0, 0.028 * place.scale))
        if number:  # it throws a shadow on those below
            shade[here] *= 1 - 0.42 * moved(soft, *cast) * (1 - piece)
        if part.light > 0.9:
            layers[here] += piece
        np.maximum(mask[here], piece, out=mask[here])
        inside = np.flatnonzero(piece > 0.5)
        pixels = numbers[here].ravel().take(inside)
        # Cloth turns away from the eye at its edges.
        edge = np.sin(np.clip(2 * soft.ravel().take(inside) - 1, 0, 1) * np.float32(np.pi / 2))
        middle = place.centre if part.body else corners.mean(axis=0)
        across, along = (
            coordinate.ravel().take(inside)
            for coordinate in turned(piece.shape, part.grain + place.angle, np.float32(middle) - start)
        )
        u.ravel()[pixels], v.ravel()[pixels] = across, along
        relief = _drape(part, across, along, corners, place, rng)
        height.ravel()[pixels] = relief + 0.013 * place.scale * edge
        shade.ravel()[pixels] = part.light * (0.9 + 0.1 * edge)
        owner.ravel()[pixels] = number + 1
    widths = [wide * place.scale for _, wide in garment.bands]
    banded = lines(list(zip(bands, widths, strict=True)), shape)
    if kind == "scarf":  # its fringe
        mask = np.maximum(mask, banded)
    pixels = np.flatnonzero(_touched(mask, hairy))
    height.ravel()[pixels] += _creases(kind, shape, pixels, style, rng)
    dashes = [dash for line in stitches for dash in _dashes(line, 0.02 * place.scale)]
    return Layout(
        mask=mask,
        pixels=pixels,
        layers=layers,
        u=u,
        v=v,
        light=shade,
        height=height,
        owner=owner,
        body=np.array([0.0, *(part.body for part in garment.parts)], dtype=np.float32)[owner],
        seams=lines([(line, max(1.0, 0.006 * place.scale)) for line in seams], shape),
        bands=banded,
        stitches=lines([(dash, 1.1) for dash in dashes], shape),
        place=place,
        landmarks=dict(zip(garment.landmarks, (point[0] for point in points), strict=True)),
    )


def _touched(mask: Array, hairy: bool) -> Array:
    """Where cloth or its hairs are seen, and the two pixels beyond that slopes are measured to."""
    touched = blurred(mask, 7.0) > 0.01 if hairy else mask > 0
    for _ in range(2):
        touched[:, 1:] |= touched[:, :-1]
        touched[1:] |= touched[:-1]
    return touched


def _on_picture(
    groups: Sequence[Sequence[Array]], bends: Array, kind: str, place: Place
) -> list[list[Array]]:
    """All lines of a garment in pixels of the picture, computed in one go, in the groups given."""
    flat = [line for group in groups for line in group]
    points = place(_bent(np.concatenate(flat), bends, kind))
    lines_on_picture = iter(np.split(points, np.cumsum([len(line) for line in flat])[:-1]))
    return [[next(lines_on_picture) for _ in group] for group in groups]


def _bent(outline: Array, bends: Array, kind: str) -> Array:
    """Points moved a little, the same for all pieces, as nobody lays a garment quite straight."""
    if kind in (*WHOLE, "swatch"):
        return outline
    x, y = outline.T
    across = 0.014 * (
        bends[0, 0] * np.sin(3.1 * y + bends[0, 1]) + 0.7 * np.sin(7.3 * y + 4 * x + bends[0, 2])
    )
    down = 0.014 * (bends[1, 0] * np.sin(3.7 * x + bends[1, 1]) + 0.7 * np.sin(6.1 * x + 3 * y + bends[1, 2]))
    return outline + np.stack([across, down], axis=1)


def _drape(part: Part, u: Array, v: Array, corners: Array, place: Place, rng: np.random.Generator) -> Array:
    """The folds of one piece, in pixels of height."""
    size = place.scale
    start = rng.uniform(0, 256, size=2).astype(np.float32)
    if part.drape == "hang":
        return 0.028 * size * sample(folds(), u * (150 / size) + start[0], v * (75 / size) + start[1])
    if part.drape == "stretch":
        return 0.009 * size * sample(folds(), v * (190 / size) + start[0], u * (90 / size) + start[1])
    if part.drape == "roll":
        middle = 0.5 * (corners[:, 1].min() + corners[:, 1].max())
        half = 0.5 * np.ptp(corners[:, 1])
        across = np.clip((v - np.float32(middle - place.centre[1])) / np.float32(half), -1, 1)
        return 0.8 * half * np.sqrt(1.0001 - across * across) + 0.01 * size * sample(
            folds(), u * 0.3, v + start[1]
        )
    if part.drape == "pleat":
        top, bottom = corners[:, 1].min() - place.centre[1], corners[:, 1].max() - place.centre[1]
        down = np.clip((v - np.float32(top)) / np.float32(bottom - top), 0, 1)
        half = 0.5 * np.ptp(corners[:, 0])
        across = (u - np.float32(corners[:, 0].mean() - place.centre[0])) / (half * (0.45 + 0.55 * down))
        count = rng.uniform(2.5, 6.5)
        bend = 0.35 * sample(folds(), across * 40 + start[0], v * (60 / size) + start[1])
        return (0.2 + 0.8 * down) * 0.09 * size / count * np.sin(TURN / 2 * (count * across + bend))
    return 0.02 * size * sample(folds(), u * (110 / size) + start[0], v * (80 / size) + start[1])


def _creases(kind: str, shape: tuple[int, int], pixels: Array, style: str, rng: np.random.Generator) -> Array:
    """Wrinkles and large folds at pixels of the picture, in pixels of height."""
    long = max(shape)
    folds_across = {"soft": 9.0, "heavy": 6.0, "crisp": 10.0, "stiff": 8.0}[style]
    steep = {"soft": 0.34, "heavy": 0.27, "crisp": 0.34, "stiff": 0.28}[style] * rng.uniform(0.4, 1.3)
    if kind == "close_up":
        steep *= rng.uniform(0.1, 0.7)
    if kind == "draped":
        return _draped(shape, style, rng).ravel().take(pixels)
    finer = folds_across * 27 / long  # the tile's folds are about 27 pixels apart
    total = np.float32(0)
    sharp = {"soft": 0.25, "heavy": 0.1, "crisp": 0.8, "stiff": 0.55}[style]
    for angle, share in ((rng.normal(0, 0.35), 1.0), (rng.choice([-1, 1]) * rng.uniform(0.6, 1.3), 0.7)):
        x, y = (coordinate.ravel().take(pixels) for coordinate in turned(shape, angle))
        start = rng.uniform(0, 256, size=2).astype(np.float32)
        fold = sample(folds(), finer * x + start[0], finer * y + start[1])
        here = np.clip(0.6 + 0.6 * noise(shape, 3, rng).ravel().take(pixels), 0, 1.4)
        # The absolute value turns a soft fold into a crease.
        total = total + share * here * (fold - sharp * np.abs(fold + 0.4))
    return steep / finer * 8.5 * total


def _draped(shape: tuple[int, int], style: str, rng: np.random.Generator) -> Array:
    """Deep folds: parallel, or running out from a corner where the cloth is gathered."""
    height, width = shape
    rows, columns = grid(shape)
    long = max(shape)
    wander = noise(shape, 2.2, rng)
    if rng.random() < 0.6:
        angle = rng.uniform(-0.9, 0.9)
        across = (columns * np.cos(angle) + rows * np.sin(angle)) / long
        phase = across * rng.uniform(2.2, 4.5) + 0.28 * wander
        spacing = long / 3.3
    else:
        x, y = rng.choice([-0.25, 1.25]) * width, rng.uniform(-0.3, 0.2) * height
        phase = np.arctan2(rows - y, columns - x) * rng.uniform(2.5, 4.5) + 0.22 * wander
        spacing = long / 3.3
    wave = bump(phase) if style in ("crisp", "stiff") else 0.5 + 0.5 * np.sin(TURN * phase)
    deep = rng.uniform(0.28, 0.48) * (0.7 if style == "crisp" else 1.0)
    return (spacing * deep * (wave + 0.12 * noise(shape, 7, rng))).astype(np.float32)


def _window(corners: Array, shape: tuple[int, int], margin: float) -> tuple[slice, slice]:
    """The part of the picture that an outline and its shadow touch."""
    low = np.clip(np.floor(corners.min(axis=0) - margin), 0, [shape[1] - 1, shape[0] - 1]).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0) + margin), low + 1, [shape[1], shape[0]]).astype(int)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def polygons(outlines: Sequence[Array], shape: tuple[int, int]) -> Array:
    """Filled polygons with smooth edges, coverage in [0, 1]."""
    picture = Image.new("L", (2 * shape[1], 2 * shape[0]))
    draw = ImageDraw.Draw(picture)
    for corners in outlines:
        draw.polygon((corners * 2).ravel().tolist(), fill=255)
    return np.asarray(picture.reduce(2), dtype=np.float32) / 255


def lines(strokes: list[tuple[Array, float]], shape: tuple[int, int]) -> Array:
    """Lines with smooth edges, each with its width in pixels; coverage in [0, 1]."""
    if not strokes:
        return np.zeros(shape, dtype=np.float32)
    picture = Image.new("L", (2 * shape[1], 2 * shape[0]))
    draw = ImageDraw.Draw(picture)
    for points, wide in strokes:
        draw.line((points * 2).ravel().tolist(), fill=255, width=max(1, round(2 * wide)), joint="curve")
    return np.asarray(picture.reduce(2), dtype=np.float32) / 255


def _dashes(points: Array, length: float) -> list[Array]:
    """A line cut into stitches with gaps between them."""
    length = max(length, 4.0)
    steps = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate([[0], np.cumsum(steps)])
    starts = np.arange(0, max(along[-1] - length, 0), length)
    ends = np.stack([starts, starts + 0.62 * length], axis=1)
    xy = np.stack([np.interp(ends, along, points[:, axis]) for axis in (0, 1)], axis=-1)
    return list(xy)
