"""The audit inside a notebook: the page's own judge as a widget whose answers are a file after every key."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import anywidget
import pandas as pd
import traitlets

from swatchbook.atomic import write_file
from swatchbook.audit.answers import check_answers
from swatchbook.audit.columns import NAME_LENGTH, NOTE, RESERVED, answer_columns, choices
from swatchbook.audit.page import asset, picture, work_of
from swatchbook.csv_io import write_csv
from swatchbook.data.decoding import UnreadableError
from swatchbook.data.strict_csv import DataError
from swatchbook.schema import Schema
from swatchbook.store import StoreError


class AuditJudge(anywidget.AnyWidget):
    """Judge the images of a sample in Jupyter or Colab; every answer is on disk when its key is up.

    Show it as the last line of a cell. The keys are those of the page (``?`` lists them), once the widget
    has been clicked. Running the cell again, or on another day, goes on where it stopped.

    Args:
        sample: Columns as in ``audit/sample.csv``, a row an item in the order of asking.
        paths: Image id → file.
        schema: Gives attributes and classes; every attribute is asked.
        folder: Where ``answers-<annotator>.csv`` is kept, such as the run's ``audit/``; made if needed.
        annotator: Who judges: 1 to 40 letters, digits, spaces and ``. _ ' -``, a letter or digit first.
        title: What the audit is called.

    Attributes:
        path: The file of answers.

    Raises:
        ValueError: If the annotator's name is not allowed.
        DataError: If the sample is not one, an image has no file, or the file of answers that is there
            belongs to another sample or was damaged; it is left as it is.
    """

    _esm = asset("answers.js", "card.js", "judge.js", "widget.js")
    _css = asset("judge.css")
    work = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        sample: pd.DataFrame,
        paths: Mapping[str, str | Path],
        schema: Schema,
        folder: str | Path,
        annotator: str,
        *,
        title: str = "Audit",
    ) -> None:
        name = _name(annotator)
        work = work_of(sample, schema, title)
        missing = [image for image in work["names"] if image not in paths]
        if missing:
            raise DataError(f"paths: no file for image {missing[0]!r}; every image of the sample needs one")
        self._paths, self._annotator, self._schema = dict(paths), name, schema
        self.path = Path(folder) / answers_file(name)
        self._entries = [_entry([""] * len(schema.names), "", 0.0) for _ in work["names"]]
        if self.path.is_file():
            self._entries = _resumed(self.path, sample, schema, name)
        self._at = next((k for k, each in enumerate(self._entries) if "" in each["labels"]), len(sample))
        labels = self._entries[self._at]["labels"] if self._at < len(sample) else []
        self._active = labels.index("") if "" in labels else 0
        super().__init__(work=work)
        self.on_msg(self._on_message)

    @property
    def answers(self) -> pd.DataFrame:
        """What the file of answers holds, a row an item; blank is "not judged yet", seconds are numbers."""
        return self._table(self._entries)

    def _table(self, entries: list[dict]) -> pd.DataFrame:
        about = {"sample": self.work["sample"], "item": range(1, len(entries) + 1)}
        about |= {"image_id": self.work["names"], "annotator": self._annotator}
        labels = zip(*(each["labels"] for each in entries), strict=True)
        table = pd.DataFrame(about).assign(
            **dict(zip(self._schema.names, labels, strict=True)),
            note=[each["note"] for each in entries],
            seconds=[each["seconds"] for each in entries],
        )
        return table[list(answer_columns(self._schema))]

    def _on_message(self, _: object, message: Mapping[str, object], __: object) -> None:
        """Answer the view: its state, a picture, or that answers are saved."""
        kind = message.get("kind")
        if kind == "open":
            state = {"annotator": self._annotator, "at": self._at, "active": self._active}
            self.send({"kind": "state", "state": {**state, "entries": self._entries}})
        elif kind == "picture":
            self._show(message.get("k"))
        elif kind == "answers":
            revision = message.get("revision")
            try:
                self._save(message)
            except (ValueError, StoreError) as error:
                self.send({"kind": "failed", "revision": revision, "problem": str(error)})
            else:
                self.send({"kind": "saved", "revision": revision})

    def _show(self, k: object) -> None:
        try:
            name = self.work["names"][_place(k, len(self._entries))]
            data = picture(self._paths[name])
        except (UnreadableError, ValueError) as error:
            self.send({"kind": "picture", "k": k, "problem": str(error)})
        else:
            self.send({"kind": "picture", "k": k}, [data])

    def _save(self, message: Mapping[str, object]) -> None:
        """Check all the entries of a message, write the file, and only then hold them for true."""
        entries = list(self._entries)
        count = len(entries)
        for given in message.get("entries") or ():
            entries[_place(given["k"], count)] = _checked(self._schema, given)
        at = _place(message.get("at"), count + 1)
        active = _place(message.get("active"), len(self._schema.names))
        if entries != self._entries or not self.path.is_file():
            table = self._table(entries)
            write = {"float_format": "%.1f", "line_end": "\r\n"}  # RFC 4180, as the page saves it
            write_file(self.path, lambda partial: write_csv(table, partial, **write))
        self._entries, self._at, self._active = entries, at, active


def answers_file(annotator: str) -> str:
    """The name of a person's file of answers, ``answers-<annotator>.csv``, safe on every file system."""
    kept = "".join(c if _is_written(c) or c in "_-" else " " for c in annotator)
    return f"answers-{re.sub(' +', '-', kept)}.csv"


