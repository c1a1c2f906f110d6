"""Risk against coverage: hand-computed curves and bands that hold; and the true temperature."""

import numpy as np
import pytest

from swatchbook.drawn.latent import draw_rows
from swatchbook.evaluation.confidence import expected_calibration_error
from swatchbook.evaluation.labelling import risk_coverage
from swatchbook.evaluation.resample import image_weights
from swatchbook.evaluation.temperature import fit_temperature


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
    with pytest.raises(ValueError, match="confidence must be finite"):
        risk_coverage([0.1, np.nan], [1, 0], weights)
    with pytest.raises(ValueError, match="correct must be 0 or 1"):
        risk_coverage([0.1, 0.2], [1, 2], weights)
    with pytest.raises(ValueError, match=r"weights must have shape \(B, 3\)"):
        risk_coverage([0.1, 0.2, 0.3], [1, 0, 1], weights)
    with pytest.raises(ValueError, match="labels: none given"):
        fit_temperature(np.zeros((2, 3)), np.array([-1, -1]))
    with pytest.raises(ValueError, match="logits must be finite"):
        fit_temperature(np.full((2, 3), np.inf), np.array([0, 1]))
    with pytest.raises(ValueError, match=r"logits \(n, K\), labels \(n,\)"):
        fit_temperature(np.zeros((2, 3)), np.array([0]))


def test_the_calibration_error_equals_a_value_worked_out_by_hand():
    # Ten labels of confidence .95, seven right; ten of .65, six right: half of .25 and half of .05.
    sure = np.repeat([0.95, 0.65], 10)
    right = np.array([1] * 7 + [0] * 3 + [1] * 6 + [0] * 4)
    assert expected_calibration_error(sure, right) == pytest.approx(0.15)
