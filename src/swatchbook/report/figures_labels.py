"""Figures of the silver labels: how much was labelled, how surely and how rightly, and who was left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from swatchbook.report import plotting
from swatchbook.report.figure import (
    INK,
    PALETTE,
    RULE,
    SILVER,
    SMALL,
    SOFT,
    Figure,
    Style,
    empty_figure,
    key_mark,
    sheet,
)
from swatchbook.report.wording import NOT_ESTIMABLE, SWATCHES, capital, estimate, joined, number, words
from swatchbook.schema import Schema

COVERAGE = ["attribute", "class", "metric", "value", "low", "high", "n", "interval"]
CONFIDENCE = [
    "attribute", "reference", "statistic", "labels", "left", "right", "confidence", "threshold", "value",
    "low", "high", "n", "interval",
]  # fmt: skip
ABSTENTION = ["attribute", "folder", "metric", "value", "low", "high", "n", "interval", "p"]
MEAN_CONFIDENCE = Style("mean confidence of the labels", PALETTE[0], "o")
CLASS_COVERAGE = Style("share of the class's images that got a label", PALETTE[1], "s")
KEPT = Style("labels kept", PALETTE[0], "o")
ABSTAINED = Style("abstained from", SOFT, "s")
BAR = "#b9b4ac"
ALPHA = 0.05


def label_coverage(table: pd.DataFrame, schema: Schema) -> Figure:
    """Of every class: its share of the labels, their confidence and, with truth, how many got a label."""
    rows = plotting.select(table, COVERAGE)
    if rows.empty:
        return empty_figure("What was labelled", "No image was labelled.", rows)
    covered = rows[rows["metric"] == "coverage"].set_index("attribute")["value"].reindex(list(schema.names))
    groups = []
    for a in schema:
        share = NOT_ESTIMABLE if np.isnan(covered[a.name]) else f"{number(100 * covered[a.name], 1)} %"
        group = plotting.class_group(a, title=f"{capital(words(a.name))}  ({share})")
        groups.append(replace(group, swatches=False))  # the bars themselves are coloured
    columns = plotting.two_columns(groups)
    height = plotting.max_rows(columns)
    kinds = {"confidence": MEAN_CONFIDENCE, "coverage_of_class": CLASS_COVERAGE}
    kinds = {
        metric: style
        for k, (metric, style) in enumerate(kinds.items())
        if not k or metric in set(rows["metric"])
    }
    drawing = sheet(
        0.6 + plotting.ROW * height,
        _coverage_title(covered.dropna()),
        plotting.interval_note(rows),
        "After each attribute: the share of all images that have its label.",
        "A rule has no confidence." * bool(rows.loc[rows["metric"] == "confidence", "value"].isna().any()),
        key=[
            ("share of the labels", Patch(facecolor=BAR)),
            *((style.name, key_mark(style)) for style in kinds.values()),
        ],
    )
    reach = plotting.positive_or_one(rows.loc[rows["metric"] == "share", "high"].max()) * 1.08
    panels = drawing.subplots(1, 2 * len(columns), width_ratios=[1, 1] * len(columns), squeeze=False)[0]
    for k, column in enumerate(columns):
        left, right = panels[2 * k : 2 * k + 2]
        heights = plotting.set_rows(left, column, height).rows
        right.set(ylim=left.get_ylim(), yticks=[])
        right.grid(axis="x")
        left.set(xlim=(0, reach), xlabel="Share of the labels")
        right.set(xlim=(0, 1), xlabel="Confidence, share" if len(kinds) > 1 else "Confidence")
        right.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        index, y = pd.MultiIndex.from_tuples(heights), np.array(list(heights.values()))
        by_metric = {
            m: own.set_index(["attribute", "class"]).reindex(index) for m, own in rows.groupby("metric")
        }
        _share_bars(
            left, by_metric.get("share", rows.set_index(["attribute", "class"])[:0].reindex(index)), y
        )
        for (metric, style), offset in zip(kinds.items(), np.linspace(-0.14, 0.14, 2), strict=False):
            if metric in by_metric:
                plotting.intervals(right, by_metric[metric], y + offset * (len(kinds) > 1), style, size=5)
    return Figure(drawing, _coverage_alt(rows, covered.dropna(), schema), rows)


def _share_bars(axes: Axes, shares: pd.DataFrame, y: np.ndarray) -> None:
    known = shares["value"].notna().to_numpy()
    colours = [SWATCHES.get(label, BAR) for _, label in shares.index[known]]
    axes.barh(y[known], shares["value"][known], height=0.66, color=colours, edgecolor=SOFT, linewidth=0.6)
    for colour, width in (("white", 3.2), (INK, 1.4)):
        axes.hlines(y, shares["low"], shares["high"], color=colour, linewidth=width)
    for height in y[~known]:
        place = {"transform": axes.get_yaxis_transform(), "va": "center", "color": SOFT, "size": SMALL}
        axes.text(0.02, height, NOT_ESTIMABLE, **place)


def _coverage_title(covered: pd.Series) -> str:
    if covered.empty:
        return "What was labelled"
    least, most = covered.idxmin(), covered.idxmax()
    if covered[least] == covered[most]:
        names = joined(list(map(words, covered.index)))
        return f"{number(100 * covered[most], 1)} % of the images have a label of {names}"
    return (
        f"{number(100 * covered[least], 1)} % of the images have a label of {words(least)}, "
        f"{number(100 * covered[most], 1)} % of {words(most)}"
    )


def _coverage_alt(rows: pd.DataFrame, covered: pd.Series, schema: Schema) -> str:
    sentences = [f"{_coverage_title(covered)}." if len(covered) else "What was labelled is not estimable."]
    shares = rows[(rows["metric"] == "share") & rows["value"].notna()]
    for a in schema:
        own = shares[shares["attribute"] == a.name]
        if len(own):
            top = own.loc[own["value"].idxmax()]
            share = f"{number(100 * top['value'], 1)} %"
            sentences.append(
                f"The most frequent {words(a.name)} is {words(top['class'])}, {share} of the labels."
            )
    return " ".join(sentences)


def label_confidence(table: pd.DataFrame, schema: Schema) -> Figure:
    """Reliability: share of labels that is right against the labeller's confidence, a panel an attribute."""
    rows = plotting.select(table, CONFIDENCE)
    names = [name for name in schema.names if name in set(rows["attribute"])]
    neutral = "Confidence against being right"
    if not names:
        return empty_figure(
            neutral, "Nothing says which labels are right, or no label has a confidence.", rows
        )
    reference = str(rows["reference"].iloc[0])
    shares = rows[rows["statistic"] == "share_right"]
    across = min(3, len(names))
    drawing = sheet(
        3.55 * -(-len(names) // across),
        _confidence_title(rows, names) or neutral,
        f"Right: the label is that of the {reference} ({plotting.count_note(shares['n'], 'a bin: n')}).",
        plotting.interval_note(shares),
        "On the slanting line, confidence is what it says. The dotted line is the threshold of abstention.",
        "Grey bars: how the labels lie over the bins, the tallest at 0.25.",
        key=[(KEPT.name, key_mark(KEPT)), (ABSTAINED.name, key_mark(ABSTAINED, markerfacecolor="white"))],
    )
    for k, (axes, name) in enumerate(
        zip(plotting.panels_of(drawing, len(names), across), names, strict=True)
    ):
        own = rows[rows["attribute"] == name]
        _reliability_panel(axes, own)
        error = plotting.first_row(own, statistic="ece")
        known = error is not None and not np.isnan(error["value"])
        calibration = estimate(error["value"], error["low"], error["high"]) if known else NOT_ESTIMABLE
        axes.set_title(capital(words(name)))
        axes.set_xlabel(f"Confidence\ncalibration error {calibration}")
        if k % across == 0:
            axes.set_ylabel("Share that is right")
    return Figure(drawing, _confidence_alt(rows, names, reference), rows)


def _reliability_panel(axes: Axes, own: pd.DataFrame) -> None:
    bins = own[(own["statistic"] == "share_right") & own["value"].notna()]
    width = bins["right"] - bins["left"]
    share = 0.25 * bins["n"] / plotting.positive_or_one(bins["n"].max())
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.9)
    axes.bar(bins["left"] + width / 2, share, width=width, color=RULE, zorder=0)
    for style, some in ((KEPT, bins[bins["labels"] == "kept"]), (ABSTAINED, bins[bins["labels"] != "kept"])):
        axes.vlines(some["confidence"], some["low"], some["high"], color=style.colour, linewidth=1.6)
        face = style.colour if style is KEPT else "white"
        mark = {"color": style.colour, "markerfacecolor": face, "markersize": 6, "zorder": 3}
        axes.plot(some["confidence"], some["value"], style.marker, **mark)
    threshold = own["threshold"].dropna()
    if len(threshold) and threshold.iloc[0] > 0:
        axes.axvline(threshold.iloc[0], color=INK, linewidth=0.9, linestyle=":")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.grid()


