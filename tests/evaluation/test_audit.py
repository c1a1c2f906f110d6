"""The audit of the silver labels: hand-computed scores, honest intervals, and samples that are unbiased."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from statsmodels.stats.proportion import proportion_confint

from swatchbook.drawn.latent import draw_rows
from swatchbook.evaluation.audit import audit_table, draw_sample, power_table
from swatchbook.evaluation.misclassification import reconciled, without_errors
from swatchbook.evaluation.resample import table
from swatchbook.evaluation.scores import macro_f1
from swatchbook.evaluation.weighted_scores import abstention_tables
from swatchbook.schema import Attribute, Schema

STRATA = np.repeat(np.arange(21), [200] * 17 + [197, 60, 57, 46])


def schema_of(*classes: str) -> Schema:
    surface = {c: c for c in classes}
    return Schema("test", (Attribute("head", surface, ("{}",), "zero_shot", 0.4, "ours"),))


def audit(schema, human, silver, stratum=None, weight=None, **options):
    n = len(human)
    return audit_table(
        {"head": np.asarray(human, dtype=np.int16)},
        {"head": np.asarray(silver, dtype=np.int16)},
        schema,
        stratum=np.zeros(n) if stratum is None else stratum,
        weight=np.ones(n) if weight is None else np.asarray(weight, dtype=float),
        **options,
    )


def value(frame, statistic, label="all", abstained="wrong", weighting="none"):
    return row(frame, statistic, label, abstained, weighting)["value"]


def row(frame, statistic, label="all", abstained="wrong", weighting="none"):
    wanted = (frame["statistic"] == statistic) & (frame["class"] == label)
    wanted &= (frame["abstained"] == abstained) & (frame["weighting"] == weighting)
    (found,) = frame[wanted].to_dict("records")
    return found


def finite_world(rng, k=6, accuracy=0.88, abstention=0.06):
    """Truth and silver labels of a whole split whose strata differ."""
    prior = 0.8 * rng.dirichlet(np.full(k, 3.0)) + 0.2 / k
    theta = 0.85 * rng.dirichlet(prior * k, size=21) + 0.15 * prior
    truth = draw_rows(theta[STRATA], rng)
    confusion = np.eye(k) * accuracy + (1 - accuracy) * rng.dirichlet(np.ones(k), size=k)
    silver = draw_rows(confusion[truth], rng)
    return truth, np.where(rng.random(len(truth)) < abstention, -1, silver)


ABC = schema_of("a", "b", "c")
HUMAN = [0, 0, 0, 1, 1, 2, -1]
SILVER = [0, 0, 1, 1, -1, 2, 0]
WEIGHT = [1, 1, 1, 3, 3, 1, 9]


def test_a_small_audit_equals_the_scores_computed_by_hand():
    frame = audit(ABC, HUMAN * 4, SILVER * 4, weight=WEIGHT * 4)
    assert value(frame, "accuracy") == pytest.approx(4 / 6)
    assert [value(frame, "f1", c) for c in "abc"] == pytest.approx([4 / 5, 1 / 2, 1])
    assert value(frame, "macro_f1") == pytest.approx(2.3 / 3)
    assert value(frame, "weighted_f1") == pytest.approx((3 * 0.8 + 2 * 0.5 + 1) / 6)
    assert [value(frame, "recall", c) for c in "abc"] == pytest.approx([2 / 3, 1 / 2, 1])
    assert [value(frame, "precision", c) for c in "abc"] == pytest.approx([1, 1 / 2, 1])
    assert value(frame, "macro_f1", abstained="left_out") == pytest.approx((4 / 5 + 2 / 3 + 1) / 3)
    assert value(frame, "accuracy", abstained="left_out") == pytest.approx(4 / 5)
    assert value(frame, "coverage", abstained="left_out") == pytest.approx(5 / 6)
    assert value(frame, "accuracy", weighting="design") == pytest.approx(6 / 10)
    assert [value(frame, "f1", c, weighting="design") for c in "abc"] == pytest.approx([0.8, 0.6, 1])
    assert value(frame, "macro_f1", weighting="design") == pytest.approx(0.8)
    assert value(frame, "coverage", abstained="left_out", weighting="design") == pytest.approx(7 / 10)


def test_n_counts_the_images_behind_each_statistic():
    frame = audit(ABC, HUMAN, SILVER)
    assert row(frame, "macro_f1")["n"] == 6
    assert row(frame, "macro_f1", abstained="left_out")["n"] == 5
    assert [row(frame, "f1", c)["n"] for c in "abc"] == [3, 2, 1]
    assert [row(frame, "precision", c)["n"] for c in "abc"] == [2, 2, 1]


def test_an_abstention_as_an_extra_class_only_divides_the_macro_mean():
    frame = audit(ABC, HUMAN, SILVER)
    assert value(frame, "macro_f1", abstained="extra_class") == pytest.approx(2.3 / 4)
    for same in ("accuracy", "weighted_f1"):
        assert value(frame, same, abstained="extra_class") == value(frame, same)


def test_the_extra_class_is_what_a_library_without_a_schema_computes(rng):
    for unused in (False, True):
        human, silver = rng.integers(0, 5 - unused, 90), rng.integers(-1, 5, 90)
        frame = audit(schema_of(*"abcde"), human, silver)
        default = metrics.f1_score(human, silver, average="macro", zero_division=0)
        assert value(frame, "macro_f1", abstained="extra_class") == pytest.approx(default, abs=1e-12)


def test_scores_equal_scikit_learns_on_the_schemas_classes(rng):
    human, silver, weight = rng.integers(0, 5, 120), rng.integers(-1, 5, 120), rng.uniform(1, 5, 120)
    frame = audit(schema_of(*"abcde"), human, silver, weight=weight)
    for weighting, w in (("none", None), ("design", weight)):
        options = {"labels": range(5), "sample_weight": w, "zero_division": 0}
        for average in ("macro", "weighted"):
            theirs = metrics.f1_score(human, silver, average=average, **options)
            assert value(frame, f"{average}_f1", weighting=weighting) == pytest.approx(theirs, abs=1e-12)
        for name in ("f1", "precision", "recall"):
            theirs = getattr(metrics, f"{name}_score")(human, silver, average=None, **options)
            ours = [value(frame, name, c, weighting=weighting) for c in "abcde"]
            assert ours == pytest.approx(theirs, abs=1e-12)


def test_the_order_of_images_does_not_change_a_score(rng):
    human, silver, weight = rng.integers(0, 3, 60), rng.integers(-1, 3, 60), rng.uniform(1, 5, 60)
    turned = rng.permutation(60)
    one = audit(ABC, human, silver, weight=weight)
    other = audit(ABC, human[turned], silver[turned], weight=weight[turned])
    assert one["value"].to_numpy() == pytest.approx(other["value"].to_numpy(), abs=1e-12, nan_ok=True)


def test_the_same_seed_gives_the_same_table(rng):
    human, silver = rng.integers(0, 3, 60), rng.integers(-1, 3, 60)
    pd.testing.assert_frame_equal(audit(ABC, human, silver), audit(ABC, human, silver), check_exact=True)


def test_every_interval_holds_its_value(rng):
    for _ in range(5):
        truth, silver = finite_world(rng)
        drawn, weight = draw_sample(STRATA, 10, rng)
        classes = schema_of(*"abcdef")
        frame = audit(classes, truth[drawn], silver[drawn], STRATA[drawn], weight).dropna(subset=["value"])
        assert (frame["low"] <= frame["value"]).all() and (frame["value"] <= frame["high"]).all()
        assert frame["low"].min() >= 0 and frame["high"].max() <= 1


def test_a_class_without_an_error_still_has_an_interval():
    frame = audit(ABC, [0] * 8 + [1] * 5 + [2] * 4, [0] * 8 + [1] * 5 + [-1] * 4)
    for label, n in (("a", 8), ("b", 5)):
        low = proportion_confint(n, n, method="wilson")[0]
        recall, f1 = row(frame, "recall", label), row(frame, "f1", label)
        assert (recall["low"], recall["high"]) == pytest.approx((low, 1), abs=1e-12)
        assert (f1["low"], f1["high"]) == pytest.approx((2 * low / (1 + low), 1), abs=1e-12)
    missed = row(frame, "recall", "c")
    assert (missed["low"], missed["high"]) == pytest.approx(
        proportion_confint(0, 4, method="wilson"), abs=1e-12
    )
    perfect = row(audit(ABC, [0, 1, 2] * 4, [0, 1, 2] * 4), "macro_f1")
    assert perfect["low"] < 0.8 and perfect["high"] == 1


def test_a_class_nobody_judged_is_not_estimable_and_not_zero():
    frame = audit(schema_of(*"abcde"), [0, 0, 1, 1, 2, 2, 3, 3] * 4, [0, 0, 1, 4, 2, 2, 3, 3] * 4)
    lost = row(frame, "f1", "e")
    assert np.isnan([lost["value"], lost["low"], lost["high"]]).all()
    assert lost["n"] == 0 and lost["interval"].startswith("not estimable")
    macro = row(frame, "macro_f1")
    assert macro["value"] == pytest.approx((1 + 2 / 3 + 1 + 1) / 4) and "4 of 5 classes" in macro["interval"]


def test_nothing_is_known_of_a_class_that_nobody_judged_and_that_may_occur():
    """Sixty of sixty right in three classes of four: the fourth may still be all wrong."""
    classes, right = schema_of(*"abcd"), np.arange(60) % 3
    split = {"head": np.concatenate([right, [3] * 5])}
    known = row(audit(classes, right, right), "macro_f1")
    open_ = row(audit(classes, right, right, population=split), "macro_f1")
    assert known["low"] > 0.9
    # A quarter of the mean rests on no image: Wilson at one over (¾)² / 60 + (¼)².
    size = 1 / (0.75**2 / 60 + 0.25**2)
    assert open_["low"] == pytest.approx(proportion_confint(size, size, method="wilson")[0], abs=1e-9)


def test_macro_f1_is_not_estimable_where_too_many_classes_lack_a_judged_image():
    """A mean over the classes that happened to be judged says nothing of the others."""
    macro = row(audit(ABC, [0, 0, 1, 1] * 5, [0, 0, 1, 2] * 5), "macro_f1")
    assert np.isnan(macro["value"]) and macro["interval"] == "not estimable: 2 of 3 classes judged"


def test_the_share_labelled_is_counted_where_the_split_is_known():
    split = {"head": np.array([0] * 70 + [-1] * 30)}
    frame = audit(ABC, [0, 1, 2, 0, 1], [0, 1, 2, 0, 1], population=split)
    found = row(frame, "coverage", abstained="left_out", weighting="design")
    assert (found["value"], found["low"], found["high"], found["n"]) == (0.7, 0.7, 0.7, 100)
    assert found["interval"] == "counted"


def test_a_perfect_labeller_has_no_interval_without_width_and_none_beyond_one(rng):
    weight = rng.uniform(1, 9, 60)
    frame = audit(ABC, np.arange(60) % 3, np.arange(60) % 3, stratum=np.arange(60) % 7, weight=weight)
    frame = frame[frame["low"].notna() & (frame["class"] == "all") & (frame["statistic"] != "coverage")]
    assert (frame["high"] <= 1).all() and (frame["high"] - frame["low"] > 0.02).all()


def test_what_the_scores_would_be_if_the_annotator_erred_is_given_beside_them():
    """90 of 100 right by an annotator who errs in 5 %: (.9 − .05 / 2) / (1 − .05 · 3 / 2) are right."""
    human, silver = np.arange(100) % 3, np.arange(100) % 3
    silver[:10] = (silver[:10] + 1) % 3
    found = row(audit(ABC, human, silver), "accuracy")
    centre = (0.9 - 0.05 / 2) / (1 - 0.05 * 1.5)
    assert found["low_if_5"] < centre < found["high_if_5"]
    assert found["low_if_5"] > found["low_if_3"] > found["low_if_1"] > found["low"]
    assert "annotator taken to be right" in found["interval"]


def test_two_judgements_are_reconciled_by_the_label_that_goes_with_either():
    """20 images of class a and 20 of b are labelled rightly; then both sides of a dispute are judged a and b."""
    first, second = np.r_[[0] * 20, [1] * 20, 0, 1, 2], np.r_[[0] * 20, [1] * 20, 1, 0, 2]
    label = np.r_[[0] * 20, [1] * 20, 1, 1, -1]
    codes, error = reconciled(first, second, label, 3)
    assert codes.tolist() == [0] * 20 + [1] * 20 + [1, 1, 2]
    assert error.n == 43 and error.once == 0 and error.low < error.value < error.high
    # Two who err in ε each and name one of K − 1 others alike differ in 1 − (1 − ε)² − ε² / (K − 1).
    differ = 1 - (1 - error.value) ** 2 - error.value**2 / 2
    assert differ == pytest.approx(2 / 43)


def test_images_judged_once_keep_their_share_of_the_annotators_errors():
    rng = np.random.default_rng(3)
    first = rng.integers(0, 3, 200)
    second = np.where(np.arange(200) < 50, first, -1)
    second[:3] = (first[:3] + 1) % 3
    codes, error = reconciled(first, second, first, 3)
    assert error.once == 0.75 and (codes == first).all()
    few, unknown = reconciled(first, np.where(np.arange(200) < 9, first, -1), first, 3)
    assert unknown is None and (few == first).all()


def test_errors_taken_out_of_a_table_leave_the_expected_table_of_the_truth():
    """Of 1,000 images an annotator errs in ε; the expected table of the judgements gives the true one back."""
    truth = np.array([[400.0, 60, 40], [10, 250, 30], [5, 3, 2], [0, 0, 0]]) @ np.eye(3, 4)
    truth[:3, 3] = (100, 90, 10)
    for error in (0.01, 0.05):
        judged = truth.copy()
        judged[:3] = (1 - error) * truth[:3] + error / 2 * (truth[:3].sum(0) - truth[:3])
        assert without_errors(judged, error) == pytest.approx(truth, abs=1e-9)
    assert without_errors(truth, np.array([0.0, 0.1])).shape == (2, 4, 4)


def test_a_rare_class_is_scored_rightly_although_the_annotator_errs():
    """Twelve classes, one of them 1 %: an annotator who errs in 3 % hides .04 of macro-F1 unless judged twice."""
    share = np.array([26, 18, 14, 11, 8, 6, 5, 4, 3, 2.4, 1.6, 1.0])
    schema, rng = schema_of(*"abcdefghijkl"), np.random.default_rng(11)
    bias, covered = {"once": [], "twice": [], "if 3": []}, {"once": [], "twice": [], "if 3": []}
    for _ in range(150):
        truth = rng.choice(12, 3000, p=share / share.sum())
        label = np.where(rng.random(3000) < 0.08, rng.integers(0, 12, 3000), truth)
        known = float(macro_f1(np.pad(table(truth, label, (12, 12)), (0, 1))))
        at = rng.choice(3000, 210, replace=False)
        one, two = (
            np.where(rng.random(210) < 0.03, (truth[at] + rng.integers(1, 12, 210)) % 12, truth[at])
            for _ in "12"
        )
        once = row(audit(schema, one, label[at]), "macro_f1")
        twice = row(audit(schema, one, label[at], second={"head": two}), "macro_f1")
        ends = {"once": (once["low"], once["high"]), "twice": (twice["low"], twice["high"])}
        ends["if 3"] = once["low_if_3"], once["high_if_3"]
        for how, (low, high) in ends.items():
            covered[how].append(low <= known <= high)
        bias["once"].append(once["value"] - known)
        bias["twice"].append(twice["value"] - known)
    assert np.mean(bias["once"]) < -0.03 and abs(np.mean(bias["twice"])) < 0.015
    assert np.mean(covered["once"]) < 0.85
    assert np.mean(covered["twice"]) >= 0.9 and np.mean(covered["if 3"]) >= 0.9


def test_the_errors_of_an_annotator_who_judged_twice_are_taken_out():
    """An annotator who errs in 3 %: trusting them covers the labeller's accuracy in .85 of audits."""
    rng, covered = np.random.default_rng(5), {"trusted": [], "twice": []}
    for _ in range(300):
        truth = rng.integers(0, 3, 210)
        label = np.where(rng.random(210) < 0.05, (truth + rng.integers(1, 3, 210)) % 3, truth)
        one, two = (
            np.where(rng.random(210) < 0.03, (truth + rng.integers(1, 3, 210)) % 3, truth) for _ in "12"
        )
        for how, second in (("trusted", None), ("twice", {"head": two})):
            found = row(audit(ABC, one, label, second=second), "accuracy")
            covered[how].append(found["low"] <= 0.95 <= found["high"])
    assert np.mean(covered["trusted"]) < 0.8 and np.mean(covered["twice"]) >= 0.93


