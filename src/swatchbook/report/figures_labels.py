"""Figures of the silver labels: how much was labelled, how surely and how rightly, and who was left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from swatchbook.report.display import NOT_ESTIMABLE, estimate, number
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
from swatchbook.report.figures_rows import ROW, Group, class_group, ladder, tallest, two_columns
from swatchbook.report.figures_style import (
    INK,
    PALETTE,
    RULE,
    SILVER,
    SMALL,
    SOFT,
    SWATCHES,
    Look,
    mark,
    not_here,
    sheet,
    words,
)
from swatchbook.schema import Schema

COVERAGE = ["attribute", "class", "metric", "value", "low", "high", "n", "interval"]
CONFIDENCE = [
    "attribute", "reference", "statistic", "labels", "left", "right", "confidence", "threshold", "value",
    "low", "high", "n", "interval",
]  # fmt: skip
ABSTENTION = ["attribute", "folder", "metric", "value", "low", "high", "n", "interval", "p"]
SURE = Look("mean confidence of the labels", PALETTE[0], "o")
FOUND = Look("share of the class's images that got a label", PALETTE[1], "s")
KEPT = Look("labels kept", PALETTE[0], "o")
LEFT = Look("abstained from", SOFT, "s")
BAR = "#b9b4ac"
ALPHA = 0.05


def label_coverage(table: pd.DataFrame, schema: Schema) -> tuple[Canvas, str, pd.DataFrame]:
    """Of every class: its share of the labels, their confidence and, with truth, how many were found."""
    rows = rows_of(table, COVERAGE)
    if rows.empty:
        return not_here("What was labelled", "No image was labelled."), "No image was labelled.", rows
    covered = {a.name: only(rows, attribute=a.name, metric="coverage") for a in schema}
    groups = [class_group(a, title=_covered_title(a.name, covered[a.name])) for a in schema]
    groups = [replace(group, swatches=False) for group in groups]  # the bars themselves are coloured
    columns = two_columns(groups)
    height = tallest(columns)
    found = (rows["metric"] == "coverage_of_class").any()
    canvas = sheet(
        0.6 + ROW * height,
        _coverage_title(covered),
        interval_words(rows),
        "After each attribute: the share of all images that have its label.",
        ""
        if rows.loc[rows["metric"] == "confidence", "value"].notna().all()
        else "A rule has no confidence.",
        entries=[("share of the labels", Line2D([], [], color=BAR, linewidth=7))]
        + [(look.name, mark(look)) for look in (SURE, FOUND)[: 1 + found]],
    )
    reach = or_one(rows.loc[rows["metric"] == "share", "high"].max()) * 1.08
    panels = canvas.subplots(1, 2 * len(columns), width_ratios=[1, 1] * len(columns), squeeze=False)[0]
    for k, column in enumerate(columns):
        left, right = panels[2 * k : 2 * k + 2]
        ys = ladder(left, column, height)
        right.set_ylim(left.get_ylim())
        right.set_yticks([])
        right.grid(axis="x", linewidth=0.8)
        right.set_axisbelow(True)
        left.set(xlim=(0, reach), xlabel="share of the labels")
        right.set(xlim=(0, 1), xlabel="confidence, share found" if found else "confidence")
        right.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        for (name, label), y in ys.of.items():
            own = rows[(rows["attribute"] == name) & (rows["class"] == label)]
            _share_bar(left, only(own, metric="share"), y, label)
            for metric, look, offset in (("confidence", SURE, -0.14), ("coverage_of_class", FOUND, 0.14)):
                row = only(own, metric=metric)
                if row is not None:
                    interval(right, row, y + offset * found, look, size=5)
    return canvas, _coverage_alt(rows, covered, schema), rows


def _share_bar(axes: Axes, row: pd.Series | None, y: float, label: str) -> None:
    if row is None or np.isnan(row["value"]):
        axes.text(
            0.02, y, NOT_ESTIMABLE, transform=axes.get_yaxis_transform(), va="center", color=SOFT, size=SMALL
        )
        return
    colour = SWATCHES.get(label, BAR)
    axes.barh(y, row["value"], height=0.66, color=colour, edgecolor=SOFT, linewidth=0.6)
    axes.plot([row["low"], row["high"]], [y, y], color="white", linewidth=3.2, solid_capstyle="butt")
    axes.plot([row["low"], row["high"]], [y, y], color=INK, linewidth=1.4, solid_capstyle="butt")


def _covered_title(name: str, row: pd.Series | None) -> str:
    if row is None or np.isnan(row["value"]):
        return f"{words(name)}  ({NOT_ESTIMABLE})"
    return f"{words(name)}  {number(100 * row['value'], 1)} %"


def _percent(covered: dict[str, pd.Series | None]) -> list[tuple[float, str]]:
    known = [(row["value"], name) for name, row in covered.items() if row is not None]
    return sorted((value, name) for value, name in known if not np.isnan(value))


def _coverage_title(covered: dict[str, pd.Series | None]) -> str:
    known = _percent(covered)
    if not known:
        return "What was labelled"
    (least, name), (most, other) = known[0], known[-1]
    if len(known) == 1 or least == most:
        return (
            f"{number(100 * most, 1)} % of the images have a label of {listing([words(n) for _, n in known])}"
        )
    return (
        f"{number(100 * least, 1)} % of the images have a label of {words(name)}, "
        f"{number(100 * most, 1)} % of {words(other)}"
    )


def _coverage_alt(rows: pd.DataFrame, covered: dict[str, pd.Series | None], schema: Schema) -> str:
    known = _percent(covered)
    shares = rows[rows["metric"] == "share"]
    said = [f"{words(name)} {number(100 * value, 1)} %" for value, name in known]
    alt = f"Share of images with a label: {listing(said)}." if said else "What was labelled is not estimable."
    for a in schema:
        own = shares[(shares["attribute"] == a.name) & shares["value"].notna()]
        if len(own):
            top = own.loc[own["value"].idxmax()]
            alt += f" Most frequent {words(a.name)}: {words(top['class'])}, {number(top['value'])} of labels."
    return alt


def label_confidence(table: pd.DataFrame, schema: Schema) -> tuple[Canvas, str, pd.DataFrame]:
    """Reliability: share of labels that is right against the labeller's confidence, a panel an attribute."""
    rows = rows_of(table, CONFIDENCE)
    names = [name for name in schema.names if name in set(rows["attribute"])]
    if not names:
        told = "Nothing says which labels are right, or no label has a confidence."
        return not_here("Confidence against being right", told), told, rows
    reference = str(rows["reference"].iloc[0])
    shares = rows[rows["statistic"] == "share_right"]
    across = min(3, len(names))
    down = -(-len(names) // across)
    canvas = sheet(
        3.55 * down,
        _confidence_title(rows, names),
        f"Right: the label is that of the {reference} ({count_words(shares['n'], 'a bin: n')}).",
        interval_words(shares),
        "On the slanting line, confidence is what it says. The dotted line is the threshold of abstention.",
        "Grey bars: how the labels lie over the bins, the tallest at 0.25.",
        entries=[("labels kept", mark(KEPT)), ("abstained from", mark(LEFT, markerfacecolor="white"))],
    )
    panels = panels_of(canvas, len(names), across)
    for k, (axes, name) in enumerate(zip(panels, names, strict=True)):
        own = rows[rows["attribute"] == name]
        _reliability(axes, own)
        axes.set_title(words(name))
        axes.set_xlabel(f"confidence\n{_ece_words(own)}")
        if k % across == 0:
            axes.set_ylabel("share that is right")
    return canvas, _confidence_alt(rows, names, reference), rows


def _reliability(axes: Axes, own: pd.DataFrame) -> None:
    bins = own[own["statistic"] == "share_right"]
    most = or_one(bins["n"].max())
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.9)
    for _, row in bins.iterrows():
        if np.isnan(row["value"]):
            continue
        look = KEPT if row["labels"] == "kept" else LEFT
        share = 0.25 * row["n"] / most
        axes.bar(
            (row["left"] + row["right"]) / 2, share, width=row["right"] - row["left"], color=RULE, zorder=0
        )
        axes.plot([row["confidence"]] * 2, [row["low"], row["high"]], color=look.colour, linewidth=1.6)
        face = look.colour if look is KEPT else "white"
        axes.plot([row["confidence"]], [row["value"]], look.marker, color=look.colour, markerfacecolor=face,
                  markersize=6, zorder=3)  # fmt: skip
    threshold = own["threshold"].dropna()
    if len(threshold) and threshold.iloc[0] > 0:
        axes.axvline(threshold.iloc[0], color=INK, linewidth=0.9, linestyle=":")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(linewidth=0.8)
    axes.set_axisbelow(True)


