"""How good a labeller is: hand-computed scores, the baseline, the run from drawings to the report."""

import shutil
from dataclasses import replace
from itertools import islice

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="the profile needs the extra 'models'")

import yaml
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score

from swatchbook.data import pixels
from swatchbook.drawn import LABELS
from swatchbook.drawn.balanced import drawn_labels, drawn_pictures
from swatchbook.evaluation.labelling import (
    ALL,
    KEPT,
    MAJORITY,
    NEAREST,
    kept,
    labelling_scores,
    reliability_table,
    risk_table,
)
from swatchbook.evaluation.resample import image_weights
from swatchbook.labeller.nearest_colour import NAMED, centre_colour, nearest_colour
from swatchbook.labeller.training.captions import WORDS
from swatchbook.pipeline import ConfigError
from swatchbook.pipeline.complete import needed
from swatchbook.pipeline.stage import Trace
from swatchbook.report.page import write_page
from swatchbook.report.wording import SWATCHES
from swatchbook.schema import Attribute, Schema
from swatchbook.studies.labeller.measure import NAVY, _answers, drawn_truth
from swatchbook.studies.labeller.report import content, gain_claims
from swatchbook.studies.study import Study
from tests.browser import check_page
from tests.bulk.test_label_command import small_labeller
from tests.conftest import ROOT, configure

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = {"quality.images": 100, "bootstrap": 50, "schema": "", "labelling.labeller": ""}


def attribute(name: str, *classes: str, threshold: float = 0.5) -> Attribute:
    return Attribute(name, {c: c for c in classes}, ("{}",), "zero_shot", threshold, "ours")


TWO = Schema("two", (attribute("color", "black", "white"),))
TRUTH = {"color": np.array([0, 0, 1, -1])}
LABELS_GIVEN = {"color": np.array([0, 1, 1, 0])}
SURE = {"color": np.array([0.9, 0.4, 0.8, 0.9])}
ONES = np.ones((20, 4))


def value(table: pd.DataFrame, metric: str, labels: str = ALL, label: str = "all", **keys: object) -> float:
    for column, wanted in {"metric": metric, "labels": labels, "class": label, **keys}.items():
        table = table[table[column] == wanted]
    assert len(table) == 1, table
    return float(table["value"].iloc[0])


# ---- scores --------------------------------------------------------------------------------------------


def test_scores_are_those_computed_by_hand():
    table = labelling_scores(TRUTH, LABELS_GIVEN, SURE, TWO, ONES, nearest=np.zeros(4, int), bins=2)
    wanted = {
        ("accuracy", ALL): 2 / 3,
        ("macro_f1", ALL): 2 / 3,
        ("accuracy", KEPT): 1.0,
        ("coverage", KEPT): 2 / 3,
        ("accuracy_gain", KEPT): 1 / 3,
        ("macro_f1", MAJORITY): 0.4,  # black always: F1 0.8 and 0
        ("macro_f1", NEAREST): 0.4,
        ("macro_f1_gain", ALL): 2 / 3 - 0.4,
        ("gap", ALL): 0.7 - 2 / 3,
        ("ece", ALL): (0.4 + 0.3) / 3,  # one wrong at 0.4; two right at 0.9 and 0.8
        ("aurc", ALL): 1 / 9,
    }
    found = {key: value(table, *key) for key in wanted}
    assert found == pytest.approx(wanted)
    assert value(table, "precision", label="black") == 1 and value(table, "recall", label="black") == 0.5
    sizes = table[table["class"] == "all"].set_index(["metric", "labels"])["n"]
    assert sizes["accuracy", ALL] == 3 and sizes["accuracy", KEPT] == 2 and sizes["coverage", KEPT] == 3


