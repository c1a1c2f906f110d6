"""FiftyOne's data set on disk: ``data/``, ``metadata.json`` and ``samples.json``.

Each attribute is a field: an empty Classification to be filled in, or with answers a list of Classifications,
each with its ``annotator``; the note likewise. A label's annotator is read from its own attribute
``annotator``, else the sample's field of that name, else it is "fiftyone".

Source: the JSON form of ``FiftyOneDataset``, docs.voxel51.com, "Importing datasets". Without a key "version"
in ``metadata.json`` FiftyOne takes the folder for the form that holds no identifiers of its database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from swatchbook.audit.columns import NOTE, choices
from swatchbook.audit.exchange.json_values import MalformedError, mapping, mappings, text_of
from swatchbook.schema import Schema

PICTURES, ANSWERS = "data", "samples.json"
_TEXT = "fiftyone.core.fields.StringField"
_LABEL = "fiftyone.core.fields.EmbeddedDocumentField(fiftyone.core.labels.{})"


def entry(item: dict, picture: str, answers: Sequence[dict], schema: Schema, *, blind: bool) -> dict:
    """A sample; a field without a label is null."""
    labels = {name: None if blind else _classifications(answers, name) for name in (*schema.names, NOTE)}
    return {"filepath": picture, "tags": [], **item, "annotator": None, **labels}


def files(entries: list[dict], sample: str, schema: Schema, *, blind: bool) -> dict[str, object]:
    """File name → content."""
    kind = _LABEL.format("Classification" if blind else "Classifications")
    fields = dict.fromkeys(("filepath", "sample", "image_id", "annotator"), _TEXT)
    fields |= {
        "tags": f"fiftyone.core.fields.ListField({_TEXT})",
        "item": "fiftyone.core.fields.IntField",
        **dict.fromkeys(schema.names, kind),
        NOTE: _TEXT if blind else kind,
    }
    metadata = {
        "name": f"audit-{sample}",
        "media_type": "image",
        "sample_fields": fields,
        "info": {"classes": {a.name: choices(a) for a in schema}},
    }
    return {"metadata.json": metadata, ANSWERS: {"samples": entries}}


def answers(content: object, schema: Schema) -> Iterator[tuple[str, dict[str, str]]]:
    """Where the labels of each sample and annotator stand, and their answers by column."""
    for number, each in enumerate(_samples(content), 1):
        sample = mapping(each, f"sample {number}")
        about = {name: text_of(sample.get(name)) for name in ("sample", "item", "image_id")}
        by: dict[str, dict[str, str]] = {}
        for name in (*schema.names, NOTE):
            for who, label in _labels(sample, name, f"sample {number}"):
                if name in by.setdefault(who, {}):
                    raise MalformedError(f", sample {number}: {name} has two labels by {who!r}; allowed: one")
                by[who][name] = label
        yield from ((f"sample {number}, by {who}", {**about, "annotator": who, **by[who]}) for who in by)


def labels(content: object) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each sample stands, and its photograph, labels and confidences by column.

    The labels are its fields that hold one Classification.
    """
    for number, each in enumerate(_samples(content), 1):
        sample = mapping(each, where := f"sample {number}")
        row = {"path": text_of(sample.get("image_id") or sample.get("filepath"))}
        for name, field in sample.items():
            if isinstance(field, dict) and field.get("_cls") == "Classification":
                row[name] = text_of(field.get("label"))
                if field.get("confidence") is not None:
                    row[f"{name}_confidence"] = text_of(field["confidence"])
        yield where, row


def relabel(content: dict, changes: Mapping[tuple[int, str], str]) -> None:
    """Put other classes in the place of some labels.

    Args:
        content: A data set, as `labels` reads it; changed in place.
        changes: (sample, counted from 0, and attribute) → class.
    """
    for (row, name), label in changes.items():
        sample = content["samples"][row]
        sample[name] = (sample.get(name) or {"_cls": "Classification", "tags": []}) | {"label": label}


def _samples(content: object) -> list:
    if not isinstance(content, dict) or not isinstance(content.get("samples"), list):
        raise MalformedError(" is no FiftyOne data set; allowed: samples.json with a list “samples”")
    return content["samples"]


def _classifications(answers: Sequence[dict], name: str) -> dict[str, object] | None:
    labels = [
        {"_cls": "Classification", "tags": [], "label": answer[name], "annotator": answer["annotator"]}
        for answer in answers
        if answer[name]
    ]
    return {"_cls": "Classifications", "classifications": labels} if labels else None


def _labels(sample: dict, name: str, where: str) -> Iterator[tuple[str, str]]:
    """Annotator and label of everything that a sample's field holds."""
    field, sole = sample.get(name), text_of(sample.get("annotator")) or "fiftyone"
    if field is None:
        return
    if isinstance(field, str) and name == NOTE:
        field = {"label": field}
    field = mapping(field, f"{where}: {name}")
    many = "classifications" in field
    for label in mappings(field["classifications"], f"{where}: {name}") if many else [field]:
        if not isinstance(label.get("label"), str | None):
            raise MalformedError(f", {where}: {name} has the label {label['label']!r}; allowed: text")
        if label.get("label"):
            yield text_of(label.get("annotator")) or sole, label["label"]
