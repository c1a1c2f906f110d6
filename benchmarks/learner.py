"""Network, optimiser, precision and loss of the study in a plain loop, for the contestants that train."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from swatchbook.memory import keep_freed
from swatchbook.models.hardware import choose, placed
from swatchbook.models.losses import class_weights, combined, head_losses
from swatchbook.models.network import Network, build
from swatchbook.models.recipe import Recipe
from swatchbook.models.schedule import optimizer_of
from swatchbook.schema import Schema


@dataclass(frozen=True)
class Task:
    """What all of them do in a turn.

    Attributes:
        backbone: As in `network.build`; its weights are random.
        recipe: The settings, as the study would use them.
        device: ``cuda`` or ``cpu``.
        folder: Photographs: those of `steps` batches, and one batch more to validate with.
        array: The same, decoded: an array that `pixels.build` has written.
        steps: Optimiser steps that are timed in a turn.
        warmup: Steps before them that are not.
        rounds: Turns, those that are not counted among them.
        seed: Of the labels, which are random: no rate depends on them.
    """

    backbone: str
    recipe: Recipe
    device: str
    folder: Path
    array: Path
    steps: int
    warmup: int
    rounds: int
    seed: int = 0

    @property
    def schema(self) -> Schema:
        """Four heads, as in the study."""
        return Schema.load()

    @property
    def timed(self) -> int:
        """Images that are timed in a turn."""
        return self.steps * self.recipe.batch

    def codes(self) -> dict[str, np.ndarray]:
        """Random labels of all photographs."""
        rng = np.random.default_rng(self.seed)
        return {a.name: rng.integers(0, len(a), self.timed + self.recipe.batch) for a in self.schema}


class Bare(nn.Module):
    """The study's backbone and heads on views that are normalised already."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, views: torch.Tensor) -> dict[str, torch.Tensor]:
        """Normalised views, shape (n, 3, side, side) → attribute → logits of shape (n, K)."""
        features = self.network.backbone(views)
        heads = zip(self.network.names, self.network.heads, strict=True)
        return {name: head(features) for name, head in heads}


class Learner:
    """Network, optimiser and loss of the study in a plain loop."""

    def __init__(self, task: Task, *, compiled: bool = False) -> None:
        recipe = task.recipe
        torch.set_num_threads(recipe.threads)
        keep_freed()  # as the study does
        torch.manual_seed(recipe.seed)
        self.task = task
        self.hardware = choose(recipe.precision, task.device)
        self.device = torch.device(task.device)
        network = build(task.backbone, task.schema, pretrained=False, img_size=recipe.image_size)
        self.network = placed(network, task.device)
        self.bare = Bare(self.network).train()
        self.model = torch.compile(self.bare) if compiled else self.bare
        self.optimizer = optimizer_of(self.network.groups(), recipe)
        self.scaler = torch.amp.GradScaler(task.device, enabled=self.hardware.scales)
        codes = task.codes()
        weights = class_weights(codes, task.schema, "weighted")
        self.weights = {name: w.to(self.device) for name, w in weights.items()}
        self.codes = {name: torch.from_numpy(code).to(self.device) for name, code in codes.items()}
        # As `placed` laid out the weights; of a 1 × 1 convolution both layouts look the same.
        last = any(p.ndim == 4 and not p.is_contiguous() for p in self.network.parameters())
        self.layout = torch.channels_last if last else torch.contiguous_format

    @property
    def mean(self) -> tuple[float, ...]:
        """The backbone's mean of each channel."""
        return tuple(self.network.info["mean"])

    @property
    def std(self) -> tuple[float, ...]:
        """The backbone's deviation of each channel."""
        return tuple(self.network.info["std"])

    def loss(self, logits: dict[str, torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
        """The study's loss of all heads, for images by their rows."""
        targets = {name: code[rows] for name, code in self.codes.items()}
        return combined(head_losses(logits, targets, self.task.recipe, self.weights), self.task.recipe)

    def step(self, views: torch.Tensor, rows: torch.Tensor) -> None:
        """One optimiser step on a batch."""
        views = views.to(self.device, non_blocking=True, memory_format=self.layout)
        rows = rows.to(self.device, non_blocking=True)
        self.optimizer.zero_grad(set_to_none=True)
        with self.hardware.autocast():
            logits = self.model(views)
        self.scaler.scale(self.loss(logits, rows)).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.task.recipe.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def timed(self, batches: Iterator[tuple[torch.Tensor, torch.Tensor]], warmup: int) -> float:
        """Seconds of the task's steps, after a warm-up."""
        for _ in range(warmup):
            self.step(*next(batches))
        self.synchronise()
        began = time.perf_counter()
        for _ in range(self.task.steps):
            self.step(*next(batches))
        self.synchronise()
        return time.perf_counter() - began

    def synchronise(self) -> None:
        """Wait for the GPU, if there is one."""
        if self.task.device == "cuda":
            torch.cuda.synchronize()

    def release(self) -> None:
        """Leave the memory that is free to the others."""
        gc.collect()
        if self.task.device == "cuda":
            torch.cuda.empty_cache()
