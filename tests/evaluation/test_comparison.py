"""Comparing two models: hand-computed differences, exact tests, and null models."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from swatchbook.evaluation.comparison import bootstrap_p, comparison_table, discordant, mcnemar_p
from swatchbook.evaluation.resample import holm, image_weights, rao_wu_weights
from swatchbook.schema import Attribute, Schema
from tests.evaluation.test_scores import codes_of


def statistic(found, name, head="all", label="all"):
    row = found[(found["statistic"] == name) & (found["head"] == head) & (found["class"] == label)]
    return row.iloc[0]


def test_mcnemar_equals_statsmodels(rng):
    for b, c in [(0, 0), (5, 5), (1, 9), (30, 12), (0, 7)]:
        theirs = mcnemar([[10, b], [c, 20]], exact=True).pvalue if b + c else 1.0
        assert mcnemar_p(b, c) == pytest.approx(theirs, abs=1e-12)


def test_holm_equals_statsmodels_and_skips_nan(rng):
    p = rng.random(12) ** 2
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)
    with_hole = np.insert(p, 3, np.nan)
    assert np.isnan(holm(with_hole)[3])
    assert np.delete(holm(with_hole), 3) == pytest.approx(holm(p), abs=1e-12)


def test_the_bootstrap_p_counts_draws_at_or_below_zero():
    assert bootstrap_p(np.array([0.1, 0.2, 0.0, -0.1, np.nan])) == pytest.approx(3 / 5)


def test_discordant_images_are_counted_only_where_there_is_a_label():
    truth, a, b = np.array([0, 0, 1, -1]), np.array([0, 0, 0, 0]), np.array([1, 0, 1, 0])
    assert discordant(truth, a, b) == (1, 1)


def test_a_model_against_itself_differs_by_exactly_nothing(schema, rng):
    reference, predicted = codes_of(schema, rng)
    weights = image_weights(400, 100, rng)
    found = comparison_table(
        reference, {"a": predicted, "b": predicted}, schema, weights, model="a", baseline="b"
    )
    deltas = found[found["statistic"].str.startswith("delta")].dropna(subset="value")
    assert (deltas[["value", "low", "high"]] == 0).all().all()
    assert (deltas["p"] == 1).all()
    assert statistic(found, "all_classes_p")["value"] == 1


def test_swapping_the_models_turns_every_difference_around(schema, rng):
    reference, better = codes_of(schema, rng, noise=0.2)
    worse = {
        name: np.where(rng.random(400) < 0.3, 0, codes).astype(np.int16) for name, codes in better.items()
    }
    weights = image_weights(400, 200, rng)
    both = {"better": better, "worse": worse}
    one = comparison_table(reference, both, schema, weights, model="better", baseline="worse")
    other = comparison_table(reference, both, schema, weights, model="worse", baseline="better")
    for name in ("delta_macro_f1", "delta_accuracy"):
        a, b = statistic(one, name, "color"), statistic(other, name, "color")
        assert a["value"] == pytest.approx(-b["value"]) and a["low"] == pytest.approx(-b["high"])
    assert (
        statistic(one, "only_model_right", "color")["value"]
        == statistic(other, "only_baseline_right", "color")["value"]
    )


def test_null_backbones_are_rejected_no_more_often_than_alpha(schema, rng):
    """Two models of equal skill: the one-sided test at 5 % rejects in at most 5 % + 2 SE of 400 worlds."""
    worlds, n, k = 400, 300, 3
    rejected = 0
    for _ in range(worlds):
        truth = rng.integers(0, k, n)
        models = [np.where(rng.random(n) < 0.25, rng.integers(0, k, n), truth) for _ in range(2)]
        weights = image_weights(n, 200, rng)
        right = [(m == truth).astype(float) for m in models]
        rejected += bootstrap_p(weights @ (right[0] - right[1]) / n) <= 0.05
    assert rejected / worlds <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / worlds)


def test_better_on_all_but_one_class_does_not_prove_better_on_all(schema, rng):
    n = 3000
    reference = {a.name: rng.integers(0, len(a), n).astype(np.int16) for a in schema}
    noisy = {
        a.name: np.where(rng.random(n) < 0.4, rng.integers(0, len(a), n), reference[a.name]).astype(np.int16)
        for a in schema
    }
    better = {
        name: np.where(rng.random(n) < 0.6, reference[name], noisy[name]).astype(np.int16) for name in noisy
    }
    weights = image_weights(n, 2000, rng)
    found = comparison_table(reference, {"m": better, "b": noisy}, schema, weights, model="m", baseline="b")
    assert statistic(found, "all_classes_p")["value"] < 0.05
    spoiled = dict(better)
    red = reference["color"] == 2
    spoiled["color"] = np.where(red, noisy["color"], better["color"]).astype(np.int16)
    spoiled["color"] = np.where(
        (noisy["color"] == 2) | (spoiled["color"] == 2), noisy["color"], spoiled["color"]
    )
    found = comparison_table(reference, {"m": spoiled, "b": noisy}, schema, weights, model="m", baseline="b")
    assert statistic(found, "all_classes_p")["value"] > 0.05
    assert statistic(found, "classes_proved")["value"] >= 20


def test_too_few_replicates_for_holm_are_said_so(schema, rng):
    reference, predicted = codes_of(schema, rng)
    weights = image_weights(400, 300, rng)
    found = comparison_table(
        reference, {"a": predicted, "b": predicted}, schema, weights, model="a", baseline="b"
    )
    row = statistic(found, "classes_proved")
    assert np.isnan(row["value"]) and "B=300 is too few" in row["interval"]


def test_a_model_without_predictions_is_named(schema, rng):
    reference, predicted = codes_of(schema, rng)
    with pytest.raises(KeyError, match="no predictions of 'x'; got a"):
        comparison_table(
            reference, {"a": predicted}, schema, image_weights(400, 20, rng), model="a", baseline="x"
        )


def test_a_comparison_on_a_stratified_sample_goes_by_what_each_image_stands_for(rng):
    """Strata of 3,600 and 100 images: the model wins everywhere in the small one and ties in the large one.

    The true difference of accuracies is 100 / 3,700 · 1; a plain mean of the sample's images says .5.
    """
    n = 80
    truth, stratum = np.arange(n) % 3, np.repeat([0, 1], 40)
    design = np.repeat([90.0, 2.5], 40)
    theirs = np.where(stratum == 1, (truth + 1) % 3, truth)
    schema = Schema("test", (Attribute("head", {c: c for c in "abc"}, ("{}",), "zero_shot", 0.4, "ours"),))
    frame = comparison_table(
        {"head": truth}, {"ours": {"head": truth}, "theirs": {"head": theirs}}, schema,
        rao_wu_weights(stratum, 200, rng), design=design, model="ours", baseline="theirs",
    )  # fmt: skip
    found = frame[(frame["statistic"] == "delta_accuracy") & (frame["head"] == "head")].iloc[0]
    assert found["value"] == pytest.approx(100 / 3700)
    assert frame.loc[frame["statistic"] == "only_model_right", "value"].item() == 40


def test_models_that_hardly_differ_on_a_sample_have_no_interval_without_width(rng):
    truth = np.arange(60) % 3
    schema = Schema("test", (Attribute("head", {c: c for c in "abc"}, ("{}",), "zero_shot", 0.4, "ours"),))
    same = {"head": truth}
    frame = comparison_table(
        same, {"ours": same, "theirs": same}, schema, rao_wu_weights(truth, 50, rng), design=np.ones(60),
        model="ours", baseline="theirs",
    )  # fmt: skip
    found = frame[frame["statistic"] == "delta_accuracy"].iloc[0]
    assert np.isnan([found["value"], found["low"]]).all() and "right by one model only" in found["interval"]
