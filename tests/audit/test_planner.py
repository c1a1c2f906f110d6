"""The planner: what it expects is what comes, and the next judgement goes where it is worth most."""

import numpy as np
import pandas as pd
import pytest
from benchmarks.audit_designs import ACCURACY, PUBLISHED, accuracy_error, drawn_split

from swatchbook.audit.designs import DESIGNS, draw_audit, draw_within, make_design
from swatchbook.audit.planner import (
    NEXT_COLUMNS,
    PLAN_COLUMNS,
    PROGRESS_COLUMNS,
    next_strata,
    plan_table,
    progress_table,
)
from swatchbook.evaluation.linearisation import influences
from swatchbook.evaluation.scores import macro_f1
from swatchbook.evaluation.weighted_scores import abstention_tables
from swatchbook.schema import Attribute, Schema

SCHEMA = Schema.load()
TEST, SILVER, TRUTH, _ = drawn_split(PUBLISHED, SCHEMA, np.random.default_rng(2))
CODES = SCHEMA.encode(SILVER)


def answers_of(sample, wrong=()):
    """What a person who is never wrong answers, in the order of asking; some cells can be replaced."""
    ids = sample.loc[sample["repeat"] == 0, "image_id"]
    rows = TEST.reset_index().set_index("image_id").loc[ids, "index"].to_numpy()
    answers = {a: np.array(SCHEMA[a].classes, dtype=object)[TRUTH[a][rows]] for a in ACCURACY}
    frame = pd.DataFrame({"image_id": ids.to_numpy(), "material": "", **answers})
    for place, column, value in wrong:
        frame.loc[place, column] = value
    return frame


def value(table, attribute, statistic, column="value", **where):
    chosen = (table["attribute"] == attribute) & (table["statistic"] == statistic)
    for name, wanted in where.items():
        chosen &= table[name] == wanted
    (found,) = table.loc[chosen, column]
    return found


def simulated_half_width(design, n, name, rng, audits=400):
    """1.96 standard deviations of weighted accuracy and macro-F1 over drawn audits."""
    plan = make_design(TEST, SILVER, SCHEMA, design=design, n=n)
    weight = (np.bincount(plan.stratum) / plan.drawn)[plan.stratum]
    made, k = [], len(SCHEMA[name])
    for _ in range(audits):
        x = draw_within(plan.stratum, plan.drawn, rng)
        table = abstention_tables(TRUTH[name][x], CODES[name][x], k, weight[None, x])
        made.append([np.trace(table[0]) / table.sum(), macro_f1(table)[0]])
    return 1.96 * np.std(made, axis=0)


@pytest.mark.parametrize("design", DESIGNS)
def test_the_widths_expected_beforehand_are_those_that_come(design, rng):
    table = plan_table(TEST, SILVER, SCHEMA, sizes=(600,), designs=(design,))
    for name in ACCURACY:
        accuracy, macro = simulated_half_width(design, 600, name, rng)
        # 400 audits know a standard deviation to 3.5 %, and the confidences are right only on average.
        assert value(table, name, "accuracy") == pytest.approx(accuracy, rel=0.12)
        assert value(table, name, "macro_f1") == pytest.approx(macro, rel=0.2)
        plan = make_design(TEST, SILVER, SCHEMA, design=design, n=600)
        exact = 1.96 * accuracy_error(plan, CODES[name] == TRUTH[name])
        assert value(table, name, "accuracy") == pytest.approx(exact, rel=0.05)


def test_widths_shrink_with_the_number_of_judgements_and_the_band_holds_them():
    table = plan_table(TEST, SILVER, SCHEMA)
    assert list(table) == PLAN_COLUMNS and len(table) == 4 * 2 * 2 * 20
    assert sorted(table["size"].unique()) == list(range(100, 2001, 100))
    assert (table["n"] == 3760).all()
    unlabelled = table["attribute"] == "material"
    assert table.loc[unlabelled, "interval"].str.contains("no image is labelled").all()
    table = table[~unlabelled]
    for _, rows in table.groupby(["attribute", "design", "statistic"]):
        assert (np.diff(rows.sort_values("size")["value"]) < 0).all()
    assert ((table["low"] < table["value"]) & (table["value"] < table["high"])).all()


def test_an_attribute_without_confidences_is_planned_for_the_worst_case():
    labelled = SILVER.assign(material="cotton")
    table = plan_table(TEST, labelled, SCHEMA, sizes=(210,), designs=("fabric",))
    (interval,) = set(table.loc[table["attribute"] == "material", "interval"])
    assert "worst case" in interval
    expected = 1.96 * np.sqrt((((PUBLISHED / 3760) ** 2) * 0.25 / 10 * (1 - 10 / PUBLISHED)).sum())
    assert value(table, "material", "accuracy") == pytest.approx(expected, rel=1e-3)


