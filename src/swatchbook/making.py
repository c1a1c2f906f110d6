"""The steps that make labels and models: images → manifest → pixels → silver labels → audit → models.

Their results stand in the same artefacts as the published exports, so that everything after them, from
scores to the report, is the same code.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.data import images, pixels, textilenet
from swatchbook.data.rendered import true_cramers_v, write_dataset
from swatchbook.data.world import draw_rows
from swatchbook.evaluation.audit import draw_sample
from swatchbook.evaluation.known import known_table
from swatchbook.labels.silver import abstention_table, coverage_table, silver_table
from swatchbook.models.recipe import Recipe
from swatchbook.schema import Schema
from swatchbook.study import Stage, Trace

SIMULATED = "simulated auditor"


def draw_images(trace: Trace) -> None:
    """The drawn world: photographs in TextileNet's layout, and their truth."""
    folder = trace.store.path("images")
    shutil.rmtree(folder, ignore_errors=True)
    drawn = {name: trace.setting(f"drawn.{name}") for name in ("n_train", "n_test", "coupling", "size")}
    write_dataset(folder, **drawn, seed=trace.setting("seed"), schema=trace.schema)
    trace.writes += ["images/truth.csv", "images/world.json"]


def drawn_manifest(trace: Trace) -> None:
    """Drawn images → manifest with known truth: caps and validation split as for TextileNet."""
    truth = trace.table("images/truth.csv")
    root = trace.store.path("images")
    manifest = _manifest(trace, textilenet.open_source(root))
    known = truth.assign(path=[str(root / p) for p in truth["path"]]).set_index("path")
    for name in trace.schema.names:
        manifest[f"true_{name}"] = known[name].reindex(manifest["path"]).to_numpy()
    trace.write_table("manifest.parquet", manifest)


def drawn_content(trace: Trace) -> dict[str, str]:
    """Names and content of the drawn images, so that one exchanged behind our back is noticed."""
    trace.path("images/truth.csv")
    return {"images": images.fingerprint(trace.store.path("images"))}


def textilenet_manifest(trace: Trace) -> None:
    """TextileNet's archive or folder → manifest."""
    if trace.config.source is None:
        raise ValueError(
            "profile paper needs TextileNet: --source ARCHIVE or FOLDER; "
            "python -m swatchbook.data.textilenet TARGET fetches the archive (12.1 GB)"
        )
    trace.write_table("manifest.parquet", _manifest(trace, textilenet.open_source(Path(trace.config.source))))


def _manifest(trace: Trace, root: Path) -> pd.DataFrame:
    native, dropped = textilenet.native_split(root, trace.schema, trace.setting("subset.floor"))
    trace.write_table("tables/dropped.csv", dropped)
    caps = {name: trace.setting(f"subset.{name}") for name in ("cap_train", "cap_test", "validation")}
    listed = textilenet.cap_and_split(native, **caps, seed=trace.setting("seed"))
    try:
        manifest, quarantine = images.examine(listed)
    except images.BrokenImagesError as error:
        trace.write_table("tables/quarantine.csv", error.quarantine)
        raise
    trace.write_table("tables/quarantine.csv", quarantine)
    return manifest


def decode(trace: Trace) -> None:
    """Manifest → pixels, decoded once."""
    manifest = trace.table("manifest.parquet")
    trace.write("pixels.npy", lambda out: pixels.build(manifest, out))


def measure_cosines(trace: Trace) -> None:
    """Images → cosines with every class's prompts."""
    from swatchbook.labels.encoding import cosine_table
    from swatchbook.labels.labeller import Labeller

    manifest, schema = trace.table("manifest.parquet"), trace.schema
    labeller = Labeller.load(trace.setting("labelling.labeller"))
    shards = trace.store.path("cosines")
    cosines, _ = cosine_table(labeller, manifest["path"].tolist(), schema, shards)
    cosines.insert(0, "image_id", manifest["image_id"].to_numpy())
    trace.write_table("cosines.parquet", cosines)
    shutil.rmtree(shards)


def label(trace: Trace) -> None:
    """Cosines → silver labels, and how much was labelled."""
    cosines, manifest = trace.table("cosines.parquet"), trace.table("manifest.parquet")
    schema, level = trace.schema, trace.setting("evaluation.level")
    folders = manifest["folder"].to_numpy()
    temperature = trace.setting("labelling.temperature")
    silver = silver_table(cosines.drop(columns="image_id"), schema, folders, temperature=temperature)
    truth = _truth(manifest, schema)
    trace.write_table("tables/coverage.csv", coverage_table(silver, schema, truth, level=level))
    trace.write_table("tables/abstention.csv", abstention_table(silver, schema, folders, level=level))
    silver.insert(0, "image_id", manifest["image_id"].to_numpy())
    trace.write_table("silver.parquet", silver)


