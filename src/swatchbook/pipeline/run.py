"""A whole run: every stage, the notebooks on their results, the report, and the committed figures."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from swatchbook.pipeline import notebook_runner as notebooks
from swatchbook.pipeline.notebook_source import discover
from swatchbook.pipeline.provenance import project_root, provenance
from swatchbook.pipeline.study import Result, Stage, Study, Trace
from swatchbook.report.page import write_page
from swatchbook.store import StoreError, sha256
from swatchbook.studies.attributes.folder import folder_report, headline_of
from swatchbook.studies.attributes.headline import headline_table, known_headline
from swatchbook.studies.config import PROFILES
from swatchbook.studies.labeller import labeller_report

PRIVATE = ("source", "labelling.audit", "labelling.thresholds")  # paths of one machine, not for a report
LEADS = {
    "published": "Every number of a published four-attribute study, computed again from its own predictions "
    "and audit: each with an interval, and each printed claim held against what the data says.",
    "demo": "Garments drawn with known colour, pattern, material and texture, labelled, audited and trained "
    "on as photographs would be. The truth is known, so every estimator can be seen to be right or wrong. "
    "The auditor is simulated.",
    "paper": "TextileNet labelled by a zero-shot labeller, and two backbones trained on its labels under one "
    "recipe.",
    "nobody": "Nobody audited these labels: every score is agreement with the labeller, and says nothing of "
    "what is true. --audit FILE gives an audit.",
}


def run_study(study: Study, force: bool = False) -> Path:
    """Bring a run up to date: tables, figures, notebooks, report.

    Args:
        study: The run.
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
    study.log = partial(print, file=sys.stderr, flush=True)
    study.log(f"swatchbook run: profile {study.config.profile}, folder {study.store.root}")
    told = tell_stages(study, root)
    study.stages += told
    with study.hold():
        if force:
            study.store.write_json("stages.json", {})
        study.save_config()
        for stage in study.stages:
            study.ensure_stage(stage)
        export_figures(study, root)
    study.log(f"done in {time.monotonic() - start:.1f} s")
    return study.store.path("report/index.html")


def tell_stages(study: Study, root: Path) -> tuple[Stage, ...]:
    """The stages that tell: each notebook of the profile, and the report over them."""
    numbers = [int(n) for n in PROFILES[study.config.profile].notebooks]
    found = discover(root / "notebooks", numbers) if numbers else []
    chosen = [path for path in found if _can_tell(study, path)]
    stages = [
        Stage(f"notebook {path.stem}", (f"notebooks/{path.name}",), _notebook(path), _content(path))
        for path in chosen
    ]
    told = [(path.stem, f"notebooks/{path.name}") for path in chosen]
    return (
        *stages,
        Stage("report", ("report/index.html",), _report(told), lambda _: {"code": repr(provenance())}),
    )


def _can_tell(study: Study, path: Path) -> bool:
    """Whether a run makes all that a notebook asks for; says so if it does not."""
    for artefact in artefacts_of(path, study.figure_name):
        try:
            study.stage_of(artefact)
        except KeyError:
            study.log(f"  left out  notebook {path.stem}: this run does not make {artefact}")
            return False
    return True


def _notebook(path: Path) -> Callable[[Trace], None]:
    def execute(trace: Trace) -> None:
        for artefact in artefacts_of(path, trace.figure_name):
            trace.path(artefact)
        config = trace.config
        default = type(config)(profile=config.profile).flat()
        changed = {k: v for k, v in config.flat().items() if v != default[k]}
        if config.source:  # a notebook's kernel stands in another folder
            changed["source"] = str(Path(config.source).resolve())
        parameters = {
            "PROFILE": config.profile,
            "RUN_DIR": str(trace.store.root),
            "SETTINGS": {k: list(v) if isinstance(v, tuple) else v for k, v in changed.items()},
        }
        trace.write(
            f"notebooks/{path.name}", lambda out: notebooks.execute(path, out, parameters, title=path.stem)
        )

    return execute


def _content(path: Path) -> Callable[[Trace], dict[str, str]]:
    return lambda _: {path.name: sha256(path)}


