"""True Cramér's V of every pair: what people judged, and the machine's labels of the whole split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from swatchbook.evaluation.association import classes_in_use
from swatchbook.evaluation.association_intervals import Phi2, bias_here, gradient, v_ends
from swatchbook.evaluation.resample import table
from swatchbook.evaluation.survey import centred_in_strata, check_design, kish_size
from swatchbook.evaluation.weighted_scores import NO_HUMAN_LABEL
from swatchbook.schema import Schema

Codes = Mapping[str, np.ndarray]
COLUMNS = ["model", "a", "b", "rows", "statistic", "value", "low", "high", "n", "interval"]
#: Judged images, as many of equal weight, below which V of the truth is not estimable.
FEWEST = 30
STATISTICS = ("v_rectified", "v_direct")
_LEAST_MARGIN = 0.5  # of a class, as a share of what labels and judgements say of it; see `_margins`


def rectified_table(
    human: Codes,
    silver: Codes,
    split_silver: Codes,
    schema: Schema,
    *,
    stratum: np.ndarray,
    weight: np.ndarray,
    level: float = 0.95,
) -> pd.DataFrame:
    """True Cramér's V of every pair: judged counts, made more precise by the silver counts of the split.

    P = human + λ (split − silver), cell by cell: what the judged images say, and, of what the silver labels
    say of all images beyond what they say of the judged ones, the share λ in [0, 1] that leaves the least
    noise. How much noise raises φ² and how much φ² varies follow from the covariance of the cells under the
    design, and the interval from these as in `v_ends`. An attribute that is labelled by a folder rule and was
    not judged has the rule for truth.

    Args:
        human: As in `truth_table`.
        silver: As in `truth_table`.
        split_silver: Attribute → silver codes of the whole split, shape (N,).
        schema: As in `truth_table`.
        stratum: As in `truth_table`.
        weight: As in `truth_table`.
        level: Confidence level of the intervals.

    Returns:
        Columns `COLUMNS`, model "truth", rows "audit". Statistics: ``v_rectified``, and as a
        cross-check ``v_direct``, which is that of λ = 0: the judged images alone. ``n`` is the number of
        images judged in both attributes.

    Source:
        The sum with λ: Angelopoulos, Duchi & Zrnic (2023), PPI++, arXiv 2311.01453. Mean and variance of χ²
        under a design, by the eigenvalues of the cells' covariance: Rao & Scott (1981), JASA 76:221–230.
    """
    stratum, weight = check_design(stratum, weight, {"human": human, "silver": silver}, schema)
    truth = {
        a.name: silver[a.name]
        if a.labelled_by == "folder" and not (human[a.name] >= 0).any()
        else human[a.name]
        for a in schema
    }
    rows = []
    for a, b in schema.pairs:
        shape = (len(schema[a]), len(schema[b]))
        judged = (truth[a] >= 0) & (truth[b] >= 0)
        n, size = int(judged.sum()), len(split_silver[a])
        sample = Sample(
            (truth[a][judged], truth[b][judged]),
            (silver[a][judged], silver[b][judged]),
            np.unique(stratum[judged], return_inverse=True)[1],
            weight[judged] * (size / max(weight[judged].sum(), 1e-300)),
            table(split_silver[a], split_silver[b], shape),
        )
        for statistic in STATISTICS:
            row = {"model": "truth", "a": a, "b": b, "rows": "audit", "statistic": statistic, "n": n}
            rows.append(row | _estimate(sample, tuned=statistic == "v_rectified", level=level))
    return pd.DataFrame(rows, columns=COLUMNS)


class Sample(NamedTuple):
    """Images that were judged in both attributes of a pair, out of a split.

    Attributes:
        human: Judged codes of both attributes, shape (n,) each.
        silver: Silver codes of both, −1 for none.
        stratum: Stratum of each image, 0…H−1.
        weight: How many images each stands for; they sum to those of the split.
        split: Silver counts of the whole split, shape (K_a, K_b).
    """

    human: tuple[np.ndarray, np.ndarray]
    silver: tuple[np.ndarray, np.ndarray]
    stratum: np.ndarray
    weight: np.ndarray
    split: np.ndarray


def _estimate(sample: Sample, *, tuned: bool, level: float) -> dict[str, object]:
    """Value, ends and the rule of one row, or why there are none."""
    n, shape = len(sample.weight), sample.split.shape
    seen = [np.unique(codes) for codes in sample.human]
    reasons = {
        NO_HUMAN_LABEL: n == 0,
        f"not estimable: fewer than {FEWEST} judged images": n < FEWEST,
        f"not estimable: fewer than {FEWEST} judged images, counted as many of equal weight": n
        and kish_size(sample.weight) < FEWEST,
        "not estimable: one class": min(shape) < 2,
        "not estimable: one class judged": min(len(x) for x in seen) < 2,
    }
    for why, holds in reasons.items():
        if holds:
            return {"interval": why} | dict.fromkeys(("value", "low", "high"), np.nan)
    known, noise, share = phi2_of(sample, tuned=tuned)
    value = float(np.sqrt(np.clip((known.observed - noise) / known.classes, 0, 1)))
    if not known.null and not known.slope:
        return {
            "value": value,
            "low": value,
            "high": value,
            "interval": "counted: all of the split is judged",
        }
    low, high = (float(x) for x in v_ends(known, level))
    how = f", silver counts with λ = {share:.2f}" if tuned else ""
    return {
        "value": value,
        "low": min(low, value),
        "high": max(high, value),
        "interval": f"{level:.0%} by inversion of φ², Rao–Scott by strata{how}",
    }


def phi2_of(sample: Sample, *, tuned: bool) -> tuple[Phi2, float, float]:
    """φ² of a sample of a split, its noise, and λ; see `rectified_table`.

    The noise is the sum over cells of the variance of p_ij − p_i p_j, over p_i p_j; the variance of φ² under
    independence is twice the sum of the squared covariances. Both come from the images' influences,
    the latter from pairs of different images alone, as an image's product with itself says nothing of
    it. Errors that no judged image shows may exist all the same: one of each attribute, to a class drawn by
    the margin, is added, so that labels that were never found wrong are not taken for the truth.

    Args:
        sample: At least two images.
        tuned: Whether the silver counts are used.

    Returns:
        What is known of φ², its noise without errors that were not seen, and λ.

    Source:
        Linearisation: Deville (1999), Survey Methodology 25:193–203. Pseudo-items for unseen events: Agresti
        & Coull (1998), Am. Stat. 52:119–126. Finite population: Cochran (1977), Sampling Techniques, 5.3.
    """
    share = 0.0
    if tuned:
        *_, of_human, of_silver = _influences(sample, 1.0)
        x, y = (centred_in_strata(z, sample.stratum) for z in (of_human, of_silver))
        share = float(np.clip((x * y).sum() / max((y**2).sum(), 1e-300), 0, 1))
    counts, root, of_human, of_silver = _influences(sample, share)
    noise, null = _noise(of_human - share * of_silver, sample.stratum)
    p = counts / counts.sum()
    observed = float((((p - np.outer(p.sum(1), p.sum(0))) * root) ** 2).sum())

    kept, reach = np.maximum(counts, 0), _reach(sample.weight)
    slopes, unseen = gradient(kept), share**2 * float((reach**2).mean())
    at_silver = np.where((sample.silver[0] >= 0) & (sample.silver[1] >= 0), slopes[sample.silver], 0.0)
    linear = centred_in_strata(reach * (slopes[sample.human] - share * at_silver), sample.stratum)
    spread = float((linear**2).sum()) + unseen * _spread_of_an_error(kept, slopes)
    freedom = float(np.prod([k - 1 for k in classes_in_use(kept)]))
    hidden = 4 * freedom * unseen
    null = 2 * (np.sqrt(null / 2) + hidden / np.sqrt(max(freedom, 1))) ** 2
    size = freedom / max(noise, 1e-300)
    lesser = min(float(bias_here(kept, max(observed, 1e-9), noise, size)), noise)
    slope = spread / observed if observed > 1e-9 else 4 / size
    known = (np.asarray(x) for x in (observed, noise + hidden, lesser, null, slope))
    return Phi2(*known, min(sample.split.shape) - 1), noise, share


def _reach(weight: np.ndarray) -> np.ndarray:
    """What each image adds to a share, as far as others in its stratum were left out, shape (n,)."""
    return weight / weight.sum() * np.sqrt(np.maximum(1 - 1 / weight, 0))


def _influences(sample: Sample, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The counts with λ = `share`, 1 / √(p_i p_j), and what each image adds, judged and silver."""
    shape = sample.split.shape
    human, silver = (table(*codes, shape, sample.weight) for codes in (sample.human, sample.silver))
    counts = human + share * (sample.split - silver)
    rows, columns = _margins(counts, human + share * sample.split)
    alone = np.outer(rows, columns)
    root = np.sqrt(np.divide(1.0, alone, out=np.zeros(shape), where=alone > 0))
    reach = _reach(sample.weight)[:, None]
    given = [_influence(codes, rows, columns, root) * reach for codes in (sample.human, sample.silver)]
    return counts, root, given[0], given[1]


