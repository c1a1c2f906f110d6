"""How a model is trained: every setting with its published value, or ours where the publication is silent.

The settings are numbers and words only, so that a configuration can hold, print and override them.
"""

from __future__ import annotations

from dataclasses import dataclass

LOSSES = ("weighted", "plain", "smooth", "gce", "soft", "effective")
COMPILE = ("auto", "yes", "no")
PRECISIONS = ("auto", "fp32", "fp16", "bf16")


@dataclass(frozen=True)
class Recipe:
    """Settings of one training; the defaults are the published study's.

    Attributes:
        image_size: Side of the model's input, in pixels.
        crop_share: Side of the evaluation crop as a share of the stored image's side, in (0, 1].
        crop_scale: Smallest share of the image's area that a training crop keeps, in (0, 1].
        flip: Probability of a horizontal flip.
        brightness: Largest relative change of brightness, in [0, 1).
        contrast: Largest relative change of contrast, in [0, 1).
        saturation: Largest relative change of saturation, in [0, 1). There is no hue: colour is a label.
        epochs: Passes over the training images, the warm-up included.
        warmup_epochs: Epochs of linear warm-up before the cosine.
        batch: Images an optimiser step.
        eval_batch: Images a forward pass without gradients.
        backbone_lr: Peak learning rate of the backbone.
        head_lr: Peak learning rate of the heads.
        weight_decay: AdamW's decoupled decay, on every parameter.
        clip: Largest norm of the gradient.
        loss: ``weighted`` (class-weighted cross-entropy), ``plain``, ``smooth`` (label smoothing), ``gce``
            (generalised cross-entropy), ``soft`` (given probabilities) or ``effective`` (weights by
            effective number).
        combine: ``sum`` of the heads' losses, or their ``mean``.
        smoothing: Share of the target spread over all classes; of ``smooth`` only.
        gce_q: Exponent in (0, 1]; of ``gce`` only. Towards 0 it is cross-entropy, at 1 absolute error.
        effective_beta: β in [0, 1); of ``effective`` only.
        precision: ``auto`` lets the hardware decide; ``fp32``, ``fp16`` and ``bf16`` insist.
        compile: ``auto`` compiles the network where that pays back within the run; ``yes``, ``no`` insist.
        threads: CPU threads, fixed because the bits of a result depend on them.
        seed: Seed of everything random.
    """

    image_size: int = 224  # published
    crop_share: float = 0.875  # published: Resize(256), CenterCrop(224)
    crop_scale: float = 0.7  # ours
    flip: float = 0.5  # ours
    brightness: float = 0.2  # ours
    contrast: float = 0.2  # ours
    saturation: float = 0.1  # ours: slight, since a grey garment must stay grey
    epochs: int = 20  # published
    warmup_epochs: int = 2  # published; that it is linear is ours
    batch: int = 64  # published
    eval_batch: int = 256  # ours: no gradients are kept, so more fits
    backbone_lr: float = 1e-5  # published
    head_lr: float = 1e-4  # published
    weight_decay: float = 0.05  # ours
    clip: float = 1.0  # ours
    loss: str = "weighted"  # published; the weights' formula, N/(K·n_c), is ours
    combine: str = "sum"  # published
    smoothing: float = 0.1  # ours
    gce_q: float = 0.7  # ours: the value of Zhang & Sabuncu (2018)
    effective_beta: float = 0.999  # ours: one of the values of Cui et al. (2019)
    precision: str = "auto"  # published: fp16 on a T4, which is what the hardware's choice is there
    compile: str = "auto"  # ours
    threads: int = 2  # ours: what Colab has
    seed: int = 42  # ours

    def __post_init__(self) -> None:
        for name in ("image_size", "epochs", "batch", "eval_batch", "threads"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("crop_share", "crop_scale", "gce_q"):
            _require(0 < getattr(self, name) <= 1, name, getattr(self, name), "above 0 and at most 1")
        for name in ("brightness", "contrast", "saturation", "smoothing", "effective_beta"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name), "from 0 to below 1")
        for name in ("backbone_lr", "head_lr", "weight_decay", "seed"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        _require(0 <= self.flip <= 1, "flip", self.flip, "from 0 to 1")
        _require(self.clip > 0, "clip", self.clip, "above 0")
        _require(
            0 <= self.warmup_epochs < self.epochs, "warmup_epochs", self.warmup_epochs, "below the epochs"
        )
        _require(self.loss in LOSSES, "loss", self.loss, f"one of {', '.join(LOSSES)}")
        _require(self.combine in ("sum", "mean"), "combine", self.combine, "sum or mean")
        _require(self.compile in COMPILE, "compile", self.compile, f"one of {', '.join(COMPILE)}")
        _require(self.precision in PRECISIONS, "precision", self.precision, f"one of {', '.join(PRECISIONS)}")


def _require(holds: bool, name: str, received: object, allowed: str) -> None:
    if not holds:
        raise ValueError(f"recipe.{name} = {received!r}; must be {allowed}")
