"""How a model was trained, as a table that says whose each value is."""

from __future__ import annotations

import dataclasses

import pandas as pd

#: Settings that the published study states; where it is silent, the value is ours or torch's.
PUBLISHED = (
    "image_size", "crop_share", "epochs", "warmup_epochs", "schedule", "batch", "optimizer", "backbone_lr",
    "head_lr", "loss", "combine", "precision",
)  # fmt: skip
TORCH = ("beta1", "beta2")
#: Settings that other systems use; listed only where a training does.
OTHERS = (
    "flip_test", "early", "early_size", "epoch_factor", "patience", "text_lr", "micro_batch", "train_blocks",
    "hidden", "dropout",
    "ema", "average_last", "sampling", "part_weights", "focal_gamma", "logit_adjustment", "vertical_flip",
    "flip_validation", "train_norm", "head_dropout", "bce_of_softmax",
)  # fmt: skip


def recipe_table(recipe: object) -> pd.DataFrame:
    """The settings of a training.

    Args:
        recipe: A `models.recipe.Recipe`; its defaults are the published study's values, completed by ours.

    Returns:
        Columns ``setting``, ``here`` (this run's value), ``paper`` (the default), ``whose`` ("published",
        "ours" or "torch's", of the default) and ``changed`` (whether this run departs from it), all but the
        last as text.
    """
    whose = dict.fromkeys(PUBLISHED, "published") | dict.fromkeys(TORCH, "torch's")
    rows = [
        (field.name, _text(here), _text(field.default), whose.get(field.name, "ours"), here != field.default)
        for field in dataclasses.fields(recipe)
        if (here := getattr(recipe, field.name)) != field.default or field.name not in OTHERS
    ]
    return pd.DataFrame(rows, columns=["setting", "here", "paper", "whose", "changed"])


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
