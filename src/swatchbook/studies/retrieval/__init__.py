"""The retrieval study: images and texts in one space, with category and attributes on top of it."""

from __future__ import annotations

from swatchbook.labeller import TOWER
from swatchbook.pipeline.spec import Profile, Spec
from swatchbook.schema import Schema
from swatchbook.studies.retrieval.settings import Config
from swatchbook.studies.retrieval.stages import stages

# What runs on two cores without a network: the labeller's image tower and a small BERT from random weights.
LAPTOP: dict[str, object] = {
    "networks.image": TOWER,
    "networks.paper_image": TOWER,
    "networks.text": "small_bert",
    "networks.embed": 128,
    "systems": (
        "ours", "ours_frozen", "ours_tuned", "ours_kept", "ours_direct", "ours_short", "ours_random", "card",
        "card_tuned",
    ),
    "side": 96,
    "limits.image_size": 64,
    "limits.epochs": 8,
    "limits.task_epochs": 3,
    "limits.batch": 64,
    "limits.rate": 2e-3,
    "limits.ema": 0.95,
    "limits.tokens": 64,
}  # fmt: skip
# Real photographs on two cores, with weights that install by pip.
PIP: dict[str, object] = {
    "networks.image": "efficientnet_lite0",
    "networks.text": "minilm",
    "networks.embed": 256,
    "systems": ("ours", "ours_frozen", "ours_kept"),
    "side": 128,
    "limits.image_size": 128,
    "limits.epochs": 12,
    "limits.task_epochs": 6,
    "limits.text_blocks": 1,
    "limits.tokens": 64,
}
PAPER: dict[str, object] = {
    "systems": ("card", "card_tuned", "paper", "paper_frozen"),
    "limits.micro_batch": 128,
}
SOURCE = {"source": "source"}

RESULTS = {
    "manifest": ("manifest.parquet", "A row an image: `image_id, path, item, caption`, labels, both splits."),
    "retrieval_counts": (
        "tables/retrieval_counts.csv",
        "Images, items and captions of the parts of both splits.",
    ),
    "retrieval_problems": ("tables/retrieval_problems.csv", "What was left out, and why."),
    "retrieval_systems": ("tables/retrieval_systems.csv", "What was trained, on what, for how long."),
    "retrieval_strengths": (
        "tables/retrieval_strengths.csv",
        "Logit adjustment of each attribute's answers, chosen on the validation images.",
    ),
    "retrieval_history": ("tables/retrieval_history.csv", "Every training, epoch by epoch."),
    "retrieval_ranks": ("tables/retrieval_ranks.csv", "The rank of each query's own pair."),
    "retrieval_scores": ("tables/retrieval_scores.csv", "Retrieval, category and attributes of every model."),
    "retrieval_curves": ("tables/retrieval_curves.csv", "Recall at k, for many k."),
    "retrieval_differences": ("tables/retrieval_differences.csv", "Paired differences of models and stages."),
    "retrieval_known": ("tables/retrieval_known.csv", "Scores beside those on many other drawn images."),
    "retrieval_published": ("tables/retrieval_published.csv", "Published numbers beside ours."),
    "retrieval_gallery": ("tables/retrieval_gallery.csv", "Queries by a stated rule, and what they find."),
    "retrieval_map": ("tables/retrieval_map.csv", "The test images in two dimensions."),
    "retrieval_claims": ("tables/retrieval_claims.csv", "The document's claims, each with a verdict."),
}


def schema(config: Config) -> Schema:
    """What a run asks of an image."""
    return Schema.load(config.schema)


STUDY = Spec(
    name="retrieval",
    config=Config,
    profiles={
        "retrieval": Profile(
            "A dual encoder of images and texts, with attributes: the published one in small, and "
            "ours; drawn, "
            "or --source.",
            LAPTOP,
            ("08",),
            SOURCE,
            takes="about five minutes on two cores",
        ),
        "retrieval-best": Profile(
            "Our dual encoder on real photographs (--source), with encoders that install by pip.",
            PIP,
            ("08",),
            SOURCE,
            required=("source",),
        ),
        "retrieval-paper": Profile(
            "The published dual encoder as its card and its paper have it, on real photographs, on a GPU.",
            PAPER,
            ("08",),
            SOURCE,
            required=("source",),
        ),
    },
    stages=stages,
    results=RESULTS,
    schema=schema,
    report="swatchbook.studies.retrieval.report:content",
    report_code=("studies/retrieval", "studies/documents.py", "evaluation", "names.py"),
)
