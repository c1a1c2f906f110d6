"""Tiles of the grids of images: a picture and, in few words, what is predicted and known of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from PIL import Image

from swatchbook.evaluation.grids import SILVER
from swatchbook.report.figure import DPI, INK, PALETTE, SMALL, SOFT, WIDTH, Drawing
from swatchbook.report.wording import SWATCHES, number, words
from swatchbook.schema import Attribute, Schema

# A sign and a colour each, told apart without colour too.
RIGHT, WRONG, OPEN = ("✓", PALETTE[0]), ("✗", PALETTE[3]), ("–", SOFT)
LINE = 0.19  # inches a line of words
LONGEST = 17  # letters of a label
GREY = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601 luma


def board(drawing: Drawing) -> Axes:
    """Axes over the body of a sheet, measured in inches from its upper left corner."""
    _, low, _, tall = drawing.get_layout_engine().get()["rect"]
    drawing.set_layout_engine("none")
    axes = drawing.add_axes((0, low, 1, tall))
    axes.set_axis_off()
    axes.set(xlim=(0, WIDTH), ylim=(tall * drawing.get_size_inches()[1], 0))
    return axes


def picture(axes: Axes, pixels: np.ndarray, x: float, y: float, side: float, *, coarse: bool = False) -> None:
    """A square picture with its upper left corner at (x, y), `side` inches wide.

    A coarse one has half as many pixels an inch, as many as a report shows, in a file a few times smaller.
    """
    size = round(side * DPI / (2 if coarse else 1))
    if len(pixels) > size:
        pixels = np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BOX))
    smoothing = "nearest" if len(pixels) == size else None
    axes.imshow(pixels, extent=(x, x + side, y + side, y), aspect="auto", interpolation=smoothing)


def signed_map(
    axes: Axes, values: np.ndarray, seen: np.ndarray, x: float, y: float, side: float, most: float
) -> None:
    """A map over an image in grey, one colour above zero and one below, the stronger the further from it.

    Args:
        axes: As from `board`.
        values: Shape (rows, columns).
        seen: The image, uint8 of shape (S, S, 3).
        x: Left edge in inches.
        y: Upper edge.
        side: Width and height.
        most: The value that has full colour.
    """
    # Lightened, so that the colour of the map and not the image decides how strong it looks.
    grey = np.repeat((0.35 + 0.6 * (seen / 255) @ GREY)[:, :, None], 3, axis=2)
    axes.imshow(grey, extent=(x, x + side, y + side, y), aspect="auto")
    strength = 0.9 * np.clip(np.abs(values) / most, 0, 1)[:, :, None]
    hue = np.where(values[:, :, None] > 0, to_rgb(PALETTE[3]), to_rgb(PALETTE[0]))
    overlay = np.concatenate([hue, strength], axis=2)
    axes.imshow(overlay, extent=(x, x + side, y + side, y), aspect="auto", interpolation="nearest")


def write(axes: Axes, x: float, y: float, text: str, **options: object) -> None:
    """Small words that begin at x, centred on y."""
    axes.text(x, y, text, **{"size": SMALL, "va": "center_baseline", "ha": "left", "color": INK} | options)


def sign(given: object, reference: object) -> tuple[str, str]:
    """Whether a label is the reference's, as a sign and its colour; a dash where either is missing."""
    if pd.isna(given) or pd.isna(reference):
        return OPEN
    return RIGHT if given == reference else WRONG


def write_sign(axes: Axes, x: float, y: float, given: object, reference: object) -> None:
    """The sign of a label held against another."""
    text, colour = sign(given, reference)
    write(axes, x, y, text, color=colour, weight="bold")


def write_label(
    axes: Axes,
    x: float,
    y: float,
    attribute: Attribute,
    given: object,
    missing: str = "",
    weight: str = "normal",
) -> None:
    """A label in words, with a patch of its colour where it names one; what is missing, as `missing`."""
    if pd.isna(given):
        write(axes, x, y, missing, color=SOFT)
        return
    if all(one in SWATCHES for one in attribute.classes):
        square = {"markersize": 6, "markeredgecolor": SOFT, "markeredgewidth": 0.6}
        axes.plot([x + 0.045], [y], "s", color=SWATCHES[given], **square)
        x += 0.13
    write(
        axes, x, y, shortened(words(given), LONGEST - 3 * (weight == "bold")), weight=weight
    )  # bold is wider


def shortened(text: str, longest: int) -> str:
    """A text that fits, with an ellipsis where it has to be cut."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def short_confidence(confidence: float) -> str:
    """A confidence with two decimals and no zero before the point; what would round to 1 is 1."""
    if np.isnan(confidence):
        return ""
    return "1" if confidence >= 0.995 else number(confidence, 2, zero=False)


def rows_of_grid(table: pd.DataFrame, grid: str) -> pd.DataFrame:
    """The rows of one grid; their index says which picture of the table's is theirs."""
    return table.reset_index(drop=True).loc[lambda t: t["grid"] == grid]


def reference_of(rows: pd.DataFrame) -> tuple[str, str]:
    """The suffix of the columns that labels are held against, and what these are, in words."""
    reference = str(rows["reference"].iloc[0])
    return ("silver", SILVER) if reference == SILVER else ("truth", reference)


def agreement(rows: pd.DataFrame, schema: Schema) -> tuple[int, int]:
    """How many of the shown answers are the reference's, and how many have a reference."""
    suffix, _ = reference_of(rows)
    signs = [
        sign(*pair)
        for n in schema.names
        for pair in rows[[f"{n}_predicted", f"{n}_{suffix}"]].to_numpy(object)
    ]
    return signs.count(RIGHT), len(signs) - signs.count(OPEN)
