"""Landmarks, category and attributes of a garment, learnt together or with parts left out.

Points are shares of the stored square's sides, which is the garment's box. Views may be crops and mirror
images: points follow them, left and right slots are exchanged, and a visible point that leaves the view
counts as cut off.

Source: Liu & Lu (2018), ECCV workshops, and its code, for losses and their weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention

from swatchbook.data.landmarks import SLOTS, VISIBLE
from swatchbook.evaluation import landmarks as metrics
from swatchbook.models.geometry import Geometry
from swatchbook.models.heat_maps import POINTS, map_losses
from swatchbook.models.landmark_answers import (
    TASK,
    as_seen,
    asked,
    carried,
    positive_scores,
    prediction_table,
    shape_of,
    true_points,
)
from swatchbook.models.landmark_design import Design
from swatchbook.models.landmark_network import ATTRIBUTES, MAPS, LandmarkNetwork, build
from swatchbook.models.losses import WEIGHTED, item_losses
from swatchbook.models.recipe import Recipe
from swatchbook.models.task import Batch, Task, Tensors
from swatchbook.schema import Schema

LANDMARKS = "landmarks"  # the loss's part
NEGATIVE, UNIT = 0.1, 10  # weight of a negative attribute where a positive has 1; both are whole tenths
ERROR, ANSWERS, LOCATED = "normalized_error", "answers", "located"


class Landmarks(Task):
    """A network of a given design; see `models.task.Task`.

    The loss's parts are the attributes with one class, in schema order; `ATTRIBUTES`, all those with several
    at once; and `LANDMARKS`, where it is learnt.
    """

    name = TASK

    def __init__(
        self,
        schema: Schema,
        codes: Mapping[str, np.ndarray],
        points: np.ndarray,
        visibility: np.ndarray,
        train_rows: np.ndarray,
        val_rows: np.ndarray,
        backbone: str,
        design: Design,
        *,
        landmark_loss: bool = True,
        score: str = ANSWERS,
        pretrained: bool = True,
        cache_dir: str | Path | None = None,
    ) -> None:
        """Describe a training.

        Args:
            schema: Gives the branches.
            codes: Attribute → codes or memberships of all images, as from `Schema.encode`.
            points: Of all images, shares of the square's side, NaN where there is none, shape (N, 8, 2).
            visibility: Their codes, shape (N, 8); visible points are learnt.
            train_rows: Rows to learn from.
            val_rows: Rows to choose the epoch by; none of them in `train_rows`.
            backbone: As in `backbones.create`.
            design: Of the network.
            landmark_loss: Whether heat-maps are learnt from the points.
            score: What chooses the epoch: `ANSWERS`, the mean of the category's accuracy and the attributes'
                recall at 3, or overall accuracy; or `LOCATED`, the negative error of the landmarks.
            pretrained: Start from the backbone's published weights.
            cache_dir: The Hugging Face Hub cache.
        """
        if score not in (ANSWERS, LOCATED):
            raise ValueError(f"score {score!r}; allowed: {ANSWERS}, {LOCATED}")
        self.score = score
        self.schema, self.codes, self.design = schema, codes, design
        self.points, self.visibility = np.asarray(points, np.float32), np.asarray(visibility)
        self.train_rows, self.val_rows, self.backbone = train_rows, val_rows, backbone
        self._several = [a.name for a in schema if a.multiple]
        self._learns = landmark_loss and design.locates
        self._weights_from = {"pretrained": pretrained, "cache_dir": cache_dir}

    def check(self, images: int, recipe: Recipe) -> None:
        """See `Task`."""
        shapes = self.points.shape, self.visibility.shape
        if shapes != ((images, len(SLOTS), 2), (images, len(SLOTS))):
            raise ValueError(
                f"points {shapes[0]} and visibility {shapes[1]} of {images} images; allowed: "
                f"({images}, {len(SLOTS)}, 2) and ({images}, {len(SLOTS)})"
            )
        if np.isnan(self.points[self.visibility == VISIBLE]).any():
            raise ValueError("a visible point has no coordinates; allowed: numbers for every visible point")
        for name, allowed, holds in (
            ("crop_share", "1: points are shares of the whole square", recipe.crop_share == 1),
            ("vertical_flip", "0: no slot is named by top and bottom", recipe.vertical_flip == 0),
            ("loss", "one without class weights", recipe.loss not in (*WEIGHTED, "soft")),
            ("early", "0 where branches see every cell", not (recipe.early and self.design.flatten)),
        ):
            if not holds:
                raise ValueError(
                    f"recipe.{name} = {getattr(recipe, name)!r} for landmarks; must be {allowed}"
                )
        labelled = self.labelled()
        if not any(labelled[part][self.train_rows].any() for part in labelled if part != LANDMARKS):
            raise ValueError(
                f"none of the {len(self.train_rows)} training images has a label; nothing can be learnt"
            )

    def build(self, recipe: Recipe) -> LandmarkNetwork:
        """See `Task`."""
        shape = shape_of(recipe)
        network = build(self.backbone, self.schema, self.design, **self._weights_from, **shape)
        self._parameters = network.info["parameters"]
        return network

    def prepare(self, recipe: Recipe, device: str, log: Callable[[str], object]) -> None:
        """See `Task`."""
        self._recipe, self._device = recipe, device

    def targets(self) -> Mapping[str, np.ndarray]:
        """See `Task`."""
        targets = {a.name: self.codes[a.name] for a in self.schema if not a.multiple}
        if self._several:
            targets[ATTRIBUTES] = _members(self.codes, self._several)
        return {**targets, "points": self.points, "visibility": self.visibility}

    def labelled(self) -> Mapping[str, np.ndarray]:
        """See `Task`; points count whether they are visible or not, as published."""
        units = {a.name: (self.codes[a.name] >= 0).astype(int) for a in self.schema if not a.multiple}
        if self._several:
            members = _members(self.codes, self._several)
            positive = UNIT if self.design.pairs else 1
            units[ATTRIBUTES] = ((members >= 0) + (positive - 1) * (members == 1)).sum(1)
        return units | ({LANDMARKS: np.full(len(self.points), len(SLOTS))} if self._learns else {})

    def inputs(self, rows: np.ndarray, rng: np.random.Generator | None) -> tuple[Tensors, Tensors]:
        """See `Task`: the points, where the design's guide is the true ones."""
        return true_points(self.design, self.points, self.visibility, rows, self._device), {}

    def arguments(self, inputs: Tensors, geometry: Geometry) -> Tensors:
        """See `Task`."""
        return as_seen(inputs, geometry)

    def loss(self, outputs: Tensors, batch: Batch) -> Tensors:
        """See `Task`."""
        losses = {}
        for name in (a.name for a in self.schema if not a.multiple):
            items = item_losses(outputs[name], batch.targets[name], self._recipe)
            losses[name] = items.sum() / max(batch.counts[name], 1)
        if self._several:
            members, logits = batch.targets[ATTRIBUTES], outputs[ATTRIBUTES].float()
            total = attribute_losses(logits, members).sum()
            losses[ATTRIBUTES] = total / max(batch.counts[ATTRIBUTES], 1)
        if self._learns:
            points, codes = carried(batch.geometry, batch.targets["points"], batch.targets["visibility"])
            total = map_losses(outputs[MAPS].float(), points, codes == VISIBLE, self.design).sum()
            losses[LANDMARKS] = total / max(batch.counts[LANDMARKS], 1)
        return losses

    def validate(self, outputs: Tensors) -> dict[str, float]:
        """See `Task`: accuracies, recalls and, where there is localisation, the normalised error."""
        rows = self.val_rows
        found = metrics.answers(
            {name: values.numpy() for name, values in positive_scores(outputs, self.schema).items()},
            {name: codes[rows] for name, codes in self.codes.items()},
            self.schema,
            np.empty((0, len(rows))),
        )
        row = {_column(*key): float(value.samples[0]) for key, value in found.items() if key[2] in _FOLLOWED}
        chosen = [float(found[key].samples[0]) for key in _CHOOSING if key in found]
        row = {ANSWERS: float(np.mean(chosen)), **row}
        if self.design.locates:
            error = metrics.localisation(
                outputs[POINTS].numpy(),
                self.points[rows],
                self.visibility[rows],
                SLOTS,
                np.empty((0, len(rows))),
                (),
            )
            row[ERROR] = float(error["landmarks", "mean", ERROR, np.nan].samples[0])
            row[LOCATED] = -row[ERROR]
        return row

    def predictions(self, outputs: Tensors, rows: np.ndarray) -> pd.DataFrame:
        """See `Task` and `prediction_table`."""
        return prediction_table(outputs, rows, self.schema)

    def facts(self) -> dict[str, object]:
        """See `Task`."""
        return {
            "design": asdict(self.design),
            "landmark_loss": self._learns,
            "asked": asked(self.schema),
            "parameters": self._parameters,
        }


