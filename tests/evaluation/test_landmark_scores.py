"""Landmark error, group recall and consistency against hand-computed values, naive loops and scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics

from swatchbook.evaluation import landmarks
from swatchbook.evaluation.resample import image_weights

SLOTS = (
    "left_collar", "right_collar", "left_sleeve", "right_sleeve",
    "left_waistline", "right_waistline", "left_hem", "right_hem",
)  # fmt: skip


@pytest.fixture
def garments(rng):
    """Truth, visibility (0 in two of three) and predictions of 60 garments."""
    truth = rng.random((60, 8, 2))
    visibility = np.where(rng.random((60, 8)) < 2 / 3, 0, rng.choice([-1, 1, 2], (60, 8)))
    truth[visibility == -1] = np.nan
    return truth, visibility, np.nan_to_num(truth, nan=0.5) + rng.normal(0, 0.05, truth.shape)


def value(found, *key):
    return found[key].samples[0]


def test_the_error_is_the_mean_of_the_landmarks_means_over_visible_points(garments, rng):
    truth, visibility, points = garments
    found = landmarks.localisation(points, truth, visibility, SLOTS, image_weights(60, 100, rng), (0.05, 0.1))
    means, shares = [], []
    for j, slot in enumerate(SLOTS):
        each = []
        for i in range(60):
            if visibility[i, j] == 0:
                each.append(float(np.hypot(*(points[i, j] - truth[i, j]))))
        means.append(np.mean(each))
        shares.append(np.mean([d <= 0.05 for d in each]))
        assert value(found, "landmarks", slot, "normalized_error", np.nan) == pytest.approx(means[-1])
        assert value(found, "landmarks", slot, "pck", 0.05) == pytest.approx(shares[-1])
        assert found["landmarks", slot, "pck", 0.05].n == len(each)
    assert value(found, "landmarks", "mean", "normalized_error", np.nan) == pytest.approx(np.mean(means))
    assert value(found, "landmarks", "mean", "pck", 0.05) == pytest.approx(np.mean(shares))


def test_the_published_error_on_a_tiny_example():
    # A view of 224 pixels: arg max over size less one against the point over size.
    points = np.full((2, 8, 2), 0.0)
    truth = np.full((2, 8, 2), np.nan)
    visibility = np.full((2, 8), -1)
    points[0, 0], truth[0, 0], visibility[0, 0] = (100 / 223, 50 / 223), (112 / 224, 56 / 224), 0
    points[1, 0], truth[1, 0], visibility[1, 0] = (0.5, 0.5), (0.5, 0.5), 0
    points[1, 7], truth[1, 7], visibility[1, 7] = (0.3, 0.4), (0.0, 0.0), 0
    points[0, 7], truth[0, 7], visibility[0, 7] = (0.9, 0.9), (0.0, 0.0), 1  # occluded, so not scored
    found = landmarks.localisation(points, truth, visibility, SLOTS, np.ones((2, 2)))
    collar = np.hypot(100 / 223 - 0.5, 50 / 223 - 0.25) / 2
    assert value(found, "landmarks", "left_collar", "normalized_error", np.nan) == pytest.approx(collar)
    assert value(found, "landmarks", "right_hem", "normalized_error", np.nan) == pytest.approx(0.5)
    mean = found["landmarks", "mean", "normalized_error", np.nan]
    assert mean.samples[0] == pytest.approx((collar + 0.5) / 2)
    assert mean.note == "; mean of 2 of 8 landmarks"


def test_the_curve_rises_from_nothing_to_all(garments, rng):
    truth, visibility, points = garments
    thresholds = (0, 0.02, 0.05, 0.1, 0.2, 2)
    found = landmarks.localisation(points, truth, visibility, SLOTS, np.ones((2, 60)), thresholds)
    curve = [value(found, "landmarks", "mean", "pck", k) for k in thresholds]
    assert curve == sorted(curve)
    assert (curve[0], curve[-1]) == (0, 1)


def test_points_that_do_not_fit_are_refused(garments):
    truth, visibility, points = garments
    with pytest.raises(ValueError, match=r"points \(60, 7, 2\), truth .* allowed: \(60, 8, 2\)"):
        landmarks.localisation(points[:, :7], truth, visibility, SLOTS, np.ones((2, 60)))
    with pytest.raises(ValueError, match="a visible point has no coordinates"):
        landmarks.localisation(points, np.full_like(truth, np.nan), visibility, SLOTS, np.ones((2, 60)))


def test_group_recall_equals_a_naive_loop_micro_and_macro(rng):
    truth = (rng.random((40, 12)) < 0.2).astype(np.int8)
    truth[:, 11] = 0  # never positive: in no macro mean
    scores = rng.random((40, 12))
    groups = {"texture": np.arange(0, 5), "part": np.arange(5, 12)}
    found = landmarks.group_recall(scores, truth, groups, image_weights(40, 50, rng), ks=(3,))
    for name, columns in {**groups, "all": np.arange(12)}.items():
        hits, positives = np.zeros(len(columns)), np.zeros(len(columns))
        for i in range(40):
            first = sorted(columns, key=lambda j, row=scores[i]: -row[j])[:3]
            for c, j in enumerate(columns):
                positives[c] += truth[i, j]
                hits[c] += truth[i, j] and j in first
        assert value(found, "attributes", name, "recall", 3) == pytest.approx(hits.sum() / positives.sum())
        macro = np.mean([h / p for h, p in zip(hits, positives, strict=True) if p])
        assert value(found, "attributes", name, "macro_recall", 3) == pytest.approx(macro)
        assert found["attributes", name, "recall", 3].n == positives.sum()


def test_group_recall_on_a_tiny_example():
    # Two images, a group of three: of three positives the best scored two are found, at k = 1.
    truth = np.array([[1, 0, 1], [0, 1, -1]])
    scores = np.array([[0.9, 0.8, 0.1], [0.2, 0.7, 0.3]])
    found = landmarks.group_recall(scores, truth, {"style": np.arange(3)}, np.ones((2, 2)), ks=(1,))
    assert value(found, "attributes", "style", "recall", 1) == pytest.approx(2 / 3)
    assert value(found, "attributes", "style", "macro_recall", 1) == pytest.approx((1 + 1 + 0) / 3)


def test_category_top_k_is_scikit_learns(rng):
    scores, truth = rng.random((100, 9)), rng.integers(0, 9, 100)
    found = landmarks.category(scores, truth, image_weights(100, 50, rng))
    for k in (1, 3, 5):
        wanted = metrics.top_k_accuracy_score(truth, scores, k=k, labels=np.arange(9))
        assert value(found, "category", "all", "accuracy", k) == pytest.approx(wanted)


def test_a_shift_breaks_no_relation_and_exchanged_sides_break_symmetry(garments, rng):
    truth, visibility, _ = garments
    weights = image_weights(60, 50, rng)
    whole = np.nan_to_num(truth, nan=0.5)
    shifted = landmarks.consistency(whole + 0.2, truth, visibility, SLOTS, weights)
    assert value(shifted, "symmetry", "mean", "relation_error", np.nan) == pytest.approx(0, abs=1e-12)
    assert value(shifted, "kinematics", "mean", "relation_error", np.nan) == pytest.approx(0, abs=1e-12)
    swapped = landmarks.consistency(whole[:, [1, 0, 3, 2, 5, 4, 7, 6]], truth, visibility, SLOTS, weights)
    assert value(swapped, "symmetry", "mean", "swapped", np.nan) == 1
    both = (visibility[:, 0] == 0) & (visibility[:, 1] == 0)
    wanted = 2 * np.linalg.norm(truth[both, 1] - truth[both, 0], axis=1).mean()
    collars = swapped["symmetry", "left_collar to right_collar", "relation_error", np.nan]
    assert collars.samples[0] == pytest.approx(wanted)
    assert collars.n == both.sum()


def test_baselines_know_the_training_images_alone():
    truth = np.array([[[0.2, 0.4]], [[0.4, 0.8]], [[9.0, 9.0]]])
    mean = landmarks.mean_position(truth, np.array([[0], [0], [2]]), 4)
    assert mean.shape == (4, 1, 2)
    assert mean[3, 0] == pytest.approx([0.3, 0.6])
    ranking = landmarks.constant_scores(np.array([2, 2, 0, -1]), 3, classes=4)
    assert ranking.tolist() == [[1, 0, 2, 0]] * 3
    assert landmarks.constant_scores(np.array([[1, 0], [1, -1]]), 2).tolist() == [[2, 0]] * 2


def test_controls_are_compared_over_the_same_images_and_seeds(garments, rng):
    truth, visibility, _ = garments
    weights = image_weights(60, 300, rng)
    whole = np.nan_to_num(truth, nan=0.5)

    def trained(error, seed):
        noise = np.random.default_rng(seed).normal(0, error, truth.shape)
        return landmarks.localisation(whole + noise, truth, visibility, SLOTS, weights, (0.05,))

    trainings = {
        "mtl": {seed: trained(0.02, seed) for seed in (1, 2, 3)},
        "control": {seed: trained(0.04, seed + 10) for seed in (1, 2, 3)},
    }
    table = landmarks.landmark_scores(trainings)
    assert list(table) == landmarks.COLUMNS
    assert set(table["seed"]) == {"1", "2", "3", "mean"}
    rows = table.query("name == 'mean' and metric == 'normalized_error' and model == 'mtl'").set_index(
        "seed"
    )["value"]
    assert rows["mean"] == pytest.approx(rows[["1", "2", "3"]].mean())
    difference = landmarks.landmark_differences(trainings, "mtl")
    row = difference.query("name == 'mean' and metric == 'normalized_error'").iloc[0]
    assert (row["model"], row["baseline"]) == ("control", "mtl")
    assert row["low"] > 0
    # Errors of two-dimensional normal noise: σ√(π/2).
    assert row["value"] == pytest.approx(0.02 * np.sqrt(np.pi / 2), rel=0.1)
    assert "mean of 3 seeds, which deviate by" in row["interval"]
    with pytest.raises(ValueError, match=r"control has seeds \[1\], mtl \[1, 2, 3\]; allowed: the same"):
        landmarks.landmark_differences({**trainings, "control": {1: trained(0.04, 1)}}, "mtl")


def test_intervals_cover_the_truth_as_often_as_they_say(rng):
    covered, rounds = 0, 120
    for _ in range(rounds):
        truth = np.full((80, 8, 2), 0.5)
        points = truth + rng.normal(0, 0.05, truth.shape)
        found = landmarks.localisation(
            points, truth, np.zeros((80, 8)), SLOTS, image_weights(80, 200, rng), ()
        )
        samples = found["landmarks", "mean", "normalized_error", np.nan].samples
        low, high = np.quantile(samples[1:], [0.025, 0.975])
        covered += low <= 0.05 * np.sqrt(np.pi / 2) <= high
    assert covered / rounds == pytest.approx(0.95, abs=0.06)
