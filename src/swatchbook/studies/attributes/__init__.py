"""The attributes study: colour, pattern, material and texture off one photograph, and how far to trust it."""

from __future__ import annotations

from swatchbook.labeller import TOWER
from swatchbook.labeller.measured import asked_of
from swatchbook.pipeline.spec import Profile, Spec
from swatchbook.schema import Schema
from swatchbook.studies.attributes.settings import Config
from swatchbook.studies.attributes.stages import stages

# What runs on two cores without a network: the labeller in the box, and one small network twice, started from
# the image tower of a labeller of drawings and from scratch.
LAPTOP: dict[str, object] = {
    "model": "tower",
    "baseline": "scratch",
    "labelling.labeller": "bundled",
    "backbones.model": TOWER,
    "backbones.baseline": TOWER,
    "backbones.baseline_pretrained": False,
    "training.image_size": 96,
    "training.epochs": 15,
    "training.backbone_lr": 2e-3,
    "training.head_lr": 2e-3,
}
ARCHIVE = {"source": "source", "audit": "labelling.audit"}
# Eight epochs of batches of half the size are as many steps as fifteen, in half the time. Drawings are
# labelled by the labeller that knows nothing else.
DEMO: dict[str, object] = {
    "labelling.labeller": "drawn-only",
    "training.batch": 32,
    "training.epochs": 8,
    "training.warmup_epochs": 1,
}
STORY = ("01", "02", "03", "04", "05", "06")

RESULTS = {
    "manifest": ("manifest.parquet", "A row an image: `image_id, path, folder, split`."),
    "silver": ("silver.parquet", "Silver labels of the test images; null where the labeller abstained."),
    "audit_sheet": ("audit.csv", "What was judged: a row an image and annotator, with its weight."),
    "scores": ("tables/scores.csv", "Scores against silver labels, by model, head and class."),
    "confusion": ("tables/confusion.csv", "Confusion counts and shares by model and head."),
    "audit": ("tables/audit.csv", "Silver labels against the audit."),
    "power": ("tables/power.csv", "How wide the audit's intervals would be at other sizes."),
    "agreement": ("tables/agreement.csv", "Agreement between annotators, where there are two."),
    "truth": ("tables/truth.csv", "Models and silver labels against the audit, by several estimators."),
    "three_columns": ("tables/three_columns.csv", "Scores against silver, against the audit, and bounds."),
    "rectified": ("tables/rectified.csv", "Cramér's V of the truth behind the silver labels."),
    "coupling": ("tables/coupling.csv", "Cramér's V of every pair, its nulls, intervals and verdicts."),
    "cells": ("tables/cells.csv", "The cells of every pair's table: residuals and shares."),
    "collapse": ("tables/collapse.csv", "How predicted class frequencies differ from the reference's."),
    "selection": ("tables/selection.csv", "Cramér's V against which images are kept."),
    "comparison": ("tables/comparison.csv", "The two models on identical images."),
    "curation": ("tables/curation.csv", "Counts of the data, file names, and the images picked for show."),
    "name_clashes": ("tables/name_clashes.csv", "File names that occur more than once."),
    "numbers": ("tables/numbers.csv", "Every printed number beside ours."),
    "claims": ("tables/claims.csv", "Each printed claim with a verdict and one sentence."),
    "dropped": ("tables/dropped.csv", "Fabrics that were left out, with reasons."),
    "quarantine": ("tables/quarantine.csv", "Images that could not be used, with reasons."),
    "notes": ("tables/notes.csv", "What a reader must know of the run."),
    "asked": ("tables/asked.csv", "What is labelled, and how right the labeller is on photographs."),
    "labeller": ("tables/labeller.csv", "Which labeller gave the labels, and its own scale."),
    "coverage": ("tables/coverage.csv", "How much was labelled, with what, and how surely."),
    "confidence": ("tables/confidence.csv", "The labeller's confidence against being right."),
    "abstention": ("tables/abstention.csv", "Share of each folder's images without a label."),
    "history": ("tables/history.csv", "Both trainings, epoch by epoch."),
    "grid": ("tables/grid.csv", "Images of the grids: which rule chose each, and the answers about it."),
    "occlusion": ("tables/occlusion.csv", "How far covering a patch lowers each answer's probability."),
    "known": ("tables/known.csv", "Every estimator beside the known truth."),
}


def schema(config: Config) -> Schema:
    """What a run asks of an image."""
    whole = Schema.load(config.schema, config.material_map)
    if config.data != "folder":
        return whole
    return asked_of(whole, config.labelling.labeller, config.attributes).schema


def aliases(config: Config) -> dict[str, str]:
    """The models' figures by their roles."""
    return {
        "confusion_model": f"confusion_{config.model}",
        "confusion_baseline": f"confusion_{config.baseline}",
    }


STUDY = Spec(
    name="attributes",
    config=Config,
    profiles={
        "published": Profile(
            "The published study's own predictions and audit, analysed again (no images, no GPU).",
            {"data": "published"},
            ("02", "04", "05"),
            {"source": "source"},
            takes="about a minute on two cores",
        ),
        "demo": Profile(
            "Garments drawn with known attributes: labelled, audited and trained on, without network or GPU.",
            {"data": "drawn", **LAPTOP, **DEMO, "subset.floor": 10},
            STORY,
            takes="about four minutes on two cores",
        ),
        "folder": Profile(
            "Your own photographs (--images DIR): labelled, audited (--audit FILE), trained on (--train).",
            {"data": "folder", "schema": "wardrobe", "train": False, **LAPTOP},
            ("01", "03", "06"),
            {"images": "source", "source": "source", "audit": "labelling.audit", "train": "train"},
            required=("images",),
            takes="minutes to an hour on two cores, by how many photographs there are",
        ),
        "paper": Profile(
            "TextileNet (--source), FashionSigLIP's labels, DINOv2 and ResNet-50: as published, on a GPU.",
            {"data": "textilenet"},
            STORY,
            ARCHIVE,
        ),
        # Weights by inverse frequency lend noise in rare classes more weight; GCE is robust to it.
        "best": Profile(
            "The paper's data and models, with GCE and no class weights: our choice, not measured yet.",
            {"data": "textilenet", "training.loss": "gce"},
            STORY,
            ARCHIVE,
        ),
    },
    stages=stages,
    results=RESULTS,
    schema=schema,
    report="swatchbook.studies.attributes.report:content",
    report_code=("studies/attributes", "studies/figures.py", "evaluation", "names.py", "data"),
    aliases=aliases,
    private=("source", "labelling.audit", "labelling.thresholds"),
)
