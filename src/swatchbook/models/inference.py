"""Images → a network's outputs, from the exact views of the evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from swatchbook.models.augment import STANDARD, Augmentation
from swatchbook.models.backbones import create
from swatchbook.models.geometry import Geometry
from swatchbook.models.hardware import Hardware, choose, fixed_threads, placed
from swatchbook.models.inputs import batches
from swatchbook.models.pixel_loader import PixelLoader
from swatchbook.models.recipe import Recipe

Inputs = Callable[[np.ndarray, Geometry], Mapping[str, torch.Tensor]]


@torch.no_grad()
def outputs_of(
    network: nn.Module,
    loader: PixelLoader,
    rows: np.ndarray,
    recipe: Recipe,
    hardware: Hardware,
    *,
    batch: int | None = None,
    augmentation: Augmentation = STANDARD,
    inputs: Inputs | None = None,
) -> dict[str, torch.Tensor]:
    """A network's outputs for images; with `flip_test` the mean over each view and its mirror image.

    Args:
        network: On the hardware's device.
        loader: Gives the images.
        rows: Which of them, shape (n,).
        recipe: Gives the view.
        hardware: Where and how to compute.
        batch: Images a forward pass; the recipe's `eval_batch` by default.
        augmentation: Its evaluation views are used.
        inputs: Rows and where their views lie → what the network takes beside the views.

    Returns:
        Name → float32 on the CPU, the first dimension n. A network that has `mirrored` (outputs of mirrored
        views → those that they are of the plain ones) brings the places in its outputs back by it.
    """
    was_training = network.training
    network.eval()
    parts: list[dict[str, torch.Tensor]] = []
    # No rows: one image's outputs have the shapes and types of those that are not there.
    for some, images in loader.ahead(
        batches(rows if len(rows) else np.zeros(1, int), batch or recipe.eval_batch)
    ):
        views, geometry = augmentation.evaluation(images, recipe)
        further = inputs(some, geometry) if inputs else {}
        with hardware.autocast():
            outputs = network(views, **further)
            if recipe.flip_test:
                further = inputs(some, geometry.mirror()) if inputs else {}
                back = getattr(network, "mirrored", dict)(network(views.flip(3), **further))
                outputs = {name: (value + back[name]) / 2 for name, value in outputs.items()}
        parts.append({name: value.float() for name, value in outputs.items()})
    network.train(was_training)
    return {name: torch.cat([part[name].cpu() for part in parts])[: len(rows)] for name in parts[0]}


def features_of(
    backbone: str, pixels: np.ndarray, rows: np.ndarray, image_size: int, *, pretrained: bool = True
) -> np.ndarray:
    """A frozen backbone's features of images, from their whole stored squares.

    Args:
        backbone: As in `backbones.create`, which lists the errors, too.
        pixels: uint8, shape (N, S, S, 3).
        rows: Which images, shape (n,).
        image_size: Side of the backbone's input, in pixels.
        pretrained: Whether it has its published weights.

    Returns:
        float32, shape (n, D).
    """
    recipe, hardware = Recipe(image_size=image_size, crop_share=1.0, eval_batch=64), choose()
    model, info = create(backbone, pretrained=pretrained, img_size=image_size)
    with fixed_threads(recipe.threads):
        network = placed(_Features(model, info), hardware.device)
        loader = PixelLoader(pixels, recipe, hardware.device, keep=False)
        return outputs_of(network, loader, rows, recipe, hardware)["features"].numpy()


class _Features(nn.Module):
    """A backbone that normalises its views itself."""

    def __init__(self, backbone: nn.Module, info: Mapping) -> None:
        super().__init__()
        self.backbone = backbone
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(info[name])[:, None, None])

    def forward(self, views: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"features": self.backbone((views - self.mean) / self.std)}
