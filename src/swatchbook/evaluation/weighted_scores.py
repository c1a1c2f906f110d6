"""Scores of a stratified sample: of a whole head and of each class, with intervals that hold near 1.

An abstention is a wrong label of no class. What rests on fewer than `FEWEST` judged images is "not
estimable" and never a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from swatchbook.evaluation.misclassification import (
    WHAT_IF_COLUMNS,
    ErrorShare,
    corrected,
    without_errors,
    words,
)
from swatchbook.evaluation.resample import tables
from swatchbook.evaluation.scores import BY_CLASS, WHOLE_HEAD, sums_of
from swatchbook.evaluation.survey import error_rate, inverse, ratio_influence

FEWEST = 4
MISSING_CLASSES = 0.25  # share of the classes that macro-F1 may lack judged images of
NO_HUMAN_LABEL = "not estimable: never judged"
NO_JUDGED_IMAGE = "not estimable: no judged image"
TOO_FEW = f"not estimable: fewer than {FEWEST} judged images"


class Estimates(NamedTuple):
    """Scores of one head with their ends; `whole` of them first, then `by_class` of every class.

    Attributes:
        value: Shape (S,).
        low: Shape (S,).
        high: Shape (S,).
        n: Judged images behind each, shape (S,).
        interval: How each interval was made, or why there is none.
        what_if: Ends if the annotator errs, shape (S, 6); NaN where that is known.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: np.ndarray
    interval: list[str]
    what_if: np.ndarray


def abstention_tables(reference: np.ndarray, label: np.ndarray, k: int, weights: np.ndarray) -> np.ndarray:
    """Reference × label tables whose last class is "no label".

    The reference never holds the last class, so scores that average over the classes the reference
    holds count an abstention as wrong and no more.

    Args:
        reference: Codes 0…K−1, −1 is left out; shape (n,).
        label: Codes 0…K−1, −1 is an abstention; shape (n,).
        k: Number of classes K.
        weights: Shape (B, n).

    Returns:
        Shape (B, K + 1, K + 1).
    """
    return tables(np.asarray(reference), np.where(label < 0, k, label), (k + 1, k + 1), weights)


def stacked_scores(counts: np.ndarray, whole: tuple[str, ...], by_class: tuple[str, ...]) -> np.ndarray:
    """Scores of tables from `abstention_tables`, shape (…, S): the head's, then those of each class."""
    sums = sums_of(counts)
    heads = [WHOLE_HEAD[name](sums)[..., None] for name in whole]
    return np.concatenate([*heads, *(BY_CLASS[name](sums)[..., :-1] for name in by_class)], axis=-1)


def head_estimates(
    judged: np.ndarray,
    label: np.ndarray,
    k: int,
    *,
    stratum: np.ndarray,
    weights: Sequence[np.ndarray],
    level: float,
    whole: tuple[str, ...] = tuple(WHOLE_HEAD),
    by_class: tuple[str, ...] = tuple(BY_CLASS),
    occurs: np.ndarray | None = None,
    error: ErrorShare | None = None,
) -> list[Estimates]:
    """Scores of labels against a person's, by each of several weightings of a stratified sample.

    Accuracy, recall and precision are shares, and F1 = 2j / (1 + j) with j the share of hits among the
    images that either side gives the class. Macro-F1 and weighted F1 lose by each error what it takes from
    the two classes concerned. All are one less an `error_rate`. A class without a judged image that may
    occur is taken, in macro-F1, to be like the mean of the others, and nothing to be known of it.

    Args:
        judged: The person's codes, −1 is not scored; shape (n,).
        label: The labeller's codes, −1 an abstention; shape (n,).
        k: Number of classes K.
        stratum: Stratum of each image, 0…H−1, shape (n,).
        weights: What each image stands for, above 0, W times of shape (n,).
        level: Confidence level in (0, 1).
        whole: Which of accuracy, macro_f1 and weighted_f1 are wanted.
        by_class: Which of f1, precision and recall are wanted.
        occurs: Whether each class may occur in the split, shape (K,); those judged or labelled by default.
        error: The annotator's share of errors, if it is known.

    Returns:
        W times the scores in the order of `stacked_scores`. ``n`` is the number of judged images for a head,
        the class's own for F1 and recall, those so labelled for precision.
    """
    kept = np.flatnonzero(judged >= 0)
    if not kept.size:
        size = len(whole) + k * len(by_class)
        nothing = np.full(size, np.nan)
        parts = (nothing, nothing, nothing, np.full((size, len(WHAT_IF_COLUMNS)), np.nan))
        return [estimates(parts, np.zeros(size, dtype=int), "", whole, (0, 1)) for _ in weights]
    t, s = judged[kept], np.where(label[kept] < 0, k, label[kept])
    every = np.stack([*weights, np.ones(len(judged))])
    counts = tables(judged, np.where(label < 0, k, label), (k + 1, k + 1), every)
    counts, plain = counts[:-1], counts[-1]
    support, predicted = plain.sum(1)[:k].astype(int), plain.sum(0)[:k].astype(int)
    possible = _possible(support, predicted, occurs)
    given = [
        _potential(table, t, s, w[kept], k, whole, by_class) for table, w in zip(counts, weights, strict=True)
    ]
    missing = int((possible & (support == 0)).sum()), max(int(possible.sum()), 1)
    covered, unseen = np.ones(len(whole) + k * len(by_class)), np.zeros(len(whole) + k * len(by_class))
    if "macro_f1" in whole:
        i, (lacking, classes) = whole.index("macro_f1"), missing
        covered[i], unseen[i] = 1 - lacking / classes, lacking / classes**2
    potential, influence = (np.concatenate(parts, axis=1) for parts in zip(*given, strict=True))
    ways = len(given)
    rate = error_rate(
        potential, (t != s).astype(float), stratum[kept], influence,
        covered=np.tile(covered, ways), unseen=np.tile(unseen, ways),
    )  # fmt: skip
    is_f1 = np.repeat([False, *(name == "f1" for name in by_class)], [len(whole), *[k] * len(by_class)])
    low, high = (1 - end for end in rate.interval(level)[::-1])
    low, high = (np.where(np.tile(is_f1, ways), 2 * end / (1 + end), end) for end in (low, high))

    value = stacked_scores(counts, whole, by_class).ravel()
    low, high = np.minimum(low, value), np.maximum(high, value)

    def at(error: np.ndarray) -> np.ndarray:
        scores = stacked_scores(without_errors(counts, error[:, None]), whole, by_class)
        return scores.reshape(len(error), -1)

    parts = corrected(value, low, high, k, at, error)
    behind = [predicted if name == "precision" else support for name in by_class]
    n = np.concatenate([[len(kept)] * len(whole), *behind]).astype(int)
    how = f"{level:.0%} Wilson at the effective size; {words(error)}"
    by_weights = zip(*(np.split(x, ways) for x in parts), strict=True)
    return [estimates(part, n, how, whole, missing) for part in by_weights]


