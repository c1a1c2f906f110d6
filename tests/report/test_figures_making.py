"""Figures of labels and trainings, and the tables behind them: hand-computed, damaged, and byte for byte."""

import dataclasses
import io
import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from swatchbook.evaluation.confidence import confidence_table
from swatchbook.evaluation.history import history_table
from swatchbook.evaluation.resample import image_weights
from swatchbook.labeller.silver import abstention_table, coverage_table
from swatchbook.models.recipe import Recipe
from swatchbook.report import figures_labels, figures_training
from swatchbook.report.display import NOTHING
from swatchbook.report.figure import draw, empty_figure
from swatchbook.report.recipes import OTHERS, recipe_table
from swatchbook.report.wording import number
from swatchbook.schema import Schema
from swatchbook.store import Store
from tests.conftest import ROOT
from tests.report.drawings import HOSTILE, check_words, drawn, files_of, made_up_schema, marks_on, texts_on

FIGURES = {
    "label_coverage": ("coverage", figures_labels.label_coverage),
    "label_confidence": ("confidence", figures_labels.label_confidence),
    "abstention_by_folder": ("abstention", figures_labels.abstention_by_folder),
    "training_curves": ("history", figures_training.training_curves),
}

N = 240
FOLDERS = ("<i>silk", "$x$", "_")


def labels_of(schema: Schema, rng, n=N):
    """True labels, the surest answers, and their confidences; the first attribute follows a rule."""
    truth, found, sure = {}, {}, {}
    for k, a in enumerate(schema):
        truth[a.name] = rng.integers(0, len(a), n)
        wrong = rng.random(n) < 0.25
        found[a.name] = np.where(wrong, rng.integers(0, len(a), n), truth[a.name])
        sure[a.name] = np.full(n, np.nan) if k == 0 else rng.uniform(0.2, 1, n)
    return truth, found, sure


def words_of(schema: Schema, codes) -> pd.DataFrame:
    return pd.DataFrame({a.name: np.array([*a.classes, None], dtype=object)[codes[a.name]] for a in schema})


def history_of(schema: Schema, rng, epochs=4) -> pd.DataFrame:
    heads = [f"{kind}_{n}" for kind in ("train_loss", "val_loss", "macro_f1") for n in schema.names]
    columns = ["lr_backbone", "lr_heads", "train_loss", "val_loss", "macro_f1", *heads, "seconds"]
    return pd.DataFrame({"epoch": range(1, epochs + 1)} | {c: rng.random(epochs) for c in columns})


def tables_of(schema: Schema, seed=5) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    truth, found, sure = labels_of(schema, rng)
    kept = {
        a.name: np.where(np.nan_to_num(sure[a.name], nan=1) < (a.threshold or 0), -1, found[a.name])
        for a in schema
    }
    silver = words_of(schema, kept).assign(**{f"{name}_confidence": sure[name] for name in schema.names})
    folders = np.array(FOLDERS)[np.minimum(rng.integers(0, 4, N), 2)]
    weights = image_weights(N, 60, rng)
    return {
        "coverage": coverage_table(silver, schema, words_of(schema, truth)),
        "abstention": abstention_table(silver, schema, folders),
        "confidence": confidence_table(found, sure, truth, schema, weights=weights),
        "history": history_table({"dinov2": history_of(schema, rng), "_other": history_of(schema, rng)}),
    }


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return tables_of(HOSTILE)


@pytest.fixture(scope="module")
def figures(tables, tmp_path_factory):
    return {
        name: files_of(drawer, tables[table], tmp_path_factory.mktemp("figure"))
        for name, (table, drawer) in FIGURES.items()
    }


def drawing(name, table):
    return drawn(FIGURES[name][1], table)


