"""The surface of cloth: what its folder (the kind of fabric) and its texture do to light.

The texture rules the surface; the fabric stays visible as a cue: denim keeps its twill and pale weft
even where it is fluffy, leather its pebbles even where it is sheer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from swatchbook.drawn.fields import UVMap, bump, fraction, spread
from swatchbook.drawn.periodic import TILE, nearest, nubs, sample, speckle, strands
from swatchbook.drawn.tiles import TURN
from swatchbook.drawn.weaves import basket, net, weave

Array = np.ndarray


@dataclass(frozen=True)
class Fabric:
    """What a fabric brings along whatever its texture.

    Attributes:
        weave: Which fine structure it shows.
        gloss: Strength of its highlights, 0…1.
        sharp: Blinn–Phong exponent of the highlights; larger is narrower.
        folds: How it falls: ``soft``, ``heavy``, ``crisp`` or ``stiff``.
        cue: How strongly the fine structure shows under a texture of another kind, 0…1.
    """

    weave: str
    gloss: float = 0.0
    sharp: float = 8.0
    folds: str = "soft"
    cue: float = 0.5


FABRICS: dict[str, Fabric] = {
    "canvas": Fabric("plain", folds="stiff", cue=0.9),
    "chambray": Fabric("heather", cue=0.9),
    "chenille": Fabric("tufts", folds="heavy", cue=0.8),
    "chiffon": Fabric("fine", 0.08, 6, "soft", 0.4),
    "corduroy": Fabric("wales", folds="heavy", cue=0.9),
    "crepe": Fabric("pebble", folds="soft", cue=0.7),
    "denim": Fabric("denim", folds="stiff", cue=1.0),
    "faux_fur": Fabric("fur", folds="heavy", cue=0.8),
    "faux_leather": Fabric("leather", 0.5, 22, "stiff", 0.8),
    "flannel": Fabric("brushed", folds="soft", cue=0.7),
    "fleece": Fabric("nubs", folds="heavy", cue=0.6),
    "gingham": Fabric("plain", folds="soft", cue=0.5),
    "jersey": Fabric("jersey", folds="soft", cue=0.5),
    "knit": Fabric("knit", folds="heavy", cue=0.9),
    "lace": Fabric("lace", folds="soft", cue=0.9),
    "lawn": Fabric("fine", folds="soft", cue=0.4),
    "neoprene": Fabric("fine", 0.22, 5, "stiff", 0.2),
    "organza": Fabric("fine", 0.4, 16, "crisp", 0.4),
    "plush": Fabric("pile", folds="heavy", cue=0.7),
    "satin": Fabric("none", 0.75, 13, "soft", 0.2),
    "serge": Fabric("twill", folds="heavy", cue=0.7),
    "taffeta": Fabric("fine", 0.5, 18, "crisp", 0.4),
    "tulle": Fabric("net", folds="crisp", cue=0.8),
    "tweed": Fabric("tweed", folds="heavy", cue=1.0),
    "twill": Fabric("twill", folds="stiff", cue=0.9),
    "velvet": Fabric("velvet", folds="heavy", cue=0.6),
    "vinyl": Fabric("none", 1.0, 55, "crisp", 0.2),
}
TEXTURES = ("smooth", "rough_coarse", "fluffy_furry", "ribbed_structured", "sheer")


@dataclass(frozen=True)
class Surface:
    """Cloth without its colour.

    Attributes:
        height: Relief in pixels, a number a pixel.
        tone: Factor on the colour, likewise.
        flecks: Light to add, a number a pixel, or three, shape (3, …), or a scalar 0.
        opacity: What it hides of what lies behind, 0…1, a number a pixel or a scalar.
        gloss: Strength of the highlights, likewise.
        sharp: Exponent of the highlights.
        rim: How much slopes brighten, as pile does.
        fuzz: How far hairs stand out beyond the edge, in pixels.
    """

    height: Array
    tone: Array
    flecks: Array | float = 0.0
    opacity: Array | float = 1.0
    gloss: Array | float = 0.0
    sharp: float = 8.0
    rim: float = 0.0
    fuzz: float = 0.0


def surface(folder: str, texture: str, uv: UVMap, zoom: float, rng: np.random.Generator) -> Surface:
    """The surface of a fabric with a texture.

    Args:
        folder: The kind of fabric.
        texture: How it feels.
        uv: Coordinates on the cloth.
        zoom: Size of the fine structure; 1 for a whole garment, 2 to 3 for a close-up.
        rng: Source of randomness.
    """
    fabric = FABRICS[folder]
    made = _TEXTURED[texture](fabric, uv, zoom, rng)
    if fabric.weave == "denim":
        # The pale weft and the washing belong to denim under any texture.
        twill = np.sin(TURN * (uv.u + 0.8 * uv.v) / (4.6 * zoom))
        weft = sample(strands(), 1.8 * uv.u / zoom, 3.2 * uv.v / zoom)
        fade = uv.noise(4, rng)
        pale = np.clip(0.035 * weft + 0.03 * twill + 0.035 * fade, -0.06, 0.15)
        made = replace(made, flecks=made.flecks + pale)
    elif fabric.weave == "heather":
        weft = nearest(speckle(), uv.u / zoom, 1.6 * uv.v / zoom) + 0.5 * sample(
            strands(), 1.6 * uv.v / zoom, 2.5 * uv.u / zoom
        )
        made = replace(made, flecks=made.flecks + 0.03 * weft)
    elif fabric.weave == "tweed":
        made = replace(made, flecks=made.flecks + _flecks(uv, zoom, rng))
    return made


def bound(
    made: Surface, folder: str, edges: Array, uv: UVMap, zoom: float, rng: np.random.Generator
) -> Surface:
    """A surface whose edges are bound with the same fabric, smooth: leather on a furry jacket's cuffs.

    Args:
        made: The surface between the edges.
        folder: The kind of fabric.
        edges: Where the binding lies, 0…1, a number a pixel.
        uv: Coordinates on the cloth.
        zoom: Size of the fine structure.
        rng: Source of randomness.
    """
    plain = surface(folder, "smooth", uv, zoom, rng)
    return replace(
        made,
        height=made.height + (plain.height - made.height + 2.0) * edges,
        tone=made.tone + (plain.tone - made.tone) * edges,
        gloss=made.gloss + (plain.gloss - made.gloss) * edges,
    )


def _flecks(uv: UVMap, zoom: float, rng: np.random.Generator) -> Array:
    """Tweed's specks of other colours."""
    added = np.zeros((3, *uv.shape), dtype=np.float32)
    for colour in ((0.30, 0.26, 0.18), (-0.22, -0.2, -0.18), (0.24, 0.10, -0.08)):
        shift = rng.uniform(0, TILE, size=2).astype(np.float32)
        spot = np.clip(
            nearest(speckle(), uv.u * 0.6 / zoom + shift[0], uv.v * 0.45 / zoom + shift[1]) - 1.15, 0, 1
        )
        added += spot * spread(np.float32(colour), spot) * 1.1
    return added


