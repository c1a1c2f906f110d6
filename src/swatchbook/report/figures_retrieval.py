"""Figures of the retrieval study: recall curves, stages, tiers, differences, galleries, a map."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullFormatter, ScalarFormatter

from swatchbook.names import called
from swatchbook.report import plotting
from swatchbook.report.figure import (
    INK,
    OTHERS,
    PALETTE,
    SMALL,
    SOFT,
    Figure,
    Style,
    empty_figure,
    key_mark,
    sheet,
)
from swatchbook.report.tiles import board, picture, write
from swatchbook.report.wording import capital, estimate, joined, number, words
from swatchbook.schema import Schema

SCORES = [
    "model",
    "stage",
    "task",
    "direction",
    "metric",
    "k",
    "value",
    "low",
    "high",
    "n",
    "pool",
    "interval",
]
DIFFERENCES = [
    "model", "stage", "baseline", "baseline_stage", "task", "direction", "metric", "k", "value", "low",
    "high", "n", "interval",
]  # fmt: skip
WAYS = ("image to text", "text to image")
REFERENCES = {
    "captions": "most that captions allow",
    "bag of attributes": "search by the true attributes",
    "chance": "chance",
}
DASHES = ((6, 2), (3, 2), (1, 2))
EXACT = "exact pair"
TRIVIAL = ("majority", "probe", "probe_balanced", "constant prior", "ceiling", "chance", "captions",
           "bag of attributes")  # fmt: skip
PANELS = {
    "image to text, R@10": (EXACT, WAYS[0], "recall", 10.0),
    "text to image, R@10": (EXACT, WAYS[1], "recall", 10.0),
    "category, top-1": ("category", "", "accuracy", 1.0),
    "fabric, macro-F1": ("three tiers fabric", "", "macro_f1", np.nan),
    "pattern, macro-F1": ("three tiers pattern", "", "macro_f1", np.nan),
}
TIERS = {"macro_f1": "All classes, with n/a", "na_f1": "Does it apply? F1 of n/a",
         "visible_macro_f1": "Which class, where it applies"}  # fmt: skip
MOST = 8  # classes of the map that get a colour
SHOWN = 5
TILE, TEXT_WIDTH, CAPTION = 1.1, 2.8, 0.34  # inches; the last is the height of a caption that was found


def _rows(table: pd.DataFrame, columns: list[str], **keys: object) -> pd.DataFrame:
    return plotting.select(table.fillna({c: "" for c in ("stage", "direction", "baseline_stage") if c in
    table}),
                           columns, **keys)  # fmt: skip


def _named(model: str, stage: str) -> str:
    name = words(called(model))
    return f"{name}, {stage}" if stage else name


def _note(rows: pd.DataFrame, what: str = "Lines") -> str:
    """How the intervals were made, without what single rows add to it."""
    return plotting.interval_note(rows.assign(interval=rows["interval"].str.split(";").str[0]), what)


def _styles(rows: pd.DataFrame) -> dict[tuple[str, str], Style]:
    """A colour a model and stage, those of one model in one order."""
    keys = [k for k in dict.fromkeys(zip(rows["model"], rows["stage"], strict=True)) if k[0] not in TRIVIAL]
    markers = "osD^vPXh*<>p"
    return {
        key: Style(_named(*key), PALETTE[i % len(PALETTE)], markers[i % len(markers)])
        for i, key in enumerate(keys)
    }


def retrieval_recall(table: pd.DataFrame, schema: Schema) -> Figure:
    """Recall at k of every model, both ways, beside chance and the ceilings."""
    rows = _rows(table, SCORES)
    models = _styles(rows)
    if rows.empty or not models:
        return empty_figure("Recall at k", "No model was trained.", rows)
    ten = rows[(rows["k"] == 10) & ~rows["model"].isin(TRIVIAL)]
    best = ten.loc[ten["value"].idxmax()] if len(ten) else rows.iloc[0]
    pool = int(rows["pool"].max())
    drawing = sheet(
        4.6,
        f"Of {pool:,} test images: the own one is among the first {best['k']:.0f} for "
        f"{number(100 * best['value'], 0)} % of the queries ({_named(best['model'], best['stage'])}, "
        f"{best['direction']})",
        _note(rows, "Bands"),
        f"The pool has {pool:,} pairs; only the own pair counts. Dashed: what needs no model, and "
        "what no model of "
        "captions can exceed.",
    )
    panels = plotting.panels_of(drawing, 2, 2)
    for axes, way in zip(panels, WAYS, strict=True):
        here = rows[rows["direction"] == way]
        for key, style in models.items():
            own = here[(here["model"] == key[0]) & (here["stage"] == key[1])].sort_values("k")
            axes.fill_between(own["k"], own["low"], own["high"], color=style.colour, alpha=0.12, linewidth=0)
            axes.plot(
                own["k"], own["value"], color=style.colour, marker=style.marker, markersize=4, linewidth=1.6
            )
        for dashes, model in zip(DASHES, REFERENCES, strict=True):
            own = here[here["model"] == model].sort_values("k")
            axes.plot(own["k"], own["value"], color=INK, linewidth=1.1, linestyle=(0, dashes))
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="k", ylim=(0, 1.02), xticks=sorted(rows["k"].unique()))
        axes.set_title(capital(way), weight="normal")
        axes.grid(axis="y")
    panels[0].set_ylabel("Recall at k")
    marks = [key_mark(style, markersize=5) for style in models.values()]
    marks += [Line2D([], [], color=INK, linewidth=1.1, linestyle=(0, dashes)) for dashes in DASHES]
    names = [style.name for style in models.values()] + list(REFERENCES.values())
    panels[1].legend(marks, names, loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=SMALL)
    alt = (
        f"Recall against k, both ways, of {len(models)} models. The best at 10, "
        f"{_named(best['model'], best['stage'])}, {best['direction']}: "
        f"{estimate(best['value'], best['low'], best['high'])}."
    )
    return Figure(drawing, alt, rows)


def retrieval_stages(table: pd.DataFrame, schema: Schema) -> Figure:
    """All that one checkpoint does, by model and stage, beside what is trivial."""
    rows = _rows(table, SCORES)
    kept = np.zeros(len(rows), bool)
    for task, way, metric, k in PANELS.values():
        own = (rows["task"] == task) & (rows["direction"] == way) & (rows["metric"] == metric)
        kept |= (own & (rows["k"].isna() if np.isnan(k) else rows["k"] == k)).to_numpy()
    rows = rows[kept & ~rows["model"].isin(["ceiling", "constant prior", "bag of attributes"]).to_numpy()]
    rows = rows[~((rows["stage"] == "random") & (rows["model"].isin(TRIVIAL)))].reset_index(drop=True)
    if rows.empty:
        return empty_figure("What one checkpoint does", "No model was trained.", rows)
    keys = list(dict.fromkeys(zip(rows["model"], rows["stage"], strict=True)))
    keys.sort(key=lambda key: key[0] in TRIVIAL)
    group = plotting.Group("", "", [(key, _named(*key)) for key in keys])
    both = rows[(rows["direction"] == WAYS[1]) & ~rows["model"].isin(TRIVIAL)]
    ends = dict.fromkeys(number(both["value"].agg(end), 2) for end in ("min", "max"))
    spread = " to ".join(ends)
    drawing = sheet(
        0.7 + plotting.ROW * len(keys),
        f"What one checkpoint does: recall at 10 from text to image {spread}, by model and stage",
        _note(rows),
        "Fabric and pattern: the mean over the upper, the lower and the outer garment, all classes and n/a. "
        "A stage that reads no attributes has no mark there. Hollow: what needs no training of ours.",
    )
    panels = drawing.subplots(1, len(PANELS))
    for i, (axes, (title, (task, way, metric, _))) in enumerate(zip(panels, PANELS.items(), strict=True)):
        plotting.set_rows(axes, [group])
        axes.tick_params(labelleft=i == 0)
        own = rows[(rows["task"] == task) & (rows["direction"] == way) & (rows["metric"] == metric)]
        own = own.drop_duplicates(["model", "stage"]).set_index(["model", "stage"]).reindex(keys)
        for trivial in (False, True):
            some = [k for k, key in enumerate(keys) if (key[0] in TRIVIAL) == trivial]
            style = Style("", SOFT if trivial else PALETTE[0], "D" if trivial else "o")
            plotting.intervals(axes, own.iloc[some], np.array(some, float), style, size=5, hollow=trivial)
        axes.set(xlim=(-0.02, max(0.1, min(1.0, np.nanmax(own["high"].to_numpy(float), initial=0.0) + 0.08))))
        axes.set_title(capital(title).replace(", ", "\n"), weight="normal", size=SMALL)
    told = [f"{_named(r['model'], r['stage'])} {number(r['value'], 2)}" for r in both.to_dict("records")]
    return Figure(drawing, f"Scores by model and stage. Recall at 10, text to image: {joined(told)}.", rows)


def retrieval_tiers(table: pd.DataFrame, schema: Schema) -> Figure:
    """The three tiers of every attribute: all classes, does it apply, which class where it does."""
    asked = [a.name for a in schema if a.classes[-1] == "na"]
    rows = _rows(table, SCORES, task=[f"three tiers {name}" for name in asked], metric=list(TIERS))
    models = [k for k in dict.fromkeys(zip(rows["model"], rows["stage"], strict=True)) if k[0] not in TRIVIAL]
    if not models:
        return empty_figure("Three tiers", "No model reads attributes.", rows)
    means = rows[rows["metric"] == "macro_f1"].groupby(["model", "stage"])["value"].mean()
    best = max(models, key=lambda key: means[key])
    kept = [
        (m, s) == best or m in ("majority", "probe_balanced")
        for m, s in zip(rows["model"], rows["stage"], strict=True)
    ]
    rows = rows[kept].reset_index(drop=True)
    known = set(rows.loc[rows["value"].notna(), "task"])
    shown = [name for name in asked if f"three tiers {name}" in known]
    styles = {
        best[0]: Style(_named(*best), PALETTE[0], "o"),
        "probe_balanced": Style("linear probe on frozen features, balanced", PALETTE[1], "s"),
        "majority": Style("most frequent class", SOFT, "D"),
    }
    group = plotting.Group("", "", [(f"three tiers {name}", words(name)) for name in shown])
    drawing = sheet(
        0.7 + plotting.ROW * len(shown),
        f"Three questions of each attribute; mean macro-F1 {number(means[best], 2)} ({_named(*best)})",
        _note(rows),
        f"n = {int(rows['n'].max()):,} images, fewer where an attribute must apply. The probe was "
        "asked fabric and "
        "pattern only. No mark: not estimable.",
        _without(asked, shown),
        key=[(s.name, key_mark(s)) for s in styles.values()],
    )
    for i, (axes, (metric, title)) in enumerate(zip(drawing.subplots(1, 3), TIERS.items(), strict=True)):
        plotting.set_rows(axes, [group])
        axes.tick_params(labelleft=i == 0)
        for k, (model, style) in enumerate(styles.items()):
            own = rows[(rows["model"] == model) & (rows["metric"] == metric)]
            own = own.set_index("task").reindex([key for key, _ in group.rows])
            plotting.intervals(axes, own, np.arange(len(own)) + (k - 1) * 0.24, style, size=4)
        axes.set(xlim=(-0.02, 1.02))
        axes.set_title(capital(title).replace(", ", "\n"), weight="normal", size=SMALL)
    return Figure(drawing, f"Three tiers by attribute; the mean macro-F1 is {number(means[best])}.", rows)


def _without(asked: list[str], shown: list[str]) -> str:
    missing = [words(name) for name in asked if name not in shown]
    return f"Not estimable, as nothing varies: {joined(missing)}." if missing else ""


def retrieval_differences(table: pd.DataFrame, schema: Schema) -> Figure:
    """Paired differences of models and stages in what `PANELS` shows."""
    rows = _rows(table, DIFFERENCES)
    rows = rows[~rows["baseline"].isin(["majority", "probe"])]
    parts = []
    for title, (task, way, metric, k) in PANELS.items():
        own = rows[(rows["task"] == task) & (rows["direction"] == way) & (rows["metric"] == metric)]
        parts.append(own[own["k"].isna() if np.isnan(k) else own["k"] == k].assign(panel=title))
    rows = pd.concat(parts, ignore_index=True)
    if rows.empty:
        return empty_figure("Paired differences", "Only one model was scored.", rows)
    columns = ["model", "stage", "baseline", "baseline_stage"]
    keys = list(rows[columns].drop_duplicates().itertuples(index=False, name=None))
    group = plotting.Group("", "", [(k, f"{_named(*k[:2])} less {_named(*k[2:])}") for k in keys])
    clear = int(((rows["low"] > 0) | (rows["high"] < 0)).sum())
    drawing = sheet(
        0.7 + plotting.ROW * len(keys),
        f"What a single change is worth: {clear} of {len(rows)} differences are clear of zero",
        _note(rows),
        "In points, each on the same images. Above zero: the first named is better. One training of "
        "each, so that "
        "the luck of a seed is not in the intervals.",
    )
    for i, (axes, title) in enumerate(zip(drawing.subplots(1, len(PANELS)), PANELS, strict=True)):
        plotting.set_rows(axes, [group])
        axes.tick_params(labelleft=i == 0)
        own = rows[rows["panel"] == title].set_index(columns).reindex(keys)[["value", "low", "high"]] * 100
        plotting.intervals(axes, own, np.arange(len(keys)), Style("", PALETTE[0], "o"), size=5)
        axes.axvline(0, color=INK, linewidth=0.9)
        axes.set_title(capital(title).replace(", ", "\n"), weight="normal", size=SMALL)
    largest = rows.loc[rows["value"].abs().idxmax()]
    alt = (
        f"Paired differences of {len(keys)} pairs. The largest: "
        f"{_named(largest['model'], largest['stage'])} less "
        f"{_named(largest['baseline'], largest['baseline_stage'])}, {largest['panel']}, "
        f"{number(100 * largest['value'], 1, sign=True)} points."
    )
    return Figure(drawing, alt, rows)


def retrieval_gallery(table: pd.DataFrame, schema: Schema, pictures: np.ndarray, direction: str) -> Figure:
    """Queries at equal steps of their rank, and the first five of what they find."""
    rows = table[table["direction"] == direction]  # its index says which picture is a row's
    if rows.empty:
        return empty_figure("A gallery", "No query was asked.", rows)
    queries = list(dict.fromkeys(rows["query"]))
    to_images = direction == WAYS[1]
    tall = TILE + 0.34 if to_images else SHOWN * CAPTION + 0.25
    first = rows[rows["place"] > 0].groupby("query", sort=False)["own"].any()
    drawing = sheet(
        tall * len(queries) + 0.3,
        f"{'Captions and the pictures' if to_images else 'Pictures and the captions'} they find: the "
        "own one is "
        f"among the first {SHOWN} for {int(first.sum())} of {len(first)}",
        f"Queries at equal steps of the rank of their own pair, from the best to the worst, among "
        f"{int(rows['pool'].max()):,} test images; nothing was picked by hand. Blue frame: the own "
        "one; orange: "
        "another one with the same caption.",
    )
    axes = board(drawing)
    for line, query in enumerate(queries):
        own = rows[rows["query"] == query].sort_values("place")
        asked, found = own.iloc[0], own.iloc[1:]
        top = 0.25 + line * tall
        picture(axes, pictures[asked.name], 0.1, top, TILE, coarse=True)
        write(axes, 0.1, top + TILE + 0.1, f"own rank {asked['rank']:,}", color=SOFT)
        if to_images:
            _text(axes, 0.2 + TILE, top, asked["caption"], 40, 7)
            for k, (row, about) in enumerate(found.iterrows()):
                left = 0.2 + TILE + TEXT_WIDTH + k * (TILE + 0.06)
                picture(axes, pictures[row], left, top, TILE, coarse=True)
                _frame(axes, left, top, about)
                write(axes, left, top + TILE + 0.1, number(about["cosine"], 2), color=SOFT)
        else:
            for k, (_, about) in enumerate(found.iterrows()):
                colour = PALETTE[0] if about["own"] else PALETTE[1] if about["same_caption"] else INK
                text = textwrap.shorten(about["caption"], 250, placeholder=" …")
                lines = textwrap.wrap(f"{number(about['cosine'], 2)}  {text}", 148)[:2]
                for j, line_of_text in enumerate(lines):
                    y = top + 0.06 + k * CAPTION + j * 0.15
                    write(axes, 0.25 + TILE, y, line_of_text, color=colour, size=8)
    axes.autoscale(False)
    mean = float(np.mean([rows[rows["query"] == q]["rank"].iloc[0] for q in queries]))
    alt = (
        f"{len(queries)} queries, {direction}, with the first {SHOWN} answers each; the own one is "
        "among them for "
        f"{int(first.sum())}. Mean rank of these {number(mean, 1)}."
    )
    return Figure(drawing, alt, rows.reset_index(drop=True))


def _text(axes: Axes, x: float, y: float, text: str, width: int, lines: int) -> None:
    for k, line in enumerate(textwrap.wrap(text, width)[:lines]):
        write(axes, x, y + 0.08 + k * 0.155, line, size=8)


def _frame(axes: Axes, x: float, y: float, about: pd.Series) -> None:
    if about["own"] or about["same_caption"]:
        colour = PALETTE[0] if about["own"] else PALETTE[1]
        axes.add_patch(Rectangle((x, y), TILE, TILE, fill=False, edgecolor=colour, linewidth=2.5))


def retrieval_map(table: pd.DataFrame, schema: Schema) -> Figure:
    """The test images in two dimensions, coloured by four attributes."""
    asked = [c for c in table.columns if c not in ("image_id", "x", "y")]
    if table.empty:
        return empty_figure("A map of the test images", "There is none.", table)
    drawing = sheet(
        6.6,
        f"Where {len(table):,} test images lie in the common space",
        "t-SNE of the image embeddings by cosine: near points are near, but neither distances "
        "between groups nor "
        "axes mean anything. Classes beyond the most frequent ones are grey.",
    )
    panels = np.ravel(drawing.subplots(2, 2))
    colours = [*PALETTE[:7], OTHERS[1][0]][:MOST]
    for axes, name in zip(panels, asked, strict=False):
        classes = table[name].value_counts().index[:MOST].tolist()
        rest = table[~table[name].isin(classes)]
        axes.scatter(rest["x"], rest["y"], s=7, color="#cfcac2", linewidths=0)
        for label, colour in zip(classes, colours, strict=False):
            own = table[table[name] == label]
            axes.scatter(own["x"], own["y"], s=9, color=colour, linewidths=0, label=words(label), alpha=0.85)
        axes.set_title(capital(words(name)), weight="normal")
        axes.set(xticks=[], yticks=[])
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=SMALL - 1, handletextpad=0.1,
                    markerscale=1.8)  # fmt: skip
    alt = f"{len(table):,} test images in two dimensions, coloured by {joined([words(n) for n in asked])}."
    return Figure(drawing, alt, table)