def test_scores_agree_with_scikit_learn_on_all_labels_and_on_those_kept(rng):
    schema = Schema(
        "s", (attribute("color", "black", "white", "red"), attribute("pattern", "solid", "floral"))
    )
    truth = {a.name: rng.integers(-1, len(a), 300) for a in schema}
    labels = {a.name: rng.integers(0, len(a), 300) for a in schema}
    sure = {a.name: rng.uniform(0, 1, 300) for a in schema}
    table = labelling_scores(truth, labels, sure, schema, image_weights(300, 20, rng))
    for name in schema.names:
        for which, use in ((ALL, truth[name] >= 0), (KEPT, (truth[name] >= 0) & (sure[name] >= 0.5))):
            t, p = truth[name][use], labels[name][use]
            assert value(table, "accuracy", which, attribute=name) == pytest.approx(accuracy_score(t, p))
            assert value(table, "macro_f1", which, attribute=name) == pytest.approx(
                f1_score(t, p, average="macro")
            )
    assert not (table["labels"] == NEAREST).any()
    ends = table.dropna(subset=["low"])
    assert (ends["low"] <= ends["high"]).all() and len(ends) > 40 and (ends["interval"] != "").all()


def test_the_gain_of_keeping_everything_is_nothing_without_width(rng):
    schema = replace(TWO, attributes=(replace(TWO["color"], threshold=0.0),))
    truth, labels = rng.integers(0, 2, (2, 200))
    table = labelling_scores(
        {"color": truth},
        {"color": labels},
        {"color": rng.uniform(0, 1, 200)},
        schema,
        image_weights(200, 50, rng),
    )
    row = table[table["metric"] == "accuracy_gain"].iloc[0]
    assert (row["value"], row["low"], row["high"], row["n"]) == (0, 0, 0, 200)


def test_the_gain_is_paired_so_it_is_surer_than_its_parts(rng):
    truth, labels = rng.integers(0, 2, (2, 2000))
    sure = np.where(labels == truth, 0.6, rng.uniform(0.3, 0.7, 2000))
    table = labelling_scores(
        {"color": truth}, {"color": labels}, {"color": sure}, TWO, image_weights(2000, 200, rng)
    )
    rows = table[(table["class"] == "all")].set_index(["metric", "labels"])
    width = rows["high"] - rows["low"]
    assert width["accuracy_gain", KEPT] < width["accuracy", ALL] + width["accuracy", KEPT]
    assert rows.loc[("accuracy_gain", KEPT), "low"] > 0


def test_what_the_labeller_did_not_see_is_never_kept_or_scored():
    labels, sure = {"color": np.array([-1, 0])}, {"color": np.array([np.nan, 0.5])}
    assert kept(labels, sure, TWO)["color"].tolist() == [-1, 0]
    assert kept(labels, {"color": np.array([np.nan, 0.49])}, TWO)["color"].tolist() == [-1, -1]
    unasked = replace(TWO, attributes=(replace(TWO["color"], threshold=None),))
    assert kept(labels, sure, unasked)["color"].tolist() == [-1, 0]
    table = labelling_scores({"color": np.array([0, 0])}, labels, sure, TWO, np.ones((20, 2)))
    assert value(table, "accuracy") == 1 and value(table, "coverage", KEPT) == 0.5


def test_an_attribute_of_which_nothing_is_known_is_left_out():
    schema = Schema("s", (TWO["color"], attribute("pattern", "solid", "floral")))
    nothing = {"pattern": np.full(4, -1)}
    given = (TRUTH | nothing, LABELS_GIVEN | {"pattern": np.zeros(4, int)}, SURE | {"pattern": np.ones(4)})
    tables = [f(*given, schema, ONES) for f in (labelling_scores, reliability_table, risk_table)]
    assert [set(t["attribute"]) for t in tables] == [{"color"}] * 3
    given = (nothing, {"pattern": np.zeros(4, int)}, {"pattern": np.ones(4)})
    only = Schema("s", (schema["pattern"],))
    assert [len(f(*given, only, ONES)) for f in (labelling_scores, reliability_table, risk_table)] == [
        0,
        0,
        0,
    ]