# textures -----------------------------------------------------------------------------------------


def _smooth(fabric: Fabric, uv: UVMap, zoom: float, rng: np.random.Generator) -> Surface:
    fine = weave(fabric.weave, uv.u, uv.v, zoom)
    depth = 0.16 * fabric.cue
    tone = 1 + 0.35 * depth * (fine - 0.5)
    rim = 0.0
    if fabric.weave in ("velvet", "pile"):
        # Pile is dark seen from above and bright from the side, and brushed patches lie either way.
        rim = 1.1 if fabric.weave == "velvet" else 0.6
        nap = uv.noise(6, rng)
        tone = tone * (0.86 + 0.07 * np.clip(3 * nap, -1, 1)) + 0.02 * nearest(
            speckle(), uv.u / zoom, uv.v / zoom
        )
    elif fabric.weave == "tufts":
        depth, tone = 0.7, tone + 0.16 * (fine - 0.4)
    return Surface(
        height=depth * zoom * fine,
        tone=tone,
        gloss=max(fabric.gloss, 0.04),
        sharp=fabric.sharp,
        rim=rim,
    )


def _rough(fabric: Fabric, uv: UVMap, zoom: float, rng: np.random.Generator) -> Surface:
    crooked = uv.whole_noise(uv.long / (14 * zoom), rng)
    bent_u = uv.u + 0.8 * zoom * uv.of(crooked)
    bent_v = uv.v + 0.8 * zoom * uv.of(np.roll(crooked, 13, axis=0))
    hide = fabric.weave in ("leather", "none")
    if hide:
        # What is not woven is rough by cracks and large pebbles.
        coarse = weave("leather", bent_u, bent_v, 2.4 * zoom)
    elif fabric.weave in ("knit", "wales", "lace", "nubs", "tufts"):
        coarse = weave(fabric.weave, bent_u, bent_v, 1.25 * zoom)
    elif fabric.weave in ("denim", "twill"):
        coarse = 0.5 * weave(fabric.weave, bent_u, bent_v, 1.3 * zoom) + 0.5 * basket(
            bent_u, bent_v, 4 * zoom
        )
    else:
        coarse = basket(bent_u, bent_v, rng.uniform(4.2, 5.6) * zoom)
    # Yarn of uneven thickness leaves slubs along both directions.
    slubs = sample(strands(), bent_u * 0.5 / zoom, bent_v * 0.5 / zoom)
    slubs = slubs + sample(strands(), bent_v * 0.5 / zoom + 90, bent_u * 0.5 / zoom)
    slubs = slubs * (0.3 if hide else 1.0)
    grit = nearest(speckle(), uv.u / zoom, uv.v / zoom)
    fine = weave(fabric.weave, uv.u, uv.v, zoom)
    return Surface(
        height=zoom * (1.15 * coarse + 0.22 * slubs + 0.22 * grit + 0.3 * fabric.cue * fine),
        tone=1 + 0.3 * (coarse - 0.45) + 0.07 * slubs + 0.06 * grit,
        gloss=(0.9 if hide else 0.6) * fabric.gloss,
        sharp=fabric.sharp,
    )


