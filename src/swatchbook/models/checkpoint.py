"""A trained model on disk, of whatever task, and the state from which an interrupted training goes on.

A finished model is a folder with `model.safetensors`, `config.json` (written last, with a SHA-256 over itself
and the weights) and `history.csv`.
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

from swatchbook.models.finished import CONFIG, WEIGHTS, CheckpointError, seal
from swatchbook.store import Store

STATE = "resume/state.safetensors"


def save_weights(store: Store, artefact: str, network: nn.Module) -> None:
    """Write a network's weights in float32, atomically; equal weights give equal bytes."""
    weights = _plain(network.state_dict())
    store.write(artefact, lambda path: save_file(weights, path))


def save_state(
    store: Store, networks: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer, progress: Mapping
) -> None:
    """Write the state of a training at the end of an epoch, in one file, atomically.

    There is no random state to keep, as every epoch seeds itself, and no scheduler's, as the learning
    rate is a function of the step.

    Args:
        store: Of the model's folder.
        networks: Name → what is saved of the weights: the network, and their average where there is one.
        optimizer: Its moments are saved.
        progress: All else, as JSON can say it.
    """
    tensors = {
        f"{kind}.{name}": tensor
        for kind, network in networks.items()
        for name, tensor in network.state_dict().items()
    }
    for index, moments in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()})
    # One metadata key only: safetensors writes several in random order.
    store.write(STATE, lambda path: save_file(_plain(tensors), path, {"progress": json.dumps(progress)}))


def load_state(
    store: Store, networks: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer, fingerprint: str
) -> dict | None:
    """Bring networks and optimizer to the saved state.

    Args:
        store: Of the model's folder.
        networks: Receive the weights, by the names that they were saved under.
        optimizer: Receives the moments.
        fingerprint: What the saved state must have been trained from.

    Returns:
        The `progress` that was saved; None, with nothing loaded, if there is no state, it is damaged or
        belongs to other settings or data.
    """
    path = store.path(STATE)
    try:
        with safe_open(path, "pt") as file:
            progress = json.loads((file.metadata() or {}).get("progress", "{}"))
        if progress.get("fingerprint") != fingerprint:
            return None
        tensors = load_file(path)
    except (OSError, SafetensorError, ValueError):
        return None
    moments: dict[int, dict[str, torch.Tensor]] = {}
    weights: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        kind, _, name = key.partition(".")
        if kind == "optimizer":
            index, _, moment = name.partition(".")
            moments.setdefault(int(index), {})[moment] = tensor
        else:
            weights.setdefault(kind, {})[name] = tensor
    for kind, network in networks.items():
        network.load_state_dict(weights[kind], strict=True)
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, kept in optimizer.state.items():
        for name, moment in kept.items():
            if moment.shape == parameter.shape:  # files hold one layout, a fused step wants the parameter's
                kept[name] = torch.empty_like(parameter, requires_grad=False).copy_(moment)
    return progress


def begin(store: Store) -> None:
    """Clear what an earlier training left, so that a model half-trained cannot pass for a finished one."""
    for name in (CONFIG, WEIGHTS, "history.csv"):
        store.path(name).unlink(missing_ok=True)
    shutil.rmtree(store.path("resume"), ignore_errors=True)


def finish(store: Store, best: str, config: Mapping[str, object]) -> None:
    """Make the best epoch's weights the model's, write its `config.json`, and drop the resume state."""
    store.write(WEIGHTS, lambda path: shutil.copyfile(store.path(best), path))
    store.write_json(CONFIG, {**config, "sha256": seal(config, store.path(WEIGHTS))})
    shutil.rmtree(store.path("resume"), ignore_errors=True)


def load_weights(model_dir: str | Path, config: Mapping, network: nn.Module) -> nn.Module:
    """Give a network a finished model's weights, strictly.

    Args:
        model_dir: The model's folder.
        config: As from `finished.read_config`.
        network: Of the shape that was trained.

    Returns:
        The network, in evaluation mode.

    Raises:
        CheckpointError: If the weights are a pickle, do not fit, or hold what is no number.
    """
    path = Path(model_dir) / WEIGHTS
    try:
        weights = load_file(path)
        network.load_state_dict(weights, strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        kind = config["network"].get("architecture", "the network")
        raise CheckpointError(f"{path} does not fit {kind}: {reason}") from None
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise CheckpointError(f"{path}: {name} is not finite; train the model again")
    return network.eval()


def _plain(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
