"""Label Studio: ``images/``, ``config.xml`` (the labelling configuration) and ``tasks.json``.

Tasks name their pictures as Label Studio's local files. Only its full export ("JSON") is read back; it says
who annotated and what was skipped. An annotator is called by what was written here, an e-mail address, or
"user" and a number.

Source: "Task format" and the tags Image, Choices and TextArea of labelstud.io/guide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from xml.etree import ElementTree

from swatchbook.audit.columns import NOTE, choices
from swatchbook.audit.exchange.json_values import MalformedError, mapping, mappings, text_of
from swatchbook.schema import Schema

PICTURES, ANSWERS = "images", "tasks.json"
LONGEST = 1e6  # seconds; whatever took longer says nothing of the work
PICTURE = "photograph"  # the name of Label Studio's image tag


def entry(item: dict, picture: str, answers: Sequence[dict], schema: Schema, *, blind: bool) -> dict:
    """A task; without answers it is blind as it is."""
    data = {"image": f"/data/local-files/?d={picture}", **item}
    return {"data": data, "annotations": [_annotation(each, schema) for each in answers]}


def files(entries: list[dict], sample: str, schema: Schema, *, blind: bool) -> dict[str, object]:
    """File name → content."""
    return {"config.xml": _config(schema), ANSWERS: entries}


def answers(content: object, schema: Schema) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each annotation that was submitted stands, and its answers by column."""
    for number, task in enumerate(_tasks(content), 1):
        data = mapping(task["data"], f"task {number}: data")
        for annotation in mappings(task.get("annotations", []), f"task {number}: annotations"):
            if annotation.get("was_cancelled"):
                continue
            row = {name: text_of(data.get(name)) for name in ("sample", "item", "image_id")}
            row |= {"annotator": _user(annotation), "seconds": _seconds(annotation.get("lead_time"))}
            where = f"task {number}, annotation by {row['annotator']}"
            results = mappings(annotation.get("result"), f"{where}: result")
            yield where, row | _results(results, schema, where)


def labels(content: object) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each task stands, and its photograph, labels and confidences by column.

    The labels are the choices of its prediction, a model's; of a task without one, of its annotation.
    """
    for number, task in enumerate(_tasks(content), 1):
        where = f"task {number}"
        row = {"path": _picture(mapping(task["data"], f"{where}: data"))}
        source = _labelled(task, where)
        for result in _choices(source, where):
            name, given = text_of(result.get("from_name")), result["value"]["choices"]
            if len(given) != 1 or name in row:
                raise MalformedError(f", {where}: {name} holds {given!r}; allowed: one choice")
            row[name] = text_of(given[0])
            score = result.get("score", source.get("score"))
            if score is not None:
                row[f"{name}_confidence"] = text_of(score)
        yield where, row


def relabel(content: object, changes: Mapping[tuple[int, str], str]) -> None:
    """Put other classes in the place of some labels.

    Args:
        content: Tasks, as `labels` reads them; changed in place.
        changes: (task, counted from 0, and attribute) → class.
    """
    for (row, name), label in changes.items():
        source = _labelled(content[row], "")
        results = source.setdefault("result", [])
        own = next((r for r in _choices(source, "") if r.get("from_name") == name), None)
        if own is None:
            beside = next((r.get("to_name") for r in results if r.get("to_name")), PICTURE)
            own = {"from_name": name, "to_name": beside, "type": "choices", "value": {}}
            results.append(own)
        own["value"]["choices"] = [label]


def _tasks(content: object) -> list[dict]:
    if not isinstance(content, list) or not all(isinstance(t, dict) and "data" in t for t in content):
        raise MalformedError(
            " is no list of Label Studio tasks with annotations; export as “JSON”, not “JSON-MIN”"
        )
    return content


def _picture(data: dict) -> str:
    """The photograph's name as the task has it: what was written here, else the path in its address."""
    named = data.get("image_id") or data.get("image") or next(iter(data.values()), "")
    return text_of(named).partition("?d=")[2] or text_of(named)


def _labelled(task: dict, where: str) -> dict:
    """The prediction, or else the annotation, that holds a task's labels."""
    for key in ("predictions", "annotations"):
        sources = [s for s in mappings(task.get(key) or [], f"{where}: {key}") if not s.get("was_cancelled")]
        if len(sources) > 1:
            raise MalformedError(
                f", {where} has {len(sources)} {key}; allowed: one, the labels to be audited"
            )
        if sources:
            return sources[0]
    task["predictions"] = [{"result": []}]
    return task["predictions"][0]


def _choices(source: dict, where: str) -> list[dict]:
    """Those of its results that choose a class."""
    results = mappings(source.get("result") or [], f"{where}: result")
    return [
        r for r in results if isinstance(r.get("value"), dict) and isinstance(r["value"].get("choices"), list)
    ]


def _annotation(answer: dict, schema: Schema) -> dict[str, object]:
    kinds = dict.fromkeys(schema.names, ("choices", "choices")) | {NOTE: ("textarea", "text")}
    result = [
        {"id": name, "from_name": name, "to_name": PICTURE, "type": kind, "value": {key: [answer[name]]}}
        for name, (kind, key) in kinds.items()
        if answer[name]
    ]
    seconds = {"lead_time": float(answer["seconds"])} if answer["seconds"] else {}
    return {"annotator": answer["annotator"], "result": result, "was_cancelled": False, **seconds}


def _config(schema: Schema) -> str:
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name=PICTURE, value="$image", zoom="true")
    for attribute in schema:
        ElementTree.SubElement(view, "Header", value=attribute.name)
        options = {"name": attribute.name, "toName": PICTURE, "choice": "single-radio", "showInline": "true"}
        asked = ElementTree.SubElement(view, "Choices", options)
        for label in choices(attribute):
            ElementTree.SubElement(asked, "Choice", value=label)
    ElementTree.SubElement(
        view, "TextArea", name=NOTE, toName=PICTURE, placeholder="note", maxSubmissions="1"
    )
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _results(results: list[dict], schema: Schema, where: str) -> dict[str, str]:
    """An annotation's answers by attribute."""
    given: dict[str, str] = {}
    for result in results:
        name, value = result.get("from_name"), result.get("value")
        if name not in (*schema.names, NOTE):
            raise MalformedError(f", {where}: {name!r} was not asked; allowed: {', '.join(schema.names)}")
        texts = value.get("text" if name == NOTE else "choices") if isinstance(value, dict) else None
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise MalformedError(f", {where}: {name} holds {value!r}; allowed: one choice or text")
        if name in given or (name != NOTE and len(texts) != 1):
            raise MalformedError(f", {where}: {name} has {texts!r}; allowed: one choice")
        given[name] = "\n".join(texts)
    return given


def _user(annotation: dict) -> str:
    by = annotation.get("completed_by")
    if isinstance(by, dict):
        by = by.get("email") or by.get("id")
    own = annotation.get("annotator")
    return text_of(own) or (by if isinstance(by, str) else f"user {text_of(by)}".strip())


def _seconds(lead_time: object) -> str:
    number = isinstance(lead_time, int | float) and not isinstance(lead_time, bool)
    return f"{lead_time:.1f}" if number and 0 <= lead_time < LONGEST else ""
