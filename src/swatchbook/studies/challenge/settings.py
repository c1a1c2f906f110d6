"""Settings of the challenge study."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

from pydantic import AfterValidator, Field

from swatchbook.pipeline.settings import section
from swatchbook.studies.challenge.systems import OURS, SYSTEMS
from swatchbook.studies.settings import Evaluation, Labelling, Seed

Count = Annotated[int, Field(ge=1)]


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in SYSTEMS]
    if unknown or len(set(names)) < len(names):
        raise ValueError(f"{', '.join(unknown) or 'a name twice'}; allowed, each once: {', '.join(SYSTEMS)}")
    return names


@section
class DrawnGarments:
    """The drawn set, where no real one is given.

    Attributes:
        n_train: Training images.
        n_val: Validation images.
        n_test: Test images, whose classes are known to the drawing alone.
        coupling: λ in [0, 1]; the true V of every pair of groups is λ times its value at 1.
        size: Longer side in pixels.
    """

    n_train: Annotated[int, Field(ge=100)] = 1200
    n_val: Annotated[int, Field(ge=50)] = 300
    n_test: Annotated[int, Field(ge=50)] = 700
    coupling: Annotated[float, Field(ge=0, le=1)] = 0.7
    size: Annotated[int, Field(ge=64)] = 144


@section
class Networks:
    """Backbones of the systems, as `models.backbones.create` names them.

    Attributes:
        resnet50: Of system 003.
        se_resnet50: Of system 003.
        se_resnext50: Of system 003.
        vit: Of system 001, pretrained on ImageNet-21k.
        vit_in21k: The same architecture, pretrained on ImageNet-21k by the recipe of `vit_in1k`.
        vit_in1k: The same, on ImageNet-1K alone.
        ours: Of our recipe, one model each; their probabilities are averaged.
        probe: Whose frozen features the linear probe reads.
        pretrained: Whether the published systems' start from published weights.
        ours_pretrained: Whether ours and the probe's do.
    """

    resnet50: str = "resnet50.tv_in1k"
    se_resnet50: str = "seresnet50.ra2_in1k"
    se_resnext50: str = "seresnext50_32x4d.racm_in1k"
    vit: str = "vit_base_patch16_224.orig_in21k"
    vit_in21k: str = "vit_base_patch16_224.augreg_in21k"
    vit_in1k: str = "vit_base_patch16_224.augreg_in1k"
    ours: Annotated[tuple[str, ...], Field(min_length=1, max_length=4)] = (
        "efficientnet_lite2",
        "efficientnet_lite1",
    )
    probe: str = "efficientnet_lite0"
    pretrained: bool = True
    ours_pretrained: bool = True


@section
class Limits:
    """Settings of every system's recipe at once; None leaves each its own.

    Attributes:
        image_size: Side of the models' input, in pixels.
        epochs: Passes over the training images.
        batch: Images an optimiser step.
        rate: Peak learning rate of backbone and heads, of all but system 001, whose grid has its own;
            networks that start from random weights need larger ones than published ones do.
        ema: Decay of the averaged weights, of those systems that average; few steps need a smaller one.
        threads: CPU threads.
    """

    image_size: Count | None = None
    epochs: Count | None = None
    batch: Count | None = None
    rate: Annotated[float, Field(gt=0)] | None = None
    ema: Annotated[float, Field(ge=0, lt=1)] | None = None
    threads: Count | None = None


@section
class Config:
    """All settings of a run.

    Attributes:
        profile: The profile's name.
        schema: Name of the shipped schema.
        material_map: None; the schema has no such rule.
        seed: Seed of everything random.
        source: The challenge's data set, a folder or an archive; None draws one.
        submissions: Files of others' answers on the test images, ``prediction.txt`` or a zip of it.
        drawn: The drawn set.
        systems: Names of the published systems that are trained; see `systems.SYSTEMS`.
        networks: What the systems are built on.
        limits: What all trainings share.
        side: Side of the stored squares, in pixels.
        cut: Training images in each of the parts that are cut out to choose epochs and operating points on.
        may_lose: Of each group's accuracy on these parts, how much the second operating point may give up
            for a higher mean recall of its classes, from 0 to 1.
        labelling: The zero-shot labeller.
        evaluation: How numbers get their intervals.
    """

    profile: str = "challenge"
    schema: str = "challenge"
    material_map: str | None = None
    seed: Seed = 42
    source: str | None = None
    submissions: tuple[str, ...] = ()
    drawn: DrawnGarments = field(default_factory=DrawnGarments)
    systems: Annotated[tuple[str, ...], AfterValidator(_known)] = ()
    networks: Networks = field(default_factory=Networks)
    limits: Limits = field(default_factory=Limits)
    side: Annotated[int, Field(ge=32, multiple_of=32)] = 224
    cut: Annotated[int, Field(ge=20)] = 500
    may_lose: Annotated[float, Field(ge=0, le=1)] = 1.0
    labelling: Labelling = field(default_factory=lambda: Labelling(labeller="drawn-only"))
    evaluation: Evaluation = field(default_factory=Evaluation)

    def __post_init__(self) -> None:
        ours = [name for name in self.systems if SYSTEMS[name].whose == OURS]
        if ours:
            raise ValueError(f"systems = {', '.join(ours)}; networks.ours says how many models of ours")
        if self.source is None and len(self.networks.ours) * self.cut >= self.drawn.n_train:
            raise ValueError(
                f"cut = {self.cut} for {len(self.networks.ours)} models of {self.drawn.n_train} drawn "
                "training images; must leave some to train on"
            )

    @property
    def trained(self) -> tuple[str, ...]:
        """The systems of a run, ours last."""
        return (*self.systems, *(f"ours_{member}" for member in range(len(self.networks.ours))))
