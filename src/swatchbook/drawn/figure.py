"""A person-like dummy: its measures, its pose, and what of it is seen behind and before the clothes.

Units are those of garments: x runs right from the middle, y down from where the neck meets the shoulders; the
figure faces the viewer. Side −1 is on the left of the picture (the wearer's right), 1 on its right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swatchbook.drawn.colours import SHADES, shade
from swatchbook.drawn.fields import blurred, painted
from swatchbook.drawn.layout import Place, polygons
from swatchbook.drawn.outlines import curve, mirrored, smooth_path

Array = np.ndarray
SIDES = (-1, 1)
SHOULDER, PIT, WAIST, HIP, CROTCH, KNEE, ANKLE, SOLE = 0.1, 0.4, 0.74, 1.04, 1.2, 1.82, 2.5, 2.66
CROWN = -0.66  # the top of the head
_SKINS = ((0.93, 0.78, 0.68), (0.86, 0.66, 0.53), (0.72, 0.52, 0.4), (0.5, 0.35, 0.27), (0.33, 0.22, 0.17))
_DUMMIES = ((0.94, 0.93, 0.91), (0.9, 0.84, 0.76), (0.26, 0.26, 0.27))
_HAIR = ((0.12, 0.09, 0.08), (0.28, 0.18, 0.12), (0.5, 0.34, 0.2), (0.82, 0.68, 0.42), (0.62, 0.6, 0.58))


@dataclass(frozen=True)
class Body:
    """Half-widths of a figure and where its arms and legs are.

    Attributes:
        neck: Half-width of the neck, where it meets the shoulders.
        shoulder: Of the shoulders, at the height ``SHOULDER``.
        chest: Of the trunk at ``PIT``.
        waist: At ``WAIST``.
        hip: At ``HIP``.
        arms: Side → shoulder, elbow, wrist and finger tips, shape (4, 2).
        before: Sides whose forearm lies before the trunk.
        stance: How far the ankles stand outwards of the hips' middles.
    """

    neck: float
    shoulder: float
    chest: float
    waist: float
    hip: float
    arms: dict[int, Array]
    before: tuple[int, ...]
    stance: float

    def half(self, y: float | Array) -> float | Array:
        """Half-width of trunk and hips at a height."""
        return np.interp(y, (SHOULDER, PIT, WAIST, HIP), (self.shoulder, self.chest, self.waist, self.hip))

    def leg(self, y: float | Array) -> tuple[float | Array, float | Array]:
        """The middle of a leg and its half-width at a height, for the right of the picture."""
        heights = (HIP, CROTCH, KNEE, ANKLE)
        middle = np.interp(y, (CROTCH, ANKLE), (0.5 * self.hip, 0.5 * self.hip + self.stance))
        return middle, np.interp(y, heights, (0.5 * self.hip, 0.49 * self.hip, 0.11, 0.07))


def posed(rng: np.random.Generator, flat: bool = False) -> Body:
    """A body in a pose of its own.

    Args:
        rng: Source of randomness.
        flat: Whether a garment is laid out alone: its sleeves are straight and stand out, or one is folded.
    """
    build = rng.uniform(0.94, 1.07)
    chest, waist, hip = np.array([0.31, 0.255, 0.345]) * build * rng.uniform(0.97, 1.03, size=3)
    shoulder = 0.37 * build
    arms, before = {}, []
    spread, crossing = rng.uniform(0.15, 0.9), 0.12 if flat else 0.3
    for side in SIDES:
        kind = rng.random()
        if kind < 0.5 * crossing:  # a hand before the waist
            angles = rng.uniform(0.02, 0.16), rng.uniform(-1.25, -0.75)
            before.append(side)
        elif kind < crossing:  # a hand on the hip
            angles = rng.uniform(0.55, 0.75), rng.uniform(-0.85, -0.6)
            before.append(side)
        else:
            first = spread + rng.normal(0, 0.05) if flat else rng.uniform(0.1, 0.34)
            angles = first, first - (0.0 if flat else rng.uniform(-0.05, 0.28))
        steps = [
            np.array([side * np.sin(angle), np.cos(angle)]) * long
            for angle, long in ((angles[0], 0.56), (angles[1], 0.5), (angles[1], 0.17))
        ]
        arms[side] = np.cumsum([(side * (shoulder - 0.035), SHOULDER + 0.04), *steps], axis=0)
    return Body(0.145 * build, shoulder, chest, waist, hip, arms, tuple(before), rng.uniform(-0.02, 0.1))


def tube(path: Array, halves: Array, tip: bool = False) -> Array:
    """The outline around a bent path: an arm, a leg, a sleeve.

    Args:
        path: Corners, shape (n, 2).
        halves: Half-widths at them, shape (n,).
        tip: Whether the far end is round.

    Returns:
        Shape (m, 2): down the path's left and up its right, seen along it.
    """
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = along[:, ::-1] * [1, -1] * np.asarray(halves)[:, None]
    left, right = smooth_path(path + across), smooth_path(path - across)
    end = path[-1] + along[-1] * halves[-1] * 1.1
    return np.vstack([left, *([end[None]] if tip else []), right[::-1]])


def arm_outline(body: Body, side: int, forearm: bool = False) -> Array:
    """An arm with its hand, or only the forearm."""
    path, halves = body.arms[side], np.array([0.075, 0.062, 0.045, 0.04])
    middle = 0.5 * (path[2] + path[3])
    path = np.vstack([path[:3], middle, path[3]])
    halves = np.array([*halves[:3], 0.055, 0.03])
    return tube(path[1:], halves[1:], tip=True) if forearm else tube(path, halves, tip=True)


def _leg_outline(body: Body, side: int) -> Array:
    heights = np.array([CROTCH - 0.1, CROTCH, 1.5, KNEE, 2.1, ANKLE, SOLE])
    middle, half = body.leg(heights)
    half = half * [1, 1, 1.0, 1.0, 1.04, 1.0, 1.25]
    return tube(np.stack([side * middle, heights], axis=1), half)


def _trunk_outline(body: Body) -> Array:
    right = np.array(
        [
            (0.62 * body.neck, -0.16),
            (0.66 * body.neck, -0.04),
            (0.5 * body.shoulder, 0.045),
            (body.shoulder, SHOULDER),
            (body.chest, PIT),
            (body.waist, WAIST),
            (body.hip, HIP),
            (body.hip * 0.97, CROTCH),
        ]
    )
    right = np.vstack([right[:2], smooth_path(right[2:]), [(0.0, CROTCH + 0.05)]])
    return np.vstack([right, mirrored(right)[::-1]])


def _ellipse(x: float, y: float, wide: float, tall: float) -> Array:
    turn = np.linspace(0, 2 * np.pi, 28)[:-1]
    return np.stack([x + wide * np.cos(turn), y + tall * np.sin(turn)], axis=1)


@dataclass(frozen=True)
class Appearance:
    """The colours of a figure and whether it has hair.

    Attributes:
        skin: Shape (3,), sRGB.
        hair: Likewise, or None for a bald dummy.
        long: Whether the hair falls before the shoulders and hides the collar.
        shoes: Their colour.
    """

    skin: Array
    hair: Array | None
    long: bool
    shoes: Array


def appearance(rng: np.random.Generator) -> Appearance:
    """Skin and hair of a person, or a shop dummy's."""
    person = rng.random() < 0.75
    skin = np.float32((_SKINS if person else _DUMMIES)[rng.integers(5 if person else 3)])
    hair = np.float32(_HAIR[rng.integers(5)]) if person else None
    shoes = shade(str(rng.choice(list(SHADES))), rng)
    return Appearance(skin * np.float32(rng.uniform(0.95, 1.04)), hair, bool(rng.random() < 0.25), shoes)


