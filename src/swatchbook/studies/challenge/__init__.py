"""The challenge study: six attributes of a garment, both published systems and ours, measured alike."""

from __future__ import annotations

from swatchbook.labeller import TOWER
from swatchbook.pipeline.spec import Profile, Spec
from swatchbook.schema import Schema
from swatchbook.studies.challenge.settings import Config
from swatchbook.studies.challenge.stages import stages
from swatchbook.studies.challenge.systems import OURS, SYSTEMS

# What runs on two cores without a network: small networks from random weights; the labeller's image tower.
LAPTOP: dict[str, object] = {
    "networks.resnet50": "reduced_resnet",
    "networks.se_resnet50": "reduced_se_resnet",
    "networks.se_resnext50": "reduced_se_resnext",
    "networks.vit": "test_vit",
    "networks.vit_in21k": "test_vit",
    "networks.vit_in1k": "test_vit",
    "networks.ours": (TOWER,),
    "networks.probe": TOWER,
    "networks.pretrained": False,
    "drawn.n_train": 1000,
    "side": 96,
    "cut": 200,
    "limits.image_size": 64,
    "limits.epochs": 5,
    "limits.rate": 2e-3,
    "limits.ema": 0.95,
}
SMALL = (
    "resnet50_0fc", "se_resnet50_0fc", "se_resnext50_0fc", "se_resnet50_2fc", "se_resnet50_4fc",
    "se_resnet50_ce", "se_resnet50_weighted", "se_resnet50_no_flip", "se_resnet50_whole", "vit", "vit_k_all",
    "vit_linear", "vit_mended",
)  # fmt: skip
ALL = tuple(name for name, system in SYSTEMS.items() if system.whose != OURS)
SOURCE = {"source": "source"}

RESULTS = {
    "manifest": ("manifest.parquet", "A row an image: `image_id, path, split`, six groups, box, landmarks."),
    "challenge_counts": ("tables/challenge_counts.csv", "Images of each class by split."),
    "challenge_duplicates": ("tables/challenge_duplicates.csv", "Copies among the images, and their labels."),
    "challenge_answers": ("answers.parquet", "Every model's answers on validation and test images."),
    "challenge_points": ("tables/challenge_points.csv", "Scores at each strength of logit adjustment."),
    "challenge_val_predictions": ("tables/challenge_val_predictions.csv", "Ours, image by image."),
    "challenge_scores": ("tables/challenge_scores.csv", "Scores by model, group and class, on validation."),
    "challenge_differences": ("tables/challenge_differences.csv", "Paired differences of models."),
    "challenge_confusion": ("tables/challenge_confusion.csv", "What each class is taken for by ours."),
    "challenge_known": ("tables/challenge_known.csv", "Scores beside those on many drawn images."),
    "challenge_agreement": ("tables/challenge_agreement.csv", "Agreement with others' submissions."),
    "challenge_history": ("tables/challenge_history.csv", "Every training, epoch by epoch."),
    "challenge_curves": ("tables/challenge_curves.csv", "Learning curves by group beside published ones."),
    "challenge_systems": ("tables/challenge_systems.csv", "What was trained, on what, for how long."),
    "challenge_claims": ("tables/challenge_claims.csv", "The documents' claims, each with a verdict."),
}


def schema(config: Config) -> Schema:
    """What a run asks of an image."""
    return Schema.load(config.schema)


STUDY = Spec(
    name="challenge",
    config=Config,
    profiles={
        "challenge": Profile(
            "Six attribute heads: both published systems in small, and ours; a drawn set, or --source.",
            {**LAPTOP, "systems": SMALL},
            ("07",),
            SOURCE,
            takes="about a quarter of an hour on two cores",
        ),
        "challenge-best": Profile(
            "Our recipe on the challenge's photographs (--source), with backbones that install by pip.",
            {},
            ("07",),
            SOURCE,
            required=("source",),
        ),
        "challenge-paper": Profile(
            "Both published systems as published, and ours, on the challenge's photographs, on a GPU.",
            {"systems": ALL},
            ("07",),
            SOURCE,
            required=("source",),
        ),
    },
    stages=stages,
    results=RESULTS,
    schema=schema,
    report="swatchbook.studies.challenge.report:content",
    report_code=("studies/challenge", "studies/documents.py", "evaluation", "names.py"),
    private=("source", "submissions"),
)
