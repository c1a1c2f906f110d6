"""CSV files as text, read so that nothing is mended in silence.

A lenient parser fills short rows with nulls, glues a byte-order mark to the first column's name and takes
a cut file for a short one. Here each of these is an error that names the file and the line.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd

from swatchbook.csv_io import unguard

BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


class DataError(ValueError):
    """A data file cannot be had or says something impossible; the message names the file and the line."""


def read_csv(path: Path, columns: tuple[str, ...], *, mark: bool = False) -> pd.DataFrame:
    """Read a UTF-8, comma-separated file with a header, every cell as text.

    Args:
        path: The file.
        columns: Columns that it must have; others are kept too.
        mark: Whether a UTF-8 byte-order mark is taken off instead of refused.

    Returns:
        The rows, indexed by the line in the file on which each ends (the header is line 1).

    Raises:
        DataError: If the file has a byte-order mark, another encoding or another separator; if a column is
            missing or there twice; if a row has too many or too few fields; if the last line has no end,
            as in a file that was cut off; or if there are no rows.
    """
    text = _text(path, columns, mark)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows, lines = [], []
    try:
        header = [unguard(name) for name in next(reader)]
        _check_header(header, columns, path.name)
        for row in reader:
            if len(row) != len(header):
                raise DataError(
                    f"{path.name}, line {reader.line_num} has {len(row)} fields; allowed: {len(header)}, one "
                    "a column of the header"
                )
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path.name}, line {reader.line_num} is not valid CSV: {error}") from None
    if not rows:
        raise DataError(f"{path.name} has a header and no rows; at least one row is needed")
    return pd.DataFrame(rows, columns=header, index=lines)


def utf8_text(data: bytes, name: str) -> str:
    """The content of a text file.

    Raises:
        DataError: If it is not UTF-8; names the file and the line.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{name}, line {line} is not UTF-8 ({error.reason}); save it as UTF-8") from None


def refuse(wrong: pd.Series, name: str, column: pd.Series, allowed: str) -> None:
    """Raise for the first line where ``wrong`` holds, saying what was received and what is allowed.

    Args:
        wrong: Boolean, indexed by line.
        name: The file's name.
        column: The received values, with the column's name and the same index.
        allowed: What would have been right, in words.
    """
    if wrong.any():
        line = wrong.index[wrong.to_numpy()][0]
        more = f" ({int(wrong.sum())} such lines)" if wrong.sum() > 1 else ""
        raise DataError(f"{name}, line {line}: {column.name} {column[line]!r}{more}; allowed: {allowed}")


def refuse_different(received: pd.Series, expected: pd.Series, name: str, reason: str) -> None:
    """Raise for the first line where two columns differ; the expected value is what is allowed.

    Args:
        received: The received values, indexed by line.
        expected: What they must be, with the same index.
        name: The file's name.
        reason: Why they must be so, in words.
    """
    wrong = received != expected
    if wrong.any():
        refuse(wrong, name, received, f"{expected[wrong.to_numpy()].iloc[0]!r}, {reason}")


def _text(path: Path, columns: tuple[str, ...], mark: bool) -> str:
    if not path.is_file():  # a pipe would block
        raise DataError(f"{str(path)!r} is no file; allowed: a CSV file")
    data = path.read_bytes()
    data = data.removeprefix(BYTE_ORDER_MARKS[0]) if mark else data
    if data.startswith(BYTE_ORDER_MARKS):
        raise DataError(
            f"{path.name} starts with a byte-order mark, which would become part of its first column's name; "
            'save it as plain UTF-8 (in a spreadsheet "CSV", not "CSV UTF-8" or "Unicode text")'
        )
    text = utf8_text(data, path.name)
    if not text.strip():
        raise DataError(f"{path.name} is empty; allowed: a header with {', '.join(columns)}, and rows")
    if not text.endswith(("\n", "\r")):
        last = text.splitlines()[-1]
        raise DataError(
            f"{path.name}, line {len(text.splitlines())} does not end in a line break, so the file may be "
            f"cut off there; its end is {last[-40:]!r}. Take a whole copy, or end the line if it is whole"
        )
    return text


def _check_header(header: list[str], columns: tuple[str, ...], name: str) -> None:
    missing = [column for column in columns if column not in header]
    if missing and len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise DataError(
            f"{name} is not separated by commas (its header is {header[0]!r}); save it with commas"
        )
    if missing:
        raise DataError(f"{name} has no column {', '.join(missing)}; its columns are {', '.join(header)}")
    twice = [column for column in header if header.count(column) > 1]
    if twice:
        raise DataError(f"{name} has the column {twice[0]!r} twice; allowed: once")
