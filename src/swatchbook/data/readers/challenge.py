"""The attribute challenge's data set: 5,000 training, 1,000 validation and 1,000 test photographs.

``img/00000.jpg`` … beside ``split/``, whose files have a line an image and are kept together by the order of
their lines alone: ``train.txt`` (names), ``train_attr.txt`` (six classes), ``train_bbox.txt`` and
``train_landmards.txt`` [sic], and so for val and test; the test classes are secret. Some copies have a header
line in each file, some have CRLF line ends, older ones have neither boxes nor landmarks.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.data.images import SPLITS, examine, require
from swatchbook.data.landmarks import (
    ABSENT,
    BOX,
    SLOTS,
    VISIBLE,
    box_columns,
    point_columns,
    points_of,
    refuse_outside,
    suggested_types,
)
from swatchbook.data.number_rows import first_lines
from swatchbook.data.readers.split_files import (
    BOXES,
    LANDMARKS,
    headed,
    read_aligned,
    read_names,
    read_points,
    spelling,
    together,
)
from swatchbook.data.source import locate
from swatchbook.data.strict_csv import DataError
from swatchbook.schema import Schema

SCHEMA = "challenge"
ANSWERS = "prediction.txt"


def read(source: Path, into: Path | None = None, *, workers: int | None = None) -> pd.DataFrame:
    """Read and check the whole data set, images included.

    Args:
        source: The folder with ``img`` and ``split``, a folder that holds it, or an archive of either.
        into: Where an archive is unpacked; beside it by default.
        workers: Threads that read images; all cores by default.

    Returns:
        The manifest, a row an image in the order of the files: ``image_id`` (such as ``img/00000.jpg``),
        ``path``, ``folder``, ``split``, the six attributes of the schema ``challenge`` (null in test);
        where the copy has boxes, `landmarks.BOX`; where it has landmarks, ``clothes_type`` (suggested by
        the points), `landmarks.POINTS` and `landmarks.VISIBILITY` (0 where a point is given, else −1);
        and ``sha256, width, height``.

    Raises:
        DataError: If a file is missing, the files do not fit each other, a class, box or point is
            impossible, or an image is missing or broken; names the file and the line.
    """
    root = locate(Path(source), "the challenge set's archive", ("img", "split"), into)
    folder, schema = root / "split", Schema.load(SCHEMA)
    _check_classes(folder, schema)
    boxes, landmarks = spelling(folder, BOXES), spelling(folder, LANDMARKS)
    listing = together([_part(folder, split, schema, boxes, landmarks) for split in SPLITS])
    listing.insert(1, "path", [f"{root.absolute().as_posix()}/{name}" for name in listing["image_id"]])
    listing.insert(2, "folder", listing["image_id"].str.rpartition("/")[0])
    # The lines of all files belong together, so that no image may be left out.
    manifest, _ = examine(listing, limit=0, workers=workers)
    refuse_outside(manifest)
    if boxes and landmarks:
        _refuse_points_outside_boxes(manifest)
    return manifest


def _check_classes(folder: Path, schema: Schema) -> None:
    """Refuse an edition whose own list of classes has other names or another order."""
    path = folder / "list_attr_cloth.txt"
    if not path.is_file():
        return
    wanted = [(label, str(i + 1)) for i, a in enumerate(schema) for label in a.classes]
    listed = [tuple(line.split()) for line in first_lines(path, len(wanted) + 3)[2:] if line]
    if listed != wanted:
        raise DataError(
            f"{path.name} lists {', '.join(' '.join(row) for row in listed)}; allowed: the classes of the "
            f"schema {schema.name!r}, {', '.join(' '.join(row) for row in wanted)}"
        )


def _part(folder: Path, split: str, schema: Schema, boxes: str, landmarks: str) -> pd.DataFrame:
    """One split's files as columns."""
    path = folder / f"{split}.txt"
    names = read_names(path)
    unordered = [i for i in range(1, len(names)) if names[i] <= names[i - 1]]
    if unordered:
        i, line = unordered[0], unordered[0] + 1 + headed(path, named=True)
        raise DataError(
            f"{path.name}, line {line}: {names[i]!r} comes after {names[i - 1]!r}; allowed: names in "
            "ascending order, as in every known copy, since the other files are kept in step by it alone"
        )
    if split == "test":
        labels = pd.DataFrame(None, index=range(len(names)), columns=list(schema.names), dtype=object)
    else:
        labels = _labels(folder / f"{split}_attr.txt", schema, len(names))
    tables = [pd.DataFrame({"image_id": names, "split": split}), labels]
    if boxes:
        tables.append(box_columns(read_aligned(folder / f"{split}_{boxes}.txt", 4, len(names))))
    if landmarks:
        points = read_points(folder / f"{split}_{landmarks}.txt", len(names))
        tables.append(point_columns(points, np.full(points.shape[:2], VISIBLE), suggested_types(points)))
    return pd.concat(tables, axis=1)


