"""Garments with known attributes: their world, their pictures, their boxes and landmarks."""

import numpy as np
import pandas as pd
import pytest

from swatchbook.data.landmarks import SLOTS, TYPES
from swatchbook.drawn import photographs
from swatchbook.drawn.figure import posed
from swatchbook.drawn.garment_truth import challenge_groups, companion, sample_garments
from swatchbook.drawn.garment_world import GROUPS, MARGINS, garment_world, group_cramers_v
from swatchbook.drawn.photographs import OCCLUDED, TRUNCATED, VISIBLE, draw_scene
from swatchbook.drawn.tailoring import CATEGORIES, FITS, LENGTHS, LOWER_LENGTHS, NECKLINES, SLEEVES, cut
from swatchbook.schema import Schema

TEE = {"category": "Tee", "sleeve": "short", "lower_length": "na", "neckline": "crew", "belt": "no"}
TEE |= {"fit": "conventional", "fabric": "cotton", "pattern": "solid", "color": "red"}
SKIRT = TEE | {"category": "Skirt", "sleeve": "na", "neckline": "na", "lower_length": "medium_short"}
DRESS = TEE | {"category": "Dress", "lower_length": "medium_short"}


def scene(row, seed, size=120):
    return draw_scene(row, np.random.default_rng(seed), size)


def pixels(picture):
    return np.asarray(picture, dtype=float)


def extent(seen):
    """Left, top, right and bottom of true pixels; the last two one beyond them."""
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@pytest.fixture(scope="module")
def garments():
    return sample_garments(60, 3).to_dict("records")


# the world ----------------------------------------------------------------------------------------


def test_margins_are_the_challenges_and_v_is_proportional_to_coupling():
    whole = garment_world(1.0)
    for group, counts in MARGINS.items():
        expected = np.array(list(counts.values())) / 5000
        assert whole.margin(group) == pytest.approx(expected, abs=1e-12)
        assert garment_world(0.2).margin(group) == pytest.approx(expected, abs=1e-12)
    v, part = group_cramers_v(whole)["value"], group_cramers_v(garment_world(0.35))["value"]
    assert len(v) == 15 and v.between(0.05, 0.7).all()
    assert part.to_numpy() == pytest.approx(0.35 * v.to_numpy(), abs=1e-12)


def test_labels_drawn_in_number_have_the_margins_and_the_v_that_are_claimed():
    world = garment_world(0.9)
    groups = challenge_groups(sample_garments(20_000, 1, world))
    assert list(groups.columns) == list(GROUPS)
    for group, classes in GROUPS.items():
        shares = groups[group].value_counts(normalize=True).reindex(classes, fill_value=0)
        assert shares.to_numpy() == pytest.approx(world.margin(group), abs=0.015)
    for row in group_cramers_v(world).itertuples():
        table = pd.crosstab(groups[row.a], groups[row.b]).to_numpy()
        expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / len(groups)
        phi2 = ((table - expected) ** 2 / expected).sum() / len(groups)
        assert np.sqrt(phi2 / (min(table.shape) - 1)) == pytest.approx(row.value, abs=0.02)


def test_the_groups_are_those_of_the_challenges_schema():
    asked = Schema.load("challenge")
    assert {attribute.name: attribute.classes for attribute in asked} == GROUPS


def test_margins_can_be_given_and_wrong_ones_are_refused():
    even = {"fit": dict.fromkeys(GROUPS["fit"], 1)}
    assert garment_world(0.5, even).margin("fit") == pytest.approx([1 / 3] * 3)
    never = {"pattern": {"solid": 3, "lattice": 1}}
    assert garment_world(0.5, never).margin("pattern").tolist() == pytest.approx([0, 0, 0, 0, 0, 0.75, 0.25])
    for margins, message in (
        ({"hat": {"bowler": 1}}, "unknown group 'hat'; allowed: pattern"),
        ({"fit": {"wide": 1}}, "unknown class 'wide'; allowed: tight"),
        ({"fit": {"tight": -1, "loose": 2}}, "tight must be at least 0; received -1"),
        ({"fit": {"tight": 0}}, "at least one class"),
    ):
        with pytest.raises(ValueError, match=message):
            garment_world(0.5, margins)
    with pytest.raises(ValueError, match="n must be at least 1"):
        sample_garments(0, 1)


