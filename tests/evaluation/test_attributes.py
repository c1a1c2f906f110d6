"""Top-k, recall at k and the three tiers against naive loops, scikit-learn and hand-computed values."""

import numpy as np
import pytest
from sklearn import metrics

from swatchbook.evaluation import attributes, retrieval
from swatchbook.evaluation.replicates import with_ones
from swatchbook.evaluation.resample import image_weights
from swatchbook.schema import Schema

SCHEMA = Schema.load("multimodal")
MODEL = ("m", "2")


def table_of(statistics, n=1):
    return retrieval.score_table(statistics, n)


def found(table, task, metric, k=None, model="m"):
    rows = table[(table["model"] == model) & (table["task"] == task) & (table["metric"] == metric)]
    rows = rows if k is None else rows[rows["k"] == k]
    assert len(rows) == 1
    return rows.iloc[0]


def test_the_category_is_among_the_first_k_as_scikit_learn_counts(rng):
    scores, truth = rng.random((200, 17)), rng.integers(0, 17, 200)
    weights = with_ones(image_weights(200, 100, rng))
    table = table_of(attributes.category_statistics(truth, {MODEL: scores}, weights, ks=(1, 5)))
    for k in (1, 5):
        wanted = metrics.top_k_accuracy_score(truth, scores, k=k, labels=np.arange(17))
        row = found(table, "category", "accuracy", k)
        assert row["value"] == pytest.approx(wanted)
        assert row["low"] <= wanted <= row["high"]


def test_recall_of_attributes_equals_a_naive_loop_and_never_exceeds_its_ceiling(rng):
    truth = (rng.random((50, 12)) < 0.3).astype(int)
    truth[0] = 0
    scores = rng.random((50, 12))
    train = (rng.random((80, 12)) < np.linspace(0.1, 0.9, 12)).astype(int)
    table = table_of(
        attributes.attribute_statistics(
            truth, {MODEL: scores}, train, with_ones(image_weights(50, 100, rng)), ks=(1, 3)
        )
    )
    order = {"m": scores, "constant prior": np.tile(train.mean(0), (50, 1))}
    for k in (1, 3):
        for model, given in order.items():
            each = []
            for i in range(1, 50):
                first = sorted(range(12), key=lambda j, row=given[i]: -row[j])[:k]
                each += [sum(truth[i][j] for j in first) / truth[i].sum()] if truth[i].any() else []
            assert found(table, "attributes", "recall", k, model)["value"] == pytest.approx(np.mean(each))
        p = truth.sum(1)[truth.any(1)]
        ceiling = found(table, "attributes", "recall", k, "ceiling")
        assert ceiling["value"] == pytest.approx((np.minimum(k, p) / p).mean())
        assert ceiling["n"] == len(p)


def test_with_six_positives_the_fifth_cannot_exceed_five_sixths(rng):
    truth = np.zeros((30, 48), int)
    for row in truth:
        row[rng.choice(48, 6, replace=False)] = 1
    table = table_of(
        attributes.attribute_statistics(truth, {}, truth, with_ones(image_weights(30, 20, rng)), ks=(1, 3, 5))
    )
    ceiling = table[table["model"] == "ceiling"]["value"]
    assert ceiling.tolist() == pytest.approx([1 / 6, 3 / 6, 5 / 6])


def test_three_tiers_equal_scikit_learn(rng):
    n = 400
    truth = {a.name: rng.integers(0, len(a), n) for a in SCHEMA}
    answers = {
        a.name: np.where(rng.random(n) < 0.4, rng.integers(0, len(a), n), truth[a.name]) for a in SCHEMA
    }
    table = table_of(
        attributes.three_tier_statistics(
            truth, {MODEL: answers}, SCHEMA, with_ones(image_weights(n, 100, rng))
        )
    )
    assert "three tiers category" not in set(table["task"])
    tiers = {"macro_f1": [], "na_f1": [], "visible_macro_f1": []}
    for a in SCHEMA.attributes[1:]:
        t, p, na = truth[a.name], answers[a.name], len(a) - 1
        visible = t != na
        wanted = {
            "macro_f1": metrics.f1_score(t, p, average="macro"),
            "na_f1": metrics.f1_score(t == na, p == na),
            # Over the classes that these images have; NA is a wrong answer and no class.
            "visible_macro_f1": metrics.f1_score(
                t[visible], p[visible], labels=np.unique(t[visible]), average="macro"
            ),
        }
        for metric, expected in wanted.items():
            assert found(table, f"three tiers {a.name}", metric)["value"] == pytest.approx(expected)
            tiers[metric].append(expected)
        assert found(table, f"three tiers {a.name}", "visible_macro_f1")["n"] == visible.sum()
    for metric, each in tiers.items():
        assert found(table, "three tiers mean", metric)["value"] == pytest.approx(np.mean(each))
        assert found(table, "three tiers mean", metric)["interval"].endswith("mean of 18 attributes")


def test_three_tiers_by_hand():
    schema = Schema("one", (SCHEMA["hat"],))  # no_hat, hat, na
    truth = {"hat": np.repeat([0, 0, 1, 2, 2], 5)}
    answers = {"hat": np.repeat([0, 2, 1, 2, 0], 5)}
    weights = np.ones((2, 25))
    table = table_of(attributes.three_tier_statistics(truth, {MODEL: answers}, schema, weights))
    assert found(table, "three tiers hat", "macro_f1")["value"] == pytest.approx((0.5 + 1 + 0.5) / 3)
    assert found(table, "three tiers hat", "na_f1")["value"] == pytest.approx(0.5)
    # Of the three fifths where it applies no_hat is right once, missed once: F1 2/3.
    assert found(table, "three tiers hat", "visible_macro_f1")["value"] == pytest.approx((2 / 3 + 1) / 2)


def test_an_attribute_that_always_applies_has_no_na_score(rng):
    schema = Schema("one", (SCHEMA["hat"],))
    truth = {"hat": np.repeat([0, 1, 1], 5)}
    table = table_of(attributes.three_tier_statistics(truth, {MODEL: truth}, schema, np.ones((2, 15))))
    assert found(table, "three tiers hat", "na_f1")["interval"] == "not estimable"
    assert np.isnan(found(table, "three tiers mean", "na_f1")["value"])


def test_the_f1_of_a_rare_class_is_not_scored():
    schema = Schema("one", (SCHEMA["hat"],))
    truth = {"hat": np.repeat([0, 1, 2], [10, 8, 4])}  # four have none, too few for an F1
    answers = {"hat": np.where(np.arange(22) == 0, 1, truth["hat"])}
    scored = attributes.three_tier_statistics(truth, {MODEL: answers}, schema, np.ones((2, 22)))
    table = table_of(scored)
    wanted = metrics.f1_score(truth["hat"], answers["hat"], average=None)
    row = found(table, "three tiers hat", "macro_f1")
    assert (
        row["value"] == pytest.approx(wanted[:2].mean()) and "over 2 classes with 5 images" in row["interval"]
    )
    assert np.isnan(found(table, "three tiers hat", "na_f1")["value"])
    # Other images decide: there no hat and na are common.
    support = {"hat": np.repeat([0, 1, 2], [9, 4, 6])}
    others = attributes.three_tier_statistics(
        truth, {MODEL: answers}, schema, np.ones((2, 22)), support=support
    )
    row = found(table_of(others), "three tiers hat", "macro_f1")
    assert row["value"] == pytest.approx(wanted[[0, 2]].mean())
    # Which class where it applies: of one class there is nothing to ask.
    assert np.isnan(found(table_of(others), "three tiers hat", "visible_macro_f1")["value"])
