"""Photographs of one garment, worn or laid out, with its bounding box and its landmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from swatchbook.drawn.cloth import cast_shadow, cover_of, lay_over, rendered
from swatchbook.drawn.colours import SHADES, shade
from swatchbook.drawn.drawing import light_source, picture_shape
from swatchbook.drawn.figure import (
    CROWN,
    SOLE,
    Appearance,
    Body,
    appearance,
    arm_outline,
    draw_body,
    hair_outlines,
    posed,
    solid,
)
from swatchbook.drawn.layout import Layout, Place, lay_out, placed, polygons
from swatchbook.drawn.outlines import Garment, curve, shifted
from swatchbook.drawn.scenes import background, furnish, photographed
from swatchbook.drawn.surfaces import FABRICS
from swatchbook.drawn.tailoring import CATEGORIES, OPEN, cut

Array = np.ndarray
VISIBLE, OCCLUDED, TRUNCATED = 0, 1, 2  # as DeepFashion's files code them
# What a fabric looks like: kinds of cloth, and how they feel.
CLOTHS: dict[str, tuple[tuple[str, str], ...]] = {
    "denim": (("denim", "smooth"),),
    "chiffon": (("chiffon", "sheer"), ("organza", "sheer")),
    "cotton": (("jersey", "smooth"), ("lawn", "smooth"), ("twill", "smooth"), ("canvas", "smooth")),
    "leather": (("faux_leather", "smooth"), ("faux_leather", "smooth"), ("vinyl", "smooth")),
    "faux_fur": (("faux_fur", "fluffy_furry"), ("plush", "fluffy_furry")),
    "knit": (("knit", "ribbed_structured"),),
}


_CUT_OFF = 0.12  # probability that the picture's edge cuts the garment off


@dataclass(frozen=True)
class Geometry:
    """Where the garment is on its picture.

    Attributes:
        box: Left, top, right and bottom edge of the cloth that is in the picture, in pixels.
        points: Landmark (``left_collar`` and so on) → x and y in pixels and whether it is ``VISIBLE``,
            ``OCCLUDED`` or, beyond the picture's edge, ``TRUNCATED``; only those that the garment has. The
            middle of the first pixel is (0.5, 0.5); points in the picture are middles of pixels.
        worn: Whether somebody wears it.
    """

    box: tuple[int, int, int, int]
    points: dict[str, tuple[float, float, int]]
    worn: bool


def draw_photograph(
    row: Mapping[str, str], rng: np.random.Generator, size: int = 300
) -> tuple[Image.Image, Geometry]:
    """Draw a photograph of a garment with known attributes.

    Args:
        row: As from ``swatchbook.drawn.garment_truth.sample_garments``. Further keys may be there: ``view``
            says that somebody wears it, seen in ``front`` or in ``full``; those that begin with ``other_``
            describe a second garment that is worn with it; ``cloth_seed`` gives the cloth a randomness of its
            own, so that several photographs show the same garment.
        rng: Source of randomness; everything that the row leaves open comes from it.
        size: The longer side in pixels.

    Returns:
        An RGB picture, and where the garment is on it.
    """
    picture, geometry, _ = draw_scene(row, rng, size)
    return picture, geometry


def draw_scene(
    row: Mapping[str, str], rng: np.random.Generator, size: int = 300
) -> tuple[Image.Image, Geometry, Array]:
    """``draw_photograph``, and the garment's cover in [0, 1] of shape (height, width)."""
    worn = bool(rng.random() < 0.62) or "view" in row
    body = posed(rng, flat=not worn)
    cloth_rng = np.random.default_rng(int(row["cloth_seed"])) if "cloth_seed" in row else rng
    garment = cut(row, body, worn, cloth_rng)
    shape, place = _framed(garment, row, size, rng) if worn else _laid_out(garment, size, rng)
    scene = _Scene(shape, place, light_source(rng), body, worn)
    typical = np.array(SHADES[row["color"]][0]) / 255
    ground = background(shape, typical, row["fabric"] == "chiffon" and not worn, rng, worn)
    figure = appearance(rng)
    if worn:
        ground = draw_body(ground, body, figure, place, scene.light)
        ground = _companions(ground, row, scene, rng)
    elif CATEGORIES[row["category"]].clothes_type != "lower" and rng.random() < 0.25:
        ground = furnish(ground, garment, place, False, True, rng)
    layout, cover = _put_on(ground, garment, row, scene, rng, cloth_rng)
    hidden = np.zeros(shape, dtype=np.float32)
    for outlines, ink, arm in _occluders(body, figure, worn, rng):
        mask = polygons([place(outline) for outline in outlines], shape)
        mask *= ~np.isin(layout.owner, _sleeves(garment, arm))
        ground = solid(ground, mask, ink, place.scale, scene.light)
        np.maximum(hidden, mask, out=hidden)
    geometry = _geometry(layout, garment, body, cover, hidden, worn)
    return photographed(ground, rng), geometry, cover


