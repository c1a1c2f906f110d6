"""One look for all figures: colours, sizes, the parts that they share, and how they become files."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from swatchbook.names import called
from swatchbook.schema import Schema

#: Table and schema → the drawing, its alt text, and exactly the rows and columns that were drawn.
Drawer = Callable[[pd.DataFrame, Schema], tuple[Canvas, str, pd.DataFrame]]

WIDTH, DPI = 10.0, 200  # inches; the report shows the 2,000 pixels on 1,000, so that 9 pt are 12.5 px
TITLE, TEXT, SMALL = 13, 10, 9  # points
DARK = 0.21  # luminance below which white letters stand out more than INK
INK, SOFT, RULE, FAINT = "#22211f", "#5d5954", "#e3dfd8", "#efece7"
PALETTE = sns.color_palette("colorblind").as_hex()
SILVER, HUMAN = "#3f3d3a", PALETTE[2]
BASELINES = ("majority", "fabric_folder")
REFERENCES = ("reference", "silver")
KNOWN = {
    "dinov2": ("DINOv2", PALETTE[0], "o"),
    "resnet50": ("ResNet-50", PALETTE[1], "s"),
    "reference": ("silver labels", SILVER, "D"),
    "silver": ("silver labels", SILVER, "D"),
    "majority": ("most frequent class", "#8a857e", "|"),
    "fabric_folder": ("fabric folder alone", "#8a5a2b", "x"),
}
OTHERS = [(PALETTE[k], marker) for k, marker in ((4, "^"), (9, "v"), (3, "P"), (8, "h"), (6, "X"))]
SWATCHES = {
    "black": "#1d1d1f", "white": "#ffffff", "grey": "#9a9a98", "gray": "#9a9a98", "beige": "#d9c5a0",
    "brown": "#7a4e2d", "red": "#b3262e", "pink": "#e79db4", "orange": "#e07b28", "yellow": "#e8b931",
    "green": "#4c8a4a", "blue": "#3b74b8", "navy": "#1f2f5c", "purple": "#6d4a9c",
}  # fmt: skip
DIAMOND = {
    "marker": "D", "linestyle": "", "color": INK, "markerfacecolor": "white", "markersize": 4,
    "markeredgewidth": 0.9,
}  # fmt: skip
RC = {
    "font.family": "DejaVu Sans",
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
    "legend.frameon": False,
    "legend.fontsize": TEXT,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "swatchbook",  # otherwise every drawing gets new random ids
    "svg.fonttype": "path",  # letters as outlines look the same where DejaVu is not installed
    "path.simplify": False,
}


@dataclass(frozen=True)
class Look:
    """How a model appears in every figure: its name, colour and mark."""

    name: str
    colour: str
    marker: str


def draw(
    drawer: Drawer, table: pd.DataFrame, schema: Schema
) -> Iterator[tuple[str, Callable[[Path], object]]]:
    """Draw a figure and say how to write each of its files.

    Args:
        drawer: Table and schema → the drawing, its alt text and the data behind it.
        table: The table that the figure is drawn from.
        schema: Gives heads, classes and their order.

    Yields:
        Suffix and a writer, called with a path: ``.png`` (2,000 pixels wide), ``.svg``, ``.csv`` (the
        data behind the figure) and ``.txt`` (its alt text). The same table gives the same bytes.
    """
    with mpl.rc_context(RC):
        canvas, alt, data = drawer(table, schema)
    yield ".png", lambda path: _save(canvas, path, "png", {"Software": None})
    yield (
        ".svg",
        lambda path: _save(canvas, path, "svg", {"Date": None, "Creator": None, "Title": alt}),
    )
    yield ".csv", lambda path: data.to_csv(path, index=False, float_format="%.10g", lineterminator="\n")
    yield ".txt", lambda path: Path(path).write_text(alt + "\n", encoding="utf-8", newline="\n")


def _save(canvas: Canvas, path: Path, kind: str, metadata: Mapping[str, str | None]) -> None:
    with mpl.rc_context(RC):
        canvas.savefig(path, format=kind, dpi=DPI, metadata=dict(metadata))


# ---- the sheet ----------------------------------------------------------------------------------------


def sheet(
    body: float, title: str, *caption: str, entries: Sequence[tuple[str, Line2D | Rectangle]] = ()
) -> Canvas:
    """An empty figure of the common width: title and key above, what one must know below.

    Args:
        body: Inches for the drawing itself; the rest is added.
        title: What is seen, in words.
        *caption: Sentences; empty ones are left out.
        entries: The key: words and a mark for each.
    """
    heading = _balanced(title, 90)
    note = textwrap.wrap(" ".join(sentence for sentence in caption if sentence), 142)
    top = 0.14 + 0.235 * len(heading) + (0.3 if entries else 0.06)
    bottom = 0.1 + 0.175 * len(note)
    height = top + body + bottom
    canvas = Canvas(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(canvas)
    canvas.get_layout_engine().set(
        rect=(0, bottom / height, 1, body / height), w_pad=0.08, h_pad=0.06, wspace=0.06, hspace=0.04
    )
    left = 0.08 / WIDTH
    canvas.text(
        left, 1 - 0.1 / height, "\n".join(heading), va="top", size=TITLE, weight="bold", linespacing=1.25
    )
    canvas.text(left, 0.07 / height, "\n".join(note), va="bottom", size=SMALL, color=SOFT, linespacing=1.35)
    if entries:
        _key(canvas, entries, 1 - (top - 0.3) / height)
    return canvas


def _balanced(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters, none much shorter than the others."""
    lines = len(textwrap.wrap(text, width))
    narrow = next(
        (w for w in range(max(len(text) // max(lines, 1), 1), width) if _fits(text, w, lines)), width
    )
    return textwrap.wrap(text, narrow)


def _fits(text: str, width: int, lines: int) -> bool:
    return len(textwrap.wrap(text, width)) <= lines


def _key(canvas: Canvas, entries: Sequence[tuple[str, Line2D | Rectangle]], y: float) -> None:
    legend = canvas.legend(
        [handle for _, handle in entries],
        ["·"] * len(entries),
        loc="upper left",
        bbox_to_anchor=(0, y),
        ncols=len(entries),
        handletextpad=0.5,
        columnspacing=1.6,
        borderpad=0.25,
        borderaxespad=0.2,
        handlelength=1.6,
    )
    legend.set_in_layout(False)
    for text, (said, _) in zip(legend.get_texts(), entries, strict=True):
        text.set_text(said)  # set afterwards: a legend drops labels that begin with "_"


def mark(look: Look, **options: object) -> Line2D:
    """A model's mark with a piece of interval through it, for a sheet's key."""
    style = {"color": look.colour, "marker": look.marker, "markersize": 7, "linewidth": 1.6} | options
    return Line2D([], [], **style)


def not_here(title: str, what: str) -> Canvas:
    """A sheet that says what is missing, for tables without the rows that a figure needs."""
    canvas = sheet(1.2, title)
    axes = canvas.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, what, ha="center", va="center", color=SOFT, size=TEXT + 1)
    return canvas


def looks(models: Iterable[str]) -> dict[str, Look]:
    """Each model's look: fixed for the known ones, by order of appearance for others."""
    found, others = {}, 0
    for model in models:
        if model in KNOWN:
            found[model] = Look(*KNOWN[model])
        else:
            found[model] = Look(words(called(model)), *OTHERS[others % len(OTHERS)])
            others += 1
    return found


def words(name: str) -> str:
    """A class or attribute as it is read: without underscores."""
    return str(name).replace("_", " ").strip() or str(name)
