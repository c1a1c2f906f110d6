"""Confusion matrices: what each class of the reference is taken for, a panel a head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Canvas

from swatchbook.report.display import number
from swatchbook.report.figures_parts import heat, listing, rows_of
from swatchbook.report.figures_style import TEXT, WIDTH, looks, not_here, sheet, words
from swatchbook.schema import Attribute, Schema

COLUMNS = ["model", "head", "reference_class", "predicted_class", "count", "value", "n"]
CELL = 0.4  # inches: a cell's side
ROOM_FOR_COUNTS = 0.36  # inches: in smaller cells only the share is readable
LETTER = 0.066  # inches: a generous letter of the labels
HEAD = 0.34  # inches for a panel's title


def confusion(table: pd.DataFrame, schema: Schema, *, model: str) -> tuple[Canvas, str, pd.DataFrame]:
    """One model's confusion matrices."""
    rows = rows_of(table, COLUMNS, model=model)
    name = looks([model])[model].name
    if rows.empty:
        told = f"This run has no predictions of {name}."
        return not_here(f"What {name} takes each class for", told), told, rows
    columns = _columns(schema)
    fixed = sum(max(_left(a) for a in column) for column in columns) + 0.1
    side = min(CELL, (WIDTH - fixed) / sum(max(len(a) for a in column) for column in columns))
    worst = _worst(rows)
    canvas = sheet(
        max(sum(_height(a, side) for a in column) for column in columns),
        _title(name, worst),
        "A row is a class of the silver labels with its number of images; a cell is the share of them, in "
        "percent, that received the column's label"
        + (", and their count below." if side >= ROOM_FOR_COUNTS else "."),
        "Under 0.5\u00a0% nothing is written.",
    )
    _, low, _, tall = canvas.get_layout_engine().get()["rect"]
    canvas.set_layout_engine("none")
    width, height = canvas.get_size_inches()
    left = 0.0
    for column in columns:
        left += max(_left(a) for a in column)
        top = (low + tall) * height
        for a in column:
            size = len(a) * side
            place = (left / width, (top - HEAD - size) / height, size / width, size / height)
            _panel(canvas.add_axes(place), rows[rows["head"] == a.name], a, side)
            top -= _height(a, side)
        left += max(len(a) for a in column) * side
    said = [
        f"{words(c)} for {words(p)} in {number(100 * v, 0)} % of {int(n):,}" for _, c, p, v, n in worst[:3]
    ]
    right = [f"{words(a.name)} {number(100 * _right(rows, a.name), 1)} %" for a in schema]
    alt = f"Confusion matrices of {name}. Labels reproduced: {listing(right)}."
    return canvas, alt + (f" Most often mistaken: {listing(said)}." if said else ""), rows


def _left(attribute: Attribute) -> float:
    """Inches for the row labels of a panel."""
    return 0.15 + LETTER * (max(len(c) for c in attribute.classes) + 6)


def _foot(attribute: Attribute) -> float:
    """Inches for the slanting column labels of a panel."""
    return 0.25 + 0.71 * LETTER * max(len(c) for c in attribute.classes)


def _height(attribute: Attribute, side: float) -> float:
    """Inches that a panel takes with its title and labels."""
    return HEAD + len(attribute) * side + _foot(attribute)


def _columns(schema: Schema) -> list[list[Attribute]]:
    """Panels in two columns: each goes under the shorter one."""
    columns: list[list[Attribute]] = [[], []]
    for a in schema:
        heights = [sum(_height(b, CELL) for b in column) for column in columns]
        columns[heights[1] < heights[0]].append(a)
    return [column for column in columns if column]


def _panel(axes: Axes, rows: pd.DataFrame, attribute: Attribute, side: float) -> None:
    k = len(attribute)
    order = rows.set_index(["reference_class", "predicted_class"])
    order = order.reindex(pd.MultiIndex.from_product([attribute.classes, attribute.classes]))
    share = order["value"].to_numpy().reshape(k, k)
    count, n = (order[c].fillna(0).to_numpy().reshape(k, k) for c in ("count", "n"))

    def cell(i: int, j: int) -> Sequence[tuple[str, dict]]:
        if np.isnan(share[i, j]) or share[i, j] < 0.005:
            return []
        lines = [(f"{100 * share[i, j]:.0f}", {"size": TEXT, "weight": "bold" if i == j else "normal"})]
        return [*lines, (f"{count[i, j]:.0f}", {})] if side >= ROOM_FOR_COUNTS else lines

    heat(axes, share, sns.color_palette("mako_r", as_cmap=True), Normalize(0, 1), cell)
    axes.set_title(words(attribute.name))
    axes.set_yticklabels([f"{words(c)}  {int(n[i, 0]):,}" for i, c in enumerate(attribute.classes)])
    axes.set_xticklabels(map(words, attribute.classes), rotation=45, ha="right", rotation_mode="anchor")


def _worst(rows: pd.DataFrame) -> list[tuple[str, str, str, float, float]]:
    """Mistakes by their share of the reference class, largest first: head, class, taken for, share, n."""
    wrong = rows[(rows["reference_class"] != rows["predicted_class"]) & (rows["value"] > 0)]
    wrong = wrong.sort_values("value", ascending=False, kind="stable")
    names = ["head", "reference_class", "predicted_class", "value", "n"]
    return list(wrong[names].itertuples(index=False, name=None))


def _title(name: str, worst: list[tuple[str, str, str, float, float]]) -> str:
    if not worst:
        return f"What {name} takes each class for"
    _, label, taken, share, _ = worst[0]
    return (
        f"What {name} takes each class for: most often mistaken is {words(label)}, "
        f"for {words(taken)} ({number(100 * share, 0)}\u00a0%)"
    )


def _right(rows: pd.DataFrame, head: str) -> float:
    own = rows[rows["head"] == head]
    total = own["count"].sum()
    right = own.loc[own["reference_class"] == own["predicted_class"], "count"].sum()
    return right / total if total else np.nan
