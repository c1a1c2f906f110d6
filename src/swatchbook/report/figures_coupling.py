"""Figures of coupling: V of every pair of attributes, and what models add to it."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from swatchbook.report.display import NOT_ESTIMABLE, estimate, number
from swatchbook.report.figures_parts import (
    beside,
    count_words,
    heat,
    interval_words,
    listing,
    models_in,
    only,
    or_one,
    rows_of,
)
from swatchbook.report.figures_rows import ROW, Group, ladder
from swatchbook.report.figures_style import (
    FAINT,
    INK,
    SILVER,
    SMALL,
    SOFT,
    TEXT,
    Look,
    looks,
    mark,
    not_here,
    sheet,
    words,
)
from swatchbook.schema import Schema

COUPLING = ["model", "a", "b", "rows", "statistic", "value", "low", "high", "n", "interval", "verdict"]
REFERENCE = "reference"
VERDICTS = (
    "Verdicts: equivalent, if the 90\u00a0% interval of the difference lies within the margin; "
    "different but within, if it does so but 0 is excluded; outside, if it lies beyond; else inconclusive."
)
ROOM_FOR_INTERVALS = 0.95  # inches


def coupling_matrix(table: pd.DataFrame, schema: Schema) -> tuple[Canvas, str, pd.DataFrame]:
    """V of all pairs as matrices: labels, predictions and their difference with its verdict."""
    rows = rows_of(table, COUPLING, rows="identical", statistic=["v_corrected", "delta_v_corrected"])
    models = models_in(rows, (REFERENCE,))
    look = looks(models)
    across = max(len(schema.names) - 1, 1)
    width = 2.9 / across
    height = max(min(width * 0.8, 0.8), 0.66)
    down = max(len(models), 1)
    canvas = sheet(
        down * (height * across + 0.75),
        _verdicts(rows, look, schema) or "Cramér's V of every pair of attributes",
        "Cramér's V, bias-corrected, on the images that have both silver labels"
        f" ({count_words(rows.loc[rows['a'] != 'all', 'n'])}).",
        interval_words(rows[rows["a"] != "all"], "Brackets"),
        VERDICTS if rows["verdict"].notna().any() else "",
    )
    panels = canvas.subplots(down, 3, squeeze=False)
    pairs = rows[rows["a"] != "all"]
    highest = pairs.loc[pairs["statistic"] == "v_corrected", "value"].max()
    furthest = pairs.loc[pairs["statistic"] == "delta_v_corrected", "value"].abs().max()
    level = (sns.color_palette("mako_r", as_cmap=True), Normalize(0, or_one(highest) * 1.8))
    change = (
        sns.color_palette("vlag", as_cmap=True),
        Normalize(-1.4 * or_one(furthest), 1.4 * or_one(furthest)),
    )
    brackets = width >= ROOM_FOR_INTERVALS
    for row, model in zip(panels, models or [None], strict=True):
        columns = [(REFERENCE, "v_corrected", "silver labels", level)]
        if model is not None:
            columns.append((model, "v_corrected", f"{look[model].name}", level))
            columns.append((model, "delta_v_corrected", f"{look[model].name} − silver labels", change))
        for k, axes in enumerate(row):
            if k >= len(columns):
                axes.set_axis_off()
                continue
            who, statistic, title, colours = columns[k]
            own = rows[(rows["model"] == who) & (rows["statistic"] == statistic)]
            _matrix(axes, own, schema, *colours, brackets=brackets, named=k == 0)
            mean = only(own, a="all")
            said = "" if mean is None else _mean(mean)
            axes.set_title(f"{title}\n", linespacing=1.3)
            axes.text(0, 1.02, said, transform=axes.transAxes, size=SMALL, color=SOFT, va="bottom")
    return canvas, _coupling_alt(rows, look, schema), rows


def _mean(row: pd.Series) -> str:
    signed = row["statistic"].startswith("delta")
    said = f"mean {estimate(row['value'], row['low'], row['high'], sign=signed)}"
    return f"{said}: {row['verdict']}" if signed and isinstance(row["verdict"], str) else said


def _matrix(
    axes: Axes,
    rows: pd.DataFrame,
    schema: Schema,
    colours: mpl.colors.Colormap,
    scale: Normalize,
    *,
    brackets: bool,
    named: bool,
) -> None:
    """The lower triangle of a symmetric matrix of pairs."""
    names = schema.names
    found = {(r["a"], r["b"]): r for _, r in rows.iterrows()}
    size = len(names) - 1

    def pair(i: int, j: int) -> pd.Series | None:
        return found.get((names[j], names[i + 1])) if j <= i else None

    def cell(i: int, j: int) -> Sequence[tuple[str, dict]]:
        row = pair(i, j)
        if row is None:
            return []
        if np.isnan(row["value"]):
            return [("not", {}), ("estimable", {})]
        signed = row["statistic"].startswith("delta")
        lines = [(number(row["value"], sign=signed, zero=False), {"size": TEXT + 1, "weight": "bold"})]
        if brackets and not np.isnan(row["low"]):
            ends = (number(row[end], zero=False) for end in ("low", "high"))
            lines.append((f"[{', '.join(ends)}]", {}))
        if signed and isinstance(row["verdict"], str):
            lines += [(part, {"style": "italic"}) for part in _in_two(row["verdict"])]
        return lines

    values = np.full((size, size), np.nan)
    for i in range(size):
        for j in range(i + 1):
            row = pair(i, j)
            values[i, j] = np.nan if row is None else row["value"]
    heat(axes, values, colours, scale, cell, blank=lambda i, j: j > i)
    axes.set_xticklabels(map(words, names[:-1]))
    axes.set_yticklabels(map(words, names[1:]) if named else [])


def _in_two(text: str) -> list[str]:
    """A verdict of several words in two lines."""
    first, _, rest = text.partition(" but ")
    return [first, f"but {rest}"] if rest else [text]


def _verdicts(rows: pd.DataFrame, look: dict[str, Look], schema: Schema) -> str:
    """A title from the verdicts on the mean over pairs."""
    said = []
    for model, one in look.items():
        row = only(rows, model=model, a="all", statistic="delta_v_corrected")
        if row is not None and not np.isnan(row["value"]):
            said.append(f"{one.name} by {number(row['value'], sign=True)} ({row['verdict']})")
    return (
        f"How much models change the mean coupling of {len(schema.pairs)} pairs: {listing(said)}"
        if said
        else ""
    )


def _coupling_alt(rows: pd.DataFrame, look: dict[str, Look], schema: Schema) -> str:
    said = []
    for model, one in {REFERENCE: looks([REFERENCE])[REFERENCE], **look}.items():
        mean = only(rows, model=model, a="all", statistic="v_corrected")
        own = rows[(rows["model"] == model) & (rows["statistic"] == "v_corrected") & (rows["a"] != "all")]
        own = own[own["value"].notna()]
        if mean is None or own.empty:
            said.append(f"{one.name} {NOT_ESTIMABLE}")
            continue
        top = own.loc[own["value"].idxmax()]
        said.append(
            f"{one.name} {number(mean['value'])} on average, most {number(top['value'])} "
            f"({words(top['a'])} and {words(top['b'])})"
        )
    return f"Bias-corrected Cramér's V of {len(schema.pairs)} pairs of attributes: {'; '.join(said)}."


def coupling_deltas(table: pd.DataFrame, schema: Schema) -> tuple[Canvas, str, pd.DataFrame]:
    """V of labels, predictions and independent errors on one line a pair; beside it ΔV with its verdict."""
    statistics = ["v_corrected", "v_ref_corrected", "delta_v_corrected", "delta_v_corrected_90"]
    rows = rows_of(table, COUPLING, rows="identical", statistic=statistics)
    margin = rows_of(table, COUPLING, statistic="margin")
    models = models_in(rows, (REFERENCE,))
    if not models:
        told = "No model was held against the labels."
        return not_here("What models add to coupling", told), told, rows
    look = looks(models)
    pairs = [*schema.pairs, ("all", "all")]
    groups = [
        Group(
            m,
            look[m].name,
            [((m, a, b), "mean over pairs" if a == "all" else f"{words(a)} × {words(b)}") for a, b in pairs],
        )
        for m in models
    ]
    entries = [
        ("silver labels", mark(Look("", SILVER, "D"), linestyle="")),
        *((look[m].name, mark(look[m], linestyle="")) for m in models),
        (
            "independent errors",
            Line2D([], [], color=INK, marker="x", markersize=7, linestyle="", markeredgewidth=1.6),
        ),
        *([("margin", Rectangle((0, 0), 1, 1, facecolor=FAINT))] if len(margin) else []),
    ]
    deltas = rows[rows["statistic"] == "delta_v_corrected"]
    canvas = sheet(
        0.9 + ROW * 1.05 * sum(len(g.rows) + 1.35 for g in groups),
        _excess_title(rows, look),
        f"Bias-corrected V on identical images ({count_words(deltas.loc[deltas['a'] != 'all', 'n'])}).",
        interval_words(rows[(rows["a"] != "all") & (rows["statistic"] != "delta_v_corrected_90")]),
        "Thick part of ΔV: the 90\u00a0% interval behind the verdict.",
        "Independent errors: V if each head erred as often as it does, but blindly to the other.",
        entries=entries,
    )
    left, right = canvas.subplots(1, 2, width_ratios=(1, 1))
    ys = ladder(left, groups)
    ladder(right, groups)
    right.set_yticklabels([])
    for (model, a, b), y in ys.of.items():
        _levels(left, rows, (model, a, b), y, look[model])
        _delta(right, rows, (model, a, b), y, look[model])
    left.set(xlim=(0, None), xlabel="Cramér's V")
    right.axvline(0, color=INK, linewidth=0.9)
    for half in margin["value"].dropna().unique()[:1]:
        right.axvspan(-half, half, color=FAINT, zorder=0)
    right.locator_params(axis="x", nbins=6)
    right.set_xlabel("ΔV = V of predictions − V of silver labels")
    said = [f"{look[m].name} {_said_delta(only(deltas, model=m, a='all'))}" for m in models]
    alt = (
        f"Change of bias-corrected Cramér's V, mean over pairs: {listing(said)}. {_excess_title(rows, look)}."
    )
    return canvas, alt, pd.concat([rows, margin.iloc[:1]], ignore_index=True)


def _said_delta(row: pd.Series | None) -> str:
    if row is None or np.isnan(row["value"]):
        return NOT_ESTIMABLE
    return f"{estimate(row['value'], row['low'], row['high'], sign=True)} ({row['verdict']})"


def _levels(axes: Axes, rows: pd.DataFrame, where: tuple[str, str, str], y: float, look: Look) -> None:
    model, a, b = where
    own = rows[(rows["a"] == a) & (rows["b"] == b)]
    labels = only(own, model=REFERENCE, statistic="v_corrected")
    predicted = only(own, model=model, statistic="v_corrected")
    blind = only(own, model=model, statistic="v_ref_corrected")
    shown = [row["value"] for row in (labels, predicted, blind) if row is not None]
    if shown and not np.isnan(shown).all():
        axes.plot([np.nanmin(shown), np.nanmax(shown)], [y, y], color="#cfc9bf", linewidth=1.4, zorder=1)
    for row, colour, marker, size in (
        (labels, SILVER, "D", 5.5),
        (predicted, look.colour, look.marker, 7),
        (blind, INK, "x", 6),
    ):
        if row is not None:
            axes.plot(
                [row["low"], row["high"]],
                [y, y],
                color=colour,
                linewidth=5,
                alpha=0.25,
                solid_capstyle="butt",
            )
            axes.plot(
                [row["value"]], [y], marker, color=colour, markersize=size, markeredgewidth=1.4, zorder=3
            )


def _delta(axes: Axes, rows: pd.DataFrame, where: tuple[str, str, str], y: float, look: Look) -> None:
    model, a, b = where
    own = rows[(rows["model"] == model) & (rows["a"] == a) & (rows["b"] == b)]
    wide, narrow = only(own, statistic="delta_v_corrected"), only(own, statistic="delta_v_corrected_90")
    if wide is None or np.isnan(wide["value"]):
        beside(axes, y, NOT_ESTIMABLE, color=SOFT)
        return
    axes.plot([wide["low"], wide["high"]], [y, y], color=look.colour, linewidth=1.3, solid_capstyle="butt")
    if narrow is not None:
        axes.plot(
            [narrow["low"], narrow["high"]], [y, y], color=look.colour, linewidth=4, solid_capstyle="butt"
        )
    axes.plot(
        [wide["value"]], [y], look.marker, color=look.colour, markersize=7, markeredgecolor="white", zorder=3
    )
    beside(axes, y, f"{number(wide['value'], sign=True)}  {wide['verdict']}")


def _excess_title(rows: pd.DataFrame, look: dict[str, Look]) -> str:
    """How far predictions lie above what independent errors would leave; the whole title."""
    said = []
    for model, one in look.items():
        own = rows[(rows["model"] == model) & (rows["a"] != "all")].set_index(["statistic", "a", "b"])[
            "value"
        ]
        if "v_ref_corrected" not in own.index.get_level_values(0):
            continue
        both = own["v_corrected"], own["v_ref_corrected"]
        known = (both[0].notna() & both[1].reindex(both[0].index).notna()).sum()
        above = (both[0] > both[1].reindex(both[0].index)).sum()
        said.append(f"{one.name} on {above} of {known}")
    if not said:
        return "What models add to coupling"
    return f"Pairs more coupled than independent errors would leave them: {listing(said)}"
