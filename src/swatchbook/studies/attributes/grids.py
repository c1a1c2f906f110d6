"""The steps that show labels, trainings and images: confidence, histories, and grids of images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from swatchbook.data import pixels
from swatchbook.evaluation.confidence import COLUMNS as CONFIDENCE
from swatchbook.evaluation.confidence import confidence_table
from swatchbook.evaluation.grids import SILVER, grid_table, occlusion_table
from swatchbook.evaluation.history import history_table
from swatchbook.evaluation.resample import image_weights
from swatchbook.labeller.silver import silver_table
from swatchbook.pipeline.stage import Trace
from swatchbook.schema import Schema
from swatchbook.studies.attributes.labels import by_cosines, known_labels
from swatchbook.studies.labelling import given_thresholds

EXPLAINED = 5  # images: each is five pictures in a row


def known_or_judged(
    trace: Trace, manifest: pd.DataFrame, schema: Schema
) -> tuple[dict[str, np.ndarray] | None, str]:
    """What is true of each image, as codes, and where that is from.

    Known truth where the data has it; else what the first annotator of an audit file saw, −1 on images that
    were not judged; else None.
    """
    truth = known_labels(manifest, schema)
    if truth is not None:
        return schema.encode(truth, "known truth"), "truth"
    if trace.setting("labelling.audit") is None:
        return None, SILVER
    sheet = trace.table("audit.csv")
    judged = sheet[sheet["annotator"] == sheet["annotator"].iloc[0]]
    judged = judged.set_index("image_id").reindex(manifest["image_id"])
    return schema.encode(judged, "audit.csv"), "audit"


def history(trace: Trace) -> None:
    """Both trainings' histories in one table."""
    models = (trace.setting("model"), trace.setting("baseline"))
    table = history_table({model: trace.table(f"models/{model}/history.csv") for model in models})
    trace.write_table("tables/history.csv", table)


def confidence(trace: Trace) -> None:
    """The labeller's confidence against being right, abstentions included."""
    cosines, manifest = trace.table("cosines.parquet"), trace.table("manifest.parquet")
    schema = trace.schema
    truth, reference = known_or_judged(trace, manifest, schema)
    if truth is None:
        trace.write_table("tables/confidence.csv", pd.DataFrame(columns=CONFIDENCE))
        return
    names = by_cosines(trace, schema)
    surest = silver_table(
        cosines.drop(columns="image_id"),
        schema,
        None if len(names) == len(schema.names) else manifest["folder"].to_numpy(),
        logit_scale=trace.setting("labelling.temperature"),
        thresholds=dict.fromkeys(names, 0.0),
    )
    given = given_thresholds(trace, names)
    in_force = replace(
        schema,
        attributes=tuple(replace(a, threshold=given.get(a.name, a.threshold)) for a in schema.attributes),
    )
    table = confidence_table(
        schema.encode(surest, "silver labels"),
        {name: surest[f"{name}_confidence"].to_numpy(dtype=float) for name in schema.names},
        truth,
        in_force,
        weights=image_weights(len(manifest), trace.setting("evaluation.bootstrap"), trace.rng("confidence")),
        reference=reference,
        level=trace.setting("evaluation.level"),
    )
    trace.write_table("tables/confidence.csv", table)


def grids(trace: Trace) -> None:
    """Which test images are shown, by which rule, what is said of them, and their pictures."""
    manifest, schema, model = trace.table("manifest.parquet"), trace.schema, trace.setting("model")
    rows = np.flatnonzero(manifest["split"].to_numpy() == "test")
    test = manifest.iloc[rows]
    predicted = trace.table(f"predictions/{model}.parquet").set_index("image_id").loc[test["image_id"]]
    silver = trace.table("silver.parquet").set_index("image_id").loc[test["image_id"]]
    truth, reference = known_or_judged(trace, test, schema)
    table = grid_table(
        schema.encode(predicted, "predictions"),
        {a.name: predicted[[f"{a.name}:{c}" for c in a.classes]].to_numpy().max(axis=1) for a in schema},
        schema.encode(silver, "silver.parquet"),
        schema,
        image_ids=test["image_id"].to_numpy(),
        rows=rows,
        rng=trace.rng("grids"),
        model=model,
        truth=truth,
        reference=reference,
    )
    trace.write_table("tables/grid.csv", table)
    decoded = pixels.read(trace.path("pixels.npy"), len(manifest))
    # Copied, so that no figure has to hash and open the pixels of the whole study.
    trace.write(
        "grids/pictures.npy", lambda out: np.save(out, decoded[table["row"].to_numpy(dtype=np.int64)])
    )


def explanations(trace: Trace) -> None:
    """Where the model finds its answers on the first images drawn at random."""
    from swatchbook.models.explain import explain

    schema, model = trace.schema, trace.setting("model")
    table = trace.table("tables/grid.csv")
    rows = np.flatnonzero(table["grid"].to_numpy() == "random")[:EXPLAINED]
    pictures = np.load(trace.path("grids/pictures.npy"), allow_pickle=False)
    for file in ("config.json", "model.safetensors"):
        folder = trace.path(f"models/{model}/{file}").parent
    occluded = explain(folder, pictures, rows, schema)
    trace.write_table(
        "tables/occlusion.csv",
        occlusion_table(table.iloc[rows], occluded["falls"], occluded["probability"], schema),
    )
    trace.write("grids/seen.npy", lambda out: np.save(out, occluded["seen"]))
