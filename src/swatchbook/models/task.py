"""What one training needs and the loop does not know: a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from torch import nn

from swatchbook.models.augment import STANDARD, Augmentation
from swatchbook.models.geometry import Geometry
from swatchbook.models.recipe import Recipe

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Batch:
    """What belongs to the images of a batch, or of a part of one, on the device.

    Attributes:
        targets: Name → targets, their first dimension the images.
        counts: Part of the loss → labelled items of the whole batch, over all parts and processes.
        inputs: Name → what the network takes beside the views, by keyword; its first dimension need not be
            the images.
        progress: Share of the training that is done, in [0, 1).
        geometry: Where the views lie in the stored squares; None for a whole batch, whose views are never
            all there.
    """

    targets: Tensors
    counts: Mapping[str, int]
    inputs: Tensors = field(default_factory=dict)
    progress: float = 0.0
    geometry: Geometry | None = None


class Task(Protocol):
    """One kind of training: targets, network, loss by part, validation score, predictions.

    A subclass says what is its own; methods with a body here need not be written again.

    Attributes:
        name: Of the kind, such as ``heads``.
        train_rows: Rows of the stored images to learn from, shape (n,).
        val_rows: Rows to choose the epoch by, none of them in `train_rows`; empty: the last epoch is kept.
        score: The number of `validate` that chooses the epoch, the higher the better.
        coupled: Whether the loss of an image depends on the others of its batch. It is then computed on the
            outputs of the whole batch, gathered over parts and processes.
        augmentation: How views are made.
    """

    name: str
    train_rows: np.ndarray
    val_rows: np.ndarray
    score: str
    coupled: bool = False
    augmentation: Augmentation = STANDARD

    def check(self, images: int, recipe: Recipe) -> None:
        """Refuse what cannot be trained, before anything is built.

        Args:
            images: How many images are stored.
            recipe: The settings.

        Raises:
            ValueError: If targets do not fit, or there is nothing to learn from or to choose by.
        """

    def build(self, recipe: Recipe) -> nn.Module:
        """The network, on the CPU: views in [0, 1] → name → outputs, their first dimension the images.

        It has `groups()`, trainable parameters by ``backbone`` and ``heads``, and `info`, what its weights
        are, as JSON can say it.
        """

    def targets(self) -> Mapping[str, np.ndarray]:
        """Name → targets of all stored images, their first dimension the images."""

    def labelled(self) -> Mapping[str, np.ndarray]:
        """Part of the loss → how many labelled items each stored image has of it, shape (N,)."""

    def prepare(self, recipe: Recipe, device: str, log: Callable[[str], object]) -> None:
        """Work out what depends on the training targets, such as class weights, on the device."""

    def sampling(self, recipe: Recipe) -> np.ndarray | None:
        """How often each training image is drawn, relative to others, shape (n,); None: once an epoch."""
        return None

    def inputs(self, rows: np.ndarray, rng: np.random.Generator | None) -> tuple[Tensors, Tensors]:
        """What the network takes beside the views of some images, and targets that were drawn with it.

        Args:
            rows: The images.
            rng: Source of randomness; None in validation.
        """
        return {}, {}

    def arguments(self, inputs: Tensors, geometry: Geometry) -> Tensors:
        """What the network takes beside the views, from `inputs` and where the views lie."""
        return inputs

    def loss(self, outputs: Tensors, batch: Batch) -> Tensors:
        """Part → loss: the sum over the labelled items at hand, divided by the batch's `counts`."""

    def validate(self, outputs: Tensors) -> dict[str, float]:
        """Columns of the history from the outputs of all `val_rows`, on the CPU: losses and scores."""

    def predictions(self, outputs: Tensors, rows: np.ndarray) -> pd.DataFrame:
        """A row an image from its outputs, on the CPU; its index, named ``row``, being `rows`."""

    def facts(self) -> dict[str, object]:
        """What `config.json` has to say of the task, as JSON can."""
