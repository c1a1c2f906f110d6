"""How good a labeller is: on drawn images by the thousand, and on photographs where they were judged.

Every image is labelled here, sure or not, so that the figures do not depend on thresholds.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.drawn.balanced import drawn_labels, drawn_pictures
from swatchbook.evaluation.confidence import expected_calibration_error
from swatchbook.evaluation.resample import image_weights
from swatchbook.evaluation.scores import score_table
from swatchbook.labeller.calibration import Calibration, temperature
from swatchbook.labeller.judged import read_judgements, with_photographs
from swatchbook.labeller.nearest_colour import navy_as_blue
from swatchbook.labeller.silver import LOGIT_SCALE, confidences, silver_table
from swatchbook.labeller.training.captions import HELD_OUT, WORDS
from swatchbook.labeller.zero_shot import Labeller
from swatchbook.schema import Attribute, Schema


def drawn_schema(*, held_out: bool = False) -> Schema:
    """The schema of drawn images: every colour, pattern and texture, and material by its construction.

    Args:
        held_out: Use the sentences that no labeller of ours was trained on instead of TextileNet's.
    """
    schema = Schema.load("textilenet", folder_map="construction")
    return Schema("drawn", tuple(_widened(a, HELD_OUT[a.name] if held_out else a.templates) for a in schema))


def drawn_quality(
    labeller: Labeller, n: int, seed: int, rng: np.random.Generator, *, draws: int = 1000
) -> pd.DataFrame:
    """Scores on freshly drawn images, with the schema's sentences and with held-out ones.

    Args:
        labeller: The model.
        n: Images to draw.
        seed: Their seed; it must not be the one trained on.
        rng: Source of randomness for the bootstrap.
        draws: Bootstrap replicates.

    Returns:
        Tidy table ``attribute, class, prompts, metric, value, low, high, n, interval``: accuracy,
        macro_f1, majority (the share of the commonest class), ece, and f1 of each class.
    """
    labels = drawn_labels(n, seed)
    rule = Schema.load("textilenet", folder_map="construction").folders
    truth = labels.assign(material=labels["folder"].map(rule).astype(object))
    embeddings = labeller.encode(drawn_pictures(labels, seed))
    weights = image_weights(n, draws, rng)
    parts = []
    for prompts, held_out in (("schema", False), ("held out", True)):
        schema = drawn_schema(held_out=held_out)
        cosines = cosines_of(labeller, embeddings, schema)
        parts.append(quality_table(cosines, truth, schema, weights).assign(prompts=prompts))
    return pd.concat(parts, ignore_index=True)


def photograph_quality(
    labeller: Labeller, folder: Path, rng: np.random.Generator, *, draws: int = 1000
) -> pd.DataFrame:
    """Scores of colour and pattern on judged photographs.

    Args:
        labeller: The model.
        folder: Holds ``audit.csv`` with ``path``, ``color`` and ``pattern`` (blank where the judge could
            not tell), paths relative to it. Navy counts as blue as in `navy_as_blue`.
        rng: Source of randomness for the bootstrap.
        draws: Bootstrap replicates.

    Returns:
        As ``drawn_quality``.
    """
    audit = pd.read_csv(folder / "audit.csv", dtype=object)
    embeddings = labeller.encode([folder / path for path in audit["path"]])
    whole = drawn_schema()
    patterns = {k: w for k, w in whole["pattern"].surface.items() if k in set(audit["pattern"].dropna())}
    schema = Schema("judged", (whole["color"], dataclasses.replace(whole["pattern"], surface=patterns)))
    weights = image_weights(len(audit), draws, rng)
    table = quality_table(cosines_of(labeller, embeddings, schema), audit, schema, weights)
    return table.assign(prompts="schema")


def judged_quality(
    labeller: Labeller, source: Path, rng: np.random.Generator, *, draws: int = 1000
) -> pd.DataFrame:
    """Scores on the validation part of the judged set; see `judged_cosines`.

    Args:
        labeller: The model.
        source: A clone of the data set, see `with_photographs`.
        rng: Source of randomness for the bootstrap.
        draws: Bootstrap replicates.

    Returns:
        As ``drawn_quality``.
    """
    judged, cosines = judged_cosines(labeller, source)
    weights = image_weights(len(judged), draws, rng)
    return quality_table(cosines, judged, Schema.load("wardrobe"), weights).assign(prompts="schema")


def judged_cosines(labeller: Labeller, source: Path, parts: int = 5) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cosines of the validation part of the judged set, no photograph calibrating its own.

    Each fifth of the photographs is calibrated by the other four if the labeller has a calibration, which all
    of them have chosen; else cosines are its own.

    Args:
        labeller: The model.
        source: A clone of the data set, see `with_photographs`.
        parts: Parts that the photographs are cut into.

    Returns:
        The judgements, and a column ``<attribute>:<class>`` of cosines for each class of the schema
        ``wardrobe``, aligned row by row.
    """
    judged = read_judgements()
    judged = with_photographs(judged[judged["part"] == "val"].reset_index(drop=True), source)
    schema, plain = Schema.load("wardrobe"), dataclasses.replace(labeller, calibration=Calibration())
    cosines = cosines_of(plain, plain.encode(judged["path"].tolist()), schema)
    if not labeller.calibration.factors:
        return judged, cosines
    part, crossed = np.random.default_rng(parts).permutation(len(judged)) % parts, cosines.copy()
    for number in range(parts):
        fitted = calibration_of(cosines[part != number], judged[part != number], schema)
        crossed[part == number] = fitted.apply(cosines[part == number].to_numpy(), schema)
    return judged, crossed


