"""The audit: how good the silver labels are, judged by a person on a stratified sample of the test split.

A sample with an equal number of images a stratum over-represents the small strata, so each statistic is
given twice: plain, as a reader of the sheet would compute it, and weighted by what each image stands
for. Classes come from the schema; what has too few judged images is "not estimable" and never 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from swatchbook.evaluation.intervals import share_row
from swatchbook.evaluation.misclassification import WHAT_IF_COLUMNS, reconciled
from swatchbook.evaluation.resample import percentile_interval, rao_wu_weights, with_estimate
from swatchbook.evaluation.scores import BY_CLASS, WHOLE_HEAD, macro_f1
from swatchbook.evaluation.survey import check_design
from swatchbook.evaluation.weighted_scores import (
    NO_HUMAN_LABEL,
    Estimates,
    abstention_tables,
    head_estimates,
    score_rows,
)
from swatchbook.schema import Schema

Codes = Mapping[str, np.ndarray]

COLUMNS = [
    "attribute", "class", "abstained", "weighting", "statistic",
    "value", "low", "high", "n", "interval", *WHAT_IF_COLUMNS,
]  # fmt: skip
POWER_COLUMNS = ["attribute", "design", "size", "value", "low", "high", "n", "interval"]
DESIGNS = ("simple", "stratified")


def audit_table(
    human: Codes,
    silver: Codes,
    schema: Schema,
    *,
    stratum: np.ndarray,
    weight: np.ndarray,
    population: Codes | None = None,
    second: Codes | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Scores of the silver labels against a person's, with intervals for the split.

    Args:
        human: Attribute → codes of the judged images, shape (n,); −1 where the person could not tell
            (or was not asked): those images are not scored.
        silver: Attribute → codes, shape (n,); −1 where the labeller abstained.
        schema: Gives attributes, classes and their order.
        stratum: Stratum of each image, shape (n,).
        weight: How many images of the split each one stands for (N_h / n_h), shape (n,), positive.
        population: Attribute → silver codes of the whole split, shape (N,). With it the share labelled is
            counted, and it is known which classes may occur.
        second: Attribute → codes of a second, independent judgement of the same images, shape (n,), −1
            where there was none. From ten images on, both judgements are reconciled; see `reconciled`.
        level: Confidence level of the intervals.

    Returns:
        Tidy table with the columns `COLUMNS`. ``class`` is "all" for a whole head. ``weighting`` is
        "none" or "design"; the intervals of "none" are those of the strata in the mix in which they were
        judged. ``abstained`` says what becomes of an abstention: "wrong" (a wrong label), "left_out", or
        "extra_class" – one more class with an F1 of 0 in the macro mean, which is what a library computes
        that takes its classes from the labels that occur. ``n`` is the number of judged images for a
        head, the class's own for F1 and recall, those so labelled for precision. ``low_if_3`` and its
        like are the ends if the person errs in 3 % of the images, where that is not known.

    Raises:
        ValueError: If lengths differ or a weight is not a positive number.

    Source:
        See `head_estimates`.
    """
    stratum, weight = check_design(stratum, weight, {"human": human, "silver": silver}, schema)
    rows: list[dict] = []
    for a in schema:
        judged, label, every = (
            human[a.name],
            silver[a.name],
            None if population is None else population[a.name],
        )
        error = None
        if second is not None:
            judged, error = reconciled(judged, second[a.name], label, len(a), level)
        given = {
            "stratum": stratum,
            "level": level,
            "occurs": None if every is None else np.bincount(every[every >= 0], minlength=len(a)) > 0,
            "error": error,
        }
        bases = {"none": np.ones_like(weight), "design": weight}
        scored = {"wrong": judged, "left_out": np.where(label >= 0, judged, -1)}
        found = {
            abstained: head_estimates(codes, label, len(a), weights=tuple(bases.values()), **given)
            for abstained, codes in scored.items()
        }
        for number, (weighting, base) in enumerate(bases.items()):
            for abstained, by_weight in found.items():
                estimates = by_weight[number]
                of_head = {"attribute": a.name, "abstained": abstained, "weighting": weighting}
                made = score_rows(estimates, a.classes, tuple(WHOLE_HEAD), tuple(BY_CLASS))
                rows += [of_head | row for row in made]
                if abstained == "left_out":
                    rows.append(of_head | _coverage(judged, label, every, base, stratum, level))
                if abstained == "wrong" and weighting == "none":
                    of_head["abstained"] = "extra_class"
                    rows += [of_head | row for row in _extra_class(estimates, judged, label, len(a))]
    return pd.DataFrame(rows)[COLUMNS]


