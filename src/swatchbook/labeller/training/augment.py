"""Augmentation of garments on the device: every image by its own draws, hue left alone.

Colour is a label, so nothing here turns one colour into another: no shift of hue, but what a lamp and a
camera do to it. Both work on linear light: the lamp is warmer or cooler than the camera believes, and the
camera's automatic exposure draws a scene towards a middle grey, so that white on white looks grey and black
on black too. What a garment's colour is can then be seen only from all of the picture.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from swatchbook.models.augment import Augmentation, View, evaluation_view
from swatchbook.models.geometry import Geometry
from swatchbook.models.recipe import Recipe

COLUMNS = 14  # random numbers an image
_AREA = (0.45, 1.0)  # of the picture that a crop shows
_STRETCH = 0.25  # largest log ratio of width to height
_TURN = math.radians(12)
_GAMMA = 2.2  # of sRGB, nearly
_MIDDLE = 0.2  # linear light that automatic exposure aims at


def augmented(images: torch.Tensor, draws: torch.Tensor, recipe: Recipe, size: int) -> View:
    """Crop, turn, mirror, relight, blur and roughen images, each differently.

    Args:
        images: uint8, shape (n, side, side, 3).
        draws: Random numbers in [0, 1), shape (n, COLUMNS); all that is random follows from them.
        recipe: Its `flip` is used.
        size: Side of the result.

    Returns:
        Views in [0, 1].
    """
    columns = iter(draws.unbind(1))

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * next(columns)

    def normal(spread: float) -> torch.Tensor:
        return spread * torch.special.ndtri(next(columns).clamp(1e-6, 1 - 1e-6))

    def everywhere(values: torch.Tensor) -> torch.Tensor:
        return values[:, None, None, None]

    side, stretch, turn = uniform(*_AREA).sqrt(), uniform(-_STRETCH, _STRETCH), uniform(-_TURN, _TURN)
    mirror = torch.where(uniform(0, 1) < recipe.flip, -1.0, 1.0)
    wide, tall = side * (stretch / 2).exp(), side * (-stretch / 2).exp()
    x, y = uniform(-1, 1) * (1 - wide).clamp(min=0), uniform(-1, 1) * (1 - tall).clamp(min=0)
    crops = torch.stack([mirror * wide, tall], 1), torch.stack([x, y], 1)
    geometry = Geometry.of_crops(*crops, images.shape[1], size, turn)
    seen = images.permute(0, 3, 1, 2).float().div_(255)
    grid = F.affine_grid(geometry.theta, [len(images), 3, size, size], align_corners=False)
    seen = F.grid_sample(seen, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    linear = seen.clamp(1e-4, 1) ** _GAMMA
    light = linear.mean((1, 2, 3), keepdim=True).clamp(min=0.01)
    exposure = (_MIDDLE / light) ** everywhere(uniform(-0.1, 0.5).clamp(min=0)) * everywhere(
        normal(0.25).exp()
    )
    warmth, tint = normal(0.11), normal(0.03)
    lamp = torch.stack([warmth, tint, -warmth], dim=1)[:, :, None, None].exp()
    seen = (linear * exposure * lamp).clamp_(1e-4) ** everywhere(normal(0.12).exp() / _GAMMA)
    # Highlights bend towards white instead of breaking off.
    over = (seen - 0.85).clamp(min=0)
    seen = seen.clamp(max=0.85) + 0.15 * over / (over + 0.15)
    blurred = F.avg_pool2d(F.pad(seen, (1, 1, 1, 1), mode="replicate"), 3, 1)
    # Most images keep their weave: blur and noise on all of them would hide what texture is.
    seen = torch.lerp(seen, blurred, everywhere(uniform(-1.5, 0.7).clamp(min=0)))
    strengths, seeds = uniform(-0.03, 0.02).tolist(), uniform(0, 2**24).long().tolist()
    generator = torch.Generator(seen.device)
    for picture, strength, seed in zip(seen, strengths, seeds, strict=True):
        if strength > 0:
            generator.manual_seed(seed)
            picture += strength * torch.randn(picture.shape, device=seen.device, generator=generator)
    return View(seen.clamp_(0, 1), geometry)


DRAWN = Augmentation(augmented, evaluation_view, COLUMNS)
