"""The systems of the retrieval study: the published dual encoder in both of its descriptions, and ours.

A system is one training: pairs alone (the first stage), or category and attributes on top of a first stage.
Recipes are departures from the defaults of `models.recipe.Recipe`. Where the documents are silent, we decide;
the comments say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from swatchbook.models.recipe import Recipe
from swatchbook.schema import Schema

ITEM, RANDOM = "item", "random"  # how images are split
SPLITS = {ITEM: "split", RANDOM: "random_split"}  # → the column of the manifest


@dataclass(frozen=True)
class System:
    """What is trained, and on what.

    Attributes:
        model: Name of the model; its stages share it.
        stage: Name of the training.
        what: In a few words, how it differs from its neighbours.
        recipe: Setting of the recipe → value.
        image: The setting of `settings.Networks` that names the image tower.
        tokens: Tokens of a caption; None: the run's.
        learn_scale: Whether the scale of cosines is learnt.
        heads: Whether category and attributes are learnt.
        start: The system whose weights it starts from.
        frozen: Whether the encoders stay as they are.
        contrastive: Whether pairs are told apart.
        attributes: Weight of the attributes' mean loss; the category's and the pairs' are 1.
        split: How images are split, `ITEM` or `RANDOM`.
    """

    model: str
    stage: str
    what: str
    recipe: Mapping[str, object] = field(default_factory=dict)
    image: str = "image"
    tokens: int | None = None
    learn_scale: bool = True
    heads: bool = False
    start: str | None = None
    frozen: bool = False
    contrastive: bool = True
    attributes: float = 1.0
    split: str = ITEM

    @property
    def key(self) -> tuple[str, str]:
        """Model and stage, as tables have them."""
        return self.model, self.stage


_SHARED = {"crop_share": 1.0, "weight_decay": 0.01, "decay_all": False}  # whole squares; the card's decay
# The card names loss, temperature, epochs, batch, schedule, optimiser and decay; rates and warm-up are ours.
_CARD = {**_SHARED, "epochs": 20, "warmup_epochs": 2, "batch": 512, "backbone_lr": 5e-5, "head_lr": 5e-4}
_CARD_TASKS = {**_CARD, "epochs": 10, "warmup_epochs": 1, "batch": 256, "loss": "bce"}
# The paper's notebook: one rate for all, a fall by .2 when the validation stands still (its loss there, its
# score here), no warm-up; linear heads on frozen encoders. How long its second stage takes is ours.
_PAPER = {
    **_SHARED, "epochs": 20, "warmup_epochs": 0, "batch": 150, "backbone_lr": 1e-5, "head_lr": 1e-5,
    "weight_decay": 1e-4, "schedule": "plateau", "epoch_factor": 0.2, "patience": 3,
}  # fmt: skip
_PAPER_TASKS = {**_PAPER, "epochs": 10, "backbone_lr": 5e-5, "head_lr": 5e-5, "patience": 2, "loss": "bce"}
_OURS = {
    **_SHARED, "image_size": 144, "epochs": 6, "warmup_epochs": 0.3, "batch": 64, "backbone_lr": 4e-4,
    "text_lr": 1e-4, "head_lr": 2e-3, "ema": 0.97, "crop_scale": 0.8, "brightness": 0.1, "contrast": 0.1,
}  # fmt: skip
# Half of the logit adjustment that would balance the classes: rare classes count, common ones are not lost.
_OURS_TASKS = {
    **_OURS, "epochs": 3, "warmup_epochs": 0.2, "backbone_lr": 2e-4, "text_lr": 5e-5, "head_lr": 1e-3,
    "loss": "plain", "logit_adjustment": 0.5,
}  # fmt: skip
# Heads are first learnt on frozen encoders, then all of it: fine-tuning from random heads distorts features
# (Kumar et al. 2022, arXiv 2202.10054).
_FROZEN = {"backbone_lr": 0.0, "head_lr": 5e-3, "epochs": 8}

#: Name → system. The names are those of models and checkpoints in a run.
SYSTEMS: dict[str, System] = {
    "card": System("card", "contrastive", "the card's: fixed temperature, 40 tokens", _CARD, tokens=40,
                   learn_scale=False),
    "card_tuned": System("card", "tasks alone", "its second stage: fine-tuned by CE and BCE", _CARD_TASKS,
                         tokens=40, learn_scale=False, heads=True, start="card", contrastive=False),
    "paper": System("paper", "contrastive", "the notebook's: ViT-B/16, learnt temperature",
                    _PAPER, image="paper_image", tokens=128),
    "paper_frozen": System("paper", "frozen", "its second stage: linear heads on them, frozen", _PAPER_TASKS,
                           image="paper_image", tokens=128, heads=True, start="paper", frozen=True,
                           contrastive=False),
    "ours": System("ours", "contrastive", "learnt temperature, rates by tower, averaged weights", _OURS),
    "ours_frozen": System("ours", "frozen", "linear heads on its frozen encoders", {**_OURS_TASKS, **_FROZEN},
                          heads=True, start="ours", frozen=True, contrastive=False, attributes=3.0),
    "ours_tuned": System("ours", "tasks alone", "encoders fine-tuned for the tasks alone", _OURS_TASKS,
                         heads=True, start="ours_frozen", contrastive=False, attributes=3.0),
    "ours_kept": System("ours", "tasks and pairs", "encoders fine-tuned, pairs still told apart", _OURS_TASKS,
                        heads=True, start="ours_frozen", attributes=3.0),
    "ours_direct": System("no first stage", "tasks alone", "the second stage without the first", _OURS_TASKS,
                          heads=True, contrastive=False, attributes=3.0),
    "ours_short": System("forty tokens", "contrastive", "captions cut to 40 tokens", _OURS, tokens=40),
    "ours_random": System("random split", "contrastive", "images split at random, as published", _OURS,
                          split=RANDOM),
}  # fmt: skip
#: Of a run's systems the first of these is shown: galleries, map, headline.
SHOWN = ("ours_kept", "card_tuned", "paper_frozen", "ours", "card", "paper")


def shown(systems: tuple[str, ...]) -> str:
    """The system of a run that figures of one model show."""
    return next((name for name in SHOWN if name in systems), systems[0])


def recipe_of(name: str, schema: Schema, **limits: object) -> Recipe:
    """A system's recipe.

    Args:
        name: Of the system.
        schema: Gives the attributes, the category first.
        **limits: Settings of the recipe that every system of a run shares, such as ``seed``; None leaves the
            system's own. A smaller number of epochs shortens the warm-up to fit.
    """
    system = SYSTEMS[name]
    given = {key: value for key, value in limits.items() if value is not None}
    if "ema" not in system.recipe:
        given.pop("ema", None)
    settings = {**system.recipe, **given}
    if system.frozen:  # heads alone learn, at a rate of their own, and their passes are cheap
        settings |= {key: system.recipe[key] for key in ("backbone_lr", "head_lr", "epochs")}
    settings["warmup_epochs"] = min(settings["warmup_epochs"], settings["epochs"] / 2)
    if system.heads:
        others = len(schema.names) - 1
        weights = (1.0, *[system.attributes / others] * others, *((1.0,) if system.contrastive else ()))
        settings["part_weights"] = weights
    return Recipe(**settings)