_CHOOSING = (
    ("category", "all", "accuracy", 1),
    ("attributes", "all", "recall", 3),
    ("attributes", "all", "overall_accuracy", np.nan),
)
_FOLLOWED = ("accuracy", "recall", "overall_accuracy", "aca")


def _column(task: str, name: str, metric: str, k: float) -> str:
    """Column of a history: ``category_accuracy_3``, ``texture_recall_3``, ``overall_accuracy``."""
    about = task if task == "category" else "" if metric in ("overall_accuracy", "aca") else name
    return "_".join(part for part in (about, metric, "" if np.isnan(k) else f"{k:g}") if part)


def attribute_losses(logits: torch.Tensor, members: torch.Tensor) -> torch.Tensor:
    """Loss of each attribute of each image, 0 where it is not known.

    Args:
        logits: Of two classes each, negative first, shape (n, 2, A): their cross-entropy times `UNIT`, that
            of a negative times `NEGATIVE`. Or of one, shape (n, A): the binary cross-entropy.
        members: 1, 0, or −1 where it is not known, shape (n, A).

    Returns:
        Shape (n, A). Divided by the sum of the weights in the same unit it is torch's weighted mean.
    """
    known, positive = members >= 0, members == 1
    if logits.ndim == 3:
        losses = F.cross_entropy(logits, positive.long(), reduction="none")
        weights = torch.where(positive, float(UNIT), UNIT * NEGATIVE)
        return losses * weights * known
    return F.binary_cross_entropy_with_logits(logits, positive.float(), reduction="none") * known


def _members(codes: Mapping[str, np.ndarray], names: list[str]) -> np.ndarray:
    return np.concatenate([codes[name] for name in names], axis=1)
