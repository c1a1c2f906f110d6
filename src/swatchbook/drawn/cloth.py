"""Cloth under the light: a laid-out garment's colour, print, surface, seams and trims, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from swatchbook.drawn.colours import inks, shade
from swatchbook.drawn.fields import UVMap, blurred, moved, noise, painted, slopes
from swatchbook.drawn.layout import WHOLE, Layout
from swatchbook.drawn.motifs import motif
from swatchbook.drawn.needlework import embroidered, pleated
from swatchbook.drawn.outlines import Garment
from swatchbook.drawn.prints import PLAIN, printed
from swatchbook.drawn.surfaces import Surface, bound, surface
from swatchbook.drawn.trims import trimmed
from swatchbook.drawn.wear import worn

Array = np.ndarray


@dataclass(frozen=True)
class Cloth:
    """A garment's cloth as the eye sees it, computed for the layout's pixels only.

    Attributes:
        lit: Its colour under the light, shape (3, pixels), sRGB.
        opacity: What it hides of what lies behind, 0…1, shape (pixels,).
        base: The garment's colour, shape (3,).
        fuzz: How far hairs stand out beyond the edge, in pixels.
    """

    lit: Array
    opacity: Array
    base: Array
    fuzz: float


def rendered(
    layout: Layout,
    garment: Garment,
    kind: str,
    color: str,
    pattern: str,
    texture: str,
    folder: str,
    light: Array,
    rng: np.random.Generator,
) -> Cloth:
    """The cloth of a garment on the picture.

    Args:
        layout: Where it lies.
        garment: Its pieces and what is sewn onto them.
        kind: Its name in ``GARMENTS``.
        color: The name of its colour.
        pattern: Which print.
        texture: How it feels.
        folder: The kind of fabric.
        light: Where the light comes from, shape (3,), a unit vector.
        rng: Source of randomness.
    """
    base = shade(color, rng, folder)
    colours = inks(color, base, rng, 4)
    if pattern == "pleated":
        layout = pleated(layout, rng)
    zoom = rng.uniform(1.5, 2.6) if kind in WHOLE else rng.uniform(1.3, 1.7) if kind == "swatch" else 1.0
    zoom *= max(layout.mask.shape) / 320
    uv = _carried(layout, zoom, rng)
    fine = surface(folder, texture, uv, zoom, rng)
    if texture in ("fluffy_furry", "rough_coarse"):
        edges = np.clip(3 * blurred(layout.bands, 0.014 * layout.scale), 0, 1)
        fine = bound(fine, folder, uv.of(edges), uv, zoom, rng)
    period = uv.long * rng.uniform(0.085, 0.17) * (1.35 if kind in WHOLE else 1.0)
    light_base = color in ("white", "beige", "yellow")
    cloth = _coloured(pattern, light_base, colours, layout, garment, uv, period, fine, folder, rng)
    if pattern == "embroidered":
        cloth, thread = embroidered(cloth, layout, uv, colours, rng)
        fine = replace(fine, height=fine.height + thread)
    lit, opacity = _lit(cloth, layout, uv, fine, texture, folder, light, base, rng)
    lit = trimmed(lit, garment, kind, folder, layout, uv, base, rng)
    return Cloth(lit, opacity, base, fine.fuzz)


def _carried(layout: Layout, zoom: float, rng: np.random.Generator) -> UVMap:
    """Coordinates on the cloth: folds carry the print and the grain along with them."""
    uv = UVMap(layout.u, layout.v, layout.mask.shape, layout.pixels)
    u, v = (
        uv.of(along) + 2.2 * zoom * np.clip(uv.of(slope), -2, 2)
        for along, slope in zip((layout.u, layout.v), slopes(layout.height), strict=True)
    )
    warp = 0.012 * uv.long
    return replace(uv, u=u + warp * uv.noise(3, rng), v=v + warp * uv.noise(3, rng))


def _coloured(
    pattern: str,
    light_base: bool,
    colours: Array,
    layout: Layout,
    garment: Garment,
    uv: UVMap,
    period: float,
    fine: Surface,
    folder: str,
    rng: np.random.Generator,
) -> Array:
    """The colour of the cloth itself, printed, sewn and woven, shape (3, pixels)."""
    cloth = printed(pattern, uv, period, colours, light_base, rng)
    if pattern in PLAIN:
        cloth = worn(cloth, folder, layout, uv, colours[1], rng)
    if pattern == "graphic" and garment.chest:
        x, y, half = garment.chest
        across, down = (layout.place(np.array([[x, y]]))[0] - np.array(layout.place.centre)).tolist()
        span = half * layout.scale * rng.uniform(0.6, 1.45)
        x, y = uv.of(layout.u - across) / span, uv.of(layout.v - down) / span
        # The motif covers a small part of the cloth.
        near = np.flatnonzero((np.abs(x) < 1) & (np.abs(y) < 1))
        ink, coverage = motif(x[near], y[near], colours, rng)
        cloth = np.array(cloth)
        cloth[:, near] = painted(cloth[:, near], ink, coverage * uv.of(layout.body)[near])
    return cloth * fine.tone + fine.flecks


def _lit(
    cloth: Array,
    layout: Layout,
    uv: UVMap,
    fine: Surface,
    texture: str,
    folder: str,
    light: Array,
    base: Array,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """The cloth under the light, shape (3, pixels), and its opacity, shape (pixels,)."""
    seams, bands = uv.of(layout.seams), uv.of(layout.bands)
    height = layout.height + 0.8 * blurred(layout.bands, 1.2)
    height.ravel()[uv.pixels] += fine.height
    slope_x, slope_y = (uv.of(slope) for slope in slopes(height))
    facing = 1 / np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    toward = (light[2] - light[0] * slope_x - light[1] * slope_y) * facing / light[2]
    ambient = np.float32(rng.uniform(0.42, 0.58))
    shading = ambient + (1 - ambient) * np.clip(toward, 0.2, 1.4)
    shadow = uv.of(layout.light)
    lit = cloth * (shading * shadow * (1 - 0.3 * seams - 0.1 * bands))
    if fine.rim:
        lit = lit + cloth * (fine.rim * np.clip(1.6 * (1 - facing), 0, 1.0))
    half = light + np.array([0, 0, 1], dtype=np.float32)
    half = half / np.linalg.norm(half)
    mirrored = np.clip((half[2] - half[0] * slope_x - half[1] * slope_y) * facing, 0, 1)
    shine = fine.gloss * mirrored ** np.float32(fine.sharp) * shadow
    # A highlight is mostly the lamp's colour, and a little the cloth's.
    lit = lit + shine * (0.38 + 0.22 * base[:, None])
    orange = np.array((0.86, 0.5, 0.16), dtype=np.float32)
    thread = orange if folder == "denim" else np.clip(base * 0.6 + 0.3, 0, 1)
    stitched = uv.of(layout.stitches * layout.mask) * (0.85 if folder == "denim" else 0.45)
    lit = painted(lit, thread[:, None] * shading, stitched)
    thin = 1 - np.broadcast_to(np.asarray(fine.opacity, dtype=np.float32), shading.shape)
    if texture == "sheer":
        steep = uv.of(np.hypot(*slopes(layout.height)))
        # Doubled cloth, slanted cloth and sewn edges let less through.
        thin = (
            thin
            * np.where(uv.of(layout.layers) > 1.5, np.float32(0.78), np.float32(1))
            * (1 - 0.45 * np.clip(1.3 * steep - 0.1, 0, 1))
        )
        thin = thin * (1 - 0.6 * np.maximum(bands, seams))
    return lit, 1 - thin


def cover_of(layout: Layout, fuzz: float, rng: np.random.Generator) -> Array:
    """Where the cloth and its hairs cover the picture, in [0, 1], shape (height, width)."""
    if not fuzz:
        return layout.mask
    shape, long = layout.mask.shape, max(layout.mask.shape)
    ragged = 0.6 * noise(shape, long / 7, rng) + 0.9 * noise(shape, long / 2.2, rng)
    soft = blurred(layout.mask, 0.6 * fuzz)
    return np.maximum(np.clip((soft - 0.45 + 0.1 * ragged) * 2.6 + 0.3, 0, 1), layout.bands)


def cast_shadow(
    ground: Array, cover: Array, light: Array, scale: float, sheer: bool, rng: np.random.Generator
) -> None:
    """Darken the ground, shape (3, height, width), in place where a garment throws its shadow."""
    far = rng.uniform(0.01, 0.05) * scale
    cast = moved(blurred(cover, 0.03 * scale + 1.5), round(-light[0] * far * 2), round(-light[1] * far * 2))
    ground *= 1 - (0.12 if sheer else rng.uniform(0.2, 0.5)) * cast


def lay_over(ground: Array, cloth: Cloth, layout: Layout, cover: Array, sheer: bool) -> None:
    """Put the cloth on the ground, shape (3, height, width), in place."""
    picture, cover, lit = ground.reshape(3, -1), cover.ravel().take(layout.pixels), cloth.lit
    if sheer:
        behind = picture.take(layout.pixels, axis=1)
        behind *= 1 - np.clip(cloth.opacity, 0, 1) * 0.6 * (1 - cloth.base[:, None])
        lit = behind + (lit - behind) * cloth.opacity
    edge = np.flatnonzero(cover < 1)
    behind = picture.take(layout.pixels[edge], axis=1)
    for band, seen, under in zip(picture, lit, behind, strict=True):
        seen[edge] = under + (seen[edge] - under) * cover[edge]
        band[layout.pixels] = seen
