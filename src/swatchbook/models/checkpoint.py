"""A trained model on disk, and the state from which an interrupted training goes on.

A finished model is a folder with `model.safetensors`, `config.json` (written last) and `history.csv`.
While it is being trained there is a folder `resume/` in it: the state at the end of the last epoch and
the weights of the best one. Nothing here is a pickle, so nothing here can run code when it is opened.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from swatchbook.models.network import WEIGHTS, Network, build
from swatchbook.schema import Schema
from swatchbook.store import Store, sha256

CONFIG = "config.json"
STATE = "resume/state.safetensors"


class CheckpointError(ValueError):
    """A model folder that cannot be used; the message names the file and what is wrong."""


def save_weights(store: Store, artefact: str, network: nn.Module) -> None:
    """Write a network's weights in float32, atomically; equal weights give equal bytes."""
    weights = _plain(network.state_dict())
    store.write(artefact, lambda path: save_file(weights, path))


def save_state(store: Store, network: nn.Module, optimizer: torch.optim.Optimizer, said: Mapping) -> None:
    """Write the state of a training at the end of an epoch, in one file, atomically.

    There is no random state to keep, as every epoch seeds itself, and no scheduler's, as the learning
    rate is a function of the step.

    Args:
        store: Of the model's folder.
        network: Its weights are saved.
        optimizer: Its moments are saved.
        said: All else, as JSON can say it.
    """
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()})
    # One metadata key only: safetensors writes several in random order.
    store.write(STATE, lambda path: save_file(_plain(tensors), path, {"said": json.dumps(said)}))


def load_state(
    store: Store, network: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: str
) -> dict | None:
    """Bring network and optimizer to the saved state.

    Args:
        store: Of the model's folder.
        network: Receives the weights.
        optimizer: Receives the moments.
        fingerprint: What the saved state must have been trained from.

    Returns:
        What `save_state` was told; None, with nothing loaded, if there is no state, it is damaged or
        belongs to other settings or data.
    """
    path = store.path(STATE)
    try:
        with safe_open(path, "pt") as file:
            said = json.loads((file.metadata() or {}).get("said", "{}"))
        if said.get("fingerprint") != fingerprint:
            return None
        tensors = load_file(path)
    except (OSError, SafetensorError, ValueError):
        return None
    moments: dict[int, dict[str, torch.Tensor]] = {}
    weights = {}
    for key, tensor in tensors.items():
        kind, _, name = key.partition(".")
        if kind == "network":
            weights[name] = tensor
        else:
            index, _, moment = name.partition(".")
            moments.setdefault(int(index), {})[moment] = tensor
    network.load_state_dict(weights, strict=True)
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, kept in optimizer.state.items():
        for name, moment in kept.items():
            if moment.shape == parameter.shape:  # files hold one layout, a fused step wants the parameter's
                kept[name] = torch.empty_like(parameter, requires_grad=False).copy_(moment)
    return said


def begin(store: Store) -> None:
    """Clear what an earlier training left, so that a model half-trained cannot pass for a finished one."""
    for name in (CONFIG, WEIGHTS, "history.csv"):
        store.path(name).unlink(missing_ok=True)
    shutil.rmtree(store.path("resume"), ignore_errors=True)


def finish(store: Store, best: str, config: Mapping[str, object]) -> None:
    """Make the best epoch's weights the model's, write its `config.json`, and drop the resume state."""
    store.write(WEIGHTS, lambda path: shutil.copyfile(store.path(best), path))
    store.write_json(CONFIG, {**config, "sha256": sha256(store.path(WEIGHTS))})
    shutil.rmtree(store.path("resume"), ignore_errors=True)


def load(model_dir: str | Path, schema: Schema) -> tuple[Network, dict]:
    """Open a finished model.

    Args:
        model_dir: A folder that `train` has finished.
        schema: Must have the model's attributes and classes, in its order.

    Returns:
        The network, on the CPU and ready to predict, and the content of its `config.json`.

    Raises:
        CheckpointError: If the folder holds no finished model, its weights are a pickle, are damaged or
            do not fit, or the schema is another one.
    """
    folder = Path(model_dir)
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        heads, recipe, network = config["heads"], config["recipe"], config["network"]
        wanted = config["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder}: no finished model; {CONFIG} gives {error!r}") from None
    path = folder / WEIGHTS
    if not path.is_file():
        raise CheckpointError(f"{folder}: {WEIGHTS} is missing; other formats are not opened")
    asked = [[a.name, list(a.classes)] for a in schema]
    if heads != asked:
        raise CheckpointError(
            f"{folder}: the model answers {_describe(heads)}; the schema asks {_describe(asked)}"
        )
    if sha256(path) != wanted:
        raise CheckpointError(
            f"{path} is not the file that {CONFIG} describes (SHA-256 differs); train or copy it again"
        )
    built = build(network["architecture"], schema, pretrained=False, img_size=recipe["image_size"])
    built.info.update(network)
    try:
        weights = load_file(path)
        built.load_state_dict(weights, strict=True)
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path} does not fit {network['architecture']}: {reason}") from None
    for name in ("mean", "std"):
        setattr(built, name, torch.tensor(network[name])[:, None, None])
    return built.eval(), config


def _plain(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _describe(heads: list) -> str:
    return "; ".join(f"{name} ({', '.join(classes)})" for name, classes in heads)
