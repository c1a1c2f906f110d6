"""DeepFashion's category and attribute benchmark, coarse and fine, and its landmark benchmark.

Every ``list_…`` file has its number of rows in the first line and column names in the second; rows are padded
with runs of spaces. Classes are read from the data set's own lists, so that its schema comes with its labels.

Source: Liu et al. (2016), CVPR, and its README; Liu et al. (2016), ECCV, for the landmark benchmark (FLD).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from swatchbook.data.images import SPLITS
from swatchbook.data.landmarks import SLOTS, TRUNCATED, TYPES, box_columns, point_columns, suggested_types
from swatchbook.data.number_rows import read_blocks, refuse_counts
from swatchbook.data.readers.list_files import (
    Named,
    places_of,
    read_listed,
    read_named_types,
    read_partition,
    refuse_other_count,
    stated_rows,
)
from swatchbook.data.readers.split_files import (
    BOXES,
    LANDMARKS,
    read_aligned,
    read_names,
    read_points,
    spelling,
    together,
)
from swatchbook.data.source import locate
from swatchbook.data.strict_csv import DataError
from swatchbook.schema import SEVERAL, Attribute, Schema

BENCHMARKS = ("coarse", "fine", "landmarks")
GROUPS = ("texture", "fabric", "shape", "part", "style")  # types 1 to 5 of the 1,000 attributes
CATEGORY = "category"
_TYPES = tuple(TYPES)  # clothes types 1, 2 and 3


class DeepFashion(NamedTuple):
    """A benchmark.

    Attributes:
        manifest: A row an image; see `read`.
        schema: The attributes that its labels answer, with the classes of the data set's own lists.
    """

    manifest: pd.DataFrame
    schema: Schema


def read(source: Path, benchmark: str = "coarse", into: Path | None = None) -> DeepFashion:
    """Read a benchmark's labels, boxes and landmarks; no image is opened (`images.examine` does).

    Args:
        source: The folder that holds ``Anno_coarse`` or ``Anno`` with ``Eval`` (of ``fine``: ``Anno_fine``),
            a folder that holds it, or an archive.
        benchmark: ``coarse`` (289,222 images, 50 categories, 1,000 attributes), ``fine`` (20,000 images,
            26 attributes) or ``landmarks`` (FLD).
        into: Where an archive is unpacked; beside it by default.

    Returns:
        The manifest: ``image_id, path, folder, split``; ``category``; a column a group of attributes, the
        names of those that the image has joined by ";" (null where all of them are unknown); `landmarks.BOX`,
        ``clothes_type``, `landmarks.POINTS` and `landmarks.VISIBILITY`; and, where the file of landmarks has
        it, ``variation`` (1 normal, 2 medium and 3 large pose, 4 medium and 5 large zoom-in). The benchmark
        ``landmarks`` has no labels. And the schema.

    Raises:
        DataError: If a file is missing or contradicts itself or another one; names the file and the line.
        ValueError: If the benchmark is none.
    """
    if benchmark not in BENCHMARKS:
        raise ValueError(f"benchmark {benchmark!r}; allowed: {', '.join(BENCHMARKS)}")
    source, name = Path(source), "DeepFashion's archive"
    if benchmark == "fine":
        root = locate(source, name, ("Anno_fine",), into)
        manifest, schema = _fine(root / "Anno_fine")
    else:
        root = locate(source, name, ("Eval",), into)
        homes = [root / home for home in ("Anno_coarse", "Anno") if (root / home).is_dir()]
        if not homes:
            raise DataError(f"{str(root)!r} has Eval alone; allowed: Anno_coarse or Anno beside it")
        listing = read_partition(root / "Eval" / "list_eval_partition.txt")
        manifest, schema = (_coarse if benchmark == "coarse" else _landmarks)(homes[0], listing)
    home = _home_of_images(root, manifest["image_id"].iloc[0])
    manifest.insert(1, "path", [f"{home}/{name}" for name in manifest["image_id"]])
    manifest.insert(2, "folder", [Path(name).parent.name or "." for name in manifest["image_id"]])
    return DeepFashion(manifest, schema)


def _home_of_images(root: Path, first: str) -> str:
    homes = [root / "Img", root, root / "Img" / "img", root / "img"]
    home = next((home for home in homes if (home / first).is_file()), None)
    if home is None:
        raise DataError(
            f"{first!r} is not in {str(root)!r}; allowed: images in Img or img beside the annotations"
        )
    return home.absolute().as_posix()


# ---- coarse, and the landmark benchmark -------------------------------------------------------------------


def _coarse(folder: Path, listing: pd.DataFrame) -> tuple[pd.DataFrame, Schema]:
    categories = read_named_types(folder / "list_category_cloth.txt", len(_TYPES))
    attributes = read_named_types(folder / "list_attr_cloth.txt", len(GROUPS))
    images = listing["image_id"]
    category = read_listed(folder / "list_category_img.txt", 1, images)[:, 0]
    tables = [
        listing,
        pd.DataFrame({CATEGORY: _category_names(category, categories, "list_category_img.txt")}),
        _groups_of(folder / "list_attr_img.txt", attributes, GROUPS, images),
        box_columns(read_listed(folder / "list_bbox.txt", 4, images)),
        _listed_points(folder / "list_landmarks.txt", images),
    ]
    return pd.concat(tables, axis=1), _schema("deepfashion", categories, attributes, GROUPS)


def _landmarks(folder: Path, listing: pd.DataFrame) -> tuple[pd.DataFrame, Schema]:
    images = listing["image_id"]
    boxes = box_columns(read_listed(folder / "list_bbox.txt", 4, images))
    points = _listed_points(folder / "list_landmarks.txt", images)
    return pd.concat([listing, boxes, points], axis=1), Schema("fashion landmarks", ())


def _category_names(ids: np.ndarray, categories: Named, file: str) -> np.ndarray:
    wrong = (ids < 1) | (ids > len(categories))
    if wrong.any():
        raise DataError(f"{file}: category {ids[wrong][0]}; allowed: 1 to {len(categories)}")
    return np.array([name for name, _ in categories], dtype=object)[ids - 1]


def _groups_of(path: Path, attributes: Named, groups: Sequence[str], images: pd.Series) -> pd.DataFrame:
    """A column a group: the image's attributes, joined; only positives are kept while the file is read."""
    stated, names, counted = stated_rows(path), [], 0
    of_group = np.eye(len(groups), dtype=np.float32)[np.array([kind for _, kind in attributes]) - 1]
    rows, columns, unknown, negative = [], [], [], False
    with tqdm(total=stated, desc=f"reading {path.name}", unit="image") as progress:
        for block in read_blocks(path, named=True, skip=2):
            refuse_counts(block, len(attributes), path.name)
            values = block.numbers.reshape(-1, len(attributes))
            _refuse_labels(values, block.first, path.name)
            row, column = np.nonzero(values == 1)
            rows.append(row + counted)
            columns.append(column)
            unknown.append((values == 0).astype(np.float32) @ of_group)
            negative = negative or bool((values == -1).any())
            names += block.names
            counted += len(values)
            progress.update(len(values))
    refuse_other_count(path, stated, counted)
    # Where no −1 is written, 0 is how the file says no.
    no_label = (np.concatenate(unknown) == of_group.sum(0)) & negative
    cells = _cells(np.concatenate(rows), np.concatenate(columns), attributes, no_label)
    return pd.DataFrame(cells[places_of(path, names, images)], columns=list(groups))


