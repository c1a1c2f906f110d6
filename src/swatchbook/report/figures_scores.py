"""Figures of the scores: by head, by class, two models side by side, and the gaps between them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

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
    printed,
    rows_of,
)
from swatchbook.report.figures_rows import ROW, Group, class_group, ladder, tallest, two_columns
from swatchbook.report.figures_style import (
    BASELINES,
    DIAMOND,
    HUMAN,
    INK,
    SILVER,
    SOFT,
    Look,
    looks,
    mark,
    not_here,
    sheet,
    words,
)
from swatchbook.schema import Schema

SCORE = ["model", "head", "class", "metric", "value", "low", "high", "n", "interval", "published"]
GAPS = ["reference", "head", "class", "statistic", "value", "low", "high", "p_holm", "n", "interval"]


def f1_by_head(table: pd.DataFrame, schema: Schema) -> tuple[Canvas, str, pd.DataFrame]:
    """Macro-F1 of every head, models and baselines, with the printed values around ours."""
    models = [*models_in(table, BASELINES), *(m for m in BASELINES if m in set(table["model"]))]
    heads = [*schema.names, "mean"]
    rows = rows_of(table, SCORE, metric="macro_f1", head=heads, **{"class": "all"})
    look = looks(models)
    groups = []
    for head in heads:
        n = count_words(rows.loc[rows["head"] == head, "n"])
        title = f"{'mean of heads' if head == 'mean' else words(head)}  ({n})" if n else words(head)
        groups.append(Group(head, title, [((head, m), look[m].name) for m in models]))
    canvas = sheet(
        0.6 + ROW * tallest([groups]),
        _lead_by_head(rows, schema, look) or "Macro-F1 of every head, models beside baselines",
        interval_words(rows),
        _given_back(rows, schema),
        entries=[("as printed", Line2D([], [], **DIAMOND))] if rows["published"].notna().any() else [],
    )
    axes = canvas.subplots()
    ys = ladder(axes, groups)
    for _, row in rows.iterrows():
        y = ys.of[row["head"], row["model"]]
        interval(axes, row, y, look[row["model"]])
        printed(axes, row["published"], y)
        beside(axes, y, estimate(row["value"], row["low"], row["high"]))
    axes.set(xlim=(0, 1.02), xlabel="macro-F1 against silver labels")
    shown = rows.set_index(["model", "head"])["value"]
    said = [
        f"{look[m].name} "
        + listing([f"{words(h)} {number(shown[m, h])}" for h in heads if (m, h) in shown.index])
        for m in models
    ]
    return canvas, f"Macro-F1 against silver labels by head. {'; '.join(said)}.", rows


def _lead_by_head(rows: pd.DataFrame, schema: Schema, look: dict[str, Look]) -> str:
    """The title where the first of two models leads on every head; else nothing."""
    models = [m for m in rows["model"].unique() if m not in BASELINES]
    if len(models) != 2:
        return ""
    scores = rows.set_index(["model", "head"])["value"]
    gap = (scores[models[0]] - scores[models[1]]).reindex(list(schema.names))
    if gap.isna().any() or not (gap > 0).all() or len(gap) < 2:
        return ""
    most, least = gap.idxmax(), gap.idxmin()
    return (
        f"{look[models[0]].name} is ahead of {look[models[1]].name} on every head: "
        f"by {number(100 * gap[most], 1)} points on {words(most)}, "
        f"by {number(100 * gap[least], 1)} on {words(least)}"
    )


def _given_back(rows: pd.DataFrame, schema: Schema) -> str:
    """Why a folder baseline can be perfect."""
    ruled = [a.name for a in schema if a.labelled_by == "folder"]
    perfect = rows[(rows["model"] == "fabric_folder") & rows["head"].isin(ruled) & (rows["value"] == 1)]
    if perfect.empty:
        return ""
    ruled = words(perfect["head"].iloc[0])
    return f"The labels of {ruled} are read off the folder, so the folder gives them back."


def f1_by_class(table: pd.DataFrame, schema: Schema) -> tuple[Canvas, str, pd.DataFrame]:
    """F1 of every class, models beside each other, grouped by head."""
    models = models_in(table, BASELINES)
    rows = rows_of(table, SCORE[:-1], metric="f1", model=models)
    rows = rows[rows["class"] != "all"].reset_index(drop=True)
    look = looks(models)
    canvas, spots = _class_sheet(
        schema,
        _best_and_worst(rows, look),
        [interval_words(rows), "Right of each class: its images."],
        [(look[m].name, mark(look[m])) for m in models],
        axis="F1 against silver labels",
    )
    left = left_end(rows["low"])
    dodge = np.linspace(-0.17, 0.17, len(models)) if len(models) > 1 else [0.0]
    for (head, label), (axes, y) in spots.items():
        own = rows[(rows["head"] == head) & (rows["class"] == label)]
        for model, offset in zip(models, dodge, strict=True):
            row = only(own, model=model)
            if row is not None:
                interval(axes, row, y + offset, look[model], size=5.5)
        _count_beside(axes, y, own)
        axes.set_xlim(left, 1.02)
    return canvas, _class_alt(rows, look, "F1 by class"), rows


def _class_sheet(
    schema: Schema,
    title: str,
    caption: list[str],
    entries: list,
    axis: str,
    groups: list[Group] | None = None,
) -> tuple[Canvas, dict[tuple[str, str], tuple[Axes, float]]]:
    """A sheet with every class in two columns; (head, class) → its axes and height there."""
    columns = two_columns(groups or [class_group(a) for a in schema])
    height = tallest(columns)
    canvas = sheet(0.6 + ROW * height, title, *caption, entries=entries)
    spots = {}
    for axes, column in zip(np.ravel(canvas.subplots(1, len(columns))), columns, strict=True):
        ys = ladder(axes, column, height)
        spots |= {where: (axes, y) for where, y in ys.of.items()}
        axes.set_xlabel(axis)
    return canvas, spots


def _count_beside(axes: Axes, y: float, rows: pd.DataFrame) -> None:
    n = rows["n"].dropna()
    text = NOT_ESTIMABLE if rows["value"].isna().all() else f"{int(n.iloc[0]):,}" if len(n) else ""
    beside(axes, y, text, color=SOFT)


def _best_and_worst(rows: pd.DataFrame, look: dict[str, Look]) -> str:
    """A title that names the first model's range over classes; neutral without one."""
    first = rows[rows["value"].notna()]
    if first.empty:
        return "F1 of every class"
    first = first[first["model"] == first["model"].iloc[0]]
    best, worst = first.loc[first["value"].idxmax()], first.loc[first["value"].idxmin()]
    return (
        f"F1 of every class: {look[best['model']].name} reaches {number(best['value'], 2)} on "
        f"{words(best['class'])} and {number(worst['value'], 2)} on {words(worst['class'])}"
    )


