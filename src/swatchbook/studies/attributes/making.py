"""The steps that make labels: images → manifest → pixels → silver labels → audit.

Their results stand in the same artefacts as the published exports, so that everything after them, from
scores to the report, is the same code.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.audit.sheet import read_sheet, with_design
from swatchbook.data import duplicates, images, pixels
from swatchbook.data.readers import textilenet
from swatchbook.drawn import true_cramers_v, write_dataset
from swatchbook.drawn.latent import draw_rows
from swatchbook.evaluation.audit import draw_sample
from swatchbook.evaluation.known import known_table
from swatchbook.labeller import BUNDLED
from swatchbook.labeller.silver import abstention_table, coverage_table, silver_table
from swatchbook.labeller.thresholds import read_thresholds
from swatchbook.pipeline.stage import Stage, Trace
from swatchbook.schema import Schema
from swatchbook.store import sha256

SIMULATED = "simulated auditor"


def asked(trace: Trace) -> Schema:
    """The schema, for steps on which no threshold bears; `asked_classes` or `asked_prompts` watch it.

    Thresholds can then change without an image being drawn, read, or encoded again.
    """
    return Schema.load(trace.setting("schema"), trace.setting("material_map"))


def asked_classes(trace: Trace) -> dict[str, str]:
    """What a step depends on that knows the schema's classes and folders only."""
    schema = asked(trace)
    return {"classes": _told([(a.name, a.classes, a.labelled_by) for a in schema], dict(schema.folders))}


def asked_prompts(trace: Trace) -> dict[str, str]:
    """What cosines depend on beside the images: every class's prompts, and the labeller's files."""
    schema, labeller = asked(trace), trace.setting("labelling.labeller")
    texts = [(a.name, label, a.prompts(label)) for a in schema for label in a.classes]
    found = {"prompts": _told(texts)}
    kind, _, rest = labeller.partition(":")
    if kind != "hf-hub":  # there the name pins a commit
        folder = BUNDLED if labeller == "bundled" else Path(rest)
        files = sorted(p for p in folder.glob("*") if p.is_file() and p.suffix != ".md")
        found["labeller"] = _told([(p.name, sha256(p)) for p in files])
    return found


def asked_thresholds(trace: Trace) -> dict[str, str]:
    """Content of the file of thresholds, where one is given."""
    path = trace.config.labelling.thresholds  # untraced: what the file says matters, not where it lies
    return {} if path is None else {"thresholds": _digest(path)}


def given_thresholds(trace: Trace, attributes: Sequence[str]) -> dict[str, float]:
    """Thresholds in place of the schema's, of those attributes that the file names; none without a file."""
    path = trace.config.labelling.thresholds  # untraced, see `asked_thresholds`
    return {} if path is None else read_thresholds(Path(path), attributes)


