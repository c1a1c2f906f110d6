"""From stored pixels to what the model sees: random views for training, one exact view for evaluation.

Every image of a batch gets its own crop, flip and jitter, from numbers that depend on nothing but the
seed, the epoch and the image, so that neither the order of a batch nor its size changes them. Hue is
never touched: colour is a label. A view comes with its geometry, so that boxes and points can follow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention

from swatchbook.models.geometry import Geometry
from swatchbook.models.recipe import Recipe

TRIES = 10  # crops drawn until one fits, as many as torchvision draws
COLUMNS = 6 + 2 * TRIES  # left, top, flip, brightness, contrast, saturation; then area and shape of each try
LARGEST_RATIO = 4 / 3
GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma


class View(NamedTuple):
    """What the model sees of the images of a batch.

    Attributes:
        pixels: float32, about [0, 1], shape (n, 3, size, size).
        geometry: Where it lies in the stored squares.
    """

    pixels: torch.Tensor
    geometry: Geometry


@dataclass(frozen=True)
class Augmentation:
    """How the views of a task are made.

    Attributes:
        training: Stored images (uint8, shape (n, S, S, 3)), their random numbers (shape (n, `columns`)), the
            recipe and the side of the view in pixels → views; of each image alone, whatever its batch.
        evaluation: Stored images and the recipe → views.
        columns: Random numbers an image.
    """

    training: Callable[[torch.Tensor, torch.Tensor, Recipe, int], View]
    evaluation: Callable[[torch.Tensor, Recipe], View]
    columns: int


def random_draws(seed: int, epoch: int, images: int, columns: int = COLUMNS) -> np.ndarray:
    """The random numbers of an epoch: float32 in [0, 1), shape (images, columns), a row an image.

    Row i is the same however many images there are.
    """
    return np.random.default_rng([seed, epoch, 2]).random((images, columns), dtype=np.float32)


def training_view(images: torch.Tensor, draws: torch.Tensor, recipe: Recipe, size: int | None = None) -> View:
    """Random crop, flip and jitter of each image.

    In distribution these are torchvision's RandomResizedCrop (`crop_scale` to 1 of the area, a side ratio of
    3/4 to 4/3, drawn again while it would leave the image), RandomHorizontalFlip, RandomVerticalFlip and
    ColorJitter without hue, but for two things: a crop's edges need not lie between pixels, and nothing is
    clipped.

    Args:
        images: uint8, shape (n, S, S, 3).
        draws: The images' rows of `random_draws`, shape (n, COLUMNS), on the same device.
        recipe: Image size, crop and jitter settings.
        size: Side of the view; the recipe's `image_size` by default.

    Returns:
        The views. Jitter can leave [0, 1]: clipping would shift the hue of bright colours.
    """
    pixels = _floats(images, recipe)
    left, top, flip, *jitter = draws[:, :6].unbind(1)
    width, height = _crop(draws[:, 6:], recipe.crop_scale)
    # Crops are upright, so columns and rows are looked up apart; `affine_grid` would multiply matrices.
    size = size or recipe.image_size
    middles = (2 * torch.arange(size, device=images.device) + 1) / size - 1
    mirrored = torch.where(flip < recipe.flip, -width, width)
    if recipe.vertical_flip:
        # Within its side of the first decision the same random number is uniform again.
        within = torch.where(flip < recipe.flip, flip / max(recipe.flip, 1e-9),
                             (flip - recipe.flip) / max(1 - recipe.flip, 1e-9))  # fmt: skip
        height = torch.where(within < recipe.vertical_flip, -height, height)
    across, down = (1 - width) * (2 * left - 1), (1 - height.abs()) * (2 * top - 1)
    x = mirrored[:, None] * middles + across[:, None]
    y = height[:, None] * middles + down[:, None]
    grid = torch.stack([x[:, None].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], dim=-1)
    view = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    crops = torch.stack([mirrored, height], 1), torch.stack([across, down], 1)
    return View(_jitter(view, *jitter, recipe), Geometry.of_crops(*crops, images.shape[1], size))


def _crop(draws: torch.Tensor, smallest: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Width and height of each image's crop, as shares of the image, each of shape (n,)."""
    area = smallest + (1 - smallest) * draws[:, 0::2]
    ratio = torch.exp((2 * draws[:, 1::2] - 1) * math.log(LARGEST_RATIO))
    # Width √(a·r) and height √(a/r) fit into the image as long as a ≤ r ≤ 1/a.
    fits = area <= torch.minimum(ratio, 1 / ratio)
    first = fits.int().argmax(1, keepdim=True)
    any_fits = fits.any(1)
    area = torch.where(any_fits, area.gather(1, first)[:, 0], 1.0)
    ratio = torch.where(any_fits, ratio.gather(1, first)[:, 0], 1.0)
    return (area * ratio).sqrt(), (area / ratio).sqrt()