@pytest.mark.parametrize("size", [0, 1, 12])
def test_an_empty_or_blank_audit_is_not_estimable(size):
    frame = audit(ABC, np.full(size, -1), np.zeros(size))
    assert frame[["value", "low", "high"]].isna().all().all()
    assert (frame["interval"] == "not estimable: never judged").all() and (frame["n"] == 0).all()
    assert set(frame["class"]) == {"all", "a", "b", "c"}


def test_a_head_of_one_class_is_scored():
    frame = audit(schema_of("only"), [0, 0, 0] * 3, [0, 0, -1] * 3)
    assert value(frame, "accuracy") == pytest.approx(2 / 3)
    assert value(frame, "f1", "only") == pytest.approx(0.8)


@pytest.mark.parametrize("weight", [[1, 0], [1, -2], [1, np.nan], [1, np.inf]])
def test_a_weight_that_is_not_positive_is_refused(weight):
    with pytest.raises(ValueError, match="weight must be positive and finite; received"):
        audit(ABC, [0, 1], [0, 1], weight=weight)


def test_parts_of_different_length_are_refused():
    with pytest.raises(ValueError, match="silver: head has 1 entries; the audit has 2 images"):
        audit(ABC, [0, 1], [0])
    with pytest.raises(ValueError, match="weight must have one entry an image"):
        audit(ABC, [0, 1], [0, 1], weight=[1, 1, 1])


