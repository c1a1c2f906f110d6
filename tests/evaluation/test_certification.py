"""What an audit certifies: promises that are kept, risks that are weighted, and calibration that was not seen."""

import numpy as np
import pandas as pd
import pytest
from benchmarks.audit_designs import PUBLISHED, drawn_split, lognormal_sizes, promises
from scipy import special, stats

from swatchbook.audit.designs import draw_within, make_design
from swatchbook.drawn.latent import draw_rows
from swatchbook.evaluation.certification import (
    COLUMNS,
    NOTHING,
    binomial_tail,
    certify_thresholds,
    effective_risk,
    folds,
    halves,
    risk_interval,
    statements,
    thresholds_at,
    weighted_learn_then_test,
)
from swatchbook.evaluation.confidence import expected_calibration_error
from swatchbook.evaluation.temperature import (
    calibrated,
    calibration_table,
    cross_fitted,
    fit_temperature,
    fit_temperature_and_bias,
)
from swatchbook.schema import Attribute, Schema

SCHEMA = Schema.load()
ONE = Schema("one", (Attribute("head", {c: c for c in "abcd"}, ("{}",), "zero_shot", 0.4, "ours"),))


def audit_of(n, rng, right=lambda c: 0.5 + 0.5 * c, people=None):
    """A simple random sample of a large split: codes, confidences, and the split's own confidences."""
    sure, population = rng.random(n), rng.random(20_000)
    label = rng.integers(0, 4, n)
    human = np.where(rng.random(n) < right(sure), label, (label + 1) % 4)
    return {
        "human": {"head": human if people is None else people},
        "label": {"head": label},
        "confidence": {"head": sure},
        "population": {"head": population},
        "stratum": np.zeros(n),
        "weight": np.full(n, 20_000 / n),
    }


def certified(audit, rng, **options):
    parts = (audit[name] for name in ("human", "label", "confidence", "population"))
    design = {"stratum": audit["stratum"], "weight": audit["weight"]}
    return certify_thresholds(*parts, ONE, rng=rng, **{**design, **options})


def row(table, statistic):
    (found,) = table[table["statistic"] == statistic].to_dict("records")
    return found


# --- thresholds ---------------------------------------------------------------------------------------------


def test_the_table_holds_promise_coverage_and_the_risk_of_the_other_half(rng):
    audit = audit_of(2000, rng)
    table, thresholds = certified(audit, np.random.default_rng(1), alpha=0.2)
    assert list(table) == COLUMNS and set(thresholds) == {"head"}
    t = thresholds["head"]
    assert row(table, "threshold")["value"] == t and row(table, "threshold")["n"] == 1000
    counted = row(table, "coverage")
    assert counted["value"] == counted["low"] == counted["high"] == (audit["population"]["head"] >= t).mean()
    other = ~halves(audit["stratum"], np.random.default_rng(1)) & (audit["confidence"]["head"] >= t)
    wrong = audit["human"]["head"] != audit["label"]["head"]
    risk = row(table, "risk")
    assert risk["value"] == pytest.approx(wrong[other].mean()) and risk["n"] == other.sum()
    exact = stats.binomtest(int(wrong[other].sum()), int(other.sum())).proportion_ci(method="exact")
    assert (risk["low"], risk["high"]) == pytest.approx((exact.low, exact.high))
    assert row(table, "promised_risk")["high"] == 0.2
    # The true risk above t is (1 − t) / 4.
    assert (1 - t) / 4 < 0.2


def test_the_half_that_reports_has_no_say_in_the_choice(rng):
    audit = audit_of(1200, rng)
    _, before = certified(audit, np.random.default_rng(4), alpha=0.2)
    mine = halves(audit["stratum"], np.random.default_rng(4))
    label = audit["label"]["head"]
    audit["human"]["head"] = np.where(mine, audit["human"]["head"], (label + 1) % 4)
    table, after = certified(audit, np.random.default_rng(4), alpha=0.2)
    assert before == after and row(table, "risk")["value"] == 1


