"""Scores held against hand-computed tables and scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from swatchbook.drawn.latent import World
from swatchbook.evaluation import scores
from swatchbook.evaluation.resample import image_weights, percentile_interval, rao_wu_weights, table, tables


def codes_of(schema, rng, n=400, abstain=0.1, noise=0.3):
    """A made-up reference with abstentions, and predictions that are wrong at a known rate."""
    world = World.random({a.name: len(a) for a in schema}, rng, concentration=1.0)
    reference = world.sample(n, rng)
    predicted = {
        a.name: np.where(rng.random(n) < noise, rng.integers(0, len(a), n), reference[a.name]).astype(
            np.int16
        )
        for a in schema
    }
    for name in schema.names[1:]:
        reference[name] = np.where(rng.random(n) < abstain, -1, reference[name]).astype(np.int16)
    return reference, predicted


def test_f1_of_a_hand_computed_table():
    counts = np.array([[8, 2, 0], [1, 5, 0], [0, 0, 0]])
    assert scores.f1(counts)[:2] == pytest.approx([16 / 19, 10 / 13])
    assert np.isnan(scores.f1(counts)[2])
    assert scores.macro_f1(counts) == pytest.approx((16 / 19 + 10 / 13) / 2)
    assert scores.weighted_f1(counts) == pytest.approx((10 * 16 / 19 + 6 * 10 / 13) / 16)
    assert scores.accuracy(counts) == pytest.approx(13 / 16)
    assert scores.precision(counts)[:2] == pytest.approx([8 / 9, 5 / 7])
    assert scores.recall(counts)[:2] == pytest.approx([0.8, 5 / 6])


def test_a_class_the_reference_holds_but_nobody_predicts_scores_zero_and_counts():
    counts = np.array([[4, 0], [3, 0]])
    assert scores.f1(counts)[1] == 0
    assert scores.macro_f1(counts) == pytest.approx((8 / 11) / 2)
    assert np.isnan(scores.precision(counts)[1])


def test_an_empty_table_is_not_estimable():
    for score in (scores.accuracy, scores.macro_f1, scores.weighted_f1):
        assert np.isnan(score(np.zeros((3, 3))))


def test_scores_equal_scikit_learn(schema, rng):
    reference, predicted = codes_of(schema, rng)
    for a in schema:
        kept = reference[a.name] >= 0
        truth, guess = reference[a.name][kept], predicted[a.name][kept]
        counts = table(reference[a.name], predicted[a.name], (len(a), len(a)))
        held = sorted(set(truth))
        for name, ours in scores.WHOLE_HEAD.items():
            if name == "accuracy":
                theirs = metrics.accuracy_score(truth, guess)
            else:
                average = name.removesuffix("_f1")
                theirs = metrics.f1_score(truth, guess, labels=held, average=average)
            assert ours(counts) == pytest.approx(theirs, abs=1e-12), (a.name, name)
        assert np.array_equal(counts, metrics.confusion_matrix(truth, guess, labels=range(len(a))))


def test_renaming_classes_and_reordering_rows_leave_scores(schema, rng):
    reference, predicted = codes_of(schema, rng)
    a = schema["color"]
    truth, guess, k = reference[a.name], predicted[a.name], len(a)
    base = table(truth, guess, (k, k))
    renamed = rng.permutation(k)
    shuffled = rng.permutation(len(truth))
    other = table(np.where(truth < 0, -1, renamed[truth])[shuffled], renamed[guess][shuffled], (k, k))
    assert scores.macro_f1(other) == pytest.approx(scores.macro_f1(base), abs=1e-12)
    assert scores.f1(other)[renamed] == pytest.approx(scores.f1(base), abs=1e-12, nan_ok=True)


def test_a_perfect_model_scores_one_and_shuffled_predictions_score_chance(schema, rng):
    reference, _ = codes_of(schema, rng, n=20_000)
    weights = image_weights(20_000, 20, rng)
    perfect = {name: np.maximum(codes, 0) for name, codes in reference.items()}
    shuffled = {name: rng.permutation(codes) for name, codes in perfect.items()}
    found = scores.score_table(reference, {"perfect": perfect, "shuffled": shuffled}, schema, weights)
    whole = found[(found["class"] == "all") & (found["metric"] == "accuracy")].set_index(["model", "head"])[
        "value"
    ]
    for a in schema:
        assert whole["perfect", a.name] > 0.99
        margins = [
            np.bincount(c[reference[a.name] >= 0], minlength=len(a))
            for c in (perfect[a.name], shuffled[a.name])
        ]
        chance = (margins[0] * margins[1]).sum() / margins[0].sum() ** 2
        assert whole["shuffled", a.name] == pytest.approx(chance, abs=4 * np.sqrt(chance / 20_000))


def test_every_class_of_the_schema_has_its_row_even_if_it_never_occurs(schema, rng):
    reference, predicted = codes_of(schema, rng)
    reference["color"] = np.where(reference["color"] == 3, 4, reference["color"]).astype(np.int16)
    found = scores.score_table(reference, {"m": predicted}, schema, image_weights(400, 50, rng))
    row = found[(found["class"] == "navy") & (found["metric"] == "f1")].iloc[0]
    assert np.isnan(row["value"]) and row["interval"] == "not estimable" and row["n"] == 0
    by_class = found[found["metric"] == "f1"]
    assert list(by_class["class"]) == [label for a in schema for label in a.classes]


def test_a_head_without_any_label_gives_nan_and_no_crash(schema, rng):
    reference, predicted = codes_of(schema, rng)
    reference["pattern"] = np.full(400, -1, np.int16)
    found = scores.score_table(reference, {"m": predicted}, schema, image_weights(400, 50, rng))
    head = found[(found["head"] == "pattern") & (found["class"] == "all")]
    assert head["value"].isna().all() and (head["n"] == 0).all()
    assert found[(found["head"] == "all")]["n"].item() == 0


def test_all_right_counts_only_fully_labelled_images(schema):
    reference = {name: np.array([0, 1, -1], np.int16) for name in schema.names}
    predicted = {name: np.array([0, 0, 0], np.int16) for name in schema.names}
    assert scores.all_right(reference, predicted, schema).tolist() == [1, 0, -1]


def test_the_folder_baseline_leaves_the_image_itself_out(schema):
    reference = {name: np.array([0, 0, 1, 1], np.int16) for name in schema.names}
    folders = np.array(["a", "a", "a", "b"])
    answers = scores.folder_baseline(reference, folders, schema)["material"]
    # The odd one out of folder a sees two zeros; the lone image of folder b sees nothing.
    assert answers.tolist() == [0, 0, 0, 0]


def test_bootstrap_intervals_cover_accuracy_and_macro_f1(rng):
    """95 % intervals over 500 worlds cover the population's score in 93 to 97 of 100."""
    k, n, worlds = 4, 600, 500
    joint = rng.dirichlet(np.full(k, 2.0), size=k) * 0.3 + 0.7 * np.eye(k)
    joint *= np.array([0.4, 0.3, 0.2, 0.1])[:, None]
    covered = {"accuracy": 0, "macro_f1": 0}
    for _ in range(worlds):
        drawn = rng.multinomial(n, joint.ravel())
        replicates = rng.multinomial(n, drawn / n, size=400).reshape(-1, k, k)
        for name in covered:
            low, high = percentile_interval(scores.WHOLE_HEAD[name](replicates))
            covered[name] += low <= scores.WHOLE_HEAD[name](joint) <= high
    for name, hits in covered.items():
        assert 0.93 <= hits / worlds <= 0.97, (name, hits / worlds)