def _refuse_labels(values: np.ndarray, first: int, file: str) -> None:
    wrong = (values < -1) | (values > 1)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise DataError(
            f"{file}, line {first + row:,}: {values[row, column]} of attribute {column}; allowed: -1, 0 and 1"
        )


def _cells(rows: np.ndarray, columns: np.ndarray, attributes: Named, null: np.ndarray) -> np.ndarray:
    """Positives → cells of their names, joined: objects of the shape of `null`, (images, groups)."""
    names = np.array([name for name, _ in attributes], dtype=object)
    kinds = np.array([kind for _, kind in attributes]) - 1
    cells = np.full(null.shape, "", dtype=object)
    for group in range(null.shape[1]):
        here = kinds[columns] == group
        row, starts = np.unique(rows[here], return_index=True)
        parts = np.split(names[columns[here]], starts[1:]) if len(row) else []
        cells[row, group] = [SEVERAL.join(part) for part in parts]
    cells[null] = None
    return cells


def _listed_points(path: Path, images: pd.Series) -> pd.DataFrame:
    """``list_landmarks.txt``, whose lines are as long as their garment's type asks."""
    stated = stated_rows(path)
    blocks = list(read_blocks(path, named=True, skip=2))
    names = [name for block in blocks for name in block.names]
    counts, values = (np.concatenate(part) for part in zip(*[block[2:] for block in blocks], strict=True))
    refuse_other_count(path, stated, len(names))
    if (counts == 0).any():
        raise DataError(f"{path.name}, line {int(np.argmin(counts)) + 3:,} has no numbers")
    starts = np.cumsum(counts) - counts
    kinds = values[starts] - 1
    wrong = (kinds < 0) | (kinds >= len(_TYPES))
    if wrong.any():
        line = f"{path.name}, line {int(np.argmax(wrong)) + 3:,}"
        raise DataError(f"{line}: clothes type {kinds[wrong][0] + 1}; allowed: 1 upper, 2 lower, 3 full")
    slots = np.array([len(TYPES[name]) for name in _TYPES])[kinds]
    varied = int(counts[0] == 3 * slots[0] + 2)  # of the landmark benchmark alone, whatever its header says
    unfit = counts != 3 * slots + 1 + varied
    if unfit.any():
        row = int(np.argmax(unfit))
        raise DataError(
            f"{path.name}, line {row + 3:,} has {counts[row]} numbers for clothes type {kinds[row] + 1}; "
            f"allowed: {3 * slots[row] + 1}, or {3 * slots[row] + 2} if every line has a variation type"
        )
    points = np.zeros((len(names), len(SLOTS), 2), np.int32)
    visibility = np.zeros((len(names), len(SLOTS)), np.int32)
    for kind in range(len(_TYPES)):
        rows = np.flatnonzero(kinds == kind)
        count = len(TYPES[_TYPES[kind]])
        triples = values[starts[rows][:, None] + 1 + varied + np.arange(3 * count)].reshape(
            len(rows), count, 3
        )
        visibility[rows, :count], points[rows, :count] = triples[..., 0], triples[..., 1:]
    wrong = (visibility < 0) | (visibility > TRUNCATED)
    if wrong.any():
        row, slot = np.argwhere(wrong)[0]
        line = f"{path.name}, line {row + 3:,}"
        raise DataError(
            f"{line}: visibility {visibility[row, slot]}; allowed: 0 visible, 1 occluded, 2 truncated"
        )
    columns = point_columns(points, visibility, np.array(_TYPES, dtype=object)[kinds])
    if varied:
        columns["variation"] = values[starts + 1].astype(np.int8)
    return columns.iloc[places_of(path, names, images)].reset_index(drop=True)


