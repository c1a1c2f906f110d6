"""The truth behind silver labels: exact where it can be, unbiased and honest where it is estimated."""

from dataclasses import replace

import numpy as np
import pandas as pd
import ppi_py
import pytest

from swatchbook.drawn.latent import World, draw_rows
from swatchbook.evaluation.association import cramers_v
from swatchbook.evaluation.audit import audit_table, draw_sample
from swatchbook.evaluation.rectified import rectified_table
from swatchbook.evaluation.resample import table
from swatchbook.evaluation.scores import accuracy, macro_f1
from swatchbook.evaluation.truth import truth_table
from swatchbook.evaluation.truth_estimators import (
    PostStratified,
    metric_bound,
    ppi_accuracy,
)
from swatchbook.evaluation.weighted_scores import abstention_tables
from swatchbook.schema import Attribute, Schema

STRATA = np.repeat(np.arange(21), [200] * 17 + [197, 60, 57, 46])
ABC = Schema("test", (Attribute("head", {c: c for c in "abc"}, ("{}",), "zero_shot", 0.4, "ours"),))
FIVE = Schema("test", (Attribute("head", {c: c for c in "abcde"}, ("{}",), "zero_shot", 0.4, "ours"),))


def schema_of_size(k):
    return Schema(
        "test", (Attribute("head", {c: c for c in "abcdefgh"[:k]}, ("{}",), "zero_shot", 0.4, "ours"),)
    )


def noisy(labels, hit, k, rng):
    """Labels kept with probability `hit`, else confused in a way of their own."""
    return draw_rows((np.eye(k) * hit + (1 - hit) * rng.dirichlet(np.ones(k), size=k))[labels], rng)


def split_of(kind, rng, k=5):
    """Truth, silver labels of a teacher that is right .68 of the time, and a student of one kind."""
    prior = 0.8 * rng.dirichlet(np.full(k, 3.0)) + 0.2 / k
    truth = draw_rows((0.85 * rng.dirichlet(prior * k, size=21) + 0.15 * prior)[STRATA], rng)
    silver = noisy(truth, 0.6, k, rng)
    if kind == "imitator":
        student = noisy(silver, 0.9, k, rng)
    else:
        student = noisy(truth, {"denoiser": 0.92, "independent": 0.7}[kind], k, rng)
    return truth, np.where(rng.random(len(truth)) < 0.05, -1, silver), student


def truth_of(schema, human, silver, model, split_silver, split_model, stratum=None, weight=None, **options):
    code = {"human": human, "silver": silver, "model": model, "S": split_silver, "M": split_model}
    code = {name: {"head": np.asarray(x, dtype=np.int16)} for name, x in code.items()}
    n = len(human)
    return truth_table(
        code["human"],
        code["silver"],
        {"model": code["model"]},
        {"silver": code["S"], "model": code["M"]},
        schema,
        stratum=np.zeros(n) if stratum is None else stratum,
        weight=np.ones(n) if weight is None else np.asarray(weight, dtype=float),
        draws=options.pop("draws", 50),
        rng=options.pop("rng", np.random.default_rng(7)),
        **options,
    )


def row(frame, model, estimator, statistic, label="all"):
    wanted = (frame["model"] == model) & (frame["estimator"] == estimator)
    (found,) = frame[wanted & (frame["statistic"] == statistic) & (frame["class"] == label)].to_dict(
        "records"
    )
    return found


HUMAN, SILVER, MODEL = [0, 0, 1, 1, 2, -1], [0, 1, 1, 1, -1, 0], [0, 1, 1, 0, 2, 0]


def test_direct_and_design_scores_equal_hand_computed_ones():
    judged = (HUMAN * 4, SILVER * 4, MODEL * 4)
    frame = truth_of(ABC, *judged, SILVER * 8, MODEL * 8, weight=[1, 1, 1, 3, 1, 5] * 4)
    assert row(frame, "model", "direct", "accuracy")["value"] == pytest.approx(3 / 5)
    assert row(frame, "model", "direct", "macro_f1")["value"] == pytest.approx((0.5 + 0.5 + 1) / 3)
    assert row(frame, "model", "design", "accuracy")["value"] == pytest.approx(3 / 7)
    assert row(frame, "model", "design", "f1", "b")["value"] == pytest.approx(2 / 6)
    assert row(frame, "silver", "direct", "accuracy")["value"] == pytest.approx(3 / 5)
    assert row(frame, "silver", "direct", "f1", "c")["value"] == 0
    assert set(frame["reference"]) == {"audit"}


