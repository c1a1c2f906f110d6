"""The stages that draw: a figure from its table, or from its table and its pictures."""

from __future__ import annotations

import numpy as np

from swatchbook.pipeline.stage import Stage, Trace, resolve

HERE = "swatchbook.studies.figures"
SUFFIXES = (".png", ".csv", ".txt")  # the picture, the table behind it, what it shows in words


def figure(name: str, table: str, drawer: str, *, pictures: str | None = None, **options: object) -> Stage:
    """The stage that draws one figure.

    Args:
        name: The figure's, which its files are called after.
        table: Name of the one table that it is drawn from.
        drawer: ``module:function`` below ``swatchbook.report``.
        pictures: The artefact that holds its pictures, uint8 of shape (rows, S, S, 3), if it has any.
        **options: Of the drawer.
    """
    source = f"tables/{table}.csv"
    return Stage(
        f"figure {name}",
        tuple(f"figures/{name}{suffix}" for suffix in SUFFIXES),
        f"{HERE}:draw_figure",
        code=("report", "evaluation", "names.py"),
        arguments={
            "name": name,
            "table": source,
            "drawer": f"swatchbook.report.{drawer}",
            "pictures": pictures,
            "options": options,
        },
        separate=True,
        needs=(source, *((pictures,) if pictures else ())),
    )


def draw_figure(
    trace: Trace, name: str, table: str, drawer: str, pictures: str | None, options: dict[str, object]
) -> None:
    """A table, and pictures where there are any → the files of a figure."""
    from swatchbook.report.figure import draw

    if pictures:
        options = options | {"pictures": np.load(trace.path(pictures), allow_pickle=False)}
    for suffix, writer in draw(resolve(drawer), trace.table(table), trace.schema, **options):
        trace.write(f"figures/{name}{suffix}", writer)