def _coverage(
    judged: np.ndarray,
    label: np.ndarray,
    every: np.ndarray | None,
    weight: np.ndarray,
    stratum: np.ndarray,
    level: float,
) -> dict:
    """Share of the images that the labeller labelled at all: counted, where the whole split is known."""
    row = {"class": "all", "statistic": "coverage"} | dict.fromkeys(WHAT_IF_COLUMNS, np.nan)
    if every is not None:
        share = float((every >= 0).mean())
        return row | dict.fromkeys(("value", "low", "high"), share) | {"n": len(every), "interval": "counted"}
    seen = judged >= 0
    if not seen.any():
        return row | share_row(0, 0, level, NO_HUMAN_LABEL)
    labelled = np.where(seen & (label >= 0), 0, np.where(seen, 1, -1))
    design = {"stratum": stratum, "weights": (weight,), "level": level}
    one = np.where(seen, 0, -1)
    (estimates,) = head_estimates(one, labelled, 2, **design, whole=("accuracy",), by_class=())
    return row | next(score_rows(estimates, (), ("accuracy",), ())) | row


def _extra_class(estimates: Estimates, judged: np.ndarray, label: np.ndarray, k: int) -> list[dict]:
    """The head's scores with "no label" as one more class: nobody can be right in it, so its F1 is 0.

    Any other class that the labeller uses and the person does not would enter the mean in the same way.
    """
    counts = abstention_tables(judged, label, k, np.ones((1, len(label))))[0]
    occurs, held = (counts.sum(0) > 0) | (counts.sum(1) > 0), counts.sum(1) > 0
    share = held.sum() / max(occurs.sum(), 1)
    rows = list(score_rows(estimates, (), tuple(WHOLE_HEAD), ()))
    for row in rows:
        if row["statistic"] == "macro_f1":
            row |= {end: row[end] * share for end in ("value", "low", "high", *WHAT_IF_COLUMNS)}
    return rows


