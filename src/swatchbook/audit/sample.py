"""What a person is asked: the drawn sample and its key, written and read back so that nothing can slip.

A run's ``audit/`` folder holds ``sample.csv``, the items in the order of asking, without any machine label
or confidence, and ``strata.csv``, the key for the analyst. `sample_id` is a fingerprint of the items; each
file of answers carries it, so that answers cannot be counted against another sample.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.atomic import write_file
from swatchbook.audit.columns import SAMPLE_COLUMNS, STRATA_COLUMNS, UNWRITABLE
from swatchbook.csv_io import unguarded, write_csv
from swatchbook.data.strict_csv import DataError, read_csv, refuse

SAMPLE = "sample.csv"
STRATA = "strata.csv"
_NUMBER = r"[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?"


def sample_id(sample: pd.DataFrame) -> str:
    """Fingerprint of a sample: which images, in which order, from which strata, with which weights.

    Args:
        sample: Columns `SAMPLE_COLUMNS`.

    Returns:
        The first 16 hexadecimal digits of SHA-256 over the UTF-8 text
        ``image_id⇥stratum⇥weight⇥repeat⏎`` of each item in order, the weight as Python writes a float.
    """
    columns = (sample[name] for name in SAMPLE_COLUMNS[1:])
    text = "".join(
        f"{image}\t{stratum}\t{float(weight)!r}\t{int(repeat)}\n"
        for image, stratum, weight, repeat in zip(*columns, strict=True)
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_sample(sample: pd.DataFrame, strata: pd.DataFrame, folder: Path) -> None:
    """Write a sample and its key; each file atomically, the sample last.

    Args:
        sample: Columns `SAMPLE_COLUMNS`, in the order of asking.
        strata: Columns `STRATA_COLUMNS`, a row a stratum of the sample.
        folder: The run's ``audit/`` folder; made if it is not there.

    Raises:
        DataError: If the sample breaks one of the rules that `read_sample` checks, or the key is of other
            strata.
        StoreError: If the folder cannot be written; what was there before is untouched.
    """
    lines = sample.set_axis(pd.RangeIndex(2, len(sample) + 2))
    _refuse_columns(lines, SAMPLE_COLUMNS, SAMPLE)
    _check(lines)
    _refuse_columns(strata, STRATA_COLUMNS, STRATA)
    _check_key(strata, sample)
    for name, table in ((STRATA, strata), (SAMPLE, sample)):
        write_file(Path(folder) / name, lambda path, table=table: write_csv(table, path))


def read_sample(folder: Path) -> pd.DataFrame:
    """Read ``sample.csv``: columns `SAMPLE_COLUMNS`, a row an item in the order of asking.

    Args:
        folder: The run's ``audit/`` folder.

    Raises:
        DataError: If there is no sample or anything is off: other columns; items that do not count 1…n;
            a blank or unprintable name; a weight that is no number above 0 or differs within a stratum; an
            image twice, or judged again before its first time or with another stratum. The message names
            the line.
    """
    path = Path(folder) / SAMPLE
    if not path.is_file():
        raise DataError(f"{str(path)!r} is no file; draw an audit sample first")
    rows = read_csv(path, SAMPLE_COLUMNS)
    _refuse_columns(rows, SAMPLE_COLUMNS, SAMPLE)
    refuse(~rows["weight"].str.fullmatch(_NUMBER), SAMPLE, rows["weight"], "a number above 0")
    for name in ("item", "repeat"):
        refuse(~rows[name].str.fullmatch(r"[0-9]{1,9}"), SAMPLE, rows[name], "a whole number")
    whole = {name: rows[name].astype("int64") for name in ("item", "repeat")}
    # To the last bit, as Python reads numbers: the fingerprint is of the number itself.
    sample = unguarded(rows).assign(weight=rows["weight"].map(float).astype(float), **whole)
    _check(sample)
    return sample.reset_index(drop=True)


def _refuse_columns(rows: pd.DataFrame, columns: tuple[str, ...], name: str) -> None:
    if tuple(rows.columns) != columns:
        raise DataError(
            f"{name} has the columns {', '.join(map(str, rows.columns))}; allowed: {', '.join(columns)}"
        )


def _check(rows: pd.DataFrame) -> None:
    """Refuse, by line, what `read_sample` lists."""
    if not len(rows):
        raise DataError(f"{SAMPLE} has no items; at least one is needed")
    shown = rows.astype(object)  # so that messages show 0.5 and not np.float64(0.5)

    def require(right: pd.Series, column: str, allowed: str) -> None:
        refuse(~right.astype(bool), SAMPLE, shown[column], allowed)

    require(rows["item"] == np.arange(1, len(rows) + 1), "item", "1, 2, 3, … in the order of the lines")
    for column in ("image_id", "stratum"):
        fit = rows[column].map(lambda x: isinstance(x, str) and x != "" and not UNWRITABLE.search(x))
        require(fit, column, "a text without control characters")
    weight = rows["weight"].astype(float)
    require(np.isfinite(weight) & (weight > 0), "weight", "a number above 0")
    require(rows["repeat"].isin((0, 1)), "repeat", "0, or 1 for a second judgement")
    of_stratum = weight.groupby(rows["stratum"]).transform("first")
    require(weight == of_stratum, "weight", "one weight a stratum")
    once = ~rows.duplicated(["image_id", "repeat"])
    require(once, "image_id", "each image once, and once more with repeat 1")
    again, first = rows[rows["repeat"] == 1], rows[rows["repeat"] == 0].set_index("image_id")
    before = first.reindex(again["image_id"]).set_axis(again.index)
    late = "a second judgement after the first of the same image"
    require(before["item"] < again["item"], "image_id", late)
    require(before["stratum"] == again["stratum"], "stratum", "the stratum of the image's first judgement")


def _check_key(strata: pd.DataFrame, sample: pd.DataFrame) -> None:
    """The key must be of this sample: its strata, once each, and the weights population / drawn."""
    first = sample[sample["repeat"] == 0].groupby("stratum")["weight"].agg(["first", "size"])
    if sorted(strata["stratum"]) != sorted(first.index):
        raise DataError(f"{STRATA} is of other strata than {SAMPLE}; allowed: each stratum of it once")
    key = strata.set_index("stratum").loc[first.index]
    wrong = (key["drawn"] != first["size"]) | (key["population"] / key["drawn"] != first["first"])
    if wrong.any():
        code = wrong.index[wrong.to_numpy()][0]
        has = ", ".join(f"{name} {key.loc[code, name]}" for name in ("population", "drawn"))
        needed = f"{first.loc[code, 'size']} items of weight {first.loc[code, 'first']!r}"
        raise DataError(f"{STRATA}: {code} has {has}; {SAMPLE} has {needed}")