def test_the_sentence_says_what_the_table_says(rng):
    table, thresholds = certified(audit_of(3000, rng), rng, alpha=0.2, delta=0.05)
    sentence = statements(table)["head"]
    kept = int(np.floor(100 * row(table, "coverage")["value"]))
    start = (
        f"At {thresholds['head']:.3g}, {kept}% of head labels are kept, at most 20% wrong (95%); in the half"
    )
    assert sentence.startswith(start)
    risk = row(table, "risk")
    assert sentence.endswith(f"{risk['value']:.0%} were wrong ({risk['low']:.0%} to {risk['high']:.0%}).")


def test_coverage_is_rounded_down_in_the_sentence():
    common = {"attribute": "color", "low": 0.0, "high": 0.1, "n": 10}
    rows = [
        common | {"statistic": "threshold", "value": 0.47, "interval": "95% x"},
        common | {"statistic": "promised_risk", "value": 0.1, "interval": "95% x"},
        common | {"statistic": "coverage", "value": 0.7199, "interval": "counted"},
        common | {"statistic": "risk", "value": np.nan, "interval": "not estimable"},
    ]
    expected = "At 0.47, 71% of color labels are kept, at most 10% wrong (95%)."
    assert statements(pd.DataFrame(rows)) == {"color": expected}


def test_nothing_is_promised_where_nothing_can_be(rng):
    for audit in (
        audit_of(20, rng),
        audit_of(1000, rng, right=lambda c: 0.3),
        audit_of(50, rng, people=np.full(50, -1)),
    ):
        table, thresholds = certified(audit, rng)
        assert thresholds == {} and set(table["statistic"]) == {"threshold", "promised_risk"}
        assert np.isnan(row(table, "threshold")["value"]) and row(table, "promised_risk")["n"] == 0
        assert statements(table)["head"].startswith(
            "No threshold keeps head labels with at most 10% wrong (95%)"
        )


def test_unjudged_images_are_left_out_and_a_rule_has_no_threshold(rng):
    audit = audit_of(1500, rng)
    doubtful = audit["confidence"]["head"] < 0.5
    audit["human"]["head"] = np.where(doubtful, -1, audit["human"]["head"])
    table, _ = certified(audit, rng, alpha=0.2)
    assert row(table, "threshold")["n"] < 0.6 * 750
    audit["population"]["head"] = np.full(5, np.nan)
    table, thresholds = certified(audit, rng)
    assert table.empty and thresholds == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 0.0}, "alpha must lie between 0 and 1; received 0.0"),
        ({"delta": 1.0}, "delta must lie between 0 and 1"),
        ({"weight": np.zeros(60)}, "positive"),
        ({"weight": np.ones(59)}, "one entry an image"),
    ],
)
def test_what_makes_no_sense_is_refused(rng, change, message):
    with pytest.raises(ValueError, match=message):
        certified(audit_of(60, rng), rng, **change)
    audit = audit_of(60, rng)
    audit["population"]["head"] = np.array([0.5, 1.5])
    with pytest.raises(ValueError, match="0 to 1 is allowed"):
        certified(audit, rng)
    audit["confidence"]["head"] = np.ones(3)
    with pytest.raises(ValueError, match="3 entries; the audit has 60"):
        certified(audit, rng)


def test_halves_and_folds_are_even_in_every_stratum(rng):
    stratum = rng.integers(0, 30, 500)
    fold = folds(stratum, 5, rng)
    counts = np.zeros((30, 5), dtype=int)
    np.add.at(counts, (stratum, fold), 1)
    assert (counts.max(1) - counts.min(1)).max() <= 1
    total = counts.sum(0)
    assert total.max() - total.min() <= 1
    assert not np.array_equal(folds(stratum, 5, rng), fold)


def test_thresholds_keep_the_shares_asked_for():
    grid = thresholds_at(np.arange(1, 101) / 100, start=0.3, step=0.1)
    assert grid.tolist() == pytest.approx([0.71, 0.61, 0.51, 0.41, 0.31, 0.21, 0.11, 0.01])
    assert thresholds_at(np.array([0.9, 0.5, 0.5, 0.5])).tolist() == [0.5]


