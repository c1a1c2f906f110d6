"""What coupling would be if two heads erred independently of each other.

Each head's confusion matrix, given the truth, is taken as it is; only the tie between the heads' errors
is cut. Independent errors lower Cramér's V, so "no change of V" is the wrong expectation of an honest
model, and the gap to the value under independent errors shows errors that are made together.
"""

from __future__ import annotations

import numpy as np

from swatchbook.evaluation.association import cramers_v, phi2


def row_normalised(confusion: np.ndarray) -> np.ndarray:
    """P(predicted | reference): rows sum to 1, rows without an item are 0; shape (…, K, K)."""
    confusion = np.asarray(confusion, dtype=float)
    sums = confusion.sum(axis=-1, keepdims=True)
    return np.divide(confusion, sums, out=np.zeros_like(confusion), where=sums > 0)


def independent_table(joint: np.ndarray, confusion_a: np.ndarray, confusion_b: np.ndarray) -> np.ndarray:
    """The expected table of predictions under independent errors, A_aᵀ P A_b.

    Args:
        joint: Reference table P, shape (…, K_a, K_b).
        confusion_a: Reference × predicted counts of head a on the same items, shape (…, K_a, K_a).
        confusion_b: The same for head b, shape (…, K_b, K_b).

    Returns:
        Shape (…, K_a, K_b); its margins are the predicted ones.
    """
    _check(joint, confusion_a, confusion_b)
    return np.swapaxes(row_normalised(confusion_a), -1, -2) @ joint @ row_normalised(confusion_b)


def v_ref(
    joint: np.ndarray,
    confusion_a: np.ndarray,
    confusion_b: np.ndarray,
    correct: bool = False,
) -> np.ndarray:
    """Cramér's V of predictions whose errors are independent given the reference; at most V of it.

    That V_ref ≤ V holds because φ² is an f-divergence, which noise on either side cannot raise.

    Args:
        joint: Reference table P, shape (…, K_a, K_b), counts.
        confusion_a: Reference × predicted counts of head a on the same items, shape (…, K_a, K_a).
        confusion_b: The same for head b, shape (…, K_b, K_b).
        correct: Subtract the mean of φ² under independence. Noise shrinks sampling error as it shrinks
            association: the mean is φ²(C_a)·φ²(C_b)/(n − 1), with C the confusion tables, which is
            Bergsma's (r − 1)(c − 1)/(n − 1) for heads without an error.

    Returns:
        Shape (…), in [0, 1].
    """
    value = phi2(independent_table(joint, confusion_a, confusion_b))
    if correct:
        n = np.asarray(joint, dtype=float).sum(axis=(-2, -1))
        value = value - phi2(confusion_a) * phi2(confusion_b) / np.where(n > 1, n - 1, np.nan)
    fewest = min(np.shape(joint)[-2:])
    return np.sqrt(np.maximum(value, 0) / (fewest - 1)) if fewest > 1 else np.full(value.shape, np.nan)


def confusion_null(
    joint: np.ndarray,
    confusion_a: np.ndarray,
    confusion_b: np.ndarray,
    draws: int,
    rng: np.random.Generator,
    correct: bool = False,
) -> np.ndarray:
    """V of predictions redrawn with independent errors: the confusion-matched null distribution.

    Every item keeps its reference labels; each head's prediction is drawn anew from its own confusion
    matrix given the label. All items of one cell are drawn at once: first where head a puts them, then,
    for items of one b-label, where head b puts them.

    Args:
        joint: Reference table, shape (K_a, K_b), whole counts.
        confusion_a: Reference × predicted counts of head a on the same items, shape (K_a, K_a).
        confusion_b: The same for head b, shape (K_b, K_b).
        draws: Number of redraws.
        rng: Source of randomness.
        correct: Bias-corrected V instead of the plug-in.

    Returns:
        Shape (draws,); NaN where there is no item.
    """
    _check(joint, confusion_a, confusion_b)
    if draws < 1:
        raise ValueError(f"draws must be at least 1; received {draws}")
    counts = np.asarray(joint).round().astype(np.int64)
    if counts.sum() == 0:
        return np.full(draws, np.nan)
    a, b = _drawable(confusion_a), _drawable(confusion_b)
    k_a, k_b = counts.shape
    # (draws, a label, b label, a predicted), summed over the a label; then (…, b predicted), over b's.
    by_a = rng.multinomial(counts, a[:, None, :], size=(draws, k_a, k_b)).sum(axis=1)
    drawn = rng.multinomial(np.swapaxes(by_a, 1, 2), b, size=(draws, k_a, k_b)).sum(axis=2)
    return cramers_v(drawn, correct=correct)


def _drawable(confusion: np.ndarray) -> np.ndarray:
    """Row-normalised with rows that sum to 1; rows without an item are never drawn from."""
    p = row_normalised(confusion)
    p[p.sum(axis=-1) == 0, 0] = 1.0
    return p


def null_p(observed: float, null: np.ndarray) -> float:
    """One-sided p-value, (1 + #{V* ≥ V})/(B + 1): are the heads coupled beyond independent errors?

    Args:
        observed: V of the predictions.
        null: Draws of `confusion_null`, shape (B,).
    """
    if np.isnan(observed) or np.isnan(null).any():
        return float("nan")
    return (1 + int((null >= observed - 1e-12).sum())) / (len(null) + 1)


def _check(joint: np.ndarray, confusion_a: np.ndarray, confusion_b: np.ndarray) -> None:
    k_a, k_b = np.shape(joint)[-2:]
    if np.shape(confusion_a)[-2:] != (k_a, k_a) or np.shape(confusion_b)[-2:] != (k_b, k_b):
        raise ValueError(
            f"confusion matrices must be ({k_a}, {k_a}) and ({k_b}, {k_b}) for a table of ({k_a}, {k_b}); "
            f"received {np.shape(confusion_a)[-2:]} and {np.shape(confusion_b)[-2:]}"
        )