def _told(*content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()


def draw_images(trace: Trace) -> None:
    """The drawn world: photographs in TextileNet's layout, and their truth."""
    folder = trace.store.path("images")
    for old in (folder, *trace.store.root.glob(".images.*.partial")):  # the latter are of a killed run
        shutil.rmtree(old, ignore_errors=True)
    drawn = {name: trace.setting(f"drawn.{name}") for name in ("n_train", "n_test", "coupling", "size")}
    write_dataset(folder, **drawn, seed=trace.setting("seed"), schema=asked(trace))
    trace.writes += ["images/truth.csv", "images/world.json"]


def drawn_manifest(trace: Trace) -> None:
    """Drawn images → manifest with known truth: caps and validation split as for TextileNet."""
    truth = trace.table("images/truth.csv")
    root = trace.store.path("images")
    manifest = _manifest(trace, textilenet.open_source(root))
    known = truth.assign(path=[str(root / p) for p in truth["path"]]).set_index("path")
    for name in asked(trace).names:
        manifest[f"true_{name}"] = known[name].reindex(manifest["path"]).to_numpy()
    trace.write_table("manifest.parquet", manifest)


def drawn_content(trace: Trace) -> dict[str, str]:
    """Names and content of the drawn images, so that one exchanged behind our back is noticed."""
    trace.path("images/truth.csv")
    return {**asked_classes(trace), "images": images.fingerprint(trace.store.path("images"))}


def textilenet_manifest(trace: Trace) -> None:
    """TextileNet's archive or folder → manifest."""
    trace.write_table("manifest.parquet", _manifest(trace, _source(trace)))


def textilenet_content(trace: Trace) -> dict[str, str]:
    """Names and content of TextileNet's images that are studied; the many others are not read."""
    listed, _ = _listed(trace, _source(trace))
    contents = images.in_parallel(_digest, listed["path"].tolist(), None, "checking")
    return {**asked_classes(trace), "images": _told(list(zip(listed["image_id"], contents, strict=True)))}


def _source(trace: Trace) -> Path:
    source = trace.config.source  # untraced: where the files lie does not matter, what they hold does
    if source is None:
        raise ValueError(
            f"profile {trace.config.profile} needs TextileNet: --source ARCHIVE or FOLDER; "
            "python -m swatchbook.data.readers.textilenet TARGET fetches the archive (12.1 GB)"
        )
    return textilenet.open_source(Path(source))


def _digest(path: str) -> str:
    """SHA-256 of a file that may not be there."""
    try:
        return sha256(Path(path))
    except OSError:  # who reads it says what is wrong with it
        return "unreadable"


def _listed(trace: Trace, root: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The images that are studied, and the folders that are not."""
    native, dropped = textilenet.native_split(root, asked(trace), trace.setting("subset.floor"))
    caps = {name: trace.setting(f"subset.{name}") for name in ("cap_train", "cap_test", "validation")}
    return textilenet.cap_and_split(native, **caps, seed=trace.setting("seed")), dropped


def _manifest(trace: Trace, root: Path) -> pd.DataFrame:
    listed, dropped = _listed(trace, root)
    trace.write_table("tables/dropped.csv", dropped)
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


def list_copies(trace: Trace) -> None:
    """Photographs that lie in two splits, exact copies and near ones; they are listed and stay."""
    manifest = trace.table("manifest.parquet")
    found = duplicates.pairs(manifest, pixels.read(trace.path("pixels.npy"), len(manifest)))
    trace.write_table("tables/duplicates.csv", duplicates.straddling(found))


def measure_cosines(trace: Trace) -> None:
    """Images → cosines with every class's prompts."""
    write_cosines(trace, trace.table("manifest.parquet"))


def write_cosines(trace: Trace, listed: pd.DataFrame) -> None:
    """Cosines of the listed images (`image_id, path`) with every class's prompts."""
    from swatchbook.labeller.cosines import cosine_table
    from swatchbook.labeller.zero_shot import Labeller

    schema = asked(trace)
    labeller = Labeller.load(trace.setting("labelling.labeller"))
    shards = trace.store.path("cosines")
    cosines, _ = cosine_table(labeller, listed["path"].tolist(), schema, shards)
    cosines.insert(0, "image_id", listed["image_id"].to_numpy())
    trace.write_table("cosines.parquet", cosines)
    shutil.rmtree(shards)


def label(trace: Trace) -> None:
    """Cosines → silver labels, and how much was labelled."""
    cosines, manifest = trace.table("cosines.parquet"), trace.table("manifest.parquet")
    schema, level = trace.schema, trace.setting("evaluation.level")
    folders = manifest["folder"].to_numpy()
    ask = {
        "temperature": trace.setting("labelling.temperature"),
        "thresholds": given_thresholds(trace, [a.name for a in schema if a.labelled_by == "zero_shot"]),
    }
    silver = silver_table(cosines.drop(columns="image_id"), schema, folders, **ask)
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
    manifest, schema = trace.table("manifest.parquet"), asked(trace)
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


def read_audit(trace: Trace) -> None:
    """A person's audit file → the audit of the test split."""
    manifest = trace.table("manifest.parquet")
    test = manifest.loc[manifest["split"] == "test", "image_id"].tolist()
    sheet = read_sheet(Path(trace.setting("labelling.audit")), test, _source(trace), asked(trace))
    trace.write_table("audit.csv", with_design(sheet.judged, len(test)))
    trace.write_table("tables/audit_answers.csv", sheet.answers)


def audit_content(trace: Trace) -> dict[str, str]:
    """Content of the audit file."""
    return {**asked_classes(trace), "audit": _digest(trace.setting("labelling.audit"))}


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


SIMULATED_AUDIT = Stage("simulated audit", ("audit.csv",), simulate_audit, asked_classes)
FILE_AUDIT = Stage("audit sheet", ("audit.csv", "tables/audit_answers.csv"), read_audit, audit_content)


def making_stages(source: str, audit: Stage | None = None) -> tuple[Stage, ...]:
    """The steps from images to silver labels and their audit.

    Args:
        source: ``drawn`` or ``textilenet``.
        audit: The step that gives ``audit.csv``; None where nobody judged.
    """
    listed = ("manifest.parquet", "tables/dropped.csv", "tables/quarantine.csv")
    first = {
        "drawn": (
            Stage("drawn images", ("images/truth.csv", "images/world.json"), draw_images, asked_classes),
            Stage("manifest", listed, drawn_manifest, drawn_content),
        ),
        "textilenet": (Stage("manifest", listed, textilenet_manifest, textilenet_content),),
    }
    silver = ("silver.parquet", "tables/coverage.csv", "tables/abstention.csv")
    return (
        *first[source],
        Stage("pixels", ("pixels.npy",), decode),
        Stage("duplicates", ("tables/duplicates.csv",), list_copies),
        Stage("cosines", ("cosines.parquet",), measure_cosines, asked_prompts),
        Stage("silver labels", silver, label, asked_thresholds),
        *([audit] if audit else []),
    )
