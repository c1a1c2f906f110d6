"""Augmentation of drawn images on the device: every image by its own draw, hue left alone.

Colour is a label, so nothing here turns one colour into another: no shift of hue, but what a lamp and a
camera do to it. Both work on linear light: the lamp is warmer or cooler than the camera believes, and the
camera's automatic exposure draws a scene towards a middle grey, so that white on white looks grey and black
on black too. What a garment's colour is can then be told only from all of the picture.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

_AREA = (0.4, 1.0)  # of the picture that a crop shows
_STRETCH = 0.25  # largest log ratio of width to height
_TURN = math.radians(12)
_GAMMA = 2.2  # of sRGB, nearly
_MIDDLE = 0.2  # linear light that automatic exposure aims at


def augmented(images: torch.Tensor, pixels: int, seed: int) -> torch.Tensor:
    """Crop, turn, mirror, relight, blur and roughen images, each differently.

    Args:
        images: uint8, shape (n, side, side, 3).
        pixels: Side of the result.
        seed: Everything random follows from it, on one kind of device.

    Returns:
        float32 in [0, 1], shape (n, 3, pixels, pixels).
    """
    generator = torch.Generator(images.device).manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        drawn = torch.rand(len(images), *shape, device=images.device, generator=generator)
        return low + (high - low) * drawn

    def normal(spread: float, *shape: int) -> torch.Tensor:
        return spread * torch.randn(len(images), *shape, device=images.device, generator=generator)

    seen = images.permute(0, 3, 1, 2).float().div_(255)
    side, stretch, turn = uniform(*_AREA).sqrt(), uniform(-_STRETCH, _STRETCH), uniform(-_TURN, _TURN)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    wide, tall = side * (stretch / 2).exp(), side * (-stretch / 2).exp()
    x, y = uniform(-1, 1) * (1 - wide).clamp(min=0), uniform(-1, 1) * (1 - tall).clamp(min=0)
    cosine, sine = turn.cos(), turn.sin()
    theta = torch.stack(
        [
            torch.stack([mirror * wide * cosine, -tall * sine, x], dim=1),
            torch.stack([mirror * wide * sine, tall * cosine, y], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, [len(images), 3, pixels, pixels], align_corners=False)
    seen = F.grid_sample(seen, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    linear = seen.clamp(1e-4, 1) ** _GAMMA
    light = linear.mean((1, 2, 3), keepdim=True).clamp(min=0.01)
    exposure = (_MIDDLE / light) ** uniform(-0.1, 0.5, 1, 1, 1).clamp(min=0) * normal(0.25, 1, 1, 1).exp()
    warmth, tint = normal(0.11, 1, 1, 1), normal(0.03, 1, 1, 1)
    lamp = torch.cat([warmth, tint, -warmth], dim=1).exp()
    seen = (linear * exposure * lamp).clamp_(1e-4) ** (normal(0.12, 1, 1, 1).exp() / _GAMMA)
    # Highlights bend towards white instead of breaking off.
    over = (seen - 0.85).clamp(min=0)
    seen = seen.clamp(max=0.85) + 0.15 * over / (over + 0.15)
    blurred = F.avg_pool2d(F.pad(seen, (1, 1, 1, 1), mode="replicate"), 3, 1)
    # Most images keep their weave: blur and noise on all of them would hide what texture is.
    seen = torch.lerp(seen, blurred, uniform(-1.5, 0.7, 1, 1, 1).clamp(min=0))
    noise = torch.randn(seen.shape, device=seen.device, generator=generator)
    seen = seen + uniform(-0.03, 0.02, 1, 1, 1).clamp(min=0) * noise
    return seen.clamp_(0, 1)


def normalised(images: torch.Tensor, mean: float, std: float) -> torch.Tensor:
    """Images in [0, 1] as the model takes them, in the memory order that convolutions like."""
    return images.sub(mean).div_(std).contiguous(memory_format=torch.channels_last)
