"""Tops: T-shirts, vests, jumpers, shirts, jackets and coats as outlines."""

from __future__ import annotations

import numpy as np

from swatchbook.drawn.outlines import Garment, Part, curve, dense, mirrored, rounded, shifted, smooth_path

Array = np.ndarray


def top(
    rng: np.random.Generator,
    length: float,
    sleeve: float,
    width: float = 1.0,
    flare: float = 1.0,
    waist: float = 1.0,
    neck_depth: float | None = None,
    cuff: float = 0.0,
) -> Garment:
    """A T-shirt's relatives: two sleeves (or none), a front, the inside of the back, a neckband."""
    garment = Garment()
    shoulder = width * rng.uniform(0.38, 0.44)
    neck = width * rng.uniform(0.14, 0.19)
    if sleeve == 0:
        shoulder = rng.uniform(neck + 0.07, shoulder * 0.92)
    depth = rng.uniform(0.07, 0.24) if neck_depth is None else neck_depth
    chest = width * rng.uniform(0.39, 0.44)
    drop, pit = rng.uniform(0.07, 0.12), rng.uniform(0.36, 0.44)
    belly = 0.5 * (pit + length) if length < 1.15 else 0.68
    right = np.array(
        [
            (shoulder, drop),
            (chest, pit),
            (chest * waist, belly),
            (chest * flare, length),
        ]
    )
    vee = rng.random() < 0.35
    front = (
        curve((-neck, 0), (0, 2 * depth), (neck, 0))
        if not vee
        else np.array([(-neck, 0), (0, 1.3 * depth), (neck, 0)])
    )
    hem = curve(tuple(right[-1]), (0, length + rng.uniform(-0.01, 0.06)), tuple(mirrored(right)[-1]))
    side = np.vstack(
        [right[:1], curve(tuple(right[0]), (0.9 * shoulder, 0.6 * pit), tuple(right[1]), 5), right[2:]]
    )
    body = np.vstack([front, smooth_path(side), hem[1:-1], mirrored(smooth_path(side))[::-1]])
    back = np.vstack([curve((-neck, 0), (0, 0.05), (neck, 0)), front[::-1]])
    garment.parts.append(Part(back, light=0.55))
    if sleeve:
        angle = rng.uniform(0.14, 0.6) if sleeve > 0.5 else rng.uniform(0.55, 1.1)
        for sign in (1, -1):
            bend = angle + rng.normal(0, 0.06)
            outline, seam, end = _sleeve(right[0], right[1], bend, sleeve, rng)
            flip = np.array([sign, 1])
            garment.parts.append(Part(outline * flip, grain=-sign * bend * 0.95, drape="hang"))
            garment.seams.append(seam * flip)
            garment.bands.append((end * flip, cuff or 0.02))
    garment.parts.append(Part(body, body=True))
    garment.bands.append((front, rng.uniform(0.02, 0.05)))
    garment.bands.append((hem, cuff or 0.018))
    garment.chest = (0.0, depth + 0.27, 0.24 * width)
    garment.neck = neck
    garment.legs = length > 1.3
    return garment


