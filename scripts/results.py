"""What a run of a study measured on real photographs, as the files of docs/results.

    python scripts/results.py runs/challenge-best docs/results "swatchbook run --profile challenge-best …"

Numbers and answers only, no image. Each row has the command, the commit of the code, the seeds and the hours.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from swatchbook.csv_io import write_csv
from swatchbook.pipeline.provenance import provenance
from swatchbook.store import Store
from swatchbook.studies import spec_of

Tables = dict[str, pd.DataFrame]
RANKS = ["model", "stage", "direction", "item", "rank", "pool"]


def challenge(store: Store, seed: str) -> Tables:
    """Scores, with the seeds and hours of each model; those of ours are of all its members."""
    columns = ["model", "variant", "split", "group", "class", "metric"]
    columns += ["value", "low", "high", "n", "interval"]
    systems = store.read_table("tables/challenge_systems.csv")
    ours = systems[systems["model"].str.startswith("ours_")]
    configs = (store.path(f"models/{name}/config.json") for name in ours["model"])
    seeds = "; ".join(str(json.loads(path.read_text(encoding="utf-8"))["recipe"]["seed"]) for path in configs)
    hours = systems.set_index("model")["hours"].to_dict() | {"ours": ours["hours"].sum()}
    scores = store.read_table("tables/challenge_scores.csv")[columns]
    scores["seeds"] = [seeds if model == "ours" else seed for model in scores["model"]]
    scores["hours"] = scores["model"].map(hours).round(2)
    names = ("val_predictions", "points", "agreement", "systems")
    return {"challenge": scores, **_others(store, "challenge", names)}


def landmarks(store: Store, _: str) -> Tables:
    """Means over seeds, and what needs no training, with the seeds and hours of each system."""
    scores = store.read_table("tables/landmark_scores.csv")
    systems = store.read_table("tables/landmark_systems.csv").groupby("model", sort=False)
    seeds, hours = systems["seed"].agg(lambda some: "; ".join(map(str, some))), systems["hours"].sum()
    kept = scores[scores["seed"].astype(str).isin(["mean", "none"])]
    kept = kept.assign(seeds=kept["model"].map(seeds), hours=kept["model"].map(hours).round(3))
    others = _others(store, "landmark", ("predictions", "differences", "systems"))
    named = {name.replace("landmark_", "landmarks_"): table for name, table in others.items()}
    named["landmarks_val_predictions"] = named.pop("landmarks_predictions")
    return {"landmarks": kept, **named}


def retrieval(store: Store, seed: str) -> Tables:
    """Scores, the rank of each query's own pair, differences, what was trained, strengths of adjustment."""
    systems = store.read_table("tables/retrieval_systems.csv").set_index(["model", "stage"])
    scores = store.read_table("tables/retrieval_scores.csv")
    keys = pd.MultiIndex.from_frame(scores[["model", "stage"]])
    scores = scores.assign(seeds=seed, hours=systems["hours"].reindex(keys).round(2).to_numpy())
    ranks = store.read_table("tables/retrieval_ranks.csv")[RANKS]
    others = _others(store, "retrieval", ("differences", "systems", "strengths"))
    return {"retrieval": scores, "retrieval_ranks": ranks, **others}


STUDIES: dict[str, Callable[[Store, str], Tables]] = {
    "challenge": challenge,
    "landmarks": landmarks,
    "retrieval": retrieval,
}


def _others(store: Store, study: str, names: tuple[str, ...]) -> Tables:
    files = {f"{study}_{name}": f"tables/{study}_{name}.csv" for name in names}
    return {name: store.read_table(path) for name, path in files.items() if store.path(path).is_file()}


def main() -> None:
    """Write the study's own file, stamped, and those beside it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("out", type=Path, help="where the files go")
    parser.add_argument("command", help="the command that made the run")
    parser.add_argument("--commit", default=provenance()["commit"], help="of the code that trained")
    given = parser.parse_args()
    store = Store(given.run)
    settings = store.read_json("config.json")["settings"]
    study = spec_of(settings["profile"]).name
    for name, table in STUDIES[study](store, str(settings["seed"])).items():
        if name == study:
            table = table.assign(command=given.command, commit=given.commit)
            table = table[[c for c in table if c not in ("seeds", "hours")] + ["seeds", "hours"]]
        write_csv(table, given.out / f"{name}.csv", float_format="%.5g", numbers_as_text=True)


if __name__ == "__main__":
    main()
