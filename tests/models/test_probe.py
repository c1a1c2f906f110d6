"""Linear probes against logistic regressions that are fitted one by one."""

from functools import partial

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.preprocessing import StandardScaler

from swatchbook.evaluation.scores import accuracy, macro_f1
from swatchbook.models.probe import STRENGTHS, probe_probabilities
from swatchbook.schema import Attribute, Schema

SCHEMA = Schema(
    "two",
    tuple(
        Attribute(name, dict.fromkeys(classes, name), ("{}",), "folder", None, "ours")
        for name, classes in {"colour": ("red", "blue", "green"), "fit": ("loose", "tight")}.items()
    ),
)
SCORES = {"probe": lambda counts: float(accuracy(counts)), "probe_balanced": lambda c: float(macro_f1(c))}


def test_a_probe_is_the_logistic_regression_that_held_out_images_choose(rng):
    codes = {"colour": rng.choice(2, 260, p=[0.8, 0.2]), "fit": np.zeros(260, int)}
    features = rng.normal(size=(300, 8)) * rng.uniform(1, 50, 8)
    features[:260, 0] += 40 * codes["colour"]
    scaled = StandardScaler().fit(features[:200]).transform(features)
    metrics = {"probe": accuracy_score, "probe_balanced": partial(f1_score, average="macro")}
    found = dict(probe_probabilities(features, (200, 60), codes, SCHEMA, SCORES))
    assert list(found) == ["probe", "probe_balanced"]
    for name, weights in (("probe", None), ("probe_balanced", "balanced")):
        table, truth = found[name], codes["colour"]
        alone = [
            LogisticRegression(C=c, class_weight=weights, tol=1e-8, max_iter=1000).fit(
                scaled[:200], truth[:200]
            )
            for c in STRENGTHS
        ]
        held = [model.predict(scaled[200:260]) for model in alone]
        reached = [metrics[name](truth[200:], answers) for answers in held]
        best = alone[int(np.argmax(reached))]
        assert table[["colour:red", "colour:blue"]].to_numpy() == pytest.approx(
            best.predict_proba(scaled[260:]), abs=2e-3
        )
        assert (table["colour:green"] == 0).all()  # no image has it
        assert (table["fit:loose"] == 1).all() and (table["fit:tight"] == 0).all()
