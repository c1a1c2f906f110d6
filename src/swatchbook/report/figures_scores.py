"""Figures of the scores: by attribute, by class, two models side by side, and the gaps between them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from swatchbook.report import plotting
from swatchbook.report.figure import (
    AUDITED,
    BASELINES,
    INK,
    REFERENCE,
    SOFT,
    Drawing,
    Figure,
    Style,
    empty_figure,
    key_mark,
    sheet,
    styles_of,
)
from swatchbook.report.wording import NOT_ESTIMABLE, capital, estimate, joined, number, words
from swatchbook.schema import Schema

SCORE = ["model", "head", "class", "metric", "value", "low", "high", "n", "interval", "published"]
GAPS = ["reference", "head", "class", "statistic", "value", "low", "high", "p_holm", "n", "interval"]
DODGE = 0.17  # rows: how far the marks of a row lie from its middle


def f1_by_head(table: pd.DataFrame, schema: Schema) -> Figure:
    """Macro-F1 of every attribute, models and baselines, with the published values around ours."""
    models = [*plotting.models_in(table, BASELINES), *(m for m in BASELINES if m in set(table["model"]))]
    heads = [*schema.names, "mean"]
    rows = plotting.select(table, SCORE, metric="macro_f1", head=heads, **{"class": "all"})
    styles, groups = styles_of(models), []
    for head in heads:
        n = plotting.count_note(rows.loc[rows["head"] == head, "n"])
        title = "Mean of the attributes" if head == "mean" else capital(words(head))
        groups.append(
            plotting.Group(
                head, f"{title}  ({n})" if n else title, [((head, m), styles[m].name) for m in models]
            )
        )
    drawing = sheet(
        0.6 + plotting.ROW * plotting.max_rows([groups]),
        _lead_title(rows, schema, styles) or "Macro-F1 of every attribute, models beside baselines",
        plotting.interval_note(rows),
        _perfect_baseline_note(rows, schema),
        key=[("as published", Line2D([], [], **plotting.DIAMOND))] if rows["published"].notna().any() else [],
    )
    axes = drawing.subplots()
    heights = plotting.set_rows(axes, groups).rows
    rows_y = np.array([heights[key] for key in zip(rows["head"], rows["model"], strict=True)], float)
    for model in models:
        own = (rows["model"] == model).to_numpy()
        plotting.intervals(axes, rows[own], rows_y[own], styles[model])
    plotting.published_marks(axes, rows["published"], rows_y)
    for y, *values in zip(rows_y, rows["value"], rows["low"], rows["high"], strict=True):
        plotting.label_right(axes, y, estimate(*values))
    axes.set(xlim=(0, 1.02), xlabel="Macro-F1 against silver labels")
    return Figure(drawing, _head_alt(rows, models, styles), rows)


def _lead_title(rows: pd.DataFrame, schema: Schema, styles: dict[str, Style]) -> str:
    """The title where the first of two models leads on every attribute; else nothing."""
    models = plotting.models_in(rows, BASELINES)
    if len(models) != 2:
        return ""
    scores = rows.set_index(["model", "head"])["value"]
    gap = (scores[models[0]] - scores[models[1]]).reindex(list(schema.names))
    if gap.isna().any() or not (gap > 0).all() or len(gap) < 2:
        return ""
    most, least = gap.idxmax(), gap.idxmin()
    return (
        f"{styles[models[0]].name} is ahead of {styles[models[1]].name} on every attribute: "
        f"by {number(100 * gap[most], 1)} points on {words(most)}, "
        f"by {number(100 * gap[least], 1)} on {words(least)}"
    )


def _perfect_baseline_note(rows: pd.DataFrame, schema: Schema) -> str:
    """Why a baseline that knows the folder can be perfect."""
    ruled = [a.name for a in schema if a.labelled_by == "folder"]
    perfect = rows[(rows["model"] == "fabric_folder") & rows["head"].isin(ruled) & (rows["value"] == 1)]
    if perfect.empty:
        return ""
    name = capital(words(perfect["head"].iloc[0]))
    return f"{name} is labelled by the folder, which therefore predicts it perfectly."


def _head_alt(rows: pd.DataFrame, models: list[str], styles: dict[str, Style]) -> str:
    """A sentence a model: the range over attributes, and the mean."""
    sentences = []
    for model in models:
        scores = rows[rows["model"] == model].set_index("head")["value"].dropna()
        mean, scores = scores.get("mean", np.nan), scores.drop("mean", errors="ignore")
        if scores.empty:
            sentences.append(f"The score of {styles[model].name} is {NOT_ESTIMABLE}.")
            continue
        low, high = scores.idxmin(), scores.idxmax()
        spread = f"from {number(scores[low])} on {words(low)} to {number(scores[high])} on {words(high)}"
        sentences.append(
            f"{capital(styles[model].name)} has a macro-F1 {spread}"
            + ("." if np.isnan(mean) else f", {number(mean)} on average.")
        )
    return f"Scores against silver labels, attribute by attribute. {' '.join(sentences)}"


def f1_by_class(table: pd.DataFrame, schema: Schema) -> Figure:
    """F1 of every class, models beside each other, grouped by attribute."""
    models = plotting.models_in(table, BASELINES)
    rows = _class_rows(plotting.select(table, SCORE[:-1], metric="f1", model=models))
    styles = styles_of(models)
    drawing, panels = _class_sheet(
        [plotting.class_group(a) for a in schema],
        _range_title(rows, styles),
        [plotting.interval_note(rows), "Right of each class: its images."],
        [(style.name, key_mark(style)) for style in styles.values()],
        axis="F1 against silver labels",
    )
    for axes, heights in panels:
        for model, offset in zip(models, _offsets(len(models)), strict=True):
            own, y = _placed(rows[rows["model"] == model], heights)
            plotting.intervals(axes, own, y + offset, styles[model], size=5.5)
        for key, own in rows.groupby(["head", "class"], sort=False):
            if key in heights:
                _count_beside(axes, heights[key], own)
        axes.set_xlim(plotting.axis_start(rows["low"]), 1.02)
    return Figure(drawing, f"F1 of every class against silver labels. {_class_alt(rows, styles)}", rows)


def _class_rows(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["class"] != "all"].reset_index(drop=True)


def _placed(rows: pd.DataFrame, heights: dict) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows whose class lies in these axes, and their heights."""
    keys = list(zip(rows["head"], rows["class"], strict=True))
    here = np.array([key in heights for key in keys], bool)
    return rows[here], np.array([heights[key] for key in keys if key in heights], float)


