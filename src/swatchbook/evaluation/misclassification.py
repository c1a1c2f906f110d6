"""The person errs, too: what an audit says of the truth if the annotator is wrong now and then.

An annotator who errs in ε of the images, whatever they show, and then names any other class alike, lowers
every score of a labeller by about ε. Known ε, the table that an annotator without errors would have given
follows; how well ε is known follows from the images that were judged twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from swatchbook.evaluation.intervals import wilson

#: Shares of images in which an annotator may err, where nothing was judged twice.
WHAT_IF = (0.01, 0.03, 0.05)
#: Columns of the intervals that hold if the annotator errs in 1, 3 or 5 % of the images.
WHAT_IF_COLUMNS = [f"{end}_if_{round(100 * e)}" for e in WHAT_IF for end in ("low", "high")]
TRUSTED = "the annotator taken to be right"
FEWEST_TWICE = 10


class ErrorShare(NamedTuple):
    """In how many of the images an annotator errs.

    Attributes:
        value: In [0, 1].
        low: Lower end.
        high: Upper end.
        n: Images judged twice.
        once: Share of the judged images that got no second judgement, so that their errors are still there.
    """

    value: float
    low: float
    high: float
    n: int
    once: float = 1.0


def annotator_error(first: np.ndarray, second: np.ndarray, k: int, level: float = 0.95) -> ErrorShare | None:
    """An annotator's share of errors, from a second judgement that is made independently.

    Two who err in ε each, and then name any other class alike, agree in (1 − ε)² + ε² / (K − 1). A second
    judgement by the same person repeats some errors, and so finds fewer.

    Args:
        first: Codes, −1 for none, shape (n,).
        second: Codes of the same images, −1 for none, shape (n,).
        k: Number of classes K.
        level: Confidence level in (0, 1).

    Returns:
        The share; None where fewer than `FEWEST_TWICE` images got a class twice, or there is one class.

    Source:
        The case of equal error rates of Dawid & Skene (1979), J. R. Stat. Soc. C 28:20–28.
    """
    both = (first >= 0) & (second >= 0)
    n = int(both.sum())
    if n < FEWEST_TWICE or k < 2:
        return None
    differ = float((first != second)[both].mean())
    most = (k - 1) / k
    shares = np.array([differ, *wilson(differ, n, level)])
    value, low, high = most * (1 - np.sqrt(np.maximum(1 - shares / most, 0.0)))
    return ErrorShare(float(value), float(low), float(high), n)


def reconciled(
    first: np.ndarray, second: np.ndarray, label: np.ndarray, k: int, level: float = 0.95
) -> tuple[np.ndarray, ErrorShare | None]:
    """One judgement an image where there are two, and how often the annotator errs.

    Two judgements that agree are hardly ever both wrong. Where they differ, the truth is most likely one of
    them, and the machine's label says which: of both, the class that the label occurs with more often. That
    the two err independently of each other and of the machine is assumed, as it is in `annotator_error`.

    Args:
        first: Codes, −1 for none, shape (n,).
        second: Codes of the same images, −1 for none, shape (n,).
        label: The machine's codes, −1 for none, shape (n,).
        k: Number of classes K.
        level: Confidence level in (0, 1).

    Returns:
        The codes, shape (n,), and the annotator's share of errors; None where that cannot be told, and then
        the codes are those of the first judgement.

    Source:
        Dawid & Skene (1979), J. R. Stat. Soc. C 28:20–28: the step that assigns classes, by the largest
        posterior, the machine's confusions being estimated from the images on which both judgements agree.
    """
    error = annotator_error(first, second, k, level)
    if error is None:
        return first, None
    both, label = (first >= 0) & (second >= 0), np.where(label < 0, k, label)
    same = both & (first == second)
    seen = np.zeros((k, k + 1))
    np.add.at(seen, (first[same], label[same]), 1.0)
    margin = (seen.sum(1) + 0.5) / (seen.sum() + 0.5 * k)
    likely = seen + margin[:, None]  # one image a label, spread as the classes are
    of_second = both & (likely[second, label] > likely[first, label])
    once = ((first >= 0) & ~both).sum() / max((first >= 0).sum(), 1)
    return np.where(of_second, second, first), error._replace(once=float(once))


def without_errors(counts: np.ndarray, error: float | np.ndarray) -> np.ndarray:
    """The table that an annotator without errors would have given, right on average.

    Single cells may fall below 0: to cut them there would undo the correction of sums and scores.

    Args:
        counts: Judged × labelled counts, shape (…, K + 1, K + 1); the last class is "no label" and never
            judged.
        error: Share of errors ε, below (K − 1) / K, of a shape that goes with (…).

    Returns:
        Shape (…, K + 1, K + 1).

    Source:
        Rogan & Gladen (1978), Am. J. Epidemiol. 107:71–76, for K classes.
    """
    k = counts.shape[-1] - 1
    spread = np.asarray(error, dtype=float)[..., None, None] / max(k - 1, 1)
    corrected = (counts - spread * counts.sum(-2, keepdims=True)) / (1 - k * spread)
    corrected[..., k, :] = 0.0
    return corrected


def share_without_errors(share: float, k: int, error: np.ndarray) -> np.ndarray:
    """A share of right labels as `without_errors` has it, shape (…, 1)."""
    return (share - error[..., None] / (k - 1)) / (1 - error[..., None] * k / (k - 1))


def corrected(
    value: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    k: int,
    at: Callable[[np.ndarray], np.ndarray],
    error: ErrorShare | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores and their ends once the annotator's errors are taken out; or what they would be.

    Args:
        value: Scores in [0, 1] that trust the annotator, shape (S,).
        low: Their lower ends.
        high: Their upper ends.
        k: Number of classes K; with one, nobody can err.
        at: Shares of errors, shape (E,) → the scores without them, shape (E, S).
        error: The annotator's share of errors, None where it is not known.

    Returns:
        (value, low, high, what_if). Known, the errors that images judged once have left are taken out, and
        how well their share is known is carried into the ends; ``what_if`` is NaN. Not known, value and ends
        are as they were, and ``what_if``, shape (S, 6), holds what `WHAT_IF_COLUMNS` say.

    Source:
        Squares added from two intervals: Zou & Donner (2008), Stat. Med. 27:1693–1702.
    """
    what_if = np.full((len(value), len(WHAT_IF_COLUMNS)), np.nan)
    if k < 2:
        return value, low, high, what_if
    shares = np.array(WHAT_IF) if error is None else error.once * np.array(error[:3])
    shares = np.minimum(shares, 0.9 * (k - 1) / k)
    stretch = (1 / (1 - shares * k / (k - 1)))[:, None]
    centre = np.clip(at(shares), 0, 1)
    below, above = stretch * (value - low), stretch * (high - value)
    if error is None:
        ends = np.clip(np.stack([centre - below, centre + above], -1), 0, 1)
        return value, low, high, ends.transpose(1, 0, 2).reshape(len(value), -1)
    low, high = (
        centre[0] - np.hypot(below[0], centre[0] - centre[1]),
        centre[0] + np.hypot(above[0], centre[2] - centre[0]),
    )
    return centre[0], np.clip(low, 0, 1), np.clip(high, 0, 1), what_if


def words(error: ErrorShare | None) -> str:
    """How the annotator's errors are dealt with, for the column `interval`."""
    if error is None:
        return TRUSTED
    return (
        f"{error.n} images judged twice and reconciled; the annotator errs in {error.value:.1%} "
        f"({error.low:.1%} to {error.high:.1%})" + ("" if error.once == 0 else ", taken out of the others")
    )
