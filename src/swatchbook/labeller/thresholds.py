"""Thresholds as a file: how sure a labeller must be of each attribute, as an audit has certified it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from swatchbook.data.strict_csv import DataError, read_csv, refuse

COLUMNS = ("attribute", "threshold", "alpha", "delta", "kept", "low", "high", "n", "interval")
_NEEDED = COLUMNS[:2]
_NUMBER = re.compile(r"(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def thresholds_table(
    thresholds: Mapping[str, float], certified: pd.DataFrame, alpha: float, delta: float
) -> pd.DataFrame:
    """Certified thresholds, with what they promise and what they cost.

    Args:
        thresholds: Attribute → least confidence to keep, only where one was certified.
        certified: As `evaluation.certification.certify_thresholds` gives it with them.
        alpha: Highest risk promised among the labels kept.
        delta: Probability with which a promise may fail.

    Returns:
        Columns `COLUMNS`; ``kept`` is the share of the n labels of the split that are kept. ``threshold`` is
        text in full precision: it is one image's confidence, and that image must not fall below it.
    """
    cover = certified[certified["statistic"] == "coverage"].set_index("attribute").loc[list(thresholds)]
    table = cover.rename(columns={"value": "kept"}).reset_index()
    written = [repr(float(value)) for value in thresholds.values()]
    return table.assign(threshold=written, alpha=alpha, delta=delta)[list(COLUMNS)]


def read_thresholds(path: Path, attributes: Sequence[str]) -> dict[str, float]:
    """Read a file of thresholds; those of some attributes may be missing.

    Args:
        path: A CSV file with a column ``attribute`` and one ``threshold``, and no others than `COLUMNS`.
        attributes: Those that are labelled by confidence.

    Returns:
        Attribute → confidence in [0, 1] below which it abstains.

    Raises:
        DataError: If there is no such file, it is no strict CSV or has another column, or a line names
            another attribute or one twice, or a threshold is no number from 0 to 1.
    """
    if not path.is_file():
        raise DataError(f"thresholds {str(path)!r} is no file; allowed: a CSV file with attribute, threshold")
    rows = read_csv(path, _NEEDED)
    unknown = [name for name in rows if name not in COLUMNS]
    if unknown:
        raise DataError(f"{path.name} has an unknown column {unknown[0]!r}; allowed: {', '.join(COLUMNS)}")
    names, values = rows["attribute"], rows["threshold"]
    refuse(~names.isin(attributes), path.name, names, f"{', '.join(attributes)}, which a labeller labels")
    refuse(names.duplicated(), path.name, names, "each attribute once")
    number = values.map(lambda text: _NUMBER.fullmatch(text) is not None and float(text) <= 1)
    refuse(~number.astype(bool), path.name, values, "a number from 0 to 1")
    return dict(zip(names, values.astype(float), strict=True))
