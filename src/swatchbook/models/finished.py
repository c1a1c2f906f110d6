"""What a finished model's `config.json` says, and whether the weights belong to it; without torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from swatchbook.models.recipe import Recipe
from swatchbook.schema import Attribute, Schema
from swatchbook.store import sha256
from swatchbook.validation import Label, Name, in_words

CONFIG, WEIGHTS = "config.json", "model.safetensors"
HEADS = "heads"  # the task of a model that answers attributes


class CheckpointError(ValueError):
    """A model folder that cannot be used; the message names the file and what is wrong."""


Channels = tuple[FiniteFloat, FiniteFloat, FiniteFloat]
Spread = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Weights(BaseModel):
    """What the weights are; a network that normalises its views itself has mean and deviation."""

    model_config = ConfigDict(strict=True)

    architecture: str = ""
    mean: Channels | None = None
    std: tuple[Spread, Spread, Spread] | None = None


class _Finished(BaseModel):
    """What every finished model's `config.json` says; a task adds its own."""

    model_config = ConfigDict(strict=True)

    recipe: Recipe
    network: _Weights
    sha256: str
    side: Annotated[int, Field(ge=1)] = 1


class _Answers(BaseModel):
    """What a config says that its model answers."""

    heads: list[tuple[Name, Annotated[list[Label], Field(min_length=1)]]]


def seal(config: Mapping[str, object], weights: Path) -> str:
    """SHA-256 over a model's config and its weights together: neither can be exchanged unnoticed."""
    said = json.dumps({k: v for k, v in config.items() if k != "sha256"}, sort_keys=True)
    return hashlib.sha256(f"{said}\n{sha256(weights)}".encode()).hexdigest()


def task_of(model_dir: str | Path) -> str:
    """The task that a finished model was trained for; "" where the folder holds none."""
    try:
        return str(json.loads((Path(model_dir) / CONFIG).read_text(encoding="utf-8"))["task"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def read_config(model_dir: str | Path, task: str) -> dict:
    """The content of a finished model's `config.json`.

    Raises:
        CheckpointError: If the folder holds no finished model or one of another task, its config says what
            cannot be, or config and weights are not those that training wrote.
    """
    folder = Path(model_dir)
    try:
        text = (folder / CONFIG).read_text(encoding="utf-8")
        config = json.loads(text)
        written, _ = config.get("task", HEADS), (config["recipe"], config["network"], config["sha256"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{folder}: no finished model ({CONFIG} gives {error!r}); allowed: a folder that training has "
            "finished, such as runs/demo/models/tower"
        ) from None
    if written != task:
        raise CheckpointError(f"{folder}: a model of the task {written!r}; {task!r} is needed")
    try:
        _Finished.model_validate_json(text)
        Recipe(**config["recipe"])  # pydantic passes over settings that a recipe does not have
    except (ValidationError, TypeError) as error:
        reason = in_words(error) if isinstance(error, ValidationError) else error
        raise CheckpointError(f"{folder / CONFIG}: {reason}") from None
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise CheckpointError(f"{folder}: {WEIGHTS} is missing; other formats are not opened")
    if seal(config, weights) != config["sha256"]:
        raise CheckpointError(
            f"{folder}: {CONFIG} and {WEIGHTS} are not those that training wrote together (SHA-256 differs); "
            "train or copy them again"
        )
    return config


def schema_of(model_dir: Path) -> Schema:
    """The attributes and classes that a trained model answers.

    Raises:
        CheckpointError: If the folder holds no finished model.
    """
    config = read_config(model_dir, HEADS)
    try:
        heads_of = _Answers.model_validate({"heads": config.get("heads")}).heads
    except ValidationError as error:
        raise CheckpointError(f"{model_dir / CONFIG}: {in_words(error)}") from None
    asked = (
        Attribute(name, {label: label for label in classes}, ("{}",), "zero_shot", 0.0, "none")
        for name, classes in heads_of
    )
    return Schema("model", tuple(asked))
