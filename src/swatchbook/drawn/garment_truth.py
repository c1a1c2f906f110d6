"""The full truth of garments: the six groups' classes, and what they leave open, drawn to agree with them.

What is open is the category, how long trousers and skirts are, whether a garment without a neckline has
straps or a hood, whether there is a belt, and the colour.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from swatchbook.drawn.garment_world import GROUPS, garment_world
from swatchbook.drawn.latent import World, truth_stream
from swatchbook.drawn.tailoring import CATEGORIES, LENGTHS, OPEN

_COLOURS: dict[str, dict[str, float]] = {
    "denim": {"blue": 11, "navy": 4, "black": 2, "grey": 1, "white": 1},
    "leather": {"black": 10, "brown": 5, "red": 2, "beige": 1},
    "faux_fur": {"brown": 4, "white": 3, "black": 3, "grey": 3, "beige": 2, "pink": 1},
}
_ANY = {
    "black": 3,
    "white": 3,
    "red": 2,
    "navy": 2,
    "beige": 2,
    "blue": 2,
    "green": 2,
    "yellow": 1,
    "grey": 2,
    "brown": 1,
    "pink": 2,
    "purple": 1,
    "orange": 1,
}


def sample_garments(n: int, seed: int, world: World | None = None) -> pd.DataFrame:
    """The full truth of n garments, drawn before any of them is.

    Args:
        n: At least 1.
        seed: At least 0.
        world: As from ``garment_world``, its default.

    Returns:
        A row a garment: ``category``, ``clothes_type`` (``upper``, ``lower`` or ``full``), ``sleeve``,
        ``length``, ``lower_length``, ``neckline``, ``belt``, ``pattern``, ``fabric``, ``fit``, ``color``;
        classes as in ``swatchbook.drawn.tailoring``, ``na`` where the garment has no such thing.
    """
    if n < 1 or seed < 0:
        raise ValueError(f"n must be at least 1 and seed at least 0; received n={n}, seed={seed}")
    rng = truth_stream(seed)
    groups = (world or garment_world()).labels(n, rng, GROUPS)
    rows = [dict(zip(groups, values, strict=True)) for values in zip(*groups.values(), strict=True)]
    return pd.DataFrame([_detailed(row, rng) for row in rows])


def challenge_groups(truth: pd.DataFrame) -> pd.DataFrame:
    """The six groups' classes of garments, in the challenge's words."""
    sleeves = {"long": "long_sleeve", "short": "short_sleeve", "sleeveless": "sleeveless", "na": "sleeveless"}
    necks = {"crew": "crew_neckline", "v": "v_neckline", "lapel": "v_neckline", "square": "square_neckline"}
    return pd.DataFrame(
        {
            "pattern": truth["pattern"],
            "sleeve": truth["sleeve"].map(sleeves),
            "length": truth["length"].map(dict(zip(LENGTHS, GROUPS["length"], strict=True))),
            "neckline": truth["neckline"].map(lambda neckline: necks.get(neckline, "no_neckline")),
            "fabric": truth["fabric"].replace("faux_fur", "faux"),
            "fit": truth["fit"],
        }
    )


def _detailed(groups: Mapping[str, str], rng: np.random.Generator) -> dict[str, object]:
    sleeve = groups["sleeve"].removesuffix("_sleeve")
    length = {"maxi_length": "maxi", "mini_length": "mini"}.get(groups["length"], "no_dress")
    neck = groups["neckline"].removesuffix("_neckline")
    fabric = "faux_fur" if groups["fabric"] == "faux" else groups["fabric"]
    row = {
        "sleeve": sleeve,
        "length": length,
        "fabric": fabric,
        "pattern": groups["pattern"],
        "fit": groups["fit"],
    }
    category = _category(row, neck, rng)
    kind = CATEGORIES[category].clothes_type
    row["color"] = _one_of(_COLOURS.get(fabric, _ANY), rng)
    if kind == "lower":
        row["sleeve"], neckline = "na", "na"
    elif neck == "no":
        bare = {"strap": 5, "strapless": 3, "halter": 2}
        neckline = (
            _one_of(bare, rng) if sleeve == "sleeveless" else "hood" if category == "Hoodie" else "turtleneck"
        )
    else:
        lapels = category in ("Blazer", "Button-Down", "Coat", "Jacket")
        neckline = "lapel" if neck == "v" and lapels else neck
    return {
        "category": category,
        "clothes_type": kind,
        "sleeve": row["sleeve"],
        "length": length,
        "lower_length": _one_of(_lower_lengths(category, length), rng),
        "neckline": neckline,
        "belt": _one_of({"no": 3, "yes": 1}, rng) if category in ("Dress", "Romper", "Jumpsuit") else "no",
        "pattern": row["pattern"],
        "fabric": fabric,
        "fit": row["fit"],
        "color": row["color"],
    }


def companion(clothes_type: str, rng: np.random.Generator) -> dict[str, object]:
    """A second garment to be worn with one: trousers or a skirt with ``upper``-body clothes, else a top."""
    if clothes_type == "upper":
        groups = {"sleeve": "sleeveless", "neckline": "no_neckline"}
        fabrics = {"cotton": 5, "denim": 4, "leather": 1, "chiffon": 1}
        patterns = {"solid": 9, "floral": 1, "striped": 1, "lattice": 1}
    else:
        sleeve = _one_of({"short_sleeve": 4, "long_sleeve": 3, "sleeveless": 3}, rng)
        groups = {"sleeve": sleeve, "neckline": _one_of({"crew_neckline": 3, "v_neckline": 1}, rng)}
        fabrics = {"cotton": 6, "knit": 2, "chiffon": 2}
        patterns = {"solid": 6, "graphic": 2, "striped": 2, "floral": 1}
    groups |= {"length": "no_dress", "fit": _one_of({"conventional": 3, "tight": 1}, rng)}
    groups |= {"fabric": _one_of(fabrics, rng), "pattern": _one_of(patterns, rng)}
    while True:
        row = _detailed(groups, rng)
        other = "lower" if clothes_type == "upper" else "upper"
        if row["clothes_type"] == other and row["category"] not in OPEN:
            return row


def _category(row: Mapping[str, str], neck: str, rng: np.random.Generator) -> str:
    """A category that shows the groups' classes."""
    sleeve, fabric = row["sleeve"], row["fabric"]
    if row["length"] != "no_dress":
        return "Dress"
    if sleeve == "sleeveless" and neck == "no":
        kind = _one_of({"lower": 62, "upper": 24, "full": 14}, rng)
        if kind == "lower":
            return _lower(row, rng)
        return (
            _one_of({"Romper": 1, "Jumpsuit": 1}, rng)
            if kind == "full"
            else _one_of({"Top": 2, "Tank": 1}, rng)
        )
    if rng.random() < 0.06 and fabric != "faux_fur":
        return _one_of({"Romper": 1, "Jumpsuit": 1}, rng)
    if sleeve == "sleeveless":
        return (
            "Top" if neck == "square" else _one_of({"Tank": 3, "Top": 2 if fabric != "chiffon" else 6}, rng)
        )
    if neck == "square":
        return _one_of({"Blouse": 1, "Top": 1}, rng)
    if neck == "no":
        warm = fabric in ("knit", "cotton")
        return _one_of({"Turtleneck": 3 if fabric == "knit" else 1, "Hoodie": 2 if warm else 0.3}, rng)
    return _one_of(
        _SLEEVED[neck].get(fabric, {"Top": 1})
        if sleeve == "long"
        else _SHORT[neck].get(fabric, {"Tee": 2, "Top": 1}),
        rng,
    )


