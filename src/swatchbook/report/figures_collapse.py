"""Figures of prior collapse, and of coupling against which images are kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from swatchbook.report import plotting
from swatchbook.report.figure import (
    INK,
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
from swatchbook.report.wording import NOT_ESTIMABLE, capital, estimate, joined, number, words
from swatchbook.schema import Schema

COLLAPSE = ["model", "head", "class", "statistic", "value", "low", "high", "n", "interval"]
SELECTION = [
    "model", "a", "b", "keep", "threshold", "coverage", "statistic", "value", "low", "high", "n", "interval",
]  # fmt: skip
LABELS = "reference"  # the rows of the silver labels
RATIOS = (1 / 8, 1 / 4, 1 / 2, 1 / 1.5, 1 / 1.25, 1, 1.25, 1.5, 2, 4, 8)


def prior_collapse(table: pd.DataFrame, schema: Schema) -> Figure:
    """Predicted against true share of every class, as signed log ratios; effective classes by attribute."""
    rows = plotting.select(
        table, COLLAPSE, statistic=["log_ratio", "effective_classes", "effective_classes_change"]
    )
    models = plotting.models_in(rows, (LABELS,))
    if not models:
        return empty_figure("What models predict too often", "No model was held against the labels.", rows)
    styles = styles_of(models)
    ratios = rows[rows["statistic"] == "log_ratio"]
    columns = plotting.two_columns([plotting.class_group(a) for a in schema])
    height = plotting.max_rows(columns)
    below = 1.0 + len(schema.names) + 1
    drawing = sheet(
        0.7 + plotting.ROW * (height + below),
        _extreme_title(ratios, styles),
        plotting.interval_note(ratios),
        "Effective classes: e to the entropy, the number of equally common classes that would vary as much.",
        key=[(style.name, key_mark(style)) for style in styles.values()],
    )
    reach = np.nanmax([*ratios[["low", "high", "value"]].abs().to_numpy().ravel(), np.log(1.25)]) * 1.05
    ticks = [r for r in RATIOS if abs(np.log(r)) <= reach]
    ticks = ticks if len(ticks) <= 7 else [r for r in ticks if r in (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)]
    top, bottom = drawing.subfigures(2, 1, height_ratios=(height + 2, below))
    _effective_classes(bottom.subplots(), rows, schema, styles)
    for axes, groups in zip(np.ravel(top.subplots(1, len(columns))), columns, strict=True):
        heights = plotting.set_rows(axes, groups, height).rows
        axes.axvline(0, color=INK, linewidth=0.9)
        _ratio_bars(axes, ratios, heights, styles)
        axes.set(xlim=(-reach, reach), xlabel="Predicted share ÷ share of the silver labels")
        axes.set_xticks(np.log(ticks), [f"×{r:.2f}".rstrip("0").rstrip(".") for r in ticks])
    sentences = []
    for model, style in styles.items():
        own = ratios[(ratios["model"] == model) & ratios["value"].notna()]
        if own.empty:
            sentences.append(f"For {style.name} it is {NOT_ESTIMABLE}.")
            continue
        most, least = own.loc[own["value"].idxmax()], own.loc[own["value"].idxmin()]
        sentences.append(f"{capital(style.name)} ranges from {_ratio(least)} to {_ratio(most)}.")
    alt = f"How often each class is predicted, as a multiple of its silver labels. {' '.join(sentences)}"
    return Figure(drawing, alt, rows)


def _ratio_bars(axes: Axes, ratios: pd.DataFrame, heights: dict, styles: dict[str, Style]) -> None:
    index, thick = pd.MultiIndex.from_tuples(heights), 0.8 / len(styles)
    for k, (model, style) in enumerate(styles.items()):
        own = ratios[ratios["model"] == model].set_index(["head", "class"]).reindex(index)
        y = np.array(list(heights.values())) + (k - (len(styles) - 1) / 2) * thick
        axes.barh(y, own["value"].fillna(0), height=0.9 * thick, color=style.colour, alpha=0.45, linewidth=0)
        axes.hlines(y, own["low"], own["high"], color=style.colour, linewidth=1.5)
        axes.plot(own["value"], y, style.marker, color=style.colour, markersize=4, zorder=3)
        missing = y[own["value"].isna().to_numpy()]
        axes.plot(
            0 * missing, missing, style.marker, color=style.colour, markerfacecolor="white", markersize=5
        )
        for height in missing:
            plotting.label_right(axes, height, NOT_ESTIMABLE, color=SOFT)


def _ratio(row: pd.Series) -> str:
    return f"×{number(np.exp(row['value']), 2)} ({words(row['class'])})"


def _extreme_title(ratios: pd.DataFrame, styles: dict[str, Style]) -> str:
    extremes = []
    for model, style in styles.items():
        own = ratios[(ratios["model"] == model) & ratios["value"].notna()]
        if len(own):
            extremes.append(f"{style.name} {_ratio(own.loc[own['value'].abs().idxmax()])}")
    title = "Predicted too often or too seldom, at the extreme"
    return f"{title}: {joined(extremes)}" if extremes else "How often models predict each class"


def _effective_classes(axes: Axes, rows: pd.DataFrame, schema: Schema, styles: dict[str, Style]) -> None:
    """Effective classes of the labels and of each model with the paired change, a line an attribute."""
    heads = [*schema.names, "all"]
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(len(heads) + 0.4, -0.5))
    columns = np.linspace(0.3, 1.0, len(styles) + 1)[:-1]
    style = {"va": "center_baseline", "size": SMALL}
    axes.text(0.0, 0, "Effective classes", **style | {"size": TEXT, "weight": "bold"})
    axes.text(0.27, 0, "Silver labels", ha="right", **style)
    for x, one in zip(columns, styles.values(), strict=True):
        axes.text(x, 0, f"{capital(one.name)} (change)", **style)
    for y, head in enumerate(heads, start=1):
        digits = 0 if head == "all" else 2
        own = rows[rows["head"] == head]
        labels = plotting.first_row(own, model=LABELS, statistic="effective_classes")
        axes.text(0.0, y, "All attributes combined" if head == "all" else capital(words(head)), **style)
        ours = NOT_ESTIMABLE if labels is None else number(labels["value"], digits)
        axes.text(0.27, y, ours, ha="right", **style)
        for x, model in zip(columns, styles, strict=True):
            mine = plotting.first_row(own, model=model, statistic="effective_classes")
            change = plotting.first_row(own, model=model, statistic="effective_classes_change")
            if mine is None or change is None or np.isnan(change["value"]):
                axes.text(x, y, NOT_ESTIMABLE, **style)
                continue
            moved = estimate(change["value"], change["low"], change["high"], digits, sign=True)
            axes.text(x, y, f"{number(mine['value'], digits)}  ({moved})", **style)


def v_by_selection(table: pd.DataFrame, schema: Schema) -> Figure:
    """V of labels and predictions against which images are kept, a panel a pair."""
    rows = plotting.select(table, SELECTION, statistic="v_corrected").astype(
        {"threshold": float, "coverage": float}
    )
    styles = styles_of(plotting.models_in(rows))
    pairs = list(schema.pairs)
    if rows.empty or not pairs:
        return empty_figure("Coupling against selection", "There is no pair of attributes.", rows)
    by_threshold = rows["threshold"].notna().any()
    rows = rows[rows["threshold"].notna()] if by_threshold else rows
    across = min(3 if rows["keep"].nunique() < 4 or by_threshold else 2, len(pairs))
    down = -(-len(pairs) // across)
    drawing = sheet(
        (2.75 if across == 3 else 2.3) * down,
        _selection_title(rows, styles),
        f"Cramér's V, bias-corrected ({plotting.count_note(rows['n'])}).",
        plotting.interval_note(rows),
        "Under each level: the share of images that it keeps.",
        _missing_note(rows[rows["value"].isna()], styles),
        key=[(style.name, key_mark(style)) for style in styles.values()],
    )
    panels = plotting.panels_of(drawing, len(pairs), across)
    for axes, (a, b) in zip(panels, pairs, strict=True):
        _selection_panel(axes, rows[(rows["a"] == a) & (rows["b"] == b)], styles, by_threshold)
        axes.set_title(f"{capital(words(a))} × {words(b)}")
    highest = rows["high"].max()
    panels[0].set_ylim(0, 1.08 * highest if highest > 0 else 1)
    for row in range(down):
        panels[row * across].set_ylabel("Cramér's V")
    return Figure(drawing, _selection_alt(rows, styles), rows)


def _selection_panel(axes: Axes, own: pd.DataFrame, styles: dict[str, Style], by_threshold: bool) -> None:
    levels = list(own["keep"].unique())
    offsets = np.linspace(-0.12, 0.12, len(styles)) if len(styles) > 1 else [0.0]
    for (model, style), offset in zip(styles.items(), offsets, strict=True):
        mine = own[own["model"] == model].set_index("keep").reindex(levels)
        x = np.arange(len(levels)) + offset
        axes.vlines(x, mine["low"], mine["high"], color=style.colour, linewidth=1.6)
        axes.plot(
            x,
            mine["value"],
            color=style.colour,
            marker=style.marker,
            markersize=4.5,
            linewidth=1,
            linestyle=":",
        )
    share = own.drop_duplicates("keep").set_index("keep")["coverage"].reindex(levels)
    names = [level.removeprefix("confidence ") if by_threshold else _in_two_lines(level) for level in levels]
    axes.set_xticks(range(len(levels)), [f"{n}\n{100 * c:.0f} %" for n, c in zip(names, share, strict=True)])
    axes.set_xlim(-0.5, len(levels) - 0.5)
    axes.grid(axis="y")


def _in_two_lines(level: str) -> str:
    """A level's name, the second line empty where it is short."""
    first, _, rest = str(level).partition(" ")
    return f"{level}\n" if len(str(level)) < 10 else f"{first}\n{rest}"