def test_equal_weights_give_the_exact_test(rng):
    for _ in range(50):
        n = 300
        sure = rng.random(n)
        correct = rng.random(n) < 0.4 + 0.6 * sure
        ours = weighted_learn_then_test(
            sure, correct, thresholds_at(sure), np.zeros(n), np.full(n, 7.0), alpha=0.2, delta=0.1
        )
        accepted = [sure >= t for t in thresholds_at(sure)]
        fails = [stats.binom.cdf((~correct[x]).sum(), x.sum(), 0.2) > 0.1 for x in accepted] + [True]
        last = fails.index(True)
        assert ours.accepted == (accepted[last - 1].sum() if last else 0)


def test_the_tail_is_the_binomial_one_at_whole_numbers():
    size = np.arange(1, 40)
    for errors in (0, 1, 3):
        expected = np.where(size > errors, stats.binom.cdf(errors, size, 0.13), 1)
        assert binomial_tail(np.full(39, float(errors)), size.astype(float), 0.13) == pytest.approx(expected)
    assert binomial_tail(np.array([np.nan, 0.0]), np.array([5.0, 0.0]), 0.1).tolist() == [1, 1]


def test_risk_and_effective_size_equal_hand_computed_values():
    accepted = np.array([[True, True, True, False], [False] * 4, [True] * 4])
    wrong = np.array([False, True, False, True])
    risk, size = effective_risk(accepted, wrong, np.array([0, 0, 1, 1]), np.array([1.0, 1, 4, 4]))
    assert risk[[0, 2]] == pytest.approx([1 / 6, 5 / 10]) and np.isnan(risk[1]) and size[1] == 0
    kish = 3 * 18 / 36
    influence = np.array([-1 / 6, 5 / 6, -4 / 6, 0])
    variance = (
        2 * ((influence[:2] - influence[:2].mean()) ** 2).sum() + 2 * ((influence[2:] + 1 / 3) ** 2).sum()
    )
    design = variance / 36 / (1 / 6 * 5 / 6 / 3 * 4 / 3)
    assert size[0] == pytest.approx(3 / max(kish, design, 1))


def test_errors_in_heavy_strata_make_the_effective_size_smaller_than_the_weights_do():
    stratum, weight = np.repeat([0, 1], 50), np.repeat([1.0, 9.0], 50)
    light, heavy = np.zeros(100, bool), np.zeros(100, bool)
    light[:10], heavy[50:60] = True, True
    (size_light, size_heavy) = (
        effective_risk(np.ones((1, 100), bool), x, stratum, weight)[1][0] for x in (light, heavy)
    )
    kish = 500**2 / (50 + 50 * 81)
    assert size_heavy < size_light == pytest.approx(kish)


def test_the_risks_interval_is_the_exact_one_and_a_clean_half_still_has_an_upper_end():
    for errors, n in ((0, 30), (4, 30), (30, 30)):
        exact = stats.binomtest(errors, n).proportion_ci(method="exact")
        assert risk_interval(errors / n, n, 0.95) == pytest.approx((exact.low, exact.high))
    assert risk_interval(0.0, 12.5, 0.95)[1] == pytest.approx(1 - 0.025 ** (1 / 12.5))


@pytest.mark.parametrize(
    "sizes", [PUBLISHED, lognormal_sizes(np.random.default_rng(5))], ids=["even", "uneven"]
)
def test_promises_are_kept_in_all_but_delta_of_audits_and_the_naive_threshold_breaks_its_own(sizes):
    table = promises(sizes, SCHEMA, seed=11, audits=400)
    assert (table["LTT broken"] <= table["allowed"]).all(), table.to_string()
    assert (table["naive broken"] > table["allowed"]).all(), table.to_string()
    assert (table["naive broken"] > 5 * table["LTT broken"]).all()
    # Exact for uneven fabrics, where a few images stand for most of the split and more of them tell less.
    assert (
        table.groupby("design")["LTT keeps"].diff().dropna() > (0.1 if sizes is PUBLISHED else 0.05)
    ).all()


