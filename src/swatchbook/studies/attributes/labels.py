"""Cosines → silver labels → an audit of them, by a person or, where the truth is known, simulated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.audit.sheet import read_sheet, with_design
from swatchbook.drawn.latent import draw_rows
from swatchbook.evaluation.audit import draw_sample
from swatchbook.labeller.silver import abstention_table, coverage_table, silver_table
from swatchbook.pipeline.stage import Trace
from swatchbook.schema import Schema
from swatchbook.studies.attributes.images import textilenet_root
from swatchbook.studies.labelling import classes_and_prompts, given_thresholds, write_cosines

SIMULATED = "simulated auditor"


def cosines(trace: Trace, listing: str) -> None:
    """Images → cosines with every class's prompts; no split is read, so another one keeps them."""
    write_cosines(trace, trace.table(listing))


def by_cosines(trace: Trace, schema: Schema) -> list[str]:
    """The attributes that are labelled by their cosines: all, or those that no folder's rule labels."""
    ruled = trace.setting("data") != "folder"  # a person's own folders are no fabrics
    return [a.name for a in schema if not ruled or a.labelled_by == "zero_shot"]


def label(trace: Trace) -> None:
    """Cosines → silver labels, and how much was labelled."""
    measured, manifest = trace.table("cosines.parquet"), trace.table("manifest.parquet")
    schema, level = trace.schema, trace.setting("evaluation.level")
    folders, cosine_labelled = manifest["folder"].to_numpy(), by_cosines(trace, schema)
    silver = silver_table(
        measured.drop(columns="image_id"),
        schema,
        None if len(cosine_labelled) == len(schema.names) else folders,
        logit_scale=trace.setting("labelling.temperature"),
        thresholds=given_thresholds(trace, cosine_labelled),
    )
    truth = known_labels(manifest, schema)
    trace.write_table("tables/coverage.csv", coverage_table(silver, schema, truth, level=level))
    trace.write_table("tables/abstention.csv", abstention_table(silver, schema, folders, level=level))
    silver.insert(0, "image_id", manifest["image_id"].to_numpy())
    trace.write_table("silver.parquet", silver)


def known_labels(manifest: pd.DataFrame, schema: Schema) -> pd.DataFrame | None:
    """Known labels under the attributes' own names, or None where the data has none."""
    columns = {f"true_{name}": name for name in schema.names}
    return manifest[list(columns)].rename(columns=columns) if set(columns) <= set(manifest) else None


def simulate_audit(trace: Trace) -> None:
    """An audit of the test split by a simulated auditor, who errs at a stated rate."""
    manifest, schema = trace.table("manifest.parquet"), classes_and_prompts(trace)
    test = manifest[manifest["split"] == "test"].reset_index(drop=True)
    rng, error = trace.rng("audit sample"), trace.setting("labelling.auditor_error")
    rows, weight = draw_sample(test["folder"].to_numpy(), trace.setting("labelling.audit_per_fabric"), rng)
    judged = test.iloc[rows]
    sheet = pd.DataFrame({"image_id": judged["image_id"], "annotator": f"{SIMULATED}, {error:.0%} error"})
    sheet = sheet.assign(stratum=judged["folder"], weight=weight)
    codes = schema.encode(known_labels(judged, schema), "known truth")
    for a in schema:
        wrong = (1 - np.eye(len(a))[codes[a.name]]) / (len(a) - 1)
        seen = np.where(rng.random(len(judged)) < error, draw_rows(wrong, rng), codes[a.name])
        sheet[a.name] = None if a.labelled_by == "folder" else np.array(a.classes)[seen]
    trace.write_table("audit.csv", sheet)


def read_audit(trace: Trace) -> None:
    """A person's audit file → the audit of TextileNet's test split."""
    manifest = trace.table("manifest.parquet")
    test = manifest.loc[manifest["split"] == "test", "image_id"].tolist()
    path = Path(trace.setting("labelling.audit"))
    sheet = read_sheet(path, test, textilenet_root(trace), classes_and_prompts(trace))
    trace.write_table("audit.csv", with_design(sheet.judged, len(test)))
    trace.write_table("tables/audit_answers.csv", sheet.answers)
