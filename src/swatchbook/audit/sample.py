"""What a person is asked: the drawn sample and its key, written and read back so that nothing can slip.

A run's ``audit/`` folder holds ``sample.csv``, the items in the order of asking, without any machine label
or confidence, and ``strata.csv``, the key for the analyst. `sample_id` is a fingerprint of the items; each
file of answers carries it, so that answers cannot be counted against another sample.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.data.strict_csv import DataError, read_csv, refuse
from swatchbook.schema import Schema
from swatchbook.store import Store

SAMPLE = "sample.csv"
STRATA = "strata.csv"
SAMPLE_COLUMNS = ("item", "image_id", "stratum", "weight", "repeat")
STRATA_COLUMNS = (
    "stratum", "fabric", "attribute", "label", "confidence_low", "confidence_high", "population", "drawn",
)  # fmt: skip
SEVERAL = "several"

_ABOUT = ("sample", "item", "image_id", "annotator")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
_NUMBER = r"[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?"
_UNWRITABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]"
)  # control characters, and names that are no UTF-8


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


def answer_columns(schema: Schema) -> tuple[str, ...]:
    """The columns of a file of answers, in their order: every attribute is asked, whoever labelled it."""
    return (*_ABOUT, *schema.names, "note", "seconds")


def guard(text: str) -> str:
    """Keep a spreadsheet from taking a text for a formula: an apostrophe goes before ``= + - @``, tab or CR.

    An apostrophe that stands before such a sign already gets one more, so that `unguard` always gives back
    what was there.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unguard(text: str) -> str:
    """Take off the apostrophe that `guard` put on."""
    return text[1:] if _GUARDED.match(text) else text


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
    _check(lines, SAMPLE)
    _refuse_columns(strata, STRATA_COLUMNS, STRATA)
    _check_key(strata, sample)
    out = Store(folder)
    key = strata.assign(fabric=strata["fabric"].map(guard, na_action="ignore"))
    items = sample.assign(image_id=sample["image_id"].map(guard), weight=sample["weight"].map(_exact))
    out.write(STRATA, lambda path: key.to_csv(path, index=False, lineterminator="\n"))
    out.write(SAMPLE, lambda path: items.to_csv(path, index=False, lineterminator="\n"))


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
    rows = _rows(Path(folder) / SAMPLE, SAMPLE_COLUMNS)
    weight = _numbers(rows["weight"], "a number above 0")
    for name in ("item", "repeat"):
        refuse(~rows[name].str.fullmatch(r"[0-9]{1,9}"), SAMPLE, rows[name], "a whole number")
    whole = {name: rows[name].astype("int64") for name in ("item", "repeat")}
    sample = rows.assign(image_id=rows["image_id"].map(unguard), weight=weight, **whole)
    _check(sample, SAMPLE)
    return sample.reset_index(drop=True)


def read_strata(folder: Path) -> pd.DataFrame:
    """Read ``strata.csv``: columns `STRATA_COLUMNS`, null where one does not apply.

    Args:
        folder: The run's ``audit/`` folder.

    Raises:
        DataError: If there is no key, or it has other columns, other strata than the sample or numbers that
            are none.
    """
    rows = _rows(Path(folder) / STRATA, STRATA_COLUMNS)
    for name in ("population", "drawn"):
        refuse(~rows[name].str.fullmatch(r"[1-9][0-9]{0,9}"), STRATA, rows[name], "a whole number above 0")
        rows[name] = rows[name].astype("int64")
    for name in ("confidence_low", "confidence_high"):
        given = rows[name] != ""
        rows[name] = _numbers(rows.loc[given, name], "a number, or blank").reindex(rows.index)
    for name in ("fabric", "attribute", "label"):
        texts = rows[name].map(unguard) if name == "fabric" else rows[name]
        rows[name] = texts.astype(object).where(rows[name] != "", None)
    strata = rows.reset_index(drop=True)
    _check_key(strata, read_sample(folder))
    return strata


def _rows(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    if not path.is_file():
        raise DataError(f"{str(path)!r} is no file; draw an audit sample first")
    rows = read_csv(path, columns)
    _refuse_columns(rows, columns, path.name)
    return rows


def _refuse_columns(rows: pd.DataFrame, columns: tuple[str, ...], name: str) -> None:
    if tuple(rows.columns) != columns:
        raise DataError(
            f"{name} has the columns {', '.join(map(str, rows.columns))}; allowed: {', '.join(columns)}"
        )


def _numbers(column: pd.Series, allowed: str) -> pd.Series:
    """Numbers to the last bit, as Python reads them; a faster parser may miss that bit."""
    name = SAMPLE if column.name == "weight" else STRATA
    refuse(~column.str.fullmatch(_NUMBER), name, column, allowed)
    return column.map(float).astype(float)


def _exact(weight: float) -> str:
    """Seventeen digits where needed: the fingerprint is of the number itself."""
    return repr(float(weight))


def _check(rows: pd.DataFrame, name: str) -> None:
    """Refuse, by line, what `read_sample` lists."""
    if not len(rows):
        raise DataError(f"{name} has no items; at least one is needed")
    shown = rows.astype(object)  # so that messages show 0.5 and not np.float64(0.5)
    counted = pd.Series(np.arange(1, len(rows) + 1), index=rows.index)
    refuse(rows["item"] != counted, name, shown["item"], "1, 2, 3, … in the order of the lines")
    for column in ("image_id", "stratum"):
        unfit = rows[column].map(lambda x: not isinstance(x, str) or x == "" or bool(_UNWRITABLE.search(x)))
        refuse(unfit.astype(bool), name, shown[column], "a text without control characters")
    weight = rows["weight"].astype(float)
    refuse(~(np.isfinite(weight) & (weight > 0)), name, shown["weight"], "a number above 0")
    refuse(~rows["repeat"].isin((0, 1)), name, shown["repeat"], "0, or 1 for a second judgement")
    of_stratum = weight.groupby(rows["stratum"]).transform("first")
    refuse(weight != of_stratum, name, shown["weight"], "one weight a stratum")
    twice = rows.duplicated(["image_id", "repeat"])
    refuse(twice, name, shown["image_id"], "each image once, and once more with repeat 1")
    again, first = rows[rows["repeat"] == 1], rows[rows["repeat"] == 0].set_index("image_id")
    before = first["item"].reindex(again["image_id"]).set_axis(again.index)
    late = before.notna() & (before < again["item"])
    refuse(~late, name, shown["image_id"], "a second judgement after the first of the same image")
    stratum = first["stratum"].reindex(again["image_id"]).set_axis(again.index)
    refuse(again["stratum"] != stratum, name, shown["stratum"], "the stratum of the image's first judgement")


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
