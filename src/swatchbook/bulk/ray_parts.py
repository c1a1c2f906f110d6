"""The folder in which the machines of a job meet: what the job is, its listing, and each part's answers.

Every file appears at once or not at all. A part is kept under a key of the job and of each photograph's path,
size and time of change, so that a part of photographs that changed is made anew.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from swatchbook.store import Store

_JOB = "job.json"
_LISTING = "listing.parquet"
_KEY, _BROKEN = b"swatchbook.key", b"swatchbook.broken"


class ClusterError(RuntimeError):
    """A job that cannot be done by these machines; the message says what to do."""


@dataclass(frozen=True)
class PartFolder:
    """Where a job's parts lie, on a disk that all its machines see under the same path.

    Attributes:
        root: The folder.
    """

    root: Path

    def claim(self, job: Mapping[str, object]) -> None:
        """Make it this job's folder.

        Args:
            job: All that an answer depends on but the photographs, as JSON can say it.

        Raises:
            ClusterError: If it holds another job's parts; names what differs.
            StoreError: If it cannot be written.
        """
        store = Store(self.root)
        held = self._job()
        if held is None and any(self.root.glob("part-*.parquet")):
            raise ClusterError(f"{self.root} holds parts, but no {_JOB} says of what; remove the folder")
        if held is not None and held != dict(job):
            names = [name for name in {**held, **job} if held.get(name) != job.get(name)]
            differing = "; ".join(f"{n} was {held.get(n)!r} and is now {job.get(n)!r}" for n in names)
            raise ClusterError(
                f"{self.root} holds the parts of another job: {differing}. Finish that job, remove the "
                "folder, or write to another file"
            )
        store.write_json(_JOB, dict(job))

    def _job(self) -> dict | None:
        try:
            return json.loads((self.root / _JOB).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ClusterError(f"{self.root / _JOB} cannot be read ({error}); remove {self.root}") from error

    def write_listing(self, paths: Sequence[str], part: int) -> int:
        """Write which photographs each part holds.

        Args:
            paths: All files.
            part: Files in a part.

        Returns:
            How many parts there are.
        """
        starts = range(0, len(paths), part)

        def write(path: Path) -> None:
            with pq.ParquetWriter(path, pa.schema([("path", pa.string())])) as file:
                for start in starts:  # a row group a part, so that a worker reads its own only
                    file.write_table(pa.table({"path": pa.array(paths[start : start + part], pa.string())}))

        Store(self.root).write(_LISTING, write)
        return len(starts)

    def paths(self, number: int) -> list[str]:
        """The files of a part."""
        with pq.ParquetFile(self.root / _LISTING) as file:
            return file.read_row_group(number)["path"].to_pylist()

    def key(self, paths: Sequence[str]) -> str:
        """What a part's answers depend on, as a SHA-256; to be asked for before the photographs are read."""
        told = json.dumps([self._job(), [_state(path) for path in paths]])
        return hashlib.sha256(told.encode()).hexdigest()

    def holds(self, number: int, key: str) -> bool:
        """Whether a part is there, whole and under this key."""
        try:
            about = pq.read_schema(self.root / f"{_name(number)}.parquet").metadata or {}
        except (OSError, pa.ArrowInvalid):
            return False
        return about.get(_KEY) == key.encode()

    def write(
        self, number: int, key: str, paths: Sequence[str], answers: pd.DataFrame, broken: pd.DataFrame
    ) -> None:
        """Write a part, its table last: where that is, all is.

        Args:
            number: Which part.
            key: As `key` gave it.
            paths: The part's files.
            answers: A row a file.
            broken: ``path, reason``, a row a broken file.

        Raises:
            StoreError: If it cannot be written.
        """
        store = Store(self.root)
        told = f"{_name(number)}.broken.csv"
        if len(broken):
            store.write(told, lambda path: _write_broken(path, broken))
        else:
            store.path(told).unlink(missing_ok=True)  # of an earlier key
        table = pa.Table.from_pandas(answers.assign(path=list(paths)), preserve_index=False)
        table = table.replace_schema_metadata({_KEY: key, _BROKEN: str(len(broken))})
        store.write(f"{_name(number)}.parquet", lambda path: pq.write_table(table, path))

    def read(self, number: int, start: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """A part as its worker had it.

        Args:
            number: Which part.
            start: The place of its first file in the listing.

        Returns:
            The answers, their index being the files' places in the listing; and the broken files.

        Raises:
            ClusterError: If it is damaged.
        """
        try:
            found = pq.read_table(self.root / f"{_name(number)}.parquet")
            broken = int(found.schema.metadata[_BROKEN])
            lost = _read_broken(self.root / f"{_name(number)}.broken.csv") if broken else []
        except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
            raise ClusterError(f"part {number} in {self.root} cannot be read: {error}; remove it") from error
        if len(lost) != broken:
            raise ClusterError(f"part {number} in {self.root} is damaged; remove it")
        table = found.drop_columns(["path"]).to_pandas()
        for name in table.columns[~table.dtypes.map(pd.api.types.is_float_dtype)]:
            table[name] = table[name].astype(object).where(table[name].notna(), None)
        table.index = range(start, start + len(table))
        return table, pd.DataFrame(lost, columns=["path", "reason"])


def _name(number: int) -> str:
    return f"part-{number:05d}"


def _state(path: str) -> list:
    try:
        about = Path(path).stat()
        return [path, about.st_size, about.st_mtime_ns]
    except OSError as error:
        return [path, error.errno]


def _write_broken(path: Path, broken: pd.DataFrame) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        # All quoted, or a reader would take a carriage return in a name for the end of a line.
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerows([("path", "reason"), *broken[["path", "reason"]].itertuples(index=False)])


def _read_broken(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
