"""The curves of the trainings: losses, validation scores and learning rates, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from swatchbook.report import plotting
from swatchbook.report.figure import INK, Figure, Style, empty_figure, sheet, styles_of
from swatchbook.report.wording import NOT_ESTIMABLE, capital, joined, number, words
from swatchbook.schema import Schema

PANEL = 2.0  # inches: height of a row of panels
ACROSS = 4
DASHED, DOTTED = (0, (4, 2)), (0, (1, 1.5))
RATES = ["lr_backbone", "lr_heads"]


def training_curves(table: pd.DataFrame, schema: Schema) -> Figure:
    """Loss, macro-F1 and learning rates of every model, as sums or means and by attribute."""
    heads = [f"{kind}_{name}" for kind in ("train_loss", "val_loss", "macro_f1") for name in schema.names]
    columns = ["epoch", *RATES, "train_loss", "val_loss", "macro_f1", *heads]
    rows = table.reindex(columns=["model", *columns, "chosen"]).reset_index(drop=True)
    rows = rows.astype(dict.fromkeys(columns, float)).assign(chosen=rows["chosen"].fillna(False).astype(bool))
    if rows.empty:
        return empty_figure("The trainings", "No model was trained.", rows)
    styles = styles_of(plotting.models_in(rows))
    down = -(-len(schema.names) // ACROSS)
    kept = rows[rows["chosen"] & rows["macro_f1"].notna() & rows["epoch"].notna()].drop_duplicates("model")
    drawing = sheet(
        PANEL * (1 + 2 * down),
        _title(kept, styles),
        "One training of each model, so there are no intervals. Losses are means over labelled images; those "
        "of training are of augmented images while the weights change, so they may lie above validation's.",
        "Open marks: the epoch that was kept, by the mean macro-F1 on the validation images. All scores are "
        "against silver labels.",
        key=[
            *((style.name, Line2D([], [], color=style.colour, linewidth=2)) for style in styles.values()),
            ("validation", Line2D([], [], color=INK, linewidth=1.6)),
            ("training", Line2D([], [], color=INK, linewidth=1.6, linestyle=DASHED)),
        ],
    )
    top, *below = drawing.subfigures(1 + 2 * down, 1, squeeze=False)[:, 0]
    loss, score, rate = top.subplots(1, 3)
    _lines(loss, rows, styles, {"val_loss": "-", "train_loss": DASHED})
    loss.set_title("Loss, all attributes")
    _lines(score, rows, styles, {"macro_f1": "-"})
    score.set_title("Validation macro-F1, mean")
    _lines(rate, rows, styles, {"lr_heads": "-", "lr_backbone": DOTTED})
    same = (rows["lr_heads"] == rows["lr_backbone"]).all()
    rate.set_title("Learning rate" if same else "Learning rate: heads, backbone dotted")
    _set_rate_axis(rate, rows)
    _attribute_panels(
        below[:down], rows, schema, styles, {"val_loss_{}": "-", "train_loss_{}": DASHED}, "loss"
    )
    _attribute_panels(below[down:], rows, schema, styles, {"macro_f1_{}": "-"}, "macro-F1")
    return Figure(drawing, _alt(rows, kept, styles), rows)


def _lines(axes: Axes, rows: pd.DataFrame, styles: dict[str, Style], lines: dict[str, object]) -> None:
    marked = next(iter(lines))
    for model, style in styles.items():
        own = rows[rows["model"] == model]
        for column, line in lines.items():
            axes.plot(own["epoch"], own[column], color=style.colour, linewidth=1.6, linestyle=line)
        kept = own[own["chosen"]]
        mark = {"markerfacecolor": "white", "markersize": 6, "markeredgewidth": 1.5, "zorder": 4}
        axes.plot(kept["epoch"], kept[marked], style.marker, color=style.colour, **mark)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(axis="y")


def _set_rate_axis(axes: Axes, rows: pd.DataFrame) -> None:
    rates = rows[RATES].to_numpy()
    positive = rates[rates > 0]
    # The cosine ends at 0 or close to it, which a logarithmic axis would make most of the picture.
    if positive.size and np.nanmedian(rows["lr_heads"]) > 3 * np.nanmedian(rows["lr_backbone"]) > 0:
        axes.set_yscale("log")
        axes.set_ylim(np.max(positive) / 1e3, np.max(positive) * 2)
    else:
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda value, _: _power(value))


def _power(value: float) -> str:
    """``1.5e−3``."""
    return f"{value:.1e}".replace(".0e", "e").replace("e-0", "e−") if value else "0"


def _attribute_panels(
    figures: Sequence[SubFigure],
    rows: pd.DataFrame,
    schema: Schema,
    styles: dict[str, Style],
    lines: dict[str, object],
    what: str,
) -> None:
    across, scores = min(ACROSS, len(schema.names)), what == "macro-F1"
    panels = np.ravel([figure.subplots(1, across, sharey=scores, squeeze=False) for figure in figures])
    for spare in panels[len(schema.names) :]:
        spare.set_axis_off()
    for axes, name in zip(panels, schema.names, strict=False):
        _lines(axes, rows, styles, {column.format(name): line for column, line in lines.items()})
        axes.set_title(f"{capital(words(name))}: {what}", weight="normal")
        axes.set_xlabel("Epoch" if scores else "")


def _title(kept: pd.DataFrame, styles: dict[str, Style]) -> str:
    epochs = [
        f"{styles[model].name} at epoch {epoch:.0f}" for model, epoch in kept[["model", "epoch"]].to_numpy()
    ]
    return f"Kept by validation: {joined(epochs)}" if epochs else "The trainings, epoch by epoch"


def _alt(rows: pd.DataFrame, kept: pd.DataFrame, styles: dict[str, Style]) -> str:
    kept, last, sentences = kept.set_index("model"), rows.groupby("model")["epoch"].max(), []
    for model, style in styles.items():
        if model not in kept.index:
            sentences.append(f"The best epoch of {style.name} is {NOT_ESTIMABLE}.")
            continue
        score, epoch = kept.loc[model, ["macro_f1", "epoch"]]
        of = "" if np.isnan(last[model]) else f" of {last[model]:.0f}"
        sentences.append(
            f"{capital(style.name)} reaches a mean macro-F1 of {number(score)} at epoch {epoch:.0f}{of}."
        )
    return (
        f"Training curves; scores are on the validation images, against silver labels. {' '.join(sentences)}"
    )
