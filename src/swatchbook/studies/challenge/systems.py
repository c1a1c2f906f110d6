"""The systems of the challenge study: the two published ones with their variants, and ours.

A system is a network, a recipe, and what it is shown. Recipes are departures from the defaults of
`models.recipe.Recipe`. Where a document is silent, its public code decides, and where that is silent, we do;
the comments say which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from swatchbook.models.recipe import Recipe

OURS, SE_RESNET, VIT = "ours", "003", "001"  # whose a system is: ours, or the document's


@dataclass(frozen=True)
class System:
    """What is trained, and on what.

    Attributes:
        network: The setting of `settings.Networks` that names the backbone.
        recipe: Setting of the recipe → value.
        whose: One of `OURS`, `SE_RESNET`, `VIT`.
        what: In a few words, how it differs from its neighbours.
        box: Whether it sees the garment's box, squashed to a square, or the whole photograph so.
        classifier: Whether it builds on the 1,000 outputs of the classifier that the weights came with.
        score: The validation score that chooses the epoch; see `models.scores`.
        part: Which part of the training images is cut out to choose on.
        member: Which backbone of a setting that names several.
    """

    network: str
    recipe: Mapping[str, object] = field(default_factory=dict)
    whose: str = OURS
    what: str = ""
    box: bool = True
    classifier: bool = False
    score: str = "accuracy"
    part: int = 0
    member: int = 0


_PLAIN_VIEW = {"crop_share": 1.0, "crop_scale": 1.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0}
_NO_CLIPPING = {"clip": 1e9}
_GROUP_WEIGHTS = (0.95, 0.85, 0.85, 0.9, 1.0, 0.9)  # 003, section 2.3

# 003: sums of focal losses, box crops, horizontal flips. γ, optimiser and number of epochs are not printed.
_FOCAL = {
    **_PLAIN_VIEW,
    **_NO_CLIPPING,
    "optimizer": "adam",
    "backbone_lr": 1e-4,  # ours; the repository's is 1e-3
    "head_lr": 1e-4,
    "weight_decay": 0.0,
    "schedule": "exponential",
    "epoch_factor": 1.0,  # a constant rate, as in the repository
    "warmup_epochs": 0,
    "epochs": 29,  # the repository's
    "batch": 32,  # the repository's
    "flip": 0.5,
    "loss": "plain",
    "focal_gamma": 2.0,  # the repository's
}
# Widths of the added layers: 1,000 each is ours for the document, the repository halves them.
_LAYERS = {0: (), 2: (1000, 1000), 4: (1000, 1000, 1000, 1000)}
_REPOSITORY_LAYERS = {0: (), 2: (512, 256), 4: (512, 256, 128, 64)}
_REPOSITORY = {"backbone_lr": 1e-3, "head_lr": 1e-3, "head_dropout": 0.1}


def _focal(network: str, what: str, *, box: bool = True, **changes: object) -> System:
    return System(network, {**_FOCAL, **changes}, SE_RESNET, what, box=box, classifier=True)


# 001: the last k blocks and a shared head on the CLS token, weighted BCE of a softmax, vertical flips even in
# validation; the whole photograph. Optimiser and schedule are the repository's.
_BINARY = {
    **_PLAIN_VIEW,
    **_NO_CLIPPING,
    "optimizer": "adam",
    "backbone_lr": 3.1e-4,
    "head_lr": 3.1e-4,
    "weight_decay": 0.0,
    "warmup_epochs": 0,
    "epochs": 20,
    "batch": 32,
    "flip": 0.0,
    "vertical_flip": 0.5,
    "flip_validation": True,
    "hidden": (1024, 1024, 1024),
    "dropout": 0.22,
    "train_blocks": 1,
    "train_norm": False,
    "loss": "weighted_bce",
    "bce_of_softmax": True,
    "combine": "share",
}
_NO_FAULTS = {"bce_of_softmax": False, "combine": "sum", "vertical_flip": 0.0, "flip_validation": False}


def _binary(what: str, network: str = "vit", rate: float = 3.1e-4, **changes: object) -> System:
    rates = {"backbone_lr": rate, "head_lr": rate}
    return System(network, {**_BINARY, **rates, **changes}, VIT, what, box=False, score="product")


_OURS = {
    "image_size": 192,
    "crop_share": 1.0,
    "crop_scale": 0.7,
    "early": 0.5,
    "early_size": 144,
    "epochs": 8,
    "warmup_epochs": 0.5,
    "batch": 32,
    "backbone_lr": 3e-4,
    "head_lr": 3e-3,
    "weight_decay": 0.02,
    "decay_all": False,
    "loss": "smooth",
    "smoothing": 0.05,
    "combine": "mean",
    "dropout": 0.2,
    "ema": 0.998,
    "flip_test": True,
}


def _grid() -> dict[str, System]:
    """The nine networks of 003's table 2."""
    named = {"resnet50": "ResNet-50", "se_resnet50": "SE-ResNet-50", "se_resnext50": "SE-ResNeXt-50 32×4d"}
    return {
        f"{network}_{layers}fc": _focal(
            network, f"{name}, focal loss, {layers} added layers", hidden=_LAYERS[layers]
        )
        for network, name in named.items()
        for layers in _LAYERS
    }


