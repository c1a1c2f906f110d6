"""Threshold certification: thresholds that keep a promise about the labels they let through.

One half of the audit chooses, the other half reports. The thresholds that can be chosen are fixed before
any answer is looked at, from the confidences of the whole split, so how many labels a threshold keeps is
counted and not estimated. Risks are weighted by what each judged image stands for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special, stats

from swatchbook.evaluation.survey import check_design
from swatchbook.schema import Schema

Codes = Mapping[str, np.ndarray]

COLUMNS = ["attribute", "part", "statistic", "value", "low", "high", "n", "interval"]
STARTS = 3  # sequences of thresholds; with one, a single mistake among the surest few would end the search
UNCERTIFIED = "nothing certified"


class Threshold(NamedTuple):
    """A chosen threshold: accept an item if its confidence is at least `value`.

    Attributes:
        value: The threshold; infinite where nothing can be accepted.
        coverage: Share of the calibration items accepted, in [0, 1].
        accepted: Number of them.
        errors: Number of errors among them.
    """

    value: float
    coverage: float
    accepted: int
    errors: int


NOTHING = Threshold(float("inf"), 0.0, 0, 0)


def certify_thresholds(
    human: Codes,
    label: Codes,
    confidence: Mapping[str, np.ndarray],
    population: Mapping[str, np.ndarray],
    schema: Schema,
    *,
    stratum: np.ndarray,
    weight: np.ndarray,
    alpha: float = 0.1,
    delta: float = 0.05,
    rng: np.random.Generator,
    level: float = 0.95,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """For each attribute, the loosest threshold whose labels are certified to be wrong at most α of the time.

    Each promise stands alone: with four attributes, one of four may fail with up to four times δ.

    Args:
        human: Attribute → codes of the judged images, shape (n,), −1 where the person could not tell: such
            images are left out, so that the promise is about those of which one can.
        label: Attribute → codes of the surest class, shape (n,), whether or not the labeller then abstained;
            −1 where it saw nothing.
        confidence: Attribute → confidence in that class, in [0, 1], shape (n,). An attribute whose
            confidences are all NaN (a rule gave it) is left out.
        population: Attribute → the confidences of the whole split, shape (N,).
        schema: Gives the attributes.
        stratum: Stratum of each judged image, shape (n,).
        weight: How many images of the split each one stands for, shape (n,), positive.
        alpha: Highest risk promised among the labels kept, in (0, 1).
        delta: Probability with which a promise may fail, in (0, 1).
        rng: Source of randomness, for the halves.
        level: Confidence level of the reported risk's interval.

    Returns:
        (table, thresholds). Columns `COLUMNS`; per attribute ``threshold`` and ``promised_risk`` (part
        "chosen on"), ``coverage`` (part "whole split") and ``risk`` (part "reported on"; the half that had no
        say). Thresholds: attribute → the least confidence to keep, only where one could be certified.

    Raises:
        ValueError: If lengths differ, or a weight, α, δ or a confidence is out of range.

    Source:
        Angelopoulos, Bates, Candès, Jordan & Lei (2021), Learn then Test, arXiv 2110.01052.
    """
    stratum, weight = check_design(stratum, weight, {"human": human, "label": label}, schema)
    for name, value in (("alpha", alpha), ("delta", delta)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1; received {value}")
    chooses = halves(stratum, rng)
    rows, thresholds = [], {}
    for a in schema:
        sure, every = (np.asarray(x[a.name], dtype=float) for x in (confidence, population))
        if len(sure) != len(stratum):
            raise ValueError(
                f"confidence: {a.name} has {len(sure)} entries; the audit has {len(stratum)} images"
            )
        every = every[~np.isnan(every)]
        if not len(every):
            continue
        if not (every.min() >= 0 and every.max() <= 1):
            raise ValueError(f"{a.name}: confidence {every.min():g} to {every.max():g}; 0 to 1 is allowed")
        seen = ~np.isnan(sure) & (human[a.name] >= 0) & (label[a.name] >= 0)
        correct = human[a.name] == label[a.name]
        one, other = seen & chooses, seen & ~chooses
        parts = [
            _half(stratum, weight, part, chooses == side) for part, side in ((one, True), (other, False))
        ]
        chosen = weighted_learn_then_test(
            sure[one], correct[one], thresholds_at(every), *parts[0], alpha=alpha, delta=delta, starts=STARTS
        )
        rows += [{"attribute": a.name} | row for row in _chosen_rows(chosen, one.sum(), alpha, delta)]
        if chosen.accepted:
            thresholds[a.name] = chosen.value
            kept = float((every >= chosen.value).mean())
            counted = dict.fromkeys(("value", "low", "high"), kept) | {"n": len(every), "interval": "counted"}
            rows.append({"attribute": a.name, "part": "whole split", "statistic": "coverage"} | counted)
            risk = risk_row(sure[other] >= chosen.value, ~correct[other], *parts[1], level)
            rows.append({"attribute": a.name, "part": "reported on", "statistic": "risk"} | risk)
    return pd.DataFrame(rows, columns=COLUMNS), thresholds


def halves(stratum: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which items fall into the first half: boolean, shape (n,), as even in every stratum as can be.

    Args:
        stratum: Stratum of each item, shape (n,).
        rng: Source of randomness.
    """
    return folds(stratum, 2, rng) == 0


