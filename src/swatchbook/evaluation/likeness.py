"""Whether images that lie close together in an embedding are alike in what is known of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.stats import rankdata

from swatchbook.evaluation.replicates import Replicates, Statistics, weighted_means
from swatchbook.evaluation.scores import Codes

TASK, METRIC = "likeness", "spearman"
_BLOCK = 256  # queries at a time


def likeness(embeddings: np.ndarray, codes: Codes) -> np.ndarray:
    """Of each image, the rank correlation over all others of cosine and share of equal attributes.

    Args:
        embeddings: Of length 1, shape (n, D).
        codes: Attribute → codes, shape (n,).

    Returns:
        Spearman's ρ, shape (n,); NaN where all others are equally like or equally near.
    """
    n, labels = len(embeddings), np.stack(list(codes.values()), axis=1)
    found = np.full(n, np.nan)
    others = ~np.eye(n, dtype=bool)
    for start in range(0, n, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, n))
        nearness = embeddings[rows] @ embeddings.T
        alike = (labels[rows][:, None] == labels).mean(2)
        for i, row in enumerate(rows):
            a, b = (rankdata(values[i][others[row]]) for values in (nearness, alike))
            if np.ptp(a) and np.ptp(b):
                found[row] = np.corrcoef(a, b)[0, 1]
    return found


def likeness_statistics(
    embeddings: Mapping[tuple[str, str], np.ndarray], codes: Codes, weights: np.ndarray
) -> Statistics:
    """The mean `likeness` of every model: task ``likeness``, metric ``spearman``, keys as `retrieval`'s.

    Args:
        embeddings: (model, stage) → of images, shape (n, D).
        codes: Attribute → codes, shape (n,).
        weights: As `replicates.with_ones` gives them, shape (1 + B, n).
    """
    each = {model: likeness(found, codes) for model, found in embeddings.items()}
    return {
        (*model, TASK, "", METRIC, np.nan): Replicates(
            weighted_means(values, weights), int((~np.isnan(values)).sum())
        )
        for model, values in each.items()
    }
