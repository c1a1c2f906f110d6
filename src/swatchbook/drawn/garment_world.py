"""Which garments there are: six groups of attributes with given margins and a known coupling.

The six groups are those of the fashion attribute challenge. A hidden class z is an idea of a garment (jeans,
a jacket, a maxi dress, …), see ``swatchbook.drawn.latent``; the tables of the ideas are fitted so that every
margin is met exactly (iterative proportional fitting, Deming and Stephan 1940), and Cramér's V of every pair
is known for any coupling.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from swatchbook.drawn.latent import World

# Group → class → images in the challenge's training split.
MARGINS: dict[str, dict[str, float]] = {
    "pattern": {
        "floral": 768,
        "graphic": 853,
        "striped": 334,
        "embroidered": 422,
        "pleated": 109,
        "solid": 2408,
        "lattice": 106,
    },
    "sleeve": {"long_sleeve": 1523, "short_sleeve": 862, "sleeveless": 2615},
    "length": {"maxi_length": 488, "mini_length": 951, "no_dress": 3561},
    "neckline": {"crew_neckline": 2086, "v_neckline": 826, "square_neckline": 19, "no_neckline": 2069},
    "fabric": {"denim": 310, "chiffon": 702, "cotton": 3399, "leather": 105, "faux": 48, "knit": 436},
    "fit": {"tight": 749, "loose": 279, "conventional": 3972},
}
GROUPS = {name: tuple(classes) for name, classes in MARGINS.items()}
# Share and, by group, the odds of classes; those that an idea does not name keep a small share.
_IDEAS: dict[str, tuple[float, dict[str, dict[str, float]]]] = {
    "jeans": (
        9,
        {
            "sleeve": {"sleeveless": 1},
            "length": {"no_dress": 1},
            "neckline": {"no_neckline": 1},
            "pattern": {"solid": 1},
            "fabric": {"denim": 6, "cotton": 2},
            "fit": {"tight": 3, "conventional": 5},
        },
    ),
    "skirt": (
        10,
        {
            "sleeve": {"sleeveless": 1},
            "length": {"no_dress": 1},
            "neckline": {"no_neckline": 1},
            "pattern": {"solid": 5, "floral": 2, "pleated": 2, "lattice": 1},
            "fabric": {"cotton": 6, "chiffon": 2, "leather": 1},
            "fit": {"tight": 3, "conventional": 6, "loose": 1},
        },
    ),
    "T-shirt": (
        18,
        {
            "sleeve": {"short_sleeve": 8, "sleeveless": 2},
            "length": {"no_dress": 1},
            "neckline": {"crew_neckline": 9, "v_neckline": 1},
            "pattern": {"graphic": 5, "solid": 4, "striped": 2},
            "fabric": {"cotton": 9, "knit": 1},
            "fit": {"conventional": 1},
        },
    ),
    "tank top": (
        10,
        {
            "sleeve": {"sleeveless": 1},
            "length": {"no_dress": 1},
            "neckline": {"crew_neckline": 4, "no_neckline": 5, "v_neckline": 1},
            "pattern": {"solid": 6, "graphic": 3},
            "fabric": {"cotton": 9},
            "fit": {"conventional": 7, "tight": 2},
        },
    ),
    "blouse": (
        12,
        {
            "sleeve": {"long_sleeve": 6, "short_sleeve": 3},
            "length": {"no_dress": 1},
            "neckline": {"v_neckline": 5, "crew_neckline": 4, "square_neckline": 0.2},
            "pattern": {"floral": 3, "embroidered": 4, "solid": 4, "lattice": 1},
            "fabric": {"chiffon": 6, "cotton": 4},
            "fit": {"loose": 3, "conventional": 6},
        },
    ),
    "sweater": (
        9,
        {
            "sleeve": {"long_sleeve": 1},
            "length": {"no_dress": 1},
            "neckline": {"crew_neckline": 7, "v_neckline": 1, "no_neckline": 2},
            "pattern": {"solid": 6, "striped": 3},
            "fabric": {"knit": 8, "cotton": 2},
            "fit": {"conventional": 8, "loose": 2},
        },
    ),
    "jacket": (
        8,
        {
            "sleeve": {"long_sleeve": 1},
            "length": {"no_dress": 1},
            "neckline": {"v_neckline": 7, "no_neckline": 3},
            "pattern": {"solid": 9, "lattice": 1},
            "fabric": {"leather": 3, "cotton": 5, "denim": 2, "faux": 1},
            "fit": {"conventional": 1},
        },
    ),
    "mini dress": (
        15,
        {
            "sleeve": {"sleeveless": 7, "short_sleeve": 2, "long_sleeve": 1},
            "length": {"mini_length": 1},
            "neckline": {"crew_neckline": 5, "no_neckline": 4, "v_neckline": 1},
            "pattern": {"floral": 4, "solid": 5, "embroidered": 1},
            "fabric": {"cotton": 7, "chiffon": 2},
            "fit": {"tight": 4, "conventional": 5},
        },
    ),
    "maxi dress": (
        9,
        {
            "sleeve": {"sleeveless": 8, "long_sleeve": 1},
            "length": {"maxi_length": 1},
            "neckline": {"no_neckline": 5, "crew_neckline": 3, "v_neckline": 2},
            "pattern": {"floral": 3, "solid": 5, "embroidered": 2, "pleated": 1},
            "fabric": {"chiffon": 5, "cotton": 4},
            "fit": {"conventional": 6, "loose": 2, "tight": 1},
        },
    ),
}
_STRAY = 0.05


def garment_world(coupling: float = 0.7, margins: Mapping[str, Mapping[str, float]] = MARGINS) -> World:
    """The joint distribution of the six groups.

    Args:
        coupling: λ in [0, 1]; true V by pair is λ times its value at 1.
        margins: Group → class → share or count, at least 0; groups that are left out keep the challenge's.

    Raises:
        ValueError: If a group or class is unknown, a margin holds a negative number or no positive one, or λ
            lies outside [0, 1].
    """
    given, shares = {}, np.array([share for share, _ in _IDEAS.values()], dtype=float)
    shares /= shares.sum()
    _check(margins)
    for group, classes in GROUPS.items():
        margin = np.array(
            [dict(margins.get(group, MARGINS[group])).get(label, 0.0) for label in classes], dtype=float
        )
        odds = np.array(
            [[idea.get(group, {}).get(label, 0.0) for label in classes] for _, idea in _IDEAS.values()]
        )
        table = (1 - _STRAY) * odds / odds.sum(axis=1, keepdims=True) + _STRAY / len(classes)
        given[group] = _fitted(table * shares[:, None], shares, margin / margin.sum()) / shares[:, None]
    return World(shares, given, coupling)


def _check(margins: Mapping[str, Mapping[str, float]]) -> None:
    for group, classes in margins.items():
        if group not in GROUPS:
            raise ValueError(f"margins: unknown group {group!r}; allowed: {', '.join(GROUPS)}")
        for label, share in classes.items():
            if label not in GROUPS[group]:
                raise ValueError(
                    f"margins of {group}: unknown class {label!r}; allowed: {', '.join(GROUPS[group])}"
                )
            if not share >= 0:
                raise ValueError(f"margins of {group}: {label} must be at least 0; received {share}")
        if not sum(classes.values()) > 0:
            raise ValueError(f"margins of {group}: at least one class must have a positive share")


def _fitted(joint: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """A table with the margins given and the odds ratios of another (Deming and Stephan 1940)."""
    for _ in range(200):
        joint = joint * np.divide(columns, joint.sum(axis=0), out=np.zeros_like(columns), where=columns > 0)
        joint = joint * (rows / joint.sum(axis=1))[:, None]
    return joint


def group_cramers_v(world: World) -> pd.DataFrame:
    """The exact Cramér's V of every pair of groups: ``a``, ``b``, ``value`` in [0, 1]."""
    return pd.DataFrame(
        [{"a": a, "b": b, "value": world.cramers_v(a, b)} for a, b in combinations(GROUPS, 2)]
    )