def _class_alt(rows: pd.DataFrame, look: dict[str, Look], what: str) -> str:
    said = []
    for model, one in look.items():
        own = rows[(rows["model"] == model) & rows["value"].notna()]
        if own.empty:
            said.append(f"{one.name} is not estimable")
            continue
        best, worst = own.loc[own["value"].idxmax()], own.loc[own["value"].idxmin()]
        said.append(
            f"{one.name} from {number(worst['value'])} ({words(worst['class'])}) "
            f"to {number(best['value'])} ({words(best['class'])})"
        )
    return f"{what}, {len(rows[['head', 'class']].drop_duplicates())} classes: {'; '.join(said)}."


def backbone_dumbbell(table: pd.DataFrame, schema: Schema) -> tuple[Canvas, str, pd.DataFrame]:
    """Each class's F1s joined by a line, sorted by the gap between the first model and the best other."""
    models = models_in(table, BASELINES)
    rows = rows_of(table, [c for c in SCORE if c not in ("n", "published")], metric="f1", model=models)
    rows = rows[rows["class"] != "all"].reset_index(drop=True)
    scores = {m: own.set_index(["head", "class"])["value"] for m, own in rows.groupby("model", sort=False)}
    gap = scores[models[0]]
    if len(models) > 1:
        gap = gap - pd.concat([scores[m] for m in models[1:]], axis=1).max(axis=1)
    groups = []
    for a in schema:
        order = sorted(
            a.classes, key=lambda c, head=a.name: -np.nan_to_num(gap.get((head, c), np.nan), nan=-9)
        )
        groups.append(class_group(a, order))
    look = looks(models)
    ahead, known = int((gap > 0).sum()), int(gap.notna().sum())
    title = "F1 of every class, sorted within its head"
    if len(models) > 1 and known:
        rival = look[models[1]].name if len(models) == 2 else "every other model"
        title = f"{look[models[0]].name} scores above {rival} on {ahead} of {known} classes"
    canvas, spots = _class_sheet(
        schema,
        title,
        [
            interval_words(rows, "Pale bars"),
            "Right of each class: the gap in F1 points; backbone_gaps draws its paired interval."
            * (len(models) > 1),
        ],
        [(look[m].name, mark(look[m], linestyle="")) for m in models],
        axis="F1 against silver labels",
        groups=groups,
    )
    left = left_end(rows["low"])
    for (head, label), (axes, y) in spots.items():
        own = rows[(rows["head"] == head) & (rows["class"] == label)]
        axes.plot([own["value"].min(), own["value"].max()], [y, y], color=SOFT, linewidth=1.4, zorder=2)
        for _, row in own.iterrows():
            one = look[row["model"]]
            axes.plot([row["low"], row["high"]], [y, y], color=one.colour, linewidth=7, alpha=0.25,
                      solid_capstyle="butt")  # fmt: skip
            axes.plot([row["value"]], [y], one.marker, color=one.colour, markersize=6.5, zorder=3)
        between = gap.get((head, label), np.nan)
        text = number(100 * between, 1, sign=True) if len(models) > 1 else number(between)
        beside(axes, y, text if not np.isnan(between) else NOT_ESTIMABLE)
        axes.set_xlim(left, 1.02)
    alt = _class_alt(rows, look, "F1 by class, models joined")
    if len(models) > 1 and known:
        most, least = gap.idxmax(), gap.idxmin()
        alt += (
            f" The gap is largest on {words(most[1])} ({number(100 * gap[most], 1, sign=True)} points) "
            f"and smallest on {words(least[1])} ({number(100 * gap[least], 1, sign=True)})."
        )
    return canvas, alt, rows


