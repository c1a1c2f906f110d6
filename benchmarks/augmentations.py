"""Random crops, flips and jitter of stored pixels: ours beside torchvision v2 and kornia, in turn.

    python benchmarks/augmentations.py --device cpu
    pip install kornia && python benchmarks/augmentations.py --device cuda --batch 256

Every way gives float images from uint8 ones of 256 px, each image by its own draw, but for the last, which
draws once for the whole batch and is there to show what that costs. Rates are of the augmentation alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torchvision.transforms import v2

from swatchbook.models.augment import random_draws, training_view
from swatchbook.models.recipe import Recipe

STORED = 256


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--side", type=int, default=224, help="pixels of the views")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each way in a round")
    given = parser.parse_args()
    images = torch.randint(0, 256, (given.batch, STORED, STORED, 3), dtype=torch.uint8).to(given.device)
    found = {name: [] for name in ways(given.side, given.device)}
    for _ in range(given.rounds):
        for name, way in ways(given.side, given.device).items():
            found[name].append(rate(way, images, given.seconds))
    print(
        f"{given.device}, batch {given.batch}, {STORED} → {given.side} px, {torch.get_num_threads()} threads"
    )
    ours = np.array(found["ours"])
    for name, rates in found.items():
        ratio = np.array(rates) / ours
        print(
            f"{name:<34} {np.median(rates):8.0f} images/s   {np.median(ratio):5.2f} of ours "
            f"({ratio.min():.2f} to {ratio.max():.2f})"
        )


def ways(side: int, device: str) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """The ways to augment a batch: uint8 (n, S, S, 3) → float (n, 3, side, side)."""
    recipe = Recipe(image_size=side, crop_share=side / STORED)
    numbers = torch.from_numpy(random_draws(0, 1, 4096)).to(device)
    bytes_first = v2.Compose(
        [
            v2.RandomResizedCrop(side, (recipe.crop_scale, 1.0), antialias=True),
            v2.RandomHorizontalFlip(recipe.flip),
            v2.ColorJitter(recipe.brightness, recipe.contrast, recipe.saturation),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )

    def each(images: torch.Tensor) -> torch.Tensor:
        return torch.stack([bytes_first(image) for image in images.permute(0, 3, 1, 2)])

    found = {
        "ours": lambda images: training_view(images, numbers[: len(images)], recipe).pixels,
        "torchvision v2, image by image": each,
        "torchvision v2, one draw a batch": lambda images: bytes_first(images.permute(0, 3, 1, 2)),
    }
    try:
        from kornia import augmentation as kornia
    except ImportError:
        print("kornia is not installed: pip install kornia")
        return found
    jitter = kornia.ColorJiggle(recipe.brightness, recipe.contrast, recipe.saturation, 0.0, p=1.0)
    chain = kornia.AugmentationSequential(
        kornia.RandomResizedCrop((side, side), (recipe.crop_scale, 1.0), p=1.0),
        kornia.RandomHorizontalFlip(p=recipe.flip),
        jitter,
        data_keys=["input"],
    )
    return {**found, "kornia": lambda images: chain(images.permute(0, 3, 1, 2).float() / 255)}


def rate(way: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, seconds: float) -> float:
    """Images a second."""
    for _ in range(2):
        way(images)
    _settle(images)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        way(images)
        _settle(images)
        done += len(images)
    return done / (time.perf_counter() - began)


def _settle(images: torch.Tensor) -> None:
    if images.is_cuda:
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
