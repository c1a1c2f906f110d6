"""The stages of the landmarks study, in the order of its story."""

from __future__ import annotations

from swatchbook.pipeline.stage import Stage
from swatchbook.studies.figures import figure
from swatchbook.studies.landmarks.settings import Config
from swatchbook.studies.landmarks.systems import model_name

HERE = "swatchbook.studies.landmarks"
IMAGES = (
    "data",
    "studies/landmarks/images.py",
    "studies/labelling.py",
    "studies/source.py",
    "evaluation/intervals.py",
)
TRAINING = (
    "models",
    "data",
    "labeller/__init__.py",
    "evaluation",
    "studies/labelling.py",
    "studies/source.py",
    "studies/training.py",
    "studies/landmarks/images.py",
    "studies/landmarks/systems.py",
)
TABLES = (*TRAINING, "names.py", "studies/landmarks/training.py", "studies/documents.py")
PICTURES = "pictures/landmarks.npy"


def stages(config: Config) -> tuple[Stage, ...]:
    """The stages of a run."""
    return (*_images(config), *_trainings(config), *_tables(config), *_figures())


def _images(config: Config) -> tuple[Stage, ...]:
    drawn = Stage(
        "drawn images",
        ("images/truth.csv", "images/world.json"),
        f"{HERE}.images:draw_images",
        code=("drawn", *IMAGES),
    )
    return (
        *(() if config.source else (drawn,)),
        Stage(
            "manifest",
            ("manifest.parquet", "schema.json", "tables/landmark_counts.csv"),
            f"{HERE}.images:read_images",
            code=IMAGES,
            outside=f"{HERE}.images:images_content",
        ),
        Stage("squares of boxes", ("pixels.npy",), f"{HERE}.images:cut_out", code=IMAGES),
    )


def _trainings(config: Config) -> tuple[Stage, ...]:
    return tuple(
        Stage(
            f"training {system}, seed {seed}",
            (f"predictions/{model_name(system, seed)}.parquet", f"models/{model_name(system, seed)}/"),
            f"{HERE}.training:train_and_predict",
            code=TRAINING,
            arguments={"system": system, "seed": seed},
            outside=f"{HERE}.training:backbone_content",
        )
        for system, seed in config.trainings
    )


def _tables(config: Config) -> tuple[Stage, ...]:
    trainings = [list(training) for training in config.trainings]

    def table(name: str, function: str, tables: tuple[str, ...], *code: str, **more: object) -> Stage:
        written = tuple(f"tables/landmark_{each}.csv" for each in tables)
        return Stage(name, written, f"{HERE}.{function}", code=(*TABLES, *code), arguments=more)

    known = table("known truth", "tables:know", ("known",), "drawn", trainings=trainings)
    return (
        table("scores", "tables:score", ("scores", "differences"), trainings=trainings),
        *(() if config.source else (known,)),
        table("trainings", "tables:follow", ("history", "systems"), trainings=trainings),
        table("predictions", "tables:publish_predictions", ("predictions",), trainings=trainings),
        Stage(
            "images to look at",
            ("tables/landmark_overlays.csv", "tables/landmark_attention.csv", PICTURES),
            f"{HERE}.tables:choose_images",
            code=TABLES,
            arguments={"trainings": trainings},
        ),
        table(
            "claims", "claims:claim_table", ("claims",), "report/wording.py", "studies/landmarks/claims.yaml"
        ),
    )


def _figures() -> tuple[Stage, ...]:
    drawn = {
        "landmark_controls": "differences",
        "landmark_errors": "scores",
        "landmark_pck": "scores",
        "landmark_curves": "history",
        "landmark_counts": "counts",
    }
    return (
        *(figure(name, f"landmark_{table}", f"figures_landmarks:{name}") for name, table in drawn.items()),
        *(
            figure(name, name, f"figures_landmarks:{name}", pictures=PICTURES)
            for name in ("landmark_overlays", "landmark_attention")
        ),
    )