def test_silver_scored_as_a_model_equals_the_audit(rng):
    truth, silver, student = split_of("denoiser", rng)
    drawn, weight = draw_sample(STRATA, 10, rng)
    options = {"stratum": STRATA[drawn], "weight": weight, "draws": 40}
    frame = truth_of(FIVE, truth[drawn], silver[drawn], student[drawn], silver, student, **options)
    human, label = {"head": truth[drawn]}, {"head": silver[drawn]}
    audit = audit_table(human, label, FIVE, population={"head": silver}, stratum=STRATA[drawn], weight=weight)
    audit = audit[(audit["abstained"] == "wrong") & (audit["weighting"] == "design")]
    for statistic in ("accuracy", "macro_f1"):
        ours = row(frame, "silver", "design", statistic)
        (theirs,) = audit[(audit["statistic"] == statistic) & (audit["class"] == "all")].to_dict("records")
        for column in ("value", "low", "high", "n"):
            assert ours[column] == theirs[column]


def test_a_full_census_gives_the_truth_exactly(rng):
    truth, silver, student = split_of("imitator", rng)
    frame = truth_of(FIVE, truth, silver, student, silver, student, draws=2)
    counts = abstention_tables(truth, student, 5, np.ones((1, len(truth))))
    for estimator in ("direct", "design", "post_stratified"):
        found = row(frame, "model", estimator, "macro_f1")["value"]
        assert found == pytest.approx(macro_f1(counts)[0], abs=1e-12)
    found = row(frame, "model", "ppi", "accuracy")["value"]
    assert found == pytest.approx(accuracy(counts)[0], abs=1e-12)


def test_an_abstention_is_known_to_be_wrong_and_widens_no_interval(rng):
    """Where all errors of the labels are abstentions, whose number is counted, little is left to know."""
    truth = rng.integers(0, 3, size=2000)
    split = np.where(rng.random(2000) < 0.3, -1, truth)
    human, silver = truth[:200], split[:200]
    frame = truth_of(ABC, human, silver, human, split, truth, draws=2000)
    ppi, design = (row(frame, "silver", name, "accuracy") for name in ("ppi", "design"))
    assert ppi["low"] <= (split >= 0).mean() <= ppi["high"]
    assert 0 < ppi["high"] - ppi["low"] < 0.4 * (design["high"] - design["low"])


def test_forty_right_of_forty_do_not_make_the_labels_of_unjudged_classes_wrong():
    """Post-strata without a judged image borrow the rate of the others; taking them for wrong gives .95."""
    human = silver = np.arange(40) % 2
    split = np.r_[np.zeros(475, int), np.ones(475, int), np.full(50, 2)]
    found = row(
        truth_of(ABC, human, silver, silver, split, split, draws=4000), "model", "post_stratified", "accuracy"
    )
    assert found["value"] == 1 and found["low"] < 0.95 and found["high"] == 1


def test_known_counts_are_met_by_the_post_stratified_table(rng):
    truth, silver, student = split_of("independent", rng)
    drawn, weight = draw_sample(STRATA, 3, rng)
    agrees = student == silver
    code = (truth[drawn], student[drawn], agrees[drawn], student, agrees, 5, weight, STRATA[drawn])
    counts = PostStratified(*code).counts
    assert counts.sum(0) == pytest.approx(np.append(np.bincount(student, minlength=5), 0), abs=1e-8)
    assert counts.min() >= 0


