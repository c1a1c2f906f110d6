"""Cosines → silver labels, confidences and abstentions; and tables of who was labelled and who was not.

Only pandas and numpy: cosines were computed before, and everything here can be asked again with another
threshold or scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import special

from swatchbook.evaluation.intervals import share_row
from swatchbook.schema import Attribute, Schema

#: What cosines are multiplied by before the softmax, as published; setting `labelling.temperature`.
LOGIT_SCALE = 100.0
COLUMNS = ["attribute", "class", "metric", "value", "low", "high", "n", "interval"]


def checked_scale(logit_scale: float) -> float:
    """The factor on cosines, if it is one.

    Raises:
        ValueError: If it is no number above 0.
    """
    if not 0 < logit_scale < np.inf:
        raise ValueError(f"logit_scale (--temperature) must be a number above 0; received {logit_scale}")
    return logit_scale


def confidences(cosines: pd.DataFrame, attribute: Attribute, logit_scale: float = LOGIT_SCALE) -> np.ndarray:
    """Softmax over the classes of one attribute.

    Args:
        cosines: As from ``cosine_table``: a column ``<attribute>:<class>``, values in [−1, 1].
        attribute: Which attribute.
        logit_scale: Factor on the cosines before the softmax, above 0.

    Returns:
        float64 array of shape (images, classes); rows sum to 1, or are NaN where the cosines are.

    Raises:
        ValueError: If the scale is not positive or a class has no column.
    """
    checked_scale(logit_scale)
    columns = [f"{attribute.name}:{label}" for label in attribute.classes]
    missing = [column for column in columns if column not in cosines]
    if missing:
        raise ValueError(f"cosines: no column {missing[0]!r}; these cosines are of another schema")
    return special.softmax(logit_scale * cosines[columns].to_numpy(dtype=np.float64), axis=1)


def silver_table(
    cosines: pd.DataFrame,
    schema: Schema,
    folders: Sequence[str] | None = None,
    *,
    logit_scale: float = LOGIT_SCALE,
    thresholds: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Labels and confidences of every attribute.

    Args:
        cosines: As from ``cosine_table``, shape (images, classes of all attributes).
        schema: Gives classes, thresholds and the folder rule.
        folders: Folder of each image, for the attribute that a rule labels. None where there are no such
            folders: the attribute is then labelled by its cosines, without a threshold of its own.
        logit_scale: See ``confidences``.
        thresholds: Attribute → confidence in [0, 1] below which it abstains, in place of the schema's.

    Returns:
        On the index of ``cosines``, for each attribute a column of its name (the class; null where it
        abstained, where the image was unreadable or where the folder has no class) and
        ``<attribute>_confidence`` in [0, 1] (null where there is none: a rule has no confidence).

    Raises:
        ValueError: If folders do not match the rows or one is not in the rule, or a threshold names no
            attribute labelled by cosines or lies outside [0, 1].
    """
    if folders is not None and len(folders) != len(cosines):
        raise ValueError(f"folders must have one entry an image; received {len(folders)} for {len(cosines)}")
    ruled = {a.name for a in schema if a.labelled_by == "folder"} if folders is not None else set()
    for name, threshold in (thresholds or {}).items():
        if name not in schema.names or name in ruled:
            allowed = ", ".join(n for n in schema.names if n not in ruled)
            raise ValueError(f"thresholds: {name!r} is not labelled by confidence; allowed: {allowed}")
        if not 0 <= threshold <= 1:
            raise ValueError(f"thresholds: {name} is {threshold}; from 0 to 1 is allowed")
    columns: dict[str, object] = {}
    for attribute in schema:
        if attribute.name in ruled:
            columns[attribute.name] = _by_rule(folders, schema)
            columns[f"{attribute.name}_confidence"] = np.full(len(cosines), np.nan)
            continue
        sure = confidences(cosines, attribute, logit_scale)
        seen = ~np.isnan(sure).any(axis=1)
        best = np.full(len(cosines), np.nan)
        best[seen] = sure[seen].max(axis=1)
        names = np.array(attribute.classes, dtype=object)[sure.argmax(axis=1)]
        threshold = (thresholds or {}).get(attribute.name, attribute.threshold or 0.0)
        columns[attribute.name] = np.where(seen & (best >= threshold), names, None)
        columns[f"{attribute.name}_confidence"] = best
    return pd.DataFrame(columns, index=cosines.index)


