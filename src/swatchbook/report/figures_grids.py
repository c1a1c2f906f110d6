"""The grids of images: what was predicted, the silver label and what is true, beside the picture."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from swatchbook.evaluation.grids import WINDOW
from swatchbook.report import plotting
from swatchbook.report.figure import PALETTE, SOFT, TEXT, WIDTH, Figure, empty_figure, sheet, styles_of
from swatchbook.report.tiles import (
    LINE,
    OPEN,
    RIGHT,
    WRONG,
    agreement,
    board,
    picture,
    reference_of,
    rows_of_grid,
    short_confidence,
    shortened,
    sign,
    signed_map,
    write,
    write_label,
    write_sign,
)
from swatchbook.report.wording import capital, joined, number, words
from swatchbook.schema import Schema

SIDE, GAP = 0.7, 0.16  # inches: a picture, and what lies between two
SILVER_AT, TRUTH_AT = 1.62, 3.0  # inches from the answers: the silver labels and what is true
TITLES = {
    "random": "drawn at random",
    "most_confident": "of which it is surest",
    "most_wrong": "with its surest mistakes",
    "abstained": "from which the labeller abstained",
}
THUMB = 1.0


def grid(table: pd.DataFrame, schema: Schema, pictures: np.ndarray, rule: str) -> Figure:
    """One grid: images in two columns, each with its labels.

    Args:
        table: From `grid_table`.
        schema: Gives attributes and classes.
        pictures: The table's pictures, uint8 of shape (rows, S, S, 3).
        rule: ``random``, ``most_confident``, ``most_wrong`` or ``abstained``.
    """
    rows = rows_of_grid(table, rule)
    if rows.empty:
        return empty_figure(
            f"Images {TITLES[rule]}", f"No image fits the rule of the grid “{words(rule)}”.", rows
        )
    suffix, reference = reference_of(rows)
    right, known = agreement(rows, schema)
    model = styles_of([rows["model"].iloc[0]])[rows["model"].iloc[0]].name
    tall = max(SIDE, 1.15 * LINE * len(schema.names)) + GAP
    which = "where it departs most surely" if (rule, suffix) == ("most_wrong", "silver") else TITLES[rule]
    title = f"{model} on {len(rows)} images {which}: {right} of {known} answers agree with the {reference}"
    drawing = sheet(
        0.3 + tall * -(-len(rows) // 2),
        title,
        f"The rule: {rows['rule'].iloc[0]}.",
        f"Lines: {joined([words(n) for n in schema.names])}, each with the model's confidence.",
        "Bold: the answer that put the image here." * (rule == "most_wrong"),
        key=_sign_key(reference),
    )
    axes = board(drawing)
    heads = [(0.0, "Predicted"), (SILVER_AT, "Silver label"), (TRUTH_AT, shortened(capital(reference), 13))]
    for x in (0.06, 0.06 + WIDTH / 2):
        for offset, head in heads[: 2 if suffix == "silver" else 3]:
            write(axes, x + SIDE + 0.09 + offset, 0.14, head, color=SOFT)
    for k, (index, row) in enumerate(rows.iterrows()):
        x, y = 0.06 + (k % 2) * WIDTH / 2, 0.3 + (k // 2) * tall
        picture(axes, pictures[index], x, y, SIDE)
        _write_labels(axes, x + SIDE + 0.09, y + SIDE / 2, row, schema, suffix)
    return Figure(drawing, f"{capital(title)}. {_first_image(rows, schema, suffix, reference)}", rows)


def _sign_key(reference: str) -> list[tuple[str, Line2D]]:
    meanings = {
        RIGHT: f"as the {reference}",
        WRONG: f"not as the {reference}",
        OPEN: "nothing to hold it against",
    }
    return [
        (f"{text}  {meaning}", Line2D([], [], color=colour, marker="s", linestyle="", markersize=6))
        for (text, colour), meaning in meanings.items()
    ]


def _write_labels(axes: Axes, x: float, middle: float, row: pd.Series, schema: Schema, suffix: str) -> None:
    for k, a in enumerate(schema):
        y = middle + (k - (len(schema.names) - 1) / 2) * LINE * 1.15
        predicted, silver, against = (row[f"{a.name}_{kind}"] for kind in ("predicted", "silver", suffix))
        write_sign(axes, x, y, predicted, against)
        write(axes, x + 0.12, y, short_confidence(row[f"{a.name}_confidence"]), color=SOFT)
        write_label(axes, x + 0.38, y, a, predicted, weight="bold" if row["head"] == a.name else "normal")
        if suffix == "silver":
            write_label(axes, x + SILVER_AT, y, a, silver, "abstained")
        else:
            write_sign(axes, x + SILVER_AT, y, silver, against)
            write_label(axes, x + SILVER_AT + 0.12, y, a, silver, "abstained")
            write_label(axes, x + TRUTH_AT, y, a, against, "not known")


def _first_image(rows: pd.DataFrame, schema: Schema, suffix: str, reference: str) -> str:
    """The first image in a sentence."""
    row, answers = rows.iloc[0], []
    for name in schema.names:
        known = row[f"{name}_{suffix}"]
        answer = f"{words(row[f'{name}_predicted'])} ({number(row[f'{name}_confidence'], 2)}"
        answers.append(f"{answer}; {reference}: {'not known' if pd.isna(known) else words(known)})")
    return f"The first image is predicted to be {joined(answers)}."


def grid_by_pair(table: pd.DataFrame, schema: Schema, pictures: np.ndarray) -> Figure:
    """A few images of every pair of classes that is predicted, three pairs in a row.

    Args:
        table: From `grid_table`.
        schema: Gives attributes and classes.
        pictures: The table's pictures, uint8 of shape (rows, S, S, 3).
    """
    rows = rows_of_grid(table, "by_pair")
    if rows.empty:
        return empty_figure("Images of every pair", "There is no pair of attributes.", rows)
    a, b = next(p for p in permutations(schema.names, 2) if " × ".join(p) == rows["head"].iloc[0])
    suffix, reference = reference_of(rows)
    cells = list(rows.groupby("cell", sort=False))
    tall = 0.26 + THUMB + 2 * LINE + GAP
    pairs = len(schema[a]) * len(schema[b])
    title = f"{len(cells)} of {pairs} pairs of {words(a)} and {words(b)} are predicted"
    drawing = sheet(
        tall * -(-len(cells) // 3),
        title,
        f"The rule: {rows['rule'].iloc[0]}.",
        f"Under each image, {words(a)}, then {words(b)}: the model's confidence if the {reference} agrees, "
        "and the right label if not.",
        "After each pair: how many test images were predicted to be of it.",
        key=_sign_key(reference),
    )
    axes = board(drawing)
    for k, (_, own) in enumerate(cells):
        x, y = 0.08 + (k % 3) * WIDTH / 3, (k // 3) * tall
        one, other = (capital(words(own[f"{n}_predicted"].iloc[0])) for n in (a, b))
        pair = f"{shortened(one, 16)} × {shortened(other[:1].lower() + other[1:], 18)}"
        write(axes, x, y + 0.12, f"{pair}  {own['cell_n'].iloc[0]:,.0f}", weight="bold")
        for j, (index, row) in enumerate(own.iterrows()):
            left = x + j * (THUMB + 0.08)
            picture(axes, pictures[index], left, y + 0.26, THUMB, coarse=True)
            for line, name in enumerate((a, b), start=1):
                level = y + 0.26 + THUMB + (line - 0.35) * LINE
                given, against = row[f"{name}_predicted"], row[f"{name}_{suffix}"]
                wrong = sign(given, against) == WRONG
                text = shortened(words(against), 12) if wrong else short_confidence(row[f"{name}_confidence"])
                write_sign(axes, left, level, given, against)
                write(axes, left + 0.14, level, text)
    most, own = max(cells, key=lambda cell: cell[1]["cell_n"].iloc[0])
    right = [
        f"{int((rows[f'{n}_predicted'] == rows[f'{n}_{suffix}']).sum())} of "
        f"{int(rows[f'{n}_{suffix}'].notna().sum())} answers on {words(n)}"
        for n in (a, b)
    ]
    alt = (
        f"{title}, most often {words(most)} ({own['cell_n'].iloc[0]:,.0f} times). Of the {len(rows)} images "
        f"shown, {joined(right)} agree with the {reference}."
    )
    return Figure(drawing, alt, rows)


def grid_occlusion(table: pd.DataFrame, schema: Schema, pictures: np.ndarray) -> Figure:
    """Where the answer to each attribute comes from: falls in probability over the image, a row an image.

    Args:
        table: From `occlusion_table`.
        schema: Gives attributes and classes.
        pictures: What the model saw, uint8 of shape (images, S, S, 3), in the order of ``place``.
    """
    rows = table.reset_index(drop=True)
    if rows.empty:
        return empty_figure("Where the answers come from", "No image was explained.", rows)
    places = list(rows["place"].unique())
    side = min(1.9, (WIDTH - 0.16) / (1 + len(schema.names)) - 0.12)
    tall, step = 0.28 + side + 0.12, side + 0.12
    most = plotting.positive_or_one(rows["value"].abs().max())
    top = rows.loc[rows["value"].idxmax()]
    title = (
        f"Covering one patch takes up to {number(top['value'], 2)} off the probability of "
        f"{words(top['predicted'])} ({words(top['head'])})"
    )
    cells = int(rows["cell_row"].max()) + 1
    drawing = sheet(
        0.26 + tall * len(places),
        title,
        f"A square of {WINDOW} × {WINDOW} of {cells} × {cells} cells is filled with the image's mean "
        "colour; a cell shows the mean fall of the answer's probability over the squares that cover it "
        "(Zeiler & Fergus, 2014).",
        f"The stronger the colour, the larger the change; full colour is {number(most, 2)}.",
        f"Above each map: the answer, held against the {rows['reference'].iloc[0]}, its probability, and the "
        "largest fall.",
        "The images are the first of the grid drawn at random.",
        key=[
            ("covering it lowers the probability", Patch(facecolor=PALETTE[3])),
            ("covering it raises the probability", Patch(facecolor=PALETTE[0])),
        ],
    )
    axes = board(drawing)
    for h, name in enumerate(("what the model saw", *schema.names)):
        write(axes, 0.08 + h * step, 0.12, shortened(capital(words(name)), 22), weight="bold", size=TEXT)
    for k, place in enumerate(places):
        y = 0.26 + k * tall
        picture(axes, pictures[k], 0.08, y + 0.28, side)
        for h, name in enumerate(schema.names, start=1):
            own = rows[(rows["place"] == place) & (rows["head"] == name)]
            _map(axes, own, pictures[k], 0.08 + h * step, y + 0.28, side, most)
    falls = rows.groupby("head", sort=False)["value"].max()
    texts = [f"{number(falls[name], 2)} for {words(name)}" for name in schema.names if name in falls]
    return Figure(drawing, f"{title}. On {len(places)} images the largest falls are {joined(texts)}.", rows)


def _map(
    axes: Axes, own: pd.DataFrame, seen: np.ndarray, x: float, y: float, side: float, most: float
) -> None:
    """One attribute's map over the image in grey."""
    first, cells = own.iloc[0], int(own["cell_row"].max()) + 1
    fall = np.zeros((cells, cells))
    fall[own["cell_row"], own["cell_column"]] = own["value"].fillna(0)
    signed_map(axes, fall, seen, x, y, side, most)
    write_sign(axes, x, y - 0.1, first["predicted"], first["reference_label"])
    largest = f"−{short_confidence(fall.max())}" if fall.max() >= 0.005 else "0"
    change = f"{short_confidence(first['probability'])} {largest}"
    longest = int((side - 0.15) / 0.075) - len(change) - 1
    write(axes, x + 0.15, y - 0.1, f"{shortened(words(first['predicted']), max(longest, 4))} {change}")