@pytest.mark.parametrize("kind", ["imitator", "denoiser", "independent"])
def test_the_post_stratified_estimate_is_unbiased_and_no_less_precise_than_the_weighted(kind):
    rng = np.random.default_rng(6)
    errors, covered = {"design": [], "post_stratified": []}, []
    for _ in range(10):
        truth, silver, student = split_of(kind, rng)
        target = macro_f1(abstention_tables(truth, student, 5, np.ones((1, len(truth)))))[0]
        for _ in range(50):
            drawn, weight = draw_sample(STRATA, 10, rng)
            code = (truth[drawn], silver[drawn], student[drawn], silver, student, STRATA[drawn], weight)
            frame = truth_of(FIVE, *code, draws=200, rng=rng)
            for estimator, misses in errors.items():
                found = row(frame, "model", estimator, "macro_f1")
                misses.append(found["value"] - target)
            covered.append(found["low"] <= target <= found["high"])
    assert abs(np.mean(errors["post_stratified"])) <= 0.005
    assert np.std(errors["post_stratified"]) <= np.std(errors["design"])
    assert 0.92 <= np.mean(covered) <= 0.98


def test_silver_scores_do_not_rank_models_by_truth(rng):
    """The imitator wins against the silver labels and loses against the truth, in the estimate too."""
    scores = {}
    for kind in ("imitator", "denoiser"):
        truth, silver, student = split_of(kind, rng)
        drawn, weight = draw_sample(STRATA, 10, rng)
        frame = truth_of(
            FIVE, truth[drawn], silver[drawn], student[drawn], silver, student, STRATA[drawn], weight
        )
        found = row(frame, "model", "post_stratified", "accuracy")
        scores[kind] = (np.mean(student == silver), found["low"], found["high"])
    assert scores["imitator"][0] > scores["denoiser"][0]
    assert scores["imitator"][2] < scores["denoiser"][1]


def test_intervals_hold_where_the_labeller_is_nearly_always_right():
    """Resampling alone cannot see the rare events here and covers the accuracy .85 of the time."""
    rng, covered = np.random.default_rng(2), []
    for _ in range(10):
        truth = draw_rows((0.85 * rng.dirichlet(np.ones(8), size=21) + 0.15 / 8)[STRATA], rng)
        silver, student = noisy(truth, 0.985, 8, rng), noisy(truth, 0.84, 8, rng)
        for _ in range(40):
            drawn, weight = draw_sample(STRATA, 10, rng)
            code = (truth[drawn], silver[drawn], student[drawn], silver, student, STRATA[drawn], weight)
            eight = schema_of_size(8)
            found = row(truth_of(eight, *code, draws=300), "model", "post_stratified", "accuracy")
            covered.append(found["low"] <= np.mean(truth == student) <= found["high"])
    assert np.mean(covered) >= 0.93


def test_ppi_equals_ppi_py(rng):
    for _ in range(20):
        agrees, split = rng.random(80) < 0.7, rng.random(900) < 0.7
        hits = np.where(rng.random(80) < 0.8, agrees, ~agrees)
        for weight in (None, rng.uniform(1, 6, 80)):
            value, low, high, lam = ppi_accuracy(hits, agrees, split, weight)
            parts = [x.astype(float) for x in (hits, agrees, split)]
            interval = ppi_py.ppi_mean_ci(*parts, alpha=0.05, w=weight)
            assert value == pytest.approx(ppi_py.ppi_mean_pointestimate(*parts, w=weight).item(), abs=1e-10)
            assert (low, high) == pytest.approx([x.item() for x in interval], abs=1e-10)
            assert 0 <= lam <= 1


def test_ppi_without_help_from_the_silver_labels_is_the_plain_accuracy(rng):
    hits = rng.random(60) < 0.6
    value, *_, lam = ppi_accuracy(hits, np.ones(60), np.ones(500))
    assert lam == 0 and value == pytest.approx(hits.mean())
    with pytest.raises(ValueError, match="hits, agrees and the split: 0, 0 and 5 entries"):
        ppi_accuracy([], [], np.ones(5))


