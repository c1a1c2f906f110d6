"""Garments by category: which type of clothes it is, and how it is cut from its attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from swatchbook.drawn.bodices import EASE, Bodice, bodice
from swatchbook.drawn.bottoms import gathered, skirt, trousers, waistband
from swatchbook.drawn.figure import ANKLE, CROTCH, WAIST, Body
from swatchbook.drawn.outlines import Garment, Part, dense

SLEEVES = ("long", "short", "sleeveless", "na")
LENGTHS = ("maxi", "mini", "no_dress")
LOWER_LENGTHS = ("three_point", "medium_short", "three_quarter", "long", "na")
NECKLINES = ("crew", "v", "lapel", "square", "turtleneck", "hood", "strap", "halter", "strapless", "na")
FITS = ("tight", "loose", "conventional")


@dataclass(frozen=True)
class Category:
    """A kind of garment.

    Attributes:
        clothes_type: ``upper``-, ``lower``- or ``full``-body clothes.
        bottom: Lowest and highest height of the hem, in units of the body.
        front: How it may be closed, see ``Bodice.front``; one is chosen at random.
        legs: Whether it has trouser legs; only asked of lower- and full-body clothes.
        cuff: Width of ribbed or doubled edges.
        flare: Lowest and highest flare of the hem.
        lapel: Lowest and highest depth of a neckline with lapels.
    """

    clothes_type: str
    bottom: tuple[float, float] = (0.0, 0.0)
    front: tuple[str, ...] = ("closed",)
    legs: bool = False
    cuff: float = 0.022
    flare: tuple[float, float] = (0.0, 0.06)
    lapel: tuple[float, float] = (0.42, 0.56)


CATEGORIES: dict[str, Category] = {
    "Blazer": Category("upper", (1.14, 1.26), ("buttons", "open"), cuff=0.02),
    "Blouse": Category("upper", (1.04, 1.2), ("closed", "buttons"), flare=(0.04, 0.2)),
    "Button-Down": Category("upper", (1.12, 1.26), ("buttons",), lapel=(0.13, 0.19)),
    "Cardigan": Category("upper", (1.06, 1.34), ("buttons", "open"), cuff=0.05),
    "Hoodie": Category("upper", (1.08, 1.2), ("closed", "closed", "zip"), cuff=0.07),
    "Jacket": Category("upper", (0.94, 1.12), ("zip", "open", "zip"), cuff=0.045),
    "Sweater": Category("upper", (1.04, 1.2), cuff=0.07),
    "Tank": Category("upper", (1.0, 1.16), flare=(0.0, 0.14)),
    "Tee": Category("upper", (1.0, 1.14)),
    "Top": Category("upper", (0.8, 1.08), flare=(0.0, 0.16)),
    "Turtleneck": Category("upper", (1.04, 1.18), cuff=0.06),
    "Jeans": Category("lower", legs=True),
    "Joggers": Category("lower", legs=True, cuff=0.06),
    "Leggings": Category("lower", legs=True),
    "Shorts": Category("lower", legs=True),
    "Skirt": Category("lower"),
    "Coat": Category("full", (1.55, 2.05), ("buttons", "buttons", "open"), cuff=0.03, flare=(0.02, 0.12)),
    "Dress": Category("full"),
    "Jumpsuit": Category("full", legs=True),
    "Romper": Category("full", legs=True),
}
OPEN = tuple(name for name, category in CATEGORIES.items() if "open" in category.front)
_SKIRT_HEMS = {
    "three_point": (1.28, 1.4),
    "medium_short": (1.5, 1.68),
    "three_quarter": (1.95, 2.12),
    "long": (2.36, 2.54),
}
_LEG_HEMS = {
    "three_point": (CROTCH + 0.05, CROTCH + 0.14),
    "medium_short": (1.52, 1.7),
    "three_quarter": (2.0, 2.2),
    "long": (ANKLE - 0.08, ANKLE + 0.02),
}


def cut(row: Mapping[str, str], body: Body, worn: bool, rng: np.random.Generator) -> Garment:
    """The garment that a row of attributes describes.

    Args:
        row: ``category``, ``sleeve``, ``lower_length``, ``neckline``, ``belt``, ``fit`` and ``fabric``.
        body: Whom it is cut for, and where the arms are.
        worn: Whether somebody wears it.
        rng: Source of randomness.
    """
    category, fit = CATEGORIES[row["category"]], row["fit"]
    if category.clothes_type == "lower":
        return _bottom(row, category, body, rng)
    whole = category.clothes_type == "full" and row["category"] != "Coat"
    low, high = (WAIST, WAIST + 0.01) if whole else category.bottom
    upper = bodice(
        Bodice(
            sleeve=row["sleeve"],
            neckline=row["neckline"],
            fit=fit,
            bottom=rng.uniform(low, high),
            flare=0.0 if whole else rng.uniform(*category.flare) * (2.0 if fit == "loose" else 1.0),
            front=category.front[rng.integers(len(category.front))],
            cuff=category.cuff,
            lapel=rng.uniform(*category.lapel),
        ),
        body,
        worn,
        rng,
    )
    if not whole:
        if category.clothes_type == "full":
            _mark_waist(upper, body, EASE[fit])
            upper.legs = True
        return upper
    lower = _bottom(row, category, body, rng)
    return _joined(upper, lower, belted=row["belt"] == "yes")


def _bottom(row: Mapping[str, str], category: Category, body: Body, rng: np.random.Generator) -> Garment:
    hems = _LEG_HEMS if category.legs else _SKIRT_HEMS
    make = trousers if category.legs else skirt
    top = WAIST + (rng.uniform(0.0, 0.12) if category.clothes_type == "lower" else 0.0)
    garment = make(row["fit"], rng.uniform(*hems[row["lower_length"]]), body, rng, top)
    if category.clothes_type == "lower":
        elastic = row["category"] in ("Leggings", "Joggers")
        waistband(garment, top, row["fabric"] == "denim", elastic)
        if row["category"] == "Joggers":
            gathered(garment, body)
    return garment


def _joined(upper: Garment, lower: Garment, belted: bool) -> Garment:
    """A bodice sewn to a skirt or to trousers at the waist."""
    waist = lower.landmarks["right_waistline"]
    line = np.array([(-waist[0], waist[1] + 0.01), (0.0, waist[1] + 0.03), (waist[0], waist[1] + 0.01)])
    shell = max(i for i, part in enumerate(upper.parts) if part.body)
    under = upper.parts[: shell + 1]
    over = upper.parts[shell + 1 :]
    upper.parts = [*under, *lower.parts, *over]
    upper.bands = [
        (band, wide) for band, wide in upper.bands if band[:, 1].min() < waist[1] - 0.02
    ] + lower.bands
    upper.bands.append((line, 0.02))
    upper.seams += [*lower.seams, line]
    upper.stitches += lower.stitches
    upper.legs = True
    upper.landmarks |= lower.landmarks
    if belted:
        w, y = waist[0] + 0.015, waist[1]
        belt = np.array([(-w, y - 0.03), (w, y - 0.03), (w, y + 0.045), (-w, y + 0.045)])
        upper.parts.insert(len(under) + len(lower.parts), Part(dense(belt), grain=np.pi / 2, light=0.8))
    return upper


def _mark_waist(garment: Garment, body: Body, ease: float) -> None:
    """Where the waist of a coat is: at its sides, at the height of the wearer's."""
    shell = np.vstack([part.outline for part in garment.parts if part.body])
    near = shell[np.abs(shell[:, 1] - WAIST) < 0.12]
    half = np.abs(near[:, 0]).max() if len(near) else body.waist + ease
    garment.landmarks["left_waistline"] = np.array([-half, WAIST])
    garment.landmarks["right_waistline"] = np.array([half, WAIST])