@dataclass(frozen=True)
class _Scene:
    shape: tuple[int, int]
    place: Place
    light: Array
    body: Body
    worn: bool


def _put_on(
    ground: Array,
    garment: Garment,
    row: Mapping[str, str],
    scene: _Scene,
    rng: np.random.Generator,
    cloth_rng: np.random.Generator,
) -> tuple[Layout, Array]:
    """Draw a garment onto the ground in place; returns its layout and its cover."""
    folder, texture = CLOTHS[row["fabric"]][cloth_rng.integers(len(CLOTHS[row["fabric"]]))]
    hairy, sheer = texture == "fluffy_furry", texture == "sheer"
    folds = FABRICS[folder].folds
    layout = lay_out(garment, "worn", scene.shape, folds, scene.light, rng, hairy, scene.place)
    pattern = "checkered_plaid" if row["pattern"] == "lattice" else row["pattern"]
    cloth = rendered(layout, garment, "worn", row["color"], pattern, texture, folder, scene.light, cloth_rng)
    cover = cover_of(layout, cloth.fuzz, rng)
    cast_shadow(ground, cover, scene.light, layout.scale, sheer, rng)
    lay_over(ground, cloth, layout, cover, sheer)
    return layout, cover


def _sleeves(garment: Garment, arm: int) -> list[int]:
    """The numbers in ``Layout.owner`` of an arm's sleeve."""
    return [number + 1 for number, part in enumerate(garment.parts) if part.arm and part.arm == arm]


def _framed(
    garment: Garment, row: Mapping[str, str], size: int, rng: np.random.Generator
) -> tuple[tuple[int, int], Place]:
    """Shape and place of a picture of somebody who wears the garment."""
    shape = size, round(size * (0.681 if "view" in row else rng.uniform(0.56, 0.8)))
    corners = np.vstack([part.outline for part in garment.parts])
    top, bottom, half = corners[:, 1].min(), corners[:, 1].max(), np.abs(corners[:, 0]).max()
    framing = rng.random() if "view" not in row else {"front": rng.uniform(0, 0.85), "full": 1.0}[row["view"]]
    if framing < 0.45:
        start, end = top - rng.uniform(0.06, 0.35), bottom + rng.uniform(0.06, 0.4)
    elif framing < 0.85:
        lower = CATEGORIES[row["category"]].clothes_type == "lower"
        start = top - rng.uniform(0.3, 1.2) if lower else CROWN - 0.08
        end = min(SOLE + 0.1, bottom + rng.uniform(0.1, 1.0))
    else:
        start, end = CROWN - 0.08, SOLE + 0.1
    across, width, cut_off = 0.0, shape[1] * 0.95 / (2 * half), rng.random()
    if cut_off < _CUT_OFF and "view" not in row:
        if cut_off < 0.5 * _CUT_OFF:
            end = bottom - rng.uniform(0.1, 0.3) * (bottom - top)
            start = min(start, end - 0.8 * (bottom - top))
        elif cut_off < 0.75 * _CUT_OFF:
            start = top + rng.uniform(0.08, 0.25) * (bottom - top)
        else:
            across = rng.choice([-1, 1]) * rng.uniform(0.5, 0.8) * half
        width *= 1.25
    scale = min(shape[0] / (end - start), width)
    spare = max(0.0, shape[0] / scale - (end - start))
    middle = 0.5 * (start + end) + rng.uniform(-0.4, 0.4) * spare
    shift = rng.uniform(-0.5, 0.5) * max(0.0, shape[1] - 2 * half * scale) * (across == 0)
    centre = shape[1] / 2 + float(shift), shape[0] / 2
    return shape, Place(rng.normal(0, 0.02), float(scale), (float(across), float(middle)), centre)


