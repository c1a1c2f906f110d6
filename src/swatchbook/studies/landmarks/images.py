"""Images of the landmarks study: drawn or read → manifest → squares of boxes, and what is true of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from swatchbook.data import images, pixels
from swatchbook.data.landmarks import (
    ABSENT,
    BOX,
    OCCLUDED,
    POINTS,
    SLOTS,
    TRUNCATED,
    VISIBLE,
    points_of,
    refuse_outside,
)
from swatchbook.data.readers import challenge, deepfashion
from swatchbook.evaluation.intervals import share_table
from swatchbook.pipeline.stage import Trace
from swatchbook.schema import Attribute, Schema
from swatchbook.studies.source import given_or_drawn, source_content

SQUARES = "pixels.npy"
CODES = {"visible": VISIBLE, "occluded": OCCLUDED, "cut off": TRUNCATED, "absent": ABSENT}


class Parts(NamedTuple):
    """Rows of the manifest, shape (n,) each: to learn from, to choose the epoch by, to report on, others."""

    train: np.ndarray
    choose: np.ndarray
    report: np.ndarray
    others: np.ndarray


class Truth(NamedTuple):
    """What is true of some images: codes by attribute, points as shares of the box, and their visibility."""

    codes: Mapping[str, np.ndarray]
    points: np.ndarray
    visibility: np.ndarray

    def of(self, rows: np.ndarray) -> Truth:
        """Of some of them."""
        codes = {name: values[rows] for name, values in self.codes.items()}
        return Truth(codes, self.points[rows], self.visibility[rows])


def draw_images(trace: Trace) -> None:
    """A drawn set in DeepFashion's files, and its truth."""
    from swatchbook.drawn.deepfashion import write_deepfashion

    if trace.setting("benchmark") == "challenge":
        raise ValueError("benchmark = 'challenge' without a source; drawn are coarse and fine")
    folder = trace.folder("images")
    shutil.rmtree(folder, ignore_errors=True)
    names = ("n_train", "n_val", "coupling", "size")
    write_deepfashion(
        folder,
        **{name: trace.setting(f"drawn.{name}") for name in names},
        n_test=trace.setting("drawn.n_test") + trace.setting("drawn.n_others"),
        seed=trace.setting("seed"),
    )
    trace.wrote("images/truth.csv", "images/world.json")


def read_images(trace: Trace) -> None:
    """The data set's files → manifest, its schema, and how many images each label has."""
    source, benchmark, into = given_or_drawn(trace), trace.setting("benchmark"), trace.folder("unpacked")
    if benchmark == "challenge":
        manifest, schema = challenge.read(source, into), Schema.load(challenge.SCHEMA)
    else:
        listing, schema = deepfashion.read(source, benchmark, into)
        manifest, _ = images.examine(listing, limit=0)  # lines of all files belong together
    for column, what in ((BOX[0], "boxes"), (POINTS[0], "landmarks")):
        if column not in manifest:
            raise ValueError(f"this copy of the data set has no {what}; the study needs boxes and landmarks")
    refuse_outside(manifest)
    trace.write_table("manifest.parquet", manifest)
    listed = [{"name": a.name, "classes": a.classes, "multiple": a.multiple} for a in schema]
    trace.write("schema.json", lambda path: path.write_text(json.dumps([schema.name, listed], indent=1)))
    trace.write_table("tables/landmark_counts.csv", count_table(manifest, schema))


def images_content(trace: Trace) -> dict[str, str]:
    """What reading them depends on outside the run."""
    return source_content(trace, "*.txt")


def schema_of(trace: Trace) -> Schema:
    """What the data set's own lists ask of an image."""
    name, listed = json.loads(trace.path("schema.json").read_text(encoding="utf-8"))
    asked = (
        Attribute(a["name"], {c: c for c in a["classes"]}, ("{}",), "zero_shot", 0, "ours", a["multiple"])
        for a in listed
    )
    return Schema(name, tuple(asked))