@pytest.mark.parametrize("name", FIGURES)
class TestEveryFigure:
    def test_the_same_table_gives_the_same_bytes(self, name, tables, figures, tmp_path):
        table, drawer = FIGURES[name]
        again = files_of(drawer, tables[table].copy(), tmp_path)
        assert sorted(again) == [".csv", ".png", ".txt"]
        assert again == figures[name]

    def test_hostile_names_reach_the_reader_unharmed(self, name, tables):
        check_words(drawing(name, tables[FIGURES[name][0]]))

    def test_the_csv_holds_values_of_the_table(self, name, tables, figures):
        file = io.BytesIO(figures[name][".csv"])
        data = pd.read_csv(file, keep_default_na=False, na_values=[""])
        table = tables[FIGURES[name][0]]
        assert len(data) and set(data) <= set(table)
        for column in data.select_dtypes("number"):
            stored = table[column].dropna().astype(float).to_numpy()[:, None]
            assert (
                (np.abs(stored - data[column].dropna().to_numpy()) <= 1e-9 * np.abs(stored)).any(axis=0).all()
            )

    def test_the_alt_text_says_a_number_of_the_table(self, name, figures):
        data = pd.read_csv(io.BytesIO(figures[name][".csv"]))
        values = data["macro_f1" if "macro_f1" in data else "value"].dropna()
        message = {number(v) for v in values} | {number(100 * v, 1) for v in values}
        alt = figures[name][".txt"].decode()
        assert any(text in re.findall(r"[−\d.]*\d", alt) for text in message), alt

    @pytest.mark.parametrize("holes", [1.0, 0.5])
    def test_a_table_full_of_holes_is_drawn_all_the_same(self, name, holes, tables):
        table = tables[FIGURES[name][0]].copy()
        lost = np.random.default_rng(1).random(len(table)) < holes
        numbers = [
            c for c in table.select_dtypes("number") if c not in ("left", "right", "threshold", "epoch")
        ]
        table[numbers] = table[numbers].astype(float)
        table.loc[lost, numbers] = np.nan
        check_words(drawing(name, table))

    def test_an_empty_table_says_so_in_words(self, name, tables):
        canvas, alt, data = drawing(name, tables[FIGURES[name][0]].iloc[:0])
        assert data.empty and alt.startswith(NOTHING) and alt.removeprefix(NOTHING) in texts_on(canvas)


def test_every_confidence_and_share_is_a_mark(tables):
    for name, chosen in {
        "label_coverage": {"metric": ["confidence", "coverage_of_class"]},
        "label_confidence": {"statistic": ["share_right"]},
        "abstention_by_folder": {"metric": ["abstained"]},
    }.items():
        canvas, _, data = drawing(name, tables[FIGURES[name][0]])
        ((column, kinds),) = chosen.items()
        data = data.reindex(columns=data.columns.union(["class", "folder"]))
        rows = data[data[column].isin(kinds)]
        rows = rows[(rows[["class", "folder"]] != "all").all(axis=1)]
        values = rows["value"].dropna().to_numpy(float)
        assert len(values) > 5
        assert np.isin(values.round(9), marks_on(canvas).round(9)).all(), name


def test_a_folder_is_filled_only_where_the_corrected_test_proves_it(tables):
    table = tables["abstention"].copy()
    table["p"] = np.where(table["folder"] == "all", np.nan, 1.0)
    canvas, _, _ = drawing("abstention_by_folder", table)
    assert any("No folder is proved" in text for text in texts_on(canvas))
    first = table.index[table["folder"] != "all"][0]
    table.loc[first, "p"] = 0.049
    canvas, _, _ = drawing("abstention_by_folder", table)
    filled = [
        line
        for axes in canvas.get_axes()
        for line in axes.get_lines()
        if line.get_marker() == "o" and line.get_markerfacecolor() != "white"
    ]
    assert [line.get_xdata()[0] for line in filled] == [table.loc[first, "value"]]


def test_bars_of_colours_are_drawn_in_their_colour(tables):
    canvas, _, _ = drawing("label_coverage", tables["coverage"])
    faces = [mpl.colors.to_hex(p.get_facecolor()) for axes in canvas.get_axes() for p in axes.patches]
    for colour in ("#b3262e", "#3b74b8", "#ffffff"):
        assert faces.count(colour) == 1


def test_the_curves_mark_the_epoch_that_was_kept(tables):
    table = tables["history"]
    canvas, alt, _ = drawing("training_curves", table)
    for model, own in table.groupby("model"):
        best = own.loc[own["macro_f1"].idxmax()]
        assert f"{number(best['macro_f1'])} at epoch {best['epoch']} of 4" in alt, model
        assert np.isin(best[["val_loss", "macro_f1"]].astype(float).round(9), marks_on(canvas).round(9)).all()