def test_intervals_cover_the_truth():
    """600 audits of ten images from each of 21 unequal strata, in six finite worlds."""
    rng = np.random.default_rng(3)
    covered = {"accuracy": [], "macro_f1": []}
    for _ in range(6):
        truth, silver = finite_world(rng)
        full = audit(schema_of(*"abcdef"), truth, silver)
        for _ in range(100):
            drawn, weight = draw_sample(STRATA, 10, rng)
            options = {"stratum": STRATA[drawn], "weight": weight}
            frame = audit(schema_of(*"abcdef"), truth[drawn], silver[drawn], **options)
            for statistic, hits in covered.items():
                found = row(frame, statistic, weighting="design")
                hits.append(found["low"] <= value(full, statistic) <= found["high"])
    for statistic, hits in covered.items():
        assert 0.93 <= np.mean(hits) <= 0.97, statistic


def test_a_drawn_sample_is_equal_per_stratum_and_stands_for_the_split(rng):
    drawn, weight = draw_sample(STRATA, 50, rng)
    assert len(np.unique(drawn)) == len(drawn)
    assert (np.bincount(STRATA[drawn]) == [50] * 20 + [46]).all()
    assert np.bincount(STRATA[drawn], weight) == pytest.approx(np.bincount(STRATA), abs=1e-9)
    with pytest.raises(ValueError, match="per_stratum must be at least 1"):
        draw_sample(STRATA, 0, rng)
    with pytest.raises(ValueError, match="strata not empty"):
        draw_sample([], 1, rng)