def test_errors_of_confidence_are_of_all_labels_and_bins_tell_kept_from_abstained():
    table = reliability_table(TRUTH, LABELS_GIVEN, SURE, TWO, ONES, bins=15)
    assert set(table.loc[table["statistic"].isin(["gap", "ece"]), "labels"]) == {"all"}
    bins = table[table["statistic"] == "share_right"].set_index("labels")["n"]
    assert bins["abstained"] == 1 and bins["kept"].sum() == 2


def test_the_risk_at_the_threshold_is_that_of_the_labels_kept():
    table = risk_table(TRUTH, LABELS_GIVEN, SURE, TWO, ONES)
    row = table[table["statistic"] == "kept"].iloc[0]
    assert (row["threshold"], row["value"], row["n"]) == (0.5, 0.0, 2) and row["coverage"] == pytest.approx(
        2 / 3
    )
    curve = table[table["statistic"] == "risk"]
    assert curve["value"].tolist() == pytest.approx([0, 0, 1 / 3]) and curve["coverage"].iloc[-1] == 1


# ---- the baseline --------------------------------------------------------------------------------------


def test_the_centre_is_the_middle_half_of_width_and_height():
    picture = np.zeros((80, 40, 3), np.uint8)
    picture[20:60, 10:30] = (255, 0, 51)
    assert centre_colour(Image.fromarray(picture)) == pytest.approx([1, 0, 0.2])
    assert centre_colour(Image.new("L", (1, 1), 255)) == pytest.approx([1, 1, 1])


def test_the_nearest_name_of_a_shade_is_its_own_and_only_of_the_allowed():
    shades = np.array(list(NAMED.values())) / 255
    assert nearest_colour(shades, list(NAMED)).tolist() == list(NAMED)
    assert nearest_colour(shades, ["white", "black", "nacre"])[:3].tolist() == ["black", "white", "white"]
    assert set(NAMED) == set(LABELS["color"])
    with pytest.raises(ValueError, match="allowed: nacre; at least one of black, white"):
        nearest_colour(shades, ["nacre"])
    with pytest.raises(ValueError, match=r"shape \(n, 3\); received \(3,\)"):
        nearest_colour(shades[0], list(NAMED))


def test_named_shades_are_those_of_the_reports_patches():
    assert {n: "#{:02x}{:02x}{:02x}".format(*rgb) for n, rgb in NAMED.items()} == {
        n: SWATCHES[n] for n in NAMED
    }


# ---- truth of drawings ---------------------------------------------------------------------------------


def test_drawn_truth_is_null_where_the_schema_has_no_such_class():
    labels = pd.DataFrame(
        {"folder": ["lace", "tweed", "denim"], "color": ["orange", "red", "navy"], "pattern": ["solid"] * 3}
    )
    schema = Schema("s", (attribute("color", "red", "navy"), attribute("material", "denim", "sheer_open"),
                          attribute("sleeve", "long", "short")))  # fmt: skip
    truth = drawn_truth(labels, schema)
    assert truth.columns.tolist() == ["color", "material", "sleeve"]
    assert truth["color"].fillna("").tolist() == ["", "red", "navy"]
    assert truth["material"].fillna("").tolist() == ["sheer_open", "", "denim"]
    assert truth["sleeve"].isna().all()


# ---- navy on photographs -------------------------------------------------------------------------------