def test_the_rates_of_heads_and_backbone_both_stand_on_the_axis(tables):
    table = tables["history"].assign(lr_heads=[1e-4, 5e-5, 1e-5, 1e-7] * 2)
    table["lr_backbone"] = table["lr_heads"] / 10
    axes = next(
        a for a in drawing("training_curves", table)[0].get_axes() if "Learning" in a.get_title(loc="left")
    )
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] <= 1e-6 and axes.get_ylim()[1] >= 1e-4


# ---- tables ------------------------------------------------------------------------------------------

ONE = made_up_schema({"rule": ("a", "b"), "seen": ("x", "y")})  # threshold 0.3


def hand_made(n_each=10):
    """Confidence 0.25 (below the threshold), 0.55 and 0.95, right 2, 5 and 10 times of ten."""
    sure = np.repeat([0.25, 0.55, 0.95], n_each)
    right = np.concatenate([np.arange(n_each) < k for k in (2, 5, 10)])
    truth = np.zeros(len(sure), int)
    return {"rule": truth, "seen": np.where(right, 0, 1)}, {"rule": sure * np.nan, "seen": sure}, {
        "rule": truth,
        "seen": truth,
    }  # fmt: skip


def test_bins_and_errors_of_confidence_are_those_computed_by_hand(rng):
    labels, sure, truth = hand_made()
    table = confidence_table(labels, sure, truth, ONE, weights=image_weights(30, 400, rng))
    assert set(table["attribute"]) == {"seen"}  # a rule has no confidence
    bins = table[table["statistic"] == "share_right"]
    assert bins["left"].tolist() == [0.2, 0.5, 0.9]
    assert bins["value"].tolist() == [0.2, 0.5, 1.0]
    assert bins["labels"].tolist() == ["abstained", "kept", "kept"]
    assert bins["confidence"].to_numpy() == pytest.approx([0.25, 0.55, 0.95])
    low, high = stats.binomtest(5, 10).proportion_ci(method="wilson")
    assert bins[["low", "high"]].iloc[1].tolist() == pytest.approx([low, high])
    rest = table[table["statistic"] != "share_right"].set_index(["statistic", "labels"])
    assert rest.loc[("accuracy", "kept"), "value"] == 0.75
    assert rest.loc[("accuracy", "abstained"), "value"] == 0.2
    assert rest.loc[("gap", "kept"), "value"] == pytest.approx(0.75 - 0.75)
    assert rest.loc[("ece", "kept"), "value"] == pytest.approx((10 * 0.05 + 10 * 0.05) / 20)
    gap = rest.loc[("gap", "kept")]
    assert gap["low"] < 0 < gap["high"] and gap["n"] == 20


def test_a_bin_that_the_threshold_divides_gives_two_rows(rng):
    labels, sure, truth = hand_made(2)
    sure["seen"][:2] = (0.29, 0.30)
    table = confidence_table(labels, sure, truth, ONE, weights=image_weights(6, 20, rng), bins=4)
    bins = table[(table["statistic"] == "share_right") & (table["left"] == 0.25)]
    assert bins["labels"].tolist() == ["abstained", "kept"]
    assert bins["n"].tolist() == [1, 1]


def test_an_honest_labeller_is_found_honest_and_a_boastful_one_is_not():
    """Over repeated samples the interval of the gap covers 0; for confidences too high by 0.1 it does not."""
    rng, covered, caught = np.random.default_rng(8), 0, 0
    for _ in range(60):
        sure = rng.uniform(0.35, 0.95, 300)
        right = rng.random(300) < sure
        zeros = np.zeros(300, int)
        for shift in (0.0, 0.1):
            given = {"rule": sure * np.nan, "seen": np.minimum(sure + shift, 1)}
            labels = {"rule": zeros, "seen": np.where(right, 0, 1)}
            table = confidence_table(
                labels, given, {"rule": zeros, "seen": zeros}, ONE, weights=image_weights(300, 200, rng)
            )
            gap = table.set_index("statistic").loc["gap"]
            covered += shift == 0 and gap["low"] <= 0 <= gap["high"]
            caught += shift > 0 and gap["low"] > 0
    assert covered >= 52  # 60 at 95 %: fewer than 52 have a chance of 1 in 200
    assert caught >= 55


def test_the_basic_interval_takes_the_noise_out_of_the_calibration_error():
    rng = np.random.default_rng(2)
    sure, zeros = rng.uniform(0.35, 0.95, 400), np.zeros(400, int)
    labels = {"rule": zeros, "seen": np.where(rng.random(400) < sure, 0, 1)}
    given = {"rule": sure * np.nan, "seen": sure}
    table = confidence_table(
        labels, given, {"rule": zeros, "seen": zeros}, ONE, weights=image_weights(400, 400, rng)
    )
    ece = table.set_index("statistic").loc["ece"]
    assert ece["value"] > 0.01  # chance alone
    assert ece["low"] == 0


