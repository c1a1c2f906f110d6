"""FiftyOne's data set on disk: ``metadata.json``, ``samples.json`` and the pictures.

Source: the JSON form of ``FiftyOneDataset``, docs.voxel51.com, "Importing datasets". Without a key "version"
in ``metadata.json`` FiftyOne takes the folder for the form that holds no identifiers of its database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

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

_TEXT = "fiftyone.core.fields.StringField"
_LABEL = "fiftyone.core.fields.EmbeddedDocumentField(fiftyone.core.labels.{})"


def write_fiftyone(
    sample: pd.DataFrame,
    paths: Mapping[str, str | Path],
    schema: Schema,
    out: Path,
    judgements: pd.DataFrame | None = None,
) -> list[Path]:
    """Write a sample as a FiftyOne data set on disk.

    Args:
        sample: The drawn sample, columns `audit_sample.SAMPLE_COLUMNS`.
        paths: Image id → file.
        schema: Gives attributes and classes.
        out: A folder that is empty or not there: ``data/``, ``metadata.json`` and ``samples.json``. Each
            attribute is a field: an empty Classification to be filled in, or with judgements a list of
            Classifications, each with its ``annotator``; the note likewise.
        judgements: Answers to write, see `labels.audit_import`; None for a blind task.

    Returns:
        The folder.

    Raises:
        DataError: If a picture is missing, or the folder is not empty.
        StoreError: If the folder cannot be written.
    """
    names = copied(sample, paths, out, "data")
    given = {} if judgements is None else dict(iter(judgements.groupby("item", sort=False)))
    kind = _LABEL.format("Classification" if judgements is None else "Classifications")
    fields = {"filepath": _TEXT, "tags": f"fiftyone.core.fields.ListField({_TEXT})"}
    fields |= {
        "item": "fiftyone.core.fields.IntField",
        "sample": _TEXT,
        "image_id": _TEXT,
        "annotator": _TEXT,
    }
    fields |= dict.fromkeys(schema.names, kind)
    fields[NOTE] = _TEXT if judgements is None else kind
    samples = []
    for row, name in zip(sample.itertuples(), names, strict=True):
        said = judged_of(given.get(row.item), schema)
        about = {"filepath": f"data/{name}", "tags": [], "item": int(row.item), "sample": sample_id(sample)}
        labels = {name: _classifications(said, name) for name in (*schema.names, NOTE)}
        blank = dict.fromkeys((*schema.names, NOTE))
        answers = blank if judgements is None else labels
        samples.append(about | {"image_id": row.image_id, "annotator": None} | answers)
    classes = {a.name: [*a.classes, CANNOT_TELL, SEVERAL] for a in schema}
    metadata = {
        "name": f"audit-{sample_id(sample)}",
        "media_type": "image",
        "sample_fields": fields,
        "info": {"classes": classes},
    }
    store = Store(out)
    store.write_json("metadata.json", metadata)
    store.write_json("samples.json", {"samples": samples})
    return [store.root]


def read_fiftyone(path: Path, schema: Schema) -> pd.DataFrame:
    """Read a FiftyOne data set on disk, in the form above or as FiftyOne itself exports it.

    Args:
        path: The folder, or its ``samples.json``.
        schema: Gives the attributes.

    Returns:
        Text in the columns `audit_sample.answer_columns`, a row an item and annotator, indexed by where it
        stands. A label's annotator is its own attribute ``annotator``, else the sample's field of that name,
        else "fiftyone".

    Raises:
        DataError: If it is no such data set.
    """
    path = path / "samples.json" if path.is_dir() else path
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("samples"), list):
        raise DataError(f"{path.name} is no FiftyOne data set; allowed: samples.json with a list “samples”")
    rows, places = [], []
    for number, entry in enumerate(content["samples"], 1):
        entry = mapping(entry, path, f"sample {number}")
        about = {name: text_of(entry.get(name)) for name in ("sample", "item", "image_id")}
        by: dict[str, dict[str, str]] = {}
        for name in (*schema.names, NOTE):
            for who, label in _labels(entry, name, number, path):
                answer = by.setdefault(who, {})
                if name in answer:
                    raise DataError(
                        f"{path.name}, sample {number}: {name} has two labels by {who!r}; allowed: one"
                    )
                answer[name] = label
        rows += [{**about, "annotator": who, **answer} for who, answer in by.items()]
        places += [f"sample {number}, by {who}" for who in by]
    return table_of(rows, places, answer_columns(schema), path)


def _classifications(said: pd.DataFrame, name: str) -> dict[str, object] | None:
    labels = [
        {"_cls": "Classification", "tags": [], "label": label, "annotator": who}
        for who, label in zip(said["annotator"], said[name], strict=True)
        if label
    ]
    return {"_cls": "Classifications", "classifications": labels} if labels else None


def _labels(entry: dict, name: str, number: int, path: Path) -> Iterable[tuple[str, str]]:
    """Annotator and label of everything that a sample's field holds."""
    field, sole = entry.get(name), text_of(entry.get("annotator")) or "fiftyone"
    if isinstance(field, str) and name == NOTE:
        field = {"label": field}
    if field is None:
        return
    field = mapping(field, path, f"sample {number}: {name}")
    many = "classifications" in field
    for label in listed(field["classifications"], path, name) if many else [field]:
        if not isinstance(label.get("label"), str | None):
            raise DataError(
                f"{path.name}, sample {number}: {name} has the label {label['label']!r}; allowed: text"
            )
        if label.get("label"):
            yield text_of(label.get("annotator")) or sole, label["label"]
