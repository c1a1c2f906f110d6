"""Logits → a table of labels and probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from swatchbook.models import checkpoint
from swatchbook.models.augment import evaluation_view
from swatchbook.models.hardware import Hardware, choose, fixed_threads
from swatchbook.models.inputs import batches, checked_rows
from swatchbook.models.network import Network
from swatchbook.models.pixel_loader import Feed
from swatchbook.models.recipe import Recipe
from swatchbook.schema import Schema


def predict(
    model_dir: str | Path,
    pixels: np.ndarray,
    rows: np.ndarray,
    schema: Schema,
    *,
    batch: int | None = None,
    device: str = "auto",
) -> pd.DataFrame:
    """What a trained model says of images, from their centre crop.

    Args:
        model_dir: A folder that `train` has finished.
        pixels: uint8, shape (N, S, S, 3), S being the side that the model was trained with.
        rows: Which images, in the order of the answer, shape (n,).
        schema: Must have the model's attributes and classes, in its order.
        batch: Images a forward pass; the recipe's `eval_batch` by default.
        device: ``auto``, ``cuda`` or ``cpu``.

    Returns:
        A row an image, its index (named ``row``) being `rows`. Per attribute, in schema order: its label
        and, in columns ``<attribute>:<class>``, the classes' probabilities (float32, sum to 1).

    Raises:
        ValueError: If the folder holds no such model or pixels or rows are not as described.
    """
    network, config = checkpoint.load(model_dir, schema)
    rows = checked_rows(rows, pixels, "rows")
    if pixels.shape[1] != config["side"]:
        raise ValueError(
            f"pixels of side {pixels.shape[1]}; the model was trained on images stored at {config['side']}"
        )
    recipe = Recipe(**config["recipe"])
    # A precision insisted on for training may not exist on the machine that predicts.
    hardware = choose("auto" if recipe.precision == "auto" else "fp32", device)
    with fixed_threads(recipe.threads):
        network.place(hardware.device)
        batch = batch or recipe.eval_batch
        feed = Feed(pixels, recipe, hardware.device, keep=False)
        logits = evaluation_logits(network, feed, rows, recipe, hardware, batch)
    columns: dict[str, np.ndarray] = {}
    for a in schema:
        p = torch.softmax(logits[a.name], 1).numpy()
        columns[a.name] = np.array(a.classes, dtype=object)[p.argmax(1)]
        columns.update({f"{a.name}:{label}": p[:, k] for k, label in enumerate(a.classes)})
    return pd.DataFrame(columns, index=pd.Index(rows, name="row"))


@torch.no_grad()
def evaluation_logits(
    network: Network, feed: Feed, rows: np.ndarray, recipe: Recipe, hardware: Hardware, batch: int
) -> dict[str, torch.Tensor]:
    """Logits of images' centre crops: attribute → float32 on the CPU, shape (n, K)."""
    was_training = network.training
    network.eval()
    parts: list[Mapping[str, torch.Tensor]] = []
    for _, images in feed.ahead(batches(rows, batch)):
        views = evaluation_view(images, recipe)
        with hardware.autocast():
            logits = network(views)
        parts.append({name: scores.float() for name, scores in logits.items()})
    network.train(was_training)
    heads = zip(network.names, network.heads, strict=True)
    empty = {name: torch.empty(0, head.out_features) for name, head in heads}
    return {name: torch.cat([empty[name], *(part[name].cpu() for part in parts)]) for name in network.names}
