"""A run of a study: its settings, its folder, and its results, each computed once and reopened afterwards."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import pandas as pd

from swatchbook.pipeline.provenance import provenance
from swatchbook.pipeline.settings import flat
from swatchbook.pipeline.spec import Spec
from swatchbook.pipeline.stage import Stage, Trace, plain, resolve
from swatchbook.schema import Schema
from swatchbook.store import Store

_VERIFIED = "SWATCHBOOK_VERIFIED_STAGES"  # what the process that holds the run folder has found fresh


class Run:
    """A run of a study.

    Results are attributes: ``run.scores`` is the table of that name, computed first if it is not fresh.

    Attributes:
        spec: The study.
        config: Its settings.
        settings: The same by dotted key.
        store: The run folder.
        stages: In the order of the story.
        log: Called with one line for each stage that is reused, and with two that is begun and computed.
    """

    def __init__(self, spec: Spec, config: Any, store: Store, log: Callable[[str], None]) -> None:  # noqa: ANN401
        self.spec, self.config, self.store, self.log = spec, config, store, log
        self.settings = flat(config)
        self.stages = spec.stages(config)
        # A process that another one started works with what that one has verified, and nothing else.
        self._trusting = store.is_lent()
        self._verified = (
            set(filter(None, os.environ.get(_VERIFIED, "").split("\n"))) if self._trusting else set()
        )

    @cached_property
    def schema(self) -> Schema:
        """What is asked of an image."""
        return self.spec.schema(self.config)

    @property
    def changed_settings(self) -> dict[str, object]:
        """Settings that differ from the defaults or that the profile sets: with them it is opened again."""
        default = flat(type(self.config)(profile=self.config.profile))
        profile = self.spec.profiles[self.config.profile].overrides
        return {k: value for k, value in self.settings.items() if value != default[k] or k in profile}

    @property
    def results(self) -> dict[str, str]:
        """Name → artefact of every result that this run offers."""
        return {
            name: artefact
            for name, (artefact, _) in self.spec.results.items()
            if self._producer(artefact) is not None
        }

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name.startswith("_") or "spec" not in self.__dict__:
            raise AttributeError(name)
        offered = self.results
        if name not in offered:
            raise AttributeError(
                f"profile {self.config.profile!r} has no result {name!r}; it offers {', '.join(offered)}"
            )
        return self.table(offered[name])

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.results]

    def table(self, artefact: str) -> pd.DataFrame:
        """A table of the run, computed first if it is not fresh."""
        self.ensure(artefact)
        return self.store.read_table(artefact)

    # ---- how results come about -------------------------------------------------------------------

    def stage_of(self, artefact: str) -> Stage:
        """The stage that produces an artefact.

        Raises:
            KeyError: If no stage of this profile does.
        """
        stage = self._producer(artefact)
        if stage is None:
            raise KeyError(f"no stage of profile {self.config.profile!r} produces {artefact!r}")
        return stage

    def _producer(self, artefact: str) -> Stage | None:
        for stage in self.stages:
            if any(artefact == p or (p.endswith("/") and artefact.startswith(p)) for p in stage.produces):
                return stage
        return None

    def ensure(self, artefact: str) -> None:
        """See to it that the artefact is there and fresh."""
        self.ensure_stage(self.stage_of(artefact))

    def ensure_stage(self, stage: Stage) -> None:
        """Reuse a stage's results if their record verifies; else compute the stage and record it.

        Raises:
            StoreError: If the run folder is in use or cannot be written.
            RuntimeError: In a process started by a run, if that run has not verified the stage.
        """
        stale = self.why_stale(stage)
        if stale is not None:
            with self.store.lock():
                self.log(f"  begun     {stage.name}")
                self.enter(stage, stale, self.compute(stage))

    def why_stale(self, stage: Stage) -> str | None:
        """Why a stage must be computed, or None if its record verifies; what it reads is seen to first."""
        if stage.name in self._verified:
            return None
        if self._trusting:
            raise RuntimeError(
                f"this run did not bring {stage.name!r} up to date before it started this process; a "
                "notebook names the results and figures that it shows in its metadata, under 'swatchbook'"
            )
        stale = self._compare(stage)
        if stale is None:
            self.log(f"  fresh     {stage.name}")
            self._verified.add(stage.name)
        return stale

    def compute(self, stage: Stage) -> dict[str, object]:
        """Compute a stage; the record to enter."""
        start, trace = time.monotonic(), Trace(self)
        outside = self._outside(stage, trace)
        for artefact in stage.needs:
            trace.path(artefact)
        resolve(stage.compute)(trace, **stage.arguments)
        return {
            "reads": trace.reads,
            "settings": trace.settings,
            "outside": outside,
            "code": stage.code_hash(),
            "writes": self.store.hashes(trace.writes),
            "seconds": round(time.monotonic() - start, 2),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }

    def enter(self, stage: Stage, stale: str, record: Mapping[str, object]) -> None:
        """Enter a computed stage into the run's record, and say why it was computed."""
        self.store.record(stage.name, record)
        self._verified.add(stage.name)
        self.log(f"  computed  {stage.name} in {record['seconds']:.1f} s ({stale})")

    @staticmethod
    def _outside(stage: Stage, trace: Trace) -> dict[str, str]:
        return resolve(stage.outside)(trace, **stage.arguments) if stage.outside else {}

    def _compare(self, stage: Stage) -> str | None:
        record = self.store.records().get(stage.name)
        if record is None:
            return "not there yet"
        if record.get("code") != stage.code_hash():
            return "its code changed"
        for key, was in record["settings"].items():
            if key == "schema content":
                if was != repr(self.schema):
                    return "the schema changed"
            elif key not in self.settings or plain(self.settings[key]) != was:
                return f"{key} changed from {was} to {self.settings.get(key)}"
        if stage.outside and record["outside"] != self._outside(stage, Trace(self)):
            return "what it reads outside the run changed"
        for artefact in record["reads"]:
            if self._producer(artefact) is None:
                return f"no stage makes {artefact!r}, which it read"
            self.ensure(artefact)
        for kind, word in (("reads", "changed"), ("writes", "is missing or damaged")):
            now = self.store.hashes(list(record[kind]))
            for artefact, was in record[kind].items():
                if now[artefact] is None or now[artefact] != was:
                    return f"{artefact} {word}"
        return None

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the run folder; the processes that this run starts may write, a second run may not."""
        with self.store.lock(), self.store.lend_lock():
            yield

    def lend(self) -> dict[str, str]:
        """Environment of a process that may use what this run has verified without verifying it again."""
        return {_VERIFIED: "\n".join(sorted(self._verified))}

    def save_config(self) -> None:
        """Write `config.json`: every setting, package versions and the commit of the code."""
        content = {"settings": {k: plain(v) for k, v in self.settings.items()}, **provenance()}
        self.store.write_json("config.json", content)


def print_computed(line: str) -> None:
    """Print what was begun and computed; what was fresh is no news.

    It goes to standard error, which keeps standard output for results; but a notebook paints that red.
    """
    if not line.lstrip().startswith("fresh"):
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        print(line, file=sys.stdout if hasattr(shell, "kernel") else sys.stderr, flush=True)
