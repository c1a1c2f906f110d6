"""The challenge set as it is found: plain, with headers, with CRLF, with or without boxes, packed or not.

Real copies are looked for beside the other real data (see `conftest.real_data`): ``challenge`` of
LilyDaytoy/FashionDataset-Classification, ``archy`` of ArchyZheng/AD_CV_project (its split files alone will do),
``yuyue`` of YuYue525/AI6126_project_1, ``chenxr`` of chenxr35/AI6126_Project1.
"""

import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from swatchbook.data import duplicates
from swatchbook.data.landmarks import BOX, POINTS, VISIBILITY, points_of
from swatchbook.data.readers import challenge
from swatchbook.data.strict_csv import DataError
from swatchbook.schema import Schema
from tests.conftest import real_data

SCHEMA = Schema.load("challenge")
HEADERS = {"": "picture_filename", "_attr": " ".join(f"category{i}" for i in range(1, 7))}
SPLIT_FILES = {
    "train.txt": "img/00000.jpg\nimg/00001.jpg\nimg/00002.jpg\n",
    "train_attr.txt": "5 0 2 0 2 2\n5 1 2 0 5 1\n0 2 0 3 1 0\n",
    "train_bbox.txt": "006 002 030 040\n001 001 032 048\n004 004 020 044\n",
    "train_landmards.txt": (
        "010 005 020 005 006 030 028 030 008 040 026 040 0 0 0 0\n"
        "0 0 012 006 002 020 030 020 008 025 024 025 004 048 028 048\n"
        "005 004 018 004 0 0 016 044 0 0 0 0 0 0 0 0\n"
    ),
    "val.txt": "img/00003.jpg\nimg/00004.jpg\n",
    "val_attr.txt": "1 2 1 1 2 2\n6 2 2 2 0 0\n",
    "val_bbox.txt": "002 003 031 047\n003 003 030 030\n",
    "val_landmards.txt": "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n" * 2,
    "test.txt": "img/00005.jpg\n",
    "test_bbox.txt": "002 003 031 047\n",
    "test_landmards.txt": "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
}


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def written(root, changes=None):
    """A copy of the set; `changes` maps a file to its text, or to None where it is left out."""
    for number in range(6):
        path = root / "FashionDataset" / "img" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(number))
    for name, text in (SPLIT_FILES | (changes or {})).items():
        path = root / "FashionDataset" / "split" / name
        path.parent.mkdir(exist_ok=True)
        if text is not None:
            path.write_bytes(text.encode())
    return root


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return challenge.read(written(tmp_path_factory.mktemp("whole")))


def test_each_image_has_its_classes_box_and_points(manifest):
    assert manifest["image_id"].tolist() == [f"img/{i:05d}.jpg" for i in range(6)]
    assert manifest["split"].tolist() == ["train"] * 3 + ["val"] * 2 + ["test"]
    assert manifest.loc[2, list(SCHEMA.names)].tolist() == [
        "floral", "sleeveless", "maxi_length", "no_neckline", "chiffon", "tight",
    ]  # fmt: skip
    assert manifest.loc[5, list(SCHEMA.names)].isna().all()
    assert manifest[["width", "height"]].to_numpy().tolist() == [[32, 48]] * 6
    assert all(Path(path).is_file() for path in manifest["path"])


def test_pixels_counted_from_one_become_continuous_coordinates(manifest):
    # The first pixel counted from 1 covers 0 to 1, and a box holds its last pixel.
    assert manifest.loc[0, list(BOX)].tolist() == [5, 1, 30, 40]
    assert manifest.loc[1, list(BOX)].tolist() == [0, 0, 32, 48]
    assert manifest.loc[0, ["left_collar_x", "left_collar_y"]].tolist() == [9.5, 4.5]


