"""A run from its stages to its report: stages, the notebooks on their results, and one HTML page."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from swatchbook.pipeline.notebook_source import discover, needs_of
from swatchbook.pipeline.provenance import project_root, provenance
from swatchbook.pipeline.run import Run
from swatchbook.pipeline.spec import Spec
from swatchbook.pipeline.stage import Stage, Trace, plain, resolve
from swatchbook.store import Store, StoreError, sha256

HERE = "swatchbook.pipeline.complete"
PROCESSES = 2  # figures and notebooks at a time


def complete(run: Run, force: bool = False) -> Path:
    """Bring a run up to date: tables, figures, notebooks, report.

    Args:
        run: The run.
        force: Compute everything again, fresh or not.

    Returns:
        The path of the report.

    Raises:
        StoreError: If the run folder is in use by another run or cannot be written, or the notebooks are
            not there because the package does not run from a checkout.
        NotebookError: If a notebook fails; the message names the notebook and the cell.
    """
    start, root = time.monotonic(), project_root()
    if root is None:
        raise StoreError("the notebooks are not here; run swatchbook from a checkout of the project")
    run.log = partial(print, file=sys.stderr, flush=True)
    run.log(f"swatchbook run: profile {run.config.profile}, folder {run.store.root}")
    if foreign := run.store.foreign_record():
        run.log(foreign)
    *notebooks, report = narrative_stages(run, root)
    figures = [stage for stage in run.stages if stage.separate]
    run.stages += (*notebooks, report)
    pool = ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    with run.hold(), pool:
        if force:
            run.store.forget()
        run.save_config()
        for stage in run.stages:
            if not stage.separate and stage is not report:
                run.ensure_stage(stage)
        for group in (figures, notebooks):
            ensure_separately(run, group, pool)
        run.ensure_stage(report)
    run.log(f"done in {time.monotonic() - start:.1f} s")
    return run.store.path("report/index.html")


# ---- notebooks and report -----------------------------------------------------------------------------


def narrative_stages(run: Run, root: Path) -> tuple[Stage, ...]:
    """The notebooks of the profile, and the report over them."""
    numbers = run.spec.profiles[run.config.profile].notebooks
    chosen = [
        path for path in (discover(root / "notebooks", numbers) if numbers else []) if _offered(run, path)
    ]
    notebooks = [
        Stage(
            f"notebook {path.stem}",
            (f"notebooks/{path.name}",),
            f"{HERE}:execute_notebook",
            code=("pipeline", "report/display.py", "report/wording.py"),
            arguments={"source": str(path)},
            outside=f"{HERE}:notebook_content",
            separate=True,
            needs=tuple(needed(run, path)),
        )
        for path in chosen
    ]
    report = Stage(
        "report",
        ("report/index.html",),
        f"{HERE}:write_report",
        code=("pipeline", "report", run.spec.report, *run.spec.report_code),
        arguments={
            "content": run.spec.report,
            "notebooks": [path.name for path in chosen],
            "private": list(run.spec.private),
        },
        outside=f"{HERE}:report_content",
    )
    return (*notebooks, report)


def needed(run: Run, notebook: Path) -> list[str]:
    """The artefacts of the results and figures that a notebook declares in its metadata."""
    needs = needs_of(notebook)
    offered, aliases = run.results, run.spec.aliases(run.config)
    artefacts = [offered.get(name, name) for name in needs["results"]]
    figures = [aliases.get(name, name) for name in needs["figures"]]
    return [*artefacts, *(f"figures/{name}{suffix}" for name in figures for suffix in (".png", ".txt"))]


def _offered(run: Run, notebook: Path) -> bool:
    """Whether a run makes all that a notebook needs; says so if it does not."""
    for artefact in needed(run, notebook):
        try:
            run.stage_of(artefact)
        except KeyError:
            run.log(f"  left out  notebook {notebook.stem}: this run does not make {artefact}")
            return False
    return True


def execute_notebook(trace: Trace, source: str) -> None:
    """A notebook → its executed copy, which asks the run for what it declares."""
    from swatchbook.pipeline.notebook_runner import execute

    path = Path(source)
    parameters = notebook_parameters(trace)
    execute(path, trace.folder("notebooks") / path.name, parameters, title=path.stem)
    trace.wrote(f"notebooks/{path.name}")


def notebook_parameters(trace: Trace) -> dict[str, object]:
    """``PROFILE``, ``RUN_DIR`` and the settings that differ from the defaults."""
    changed = {key: plain(value) for key, value in trace.changed_settings.items()}
    if changed.get("source"):  # a notebook's kernel works in another folder
        changed["source"] = str(Path(str(changed["source"])).resolve())
    profile = trace.all_settings["profile"]
    return {"PROFILE": profile, "RUN_DIR": str(trace.folder("")), "SETTINGS": changed}


def notebook_content(_: Trace, source: str) -> dict[str, str]:
    """The content of a notebook's source."""
    return {Path(source).name: sha256(Path(source))}


def write_report(trace: Trace, content: str, notebooks: list[str], private: list[str]) -> None:
    """Tables and executed notebooks → the report."""
    from swatchbook.report.page import write_page

    opening = resolve(content)(trace)
    inputs = opening.pop("inputs", {})
    executed = [(Path(name).stem, trace.path(f"notebooks/{name}")) for name in notebooks]
    title = f"Swatchbook: the {trace.all_settings['profile']} study"
    made = _provenance(trace, private, inputs)
    trace.write(
        "report/index.html",
        lambda out: write_page(out, title=title, notebooks=executed, provenance=made, **opening),
    )


def report_content(*_: object, **__: object) -> dict[str, str]:
    """What the report says of versions and commit."""
    return {"provenance": json.dumps(provenance(), sort_keys=True)}


def _provenance(trace: Trace, private: list[str], inputs: dict[str, str]) -> dict[str, dict[str, str]]:
    made, settings = provenance(), trace.all_settings
    return {
        "Run": {
            "date": time.strftime("%Y-%m-%d"),
            "profile": str(settings["profile"]),
            "commit": made["commit"],
        },
        "Settings": {key: str(value) for key, value in settings.items() if key not in private},
        "Versions": made["versions"],
        "Inputs (SHA-256)": inputs,
    }


# ---- several processes --------------------------------------------------------------------------------


def ensure_separately(run: Run, stages: Iterable[Stage], pool: ProcessPoolExecutor) -> None:
    """Bring separate stages up to date, each in one of the pool's processes.

    What they need is seen to first, and a process trusts what this one has verified. The first failure stops
    what has not begun and is raised.
    """
    stale: list[tuple[Stage, str]] = []
    for stage in stages:
        for artefact in stage.needs:
            run.ensure(artefact)
        if (reason := run.why_stale(stage)) is not None:
            stale.append((stage, reason))
    context = (run.spec, run.config, run.store.root, run.lend())
    waiting = {pool.submit(_compute, *context, stage): (stage, reason) for stage, reason in stale}
    try:
        for done in as_completed(waiting):
            run.enter(*waiting[done], done.result())
    except BaseException:
        pool.shutdown(wait=True, cancel_futures=True)
        raise


def _compute(spec: Spec, config: Any, root: Path, lent: Mapping[str, str], stage: Stage) -> dict[str, object]:  # noqa: ANN401
    os.environ.update(lent)
    return Run(spec, config, Store(root), lambda line: None).compute(stage)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, even if it was killed."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
