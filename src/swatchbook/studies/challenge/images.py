"""Images of the challenge study: drawn or read → manifest → squares, of boxes and of whole photographs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.data import duplicates, images, pixels
from swatchbook.data.landmarks import BOX
from swatchbook.data.readers import challenge
from swatchbook.evaluation.intervals import wilson
from swatchbook.pipeline.stage import Trace
from swatchbook.schema import Schema
from swatchbook.studies.labelling import classes_content, digest, file_digest

SQUARES = {True: "pixels.npy", False: "whole.npy"}  # of the box, of the whole photograph


def draw_images(trace: Trace) -> None:
    """A drawn set in the challenge's files, and its truth."""
    from swatchbook.drawn.challenge import write_challenge

    folder = trace.folder("images")
    shutil.rmtree(folder, ignore_errors=True)
    names = ("n_train", "n_val", "n_test", "coupling", "size")
    write_challenge(
        folder, **{name: trace.setting(f"drawn.{name}") for name in names}, seed=trace.setting("seed")
    )
    trace.wrote("images/truth.csv", "images/world.json")


def read_images(trace: Trace) -> None:
    """The data set's files → manifest, how many images each class has, and copies among the images."""
    manifest = challenge.read(_source(trace), trace.folder("unpacked"))
    schema = trace.schema
    found = duplicates.pairs(manifest)
    trace.write_table("manifest.parquet", manifest)
    trace.write_table("tables/challenge_counts.csv", count_table(manifest, schema))
    trace.write_table(
        "tables/challenge_duplicates.csv", duplicates.label_conflicts(manifest, found, schema.names)
    )


def _source(trace: Trace) -> Path:
    """The data set that was given, or the drawn one."""
    source = trace.location("source")
    if source is None:
        trace.path("images/truth.csv")
        source = trace.folder("images")
    return source


def images_content(trace: Trace) -> dict[str, str]:
    """Names and content of the images and lists, so that one exchanged since is noticed."""
    source = _source(trace)
    if source.is_file():
        return {**classes_content(trace), "images": file_digest(source)}
    lists = sorted(source.rglob("split/*.txt"))
    contents = digest([(path.name, file_digest(path)) for path in lists])
    return {**classes_content(trace), "images": images.fingerprint(source), "lists": contents}


def count_table(manifest: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Images of each class in training and validation.

    Returns:
        ``split, group, class, count, n``, and the share with its Wilson interval: ``value, low, high,
        interval``.
    """
    rows = []
    for split in ("train", "val"):
        here = manifest[manifest["split"] == split]
        for a in schema:
            for label in a.classes:
                count, n = int((here[a.name] == label).sum()), len(here)
                share = count / n if n else np.nan
                low, high = wilson(share, n) if n else (np.nan, np.nan)
                rows.append((split, a.name, label, count, n, share, low, high))
    columns = ["split", "group", "class", "count", "n", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns).assign(interval="95% Wilson")


def cut_out(trace: Trace, box: bool) -> None:
    """Manifest → squares, of the garments' boxes or of the whole photographs."""
    manifest, side = trace.table("manifest.parquet"), trace.setting("side")
    if box and BOX[0] not in manifest:
        raise ValueError(
            "this copy of the data set has no boxes (split/*_bbox.txt), which the systems' crops need; "
            "LilyDaytoy/FashionDataset-Classification on GitHub has them"
        )

    def cut(image: object, row: dict) -> np.ndarray:
        return pixels.squashed(image, [row[name] for name in BOX] if box else None, side)

    trace.write(SQUARES[box], lambda out: pixels.build(manifest, out, row=(side, side, 3), cut=cut))


def squares(trace: Trace, box: bool, images: int) -> np.ndarray:
    """The stored squares, read-only."""
    side = trace.setting("side")
    return pixels.read(trace.path(SQUARES[box]), images, (side, side, 3))
