"""Embeddings and predictions → ranks and scores, differences, known truth, and what stands beside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from swatchbook.data.readers.multimodal import multi_hot
from swatchbook.evaluation import attributes, retrieval
from swatchbook.evaluation.history import history_table
from swatchbook.evaluation.likeness import likeness_statistics
from swatchbook.evaluation.operating_points import adjusted_logits, best_strengths
from swatchbook.evaluation.replicates import Statistics, beside_others, with_ones
from swatchbook.evaluation.resample import image_weights
from swatchbook.evaluation.scores import Codes, accuracy, macro_f1
from swatchbook.models.probe import PROBES
from swatchbook.pipeline.stage import Trace
from swatchbook.schema import Schema
from swatchbook.studies.documents import read_numbers
from swatchbook.studies.retrieval.images import KNOWN
from swatchbook.studies.retrieval.systems import ITEM, RANDOM, SPLITS, SYSTEMS
from swatchbook.studies.retrieval.training import probed, rows_of

Model = tuple[str, str]
MAJORITY = ("majority", "")
#: What is held against what, beside every reader of attributes against probes and majority.
PAIRS = (
    ("ours_frozen", "ours"), ("ours_tuned", "ours"), ("ours_kept", "ours"), ("ours_kept", "ours_tuned"),
    ("ours_tuned", "ours_frozen"), ("ours_kept", "ours_frozen"), ("ours_tuned", "ours_direct"),
    ("ours", "ours_short"), ("ours", "card"),
    ("card_tuned", "card"), ("paper_frozen", "paper"), ("ours", "paper"), ("ours_kept", "card_tuned"),
)  # fmt: skip
GARMENTS = ("upper", "lower", "outer")
VERSIONS = {48: attributes.ATTRIBUTES, 92: f"{attributes.ATTRIBUTES} of 92"}  # 48: the published recalls'
CURVE = (1, 2, 3, 5, 10, 20, 50, 100)
COMPARED = (f"{attributes.TIERS} mean", f"{attributes.TIERS} fabric", f"{attributes.TIERS} pattern")


@dataclass
class Answers:
    """What a run's systems answer of one part of one split.

    Attributes:
        manifest: The part's rows, in the order of everything else.
        train: Those of its training part.
        schema: Gives the attributes.
        embeddings: (model, stage) → images and texts, shape (n, D) each.
        probabilities: (model, stage) → table of probabilities, a row an image.
        strengths: (model, stage) → attribute → strength of the logit adjustment that decides its answers.
        pool: Images among which is searched; the part is cut into pools of that size.
        weights: How often each image counts, shape (1 + B, n).
    """

    manifest: pd.DataFrame
    train: pd.DataFrame
    schema: Schema
    embeddings: Mapping[Model, tuple[np.ndarray, np.ndarray]]
    probabilities: Mapping[Model, pd.DataFrame]
    strengths: Mapping[Model, Mapping[str, float]]
    pool: int
    weights: np.ndarray

    @cached_property
    def truth(self) -> Codes:
        """Attribute → codes."""
        return self.schema.encode(self.manifest, "manifest.parquet")

    def ranks(self) -> pd.DataFrame:
        """Ranks both ways, pool by pool, model by model."""
        parts = []
        for (model, stage), (images, texts) in self.embeddings.items():
            for start in range(0, len(self.manifest), self.pool):
                some = slice(start, start + self.pool)
                about = self.manifest.iloc[some]
                names = {"model": model, "stage": stage}
                parts.append(
                    retrieval.rank_table(images[some], texts[some], about["item"], about["caption"], **names)
                )
        return pd.concat(parts, ignore_index=True)

    def scores_of(self, model: Model, attribute: str) -> np.ndarray:
        """Scores of an attribute's classes, shape (n, K): their log-probabilities, adjusted."""
        p = _scores(self.probabilities[model], attribute, self.schema[attribute].classes)
        strength = self.strengths.get(model, {}).get(attribute, 0.0)
        return adjusted_logits(p, frequencies(self.train, self.schema)[attribute], strength)

    def codes_of(self, model: Model, schema: Schema) -> Codes:
        """Attribute → the class with the highest score."""
        return {a.name: self.scores_of(model, a.name).argmax(1) for a in schema}

    def tasks(self, support: Codes | None) -> Statistics:
        """Category, attributes and the three tiers of every model that reads them, and of the majority."""
        readers = dict(self.probabilities)
        asked = {m: t for m, t in readers.items() if m[0] not in PROBES}
        frequent, n = frequencies(self.train, self.schema), len(self.manifest)
        scores = {m: self.scores_of(m, "category") for m in readers}
        scores[MAJORITY] = np.broadcast_to(frequent["category"], (n, len(frequent["category"])))
        found = {**attributes.category_statistics(self.truth["category"], scores, self.weights)}
        for version, task in VERSIONS.items():
            truth, places = multi_hot(self.manifest, version)
            given = {m: t[places].to_numpy(float) for m, t in asked.items()}
            train = multi_hot(self.train, version)[0]
            found |= attributes.attribute_statistics(truth, given, train, self.weights, task=task)
        constant = {name: np.full(n, counts.argmax()) for name, counts in frequent.items()}
        answers = {m: self.codes_of(m, self.schema) for m in asked} | {MAJORITY: constant}
        found |= attributes.three_tier_statistics(
            self.truth, answers, self.schema, self.weights, support=support
        )
        narrow = probed(self.schema)
        answers |= {m: self.codes_of(m, narrow) for m in readers if m[0] in PROBES}
        for what in ("fabric", "pattern"):
            some = Schema(what, tuple(self.schema[f"{garment}_{what}"] for garment in GARMENTS))
            tiers = attributes.three_tier_statistics(self.truth, answers, some, self.weights, support=support)
            mean = f"{attributes.TIERS} mean"
            found |= {
                (*k[:2], f"{attributes.TIERS} {what}" if k[2] == mean else k[2], *k[3:]): v
                for k, v in tiers.items()
            }
        return found

    def statistics(self, support: Codes | None = None) -> Statistics:
        """All of it; `support` as for `attributes.three_tier_statistics`."""
        found = {**retrieval.retrieval_statistics(self.ranks(), self.weights)}
        if self.probabilities:
            found |= self.tasks(support)
        return found

    def references(self) -> Statistics:
        """Chance, a search by the true attributes, and the ceiling of captions that repeat."""
        labels = np.stack([self.truth[a.name] for a in self.schema], axis=1)
        return retrieval.reference_statistics(self.manifest["caption"].tolist(), labels, self.weights)


