"""A file of labels, as other tools have it: read as one table of text, and written again with corrections.

CSV, Parquet, Label Studio's JSON and FiftyOne's data set on disk. What is written holds the corrections and
is otherwise the file that was read: lines of a CSV that nothing changed keep their bytes, Parquet its types
and metadata, JSON its other keys.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from swatchbook.atomic import write_file
from swatchbook.audit.exchange import fiftyone, label_studio, read_json
from swatchbook.audit.exchange.json_values import MalformedError
from swatchbook.csv_io import guard, unguard
from swatchbook.data.strict_csv import BYTE_ORDER_MARKS, DataError, read_csv

SUFFIXES = (".csv", ".parquet", ".json")
Changes = Mapping[tuple[int, str], str]  # (row, counted from 0, and attribute) → class


def locate(labels: str | Path) -> Path:
    """The file itself, where a folder of FiftyOne's or Label Studio's was named.

    Raises:
        DataError: If it is not there or is of another kind.
    """
    path = Path(labels)
    if path.is_dir():
        inside = [path / form.ANSWERS for form in (fiftyone, label_studio)]
        path = next((each for each in inside if each.is_file()), inside[0])
    if not path.is_file() or path.suffix not in SUFFIXES:
        raise DataError(
            f"labels {str(labels)!r} is no file of labels; allowed: a CSV or Parquet file, Label Studio's "
            "export (JSON), or a folder or samples.json of FiftyOne"
        )
    return path


def read_rows(path: Path) -> pd.DataFrame:
    """Read a file of labels.

    Args:
        path: As `locate` gives it.

    Returns:
        Text, "" where there is nothing, indexed by where each row stands (such as "line 3"). Label Studio and
        FiftyOne give ``path``, a column an attribute and, where there are any, ``<attribute>_confidence``.

    Raises:
        DataError: If it cannot be read as what its name says; names the place.
    """
    if path.suffix == ".csv":
        rows = read_csv(path, (), mark=True)
        if len(rows.columns) == 1 and any(sign in rows.columns[0] for sign in ";\t|"):
            raise DataError(f"{path.name} is not separated by commas; save it with commas")
        return rows.set_axis([f"line {line}" for line in rows.index])
    if path.suffix == ".parquet":
        return _parquet_rows(path)
    content = read_json(path)
    try:
        listed = list(_form(content).labels(content))
    except MalformedError as error:
        raise DataError(f"{path.name}{error}") from None
    if not listed:
        raise DataError(f"{path.name} holds no label; allowed: one choice an attribute and image")
    rows = pd.DataFrame([row for _, row in listed], index=[where for where, _ in listed], dtype=object)
    return rows.fillna("")


def write_corrected(path: Path, out: Path, changes: Changes) -> None:
    """Write a file of labels again with other classes in some places, and nothing else changed.

    Args:
        path: The file, as `locate` gives it.
        out: Where the copy goes; it appears whole or not at all.
        changes: (row, counted from 0, and attribute) → class.
    """
    if path.suffix == ".csv":
        text = _corrected_csv(path, changes)
        write_file(out, lambda partial: partial.write_bytes(text.encode()))
    elif path.suffix == ".parquet":
        table = _corrected_parquet(path, changes)
        write_file(out, lambda partial: pq.write_table(table, partial, write_page_checksum=True))
    else:
        content, text = read_json(path), path.read_text(encoding="utf-8-sig")
        _form(content).relabel(content, changes)
        lines = text.split("\n", 2)
        indent = len(lines[1]) - len(lines[1].lstrip(" ")) if len(lines) > 1 else 0
        written = json.dumps(content, indent=indent or None, ensure_ascii=text.isascii())
        write_file(out, lambda partial: partial.write_text(f"{written}\n", encoding="utf-8"))


def _form(content: object) -> object:
    return fiftyone if isinstance(content, dict) else label_studio


def _parquet_rows(path: Path) -> pd.DataFrame:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path.name} is no Parquet file that can be read: {error}") from None
    if not table.num_rows:
        raise DataError(f"{path.name} has no rows; at least one row is needed")
    columns = {}
    for field in table.schema:
        if not pa.types.is_nested(field.type) and not pa.types.is_binary(field.type):
            cells = table[field.name].to_pylist()
            columns[field.name] = ["" if cell is None else str(cell) for cell in cells]
    index = [f"row {k}" for k in range(1, table.num_rows + 1)]
    return pd.DataFrame(columns, index=index, dtype=object)


def _corrected_parquet(path: Path, changes: Changes) -> pa.Table:
    table = pq.read_table(path)
    for name in dict.fromkeys(name for _, name in changes):
        place = table.schema.get_field_index(name)
        cells = table[name].to_pylist()
        for (row, which), label in changes.items():
            if which == name:
                cells[row] = label
        field = table.schema.field(place)
        table = table.set_column(place, field, pa.array(cells, type=field.type))
    return table


def _corrected_csv(path: Path, changes: Changes) -> str:
    """Lines that nothing changes as they are; the others written anew, quoted as they were."""
    lines = list(io.StringIO(path.read_bytes().decode(), newline=""))
    reader = csv.reader(lines, strict=True)
    header = [unguard(name.removeprefix(BYTE_ORDER_MARKS[0].decode())) for name in next(reader)]
    whole, start = lines[: reader.line_num], reader.line_num
    by_row: dict[int, dict[int, str]] = {}
    for (row, name), label in changes.items():
        by_row.setdefault(row, {})[header.index(name)] = guard(label)
    for row, cells in enumerate(reader):
        line = "".join(lines[start : reader.line_num])
        start = reader.line_num
        if row in by_row:
            new = [by_row[row].get(k, cell) for k, cell in enumerate(cells)]
            end = line[len(line.rstrip("\r\n")) :]
            quoted = csv.QUOTE_ALL if line.count('"') >= 2 * len(cells) else csv.QUOTE_MINIMAL
            out = io.StringIO(newline="")
            csv.writer(out, lineterminator=end, quoting=quoted).writerow(new)
            line = out.getvalue()
        whole.append(line)
    return "".join(whole)