def test_promises_are_kept_where_the_heavy_strata_hold_the_errors():
    """Two kinds of fabric with equal confidences; the many images of the large ones are worse labelled."""
    rng = np.random.default_rng(3)
    sizes = np.array([1200] * 2 + [60] * 19)
    fabric = np.repeat(np.arange(21), sizes)
    sure = rng.random(len(fabric))
    wrong = rng.random(len(fabric)) < np.where(fabric < 2, 0.55, 0.15) * (1 - 0.5 * sure)
    plan = make_design(
        pd.DataFrame({"image_id": np.arange(len(fabric)).astype(str), "folder": fabric.astype(str)}),
        None, SCHEMA, design="fabric", n=420,
    )  # fmt: skip
    weight = (np.bincount(plan.stratum) / plan.drawn)[plan.stratum]
    grid, broken, plain = thresholds_at(sure), [], []
    for _ in range(400):
        x = draw_within(plan.stratum, plan.drawn, rng)
        for made, w in ((broken, weight[x]), (plain, np.ones(len(x)))):
            t = weighted_learn_then_test(sure[x], ~wrong[x], grid, plan.stratum[x], w, alpha=0.3, delta=0.1)
            made.append(t != NOTHING and wrong[sure >= t.value].mean() > 0.3)
    assert np.mean(broken) <= 0.1 + 2 * np.sqrt(0.09 / 400)
    assert np.mean(plain) > 0.5  # weights are what keeps it


# --- temperature and bias -----------------------------------------------------------------------------------


def world(n, rng, temperature=2.5, bias=(1.0, -1.0, 0.5, -0.5)):
    """Logits that are off by a known temperature and known biases."""
    true = rng.normal(0, 2, (n, 4))
    labels = draw_rows(special.softmax(true + np.array(bias), axis=1), rng).astype(int)
    return true * temperature, labels


def calibrate(logits, labels, rng, **options):
    design = {"stratum": np.arange(len(labels)) % 20, "weight": np.full(len(labels), 5.0), "draws": 200}
    return calibration_table({"head": logits}, {"head": labels}, ONE, rng=rng, **{**design, **options})


def cell(table, calibration, statistic, label="all"):
    wanted = (
        (table["calibration"] == calibration) & (table["statistic"] == statistic) & (table["class"] == label)
    )
    (found,) = table[wanted].to_dict("records")
    return found


def test_temperature_and_bias_are_recovered(rng):
    logits, labels = world(20_000, rng)
    fit = fit_temperature_and_bias(logits, labels, np.ones(20_000))
    assert fit.temperature == pytest.approx(2.5, rel=0.05)
    assert fit.bias == pytest.approx([1, -1, 0.5, -0.5], abs=0.08)


def test_weights_undo_a_sample_that_is_not_like_the_split(rng):
    logits, labels = world(60_000, rng)
    rate = np.where(labels == 1, 0.9, 0.1)  # class 1 is sampled nine times as often
    taken = rng.random(60_000) < rate
    weighted = fit_temperature_and_bias(logits[taken], labels[taken], 1 / rate[taken])
    plain = fit_temperature_and_bias(logits[taken], labels[taken], np.ones(taken.sum()))
    assert weighted.bias == pytest.approx([1, -1, 0.5, -0.5], abs=0.15)
    assert plain.bias[1] > 0


def test_the_fit_is_a_minimum_and_does_not_depend_on_the_scale_of_the_weights(rng):
    logits, labels = world(300, rng)
    weights = rng.uniform(1, 5, 300)
    fit = fit_temperature_and_bias(logits, labels, weights)
    scaled = fit_temperature_and_bias(logits, labels, 40 * weights)
    assert scaled.temperature == pytest.approx(fit.temperature, rel=1e-3)
    size = weights.sum() ** 2 / (weights**2).sum()

    def loss(temperature, bias):
        log_p = special.log_softmax(logits / temperature + bias, axis=1)[np.arange(300), labels]
        return -(weights * log_p).sum() / weights.sum() + (bias**2).sum() / (2 * size)

    best = loss(*fit)
    for _ in range(30):
        moved = rng.normal(0, 0.05, 5)
        assert loss(fit.temperature * np.exp(moved[0]), fit.bias + moved[1:]) >= best - 1e-7
    assert loss(fit_temperature(logits, labels, weights), np.zeros(4)) > best


def test_a_class_that_nobody_named_keeps_a_finite_bias(rng):
    logits, labels = world(200, rng)
    kept = labels != 3
    fit = fit_temperature_and_bias(logits[kept], labels[kept], np.ones(kept.sum()))
    assert np.isfinite(fit.bias).all() and fit.bias.argmin() == 3
    assert calibrated(logits, fit).min() > 0


