"""Audits in layouts of their own: a plain sheet of paths and answers, and the published study's sheet.

Neither says which sample it answers, so they are taken for what they name: images of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from swatchbook.audit.answers import Problems, judgement_columns
from swatchbook.audit.sample import answer_columns
from swatchbook.audit.sheet import CANNOT_TELL, OUTSIDE, check_sheet
from swatchbook.data.strict_csv import DataError, read_csv
from swatchbook.schema import Schema

PUBLISHED = "published"
_HUMAN, _MACHINE = "gt_", "vlm_"
_ABSTAINED = "unknown"


def is_answers(path: Path) -> bool:
    """Whether a file is meant to answer a drawn sample, by the columns of its first line."""
    return bool({"sample", "item"} & set(_header(path)))


def is_foreign(path: Path) -> bool:
    """Whether a file is an audit in a layout of its own, by the columns of its first line."""
    return not is_answers(path) and bool({"path", "image_id"} & set(_header(path)))


def check_foreign(
    paths: Sequence[Path], manifest: pd.DataFrame, root: Path, schema: Schema
) -> tuple[list[pd.DataFrame], list[str], list[str]]:
    """Read audits in layouts of their own.

    Args:
        paths: The files. The published layout has ``path, class, audited`` and ``gt_<attribute>`` beside
            ``vlm_<attribute>``; its strata are the images' folders, weighted by their size in the test
            split. Anything else must be as `labels.audit_sheet` reads it.
        manifest: The run's images.
        root: Their folder.
        schema: Gives attributes and classes.

    Returns:
        Judgements of each file (``sample`` is blank), what to tell of them, and what is wrong; with anything
        wrong the rest means nothing.
    """
    parts, told, problems = [], [], []
    for path in paths:
        try:
            if any(f"{_HUMAN}{name}" in _header(path) for name in schema.names):
                judged, said, wrong = _published(path, manifest, schema)
            else:
                judged, said, wrong = _plain(path, manifest, root, schema)
        except DataError as error:
            judged, said, wrong = pd.DataFrame(), [], [str(error)]
        parts.append(judged)
        told += said
        problems += wrong
    return parts, told, problems


def _header(path: Path) -> list[str]:
    if not path.is_file():
        return []
    with path.open("rb") as file:
        line = file.readline().decode("utf-8", "replace")
    return line.removeprefix("\ufeff").strip().replace('"', "").split(",")


def _plain(
    path: Path, manifest: pd.DataFrame, root: Path, schema: Schema
) -> tuple[pd.DataFrame, list[str], list[str]]:
    sheet = check_sheet(path, manifest["image_id"].tolist(), root, schema)
    asked = sheet.answers.loc[sheet.answers["taken_as"] != "not judged", "attribute"]
    judged = sheet.judged
    for name in schema.names:
        judged[name] = judged[name].astype(object).fillna(CANNOT_TELL if name in set(asked) else "")
    outside = sheet.answers[sheet.answers["taken_as"].str.startswith(f"{CANNOT_TELL}:")]
    told = [
        f"{path.name}: {row.attribute} {row.label!r} ({row.n}) counts as {row.taken_as}"
        for row in outside.itertuples()
    ]
    return _judgements(judged, schema), told, list(sheet.problems)


def _published(
    path: Path, manifest: pd.DataFrame, schema: Schema
) -> tuple[pd.DataFrame, list[str], list[str]]:
    asked = [name for name in schema.names if f"{_HUMAN}{name}" in _header(path)]
    rows = read_csv(path, ("path", "audited", *(f"{_HUMAN}{name}" for name in asked)))
    about = ("path", "class", "audited", *schema.names)
    known = [*about, *(f"{by}{name}" for by in (_HUMAN, _MACHINE) for name in schema.names)]
    unknown = [name for name in rows if name not in known]
    if unknown:
        raise DataError(f"{path.name} has an unknown column {unknown[0]!r}; allowed: {', '.join(known)}")
    problems: Problems = []
    images = set(manifest["image_id"])
    ids = [_image_of(given, images) for given in rows["path"]]
    for line, given, image in zip(rows.index, rows["path"], ids, strict=True):
        if image is None:
            problems.append((line, f"path {given!r} ends in no image of the run"))
    again = pd.Series(ids, index=rows.index).duplicated() & pd.Series(ids, index=rows.index).notna()
    problems += [
        (line, f"path {rows['path'][line]!r} was judged before; allowed: once") for line in rows.index[again]
    ]
    for line, given in rows.loc[rows["audited"].str.lower() != "true", "audited"].items():
        problems.append((line, f"audited {given!r}; allowed: True, leave out what nobody judged"))
    judged = pd.DataFrame({"image_id": ids, "annotator": PUBLISHED, "note": ""}, index=rows.index)
    for name in schema.names:
        judged[name] = _answers(rows, name, schema, problems) if name in asked else ""
    told = [f"{path.name}, line {line}: {what}" for line, what in sorted(problems)]
    if told:
        return pd.DataFrame(), [], told
    return _judgements(_weighted(judged, manifest), schema), _beside(rows, asked, path.name), []


def _image_of(given: str, images: set[str]) -> str | None:
    """The image whose id is the longest end of a path."""
    parts = given.split("/")
    ends = ("/".join(parts[k:]) for k in range(len(parts)))
    return next((end for end in ends if end in images), None)


def _answers(rows: pd.DataFrame, name: str, schema: Schema, problems: Problems) -> pd.Series:
    given, classes = rows[f"{_HUMAN}{name}"], schema[name].classes
    outside = [x for x in OUTSIDE.get(name, ()) if x not in classes]
    for line, label in given[~given.isin([*classes, *outside, _ABSTAINED, ""])].items():
        allowed = ", ".join((*classes, *outside, _ABSTAINED))
        problems.append((line, f"{_HUMAN}{name} {label!r}; allowed: {allowed}, or blank"))
    return given.where(given.isin(classes), CANNOT_TELL)


def _weighted(judged: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Strata are the folders; an image stands for its folder's test images over those that were judged."""
    test = manifest.loc[manifest["split"] == "test", "folder"].value_counts()
    folder = judged["image_id"].map(manifest.set_index("image_id")["folder"])
    return judged.assign(
        stratum=folder, weight=folder.map(test).astype(float) / folder.map(folder.value_counts())
    )


def _beside(rows: pd.DataFrame, asked: Sequence[str], name: str) -> list[str]:
    told = []
    for attribute in asked:
        if f"{_MACHINE}{attribute}" in rows:
            same = (rows[f"{_MACHINE}{attribute}"] == rows[f"{_HUMAN}{attribute}"]).mean()
            told.append(f"{attribute} {same:.1%}")
    if not told:
        return []
    return [
        f"{name}: the machine's labels stood beside the answers, so the audit was not blind and agreement "
        f"with them may be too high; the same label: {', '.join(told)}"
    ]


def _judgements(judged: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    blank = [name for name in (*answer_columns(schema), "note") if name not in judged]
    table = judged.assign(**dict.fromkeys(blank, ""), repeat=0).reset_index(drop=True)
    number = table["image_id"].map({image: k for k, image in enumerate(table["image_id"].unique(), 1)})
    return table.assign(sample="", item=number)[list(judgement_columns(schema))]
