"""The steps of the study: each reads artefacts, calls one room of the package, writes artefacts.

`stages_of` gives a profile's steps. A step's function is short on purpose: what it computes lives in
`data`, `labels`, `models`, `evaluation` or `report`; what it read and wrote is noted by the `Trace` it is
handed.
"""

from __future__ import annotations

from swatchbook.pipeline.stage import Stage
from swatchbook.studies.attributes.figures import figure_stage, figures_of
from swatchbook.studies.attributes.folder import folder_stages
from swatchbook.studies.attributes.grids import grid_stages
from swatchbook.studies.attributes.making import FILE_AUDIT, SIMULATED_AUDIT, know, making_stages
from swatchbook.studies.attributes.published import published_files, read_published
from swatchbook.studies.attributes.tables import (
    audit,
    claims,
    comparison,
    coupling,
    coupling_detail,
    curation,
    is_audited,
    power,
    score,
    truth,
    unaudited,
)
from swatchbook.studies.attributes.training import training_stages
from swatchbook.studies.config import Config
from swatchbook.studies.labeller import labeller_stages


def stages_of(config: Config) -> tuple[Stage, ...]:
    """The steps of a run, in the order of the story.

    Args:
        config: Its profile decides where labels and predictions come from; the rest is the same.
    """
    if config.profile == "labeller":  # no model is trained, so nothing that tells of models
        return labeller_stages(config)
    models = (config.model, config.baseline)
    from_file = FILE_AUDIT if config.labelling.audit else None
    exports = (
        "manifest.parquet",
        "silver.parquet",
        "predictions/",
        "audit.csv",
        "sample20.csv",
        "tables/printed.csv",
    )
    first = {
        "published": lambda: (Stage("published exports", exports, read_published, published_files),),
        "demo": lambda: (*making_stages("drawn", SIMULATED_AUDIT), *training_stages(models)),
        "paper": lambda: (*making_stages("textilenet", from_file), *training_stages(models)),
        "best": lambda: (*making_stages("textilenet", from_file), *training_stages(models)),
        "folder": lambda: folder_stages(config),
    }
    tells = ("numbers", "claims") if config.profile == "published" else ("claims",)
    known = {"demo": {"known truth": (know, "known")}}.get(config.profile, {})
    judged = {
        "audit": (audit, "audit", "agreement"),
        "audit power": (power, "power"),
        "truth": (truth, "truth", "three_columns", "rectified"),
    }
    nobody = {"truth, not audited": (unaudited, "rectified")}
    told = {"curation": (curation, "curation", "name_clashes"), "claims": (claims, *tells)}
    by_fabric = config.profile != "folder"
    tables = {
        "scores": (score, "scores", "confusion"),
        **(judged if is_audited(config.profile, config.labelling.audit) else nobody),
        "coupling": (coupling, "coupling"),
        "coupling in detail": (coupling_detail, "cells", "collapse", "selection"),
        "comparison": (comparison, "comparison"),
        **(told if by_fabric else {}),
        **known,
    }
    produced = {name for _, *names in tables.values() for name in names}
    judge = "simulated auditor" if config.profile == "demo" else "human auditor"
    figures = {name: spec for name, spec in figures_of(models, judge).items() if spec.table in produced}
    return (
        *first[config.profile](),
        *(Stage(name, tuple(f"tables/{t}.csv" for t in made), f) for name, (f, *made) in tables.items()),
        *(figure_stage(name, spec) for name, spec in figures.items()),
        *(grid_stages() if config.profile != "published" else ()),
    )
