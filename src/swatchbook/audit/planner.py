"""How wide an audit's intervals will be before anyone judges, how wide they are now, and what to judge next.

Both statistics are linearised: to first order an estimate moves by the weighted mean of each image's
influence on it, so its variance is that of a stratified mean. Before the audit the influences are expected
from the labeller's confidences; during the audit they are estimated from the answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from scipy import stats

from swatchbook.audit.designs import DESIGNS, Design, aligned, make_design, of_test_split
from swatchbook.evaluation.linearisation import expected_influences, influences
from swatchbook.evaluation.weighted_scores import NO_HUMAN_LABEL
from swatchbook.schema import Attribute, Schema

SIZES = tuple(range(100, 2001, 100))
STATISTICS = ("accuracy", "macro_f1")
PLAN_COLUMNS = ["attribute", "design", "statistic", "size", "value", "low", "high", "n", "interval"]
PROGRESS_COLUMNS = ["attribute", "statistic", "estimate", "value", "low", "high", "n", "interval"]
NEXT_COLUMNS = ["stratum", "judged", "waiting", "population", "gain"]
UNLABELLED = "not estimable: no image is labelled"
_WORST = 0.5  # right half the time: the accuracy that is hardest to pin down
_DOUBT = 0.1
_PRIOR = 2.0  # judgements that a stratum's variance is shrunk by towards that of all


@dataclass(frozen=True)
class _Progress:
    """Judged images (m of them) and strata (H), those with fewer than two judgements taken together.

    Attributes:
        codes: Attribute → the person's codes and the labeller's, shape (m,), and the number of classes.
        stratum: Each judged image's stratum, shape (m,).
        group: Its stratum or what that is taken together with, shape (m,).
        weight: Images of the split that it stands for by now, shape (m,).
        names: The strata's codes, shape (H,).
        asked: Images of the sample in each, shape (H,).
        done: Images judged, shape (H,).
        population: Images of the split, shape (H,).
        group_done: Images judged in each group, shape (H,), 0 where a stratum is in another's group.
        group_population: Images of the split in each group, likewise.
    """

    codes: Mapping[str, tuple[np.ndarray, np.ndarray, int]]
    stratum: np.ndarray
    group: np.ndarray
    weight: np.ndarray
    names: np.ndarray
    asked: np.ndarray
    done: np.ndarray
    population: np.ndarray
    group_done: np.ndarray
    group_population: np.ndarray


def plan_table(
    test: pd.DataFrame,
    silver: pd.DataFrame,
    schema: Schema,
    *,
    sizes: Sequence[int] = SIZES,
    designs: Sequence[str] = DESIGNS,
    attribute: str | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Expected half-width (the ±) of the intervals of weighted accuracy and macro-F1, for each audit's size.

    A label of confidence p is taken to be right with probability p and else any other class, as often as it
    is labelled; an abstention counts as wrong, as in the audit's table. An attribute that a rule labels has
    no confidence: it is planned for the worst case, right half the time.

    Args:
        test: As in `draw_audit`.
        silver: As in `draw_audit`; needed for both designs.
        schema: Gives attributes and classes.
        sizes: Numbers of judgements n.
        designs: Of `DESIGNS`.
        attribute: As in `draw_audit`.
        level: Confidence level of the intervals planned.

    Returns:
        Columns `PLAN_COLUMNS`; n is the number of images in the split. ``low`` and ``high`` are the least
        and the greatest half-width if labels are right ten points more or less often than their confidence
        says. Where a size cannot be drawn or an attribute has no label, there is no value and ``interval``
        says why.

    Raises:
        ValueError: As `draw_audit`, but for sizes that cannot be drawn.

    Source:
        Linearised variances as in Särndal, Swensson & Wretman (1992), Model Assisted Survey Sampling, 5.5.
    """
    split = of_test_split(test)
    labels = aligned(silver, split["image_id"])
    codes = schema.encode(labels, "silver")
    expected = {a.name: _scenarios(labels, codes[a.name], a) for a in schema if (codes[a.name] >= 0).any()}
    z = stats.norm.ppf((1 + level) / 2)
    rows = []
    for design, size in product(designs, sizes):
        plan = _possible(split, labels, schema, design, size, attribute if design == "neyman" else None)
        for a, statistic in product(schema, STATISTICS):
            row = {"attribute": a.name, "design": design, "statistic": statistic, "size": size}
            row |= {"n": len(split), "interval": plan if isinstance(plan, str) else UNLABELLED}
            if not isinstance(plan, str) and a.name in expected:
                moments, source = expected[a.name]
                which = STATISTICS.index(statistic)
                widths = [z * _standard_error(plan, *moment[which]) for moment in moments]
                row |= {"value": widths[0], "low": min(widths), "high": max(widths)}
                row["interval"] = f"{level:.0%}, expected from {source}"
            rows.append(row)
    return pd.DataFrame(rows, columns=PLAN_COLUMNS)


