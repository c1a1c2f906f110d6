"""Label Studio's files: tasks with their labelling configuration, and the annotations that come back.

Source: "Task format" and the tags Image, Choices and TextArea of labelstud.io/guide. Only the full export
("JSON") is read; it says who annotated and what was skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd

from swatchbook.audit.exchange.shared import (
    NOTE,
    copied,
    judged_of,
    listed,
    mapping,
    read_json,
    table_of,
    text_of,
)
from swatchbook.audit.sample import SEVERAL, answer_columns, sample_id
from swatchbook.audit.sheet import CANNOT_TELL
from swatchbook.data.strict_csv import DataError
from swatchbook.schema import Schema
from swatchbook.store import Store

LONGEST = 1e6  # seconds; whatever took longer says nothing of the work
PICTURE = "photograph"  # the name of Label Studio's image tag


def write_label_studio(
    sample: pd.DataFrame,
    paths: Mapping[str, str | Path],
    schema: Schema,
    out: Path,
    judgements: pd.DataFrame | None = None,
) -> list[Path]:
    """Write a sample as Label Studio tasks, with the labelling configuration that goes with them.

    Args:
        sample: The drawn sample, columns `audit_sample.SAMPLE_COLUMNS`.
        paths: Image id → file.
        schema: Gives attributes and classes.
        out: A folder that is empty or not there: ``images/``, ``config.xml`` and ``tasks.json``, whose
            tasks name their pictures as Label Studio's local files below ``out``.
        judgements: Answers to write as annotations, see `labels.audit_import`; None for a blind task.

    Returns:
        The files to import there: configuration and tasks.

    Raises:
        DataError: If a picture is missing, or the folder is not empty.
        StoreError: If the folder cannot be written.
    """
    names = copied(sample, paths, out, "images")
    given = {} if judgements is None else dict(iter(judgements.groupby("item", sort=False)))
    tasks = [
        {
            "data": {
                "image": f"/data/local-files/?d=images/{name}",
                "item": int(row.item),
                "sample": sample_id(sample),
                "image_id": row.image_id,
            },
            "annotations": [
                _annotation(said, schema)
                for said in judged_of(given.get(row.item), schema).to_dict("records")
            ],
        }
        for row, name in zip(sample.itertuples(), names, strict=True)
    ]
    store = Store(out)
    store.write("config.xml", lambda path: path.write_text(_config(schema), encoding="utf-8"))
    store.write_json("tasks.json", tasks)
    return [store.path("config.xml"), store.path("tasks.json")]


def read_label_studio(path: Path, schema: Schema) -> pd.DataFrame:
    """Read Label Studio's export of annotated tasks, in its full form ("JSON").

    Args:
        path: The file.
        schema: Gives the attributes.

    Returns:
        Text in the columns `audit_sample.answer_columns`, a row an annotation that was submitted, indexed by
        where it stands; an annotator is called by what `write_label_studio` wrote, an e-mail address or
        "user" and a number.

    Raises:
        DataError: If it is no such file.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) and "data" in task for task in tasks):
        raise DataError(
            f"{path.name} is no list of Label Studio tasks with annotations; export as “JSON”, not “JSON-MIN”"
        )
    columns, rows, places = answer_columns(schema), [], []
    for number, task in enumerate(tasks, 1):
        data = mapping(task["data"], path, f"task {number}: data")
        for annotation in listed(task.get("annotations", []), path, f"task {number}: annotations"):
            if annotation.get("was_cancelled"):
                continue
            row = {name: text_of(data.get(name)) for name in ("sample", "item", "image_id")}
            row |= {"annotator": _user(annotation), "seconds": _seconds(annotation.get("lead_time"))}
            where = f"task {number}, annotation by {row['annotator']}"
            row |= _results(listed(annotation.get("result"), path, f"{where}: result"), schema, where, path)
            rows.append(row)
            places.append(where)
    return table_of(rows, places, columns, path)


def _annotation(said: dict, schema: Schema) -> dict[str, object]:
    result = [_result(name, "choices", said[name]) for name in schema.names if said[name]]
    result += [_result(NOTE, "textarea", said[NOTE])] if said[NOTE] else []
    seconds = {"lead_time": float(said["seconds"])} if said["seconds"] else {}
    return {"annotator": said["annotator"], "result": result, "was_cancelled": False, **seconds}


def _result(name: str, kind: str, text: str) -> dict[str, object]:
    value = {"choices" if kind == "choices" else "text": [text]}
    return {"id": name, "from_name": name, "to_name": PICTURE, "type": kind, "value": value}


def _config(schema: Schema) -> str:
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name=PICTURE, value="$image", zoom="true")
    for attribute in schema:
        ElementTree.SubElement(view, "Header", value=attribute.name)
        options = {"name": attribute.name, "toName": PICTURE, "choice": "single-radio", "showInline": "true"}
        choices = ElementTree.SubElement(view, "Choices", options)
        for label in (*attribute.classes, CANNOT_TELL, SEVERAL):
            ElementTree.SubElement(choices, "Choice", value=label)
    ElementTree.SubElement(
        view, "TextArea", name=NOTE, toName=PICTURE, placeholder="note", maxSubmissions="1"
    )
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _results(results: list[dict], schema: Schema, where: str, path: Path) -> dict[str, str]:
    """An annotation's answers by attribute."""
    answers: dict[str, str] = {}
    for result in results:
        name, value = result.get("from_name"), result.get("value")
        if name not in (*schema.names, NOTE):
            raise DataError(
                f"{path.name}, {where}: {name!r} was not asked; allowed: {', '.join(schema.names)}"
            )
        texts = value.get("text" if name == NOTE else "choices") if isinstance(value, dict) else None
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise DataError(f"{path.name}, {where}: {name} holds {value!r}; allowed: one choice or text")
        if name in answers or (name != NOTE and len(texts) != 1):
            raise DataError(f"{path.name}, {where}: {name} has {texts!r}; allowed: one choice")
        answers[name] = "\n".join(texts)
    return answers


def _user(annotation: dict) -> str:
    by = annotation.get("completed_by")
    if isinstance(by, dict):
        by = by.get("email") or by.get("id")
    own = annotation.get("annotator")
    return text_of(own) or (by if isinstance(by, str) else f"user {text_of(by)}".strip())


def _seconds(lead_time: object) -> str:
    number = isinstance(lead_time, int | float) and not isinstance(lead_time, bool)
    return f"{lead_time:.1f}" if number and 0 <= lead_time < LONGEST else ""
