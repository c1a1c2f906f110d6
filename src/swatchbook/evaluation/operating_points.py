"""Two operating points of one classifier: logit adjustment, and the strength that a held-out part chooses."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from swatchbook.evaluation.challenge import HOW, challenge_statistics
from swatchbook.evaluation.replicates import NUMBERS, tidy
from swatchbook.evaluation.scores import Codes
from swatchbook.schema import Schema

STRENGTHS = tuple(k / 10 for k in range(16))
POINTS = ["strength", "chosen", "metric", *NUMBERS]


def adjusted(
    probabilities: Mapping[str, np.ndarray], frequencies: Mapping[str, np.ndarray], strength: float
) -> dict[str, np.ndarray]:
    """The classes with the highest probability after logit adjustment.

    Args:
        probabilities: Group → shape (n, K).
        frequencies: Group → share of each class among the training images, shape (K,), all above 0.
        strength: τ: log p − τ·log(frequency) decides; 0 leaves the answers as they are.

    Returns:
        Group → codes, shape (n,).

    Source:
        Menon et al. (2021), arXiv 2007.07314, section 4: post-hoc logit adjustment.
    """
    return {
        name: (np.log(np.maximum(p, 1e-12)) - strength * np.log(frequencies[name])).argmax(1)
        for name, p in probabilities.items()
    }


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
    """What logit adjustment does to both scores at each of `STRENGTHS`, and which strength is chosen.

    Args:
        truth: Group → codes of images that no strength is reported on, shape (n,).
        probabilities: Group → shape (n, K).
        frequencies: As for `adjusted`.
        schema: Gives groups and classes.
        weights: Bootstrap weights of the images, shape (B, n).
        may_lose: How much of the overall accuracy at strength 0 may be lost for a higher ACA.
        level: Confidence level of the intervals.

    Returns:
        Columns `POINTS`; ``chosen`` at the first strength with the highest ACA among those that lose no more.
    """
    parts = []
    for strength in STRENGTHS:
        found = challenge_statistics(truth, adjusted(probabilities, frequencies, strength), schema, weights)
        rows = {(strength, name): found["all", "all", name] for name in ("overall_accuracy", "aca")}
        parts.append(tidy(rows, ["strength", "metric"], level=level, how=HOW))
    table = pd.concat(parts, ignore_index=True)
    values = table.set_index(["strength", "metric"])["value"].unstack()  # noqa: PD010
    kept = values[values["overall_accuracy"] >= values["overall_accuracy"].iloc[0] - may_lose - 1e-12]
    table["chosen"] = table["strength"] == kept["aca"].idxmax()
    return table[POINTS]
