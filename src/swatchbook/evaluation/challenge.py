"""The attribute challenge: overall accuracy, average class accuracy, and the same by group and class.

Source: the challenge's rules; overall accuracy decided in 2021 and 2023, average class accuracy in 2024.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import special

from swatchbook.evaluation.comparison import discordant, mcnemar_p
from swatchbook.evaluation.intervals import wilson
from swatchbook.evaluation.replicates import (
    NUMBERS,
    Replicates,
    beside_others,
    differences,
    mean_of_defined,
    tidy,
    with_ones,
)
from swatchbook.evaluation.resample import cells, holm, tables
from swatchbook.evaluation.scores import Codes, accuracy, all_right, f1, macro_f1, recall
from swatchbook.schema import Schema

Model = tuple[str, str]  # model and variant
COLUMNS = ["model", "variant", "split", "group", "class", "metric", *NUMBERS]
DIFFERENCES = [
    "model", "variant", "baseline", "baseline_variant", "split", "group", "class", "metric", *NUMBERS, "p",
    "p_holm",
]  # fmt: skip
HOW = "bootstrap of images"
CONSTANT = ("majority", "constant")


def challenge_statistics(
    truth: Codes, answers: Codes, schema: Schema, weights: np.ndarray
) -> dict[tuple, Replicates]:
    """Every metric of one model's answers.

    Args:
        truth: Group → codes, shape (n,), none negative.
        answers: Group → codes, shape (n,), none negative.
        schema: Gives groups and classes.
        weights: Bootstrap weights of the images, shape (B, n).

    Returns:
        (group, class, metric) → replicates. Of ("all", "all"): ``overall_accuracy``, the share of right
        answers over images and groups; ``aca``, average class accuracy, the mean of the recalls of all
        classes of all groups; and ``all_right``, the share of images right in every group. Of (group,
        "all"): ``accuracy``, and ``recall`` and ``f1`` as means over classes. Of (group, class): ``recall``
        and ``f1``. A class without an image is in no mean, and the note says so.

    Raises:
        ValueError: If an answer is missing, or a group has another number of images than the weights.
    """
    drawn = with_ones(weights)
    by_group: dict[tuple, Replicates] = {}
    right, total, recalls, absent = 0.0, 0.0, [], []
    for a in schema:
        for name, codes in (("truth", truth[a.name]), ("answers", answers[a.name])):
            if np.shape(codes) != (drawn.shape[1],) or np.min(codes) < 0:
                raise ValueError(
                    f"{name}[{a.name!r}] has shape {np.shape(codes)} and least code {np.min(codes)}; "
                    f"allowed: ({drawn.shape[1]},), a class for every image"
                )
        counts = tables(truth[a.name], answers[a.name], (len(a), len(a)), drawn)
        right, total = right + np.trace(counts, axis1=1, axis2=2), total + counts.sum((1, 2))
        of_class, harmonic, support = recall(counts), f1(counts), counts[0].sum(1).astype(int)
        # A replicate that has no image of a class takes the class's own recall: the mean stays one of all.
        of_all = np.where(np.isnan(of_class), of_class[0], of_class)
        recalls.append(of_all)
        missing = [label for label, size in zip(a.classes, support, strict=True) if not size]
        absent += [f"{a.name}:{label}" for label in missing]
        n, note = int(support.sum()), _without(missing, len(a))
        by_group[a.name, "all", "accuracy"] = Replicates(accuracy(counts), n)
        by_group[a.name, "all", "recall"] = Replicates(mean_of_defined(of_all), n, note)
        by_group[a.name, "all", "f1"] = Replicates(macro_f1(counts), n, note)
        for k, label in enumerate(a.classes):
            by_group[a.name, label, "recall"] = Replicates(of_class[:, k], support[k])
            by_group[a.name, label, "f1"] = Replicates(harmonic[:, k], support[k])
    every = np.concatenate(recalls, axis=1)
    hit = cells(all_right(truth, answers, schema), 2, drawn)
    n = drawn.shape[1]
    return {
        ("all", "all", "overall_accuracy"): Replicates(right / total, n),
        ("all", "all", "aca"): Replicates(mean_of_defined(every), n, _without(absent, every.shape[1])),
        ("all", "all", "all_right"): Replicates(hit[:, 1] / hit.sum(1), n),
        **by_group,
    }


def _without(absent: list[str], classes: int) -> str:
    if not absent:
        return ""
    return f"; mean of {classes - len(absent)} of {classes} classes, without {', '.join(absent)} (no image)"


def challenge_scores(
    truth: Codes,
    answers: Mapping[Model, Codes],
    schema: Schema,
    weights: np.ndarray,
    *,
    split: str,
    level: float = 0.95,
) -> pd.DataFrame:
    """`challenge_statistics` of every model as a table with the columns `COLUMNS`.

    Args:
        truth: Group → codes, shape (n,).
        answers: (model, variant) → group → codes, shape (n,).
        schema: Gives groups and classes.
        weights: Bootstrap weights of the images, shape (B, n).
        split: Which images these are, for the column of that name.
        level: Confidence level of the intervals.
    """
    statistics: dict[tuple, Replicates] = {}
    found = {model: challenge_statistics(truth, given, schema, weights) for model, given in answers.items()}
    for model, of_model in found.items():
        statistics |= {(*model, split, *key): value for key, value in of_model.items()}
    return with_score_intervals(tidy(statistics, COLUMNS[:6], level=level, how=HOW), found, level)


def with_score_intervals(scores: pd.DataFrame, found: Mapping[Model, Mapping], level: float) -> pd.DataFrame:
    """Scores of few images with intervals that hold near 0 and 1; the others keep the bootstrap.

    The recall of a class, the accuracy of a group and the share of images that are all right are shares of
    independent images: Wilson's interval. Means of recalls (of a group's classes, and of all, which is ACA)
    get `class_mean_interval`. Recalls of the model that always answers the same class are 0 and 1 by
    construction and have no width.

    Args:
        scores: Columns `COLUMNS`.
        found: (model, variant) → its `challenge_statistics`.
        level: Confidence level of the intervals.
    """
    scores, constant = scores.copy(), scores["model"] == CONSTANT[0]
    of_class = (scores["metric"] == "recall") & (scores["class"] != "all") & ~constant
    share = (of_class | scores["metric"].isin(["accuracy", "all_right"])) & scores["value"].notna()
    low, high = wilson(scores.loc[share, "value"].to_numpy(), scores.loc[share, "n"].to_numpy(), level)
    scores.loc[share, "low"], scores.loc[share, "high"] = low, high
    scores.loc[share, "interval"] = f"{level:.0%} Wilson"
    means = (
        scores["metric"].isin(["aca", "recall"])
        & (scores["class"] == "all")
        & scores["value"].notna()
        & ~constant
    )
    for index, row in scores[means].iterrows():
        statistics = found[row["model"], row["variant"]]
        recalls = [
            value
            for (group, label, metric), value in statistics.items()
            if metric == "recall" and label != "all" and row["group"] in ("all", group)
        ]
        without = row["interval"].partition(";")
        scores.loc[index, ["low", "high"]] = class_mean_interval(recalls, level)
        scores.loc[index, "interval"] = f"{level:.0%} Wilson by class, combined{without[1]}{without[2]}"
    return scores


def class_mean_interval(recalls: Sequence[Replicates], level: float) -> tuple[float, float]:
    """Interval of the mean of several classes' recalls, also where a class has few images.

    The distances of each class's value from its Wilson ends are added as squares, as for independent shares;
    what the answers on one image have in common is added as the covariance that the bootstrap finds. The
    plain bootstrap takes a class whose two images are both right for certain.

    Args:
        recalls: One a class; those without an image are left out.
        level: Confidence level.

    Source:
        Zou & Donner (2008), Statistics in Medicine 27:1693–1702: the method of variance estimates recovery.
    """
    some = [each for each in recalls if each.n]
    values = np.array([each.samples[0] for each in some])
    low, high = wilson(values, np.array([each.n for each in some]), level)
    draws = np.stack([each.samples[1:] for each in some])
    apart = np.nansum(np.nanvar(draws, axis=1)) / len(some) ** 2
    common = (
        max(float(np.nanvar(np.nanmean(draws, axis=0)) - apart), 0.0) * special.ndtri(0.5 + level / 2) ** 2
    )
    mean = float(values.mean())
    below, above = (np.sqrt(np.sum((values - end) ** 2) / len(some) ** 2 + common) for end in (low, high))
    return max(mean - below, 0.0), min(mean + above, 1.0)


def known_scores(
    truth: tuple[Codes, Codes],
    answers: Mapping[Model, tuple[Codes, Codes]],
    schema: Schema,
    weights: tuple[np.ndarray, np.ndarray],
    *,
    level: float = 0.95,
) -> pd.DataFrame:
    """Scores on some images beside those on many others of the same world, whose truth is known.

    Args:
        truth: Group → codes, of the images reported on and of the others.
        answers: (model, variant) → the same of its answers.
        schema: Gives groups and classes.
        weights: Bootstrap weights of either, drawn apart.
        level: Confidence level of the intervals.

    Returns:
        ``model, variant, group, metric, known`` (on the others), ``value`` (reported), ``low, high`` (of the
        difference, both samples' errors counted), ``n, interval`` and ``covered``, whether it holds 0. ACA is
        the mean over the classes of which both have images.
    """
    parts = []
    for model, given in answers.items():
        found = _over_common_classes(
            [challenge_statistics(t, a, schema, w) for t, a, w in zip(truth, given, weights, strict=True)]
        )
        kept = [
            key for key in found[0] if key[1] == "all" and key[2] in ("overall_accuracy", "aca", "accuracy")
        ]
        here, there = ({(*model, *key[::2]): some[key] for key in kept} for some in found)
        columns = ["model", "variant", "group", "metric"]
        parts.append(beside_others([here], [there], columns, level=level, how=HOW))
    return pd.concat(parts, ignore_index=True)


def _over_common_classes(found: Sequence[Mapping]) -> list[dict]:
    """Statistics of several sets of images, with ACA over the classes of which all of them have images."""
    recalls = [key for key in found[0] if key[2] == "recall" and key[1] != "all"]
    common = [key for key in recalls if all(some[key].n for some in found)]
    over = []
    for some in found:
        each = np.stack([some[key].samples for key in common], axis=1)
        mean = np.where(np.isnan(each), each[0], each).mean(1)
        note = f"; mean of the {len(common)} classes that both have"
        over.append({**some, ("all", "all", "aca"): Replicates(mean, some["all", "all", "aca"].n, note)})
    return over


def challenge_differences(
    truth: Codes,
    answers: Mapping[Model, Codes],
    schema: Schema,
    weights: np.ndarray,
    *,
    model: Model,
    baseline: Model,
    split: str,
    level: float = 0.95,
) -> pd.DataFrame:
    """A model's scores less a baseline's on the same images.

    Args:
        truth: Group → codes, shape (n,).
        answers: (model, variant) → group → codes, shape (n,); must hold `model` and `baseline`.
        schema: Gives groups and classes.
        weights: Bootstrap weights of the images, shape (B, n); they serve both models.
        model: Whose advantage is asked for.
        baseline: What it is held against.
        split: Which images these are.
        level: Confidence level of the intervals.

    Returns:
        Columns `DIFFERENCES`. ``p`` is McNemar's exact two-sided value for the accuracy of each group,
        ``p_holm`` adjusted over the groups, and for ``all_right``; answers of one image are not independent,
        so that there is none for the overall accuracy.

    Source:
        McNemar (1947), exact form; Holm (1979).
    """
    ours, theirs = answers[model], answers[baseline]
    found = [challenge_statistics(truth, given, schema, weights) for given in (ours, theirs)]
    about = (*model, *baseline, split)
    table = tidy(
        {(*about, *key): value for key, value in differences(found[:1], found[1:]).items()},
        DIFFERENCES[:8],
        level=level,
        how=f"paired {HOW}",
    )
    table["p"] = np.nan
    p = {a.name: mcnemar_p(*discordant(truth[a.name], ours[a.name], theirs[a.name])) for a in schema}
    whole = [all_right(truth, given, schema) for given in (ours, theirs)]
    by_group = table["metric"] == "accuracy"
    table.loc[by_group, "p"] = table.loc[by_group, "group"].map(p)
    table.loc[table["metric"] == "all_right", "p"] = mcnemar_p(*discordant(np.ones(len(whole[0])), *whole))
    table["p_holm"] = np.nan
    table.loc[by_group, "p_holm"] = holm(table.loc[by_group, "p"].to_numpy())
    return table[DIFFERENCES]


def agreement_scores(
    given: Mapping[str, Codes],
    answers: Mapping[Model, Codes],
    schema: Schema,
    weights: np.ndarray,
    *,
    split: str,
    level: float = 0.95,
) -> pd.DataFrame:
    """How often models give the same answers as somebody else, where nobody knows which are right.

    Args:
        given: Name → group → codes, shape (n,).
        answers: (model, variant) → group → codes, shape (n,).
        schema: Gives groups and classes.
        weights: Bootstrap weights of the images, shape (B, n).
        split: Which images these are.
        level: Confidence level of the intervals.

    Returns:
        Columns `COLUMNS`, metric ``agreement with <name>``: overall and by group.
    """
    wanted = {"overall_accuracy", "accuracy"}
    statistics: dict[tuple, Replicates] = {}
    for name, theirs in given.items():
        for model, ours in answers.items():
            for (group, label, metric), value in challenge_statistics(theirs, ours, schema, weights).items():
                if metric in wanted:
                    statistics[(*model, split, group, label, f"agreement with {name}")] = value
    return tidy(statistics, COLUMNS[:6], level=level, how=HOW)


def constant_answers(train: Codes, schema: Schema, images: int) -> dict[str, np.ndarray]:
    """The answers of a model that sees nothing: each group's most frequent class of the training images.

    Args:
        train: Group → codes of the training images.
        schema: Gives groups and classes.
        images: How many images to answer for.
    """
    return {
        a.name: np.full(images, np.bincount(train[a.name], minlength=len(a)).argmax(), np.int16)
        for a in schema
    }
