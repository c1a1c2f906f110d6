"""The stages of the retrieval study, in the order of its story."""

from __future__ import annotations

from swatchbook.pipeline.stage import Stage
from swatchbook.studies.figures import figure
from swatchbook.studies.retrieval.settings import Config
from swatchbook.studies.retrieval.systems import SYSTEMS, shown

HERE = "swatchbook.studies.retrieval"
LABELLING = "swatchbook.studies.labelling"
DATA = ("data", "studies/labelling.py", "studies/source.py", "studies/retrieval/systems.py")
TRAINING = (
    "models",
    "labeller/__init__.py",
    "labeller/files.py",
    "labeller/training/tokenizer.py",
    "evaluation/resample.py",
    "evaluation/scores.py",
    "studies/labelling.py",
    "studies/source.py",
    "studies/training.py",
    "studies/retrieval/systems.py",
    "studies/retrieval/images.py",
    *(f"data/{name}.py" for name in ("pixels", "decoding", "images", "strict_csv")),
)
TABLES = (
    "models/probe.py",
    "data",
    "evaluation",
    *(f"studies/retrieval/{name}.py" for name in ("systems", "images", "training", "tables")),
    "studies/documents.py",
    "studies/retrieval/claims.yaml",
)
SCORES = ("ranks", "scores", "curves", "differences", "published")


def stages(config: Config) -> tuple[Stage, ...]:
    """The stages of a run."""
    return (*_images(config), *_answers(config), *_tables(config), *_figures(config))


def _images(config: Config) -> tuple[Stage, ...]:
    drawn = Stage(
        "drawn images",
        ("images/truth.csv", "images/world.json"),
        f"{HERE}.images:draw_images",
        code=("drawn", *DATA),
        outside=f"{LABELLING}:classes_content",
    )
    return (
        *(() if config.source else (drawn,)),
        Stage(
            "manifest",
            ("manifest.parquet", "tables/retrieval_problems.csv", "tables/retrieval_counts.csv"),
            f"{HERE}.images:read_images",
            code=DATA,
            outside=f"{HERE}.images:images_content",
        ),
        Stage("squares", ("pixels.npy",), f"{HERE}.images:cut_out", code=DATA),
    )


def reads(config: Config) -> bool:
    """Whether any system of a run reads category and attributes."""
    return any(SYSTEMS[name].heads for name in config.systems)


def _answers(config: Config) -> tuple[Stage, ...]:
    trainings = [
        Stage(
            f"training {name}",
            (
                f"embeddings/{name}.npz",
                f"captions/{name}.csv",
                *((f"predictions/{name}.parquet",) if SYSTEMS[name].heads else ()),
                f"models/{name}/",
                f"checkpoints/{name}/",
            ),
            f"{HERE}.training:train_and_embed",
            code=TRAINING,
            arguments={"name": name},
            outside=f"{HERE}.training:towers_content",
        )
        for name in config.systems
    ]
    probe = Stage(
        "linear probes",
        ("predictions/probe.parquet", "predictions/probe_balanced.parquet"),
        f"{HERE}.training:probe",
        code=TRAINING,
    )
    return (*((probe,) if reads(config) else ()), *trainings)


def _tables(config: Config) -> tuple[Stage, ...]:
    names = {"names": list(config.systems)}
    known = Stage(
        "known truth", ("tables/retrieval_known.csv",), f"{HERE}.tables:know", code=TABLES, arguments=names
    )
    return (
        Stage(
            "scores",
            tuple(f"tables/retrieval_{name}.csv" for name in SCORES),
            f"{HERE}.tables:score",
            code=TABLES,
            arguments=names,
        ),
        *(() if config.source else (known,)),
        Stage(
            "trainings",
            tuple(f"tables/retrieval_{name}.csv" for name in ("history", "systems", "strengths")),
            f"{HERE}.tables:follow",
            code=TABLES,
            arguments=names,
        ),
        Stage(
            "gallery and map",
            ("tables/retrieval_gallery.csv", "tables/retrieval_map.csv", "gallery.npy"),
            f"{HERE}.gallery:show",
            code=TABLES,
            arguments={"name": shown(config.systems)},
        ),
        Stage(
            "claims",
            ("tables/retrieval_claims.csv",),
            f"{HERE}.claims:claim_table",
            code=(*TABLES, "names.py", "report/wording.py"),
        ),
    )


def _figures(config: Config) -> tuple[Stage, ...]:
    drawn = {
        "retrieval_recall": "curves",
        "retrieval_stages": "scores",
        "retrieval_differences": "differences",
        "retrieval_map": "map",
    }
    if reads(config):
        drawn["retrieval_tiers"] = "scores"
    galleries = [
        figure(
            f"retrieval_gallery_{name}",
            "retrieval_gallery",
            "figures_retrieval:retrieval_gallery",
            pictures="gallery.npy",
            direction=direction,
        )
        for name, direction in (("pictures", "text to image"), ("captions", "image to text"))
    ]
    return (
        *(figure(name, f"retrieval_{table}", f"figures_retrieval:{name}") for name, table in drawn.items()),
        *galleries,
    )
