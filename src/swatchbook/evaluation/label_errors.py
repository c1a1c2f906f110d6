"""Labels in the order in which they are most likely wrong, and how much better than chance that order is.

What is known of a label beside itself are probabilities of the classes: the labeller's own, or what a second
labeller says. cleanlab ranks by them; how many labels are wrong is not its to say, but the audit's.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from swatchbook.evaluation.certification import risk_row
from swatchbook.evaluation.resample import table
from swatchbook.evaluation.survey import check_design
from swatchbook.evaluation.weighted_scores import FEWEST, TOO_FEW
from swatchbook.schema import Schema

Codes = Mapping[str, np.ndarray]

SUSPECT_COLUMNS = ["attribute", "rank", "image_id", "label", "instead", "score"]
RANKING_COLUMNS = ["attribute", "part", "share", "value", "low", "high", "n", "interval"]
PARTS = (0.05, 0.1, 0.2)  # of the list, from its head
RANDOM = "random order"


def spread(code: np.ndarray, confidence: np.ndarray, k: int) -> np.ndarray:
    """Probabilities where only that of one class is known: the others share what is left.

    Args:
        code: The class, 0…K−1, −1 for none; shape (n,).
        confidence: Its probability, in [0, 1], NaN where it is not known; shape (n,).
        k: Number of classes K, at least 2.

    Returns:
        Shape (n, K); a row of NaN where there is no class or no confidence.
    """
    known = (code >= 0) & ~np.isnan(confidence)
    made = np.repeat(((1 - confidence) / (k - 1))[:, None], k, axis=1)
    rows = np.flatnonzero(known)
    made[rows, code[rows]] = confidence[rows]
    made[~known] = np.nan
    return made


def by_second_labeller(code: np.ndarray, second: np.ndarray, k: int) -> np.ndarray:
    """Probabilities of the first labeller's classes, given what a second one without confidences says.

    They are the shares of the first's labels among the *other* images that the second labels alike, so that
    no image speaks for itself; the shares of all images count as one image more.

    Args:
        code: The first labeller's classes, −1 for none; shape (n,).
        second: The second's, likewise.
        k: Number of classes K.

    Returns:
        Shape (n, K); a row of NaN where the second gave none.
    """
    counts = table(second, code, (k, k)).astype(float)
    every = np.bincount(code[code >= 0], minlength=k)
    share = every / max(every.sum(), 1)
    rows = np.where(second >= 0, second, 0)
    own = (np.arange(k) == code[:, None]) & (second >= 0)[:, None]
    others = counts[rows] - own
    made = (others + share) / (others.sum(1, keepdims=True) + 1)
    made[second < 0] = np.nan
    return made


def label_quality(code: np.ndarray, sources: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """How likely each label is right by all sources of probabilities, and what else it might be.

    Args:
        code: The labels, 0…K−1, −1 for none; shape (n,).
        sources: Probabilities of the classes, each of shape (n, K), rows of NaN where nothing is known.

    Returns:
        (score, instead), each of shape (n,). The score is cleanlab's self-confidence, in [0, 1], the mean
        over the sources that know the image; NaN where there is no label or none knows it. The class that is
        likeliest beside the label, −1 where none stands out.

    Source:
        Northcutt, Jiang & Chuang (2021), Confident Learning, JAIR 70:1373–1411; Kuan & Mueller (2022),
        arXiv 2207.03061, for ranking by self-confidence.
    """
    from cleanlab.rank import get_label_quality_scores  # here, since it takes seconds to import

    score = np.full((max(len(sources), 1), len(code)), np.nan)
    for each, probabilities in zip(score, sources, strict=False):
        known = np.flatnonzero((code >= 0) & ~np.isnan(probabilities).any(axis=1))
        if known.size:
            each[known] = get_label_quality_scores(code[known].astype(int), probabilities[known])
    with warnings.catch_warnings():  # of images that no source knows
        warnings.simplefilter("ignore", RuntimeWarning)
        mean = np.nanmean(score, axis=0)
        together = np.nanmean(np.stack(sources), axis=0) if len(sources) else np.empty((len(code), 0))
    instead = np.full(len(code), -1)
    known = np.flatnonzero(~np.isnan(mean))
    if known.size:
        rest = together[known]
        rest[np.arange(len(known)), code[known]] = -1.0
        ordered = np.sort(rest, axis=1)
        clear = ordered[:, -1] > ordered[:, -2] + 1e-9
        instead[known] = np.where(clear, rest.argmax(axis=1), -1)
    return mean, instead


def suspects_table(
    codes: Codes, sources: Mapping[str, Sequence[np.ndarray]], schema: Schema, image_ids: Sequence[str]
) -> pd.DataFrame:
    """Every attribute's labels, the one most likely wrong first.

    Args:
        codes: Attribute → labels, −1 for none; shape (n,).
        sources: Attribute → what is known beside them, as in `label_quality`; an attribute of which nothing
            is known is left out.
        schema: Gives attributes and classes.
        image_ids: The images, n of them.

    Returns:
        Columns `SUSPECT_COLUMNS`: ``rank`` counts from 1 in each attribute, ``instead`` is the class that is
        likeliest beside the label ("" where none stands out), ``score`` as in `label_quality`. Images of
        equal score stay in the order given.
    """
    parts = [pd.DataFrame(columns=SUSPECT_COLUMNS).astype({"rank": int, "score": float})]
    for a in schema:
        if sources.get(a.name):
            code = codes[a.name]
            score, instead = label_quality(code, sources[a.name])
            order = np.argsort(score, kind="stable")[: int((~np.isnan(score)).sum())]
            names = np.array([*a.classes, ""], dtype=object)
            columns = {
                "attribute": a.name,
                "rank": np.arange(1, len(order) + 1),
                "image_id": np.asarray(image_ids, dtype=object)[order],
                "label": names[code[order]],
                "instead": names[instead[order]],
                "score": score[order],
            }
            parts.append(pd.DataFrame(columns))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def ranking_table(
    suspects: pd.DataFrame,
    human: Codes,
    codes: Codes,
    image_ids: Sequence[str],
    schema: Schema,
    *,
    stratum: np.ndarray,
    weight: np.ndarray,
    level: float = 0.95,
) -> pd.DataFrame:
    """The share of labels that are wrong at the head of the list, beside random order, by an audit.

    Args:
        suspects: As `suspects_table` gives it.
        human: Attribute → codes of the judged images, −1 where the person could not tell; shape (n,).
        codes: Attribute → their labels, −1 for none; shape (n,).
        image_ids: The judged images, n of them.
        schema: Gives the attributes.
        stratum: Stratum of each judged image, shape (n,).
        weight: What each stands for, shape (n,).
        level: Confidence level in (0, 1).

    Returns:
        Columns `RANKING_COLUMNS`: for each attribute in the list the first 5, 10 and 20 % of it, and
        "random order", which is the share over all its labels. ``value`` is the share wrong; NaN below
        `FEWEST` judged images. n is the number judged in that part.
    """
    stratum, weight = check_design(stratum, weight, {"human": human, "labels": codes}, schema)
    rows = []
    for name, listed in suspects.groupby("attribute", sort=False):
        place = listed.set_index("image_id")["rank"].reindex(list(image_ids)).to_numpy(dtype=float)
        seen = (human[name] >= 0) & (codes[name] >= 0) & ~np.isnan(place)
        wrong = human[name] != codes[name]
        for share in (*PARTS, 1.0):
            accepted = place[seen] <= max(np.ceil(share * len(listed) - 1e-9), 1)
            row = risk_row(accepted, wrong[seen], stratum[seen], weight[seen], level)
            if row["n"] < FEWEST:
                row |= dict.fromkeys(("value", "low", "high"), np.nan) | {"interval": TOO_FEW}
            part = RANDOM if share == 1 else f"first {share:.0%}"
            rows.append({"attribute": name, "part": part, "share": share} | row)
    return pd.DataFrame(rows, columns=RANKING_COLUMNS)