def test_the_bound_always_holds_and_is_sometimes_reached(rng):
    reached = np.zeros(2, dtype=int)
    for _ in range(2000):
        k, n = rng.integers(2, 6), rng.integers(1, 30)
        truth, silver, model = rng.integers(-1, k, (3, n))
        truth = np.maximum(truth, 0)
        if rng.random() < 0.3:
            model = np.where(rng.random(n) < 0.7, silver, model)
        low, high = metric_bound(np.mean(silver == truth), np.mean(model == silver))
        true = np.mean(model == truth)
        assert low - 1e-12 <= true <= high + 1e-12
        reached += [abs(true - low) < 1e-12, abs(true - high) < 1e-12]
    assert (reached > 50).all()
    assert metric_bound(0.9, 0.8) == (pytest.approx(0.7), pytest.approx(0.9))
    with pytest.raises(ValueError, match=r"agreement_model_silver must lie in \[0, 1\]; received 1\.2"):
        metric_bound(0.5, 1.2)


@pytest.mark.parametrize("kind", ["imitator", "denoiser", "independent"])
def test_the_tables_bound_holds_the_true_accuracy(kind):
    rng = np.random.default_rng(9)
    for _ in range(15):
        truth, silver, student = split_of(kind, rng)
        drawn, weight = draw_sample(STRATA, 10, rng)
        frame = truth_of(
            FIVE, truth[drawn], silver[drawn], student[drawn], silver, student, STRATA[drawn], weight, rng=rng
        )
        bound = row(frame, "model", "bound", "accuracy")
        assert np.isnan(bound["value"]) and bound["low"] <= np.mean(student == truth) <= bound["high"]


def test_a_silver_label_that_is_never_wrong_in_the_audit_still_leaves_a_bound_of_some_width():
    labels = np.arange(60) % 3
    model = np.where(np.arange(60) < 12, (labels + 1) % 3, labels)
    bound = row(truth_of(ABC, labels, labels, model, labels, model), "model", "bound", "accuracy")
    assert bound["low"] < 0.75 and bound["high"] > 0.82


def test_every_interval_holds_its_value(rng):
    for kind in ("imitator", "denoiser", "independent"):
        truth, silver, student = split_of(kind, rng)
        drawn, weight = draw_sample(STRATA, 4, rng)
        frame = truth_of(
            FIVE, truth[drawn], silver[drawn], student[drawn], silver, student, STRATA[drawn], weight
        ).dropna(subset=["value"])
        assert (frame["low"] <= frame["value"]).all() and (frame["value"] <= frame["high"]).all()
        assert frame["low"].min() >= 0 and frame["high"].max() <= 1


@pytest.mark.parametrize("size", [0, 1, 12])
def test_an_empty_or_blank_audit_is_not_estimable(size):
    labels = np.arange(size) % 3
    frame = truth_of(ABC, np.full(size, -1), labels, labels, [0, 1, 2] * 9, [0, 1, 2] * 9)
    assert frame[["value", "low", "high"]].isna().all().all()
    assert (frame["interval"] == "not estimable: never judged").all()
    assert set(frame["estimator"]) == {"direct", "design", "post_stratified", "ppi", "bound"}


def test_a_class_nobody_judged_is_not_estimable_by_any_estimator():
    split_silver, split_model = [0, 0, 1, 1, 2, 2, 0, 1] * 5, [0, 0, 1, 0, 2, 1, 2, 1] * 5
    frame = truth_of(
        schema_of_size(4), [0, 0, 1, 1, 3] * 4, [0, 0, 1, 1, 3] * 4, [0, 0, 1, 0, 3] * 4,
        split_silver + [3] * 20, split_model + [3] * 20,
    )  # fmt: skip
    for estimator in ("direct", "design"):
        lost = row(frame, "model", estimator, "f1", "c")
        assert np.isnan(lost["value"]) and lost["interval"] == "not estimable: no judged image"
    for estimator in ("direct", "design", "post_stratified"):
        found = row(frame, "model", estimator, "macro_f1")
        assert np.isfinite(found["value"]) and "3 of 4 classes judged" in found["interval"]


def test_a_head_of_one_class_is_scored():
    only = Schema("test", (Attribute("head", {"only": "only"}, ("{}",), "zero_shot", 0.4, "ours"),))
    frame = truth_of(only, [0] * 6, [0, 0, -1] * 2, [0] * 6, [0] * 8 + [-1] * 2, [0] * 10)
    for estimator in ("direct", "design", "post_stratified", "ppi"):
        assert row(frame, "model", estimator, "accuracy")["value"] == pytest.approx(1)


