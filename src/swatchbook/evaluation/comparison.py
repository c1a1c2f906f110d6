"""Two models on the same images: differences with paired intervals, and what they prove.

"Better on every class" is an intersection–union claim and needs every class to be significant on its
own, without a correction; "better on which classes" is many claims at once and needs Holm's.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from swatchbook.evaluation.resample import holm, percentile_interval, table, tables
from swatchbook.evaluation.scores import Codes, accuracy, f1, macro_f1
from swatchbook.schema import Schema

COLUMNS = [
    "model", "baseline", "head", "class", "statistic", "value", "low", "high", "p", "p_holm", "n", "interval",
    "reference",
]  # fmt: skip

#: Images of a sample, judged or right by one model only, below which no difference is estimable.
FEWEST = 10
TOO_FEW = f"not estimable: fewer than {FEWEST} images, judged or right by one model only"


def comparison_table(
    reference: Codes,
    predictions: Mapping[str, Codes],
    schema: Schema,
    weights: np.ndarray,
    *,
    model: str,
    baseline: str,
    design: np.ndarray | None = None,
    level: float = 0.95,
    reference_name: str = "silver",
    how: str = "paired percentile bootstrap of images",
) -> pd.DataFrame:
    """Compare `model` with `baseline` on identical images, class by class and head by head.

    Args:
        reference: Attribute → codes, shape (n,), −1 where there is no label.
        predictions: Model → attribute → codes, shape (n,); must hold `model` and `baseline`.
        schema: Gives the heads and classes.
        weights: Bootstrap weights from `image_weights`, shape (B, n); the same rows serve both models.
        model: The model whose advantage is tested.
        baseline: The model it is held against.
        design: What each image stands for, shape (n,), where the images are a sample; `weights` multiply it.
            A class with fewer than `FEWEST` images is then not estimable, nor is a head in which fewer than
            `FEWEST` are right by one model only.
        level: Confidence level of the intervals; the tests' α is 1 − level.
        reference_name: What the reference is, for the column of that name.
        how: How `weights` resample, for the column `interval`.

    Returns:
        Tidy table. Statistics: `delta_f1` by class and `delta_macro_f1` by head (and head ``mean``),
        ``p`` one-sided from the paired bootstrap and ``p_holm`` over the classes (for heads: over the
        heads); `delta_accuracy` by head with McNemar's exact two-sided ``p`` (of a weighted sample the
        bootstrap's, doubled), and the counts behind it,
        `only_model_right` and `only_baseline_right`; for head ``all``: `classes_won` (point estimates),
        `classes_proved` (Holm p ≤ α) and `all_classes_p`, the intersection–union p for "better on every
        class" (the largest single p).

    Raises:
        KeyError: If `model` or `baseline` has no predictions.

    Source:
        Paired bootstrap: Efron & Tibshirani (1993), chapter 16. McNemar (1947), exact form.
        Intersection–union: Berger (1982), Technometrics 24:295–300. Holm (1979).
    """
    for name in (model, baseline):
        if name not in predictions:
            raise KeyError(f"no predictions of {name!r}; got {', '.join(predictions)}")
    ours, theirs = predictions[model], predictions[baseline]
    how = f"{how}, B={len(weights)}"
    if design is not None:
        weights = weights * design
    by_class, by_head, counts, heads, differing = [], [], [], [], []
    for a in schema:
        truth, shape = reference[a.name], (len(a), len(a))
        estimates = [table(truth, p[a.name], shape, design) for p in (ours, theirs)]
        replicates = [tables(truth, p[a.name], shape, weights) for p in (ours, theirs)]
        support = table(truth, ours[a.name], shape).sum(1)
        delta, draws = f1(estimates[0]) - f1(estimates[1]), f1(replicates[0]) - f1(replicates[1])
        only_ours, only_theirs = discordant(truth, ours[a.name], theirs[a.name])
        behind = (
            np.append(support, only_ours + only_theirs) if design is not None else np.full(len(a) + 1, np.inf)
        )
        differing.append(behind[-1])
        for k, label in enumerate(a.classes):
            about = (a.name, label, "delta_f1")
            by_class.append(_row(about, delta[k], draws[:, k], support[k], behind[k], level, how))
        delta = macro_f1(estimates[0]) - macro_f1(estimates[1])
        draws = macro_f1(replicates[0]) - macro_f1(replicates[1])
        heads.append((delta, draws))
        about = (a.name, "all", "delta_macro_f1")
        by_head.append(_row(about, delta, draws, support.sum(), behind[-1], level, how))
        delta = accuracy(estimates[0]) - accuracy(estimates[1])
        draws = accuracy(replicates[0]) - accuracy(replicates[1])
        about = (a.name, "all", "delta_accuracy")
        row = _row(about, delta, draws, support.sum(), behind[-1], level, how)
        p = mcnemar_p(only_ours, only_theirs) if design is None else two_sided_p(draws)
        counts.append({**row, "p": np.nan if np.isnan(row["value"]) else p})
        for statistic, value in (("only_model_right", only_ours), ("only_baseline_right", only_theirs)):
            counts.append({"head": a.name, "class": "all", "statistic": statistic, "value": value,
                           "n": support.sum(), "interval": "count"})  # fmt: skip
    for family in (by_class, by_head):
        for row, adjusted in zip(family, holm([row["p"] for row in family]), strict=True):
            row["p_holm"] = adjusted
    delta, draws = (np.mean([head[i] for head in heads], axis=0) for i in (0, 1))
    scored = np.logical_or.reduce([reference[name] >= 0 for name in schema.names]).sum()
    about = ("mean", "all", "delta_macro_f1")
    by_head.append(_row(about, delta, draws, scored, min(differing), level, how))
    frame = pd.DataFrame(by_class + by_head + counts + _verdicts(by_class, 1 - level, len(weights)))
    return frame.assign(model=model, baseline=baseline, reference=reference_name).reindex(columns=COLUMNS)


def _row(
    about: tuple[str, str, str],
    delta: float,
    draws: np.ndarray,
    n: float,
    behind: float,
    level: float,
    how: str,
) -> dict:
    row = dict(zip(("head", "class", "statistic"), about, strict=True)) | {"n": n}
    if behind < FEWEST or np.isnan(delta):
        why = TOO_FEW if behind < FEWEST and n else "not estimable"
        return row | {"value": np.nan, "p": np.nan, "interval": why}
    low, high = percentile_interval(draws, level)
    ends = {"value": delta, "low": float(low), "high": float(high), "p": bootstrap_p(draws)}
    return row | ends | {"interval": how}


def bootstrap_p(draws: np.ndarray) -> float:
    """One-sided achieved significance level of "the difference is above zero".

    Args:
        draws: Replicates of the difference, shape (B,); NaN ones are left out.

    Returns:
        (1 + #{draws ≤ 0}) / (1 + B), so never below 1 / (1 + B).
    """
    draws = draws[~np.isnan(draws)]
    return (1 + int((draws <= 0).sum())) / (1 + len(draws))


def two_sided_p(draws: np.ndarray) -> float:
    """Two-sided achieved significance level of "the difference is not zero"; see `bootstrap_p`."""
    return min(2 * min(bootstrap_p(draws), bootstrap_p(-draws)), 1.0)


def discordant(truth: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    """How many labelled images only `a` gets right, and only `b`."""
    right_a, right_b = (truth >= 0) & (a == truth), (truth >= 0) & (b == truth)
    return int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())


def mcnemar_p(only_a: int, only_b: int) -> float:
    """McNemar's exact two-sided p-value from the two discordant counts; 1 where there are none."""
    total = only_a + only_b
    return float(stats.binomtest(only_a, total).pvalue) if total else 1.0


def _verdicts(by_class: list[dict], alpha: float, draws: int) -> list[dict]:
    tested = [row for row in by_class if not np.isnan(row["p"])]
    base = {"head": "all", "class": "all", "n": len(tested)}
    if not tested:
        return [{**base, "statistic": "classes_won", "value": np.nan, "interval": "not estimable"}]
    worst = max(row["p"] for row in tested)
    proved, how = (
        sum(row["p_holm"] <= alpha for row in tested),
        f"count with Holm's one-sided p ≤ {alpha:.3g}",
    )
    if len(tested) > alpha * (draws + 1):  # a bootstrap p is never below 1/(B+1)
        proved, how = np.nan, f"not estimable: B={draws} is too few for Holm's test of {len(tested)} classes"
    return [
        {**base, "statistic": "classes_won", "value": sum(row["value"] > 0 for row in tested),
         "interval": "count of point estimates above 0"},
        {**base, "statistic": "classes_proved", "value": proved, "interval": how},
        {**base, "statistic": "all_classes_p", "value": worst, "p": worst,
         "interval": "intersection–union: the largest one-sided p of a class"},
    ]  # fmt: skip
