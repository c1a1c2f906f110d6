"""Colour names and the shades that a person would give them."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

# Shades that a person names without doubt, sRGB 0–255; every garment's shade strays a little from one.
SHADES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "black": ((18, 18, 20), (30, 28, 29), (24, 26, 30), (40, 39, 40)),
    "white": ((246, 245, 243), (238, 239, 241), (249, 246, 238)),
    "red": ((196, 26, 36), (214, 38, 42), (158, 20, 32), (204, 34, 58), (126, 22, 40)),
    "navy": ((26, 34, 78), (32, 42, 92), (20, 27, 60)),
    "beige": (
        *((222, 204, 172), (208, 189, 155), (228, 210, 174), (212, 188, 154)),
        *((196, 166, 122), (190, 172, 138), (228, 192, 164), (184, 166, 132)),  # khaki, stone, peach, sand
    ),
    "blue": ((38, 96, 190), (58, 128, 206), (30, 84, 168), (92, 152, 216), (142, 184, 230), (66, 104, 148)),
    "green": (
        *((38, 122, 66), (94, 142, 62), (24, 98, 70), (112, 164, 108)),
        *((16, 112, 104), (96, 204, 172), (84, 94, 58), (158, 214, 60)),  # teal, mint, olive, lime
    ),
    "yellow": ((247, 212, 58), (236, 194, 40), (250, 226, 108), (246, 230, 138)),
    "grey": ((128, 130, 133), (154, 156, 158), (98, 100, 103)),
    "brown": ((102, 66, 42), (126, 84, 54), (84, 54, 38), (142, 96, 60)),
    "pink": (
        (240, 152, 182),
        (232, 112, 158),
        (247, 188, 204),
        (226, 90, 144),
        (246, 132, 128),
        (206, 36, 118),
        (206, 158, 158),
    ),
    "purple": ((112, 56, 142), (140, 82, 168), (88, 42, 114), (166, 122, 198), (74, 38, 82), (198, 168, 226)),
    "orange": ((236, 116, 30), (244, 140, 48), (218, 98, 32)),
}
# Some cloths have their own way of being a colour.
CLOTH_SHADES: dict[tuple[str, str], tuple[tuple[int, int, int], ...]] = {
    ("denim", "blue"): (
        (62, 98, 152),
        (84, 124, 176),
        (104, 144, 190),
        (88, 106, 130),
        (126, 146, 168),
        (160, 176, 194),
    ),
    ("denim", "navy"): ((30, 42, 78), (36, 48, 88), (40, 48, 66), (30, 36, 50)),
    ("chambray", "blue"): ((104, 142, 190), (86, 126, 180), (120, 156, 200)),
    ("faux_leather", "brown"): ((98, 58, 34), (128, 76, 42)),
    ("tweed", "brown"): ((112, 86, 62), (96, 74, 54)),
}
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_FROM_XYZ = np.linalg.inv(_TO_XYZ)
_WHITE = _TO_XYZ.sum(axis=1)


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """Turn sRGB in [0, 1], shape (..., 3), into CIELAB under D65 (IEC 61966-2-1 and CIE 15)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((np.asarray(rgb) + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1
    )


def from_lab(lab: np.ndarray) -> np.ndarray:
    """Turn CIELAB under D65, shape (..., 3), into sRGB in [0, 1]; what lies outside the gamut is clipped."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f**3 > 216 / 24389, f**3, (116 * f - 16) * 27 / 24389) * _WHITE
    linear = np.clip(xyz @ _FROM_XYZ.T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def shade(name: str, rng: np.random.Generator, folder: str = "") -> np.ndarray:
    """A shade of a colour, shape (3,), sRGB in [0, 1], float32."""
    shades = CLOTH_SHADES.get((folder, name), SHADES[name])
    lab = _lab_of(shades[rng.integers(len(shades))])
    stray = np.array([2.5, 1.2, 1.5]) if name in ("black", "white", "grey", "navy") else np.array([3, 4, 4])
    return from_lab(lab + stray * np.clip(rng.standard_normal(3), -2, 2)).astype(np.float32)


@cache
def _lab_of(levels: tuple[int, int, int]) -> np.ndarray:
    """The CIELAB coordinates of sRGB levels 0–255."""
    return to_lab(np.array(levels) / 255)


def inks(base_name: str, base: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """The base and further colours of a print that stand out from it and from each other.

    Args:
        base_name: The name of the base colour.
        base: Its shade, shape (3,).
        rng: Source of randomness.
        count: How many colours in all.

    Returns:
        sRGB in [0, 1], shape (count, 3), the base first.
    """
    names = [name for name in SHADES if name != base_name]
    # Shop floors know white and black as the companions of everything.
    odds = np.array([{"white": 9.0, "black": 5.0}.get(name, 1.0) for name in names])
    chosen, labs = [base], [to_lab(base)]
    for index in rng.choice(len(names), size=len(names), replace=False, p=odds / odds.sum()):
        candidate = shade(names[index], rng)
        lab = to_lab(candidate)
        gaps = [math.dist(lab, other) for other in labs]
        # The first companion also differs in lightness, or a print would vanish in the folds.
        if gaps[0] > 42 and min(gaps) > 25 and (len(chosen) > 1 or abs(labs[0][0] - lab[0]) > 25):
            chosen.append(candidate)
            labs.append(lab)
        if len(chosen) == count:
            break
    while len(chosen) < count:
        chosen.append(chosen[-1])
    return np.array(chosen, dtype=np.float32)
