"""Images → manifest → pixels: garments drawn in TextileNet's layout, or TextileNet itself."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pandas as pd

from swatchbook.data import duplicates, images, pixels
from swatchbook.data.readers import textilenet
from swatchbook.pipeline.stage import Trace
from swatchbook.studies.labelling import classes_and_prompts, classes_content
from swatchbook.studies.source import digest, file_digest


def draw_images(trace: Trace) -> None:
    """The drawn world: photographs in TextileNet's layout, and their truth."""
    from swatchbook.drawn import write_dataset

    folder = trace.folder("images")
    shutil.rmtree(folder, ignore_errors=True)
    drawn = {name: trace.setting(f"drawn.{name}") for name in ("n_train", "n_test", "coupling", "size")}
    write_dataset(folder, **drawn, seed=trace.setting("seed"), schema=classes_and_prompts(trace))
    trace.wrote("images/truth.csv", "images/world.json")


def drawn_manifest(trace: Trace) -> None:
    """Drawn images → manifest with known truth: caps and validation split as for TextileNet."""
    truth = trace.table("images/truth.csv")
    root = trace.folder("images")
    manifest = _manifest(trace, textilenet.open_source(root))
    known = truth.assign(path=[str(root / p) for p in truth["path"]]).set_index("path")
    for name in classes_and_prompts(trace).names:
        manifest[f"true_{name}"] = known[name].reindex(manifest["path"]).to_numpy()
    trace.write_table("manifest.parquet", manifest)


def drawn_content(trace: Trace) -> dict[str, str]:
    """Names and content of the drawn images, so that one exchanged since is noticed."""
    trace.path("images/truth.csv")
    return {**classes_content(trace), "images": images.fingerprint(trace.folder("images"))}


def textilenet_manifest(trace: Trace) -> None:
    """TextileNet's archive or folder → manifest."""
    trace.write_table("manifest.parquet", _manifest(trace, textilenet_root(trace)))


def textilenet_content(trace: Trace) -> dict[str, str]:
    """Names and content of TextileNet's images that are studied; the many others are not read."""
    listed, _ = _listed(trace, textilenet_root(trace))
    contents = images.in_parallel(file_digest, listed["path"].tolist(), None, "checking")
    return {**classes_content(trace), "images": digest(list(zip(listed["image_id"], contents, strict=True)))}


def textilenet_root(trace: Trace) -> Path:
    """The folder of TextileNet's images."""
    source = trace.location("source")
    if source is None:
        raise ValueError(
            "TextileNet is needed: --source ARCHIVE or FOLDER; "
            "python -m swatchbook.data.readers.textilenet TARGET fetches the archive (12.1 GB)"
        )
    return textilenet.open_source(source)


def _listed(trace: Trace, root: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The images that are studied, and the folders that are not."""
    native, dropped = textilenet.native_split(root, classes_and_prompts(trace), trace.setting("subset.floor"))
    caps = {name: trace.setting(f"subset.{name}") for name in ("cap_train", "cap_test", "validation")}
    return textilenet.cap_and_split(native, **caps, seed=trace.setting("seed")), dropped


def _manifest(trace: Trace, root: Path) -> pd.DataFrame:
    listed, dropped = _listed(trace, root)
    trace.write_table("tables/dropped.csv", dropped)
    try:
        manifest, quarantine = images.examine(listed)
    except images.BrokenImagesError as error:
        trace.write_table("tables/quarantine.csv", error.quarantine)
        raise
    trace.write_table("tables/quarantine.csv", quarantine)
    return manifest


def decode(trace: Trace, listing: str) -> None:
    """A listing of images → pixels, decoded once and in its order."""
    listed = trace.table(listing)
    trace.write("pixels.npy", lambda out: pixels.build(listed, out))


def list_copies(trace: Trace) -> None:
    """Photographs that lie in two splits, exact copies and near ones, and which of them are not learnt from.

    By the setting `duplicates` those of train and val are left out, or all stay, or the run stops.
    """
    manifest, decision = trace.table("manifest.parquet"), trace.setting("duplicates")
    copies = duplicates.pairs(manifest, pixels.read(trace.path("pixels.npy"), len(manifest)))
    found = duplicates.straddling(copies)
    kept = duplicates.leave_out_copies(manifest, copies) if decision == "drop" else manifest
    lost = manifest.loc[~manifest["image_id"].isin(kept["image_id"]), ["image_id", "folder", "split"]]
    trace.write_table("tables/duplicates.csv", found)
    trace.write_table("tables/copies_left_out.csv", lost)
    if decision == "refuse":
        duplicates.refuse_straddling(found)
    if len(found):
        print(f"  {duplicates.said(len(found), lost, decision)}", file=sys.stderr, flush=True)
