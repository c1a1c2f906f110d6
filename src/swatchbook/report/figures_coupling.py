"""Figures of coupling: Cramér's V of every pair of attributes, what models add, and the cells behind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from swatchbook.evaluation.known import KNOWN
from swatchbook.report import plotting
from swatchbook.report.figure import (
    FAINT,
    INK,
    REFERENCE,
    SMALL,
    SOFT,
    TEXT,
    Figure,
    Style,
    empty_figure,
    key_mark,
    sheet,
    styles_of,
)
from swatchbook.report.wording import ABSENT, NOT_ESTIMABLE, capital, estimate, joined, number, words
from swatchbook.schema import Schema

COUPLING = ["model", "a", "b", "rows", "statistic", "value", "low", "high", "n", "interval", "verdict"]
CELLS = ["model", "a", "b", "class_a", "class_b", "count", "residual", "share", "n"]
LABELS = "reference"  # the rows of the silver labels
VERDICTS = (
    "Verdicts: equivalent, if the 90\u00a0% interval of the difference lies within the margin; "
    "different but within, if it does so but 0 is excluded; outside, if it lies beyond; else inconclusive."
)
ROOM_FOR_INTERVALS = 0.95  # inches
PAIR = ("material", "texture")
TRUE = plotting.KNOWN | {"marker": "+", "markersize": 9}  # errors made independently are the crosses here
OUTLINED = 3  # cells of the largest shares of χ²


def coupling_matrix(table: pd.DataFrame, schema: Schema) -> Figure:
    """V of all pairs as matrices: labels, predictions and their difference with its verdict."""
    rows = plotting.select(table, COUPLING, rows="identical", statistic=["v_corrected", "delta_v_corrected"])
    models = plotting.models_in(rows, (LABELS,))
    styles = styles_of(models)
    across = max(len(schema.names) - 1, 1)
    width = 2.9 / across
    height = max(min(width * 0.8, 0.8), 0.66)
    down = max(len(models), 1)
    pairs = rows[rows["a"] != "all"]
    drawing = sheet(
        down * (height * across + 0.75),
        _mean_title(rows, styles, schema) or "Cramér's V of every pair of attributes",
        f"Bias-corrected Cramér's V on images with both silver labels ({plotting.count_note(pairs['n'])}).",
        plotting.interval_note(pairs, "Brackets"),
        VERDICTS if rows["verdict"].notna().any() else "",
    )
    highest = pairs.loc[pairs["statistic"] == "v_corrected", "value"].max()
    furthest = 1.4 * plotting.positive_or_one(
        pairs.loc[pairs["statistic"] == "delta_v_corrected", "value"].abs().max()
    )
    level = (plotting.colour_map("mako_r"), Normalize(0, plotting.positive_or_one(highest) * 1.8))
    change = (plotting.colour_map("vlag"), Normalize(-furthest, furthest))
    for panels, model in zip(drawing.subplots(down, 3, squeeze=False), models or [None], strict=True):
        columns = [(LABELS, "v_corrected", "Silver labels", level)]
        if model is not None:
            name = capital(styles[model].name)
            columns.append((model, "v_corrected", name, level))
            columns.append((model, "delta_v_corrected", f"{name} − silver labels", change))
        for axes in panels[len(columns) :]:
            axes.set_axis_off()
        for axes, (who, statistic, title, colours) in zip(panels, columns, strict=False):
            own = rows[(rows["model"] == who) & (rows["statistic"] == statistic)]
            _matrix(axes, own, schema, *colours, brackets=width >= ROOM_FOR_INTERVALS, named=who == LABELS)
            axes.set_title(f"{title}\n", linespacing=1.3)
            mean = _mean_words(plotting.first_row(own, a="all"))
            axes.text(0, 1.02, mean, transform=axes.transAxes, size=SMALL, color=SOFT, va="bottom")
    return Figure(drawing, _matrix_alt(rows, styles, schema), rows)


def _mean_words(row: pd.Series | None) -> str:
    if row is None:
        return ""
    signed = row["statistic"].startswith("delta")
    mean = f"mean {estimate(row['value'], row['low'], row['high'], sign=signed)}"
    return f"{mean}: {row['verdict']}" if signed and isinstance(row["verdict"], str) else mean


def _matrix(
    axes: Axes,
    rows: pd.DataFrame,
    schema: Schema,
    colours: Colormap,
    scale: Normalize,
    *,
    brackets: bool,
    named: bool,
) -> None:
    """The lower triangle of a symmetric matrix of pairs."""
    names = schema.names
    by_pair = {(row["a"], row["b"]): row for row in rows.to_dict("records")}
    size = len(names) - 1

    def cell(i: int, j: int) -> Sequence[tuple[str, dict]]:
        row = by_pair.get((names[j], names[i + 1]))
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
            lines += [
                (part, {"style": "italic"}) for part in row["verdict"].replace(" but ", "\nbut ").split("\n")
            ]
        return lines

    values = np.full((size, size), np.nan)
    for i, j in zip(*np.tril_indices(size), strict=True):
        values[i, j] = by_pair.get((names[j], names[i + 1]), {}).get("value", np.nan)
    plotting.heat_map(axes, values, colours, scale, cell, blank=lambda i, j: j > i)
    axes.set_xticklabels([capital(words(name)) for name in names[:-1]])
    axes.set_yticklabels([capital(words(name)) for name in names[1:]] if named else [])


def _mean_title(rows: pd.DataFrame, styles: dict[str, Style], schema: Schema) -> str:
    """A title from the verdicts on the mean over pairs."""
    changes = []
    for model, style in styles.items():
        row = plotting.first_row(rows, model=model, a="all", statistic="delta_v_corrected")
        if row is not None and not np.isnan(row["value"]):
            changes.append(f"{style.name} by {number(row['value'], sign=True)} ({row['verdict']})")
    title = f"How much models change the mean coupling of {len(schema.pairs)} pairs"
    return f"{title}: {joined(changes)}" if changes else ""


def _matrix_alt(rows: pd.DataFrame, styles: dict[str, Style], schema: Schema) -> str:
    sentences = []
    for model, style in {LABELS: REFERENCE, **styles}.items():
        mean = plotting.first_row(rows, model=model, a="all", statistic="v_corrected")
        own = rows[(rows["model"] == model) & (rows["statistic"] == "v_corrected") & (rows["a"] != "all")]
        own = own[own["value"].notna()]
        if mean is None or own.empty:
            sentences.append(f"For {style.name} it is {NOT_ESTIMABLE}.")
            continue
        top = own.loc[own["value"].idxmax()]
        sentences.append(
            f"For {style.name} it is {number(mean['value'])} on average and largest between "
            f"{words(top['a'])} and {words(top['b'])} ({number(top['value'])})."
        )
    return f"Bias-corrected Cramér's V of {len(schema.pairs)} pairs of attributes. {' '.join(sentences)}"


def coupling_deltas(table: pd.DataFrame, schema: Schema) -> Figure:
    """V of labels, predictions and independent errors on one line a pair; beside it ΔV with its verdict."""
    statistics = ["v_corrected", "v_ref_corrected", "delta_v_corrected", "delta_v_corrected_90"]
    rows = plotting.select(table, COUPLING, rows="identical", statistic=statistics)
    margin = plotting.select(table, COUPLING, statistic="margin")
    known = plotting.select(table, COUPLING, rows="all", statistic="v_corrected", model=KNOWN)
    models = plotting.models_in(rows, (LABELS,))
    if not models:
        return empty_figure("What models add to coupling", "No model was held against the labels.", rows)
    styles = styles_of(models)
    groups = []
    for model in models:
        pairs = [((model, a, b), f"{capital(words(a))} × {words(b)}") for a, b in schema.pairs]
        groups.append(
            plotting.Group(
                model, capital(styles[model].name), [*pairs, ((model, "all", "all"), "Mean over pairs")]
            )
        )
    deltas = rows[rows["statistic"] == "delta_v_corrected"]
    title = _excess_title(rows, styles)
    cross = Line2D([], [], color=INK, marker="x", markersize=7, linestyle="", markeredgewidth=1.6)
    drawing = sheet(
        0.9 + plotting.ROW * 1.05 * sum(len(g.rows) + 1.35 for g in groups),
        title,
        f"Bias-corrected V on identical images ({plotting.count_note(deltas['n'][deltas['a'] != 'all'])}).",
        plotting.interval_note(rows[(rows["a"] != "all") & (rows["statistic"] != "delta_v_corrected_90")]),
        "Thick part of ΔV: the 90\u00a0% interval behind the verdict.",
        "Independent errors: V if each attribute were mistaken as often as it is, whatever the other.",
        key=[
            *((style.name, key_mark(style, linestyle="")) for style in (REFERENCE, *styles.values())),
            ("independent errors", cross),
            *([(KNOWN, Line2D([], [], **TRUE))] if len(known) else []),
            *([("margin", Patch(facecolor=FAINT))] if len(margin) else []),
        ],
    )
    left, right = drawing.subplots(1, 2, width_ratios=(1, 1))
    heights = plotting.set_rows(left, groups).rows
    plotting.set_rows(right, groups)
    right.set_yticklabels([])
    for model, style in styles.items():
        index = pd.MultiIndex.from_tuples([key[1:] for key in heights if key[0] == model])
        y = [height for key, height in heights.items() if key[0] == model]
        by_pair = {
            (who, statistic): own.set_index(["a", "b"]).reindex(index)
            for (who, statistic), own in rows.groupby(["model", "statistic"])
        }
        _level_marks(left, by_pair, model, y, style)
        if len(known):
            left.plot(known.set_index(["a", "b"])["value"].reindex(index), y, **TRUE, zorder=5)
        _delta_marks(right, by_pair, model, y, style)
    left.set(xlim=(0, None), xlabel="Cramér's V")
    right.axvline(0, color=INK, linewidth=0.9)
    for half in margin["value"].dropna().unique()[:1]:
        right.axvspan(-half, half, color=FAINT, zorder=0)
    right.locator_params(axis="x", nbins=6)
    right.set_xlabel("ΔV = V of predictions − V of silver labels")
    means = [
        f"{_delta_words(plotting.first_row(deltas, model=m, a='all'))} for {styles[m].name}" for m in models
    ]
    alt = f"Bias-corrected Cramér's V changes, on average over pairs, by {joined(means)}. {capital(title)}."
    return Figure(drawing, alt, pd.concat([rows, known, margin.iloc[:1]], ignore_index=True))


def _delta_words(row: pd.Series | None) -> str:
    if row is None or np.isnan(row["value"]):
        return f"an amount that is {NOT_ESTIMABLE}"
    return f"{estimate(row['value'], row['low'], row['high'], sign=True)} ({row['verdict']})"


def _level_marks(axes: Axes, by_pair: dict, model: str, y: list[float], style: Style) -> None:
    """V of labels, predictions and independent errors, joined by a line."""
    independent = Style("", INK, "x")
    sources = [(LABELS, "v_corrected", REFERENCE, 5.5), (model, "v_corrected", style, 7)]
    sources.append((model, "v_ref_corrected", independent, 6))
    shown = [
        (by_pair[who, statistic], *look) for who, statistic, *look in sources if (who, statistic) in by_pair
    ]
    values = np.array([own["value"].to_numpy(float) for own, *_ in shown])
    known = ~np.isnan(values).all(axis=0)
    ends = [function(values[:, known], axis=0) for function in (np.nanmin, np.nanmax)]
    axes.hlines(np.array(y)[known], *ends, color="#cfc9bf", linewidth=1.4, zorder=1)
    for own, look, size in shown:
        axes.hlines(y, own["low"], own["high"], color=look.colour, linewidth=5, alpha=0.25)
        axes.plot(
            own["value"], y, look.marker, color=look.colour, markersize=size, markeredgewidth=1.4, zorder=3
        )


def _delta_marks(axes: Axes, by_pair: dict, model: str, y: list[float], style: Style) -> None:
    """ΔV with both intervals, and its verdict in words."""
    wide, narrow = (by_pair.get((model, name)) for name in ("delta_v_corrected", "delta_v_corrected_90"))
    if wide is None:
        for height in y:
            plotting.label_right(axes, height, NOT_ESTIMABLE, color=SOFT)
        return
    axes.hlines(y, wide["low"], wide["high"], color=style.colour, linewidth=1.3)
    if narrow is not None:
        axes.hlines(y, narrow["low"], narrow["high"], color=style.colour, linewidth=4)
    mark = {"color": style.colour, "markersize": 7, "markeredgecolor": "white", "zorder": 3}
    axes.plot(wide["value"], y, style.marker, **mark)
    for height, value, verdict in zip(y, wide["value"], wide["verdict"], strict=True):
        if np.isnan(value):
            plotting.label_right(axes, height, NOT_ESTIMABLE, color=SOFT)
        else:
            plotting.label_right(axes, height, f"{number(value, sign=True)}  {verdict}")


def _excess_title(rows: pd.DataFrame, styles: dict[str, Style]) -> str:
    """How far predictions lie above what independent errors would leave; the whole title."""
    counts = []
    for model, style in styles.items():
        own = rows[(rows["model"] == model) & (rows["a"] != "all")].set_index(["statistic", "a", "b"])[
            "value"
        ]
        if "v_ref_corrected" not in own.index.get_level_values(0):
            continue
        excess = (own["v_corrected"] - own["v_ref_corrected"]).dropna()
        counts.append(f"{style.name} on {(excess > 0).sum()} of {len(excess)}")
    if not counts:
        return "What models add to coupling"
    return f"Pairs more coupled than independent errors would leave them: {joined(counts)}"


def residuals(table: pd.DataFrame, schema: Schema) -> Figure:
    """Adjusted residuals of material × texture (or the first pair) in labels and predictions."""
    pairs = list(table[["a", "b"]].drop_duplicates().itertuples(index=False, name=None))
    if not pairs:
        empty = plotting.select(table, CELLS)
        return empty_figure("Which cells carry the coupling", "There is no pair of attributes.", empty)
    a, b = PAIR if PAIR in pairs else pairs[0]
    rows = plotting.select(table, CELLS, a=a, b=b)
    models = plotting.models_in(rows)
    styles = styles_of(models)
    known = rows["residual"].abs()
    furthest = plotting.positive_or_one(known[np.isfinite(known)].max())
    top = {model: _largest_shares(rows[rows["model"] == model]) for model in models}
    largest = _cell_words(top[models[0]].head(2), unbroken=True)
    drawing = sheet(
        len(schema[a]) * 0.47 + 1.35,
        f"The cells that carry {words(a)} × {words(b)}: {largest} of χ² in {styles[models[0]].name}",
        f"Adjusted residuals (in standard deviations), counts below; {plotting.count_note(rows['n'])}.",
        f"Outlined: the {OUTLINED} cells with the largest shares of χ².",
    )
    panels = np.ravel(drawing.subplots(1, len(models), squeeze=False))
    cells = pd.MultiIndex.from_product([schema[a].classes, schema[b].classes])
    for axes, model in zip(panels, models, strict=True):
        own = rows[rows["model"] == model].set_index(["class_a", "class_b"]).reindex(cells)
        _residual_map(axes, own, (len(schema[a]), len(schema[b])), furthest)
        axes.set_title(capital(styles[model].name))
        axes.set_xticklabels(map(words, schema[b].classes), rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticklabels(map(words, schema[a].classes) if model == models[0] else [])
        for one, other in top[model][["class_a", "class_b"]].to_numpy():
            corner = schema[b].classes.index(other), schema[a].classes.index(one)
            outline = {"fill": False, "edgecolor": INK, "linewidth": 2.2, "clip_on": False, "zorder": 5}
            axes.add_patch(Rectangle(corner, 1, 1, **outline))
    sentences = [f"In {styles[model].name} they are {_cell_words(own)}." for model, own in top.items()]
    alt = f"The cells with the largest shares of χ² of {words(a)} × {words(b)}. {' '.join(sentences)}"
    return Figure(drawing, alt, rows)


def _largest_shares(rows: pd.DataFrame) -> pd.DataFrame:
    known = rows[rows["share"].notna()]
    return known.sort_values("share", ascending=False, kind="stable").head(OUTLINED)


def _cell_words(cells: pd.DataFrame, *, unbroken: bool = False) -> str:
    """Cells and their shares; unbroken ones stay on one line of a title."""
    texts = [
        f"{words(one)} + {words(other)} ({number(100 * share, 0)}\u00a0%)"
        for one, other, share in cells[["class_a", "class_b", "share"]].to_numpy()
    ]
    return joined([text.replace(" ", "\u00a0") if unbroken else text for text in texts]) or NOT_ESTIMABLE


def _residual_map(axes: Axes, own: pd.DataFrame, shape: tuple[int, int], furthest: float) -> None:
    residual, count = (
        own[column].astype(float).to_numpy().reshape(shape) for column in ("residual", "count")
    )

    def cell(i: int, j: int) -> Sequence[tuple[str, dict]]:
        if np.isnan(count[i, j]):
            return []
        first = ABSENT if np.isnan(residual[i, j]) else number(residual[i, j], 1, sign=True)
        return [(first, {"size": TEXT}), (f"{count[i, j]:,.0f}", {})]

    plotting.heat_map(axes, residual, plotting.colour_map("vlag"), Normalize(-furthest, furthest), cell)