def test_points_lie_in_the_eight_slots_of_the_type_that_they_suggest(manifest):
    points, codes = points_of(manifest)
    assert manifest["clothes_type"].tolist() == ["upper", "full", "lower", None, None, None]
    upper, full, lower = points[:3] + 0.5
    assert upper[[0, 1, 2, 3, 6, 7]].tolist() == [[10, 5], [20, 5], [6, 30], [28, 30], [8, 40], [26, 40]]
    assert np.isnan(upper[[4, 5]]).all()
    assert codes[0].tolist() == [0, 0, 0, 0, -1, -1, 0, 0]
    assert codes[1].tolist() == [-1, 0, 0, 0, 0, 0, 0, 0]
    assert full[7].tolist() == [28, 48]
    assert lower[[4, 5, 7]].tolist() == [[5, 4], [18, 4], [16, 44]]
    assert codes[2].tolist() == [-1, -1, -1, -1, 0, 0, -1, 0]
    assert (codes[3:] == -1).all()


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "   \n"])
@pytest.mark.parametrize("headed", [False, True])
@pytest.mark.parametrize("geometry", [False, True])
def test_every_layout_gives_the_same_manifest(tmp_path, manifest, line_end, headed, geometry):
    changes = {}
    for name, text in SPLIT_FILES.items():
        kind = name.removesuffix(".txt").partition("_")[1:]
        header = HEADERS.get("".join(kind)) if headed else None
        kept = geometry or not kind[0] or "".join(kind) == "_attr"
        changes[name] = (f"{header}\n" * bool(header) + text).replace("\n", line_end) if kept else None
    found = challenge.read(written(tmp_path, changes))
    left_out = [] if geometry else [*BOX, "clothes_type", *POINTS, *VISIBILITY]
    same = manifest.drop(columns=["path", *left_out])
    pd.testing.assert_frame_equal(found.drop(columns="path"), same)


def test_the_other_spelling_of_landmarks_is_read_as_well(tmp_path, manifest):
    landmarks = {n: t for n, t in SPLIT_FILES.items() if n.endswith("_landmards.txt")}
    changes = dict.fromkeys(landmarks) | {n.replace("mards", "marks"): t for n, t in landmarks.items()}
    found = challenge.read(written(tmp_path, changes))
    pd.testing.assert_frame_equal(found.drop(columns="path"), manifest.drop(columns="path"))


@pytest.mark.parametrize("packed", ["zip", "gztar"])
def test_an_archive_gives_what_its_folder_gives(tmp_path, manifest, packed):
    source = shutil.make_archive(str(tmp_path / "FashionDataset"), packed, written(tmp_path / "whole"))
    found = challenge.read(source, tmp_path / "unpacked")
    pd.testing.assert_frame_equal(found.drop(columns="path"), manifest.drop(columns="path"))


def first_line(name: str, line: str) -> dict:
    return {name: line + "\n" + SPLIT_FILES[name].split("\n", 1)[1]}


