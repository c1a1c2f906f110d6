"""What the studies' trainings share: the recipe from a run's settings, and all processes of a training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from swatchbook.models.recipe import Recipe
from swatchbook.pipeline.stage import Trace

FILES = ("model.safetensors", "config.json", "history.csv")  # of a finished model's folder


def recipe_of(trace: Trace) -> Recipe:
    """The recipe that a run's settings give."""
    return Recipe(**{name: trace.setting(f"training.{name}") for name in Recipe.__dataclass_fields__})


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
