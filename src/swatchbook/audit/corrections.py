"""Correcting the labels most likely wrong: a list of them, a page that shows them, and what came back.

This is no audit: the page shows the labels, and the images are not drawn at random, so its answers correct
labels and count in no estimate. A list stays until all of it is answered; then the next one is made.

==========================  ============================================================================
correction/sample.csv       the list's images, in the columns of a sample
correction/asked.csv        ``image_id, attribute``: what is asked about
correction/judgements.csv   all answers that were imported, of every list
==========================  ============================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.audit.answers import check_answers, read_judgements
from swatchbook.audit.columns import SAMPLE_COLUMNS, STRATA_COLUMNS
from swatchbook.audit.page import write_audit_page
from swatchbook.audit.run import Run
from swatchbook.audit.sample import SAMPLE, read_sample, sample_id, write_sample
from swatchbook.csv_io import write_csv
from swatchbook.data.strict_csv import DataError, read_csv

PAGE = "correct.html"
COLUMNS = ["image_id", "attribute", "label", "corrected", "by"]
_JUDGEMENTS, _ASKED = "correction/judgements.csv", "correction/asked.csv"
_STRATUM = "suspects"


def write_correction_page(run: Run, suspects: pd.DataFrame, judged: Sequence[str], count: int) -> str:
    """Write the page that asks about the labels most likely wrong.

    Args:
        run: The labels, as a run.
        suspects: As `evaluation.label_errors.suspects_table` gives it.
        judged: Images that the audit has judged; what a person said of them corrects their labels already.
        count: Images on the list, where it is to be made.

    Returns:
        A line that says what was written.
    """
    listed = _current(run)
    if listed is None:
        done = {*judged, *_done(run)}
        asked = _head(suspects[~suspects["image_id"].isin(done)], count)
        if asked.empty:
            run.store.path(PAGE).unlink(missing_ok=True)
            return "no label is left that the list could ask about"
        listed = _write_list(run, asked)
    pairs = run.store.read_table(_ASKED)
    labels = run.silver.set_index("image_id").loc[listed["image_id"], list(run.schema.names)]
    asked = pd.DataFrame(False, index=labels.index, columns=labels.columns)
    for name, rows in pairs.groupby("attribute"):
        asked.loc[asked.index.isin(rows["image_id"]), name] = True
    out, title = run.store.path(PAGE), "Labels most likely wrong"
    write_audit_page(listed, run.paths, run.schema, out, title=title, given=labels, asked=asked)
    return (
        f"{out}: {len(pairs):,} labels of {len(listed):,} photographs to correct, the most likely wrong first"
    )


def is_correction(run: Run, path: Path) -> bool:
    """Whether a file answers a list of this run, today's or an earlier one."""
    return bool({_named(path)} & {*_lists(run)})


def take_corrections(run: Run, paths: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Import answers to the list; those to an earlier one are in already.

    Returns:
        Lines to print; and problems, with which nothing was imported.
    """
    listed, new, lines, problems = _current(run), [], [], []
    for path in paths:
        if listed is None or _named(path) != sample_id(listed):
            lines.append(f"{path.name}: imported before")
            continue
        judged, wrong = check_answers(path, listed, run.schema)
        problems += wrong
        new += [] if judged is None else [judged]
    if problems or not new:
        return lines, problems
    every = pd.concat([*([] if (before := _imported(run)) is None else [before]), *new], ignore_index=True)
    every = every.drop_duplicates(["sample", "image_id"], keep="last")
    with run.store.lock():
        run.store.write(_JUDGEMENTS, lambda out: write_csv(every, out))
    done = len({*listed["image_id"]} & {*_done(run)})
    return [*lines, f"corrections: {done:,} of {len(listed):,} photographs finished"], []


def corrections_table(run: Run, sheet: pd.DataFrame | None) -> pd.DataFrame:
    """Every label that a person has said otherwise.

    Args:
        run: The labels, as a run.
        sheet: The audit's answers, as `answers.as_sheet` gives them; the first answer to an image counts.

    Returns:
        Columns `COLUMNS`: ``label`` is what the file says (null where it says nothing), ``by`` is "audit" or
        "correction", of which the latter is the later look. "Can't tell" and "several" correct nothing.
    """
    parts, imported = [], _imported(run)
    names = list(run.schema.names)
    if imported is not None:
        parts.append(imported[["image_id", *names]].iloc[::-1].assign(by="correction"))  # the latest first
    if sheet is not None:
        parts.append(sheet.reindex(columns=["image_id", *names]).assign(by="audit"))
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    said = pd.concat(parts, ignore_index=True).melt(["image_id", "by"], names, "attribute", "corrected")
    classes = {a.name: set(a.classes) for a in run.schema}
    is_class = [c in classes[a] for a, c in zip(said["attribute"], said["corrected"], strict=True)]
    said = said[is_class].drop_duplicates(["image_id", "attribute"])
    labels = run.silver.melt(["image_id"], names, "attribute", "label")
    both = labels.merge(said, on=["image_id", "attribute"])
    return both[both["label"] != both["corrected"]][COLUMNS].reset_index(drop=True)


def _head(suspects: pd.DataFrame, count: int) -> pd.DataFrame:
    """Rows of the list's head, over all attributes, as far as they are of so many images."""
    ordered = suspects.sort_values("score", kind="stable")
    images = ordered["image_id"].drop_duplicates().head(count)
    last = ordered.index.get_loc(images.index[-1]) if len(images) else -1
    return ordered.iloc[: last + 1]


def _write_list(run: Run, asked: pd.DataFrame) -> pd.DataFrame:
    images = asked["image_id"].drop_duplicates().to_numpy()
    about = {"item": np.arange(1, len(images) + 1), "image_id": images, "stratum": _STRATUM}
    listed = pd.DataFrame({**about, "weight": 1.0, "repeat": 0})[list(SAMPLE_COLUMNS)]
    key = {"stratum": [_STRATUM], "population": len(images), "drawn": len(images)}
    with run.store.lock():
        run.store.write_table(_ASKED, asked[["image_id", "attribute"]])
        write_sample(listed, pd.DataFrame(key).reindex(columns=STRATA_COLUMNS), _folder(run))
    return listed


def _folder(run: Run) -> Path:
    return run.store.path("correction")


def _imported(run: Run) -> pd.DataFrame | None:
    path = run.store.path(_JUDGEMENTS)
    return read_judgements(path, run.schema) if path.is_file() else None


def _finished(judged: pd.DataFrame, run: Run) -> pd.Series:
    return judged[list(run.schema.names)].ne("").all(axis=1)


def _done(run: Run) -> list[str]:
    imported = _imported(run)
    return [] if imported is None else imported.loc[_finished(imported, run), "image_id"].tolist()


def _current(run: Run) -> pd.DataFrame | None:
    """The list that waits for answers; None where there is none, or all of it is answered."""
    if not (_folder(run) / SAMPLE).is_file():
        return None
    listed = read_sample(_folder(run))
    return None if set(listed["image_id"]) <= set(_done(run)) else listed


def _lists(run: Run) -> list[str]:
    """The fingerprints of all lists so far."""
    imported, there = _imported(run), (_folder(run) / SAMPLE).is_file()
    known = [] if imported is None else imported["sample"].unique().tolist()
    return [*known, *([sample_id(read_sample(_folder(run)))] if there else [])]


def _named(path: Path) -> str | None:
    """The sample that a file of answers names; None where it names none or cannot be read."""
    try:
        return read_csv(path, ("sample",), mark=True)["sample"].iloc[0]
    except DataError:
        return None
