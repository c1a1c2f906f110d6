"""The steps that draw: a figure from its table, and from pictures where it has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import numpy as np

from swatchbook.pipeline.stage import Stage, Trace
from swatchbook.store import sha256

SUFFIXES = (".png", ".csv", ".txt")  # the picture, the table behind it, what it shows in words
_REPORT = Path(__file__).parents[2] / "report"


@dataclass(frozen=True)
class Figure:
    """What a figure is drawn from, and by whom.

    Attributes:
        table: Name of the one table, as in ``tables/<table>.csv``.
        drawer: The function that draws it, such as ``report.figures_scores:f1_by_head``.
        arguments: What the function takes beside table and schema.
        pictures: The artefact that holds the pictures of the table's rows; empty for none.
    """

    table: str
    drawer: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    pictures: str = ""


def figures_of(models: tuple[str, ...], judge: str) -> dict[str, Figure]:
    """The figures of a study of these models, in the order of its story."""
    judged = {"judge": judge}
    return {
        "f1_by_head": Figure("scores", "report.figures_scores:f1_by_head"),
        "f1_by_class": Figure("scores", "report.figures_scores:f1_by_class"),
        "backbone_dumbbell": Figure("scores", "report.figures_scores:backbone_dumbbell"),
        "backbone_gaps": Figure("comparison", "report.figures_scores:backbone_gaps", judged),
        **{
            f"confusion_{model}": Figure("confusion", "report.figures_confusion:confusion", {"model": model})
            for model in models
        },
        "audit_scores": Figure("audit", "report.figures_audit:audit_scores", judged),
        "audit_power": Figure("power", "report.figures_audit:audit_power", judged),
        "truth": Figure("truth", "report.figures_audit:truth", judged),
        "coupling_matrix": Figure("coupling", "report.figures_coupling:coupling_matrix"),
        "coupling_deltas": Figure("coupling", "report.figures_coupling:coupling_deltas"),
        "residuals_material_texture": Figure("cells", "report.figures_coupling:residuals"),
        "prior_collapse": Figure("collapse", "report.figures_collapse:prior_collapse"),
        "v_by_selection": Figure("selection", "report.figures_collapse:v_by_selection"),
    }


def figure_stage(name: str, figure: Figure) -> Stage:
    """The step that draws one figure.

    Args:
        name: The figure's, which its files are called after.
        figure: Its table, its drawer and what this takes.
    """

    def draw_figure(trace: Trace) -> None:
        from swatchbook.report.figure import draw

        module, _, function = figure.drawer.partition(":")
        drawer = getattr(import_module(f"swatchbook.{module}"), function)
        more = dict(figure.arguments)
        if figure.pictures:
            more["pictures"] = np.load(trace.path(figure.pictures), allow_pickle=False)
        for suffix, writer in draw(drawer, trace.table(f"tables/{figure.table}.csv"), trace.schema, **more):
            trace.write(f"figures/{name}{suffix}", writer)

    return Stage(
        f"figure {name}",
        tuple(f"figures/{name}{suffix}" for suffix in SUFFIXES),
        draw_figure,
        lambda _: {"drawing": repr(figure), **{path.name: sha256(path) for path in _REPORT.glob("*.py")}},
    )
