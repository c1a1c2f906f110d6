"""Figures of the landmarks study: controls, errors by landmark, curves, label counts, points, attention."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from swatchbook.evaluation.landmarks import VISIBLE
from swatchbook.names import called
from swatchbook.report import plotting
from swatchbook.report.figure import (
    INK,
    PALETTE,
    SMALL,
    SOFT,
    WIDTH,
    Figure,
    Style,
    empty_figure,
    key_mark,
    sheet,
)
from swatchbook.report.tiles import LINE, board, picture, signed_map, write
from swatchbook.report.wording import capital, estimate, joined, number, points, words
from swatchbook.schema import Schema

KEYS = ["task", "name", "metric", "k"]
SCORES = ["model", "seed", *KEYS, *plotting.NUMBERS[:4], "interval"]
DIFFERENCES = ["model", "baseline", *KEYS, *plotting.NUMBERS[:4], "interval"]
OVERLAYS = [
    "place", "rule", "image_id", "slot", "x", "y", "true_x", "true_y", "visibility", "value", "mean",
]  # fmt: skip
MTL, MEAN = Style("MTL", PALETTE[0], "o"), Style("mean position", SOFT, "|")
TRUE, PREDICTED = PALETTE[1], PALETTE[0]
#: What the panels of the controls show, where the table has it: key, title, factor and unit.
ASKED = {
    ("category", "all", "accuracy", 3): ("Top-3 category accuracy", 100, "points"),
    ("attributes", "all", "recall", 3): ("Recall of attributes at 3", 100, "points"),
    ("attributes", "all", "overall_accuracy", None): ("Overall accuracy", 100, "points"),
    ("attributes", "all", "aca", None): ("Average class accuracy", 100, "points"),
}
ACROSS, SIDE, GAP = 6, 1.5, 0.12  # pictures in a row; inches


def landmark_controls(table: pd.DataFrame, schema: Schema) -> Figure:
    """Every system less CAT: what each change is worth, paired over images and seeds."""
    rows = plotting.select(table, DIFFERENCES, baseline="cat")
    shown = {key: about for key, about in ASKED.items() if len(_of(rows, key))}
    rows = pd.concat([_of(rows, key) for key in shown], ignore_index=True) if shown else rows[:0]
    title = "What landmarks add"
    if rows.empty:
        return empty_figure(title, "There is nothing to hold against CAT.", rows)
    models = list(dict.fromkeys(rows["model"]))
    first = next(iter(shown))
    mtl = plotting.first_row(_of(rows, first), model="mtl")
    told = f"{shown[first][0]}: MTL less CAT {points(mtl)}" if mtl is not None else title
    drawing = sheet(
        0.6 + plotting.ROW * len(models),
        told,
        plotting.interval_note(rows),
        "Each system less CAT, which has neither localisation nor attention: above zero it answers better. "
        "All trainings of a seed see the same batches.",
    )
    group = plotting.Group("", "", [(model, words(called(model))) for model in models])
    panels = np.ravel(drawing.subplots(1, len(shown), squeeze=False))
    for k, (axes, (key, (name, factor, unit))) in enumerate(zip(panels, shown.items(), strict=True)):
        plotting.set_rows(axes, [group])
        axes.tick_params(labelleft=k == 0)
        own = _of(rows, key).set_index("model").reindex(models)
        plotting.intervals(axes, own[["value", "low", "high"]] * factor, np.arange(len(models)), MTL, size=6)
        axes.axvline(0, color=INK, linewidth=0.9)
        axes.set_xlabel(f"{name}, {unit}")
    each = joined(
        [f"{words(called(row['model']))} {points(row)}" for row in _of(rows, first).to_dict("records")]
    )
    return Figure(drawing, f"Less CAT, {shown[first][0].lower()}: {each}.", rows)


def _of(rows: pd.DataFrame, key: Sequence) -> pd.DataFrame:
    """The rows of a quantity; None as k stands for none."""
    kept = np.logical_and.reduce([rows[name] == value for name, value in zip(KEYS[:3], key[:3], strict=True)])
    return rows[kept & (rows["k"].isna() if key[3] is None else rows["k"] == key[3])]


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    """The mean over seeds of each model, where it has several."""
    several = set(rows.loc[rows["seed"].astype(str) == "mean", "model"])
    kept = (rows["seed"].astype(str) == "mean") | ~rows["model"].isin(several)
    return rows[kept].drop_duplicates([*KEYS, "model"])


def landmark_errors(table: pd.DataFrame, schema: Schema) -> Figure:
    """Normalised error of MTL by landmark, beside the mean position of the training images."""
    rows = plotting.select(table, SCORES, task="landmarks", metric="normalized_error")
    rows = _means(rows[rows["model"].isin(["mtl", "mean_position"])]).reset_index(drop=True)
    title = "Error by landmark"
    if rows[rows["model"] == "mtl"].empty:
        return empty_figure(title, "No landmarks were predicted.", rows)
    names = list(dict.fromkeys(rows["name"]))
    by_model = {
        m: rows[rows["model"] == m].set_index("name").reindex(names) for m in ("mtl", "mean_position")
    }
    mean = by_model["mtl"].loc["mean"]
    told = estimate(mean["value"], mean["low"], mean["high"])
    drawing = sheet(
        0.6 + plotting.ROW * len(names),
        f"{title}: on average {told} of the box's side",
        plotting.interval_note(rows),
        "Distance to the given point as a share of the box's side, visible points only; points of a "
        f"landmark: {plotting.count_note(by_model['mtl']['n'][names[:-1]])}. Mean: of the landmarks, as "
        "published.",
        key=[(style.name, key_mark(style)) for style in (MTL, MEAN)],
    )
    axes = drawing.subplots()
    plotting.set_rows(axes, [plotting.Group("", "", [(name, words(name)) for name in names])])
    for own, style in zip(by_model.values(), (MTL, MEAN), strict=True):
        plotting.intervals(axes, own, np.arange(len(names)), style, size=6)
    axes.set_xlim(left=0)
    axes.set_xlabel("Normalised error")
    base = by_model["mean_position"].loc["mean", "value"]
    return Figure(
        drawing, f"Normalised error of MTL by landmark, mean {told}; of mean positions {number(base)}.", rows
    )


def landmark_pck(table: pd.DataFrame, schema: Schema) -> Figure:
    """Share of visible points within a distance, by distance, of every model."""
    rows = plotting.select(table, SCORES, task="landmarks", metric="pck", name="mean")
    rows = _means(rows).reset_index(drop=True)
    title = "Share of points within a distance"
    if rows.empty:
        return empty_figure(title, "No landmarks were predicted.", rows)
    models, styles = list(dict.fromkeys(rows["model"])), {}
    for k, model in enumerate(models):
        colour = SOFT if model == "mean_position" else PALETTE[k % len(PALETTE)]
        styles[model] = (colour, ("-", (0, (4, 2)), (0, (1, 1.5)))[k % 3])
    near = rows[(rows["k"] == 0.05)].set_index("model")["value"]
    told = (
        f"{number(100 * near['mtl'], 0)} % of MTL's points lie within 5 % of the side"
        if "mtl" in near
        else ""
    )
    drawing = sheet(
        3.0,
        told or title,
        "Mean of the landmarks' shares; visible points only, distance as a share of the box's side.",
        plotting.interval_note(rows, "Bands"),
    )
    axes = drawing.subplots()
    for model, (colour, line) in styles.items():
        own = rows[rows["model"] == model].sort_values("k")
        axes.fill_between(own["k"], own["low"], own["high"], color=colour, alpha=0.12, linewidth=0)
        axes.plot(
            own["k"], own["value"], color=colour, linestyle=line, linewidth=1.6, label=words(called(model))
        )
    axes.set(xlabel="Distance, share of the box's side", ylabel="Share of points", ylim=(0, 1.02))
    axes.set_xlim(left=0)
    axes.legend(loc="best", fontsize=SMALL)
    axes.grid(axis="y")
    alt = joined([f"{words(called(m))} {number(v, 2)}" for m, v in near.items()])
    return Figure(drawing, f"Share of points within 5 % of the box's side: {alt}.", rows)


def landmark_curves(table: pd.DataFrame, schema: Schema) -> Figure:
    """Validation by epoch: the error of landmarks, the answers, and the landmark loss."""
    wanted = {
        "normalized_error": "Normalised error",
        "answers": "Answers: score that chooses the epoch",
        "train_loss_landmarks": "Landmark loss, training",
        "train_loss": "All losses, training",
    }
    there = [column for column in wanted if column in table and table[column].notna().any()]
    rows = table.reindex(columns=["model", "seed", "epoch", "chosen", *wanted]).reset_index(drop=True)
    if rows.empty:
        return empty_figure("Learning curves", "Nothing was trained.", rows)
    models = list(dict.fromkeys(rows["model"]))
    shades = {
        "mtl": PALETTE[0], "cat": PALETTE[1], "shuffled": PALETTE[3], "true_points": PALETTE[2],
    }  # fmt: skip
    drawing = sheet(
        4.4 if len(there) > 2 else 2.4,
        "Learning curves, a line a training",
        "Scores are of the images that choose the epoch; nothing is reported on them; without intervals.",
        key=[
            *(
                (words(called(m)), Line2D([], [], color=c, linewidth=2))
                for m, c in shades.items()
                if m in models
            ),
            ("others", Line2D([], [], color="#b9b4ac", linewidth=2)),
        ],
    )
    for axes, column in zip(plotting.panels_of(drawing, len(there), 2, sharey=False), there, strict=True):
        for (model, _), own in rows.groupby(["model", "seed"], sort=False):
            colour = shades.get(model, "#b9b4ac")
            axes.plot(
                own["epoch"], own[column], ".-", color=colour, linewidth=1.2, zorder=2 + (model in shades)
            )
        axes.set_title(wanted[column], weight="normal")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.set_xlabel("Epoch")
        axes.grid(axis="y")
    last = rows[(rows["model"] == "mtl") & (rows["epoch"] == rows["epoch"].max())]
    error = last["normalized_error"].mean() if "normalized_error" in there else np.nan
    told = "" if np.isnan(error) else f" In the last epoch MTL's error is {number(error)}."
    return Figure(drawing, f"Validation scores and losses of {len(models)} systems by epoch.{told}", rows)


def landmark_counts(table: pd.DataFrame, schema: Schema) -> Figure:
    """How unequal labels are: the share of the training images that each has, in falling order."""
    columns = ["split", "group", "class", "count", *plotting.NUMBERS[:4], "interval"]
    rows = plotting.select(table, columns, split="train")
    visible = ~rows["class"].isin(["visible", "occluded", "cut off", "absent"])
    labels = rows[visible & (rows["count"] > 0)].reset_index(drop=True)
    title = "How unequal the labels are"
    if labels.empty:
        return empty_figure(title, "No training image has a label.", labels)
    most, least = labels.loc[labels["value"].idxmax()], labels.loc[labels["value"].idxmin()]
    ratio = most["count"] / max(least["count"], 1)
    groups = list(dict.fromkeys(labels["group"]))
    drawing = sheet(
        2.8,
        f"{title}: {words(most['class'])} has {ratio:,.0f} times the images of {words(least['class'])}",
        "Share of the labelled training images, from the most frequent label of a group to the rarest.",
        plotting.interval_note(labels, "Bands"),
        key=[(words(g), Patch(facecolor=PALETTE[k % len(PALETTE)])) for k, g in enumerate(groups)],
    )
    axes = drawing.subplots()
    for k, group in enumerate(groups):
        own = labels[labels["group"] == group].sort_values("value", ascending=False)
        rank = np.arange(1, len(own) + 1)
        colour = PALETTE[k % len(PALETTE)]
        axes.fill_between(rank, own["low"], own["high"], color=colour, alpha=0.15, linewidth=0)
        axes.plot(rank, own["value"], "o-", color=colour, markersize=3, linewidth=1.2)
    axes.set(xlabel="Rank within the group", ylabel="Share of images", yscale="log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")
    alt = (
        f"{title}: from {words(most['class'])} ({number(most['value'], 2)} of the images) to "
        f"{words(least['class'])} ({number(least['value'], 4)})."
    )
    return Figure(drawing, alt, labels)


# ---- pictures -------------------------------------------------------------------------------------------


def landmark_overlays(table: pd.DataFrame, schema: Schema, pictures: np.ndarray) -> Figure:
    """Boxes with given and predicted points, by a stated rule."""
    rows = plotting.select(table, OVERLAYS)
    if rows.empty:
        return empty_figure("Landmarks on images", "No image was chosen.", rows)
    rules = list(dict.fromkeys(rows["rule"]))
    tall = 0.3 + SIDE + 0.12
    mean = {
        rule: own.drop_duplicates("place")["mean"].mean() for rule, own in rows.groupby("rule", sort=False)
    }
    title = "Landmarks of MTL: " + joined([f"error {number(mean[r])} on images {r}" for r in rules])
    drawing = sheet(
        tall * len(rules),
        title,
        "Boxes of garments, squashed to squares; nothing was trained or chosen on these images. A line joins "
        "a predicted point to the given one; hollow points are not visible and count for nothing.",
        "Under each image: the mean error of its visible points.",
        key=[
            (name, Line2D([], [], color=c, marker=m, linestyle="", markersize=6))
            for name, c, m in (("given", TRUE, "s"), ("predicted", PREDICTED, "o"))
        ],
    )
    axes = board(drawing)
    for k, rule in enumerate(rules):
        y = k * tall
        write(axes, 0.08, y + 0.14, f"Images {rule}", weight="bold")
        for j, (place, own) in enumerate(rows[rows["rule"] == rule].groupby("place", sort=False)):
            x = 0.08 + j * (SIDE + GAP)
            picture(axes, pictures[int(place)], x, y + 0.26, SIDE)
            _points(axes, own, x, y + 0.26)
            write(axes, x, y + 0.26 + SIDE + 0.09, number(own["mean"].iloc[0]))
    told = [f"{rule}, {number(mean[rule])}" for rule in rules]
    return Figure(
        drawing, f"Given and predicted landmarks on garments; mean error of images {joined(told)}.", rows
    )


def _points(axes: Axes, own: pd.DataFrame, x: float, y: float) -> None:
    for row in own.itertuples():
        seen = row.visibility == VISIBLE
        true = (x + SIDE * row.true_x, y + SIDE * row.true_y)
        guess = (x + SIDE * row.x, y + SIDE * row.y)
        if not np.isnan(row.true_x):
            axes.plot(*zip(true, guess, strict=True), color="white", linewidth=1.2, alpha=0.9)
            axes.plot(*true, "s", color=TRUE, markersize=4, markerfacecolor=TRUE if seen else "none")
        if seen:
            axes.plot(
                *guess, "o", color=PREDICTED, markersize=4, markeredgecolor="white", markeredgewidth=0.5
            )


def landmark_attention(table: pd.DataFrame, schema: Schema, pictures: np.ndarray) -> Figure:
    """Where attention lies on the first images, by system: the factor on the features, mean over channels."""
    rows = plotting.select(table, ["model", "place", "cell_row", "cell_column", "value"])
    title = "Where attention lies"
    if rows.empty:
        return empty_figure(title, "No system with attention was trained.", rows)
    models, places = list(dict.fromkeys(rows["model"])), sorted(rows["place"].unique())
    side = min(SIDE, (WIDTH - 0.16) / (1 + len(models)) - GAP)
    tall, step = side + GAP, side + GAP
    most = plotting.positive_or_one((rows["value"] - 1).abs().max())
    spread = rows.groupby("model", sort=False)["value"].std()
    drawing = sheet(
        0.3 + LINE + tall * len(places),
        f"{title}: it changes features by up to {number(100 * most, 0)} %",
        "The factor on the features, mean over channels, of one training of each system, on the first images "
        "drawn at random; full colour is the largest change. A mean hides what single channels do.",
        key=[
            ("more than without", Patch(facecolor=PALETTE[3])),
            ("less", Patch(facecolor=PALETTE[0])),
        ],
    )
    axes = board(drawing)
    for h, name in enumerate(("box", *models)):
        heading = textwrap.wrap(capital(words(called(name))), int(step / 0.085))
        for line, part in enumerate(heading[:2]):
            write(axes, 0.08 + h * step, 0.12 + line * LINE, part, weight="bold", size=SMALL)
    for k, place in enumerate(places):
        y = 0.26 + LINE + k * tall
        picture(axes, pictures[int(place)], 0.08, y, side)
        for h, model in enumerate(models, 1):
            own = rows[(rows["place"] == place) & (rows["model"] == model)]
            change = own.pivot_table(index="cell_row", columns="cell_column", values="value").to_numpy() - 1
            signed_map(axes, change, pictures[int(place)], 0.08 + h * step, y, side, most)
    told = joined([f"{words(called(m))} {number(s, 3)}" for m, s in spread.items()])
    return Figure(drawing, f"{title}; standard deviation of the factor over cells: {told}.", rows)
