"""The sheet that every figure is drawn on, its colours and fonts, and how a figure becomes files."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D

from swatchbook.csv_io import write_csv
from swatchbook.names import called
from swatchbook.report.display import NOTHING
from swatchbook.report.pictures import png
from swatchbook.report.wording import capital, words
from swatchbook.schema import Schema

WIDTH, DPI = 10.0, 200  # inches; the report shows the 2,000 pixels on 1,000, so that 9 pt are 12.5 px
TITLE, TEXT, SMALL = 13, 10, 9  # points
INK, SOFT, RULE, FAINT = "#22211f", "#5d5954", "#e3dfd8", "#efece7"
# Seaborn's palette for the colour-blind, without seaborn's imports.
PALETTE = (
    "#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#fbafe4", "#949494", "#ece133",
    "#56b4e9",
)  # fmt: skip
SILVER, AUDITED = "#3f3d3a", PALETTE[2]
BASELINES = ("majority", "fabric_folder")
RC = {
    "font.family": "DejaVu Sans",  # the one that matplotlib brings along
    "font.size": TEXT,
    "text.color": INK,
    "text.parse_math": False,  # a class may be called $x$
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT,
    "axes.titlesize": TEXT + 0.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": SOFT,
    "axes.unicode_minus": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.color": SOFT,
    "ytick.color": INK,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": TEXT,
    "ytick.major.size": 0,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": TEXT,
    "hatch.linewidth": 0.6,
    "path.simplify": False,
}


class Figure(NamedTuple):
    """A drawing, what it shows in sentences, and exactly the rows and columns that were drawn."""

    drawing: Drawing
    alt: str
    data: pd.DataFrame


class Drawer(Protocol):
    """Draws a figure from one table and computes nothing that the table should say.

    Some take more, by keyword: which model, who judged, the pictures that belong to the rows.
    """

    def __call__(self, table: pd.DataFrame, schema: Schema, **arguments: object) -> Figure:
        """Draw."""


class Style(NamedTuple):
    """How a model, or a kind of value, looks in every figure."""

    name: str
    colour: str
    marker: str


REFERENCE = Style("silver labels", SILVER, "D")
STYLES = {
    "dinov2": Style("DINOv2", PALETTE[0], "o"),
    "resnet50": Style("ResNet-50", PALETTE[1], "s"),
    "reference": REFERENCE,
    "silver": REFERENCE,
    "majority": Style("most frequent class", "#8a857e", "|"),
    "fabric_folder": Style("fabric folder alone", "#8a5a2b", "x"),
}
OTHERS = [(PALETTE[k], marker) for k, marker in ((4, "^"), (9, "v"), (3, "P"), (8, "h"), (6, "X"))]


def styles_of(models: Iterable[str]) -> dict[str, Style]:
    """Each model's style: fixed for the known ones, by order of appearance for others."""
    styles: dict[str, Style] = {}
    for model in models:
        others = sum(name not in STYLES for name in styles)
        styles[model] = STYLES.get(model) or Style(words(called(model)), *OTHERS[others % len(OTHERS)])
    return styles


def draw(
    drawer: Drawer, table: pd.DataFrame, schema: Schema, **arguments: object
) -> Iterator[tuple[str, Callable[[Path], object]]]:
    """Draw a figure and say how to write each of its files.

    Args:
        drawer: A function of this room.
        table: The table that the figure is drawn from.
        schema: Gives attributes, classes and their order.
        **arguments: What the drawer takes beside these.

    Yields:
        Suffix and a writer, called with a path: ``.png`` (2,000 pixels wide), ``.csv`` (the data behind the
        figure) and ``.txt`` (its alt text). The same table gives the same bytes.
    """
    with mpl.rc_context(RC):
        figure = drawer(table, schema, **arguments)
        picture = _picture(figure.drawing)
    yield ".png", lambda path: Path(path).write_bytes(picture)
    yield (
        ".csv",
        lambda path: write_csv(figure.data, path, float_format="%.10g", numbers_as_text=True),
    )
    yield ".txt", lambda path: Path(path).write_text(figure.alt + "\n", encoding="utf-8", newline="\n")


def _picture(drawing: Drawing) -> bytes:
    """The picture, laid out and drawn once; it says nothing of when and by which version it was made."""
    canvas = FigureCanvasAgg(drawing)
    canvas.draw()
    photographs = any(axes.images for axes in drawing.axes)
    return png(np.asarray(canvas.buffer_rgba()), DPI, photographs=photographs)


# ---- the sheet ----------------------------------------------------------------------------------------


def sheet(body: float, title: str, *notes: str, key: Sequence[tuple[str, Artist]] = ()) -> Drawing:
    """An empty figure of the common width: title and key above, what one must know below.

    Args:
        body: Inches for the drawing itself; the rest is added.
        title: What is seen, in words.
        *notes: Sentences; empty ones are left out.
        key: Words and a mark for each.
    """
    heading = _balanced(capital(title), 90)
    note = textwrap.wrap(" ".join(sentence for sentence in notes if sentence), 142)
    top = 0.14 + 0.235 * len(heading) + (0.3 if key else 0.06)
    bottom = 0.1 + 0.175 * len(note)
    height = top + body + bottom
    drawing = Drawing(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    drawing.get_layout_engine().set(
        rect=(0, bottom / height, 1, body / height), w_pad=0.08, h_pad=0.06, wspace=0.06, hspace=0.04
    )
    left = 0.08 / WIDTH
    drawing.text(
        left, 1 - 0.1 / height, "\n".join(heading), va="top", size=TITLE, weight="bold", linespacing=1.25
    )
    drawing.text(left, 0.07 / height, "\n".join(note), va="bottom", size=SMALL, color=SOFT, linespacing=1.35)
    if key:
        _draw_key(drawing, key, 1 - (top - 0.3) / height)
    return drawing


def _balanced(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters, none much shorter than the others; no number loses its %."""
    text = text.replace(" %", "\u00a0%")  # which textwrap does not part
    lines = len(textwrap.wrap(text, width))
    narrow = (
        w for w in range(len(text) // max(lines, 1) or 1, width) if len(textwrap.wrap(text, w)) <= lines
    )
    return [line.replace("\u00a0", " ") for line in textwrap.wrap(text, next(narrow, width))]


def _draw_key(drawing: Drawing, key: Sequence[tuple[str, Artist]], y: float) -> None:
    legend = drawing.legend(
        [mark for _, mark in key],
        ["·"] * len(key),
        loc="upper left",
        bbox_to_anchor=(0, y),
        ncols=len(key),
        handletextpad=0.5,
        columnspacing=1.6,
        borderpad=0.25,
        borderaxespad=0.2,
        handlelength=1.6,
    )
    legend.set_in_layout(False)
    for text, (words_of_mark, _) in zip(legend.get_texts(), key, strict=True):
        text.set_text(words_of_mark)  # set afterwards: a legend drops labels that begin with "_"


def key_mark(style: Style, **options: object) -> Line2D:
    """A style's mark with a piece of interval through it, for a sheet's key."""
    return Line2D(
        [], [], **{"color": style.colour, "marker": style.marker, "markersize": 7, "linewidth": 1.6} | options
    )


def empty_figure(title: str, reason: str, data: pd.DataFrame) -> Figure:
    """A figure that says what is missing, for tables without the rows that it needs."""
    drawing = sheet(1.2, title)
    axes = drawing.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, reason, ha="center", va="center", color=SOFT, size=TEXT + 1)
    return Figure(drawing, f"{NOTHING}{reason}", data)