_SLEEVED: dict[str, dict[str, dict[str, float]]] = {
    "v": {
        "leather": {"Jacket": 4, "Coat": 1},
        "faux_fur": {"Coat": 2, "Jacket": 2},
        "denim": {"Jacket": 3, "Button-Down": 1},
        "knit": {"Cardigan": 3, "Sweater": 2},
        "chiffon": {"Blouse": 4, "Button-Down": 1},
        "cotton": {"Blazer": 2, "Button-Down": 2, "Blouse": 2, "Coat": 2, "Top": 1},
    },
    "crew": {
        "leather": {"Jacket": 1},
        "faux_fur": {"Jacket": 1},
        "denim": {"Jacket": 1},
        "knit": {"Sweater": 5, "Cardigan": 1},
        "chiffon": {"Blouse": 1},
        "cotton": {"Tee": 2, "Top": 2, "Sweater": 1},
    },
}
_SHORT: dict[str, dict[str, dict[str, float]]] = {
    "v": {"chiffon": {"Blouse": 1}, "cotton": {"Tee": 3, "Button-Down": 1, "Blouse": 1}},
    "crew": {"chiffon": {"Blouse": 1}, "cotton": {"Tee": 4, "Top": 1}},
}
_LOWER: dict[str, dict[str, float]] = {
    "denim": {"Jeans": 5, "Shorts": 2, "Skirt": 1},
    "chiffon": {"Skirt": 4, "Shorts": 1},
    "cotton": {"Shorts": 3, "Skirt": 4, "Joggers": 2, "Leggings": 2},
    "leather": {"Skirt": 3, "Leggings": 2, "Shorts": 1},
    "faux_fur": {"Skirt": 1},
    "knit": {"Leggings": 2, "Joggers": 2, "Skirt": 2},
}


def _lower(row: Mapping[str, str], rng: np.random.Generator) -> str:
    odds = dict(_LOWER[row["fabric"]])
    # Leggings are tight and joggers are not; pleats are laid in skirts.
    odds.pop("Joggers" if row["fit"] == "tight" else "Leggings", None)
    return "Skirt" if row["pattern"] == "pleated" else _one_of(odds, rng)


def _lower_lengths(category: str, length: str) -> dict[str, float]:
    if category == "Dress":
        return {"long": 1} if length == "maxi" else {"three_point": 1, "medium_short": 2}
    return {
        "Skirt": {"three_point": 2, "medium_short": 3, "three_quarter": 2, "long": 1},
        "Shorts": {"three_point": 3, "medium_short": 2},
        "Romper": {"three_point": 3, "medium_short": 1},
        "Jeans": {"long": 6, "three_quarter": 1},
        "Joggers": {"long": 1},
        "Leggings": {"long": 4, "three_quarter": 1},
        "Jumpsuit": {"long": 3, "three_quarter": 1},
    }.get(category, {"na": 1})


def _one_of(odds: Mapping[str, float], rng: np.random.Generator) -> str:
    """A key, drawn with the odds given."""
    edges = np.cumsum(list(odds.values()))
    return list(odds)[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]
