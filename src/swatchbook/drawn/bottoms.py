"""Skirts and trousers cut for a body, alone or below the waist of a dress, with their landmarks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from swatchbook.drawn.bodices import EASE, NAMES
from swatchbook.drawn.figure import ANKLE, CROTCH, HIP, KNEE, SIDES, WAIST, Body
from swatchbook.drawn.outlines import Garment, Part, curve, dense, mirrored, shifted, smooth_path

Array = np.ndarray


def skirt(fit: str, bottom: float, body: Body, rng: np.random.Generator, top: float = WAIST) -> Garment:
    """A skirt: along the legs where tight, else flared, in deep folds where loose.

    Args:
        fit: ``tight``, ``conventional`` or ``loose``.
        bottom: The height of the hem.
        body: Whom it is cut for.
        rng: Source of randomness.
        top: The height of the waist.
    """
    garment = Garment(legs=True)
    long = bottom - top
    waist = body.waist + 0.4 * EASE[fit]
    if fit == "tight":
        hip = body.hip + EASE[fit]
        at = np.linspace(HIP, bottom, 5)
        middle, half = body.leg(np.maximum(at, CROTCH))
        hugging = np.minimum(hip, np.maximum(middle + half + 0.015, 0.7 * hip))
        right = np.vstack(
            [[(waist, top), (0.5 * (waist + hip) + 0.03, 0.5 * (top + HIP))], np.stack([hugging, at], 1)]
        )
    else:
        swing = {"conventional": (0.1, 0.2), "loose": (0.55, 0.8)}[fit]
        flare = body.hip + 0.02 + rng.uniform(*swing) * min(long, 1.0)
        right = curve(
            (waist, top), (waist + 0.42 * (flare - waist) + 0.05, top + 0.35 * long), (flare, bottom), 9
        )
    flare = right[-1, 0]
    t = np.linspace(1, -1, 33)[1:-1]
    wave = (0.0 if fit == "tight" else 0.014) * np.sin(t * rng.uniform(14, 26) + rng.uniform(0, 6))
    hem = np.stack([t * flare, bottom + (0.04 if fit != "tight" else 0.015) * (1 - t**2) + wave], axis=1)
    edge = curve((-waist, top), (0, top + 0.03), (waist, top), 5)[1:-1]
    outline = np.vstack([smooth_path(right), hem, mirrored(smooth_path(right))[::-1], edge])
    drape = {"tight": "stretch", "conventional": "hang", "loose": "pleat"}[fit]
    garment.parts.append(Part(outline, drape=drape, body=True))
    garment.bands.append((np.vstack([right[-1:], hem[::6], mirrored(right[-1:])]), 0.018))
    garment.chest = (0.0, top + 0.45 * long, min(0.2, 0.4 * long))
    _landmarks(garment, np.array([waist, top]), right[-1])
    return garment


def trousers(fit: str, bottom: float, body: Body, rng: np.random.Generator, top: float = WAIST) -> Garment:
    """Trousers of any length: along the legs where tight, wide where loose.

    Args:
        fit: ``tight``, ``conventional`` or ``loose``.
        bottom: The height of the hems.
        body: Whom they are cut for.
        rng: Source of randomness.
        top: The height of the waist.
    """
    garment = Garment(legs=True)
    ease = {"tight": 0.008, "conventional": rng.uniform(0.035, 0.06), "loose": rng.uniform(0.1, 0.16)}[fit]
    waist = body.waist + 0.4 * EASE[fit]
    heights = np.array([h for h in (CROTCH, 1.45, KNEE, 2.15) if h < bottom - 0.06] + [bottom])
    middle, half = body.leg(np.minimum(heights, ANKLE))
    half = half + ease * np.linspace(0.7, 1.25, len(heights))
    for side in SIDES:
        outer = np.vstack(
            [[(waist, top), (body.hip + 0.8 * ease, HIP)], np.stack([middle + half, heights], 1)]
        )
        inner = np.stack([np.maximum(middle - half, 0.012), heights], 1)[::-1]
        inner = np.vstack([inner, [(0.0, CROTCH + 0.06), (-0.01, top)]])
        outline = np.vstack([smooth_path(outer), smooth_path(inner)]) * [side, 1]
        garment.parts.append(
            Part(outline, grain=-0.05 * side, drape="stretch" if fit == "tight" else "hang", body=True)
        )
        garment.bands.append((np.stack([outer[-1], inner[0]]) * [side, 1], 0.022))
    garment.seams.append(np.array([(0.0, top + 0.06), (0.0, CROTCH + 0.05)]))
    garment.chest = (0.0, top + 0.22, 0.14)
    _landmarks(garment, np.array([waist, top]), np.array([middle[-1] + half[-1], bottom]))
    return garment


def waistband(garment: Garment, top: float, jeans: bool, elastic: bool) -> None:
    """A waistband on a skirt or trousers; jeans also get pockets, a fly, a button and stitches."""
    waist = garment.landmarks["right_waistline"][0]
    band = np.array(
        [
            (-waist, top - 0.01),
            (waist, top - 0.01),
            (waist + 0.012, top + 0.075),
            (-waist - 0.012, top + 0.075),
        ]
    )
    garment.parts.append(Part(dense(band), grain=np.pi / 2))
    if elastic:
        garment.bands.append((np.array([(-waist, top + 0.03), (waist, top + 0.03)]), 0.06))
    if jeans:
        for side in SIDES:
            pocket = curve((0.13, top + 0.09), (0.17, top + 0.2), (waist + 0.055, top + 0.23)) * [side, 1]
            garment.seams.append(pocket)
            garment.stitches += [shifted(pocket, 0.0, 0.02)]
        garment.stitches += [
            np.array([(-waist, top + 0.06), (waist, top + 0.06)]),
            curve((0.07, top + 0.1), (0.08, top + 0.3), (0.01, top + 0.36)),
        ]
        garment.buttons.append(np.array([0.0, top + 0.03]))


def gathered(garment: Garment, body: Body) -> None:
    """Gather the legs of trousers into ribbed cuffs, and tie a cord at the waist."""
    for number, part in enumerate(garment.parts[:2]):
        outline = part.outline.copy()
        bottom = outline[:, 1].max()
        near = np.clip((outline[:, 1] - bottom + 0.22) / 0.22, 0, 1) ** 2
        side = np.sign(outline[:, 0].mean())
        middle = side * body.leg(min(bottom, ANKLE))[0]
        outline[:, 0] += near * (0.5 * (middle - outline[:, 0]))
        garment.parts[number] = replace(part, outline=outline)
        half = 0.55 * np.ptp(outline[outline[:, 1] > bottom - 0.02, 0])
        cuff = np.array([(middle - half, bottom - 0.035), (middle + half, bottom - 0.035)])
        garment.bands[number] = (cuff, 0.075)
        garment.landmarks[f"{NAMES[int(side)]}_hem"] = np.array([middle + side * half, bottom])
    top = garment.landmarks["right_waistline"][1]
    for side in SIDES:
        garment.stitches.append(np.array([(side * 0.015, top + 0.05), (side * 0.04, top + 0.3)]))


def _landmarks(garment: Garment, waist: Array, hem: Array) -> None:
    for side in SIDES:
        garment.landmarks[f"{NAMES[side]}_waistline"] = waist * [side, 1]
        garment.landmarks[f"{NAMES[side]}_hem"] = hem * [side, 1]
