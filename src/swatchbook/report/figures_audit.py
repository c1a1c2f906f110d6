"""Figures of the audit: silver labels against the auditor, what more judgements would bring, and the truth.

Each takes `judge`, who judged: a simulated auditor is called so in every sentence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

from swatchbook.evaluation.known import KNOWN
from swatchbook.report import plotting
from swatchbook.report.figure import (
    AUDITED,
    INK,
    SILVER,
    SMALL,
    SOFT,
    Figure,
    Style,
    empty_figure,
    key_mark,
    sheet,
    styles_of,
)
from swatchbook.report.wording import NOT_ESTIMABLE, capital, estimate, joined, number, words
from swatchbook.schema import Attribute, Schema

AUDIT = [
    "attribute", "class", "abstained", "weighting", "statistic", "value", "low", "high", "n", "interval",
    "published",
]  # fmt: skip
POWER = ["attribute", "design", "size", "value", "low", "high", "n", "interval"]
TRUTH = [
    "model", "head", "class", "reference", "estimator", "statistic", "value", "low", "high", "n", "interval",
]  # fmt: skip
ABSTENTIONS = {
    "extra_class": "abstention as one more class",
    "wrong": "abstention counted wrong",
    "left_out": "abstention left out",
}
BOUND = "#d8d3ca"
STYLE = Style("silver labels against the audit", AUDITED, "o")
JUDGE = "human auditor"


def audit_scores(table: pd.DataFrame, schema: Schema, judge: str = JUDGE) -> Figure:
    """Macro-F1 of the silver labels by three ways of counting abstentions, and F1 by class."""
    heads = plotting.select(
        table, AUDIT, statistic="macro_f1", abstained=list(ABSTENTIONS), **{"class": "all"}
    )
    known = heads[heads["weighting"] == KNOWN]
    heads = heads[heads["weighting"] != KNOWN]
    classes = plotting.select(table, AUDIT, statistic="f1", abstained="wrong", weighting=["none", KNOWN])
    judged = [a for a in schema if heads.loc[heads["attribute"] == a.name, "value"].notna().any()]
    names = [a.name for a in judged]
    heads, known, classes = (
        rows[rows["attribute"].isin(names)].reset_index(drop=True) for rows in (heads, known, classes)
    )
    neutral = f"Silver labels against the {judge}"
    if not judged:
        return empty_figure(neutral, f"No label was judged by the {judge}.", pd.concat([heads, classes]))
    above = []
    for name in names:
        n = heads.loc[(heads["attribute"] == name) & heads["value"].notna(), "n"]
        ways = [((name, way), capital(text)) for way, text in ABSTENTIONS.items()]
        above.append(plotting.Group(name, f"{capital(words(name))}  ({plotting.count_note(n)})", ways))
    below = plotting.two_columns([plotting.class_group(a) for a in judged])
    inches = (plotting.row_count(above) + 2, plotting.max_rows(below) + 3)
    plain = heads[heads["weighting"] == "none"].set_index(["attribute", "abstained"])["value"]
    drawing = sheet(
        plotting.ROW * sum(inches) + 0.4,
        _abstention_title(plain, names) or neutral,
        plotting.interval_note(pd.concat([heads, classes])),
        "Classes: abstention counted wrong, images unweighted; right of each class its judged images.",
        _unjudged_note(schema, judged, judge),
        key=[
            ("images unweighted", key_mark(STYLE)),
            ("weighted by what each image stands for", key_mark(STYLE, markerfacecolor="white")),
            *(
                [("as published", Line2D([], [], **plotting.DIAMOND))]
                if heads["published"].notna().any()
                else []
            ),
            *_known_key(known),
        ],
    )
    top, bottom = drawing.subfigures(2, 1, height_ratios=inches)
    axes = top.subplots()
    heights = _three_ways(axes, heads, above)
    plotting.known_marks(
        axes,
        known["value"],
        [heights[key] for key in zip(known["attribute"], known["abstained"], strict=True)],
    )
    left = plotting.axis_start(pd.concat([heads["low"], classes["low"]]))
    axes.set(xlim=(left, 1.02), xlabel="Macro-F1")
    for axes, groups in zip(np.ravel(bottom.subplots(1, len(below))), below, strict=True):
        _by_class(axes, classes, groups, plotting.max_rows(below))
        axes.set(xlim=(left, 1.02), xlabel="F1 by class")
    sentences = [
        f"Macro-F1 on {words(name)} is {number(plain.get((name, 'wrong'), np.nan))} with abstentions counted "
        "wrong, "
        f"{number(plain.get((name, 'left_out'), np.nan))} without them and "
        f"{number(plain.get((name, 'extra_class'), np.nan))} with abstention as one more class."
        for name in names
    ]
    alt = f"{neutral}. {' '.join(sentences)}"
    return Figure(drawing, alt, pd.concat([heads, known, classes], ignore_index=True))


def _known_key(known: pd.DataFrame) -> list[tuple[str, Line2D]]:
    """What the crosses mean, where there are any."""
    return [(KNOWN, Line2D([], [], **plotting.KNOWN))] if known["value"].notna().any() else []


def _three_ways(axes: Axes, heads: pd.DataFrame, groups: list[plotting.Group]) -> dict:
    heights = plotting.set_rows(axes, groups).rows
    y = np.array([heights[key] for key in zip(heads["attribute"], heads["abstained"], strict=True)], float)
    weighted = (heads["weighting"] == "design").to_numpy()
    twice = heads.groupby(["attribute", "abstained"])["weighting"].transform("size").to_numpy() > 1
    y += 0.16 * twice * np.where(weighted, 1, -1)
    plotting.intervals(axes, heads[weighted], y[weighted], STYLE, hollow=True, size=6)
    plotting.intervals(axes, heads[~weighted], y[~weighted], STYLE, size=6)
    published = heads["published"].where(~weighted & (heads["abstained"] == "extra_class"))
    plotting.published_marks(axes, published, y)
    plain = heads[~weighted].set_index(["attribute", "abstained"])
    for key, height in heights.items():
        here = [plain.loc[key, column] for column in ("value", "low", "high")] if key in plain.index else None
        plotting.label_right(axes, height, NOT_ESTIMABLE if here is None else estimate(*here))
    return heights


def _by_class(axes: Axes, classes: pd.DataFrame, groups: list[plotting.Group], height: float) -> None:
    heights = plotting.set_rows(axes, groups, height).rows
    index, places = pd.MultiIndex.from_tuples(heights), list(heights.values())
    rows, known = (
        classes[(classes["weighting"] == KNOWN) == is_known].set_index(["attribute", "class"]).reindex(index)
        for is_known in (False, True)
    )
    plotting.intervals(axes, rows, places, STYLE, size=6)
    plotting.known_marks(axes, known["value"], places)
    for y, value, n in zip(heights.values(), rows["value"], rows["n"], strict=True):
        plotting.label_right(axes, y, NOT_ESTIMABLE if np.isnan(value) else f"{int(n):,}", color=SOFT)


def _abstention_title(plain: pd.Series, judged: list[str]) -> str:
    """Where one more class for abstentions moves macro-F1 most; empty where it moves none."""
    both = {name: [plain.get((name, way), np.nan) for way in ("wrong", "extra_class")] for name in judged}
    moved = {name: wrong - extra for name, (wrong, extra) in both.items() if wrong - extra > 0.0005}
    if not moved:
        return ""
    most = max(moved, key=moved.__getitem__)
    before, after = map(number, both[most])
    return (
        f"Counting abstention as a class of its own lowers macro-F1 of {words(most)} from {before} to {after}"
    )


def _unjudged_note(schema: Schema, judged: Sequence[Attribute], judge: str) -> str:
    rest = [words(a.name) for a in schema if a not in judged]
    return f"Not estimable, as the {judge} judged none: {joined(rest)}." if rest else ""


def audit_power(table: pd.DataFrame, schema: Schema, judge: str = JUDGE) -> Figure:
    """Half-width of the interval of macro-F1 against the number of judgements, a panel an attribute."""
    rows = plotting.select(table, POWER, attribute=list(schema.names)).astype({"size": float})
    judged = [a for a in schema if rows.loc[rows["attribute"] == a.name, "value"].notna().any()]
    neutral = "How much more judgements would narrow the intervals"
    if not judged:
        reason = f"No label was judged by the {judge}, so no interval can be foreseen."
        return empty_figure(neutral, reason, rows)
    rows = rows[rows["attribute"].isin([a.name for a in judged])].reset_index(drop=True)
    widths = {a.name: _at_this_size(rows, a.name) for a in judged}
    widest = max(widths, key=lambda name: np.nan_to_num(widths[name][1]))
    n, width = widths[widest]
    across = min(len(judged), 3)
    designs = {
        design: (f"{words(design)} sample", "-" if k == 0 else "--")
        for k, design in enumerate(rows["design"].unique())
    }
    bands = plotting.interval_note(rows, "Bands")
    drawing = sheet(
        2.9 * -(-len(judged) // across),
        neutral
        if np.isnan(width)
        else f"{n:,} judgements pin macro-F1 of {words(widest)} to ±{number(width)}",
        bands.replace("Bands are intervals", "Band: how well this audit knows the curve"),
        "The ring marks this audit's own number of judgements.",
        _unjudged_note(schema, judged, judge),
        key=[
            (text, Line2D([], [], color=AUDITED, linestyle=line, linewidth=2))
            for text, line in designs.values()
        ],
    )
    panels = plotting.panels_of(drawing, len(judged), across)
    for axes, a in zip(panels, judged, strict=True):
        for design, (_, line) in designs.items():
            own = rows[(rows["attribute"] == a.name) & (rows["design"] == design)].sort_values("size")
            axes.fill_between(own["size"], own["low"], own["high"], color=AUDITED, alpha=0.1, linewidth=0)
            axes.plot(own["size"], own["value"], line, color=AUDITED, linewidth=2)
        _set_power_axes(axes, rows, *widths[a.name])
        axes.set_title(capital(words(a.name)))
    panels[0].set_ylabel("Half-width of the interval")
    curves = [f"±{number(width)} on {words(name)} at {n:,}" for name, (n, width) in widths.items()]
    alt = (
        "Curves of the half-width of macro-F1's interval against the number of judgements, falling as these "
        f"are added. This audit stands at {joined(curves)}."
    )
    return Figure(drawing, alt, rows)


def _at_this_size(rows: pd.DataFrame, attribute: str) -> tuple[int, float]:
    """The audit's own number of judgements, and the half-width of the first design there."""
    own = rows[(rows["attribute"] == attribute) & rows["value"].notna()]
    own = own[own["design"] == own["design"].iloc[0]].sort_values("size")
    n = float(own["n"].iloc[0])
    width = np.interp(np.log(n), np.log(own["size"]), own["value"], left=np.nan, right=np.nan)
    return int(n), float(width)


