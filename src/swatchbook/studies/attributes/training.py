"""The steps that train the model and the baseline, and predict the test images with each."""

from __future__ import annotations

import numpy as np

from swatchbook.data import pixels
from swatchbook.pipeline.stage import Trace
from swatchbook.studies.labelling import classes_and_prompts, classes_content
from swatchbook.studies.training import FILES, fit_heads, on_all_processes, recipe_of, tower_content


def backbone_content(trace: Trace, role: str) -> dict[str, str]:
    """What a training depends on outside the run: classes, and the labeller's tower if it starts there."""
    return {**classes_content(trace), **tower_content(trace.setting(f"backbones.{role}"))}


def _copies(trace: Trace) -> list[str]:
    """Images of train and val that are not learnt from; a folder's copies already lie in one split."""
    if trace.setting("data") == "folder":
        return []
    return trace.table("tables/copies_left_out.csv")["image_id"].tolist()


def train_and_predict(trace: Trace, role: str) -> None:
    """Train a model and predict every test image with it.

    Args:
        trace: Of the stage.
        role: ``model`` or ``baseline``.
    """
    from swatchbook.models.tasks.heads import predict

    manifest, schema, name = trace.table("manifest.parquet"), classes_and_prompts(trace), trace.setting(role)
    split = manifest["split"].mask(manifest["image_id"].isin(_copies(trace)), "left out").to_numpy()
    folder = on_all_processes(
        fit_heads,
        pixel_file=trace.path("pixels.npy"),
        codes=schema.encode(trace.table("silver.parquet"), "silver.parquet"),
        train_rows=np.flatnonzero(split == "train"),
        val_rows=np.flatnonzero(split == "val"),
        schema=schema,
        recipe=recipe_of(trace),
        backbone=trace.setting(f"backbones.{role}"),
        pretrained=trace.setting(f"backbones.{role}_pretrained"),
        folder=trace.folder(f"models/{name}"),
    )
    trace.wrote(*(f"models/{name}/{file}" for file in FILES))
    test = np.flatnonzero(split == "test")
    decoded = pixels.read(trace.path("pixels.npy"), len(manifest))
    predicted = predict(folder, decoded, test, schema).reset_index(drop=True)
    predicted.insert(0, "image_id", manifest["image_id"].to_numpy()[test])
    trace.write_table(f"predictions/{name}.parquet", predicted)
