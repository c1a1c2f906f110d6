"""Agreement between annotators, held against scikit-learn, the krippendorff package and known examples."""

import krippendorff
import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from swatchbook.evaluation.agreement import (
    agreement_table,
    cohen_kappa,
    coincidences,
    gwet_ac1,
    krippendorff_alpha,
    raw_agreement,
)
from swatchbook.evaluation.resample import table
from swatchbook.schema import Attribute, Schema

SCHEMA = Schema("test", (Attribute("head", {c: c for c in "abc"}, ("{}",), "zero_shot", 0.4, "ours"),))


def sheet(**annotators: str) -> pd.DataFrame:
    """An audit from one letter an image; a dot is "can't tell"."""
    rows = [
        {"image_id": f"{i:03}", "annotator": who, "head": None if letter == "." else letter}
        for who, letters in annotators.items()
        for i, letter in enumerate(letters)
    ]
    return pd.DataFrame(rows, columns=["image_id", "annotator", "head"])


def agreement(audit, rng):
    return agreement_table(audit, SCHEMA)


def test_skewed_labels_deflate_kappa_and_not_ac1():
    """Two annotators who agree on 118 of 125 images, in a table that is nearly one class."""
    counts = np.array([[118, 5], [2, 0]])
    assert raw_agreement(counts) == pytest.approx(118 / 125)
    chance = (123 * 120 + 2 * 5) / 125**2
    assert cohen_kappa(counts) == pytest.approx((118 / 125 - chance) / (1 - chance))
    assert cohen_kappa(counts) < 0
    assert gwet_ac1(counts) == pytest.approx((0.944 - 2 * 0.972 * 0.028) / (1 - 2 * 0.972 * 0.028))


def test_kappa_equals_scikit_learns(rng):
    for _ in range(20):
        a, b = rng.integers(0, 5, (2, 60))
        theirs = cohen_kappa_score(a, b, labels=range(5))
        assert cohen_kappa(table(a, b, (5, 5))) == pytest.approx(theirs, abs=1e-10)
        weight = rng.uniform(0, 3, 60)
        theirs = cohen_kappa_score(a, b, labels=range(5), sample_weight=weight)
        assert cohen_kappa(table(a, b, (5, 5), weight)) == pytest.approx(theirs, abs=1e-10)


@pytest.mark.parametrize("annotators", [2, 3, 5])
def test_alpha_equals_the_krippendorff_package(annotators, rng):
    for _ in range(20):
        codes = rng.integers(-1, 4, (annotators, 40))
        data = np.where(codes < 0, np.nan, codes.astype(float))
        theirs = krippendorff.alpha(data, level_of_measurement="nominal")
        ours = krippendorff_alpha(coincidences(codes, 4).sum(0))
        assert ours == pytest.approx(theirs, abs=1e-10)


def test_the_table_gives_every_pair_and_all_together(rng):
    frame = agreement(sheet(one="aabbcca", two="aabbcab", three="aab.caa"), rng)
    assert list(zip(frame["a"], frame["b"], strict=True)) == (
        [("one", "three")] * 4 + [("one", "two")] * 4 + [("three", "two")] * 4 + [("all", "all")]
    )
    pair = frame[(frame["a"] == "one") & (frame["b"] == "three")].set_index("statistic")
    assert (pair["n"] == 6).all()
    assert pair.loc["agreement", "value"] == pytest.approx(5 / 6)
    assert pair.loc["kappa", "value"] == pytest.approx(cohen_kappa_score(list("aabcca"), list("aabcaa")))
    data = [[0, 0, 1, 1, 2, 2, 0], [0, 0, 1, 1, 2, 0, 1], [0, 0, 1, np.nan, 2, 0, 0]]
    together = krippendorff.alpha(np.array(data), level_of_measurement="nominal")
    assert frame["value"].iloc[-1] == pytest.approx(together, abs=1e-10)


def test_intervals_hold_the_value_and_cover_no_agreement_beyond_chance():
    rng = np.random.default_rng(4)
    covered = []
    for _ in range(150):
        letters = np.array(list("abc"))
        one, two = ("".join(letters[rng.choice(3, 150, p=[0.6, 0.3, 0.1])]) for _ in "12")
        frame = agreement(sheet(one=one, two=two), rng).set_index("statistic")
        assert (frame["low"] <= frame["value"]).all() and (frame["value"] <= frame["high"]).all()
        covered.append(frame.loc["kappa", "low"] <= 0 <= frame.loc["kappa", "high"])
    assert 0.9 <= np.mean(covered) <= 0.99