def test_sizes_that_cannot_be_drawn_say_why():
    small, labels = TEST[:200:5], SILVER[:200:5]
    table = plan_table(small, labels, SCHEMA, sizes=(20, 100))
    too_many = table[table["size"] == 100]
    assert too_many["value"].isna().all() and too_many["interval"].str.contains("40 images").all()
    few = plan_table(TEST, SILVER, SCHEMA, sizes=(41,), designs=("fabric",))
    assert few["value"].isna().all() and few["interval"].str.contains("21 fabrics").all()


def test_a_certain_labeller_needs_no_audit_and_a_census_leaves_no_doubt():
    certain = SILVER.assign(**{f"{a}_confidence": 1.0 for a in ACCURACY})
    certain = certain.assign(**{a: SCHEMA[a].classes[0] for a in ACCURACY})
    table = plan_table(TEST, certain, SCHEMA, sizes=(210,))
    assert value(table, "color", "accuracy", design="neyman") == 0
    assert value(table, "color", "accuracy", "high", design="neyman") > 0.02
    whole = plan_table(TEST, SILVER.assign(material="cotton"), SCHEMA, sizes=(3760,))
    assert whole["value"].to_numpy() == pytest.approx(0, abs=1e-12)


def test_accuracy_and_its_width_so_far_equal_hand_computed_values():
    surface = {c: c for c in "ab"}
    schema = Schema("two", (Attribute("head", surface, ("{}",), "zero_shot", 0.4, "ours"),))
    ids = [f"{i}.png" for i in range(6)]
    stratum = ["s01", "s01", "s01", "s02", "s02", "s02"]
    sample = pd.DataFrame({"item": range(1, 7), "image_id": ids, "stratum": stratum, "repeat": 0})
    sample["weight"] = [10.0] * 3 + [30.0] * 3
    silver = pd.DataFrame({"image_id": ids, "head": "a", "head_confidence": 0.5})
    answers = pd.DataFrame({"image_id": ids[:5], "head": ["a", "a", "b", "a", "b"]})
    row = progress_table(sample, answers, silver, schema).set_index("statistic").loc["accuracy"]
    # Strata hold 30 and 90 images; 2 of 3 and 1 of 2 judged ones are right.
    assert row["estimate"] == pytest.approx(0.25 * 2 / 3 + 0.75 * 1 / 2)
    influence = np.array([1, 1, 0, 1, 0]) - row["estimate"]
    pooled = influence.var(ddof=1)
    spread = np.array([(2 / 3 + 2 * pooled) / 4, (1 / 2 + 2 * pooled) / 3])
    variance = 0.25**2 * spread[0] / 3 * (1 - 3 / 30) + 0.75**2 * spread[1] / 2 * (1 - 2 / 90)
    assert row["value"] == pytest.approx(1.959964 * np.sqrt(variance))
    assert row["n"] == 5
    waiting = next_strata(sample, answers, silver, schema)
    assert waiting[["stratum", "judged", "waiting", "population"]].to_numpy().tolist() == [["s02", 2, 1, 90]]


@pytest.mark.parametrize("design", DESIGNS)
def test_the_interval_so_far_covers_the_truth_before_the_audit_is_done(design):
    true = {}
    for name in ACCURACY:
        table = abstention_tables(TRUTH[name], CODES[name], len(SCHEMA[name]), np.ones((1, len(TEST))))
        true[name] = {"accuracy": np.trace(table[0]) / table.sum(), "macro_f1": macro_f1(table)[0]}
    covered = []
    for seed in range(80):
        sample, _ = draw_audit(TEST, SILVER, SCHEMA, design=design, n=210, seed=seed)
        table = progress_table(sample, answers_of(sample)[:150], SILVER, SCHEMA)
        for name, ends in true.items():
            low, high = (value(table, name, "accuracy", end) for end in ("low", "high"))
            covered.append(low <= ends["accuracy"] <= high)
    # Three attributes of one audit are nearly independent: 240 intervals, two standard errors are .028.
    assert 0.92 <= np.mean(covered) <= 0.98


def test_the_width_of_a_finished_audit_is_the_planned_one(rng):
    sample, _ = draw_audit(TEST, SILVER, SCHEMA, design="neyman", n=600, seed=5)
    now = progress_table(sample, answers_of(sample), SILVER, SCHEMA)
    plan = plan_table(TEST, SILVER, SCHEMA, sizes=(600,), designs=("neyman",))
    assert list(now) == PROGRESS_COLUMNS
    for name in ACCURACY:
        for statistic in ("accuracy", "macro_f1"):
            assert value(now, name, statistic) == pytest.approx(value(plan, name, statistic), rel=0.25)
    assert value(now, "material", "accuracy", "interval") == "not estimable: never judged"


def test_widths_so_far_shrink_as_judgements_come_in():
    sample, _ = draw_audit(TEST, SILVER, SCHEMA, design="neyman", n=210, seed=8, repeats=20)
    answers = answers_of(sample)
    width = [
        value(progress_table(sample, answers[:m], SILVER, SCHEMA), "texture", "accuracy")
        for m in (25, 75, 150, 210)
    ]
    assert (np.diff(width) < 0).all() and width[-1] < 0.5 * width[0]


