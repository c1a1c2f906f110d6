"""Agreement between annotators: how far the audit itself can be trusted.

Kappa and alpha take chance agreement off and fall when one class dominates, however well the
annotators agree; AC1 does not, and raw agreement stands beside them. All are functions of sums over
images, and one less disagreement over the disagreement that chance would give, so the interval of each is
that of a share of disagreements, which holds where there are next to none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from swatchbook.evaluation.intervals import wilson
from swatchbook.evaluation.survey import error_rate
from swatchbook.evaluation.weighted_scores import FEWEST
from swatchbook.schema import Schema

COLUMNS = ["attribute", "a", "b", "statistic", "value", "low", "high", "n", "interval"]


def raw_agreement(counts: np.ndarray) -> np.ndarray:
    """Share of images that two annotators label alike.

    Args:
        counts: Annotator × annotator tables, shape (…, K, K).

    Returns:
        Shape (…), in [0, 1]; NaN for an empty table.
    """
    counts = np.asarray(counts, dtype=float)
    return _ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum((-2, -1)))


def cohen_kappa(counts: np.ndarray) -> np.ndarray:
    """Cohen's kappa: agreement beyond what the two annotators' own margins give by chance.

    Args:
        counts: Annotator × annotator tables, shape (…, K, K).

    Returns:
        Shape (…), in [−1, 1]; NaN where both use one and the same class only, or nothing is judged.

    Source:
        Cohen (1960), Educ. Psychol. Meas. 20:37–46; scikit-learn's ``cohen_kappa_score`` has no
        leading dimensions, so the tables without each image in turn cannot use it.
    """
    a, b = _margins(counts)
    return _beyond_chance(raw_agreement(counts), (a * b).sum(-1))


def gwet_ac1(counts: np.ndarray) -> np.ndarray:
    """Gwet's AC1: chance agreement only where labels are given at random, so skew does not deflate it.

    Args:
        counts: Annotator × annotator tables over all K ≥ 2 classes of the schema, shape (…, K, K).

    Returns:
        Shape (…), in [−1, 1]; NaN for an empty table or one class.

    Source:
        Gwet (2008), Br. J. Math. Stat. Psychol. 61:29–48.
    """
    a, b = _margins(counts)
    share, k = (a + b) / 2, a.shape[-1]
    if k < 2:
        return np.full(share.shape[:-1], np.nan)
    return _beyond_chance(raw_agreement(counts), (share * (1 - share)).sum(-1) / (k - 1))


def coincidences(codes: np.ndarray, k: int) -> np.ndarray:
    """Each image's coincidence matrix; their (weighted) sum is what alpha is computed from.

    Args:
        codes: Codes 0…K−1 or −1 for no label, shape (annotators, n).
        k: Number of classes K.

    Returns:
        Shape (n, K, K): for each image the ordered pairs of labels of different annotators, over the
        number of its labels less one; 0 where fewer than two annotators labelled it.
    """
    counts = (np.asarray(codes)[..., None] == np.arange(k)).sum(0).astype(float)
    labels = counts.sum(1)
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(k)
    return pairs / np.maximum(labels - 1, 1)[:, None, None]


def krippendorff_alpha(coincidence: np.ndarray) -> np.ndarray:
    """Krippendorff's alpha for nominal labels: any number of annotators, gaps allowed.

    Args:
        coincidence: Sums of `coincidences`, shape (…, K, K).

    Returns:
        Shape (…), at most 1; NaN where fewer than two classes are used or nothing is paired.

    Source:
        Krippendorff (2011), Computing Krippendorff's Alpha-Reliability.
    """
    coincidence = np.asarray(coincidence, dtype=float)
    margin = coincidence.sum(-1)
    total = margin.sum(-1)
    observed = total - np.trace(coincidence, axis1=-2, axis2=-1)
    expected = total**2 - (margin**2).sum(-1)
    # Weighted sums leave a remainder of rounding where one class is all there is.
    return 1 - _ratio(observed * (total - 1), np.where(expected > 1e-9 * total**2, expected, 0))


PAIRWISE = {"agreement": raw_agreement, "kappa": cohen_kappa, "ac1": gwet_ac1}


def agreement_table(audit: pd.DataFrame, schema: Schema, *, level: float = 0.95) -> pd.DataFrame:
    """Agreement of every pair of annotators, and of all together where there are more than two.

    Args:
        audit: A row an image and annotator: ``image_id``, ``annotator`` and a column an attribute with
            the label (null = can't tell).
        schema: Gives the attributes and classes.
        level: Confidence level in (0, 1).

    Returns:
        Columns `COLUMNS`: a and b name the annotators ("all", "all" for alpha of them together),
        statistic is agreement, kappa, ac1 or alpha. With one annotator every row is "not estimable:
        one annotator" (b is ""), with none "not estimable: empty audit"; below `FEWEST` images no chance
        can be taken off.

    Raises:
        ValueError: If a column is missing, a label is not in the schema, or an annotator judged an
            image twice.

    Source:
        Wilson's interval of the disagreement, at the size of a simple random sample that knows the statistic
        as well (see `error_rate`), over chance disagreement; variance by the jackknife (Efron & Stein 1981,
        Ann. Stat. 9:586–596).
    """
    missing = [c for c in ("image_id", "annotator") if c not in audit]
    if missing:
        raise ValueError(f"audit: no column {missing[0]!r}; received {', '.join(map(str, audit.columns))}")
    nobody = np.flatnonzero(audit["annotator"].isna())
    if nobody.size:
        raise ValueError(f"audit: no annotator in row {nobody[0]} (counted from 0); every row needs one")
    twice = audit.duplicated(["image_id", "annotator"])
    if twice.any():
        row = audit.loc[twice].iloc[0]
        raise ValueError(
            f"audit: annotator {row['annotator']!r} judged image {row['image_id']!r} twice; once is allowed"
        )
    who = sorted(audit["annotator"].unique())
    images = pd.Index(audit["image_id"].unique())
    place = images.get_indexer(audit["image_id"])
    encoded = schema.encode(audit, "audit")
    rows: list[dict] = []
    for a in schema:
        codes = np.full((len(who), len(images)), -1)
        codes[np.searchsorted(who, audit["annotator"]), place] = encoded[a.name]
        groups = list(combinations(range(len(who)), 2))
        if len(who) > 2:
            groups.append(tuple(range(len(who))))
        for group in groups:
            names = {"a": who[group[0]], "b": who[group[1]]} if len(group) == 2 else {"a": "all", "b": "all"}
            made = _group_rows(codes[list(group)], len(a), level)
            rows += [{"attribute": a.name, **names, **row} for row in made]
        if not groups:
            why = "not estimable: one annotator" if who else "not estimable: empty audit"
            rows += [
                {"attribute": a.name, "a": who[0] if who else "", "b": "", "statistic": s, "n": 0}
                | dict.fromkeys(("value", "low", "high"), np.nan)
                | {"interval": why}
                for s in (*PAIRWISE, "alpha")
            ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _group_rows(codes: np.ndarray, k: int, level: float) -> Iterator[dict]:
    codes = codes[:, (codes >= 0).sum(0) > 1]
    n = codes.shape[1]
    every = coincidences(codes, k)
    statistics: dict[str, tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]] = {}
    if len(codes) == 2:
        both = np.eye(k)[codes[0]][:, :, None] * np.eye(k)[codes[1]][:, None, :]
        statistics = {name: (score, both) for name, score in PAIRWISE.items()}
    statistics["alpha"] = krippendorff_alpha, every
    labels = np.maximum(every.sum((1, 2)), 1.0)
    differ = 1 - np.trace(every, axis1=1, axis2=2) / labels
    for statistic, (score, each) in statistics.items():
        total = each.sum(0)
        row = {"statistic": statistic, "value": float(score(total)), "n": n}
        why = "no image judged by both" if n == 0 else "one class only" if np.isnan(row["value"]) else ""
        if not why and n < FEWEST and statistic != "agreement":
            why, row["value"] = f"fewer than {FEWEST} judged images", np.nan
        if why:
            yield row | {"low": np.nan, "high": np.nan, "interval": f"not estimable: {why}"}
            continue
        how = "Wilson score interval" if statistic == "agreement" else "Wilson at the effective size"
        without = np.nan_to_num(score(total - each), nan=row["value"])
        low, high = _ends(
            row["value"],
            without,
            differ,
            labels,
            1.0 if statistic == "agreement" else _unit(total, score),
            level,
        )
        yield row | {"low": low, "high": high, "interval": f"{level:.0%} {how}"}


def _unit(total: np.ndarray, score: Callable[[np.ndarray], np.ndarray]) -> float:
    """By how much the statistic falls where disagreement rises from 0 to 1: one over chance disagreement.

    The statistic is 1 − unit · disagreement at the margins found, so moving half of all labels off the
    diagonal while the margins stay shows the unit.
    """
    margins = np.outer(total.sum(1), total.sum(0)) / total.sum()
    apart = 1 - np.trace(margins) / total.sum()
    return float((1 - score(margins)) / apart) if apart > 0 else 1.0


def _ends(
    value: float, without: np.ndarray, differ: np.ndarray, labels: np.ndarray, unit: float, level: float
) -> tuple[float, float]:
    """Ends of one statistic from its values without each image and the images' own disagreements."""
    n = len(without)
    influence = (without - without.mean()) * (n - 1) / n / unit
    rate = error_rate(labels[:, None], differ, np.zeros(n, dtype=int), influence[:, None])
    low, high = wilson((1 - value) / unit, rate.above[0], level)
    return max(float(1 - high * unit), -1.0), min(float(1 - low * unit), 1.0)


def _margins(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    counts = np.asarray(counts, dtype=float)
    total = counts.sum((-2, -1))[..., None]
    return _ratio(counts.sum(-1), total), _ratio(counts.sum(-2), total)


def _beyond_chance(observed: np.ndarray, chance: np.ndarray) -> np.ndarray:
    return _ratio(observed - chance, np.where(1 - chance > 1e-12, 1 - chance, 0))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    part, whole = np.broadcast_arrays(np.asarray(part, dtype=float), whole)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