def _set_power_axes(axes: Axes, rows: pd.DataFrame, n: int, width: float) -> None:
    sizes = sorted(rows["size"].unique())
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{int(s):,}" for s in sizes], rotation=45, ha="right", rotation_mode="anchor")
    highest = rows[["value", "high"]].max().max()
    axes.set(ylim=(0, 1.05 * plotting.positive_or_one(highest)), xlabel="Judgements")
    axes.grid()
    if not np.isnan(width):
        axes.plot(
            [n], [width], "o", color=INK, markerfacecolor="none", markersize=10, markeredgewidth=1.5, zorder=4
        )
        axes.annotate(
            f"n = {n:,}: ±{number(width)}", (n, width), (8, 8), textcoords="offset points", size=SMALL
        )


def truth(table: pd.DataFrame, schema: Schema, judge: str = JUDGE) -> Figure:
    """Each model against silver labels and against the auditor, and the bound that silver agreement sets."""
    rows = plotting.select(table, TRUTH, statistic=["accuracy", "macro_f1"], **{"class": "all"})
    rows = rows[~rows["estimator"].isin(["ppi", "design"])].reset_index(drop=True)
    known = rows["reference"] == KNOWN
    styles = styles_of(plotting.models_in(rows))
    seen = rows[(rows["reference"] == "audit") & rows["value"].notna()]
    judged = [a for a in schema if a.name in set(seen["head"])]
    held = rows.loc[(rows["reference"] == "silver") | known, ["head", "model"]]
    held = set(held.itertuples(index=False, name=None))
    groups = []
    for a in schema:
        n = rows.loc[(rows["head"] == a.name) & (rows["reference"] == "audit"), "n"].max()
        title = capital(words(a.name)) + (f"  ({n:,.0f} judged)" if a in judged else "")
        shown = [m for m in styles if a in judged or (a.name, m) in held]
        groups.append(plotting.Group(a.name, title, [((a.name, m), styles[m].name) for m in shown]))
    best = rows[rows["estimator"] == "post_stratified"].set_index(["statistic", "model", "head"])["value"]
    drawing = sheet(
        0.95 + 1.1 * plotting.ROW * plotting.row_count(groups),
        _truth_title(best, judged, styles, judge),
        plotting.interval_note(rows[rows["estimator"] == "post_stratified"]),
        "Numbers: post-stratified. The ends of the bound carry the uncertainty of both agreements.",
        _unjudged_note(schema, judged, judge),
        key=_truth_key(rows, judge),
    )
    panels = drawing.subplots(1, 2)
    left = plotting.axis_start(rows[["low", "value"]].min(axis=1))
    for axes, statistic in zip(panels, ("accuracy", "macro_f1"), strict=True):
        heights = plotting.set_rows(axes, groups)
        _truth_marks(axes, rows[rows["statistic"] == statistic], heights.rows, styles)
        for a in schema:
            if a not in judged:
                note = {"size": SMALL, "color": SOFT, "va": "center_baseline"}
                axes.text(left, heights.headings[a.name], f"  {NOT_ESTIMABLE}: never judged", **note)
        axes.set(xlim=(left, 1.02), title={"accuracy": "Accuracy", "macro_f1": "Macro-F1"}[statistic])
    panels[1].set_yticklabels([])
    return Figure(drawing, _truth_alt(best, judged, styles, judge), rows)


