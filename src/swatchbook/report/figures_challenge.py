"""Figures of the attribute challenge: scores, classes, operating points, learning curves, differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from swatchbook.names import called
from swatchbook.report import plotting
from swatchbook.report.figure import INK, PALETTE, SOFT, Figure, Style, empty_figure, key_mark, sheet
from swatchbook.report.figures_confusion import draw_matrices, mistakes
from swatchbook.report.wording import capital, estimate, joined, number, words
from swatchbook.schema import Schema

SCORES = [
    "model",
    "variant",
    "group",
    "class",
    "metric",
    "value",
    "low",
    "high",
    "n",
    "interval",
    "published",
]
POINTS = ["group", "strength", "chosen", "metric", "value", "low", "high", "n", "interval"]
CURVES = ["source", "model", "group", "epoch", "loss", "accuracy"]
DIFFERENCES = ["model", "variant", "baseline", "baseline_variant", "group", "metric", "value", "low", "high",
               "n", "interval", "p", "p_holm"]  # fmt: skip
OVERALL = "overall_accuracy"
METRICS = {OVERALL: "Overall accuracy", "aca": "Average class accuracy"}
OURS, PLAIN, ADJUSTED = (
    "ours",
    Style("ours, plain", PALETTE[0], "o"),
    Style("ours, adjusted", PALETTE[1], "s"),
)
OTHER = Style("others", SOFT, "D")
SHOWN = 12  # rows of differences
UNREPORTED = "ours_"  # single models of ours; their mean is reported


def title_of(model: str, variant: str) -> str:
    """A model and its variant in words; the plain one without."""
    name = words(called(model))
    return name if variant in ("plain", "constant") else f"{name}, {variant}"


def challenge_scores(table: pd.DataFrame, schema: Schema) -> Figure:
    """Both metrics of every model, with intervals; diamonds are what was published."""
    rows = plotting.select(table, SCORES, metric=list(METRICS), group="all")
    rows = rows.sort_values(
        "metric", kind="stable", key=lambda m: m.map(list(METRICS).index), ignore_index=True
    )
    if rows.empty:
        return empty_figure("Both scores of every model", "No model was scored.", rows)
    first = rows[rows["metric"] == "overall_accuracy"].sort_values("value", ascending=False, kind="stable")
    order = list(first[["model", "variant"]].itertuples(index=False, name=None))
    group = plotting.Group("", "", [(key, title_of(*key)) for key in order])
    best = {metric: own.loc[own["value"].idxmax()] for metric, own in rows.groupby("metric")}
    told = [
        f"{METRICS[m].lower()} {estimate(r['value'], r['low'], r['high'])} "
        f"({title_of(r['model'], r['variant'])})"
        for m, r in ((m, best[m]) for m in METRICS)
    ]
    drawing = sheet(
        0.6 + plotting.ROW * len(order),
        f"Best: {joined(told)}",
        plotting.interval_note(rows),
        f"{count_of(rows)} validation images, on which nothing was chosen. Average class accuracy is "
        "the mean "
        "recall of all classes of all groups; answers that are constant reach 6/26.",
        "Open diamonds: published scores of the system of that name, at its full size; those of 003 are "
        "of the "
        "secret test set."
        if rows["published"].notna().any()
        else "",
        key=[(s.name, key_mark(s)) for s in (PLAIN, ADJUSTED, OTHER)],
    )
    for axes, (metric, name) in _panels(drawing):
        heights = plotting.set_rows(axes, [group]).rows
        axes.tick_params(labelleft=metric == OVERALL)
        own = rows[rows["metric"] == metric].set_index(["model", "variant"]).reindex(order)
        for style, kept in _by_style(order):
            plotting.intervals(axes, own.iloc[kept], np.arange(len(order))[kept], style, size=6)
        plotting.published_marks(axes, own["published"], list(heights.values()))
        axes.set(xlabel=name, xlim=(plotting.axis_start(own["low"]), min(1.0, own["high"].max() + 0.05)))
    alt = f"Overall accuracy and average class accuracy of {len(order)} models. Best: {joined(told)}."
    return Figure(drawing, alt, rows)


def _panels(drawing: Drawing) -> list[tuple[Axes, tuple[str, str]]]:
    """A panel a metric, and what it shows."""
    return list(zip(drawing.subplots(1, 2), METRICS.items(), strict=True))


def _by_style(order: Sequence[tuple[str, str]]) -> list[tuple[Style, list[int]]]:
    styles = [ADJUSTED if v == "adjusted" else PLAIN if m.startswith(OURS) else OTHER for m, v in order]
    return [(s, [k for k, style in enumerate(styles) if style is s]) for s in dict.fromkeys(styles)]


def count_of(rows: pd.DataFrame) -> str:
    """How many images the scores rest on."""
    n = rows["n"].max()
    return "No" if np.isnan(n) else f"{n:,.0f}"


def challenge_recalls(table: pd.DataFrame, schema: Schema) -> Figure:
    """Recall of each class at both operating points of our recipe; headings are accuracies."""
    rows = plotting.select(table, SCORES, model=OURS, metric=["recall", "accuracy"])
    rows = rows[(rows["metric"] == "accuracy") | (rows["class"] != "all")].reset_index(drop=True)
    if rows.empty:
        return empty_figure("Recall of each class", "Our recipe was not trained.", rows)
    columns = plotting.two_columns([plotting.class_group(a) for a in schema])
    height, styles = plotting.max_rows(columns), {"plain": PLAIN, "adjusted": ADJUSTED}
    recalls = rows[rows["metric"] == "recall"]
    gain = _gains(recalls)
    drawing = sheet(
        0.6 + plotting.ROW * height,
        f"What logit adjustment moves: {gain}" if gain else "Recall of each class",
        plotting.interval_note(rows),
        f"Images of a class: {plotting.count_note(recalls['n'])}. Beside a group's name: its accuracy.",
        key=[(s.name, key_mark(s)) for s in styles.values()],
    )
    for axes, column in zip(np.ravel(drawing.subplots(1, len(columns), squeeze=False)), columns, strict=True):
        heights = plotting.set_rows(axes, column, height)
        places = {(name, "all"): y for name, y in heights.headings.items()} | heights.rows
        index = pd.MultiIndex.from_tuples(places)
        for k, (variant, style) in enumerate(styles.items()):
            own = rows[rows["variant"] == variant].set_index(["group", "class"]).reindex(index)
            plotting.intervals(axes, own, np.array(list(places.values())) + (k - 0.5) * 0.3, style, size=5)
        axes.set(xlim=(-0.02, 1.02), xlabel="Recall")
    return Figure(
        drawing, f"Recall of each class, plain and adjusted. {capital(gain)}." if gain else "Recall.", rows
    )


def _gains(recalls: pd.DataFrame) -> str:
    """The class that adjustment helps most, and the one that it costs most."""
    both = recalls.pivot_table(index=["group", "class"], columns="variant", values="value")
    if not {"plain", "adjusted"} <= set(both) or both.empty:
        return ""
    change = (both["adjusted"] - both["plain"]).sort_values()
    parts = [
        f"{words(change.index[k][1])} {number(both['plain'][change.index[k]], 2)} → "
        f"{number(both['adjusted'][change.index[k]], 2)}"
        for k in (-1, 0)
    ]
    return ", ".join(parts)


def challenge_points(table: pd.DataFrame, schema: Schema) -> Figure:
    """Both scores against the strength of logit adjustment, on the parts cut from the training images."""
    rows = plotting.select(table, POINTS)
    if rows.empty:
        return empty_figure("Two operating points", "No strength was tried.", rows)
    chosen, in_all = rows["chosen"].astype(bool), rows["group"] == "all"
    own = rows[chosen & ~in_all].drop_duplicates("group").set_index("group")["strength"]
    drawing = sheet(
        2.6,
        "One training, two operating points: none adjusted for overall accuracy, each group by its own "
        "strength for average class accuracy",
        plotting.interval_note(rows, "Bands"),
        f"{count_of(rows)} images cut from the training part, each answered by a model that has not seen it. "
        "Nothing was chosen on the validation images. Lines: one strength for all groups; dashed: each "
        "group's own, " + ", ".join(f"{words(group)} {strength:g}" for group, strength in own.items()) + ".",
        key=[(name, Line2D([], [], color=s.colour, linewidth=2)) for name, s in _lines()],
    )
    axes, told = drawing.subplots(), []
    for metric, (name, style) in zip(METRICS, _lines(), strict=True):
        of_metric = in_all & (rows["metric"] == metric)
        line, (best,) = rows[of_metric & ~chosen], rows.loc[of_metric & chosen, "value"]
        axes.fill_between(
            line["strength"], line["low"], line["high"], color=style.colour, alpha=0.15, linewidth=0
        )
        axes.plot(line["strength"], line["value"], color=style.colour, linewidth=1.8)
        axes.plot(0.0, line["value"].iloc[0], style.marker, color=style.colour)
        axes.axhline(best, color=style.colour, linewidth=1, linestyle=(0, (4, 2)))
        told.append(f"{name.lower()} goes from {number(line['value'].iloc[0])} to {number(best)}")
    axes.set(xlabel="Strength τ of logit adjustment", ylabel="Score on the cut parts")
    axes.grid(axis="y")
    return Figure(drawing, f"With each group's own strength {'; '.join(told)}.", rows)


def _lines() -> list[tuple[str, Style]]:
    return [(METRICS["overall_accuracy"], PLAIN), (METRICS["aca"], ADJUSTED)]


def challenge_curves(table: pd.DataFrame, schema: Schema) -> Figure:
    """Accuracy of each group by epoch: this run's trainings beside the published curves."""
    rows = plotting.select(table, CURVES)
    if rows.empty:
        return empty_figure("Learning curves by group", "Nothing was trained.", rows)
    own, published = (rows[rows["source"] == source] for source in ("this run", "published"))
    best = own.groupby("model")["accuracy"].mean().idxmax() if len(own) else ""
    reach = {g: published.loc[published["group"] == g, "accuracy"].max() for g in schema.names}
    drawing = sheet(
        4.4,
        "Learning curves by group: the published trainings beside this run's",
        "Accuracy by epoch, one training a line, so there are no intervals. Published: the nine trainings of "
        "system 003's repository, on the validation images, means over batches. This run's are measured "
        "on the "
        "part that was cut from the training images.",
        f"Thick: {title_of(best, 'plain')}, the best of this run." if best else "",
        key=[
            ("published", Line2D([], [], color="#b9b4ac", linewidth=1.6)),
            ("this run", Line2D([], [], color=PALETTE[0], linewidth=1.6)),
        ],
    )
    panels = plotting.panels_of(drawing, len(schema.names), 3)
    for axes, group in zip(panels, schema.names, strict=True):
        for some, colour in ((published, "#b9b4ac"), (own, PALETTE[0])):
            for model, line in some[some["group"] == group].groupby("model"):
                wide = 2.2 if model == best and some is own else 0.8
                axes.plot(line["epoch"], line["accuracy"], color=colour, linewidth=wide)
        axes.set_title(capital(words(group)), weight="normal")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.grid(axis="y")
    for axes in panels[-3:]:
        axes.set_xlabel("Epoch")
    told = joined([f"{words(g)} {number(value, 2)}" for g, value in reach.items() if not np.isnan(value)])
    return Figure(drawing, f"Accuracy by epoch and group. The published trainings reach {told}.", rows)


