"""Three columns wherever a model is scored: against silver labels, against a person, and the bound."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

WANTED = ("accuracy", "macro_f1")
AGAINST = {
    "silver": "silver labels",
    "post_stratified": "human labels",
    "bound": "bound from silver agreement",
}
COLUMNS = ["model", "head", "statistic", "against", "value", "low", "high", "n", "interval"]


def with_silver_scores(truth: pd.DataFrame, scores: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Put the scores against silver labels beside those against a person.

    Args:
        truth: From `truth_table`.
        scores: From `score_table`.
        models: Whose scores to take.

    Returns:
        `truth` with rows of ``estimator`` and ``reference`` ``silver`` after its own.
    """
    whole = scores[(scores["class"] == "all") & scores["metric"].isin(WANTED) & scores["model"].isin(models)]
    silver = whole[whole["head"].isin(truth["head"].unique())].rename(columns={"metric": "statistic"})
    silver = silver.assign(estimator="silver", reference="silver").reindex(columns=truth.columns)
    return pd.concat([truth, silver], ignore_index=True)


def three_columns(truth: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """The same score of the same model held against three things.

    Args:
        truth: From `with_silver_scores`.
        models: Which models.

    Returns:
        Columns `model, head, statistic, against, value, low, high, n, interval`, for accuracy and
        macro-F1 of every head: ``against`` is ``silver labels``, ``human labels`` (post-stratified; NaN
        where the person was not asked) or ``bound from silver agreement`` (accuracy only; value NaN, low
        and high its ends).
    """
    kept = truth[(truth["class"] == "all") & truth["statistic"].isin(WANTED) & truth["model"].isin(models)]
    kept = kept[kept["estimator"].isin(list(AGAINST))]
    ranked = kept.assign(
        against=kept["estimator"].map(AGAINST),
        order=kept["model"].map(list(models).index),
        head_order=kept["head"].map(list(truth["head"].unique()).index),
        column=kept["estimator"].map(list(AGAINST).index),
    )
    keys = ["order", "head_order", "statistic", "column"]
    return ranked.sort_values(keys, kind="stable", ignore_index=True)[COLUMNS]