def _truth_key(rows: pd.DataFrame, judge: str) -> list[tuple[str, Line2D | Patch]]:
    dot = {"color": INK, "marker": "o"}
    bar = {"color": SILVER, "marker": "|", "markersize": 11, "markeredgewidth": 2.2, "linestyle": ""}
    key = [
        (f"{judge}, post-stratified", Line2D([], [], linewidth=1.6, **dot)),
        ("the judged images alone", Line2D([], [], linestyle="", markerfacecolor="white", **dot)),
    ]
    if (rows["reference"] == "silver").any():
        key.append(("silver labels", Line2D([], [], **bar)))
    key += _known_key(rows[rows["reference"] == KNOWN])
    return [*key, ("bound from agreement", Patch(facecolor=BOUND))]


def _truth_marks(axes: Axes, rows: pd.DataFrame, heights: dict, styles: dict[str, Style]) -> None:
    keys = list(zip(rows["head"], rows["model"], strict=True))
    rows = rows.assign(y=[heights.get(key, np.nan) for key in keys])
    rows = rows[rows["y"].notna()]
    bound = rows[rows["estimator"] == "bound"]
    axes.hlines(bound["y"], bound["low"], bound["high"], color=BOUND, linewidth=13, zorder=1)
    for model, style in styles.items():
        own = rows[rows["model"] == model]
        best, direct = (own[own["estimator"] == name] for name in ("post_stratified", "direct"))
        plotting.intervals(axes, best, best["y"], style)
        axes.plot(
            direct["value"],
            direct["y"],
            "o",
            color=style.colour,
            markerfacecolor="white",
            markersize=5,
            zorder=2.5,
        )
        for y, value, low, high in best[["y", "value", "low", "high"]].dropna().to_numpy():
            plotting.label_right(axes, y, estimate(value, low, high))
    silver = rows[rows["reference"] == "silver"]
    axes.plot(silver["value"], silver["y"], "|", color=SILVER, markersize=12, markeredgewidth=2.2, zorder=4)
    known = rows[rows["reference"] == KNOWN]
    plotting.known_marks(axes, known["value"], known["y"])


