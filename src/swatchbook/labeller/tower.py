"""The image tower of the labeller in the box, registered with timm: EfficientNet-Lite pooled on the garment.

A garment's colour cannot be read off the last layer's average, which mixes it with the ground and has lost
most of the light. So a map of weights, learnt with the rest, says where the garment is; features of four
depths and the pixels themselves are averaged under it, with their spread, and the pixels beside it too: what
is grey and what is white in dim light is seen only against the ground.
"""

from __future__ import annotations

import timm
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

_TAKEN = (1, 2, 4)  # stages whose features are averaged, beside those of the last layer
_COLOURS = 32  # soft bins of colour, learnt
_CELL = 8  # pixels of a cell in which colours are averaged
default_cfgs = generate_default_cfgs(
    {
        f"garment_lite{size}": {
            "input_size": (3, side, side),
            "num_classes": 0,
            "mean": (0.5, 0.5, 0.5),
            "std": (0.5, 0.5, 0.5),
            "first_conv": "trunk.conv_stem",
            "classifier": "norm",
        }
        for size, side in ((0, 192), (2, 256))
    }
)


class GarmentTower(nn.Module):
    """Normalised pictures, shape (n, 3, side, side), the side a multiple of 32 → features, (n, num_features).

    Attributes:
        size: Which of the EfficientNet-Lite its trunk is, 0 to 4.
        trunk: That network without its classifier. Its batch normalisation keeps the statistics that it
            has, in training too: drawings and photographs, which are trained together, differ in theirs.
        num_features: Width of the result.
    """

    def __init__(self, size: int = 2, in_chans: int = 3, **_: object) -> None:
        super().__init__()
        self.size = size
        name = f"tf_efficientnet_lite{size}"
        self.trunk = timm.create_model(name, num_classes=0, global_pool="", in_chans=in_chans)
        taken = [self.trunk.blocks[stage][-1].conv_pwl.out_channels for stage in _TAKEN]
        self.colours = nn.Conv2d(3, _COLOURS, 1)
        self.garment = nn.Sequential(
            nn.Conv2d(taken[-1] + _COLOURS, 64, 1), nn.ReLU(), nn.Conv2d(64, 32, 3, padding=1), nn.ReLU(),
            nn.Conv2d(32, 1, 1),
        )  # fmt: skip
        self.num_features = 2 * (sum(taken) + self.trunk.num_features) + 3 * (3 + _COLOURS)
        self.norm = nn.LayerNorm(self.num_features)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """See the class."""
        cells = F.avg_pool2d(pictures, _CELL)
        colours = torch.cat([cells, F.relu(self.colours(cells))], dim=1)
        maps, seen = [], self.trunk.bn1(self.trunk.conv_stem(pictures))
        for number, stage in enumerate(self.trunk.blocks):
            seen = stage(seen)
            if number in _TAKEN:
                maps.append(seen)
        maps.append(self.trunk.bn2(self.trunk.conv_head(seen)))
        logits = self.garment(torch.cat([maps[-2], F.avg_pool2d(colours[:, 3:], 2)], dim=1))
        garment = torch.sigmoid(logits)
        found = [part for some in (*maps, colours) for part in _spread(some, garment)]
        found.append(_mean(colours, 1 - garment))
        return self.norm(torch.cat(found, dim=1))

    def train(self, mode: bool = True) -> GarmentTower:
        """As of any module, but for the trunk's batch normalisation."""
        super().train(mode)
        for module in self.trunk.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Nothing: there is no classifier."""

    def group_matcher(self, coarse: bool = False) -> dict[str, object]:
        """Blocks for timm: the trunk's, then what pools them."""
        return {
            "stem": r"^trunk\.(conv_stem|bn1)",
            "blocks": [(r"^trunk\.blocks\.(\d+)", None), (r"^", (99,))],
        }


def _mean(features: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted means of maps, shape (n, C, h, w), under a map of weights of another size → (n, C)."""
    here = _at(weights, features.shape[-1])
    return (features * here).sum((2, 3)) / (here.sum((2, 3)) + 1e-3)


def _spread(features: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted means and standard deviations, each of shape (n, C)."""
    mean = _mean(features, weights)
    return mean, (_mean(features.square(), weights) - mean.square()).clamp(min=1e-6).sqrt()


def _at(weights: torch.Tensor, side: int) -> torch.Tensor:
    """A square map at another side, larger or smaller by a whole factor."""
    here = weights.shape[-1]
    if side > here:
        return F.interpolate(weights, scale_factor=side // here, mode="nearest")
    return F.avg_pool2d(weights, here // side) if side < here else weights


@register_model
def garment_lite0(pretrained: bool = False, **arguments: object) -> GarmentTower:
    """`GarmentTower` of size 0; there are no weights."""
    return build_model_with_cfg(GarmentTower, "garment_lite0", pretrained, size=0, **arguments)


@register_model
def garment_lite2(pretrained: bool = False, **arguments: object) -> GarmentTower:
    """`GarmentTower` of size 2; there are no weights but the labeller's."""
    return build_model_with_cfg(GarmentTower, "garment_lite2", pretrained, size=2, **arguments)
