"""Where a run's artefacts live: atomic writes, one writer at a time, and when a stage is fresh.

A stage is a function from artefacts to artefacts. While it runs, what it reads is traced: artefacts,
settings and code. The trace and the hashes of what it wrote go last into `stages.json`. The stage is
fresh as long as that record verifies, so nothing has to be declared and nothing can be forgotten.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import json
import os
import socket
import time
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from swatchbook.atomic import TEMPORARY, StoreError, remove, write_file
from swatchbook.csv_io import unguarded, write_csv

__all__ = ["RECORD", "Store", "StoreError", "code_version", "sha256"]

RECORD = "stages.json"
_HOLDER = "SWATCHBOOK_RUN_LOCK"  # tells the kernels of a run that their parent holds the lock for them


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

    def read_table(self, artefact: str) -> pd.DataFrame:
        """Read a CSV or Parquet artefact; in CSV only an empty field is null, and ``"none"`` is a word."""
        if artefact.endswith(".parquet"):
            return pd.read_parquet(self.path(artefact))
        table = pd.read_csv(
            self.path(artefact), keep_default_na=False, na_values=[""], dtype={"image_id": str}
        )
        return unguarded(table)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run folder for writing; re-entrant, and shared with the kernels that this run starts.

        Raises:
            StoreError: If another run holds it (the message names its PID), or the folder cannot be written.
        """
        if os.environ.get(_HOLDER) == str(self.root):
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
            raise StoreError(f"run folder {self.root} cannot be written: {error.strerror or error}") from None
        try:
            outermost = self._lock.lock_counter == 1
            if outermost:
                self._sweep()
                holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%F %T")}
                self.write_json(".holder.json", holder)
            yield
        finally:
            self._lock.release()

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
            held = json.loads(self.path(".holder.json").read_text(encoding="utf-8"))
            return f"PID {held['pid']} on {held['host']} since {held['since']}"
        except (OSError, ValueError, KeyError):
            return "PID unknown"

    def _sweep(self) -> None:
        """Remove what a killed run left half-written."""
        for leftover in list(self.root.rglob(f"{TEMPORARY}*")):
            remove(leftover)

    def records(self) -> dict[str, dict]:
        """What `stages.json` says of each stage; nothing if it is missing or damaged (all is then redone)."""
        try:
            records = json.loads(self.path(RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return records if isinstance(records, dict) else {}

    def record(self, stage: str, record: Mapping[str, object]) -> None:
        """Enter a finished stage; the last write of a stage."""
        self.write_json(RECORD, {**self.records(), stage: record})

    def hashes(self, artefacts: Iterator[str] | list[str]) -> dict[str, str | None]:
        """SHA-256 of each artefact, None where it is missing."""
        return {a: sha256(self.path(a)) if self.path(a).is_file() else None for a in artefacts}


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def code_version(function: Callable, seen: frozenset[types.CodeType] = frozenset()) -> str:
    """SHA-256 over the source that a stage's function runs: its own and, transitively, the package's.

    The function's globals and its own imports are followed to the modules of this package that they come
    from, and those modules' imports onwards, so that editing an estimator makes exactly the stages stale
    that use it.

    Args:
        function: The stage's function.
        seen: Functions already on the way here, which are not followed again.
    """
    digest = hashlib.sha256(inspect.getsource(function).encode())
    packages = {function.__module__.partition(".")[0], __name__.partition(".")[0]}
    # Imports inside a function, which keep torch away until it is needed, are names with a dot.
    inside = [n for n in _names(function.__code__) if "." in n and n.partition(".")[0] in packages]
    modules = {module for name in inside if _is_module(name) for module in _closure(name)}
    seen = seen | {function.__code__}
    used = [function.__globals__.get(name) for name in sorted(_names(function.__code__))]
    used += [cell.cell_contents for cell in function.__closure__ or ()]
    for found in used:
        if isinstance(found, types.FunctionType) and found.__module__ == function.__module__:
            if found.__code__ not in seen:
                digest.update(code_version(found, seen).encode())
            continue
        home = found.__name__ if isinstance(found, types.ModuleType) else getattr(found, "__module__", None)
        if isinstance(home, str) and home.partition(".")[0] in packages and home != function.__module__:
            modules |= _closure(home)
    for module in sorted(modules):
        digest.update(_source(module).encode())
    return digest.hexdigest()


def _names(code: types.CodeType) -> set[str]:
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return set(code.co_names).union(*(_names(c) for c in inner))


@cache
def _source(module: str) -> str:
    return Path(importlib.util.find_spec(module).origin).read_text(encoding="utf-8")


@cache
def _closure(module: str) -> frozenset[str]:
    """The module and every module of the package that it imports, directly or not."""
    package, found, queue = module.partition(".")[0], set(), [module]
    while queue:
        current = queue.pop()
        if current in found:
            continue
        found.add(current)
        for node in ast.walk(ast.parse(_source(current))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == package:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                queue += [name for name in names if _is_module(name)] or [node.module]
            elif isinstance(node, ast.Import):
                queue += [a.name for a in node.names if a.name.partition(".")[0] == package]
    return frozenset(found)


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # a name inside a module, not a module
        return False
