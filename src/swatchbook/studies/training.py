"""What the studies' trainings share: the recipe from a run's settings, and all processes of a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from swatchbook.data import pixels
from swatchbook.labeller import DRAWN_ONLY, TOWER, WEIGHTS
from swatchbook.models.recipe import Recipe
from swatchbook.pipeline.stage import Trace
from swatchbook.schema import Schema
from swatchbook.store import sha256

FILES = ("model.safetensors", "config.json", "history.csv")  # of a finished model's folder


def recipe_of(trace: Trace) -> Recipe:
    """The recipe that a run's settings give."""
    return Recipe(**{name: trace.setting(f"training.{name}") for name in Recipe.__dataclass_fields__})


def tower_content(backbone: str) -> dict[str, str]:
    """What a training depends on outside the run if it starts from the labeller's tower: its weights."""
    return {"tower": sha256(DRAWN_ONLY / WEIGHTS)} if backbone == TOWER else {}


def fit_heads(
    pixel_file: Path,
    codes: Mapping[str, np.ndarray],
    train_rows: np.ndarray,
    val_rows: np.ndarray,
    schema: Schema,
    recipe: Recipe,
    backbone: str,
    folder: Path,
    log: Callable[[str], object] = print,
    row: tuple[int, ...] = pixels.ROW,
    **options: object,
) -> Path:
    """Train a head an attribute on stored images. All processes of a training call it alike.

    Args:
        pixel_file: The stored images.
        codes: As for `models.tasks.heads.Heads`, and so what follows.
        train_rows: Rows to learn from.
        val_rows: Rows to choose the epoch by.
        schema: Gives the heads.
        recipe: The settings.
        backbone: Its name.
        folder: The model's.
        log: Receives a line an epoch.
        row: Shape of a stored image.
        **options: Of `Heads`.

    Returns:
        The model's folder.
    """
    from swatchbook.models.tasks.heads import Heads
    from swatchbook.models.training import train

    task = Heads(schema, codes, train_rows, val_rows, backbone, **options)
    return train(task, pixels.read(pixel_file, len(codes[schema.names[0]]), row), recipe, folder, log=log)


def on_all_processes(fit: Callable[..., Path], **settings: object) -> Path:
    """Train in this process, and in those that `torchrun` started beside it.

    Args:
        fit: Called with ``settings`` and, here, with ``log``, which puts the model's name before each line.
        **settings: What the other processes need to train alike; ``folder`` is the model's.

    Returns:
        The model's folder.
    """
    from swatchbook.models.distributed import processes

    name = Path(str(settings["folder"])).name
    processes().broadcast((fit, settings))
    return fit(**settings, log=lambda line: print(f"  {name}: {line}", flush=True))


def follow() -> None:
    """Train with the first process, which prepares what is trained on, until it has no more."""
    from swatchbook.models.distributed import processes

    while (training := processes().broadcast()) is not None:
        fit, settings = training
        fit(**settings)
