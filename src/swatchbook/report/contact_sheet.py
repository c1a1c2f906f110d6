"""A contact sheet: photographs and labels as one HTML file that opens with the network off.

`Sheet` shows a card a photograph with all its labels, to filter, sort and correct by keyboard; of a big
folder those that the labeller is least sure of, label by label. Corrections are saved as an audit's CSV file.
`found_page` and `found_view` show what a search has found, without script.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from swatchbook.data.decoding import UnreadableError, decode, read_bytes, threads
from swatchbook.report.display import View
from swatchbook.report.wording import SWATCHES, capital, words
from swatchbook.schema import Attribute, Schema

CARDS = 2000  # on a sheet: about 12 MB
HELD = 200  # of one label, once there are more photographs than fit
SIDE = 160  # pixels of a small copy's longer side
JUDGE = "someone who saw the labels"  # the annotator of corrections: they were not made blind


class Sheet:
    """A card for every photograph, or for the least sure of every label where there are more than `CARDS`.

    Memory holds `CARDS` photographs and `HELD` of each label, however many pass.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._columns = ["path", *(f"{name}{end}" for name in schema.names for end in ("", "_confidence"))]
        self._kept = pd.DataFrame(columns=self._columns)
        self._seen = 0

    def add(self, answers: pd.DataFrame) -> None:
        """Take note of some answers.

        Args:
            answers: ``path`` (below the folder), and for each attribute its label (null where there is none)
                and ``<attribute>_confidence`` in [0, 1]. Each photograph passes once.
        """
        self._seen += len(answers)
        more = answers[self._columns]
        self._kept = more if self._kept.empty else pd.concat([self._kept, more], ignore_index=True)
        if self._seen > CARDS:
            self._kept = self._kept[self._places() < HELD]

    def page(self, folder: Path, facts: Mapping[str, str], said: Mapping[str, str]) -> str:
        """The sheet as HTML.

        Args:
            folder: Where the photographs lie.
            facts: Name → value, shown under the title.
            said: Attribute → how right its labels are or, of one that the schema has not, why it is left out.

        Raises:
            ValueError: If no answer has passed.
        """
        if not self._seen:
            raise ValueError("a contact sheet of no photographs; at least one answer is needed")
        shown = self._kept
        if self._seen > CARDS:
            places = self._places()
            fits = [most for most in range(1, HELD + 1) if (places < most).sum() <= CARDS]
            shown = shown[places < max(fits, default=1)]
        work = self._work(shown.sort_values("path", kind="stable"), folder, said)
        script = _text("csv_io.js") + _text("report/templates/page/contact_sheet.js")
        assert "</" not in script, "would end the element that holds it"
        return rendered(
            "contact_sheet",
            title=f"Contact sheet of {plain(Path(folder).absolute().name) or folder}",
            facts={"photographs": f"{self._seen:,}", **facts},
            shown=len(shown),
            whole=len(shown) == self._seen,
            left_out={name: text for name, text in said.items() if name not in self._schema.names},
            script=Markup(script),
            fingerprint=_fingerprint(script),
            # No name of a file or class can end the element that holds it, or a line of a script.
            work=Markup(json.dumps(work).replace("<", "\\u003c")),
        )

    def _places(self) -> np.ndarray:
        """How many are less sure than a photograph among those of its label, where they are fewest."""
        kept, places = self._kept.reset_index(drop=True), []
        for name in self._schema.names:
            ordered = kept.sort_values([f"{name}_confidence", "path"], kind="stable")
            places.append(ordered.groupby(name, dropna=False, sort=False).cumcount().sort_index())
        return np.min(places, axis=0)

    def _work(self, shown: pd.DataFrame, folder: Path, said: Mapping[str, str]) -> dict[str, object]:
        """What the page's script reads: attributes and, photograph by photograph, codes and confidences."""
        small = small_copies(folder, shown["path"].tolist())
        codes = {a.name: pd.Index(a.classes).get_indexer(shown[a.name].astype(object)) for a in self._schema}
        sure = {n: shown[f"{n}_confidence"].astype(float).round(4).to_numpy() for n in self._schema.names}
        photographs = [
            {
                "name": path,
                "shown": plain(path),
                "picture": small[path],
                "labels": [int(codes[name][row]) for name in self._schema.names],
                "sure": [None if np.isnan(sure[n][row]) else float(sure[n][row]) for n in self._schema.names],
            }
            for row, path in enumerate(shown["path"])
        ]
        labels = [[each[key] for key in ("name", "labels", "sure")] for each in photographs]
        return {
            "id": hashlib.sha256(json.dumps(labels).encode()).hexdigest()[:16],
            "judge": JUDGE,
            "attributes": [_attribute(a, said.get(a.name, "")) for a in self._schema],
            "photographs": photographs,
        }


