"""A backbone with heads: what the tasks that read attributes off an image train."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from swatchbook.models import backbones
from swatchbook.schema import Schema


class Network(nn.Module):
    """A backbone's features and, of each attribute, a linear layer's logits on them.

    It takes views in [0, 1] and normalises them itself, so that no caller can forget or mistake it.

    Attributes:
        backbone: The timm model, without its classifier as a rule.
        neck: What stands between the backbone's feature maps and the heads; None: the backbone pools them.
        hidden: Layers that all heads share.
        heads: Linear layers in schema order.
        names: The attributes' names in the same order.
        image_size: Side of the input in pixels.
        info: What the weights are, as from `backbones.create`.
    """

    def __init__(
        self,
        backbone: nn.Module,
        schema: Schema,
        image_size: int,
        info: dict,
        *,
        hidden: tuple[int, ...] = (),
        dropout: float = 0.0,
        head_dropout: float = 0.0,
        neck: nn.Module | None = None,
    ) -> None:
        """Put heads on a backbone.

        Args:
            backbone: The timm model.
            schema: Gives the heads.
            image_size: Side of the input in pixels.
            info: As `backbones.create` gives it.
            hidden: Widths of the hidden layers, each followed by a ReLU.
            dropout: Share dropped after each hidden layer or, without any, of the features.
            head_dropout: Share that each head drops of its inputs, apart from the others.
            neck: Takes the backbone's feature maps, shape (n, C, h, w), and gives features of shape
                (n, `neck.num_features`) and a dict of further outputs.
        """
        super().__init__()
        self.backbone, self.neck = backbone, neck
        width = (
            neck.num_features
            if neck
            else backbone.num_classes or getattr(backbone, "head_hidden_size", backbone.num_features)
        )
        layers: list[nn.Module] = []
        for wanted in hidden:
            layers += [nn.Linear(width, wanted), nn.ReLU(), nn.Dropout(dropout)]
            width = wanted
        self.hidden = nn.Sequential(*(layers or [nn.Dropout(dropout)]))
        self.head_dropout = nn.Dropout(head_dropout)
        # A list and not a ModuleDict, which refuses attributes called `type` or `training`.
        self.heads = nn.ModuleList(nn.Linear(width, len(a)) for a in schema)
        self.names = schema.names
        self.image_size = image_size
        self.info = info
        self.register_buffer("mean", torch.tensor(info["mean"])[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(info["std"])[:, None, None], persistent=False)

    def train(self, mode: bool = True) -> Network:
        """Set the mode of all but frozen layers, which stay as they are used later."""
        super().train(mode)
        if mode:
            keep_frozen(self.backbone)
        return self

    def features(self, views: torch.Tensor) -> torch.Tensor:
        """Views in [0, 1], shape (n, 3, side, side) → the backbone's features of shape (n, D)."""
        return self.backbone((views - self.mean) / self.std)

    def forward(self, views: torch.Tensor) -> dict[str, torch.Tensor]:
        """Views in [0, 1], shape (n, 3, side, side) → attribute → logits of shape (n, K), and the neck's."""
        if self.neck is None:
            features, further = self.features(views), {}
        else:
            features, further = self.neck(self.backbone.forward_features((views - self.mean) / self.std))
        features = self.hidden(features)
        heads = zip(self.names, self.heads, strict=True)
        return {name: head(self.head_dropout(features)) for name, head in heads} | further

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """The trainable parameters by learning rate: those of the backbone, and all others."""
        own = {id(parameter) for parameter in self.backbone.parameters()}
        trainable = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return {
            "backbone": [parameter for parameter in trainable if id(parameter) in own],
            "heads": [parameter for parameter in trainable if id(parameter) not in own],
        }


def keep_frozen(part: nn.Module) -> None:
    """Set frozen layers as they are used later; batch normalisation would go on learning its statistics."""
    for module in part.modules():
        own = list(module.parameters(recurse=False))
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()


def build(
    backbone: str,
    schema: Schema,
    *,
    pretrained: bool,
    cache_dir: str | Path | None = None,
    img_size: int = 224,
    hidden: tuple[int, ...] = (),
    dropout: float = 0.0,
    head_dropout: float = 0.0,
    train_blocks: int | None = None,
    train_norm: bool = True,
    classifier: bool = False,
) -> Network:
    """Build a network by the backbone's name.

    Args:
        backbone: As in `backbones.create`, which lists the errors, too.
        schema: Gives the heads.
        pretrained: Load the backbone's weights.
        cache_dir: The Hugging Face Hub cache.
        img_size: Side of the input in pixels.
        hidden: Widths of the layers between features and heads.
        dropout: As in `Network`.
        head_dropout: As in `Network`.
        train_blocks: Blocks of the backbone that are not frozen; None freezes nothing.
        train_norm: Whether a norm that follows them is not frozen, either.
        classifier: Take the outputs of the classifier that the backbone was trained with as its features.
    """
    model, info = backbones.create(
        backbone, pretrained=pretrained, cache_dir=cache_dir, img_size=img_size, classifier=classifier
    )
    if train_blocks is not None:
        backbones.freeze(model, train_blocks, norm=train_norm)
    return Network(model, schema, img_size, info, hidden=hidden, dropout=dropout, head_dropout=head_dropout)
