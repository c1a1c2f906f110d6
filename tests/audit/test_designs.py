"""The audit's designs: exact sizes, known weights, nothing given away, and intervals that cover the truth."""

import numpy as np
import pandas as pd
import pytest
from benchmarks.audit_designs import (
    ACCURACY,
    PUBLISHED,
    accuracy_error,
    coverage,
    drawn_split,
    labels_needed,
    lognormal_sizes,
)

from swatchbook.audit.designs import (
    APART,
    DESIGNS,
    MIXED,
    Design,
    aligned,
    allocate,
    draw_audit,
    draw_within,
    make_design,
)
from swatchbook.audit.sample import SAMPLE_COLUMNS, STRATA_COLUMNS, read_sample, sample_id, write_sample
from swatchbook.schema import Schema

SCHEMA = Schema.load()
TEST, SILVER, TRUTH, _ = drawn_split(PUBLISHED, SCHEMA, np.random.default_rng(1))


def draw(design="neyman", n=210, **options):
    return draw_audit(TEST, SILVER, SCHEMA, design=design, n=n, **options)


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("n", [100, 210, 1999])
def test_each_stratum_gives_its_share_and_the_weights_add_up_to_the_split(design, n):
    sample, strata = draw(design, n)
    assert tuple(sample) == SAMPLE_COLUMNS and tuple(strata) == STRATA_COLUMNS
    assert len(sample) == n == strata["drawn"].sum() and sample["image_id"].is_unique
    assert (strata["drawn"] >= np.minimum(2, strata["population"])).all()
    assert (strata["drawn"] <= strata["population"]).all()
    assert sample["weight"].sum() == pytest.approx(3760)
    key = strata.set_index("stratum").loc[sample["stratum"]]
    assert (sample["weight"].to_numpy() == (key["population"] / key["drawn"]).to_numpy()).all()
    assert (sample["stratum"].value_counts()[strata["stratum"]].to_numpy() == strata["drawn"]).all()


def test_ten_from_each_fabric_is_the_published_design():
    sample, strata = draw("fabric")
    assert strata["drawn"].eq(10).all() and sorted(strata["fabric"]) == sorted(TEST["folder"].unique())
    folder = TEST.set_index("image_id")["folder"][sample["image_id"]]
    fabric = strata.set_index("stratum")["fabric"][sample["stratum"]]
    assert folder.tolist() == fabric.tolist()
    assert draw_audit(TEST, None, SCHEMA, design="fabric", n=210)[0].equals(sample)


def test_a_whole_split_can_be_drawn_and_every_image_then_stands_for_itself():
    for design in DESIGNS:
        sample, _ = draw(design, len(TEST))
        assert sample["weight"].eq(1).all() and set(sample["image_id"]) == set(TEST["image_id"])


def test_only_the_test_split_is_drawn_and_the_labels_are_found_by_image():
    rest = TEST.assign(split="train", image_id="train/" + TEST["image_id"])
    manifest = pd.concat([rest, TEST]).sample(frac=1, random_state=3)
    sample, _ = draw_audit(manifest, SILVER, SCHEMA, design="neyman", n=300)
    assert sample["image_id"].isin(TEST["image_id"]).all()
    shuffled = SILVER.sample(frac=1, random_state=4)
    assert draw_audit(TEST, shuffled, SCHEMA, design="neyman", n=300)[0].equals(draw(n=300)[0])
    pd.testing.assert_frame_equal(aligned(shuffled, TEST["image_id"]), SILVER)


def test_the_same_seed_gives_the_same_sample_and_another_one_another():
    ids = [sample_id(draw(seed=seed, repeats=20)[0]) for seed in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2]


def test_the_sample_tells_nothing_of_the_machine_and_its_codes_are_dealt_anew():
    sample, strata = draw(n=600)
    assert not set(map(str, SILVER["color"].dropna().unique())) & set(sample.astype(str).to_numpy().ravel())
    other = draw(n=600, seed=9)[1]
    assert strata["label"].tolist() != other["label"].tolist()
    assert sorted(strata["label"]) == sorted(other["label"])
    assert sample["stratum"].str.fullmatch(r"s\d\d").all()


def test_the_order_of_asking_is_shuffled():
    sample, _ = draw("fabric", 630)
    rank = sample["image_id"].rank()
    assert abs(np.corrcoef(rank, sample["item"])[0, 1]) < 0.15
    assert sample["stratum"].ne(sample["stratum"].shift()).mean() > 0.9