def _labels(path: Path, schema: Schema, images: int) -> pd.DataFrame:
    """Six codes a line → class names."""
    codes = read_aligned(path, len(schema.attributes), images)
    first = 1 + headed(path)
    for column, a in zip(codes.T, schema, strict=True):
        wrong = np.flatnonzero((column < 0) | (column >= len(a)))
        if wrong.size:
            line = f"{path.name}, line {wrong[0] + first}"
            raise DataError(f"{line}: {a.name} {column[wrong[0]]}; allowed: 0 to {len(a) - 1}")
    classes = [np.array(a.classes, dtype=object) for a in schema]
    return pd.DataFrame({a.name: classes[i][codes[:, i]] for i, a in enumerate(schema)})


def _refuse_points_outside_boxes(manifest: pd.DataFrame) -> None:
    points, codes = points_of(manifest)
    box = manifest[list(BOX)].to_numpy(np.float32).reshape(-1, 1, 2, 2)
    outside = (codes != ABSENT) & ((points < box[:, :, 0]) | (points > box[:, :, 1])).any(2)
    if outside.any():
        row, slot = np.argwhere(outside)[0]
        raise DataError(
            f"{manifest['image_id'].iloc[row]!r}: {SLOTS[slot]} lies outside the box ({int(outside.sum()):,} "
            "such points); allowed: landmarks inside their box, as in every known copy. Are the files of one "
            "edition, and in one order?"
        )


def write_answers(answers: pd.DataFrame, manifest: pd.DataFrame, out: Path) -> None:
    """Write a submission: a zip with ``prediction.txt``, six classes a test image in the order of the list.

    Args:
        answers: ``image_id`` and the six attributes by class name, a row a test image, in any order.
        manifest: As `read` gives it.
        out: The zip file to write.

    Raises:
        ValueError: If a test image has no answer, another image has one, or an answer is no class.
    """
    schema = Schema.load(SCHEMA)
    require(answers, ("image_id", *schema.names))
    wanted = manifest.loc[manifest["split"] == "test", "image_id"]
    if set(wanted) != set(answers["image_id"]):
        lacking, more = set(wanted) - set(answers["image_id"]), set(answers["image_id"]) - set(wanted)
        raise ValueError(
            f"answers lack {len(lacking):,} of the {len(wanted):,} test images, have {len(more):,} others; "
            "allowed: one answer for each test image"
        )
    codes = schema.encode(answers.set_index("image_id").loc[wanted], "answers")
    rows = np.stack([codes[name] for name in schema.names], axis=1)
    if (rows < 0).any():
        raise ValueError("answers hold a null; allowed: a class of every attribute")
    text = "".join(" ".join(map(str, row)) + "\n" for row in rows)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(ANSWERS), text)  # no time of writing: same answers, same bytes


def read_answers(path: Path, image_ids: Sequence[str], into: Path | None = None) -> pd.DataFrame:
    """Read somebody's submission.

    Args:
        path: ``prediction.txt``, or a zip that holds it.
        image_ids: Which images it answers for, in its order.
        into: Folder in which a zip is unpacked; beside it by default.

    Returns:
        ``image_id`` and the six attributes by class name.

    Raises:
        DataError: If it has another number of rows, another number of classes in a row, or no class.
    """
    path = Path(path)
    if path.is_file() and zipfile.is_zipfile(path):
        path = locate(path, ANSWERS, (ANSWERS,), into) / ANSWERS
    return _labels(path, Schema.load(SCHEMA), len(image_ids)).assign(image_id=list(image_ids))
