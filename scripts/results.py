"""What a run measured on real photographs, as the files of docs/results.

    python scripts/results.py runs/challenge-best docs/results "swatchbook run --profile challenge-best …"

Numbers and answers only, no image. Each row of scores has the command, the commit of the code, the seeds and
the hours. Of the challenge study and of the landmarks study.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

from swatchbook.pipeline.provenance import provenance
from swatchbook.store import Store

COLUMNS = ["model", "variant", "split", "group", "class", "metric", "value", "low", "high", "n", "interval"]
CHALLENGE = ("val_predictions", "points", "agreement", "systems")
LANDMARKS = {"predictions": "val_predictions", "differences": "differences", "systems": "systems"}


def main() -> None:
    """Write ``<study>.csv``, the answers on the validation images, and what else the run has to say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("out", type=Path, help="where the files go")
    parser.add_argument("command", help="the command that made the run")
    parser.add_argument("--commit", default=provenance()["commit"], help="of the code that trained")
    given = parser.parse_args()
    store = Store(given.run)
    landmarks = store.path("tables/landmark_scores.csv").is_file()
    name, kind, scores = ("landmarks", "landmark", _landmarks(store)) if landmarks else (
        "challenge", "challenge", _challenge(store)
    )  # fmt: skip
    scores = scores.assign(command=given.command, commit=given.commit)
    order = [c for c in scores if c not in ("seeds", "hours")] + ["seeds", "hours"]
    scores[order].to_csv(given.out / f"{name}.csv", index=False, float_format="%.5g")
    others = LANDMARKS if landmarks else {table: table for table in CHALLENGE}
    for table, file in others.items():
        if store.path(f"tables/{kind}_{table}.csv").is_file():
            rows = store.read_table(f"tables/{kind}_{table}.csv")
            rows.to_csv(given.out / f"{name}_{file}.csv", index=False, float_format="%.5g")


def _challenge(store: Store) -> pd.DataFrame:
    """Scores with the seeds and hours of each model; those of ours are of all its members."""
    seed = str(_config(store)["settings"]["seed"])
    systems = store.read_table("tables/challenge_systems.csv")
    ours = systems[systems["model"].str.startswith("ours_")]
    recipes = (_config(store, f"models/{name}/")["recipe"] for name in ours["model"])
    seeds = "; ".join(str(recipe["seed"]) for recipe in recipes)
    scores = store.read_table("tables/challenge_scores.csv")[COLUMNS]
    hours = systems.set_index("model")["hours"].to_dict() | {"ours": ours["hours"].sum()}
    return scores.assign(
        seeds=[seeds if model == "ours" else seed for model in scores["model"]],
        hours=scores["model"].map(hours).round(2),
    )


def _landmarks(store: Store) -> pd.DataFrame:
    """Means over seeds, and of what needs no training, with the seeds and hours of each system."""
    scores = store.read_table("tables/landmark_scores.csv")
    systems = store.read_table("tables/landmark_systems.csv").groupby("model", sort=False)
    seeds = systems["seed"].agg(lambda some: "; ".join(map(str, some)))
    hours = systems["hours"].sum()
    kept = scores[scores["seed"].astype(str).isin(["mean", "none"])]
    return kept.assign(seeds=kept["model"].map(seeds), hours=kept["model"].map(hours).round(3))


def _config(store: Store, folder: str = "") -> dict:
    return json.loads(store.path(f"{folder}config.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