def test_images_of_unknown_truth_or_unseen_ones_are_left_out(rng):
    labels, sure, truth = hand_made()
    truth["seen"][:5] = -1
    labels["seen"][25:] = -1
    sure["seen"][29] = np.nan
    table = confidence_table(labels, sure, truth, ONE, weights=image_weights(30, 20, rng))
    assert table.loc[table["statistic"] == "share_right", "n"].tolist() == [5, 10, 5]
    nothing = {name: np.full(30, -1) for name in ("rule", "seen")}
    empty = confidence_table(labels, sure, nothing, ONE, weights=image_weights(30, 20, rng))
    assert empty["value"].isna().all()


def test_confidence_refuses_what_does_not_fit(rng):
    labels, sure, truth = hand_made()
    with pytest.raises(ValueError, match="one entry an image; received 30, 30, 30 and 29"):
        confidence_table(labels, sure, truth, ONE, weights=image_weights(29, 20, rng))
    with pytest.raises(ValueError, match="bins must be at least 1; received 0"):
        confidence_table(labels, sure, truth, ONE, weights=image_weights(30, 20, rng), bins=0)
    sure["seen"][3] = 1.5
    with pytest.raises(ValueError, match=r"confidence 0\.25 to 1\.5; 0 to 1 is allowed"):
        confidence_table(labels, sure, truth, ONE, weights=image_weights(30, 20, rng))


def test_histories_are_stacked_and_the_first_best_epoch_is_chosen():
    one = pd.DataFrame({"epoch": [1, 2, 3], "macro_f1": [0.2, 0.5, 0.5], "val_loss": [3.0, 2.0, 1.0]})
    table = history_table({"b": one, "a": one.iloc[:2].assign(macro_f1=np.nan)})
    assert table["model"].tolist() == ["b"] * 3 + ["a"] * 2
    assert table["chosen"].tolist() == [False, True, False, False, False]
    assert table.columns.tolist() == ["model", "epoch", "macro_f1", "val_loss", "chosen"]
    with pytest.raises(ValueError, match="histories: none received"):
        history_table({})
    with pytest.raises(ValueError, match="'a' has no column 'macro_f1'"):
        history_table({"a": one.drop(columns="macro_f1")})
    with pytest.raises(ValueError, match="'a' has no epoch"):
        history_table({"a": one.iloc[:0]})


def test_the_recipe_says_whose_each_value_is_as_its_source_does():
    source = (ROOT / "src/swatchbook/models/recipe.py").read_text(encoding="utf-8")
    comments = dict(re.findall(r"^    (\w+): .+?  # (published|ours|torch's|for)\b", source, re.M))
    assert set(comments) == {field.name for field in dataclasses.fields(Recipe)}
    table = recipe_table(Recipe(epochs=3, head_lr=1e-4, dropout=0.3)).set_index("setting")
    assert {k: v for k, v in comments.items() if v != "for"} == table["whose"].drop("dropout").to_dict()
    assert set(OTHERS) == {name for name, whose in comments.items() if whose == "for"}
    assert table.loc["epochs"].tolist() == ["3", "20", "published", True]
    assert table.loc["head_lr"].tolist() == ["0.0001", "0.0001", "published", False]
    assert table.loc["dropout", ["here", "paper", "changed"]].tolist() == ["0.3", "0", True]
    assert table["changed"].sum() == 2


def test_the_table_behind_a_figure_runs_no_formula_and_is_read_back_as_it_was(tmp_path, schema):
    named = pd.DataFrame({"class": ["=1+1", "a\n@x", "＝2"], "value": [0.5, -0.25, np.nan]})
    for suffix, write in draw(lambda *_: empty_figure("title", "reason", named), named, schema):
        write(tmp_path / f"figure{suffix}")
    text = (tmp_path / "figure.csv").read_text(encoding="utf-8")
    assert text == "class,value\n'=1+1,0.5\n\"a\n'@x\",-0.25\n'＝2,\n"
    back = Store(tmp_path).read_table("figure.csv")
    pd.testing.assert_frame_equal(back, named)
