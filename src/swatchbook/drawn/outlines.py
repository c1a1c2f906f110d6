"""Outlines of cloth: what a garment is made of, and the curves that its pieces are cut along.

x runs right from the middle, y down from the top, in units of the garment's own size; a garment is about
1 to 1.8 units tall.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Part:
    """One piece of cloth.

    Attributes:
        outline: Corners, shape (n, 2).
        grain: Angle of the grain from the vertical in radians, clockwise.
        light: Factor on its brightness (the inside of a collar is dark).
        body: Whether it is the front, where a motif would be.
        drape: ``flat``, ``hang`` (folds along the grain), ``pleat``, ``roll`` (a folded edge) or ``stretch``
            (creases across, as in tight cloth).
        arm: Which arm it is the sleeve of, −1 on the left of the picture and 1 on the right; 0 for the rest.
    """

    outline: Array
    grain: float = 0.0
    light: float = 1.0
    body: bool = False
    drape: str = "flat"
    arm: int = 0


@dataclass
class Garment:
    """Pieces in the order in which they lie on each other, and what is sewn onto them.

    Attributes:
        parts: Pieces of cloth, the lowest first.
        seams: Lines where cloth is joined or folded, each of shape (n, 2).
        stitches: Lines of visible thread, likewise.
        bands: Ribbed or doubled edges: a line and its width.
        buttons: Middles of buttons, each of shape (2,).
        zips: Lines of zips, each of shape (n, 2).
        chest: Middle and half-width of where a motif goes, or None.
        neck: Half-width of the neck for a figure inside it; 0 where there is none.
        legs: Whether a figure's legs would show below it.
        landmarks: Name → point, shape (2,), where it is known: ``left_collar`` and so on.
    """

    parts: list[Part] = field(default_factory=list)
    seams: list[Array] = field(default_factory=list)
    stitches: list[Array] = field(default_factory=list)
    bands: list[tuple[Array, float]] = field(default_factory=list)
    buttons: list[Array] = field(default_factory=list)
    zips: list[Array] = field(default_factory=list)
    chest: tuple[float, float, float] | None = None
    neck: float = 0.0
    legs: bool = False
    landmarks: dict[str, Array] = field(default_factory=dict)


def rounded(points: Array, times: int = 2) -> Array:
    """A closed outline with its corners cut (Chaikin 1974)."""
    for _ in range(times):
        after = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], axis=1).reshape(-1, 2)
    return points


def shifted(points: Array, dx: float, dy: float) -> Array:
    """Points moved right and down."""
    return points + np.array([dx, dy])


def mirrored(points: Array) -> Array:
    """Points on the other side of the middle."""
    return points * [-1, 1]


def curve(start: tuple, middle: tuple, end: tuple, n: int = 9) -> Array:
    """A quadratic Bézier curve, shape (n, 2)."""
    t = np.linspace(0, 1, n)[:, None]
    return (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(middle) + t**2 * np.array(end)


def dense(points: Array, n: int = 6) -> Array:
    """Points put between the corners, so that only a short piece next to each is rounded."""
    after = np.roll(points, -1, axis=0)
    t = np.array([0.0, 0.12, *np.linspace(0.3, 0.7, n - 4), 0.88])[:, None, None]
    return ((1 - t) * points + t * after).transpose(1, 0, 2).reshape(-1, 2)


def smooth_path(points: Array) -> Array:
    """Points put between those of an open path by a smooth curve through them."""
    t = np.arange(len(points))
    fine = np.linspace(0, len(points) - 1, 4 * len(points))
    return np.stack([np.interp(fine, t, points[:, axis]) for axis in (0, 1)], axis=1)