def test_the_same_seed_gives_the_same_table(rng):
    truth, silver, student = split_of("denoiser", rng)
    drawn, weight = draw_sample(STRATA, 4, rng)
    code = (FIVE, truth[drawn], silver[drawn], student[drawn], silver, student, STRATA[drawn], weight)
    pd.testing.assert_frame_equal(truth_of(*code), truth_of(*code), check_exact=True)


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="model: head has 2 entries; the audit has 3 images"):
        truth_of(ABC, [0, 1, 2], [0, 1, 2], [0, 1], [0] * 5, [0] * 5)
    with pytest.raises(ValueError, match=r"population must hold every image .* received 3 images"):
        truth_of(ABC, [0, 1, 2], [0, 1, 2], [0, 1, 2], [0] * 3, [0] * 3)
    with pytest.raises(ValueError, match="population: head of model has 4 entries; silver has 5 images"):
        truth_of(ABC, [0, 1, 2], [0, 1, 2], [0, 1, 2], [0] * 5, [0] * 4)
    codes = {"head": np.zeros(2)}
    with pytest.raises(ValueError, match="population lacks 'model'; received silver"):
        truth_table(
            codes,
            codes,
            {"model": codes},
            {"silver": codes},
            ABC,
            stratum=np.zeros(2),
            weight=np.ones(2),
            draws=2,
            rng=np.random.default_rng(0),
        )


def test_rare_classes_that_nobody_judged_may_all_be_harder_than_the_rest():
    """Labels are right in .93 of the images of four classes and in .6 of four rare ones, mostly not judged."""
    eight, covered = schema_of_size(8), []
    truth = np.repeat(np.arange(8), [500, 400, 300, 200, 8, 8, 8, 8])
    for seed in range(100):
        rng = np.random.default_rng(seed)
        silver, other = (
            np.where(
                rng.random(len(truth)) < np.where(truth < 4, 0.93, 0.6),
                truth,
                rng.choice(8, len(truth), p=np.repeat([0.22, 0.03], 4)),
            )
            for _ in range(2)
        )
        model = np.where(rng.random(len(truth)) < 0.6, silver, other)
        at = rng.choice(len(truth), 90, replace=False)
        frame = truth_table(
            {"head": truth[at]},
            {"head": silver[at]},
            {"model": {"head": model[at]}},
            {"silver": {"head": silver}, "model": {"head": model}},
            eight,
            stratum=np.zeros(90),
            weight=np.full(90, len(truth) / 90),
            draws=300,
            rng=rng,
        )
        (row,) = frame.query(
            "model == 'model' and estimator == 'post_stratified' and statistic == 'macro_f1'"
        ).itertuples()
        if not np.isnan(row.low):
            covered.append(row.low <= macro_f1(table(truth, model, (8, 8))) <= row.high)
    assert len(covered) > 40 and np.mean(covered) > 0.85  # .78 if each of them erred for itself


PAIR = {"pattern": 6, "texture": 5}


def pair_world(noise, rng, v=0.32):
    """Two attributes with about this V, and silver labels whose errors are independent or joint."""
    world = World.random(PAIR, rng, concentration=0.3)
    world = world.with_coupling(min(1, v / world.cramers_v(*PAIR)))
    truth = world.sample(3500, rng)
    if noise == "independent":
        return truth, {name: noisy(truth[name], 0.75, k, rng) for name, k in PAIR.items()}
    wrong, prototype = rng.random(3500) < 0.25, rng.integers(0, 4, 3500)
    return truth, {name: np.where(wrong, prototype, truth[name]) for name in PAIR}


