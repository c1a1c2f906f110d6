"""A person's answers: files → judgements of the drawn sample, or what is wrong with each line.

Judgements are one table, a row an item and annotator: the columns `columns.judgement_columns`, with each
answer as it was given. One wrong line refuses all files of an import, so that nothing is imported in half.
Spreadsheets are the usual culprits: what they do to a file is named as such.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.audit.columns import (
    ADJUDICATED,
    ASIDE,
    NAME_LENGTH,
    NO_TEXT,
    NOTE,
    RESERVED,
    SAMPLE_COLUMNS,
    SECONDS,
    Problems,
    answer_columns,
    choices,
    judgement_columns,
    wrong_cells,
)
from swatchbook.audit.sample import sample_id
from swatchbook.csv_io import guard, unguard, unguarded
from swatchbook.data.strict_csv import DataError, read_csv
from swatchbook.schema import Schema

_MANY = 20  # rows with one and the same thing wrong that are listed in one line


def check_answers(
    path: Path, sample: pd.DataFrame, schema: Schema, *, blank: bool = False
) -> tuple[pd.DataFrame | None, tuple[str, ...]]:
    """Read one annotator's answers file and say everything that is wrong with it.

    Args:
        path: The file, with the columns `answer_columns`. A UTF-8 byte-order mark is harmless and taken off.
            The file must hold every item of the sample, judged or not; one of the annotator
            ``adjudicated`` may hold some, and have columns such as ``color: Anna``, which are not read.
        sample: The drawn sample, columns `SAMPLE_COLUMNS`.
        schema: Gives attributes and classes.
        blank: Whether every answer may be blank.

    Returns:
        Judgements, a row an item of the sample; and a sentence for each thing that is wrong. Where there is
        anything wrong the judgements are None.
    """
    path = Path(path)
    try:
        rows = _rows(path, schema)
    except DataError as error:
        return None, (str(error),)
    rows.index = pd.Index([f"line {line}" for line in rows.index])
    problems = [
        (line, f"{name} {cell!r} begins like a formula; allowed: an apostrophe before it ({guard(cell)!r})")
        for name in ("image_id", NOTE)
        for line, cell in rows[name].items()
        if guard(unguard(cell)) != cell
    ]
    whole = not (rows["annotator"] == ADJUDICATED).all()
    return check_rows(unguarded(rows), path.name, sample, schema, whole=whole, blank=blank, problems=problems)


def check_rows(
    rows: pd.DataFrame,
    name: str,
    sample: pd.DataFrame,
    schema: Schema,
    *,
    whole: bool = False,
    blank: bool = False,
    problems: Problems = (),
) -> tuple[pd.DataFrame | None, tuple[str, ...]]:
    """Hold rows of answers against the sample.

    Args:
        rows: Text in the columns `answer_columns`, indexed by where each row stands (such as "line 3").
        name: The file's name, for messages.
        sample: The drawn sample, columns `SAMPLE_COLUMNS`.
        schema: Gives attributes and classes.
        whole: Whether every item must be there, by one annotator.
        blank: Whether every answer may be blank.
        problems: What is known to be wrong already.

    Returns:
        As `check_answers`. A row that is not there is an item that was not judged.
    """
    fingerprint = sample_id(sample)
    items, wrong_items = _items(rows, len(sample))
    problems = [
        *problems,
        *_sample_problems(rows, fingerprint),
        *wrong_items,
        *_image_problems(rows, items, sample),
        *_annotator_problems(rows, one=whole),
        *_cell_problems(rows, schema),
    ]
    wrong = [f"{name}, {where}: {what}" for where, what in _by_place(problems, rows.index)]
    missing = sorted(set(sample["item"]) - set(items.dropna().astype(int)))
    if whole and missing and not wrong:
        listed = f"{', '.join(map(str, missing[:5]))}{', …' if len(missing) > 5 else ''}"
        wrong.append(
            f"{name} lacks {len(missing):,} of {len(sample):,} items (item {listed}), so it was cut off or "
            "filtered; allowed: every item of the sample, blank where it was not judged"
        )
    if not wrong and not blank and (rows[list(schema.names)] == "").all(axis=None):
        wrong.append(f"{name} judges nothing: every answer is blank")
    if wrong:
        return None, tuple(wrong)
    answered = [*schema.names, NOTE, "seconds"]
    rows, parts = rows.assign(item=items.astype(int)), []
    for who, own in rows.groupby("annotator", sort=False):
        part = sample[list(SAMPLE_COLUMNS)].merge(own[["item", *answered]], on="item", how="left")
        part[answered] = part[answered].fillna("")
        parts.append(part.assign(sample=fingerprint, annotator=who))
    return pd.concat(parts, ignore_index=True)[list(judgement_columns(schema))], ()


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


def read_judgements(path: Path, schema: Schema) -> pd.DataFrame:
    """Read a table of judgements that `csv_io.write_csv` wrote.

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
    return unguarded(rows).assign(**numbers).reset_index(drop=True)


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
    share = judged.groupby([first["annotator"], first["stratum"]]).transform("mean")
    kept = first[judged].assign(weight=(first["weight"] / share)[judged])
    if kept["weight"].isna().any() and kept["weight"].notna().any():
        raise DataError("some of the files have weights and others have none; allowed: all of them or none")
    order = (kept["annotator"] != ADJUDICATED).sort_values(kind="stable").index
    kept = kept.loc[order].reset_index(drop=True)
    design = [] if kept["weight"].isna().all() else ["stratum", "weight"]
    asked = [a for a in schema.names if (answers[a] != "").any()]
    for name in asked:
        kept[name] = kept[name].where(kept[name].isin(schema[name].classes), None)
    return kept[["image_id", "annotator", *design, *asked, NOTE]]


