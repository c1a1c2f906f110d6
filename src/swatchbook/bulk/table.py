"""Values of a folder of photographs, a shard at a time → one table and, if wanted, a contact sheet.

Nothing grows with the folder but the list of its names: a part is written and forgotten before the next is
computed. What was computed is kept in shards in ``<out>.partial`` until the table is whole, so that a stopped
command goes on where it was, to the same bytes; the table itself appears at once or not at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from swatchbook.atomic import write_file
from swatchbook.audit.columns import NOT_JUDGED
from swatchbook.audit.sheet import read_sheet
from swatchbook.csv_io import write_csv
from swatchbook.data import images
from swatchbook.data.strict_csv import DataError
from swatchbook.labeller.shards import Encoder
from swatchbook.schema import Schema
from swatchbook.store import Store

_SHOWN = 3

#: Values of some photographs, indexed by their place in the listing, and those of them that are broken
#: (``path, reason``).
Encoded = tuple[pd.DataFrame, pd.DataFrame]


class Job(Protocol):
    """What is asked of photographs; it can be sent to other machines.

    Attributes:
        schema: Gives the attributes.
    """

    schema: Schema

    def encoder(self, device: str | None, log: Callable[[str], object]) -> Encoder:
        """Load the model."""

    def answers(self, values: pd.DataFrame) -> pd.DataFrame:
        """The model's values → a column of each attribute's name and ``<attribute>_confidence``."""


@dataclass(frozen=True)
class Extra:
    """What a Parquet table holds beside paths and answers.

    Attributes:
        fields: Further columns, which the job's answers have.
        each: Called with the answers of every part, in order.
        about: Called when all parts have passed; what it returns goes into the file's own metadata.
    """

    fields: Sequence[pa.Field]
    each: Callable[[pd.DataFrame], object]
    about: Callable[[], Mapping[str, str]]


def answer_folder(
    folder: Path,
    out: Path,
    job: Job,
    encode: Callable[[list[str], Path], Iterator[Encoded]],
    *,
    corrections: Path | None = None,
    html: Path | None = None,
    facts: Mapping[str, str] | None = None,
    said: Mapping[str, str] | None = None,
    extra: Extra | None = None,
) -> tuple[int, pd.DataFrame]:
    """Answer for every photograph below a folder and write the answers.

    Args:
        folder: The photographs, nested or flat.
        out: As `atomic.output_file` gives it.
        job: What is asked.
        encode: Files and the folder of shards → their values, in the order of the files.
        corrections: A file of judgements whose labels take the place of the job's, see `audit.sheet`.
        html: Where a contact sheet goes, if one is wanted.
        facts: Name → value, shown at the head of the sheet.
        said: Attribute → how right it is, or why it is left out, for the sheet.
        extra: What else a Parquet table holds.

    Returns:
        How many photographs the table holds; and the broken files, ``path`` (below the folder), ``reason``.

    Raises:
        DataError: If no photograph can be read, or the corrections do not fit the folder.
        StoreError: If a file cannot be written, or another command is writing it.
    """
    listed = images.find(folder)
    corrected = None if corrections is None else _corrected(corrections, listed, folder, job.schema)
    work = Store(out.with_name(f"{out.name}.partial"))
    shards, table = work.path("shards"), f"table{out.suffix}"
    with work.lock():
        try:
            lost: list[dict] = []
            parts = _answers(listed, encode(listed["path"].tolist(), shards), job, lost)
            if corrected is not None:
                parts = (_with_corrections(part, corrected) for part in parts)
            if html:
                page, parts = _with_sheet(job.schema, parts)
            if out.suffix == ".csv":
                work.write(table, lambda path: _write_csv(path, parts))
            else:
                work.write(table, lambda path: _write_parquet(path, parts, job.schema, extra))
            if len(lost) == len(listed):
                shutil.rmtree(shards)
                raise DataError(_all_broken(folder, lost))
            if html:
                unread = {"files that could not be read": f"{len(lost):,}"} if lost else {}
                text = page(folder, {**(facts or {}), **unread}, said or {})
                write_file(html, lambda path: path.write_text(text, encoding="utf-8", newline="\n"))
            broken, broken_csv = pd.DataFrame(lost, columns=["path", "reason"]), Path(f"{out}.broken.csv")
            if lost:
                write_file(broken_csv, lambda path: write_csv(broken, path))
            else:
                broken_csv.unlink(missing_ok=True)  # of an earlier call: nothing is broken now
            work.path(table).replace(out)  # the last: where it is, all is
        except BaseException:
            if not any(shards.glob("*.npz")):  # nothing to go on from
                shutil.rmtree(work.root, ignore_errors=True)
            raise
        shutil.rmtree(work.root, ignore_errors=True)  # the result stands, whatever becomes of the shards
    return len(listed) - len(lost), broken


def _answers(
    listed: pd.DataFrame, parts: Iterable[Encoded], job: Job, lost: list[dict]
) -> Iterator[pd.DataFrame]:
    """Answers by path below the folder, without the broken files, which are put into `lost`."""
    for values, broken in parts:
        here = listed.loc[values.index]
        broken = broken.assign(path=broken["path"].map(here.set_index("path")["image_id"]))
        lost += broken.to_dict("records")
        table = job.answers(values).assign(path=here["image_id"])
        table = table[["path", *table.columns.drop("path")]]
        yield table[~table["path"].isin(broken["path"])].reset_index(drop=True)


def _corrected(path: Path, listed: pd.DataFrame, folder: Path, schema: Schema) -> pd.DataFrame:
    """Corrections by path: a column an attribute that was judged, null where the judge could not tell."""
    sheet = read_sheet(path, listed["image_id"].tolist(), folder, schema)
    asked = sheet.answers.loc[sheet.answers["taken_as"] != NOT_JUDGED, "attribute"].unique()
    return sheet.judged.drop_duplicates("image_id").set_index("image_id")[list(asked)]


def _with_corrections(part: pd.DataFrame, corrected: pd.DataFrame) -> pd.DataFrame:
    """Answers in which corrected labels stand, with confidence 1; null where the judge could not tell."""
    known = part["path"].isin(corrected.index)
    given = corrected.reindex(part["path"])
    for name in corrected:
        label = given[name].to_numpy()
        part[name] = part[name].astype(object).mask(known, label)
        part[f"{name}_confidence"] = part[f"{name}_confidence"].mask(known & pd.notna(label), 1.0)
    return part


def _with_sheet(
    schema: Schema, parts: Iterable[pd.DataFrame]
) -> tuple[Callable[[Path, Mapping[str, str], Mapping[str, str]], str], Iterator[pd.DataFrame]]:
    """The page of a contact sheet, once all parts have passed, and the parts."""
    # Its colours are matplotlib's, which takes a while to import.
    from swatchbook.report.contact_sheet import Sheet

    sheet = Sheet(schema)

    def passing() -> Iterator[pd.DataFrame]:
        for part in parts:
            sheet.add(part)
            yield part

    return sheet.page, passing()


def _write_parquet(
    path: Path, parts: Iterable[pd.DataFrame], schema: Schema, extra: Extra | None = None
) -> None:
    """A row group a part; pages carry checksums, by which a reader finds damage."""
    fields = [("path", pa.string())]
    for name in schema.names:
        fields += [(name, pa.string()), (f"{name}_confidence", pa.float64())]
    columns = pa.schema([*fields, *(extra.fields if extra else ())])
    # Columns of bytes hold numbers that neither a dictionary nor compression makes smaller.
    words = [field.name for field in columns if not pa.types.is_fixed_size_binary(field.type)]
    packing = {field.name: "SNAPPY" if field.name in words else "NONE" for field in columns}
    options = {"use_dictionary": words, "write_statistics": words, "compression": packing}
    with pq.ParquetWriter(path, columns, write_page_checksum=True, **options) as file:
        for part in parts:
            file.write_table(pa.Table.from_pandas(part, schema=columns, preserve_index=False))
            if extra:
                extra.each(part)
        if extra:
            file.add_key_value_metadata(dict(extra.about()))


def _write_csv(path: Path, parts: Iterable[pd.DataFrame]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, part in enumerate(parts):
            write_csv(part, file, header=number == 0, float_format="%.6f")


def _all_broken(folder: Path, lost: Sequence[Mapping[str, str]]) -> str:
    first = "; ".join(f"{each['path']!r} ({each['reason']})" for each in lost[:_SHOWN])
    return f"none of the {len(lost):,} images below {str(folder)!r} can be read: {first}"