def evaluation_view(images: torch.Tensor, recipe: Recipe) -> View:
    """The centre crop; for images stored at 256 and a model at 224, no pixel is changed.

    With `flip_validation` each is then flipped vertically at random, by torch's own state.

    Args:
        images: uint8, shape (n, S, S, 3).
        recipe: Image size, `crop_share`, and `vertical_flip` where it counts here.
    """
    pixels = _floats(images, recipe)
    side, size = pixels.shape[-1], recipe.image_size
    # Python's rounding of the half pixel, as in torchvision's CenterCrop.
    start = round((side - size) / 2)
    scale = torch.full((len(images), 2), size / side, device=images.device)
    offset = torch.full_like(scale, (2 * start + size) / side - 1)
    view = pixels[..., start : start + size, start : start + size].contiguous()
    if recipe.flip_validation:
        flipped = (torch.rand(len(images)) < recipe.vertical_flip).to(images.device)
        view = torch.where(flipped[:, None, None, None], view.flip(2), view)
        scale[:, 1] = torch.where(flipped, -scale[:, 1], scale[:, 1])
    return View(view, Geometry.of_crops(scale, offset, images.shape[1], size))


STANDARD = Augmentation(training_view, evaluation_view, COLUMNS)


def working_side(recipe: Recipe) -> int:
    """Side in pixels of which the model's input is `crop_share`: the Resize of the evaluation."""
    return round(recipe.image_size / recipe.crop_share)


def at_side(images: torch.Tensor, side: int) -> torch.Tensor:
    """Images resized, antialiased and rounded to whole numbers as torchvision's Resize does.

    Args:
        images: uint8, shape (n, S, S, 3).
        side: Of the result, in pixels; images of that side are returned as they are.
    """
    if images.shape[1] == side:
        return images
    pixels = images.permute(0, 3, 1, 2).float()
    resized = F.interpolate(pixels, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return resized.round_().clamp_(0, 255).byte().permute(0, 2, 3, 1).contiguous()


def _floats(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """In [0, 1], shape (n, 3, side, side), at the working side."""
    return at_side(images, working_side(recipe)).permute(0, 3, 1, 2).float().div_(255)


def _jitter(
    view: torch.Tensor, bright: torch.Tensor, contrast: torch.Tensor, colour: torch.Tensor, recipe: Recipe
) -> torch.Tensor:
    """Brightness, contrast, saturation, in this order.

    Each scales the differences between channels, so hue stays. With luma Y(·) and its mean over the image
    Ȳ, they are v ← b·v, v ← c·v + (1 − c)·Ȳ(v) and v ← s·v + (1 − s)·Y(v); since Y of a grey is that grey,
    all three together are s·c·b·v + (1 − s)·c·b·Y(v) + (1 − c)·b·Ȳ(v): a matrix and a shift an image.
    """
    b, c, s = (
        1 + most * (2 * u - 1)
        for u, most in (
            (bright, recipe.brightness),
            (contrast, recipe.contrast),
            (colour, recipe.saturation),
        )
    )
    luma = torch.tensor(GREY, device=view.device)
    mixing = (s * c * b)[:, None, None] * torch.eye(3, device=view.device)
    mixing = mixing + ((1 - s) * c * b)[:, None, None] * luma
    grey = view.mean((2, 3)) @ luma
    shift = ((1 - c) * b * grey)[:, None, None].expand(-1, 3, 1)
    return torch.baddbmm(shift, mixing, view.flatten(2)).view_as(view)