def _fluffy(fabric: Fabric, uv: UVMap, zoom: float, rng: np.random.Generator) -> Surface:
    short = fabric.weave in ("nubs", "tufts", "pile", "velvet", "brushed") or rng.random() < 0.25
    length = rng.uniform(0.9, 1.5) if not short else rng.uniform(0.5, 0.8)
    wander = uv.whole_noise(uv.long / (24 * length), rng)
    other = uv.noise(uv.long / (9 * length), rng)
    bent_u = uv.u + (4 * uv.of(wander) + 1.3 * other) * length
    bent_v = uv.v + 4 * length * uv.of(np.roll(wander, 31, axis=1))
    hairs = sample(strands(), bent_u / length**0.5, bent_v * 1.3 / length)
    under = sample(strands(), bent_u * 0.55 / length + 60, bent_v * 0.8 / length)
    tufts = sample(nubs(), bent_u * 0.62 / length, bent_v * 0.42 / length)
    if fabric.weave in ("nubs", "tufts"):
        # Fleece and chenille curl into nubs rather than hang as hair.
        hairs, under = nearest(speckle(), uv.u, uv.v), 0.4 * under
        tufts = sample(nubs(), bent_u * 0.55 / length, bent_v * 0.62 / length)
    fine = weave(fabric.weave, uv.u, uv.v, zoom)
    return Surface(
        height=0.6 * hairs + 0.7 * under + 3.0 * tufts + 0.4 * fabric.cue * fine,
        tone=0.93 + 0.1 * hairs + 0.08 * under + 0.32 * (tufts - 0.4),
        gloss=0.35 * fabric.gloss,
        sharp=fabric.sharp,
        rim=0.12,
        fuzz=6 * length + 2,
    )


