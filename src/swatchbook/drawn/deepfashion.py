"""A drawn data set in the files of DeepFashion's category and attribute benchmark, with its truth beside it.

``Anno_coarse`` (categories, attributes of the five types, boxes, landmarks with visibility), ``Anno_fine``
(the 26 attributes of six types, in files by split without headers), ``Eval/list_eval_partition.txt`` and
``Img/img/<Item>/img_00000001.jpg``. Every ``list_`` file begins with the number of its rows and the names of
its columns, which are padded with spaces. A point that the picture's edge cuts off has visibility 2 and is
at 0, 0. "Left" is the left of the picture, as in the benchmark's photographs of people who face the camera.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pandas as pd

from swatchbook.atomic import new_folder
from swatchbook.csv_io import write_csv
from swatchbook.drawn.files import require_drawable
from swatchbook.drawn.garment_files import (
    corners_of,
    draw_garments,
    points_of,
    splits,
    write_lines,
    write_world,
)
from swatchbook.drawn.garment_truth import challenge_groups, sample_garments
from swatchbook.drawn.garment_world import GROUPS, garment_world

# All categories of the benchmark in its order, by the type of clothes.
CATEGORY_NAMES = {
    "upper": (
        *("Anorak", "Blazer", "Blouse", "Bomber", "Button-Down", "Cardigan", "Flannel", "Halter", "Henley"),
        *("Hoodie", "Jacket", "Jersey", "Parka", "Peacoat", "Poncho", "Sweater", "Tank", "Tee", "Top"),
        "Turtleneck",
    ),
    "lower": (
        *("Capris", "Chinos", "Culottes", "Cutoffs", "Gauchos", "Jeans", "Jeggings", "Jodhpurs", "Joggers"),
        *("Leggings", "Sarong", "Shorts", "Skirt", "Sweatpants", "Sweatshorts", "Trunks"),
    ),
    "full": (
        *(
            "Caftan",
            "Cape",
            "Coat",
            "Coverup",
            "Dress",
            "Jumpsuit",
            "Kaftan",
            "Kimono",
            "Nightdress",
            "Onesie",
        ),
        *("Robe", "Romper", "Shirtdress", "Sundress"),
    ),
}
CATEGORY_IDS = {name: number for number, name in enumerate(chain(*CATEGORY_NAMES.values()), 1)}


def _is(column: str, *labels: str) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda truth: truth[column].isin(labels)


# Attribute → its type (1 texture, 2 fabric, 3 shape, 4 part, 5 style) and where it holds.
ATTRIBUTES: dict[str, tuple[int, Callable[[pd.DataFrame], pd.Series]]] = {
    "a-line": (3, lambda t: t["category"].isin(["Dress", "Skirt"]) & (t["fit"] != "tight")),
    "belted": (4, _is("belt", "yes")),
    "bodycon": (3, lambda t: t["category"].isin(["Dress", "Skirt"]) & (t["fit"] == "tight")),
    "boho": (5, lambda t: (t["length"] == "maxi") & t["pattern"].isin(["floral", "embroidered"])),
    "casual": (5, _is("category", "Tee", "Tank", "Hoodie", "Joggers", "Jeans")),
    "chiffon": (2, _is("fabric", "chiffon")),
    "classic": (5, _is("category", "Blazer", "Coat", "Button-Down")),
    "collar": (4, _is("neckline", "lapel")),
    "cotton": (2, _is("fabric", "cotton")),
    "crew neck": (4, _is("neckline", "crew")),
    "denim": (2, _is("fabric", "denim")),
    "embroidered": (1, _is("pattern", "embroidered")),
    "faux fur": (2, _is("fabric", "faux_fur")),
    "floral print": (1, _is("pattern", "floral")),
    "graphic print": (1, _is("pattern", "graphic")),
    "halter": (4, _is("neckline", "halter")),
    "hooded": (4, _is("neckline", "hood")),
    "knit": (2, _is("fabric", "knit")),
    "leather": (2, _is("fabric", "leather")),
    "long sleeve": (4, _is("sleeve", "long")),
    "loose": (3, _is("fit", "loose")),
    "maxi": (3, _is("length", "maxi")),
    "midi": (3, _is("lower_length", "three_quarter")),
    "mini": (3, _is("length", "mini")),
    "party": (5, lambda t: (t["length"] == "mini") & (t["fit"] == "tight")),
    "plaid": (1, _is("pattern", "lattice")),
    "pleated": (1, _is("pattern", "pleated")),
    "short sleeve": (4, _is("sleeve", "short")),
    "skinny": (3, lambda t: t["category"].isin(["Jeans", "Leggings", "Jumpsuit"]) & (t["fit"] == "tight")),
    "sleeveless": (4, _is("sleeve", "sleeveless")),
    "solid": (1, _is("pattern", "solid")),
    "square neck": (4, _is("neckline", "square")),
    "strapless": (4, _is("neckline", "strapless")),
    "strappy": (4, _is("neckline", "strap")),
    "striped": (1, _is("pattern", "striped")),
    "summer": (
        5,
        lambda t: t["fabric"].isin(["chiffon", "cotton"]) & t["neckline"].isin(["strap", "halter"]),
    ),
    "turtleneck": (4, _is("neckline", "turtleneck")),
    "v-neck": (4, _is("neckline", "v")),
    "winter": (5, lambda t: t["fabric"].isin(["faux_fur", "knit"]) & (t["sleeve"] == "long")),
}

#: Group of attributes → the group of the world that it shows, and each attribute's class there.
LABELS: dict[str, tuple[str, dict[str, str]]] = {
    "texture": (
        "pattern",
        {"floral print": "floral", "graphic print": "graphic", "plaid": "lattice"}
        | {name: name for name in ("embroidered", "pleated", "solid", "striped")},
    ),
    "fabric": (
        "fabric",
        {"faux fur": "faux"} | {name: name for name in ("chiffon", "cotton", "denim", "knit", "leather")},
    ),
}


def write_deepfashion(
    out: Path,
    *,
    n_train: int,
    n_val: int,
    n_test: int,
    coupling: float = 0.7,
    seed: int,
    size: int = 300,
    workers: int | None = None,
) -> pd.DataFrame:
    """Draw a data set: ``Anno_coarse``, ``Anno_fine``, ``Eval``, ``Img``, ``truth.csv`` and ``world.json``.

    Either all of it is there in the end or nothing is; the files do not depend on the number of workers.

    Args:
        out: The folder to make; it must not hold anything yet.
        n_train: Images in the training split, at least 0.
        n_val: Images in the validation split, at least 0.
        n_test: Images in the test split, at least 0.
        coupling: λ in [0, 1], see ``garment_world``.
        seed: At least 0.
        size: The longer side in pixels.
        workers: Processes; all cores by default, 1 draws in this process.

    Returns:
        The truth, a row an image in the files' order, as from ``garment_files.draw_garments``, with ``path``
        and ``split``.

    Raises:
        ValueError: If an argument lies outside its range or ``out`` holds something.
        StoreError: If the target cannot be written; nothing is left behind.
    """
    counts = {"n_train": (n_train, 0), "n_val": (n_val, 0), "n_test": (n_test, 0)}
    require_drawable(seed=seed, size=size, workers=workers, **counts, images=(n_train + n_val + n_test, 1))
    world = garment_world(coupling)
    split = splits(train=n_train, val=n_val, test=n_test)
    truth = sample_garments(len(split), seed, world)
    words = [truth[name].str.title() for name in ("color", "pattern", "fabric", "category")]
    item = words[0] + "_" + words[1] + "_" + words[2] + "_" + words[3]
    number = truth.groupby(item).cumcount() + 1
    truth.insert(0, "path", "Img/img/" + item + "/img_" + number.astype(str).str.zfill(8) + ".jpg")
    truth.insert(1, "split", split)
    truth = truth.sort_values("path", ignore_index=True)
    with new_folder(out) as folder:
        truth = draw_garments(folder, truth, seed, size, workers)
        _write_coarse(folder, truth)
        _write_fine(folder / "Anno_fine", truth)
        write_csv(truth, folder / "truth.csv")
        write_world(folder / "world.json", world, seed=seed, size=size)
    return truth


def _write_coarse(folder: Path, truth: pd.DataFrame) -> None:
    anno, images = folder / "Anno_coarse", truth["path"].str.removeprefix("Img/")
    _write_categories(anno)
    _write_list(
        anno / "list_category_img.txt",
        "image_name  category_label",
        images,
        truth["category"].map(CATEGORY_IDS),
    )
    _write_list(
        anno / "list_attr_cloth.txt",
        "attribute_name  attribute_type",
        ATTRIBUTES,
        (kind for kind, _ in ATTRIBUTES.values()),
        30,
    )
    holds = pd.DataFrame({name: where(truth) for name, (_, where) in ATTRIBUTES.items()})
    signs = [" ".join(f"{1 if value else -1:2d}" for value in row) for row in holds.to_numpy()]
    _write_list(anno / "list_attr_img.txt", "image_name  attribute_labels", images, signs)
    rows = truth.to_dict("records")
    boxes = [" ".join(f"{value:03d}" for value in corners_of(row)) for row in rows]
    _write_list(anno / "list_bbox.txt", "image_name  x_1  y_1  x_2  y_2", images, boxes)
    columns = "  ".join(
        f"landmark_visibility_{k}  landmark_location_x_{k}  landmark_location_y_{k}" for k in range(1, 9)
    )
    kinds = [list(CATEGORY_NAMES).index(row["clothes_type"]) + 1 for row in rows]
    triples = [" ".join(f"{seen} {x:03d} {y:03d}" for seen, x, y in points_of(row)) for row in rows]
    points = [f"{kind} {triple}" for kind, triple in zip(kinds, triples, strict=True)]
    _write_list(anno / "list_landmarks.txt", f"image_name  clothes_type  {columns}", images, points)
    _write_list(
        folder / "Eval" / "list_eval_partition.txt", "image_name  evaluation_status", images, truth["split"]
    )


def _write_fine(folder: Path, truth: pd.DataFrame) -> None:
    names = [(label, number) for number, classes in enumerate(GROUPS.values(), 1) for label in classes]
    _write_list(
        folder / "list_attr_cloth.txt", "attribute_name  attribute_type", *zip(*names, strict=True), 20
    )
    _write_categories(folder)
    groups = challenge_groups(truth)
    positive = pd.DataFrame(
        {label: groups[group] == label for group, labels in GROUPS.items() for label in labels}
    )
    for split in ("train", "val", "test"):
        here = truth["split"] == split
        rows = truth[here]
        write_lines(folder / f"{split}.txt", rows["path"].str.removeprefix("Img/").tolist())
        bits = [" ".join(map(str, row)) for row in positive[here].astype(int).to_numpy()]
        write_lines(folder / f"{split}_attr.txt", bits)
        write_lines(folder / f"{split}_cate.txt", rows["category"].map(CATEGORY_IDS).astype(str).tolist())
        boxes = [" ".join(f"{value:03d}" for value in corners_of(row)) for row in rows.to_dict("records")]
        write_lines(folder / f"{split}_bbox.txt", boxes)
        points = [[(x, y) for _, x, y in points_of(row)] for row in rows.to_dict("records")]
        padded = [[*row, *[(0, 0)] * (8 - len(row))] for row in points]
        write_lines(
            folder / f"{split}_landmards.txt", [" ".join(f"{x} {y}" for x, y in row) for row in padded]
        )


def _write_categories(folder: Path) -> None:
    kinds = [kind for kind, names in enumerate(CATEGORY_NAMES.values(), 1) for _ in names]
    _write_list(folder / "list_category_cloth.txt", "category_name  category_type", CATEGORY_IDS, kinds, 14)


def _write_list(path: Path, header: str, names: object, values: object, width: int = 70) -> None:
    lines = [f"{name:<{width}} {value}" for name, value in zip(names, values, strict=True)]
    write_lines(path, [str(len(lines)), header, *lines])
