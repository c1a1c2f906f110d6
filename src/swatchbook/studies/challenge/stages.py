"""The stages of the challenge study, in the order of its story."""

from __future__ import annotations

from swatchbook.pipeline.stage import Stage
from swatchbook.studies.challenge.settings import Config
from swatchbook.studies.challenge.systems import SYSTEMS
from swatchbook.studies.figures import figure

HERE = "swatchbook.studies.challenge"
LABELLING = "swatchbook.studies.labelling"
DATA = ("data", "studies/labelling.py", "studies/source.py", "evaluation/intervals.py")
PIXELS = tuple(f"data/{name}.py" for name in ("pixels", "decoding", "images", "strict_csv"))
TRAINING = (
    "models",
    "labeller/__init__.py",
    "evaluation/resample.py",
    "evaluation/intervals.py",
    "evaluation/scores.py",
    "studies/labelling.py",
    "studies/source.py",
    "studies/training.py",
    "studies/challenge/systems.py",
    "studies/challenge/images.py",
    *PIXELS,
)
PROBES = ("probe", "probe_balanced")
CURVES = "published_curves.csv"
TABLES = (
    "data",
    "evaluation",
    "names.py",
    *(f"studies/challenge/{name}.py" for name in ("systems", "training")),
    "studies/documents.py",
)


def answering(config: Config) -> tuple[str, ...]:
    """Everything that gives probabilities in a run, by the names of its predictions."""
    return ("zero_shot", *PROBES, *config.trained)


def stages(config: Config) -> tuple[Stage, ...]:
    """The stages of a run."""
    return (*_images(config), *_answers(config), *_tables(config), *_figures())


def _images(config: Config) -> tuple[Stage, ...]:
    drawn = Stage(
        "drawn images",
        ("images/truth.csv", "images/world.json"),
        f"{HERE}.images:draw_images",
        code=("drawn", *DATA),
        outside=f"{LABELLING}:classes_content",
    )
    boxes = {SYSTEMS[name].box for name in config.trained} | {True}
    return (
        *(() if config.source else (drawn,)),
        Stage(
            "manifest",
            ("manifest.parquet", "tables/challenge_counts.csv", "tables/challenge_duplicates.csv"),
            f"{HERE}.images:read_images",
            code=DATA,
            outside=f"{HERE}.images:images_content",
        ),
        *(
            Stage(
                f"squares of {'boxes' if box else 'photographs'}",
                ("pixels.npy" if box else "whole.npy",),
                f"{HERE}.images:cut_out",
                code=DATA,
                arguments={"box": box},
            )
            for box in sorted(boxes, reverse=True)
        ),
    )


def _answers(config: Config) -> tuple[Stage, ...]:
    trainings = [
        Stage(
            f"training {name}",
            (f"predictions/{name}.parquet", f"models/{name}/"),
            f"{HERE}.training:train_and_predict",
            code=TRAINING,
            arguments={"name": name},
            outside=f"{HERE}.training:backbone_content",
        )
        for name in config.trained
    ]
    return (
        Stage(
            "zero-shot",
            ("predictions/zero_shot.parquet",),
            f"{HERE}.training:zero_shot",
            code=("labeller", "data", *TRAINING),
            outside=f"{LABELLING}:prompts_content",
        ),
        Stage(
            "linear probes",
            tuple(f"predictions/{name}.parquet" for name in PROBES),
            f"{HERE}.training:probe",
            code=TRAINING,
        ),
        *trainings,
    )


def _tables(config: Config) -> tuple[Stage, ...]:
    members = [name for name in config.trained if name not in config.systems]
    known = Stage(
        "known truth", ("tables/challenge_known.csv",), f"{HERE}.tables:know", code=(*TABLES, "drawn")
    )
    agreement = Stage(
        "agreement",
        ("tables/challenge_agreement.csv",),
        f"{HERE}.tables:agree",
        code=TABLES,
        outside=f"{HERE}.tables:submissions_content",
    )
    return (
        Stage(
            "answers",
            (
                "answers.parquet",
                "submission.zip",
                "tables/challenge_points.csv",
                "tables/challenge_val_predictions.csv",
            ),
            f"{HERE}.tables:answer",
            code=TABLES,
            arguments={"names": list(answering(config)), "members": members},
        ),
        _table("scores", "tables:score", ("scores", "differences", "confusion")),
        *(() if config.source else (known,)),
        *((agreement,) if config.submissions else ()),
        Stage(
            "trainings",
            tuple(f"tables/challenge_{name}.csv" for name in ("history", "curves", "systems")),
            f"{HERE}.tables:follow",
            code=(*TABLES, f"studies/challenge/{CURVES}"),
            arguments={"names": list(config.trained)},
        ),
        _table("claims", "claims:claim_table", ("claims",)),
    )


def _table(name: str, function: str, tables: tuple[str, ...]) -> Stage:
    written = tuple(f"tables/challenge_{table}.csv" for table in tables)
    code = (*TABLES, "report/wording.py", *(f"studies/challenge/{n}" for n in ("claims.yaml", CURVES)))
    return Stage(name, written, f"{HERE}.{function}", code=code)


def _figures() -> tuple[Stage, ...]:
    drawn = {
        "challenge_scores": "scores",
        "challenge_recalls": "scores",
        "challenge_points": "points",
        "challenge_differences": "differences",
        "challenge_curves": "curves",
    }
    return (
        *(figure(name, f"challenge_{table}", f"figures_challenge:{name}") for name, table in drawn.items()),
        *(
            figure(
                f"challenge_confusion_{model}",
                "challenge_confusion",
                "figures_challenge:challenge_confusion",
                model=model,
            )
            for model in ("ours", "ours_adjusted")
        ),
    )
