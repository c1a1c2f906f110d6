"""Figures of the audit: silver labels against a person, what more judgements would buy, and the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, NullLocator

from swatchbook.report.display import NOT_ESTIMABLE, estimate, number
from swatchbook.report.figures_parts import (
    beside,
    count_words,
    interval,
    interval_words,
    left_end,
    listing,
    models_in,
    only,
    or_one,
    panels_of,
    printed,
    rows_of,
)
from swatchbook.report.figures_rows import ROW, Group, class_group, extent, ladder, tallest, two_columns
from swatchbook.report.figures_style import (
    DIAMOND,
    HUMAN,
    INK,
    SILVER,
    SMALL,
    SOFT,
    Look,
    looks,
    mark,
    not_here,
    sheet,
    words,
)
from swatchbook.schema import Schema

AUDIT = [
    "attribute", "class", "abstained", "weighting", "statistic", "value", "low", "high", "n", "interval",
    "published",
]  # fmt: skip
POWER = ["attribute", "design", "size", "value", "low", "high", "n", "interval"]
TRUTH = [
    "model",
    "head",
    "class",
    "reference",
    "estimator",
    "statistic",
    "value",
    "low",
    "high",
    "n",
    "interval",
]
WAYS = {
    "extra_class": "abstention as one more class",
    "wrong": "abstention counted wrong",
    "left_out": "abstention left out",
}
BOUND = "#d8d3ca"
AUDITED = Look("silver labels against human labels", HUMAN, "o")


def audit_scores(table: pd.DataFrame, schema: Schema) -> tuple[Canvas, str, pd.DataFrame]:
    """Macro-F1 of the silver labels in three ways of treating abstentions, and F1 by class."""
    heads = rows_of(table, AUDIT, statistic="macro_f1", abstained=list(WAYS), **{"class": "all"})
    classes = rows_of(table, AUDIT, statistic="f1", abstained="wrong", weighting="none")
    judged = [a for a in schema if heads.loc[heads["attribute"] == a.name, "value"].notna().any()]
    names = [a.name for a in judged]
    heads, classes = (rows[rows["attribute"].isin(names)].reset_index(drop=True) for rows in (heads, classes))
    if not judged:
        told = "No label was judged by a person."
        return not_here("Silver labels against human labels", told), told, pd.concat([heads, classes])
    above = [
        Group(
            a.name,
            f"{words(a.name)}  ({count_words(_of(heads, a.name)['n'])})",
            [((a.name, w), WAYS[w]) for w in WAYS],
        )
        for a in judged
    ]
    below = two_columns([class_group(a) for a in judged])
    tall = (extent(above) + 2, tallest(below) + 3)
    canvas = sheet(
        ROW * sum(tall) + 0.4,
        _audit_title(heads, names),
        interval_words(pd.concat([heads, classes])),
        "Classes: abstention counted wrong, images unweighted; right of each class its judged images.",
        _unjudged(schema, judged),
        entries=[
            ("images unweighted", mark(AUDITED)),
            ("weighted by what each image stands for", mark(AUDITED, markerfacecolor="white")),
            *([("as printed", Line2D([], [], **DIAMOND))] if heads["published"].notna().any() else []),
        ],
    )
    top, bottom = canvas.subfigures(2, 1, height_ratios=tall)
    axes = top.subplots()
    _three_ways(axes, heads, above)
    left = left_end(pd.concat([heads["low"], classes["low"]]))
    axes.set(xlim=(left, 1.02), xlabel="macro-F1")
    for axes, groups in zip(np.ravel(bottom.subplots(1, len(below))), below, strict=True):
        ys = ladder(axes, groups, tallest(below))
        for (head, label), y in ys.of.items():
            row = only(classes, attribute=head, **{"class": label})
            if row is not None:
                interval(axes, row, y, AUDITED, size=6)
            seen = row is not None and not np.isnan(row["value"])
            beside(axes, y, f"{int(row['n']):,}" if seen else NOT_ESTIMABLE, color=SOFT)
        axes.set(xlim=(left, 1.02), xlabel="F1 by class")
    said = [
        f"{words(a.name)} " + ", ".join(f"{number(_way(heads, a.name, w))} ({WAYS[w]})" for w in WAYS)
        for a in judged
    ]
    alt = f"Macro-F1 of the silver labels against human labels: {'; '.join(said)}."
    return canvas, alt, pd.concat([heads, classes], ignore_index=True)


def _of(rows: pd.DataFrame, attribute: str) -> pd.DataFrame:
    return rows[(rows["attribute"] == attribute) & rows["value"].notna()]


def _way(heads: pd.DataFrame, attribute: str, way: str) -> float:
    row = only(heads, attribute=attribute, abstained=way, weighting="none")
    return np.nan if row is None else row["value"]


def _three_ways(axes: Axes, heads: pd.DataFrame, groups: list[Group]) -> None:
    ys = ladder(axes, groups)
    for (head, way), y in ys.of.items():
        both = heads[(heads["attribute"] == head) & (heads["abstained"] == way)]
        for _, row in both.iterrows():
            weighted = row["weighting"] == "design"
            spread = 0.16 if len(both) > 1 else 0.0
            interval(axes, row, y + (spread if weighted else -spread), AUDITED, hollow=weighted, size=6)
            if not weighted and way == "extra_class":
                printed(axes, row["published"], y - spread)
        row = only(both, weighting="none")
        beside(axes, y, NOT_ESTIMABLE if row is None else estimate(row["value"], row["low"], row["high"]))


def _audit_title(heads: pd.DataFrame, judged: list[str]) -> str:
    """Where one more class for abstentions moves macro-F1 most; neutral where it moves none."""
    moved = {a: _way(heads, a, "wrong") - _way(heads, a, "extra_class") for a in judged}
    moved = {a: change for a, change in moved.items() if change > 0.0005}
    if not moved:
        return "Silver labels against human labels"
    most = max(moved, key=moved.__getitem__)
    return (
        f"Counting abstention as a class of its own lowers macro-F1 of {words(most)} from "
        f"{number(_way(heads, most, 'wrong'))} to {number(_way(heads, most, 'extra_class'))}"
    )


def _unjudged(schema: Schema, judged: list) -> str:
    rest = [words(a.name) for a in schema if a not in judged]
    return f"Not estimable, for want of a human label: {listing(rest)}." if rest else ""


def audit_power(table: pd.DataFrame, schema: Schema) -> tuple[Canvas, str, pd.DataFrame]:
    """Half-width of the interval of macro-F1 against the number of judgements, a panel an attribute."""
    rows = rows_of(table, POWER, attribute=list(schema.names))
    rows["size"] = rows["size"].astype(float)
    judged = [a for a in schema if rows.loc[rows["attribute"] == a.name, "value"].notna().any()]
    if not judged:
        told = "No label was judged by a person, so no interval can be foreseen."
        return not_here("What more judgements would buy", told), told, rows
    rows = rows[rows["attribute"].isin([a.name for a in judged])].reset_index(drop=True)
    said = {a.name: _at_this_size(rows, a.name) for a in judged}
    widest = max(said, key=lambda name: np.nan_to_num(said[name][1]))
    across = min(len(judged), 3)
    down = -(-len(judged) // across)
    styles = {
        d: (f"{words(d)} sample", "-" if k == 0 else "--") for k, d in enumerate(rows["design"].unique())
    }
    canvas = sheet(
        2.9 * down,
        f"{said[widest][0]:,} judgements pin macro-F1 of {words(widest)} to ±{number(said[widest][1])}"
        if not np.isnan(said[widest][1])
        else "What more judgements would buy",
        interval_words(rows, "Bands").replace(
            "Bands are intervals", "Band: how well this audit knows the curve"
        ),
        "The ring marks this audit's own number of judgements.",
        _unjudged(schema, judged),
        entries=[
            (name, Line2D([], [], color=HUMAN, linestyle=s, linewidth=2)) for name, s in styles.values()
        ],
    )
    panels = panels_of(canvas, len(judged), across)
    for axes, a in zip(panels, judged, strict=True):
        for design, (_, style) in styles.items():
            own = rows[(rows["attribute"] == a.name) & (rows["design"] == design)].sort_values("size")
            axes.fill_between(own["size"], own["low"], own["high"], color=HUMAN, alpha=0.1, linewidth=0)
            axes.plot(own["size"], own["value"], style, color=HUMAN, linewidth=2)
        _power_axes(axes, rows, *said[a.name])
        axes.set_title(words(a.name))
    panels[0].set_ylabel("half-width of the interval")
    told = [f"{words(name)} ±{number(width)} at {n:,}" for name, (n, width) in said.items()]
    alt = f"Half-width of the interval of macro-F1 against the number of judgements: {listing(told)}."
    return canvas, alt, rows


def _at_this_size(rows: pd.DataFrame, attribute: str) -> tuple[int, float]:
    """The audit's own number of judgements, and the half-width of the first design there."""
    own = rows[(rows["attribute"] == attribute) & rows["value"].notna()]
    own = own[own["design"] == own["design"].iloc[0]].sort_values("size")
    n = float(own["n"].iloc[0])
    width = np.interp(np.log(n), np.log(own["size"]), own["value"], left=np.nan, right=np.nan)
    return int(n), float(width)


