"""How a model is trained: every setting with its published value, or ours where the publication is silent.

One dataclass serves every task. The settings are numbers and words only, so that a configuration can hold,
print and override them; a task leaves alone what it has no use for.
"""

from __future__ import annotations

from dataclasses import dataclass

LOSSES = ("weighted", "plain", "smooth", "gce", "soft", "effective", "bce", "weighted_bce")
COMBINE = ("sum", "mean", "share")
BINARY = ("bce", "weighted_bce")
FOCAL = ("weighted", "plain", "effective")  # the losses that a focal factor may stand before
COMPILE = ("auto", "yes", "no")
PRECISIONS = ("auto", "fp32", "fp16", "bf16")
OPTIMIZERS = ("adamw", "adam")
MAX_SIDE, MAX_WIDTH = 4096, 65_536  # beyond these a network does not fit into any memory
SCHEDULES = ("cosine", "exponential", "plateau")


@dataclass(frozen=True)
class Recipe:
    """Settings of one training; the defaults are the published study's.

    Attributes:
        image_size: Side of the model's input, in pixels.
        crop_share: Side of the evaluation crop as a share of the stored image's side, in (0, 1].
        crop_scale: Smallest share of the image's area that a training crop keeps, in (0, 1].
        flip: Probability of a horizontal flip.
        vertical_flip: Probability of a vertical flip.
        flip_validation: Whether views of validation and prediction are flipped vertically at random, too, so
            that what is measured is random: a fault of a published system.
        flip_test: Average each evaluation over the view and its mirror image.
        brightness: Largest relative change of brightness, in [0, 1).
        contrast: Largest relative change of contrast, in [0, 1).
        saturation: Largest relative change of saturation, in [0, 1). There is no hue: colour is a label.
        early: Share of the epochs, the first ones, that see images of `early_size`, in [0, 1].
        early_size: Side of the model's input in those epochs, in pixels; small images teach most of it
            faster.
        epochs: Passes over the training images, the warm-up included.
        warmup_epochs: Epochs of linear warm-up, whole or not.
        schedule: ``cosine`` to 0 after the warm-up, ``exponential``: times `epoch_factor` every epoch, or
            ``plateau``: times `epoch_factor` whenever the validation score has stood still for more than
            `patience` epochs.
        epoch_factor: In (0, 1]; not of ``cosine``. 1 keeps the learning rate constant.
        patience: Epochs, of ``plateau`` only.
        batch: Images an optimiser step, over all processes.
        micro_batch: Images a process computes at once; a larger batch is computed in parts, with the same
            gradient. 0: as many as the memory holds.
        eval_batch: Images a forward pass without gradients.
        optimizer: ``adamw`` or ``adam``.
        beta1: Decay of the optimiser's first moment.
        beta2: Decay of its second moment.
        backbone_lr: Peak learning rate of the backbone.
        head_lr: Peak learning rate of the heads and of whatever else is new.
        text_lr: Peak learning rate of a text encoder; 0: the backbone's.
        weight_decay: Decoupled decay of ``adamw``; an L2 penalty under ``adam``.
        decay_all: Whether every parameter decays; otherwise matrices and kernels only.
        clip: Largest norm of the gradient.
        train_blocks: Blocks of the backbone, counted from its end, that are trained; the others are frozen.
            None: all are trained, and the stem.
        train_norm: Whether a norm that follows these blocks is trained with them.
        hidden: Widths of the layers between features and heads, which all heads share.
        dropout: Share of the heads' inputs dropped, after each hidden layer or, without any, of the features.
        head_dropout: Share of its inputs that each head drops, apart from the others.
        ema: Decay a step of the exponential moving average of the weights that is kept; 0: none.
        average_last: Epochs at the end whose weights are averaged and kept; 0: none.
        sampling: Exponent s of class-balanced sampling: an image is drawn in proportion to the mean of
            1/n^s over its labels, n being the images of that label. 0: every image once an epoch.
        loss: ``weighted`` (class-weighted cross-entropy), ``plain``, ``smooth`` (label smoothing), ``gce``
            (generalised cross-entropy), ``soft`` (given probabilities), ``effective`` (weights by effective
            number), ``bce`` (binary cross-entropy of every class) or ``weighted_bce`` (that, with each
            positive weighted by the inverse frequency of its class).
        bce_of_softmax: Whether the binary cross-entropy takes a softmax's probabilities for logits: a fault
            of a published system.
        combine: ``sum`` of the losses of all parts, their ``mean``, or their sum weighted by each one's
            ``share`` of it, through which no gradient goes.
        part_weights: A factor for the loss of each part, in the task's order; empty: all 1.
        smoothing: Share of the target spread over all classes; of ``smooth`` only.
        gce_q: Exponent in (0, 1]; of ``gce`` only. Towards 0 it is cross-entropy, at 1 absolute error.
        effective_beta: β in [0, 1); of ``effective`` only.
        focal_gamma: Exponent γ of the focal loss's factor (1 − p)^γ; of ``weighted``, ``plain`` and
            ``effective``. 0: none.
        logit_adjustment: Strength τ of the shift τ·log(class frequency) on the logits that are trained.
            0: none.
        precision: ``auto`` lets the hardware decide; ``fp32``, ``fp16`` and ``bf16`` insist.
        compile: ``auto`` compiles the network where that pays back within the run; ``yes``, ``no`` insist.
        threads: CPU threads, fixed because the bits of a result depend on them.
        seed: Seed of everything random.
    """

    image_size: int = 224  # published
    crop_share: float = 0.875  # published: Resize(256), CenterCrop(224)
    crop_scale: float = 0.7  # ours
    flip: float = 0.5  # ours
    vertical_flip: float = 0.0  # for the challenge's ViT
    flip_validation: bool = False  # for the challenge's ViT
    flip_test: bool = False  # for the challenge heads
    brightness: float = 0.2  # ours
    contrast: float = 0.2  # ours
    saturation: float = 0.1  # ours: slight, since a grey garment must stay grey
    early: float = 0.0  # for the labeller
    early_size: int = 112  # for the labeller
    epochs: int = 20  # published
    warmup_epochs: float = 2  # published; that it is linear is ours
    schedule: str = "cosine"  # published
    epoch_factor: float = 0.8  # for the landmark network: its published value
    patience: int = 3  # for the dual encoder: its notebook's
    batch: int = 64  # published
    micro_batch: int = 0  # for the dual encoder's batch of 512
    eval_batch: int = 256  # ours: no gradients are kept, so more fits
    optimizer: str = "adamw"  # published; the challenge and landmark systems use adam
    beta1: float = 0.9  # torch's
    beta2: float = 0.999  # torch's; the labeller's is .98
    backbone_lr: float = 1e-5  # published
    head_lr: float = 1e-4  # published
    text_lr: float = 0.0  # for the dual encoder
    weight_decay: float = 0.05  # ours
    decay_all: bool = True  # ours; the labeller's and the dual encoder's spare biases and norms
    clip: float = 1.0  # ours
    train_blocks: int | None = None  # for the challenge's ViT
    train_norm: bool = True  # for the challenge's ViT, which freezes it
    hidden: tuple[int, ...] = ()  # for the challenge heads
    dropout: float = 0.0  # for the challenge heads
    head_dropout: float = 0.0  # for the challenge heads
    ema: float = 0.0  # for the labeller
    average_last: int = 0  # for the challenge heads
    sampling: float = 0.0  # for the challenge heads
    loss: str = "weighted"  # published; the weights' formula, N/(K·n_c), is ours
    bce_of_softmax: bool = False  # for the challenge's ViT
    combine: str = "sum"  # published
    part_weights: tuple[float, ...] = ()  # for the labeller, the challenge heads and the landmark network
    smoothing: float = 0.1  # ours
    gce_q: float = 0.7  # ours: the value of Zhang & Sabuncu (2018)
    effective_beta: float = 0.999  # ours: one of the values of Cui et al. (2019)
    focal_gamma: float = 0.0  # for the challenge heads
    logit_adjustment: float = 0.0  # for the challenge heads
    precision: str = "auto"  # published: fp16 on a T4, which is what the hardware's choice is there
    compile: str = "auto"  # ours
    threads: int = 2  # ours: what Colab has
    seed: int = 42  # ours

    def __post_init__(self) -> None:
        for names, allowed, holds in (
            ("image_size early_size", f"from 1 to {MAX_SIDE:,}", lambda v: 1 <= v <= MAX_SIDE),
            ("epochs batch eval_batch threads", "at least 1", lambda v: v >= 1),
            ("crop_share crop_scale gce_q epoch_factor", "above 0 and at most 1", lambda v: 0 < v <= 1),
            ("brightness contrast saturation smoothing effective_beta", "from 0 to below 1", _below_1),
            ("beta1 beta2 dropout head_dropout ema", "from 0 to below 1", _below_1),
            ("flip vertical_flip early", "from 0 to 1", lambda v: 0 <= v <= 1),
            (
                "backbone_lr head_lr text_lr weight_decay patience micro_batch",
                "0 or more",
                lambda v: v >= 0,
            ),
            ("seed", "from 0 to 4,294,967,295", lambda v: 0 <= v < 2**32),
            ("sampling focal_gamma logit_adjustment", "0 or more", lambda v: v >= 0),
            ("train_blocks", "0 or more, or none", lambda v: v is None or v >= 0),
            ("clip", "above 0", lambda v: v > 0),
            (
                "hidden",
                f"widths of at least 1 and at most {MAX_WIDTH:,}",
                lambda v: all(1 <= width <= MAX_WIDTH for width in v),
            ),
            ("part_weights", "factors of 0 or more", lambda v: all(factor >= 0 for factor in v)),
            ("warmup_epochs", "below the epochs", lambda v: 0 <= v < self.epochs),
            ("average_last", "from 0 to the epochs", lambda v: 0 <= v <= self.epochs),
            ("ema", "0 beside an average of the last epochs", lambda v: not (v and self.average_last)),
            ("combine", f"one of {', '.join(COMBINE)}", lambda v: v in COMBINE),
            ("loss", f"one of {', '.join(LOSSES)}", lambda v: v in LOSSES),
            ("compile", f"one of {', '.join(COMPILE)}", lambda v: v in COMPILE),
            ("precision", f"one of {', '.join(PRECISIONS)}", lambda v: v in PRECISIONS),
            ("optimizer", f"one of {', '.join(OPTIMIZERS)}", lambda v: v in OPTIMIZERS),
            ("schedule", f"one of {', '.join(SCHEDULES)}", lambda v: v in SCHEDULES),
            (
                "bce_of_softmax",
                f"False beside the loss {self.loss!r}",
                lambda v: not v or self.loss in BINARY,
            ),
            ("focal_gamma", f"0 beside the loss {self.loss!r}", lambda v: not v or self.loss in FOCAL),
        ):
            for name in names.split():
                if not holds(getattr(self, name)):
                    raise ValueError(f"{name} = {getattr(self, name)!r}; must be {allowed}")


def _below_1(value: float) -> bool:
    return 0 <= value < 1