class Told:
    """Stands for a run whose tables are given."""

    def __init__(self, judged: list[str | None], merge: bool = True) -> None:
        self.schema = Schema("s", (attribute("color", "black", "navy", "blue"),))
        self.settings = {"labelling.temperature": 100.0, "quality.blue_accepts_navy": merge}
        ids = [f"{i}.jpg" for i in range(len(judged))]
        centres = np.tile(np.array(NAMED["navy"]) / 255, (len(judged), 1))
        images = pd.DataFrame({"image_id": ids, "color": pd.Series(judged, dtype=object)})
        images[["centre_red", "centre_green", "centre_blue"]] = centres
        cosines = pd.DataFrame({"image_id": ids, "color:black": 0.1, "color:navy": 0.3, "color:blue": 0.2})
        cosines = cosines.iloc[::-1]  # the rows are matched by name
        self.tables = {"drawn": images, "photographs": images}
        self.tables |= {"drawn_cosines": cosines, "cosines": cosines}

    def setting(self, key: str) -> object:
        return self.settings[key]

    def table(self, artefact: str) -> pd.DataFrame:
        return self.tables[artefact.removesuffix(".parquet")]


@pytest.mark.parametrize(
    ("judged", "of", "merge", "output"),
    [
        (["blue", "black"], "photographs", True, "blue"),
        (["blue", "navy"], "photographs", True, "navy"),  # this judge told them apart
        (["black", None], "photographs", True, "navy"),  # and this one met neither
        (["blue", "black"], "photographs", False, "navy"),
        (["blue", "black"], "drawn", True, "navy"),
    ],
)
def test_navy_counts_as_blue_only_on_photographs_whose_judge_did_not_tell_them_apart(
    judged, of, merge, output
):
    found = _answers(Told(judged, merge), of)
    number = ["black", "navy", "blue"].index(output)
    assert found.labels["color"].tolist() == [number] * 2 == found.nearest.tolist()
    assert found.note == (NAVY if output == "blue" else "")


# ---- what the report claims ----------------------------------------------------------------------------


def test_the_verdict_on_thresholds_is_read_off_the_interval():
    ends = [
        (0.2, 0.1, 0.3, 40),
        (0.1, -0.1, 0.3, 40),
        (-0.2, -0.3, -0.1, 40),
        (0, 0, 0, 90),
        (np.nan,) * 3 + (0,),
    ]
    rows = pd.DataFrame(ends, columns=["value", "low", "high", "n"])
    rows = rows.assign(images="drawn", attribute="color", metric="accuracy_gain")
    printed = gain_claims(rows)
    assert printed["verdict"].tolist() == [
        "holds",
        "unresolved",
        "does not hold",
        "does not hold",
        "not estimable",
    ]
    assert "+20.0\u00a0points [10.0, 30.0]; 40 are kept" in printed["sentence"][0]
    assert "all labels are kept" in printed["sentence"][3] and "no label is kept" in printed["sentence"][4]


# ---- the run -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A schema of whole garments, a small random labeller, and a dozen judged photographs."""
    home = tmp_path_factory.mktemp("labeller")
    asked = {
        name: {"labelled_by": "zero_shot", "threshold": 0.2, "prompts_by": "ours", "templates": ["{}"],
               "classes": {label: output[0] for label, output in WORDS[name].items()}}
        for name in ("color", "pattern", "texture", "material")
    }  # fmt: skip
    (home / "whole.yaml").write_text(yaml.safe_dump({"name": "whole", "attributes": asked}, sort_keys=False))
    small_labeller(home / "small")
    (home / "images").mkdir()
    labels = drawn_labels(12, seed=5).assign(path=[f"{i:02d}.png" for i in range(12)])
    for path, picture in zip(labels["path"], drawn_pictures(labels, 5, size=64), strict=True):
        picture.save(home / "images" / path)
    judged = labels[["path", "color", "pattern"]].replace({"color": {"navy": "blue"}})
    judged.to_csv(home / "audit.csv", index=False)
    return home


@pytest.fixture(scope="module")
def run(home, tmp_path_factory):
    """A run on drawings and photographs, figures included."""
    study = opened(home, tmp_path_factory.mktemp("run"), photographs=True)
    with study.hold():
        study.save_config()
        for stage in study.stages:
            study.ensure_stage(stage)
    return study


