"""Figures of a labeller measured: per-class F1, risk against coverage, reliability and confusion."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from swatchbook.evaluation.labelling import ALL, MAJORITY, NEAREST
from swatchbook.report import plotting
from swatchbook.report.figure import PALETTE, SMALL, SOFT, Figure, Style, empty_figure, key_mark, sheet
from swatchbook.report.figures_confusion import draw_matrices, mistakes
from swatchbook.report.figures_labels import label_confidence
from swatchbook.report.wording import NOT_ESTIMABLE, capital, joined, number, words
from swatchbook.schema import Schema

SETS = {
    "drawn": Style("drawn images", PALETTE[0], "o"),
    "photographs": Style("photographs", PALETTE[1], "s"),
}
BASELINES = {
    MAJORITY: Style("most frequent class", "#8a857e", "|"),
    NEAREST: Style("nearest named colour of the centre", PALETTE[2], "x"),
}
SCORES = ["images", "labels", "attribute", "class", "metric", "value", "low", "high", "n", "interval", "note"]
RISK = ["images", "attribute", "statistic", "threshold", "coverage", "value", "low", "high", "n", "interval"]
CONFUSION = ["images", "head", "reference_class", "predicted_class", "count", "value", "n"]
NO_IMAGES = "No image was labelled."
NO_PHOTOGRAPHS = "No judged photographs were given: --images DIR and --audit FILE."
DODGE = 0.17  # rows: how far the marks of a row lie apart


def class_f1(table: pd.DataFrame, schema: Schema) -> Figure:
    """F1 of each class on drawn images beside photographs, every image labelled; headings are macro-F1."""
    rows = plotting.select(table, SCORES, metric=["f1", "macro_f1"], labels=[ALL, *BASELINES])
    rows = rows[(rows["class"] == "all") | (rows["labels"] == ALL)].reset_index(drop=True)
    shown = {name: style for name, style in SETS.items() if name in set(rows["images"])}
    if not shown:
        return empty_figure("F1 of each class", NO_IMAGES, rows)
    columns = plotting.two_columns(
        [plotting.class_group(a) for a in schema if a.name in set(rows["attribute"])]
    )
    height = plotting.max_rows(columns)
    own = rows[rows["labels"] == ALL]
    classes = own[(own["class"] != "all") & (own["n"] > 0)]
    sizes = [
        f"{style.name} {plotting.count_note(classes.loc[classes['images'] == name, 'n'])}"
        for name, style in shown.items()
    ]
    baselines = [
        style for labels, style in BASELINES.items() if labels == MAJORITY or labels in set(rows["labels"])
    ]
    drawing = sheet(
        0.6 + plotting.ROW * height,
        _f1_title(rows, schema, shown),
        plotting.interval_note(own),
        "Every image is labelled, sure or not. Beside an attribute's name: macro-F1, the mean over the "
        "classes that occur, and that of the baselines.",
        f"Images of a class: {'; '.join(sizes)}. A mark without a line is a class always or never "
        "recognised: its resamples are all alike, which is no certainty.",
        *(f"On photographs {note}." for note in own["note"].dropna().unique() if note),
        key=[(style.name, key_mark(style)) for style in (*shown.values(), *baselines)],
    )
    panels = np.ravel(drawing.subplots(1, len(columns), squeeze=False))
    for axes, column in zip(panels, columns, strict=True):
        heights = plotting.set_rows(axes, column, height)
        _f1_marks(
            axes, rows, {(name, "all"): y for name, y in heights.headings.items()} | heights.rows, shown
        )
        axes.set(xlim=(-0.02, 1.02), xlabel="F1")
    return Figure(drawing, _f1_alt(rows, schema, shown), rows)


def _f1_marks(axes: Axes, rows: pd.DataFrame, heights: dict, shown: dict[str, Style]) -> None:
    index, middle = pd.MultiIndex.from_tuples(heights), np.array(list(heights.values()))
    for k, (name, style) in enumerate(shown.items()):
        y = middle + (k - (len(shown) - 1) / 2) * 2 * DODGE
        for labels, own in rows[rows["images"] == name].groupby("labels"):
            own = own.set_index(["attribute", "class"]).reindex(index)
            if labels in BASELINES:
                look = BASELINES[labels]
                mark = {"markersize": 7, "markeredgewidth": 1.8, "zorder": 2}
                axes.plot(own["value"], y, look.marker, color=look.colour, **mark)
                continue
            plotting.intervals(axes, own.where(own["value"].notna()), y, style, size=5)
            for height in middle[
                (own["labels"].notna() & own["value"].isna()).to_numpy() & (name == "drawn")
            ]:
                axes.text(0, height, NOT_ESTIMABLE, va="center", color=SOFT, size=SMALL)


def _macro_f1(rows: pd.DataFrame, images: str, attribute: str, labels: str = ALL) -> float:
    row = plotting.first_row(rows, images=images, attribute=attribute, labels=labels, metric="macro_f1")
    return np.nan if row is None else float(row["value"])


def _f1_title(rows: pd.DataFrame, schema: Schema, shown: dict[str, Style]) -> str:
    parts = []
    for images, style in shown.items():
        known = {name: score for name in schema.names if not np.isnan(score := _macro_f1(rows, images, name))}
        if known:
            scores = joined([f"{number(score, 2)} on {words(name)}" for name, score in known.items()])
            parts.append(f"{style.name}: macro-F1 {scores}")
    return "; ".join(parts) or "F1 of each class"


def _f1_alt(rows: pd.DataFrame, schema: Schema, shown: dict[str, Style]) -> str:
    alt = f"F1 of each class with intervals. {capital(_f1_title(rows, schema, shown))}."
    for images, style in shown.items():
        own = rows[(rows["images"] == images) & (rows["class"] != "all") & rows["value"].notna()]
        if len(own):
            worst, best = own.loc[own["value"].idxmin()], own.loc[own["value"].idxmax()]
            alt += (
                f" On {style.name} {words(worst['class'])} is lowest ({number(worst['value'], 2)}) and "
                f"{words(best['class'])} highest ({number(best['value'], 2)})."
            )
        base = _macro_f1(rows, images, "color", NEAREST)
        if not np.isnan(base):
            alt += f" The nearest named colour reaches {number(base, 2)} on color."
    return alt


def risk_curves(table: pd.DataFrame, schema: Schema) -> Figure:
    """Share of wrong labels against the share labelled, surest first; a panel an attribute."""
    rows = plotting.select(table, RISK)
    names = [name for name in schema.names if name in set(rows["attribute"])]
    if not names:
        return empty_figure("Risk against coverage", NO_IMAGES, rows)
    across = min(2, len(names))
    shown = {name: style for name, style in SETS.items() if name in set(rows["images"])}
    drawing = sheet(
        3.3 * -(-len(names) // across),
        _risk_title(rows, names, shown),
        plotting.interval_note(rows[rows["statistic"] == "risk"], "Bands"),
        "From left to right less sure labels come in; at the right end every image has its label. The mark "
        "is the schema's threshold of abstention. AURC is the mean height of a curve, 0 at best.",
        key=[(style.name, key_mark(style)) for style in shown.values()],
    )
    top = plotting.positive_or_one(rows.loc[rows["statistic"] != "aurc", "high"].max())
    for k, (axes, name) in enumerate(
        zip(plotting.panels_of(drawing, len(names), across), names, strict=True)
    ):
        areas = []
        for images, style in shown.items():
            own = rows[(rows["images"] == images) & (rows["attribute"] == name)]
            if own.empty:
                continue
            _curve(axes, own, style)
            areas.append(
                f"AURC {number(plotting.first_row(own, statistic='aurc')['value'], 3)} ({style.name})"
            )
        axes.set_title(capital(words(name)))
        axes.set(xlim=(0, 1.01), ylim=(0, min(1.02, 1.05 * top)))
        axes.set_xlabel("\n".join(["Share of images labelled", *areas]))
        axes.grid()
        if k % across == 0:
            axes.set_ylabel("Share of labels that is wrong")
    return Figure(drawing, _risk_alt(rows, names, shown), rows)


def _curve(axes: Axes, own: pd.DataFrame, style: Style) -> None:
    curve, kept = (own[(own["statistic"] == name) & own["value"].notna()] for name in ("risk", "kept"))
    axes.fill_between(
        curve["coverage"], curve["low"], curve["high"], color=style.colour, alpha=0.15, linewidth=0
    )
    axes.plot(curve["coverage"], curve["value"], color=style.colour, linewidth=1.6)
    if len(kept):
        mark = {"color": style.colour, "markersize": 7, "clip_on": False}
        axes.plot(kept["coverage"], kept["value"], style.marker, **mark)


def _at_threshold(rows: pd.DataFrame, images: str, name: str) -> tuple[float, float, float] | None:
    """Share of images kept at the threshold, and the risk there and of all labels."""
    own = rows[(rows["images"] == images) & (rows["attribute"] == name)]
    kept, curve = plotting.first_row(own, statistic="kept"), own[own["statistic"] == "risk"]
    return None if kept is None else (kept["coverage"], kept["value"], curve["value"].iloc[-1])


def _risk_title(rows: pd.DataFrame, names: list[str], shown: dict[str, Style]) -> str:
    images = list(shown)[-1]
    known = {name: at for name in names if (at := _at_threshold(rows, images, name)) and not np.isnan(at[1])}
    if not known:
        return "Risk against coverage"
    name, (share, risk, whole) = max(known.items(), key=lambda pair: pair[1][2] - pair[1][1])
    return (
        f"On {shown[images].name}, {number(100 * risk, 0)}\u00a0% of the labels of {words(name)} that are "
        f"kept are wrong, of all {number(100 * whole, 0)}\u00a0%; {number(100 * share, 0)}\u00a0% are kept"
    )


def _risk_alt(rows: pd.DataFrame, names: list[str], shown: dict[str, Style]) -> str:
    sentences = []
    for images, style in shown.items():
        for name in names:
            at = _at_threshold(rows, images, name)
            if at is not None:
                share, risk, whole = (number(x, 2) for x in at)
                kept = "" if np.isnan(at[1]) else f", and {risk} where a share of {share} is kept"
                sentences.append(
                    f"On {style.name}, a share of {whole} of all labels of {words(name)} is wrong{kept}."
                )
    return f"Share of wrong labels against the share of images labelled. {' '.join(sentences)}"


def reliability(table: pd.DataFrame, schema: Schema, images: str) -> Figure:
    """Reliability diagrams of one set: ``drawn`` or ``photographs``."""
    rows = table[table["images"] == images]
    known = set(rows.loc[rows["statistic"] == "share_right", "attribute"])
    if not known:
        return empty_figure(f"Confidence on {SETS[images].name}", NO_PHOTOGRAPHS, rows)
    figure = label_confidence(rows[rows["attribute"].isin(known)], schema)
    alt = f"{capital(SETS[images].name)}. {figure.alt} The errors are those of all labels."
    return figure._replace(alt=alt)


def confusion(table: pd.DataFrame, schema: Schema, images: str) -> Figure:
    """Confusion matrices of one set, ``drawn`` or ``photographs``, a panel an attribute."""
    rows = plotting.select(table, CONFUSION, images=images)
    name = SETS[images].name
    judged = tuple(a for a in schema if rows.loc[rows["head"] == a.name, "n"].sum() > 0)
    if not judged:
        return empty_figure(f"What is taken for what on {name}", NO_PHOTOGRAPHS, rows)
    worst = [
        f"{words(true)} for {words(taken)} ({count:.0f} of {n:.0f})"
        for true, taken, count, _, n in mistakes(rows, by="count")
    ]
    title = f"What the labeller takes each class for on {name}" + (
        f": most often {worst[0]}" if worst else ", where it is never wrong"
    )
    drawing = draw_matrices(rows, judged, title, "what is true,", "was given, sure or not,")
    alt = f"Confusion matrices on {name}, every image labelled."
    return Figure(drawing, alt + (f" It most often takes {joined(worst)}." if worst else ""), rows)
