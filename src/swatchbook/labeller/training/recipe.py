"""What determines the bundled labeller's weights, and the open_clip model that they fill."""

from __future__ import annotations

import math
from dataclasses import dataclass

from swatchbook.labeller.training.tokenizer import VOCABULARY

CONFIG = "open_clip_config.json"
MEAN = STD = 0.5


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the weights.

    Attributes:
        images: Drawn images trained on.
        epochs: Times that as many images as these are seen.
        batch: Images in a step.
        rate: Peak learning rate of AdamW.
        decay: Its weight decay, on matrices only.
        pixels: Side of the images in the other epochs.
        seen_pixels: Side of the images that the finished model takes. Random crops show things larger than
            they are seen later, so this is larger than ``pixels`` (Touvron et al. 2019, arXiv 1906.06423).
        early_pixels: Side in the first ``early`` epochs; small images teach most of it faster.
        early: Share of the epochs at ``early_pixels``, 0…1.
        averaging: Decay of the running average of the weights, which is what is kept.
        tower: Image tower, a model of timm.
        embed: Dimensions of the shared space.
        width: Width of the text tower.
        layers: Its layers.
        plain: How many times as often a plain garment is seen as one of any other pattern.
        seed: Seed of images, captions, weights and order.
    """

    images: int = 24_000
    epochs: int = 28
    batch: int = 64
    rate: float = 5e-3
    decay: float = 0.05
    pixels: int = 128
    seen_pixels: int = 160
    early_pixels: int = 112
    early: float = 0.65
    averaging: float = 0.995
    tower: str = "test_resnet"
    embed: int = 128
    width: int = 96
    layers: int = 2
    plain: float = 3.0
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("images", "epochs", "batch", "embed", "width", "layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; received {getattr(self, name)}")
        if not (math.isfinite(self.plain) and self.plain > 0):
            raise ValueError(f"plain must be above 0; received {self.plain}")
        if self.images < self.batch:
            raise ValueError(f"images must be at least batch={self.batch}; received {self.images}")
        for name in ("pixels", "seen_pixels", "early_pixels"):
            if getattr(self, name) % 16:
                raise ValueError(f"{name} must be a multiple of 16; received {getattr(self, name)}")


def model_config(recipe: Recipe) -> dict:
    """The content of ``open_clip_config.json``."""
    return {
        "model_cfg": {
            "embed_dim": recipe.embed,
            "init_logit_bias": -10,
            "custom_text": True,
            "vision_cfg": {
                "timm_model_name": recipe.tower,
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "linear",
                "timm_proj_bias": True,
                "image_size": recipe.seen_pixels,
            },
            "text_cfg": {
                "context_length": 24,
                "vocab_size": VOCABULARY,
                "hf_tokenizer_name": "swatchbook",
                "tokenizer_kwargs": {"clean": "lower"},
                "width": recipe.width,
                "heads": recipe.width // 32,
                "layers": recipe.layers,
                "no_causal_mask": True,
                "proj_bias": True,
                "pool_type": "last",
            },
        },
        "preprocess_cfg": {
            "mean": [MEAN] * 3,
            "std": [STD] * 3,
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    }
