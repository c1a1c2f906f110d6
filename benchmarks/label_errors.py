"""How many planted errors the list of likely errors finds, by what is known beside the labels.

Takes the true labels of a drawn run (`swatchbook run` makes one in runs/demo), makes one label in ten another
class, and ranks all of them by the run's labeller as a second one: by its probabilities, by its confidence in
its own label alone, and by its labels alone. Precision at k is the share of planted errors among the first k
of an attribute, beside random order, with the interval over the random order of the same labels.

    python benchmarks/label_errors.py runs/demo
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from scipy.special import softmax
from scipy.stats import hypergeom

from swatchbook.evaluation.intervals import wilson
from swatchbook.evaluation.label_errors import by_second_labeller, spread, suspects_table
from swatchbook.schema import Schema
from swatchbook.store import Store

SHARE = 0.1


def planted(truth: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Labels that are true but for one in ten, which is any other class."""
    labels = truth.copy()
    wrong = rng.choice(len(truth), round(SHARE * len(truth)), replace=False)
    labels[wrong] = (truth[wrong] + rng.integers(1, k, len(wrong))) % k
    return labels


def measured(run: str, seed: int) -> pd.DataFrame:
    """Precision at k of each attribute that the labeller labels, by source.

    Args:
        run: The folder of a drawn run with silver labels.
        seed: Same seed, same errors.
    """
    store, rng = Store(run), np.random.default_rng(seed)
    settings = store.read_json("config.json")["settings"]
    schema = Schema.load(settings["schema"], settings["material_map"])
    manifest, silver, cosines = (store.read_table(f"{n}.parquet") for n in ("manifest", "silver", "cosines"))
    ids, rows = manifest["image_id"], []
    silver, cosines = (x.set_index("image_id").loc[ids] for x in (silver, cosines))
    for a in (a for a in schema if a.labelled_by == "zero_shot"):
        truth = pd.Index(a.classes).get_indexer(manifest[f"true_{a.name}"])
        assert (truth >= 0).all(), f"{a.name}: a true class is not in the schema"
        labels = planted(truth, len(a), rng)
        z = cosines[[f"{a.name}:{label}" for label in a.classes]].to_numpy(dtype=float)
        p = softmax(settings["labelling.temperature"] * z, axis=1)
        second = pd.Index(a.classes).get_indexer(silver[a.name])
        sources = {
            "probabilities of the second": p,
            "its label and confidence": spread(p.argmax(1), p.max(1), len(a)),
            "its labels alone": by_second_labeller(labels, second, len(a)),
        }
        wrong = set(ids[labels != truth])
        k = len(wrong)
        low, high = hypergeom.ppf([0.025, 0.975], len(ids), k, k) / k
        rows.append((a.name, "random order", k, k / len(ids), low, high, np.nan))
        for source, matrix in sources.items():
            listed = suspects_table({a.name: labels}, {a.name: [matrix]}, Schema("", (a,)), ids)
            hits = listed["image_id"].head(k).isin(wrong)
            value = hits.mean()
            ends = (float(end) for end in wilson(value, k))
            rows.append((a.name, source, k, value, *ends, hits.head(k // 4).mean()))
    return pd.DataFrame(rows, columns=["attribute", "by", "k", "value", "low", "high", "first quarter of k"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(measured(arguments.run, arguments.seed).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
