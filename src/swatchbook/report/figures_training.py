"""The curves of the trainings: losses, validation scores and learning rates, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from swatchbook.report.display import NOT_ESTIMABLE, number
from swatchbook.report.figures_parts import listing, models_in
from swatchbook.report.figures_style import INK, Look, looks, not_here, sheet, words
from swatchbook.schema import Schema

PANEL = 2.0  # inches: height of a row of panels
ACROSS = 4
DASHED, DOTTED = (0, (4, 2)), (0, (1, 1.5))


def training_curves(table: pd.DataFrame, schema: Schema) -> tuple[Canvas, str, pd.DataFrame]:
    """Loss, macro-F1 and learning rates of every model, as sums or means and by head."""
    rows = table.reindex(columns=_columns(schema)).reset_index(drop=True)
    numeric = [c for c in rows if c not in ("model", "chosen")]
    rows[numeric] = rows[numeric].astype(float)
    if rows.empty:
        return not_here("The trainings", "No model was trained."), "No model was trained.", rows
    look = looks(models_in(rows))
    by_head = -(-len(schema.names) // ACROSS)
    canvas = sheet(
        PANEL * (1 + 2 * by_head),
        _title(rows, look),
        "One training of each model, so there are no intervals. Losses are means over labelled images; those "
        "of training are of augmented images while the weights change, so they may lie above validation's.",
        "Open marks: the epoch that was kept, by the mean macro-F1 on the validation images. All scores are "
        "against silver labels.",
        entries=[
            *((one.name, Line2D([], [], color=one.colour, linewidth=2)) for one in look.values()),
            ("validation", Line2D([], [], color=INK, linewidth=1.6)),
            ("training", Line2D([], [], color=INK, linewidth=1.6, linestyle=DASHED)),
        ],
    )
    top, *below = canvas.subfigures(1 + 2 * by_head, 1, squeeze=False)[:, 0]
    loss, score, rate = top.subplots(1, 3)
    _lines(loss, rows, look, {"val_loss": "-", "train_loss": DASHED})
    _title_of(loss, "loss, all heads", bold=True)
    _lines(score, rows, look, {"macro_f1": "-"})
    _title_of(score, "validation macro-F1, mean of heads", bold=True)
    _lines(rate, rows, look, {"lr_heads": "-", "lr_backbone": DOTTED})
    same = (rows["lr_heads"] == rows["lr_backbone"]).all()
    _title_of(rate, "learning rate" if same else "learning rate: heads, backbone dotted", bold=True)
    _rate_axis(rate, rows)
    _head_panels(below[:by_head], rows, schema, look, {"val_loss_{}": "-", "train_loss_{}": DASHED}, "loss")
    _head_panels(below[by_head:], rows, schema, look, {"macro_f1_{}": "-"}, "macro-F1")
    return canvas, _alt(rows, look), rows


def _columns(schema: Schema) -> list[str]:
    heads = [f"{kind}_{name}" for kind in ("train_loss", "val_loss", "macro_f1") for name in schema.names]
    return [
        "model",
        "epoch",
        "lr_backbone",
        "lr_heads",
        "train_loss",
        "val_loss",
        "macro_f1",
        *heads,
        "chosen",
    ]


def _lines(axes: Axes, rows: pd.DataFrame, look: dict[str, Look], styles: dict[str, object]) -> None:
    for model, one in look.items():
        own = rows[rows["model"] == model]
        for column, style in styles.items():
            axes.plot(own["epoch"], own[column], color=one.colour, linewidth=1.6, linestyle=style)
        column = next(iter(styles))
        kept = own[own["chosen"].fillna(False).astype(bool)]
        axes.plot(kept["epoch"], kept[column], one.marker, color=one.colour, markerfacecolor="white",
                  markersize=6, markeredgewidth=1.5, zorder=4)  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(axis="y", linewidth=0.8)
    axes.set_axisbelow(True)


def _title_of(axes: Axes, text: str, *, bold: bool = False) -> None:
    axes.set_title(text, weight="bold" if bold else "normal")


def _rate_axis(axes: Axes, rows: pd.DataFrame) -> None:
    rates = rows[["lr_heads", "lr_backbone"]].to_numpy()
    positive = rates[rates > 0]
    # The cosine ends at 0 or close to it, which a logarithmic axis would make most of the picture.
    if positive.size and np.nanmedian(rows["lr_heads"]) > 3 * np.nanmedian(rows["lr_backbone"]) > 0:
        axes.set_yscale("log")
        axes.set_ylim(np.max(positive) / 1e3, np.max(positive) * 2)
    else:
        axes.set_ylim(bottom=0)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
        axes.yaxis.get_offset_text().set_visible(False)
        axes.yaxis.set_major_formatter(lambda value, _: _power(value))


def _power(value: float) -> str:
    """``1.5e−3``."""
    return f"{value:.1e}".replace(".0e", "e").replace("e-0", "e−") if value else "0"


def _head_panels(
    figures: Sequence[SubFigure],
    rows: pd.DataFrame,
    schema: Schema,
    look: dict[str, Look],
    styles: dict[str, object],
    what: str,
) -> None:
    across = min(ACROSS, len(schema.names))
    panels = np.ravel(
        [figure.subplots(1, across, sharey=what == "macro-F1", squeeze=False) for figure in figures]
    )
    for spare in panels[len(schema.names) :]:
        spare.set_axis_off()
    for axes, name in zip(panels, schema.names, strict=False):
        _lines(axes, rows, look, {column.format(name): style for column, style in styles.items()})
        _title_of(axes, f"{words(name)}: {what}")
        axes.set_xlabel("epoch" if what == "macro-F1" else "")


def _kept(rows: pd.DataFrame, look: dict[str, Look]) -> dict[str, pd.Series]:
    kept = rows[rows["chosen"].fillna(False).astype(bool) & rows["macro_f1"].notna() & rows["epoch"].notna()]
    return {model: own.iloc[0] for model in look if len(own := kept[kept["model"] == model])}


def _title(rows: pd.DataFrame, look: dict[str, Look]) -> str:
    said = [f"{look[m].name} at epoch {row['epoch']:.0f}" for m, row in _kept(rows, look).items()]
    return f"Kept by validation: {listing(said)}" if said else "The trainings, epoch by epoch"


def _alt(rows: pd.DataFrame, look: dict[str, Look]) -> str:
    kept, said = _kept(rows, look), []
    for model, one in look.items():
        if model not in kept:
            said.append(f"{one.name} {NOT_ESTIMABLE}")
            continue
        row, epochs = kept[model], rows.loc[rows["model"] == model, "epoch"].max()
        said.append(
            f"{one.name} reaches a mean macro-F1 of {number(row['macro_f1'])} at epoch {row['epoch']:.0f}"
            + (f" of {epochs:.0f}" if not np.isnan(epochs) else "")
        )
    return f"Training curves, scores on the validation images against silver labels: {'; '.join(said)}."
