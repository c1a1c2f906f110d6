"""The study as a notebook holds it: one property a result, computed once and reopened afterwards.

>>> study = Study.open("published", run_dir="runs/published", bootstrap=500)  # doctest: +SKIP
>>> study.scores.query("head == 'mean'")  # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import pandas as pd

from swatchbook.pipeline.provenance import project_root, provenance
from swatchbook.pipeline.stage import Stage, Trace
from swatchbook.schema import Schema
from swatchbook.store import Store, code_version
from swatchbook.studies.config import DEFAULT_PROFILE, Config, configure


class Result:
    """A table of the run as an attribute of `Study`, computed first if it is not fresh.

    Attributes:
        artefact: Where it lives below the run folder.
    """

    def __init__(self, artefact: str, doc: str) -> None:
        self.artefact, self.__doc__ = artefact, doc

    def __get__(self, study: Study | None, owner: type) -> pd.DataFrame | Result:
        return self if study is None else study.table(self.artefact)


class Study:
    """A run of the study: its settings, its folder, and its results as properties.

    Attributes:
        config: The settings.
        store: The run folder.
        log: Called with one line for each stage that is reused or computed.
    """

    def __init__(self, config: Config, store: Store, log: Callable[[str], None]) -> None:
        from swatchbook.studies.stages_of import stages_of

        self.config, self.store, self.log = config, store, log
        self.settings = config.flat()
        self.stages = stages_of(config)
        self._verified: set[str] = set()

    @classmethod
    def open(
        cls,
        profile: str = DEFAULT_PROFILE,
        run_dir: str | Path | None = None,
        *,
        log: Callable[[str], None] | None = None,
        **overrides: object,
    ) -> Study:
        """Open a run; nothing is computed until a result is asked for.

        Args:
            profile: ``published``, …; see `swatchbook profiles`.
            run_dir: The run's folder; ``runs/<profile>`` in the project (or here) by default.
            log: Called with a line for each stage reused or computed; by default the computed ones go to
                standard error.
            **overrides: Settings by name, such as ``bootstrap=500``.

        Raises:
            ConfigError: If the profile or a setting is unknown or out of range.
        """
        config = configure(profile, overrides)
        root = Path(run_dir) if run_dir else (project_root() or Path()) / "runs" / profile
        return cls(config, Store(root), log or _print_computed)

    @cached_property
    def schema(self) -> Schema:
        """What is asked of an image."""
        return Schema.load(self.config.schema, self.config.material_map)

    # ---- results, in the order of the story -------------------------------------------------------

    manifest = Result("manifest.parquet", "A row an image: `image_id, path, folder, split`.")
    silver = Result("silver.parquet", "Silver labels of the test images; null where the labeller abstained.")
    audit_sheet = Result("audit.csv", "What a person judged: a row an image and annotator, with its weight.")
    scores = Result("tables/scores.csv", "Scores against silver labels, by model, head and class.")
    confusion = Result("tables/confusion.csv", "Confusion counts and shares by model and head.")
    audit = Result("tables/audit.csv", "Silver labels against the human audit.")
    power = Result("tables/power.csv", "How wide the audit's intervals would be at other sizes.")
    agreement = Result("tables/agreement.csv", "Agreement between annotators, where there are two.")
    truth = Result(
        "tables/truth.csv", "Models and silver labels against human labels, by several estimators."
    )
    three_columns = Result("tables/three_columns.csv", "Scores against silver, against a person, and bounds.")
    rectified = Result("tables/rectified.csv", "Cramér's V of the truth behind the silver labels.")
    coupling = Result("tables/coupling.csv", "Cramér's V of every pair, its nulls, intervals and verdicts.")
    cells = Result("tables/cells.csv", "The cells of every pair's table: residuals and shares.")
    collapse = Result("tables/collapse.csv", "How predicted class frequencies differ from the reference's.")
    selection = Result("tables/selection.csv", "Cramér's V against which images are kept.")
    comparison = Result("tables/comparison.csv", "The two models on identical images.")
    curation = Result(
        "tables/curation.csv", "Counts of the data, file names, and the images picked for show."
    )
    name_clashes = Result("tables/name_clashes.csv", "File names that occur more than once.")
    numbers = Result("tables/numbers.csv", "Every printed number beside ours.")
    claims = Result("tables/claims.csv", "Each printed claim with a verdict and one sentence.")
    dropped = Result("tables/dropped.csv", "Fabrics that were left out, with reasons.")
    quarantine = Result("tables/quarantine.csv", "Images that could not be used, with reasons.")
    labeller = Result("tables/labeller.csv", "Which labeller gave the labels, and its own scale.")
    coverage = Result("tables/coverage.csv", "How much was labelled, with what, and how surely.")
    confidence = Result("tables/confidence.csv", "The labeller's confidence against being right.")
    abstention = Result("tables/abstention.csv", "Share of each folder's images without a label.")
    history = Result("tables/history.csv", "Both trainings, epoch by epoch.")
    grid = Result("tables/grid.csv", "Images of the grids: which rule chose each, and what is said of it.")
    occlusion = Result("tables/occlusion.csv", "How far covering a patch lowers each answer's probability.")
    known = Result("tables/known.csv", "Every estimator beside the known truth.")

    def predictions(self, model: str) -> pd.DataFrame:
        """A model's predicted labels of the test images."""
        return self.table(f"predictions/{model}.parquet")

    def say(self, claim: str) -> object:
        """One claim's sentence, for a notebook: its numbers are read from the tables.

        Raises:
            KeyError: If there is no such claim; the message lists them.
        """
        from IPython.display import Markdown

        claims = self.claims.set_index("claim")
        if claim == "twenty_images" and claim not in claims.index:
            return Markdown("*This study picked no images to show, so there is nothing to test.*")
        if claim not in claims.index:
            raise KeyError(f"claim {claim!r}; allowed: {', '.join(claims.index)}")
        row = claims.loc[claim]
        return Markdown(f"**{row['verdict'].capitalize()}.** {row['sentence']}")

    def show(self, figure: str) -> object:
        """A figure with its alt text, for a notebook.

        Args:
            figure: Its name; an ending ``_model`` or ``_baseline`` stands for that model's own name.
        """
        from swatchbook.report.display import figure_view

        name = self.figure_name(figure)
        self.ensure(f"figures/{name}.png")
        return figure_view(self.store.path(f"figures/{name}"))

    def figure_name(self, figure: str) -> str:
        """A figure's name with ``_model`` or ``_baseline`` at its end replaced by that model's."""
        for role in ("model", "baseline"):
            if figure.endswith(f"_{role}"):
                return figure.removesuffix(role) + getattr(self.config, role)
        return figure

    # ---- how results come about -------------------------------------------------------------------

    def table(self, artefact: str) -> pd.DataFrame:
        """A table of the run, computed first if it is not fresh."""
        self.ensure(artefact)
        return self.store.read_table(artefact)

    def stage_of(self, artefact: str) -> Stage:
        """The stage that produces an artefact.

        Raises:
            KeyError: If no stage of this profile does.
        """
        for stage in self.stages:
            if any(artefact == p or (p.endswith("/") and artefact.startswith(p)) for p in stage.produces):
                return stage
        raise KeyError(f"no stage of profile {self.config.profile!r} produces {artefact!r}")

    def ensure(self, artefact: str) -> None:
        """See to it that the artefact is there and fresh."""
        self.ensure_stage(self.stage_of(artefact))

    def ensure_stage(self, stage: Stage) -> None:
        """Reuse a stage's results if their record verifies; else compute the stage and record it.

        Raises:
            StoreError: If the run folder is in use or cannot be written.
        """
        if stage.name in self._verified:
            return
        stale = self._why_stale(stage)
        if stale is None:
            self.log(f"  fresh     {stage.name}")
        else:
            with self.store.lock():
                self._compute(stage, stale)
        self._verified.add(stage.name)

    def _compute(self, stage: Stage, stale: str) -> None:
        start, trace = time.monotonic(), Trace(self)
        outside = stage.outside(trace) if stage.outside else {}
        stage.compute(trace)
        self.store.record(
            stage.name,
            {
                "reads": trace.reads,
                "settings": trace.settings,
                "outside": outside,
                "code": self._code(stage),
                "writes": self.store.hashes(trace.writes),
                "seconds": round(time.monotonic() - start, 2),
                "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            },
        )
        self.log(f"  computed  {stage.name} in {time.monotonic() - start:.1f} s ({stale})")

    @staticmethod
    def _code(stage: Stage) -> str:
        """Version of what a stage runs: its own code, its hands, and how tables are written."""
        parts = (code_version(stage.compute), inspect.getsource(Trace), inspect.getsource(Store.write_table))
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    def _why_stale(self, stage: Stage) -> str | None:
        """Why a stage must be computed, or None if its record verifies."""
        record = self.store.records().get(stage.name)
        if record is None:
            return "not there yet"
        if record.get("code") != self._code(stage):
            return "its code changed"
        trace = Trace(self)
        for key, was in record["settings"].items():
            if key == "schema content":
                if was != repr(self.schema):
                    return "the schema changed"
            elif key not in self.settings or _plain(self.settings[key]) != was:
                return f"{key} changed from {was} to {self.settings.get(key)}"
        if stage.outside and record["outside"] != stage.outside(trace):
            return "what it reads outside the run changed"
        for artefact in record["reads"]:
            self.ensure(artefact)
        for kind, word in (("reads", "changed"), ("writes", "is missing or damaged")):
            now = self.store.hashes(list(record[kind]))
            for artefact, was in record[kind].items():
                if now[artefact] is None or now[artefact] != was:
                    return f"{artefact} {word}"
        return None

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the run folder for a whole run; the kernels that it starts may write, a second run may not."""
        with self.store.lock(), self.store.lend_lock():
            yield

    def save_config(self) -> None:
        """Write `config.json`: every setting, package versions and the commit of the code."""
        content = {"settings": {k: _plain(v) for k, v in self.settings.items()}, **provenance()}
        self.store.write_json("config.json", content)


def _print_computed(line: str) -> None:
    if not line.lstrip().startswith("fresh"):
        print(line, file=sys.stderr, flush=True)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
