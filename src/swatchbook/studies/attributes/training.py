"""The steps that train the model and the baseline, and predict the test images with each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from swatchbook.data import pixels
from swatchbook.labeller import BUNDLED, TOWER, WEIGHTS
from swatchbook.models.recipe import Recipe
from swatchbook.pipeline.stage import Stage, Trace
from swatchbook.schema import Schema
from swatchbook.store import sha256
from swatchbook.studies.attributes.making import asked, asked_classes

TRAINING = "training "  # how the names of these steps begin


def asked_backbones(trace: Trace) -> dict[str, str]:
    """What a training depends on outside the run: classes, and the labeller's tower if it starts there."""
    towers = [trace.setting(f"backbones.{which}") for which in ("model", "baseline")]
    file = BUNDLED / WEIGHTS
    return {**asked_classes(trace), **({"tower": sha256(file)} if TOWER in towers else {})}


def train_model(which: str) -> Callable[[Trace], None]:
    """The step that trains the model or the baseline and predicts every image with it.

    Args:
        which: ``model`` or ``baseline``.
    """

    def train_and_predict(trace: Trace) -> None:
        from swatchbook.models.distributed import processes
        from swatchbook.models.tasks.heads import predict

        manifest, schema, name = trace.table("manifest.parquet"), asked(trace), trace.setting(which)
        codes = schema.encode(trace.table("silver.parquet"), "silver.parquet")
        split = manifest["split"].to_numpy()
        settings = {
            "pixel_file": trace.path("pixels.npy"),
            "codes": codes,
            "train_rows": np.flatnonzero(split == "train"),
            "val_rows": np.flatnonzero(split == "val"),
            "schema": schema,
            "recipe": Recipe(**{f: trace.setting(f"training.{f}") for f in Recipe.__dataclass_fields__}),
            "backbone": trace.setting(f"backbones.{which}"),
            "pretrained": trace.setting(f"backbones.{which}_pretrained"),
            "folder": trace.store.path(f"models/{name}"),
        }
        processes().broadcast(settings)
        folder = fit(**settings, log=lambda line: print(f"  {name}: {line}", flush=True))
        trace.writes += [f"models/{name}/{f}" for f in ("model.safetensors", "config.json", "history.csv")]
        test = np.flatnonzero(split == "test")
        decoded = pixels.read(settings["pixel_file"], len(manifest))
        predicted = predict(folder, decoded, test, schema).reset_index(drop=True)
        predicted.insert(0, "image_id", manifest["image_id"].to_numpy()[test])
        trace.write_table(f"predictions/{name}.parquet", predicted)

    return train_and_predict


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


def training_stages(models: tuple[str, str]) -> tuple[Stage, ...]:
    """The steps that train and predict.

    Args:
        models: Names of the model and the baseline.
    """
    return tuple(
        Stage(
            f"{TRAINING}{name}",
            (f"predictions/{name}.parquet", f"models/{name}/"),
            train_model(which),
            asked_backbones,
        )
        for which, name in zip(("model", "baseline"), models, strict=True)
    )
