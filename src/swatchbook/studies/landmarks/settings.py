"""Settings of the landmarks study; the defaults are the published network's (Liu & Lu 2018, and its code)."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from swatchbook.models.landmark_design import Design
from swatchbook.models.recipe import Recipe
from swatchbook.pipeline.settings import section
from swatchbook.studies.landmarks.systems import CONTROLS, SYSTEMS
from swatchbook.studies.settings import Evaluation, Seed

Weight = Annotated[float, Field(ge=0)]


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in SYSTEMS]
    if unknown or len(set(names)) < len(names) or not {"mtl", "cat"} <= set(names):
        raise ValueError(
            f"{', '.join(unknown or names)}; allowed, each once, mtl and cat among them: {', '.join(SYSTEMS)}"
        )
    return names


def published() -> Recipe:
    """How Liu & Lu's code trains; the thesis has batches of 8 and 10 epochs."""
    return Recipe(
        crop_share=1.0, crop_scale=1.0, flip=0.0, brightness=0.0, contrast=0.0, saturation=0.0,
        epochs=20, warmup_epochs=0, schedule="exponential", epoch_factor=0.8, batch=16, optimizer="adam",
        backbone_lr=1e-4, head_lr=1e-4, weight_decay=0.0, clip=1e9, loss="plain",
    )  # fmt: skip


@section
class DrawnGarments:
    """The drawn set, where no real one is given.

    Attributes:
        n_train: Training images.
        n_val: Validation images, which choose the epoch.
        n_test: Test images that are reported on.
        n_others: Further test images, on which the scores are known much better.
        coupling: λ in [0, 1]; the true V of every pair of groups is λ times its value at 1.
        size: Longer side in pixels.
    """

    n_train: Annotated[int, Field(ge=50)] = 1600
    n_val: Annotated[int, Field(ge=20)] = 100
    n_test: Annotated[int, Field(ge=20)] = 300
    n_others: Annotated[int, Field(ge=20)] = 400
    coupling: Annotated[float, Field(ge=0, le=1)] = 0.7
    size: Annotated[int, Field(ge=64)] = 144


@section
class Config:
    """All settings of a run.

    Attributes:
        profile: The profile's name.
        seed: Seed of everything random; trainings have this one and those after it.
        source: The data set, a folder or an archive; None draws one.
        benchmark: Whose files these are: DeepFashion's ``coarse`` or ``fine`` annotations, or the attribute
            ``challenge``'s, whose six groups stand in the place of category and attributes.
        drawn: The drawn set, in DeepFashion's files.
        systems: Names of the systems that are trained; see `systems.SYSTEMS`.
        seeds: Trainings of each.
        backbone: What they are built on, as `models.backbones.create` names it.
        pretrained: Whether it starts from published weights.
        design: What is put on it.
        training: How all are trained.
        loss_weights: Of each attribute with one class, of all with several at once, and of landmarks.
        side: Side of the stored squares of the boxes, in pixels.
        cut: Training images of the challenge that are cut out to choose the epoch on.
        evaluation: How numbers get their intervals.
    """

    profile: str = "landmarks-paper"
    seed: Seed = 42
    source: str | None = None
    benchmark: Literal["coarse", "fine", "challenge"] = "coarse"
    drawn: DrawnGarments = field(default_factory=DrawnGarments)
    systems: Annotated[tuple[str, ...], AfterValidator(_known)] = CONTROLS
    seeds: Annotated[int, Field(ge=1, le=20)] = 3
    backbone: str = "vgg16.tv_in1k"
    pretrained: bool = True
    design: Design = field(default_factory=Design)
    training: Recipe = field(default_factory=published)
    loss_weights: tuple[Weight, Weight, Weight] = (1.0, 20.0, 10.0)
    side: Annotated[int, Field(ge=32, multiple_of=32)] = 224
    cut: Annotated[int, Field(ge=20)] = 500
    evaluation: Evaluation = field(default_factory=Evaluation)

    def __post_init__(self) -> None:
        if not self.design.locates or self.design.guide != "predicted":
            raise ValueError(
                "design = one without localisation or its attention; the systems leave these out"
            )

    @property
    def trainings(self) -> tuple[tuple[str, int], ...]:
        """System and seed of every training, seed by seed."""
        return tuple((name, self.seed + k) for k in range(self.seeds) for name in self.systems)