def opened(home, run_dir, photographs: bool, **more) -> Study:
    given = SETTINGS | {
        "schema": str(home / "whole.yaml"),
        "labelling.labeller": f"local-dir:{home / 'small'}",
    }
    if photographs:
        given |= {"source": str(home / "images"), "labelling.audit": str(home / "audit.csv")}
    return Study.open("labeller", run_dir, log=lambda _: None, **given | more)


def test_every_table_has_both_sets_and_scores_follow_from_the_cosines(run):
    for name in ("scores", "confidence", "risk", "confusion"):
        assert set(run.table(f"tables/labeller_{name}.csv")["images"]) == {"drawn", "photographs"}
    scores, schema = run.labeller_scores, run.schema
    drawn = run.table("drawn.parquet").set_index("image_id")
    cosines = run.table("drawn_cosines.parquet").set_index("image_id").loc[drawn.index]
    for name in schema.names:
        labels = cosines[[f"{name}:{c}" for c in schema[name].classes]].idxmax(axis=1).str.split(":").str[1]
        known = drawn[name].notna()
        right = (labels[known] == drawn.loc[known, name]).mean()
        assert value(scores, "accuracy", images="drawn", attribute=name) == pytest.approx(right)
    judged = scores[(scores["images"] == "photographs") & (scores["metric"] == "accuracy")]
    assert set(judged["attribute"]) == {"color", "pattern"}


def test_the_drawn_truth_is_that_of_the_pictures_drawn(run):
    labels = drawn_labels(100, run.config.quality.seed)
    drawn = run.table("drawn.parquet")
    for name in ("color", "pattern", "texture"):
        assert drawn[name].tolist() == labels[name].tolist()
    first = next(drawn_pictures(labels, run.config.quality.seed))
    assert drawn[["centre_red", "centre_green", "centre_blue"]].iloc[0].to_numpy() == pytest.approx(
        centre_colour(first)
    )


@pytest.mark.parametrize("of", ["drawn", "photographs"])
def test_the_grid_shows_the_surest_wrong_answers_and_their_pictures(of, run, home):
    table = run.table(f"tables/grid_{of}.csv")
    images = run.table(f"{of}.parquet")
    assert 1 <= len(table) <= 12 and table["image_id"].is_unique
    sure = [row[f"{row['head']}_confidence"] for _, row in table.iterrows()]
    assert sure == sorted(sure, reverse=True)
    for _, row in table.iterrows():
        assert (
            row[f"{row['head']}_predicted"] != row[f"{row['head']}_truth"] == images[row["head"]][row["row"]]
        )
    assert ("navy counts as blue" in table["rule"][0]) == (of == "photographs")
    shown = np.load(run.store.path(f"grids/{of}.npy"))
    first = int(table["row"].argmin())
    row = int(table["row"][first])
    if of == "drawn":
        seed = run.config.quality.seed
        picture = next(islice(drawn_pictures(drawn_labels(100, seed), seed), row, None))
    else:
        picture = Image.open(home / "images" / images["image_id"][row])
    assert (shown[first] == pixels.square(picture).pixels).all()


def test_figures_say_in_words_what_their_tables_hold(run):
    alt = run.store.path("figures/labeller_f1.txt").read_text(encoding="utf-8")
    for of in ("drawn", "photographs"):
        macro = value(run.labeller_scores, "macro_f1", images=of, attribute="color")
        assert f"{macro:.2f} on color" in alt
    counts = run.labeller_confusion
    wrong = counts[(counts["images"] == "drawn") & (counts["reference_class"] != counts["predicted_class"])]
    top = wrong.loc[wrong["count"].idxmax()]
    alt = run.store.path("figures/labeller_confusion_drawn.txt").read_text(encoding="utf-8")
    assert f"({top['count']} of {top['n']})" in alt