@pytest.mark.parametrize(("n", "repeats"), [(210, 20), (210, 191), (60, 41), (60, 60), (42, 1)])
def test_a_second_judgement_comes_late_and_repeats_what_the_first_one_stands_for(n, repeats):
    for seed in range(20):
        sample, _ = draw("fabric", n, repeats=repeats, seed=seed)
        assert len(sample) == n + repeats and sample["item"].tolist() == list(range(1, n + repeats + 1))
        first = sample[sample["repeat"] == 0].set_index("image_id")
        again = sample[sample["repeat"] == 1].set_index("image_id")
        assert len(again) == repeats and again.index.is_unique
        gap = again["item"] - first["item"][again.index]
        assert gap.min() >= min(APART, n)
        assert again["weight"].equals(first["weight"][again.index])
        assert first["weight"].sum() == pytest.approx(3760)


def test_as_late_as_possible_is_at_the_end_in_the_order_of_the_first(schema):
    small = TEST[:10]
    sample, _ = draw_audit(small, None, schema, design="fabric", n=10, repeats=10)
    assert sample["image_id"].tolist()[10:] == sample["image_id"].tolist()[:10]


def test_repeated_images_are_a_random_part_of_the_sample():
    chosen = [draw("fabric", 42, repeats=10, seed=s)[0].query("repeat == 1")["stratum"] for s in range(150)]
    rare = pd.concat(chosen).map(lambda code: int(code[1:])).value_counts()
    assert len(rare) == 21 and rare.min() > 40 and rare.max() < 110  # 1,500 repeats over 21 codes: 71 each


def test_the_sample_survives_being_written_and_read(tmp_path):
    for design in DESIGNS:
        sample, strata = draw(design, 333, repeats=30)
        write_sample(sample, strata, tmp_path / design)
        assert sample_id(read_sample(tmp_path / design)) == sample_id(sample)


def test_allocation_equals_hand_computed_values():
    assert allocate(np.array([1.0, 2, 7]), np.array([100, 100, 100]), 20).tolist() == [2, 4, 14]
    assert allocate(np.array([1.0, 1, 98]), np.array([100, 100, 100]), 20).tolist() == [2, 2, 16]
    assert allocate(np.array([1.0, 1, 98]), np.array([100, 100, 10]), 20).tolist() == [5, 5, 10]
    assert allocate(np.array([1.0, 1, 1]), np.array([1, 100, 2]), 13).tolist() == [1, 10, 2]


def test_allocation_is_exact_and_within_bounds_for_any_sizes(rng):
    for _ in range(300):
        strata = rng.integers(1, 60)
        population = rng.integers(1, 300, strata)
        size = np.exp(rng.normal(0, 2, strata)) * population
        least = np.minimum(population, 2)
        n = rng.integers(least.sum(), population.sum() + 1)
        drawn = allocate(size, population, n)
        assert drawn.sum() == n and (drawn >= least).all() and (drawn <= population).all()
        free = (drawn > least) & (drawn < population)
        rate = drawn[free] / size[free]
        # Rounding moves each number by less than one, so a common multiplier must explain them all.
        assert ((drawn[free] + 1) / size[free]).min(initial=np.inf) >= ((drawn[free] - 1) / size[free]).max(
            initial=0
        )
        assert (rate > 0).all()


def test_neyman_asks_more_where_the_labeller_is_less_sure():
    plan = make_design(TEST, SILVER, SCHEMA, design="neyman", n=600)
    rate = plan.drawn / np.bincount(plan.stratum)
    sure = plan.key[["confidence_low", "confidence_high"]].mean(axis=1)
    assert np.corrcoef(rate, sure)[0, 1] < -0.7


def test_every_attributes_abstentions_have_strata_and_are_drawn():
    sample, strata = draw(n=600)
    abstained = strata["label"].str.contains("pattern abstained") | (strata["label"] == MIXED)
    assert abstained.any()
    drawn = SILVER.set_index("image_id").loc[sample["image_id"]]
    for name in ("pattern", "texture"):
        weight = sample["weight"].to_numpy()[drawn[name].isna().to_numpy()]
        assert weight.sum() / len(TEST) == pytest.approx(SILVER[name].isna().mean(), abs=0.03)
    one = draw(n=600, attribute="pattern")[1]
    assert (one["label"] == "abstained").sum() == 1 and set(one["attribute"]) == {"pattern"}
    assert {x.split(",")[0] for x in one["label"]} == {*SCHEMA["pattern"].classes, "abstained"}


def test_small_strata_are_joined_so_that_a_small_audit_is_possible():
    sizes = [len(draw(n=n)[1]) for n in (50, 210, 2000)]
    assert sizes[0] <= 25 < sizes[1] < sizes[2]


