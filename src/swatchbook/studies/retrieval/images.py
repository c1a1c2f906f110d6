"""Images of the retrieval study: drawn or read → manifest with two splits → squares."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd

from swatchbook.data import images, pixels
from swatchbook.data.readers import multimodal
from swatchbook.data.strict_csv import DataError
from swatchbook.pipeline.stage import Trace
from swatchbook.schema import Schema
from swatchbook.studies.labelling import classes_content
from swatchbook.studies.retrieval.systems import SPLITS
from swatchbook.studies.source import given_or_drawn, source_content

KNOWN = "known"  # in the place of a split: drawn items that only tell how good the systems are
PARTS = ("train", "val", "test", KNOWN)
SQUARES = "pixels.npy"


def draw_images(trace: Trace) -> None:
    """A drawn set in the data set's own files, and its truth."""
    from swatchbook.drawn.multimodal import write_multimodal

    folder = trace.folder("images")
    shutil.rmtree(folder, ignore_errors=True)
    write_multimodal(
        folder,
        n_items=trace.setting("drawn.n_items") + trace.setting("drawn.n_known"),
        coupling=trace.setting("drawn.coupling"),
        size=trace.setting("drawn.size"),
        seed=trace.setting("seed"),
    )
    trace.wrote("images/truth.csv", "images/world.json")


def read_images(trace: Trace) -> None:
    """The data set's files → manifest with both splits, what was left out, and what the parts hold."""
    schema, seed = trace.schema, trace.setting("seed")
    found = multimodal.read_either(given_or_drawn(trace), trace.folder("unpacked"))
    manifest, problems = _complete(found, schema)
    manifest, broken = images.examine(manifest)
    problems = pd.concat(
        [problems, broken.rename(columns={"reason": "detail"}).assign(problem="image not readable")]
    )[["problem", "image_id", "detail"]]
    number = manifest["item"].str.removeprefix("id_").astype(int)
    extra = number > trace.setting("drawn.n_items") if trace.location("source") is None else number < 0
    asked = manifest[~extra]
    for column, split in zip(
        SPLITS.values(), (multimodal.item_split, multimodal.published_split), strict=True
    ):
        manifest[column] = split(asked, seed)["split"].reindex(manifest.index).fillna(KNOWN)
    for column in SPLITS.values():
        missing = {"train", "val", "test"} - set(manifest[column])
        if missing:
            raise DataError(
                f"{len(asked)} images with captions and labels leave nothing to "
                f"{' and '.join(sorted(missing))}; "
                "allowed: enough for three parts"
            )
    trace.write_table("manifest.parquet", manifest)
    trace.write_table("tables/retrieval_problems.csv", problems.reset_index(drop=True))
    trace.write_table("tables/retrieval_counts.csv", count_table(manifest))


def _complete(found: multimodal.Multimodal, schema: Schema) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The images with a caption and every label, and the problems with those that lack one."""
    table = found.manifest
    lacking = {
        "no caption": table["caption"].isna(),
        "labels missing": table[list(schema.names)].isna().any(axis=1),
    }
    parts = [
        pd.DataFrame({"problem": problem, "image_id": table.loc[rows, "image_id"], "detail": ""})
        for problem, rows in lacking.items()
    ]
    kept = table[~np.logical_or.reduce(list(lacking.values()))].reset_index(drop=True)
    if kept.empty:
        raise DataError("no image has a caption and all labels; allowed: a data set with both")
    kept["caption"] = kept["caption"].str.split().str.join(" ")
    return kept, pd.concat([found.problems, *parts], ignore_index=True)


def count_table(manifest: pd.DataFrame) -> pd.DataFrame:
    """What the parts of both splits hold.

    Returns:
        ``split`` (how), ``part, images, items, captions`` (different ones), and ``shared_items``: items of
        the
        part that training shows, too, and ``shared_images``, the part's photographs of such items.
    """
    rows = []
    for how, column in SPLITS.items():
        trained = set(manifest.loc[manifest[column] == "train", "item"])
        for part in PARTS:
            here = manifest[manifest[column] == part]
            if len(here):
                shared = here["item"].isin(trained) & (part != "train")
                sizes = (len(here), here["item"].nunique(), here["caption"].nunique())
                rows.append((how, part, *sizes, here.loc[shared, "item"].nunique(), int(shared.sum())))
    columns = ["split", "part", "images", "items", "captions", "shared_items", "shared_images"]
    return pd.DataFrame(rows, columns=columns)


def images_content(trace: Trace) -> dict[str, str]:
    """What reading them depends on outside the run."""
    return classes_content(trace) | source_content(trace, "*.json", "*.txt")


def cut_out(trace: Trace) -> None:
    """Manifest → squares of the whole photographs, so that no sleeve or hem is cut off."""
    manifest, side = trace.table("manifest.parquet"), trace.setting("side")
    trace.write(
        SQUARES,
        lambda out: pixels.build(
            manifest, out, row=(side, side, 3), cut=lambda image, _: pixels.squashed(image, None, side)
        ),
    )


def squares(trace: Trace, count: int) -> np.ndarray:
    """The stored squares, read-only."""
    side = trace.setting("side")
    return pixels.read(trace.path(SQUARES), count, (side, side, 3))
