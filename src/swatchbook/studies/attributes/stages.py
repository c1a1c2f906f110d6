"""The stages of the attributes study, in the order of its story."""

from __future__ import annotations

from swatchbook.pipeline.stage import Stage
from swatchbook.studies.attributes.settings import Config
from swatchbook.studies.common_stages import (
    DATA,
    LABELLER,
    LABELLING,
    PHOTOGRAPHS,
    labeller_stage,
    listed_photographs,
)
from swatchbook.studies.figures import figure

HERE = "swatchbook.studies.attributes"
# What the rooms of the functions rest on.
DRAWN = ("drawn",)
PIXELS = tuple(f"data/{name}.py" for name in ("pixels", "decoding", "images", "strict_csv"))
LABELS = ("studies/attributes/labels.py", *LABELLER)
TABLES = (
    "data",
    "evaluation",
    "drawn/latent.py",
    "drawn/worlds.py",
    "names.py",
    "report/wording.py",
    *(f"studies/attributes/{name}.py" for name in ("claims", "curation", "facts", "printed", "labels")),
)
TRAINING = (
    "models",
    "labeller/__init__.py",
    "evaluation/resample.py",
    "evaluation/intervals.py",
    "evaluation/scores.py",
    "studies/labelling.py",
    "studies/source.py",
    "studies/training.py",
    *PIXELS,
)


def stages(config: Config) -> tuple[Stage, ...]:
    """The stages of a run.

    Args:
        config: ``data`` decides where labels and predictions come from; what follows is the same.
    """
    sources = {"published": _published, "drawn": _drawn, "textilenet": _textilenet, "folder": _folder}
    before, labelled = sources[config.data](config), config.data != "published"
    tables = _tables(config)
    produced = {artefact for stage in (*before, *tables) for artefact in stage.produces}
    drawn = _figures(config) if config.train else ()
    figures = [stage for stage in drawn if set(stage.needs) <= produced]
    return (*before, *tables, *figures, *(_shown(config) if labelled else ()))


# ---- from where labels and predictions come ---------------------------------------------------------


def _published(_: Config) -> tuple[Stage, ...]:
    exports = (
        "manifest.parquet",
        "silver.parquet",
        "predictions/",
        "audit.csv",
        "sample20.csv",
        "tables/printed.csv",
    )
    return (
        Stage(
            "published exports",
            exports,
            f"{HERE}.published:read_published",
            code=("data",),
            outside=f"{HERE}.published:published_files",
        ),
    )


_LISTED = ("manifest.parquet", "tables/dropped.csv", "tables/quarantine.csv")


def _drawn(config: Config) -> tuple[Stage, ...]:
    return (
        Stage(
            "drawn images",
            ("images/truth.csv", "images/world.json"),
            f"{HERE}.images:draw_images",
            code=(*DRAWN, *DATA),
            outside=f"{LABELLING}:classes_content",
        ),
        Stage(
            "manifest",
            _LISTED,
            f"{HERE}.images:drawn_manifest",
            code=DATA,
            outside=f"{HERE}.images:drawn_content",
        ),
        *_from_manifest(config),
        Stage(
            "simulated audit",
            ("audit.csv",),
            f"{HERE}.labels:simulate_audit",
            code=("audit", "data", "drawn/latent.py", "evaluation", *LABELLER),
            outside=f"{LABELLING}:classes_content",
        ),
        *_trainings(config),
    )


def _textilenet(config: Config) -> tuple[Stage, ...]:
    return (
        Stage(
            "manifest",
            _LISTED,
            f"{HERE}.images:textilenet_manifest",
            code=DATA,
            outside=f"{HERE}.images:textilenet_content",
        ),
        *_from_manifest(config),
        *(
            [
                Stage(
                    "audit sheet",
                    ("audit.csv", "tables/audit_answers.csv"),
                    f"{HERE}.labels:read_audit",
                    code=("audit", *DATA, "studies/attributes/images.py", "studies/photographs.py"),
                    outside=f"{PHOTOGRAPHS}:audit_content",
                )
            ]
            if config.labelling.audit
            else []
        ),
        *_trainings(config),
    )


def _from_manifest(_: Config) -> tuple[Stage, ...]:
    listing = {"listing": "manifest.parquet"}
    return (
        Stage("pixels", ("pixels.npy",), f"{HERE}.images:decode", code=DATA, arguments=listing),
        Stage(
            "duplicates",
            ("tables/duplicates.csv", "tables/copies_left_out.csv"),
            f"{HERE}.images:list_copies",
            code=DATA,
        ),
        *_labels(listing),
    )


def _labels(listing: dict[str, object]) -> tuple[Stage, ...]:
    return (
        Stage(
            "cosines",
            ("cosines.parquet",),
            f"{HERE}.labels:cosines",
            code=LABELLER,
            arguments=listing,
            outside=f"{LABELLING}:prompts_content",
        ),
        Stage(
            "silver labels",
            ("silver.parquet", "tables/coverage.csv", "tables/abstention.csv"),
            f"{HERE}.labels:label",
            code=LABELLER,
            outside=f"{LABELLING}:thresholds_content",
        ),
    )


