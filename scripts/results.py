"""What a run of the challenge study measured on real photographs, as the files of docs/results.

    python scripts/results.py runs/challenge-best docs/results "swatchbook run --profile challenge-best …"

Numbers and answers only, no image. Each row has the command, the commit of the code, the seeds and the hours.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from swatchbook.pipeline.provenance import provenance
from swatchbook.store import Store

COLUMNS = ["model", "variant", "split", "group", "class", "metric", "value", "low", "high", "n", "interval"]

TABLES = ("val_predictions", "points", "agreement", "systems")


def main() -> None:
    """Write ``challenge.csv``, ``challenge_val_predictions.csv`` and what else the run has of `TABLES`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("out", type=Path, help="where the files go")
    parser.add_argument("command", help="the command that made the run")
    parser.add_argument("--commit", default=provenance()["commit"], help="of the code that trained")
    given = parser.parse_args()
    store = Store(given.run)
    config = json.loads(store.path("config.json").read_text(encoding="utf-8"))
    seed = str(config["settings"]["seed"])
    systems = store.read_table("tables/challenge_systems.csv")
    ours = systems[systems["model"].str.startswith("ours_")]
    seeds = "; ".join(
        str(
            json.loads(store.path(f"models/{name}/config.json").read_text(encoding="utf-8"))["recipe"]["seed"]
        )
        for name in ours["model"]
    )
    scores = store.read_table("tables/challenge_scores.csv")
    hours = systems.set_index("model")["hours"].to_dict() | {"ours": ours["hours"].sum()}
    table = scores[COLUMNS].assign(
        command=given.command,
        commit=given.commit,
        seeds=[seeds if model == "ours" else seed for model in scores["model"]],
        hours=scores["model"].map(hours).round(2),
    )
    table.to_csv(given.out / "challenge.csv", index=False, float_format="%.5g")
    for name in TABLES:
        if store.path(f"tables/challenge_{name}.csv").is_file():
            rows = store.read_table(f"tables/challenge_{name}.csv")
            rows.to_csv(given.out / f"challenge_{name}.csv", index=False, float_format="%.5g")


if __name__ == "__main__":
    main()
