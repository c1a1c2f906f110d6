"""How well a search finds what is on photographs whose kind, or some of whose attributes, are known.

    python benchmarks/search_photographs.py images --audit audit.csv --out docs/results/search.csv

The photographs lie in folders by kind of garment. Words: of the judged photographs the five nearest to a
word, beside the five of which the labeller's own label says it most surely, among the same photographs. Like:
for every photograph the five nearest others, how many of which lie in its folder. But: the same with "in
blue" and other colours, and how many of the five the labeller calls so.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from search import write_rows

FIRST = 5
REPLICATES = 2000
WORDS = {
    "striped": ("pattern", "striped"),
    "floral": ("pattern", "floral"),
    "checked": ("pattern", "checkered_plaid"),
    "red": ("color", "red"),
    "black": ("color", "black"),
}
COLOURS = ("blue", "red", "black")


def main(given: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="photographs in folders by kind")
    parser.add_argument(
        "--audit", type=Path, required=True, help="CSV with path, color, pattern of judged ones"
    )
    parser.add_argument(
        "--leave-out", type=Path, help="a file with the names, without suffix, of what is not used"
    )
    parser.add_argument("--labeller", default="bundled")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.csv")
    asked = parser.parse_args(given)
    os.environ.update(TQDM_DISABLE="1", TOKENIZERS_PARALLELISM="false")
    # Paths of one's own machine are nobody's business.
    command = [asked.folder.name, "--audit", asked.audit.name]
    command += ["--leave-out", asked.leave_out.name] if asked.leave_out else []
    write_rows(asked.out, "photographs", measured(asked), [*command, "--labeller", asked.labeller])


def measured(asked: argparse.Namespace) -> list[dict]:
    """Rows of the table."""
    from swatchbook import Schema, index_folder
    from swatchbook.bulk.search import Search
    from swatchbook.data import images

    left_out = set(asked.leave_out.read_text().split()) if asked.leave_out else set()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for row in images.find(asked.folder).itertuples():
            if Path(row.image_id).stem not in left_out:
                link = place / "in" / row.image_id
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(row.path)
        index_folder(place / "in", place / "index.parquet", Schema.load("wardrobe"), labeller=asked.labeller)
        search = Search(place / "index.parquet")
        table = search.table.take(np.arange(search.table.rows))
        judged = pd.read_csv(asked.audit)
        judged["path"] = [PurePosixPath(p).relative_to(asked.folder.name).as_posix() for p in judged["path"]]
        return [*by_words(search, table, judged), *by_photographs(search, table)]


def by_words(search: object, table: pd.DataFrame, judged: pd.DataFrame) -> list[dict]:
    """Precision among judged photographs: of words, of labels, and of any."""
    rows, shares = [], {}
    for word, (attribute, label) in WORDS.items():
        known = judged.dropna(subset=[attribute]).merge(table, on="path", suffixes=("_judged", ""))
        right = (known[f"{attribute}_judged"] == label).to_numpy()
        found = search.find(word, top=len(table)).set_index("path")["score"]
        by_word = found.loc[known["path"]].to_numpy()
        # Labels that say it, the surest first; then all others, the least sure of another label first.
        says, sure = known[attribute] == label, known[f"{attribute}_confidence"]
        by_label = np.where(says, 1 + sure, -sure)
        rng = np.random.default_rng(0)
        drawn = rng.integers(0, len(known), (REPLICATES, len(known)))
        drawn = np.vstack([np.arange(len(known)), drawn])
        for what, order in (("words", by_word), ("labels", by_label)):
            first = np.take_along_axis(drawn, np.argsort(-order[drawn], axis=1, kind="stable")[:, :FIRST], 1)
            shares[what, word] = right[first].mean(axis=1)
            rows.append(_row(f"{what}: {word}", len(known), f"precision at {FIRST}", shares[what, word]))
        chance = right[drawn].mean(axis=1)
        rows.append(_row(f"any: {word}", len(known), "share that is so", chance))
        best = min(FIRST, int(right.sum())) / FIRST
        rows.append(
            {"what": f"best possible: {word}", "size": len(known), "metric": f"precision at {FIRST}",
             "value": best, "low": np.nan, "high": np.nan, "n": int(right.sum()), "interval": "counted"}
        )  # fmt: skip
    for what in ("words", "labels"):
        whole = np.mean([shares[what, word] for word in WORDS], axis=0)
        rows.append(_row(f"{what}: mean of {len(WORDS)}", len(judged), f"precision at {FIRST}", whole))
    gain = np.mean([shares["words", word] - shares["labels", word] for word in WORDS], axis=0)
    rows.append(_row("words less labels", len(judged), f"precision at {FIRST}", gain))
    return rows


def by_photographs(search: object, table: pd.DataFrame) -> list[dict]:
    """How many of the nearest are of the same folder, and of the colour that was asked."""
    kinds = table["path"].map(lambda path: PurePosixPath(path).parent.name)
    others = kinds.map(kinds.value_counts()) - 1
    same, chance = [], (others / (len(table) - 1)).to_numpy()
    asked = {colour: {"kind": [], "colour": [], "before": []} for colour in COLOURS}
    for path, kind in zip(table["path"], kinds, strict=True):
        found = search.find(like=path, top=FIRST)
        same.append(np.mean([PurePosixPath(p).parent.name == kind for p in found["path"]]))
        for colour, shares in asked.items():
            other = search.find(like=path, but=f"in {colour}", top=FIRST)
            shares["kind"].append(np.mean([PurePosixPath(p).parent.name == kind for p in other["path"]]))
            shares["colour"].append((other["color"] == colour).mean())
            shares["before"].append((found["color"] == colour).mean())
    rows = [
        _queries("like", len(table), f"same folder at {FIRST}", same),
        _queries("like, by chance", len(table), f"same folder at {FIRST}", chance),
        _queries("like less chance", len(table), f"same folder at {FIRST}", np.array(same) - chance),
    ]
    for kind in sorted(set(kinds)):
        some = (kinds == kind).to_numpy()
        rows.append(
            _queries(f"like: {kind}", int(some.sum()), f"same folder at {FIRST}", np.array(same)[some])
        )
        rows[-1]["interval"] += f"; by chance {chance[some].mean():.3f}"
    for colour, shares in asked.items():
        what = f'like, but "in {colour}"'
        rows += [
            _queries(what, len(table), f"same folder at {FIRST}", shares["kind"]),
            _queries(what, len(table), f"labelled {colour} at {FIRST}", shares["colour"]),
            _queries("like", len(table), f"labelled {colour} at {FIRST}", shares["before"]),
        ]
    return rows


def _row(what: str, size: int, metric: str, values: np.ndarray) -> dict:
    """An estimate, the first of the values, and the percentile interval of its replicates."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    interval = f"95 % percentile bootstrap of judged photographs, B={REPLICATES}"
    found = {"value": values[0], "low": low, "high": high, "n": size, "interval": interval}
    return {"what": what, "size": size, "metric": metric, **found}


def _queries(what: str, size: int, metric: str, values: Sequence[float]) -> dict:
    """A mean over questions with its percentile bootstrap."""
    values = np.asarray(values, float)
    drawn = np.random.default_rng(0).integers(0, len(values), (REPLICATES, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    interval = f"95 % percentile bootstrap of questions, B={REPLICATES}"
    found = {"value": values.mean(), "low": low, "high": high, "n": len(values), "interval": interval}
    return {"what": what, "size": size, "metric": metric, **found}


if __name__ == "__main__":
    main()
