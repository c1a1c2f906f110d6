"""How much each image moves accuracy and macro-F1: to first order, an estimate is a mean of influences.

Source:
    Hampel (1974), JASA 69:383–393; for weighted samples Särndal, Swensson & Wretman (1992), Model Assisted
    Survey Sampling, 5.5.
"""

from __future__ import annotations

import numpy as np

from swatchbook.evaluation.scores import f1
from swatchbook.evaluation.weighted_scores import abstention_tables


def influences(
    judged: np.ndarray, label: np.ndarray, k: int, weight: np.ndarray
) -> tuple[tuple[float, float], tuple[np.ndarray, np.ndarray]]:
    """Estimates of accuracy and macro-F1, and each judged image's influence on them.

    Args:
        judged: The person's codes, shape (n,); −1 is not scored and has no influence.
        label: The labeller's codes, shape (n,); −1 is an abstention, which counts as wrong.
        k: Number of classes.
        weight: What each image stands for, shape (n,).

    Returns:
        ((accuracy, macro-F1), (influences on each, shape (n,))); estimates are NaN where nothing is scored.
        The weighted mean of the influences is 0.
    """
    scored = judged >= 0
    if not scored.any():
        return (np.nan, np.nan), (np.zeros(len(judged)), np.zeros(len(judged)))
    table = abstention_tables(judged, label, k, weight[None])[0][:k]
    accuracy = float(np.trace(table) / table.sum())
    held = table.sum(1) > 0
    square = np.vstack([table, np.zeros(k + 1)])
    macro = float(np.nan_to_num(f1(square)[:k])[held].mean())
    share = weight.sum() / table.sum()
    on_accuracy = np.where(scored, (judged == label) - accuracy, 0.0) * share
    on_macro = np.where(scored, f1_influence(table)[judged, np.where(label < 0, k, label)], 0.0) * share
    return (accuracy, macro), (on_accuracy, on_macro)


def f1_influence(table: np.ndarray) -> np.ndarray:
    """Influence on macro-F1 of an image with this truth and label, shape (K, K + 1); weighted mean 0.

    F1_k = 2 C_kk / (C_k· + C_·k) moves by (2·[truth = label = k] − F1_k·([truth = k] + [label = k])) over its
    denominator; the mean is over the classes that occur in truth.
    """
    k = len(table)
    square = np.vstack([table, np.zeros(k + 1)])
    score = np.nan_to_num(f1(square)[:k])
    total = square.sum(1)[:k] + square.sum(0)[:k]
    held = square.sum(1)[:k] > 0
    unit = np.divide(table.sum() / max(held.sum(), 1), total, out=np.zeros(k), where=held & (total > 0))
    influence = np.zeros((k, k + 1)) - (score * unit)[:, None]
    influence[:, :k] += 2 * np.diag(unit) - (score * unit)[None, :]
    return influence


def expected_influences(code: np.ndarray, p: np.ndarray, k: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """What each image's influence is expected to be before anyone has judged it.

    Args:
        code: The labeller's codes, shape (n,); −1 is an abstention.
        p: Probability that a label is right, in [0, 1], shape (n,); the other classes share the rest as
            often as they are labelled.
        k: Number of classes.

    Returns:
        For accuracy and for macro-F1: (mean, mean square) of each image's influence, shape (n,) each. For
        accuracy, the influence is 1 if the label is right and else 0; a constant does not matter.
    """
    right = np.where(code >= 0, p, 0.0)
    prior = np.bincount(code[code >= 0], minlength=k) + 1.0
    prior /= prior.sum()
    other = np.vstack([np.tile(prior, (k, 1)) * (1 - np.eye(k)), prior])
    other /= other.sum(1, keepdims=True)
    row = np.where(code < 0, k, code)
    table = np.bincount(row, 1 - right, minlength=k + 1)[:, None] * other
    table[:k] += np.diag(np.bincount(row, right, minlength=k + 1)[:k])
    by_cell = f1_influence(table.T)
    hit = np.append(np.diagonal(by_cell), 0.0)[row]
    miss, miss2 = ((other * by_cell.T**e).sum(1)[row] for e in (1, 2))
    return (right, right), (right * hit + (1 - right) * miss, right * hit**2 + (1 - right) * miss2)
