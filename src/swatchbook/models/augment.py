"""From stored pixels to what the model sees: random views for training, one exact view for evaluation.

Every image of a batch gets its own crop, flip and jitter, from numbers that depend on nothing but the
seed, the epoch and the image, so that neither the order of a batch nor its size changes them. Hue is
never touched: colour is a label.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention

from swatchbook.models.recipe import Recipe

DICE = 8  # area, shape, left, top, flip, brightness, contrast, saturation
LARGEST_RATIO = 4 / 3
GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma


def dice(seed: int, epoch: int, images: int) -> np.ndarray:
    """The random numbers of an epoch: float32 in [0, 1), shape (images, DICE), a row an image.

    Row i is the same however many images there are.
    """
    return np.random.default_rng([seed, epoch, 2]).random((images, DICE), dtype=np.float32)


def training_view(images: torch.Tensor, thrown: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Random crop, flip and jitter of each image.

    The crop keeps `crop_scale` to 1 of the area with a side ratio of 3/4 to 4/3, like torchvision's
    RandomResizedCrop; ratios that would leave the image are not drawn, where torchvision draws again.

    Args:
        images: uint8, shape (n, S, S, 3).
        thrown: The images' rows of `dice`, shape (n, DICE), on the same device.
        recipe: Image size, crop and jitter settings.

    Returns:
        float32, shape (n, 3, image_size, image_size), about [0, 1]. Jitter can leave that range:
        clipping would shift the hue of bright colours.
    """
    pixels = _working(images, recipe)
    area, shape, left, top, flip, *jitter = thrown.unbind(1)
    area = recipe.crop_scale + (1 - recipe.crop_scale) * area
    # Width √(a·r) and height √(a/r) fit into the image as long as a ≤ r ≤ 1/a.
    bound = torch.clamp(-area.log(), max=math.log(LARGEST_RATIO))
    ratio = torch.exp((2 * shape - 1) * bound)
    width, height = (area * ratio).sqrt(), (area / ratio).sqrt()
    theta = torch.zeros(len(images), 2, 3, device=images.device)
    theta[:, 0, 0] = torch.where(flip < recipe.flip, -width, width)
    theta[:, 1, 1] = height
    theta[:, 0, 2] = (1 - width) * (2 * left - 1)
    theta[:, 1, 2] = (1 - height) * (2 * top - 1)
    grid = F.affine_grid(theta, [len(images), 3, recipe.image_size, recipe.image_size], align_corners=False)
    view = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return _jitter(view, *jitter, recipe)


def evaluation_view(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """The centre crop; for images stored at 256 and a model at 224, no pixel is changed.

    Args:
        images: uint8, shape (n, S, S, 3).
        recipe: Image size and `crop_share`.

    Returns:
        float32 in [0, 1], shape (n, 3, image_size, image_size).
    """
    pixels = _working(images, recipe)
    # Python's rounding of the half pixel, as in torchvision's CenterCrop.
    start = round((pixels.shape[-1] - recipe.image_size) / 2)
    stop = start + recipe.image_size
    return pixels[..., start:stop, start:stop].contiguous()


def _working(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """As floats, at the size of which the model's input is `crop_share`: the Resize of the evaluation."""
    pixels = images.permute(0, 3, 1, 2).float() / 255
    side = round(recipe.image_size / recipe.crop_share)
    if pixels.shape[-1] == side:
        return pixels
    resized = F.interpolate(pixels, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return resized.clamp(0, 1)


def _jitter(
    view: torch.Tensor, bright: torch.Tensor, contrast: torch.Tensor, colour: torch.Tensor, recipe: Recipe
) -> torch.Tensor:
    """Brightness, contrast, saturation: each scales the differences between channels, so hue stays."""

    def factor(u: torch.Tensor, most: float) -> torch.Tensor:
        return (1 + most * (2 * u - 1))[:, None, None, None]

    view = view * factor(bright, recipe.brightness)
    view = _blend(view, _grey(view).mean((2, 3), keepdim=True), factor(contrast, recipe.contrast))
    return _blend(view, _grey(view), factor(colour, recipe.saturation))


def _grey(view: torch.Tensor) -> torch.Tensor:
    luma = torch.tensor(GREY, device=view.device)
    return (view * luma[:, None, None]).sum(1, keepdim=True)


def _blend(view: torch.Tensor, base: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return base + (view - base) * factor
