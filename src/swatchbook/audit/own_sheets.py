"""Audits that do not name the sample that they answer → judgements of the images that they name.

Such are a sheet of paths and answers, see `audit.sheet`, and the sheet of the published study.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from swatchbook.audit.columns import (
    CANNOT_TELL,
    NOT_JUDGED,
    NOTE,
    OTHER,
    Problems,
    answer_columns,
    judgement_columns,
    outside_of,
    wrong_cells,
)
from swatchbook.audit.sheet import check_sheet, header_of
from swatchbook.csv_io import unguard
from swatchbook.data.strict_csv import DataError, read_csv
from swatchbook.schema import Schema

PUBLISHED = "published"
_HUMAN, _MACHINE = "gt_", "vlm_"
_ABSTAINED = "unknown"


def is_answers(path: Path) -> bool:
    """Whether a file is meant to answer a drawn sample, by the columns of its first line."""
    return bool({"sample", "item"} & set(header_of(path)))


def is_own_sheet(path: Path) -> bool:
    """Whether a file is an audit that names images and no sample, by the columns of its first line."""
    return not is_answers(path) and bool({"path", "image_id"} & set(header_of(path)))


def check_own_sheets(
    paths: Sequence[Path], manifest: pd.DataFrame, root: Path, schema: Schema
) -> tuple[list[pd.DataFrame], list[str], list[str]]:
    """Read audits that name images and no sample.

    Args:
        paths: The files. The published layout has ``path, class, audited`` and ``gt_<attribute>`` beside
            ``vlm_<attribute>``; its strata are the images' folders, weighted by their size in the test
            split. Anything else must be as `audit.sheet` reads it.
        manifest: The run's images.
        root: Their folder.
        schema: Gives attributes and classes.

    Returns:
        Judgements of each file, their ``sample`` blank; lines about what was read; and problems, with which
        no judgements are to be used.
    """
    parts, notes, problems = [], [], []
    for path in paths:
        published = any(f"{_HUMAN}{name}" in header_of(path) for name in schema.names)
        try:
            if published:
                judged, lines, wrong = _published(path, manifest, schema)
            else:
                judged, lines, wrong = _plain(path, manifest, root, schema)
        except DataError as error:
            judged, lines, wrong = pd.DataFrame(), [], [str(error)]
        parts.append(judged)
        notes += lines
        problems += wrong
    return parts, notes, problems


def _plain(
    path: Path, manifest: pd.DataFrame, root: Path, schema: Schema
) -> tuple[pd.DataFrame, list[str], list[str]]:
    sheet = check_sheet(path, manifest["image_id"].tolist(), root, schema)
    asked = set(sheet.answers.loc[sheet.answers["taken_as"] != NOT_JUDGED, "attribute"])
    judged = sheet.judged
    for name in schema.names:
        judged[name] = judged[name].astype(object).fillna(CANNOT_TELL if name in asked else "")
    outside = sheet.answers[sheet.answers["taken_as"].str.startswith(f"{CANNOT_TELL}:")]
    notes = [
        f"{path.name}: {row.attribute} {row.label!r} ({row.n}) counts as {row.taken_as}"
        for row in outside.itertuples()
    ]
    return _judgements(judged, schema), notes, list(sheet.problems)


def _published(
    path: Path, manifest: pd.DataFrame, schema: Schema
) -> tuple[pd.DataFrame, list[str], list[str]]:
    asked = [name for name in schema.names if f"{_HUMAN}{name}" in header_of(path)]
    rows = read_csv(path, ("path", "audited", *(f"{_HUMAN}{name}" for name in asked)))
    known = ["path", "class", "audited", *schema.names]
    known += [f"{by}{name}" for by in (_HUMAN, _MACHINE) for name in schema.names]
    unknown = [name for name in rows if name not in known]
    if unknown:
        raise DataError(f"{path.name} has an unknown column {unknown[0]!r}; allowed: {', '.join(known)}")
    images = set(manifest["image_id"])
    ids = rows["path"].map(lambda given: _image_of(unguard(given), images)).astype(object)
    judged = pd.DataFrame({"image_id": ids, "annotator": PUBLISHED, NOTE: ""}, index=rows.index)
    problems: Problems = wrong_cells(rows["path"], ids.isna(), "a path that ends in an image of the run")
    twice = ids.duplicated() & ids.notna()
    problems += [
        (line, f"path {cell!r} was judged before; allowed: once")
        for line, cell in rows["path"][twice].items()
    ]
    unaudited = rows["audited"].str.lower() != "true"
    problems += wrong_cells(rows["audited"], unaudited, "True, leave out what nobody judged")
    for name in schema.names:
        judged[name] = ""
        if name in asked:
            given, classes = rows[f"{_HUMAN}{name}"], schema[name].classes
            outside = [x for x in outside_of(schema[name]) if x != OTHER]
            allowed = [*classes, *outside, _ABSTAINED]
            wrong = ~given.isin([*allowed, ""])
            problems += wrong_cells(given, wrong, f"{', '.join(allowed)}, or blank")
            judged[name] = given.where(given.isin(classes), CANNOT_TELL)
    if problems:
        wrong = [f"{path.name}, line {line}: {what}" for line, what in sorted(problems)]
        return pd.DataFrame(), [], wrong
    # An image stands for its folder's test images over those of them that were judged.
    test = manifest.loc[manifest["split"] == "test", "folder"].value_counts()
    folder = judged["image_id"].map(manifest.set_index("image_id")["folder"])
    weight = folder.map(test).astype(float) / folder.map(folder.value_counts())
    judged = judged.assign(stratum=folder, weight=weight)
    return _judgements(judged, schema), _agreement(rows, asked, path.name), []


def _image_of(given: str, images: set[str]) -> str | None:
    """The image whose id is the longest end of a path."""
    parts = given.split("/")
    ends = ("/".join(parts[k:]) for k in range(len(parts)))
    return next((end for end in ends if end in images), None)


def _agreement(rows: pd.DataFrame, asked: Sequence[str], name: str) -> list[str]:
    """What to know where the machine's labels stood beside the answers."""
    same = [
        f"{attribute} {(rows[f'{_MACHINE}{attribute}'] == rows[f'{_HUMAN}{attribute}']).mean():.1%}"
        for attribute in asked
        if f"{_MACHINE}{attribute}" in rows
    ]
    return same and [
        f"{name}: the machine's labels stood beside the answers, so the audit was not blind and agreement "
        f"with them may be too high; the same label: {', '.join(same)}"
    ]


def _judgements(judged: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    missing = [name for name in (*answer_columns(schema), NOTE) if name not in judged]
    table = judged.assign(**dict.fromkeys(missing, ""), repeat=0).reset_index(drop=True)
    number = table["image_id"].map({image: k for k, image in enumerate(table["image_id"].unique(), 1)})
    return table.assign(sample="", item=number)[list(judgement_columns(schema))]
