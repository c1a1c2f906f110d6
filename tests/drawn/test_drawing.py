"""The drawn world: pictures that show their labels, and a truth that is known exactly."""

import errno
import json
from collections.abc import Callable
from importlib import resources

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from swatchbook.atomic import StoreError
from swatchbook.drawn import (
    FOLDERS,
    LABELS,
    contact_sheet,
    draw_image,
    drawn_world,
    textilenet,
    true_cramers_v,
    write_dataset,
)
from swatchbook.drawn.colours import SHADES, from_lab, to_lab
from swatchbook.drawn.drawing import draw_parts
from swatchbook.drawn.fields import UVMap
from swatchbook.drawn.garments import GARMENTS
from swatchbook.drawn.latent import World
from swatchbook.drawn.prints import printed
from swatchbook.drawn.surfaces import TEXTURES, surface
from swatchbook.drawn.worlds import folder_world, placed_folders
from swatchbook.schema import Schema

PLAIN = {"color": "red", "pattern": "solid", "texture": "smooth"}
SMALL = {"n_train": 14, "n_test": 6, "coupling": 0.7, "seed": 3, "size": 64}


def pixels(picture):
    return np.asarray(picture, dtype=float) / 255


def files_of(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("drawn") / "one"
    truth = write_dataset(out, **SMALL, schema=Schema.load(), workers=1)
    return out, truth


# drawing ------------------------------------------------------------------------------------------


def test_every_class_of_the_schema_and_every_folder_can_be_drawn(schema):
    for attribute in schema:
        if attribute.labelled_by != "folder":
            assert set(attribute.classes) <= set(LABELS[attribute.name])
            for index, label in enumerate(attribute.classes):
                picture = draw_image(
                    PLAIN | {attribute.name: label}, "twill", np.random.default_rng(index), 96
                )
                assert picture.mode == "RGB" and max(picture.size) == 96
    assert set(FOLDERS) == set(schema.folders) and len(FOLDERS) == 27
    for index, folder in enumerate(FOLDERS):
        assert pixels(draw_image(PLAIN, folder, np.random.default_rng(index), 96)).std() > 0.02


@pytest.mark.parametrize("extra", [{"color": "orange"}, {"pattern": "polka_dot"}, {"pattern": "graphic"}])
def test_classes_beyond_the_schema_can_be_drawn(extra):
    drawn = pixels(draw_image(PLAIN | extra, "jersey", np.random.default_rng(4), 96))
    plain = pixels(draw_image(PLAIN, "jersey", np.random.default_rng(4), 96))
    assert drawn.shape != plain.shape or np.abs(drawn - plain).max() > 0.1


@pytest.mark.parametrize("kind", GARMENTS)
def test_every_silhouette_lies_well_inside_the_picture_or_fills_it(kind):
    for seed in range(3):
        _, mask = draw_parts(PLAIN, "lawn", np.random.default_rng(seed), 96, kind)
        if kind in ("close_up", "draped"):
            assert mask.min() == 1
        else:
            assert 0.15 < mask.mean() < 0.92


def test_same_seed_same_picture_and_another_seed_another():
    one, two, other = (pixels(draw_image(PLAIN, "denim", np.random.default_rng(s), 96)) for s in (1, 1, 2))
    assert np.array_equal(one, two)
    assert one.shape != other.shape or not np.array_equal(one, other)


def nearest_is_its_own(middle: Callable) -> tuple[float, float]:
    """Share of solid garments nearest to their own colour's name: of all, and of those that are not sheer."""
    names = [name for name in SHADES if name != "orange"]
    shades = {name: to_lab(np.array(SHADES[name]) / 255) for name in names}
    right = {True: [], False: []}
    for index in range(240):
        rng = np.random.default_rng([5, index])
        color, texture = names[index % 12], LABELS["texture"][index // 12 % 5]
        picture, mask = draw_parts(
            {"color": color, "pattern": "solid", "texture": texture}, str(rng.choice(FOLDERS)), rng, 96
        )
        seen = to_lab(middle(pixels(picture)[mask > 0.9], axis=0))
        nearest = min(names, key=lambda name: np.linalg.norm(shades[name] - seen, axis=1).min())
        right[texture == "sheer"].append(nearest == color)
    return np.mean(right[True] + right[False]), np.mean(right[False])


def test_a_solid_garment_is_nearest_to_its_own_colour_name():
    every, opaque = nearest_is_its_own(np.mean)
    assert every >= 0.9 and opaque >= 0.95


def test_the_cloth_of_a_solid_garment_is_mostly_nearest_to_its_own_colour_name():
    every, opaque = nearest_is_its_own(np.median)  # of the cloth, not of zips and labels
    assert every >= 0.89 and opaque >= 0.94


def test_the_cloths_own_colour_covers_more_of_a_print_than_any_other():
    v, u = np.mgrid[:160, :160].astype(np.float32)
    inks = np.array([(0.9, 0.1, 0.1), (0.1, 0.9, 0.1), (0.1, 0.1, 0.9), (0.9, 0.9, 0.1)], dtype=np.float32)
    for pattern in LABELS["pattern"]:
        for seed in range(12):
            cloth = printed(pattern, UVMap(u, v), 30.0, inks, False, np.random.default_rng(seed))
            own, *others = ((np.abs(cloth.T - ink).sum(axis=-1) < 0.3).mean() for ink in inks)
            # A check mixes its colours where threads cross, so half of it belongs to neither.
            assert own > (0.18 if pattern == "checkered_plaid" else 0.38), (pattern, seed)
            assert own > max(others), (pattern, seed)


def test_prints_change_the_cloth_and_solid_does_not():
    v, u = np.mgrid[:96, :96].astype(np.float32)
    inks = np.array([(0.9, 0.9, 0.9), (0.1, 0.1, 0.1), (0.5, 0.1, 0.1), (0.1, 0.1, 0.5)], dtype=np.float32)
    for pattern in LABELS["pattern"]:
        cloth = printed(pattern, UVMap(u, v), 24.0, inks, True, np.random.default_rng(0))
        spread = np.ptp(cloth, axis=(1, 2)).max()
        assert (spread == 0) == (pattern in ("solid", "graphic")), pattern


def test_sheer_cloth_lets_the_ground_through_and_other_cloth_hides_it():
    v, u = np.mgrid[:64, :64].astype(np.float32)
    for folder in FOLDERS:
        for texture in TEXTURES:
            opacity = np.mean(surface(folder, texture, UVMap(u, v), 1.0, np.random.default_rng(0)).opacity)
            assert opacity < 0.75 if texture == "sheer" else opacity == 1, (folder, texture)


def test_lab_agrees_with_published_values_and_inverts():
    # sRGB primaries under D65, as tabulated by B. Lindbloom.
    known = {
        (1, 0, 0): (53.24, 80.09, 67.20),
        (0, 1, 0): (87.73, -86.18, 83.18),
        (0, 0, 1): (32.30, 79.19, -107.86),
    }
    for rgb, lab in known.items():
        assert to_lab(np.array(rgb, dtype=float)) == pytest.approx(lab, abs=0.02)
    rgb = np.random.default_rng(0).random((50, 3))
    assert from_lab(to_lab(rgb)) == pytest.approx(rgb, abs=1e-6)


@pytest.mark.parametrize(
    ("labels", "folder", "size", "message"),
    [
        (PLAIN | {"color": "mauve"}, "denim", 96, "mauve.*black.*navy"),
        (PLAIN | {"pattern": "plaid"}, "denim", 96, "plaid.*checkered_plaid"),
        (PLAIN | {"texture": "soft"}, "denim", 96, "soft.*fluffy_furry"),
        (PLAIN, "jeans", 96, "jeans.*denim"),
        ({"color": "red", "pattern": "solid"}, "denim", 96, "texture.*received color, pattern"),
        (PLAIN, "denim", 20, "at least 48.*20"),
    ],
)
def test_what_cannot_be_drawn_is_refused_naming_what_can(labels, folder, size, message, rng):
    with pytest.raises(ValueError, match=message):
        draw_image(labels, folder, rng, size)


def test_a_contact_sheet_has_a_row_a_class(schema):
    assert contact_sheet("material", schema, n=2, cell=48).size == (110 + 96, 6 * 48)
    with pytest.raises(ValueError, match=r"fabric.*material, color"):
        contact_sheet("fabric", schema)


# the world ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder_map", ["paper", "construction"])
def test_v_is_proportional_to_coupling_and_margins_do_not_depend_on_it(folder_map):
    schema = Schema.load(folder_map=folder_map)
    whole = true_cramers_v(1.0, schema)
    assert list(zip(whole["a"], whole["b"], strict=True)) == list(schema.pairs)
    assert whole["value"].between(0.25, 0.7).all()
    for coupling in (0.0, 0.3, 0.757):
        part = true_cramers_v(coupling, schema)
        assert part["value"].to_numpy() == pytest.approx(coupling * whole["value"].to_numpy(), abs=1e-12)
        for name in schema.names:
            mine, theirs = (drawn_world(c, schema).margin(name) for c in (coupling, 1.0))
            assert mine == pytest.approx(theirs, abs=1e-15)


def test_every_class_is_common_enough(schema):
    world = drawn_world(1.0, schema)
    for attribute in schema:
        margin = world.margin(attribute.name)
        assert margin.sum() == pytest.approx(1) and margin.min() >= 0.03, attribute.name


def test_the_joint_with_the_material_is_the_joint_with_the_folder_summed_by_the_rule(schema):
    by_folder, by_material = folder_world(0.6, schema), drawn_world(0.6, schema)
    materials = np.array([schema.folders[f] for f in placed_folders(schema)])
    for other in ("color", "pattern", "texture"):
        joint = by_folder.joint("folder", other)
        summed = np.array([joint[materials == label].sum(axis=0) for label in schema["material"].classes])
        assert by_material.joint("material", other) == pytest.approx(summed, abs=1e-15)


def test_labels_drawn_in_number_have_the_v_that_is_claimed(schema):
    truth = textilenet._truth(150_000, 50_000, 0.8, 1, schema, orphans=0.1)
    labelled = truth.dropna(subset=["material"])
    for row in true_cramers_v(0.8, schema).itertuples():
        table = pd.crosstab(labelled[row.a], labelled[row.b])
        sizes = len(schema[row.a]), len(schema[row.b])
        assert table.shape == sizes
        expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / len(labelled)
        phi2 = ((table.to_numpy() - expected) ** 2 / expected).sum() / len(labelled)
        # The plug-in is biased by (r − 1)(c − 1)/n in φ², 0.0003 at most here.
        assert np.sqrt(phi2 / (min(sizes) - 1)) == pytest.approx(row.value, abs=0.006)


def test_coupling_outside_its_range_is_refused(schema, tmp_path):
    for coupling in (-0.1, 1.1):
        with pytest.raises(ValueError, match=r"coupling.*\[0, 1\]"):
            write_dataset(tmp_path / "x", **SMALL | {"coupling": coupling}, schema=schema)
    assert list(tmp_path.iterdir()) == []


# data sets ----------------------------------------------------------------------------------------


def test_the_layout_is_textilenets_and_the_truth_matches_it(written, schema):
    out, truth = written
    assert sorted(p.name for p in out.iterdir()) == ["fabric", "truth.csv", "world.json"]
    assert sorted(p.name for p in (out / "fabric").iterdir()) == ["test", "train"]
    drawn = sorted(str(p.relative_to(out)) for p in out.rglob("*.jpg"))
    assert drawn == sorted(truth["path"]) and len(drawn) == 20
    read = pd.read_csv(out / "truth.csv")
    pd.testing.assert_frame_equal(read, truth, check_dtype=False)
    assert list(read.columns) == ["path", "split", "folder", *schema.names]
    schema.encode(read)
    for row in read.itertuples():
        _, split, folder, _ = row.path.split("/")
        assert (split, folder) == (row.split, row.folder)
        assert row.material == schema.folders[row.folder]
    assert read["split"].value_counts().to_dict() == {"train": 14, "test": 6}
    with Image.open(out / read["path"][0]) as picture:
        assert picture.format == "JPEG" and picture.mode == "RGB" and max(picture.size) == 64


def test_the_world_is_written_down_exactly(written, schema):
    record = json.loads((written[0] / "world.json").read_text())
    world = World(
        np.array(record["prior"]), {k: np.array(v) for k, v in record["given"].items()}, record["coupling"]
    )
    assert list(world.given) == list(schema.names)
    assert [world.cramers_v(row["a"], row["b"]) for row in record["cramers_v"]] == [
        row["value"] for row in record["cramers_v"]
    ]
    assert record["cramers_v"] == true_cramers_v(0.7, schema).to_dict("records")


def test_bytes_depend_on_the_seed_and_not_on_the_number_of_workers(written, schema, tmp_path):
    out, _ = written
    write_dataset(tmp_path / "two", **SMALL, schema=schema, workers=2)
    assert files_of(tmp_path / "two") == files_of(out)
    write_dataset(tmp_path / "other", **SMALL | {"seed": 4}, schema=schema, workers=1)
    assert not set(files_of(tmp_path / "other").values()) & {
        v for k, v in files_of(out).items() if k.endswith("jpg")
    }


def test_orphans_have_no_material_and_keep_everything_else(schema, tmp_path):
    size = {"n_train": 60, "n_test": 0, "coupling": 1.0, "seed": 2, "size": 48}
    truth = write_dataset(tmp_path / "o", **size, schema=schema, workers=1, orphans=0.5)
    homeless = {folder for folder, label in schema.folders.items() if label is None}
    assert (
        homeless == {"tweed", "crepe", "chenille", "serge"} == set(truth["folder"][truth["material"].isna()])
    )
    assert 18 <= truth["material"].isna().sum() <= 42
    without = textilenet._truth(60, 0, 1.0, 2, schema, 0.0)
    pd.testing.assert_frame_equal(
        truth[["color", "pattern", "texture"]], without[["color", "pattern", "texture"]]
    )


def test_a_full_disk_leaves_nothing_behind(schema, tmp_path, monkeypatch):
    saved = []

    def save(self, path, *args, **kwargs):
        saved.append(path)
        if len(saved) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        path.write_bytes(b"x")

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(StoreError, match="No space left"):
        write_dataset(tmp_path / "full", **SMALL, schema=schema, workers=1)
    assert len(saved) == 4 and list(tmp_path.iterdir()) == []


def test_a_target_that_cannot_be_made_fails_before_anything_is_drawn(schema, tmp_path, monkeypatch):
    monkeypatch.setattr(textilenet, "draw_files", lambda *args: pytest.fail("drawing began"))
    (tmp_path / "file").write_text("kept")
    with pytest.raises(StoreError, match="cannot write below"):
        write_dataset(tmp_path / "file" / "below", **SMALL, schema=schema)
    with pytest.raises(ValueError, match="already holds something"):
        write_dataset(tmp_path, **SMALL, schema=schema)
    assert [p.name for p in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "kept"


def test_an_error_in_a_worker_is_raised_and_leaves_nothing_behind(schema, tmp_path, monkeypatch):
    truth = textilenet._truth(14, 6, 0.7, 3, schema, 0.0)
    truth.loc[7, "color"] = "mauve"
    monkeypatch.setattr(textilenet, "_truth", lambda *args: truth)
    with pytest.raises(ValueError, match="mauve"):
        write_dataset(tmp_path / "x", **SMALL, schema=schema, workers=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_train": -1}, "n_train must be at least 0; received -1"),
        ({"n_train": 0, "n_test": 0}, "both 0"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"size": 10}, "size must be at least 48"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"orphans": 1.0}, r"orphans must lie in \[0, 1\)"),
    ],
)
def test_impossible_data_sets_are_refused(change, message, schema, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_dataset(tmp_path / "x", **{**SMALL, **change}, schema=schema)
    assert list(tmp_path.iterdir()) == []


def test_a_schema_with_a_class_that_no_garment_has_is_refused(tmp_path):
    path = tmp_path / "mauve.yaml"
    text = (resources.files("swatchbook") / "schemas" / "textilenet.yaml").read_text()
    path.write_text(text.replace("      purple: purple", "      mauve: mauve"))
    with pytest.raises(ValueError, match=r"mauve.*purple"):
        drawn_world(1.0, Schema.load(path))
