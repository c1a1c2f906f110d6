"""The steps of an audit after a person: check files of answers, import them, and the tables that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from swatchbook.audit.annotators import (
    SAME_ANSWER,
    between_table,
    differences,
    given_table,
    self_agreement_table,
    with_consensus,
)
from swatchbook.audit.answers import as_sheet, check_answers, check_rows, merge
from swatchbook.audit.certification import certify, first_annotator
from swatchbook.audit.columns import ADJUDICATED
from swatchbook.audit.exchange import read_exchange
from swatchbook.audit.own_sheets import check_own_sheets, is_answers, is_own_sheet
from swatchbook.audit.run import ANSWERS, LABELS, Run
from swatchbook.audit.sample import SAMPLE, read_sample, sample_id
from swatchbook.audit.sheet import check_sheet, describe_sheet
from swatchbook.csv_io import write_csv
from swatchbook.data.strict_csv import DataError
from swatchbook.evaluation.audit import audit_table
from swatchbook.schema import Schema


def import_files(
    files: Sequence[str | Path], run: Run, source: str = "csv", *, alpha: float = 0.1, delta: float = 0.05
) -> tuple[list[str], bool]:
    """Import answers into a run: all files or, if a line of any is wrong, none.

    Annotators who were imported before stay; who is imported again is replaced.

    Args:
        files: Answers files as the audit page saves them, or audits in a layout of their own.
        run: The run.
        source: ``csv``, ``labelstudio`` or ``fiftyone``.
        alpha: Share of wrong labels that a threshold may let through at most, in (0, 1).
        delta: Probability with which that promise may fail, in (0, 1).

    Returns:
        Lines to print, and whether the files were imported.

    Raises:
        DataError: If the sample, or what was imported before, cannot be read; or the files do not go
            together.
        ValueError: If α or δ is out of range.
    """
    paths = [Path(file) for file in files]
    own = [source == "csv" and is_own_sheet(path) for path in paths]
    if any(own) and not all(own):
        raise DataError(
            "some files answer the drawn sample and others do not; allowed: one kind in an import"
        )
    if all(own):
        fingerprint = ""
        parts, lines, problems = check_own_sheets(paths, run.manifest, run.root, run.schema)
    else:
        sample, lines = read_sample(run.folder), []
        fingerprint = sample_id(sample)
        parts, problems = _checked(paths, sample, run.schema, source)
    if problems:
        return [*problems, f"refused: {len(problems):,} problem(s); nothing was imported"], False
    with run.store.lock():
        if fingerprint == "" and (run.folder / SAMPLE).is_file():
            raise DataError(
                f"{str(run.folder)!r} holds a drawn sample, and the file does not say that it answers it; "
                "allowed: files that the audit page saves, or a run without a sample"
            )
        before = run.judgements(fingerprint) if fingerprint else None
        judgements = merge(before, parts)
        lines += _write_tables(run, judgements, alpha, delta)
    if before is not None:
        again = set(before["annotator"]) & {who for part in parts for who in part["annotator"]}
        lines += [f"{who}: the answers imported earlier are replaced" for who in sorted(again)]
    return lines, True


def check_file(path: str | Path, run: Run) -> tuple[list[str], bool]:
    """Check a file of answers against a run and import nothing.

    Args:
        path: An answers file as the audit page saves it, or an audit sheet.
        run: The run.

    Returns:
        Lines to print, and whether the file would be imported.

    Raises:
        DataError: If it cannot be read as an audit at all.
    """
    path = Path(path)
    if not is_answers(path):
        sheet = check_sheet(path, run.manifest["image_id"].tolist(), run.root, run.schema)
        return describe_sheet(sheet, path.name, run.manifest, run.schema), not sheet.problems
    judged, problems = check_answers(path, read_sample(run.folder), run.schema)
    if problems:
        return [*problems, f"refused: {len(problems):,} problem(s)"], False
    return [*_annotator_lines(judged, run.schema), "accepted"], True


def _checked(
    paths: Sequence[Path], sample: pd.DataFrame, schema: Schema, source: str
) -> tuple[list[pd.DataFrame], list[str]]:
    parts, problems = [], []
    for path in paths:
        if source == "csv":
            judged, wrong = check_answers(path, sample, schema)
        else:
            try:
                rows = read_exchange(source, path, schema)
                judged, wrong = check_rows(rows, path.name, sample, schema)
            except DataError as error:
                judged, wrong = None, (str(error),)
        parts += [] if judged is None else [judged]
        problems += wrong
    return parts, problems


def _write_tables(run: Run, judgements: pd.DataFrame, alpha: float, delta: float) -> list[str]:
    """Compute every table first, then write them all; the judgements last."""
    schema = run.schema
    sheet = as_sheet(with_consensus(judgements, schema), schema)
    tables = {
        "given": given_table(judgements, schema),
        "agreement": between_table(judgements, schema, level=run.level),
        "self_agreement": self_agreement_table(judgements, schema, level=run.level),
    }
    scored = score_labels(run, sheet)
    if scored is not None:
        tables["scores"] = scored
    certified, certified_lines = certify(run, sheet, alpha, delta)
    tables |= certified
    open_cases = differences(judgements, schema)
    for name, table in tables.items():
        run.store.write_table(f"audit/{name}.csv", table)
    for name, table in (("adjudicate", open_cases), ("answers", sheet), ("judgements", judgements)):
        run.store.write(f"audit/{name}.csv", lambda out, table=table: write_csv(table, out))  # every digit
    return [
        *_annotator_lines(judgements, schema),
        *_table_lines(tables),
        *_difference_lines(open_cases, schema),
        *certified_lines,
        *([] if LABELS in run.settings else [_of_use(run, sheet)]),
    ]


def _of_use(run: Run, sheet: pd.DataFrame) -> str:
    return f"{run.store.path(ANSWERS)}: {sheet['image_id'].nunique():,} images; give it to a run with --audit"


def score_labels(run: Run, sheet: pd.DataFrame) -> pd.DataFrame | None:
    """Silver labels against the first annotator, weighted by the design; None where there are none.

    Args:
        run: The run.
        sheet: The answers, as `answers.as_sheet` gives them.

    Returns:
        As `evaluation.audit.audit_table`.
    """
    if run.silver is None:
        return None
    own = first_annotator(run, sheet)
    labels = run.silver.set_index("image_id").reindex(own["image_id"])
    known = labels[list(run.schema.names)].notna().any(axis=1).to_numpy()
    own, labels = own[known].reset_index(drop=True), labels[known]
    human = own.reindex(columns=list(run.schema.names))
    return audit_table(
        run.schema.encode(human, "answers"),
        run.schema.encode(labels, "silver.parquet"),
        run.schema,
        stratum=own["stratum"].to_numpy(),
        weight=own["weight"].to_numpy(),
        population=run.schema.encode(run.silver, "silver.parquet"),
        level=run.level,
    )


def _annotator_lines(judgements: pd.DataFrame, schema: Schema) -> list[str]:
    first = judgements[judgements["repeat"] == 0]
    lines = []
    for who, own in first.groupby("annotator", sort=False):
        judged = own[list(schema.names)].ne("").any(axis=1)
        if who == ADJUDICATED:
            lines.append(f"{who}: {int(judged.sum()):,} images, which come first")
            continue
        spent = pd.to_numeric(own["seconds"], errors="coerce")
        time = f", {spent.median():.0f} seconds an image" if spent.gt(0).any() else ""
        lines.append(f"{who}: {int(judged.sum()):,} of {len(own):,} images judged{time}")
        seen = judged.groupby(own["stratum"]).any()
        if not seen.all():
            lines.append(
                f"{who}: {int((~seen).sum()):,} of {len(seen):,} strata have no judged image yet, and the "
                "answers do not speak for them"
            )
    return lines


def _table_lines(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    lines = []
    for row in tables["agreement"].query("statistic == 'agreement' and n > 0").itertuples():
        lines.append(f"{row.attribute}: {row.a} and {row.b} agree on {_share(row)}")
    again = tables["self_agreement"]
    for row in again[(again["statistic"] == SAME_ANSWER) & (again["n"] > 0)].itertuples():
        lines.append(f"{row.attribute}: {row.annotator} gave the same answer twice to {_share(row)}")
    if "scores" in tables:
        scores = tables["scores"].query("`class` == 'all' and weighting == 'design' and n > 0")
        right = scores[scores["statistic"] == "accuracy"]
        given = {row.attribute: row for row in right[right["abstained"] == "left_out"].itertuples()}
        for row in right[right["abstained"] == "wrong"].itertuples():
            few, right = f"{row.interval}, n = {row.n:,}", f"silver labels are right on {_share(row)}"
            own = given.get(row.attribute)
            # An abstention is a wrong label; how good the labels are that were given is told beside it.
            if own and own.n < row.n and not pd.isna(own.value):
                right = f"{right}; of those given on {_share(own)}"
            lines.append(f"{row.attribute}: {few if pd.isna(row.value) else right}")
    return lines


def _share(row: tuple) -> str:
    return f"{row.value:.1%} ({row.low:.1%} to {row.high:.1%}, n = {row.n:,})"


def _difference_lines(cases: pd.DataFrame, schema: Schema) -> list[str]:
    if not len(cases):
        return []
    blank = int((cases[list(schema.names)] == "").to_numpy().sum())
    todo = "fill in the blank answers and import the file to settle them" if blank else "all settled"
    if cases["sample"].iloc[0] == "":
        todo = "settle them in a sheet and import that"  # no drawn sample that the list could answer
    listed = f"{len(cases):,} images on which annotators differ, {blank:,} answers open"
    return [f"audit/adjudicate.csv: {listed}; {todo}"]
