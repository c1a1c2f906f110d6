"""The steps that train the model and the baseline, and predict the test images with each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from swatchbook.data import pixels
from swatchbook.labeller import BUNDLED, TOWER, WEIGHTS
from swatchbook.models.recipe import Recipe
from swatchbook.pipeline.stage import Stage, Trace
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
        from swatchbook.models.prediction import predict
        from swatchbook.models.training import train

        manifest, schema, name = trace.table("manifest.parquet"), asked(trace), trace.setting(which)
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
            trace.setting(f"backbones.{which}"),
            trace.store.path(f"models/{name}"),
            pretrained=trace.setting(f"backbones.{which}_pretrained"),
            log=lambda line: print(f"  {name}: {line}", flush=True),
        )
        trace.writes += [f"models/{name}/{f}" for f in ("model.safetensors", "config.json", "history.csv")]
        test = np.flatnonzero(split == "test")
        predicted = predict(folder, decoded, test, schema).reset_index(drop=True)
        predicted.insert(0, "image_id", manifest["image_id"].to_numpy()[test])
        trace.write_table(f"predictions/{name}.parquet", predicted)

    return train_and_predict


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
