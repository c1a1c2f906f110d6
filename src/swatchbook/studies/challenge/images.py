"""Images of the challenge study: drawn or read → manifest → squares, of boxes and of whole photographs."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd

from swatchbook.data import duplicates, pixels
from swatchbook.data.landmarks import BOX
from swatchbook.data.readers import challenge
from swatchbook.evaluation.intervals import share_table
from swatchbook.pipeline.stage import Trace
from swatchbook.schema import Schema
from swatchbook.studies.labelling import classes_content
from swatchbook.studies.source import given_or_drawn, source_content

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
    manifest = challenge.read(given_or_drawn(trace), trace.folder("unpacked"))
    schema = trace.schema
    found = duplicates.pairs(manifest)
    trace.write_table("manifest.parquet", manifest)
    trace.write_table("tables/challenge_counts.csv", count_table(manifest, schema))
    trace.write_table(
        "tables/challenge_duplicates.csv", duplicates.label_conflicts(manifest, found, schema.names)
    )


def images_content(trace: Trace) -> dict[str, str]:
    """What reading them depends on outside the run."""
    return classes_content(trace) | source_content(trace, "split/*.txt")


def count_table(manifest: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Images of each class in training and validation: ``split, group, class``, `share_table`'s columns."""
    counts = {
        (split, a.name, label): (int((here[a.name] == label).sum()), len(here))
        for split in ("train", "val")
        for here in (manifest[manifest["split"] == split],)
        for a in schema
        for label in a.classes
    }
    return share_table(counts, ["split", "group", "class"])


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
