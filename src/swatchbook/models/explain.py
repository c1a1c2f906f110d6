"""Where in an image each head finds its answer: how far its probability falls when a patch is covered.

Occlusion serves every backbone alike, asks only for forward passes, and its numbers mean something by
themselves. Gradients and attention would need another layer and another shape for each architecture.

Source: Zeiler & Fergus (2014), Visualizing and Understanding Convolutional Networks, arXiv 1311.2901,
section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from swatchbook.evaluation.grids import WINDOW
from swatchbook.models.augment import evaluation_view
from swatchbook.models.hardware import fixed_threads, placed
from swatchbook.models.inputs import batches, checked_rows
from swatchbook.models.pixel_loader import PixelLoader
from swatchbook.models.tasks import heads as tasks
from swatchbook.schema import Schema

Answer = Callable[[torch.Tensor], dict[str, torch.Tensor]]


@torch.no_grad()
def occlusion(
    answer: Answer, views: torch.Tensor, cells: int = 8, window: int = WINDOW
) -> dict[str, torch.Tensor]:
    """How far the probability of each head's answer falls when part of the image is covered.

    A square of cells is moved over the image by one cell at a time and filled with the image's own
    mean colour. A cell's value is the mean fall over the squares that cover it.

    Args:
        answer: Views → attribute → probabilities, shape (n, K).
        views: Shape (n, 3, S, S).
        cells: Cells along a side of the image, at most S.
        window: Cells along a side of the square, from 1 to `cells`. A network that averages over the whole
            image hardly notices a small square.

    Returns:
        Attribute → falls in probability, in [−1, 1], shape (n, cells, cells): 0 where covering changes
        nothing, below 0 where it makes the head surer.

    Raises:
        ValueError: If the number of cells is out of range.
    """
    side = views.shape[-1]
    if not 1 <= window <= cells <= side:
        raise ValueError(f"1 ≤ window ≤ cells ≤ {side} is needed; received window={window}, cells={cells}")
    edges = [round(side * k / cells) for k in range(cells + 1)]
    colour = views.mean((2, 3), keepdim=True)
    whole = answer(views)
    top = {name: p.argmax(1, keepdim=True) for name, p in whole.items()}
    falls = {name: torch.zeros(len(views), cells, cells) for name in whole}
    squares = torch.zeros(cells, cells)
    for i in range(cells - window + 1):
        for j in range(cells - window + 1):
            covered = views.clone()
            covered[..., edges[i] : edges[i + window], edges[j] : edges[j + window]] = colour
            squares[i : i + window, j : j + window] += 1
            for name, p in answer(covered).items():
                fall = (whole[name] - p).gather(1, top[name])[:, :, None].float().cpu()
                falls[name][:, i : i + window, j : j + window] += fall
    return {name: fall / squares for name, fall in falls.items()}


def explain(
    model_dir: str | Path,
    pixels: np.ndarray,
    rows: np.ndarray,
    schema: Schema,
    *,
    cells: int = 8,
    batch: int = 64,
    device: str = "auto",
) -> dict[str, np.ndarray]:
    """Occlusion maps of images by a trained model.

    Args:
        model_dir: A folder that `train` has finished.
        pixels: uint8, shape (N, S, S, 3).
        rows: Which images, shape (n,).
        schema: Must have the model's attributes and classes, in its order.
        cells: Cells along a side of the map.
        batch: Images a forward pass.
        device: ``auto``, ``cuda`` or ``cpu``.

    Returns:
        ``seen``, what the model saw of each image: uint8, shape (n, side, side, 3); ``falls``: float32, shape
        (n, heads, cells, cells), heads in schema order; ``probability`` of each answer before anything
        was covered: float32, shape (n, heads).

    Raises:
        ValueError: If the folder holds no such model or pixels or rows are not as described.
    """
    network, config = tasks.load(model_dir, schema)
    rows = checked_rows(rows, pixels, "rows")
    recipe, hardware = tasks.settings_of(config, device)
    network = placed(network, hardware.device)
    loader = PixelLoader(pixels, recipe, hardware.device, keep=False)
    heads, side = schema.names, recipe.image_size

    def answer(views: torch.Tensor) -> dict[str, torch.Tensor]:
        with hardware.autocast():
            logits = network(views)
        return {a.name: tasks.probabilities(logits[a.name].float(), a) for a in schema}

    seen = np.empty((len(rows), side, side, 3), np.uint8)
    falls = np.empty((len(rows), len(heads), cells, cells), np.float32)
    sure = np.empty((len(rows), len(heads)), np.float32)
    with fixed_threads(recipe.threads), torch.no_grad():
        for at in batches(np.arange(len(rows)), batch):
            views = evaluation_view(loader(rows[at]), recipe).pixels
            seen[at] = (views * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
            maps, p = occlusion(answer, views, cells), answer(views)
            falls[at] = torch.stack([maps[name] for name in heads], 1).numpy()
            sure[at] = torch.stack([p[name].amax(1) for name in heads], 1).cpu().numpy()
    return {"seen": seen, "falls": falls, "probability": sure}
