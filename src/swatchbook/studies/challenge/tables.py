"""Predictions → answers → the tables of the challenge study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.data.readers import challenge
from swatchbook.evaluation.challenge import (
    CONSTANT,
    agreement_scores,
    challenge_differences,
    challenge_scores,
    constant_answers,
    known_scores,
)
from swatchbook.evaluation.history import history_table
from swatchbook.evaluation.operating_points import adjusted, chosen_strengths, operating_points
from swatchbook.evaluation.resample import image_weights
from swatchbook.evaluation.scores import confusion_table
from swatchbook.pipeline.stage import Trace
from swatchbook.schema import Schema
from swatchbook.studies.challenge.systems import SYSTEMS
from swatchbook.studies.challenge.training import CUT
from swatchbook.studies.documents import read_curves, read_numbers
from swatchbook.studies.source import file_digest

OURS = {"plain": ("ours", "plain"), "adjusted": ("ours", "adjusted")}
Model = tuple[str, str]
#: What is held against what, beside ours against every other: one setting changed, all else alike.
PAIRS = (
    ("se_resnet50_0fc", "resnet50_0fc"), ("se_resnet50_0fc", "se_resnext50_0fc"),
    ("se_resnet50_0fc", "se_resnet50_ce"), ("se_resnet50_weighted", "se_resnet50_0fc"),
    ("se_resnet50_0fc", "se_resnet50_no_flip"), ("se_resnet50_0fc", "se_resnet50_whole"),
    *((f"{network}_0fc", f"{network}_{layers}fc")
      for network in ("resnet50", "se_resnet50", "se_resnext50") for layers in (2, 4)),
    ("vit", "vit_unweighted"), ("vit", "vit_linear"), ("vit", "vit_no_flip"), ("vit_mended", "vit"),
    ("vit_mended_flip", "vit_mended"), ("vit", "vit_row1"), ("vit", "vit_row3"), ("vit", "vit_row5"),
    *(("vit", f"vit_k{k}") for k in ("0", "2", "4", "_all")), ("vit_cnn", "vit"), ("vit_in1k", "vit_in21k"),
)  # fmt: skip
#: Rows of 001's table 1, as `claims.yaml` names them → systems.
VIT_ROWS = {
    "10 epochs, rate .0031, dropout .22": "vit_row1",
    "20 epochs, rate .00031, dropout .22": "vit",
    "20 epochs, rate .00031, dropout .3": "vit_row3",
    "20 epochs, rate .0004, dropout .22": "vit_row4",
    "50 epochs, rate .000031, dropout .22": "vit_row5",
}


def _probabilities(table: pd.DataFrame, schema: Schema) -> dict[str, np.ndarray]:
    return {a.name: table[[f"{a.name}:{label}" for label in a.classes]].to_numpy(float) for a in schema}


def _names(codes: Mapping[str, np.ndarray], schema: Schema) -> pd.DataFrame:
    return pd.DataFrame({a.name: np.array(a.classes, dtype=object)[codes[a.name]] for a in schema})


def answer(trace: Trace, names: list[str], members: list[str]) -> None:
    """Probabilities → answers of every model, both operating points of ours, and the submission.

    Args:
        trace: Of the stage.
        names: Of all predictions.
        members: Which of them are the models of our recipe; their probabilities are averaged.
    """
    schema, manifest = trace.schema, trace.table("manifest.parquet").set_index("image_id")
    train = schema.encode(manifest[manifest["split"] == "train"].reset_index(), "manifest.parquet")
    tables = {name: trace.table(f"predictions/{name}.parquet") for name in names}
    frequencies = {
        a.name: np.maximum(np.bincount(train[a.name], minlength=len(a)), 0.5) / len(train[a.name])
        for a in schema
    }
    held = pd.concat([tables[name][tables[name]["split"] == CUT] for name in members])
    truth = schema.encode(manifest.loc[held["image_id"]].reset_index(), "manifest.parquet")
    draws, level = trace.setting("evaluation.bootstrap"), trace.setting("evaluation.level")
    points = operating_points(
        truth,
        _probabilities(held, schema),
        frequencies,
        schema,
        image_weights(len(held), draws, trace.rng("operating points")),
        may_lose=trace.setting("may_lose"),
        level=level,
    )
    trace.write_table("tables/challenge_points.csv", points)
    strengths = chosen_strengths(points)

    parts = []

    def add(model: Model, about: pd.DataFrame, codes: Mapping[str, np.ndarray]) -> None:
        columns = about[["image_id", "split"]].reset_index(drop=True)
        given = pd.concat([columns, _names(codes, schema)], axis=1)
        parts.append(given.assign(model=model[0], variant=model[1]))

    seen = {name: table[table["split"] != CUT] for name, table in tables.items()}
    about = next(iter(seen.values()))
    add(CONSTANT, about, constant_answers(train, schema, len(about)))
    alone = members if len(members) == 1 else []  # then it is what its mean is
    for name, table in seen.items():
        if name not in alone:
            add((name, "plain"), table, adjusted(_probabilities(table, schema), frequencies, 0.0))
    together = [_probabilities(seen[name], schema) for name in members]
    mean = {a.name: np.mean([p[a.name] for p in together], axis=0) for a in schema}
    for variant, model in OURS.items():
        add(model, about, adjusted(mean, frequencies, strengths if variant == "adjusted" else 0.0))
    answers = pd.concat(parts, ignore_index=True)
    answers = answers[["model", "variant", "image_id", "split", *schema.names]]
    trace.write_table("answers.parquet", answers)
    ours = of_model(answers, OURS["plain"], "test")
    listing = trace.table("manifest.parquet")
    trace.write("submission.zip", lambda out: challenge.write_answers(ours, listing, out))
    reported = answers[(answers["split"] == "val") & (answers["model"] == "ours")]
    trace.write_table("tables/challenge_val_predictions.csv", reported.drop(columns="split"))


def of_model(answers: pd.DataFrame, model: Model, split: str) -> pd.DataFrame:
    """One model's answers on one split."""
    mine = (answers["model"] == model[0]) & (answers["variant"] == model[1]) & (answers["split"] == split)
    return answers[mine].drop(columns=["model", "variant", "split"]).reset_index(drop=True)


