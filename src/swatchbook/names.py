"""How models are called where people read (sentences, tables, figures), and which name a person meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

NAMES = {
    "dinov2": "DINOv2",
    "resnet50": "ResNet-50",
    "tower": "pretrained tower",
    "scratch": "tower from scratch",
    "reference": "silver labels",
    "silver": "silver labels",
    **{
        f"{network}_{layers}fc": f"{name}, {layers} FC"
        for network, name in (
            ("resnet50", "ResNet"),
            ("se_resnet50", "SE-ResNet"),
            ("se_resnet50_repository", "SE-ResNet of the repository"),
            ("se_resnext50", "SE-ResNeXt"),
        )
        for layers in (0, 2, 4)
    },
    "se_resnet50": "SE-ResNet-50",
    "convnext_large": "ConvNeXt-L",
    "vit-base-patch16-224-in21k": "ViT-B/16",
    "se_resnet50_ce": "SE-ResNet, cross-entropy",
    "se_resnet50_weighted": "SE-ResNet, weighted focal",
    "se_resnet50_no_flip": "SE-ResNet, no flips",
    "se_resnet50_whole": "SE-ResNet, whole photographs",
    "vit": "ViT head",
    **{f"vit_row{row}": f"ViT head, row {row}" for row in (1, 3, 4, 5)},
    **{f"vit_k{k}": f"ViT head, {k} blocks" for k in (0, 2, 4)},
    "vit_k_all": "ViT head, all blocks",
    "vit_linear": "ViT, linear heads",
    "vit_unweighted": "ViT head, unweighted",
    "vit_no_flip": "ViT head, no flips",
    "vit_mended": "ViT head, faults mended",
    "vit_mended_flip": "ViT head, mended, flipped",
    "vit_in21k": "ViT head, ImageNet-21k",
    "vit_in1k": "ViT head, ImageNet-1K",
    "vit_cnn": "ViT's head on SE-ResNet",
    **{f"ours_{k}": f"ours, model {k + 1} alone" for k in range(4)},
    "probe": "linear probe",
    "probe_balanced": "linear probe, balanced",
    "zero_shot": "zero-shot labeller",
    "mtl": "MTL",
    "cat": "CAT",
    "attention_only": "attention, no landmark loss",
    "loss_only": "landmark loss, no attention",
    "cat_large": "CAT, as many parameters",
    "true_points": "attention from true points",
    "shuffled": "shuffled landmarks",
    "coarse_maps": "MTL, coarse heat-maps",
    "landmarks_only": "landmarks alone",
    "mean_position": "mean position",
    "majority": "most frequent class",
}


def called(model: str) -> str:
    """A model's name for readers; its key where it has none."""
    return NAMES.get(model, model)


def meant(given: object, allowed: Iterable[str]) -> str:
    """The allowed name that is most like the one given, as the beginning of a sentence; else empty.

    Of a dotted name, such as ``evaluation.bootstrap``, the last part may be what was given.
    """
    names = {part.lower(): name for name in allowed for part in (name, name.rpartition(".")[2])}
    near = get_close_matches(str(given).lower(), names, n=1)
    return f"did you mean {names[near[0]]}? " if near else ""


def unknown(what: str, given: object, allowed: Iterable[str], more: str = "") -> str:
    """Says that there is no such name, which one was probably meant, and which there are."""
    allowed = list(allowed)
    return f"{what} {str(given)!r} is unknown; {meant(given, allowed)}allowed: {', '.join(allowed)}{more}"