@pytest.mark.parametrize("noise", ["independent", "joint"])
def test_the_rectified_v_finds_the_truth_that_silver_labels_miss(noise, schema):
    rng = np.random.default_rng(15)
    both = replace(schema, attributes=(schema["pattern"], schema["texture"]))
    errors, covered = [], []
    for _ in range(120):
        truth, silver = pair_world(noise, rng)
        v, silver_v = (
            cramers_v(table(x["pattern"], x["texture"], (6, 5)), correct=False) for x in (truth, silver)
        )
        drawn = rng.choice(3500, 420, replace=False)
        frame = rectified_table(
            *({name: code[drawn] for name, code in x.items()} for x in (truth, silver)),
            silver,
            both,
            stratum=np.zeros(420),
            weight=np.full(420, 3500 / 420),
        ).set_index("statistic")
        errors.append([silver_v - v, *(frame.loc[["v_rectified", "v_direct"], "value"] - v)])
        covered.append((frame["low"] <= v) & (v <= frame["high"]))
    silver_bias, rectified, direct = np.mean(errors, axis=0)
    assert abs(silver_bias) > 0.08
    assert abs(rectified) < 0.012 and abs(direct) < 0.012
    assert (np.mean(covered, axis=0) >= 0.9).all()


@pytest.mark.parametrize("v", [0.05, 0.3])
def test_v_of_strata_that_stand_for_unlike_numbers_is_right_and_silver_counts_sharpen_it(v, schema):
    """Cells cut at 0 made it too large by .06 at V = .05, and wider than that of the judged images alone."""
    rng = np.random.default_rng(16)
    both = replace(schema, attributes=(schema["pattern"], schema["texture"]))
    stratum = np.repeat(np.arange(20), np.linspace(10, 340, 20).astype(int))
    errors, widths, covered = [], [], []
    for _ in range(150):
        order = rng.permutation(3500)
        truth, silver = (
            {k: x[order] for k, x in codes.items()} for codes in pair_world("independent", rng, v)
        )
        drawn, weight = draw_sample(stratum, 10, rng)
        frame = rectified_table(
            *({name: code[drawn] for name, code in x.items()} for x in (truth, silver)),
            silver,
            both,
            stratum=stratum[drawn],
            weight=weight,
        ).set_index("statistic")
        true = cramers_v(table(truth["pattern"], truth["texture"], (6, 5)), correct=False)
        errors.append(frame["value"] - true)
        widths.append(frame["high"] - frame["low"])
        covered.append((frame["low"] <= true) & (true <= frame["high"]))
    assert (np.abs(np.mean(errors, axis=0)) < 0.025).all()
    assert np.mean(widths, axis=0)[0] < 0.95 * np.mean(widths, axis=0)[1]
    assert (np.mean(covered, axis=0) >= 0.91).all()


def test_v_of_a_split_that_was_judged_as_a_whole_is_known(schema):
    rng = np.random.default_rng(5)
    both = replace(schema, attributes=(schema["pattern"], schema["texture"]))
    truth = {name: rng.integers(0, k, 300) for name, k in PAIR.items()}
    silver = {name: noisy(truth[name], 0.7, k, rng) for name, k in PAIR.items()}
    frame = rectified_table(truth, silver, silver, both, stratum=np.zeros(300), weight=np.ones(300))
    v = cramers_v(table(truth["pattern"], truth["texture"], (6, 5)), correct=False)
    direct = frame.set_index("statistic").loc["v_direct"]
    assert list(direct[["value", "low", "high"]]) == pytest.approx([v] * 3, abs=1e-9)
    assert frame["interval"].str.startswith("counted").all()


def test_few_heavy_images_do_not_tell_v_of_the_truth(schema):
    rng = np.random.default_rng(4)
    both = replace(schema, attributes=(schema["pattern"], schema["texture"]))
    codes = {name: rng.integers(0, k, 400) for name, k in PAIR.items()}
    some = {name: code[:60] for name, code in codes.items()}
    weight = np.where(np.arange(60) < 10, 35.0, 1.0)
    design = {"stratum": np.arange(60) % 2, "weight": weight}
    frame = rectified_table(some, some, codes, both, **design)
    assert frame["value"].isna().all() and frame["interval"].str.contains("as many of equal weight").all()
    some = {**some, "texture": np.zeros(60, dtype=int)}
    frame = rectified_table(some, some, codes, both, stratum=design["stratum"], weight=np.full(60, 6.0))
    assert frame["value"].isna().all() and set(frame["interval"]) == {"not estimable: one class judged"}


