"""A study in one file, as CONTRIBUTING tells how to add one: is the nearest colour's name the garment's?"""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from swatchbook.pipeline.settings import section
from swatchbook.pipeline.spec import Profile, Spec
from swatchbook.pipeline.stage import Stage, Trace
from swatchbook.schema import Schema
from swatchbook.studies.figures import figure
from swatchbook.studies.settings import Evaluation

HERE = "tests.studies.toy"


@section
class Config:
    """All settings of a run."""

    profile: str = "toy"
    schema: str = "wardrobe"
    seed: Annotated[int, Field(ge=0)] = 42
    images: Annotated[int, Field(ge=1)] = 60
    evaluation: Evaluation = field(default_factory=lambda: Evaluation(bootstrap=200))


def read(trace: Trace) -> None:
    """The reader: drawn garments → a manifest with their true colour, and the colour of their centres."""
    from swatchbook.drawn.balanced import drawn_labels, drawn_pictures
    from swatchbook.labeller.nearest_colour import centre_colour

    n, seed = trace.setting("images"), trace.setting("seed")
    labels = drawn_labels(n, seed)
    centres = np.stack([centre_colour(picture) for picture in drawn_pictures(labels, seed, 96)])
    manifest = pd.DataFrame({"image_id": [f"drawn-{i:03d}" for i in range(n)], "true_color": labels["color"]})
    manifest[["red", "green", "blue"]] = centres
    trace.write_table("manifest.parquet", manifest)


def predict(trace: Trace) -> None:
    """The task: the nearest named colour of an image's centre."""
    from swatchbook.labeller.nearest_colour import nearest_colour

    manifest = trace.table("manifest.parquet")
    names = nearest_colour(manifest[["red", "green", "blue"]].to_numpy(), trace.schema["color"].classes)
    trace.write_table("predictions/nearest.parquet", manifest[["image_id"]].assign(color=names))


def score(trace: Trace) -> None:
    """The evaluator: scores of the only attribute, each with its interval."""
    from swatchbook.evaluation.resample import image_weights
    from swatchbook.evaluation.scores import majority_baseline, score_table

    manifest, found = trace.table("manifest.parquet"), trace.table("predictions/nearest.parquet")
    schema = trace.schema
    truth = schema.encode(manifest[["true_color"]].rename(columns={"true_color": "color"}), "manifest")
    models = {"nearest": schema.encode(found, "predictions"), "majority": majority_baseline(truth, schema)}
    weights = image_weights(len(manifest), trace.setting("evaluation.bootstrap"), trace.rng("images"))
    level = trace.setting("evaluation.level")
    trace.write_table("tables/toy_scores.csv", score_table(truth, models, schema, weights, level=level))


def report(trace: Trace) -> dict[str, object]:
    """What the report says first."""
    scores = trace.table("tables/toy_scores.csv")
    row = scores.query("model == 'nearest' and metric == 'accuracy' and `class` == 'all'").iloc[0]
    sentence = f"The nearest colour's name is right for {row['value']:.1%} of {row['n']:.0f} garments."
    return {
        "lead": "How far does one colour get?",
        "headline": scores[["model", "metric", "value", "low", "high", "n"]].head(6),
        "claims": pd.DataFrame({"printed": ["one colour is enough"], "sentence": [sentence]}),
    }


def stages(config: Config) -> tuple[Stage, ...]:
    """The stages of a run."""
    return (
        Stage("images", ("manifest.parquet",), f"{HERE}:read", code=("drawn", "labeller")),
        Stage(
            "nearest colour", ("predictions/nearest.parquet",), f"{HERE}:predict", code=("labeller", "drawn")
        ),
        Stage("scores", ("tables/toy_scores.csv",), f"{HERE}:score", code=("evaluation",)),
        figure("toy_f1", "toy_scores", "figures_scores:f1_by_class"),
    )


def schema(config: Config) -> Schema:
    """What a run asks: the colour alone."""
    whole = Schema.load(config.schema)
    return Schema("toy", (whole["color"],))


STUDY = Spec(
    name="toy",
    config=Config,
    profiles={"toy": Profile("The nearest colour of drawn garments.")},
    stages=stages,
    results={"toy_scores": ("tables/toy_scores.csv", "Scores of the nearest colour.")},
    schema=schema,
    report=f"{HERE}:report",
)
