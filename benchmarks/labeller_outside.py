"""How right labellers are on photographs of other collections, whose labels others gave.

    python benchmarks/labeller_outside.py --dresses DIR --stanford DIR --products DIR \
        --out docs/results/labeller_outside.csv

Nothing here chose or taught a labeller; the project keeps none of these photographs. Sets may be left out.

- dresses: Holim0711/processed-categorization-dress-patterns at 23ebb15b3dcd, its ``valid.txt``
  (CrowdFlower's workers): one pattern of seven.
- stanford: ClothingAttributeDataset of suki2691/ClothingClassifier at e20a181fd9b3 (Chen, Gallagher & Girod,
  ECCV 2012; six workers each): people in clothes; those with exactly one colour, with exactly one pattern.
- products: ``images`` of GaneshNeupane01/Fashion-Recommendation-System at 7cf263426a1a, and ``styles.csv``
  of animmala3942/FashionProductRecommendationSystem at 91e8036739fe: the shop's base colour of clothes and
  shoes.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.io import loadmat

from swatchbook.atomic import write_file
from swatchbook.csv_io import write_csv
from swatchbook.evaluation.resample import image_weights
from swatchbook.evaluation.scores import score_table
from swatchbook.labeller.nearest_colour import centre_colour, navy_as_blue, nearest_colour
from swatchbook.labeller.training.quality import cosines_of, quality_table
from swatchbook.labeller.zero_shot import Labeller
from swatchbook.pipeline.provenance import provenance
from swatchbook.schema import Schema

DRESSES = {
    "0": "solid", "1": "floral", "2": "striped", "3": "polka_dot", "5": "checkered_plaid",
    "7": "animal_print", "8": "geometric",
}  # fmt: skip
STANFORD = {
    "color": {
        "black": "black", "white": "white", "gray": "grey", "red": "red", "yellow": "yellow",
        "green": "green", "blue": "blue", "purple": "purple", "brown": "brown",
        "cyan": None, "many_colors": None,
    },
    "pattern": {
        "pattern_solid": "solid", "pattern_floral": "floral", "pattern_spot": "polka_dot",
        "pattern_graphics": "graphic", "pattern_plaid": "checkered_plaid", "pattern_stripe": "striped",
    },
}  # fmt: skip
PRODUCTS = {
    **{name: name.lower() for name in ("Black", "White", "Blue", "Brown", "Grey", "Red", "Green", "Pink")},
    **{name: name.lower() for name in ("Purple", "Yellow", "Beige", "Orange")},
    "Navy Blue": "navy",
}
WORN = ("Apparel", "Footwear")
COLUMNS = ["set", "labeller", "attribute", "class", "metric", "value", "low", "high", "n", "interval"]
COLUMNS += ["command", "commit"]


def dresses(root: Path) -> pd.DataFrame:
    """Paths and patterns."""
    rows = [line.split() for line in (root / "valid.txt").read_text(encoding="utf-8").splitlines()]
    found = [(root / "image" / f"{name}.jpg", DRESSES[code]) for name, code in rows if code in DRESSES]
    return pd.DataFrame(found, columns=["path", "pattern"]).assign(color=None)


def stanford(root: Path) -> pd.DataFrame:
    """Paths, colours and patterns, null where the workers gave none or several."""
    table = pd.DataFrame({"path": sorted((root / "images").glob("*.jpg"))})
    for attribute, classes in STANFORD.items():
        given = [loadmat(root / "labels" / f"{name}_GT.mat")["GT"].ravel() == 2 for name in classes]
        given, names = np.stack(given, axis=1), np.array(list(classes.values()), dtype=object)
        table[attribute] = np.where(given.sum(1) == 1, names[given.argmax(1)], None)
    return table


def products(root: Path, n: int = 2000) -> pd.DataFrame:
    """Paths and colours of some at random."""
    styles = pd.read_csv(root / "styles.csv", dtype=str, on_bad_lines="skip")
    styles = styles[styles["masterCategory"].isin(WORN)].drop_duplicates("id")
    table = pd.DataFrame({"path": sorted((root / "images").glob("*.jpg"))})
    names = table["path"].map(lambda path: path.stem)
    table["color"] = names.map(styles.set_index("id")["baseColour"]).map(PRODUCTS)
    kept = table[table["color"].notna()]
    return kept.sample(min(n, len(kept)), random_state=1).reset_index(drop=True).assign(pattern=None)


def schema_of(table: pd.DataFrame) -> Schema:
    """Colour and pattern, with the classes that occur; an attribute without any is left out."""
    whole, kept = Schema.load("wardrobe"), []
    for a in (whole["color"], whole["pattern"]):
        present = set(table[a.name].dropna())
        surface = {label: words for label, words in a.surface.items() if label in present}
        if surface:
            kept.append(dataclasses.replace(a, surface=surface))
    return Schema("outside", tuple(kept))


def by_nearest_colour(table: pd.DataFrame, schema: Schema, weights: np.ndarray) -> pd.DataFrame:
    """Scores of the nearest colour's name."""
    alone = Schema("outside", (schema["color"],))
    colours = np.stack([centre_colour(Image.open(path).convert("RGB")) for path in table["path"]])
    named, _ = navy_as_blue(nearest_colour(colours, schema["color"].classes), table["color"])
    codes = alone.encode(pd.DataFrame({"color": named}), "nearest colour")
    scores = score_table(alone.encode(table, "labels"), {"nearest colour": codes}, alone, weights)
    return scores.rename(columns={"head": "attribute"})


def main(given: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    readers = {"dresses": dresses, "stanford": stanford, "products": products}
    for name in readers:
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--labellers", nargs="+", default=["bundled", "drawn-only"])
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args(given)
    command = shlex.join(["python", "benchmarks/labeller_outside.py", *sys.argv[1:]])
    tables = []
    for name, reader in readers.items():
        if getattr(asked, name) is None:
            continue
        table = reader(getattr(asked, name))
        table = table[table[["color", "pattern"]].notna().any(axis=1)].reset_index(drop=True)
        schema = schema_of(table)
        weights = image_weights(len(table), 1000, np.random.default_rng(1))
        for labeller in asked.labellers:
            model = Labeller.load(labeller, device="cpu")
            cosines = cosines_of(model, model.encode(table["path"].tolist()), schema)
            tables.append(quality_table(cosines, table, schema, weights).assign(set=name, labeller=labeller))
        if "color" in schema.names:
            scores = by_nearest_colour(table, schema, weights)
            kept = scores["metric"].isin(["accuracy", "macro_f1"]) & (scores["attribute"] == "color")
            scores = scores[kept & (scores["class"] == "all")]
            tables.append(scores.assign(set=name, labeller="nearest colour"))
        print(f"{name}: {len(table):,} photographs", flush=True)
    found = pd.concat(tables, ignore_index=True).assign(command=command, commit=provenance()["commit"])
    write_file(asked.out, lambda path: write_csv(found[COLUMNS], path, float_format="%.4f"))


if __name__ == "__main__":
    main()