def _ece_words(own: pd.DataFrame) -> str:
    row = only(own, statistic="ece")
    if row is None or np.isnan(row["value"]):
        return f"calibration error {NOT_ESTIMABLE}"
    return f"calibration error {estimate(row['value'], row['low'], row['high'])}"


def _gaps(rows: pd.DataFrame, names: list[str]) -> dict[str, float]:
    found = {name: only(rows, attribute=name, statistic="gap") for name in names}
    return {
        name: row["value"] for name, row in found.items() if row is not None and not np.isnan(row["value"])
    }


def _confidence_title(rows: pd.DataFrame, names: list[str]) -> str:
    gaps = _gaps(rows, names)
    if not gaps:
        return "Confidence against being right"
    name = max(gaps, key=lambda n: abs(gaps[n]))
    row = only(rows, attribute=name, statistic="gap")
    if row["low"] <= 0 <= row["high"]:
        return "The labeller's mean confidence is about the share of its labels that is right"
    way = "more sure than right" if gaps[name] > 0 else "less sure than right"
    return f"On {words(name)} the labeller is {way}, by {number(100 * abs(gaps[name]), 1)} points on average"


def _confidence_alt(rows: pd.DataFrame, names: list[str], reference: str) -> str:
    said = []
    for name in names:
        kept = only(rows, attribute=name, statistic="accuracy", labels="kept")
        error = only(rows, attribute=name, statistic="ece")
        if kept is None or np.isnan(kept["value"]):
            said.append(f"{words(name)} {NOT_ESTIMABLE}")
            continue
        told = f"{words(name)} {number(kept['value'])} right"
        known = error is not None and not np.isnan(error["value"])
        said.append(told + (f", calibration error {number(error['value'])}" if known else ""))
    return f"Confidence of the labels kept against the {reference}: {'; '.join(said)}."


