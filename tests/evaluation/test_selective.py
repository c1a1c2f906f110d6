"""Abstention: hand-computed curves, thresholds that keep their promise, and the true temperature."""

import numpy as np
import pytest

from swatchbook.drawn.latent import draw_rows
from swatchbook.evaluation.resample import image_weights
from swatchbook.evaluation.selective import (
    NOTHING,
    fit_temperature,
    largest_coverage_naive,
    learn_then_test,
    risk_coverage,
)

ALPHA, DELTA = 0.2, 0.1


def items(n, rng):
    """Confidence uniform on [0, 1], right with probability .45 + .55 c."""
    confidence = rng.random(n)
    return confidence, rng.random(n) < 0.45 + 0.55 * confidence


def true_risk(threshold):
    """Risk of accepting confidence ≥ threshold among `items`: the mean of .55 (1 − c) above it."""
    return 0.55 * (1 - threshold) / 2


def test_the_curve_and_its_area_equal_hand_computed_values(rng):
    curve = risk_coverage([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 1], image_weights(4, 30, rng))
    risk, area = curve[curve["statistic"] == "risk"], curve.iloc[-1]
    assert risk["threshold"].tolist() == [0.9, 0.8, 0.7, 0.6]
    assert risk["coverage"].tolist() == [0.25, 0.5, 0.75, 1]
    assert risk["value"].tolist() == pytest.approx([0, 0, 1 / 3, 1 / 4])
    assert risk["n"].tolist() == [1, 2, 3, 4]
    assert area["statistic"] == "aurc" and area["value"] == pytest.approx((1 / 3 + 1 / 4) / 4)


def test_items_of_equal_confidence_are_accepted_together(rng):
    curve = risk_coverage([0.5, 0.9, 0.5, 0.5], [0, 1, 1, 1], image_weights(4, 30, rng))
    assert curve["threshold"].tolist()[:-1] == [0.9, 0.5]
    assert curve["value"].tolist() == pytest.approx([0, 1 / 4, 3 / 4 * 1 / 4])
    assert largest_coverage_naive([0.5, 0.9, 0.5, 0.5], [0, 1, 1, 1], 0.2).accepted == 1
    turned = risk_coverage([0.9, 0.5, 0.5, 0.5], [1, 1, 1, 0], np.ones((2, 4)))
    assert turned["value"].tolist() == pytest.approx(curve["value"].tolist())


def test_the_band_holds_the_estimate_and_covers_the_true_risk():
    rng = np.random.default_rng(8)
    covered = []
    for _ in range(400):
        confidence, correct = items(600, rng)
        curve = risk_coverage(confidence, correct, image_weights(600, 400, rng), points=20)
        risk = curve[curve["statistic"] == "risk"]
        assert (risk["low"] <= risk["value"]).all() and (risk["value"] <= risk["high"]).all()
        middle = risk.iloc[10]
        covered.append(middle["low"] <= true_risk(middle["threshold"]) <= middle["high"])
    assert 0.93 <= np.mean(covered) <= 0.97


def test_a_confidence_that_ranks_well_has_the_smaller_area(rng):
    confidence, correct = items(2000, rng)
    weights = image_weights(2000, 2, rng)
    area = risk_coverage(confidence, correct, weights).iloc[-1]["value"]
    shuffled = risk_coverage(rng.permutation(confidence), correct, weights).iloc[-1]["value"]
    assert area < 0.7 * shuffled
    assert shuffled == pytest.approx(1 - correct.mean(), abs=0.04)


@pytest.mark.parametrize("n", [210, 600])
def test_learn_then_test_keeps_its_promise_and_the_naive_threshold_does_not(n):
    rng = np.random.default_rng(n)
    broken, naive_broken, coverage = [], [], []
    for _ in range(500):
        confidence, correct = items(n, rng)
        safe = learn_then_test(confidence, correct, ALPHA, DELTA)
        naive = largest_coverage_naive(confidence, correct, ALPHA)
        broken.append(safe.accepted > 0 and true_risk(safe.value) > ALPHA)
        naive_broken.append(true_risk(naive.value) > ALPHA)
        coverage.append(safe.coverage)
    assert np.mean(broken) <= DELTA + 2 * np.sqrt(DELTA * (1 - DELTA) / 500)
    assert np.mean(naive_broken) > 0.4
    # The promise is not kept by accepting nothing; the best threshold would accept .73.
    assert np.mean(coverage) > 0.4