def frequencies(train: pd.DataFrame, schema: Schema) -> dict[str, np.ndarray]:
    """Attribute → share of each class in the training part; one that is not there counts as half an item."""
    seen = schema.encode(train, "manifest.parquet")
    counts = {a.name: np.bincount(seen[a.name][seen[a.name] >= 0], minlength=len(a)) for a in schema}
    return {name: np.maximum(n, 0.5) / np.maximum(n, 0.5).sum() for name, n in counts.items()}


def _scores(table: pd.DataFrame, attribute: str, classes: Sequence[str]) -> np.ndarray:
    return table[[f"{attribute}:{label}" for label in classes]].to_numpy(float)


def answers_of(trace: Trace, names: Sequence[str], split: str, part: str) -> Answers:
    """What the systems of one split answer of one of its parts.

    Args:
        trace: Of the stage.
        names: Systems of the run; those of another split are left out.
        split: How images are split.
        part: ``test``, or `KNOWN`, cut into pools of the test part's size.
    """
    manifest, column = trace.table("manifest.parquet"), SPLITS[split]
    rows, pool = rows_of(manifest, split, part), int((manifest[column] == "test").sum())
    if part == KNOWN and len(rows) >= pool:
        rows = rows[: len(rows) // pool * pool]
    about = manifest.iloc[rows].reset_index(drop=True)
    embeddings, probabilities, strengths = {}, {}, {}
    for name in names:
        system = SYSTEMS[name]
        if system.split != split:
            continue
        with np.load(trace.path(f"embeddings/{name}.npz"), allow_pickle=False) as kept:
            place = pd.Index(kept["ids"]).get_indexer(about["image_id"].astype(str))
            embeddings[system.key] = kept["image"][place], kept["text"][place]
        if system.heads:
            probabilities[system.key] = _predicted(trace, name, about)
            strengths[system.key] = {a: s for a, (s, _) in strengths_of(trace, name).items()}
    if split == ITEM and probabilities:
        probabilities |= {(name, "frozen features"): _predicted(trace, name, about) for name in PROBES}
    weights = image_weights(
        len(about),
        trace.setting("evaluation.bootstrap"),
        trace.rng(f"{split} {part}"),
        about["item"].to_numpy(),
    )
    return Answers(
        about,
        manifest[manifest[column] == "train"].reset_index(drop=True),
        trace.schema,
        embeddings,
        probabilities,
        strengths,
        min(pool, len(about)),
        with_ones(weights),
    )


def strengths_of(trace: Trace, name: str) -> dict[str, tuple[float, float]]:
    """Of a system: attribute → strength of its logit adjustment, and its score on the validation images.

    The category's is chosen by accuracy, by which it is reported, the others' by macro-F1.
    """
    manifest, split, schema = trace.table("manifest.parquet"), SYSTEMS[name].split, trace.schema
    held, train = (manifest.iloc[rows_of(manifest, split, part)] for part in ("val", "train"))
    predicted = _predicted(trace, name, held)
    return best_strengths(
        schema.encode(held, "manifest.parquet"),
        {a.name: _scores(predicted, a.name, a.classes) for a in schema},
        frequencies(train, schema),
        {a.name: accuracy if a.name == "category" else macro_f1 for a in schema},
    )


def _predicted(trace: Trace, name: str, about: pd.DataFrame) -> pd.DataFrame:
    table = trace.table(f"predictions/{name}.parquet").set_index("image_id")
    return table.loc[about["image_id"]].reset_index(drop=True)


def _splits(names: Sequence[str]) -> list[str]:
    return [split for split in (ITEM, RANDOM) if any(SYSTEMS[name].split == split for name in names)]


def score(trace: Trace, names: list[str]) -> None:
    """Answers on the test images → ranks, scores, curves, differences, and what was published beside ours."""
    level = trace.setting("evaluation.level")
    ranks, scores, curves, differences = [], [], [], []
    for split in _splits(names):
        answers = answers_of(trace, names, split, "test")
        found, pool = answers.statistics(), answers.pool
        found |= {
            (*key[:1], "" if split == ITEM else RANDOM, *key[2:]): v
            for key, v in answers.references().items()
        }
        if split == ITEM:
            similar = {m: pair[0] for m, pair in answers.embeddings.items()}
            found |= likeness_statistics(similar, answers.truth, answers.weights)
            differences.append(retrieval.difference_table(found, _pairs(names, found), level))
            ks = [k for k in CURVE if k <= pool]
            drawn = retrieval.retrieval_statistics(answers.ranks(), answers.weights, ks)
            labels = np.stack([answers.truth[a.name] for a in answers.schema], axis=1)
            drawn |= retrieval.reference_statistics(
                answers.manifest["caption"].tolist(), labels, answers.weights, ks
            )
            table = retrieval.score_table(drawn, pool, level)
            curves.append(table[(table["metric"] == "recall") & (table["task"] == retrieval.EXACT)])
        ranks.append(answers.ranks())
        scores.append(retrieval.score_table(found, pool, level))
    table = pd.concat(scores, ignore_index=True)
    trace.write_table("tables/retrieval_ranks.csv", pd.concat(ranks, ignore_index=True))
    trace.write_table("tables/retrieval_scores.csv", table)
    trace.write_table("tables/retrieval_curves.csv", pd.concat(curves, ignore_index=True))
    trace.write_table("tables/retrieval_differences.csv", pd.concat(differences, ignore_index=True))
    drawn = trace.location("source") is None
    trace.write_table("tables/retrieval_published.csv", published_table(table, names, drawn=drawn))


def _pairs(names: Sequence[str], found: Statistics) -> list[tuple[Model, Model]]:
    pairs = [(SYSTEMS[a].key, SYSTEMS[b].key) for a, b in PAIRS if a in names and b in names]
    readers = [SYSTEMS[n].key for n in names if SYSTEMS[n].heads and SYSTEMS[n].split == ITEM]
    trivial = dict.fromkeys(key[:2] for key in found if key[0] in (*PROBES, *MAJORITY[:1]))
    return pairs + [(reader, other) for reader in readers for other in trivial]


def published_table(scores: pd.DataFrame, names: Sequence[str], *, drawn: bool) -> pd.DataFrame:
    """Every number that the documents print of the same quantity, beside each of ours.

    Returns:
        ``document, task, direction, metric, k, published, published_pool, model, stage, value, low, high, n,
        pool, interval, comparable``, the last a sentence.
    """
    numbers = read_numbers("retrieval").replace({"k": {"": np.nan}}).astype({"k": float})
    printed = numbers[["document", "model", "task", "direction", "metric", "k", "value", "pool"]].rename(
        columns={"value": "published", "pool": "published_pool", "model": "printed_of"}
    )
    of = {SYSTEMS[name].key for name in names}
    ours = scores[[key in of for key in scores[["model", "stage"]].itertuples(index=False, name=None)]]
    both = printed.merge(ours.astype({"k": float}), on=["task", "direction", "metric", "k"])
    both["comparable"] = [_comparable(row, drawn) for row in both.to_dict("records")]
    return both


def _comparable(row: Mapping, drawn: bool) -> str:
    if drawn:
        return "Not at all: drawn garments and captions."
    parts = ["other images of the same benchmark, one photograph an item"]
    if row["direction"]:
        parts.append(
            f"a pool of {row['pool']:,.0f}, where a larger one is harder"
            + (f" (published: {row['published_pool']:,})" if row["published_pool"] else "")
        )
        parts.append("split by item, where the published split leaves photographs of a garment in both parts")
    return f"Barely: {'; '.join(parts)}."


def know(trace: Trace, names: list[str]) -> None:
    """Scores of the test images beside those of many other drawn ones, searched in pools of the same size.

    Only of the split by item: the others are of items that no training showed, and so are its test images.
    """
    test, others = (answers_of(trace, names, ITEM, part) for part in ("test", KNOWN))
    found = [_of_interest(answers.statistics(test.truth)) for answers in (test, others)]
    table = beside_others(
        found[:1],
        found[1:],
        retrieval.COLUMNS[:6],
        level=trace.setting("evaluation.level"),
        how=retrieval.HOW,
    )
    trace.write_table("tables/retrieval_known.csv", table)


def _of_interest(found: Statistics) -> Statistics:
    """Recalls, reciprocal ranks, the first category and the mean tiers; ranks of a median have no average."""
    return {
        key: value
        for key, value in found.items()
        if key[4] in ("recall", "mrr") or key[2] in COMPARED or (key[4] == "accuracy" and key[5] == 1)
    }


def follow(trace: Trace, names: list[str]) -> None:
    """Trainings, epoch by epoch; and what was trained, on what, for how long."""
    histories = {name: trace.table(f"models/{name}/history.csv") for name in names}
    chosen = {name: "macro_f1" if SYSTEMS[name].heads else "mrr" for name in names}
    trace.write_table("tables/retrieval_history.csv", history_table(histories, chosen))
    rows = []
    for name, history in histories.items():
        config = json.loads(trace.path(f"models/{name}/config.json").read_text(encoding="utf-8"))
        towers = config["network"].get("towers") or {}
        about, captions = SYSTEMS[name], trace.table(f"captions/{name}.csv").iloc[0]
        rows.append(
            {
                "system": name,
                "model": about.model,
                "stage": about.stage,
                "what": about.what,
                "image_tower": config["network"]["architecture"],
                "image_weights": towers.get("image", {}).get("source", "random"),
                "text_tower": trace.setting("networks.text"),
                "text_weights": towers.get("text", {}).get("source", "random"),
                "images": config["n_train"],
                "epochs": len(history),
                "kept_epoch": config["best_epoch"],
                "tokens": int(captions["tokens"]),
                "captions_cut": captions["cut"],
                "captions_over_40": captions["over_published"],
                "hours": history["seconds"].sum() / 3600,
            }
        )
    trace.write_table("tables/retrieval_systems.csv", pd.DataFrame(rows))
    points = [
        (*SYSTEMS[name].key, attribute, strength, reached)
        for name in names
        if SYSTEMS[name].heads
        for attribute, (strength, reached) in strengths_of(trace, name).items()
    ]
    columns = ["model", "stage", "attribute", "strength", "validation"]
    trace.write_table("tables/retrieval_strengths.csv", pd.DataFrame(points, columns=columns))