def test_the_power_table_foretells_the_spread_of_real_audits():
    rng = np.random.default_rng(11)
    truth, silver = finite_world(rng, k=5, accuracy=0.75)
    schema = schema_of(*"abcde")
    seen, foretold = [], []
    for i in range(300):
        drawn, weight = draw_sample(STRATA, 10, rng)
        counts = abstention_tables(truth[drawn], silver[drawn], 5, weight[None])
        seen.append(macro_f1(counts)[0])
        if i < 12:
            table = power_table(
                {"head": truth[drawn]},
                {"head": silver[drawn]},
                schema,
                stratum=STRATA[drawn],
                weight=weight,
                rng=rng,
                sizes=(210,),
                designs=("stratified",),
                draws=1000,
                audits=2,
            )
            foretold.append(table["value"].iloc[0])
    assert np.mean(foretold) == pytest.approx(1.96 * np.std(seen), rel=0.15)


def test_four_times_the_judgements_halve_the_interval(rng):
    truth, silver = finite_world(rng, k=5, accuracy=0.75)
    drawn, weight = draw_sample(STRATA, 10, rng)
    table = power_table(
        {"head": truth[drawn]},
        {"head": silver[drawn]},
        schema_of(*"abcde"),
        stratum=STRATA[drawn],
        weight=weight,
        rng=rng,
        sizes=(250, 1000),
        draws=8000,
        audits=4,
    )
    assert list(table["design"]) == ["simple", "simple", "stratified", "stratified"]
    width = table["value"].to_numpy()
    assert width[0] / width[1] == pytest.approx(2, rel=0.1)
    assert width[2] / width[3] == pytest.approx(2, rel=0.1)
    assert (table["low"] <= table["high"]).all() and (table["n"] == 210).all()