# ---- fine -------------------------------------------------------------------------------------------------


def _fine(folder: Path) -> tuple[pd.DataFrame, Schema]:
    groups = Schema.load("challenge").names  # the challenge set was cut from these, and names no group either
    attributes = read_named_types(folder / "list_attr_cloth.txt", len(groups))
    categories = read_named_types(folder / "list_category_cloth.txt", len(_TYPES))
    boxes, landmarks = spelling(folder, BOXES), spelling(folder, LANDMARKS)
    parts = []
    for split in SPLITS:
        names = read_names(folder / f"{split}.txt")
        path = folder / f"{split}_attr.txt"
        values = read_aligned(path, len(attributes), len(names))
        _refuse_labels(values, 1, path.name)
        no_label = np.zeros((len(names), len(groups)), dtype=bool)
        cells = _cells(*np.nonzero(values == 1), attributes, no_label)
        ids = read_aligned(folder / f"{split}_cate.txt", 1, len(names))[:, 0]
        category = _category_names(ids, categories, f"{split}_cate.txt")
        labels = pd.DataFrame(cells, columns=list(groups))
        tables = [pd.DataFrame({"image_id": names, "split": split, CATEGORY: category}), labels]
        if boxes:
            tables.append(box_columns(read_aligned(folder / f"{split}_{boxes}.txt", 4, len(names))))
        if landmarks:
            points = read_points(folder / f"{split}_{landmarks}.txt", len(names))
            types = _types_of(ids, categories, points)
            tables.append(point_columns(points, np.zeros(points.shape[:2], int), types))
        parts.append(pd.concat(tables, axis=1))
    return together(parts), _schema("deepfashion fine", categories, attributes, groups)


def _types_of(ids: np.ndarray, categories: Named, points: np.ndarray) -> np.ndarray:
    """A garment's type: its category's, or what its points suggest where that type has fewer points."""
    kinds = np.array([kind for _, kind in categories])[ids - 1] - 1
    given = (points != 0).any(2)
    last = np.where(given.any(1), len(SLOTS) - given[:, ::-1].argmax(1), 0)
    enough = last <= np.array([len(TYPES[name]) for name in _TYPES])[kinds]
    return np.where(enough, np.array(_TYPES, dtype=object)[kinds], suggested_types(points))


# ---- the schema -------------------------------------------------------------------------------------------


def _schema(name: str, categories: Named, attributes: Named, groups: Sequence[str]) -> Schema:
    """One class of the categories, and several of each group of attributes, in the order of the lists."""
    words = {label: label.lower().replace("_", " ") for label, _ in [*categories, *attributes]}
    asked = [
        Attribute(
            CATEGORY, {c: words[c] for c, _ in categories}, ("a photo of a {}",), "zero_shot", 0, "ours"
        )
    ]
    for kind, group in enumerate(groups, 1):
        classes = {label: words[label] for label, of in attributes if of == kind}
        templates = ("a photo of a {} garment", "clothing with {}")
        asked.append(Attribute(group, classes, templates, "zero_shot", 0, "ours", multiple=True))
    return Schema(name, tuple(asked))