def test_calibration_improves_out_of_fold_where_it_was_off(rng):
    logits, labels = world(600, rng)
    table, fits = calibrate(logits, labels, rng)
    assert cell(table, "none", "ece")["low"] > 0.1
    for calibration in ("temperature", "temperature and bias"):
        assert cell(table, calibration, "ece_change")["high"] < 0
        assert cell(table, calibration, "nll_change")["high"] < 0
        assert cell(table, calibration, "ece")["value"] < 0.06
    assert cell(table, "temperature", "accuracy_change")["value"] == 0
    found = cell(table, "temperature and bias", "temperature")
    assert found["value"] == fits["head"].temperature == pytest.approx(2.5, rel=0.15)
    assert found["low"] < found["value"] < found["high"]
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).mean() > 0.9


def test_the_temperatures_interval_covers_the_true_one():
    covered = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        logits, labels = world(300, rng)
        found = cell(calibrate(logits, labels, rng, draws=2)[0], "temperature and bias", "temperature")
        covered.append(found["low"] <= 2.5 <= found["high"])
    assert np.mean(covered) >= 0.85  # 95 % less three standard errors of 40 audits


def test_calibration_claims_no_gain_where_there_was_nothing_to_gain():
    """Fits in fold always look better; out of fold the likelihood of a perfect labeller must not improve."""
    gains = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        logits, labels = world(210, rng, temperature=1.0, bias=(0, 0, 0, 0))
        p = cross_fitted(logits, labels, np.ones(210), folds(np.zeros(210), 5, rng))
        rows = np.arange(210)
        gains.append(np.log(p["temperature and bias"][rows, labels] / p["none"][rows, labels]).mean())
    assert np.mean(gains) < 0
    table, _ = calibrate(logits, labels, rng, refits=20)
    assert cell(table, "temperature and bias", "nll_change")["high"] > 0


def test_no_image_has_a_say_in_its_own_calibration(rng):
    logits, labels = world(100, rng)
    fold = folds(np.zeros(100), 5, rng)
    before = cross_fitted(logits, labels, np.ones(100), fold)
    turned = np.where(fold == 2, (labels + 1) % 4, labels)
    after = cross_fitted(logits, turned, np.ones(100), fold)
    for calibration, p in before.items():
        assert np.array_equal(p[fold == 2], after[calibration][fold == 2])
    assert not np.allclose(before["temperature"][fold != 2], after["temperature"][fold != 2])


def test_the_calibration_error_equals_a_hand_computed_one():
    p = np.array([[0.95, 0.05], [0.92, 0.08], [0.4, 0.6], [1.0, 0.0]])
    labels = np.array([0, 1, 1, 0])
    weights = np.array([[1.0, 1, 1, 1], [1, 3, 2, 0]])
    first = (abs((0.95 - 1) + 0.92 + 0) + abs(0.6 - 1)) / 4
    second = (abs((0.95 - 1) + 3 * 0.92) + 2 * 0.4) / 6
    assert expected_calibration_error(p.max(1), p.argmax(1) == labels, weights, 10) == pytest.approx(
        [first, second]
    )


def test_an_audit_of_a_few_images_is_not_calibrated(rng):
    logits, labels = world(40, rng)
    table, fits = calibrate(logits, np.where(np.arange(40) < 19, labels, -1), rng)
    assert fits == {} and table["interval"].tolist() == ["not estimable: fewer than 20 scored images"]
    table, fits = calibrate(logits, np.full(40, -1), rng)
    assert fits == {} and table["interval"].tolist() == ["not estimable: never judged"]


def test_unseen_images_are_left_out_and_wrong_shapes_refused(rng):
    logits, labels = world(120, rng)
    logits[:10] = np.nan
    table, fits = calibrate(logits, labels, rng, refits=10)
    assert (table["n"] == 110).all()
    assert np.isnan(calibrated(logits, fits["head"])[:10]).all()
    with pytest.raises(ValueError, match=r"logits \(120, 4\)"):
        calibrate(logits[:, :3], labels, rng)
    with pytest.raises(ValueError, match="119 weights"):
        calibrate(logits, labels, rng, weight=np.ones(119))
    with pytest.raises(ValueError, match="received infinity"):
        calibrate(np.where(np.isnan(logits), np.inf, logits), labels, rng)