def test_every_garment_has_what_its_type_has_and_no_more():
    truth = sample_garments(4000, 2)
    allowed = {"sleeve": SLEEVES, "length": LENGTHS, "lower_length": LOWER_LENGTHS, "neckline": NECKLINES}
    for name, classes in (allowed | {"fit": FITS, "category": CATEGORIES}).items():
        assert set(truth[name]) == set(classes), name
    assert (truth["clothes_type"] == truth["category"].map(lambda c: CATEGORIES[c].clothes_type)).all()
    lower = truth["clothes_type"] == "lower"
    assert ((truth["sleeve"] == "na") == lower).all() and ((truth["neckline"] == "na") == lower).all()
    assert (truth["lower_length"][lower] != "na").all()
    assert (truth["lower_length"][truth["clothes_type"] == "upper"] == "na").all()
    assert ((truth["length"] != "no_dress") == (truth["category"] == "Dress")).all()
    assert (truth["fit"][truth["category"] == "Leggings"] == "tight").all()


def test_a_companion_is_worn_with_the_other_half(rng):
    assert {companion("upper", rng)["clothes_type"] for _ in range(30)} == {"lower"}
    assert {companion("lower", rng)["clothes_type"] for _ in range(30)} == {"upper"}


# pictures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_category_in_every_fit_can_be_drawn(category):
    kind = CATEGORIES[category].clothes_type
    row = {"upper": TEE, "lower": SKIRT, "full": DRESS}[kind] | {"category": category}
    for seed, fit in enumerate(FITS):
        picture, geometry, cover = scene(row | {"fit": fit}, seed)
        assert max(picture.size) == 120 and cover.shape == picture.size[::-1]
        left, top, right, bottom = geometry.box
        assert 0 <= left < right <= picture.width and 0 <= top < bottom <= picture.height
        assert set(geometry.points) == {SLOTS[slot] for slot in TYPES[kind]}


@pytest.mark.parametrize(
    ("of", "classes"),
    [
        ("neckline", NECKLINES[:-1]),
        ("sleeve", SLEEVES[:-1]),
        ("lower_length", LOWER_LENGTHS[:-1]),
        ("fabric", tuple(photographs.CLOTHS)),
        ("pattern", GROUPS["pattern"]),
    ],
)
def test_every_class_of_an_attribute_changes_the_picture(of, classes):
    row, seen = DRESS if of == "lower_length" else TEE, []
    for label in classes:
        row = row | {of: label}
        if label in ("strap", "halter", "strapless"):
            row["sleeve"] = "sleeveless"
        seen.append(pixels(scene(row, 4)[0]))
    for number, one in enumerate(seen):
        for other in seen[:number]:
            assert one.shape != other.shape or np.abs(one - other).max() > 30


def test_a_box_is_the_extent_of_what_the_garment_changes(monkeypatch, garments):
    occluders = photographs._occluders
    monkeypatch.setattr(photographs, "_occluders", lambda *given: occluders(*given)[:0])
    exact = 0
    for seed, row in enumerate(garments[:24]):
        picture, geometry, cover = scene(row, seed)
        assert geometry.box == extent(cover >= 0.5)
        with monkeypatch.context() as without:
            without.setattr(photographs, "lay_over", lambda *given: None)
            bare, _, _ = scene(row, seed)
        changed = np.abs(pixels(picture) - pixels(bare)).max(axis=2) > 12
        # Thin cloth hardly changes a pixel at its edge, a camera's blur changes two beyond it.
        off = np.abs(np.array(extent(changed)) - geometry.box)
        if row["fabric"] not in ("chiffon", "faux_fur"):
            assert off.max() <= 4, (seed, row)
            exact += off.max() <= 2
    assert exact >= 15