def count_table(manifest: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """How many images have each label, and how many each point visible, occluded, cut off or not at all.

    Returns:
        ``split, group, class`` and `share_table`'s columns. ``group`` is an attribute, or one of `SLOTS`,
        whose classes are the keys of `CODES`.
    """
    labels, visibility = schema.encode(manifest, "manifest.parquet"), points_of(manifest)[1]
    counts: dict[tuple[str, str, str], tuple[int, int]] = {}
    for split in images.SPLITS:
        here = (manifest["split"] == split).to_numpy()
        for a in schema:
            codes = labels[a.name][here]
            known = codes[(codes >= 0).any(1)] if a.multiple else codes[codes >= 0]
            members = known == 1 if a.multiple else known[:, None] == np.arange(len(a))
            found = zip(a.classes, members.sum(0), strict=True)
            counts |= {(split, a.name, label): (int(count), len(known)) for label, count in found}
        for slot, codes in zip(SLOTS, visibility[here].T, strict=True):
            sums = {(split, slot, what): (codes == code).sum() for what, code in CODES.items()}
            counts |= {key: (int(count), len(codes)) for key, count in sums.items()}
    return share_table(counts, ["split", "group", "class"])


def cut_out(trace: Trace) -> None:
    """Manifest → squares of the garments' boxes."""
    manifest, side = trace.table("manifest.parquet"), trace.setting("side")

    def cut(image: object, row: dict) -> np.ndarray:
        return pixels.squashed(image, [row[name] for name in BOX], side)

    trace.write(SQUARES, lambda out: pixels.build(manifest, out, row=(side, side, 3), cut=cut))


def squares(trace: Trace, images: int) -> np.ndarray:
    """The stored squares, read-only."""
    side = trace.setting("side")
    return pixels.read(trace.path(SQUARES), images, (side, side, 3))


def truth_of(manifest: pd.DataFrame, schema: Schema) -> Truth:
    """Labels and points of all images; a point that lies outside of the box counts as cut off."""
    points, codes = points_of(manifest)
    box = manifest[list(BOX)].to_numpy(float).round().reshape(-1, 1, 2, 2)
    shares = (points - box[:, :, 0]) / (box[:, :, 1] - box[:, :, 0])
    outside = ((shares < 0) | (shares > 1)).any(2) & ((codes == VISIBLE) | (codes == OCCLUDED))
    codes = np.where(outside, TRUNCATED, codes).astype(np.int8)
    return Truth(schema.encode(manifest, "manifest.parquet"), shares.astype(np.float32), codes)


def parts(trace: Trace, manifest: pd.DataFrame) -> Parts:
    """Which images serve what; nothing is chosen on those that are reported on.

    Of the challenge, whose test labels are secret, a part of the training images chooses and the official
    validation images are reported on. Of a drawn set, some test images are reported on, and the others say
    what the scores would be on many more.
    """
    of_split = {split: np.flatnonzero(manifest["split"] == split) for split in images.SPLITS}
    train, choose, report = (of_split[split] for split in images.SPLITS)
    others = report[:0]
    if trace.setting("benchmark") == "challenge":
        cut, report = trace.setting("cut"), choose
        if cut >= len(train):
            raise ValueError(f"cut = {cut} of {len(train)} training images; must leave some to train on")
        choose = np.sort(trace.rng("parts").permutation(train)[:cut])
        train = np.setdiff1d(train, choose)
    elif trace.setting("source") is None:
        order, n = trace.rng("parts").permutation(report), trace.setting("drawn.n_test")
        report, others = np.sort(order[:n]), np.sort(order[n:])
    lacking = [
        what
        for what, rows in (("train on", train), ("choose by", choose), ("report on", report))
        if not len(rows)
    ]
    if lacking:
        raise ValueError(
            f"the partitions leave no images to {lacking[0]}; each of train, val and test needs some"
        )
    return Parts(train, choose, report, others)
