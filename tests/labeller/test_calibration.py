"""Calibration of a labeller's cosines, against its formula and scikit-learn's temperature."""

import json

import numpy as np
import pytest
from scipy import special

from swatchbook.labeller.calibration import CALIBRATION, Calibration, fit
from swatchbook.schema import Attribute, Schema


def schema_of(**classes):
    return Schema(
        "s",
        tuple(
            Attribute(n, dict.fromkeys(c, "x"), ("{}",), "zero_shot", 0.0, "ours") for n, c in classes.items()
        ),
    )


def test_too_sure_logits_are_found_out_and_a_class_that_is_rarer_than_they_say():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (4000, 3))
    shift = np.array([1.0, 0.0, -1.0])
    truth = np.array([rng.choice(3, p=p) for p in special.softmax(logits + shift, axis=1)])
    factor, added = fit(4 * logits, truth)
    assert factor == pytest.approx(0.25, abs=0.015)
    assert added == pytest.approx(shift, abs=0.1) and added.sum() == pytest.approx(0, abs=1e-9)


def test_a_class_that_was_never_seen_is_held_near_the_others():
    logits = np.tile([0.0, 0.0, 0.0], (50, 1))
    _, added = fit(logits, np.repeat([0, 1], 25))
    assert added[0] == pytest.approx(added[1]) and -6 < added[2] < added[0]


def test_cosines_are_corrected_only_for_the_classes_that_it_was_fitted_with():
    schema = schema_of(color=["red", "blue"], pattern=["solid", "striped"])
    given = np.array([[0.2, 0.1, 0.3, 0.1]], np.float32)
    calibration = Calibration(
        {"color": 0.5, "pattern": 3.0},
        {"color": {"blue": 0.02, "red": -0.02}, "pattern": {"solid": 1.0, "floral": 0.0}},
    )
    assert calibration.apply(given, schema)[0] == pytest.approx([0.08, 0.07, 0.3, 0.1])
    assert Calibration().apply(given, schema).tolist() == given.tolist()


def test_a_file_is_read_or_refused_by_name(tmp_path):
    assert Calibration.read(tmp_path) == Calibration()
    content = {"factors": {"color": 0.5}, "added": {"color": {"red": 0.1, "blue": -0.1}}}
    (tmp_path / CALIBRATION).write_text(json.dumps(content))
    assert Calibration.read(tmp_path) == Calibration(**content)
    for wrong, message in (
        ({**content, "factors": {"color": 0}}, "a factor above 0 for each attribute"),
        ({**content, "factors": {}}, "a factor above 0 for each attribute"),
        ([], "factors and added, numbers by attribute, are needed"),
        ({"factors": {"color": "x"}, "added": {}}, "factors and added, numbers by attribute, are needed"),
    ):
        (tmp_path / CALIBRATION).write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match=f"calibration.json: {message}"):
            Calibration.read(tmp_path)