def _answers(trace: Trace, split: str) -> tuple[pd.Index, dict[Model, dict[str, np.ndarray]]]:
    """The images of a split, and each model's codes on them."""
    answers, schema = trace.table("answers.parquet"), trace.schema
    models = list(answers[["model", "variant"]].drop_duplicates().itertuples(index=False, name=None))
    tables = {tuple(model): of_model(answers, model, split) for model in models}
    ids = next(iter(tables.values()))["image_id"]
    return ids, {
        model: schema.encode(table.set_index("image_id").loc[ids].reset_index(), "answers.parquet")
        for model, table in tables.items()
    }


def _truth(trace: Trace, ids: pd.Index) -> dict[str, np.ndarray]:
    manifest = trace.table("manifest.parquet").set_index("image_id")
    return trace.schema.encode(manifest.loc[ids].reset_index(), "manifest.parquet")


def score(trace: Trace) -> None:
    """Answers on the validation images → scores, differences and confusion."""
    schema, level = trace.schema, trace.setting("evaluation.level")
    ids, answers = _answers(trace, "val")
    truth = _truth(trace, ids)
    weights = image_weights(len(ids), trace.setting("evaluation.bootstrap"), trace.rng("validation"))
    scores = challenge_scores(truth, answers, schema, weights, split="val", level=level)
    full_size = trace.setting("networks.pretrained")
    trace.write_table("tables/challenge_scores.csv", _with_published(scores, full_size))
    pairs = [((a, "plain"), (b, "plain")) for a, b in PAIRS if {(a, "plain"), (b, "plain")} <= set(answers)]
    others = [model for model in answers if model[0] != "ours" and not model[0].startswith("ours_")]
    pairs += [(OURS["plain"], other) for other in others] + [(OURS["adjusted"], OURS["plain"])]
    differences = [
        challenge_differences(truth, answers, schema, weights, model=a, baseline=b, split="val", level=level)
        for a, b in pairs
    ]
    trace.write_table("tables/challenge_differences.csv", pd.concat(differences, ignore_index=True))
    named = {model if variant == "plain" else f"{model}_{variant}": codes
             for (model, variant), codes in answers.items() if model == "ours"}  # fmt: skip
    trace.write_table("tables/challenge_confusion.csv", confusion_table(truth, named, schema))


