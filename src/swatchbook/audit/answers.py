"""A person's answers, back in: files → judgements of the drawn sample, or what is wrong with each line.

Judgements are one table, a row an item and annotator: ``sample, item, image_id, annotator, repeat, stratum,
weight``, a column an attribute with the answer as it was given (a class, ``can't tell``, ``several``, or
blank: not judged), ``note`` and ``seconds``. One wrong line refuses all files of an import, so that nothing
is taken in half. Spreadsheets are the usual culprits: what they do to a file is named as such.
"""

from __future__ import annotations

import csv
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.audit.sample import SAMPLE_COLUMNS, SEVERAL, answer_columns, guard, sample_id, unguard
from swatchbook.audit.sheet import CANNOT_TELL
from swatchbook.data.strict_csv import DataError, read_csv
from swatchbook.schema import Schema

ADJUDICATED = "adjudicated"  # the annotator whose answers settle the others' differences
ASIDE = ": "  # a column "color: Anna" stands beside the answers of an adjudication and is not read
GUARDED = ("image_id", "note")
NAME_LENGTH = 40
_MARK = b"\xef\xbb\xbf"
_RISKY = ("=", "+", "-", "@", "\t", "\r")
_MANY = 20  # rows with one and the same thing wrong that are told in one line
_RESERVED = ("all", "")  # what tables call all annotators together, and none

Problems = list[tuple[str, str]]  # where, and what is wrong there


def judgement_columns(schema: Schema) -> tuple[str, ...]:
    """The columns of a table of judgements, in their order."""
    about = ("sample", "item", "image_id", "annotator", "repeat", "stratum", "weight")
    return (*about, *schema.names, "note", "seconds")


def check_answers(
    path: Path, sample: pd.DataFrame, schema: Schema
) -> tuple[pd.DataFrame | None, tuple[str, ...]]:
    """Read one annotator's answers file and say everything that is wrong with it.

    Args:
        path: The file, with the columns `answer_columns`. A UTF-8 byte-order mark is harmless and taken off.
            The file must hold every item of the sample, judged or not; one of the annotator
            ``adjudicated`` may hold some, and have columns such as ``color: Anna``, which are not read.
        sample: The drawn sample, columns `SAMPLE_COLUMNS`.
        schema: Gives attributes and classes.

    Returns:
        Judgements, a row an item of the sample; and a sentence for each thing that is wrong. Where there is
        anything wrong the judgements are None.
    """
    path = Path(path)
    try:
        rows = _rows(path, schema)
    except DataError as error:
        return None, (str(error),)
    lines = {line: f"line {line}" for line in rows.index}
    problems = _unguarded(rows, lines)
    rows = rows.assign(**{name: rows[name].map(unguard) for name in GUARDED})
    rows.index = pd.Index([lines[line] for line in rows.index])
    whole = not (rows["annotator"] == ADJUDICATED).all()
    return check_rows(rows, path.name, sample, schema, whole=whole, problems=problems)


def check_rows(
    rows: pd.DataFrame,
    name: str,
    sample: pd.DataFrame,
    schema: Schema,
    *,
    whole: bool = False,
    problems: Problems | None = None,
) -> tuple[pd.DataFrame | None, tuple[str, ...]]:
    """Hold rows of answers against the sample.

    Args:
        rows: Text in the columns `answer_columns`, indexed by where each row stands (such as "line 3").
        name: The file's name, for messages.
        sample: The drawn sample, columns `SAMPLE_COLUMNS`.
        schema: Gives attributes and classes.
        whole: Whether every item must be there.
        problems: What was found already; more is added.

    Returns:
        As `check_answers`. A row that is not there is an item that was not judged.
    """
    problems = [] if problems is None else problems
    fingerprint = sample_id(sample)
    _check_sample(rows, fingerprint, problems)
    items = _check_items(rows, sample, problems)
    _check_images(rows, items, sample, problems)
    _check_annotators(rows, problems, one=whole)
    _check_labels(rows, schema, problems)
    _check_notes(rows, problems)
    _check_seconds(rows, problems)
    told = [f"{name}, {where}: {what}" for where, what in _by_place(problems, rows.index)]
    missing = sorted(set(sample["item"]) - set(items.dropna().astype(int)))
    if whole and missing and not told:
        listed = f"{', '.join(map(str, missing[:5]))}{', …' if len(missing) > 5 else ''}"
        told.append(
            f"{name} lacks {len(missing):,} of {len(sample):,} items (item {listed}), so it was cut off or "
            "filtered; allowed: every item of the sample, blank where it was not judged"
        )
    if not told and not (rows[list(schema.names)] != "").to_numpy().any():
        told.append(f"{name} judges nothing: every answer is blank")
    if told:
        return None, tuple(told)
    return _complete(rows.assign(item=items.astype(int)), sample, schema, fingerprint), ()