def _power_axes(axes: Axes, rows: pd.DataFrame, n: int, width: float) -> None:
    sizes = sorted(rows["size"].unique())
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{int(s):,}" for s in sizes], rotation=45, ha="right", rotation_mode="anchor")
    highest = rows[["value", "high"]].max().max()
    axes.set(ylim=(0, 1.05 * or_one(highest)), xlabel="judgements")
    axes.grid(linewidth=0.8)
    axes.set_axisbelow(True)
    if not np.isnan(width):
        axes.plot(
            [n], [width], "o", color=INK, markerfacecolor="none", markersize=10, markeredgewidth=1.5, zorder=4
        )
        axes.annotate(
            f"n = {n:,}: ±{number(width)}", (n, width), (8, 8), textcoords="offset points", size=SMALL
        )


def truth(table: pd.DataFrame, schema: Schema) -> tuple[Canvas, str, pd.DataFrame]:
    """Each model against silver labels and against the person, and the bound that silver agreement sets."""
    rows = rows_of(table, TRUTH, statistic=["accuracy", "macro_f1"], **{"class": "all"})
    rows = rows[~rows["estimator"].isin(["ppi", "design"])].reset_index(drop=True)
    models = models_in(rows)
    look = looks(models)
    judged = [a for a in schema if _judged(rows, a.name)]
    groups = []
    for a in schema:
        n = rows.loc[(rows["head"] == a.name) & (rows["reference"] == "human"), "n"].max()
        title = f"{words(a.name)}  ({n:,.0f} judged)" if a in judged else words(a.name)
        shown = [m for m in models if a in judged or _against_silver(rows, a.name, m)]
        groups.append(Group(a.name, title, [((a.name, m), look[m].name) for m in shown]))
    canvas = sheet(
        0.95 + 1.1 * ROW * extent(groups),
        _truth_title(rows, judged, look),
        interval_words(rows[rows["estimator"] == "post_stratified"]),
        "Numbers: post-stratified. The ends of the bound carry the uncertainty of both agreements.",
        _unjudged(schema, judged),
        entries=_truth_key(rows),
    )
    panels = canvas.subplots(1, 2)
    left = left_end(rows[["low", "value"]].min(axis=1))
    for axes, statistic in zip(panels, ("accuracy", "macro_f1"), strict=True):
        ys = ladder(axes, groups)
        for (head, model), y in ys.of.items():
            own = rows[(rows["head"] == head) & (rows["model"] == model) & (rows["statistic"] == statistic)]
            _truth_row(axes, own, y, look[model])
        for a in schema:
            if a not in judged:
                style = {"size": SMALL, "color": SOFT, "va": "center_baseline"}
                axes.text(left, ys.heads[a.name], f"  {NOT_ESTIMABLE}: no human label", **style)
        axes.set(xlim=(left, 1.02), title={"accuracy": "accuracy", "macro_f1": "macro-F1"}[statistic])
    panels[1].set_yticklabels([])
    return canvas, _truth_alt(rows, judged, look), rows


