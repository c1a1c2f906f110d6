"""The network for landmarks, category and attributes: features, localisation, attention, branches.

Source: Liu & Lu (2018), Deep fashion analysis with feature map upsampling and landmark-driven attention, ECCV
workshops, and its code; a thesis on multi-task learning (document 004) builds on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import nn

from swatchbook.data.landmarks import SLOTS
from swatchbook.models import backbones
from swatchbook.models.heat_maps import POINTS, WHOLE, decoded, heat_maps
from swatchbook.models.landmark_design import Design
from swatchbook.models.network import keep_frozen
from swatchbook.models.task import Tensors
from swatchbook.schema import Schema

ATTRIBUTES, MAPS, ATTENTION = "several", "heat_maps", "attention"
SWAPPED = (1, 0, 3, 2, 5, 4, 7, 6)  # the slots once left is right
_CLOSING = ("global_pool", "pre_logits", "head", "fc", "classifier")  # of timm's models, after the features


def localisation(design: Design, channels: int) -> nn.Sequential:
    """Features, shape (n, channels, h, h) → a heat-map a slot, of the side h · 2^upsamplings."""
    deep, first, layers = design.localisation == "liu", design.localisation_width, []

    def add(layer: nn.Module, width: int) -> None:
        layers.extend([layer, *([nn.BatchNorm2d(width)] if design.norm else []), nn.ReLU()])

    def convolve(before: int, width: int, kernel: int = 3) -> None:
        add(nn.Conv2d(before, width, kernel, padding=kernel // 2), width)

    convolve(channels, first, 1)
    for _ in range(2 * deep):
        convolve(first, first)
    convolve(first, 2 * first)
    before = 2 * first
    for k in range(1, design.upsamplings + 1):
        width = 2 * first // 2**k
        add(nn.ConvTranspose2d(before, width, 4, 2, 1), width)
        for _ in range(2 * (deep and k < design.upsamplings)):
            convolve(width, width)
        before = width
    convolve(before, before)
    return nn.Sequential(*layers, nn.Conv2d(before, len(SLOTS), 1))


class Attention(nn.Module):
    """A U-Net of two halvings: features and heat-maps → a factor's departure from 1, in (−1, 1)."""

    def __init__(self, inputs: int, channels: int, width: int = 32) -> None:
        """Make it.

        Args:
            inputs: Channels of features and heat-maps together.
            channels: Of the features.
            width: Channels at full side.
        """
        super().__init__()

        def down(before: int) -> nn.Sequential:
            halve = nn.Conv2d(before, 2 * before, 4, 2, 1, bias=False)
            return nn.Sequential(nn.LeakyReLU(0.2), halve, nn.BatchNorm2d(2 * before))

        def up(before: int, after: int) -> nn.Sequential:
            double = nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)
            return nn.Sequential(nn.ReLU(), double, nn.BatchNorm2d(after))

        self.enter = nn.Conv2d(inputs, width, 1, bias=False)
        self.down = nn.ModuleList([down(width), down(2 * width)])
        inner = 4 * width
        self.inner = nn.Sequential(
            nn.LeakyReLU(0.2),
            nn.Conv2d(inner, inner, 1, bias=False),
            nn.ReLU(),
            nn.ConvTranspose2d(inner, inner, 1),
            nn.BatchNorm2d(inner),
        )
        self.up = nn.ModuleList([up(2 * inner, 2 * width), up(inner, width)])
        self.leave = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * width, channels, 1), nn.Tanh())

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """Shape (n, inputs, h, w) → (n, channels, h, w); sides are filled up with zeros to multiples of 4."""
        height, width = seen.shape[2:]
        whole = self.enter(F.pad(seen, (0, -width % 4, 0, -height % 4)))
        half = self.down[0](whole)
        quarter = self.down[1](half)
        half = torch.cat([half, self.up[0](torch.cat([quarter, self.inner(quarter)], 1))], 1)
        return self.leave(torch.cat([whole, self.up[1](half)], 1))[..., :height, :width]