def test_fifty_nine_items_without_an_error_certify_five_percent_and_fifty_eight_do_not():
    for n, certified in ((59, True), (58, False)):
        chosen = learn_then_test(np.linspace(0, 1, n), np.ones(n), 0.05, 0.05, start_coverage=1)
        assert (chosen.coverage == 1) is certified
        assert chosen.accepted == (n if certified else 0)


def test_the_walk_stops_at_the_first_threshold_that_fails():
    confidence = np.arange(200)[::-1]
    correct = np.ones(200)
    correct[100:120] = 0  # twenty errors in a row, then none
    chosen = learn_then_test(confidence, correct, 0.1, 0.1, start_coverage=0.3, step=0.1)
    assert chosen.accepted == 100 and chosen.errors == 0 and chosen.value == 100
    assert largest_coverage_naive(confidence, correct, 0.1).accepted == 200


def test_nothing_is_accepted_where_nothing_can_be_certified():
    assert learn_then_test(np.arange(50), np.zeros(50), 0.2, 0.1) == NOTHING
    assert largest_coverage_naive(np.arange(50), np.zeros(50), 0.2) == NOTHING
    assert not (np.arange(50) >= NOTHING.value).any()


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_fit_recovers_the_true_temperature(temperature):
    rng = np.random.default_rng(17)
    logits = rng.normal(0, 3, (8000, 6))
    p = np.exp(logits / temperature)
    labels = draw_rows(p / p.sum(1, keepdims=True), rng)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)
    weights = rng.uniform(0.5, 4, 8000)
    assert fit_temperature(logits, labels, weights) == pytest.approx(temperature, rel=0.05)
    biased = 1 + 9 * (labels == logits.argmax(1))
    assert fit_temperature(logits, labels, biased) < 0.9 * temperature


def test_weights_are_repeats_and_unlabelled_items_are_left_out(rng):
    logits, labels = rng.normal(0, 2, (300, 4)), rng.integers(-1, 4, 300)
    repeats = rng.integers(0, 4, 300)
    repeated = fit_temperature(np.repeat(logits, repeats, axis=0), np.repeat(labels, repeats))
    assert fit_temperature(logits, labels, repeats) == pytest.approx(repeated, rel=1e-4)
    kept = labels >= 0
    assert fit_temperature(logits, labels) == pytest.approx(
        fit_temperature(logits[kept], labels[kept]), rel=1e-6
    )


def test_bad_input_is_refused(rng):
    weights = np.ones((3, 2))
    with pytest.raises(ValueError, match="one entry an item, at least one"):
        risk_coverage([], [], weights)
    with pytest.raises(ValueError, match="one entry an item, at least one"):
        learn_then_test([0.1, 0.2], [1], ALPHA, DELTA)
    with pytest.raises(ValueError, match="confidence must be finite"):
        largest_coverage_naive([0.1, np.nan], [1, 0], ALPHA)
    with pytest.raises(ValueError, match="correct must be 0 or 1"):
        risk_coverage([0.1, 0.2], [1, 2], weights)
    with pytest.raises(ValueError, match=r"weights must have shape \(B, 3\)"):
        risk_coverage([0.1, 0.2, 0.3], [1, 0, 1], weights)
    with pytest.raises(ValueError, match=r"alpha must lie between 0 and 1; received 1\.2"):
        learn_then_test([0.1], [1], 1.2, DELTA)
    with pytest.raises(ValueError, match=r"start_coverage must lie in \(0, 1\]; received 0"):
        learn_then_test([0.1], [1], ALPHA, DELTA, start_coverage=0)
    with pytest.raises(ValueError, match="labels: none given"):
        fit_temperature(np.zeros((2, 3)), np.array([-1, -1]))
    with pytest.raises(ValueError, match="logits must be finite"):
        fit_temperature(np.full((2, 3), np.inf), np.array([0, 1]))
    with pytest.raises(ValueError, match=r"logits \(n, K\), labels \(n,\)"):
        fit_temperature(np.zeros((2, 3)), np.array([0]))