#: Name → system. The names are those of models and predictions in a run.
SYSTEMS: dict[str, System] = {
    **_grid(),
    "se_resnet50_ce": _focal("se_resnet50", "SE-ResNet-50, cross-entropy", focal_gamma=0.0),
    "se_resnet50_weighted": _focal(
        "se_resnet50", "SE-ResNet-50, focal loss weighted by group", part_weights=_GROUP_WEIGHTS
    ),
    "se_resnet50_no_flip": _focal("se_resnet50", "SE-ResNet-50, focal loss, no flips", flip=0.0),
    "se_resnet50_whole": _focal("se_resnet50", "SE-ResNet-50, focal loss, whole photographs", box=False),
    **{
        f"se_resnet50_repository_{layers}fc": _focal(
            "se_resnet50",
            f"SE-ResNet-50 as in its repository, {layers} added layers",
            hidden=_REPOSITORY_LAYERS[layers],
            **_REPOSITORY,
        )
        for layers in _LAYERS
    },
    "vit": _binary("ViT-B/16, row 2 of table 1"),
    "vit_row1": _binary("row 1: rate .0031, 10 epochs", rate=3.1e-3, epochs=10),
    "vit_row3": _binary("row 3: dropout .3", dropout=0.3),
    "vit_row4": _binary("row 4: rate .0004", rate=4e-4),
    "vit_row5": _binary("row 5: rate .000031, 50 epochs", rate=3.1e-5, epochs=50),
    **{f"vit_k{k}": _binary(f"{k} blocks trained", train_blocks=k) for k in (0, 2, 4)},
    "vit_k_all": _binary("all blocks trained", train_blocks=None),
    "vit_linear": _binary("heads alone, no shared layers", hidden=()),
    "vit_unweighted": _binary("binary cross-entropy without weights", loss="bce"),
    "vit_no_flip": _binary("no vertical flips", vertical_flip=0.0, flip_validation=False),
    "vit_mended": _binary("without its four faults", **_NO_FAULTS),
    "vit_mended_flip": _binary("without them, horizontal flips", **_NO_FAULTS, flip=0.5),
    "vit_in21k": _binary("pretrained on ImageNet-21k with augmentation", "vit_in21k"),
    "vit_in1k": _binary("pretrained so on ImageNet-1K", "vit_in1k"),
    "vit_cnn": _binary("SE-ResNet-50 in the place of the ViT", "se_resnet50", train_blocks=1),
    **{
        f"ours_{member}": System(
            "ours", _OURS, what=f"our recipe, backbone {member + 1}", part=member, member=member
        )
        for member in range(4)
    },
}


def recipe_of(name: str, **limits: object) -> Recipe:
    """A system's recipe.

    Args:
        name: Of the system.
        **limits: Settings of the recipe that every system of a run shares, such as ``seed``; None leaves the
            system's own. A smaller number of epochs shortens the warm-up to fit.
    """
    given = {key: value for key, value in limits.items() if value is not None}
    settings = {**SYSTEMS[name].recipe, **given}
    if "image_size" in given and settings.get("early"):
        settings["early_size"] = min(settings["early_size"], given["image_size"])
    settings["warmup_epochs"] = min(settings.get("warmup_epochs", 2), settings.get("epochs", 20) / 2)
    return Recipe(**settings)
