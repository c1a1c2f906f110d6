"""Estimates beside a truth that is known: which row is held against what."""

import numpy as np
import pandas as pd
import pytest

from swatchbook.evaluation.association import cramers_v
from swatchbook.evaluation.known import KNOWN, known_coupling, known_scores, known_table
from swatchbook.evaluation.resample import table


@pytest.fixture
def world(schema, rng):
    n = 400
    truth = {a.name: rng.integers(0, len(a), n).astype(np.int16) for a in schema}
    wrong = rng.random(n) < 0.25
    silver = {k: np.where(wrong, -1, v).astype(np.int16) for k, v in truth.items()}
    return truth, {"silver": silver, "m": truth}


def estimates(
    model: str, head: str, statistic: str, low: float, high: float, estimator: str = "post_stratified"
):
    row = {"model": model, "head": head, "class": "all", "statistic": statistic, "estimator": estimator}
    return {**row, "value": (low + high) / 2, "low": low, "high": high, "n": 50, "interval": "x"}


def pairs(truth, schema, shift: float) -> pd.DataFrame:
    rows = []
    for a, b in schema.pairs:
        counts = table(truth[a], truth[b], (len(schema[a]), len(schema[b])))
        v = float(cramers_v(counts, correct=False))
        ends = {"low": v + shift - 0.01, "high": v + shift + 0.01}
        rows.append(
            {
                "model": "truth",
                "a": a,
                "b": b,
                "statistic": "v_rectified",
                "value": v + shift,
                **ends,
                "n": 50,
                "interval": "x",
            }
        )
    return pd.DataFrame(rows)


def test_an_estimate_is_held_against_what_is_true_of_the_test_images(schema, world):
    truth, labels = world
    given = float((labels["silver"]["color"] >= 0).mean())
    rows = [
        estimates("silver", "color", "accuracy", given - 0.01, given + 0.01),
        estimates("m", "color", "accuracy", 0.5, 0.9),
        estimates("m", "color", "macro_f1", 0.95, 1.0),
        estimates("m", "color", "accuracy", 0.7, 1.0, "bound"),
        estimates("m", "color", "accuracy", 0.0, 1.0, "direct"),
    ]
    exact = pd.DataFrame([{"a": a, "b": b, "value": 0.5} for a, b in schema.pairs])
    found = known_table(
        truth, labels, schema, truth=pd.DataFrame(rows), rectified=pairs(truth, schema, 0.0), known_v=exact
    )
    assert found["known"][:4].tolist() == pytest.approx([given, 1, 1, 1])
    assert found["covered"][:4].tolist() == [True, False, True, True]
    assert len(found) == 4 + 6 and found["covered"][4:].all()
    assert (found["world"][4:] == 0.5).all()
    shifted = known_table(
        truth, labels, schema, truth=pd.DataFrame(rows), rectified=pairs(truth, schema, 0.05), known_v=exact
    )
    assert not shifted["covered"][4:].any()


def test_scores_are_counted_from_the_truth_of_every_image(schema, world):
    truth, labels = world
    rows = known_scores(truth, labels, schema)
    assert len(rows) == 2 * len(schema.names) * 2 and set(rows["estimator"]) == set(rows["reference"]) == {
        KNOWN
    }
    of = rows.set_index(["model", "head", "statistic"])["value"]
    assert of["m", "color", "accuracy"] == of["m", "texture", "macro_f1"] == 1
    assert of["silver", "color", "accuracy"] == float((labels["silver"]["color"] >= 0).mean())
    assert set(rows["n"]) == {400}


def test_coupling_is_counted_from_the_truth_of_every_image(schema, world):
    truth, _ = world
    rows = known_coupling(truth, schema).set_index(["a", "b"])["value"]
    signed = [
        float(cramers_v(table(truth[a], truth[b], (len(schema[a]), len(schema[b]))), truncate=False))
        for a, b in schema.pairs
    ]
    assert [rows[pair] for pair in schema.pairs] == [max(v, 0.0) for v in signed]
    assert rows["all", "all"] == pytest.approx(np.mean(signed))
