"""The audit in other tools' files: Label Studio's tasks and annotations, and FiftyOne's data set on disk.

Only files are written and read; neither tool is needed. Pictures are copied under the number of their item,
so that no file name has to survive another tool's paths. What is written to be judged holds no machine
label, stratum or weight. Each tool's module says how its JSON holds an item and an answer; files, pictures
and checks are here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from swatchbook.atomic import new_folder
from swatchbook.audit.columns import NOTE, answer_columns
from swatchbook.audit.exchange import fiftyone, label_studio
from swatchbook.audit.exchange.json_values import MalformedError
from swatchbook.audit.sample import sample_id
from swatchbook.data.strict_csv import DataError
from swatchbook.schema import Schema

TOOLS = {"labelstudio": label_studio, "fiftyone": fiftyone}


def write_exchange(
    tool: str,
    sample: pd.DataFrame,
    paths: Mapping[str, str | Path],
    schema: Schema,
    out: Path,
    judgements: pd.DataFrame | None = None,
) -> None:
    """Write a sample for another tool.

    Args:
        tool: ``labelstudio`` or ``fiftyone``.
        sample: The drawn sample, columns `columns.SAMPLE_COLUMNS`.
        paths: Image id → file.
        schema: Gives attributes and classes.
        out: A folder that is empty or not there; see each tool's module for what it then holds.
        judgements: Answers to write, columns `columns.judgement_columns`; None for a blind task.

    Raises:
        DataError: If a picture is missing.
        ValueError: If the folder is not empty.
        StoreError: If the folder cannot be written.
    """
    form, fingerprint = TOOLS[tool], sample_id(sample)
    files = [Path(paths[image]) for image in sample["image_id"]]
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise DataError(f"{len(missing):,} pictures are not there, the first is {str(missing[0])!r}")
    names = [f"{form.PICTURES}/{i:04d}{p.suffix.lower()}" for i, p in zip(sample["item"], files, strict=True)]
    answers: dict[int, list[dict]] = {int(item): [] for item in sample["item"]}
    if judgements is not None:
        given = judgements[(judgements[[*schema.names, NOTE]] != "").any(axis=1)]
        for row in given.to_dict("records"):
            answers[row["item"]].append(row)
    entries = []
    for row, name in zip(sample.itertuples(), names, strict=True):
        item = {"item": int(row.item), "sample": fingerprint, "image_id": row.image_id}
        entries.append(form.entry(item, name, answers[item["item"]], schema, blind=judgements is None))
    with new_folder(out) as partial:
        (partial / form.PICTURES).mkdir()
        for name, file in zip(names, files, strict=True):
            shutil.copyfile(file, partial / name)
        for name, content in form.files(entries, fingerprint, schema, blind=judgements is None).items():
            text = content
            if not isinstance(content, str):
                text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
            (partial / name).write_text(text, encoding="utf-8")


def read_exchange(tool: str, path: Path, schema: Schema) -> pd.DataFrame:
    """Read answers that another tool wrote.

    Args:
        tool: ``labelstudio`` (its full export, "JSON") or ``fiftyone`` (a data set on disk, in the form that
            `write_exchange` gives it or as FiftyOne itself exports it).
        path: The file, or a folder that holds it.
        schema: Gives the attributes.

    Returns:
        Text in the columns `columns.answer_columns`, a row an item and annotator, indexed by where it
        stands.

    Raises:
        DataError: If it is no such file, holds no answer, or two by one annotator to one item.
    """
    form = TOOLS[tool]
    path = path / form.ANSWERS if path.is_dir() else path
    content = read_json(path)
    try:
        rows = list(form.answers(content, schema))
    except MalformedError as error:
        raise DataError(f"{path.name}{error}") from None
    if not rows:
        raise DataError(f"{path.name} holds no annotation that was submitted")
    index = pd.Index([where for where, _ in rows])
    twice = index[index.duplicated()]
    if len(twice):
        raise DataError(f"{path.name}, {twice[0]}: there are two; allowed: one an annotator")
    columns = list(answer_columns(schema))
    return pd.DataFrame([row for _, row in rows], columns=columns, index=index, dtype=object).fillna("")


def read_json(path: Path) -> object:
    """The content of a JSON file, whoever wrote it.

    Raises:
        DataError: If it is no file, not UTF-8 or not whole.
    """
    if not path.is_file():
        raise DataError(f"annotations {str(path)!r} is no file")
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not UTF-8 ({error.reason})") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name} is not whole JSON ({error}); it may be cut off") from None
