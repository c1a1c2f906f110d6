"""Labels of a folder of photographs, whoever gave them → how many are wrong, which, and the labels corrected.

The folder that it writes is a run as far as an audit needs one, so every step of `swatchbook.audit` works
on it.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.atomic import new_folder, output_folder, write_file
from swatchbook.audit.annotators import with_consensus
from swatchbook.audit.answers import as_sheet, read_judgements
from swatchbook.audit.certification import first_annotator
from swatchbook.audit.corrections import PAGE as CORRECTION_PAGE
from swatchbook.audit.corrections import (
    corrections_table,
    is_correction,
    take_corrections,
    write_correction_page,
)
from swatchbook.audit.given_labels import GivenLabels, read_labels, write_schema
from swatchbook.audit.importing import import_files, score_labels
from swatchbook.audit.labels_file import locate, write_corrected
from swatchbook.audit.own_sheets import is_own_sheet
from swatchbook.audit.run import JUDGEMENTS, LABELS, Run, open_run
from swatchbook.audit.sample import SAMPLE
from swatchbook.audit.steps import draw, write_page
from swatchbook.data.strict_csv import DataError
from swatchbook.evaluation.certification import statements
from swatchbook.evaluation.label_errors import by_second_labeller, ranking_table, spread, suspects_table
from swatchbook.evaluation.scores import majority_baseline
from swatchbook.report.label_audit import Findings, page
from swatchbook.schema import Schema
from swatchbook.store import Store, sha256

PAGE, REPORT = "audit.html", "report.html"
MOST_CORRECTED = 500  # photographs that fit on a page


def audit_labels(
    labels: str | Path,
    images: str | Path,
    out: str | Path | None = None,
    *,
    schema: str | None = None,
    attributes: Sequence[str] = (),
    second: str | Path | None = None,
    answers: Sequence[str | Path] = (),
    source: str = "csv",
    n: int = 210,
    repeats: int = 20,
    seed: int = 0,
    correct: int = 100,
    alpha: float = 0.1,
    delta: float = 0.05,
) -> tuple[list[str], bool]:
    """Audit labels: draw a sample and write the page to judge it on, and, with answers, report and correct.

    Call it again with the answers that the page saved; call it as often as more of them come.

        >>> lines, accepted = audit_labels("labels.csv", "photographs")  # doctest: +SKIP
        >>> lines, accepted = audit_labels("labels.csv", "photographs", answers=["a.csv"])  # doctest: +SKIP

    Args:
        labels: A file of labels; see `audit.labels_file` for its forms.
        images: The folder of photographs.
        out: The folder to write; beside the labels, named after them, by default.
        schema: What the labels may say: a schema's name or path. By default what they do say.
        attributes: Columns of classes; by default all that look like some.
        second: Labels of the same photographs by another labeller, to tell the likely wrong ones by.
        answers: Files that the pages saved, or an audit sheet; see `audit.importing.import_files`.
        source: ``csv``, ``labelstudio`` or ``fiftyone``: where answers to the sample were given.
        n: Photographs to judge; all, where there are fewer.
        repeats: How many come a second time; at most a tenth.
        seed: Same seed, same sample.
        correct: Photographs on a list of labels to correct, at most `MOST_CORRECTED`; 0 for no list.
        alpha: Share of wrong labels that a threshold may let through at most.
        delta: Probability with which that promise may fail.

    Returns:
        Lines to print, and whether all answers were accepted.

    Raises:
        DataError: If a file is refused; see `audit.given_labels.read_labels`. Nothing is written then.
        ValueError: If an argument is out of range, or ``out`` is a file.
        StoreError: If ``out`` cannot be written.
    """
    file = locate(labels)
    out = output_folder(out or file.with_name(f"{file.stem}-audit"))
    if not 0 <= correct <= MOST_CORRECTED:
        raise ValueError(f"correct must lie between 0 and {MOST_CORRECTED}; received {correct}")
    own = out / "schema.yaml"
    asked = Schema.load(schema) if schema is not None else Schema.load(own) if own.is_file() else None
    given = read_labels(file, images, asked, attributes)
    other = None if second is None else read_labels(locate(second), images, given.schema, foreign=True)
    about = {LABELS: sha256(file), "attributes": {a.name: list(a.classes) for a in given.schema}}
    title, sample = f"Audit of {file.name}", {"n": n, "repeats": repeats, "seed": seed}
    own_audit = bool(answers) and all(is_own_sheet(Path(each)) for each in answers)
    if not (out / "config.json").is_file():
        with new_folder(out) as partial:
            _make(partial, given, {"seed": seed, **about})
            if not own_audit:
                _draw(open_run(partial), title, **sample)
    run = open_run(out)
    if {key: run.settings.get(key) for key in about} != about:
        raise DataError(
            f"out {str(out)!r} holds the audit of other labels than {file.name} has now; allowed: another "
            "--out, or move it away"
        )
    store, paths = run.store, [f"{given.root.as_posix()}/{each}" for each in run.manifest["image_id"]]
    run = replace(run, manifest=run.manifest.assign(path=paths))  # wherever the photographs lie now
    if not (own_audit or (run.folder / SAMPLE).is_file() or store.path(JUDGEMENTS).is_file()):
        _draw(run, title, **sample)
    lines = [f"{file}: {len(given.table):,} photographs", *(f"  {note}" for note in given.notes)]

    corrections = [Path(each) for each in answers if source == "csv" and is_correction(run, Path(each))]
    judged = [Path(each) for each in answers if Path(each) not in corrections]
    if judged:
        told, accepted = import_files(judged, run, source, alpha=alpha, delta=delta)
        lines += told
        if not accepted:
            return lines, False
    told, problems = take_corrections(run, corrections)
    lines += [*told, *problems]
    if problems:
        return [*lines, f"refused: {len(problems):,} problem(s); no correction was imported"], False
    again = ["swatchbook", "audit", "--labels", str(labels), "--images", str(images), "--out", str(out)]
    again += [] if second is None else ["--second", str(second)]
    if not store.path(JUDGEMENTS).is_file():
        lines.append(
            f"{store.path(PAGE)}: judge the photographs on this page; it opens in a browser, needs no "
            "network and saves answers-NAME.csv"
        )
        return [*lines, f"next: {shlex.join(again)} --answers answers-NAME.csv"], True
    lines += _reported(run, file, given, other, correct)
    if store.path(CORRECTION_PAGE).is_file():
        lines.append(f"next: {shlex.join(again)} --answers corrections-NAME.csv")
    return lines, True


def _make(folder: Path, given: GivenLabels, settings: Mapping[str, object]) -> None:
    """A run of these labels, as far as an audit needs one."""
    store, ids = Store(folder), given.table["image_id"]
    manifest = pd.DataFrame({"image_id": ids, "path": [f"{given.root.as_posix()}/{each}" for each in ids]})
    write_file(store.path("schema.yaml"), lambda partial: write_schema(given.schema, partial))
    store.write_table("manifest.parquet", manifest.assign(folder="all", split="test"))
    store.write_table("silver.parquet", given.table)
    store.write_json("config.json", {"settings": {"schema": "schema.yaml", "material_map": None, **settings}})


def _draw(run: Run, title: str, n: int, repeats: int, seed: int) -> None:
    """Draw the sample, more where the labeller is less sure, at random where nobody knows, and its page."""
    sure = [f"{name}_confidence" for name in run.schema.names]
    design = "neyman" if run.silver[sure].notna().any(axis=None) else "fabric"
    n = min(n, len(run.manifest))
    draw(run, design=design, n=n, repeats=min(repeats, n // 10), seed=seed)
    write_page(run, run.store.path(PAGE), title)


def _reported(run: Run, file: Path, given: GivenLabels, other: GivenLabels | None, correct: int) -> list[str]:
    """Report, list and page of suspects, corrected labels."""
    store, schema = run.store, run.schema
    sheet = as_sheet(with_consensus(read_judgements(store.path(JUDGEMENTS), schema), schema), schema)
    own = first_annotator(run, sheet)
    codes = schema.encode(run.silver, "labels")
    suspects = suspects_table(codes, _sources(codes, given, other), schema, run.silver["image_id"])
    labels = schema.encode(run.silver.set_index("image_id").loc[own["image_id"]], "labels")
    human = schema.encode(own.reindex(columns=list(schema.names)), "answers")
    design = {"stratum": own["stratum"].to_numpy(), "weight": own["weight"].to_numpy(), "level": run.level}
    ranking = ranking_table(suspects, human, labels, own["image_id"], schema, **design)
    corrected = corrections_table(run, sheet)
    most = {
        a.name: np.array(a.classes, dtype=object)[majority_baseline(codes, schema)[a.name]] for a in schema
    }
    baseline = score_labels(replace(run, silver=run.silver.assign(**most)), sheet)
    certified = store.path("audit/certified.csv")
    certified = store.read_table("audit/certified.csv") if certified.is_file() else None
    copy = store.path(f"{file.stem}-corrected{file.suffix}")
    rows = pd.Series(range(len(run.silver)), index=run.silver["image_id"])
    changes = {
        (int(rows[image]), name): label
        for image, name, label in corrected[["image_id", "attribute", "corrected"]].itertuples(index=False)
    }
    found = Findings(
        scores=store.read_table("audit/scores.csv"),
        baseline=baseline,
        certified=certified,
        promises=[] if certified is None else list(statements(certified).values()),
        suspects=suspects,
        ranking=ranking,
        again=store.read_table("audit/self_agreement.csv"),
        corrected=corrected,
    )
    judged = f"{len(own):,} by {own['annotator'].iloc[0]}"
    drawn = (run.folder / SAMPLE).is_file()
    facts = {"labels": file.name, "photographs": f"{len(run.manifest):,}", "judged": judged}
    html = page(
        found, schema, run.root, title=f"Audit of {file.name}", facts=facts, copy=copy.name, drawn=drawn
    )
    with store.lock():
        for name in ("suspects", "ranking", "baseline", "corrected"):
            store.write_table(f"audit/{name}.csv", getattr(found, name))
        write_corrected(file, copy, changes)
        store.write(REPORT, lambda partial: partial.write_text(html, encoding="utf-8"))
    lines = [f"{copy}: {len(corrected):,} labels corrected"]
    if suspects.empty:
        lines.append("no order of likely errors: the labels have no confidences; --second FILE gives one")
    elif correct:
        lines.append(write_correction_page(run, suspects, own["image_id"].tolist(), correct))
    return [*lines, f"{store.path(REPORT)}: the report; its tables are in {run.folder}"]


def _sources(
    codes: dict[str, np.ndarray], given: GivenLabels, other: GivenLabels | None
) -> dict[str, list[np.ndarray]]:
    """Attribute → what is known of its labels beside themselves, as probabilities of the classes."""
    found: dict[str, list[np.ndarray]] = {}
    for a in given.schema:
        code, sources = codes[a.name], []
        own = given.table[f"{a.name}_confidence"].to_numpy(dtype=float)
        if a.name in given.probabilities:
            sources.append(given.probabilities[a.name])
        elif not np.isnan(own).all():
            sources.append(spread(code, own, len(a)))
        if other is not None and a.name in other.schema.names:
            place = pd.Index(other.table["image_id"]).get_indexer(given.table["image_id"])
            there = np.where(place >= 0, place, 0)
            theirs = np.where(place >= 0, other.schema.encode(other.table, "second")[a.name][there], -1)
            sure = other.table[f"{a.name}_confidence"].to_numpy(dtype=float)[there]
            if a.name in other.probabilities:
                matrix = other.probabilities[a.name][there]
                sources.append(np.where((place >= 0)[:, None], matrix, np.nan))
            elif not np.isnan(sure).all():
                sources.append(spread(theirs, sure, len(a)))
            else:
                sources.append(by_second_labeller(code, theirs, len(a)))
        found[a.name] = sources
    return found
