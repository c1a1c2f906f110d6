"""What lies around a garment: floors, walls and beds, hangers and dummies, and the camera."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from swatchbook.drawn.colours import SHADES, inks, shade, to_lab
from swatchbook.drawn.fields import UVMap, blurred, channels, film_grain, fraction, noise, step, turned
from swatchbook.drawn.layout import Place, lines, polygons
from swatchbook.drawn.outlines import Garment
from swatchbook.drawn.periodic import nearest, sample, speckle, strands
from swatchbook.drawn.prints import PATTERNS, printed

Array = np.ndarray
_NEUTRAL = ((0.96, 0.96, 0.96), (0.9, 0.89, 0.87), (0.8, 0.8, 0.8), (0.62, 0.62, 0.63), (0.86, 0.82, 0.75))


def background(
    shape: tuple[int, int], cloth: Array, lively: bool, rng: np.random.Generator, standing: bool = False
) -> Array:
    """A ground that the cloth stands out from, shape (3, height, width), sRGB in [0, 1].

    Args:
        shape: Height and width in pixels.
        cloth: The garment's colour, shape (3,).
        lively: Whether it must have edges, so that what is see-through can be seen to be.
        rng: Source of randomness.
        standing: Whether somebody stands before it, so that it is no floor.
    """
    kinds = _LIVELY if lively else _BEHIND if standing else _GROUNDS
    names = list(kinds)
    odds = np.array([kinds[name][1] for name in names])
    # White lies on white sheets, and black on black sofas, but mostly a ground is chosen to show the cloth.
    apart = 30.0 if lively else rng.uniform(4, 32)
    for _ in range(12):
        draw = kinds[names[rng.choice(len(names), p=odds / odds.sum())]][0]
        tint = _tint(draw, rng)
        gap = to_lab(tint) - to_lab(cloth)
        # Behind thin cloth much darker ground would drown a pale colour.
        if np.linalg.norm(gap) > apart and (not lively or gap[0] > -38):
            break
    return draw(shape, tint.astype(np.float32)[:, None, None], rng)


def _tint(draw: Callable, rng: np.random.Generator) -> Array:
    if draw is _wood:
        return np.array(
            [(0.72, 0.55, 0.38), (0.55, 0.4, 0.28), (0.8, 0.7, 0.56), (0.55, 0.53, 0.5), (0.35, 0.24, 0.17)]
        )[rng.integers(5)]
    if draw is _studio or rng.random() < 0.55:
        return np.array(_NEUTRAL[rng.integers(len(_NEUTRAL))]) * rng.uniform(0.95, 1.03)
    tint = shade(str(rng.choice(list(SHADES))), rng)
    return tint if rng.random() < 0.45 else 0.55 * tint + 0.4  # walls are mostly pale


def _studio(shape: tuple[int, int], tint: Array, rng: np.random.Generator) -> Array:
    x, _ = turned(shape, rng.uniform(0, 6.3))
    fall = 1 + rng.uniform(0, 0.12) * (x / shape[1] - 0.5)
    return tint * fall


def _wall(shape: tuple[int, int], tint: Array, rng: np.random.Generator) -> Array:
    tone = 1 + 0.035 * noise(shape, 3, rng) + 0.02 * noise(shape, 60, rng)
    ground = tint * tone
    if rng.random() < 0.4:  # a floor or a skirting board meets the wall
        _, y = turned(shape, rng.normal(0, 0.03))
        below = step(y - rng.uniform(0.78, 0.95) * shape[0], 2)
        ground = ground * (1 - below) + np.float32(rng.uniform(0.4, 1.1)) * tint[::-1] * below
    return ground


def _wood(shape: tuple[int, int], tint: Array, rng: np.random.Generator) -> Array:
    long = max(shape)
    angle = rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.08)
    x, y = turned(shape, angle)
    wide = long * rng.uniform(0.11, 0.22)
    plank = np.floor(x / wide)
    shift = fraction(plank * np.float32(0.618)) * 211
    figure = sample(strands(), x * 0.55 + shift, (y + shift * 7) * 0.16)
    rings = np.sin(x * 0.35 + 2.2 * noise(shape, 5, rng) + plank * 2.1)
    tone = 1 + 0.05 * figure + 0.04 * rings + 0.2 * (fraction(plank * np.float32(0.377)) - 0.5)
    gap = step(0.9 - (0.5 - np.abs(fraction(x / wide) - 0.5)) * wide)
    length = long * 0.8
    ends = step(0.8 - np.abs(fraction(y / length + fraction(plank * np.float32(0.618))) - 0.5) * length)
    return tint * (tone * (1 - 0.5 * np.maximum(gap, ends)))


def _tiles(shape: tuple[int, int], tint: Array, rng: np.random.Generator) -> Array:
    x, y = turned(shape, rng.choice([0.0, np.pi / 4]) + rng.normal(0, 0.05))
    side = max(shape) * rng.uniform(0.16, 0.4)
    joint = np.minimum(np.abs(fraction(x / side) - 0.5), np.abs(fraction(y / side) - 0.5)) * side
    each = fraction(np.sin(np.floor(x / side + 0.5) * 12.99 + np.floor(y / side + 0.5) * 78.2) * 437.5)
    tone = 1 + 0.08 * (each - 0.5) + 0.03 * noise(shape, 14, rng)
    return tint * (tone * (1 - 0.3 * step(1.3 - joint)))


def _carpet(shape: tuple[int, int], tint: Array, rng: np.random.Generator) -> Array:
    x, y = turned(shape, rng.uniform(0, 6.3))
    pile = nearest(speckle(), x * 0.5, y * 0.5) + 0.4 * noise(shape, 40, rng)
    return tint * (1 + 0.09 * pile)


def _sheet(shape: tuple[int, int], tint: Array, rng: np.random.Generator) -> Array:
    """A bed sheet or a backdrop of cloth, with creases."""
    crease = np.abs(noise(shape, 5, rng)) * np.clip(noise(shape, 3, rng), 0, 2) + 0.8 * noise(shape, 3.5, rng)
    slope = np.diff(crease, axis=1, append=crease[:, -1:]) + np.diff(crease, axis=0, append=crease[-1:])
    tone = 1 + np.clip(1.5 * slope * (max(shape) / 320), -0.2, 0.15)
    if rng.random() < 0.3:  # quilted
        x, y = turned(shape, np.pi / 4)
        side = max(shape) * 0.1
        seam = np.minimum(np.abs(fraction(x / side) - 0.5), np.abs(fraction(y / side) - 0.5)) * side
        tone = tone * (1 - 0.16 * step(2.5 - seam, 4))
    return tint * tone


def _papered(shape: tuple[int, int], tint: Array, rng: np.random.Generator) -> Array:
    """Wallpaper or a rug with bands or lozenges."""
    x, y = turned(shape, rng.choice([0.0, np.pi / 4, np.pi / 2]) + rng.normal(0, 0.04))
    side = max(shape) * rng.uniform(0.07, 0.16)
    band = step((np.abs(fraction(x / side) - 0.5) - 0.25) * side)
    if rng.random() < 0.5:
        band = np.abs(band - step((np.abs(fraction(y / side) - 0.5) - 0.25) * side))
    other = np.clip(tint * rng.uniform(0.55, 0.8), 0, 1)
    return tint + (other - tint) * band


def _rug(shape: tuple[int, int], tint: Array, rng: np.random.Generator) -> Array:
    """A printed rug, bedspread or sofa."""
    x, y = turned(shape, rng.choice([0.0, np.pi / 4, np.pi / 2]) + rng.normal(0, 0.1))
    pattern = str(rng.choice([name for name in PATTERNS if name not in ("solid", "graphic")]))
    period = max(shape) * rng.uniform(0.07, 0.3)
    colours = inks("", tint[:, 0, 0], rng, 4)
    cloth = printed(pattern, UVMap(x, y), period, colours, bool(tint.mean() > 0.7), rng)
    return cloth * (1 + 0.04 * noise(shape, 4, rng))


def _clutter(shape: tuple[int, int], tint: Array, rng: np.random.Generator) -> Array:
    """A room: a wall with pictures, boxes and other things about."""
    height, width = shape
    ground = _wall(shape, tint, rng)
    picture = _image(np.clip(ground, 0, 1) * 255)
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(3, 8)):
        at = rng.uniform(-0.1, 1.0, size=2) * [width, height]
        size = rng.uniform(0.08, 0.32, size=2) * max(shape)
        ink = tuple(int(c) for c in shade(str(rng.choice(list(SHADES))), rng) * 200 + 30)
        box = [*at, *(at + size)]
        if rng.random() < 0.7:
            draw.rectangle(box, fill=ink, outline=tuple(c // 2 for c in ink), width=2)
        else:
            draw.ellipse(box, fill=ink)
    return channels(picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.5))))


def _image(levels: Array) -> Image.Image:
    """A picture of levels in [0, 255], shape (3, height, width), rounded down."""
    return Image.merge("RGB", [Image.fromarray(band) for band in levels.astype(np.uint8)])


_GROUNDS: dict[str, tuple[Callable, float]] = {
    "studio": (_studio, 4.0),
    "wall": (_wall, 2.5),
    "wood": (_wood, 2.0),
    "tiles": (_tiles, 0.8),
    "carpet": (_carpet, 0.8),
    "sheet": (_sheet, 2.0),
    "papered": (_papered, 0.4),
    "rug": (_rug, 1.3),
    "clutter": (_clutter, 0.8),
}
_BEHIND = {name: _GROUNDS[name] for name in ("studio", "wall", "sheet", "papered", "clutter")}
_LIVELY = {name: _GROUNDS[name] for name in ("wood", "tiles", "papered")}


def furnish(
    ground: Array, garment: Garment, place: Place, dummy: bool, hanger: bool, rng: np.random.Generator
) -> Array:
    """A dummy inside the garment or a hanger, drawn on the ground."""
    shape = ground.shape[1:]
    if dummy:
        skin = np.float32(
            [(0.9, 0.84, 0.76), (0.82, 0.66, 0.55), (0.5, 0.36, 0.28), (0.93, 0.93, 0.92), (0.25, 0.25, 0.26)]
        )[rng.integers(5)]
        for outline in _figure(garment):
            mask = polygons([place(outline)], shape)
            soft = blurred(mask, 0.04 * place.scale)
            tone = 0.62 + 0.45 * soft
            ground = ground * (1 - mask) + skin[:, None, None] * (tone * mask)
    if hanger and garment.neck:
        neck = garment.neck
        hook = np.array(
            [(0.0, 0.02), (0.0, -0.07), (0.03, -0.1), (0.04, -0.14), (0.0, -0.17), (-0.04, -0.14)]
        )
        arms = np.array([(-0.36, 0.1), (0.0, 0.0), (0.36, 0.1)])
        wood = np.float32([(0.62, 0.43, 0.26), (0.12, 0.12, 0.12), (0.85, 0.85, 0.86)])[rng.integers(3)]
        wire = lines([(place(hook), max(1.2, 0.012 * place.scale))], shape)
        bar = lines([(place(arms), max(2.0, 0.035 * place.scale * (neck / 0.16)))], shape)
        ground = ground * (1 - wire) + 0.55 * wire
        ground = ground * (1 - bar) + wood[:, None, None] * bar
    return ground


def _figure(garment: Garment) -> list[Array]:
    """Outlines of a shop dummy: neck, trunk and legs where the garment has room for them."""
    bottom = max(part.outline[:, 1].max() for part in garment.parts)
    shapes = []
    if garment.legs:
        for side in (1, -1):
            leg = np.array(
                [
                    (0.02, 0.5),
                    (0.2, 0.5),
                    (0.16, bottom + 0.05),
                    (0.13, bottom + 0.6),
                    (0.05, bottom + 0.6),
                    (0.04, bottom),
                ]
            )
            shapes.append(leg * [side, 1])
    if garment.neck:
        n = garment.neck * 0.72
        shapes.append(
            np.array(
                [
                    *[(-n, -0.16), (n, -0.16), (n, 0.02), (0.3, 0.1), (0.31, 0.4), (0.22, 0.65), (0.28, 0.9)],
                    *[(-0.28, 0.9), (-0.22, 0.65), (-0.31, 0.4), (-0.3, 0.1), (-n, 0.02)],
                ]
            )
        )
    return shapes


def photographed(picture: Array, rng: np.random.Generator) -> Image.Image:
    """What a camera makes of a scene: exposure, white balance, vignette, blur, noise, rounding."""
    height, width = picture.shape[1:]
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)
    reach = x * x + y * y
    slant = rng.normal(0, 0.05) * x + rng.normal(0, 0.05) * y
    gain = float(np.exp2(rng.normal(0, 0.1))) * (1 - rng.uniform(0, 0.09) * reach + slant)
    balance = np.exp(rng.normal(0, 0.022, size=3)).astype(np.float32)
    picture = picture * gain
    picture *= balance[:, None, None]
    # Highlights bend towards white instead of breaking off, as on a sensor.
    over = picture - 0.82
    np.maximum(over, 0, out=over)
    picture -= over
    picture += 0.2 * over / (over + 0.2)
    if rng.random() < 0.35:
        soft = _image(np.clip(picture, 0, 1) * 255).filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.0)))
        picture = channels(soft)
    picture += film_grain((height, width), rng) * np.float32(rng.uniform(0.002, 0.02))
    np.clip(picture, 0, 1, out=picture)
    picture *= 255
    picture += 0.5
    return _image(picture)
