"""Parts that figures share: rows of a table, the words beside them, and marks, lines and cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle

from swatchbook.report.figures_style import DARK, DIAMOND, FAINT, INK, SMALL, Look


def models_in(table: pd.DataFrame, leave_out: Sequence[str] = ()) -> list[str]:
    """The models of a table in order, without baselines and such."""
    return [model for model in table["model"].unique() if model not in leave_out]


def rows_of(table: pd.DataFrame, columns: Sequence[str], **keys: object) -> pd.DataFrame:
    """Rows with the given keys (a list allows several values), and of them the columns that exist.

    The columns ``value, low, high`` and ``published`` are numbers afterwards; a missing one is all NaN.
    """
    kept = np.ones(len(table), bool)
    for column, wanted in keys.items():
        kept &= table[column].isin(wanted if isinstance(wanted, list | tuple) else [wanted]).to_numpy()
    found = table.loc[kept].reindex(columns=list(columns))
    for column in {"value", "low", "high", "n", "published"} & set(columns):
        found[column] = found[column].astype(float)
    return found.reset_index(drop=True)


def only(rows: pd.DataFrame, **keys: object) -> pd.Series | None:
    """The first row with the given keys, or None."""
    kept = np.ones(len(rows), bool)
    for column, wanted in keys.items():
        kept &= (rows[column] == wanted).to_numpy()
    return rows[kept].iloc[0] if kept.any() else None


def interval_words(rows: pd.DataFrame, what: str = "Lines") -> str:
    """A sentence that says how the drawn intervals were made."""
    drawn = rows[rows["low"].notna()]["interval"].dropna()
    ways = [way for way in drawn.unique() if way]
    ways = [way for way in ways if not any(way != other and way in other for other in ways)]
    return f"{what} are intervals: {'; '.join(ways)}." if ways else ""


def count_words(n: pd.Series, what: str = "n") -> str:
    """``n = 3,487–3,760``."""
    n = n.dropna()
    if n.empty:
        return ""
    low, high = int(n.min()), int(n.max())
    return f"{what} = {low:,}" + (f"–{high:,}" if high > low else "")


def or_one(x: float) -> float:
    """A number to divide by: itself where it is positive and finite, else 1."""
    return float(x) if np.isfinite(x) and x > 0 else 1.0


def left_end(values: pd.Series, step: float = 0.1) -> float:
    """A round start of the axis a little below the least value; 0 where there is none."""
    least = values.min()
    return 0.0 if np.isnan(least) else max(0.0, step * np.floor(least / step - 0.2))


def listing(parts: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def panels_of(canvas: Canvas, count: int, across: int) -> list[Axes]:
    """So many panels in rows, with one vertical axis for all; what a row has left over stays blank.

    Args:
        canvas: Where they go.
        count: How many.
        across: How many in a row.
    """
    panels = np.ravel(canvas.subplots(-(-count // across), across, sharey=True, squeeze=False)).tolist()
    for spare in panels[count:]:
        spare.set_axis_off()
    return panels[:count]


def interval(
    axes: Axes, row: pd.Series, y: float, look: Look, *, hollow: bool = False, size: float = 7
) -> None:
    """A value as a mark on the line of its interval; nothing where it is not estimable."""
    axes.plot([row["low"], row["high"]], [y, y], color=look.colour, linewidth=1.6, solid_capstyle="butt")
    face = "white" if hollow else look.colour
    axes.plot(
        [row["value"]],
        [y],
        look.marker,
        color=look.colour,
        markerfacecolor=face,
        markersize=size,
        markeredgewidth=1.8 if look.marker in "|x" else 1.2,
        clip_on=False,
        zorder=3,
    )


def printed(axes: Axes, value: float, y: float) -> None:
    """A small open diamond on the mark: the value as it was printed."""
    axes.plot([value], [y], **DIAMOND, zorder=4)


def beside(axes: Axes, y: float, text: str, **options: object) -> None:
    """Words to the right of the axes, level with y."""
    style = {"size": SMALL, "va": "center_baseline", "ha": "left", "color": INK} | options
    axes.text(1.015, y, text, transform=axes.get_yaxis_transform(), **style)


def heat(
    axes: Axes,
    values: np.ndarray,
    colours: Colormap,
    scale: Normalize,
    cell: Callable[[int, int], Sequence[tuple[str, dict]]],
    blank: Callable[[int, int], bool] = lambda i, j: False,
) -> None:
    """A heat-map with words in its cells, first row on top; NaN cells stay pale.

    Args:
        axes: Where.
        values: Shape (rows, columns).
        colours: Colour map.
        scale: Values → 0…1.
        cell: Row and column → lines of text with their font options, top to bottom.
        blank: Row and column → whether there is no cell at all.
    """
    rows, columns = values.shape
    for i in range(rows):
        for j in range(columns):
            if blank(i, j):
                continue
            known = not np.isnan(values[i, j])
            ground = colours(scale(values[i, j])) if known else mpl.colors.to_rgba(FAINT)
            axes.add_patch(Rectangle((j, i), 1, 1, facecolor=ground, edgecolor="white", linewidth=1.2))
            ink = "white" if _luminance(ground) < DARK else INK
            lines = list(cell(i, j))
            for k, (text, options) in enumerate(lines):
                y = i + 0.5 + (k - (len(lines) - 1) / 2) * min(0.42, 0.9 / max(len(lines), 1))
                style = {"ha": "center", "va": "center", "color": ink, "size": SMALL} | options
                axes.text(j + 0.5, y, text, **style)
    axes.set(xlim=(0, columns), ylim=(rows, 0), xticks=np.arange(columns) + 0.5, yticks=np.arange(rows) + 0.5)
    axes.tick_params(length=0, colors=INK, labelsize=SMALL)
    axes.spines[:].set_visible(False)


def _luminance(rgba: Sequence[float]) -> float:
    """Relative luminance of a colour, 0 (black) to 1 (white), as WCAG defines it."""
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgba[:3]]
    return float(np.dot(channels, [0.2126, 0.7152, 0.0722]))
