"""One photograph of a garment or of cloth, drawn from its labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image

from swatchbook.drawn.cloth import cast_shadow, cover_of, lay_over, rendered
from swatchbook.drawn.colours import SHADES
from swatchbook.drawn.garments import GARMENTS
from swatchbook.drawn.layout import WHOLE, lay_out
from swatchbook.drawn.outlines import Garment
from swatchbook.drawn.prints import PATTERNS
from swatchbook.drawn.scenes import background, furnish, photographed
from swatchbook.drawn.surfaces import FABRICS, TEXTURES
from swatchbook.drawn.trims import sewn

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


def draw_row(row: Mapping[str, str], rng: np.random.Generator, size: int) -> tuple[Image.Image, None]:
    """``draw_image`` of a row with labels and ``folder``, as ``files.draw_files`` wants it."""
    return draw_image(row, row["folder"], rng, size), None


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
    kind = kind or _kind(folder, rng)
    if pattern == "graphic" and kind in (*WHOLE, "folded", "scarf", "swatch", "trousers"):
        kind = "t_shirt" if rng.random() < 0.7 else "jumper"
    garment = sewn(GARMENTS[kind](rng), kind, rng)
    if kind in (*WHOLE, "swatch"):
        shape = _sized(rng.choice([0.75, 0.8, 1.0, 1.0, 1.33]), size)
    else:
        shape = picture_shape(garment, size, rng)
    light = light_source(rng)
    hairy, sheer = texture == "fluffy_furry", texture == "sheer"
    layout = lay_out(garment, kind, shape, FABRICS[folder].folds, light, rng, hairy)
    cloth = rendered(layout, garment, kind, color, pattern, texture, folder, light, rng)
    ground = background(shape, cloth.base, sheer, rng)
    if kind not in WHOLE:
        dummy = bool(garment.neck or garment.legs) and rng.random() < (0.5 if sheer else 0.25)
        ground = furnish(ground, garment, layout.place, dummy, not dummy and rng.random() < 0.3, rng)
    cover = cover_of(layout, cloth.fuzz, rng)
    if kind not in WHOLE:
        cast_shadow(ground, cover, light, layout.scale, sheer, rng)
    lay_over(ground, cloth, layout, cover, sheer)
    return photographed(ground, rng), cover


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


def picture_shape(garment: Garment, size: int, rng: np.random.Generator) -> tuple[int, int]:
    """Height and width of a picture that a garment fills well, the longer one of them given."""
    wide, tall = np.ptp(np.vstack([part.outline for part in garment.parts]), axis=0)
    return _sized(np.clip(wide / tall * rng.uniform(0.9, 1.2), 0.6, 1.2), size)


def _sized(ratio: float, size: int) -> tuple[int, int]:
    return (size, round(size * ratio)) if ratio <= 1 else (round(size / ratio), size)


def light_source(rng: np.random.Generator) -> Array:
    """Where the light comes from, a unit vector: mostly from above and a little from one side."""
    x, y = rng.uniform(-0.6, 0.6), rng.uniform(-0.75, -0.25)
    light = np.array([x, y, rng.uniform(0.75, 1.1)])
    return (light / np.linalg.norm(light)).astype(np.float32)