def test_perfect_agreement_is_not_known_for_certain(rng):
    frame = agreement(sheet(one="aabbc" * 4, two="aabbc" * 4), rng).set_index("statistic")
    assert (frame["value"] == 1).all() and (frame["high"] == 1).all()
    assert 0.8 < frame.loc["agreement", "low"] < 0.9  # Wilson, 20 of 20
    # One disagreement in so many is Wilson's; over the chance of one it is what kappa may lack.
    apart = (1 - frame.loc["agreement", "low"]) / (1 - (0.4**2 + 0.4**2 + 0.2**2))
    assert frame.loc["kappa", "low"] == pytest.approx(1 - apart, abs=1e-12)
    assert (frame.loc[["ac1", "alpha"], "low"].between(0.6, 0.9)).all()


def test_a_class_that_hangs_on_one_image_leaves_no_end_open(rng):
    """Without that image kappa and alpha are not defined, and so no jackknife would be."""
    frame = agreement(sheet(one="a" * 30, two="a" * 29 + "b"), rng)
    assert len(frame) == 4 and np.isfinite(frame[["value", "low", "high"]]).all(axis=None)


@pytest.mark.parametrize("n", [60, 210])
def test_intervals_of_near_perfect_agreement_have_ends_and_cover_the_truth(n):
    """Annotators of skewed classes who agree in .985: resampling leaves 43 % of lower ends open at 60."""
    rng, covered = np.random.default_rng(8), {s: [] for s in ("agreement", "kappa", "ac1", "alpha")}
    margin, letters = np.array([0.5, 0.3, 0.2]), np.array(list("abc"))
    differ = np.outer(margin, margin) * (1 - np.eye(3))
    joint = 0.985 * np.diag(margin) + 0.015 * differ / differ.sum()
    joint = (joint + joint.T) / 2
    true = {"agreement": np.trace(joint), "kappa": cohen_kappa(joint), "ac1": gwet_ac1(joint)}
    true["alpha"] = true["kappa"]
    for _ in range(400):
        one, two = np.divmod(rng.choice(9, n, p=joint.ravel() / joint.sum()), 3)
        frame = agreement(sheet(one="".join(letters[one]), two="".join(letters[two])), rng)
        for row in frame.itertuples():
            assert np.isfinite([row.low, row.high]).all() and row.low < row.high <= 1
            covered[row.statistic].append(row.low <= true[row.statistic] <= row.high)
    for hits in covered.values():
        assert 0.93 - 0.025 <= np.mean(hits) <= 0.97 + 0.02


def test_no_agreement_at_all_is_not_known_for_certain(rng):
    frame = agreement(sheet(one="aabbc" * 4, two="bbcca" * 4), rng).set_index("statistic")
    row = frame.loc["agreement"]
    assert (row["value"], row["low"]) == (0, 0)
    assert row["high"] == pytest.approx(binomtest(0, 20).proportion_ci(method="wilson").high)


def test_one_annotator_is_not_estimable(rng):
    frame = agreement(sheet(one="aabbc"), rng)
    assert list(frame["statistic"]) == ["agreement", "kappa", "ac1", "alpha"]
    assert frame["value"].isna().all() and (frame["interval"] == "not estimable: one annotator").all()


def test_nothing_judged_is_not_estimable(rng):
    assert (agreement(sheet(), rng)["interval"] == "not estimable: empty audit").all()
    blank = agreement(sheet(one="..a", two="ab."), rng)
    assert (
        blank["value"].isna().all() and (blank["interval"] == "not estimable: no image judged by both").all()
    )


def test_one_class_leaves_kappa_and_alpha_undefined(rng):
    frame = agreement(sheet(one="aaaa", two="aaaa"), rng).set_index("statistic")
    assert frame.loc[["agreement", "ac1"], "value"].tolist() == [1, 1]
    assert frame.loc[["kappa", "alpha"], "value"].isna().all()
    assert frame.loc["kappa", "interval"] == "not estimable: one class only"


def test_bad_audits_are_refused(rng):
    good = sheet(one="ab", two="ab")
    with pytest.raises(ValueError, match="annotator 'one' judged image '000' twice"):
        agreement(pd.concat([good, good.head(1)], ignore_index=True), rng)
    with pytest.raises(ValueError, match="no annotator in row 1"):
        agreement(good.assign(annotator=["one", None, "two", "two"]), rng)
    with pytest.raises(ValueError, match="no column 'annotator'"):
        agreement(good.drop(columns="annotator"), rng)
    with pytest.raises(ValueError, match="'z' in row 0 is not in the schema"):
        agreement(good.assign(head=["z", "a", "a", "a"]), rng)
