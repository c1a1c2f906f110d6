"""Tiles of the grids of images: a picture and, in few words, what is said of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from PIL import Image

from swatchbook.evaluation.grids import SILVER
from swatchbook.report.display import number
from swatchbook.report.figures_style import INK, PALETTE, SMALL, SOFT, SWATCHES, WIDTH, words
from swatchbook.schema import Attribute, Schema

#: Table, schema and the table's pictures, uint8 of shape (rows, S, S, 3) → drawing, alt text, drawn rows.
GridDrawer = Callable[[pd.DataFrame, Schema, np.ndarray], tuple[Canvas, str, pd.DataFrame]]

# A sign and a colour each, told apart without colour too.
RIGHT, WRONG, OPEN = ("✓", PALETTE[0]), ("✗", PALETTE[3]), ("–", SOFT)
LINE = 0.19  # inches a line of words
LONGEST = 17  # letters of a label


def board(canvas: Canvas) -> Axes:
    """Axes over the body of a sheet, measured in inches from its upper left corner."""
    _, low, _, tall = canvas.get_layout_engine().get()["rect"]
    canvas.set_layout_engine("none")
    canvas.suppressComposite = True  # otherwise an SVG holds one bitmap of the whole board
    axes = canvas.add_axes((0, low, 1, tall))
    axes.set_axis_off()
    axes.set(xlim=(0, WIDTH), ylim=(tall * canvas.get_size_inches()[1], 0))
    return axes


def picture(axes: Axes, pixels: np.ndarray, x: float, y: float, side: float, *, coarse: bool = False) -> None:
    """A square picture with its upper left corner at (x, y), `side` inches wide.

    A coarse one has 100 pixels an inch, as many as a report shows, and makes a file a few times smaller.
    """
    if coarse:
        size = round(100 * side)
        pixels = np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BOX))
    how = "nearest" if coarse else None
    axes.imshow(pixels, extent=(x, x + side, y + side, y), aspect="auto", interpolation=how)


def say(axes: Axes, x: float, y: float, text: str, **options: object) -> None:
    """Small words that begin at x, centred on y."""
    style = {"size": SMALL, "va": "center_baseline", "ha": "left", "color": INK} | options
    axes.text(x, y, text, **style)


def sign(axes: Axes, x: float, y: float, given: object, reference: object) -> None:
    """Whether a label is the reference's; a dash where either is missing."""
    text, colour = verdict(given, reference)
    say(axes, x, y, text, color=colour, weight="bold")


def verdict(given: object, reference: object) -> tuple[str, str]:
    """The sign of a label held against another, and its colour."""
    if pd.isna(given) or pd.isna(reference):
        return OPEN
    return RIGHT if given == reference else WRONG


def label(axes: Axes, x: float, y: float, attribute: Attribute, given: object, **options: object) -> None:
    """A label in words, with a patch of its colour where it names one; what is missing, as `missing`."""
    missing = options.pop("missing", "")
    if pd.isna(given):
        say(axes, x, y, str(missing), **{**options, "color": SOFT})
        return
    if all(one in SWATCHES for one in attribute.classes):
        axes.plot([x + 0.045], [y], "s", color=SWATCHES[given], markersize=6, markeredgecolor=SOFT,
                  markeredgewidth=0.6)  # fmt: skip
        x += 0.13
    # Bold letters are wider.
    say(axes, x, y, cut(words(given), LONGEST - 3 * (options.get("weight") == "bold")), **options)


def cut(text: str, longest: int) -> str:
    """A text that fits, shortened with an ellipsis where it has to be."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def sure(confidence: float) -> str:
    """A confidence with two decimals and no zero before the point; what would round to 1 is 1."""
    if np.isnan(confidence):
        return ""
    return "1" if confidence >= 0.995 else number(confidence, 2, zero=False)


def of_grid(table: pd.DataFrame, grid: str) -> pd.DataFrame:
    """The rows of one grid; their index says which picture of the table's is theirs."""
    return table.reset_index(drop=True).loc[lambda t: t["grid"] == grid]


def held_against(rows: pd.DataFrame) -> tuple[str, str]:
    """The suffix of the columns that labels are held against, and what these are, in words."""
    reference = str(rows["reference"].iloc[0])
    return ("silver", SILVER) if reference == SILVER else ("truth", reference)


def agreement(rows: pd.DataFrame, schema: Schema) -> tuple[int, int]:
    """How many of the shown answers are the reference's, and how many have a reference."""
    suffix, _ = held_against(rows)
    pairs = [(rows[f"{n}_predicted"], rows[f"{n}_{suffix}"]) for n in schema.names]
    known = sum(int((given.notna() & said.notna()).sum()) for given, said in pairs)
    return sum(int(((given == said) & said.notna()).sum()) for given, said in pairs), known
