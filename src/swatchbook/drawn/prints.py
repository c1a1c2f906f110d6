"""Prints on cloth: stripes, checks, flowers, shapes, animal coats and dots."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from swatchbook.drawn.fields import UVMap, fraction, painted, spread, step
from swatchbook.drawn.flowers import flowers, foliage, roses, sprigs
from swatchbook.drawn.periodic import TILE
from swatchbook.drawn.tiles import TURN, blob, canvas, draw_wrapped, ink_of, repeated, scattered

Array = np.ndarray


def printed(
    pattern: str, uv: UVMap, period: float, inks: Array, light_base: bool, rng: np.random.Generator
) -> Array:
    """The colour of the cloth at every point of the picture.

    Args:
        pattern: Which print; those in ``PLAIN`` leave the cloth plain.
        uv: Coordinates on the cloth.
        period: The print's repeat in pixels.
        inks: sRGB in [0, 1], shape (4, 3); the first is the cloth's own colour and covers the most.
        light_base: Whether the cloth is so pale that people would name it by a bold second colour.
        rng: Source of randomness.

    Returns:
        Shape (3, …), float32, with a colour for each of the pixels.
    """
    if pattern in PLAIN:
        return _plain(uv, inks)
    variants = _VARIANTS[pattern]
    return variants[rng.integers(len(variants))](uv, period, inks, light_base, rng)


def _plain(uv: UVMap, inks: Array) -> Array:
    return np.broadcast_to(spread(inks[0], uv.u), (3, *uv.shape))


def _lines(x: Array, period: float, share: float, offset: float = 0.0) -> Array:
    """Coverage of parallel bands that take up a share of every period."""
    from_centre = np.abs(fraction(x / period + offset) - 0.5) * period
    return step(share * period / 2 - from_centre)


# stripes ------------------------------------------------------------------------------------------


def _even_stripes(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    across = uv.v if rng.random() < 0.5 else uv.u
    share = rng.uniform(0.2, 0.32) if light else rng.uniform(0.3, 0.46)
    period = max(p * rng.uniform(0.3, 0.9), 6)
    return painted(_plain(uv, inks), inks[1], _lines(across, period, share))


def _pin_stripes(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    period = max(0.4 * p, 8)
    return painted(_plain(uv, inks), inks[1], _lines(uv.u, period, max(1.6 / period, 0.14)))


def _many_stripes(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    across = uv.v if rng.random() < 0.6 else uv.u
    cloth = painted(_plain(uv, inks), inks[1], _lines(across, 1.3 * p, rng.uniform(0.14, 0.24)))
    cloth = painted(cloth, inks[2], _lines(across, 1.3 * p, rng.uniform(0.06, 0.14), rng.uniform(0.25, 0.4)))
    return painted(cloth, inks[1], _lines(across, 1.3 * p, 0.05, rng.uniform(0.55, 0.7)))


def _slanted_stripes(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    slanted = UVMap(0.707 * (uv.u + uv.v), 0.707 * (uv.u - uv.v))
    return _even_stripes(slanted, p, inks, light, rng)


# checks -------------------------------------------------------------------------------------------


def _gingham(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    share = 0.38 if light else rng.uniform(0.4, 0.46)
    period = max(p * rng.uniform(0.35, 0.9), 9)
    both = 0.5 * (_lines(uv.u, period, share) + _lines(uv.v, period, share))
    return painted(_plain(uv, inks), inks[1], both)


def _tartan(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    cloth, period = _plain(uv, inks), 1.5 * p
    for ink, share, offset in (
        (1, rng.uniform(0.2, 0.3), 0.0),
        (2, rng.uniform(0.07, 0.12), 0.3),
        (3, 0.05, 0.55),
        (1, 0.06, 0.68),
    ):
        # Warp and weft each show half of the time, so a crossing is denser than a band.
        for across in (uv.u, uv.v):
            cloth = painted(cloth, inks[ink], 0.55 * _lines(across, period, share, offset))
    return cloth


def _shirt_check(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    """Thin lines in both directions, of one or two colours, close together."""
    period = max(p * rng.uniform(0.35, 0.7), 9)
    thin = max(1.5 / period, rng.uniform(0.1, 0.16))
    cloth = _plain(uv, inks)
    for across in (uv.u, uv.v):
        cloth = painted(cloth, inks[1], 0.8 * _lines(across, period, thin))
        if light:
            cloth = painted(cloth, inks[2], 0.6 * _lines(across, period, thin, 0.5))
    return cloth


def _windowpane(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    share = max(rng.uniform(0.06, 0.13), 1.8 / p)
    cloth = painted(_plain(uv, inks), inks[1], np.maximum(_lines(uv.u, p, share), _lines(uv.v, p, share)))
    if rng.random() < 0.5:
        thin = max(0.05, 1.4 / p)
        second = np.maximum(_lines(uv.u, p, thin, 0.5), _lines(uv.v, p, thin, 0.5))
        cloth = painted(cloth, inks[2], 0.8 * second)
    return cloth


# shapes -------------------------------------------------------------------------------------------


def _chevrons(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    zigzag = np.abs(fraction(uv.u / p) - 0.5) * p * rng.uniform(0.8, 1.3)
    cloth = painted(_plain(uv, inks), inks[1], _lines(uv.v + zigzag, 0.6 * p, 0.3 if light else 0.4))
    return painted(cloth, inks[2], _lines(uv.v + zigzag, 1.2 * p, 0.1, 0.25)) if rng.random() < 0.5 else cloth


def _triangles(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    row, within = np.floor(uv.v / p), fraction(uv.v / p)
    column = uv.u / p + 0.5 * (row % 2)
    half = 0.5 * within
    inside = step((half - np.abs(fraction(column) - 0.5)) * p * 0.85)
    inside *= step((0.92 - within) * p)
    which = (np.floor(column).astype(np.int32) * 7 + row.astype(np.int32) * 3) % 3 + 1
    return painted(_plain(uv, inks), inks.T[:, which], inside)


def _diamonds(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    tall = rng.uniform(1.2, 1.7)
    a, b = uv.u / p, uv.v / (tall * p)
    reach = np.abs(fraction(a) - 0.5) + np.abs(fraction(b) - 0.5)
    cloth = painted(_plain(uv, inks), inks[1], step((0.42 - reach) * p))
    cloth = painted(cloth, inks[2], step((0.18 - reach) * p))
    crossing = np.minimum(
        np.abs(fraction(a + b + 0.5) - 0.5), np.abs(fraction(a - b + 0.5) - 0.5)
    )  # argyle's thin lines run through the diamonds' corners
    return painted(cloth, inks[3], 0.8 * step(0.8 - crossing * 0.7 * p))


def _hexagons(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    def reach(du: Array, dv: Array) -> Array:
        return np.maximum(np.abs(du), 0.5 * np.abs(du) + 0.866 * np.abs(dv))

    tall = 1.732 * p
    first = reach((fraction(uv.u / p) - 0.5) * p, (fraction(uv.v / tall) - 0.5) * tall)
    second = reach((fraction(uv.u / p + 0.5) - 0.5) * p, (fraction(uv.v / tall + 0.5) - 0.5) * tall)
    inner = np.minimum(first, second)
    rim = step(inner - p * rng.uniform(0.36, 0.42))
    cloth = painted(_plain(uv, inks), inks[1], rim)
    return painted(cloth, inks[2], step(p * rng.uniform(0.12, 0.2) - inner))


def _arcs(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    """Rings in overlapping scales, or whole circles in a grid."""
    offset = 0.5 * (np.floor(uv.v / p) % 2) if rng.random() < 0.6 else 0.0
    from_centre = (
        np.hypot(fraction(uv.u / p + offset) - 0.5, fraction(uv.v / p) - 0.5 * int(rng.integers(1, 3))) * p
    )
    ring = _lines(from_centre, 0.3 * p, 0.36) * step(0.48 * p - from_centre)
    return painted(_plain(uv, inks), inks[1], ring)


def _confetti(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    """Triangles, bars, rings and squares strewn over the cloth."""
    tile, draw = canvas(inks[0])
    size = 2 * TILE / 9
    for index, (x, y) in enumerate(scattered(rng, 5)):
        ink, turn = ink_of(inks[1 + index % 3]), rng.uniform(0, TURN)
        corners = int(rng.choice([2, 3, 4, 4, 20]))
        angles = turn + TURN * np.arange(corners) / corners
        ring = np.stack([np.cos(angles), np.sin(angles)], axis=1) * size * rng.uniform(0.6, 0.85)
        if corners == 2:
            draw_wrapped(draw, ring, x, y, ink, outline=size * 0.35)
        else:
            hollow = rng.random() < 0.4
            draw_wrapped(draw, np.vstack([ring, ring[:1]]), x, y, ink, outline=size * 0.28 if hollow else 0)
    return repeated(tile, uv, 5 * p)


# animal coats -------------------------------------------------------------------------------------


def _coat_ink(base: Array) -> Array:
    """The dark of an animal's marks; a near-black coat carries pale ones."""
    dark = base @ np.array([0.3, 0.6, 0.1]) < 0.2
    return np.array([0.62, 0.5, 0.36]) if dark else np.array([0.09, 0.06, 0.05])


