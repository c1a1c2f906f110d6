"""The figures of the study in the order of its story, each drawn from exactly one table."""

from __future__ import annotations

from collections.abc import Sequence

from swatchbook.report import figures_audit as audit
from swatchbook.report import figures_cells as cells
from swatchbook.report import figures_collapse as collapse
from swatchbook.report import figures_coupling as coupling
from swatchbook.report import figures_scores as scores
from swatchbook.report.figures_confusion import confusion
from swatchbook.report.figures_style import Figure, draw

FIGURES: dict[str, Figure] = {
    "f1_by_head": Figure("scores", scores.f1_by_head),
    "f1_by_class": Figure("scores", scores.f1_by_class),
    "backbone_dumbbell": Figure("scores", scores.backbone_dumbbell),
    "backbone_gaps": Figure("comparison", scores.backbone_gaps),
    "confusion_dinov2": Figure("confusion", confusion("dinov2")),
    "confusion_resnet50": Figure("confusion", confusion("resnet50")),
    "audit_scores": Figure("audit", audit.audit_scores),
    "audit_power": Figure("power", audit.audit_power),
    "truth": Figure("truth", audit.truth),
    "coupling_matrix": Figure("coupling", coupling.coupling_matrix),
    "coupling_deltas": Figure("coupling", coupling.coupling_deltas),
    "residuals_material_texture": Figure("cells", cells.residuals),
    "prior_collapse": Figure("collapse", collapse.prior_collapse),
    "v_by_selection": Figure("selection", collapse.v_by_selection),
}


def figures_of(models: Sequence[str]) -> dict[str, Figure]:
    """The figures of a study of these models; each has its own confusion matrices."""
    common = {name: figure for name, figure in FIGURES.items() if not name.startswith("confusion_")}
    return common | {f"confusion_{model}": Figure("confusion", confusion(model)) for model in models}


__all__ = ["FIGURES", "Figure", "draw", "figures_of"]
