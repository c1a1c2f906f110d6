"""DeepFashion-MultiModal: photographs with captions and with labels of shape, fabric and pattern.

``images/WOMEN-Tees_Tanks-id_00000813-09_2_side.jpg`` names gender, category, item, colour variant, number and
kind of view. ``captions.json`` maps such names to captions; ``shape_anno_all.txt``, ``fabric_ann.txt`` and
``pattern_ann.txt`` have a line an image. Where these files lie below the source does not matter.

The photographs of the In-shop benchmark show garments of the same items; see `read_either`.

Source: Jiang et al. (2022), Text2Human, ACM Trans. Graph. 41(4), and the data set's README.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from swatchbook.data.duplicates import split_by_group
from swatchbook.data.images import require
from swatchbook.data.number_rows import read_rows
from swatchbook.data.source import locate
from swatchbook.data.strict_csv import DataError
from swatchbook.schema import Schema

SCHEMA = "multimodal"
SHARES = {"train": 0.70, "val": 0.15, "test": 0.15}  # published
NA = "na"
NAME_COLUMNS = ("gender", "category", "item", "variant", "number", "view")
_NAME = re.compile(r"(MEN|WOMEN)-(.+)-(id_\d{8})-(\d{2})_(\d+)_([a-z]+)\.jpg")
_INSHOP = re.compile(r"id_\d{8}\.jpg")
_SHAPE, _TEXTURE = 12, 3  # attributes in a line of the shape file, and of the fabric and the pattern file


class Multimodal(NamedTuple):
    """The data set.

    Attributes:
        manifest: A row an image; see `read`.
        problems: ``problem, image_id, detail``, a row each thing that was found wrong and left out.
    """

    manifest: pd.DataFrame
    problems: pd.DataFrame


def read(source: Path, into: Path | None = None) -> Multimodal:
    """Read names, captions and labels; no image is opened (`images.examine` does).

    Args:
        source: The folder with ``images``, a folder that holds it, or an archive.
        into: Where an archive is unpacked; beside it by default.

    Returns:
        The manifest, by name: ``image_id`` (the file's name), ``path``, ``folder`` (the category), ``split``
        (null), `NAME_COLUMNS`, ``caption``, and the 18 attributes of the schema ``multimodal`` by class
        name; captions and labels are null where the files have none. Left out, and listed as problems, are:
        images without a file, names that cannot be read, and all captions but the first of one image.

    Raises:
        DataError: If a file is missing or there twice, or a line of it does not fit.
    """
    root = locate(Path(source), "DeepFashion-MultiModal's archive", ("images",), into)
    captions, problems = read_captions([_only(root, "captions.json")])
    labels = read_labels(root)
    files = {path.name for path in (root / "images").iterdir() if not path.name.startswith(".")}
    wanted = files | set(captions.index) | set(labels.index)
    names = parse_names(sorted(wanted))
    problems += [("name not readable", name, "") for name in sorted(wanted - set(names.index))]
    problems += [("image missing", name, "") for name in names.index.difference(files)]
    names = names.loc[names.index.isin(files)]
    if names.empty:
        raise DataError(
            f"{str(root / 'images')!r} holds none of the labelled images; allowed: their JPEG files"
        )
    manifest = names.join(captions).join(labels).rename_axis("image_id").reset_index()
    manifest.insert(
        1, "path", [f"{root.absolute().as_posix()}/images/{name}" for name in manifest["image_id"]]
    )
    manifest.insert(2, "folder", manifest["category"])
    manifest.insert(3, "split", None)
    return Multimodal(manifest, pd.DataFrame(problems, columns=["problem", "image_id", "detail"]))


def read_either(source: Path, into: Path | None = None) -> Multimodal:
    """Read the data set, or the photographs of the In-shop benchmark with its labels and captions.

    Args:
        source: As for `read`; or a folder with ``img`` or ``data/img`` (``id_XXXXXXXX.jpg``), files that
        end in
            ``captions.json``, and the three label files, wherever they lie in it.
        into: As for `read`.

    Returns:
        As `read`; of In-shop photographs the columns of `join_inshop`, of items with one colour variant only.

    Raises:
        DataError: As `read` and `join_inshop`.
    """
    source = Path(source)
    homes = [home for home in (source / "img", source / "data" / "img") if home.is_dir()]
    if (source / "images").is_dir() or not homes:
        return read(source, into)
    captions = sorted(source.rglob("*captions.json"))
    if not captions:
        raise DataError(f"{str(source)!r} has no captions; allowed: one or more files *captions.json")
    joined = join_inshop(homes[0], source, captions)
    several = joined["variants"] > 1
    problems = pd.DataFrame(
        {"problem": "several colour variants", "image_id": joined.loc[several, "image_id"], "detail": ""}
    )
    return Multimodal(joined[~several].reset_index(drop=True), problems.reset_index(drop=True))


def _only(root: Path, name: str) -> Path:
    """The one file of this name below a folder."""
    found = sorted(root.rglob(name))
    if len(found) != 1:
        received = ", ".join(str(path.relative_to(root)) for path in found) or "none"
        raise DataError(f"{str(root)!r} has {received}; allowed: one {name}")
    return found[0]


def parse_names(names: Iterable[str]) -> pd.DataFrame:
    """What file names say: `NAME_COLUMNS`, indexed by name, without the names that cannot be read.

    A name that can be read has the pattern at the head of this module and a category of the schema.
    """
    categories = set(Schema.load(SCHEMA)["category"].classes)
    rows = {name: match.groups() for name in names if (match := _NAME.fullmatch(name))}
    rows = {name: row for name, row in rows.items() if row[1] in categories}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(NAME_COLUMNS), dtype=object)
    return table.astype({"number": int})


def read_captions(paths: Sequence[Path]) -> tuple[pd.Series, list[tuple[str, str, str]]]:
    """Captions by the name of their image, with ``.jpg``, and the problems met.

    Args:
        paths: JSON files of one dictionary each, image → caption.

    Returns:
        ``caption`` by name; and a problem for each further caption of an image.

    Raises:
        DataError: If a file is no JSON of texts.
    """
    pairs: list[tuple[str, object]] = []
    for path in paths:
        try:
            content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=list)
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path.name} cannot be read: {error}") from None
        if not isinstance(content, list) or not all(isinstance(pair, tuple) for pair in content):
            raise DataError(f"{path.name} is no dictionary; allowed: image → caption")
        pairs += content
    captions, problems = {}, []
    for name, caption in pairs:
        name = name if name.endswith(".jpg") else f"{name}.jpg"
        if not isinstance(caption, str) or not caption.strip():
            raise DataError(f"the caption of {name!r} is {caption!r}; allowed: a text")
        if name in captions:
            problems.append(("captioned twice", name, caption))
        captions.setdefault(name, caption)
    return pd.Series(captions, name="caption", dtype=object), problems


def read_labels(root: Path) -> pd.DataFrame:
    """The 18 attributes by class name, indexed by the image's name; null where a file lacks the image.

    Raises:
        DataError: If a file is missing, has an image twice, or a code is no class; names the line.
    """
    attributes = Schema.load(SCHEMA).attributes[1:]
    files = {
        "shape_anno_all.txt": attributes[:_SHAPE],
        "fabric_ann.txt": attributes[_SHAPE : _SHAPE + _TEXTURE],
        "pattern_ann.txt": attributes[_SHAPE + _TEXTURE :],
    }
    tables = []
    for name, asked in files.items():
        images, codes = read_rows(_only(root, name), len(asked), named=True)
        index = pd.Index(images)
        if index.has_duplicates:
            raise DataError(f"{name} has {index[index.duplicated()][0]!r} twice; allowed: each image once")
        columns = {}
        for a, column in zip(asked, codes.T, strict=True):
            wrong = np.flatnonzero((column < 0) | (column >= len(a)))
            if wrong.size:
                line = f"{name}, line {wrong[0] + 1:,}"
                raise DataError(f"{line}: {a.name} {column[wrong[0]]}; allowed: 0 to {len(a) - 1}")
            columns[a.name] = np.array(a.classes, dtype=object)[column]
        tables.append(pd.DataFrame(columns, index=index))
    return pd.concat(tables, axis=1).sort_index()


# ---- targets and splits -----------------------------------------------------------------------------------


def multi_hot(manifest: pd.DataFrame, version: int = 92) -> tuple[np.ndarray, list[str]]:
    """The attributes as a vector of zeros and ones.

    Args:
        manifest: With the 18 attributes.
        version: 92: every class of shape, and the classes of fabric and pattern without ``na``, as the
            documents count them. 48: the classes of fabric and pattern with ``na``, of which every image
            has six, as the published recalls show.

    Returns:
        int8 of shape (n, version), −1 in the whole row where a label is null; and what the places stand for,
        such as ``upper_fabric:denim``.
    """
    if version not in (48, 92):
        raise ValueError(f"version {version}; allowed: 48, 92")
    schema = Schema.load(SCHEMA)
    asked = schema.attributes[1:] if version == 92 else schema.attributes[1 + _SHAPE :]
    codes = Schema(SCHEMA, asked).encode(manifest, "manifest")
    names, columns = [], []
    for i, a in enumerate(asked):
        for k, label in enumerate(a.classes):
            if version == 48 or i < _SHAPE or label != NA:
                names.append(f"{a.name}:{label}")
                columns.append(codes[a.name] == k)
    values = np.stack(columns, axis=1).astype(np.int8)
    values[np.any([codes[a.name] < 0 for a in asked], axis=0)] = -1
    return values, names


def published_split(manifest: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Images split at random 70/15/15, whatever garment they show: photographs of one garment part.

    Args:
        manifest: With ``image_id``, the images to split.
        seed: At least 0.

    Returns:
        The manifest with ``split``; of 42,544 images 29,780, 6,381 and 6,383, as published.
    """
    require(manifest, ("image_id",))
    train, val = (int(SHARES[part] * len(manifest)) for part in ("train", "val"))
    split = np.full(len(manifest), "test", dtype=object)
    order = np.random.default_rng(seed).permutation(len(manifest))
    split[order[:train]], split[order[train : train + val]] = "train", "val"
    return manifest.assign(split=split)


def item_split(manifest: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Images split 70/15/15 within each category, all photographs of an item together.

    Args:
        manifest: With ``image_id, item, folder``.
        seed: At least 0.

    Returns:
        The manifest with ``split``.
    """
    return split_by_group(manifest, pd.factorize(manifest["item"])[0], SHARES, seed)


# ---- the In-shop photographs ------------------------------------------------------------------------------


def join_inshop(
    images: Path, labels: Path, captions: Sequence[Path], colors: Path | None = None
) -> pd.DataFrame:
    """Photographs of the In-shop benchmark, one an item, with labels and captions of the same items.

    Which view and colour variant a photograph shows is unknown, so that labels and captions are sure to be of
    the same garment only where ``variants`` is 1. They are those of the front view of an item's first
    variant or, where that has none, of its view with the lowest number.

    Args:
        images: Folder of ``id_XXXXXXXX.jpg``.
        labels: Folder in or below which the three label files lie.
        captions: Caption files.
        colors: ``list_color_cloth.csv`` of the In-shop benchmark; None leaves ``color_name`` out.

    Returns:
        By item, the photographs whose item has labels: ``image_id``, ``path``, ``folder`` (the category),
        ``split`` (null), ``item``, ``gender``, ``category``, ``variants`` (colour variants among the labelled
        images), the 18 attributes, ``caption`` (null where there is none), ``color_name`` (where an item has
        one for all its photographs).

    Raises:
        DataError: If a file is missing or does not fit.
    """
    files = sorted(path for path in Path(images).iterdir() if _INSHOP.fullmatch(path.name))
    if not files:
        raise DataError(f"{str(images)!r} holds no id_XXXXXXXX.jpg; allowed: the In-shop photographs")
    table = read_labels(Path(labels))
    labelled = parse_names(table.index).join(table)
    first = _first_views(labelled)
    first["variants"] = labelled.groupby("item")["variant"].nunique()
    text, _ = read_captions(captions)
    first["caption"] = _first_views(parse_names(text.index).join(text))["caption"]
    if colors is not None:
        first["color_name"] = _color_names(colors)
    found = pd.DataFrame(
        {"path": [path.absolute().as_posix() for path in files]}, index=[p.stem for p in files]
    )
    joined = found.join(first, how="inner").rename_axis("item").reset_index()
    joined.insert(0, "image_id", joined["item"] + ".jpg")
    joined.insert(2, "folder", joined["category"])
    joined.insert(3, "split", None)
    return joined.drop(columns=["variant", "number", "view"])


def _first_views(table: pd.DataFrame) -> pd.DataFrame:
    """The first row of each item, by variant and number of the view."""
    ordered = table.sort_values(["item", "variant", "number"], kind="stable")
    return ordered.drop_duplicates("item").set_index("item")


def _color_names(path: Path) -> pd.Series:
    """The colour's name of the items that have one name for all photographs."""
    try:
        table = pd.read_csv(path, encoding="utf-8-sig", dtype=str, keep_default_na=False)
    except ValueError as error:  # of pandas, and of bytes that are no UTF-8
        raise DataError(f"{path.name} is no CSV file in UTF-8: {error}") from None
    if list(table) != ["image_name", "clothes_color"]:
        raise DataError(f"{path.name} has columns {', '.join(table)}; allowed: image_name, clothes_color")
    item = table["image_name"].str.extract(r"(id_\d{8})", expand=False)
    named = pd.DataFrame({"item": item, "name": table["clothes_color"].str.strip()}).drop_duplicates()
    return named.drop_duplicates("item", keep=False).set_index("item")["name"]
