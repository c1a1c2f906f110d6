"""What the exchange with other tools shares: pictures copied under neutral names, JSON read with care."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from swatchbook.audit.sample import answer_columns
from swatchbook.data.strict_csv import DataError
from swatchbook.schema import Schema

NOTE = "note"


def copied(sample: pd.DataFrame, paths: Mapping[str, str | Path], out: Path, folder: str) -> list[str]:
    """Copy the picture of each item, named by its number, into a folder of ``out``; the names.

    Raises:
        DataError: If a picture is missing, or ``out`` is there and not an empty folder; nothing is written.
    """
    files = [Path(paths[image]) for image in sample["image_id"]]
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise DataError(f"{len(missing):,} pictures are not there, the first is {str(missing[0])!r}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"out {str(out)!r} is there already and not an empty folder; allowed: a new folder")
    (out / folder).mkdir(parents=True)
    names = [f"{item:04d}{path.suffix.lower()}" for item, path in zip(sample["item"], files, strict=True)]
    for path, name in zip(files, names, strict=True):
        shutil.copyfile(path, out / folder / name)
    return names


def judged_of(said: pd.DataFrame | None, schema: Schema) -> pd.DataFrame:
    """One item's judgements that hold an answer or a note."""
    if said is None:
        return pd.DataFrame(columns=list(answer_columns(schema)))
    return said[(said[[*schema.names, NOTE]] != "").any(axis=1)]


def read_json(path: Path) -> object:
    """Read a JSON file in UTF-8; a DataError says what keeps it from being one."""
    if not path.is_file():
        raise DataError(f"annotations {str(path)!r} is no file")
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not UTF-8 ({error.reason})") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name} is not whole JSON ({error}); it may be cut off") from None


def mapping(value: object, path: Path, what: str) -> dict:
    """The value, if it is a JSON object; else a DataError that names it."""
    if not isinstance(value, dict):
        raise DataError(f"{path.name}, {what} is {value!r:.80}; allowed: a mapping")
    return value


def listed(value: object, path: Path, what: str) -> list[dict]:
    """The value, if it is a list of JSON objects; else a DataError that names it."""
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise DataError(f"{path.name}, {what} is {value!r:.80}; allowed: a list of mappings")
    return value


def text_of(value: object) -> str:
    """A JSON value as a cell's text; null is blank."""
    return "" if value is None else str(value)


def table_of(rows: list[dict], places: list[str], columns: Sequence[str], path: Path) -> pd.DataFrame:
    """Answers as text, indexed by where each stands; a DataError where there are none or two in one place."""
    if not rows:
        raise DataError(f"{path.name} holds no annotation that was submitted")
    index = pd.Index(places)
    twice = index[index.duplicated()]
    if len(twice):
        raise DataError(f"{path.name}, {twice[0]}: there are two; allowed: one an annotator")
    return pd.DataFrame(rows, columns=list(columns), index=index, dtype=object).fillna("")
