"""Search between images and texts: ranks, recall at k, and what chance and perfect attributes reach.

The pair of a query is the text, or the image, in the same row. Of targets as near as it, all count as nearer,
so that no score is owed to ties.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import special

from swatchbook.evaluation.replicates import Replicates, Statistics, differences, tidy, weighted_means

COLUMNS = [
    "model",
    "stage",
    "task",
    "direction",
    "metric",
    "k",
    "value",
    "low",
    "high",
    "n",
    "pool",
    "interval",
]
RANKS = ["model", "stage", "direction", "item", "rank", "rank_same_caption", "pool"]
DIFFERENCES = ["model", "stage", "baseline", "baseline_stage", *COLUMNS[2:10], "interval"]
HOW = "bootstrap of items"  # photographs of one item are drawn together
DIRECTIONS = ("image to text", "text to image")
EXACT, SAME = "exact pair", "same caption"
KS = (1, 5, 10)
Model = tuple[str, str]  # name and stage
_BLOCK = 1024  # queries at a time


def pair_ranks(
    queries: np.ndarray, targets: np.ndarray, same: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The rank of each query's own target among all targets, by inner product.

    Args:
        queries: Shape (n, d), L2-normalised where the cosine is meant.
        targets: Shape (n, d); row i belongs to query i.
        same: Group of each target, shape (n,); targets of one group, such as equal captions, are as good as
            the own one. None: no two are equal.

    Returns:
        The rank of the own target, and the best rank of a target of its group with those of the group left
        out of the count; integers from 1, shape (n,).

    Raises:
        ValueError: If the shapes do not fit, or a number is not finite.
    """
    queries, targets = np.asarray(queries), np.asarray(targets)
    n = len(queries)
    if queries.ndim != 2 or queries.shape != targets.shape or not n:
        raise ValueError(f"queries {queries.shape} and targets {targets.shape}; allowed: both (n, d), n ≥ 1")
    if not (np.isfinite(queries).all() and np.isfinite(targets).all()):
        raise ValueError("queries or targets hold a number that is not finite")
    group = np.arange(n) if same is None else pd.factorize(np.asarray(same))[0]
    if len(group) != n:
        raise ValueError(f"same has {len(group)} entries; allowed: one a target, {n}")
    exact, best = np.empty(n, np.int64), np.empty(n, np.int64)
    for start in range(0, n, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, n))
        nearness = queries[rows] @ targets.T
        own = nearness[np.arange(len(rows)), rows][:, None]
        exact[rows] = (nearness >= own).sum(1)
        alike = group[rows][:, None] == group
        nearest = np.where(alike, nearness, -np.inf).max(1, keepdims=True)
        best[rows] = 1 + ((nearness >= nearest) & ~alike).sum(1)
    return exact, best


def rank_table(
    images: np.ndarray,
    texts: np.ndarray,
    items: Sequence[str],
    captions: Sequence[str],
    *,
    model: str,
    stage: str,
) -> pd.DataFrame:
    """`pair_ranks` both ways, a row a query and direction: columns `RANKS`.

    Args:
        images: Embeddings, shape (n, d).
        texts: Embeddings of their captions, shape (n, d).
        items: What each image shows; photographs of one item are drawn together when intervals are made.
        captions: The captions, to know which are equal.
        model: For the column of that name.
        stage: Of the training, for the column of that name.
    """
    parts = []
    for direction, pair in zip(DIRECTIONS, ((images, texts), (texts, images)), strict=True):
        exact, best = pair_ranks(*pair, np.asarray(captions, dtype=object))
        columns = {"direction": direction, "item": list(items), "rank": exact, "rank_same_caption": best}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True).assign(model=model, stage=stage, pool=len(items))[RANKS]


def retrieval_statistics(ranks: pd.DataFrame, weights: np.ndarray, ks: Sequence[int] = KS) -> Statistics:
    """Recall at k, median rank and mean reciprocal rank.

    Args:
        ranks: Tables of `rank_table`, of one test set, in one order of its queries.
        weights: How often each query counts, as `replicates.with_ones` gives them, shape (1 + B, n).
        ks: Which k.

    Returns:
        `COLUMNS` up to k → statistic: task ``exact pair`` or ``same caption``, metrics ``recall`` (with its
        k),
        ``median_rank`` and ``mrr``.

    Raises:
        ValueError: If the tables are of different queries.
    """
    groups = list(ranks.groupby(["model", "stage", "direction"], sort=False))
    items = groups[0][1]["item"].tolist()
    if any(table["item"].tolist() != items for _, table in groups):
        raise ValueError("ranks of different queries; allowed: one test set, in one order, for all models")
    statistics: dict[tuple, Replicates] = {}
    for (model, stage, direction), table in groups:
        for task, column in ((EXACT, "rank"), (SAME, "rank_same_caption")):
            rank, about = table[column].to_numpy(), (model, stage, task, direction)
            for k in ks:
                statistics[(*about, "recall", k)] = Replicates(weighted_means(rank <= k, weights), len(rank))
            statistics[(*about, "median_rank", np.nan)] = Replicates(
                weighted_median(rank, weights), len(rank)
            )
            statistics[(*about, "mrr", np.nan)] = Replicates(weighted_means(1 / rank, weights), len(rank))
    return statistics


def weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Median of values under each row of weights, the mean of both middle ones where there are two.

    Args:
        values: Shape (n,).
        weights: Whole numbers of times that each value occurs, shape (m, n).

    Returns:
        Shape (m,).
    """
    order = np.argsort(values, kind="stable")
    ordered = np.asarray(values, dtype=float)[order]
    reached = np.cumsum(np.asarray(weights)[:, order], axis=1, dtype=np.float64)
    half = reached[:, -1:] / 2
    return (ordered[(reached >= half).argmax(1)] + ordered[(reached > half).argmax(1)]) / 2


def reference_statistics(
    captions: Sequence[str], attributes: np.ndarray, weights: np.ndarray, ks: Sequence[int] = KS
) -> Statistics:
    """What stands beside every model: chance, and a search by the true attributes.

    A search that knows every attribute of a query finds the targets with just these, and none of them sooner
    than the others: with t such targets, recall at k is min(k, t)/t and the expected rank (t + 1)/2. The same
    with equal captions in the place of equal attributes is the most that any model of captions can reach.

    Args:
        captions: Of the test images, shape (n,).
        attributes: Their attributes, such as ``multi_hot``'s, shape (n, A).
        weights: As for `retrieval_statistics`.
        ks: Which k.

    Returns:
        As `retrieval_statistics`; models ``chance``, ``bag of attributes`` (ceiling) and ``captions``
        (ceiling), alike in both directions.
    """
    n = len(captions)
    equal = pd.factorize(np.asarray(captions, dtype=object))[0]
    like = np.unique(attributes, axis=0, return_inverse=True)[1].ravel()
    statistics: dict[tuple, Replicates] = {}
    for direction in DIRECTIONS:
        for model, group in (("bag of attributes", like), ("captions", equal)):
            size = np.bincount(group)[group]
            about = (model, "", EXACT, direction)
            for k in ks:
                found = weighted_means(np.minimum(k, size) / size, weights)
                statistics[(*about, "recall", k)] = Replicates(found, n, "; ceiling")
            reciprocal = (special.digamma(size + 1) + np.euler_gamma) / size  # the mean of 1/1 … 1/t
            statistics[(*about, "mrr", np.nan)] = Replicates(
                weighted_means(reciprocal, weights), n, "; ceiling"
            )
            middle = weighted_median((size + 1) / 2, weights)
            statistics[(*about, "median_rank", np.nan)] = Replicates(middle, n, "; of expected ranks")
        size = np.bincount(equal)[equal]
        for task, copies in ((EXACT, np.ones(n)), (SAME, size)):
            for k in ks:
                missed = np.exp(_log_choose(n - copies, k) - _log_choose(n, k))
                found = weighted_means(1 - missed, weights)
                statistics["chance", "", task, direction, "recall", k] = Replicates(found, n)
        same = np.ones(len(weights))
        about = ("chance", "", EXACT, direction)
        statistics[(*about, "median_rank", np.nan)] = Replicates((n + 1) / 2 * same, n)
        statistics[(*about, "mrr", np.nan)] = Replicates(_mean_reciprocal(n) * same, n)
    return statistics


def _mean_reciprocal(count: np.ndarray | int) -> np.ndarray:
    """The mean of 1/1, 1/2, … 1/count."""
    return (special.digamma(np.asarray(count, dtype=float) + 1) + np.euler_gamma) / count


def _log_choose(n: np.ndarray | float, k: int) -> np.ndarray:
    """Logarithm of the number of ways to choose k of n; −∞ where there are fewer than k."""
    n = np.asarray(n, dtype=float)
    enough = n >= k
    some = np.where(enough, n, k)
    ways = special.gammaln(some + 1) - special.gammaln(k + 1) - special.gammaln(some - k + 1)
    return np.where(enough, ways, -np.inf)


def score_table(statistics: Statistics, pool: int, level: float = 0.95) -> pd.DataFrame:
    """Statistics of one test set as a table.

    Args:
        statistics: `COLUMNS` up to k → statistic; their weights draw items.
        pool: Targets among which is searched; of tasks without a direction there is none.
        level: Confidence level of the intervals.

    Returns:
        Columns `COLUMNS`.
    """
    table = tidy(statistics, COLUMNS[:6], level=level, how=HOW)
    return table.assign(pool=np.where(table["direction"] == "", np.nan, pool))[COLUMNS]


def difference_table(
    statistics: Statistics, pairs: Sequence[tuple[Model, Model]], level: float = 0.95
) -> pd.DataFrame:
    """Each statistic of one model less the same one of another, on the same images.

    Args:
        statistics: As for `score_table`, all under the same weights.
        pairs: (model, stage) and the (model, stage) that it is held against.
        level: Confidence level of the intervals.

    Returns:
        Columns `DIFFERENCES`.
    """
    rows: dict[tuple, Replicates] = {}
    for ours, theirs in pairs:
        of = [
            {key[2:]: found for key, found in statistics.items() if key[:2] == name}
            for name in (ours, theirs)
        ]
        both = [key for key in of[0] if key in of[1]]
        found = differences([{key: of[0][key] for key in both}], [{key: of[1][key] for key in both}])
        rows |= {(*ours, *theirs, *key): value for key, value in found.items()}
    return tidy(rows, DIFFERENCES[:8], level=level, how=f"paired {HOW}")