def coverage_table(
    silver: pd.DataFrame, schema: Schema, truth: pd.DataFrame | None = None, *, level: float = 0.95
) -> pd.DataFrame:
    """How much was labelled, with what, and how surely.

    Args:
        silver: As from ``silver_table``.
        schema: Gives attributes and classes.
        truth: True labels on the same rows, where they are known.
        level: Confidence level of the intervals.

    Returns:
        Tidy table ``attribute, class, metric, value, low, high, n, interval``. Metrics: ``coverage``, the
        share of images with a label (class ``all``; ``n`` images); ``share``, of labelled images, those
        of the class; ``confidence``, the mean confidence of labelled images, of the class or of all; and
        with truth ``coverage_of_class``, the share labelled of images truly of the class.

    Raises:
        ValueError: If a label is not in the schema, or truth has other rows.
    """
    if truth is not None and len(truth) != len(silver):
        raise ValueError(f"truth must have one row an image; received {len(truth)} for {len(silver)}")
    codes = schema.encode(silver, "silver")
    known = None if truth is None else schema.encode(truth, "truth")
    rows: list[dict] = []
    for attribute in schema:
        code = codes[attribute.name]
        sure = silver[f"{attribute.name}_confidence"].to_numpy(dtype=float)
        labelled = code >= 0
        rows.append(_share(attribute.name, "all", "coverage", labelled.sum(), len(code), level))
        for number, label in enumerate(attribute.classes):
            hits = (code == number).sum()
            rows.append(_share(attribute.name, label, "share", hits, labelled.sum(), level))
        rows.append(_mean(attribute.name, "all", sure[labelled], level))
        for number, label in enumerate(attribute.classes):
            rows.append(_mean(attribute.name, label, sure[code == number], level))
        if known is not None:
            for number, label in enumerate(attribute.classes):
                true = known[attribute.name] == number
                kept = (labelled & true).sum()
                rows.append(_share(attribute.name, label, "coverage_of_class", kept, true.sum(), level))
    return pd.DataFrame(rows, columns=COLUMNS)


def abstention_table(
    silver: pd.DataFrame, schema: Schema, folders: Sequence[str], *, level: float = 0.95
) -> pd.DataFrame:
    """Whether the labeller abstains on some folders more than on others.

    Args:
        silver: As from ``silver_table``.
        schema: Gives the attributes and the order of folders.
        folders: Folder of each image.
        level: Confidence level of the intervals.

    Returns:
        Tidy table ``attribute, folder, metric, value, low, high, n, interval, p``: the share of a
        folder's images without a label, for every attribute labelled by confidence. Folder ``all`` is
        every image. ``p`` tests the folder against all others (Fisher's exact test), adjusted over an
        attribute's folders by Holm's method.

    Raises:
        ValueError: If folders do not match the rows.
    """
    if len(folders) != len(silver):
        raise ValueError(f"folders must have one entry an image; received {len(folders)} for {len(silver)}")
    # To import scipy's statistics takes a second, which labelling alone does not wait for.
    from scipy import stats

    from swatchbook.evaluation.resample import holm

    where = np.asarray(folders, dtype=object)
    present = set(where)
    order = [f for f in schema.folders if f in present] + sorted(present - set(schema.folders))
    rows: list[dict] = []
    for attribute in schema:
        if silver[f"{attribute.name}_confidence"].isna().all():
            continue
        abstained = silver[attribute.name].isna().to_numpy()
        whole = _share(attribute.name, "all", "abstained", abstained.sum(), len(abstained), level)
        p, some = [], []
        for folder in order:
            inside = where == folder
            here, there = abstained[inside], abstained[~inside]
            some.append(_share(attribute.name, folder, "abstained", here.sum(), len(here), level))
            counts = [[here.sum(), (~here).sum()], [there.sum(), (~there).sum()]]
            p.append(stats.fisher_exact(counts).pvalue if len(there) else np.nan)
        adjusted = holm(np.array(p))
        rows += [whole | {"p": np.nan}] + [
            row | {"p": value} for row, value in zip(some, adjusted, strict=True)
        ]
    table = pd.DataFrame(rows, columns=[*COLUMNS, "p"])
    return table.rename(columns={"class": "folder"})


def _by_rule(folders: Sequence[str], schema: Schema) -> np.ndarray:
    unknown = sorted(set(folders) - set(schema.folders))
    if unknown:
        raise ValueError(
            f"folder {unknown[0]!r} is not in the rule {schema.folder_map!r}; "
            f"allowed: {', '.join(schema.folders)}"
        )
    return np.array([schema.folders[folder] for folder in folders], dtype=object)


def _share(attribute: str, label: str, metric: str, hits: int, n: int, level: float) -> dict:
    return {"attribute": attribute, "class": label, "metric": metric} | share_row(hits, n, level, "")


def _mean(attribute: str, label: str, values: np.ndarray, level: float) -> dict:
    values = values[~np.isnan(values)]
    row = {"attribute": attribute, "class": label, "metric": "confidence", "n": len(values)}
    nowhere = {
        "value": values.mean() if len(values) else np.nan,
        "low": np.nan,
        "high": np.nan,
        "interval": "",
    }
    if len(values) < 2 or values.std() == 0:
        return row | nowhere
    t = special.stdtrit(len(values) - 1, (1 + level) / 2)
    half = t * values.std(ddof=1) / np.sqrt(len(values))
    low, high = values.mean() - half, min(values.mean() + half, 1.0)
    return row | {
        "value": values.mean(),
        "low": low,
        "high": high,
        "interval": f"{level:.0%} Student's t, images",
    }
