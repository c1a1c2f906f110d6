"""Categories and attributes of the dual encoder: top-k, recall at k of multi-hot labels, and three tiers.

Statistics have the keys of `retrieval`'s, so that one table holds all that one checkpoint does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from swatchbook.evaluation.replicates import Replicates, Statistics, mean_of_defined, weighted_means
from swatchbook.evaluation.resample import tables
from swatchbook.evaluation.scores import Codes, f1
from swatchbook.schema import Schema

CATEGORY, ATTRIBUTES, TIERS = "category", "attributes", "three tiers"
LEAST = 5  # images of a class, for its F1 to be scored


def places(scores: np.ndarray) -> np.ndarray:
    """The columns of each row from the highest score to the lowest; ties in the order of the columns.

    Args:
        scores: Shape (n, K).
    """
    return np.argsort(-np.asarray(scores, dtype=float), axis=1, kind="stable")


def top_k(scores: np.ndarray, truth: np.ndarray, k: int) -> np.ndarray:
    """Whether the true class is among the k with the highest scores, shape (n,).

    Args:
        scores: Shape (n, K).
        truth: Codes, shape (n,).
        k: From 1 to K.
    """
    return (places(scores)[:, :k] == np.asarray(truth)[:, None]).any(1)


def recall_at_k(scores: np.ndarray, truth: np.ndarray, k: int) -> np.ndarray:
    """Share of each image's positives among the k attributes with the highest scores.

    Args:
        scores: Shape (n, A).
        truth: Zeros and ones, shape (n, A).
        k: From 1 to A.

    Returns:
        Shape (n,); NaN where an image has no positive.
    """
    truth = np.asarray(truth) == 1
    hits = np.take_along_axis(truth, places(scores)[:, :k], axis=1).sum(1)
    positives = truth.sum(1)
    return np.divide(hits, positives, out=np.full(len(truth), np.nan), where=positives > 0)


def category_statistics(
    truth: np.ndarray,
    scores: Mapping[tuple[str, str], np.ndarray],
    weights: np.ndarray,
    ks: Sequence[int] = (1, 5),
) -> Statistics:
    """Top-k accuracy of the category.

    Args:
        truth: Codes, shape (n,).
        scores: (model, stage) → scores of the classes, shape (n, K).
        weights: As `replicates.with_ones` gives them, shape (1 + B, n).
        ks: Which k.
    """
    return {
        (*model, CATEGORY, "", "accuracy", k): Replicates(
            weighted_means(top_k(given, truth, k), weights), len(truth)
        )
        for model, given in scores.items()
        for k in ks
    }


def attribute_statistics(
    truth: np.ndarray,
    scores: Mapping[tuple[str, str], np.ndarray],
    train: np.ndarray,
    weights: np.ndarray,
    *,
    ks: Sequence[int] = (1, 3, 5),
    task: str = ATTRIBUTES,
) -> Statistics:
    """Recall at k of attributes, averaged over images, beside its ceiling and what no image is needed for.

    Args:
        truth: Zeros and ones, shape (n, A).
        scores: (model, stage) → scores of the attributes, shape (n, A).
        train: Zeros and ones of the training images, shape (m, A): always answering the most frequent
            attributes is ``constant prior``.
        weights: As `replicates.with_ones` gives them, shape (1 + B, n).
        ks: Which k.
        task: Which attributes these are, where there are several sets of them.

    Returns:
        Metric ``recall``. With p positives no image can have more than min(k, p)/p: model ``ceiling``.
    """
    truth = np.asarray(truth) == 1
    prior = np.broadcast_to((np.asarray(train) == 1).mean(0), truth.shape)
    given = {**scores, ("constant prior", ""): prior, ("ceiling", ""): truth.astype(float)}
    n = int(truth.any(1).sum())
    return {
        (*model, task, "", "recall", k): Replicates(weighted_means(recall_at_k(values, truth, k), weights), n)
        for model, values in given.items()
        for k in ks
    }


def three_tier_statistics(
    truth: Codes,
    answers: Mapping[tuple[str, str], Codes],
    schema: Schema,
    weights: np.ndarray,
    na: str = "na",
    support: Codes | None = None,
) -> Statistics:
    """Three questions of each attribute: all classes, does it apply, and which class where it does.

    Args:
        truth: Attribute → codes, shape (n,), −1 where there is no label.
        answers: (model, stage) → attribute → codes, shape (n,).
        schema: Gives the attributes; those without a class `na` are left out.
        weights: As `replicates.with_ones` gives them, shape (1 + B, n).
        na: The class that says that an attribute does not apply.
        support: Attribute → codes that decide which classes are scored, those with `LEAST` of them; None: the
            truth's. The F1 of a rarer class is a matter of luck, and its class comes and goes in a bootstrap.

    Returns:
        Task ``three tiers <attribute>``, and ``three tiers mean`` over attributes; metrics ``macro_f1`` (all
        classes, `na` among them), ``na_f1`` (of that class alone) and ``visible_macro_f1`` (over the images
        where the attribute applies; answering `na` there is wrong). Means are over the classes that are
        scored; NaN where these are fewer than two, since one alone cannot be missed.

    Source:
        Shukla & Sonalkar (2026), arXiv 2601.15711.
    """
    statistics: dict[tuple, Replicates] = {}
    for model, given in answers.items():
        over: dict[str, list[Replicates]] = {"macro_f1": [], "na_f1": [], "visible_macro_f1": []}
        for a in (a for a in schema if na in a.classes):
            counts = tables(truth[a.name], given[a.name], (len(a), len(a)), weights)
            place, decide = a.classes.index(na), (truth if support is None else support)[a.name]
            scored = np.bincount(decide[decide >= 0], minlength=len(a)) >= LEAST
            visible = counts.copy()
            visible[:, place] = 0
            other = scored & (np.arange(len(a)) != place)
            every, where = (
                np.where(of & (of.sum() > 1), f1(found), np.nan)
                for of, found in ((scored, counts), (other, visible))
            )
            n, m = int(counts[0].sum()), int(visible[0].sum())
            words = f"; over {{}} classes with {LEAST} images or more".format
            found = {
                "macro_f1": Replicates(mean_of_defined(every), n, words(scored.sum())),
                "na_f1": Replicates(every[:, place], n),
                "visible_macro_f1": Replicates(mean_of_defined(where), m, words(other.sum())),
            }
            for metric, value in found.items():
                over[metric].append(value)
                statistics[(*model, f"{TIERS} {a.name}", "", metric, np.nan)] = value
        for metric, each in over.items():
            samples = mean_of_defined(np.stack([value.samples for value in each], axis=1))
            defined = sum(not np.isnan(value.samples[0]) for value in each)
            note = f"; mean of {defined} attributes"
            most = max(value.n for value in each)
            statistics[(*model, f"{TIERS} mean", "", metric, np.nan)] = Replicates(samples, most, note)
    return statistics
