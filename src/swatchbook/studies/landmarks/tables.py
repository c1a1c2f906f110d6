"""Predictions → the tables of the landmarks study."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from swatchbook.data.landmarks import ABSENT, BOX, POINTS, SLOTS, VISIBLE
from swatchbook.evaluation import landmarks as metrics
from swatchbook.evaluation.history import history_table
from swatchbook.evaluation.intervals import wilson
from swatchbook.evaluation.landmarks import landmark_differences, landmark_known, landmark_scores
from swatchbook.evaluation.replicates import NUMBERS, Replicates
from swatchbook.evaluation.resample import image_weights
from swatchbook.pipeline.stage import Trace
from swatchbook.schema import Schema
from swatchbook.studies.landmarks.images import Truth, parts, schema_of, squares, truth_of
from swatchbook.studies.landmarks.systems import SYSTEMS, model_name
from swatchbook.studies.landmarks.training import OTHERS, REPORT, answered

NO_SEED = "none"  # in the place of a seed: what needs no training
BASELINES = ("mtl", "cat")  # what every system is held against
REPORTED = ("mtl", "cat")  # whose predictions are published image by image
KNOWN = ("normalized_error", "relation_error", "accuracy", "recall", "overall_accuracy")
SHOWN, EXPLAINED = 6, 4  # images of each rule; images with attention maps
Trainings = list[list]  # system and seed, as JSON gives them back
Found = dict[str, dict[object, dict[tuple, Replicates]]]


def score(trace: Trace, trainings: Trainings) -> None:
    """Predictions of the images that are reported on → scores and paired differences."""
    level = trace.setting("evaluation.level")
    found, baselines = _statistics(trace, trainings, REPORT)
    trace.write_table("tables/landmark_scores.csv", landmark_scores({**found, **baselines}, level=level))
    tables = [landmark_differences(found, baseline, level=level) for baseline in BASELINES]
    trace.write_table("tables/landmark_differences.csv", pd.concat(tables, ignore_index=True))


def _statistics(trace: Trace, trainings: Trainings, part: str) -> tuple[Found, Found]:
    """Statistics of all trainings, and of what needs none, under the same weights of the images."""
    schema, manifest = schema_of(trace), trace.table("manifest.parquet")
    which, whole = parts(trace, manifest), truth_of(manifest, schema)
    rows = which.report if part == REPORT else which.others
    truth = whole.of(rows)
    weights = image_weights(len(rows), trace.setting("evaluation.bootstrap"), trace.rng(f"images, {part}"))
    found: Found = {}
    for system, seed in trainings:
        table = trace.table(f"predictions/{model_name(system, seed)}.parquet")
        own = table[table["part"] == part]
        found.setdefault(system, {})[seed] = statistics(own, truth, schema, weights)
    return found, constant_statistics(whole.of(which.train), truth, schema, weights)


def statistics(
    table: pd.DataFrame, truth: Truth, schema: Schema, weights: np.ndarray
) -> dict[tuple, Replicates]:
    """All statistics of one training's predictions.

    Args:
        table: As of `models.tasks.landmarks.prediction_table`, a row an image.
        truth: Of the same images.
        schema: Gives the attributes.
        weights: Bootstrap weights of the images.

    Returns:
        As of the functions of `evaluation.landmarks`, and ("landmarks", slot, "whole_cell_error", NaN): the
        normalised error of the middles of cells, in the place of points between them.
    """
    scores = {a.name: table[[f"{a.name}:{c}" for c in a.classes]].to_numpy(float) for a in schema}
    found = metrics.answers(scores, truth.codes, schema, weights)
    if POINTS[0] not in table:
        return found
    here = truth.points, truth.visibility, SLOTS, weights
    points, whole = (
        table[[prefix + column for column in POINTS]].to_numpy(float).reshape(-1, len(SLOTS), 2)
        for prefix in ("", "whole_")
    )
    by_cell = metrics.localisation(whole, *here, ())
    renamed = {(*key[:2], "whole_cell_error", key[3]): value for key, value in by_cell.items()}
    return found | metrics.localisation(points, *here) | renamed | metrics.consistency(points, *here)


def constant_statistics(train: Truth, truth: Truth, schema: Schema, weights: np.ndarray) -> Found:
    """What needs no image: each landmark's mean position, and the most frequent answers, of `train`."""
    n = len(truth.points)
    here = truth.points, truth.visibility, SLOTS, weights
    mean = metrics.mean_position(train.points, train.visibility, n)
    constant = {
        a.name: metrics.constant_scores(train.codes[a.name], n, None if a.multiple else len(a))
        for a in schema
    }
    return {
        "mean_position": {NO_SEED: metrics.localisation(mean, *here) | metrics.consistency(mean, *here)},
        "majority": {NO_SEED: metrics.answers(constant, truth.codes, schema, weights)},
    }