class LandmarkNetwork(nn.Module):
    """Features → localisation → attention on the features → the rest of the backbone → branches.

    It takes views in [0, 1] and normalises them itself. Parts that designs share are made first and in the
    same order, so that from one seed they start alike.

    Attributes:
        design: What it is made of.
        lower: The backbone's layers up to the features.
        upper: Those after them.
        branches: Of each attribute with one class, and of all attributes with several at once together.
        names: What the branches answer, in the same order; `ATTRIBUTES` for the latter.
        info: What the weights are, as from `backbones.create`, and the number of `parameters`.
    """

    def __init__(
        self,
        backbone: nn.Module,
        schema: Schema,
        design: Design,
        image_size: int,
        info: Mapping,
        *,
        dropout: float = 0.0,
    ) -> None:
        """Put localisation, attention and branches on a backbone.

        Args:
            backbone: A timm model whose layers follow each other: VGG, ResNet, EfficientNet and such.
            schema: Gives the branches.
            design: What to put on it.
            image_size: Side of the views in pixels.
            info: As `backbones.create` gives it.
            dropout: Share that each branch drops of its hidden units.

        Raises:
            ValueError: If the backbone has no features of the design's stride.
        """
        super().__init__()
        self.design, self._dropout = design, dropout
        self.lower, self.upper, channels, features = _cut(backbone, design, image_size)
        several = sum(len(a) for a in schema if a.multiple)
        wanted = {a.name: len(a) for a in schema if not a.multiple}
        wanted |= {ATTRIBUTES: several * (2 if design.pairs else 1)} if several else {}
        self.names, width = tuple(wanted), design.width
        if design.equal != "none":
            with torch.device("meta"):
                larger = replace(design, localisation=design.equal)
                more = count(localisation(larger, channels)) + count(_attention(design, channels))
            width += round(more / sum(features + 1 + outputs for outputs in wanted.values()))
        self.branches = nn.ModuleList(_branch(features, width, k, dropout) for k in wanted.values())
        self.localisation = localisation(design, channels) if design.locates else None
        self.attention = _attention(design, channels) if design.guide != "none" else None
        self.info = {**info, "parameters": count(self)}
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(info[name])[:, None, None], persistent=False)

    def train(self, mode: bool = True) -> LandmarkNetwork:
        """Set the mode of all but frozen layers, which stay as they are used later."""
        super().train(mode)
        for part in (self.lower, self.upper) if mode else ():
            keep_frozen(part)
        return self

    def forward(
        self, views: torch.Tensor, points: torch.Tensor | None = None, seen: torch.Tensor | None = None
    ) -> Tensors:
        """Answers to views.

        Args:
            views: In [0, 1], shape (n, 3, side, side).
            points: Where the guide is ``true``: x and y as shares of the view's side, shape (n, S, 2).
            seen: And which of them are seen, shape (n, S).

        Returns:
            A branch → logits, (n, K), of `ATTRIBUTES` with two logits each (n, 2, A), negative first. In
            training `MAPS`, shape (n, S, h, h), the cells' logits where a distribution is fitted; else what
            `decoded` makes of them, and `ATTENTION`: the factor on the features, mean over channels, shape
            (n, h, h).
        """
        features, outputs = self.lower((views - self.mean) / self.std), {}
        maps = self.localisation(features) if self.localisation else None
        if maps is not None:
            outputs |= {MAPS: maps} if self.training else {}
            if self.design.fit == "distribution":
                maps = (maps - maps.amax((2, 3), keepdim=True)).exp()  # 1 in the likeliest cell
            outputs |= {} if self.training else decoded(maps, self.design.fit)
        if self.attention:
            if self.design.guide == "true":
                guide = heat_maps(points, seen, features.shape[-1], self.design).to(features.dtype)
            else:
                guide = maps
            guide = guide.amax(1, keepdim=True) if self.design.channels == "max" else guide
            if guide.shape[-1] != features.shape[-1]:
                guide = F.interpolate(guide, features.shape[-2:], mode="bilinear", align_corners=False)
            factor = 1 + self.attention(torch.cat([guide, features], 1))
            features = factor * features
            outputs |= {} if self.training else {ATTENTION: factor.mean(1)}
        last = self.upper(features)
        last = last.flatten(1) if self.design.flatten else last.mean((2, 3))
        outputs |= {name: branch(last) for name, branch in zip(self.names, self.branches, strict=True)}
        if self.design.pairs and ATTRIBUTES in outputs:
            outputs[ATTRIBUTES] = outputs[ATTRIBUTES].unflatten(1, (2, -1))
        return outputs

    def mirrored(self, outputs: Tensors) -> Tensors:
        """Outputs of mirrored views → those that they are of the plain ones."""
        back = dict(outputs)
        for name in (POINTS, WHOLE):
            if name in back:
                points = back[name][:, list(SWAPPED)]
                back[name] = torch.stack([1 - points[..., 0], points[..., 1]], 2)
        if ATTENTION in back:
            back[ATTENTION] = back[ATTENTION].flip(2)
        return back

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """The trainable parameters by learning rate: those of the backbone, and all others."""
        own = {id(p) for part in (self.lower, self.upper) for p in part.parameters()}
        trainable = [p for p in self.parameters() if p.requires_grad]
        return {
            "backbone": [p for p in trainable if id(p) in own],
            "heads": [p for p in trainable if id(p) not in own],
        }


