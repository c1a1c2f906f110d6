"""Where a run's artefacts live: atomic writes, one writer at a time, and the record of what made them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from swatchbook.atomic import TEMPORARY, StoreError, reason_of, remove, write_file
from swatchbook.csv_io import unguarded, write_csv

__all__ = ["RECORD", "Store", "StoreError", "sha256"]

RECORD = "stages.json"
HOLDER = ".holder.json"  # who holds the run folder
FORMAT = 2  # of the record; a run of another format is computed anew
_HOLDER = "SWATCHBOOK_RUN_LOCK"  # by it the kernels of a run know that their parent holds the lock for them


class Store:
    """A run folder: artefacts by name, written atomically, with a record of what made them.

    Attributes:
        root: The folder.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser().resolve()
        self._lock = FileLock(self.root / ".lock")

    def path(self, artefact: str) -> Path:
        """Where an artefact lives, such as ``tables/scores.csv``."""
        return self.root / artefact

    def write(self, artefact: str, writer: Callable[[Path], object]) -> None:
        """Write an artefact: temporary name in the same folder, flush, replace; see `atomic.write_file`.

        Args:
            artefact: Its name below the run folder.
            writer: Called with the temporary path; whatever it leaves there becomes the artefact.

        Raises:
            StoreError: If the disk is full or the folder cannot be written; the artefact that was there
                before is untouched and nothing half-written remains.
        """
        write_file(self.path(artefact), writer)

    def write_table(self, artefact: str, table: pd.DataFrame) -> None:
        """Write a table as CSV (ten significant digits, no index) or Parquet, by the artefact's suffix."""
        if artefact.endswith(".parquet"):
            self.write(artefact, lambda p: table.to_parquet(p, index=False))
        else:
            self.write(artefact, lambda p: write_csv(table, p, float_format="%.10g", numbers_as_text=True))

    def write_json(self, artefact: str, content: object) -> None:
        """Write JSON with sorted keys."""
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        self.write(artefact, lambda p: p.write_text(text, encoding="utf-8"))

    def read_json(self, artefact: str) -> object:
        """Read a JSON artefact.

        Raises:
            StoreError: If it is not there, or is no JSON; names the file.
        """
        path = self.path(artefact)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise StoreError(f"{path} is no JSON: {error}") from None

    def read_table(self, artefact: str) -> pd.DataFrame:
        """Read a CSV or Parquet artefact; in CSV only an empty field is null, and ``"none"`` is a word.

        Raises:
            StoreError: If it is not there or is damaged; names the file.
        """
        path = self.path(artefact)
        if not path.is_file():
            raise StoreError(f"{path}: {os.strerror(errno.ENOENT)}")
        try:
            if artefact.endswith(".parquet"):
                return pd.read_parquet(path)
            table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"image_id": str})
        except ValueError as error:  # of pandas and of pyarrow, which name no file
            raise StoreError(f"{path} is damaged: {error}") from None
        return unguarded(table)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run folder for writing; re-entrant, and shared with the kernels that this run starts.

        Raises:
            StoreError: If another run holds it (the message names its PID), or the folder cannot be written.
        """
        if self.is_lent():
            yield  # our parent process holds it and waits for us
            return
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(
                f"{self.root} is in use by another run ({self._holder()}); wait for it"
            ) from None
        except OSError as error:
            raise StoreError(
                f"run folder {self.root} cannot be written: {reason_of(error, self.root)}"
            ) from None
        outermost = self._lock.lock_counter == 1
        try:
            if outermost:
                if self.path(HOLDER).exists():  # who ends by itself takes it away
                    line = (
                        f"{self.root}: an earlier run ({self._holder()}) was killed; its lock is taken over"
                    )
                    print(line, file=sys.stderr, flush=True)
                self._sweep()
                holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%F %T")}
                self.write_json(HOLDER, holder)
            yield
        finally:
            if outermost:
                remove(self.path(HOLDER))
            self._lock.release()

    def is_lent(self) -> bool:
        """Whether a process holds the run folder and lets those that it starts write."""
        return os.environ.get(_HOLDER) == str(self.root)

    @contextmanager
    def lend_lock(self) -> Iterator[None]:
        """While this process holds the lock, let the kernels that it starts write on its behalf."""
        before = os.environ.get(_HOLDER)
        os.environ[_HOLDER] = str(self.root)
        try:
            yield
        finally:
            os.environ.pop(_HOLDER) if before is None else os.environ.update({_HOLDER: before})

    def _holder(self) -> str:
        try:
            held = self.read_json(HOLDER)
            return f"PID {held['pid']} on {held['host']} since {held['since']}"
        except (StoreError, KeyError, TypeError):
            return "PID unknown"

    def _sweep(self) -> None:
        """Remove what a killed run left half-written."""
        for leftover in list(self.root.rglob(f"{TEMPORARY}*")):
            remove(leftover)

    def records(self) -> dict[str, dict]:
        """What `stages.json` says of each stage; nothing if it is missing, damaged or of another format.

        Everything is computed anew then.
        """
        content = self._record()
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            return {}
        stages = content.get("stages")
        if not isinstance(stages, dict) or not all(map(_is_record, stages.values())):
            return {}
        return stages

    def foreign_record(self) -> str | None:
        """Why a record that is there says nothing, in one line; None if it speaks or there is none."""
        if self.records() or not self.path(RECORD).exists():
            return None
        content = self._record()
        if isinstance(content, dict) and content.get("format") == FORMAT and content.get("stages") == {}:
            return None
        older = (
            isinstance(content, dict) and "format" not in content and all(map(_is_record, content.values()))
        )
        reason = "was made by an earlier version" if older else f"has a {RECORD} that cannot be read"
        return f"the run in {self.root} {reason}: every stage is computed anew"

    def _record(self) -> object:
        try:
            return self.read_json(RECORD)
        except StoreError:
            return None

    def record(self, stage: str, record: Mapping[str, object]) -> None:
        """Enter a finished stage; the last write of a stage."""
        self.write_json(RECORD, {"format": FORMAT, "stages": {**self.records(), stage: record}})

    def forget(self) -> None:
        """Empty the record, so that every stage is computed anew."""
        self.write_json(RECORD, {"format": FORMAT, "stages": {}})

    def hashes(self, artefacts: Iterator[str] | list[str]) -> dict[str, str | None]:
        """SHA-256 of each artefact, None where it is missing."""
        return {a: sha256(self.path(a)) if self.path(a).is_file() else None for a in artefacts}


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: If it cannot be read, or is no regular file: a pipe or a device would be read without end.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_record(record: object) -> bool:
    """Whether a stage's record has the types that freshness is judged by."""
    kinds = {"reads": dict, "settings": dict, "outside": dict, "writes": dict, "code": str}
    return isinstance(record, dict) and all(isinstance(record.get(key), kind) for key, kind in kinds.items())