def test_the_first_judgement_alone_has_no_width_and_none_at_all_is_no_error():
    sample, _ = draw_audit(TEST, SILVER, SCHEMA, design="fabric", n=210)
    answers = answers_of(sample)
    one = progress_table(sample, answers[:1], SILVER, SCHEMA)
    assert value(one, "color", "accuracy", "interval") == "not estimable: one judged image"
    none = progress_table(sample, answers[:0], SILVER, SCHEMA)
    assert none["n"].eq(0).all() and none["value"].isna().all()
    first = next_strata(sample, answers[:0], SILVER, SCHEMA)
    assert list(first) == NEXT_COLUMNS and first["population"].is_monotonic_decreasing and len(first) == 21


def test_blanks_and_refusals_to_answer_are_not_scored():
    sample, _ = draw_audit(TEST, SILVER, SCHEMA, design="fabric", n=210)
    answers = answers_of(sample, [(0, "color", "can't tell"), (1, "color", "several"), (2, "color", "")])
    answers.loc[3, ["color", "pattern", "texture"]] = ""
    table = progress_table(sample, answers, SILVER, SCHEMA)
    assert [value(table, a, "accuracy", "n") for a in ACCURACY] == [206, 209, 209]
    strata = next_strata(sample, answers[:4], SILVER, SCHEMA).set_index("stratum")
    assert strata["judged"].sum() == 3


def test_the_next_judgement_is_where_it_takes_most_variance_away():
    sample, _ = draw_audit(TEST, SILVER, SCHEMA, design="fabric", n=1050, seed=1)
    answers = answers_of(sample)
    labels = answers.set_index("image_id").reindex(SILVER["image_id"])
    silver = SILVER.assign(**{a: labels[a].to_numpy() for a in ACCURACY})  # right wherever it was judged
    bad = sample.loc[sample["weight"].idxmax(), "stratum"]
    ids = sample.loc[sample["stratum"] == bad, "image_id"].iloc[::2]
    flipped = silver["image_id"].isin(ids)
    silver.loc[flipped, list(ACCURACY)] = [SCHEMA[a].classes[0] for a in ACCURACY]
    half = answers.groupby(sample["stratum"].to_numpy(), group_keys=False).head(25)
    order = next_strata(sample, half, silver, SCHEMA)
    assert order["stratum"].iloc[0] == bad and order["gain"].is_monotonic_decreasing


def test_following_the_advice_narrows_the_interval_more_than_chance_does():
    sample, _ = draw_audit(TEST, SILVER, SCHEMA, design="fabric", n=630, seed=3)
    answers = answers_of(sample)
    stratum = sample.set_index("image_id")["stratum"]
    start = answers.groupby(stratum[answers["image_id"]].to_numpy(), group_keys=False).head(5)
    advised, left = start, answers.drop(start.index)
    for _ in range(40):
        best = next_strata(sample, advised, SILVER, SCHEMA)["stratum"].iloc[0]
        taken = left[(stratum[left["image_id"]] == best).to_numpy()].head(1)
        advised, left = pd.concat([advised, taken]), left.drop(taken.index)

    def error(judged):
        group = stratum[judged["image_id"]].value_counts().sort_index()
        size = sample.groupby("stratum")["weight"].sum().sort_index()
        names = TEST.set_index("image_id")["folder"]
        total = 0.0
        folder = sample.drop_duplicates("stratum").set_index("stratum")["image_id"].map(names)
        for code, count in group.items():
            inside = (TEST["folder"] == folder[code]).to_numpy()
            share = size[code] / size.sum()
            for a in ACCURACY:
                p = (CODES[a] == TRUTH[a])[inside].mean()
                total += share**2 * p * (1 - p) / count
        return total

    chance = pd.concat([start, answers.drop(start.index).sample(40, random_state=2)])
    assert len(advised) == len(chance) and error(advised) < error(chance)


def test_answers_about_other_images_are_refused():
    sample, _ = draw_audit(TEST, SILVER, SCHEMA, design="fabric", n=210)
    answers = answers_of(sample, [(7, "image_id", "elsewhere.jpg")])
    with pytest.raises(ValueError, match=r"elsewhere\.jpg"):
        progress_table(sample, answers, SILVER, SCHEMA)
    with pytest.raises(ValueError, match="has no row"):
        progress_table(sample, answers_of(sample), SILVER[:100], SCHEMA)


def test_an_influence_is_what_one_more_image_does_to_the_estimate(rng):
    judged, label = rng.integers(-1, 4, 300), rng.integers(-1, 4, 300)
    label[:200] = judged[:200]
    weight = rng.uniform(1, 9, 300)
    estimates, both = influences(judged, label, 4, weight)
    step = 1e-6 * weight.sum()
    for i in (*np.flatnonzero(judged < 0)[:2], *range(200, 220)):
        more = weight.copy()
        more[i] += step
        moved = influences(judged, label, 4, more)[0]
        change = (np.array(moved) - estimates) / 1e-6
        assert change == pytest.approx([both[0][i], both[1][i]], abs=1e-4)
    for influence in both:
        assert weight @ influence == pytest.approx(0, abs=1e-9)