def merge(before: pd.DataFrame | None, new: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put annotators together; those who judged before and are there anew are replaced.

    Args:
        before: Judgements imported earlier, of the same sample, or None.
        new: Judgements of each file; at least one.

    Raises:
        DataError: If two of the new files are by one annotator.
    """
    together = pd.concat(new, ignore_index=True)
    twice = together.duplicated(["annotator", "item"])
    if twice.any():
        who = together.loc[twice, "annotator"].iloc[0]
        raise DataError(f"two files are by the annotator {who!r}; allowed: one file an annotator")
    if before is not None:
        kept = before[~before["annotator"].isin(together["annotator"])]
        together = pd.concat([kept, together], ignore_index=True)
    return together


def write_table(table: pd.DataFrame, out: Path) -> None:
    """Write a CSV file whose file names and notes stay text in a spreadsheet; weights with every digit."""
    safe = {name: table[name].fillna("").map(guard) for name in GUARDED if name in table}
    if "weight" in table:
        safe["weight"] = table["weight"].map(lambda x: repr(float(x)), na_action="ignore")
    # Before Python 3.13 a carriage return alone is not quoted, and would end the line for a reader.
    bare = any(
        column.str.contains("\r", regex=False).any()
        for column in map(safe.get, GUARDED)
        if column is not None
    )
    quoting = csv.QUOTE_ALL if bare else csv.QUOTE_MINIMAL
    table.assign(**safe).to_csv(out, index=False, lineterminator="\n", encoding="utf-8", quoting=quoting)


def read_judgements(path: Path, schema: Schema) -> pd.DataFrame:
    """Read a table of judgements that `write_table` wrote.

    Raises:
        DataError: If it is damaged, or has other columns.
    """
    columns = judgement_columns(schema)
    rows = read_csv(path, columns)
    if tuple(rows) != columns:
        raise DataError(f"{path.name} has the columns {', '.join(rows)}; allowed: {', '.join(columns)}")
    try:
        numbers = {name: rows[name].astype("int64") for name in ("item", "repeat")}
        numbers["weight"] = pd.to_numeric(rows["weight"].replace("", np.nan)).astype(float)
    except ValueError as error:
        raise DataError(f"{path.name} is damaged: {error}; import the answers anew") from None
    texts = {name: rows[name].map(unguard) for name in GUARDED}
    return rows.assign(**numbers, **texts).reset_index(drop=True)


def as_sheet(judgements: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Judgements → the layout that a run reads as its audit file.

    Args:
        judgements: Columns `judgement_columns`.
        schema: Gives attributes and classes.

    Returns:
        ``image_id, annotator``, ``stratum, weight`` where there are weights, a column an attribute that
        anybody judged (null for "can't tell", "several" and what was not judged) and ``note``; first
        judgements only, and no image without any answer. Where somebody judged a part of a stratum only,
        the weights of that part are raised to what the whole stratum stands for. Adjudicated answers come
        first.

    Raises:
        DataError: If some judgements have weights and others have none.
    """
    first = judgements[judgements["repeat"] == 0]
    answers = first[list(schema.names)]
    judged = (answers != "").any(axis=1)
    groups = [first["annotator"], first["stratum"]]
    share = judged.groupby(groups).transform("mean")
    kept = first[judged].assign(weight=(first["weight"] / share)[judged])
    if kept["weight"].isna().any() and kept["weight"].notna().any():
        raise DataError("some of the files have weights and others have none; allowed: all of them or none")
    order = (kept["annotator"] != ADJUDICATED).sort_values(kind="stable").index
    kept = kept.loc[order].reset_index(drop=True)
    design = [] if kept["weight"].isna().all() else ["stratum", "weight"]
    asked = [a for a in schema.names if (answers[a] != "").any()]
    for name in asked:
        kept[name] = kept[name].where(kept[name].isin(schema[name].classes), None)
    return kept[["image_id", "annotator", *design, *asked, "note"]]


def _rows(path: Path, schema: Schema) -> pd.DataFrame:
    """The file as text, or the first thing that makes it no answers file."""
    if not path.is_file():
        raise DataError(f"answers {str(path)!r} is no file; allowed: a CSV file as the audit page saves it")
    columns = answer_columns(schema)
    data = path.read_bytes()
    if data.startswith(_MARK):
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / path.name
            plain.write_bytes(data.removeprefix(_MARK))
            rows = read_csv(plain, columns)
    else:
        rows = read_csv(path, columns)
    aside = [name for name in rows if ASIDE in name and name.split(ASIDE)[0] in schema.names]
    unknown = [name for name in rows if name not in (*columns, *aside)]
    if unknown:
        raise DataError(f"{path.name} has an unknown column {unknown[0]!r}; allowed: {', '.join(columns)}")
    return rows[list(columns)]


def _unguarded(rows: pd.DataFrame, lines: dict[int, str]) -> Problems:
    allowed = "begins like a formula; allowed: an apostrophe before it"
    return [
        (lines[line], f"{name} {cell!r} {allowed} ({guard(cell)!r})")
        for name in GUARDED
        for line, cell in rows.loc[rows[name].str.startswith(_RISKY), name].items()
    ]


def _by_place(problems: Problems, places: pd.Index) -> Problems:
    """In the order of the file; a reason that holds for every row, or very many, is told once."""
    order = {where: k for k, where in enumerate(places)}
    problems = sorted(problems, key=lambda problem: order[problem[0]])
    found: dict[str, list[str]] = {}
    for where, what in problems:
        found.setdefault(what, []).append(where)
    many = min(len(places), _MANY)
    told, done = [], set()
    for where, what in problems:
        count = len(found[what])
        if count < max(many, 2):
            told.append((where, what))
        elif what not in done:
            told.append((f"{where} and {count - 1:,} more", what))
            done.add(what)
    return told


def _check_sample(rows: pd.DataFrame, fingerprint: str, problems: Problems) -> None:
    for where, given in rows.loc[rows["sample"] != fingerprint, "sample"].items():
        reason = "the answers belong to another sample than the one drawn in this run"
        if given and given.lstrip("0") == fingerprint.lstrip("0"):
            reason = "a spreadsheet took its leading zeros; save the column as text"
        elif re.fullmatch(r"[\d.,]+E[+-]?\d+|INF", given, re.IGNORECASE):
            reason = "a spreadsheet took it for a number; save the column as text"
        problems.append((where, f"sample {given!r}: {reason}; allowed: {fingerprint!r}"))


def _check_items(rows: pd.DataFrame, sample: pd.DataFrame, problems: Problems) -> pd.Series:
    """Each row's item, NaN where it is none; each once."""
    items = pd.Series(np.nan, index=rows.index, dtype=float)
    n, first = len(sample), {}
    for k, (where, given) in enumerate(rows["item"].items()):
        if not re.fullmatch(r"[1-9]\d{0,8}", given) or int(given) > n:
            problems.append((where, f"item {given!r}; allowed: a whole number from 1 to {n:,}"))
            continue
        items.iloc[k] = int(given)
        before = first.setdefault((rows["annotator"].iloc[k], given), where)
        if before != where:
            problems.append((where, f"item {given} was judged in {before} already; allowed: each item once"))
    return items


def _check_images(rows: pd.DataFrame, items: pd.Series, sample: pd.DataFrame, problems: Problems) -> None:
    of_item = sample.set_index("item")["image_id"]
    expected = of_item.reindex(items).set_axis(rows.index)
    for where, given, right in zip(rows.index, rows["image_id"], expected, strict=True):
        if not isinstance(right, str) or given == right:
            continue
        reason = _edited(given, right, set(of_item))
        problems.append((where, f"image_id {given!r}: {reason}; allowed: {right!r}, the image of its item"))


def _edited(given: str, right: str, known: set[str]) -> str:
    """What may have become of an image's name."""
    if given in known:
        return "it is another item of the sample, so names and items were shifted or edited"
    if given.lstrip("0") == right.lstrip("0"):
        return "leading zeros were lost, as in a spreadsheet"
    if re.fullmatch(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}|\d{1,2}[- .][A-Za-z]{3,9}([- .]\d{2,4})?", given):
        return "it is a date, which a spreadsheet makes of names that look like one"
    if re.fullmatch(r"[\d.,]+(E[+-]?\d+)?", given, re.IGNORECASE):
        return "it is a number, which a spreadsheet makes of names that look like one"
    if given.startswith("#"):
        return "it is a spreadsheet's error, left where a formula was computed"
    return "it is not in the sample"


def _check_annotators(rows: pd.DataFrame, problems: Problems, *, one: bool) -> None:
    others = rows.index[rows["annotator"] != rows["annotator"].iloc[0]] if one else ()
    problems += [(where, "the file is by two annotators; allowed: one") for where in others]
    allowed = f"a name of at most {NAME_LENGTH} characters that does not begin like a formula"
    for where, who in rows["annotator"].items():
        bad = (
            who in _RESERVED or who != who.strip() or who.startswith((*_RISKY, "'")) or not who.isprintable()
        )
        if bad or len(who) > NAME_LENGTH:
            problems.append((where, f"annotator {who!r}; allowed: {allowed}"))


def _check_labels(rows: pd.DataFrame, schema: Schema, problems: Problems) -> None:
    for attribute in schema:
        allowed = (*attribute.classes, CANNOT_TELL, SEVERAL)
        listed = f"{', '.join(allowed)}, or blank for not judged"
        unknown = rows.loc[~rows[attribute.name].isin([*allowed, ""]), attribute.name]
        for where, label in unknown.items():
            problems.append((where, f"{attribute.name} {label!r}; allowed: {listed}"))


def _check_notes(rows: pd.DataFrame, problems: Problems) -> None:
    for where, note in rows["note"].items():
        if re.search(r"[\x00\ud800-\udfff]", note):
            problems.append((where, f"note {note!r} holds characters that are no text; take them out"))


def _check_seconds(rows: pd.DataFrame, problems: Problems) -> None:
    number = r"\d{1,9}(\.\d+)?|"
    for where, given in rows.loc[~rows["seconds"].str.fullmatch(number), "seconds"].items():
        problems.append((where, f"seconds {given!r}; allowed: a number from 0, or blank"))


def _complete(rows: pd.DataFrame, sample: pd.DataFrame, schema: Schema, fingerprint: str) -> pd.DataFrame:
    """A row for every item of every annotator; those that are not there are blank."""
    answered = [*schema.names, "note", "seconds"]
    parts = []
    for who, own in rows.groupby("annotator", sort=False):
        part = sample[list(SAMPLE_COLUMNS)].merge(own[["item", *answered]], on="item", how="left")
        part[answered] = part[answered].fillna("")
        parts.append(part.assign(sample=fingerprint, annotator=who))
    return pd.concat(parts, ignore_index=True)[list(judgement_columns(schema))]
