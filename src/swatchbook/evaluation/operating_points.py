"""Operating points of one classifier: logit adjustment, its strengths chosen on a held-out part."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from swatchbook.evaluation.challenge import HOW, challenge_statistics
from swatchbook.evaluation.replicates import NUMBERS, Replicates, tidy
from swatchbook.evaluation.resample import table
from swatchbook.evaluation.scores import Codes
from swatchbook.schema import Schema

WHOLE, OF_GROUP = ("overall_accuracy", "aca"), ("accuracy", "recall")
STRENGTHS = tuple(k / 10 for k in range(16))
#: Around a classifier that was trained with an adjustment of ½: from none of it to all of it and half more.
AROUND = (0.0, *(sign * k / 10 for k in range(1, 11) for sign in (1, -1) if sign * k >= -5))
POINTS = ["group", "strength", "chosen", "metric", *NUMBERS]


def adjusted(
    probabilities: Mapping[str, np.ndarray],
    frequencies: Mapping[str, np.ndarray],
    strength: float | Mapping[str, float],
) -> dict[str, np.ndarray]:
    """The classes with the highest probability after logit adjustment.

    Args:
        probabilities: Group → shape (n, K).
        frequencies: Group → share of each class among the training images, shape (K,), all above 0.
        strength: τ, of all groups or group → its own: log p − τ·log(frequency) decides; 0 leaves the answers
            as they are.

    Returns:
        Group → codes, shape (n,).

    Source:
        Menon et al. (2021), arXiv 2007.07314, section 4: post-hoc logit adjustment.
    """
    own = strength if isinstance(strength, Mapping) else dict.fromkeys(probabilities, strength)
    return {
        name: adjusted_logits(p, frequencies[name], own[name]).argmax(1) for name, p in probabilities.items()
    }


def adjusted_logits(probabilities: np.ndarray, frequencies: np.ndarray, strength: float) -> np.ndarray:
    """Scores of classes, shape (n, K): log p − τ·log(frequency); see `adjusted`."""
    return np.log(np.maximum(probabilities, 1e-12)) - strength * np.log(frequencies)


def best_strengths(
    truth: Codes,
    probabilities: Mapping[str, np.ndarray],
    frequencies: Mapping[str, np.ndarray],
    scores: Mapping[str, Callable[[np.ndarray], float]],
) -> dict[str, tuple[float, float]]:
    """The strength of `AROUND` with which each attribute's answers score best.

    Args:
        truth: Attribute → codes of images that no strength is reported on, shape (n,).
        probabilities: As for `adjusted`.
        frequencies: As for `adjusted`.
        scores: Attribute → what is maximised of the table of counts, truth by answer.

    Returns:
        Attribute → strength, and the score it reaches; of equals the one nearest 0.
    """
    found = {}
    for name, p in probabilities.items():
        k, own = p.shape[1], {name: p}
        reached = [
            float(scores[name](table(truth[name], adjusted(own, frequencies, s)[name], (k, k))))
            for s in AROUND
        ]
        best = int(np.argmax(reached))
        found[name] = (AROUND[best], reached[best])
    return found


def operating_points(
    truth: Codes,
    probabilities: Mapping[str, np.ndarray],
    frequencies: Mapping[str, np.ndarray],
    schema: Schema,
    weights: np.ndarray,
    *,
    may_lose: float = 1.0,
    level: float = 0.95,
) -> pd.DataFrame:
    """What logit adjustment does to the scores at each of `STRENGTHS`, and which one each group chooses.

    A group has its own strength: one for all would be chosen by whichever class is rarest, for the other
    groups, too.

    Args:
        truth: Group → codes of images that no strength is reported on, shape (n,).
        probabilities: Group → shape (n, K).
        frequencies: As for `adjusted`.
        schema: Gives groups and classes.
        weights: Bootstrap weights of the images, shape (B, n).
        may_lose: How much of its accuracy at strength 0 a group may lose for a higher mean recall.
        level: Confidence level of the intervals.

    Returns:
        Columns `POINTS`. Of each group ``accuracy`` and ``recall``, the mean of its classes', ``chosen`` at
        the first strength with the highest recall among those that lose no more. Of group ``all``
        ``overall_accuracy`` and ``aca`` with one strength for all groups, and, without a strength and
        ``chosen``, with each group's own.
    """
    at = {
        strength: challenge_statistics(truth, adjusted(probabilities, frequencies, strength), schema, weights)
        for strength in STRENGTHS
    }
    found: dict[tuple, Replicates] = {
        (group, strength, name): at[strength][group, "all", name]
        for group in ("all", *schema.names)
        for strength in STRENGTHS
        for name in (WHOLE if group == "all" else OF_GROUP)
    }
    chosen = {}
    for group in schema.names:
        accuracy, recall = (
            np.array([found[group, strength, name].samples[0] for strength in STRENGTHS]) for name in OF_GROUP
        )
        allowed = accuracy >= accuracy[0] - may_lose - 1e-12
        chosen[group] = STRENGTHS[int(np.where(allowed, recall, -np.inf).argmax())]
    own_strengths = challenge_statistics(truth, adjusted(probabilities, frequencies, chosen), schema, weights)
    found |= {("all", np.nan, name): own_strengths["all", "all", name] for name in WHOLE}
    table = tidy(found, ["group", "strength", "metric"], level=level, how=HOW)
    own = table["group"].map(chosen)
    table["chosen"] = np.where(table["group"] == "all", table["strength"].isna(), table["strength"] == own)
    return table[POINTS]


def chosen_strengths(points: pd.DataFrame) -> dict[str, float]:
    """Group → its strength, from a table of `operating_points`."""
    rows = points[points["chosen"].astype(bool) & (points["group"] != "all")]
    return dict(zip(rows["group"], rows["strength"].astype(float), strict=True))
