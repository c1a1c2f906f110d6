"""The steps that train the model and the baseline, and predict the test images with each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from swatchbook.data import pixels
from swatchbook.labeller import BUNDLED, TOWER, WEIGHTS
from swatchbook.models.recipe import Recipe
from swatchbook.pipeline.stage import Trace
from swatchbook.schema import Schema
from swatchbook.store import sha256
from swatchbook.studies.labelling import classes_and_prompts, classes_content
from swatchbook.studies.training import FILES, on_all_processes, recipe_of


def backbone_content(trace: Trace, role: str) -> dict[str, str]:
    """What a training depends on outside the run: classes, and the labeller's tower if it starts there."""
    starts_there = trace.setting(f"backbones.{role}") == TOWER
    return {**classes_content(trace), **({"tower": sha256(BUNDLED / WEIGHTS)} if starts_there else {})}


def train_and_predict(trace: Trace, role: str) -> None:
    """Train a model and predict every test image with it.

    Args:
        trace: Of the stage.
        role: ``model`` or ``baseline``.
    """
    from swatchbook.models.tasks.heads import predict

    manifest, schema, name = trace.table("manifest.parquet"), classes_and_prompts(trace), trace.setting(role)
    split = manifest["split"].to_numpy()
    folder = on_all_processes(
        fit,
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


def fit(
    pixel_file: Path,
    codes: Mapping[str, np.ndarray],
    train_rows: np.ndarray,
    val_rows: np.ndarray,
    schema: Schema,
    recipe: Recipe,
    backbone: str,
    pretrained: bool,
    folder: Path,
    log: Callable[[str], object] = print,
) -> Path:
    """Train one of the models; see `models.tasks.heads.Heads`. All processes of a training call it alike."""
    from swatchbook.models.tasks.heads import Heads
    from swatchbook.models.training import train

    task = Heads(schema, codes, train_rows, val_rows, backbone, pretrained=pretrained)
    decoded = pixels.read(pixel_file, len(codes[schema.names[0]]))
    return train(task, decoded, recipe, folder, log=log)