def know(trace: Trace, trainings: Trainings) -> None:
    """Scores beside those on other drawn images; shares of labels beside those of the drawn world."""
    level = trace.setting("evaluation.level")
    here, there = (
        {model: {seed: _kept(found) for seed, found in by_seed.items()} for model, by_seed in each.items()}
        for each in (_statistics(trace, trainings, part)[0] for part in (REPORT, OTHERS))
    )
    table = landmark_known(here, there, level=level)
    trace.write_table(
        "tables/landmark_known.csv", pd.concat([table, _known_shares(trace)], ignore_index=True)
    )


def _kept(found: dict[tuple, Replicates]) -> dict[tuple, Replicates]:
    names = ("mean", "all")
    return {key: value for key, value in found.items() if key[2] in KNOWN and key[1] in names}


def _known_shares(trace: Trace) -> pd.DataFrame:
    """How many drawn garments have each pattern and fabric, beside the share that their world gives them."""
    from swatchbook.drawn.deepfashion import LABELS

    manifest, schema = trace.table("manifest.parquet"), schema_of(trace)
    margins = json.loads(trace.path("images/world.json").read_text(encoding="utf-8"))["margins"]
    rows = []
    for group, (of, names) in LABELS.items():
        if group not in schema.names:
            continue
        held = manifest[group].fillna("").str.split(";")
        for label, known in names.items():
            if label not in schema[group].classes:
                continue
            share = float(held.map(lambda labels, label=label: label in labels).mean())
            low, high = wilson(share, len(manifest))
            rows.append((f"{group}: {label}", margins[of][known], share, low, high, len(manifest)))
    table = pd.DataFrame(rows, columns=["name", "known", *NUMBERS[:4]])
    covered = (table["low"] <= table["known"]) & (table["known"] <= table["high"])
    return table.assign(model="labels", task="labels", metric="share", interval="95% Wilson", covered=covered)


def follow(trace: Trace, trainings: Trainings) -> None:
    """Trainings, epoch by epoch, and what was trained."""
    names = {model_name(*training): training for training in trainings}
    histories = {name: trace.table(f"models/{name}/history.csv") for name in names}
    chose = {
        name: "answers" if SYSTEMS[system].answer_loss else "located" for name, (system, _) in names.items()
    }
    table = history_table(histories, chose)
    table.insert(0, "training", table["model"])
    table["model"] = table["training"].map({name: system for name, (system, _) in names.items()})
    table.insert(2, "seed", table["training"].map({name: seed for name, (_, seed) in names.items()}))
    trace.write_table("tables/landmark_history.csv", table)
    rows = []
    for name, (system, seed) in names.items():
        config = json.loads(trace.path(f"models/{name}/config.json").read_text(encoding="utf-8"))
        rows.append(
            {
                "model": system,
                "seed": seed,
                "what": SYSTEMS[system].what,
                "backbone": config["network"]["backbone"],
                "weights": config["network"]["source"],
                "parameters": config["parameters"],
                "images": config["n_train"],
                "epochs": len(histories[name]),
                "kept_epoch": config["best_epoch"],
                "hours": histories[name]["seconds"].sum() / 3600,
            }
        )
    trace.write_table("tables/landmark_systems.csv", pd.DataFrame(rows))