@pytest.mark.parametrize("size", [0, 1, 30])
def test_power_without_judgements_is_not_estimable(size, rng):
    blank = {"head": np.full(size, -1)}
    table = power_table(blank, blank, ABC, stratum=np.zeros(size), weight=np.ones(size), rng=rng)
    assert table["value"].isna().all() and len(table) == 12
    assert (table["interval"] == "not estimable: never judged").all()


def test_power_from_a_handful_of_judgements_does_not_fail(rng):
    options = {"stratum": np.zeros(12), "weight": np.ones(12), "rng": rng, "draws": 100}
    silver = {"head": np.arange(12) % 3}
    two = power_table({"head": np.where(np.arange(12) < 2, 0, -1)}, silver, ABC, **options)
    assert (two["n"] == 2).all() and two["value"].notna().all()
    one = power_table({"head": np.where(np.arange(12) < 1, 0, -1)}, silver, ABC, **options)
    assert one["value"].isna().all() and (one["interval"] == "not estimable: one judged image").all()


def test_an_impossible_design_is_refused(rng):
    one = {"head": np.zeros(4)}
    options = {"stratum": np.zeros(4), "weight": np.ones(4), "rng": rng}
    with pytest.raises(ValueError, match="design 'quota' is unknown; allowed: simple, stratified"):
        power_table(one, one, ABC, designs=("quota",), **options)
    with pytest.raises(ValueError, match="sizes must be at least 2"):
        power_table(one, one, ABC, sizes=(1,), **options)


