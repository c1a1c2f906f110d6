"""The cells behind a pair's coupling: residuals of labels and predictions side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle

from swatchbook.report.display import NOT_ESTIMABLE, number
from swatchbook.report.figures_parts import count_words, heat, listing, models_in, or_one, rows_of
from swatchbook.report.figures_style import INK, TEXT, looks, not_here, sheet, words
from swatchbook.schema import Schema

CELLS = ["model", "a", "b", "class_a", "class_b", "count", "residual", "share", "n"]
PAIR = ("material", "texture")
DOMINATING = 3


def residuals(table: pd.DataFrame, schema: Schema) -> tuple[Canvas, str, pd.DataFrame]:
    """Adjusted residuals of material × texture (or the first pair) in labels and predictions."""
    pairs = list(table[["a", "b"]].drop_duplicates().itertuples(index=False, name=None))
    if not pairs:
        told = "There is no pair of attributes."
        return not_here("Which cells carry the coupling", told), told, rows_of(table, CELLS)
    a, b = PAIR if PAIR in pairs else pairs[0]
    rows = rows_of(table, CELLS, a=a, b=b)
    models = models_in(rows)
    look = looks(models)
    known = rows["residual"].abs()
    furthest = or_one(known[np.isfinite(known)].max())
    top = {m: _dominating(rows[rows["model"] == m]) for m in models}
    across, down = len(schema[b]), len(schema[a])
    most = _together(_top_words(top[models[0]].head(2)))
    canvas = sheet(
        down * 0.47 + 1.35,
        f"The cells that carry {words(a)} × {words(b)}: {most} of χ² in {look[models[0]].name}",
        f"Adjusted residuals (in standard deviations), counts below; {count_words(rows['n'])}.",
        f"Outlined: the {DOMINATING} cells with the largest shares of χ².",
    )
    panels = np.ravel(canvas.subplots(1, len(models), squeeze=False))
    for k, (axes, model) in enumerate(zip(panels, models, strict=True)):
        own = rows[rows["model"] == model].set_index(["class_a", "class_b"])
        own = own.reindex(pd.MultiIndex.from_product([schema[a].classes, schema[b].classes]))
        _residual_panel(axes, own, (down, across), furthest)
        axes.set_title(look[model].name)
        axes.set_xticklabels(map(words, schema[b].classes), rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticklabels(map(words, schema[a].classes) if k == 0 else [])
        for _, cell in top[model].iterrows():
            i, j = schema[a].classes.index(cell["class_a"]), schema[b].classes.index(cell["class_b"])
            axes.add_patch(
                Rectangle((j, i), 1, 1, fill=False, edgecolor=INK, linewidth=2.2, clip_on=False, zorder=5)
            )
    said = [f"{look[m].name}: {_top_words(cells)}" for m, cells in top.items()]
    return canvas, f"Cells with the largest shares of χ² of {words(a)} × {words(b)}. {'; '.join(said)}.", rows


def _dominating(rows: pd.DataFrame) -> pd.DataFrame:
    known = rows[rows["share"].notna()]
    return known.sort_values("share", ascending=False, kind="stable").head(DOMINATING)


def _top_words(cells: pd.DataFrame) -> str:
    said = [
        f"{words(r['class_a'])} + {words(r['class_b'])} {number(100 * r['share'], 0)}\u00a0%"
        for _, r in cells.iterrows()
    ]
    return listing(said) or NOT_ESTIMABLE


def _together(cells: str) -> str:
    """The names of a cell on one line of a title."""
    return " and ".join(cell.replace(" ", "\u00a0") for cell in cells.split(" and "))


def _residual_panel(axes: Axes, own: pd.DataFrame, shape: tuple[int, int], furthest: float) -> None:
    residual = own["residual"].astype(float).to_numpy().reshape(shape)
    count = own["count"].astype(float).to_numpy().reshape(shape)

    def cell(i: int, j: int) -> Sequence[tuple[str, dict]]:
        if np.isnan(count[i, j]):
            return []
        first = "–" if np.isnan(residual[i, j]) else number(residual[i, j], 1, sign=True)
        return [(first, {"size": TEXT}), (f"{count[i, j]:,.0f}", {})]

    heat(axes, residual, sns.color_palette("vlag", as_cmap=True), Normalize(-furthest, furthest), cell)
