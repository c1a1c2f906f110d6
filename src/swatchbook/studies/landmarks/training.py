"""The trainings of the landmarks study, and what they predict of images that they have not seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from swatchbook.data import pixels
from swatchbook.models.landmark_design import Design
from swatchbook.models.recipe import Recipe
from swatchbook.pipeline.stage import Trace
from swatchbook.schema import Schema
from swatchbook.studies.landmarks.images import SQUARES, Truth, parts, schema_of, squares, truth_of
from swatchbook.studies.landmarks.systems import SYSTEMS, design_of, model_name, recipe_of
from swatchbook.studies.training import FILES, on_all_processes, tower_content
from swatchbook.studies.training import recipe_of as recipe_in

if TYPE_CHECKING:
    from swatchbook.models.task import Tensors

REPORT, OTHERS = "report", "others"  # parts of the images that are predicted


def backbone_content(trace: Trace, **_: object) -> dict[str, str]:
    """What a training depends on outside the run."""
    return tower_content(trace.setting("backbone"))


def train_and_predict(trace: Trace, system: str, seed: int) -> None:
    """Train a system, and predict the images that are reported on, and the others.

    Args:
        trace: Of the stage.
        system: Its name.
        seed: Of the training.
    """
    from swatchbook.models.landmark_answers import prediction_table

    manifest, schema, name = trace.table("manifest.parquet"), schema_of(trace), model_name(system, seed)
    which, truth = parts(trace, manifest), truth_of(manifest, schema)
    design = design_of(
        system, Design(**{n: trace.setting(f"design.{n}") for n in Design.__dataclass_fields__})
    )
    weights = tuple(trace.setting("loss_weights"))
    stored, learnt = squares(trace, len(manifest)), truth
    if SYSTEMS[system].shuffled:
        learnt = with_others_points(truth, which.train, np.random.default_rng([seed, 4]))
    on_all_processes(
        fit,
        pixel_file=trace.path(SQUARES),
        row=stored.shape[1:],
        truth=learnt,
        train_rows=which.train,
        val_rows=which.choose,
        schema=schema,
        design=design,
        recipe=recipe_of(system, recipe_in(trace), schema, weights, seed),
        backbone=trace.setting("backbone"),
        folder=trace.folder(f"models/{name}"),
        pretrained=trace.setting("pretrained"),
        landmark_loss=SYSTEMS[system].landmark_loss,
        score="located" if not SYSTEMS[system].answer_loss else "answers",
    )
    trace.wrote(*(f"models/{name}/{file}" for file in FILES))
    rows = np.concatenate([which.report, which.others])
    outputs = answered(trace, name, rows, stored, truth, schema)
    table = prediction_table(outputs, rows, schema).reset_index(drop=True)
    table.insert(0, "image_id", manifest["image_id"].to_numpy()[rows])
    table.insert(1, "part", np.where(np.arange(len(rows)) < len(which.report), REPORT, OTHERS))
    trace.write_table(f"predictions/{name}.parquet", table)


def answered(
    trace: Trace, name: str, rows: np.ndarray, stored: np.ndarray, truth: Truth, schema: Schema
) -> Tensors:
    """What a trained model says of some images."""
    from swatchbook.models.landmark_answers import answer

    given = {"points": truth.points, "visibility": truth.visibility}
    return answer(trace.folder(f"models/{name}"), stored, rows, schema, **given)


def with_others_points(truth: Truth, rows: np.ndarray, rng: np.random.Generator) -> Truth:
    """A truth in which these images have each other's points, drawn without replacement."""
    points, visibility, given = truth.points.copy(), truth.visibility.copy(), rng.permutation(rows)
    points[rows], visibility[rows] = truth.points[given], truth.visibility[given]
    return Truth(truth.codes, points, visibility)


def fit(
    pixel_file: Path,
    row: tuple[int, ...],
    truth: Truth,
    train_rows: np.ndarray,
    val_rows: np.ndarray,
    schema: Schema,
    design: Design,
    recipe: Recipe,
    backbone: str,
    folder: Path,
    log: Callable[[str], object] = print,
    **options: object,
) -> Path:
    """Train a network on stored squares. All processes of a training call it alike.

    Args:
        pixel_file: The stored squares.
        row: Shape of one.
        truth: Of all images.
        train_rows: As for `models.tasks.landmarks.Landmarks`, and so what follows.
        val_rows: Rows to choose the epoch by.
        schema: Gives the branches.
        design: Of the network.
        recipe: The settings.
        backbone: Its name.
        folder: The model's.
        log: Receives a line an epoch.
        **options: Of `Landmarks`.

    Returns:
        The model's folder.
    """
    from swatchbook.models.tasks.landmarks import Landmarks
    from swatchbook.models.training import train

    task = Landmarks(schema, *truth, train_rows, val_rows, backbone, design, **options)
    return train(task, pixels.read(pixel_file, len(truth.points), row), recipe, folder, log=log)
