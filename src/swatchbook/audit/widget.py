"""The audit inside a notebook: the page's own judge as a widget whose answers are a file after every key."""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import anywidget
import pandas as pd
import traitlets

from swatchbook.audit.page import asset, picture, work_of
from swatchbook.audit.sample import guard, unguard
from swatchbook.data.decoding import UnreadableError
from swatchbook.data.strict_csv import DataError, read_csv
from swatchbook.schema import Schema
from swatchbook.store import Store, StoreError

NAME_LENGTH = 40
_ABOUT = 4  # sample, item, image_id and annotator stand before the attributes


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
        self._paths, self._annotator = dict(paths), name
        self.path = Path(folder) / answers_file(name)
        blank = [_entry([""] * len(work["attributes"]), "", 0.0) for _ in work["names"]]
        self._entries = _resumed(self.path, work, name) if self.path.is_file() else blank
        self._at = next((k for k, entry in enumerate(self._entries) if "" in entry["labels"]), len(blank))
        labels = self._entries[self._at]["labels"] if self._at < len(blank) else []
        self._active = labels.index("") if "" in labels else 0
        super().__init__(work=work)
        self.on_msg(self._hear)

    @property
    def answers(self) -> pd.DataFrame:
        """What the file of answers holds, a row an item; blank is "not judged yet", seconds are numbers."""
        rows = [_row(self.work, self._annotator, k, entry) for k, entry in enumerate(self._entries)]
        table = pd.DataFrame(rows, columns=self.work["columns"])
        names = [unguard(name) for name in table["image_id"]]
        notes = [entry["note"] for entry in self._entries]
        whole = table["item"].astype("int64")
        return table.assign(item=whole, image_id=names, note=notes, seconds=table["seconds"].astype(float))

    def _hear(self, _: object, message: Mapping[str, object], __: object) -> None:
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
                self._take(message)
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

    def _take(self, message: Mapping[str, object]) -> None:
        """Check all the entries of a message, write the file, and only then hold them for true."""
        entries = list(self._entries)
        count = len(entries)
        for given in message.get("entries") or ():
            entries[_place(given["k"], count)] = _checked(self.work, given)
        at = _place(message.get("at"), count + 1)
        active = _place(message.get("active"), len(self.work["attributes"]))
        if entries != self._entries or not self.path.is_file():
            _write(self.path, self.work, self._annotator, entries)
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
    if not fits or name == "all" or unicodedata.category(name[0])[0] not in "LN":
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


def _checked(work: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
    """An entry as the view sent it, with only what may be there."""
    labels, note, seconds = (given.get(key) for key in ("labels", "note", "seconds"))
    if not isinstance(labels, list) or len(labels) != len(work["attributes"]):
        raise ValueError(f"labels {labels!r}; allowed: one an attribute")
    for attribute, label in zip(work["attributes"], labels, strict=True):
        allowed = ("", *attribute["classes"], work["cannot_tell"], work["several"])
        if label not in allowed:
            raise ValueError(f"{attribute['name']} {label!r}; allowed: {', '.join(allowed[1:])}, or blank")
    if not isinstance(note, str):
        raise ValueError(f"note {note!r}; allowed: a text")
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"seconds {seconds!r}; allowed: a number from 0")
    return _entry(labels, note, float(seconds))


def _row(work: Mapping[str, object], annotator: str, k: int, entry: Mapping[str, object]) -> list[str]:
    name = guard(work["names"][k])
    about = [work["sample"], str(k + 1), name, annotator]
    return [*about, *entry["labels"], guard(entry["note"]), f"{entry['seconds']:.1f}"]


def _write(path: Path, work: Mapping[str, object], annotator: str, entries: list[dict[str, object]]) -> None:
    """The whole file, in RFC 4180, at once or not at all."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(work["columns"])
    writer.writerows(_row(work, annotator, k, entry) for k, entry in enumerate(entries))
    Store(path.parent).write(path.name, lambda partial: partial.write_bytes(text.getvalue().encode()))


def _resumed(path: Path, work: Mapping[str, object], annotator: str) -> list[dict[str, object]]:
    """The entries of a file that this person left earlier, perhaps saved by the page.

    Raises:
        DataError: If the file is not theirs, or not of this sample and schema.
    """
    rows = read_csv(path, tuple(work["columns"]))
    if list(rows) != work["columns"]:
        raise DataError(
            f"{path.name} has the columns {', '.join(rows)}; allowed: {', '.join(work['columns'])}"
        )
    entries = [_entry([""] * len(work["attributes"]), "", 0.0) for _ in work["names"]]
    seen: set[int] = set()
    for line, row in zip(rows.index, rows.itertuples(index=False, name=None), strict=True):
        try:
            k = _position(row, work, annotator)
            if k in seen:
                raise ValueError(f"item {k + 1} is there twice; allowed: once")
            given = {"labels": list(row[_ABOUT:-2]), "note": unguard(row[-2]), "seconds": float(row[-1] or 0)}
            entries[k] = _checked(work, given)
            seen.add(k)
        except ValueError as error:
            raise DataError(f"{path.name}, line {line}: {error}") from None
    return entries


def _position(row: tuple[str, ...], work: Mapping[str, object], annotator: str) -> int:
    sample, item, image, person = row[:_ABOUT]
    if sample != work["sample"]:
        raise ValueError(f"sample {sample!r}; allowed: {work['sample']!r}, the sample that is judged here")
    if person != annotator:
        raise ValueError(f"annotator {person!r}; allowed: {annotator!r}")
    k = _place(int(item) - 1 if item.isascii() and item.isdigit() else item, len(work["names"]))
    if unguard(image) != work["names"][k]:
        raise ValueError(f"image_id {image!r}; allowed: {work['names'][k]!r}, which item {item} shows")
    return k