def _attribute(a: Attribute, said: str) -> dict[str, object]:
    coloured = all(label in SWATCHES for label in a.classes)
    return {
        "name": a.name,
        "called": capital(words(a.name)),
        "classes": list(a.classes),
        "words": [words(label) for label in a.classes],
        "swatches": [SWATCHES[label] for label in a.classes] if coloured else None,
        "said": said,
    }


def _text(place: str) -> str:
    """A file of the package."""
    return (resources.files("swatchbook") / place).read_text(encoding="utf-8")


def _fingerprint(script: str) -> str:
    """A script's hash as a page's security policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def found_page(found: pd.DataFrame, folder: Path, schema: Schema, facts: Mapping[str, str]) -> str:
    """What a search has found as HTML, the best first.

    Args:
        found: ``path`` (below the folder), ``score``, perhaps ``distance``, and labels and confidences.
        folder: Where the photographs lie.
        schema: Gives the attributes.
        facts: Name → value, shown under the title.
    """
    measure = "distance" if "distance" in found else "score"
    small = small_copies(folder, found["path"].tolist())
    cards = [
        {
            "name": plain(row["path"]),
            "picture": small[row["path"]],
            "score": f"{row[measure]:.2f}",
            "labels": labels_in_words(row, schema.names),
        }
        for row in found.to_dict("records")
    ]
    return rendered("found", title="What the search has found", facts=facts, found=cards, measure=measure)


def found_view(found: pd.DataFrame, folder: Path, attributes: Sequence[str] = ()) -> View:
    """What a search has found, in a row of pictures for a notebook; arguments as of `found_page`."""
    small = small_copies(folder, found["path"].tolist())
    cells = []
    for row in found.to_dict("records"):
        picture, name = "can no longer be read", escape(plain(row["path"]))
        if small[row["path"]]:
            uri, width, height = small[row["path"]]
            picture = f'<img src="{uri}" width="{width}" height="{height}" alt="Photograph {name}">'
        below = escape(f"{row['score']:.2f}: {labels_in_words(row, attributes)}")
        cells.append(f"<td>{picture}<br>{below}</td>")
    return View(f"<table><tr>{''.join(cells)}</tr></table>", found.to_string(index=False))


def labels_in_words(row: Mapping[str, object], attributes: Sequence[str]) -> str:
    """The labels of a photograph, those that it has, such as ``red, polka dot``."""
    return ", ".join(words(row[name]) for name in attributes if pd.notna(row[name]))


def rendered(template: str, **content: object) -> str:
    """A page of this room's templates, such as ``found``, with what it shows by name."""
    pages = Environment(
        loader=PackageLoader(__package__, "templates/page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return pages.get_template(f"{template}.html.j2").render(side=SIDE, **content)


Copy = tuple[str, int, int]  # a data URI, and its width and height in pixels


def plain(name: str) -> str:
    r"""A file's name with what cannot be seen written as its code, such as ``\n`` or ``\u202e``."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def small_copies(folder: Path, paths: Sequence[str]) -> dict[str, Copy | None]:
    """Path below the folder → its small copy, or None where the file can no longer be read."""

    def copied(path: str) -> Copy | None:
        try:
            image = decode(read_bytes(f"{folder}/{path}"), short_side=2 * SIDE)
        except UnreadableError:
            return None
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        image.save(file, "JPEG", quality=72, optimize=True)
        return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}", *image.size

    with threads() as pool:
        return dict(zip(paths, pool.map(copied, paths), strict=True))