def _is_written(character: str) -> bool:
    """Whether it is a letter, a mark on one, or a digit, of any script."""
    return unicodedata.category(character)[0] in "LMN"


def _name(annotator: str) -> str:
    """The person's name as it stands in the file."""
    name = unicodedata.normalize("NFC", annotator).strip()
    fits = 1 <= len(name) <= NAME_LENGTH and all(_is_written(c) or c in " ._'-" for c in name)
    if not fits or name in RESERVED or unicodedata.category(name[0])[0] not in "LN":
        raise ValueError(
            f"annotator: received {annotator!r}; allowed: 1 to {NAME_LENGTH} letters, digits, spaces and "
            '. _ \' -, a letter or digit first; but not "all", which stands for everybody'
        )
    return name


def _entry(labels: list[str], note: str, seconds: float) -> dict[str, object]:
    return {"labels": labels, "note": note, "seconds": seconds}


def _place(k: object, end: int) -> int:
    if not isinstance(k, int) or isinstance(k, bool) or not 0 <= k < end:
        raise ValueError(f"position {k!r}; allowed: a whole number from 0 to {end - 1}")
    return k


def _checked(schema: Schema, given: Mapping[str, object]) -> dict[str, object]:
    """An entry as the view sent it, with only what may be there."""
    labels, note, seconds = (given.get(key) for key in ("labels", NOTE, "seconds"))
    if not isinstance(labels, list) or len(labels) != len(schema.names):
        raise ValueError(f"labels {labels!r}; allowed: one an attribute")
    for attribute, label in zip(schema, labels, strict=True):
        if label not in ("", *choices(attribute)):
            allowed = ", ".join(choices(attribute))
            raise ValueError(f"{attribute.name} {label!r}; allowed: {allowed}, or blank")
    if not isinstance(note, str):
        raise ValueError(f"note {note!r}; allowed: a text")
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"seconds {seconds!r}; allowed: a number from 0")
    return _entry(labels, note, float(seconds))


def _resumed(path: Path, sample: pd.DataFrame, schema: Schema, annotator: str) -> list[dict[str, object]]:
    """The entries of a file that this person left earlier, perhaps saved by the page.

    Raises:
        DataError: If the file is not theirs, or not of this sample and schema.
    """
    judged, problems = check_answers(path, sample, schema, blank=True)
    if judged is None:
        raise DataError("; ".join(problems[:3]))
    others = judged.loc[judged["annotator"] != annotator, "annotator"]
    if len(others):
        raise DataError(f"{path.name} is by the annotator {others.iloc[0]!r}; allowed: {annotator!r}")
    labels = judged[list(schema.names)].to_numpy().tolist()
    rows = zip(labels, judged[NOTE], judged["seconds"], strict=True)
    return [_entry(list(row), note, float(seconds or 0)) for row, note, seconds in rows]