def publish_predictions(trace: Trace, trainings: Trainings) -> None:
    """Points and answers of `REPORTED`, image by image, in pixels of the photographs."""
    schema, manifest = schema_of(trace), trace.table("manifest.parquet").set_index("image_id")
    out = []
    for system, seed in trainings:
        if system not in REPORTED:
            continue
        table = trace.table(f"predictions/{model_name(system, seed)}.parquet")
        table = table[table["part"] == REPORT].reset_index(drop=True)
        box = manifest.loc[table["image_id"], list(BOX)].to_numpy(float).round().reshape(-1, 1, 2, 2)
        columns: dict[str, object] = {"model": system, "seed": seed, "image_id": table["image_id"]}
        if POINTS[0] in table:
            shares = table[list(POINTS)].to_numpy(float).reshape(-1, len(SLOTS), 2)
            pixels = box[:, :, 0] + shares * (box[:, :, 1] - box[:, :, 0])
            columns |= dict(zip(POINTS, pixels.reshape(len(table), -1).round(1).T, strict=True))
        for a in schema:
            scores = table[[f"{a.name}:{c}" for c in a.classes]].to_numpy()
            if not a.multiple:
                columns[a.name] = np.array(a.classes, dtype=object)[scores.argmax(1)]
                continue
            first = np.argsort(-scores, axis=1, kind="stable")[:, :5]
            columns[a.name] = [";".join(a.classes[k] for k in row) for row in first]
        out.append(pd.DataFrame(columns))
    trace.write_table("tables/landmark_predictions.csv", pd.concat(out, ignore_index=True))


# ---- images to look at ----------------------------------------------------------------------------------


def choose_images(trace: Trace, trainings: Trainings) -> None:
    """Images by rule with their points, predicted and given; and where attention lies on some of them.

    Drawn at random, and those with the largest mean error, of the first training of MTL.
    """
    from swatchbook.models.landmark_answers import attention_maps

    schema, manifest = schema_of(trace), trace.table("manifest.parquet")
    whole, stored = truth_of(manifest, schema), squares(trace, len(manifest))
    seed = next(seed for system, seed in trainings if system == "mtl")
    table = trace.table(f"predictions/{model_name('mtl', seed)}.parquet")
    table = table[table["part"] == REPORT].reset_index(drop=True)
    rows = pd.Index(manifest["image_id"]).get_indexer(table["image_id"])
    truth = whole.of(rows)
    points = table[list(POINTS)].to_numpy(float).reshape(-1, len(SLOTS), 2)
    away = np.linalg.norm(points - truth.points, axis=2)
    visible = truth.visibility == VISIBLE
    error = np.where(visible, away, 0).sum(1) / np.maximum(visible.sum(1), 1)
    some = trace.rng("overlays").permutation(np.flatnonzero(visible.any(1)))
    rules = {"drawn at random": some[:SHOWN], "with the largest error": np.argsort(-error)[:SHOWN]}
    shown, listed = [], []
    for rule, places in rules.items():
        for at in places:
            listed += [
                (len(shown), rule, table["image_id"][at], slot, *points[at, k], *truth.points[at, k],
                 int(truth.visibility[at, k]), away[at, k] if visible[at, k] else np.nan, error[at])
                for k, slot in enumerate(SLOTS)
                if truth.visibility[at, k] != ABSENT
            ]  # fmt: skip
            shown.append(rows[at])
    columns = [
        "place",
        "rule",
        "image_id",
        "slot",
        "x",
        "y",
        "true_x",
        "true_y",
        "visibility",
        "value",
        "mean",
    ]
    trace.write_table("tables/landmark_overlays.csv", pd.DataFrame(listed, columns=columns))
    trace.write("pictures/landmarks.npy", lambda out: np.save(out, stored[shown]))
    maps = []
    explained = np.array(shown[:EXPLAINED])
    for system in dict.fromkeys(system for system, _ in trainings):
        trace.path(f"models/{model_name(system, seed)}/config.json")
        found = attention_maps(answered(trace, model_name(system, seed), explained, stored, whole, schema))
        for place, each in enumerate(() if found is None else found):
            i, j = np.indices(each.shape).reshape(2, -1)
            cells = {"cell_row": i, "cell_column": j, "value": each.ravel()}
            maps.append(pd.DataFrame({"model": system, "place": place, **cells}))
    trace.write_table("tables/landmark_attention.csv", pd.concat(maps, ignore_index=True))