def _sleeve(
    tip: Array, pit: Array, angle: float, length: float, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """The right sleeve: its outline, the seam at the shoulder and the edge at the wrist."""
    along = np.array([np.sin(angle), np.cos(angle)])
    across = np.array([np.cos(angle), -np.sin(angle)])
    wide = rng.uniform(0.095, 0.13) if length > 0.5 else rng.uniform(0.13, 0.16)
    middle = 0.5 * (tip + pit) + along * length
    outer, inner = middle + across * wide, middle - across * wide
    pit_inside, tip_inside = pit - [0.05, 0.02], tip - [0.07, 0.0]
    elbow = 0.5 * (tip + outer) + across * 0.03
    hollow = 0.55 * pit + 0.45 * inner
    outline = np.vstack(
        [
            tip_inside,
            tip,
            smooth_path(np.array([tip + along * 0.08, elbow, outer])),
            inner,
            hollow,
            pit,
            pit_inside,
        ]
    )
    return outline, np.array([tip, 0.5 * (tip + pit) - [0.02, 0], pit]), np.array([outer, inner])


def t_shirt(rng: np.random.Generator) -> Garment:
    """A T-shirt."""
    return top(rng, rng.uniform(1.02, 1.25), rng.uniform(0.2, 0.3), flare=rng.uniform(0.95, 1.06))


def vest(rng: np.random.Generator) -> Garment:
    """A sleeveless top."""
    return top(rng, rng.uniform(0.95, 1.2), 0.0, flare=rng.uniform(0.95, 1.2), waist=rng.uniform(0.9, 1.0))


def jumper(rng: np.random.Generator) -> Garment:
    """A jumper with ribbed cuffs and hem."""
    garment = top(
        rng,
        rng.uniform(1.0, 1.22),
        rng.uniform(0.72, 0.95),
        1.04,
        neck_depth=rng.uniform(0.05, 0.16),
        cuff=0.075,
    )
    if rng.random() < 0.35:
        neck, tall = garment.neck, rng.uniform(0.1, 0.16)
        collar = np.array([(-neck, 0.03), (-neck * 0.9, -tall), (neck * 0.9, -tall), (neck, 0.03), (0, 0.12)])
        garment.parts.append(Part(rounded(dense(collar), 1)))
        garment.neck = 0.0
    return garment


def shirt(rng: np.random.Generator) -> Garment:
    """A shirt with collar, placket, buttons and perhaps a pocket."""
    sleeve = rng.uniform(0.75, 0.92) if rng.random() < 0.6 else rng.uniform(0.24, 0.32)
    garment = top(rng, rng.uniform(1.12, 1.3), sleeve, neck_depth=0.09, cuff=0.05 if sleeve > 0.5 else 0.02)
    _collar(garment, rng.uniform(0.1, 0.15))
    _front(garment, 0.11, garment.parts[-3].outline[:, 1].max(), rng, buttons=True)
    if rng.random() < 0.6:
        _pocket(garment, rng.uniform(0.12, 0.16), 0.4, 0.17, 0.19)
    return garment


def jacket(rng: np.random.Generator) -> Garment:
    """A jacket with a zip or buttons, pockets and a collar."""
    garment = top(rng, rng.uniform(1.0, 1.22), rng.uniform(0.75, 0.95), 1.06, neck_depth=0.1, cuff=0.06)
    length = max(part.outline[:, 1].max() for part in garment.parts if part.body)
    if rng.random() < 0.5:
        _lapels(garment, rng)
        _front(garment, 0.42, length, rng, buttons=True)
    else:
        _collar(garment, rng.uniform(0.11, 0.16))
        _front(garment, 0.1, length, rng, buttons=False)
    for side in (1, -1):
        edge = np.array([(side * 0.18, 0.62 * length), (side * 0.33, 0.74 * length)])
        garment.seams.append(edge)
        garment.stitches.append(shifted(edge, 0.02 * side, 0.015))
    return garment


def coat(rng: np.random.Generator) -> Garment:
    """A long coat with lapels and buttons."""
    length = rng.uniform(1.35, 1.65)
    garment = top(
        rng, length, rng.uniform(0.8, 0.98), 1.0, flare=rng.uniform(1.05, 1.3), neck_depth=0.1, cuff=0.04
    )
    _lapels(garment, rng)
    _front(garment, 0.45, length, rng, buttons=True)
    for side in (1, -1):
        garment.seams.append(np.array([(side * 0.17, 0.86), (side * 0.36, 0.86)]))
        garment.seams.append(np.array([(side * 0.17, 0.91), (side * 0.36, 0.91)]))
    if rng.random() < 0.4:
        wide = 0.42 * rng.uniform(0.95, 1.05)
        belt = np.array([(-wide, 0.68), (wide, 0.68), (wide, 0.75), (-wide, 0.75)])
        garment.parts.append(Part(dense(belt), grain=np.pi / 2))
    return garment


def _collar(garment: Garment, size: float) -> None:
    neck = garment.neck
    for side in (1, -1):
        wing = np.array(
            [
                (neck, -0.02),
                (neck + 0.04, size * 0.55),
                (neck * 0.55, size * 1.35),
                (0.0, 0.1),
                (neck * 0.5, 0.05),
            ]
        )
        garment.parts.append(Part(dense(wing * [side, 1]), grain=0.5 * side))
        garment.stitches.append(wing[1:4] * [side * 0.93, 0.93])


def _lapels(garment: Garment, rng: np.random.Generator) -> None:
    neck, deep = garment.neck, rng.uniform(0.38, 0.5)
    for side in (1, -1):
        lapel = np.array(
            [
                (neck, -0.02),
                (neck + 0.05, 0.1),
                (neck + 0.12, 0.2),
                (neck + 0.03, 0.24),
                (0.0, deep),
                (neck * 0.45, 0.1),
            ]
        )
        garment.parts.append(Part(dense(lapel * [side, 1]), grain=0.35 * side))


def _front(garment: Garment, top: float, bottom: float, rng: np.random.Generator, buttons: bool) -> None:
    line = np.array([(0.0, top), (0.005, 0.5 * (top + bottom)), (0.0, bottom - 0.01)])
    if not buttons:
        garment.zips.append(line)
        return
    garment.seams.append(shifted(line, 0.035, 0.0))
    garment.stitches.append(shifted(line, -0.035, 0.0))
    for y in np.arange(top + 0.06, bottom - 0.08, rng.uniform(0.11, 0.17)):
        garment.buttons.append(np.array([0.0, y]))


def _pocket(garment: Garment, x: float, y: float, width: float, tall: float) -> None:
    outline = np.array(
        [
            (x, y),
            (x + width, y),
            (x + width, y + tall * 0.8),
            (x + width / 2, y + tall),
            (x, y + tall * 0.8),
            (x, y),
        ]
    )
    garment.seams.append(outline)
    garment.stitches.append(shifted(outline[:2], 0.0, 0.03))