def _ribbed(fabric: Fabric, uv: UVMap, zoom: float, rng: np.random.Generator) -> Surface:
    pitch = rng.uniform(6.5, 9.5) * (0.6 + 0.4 * zoom)
    fine = weave(fabric.weave, uv.u, uv.v, zoom)
    kind = rng.integers(4)
    if fabric.weave == "wales":
        relief, deep = bump(uv.u / pitch), 2.0
    elif fabric.weave == "knit" and kind < 2:
        relief, deep = _cables(uv.u, uv.v, 3.2 * pitch), 2.6
    elif fabric.weave in ("denim", "twill") and kind < 2:
        relief, deep = bump((uv.u + 0.8 * uv.v) / pitch), 1.7
    elif fabric.weave in ("leather", "none") or (fabric.folds == "crisp" and kind < 2):
        # Smooth shells are structured by quilting: lines of stitches with padding between.
        a, b = (
            ((uv.u + uv.v) / (4.2 * pitch), (uv.u - uv.v) / (4.2 * pitch))
            if kind < 2
            else (uv.u * 0 + 0.5, uv.v / (3.4 * pitch))
        )
        relief, deep = np.sqrt(bump(a) * bump(b)), 5.0
    elif kind == 3 and fabric.weave in ("plain", "jersey", "brushed", "fine"):
        relief, deep = bump(uv.u / (0.8 * pitch)) * bump(uv.v / (0.8 * pitch)), 1.9  # waffle
    else:
        relief, deep = bump(uv.u / pitch), 1.9
    return Surface(
        height=deep * relief + 0.35 * zoom * fabric.cue * fine,
        tone=1 + 0.3 * (relief - 0.75) + 0.12 * fabric.cue * (fine - 0.5),
        gloss=max(0.7 * fabric.gloss, 0.03),
        sharp=fabric.sharp,
        rim=0.35 if fabric.weave == "velvet" else 0.0,
    )


def _cables(u: Array, v: Array, pitch: float) -> Array:
    """Two ropes that cross each other, between plain ribs."""
    x, swing = fraction(u / pitch) - 0.5, 0.16 * np.sin(TURN * v / (1.5 * pitch))
    first = np.exp(-(((x - swing) / 0.1) ** 2))
    second = 0.85 * np.exp(-(((x + swing) / 0.1) ** 2))
    ribs = 0.5 * np.exp(-(((np.abs(x) - 0.42) / 0.05) ** 2))
    return np.maximum(np.maximum(first, second), ribs)


def _sheer(fabric: Fabric, uv: UVMap, zoom: float, rng: np.random.Generator) -> Surface:
    fine = weave(fabric.weave, uv.u, uv.v, zoom)
    tone, height = 1 + 0.08 * (fine - 0.5), 0.12 * fine
    if fabric.weave == "lace":
        opacity = 0.16 + 0.8 * fine
    elif fabric.weave == "net":
        threads = net(uv.u, uv.v, 7.0 * zoom)
        opacity = 0.36 + 0.5 * threads
        height = 0.5 * threads
    else:
        # An open mesh, fine but there, tells thin cloth from a weak colour.
        mesh = 0.5 + 0.5 * np.sin(TURN * uv.u / (3.2 * zoom)) * np.sin(TURN * uv.v / (3.2 * zoom))
        opacity = rng.uniform(0.4, 0.54) + 0.12 * mesh + 0.22 * fabric.cue * (fine - 0.5)
    return Surface(
        height=height, tone=tone, opacity=opacity, gloss=max(0.8 * fabric.gloss, 0.06), sharp=fabric.sharp
    )


_TEXTURED = {
    "smooth": _smooth,
    "rough_coarse": _rough,
    "fluffy_furry": _fluffy,
    "ribbed_structured": _ribbed,
    "sheer": _sheer,
}