def test_a_rectified_pair_takes_the_folder_rule_for_truth_and_skips_what_nobody_judged(schema):
    rng = np.random.default_rng(1)
    split = {a.name: rng.integers(0, len(a), 800) for a in schema}
    human = {a.name: split[a.name][:200] for a in schema} | {"material": np.full(200, -1)}
    human["color"] = np.full(200, -1)
    silver = {name: code[:200] for name, code in split.items()}
    options = {"stratum": np.zeros(200), "weight": np.full(200, 4.0)}
    frame = rectified_table(human, silver, split, schema, **options)
    assert len(frame) == 12 and set(frame["model"]) == {"truth"} and set(frame["rows"]) == {"audit"}
    lost = (frame["a"] == "color") | (frame["b"] == "color")
    assert frame.loc[lost, "value"].isna().all()
    assert (frame.loc[lost, "interval"] == "not estimable: never judged").all()
    assert frame.loc[~lost, ["value", "low", "high"]].notna().all().all()
    assert (frame.loc[~lost, "n"] == 200).all()


def test_where_nobody_judged_no_pair_is_estimable(schema):
    rng = np.random.default_rng(3)
    split = {a.name: rng.integers(0, len(a), 50) for a in schema}
    nobody = {a.name: np.empty(0, dtype=np.int16) for a in schema}
    design = {"stratum": np.empty(0, dtype=object), "weight": np.empty(0)}
    frame = rectified_table(nobody, nobody, split, schema, **design)
    assert len(frame) == 12 and frame["value"].isna().all() and (frame["n"] == 0).all()
    assert set(frame["interval"]) == {"not estimable: never judged"}


def test_silver_labels_that_are_the_truth_need_no_correction_and_are_not_known_to_be_it(schema):
    rng = np.random.default_rng(2)
    split = {a.name: rng.integers(0, len(a), 800) for a in schema}
    split["texture"] = split["pattern"] % 5
    drawn = {name: code[:200] for name, code in split.items()}
    options = {"stratum": np.arange(200) % 4, "weight": np.full(200, 4.0)}
    frame = rectified_table(drawn, drawn, split, schema, **options)
    for (a, b), pair in frame[frame["statistic"] == "v_rectified"].groupby(["a", "b"]):
        counts = table(split[a], split[b], (len(schema[a]), len(schema[b])))
        assert pair["value"].item() == pytest.approx(cramers_v(counts, correct=False), abs=1e-9)
        assert pair["low"].item() < pair["value"].item() <= pair["high"].item()


def test_the_published_models_score_as_known_against_the_human_labels(published_dir, schema):
    sheet = pd.read_csv(published_dir / "audit.csv")
    judged = replace(schema, attributes=tuple(a for a in schema if a.name != "material"), folders={})
    known = {"dinov2": (0.842, 0.701, 0.661), "resnet50": (0.737, 0.527, 0.598)}

    def codes(frame, prefix):
        columns = {a.name: frame[f"{prefix}_{a.name}"] for a in judged}
        return judged.encode(pd.DataFrame({a: c.where(c != "unknown") for a, c in columns.items()}))

    population, predictions = {}, {}
    for model in known:
        export = pd.read_csv(published_dir / f"test_predictions_{model}.csv")
        place = pd.Index(export["path"]).get_indexer(sheet["path"])
        assert (place >= 0).all()
        population |= {model: codes(export, "pred"), "silver": codes(export, "gt")}
        predictions[model] = {name: code[place] for name, code in population[model].items()}
    stratum = sheet["class"].to_numpy()
    size = export["path"].str.split("/").str[-2].value_counts()
    frame = truth_table(
        codes(sheet, "gt"),
        codes(sheet, "vlm"),
        predictions,
        population,
        judged,
        stratum=stratum,
        weight=size[stratum].to_numpy() / 10,
        draws=200,
        rng=np.random.default_rng(0),
    )
    for model, printed in known.items():
        for head, number in zip(("color", "pattern", "texture"), printed, strict=True):
            found = row(frame[frame["head"] == head], model, "direct", "macro_f1")
            assert abs(found["value"] - number) <= 0.0005 + 1e-12
            recommended = row(frame[frame["head"] == head], model, "post_stratified", "macro_f1")
            assert recommended["high"] - recommended["low"] < found["high"] - found["low"]
