"""How the attributes of drawn garments hang together: a few ideas of garments, and exact Cramér's V.

The hidden class z is an idea of a garment (jeans, an evening dress, a summer print, …). Given z the
folder, the colour, the pattern and the texture are drawn independently; with probability 1 − λ each is
drawn from its own margin instead (see ``swatchbook.drawn.latent``).

The material is not drawn: the schema's rule reads it off the folder, m = f(folder). As a function of
the folder alone it is independent of the other attributes given z as well, with
P(m | z) = Σ P(folder | z) over the folders that the rule sends to m. Put in the folder's place it makes a
``World`` of the schema's own attributes whose joints, and so V by pair, are exact for any rule, and
V(λ) = λ · V(1) still holds.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from swatchbook.drawn.latent import World
from swatchbook.schema import Schema

# Share → idea → attribute → odds of its classes. A class that an idea does not name keeps a small share.
IDEAS: dict[str, tuple[float, dict[str, dict[str, float]]]] = {
    "jeans": (
        0.12,
        {
            "folder": {"denim": 9, "chambray": 1},
            "color": {"blue": 6, "navy": 3, "black": 1},
            "pattern": {"solid": 1},
            "texture": {"rough_coarse": 6, "smooth": 2, "ribbed_structured": 1},
        },
    ),
    "leather jacket": (
        0.10,
        {
            "folder": {"faux_leather": 8, "vinyl": 1},
            "color": {"black": 6, "brown": 4, "red": 1},
            "pattern": {"solid": 8, "animal_print": 1},
            "texture": {"smooth": 8, "ribbed_structured": 1},
        },
    ),
    "winter jumper": (
        0.11,
        {
            "folder": {"knit": 7, "fleece": 2},
            "color": {"grey": 4, "beige": 3, "white": 2, "green": 1},
            "pattern": {"solid": 5, "geometric": 3, "striped": 2},
            "texture": {"ribbed_structured": 8, "rough_coarse": 1, "fluffy_furry": 1},
        },
    ),
    "furry coat": (
        0.11,
        {
            "folder": {"faux_fur": 5, "plush": 3, "fleece": 2},
            "color": {"brown": 4, "white": 2, "grey": 2, "pink": 2},
            "pattern": {"animal_print": 6, "solid": 4},
            "texture": {"fluffy_furry": 1},
        },
    ),
    "lace and tulle": (
        0.10,
        {
            "folder": {"lace": 4, "tulle": 3, "organza": 2, "chiffon": 2},
            "color": {"white": 4, "black": 3, "pink": 2, "beige": 1},
            "pattern": {"floral": 5, "solid": 5},
            "texture": {"sheer": 1},
        },
    ),
    "evening dress": (
        0.10,
        {
            "folder": {"satin": 5, "taffeta": 3, "velvet": 2},
            "color": {"red": 4, "purple": 4, "navy": 2, "green": 1},
            "pattern": {"solid": 1},
            "texture": {"smooth": 9, "ribbed_structured": 1},
        },
    ),
    "checked shirt": (
        0.10,
        {
            "folder": {"gingham": 5, "flannel": 5},
            "color": {"red": 5, "blue": 3, "green": 2},
            "pattern": {"checkered_plaid": 1},
            "texture": {"smooth": 4, "rough_coarse": 4, "fluffy_furry": 1},
        },
    ),
    "summer print": (
        0.08,
        {
            "folder": {"lawn": 4, "chiffon": 4, "jersey": 2},
            "color": {"yellow": 4, "pink": 3, "green": 2, "white": 2},
            "pattern": {"floral": 8, "geometric": 2},
            "texture": {"sheer": 5, "smooth": 5},
        },
    ),
    "striped top": (
        0.07,
        {
            "folder": {"jersey": 6, "chambray": 3},
            "color": {"navy": 4, "white": 4, "blue": 2},
            "pattern": {"striped": 1},
            "texture": {"smooth": 6, "ribbed_structured": 4},
        },
    ),
    "party synthetics": (
        0.06,
        {
            "folder": {"neoprene": 5, "vinyl": 4},
            "color": {"yellow": 5, "purple": 3, "pink": 2},
            "pattern": {"geometric": 8, "solid": 2},
            "texture": {"smooth": 1},
        },
    ),
    "work cloth": (
        0.05,
        {
            "folder": {"canvas": 3, "twill": 3, "corduroy": 4},
            "color": {"beige": 5, "green": 3, "brown": 3},
            "pattern": {"solid": 8, "checkered_plaid": 1},
            "texture": {"rough_coarse": 5, "ribbed_structured": 5},
        },
    ),
}
_STRAY = 0.05  # share of an idea that is spread evenly over all classes


def folder_world(coupling: float, schema: Schema) -> World:
    """The world that images are drawn from: the folder in the material's place.

    Args:
        coupling: λ in [0, 1].
        schema: Its folder rule says which folders have a place; its other attributes must be those of
            the drawn world.

    Returns:
        A world of ``folder`` (over ``placed_folders``) and the attributes not labelled by folder.

    Raises:
        ValueError: If λ lies outside [0, 1], or the schema asks for attributes or classes that no idea
            of a garment has.
    """
    shares = np.array([share for share, _ in IDEAS.values()])
    given = {"folder": _table("folder", placed_folders(schema))}
    for attribute in schema:
        if attribute.labelled_by != "folder":
            given[attribute.name] = _table(attribute.name, attribute.classes)
    return World(shares / shares.sum(), given, coupling)


def drawn_world(coupling: float, schema: Schema) -> World:
    """The same world as the schema sees it: every attribute in schema order, the material by the rule.

    Args:
        coupling: λ in [0, 1].
        schema: As for ``folder_world``.

    Raises:
        ValueError: As for ``folder_world``.
    """
    drawn = folder_world(coupling, schema)
    ruled = next(attribute for attribute in schema if attribute.labelled_by == "folder")
    materials = [schema.folders[folder] for folder in placed_folders(schema)]
    rule = np.array([[material == label for label in ruled.classes] for material in materials], dtype=float)
    given = {a.name: drawn.given["folder"] @ rule if a is ruled else drawn.given[a.name] for a in schema}
    return World(drawn.prior, given, coupling)


def true_cramers_v(coupling: float, schema: Schema) -> pd.DataFrame:
    """The exact Cramér's V of every pair of attributes in the drawn world.

    Args:
        coupling: λ in [0, 1].
        schema: As for ``folder_world``.

    Returns:
        A row a pair, in schema order: ``a``, ``b``, ``value`` in [0, 1].

    Raises:
        ValueError: As for ``folder_world``.
    """
    world = drawn_world(coupling, schema)
    rows = [{"a": a, "b": b, "value": world.cramers_v(a, b)} for a, b in schema.pairs]
    return pd.DataFrame(rows)


def placed_folders(schema: Schema) -> tuple[str, ...]:
    """The folders that the schema's rule gives a class, in its order."""
    return tuple(folder for folder, label in schema.folders.items() if label is not None)


def _table(name: str, classes: tuple[str, ...]) -> np.ndarray:
    """θ of one attribute, shape (ideas, classes); rows sum to 1."""
    named: set[str] = set()
    rows = []
    for _, odds_of in IDEAS.values():
        odds: Mapping[str, float] = odds_of.get(name, {})
        named |= set(odds)
        weights = np.array([odds.get(label, 0.0) for label in classes])
        if weights.sum() == 0:
            raise ValueError(f"the schema's {name} {', '.join(classes)} cannot be drawn; no garment has them")
        rows.append((1 - _STRAY) * weights / weights.sum() + _STRAY / len(classes))
    missing = [label for label in classes if label not in named]
    if missing:
        raise ValueError(f"{name} {missing[0]!r} cannot be drawn; allowed: {', '.join(sorted(named))}")
    return np.array(rows)
