"""A drawn data set in the files of DeepFashion-MultiModal, with its truth beside it.

``images/GENDER-Category-id_XXXXXXXX-CC_N_view.jpg``, ``captions.json`` (file name → sentences in the manner
of the data set's own, made from the truth), ``labels/shape/shape_anno_all.txt`` (twelve attributes) and
``labels/texture/{fabric,pattern}_ann.txt`` (upper, lower and outer clothes); no headers, the last value of
each attribute means that there is no such thing. Somebody wears every garment, together with a second one
where it is no full-body one. An item has one to three photographs of the same clothes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.atomic import new_folder
from swatchbook.csv_io import write_csv
from swatchbook.drawn.files import require_drawable
from swatchbook.drawn.garment_files import draw_garments, write_lines, write_world
from swatchbook.drawn.garment_truth import companion, sample_garments
from swatchbook.drawn.garment_world import garment_world
from swatchbook.drawn.latent import truth_stream
from swatchbook.drawn.tailoring import OPEN

FABRICS = ("denim", "cotton", "leather", "faux_fur", "knit", "chiffon", "other", "na")
PATTERNS = ("floral", "graphic", "striped", "solid", "lattice", "other", "color_block", "na")
SLEEVES = ("sleeveless", "short", "medium", "long", "not_long", "na")
LOWER_LENGTHS = ("three_point", "medium_short", "three_quarter", "long", "na")
_NECKLINES = {
    "v": 0,
    "square": 1,
    "crew": 2,
    "turtleneck": 3,
    "hood": 3,
    "lapel": 4,
    "strap": 5,
    "halter": 5,
    "strapless": 6,
}
_FILED = {
    "Blouse": "Blouses_Shirts",
    "Top": "Blouses_Shirts",
    "Button-Down": "Blouses_Shirts",
    "Cardigan": "Cardigans",
    "Jeans": "Denim",
    "Dress": "Dresses",
    "Jacket": "Jackets_Coats",
    "Coat": "Jackets_Coats",
    "Blazer": "Jackets_Coats",
    "Leggings": "Leggings",
    "Joggers": "Pants",
    "Romper": "Rompers_Jumpsuits",
    "Jumpsuit": "Rompers_Jumpsuits",
    "Shorts": "Shorts",
    "Skirt": "Skirts",
    "Sweater": "Sweaters",
    "Turtleneck": "Sweaters",
    "Hoodie": "Sweatshirts_Hoodies",
    "Tee": "Tees_Tanks",
    "Tank": "Tees_Tanks",
}
_MENS = {"Button-Down": "Shirts_Polos", "Blazer": "Suiting", "Jacket": "Jackets_Vests"}
_FOR_MEN = (
    "Button-Down",
    "Blazer",
    "Jacket",
    "Jeans",
    "Joggers",
    "Shorts",
    "Sweater",
    "Hoodie",
    "Tee",
    "Tank",
    "Coat",
)
_VIEWS = ("1_front", "4_full", "7_additional")
_NOUNS = {
    "Tee": "T-shirt",
    "Tank": "tank top",
    "Top": "tank top",
    "Blouse": "shirt",
    "Button-Down": "shirt",
    "Sweater": "sweater",
    "Turtleneck": "sweater",
    "Hoodie": "hoodie",
    "Cardigan": "cardigan",
    "Jacket": "jacket",
    "Blazer": "blazer",
    "Coat": "coat",
    "Dress": "dress",
    "Romper": "romper",
    "Jumpsuit": "jumpsuit",
    "Jeans": "trousers",
    "Joggers": "pants",
    "Leggings": "leggings",
    "Shorts": "shorts",
    "Skirt": "skirt",
}
_WORDS = {
    "faux_fur": "furry",
    "knit": "knitting",
    "solid": "pure color",
    "embroidered": "other",
    "pleated": "other",
    "three_point": "three-point",
    "medium_short": "medium",
    "three_quarter": "three-quarter",
}
_NECK_WORDS = ("v-shape", "square", "round", "stand", "lapel", "suspenders")


def write_multimodal(
    out: Path,
    *,
    n_items: int,
    coupling: float = 0.7,
    seed: int,
    size: int = 300,
    workers: int | None = None,
) -> pd.DataFrame:
    """Draw a data set: ``images``, ``captions.json``, ``labels``, ``truth.csv`` and ``world.json``.

    Either all of it is there in the end or nothing is; the files do not depend on the number of workers.

    Args:
        out: The folder to make; it must not hold anything yet.
        n_items: Items, at least 1; each has one to three photographs.
        coupling: λ in [0, 1], see ``garment_world``.
        seed: At least 0.
        size: The height in pixels.
        workers: Processes; all cores by default, 1 draws in this process.

    Returns:
        The truth, a row an image, as from ``garment_files.draw_garments``, with ``path``, ``item``,
        ``gender``, ``view``, the second garment's columns (``other_…``) and ``caption``.

    Raises:
        ValueError: If an argument lies outside its range or ``out`` holds something.
        StoreError: If the target cannot be written; nothing is left behind.
    """
    require_drawable(seed=seed, size=size, workers=workers, n_items=(n_items, 1))
    world = garment_world(coupling)
    truth = _images(sample_garments(n_items, seed, world), truth_stream(seed).spawn(1)[0])
    names = truth["path"].str.removeprefix("images/")
    with new_folder(out) as folder:
        truth = draw_garments(folder, truth, seed, size, workers)
        captions = dict(zip(names, truth["caption"], strict=True))
        (folder / "captions.json").write_text(json.dumps(captions), encoding="utf-8")
        rows = truth.to_dict("records")
        labels = folder / "labels"
        for path, codes in (
            (labels / "shape" / "shape_anno_all.txt", shape_codes),
            (labels / "texture" / "fabric_ann.txt", lambda row: worn_codes(row, "fabric", FABRICS)),
            (labels / "texture" / "pattern_ann.txt", lambda row: worn_codes(row, "pattern", PATTERNS)),
        ):
            lines = zip(names, map(codes, rows), strict=True)
            write_lines(path, [" ".join([name, *map(str, line)]) for name, line in lines])
        write_csv(truth, folder / "truth.csv")
        write_world(folder / "world.json", world, seed=seed, size=size)
    return truth


def _images(items: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """A row a photograph of the items, with file names, second garments and captions."""
    rows = []
    for number, item in enumerate(items.to_dict("records"), 1):
        category = item["category"]
        gender = "MEN" if category in _FOR_MEN and rng.random() < 0.25 else "WOMEN"
        filed = _MENS.get(category, _FILED[category]) if gender == "MEN" else _FILED[category]
        if category == "Tee" and item["pattern"] == "graphic":
            filed = "Graphic_Tees"
        if item["clothes_type"] != "full" or category == "Coat":
            half = "lower" if item["clothes_type"] == "lower" else "upper"
            other = companion(half, rng)
            while gender == "MEN" and other["category"] not in _FOR_MEN:
                other = companion(half, rng)
            item |= {f"other_{name}": value for name, value in other.items()}
        item["cloth_seed"] = int(rng.integers(2**31))
        for view in _VIEWS[: rng.integers(1, 4)]:
            name = f"{gender}-{filed}-id_{number:08d}-01_{view}.jpg"
            row = {"path": f"images/{name}", "item": f"id_{number:08d}", "gender": gender, **item}
            row |= {"view": "full" if "full" in view else "front", "caption": _caption(item, gender, rng)}
            rows.append(row)
    return pd.DataFrame(rows).sort_values("path", ignore_index=True)


def worn(row: Mapping[str, object]) -> dict[str, Mapping[str, object] | None]:
    """A row's garments by where they are worn: ``upper``, ``lower`` and ``outer``, None where there is none.

    A dress is both upper and lower clothes. Below an open jacket lies a plain cotton top.
    """
    main = {
        name: row[name] for name in ("category", "sleeve", "lower_length", "neckline", "fabric", "pattern")
    }
    second = None
    if isinstance(row.get("other_category"), str):
        second = {name: row[f"other_{name}"] for name in main}
    if row["category"] in OPEN:
        top = main | {
            "category": "Tank",
            "sleeve": "sleeveless",
            "neckline": "crew",
            "fabric": "cotton",
            "pattern": "solid",
        }
        return {"upper": top, "lower": second, "outer": main}
    if row["clothes_type"] == "full":
        return {"upper": main, "lower": main, "outer": None}
    upper, lower = (second, main) if row["clothes_type"] == "lower" else (main, second)
    return {"upper": upper, "lower": lower, "outer": None}


def worn_codes(row: Mapping[str, object], of: str, classes: tuple[str, ...]) -> list[int]:
    """The codes of upper, lower and outer clothes; what the data set has no word for is ``other``."""
    labels = [garment[of] if garment else "na" for garment in worn(row).values()]
    return [classes.index(label) if label in classes else classes.index("other") for label in labels]


def shape_codes(row: Mapping[str, object]) -> list[int]:
    """The twelve shape attributes of what somebody wears.

    They are sleeve, lower length, socks, hat, glasses, neckwear, wrist, ring, waist, neckline, cardigan and
    whether the navel is covered.
    """
    clothes = worn(row)
    seen, lower = clothes["outer"] or clothes["upper"], clothes["lower"]
    sleeve = SLEEVES.index(seen["sleeve"])
    length = LOWER_LENGTHS.index(lower["lower_length"]) if lower else len(LOWER_LENGTHS) - 1
    belt, cardigan = int(row["belt"] == "yes"), int(row["category"] != "Cardigan")
    return [sleeve, length, 0, 0, 0, 0, 0, 0, belt, _NECKLINES[seen["neckline"]], cardigan, 1]


def _caption(item: Mapping[str, object], gender: str, rng: np.random.Generator) -> str:
    """Sentences about what somebody wears, in one of several wordings."""
    people = (
        ("gentleman", "man", "guy", "person") if gender == "MEN" else ("lady", "woman", "female", "person")
    )
    clothes = worn(item)
    upper = clothes["outer"] or clothes["upper"]
    sentences = [_upper_sentences(upper, _subject(people, rng), rng)]
    if clothes["lower"] is not None and clothes["lower"] is not clothes["upper"]:
        sentences.append(_lower_sentences(clothes["lower"], _subject(people, rng), rng))
    elif clothes["lower"] is not None:
        sentences.append(f"It is of {_word(clothes['lower']['lower_length'])} length.")
    if item["belt"] == "yes":
        sentences.append("There is a belt on her waist.")
    return " ".join(sentences)


def _subject(people: tuple[str, ...], rng: np.random.Generator) -> str:
    return f"{('The', 'This')[rng.integers(2)]} {people[rng.integers(len(people))]}"


def _upper_sentences(garment: Mapping[str, object], who: str, rng: np.random.Generator) -> str:
    noun, fabric, pattern = (_NOUNS[garment["category"]], _word(garment["fabric"]), _word(garment["pattern"]))
    sleeve = {"sleeveless": "sleeveless", "short": "short-sleeve", "long": "long-sleeve"}[garment["sleeve"]]
    wears = ("wears", "is wearing")[rng.integers(2)]
    neck = _NECKLINES[garment["neckline"]]
    shape = "" if neck == len(_NECK_WORDS) else _NECK_WORDS[neck]
    if rng.random() < 0.5:
        tail = f" and its neckline is {shape}" if shape else ""
        return (
            f"{who} {wears} a {sleeve} {noun} with {pattern} patterns. "
            f"The {noun} is with {fabric} fabric{tail}."
        )
    has = {"sleeveless": "no sleeves", "short": "short sleeves", "long": "long sleeves"}[garment["sleeve"]]
    tail = f" The neckline of it is {shape}." if shape else ""
    who = who[0].lower() + who[1:]
    return f"The {noun} {who} {wears} has {has}, {fabric} fabric and {pattern} patterns.{tail}"


def _lower_sentences(garment: Mapping[str, object], who: str, rng: np.random.Generator) -> str:
    noun, length = _NOUNS[garment["category"]], _word(garment["lower_length"])
    fabric, pattern = _word(garment["fabric"]), _word(garment["pattern"])
    if rng.random() < 0.5:
        return f"{who} wears a {length} {noun}, with {fabric} fabric and {pattern} patterns."
    be = "is" if noun == "skirt" else "are"
    return (
        f"The {noun} {who[0].lower()}{who[1:]} wears is of {length} length. "
        f"The {noun} {be} with {fabric} fabric and {pattern} patterns."
    )


def _word(label: object) -> str:
    return _WORDS.get(str(label), str(label))