def _offsets(count: int) -> np.ndarray:
    return np.linspace(-DODGE, DODGE, count) if count > 1 else np.zeros(1)


def _class_sheet(
    groups: list[plotting.Group], title: str, notes: list[str], key: list, axis: str
) -> tuple[Drawing, list[tuple[Axes, dict]]]:
    """A sheet with every class in two columns; for each its axes and (attribute, class) → height there."""
    columns = plotting.two_columns(groups)
    height = plotting.max_rows(columns)
    drawing = sheet(0.6 + plotting.ROW * height, title, *notes, key=key)
    panels = []
    for axes, column in zip(np.ravel(drawing.subplots(1, len(columns))), columns, strict=True):
        panels.append((axes, plotting.set_rows(axes, column, height).rows))
        axes.set_xlabel(axis)
    return drawing, panels


def _count_beside(axes: Axes, y: float, rows: pd.DataFrame) -> None:
    n = rows["n"].dropna()
    text = NOT_ESTIMABLE if rows["value"].isna().all() else f"{int(n.iloc[0]):,}" if len(n) else ""
    plotting.label_right(axes, y, text, color=SOFT)


def _range_title(rows: pd.DataFrame, styles: dict[str, Style]) -> str:
    """A title that names the first model's range over classes; neutral without one."""
    known = rows[rows["value"].notna()]
    if known.empty:
        return "F1 of every class"
    known = known[known["model"] == known["model"].iloc[0]]
    best, worst = known.loc[known["value"].idxmax()], known.loc[known["value"].idxmin()]
    return (
        f"F1 of every class: {styles[best['model']].name} reaches {number(best['value'], 2)} on "
        f"{words(best['class'])} and {number(worst['value'], 2)} on {words(worst['class'])}"
    )


def _class_alt(rows: pd.DataFrame, styles: dict[str, Style]) -> str:
    """A sentence a model: its worst and its best class."""
    sentences = []
    for model, style in styles.items():
        own = rows[(rows["model"] == model) & rows["value"].notna()]
        if own.empty:
            sentences.append(f"{capital(style.name)} is {NOT_ESTIMABLE}.")
            continue
        best, worst = own.loc[own["value"].idxmax()], own.loc[own["value"].idxmin()]
        sentences.append(
            f"{capital(style.name)} is worst on {words(worst['class'])} ({number(worst['value'])}) "
            f"and best on {words(best['class'])} ({number(best['value'])})."
        )
    return " ".join(sentences)


