"""Threshold certification by a run's audit, and how far the labeller's confidence can be believed.

A certified threshold keeps labels of which no more than a stated share is wrong, with a stated probability
(Learn then Test); see `evaluation.certification`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from swatchbook.audit.run import LABELS, Run
from swatchbook.audit.sheet import EVERYTHING, with_design
from swatchbook.evaluation.certification import certify_thresholds, statements
from swatchbook.evaluation.temperature import calibration_table
from swatchbook.labeller.silver import silver_table
from swatchbook.labeller.thresholds import thresholds_table

THRESHOLDS = "audit/thresholds.csv"


def certify(
    run: Run, sheet: pd.DataFrame, alpha: float = 0.1, delta: float = 0.05
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Choose thresholds, and fit temperature and bias, by the answers of the first annotator.

    Args:
        run: The run.
        sheet: The answers, as `answers.as_sheet` gives them.
        alpha: Highest risk promised among the labels kept, in (0, 1).
        delta: Probability with which a promise may fail, in (0, 1).

    Returns:
        (tables, lines to print). Tables by name: ``thresholds`` as `thresholds_table`, ``certified`` as
        `certify_thresholds`, and, where the run keeps cosines, ``calibration`` as `calibration_table`.
        None of them where the run's labels have no confidences.

    Raises:
        ValueError: If α or δ is out of range, or the cosines are of another schema.
    """
    if run.silver is None:
        return {}, []
    surest, logits = _unthresholded(run)
    every = surest.reindex(run.manifest.loc[run.manifest["split"] == "test", "image_id"])
    sure = [a for a in run.schema if every[f"{a.name}_confidence"].notna().any()]
    if not sure:
        return {}, ["the labels have no confidences, so there are no thresholds to choose"]
    own = first_annotator(run, sheet)
    own = own[own["image_id"].isin(surest.index)].reset_index(drop=True)
    labels = surest.loc[own["image_id"]]
    human = run.schema.encode(own.reindex(columns=list(run.schema.names)), "answers")
    design = {"stratum": own["stratum"].to_numpy(), "weight": own["weight"].to_numpy()}
    certified, thresholds = certify_thresholds(
        human,
        run.schema.encode(labels, "silver.parquet"),
        _confidences(run, labels),
        _confidences(run, every),
        run.schema,
        **design,
        alpha=alpha,
        delta=delta,
        rng=run.rng(),
        level=run.level,
    )
    tables = {"thresholds": thresholds_table(thresholds, certified, alpha, delta), "certified": certified}
    if logits is not None:
        columns = {a.name: [f"{a.name}:{label}" for label in a.classes] for a in sure}
        z = {name: logits.loc[own["image_id"], of].to_numpy(dtype=float) for name, of in columns.items()}
        tables["calibration"], _ = calibration_table(
            z, human, run.schema, **design, rng=run.rng(), **run.bootstrap
        )
    return tables, _lines(run, certified, thresholds, logits is not None, alpha, delta)


def first_annotator(run: Run, sheet: pd.DataFrame) -> pd.DataFrame:
    """Answers of the annotator who comes first, with ``stratum`` and ``weight`` whatever the audit's design.

    Args:
        run: The run.
        sheet: The answers, as `answers.as_sheet` gives them.
    """
    own = sheet[sheet["annotator"] == sheet["annotator"].iloc[0]].reset_index(drop=True)
    weight = own["weight"] if "weight" in own else pd.Series(np.nan, index=own.index)
    stratum = own.get("stratum", EVERYTHING)
    images = int((run.manifest["split"] == "test").sum())
    return with_design(own.assign(weight=weight.astype(float), stratum=stratum), images)


def _unthresholded(run: Run) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """What the labeller says of every image if it never abstains.

    Without cosines only the labels that were given are known, and the confidences of others are left out.

    Returns:
        By image id, a label and a confidence an attribute, NaN where a rule gave it; and, where the run
        keeps cosines, logits, a column ``<attribute>:<class>``.
    """
    silver, names = run.silver.set_index("image_id"), run.schema.names
    if not run.store.path("cosines.parquet").is_file():
        given = {f"{n}_confidence": silver[f"{n}_confidence"].where(silver[n].notna()) for n in names}
        return silver.assign(**given), None
    cosines = run.store.read_table("cosines.parquet").set_index("image_id")
    scale = float(run.settings["labelling.temperature"])
    surest = silver_table(cosines, run.schema, logit_scale=scale, thresholds=dict.fromkeys(names, 0.0))
    ruled = [f"{n}_confidence" for n in names if silver[f"{n}_confidence"].isna().all()]
    return surest.assign(**dict.fromkeys(ruled, np.nan)), cosines * scale


def _confidences(run: Run, table: pd.DataFrame) -> dict[str, np.ndarray]:
    return {name: table[f"{name}_confidence"].to_numpy(dtype=float) for name in run.schema.names}


def _lines(
    run: Run, certified: pd.DataFrame, thresholds: dict[str, float], whole: bool, alpha: float, delta: float
) -> list[str]:
    path = run.store.path(THRESHOLDS)
    if not thresholds:
        wrong = f"no attribute's labels can be promised to be at most {alpha:.0%} wrong ({1 - delta:.0%})"
        return [f"{path}: no thresholds, because {wrong} by these answers"]
    lines = list(statements(certified).values())
    if LABELS in run.settings:
        return [*lines, f"{path}: {', '.join(thresholds)}"]
    if not whole:
        lines.append("The run keeps no cosines, so shares are of the labels that it gave.")
    return [*lines, f"{path}: {', '.join(thresholds)}; train by it with --set thresholds={path}"]
