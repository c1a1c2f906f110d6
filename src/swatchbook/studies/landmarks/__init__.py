"""The landmarks study: do landmarks help category and attributes, all else being equal?"""

from __future__ import annotations

from swatchbook.labeller import TOWER
from swatchbook.pipeline.spec import Profile, Spec
from swatchbook.schema import Schema
from swatchbook.studies.landmarks.settings import Config
from swatchbook.studies.landmarks.stages import stages

# Small heat-maps from small views, fitted as distributions; one cycle of the rates, no jitter, no crops.
SMALL: dict[str, object] = {
    "side": 64,
    "design.stride": 8,
    "design.localisation": "thesis",
    "design.upsamplings": 1,
    "design.norm": True,
    "design.shape": "gaussian",
    "design.radius": 0.05,
    "design.fit": "distribution",
    "design.flatten": False,
    "design.width": 128,
    "training.image_size": 64,
    "training.flip": 0.5,
    "training.epochs": 2,
    "training.warmup_epochs": 0.2,
    "training.schedule": "cosine",
    "training.optimizer": "adamw",
    "training.weight_decay": 0.02,
    "training.decay_all": False,
    "training.clip": 1000.0,
}
# What runs on two cores without a network: the labeller's image tower, drawn garments.
LAPTOP: dict[str, object] = {
    **SMALL,
    "backbone": TOWER,
    "training.train_blocks": 4,
    "training.batch": 16,
    "training.backbone_lr": 8e-3,
    "training.head_lr": 8e-3,
    "loss_weights": (1.0, 5.0, 20.0),
}
# The rehearsal on the challenge's photographs: weights that install by pip, lower blocks frozen.
BEST: dict[str, object] = {
    **SMALL,
    "benchmark": "challenge",
    "backbone": "efficientnet_lite0",
    "training.train_blocks": 12,  # the last ones below the landmarks' features, too
    "training.batch": 32,
    "training.backbone_lr": 1e-3,
    "training.head_lr": 5e-3,
    "training.loss": "smooth",
    "training.smoothing": 0.05,
    "training.flip_test": True,
    "loss_weights": (1.0, 5.0, 5.0),
}
SOURCE = {"source": "source"}

RESULTS = {
    "manifest": ("manifest.parquet", "A row an image: `image_id, path, split`, labels, box, landmarks."),
    "landmark_counts": ("tables/landmark_counts.csv", "Images of each label and of each point by split."),
    "landmark_scores": ("tables/landmark_scores.csv", "Every statistic of every training, and over seeds."),
    "landmark_differences": ("tables/landmark_differences.csv", "Each system less MTL and less CAT, paired."),
    "landmark_known": ("tables/landmark_known.csv", "Scores beside those on other drawn images."),
    "landmark_history": ("tables/landmark_history.csv", "Every training, epoch by epoch."),
    "landmark_systems": ("tables/landmark_systems.csv", "What was trained, on what, for how long."),
    "landmark_predictions": ("tables/landmark_predictions.csv", "Points and answers, image by image."),
    "landmark_overlays": ("tables/landmark_overlays.csv", "Points of the images that are shown."),
    "landmark_attention": ("tables/landmark_attention.csv", "Attention on some of these images."),
    "landmark_claims": ("tables/landmark_claims.csv", "The thesis' claims, each with a verdict."),
}


def schema(config: Config) -> Schema:
    """What a run asks of an image is read with the data set's lists; see `images.schema_of`."""
    return Schema(f"landmarks, {config.benchmark}", ())


STUDY = Spec(
    name="landmarks",
    config=Config,
    profiles={
        "landmarks": Profile(
            "Landmarks, category, attributes: the thesis' network against fair controls; drawn, or --source.",
            LAPTOP,
            ("09",),
            SOURCE,
            takes="about four minutes on two cores",
        ),
        "landmarks-best": Profile(
            "The same on the challenge's photographs (--source): six groups, weights that install by pip.",
            BEST,
            ("09",),
            SOURCE,
            required=("source",),
        ),
        "landmarks-paper": Profile(
            "The published network, VGG-16, on DeepFashion's benchmark (--source), on a GPU.",
            {},
            ("09",),
            SOURCE,
            required=("source",),
        ),
    },
    stages=stages,
    results=RESULTS,
    schema=schema,
    report="swatchbook.studies.landmarks.report:content",
    report_code=("studies/landmarks", "studies/documents.py", "evaluation", "names.py"),
)
