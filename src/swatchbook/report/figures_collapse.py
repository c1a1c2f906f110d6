"""Figures of prior collapse and of coupling against selection."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from swatchbook.report.display import NOT_ESTIMABLE, estimate, number
from swatchbook.report.figures_parts import (
    beside,
    count_words,
    interval_words,
    listing,
    models_in,
    only,
    panels_of,
    rows_of,
)
from swatchbook.report.figures_rows import ROW, class_group, ladder, tallest, two_columns
from swatchbook.report.figures_style import INK, SMALL, SOFT, TEXT, Look, looks, mark, not_here, sheet, words
from swatchbook.schema import Schema

COLLAPSE = ["model", "head", "class", "statistic", "value", "low", "high", "n", "interval"]
SELECTION = [
    "model", "a", "b", "keep", "threshold", "coverage", "statistic", "value", "low", "high", "n", "interval",
]  # fmt: skip
REFERENCE = "reference"
RATIOS = (1 / 8, 1 / 4, 1 / 2, 1 / 1.5, 1 / 1.25, 1, 1.25, 1.5, 2, 4, 8)


def prior_collapse(table: pd.DataFrame, schema: Schema) -> tuple[Canvas, str, pd.DataFrame]:
    """Predicted against true share of every class, as signed log ratios; effective classes by head."""
    rows = rows_of(table, COLLAPSE, statistic=["log_ratio", "effective_classes", "effective_classes_change"])
    models = models_in(rows, (REFERENCE,))
    if not models:
        told = "No model was held against the labels."
        return not_here("What models predict too often", told), told, rows
    look = looks(models)
    ratios = rows[rows["statistic"] == "log_ratio"]
    columns = two_columns([class_group(a) for a in schema])
    height = tallest(columns)
    below = 1.0 + len(schema.names) + 1
    canvas = sheet(
        0.7 + ROW * (height + below),
        _extreme_title(ratios, look),
        interval_words(ratios),
        "Effective classes: e to the entropy, the number of equally common classes that would vary as much.",
        entries=[(look[m].name, mark(look[m])) for m in models],
    )
    reach = np.nanmax([*ratios[["low", "high", "value"]].abs().to_numpy().ravel(), np.log(1.25)]) * 1.05
    ticks = [r for r in RATIOS if abs(np.log(r)) <= reach]
    ticks = ticks if len(ticks) <= 7 else [r for r in ticks if r in (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)]
    thick = 0.8 / max(len(models), 1)
    top, bottom = canvas.subfigures(2, 1, height_ratios=(height + 2, below))
    _effective_table(bottom.subplots(), rows, schema, look)
    for axes, groups in zip(np.ravel(top.subplots(1, len(columns))), columns, strict=True):
        ys = ladder(axes, groups, height)
        axes.axvline(0, color=INK, linewidth=0.9)
        for (head, label), y in ys.of.items():
            for k, model in enumerate(models):
                row = only(ratios, model=model, head=head, **{"class": label})
                if row is not None:
                    _bar(axes, row, y + (k - (len(models) - 1) / 2) * thick, look[model], thick)
        axes.set(xlim=(-reach, reach), xlabel="predicted share ÷ share of the silver labels")
        axes.set_xticks(np.log(ticks), [f"×{r:.2f}".rstrip("0").rstrip(".") for r in ticks])
    said = []
    for model, one in look.items():
        own = ratios[(ratios["model"] == model) & ratios["value"].notna()]
        if own.empty:
            said.append(f"{one.name} {NOT_ESTIMABLE}")
            continue
        most, least = own.loc[own["value"].idxmax()], own.loc[own["value"].idxmin()]
        said.append(f"{one.name} from {_ratio(least)} to {_ratio(most)}")
    return (
        canvas,
        f"Predicted share of each class against its share of the silver labels: {'; '.join(said)}.",
        rows,
    )


def _bar(axes: Axes, row: pd.Series, y: float, look: Look, thick: float) -> None:
    if np.isnan(row["value"]):
        axes.plot([0], [y], look.marker, color=look.colour, markerfacecolor="white", markersize=5)
        beside(axes, y, NOT_ESTIMABLE, color=SOFT, size=SMALL)
        return
    axes.barh(y, row["value"], height=0.9 * thick, color=look.colour, alpha=0.45, linewidth=0)
    axes.plot([row["low"], row["high"]], [y, y], color=look.colour, linewidth=1.5, solid_capstyle="butt")
    axes.plot([row["value"]], [y], look.marker, color=look.colour, markersize=4, zorder=3)


def _ratio(row: pd.Series) -> str:
    return f"×{number(np.exp(row['value']), 2)} ({words(row['class'])})"


def _extreme_title(ratios: pd.DataFrame, look: dict[str, Look]) -> str:
    said = []
    for model, one in look.items():
        own = ratios[(ratios["model"] == model) & ratios["value"].notna()]
        if len(own):
            said.append(f"{one.name} {_ratio(own.loc[own['value'].abs().idxmax()])}")
    return (
        f"Predicted too often or too seldom, at the extreme: {listing(said)}"
        if said
        else "What models predict"
    )


def _effective_table(axes: Axes, rows: pd.DataFrame, schema: Schema, look: dict[str, Look]) -> None:
    """Effective classes of the labels and of each model with the paired change, a line a head."""
    heads = [*schema.names, "all"]
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(len(heads) + 0.4, -0.5))
    columns = np.linspace(0.3, 1.0, len(look) + 1)[:-1]
    style = {"va": "center_baseline", "size": SMALL}
    axes.text(0.0, 0, "effective classes", **style | {"size": TEXT, "weight": "bold"})
    axes.text(0.27, 0, "silver labels", ha="right", **style)
    for x, one in zip(columns, look.values(), strict=True):
        axes.text(x, 0, f"{one.name} (change)", **style)
    for y, head in enumerate(heads, start=1):
        digits = 0 if head == "all" else 2
        own = rows[rows["head"] == head]
        labels = only(own, model=REFERENCE, statistic="effective_classes")
        name = "combinations of all heads" if head == "all" else words(head)
        axes.text(0.0, y, name, **style)
        axes.text(
            0.27, y, NOT_ESTIMABLE if labels is None else number(labels["value"], digits), ha="right", **style
        )
        for x, model in zip(columns, look, strict=True):
            mine = only(own, model=model, statistic="effective_classes")
            change = only(own, model=model, statistic="effective_classes_change")
            if mine is None or change is None or np.isnan(change["value"]):
                axes.text(x, y, NOT_ESTIMABLE, **style)
                continue
            moved = estimate(change["value"], change["low"], change["high"], digits, sign=True)
            axes.text(x, y, f"{number(mine['value'], digits)}  ({moved})", **style)


def v_by_selection(table: pd.DataFrame, schema: Schema) -> tuple[Canvas, str, pd.DataFrame]:
    """V of labels and predictions against which images are kept, a panel a pair."""
    rows = rows_of(table, SELECTION, statistic="v_corrected")
    rows["threshold"], rows["coverage"] = rows["threshold"].astype(float), rows["coverage"].astype(float)
    models = models_in(rows)
    look = looks(models)
    pairs = list(schema.pairs)
    if rows.empty or not pairs:
        told = "There is no pair of attributes."
        return not_here("Coupling against selection", told), told, rows
    by_threshold = rows["threshold"].notna().any()
    rows = rows[rows["threshold"].notna()] if by_threshold else rows
    across = min(3 if rows["keep"].nunique() < 4 or by_threshold else 2, len(pairs))
    down = -(-len(pairs) // across)
    missing = rows[rows["value"].isna()]
    canvas = sheet(
        (2.75 if across == 3 else 2.3) * down,
        _selection_title(rows, look, by_threshold),
        f"Cramér's V, bias-corrected ({count_words(rows['n'])}).",
        interval_words(rows),
        "Under each level: the share of images that it keeps.",
        _why_missing(missing, look),
        entries=[(look[m].name, mark(look[m])) for m in models],
    )
    panels = panels_of(canvas, len(pairs), across)
    for axes, (a, b) in zip(panels, pairs, strict=True):
        own = rows[(rows["a"] == a) & (rows["b"] == b)]
        _selection_panel(axes, own, look, by_threshold)
        axes.set_title(f"{words(a)} × {words(b)}")
    highest = rows["high"].max()
    panels[0].set_ylim(0, 1.08 * highest if highest > 0 else 1)
    for row in range(down):
        panels[row * across].set_ylabel("Cramér's V")
    return canvas, _selection_alt(rows, look), rows


def _selection_panel(axes: Axes, own: pd.DataFrame, look: dict[str, Look], by_threshold: bool) -> None:
    levels = list(own["keep"].unique())
    spread = np.linspace(-0.12, 0.12, len(look)) if len(look) > 1 else [0.0]
    for (model, one), offset in zip(look.items(), spread, strict=True):
        mine = own[own["model"] == model].set_index("keep").reindex(levels)
        x = np.arange(len(levels)) + offset
        axes.plot(x, mine["value"], color=one.colour, linewidth=1, linestyle=":")
        axes.vlines(x, mine["low"], mine["high"], color=one.colour, linewidth=1.6)
        axes.plot(x, mine["value"], one.marker, color=one.colour, markersize=4.5)
    share = own.drop_duplicates("keep").set_index("keep")["coverage"].reindex(levels)
    names = [level.removeprefix("confidence ") if by_threshold else _short(level) for level in levels]
    axes.set_xticks(range(len(levels)), [f"{n}\n{100 * c:.0f} %" for n, c in zip(names, share, strict=True)])
    axes.set_xlim(-0.5, len(levels) - 0.5)
    axes.grid(axis="y", linewidth=0.8)
    axes.set_axisbelow(True)


def _short(level: str) -> str:
    """A level's name in at most two lines."""
    first, _, rest = str(level).partition(" ")
    return f"{level}\n" if len(str(level)) < 10 else f"{first}\n{rest}"


