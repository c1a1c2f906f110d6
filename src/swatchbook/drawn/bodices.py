"""Bodices cut for a body: necklines, sleeves, fronts and collars, with the landmarks of each.

The outlines follow the body with an ease that the fit decides. Everything is drawn with the arms as the body
has them. Landmarks are named by the side of the picture: ``left_collar`` lies at the neck, on the left as it
is seen; ``left_sleeve`` at the outer end of the cuff, or of the shoulder where there is no sleeve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swatchbook.drawn.figure import HIP, PIT, SHOULDER, SIDES, WAIST, Body, tube
from swatchbook.drawn.outlines import Garment, Part, curve, dense, mirrored, rounded, shifted, smooth_path

Array = np.ndarray
EASE = {"tight": 0.012, "conventional": 0.055, "loose": 0.15}
NAMES = {-1: "left", 1: "right"}


@dataclass(frozen=True)
class Bodice:
    """How a bodice is cut.

    Attributes:
        sleeve: ``long``, ``short`` or ``sleeveless``.
        neckline: ``crew``, ``v``, ``lapel``, ``square``, ``turtleneck``, ``hood``, ``strap``, ``halter`` or
            ``strapless``.
        fit: ``tight``, ``conventional`` or ``loose``.
        bottom: The height of the hem.
        flare: How far the hem stands out beyond the hips for every unit below the waist.
        front: ``closed``, ``open`` (two panels with what is below between them), ``buttons`` or ``zip``.
        cuff: Width of ribbed or doubled edges.
        lapel: How deep a neckline with lapels is; a shallow one is a shirt's collar.
    """

    sleeve: str
    neckline: str
    fit: str
    bottom: float
    flare: float = 0.0
    front: str = "closed"
    cuff: float = 0.022
    lapel: float = 0.5


def bodice(cut: Bodice, body: Body, worn: bool, rng: np.random.Generator) -> Garment:
    """A bodice with its sleeves.

    Args:
        cut: How it is cut.
        body: Whom it is cut for, and where the arms are.
        worn: Whether somebody wears it; otherwise the inside of the back is seen at the neck.
        rng: Source of randomness.
    """
    garment = Garment(neck=body.neck)
    ease = EASE[cut.fit] * rng.uniform(0.85, 1.15)
    bare = cut.neckline in ("strap", "halter", "strapless")
    side = _side(cut, body, ease)
    neck, front = _neckline(cut, body, rng)
    if bare:
        top = _bare_top(cut, body, ease, rng)
        side = np.vstack([top[-1:], side[side[:, 1] > top[-1, 1] + 0.02]])
        garment.landmarks |= _bare_landmarks(cut, top, neck)
        front = top
    else:
        tip = _tip(cut, body, ease)
        inner = rng.uniform(0.5, 0.75) if cut.sleeve == "sleeveless" else 0.9
        hole = curve(tuple(tip), (inner * tip[0], 0.65 * PIT), tuple(side[0]), 6)
        side = np.vstack([hole[:-1], side])
        for sign in SIDES:
            garment.landmarks[f"{NAMES[sign]}_collar"] = np.array([sign * neck, 0.0])
            garment.landmarks[f"{NAMES[sign]}_sleeve"] = tip * [sign, 1]
    hem = curve(tuple(side[-1]), (0, cut.bottom + rng.uniform(0.0, 0.05)), tuple(mirrored(side)[-1]), 13)
    for sign in SIDES:
        garment.landmarks[f"{NAMES[sign]}_hem"] = side[-1] * [sign, 1]
    if not bare and not worn:
        back = np.vstack([curve((-neck, 0), (0, 0.05), (neck, 0)), front[::-1]])
        garment.parts.append(Part(back, light=0.55))
    drape = "stretch" if cut.fit == "tight" else "hang"
    shell = np.vstack([front, smooth_path(side), hem[1:-1], mirrored(smooth_path(side))[::-1]])
    sleeves = (
        []
        if cut.sleeve == "sleeveless"
        else [_sleeve(cut, body, sign, ease, side, garment) for sign in SIDES]
    )
    garment.parts += [part for part in sleeves if part.arm not in body.before]
    if cut.front == "open":
        garment.parts += _panels(shell, front, hem, drape, rng)
    else:
        garment.parts.append(Part(shell, body=True, drape=drape))
        garment.bands.append((hem, cut.cuff))
    garment.parts += [part for part in sleeves if part.arm in body.before]
    if bare:
        _straps(cut, top, neck, garment)
        garment.bands.append((top, 0.02))
    elif cut.front != "open":
        garment.bands.append((front, rng.uniform(0.022, 0.045)))
    _collar(cut, neck, front, worn, garment)
    _closing(cut, front, garment, rng)
    depth = front[:, 1].max()
    garment.chest = (0.0, depth + 0.24, 0.24)
    return garment


def _tip(cut: Bodice, body: Body, ease: float) -> Array:
    """The outer end of the shoulder, on the right."""
    if cut.sleeve == "sleeveless":
        return np.array([0.72 * body.shoulder + 0.3 * ease, SHOULDER * 0.8])
    return np.array([body.shoulder + 0.5 * ease, SHOULDER + 0.35 * max(ease - 0.06, 0)])


def _side(cut: Bodice, body: Body, ease: float) -> Array:
    """The right side seam from the armpit to the hem, shape (n, 2)."""
    heights = np.array([PIT + 0.6 * ease, 0.5 * (PIT + WAIST), WAIST, HIP])
    halves = body.half(heights) + ease * np.array([1.0, 1.05, 1.15, 1.0])
    if cut.fit != "tight":  # cloth hangs from the chest and does not follow the waist all the way
        straight = np.interp(heights, heights[[0, -1]], halves[[0, -1]])
        halves = halves + (0.45 if cut.fit == "conventional" else 0.9) * np.maximum(straight - halves, 0)
    heights, halves = np.append(heights, 3.0), np.append(halves, halves[-1])
    at = np.append(heights[heights < cut.bottom - 0.05], cut.bottom)
    widths = np.interp(at, heights, halves) + cut.flare * np.maximum(at - 0.55, 0)
    return np.stack([widths, at], axis=1)


def _neckline(cut: Bodice, body: Body, rng: np.random.Generator) -> tuple[float, Array]:
    """Half-width of the neckline and its front edge from left to right."""
    neck = body.neck * rng.uniform(0.98, 1.1)
    if cut.neckline == "square":
        neck, deep = body.neck * rng.uniform(1.3, 1.5), rng.uniform(0.2, 0.27)
        return neck, np.array([(-neck, 0.02), (-0.98 * neck, deep), (0.98 * neck, deep), (neck, 0.02)])
    if cut.neckline in ("v", "lapel"):
        deep = rng.uniform(0.3, 0.42) if cut.neckline == "v" else cut.lapel
        return neck, np.array(
            [(-neck, 0), (-0.5 * neck, 0.47 * deep), (0, deep), (0.5 * neck, 0.47 * deep), (neck, 0)]
        )
    deep = rng.uniform(0.07, 0.12) if cut.neckline == "crew" else 0.05
    return neck, curve((-neck, 0), (0, 2 * deep), (neck, 0))


def _bare_top(cut: Bodice, body: Body, ease: float, rng: np.random.Generator) -> Array:
    """The upper edge of a bodice without shoulders, from left to right."""
    height = rng.uniform(0.27, 0.32)
    half = float(body.half(height + 0.06)) * 0.93 + 0.4 * ease
    dip = rng.uniform(-0.05, 0.06) if cut.neckline == "strapless" else rng.uniform(0.04, 0.16)
    if cut.neckline == "halter":
        inner = 0.55 * half
        return np.array(
            [(-half, height + 0.1), (-inner, height - 0.14), (inner, height - 0.14), (half, height + 0.1)]
        )
    return np.vstack(
        [
            curve((-half, height + 0.05), (-0.62 * half, height - 0.07), (0, height + 0.5 * dip), 6),
            curve((0, height + 0.5 * dip), (0.62 * half, height - 0.07), (half, height + 0.05), 6)[1:],
        ]
    )


def _bare_landmarks(cut: Bodice, top: Array, neck: float) -> dict[str, Array]:
    points = {}
    for sign in SIDES:
        corner = top[0 if sign < 0 else -1]
        inner = np.array(
            [sign * 0.62 * abs(corner[0]), np.interp(0.62 * abs(corner[0]), top[:, 0], top[:, 1])]
        )
        strap = {
            "strap": np.array([sign * neck * 1.25, 0.03]),
            "halter": np.array([sign * neck * 0.7, -0.03]),
        }
        points[f"{NAMES[sign]}_collar"] = strap.get(cut.neckline, inner)
        points[f"{NAMES[sign]}_sleeve"] = corner.copy()
    return points


def _straps(cut: Bodice, top: Array, neck: float, garment: Garment) -> None:
    if cut.neckline == "strapless":
        return
    for sign in SIDES:
        start = garment.landmarks[f"{NAMES[sign]}_collar"]
        reach = 0.6 * top[-1, 0] if cut.neckline == "strap" else 0.5 * top[-1, 0]
        end = np.array([sign * reach, np.interp(reach, top[:, 0], top[:, 1]) + 0.02])
        garment.parts.append(Part(tube(np.stack([start, end]), np.array([0.02, 0.022]))))


def _sleeve(cut: Bodice, body: Body, sign: int, ease: float, side: Array, garment: Garment) -> Part:
    """A sleeve along an arm; sets its landmark and its cuff."""
    shoulder, elbow, wrist = body.arms[sign][:3]
    path = np.stack([shoulder, 0.5 * (shoulder + elbow), elbow, 0.5 * (elbow + wrist), wrist])
    halves = np.array([0.1, 0.092, 0.078, 0.068, 0.06]) + ease * np.array([0.5, 0.65, 0.6, 0.55, 0.45])
    if cut.sleeve == "short":
        path, halves = path[:2].copy(), np.array([0.11, 0.115]) + 0.8 * ease
        path[1] += 0.25 * (elbow - shoulder) * min(1.0, ease / 0.15)
    outline = tube(path, halves)
    half = len(outline) // 2
    end_out, end_in = (outline[half - 1], outline[half]) if sign > 0 else (outline[half], outline[half - 1])
    garment.landmarks[f"{NAMES[sign]}_sleeve"] = 0.85 * end_out + 0.15 * end_in
    garment.bands.append((np.stack([end_out, end_in]), cut.cuff))
    tip, pit = side[0] * [sign, 1], side[5] * [sign, 1]
    inside = np.stack([pit - [sign * 0.05, 0.0], tip - [sign * 0.08, 0.0]])
    edge = outline if sign > 0 else outline[::-1]
    outline = np.vstack([tip[None], edge[4:-2], pit[None], inside])
    garment.seams.append(np.stack([tip, 0.5 * (tip + pit) - [sign * 0.015, 0], pit]))
    angle = np.arctan2(*(path[-1] - path[0]))
    return Part(outline, grain=-angle, drape="hang", arm=sign)


def _panels(shell: Array, front: Array, hem: Array, drape: str, rng: np.random.Generator) -> list[Part]:
    """The two halves of an open front."""
    start, end = float(front[:, 1].max()), float(hem[:, 1].max())
    top, bottom = rng.uniform(0.015, 0.05), rng.uniform(0.08, 0.2)
    half = shell[(shell[:, 0] > 0.03) & ((shell[:, 0] > bottom) | (shell[:, 1] < 0.9 * end))]
    edge = [(bottom, end), (0.75 * bottom + 0.25 * top, 0.6 * end + 0.4 * start), (top, start)]
    panel = np.vstack([half, edge])
    return [Part(panel * [side, 1], body=True, drape=drape) for side in SIDES]


def _hood(neck: float, worn: bool) -> list[Part]:
    """A hood that lies on the shoulders, around the neck."""
    lobe = np.array(
        [
            (0.02, 0.13),
            (0.75 * neck, 0.02),
            (0.95 * neck, -0.15),
            (1.5 * neck, -0.19),
            (1.9 * neck, -0.08),
            (1.75 * neck, 0.09),
            (0.9 * neck, 0.17),
        ]
    )
    sides = [Part(rounded(dense(lobe * [side, 1]), 1), grain=0.4 * side) for side in SIDES]
    if worn:
        return sides
    behind = np.array(
        [(-1.6 * neck, 0.0), (-1.2 * neck, -0.24), (1.2 * neck, -0.24), (1.6 * neck, 0.0), (0.0, 0.14)]
    )
    return [Part(rounded(dense(behind), 1), light=0.6), *sides]


def _collar(cut: Bodice, neck: float, front: Array, worn: bool, garment: Garment) -> None:
    if cut.neckline == "turtleneck":
        tube_of_cloth = np.array(
            [(-neck, 0.03), (-0.86 * neck, -0.16), (0.86 * neck, -0.16), (neck, 0.03), (0, 0.12)]
        )
        garment.parts.append(Part(rounded(dense(tube_of_cloth), 1)))
        garment.bands.append((np.array([(-0.9 * neck, -0.08), (0.0, -0.05), (0.9 * neck, -0.08)]), 0.012))
    elif cut.neckline == "lapel":
        deep = cut.lapel
        wing = [(0.9 * neck, -0.03), (neck + 0.07, 0.1), (neck + 0.13, 0.2), (neck + 0.05, 0.25)]
        if deep < 0.3:  # a shirt's
            wing = [(0.85 * neck, -0.05), (neck + 0.03, 0.04), (0.75 * neck, 0.19)]
        lapel = np.array([*wing, (0.012, deep), (0.42 * neck, 0.5 * deep)])
        for sign in SIDES:
            garment.parts.append(Part(dense(lapel * [sign, 1]), grain=0.35 * sign))
    elif cut.neckline == "hood":
        garment.parts += _hood(neck, worn)
        pouch = np.array([(-0.19, 0.98), (-0.24, 0.8), (-0.15, 0.7), (0.15, 0.7), (0.24, 0.8), (0.19, 0.98)])
        garment.seams.append(pouch)
        for sign in SIDES:
            garment.stitches.append(np.array([(sign * 0.04, 0.1), (sign * 0.05, 0.36)]))


def _closing(cut: Bodice, front: Array, garment: Garment, rng: np.random.Generator) -> None:
    """Buttons or a zip from the neck to the hem."""
    if cut.front not in ("buttons", "zip"):
        return
    top = front[:, 1].max() + 0.01
    line = np.array([(0.0, top), (0.004, 0.5 * (top + cut.bottom)), (0.0, cut.bottom - 0.01)])
    if cut.front == "zip":
        garment.zips.append(line)
        return
    garment.seams.append(shifted(line, 0.035, 0.0))
    for y in np.arange(top + 0.05, cut.bottom - 0.06, rng.uniform(0.12, 0.17)):
        garment.buttons.append(np.array([0.0, y]))