def calibration_of(cosines: pd.DataFrame, judged: pd.DataFrame, schema: Schema) -> Calibration:
    """The calibration of every attribute, fitted on images whose classes are known.

    Args:
        cosines: As from ``cosines_of``.
        judged: A class, or null, in a column an attribute.
        schema: Gives attributes and classes.
    """
    truth, factors = schema.encode(judged, "judgements"), {}
    for a in schema:
        known = truth[a.name] >= 0
        logits = LOGIT_SCALE * cosines[[f"{a.name}:{c}" for c in a.classes]][known].to_numpy(float)
        factors[a.name] = round(temperature(logits, truth[a.name][known]), 6)
    return Calibration(factors, {a.name: list(a.classes) for a in schema})


def cosines_of(labeller: Labeller, embeddings: np.ndarray, schema: Schema) -> pd.DataFrame:
    """Cosines of embedded images with every class: a column ``<attribute>:<class>``.

    Args:
        labeller: The model that embedded them.
        embeddings: Of length 1, shape (images, dimensions).
        schema: Gives attributes, classes and prompts.
    """
    columns = [f"{a.name}:{label}" for a in schema for label in a.classes]
    return pd.DataFrame(labeller.cosines(embeddings, schema), columns=columns)


def _widened(attribute: Attribute, templates: tuple[str, ...]) -> Attribute:
    surface = {label: words[0] for label, words in WORDS[attribute.name].items()}
    return Attribute(attribute.name, surface, templates, "zero_shot", 0.0, attribute.prompts_by)


def quality_table(
    cosines: pd.DataFrame, truth: pd.DataFrame, schema: Schema, weights: np.ndarray
) -> pd.DataFrame:
    """Scores of labels without thresholds against the truth.

    Args:
        cosines: As from ``cosines_of``.
        truth: A class, or null, in a column an attribute.
        schema: Gives attributes and classes.
        weights: Bootstrap weights of the images, shape (B, n).

    Returns:
        As ``drawn_quality``, without ``prompts``. Navy counts as blue as in `navy_as_blue`.
    """
    silver = silver_table(cosines, schema, thresholds=dict.fromkeys(schema.names, 0.0))
    if "color" in schema.names:
        silver["color"], _ = navy_as_blue(silver["color"], truth["color"])
    codes = {"labeller": schema.encode(silver, "silver")}
    reference = schema.encode(truth, "truth")
    table = score_table(reference, codes, schema, weights)
    keep = table["metric"].isin(["accuracy", "macro_f1"]) & (table["class"] == "all")
    keep |= (table["metric"] == "f1") & table["value"].notna()
    table = table[keep & table["head"].isin(schema.names)].rename(columns={"head": "attribute"})
    extra = []
    for a in schema:
        known = reference[a.name] >= 0
        right = (codes["labeller"][a.name] == reference[a.name])[known]
        sure = confidences(cosines, a).max(axis=1)[known]
        most = np.bincount(reference[a.name][known]).max() / known.sum()
        for metric, value in (("majority", most), ("ece", expected_calibration_error(sure, right)[0])):
            row = {"attribute": a.name, "class": "all", "metric": metric, "value": value, "n": known.sum()}
            extra.append(row | {"low": np.nan, "high": np.nan, "interval": ""})
    columns = ["attribute", "class", "metric", "value", "low", "high", "n", "interval"]
    order = pd.concat([table[columns], pd.DataFrame(extra)], ignore_index=True)
    place = {name: i for i, name in enumerate(schema.names)}
    return order.sort_values("attribute", key=lambda c: c.map(place), kind="stable", ignore_index=True)
