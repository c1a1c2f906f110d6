"""What determines the bundled labeller's weights, and the open_clip model that they fill."""

from __future__ import annotations

from dataclasses import dataclass, replace

from swatchbook.drawn.balanced import SIDE
from swatchbook.labeller.training.tokenizer import VOCABULARY
from swatchbook.models.recipe import Recipe

MEAN = STD = 0.5


@dataclass(frozen=True)
class Design:
    """What is trained, and on what; how it is trained is a `Recipe`.

    Attributes:
        images: Drawn images trained on.
        photograph_share: Share of the images of an epoch that are judged photographs, in [0, 1); 0 uses none.
        seen_pixels: Side of the images that the finished model takes.
        tower: Image tower, a model of timm; the trunk of ``garment_lite2`` starts from ImageNet's weights.
        frozen: Stages of that trunk, counted from the pixels, that stay as they were, its stem with them;
            8 freezes all of it.
        embed: Dimensions of the shared space.
        width: Width of the text tower.
        layers: Its layers.
        plain: How many times as often a plain drawn garment is seen as one of any other pattern.
        smoothing: Share of the target that is spread over all classes while it is tuned, in [0, 1): certainty
            learnt from a thousand photographs is certainty about these.
        tuning: Epochs, after the recipe's, at `seen_pixels` and mostly on photographs.
        tuning_share: Share of photographs in these.
    """

    images: int = 8_000
    photograph_share: float = 0.6
    seen_pixels: int = 256
    tower: str = "garment_lite2"
    frozen: int = 3
    embed: int = 128
    width: int = 96
    layers: int = 2
    plain: float = 3.0
    smoothing: float = 0.1
    tuning: int = 3
    tuning_share: float = 0.75

    def __post_init__(self) -> None:
        for name in ("images", "embed", "width", "layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; received {getattr(self, name)}")
        if not 0 < self.plain < float("inf"):
            raise ValueError(f"plain must be above 0; received {self.plain}")
        for name in ("photograph_share", "tuning_share", "smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1); received {getattr(self, name)}")
        if not 0 <= self.frozen <= 8:
            raise ValueError(f"frozen must lie in [0, 8]; received {self.frozen}")
        if self.seen_pixels % 32:
            raise ValueError(f"seen_pixels must be a multiple of 32; received {self.seen_pixels}")


# Options of the command → settings of the recipe.
OPTIONS = {
    "epochs": "epochs",
    "batch": "batch",
    "rate": "head_lr",
    "trunk_rate": "backbone_lr",
    "decay": "weight_decay",
    "pixels": "image_size",
    "early_pixels": "early_size",
    "early": "early",
    "averaging": "ema",
    "seed": "seed",
}
RECIPE = Recipe(
    image_size=192,
    crop_share=192 / SIDE,  # the stored squares are not resized before they are cropped
    early=0.5,
    early_size=160,
    epochs=6,
    warmup_epochs=0.5,
    batch=32,
    beta2=0.98,
    backbone_lr=3e-4,
    head_lr=3e-3,
    text_lr=3e-3,
    weight_decay=0.05,
    decay_all=False,
    ema=0.995,
    part_weights=(1.5, 1.0, 1.0, 0.5, 0.25, 0.5),  # colour, pattern, texture, material, folder, captions
    seed=1,
)


def tuning_recipe(design: Design, recipe: Recipe) -> Recipe:
    """How a model is tuned that the recipe has trained: at its final size, and more slowly."""
    return replace(
        recipe,
        image_size=design.seen_pixels,
        crop_share=min(1.0, design.seen_pixels / SIDE),
        early=0.0,
        epochs=design.tuning,
        warmup_epochs=0.1,
        backbone_lr=recipe.backbone_lr * 2 / 3,
        head_lr=recipe.head_lr * 2 / 3,
        text_lr=recipe.text_lr / 3,
    )


def model_config(design: Design) -> dict:
    """The content of ``open_clip_config.json``."""
    return {
        "model_cfg": {
            "embed_dim": design.embed,
            "init_logit_bias": -10,
            "custom_text": True,
            "vision_cfg": {
                "timm_model_name": design.tower,
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "linear",
                "timm_proj_bias": True,
                "image_size": design.seen_pixels,
            },
            "text_cfg": {
                "context_length": 24,
                "vocab_size": VOCABULARY,
                "hf_tokenizer_name": "swatchbook",
                "tokenizer_kwargs": {"clean": "lower"},
                "width": design.width,
                "heads": design.width // 32,
                "layers": design.layers,
                "no_causal_mask": True,
                "proj_bias": True,
                "pool_type": "last",
            },
        },
        "preprocess_cfg": {
            "mean": [MEAN] * 3,
            "std": [STD] * 3,
            "interpolation": "bicubic",
            "resize_mode": "squash",
        },
    }
