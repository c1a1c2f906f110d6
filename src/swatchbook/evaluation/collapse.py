"""Prior collapse: does a model predict fewer and more typical labels than it was shown?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from swatchbook.evaluation.contingency import expected
from swatchbook.evaluation.coupling import REFERENCE, Codes, check_codes, labelled
from swatchbook.evaluation.resample import (
    cells,
    estimate_first,
    normal_interval,
    normal_words,
    percentile_words,
    percentiles,
    table,
)
from swatchbook.schema import Schema

COLUMNS = ["model", "head", "other", "class", "statistic", "value", "low", "high", "n", "interval"]


def collapse_table(
    reference: Codes,
    predictions: Mapping[str, Codes],
    schema: Schema,
    *,
    weights: np.ndarray,
    level: float = 0.95,
) -> pd.DataFrame:
    """How far the labels that a model gives out shrink towards the common and the typical.

    All on rows where the reference has the label (for pairs both, for head ``all`` all of them):

    * by class: ``share`` of the rows, and ``log_ratio`` = ln(predicted share / reference share);
    * by head: ``total_variation`` between the two margins, ``effective_classes`` e^H (H the entropy in
      nats) and its paired ``effective_classes_change``; head ``all`` counts tuples of all attributes;
    * by head and partner: ``accuracy_typical`` and ``accuracy_atypical``, the head's accuracy on rows
      whose pair of reference labels occurs at least as often as, or less often than, independence
      would have it, and ``accuracy_drop`` = typical − atypical.

    Args:
        reference: Attribute → codes, shape (n,), −1 where there is no label.
        predictions: Model → attribute → codes, shape (n,).
        schema: Gives the attributes, classes and their order.
        weights: Bootstrap weights from `image_weights`, shape (B, n).
        level: Confidence level of the intervals.

    Returns:
        Tidy table; `other` is the partner attribute, `class` is ``all`` for a whole head. `log_ratio` is
        NaN where the reference never has a class or the model never predicts it. e^H is the plug-in:
        low for many classes and few rows, in model and reference alike. What is typical is fixed by the
        whole sample, in the replicates too.
    """
    both = estimate_first(weights, check_codes(reference, predictions, schema))
    normal, percentile = normal_words(len(weights), level), percentile_words(len(weights), level)
    rows: list[dict] = []

    def add(
        key: dict, statistic: str, samples: np.ndarray, n: float, least: float | None, most: float
    ) -> None:
        """One row; `least` None asks for percentiles, which need no symmetry."""
        if least is None:
            ends, words = percentiles(samples, level), percentile
        else:
            ends, words = normal_interval(samples, level, least, most), normal
        words = "not estimable" if np.isnan(ends["value"]) else words
        rows.append({**key, "statistic": statistic, **ends, "n": int(n), "interval": words})

    for model, codes in ((REFERENCE, reference), *predictions.items()):
        for attribute in schema:
            name, k = attribute.name, len(attribute)
            keep = labelled(reference, (name,)) & labelled(codes, (name,))
            shares, true = (_shares(np.where(keep, c[name], -1), k, both) for c in (codes, reference))
            support, n = np.bincount(reference[name][keep], minlength=k), keep.sum()
            for i, label in enumerate(attribute.classes):
                key = {"model": model, "head": name, "other": "", "class": label}
                add(key, "share", shares[:, i], n, None, 1.0)
                if model != REFERENCE:
                    add(key, "log_ratio", _log_ratio(shares[:, i], true[:, i]), support[i], None, np.inf)
            key = {"model": model, "head": name, "other": "", "class": "all"}
            if model != REFERENCE:
                add(key, "total_variation", np.abs(shares - true).sum(axis=1) / 2, n, 0.0, 1.0)
            for statistic, samples, least in _effective(shares, true, model):
                add(key, statistic, samples, n, least, k)
        tuples, true, n, most = _tuples(reference, codes, schema, both)
        key = {"model": model, "head": "all", "other": "", "class": "all"}
        for statistic, samples, least in _effective(tuples, true, model):
            add(key, statistic, samples, n, least, most)
        if model == REFERENCE:
            continue
        for a, b in schema.pairs:
            for head, other in ((a, b), (b, a)):
                key = {"model": model, "head": head, "other": other, "class": "all"}
                for statistic, samples, n in _by_typicality(reference, codes, head, other, schema, both):
                    add(key, statistic, samples, n, -1.0 if statistic == "accuracy_drop" else 0.0, 1.0)
    return pd.DataFrame(rows)[COLUMNS]


def effective_classes(shares: np.ndarray) -> np.ndarray:
    """e^H of each distribution along the last axis: how many equally common classes it is worth.

    Args:
        shares: Shape (…, K), each summing to 1.

    Returns:
        Shape (…), from 1 to K; NaN where a share is NaN.

    Source:
        Hill (1973), Ecology 54(2):427–432, order 1.
    """
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.exp(-(shares * logs).sum(axis=-1))


def _shares(codes: np.ndarray, k: int, both: np.ndarray) -> np.ndarray:
    counts = cells(codes, k, both)
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


def _log_ratio(shares: np.ndarray, true: np.ndarray) -> np.ndarray:
    defined = (shares > 0) & (true > 0)
    ratio = np.divide(shares, true, out=np.ones_like(shares), where=defined)
    return np.where(defined, np.log(ratio), np.nan)


def _effective(shares: np.ndarray, true: np.ndarray, model: str) -> Iterator[tuple[str, np.ndarray, float]]:
    mine = effective_classes(shares)
    yield "effective_classes", mine, 1.0
    if model != REFERENCE:
        yield "effective_classes_change", mine - effective_classes(true), -np.inf


def _tuples(
    reference: Codes, codes: Codes, schema: Schema, both: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Shares of the tuples of all attributes, predicted and in the reference, over tuples that occur."""
    keep = labelled(reference, schema.names) & labelled(codes, schema.names)
    sizes = tuple(len(a) for a in schema)
    shares = []
    for source in (codes, reference):
        joint = np.full(len(keep), -1)
        joint[keep] = np.ravel_multi_index([source[name][keep] for name in schema.names], sizes)
        seen, compact = np.unique(joint[keep], return_inverse=True)
        joint[keep] = compact
        shares.append(_shares(joint, max(len(seen), 1), both))
    return shares[0], shares[1], int(keep.sum()), int(np.prod(sizes))


def _by_typicality(
    reference: Codes, codes: Codes, head: str, other: str, schema: Schema, both: np.ndarray
) -> Iterator[tuple[str, np.ndarray, int]]:
    keep = labelled(reference, (head, other)) & labelled(codes, (head,))
    counts = table(
        np.where(keep, reference[head], -1), reference[other], (len(schema[head]), len(schema[other]))
    )
    typical = (counts >= expected(counts))[reference[head], reference[other]]
    right = codes[head] == reference[head]
    scores = []
    for statistic, chosen in (("accuracy_typical", keep & typical), ("accuracy_atypical", keep & ~typical)):
        scores.append(_shares(np.where(chosen, right, -1), 2, both)[:, 1])
        yield statistic, scores[-1], int(chosen.sum())
    yield "accuracy_drop", scores[0] - scores[1], int(keep.sum())
