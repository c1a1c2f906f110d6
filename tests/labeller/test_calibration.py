"""Calibration of a labeller's cosines: known temperatures are found again, and only their classes are scaled."""

import json

import numpy as np
import pytest
from scipy import special

from swatchbook.labeller.calibration import CALIBRATION, Calibration, temperature
from swatchbook.schema import Attribute, Schema


def test_logits_that_are_four_times_too_sure_get_a_quarter():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (4000, 3))
    truth = np.array([rng.choice(3, p=p) for p in special.softmax(logits, axis=1)])
    assert temperature(4 * logits, truth) == pytest.approx(0.25, abs=0.015)
    # At the best factor the mean logit of the truth is the one that the softmax expects.
    factor = temperature(logits, truth)
    expected = (special.softmax(factor * logits, axis=1) * logits).sum(1).mean()
    assert logits[np.arange(4000), truth].mean() == pytest.approx(expected, abs=1e-4)


def test_cosines_are_scaled_only_for_the_classes_that_the_factor_was_fitted_with():
    classes = {"color": ["red", "blue"], "pattern": ["solid", "striped"]}
    schema = Schema(
        "s",
        tuple(
            Attribute(n, dict.fromkeys(c, "x"), ("{}",), "zero_shot", 0.0, "ours") for n, c in classes.items()
        ),
    )
    given = np.array([[0.2, 0.1, 0.3, 0.1]], np.float32)
    fitted = {"color": ["blue", "red"], "pattern": ["solid", "floral"]}
    found = Calibration({"color": 0.5, "pattern": 3.0}, fitted).apply(given, schema)
    assert found[0] == pytest.approx([0.1, 0.05, 0.3, 0.1]) and found.dtype == np.float32
    assert Calibration().apply(given, schema).tolist() == given.tolist()


def test_a_file_is_read_or_refused_by_name(tmp_path):
    assert Calibration.read(tmp_path) == Calibration()
    content = {"factors": {"color": 0.5}, "classes": {"color": ["red", "blue"]}}
    (tmp_path / CALIBRATION).write_text(json.dumps(content))
    assert Calibration.read(tmp_path) == Calibration(**content)
    for wrong, message in (
        ({**content, "factors": {"color": 0}}, "a factor above 0 for each attribute"),
        ({**content, "factors": {}}, "a factor above 0 for each attribute"),
        ([], "factors and classes by attribute are needed"),
        ({"factors": {"color": "x"}, "classes": {}}, "factors and classes by attribute are needed"),
    ):
        (tmp_path / CALIBRATION).write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match=f"calibration.json: {message}"):
            Calibration.read(tmp_path)
