"""The challenge's metrics against naive loops, scikit-learn and values worked out by hand."""

import numpy as np
import pytest
from sklearn import metrics
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from swatchbook.evaluation import challenge
from swatchbook.evaluation.resample import image_weights
from swatchbook.schema import Schema

SCHEMA = Schema.load("challenge")
OURS, THEIRS = ("net", "ours"), ("net", "document")


def answers_of(truth, rng, wrong):
    n = len(truth["pattern"])
    return {
        a.name: np.where(rng.random(n) < wrong, rng.integers(0, len(a), n), truth[a.name]).astype(np.int16)
        for a in SCHEMA
    }


@pytest.fixture
def truth(rng):
    return {a.name: rng.integers(0, len(a), 300).astype(np.int16) for a in SCHEMA}


@pytest.fixture
def weights(rng):
    return image_weights(300, 200, rng)


def value(table, group="all", label="all", metric="overall_accuracy", column="value"):
    rows = table[(table["group"] == group) & (table["class"] == label) & (table["metric"] == metric)]
    assert len(rows) == 1
    return rows.iloc[0][column]


def test_scores_equal_naive_loops_and_scikit_learn(truth, weights, rng):
    answers = answers_of(truth, rng, 0.4)
    table = challenge.challenge_scores(truth, {OURS: answers}, SCHEMA, weights, split="val")
    assert list(table) == [
        "model", "variant", "split", "group", "class", "metric", "value", "low", "high", "n", "interval",
    ]  # fmt: skip
    right = [truth[name][i] == answers[name][i] for name in SCHEMA.names for i in range(300)]
    assert value(table) == pytest.approx(sum(right) / 1800)
    recalls = []
    for a in SCHEMA:
        t, p = truth[a.name], answers[a.name]
        each = metrics.recall_score(t, p, average=None)
        recalls += each.tolist()
        assert value(table, a.name, metric="accuracy") == pytest.approx(metrics.accuracy_score(t, p))
        assert value(table, a.name, metric="recall") == pytest.approx(metrics.balanced_accuracy_score(t, p))
        assert value(table, a.name, metric="f1") == pytest.approx(metrics.f1_score(t, p, average="macro"))
        for label, found in zip(a.classes, each, strict=True):
            assert value(table, a.name, label, "recall") == pytest.approx(found)
    assert len(recalls) == 26
    assert value(table, metric="aca") == pytest.approx(np.mean(recalls))
    whole = np.all([truth[name] == answers[name] for name in SCHEMA.names], axis=0)
    assert value(table, metric="all_right") == pytest.approx(whole.mean())
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()


def test_a_constant_predictor_has_the_majoritys_accuracy_and_six_of_twenty_six_classes(truth, weights):
    answers = challenge.constant_answers(truth, SCHEMA, 300)
    table = challenge.challenge_scores(truth, {("majority", ""): answers}, SCHEMA, weights, split="val")
    most = [np.bincount(truth[name]).max() for name in SCHEMA.names]
    assert value(table) == sum(most) / 1800
    assert value(table, metric="aca") == pytest.approx(6 / 26, abs=1e-12)
    low_high = value(table, metric="aca", column="low"), value(table, metric="aca", column="high")
    assert low_high == pytest.approx((6 / 26, 6 / 26), abs=1e-12)


def test_a_class_without_an_image_is_left_out_of_the_mean_and_named(truth, weights):
    truth["neckline"] = np.where(truth["neckline"] == 2, 0, truth["neckline"])
    table = challenge.challenge_scores(truth, {OURS: truth}, SCHEMA, weights, split="val")
    assert value(table, metric="aca") == 1
    assert value(table, metric="aca", column="interval").endswith(
        "combined; mean of 25 of 26 classes, without neckline:square_neckline (no image)"
    )
    assert np.isnan(value(table, "neckline", "square_neckline", "recall"))
    assert value(table, "neckline", "square_neckline", "recall", "interval") == "not estimable"
    assert value(table, "neckline", metric="recall") == 1


def test_one_square_neckline_of_two_moves_average_class_accuracy_by_half_a_class(truth, weights):
    truth["neckline"] = np.where(truth["neckline"] == 2, 0, truth["neckline"])
    truth["neckline"][:2] = 2
    wrong = {**truth, "neckline": truth["neckline"].copy()}
    wrong["neckline"][0] = 3
    table = challenge.challenge_scores(truth, {OURS: wrong}, SCHEMA, weights, split="val")
    assert value(table, metric="aca") == pytest.approx(1 - 0.5 / 26)


def test_differences_are_paired_and_tested_by_mcnemar(truth, weights, rng):
    ours, theirs = answers_of(truth, rng, 0.3), answers_of(truth, rng, 0.5)
    given = {OURS: ours, THEIRS: theirs}
    table = challenge.challenge_differences(
        truth, given, SCHEMA, weights, model=OURS, baseline=THEIRS, split="val"
    )
    scores = challenge.challenge_scores(truth, given, SCHEMA, weights, split="val")
    for metric in ("overall_accuracy", "aca", "all_right"):
        each = scores[scores["metric"] == metric].set_index("variant")["value"]
        assert value(table, metric=metric) == pytest.approx(each["ours"] - each["document"])
    p = []
    for name in SCHEMA.names:
        a, b = ours[name] == truth[name], theirs[name] == truth[name]
        square = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
        p.append(mcnemar(square, exact=True).pvalue)
        assert value(table, name, metric="accuracy", column="p") == pytest.approx(p[-1])
    adjusted = multipletests(p, method="holm")[1]
    for name, wanted in zip(SCHEMA.names, adjusted, strict=True):
        assert value(table, name, metric="accuracy", column="p_holm") == pytest.approx(wanted)
    assert np.isnan(value(table, column="p"))
    a, b = (np.all([x[g] == truth[g] for g in SCHEMA.names], axis=0) for x in (ours, theirs))
    square = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    assert value(table, metric="all_right", column="p") == pytest.approx(mcnemar(square, exact=True).pvalue)


def test_a_model_less_itself_is_nothing(truth, weights, rng):
    ours = answers_of(truth, rng, 0.3)
    table = challenge.challenge_differences(
        truth, {OURS: ours, THEIRS: ours}, SCHEMA, weights, model=OURS, baseline=THEIRS, split="val"
    )
    assert (table[["value", "low", "high"]] == 0).all(axis=None)
    assert (table["p"].dropna() == 1).all()


def test_agreement_counts_equal_answers(truth, weights, rng):
    other = answers_of(truth, rng, 0.2)
    table = challenge.agreement_scores({"rank 4": other}, {OURS: truth}, SCHEMA, weights, split="test")
    assert table["metric"].unique().tolist() == ["agreement with rank 4"]
    assert len(table) == 7
    same = np.mean([truth[name] == other[name] for name in SCHEMA.names])
    assert value(table, metric="agreement with rank 4") == pytest.approx(same)


def test_missing_answers_are_refused(truth, weights):
    gap = {**truth, "fit": np.where(np.arange(300) == 7, -1, truth["fit"])}
    with pytest.raises(ValueError, match=r"answers\['fit'\] has shape \(300,\) and least code -1"):
        challenge.challenge_statistics(truth, gap, SCHEMA, weights)
    short = {**truth, "fit": truth["fit"][:10]}
    with pytest.raises(ValueError, match=r"answers\['fit'\] has shape \(10,\)"):
        challenge.challenge_statistics(truth, short, SCHEMA, weights)