def build(
    backbone: str,
    schema: Schema,
    design: Design,
    *,
    pretrained: bool,
    cache_dir: str | Path | None = None,
    img_size: int = 224,
    dropout: float = 0.0,
    train_blocks: int | None = None,
) -> LandmarkNetwork:
    """Build a network by the backbone's name.

    Args:
        backbone: As in `backbones.create`, which lists the errors, too.
        schema: Gives the branches.
        design: What is put on the backbone.
        pretrained: Load the backbone's weights.
        cache_dir: The Hugging Face Hub cache.
        img_size: Side of the views in pixels.
        dropout: As in `LandmarkNetwork`.
        train_blocks: Blocks of the backbone that are not frozen; None freezes nothing.
    """
    model, info = backbones.create(backbone, pretrained=pretrained, cache_dir=cache_dir, img_size=img_size)
    if train_blocks is not None:
        backbones.freeze(model, train_blocks)
    return LandmarkNetwork(model, schema, design, img_size, info, dropout=dropout)


def count(module: nn.Module) -> int:
    """Parameters of a module."""
    return sum(p.numel() for p in module.parameters())


def _cut(
    backbone: nn.Module, design: Design, image_size: int
) -> tuple[nn.Sequential, nn.Sequential, int, int]:
    """The layers before and after the features, the features' channels, and how many come out at last."""
    layers: list[nn.Module] = []
    for name, child in backbone.named_children():
        if name in _CLOSING:
            break
        layers += list(child) if isinstance(child, nn.Sequential) else [child]
    was_training, shapes = backbone.training, []
    backbone.eval()
    with torch.no_grad():
        x = torch.zeros(1, 3, image_size, image_size, device=next(backbone.parameters()).device)
        try:
            for layer in layers:
                x = layer(x)
                shapes.append(tuple(x.shape))
        except Exception as error:  # a layer raises whatever its own code does
            raise ValueError(
                "the backbone's layers do not follow each other; allowed: convolutional ones such as VGG, "
                "ResNet and EfficientNet"
            ) from error
    backbone.train(was_training)
    at = [k for k, shape in enumerate(shapes) if len(shape) == 4 and shape[3] * design.stride == image_size]
    if not at:
        strides = sorted({image_size / shape[3] for shape in shapes if len(shape) == 4})
        raise ValueError(
            f"stride {design.stride} at image_size={image_size}; this backbone's features have strides "
            f"{', '.join(f'{stride:g}' for stride in strides) or 'of no kind'}"
        )
    channels = shapes[at[-1]][1]
    features = shapes[-1][1] * (shapes[-1][2] * shapes[-1][3] if design.flatten else 1)
    first = at[-1] + 1
    return nn.Sequential(*layers[:first]), nn.Sequential(*layers[first:]), channels, features


def _attention(design: Design, channels: int) -> Attention:
    return Attention(channels + (1 if design.channels == "max" else len(SLOTS)), channels)


def _branch(features: int, width: int, outputs: int, dropout: float) -> nn.Sequential:
    if not width:
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(features, outputs))
    hidden = nn.Linear(features, width)
    return nn.Sequential(hidden, nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, outputs))