def test_published_like_splits_give_thresholds_in_the_schemas_terms():
    rng = np.random.default_rng(9)
    test, silver, truth, surest = drawn_split(PUBLISHED, SCHEMA, rng)
    plan = make_design(test, silver, SCHEMA, design="neyman", n=1200)
    x = draw_within(plan.stratum, plan.drawn, rng)
    weight = (np.bincount(plan.stratum) / plan.drawn)[plan.stratum]
    confidence = {a: silver[f"{a}_confidence"].to_numpy() for a in SCHEMA.names}
    nobody = np.full(len(test), -1)
    human = {a: truth.get(a, nobody)[x] for a in SCHEMA.names}
    label = {a: surest.get(a, nobody)[x] for a in SCHEMA.names}
    table, thresholds = certify_thresholds(
        human, label, {a: c[x] for a, c in confidence.items()}, confidence, SCHEMA,
        stratum=plan.stratum[x], weight=weight[x], alpha=0.2, delta=0.1, rng=rng,
    )  # fmt: skip
    assert set(thresholds) == {"color", "pattern", "texture"} == set(table["attribute"])
    for name, t in thresholds.items():
        kept = confidence[name] >= t
        assert (surest[name] != truth[name])[kept].mean() <= 0.2


def test_one_mistake_among_the_surest_ends_one_sequence_and_not_three():
    confidence = np.linspace(1, 0, 200)
    correct = np.ones(200, dtype=bool)
    correct[3] = False
    grid = np.array([0.95, 0.9, 0.7, 0.5, 0.3, 0.0])
    plain = (np.zeros(200, dtype=int), np.ones(200))
    given = (confidence, correct, grid, *plain)
    assert weighted_learn_then_test(*given, alpha=0.1, delta=0.05) == NOTHING
    found = weighted_learn_then_test(*given, alpha=0.1, delta=0.05, starts=3)
    assert (found.value, found.accepted, found.errors) == (0.0, 200, 1)


def test_three_sequences_together_break_a_promise_no_more_often_than_one_may():
    rng, draws = np.random.default_rng(8), 2000
    confidence, grid = np.linspace(1, 0, 150), np.linspace(0.8, 0.0, 9)
    plain = (np.zeros(150, dtype=int), np.ones(150))
    broken = 0
    for _ in range(draws):
        correct = rng.random(150) >= 0.2  # the risk is α at every threshold, so each certificate is a mistake
        found = weighted_learn_then_test(confidence, correct, grid, *plain, alpha=0.2, delta=0.1, starts=3)
        broken += found.accepted > 0
    assert broken / draws <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / draws)
    assert broken > 0


def test_fifty_nine_items_without_an_error_certify_five_percent_and_fifty_eight_do_not():
    for n, certified in ((59, True), (58, False)):
        given = (np.linspace(1, 0, n), np.ones(n, dtype=bool), np.zeros(1), np.zeros(n), np.ones(n))
        chosen = weighted_learn_then_test(*given, alpha=0.05, delta=0.05)
        assert (chosen.coverage == 1) is certified and chosen.accepted == (n if certified else 0)


def test_the_sequence_stops_at_the_first_threshold_that_fails():
    confidence, correct = np.arange(200)[::-1], np.ones(200, dtype=bool)
    correct[100:120] = False  # twenty errors in a row, then none
    grid = confidence[np.arange(59, 200, 20)]
    given = (confidence, correct, grid, np.zeros(200), np.ones(200))
    chosen = weighted_learn_then_test(*given, alpha=0.1, delta=0.1)
    assert (chosen.accepted, chosen.errors, chosen.value) == (100, 0, 100)


def test_a_heavy_image_counts_as_one_and_a_light_one_as_its_share():
    """59 clean images of which 20 stand for half as much tell as much as 49: not enough for 5 %."""
    confidence, right, stratum = np.ones(59), np.ones(59, bool), np.zeros(59)
    design = {"alpha": 0.05, "delta": 0.05}
    code = (confidence, right, np.array([0.5]), stratum)
    assert weighted_learn_then_test(*code, np.ones(59), **design).accepted == 59
    assert weighted_learn_then_test(*code, np.r_[np.ones(39), np.full(20, 0.5)], **design).accepted == 0