def _truth_key(rows: pd.DataFrame) -> list[tuple[str, Line2D | Rectangle]]:
    dot = {"color": INK, "marker": "o"}
    bar = {"color": SILVER, "marker": "|", "markersize": 11, "markeredgewidth": 2.2, "linestyle": ""}
    key = [
        ("against human labels, post-stratified", Line2D([], [], linewidth=1.6, **dot)),
        ("the judged images alone", Line2D([], [], linestyle="", markerfacecolor="white", **dot)),
    ]
    if (rows["reference"] == "silver").any():
        key.append(("against silver labels", Line2D([], [], **bar)))
    return [*key, ("bound from silver agreement", Rectangle((0, 0), 1, 1, facecolor=BOUND))]


def _judged(rows: pd.DataFrame, head: str) -> bool:
    return bool(((rows["head"] == head) & (rows["reference"] == "human") & rows["value"].notna()).any())


def _against_silver(rows: pd.DataFrame, head: str, model: str) -> bool:
    return only(rows, head=head, model=model, reference="silver") is not None


def _truth_row(axes: Axes, own: pd.DataFrame, y: float, look: Look) -> None:
    bound = only(own, estimator="bound")
    if bound is not None:
        axes.plot(
            [bound["low"], bound["high"]], [y, y], color=BOUND, linewidth=13, solid_capstyle="butt", zorder=1
        )
    direct, best = only(own, estimator="direct"), only(own, estimator="post_stratified")
    if best is not None:
        interval(axes, best, y, look)
        if not np.isnan(best["value"]):
            beside(axes, y, estimate(best["value"], best["low"], best["high"]))
    if direct is not None:
        axes.plot(
            [direct["value"]], [y], "o", color=look.colour, markerfacecolor="white", markersize=5, zorder=2.5
        )
    silver = own[own["reference"] == "silver"]
    axes.plot(
        silver["value"], [y] * len(silver), "|", color=SILVER, markersize=12, markeredgewidth=2.2, zorder=4
    )


