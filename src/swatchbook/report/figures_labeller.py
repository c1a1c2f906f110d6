"""Figures of a labeller measured: per-class F1, risk against coverage, reliability and confusion."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from swatchbook.evaluation.labelling import ALL, MAJORITY, NEAREST
from swatchbook.report import figures_confusion as parts
from swatchbook.report.display import NOT_ESTIMABLE, number
from swatchbook.report.figures_labels import label_confidence
from swatchbook.report.figures_parts import (
    count_words,
    interval,
    interval_words,
    listing,
    only,
    or_one,
    panels_of,
    rows_of,
)
from swatchbook.report.figures_rows import ROW, class_group, ladder, tallest, two_columns
from swatchbook.report.figures_style import (
    PALETTE,
    SMALL,
    SOFT,
    WIDTH,
    Look,
    mark,
    not_here,
    sheet,
    words,
)
from swatchbook.schema import Schema

SETS = {
    "drawn": Look("drawn images", PALETTE[0], "o"),
    "photographs": Look("photographs", PALETTE[1], "s"),
}
BASELINES = {
    MAJORITY: Look("most frequent class", "#8a857e", "|"),
    NEAREST: Look("nearest named colour of the centre", PALETTE[2], "x"),
}
SCORES = ["images", "labels", "attribute", "class", "metric", "value", "low", "high", "n", "interval", "note"]
RISK = ["images", "attribute", "statistic", "threshold", "coverage", "value", "low", "high", "n", "interval"]
CONFUSION = ["images", "head", "reference_class", "predicted_class", "count", "value", "n"]
NO_PHOTOGRAPHS = "No judged photographs were given: --images DIR and --audit FILE."
WITHIN = 0.17  # rows: how far the marks of a row lie apart


def class_f1(table: pd.DataFrame, schema: Schema) -> tuple[Canvas, str, pd.DataFrame]:
    """F1 of each class on drawn images beside photographs, every image labelled; headings are macro-F1."""
    rows = rows_of(table, SCORES, metric=["f1", "macro_f1"], labels=[ALL, *BASELINES])
    rows = rows[(rows["class"] == "all") | (rows["labels"] == ALL)].reset_index(drop=True)
    shown = {of: look for of, look in SETS.items() if of in set(rows["images"])}
    if not shown:
        return not_here("F1 of each class", "No image was labelled."), "No image was labelled.", rows
    groups = [class_group(a) for a in schema if a.name in set(rows["attribute"])]
    columns, named = two_columns(groups), NEAREST in set(rows["labels"])
    height = tallest(columns)
    looks = [*shown.values(), *(look for of, look in BASELINES.items() if of != NEAREST or named)]
    own = rows[rows["labels"] == ALL]
    notes = [note for note in own["note"].dropna().unique() if note]
    there = own[(own["class"] != "all") & (own["n"] > 0)]
    sizes = [
        f"{look.name} {count_words(there.loc[there['images'] == of, 'n'])}" for of, look in shown.items()
    ]
    canvas = sheet(
        0.6 + ROW * height,
        _f1_title(rows, schema, shown),
        interval_words(own),
        "Every image is labelled, sure or not. Beside an attribute's name: macro-F1, the mean over the "
        "classes that occur, and that of the baselines.",
        f"Images of a class: {'; '.join(sizes)}. A mark without a line is a class always or never found: its "
        "resamples are all alike, which is no certainty.",
        *(f"On photographs {note}." for note in notes),
        entries=[(look.name, mark(look)) for look in looks],
    )
    panels = np.ravel(canvas.subplots(1, len(columns), squeeze=False))
    for axes, column in zip(panels, columns, strict=True):
        ys = ladder(axes, column, height)
        axes.set(xlim=(-0.02, 1.02), xlabel="F1")
        for group in column:
            _f1_marks(axes, rows, group.name, "all", ys.heads[group.name], shown)
            for key, _ in group.rows:
                _f1_marks(axes, rows, *key, ys.of[key], shown)
    return canvas, _f1_alt(rows, schema, shown), rows


def _f1_marks(
    axes: Axes, rows: pd.DataFrame, attribute: str, label: str, y: float, shown: dict[str, Look]
) -> None:
    for k, (of, look) in enumerate(shown.items()):
        at = y + (k - (len(shown) - 1) / 2) * 2 * WITHIN
        here = rows[(rows["images"] == of) & (rows["attribute"] == attribute) & (rows["class"] == label)]
        for labels, baseline in BASELINES.items():
            row = only(here, labels=labels)
            if row is not None and not np.isnan(row["value"]):
                axes.plot([row["value"]], [at], baseline.marker, color=baseline.colour, markersize=7,
                          markeredgewidth=1.8, zorder=2)  # fmt: skip
        row = only(here, labels=ALL)
        if row is not None and not np.isnan(row["value"]):
            interval(axes, row, at, look, size=5)
        elif row is not None and of == "drawn":
            axes.text(0, y, NOT_ESTIMABLE, va="center", color=SOFT, size=SMALL)


def _macro(rows: pd.DataFrame, of: str, attribute: str, labels: str = ALL) -> float:
    row = only(rows, images=of, attribute=attribute, labels=labels, metric="macro_f1")
    return np.nan if row is None else float(row["value"])


def _f1_title(rows: pd.DataFrame, schema: Schema, shown: dict[str, Look]) -> str:
    said = []
    for of, look in shown.items():
        known = {n: v for n in schema.names if not np.isnan(v := _macro(rows, of, n))}
        if known:
            told = listing([f"{number(v, 2)} on {words(n)}" for n, v in known.items()])
            said.append(f"{look.name}: macro-F1 {told}")
    return "; ".join(said)[:1].upper() + "; ".join(said)[1:] if said else "F1 of each class"


def _f1_alt(rows: pd.DataFrame, schema: Schema, shown: dict[str, Look]) -> str:
    alt = f"F1 of each class with intervals. {_f1_title(rows, schema, shown)}."
    for of, look in shown.items():
        own = rows[(rows["images"] == of) & (rows["class"] != "all") & rows["value"].notna()]
        if len(own):
            worst, best = own.loc[own["value"].idxmin()], own.loc[own["value"].idxmax()]
            alt += (
                f" Lowest and highest on {look.name}: {words(worst['class'])} {number(worst['value'], 2)}, "
                f"{words(best['class'])} {number(best['value'], 2)}."
            )
        base = _macro(rows, of, "color", NEAREST)
        if not np.isnan(base):
            alt += f" The nearest named colour reaches {number(base, 2)} on color."
    return alt


def risk_curves(table: pd.DataFrame, schema: Schema) -> tuple[Canvas, str, pd.DataFrame]:
    """Share of wrong labels against the share labelled, surest first; a panel an attribute."""
    rows = rows_of(table, RISK)
    names = [name for name in schema.names if name in set(rows["attribute"])]
    if not names:
        return not_here("Risk against coverage", "No image was labelled."), "No image was labelled.", rows
    across = min(2, len(names))
    down = -(-len(names) // across)
    shown = {of: look for of, look in SETS.items() if of in set(rows["images"])}
    canvas = sheet(
        3.3 * down,
        _risk_title(rows, names, shown),
        interval_words(rows[rows["statistic"] == "risk"], "Bands"),
        "From left to right less sure labels come in; at the right end every image has its label. The mark "
        "is the schema's threshold of abstention. AURC is the mean height of a curve, 0 at best.",
        entries=[(look.name, mark(look)) for look in shown.values()],
    )
    panels = panels_of(canvas, len(names), across)
    top = or_one(rows.loc[rows["statistic"] != "aurc", "high"].max())
    for k, (axes, name) in enumerate(zip(panels, names, strict=True)):
        told = []
        for of, look in shown.items():
            own = rows[(rows["images"] == of) & (rows["attribute"] == name)]
            if own.empty:
                continue
            _curve(axes, own, look)
            told.append(f"AURC {number(only(own, statistic='aurc')['value'], 3)} ({look.name})")
        axes.set_title(words(name))
        axes.set(xlim=(0, 1.01), ylim=(0, min(1.02, 1.05 * top)))
        axes.set_xlabel("share of images labelled\n" + "\n".join(told))
        axes.grid(linewidth=0.8)
        axes.set_axisbelow(True)
        if k % across == 0:
            axes.set_ylabel("share of labels that is wrong")
    return canvas, _risk_alt(rows, names, shown), rows


def _curve(axes: Axes, own: pd.DataFrame, look: Look) -> None:
    curve = own[own["statistic"] == "risk"]
    axes.fill_between(
        curve["coverage"], curve["low"], curve["high"], color=look.colour, alpha=0.15, linewidth=0
    )
    axes.plot(curve["coverage"], curve["value"], color=look.colour, linewidth=1.6)
    row = only(own, statistic="kept")
    if row is not None and not np.isnan(row["value"]):
        axes.plot(
            [row["coverage"]], [row["value"]], look.marker, color=look.colour, markersize=7, clip_on=False
        )


def _ends(rows: pd.DataFrame, of: str, name: str) -> tuple[float, float, float] | None:
    """Share of images kept at the threshold, and the risk there and of all labels."""
    own = rows[(rows["images"] == of) & (rows["attribute"] == name)]
    row, curve = only(own, statistic="kept"), own[own["statistic"] == "risk"]
    return None if row is None else (row["coverage"], row["value"], curve["value"].iloc[-1])


def _risk_title(rows: pd.DataFrame, names: list[str], shown: dict[str, Look]) -> str:
    of = list(shown)[-1]
    found = {name: ends for name in names if (ends := _ends(rows, of, name)) and not np.isnan(ends[1])}
    if not found:
        return "Risk against coverage"
    name, (share, risk, whole) = max(found.items(), key=lambda pair: pair[1][2] - pair[1][1])
    return (
        f"On {shown[of].name}, {number(100 * risk, 0)}\u00a0% of the labels of {words(name)} that are kept "
        f"are wrong, of all {number(100 * whole, 0)}\u00a0%; {number(100 * share, 0)}\u00a0% are kept"
    )


def _risk_alt(rows: pd.DataFrame, names: list[str], shown: dict[str, Look]) -> str:
    said = []
    for of, look in shown.items():
        for name in names:
            ends = _ends(rows, of, name)
            if ends is not None:
                share, risk, whole = (number(x, 2) for x in ends)
                said.append(f"{words(name)}, {look.name}: {risk} of {share} kept, {whole} of all")
    return f"Share of wrong labels against the share of images labelled. {'; '.join(said)}."


def reliability(table: pd.DataFrame, schema: Schema, *, of: str) -> tuple[Canvas, str, pd.DataFrame]:
    """One set's reliability diagrams; ``of`` is ``drawn`` or ``photographs``."""
    rows = table[table["images"] == of]
    known = set(rows.loc[rows["statistic"] == "share_right", "attribute"])
    if not known:
        return not_here(f"Confidence on {SETS[of].name}", NO_PHOTOGRAPHS), NO_PHOTOGRAPHS, rows
    canvas, alt, data = label_confidence(rows[rows["attribute"].isin(known)], schema)
    return canvas, f"{SETS[of].name.capitalize()}. {alt} The errors are those of all labels.", data