def _confidence_title(rows: pd.DataFrame, names: list[str]) -> str:
    gaps = rows[(rows["statistic"] == "gap") & rows["attribute"].isin(names)].drop_duplicates("attribute")
    gaps = gaps[gaps["value"].notna()]
    if gaps.empty:
        return ""
    row = gaps.loc[gaps["value"].abs().idxmax()]
    if row["low"] <= 0 <= row["high"]:
        return "The labeller's mean confidence is about the share of its labels that is right"
    surer = "more" if row["value"] > 0 else "less"
    points = number(100 * abs(row["value"]), 1)
    return (
        f"On {words(row['attribute'])} the labeller is {surer} sure than right, by {points} points on average"
    )


def _confidence_alt(rows: pd.DataFrame, names: list[str], reference: str) -> str:
    sentences = []
    for name in names:
        kept = plotting.first_row(rows, attribute=name, statistic="accuracy", labels="kept")
        error = plotting.first_row(rows, attribute=name, statistic="ece")
        if kept is None or np.isnan(kept["value"]):
            sentences.append(f"On {words(name)} that is {NOT_ESTIMABLE}.")
            continue
        known = error is not None and not np.isnan(error["value"])
        sentences.append(
            f"On {words(name)} a share of {number(kept['value'])} is right"
            + (f", with a calibration error of {number(error['value'])}." if known else ".")
        )
    return f"The labels kept, by confidence, held against the {reference}. {' '.join(sentences)}"


