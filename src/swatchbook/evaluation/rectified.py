"""True Cramér's V of every pair: silver counts of the whole split, corrected by the judged images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from swatchbook.evaluation.association import cramers_v
from swatchbook.evaluation.association_intervals import gradient, v_interval
from swatchbook.evaluation.resample import rao_wu_weights, table, tables, with_estimate, z_value
from swatchbook.evaluation.survey import centred_in_strata, check_design, kish_size
from swatchbook.evaluation.weighted_scores import NO_HUMAN_LABEL
from swatchbook.schema import Schema

Codes = Mapping[str, np.ndarray]
COLUMNS = ["model", "a", "b", "rows", "statistic", "value", "low", "high", "n", "interval"]
#: Images judged in both attributes below which V of the truth is not estimable.
FEWEST = {"v_rectified": 100, "v_direct": 30}
_UNSEEN = 1.0  # errors of each attribute that the audit may have missed, see `_linear_sd`


def rectified_table(
    human: Codes,
    silver: Codes,
    split_silver: Codes,
    schema: Schema,
    *,
    stratum: np.ndarray,
    weight: np.ndarray,
    draws: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> pd.DataFrame:
    """True Cramér's V of every pair: silver counts of the whole split, corrected by the audit.

    P = silver + Σ w̃ (human − silver), cell by cell, negative cells taken as 0. The cells' noise makes
    φ² too large; by how much is estimated by the bootstrap (mean over replicates minus estimate) and
    taken off. The interval takes the standard deviation of V² to first order. An attribute that is labelled
    by a folder rule and was not judged has the rule for truth.

    Args:
        human: As in `truth_table`.
        silver: As in `truth_table`.
        split_silver: Attribute → silver codes of the whole split, shape (N,).
        schema: As in `truth_table`.
        stratum: As in `truth_table`.
        weight: As in `truth_table`.
        draws: Number of Rao–Wu replicates B.
        rng: Source of randomness.
        level: Confidence level of the intervals.

    Returns:
        Columns `COLUMNS`, model "truth", rows "audit". Statistics: ``v_rectified``, and as a
        cross-check ``v_direct``, the bias-corrected V of the judged images alone (design weights,
        Kish's effective size, `v_interval`). ``n`` is the number of images judged in both attributes.
    """
    stratum, weight = check_design(stratum, weight, {"human": human, "silver": silver}, schema)
    design = with_estimate(weight, rao_wu_weights(stratum, draws, rng))
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
        of_pair = {"model": "truth", "a": a, "b": b, "rows": "audit", "n": int(judged.sum())}
        made = _pair_rows(
            (truth[a][judged], truth[b][judged]),
            (silver[a][judged], silver[b][judged]),
            table(split_silver[a], split_silver[b], shape),
            len(split_silver[a]),
            design[:, judged],
            np.unique(stratum[judged], return_inverse=True)[1],
            level,
        )
        rows += [of_pair | row for row in made]
    return pd.DataFrame(rows, columns=COLUMNS)


def _pair_rows(
    truth: tuple[np.ndarray, np.ndarray],
    silver: tuple[np.ndarray, np.ndarray],
    split: np.ndarray,
    size: int,
    design: np.ndarray,
    stratum: np.ndarray,
    level: float,
) -> Iterator[dict]:
    n = design.shape[1]
    for statistic, fewest in FEWEST.items():
        if n < fewest or min(split.shape) < 2:
            few = f"not estimable: fewer than {fewest} judged images" if n else NO_HUMAN_LABEL
            why = few if n < fewest else "not estimable: one class"
            yield {"statistic": statistic, "interval": why} | dict.fromkeys(("value", "low", "high"), np.nan)
    if n < FEWEST["v_direct"] or min(split.shape) < 2:
        return
    kept = design[design.sum(1) > 0]
    design = kept * (size / kept.sum(1, keepdims=True))
    human = tables(*truth, split.shape, design)
    if n >= FEWEST["v_rectified"]:
        yield _rectified_row(split, human, truth, silver, stratum, design, level)
    effective = float(kish_size(design[0]))
    scaled = human[0] * (effective / human[0].sum())
    value = float(cramers_v(scaled, size=effective))
    low, high, rule = v_interval(scaled, level, size=effective)
    yield {
        "statistic": "v_direct",
        "value": value,
        "low": min(low, value),
        "high": max(high, value),
        "interval": f"{rule} at Kish's effective size",
    }


def _rectified_row(
    split: np.ndarray,
    human: np.ndarray,
    truth: tuple[np.ndarray, np.ndarray],
    silver: tuple[np.ndarray, np.ndarray],
    stratum: np.ndarray,
    design: np.ndarray,
    level: float,
) -> dict:
    rectified = np.maximum(split + human - tables(*silver, split.shape, design), 0)
    squared = cramers_v(rectified, correct=False) ** 2
    centre = min(max(2 * squared[0] - squared[1:].mean(), 0.0), 1.0)
    reach = z_value(level) * _linear_sd(rectified[0], truth, silver, stratum, design[0])
    v, low, high = np.sqrt(np.clip([centre, centre - reach, centre + reach], 0, 1))
    return {
        "statistic": "v_rectified",
        "value": float(v),
        "low": float(low),
        "high": float(high),
        "interval": f"root of V² ± z SD, linearised by strata; bias by Rao–Wu bootstrap, B={len(design) - 1}",
    }


def _linear_sd(
    counts: np.ndarray,
    truth: tuple[np.ndarray, np.ndarray],
    silver: tuple[np.ndarray, np.ndarray],
    stratum: np.ndarray,
    weight: np.ndarray,
) -> float:
    """Standard deviation of V² of a rectified table, to first order in what the audit changes.

    Each judged image moves its silver cell's share to its true one; V² changes by the difference of the
    two cells' derivatives, and the variance of a stratified total follows. Replicates of the bootstrap would
    pile up where cells are taken as 0. Errors that no judged image shows may exist all the same: one of each
    attribute, to a class drawn by the margin, adds its square, so that labels that were never found wrong are
    not taken for the truth.

    Source:
        Linearisation: Deville (1999), Survey Methodology 25:193–203. Pseudo-items for unseen events:
        Agresti & Coull (1998), Am. Stat. 52:119–126.
    """
    share, slope = counts / counts.sum(), gradient(counts)
    moved = weight * (slope[truth] - slope[silver]) * ((silver[0] >= 0) & (silver[1] >= 0))
    moved += weight * slope[truth] * ((silver[0] < 0) | (silver[1] < 0))
    rows, columns = share.sum(1), share.sum(0)
    second = (share * slope**2).sum()
    of_a = second - 2 * ((share * slope).sum(0) * (rows @ slope)).sum() + columns @ (rows @ slope**2)
    of_b = second - 2 * ((share * slope).sum(1) * (slope @ columns)).sum() + rows @ (slope**2 @ columns)
    unseen = _UNSEEN * (weight**2).mean() * max(of_a + of_b, 0.0)
    variance = (centred_in_strata(moved, stratum) ** 2).sum() + unseen
    return float(np.sqrt(variance) / weight.sum() / (min(counts.shape) - 1))