BAD = {
    "missing split file": ({"val_attr.txt": None}, r"has no val_attr\.txt; allowed: train\.txt, val\.txt and test\.txt with their labels"),
    "five numbers": (first_line("train_attr.txt", "5 0 2 0 2"), r"train_attr\.txt, line 1 has 5 numbers; allowed: 6"),
    "class 9": (first_line("val_attr.txt", "1 2 1 9 2 2"), r"val_attr\.txt, line 1: neckline 9; allowed: 0 to 3"),
    "class -1": (first_line("train_attr.txt", "-1 0 2 0 2 2"), r"train_attr\.txt, line 1: pattern -1; allowed: 0"),
    "a word": (first_line("train_attr.txt", "5 0 2 x 2 2"), r"train_attr\.txt, line 1: 'x' is no whole number"),
    "two headers": (
        {"train.txt": "picture_filename\n" * 2 + SPLIT_FILES["train.txt"]},
        r"train\.txt, line 2: 'picture_filename' is no image; allowed: one header line at most, then images",
    ),
    "two headers of classes": (
        {"train_attr.txt": "category1\ncategory1\n" + SPLIT_FILES["train_attr.txt"]},
        r"train_attr\.txt, line 2: 'category1' is no whole number",
    ),
    "empty validation set": ({"val.txt": "\n", "val_attr.txt": ""}, r"val\.txt is empty; at least one line"),
    "only a header": ({"val.txt": "picture_filename\n"}, r"val\.txt is empty; .* after its header"),
    "fewer rows": (
        {"train_attr.txt": "5 0 2 0 2 2\n"}, r"train_attr\.txt has 1 rows; allowed: 3, one an image of its list"
    ),
    "more boxes": (
        {"val_bbox.txt": "002 003 031 047\n" * 3}, r"val_bbox\.txt has 3 rows; allowed: 2, one an image of its list"
    ),
    "boxes of one split": ({"val_bbox.txt": None}, r"has train_bbox\.txt and no val_bbox\.txt; allowed: such a file"),
    "box outside": (
        first_line("train_bbox.txt", "006 002 033 040"),
        r"'img/00000\.jpg': box \(5, 1, 33, 40\) \(1 such\); allowed: inside the picture, which is 32 × 48 pixels",
    ),
    "box without area": (first_line("train_bbox.txt", "030 002 006 040"), r"'img/00000\.jpg': box \(29, 1, 6, 40\)"),
    "point outside the picture": (
        first_line("train_landmards.txt", "040 005 020 005 006 030 028 030 008 040 026 040 0 0 0 0"),
        r"'img/00000\.jpg': left_collar \(39\.5, 4\.5\) \(1 such\); allowed: inside the picture",
    ),
    "point outside the box": (
        first_line("train_bbox.txt", "011 002 030 040"),
        r"'img/00000\.jpg': left_collar lies outside the box \(3 such points\)",
    ),
    "wrong order": (
        {"train.txt": "img/00001.jpg\nimg/00000.jpg\nimg/00002.jpg\n"},
        r"train\.txt, line 2: 'img/00000\.jpg' comes after 'img/00001\.jpg'; allowed: names in ascending order",
    ),
    "an image in two splits": (
        {"val.txt": "img/00002.jpg\nimg/00004.jpg\n"}, r"'img/00002\.jpg' is in train\.txt, val\.txt; allowed: each"
    ),
    "other classes": (
        {"list_attr_cloth.txt": "26\nattribute_name attribute_type\nstriped 1\nfloral 1\n"},
        r"list_attr_cloth\.txt lists striped 1, floral 1; allowed: the classes of the schema 'challenge', floral 1",
    ),
    "missing image": (
        {"test.txt": "img/00006.jpg\n"}, r"1 of 6 images are broken.*'img/00006\.jpg' \(No such file or directory\)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused_by_file_and_line(tmp_path, case):
    changes, message = BAD[case]
    with pytest.raises(DataError, match=message):
        challenge.read(written(tmp_path, changes))


def test_a_truncated_image_is_refused_by_name(tmp_path):
    path = written(tmp_path) / "FashionDataset/img/00004.jpg"
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(DataError, match=r"1 of 6 images are broken.*'img/00004\.jpg' \(damaged: "):
        challenge.read(tmp_path)


def test_a_source_that_is_no_challenge_set_is_refused(tmp_path):
    with pytest.raises(
        DataError, match="nowhere' does not exist; allowed: the challenge set's archive, or its"
    ):
        challenge.read(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no folder; allowed: one folder with img and split"):
        challenge.read(tmp_path)


def test_copies_are_reported_with_their_conflicts_and_crossings(tmp_path):
    root = written(tmp_path) / "FashionDataset/img"
    for name in ("00003.jpg", "00005.jpg"):
        (root / name).write_bytes(jpeg(0))
    manifest = challenge.read(tmp_path)
    found = duplicates.label_conflicts(manifest, duplicates.pairs(manifest), SCHEMA.names)
    assert found[["image_id", "other", "split", "other_split"]].to_numpy().tolist() == [
        ["img/00000.jpg", "img/00003.jpg", "train", "val"],
        ["img/00000.jpg", "img/00005.jpg", "train", "test"],
    ]
    # 5 0 2 0 2 2 and 1 2 1 1 2 2; the test image has no labels to differ.
    assert found["conflicting"].tolist() == ["pattern; sleeve; length; neckline", ""]
    assert len(duplicates.straddling(found)) == 2


def test_a_submission_is_written_in_the_order_of_the_list_and_read_back(tmp_path, manifest):
    whole = pd.concat([manifest, manifest[5:].assign(image_id="img/00006.jpg")], ignore_index=True)
    answers = pd.DataFrame(
        [["img/00006.jpg", "solid", "sleeveless", "no_dress", "v_neckline", "knit", "loose"],
         ["img/00005.jpg", "floral", "long_sleeve", "maxi_length", "crew_neckline", "denim", "tight"]],
        columns=["image_id", *SCHEMA.names],
    )  # fmt: skip
    challenge.write_answers(answers, whole, tmp_path / "prediction.zip")
    with zipfile.ZipFile(tmp_path / "prediction.zip") as archive:
        assert archive.namelist() == ["prediction.txt"]
        assert archive.read("prediction.txt") == b"0 0 0 0 0 0\n5 2 2 1 5 1\n"
    back = challenge.read_answers(tmp_path / "prediction.zip", ["img/00005.jpg", "img/00006.jpg"])
    pd.testing.assert_frame_equal(back[answers.columns], answers[::-1].reset_index(drop=True))
    with pytest.raises(DataError, match=r"prediction\.txt has 2 rows; allowed: 1"):
        challenge.read_answers(tmp_path / "prediction.zip", ["img/00005.jpg"])


def test_a_submission_that_lacks_an_answer_is_refused(tmp_path, manifest):
    answers = manifest[3:5][["image_id", *SCHEMA.names]]
    with pytest.raises(ValueError, match="lack 1 of the 1 test images, have 2 others; allowed: one answer"):
        challenge.write_answers(answers, manifest, tmp_path / "prediction.zip")
    null = manifest[5:][["image_id", *SCHEMA.names]]
    with pytest.raises(ValueError, match="answers hold a null"):
        challenge.write_answers(null, manifest, tmp_path / "prediction.zip")


# Real copies ------------------------------------------------------------------------------------------------

TRAIN = {
    "pattern": (768, 853, 334, 422, 109, 2408, 106), "sleeve": (1523, 862, 2615), "length": (488, 951, 3561),
    "neckline": (2086, 826, 19, 2069), "fabric": (310, 702, 3399, 105, 48, 436), "fit": (749, 279, 3972),
}  # fmt: skip
VAL = {
    "pattern": (192, 175, 65, 77, 13, 458, 20), "sleeve": (301, 168, 531), "length": (100, 173, 727),
    "neckline": (387, 173, 2, 438), "fabric": (56, 146, 680, 16, 10, 92), "fit": (129, 70, 801),
}  # fmt: skip


@pytest.fixture(scope="module")
def real():
    return challenge.read(real_data("challenge"))


def test_the_real_set_has_the_published_counts(real):
    assert real["split"].value_counts().to_dict() == {"train": 5000, "val": 1000, "test": 1000}
    for split, counts in (("train", TRAIN), ("val", VAL)):
        labels = real[real["split"] == split]
        for a in SCHEMA:
            found = labels[a.name].value_counts().reindex(list(a.classes), fill_value=0)
            assert tuple(found) == counts[a.name], (split, a.name)
    assert real.loc[real["split"] == "test", list(SCHEMA.names)].isna().all(axis=None)


def test_the_majority_of_the_real_training_set_scores_what_is_printed(real):
    train, val = (real[real["split"] == split][list(SCHEMA.names)] for split in ("train", "val"))
    assert (val == train.mode().iloc[0]).mean(axis=None) == pytest.approx(0.5973, abs=5e-5)
    assert (val == val.mode().iloc[0]).mean(axis=None) == pytest.approx(0.606, abs=5e-4)


def test_the_real_set_has_six_copies_two_conflicting_and_one_across_splits(real):
    found = duplicates.label_conflicts(real, duplicates.pairs(real), SCHEMA.names)
    assert len(found) == 6
    conflicting = found[found["conflicting"] != ""]
    assert conflicting[["image_id", "other"]].to_numpy().tolist() == [
        ["img/00848.jpg", "img/04493.jpg"], ["img/03588.jpg", "img/04375.jpg"],
    ]  # fmt: skip
    across = duplicates.straddling(found)
    assert across[["image_id", "other"]].to_numpy().tolist() == [["img/04953.jpg", "img/06995.jpg"]]


def test_the_real_sets_types_come_from_its_points(real):
    counts = real["clothes_type"].value_counts(dropna=False)
    assert counts.sum() == 7000
    points, codes = points_of(real)
    assert (np.isnan(points).any(2) == (codes == -1)).all()
    dressed = real["split"].ne("test") & real["clothes_type"].eq("lower")
    # Not every garment that its points call lower is one: some have a neckline.
    assert real.loc[dressed, "neckline"].ne("no_neckline").mean() == pytest.approx(0.05, abs=0.01)


def test_the_copy_with_header_lines_has_the_same_labels(tmp_path, real):
    split = real_data("archy") / "FashionDataset" / "split"
    shutil.copytree(split, tmp_path / "split")
    (tmp_path / "img").symlink_to(real_data("challenge") / "FashionDataset" / "img")
    found = challenge.read(tmp_path)
    columns = ["image_id", "split", "sha256", *SCHEMA.names]
    pd.testing.assert_frame_equal(found[columns], real[columns])
    assert BOX[0] not in found


def test_both_published_submissions_are_read_whatever_ends_their_lines(real):
    names = real.loc[real["split"] == "test", "image_id"].tolist()
    crlf = challenge.read_answers(real_data("yuyue") / "prediction.txt", names)
    plain = challenge.read_answers(
        next((real_data("chenxr") / "multilabel" / "predictions").glob("*.txt")), names
    )
    assert len(crlf) == len(plain) == 1000
    agreement = (crlf[list(SCHEMA.names)] == plain[list(SCHEMA.names)]).mean(axis=None)
    assert 0.8 < agreement < 1