def progress_table(
    sample: pd.DataFrame,
    answers: pd.DataFrame,
    silver: pd.DataFrame,
    schema: Schema,
    *,
    level: float = 0.95,
) -> pd.DataFrame:
    """How well each statistic is known by now; made to be asked again after every few judgements.

    Strata with fewer than two judgements so far are taken together. A stratum's variance is shrunk towards
    that of all by two judgements, so that a few agreeing answers do not pass for certainty.

    Args:
        sample: As `draw_audit` gives it.
        answers: ``image_id`` and a column an attribute, a row a first judgement; what is no class of the
            schema (blank, "can't tell", "several") is not scored. Of an image with several rows the first
            counts.
        silver: As in `draw_audit`, for the images of the sample.
        schema: Gives attributes and classes.
        level: Confidence level of the intervals.

    Returns:
        Columns `PROGRESS_COLUMNS`: the estimate so far, and as ``value`` the half-width of its interval
        (``low`` and ``high`` are the interval's ends, within [0, 1]), from n scored answers. An abstention
        counts as wrong. Class means are over the classes that a person has named so far.

    Raises:
        ValueError: If an answer is of an image outside the sample, or an image lacks its silver label.
    """
    now = _judged_so_far(sample, answers, silver, schema)
    z, rows = stats.norm.ppf((1 + level) / 2), []
    for name, (judged, label, k) in now.codes.items():
        n = int((judged >= 0).sum())
        estimates, both = influences(judged, label, k, now.weight)
        for statistic, estimate, influence in zip(STATISTICS, estimates, both, strict=True):
            row = {"attribute": name, "statistic": statistic, "estimate": estimate, "n": n}
            row["interval"] = NO_HUMAN_LABEL if n == 0 else "not estimable: one judged image"
            if n >= 2:
                half = z * np.sqrt(_variances(influence, now).sum())
                row |= {"value": half, "low": max(estimate - half, 0.0), "high": min(estimate + half, 1.0)}
                row["interval"] = f"{level:.0%} normal, linearised, by strata"
            rows.append(row)
    return pd.DataFrame(rows, columns=PROGRESS_COLUMNS)


def next_strata(
    sample: pd.DataFrame, answers: pd.DataFrame, silver: pd.DataFrame, schema: Schema
) -> pd.DataFrame:
    """Which stratum the next judgement should come from.

    Args:
        sample: As in `progress_table`.
        answers: As in `progress_table`.
        silver: As in `progress_table`.
        schema: As in `progress_table`.

    Returns:
        Columns `NEXT_COLUMNS`, the best first: judgements so far, items of the sample still waiting, images
        of the split, and ``gain``, the share of the variance that one more judgement is expected to take
        away, W²S² / m(m + 1), meant over attributes and over both statistics. A stratum without a
        judgement comes first: until it has one, others must stand for it. Strata with nothing waiting are
        left out.

    Raises:
        ValueError: As `progress_table`.
    """
    now = _judged_so_far(sample, answers, silver, schema)
    each, done = now.population, now.done
    gains = []
    for judged, label, k in now.codes.values():
        if (judged >= 0).sum() < 2:
            continue
        for influence in influences(judged, label, k, now.weight)[1]:
            whole = _variances(influence, now).sum()
            if whole > 0:
                spread = _shrunk(influence, now.stratum, len(done))
                share = (each / each.sum()) ** 2 * spread
                gains.append(share / np.maximum(done * (done + 1), 1) / whole)
    table = pd.DataFrame(
        {
            "stratum": now.names,
            "judged": done,
            "waiting": now.asked - done,
            "population": each.round().astype(int),
            "gain": np.where(done == 0, np.inf, np.mean(gains, axis=0) if gains else each / each.sum()),
        }
    )
    # Among strata nobody has judged yet, the largest is the worst gap.
    order = table.sort_values(["gain", "population"], ascending=False, kind="stable")
    return order.loc[order["waiting"] > 0, NEXT_COLUMNS].reset_index(drop=True)


