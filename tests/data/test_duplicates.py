"""Copies of a photograph are found, exact or nearly, and never part a training from a test split."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance
from scipy.fft import dctn

from swatchbook.data import pixels
from swatchbook.data.duplicates import (
    groups,
    leave_out_copies,
    pairs,
    perceptual_hash,
    refuse_straddling,
    said,
    split_by_group,
    straddling,
)
from swatchbook.data.images import examine, find
from swatchbook.data.strict_csv import DataError
from tests.conftest import real_data

COLUMNS = ["image_id", "other", "kind", "distance", "split", "other_split", "folder", "other_folder"]


def photograph(seed: int) -> np.ndarray:
    """Coarse random colours, uint8 of shape (256, 256, 3); two seeds look nothing alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC))


def saved_again(picture: np.ndarray, quality: int = 40) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(picture).resize((160, 160)).save(buffer, "JPEG", quality=quality)
    return pixels.square(Image.open(buffer).convert("RGB")).pixels


def table(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image_id", "folder", "split", "sha256"])


def found(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image_id", "other"])


def test_exact_copies_are_listed_with_the_first_of_their_file():
    manifest = table(
        ("c", "lace", "test", "1"),
        ("a", "knit", "train", "1"),
        ("b", "lace", "val", "1"),
        ("d", "lace", "train", "2"),
        ("f", "lace", "val", "3"),
        ("e", "lace", "val", "3"),
    )
    listed = pairs(manifest)
    assert listed.columns.tolist() == COLUMNS
    assert listed.to_numpy().tolist() == [
        ["a", "b", "exact", 0, "train", "val", "knit", "lace"],
        ["a", "c", "exact", 0, "train", "test", "knit", "lace"],
        ["e", "f", "exact", 0, "val", "val", "lace", "lace"],
    ]


def test_pictures_saved_again_are_near_copies_and_others_are_not():
    pictures = np.stack([photograph(seed) for seed in range(12)])
    again = np.stack([saved_again(picture) for picture in pictures[:3]])
    rows = [(f"{i:02}", "lace", "train", str(i)) for i in range(12)]
    rows += [(f"again{i}", "knit", "test", f"again{i}") for i in range(3)]
    listed = pairs(table(*rows), np.concatenate([pictures, again]))
    assert listed[["image_id", "other", "kind"]].to_numpy().tolist() == [
        ["00", "again0", "near"],
        ["01", "again1", "near"],
        ["02", "again2", "near"],
    ]
    assert listed["distance"].max() <= 4
    assert listed["split"].tolist() == ["train"] * 3
    assert listed["other_folder"].tolist() == ["knit"] * 3


def test_one_picture_in_two_colours_is_not_a_copy():
    grey = photograph(0) @ [0.299, 0.587, 0.114]
    both = np.stack([grey[..., None] * colour for colour in ([1.0, 0.5, 0.5], [0.4, 0.8, 0.6])])
    both = both.round().astype(np.uint8)
    manifest = table(("a", "x", "train", "1"), ("b", "x", "train", "2"))
    bits = perceptual_hash(both)[0]
    assert (bits[0] != bits[1]).sum() <= 2
    assert pairs(manifest, both).empty
    assert len(pairs(manifest, both, max_colour=255)) == 1


def test_pictures_stored_at_another_side_have_nearly_the_same_hash():
    whole = photograph(0)
    small = np.asarray(Image.fromarray(whole).resize((224, 224), Image.Resampling.BILINEAR))
    (bits, colours), (others, theirs) = (perceptual_hash(p[None]) for p in (whole, small))
    assert (bits != others).sum() <= 4
    assert np.abs(colours - theirs).mean() < 2


def test_pictures_of_one_colour_have_no_near_copies():
    flat = np.full((3, 256, 256, 3), 200, dtype=np.uint8)
    flat[1] += 1
    manifest = table(("a", "x", "train", "1"), ("b", "x", "test", "2"), ("c", "x", "test", "3"))
    assert pairs(manifest, flat).empty
    manifest["sha256"] = "1"
    assert pairs(manifest, flat)["kind"].tolist() == ["exact", "exact"]


def test_the_distance_is_the_number_of_bits_that_differ():
    pictures = np.stack([photograph(seed) for seed in range(40)])
    manifest = table(*[(f"{i:02}", "x", "train", str(i)) for i in range(40)])
    bits, colours = perceptual_hash(pictures)
    listed = pairs(manifest, pictures, max_distance=26, max_colour=255)
    expected = {
        (f"{a:02}", f"{b:02}"): int((bits[a] != bits[b]).sum())
        for a in range(40)
        for b in range(a + 1, 40)
        if (bits[a] != bits[b]).sum() <= 26
    }
    assert len(expected) > 20
    assert dict(
        zip(zip(listed["image_id"], listed["other"], strict=True), listed["distance"], strict=True)
    ) == (expected)
    assert colours.shape == (40, 8, 8, 3)


def test_hash_and_colours_are_what_the_paper_and_the_docstring_say():
    picture = photograph(5)
    bits, colours = perceptual_hash(picture[None])
    small = picture.reshape(32, 8, 32, 8, 3).astype(float).mean(axis=(1, 3))
    low = dctn(small @ [0.299, 0.587, 0.114])[:8, :8]
    assert np.array_equal(bits[0].reshape(8, 8), low > np.median(low))
    assert bits.sum() == 32
    assert colours[0, 2, 5] == pytest.approx(picture[64:96, 160:192].reshape(-1, 3).mean(axis=0), abs=1e-3)


def test_brightness_does_not_change_the_hash_much():
    picture = photograph(6)
    brighter = np.asarray(ImageEnhance.Brightness(Image.fromarray(picture)).enhance(1.1))
    bits = perceptual_hash(np.stack([picture, brighter]))[0]
    assert (bits[0] != bits[1]).sum() <= 6


def test_only_one_of_exact_copies_stands_among_near_pairs():
    picture = photograph(1)
    again = saved_again(picture)
    manifest = table(
        ("d", "x", "test", "2"), ("c", "x", "train", "2"), ("b", "x", "train", "1"), ("a", "x", "train", "1")
    )
    listed = pairs(manifest, np.stack([again, again, picture, picture]))
    assert listed[["image_id", "other", "kind"]].to_numpy().tolist() == [
        ["a", "b", "exact"],
        ["c", "d", "exact"],
        ["a", "c", "near"],
    ]
    assert groups(manifest, listed).tolist() == [0, 0, 0, 0]


def test_the_pair_of_one_skirt_is_found_among_real_photographs(tmp_path):
    manifest = examine(find(real_data("clothing") / "images"))[0]
    pixels.build(manifest, tmp_path / "pixels.npy")
    rows = pixels.read(tmp_path / "pixels.npy")
    assert pairs(manifest, rows)[["image_id", "other", "kind"]].to_numpy().tolist() == [
        [
            "skirt/02341619-2fa3-42d4-bb5e-689518228e67.jpg",
            "skirt/78b7da73-ca6c-4e99-b88d-a9f358e7f0f2.jpg",
            "near",
        ]
    ]
    some = rows[::50]
    again = np.stack([saved_again(row) for row in some])
    both = pd.concat([manifest.iloc[::50], manifest.iloc[::50].assign(sha256=lambda t: t["image_id"])])
    both["image_id"] = [f"{kind}/{i:03}" for kind in ("a", "b") for i in range(len(some))]
    listed = pairs(both, np.concatenate([some, again]))
    assert listed["image_id"].tolist() == [f"a/{i:03}" for i in range(len(some))]
    assert listed["other"].tolist() == [f"b/{i:03}" for i in range(len(some))]


def test_an_exact_copy_in_two_splits_fails_loudly():
    manifest = table(("a", "x", "train", "1"), ("b", "x", "train", "1"), ("c", "y", "test", "1"))
    with pytest.raises(
        DataError, match=r"^'a' \(train\) and 'c' \(test\) are the same file \(1 such pairs\)"
    ):
        refuse_straddling(pairs(manifest))
    refuse_straddling(pairs(manifest.assign(split="train")))
    refuse_straddling(pairs(manifest.assign(split=None)))
    assert straddling(pairs(manifest.assign(split=None))).empty


def test_near_copies_in_two_splits_are_listed_and_do_not_stop():
    picture = photograph(2)
    manifest = table(("a", "x", "train", "1"), ("b", "x", "test", "2"))
    listed = pairs(manifest, np.stack([picture, saved_again(picture)]))
    assert straddling(listed)["kind"].tolist() == ["near"]
    refuse_straddling(listed)


def test_copies_of_copies_are_one_group():
    manifest = table(*[(name, "x", "train", name) for name in "fedcba"])
    links = found(("a", "c"), ("c", "e"), ("b", "f"))
    assert groups(manifest, links).tolist() == [0, 1, 2, 1, 0, 1]
    assert groups(manifest, found()).tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="pairs name images that the manifest lacks"):
        groups(manifest, found(("a", "z")))


def test_leaving_out_copies_keeps_test_and_parts_no_group():
    splits = {"a": "train", "b": "test", "c": "val", "d": "train", "e": "val", "f": "train", "g": "train"}
    manifest = table(*[(name, "x", split, name) for name, split in splits.items()])
    links = found(("a", "c"), ("b", "c"), ("d", "e"), ("f", "g"))
    kept = leave_out_copies(manifest, links)
    assert kept["image_id"].tolist() == ["b", "e", "f", "g"]
    assert kept.columns.tolist() == manifest.columns.tolist()
    with pytest.raises(ValueError, match="allowed: train, val, test"):
        leave_out_copies(manifest.assign(split=None), links)


SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}


