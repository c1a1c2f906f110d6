r"""Tables as CSV files whose text no spreadsheet takes for a formula, and read back as it was.

A spreadsheet runs a cell that begins with ``= + - @``, a tab or a line break, or with the full-width forms of
these signs ("CSV injection"). `guard` puts an apostrophe before such a beginning, at the start of every line
of a cell, and `unguard` takes it off again; ``csv_io.js`` does the same in a browser.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pandas as pd

_FORMULA = r"'*[=+\-@\t＝＋－＠]"
_BARE = re.compile(rf"\A(?='*[\r\n])|(?:\A|(?<=[\r\n]))(?={_FORMULA})")
_GUARDED = re.compile(rf"\A'(?='*[\r\n])|(?:\A|(?<=[\r\n]))'(?={_FORMULA})")
_NUMBER = re.compile(r"[+-][0-9]+(\.[0-9]+)?")


def guard(text: str) -> str:
    """Keep a spreadsheet from taking a text for a formula.

    An apostrophe that stands before such a sign already gets one more, so that `unguard` always gives back
    what was there.
    """
    return _BARE.sub("'", text)


def unguard(text: str) -> str:
    """Take off the apostrophes that `guard` put on."""
    return _GUARDED.sub("", text)


def write_csv(
    table: pd.DataFrame,
    out: Path | IO[str],
    *,
    header: bool = True,
    float_format: str | None = None,
    numbers_as_text: bool = False,
    line_end: str = "\n",
) -> None:
    """Write a table in UTF-8, its text guarded, without its index.

    Args:
        table: What to write.
        out: A path or an open text file.
        header: Whether the first line names the columns.
        float_format: Such as ``%.10g``; every digit by default.
        numbers_as_text: Leave texts such as ``+13.2`` as they are: they are numbers to a spreadsheet too.
        line_end: Ends each line.
    """

    def kept(text: str) -> str:
        return text if numbers_as_text and _NUMBER.fullmatch(text) else guard(text)

    safe = _each_text(table, kept)
    # Before Python 3.13 a carriage return alone is not quoted, and would end the line for a reader.
    bare = any("\r" in cell for name in _texts(safe) for cell in safe[name] if isinstance(cell, str))
    quoting = csv.QUOTE_ALL if bare else csv.QUOTE_MINIMAL
    safe.to_csv(
        out,
        index=False,
        header=header,
        float_format=float_format,
        lineterminator=line_end,
        encoding="utf-8",
        quoting=quoting,
    )


def unguarded(table: pd.DataFrame) -> pd.DataFrame:
    """A table as it was before `write_csv` guarded it."""
    return _each_text(table, unguard)


def _each_text(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """The table with every text changed, the names of columns too."""
    made = table.copy(deep=False)
    for name in _texts(table):
        cells = [change(cell) if isinstance(cell, str) else cell for cell in table[name]]
        if any(new is not old and new != old for new, old in zip(cells, table[name], strict=True)):
            kind = table[name].dtype
            made[name] = pd.Series(cells, index=table.index, dtype="object" if kind == "category" else kind)
    return made.rename(columns=lambda name: change(name) if isinstance(name, str) else name)


def _texts(table: pd.DataFrame) -> list[str]:
    return [name for name in table if not pd.api.types.is_numeric_dtype(table[name])]
