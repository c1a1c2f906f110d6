"""Settings of the attributes study; the defaults are the published study's."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from swatchbook.models.recipe import Recipe
from swatchbook.pipeline.settings import section
from swatchbook.studies.settings import Backbones, Drawn, Evaluation, Labelling, Seed, Subset
from swatchbook.validation import Name


@section
class Config:
    """All settings of a run; saved as `config.json` beside its results.

    Attributes:
        profile: The profile's name.
        data: Where images, labels and predictions come from: ``published`` (the published study's exports),
            ``drawn`` (garments drawn with known truth), ``textilenet`` or ``folder`` (one's photographs).
        schema: Name of a shipped schema or path to a YAML file.
        material_map: Which folder → material rule of the schema is in force; None: its first, if it has any.
        seed: Seed of everything random.
        attributes: Which attributes of a folder's photographs are labelled: ``all``, or names; where none is
            named those that the labeller was measured to do on photographs.
        train: Whether two models are trained on the labels; a folder can be labelled and audited without.
        source: Folder with the published exports (None downloads them by pinned commit and checksum), or
            TextileNet's archive or folder, or the folder of photographs.
        model: The model whose advantage is tested.
        baseline: The model it is held against.
        duplicates: What becomes of photographs that lie in two splits: ``drop`` leaves them out of training
            and validation, ``keep`` only lists them, ``refuse`` stops where one file lies in two. A
            folder's photographs are split with their copies, so that there are none.
        drawn: The drawn world.
        subset: Which images of TextileNet are studied.
        labelling: How silver labels are made and audited.
        backbones: What the models are built on.
        training: How they are trained.
        evaluation: How numbers get their intervals.
    """

    profile: str = "demo"
    data: Literal["published", "drawn", "textilenet", "folder"] = "published"
    schema: str = "textilenet"
    material_map: str | None = "paper"
    seed: Seed = 42
    attributes: tuple[str, ...] = ()
    train: bool = True
    source: str | None = None
    model: Name = "dinov2"
    baseline: Name = "resnet50"
    duplicates: Literal["refuse", "drop", "keep"] = "drop"
    drawn: Drawn = field(default_factory=Drawn)
    subset: Subset = field(default_factory=Subset)
    labelling: Labelling = field(default_factory=Labelling)
    backbones: Backbones = field(default_factory=Backbones)
    training: Recipe = field(default_factory=Recipe)
    evaluation: Evaluation = field(default_factory=Evaluation)

    def __post_init__(self) -> None:
        if self.model == self.baseline:
            raise ValueError(f"baseline = {self.baseline!r}; must be another name than the model's")
        if self.data != "folder" and (self.attributes or not self.train):
            key, given = ("attributes", ",".join(self.attributes)) if self.attributes else ("train", "false")
            raise ValueError(f"{key} = {given}; it is for profile folder, other profiles use and train all")
        if self.labelling.thresholds is not None and self.data == "published":
            raise ValueError(
                f"labelling.thresholds = {self.labelling.thresholds!r}; must be none, nothing is labelled"
            )

    @property
    def models(self) -> tuple[str, str]:
        """The model and the baseline."""
        return self.model, self.baseline

    @property
    def audited(self) -> bool:
        """Whether somebody judged some images: the data brings an audit, or a file was given."""
        return self.data in ("published", "drawn") or self.labelling.audit is not None

    @property
    def judge(self) -> str:
        """Who judged, in words."""
        return judge_of(self.data)


def judge_of(data: str) -> str:
    """Who judged images of a kind of data, in words; of an audit that was given only its file knows."""
    return {"drawn": "simulated auditor", "published": "human auditor"}.get(data, "auditor")
