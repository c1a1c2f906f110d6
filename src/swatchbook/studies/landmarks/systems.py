"""The systems of the landmarks study: the network of the documents, and what is left out or exchanged in it.

All are trained alike, from the same seeds, on the same batches; each is one change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from swatchbook.models.landmark_design import Design
from swatchbook.models.recipe import Recipe
from swatchbook.schema import Schema

NEITHER = {"localisation": "none", "guide": "none"}


@dataclass(frozen=True)
class System:
    """One training's change.

    Attributes:
        what: In a few words.
        design: Setting of the design → value; ``equal: True`` stands for the run's own localisation.
        landmark_loss: Whether landmarks are learnt.
        answer_loss: Whether category and attributes are.
        shuffled: Whether each training image has the points of another.
    """

    what: str
    design: Mapping[str, object] = field(default_factory=dict)
    landmark_loss: bool = True
    answer_loss: bool = True
    shuffled: bool = False


#: Name → system. The names are those of models and predictions in a run, with the seed after them.
SYSTEMS: dict[str, System] = {
    "mtl": System("localisation, attention from it, landmark loss"),
    "cat": System("neither localisation nor attention", NEITHER, landmark_loss=False),
    "attention_only": System("localisation and attention, no landmark loss", landmark_loss=False),
    "loss_only": System("localisation and landmark loss, no attention", {"guide": "none"}),
    "cat_large": System(
        "CAT with wider branches, as many parameters as MTL",
        {**NEITHER, "equal": True},
        landmark_loss=False,
    ),
    "true_points": System("MTL, its attention from the true points, in the test too", {"guide": "true"}),
    "shuffled": System("MTL, each training image with another one's points", shuffled=True),
    "coarse_maps": System("MTL, heat-maps of the features' side", {"upsamplings": 0}),
    "landmarks_only": System("MTL without category and attribute losses", answer_loss=False),
}
CONTROLS = ("mtl", "cat", "attention_only", "loss_only", "cat_large", "true_points", "shuffled")


def model_name(system: str, seed: int) -> str:
    """What a training's folder and predictions are called."""
    return f"{system}_{seed}"


def design_of(name: str, design: Design) -> Design:
    """A system's design: the run's own with the system's change."""
    changes = dict(SYSTEMS[name].design)
    if "equal" in changes:
        changes["equal"] = design.localisation
    return replace(design, **changes)


def recipe_of(
    name: str, recipe: Recipe, schema: Schema, weights: tuple[float, float, float], seed: int
) -> Recipe:
    """A system's recipe: the run's own with this seed, and a weight for each part of the loss.

    Args:
        name: Of the system.
        recipe: The run's.
        schema: Gives the parts.
        weights: Of each attribute with one class; of all with several classes at once; of landmarks.
        seed: Of the training.
    """
    system = SYSTEMS[name]
    single, several, landmarks = weights
    parts = [single] * sum(not a.multiple for a in schema)
    parts += [several] * any(a.multiple for a in schema)
    parts = parts if system.answer_loss else [0.0] * len(parts)
    parts += [landmarks] * system.landmark_loss
    return replace(recipe, seed=seed, part_weights=tuple(parts))
