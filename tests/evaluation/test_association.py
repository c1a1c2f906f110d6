"""Cramér's V and what belongs to it, against hand-computed tables, scipy and worlds of known V."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from swatchbook.drawn.latent import World, draw_rows
from swatchbook.evaluation.association import (
    VERDICTS,
    cramers_v,
    permutation_p,
    phi2,
    provable_margin,
    random_tables,
    verdict,
)
from swatchbook.evaluation.association_intervals import (
    Phi2,
    difference_ends,
    of_counts,
    v_ends,
    v_interval,
)
from swatchbook.evaluation.contingency import adjusted_residuals, chi2_shares, expected, npmi, rake
from swatchbook.evaluation.independent_errors import (
    confusion_null,
    independent_table,
    null_p,
    row_normalised,
    v_ref,
)
from swatchbook.evaluation.resample import table
from swatchbook.evaluation.survey import kish_size

TWO_BY_TWO = np.array([[30.0, 10.0], [20.0, 40.0]])
TWO_BY_THREE = np.array([[10.0, 20.0, 30.0], [20.0, 10.0, 10.0]])


def world_of(v: float, sizes: tuple[int, int], rng: np.random.Generator, least: float = 0.02) -> World:
    """A random world of attributes a and b with V exactly v, every class at least this common."""
    while True:
        world = World.random({"a": sizes[0], "b": sizes[1]}, rng, concentration=0.2)
        whole = world.cramers_v("a", "b")
        if whole >= v and min(world.margin("a").min(), world.margin("b").min()) >= least:
            return world.with_coupling(v / whole)


def noise(k: int, error: float) -> np.ndarray:
    """P(predicted | true): right with 1 − error, else any other class alike."""
    return np.full((k, k), error / (k - 1)) + np.eye(k) * (1 - error - error / (k - 1))


# Hand-computed tables


def test_v_of_a_hand_computed_two_by_two_table():
    # χ² = 100(30·40 − 10·20)²/(40·60·50·50) = 50/3, so φ² = 1/6; corrected by 1·1/99, min(K) − 1 = 1.
    assert phi2(TWO_BY_TWO) == pytest.approx(1 / 6, abs=1e-15)
    assert cramers_v(TWO_BY_TWO, correct=False) == pytest.approx(math.sqrt(1 / 6), abs=1e-15)
    assert cramers_v(TWO_BY_TWO) == pytest.approx(math.sqrt(1 / 6 - 1 / 99), abs=1e-15)


def test_v_of_a_hand_computed_two_by_three_table():
    # Margins 60, 40 and 30, 30, 40: E = 18, 18, 24, 12, 12, 16;
    # χ² = 64/18 + 4/18 + 36/24 + 64/12 + 4/12 + 36/16 = 475/36, n = 100, (r − 1)(c − 1) = 2.
    square = 475 / 3600
    assert phi2(TWO_BY_THREE) == pytest.approx(square, abs=1e-15)
    assert cramers_v(TWO_BY_THREE) == pytest.approx(math.sqrt(square - 2 / 99), abs=1e-15)


def test_cells_of_a_hand_computed_table():
    assert expected(TWO_BY_TWO).tolist() == [[20, 20], [30, 30]]
    # (30 − 20)/√(20 · .6 · .5) = 10/√6, the same size in all four cells of a 2×2.
    assert np.allclose(adjusted_residuals(TWO_BY_TWO), np.array([[1, -1], [-1, 1]]) * 10 / math.sqrt(6))
    assert np.allclose(chi2_shares(TWO_BY_TWO), np.array([[5, 5], [10 / 3, 10 / 3]]) / (50 / 3))
    assert npmi(TWO_BY_TWO)[0, 0] == pytest.approx(math.log(0.3 / 0.2) / -math.log(0.3))


def test_npmi_is_shown_only_where_five_are_expected_and_is_minus_one_for_a_pair_that_never_occurs():
    counts = np.array([[0.0, 50.0, 1.0], [50.0, 20.0, 1.0]])
    found = npmi(counts)
    assert found[0, 0] == -1
    assert np.isnan(found[:, 2]).all() and not np.isnan(found[:, :2]).any()


def test_kish_size_is_n_for_equal_weights_and_smaller_otherwise():
    assert kish_size(np.full(7, 3.0)) == pytest.approx(7)
    assert kish_size(np.array([1.0, 1.0, 2.0])) == pytest.approx(16 / 6)
    assert kish_size(np.zeros(3)) == 0


# Against libraries


def test_plug_in_v_and_chi_squared_equal_scipys_on_full_tables(rng):
    for shape in ((2, 2), (2, 5), (6, 5), (12, 6)):
        counts = rng.integers(1, 60, size=shape)
        theirs = stats.contingency.association(counts, method="cramer", correction=False)
        assert cramers_v(counts, correct=False) == pytest.approx(theirs, abs=1e-10)
        chi2 = stats.chi2_contingency(counts, correction=False)
        assert phi2(counts) * counts.sum() == pytest.approx(chi2.statistic, rel=1e-10)
        assert np.allclose(expected(counts), chi2.expected_freq, atol=1e-10)


def test_adjusted_residuals_of_a_two_by_two_table_square_to_chi_squared(rng):
    counts = rng.integers(1, 60, size=(20, 2, 2))
    chi2 = phi2(counts) * counts.sum(axis=(1, 2))
    assert np.allclose(adjusted_residuals(counts) ** 2, chi2[:, None, None], rtol=1e-10)


def test_permutation_p_agrees_with_the_exact_test(rng):
    counts = np.array([[8, 4], [3, 9]])
    # φ² of a 2×2 with fixed margins orders tables by |n11 − E|; margins of 12 make that Fisher's order.
    exact = stats.fisher_exact(counts).pvalue
    p = permutation_p(counts, 20000, rng)
    assert abs(p - exact) < 4 * math.sqrt(exact * (1 - exact) / 20000)


# Invariants


def test_v_of_a_world_is_proportional_to_its_coupling(rng):
    world = World.random({"a": 12, "b": 6}, rng)
    # The root makes 1e-8 of a rounding of 1e-16 at V = 0.
    for coupling in (0.0, 0.3, 0.757, 1.0):
        weaker = world.with_coupling(coupling)
        assert cramers_v(weaker.joint("a", "b"), correct=False) == pytest.approx(
            coupling * world.cramers_v("a", "b"), abs=1e-7 if coupling == 0 else 1e-12
        )


def test_the_mean_of_phi2_over_permutations_is_the_correction(rng):
    counts = table(rng.integers(0, 12, 500), rng.integers(0, 6, 500), (12, 6))
    draws = phi2(random_tables(counts, 4000, rng))
    error = draws.std(ddof=1) / math.sqrt(len(draws))
    assert abs(draws.mean() - 11 * 5 / 499) < 4 * error
    assert error < 0.001


def test_noise_that_redraws_from_the_margin_shrinks_v_by_both_keep_rates(rng):
    world, n = world_of(0.318, (12, 6), rng), 500_000
    drawn = world.sample(n, rng)
    for name, error in (("a", 0.2), ("b", 0.35)):
        fresh = rng.choice(len(world.margin(name)), size=n, p=world.margin(name))
        drawn[name] = np.where(rng.random(n) < error, fresh, drawn[name])
    assert cramers_v(table(drawn["a"], drawn["b"], (12, 6))) == pytest.approx(0.8 * 0.65 * 0.318, abs=0.005)


def test_the_corrected_v_is_nearly_unbiased_where_the_plug_in_is_not(rng):
    world = world_of(0.318, (12, 6), rng)
    draws = rng.multinomial(3500, world.joint("a", "b").ravel(), size=1500).reshape(-1, 12, 6)
    assert abs(cramers_v(draws).mean() - 0.318) < 0.003
    independent = rng.multinomial(3500, world.with_coupling(0).joint("a", "b").ravel(), size=1500)
    independent = independent.reshape(-1, 12, 6)
    assert cramers_v(independent, correct=False).mean() > 0.04
    # Values cut at 0 can only average above 0; signed ones do not.
    assert abs(cramers_v(independent, truncate=False).mean()) < 0.002 < cramers_v(independent).mean()


def test_class_names_row_order_and_transposition_leave_v_unchanged(rng):
    n = 800
    a, b = rng.integers(0, 12, n), rng.integers(0, 6, n)
    b = np.where(rng.random(n) < 0.3, a % 6, b)
    mixed, rename_a, rename_b = rng.permutation(n), rng.permutation(12), rng.permutation(6)
    for correct in (True, False):
        v = cramers_v(table(a, b, (12, 6)), correct=correct)
        assert cramers_v(table(a[mixed], b[mixed], (12, 6)), correct=correct) == pytest.approx(v, abs=1e-12)
        renamed = table(rename_a[a], rename_b[b], (12, 6))
        assert cramers_v(renamed, correct=correct) == pytest.approx(v, abs=1e-12)
        assert cramers_v(renamed.T, correct=correct) == pytest.approx(v, abs=1e-12)


def test_many_tables_at_once_give_what_each_gives_alone(rng):
    tables = rng.integers(0, 9, size=(2, 3, 6, 5))
    for function in (phi2, cramers_v, adjusted_residuals, npmi, chi2_shares):
        alone = np.array([[function(t) for t in row] for row in tables])
        assert np.array_equal(function(tables), alone, equal_nan=True)


@pytest.mark.parametrize("v", [0.05, 0.145, 0.318])
def test_intervals_cover_the_truth_whatever_its_size(v):
    rng, worlds, covered = np.random.default_rng(11), 1000, 0
    for _ in range(worlds):
        joint = world_of(v, (12, 6), rng).joint("a", "b").ravel()
        counts = rng.multinomial(3500, joint).reshape(12, 6)
        low, high, _ = v_interval(counts)
        covered += low <= v <= high
    assert 0.93 <= covered / worlds <= 0.97


def test_v_below_what_independence_makes_likely_is_not_known_to_be_zero():
    """Inverting the noncentral distribution alone gives [0, 0] for this table, whose plug-in V is 0."""
    low, high, _ = v_interval(np.outer([40, 30, 30], [0.5, 0.3, 0.2]))
    assert low == 0 and 0.05 < high < 0.3


def test_near_zero_the_whole_error_lies_where_an_interval_can_miss():
    """No upper end falls below the V of .02, so that ends with both tails would cover .975."""
    rng, v = np.random.default_rng(12), 0.02
    joint = world_of(v, (6, 5), rng).joint("a", "b").ravel()
    low, high = v_ends(of_counts(rng.multinomial(600, joint, size=4000).reshape(-1, 6, 5)))
    assert (high >= v).all()
    assert ((low <= v) & (v <= high)).mean() == pytest.approx(0.95, abs=0.01)


def test_equivalence_to_a_v_of_zero_is_not_said_too_often():
    """Noise cannot be fitted by a V below 0: at the usual quantile .09 of these would call .03 too little."""
    rng, n, delta = np.random.default_rng(13), 20_000, 0.03
    null, slope, classes = 2 * 20 / 3743**2, 4 / 3743, 4  # 3,743 images of 6 × 5 classes
    spread = np.sqrt(null + slope * classes * delta**2), np.sqrt(null)
    found = (classes * delta**2 + spread[0] * rng.normal(size=n), spread[1] * rng.normal(size=n))
    known = (Phi2(x, *np.full((4, n), [[0], [0], [null], [slope]]), classes) for x in found)
    _, high = difference_ends(*known, np.zeros(n), np.zeros(n), 0.9)
    assert 0.02 <= (high < delta).mean() <= 0.05


# Empty, collapsed and degenerate tables


def test_a_collapsed_model_is_not_rewarded_by_a_smaller_denominator(rng):
    world, n = world_of(0.318, (6, 5), rng), 4000
    drawn = world.sample(n, rng)
    collapsed = table(drawn["a"], drawn["b"] % 2, (6, 5))
    in_use = cramers_v(collapsed[:, :2], correct=False)
    assert cramers_v(collapsed, correct=False) == pytest.approx(in_use / 2, abs=1e-12)


def test_empty_rows_and_columns_add_nothing():
    padded = np.zeros((4, 5))
    padded[np.ix_([0, 2], [1, 2, 4])] = TWO_BY_THREE
    assert phi2(padded) == pytest.approx(phi2(TWO_BY_THREE), abs=1e-15)
    # Two rows and three columns in use are corrected for; the schema's four classes are divided by.
    assert cramers_v(padded) == pytest.approx(math.sqrt((475 / 3600 - 2 / 99) / 3), abs=1e-15)
    assert chi2_shares(padded).sum() == pytest.approx(1)
    assert np.isnan(adjusted_residuals(padded)[1]).all()


def test_degenerate_tables_have_defined_results():
    empty, one_row, one_class = np.zeros((3, 4)), np.zeros((3, 4)), np.array([[3.0, 4.0, 5.0]])
    one_row[1] = [1, 2, 3, 4]
    for correct in (True, False):
        assert np.isnan(cramers_v(empty, correct=correct))
        assert cramers_v(one_row, correct=correct) == 0
        assert np.isnan(cramers_v(one_class, correct=correct))
    single = np.zeros((2, 2))
    single[0, 0] = 1
    assert np.isnan(cramers_v(single)) and cramers_v(single, correct=False) == 0
    assert v_interval(one_row) == (0, 0, "one class in use")
    assert np.isnan(v_interval(empty)[:2]).all() and v_interval(one_class)[2] == ""
    for function in (expected, adjusted_residuals, npmi, chi2_shares):
        assert np.isnan(function(empty)).all()
    assert math.isnan(permutation_p(one_row, 9, np.random.default_rng(0)))


def test_bad_tables_are_refused(rng):
    with pytest.raises(ValueError, match=r"at least two dimensions; received shape \(3,\)"):
        phi2(np.ones(3))
    with pytest.raises(ValueError, match="whole counts"):
        permutation_p(TWO_BY_TWO + 0.5, 9, rng)
    with pytest.raises(ValueError, match="draws must be at least 1; received 0"):
        permutation_p(TWO_BY_TWO, 0, rng)
    with pytest.raises(ValueError, match="level must lie between 0 and 1; received 95"):
        v_interval(TWO_BY_TWO, level=95)


# Verdicts


def normal_verdict(delta: float, se: float, margin: float) -> str:
    """The verdict on a normal estimate with a known standard error."""
    ends = [(delta - z * se, delta + z * se) for z in (1.6448536, 1.9599640)]
    return verdict(*ends, margin)


@pytest.mark.parametrize(
    ("delta", "se", "message"),
    [
        (0.0, 0.0, "equivalent"),
        (0.0065, 0.0045, "equivalent"),
        (-0.0065, 0.0045, "equivalent"),
        (0.022, 0.0045, "different but within"),
        (0.028, 0.0045, "inconclusive"),  # the plain rule passes it
        (0.0, 0.02, "inconclusive"),  # so does it pass this, which shows nothing at all
        (0.035, 0.0079, "inconclusive"),
        (0.039, 0.0045, "outside"),
        (-0.127, 0.009, "outside"),
        (0.03, 0.0, "inconclusive"),
        (math.nan, 0.1, ""),
        (0.1, math.nan, ""),
    ],
)
def test_verdicts_by_hand(delta, se, message):
    assert normal_verdict(delta, se, 0.03) == message
    assert message in (*VERDICTS, "")


def test_the_provable_margin_is_the_smallest_that_passes():
    smallest = provable_margin((-0.022 - 1.6448536 * 0.0045, -0.022 + 1.6448536 * 0.0045))
    assert smallest == pytest.approx(0.022 + 1.6448536 * 0.0045, abs=1e-9)
    assert normal_verdict(-0.022, 0.0045, smallest + 1e-9) == "different but within"
    assert normal_verdict(-0.022, 0.0045, smallest - 1e-9) == "inconclusive"


def test_verdict_refuses_a_margin_without_meaning():
    with pytest.raises(ValueError, match="margin must be positive; received 0"):
        normal_verdict(0.1, 0.1, 0)


def paired_worlds(v_low: float, v_high: float, rng: np.random.Generator) -> np.ndarray:
    """Joint P(a, b, a′, b′): V of (a, b) is exactly v_high, of (a′, b′) exactly v_low.

    With probability v_low/v_high the second pair repeats the first, else it is drawn from the margins.
    """
    world = world_of(v_high, (4, 3), rng, least=0.05)
    p, kept = world.joint("a", "b").ravel(), v_low / v_high
    margins = np.outer(world.margin("a"), world.margin("b")).ravel()
    return (p[:, None] * (kept * np.eye(12) + (1 - kept) * margins)).reshape(4, 3, 4, 3)


def verdicts_of_paired_samples(joint: np.ndarray, n: int, trials: int, rng: np.random.Generator) -> list:
    found = []
    for _ in range(trials):
        counts = rng.multinomial(n, joint.ravel())
        both = np.vstack([counts, rng.multinomial(n, counts / n, size=300)]).reshape(-1, 4, 3, 4, 3)
        delta = cramers_v(both.sum(axis=(3, 4))) - cramers_v(both.sum(axis=(1, 2)))
        found.append((float(delta[0]), normal_verdict(float(delta[0]), float(delta[1:].std(ddof=1)), 0.03)))
    return found


def passed(found: list) -> float:
    return float(np.mean([message in ("equivalent", "different but within") for _, message in found]))


def test_equivalence_is_rarely_declared_at_exactly_the_margin_and_the_plain_rule_declares_it_half_the_time():
    rng = np.random.default_rng(29)
    joint = paired_worlds(0.30, 0.33, rng)
    assert cramers_v(joint.sum(axis=(2, 3)), correct=False) == pytest.approx(0.33, abs=1e-12)
    assert cramers_v(joint.sum(axis=(0, 1)), correct=False) == pytest.approx(0.30, abs=1e-12)
    found = verdicts_of_paired_samples(joint, 3500, 1000, rng)
    assert passed(found) <= 0.065
    assert np.mean([message == "outside" for _, message in found]) <= 0.065
    assert np.mean([abs(delta) <= 0.03 for delta, _ in found]) > 0.4


def test_a_difference_well_inside_the_margin_is_proved_equivalent():
    rng = np.random.default_rng(30)
    assert passed(verdicts_of_paired_samples(paired_worlds(0.325, 0.33, rng), 3500, 200, rng)) > 0.95


# Raking


def test_raking_reaches_the_margins_and_keeps_the_odds_ratios(rng):
    counts, wanted = rng.integers(1, 60, size=(7, 6, 5)).astype(float), rng.integers(5, 90, size=(7, 6, 5))
    raked = rake(counts, wanted.sum(-1), wanted.sum(-2))
    assert np.abs(raked.sum(-1) - wanted.sum(-1)).max() < 1e-8 * wanted.sum(axis=(1, 2)).max()
    assert np.abs(raked.sum(-2) - wanted.sum(-2)).max() < 1e-8 * wanted.sum(axis=(1, 2)).max()

    def odds(t: np.ndarray) -> np.ndarray:
        return t[:, :-1, :-1] * t[:, 1:, 1:] / (t[:, :-1, 1:] * t[:, 1:, :-1])

    assert np.allclose(odds(raked), odds(counts), rtol=1e-6)
    assert np.array_equal(rake(counts, counts.sum(-1), counts.sum(-2)), counts)


def test_impossible_margins_are_refused_or_left_undefined():
    counts = np.array([[3.0, 0.0], [2.0, 0.0]])
    with pytest.raises(ValueError, match="impossible margin: a class that is wanted has no item"):
        rake(counts, np.array([3, 2]), np.array([4, 1]))
    assert np.isnan(rake(counts, np.array([3, 2]), np.array([4, 1]), strict=False)).all()
    with pytest.raises(ValueError, match="the same total; received 5 and 6"):
        rake(counts, np.array([3, 2]), np.array([6, 0]))
    # A diagonal table cannot leave its diagonal.
    with pytest.raises(ValueError, match="impossible margin: still off by"):
        rake(np.diag([1.0, 1.0]), np.array([1, 3]), np.array([3, 1]), sweeps=50)


# Independent errors


def test_independent_errors_never_raise_v_and_leave_it_where_there_are_none(rng):
    for _ in range(200):
        joint = rng.dirichlet(np.full(30, 0.3)).reshape(6, 5) * 1000
        a, b = rng.dirichlet(np.full(6, 0.3), size=6), rng.dirichlet(np.full(5, 0.3), size=5)
        v = cramers_v(joint, correct=False)
        assert v_ref(joint, a, b) <= v + 1e-12
        shuffled = np.eye(6)[rng.permutation(6)], np.eye(5)[rng.permutation(5)]
        assert v_ref(joint, *shuffled) == pytest.approx(v, abs=1e-12)
        assert v_ref(joint, np.eye(6), np.eye(5)) == pytest.approx(v, abs=1e-12)


def test_v_ref_of_heads_without_an_error_is_v_in_both_forms(rng):
    joint = rng.integers(0, 30, size=(12, 6)).astype(float)
    confusions = np.diag(joint.sum(1)), np.diag(joint.sum(0))
    for correct in (True, False):
        assert v_ref(joint, *confusions, correct=correct) == cramers_v(joint, correct=correct)


def test_the_table_under_independent_errors_has_the_predicted_margins(rng):
    a, b = rng.integers(0, 6, 900), rng.integers(0, 5, 900)
    a_seen, b_seen = draw_rows(noise(6, 0.3)[a], rng), draw_rows(noise(5, 0.2)[b], rng)
    confusions = table(a, a_seen, (6, 6)), table(b, b_seen, (5, 5))
    found = independent_table(table(a, b, (6, 5)), *confusions)
    assert np.allclose(found.sum(1), np.bincount(a_seen, minlength=6), atol=1e-9)
    assert np.allclose(found.sum(0), np.bincount(b_seen, minlength=5), atol=1e-9)


def test_the_correction_of_v_ref_is_the_mean_of_its_square_under_independence(rng):
    n, p, q = 600, rng.dirichlet(np.full(6, 5.0)), rng.dirichlet(np.full(5, 5.0))
    confusions = noise(6, 0.3) * p[:, None] * n, noise(5, 0.2) * q[:, None] * n
    draws = rng.multinomial(n, np.outer(p, q).ravel(), size=4000).reshape(-1, 6, 5)
    squares = phi2(independent_table(draws, *confusions))
    error = squares.std(ddof=1) / math.sqrt(len(squares))
    predicted = phi2(confusions[0]) * phi2(confusions[1]) / (n - 1)
    assert abs(squares.mean() - predicted) < 4 * error
    assert error < 0.02 * predicted < 0.02 * 20 / (n - 1)


def test_the_null_redraws_each_head_by_its_own_confusion(rng):
    # Against the plain way: repeat every item, draw each head row by row.
    n = 400
    a, b = rng.integers(0, 3, n), rng.integers(0, 4, n)
    a_given, b_given = rng.dirichlet(np.ones(3), size=3), rng.dirichlet(np.ones(4), size=4)
    null = confusion_null(table(a, b, (3, 4)), a_given, b_given, 4000, rng)
    plain = np.array([
        cramers_v(table(draw_rows(a_given[a], rng), draw_rows(b_given[b], rng), (3, 4)), correct=False)
        for _ in range(4000)
    ])  # fmt: skip
    assert stats.ks_2samp(null, plain).pvalue > 0.01
    assert abs(null.mean() - plain.mean()) < 4 * plain.std() / math.sqrt(2000)


def test_the_null_of_heads_without_an_error_is_v_itself(rng):
    joint = rng.integers(0, 30, size=(6, 5))
    null = confusion_null(joint, np.diag(joint.sum(1)), np.diag(joint.sum(0)), 50, rng)
    v = float(cramers_v(joint, correct=False))
    assert np.array_equal(null, np.full(50, v)) and null_p(v, null) == 1
    assert np.isnan(confusion_null(np.zeros((2, 2)), np.eye(2), np.eye(2), 5, rng)).all()


def heads(world: World, kind: str, rng: np.random.Generator) -> tuple[float, float]:
    """ΔV and the null's p of one run of heads on 3,000 images: honest errors or a planted leak."""
    truth = world.sample(3000, rng)
    a, b = truth["a"], truth["b"]
    if kind == "leak":
        # A tenth of the second head's answers are read off the first head, which is never wrong.
        given_a = row_normalised(world.joint("a", "b"))
        a_seen, b_seen = a, np.where(rng.random(3000) < 0.1, draw_rows(given_a[a], rng), b)
    else:
        a_seen, b_seen = draw_rows(noise(12, 0.15)[a], rng), draw_rows(noise(8, 0.15)[b], rng)
    joint, seen = table(a, b, (12, 8)), table(a_seen, b_seen, (12, 8))
    null = confusion_null(joint, table(a, a_seen, (12, 12)), table(b, b_seen, (8, 8)), 200, rng)
    return float(cramers_v(seen) - cramers_v(joint)), null_p(float(cramers_v(seen, correct=False)), null)