def test_labels_without_any_doubt_are_still_drawn():
    certain = SILVER.assign(**{f"{a}_confidence": 1.0 for a in ACCURACY})
    sample, _ = draw_audit(TEST, certain, SCHEMA, design="neyman", n=100)
    assert len(sample) == 100 and sample["weight"].sum() == pytest.approx(3760)


def test_draws_within_strata_are_simple_random_samples(rng):
    stratum, drawn = np.repeat([0, 1, 2], [5, 3, 1]), np.array([2, 2, 1])
    counts = np.zeros(9)
    for _ in range(3000):
        taken = draw_within(stratum, drawn, rng)
        assert np.bincount(stratum[taken]).tolist() == [2, 2, 1]
        counts[taken] += 1
    expected = np.array([2 / 5] * 5 + [2 / 3] * 3 + [1])
    assert counts / 3000 == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 3000))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"design": "simple"}, "design 'simple' is unknown; allowed: fabric, neyman"),
        ({"n": 1}, "n must lie between 2 and the 3,760"),
        ({"n": 3761}, "received 3761"),
        ({"n": 30, "design": "fabric"}, "n must lie between 42"),
        ({"repeats": 211}, "repeats must lie between 0 and n=210"),
        ({"repeats": -1}, "received -1"),
        ({"attribute": "material"}, "some of: color, pattern, texture"),
        ({"attribute": "color", "design": "fabric"}, "only the design neyman"),
        ({"silver": None}, "needs silver labels"),
        ({"silver": SILVER[1:]}, "has no row"),
        ({"silver": pd.concat([SILVER, SILVER[:1]])}, "has two rows"),
        ({"silver": SILVER.assign(color_confidence=7.0)}, "0 to 1 is allowed"),
        ({"test": TEST[:0]}, "no image"),
        ({"test": pd.concat([TEST, TEST[:1]])}, "has two rows"),
    ],
)
def test_a_draw_that_cannot_be_is_refused(change, message):
    asked = {"test": TEST, "silver": SILVER, "design": "neyman", "n": 210} | change
    with pytest.raises(ValueError, match=message):
        draw_audit(asked.pop("test"), asked.pop("silver"), SCHEMA, **asked)


def test_weighted_accuracy_is_unbiased_under_both_designs(rng):
    correct = SCHEMA.encode(SILVER)["pattern"] == TRUTH["pattern"]
    for design in DESIGNS:
        plan = make_design(TEST, SILVER, SCHEMA, design=design, n=210)
        weight = (np.bincount(plan.stratum) / plan.drawn)[plan.stratum]
        drawn = [draw_within(plan.stratum, plan.drawn, rng) for _ in range(800)]
        estimates = [(weight[x] * correct[x]).sum() / weight[x].sum() for x in drawn]
        error = accuracy_error(plan, correct)
        assert np.mean(estimates) == pytest.approx(correct.mean(), abs=3 * error / np.sqrt(800))
        assert np.std(estimates) == pytest.approx(error, rel=0.1)


def test_intervals_cover_the_truth_in_500_audits_of_both_designs():
    covered = coverage(PUBLISHED, SCHEMA, seed=11, draws=300)
    shares = covered.groupby("design")[["accuracy covered", "macro_f1 covered"]].mean().to_numpy()
    assert shares.shape == (2, 2) and ((shares >= 0.93) & (shares <= 0.97)).all(), covered.to_string()


def test_neyman_needs_at_most_half_the_labels_where_fabrics_differ_in_size():
    sizes = lognormal_sizes(np.random.default_rng(5))
    test, silver, truth, _ = drawn_split(sizes, SCHEMA, np.random.default_rng(11))
    codes = SCHEMA.encode(silver)
    fabric = make_design(test, silver, SCHEMA, design="fabric", n=210)
    for name in ACCURACY:
        correct = codes[name] == truth[name]
        assert labels_needed(test, silver, SCHEMA, correct, accuracy_error(fabric, correct)) <= 105


def test_strata_for_all_attributes_serve_each_better_than_strata_for_another_one():
    def errors(attribute):
        plan = make_design(TEST, SILVER, SCHEMA, design="neyman", n=210, attribute=attribute)
        return {a: accuracy_error(plan, SCHEMA.encode(SILVER)[a] == TRUTH[a]) for a in ACCURACY}

    crossed, color = errors(None), errors("color")
    everyone = Design(np.zeros(len(TEST), dtype=int), np.array([210]), pd.DataFrame())
    simple = {a: accuracy_error(everyone, SCHEMA.encode(SILVER)[a] == TRUTH[a]) for a in ACCURACY}
    assert color["color"] < crossed["color"] < simple["color"]
    for other in ("pattern", "texture"):
        assert crossed[other] < simple[other] < color[other]