def test_a_split_by_group_parts_no_group_and_keeps_the_shares(rng):
    n = 2_000
    manifest = table(*[(f"{i:04}", f"f{i % 4}", "", str(i)) for i in range(n)])
    group = np.sort(rng.integers(0, n // 2, n))  # mostly one to five images each
    split = split_by_group(manifest, group, SHARES, seed=1)
    assert split.groupby(group)["split"].nunique().max() == 1
    first = split.groupby(group)["folder"].transform("first")
    share = pd.crosstab(first, split["split"], normalize="index")
    for name, wanted in SHARES.items():
        assert share[name].to_numpy() == pytest.approx(np.full(4, wanted), abs=0.005)
    pd.testing.assert_frame_equal(split, split_by_group(manifest, group, SHARES, seed=1))
    assert (split["split"] != split_by_group(manifest, group, SHARES, seed=2)["split"]).mean() > 0.3
    assert split.drop(columns="split").equals(manifest.drop(columns="split"))


def test_without_copies_the_counts_of_a_split_are_exact():
    manifest = table(*[(f"{i:03}", "lace" if i < 50 else "knit", "", str(i)) for i in range(150)])
    split = split_by_group(manifest, np.arange(150), SHARES, seed=0)
    assert pd.crosstab(split["folder"], split["split"]).to_dict("index") == {
        "knit": {"test": 20, "train": 60, "val": 20},
        "lace": {"test": 10, "train": 30, "val": 10},
    }


def test_every_split_gets_its_part_of_the_large_groups():
    sizes = np.repeat([1, 2, 3], 100)
    group = np.repeat(np.arange(300), sizes)
    manifest = table(*[(f"{i:03}", "knit", "", str(i)) for i in range(600)])
    split = split_by_group(manifest, group, SHARES, seed=0)["split"].groupby(group).first()
    for size in (1, 2, 3):
        counts = split[sizes == size].value_counts()
        assert counts.to_numpy() == pytest.approx([60, 20, 20], abs=1) and counts.index[0] == "train"


def test_small_folders_do_not_all_overlook_the_same_split():
    manifest = table(*[(f"{i:03}", f"f{i // 2}", "", str(i)) for i in range(200)])
    split = split_by_group(manifest, np.arange(200), SHARES, seed=0)["split"].value_counts()
    # The first of two goes to train, the second is a tie of all three.
    assert split["train"] == pytest.approx(133, abs=20)
    assert split["val"] == pytest.approx(33, abs=20)


def test_impossible_splits_are_refused():
    manifest = table(("a", "x", "", "1"), ("b", "x", "", "2"))
    for shares in ({}, {"train": 0.5}, {"train": 1.2, "test": -0.2}):
        with pytest.raises(ValueError, match="shares must be positive with sum 1"):
            split_by_group(manifest, np.arange(2), shares, seed=0)
    with pytest.raises(ValueError, match="group has 3 entries; allowed: one a row of 2"):
        split_by_group(manifest, np.arange(3), SHARES, seed=0)
    with pytest.raises(ValueError, match="pixels have 1 rows; allowed: the manifest's 2"):
        pairs(manifest, np.zeros((1, 256, 256, 3), np.uint8))
    with pytest.raises(ValueError, match=r"pixels have shape \(2, 200, 200, 3\); .* a multiple of 32"):
        pairs(manifest, np.zeros((2, 200, 200, 3), np.uint8))


def test_copies_in_two_splits_are_told_with_what_became_of_them():
    lost = table(("a", "lace", "train", "1"), ("b", "lace", "train", "2"), ("c", "lace", "val", "3"))
    assert said(4, lost, "drop") == (
        "4 pairs of copies lie in two splits (tables/duplicates.csv): 2 images were left out of train and 1 out of "
        "val."
    )
    assert said(4, lost[:0], "keep").endswith(
        "scores on test are too high by as much as was learnt by heart."
    )