def test_landmarks_lie_in_the_box_and_left_is_left_of_right(garments):
    counts = np.zeros(3, dtype=int)
    for seed, row in enumerate(garments):
        picture, geometry, _ = scene(row, seed)
        left, top, right, bottom = geometry.box
        for name, (x, y, visibility) in geometry.points.items():
            counts[visibility] += 1
            if visibility == TRUNCATED:
                assert not (0 <= x < picture.width and 0 <= y < picture.height), (seed, name)
            else:
                assert left < x < right and top < y < bottom and x % 1 == y % 1 == 0.5, (seed, name)
        for point in {"collar", "waistline", "hem"} & {name.split("_")[1] for name in geometry.points}:
            assert geometry.points[f"left_{point}"][0] < geometry.points[f"right_{point}"][0]
    assert counts[VISIBLE] > counts[OCCLUDED] > 10 and counts[TRUNCATED] > 5


def test_a_landmark_is_occluded_exactly_where_something_lies_before_it(monkeypatch, garments):
    occluders = photographs._occluders

    def green(*given):
        return [(outlines, np.array([0.0, 1.0, 0.0]), arm) for outlines, _, arm in occluders(*given)]

    def grey(shape, *given):
        return np.full((3, *shape), 0.5, dtype=np.float32)

    monkeypatch.setattr(photographs, "_occluders", green)
    monkeypatch.setattr(photographs, "background", grey)
    covered = checked = counted = 0
    for seed, row in enumerate(garments):
        picture, geometry, _ = scene(row | {"color": "red", "pattern": "solid"}, seed)
        with monkeypatch.context() as without:
            without.setattr(photographs, "_occluders", lambda *given: occluders(*given)[:0])
            _, free, _ = scene(row | {"color": "red", "pattern": "solid"}, seed)
        red, green_light, blue = pixels(picture).transpose(2, 0, 1)
        is_green = green_light - np.maximum(red, blue) > 20
        for name, (x, y, now) in geometry.points.items():
            before = free.points[name][2]
            if now in (VISIBLE, OCCLUDED) and before == VISIBLE:
                around = is_green[max(int(y) - 2, 0) : int(y) + 3, max(int(x) - 2, 0) : int(x) + 3]
                if around.all() or not around.any():  # not at the edge of what lies before it
                    assert around.all() == (now == OCCLUDED), (seed, x, y)
                    checked += 1
                    covered += now == OCCLUDED
                counted += 1
            assert now >= before  # what lies before a garment hides points and shows none
    assert covered >= 10 and checked > 0.9 * counted


def test_the_landmarks_of_a_shirt_laid_out_are_those_of_its_outline():
    body = posed(np.random.default_rng(1), flat=True)
    garment = cut(TEE | {"sleeve": "long"}, body, False, np.random.default_rng(1))
    points = garment.landmarks
    front = np.vstack([part.outline for part in garment.parts if part.body])
    hem = front[front[:, 1] > front[:, 1].max() - 0.2]
    assert points["right_hem"][0] == pytest.approx(hem[:, 0].max()) == -points["left_hem"][0]
    assert points["left_collar"].tolist() == [-points["right_collar"][0], 0.0]
    for side, name in ((-1, "left"), (1, "right")):
        wrist = body.arms[side][2]
        assert np.linalg.norm(points[f"{name}_sleeve"] - wrist) < 0.13


def test_same_seed_same_picture_and_geometry(garments):
    one, two = (scene(garments[0], 5) for _ in range(2))
    assert np.array_equal(pixels(one[0]), pixels(two[0])) and one[1] == two[1]


def test_photographs_of_one_cloth_show_one_garment():
    row = TEE | {"pattern": "floral", "view": "front", "cloth_seed": 7}

    def colours(given, seed):
        picture, _, cover = scene(given, seed, 160)
        return np.median(pixels(picture)[cover > 0.95], axis=0)

    same = [colours(row, seed) for seed in range(4)]
    other = [colours(row | {"cloth_seed": 8 + seed}, seed) for seed in range(4)]
    assert np.std(same, axis=0).mean() < np.std(other, axis=0).mean()
    assert scene(row, 1)[1].worn