def _truth_title(best: pd.Series, judged: list[Attribute], styles: dict[str, Style], judge: str) -> str:
    """The attribute on which the first model does worst; neutral where nothing was judged."""
    models = [m for m in styles if m != "silver"]
    known = {a.name: best.get(("macro_f1", models[0], a.name), np.nan) for a in judged} if models else {}
    known = {name: value for name, value in known.items() if not np.isnan(value)}
    if not known:
        return f"Models against the {judge}"
    worst = min(known, key=known.__getitem__)
    name, score = styles[models[0]].name, number(known[worst], 2)
    title = f"Against the {judge}, {name} has macro-F1 {score} on {words(worst)}"
    silver = best.get(("macro_f1", "silver", worst), np.nan)
    return title if np.isnan(silver) else f"{title}; the silver labels themselves have {number(silver, 2)}"


def _truth_alt(best: pd.Series, judged: list[Attribute], styles: dict[str, Style], judge: str) -> str:
    if not judged:
        return f"The {judge} judged nothing, so no score against the truth is estimable."
    sentences = []
    for model, style in styles.items():
        scores = [
            f"{number(best.get(('macro_f1', model, a.name), np.nan))} on {words(a.name)}" for a in judged
        ]
        sentences.append(f"{capital(style.name)} {'have' if model == 'silver' else 'has'} {joined(scores)}.")
    return f"Macro-F1 against the {judge}, post-stratified to the whole split. {' '.join(sentences)}"
