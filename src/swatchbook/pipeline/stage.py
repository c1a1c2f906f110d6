"""A step of the study, and the hands it works with: what it reads, uses and writes is noted."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from swatchbook.schema import Schema
from swatchbook.store import Store
from swatchbook.studies.config import Config

if TYPE_CHECKING:
    from swatchbook.pipeline.study import Study


@dataclass(frozen=True)
class Stage:
    """One step of the study.

    Attributes:
        name: What progress lines and records call it.
        produces: Artefacts that it writes; one that ends in ``/`` stands for a folder.
        compute: Called with a `Trace`; returns nothing, having written what it produces.
        outside: What it depends on outside the run folder, as name → hash; checked before each reuse.
    """

    name: str
    produces: tuple[str, ...]
    compute: Callable[[Trace], None]
    outside: Callable[[Trace], dict[str, str]] | None = None


class Trace:
    """A stage's hands: everything it reads or writes goes through here and is noted.

    Attributes:
        reads: Artefact → SHA-256 as read.
        settings: Setting → value as used.
        writes: Artefacts written.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self.reads: dict[str, str | None] = {}
        self.settings: dict[str, object] = {}
        self.writes: list[str] = []

    def setting(self, key: str) -> object:
        """A setting by its dotted key."""
        value = self._study.settings[key]
        self.settings[key] = list(value) if isinstance(value, tuple) else value
        return value

    def path(self, artefact: str) -> Path:
        """The path of an artefact that this stage reads, computed first if it is not fresh."""
        self._study.ensure(artefact)
        self.reads[artefact] = self._study.store.hashes([artefact])[artefact]
        return self._study.store.path(artefact)

    def table(self, artefact: str) -> pd.DataFrame:
        """A table that this stage reads, computed first if it is not fresh."""
        self.path(artefact)
        return self._study.store.read_table(artefact)

    def write_table(self, artefact: str, table: pd.DataFrame) -> None:
        """Write one of the stage's tables."""
        self._study.store.write_table(artefact, table)
        self.writes.append(artefact)

    def write(self, artefact: str, writer: Callable[[Path], object]) -> None:
        """Write one of the stage's files; see `Store.write`."""
        self._study.store.write(artefact, writer)
        self.writes.append(artefact)

    def rng(self, name: str) -> np.random.Generator:
        """Randomness for one purpose; the same name gives the same stream in every stage."""
        return np.random.default_rng([self.setting("seed"), zlib.crc32(name.encode())])

    @property
    def schema(self) -> Schema:
        """The schema of the run; its content is noted with the settings."""
        self.setting("schema"), self.setting("material_map")
        schema = self._study.schema
        self.settings["schema content"] = repr(schema)
        return schema

    def figure_name(self, figure: str) -> str:
        """See `Study.figure_name`."""
        return self._study.figure_name(figure)

    @property
    def store(self) -> Store:
        """The run folder, for what is not an artefact of a stage."""
        return self._study.store

    @property
    def config(self) -> Config:
        """The whole configuration, untraced: for provenance and for handing on to notebooks."""
        return self._study.config