def abstention_by_folder(table: pd.DataFrame, schema: Schema) -> tuple[Canvas, str, pd.DataFrame]:
    """Share of each folder's images without a label, a panel an attribute; a line for all."""
    rows = rows_of(table, ABSTENTION, metric="abstained")
    rows["p"] = rows["p"].astype(float)
    names = [name for name in schema.names if name in set(rows["attribute"])]
    folders = [f for f in rows["folder"].unique() if f != "all"]
    if not names or not folders:
        told = "No label was given by confidence, so nothing abstained."
        return not_here("Abstention by folder", told), told, rows
    sizes = count_words(rows.loc[rows["folder"] != "all", "n"], "a folder: n")
    groups = [Group("folders", "", [(f, words(f)) for f in folders])]
    canvas = sheet(
        0.75 + ROW * tallest([groups]),
        _abstention_title(rows, names),
        interval_words(rows),
        f"Filled: differs from all other folders, p < {ALPHA} by Fisher's exact test after Holm's correction "
        "over the folders.",
        f"The line is the share of all images ({sizes}).",
    )
    panels = canvas.subplots(1, len(names), squeeze=False)[0]
    reach = or_one(np.nanmax([*rows[["value", "high"]].to_numpy().ravel(), 0])) * 1.04
    for k, (axes, name) in enumerate(zip(panels, names, strict=True)):
        ys = ladder(axes, groups)
        if k:
            axes.set_yticks([])
        own = rows[rows["attribute"] == name]
        whole = only(own, folder="all")
        if whole is not None and not np.isnan(whole["value"]):
            axes.axvline(whole["value"], color=SOFT, linewidth=1)
        for _, row in own[own["folder"] != "all"].iterrows():
            if np.isnan(row["value"]):
                axes.text(0.02, ys.of[row["folder"]], NOT_ESTIMABLE, transform=axes.get_yaxis_transform(),
                          va="center", color=SOFT, size=SMALL)  # fmt: skip
                continue
            sure = row["p"] < ALPHA
            interval(
                axes,
                row,
                ys.of[row["folder"]],
                Look("", PALETTE[3] if sure else SILVER, "o"),
                hollow=not sure,
            )
        axes.set_title(words(name))
        axes.set(xlim=(0, min(reach, 1.02)), xlabel="share without a label")
    return canvas, _abstention_alt(rows, names), rows


def _abstention_title(rows: pd.DataFrame, names: list[str]) -> str:
    parts = rows[rows["folder"] != "all"]
    tested = parts[parts["p"].notna()]
    proved = tested[tested["p"] < ALPHA]
    if tested.empty:
        return "Share of images without a label, by folder"
    if proved.empty:
        return "No folder is proved to be left out more, or less, than the others"
    said = [
        f"{words(name)} on {own['folder'].nunique()}"
        for name in names
        if len(own := proved[proved["attribute"] == name])
    ]
    return f"The labeller abstains unevenly: {listing(said)} of {parts['folder'].nunique()} folders"


def _abstention_alt(rows: pd.DataFrame, names: list[str]) -> str:
    said = []
    for name in names:
        own = rows[(rows["attribute"] == name) & (rows["folder"] != "all") & rows["value"].notna()]
        if own.empty:
            said.append(f"{words(name)} {NOT_ESTIMABLE}")
            continue
        least, most = own.loc[own["value"].idxmin()], own.loc[own["value"].idxmax()]
        said.append(
            f"{words(name)} from {number(least['value'])} ({words(least['folder'])}) "
            f"to {number(most['value'])} ({words(most['folder'])})"
        )
    return f"Share of images without a label, by folder: {'; '.join(said)}."
