"""A contact sheet: photographs and labels as one HTML file that opens with the network off, without script.

`Sheet` shows those that a labeller is least sure of, label by label: what it doubts is where a person's look
is worth most; its contents are the picker of attribute and label. `found_page` and `found_view` show what a
search has found.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from swatchbook.data.decoding import UnreadableError, decode, read_bytes, threads
from swatchbook.report.display import SWATCHES, View, words
from swatchbook.schema import Attribute, Schema

CARDS = 1000  # on a sheet: about 6 MB
HELD = 200  # of one label
SIDE = 160  # pixels of a small copy's longer side
_ABSTAINED = ""  # no class can be called so


class Sheet:
    """The least sure photographs of every attribute and label, kept as answers pass by.

    Memory holds `HELD` rows of each label, however many pass.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._kept = pd.DataFrame(columns=["attribute", "label", "confidence", "path"])
        self._counts: Counter[tuple[str, str]] = Counter()
        self._seen = 0

    def add(self, answers: pd.DataFrame) -> None:
        """Take note of some answers.

        Args:
            answers: ``path`` (below the folder), and for each attribute its label (null where there is none)
                and ``<attribute>_confidence`` in [0, 1]. Each photograph passes once.
        """
        self._seen += len(answers)
        for name in self._schema.names:
            label = answers[name].astype(object).where(answers[name].notna(), _ABSTAINED)
            self._counts.update((name, each) for each in label)
            sure = answers[f"{name}_confidence"].astype(float)
            more = pd.DataFrame(
                {"attribute": name, "label": label, "confidence": sure, "path": answers["path"]}
            )
            self._kept = more if self._kept.empty else pd.concat([self._kept, more])
        self._kept = _least_sure(self._kept, HELD)

    def page(self, folder: Path, facts: Mapping[str, str]) -> str:
        """The sheet as HTML.

        Args:
            folder: Where the photographs lie.
            facts: Name → value, shown under the title.

        Raises:
            ValueError: If no answer has passed.
        """
        if not self._seen:
            raise ValueError("a contact sheet of no photographs; at least one answer is needed")
        most = _share(list(self._counts.values()))
        shown = _least_sure(self._kept, most)
        small = _small_copies(folder, sorted(set(shown["path"])))
        rows = dict(iter(shown.groupby(["attribute", "label"], sort=False)))
        sections = [self._section(n, a, rows, small) for n, a in enumerate(self._schema, start=1)]
        cards = sum(len(group["cards"]) for section in sections for group in section["groups"])
        return _rendered(
            "contact_sheet",
            title=f"Contact sheet of {plain(Path(folder).absolute().name) or folder}",
            facts={"photographs": f"{self._seen:,}", **facts},
            sections=sections,
            most=most,
            whole=cards == self._seen * len(self._schema.names),
            abstained=any(not label for _, label in self._counts),
        )

    def _section(
        self,
        number: int,
        attribute: Attribute,
        rows: Mapping[tuple[str, str], pd.DataFrame],
        small: Mapping[str, Copy | None],
    ) -> dict:
        """One attribute: its labels in the schema's order, after the photographs that have none."""
        name, groups = attribute.name, []
        for place, label in enumerate((_ABSTAINED, *attribute.classes)):
            if (name, label) in rows:
                some = rows[name, label]
                groups.append(
                    {
                        "anchor": f"attribute-{number}-{place}",
                        "label": words(label) if label else "no label",
                        "swatch": SWATCHES.get(label)
                        if all(c in SWATCHES for c in attribute.classes)
                        else None,
                        "count": self._counts[name, label],
                        "cards": [
                            {
                                "name": plain(row.path),
                                "sure": f"{row.confidence:.2f}",
                                "picture": small[row.path],
                            }
                            for row in some.itertuples()
                        ],
                    }
                )
        absent = [words(label) for label in attribute.classes if (name, label) not in rows]
        return {"anchor": f"attribute-{number}", "name": words(name), "groups": groups, "absent": absent}


def found_page(found: pd.DataFrame, folder: Path, schema: Schema, facts: Mapping[str, str]) -> str:
    """What a search has found as HTML, the best first.

    Args:
        found: ``path`` (below the folder), ``score``, perhaps ``distance``, and labels and confidences.
        folder: Where the photographs lie.
        schema: Gives the attributes.
        facts: Name → value, shown under the title.
    """
    measure = "distance" if "distance" in found else "score"
    small = _small_copies(folder, found["path"].tolist())
    cards = [
        {
            "name": plain(row["path"]),
            "picture": small[row["path"]],
            "score": f"{row[measure]:.2f}",
            "labels": labels_in_words(row, schema.names),
        }
        for row in found.to_dict("records")
    ]
    return _rendered("found", title="What the search has found", facts=facts, found=cards, measure=measure)


def found_view(found: pd.DataFrame, folder: Path, attributes: Sequence[str] = ()) -> View:
    """What a search has found, in a row of pictures for a notebook; arguments as of `found_page`."""
    small = _small_copies(folder, found["path"].tolist())
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


def _rendered(template: str, **content: object) -> str:
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


def _least_sure(kept: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most so many rows of each attribute and label, the least sure first."""
    ordered = kept.sort_values(["confidence", "path"], kind="stable")
    return ordered.groupby(["attribute", "label"], sort=False).head(most)


def _share(counts: Sequence[int]) -> int:
    """How many of each label fit on a sheet: the most that keep it within `CARDS`, and at least one."""
    counts = np.asarray(counts)
    fits = [most for most in range(1, HELD + 1) if np.minimum(counts, most).sum() <= CARDS]
    return max(fits, default=1)


def _small_copies(folder: Path, paths: Sequence[str]) -> dict[str, Copy | None]:
    """Path → its small copy, or None where the file can no longer be read."""

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
