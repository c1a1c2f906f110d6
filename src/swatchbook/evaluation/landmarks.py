"""Landmarks, category and attributes of the multi-task network: the published metrics, and fairer ones.

Points are shares of the side of the picture that the network sees, so that distances are normalised. Every
function gives statistics under one set of image weights; `landmark_scores` and `landmark_differences` make
tables of them, over seeds and paired.

Source: Liu & Lu (2018), ECCV workshops, and its code, for the published forms; Liu et al. (2016), CVPR.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from swatchbook.evaluation.attributes import places, top_k
from swatchbook.evaluation.challenge import challenge_statistics
from swatchbook.evaluation.replicates import (
    NUMBERS,
    Replicates,
    Statistics,
    beside_others,
    differences,
    mean_of_defined,
    over_seeds,
    shares,
    tidy,
    weighted_means,
    with_ones,
)
from swatchbook.evaluation.scores import Codes
from swatchbook.schema import Schema

Trainings = Mapping[str, Mapping[int, Statistics]]  # model → seed → statistics
COLUMNS = ["model", "seed", "task", "name", "metric", "k", *NUMBERS]
DIFFERENCES = ["model", "baseline", *COLUMNS[2:]]
THRESHOLDS = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2)
VISIBLE = 0
ALL = "all"
#: Pairs of points that stay in place to each other, as the fashion grammar has them (Wang et al. 2018, CVPR).
SYMMETRY = tuple((f"left_{part}", f"right_{part}") for part in ("collar", "sleeve", "waistline", "hem"))
KINEMATICS = tuple(
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("left", "right")
    for a, b in (("collar", "waistline"), ("waistline", "hem"), ("collar", "sleeve"))
)
HOW = "bootstrap of images"


def localisation(
    points: np.ndarray,
    truth: np.ndarray,
    visibility: np.ndarray,
    slots: Sequence[str],
    weights: np.ndarray,
    thresholds: Sequence[float] = THRESHOLDS,
) -> dict[tuple, Replicates]:
    """Normalised error and share of correct points, over visible points.

    Args:
        points: Predicted, shape (n, S, 2).
        truth: Shape (n, S, 2); NaN where there is none.
        visibility: Codes, shape (n, S); 0 is visible, and nothing else is scored.
        slots: Names of the S points.
        weights: Bootstrap weights of the images, shape (B, n).
        thresholds: Distances within which a point counts as correct.

    Returns:
        ("landmarks", slot, metric, k) → replicates: ``normalized_error``, the mean distance, and ``pck`` with
        its threshold as k, the share within it. Name ``mean`` is the plain mean over the slots that have a
        visible point, as published, however many points each has.

    Raises:
        ValueError: If the shapes do not fit, or a visible point has no coordinates.
    """
    points, truth, visible = np.asarray(points), np.asarray(truth), np.asarray(visibility) == VISIBLE
    shape = (np.shape(weights)[1], len(slots))
    if points.shape != (*shape, 2) or truth.shape != points.shape or visible.shape != shape:
        raise ValueError(
            f"points {points.shape}, truth {truth.shape} and visibility {visible.shape}; allowed: "
            f"{(*shape, 2)}, {(*shape, 2)} and {shape}"
        )
    distance = np.where(visible, np.linalg.norm(points - truth, axis=2), np.nan)
    if np.isnan(distance[visible]).any():
        raise ValueError("a visible point has no coordinates; allowed: numbers for every visible point")
    drawn, found, metrics = with_ones(weights), {}, [("normalized_error", np.nan, distance)]
    metrics += [("pck", k, np.where(visible, distance <= k, np.nan)) for k in thresholds]
    counts = visible.sum(0)
    lacking = [slot for slot, count in zip(slots, counts, strict=True) if not count]
    note = f"; mean of {len(slots) - len(lacking)} of {len(slots)} landmarks" if lacking else ""
    for metric, k, values in metrics:
        means = weighted_means(values, drawn)
        for i, slot in enumerate(slots):
            found["landmarks", slot, metric, k] = Replicates(means[:, i], int(counts[i]))
        found["landmarks", "mean", metric, k] = Replicates(mean_of_defined(means), int(counts.sum()), note)
    return found


def consistency(
    points: np.ndarray, truth: np.ndarray, visibility: np.ndarray, slots: Sequence[str], weights: np.ndarray
) -> dict[tuple, Replicates]:
    """How well predicted points keep the garment's build: where one lies, seen from its partner.

    Args:
        points: Predicted, shape (n, S, 2).
        truth: Shape (n, S, 2).
        visibility: Codes, shape (n, S); a relation is scored where both of its points are visible.
        slots: Names of the S points, with those of `SYMMETRY` and `KINEMATICS` among them.
        weights: Bootstrap weights of the images, shape (B, n).

    Returns:
        ("symmetry" or "kinematics", relation, metric, NaN) → replicates: ``relation_error``, the distance
        between the predicted and the true vector from the first point to the second, to which a shift of
        both adds nothing; and of symmetry ``swapped``, the share in which left and right are the other way
        round than in truth. Name ``mean`` is over the relations.
    """
    drawn, found = with_ones(weights), {}
    visible = np.asarray(visibility) == VISIBLE
    at = {slot: i for i, slot in enumerate(slots)}
    for task, relations in (("symmetry", SYMMETRY), ("kinematics", KINEMATICS)):
        first, second = (np.array([at[pair[i]] for pair in relations]) for i in (0, 1))
        both = visible[:, first] & visible[:, second]
        ours, theirs = (np.asarray(p)[:, second] - np.asarray(p)[:, first] for p in (points, truth))
        metrics = {"relation_error": np.linalg.norm(ours - theirs, axis=2)}
        if task == "symmetry":
            metrics["swapped"] = (np.sign(ours[..., 0]) * np.sign(theirs[..., 0]) < 0).astype(float)
        for metric, values in metrics.items():
            means = weighted_means(np.where(both, values, np.nan), drawn)
            for i, (a, b) in enumerate(relations):
                found[task, f"{a} to {b}", metric, np.nan] = Replicates(means[:, i], int(both[:, i].sum()))
            found[task, "mean", metric, np.nan] = Replicates(mean_of_defined(means), int(both.sum()))
    return found


def category(
    scores: np.ndarray, truth: np.ndarray, weights: np.ndarray, ks: Sequence[int] = (1, 3, 5)
) -> dict[tuple, Replicates]:
    """Top-k accuracy of a single-label attribute, such as the category.

    Args:
        scores: Shape (n, K).
        truth: Codes, shape (n,).
        weights: Bootstrap weights of the images, shape (B, n).
        ks: Which k.

    Returns:
        ("category", "all", "accuracy", k) → replicates.
    """
    drawn, n = with_ones(weights), len(truth)
    right = {k: weighted_means(top_k(scores, truth, k), drawn) for k in ks}
    return {("category", ALL, "accuracy", k): Replicates(values, n) for k, values in right.items()}


def group_recall(
    scores: np.ndarray,
    truth: np.ndarray,
    groups: Mapping[str, np.ndarray],
    weights: np.ndarray,
    ks: Sequence[int] = (3, 5),
) -> dict[tuple, Replicates]:
    """Recall of attributes at k, ranked within their group; ``all`` ranks them together.

    Args:
        scores: Of the positive, shape (n, A).
        truth: 1 positive, 0 negative, −1 unknown (not scored), shape (n, A).
        groups: Group → columns of its attributes.
        weights: Bootstrap weights of the images, shape (B, n).
        ks: Which k.

    Returns:
        ("attributes", group, metric, k) → replicates: ``recall``, hits over positives of all images (micro,
        as published), and ``macro_recall``, the mean over the attributes that have a positive.
    """
    drawn, found = with_ones(weights), {}
    for group, columns in {**groups, ALL: np.arange(np.shape(truth)[1])}.items():
        positive = np.asarray(truth)[:, columns] == 1
        order = places(np.asarray(scores)[:, columns])
        totals = drawn @ positive.astype(float)
        n = int(positive.sum())
        for k in ks:
            chosen = np.zeros(positive.shape, dtype=bool)
            np.put_along_axis(chosen, order[:, :k], True, axis=1)
            hits = drawn @ (positive & chosen).astype(float)
            found["attributes", group, "recall", k] = Replicates(shares(hits.sum(1), totals.sum(1)), n)
            macro = mean_of_defined(shares(hits, totals))
            found["attributes", group, "macro_recall", k] = Replicates(macro, n)
    return found


def answers(
    scores: Mapping[str, np.ndarray], truth: Codes, schema: Schema, weights: np.ndarray
) -> dict[tuple, Replicates]:
    """All that is asked of the attributes, by what the schema has.

    Args:
        scores: Attribute → scores of its classes, shape (n, K).
        truth: Attribute → codes, shape (n,), or memberships, shape (n, K).
        schema: Gives attributes and classes.
        weights: Bootstrap weights of the images, shape (B, n).

    Returns:
        Of a schema with one attribute of one class, `category`; with more of them, as in the challenge,
        ("attributes", attribute or "all", metric, NaN), metrics as of `challenge_statistics`. Of attributes
        with several classes at once, `group_recall`.
    """
    found: dict[tuple, Replicates] = {}
    single = Schema(schema.name, tuple(a for a in schema if not a.multiple))
    several = [a for a in schema if a.multiple]
    if len(single.names) == 1:
        found |= category(scores[single.names[0]], truth[single.names[0]], weights)
    elif single.names:
        given = {name: scores[name].argmax(1) for name in single.names}
        by_group = challenge_statistics(truth, given, single, weights)
        found |= {
            ("attributes", name, metric, np.nan): value
            for (name, label, metric), value in by_group.items()
            if label == ALL
        }
    if several:
        ends = np.cumsum([0, *(len(a) for a in several)])
        groups = {a.name: np.arange(*ends[k : k + 2]) for k, a in enumerate(several)}
        together = [np.concatenate([given[a.name] for a in several], axis=1) for given in (scores, truth)]
        found |= group_recall(*together, groups, weights)
    return found


# ---- what needs no image ----------------------------------------------------------------------------------


def mean_position(truth: np.ndarray, visibility: np.ndarray, images: int) -> np.ndarray:
    """Each landmark where it lies on average in the training images: shape (images, S, 2).

    Args:
        truth: Points of the training images, shape (m, S, 2).
        visibility: Their codes, shape (m, S).
        images: How many images to answer for.
    """
    visible = (np.asarray(visibility) == VISIBLE)[..., None]
    total = np.where(visible, truth, 0).sum(0)
    mean = np.divide(total, visible.sum(0), out=np.full(total.shape, 0.5), where=visible.sum(0) > 0)
    return np.broadcast_to(mean, (images, *mean.shape))


def constant_scores(train: np.ndarray, images: int, classes: int | None = None) -> np.ndarray:
    """The same ranking for every image: classes or attributes by their frequency in the training images.

    Args:
        train: Codes, shape (m,), −1 where unknown; or zeros and ones, shape (m, A), −1 where unknown.
        images: How many images to answer for.
        classes: Number of classes; of codes only.

    Returns:
        Shape (images, classes) or (images, A).
    """
    train = np.asarray(train)
    counts = (
        np.bincount(train[train >= 0], minlength=classes or 0) if train.ndim == 1 else (train == 1).sum(0)
    )
    return np.broadcast_to(counts.astype(float), (images, len(counts)))


# ---- tables -----------------------------------------------------------------------------------------------


def landmark_scores(trainings: Trainings, *, level: float = 0.95) -> pd.DataFrame:
    """Every statistic of every training, and, over several seeds, their means.

    Args:
        trainings: Model → seed → statistics of the functions above, joined.
        level: Confidence level of the intervals.

    Returns:
        Columns `COLUMNS`; ``seed`` is a number or, where a model has several, also ``mean``.
    """
    statistics: dict[tuple, Replicates] = {}
    for model, by_seed in trainings.items():
        each = {str(seed): found for seed, found in by_seed.items()}
        if len(each) > 1:
            each["mean"] = over_seeds(list(by_seed.values()))
        for seed, found in each.items():
            statistics |= {(model, seed, *key): value for key, value in found.items()}
    return tidy(statistics, COLUMNS[:6], level=level, how=HOW)


def landmark_differences(trainings: Trainings, baseline: str, *, level: float = 0.95) -> pd.DataFrame:
    """Every model less the baseline, seed by seed, with intervals paired over images.

    Args:
        trainings: Model → seed → statistics under the same weights, all with the baseline's seeds.
        baseline: What each other model is held against.
        level: Confidence level of the intervals.

    Returns:
        Columns `DIFFERENCES`, for the statistics that both models have.

    Raises:
        ValueError: If a model has other seeds than the baseline.
    """
    base = trainings[baseline]
    statistics: dict[tuple, Replicates] = {}
    for model, by_seed in trainings.items():
        if model == baseline:
            continue
        if set(by_seed) != set(base):
            raise ValueError(
                f"{model} has seeds {sorted(by_seed)}, {baseline} {sorted(base)}; allowed: the same"
            )
        seeds = sorted(base)
        shared = [key for key in by_seed[seeds[0]] if key in base[seeds[0]]]
        pair = [[{key: each[seed][key] for key in shared} for seed in seeds] for each in (by_seed, base)]
        statistics |= {(model, baseline, *key): value for key, value in differences(*pair).items()}
    return tidy(statistics, DIFFERENCES[:6], level=level, how=f"paired {HOW}")


def landmark_known(here: Trainings, there: Trainings, *, level: float = 0.95) -> pd.DataFrame:
    """Every model's scores beside those on other images of the same world, of which there are more.

    Args:
        here: Model → seed → statistics of the images that are reported on.
        there: The same of the others, under weights that were drawn apart.
        level: Confidence level of the intervals.

    Returns:
        As `replicates.beside_others`, means over the seeds; its columns before ``known`` are ``model, task,
        name, metric, k``.
    """
    parts = []
    for model, by_seed in here.items():
        pairs = [
            [{(model, *key): value for key, value in found.items()} for found in each.values()]
            for each in (by_seed, there[model])
        ]
        parts.append(beside_others(*pairs, ["model", *COLUMNS[2:6]], level=level, how=HOW))
    return pd.concat(parts, ignore_index=True)
