"""Steps that studies share where a labeller labels: cosines, the labeller, and what they depend on."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import pandas as pd

from swatchbook.labeller import folder_of
from swatchbook.pipeline.stage import Trace
from swatchbook.schema import Schema
from swatchbook.store import sha256
from swatchbook.studies.source import digest, file_digest


def classes_and_prompts(trace: Trace) -> Schema:
    """The schema, for steps on which no threshold bears; `classes_content` or `prompts_content` watch it.

    Thresholds can then change without an image being drawn, read, or encoded again.
    """
    for key in ("schema", "material_map"):
        trace.setting(key)
    return trace.asked


def classes_content(trace: Trace) -> dict[str, str]:
    """What a step depends on that knows the schema's classes and folders only."""
    schema = classes_and_prompts(trace)
    return {"classes": digest([(a.name, a.classes, a.labelled_by) for a in schema], dict(schema.folders))}


def prompts_content(trace: Trace, **_: object) -> dict[str, str]:
    """What cosines depend on beside the images: every class's prompts, and the labeller's files."""
    schema, labeller = classes_and_prompts(trace), trace.setting("labelling.labeller")
    texts = [(a.name, label, a.prompts(label)) for a in schema for label in a.classes]
    hashes = {"prompts": digest(texts)}
    if folder := folder_of(labeller):  # of the Hub's the name pins a commit
        # Neither its card nor how right it was found to be changes what it says of an image.
        files = sorted(p for p in folder.glob("*") if p.is_file() and p.suffix not in (".md", ".csv"))
        hashes["labeller"] = digest([(p.name, sha256(p)) for p in files])
    return hashes


def thresholds_content(trace: Trace) -> dict[str, str]:
    """Content of the file of thresholds, where one is given."""
    path = trace.location("labelling.thresholds")
    return {} if path is None else {"thresholds": file_digest(path)}


def given_thresholds(trace: Trace, attributes: Sequence[str]) -> dict[str, float]:
    """Thresholds in place of the schema's, of those attributes that the file names; none without a file."""
    from swatchbook.labeller.thresholds import read_thresholds

    path = trace.location("labelling.thresholds")
    return {} if path is None else read_thresholds(path, attributes)


def write_cosines(trace: Trace, listed: pd.DataFrame) -> None:
    """Cosines of the listed images (`image_id, path`) with every class's prompts."""
    from swatchbook.labeller.cosines import cosine_table
    from swatchbook.labeller.zero_shot import Labeller

    labeller = Labeller.load(trace.setting("labelling.labeller"))
    shards = trace.folder("cosines")
    cosines, _ = cosine_table(labeller, listed["path"].tolist(), classes_and_prompts(trace), shards)
    cosines.insert(0, "image_id", listed["image_id"].to_numpy())
    trace.write_table("cosines.parquet", cosines)
    shutil.rmtree(shards)


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
