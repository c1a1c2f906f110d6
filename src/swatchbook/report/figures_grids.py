"""The grids of images: what was predicted, what the labeller said, and what is true, beside the picture."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from swatchbook.evaluation.grids import WINDOW
from swatchbook.report.display import number
from swatchbook.report.figures_parts import listing, or_one
from swatchbook.report.figures_style import PALETTE, SOFT, TEXT, WIDTH, looks, not_here, sheet, words
from swatchbook.report.grids import (
    LINE,
    OPEN,
    RIGHT,
    WRONG,
    agreement,
    board,
    cut,
    held_against,
    label,
    of_grid,
    picture,
    say,
    sign,
    sure,
    verdict,
)
from swatchbook.schema import Schema

SIDE, GAP = 0.96, 0.16  # inches: a picture, and what lies between two
TITLES = {
    "random": "drawn at random",
    "most_confident": "of which it is surest",
    "most_wrong": "with its surest mistakes",
    "abstained": "from which the labeller abstained",
}
THUMB = 1.0
GREY = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601 luma


def grid(
    table: pd.DataFrame, schema: Schema, pictures: np.ndarray, *, rule: str
) -> tuple[Canvas, str, pd.DataFrame]:
    """One grid: images in two columns, each with the answers about it; ``rule`` is a key of `TITLES`."""
    name = rule
    rows = of_grid(table, name)
    if rows.empty:
        told = f"No image fits the rule of the grid “{words(name)}”."
        return not_here(f"Images {TITLES[name]}", told), told, rows
    suffix, reference = held_against(rows)
    right, known = agreement(rows, schema)
    model = looks([rows["model"].iloc[0]])[rows["model"].iloc[0]].name
    tall = max(SIDE, LINE * len(schema.names)) + GAP
    down = -(-len(rows) // 2)
    what = "where it departs most surely" if (name, suffix) == ("most_wrong", "silver") else TITLES[name]
    title = f"{model} on {len(rows)} images {what}: {right} of {known} answers agree with the {reference}"
    title = title[:1].upper() + title[1:]
    canvas = sheet(
        0.3 + tall * down,
        title,
        f"The rule: {rows['rule'].iloc[0]}.",
        f"Lines: {listing([words(n) for n in schema.names])}, each with the model's confidence.",
        "Bold: the answer that put the image here." * (name == "most_wrong"),
        entries=_signs(reference),
    )
    axes = board(canvas)
    for k, (index, row) in enumerate(rows.iterrows()):
        x, y = 0.06 + (k % 2) * WIDTH / 2, 0.3 + (k // 2) * tall
        picture(axes, pictures[index], x, y, SIDE)
        _said(axes, x + SIDE + 0.09, y, row, schema, suffix)
    for x in (0.06, 0.06 + WIDTH / 2):
        for offset, head in _heads(suffix, reference):
            say(axes, x + SIDE + 0.09 + offset, 0.14, head, color=SOFT)
    alt = f"{title}. {_first_words(rows, schema, suffix, reference)}"
    return canvas, alt, rows


def _signs(reference: str) -> list[tuple[str, Line2D]]:
    said = {
        RIGHT: f"as the {reference}",
        WRONG: f"not as the {reference}",
        OPEN: "nothing to hold it against",
    }
    return [
        (f"{mark}  {text}", Line2D([], [], color=colour, marker="s", linestyle="", markersize=6))
        for (mark, colour), text in said.items()
    ]


def _heads(suffix: str, reference: str) -> list[tuple[float, str]]:
    """The columns beside a picture: inches from their left end, and their names."""
    columns = [(0.0, "predicted"), (1.53, "silver label")]
    return columns if suffix == "silver" else [*columns, (2.8, cut(reference, 13))]


def _said(axes: Axes, x: float, y: float, row: pd.Series, schema: Schema, suffix: str) -> None:
    for k, a in enumerate(schema):
        at = y + SIDE / 2 + (k - (len(schema.names) - 1) / 2) * LINE * 1.15
        predicted, silver, against = (row[f"{a.name}_{kind}"] for kind in ("predicted", "silver", suffix))
        weight = "bold" if row["head"] == a.name else "normal"
        sign(axes, x, at, predicted, against)
        say(axes, x + 0.13, at, sure(row[f"{a.name}_confidence"]), color=SOFT)
        label(axes, x + 0.4, at, a, predicted, weight=weight)
        if suffix != "silver":
            sign(axes, x + 1.53, at, silver, against)
            label(axes, x + 2.8, at, a, against, missing="not known")
        label(axes, x + 1.53 + 0.13 * (suffix != "silver"), at, a, silver, missing="abstained")


def _first_words(rows: pd.DataFrame, schema: Schema, suffix: str, reference: str) -> str:
    """The first image in words."""
    row = rows.iloc[0]
    said = [
        f"{words(n)} {words(row[f'{n}_predicted'])} ({number(row[f'{n}_confidence'], 2)}; the {reference}: "
        f"{'nothing' if pd.isna(row[f'{n}_{suffix}']) else words(row[f'{n}_{suffix}'])})"
        for n in schema.names
    ]
    return f"The first image: {'; '.join(said)}."


def grid_by_pair(
    table: pd.DataFrame, schema: Schema, pictures: np.ndarray
) -> tuple[Canvas, str, pd.DataFrame]:
    """A few images of every pair of classes that is predicted, three pairs in a row."""
    rows = of_grid(table, "by_pair")
    if rows.empty:
        told = "There is no pair of attributes."
        return not_here("Images of every pair", told), told, rows
    a, b = next(p for p in permutations(schema.names, 2) if " × ".join(p) == rows["head"].iloc[0])
    suffix, reference = held_against(rows)
    cells = list(rows.groupby("cell", sort=False))
    tall = 0.26 + THUMB + 2 * LINE + GAP
    title = (
        f"{len(cells)} of {len(schema[a]) * len(schema[b])} pairs of {words(a)} and {words(b)} are predicted"
    )
    canvas = sheet(
        tall * -(-len(cells) // 3),
        title,
        f"The rule: {rows['rule'].iloc[0]}.",
        f"Under each image, {words(a)}, then {words(b)}: the model's confidence if the {reference} agrees, "
        f"and what the {reference} says if not.",
        "After each pair: how many test images were predicted to be of it.",
        entries=_signs(reference),
    )
    axes = board(canvas)
    for k, (_, own) in enumerate(cells):
        x, y = 0.08 + (k % 3) * WIDTH / 3, (k // 3) * tall
        one, other = (own[f"{n}_predicted"].iloc[0] for n in (a, b))
        pair = f"{cut(words(one), 16)} × {cut(words(other), 18)}"
        say(axes, x, y + 0.12, f"{pair}  {own['cell_n'].iloc[0]:,.0f}", weight="bold")
        for j, (index, row) in enumerate(own.iterrows()):
            left = x + j * (THUMB + 0.08)
            picture(axes, pictures[index], left, y + 0.26, THUMB, coarse=True)
            for line, name in enumerate((a, b), start=1):
                at = y + 0.26 + THUMB + (line - 0.35) * LINE
                given, against = row[f"{name}_predicted"], row[f"{name}_{suffix}"]
                sign(axes, left, at, given, against)
                wrong = verdict(given, against) == WRONG
                text = cut(words(against), 13) if wrong else sure(row[f"{name}_confidence"])
                say(axes, left + 0.15, at, text)
    most = max(cells, key=lambda cell: cell[1]["cell_n"].iloc[0])
    right = [
        f"{int((rows[f'{n}_predicted'] == rows[f'{n}_{suffix}']).sum())} of "
        f"{int(rows[f'{n}_{suffix}'].notna().sum())} answers on {words(n)}"
        for n in (a, b)
    ]
    alt = (
        f"{title}; most often {words(most[0])}, {most[1]['cell_n'].iloc[0]:,.0f} times. Of {len(rows)} "
        f"images shown, {listing(right)} agree with the {reference}."
    )
    return canvas, alt, rows


def grid_occlusion(
    table: pd.DataFrame, schema: Schema, pictures: np.ndarray
) -> tuple[Canvas, str, pd.DataFrame]:
    """Where each head finds its answer: falls in probability over the image, a row an image.

    The table is that of `occlusion_table`; the pictures are what the model saw, in the order of ``place``.
    """
    rows = table.reset_index(drop=True)
    if rows.empty:
        return (
            not_here("Where the answers come from", "No image was explained."),
            "No image was explained.",
            rows,
        )
    places = list(rows["place"].unique())
    reference = str(rows["reference"].iloc[0])
    side = min(1.9, (WIDTH - 0.16) / (1 + len(schema.names)) - 0.12)
    tall = 0.28 + side + 0.12
    most = or_one(rows["value"].abs().max())
    top = rows.loc[rows["value"].idxmax()]
    title = (
        f"Covering one patch takes up to {number(top['value'], 2)} off the probability of "
        f"{words(top['predicted'])} ({words(top['head'])})"
    )
    cells = int(rows["cell_row"].max()) + 1
    canvas = sheet(
        0.26 + tall * len(places),
        title,
        f"A square of {WINDOW} × {WINDOW} of {cells} × {cells} cells is filled with the image's mean "
        "colour; a cell shows the mean fall of the answer's probability over the squares that cover it "
        "(Zeiler & Fergus, 2014).",
        f"The stronger the colour, the larger the change; full colour is {number(most, 2)}.",
        f"Above each map: the answer, held against the {reference}, its probability, and the largest fall.",
        "The images are the first of the grid drawn at random.",
        entries=[
            ("covering it lowers the probability", Line2D([], [], color=PALETTE[3], linewidth=7)),
            ("covering it raises the probability", Line2D([], [], color=PALETTE[0], linewidth=7)),
        ],
    )
    axes = board(canvas)
    step = side + 0.12
    for h, name in enumerate(("what the model saw", *schema.names)):
        say(axes, 0.08 + h * step, 0.12, cut(words(name), 22), weight="bold", size=TEXT)
    for k, place in enumerate(places):
        y = 0.26 + k * tall
        seen = pictures[k]
        picture(axes, seen, 0.08, y + 0.28, side)
        for h, name in enumerate(schema.names, start=1):
            own = rows[(rows["place"] == place) & (rows["head"] == name)]
            _map(axes, own, seen, 0.08 + h * step, y + 0.28, side, most)
    said = rows.groupby("head", sort=False)["value"].max()
    told = [f"{words(name)} {number(said[name], 2)}" for name in schema.names if name in said]
    return canvas, f"{title}. Largest falls on {len(places)} images: {listing(told)}.", rows


def _map(
    axes: Axes, own: pd.DataFrame, seen: np.ndarray, x: float, y: float, side: float, most: float
) -> None:
    """One head's map over the image in grey."""
    first, cells = own.iloc[0], int(own["cell_row"].max()) + 1
    fall = np.zeros((cells, cells))
    fall[own["cell_row"], own["cell_column"]] = own["value"].fillna(0)
    # Lightened, so that the colour of the map and not the image decides how strong it looks.
    grey = np.repeat((0.35 + 0.6 * (seen / 255) @ GREY)[:, :, None], 3, axis=2)
    axes.imshow(grey, extent=(x, x + side, y + side, y), aspect="auto")
    strength = 0.9 * np.clip(np.abs(fall) / most, 0, 1)[:, :, None]
    hue = np.where(fall[:, :, None] > 0, to_rgb(PALETTE[3]), to_rgb(PALETTE[0]))
    over = np.concatenate([hue, strength], axis=2)
    axes.imshow(over, extent=(x, x + side, y + side, y), aspect="auto",
                interpolation="nearest")  # fmt: skip
    sign(axes, x, y - 0.1, first["predicted"], first["reference_label"])
    change = f"{sure(first['probability'])} −{sure(max(fall.max(), 0.0))}"
    longest = int((side - 0.15) / 0.075) - len(change) - 1
    say(axes, x + 0.15, y - 0.1, f"{cut(words(first['predicted']), max(longest, 4))} {change}")