def folds(stratum: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Fold 0…k−1 of each item, dealt at random within strata, the deal going on from one to the next."""
    order = np.lexsort((rng.random(len(stratum)), np.unique(stratum, return_inverse=True)[1]))
    fold = np.empty(len(order), dtype=int)
    fold[order] = (np.arange(len(order)) + rng.integers(k)) % k
    return fold


def thresholds_at(confidence: np.ndarray, start: float = 0.3, step: float = 0.05) -> np.ndarray:
    """Confidences that keep a share of ``start``, ``start + step``, … and all of a split, strict to loose.

    Args:
        confidence: Of the whole split, shape (N,).
        start: Share kept by the strictest one, in (0, 1]; a stricter one would rest on too few items.
        step: From one to the next, above 0.
    """
    shares = np.append(np.arange(start, 1 - 1e-9, step), 1.0)
    ranked = np.sort(confidence)[::-1]
    return np.unique(ranked[np.ceil(shares * len(ranked) - 1e-9).astype(int) - 1])[::-1]


def weighted_learn_then_test(
    confidence: np.ndarray,
    correct: np.ndarray,
    thresholds: np.ndarray,
    stratum: np.ndarray,
    weight: np.ndarray,
    *,
    alpha: float,
    delta: float,
    starts: int = 1,
) -> Threshold:
    """Learn-then-Test for a stratified sample: thresholds tested from strict to loose until one fails.

    The strictest threshold accepts few items, so that one mistake among them ends the sequence. With
    several starts, spread evenly over the thresholds, each sequence is tested at δ / starts, and the promise
    holds for all of them together (fixed sequences with multiple starts, same source).

    The p-value of "the weighted risk is above α" is the binomial tail where an image counts for its weight
    over the heaviest one. Keeping each image with that probability would make a sample of equal weights: its
    tail is exact, and within strata only safer (Hoeffding 1956, Ann. Math. Stat. 27:713–721); the expected
    counts vary less than kept ones would.

    Args:
        confidence: Shape (n,).
        correct: Whether each item is right, shape (n,).
        thresholds: Strict to loose, chosen without a look at ``correct``; see `thresholds_at`.
        stratum: Stratum of each item, shape (n,).
        weight: What each item stands for, shape (n,).
        alpha: Highest risk allowed among accepted items, in (0, 1).
        delta: Probability with which the promise may fail, in (0, 1).
        starts: Number of sequences, at least 1.

    Returns:
        The loosest threshold certified, with the weighted share of the sample that it accepts, or `NOTHING`.

    Source:
        Angelopoulos et al. (2021), arXiv 2110.01052.
    """
    accepted, wrong = confidence >= thresholds[:, None], ~np.asarray(correct, dtype=bool)
    part = weight / weight.max(initial=1e-300)
    p = binomial_tail((accepted & wrong) @ part, accepted @ part, alpha)
    fails = np.flatnonzero(np.append(~(p <= delta / starts), True))
    firsts = np.arange(starts) * len(thresholds) // starts
    ends = fails[np.searchsorted(fails, firsts)]  # where each sequence breaks off
    passed = int(max(ends[ends > firsts], default=0))
    if passed == 0:
        return NOTHING
    last = accepted[passed - 1]
    share = float(weight[last].sum() / weight.sum())
    return Threshold(float(thresholds[passed - 1]), share, int(last.sum()), int((last & wrong).sum()))


def effective_risk(
    accepted: np.ndarray, wrong: np.ndarray, stratum: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted risk among accepted items, and how many items of a simple random sample would know it as well.

    The number accepted is divided by the larger of two design effects: of the weights alone (Kish), and of
    the linearised variance within strata, which also sees errors that lie in the heavy strata.

    Args:
        accepted: Shape (T, n), a row a threshold.
        wrong: Shape (n,).
        stratum: Shape (n,).
        weight: Shape (n,).

    Returns:
        (risk, size), each of shape (T,); NaN and 0 where nothing is accepted.
    """
    taken = accepted * weight
    total, count, n = taken.sum(1), accepted.sum(1), len(weight)
    risk = np.divide(taken @ wrong, total, out=np.full(len(total), np.nan), where=total > 0)
    risk = np.minimum(risk, 1.0)  # sums in another order can differ in the last bit
    kish = np.divide(count * (taken**2).sum(1), total**2, out=np.ones(len(total)), where=total > 0)
    influence = taken * (wrong - np.nan_to_num(risk)[:, None])
    _, index, members = np.unique(stratum, return_inverse=True, return_counts=True)
    within = np.eye(len(members))[index]
    # A stratum with one item shows no variance; held against 0 it shows at most what it could have.
    mean = np.where(members > 1, influence @ within / members, 0.0)
    scale = np.where(members > 1, members / np.maximum(members - 1, 1), 1.0)
    variance = ((influence - mean[:, index]) ** 2 @ (within * scale)).sum(1)
    simple = risk * (1 - risk) * total**2 / np.maximum(count, 1) * n / max(n - 1, 1)
    design = np.divide(variance, simple, out=np.ones(len(total)), where=np.nan_to_num(simple) > 0)
    return risk, count / np.maximum(np.maximum(kish, design), 1.0)


def binomial_tail(errors: np.ndarray, size: np.ndarray, p: float) -> np.ndarray:
    """P(Bin(size, p) ≤ errors), continued to fractions by the beta integral; 1 where size is 0 or errors NaN.

    Args:
        errors: At most ``size``, any shape.
        size: ≥ 0, same shape.
        p: In (0, 1).
    """
    known = (size > errors) & ~np.isnan(errors)
    spare = np.where(known, size - errors, 1.0)
    return np.where(known, special.betainc(spare, np.where(known, errors, 0.0) + 1, 1 - p), 1.0)


def risk_interval(risk: float, size: float, level: float) -> tuple[float, float]:
    """Clopper–Pearson's interval of a proportion at an effective size, which may be a fraction.

    Args:
        risk: In [0, 1].
        size: Above 0.
        level: In (0, 1).

    Source:
        Korn & Graubard (1998), Survey Methodology 24:193–201.
    """
    tail, errors = (1 - level) / 2, risk * size
    low = stats.beta.ppf(tail, errors, size - errors + 1) if errors > 0 else 0.0
    high = stats.beta.ppf(1 - tail, errors + 1, size - errors) if size - errors > 1e-9 else 1.0
    return float(low), float(high)


def statements(table: pd.DataFrame) -> dict[str, str]:
    """What was certified, attribute → one sentence.

    Args:
        table: As `certify_thresholds` gives it.
    """
    sentences = {}
    for name, rows in table.groupby("attribute", sort=False):
        row = rows.set_index("statistic")
        wrong = f"at most {row.loc['promised_risk', 'value']:.0%} wrong"
        sure = row.loc["promised_risk", "interval"].partition(" ")[0]
        if np.isnan(row.loc["threshold", "value"]):
            judged = f"the {int(row.loc['threshold', 'n'])} judged images do not show it"
            sentences[name] = f"No threshold keeps {name} labels with {wrong} ({sure}): {judged}."
            continue
        # Rounded down: a share of 71.8 % is not yet 72 %.
        kept = np.floor(100 * row.loc["coverage", "value"] + 1e-9)
        sentences[name] = (
            f"At {row.loc['threshold', 'value']:.3g}, {kept:.0f}% of {name} labels are kept, {wrong} ({sure})"
        )
        if not np.isnan(row.loc["risk", "value"]):
            value, low, high = (row.loc["risk", end] for end in ("value", "low", "high"))
            sentences[name] += f"; in the half held back {value:.0%} were wrong ({low:.0%} to {high:.0%})"
        sentences[name] += "."
    return sentences


def _half(
    stratum: np.ndarray, weight: np.ndarray, part: np.ndarray, side: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Strata and weights of one half's scored items: the half stands for the whole split."""
    _, index = np.unique(stratum, return_inverse=True)
    mine, all_of = np.bincount(index[side], minlength=index.max(initial=-1) + 1), np.bincount(index)
    return stratum[part], (weight * all_of[index] / np.maximum(mine[index], 1))[part]


def _chosen_rows(chosen: Threshold, judged: int, alpha: float, delta: float) -> list[dict]:
    same = {"part": "chosen on", "low": np.nan, "high": np.nan}
    how = f"{1 - delta:.0%} Learn-then-Test, weighted"
    value = chosen.value if chosen.accepted else np.nan
    promise = same | {"statistic": "promised_risk", "value": alpha, "n": chosen.accepted, "interval": how}
    if chosen.accepted:
        promise |= {"low": 0.0, "high": alpha}
        return [same | {"statistic": "threshold", "value": value, "n": int(judged), "interval": how}, promise]
    promise["interval"] = f"{how}: {UNCERTIFIED}"
    return [
        same | {"statistic": "threshold", "value": value, "n": int(judged), "interval": UNCERTIFIED},
        promise,
    ]


def risk_row(
    accepted: np.ndarray, wrong: np.ndarray, stratum: np.ndarray, weight: np.ndarray, level: float
) -> dict:
    """The weighted share of wrong labels among accepted images, as the last columns of a tidy table.

    Args:
        accepted: Whether each judged image is accepted, shape (n,).
        wrong: Whether its label is wrong, shape (n,).
        stratum: Shape (n,).
        weight: What each image stands for, shape (n,).
        level: Confidence level in (0, 1).
    """
    n = int(accepted.sum())
    if not n:
        why = "not estimable: no judged image above the threshold"
        return dict.fromkeys(("value", "low", "high"), np.nan) | {"n": 0, "interval": why}
    (risk,), (size,) = effective_risk(accepted[None], wrong, stratum, weight)
    low, high = risk_interval(risk, size, level)
    how = f"{level:.0%} Clopper–Pearson, effective size (Korn–Graubard)"
    return {"value": float(risk), "low": low, "high": high, "n": n, "interval": how}