def _possible(
    split: pd.DataFrame, labels: pd.DataFrame, schema: Schema, design: str, n: int, attribute: str | None
) -> Design | str:
    if n > len(split):
        return f"not possible: the test split has {len(split):,} images"
    if design == "fabric" and n < 2 * split["folder"].nunique():
        return f"not possible: {split['folder'].nunique()} fabrics need two images each"
    return make_design(split, labels, schema, design=design, n=n, attribute=attribute)


def _scenarios(labels: pd.DataFrame, code: np.ndarray, a: Attribute) -> tuple[list, str]:
    """Each statistic's expected influence and squared influence an image; as is, worse and better."""
    sure = labels[f"{a.name}_confidence"].to_numpy(dtype=float)
    known = not np.isnan(sure).all()
    sure = np.where(np.isnan(sure), _WORST, sure)
    shifts = (0.0, -_DOUBT, _DOUBT) if known else (0.0,)
    source = "the labeller's confidences" if known else "the worst case: no confidences"
    return [
        expected_influences(code, np.clip(sure + shift, 1 / len(a), 1.0), len(a)) for shift in shifts
    ], source


def _standard_error(plan: Design, first: np.ndarray, second: np.ndarray) -> float:
    """Standard error of the stratified mean whose images have these expected moments."""
    population = np.bincount(plan.stratum)
    mean, square = (np.bincount(plan.stratum, x) / population for x in (first, second))
    share = population / population.sum()
    left = 1 - plan.drawn / population
    return float(np.sqrt((share**2 * np.maximum(square - mean**2, 0) / plan.drawn * left).sum()))


def _judged_so_far(
    sample: pd.DataFrame, answers: pd.DataFrame, silver: pd.DataFrame, schema: Schema
) -> _Progress:
    items = sample[sample["repeat"] == 0]
    first = answers.drop_duplicates("image_id").reset_index(drop=True)
    ids = pd.Index(items["image_id"].to_numpy(dtype=object))
    strange = ids.get_indexer(first["image_id"].to_numpy(dtype=object)) < 0
    if strange.any():
        raise ValueError(
            f"answers: image {first['image_id'][strange].iloc[0]!r} is none of the sample's {len(items):,}"
        )
    given = first[list(schema.names)].astype(object)
    first = first[(given.notna() & (given != "")).any(axis=1)].reset_index(drop=True)
    names, of_item = np.unique(items["stratum"].to_numpy(dtype=object).astype(str), return_inverse=True)
    asked = np.bincount(of_item)
    population = np.bincount(of_item, items["weight"].to_numpy(dtype=float))
    stratum = of_item[ids.get_indexer(first["image_id"].to_numpy(dtype=object))]
    done = np.bincount(stratum, minlength=len(names))
    group = _collapsed(done)
    group_population = np.bincount(group, population, minlength=len(names))
    group_done = np.bincount(group, done, minlength=len(names)).astype(np.int64)
    weight = (group_population / np.maximum(group_done, 1))[group[stratum]]
    labels = schema.encode(aligned(silver, first["image_id"]), "silver")
    codes = {
        a.name: (pd.Index(a.classes).get_indexer(first[a.name].astype(object)), labels[a.name], len(a))
        for a in schema
    }
    of_image = (stratum, group[stratum], weight)
    return _Progress(codes, *of_image, names, asked, done, population, group_done, group_population)


def _collapsed(done: np.ndarray) -> np.ndarray:
    """A group for each stratum: itself, or for those with fewer than two judgements one together."""
    group, thin = np.arange(len(done)), done < 2
    if thin.any():
        if done[thin].sum() < 2 and not thin.all():
            thin[np.argmin(np.where(thin, np.inf, done))] = True
        group[thin] = np.flatnonzero(thin)[0]
    return group


def _shrunk(influence: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Variance of the influence in each group, shrunk towards that of all by `_PRIOR` judgements."""
    m = np.bincount(group, minlength=groups)
    mean = np.bincount(group, influence, minlength=groups) / np.maximum(m, 1)
    squares = np.bincount(group, (influence - mean[group]) ** 2, minlength=groups)
    pooled = influence.var(ddof=1) if len(influence) > 1 else 0.0
    return (squares + _PRIOR * pooled) / (np.maximum(m - 1, 0) + _PRIOR)


def _variances(influence: np.ndarray, now: _Progress) -> np.ndarray:
    """Each group's part of the estimate's variance."""
    total, judged = now.group_population, now.group_done
    spread = _shrunk(influence, now.group, len(total))
    share, left = total / total.sum(), 1 - judged / np.maximum(total, 1)
    return np.where(judged > 0, share**2 * spread / np.maximum(judged, 1) * np.maximum(left, 0), 0.0)