def power_table(
    human: Codes,
    silver: Codes,
    schema: Schema,
    *,
    stratum: np.ndarray,
    weight: np.ndarray,
    rng: np.random.Generator,
    sizes: tuple[int, ...] = (100, 210, 400, 600, 1000, 2000),
    designs: tuple[str, ...] = DESIGNS,
    draws: int = 4000,
    audits: int = 40,
    level: float = 0.95,
) -> pd.DataFrame:
    """How wide the interval of macro-F1 would be for other numbers of judgements, by simulation.

    Audits are drawn from the judged images' own joint distribution of human and silver label in each
    stratum. Ten images a stratum leave most cells empty, so each stratum's distribution is shrunk
    towards the whole split's by ten pseudo-images, and the split's towards the product of its margins
    by one.

    Args:
        human: As in `audit_table`.
        silver: As in `audit_table`.
        schema: As in `audit_table`.
        stratum: As in `audit_table`.
        weight: As in `audit_table`.
        rng: Source of randomness.
        sizes: Numbers of judgements n.
        designs: "simple" (a random sample of the split) or "stratified" (an equal number of each
            stratum, weighted by what each stands for).
        draws: Simulated audits for each value.
        audits: Rao–Wu replicates of the joint distribution, each simulated ``draws / audits`` times
            at least 100 times: they give low and high.
        level: Confidence level of the interval whose half-width is stated.

    Returns:
        Columns `POWER_COLUMNS`; value is the half-width of the interval of macro-F1 (z times the
        standard deviation over simulated audits, abstentions counted wrong), low and high say how
        well this audit knows it, n is the number of judged images that it is known from.
    """
    stratum, weight = check_design(stratum, weight, {"human": human, "silver": silver}, schema)
    unknown = [d for d in designs if d not in DESIGNS]
    if unknown:
        raise ValueError(f"design {unknown[0]!r} is unknown; allowed: {', '.join(DESIGNS)}")
    if any(size < 2 for size in sizes):
        raise ValueError(f"sizes must be at least 2; received {sizes}")
    multipliers = rao_wu_weights(stratum, audits, rng) if len(stratum) else np.ones((audits, 0))
    of_stratum, shares = _strata(stratum, weight)
    z = stats.norm.ppf((1 + level) / 2)
    rows = []
    for a in schema:
        judged, label, k = human[a.name], silver[a.name], len(a)
        n = int((judged >= 0).sum())
        joint = [
            _stratum_joints(judged, label, k, of_stratum, shares, multiplier)
            for multiplier in with_estimate(np.ones(len(stratum)), multipliers)
            if multiplier[judged >= 0].any()
        ]
        for design in designs:
            for size in sizes:
                row = {"attribute": a.name, "design": design, "size": size, "n": n}
                if n < 2:
                    row |= dict.fromkeys(("value", "low", "high"), np.nan)
                    why = "not estimable: one judged image" if n else NO_HUMAN_LABEL
                    rows.append(row | {"interval": why})
                    continue
                each = max(draws // audits, 100)
                widths = [
                    z * _simulate(p, shares, design, size, draws if i == 0 else each, k, rng)
                    for i, p in enumerate(joint)
                ]
                low, high = percentile_interval(np.array(widths[1:]), level)
                row |= {"value": widths[0], "low": float(low), "high": float(high)}
                rows.append(
                    row | {"interval": f"{level:.0%} percentile over {audits} Rao–Wu replicates of the audit"}
                )
    return pd.DataFrame(rows, columns=POWER_COLUMNS)


def _strata(stratum: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of each image's stratum, and each stratum's share of the split."""
    names, of_stratum = np.unique(stratum, return_inverse=True)
    mass = np.bincount(of_stratum, weight, minlength=len(names))
    return of_stratum, mass / mass.sum() if len(names) else mass


def _stratum_joints(
    judged: np.ndarray,
    label: np.ndarray,
    k: int,
    of_stratum: np.ndarray,
    shares: np.ndarray,
    multiplier: np.ndarray,
    pseudo: float = 10.0,
) -> np.ndarray:
    """Smoothed P(human, silver | stratum), shape (H, (K + 1)²), rows sum to 1."""
    in_stratum = (of_stratum == np.arange(len(shares))[:, None]) * multiplier
    raw = abstention_tables(judged, label, k, in_stratum)
    seen = raw.sum((1, 2), keepdims=True)
    own = np.divide(raw, seen, out=np.zeros_like(raw), where=seen > 0)
    overall = np.tensordot(shares * (seen[:, 0, 0] > 0), own, axes=1)
    overall /= overall.sum()
    spread = np.outer(overall.sum(1), overall.sum(0))
    overall = (seen.sum() * overall + spread) / (seen.sum() + 1)
    return ((seen * own + pseudo * overall) / (seen + pseudo)).reshape(len(shares), -1)


def _simulate(
    joints: np.ndarray,
    shares: np.ndarray,
    design: str,
    size: int,
    draws: int,
    k: int,
    rng: np.random.Generator,
) -> float:
    """Standard deviation of macro-F1 over simulated audits of `size` images."""
    if design == "simple":
        joints, shares = (shares @ joints)[None], np.ones(1)
    each = size // len(shares) + (np.arange(len(shares)) < size % len(shares))
    total = np.zeros((draws, joints.shape[1]))
    for p, share, n in zip(joints, shares, each, strict=True):
        if n:
            # Numpy stops drawing cells once all n are placed, so the likely cells go first.
            order = np.argsort(-p)
            total[:, order] += rng.multinomial(n, p[order] / p.sum(), size=draws) * (share / n)
    return float(np.nanstd(macro_f1(total.reshape(draws, k + 1, k + 1)), ddof=1))


def draw_sample(
    strata: np.ndarray, per_stratum: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw an audit: the same number of images from every stratum, with what each one stands for.

    Args:
        strata: Stratum of every image of the split, shape (N,).
        per_stratum: Images wanted from each stratum; a smaller stratum is taken whole.
        rng: Source of randomness.

    Returns:
        (indices, weights): positions in the split in increasing order, shape (n,), and N_h / n_h of
        each, shape (n,).

    Raises:
        ValueError: If the split is empty or fewer than one image a stratum is asked for.
    """
    strata = np.asarray(strata)
    if per_stratum < 1 or len(strata) == 0:
        raise ValueError(
            f"per_stratum must be at least 1 and strata not empty; received {per_stratum} and "
            f"{len(strata)} images"
        )
    drawn, weights = [], []
    for name in np.unique(strata):
        members = np.flatnonzero(strata == name)
        taken = rng.choice(members, min(per_stratum, len(members)), replace=False)
        drawn.append(taken)
        weights.append(np.full(len(taken), len(members) / len(taken)))
    indices, weight = np.concatenate(drawn), np.concatenate(weights)
    order = np.argsort(indices)
    return indices[order], weight[order]