def _best(rows: pd.DataFrame, model: str, head: str, statistic: str) -> float:
    row = only(rows, model=model, head=head, statistic=statistic, estimator="post_stratified")
    return np.nan if row is None else row["value"]


def _truth_title(rows: pd.DataFrame, judged: list, look: dict[str, Look]) -> str:
    """The head on which the first model does worst against a person; neutral where nothing was judged."""
    models = [m for m in look if m != "silver"]
    known = {a.name: _best(rows, models[0], a.name, "macro_f1") for a in judged} if models else {}
    known = {name: value for name, value in known.items() if not np.isnan(value)}
    if not known:
        return "Models against human labels"
    worst = min(known, key=known.__getitem__)
    name, score = look[models[0]].name, number(known[worst], 2)
    said = f"Against human labels, {name} has macro-F1 {score} on {words(worst)}"
    silver = _best(rows, "silver", worst, "macro_f1")
    return said if np.isnan(silver) else f"{said}; the silver labels themselves have {number(silver, 2)}"


def _truth_alt(rows: pd.DataFrame, judged: list, look: dict[str, Look]) -> str:
    said = [
        f"{one.name} "
        + listing([f"{words(a.name)} {number(_best(rows, model, a.name, 'macro_f1'))}" for a in judged])
        for model, one in look.items()
    ]
    if not judged:
        return "Nothing was judged by a person, so no score against the truth is estimable."
    return f"Macro-F1 against human labels, post-stratified to the whole split: {'; '.join(said)}."