def _possible(support: np.ndarray, predicted: np.ndarray, occurs: np.ndarray | None) -> np.ndarray:
    return (support > 0) | ((predicted > 0) if occurs is None else occurs)


def _potential(
    table: np.ndarray,
    t: np.ndarray,
    s: np.ndarray,
    w: np.ndarray,
    k: int,
    whole: tuple[str, ...],
    by_class: tuple[str, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """What each image would take from each score if it were wrong, and its influence, shape (n, S) each."""
    truth, labelled, hits = table.sum(1)[:k], table.sum(0)[:k], np.diagonal(table)[:k]
    held = truth > 0
    size = np.where(held, truth + labelled, 0.0)
    one = inverse(size)
    share = {
        "accuracy": np.full(k + 1, 0.5),
        "macro_f1": np.append(one, 0.0),
        "weighted_f1": np.append(truth * one, 0.0),
    }
    f1 = np.append(2 * hits * one, 0.0)
    wrong = (t != s).astype(float)
    of_truth, of_label = (w[:, None] * np.eye(k + 1)[code][:, :k] for code in (t, s))
    domains = {"f1": np.maximum(of_truth, of_label), "recall": of_truth, "precision": of_label}
    heads = [(w * (share[name][t] + share[name][s]))[:, None] for name in whole]
    potential = np.concatenate([*heads, *(domains[name] for name in by_class)], axis=1)
    influence = ratio_influence(potential, wrong)
    for i, name in enumerate(whole):
        if name != "accuracy":
            lost = f1[t] * share[name][t] + f1[s] * share[name][s] - 2 * (1 - wrong) * share[name][t]
            if name == "weighted_f1":
                lost += truth @ f1[:k] / truth.sum() - f1[t]
            influence[:, i] = w * lost / (held.sum() if name == "macro_f1" else truth.sum())
    return potential, influence


def estimates(
    parts: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    n: np.ndarray,
    how: str,
    whole: tuple[str, ...],
    missing: tuple[int, int],
) -> Estimates:
    """Scores of one head, NaN and "not estimable" where too little was judged.

    Args:
        parts: Value, low, high and what-if, as `corrected` gives them.
        n: Judged images behind each score, shape (S,).
        how: The words for the interval.
        whole: The scores of the whole head, which come first.
        missing: Classes without a judged image, and classes that may occur.
    """
    texts, (lacking, classes), judged = [how] * len(n), missing, n[0] if whole else n.sum()
    if lacking and "macro_f1" in whole:
        some = f"{classes - lacking} of {classes} classes judged"
        enough = lacking <= MISSING_CLASSES * classes
        texts[whole.index("macro_f1")] = f"{how}; {some}" if enough else f"not estimable: {some}"
    for i in np.flatnonzero(n < FEWEST):
        texts[i] = TOO_FEW if n[i] else NO_HUMAN_LABEL if judged == 0 else NO_JUDGED_IMAGE
    unknown = np.array([text.startswith("not estimable") for text in texts], dtype=bool)
    value, low, high = (np.where(unknown, np.nan, x) for x in parts[:3])
    return Estimates(value, low, high, n, texts, np.where(unknown[:, None], np.nan, parts[3]))


def score_rows(
    estimates: Estimates, classes: tuple[str, ...], whole: tuple[str, ...], by_class: tuple[str, ...]
) -> Iterator[dict]:
    """Rows of `head_estimates`: ``class`` ("all" for a whole head), ``statistic``, and its columns."""
    names = [("all", name) for name in whole] + [(c, name) for name in by_class for c in classes]
    for i, (label, statistic) in enumerate(names):
        yield {
            "class": label,
            "statistic": statistic,
            "value": estimates.value[i],
            "low": estimates.low[i],
            "high": estimates.high[i],
            "n": estimates.n[i],
            "interval": estimates.interval[i],
            **dict(zip(WHAT_IF_COLUMNS, estimates.what_if[i], strict=True)),
        }
