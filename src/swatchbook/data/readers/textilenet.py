"""TextileNet's fabric archive → the study's images: which folders stay, which images are drawn.

Native train and test parts are kept. Folders without a class in the schema and folders with too few
training images leave, and are reported. Then each class is capped, and a fifth of its training images
becomes validation (``published.yaml`` and the study's ``manifest.json`` give the counts).
"""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.data.archive import fetch
from swatchbook.data.images import find, require
from swatchbook.data.source import locate
from swatchbook.data.strict_csv import DataError
from swatchbook.schema import Schema

DRIVE_ID = "1G_g3NEcluW9iKbWY6BiCMcSo0eLxCG0z"
ARCHIVE = "fabric.tar.gz"
SIZES = (12_000_000_000, 13_100_000_000)  # "12.1 GB", of 10⁹ or of 2³⁰ bytes
PARTS = ("train", "test")
FLOOR = 50
CAP_TRAIN, CAP_TEST, VALIDATION, SEED = 500, 200, 0.2, 42
_COLUMNS = ["image_id", "path", "folder", "split"]


def fetch_archive(target: Path) -> Path:
    """Fetch the fabric archive (12.1 GB) from the authors' drive, going on where an earlier try stopped.

    Args:
        target: The file to make, or a folder in which to make ``fabric.tar.gz``. A file of the right size
            that is there already is taken as it is.

    Returns:
        The archive's path.

    Raises:
        DataError: If there is no room, gdown is missing, the drive refuses or what came has a wrong size;
            says how to get the archive by hand.
    """
    target = Path(target)
    target = target / ARCHIVE if target.is_dir() else target
    advice = (
        f"get it by hand: open https://drive.google.com/uc?id={DRIVE_ID} in a browser (if too many have "
        f"asked for it, add a copy to your own drive and download that) and save it as {str(target)!r}"
    )
    return fetch(DRIVE_ID, target, SIZES, advice)


def open_source(source: Path, into: Path | None = None) -> Path:
    """The folder that holds ``train`` and ``test``, unpacking first if the source is an archive.

    Args:
        source: The archive, or a folder: with ``train`` and ``test``, or with a folder (such as
            ``fabric``) that has them.
        into: Where an archive is unpacked; ``fabric`` beside it by default. If that is there, it is taken
            as it is.

    Raises:
        DataError: If there is no such folder, or the archive cannot be unpacked.
    """
    return locate(source, ARCHIVE, PARTS, into or Path(source).with_name("fabric"))


def native_split(root: Path, schema: Schema, floor: int = FLOOR) -> tuple[pd.DataFrame, pd.DataFrame]:
    """List the archive's images in its own two parts, without the folders that the study cannot use.

    Args:
        root: A folder as ``open_source`` gives it, with ``{train,test}/<fabric>/<image>``.
        schema: Whose folder rule names the fabrics.
        floor: A fabric with fewer training images is left out; at least 0.

    Returns:
        The images: ``image_id`` (such as ``train/lace/x.jpg``), ``path, folder, split`` (train or test),
        by image_id. What is not used: ``folder, reason, images_train, images_test``, a row a folder, in
        the schema's order; folders of the schema that the archive lacks are there with 0 images.

    Raises:
        DataError: If a folder is not in the schema's rule, or an image lies outside
            ``{train,test}/<fabric>/``.
    """
    images = find(root)
    parts = images["image_id"].str.split("/")
    stray = ~parts.str[0].isin(PARTS) | (parts.str.len() < 3)
    if stray.any():
        first = images.loc[stray, "image_id"].iloc[0]
        raise DataError(
            f"{str(root)!r} holds {first!r} ({int(stray.sum()):,} such images); allowed: images in "
            "train/<fabric>/ and test/<fabric>/"
        )
    images["folder"] = parts.str[1]
    unknown = sorted(set(images["folder"]) - set(schema.folders))
    if unknown:
        raise DataError(
            f"{str(root)!r} has folders that the rule {schema.folder_map!r} of the schema {schema.name!r} "
            f"does not name: {', '.join(map(repr, unknown))}; allowed: {', '.join(schema.folders)}"
        )
    dropped = _dropped(images, schema, floor)
    kept = images[~images["folder"].isin(dropped["folder"])].reset_index(drop=True)
    if kept.empty:
        raise DataError(f"{str(root)!r} has no fabric with a class and at least {floor} training images")
    return kept, dropped