def _noise(moved: np.ndarray, stratum: np.ndarray) -> tuple[float, float]:
    """Mean of φ² under independence, and its variance, from what each image adds, shape (n, cells)."""
    noise = float((centred_in_strata(moved, stratum) ** 2).sum())
    square = moved.T @ moved if moved.shape[1] < len(moved) else moved @ moved.T
    own = (moved**2).sum(1)
    apart = max(float((square**2).sum() - (own**2).sum()), 0.0)
    return noise, 2 * apart * (noise / max(own.sum(), 1e-300)) ** 2


def _margins(counts: np.ndarray, base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the classes of either attribute, that of a rare one not below half of what was seen of it."""
    margins = []
    for axis in (1, 0):
        m, seen = (x.sum(axis) / x.sum() for x in (counts, base))
        m = np.maximum(m, _LEAST_MARGIN * seen)
        margins.append(m / m.sum())
    return margins[0], margins[1]


def _influence(
    codes: tuple[np.ndarray, np.ndarray], rows: np.ndarray, columns: np.ndarray, root: np.ndarray
) -> np.ndarray:
    """What an image adds to p_ij − p_i p_j, over √(p_i p_j), shape (n, K_a · K_b); 0 without both labels."""
    both = (codes[0] >= 0) & (codes[1] >= 0)
    of_a, of_b = ((x[:, None] == np.arange(len(m))) - m for x, m in zip(codes, (rows, columns), strict=True))
    return ((of_a[:, :, None] * of_b[:, None, :] * root) * both[:, None, None]).reshape(len(both), -1)


def _spread_of_an_error(counts: np.ndarray, slopes: np.ndarray) -> float:
    """Mean square by which an error moves φ², one in each attribute, to a class drawn by the margin."""
    share = counts / counts.sum()
    rows, columns = share.sum(1), share.sum(0)
    second = (share * slopes**2).sum()
    of_a = second - 2 * ((share * slopes).sum(0) * (rows @ slopes)).sum() + columns @ (rows @ slopes**2)
    of_b = second - 2 * ((share * slopes).sum(1) * (slopes @ columns)).sum() + rows @ (slopes**2 @ columns)
    return max(float(of_a + of_b), 0.0)