def _rows(path: Path, schema: Schema) -> pd.DataFrame:
    """The file as text, or the first thing that makes it no answers file."""
    if not path.is_file():
        raise DataError(f"answers {str(path)!r} is no file; allowed: a CSV file as the audit page saves it")
    columns = answer_columns(schema)
    rows = read_csv(path, columns, mark=True)
    aside = [name for name in rows if ASIDE in name and name.split(ASIDE)[0] in schema.names]
    unknown = [name for name in rows if name not in (*columns, *aside)]
    if unknown:
        raise DataError(f"{path.name} has an unknown column {unknown[0]!r}; allowed: {', '.join(columns)}")
    return rows[list(columns)]


def _by_place(problems: Problems, places: pd.Index) -> Problems:
    """In the order of the file; a reason that holds for every row, or very many, is listed once."""
    order = {where: k for k, where in enumerate(places)}
    by_reason: dict[str, list] = {}
    for where, what in sorted(problems, key=lambda problem: order[problem[0]]):
        by_reason.setdefault(what, []).append(where)
    listed = []
    for what, some in by_reason.items():
        if len(some) >= max(min(len(places), _MANY), 2):
            listed.append((order[some[0]], f"{some[0]} and {len(some) - 1:,} more", what))
        else:
            listed += [(order[where], where, what) for where in some]
    return [(where, what) for _, where, what in sorted(listed, key=lambda each: each[0])]


def _sample_problems(rows: pd.DataFrame, fingerprint: str) -> Problems:
    problems = []
    for where, given in rows.loc[rows["sample"] != fingerprint, "sample"].items():
        reason = "the answers belong to another sample than the one drawn in this run"
        if given and given.lstrip("0") == fingerprint.lstrip("0"):
            reason = "a spreadsheet took its leading zeros; save the column as text"
        elif re.fullmatch(r"[\d.,]+E[+-]?\d+|INF", given, re.IGNORECASE):
            reason = "a spreadsheet took it for a number; save the column as text"
        problems.append((where, f"sample {given!r}: {reason}; allowed: {fingerprint!r}"))
    return problems


def _items(rows: pd.DataFrame, n: int) -> tuple[pd.Series, Problems]:
    """Each row's item, NaN where it is none; and what is wrong: each may be there once an annotator."""
    known = rows["item"].str.fullmatch(r"[1-9]\d{0,8}")
    items = rows["item"].where(known).astype(float)
    items = items.where(items <= n)
    problems = wrong_cells(rows["item"], items.isna(), f"a whole number from 1 to {n:,}")
    first: dict[tuple[str, float], object] = {}
    for where, who, item in zip(rows.index, rows["annotator"], items, strict=True):
        before = first.setdefault((who, item), where)
        if before != where and not np.isnan(item):
            problems.append(
                (where, f"item {item:.0f} was judged in {before} already; allowed: each item once")
            )
    return items, problems


def _image_problems(rows: pd.DataFrame, items: pd.Series, sample: pd.DataFrame) -> Problems:
    of_item = sample.set_index("item")["image_id"]
    known, problems = set(of_item), []
    expected = of_item.reindex(items).set_axis(rows.index)
    for where, given, right in zip(rows.index, rows["image_id"], expected, strict=True):
        if isinstance(right, str) and given != right:
            what = f"image_id {given!r}: {_edited(given, right, known)}"
            problems.append((where, f"{what}; allowed: {right!r}, the image of its item"))
    return problems


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


def _annotator_problems(rows: pd.DataFrame, *, one: bool) -> Problems:
    others = rows.index[rows["annotator"] != rows["annotator"].iloc[0]] if one else ()
    bad = rows["annotator"].map(
        lambda who: (
            who in RESERVED
            or who != who.strip()
            or who.startswith("'")
            or guard(who) != who
            or not who.isprintable()
            or len(who) > NAME_LENGTH
        )
    )
    allowed = f"a name of at most {NAME_LENGTH} characters that does not begin like a formula"
    return [
        *((where, "the file is by two annotators; allowed: one") for where in others),
        *wrong_cells(rows["annotator"], bad.astype(bool), allowed),
    ]


def _cell_problems(rows: pd.DataFrame, schema: Schema) -> Problems:
    """Answers, notes and seconds that are none."""
    problems = []
    for attribute in schema:
        allowed = choices(attribute)
        column = rows[attribute.name]
        wrong = ~column.isin([*allowed, ""])
        problems += wrong_cells(column, wrong, f"{', '.join(allowed)}, or blank for not judged")
    no_text = rows[NOTE].map(lambda note: NO_TEXT.search(note) is not None).astype(bool)
    problems += wrong_cells(rows[NOTE], no_text, "text; take the other characters out")
    no_number = rows["seconds"].map(lambda text: SECONDS.fullmatch(text) is None).astype(bool)
    return [*problems, *wrong_cells(rows["seconds"], no_number, "a number from 0, or blank")]