def _truth(manifest: pd.DataFrame, schema: Schema) -> pd.DataFrame | None:
    """Known labels under the attributes' own names, or None where the data has none."""
    columns = {f"true_{name}": name for name in schema.names}
    return manifest[list(columns)].rename(columns=columns) if set(columns) <= set(manifest) else None


def simulate_audit(trace: Trace) -> None:
    """An audit of the test split by a simulated auditor, who errs at a stated rate."""
    manifest, schema = trace.table("manifest.parquet"), trace.schema
    test = manifest[manifest["split"] == "test"].reset_index(drop=True)
    rng, error = trace.rng("audit sample"), trace.setting("labelling.auditor_error")
    rows, weight = draw_sample(test["folder"].to_numpy(), trace.setting("labelling.audit_per_fabric"), rng)
    judged = test.iloc[rows]
    sheet = pd.DataFrame({"image_id": judged["image_id"], "annotator": f"{SIMULATED}, {error:.0%} error"})
    sheet = sheet.assign(stratum=judged["folder"], weight=weight)
    codes = schema.encode(_truth(judged, schema), "known truth")
    for a in schema:
        wrong = (1 - np.eye(len(a))[codes[a.name]]) / (len(a) - 1)
        seen = np.where(rng.random(len(judged)) < error, draw_rows(wrong, rng), codes[a.name])
        sheet[a.name] = None if a.labelled_by == "folder" else np.array(a.classes)[seen]
    trace.write_table("audit.csv", sheet)


def train_model(which: str) -> Callable[[Trace], None]:
    """The step that trains the model or the baseline and predicts every image with it.

    Args:
        which: ``model`` or ``baseline``.
    """

    def train_and_predict(trace: Trace) -> None:
        from swatchbook.models.prediction import predict
        from swatchbook.models.training import train

        manifest, schema, name = trace.table("manifest.parquet"), trace.schema, trace.setting(which)
        codes = schema.encode(trace.table("silver.parquet"), "silver.parquet")
        decoded = pixels.read(trace.path("pixels.npy"), len(manifest))
        split = manifest["split"].to_numpy()
        recipe = Recipe(**{f: trace.setting(f"training.{f}") for f in Recipe.__dataclass_fields__})
        folder = train(
            decoded,
            codes,
            np.flatnonzero(split == "train"),
            np.flatnonzero(split == "val"),
            schema,
            recipe,
            trace.setting(f"backbones.{which}"),
            trace.store.path(f"models/{name}"),
            pretrained=trace.setting("backbones.pretrained"),
            log=lambda line: print(f"  {name}: {line}", flush=True),
        )
        trace.writes += [f"models/{name}/{f}" for f in ("model.safetensors", "config.json", "history.csv")]
        test = np.flatnonzero(split == "test")
        predicted = predict(folder, decoded, test, schema).reset_index(drop=True)
        predicted.insert(0, "image_id", manifest["image_id"].to_numpy()[test])
        trace.write_table(f"predictions/{name}.parquet", predicted)

    return train_and_predict


def know(trace: Trace) -> None:
    """Every estimator beside the truth that it estimates."""
    manifest, schema = trace.table("manifest.parquet"), trace.schema
    test = manifest[manifest["split"] == "test"].set_index("image_id")
    models = (trace.setting("model"), trace.setting("baseline"))

    def codes(artefact: str) -> dict[str, np.ndarray]:
        return schema.encode(trace.table(artefact).set_index("image_id").loc[test.index], artefact)

    labels = {"silver": codes("silver.parquet"), **{m: codes(f"predictions/{m}.parquet") for m in models}}
    table = known_table(
        schema.encode(_truth(test, schema), "known truth"),
        labels,
        schema,
        truth=trace.table("tables/truth.csv"),
        rectified=trace.table("tables/rectified.csv"),
        known_v=true_cramers_v(trace.setting("drawn.coupling"), schema),
    )
    trace.write_table("tables/known.csv", table)


def making_stages(source: str, models: tuple[str, str]) -> tuple[Stage, ...]:
    """The steps from images to predictions.

    Args:
        source: ``drawn`` or ``textilenet``.
        models: Names of the model and the baseline.
    """
    listed = ("manifest.parquet", "tables/dropped.csv", "tables/quarantine.csv")
    first = {
        "drawn": (
            Stage("drawn images", ("images/truth.csv", "images/world.json"), draw_images),
            Stage("manifest", listed, drawn_manifest, drawn_content),
        ),
        "textilenet": (Stage("manifest", listed, textilenet_manifest),),
    }
    silver = ("silver.parquet", "tables/coverage.csv", "tables/abstention.csv")
    trained = [
        Stage(f"training {name}", (f"predictions/{name}.parquet", f"models/{name}/"), train_model(which))
        for which, name in zip(("model", "baseline"), models, strict=True)
    ]
    return (
        *first[source],
        Stage("pixels", ("pixels.npy",), decode),
        Stage("cosines", ("cosines.parquet",), measure_cosines),
        Stage("silver labels", silver, label),
        Stage("simulated audit", ("audit.csv",), simulate_audit),
        *trained,
    )
