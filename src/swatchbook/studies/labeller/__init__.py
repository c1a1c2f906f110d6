"""The labeller study: how good a labeller is on images drawn for the purpose and on judged photographs."""

from __future__ import annotations

from dataclasses import field

from swatchbook.pipeline.settings import section
from swatchbook.pipeline.spec import Profile, Spec
from swatchbook.pipeline.stage import Stage
from swatchbook.schema import Schema
from swatchbook.studies.common_stages import labeller_stage, listed_photographs
from swatchbook.studies.figures import figure
from swatchbook.studies.settings import Evaluation, Labelling, Quality, Seed

HERE = "swatchbook.studies.labeller"
PROMPTS = "swatchbook.studies.labelling:prompts_content"
SETS = ("drawn", "photographs")
CODE = ("data", "drawn", "evaluation", "labeller", "audit", "studies/labelling.py", "studies/source.py")


@section
class Config:
    """All settings of a run.

    Attributes:
        profile: The profile's name.
        schema: Name of a shipped schema or path to a YAML file.
        material_map: Which folder → material rule of the schema is in force, if it has any.
        seed: Seed of everything random.
        source: Folder of photographs; None measures on drawn images alone.
        labelling: Which labeller, and what was judged of the photographs.
        quality: How it is measured.
        evaluation: How numbers get their intervals.
    """

    profile: str = "labeller"
    schema: str = "wardrobe"
    material_map: str | None = None
    seed: Seed = 42
    source: str | None = None
    labelling: Labelling = field(default_factory=lambda: Labelling(labeller="bundled"))
    quality: Quality = field(default_factory=Quality)
    evaluation: Evaluation = field(default_factory=Evaluation)

    def __post_init__(self) -> None:
        if (self.source is None) != (self.labelling.audit is None):
            lacking = "--images" if self.source is None else "--audit"
            raise ValueError(f"profile labeller without {lacking}; allowed: --images and --audit, or neither")
        if self.labelling.thresholds is not None:
            raise ValueError(
                "labelling.thresholds: a labeller is measured with its schema's thresholds; must be none"
            )


def stages(config: Config) -> tuple[Stage, ...]:
    """The stages of a run: drawn images, judged photographs where there are any, tables and figures."""
    judged = Stage(
        "judged photographs",
        ("photographs.parquet", "cosines.parquet"),
        f"{HERE}.measure:encode_judged",
        code=CODE,
        outside=PROMPTS,
    )
    return (
        labeller_stage(),
        Stage(
            "drawn images",
            ("drawn.parquet", "drawn_cosines.parquet"),
            f"{HERE}.measure:draw_and_encode",
            code=CODE,
            outside=PROMPTS,
        ),
        *((*listed_photographs(audited=True), judged) if config.source is not None else ()),
        Stage(
            "scores",
            tuple(f"tables/labeller_{name}.csv" for name in ("scores", "confidence", "risk", "confusion")),
            f"{HERE}.measure:measure",
            code=CODE,
        ),
        Stage("notes", ("tables/notes.csv",), f"{HERE}.measure:take_notes", code=CODE),
        *(
            Stage(
                f"mistakes, {of}",
                (f"tables/grid_{of}.csv", f"grids/{of}.npy"),
                f"{HERE}.measure:find_mistakes",
                code=CODE,
                arguments={"of": of},
            )
            for of in SETS
        ),
        figure("labeller_f1", "labeller_scores", "figures_labeller:class_f1"),
        figure("labeller_risk", "labeller_risk", "figures_labeller:risk_curves"),
        *(
            figure(
                f"labeller_reliability_{of}", "labeller_confidence", "figures_labeller:reliability", images=of
            )
            for of in SETS
        ),
        *(
            figure(f"labeller_confusion_{of}", "labeller_confusion", "figures_labeller:confusion", images=of)
            for of in SETS
        ),
        *(
            figure(
                f"grid_mistakes_{of}",
                f"grid_{of}",
                "figures_grids:grid",
                pictures=f"grids/{of}.npy",
                rule="most_wrong",
            )
            for of in SETS
        ),
    )


def schema(config: Config) -> Schema:
    """What a run asks of an image."""
    return Schema.load(config.schema, config.material_map)


STUDY = Spec(
    name="labeller",
    config=Config,
    profiles={
        "labeller": Profile(
            "How good the labeller is: on drawn images, and on photographs (--images DIR --audit FILE).",
            {},
            ("10",),
            {"images": "source", "source": "source", "audit": "labelling.audit"},
            takes="about two minutes on two cores",
        )
    },
    stages=stages,
    results={
        "labeller": ("tables/labeller.csv", "Which labeller gave the labels, and its own scale."),
        "labeller_scores": (
            "tables/labeller_scores.csv",
            "Scores of its labels, by images, attribute and class.",
        ),
        "labeller_confidence": ("tables/labeller_confidence.csv", "Its confidence against being right."),
        "labeller_risk": ("tables/labeller_risk.csv", "Error among the labels kept, by threshold."),
        "labeller_confusion": ("tables/labeller_confusion.csv", "What each class was taken for."),
        "notes": ("tables/notes.csv", "What a reader must know of the run."),
        "grid_drawn": ("tables/grid_drawn.csv", "Its surest mistakes on drawn images."),
        "grid_photographs": ("tables/grid_photographs.csv", "Its surest mistakes on photographs."),
    },
    schema=schema,
    report=f"{HERE}.report:content",
    report_code=("studies/labeller", "studies/figures.py", "evaluation", "names.py"),
    private=("source", "labelling.audit", "labelling.thresholds"),
)