def _dropped(images: pd.DataFrame, schema: Schema, floor: int) -> pd.DataFrame:
    counts = pd.crosstab(images["folder"], images["split"])
    counts = counts.reindex(index=list(schema.folders), columns=list(PARTS), fill_value=0)
    rows = []
    for folder, label in schema.folders.items():
        train, test = (int(counts.loc[folder, part]) for part in PARTS)
        reason = None
        if not train + test:
            reason = "absent: the archive has no image of it"
        elif label is None:
            reason = "orphan: the schema has no class for it"
        elif train < floor:
            reason = f"below the floor: fewer than {floor} training images"
        if reason:
            rows.append((folder, reason, train, test))
    return pd.DataFrame(rows, columns=["folder", "reason", "images_train", "images_test"])


def cap_and_split(
    images: pd.DataFrame,
    cap_train: int = CAP_TRAIN,
    cap_test: int = CAP_TEST,
    validation: float = VALIDATION,
    seed: int = SEED,
) -> pd.DataFrame:
    """Draw at most so many images a fabric, and split the training images, stratified by fabric.

    What is drawn of a fabric depends on the seed, the fabric's name and its images alone: not on the order
    of the listing, the file system, or the other fabrics.

    Args:
        images: With ``image_id, path, folder, split`` (train or test), as ``native_split`` gives them.
        cap_train: Most training images of a fabric, validation included; at least 1.
        cap_test: Most test images of a fabric; at least 1.
        validation: Share of the drawn training images that becomes validation, in [0, 1); rounded to
            whole images, and at least one of two or more.
        seed: At least 0.

    Returns:
        The drawn images with ``split`` train, val or test, in this order and by image_id in each.
    """
    require(images, _COLUMNS)
    if min(cap_train, cap_test) < 1:
        raise ValueError(f"cap_train and cap_test must be at least 1; received {cap_train} and {cap_test}")
    if not 0 <= validation < 1:
        raise ValueError(f"validation must lie in [0, 1); received {validation}")
    wrong = ~images["split"].isin(PARTS)
    if wrong.any():
        raise ValueError(f"split {images.loc[wrong, 'split'].iloc[0]!r}; allowed: {', '.join(PARTS)}")
    drawn = []
    for (folder, part), rows in images.sort_values("image_id").groupby(["folder", "split"], sort=True):
        rng = np.random.default_rng([seed, *f"{part}/{folder}".encode()])
        order = rng.permutation(len(rows))[: cap_train if part == "train" else cap_test]
        split = np.full(len(order), part, dtype=object)
        if part == "train" and validation and len(order) > 1:
            split[: min(max(round(validation * len(order)), 1), len(order) - 1)] = "val"
        drawn.append(rows.iloc[order].assign(split=split))
    return _ordered(pd.concat(drawn, ignore_index=True))


def _ordered(images: pd.DataFrame) -> pd.DataFrame:
    rank = images["split"].map({"train": 0, "val": 1, "test": 2})
    return (
        images.assign(_rank=rank).sort_values(["_rank", "image_id"], ignore_index=True).drop(columns="_rank")
    )


def published_split(images: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """The exact images of the published study, found in an archive.

    Args:
        images: With ``image_id, path``, as ``native_split`` gives them.
        published: With ``image_id, folder, split``: the ``manifest`` of ``published.read``.

    Returns:
        ``image_id, path, folder, split`` in the order of the published lists; split is train, val or test.

    Raises:
        DataError: If the archive lacks any of the images; names some.
    """
    require(images, ("image_id", "path"))
    require(published, ("image_id", "folder", "split"))
    # Some systems take accented names apart when they unpack.
    paths = dict(zip(images["image_id"].map(_composed), images["path"], strict=True))
    found = published[["image_id", "folder", "split"]].copy()
    found.insert(1, "path", published["image_id"].map(_composed).map(paths))
    missing = found.loc[found["path"].isna(), "image_id"]
    if len(missing):
        raise DataError(
            f"the archive lacks {len(missing):,} of the {len(found):,} published images, such as "
            f"{', '.join(map(repr, missing.head(3)))}; allowed: the whole archive"
        )
    return found.reset_index(drop=True)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(
            "usage: python -m swatchbook.data.readers.textilenet TARGET, where the archive goes (12.1 GB)"
        )
    try:
        print(fetch_archive(Path(sys.argv[1])))
    except DataError as error:
        sys.exit(f"swatchbook: {error}")
