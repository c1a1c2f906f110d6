"""Confusion matrices: what each class of the reference is taken for, a panel an attribute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from swatchbook.report import plotting
from swatchbook.report.figure import TEXT, WIDTH, Drawing, Figure, empty_figure, sheet, styles_of
from swatchbook.report.wording import capital, joined, number, words
from swatchbook.schema import Attribute, Schema

COLUMNS = ["model", "head", "reference_class", "predicted_class", "count", "value", "n"]
CELL = 0.4  # inches: a cell's side
ROOM_FOR_COUNTS = 0.36  # inches: in smaller cells only the share is readable
LETTER = 0.066  # inches: a generous letter of the labels
HEAD = 0.34  # inches for a panel's title


def confusion(table: pd.DataFrame, schema: Schema, model: str) -> Figure:
    """One model's confusion matrices against the silver labels."""
    rows = plotting.select(table, COLUMNS, model=model)
    name = styles_of([model])[model].name
    title = f"What {name} takes each class for"
    if rows.empty:
        return empty_figure(title, f"This run has no predictions of {name}.", rows)
    worst = mistakes(rows, by="value")
    if worst:
        label, taken, _, share, _ = worst[0]
        title += (
            f": most often mistaken is {words(label)}, for {words(taken)} ({number(100 * share, 0)}\u00a0%)"
        )
    drawing = draw_matrices(rows, schema.attributes, title, "a class of the silver labels", "received")
    right = [f"{number(100 * _share_right(rows, a.name), 1)} % of those of {words(a.name)}" for a in schema]
    alt = f"Confusion matrices of {name}. Of the silver labels it gives back {joined(right)}."
    if worst:
        texts = [
            f"{words(label)} for {words(taken)} ({number(100 * share, 0)} % of {n:,.0f})"
            for label, taken, _, share, n in worst
        ]
        alt += f" It most often takes {joined(texts)}."
    return Figure(drawing, alt, rows)


def mistakes(rows: pd.DataFrame, by: str) -> list[tuple[str, str, float, float, float]]:
    """The three largest mistakes: class, what it is taken for, count, share of the class, size of the class.

    Args:
        rows: Counts and shares of confusion.
        by: ``count`` or ``value``, the share.
    """
    wrong = rows[(rows["reference_class"] != rows["predicted_class"]) & (rows[by] > 0)]
    order = list(dict.fromkeys((by, "value")))
    wrong = wrong.sort_values(order, ascending=False, kind="stable").head(3)
    columns = ["reference_class", "predicted_class", "count", "value", "n"]
    return list(wrong[columns].itertuples(index=False, name=None))


def _share_right(rows: pd.DataFrame, head: str) -> float:
    own = rows[rows["head"] == head]
    total = own["count"].sum()
    return (
        own.loc[own["reference_class"] == own["predicted_class"], "count"].sum() / total if total else np.nan
    )


def draw_matrices(
    rows: pd.DataFrame, attributes: Sequence[Attribute], title: str, reference: str, given: str
) -> Drawing:
    """A sheet with one matrix an attribute, in two columns.

    Args:
        rows: Counts and shares of confusion.
        attributes: Which matrices.
        title: Of the sheet.
        reference: What a row is.
        given: How an image came by the column's label.
    """
    columns = _columns(attributes)
    margins = sum(max(map(_left, column)) for column in columns) + 0.1
    side = min(CELL, (WIDTH - margins) / sum(max(map(len, column)) for column in columns))
    counts = ", and their count below" if side >= ROOM_FOR_COUNTS else ""
    drawing = sheet(
        max(sum(_height(a, side) for a in column) for column in columns),
        title,
        f"A row is {reference} with its number of images; a cell is the share of them, in percent, that "
        f"{given} the column's label{counts}.",
        "Under 0.5\u00a0% nothing is written.",
    )
    _, low, _, tall = drawing.get_layout_engine().get()["rect"]
    drawing.set_layout_engine("none")
    width, height = drawing.get_size_inches()
    left = 0.0
    for column in columns:
        left += max(map(_left, column))
        top = (low + tall) * height
        for a in column:
            size = len(a) * side
            place = (left / width, (top - HEAD - size) / height, size / width, size / height)
            _draw_matrix(drawing.add_axes(place), rows[rows["head"] == a.name], a, side)
            top -= _height(a, side)
        left += max(map(len, column)) * side
    return drawing


def _left(attribute: Attribute) -> float:
    """Inches for the row labels of a panel."""
    return 0.15 + LETTER * (max(map(len, attribute.classes)) + 6)


def _height(attribute: Attribute, side: float) -> float:
    """Inches that a panel takes with its title and its slanting column labels."""
    return HEAD + len(attribute) * side + 0.25 + 0.71 * LETTER * max(map(len, attribute.classes))


def _columns(attributes: Sequence[Attribute]) -> list[list[Attribute]]:
    """Panels in two columns: each goes under the shorter one."""
    columns: list[list[Attribute]] = [[], []]
    for a in attributes:
        heights = [sum(_height(b, CELL) for b in column) for column in columns]
        columns[heights[1] < heights[0]].append(a)
    return [column for column in columns if column]


def _draw_matrix(axes: Axes, rows: pd.DataFrame, attribute: Attribute, side: float) -> None:
    k, classes = len(attribute), attribute.classes
    order = rows.set_index(["reference_class", "predicted_class"])
    order = order.reindex(pd.MultiIndex.from_product([classes, classes]))
    share = order["value"].to_numpy().reshape(k, k)
    count, n = (order[column].fillna(0).to_numpy().reshape(k, k) for column in ("count", "n"))

    def cell(i: int, j: int) -> Sequence[tuple[str, dict]]:
        if np.isnan(share[i, j]) or share[i, j] < 0.005:
            return []
        lines = [(f"{100 * share[i, j]:.0f}", {"size": TEXT, "weight": "bold" if i == j else "normal"})]
        return [*lines, (f"{count[i, j]:.0f}", {})] if side >= ROOM_FOR_COUNTS else lines

    plotting.heat_map(axes, share, plotting.colour_map("mako_r"), Normalize(0, 1), cell)
    axes.set_title(capital(words(attribute.name)))
    axes.set_yticklabels([f"{words(c)}  {int(n[i, 0]):,}" for i, c in enumerate(classes)])
    axes.set_xticklabels(map(words, classes), rotation=45, ha="right", rotation_mode="anchor")