def _with_published(scores: pd.DataFrame, full_size: bool) -> pd.DataFrame:
    """Scores with what was published of the same system, on the secret test set or on validation.

    Small networks are not the same system: beside theirs nothing stands.
    """
    numbers = read_numbers("challenge")
    published: dict[tuple[str, str], float] = {}
    for row in numbers.to_dict("records"):
        name = VIT_ROWS.get(row["variant"])
        if row["document"] == "003":
            kind, _, layers = row["variant"].partition(", ")
            weighted = kind == "weighted focal"
            name = f"{row['model']}_weighted" if weighted else f"{row['model']}_{layers[0]}fc"
        if name and (row["document"] == "003" or row["split"] == "val"):
            published[name, row["metric"]] = row["value"]
    whole = (scores["group"] == "all") & (scores["variant"] == "plain") & full_size
    keys = zip(scores["model"], scores["metric"], whole, strict=True)
    return scores.assign(published=[published.get((m, k), np.nan) if w else np.nan for m, k, w in keys])


def know(trace: Trace) -> None:
    """Scores on validation beside those on the drawn test images, whose truth is known."""
    from swatchbook.drawn.garment_truth import challenge_groups

    schema, draws = trace.schema, trace.setting("evaluation.bootstrap")
    ids, answers = _answers(trace, "val")
    test_ids, of_test = _answers(trace, "test")
    truth = trace.table("images/truth.csv")
    groups = challenge_groups(truth).assign(image_id=truth["path"].str.removeprefix("FashionDataset/"))
    known = schema.encode(groups.set_index("image_id").loc[test_ids].reset_index(), "images/truth.csv")
    table = known_scores(
        (_truth(trace, ids), known),
        {model: (answers[model], of_test[model]) for model in answers},
        schema,
        (
            image_weights(len(ids), draws, trace.rng("validation")),
            image_weights(len(test_ids), draws, trace.rng("known")),
        ),
        level=trace.setting("evaluation.level"),
    )
    trace.write_table("tables/challenge_known.csv", table)


def agree(trace: Trace) -> None:
    """How often our answers on the test images are those of submissions that others published."""
    schema = trace.schema
    ids, answers = _answers(trace, "test")
    given = {}
    for path in trace.setting("submissions"):
        table = challenge.read_answers(Path(path), list(ids), trace.folder("unpacked"))
        given[f"{Path(path).parent.name}/{Path(path).stem}"] = schema.encode(table, path)
    weights = image_weights(len(ids), trace.setting("evaluation.bootstrap"), trace.rng("test"))
    table = agreement_scores(
        given, answers, schema, weights, split="test", level=trace.setting("evaluation.level")
    )
    trace.write_table("tables/challenge_agreement.csv", table)


def submissions_content(trace: Trace) -> dict[str, str]:
    """Content of the submissions."""
    return {str(k): file_digest(path) for k, path in enumerate(trace.setting("submissions"))}


def follow(trace: Trace, names: list[str]) -> None:
    """Trainings, epoch by epoch, beside the published curves; and what was trained."""
    histories = {name: trace.table(f"models/{name}/history.csv") for name in names}
    table = history_table(histories, {name: SYSTEMS[name].score for name in names})
    trace.write_table("tables/challenge_history.csv", table)
    groups, columns = trace.schema.names, ["source", "model", "group", "epoch", "loss", "accuracy"]
    ours = [
        table[["model", "epoch"]].assign(
            source="this run",
            group=group,
            loss=table[f"val_loss_{group}"],
            accuracy=table[f"accuracy_{group}"],
        )
        for group in groups
    ]
    published = read_curves("challenge")
    published = published[(published["split"] == "val") & published["group"].isin(groups)]
    named = published["model"] + "_" + published["fc_layers"].astype(str) + "fc"
    published = published.assign(source="published", model=named)
    curves = pd.concat([*ours, published], ignore_index=True)[columns]
    trace.write_table("tables/challenge_curves.csv", curves)
    trace.write_table("tables/challenge_systems.csv", _systems(trace, histories))


def _systems(trace: Trace, histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What was trained, on what, and for how long."""
    rows = []
    for name, history in histories.items():
        config = json.loads(trace.path(f"models/{name}/config.json").read_text(encoding="utf-8"))
        about = SYSTEMS[name]
        rows.append(
            {
                "model": name,
                "document": about.whose,
                "what": about.what,
                "backbone": config["network"]["backbone"],
                "weights": config["network"]["source"],
                "images": config["n_train"],
                "epochs": len(history),
                "kept_epoch": config["best_epoch"],
                "hours": history["seconds"].sum() / 3600,
            }
        )
    return pd.DataFrame(rows)