def backbone_dumbbell(table: pd.DataFrame, schema: Schema) -> Figure:
    """Each class's F1s joined by a line, sorted by the gap between the first model and the best other."""
    models = plotting.models_in(table, BASELINES)
    rows = _class_rows(
        plotting.select(table, [c for c in SCORE if c not in ("n", "published")], metric="f1", model=models)
    )
    scores = rows.pivot_table(
        index=["head", "class"], columns="model", values="value", dropna=False, sort=False
    )
    scores = scores.reindex(columns=models).astype(float)
    gap = scores[models[0]]
    if len(models) > 1:
        gap = gap - scores[models[1:]].max(axis=1)
    groups = []
    for a in schema:
        order = {c: -np.nan_to_num(gap.get((a.name, c), np.nan), nan=-9) for c in a.classes}
        groups.append(plotting.class_group(a, sorted(a.classes, key=order.__getitem__)))
    styles = styles_of(models)
    ahead, known = int((gap > 0).sum()), int(gap.notna().sum())
    title = "F1 of every class, sorted within its attribute"
    if len(models) > 1 and known:
        rival = styles[models[1]].name if len(models) == 2 else "every other model"
        title = f"{styles[models[0]].name} scores above {rival} on {ahead} of {known} classes"
    drawing, panels = _class_sheet(
        groups,
        title,
        [
            plotting.interval_note(rows, "Pale bars"),
            "Right of each class: the gap in F1 points; the figure of the gaps has its paired interval."
            * (len(models) > 1),
        ],
        [(style.name, key_mark(style, linestyle="")) for style in styles.values()],
        axis="F1 against silver labels",
    )
    for axes, heights in panels:
        here = scores.loc[[key in heights for key in scores.index]]
        axes.hlines(
            [heights[key] for key in here.index],
            here.min(axis=1),
            here.max(axis=1),
            color=SOFT,
            linewidth=1.4,
            zorder=2,
        )
        for model, style in styles.items():
            own, y = _placed(rows[rows["model"] == model], heights)
            axes.hlines(y, own["low"], own["high"], color=style.colour, linewidth=7, alpha=0.25)
            axes.plot(own["value"], y, style.marker, color=style.colour, markersize=6.5, zorder=3)
        for key, y in heights.items():
            between = gap.get(key, np.nan)
            text = number(100 * between, 1, sign=True) if len(models) > 1 else number(between)
            plotting.label_right(axes, y, NOT_ESTIMABLE if np.isnan(between) else text)
        axes.set_xlim(plotting.axis_start(rows["low"]), 1.02)
    alt = f"F1 of every class, the models joined by a line. {_class_alt(rows, styles)}"
    if len(models) > 1 and known:
        most, least = gap.idxmax(), gap.idxmin()
        alt += (
            f" The gap is largest on {words(most[1])} ({number(100 * gap[most], 1, sign=True)} points) "
            f"and smallest on {words(least[1])} ({number(100 * gap[least], 1, sign=True)})."
        )
    return Figure(drawing, alt, rows)


def backbone_gaps(table: pd.DataFrame, schema: Schema, judge: str = "human auditor") -> Figure:
    """The gap in F1 of every class with its paired interval, against each reference.

    Args:
        table: From `comparison_table`.
        schema: Gives attributes and classes.
        judge: Who judged the audited images.
    """
    rows = plotting.select(table, GAPS, statistic=["delta_f1", "classes_proved"])
    references = list(rows["reference"].unique())
    if not references:
        return empty_figure("Gaps by class", "No models were compared.", rows)
    ours, theirs = (styles_of([name])[name].name for name in table[["model", "baseline"]].iloc[0])
    known = {"silver": REFERENCE, "audit": Style(f"the {judge}", AUDITED, "o")}
    kinds = {r: known.get(r, Style(words(r), INK, "s")) for r in references}
    gaps = rows[rows["statistic"] == "delta_f1"]
    counts, proved = [], set()
    for reference in references:
        own = gaps[(gaps["reference"] == reference) & gaps["value"].notna()]
        count = plotting.first_row(rows, reference=reference, statistic="classes_proved")
        surely = np.nan if count is None else count["value"]
        proved |= set(own.sort_values("p_holm", kind="stable").index[: int(np.nan_to_num(surely))])
        ahead = f"{int((own['value'] > 0).sum())} of {len(own)} classes against {kinds[reference].name}"
        counts.append(ahead if np.isnan(surely) else f"{ahead} ({number(surely, 0)} proved)")
    title = f"{ours} is ahead of {theirs} on {joined(counts)}"
    drawing, panels = _class_sheet(
        [plotting.class_group(a) for a in schema],
        title,
        [
            f"F1 of {ours} less that of {theirs}.",
            plotting.interval_note(gaps),
            "Filled: proved for this class, one-sided, after Holm's correction over all classes.",
            f"Right of each class: the gap against {kinds[references[0]].name} in F1 points.",
        ],
        [(f"against {kinds[r].name}", key_mark(kinds[r])) for r in references],
        axis="Gap in F1",
    )
    ends = gaps[["value", "low", "high"]].abs().max().max()
    reach = 1.05 * (ends if ends > 0 else 1.0)
    for axes, heights in panels:
        for reference, offset in zip(references, _offsets(len(references)), strict=True):
            own, y = _placed(gaps[gaps["reference"] == reference], heights)
            filled = own.index.isin(proved)
            plotting.intervals(axes, own[filled], y[filled] + offset, kinds[reference], size=5.5)
            plotting.intervals(
                axes, own[~filled], y[~filled] + offset, kinds[reference], hollow=True, size=5.5
            )
            if reference == references[0]:
                for height, value in zip(y, own["value"], strict=True):
                    plotting.label_right(axes, height, number(100 * value, 1, sign=True), color=SOFT)
        axes.set_xlim(-reach, reach)
        axes.axvline(0, color=INK, linewidth=0.9)
    alt = f"Gaps in F1 between two models, class by class, each with its paired interval. {capital(title)}."
    return Figure(drawing, alt, rows)
