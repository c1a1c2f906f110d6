"""The truth behind silver labels: models scored against a person, on a sample of the test split.

A model that imitates its teacher's errors scores high against silver labels and low against a person;
one that averages them out does the opposite. Silver scores alone cannot tell the two apart, so each
score against the person is estimated in several ways, from the plainest to the most precise, and the
bound that silver agreement alone puts on true accuracy stands beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from scipy import stats

from swatchbook.evaluation.association import cramers_v, kish_size, v_interval
from swatchbook.evaluation.resample import percentile_interval, rao_wu_weights, table, tables
from swatchbook.evaluation.truth_estimators import (
    metric_bound,
    post_stratified_tables,
    ppi_accuracy,
    pseudo_images,
)
from swatchbook.evaluation.weighted_scores import (
    NO_HUMAN_LABEL,
    abstention_tables,
    check_design,
    ends_without_variation,
    score_rows,
    with_estimate,
)
from swatchbook.schema import Schema

Codes = Mapping[str, np.ndarray]

COLUMNS = [
    "model", "head", "class", "reference", "estimator", "statistic",
    "value", "low", "high", "n", "interval",
]  # fmt: skip
PAIR_COLUMNS = ["model", "a", "b", "rows", "statistic", "value", "low", "high", "n", "interval"]
WHOLE = ("accuracy", "macro_f1")


def truth_table(
    human: Codes,
    silver: Codes,
    predictions: Mapping[str, Codes],
    population: Mapping[str, Codes],
    schema: Schema,
    *,
    stratum: np.ndarray,
    weight: np.ndarray,
    draws: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> pd.DataFrame:
    """Scores of the silver labels and of every model against a person's labels.

    Estimators: ``direct`` (unweighted, as a plain reader would), ``design`` (weighted by what each
    image stands for), ``post_stratified`` (see `post_stratified_tables`; the recommended one), ``ppi``
    (prediction-powered accuracy, see `ppi_accuracy`), ``bound`` (see `metric_bound`; value is NaN, low
    and high are the outer ends of the intervals of the bound's ends).

    Args:
        human: Attribute → codes of the judged images, shape (n,); −1 where the person could not tell
            or was not asked.
        silver: Attribute → codes of the judged images, shape (n,); −1 where the labeller abstained.
        predictions: Model → attribute → codes of the judged images, shape (n,).
        population: "silver" and every model → attribute → codes of the whole split, shape (N,); the
            judged images are among them.
        schema: Gives attributes, classes and their order.
        stratum: Stratum of each judged image, shape (n,).
        weight: How many images of the split each judged one stands for, shape (n,), positive.
        draws: Number of Rao–Wu replicates B.
        rng: Source of randomness.
        level: Confidence level of the intervals.

    Returns:
        Tidy table with the columns `COLUMNS`; model "silver" is the labeller itself, an abstention
        counting as wrong (no bound: it agrees with itself). Intervals hold for this split, whose
        silver labels and predictions are all known.

    Raises:
        ValueError: If lengths differ, a weight is not a positive number, a model is missing
            from the population, or the population cannot hold the judged images.
    """
    labels = {"human": human, "silver": silver, **predictions}
    stratum, weight = check_design(stratum, weight, labels, schema)
    lacking = [model for model in ("silver", *predictions) if model not in population]
    if lacking:
        raise ValueError(f"population lacks {lacking[0]!r}; received {', '.join(population) or 'nothing'}")
    for model in predictions:
        for name in schema.names:
            size, wanted = len(population[model][name]), len(population["silver"][name])
            if size != wanted:
                raise ValueError(
                    f"population: {name} of {model} has {size} entries; silver has {wanted} images"
                )
    multipliers = rao_wu_weights(stratum, draws, rng)
    plain, design = (with_estimate(base, multipliers) for base in (np.ones_like(weight), weight))
    pseudo = pseudo_images(draws, rng)
    effective = kish_size(weight) / len(weight) if len(weight) else 1.0
    how = f"{level:.0%} percentile Rao–Wu bootstrap, B={draws}"
    rows: list[dict] = []
    for model, codes in {"silver": silver, **predictions}.items():
        for a in schema:
            judged, label, teacher = human[a.name], codes[a.name], silver[a.name]
            split, split_teacher = population[model][a.name], population["silver"][a.name]
            counts = abstention_tables(judged, label, len(a), np.ones((1, len(label))))[0]
            agrees, split_agrees = _same(label, teacher), _same(split, split_teacher)
            estimates = {
                "direct": (abstention_tables(judged, label, len(a), plain), 1.0),
                "design": (abstention_tables(judged, label, len(a), design), effective),
                "post_stratified": (
                    post_stratified_tables(
                        judged, label, agrees, split, split_agrees, len(a), design, pseudo
                    ),
                    effective,
                ),
            }
            of_head = {"model": model, "head": a.name}
            for estimator, (weighted, share) in estimates.items():
                words = f"{how}, with pseudo-images" if estimator == "post_stratified" else how
                made = score_rows(
                    weighted,
                    counts,
                    a.classes,
                    words,
                    level=level,
                    whole=WHOLE,
                    by_class=("f1",),
                    effective=share,
                )
                rows += [of_head | {"estimator": estimator} | row for row in made]
            hits = np.where(judged >= 0, judged == label, -1)
            rows.append(of_head | _ppi_row(hits, agrees, split_agrees, design, pseudo, how, level))
            if model != "silver":
                teacher_hits = np.where(judged >= 0, judged == teacher, -1)
                rows.append(of_head | _bound_row(teacher_hits, split_agrees, design, rng, level))
    return pd.DataFrame(rows).assign(reference="human")[COLUMNS]


def _same(label: np.ndarray, teacher: np.ndarray) -> np.ndarray:
    """Whether two labels agree; an abstention agrees with nothing, not even with another."""
    return (label == teacher) & (label >= 0)


def _ppi_row(
    hits: np.ndarray,
    agrees: np.ndarray,
    split_agrees: np.ndarray,
    design: np.ndarray,
    pseudo: np.ndarray,
    how: str,
    level: float,
) -> dict:
    row = {"estimator": "ppi", "class": "all", "statistic": "accuracy", "n": int((hits >= 0).sum())}
    row |= dict.fromkeys(("value", "low", "high"), np.nan) | {"interval": NO_HUMAN_LABEL}
    seen = hits >= 0
    if not seen.any():
        return row
    value, *_, lam = ppi_accuracy(hits[seen], agrees[seen], split_agrees, design[0, seen])
    # Every outcome's pseudo-image has the residual hit − λ·agreement.
    residual = np.array([[1.0, 0.0], [1 - lam, -lam]])
    extra = pseudo[1:] * design[0, seen].mean()
    total = design[1:, seen].sum(1) + extra.sum((1, 2))
    rest = design[1:, seen] @ (hits[seen] - lam * agrees[seen]) + (extra * residual).sum((1, 2))
    low, high = percentile_interval(lam * split_agrees.mean() + rest / total, level)
    return row | {
        "value": value,
        "low": max(min(float(low), value), 0.0),
        "high": min(max(float(high), value), 1.0),
        "interval": f"{how}, with pseudo-images; λ={lam:.2f}",
    }


def _bound_row(
    hits: np.ndarray, split_agrees: np.ndarray, design: np.ndarray, rng: np.random.Generator, level: float
) -> dict:
    """The bound with the uncertainty of both agreements carried into its ends."""
    seen = hits >= 0
    row = {"estimator": "bound", "class": "all", "statistic": "accuracy", "n": int(seen.sum())}
    row |= dict.fromkeys(("value", "low", "high"), np.nan) | {"interval": NO_HUMAN_LABEL}
    if not seen.any():
        return row
    right, total = design[:, seen] @ hits[seen], design[:, seen].sum(1)
    a = np.clip(right[total > 0] / total[total > 0], 0, 1)
    g = rng.binomial(len(split_agrees), split_agrees.mean(), size=len(a)) / len(split_agrees)
    least = most = a
    if a[0] in (0, 1):
        size = np.array([kish_size(design[0, seen])])
        (least,), (most,) = ends_without_variation(a[:1], size, level)
    lowest, _ = metric_bound(least, g)
    _, highest = metric_bound(np.clip(g, least, most), g)
    return row | {
        "low": float(percentile_interval(lowest, level)[0]),
        "high": float(percentile_interval(highest, level)[1]),
        "interval": "outer ends of the bound: Rao–Wu bootstrap of silver–human agreement, "
        "binomial of model–silver agreement",
    }


def rectified_table(
    human: Codes,
    silver: Codes,
    split_silver: Codes,
    schema: Schema,
    *,
    stratum: np.ndarray,
    weight: np.ndarray,
    draws: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> pd.DataFrame:
    """True Cramér's V of every pair: silver counts of the whole split, corrected by the audit.

    P = silver + Σ w̃ (human − silver), cell by cell, negative cells taken as 0. The cells' noise makes
    φ² too large; by how much is estimated by the bootstrap (mean over replicates minus estimate) and
    taken off. The interval takes the standard deviation of V² to first order. An attribute that is labelled
    by a folder rule and was not judged has the rule for truth.

    Args:
        human: As in `truth_table`.
        silver: As in `truth_table`.
        split_silver: Attribute → silver codes of the whole split, shape (N,).
        schema: As in `truth_table`.
        stratum: As in `truth_table`.
        weight: As in `truth_table`.
        draws: Number of Rao–Wu replicates B.
        rng: Source of randomness.
        level: Confidence level of the intervals.

    Returns:
        Columns `PAIR_COLUMNS`, model "truth", rows "audit". Statistics: ``v_rectified``, and as a
        cross-check ``v_direct``, the bias-corrected V of the judged images alone (design weights,
        Kish's effective size). ``n`` is the number of images judged in both attributes.
    """
    stratum, weight = check_design(stratum, weight, {"human": human, "silver": silver}, schema)
    design = with_estimate(weight, rao_wu_weights(stratum, draws, rng))
    truth = {
        a.name: silver[a.name]
        if a.labelled_by == "folder" and not (human[a.name] >= 0).any()
        else human[a.name]
        for a in schema
    }
    rows = []
    for a, b in schema.pairs:
        shape = (len(schema[a]), len(schema[b]))
        judged = (truth[a] >= 0) & (truth[b] >= 0)
        of_pair = {"model": "truth", "a": a, "b": b, "rows": "audit", "n": int(judged.sum())}
        made = _pair_rows(
            (truth[a][judged], truth[b][judged]),
            (silver[a][judged], silver[b][judged]),
            table(split_silver[a], split_silver[b], shape),
            len(split_silver[a]),
            design[:, judged],
            np.unique(stratum[judged], return_inverse=True)[1],
            draws,
            level,
        )
        rows += [of_pair | row for row in made]
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


def _pair_rows(
    truth: tuple[np.ndarray, np.ndarray],
    silver: tuple[np.ndarray, np.ndarray],
    split: np.ndarray,
    size: int,
    design: np.ndarray,
    stratum: np.ndarray,
    draws: int,
    level: float,
) -> Iterator[dict]:
    reason = NO_HUMAN_LABEL if design.shape[1] == 0 else "not estimable: one class"
    if design.shape[1] < 2 or min(split.shape) < 2:
        for statistic in ("v_rectified", "v_direct"):
            yield dict.fromkeys(("value", "low", "high"), np.nan) | {
                "statistic": statistic,
                "interval": reason,
            }
        return
    kept = design[design.sum(1) > 0]
    design = kept * (size / kept.sum(1, keepdims=True))
    human = tables(*truth, split.shape, design)
    rectified = np.maximum(split + human - tables(*silver, split.shape, design), 0)
    squared = cramers_v(rectified, correct=False) ** 2
    centre = 2 * squared[0] - squared[1:].mean()
    reach = stats.norm.ppf((1 + level) / 2) * _linear_sd(rectified[0], truth, silver, stratum, design[0])
    v, low, high = np.sqrt(np.clip([centre, centre - reach, centre + reach], 0, 1))
    yield {
        "statistic": "v_rectified",
        "value": float(v),
        "low": float(low),
        "high": float(high),
        "interval": f"root of V² ± z SD, linearised over the strata; bias by Rao–Wu bootstrap, B={draws}",
    }
    effective = kish_size(design[0])
    sd = np.nanstd(cramers_v(human[1:], size=effective), ddof=1)
    scaled = human[0] * (effective / human[0].sum())
    low, high, rule = v_interval(scaled, float(sd), level, size=effective)
    yield {
        "statistic": "v_direct",
        "value": float(cramers_v(scaled, size=effective)),
        "low": low,
        "high": high,
        "interval": f"{rule}; Rao–Wu bootstrap, B={draws}",
    }


def _linear_sd(
    counts: np.ndarray,
    truth: tuple[np.ndarray, np.ndarray],
    silver: tuple[np.ndarray, np.ndarray],
    stratum: np.ndarray,
    weight: np.ndarray,
) -> float:
    """Standard deviation of V² of a rectified table, to first order in what the audit changes.

    Each judged image moves its silver cell's share to its true one; V² changes by the difference of the
    two cells' derivatives, and the variance of a stratified total follows (linearisation: Deville 1999,
    Survey Methodology 25:193–203). Replicates of the bootstrap would pile up where cells are taken as 0.
    """
    share = counts / counts.sum()
    rows, columns = (np.maximum(share.sum(axis), 1e-12) for axis in (1, 0))
    slope = (
        2 * share / np.outer(rows, columns)
        - (share**2 / np.outer(rows**2, columns)).sum(1)[:, None]
        - (share**2 / np.outer(rows, columns**2)).sum(0)
    )
    moved = weight * (slope[truth] - slope[silver])
    n = np.bincount(stratum)
    middle = np.bincount(stratum, moved) / n
    # An image that is alone in its stratum is held against all.
    spread = np.where(n[stratum] > 1, moved - middle[stratum], moved - moved.mean())
    variance = (np.where(n > 1, n / np.maximum(n - 1, 1), 1.0)[stratum] * spread**2).sum()
    return float(np.sqrt(variance) / weight.sum() / (min(counts.shape) - 1))