def abstention_by_folder(table: pd.DataFrame, schema: Schema) -> Figure:
    """Share of each folder's images without a label, a panel an attribute; a line for all."""
    rows = plotting.select(table, ABSTENTION, metric="abstained").astype({"p": float})
    names = [name for name in schema.names if name in set(rows["attribute"])]
    folders = [f for f in rows["folder"].unique() if f != "all"]
    if not names or not folders:
        reason = "No label was given by confidence, so nothing abstained."
        return empty_figure("Abstention by folder", reason, rows)
    parts = rows[rows["folder"] != "all"]
    groups = [plotting.Group("folders", "", [(f, words(f)) for f in folders])]
    drawing = sheet(
        0.75 + plotting.ROW * plotting.max_rows([groups]),
        _abstention_title(parts, names),
        plotting.interval_note(rows),
        f"Filled: differs from all other folders, p < {ALPHA} by Fisher's exact test after Holm's correction "
        "over the folders.",
        f"The line is the share of all images ({plotting.count_note(parts['n'], 'a folder: n')}).",
    )
    reach = plotting.positive_or_one(np.nanmax([*rows[["value", "high"]].to_numpy().ravel(), 0])) * 1.04
    styles = {True: Style("", PALETTE[3], "o"), False: Style("", SILVER, "o")}
    for k, (axes, name) in enumerate(
        zip(drawing.subplots(1, len(names), squeeze=False)[0], names, strict=True)
    ):
        heights = plotting.set_rows(axes, groups).rows
        if k:
            axes.set_yticks([])
        whole = plotting.first_row(rows, attribute=name, folder="all")
        if whole is not None and not np.isnan(whole["value"]):
            axes.axvline(whole["value"], color=SOFT, linewidth=1)
        own = parts[parts["attribute"] == name]
        y = own["folder"].map(heights).to_numpy(float)
        proved = (own["p"] < ALPHA).to_numpy()
        for differs, style in styles.items():
            plotting.intervals(axes, own[proved == differs], y[proved == differs], style, hollow=not differs)
        for height in y[own["value"].isna().to_numpy()]:
            place = {"transform": axes.get_yaxis_transform(), "va": "center", "color": SOFT, "size": SMALL}
            axes.text(0.02, height, NOT_ESTIMABLE, **place)
        axes.set_title(capital(words(name)))
        axes.set(xlim=(-0.02 * reach, min(reach, 1.02)), xlabel="Share without a label")
    return Figure(drawing, _abstention_alt(parts, names), rows)


def _abstention_title(parts: pd.DataFrame, names: list[str]) -> str:
    proved = parts[parts["p"] < ALPHA]
    if parts["p"].isna().all():
        return "Share of images without a label, by folder"
    if proved.empty:
        return "No folder is proved to be left out more, or less, than the others"
    counts = proved.groupby("attribute")["folder"].nunique()
    texts = [f"{words(name)} on {counts[name]}" for name in names if name in counts]
    return f"The labeller abstains unevenly: {joined(texts)} of {parts['folder'].nunique()} folders"


def _abstention_alt(parts: pd.DataFrame, names: list[str]) -> str:
    sentences = []
    for name in names:
        own = parts[(parts["attribute"] == name) & parts["value"].notna()]
        if own.empty:
            sentences.append(f"For {words(name)} it is {NOT_ESTIMABLE}.")
            continue
        least, most = own.loc[own["value"].idxmin()], own.loc[own["value"].idxmax()]
        sentences.append(
            f"For {words(name)} it ranges from {number(least['value'])} ({words(least['folder'])}) "
            f"to {number(most['value'])} ({words(most['folder'])})."
        )
    return f"The share of images without a label, folder by folder. {' '.join(sentences)}"