def _leopard(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    tile, draw = canvas(inks[0])
    mark = _coat_ink(inks[0])
    heart = inks[0] * 0.72 + mark * 0.28
    across = 7
    size = 2 * TILE / across * 0.4
    for x, y in scattered(rng, across):
        if rng.random() < 0.2:
            draw_wrapped(draw, blob(0.35 * size, rng), x, y, ink_of(mark))
            continue
        draw_wrapped(draw, blob(0.75 * size, rng), x, y, ink_of(heart))
        start = rng.uniform(0, TURN)
        for index in range(int(rng.integers(2, 4))):
            # A rosette is a broken ring: a few thick arcs that do not meet.
            angles = start + index * TURN / 3 + np.linspace(0, rng.uniform(1.1, 1.7), 7)
            arc = np.stack([np.cos(angles), np.sin(angles)], axis=1) * size
            reach, half = rng.uniform(0.78, 0.95), 0.21
            thick = np.vstack([arc * (reach + half), arc[::-1] * (reach - half)])
            draw_wrapped(draw, thick, x, y, ink_of(mark))
    return repeated(tile, uv, across * p * 0.5)


def _zebra(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    mark = _coat_ink(inks[0])
    if inks[0].mean() < 0.2:
        mark = np.array([0.93, 0.91, 0.87])
    bend = uv.noise(uv.long / (1.9 * p), rng)
    fork = uv.noise(uv.long / (1.1 * p), rng)
    phase = uv.v / (0.62 * p) + 0.55 * bend
    wave = np.sin(TURN * phase + 0.9 * fork)
    taper = 0.28 + 0.35 * np.abs(uv.noise(uv.long / (1.4 * p), rng))
    return painted(_plain(uv, inks), mark.astype(np.float32), step((wave - taper) * 0.11 * p))


# dots ----------------------------------------------------------------------------------


def _dots(uv: UVMap, p: float, inks: Array, light: bool, rng: np.random.Generator) -> Array:
    period = max(p * rng.uniform(0.28, 0.66), 8)
    a, b = uv.u / period, uv.v / period
    if rng.random() < 0.7:
        a = a + 0.5 * (np.floor(b) % 2)
    radius = np.hypot(fraction(a) - 0.5, fraction(b) - 0.5) * period
    return painted(_plain(uv, inks), inks[1], step(rng.uniform(0.17, 0.33) * period - radius))


_VARIANTS: dict[str, tuple[Callable[..., Array], ...]] = {
    "striped": (_even_stripes, _even_stripes, _pin_stripes, _many_stripes, _slanted_stripes),
    "checkered_plaid": (_gingham, _tartan, _tartan, _windowpane, _shirt_check),
    "floral": (flowers, roses, roses, sprigs, foliage),
    "geometric": (_chevrons, _triangles, _diamonds, _hexagons, _arcs, _confetti),
    "animal_print": (_leopard, _leopard, _zebra),
    "polka_dot": (_dots,),
}
PATTERNS: tuple[str, ...] = ("solid", *_VARIANTS, "graphic")
PLAIN = ("solid", "graphic", "pleated", "embroidered")  # patterns that no print makes
