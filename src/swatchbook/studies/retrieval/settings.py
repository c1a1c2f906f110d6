"""Settings of the retrieval study."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

from pydantic import AfterValidator, Field

from swatchbook.models.towers import TEXTS
from swatchbook.pipeline.settings import section
from swatchbook.studies.retrieval.systems import RANDOM, SYSTEMS
from swatchbook.studies.settings import Evaluation, Seed

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in SYSTEMS]
    if unknown or len(set(names)) < len(names):
        raise ValueError(f"{', '.join(unknown) or 'a name twice'}; allowed, each once: {', '.join(SYSTEMS)}")
    if all(SYSTEMS[name].split == RANDOM for name in names):
        raise ValueError(
            f"{', '.join(names)}, split at random; allowed: at least one split by item, such as ours"
        )
    for name in names:
        start = SYSTEMS[name].start
        if start and start not in names:
            raise ValueError(f"{name} without {start}, whose weights it starts from; add {start}")
    return names


def _a_text_tower(name: str) -> str:
    if name not in TEXTS:
        raise ValueError(f"{name!r}; allowed: {', '.join(TEXTS)}")
    return name


@section
class DrawnOutfits:
    """The drawn set, where no real one is given.

    Attributes:
        n_items: Items to train, validate and test on; each has one to three photographs.
        n_known: Further items, which only tell how good the systems are on many others.
        coupling: λ in [0, 1]; the true V of every pair of groups is λ times its value at 1.
        size: Height in pixels.
    """

    n_items: Annotated[int, Field(ge=20)] = 420
    n_known: Annotated[int, Field(ge=20)] = 250
    coupling: Annotated[float, Field(ge=0, le=1)] = 0.7
    size: Annotated[int, Field(ge=64)] = 144


@section
class Networks:
    """What the systems are built on.

    Attributes:
        image: Image tower, as `models.backbones.create` names it.
        paper_image: That of the paper's notebook.
        text: Text tower, a name of `models.towers.TEXTS`.
        pretrained: Whether towers start from published weights, where they have any.
        embed: Dimensions of the common space.
    """

    image: str = "vit_base_patch32_224.augreg_in21k"
    paper_image: str = "vit_base_patch16_224.augreg_in21k"
    text: Annotated[str, AfterValidator(_a_text_tower)] = "bert_base"
    pretrained: bool = True
    embed: Count = 512


@section
class Limits:
    """Settings of every system's recipe at once; None leaves each its own.

    Attributes:
        image_size: Side of the models' input, in pixels.
        epochs: Passes over the training images in the first stage, and without one.
        task_epochs: Passes over them in the second stage, where the encoders are not frozen.
        batch: Images an optimiser step.
        micro_batch: Images computed at once; a larger batch is computed in parts, with the same gradient.
        rate: Peak learning rate of everything that is not frozen, for networks that start from random
        weights.
        ema: Decay of the averaged weights.
        tokens: Tokens of a caption, for systems that do not state their own.
        text_blocks: Blocks of the text tower, from its end, that are trained; None: all.
        threads: CPU threads.
    """

    image_size: Count | None = None
    epochs: Count | None = None
    task_epochs: Count | None = None
    batch: Annotated[int, Field(ge=2)] | None = None
    micro_batch: Annotated[int, Field(ge=0)] | None = None
    rate: Rate | None = None
    ema: Annotated[float, Field(ge=0, lt=1)] | None = None
    tokens: Annotated[int, Field(ge=3)] = 77
    text_blocks: Annotated[int, Field(ge=0)] | None = None
    threads: Count | None = None


@section
class Config:
    """All settings of a run.

    Attributes:
        profile: The profile's name.
        schema: Name of the shipped schema.
        material_map: None; the schema has no such rule.
        seed: Seed of everything random.
        source: The data set, or In-shop photographs with labels and captions; None draws one.
        drawn: The drawn set.
        systems: Names of the systems that are trained; see `systems.SYSTEMS`.
        networks: What the systems are built on.
        limits: What all trainings share.
        side: Side of the stored squares, in pixels.
        gallery: Queries in the gallery.
        evaluation: How numbers get their intervals.
    """

    profile: str = "retrieval"
    schema: str = "multimodal"
    material_map: str | None = None
    seed: Seed = 42
    source: str | None = None
    drawn: DrawnOutfits = field(default_factory=DrawnOutfits)
    systems: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_known)] = (
        "ours",
        "ours_frozen",
        "ours_kept",
    )
    networks: Networks = field(default_factory=Networks)
    limits: Limits = field(default_factory=Limits)
    side: Annotated[int, Field(ge=32, multiple_of=16)] = 224
    gallery: Annotated[int, Field(ge=1, le=12)] = 6
    evaluation: Evaluation = field(default_factory=Evaluation)