def confusion(table: pd.DataFrame, schema: Schema, *, of: str) -> tuple[Canvas, str, pd.DataFrame]:
    """One set's confusion matrices, a panel an attribute; ``of`` is ``drawn`` or ``photographs``."""
    rows = rows_of(table, CONFUSION, images=of)
    called = SETS[of].name
    judged = tuple(a for a in schema if rows.loc[rows["head"] == a.name, "n"].sum() > 0)
    if not judged:
        return not_here(f"What is taken for what on {called}", NO_PHOTOGRAPHS), NO_PHOTOGRAPHS, rows
    worst = _most_frequent(rows)
    title = f"What the labeller takes each class for on {called}" + (
        f": most often {worst[0]}" if worst else ", where it is never wrong"
    )
    columns = parts._columns(Schema(schema.name, judged))
    fixed = sum(max(parts._left(a) for a in column) for column in columns) + 0.1
    side = min(parts.CELL, (WIDTH - fixed) / sum(max(len(a) for a in column) for column in columns))
    canvas = sheet(
        max(sum(parts._height(a, side) for a in column) for column in columns),
        title,
        "A row is what is true, with its number of images; a cell is the share of them, in percent, that was "
        "given the column's label, sure or not"
        + (", and their count below." if side >= parts.ROOM_FOR_COUNTS else "."),
        "Under 0.5\u00a0% nothing is written.",
    )
    _, low, _, tall = canvas.get_layout_engine().get()["rect"]
    canvas.set_layout_engine("none")
    width, height = canvas.get_size_inches()
    left = 0.0
    for column in columns:
        left += max(parts._left(a) for a in column)
        top = (low + tall) * height
        for a in column:
            size = len(a) * side
            place = (left / width, (top - parts.HEAD - size) / height, size / width, size / height)
            parts._panel(canvas.add_axes(place), rows[rows["head"] == a.name], a, side)
            top -= parts._height(a, side)
        left += max(len(a) for a in column) * side
    alt = f"Confusion matrices on {called}, every image labelled."
    return canvas, alt + (f" Most often mistaken: {listing(worst)}." if worst else ""), rows


def _most_frequent(rows: pd.DataFrame) -> list[str]:
    """The three most frequent mistakes in words."""
    wrong = rows[(rows["reference_class"] != rows["predicted_class"]) & (rows["count"] > 0)]
    wrong = wrong.sort_values(["count", "value"], ascending=False, kind="stable").head(3)
    columns = ["reference_class", "predicted_class", "count", "n"]
    return [
        f"{words(true)} for {words(taken)} ({count:.0f} of {n:.0f})"
        for true, taken, count, n in wrong[columns].itertuples(index=False, name=None)
    ]