def challenge_differences(table: pd.DataFrame, schema: Schema) -> Figure:
    """Paired differences in both metrics: one setting changed, or ours against another."""
    rows = plotting.select(table, DIFFERENCES, metric=list(METRICS), group="all")
    rows = rows[~((rows["model"] == OURS) & rows["baseline"].str.startswith(("resnet50", "se_resn", "vit")))]
    rows = rows.reset_index(drop=True)
    if rows.empty:
        return empty_figure("Paired differences", "Only one model was scored.", rows)
    keys = list(
        rows[["model", "variant", "baseline", "baseline_variant"]]
        .drop_duplicates()
        .itertuples(index=False, name=None)
    )
    group = plotting.Group("", "", [(k, f"{title_of(*k[:2])} less {title_of(*k[2:])}") for k in keys])
    clear = int(((rows["low"] > 0) | (rows["high"] < 0)).sum())
    drawing = sheet(
        0.6 + plotting.ROW * len(keys),
        f"What a single change is worth: {clear} of {len(rows)} differences are clear of zero",
        plotting.interval_note(rows),
        "Each on the same images. Above zero: the first named is better. One training of each, so that the "
        "luck of a seed is not in the intervals.",
    )
    for axes, (metric, name) in _panels(drawing):
        plotting.set_rows(axes, [group])
        axes.tick_params(labelleft=metric == OVERALL)
        own = rows[rows["metric"] == metric].set_index(["model", "variant", "baseline", "baseline_variant"])
        scaled = own.reindex(keys)[["value", "low", "high"]] * 100
        plotting.intervals(axes, scaled, np.arange(len(keys)), PLAIN, size=5)
        axes.axvline(0, color=INK, linewidth=0.9)
        axes.set_xlabel(f"{name}, points")
    largest = rows.loc[rows["value"].abs().idxmax()]
    alt = (
        f"Paired differences of {len(keys)} pairs. The largest: "
        f"{title_of(largest['model'], largest['variant'])} less "
        f"{title_of(largest['baseline'], largest['baseline_variant'])}, "
        f"{number(100 * largest['value'], 1, sign=True)} points."
    )
    return Figure(drawing, alt, rows)


def challenge_confusion(table: pd.DataFrame, schema: Schema, model: str) -> Figure:
    """What each class is taken for by our recipe, a matrix a group."""
    columns = ["model", "head", "reference_class", "predicted_class", "count", "value", "n"]
    rows = plotting.select(table, columns, model=model)
    name = title_of(*((OURS, "adjusted") if model.endswith("adjusted") else (OURS, "plain")))
    title = f"What {name} takes each class for"
    if rows.empty:
        return empty_figure(title, "Our recipe was not trained.", rows)
    worst = mistakes(rows, by="count")
    if worst:
        label, taken, count, _, n = worst[0]
        title += f": most often {words(label)} for {words(taken)} ({count:,.0f} of {n:,.0f})"
    drawing = draw_matrices(rows, schema.attributes, title, "a class of the data set", "answered")
    return Figure(drawing, f"{title}.", rows)
