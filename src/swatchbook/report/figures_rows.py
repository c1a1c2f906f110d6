"""Rows under headings: the layout that most figures share, a line a class, a model or a pair."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from swatchbook.report.figures_style import SOFT, SWATCHES, TEXT, words
from swatchbook.schema import Attribute

ROW = 0.25  # inches a row
GAP = 0.35  # rows between groups


@dataclass(frozen=True)
class Group:
    """A heading and the rows under it.

    Attributes:
        name: What the heading is called in `Rows.heads`.
        title: The heading's words; empty for none.
        rows: Key and label of each row.
        swatches: Whether labels that name a colour get a patch of it.
    """

    name: str
    title: str
    rows: Sequence[tuple[Hashable, str]]
    swatches: bool = False


@dataclass(frozen=True)
class Rows:
    """Where the rows lie: heights in the axes' own units, growing downwards."""

    of: dict[Hashable, float]
    heads: dict[str, float]


def extent(groups: Sequence[Group]) -> float:
    """How many rows a ladder of groups takes, headings and gaps included."""
    return sum(len(g.rows) + bool(g.title) for g in groups) + GAP * (len(groups) - 1)


def ladder(axes: Axes, groups: Sequence[Group], height: float | None = None) -> Rows:
    """Label the y axis with groups of rows.

    Args:
        axes: Where.
        groups: From top to bottom.
        height: Rows that the axes have room for, so that neighbours keep one scale; their own by default.
    """
    rows, heads, ticks, y = {}, {}, [], 0.0
    for group in groups:
        if group.title:
            heads[group.name] = y
            ticks.append((y, group.title, True))
            y += 1
        for key, label in group.rows:
            rows[key] = y
            ticks.append((y, label, False))
            if group.swatches and label in SWATCHES:
                axes.plot(
                    [-0.022],
                    [y],
                    "s",
                    color=SWATCHES[label],
                    markersize=8.5,
                    markeredgecolor=SOFT,
                    markeredgewidth=0.6,
                    transform=axes.get_yaxis_transform(),
                    clip_on=False,
                )
            y += 1
        y += GAP
    axes.set_ylim((height or extent(groups)) - 0.5, -0.6)
    axes.set_yticks([tick[0] for tick in ticks], [tick[1] for tick in ticks])
    for label, (_, _, heading) in zip(axes.get_yticklabels(), ticks, strict=True):
        label.set(weight="bold" if heading else "normal", size=TEXT)
    axes.tick_params(axis="y", pad=14 if any(g.swatches for g in groups) else 5)
    axes.grid(axis="x", linewidth=0.8)
    axes.set_axisbelow(True)
    return Rows(rows, heads)


def class_group(
    attribute: Attribute, classes: Sequence[str] | None = None, title: str | None = None
) -> Group:
    """The classes of an attribute under its name; keys are (attribute, class)."""
    shown = attribute.classes if classes is None else classes
    coloured = all(label in SWATCHES for label in attribute.classes)
    rows = [((attribute.name, label), words(label)) for label in shown]
    return Group(attribute.name, words(attribute.name) if title is None else title, rows, coloured)


def two_columns(groups: Sequence[Group]) -> list[list[Group]]:
    """Groups side by side in two columns of about the same height, order kept; one group stays one."""
    if len(groups) < 2:
        return [list(groups)]
    cut = min(range(1, len(groups)), key=lambda k: max(extent(groups[:k]), extent(groups[k:])))
    return [list(groups[:cut]), list(groups[cut:])]


def tallest(columns: Sequence[Sequence[Group]]) -> float:
    """Rows of the tallest column."""
    return max(extent(groups) for groups in columns)
