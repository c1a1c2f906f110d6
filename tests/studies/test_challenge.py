"""The challenge study on a small drawn set: what it writes, what it says, what it refuses."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm

from swatchbook.data.strict_csv import DataError
from swatchbook.evaluation.challenge import (
    challenge_scores,
    challenge_statistics,
    class_mean_interval,
    known_scores,
)
from swatchbook.evaluation.history import history_table
from swatchbook.evaluation.intervals import wilson
from swatchbook.evaluation.operating_points import (
    AROUND,
    STRENGTHS,
    adjusted,
    best_strengths,
    chosen_strengths,
    operating_points,
)
from swatchbook.evaluation.replicates import Replicates
from swatchbook.evaluation.resample import table as table_of
from swatchbook.evaluation.scores import macro_f1
from swatchbook.models import backbones
from swatchbook.models.inference import features_of
from swatchbook.pipeline import ConfigError
from swatchbook.pipeline.settings import configure
from swatchbook.schema import Schema
from swatchbook.studies import spec_of
from swatchbook.studies.challenge.claims import CLAIMS, Evidence
from swatchbook.studies.challenge.settings import Networks
from swatchbook.studies.challenge.systems import OURS, SE_RESNET, SYSTEMS, VIT, recipe_of
from swatchbook.studies.challenge.tables import PAIRS
from swatchbook.studies.documents import UNASKED, NotAskedError, read_claims, verdicts
from swatchbook.studies.study import Study

SMALL = {
    "drawn.n_train": 120,
    "drawn.n_val": 60,
    "drawn.n_test": 60,
    "drawn.size": 96,
    "cut": 30,
    "systems": ("se_resnet50_0fc", "resnet50_0fc"),
    "limits.epochs": 1,
    "limits.image_size": 32,
    "side": 64,
    "bootstrap": 60,
}


@pytest.fixture(scope="module")
def schema() -> Schema:
    return Schema.load("challenge")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    opened = Study.open("challenge", tmp_path_factory.mktemp("challenge"), log=lambda _: None, **SMALL)
    for table in ("challenge_claims", "challenge_known", "challenge_systems"):
        opened.ensure(f"tables/{table}.csv")
    return opened


def test_a_constant_predictor_scores_what_the_counts_say(study: Study) -> None:
    counts = study.challenge_counts
    train, val = (counts[counts["split"] == split] for split in ("train", "val"))
    val = val.set_index(["group", "class"])
    most = train.loc[train.groupby("group", sort=False)["count"].idxmax(), ["group", "class"]]
    right = [val.loc[tuple(key), "value"] for key in most.to_numpy()]
    scores = study.challenge_scores
    own = scores[(scores["model"] == "majority") & (scores["group"] == "all")].set_index("metric")["value"]
    assert own["overall_accuracy"] == pytest.approx(np.mean(right))
    present = int((val["count"] > 0).sum())
    assert own["aca"] == pytest.approx(6 / present)


def test_the_answers_table_gives_the_scores_again(study: Study, schema: Schema) -> None:
    predictions = study.challenge_val_predictions
    plain = predictions[predictions["variant"] == "plain"].set_index("image_id")
    manifest = study.manifest.set_index("image_id").loc[plain.index]
    hits = np.mean([(plain[name] == manifest[name]).mean() for name in schema.names])
    scores = study.challenge_scores.set_index(["model", "variant", "group", "metric"])
    assert scores.loc[("ours", "plain", "all", "overall_accuracy"), "value"] == pytest.approx(hits)


def test_the_submission_has_our_answers_in_the_order_of_the_list(study: Study, schema: Schema) -> None:
    manifest = study.manifest
    test_ids = manifest.loc[manifest["split"] == "test", "image_id"]
    with zipfile.ZipFile(study.store.path("submission.zip")) as archive:
        lines = archive.read("prediction.txt").decode().splitlines()
    answers = study.challenge_answers
    ours = answers[(answers["model"] == "ours") & (answers["variant"] == "plain")].set_index("image_id")
    expected = [
        " ".join(str(schema[name].classes.index(ours.loc[image_id, name])) for name in schema.names)
        for image_id in test_ids
    ]
    assert lines == expected


def test_nobody_is_scored_on_images_it_was_trained_on(study: Study) -> None:
    manifest = study.manifest.set_index("image_id")["split"]
    for name in ("ours_0", "probe", "zero_shot", "se_resnet50_0fc"):
        given = study.store.read_table(f"predictions/{name}.parquet")
        assert (manifest.loc[given["image_id"]].to_numpy() == given["split"].replace("cut", "train")).all()
        assert (given["split"] == "cut").sum() == SMALL["cut"]
        assert set(manifest[manifest == "val"].index) <= set(given["image_id"])


def test_every_claim_has_a_verdict_and_what_was_not_trained_was_not_asked(study: Study) -> None:
    claims = study.challenge_claims.set_index("claim")
    assert list(claims.index) == list(read_claims("challenge")["claim"]) == list(CLAIMS)
    assert claims.loc["vit_is_unsuitable", "verdict"] == UNASKED
    assert "has not trained ViT" in claims.loc["vit_is_unsuitable", "sentence"]
    assert claims.loc["because_it_is_larger", "verdict"] == "does not hold"
    assert claims.loc["se_wins_in_every_group", "verdict"] != UNASKED


class _Asked(Evidence):
    """Evidence of a run that trained everything; keeps which differences claims ask for."""

    def __init__(self, schema: Schema) -> None:
        self.schema, self.pairs = schema, set()
        row = {"loss": 1.0, "train_loss": 1.0, "val_loss": 1.0, "aca": 0.2, "accuracy": 0.5, "epoch": 1}
        self.tables = {"challenge_counts": pd.DataFrame({"split": ["train", "val"], "n": [5000, 1000]})}
        self.epochs = pd.DataFrame([row] * 12)

    def require_trained(self, model: str) -> None:
        assert model in SYSTEMS

    def history(self, model: str) -> pd.DataFrame:
        self.require_trained(model)
        return self.epochs

    def difference(self, model: str, baseline: str, metric: str = "", group: str = "") -> pd.Series:
        self.pairs.add((model, baseline))
        return pd.Series({"value": 0.1, "low": 0.05, "high": 0.2, "p_holm": 0.001})


def test_every_difference_that_a_claim_asks_for_is_computed(schema: Schema) -> None:
    asked = _Asked(schema)
    table = verdicts("challenge", CLAIMS, asked)
    assert UNASKED not in set(table["verdict"])
    assert asked.pairs <= set(PAIRS)
    said = table.set_index("claim")["verdict"]
    assert said["se_wins_in_every_group"] == said["vit_is_unsuitable"] == said["focal_helps"] == "holds"
    assert said["no_horizontal_flip"] == "does not hold"  # flips helped
    assert said["six_thousand_images"] == "holds"


def test_frozen_random_blocks_answer_no_claim(schema: Schema) -> None:
    systems = pd.DataFrame({"model": ["vit", "vit_k_all"], "weights": "random"})
    history = pd.DataFrame({"model": ["vit", "vit_k_all"]})
    evidence = Evidence({"challenge_systems": systems, "challenge_history": history}, schema)
    evidence.require_trained("vit_k_all")
    with pytest.raises(NotAskedError, match="frozen blocks of ViT head have random weights"):
        evidence.require_trained("vit")
    with pytest.raises(NotAskedError, match="has not trained ViT head, row 1"):
        evidence.require_trained("vit_row1")


def test_trainings_say_what_they_were_built_on(study: Study) -> None:
    systems = study.challenge_systems.set_index("model")
    assert list(systems.index) == ["se_resnet50_0fc", "resnet50_0fc", "ours_0"]
    assert systems.loc["se_resnet50_0fc", "backbone"] == "reduced_se_resnet"
    assert systems.loc["se_resnet50_0fc", "weights"] == "random"
    assert (systems["images"] == SMALL["drawn.n_train"] - SMALL["cut"]).all()


def test_known_scores_are_those_of_the_drawn_test_images(study: Study, schema: Schema) -> None:
    known = study.challenge_known.set_index(["model", "variant", "group", "metric"])
    truth = pd.read_csv(study.store.path("images/truth.csv"))
    solid = truth.loc[truth["split"] == "test", "pattern"].eq("solid").mean()
    answers = study.challenge_answers
    assert (answers.loc[answers["model"] == "majority", "pattern"] == "solid").all()
    assert known.loc[("majority", "constant", "pattern", "accuracy"), "known"] == pytest.approx(solid)
    assert (known["low"] <= known["high"]).all()


# ---- the table of systems -------------------------------------------------------------------------------


def test_every_system_has_a_recipe_and_every_pair_is_of_systems() -> None:
    for name in SYSTEMS:
        recipe_of(name, epochs=1, image_size=64)
    assert {name for pair in PAIRS for name in pair} <= set(SYSTEMS)
    assert {s.whose for s in SYSTEMS.values()} == {OURS, SE_RESNET, VIT}


def test_the_published_recipes_are_the_documents() -> None:
    row2, weighted = recipe_of("vit"), recipe_of("se_resnet50_weighted")
    assert (row2.backbone_lr, row2.dropout, row2.epochs, row2.batch, row2.train_blocks) == (
        3.1e-4,
        0.22,
        20,
        32,
        1,
    )
    assert row2.bce_of_softmax
    assert row2.flip_validation
    assert row2.combine == "share"
    assert weighted.part_weights == (0.95, 0.85, 0.85, 0.9, 1.0, 0.9)
    assert weighted.focal_gamma == 2
    assert recipe_of("se_resnet50_repository_4fc").hidden == (512, 256, 128, 64)
    assert recipe_of("vit_row5").epochs == 50
    assert not SYSTEMS["vit"].box
    assert SYSTEMS["se_resnet50_0fc"].box


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"systems": ("resnet51",)}, "resnet51; allowed, each once: resnet50_0fc"),
        ({"systems": ("ours_0",)}, "networks.ours says how many"),
        ({"drawn.n_train": 150, "cut": 150}, "must leave some to train on"),
        ({"side": 100}, "side"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configure(spec_of("challenge"), "challenge", settings)


def test_the_real_profiles_need_a_source() -> None:
    assert spec_of("challenge").profiles["challenge-best"].required == ("source",)


def test_a_set_without_validation_images_is_refused(tmp_path: Path) -> None:
    from swatchbook.drawn.challenge import write_challenge

    write_challenge(tmp_path / "drawn", n_train=3, n_val=0, n_test=1, seed=1, size=64, workers=1)
    opened = Study.open("challenge", tmp_path / "run", log=lambda _: None, source=str(tmp_path / "drawn"))
    with pytest.raises(DataError, match=r"val\.txt is empty"):
        opened.ensure("manifest.parquet")
    assert not opened.store.path("manifest.parquet").exists()


def test_a_set_without_boxes_is_refused(tmp_path: Path) -> None:
    from swatchbook.drawn.challenge import write_challenge

    write_challenge(tmp_path / "drawn", n_train=3, n_val=2, n_test=1, seed=1, size=64, workers=1)
    for path in (tmp_path / "drawn").rglob("*_bbox.txt"):
        path.unlink()
    opened = Study.open("challenge", tmp_path / "run", log=lambda _: None, source=str(tmp_path / "drawn"))
    with pytest.raises(ValueError, match="no boxes"):
        opened.ensure("pixels.npy")


# ---- evaluation -----------------------------------------------------------------------------------------


def test_adjustment_takes_the_log_frequency_off(schema: Schema) -> None:
    p, frequency = np.array([[0.6, 0.4], [0.9, 0.1]]), np.array([0.8, 0.2])
    # log .6 − log .8 = −.288 < log .4 − log .2 = .693; log .9 − log .8 = .118 > log .1 − log .2 = −.693
    assert adjusted({"a": p}, {"a": frequency}, 1.0)["a"].tolist() == [1, 0]
    assert adjusted({"a": p}, {"a": frequency}, 0.0)["a"].tolist() == [0, 0]


def test_the_best_strength_reaches_the_best_score_and_of_equals_is_the_smallest(schema: Schema) -> None:
    truth, p, frequency = _random_answers(schema, 300)
    found = best_strengths(truth, p, frequency, dict.fromkeys(schema.names, macro_f1))
    for a in schema:
        reached = {
            s: macro_f1(table_of(truth[a.name], adjusted(p, frequency, s)[a.name], (len(a), len(a))))
            for s in AROUND
        }
        strength, score = found[a.name]
        assert score == max(reached.values()) == reached[strength]
        assert abs(strength) == min(abs(s) for s, value in reached.items() if value == score)


def _random_answers(schema: Schema, n: int, seed: int = 3) -> tuple[dict, dict, dict]:
    rng = np.random.default_rng(seed)
    frequency = {a.name: np.arange(len(a), 0, -1) / np.arange(len(a), 0, -1).sum() for a in schema}
    truth = {a.name: rng.choice(len(a), n, p=frequency[a.name]) for a in schema}
    p = {}
    for a in schema:
        logits = (
            1.2 * np.eye(len(a))[truth[a.name]] + np.log(frequency[a.name]) + rng.normal(size=(n, len(a)))
        )
        p[a.name] = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return truth, p, frequency


def test_each_groups_strength_has_the_highest_recall_that_its_accuracy_allows(schema: Schema) -> None:
    truth, p, frequency = _random_answers(schema, 300)
    weights = np.random.default_rng(1).poisson(1, (30, 300)).astype(float)
    for may_lose in (1.0, 0.01):
        points = operating_points(truth, p, frequency, schema, weights, may_lose=may_lose)
        own = chosen_strengths(points)
        assert list(own) == list(schema.names)
        for group, rows in points[points["group"] != "all"].groupby("group"):
            values = rows.pivot_table(index="strength", columns="metric", values="value")
            assert list(values.index) == list(STRENGTHS)
            allowed = values[values["accuracy"] >= values["accuracy"].iloc[0] - may_lose]
            assert own[group] == allowed["recall"].idxmax()
        direct = challenge_statistics(truth, adjusted(p, frequency, own), schema, weights)[
            "all", "all", "aca"
        ]
        (chosen,) = points[(points["group"] == "all") & points["chosen"] & (points["metric"] == "aca")][
            "value"
        ]
        assert chosen == pytest.approx(direct.samples[0])
        if may_lose == 1:
            together = points[(points["group"] == "all") & (points["metric"] == "aca") & ~points["chosen"]]
            assert chosen >= together["value"].max()


def test_shares_of_images_get_wilsons_interval(schema: Schema) -> None:
    truth, p, _ = _random_answers(schema, 80)
    answers = {name: q.argmax(1) for name, q in p.items()}
    weights = np.random.default_rng(1).multinomial(80, np.full(80, 1 / 80), 40).astype(float)
    scores = challenge_scores(truth, {("m", "plain"): answers}, schema, weights, split="val")
    rows = scores.set_index(["group", "class", "metric"])
    hits = answers["sleeve"] == truth["sleeve"]
    row = rows.loc[("sleeve", "all", "accuracy")]
    np.testing.assert_allclose((row["low"], row["high"]), wilson(hits.mean(), 80))
    square = truth["neckline"] == 2
    row = rows.loc[("neckline", "square_neckline", "recall")]
    expected = wilson((answers["neckline"] == 2)[square].mean(), square.sum())
    np.testing.assert_allclose((row["low"], row["high"]), expected)
    shares = rows[rows.index.get_level_values("metric").isin(["recall", "accuracy", "aca", "all_right"])]
    assert (shares["low"] < shares["high"]).all()


def test_the_mean_of_independent_recalls_has_the_root_of_their_squares() -> None:
    recalls = [Replicates(np.full(21, 1.0), 2), Replicates(np.full(21, 0.5), 100)]  # nothing in common
    (low_a, high_a), (low_b, high_b) = wilson(1.0, 2), wilson(0.5, 100)
    low, high = class_mean_interval([*recalls, Replicates(np.full(21, np.nan), 0)], 0.95)
    assert low == pytest.approx(0.75 - np.hypot(1 - low_a, 0.5 - low_b) / 2)
    assert high == pytest.approx(0.75 + np.hypot(high_a - 1, high_b - 0.5) / 2)


def test_average_class_accuracy_is_covered_where_a_class_has_two_images() -> None:
    # 26 classes of the sizes of the real validation images, all of recall .8, independent.
    sizes = [
        192,
        175,
        65,
        77,
        13,
        458,
        20,
        301,
        168,
        531,
        100,
        173,
        727,
        387,
        173,
        2,
        438,
        56,
        146,
        680,
        16,
        10,
    ]
    sizes += [92, 129, 70, 801]
    rng, covered = np.random.default_rng(7), 0
    for _ in range(400):
        shares = [rng.binomial(n, 0.8) / n for n in sizes]
        recalls = [
            Replicates(np.r_[p, rng.binomial(n, p, 60) / n], n) for p, n in zip(shares, sizes, strict=True)
        ]
        low, high = class_mean_interval(recalls, 0.95)
        covered += low <= 0.8 <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_a_score_is_held_against_many_others_with_both_errors(schema: Schema) -> None:
    truth, p, _ = _random_answers(schema, 400)
    answers = {name: q.argmax(1) for name, q in p.items()}
    parts = (slice(0, 120), slice(120, None))
    true, given = ([{k: v[part] for k, v in codes.items()} for part in parts] for codes in (truth, answers))
    rng = np.random.default_rng(5)
    weights = [rng.multinomial(n, np.full(n, 1 / n), 150).astype(float) for n in (120, 280)]
    table = known_scores(tuple(true), {("m", "plain"): tuple(given)}, schema, tuple(weights))
    row = table.set_index(["group", "metric"]).loc[("all", "overall_accuracy")]
    right = [np.mean([t[n] == g[n] for n in schema.names], axis=0) for t, g in zip(true, given, strict=True)]
    here, there = (w @ r / len(r) for w, r in zip(weights, right, strict=True))
    assert row["value"] == pytest.approx(right[0].mean())
    assert row["known"] == pytest.approx(right[1].mean())
    low, high = np.quantile(here - there, [0.025, 0.975])
    assert row["low"] == pytest.approx(low, abs=0.004)  # another rule between order statistics
    assert row["high"] == pytest.approx(high, abs=0.004)
    assert high - low > 1.1 * np.subtract(*np.quantile(here, [0.975, 0.025]))


def test_a_class_that_only_one_of_both_has_does_not_part_their_scores(schema: Schema) -> None:
    rng = np.random.default_rng(2)
    here, there = ({a.name: rng.integers(0, len(a), n) for a in schema} for n in (120, 280))
    there["sleeve"] = np.where(there["sleeve"] == 2, 0, there["sleeve"])  # no sleeveless one among the others
    given = [{name: np.zeros_like(codes) for name, codes in some.items()} for some in (here, there)]
    weights = [rng.multinomial(n, np.full(n, 1 / n), 50).astype(float) for n in (120, 280)]
    table = known_scores((here, there), {("majority", "constant"): tuple(given)}, schema, tuple(weights))
    row = table.set_index(["group", "metric"]).loc[("all", "aca")]
    assert row["value"] == row["known"] == pytest.approx(6 / 25) and row["covered"]
    assert "the 25 classes that both have" in row["interval"]


def test_a_history_says_which_score_chose_its_epoch() -> None:
    table = history_table(
        {
            "a": pd.DataFrame({"epoch": [1, 2], "product": [0.3, 0.2], "accuracy": [0.1, 0.9]}),
            "b": pd.DataFrame({"epoch": [1, 2], "product": [0.3, 0.2], "accuracy": [0.1, 0.9]}),
        },
        {"a": "product", "b": "accuracy"},
    )
    assert table["chosen"].tolist() == [True, False, False, True]
    with pytest.raises(ValueError, match="no column 'aca'"):
        history_table({"a": pd.DataFrame({"epoch": [1]})}, {"a": "aca"})


def test_the_published_networks_have_weights_that_can_be_downloaded() -> None:
    for name in ("resnet50", "se_resnet50", "se_resnext50", "vit", "vit_in21k", "vit_in1k"):
        settings = timm.get_pretrained_cfg(getattr(Networks(), name))
        assert settings.hf_hub_id, f"{name}: no weights as safetensors"


# ---- small networks -------------------------------------------------------------------------------------


def test_reduced_networks_differ_as_the_large_ones_do() -> None:
    sizes = {}
    for name in ("reduced_resnet", "reduced_se_resnet", "reduced_se_resnext"):
        model, info = backbones.create(name, pretrained=False, classifier=True)
        assert model.num_classes == 1000
        assert info["source"] == "random"
        sizes[name] = sum(p.numel() for p in model.parameters())
        attention = [m for m in model.modules() if type(m).__name__ == "SEModule"]
        assert len(attention) == (0 if name == "reduced_resnet" else 4)
        groups = {m.groups for m in model.modules() if hasattr(m, "groups")}
        assert groups == ({1, 16} if name == "reduced_se_resnext" else {1})
    assert sizes["reduced_se_resnet"] > sizes["reduced_resnet"]


def test_frozen_features_are_those_of_the_normalised_image() -> None:
    import torch

    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    torch.manual_seed(5)
    features = features_of("reduced_resnet", pixels, np.array([2, 0]), 64, pretrained=False)
    torch.manual_seed(5)
    model, info = backbones.create("reduced_resnet", pretrained=False, img_size=64)
    mean, std = (torch.tensor(info[key])[:, None, None] for key in ("mean", "std"))
    views = torch.from_numpy(pixels[[2, 0]]).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        expected = model.eval()((views - mean) / std)
    assert features.shape == expected.shape
    np.testing.assert_allclose(features, expected.numpy(), atol=1e-4)
