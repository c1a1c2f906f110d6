"""The retrieval study on a small drawn set: what it writes, what it says, what it refuses."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm

from swatchbook.data.strict_csv import DataError
from swatchbook.drawn.multimodal import write_multimodal
from swatchbook.evaluation.retrieval import DIRECTIONS, EXACT, pair_ranks
from swatchbook.models.tasks.dual_encoder import load
from swatchbook.pipeline import ConfigError
from swatchbook.pipeline.settings import configure
from swatchbook.report import figures_retrieval
from swatchbook.report.figure import draw
from swatchbook.schema import Schema
from swatchbook.studies import spec_of
from swatchbook.studies.documents import UNASKED, read_claims, verdicts
from swatchbook.studies.retrieval.claims import CLAIMS, Evidence
from swatchbook.studies.retrieval.gallery import at_equal_steps
from swatchbook.studies.retrieval.images import count_table
from swatchbook.studies.retrieval.systems import ITEM, SPLITS, SYSTEMS, recipe_of, shown
from swatchbook.studies.retrieval.tables import PAIRS
from swatchbook.studies.study import Study

SMALL = {
    "drawn.n_items": 45,
    "drawn.n_known": 22,
    "drawn.size": 64,
    "side": 64,
    "systems": ("ours", "ours_frozen", "ours_kept"),
    "limits.image_size": 32,
    "limits.epochs": 1,
    "limits.task_epochs": 1,
    "limits.threads": 1,
    "bootstrap": 40,
}
TABLES = ("claims", "known", "systems", "history", "gallery")


@pytest.fixture(scope="module")
def schema() -> Schema:
    return Schema.load("multimodal")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    opened = Study.open("retrieval", tmp_path_factory.mktemp("retrieval"), log=lambda _: None, **SMALL)
    for table in TABLES:
        opened.ensure(f"tables/retrieval_{table}.csv")
    return opened


def score(study: Study, model: str, stage: str, task: str, metric: str, k: float, way: str = "") -> pd.Series:
    table = study.retrieval_scores.fillna({"stage": "", "direction": "", "k": 0})
    kept = (table["model"] == model) & (table["stage"] == stage) & (table["task"] == task) & (table["k"] == k)
    found = table[kept & (table["metric"] == metric) & (table["direction"] == way)]
    assert len(found) == 1
    return found.iloc[0]


def test_a_split_by_item_parts_no_garment_and_known_items_are_in_no_part(study: Study) -> None:
    manifest = study.manifest
    assert manifest.groupby("item")[SPLITS[ITEM]].nunique().max() == 1
    assert manifest.loc[manifest["split"] == "known", "item"].nunique() == SMALL["drawn.n_known"]
    assert (manifest["split"].eq("known") == manifest["random_split"].eq("known")).all()
    counts = study.retrieval_counts.set_index(["split", "part"])
    assert counts.loc[("item", "test"), "shared_items"] == 0
    assert counts.loc[("random", "test"), "shared_items"] > 0
    assert counts.loc["item"]["images"].sum() == len(manifest)


def test_ranks_are_those_of_the_checkpoints_own_embeddings(study: Study) -> None:
    with np.load(study.store.path("embeddings/ours_kept.npz")) as kept:
        ids, images, texts = (kept[name] for name in ("ids", "image", "text"))
    manifest = study.manifest.set_index("image_id")
    test = manifest.loc[ids, "split"].to_numpy() == "test"
    ranks = study.retrieval_ranks
    own = ranks[(ranks["stage"] == "tasks and pairs") & (ranks["direction"] == DIRECTIONS[1])]
    captions = manifest.loc[ids[test], "caption"].to_numpy()
    exact, same = pair_ranks(texts[test], images[test], captions)
    assert own["rank"].tolist() == exact.tolist()
    assert own["rank_same_caption"].tolist() == same.tolist()
    row = score(study, "ours", "tasks and pairs", EXACT, "recall", 10, DIRECTIONS[1])
    assert row["value"] == pytest.approx((exact <= 10).mean())
    assert row["pool"] == row["n"] == test.sum()


def test_one_folder_gives_the_embeddings_and_the_predictions_again(study: Study) -> None:
    import torch

    folder = study.store.path("checkpoints/ours_kept")
    network, manifest = load(folder), study.manifest
    with np.load(study.store.path("embeddings/ours_kept.npz")) as kept:
        ids, images, texts = (kept[name] for name in ("ids", "image", "text"))
    place = pd.Index(manifest["image_id"]).get_indexer(ids)
    stored = torch.from_numpy(np.array(np.load(study.store.path("pixels.npy"))[place]))
    small = torch.nn.functional.interpolate(
        stored.permute(0, 3, 1, 2).float(), (32, 32), mode="bilinear", antialias=True, align_corners=False
    )
    with torch.no_grad():
        out = network(
            small.round().clamp(0, 255) / 255, network.tokenizer(manifest["caption"].iloc[place].tolist())
        )
    np.testing.assert_allclose(out["image"], images, atol=1e-4)
    np.testing.assert_allclose(out["text"], texts, atol=1e-4)
    predicted = study.store.read_table("predictions/ours_kept.parquet")
    own = network.probabilities(out)["upper_fabric"]
    columns = [c for c in predicted if c.startswith("upper_fabric:")]
    np.testing.assert_allclose(own, predicted[columns], atol=1e-4)


def test_categories_are_answered_at_the_strength_that_validation_images_choose(study: Study) -> None:
    chosen = study.retrieval_strengths.set_index(["model", "stage", "attribute"])
    strength = chosen.loc[("ours", "tasks and pairs", "category"), "strength"]
    manifest, schema = study.manifest.set_index("image_id"), study.schema
    predicted = study.store.read_table("predictions/ours_kept.parquet").set_index("image_id")
    classes = list(schema["category"].classes)
    seen = manifest.loc[manifest["split"] == "train", "category"].value_counts().reindex(classes).fillna(0)
    taken = strength * np.log(np.maximum(seen, 0.5) / np.maximum(seen, 0.5).sum())
    scores = np.log(predicted[[f"category:{c}" for c in classes]].to_numpy(float)) - taken.to_numpy()
    right = np.array(classes)[scores.argmax(1)] == manifest.loc[predicted.index, "category"]
    part = manifest.loc[predicted.index, "split"]
    assert chosen.loc[("ours", "tasks and pairs", "category"), "validation"] == pytest.approx(
        right[part == "val"].mean()
    )
    row = score(study, "ours", "tasks and pairs", "category", "accuracy", 1)
    assert row["value"] == pytest.approx(right[part == "test"].mean())


def test_frozen_encoders_find_what_they_found_before(study: Study) -> None:
    table = study.retrieval_differences
    own = table[(table["stage"] == "frozen") & (table["baseline_stage"] == "contrastive")]
    exact = own[own["task"] == EXACT]
    assert len(exact) == 10
    assert (exact[["value", "low", "high"]] == 0).all(axis=None)


def test_trivial_answers_score_what_the_counts_say(study: Study) -> None:
    manifest = study.manifest
    most = manifest.loc[manifest["split"] == "train", "category"].mode().iloc[0]
    test = manifest[manifest["split"] == "test"]
    row = score(study, "majority", "", "category", "accuracy", 1)
    assert row["value"] == pytest.approx((test["category"] == most).mean())
    assert score(study, "ceiling", "", "attributes", "recall", 5)["value"] == pytest.approx(5 / 6)
    chance = score(study, "chance", "", EXACT, "recall", 10, DIRECTIONS[0])
    assert chance["value"] == pytest.approx(min(1, 10 / len(test)))


def test_every_score_says_how_its_interval_was_made_and_on_how_many(study: Study) -> None:
    table = study.retrieval_scores
    assert not table.duplicated(["model", "stage", "task", "direction", "metric", "k"]).any()
    assert table["interval"].str.contains("bootstrap of items|not estimable").all()
    assert (table["n"] >= 0).all()
    assert (table["low"].fillna(0) <= table["high"].fillna(0)).all()
    assert table.loc[table["direction"].fillna("") != "", "pool"].notna().all()
    assert {"probe", "probe_balanced", "majority", "constant prior"} <= set(table["model"])


def test_known_scores_are_of_pools_of_the_same_size(study: Study) -> None:
    known, manifest = study.retrieval_known, study.manifest
    pool = int((manifest["split"] == "test").sum())
    with np.load(study.store.path("embeddings/ours.npz")) as kept:
        ids, images, texts = (kept[name] for name in ("ids", "image", "text"))
    rows = np.flatnonzero(manifest.set_index("image_id").loc[ids, "split"].to_numpy() == "known")
    rows = rows[: len(rows) // pool * pool]
    hits = [
        pair_ranks(images[some], texts[some])[0] <= 5
        for some in (rows[k : k + pool] for k in range(0, len(rows), pool))
    ]
    found = known[(known["stage"] == "contrastive") & (known["task"] == EXACT) & (known["k"] == 5)]
    found = found.set_index("direction")["known"]
    assert found[DIRECTIONS[0]] == pytest.approx(np.concatenate(hits).mean())


def test_every_claim_has_a_verdict_and_what_was_not_trained_was_not_asked(study: Study) -> None:
    claims = study.retrieval_claims.set_index("claim")
    assert list(claims.index) == list(read_claims("retrieval")["claim"]) == list(CLAIMS)
    assert claims.loc["contrastive_then_tasks", "verdict"] == UNASKED
    assert "has not trained" in claims.loc["contrastive_then_tasks", "sentence"]
    assert claims.loc["image_to_text", "verdict"] == UNASKED  # a pool of another size
    assert claims.loc["ninety_two_attributes", "verdict"] == "does not hold"
    assert claims.loc["test_is_unseen", "verdict"] == "does not hold"
    assert claims.loc["western_bias", "verdict"] == UNASKED


def test_the_gallery_follows_its_rule() -> None:
    ranks = np.array([5, 1, 9, 2, 2, 7])
    assert at_equal_steps(ranks, 3).tolist() == [1, 4, 2]  # of six in order the first, third and last
    assert ranks[at_equal_steps(ranks, 6)].tolist() == [1, 2, 2, 5, 7, 9]
    assert at_equal_steps(np.array([3, 1]), 6).tolist() == [1, 0]


def test_figures_are_drawn_from_their_tables(study: Study, schema: Schema) -> None:
    pictures = np.load(study.store.path("gallery.npy"))
    gallery = study.retrieval_gallery
    assert len(pictures) == len(gallery)
    tables = {"retrieval_recall": study.retrieval_curves, "retrieval_stages": study.retrieval_scores,
              "retrieval_tiers": study.retrieval_scores, "retrieval_map": study.retrieval_map}  # fmt: skip
    for name, table in tables.items():
        kinds = [suffix for suffix, _ in draw(getattr(figures_retrieval, name), table, schema)]
        assert kinds == [".png", ".csv", ".txt"]
        empty = getattr(figures_retrieval, name)(table.iloc[:0], schema)
        assert empty.alt
    for way in DIRECTIONS:
        figure = figures_retrieval.retrieval_gallery(gallery, schema, pictures, way)
        assert len(figure.data) == (gallery["direction"] == way).sum()


def test_the_published_numbers_stand_beside_ours(study: Study) -> None:
    table = study.retrieval_published
    ten = table[(table["task"] == EXACT) & (table["k"] == 10) & (table["direction"] == DIRECTIONS[0])]
    assert set(ten["published"]) == {0.549}
    assert len(ten) == 3
    assert table["comparable"].str.startswith("Not at all").all()  # drawn


# ---- the table of systems -------------------------------------------------------------------------------


def test_every_system_has_a_recipe_and_every_pair_is_of_systems(schema: Schema) -> None:
    for name, system in SYSTEMS.items():
        recipe = recipe_of(name, schema, epochs=1, image_size=64, backbone_lr=1e-3, ema=0.5)
        assert (recipe.epochs == 1) != system.frozen
        parts = 19 + system.contrastive if system.heads else 0
        assert len(recipe.part_weights) == parts
        assert system.start is None or SYSTEMS[system.start].tokens == system.tokens
        assert not (system.frozen and recipe.backbone_lr == 1e-3)
        assert (recipe.ema == 0.5) == ("ema" in system.recipe)
    assert {name for pair in PAIRS for name in pair} <= set(SYSTEMS)
    assert len({system.key for system in SYSTEMS.values()}) == len(SYSTEMS)
    assert shown(("card", "ours", "ours_kept")) == "ours_kept"


def test_the_published_recipes_are_the_documents(schema: Schema) -> None:
    card, tuned, paper = (recipe_of(name, schema) for name in ("card", "card_tuned", "paper"))
    assert (card.epochs, card.batch, card.weight_decay, card.schedule) == (20, 512, 0.01, "cosine")
    assert (card.beta1, card.beta2, card.image_size, SYSTEMS["card"].tokens) == (0.9, 0.999, 224, 40)
    assert not SYSTEMS["card"].learn_scale
    assert (tuned.epochs, tuned.batch, tuned.loss) == (10, 256, "bce")
    assert (paper.batch, paper.backbone_lr, paper.weight_decay) == (150, 1e-5, 1e-4)
    assert (paper.schedule, paper.epoch_factor, paper.patience) == ("plateau", 0.2, 3)
    assert SYSTEMS["paper_frozen"].frozen
    config = configure(spec_of("retrieval"), "retrieval-paper", {"source": "x"})
    assert (config.networks.image[:20], config.networks.text) == ("vit_base_patch32_224", "bert_base")
    assert config.networks.embed == 512


def test_the_published_encoders_have_weights_that_can_be_downloaded() -> None:
    networks = configure(spec_of("retrieval"), "retrieval-paper", {"source": "x"}).networks
    for name in (networks.image, networks.paper_image):
        assert timm.get_pretrained_cfg(name).hf_hub_id, f"{name}: no weights as safetensors"


class _Everything(Evidence):
    """Evidence of a run that trained everything: every score .5, every difference .1; keeps what is asked."""

    def __init__(self) -> None:
        counts = pd.DataFrame(
            {"split": ["item", "random"], "part": "test", "images": 50, "shared_images": [0, 20]}
        )
        systems = pd.DataFrame({"captions_over_40": [0.7]})
        super().__init__({"counts": counts, "systems": systems}, tuple(SYSTEMS), drawn=False)
        self.pairs: set[tuple[str, str]] = set()

    def row(
        self, model: str, stage: str, task: str, metric: str, k: float = np.nan, way: str = ""
    ) -> pd.Series:
        value = 0.1 if model in ("chance", "majority", "constant prior") else 0.5
        return pd.Series({"value": value, "low": value - 0.05, "high": value + 0.05, "n": 50, "pool": 6383})

    def difference(self, name: str, other: str, *_: object) -> pd.Series:
        self.pairs.add((name, other))
        return pd.Series({"value": 0.1, "low": 0.05, "high": 0.2})


def test_every_difference_that_a_claim_asks_for_is_computed() -> None:
    asked = _Everything()
    said = verdicts("retrieval", CLAIMS, asked).set_index("claim")["verdict"]
    assert asked.pairs <= set(PAIRS)
    assert said["one_checkpoint_does_all"] == said["joint_space"] == said["contrastive_then_tasks"] == "holds"
    assert said["image_to_text"] == "holds"  # .549 ± .01 meets .45 to .55, in the published pool
    assert said["forty_tokens"] == "does not hold"  # whole captions were better
    assert said["test_is_unseen"] == said["size_of_the_data"] == "does not hold"


# ---- what is refused, and real files ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"systems": ("theirs",)}, "theirs; allowed, each once: card"),
        (
            {"systems": ("ours_kept",)},
            "ours_kept without ours_frozen, whose weights it starts from; add ours_frozen",
        ),
        ({"networks.text": "gpt"}, "'gpt'; allowed: bert_base, minilm, small_bert"),
        ({"side": 100}, "side"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configure(spec_of("retrieval"), "retrieval", settings)


def test_the_real_profiles_need_a_source() -> None:
    for name in ("retrieval-best", "retrieval-paper"):
        assert spec_of(name).profiles[name].required == ("source",)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "set"
    write_multimodal(folder, n_items=12, seed=3, size=64, workers=1)
    return folder


def test_images_without_a_caption_or_a_label_are_left_out_and_listed(drawn: Path, tmp_path: Path) -> None:
    source = tmp_path / "set"
    shutil.copytree(drawn, source)
    captions = json.loads((source / "captions.json").read_text())
    mute, bare = sorted(captions)[:2]
    del captions[mute]
    (source / "captions.json").write_text(json.dumps(captions))
    labels = source / "labels" / "texture" / "fabric_ann.txt"
    lines = [line for line in labels.read_text().splitlines() if not line.startswith(bare)]
    labels.write_text("\n".join(lines) + "\n")
    opened = Study.open("retrieval", tmp_path / "run", log=lambda _: None, source=str(source))
    left_out = opened.retrieval_problems.set_index("image_id")["problem"].to_dict()
    assert left_out == {mute: "no caption", bare: "labels missing"}
    assert not {mute, bare} & set(opened.manifest["image_id"])


def test_a_set_without_captions_is_refused(drawn: Path, tmp_path: Path) -> None:
    source = tmp_path / "set"
    shutil.copytree(drawn, source)
    (source / "captions.json").write_text("{}")
    opened = Study.open("retrieval", tmp_path / "run", log=lambda _: None, source=str(source))
    with pytest.raises(DataError, match="no image has a caption and all labels"):
        opened.ensure("manifest.parquet")
    assert not opened.store.path("manifest.parquet").exists()


def test_in_shop_photographs_are_joined_by_item(drawn: Path, tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    (shop / "data" / "img").mkdir(parents=True)
    for path in sorted((drawn / "images").iterdir()):
        item = path.name.split("-")[2]
        shutil.copy(path, shop / "data" / "img" / f"{item}.jpg")
    shutil.copytree(drawn / "labels", shop / "labels")
    shutil.copy(drawn / "captions.json", shop / "train_captions.json")
    opened = Study.open("retrieval", tmp_path / "run", log=lambda _: None, source=str(shop))
    manifest = opened.manifest
    assert len(manifest) == manifest["item"].nunique() == 12
    assert set(manifest["split"]) == {"train", "val", "test"}
    (shop / "train_captions.json").unlink()
    again = Study.open("retrieval", tmp_path / "other", log=lambda _: None, source=str(shop))
    with pytest.raises(DataError, match=r"has no captions; allowed: one or more files \*captions\.json"):
        again.ensure("manifest.parquet")


def test_shared_items_are_counted() -> None:
    table = pd.DataFrame(
        {"item": list("aabbc"), "caption": list("vwxyy"), "split": ["train", "test", "test", "val", "test"]}
    ).assign(random_split="train")
    counts = count_table(table).set_index(["split", "part"])
    assert counts.loc[("item", "test"), ["images", "items", "captions", "shared_items", "shared_images"]].tolist() == [
        3, 3, 3, 1, 1,
    ]  # fmt: skip