def _missing_note(missing: pd.DataFrame, styles: dict[str, Style]) -> str:
    if missing.empty:
        return ""
    cases = [
        f"{styles[model].name} on {joined(list(own['keep'].unique()))}"
        for model, own in missing.groupby("model", sort=False)
    ]
    return f"Not estimable, for want of labels: {'; '.join(cases)}."


def _ends(rows: pd.DataFrame, model: str) -> list[tuple[str, float]]:
    """The first and last level that is estimable for all pairs, and the mean over pairs there; or nothing."""
    own = rows[rows["model"] == model]
    mean = own.groupby("keep", sort=False)["value"].apply(lambda v: v.mean(skipna=False)).dropna()
    return [] if len(mean) < 2 else [(mean.index[k], mean.iloc[k]) for k in (0, -1)]


def _selection_title(rows: pd.DataFrame, styles: dict[str, Style]) -> str:
    first = next(iter(styles))
    ends = _ends(rows, first)
    if not ends:
        return "Coupling against which images are kept"
    (one, before), (other, after) = ends
    direction = "raises" if after > before else "lowers"
    return (
        f"Keeping fewer images {direction} the mean V of {styles[first].name}: "
        f"{number(before)} on “{one}”, {number(after)} on “{other}”"
    )


def _selection_alt(rows: pd.DataFrame, styles: dict[str, Style]) -> str:
    sentences = []
    for model, style in styles.items():
        ends = [f"{number(mean)} on “{level}”" for level, mean in _ends(rows, model)]
        sentences.append(f"For {style.name} the mean over pairs is {joined(ends) or NOT_ESTIMABLE}.")
    return (
        "Bias-corrected Cramér's V against which images are kept, a panel a pair of attributes. "
        f"{' '.join(sentences)}"
    )
