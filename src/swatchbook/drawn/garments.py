"""Every silhouette: tops, dresses, skirts, trousers, and lengths of cloth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from swatchbook.drawn.outlines import Garment, Part, curve, dense, mirrored, rounded, shifted, smooth_path
from swatchbook.drawn.tops import coat, jacket, jumper, shirt, t_shirt, top, vest

Array = np.ndarray


# dresses and skirts -------------------------------------------------------------------------------


def dress(rng: np.random.Generator) -> Garment:
    """A dress: a bodice and, below a waist seam, a skirt that falls in folds."""
    sleeve = rng.choice([0.0, 0.0, 0.22, 0.65])
    length = rng.uniform(1.25, 1.7)
    garment = top(rng, 0.66, float(sleeve), 0.92, flare=0.8, waist=0.88)
    garment.bands.pop()
    waist = 0.92 * 0.41 * 0.8
    flare, full = rng.uniform(0.36, 0.72), rng.uniform(0.0, 0.12)
    skirt = _skirt_outline(waist, 0.62, flare, length, full, rng)
    garment.parts.append(Part(skirt, drape="pleat" if flare > 0.45 else "hang", body=True))
    belt = np.array([(-waist, 0.63), (0, 0.65), (waist, 0.63)])
    garment.seams.append(belt)
    garment.bands.append((belt, rng.uniform(0.01, 0.05)))
    garment.legs = True
    return garment


def _skirt_outline(
    waist: float, top: float, flare: float, bottom: float, full: float, rng: np.random.Generator
) -> Array:
    right = curve(
        (waist, top), (waist + full + 0.3 * (flare - waist), 0.6 * top + 0.4 * bottom), (flare, bottom), 8
    )
    t = np.linspace(1, -1, 33)
    # A full hem runs in and out of its folds.
    wave = 0.018 * np.sin(t * rng.uniform(14, 26) + rng.uniform(0, 6)) * min(1.0, flare / 0.5)
    hem = np.stack([t * flare, bottom + 0.05 * (1 - t**2) + wave], axis=1)
    return np.vstack(
        [
            right,
            hem[1:-1],
            mirrored(right)[::-1],
            curve((-waist, top), (0, top + 0.03), (waist, top), 5)[1:-1],
        ]
    )


def skirt(rng: np.random.Generator) -> Garment:
    """A skirt with a waistband."""
    waist, length = rng.uniform(0.24, 0.3), rng.uniform(0.6, 1.25)
    flare = rng.uniform(0.32, 0.46) if rng.random() < 0.5 else rng.uniform(0.5, 0.75)
    garment = Garment()
    drape = "pleat" if flare > 0.48 and rng.random() < 0.7 else "hang"
    garment.parts.append(Part(_skirt_outline(waist, 0.04, flare, length, 0.08, rng), drape=drape, body=True))
    band = np.array([(-waist, 0), (waist, 0), (waist + 0.01, 0.09), (0, 0.11), (-waist - 0.01, 0.09)])
    garment.parts.append(Part(dense(band), grain=np.pi / 2))
    garment.stitches.append(
        np.array([(-flare * 0.97, length - 0.03), (0, length + 0.015), (flare * 0.97, length - 0.03)])
    )
    garment.chest = (0.0, 0.5 * length, 0.2)
    garment.legs = True
    return garment


# legs ---------------------------------------------------------------------------------------------


def trousers(rng: np.random.Generator) -> Garment:
    """Trousers or, now and then, shorts."""
    short = rng.random() < 0.3
    length = rng.uniform(0.62, 0.8) if short else rng.uniform(1.45, 1.7)
    waist, hip = rng.uniform(0.26, 0.3), rng.uniform(0.33, 0.38)
    spread, hem = rng.uniform(0.02, 0.2), rng.uniform(0.09, 0.18) + 0.07 * short
    knee = 0.55 * (hip / 2) + 0.45 * hem
    garment = Garment()
    for side in (1, -1):
        middle = hip / 2 + spread
        outer = np.array(
            [(waist, 0), (hip, 0.3), (middle * 0.93 + knee, 0.55 * length + 0.15), (middle + hem, length)]
        )
        inner = np.array(
            [(middle - hem, length), (middle * 0.93 - knee, 0.55 * length + 0.15), (0.0, 0.5), (-0.01, 0.0)]
        )
        outline = np.vstack([smooth_path(outer), smooth_path(inner)]) * [side, 1]
        garment.parts.append(Part(outline, grain=-0.06 * side, drape="hang", body=True))
        garment.bands.append((np.array([outer[-1], inner[0]]) * [side, 1], 0.025))
        pocket = curve((0.14, 0.1), (0.19, 0.21), (hip - 0.02, 0.24)) * [side, 1]
        garment.seams.append(pocket)
        garment.stitches.extend([shifted(pocket, 0.0, 0.02), shifted(outer[1:], -0.035, 0.0) * [side, 1]])
    band = np.array([(-waist, -0.02), (waist, -0.02), (waist + 0.01, 0.075), (-waist - 0.01, 0.075)])
    garment.parts.append(Part(dense(band), grain=np.pi / 2))
    garment.stitches.extend(
        [np.array([(-waist, 0.06), (waist, 0.06)]), curve((0.08, 0.1), (0.09, 0.33), (0.01, 0.4))]
    )
    garment.seams.append(np.array([(0.0, 0.08), (0.0, 0.48)]))
    garment.buttons.append(np.array([0.0, 0.03]))
    garment.chest = (0.0, 0.3, 0.12)
    return garment


# lengths of cloth ---------------------------------------------------------------------------------


def scarf(rng: np.random.Generator) -> Garment:
    """A scarf folded in half, its two ends side by side, with or without a fringe."""
    garment = Garment()
    wide, fringe = rng.uniform(0.15, 0.22), rng.random() < 0.75
    gap = rng.uniform(0.45, 0.95) * wide
    for side in (1, -1):
        lean, length = side * rng.uniform(0.0, 0.14), rng.uniform(1.15, 1.5)
        x = side * gap
        tail = np.array([(x - wide, 0), (x + wide, 0), (x + wide + lean, length), (x - wide + lean, length)])
        for share in np.linspace(0.03, 0.97, 15 if fringe else 0):
            start = tail[3] + share * (tail[2] - tail[3])
            garment.bands.append((np.array([start, shifted(start, rng.normal(0, 0.01), 0.09)]), 0.012))
        garment.parts.append(Part(dense(tail), grain=-lean / length, drape="hang", body=True))
    reach = gap + wide
    fold = np.array(
        [
            (-reach, 0.0),
            (-0.8 * reach, -0.1),
            (0.8 * reach, -0.1),
            (reach, 0.0),
            (reach, 0.12),
            (-reach, 0.12),
        ]
    )
    garment.parts.insert(0, Part(dense(fold), grain=np.pi / 2, light=0.92))
    return garment


def folded(rng: np.random.Generator) -> Garment:
    """A stack of folded cloth seen from the front."""
    garment = Garment()
    layers, tall = int(rng.integers(3, 6)), rng.uniform(0.2, 0.3)
    for layer in range(layers):
        wide, shift = rng.uniform(0.58, 0.66), rng.normal(0, 0.02)
        low = (layers - layer) * tall
        slab = np.array(
            [
                (-wide + shift, low - tall),
                (wide + shift, low - tall),
                (wide + shift, low),
                (-wide + shift, low),
            ]
        )
        garment.parts.append(Part(rounded(dense(slab), 2), drape="roll", body=True))
    return garment


def swatch(rng: np.random.Generator) -> Garment:
    """A square of cloth with pinked edges."""
    side, teeth = 0.5, 19
    t = np.linspace(-side, side, 2 * teeth + 1)
    tooth = np.where(np.arange(2 * teeth + 1) % 2, 0.018, 0.0)
    edge = np.stack([t, -side - tooth], axis=1)[:-1]
    turn = np.array([[0, 1], [-1, 0]])
    outline = np.vstack([edge @ np.linalg.matrix_power(turn, k) for k in range(4)]) * [
        1,
        rng.uniform(0.8, 1.15),
    ]
    return Garment([Part(outline, body=True)])


def full_frame(rng: np.random.Generator) -> Garment:
    """Cloth that fills the picture."""
    square = np.array([(-3.0, -3.0), (3.0, -3.0), (3.0, 3.0), (-3.0, 3.0)])
    return Garment([Part(square, body=True)])


GARMENTS: dict[str, Callable[[np.random.Generator], Garment]] = {
    "t_shirt": t_shirt,
    "vest": vest,
    "jumper": jumper,
    "shirt": shirt,
    "jacket": jacket,
    "coat": coat,
    "dress": dress,
    "skirt": skirt,
    "trousers": trousers,
    "scarf": scarf,
    "folded": folded,
    "swatch": swatch,
    "close_up": full_frame,
    "draped": full_frame,
}