def _laid_out(garment: Garment, size: int, rng: np.random.Generator) -> tuple[tuple[int, int], Place]:
    """Shape and place of a picture of the garment alone."""
    shape = picture_shape(garment, size, rng)
    place = placed(garment, "laid out", shape, rng)
    if rng.random() > _CUT_OFF:
        return shape, place
    turn, reach = rng.uniform(0, 2 * np.pi), 0.2 * min(shape)
    centre = place.centre[0] + reach * float(np.cos(turn)), place.centre[1] + reach * float(np.sin(turn))
    return shape, replace(place, scale=place.scale * rng.uniform(1.2, 1.45), centre=centre)


def _companions(ground: Array, row: Mapping[str, str], scene: _Scene, rng: np.random.Generator) -> Array:
    """What else somebody wears: the row's second garment, or plain things that are not in the truth."""
    if "other_category" in row:
        other = {key.removeprefix("other_"): value for key, value in row.items() if key.startswith("other_")}
        cloth_rng = np.random.default_rng([int(row["cloth_seed"]), 1]) if "cloth_seed" in row else rng
        _put_on(ground, cut(other, scene.body, True, cloth_rng), other, scene, rng, cloth_rng)
    others, category = [], row["category"]
    if (CATEGORIES[category].clothes_type == "upper" or category == "Coat") and "other_category" not in row:
        which = ("Jeans", "Shorts", "Skirt")[rng.choice(3, p=(0.6, 0.15, 0.25))]
        length = {"Jeans": "long", "Shorts": "three_point", "Skirt": "medium_short"}[which]
        others.append({"category": which, "lower_length": length})
    if (CATEGORIES[category].clothes_type == "lower" and "other_category" not in row) or category in OPEN:
        sleeve = "sleeveless" if category in OPEN else str(rng.choice(["short", "sleeveless"]))
        others.append({"category": "Top", "sleeve": sleeve, "neckline": "crew"})
    for other in others:
        garment = cut(other | {"fit": "tight", "fabric": "cotton"}, scene.body, True, rng)
        mask = polygons([scene.place(part.outline) for part in garment.parts], scene.shape)
        ink = shade(str(rng.choice(list(SHADES))), rng)
        ground = solid(ground, mask, ink, scene.place.scale, scene.light)
    return ground


def _occluders(
    body: Body, figure: Appearance, worn: bool, rng: np.random.Generator
) -> list[tuple[list[Array], Array, int]]:
    """What lies before the garment: outlines, their colour, and which arm's sleeve lies before them."""
    before = []
    if worn:
        before += [([arm_outline(body, side, forearm=True)], figure.skin, side) for side in body.before]
        if figure.hair is not None and figure.long:
            before.append((hair_outlines(), figure.hair, 0))
    if rng.random() < 0.14:
        before.append((_bag(rng), shade(str(rng.choice(["black", "brown", "beige", "red", "navy"])), rng), 0))
    return before


def _bag(rng: np.random.Generator) -> list[Array]:
    """A bag at the hip, on a strap over the other shoulder or none."""
    side, x, y = rng.choice([-1, 1]), rng.uniform(0.26, 0.42), rng.uniform(0.72, 1.15)
    wide, tall = rng.uniform(0.15, 0.24), rng.uniform(0.14, 0.24)
    pouch = np.array([(-wide, -tall), (wide, -tall), (1.1 * wide, tall), (-1.1 * wide, tall)])
    handle = curve((-0.5 * wide, -tall), (0.0, -2.6 * tall), (0.5 * wide, -tall))
    rim = np.vstack([handle, (handle * [0.8, 0.86])[::-1]])
    return [shifted(outline, side * x, y) for outline in (pouch, rim)]


def _geometry(
    layout: Layout, garment: Garment, body: Body, cover: Array, hidden: Array, worn: bool
) -> Geometry:
    height, width = cover.shape
    rows, columns = (np.flatnonzero((cover >= 0.5).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        rows = columns = np.array([0])
    box = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    points = {}
    for name, (x, y) in layout.landmarks.items():
        if not (0 <= x < width and 0 <= y < height):
            points[name] = float(x), float(y), TRUNCATED
            continue
        row, column = int(y), int(x)
        top = layout.owner[row, column]
        arm = garment.parts[top - 1].arm if top else 0
        own = name == {-1: "left_sleeve", 1: "right_sleeve"}.get(arm)
        behind = hidden[row, column] > 0.5 or (arm in body.before and not own)
        # The outline's corners are rounded, so a landmark may lie a pixel beyond what is seen.
        column, row = np.clip((column, row), box[:2], (box[2] - 1, box[3] - 1)).tolist()
        points[name] = column + 0.5, row + 0.5, OCCLUDED if behind else VISIBLE
    return Geometry(box, points, worn)
