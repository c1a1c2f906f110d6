"""Answers about a folder of photographs, a part at a time → one table and, if wanted, a contact sheet.

Nothing grows with the folder but the list of its names: a part is written and forgotten before the next is
worked out. What was worked out is kept in shards in ``<out>.partial`` until the table is whole, so that a
stopped command goes on where it was, to the same bytes; the table itself appears at once or not at all.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from swatchbook.data import images
from swatchbook.data.strict_csv import DataError
from swatchbook.schema import Schema
from swatchbook.store import Store

SUFFIXES = (".parquet", ".csv")
PAGES = (".html", ".htm")
RISKY = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet takes a cell that begins so for a formula
_TOLD = 3

#: Answers about some photographs, on the place of each in the listing, and those of them that are broken
#: (``path, reason``).
Parts = Iterator[tuple[pd.DataFrame, pd.DataFrame]]


def checked(out: str | Path, suffixes: Sequence[str] = SUFFIXES, what: str = "out") -> Path:
    """Where a file goes, if one can go there.

    Raises:
        ValueError: If it ends otherwise, is a folder or lies in none.
    """
    out = Path(out)
    if out.suffix not in suffixes:
        raise ValueError(f"{what} {str(out)!r} ends in {out.suffix!r}; allowed: {' or '.join(suffixes)}")
    if out.is_dir() or not out.absolute().parent.is_dir():
        reason = "is a folder" if out.is_dir() else "lies in a folder that does not exist"
        raise ValueError(f"{what} {str(out)!r} {reason}; allowed: a file in a folder that exists")
    return out


def answer_folder(
    folder: Path,
    out: Path,
    schema: Schema,
    answer: Callable[[list[str], Path], Parts],
    *,
    html: Path | None = None,
    facts: Mapping[str, str] | None = None,
) -> tuple[int, pd.DataFrame]:
    """Answer for every photograph below a folder and write the answers.

    Args:
        folder: The photographs, nested or flat.
        out: As ``checked`` gives it.
        schema: Gives the attributes; answers have a column of each name and ``<attribute>_confidence``.
        answer: Files and the folder of shards → answers, all of which are for files in the order given.
        html: Where a contact sheet goes, if one is wanted.
        facts: Name → value, told at the head of the sheet.

    Returns:
        How many photographs the table holds; and the broken files, ``path`` (below the folder), ``reason``.

    Raises:
        DataError: If no photograph can be read.
        StoreError: If a file cannot be written, or another command is writing it.
    """
    listed = images.find(folder)
    told = out.with_name(f"{out.name}.broken.csv")
    work = Store(out.with_name(f"{out.name}.partial"))
    with work.lock():
        try:
            lost: list[dict] = []
            parts = _answered(listed, answer(listed["path"].tolist(), work.path("shards")), lost)
            ready = {}  # what is written → where it goes
            if html:
                page, parts = _with_sheet(schema, parts)
            _write(work, f"table{out.suffix}", parts, schema)
            if len(lost) == len(listed):
                shutil.rmtree(work.path("shards"))
                raise DataError(_all_broken(folder, lost))
            if html:
                unread = {"files that could not be read": f"{len(lost):,}"} if lost else {}
                text = page(folder, {**(facts or {}), **unread})
                # Not by way of the working folder, which may lie on another disk.
                Store(html.parent).write(
                    html.name, lambda p: p.write_text(text, encoding="utf-8", newline="\n")
                )
            broken = pd.DataFrame(lost, columns=["path", "reason"])
            if lost:
                _write(work, "broken.csv", [broken], schema)
                ready["broken.csv"] = told
            else:
                told.unlink(missing_ok=True)  # of an earlier call: nothing is broken now
            ready[f"table{out.suffix}"] = out  # the last: where it is, all is
            for artefact, place in ready.items():
                work.path(artefact).replace(place)
        except BaseException:
            if not any(work.path("shards").glob("*.npz")):  # nothing to go on from
                shutil.rmtree(work.root, ignore_errors=True)
            raise
        shutil.rmtree(work.root, ignore_errors=True)  # the result stands, whatever becomes of the shards
    return len(listed) - len(lost), broken


def _answered(listed: pd.DataFrame, parts: Parts, lost: list[dict]) -> Iterator[pd.DataFrame]:
    """Answers by path below the folder, without the broken files, which are put into `lost`."""
    for table, broken in parts:
        here = listed.loc[table.index]
        broken = broken.assign(path=broken["path"].map(here.set_index("path")["image_id"]))
        lost += broken.to_dict("records")
        table = table.assign(path=here["image_id"])[["path", *table]]
        yield table[~table["path"].isin(broken["path"])].reset_index(drop=True)


def _with_sheet(
    schema: Schema, parts: Iterable[pd.DataFrame]
) -> tuple[Callable[[Path, Mapping[str, str]], str], Iterator[pd.DataFrame]]:
    """The page of a contact sheet, once all parts have passed, and the parts."""
    # Its colours are matplotlib's, which takes a while to import.
    from swatchbook.report.contact_sheet import Sheet

    sheet = Sheet(schema)

    def passing() -> Iterator[pd.DataFrame]:
        for part in parts:
            sheet.add(part)
            yield part

    return sheet.page, passing()


def _write(work: Store, artefact: str, parts: Iterable[pd.DataFrame], schema: Schema) -> None:
    write = _write_csv if artefact.endswith(".csv") else _write_parquet
    work.write(artefact, lambda path: write(path, parts, schema))


def _write_parquet(path: Path, parts: Iterable[pd.DataFrame], schema: Schema) -> None:
    """A row group a part."""
    fields = [("path", pa.string())]
    for name in schema.names:
        fields += [(name, pa.string()), (f"{name}_confidence", pa.float64())]
    columns = pa.schema(fields)
    with pq.ParquetWriter(path, columns) as file:
        for part in parts:
            file.write_table(pa.Table.from_pandas(part, schema=columns, preserve_index=False))


def _write_csv(path: Path, parts: Iterable[pd.DataFrame], _: Schema) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, part in enumerate(parts):
            texts = [column for column in ("path", "reason") if column in part]
            safe = part.assign(**{column: part[column].map(_guarded) for column in texts})
            for column in safe.select_dtypes("number"):
                safe[column] = safe[column].map("{:.6f}".format)
            # Before Python 3.13 a carriage return alone is not quoted, and would end the line for a reader.
            bare = any(safe[column].str.contains("\r", regex=False).any() for column in texts)
            how = {"quoting": csv.QUOTE_ALL if bare else csv.QUOTE_MINIMAL, "lineterminator": "\n"}
            safe.to_csv(file, index=False, header=number == 0, **how)


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell.startswith(RISKY) else cell


def _all_broken(folder: Path, lost: Sequence[Mapping[str, str]]) -> str:
    first = "; ".join(f"{each['path']!r} ({each['reason']})" for each in lost[:_TOLD])
    return f"none of the {len(lost):,} images below {str(folder)!r} can be read: {first}"