def test_without_photographs_everything_about_them_says_so(home, run, tmp_path):
    shutil.copytree(run.store.root, tmp_path / "run")
    study = opened(home, tmp_path / "run", photographs=False)
    for stage in study.stages:
        study.ensure_stage(stage)
    assert set(study.labeller_scores["images"]) == {"drawn"}
    assert len(study.table("tables/grid_photographs.csv")) == 0
    for name in ("labeller_reliability_photographs", "labeller_confusion_photographs"):
        assert "No judged photographs" in study.store.path(f"figures/{name}.txt").read_text(encoding="utf-8")
    printed = content(Trace(study))
    assert printed["headline"]["what"].tolist() == [f"drawn images, {n}" for n in study.schema.names]
    assert "None were given" in printed["claims"].set_index("printed").loc["photographs", "sentence"]


def test_another_threshold_draws_and_encodes_nothing_again(home, run, tmp_path):
    shutil.copytree(run.store.root, tmp_path / "run")
    schema, lines = home / "whole.yaml", []
    text = schema.read_text()
    schema.write_text(text.replace("threshold: 0.2", "threshold: 0.01"))
    try:
        study = opened(home, tmp_path / "run", photographs=True)
        study.log = lines.append
        assert value(run.labeller_scores, "coverage", KEPT, images="drawn", attribute="color") < 1
        assert value(study.labeller_scores, "coverage", KEPT, images="drawn", attribute="color") == 1
    finally:
        schema.write_text(text)
    states = {line[12:].split(" in ")[0]: line.split()[0] for line in lines}
    assert states.pop("scores") == "computed"
    assert set(states) == {"drawn images", "photographs", "audit sheet", "judged photographs"}
    assert set(states.values()) == {"fresh"}


@pytest.mark.browser
@pytest.mark.parametrize("width", [375, 1280])
def test_the_report_reads_well_at_both_widths(width, run, tmp_path):
    printed = content(Trace(run))
    assert "color" in printed["headline"]["what"][0] and len(printed["headline"]) == 6
    write_page(tmp_path / "index.html", title="t", notebooks=[], provenance={}, **printed)
    assert check_page(tmp_path / "index.html", width) == []


def test_the_notebook_asks_only_for_what_every_run_makes(home, tmp_path):
    study = opened(home, tmp_path, photographs=False)
    asked = needed(study, ROOT / "notebooks/10_labeller.ipynb")
    assert len(asked) > 10
    for artefact in asked:
        study.stage_of(artefact)


# ---- refusals ------------------------------------------------------------------------------------------


def test_photographs_without_a_judgement_are_refused_and_so_is_the_reverse(home, tmp_path):
    with pytest.raises(ConfigError, match="without --audit; allowed: --images and --audit, or neither"):
        opened(home, tmp_path, photographs=False, source=str(home / "images"))
    with pytest.raises(ConfigError, match="without --images"):
        opened(home, tmp_path, photographs=False, **{"labelling.audit": str(home / "audit.csv")})


def test_images_of_the_seed_that_the_labeller_was_trained_with_are_no_test_of_it(home, tmp_path):
    (home / "small/recipe.json").write_text('{"recipe": {"seed": 17}}')
    try:
        study = opened(home, tmp_path, photographs=False, **{"quality.seed": 17})
        with pytest.raises(ConfigError, match=r"quality\.seed = 17; must be another than the labeller"):
            study.ensure("drawn.parquet")
    finally:
        (home / "small/recipe.json").unlink()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"quality.images": 99}, "greater than or equal to 100"),
        ({"quality.seed": -1}, "greater than or equal to 0"),
        ({"quality.bins": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(ConfigError, match=f"setting {next(iter(setting))} = .*; must be {message}"):
        configure("labeller", setting)


def test_every_class_that_the_profile_asks_for_can_be_drawn():
    config = configure("labeller")
    schema = Schema.load(config.schema, config.material_map)
    truth = drawn_truth(drawn_labels(3000, 1), schema)
    for a in schema:
        assert set(truth[a.name].dropna()) == set(a.classes), a.name
