"""Steps that answer for images: trainings, a linear probe on frozen features, and the zero-shot labeller.

Each writes the probabilities of all classes for the images that its model was not trained on.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from PIL import Image

from swatchbook.evaluation.scores import accuracy, recall
from swatchbook.models.probe import probe_probabilities
from swatchbook.pipeline.stage import Trace
from swatchbook.studies.challenge.images import SQUARES, squares
from swatchbook.studies.challenge.systems import OURS, SYSTEMS, VIT, System, recipe_of
from swatchbook.studies.labelling import classes_and_prompts
from swatchbook.studies.training import FILES, fit_heads, on_all_processes, tower_content

LIMITS = ("image_size", "epochs", "batch", "threads")
CUT = "cut"  # in the place of a split: the part of the training images that was cut out


def backbone_of(trace: Trace, system: System) -> str:
    """The backbone that a system is built on."""
    named = trace.setting(f"networks.{system.network}")
    return named if isinstance(named, str) else named[system.member]


def backbone_content(trace: Trace, name: str) -> dict[str, str]:
    """What a training depends on outside the run."""
    return tower_content(backbone_of(trace, SYSTEMS[name]))


def train_and_predict(trace: Trace, name: str) -> None:
    """Train a system, and predict what it has not seen: its cut part, validation and test.

    Args:
        trace: Of the stage.
        name: Of the system.
    """
    from swatchbook.models.tasks.heads import predict

    system, schema = SYSTEMS[name], classes_and_prompts(trace)
    manifest = trace.table("manifest.parquet")
    fit_rows, cut_rows = parts(trace, manifest)[system.part]
    limits = {key: trace.setting(f"limits.{key}") for key in LIMITS}
    if system.whose != VIT:
        limits |= dict.fromkeys(("backbone_lr", "head_lr"), trace.setting("limits.rate"))
    if "ema" in system.recipe:
        limits["ema"] = trace.setting("limits.ema")
    pretrained = "networks.ours_pretrained" if system.whose == OURS else "networks.pretrained"
    stored = squares(trace, system.box, len(manifest))
    folder = on_all_processes(
        fit_heads,
        pixel_file=trace.path(SQUARES[system.box]),
        row=stored.shape[1:],
        codes=schema.encode(manifest, "manifest.parquet"),
        train_rows=fit_rows,
        val_rows=cut_rows,
        schema=schema,
        recipe=recipe_of(name, seed=trace.setting("seed") + system.member, **limits),
        backbone=backbone_of(trace, system),
        pretrained=trace.setting(pretrained),
        classifier=system.classifier,
        score=system.score,
        folder=trace.folder(f"models/{name}"),
    )
    trace.wrote(*(f"models/{name}/{file}" for file in FILES))
    rows = np.concatenate([cut_rows, unseen(manifest)])
    predicted = predict(folder, stored, rows, schema).reset_index(drop=True)
    write_predictions(trace, name, predicted, manifest, rows, cut_rows)


def parts(trace: Trace, manifest: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray]]:
    """The training images without a part of them, and that part, for each part that can be cut out."""
    train = np.flatnonzero(manifest["split"] == "train")
    size, order = trace.setting("cut"), trace.rng("parts").permutation(train)
    number = max(1, len(trace.setting("networks.ours")))
    if number * size >= len(train):
        raise ValueError(
            f"cut = {size} for {number} models of {len(train)} training images; must leave some to train on"
        )
    cut = [np.sort(order[k * size : (k + 1) * size]) for k in range(number)]
    return [(np.setdiff1d(train, part), part) for part in cut]


def unseen(manifest: pd.DataFrame) -> np.ndarray:
    """Rows of validation and test."""
    return np.flatnonzero(manifest["split"].isin(["val", "test"]))


def write_predictions(
    trace: Trace,
    name: str,
    predicted: pd.DataFrame,
    manifest: pd.DataFrame,
    rows: np.ndarray,
    cut_rows: np.ndarray,
) -> None:
    """Write ``image_id``, ``split`` (`CUT` for the part that was cut out) and what was predicted."""
    split = manifest["split"].to_numpy(dtype=object)[rows]
    split[np.isin(rows, cut_rows)] = CUT
    predicted.insert(0, "image_id", manifest["image_id"].to_numpy()[rows])
    predicted.insert(1, "split", split)
    trace.write_table(f"predictions/{name}.parquet", predicted)


def probe(trace: Trace) -> None:
    """Logistic regressions on frozen features, plain and class-balanced; the cut part chooses C.

    The plain one is chosen by accuracy, the balanced one by the mean recall of a group's classes.
    """
    from swatchbook.models.inference import features_of

    schema, manifest = classes_and_prompts(trace), trace.table("manifest.parquet")
    fit_rows, cut_rows = parts(trace, manifest)[0]
    rows = np.concatenate([fit_rows, cut_rows, unseen(manifest)])
    size = trace.setting("limits.image_size") or trace.setting("side")
    features = features_of(
        trace.setting("networks.probe"),
        squares(trace, True, len(manifest)),
        rows,
        size,
        pretrained=trace.setting("networks.ours_pretrained"),
    )
    known = np.concatenate([fit_rows, cut_rows])
    codes = {name: values[known] for name, values in schema.encode(manifest, "manifest.parquet").items()}
    scores = {"probe": accuracy, "probe_balanced": lambda counts: np.nanmean(recall(counts))}
    # Asked of the cut part, too, whose answers choose the operating points.
    features = np.concatenate([features[: len(known)], features[len(fit_rows) :]])
    cuts = len(fit_rows), len(cut_rows)
    for name, found in probe_probabilities(features, cuts, codes, schema, scores):
        write_predictions(trace, name, found, manifest, rows[len(fit_rows) :], cut_rows)


def zero_shot(trace: Trace) -> None:
    """The labeller's probabilities of the garments' boxes; it was trained on none of these images."""
    from swatchbook.labeller.silver import confidences
    from swatchbook.labeller.zero_shot import Labeller

    schema, manifest = classes_and_prompts(trace), trace.table("manifest.parquet")
    _, cut_rows = parts(trace, manifest)[0]
    rows = np.concatenate([cut_rows, unseen(manifest)])
    stored, labeller = squares(trace, True, len(manifest)), Labeller.load(trace.setting("labelling.labeller"))
    columns = [f"{a.name}:{label}" for a in schema for label in a.classes]
    embeddings = labeller.encode(Image.fromarray(stored[row]) for row in rows)
    cosines = pd.DataFrame(labeller.cosines(embeddings, schema), columns=columns)
    p = [confidences(cosines, a, trace.setting("labelling.temperature")) for a in schema]
    write_predictions(
        trace, "zero_shot", pd.DataFrame(np.hstack(p), columns=columns), manifest, rows, cut_rows
    )
