"""Sections of settings that studies share, with their bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from swatchbook.pipeline.settings import section

Draws = Annotated[int, Field(ge=20, le=10_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what every library takes


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(Path(path).absolute())


@section
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

    bootstrap: Draws = 2000
    permutations: Draws = 9999
    null_draws: Draws = 2000
    level: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.03
    power_sizes: Annotated[tuple[Annotated[int, Field(ge=20)], ...], Field(min_length=1)] = (
        100, 210, 400, 600, 1000, 2000,
    )  # fmt: skip
    power_draws: Draws = 1000


@section
class Drawn:
    """The drawn world of the profile `demo`.

    Attributes:
        n_train: Images of the training split, before validation images are taken from it.
        n_test: Images of the test split.
        coupling: λ in [0, 1]; the true V of every pair is λ times its value at 1.
        size: Longer side in pixels.
    """

    n_train: Annotated[int, Field(ge=100)] = 1500
    n_test: Annotated[int, Field(ge=100)] = 1000
    coupling: Annotated[float, Field(ge=0, le=1)] = 0.757
    size: Annotated[int, Field(ge=64)] = 288


@section
class Subset:
    """Which images of TextileNet are studied; all values are the published ones.

    Attributes:
        floor: A fabric with fewer training images is left out.
        cap_train: Most training images of a fabric, validation images included.
        cap_test: Most test images of a fabric.
        validation: Share of the capped training images that validates.
    """

    floor: Annotated[int, Field(ge=0)] = 50
    cap_train: Annotated[int, Field(ge=1)] = 500
    cap_test: Annotated[int, Field(ge=1)] = 200
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.2


@section
class Labelling:
    """How silver labels are made and audited.

    Attributes:
        labeller: An open_clip model: a name of `labeller.KNOWN`, ``hf-hub:OWNER/NAME`` or ``local-dir:PATH``.
        temperature: Cosines are multiplied by this before the softmax (published: 100).
        audit_per_fabric: Images of each fabric in the audit (published: 10).
        auditor_error: How often the simulated auditor of a drawn world answers wrongly, in [0, 1).
        audit: A person's audit, a CSV file; None where nobody judged.
        thresholds: Thresholds in place of the schema's, a CSV file such as `swatchbook audit import` writes;
            kept as an absolute path, because notebooks run in a folder of their own. None: the schema's.
    """

    labeller: str = "hf-hub:Marqo/marqo-fashionSigLIP"
    temperature: Annotated[float, Field(gt=0)] = 100.0
    audit_per_fabric: Annotated[int, Field(ge=2)] = 10
    auditor_error: Annotated[float, Field(ge=0, lt=1)] = 0.01
    audit: str | None = None
    thresholds: Annotated[str | None, AfterValidator(_absolute)] = None


@section
class Quality:
    """How the profile `labeller` measures a labeller.

    Attributes:
        images: Drawn images to measure on.
        seed: Their seed, at least 0; not the one that the labeller was trained with.
        bins: Bins of the reliability diagram and of the calibration error.
        blue_accepts_navy: Count navy as blue on photographs whose judge never answered navy.
    """

    images: Annotated[int, Field(ge=100)] = 2000
    seed: Seed = 2_000_003
    bins: Annotated[int, Field(ge=1)] = 15
    blue_accepts_navy: bool = True


@section
class Backbones:
    """What the two models are built on.

    Attributes:
        model: timm name of the model's backbone, or ``swatchbook-tower``, that of the labeller drawn-only.
        baseline: The baseline's.
        model_pretrained: Whether the model starts from its backbone's published weights.
        baseline_pretrained: Whether the baseline does.
    """

    model: str = "vit_base_patch14_dinov2.lvd142m"
    baseline: str = "resnet50.tv_in1k"
    model_pretrained: bool = True
    baseline_pretrained: bool = True
