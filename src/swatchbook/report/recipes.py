"""How a model was trained, as a table that says whose each value is."""

from __future__ import annotations

import dataclasses

import pandas as pd

#: Settings that the published study states; where it is silent, the value is ours.
PUBLISHED = (
    "image_size", "crop_share", "epochs", "warmup_epochs", "schedule", "batch", "optimizer", "backbone_lr",
    "head_lr", "loss", "combine", "precision",
)  # fmt: skip


def recipe_table(recipe: object) -> pd.DataFrame:
    """The settings of a training.

    Args:
        recipe: A `models.recipe.Recipe`; its defaults are the published study's values, completed by ours.

    Returns:
        Columns ``setting``, ``here`` (this run's value), ``paper`` (the default), ``whose`` ("published" or
        "ours", of the default) and ``changed`` (whether this run departs from it), all but the last as text.
    """
    fields = dataclasses.fields(recipe)
    table = pd.DataFrame(
        {
            "setting": [field.name for field in fields],
            "here": [_text(getattr(recipe, field.name)) for field in fields],
            "paper": [_text(field.default) for field in fields],
            "whose": ["published" if field.name in PUBLISHED else "ours" for field in fields],
        }
    )
    return table.assign(changed=table["here"] != table["paper"])


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
