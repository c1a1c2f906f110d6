"""Small residual networks that differ as ResNet-50, SE-ResNet-50 and SE-ResNeXt-50 do, registered with timm.

One bottleneck a stage on narrow channels: what the three large ones are compared for (squeeze-and-excitation,
grouped convolutions) can be compared on two cores. They have no published weights.
"""

from __future__ import annotations

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnet import Bottleneck, ResNet

_SEEN = {"input_size": (3, 64, 64), "num_classes": 1000, "first_conv": "conv1", "classifier": "fc"}
_SEEN |= {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
default_cfgs = generate_default_cfgs(
    dict.fromkeys(("reduced_resnet", "reduced_se_resnet", "reduced_se_resnext"), _SEEN)
)


def _reduced(variant: str, pretrained: bool, **arguments: object) -> ResNet:
    shape = {"block": Bottleneck, "layers": (1, 1, 1, 1), "channels": (32, 64, 96, 128), "stem_width": 32}
    return build_model_with_cfg(ResNet, variant, pretrained, **(shape | arguments))


@register_model
def reduced_resnet(pretrained: bool = False, **arguments: object) -> ResNet:
    """Plain bottlenecks."""
    return _reduced("reduced_resnet", pretrained, **arguments)


@register_model
def reduced_se_resnet(pretrained: bool = False, **arguments: object) -> ResNet:
    """Bottlenecks with squeeze-and-excitation, Hu et al. (2018), arXiv 1709.01507."""
    return _reduced("reduced_se_resnet", pretrained, block_args={"attn_layer": "se"}, **arguments)


@register_model
def reduced_se_resnext(pretrained: bool = False, **arguments: object) -> ResNet:
    """Those with 16 groups of 4 channels, Xie et al. (2017), arXiv 1611.05431."""
    grouped = {"cardinality": 16, "base_width": 4, "block_args": {"attn_layer": "se"}}
    return _reduced("reduced_se_resnext", pretrained, **grouped, **arguments)