def draw_body(ground: Array, body: Body, figure: Appearance, place: Place, light: Array) -> Array:
    """The figure without its clothes on the ground, shape (3, height, width)."""
    foot = np.array([(-0.1, 0.0), (0.1, 0.0), (0.13, 0.12), (-0.13, 0.12)])
    ankle = body.leg(ANKLE)[0] + 0.02
    fringe = np.vstack(
        [
            curve((-0.18, -0.4), (-0.1, -0.7), (0.0, -0.64)),
            curve((0.0, -0.64), (0.12, -0.68), (0.18, -0.4)),
            [(0.13, -0.5), (0.02, -0.54), (-0.1, -0.5)],
        ]
    )
    layers = [
        ([_ellipse(0, -0.42, 0.215, 0.25)], figure.hair),
        ([*(_leg_outline(body, side) for side in SIDES), _trunk_outline(body)], figure.skin),
        ([arm_outline(body, side) for side in SIDES], figure.skin),
        ([foot + np.array([side * ankle, SOLE - 0.06]) for side in SIDES], figure.shoes),
        ([_ellipse(0, -0.36, 0.165, 0.225)], figure.skin),
        ([fringe], figure.hair),
    ]
    for outlines, ink in layers:
        if ink is not None:
            mask = polygons([place(outline) for outline in outlines], ground.shape[1:])
            ground = solid(ground, mask, ink, place.scale, light)
    return ground


def hair_outlines() -> list[Array]:
    """Hair that falls before both shoulders."""
    lock = np.array(
        [
            (0.14, -0.5),
            (0.22, -0.4),
            (0.25, -0.1),
            (0.27, 0.2),
            (0.2, 0.3),
            (0.12, 0.16),
            (0.14, -0.1),
            (0.15, -0.3),
        ]
    )
    return [smooth_path(lock) * [side, 1] for side in SIDES]


def solid(ground: Array, mask: Array, ink: Array, scale: float, light: Array) -> Array:
    """Round bodies of one colour on the ground: brighter in the middle and towards the light.

    Args:
        ground: Shape (3, height, width).
        mask: Where they are, in [0, 1], shape (height, width).
        ink: Shape (3,).
        scale: Pixels in one unit.
        light: Where the light comes from, shape (3,).
    """
    soft = blurred(mask, max(1.0, 0.045 * scale))
    side = np.gradient(soft, axis=1) * (scale * 0.09 * -light[0])
    return painted(ground, np.asarray(ink)[:, None, None] * (0.6 + 0.46 * soft + side), mask)