def backbone_gaps(table: pd.DataFrame, schema: Schema) -> tuple[Canvas, str, pd.DataFrame]:
    """The gap in F1 of every class with its paired interval, against each reference."""
    rows = rows_of(table, GAPS, statistic=["delta_f1", "classes_proved"])
    references = list(rows["reference"].unique())
    if not references:
        return not_here("Gaps by class", "No models were compared."), "No models were compared.", rows
    ours, theirs = (looks([name])[name].name for name in table[["model", "baseline"]].iloc[0])
    known = {"silver": ("silver labels", SILVER, "D"), "audit": ("the human labels", HUMAN, "o")}
    kinds = {r: Look(*known.get(r, (words(r), INK, "s"))) for r in references}
    gaps = rows[rows["statistic"] == "delta_f1"]
    said, proved = [], set()
    for reference in references:
        own = gaps[(gaps["reference"] == reference) & gaps["value"].notna()]
        count = only(rows, reference=reference, statistic="classes_proved")
        sure = np.nan if count is None else count["value"]
        proved |= set(own.sort_values("p_holm", kind="stable").index[: int(np.nan_to_num(sure))])
        ahead = f"{int((own['value'] > 0).sum())} of {len(own)} classes against {kinds[reference].name}"
        said.append(ahead if np.isnan(sure) else f"{ahead} ({number(sure, 0)} proved)")
    canvas, spots = _class_sheet(
        schema,
        f"{ours} is ahead of {theirs} on {listing(said)}",
        [
            interval_words(gaps),
            "Filled: proved for this class, one-sided, after Holm's correction over all classes.",
            f"Right of each class: the gap against {kinds[references[0]].name} in F1 points.",
        ],
        [(f"against {kinds[r].name}", mark(kinds[r])) for r in references],
        axis=f"F1 of {ours} − F1 of {theirs}",
    )
    ends = gaps[["value", "low", "high"]].abs().max().max()
    reach = 1.05 * (ends if ends > 0 else 1.0)
    dodge = np.linspace(-0.17, 0.17, len(references)) if len(references) > 1 else [0.0]
    for (head, label), (axes, y) in spots.items():
        here = gaps[(gaps["head"] == head) & (gaps["class"] == label)]
        for reference, offset in zip(references, dodge, strict=True):
            for index, row in here[here["reference"] == reference].iterrows():
                interval(axes, row, y + offset, kinds[reference], hollow=index not in proved, size=5.5)
        axes.set_xlim(-reach, reach)
        axes.axvline(0, color=INK, linewidth=0.9)
        first = here[here["reference"] == references[0]]
        beside(axes, y, number(100 * first["value"].iloc[0], 1, sign=True) if len(first) else "", color=SOFT)
    return canvas, f"Gaps in F1 by class: {ours} is ahead of {theirs} on {listing(said)}.", rows
