"""What a network of landmarks answers for images: points, category, attributes, and its attention."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from swatchbook.data.landmarks import OCCLUDED, POINTS, TRUNCATED, VISIBLE
from swatchbook.models import checkpoint
from swatchbook.models.finished import CheckpointError, read_config
from swatchbook.models.geometry import Geometry
from swatchbook.models.hardware import fixed_threads, placed
from swatchbook.models.heat_maps import POINTS as PREDICTED
from swatchbook.models.heat_maps import WHOLE
from swatchbook.models.inference import outputs_of
from swatchbook.models.inputs import checked_rows
from swatchbook.models.landmark_design import Design
from swatchbook.models.landmark_network import ATTENTION, ATTRIBUTES, SWAPPED, build
from swatchbook.models.pixel_loader import PixelLoader
from swatchbook.models.recipe import Recipe
from swatchbook.models.task import Tensors
from swatchbook.models.tasks.heads import settings_of
from swatchbook.schema import Schema

TASK = "landmarks"
WHOLE_CELLS = "whole_"  # before a column of points that are middles of cells


def carried(
    geometry: Geometry, points: torch.Tensor, codes: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Points and their visibility as the views have them.

    Args:
        geometry: Where the views lie.
        points: Shares of the stored square's side, NaN where there is none, shape (n, S, 2).
        codes: As in `data.landmarks`, shape (n, S).

    Returns:
        Shares of the view's side; and codes, `TRUNCATED` where a point lies outside of the view. Both in
        the slots that they have there.
    """
    places, inside = geometry.points(torch.nan_to_num(points) * geometry.stored)
    there = (codes == VISIBLE) | (codes == OCCLUDED)
    codes = torch.where(there & ~inside, TRUNCATED, codes)
    swapped, other = geometry.mirrored[:, None], list(SWAPPED)
    places = torch.where(swapped[..., None], places[:, other], places)
    return places / geometry.size, torch.where(swapped, codes[:, other], codes)


def positive_scores(outputs: Tensors, schema: Schema) -> Tensors:
    """Attribute → scores by which its classes rank, shape (n, K): logits, of several at once the positive."""
    scores = {a.name: outputs[a.name] for a in schema if not a.multiple}
    if ATTRIBUTES in outputs:
        logits = outputs[ATTRIBUTES]
        logits = logits[:, 1] if logits.ndim == 3 else logits
        sizes = {a.name: len(a) for a in schema if a.multiple}
        scores |= dict(zip(sizes, logits.split(list(sizes.values()), 1), strict=True))
    return {name: scores[name] for name in schema.names}


def prediction_table(outputs: Tensors, rows: np.ndarray, schema: Schema) -> pd.DataFrame:
    """Outputs as a table.

    Args:
        outputs: Of the network, in evaluation.
        rows: Of the images, shape (n,).
        schema: Gives attributes and classes.

    Returns:
        A row an image, its index (named ``row``) being `rows`. Where there is localisation, `POINTS` as
        shares of the box's sides, and the same after `WHOLE_CELLS` for the middles of cells; and
        ``<attribute>:<class>``, probabilities of one class among all, or the logit of each class by itself.
    """
    columns: dict[str, np.ndarray] = {}
    for prefix, name in (("", PREDICTED), (WHOLE_CELLS, WHOLE)):
        if name in outputs:
            places = outputs[name].flatten(1).numpy().T
            columns |= {prefix + column: values for column, values in zip(POINTS, places, strict=True)}
    for name, scores in positive_scores(outputs, schema).items():
        values = (scores if schema[name].multiple else scores.softmax(1)).numpy()
        columns |= {f"{name}:{label}": values[:, k] for k, label in enumerate(schema[name].classes)}
    return pd.DataFrame(columns, index=pd.Index(rows, name="row"))


def answer(
    model_dir: str | Path,
    pixels: np.ndarray,
    rows: np.ndarray,
    schema: Schema,
    *,
    points: np.ndarray | None = None,
    visibility: np.ndarray | None = None,
    device: str = "auto",
) -> Tensors:
    """What a trained network says of images.

    Args:
        model_dir: A folder that a training of `tasks.landmarks.Landmarks` has finished.
        pixels: uint8, shape (N, S, S, 3).
        rows: Which images, in the order of the answer, shape (n,).
        schema: Must have the attributes and classes that it was trained with.
        points: As for `tasks.landmarks.Landmarks`; needed where the guide is the true points.
        visibility: Likewise.
        device: ``auto``, ``cuda`` or ``cpu``.

    Returns:
        Outputs as of the network in evaluation, on the CPU.

    Raises:
        CheckpointError: If the folder holds no such model.
        ValueError: If pixels, rows or points are not as described.
    """
    config = read_config(model_dir, TASK)
    if config["asked"] != asked(schema):
        raise CheckpointError(f"{model_dir}: the model was trained for another schema")
    rows, design = checked_rows(rows, pixels, "rows"), Design(**config["design"])
    if design.guide == "true" and (points is None or visibility is None):
        raise ValueError("points = None with attention from true points; they are needed")
    recipe, hardware = settings_of(config, device)
    info = config["network"]
    network = build(info["architecture"], schema, design, pretrained=False, **shape_of(recipe))
    checkpoint.load_weights(model_dir, config, network)
    for name in ("mean", "std"):
        setattr(network, name, torch.tensor(info[name])[:, None, None])

    def inputs(some: np.ndarray, geometry: Geometry) -> Tensors:
        return as_seen(true_points(design, points, visibility, some, hardware.device), geometry)

    with fixed_threads(recipe.threads):
        loader = PixelLoader(pixels, recipe, hardware.device, keep=False)
        network = placed(network, hardware.device)
        return outputs_of(network, loader, rows, recipe, hardware, inputs=inputs)


def attention_maps(outputs: Tensors) -> np.ndarray | None:
    """The attention's factor on the features, mean over channels: float32, shape (n, h, h); None without."""
    return outputs[ATTENTION].numpy() if ATTENTION in outputs else None


def true_points(
    design: Design, points: np.ndarray | None, visibility: np.ndarray | None, rows: np.ndarray, device: str
) -> Tensors:
    """Points and visibility of some images, where the design's guide is the true ones; else nothing."""
    if design.guide != "true":
        return {}
    given = {"points": points[rows].astype(np.float32), "visibility": visibility[rows]}
    return {name: torch.from_numpy(values).to(device) for name, values in given.items()}


def as_seen(inputs: Tensors, geometry: Geometry) -> Tensors:
    """What the network takes beside the views: `true_points` as the views have them."""
    if not inputs:
        return {}
    points, codes = carried(geometry, inputs["points"], inputs["visibility"])
    return {"points": points, "seen": codes == VISIBLE}


def shape_of(recipe: Recipe) -> dict[str, object]:
    """The arguments of `build` that a recipe gives."""
    return {"img_size": recipe.image_size, **{n: getattr(recipe, n) for n in ("dropout", "train_blocks")}}


def asked(schema: Schema) -> list:
    """A schema as a model's config keeps it."""
    return [[a.name, list(a.classes), a.multiple] for a in schema]