def _folder(config: Config) -> tuple[Stage, ...]:
    audited = config.labelling.audit is not None
    listing: dict[str, object] = {"listing": "listing.parquet"}
    return (
        *listed_photographs(audited),
        Stage("pixels", ("pixels.npy",), f"{HERE}.images:decode", code=DATA, arguments=listing),
        Stage(
            "split",
            ("manifest.parquet", "tables/duplicates.csv", *(("audit.csv",) if audited else ())),
            f"{HERE}.folder:split_photographs",
            code=("data", "audit"),
        ),
        *_labels(listing),
        Stage(
            "attributes asked",
            ("tables/asked.csv",),
            f"{HERE}.folder:list_asked",
            code=("labeller", "data", "studies/source.py"),
            outside=f"{HERE}.folder:asked_content",
        ),
        Stage(
            "notes",
            ("tables/notes.csv",),
            f"{HERE}.folder:take_notes",
            code=("audit", "data"),
        ),
        Stage(
            "contact sheet",
            ("report/sheet.html",),
            f"{HERE}.folder:write_sheet",
            code=("report", "evaluation", "names.py", "data", "csv_io.js"),
        ),
        *(_trainings(config) if config.train else ()),
    )


def _trainings(config: Config) -> tuple[Stage, ...]:
    return tuple(
        Stage(
            f"training {name}",
            (f"predictions/{name}.parquet", f"models/{name}/"),
            f"{HERE}.training:train_and_predict",
            code=TRAINING,
            arguments={"role": role},
            outside=f"{HERE}.training:backbone_content",
        )
        for role, name in (("model", config.model), ("baseline", config.baseline))
    )


# ---- tables and figures -----------------------------------------------------------------------------


def _tables(config: Config) -> tuple[Stage, ...]:
    made: dict[str, tuple[str, ...]] = {"score": ("scores", "confusion")} if config.train else {}
    made |= {"audit": ("audit", "agreement")} if config.audited else {}
    if config.train:
        made |= {"power": ("power",)} if config.audited else {}
        known = {"truth": ("truth", "three_columns", "rectified")}
        made |= known if config.audited else {"unaudited": ("rectified",)}
        made |= {
            "coupling": ("coupling",),
            "coupling_detail": ("cells", "collapse", "selection"),
            "comparison": ("comparison",),
        }
    if config.data != "folder":  # its folders are no fabrics
        numbers = ("numbers",) if config.data == "published" else ()
        made |= {"curation": ("curation", "name_clashes"), "claims": (*numbers, "claims")}
    if config.data == "drawn":
        made["known"] = ("known",)
    called = {"score": "scores", "power": "audit power", "unaudited": "truth, not audited",
              "coupling_detail": "coupling in detail", "known": "known truth"}  # fmt: skip
    arguments = {"truth": {"judge": config.judge}}
    return tuple(
        Stage(
            called.get(function, function),
            tuple(f"tables/{name}.csv" for name in names),
            f"{HERE}.tables:{function}",
            code=TABLES,
            arguments=arguments.get(function, {}),
        )
        for function, names in made.items()
    )


def _figures(config: Config) -> tuple[Stage, ...]:
    return (
        figure("f1_by_head", "scores", "figures_scores:f1_by_head"),
        figure("f1_by_class", "scores", "figures_scores:f1_by_class"),
        figure("backbone_dumbbell", "scores", "figures_scores:backbone_dumbbell"),
        figure("backbone_gaps", "comparison", "figures_scores:backbone_gaps", judge=config.judge),
        figure("audit_scores", "audit", "figures_audit:audit_scores", judge=config.judge),
        figure("audit_power", "power", "figures_audit:audit_power", judge=config.judge),
        figure("truth", "truth", "figures_audit:truth", judge=config.judge),
        figure("coupling_matrix", "coupling", "figures_coupling:coupling_matrix"),
        figure("coupling_deltas", "coupling", "figures_coupling:coupling_deltas"),
        figure("residuals_material_texture", "cells", "figures_coupling:residuals"),
        figure("prior_collapse", "collapse", "figures_collapse:prior_collapse"),
        figure("v_by_selection", "selection", "figures_collapse:v_by_selection"),
        *(
            figure(f"confusion_{model}", "confusion", "figures_confusion:confusion", model=model)
            for model in config.models
        ),
    )


def _shown(config: Config) -> tuple[Stage, ...]:
    """The stages that show labels, trainings and images; they come after those that make them."""
    coverage = figure("label_coverage", "coverage", "figures_labels:label_coverage")
    if not config.train:
        return (coverage,)
    return (
        labeller_stage(),
        Stage(
            "confidence",
            ("tables/confidence.csv",),
            f"{HERE}.grids:confidence",
            code=("evaluation", *LABELS),
            outside=f"{LABELLING}:thresholds_content",
        ),
        coverage,
        figure("label_confidence", "confidence", "figures_labels:label_confidence"),
        figure("abstention_by_folder", "abstention", "figures_labels:abstention_by_folder"),
        *_shown_of_models(),
    )


def _shown_of_models() -> tuple[Stage, ...]:
    """The stages that show trainings, and images with what a model says of them."""
    pictures = "grids/pictures.npy"
    return (
        Stage("histories", ("tables/history.csv",), f"{HERE}.grids:history", code=("evaluation/history.py",)),
        Stage(
            "grids",
            ("tables/grid.csv", pictures),
            f"{HERE}.grids:grids",
            code=("evaluation/grids.py", *LABELS),
        ),
        Stage(
            "explanations",
            ("tables/occlusion.csv", "grids/seen.npy"),
            f"{HERE}.grids:explanations",
            code=("evaluation/grids.py", *TRAINING),
        ),
        figure("training_curves", "history", "figures_training:training_curves"),
        *(
            figure(f"grid_{rule}", "grid", "figures_grids:grid", pictures=pictures, rule=rule)
            for rule in ("random", "most_confident", "most_wrong", "abstained")
        ),
        figure("grid_by_pair", "grid", "figures_grids:grid_by_pair", pictures=pictures),
        figure("grid_occlusion", "occlusion", "figures_grids:grid_occlusion", pictures="grids/seen.npy"),
    )