def published_audit(folder, schema):
    sheet = pd.read_csv(folder / "audit.csv")
    judged = schema_of_judged(schema)
    human, silver = (
        judged.encode(
            pd.DataFrame({a.name: sheet[f"{kind}_{a.name}"].where(lambda c: c != "unknown") for a in judged})
        )
        for kind in ("gt", "vlm")
    )
    return judged, human, silver, sheet["class"].to_numpy()


def schema_of_judged(schema):
    return replace(schema, attributes=tuple(a for a in schema if a.name != "material"), folders={})


def test_the_published_audit_gives_the_printed_numbers_and_the_corrected_ones(published_dir, schema):
    judged, human, silver, stratum = published_audit(published_dir, schema)
    frame = audit_table(
        human,
        silver,
        judged,
        stratum=stratum,
        weight=np.ones(len(stratum)),
    )
    printed = pd.read_csv(published_dir / "audit_accuracy.csv", index_col=0)
    correct = {"color": (0.971, 0.971), "pattern": (0.937, 0.967), "texture": (0.817, 0.841)}
    for name, (wrong, left_out) in correct.items():
        head = frame[frame["attribute"] == name]
        assert row(head, "accuracy")["n"] == printed.loc[name, "n_eval"]
        assert round(100 * value(head, "accuracy"), 1) == printed.loc[name, "accuracy"]
        for statistic in ("macro_f1", "weighted_f1"):
            found = value(head, statistic, abstained="extra_class")
            assert round(found, 3) == pytest.approx(printed.loc[name, statistic], abs=1e-9)
        assert round(value(head, "macro_f1"), 3) == wrong
        assert round(value(head, "macro_f1", abstained="left_out"), 3) == left_out
