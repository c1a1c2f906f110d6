"""One photograph of a garment or of cloth, drawn from its labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image

from swatchbook.drawn.colours import SHADES, inks, shade
from swatchbook.drawn.fields import blurred, noise, slopes
from swatchbook.drawn.garments import GARMENTS, Garment
from swatchbook.drawn.layout import WHOLE, Laid, lay_out
from swatchbook.drawn.motifs import motif
from swatchbook.drawn.notions import sewn, trimmed
from swatchbook.drawn.prints import PATTERNS, printed
from swatchbook.drawn.scenes import background, furnish, photographed
from swatchbook.drawn.surfaces import FABRICS, TEXTURES, Surface, bound, surface
from swatchbook.drawn.wear import worn

Array = np.ndarray
FOLDERS: tuple[str, ...] = tuple(FABRICS)
LABELS: dict[str, tuple[str, ...]] = {"color": tuple(SHADES), "pattern": PATTERNS, "texture": TEXTURES}

_ODDS = {"t_shirt": 2.0, "vest": 1.0, "jumper": 1.5, "shirt": 1.5, "jacket": 1.3, "coat": 1.2, "dress": 2.2}
_ODDS |= {
    "skirt": 1.4,
    "trousers": 1.4,
    "scarf": 0.8,
    "folded": 0.7,
    "swatch": 0.8,
    "close_up": 1.1,
    "draped": 1.1,
}
# What a shop makes of a fabric; everything else stays possible.
_FAVOURED: dict[str, tuple[str, ...]] = {
    "denim": ("trousers", "trousers", "jacket", "shirt", "skirt"),
    "faux_leather": ("jacket", "coat", "skirt", "trousers"),
    "vinyl": ("jacket", "coat", "skirt", "trousers"),
    "knit": ("jumper", "jumper", "scarf"),
    "fleece": ("jumper", "jacket"),
    "faux_fur": ("coat", "jacket", "scarf"),
    "tweed": ("coat", "jacket", "skirt"),
    "lace": ("dress", "vest", "skirt"),
    "chiffon": ("dress", "skirt", "vest"),
    "organza": ("dress", "skirt"),
    "tulle": ("skirt", "dress"),
    "flannel": ("shirt", "shirt"),
    "chambray": ("shirt", "shirt", "dress"),
    "gingham": ("shirt", "dress"),
    "jersey": ("t_shirt", "t_shirt", "dress"),
    "corduroy": ("trousers", "jacket", "skirt"),
    "velvet": ("dress", "draped"),
    "satin": ("dress", "draped", "skirt"),
    "taffeta": ("dress", "draped", "skirt"),
}


def draw_image(
    labels: Mapping[str, str], folder: str, rng: np.random.Generator, size: int = 320
) -> Image.Image:
    """Draw a photograph of a garment, or of cloth, with known attributes.

    The material follows from the folder and is not asked for; other keys of ``labels`` are ignored.

    Args:
        labels: ``color``, ``pattern`` and ``texture`` → class; beside the classes of TextileNet's schema,
            the colour ``orange`` and the patterns ``polka_dot`` and ``graphic`` can be drawn.
        folder: The kind of fabric, one of TextileNet's 27 folders.
        rng: Source of randomness; everything that the labels leave open comes from it.
        size: The longer side in pixels, at least 48.

    Returns:
        An RGB picture.

    Raises:
        ValueError: If a label is missing or unknown, or the size is too small.
    """
    return draw_parts(labels, folder, rng, size)[0]


def draw_parts(
    labels: Mapping[str, str], folder: str, rng: np.random.Generator, size: int = 320, kind: str | None = None
) -> tuple[Image.Image, Array]:
    """The photograph of ``draw_image`` and where the cloth is in it.

    Args:
        labels: As for ``draw_image``.
        folder: As for ``draw_image``.
        rng: Source of randomness.
        size: The longer side in pixels.
        kind: Which garment or length of cloth; drawn at random by default.

    Returns:
        The picture, and a mask in [0, 1] of shape (height, width).

    Raises:
        ValueError: As for ``draw_image``.
    """
    _check(labels, folder, size, kind)
    color, pattern, texture = (labels[name] for name in LABELS)
    fabric = FABRICS[folder]
    kind = kind or _kind(folder, rng)
    if pattern == "graphic" and kind in (*WHOLE, "folded", "scarf", "swatch", "trousers"):
        kind = "t_shirt" if rng.random() < 0.7 else "jumper"
    garment = sewn(GARMENTS[kind](rng), kind, rng)
    shape = _shape(garment, kind, size, rng)
    light = _light(rng)
    laid = lay_out(garment, kind, shape, fabric.folds, light, rng)
    base = shade(color, rng, folder)
    colours = inks(color, base, rng, 4)
    zoom = rng.uniform(1.5, 2.6) if kind in WHOLE else rng.uniform(1.3, 1.7) if kind == "swatch" else 1.0
    zoom *= size / 320

    # Folds carry the print and the grain along with them.
    slope_x, slope_y = slopes(laid.height)
    bent = 2.2 * zoom
    u, v = laid.u + bent * np.clip(slope_x, -2, 2), laid.v + bent * np.clip(slope_y, -2, 2)
    warp = 0.012 * max(shape)
    u, v = u + warp * noise(shape, 3, rng), v + warp * noise(shape, 3, rng)
    made = surface(folder, texture, u, v, zoom, rng)
    if texture in ("fluffy_furry", "rough_coarse"):
        edges = np.clip(3 * blurred(laid.bands, 0.014 * laid.scale), 0, 1)
        made = bound(made, folder, edges, u, v, zoom, rng)
    period = max(shape) * rng.uniform(0.085, 0.17) * (1.35 if kind in WHOLE else 1.0)
    cloth = _cloth(pattern, color, colours, laid, garment, u, v, period, made, folder, rng)
    lit, opacity = _lit(cloth, laid, made, texture, folder, light, base, rng)

    lit = trimmed(lit, garment, kind, folder, laid, base, rng)

    sheer = texture == "sheer"
    ground = background(shape, base, sheer, rng)
    if kind not in WHOLE:
        dummy = bool(garment.neck or garment.legs) and rng.random() < (0.5 if sheer else 0.25)
        ground = furnish(ground, garment, laid.place, dummy, not dummy and rng.random() < 0.3, rng)
    mask = np.maximum(_fuzzy(laid.mask, made.fuzz, rng), laid.bands) if made.fuzz else laid.mask
    ground = ground * _shadow(mask, light, laid.scale, kind, sheer, rng)[..., None]
    behind = ground * (1 - np.clip(opacity, 0, 1)[..., None] * 0.6 * (1 - base)) if sheer else ground
    cover = (mask * opacity)[..., None]
    picture = (
        behind * mask[..., None] * (1 - opacity[..., None]) + ground * (1 - mask[..., None]) + lit * cover
    )
    return photographed(picture, rng), mask


def _check(labels: Mapping[str, str], folder: str, size: int, kind: str | None) -> None:
    for name, allowed in LABELS.items():
        if name not in labels:
            raise ValueError(f"labels: no {name!r}; received {', '.join(labels) or 'nothing'}")
        if labels[name] not in allowed:
            raise ValueError(f"{name} {labels[name]!r} cannot be drawn; allowed: {', '.join(allowed)}")
    if folder not in FABRICS:
        raise ValueError(f"folder {folder!r} cannot be drawn; allowed: {', '.join(FABRICS)}")
    if size < 48:
        raise ValueError(f"size must be at least 48 pixels; received {size}")
    if kind is not None and kind not in GARMENTS:
        raise ValueError(f"kind {kind!r} cannot be drawn; allowed: {', '.join(GARMENTS)}")


def _kind(folder: str, rng: np.random.Generator) -> str:
    favoured = _FAVOURED.get(folder, ())
    if favoured and rng.random() < 0.55:
        return favoured[rng.integers(len(favoured))]
    odds = np.array(list(_ODDS.values()))
    return list(_ODDS)[rng.choice(len(odds), p=odds / odds.sum())]


def _shape(garment: Garment, kind: str, size: int, rng: np.random.Generator) -> tuple[int, int]:
    if kind in (*WHOLE, "swatch"):
        ratio = rng.choice([0.75, 0.8, 1.0, 1.0, 1.33])
    else:
        corners = np.vstack([part.outline for part in garment.parts])
        wide, tall = np.ptp(corners, axis=0)
        ratio = np.clip(wide / tall * rng.uniform(0.9, 1.2), 0.6, 1.2)
    return (size, round(size * ratio)) if ratio <= 1 else (round(size / ratio), size)


def _light(rng: np.random.Generator) -> Array:
    """Mostly from above and a little from one side."""
    x, y = rng.uniform(-0.6, 0.6), rng.uniform(-0.75, -0.25)
    light = np.array([x, y, rng.uniform(0.75, 1.1)])
    return (light / np.linalg.norm(light)).astype(np.float32)


def _cloth(
    pattern: str,
    color: str,
    colours: Array,
    laid: Laid,
    garment: Garment,
    u: Array,
    v: Array,
    period: float,
    made: Surface,
    folder: str,
    rng: np.random.Generator,
) -> Array:
    """The colour of the cloth itself, printed, sewn and woven, shape (height, width, 3)."""
    cloth = printed(pattern, u, v, period, colours, color in ("white", "beige", "yellow"), rng)
    if pattern in ("solid", "graphic"):
        cloth = worn(cloth, folder, laid, colours[1], rng)
    if pattern == "graphic" and garment.chest:
        x, y, half = garment.chest
        centre = (laid.place(np.array([[x, y]]))[0] - np.array(laid.place.centre)).tolist()
        span = half * laid.scale * rng.uniform(0.6, 1.45)
        ink, coverage = motif((laid.u - centre[0]) / span, (laid.v - centre[1]) / span, colours, rng)
        cloth = cloth + (ink - cloth) * (coverage * laid.body)[..., None]
    return cloth * made.tone[..., None] + made.flecks


def _lit(
    cloth: Array,
    laid: Laid,
    made: Surface,
    texture: str,
    folder: str,
    light: Array,
    base: Array,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """The cloth under the light, shape (height, width, 3), and its opacity, shape (height, width)."""
    sewn = 1 - 0.3 * laid.seams - 0.1 * laid.bands
    height = laid.height + made.height + 0.8 * blurred(laid.bands, 1.2)
    slope_x, slope_y = slopes(height)
    facing = 1 / np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    toward = (light[2] - light[0] * slope_x - light[1] * slope_y) * facing / light[2]
    ambient = np.float32(rng.uniform(0.42, 0.58))
    shading = ambient + (1 - ambient) * np.clip(toward, 0.2, 1.4)
    lit = cloth * (shading * laid.light * sewn)[..., None]
    if made.rim:
        lit = lit + cloth * (made.rim * np.clip(1.6 * (1 - facing), 0, 1.0))[..., None]
    half = light + np.array([0, 0, 1], dtype=np.float32)
    half = half / np.linalg.norm(half)
    mirrored = np.clip((half[2] - half[0] * slope_x - half[1] * slope_y) * facing, 0, 1)
    shine = made.gloss * mirrored ** np.float32(made.sharp) * laid.light
    # A highlight is mostly the lamp's colour, and a little the cloth's.
    lit = lit + shine[..., None] * (0.38 + 0.22 * base)
    orange = np.array((0.86, 0.5, 0.16), dtype=np.float32)
    thread = orange if folder == "denim" else np.clip(base * 0.6 + 0.3, 0, 1)
    seen = laid.stitches * laid.mask * (0.85 if folder == "denim" else 0.45)
    lit = lit + (thread * shading[..., None] - lit) * seen[..., None]
    thin = 1 - np.broadcast_to(np.asarray(made.opacity, dtype=np.float32), shading.shape)
    if texture == "sheer":
        steep = np.hypot(*slopes(laid.height))
        # Doubled cloth, slanted cloth and sewn edges let less through.
        thin = (
            thin
            * np.where(laid.layers > 1.5, np.float32(0.78), np.float32(1))
            * (1 - 0.45 * np.clip(1.3 * steep - 0.1, 0, 1))
        )
        thin = thin * (1 - 0.6 * np.maximum(laid.bands, laid.seams))
    return lit, 1 - thin


def _fuzzy(mask: Array, fuzz: float, rng: np.random.Generator) -> Array:
    """An edge with hairs and tufts that stand out."""
    ragged = 0.6 * noise(mask.shape, max(mask.shape) / 7, rng) + 0.9 * noise(
        mask.shape, max(mask.shape) / 2.2, rng
    )
    soft = blurred(mask, 0.6 * fuzz)
    return np.clip((soft - 0.45 + 0.1 * ragged) * 2.6 + 0.3, 0, 1)


def _shadow(
    mask: Array, light: Array, scale: float, kind: str, sheer: bool, rng: np.random.Generator
) -> Array:
    if kind in WHOLE:
        return np.ones_like(mask)
    far = rng.uniform(0.01, 0.05) * scale
    cast = np.roll(
        blurred(mask, 0.03 * scale + 1.5),
        (round(-light[1] * far * 2), round(-light[0] * far * 2)),
        axis=(0, 1),
    )
    return 1 - (0.12 if sheer else rng.uniform(0.2, 0.5)) * cast
