"""The steps that show what was made: trainings, confidence, and grids of images with their figures."""

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
from swatchbook.pipeline.stage import Stage, Trace
from swatchbook.schema import Schema
from swatchbook.studies.attributes.figures import Figure, figure_stage
from swatchbook.studies.attributes.making import asked_prompts, asked_thresholds, given_thresholds

EXPLAINED = 5  # images: each is five pictures in a row

MAKING_FIGURES: dict[str, Figure] = {
    "label_coverage": Figure("coverage", "report.figures_labels:label_coverage"),
    "label_confidence": Figure("confidence", "report.figures_labels:label_confidence"),
    "abstention_by_folder": Figure("abstention", "report.figures_labels:abstention_by_folder"),
    "training_curves": Figure("history", "report.figures_training:training_curves"),
    **{
        f"grid_{name}": Figure("grid", "report.figures_grids:grid", {"name": name}, "grids/pictures.npy")
        for name in ("random", "most_confident", "most_wrong", "abstained")
    },
    "grid_by_pair": Figure("grid", "report.figures_grids:grid_by_pair", pictures="grids/pictures.npy"),
    "grid_occlusion": Figure("occlusion", "report.figures_grids:grid_occlusion", pictures="grids/seen.npy"),
}


def known_or_judged(
    trace: Trace, manifest: pd.DataFrame, schema: Schema
) -> tuple[dict[str, np.ndarray] | None, str]:
    """What is true of each image, as codes, and where that is from.

    Known truth where the data has it; else what the first annotator of an audit file saw, −1 on images that
    were not judged; else None.
    """
    columns = {f"true_{name}": name for name in schema.names}
    if set(columns) <= set(manifest):
        return schema.encode(manifest[list(columns)].rename(columns=columns), "known truth"), "truth"
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


def describe_labeller(trace: Trace) -> None:
    """Which labeller gave the labels, and its own scale beside the one in use."""
    from swatchbook.labeller.zero_shot import Labeller

    loaded = Labeller.load(trace.setting("labelling.labeller"), log=lambda line: None)
    facts = {
        "labeller": loaded.name,
        "weights": loaded.revision[:12],
        "scale of the cosines in use": f"{trace.setting('labelling.temperature'):g}",
        "the checkpoint's own scale": f"{loaded.logit_scale:.1f}",
    }
    trace.write_table("tables/labeller.csv", pd.DataFrame({"what": facts.keys(), "is": facts.values()}))


def confidence(trace: Trace) -> None:
    """The labeller's confidence against being right, abstentions included."""
    cosines, manifest = trace.table("cosines.parquet"), trace.table("manifest.parquet")
    schema = trace.schema
    # A person's own folders are no fabrics, so there the labeller labels every attribute.
    folders = None if trace.setting("profile") == "folder" else manifest["folder"].to_numpy()
    surest = silver_table(
        cosines.drop(columns="image_id"),
        schema,
        folders,
        temperature=trace.setting("labelling.temperature"),
        thresholds={a.name: 0.0 for a in schema if folders is None or a.labelled_by == "zero_shot"},
    )
    codes = schema.encode(surest, "silver labels")
    truth, reference = known_or_judged(trace, manifest, schema)
    given = given_thresholds(
        trace, [a.name for a in schema if folders is None or a.labelled_by == "zero_shot"]
    )
    in_force = replace(
        schema,
        attributes=tuple(replace(a, threshold=given.get(a.name, a.threshold)) for a in schema.attributes),
    )
    if truth is None:
        trace.write_table("tables/confidence.csv", pd.DataFrame(columns=CONFIDENCE))
        return
    table = confidence_table(
        codes,
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
    said = trace.table(f"predictions/{model}.parquet").set_index("image_id").loc[test["image_id"]]
    silver = trace.table("silver.parquet").set_index("image_id").loc[test["image_id"]]
    truth, reference = known_or_judged(trace, test, schema)
    table = grid_table(
        schema.encode(said, "predictions"),
        {a.name: said[[f"{a.name}:{c}" for c in a.classes]].to_numpy().max(axis=1) for a in schema},
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
    found = explain(folder, pictures, rows, schema)
    trace.write_table(
        "tables/occlusion.csv",
        occlusion_table(table.iloc[rows], found["falls"], found["probability"], schema),
    )
    trace.write("grids/seen.npy", lambda out: np.save(out, found["seen"]))


def grid_stages() -> tuple[Stage, ...]:
    """The steps that show labels, trainings and images; they come after those that make them."""
    return (
        Stage("labeller", ("tables/labeller.csv",), describe_labeller, asked_prompts),
        Stage("histories", ("tables/history.csv",), history),
        Stage("confidence", ("tables/confidence.csv",), confidence, asked_thresholds),
        Stage("grids", ("tables/grid.csv", "grids/pictures.npy"), grids),
        Stage("explanations", ("tables/occlusion.csv", "grids/seen.npy"), explanations),
        *(figure_stage(name, figure) for name, figure in MAKING_FIGURES.items()),
    )