def test_honest_errors_fail_the_plain_rule_and_pass_the_null_while_a_leak_does_the_opposite():
    rng = np.random.default_rng(41)
    world = world_of(0.318, (12, 8), rng)
    honest = np.array([heads(world, "honest", rng) for _ in range(40)])
    leaking = np.array([heads(world, "leak", rng) for _ in range(40)])
    assert np.mean(np.abs(honest[:, 0]) > 0.03) == 1
    assert np.mean(honest[:, 1] <= 0.05) <= 0.10
    assert np.mean(np.abs(leaking[:, 0]) > 0.03) == 0
    assert np.mean(leaking[:, 1] <= 0.05) >= 0.95


def test_bad_confusions_are_refused():
    joint, fine = np.ones((3, 2)), np.eye(2)
    with pytest.raises(ValueError, match=r"must be \(3, 3\) and \(2, 2\).* received \(2, 2\) and \(2, 2\)"):
        v_ref(joint, fine, fine)


def test_every_order_of_degenerate_arguments_survives(rng):
    for k_a, k_b in itertools.product((1, 2, 3), repeat=2):
        joint = np.zeros((k_a, k_b))
        joint[0, 0] = 5
        confusions = np.diag(joint.sum(1)), np.diag(joint.sum(0))
        for value in (*v_ref(joint, *confusions).reshape(1), *confusion_null(joint, *confusions, 3, rng)):
            assert value == 0 or (math.isnan(value) and min(k_a, k_b) == 1)
