"""Histories of trainings, one under the other."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd


def history_table(
    histories: Mapping[str, pd.DataFrame], scores: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """The epochs of several trainings in one table.

    Args:
        histories: Model → its ``history.csv``: a row an epoch, with the losses, the validation scores and
            the learning rates of that epoch.
        scores: Model → the column that chose its epoch; ``macro_f1`` by default.

    Returns:
        Column ``model``, then the columns of the histories, then ``chosen``: True at the epoch whose weights
        were kept, the first with the highest validation score. Nothing here has an interval: there is
        one training of each model.

    Raises:
        ValueError: If there is no history, or one lacks a column or has no epoch.
    """
    if not histories:
        raise ValueError("histories: none received; at least one model's is needed")
    parts = []
    for model, history in histories.items():
        score = (scores or {}).get(model, "macro_f1")
        missing = [column for column in ("epoch", score) if column not in history]
        if missing or history.empty:
            what = f"no column {missing[0]!r}" if missing else "no epoch"
            raise ValueError(f"histories: {model!r} has {what}; a training's history.csv is needed")
        chosen = history.index == history[score].idxmax() if history[score].notna().any() else False
        parts.append(history.assign(chosen=chosen).assign(model=model))
    stacked = pd.concat(parts, ignore_index=True)
    others = [column for column in stacked if column not in ("model", "chosen")]
    return stacked[["model", *others, "chosen"]]