def artefacts_of(notebook: Path, named: Callable[[str], str]) -> list[str]:
    """The artefacts that a notebook asks its `study` for, read off its source.

    Args:
        notebook: Its path.
        named: Gives a figure's full name; see `Study.figure_name`.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    source = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    results = [vars(Study).get(name) for name in re.findall(r"\bstudy\.(\w+)", source)]
    found = [result.artefact for result in results if isinstance(result, Result)]
    found += [
        f"figures/{named(name)}{s}"
        for name in re.findall(r"study\.show\(\"(\w+)\"", source)
        for s in (".png", ".txt")
    ]
    found += [f"predictions/{name}.parquet" for name in re.findall(r"study\.predictions\(\"(\w+)\"", source)]
    found += ["tables/claims.csv"] if "study.say(" in source else []
    return sorted(set(found))


def _report(told: list[tuple[str, str]]) -> Callable[[Trace], None]:
    def report(trace: Trace) -> None:
        profile = trace.config.profile
        said = {
            "published": _published,
            "demo": _drawn,
            "folder": folder_report,
            "labeller": labeller_report,
        }.get(profile, _scored)(trace)
        executed = [(name, trace.path(artefact)) for name, artefact in told]
        title, made = f"Swatchbook: the {profile} study", _provenance(trace)
        trace.write(
            "report/index.html",
            lambda out: write_page(out, title=title, notebooks=executed, provenance=made, **said),
        )

    return report


def _published(trace: Trace) -> dict[str, object]:
    """What the report says first of the published study: its numbers and its claims."""
    numbers, claims = trace.table("tables/numbers.csv"), trace.table("tables/claims.csv")
    return {
        "lead": LEADS["published"],
        "headline": headline_table(numbers, trace.setting("baseline")),
        "claims": claims[["printed", "verdict", "sentence", "where"]],
    }


def _drawn(trace: Trace) -> dict[str, object]:
    """What the report says first of the drawn world: every estimate beside the truth."""
    claims = trace.table("tables/claims.csv")
    return {
        "lead": LEADS["demo"],
        "headline": known_headline(trace.table("tables/known.csv")),
        "headline_title": "What is true of the drawn world, and what the estimators say of it from the audit",
        "claims": claims[["printed", "verdict", "sentence"]],
        "claims_title": "The published study's claims, asked of this run",
    }


def _scored(trace: Trace) -> dict[str, object]:
    """What the report says first of TextileNet: the models' scores by what they are held against."""
    said = {"headline_title": "How well the models do, by what they are held against"}
    claims = trace.table("tables/claims.csv")[["printed", "verdict", "sentence"]]
    said |= {"claims": claims, "claims_title": "The published study's claims, asked of this run"}
    if trace.setting("labelling.audit") is not None:
        three = headline_of(trace.table("tables/three_columns.csv"))
        return {"lead": LEADS["paper"], "headline": three, **said}
    scores = trace.table("tables/scores.csv").rename(columns={"metric": "statistic"})
    whole = scores["statistic"].isin(["accuracy", "macro_f1"]) & (scores["class"] == "all")
    headline = headline_of(scores[whole].assign(against="silver labels"))
    return {"lead": f"{LEADS['paper']} {LEADS['nobody']}", "headline": headline, **said}


def _provenance(trace: Trace) -> dict[str, dict[str, str]]:
    made = provenance()
    settings = {k: str(v) for k, v in trace.config.flat().items() if k not in PRIVATE}
    return {
        "Run": {"date": time.strftime("%Y-%m-%d"), "profile": trace.config.profile, "commit": made["commit"]},
        "Settings": settings,
        "Versions": made["versions"],
        "Inputs (SHA-256)": trace.store.records().get("published exports", {}).get("outside", {}),
    }


def export_figures(study: Study, root: Path) -> None:
    """Copy the figures of the project's own run, and the CSV behind each, to `figures/<profile>/`.

    A run in a folder of its own keeps its figures to itself, and so does one of a person's photographs.
    """
    private = study.config.profile in ("folder", "labeller") and study.config.source is not None
    if private or study.store.root != (root / "runs" / study.config.profile).resolve():
        return
    target = root / "figures" / study.config.profile
    target.mkdir(parents=True, exist_ok=True)
    for source in sorted(study.store.path("figures").glob("*")):
        if source.suffix in (".png", ".csv"):  # the SVG stays with the run: it would double the checkout
            shutil.copyfile(source, target / source.name)