def test_weighted_tables_of_replicates_equal_a_loop(rng):
    a, b = rng.integers(-1, 3, 50), rng.integers(-1, 4, 50)
    weights = image_weights(50, 7, rng)
    slow = np.zeros((7, 3, 4))
    for w in range(7):
        for i in range(50):
            if a[i] >= 0 and b[i] >= 0:
                slow[w, a[i], b[i]] += weights[w, i]
    assert np.array_equal(tables(a, b, (3, 4), weights), slow)


def test_clusters_are_drawn_together(rng):
    weights = image_weights(6, 100, rng, clusters=np.array(["x", "x", "y", "z", "z", "z"]))
    assert np.array_equal(weights[:, 0], weights[:, 1])
    assert np.array_equal(weights[:, 3], weights[:, 5])
    assert (weights[:, [0, 2, 3]].sum(1) == 3).all()


def test_rao_wu_weights_have_the_right_mean_and_variance(rng):
    strata = np.repeat([0, 1, 2], [10, 4, 1])
    weights = rao_wu_weights(strata, 40_000, rng)
    values = rng.normal(size=15)
    for h, size in ((0, 10), (1, 4)):
        means = (weights * values)[:, strata == h].mean(1)
        assert means.mean() == pytest.approx(values[strata == h].mean(), abs=0.02)
        assert means.var() == pytest.approx(values[strata == h].var(ddof=1) / size, rel=0.05)
    assert (weights[:, 14] == 1).all()


def test_the_same_seed_gives_the_same_table(schema, rng):
    reference, predicted = codes_of(schema, rng)
    runs = [
        scores.score_table(
            reference, {"m": predicted}, schema, image_weights(400, 60, np.random.default_rng(7))
        )
        for _ in range(2)
    ]
    pd.testing.assert_frame_equal(*runs, check_exact=True)
