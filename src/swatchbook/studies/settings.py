"""What can be set, with its bounds: a frozen dataclass a part of the study."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from swatchbook.models.recipe import Recipe

LABELLED = ("demo", "paper", "best", "folder")  # profiles that label with a labeller and train on it


class ConfigError(ValueError):
    """A setting that does not exist or cannot have the value given; the message says what can."""


@dataclass(frozen=True)
class Evaluation:
    """How numbers get their intervals and verdicts.

    Attributes:
        bootstrap: Replicates B of every bootstrap.
        permutations: Permutations of every permutation test.
        null_draws: Draws of the confusion-matched null.
        level: Confidence level of the intervals; tests use α = 1 − level.
        margin: Largest |ΔV| that counts as "no change" (the published study's ±0.03).
        power_sizes: Audit sizes in the power table, in images.
        power_draws: Simulated audits per size in the power table.
    """

    bootstrap: int = 2000
    permutations: int = 9999
    null_draws: int = 2000
    level: float = 0.95
    margin: float = 0.03
    power_sizes: tuple[int, ...] = (100, 210, 400, 600, 1000, 2000)
    power_draws: int = 1000

    def __post_init__(self) -> None:
        for name in ("bootstrap", "permutations", "null_draws", "power_draws"):
            _require(getattr(self, name) >= 20, f"evaluation.{name}", getattr(self, name), "at least 20")
        _require(0.5 <= self.level < 1, "evaluation.level", self.level, "from 0.5 to below 1")
        _require(0 < self.margin < 1, "evaluation.margin", self.margin, "between 0 and 1")
        sizes = self.power_sizes
        _require(bool(sizes) and min(sizes) >= 20, "evaluation.power_sizes", sizes, "sizes of at least 20")


@dataclass(frozen=True)
class Drawn:
    """The drawn world of the profile `demo`.

    Attributes:
        n_train: Images of the training split, before validation images are taken from it.
        n_test: Images of the test split.
        coupling: λ in [0, 1]; the true V of every pair is λ times its value at 1.
        size: Longer side in pixels.
    """

    n_train: int = 1500
    n_test: int = 1000
    coupling: float = 0.757
    size: int = 288

    def __post_init__(self) -> None:
        for name in ("n_train", "n_test"):
            _require(getattr(self, name) >= 100, f"drawn.{name}", getattr(self, name), "at least 100")
        _require(0 <= self.coupling <= 1, "drawn.coupling", self.coupling, "from 0 to 1")
        _require(self.size >= 64, "drawn.size", self.size, "at least 64")


@dataclass(frozen=True)
class Subset:
    """Which images of TextileNet are studied; all values are the published ones.

    Attributes:
        floor: A fabric with fewer training images is left out.
        cap_train: Most training images of a fabric, validation images included.
        cap_test: Most test images of a fabric.
        validation: Share of the capped training images that validates.
    """

    floor: int = 50
    cap_train: int = 500
    cap_test: int = 200
    validation: float = 0.2

    def __post_init__(self) -> None:
        _require(self.floor >= 0, "subset.floor", self.floor, "0 or more")
        _require(
            min(self.cap_train, self.cap_test) >= 1, "subset.cap_*", (self.cap_train, self.cap_test), "≥ 1"
        )
        _require(0 < self.validation < 1, "subset.validation", self.validation, "between 0 and 1")


@dataclass(frozen=True)
class Labelling:
    """How silver labels are made and audited.

    Attributes:
        labeller: An open_clip model: ``bundled``, ``hf-hub:OWNER/NAME`` or ``local-dir:PATH``.
        temperature: Cosines are multiplied by this before the softmax (published: 100).
        audit_per_fabric: Images of each fabric in the audit (published: 10).
        auditor_error: How often the simulated auditor of a drawn world answers wrongly, in [0, 1).
        audit: A person's audit, a CSV file; None where nobody judged.
        thresholds: Thresholds in place of the schema's, a CSV file such as `swatchbook audit import` writes;
            kept as an absolute path, because notebooks run in a folder of their own. None: the schema's.
    """

    labeller: str = "hf-hub:Marqo/marqo-fashionSigLIP"
    temperature: float = 100.0
    audit_per_fabric: int = 10
    auditor_error: float = 0.01
    audit: str | None = None
    thresholds: str | None = None

    def __post_init__(self) -> None:
        if self.thresholds is not None:
            object.__setattr__(self, "thresholds", str(Path(self.thresholds).absolute()))
        _require(self.temperature > 0, "labelling.temperature", self.temperature, "above 0")
        _require(
            self.audit_per_fabric >= 2, "labelling.audit_per_fabric", self.audit_per_fabric, "at least 2"
        )
        _require(
            0 <= self.auditor_error < 1, "labelling.auditor_error", self.auditor_error, "from 0 to below 1"
        )


@dataclass(frozen=True)
class Quality:
    """How the profile `labeller` measures a labeller.

    Attributes:
        images: Drawn images to measure on.
        seed: Their seed, at least 0; not the one that the labeller was trained with.
        bins: Bins of the reliability diagram and of the calibration error.
        blue_accepts_navy: Count navy as blue on photographs whose judge never answered navy.
    """

    images: int = 2000
    seed: int = 2_000_003
    bins: int = 15
    blue_accepts_navy: bool = True

    def __post_init__(self) -> None:
        _require(self.images >= 100, "quality.images", self.images, "at least 100")
        _require(self.seed >= 0, "quality.seed", self.seed, "0 or more")
        _require(self.bins >= 1, "quality.bins", self.bins, "at least 1")


@dataclass(frozen=True)
class Backbones:
    """What the two models are built on.

    Attributes:
        model: timm name of the model's backbone, or ``swatchbook-tower``, that of the labeller in the box.
        baseline: The baseline's.
        model_pretrained: Whether the model starts from its backbone's published weights.
        baseline_pretrained: Whether the baseline does.
    """

    model: str = "vit_base_patch14_dinov2.lvd142m"
    baseline: str = "resnet50.tv_in1k"
    model_pretrained: bool = True
    baseline_pretrained: bool = True


@dataclass(frozen=True)
class Config:
    """All settings of a run; saved as `config.json` beside its results. The defaults are the paper's.

    Attributes:
        profile: Which of `PROFILES` this is.
        schema: Name of a shipped schema or path to a YAML file.
        material_map: Which folder → material rule of the schema is in force; None: its first, if it has any.
        seed: Seed of everything random.
        source: Folder with the published exports (None downloads them by pinned commit and checksum), or
            TextileNet's archive or folder, or the photographs of profiles `folder` and `labeller`.
        model: The model whose advantage is tested.
        baseline: The model it is held against.
        drawn: The drawn world.
        subset: Which images of TextileNet are studied.
        labelling: How silver labels are made and audited.
        quality: How a labeller is measured.
        backbones: What the models are built on.
        training: How they are trained.
        evaluation: How numbers get their intervals.
    """

    profile: str = "demo"
    schema: str = "textilenet"
    material_map: str | None = "paper"
    seed: int = 42
    source: str | None = None
    model: str = "dinov2"
    baseline: str = "resnet50"
    drawn: Drawn = field(default_factory=Drawn)
    subset: Subset = field(default_factory=Subset)
    labelling: Labelling = field(default_factory=Labelling)
    quality: Quality = field(default_factory=Quality)
    backbones: Backbones = field(default_factory=Backbones)
    training: Recipe = field(default_factory=Recipe)
    evaluation: Evaluation = field(default_factory=Evaluation)

    def __post_init__(self) -> None:
        _require(self.seed >= 0, "seed", self.seed, "0 or more")
        _require(self.model != self.baseline, "baseline", self.baseline, "another name than the model's")
        thresholds = self.labelling.thresholds
        given = thresholds is None or self.profile in LABELLED
        _require(given, "labelling.thresholds", thresholds, f"for one of the profiles {', '.join(LABELLED)}")

    def flat(self) -> dict[str, object]:
        """Every setting by its dotted key, such as ``evaluation.bootstrap``."""
        return _flatten(dataclasses.asdict(self))


def _flatten(tree: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in tree.items():
        flat.update(_flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return flat


def _require(holds: bool, key: str, received: object, allowed: str) -> None:
    if not holds:
        raise ConfigError(f"setting {key} = {received!r}; must be {allowed}")
