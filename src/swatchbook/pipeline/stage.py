"""A stage: what it writes, which function computes it, and what its result depends on.

A stage is data. It names its function instead of importing it, so that a run can be opened, checked and given
to another process before anything that computes is loaded.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from swatchbook.pipeline.content import GROUND, content_hash, module_hash
from swatchbook.schema import Schema
from swatchbook.store import Store


@dataclass(frozen=True)
class Stage:
    """One step of a study.

    Attributes:
        name: What progress lines and records call it.
        produces: Artefacts that it writes; one that ends in ``/`` stands for a folder.
        compute: ``module:function``, called with a `Trace` and ``arguments``; it writes what it produces.
        code: What the function's result depends on: files and folders of the package, such as
            ``evaluation/scores.py``, and ``module:function``s, which stand for their modules. The function's
            own module counts without being named.
        arguments: Keyword arguments of ``compute`` and ``outside``, as JSON can say them.
        outside: ``module:function``, called likewise: what the result depends on outside the run folder, as
            name → hash; compared before each reuse.
        separate: Whether it may be computed in a process of its own, beside other such stages; all that it
            reads must then be named in ``needs``.
        needs: Artefacts that must be there before a separate process starts.
    """

    name: str
    produces: tuple[str, ...]
    compute: str
    code: tuple[str, ...] = ()
    arguments: Mapping[str, object] = field(default_factory=dict)
    outside: str | None = None
    separate: bool = False
    needs: tuple[str, ...] = ()

    def code_hash(self) -> str:
        """SHA-256 over everything that its result depends on apart from settings and artefacts."""
        places = sorted({self.compute, *self.code, *GROUND})
        parts = [module_hash(p.partition(":")[0]) if ":" in p else content_hash(p) for p in places]
        known = json.dumps([parts, dict(self.arguments)], sort_keys=True)
        return hashlib.sha256(known.encode()).hexdigest()


def resolve(reference: str) -> Callable[..., Any]:
    """The function behind ``module:function``; its module is imported."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


class Source(Protocol):
    """What a `Trace` reads from: a run."""

    settings: Mapping[str, object]
    store: Store

    @property
    def schema(self) -> Schema:
        """What is asked of an image."""

    @property
    def changed_settings(self) -> dict[str, object]:
        """Settings that differ from the study's defaults."""

    def ensure(self, artefact: str) -> None:
        """See to it that an artefact is there and fresh."""


class Trace:
    """Records which artefacts and settings a stage reads, and what it writes.

    Attributes:
        reads: Artefact → SHA-256 as read.
        settings: Setting → value as used.
        writes: Artefacts written.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.reads: dict[str, str | None] = {}
        self.settings: dict[str, object] = {}
        self.writes: list[str] = []

    def setting(self, key: str) -> Any:  # noqa: ANN401 - a setting has the type that its configuration gives it
        """A setting by its dotted key."""
        value = self._source.settings[key]
        self.settings[key] = plain(value)
        return value

    def location(self, key: str) -> Path | None:
        """A setting that says where files lie, unrecorded: what they hold matters (`Stage.outside`)."""
        value = self._source.settings[key]
        return None if value is None else Path(str(value))

    @property
    def all_settings(self) -> dict[str, object]:
        """Every setting, unrecorded: for provenance and for handing on to notebooks."""
        return dict(self._source.settings)

    @property
    def changed_settings(self) -> dict[str, object]:
        """Settings that differ from the study's defaults, unrecorded."""
        return self._source.changed_settings

    @property
    def schema(self) -> Schema:
        """The schema of the run; its content is recorded with the settings."""
        schema = self._source.schema
        self.settings["schema content"] = repr(schema)
        return schema

    @property
    def asked(self) -> Schema:
        """The schema of the run, unrecorded: `Stage.outside` watches what of it bears on the result."""
        return self._source.schema

    def path(self, artefact: str) -> Path:
        """The path of an artefact that this stage reads, computed first if it is not fresh."""
        self._source.ensure(artefact)
        self.reads[artefact] = self._source.store.hashes([artefact])[artefact]
        return self._source.store.path(artefact)

    def table(self, artefact: str) -> pd.DataFrame:
        """A table that this stage reads, computed first if it is not fresh."""
        self.path(artefact)
        return self._source.store.read_table(artefact)

    def write_table(self, artefact: str, table: pd.DataFrame) -> None:
        """Write one of the stage's tables."""
        self._source.store.write_table(artefact, table)
        self.writes.append(artefact)

    def write(self, artefact: str, writer: Callable[[Path], object]) -> None:
        """Write one of the stage's files; see `Store.write`."""
        self._source.store.write(artefact, writer)
        self.writes.append(artefact)

    def folder(self, name: str) -> Path:
        """A folder of the run that the stage fills by itself; `wrote` records what lies in it."""
        return self._source.store.path(name)

    def wrote(self, *artefacts: str) -> None:
        """Record artefacts that were written without `write`."""
        self.writes += artefacts

    def rng(self, name: str) -> np.random.Generator:
        """Randomness for one purpose; the same name gives the same stream in every stage."""
        return np.random.default_rng([self.setting("seed"), zlib.crc32(name.encode())])


def plain(value: object) -> object:
    """A setting as JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value
