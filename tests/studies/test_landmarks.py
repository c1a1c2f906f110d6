"""The landmarks study on a small drawn set: what it writes, what it says, what it refuses."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from swatchbook.data.landmarks import SLOTS, TRUNCATED, VISIBLE
from swatchbook.data.strict_csv import DataError
from swatchbook.evaluation import landmarks as metrics
from swatchbook.models.landmark_design import Design
from swatchbook.models.recipe import Recipe
from swatchbook.pipeline import ConfigError
from swatchbook.pipeline.settings import configure
from swatchbook.schema import Attribute, Schema
from swatchbook.studies import spec_of
from swatchbook.studies.documents import UNASKED, read_claims, verdicts
from swatchbook.studies.landmarks.claims import CLAIMS, Evidence
from swatchbook.studies.landmarks.images import Truth, truth_of
from swatchbook.studies.landmarks.systems import CONTROLS, SYSTEMS, design_of, recipe_of
from swatchbook.studies.landmarks.tables import constant_statistics
from swatchbook.studies.landmarks.training import with_others_points
from swatchbook.studies.study import Study

SMALL = {
    "drawn.n_train": 50,
    "drawn.n_val": 20,
    "drawn.n_test": 24,
    "drawn.n_others": 20,
    "drawn.size": 64,
    "side": 32,
    "systems": ("mtl", "cat", "true_points"),
    "seeds": 2,
    "design.upsamplings": 0,
    "training.image_size": 32,
    "training.epochs": 1,
    "training.warmup_epochs": 0,
    "training.threads": 1,
    "bootstrap": 40,
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    opened = Study.open("landmarks", tmp_path_factory.mktemp("landmarks"), log=lambda _: None, **SMALL)
    for table in ("claims", "known", "systems", "predictions"):
        opened.ensure(f"tables/landmark_{table}.csv")
    return opened


def attribute(name: str, size: int, multiple: bool = False) -> Attribute:
    return Attribute(
        name, {f"{name}{k}": "x" for k in range(size)}, ("{}",), "zero_shot", 0, "ours", multiple
    )


# ---- what a run writes ----------------------------------------------------------------------------------


def test_scores_have_every_system_seed_and_baseline(study: Study) -> None:
    scores = study.landmark_scores
    assert list(scores) == metrics.COLUMNS
    seeds = scores.groupby("model")["seed"].agg(lambda s: set(s.astype(str)))
    assert all(seeds[name] == {"42", "43", "mean"} for name in SMALL["systems"])
    assert seeds["mean_position"] == seeds["majority"] == {"none"}
    error = scores[(scores["metric"] == "normalized_error") & (scores["name"] == "mean")]
    assert set(error["model"]) == {"mtl", "true_points", "mean_position"}  # CAT places nothing
    assert (scores["low"] <= scores["high"]).all() or scores["low"].isna().any()
    assert set(scores["task"]) == {"category", "attributes", "landmarks", "symmetry", "kinematics"}


def test_the_mean_position_is_the_one_of_the_training_images(study: Study) -> None:
    manifest = study.manifest
    truth = truth_of(manifest, Schema("none", ()))
    train = (manifest["split"] == "train").to_numpy()
    seen = train[:, None] & (truth.visibility == VISIBLE)
    k = SLOTS.index("left_hem")
    mean = truth.points[seen[:, k], k].mean(0)
    report = study.store.read_table("predictions/mtl_42.parquet").query("part == 'report'")["image_id"]
    rows = np.flatnonzero(manifest["image_id"].isin(report) & (truth.visibility[:, k] == VISIBLE))
    wanted = np.linalg.norm(truth.points[rows, k] - mean, axis=1).mean()
    scores = study.landmark_scores.query("model == 'mean_position' and name == 'left_hem'")
    row = scores[scores["metric"] == "normalized_error"].iloc[0]
    assert row["value"] == pytest.approx(wanted, rel=1e-5)
    assert row["n"] == len(rows)


def test_differences_are_of_the_seeds_means_and_exchange_their_sign(study: Study) -> None:
    scores, table = study.landmark_scores, study.landmark_differences
    key = "task == 'category' and metric == 'accuracy' and k == 3"
    mean = scores.query(key)[scores.query(key)["seed"].astype(str) == "mean"].set_index("model")["value"]
    found = table.query(key).set_index(["model", "baseline"])["value"]
    assert found["mtl", "cat"] == pytest.approx(mean["mtl"] - mean["cat"])
    assert found["cat", "mtl"] == pytest.approx(-found["mtl", "cat"])
    assert set(table["baseline"]) == {"mtl", "cat"}


def test_nothing_is_predicted_that_was_trained_or_chosen_on(study: Study) -> None:
    split = study.manifest.set_index("image_id")["split"]
    for name in ("mtl_42", "cat_43"):
        given = study.store.read_table(f"predictions/{name}.parquet")
        assert set(split.loc[given["image_id"]]) == {"test"}
        assert given["part"].value_counts().to_dict() == {"report": 24, "others": 20}


def test_published_points_are_pixels_of_the_pictures(study: Study) -> None:
    table = study.landmark_predictions
    assert set(table["model"]) == {"mtl", "cat"}
    assert len(table) == 2 * 2 * 24
    sizes = study.manifest.set_index("image_id").loc[table["image_id"], ["width", "height"]].to_numpy()
    own = table["model"].eq("mtl").to_numpy()
    points = table.loc[own, [f"left_collar_{axis}" for axis in "xy"]].to_numpy()
    assert (points >= -1).all()
    assert (points <= sizes[own] + 1).all()
    assert table.loc[~own, "left_collar_x"].isna().all()
    assert table["texture"].str.split(";").map(len).eq(5).all()


def test_drawn_labels_have_the_shares_of_their_world(study: Study) -> None:
    known = study.landmark_known
    shares = known[known["metric"] == "share"]
    assert len(shares) == 13
    assert shares["covered"].mean() > 0.8
    cotton = shares[shares["name"] == "fabric: cotton"].iloc[0]
    assert cotton["value"] == pytest.approx(study.manifest["fabric"].eq("cotton").mean())
    assert (known.loc[known["metric"] != "share", "n"] > 0).all()


def test_systems_say_what_was_trained(study: Study) -> None:
    systems = study.landmark_systems
    assert list(zip(systems["model"], systems["seed"], strict=True)) == list(study.config.trainings)
    by_model = systems.drop_duplicates("model").set_index("model")["parameters"]
    assert by_model["mtl"] == by_model["true_points"] > by_model["cat"]


def test_every_claim_has_a_verdict_and_what_was_not_trained_was_not_asked(study: Study) -> None:
    claims = study.landmark_claims.set_index("claim")
    assert list(claims.index) == list(read_claims("landmarks")["claim"]) == list(CLAIMS)
    assert claims.loc["attention_adds_little", "verdict"] == UNASKED
    assert "has not trained attention, no landmark loss" in claims.loc["attention_adds_little", "sentence"]
    assert claims.loc["thirty_two_layers", "verdict"] == "does not hold"
    assert claims.loc["mtl_lifts_category", "verdict"] != UNASKED
    assert claims["sentence"].str.endswith(".").all()


def test_the_report_finds_its_words(study: Study) -> None:
    from swatchbook.pipeline.stage import Trace
    from swatchbook.studies.landmarks.report import content

    study.ensure("figures/landmark_controls.png")
    words = content(Trace(study))
    assert len(words["findings"]) == 5
    assert not any("nan" in sentence for sentence in words["findings"])
    assert set(words["headline"]["what"]) >= {"MTL", "CAT", "mean position", "most frequent class"}


@pytest.mark.parametrize("name", ["errors", "pck", "curves", "counts", "overlays", "attention"])
def test_figures_say_in_words_what_they_show(study: Study, name: str) -> None:
    study.ensure(f"figures/landmark_{name}.png")
    alt = study.store.path(f"figures/landmark_{name}.txt").read_text()
    assert alt.strip().endswith(".")
    assert "nan" not in alt
    assert len(pd.read_csv(study.store.path(f"figures/landmark_{name}.csv"))) > 0


# ---- claims on made-up evidence ---------------------------------------------------------------------------


def evidence(differences: dict[tuple[str, str], tuple[float, float, float]]) -> Evidence:
    """A run whose differences in both answers are given as value, low, high."""
    keys = [("category", "all", "accuracy", 3.0), ("attributes", "all", "recall", 3.0)]
    keys += [("attributes", group, "recall", 3.0) for group in ("texture", "fabric")]
    about = ["task", "name", "metric", "k"]
    rows = [
        {
            "model": a,
            "baseline": b,
            **dict(zip(about, key, strict=True)),
            "value": v,
            "low": low,
            "high": high,
        }
        for (a, b), (v, low, high) in differences.items()
        for key in keys
    ]
    scores = [
        {
            "model": model,
            "seed": "mean",
            **dict(zip(about, key, strict=True)),
            "value": 0.5,
            "low": 0.4,
            "high": 0.6,
        }
        for model in ("mtl", "cat")
        for key in keys
    ]
    return Evidence({"differences": pd.DataFrame(rows), "scores": pd.DataFrame(scores)})


@pytest.mark.parametrize(
    ("claim", "differences", "verdict"),
    [
        ("mtl_lifts_category", {("mtl", "cat"): (0.26, 0.2, 0.3)}, "holds"),  # 52 % of CAT's .5
        ("mtl_lifts_category", {("mtl", "cat"): (0.04, 0.01, 0.07)}, "holds in part"),
        ("mtl_lifts_category", {("mtl", "cat"): (0.0, -0.03, 0.03)}, "does not hold"),
        ("landmarks_are_the_cause", {("mtl", "attention_only"): (0.1, 0.05, 0.2), ("mtl", "shuffled"): (0.1, 0.05, 0.2)},
         "holds"),
        ("landmarks_are_the_cause", {("attention_only", "mtl"): (0.1, 0.05, 0.2), ("mtl", "shuffled"): (0.0, -0.1, 0.1)},
         "does not hold"),
        ("attention_adds_little", {("attention_only", "cat"): (0.0, -0.02, 0.02)}, "holds"),
        ("attention_adds_little", {("attention_only", "cat"): (0.1, 0.05, 0.15)}, "does not hold"),
        ("attention_adds_little", {("attention_only", "cat"): (0.0, -0.05, 0.05)}, "unresolved"),
        ("landmarks_beat_boxes", {("true_points", "cat"): (0.0, -0.02, 0.02)}, "unresolved"),
        ("other_groups_look_alike", {("mtl", "cat"): (0.1, 0.05, 0.15)}, "holds"),
    ],
)  # fmt: skip
def test_verdicts_follow_the_intervals(claim: str, differences: dict, verdict: str) -> None:
    assert CLAIMS[claim](evidence(differences))[0] == verdict


def test_every_claim_is_answered_by_a_run_without_anything() -> None:
    empty = {"differences": [], "scores": [], "history": [], "counts": []}
    tables = {
        name: pd.DataFrame(columns=["model", "baseline", "task", "name", "metric", "k", "value"])
        for name in empty
    }
    tables["systems"] = pd.DataFrame({"model": ["mtl", "cat"], "parameters": [2, 1]})
    table = verdicts("landmarks", CLAIMS, Evidence(tables))
    assert len(table) == len(CLAIMS)
    assert table["verdict"].eq(UNASKED).sum() >= 12


# ---- truth, systems -------------------------------------------------------------------------------------


def test_points_become_shares_of_the_box_and_those_outside_count_as_cut_off() -> None:
    columns = {f"{slot}_{axis}": [np.nan] for slot in SLOTS for axis in "xy"}
    columns |= {f"{slot}_visibility": [-1] for slot in SLOTS}
    columns |= {"left_collar_x": [15.0], "left_collar_y": [30.0], "left_collar_visibility": [0]}
    columns |= {"right_hem_x": [45.0], "right_hem_y": [30.0], "right_hem_visibility": [0]}
    box = {"box_left": [10.0], "box_top": [20.0], "box_right": [30.0], "box_bottom": [60.0]}
    truth = truth_of(pd.DataFrame({"image_id": ["a"], **columns, **box}), Schema("none", ()))
    assert truth.points[0, 0].tolist() == pytest.approx([0.25, 0.25])
    assert truth.visibility[0].tolist() == [VISIBLE, -1, -1, -1, -1, -1, -1, TRUNCATED]


def test_shuffled_points_are_those_of_other_training_images_and_of_no_other() -> None:
    rng = np.random.default_rng(0)
    truth = Truth({}, rng.random((20, 8, 2)), rng.integers(0, 2, (20, 8)))
    rows = np.arange(12)
    given = with_others_points(truth, rows, np.random.default_rng(1))
    assert np.array_equal(given.points[12:], truth.points[12:])
    assert not np.array_equal(given.points[:12], truth.points[:12])
    order = np.argsort(given.points[:12, 0, 0])
    assert np.array_equal(given.points[:12][order], truth.points[:12][np.argsort(truth.points[:12, 0, 0])])
    at = [int(np.flatnonzero((truth.points == points).all((1, 2)))[0]) for points in given.points]
    assert np.array_equal(given.visibility, truth.visibility[at])  # a point keeps its visibility


def test_constant_answers_are_the_most_frequent_of_the_training_images() -> None:
    schema = Schema("made up", (attribute("category", 3), attribute("part", 2, True)))
    points = np.full((4, 8, 2), 0.5)
    train = Truth(
        {"category": np.array([2, 2, 1, 0]), "part": np.array([[0, 1]] * 4)}, points, np.zeros((4, 8), int)
    )
    test = Truth(
        {"category": np.array([2, 0]), "part": np.array([[1, 0], [0, 1]])}, points[:2], np.zeros((2, 8), int)
    )
    found = constant_statistics(train, test, schema, np.ones((2, 2)))
    assert found["majority"]["none"]["category", "all", "accuracy", 1].samples[0] == 0.5
    assert found["mean_position"]["none"]["landmarks", "mean", "normalized_error", np.nan].samples[0] == 0


def test_each_control_changes_one_thing() -> None:
    design = Design()
    assert design_of("mtl", design) == design
    assert design_of("loss_only", design) == Design(guide="none")
    assert design_of("cat", design) == Design(localisation="none", guide="none")
    assert design_of("cat_large", Design(localisation="thesis")).equal == "thesis"
    assert design_of("attention_only", design) == design_of("shuffled", design) == design
    schema = Schema("made up", (attribute("category", 3), attribute("part", 2, True)))
    weights = {name: recipe_of(name, Recipe(), schema, (1, 20, 10), 5).part_weights for name in SYSTEMS}
    assert (
        weights["mtl"] == weights["true_points"] == weights["shuffled"] == weights["loss_only"] == (1, 20, 10)
    )
    assert weights["cat"] == weights["attention_only"] == weights["cat_large"] == (1, 20)
    assert weights["landmarks_only"] == (0, 0, 10)
    assert recipe_of("cat", Recipe(), schema, (1, 20, 10), 5).seed == 5
    assert set(CONTROLS) <= set(SYSTEMS)


def test_six_groups_weigh_alike() -> None:
    assert recipe_of("mtl", Recipe(), Schema.load("challenge"), (1, 20, 10), 1).part_weights == (1,) * 6 + (
        10,
    )


def test_the_published_recipe_is_the_default() -> None:
    config = configure(spec_of("landmarks-paper"), "landmarks-paper", {"source": "x"})
    recipe = config.training
    assert (recipe.epochs, recipe.batch, recipe.head_lr, recipe.epoch_factor) == (20, 16, 1e-4, 0.8)
    assert (recipe.optimizer, recipe.flip, recipe.crop_scale, recipe.image_size) == ("adam", 0, 1, 224)
    assert config.loss_weights == (1, 20, 10)
    assert config.design == Design()
    assert config.backbone == "vgg16.tv_in1k"


# ---- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"systems": ("mtl", "cat", "wang")}, "wang; allowed, each once, mtl and cat among them: mtl, cat"),
        ({"systems": ("mtl",)}, "mtl; allowed, each once, mtl and cat among them"),
        ({"design.guide": "none"}, "the systems leave these out"),
        ({"design.radius": 3.0}, "radius"),
        ({"side": 100}, "side"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configure(spec_of("landmarks"), "landmarks", settings)


def test_the_real_profiles_need_a_source() -> None:
    for profile in ("landmarks-best", "landmarks-paper"):
        assert spec_of(profile).profiles[profile].required == ("source",)
        assert spec_of(profile).profiles[profile].private


def test_the_challenge_is_not_drawn_here(tmp_path: Path) -> None:
    opened = Study.open("landmarks", tmp_path, log=lambda _: None, benchmark="challenge")
    with pytest.raises(ValueError, match="without a source; drawn are coarse and fine"):
        opened.ensure("manifest.parquet")


def test_a_copy_without_landmarks_is_refused(tmp_path: Path) -> None:
    from swatchbook.drawn.challenge import write_challenge

    write_challenge(tmp_path / "drawn", n_train=3, n_val=2, n_test=1, seed=1, size=64, workers=1)
    for path in (tmp_path / "drawn").rglob("*_landmards.txt"):
        path.unlink()
    opened = Study.open(
        "landmarks-best", tmp_path / "run", log=lambda _: None, source=str(tmp_path / "drawn")
    )
    with pytest.raises(ValueError, match="no landmarks; the study needs boxes and landmarks"):
        opened.ensure("manifest.parquet")
    assert not opened.store.path("manifest.parquet").exists()


def test_a_header_that_lies_stops_the_run_with_its_file(tmp_path: Path) -> None:
    from swatchbook.drawn.deepfashion import write_deepfashion

    write_deepfashion(tmp_path / "drawn", n_train=3, n_val=1, n_test=1, seed=1, size=64, workers=1)
    path = tmp_path / "drawn" / "Anno_coarse" / "list_landmarks.txt"
    path.write_text(path.read_text().replace("5\n", "6\n", 1))
    opened = Study.open("landmarks", tmp_path / "run", log=lambda _: None, source=str(tmp_path / "drawn"))
    with pytest.raises(DataError, match=r"list_landmarks\.txt has 5 rows; allowed: 6"):
        opened.ensure("manifest.parquet")


def test_the_challenges_photographs_train_with_the_same_code(tmp_path: Path) -> None:
    from swatchbook.drawn.challenge import write_challenge

    write_challenge(tmp_path / "drawn", n_train=60, n_val=30, n_test=4, seed=1, size=64, workers=1)
    settings = {name: value for name, value in SMALL.items() if not name.startswith("drawn")} | {"cut": 20}
    settings |= {
        "backbone": "test_resnet",
        "pretrained": False,
        "design.stride": 8,
        "systems": ("mtl", "cat"),
    }
    opened = Study.open(
        "landmarks-best", tmp_path / "run", log=lambda _: None, source=str(tmp_path / "drawn"), **settings
    )
    answers = opened.landmark_scores[opened.landmark_scores["name"] == "all"]
    assert {"overall_accuracy", "aca"} <= set(answers["metric"])
    split = opened.manifest.set_index("image_id")["split"]
    given = opened.store.read_table("predictions/mtl_42.parquet")
    assert len(given) == 30
    assert set(split.loc[given["image_id"]]) == {"val"}
    claims = opened.landmark_claims.set_index("claim")
    assert claims.loc["mtl_lifts_category", "verdict"] == UNASKED
    assert "overall accuracy" in claims.loc["landmarks_beat_boxes", "sentence"] or (
        claims.loc["landmarks_beat_boxes", "verdict"] == UNASKED
    )