def _why_missing(missing: pd.DataFrame, look: dict[str, Look]) -> str:
    if missing.empty:
        return ""
    said = [
        f"{look[m].name} on {listing(list(own['keep'].unique()))}"
        for m, own in missing.groupby("model", sort=False)
    ]
    return f"Not estimable, for want of labels: {'; '.join(said)}."


def _ends(rows: pd.DataFrame, model: str) -> tuple[pd.Series, pd.Series] | None:
    """Mean over pairs at the first and last level that are estimable for all pairs of a model."""
    own = rows[rows["model"] == model]
    mean = own.groupby("keep", sort=False)["value"].apply(lambda v: v.mean(skipna=False)).dropna()
    return None if len(mean) < 2 else (mean.iloc[[0]], mean.iloc[[-1]])


def _selection_title(rows: pd.DataFrame, look: dict[str, Look], by_threshold: bool) -> str:
    first = next(iter(look))
    ends = _ends(rows, first)
    if ends is None:
        return "Coupling against which images are kept"
    (before, after), names = (e.iloc[0] for e in ends), [e.index[0] for e in ends]
    verb = "raises" if after > before else "lowers"
    return (
        f"Keeping fewer images {verb} the mean V of {look[first].name}: "
        f"{number(before)} on “{names[0]}”, {number(after)} on “{names[1]}”"
    )


def _selection_alt(rows: pd.DataFrame, look: dict[str, Look]) -> str:
    said = []
    for model, one in look.items():
        ends = _ends(rows, model)
        if ends is None:
            said.append(f"{one.name} {NOT_ESTIMABLE}")
        else:
            said.append(
                f"{one.name} {number(ends[0].iloc[0])} on “{ends[0].index[0]}” "
                f"and {number(ends[1].iloc[0])} on “{ends[1].index[0]}”"
            )
    return f"Bias-corrected Cramér's V against which images are kept, mean over pairs: {'; '.join(said)}."
