"""The steps that draw: a figure from its table, or from its table and its pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from swatchbook.pipeline.stage import Stage, Trace
from swatchbook.report.figures_style import Figure, draw
from swatchbook.report.grids import GridDrawer

SUFFIXES = (".png", ".svg", ".csv", ".txt")  # the picture twice, the table behind it, what it shows in words


def figure_stage(name: str, figure: Figure) -> Stage:
    """The step that draws one figure from its table.

    Args:
        name: The figure's, which its files are called after.
        figure: Its table and its drawer.
    """
    drawer = figure.draw  # named apart, so that its code is part of the step's version

    def draw_figure(trace: Trace) -> None:
        table = trace.table(f"tables/{figure.table}.csv")
        for suffix, writer in draw(drawer, table, trace.schema):
            trace.write(f"figures/{name}{suffix}", writer)

    return _stage(name, draw_figure)


def picture_stage(name: str, source: str, array: str, drawer: GridDrawer) -> Stage:
    """The step that draws one figure from its table and its pictures.

    Args:
        name: The figure's.
        source: Its table.
        array: The artefact that holds its pictures.
        drawer: Its drawer.
    """

    def draw_figure(trace: Trace) -> None:
        table = trace.table(f"tables/{source}.csv")
        pictures = np.load(trace.path(array), allow_pickle=False)
        for suffix, writer in draw(lambda t, s: drawer(t, s, pictures), table, trace.schema):
            trace.write(f"figures/{name}{suffix}", writer)

    return _stage(name, draw_figure)


def _stage(name: str, compute: Callable[[Trace], None]) -> Stage:
    return Stage(f"figure {name}", tuple(f"figures/{name}{suffix}" for suffix in SUFFIXES), compute)
