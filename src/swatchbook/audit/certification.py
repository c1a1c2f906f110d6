"""What a run's audit buys: thresholds to train by, and how far the labeller's confidence can be believed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from swatchbook.audit.run import Run
from swatchbook.audit.sheet import with_design
from swatchbook.evaluation.certification import certify_thresholds, statements
from swatchbook.evaluation.temperature import calibration_table
from swatchbook.labeller.silver import silver_table
from swatchbook.labeller.thresholds import thresholds_table
from swatchbook.schema import Attribute
from swatchbook.studies.settings import Labelling

THRESHOLDS = "audit/thresholds.csv"


class Sure(NamedTuple):
    """What the labeller would say of every image if it never abstained.

    Attributes:
        table: By image id, a label and a confidence an attribute; confidences of a rule are NaN.
        logits: By image id, a column ``<attribute>:<class>``; None where the run keeps no cosines.
    """

    table: pd.DataFrame
    logits: pd.DataFrame | None


def buy(
    run: Run, sheet: pd.DataFrame, alpha: float = 0.1, delta: float = 0.05
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Choose thresholds, and fit temperature and bias, by the answers of the first annotator.

    Args:
        run: The run.
        sheet: The answers, as `labels.audit_import.as_sheet` gives them.
        alpha: Highest risk promised among the labels kept, in (0, 1).
        delta: Probability with which a promise may fail, in (0, 1).

    Returns:
        (tables, lines to print). Tables by name: ``thresholds`` as `thresholds_table`, ``buys`` as
        `certify_thresholds`, and, where the run keeps cosines, ``calibration`` as `calibration_table`.
        None of them where the run's labels have no confidences.

    Raises:
        ValueError: If α or δ is out of range, or the cosines are of another schema.
    """
    if run.silver is None:
        return {}, []
    sure = _sure(run)
    every = sure.table.reindex(run.manifest.loc[run.manifest["split"] == "test", "image_id"])
    confidences = [f"{name}_confidence" for name in run.schema.names]
    if every[confidences].isna().all(axis=None):
        return {}, ["the labels have no confidences, so there are no thresholds to choose"]
    own = first_annotator(run, sheet)
    own = own[own["image_id"].isin(sure.table.index)].reset_index(drop=True)
    labels = sure.table.loc[own["image_id"]]
    human = run.schema.encode(own.reindex(columns=list(run.schema.names)), "answers")
    design = {"stratum": own["stratum"].to_numpy(), "weight": own["weight"].to_numpy()}
    bought, thresholds = certify_thresholds(
        human,
        run.schema.encode(labels, "silver.parquet"),
        _confidence(run, labels),
        _confidence(run, every),
        run.schema,
        **design,
        alpha=alpha,
        delta=delta,
        rng=run.rng(),
        level=run.bootstrap["level"],
    )
    tables = {"thresholds": thresholds_table(thresholds, bought, alpha, delta), "buys": bought}
    if sure.logits is not None:
        z = {a.name: _logits(sure, a, own["image_id"]) for a in run.schema if _is_sure(every, a.name)}
        tables["calibration"], _ = calibration_table(
            z, human, run.schema, **design, rng=run.rng(), **run.bootstrap
        )
    return tables, _told(run, bought, thresholds, sure.logits is not None, alpha, delta)


def first_annotator(run: Run, sheet: pd.DataFrame) -> pd.DataFrame:
    """Answers of the annotator who comes first, with ``stratum`` and ``weight`` whatever the audit's design.

    Args:
        run: The run.
        sheet: The answers, as `labels.audit_import.as_sheet` gives them.
    """
    own = sheet[sheet["annotator"] == sheet["annotator"].iloc[0]].reset_index(drop=True)
    weight = own["weight"] if "weight" in own else pd.Series(np.nan, index=own.index)
    stratum = own.get("stratum", "all")
    images = int((run.manifest["split"] == "test").sum())
    return with_design(own.assign(weight=weight.astype(float), stratum=stratum), images)


def _sure(run: Run) -> Sure:
    """From cosines; without them only labels that were given are known, and the others are left out."""
    silver, names = run.silver.set_index("image_id"), run.schema.names
    if not run.store.path("cosines.parquet").is_file():
        given = {f"{n}_confidence": silver[f"{n}_confidence"].where(silver[n].notna()) for n in names}
        return Sure(silver.assign(**given), None)
    cosines = run.store.read_table("cosines.parquet").set_index("image_id")
    logit_scale = float(run.settings.get("labelling.temperature", Labelling.temperature))
    surest = silver_table(cosines, run.schema, logit_scale=logit_scale, thresholds=dict.fromkeys(names, 0.0))
    ruled = [f"{n}_confidence" for n in names if not _is_sure(silver, n)]
    return Sure(surest.assign(**dict.fromkeys(ruled, np.nan)), cosines * logit_scale)


def _is_sure(table: pd.DataFrame, name: str) -> bool:
    return bool(table[f"{name}_confidence"].notna().any())


def _confidence(run: Run, table: pd.DataFrame) -> dict[str, np.ndarray]:
    return {name: table[f"{name}_confidence"].to_numpy(dtype=float) for name in run.schema.names}


def _logits(sure: Sure, attribute: Attribute, images: pd.Series) -> np.ndarray:
    columns = [f"{attribute.name}:{label}" for label in attribute.classes]
    return sure.logits.loc[images, columns].to_numpy(dtype=float)


def _told(
    run: Run, bought: pd.DataFrame, thresholds: dict[str, float], whole: bool, alpha: float, delta: float
) -> list[str]:
    path = run.store.path(THRESHOLDS)
    if not thresholds:
        wrong = f"no attribute's labels can be promised to be at most {alpha:.0%} wrong ({1 - delta:.0%})"
        return [f"{path}: no thresholds, because {wrong} by these answers"]
    said = list(statements(bought).values())
    if not whole:
        said.append("The run keeps no cosines, so shares are of the labels that it gave.")
    return [*said, f"{path}: {', '.join(thresholds)}; train by it with --set thresholds={path}"]
