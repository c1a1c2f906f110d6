"""The steps that train the model and the baseline, and predict the test images with each."""

from __future__ import annotations

import numpy as np

from swatchbook.data import pixels
from swatchbook.labeller import BUNDLED, TOWER, WEIGHTS
from swatchbook.models.recipe import Recipe
from swatchbook.pipeline.stage import Trace
from swatchbook.store import sha256
from swatchbook.studies.labelling import classes_and_prompts, classes_content


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
    from swatchbook.models.prediction import predict
    from swatchbook.models.training import train

    manifest, schema, name = trace.table("manifest.parquet"), classes_and_prompts(trace), trace.setting(role)
    codes = schema.encode(trace.table("silver.parquet"), "silver.parquet")
    decoded = pixels.read(trace.path("pixels.npy"), len(manifest))
    split = manifest["split"].to_numpy()
    recipe = Recipe(**{f: trace.setting(f"training.{f}") for f in Recipe.__dataclass_fields__})
    folder = train(
        decoded,
        codes,
        np.flatnonzero(split == "train"),
        np.flatnonzero(split == "val"),
        schema,
        recipe,
        trace.setting(f"backbones.{role}"),
        trace.folder(f"models/{name}"),
        pretrained=trace.setting(f"backbones.{role}_pretrained"),
        log=lambda line: print(f"  {name}: {line}", flush=True),
    )
    trace.wrote(*(f"models/{name}/{file}" for file in ("model.safetensors", "config.json", "history.csv")))
    test = np.flatnonzero(split == "test")
    predicted = predict(folder, decoded, test, schema).reset_index(drop=True)
    predicted.insert(0, "image_id", manifest["image_id"].to_numpy()[test])
    trace.write_table(f"predictions/{name}.parquet", predicted)
