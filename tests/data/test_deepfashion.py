"""DeepFashion's annotations as they are found, read from small files that the tests write."""

import numpy as np
import pandas as pd
import pytest

from swatchbook.data.landmarks import BOX, points_of
from swatchbook.data.readers import deepfashion
from swatchbook.data.strict_csv import DataError

NAMES = [f"img/Sheer_Blouse/img_0000000{i}.jpg" for i in (1, 2)] + [
    "img/Jeans/img_00000001.jpg",
    "img/A/b.jpg",
]
CATEGORIES = [("Anorak", 1), ("Button-Down", 1), ("Jeans", 2), ("Dress", 3)]
ATTRIBUTES = [
    ("a-line", 3),
    ("abstract chevron print", 1),
    ("denim", 2),
    ("chevron", 1),
    ("button front", 4),
    ("boho", 5),
]
LABELS = [[-1, 1, -1, 1, -1, -1], [1, 0, -1, 0, 1, -1], [-1, -1, 1, -1, -1, -1], [-1, -1, -1, 0, -1, 1]]
BOXES = ["072 079 232 273", "001 001 300 300", "010 020 030 040", "005 006 007 008"]
POINTS = [
    "1  0 146 102  0 173 095  0 094 242  1 205 255  2 000 000  0 177 232",
    "3  0 101 102  0 103 104  0 105 106  0 107 108  1 109 110  0 111 112  0 113 114  2 000 000",
    "2  0 012 022  0 028 022  0 013 039  0 027 038",
    "1  0 146 102  0 173 095  0 094 242  0 205 255  0 136 229  0 177 232",
]
STATUS = ["train", "val", "test", "train"]


def listed(header: str, rows: list[str], count: int | None = None) -> str:
    """A list file: count, column names, rows that end in spaces."""
    return (
        "\n".join([str(len(rows) if count is None else count), header, *(row + "  " for row in rows)]) + "\n"
    )


def per_image(header: str, values: list[str], names=NAMES, count=None) -> str:
    return listed(f"image_name  {header}", [f"{n:<60}{v}" for n, v in zip(names, values, strict=True)], count)


def signed(row: list[int]) -> str:
    return " ".join(f"{value:2d}" for value in row)


FILES = {
    "Anno/list_category_cloth.txt": listed(
        "category_name  category_type", [f"{name:<20}{kind}" for name, kind in CATEGORIES]
    ),
    "Anno/list_attr_cloth.txt": listed(
        "attribute_name  attribute_type", [f"{name:<30}{kind}" for name, kind in ATTRIBUTES]
    ),
    "Anno/list_category_img.txt": per_image("category_label", ["2", "4", "3", "1"]),
    "Anno/list_attr_img.txt": per_image("attribute_labels", [signed(row) for row in LABELS]),
    "Anno/list_bbox.txt": per_image("x_1  y_1  x_2  y_2", BOXES),
    # The header names a column that the rows do not have, as in the benchmark.
    "Anno/list_landmarks.txt": per_image("clothes_type  variation_type  landmark_visibility_1", POINTS),
    "Eval/list_eval_partition.txt": per_image("evaluation_status", STATUS),
}  # fmt: skip


def written(root, files=FILES, changes=None, names=NAMES):
    for name, text in (files | (changes or {})).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            path.write_text(text)
    for name in names:
        path = root / "Img" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def coarse(root, changes=None):
    return deepfashion.read(written(root, changes=changes), "coarse")


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    return coarse(tmp_path_factory.mktemp("coarse"))


def test_labels_are_named_by_the_data_sets_own_lists(read):
    manifest = read.manifest
    assert manifest["image_id"].tolist() == NAMES
    assert manifest["split"].tolist() == STATUS
    assert manifest["folder"].tolist() == ["Sheer_Blouse", "Sheer_Blouse", "Jeans", "A"]
    assert manifest["category"].tolist() == ["Button-Down", "Dress", "Jeans", "Anorak"]
    # A name may have spaces; of two labels with one positive the other is no; two unknown are no label at all.
    assert manifest["texture"].fillna("null").tolist() == ["abstract chevron print;chevron", "null", "", ""]
    assert manifest[["fabric", "shape", "part", "style"]].to_numpy().tolist() == [
        ["", "", "", ""], ["", "a-line", "button front", ""], ["denim", "", "", ""], ["", "", "", "boho"],
    ]  # fmt: skip


def test_the_schema_asks_for_one_category_and_several_attributes_a_group(read):
    schema = read.schema
    assert schema.names == ("category", "texture", "fabric", "shape", "part", "style")
    assert schema["category"].classes == tuple(name for name, _ in CATEGORIES)
    assert schema["texture"].classes == ("abstract chevron print", "chevron")
    assert not schema["category"].multiple
    assert schema["texture"].multiple
    codes = schema.encode(read.manifest)
    assert codes["category"].tolist() == [1, 3, 2, 0]
    assert codes["texture"].tolist() == [[1, 1], [-1, -1], [0, 0], [0, 0]]
    assert codes["shape"].tolist() == [[0], [1], [0], [0]]


def test_a_file_without_minus_one_says_no_by_zero(tmp_path):
    zeros = [signed([max(value, 0) for value in row]) for row in LABELS]
    found = coarse(tmp_path, {"Anno/list_attr_img.txt": per_image("attribute_labels", zeros)})
    assert found.manifest["texture"].tolist() == ["abstract chevron print;chevron", "", "", ""]


def test_landmarks_lie_in_the_eight_slots_with_their_visibility(read):
    places, codes = points_of(read.manifest)
    assert read.manifest["clothes_type"].tolist() == ["upper", "full", "lower", "upper"]
    assert codes.tolist() == [
        [0, 0, 0, 1, -1, -1, 2, 0], [0, 0, 0, 0, 1, 0, 0, 2], [-1, -1, -1, -1, 0, 0, 0, 0], [0, 0, 0, 0, -1, -1, 0, 0],
    ]  # fmt: skip
    assert places[0, 3].tolist() == [204.5, 254.5]
    assert np.isnan(places[0, 6]).all()
    assert places[2, 6].tolist() == [12.5, 38.5]
    assert read.manifest.loc[0, list(BOX)].tolist() == [71, 78, 232, 273]


def test_a_variation_type_is_found_by_the_length_of_the_lines(tmp_path, read):
    varied = [row[0] + f" {i + 1} " + row[1:] for i, row in enumerate(POINTS)]
    found = coarse(tmp_path, {"Anno/list_landmarks.txt": per_image("clothes_type variation_type", varied)})
    assert found.manifest["variation"].tolist() == [1, 2, 3, 4]
    same = found.manifest.drop(columns=["variation", "path"])
    pd.testing.assert_frame_equal(same, read.manifest.drop(columns="path"))


def test_files_in_another_order_are_joined_by_name(tmp_path, read):
    back = {
        "Anno/list_bbox.txt": per_image("x_1 y_1 x_2 y_2", BOXES[::-1], NAMES[::-1]),
        "Anno/list_attr_img.txt": per_image("labels", [signed(row) for row in LABELS[::-1]], NAMES[::-1]),
        "Anno/list_landmarks.txt": per_image("clothes_type", POINTS[::-1], NAMES[::-1]),
    }
    found = coarse(tmp_path, back)
    pd.testing.assert_frame_equal(found.manifest.drop(columns="path"), read.manifest.drop(columns="path"))


def test_both_names_of_the_coarse_annotations_are_known(tmp_path, read):
    files = {name.replace("Anno/", "Anno_coarse/"): text for name, text in FILES.items()}
    found = deepfashion.read(written(tmp_path, files))
    pd.testing.assert_frame_equal(found.manifest.drop(columns="path"), read.manifest.drop(columns="path"))


def test_the_landmark_benchmark_has_boxes_points_and_variations_and_no_labels(tmp_path):
    names = [f"img_0000000{i}.jpg" for i in range(4)]
    varied = [row[0] + " 5 " + row[1:] for row in POINTS]
    files = {
        "Anno/list_bbox.txt": per_image("x_1 y_1 x_2 y_2", BOXES, names),
        "Anno/list_landmarks.txt": per_image("clothes_type variation_type", varied, names),
        "Eval/list_eval_partition.txt": per_image("evaluation_status", STATUS, names),
    }
    found = deepfashion.read(written(tmp_path, files, names=names), "landmarks")
    assert found.manifest["image_id"].tolist() == names
    assert found.manifest["variation"].tolist() == [5] * 4
    assert found.manifest["clothes_type"].tolist() == ["upper", "full", "lower", "upper"]
    assert found.schema.names == ()
    assert "category" not in found.manifest


FINE_ATTRIBUTES = [
    ("floral", 1),
    ("solid", 1),
    ("sleeveless", 2),
    ("no_dress", 3),
    ("v_neckline", 4),
    ("denim", 5),
    ("tight", 6),
]


def fine_files(landmarks: str) -> dict:
    files = {
        "Anno_fine/list_category_cloth.txt": FILES["Anno/list_category_cloth.txt"],
        "Anno_fine/list_attr_cloth.txt": listed("attribute_name", [f"{n}  {k}" for n, k in FINE_ATTRIBUTES]),
    }
    rows = {
        "train": (NAMES[:2], ["1 0 1 1 1 1 1", "0 1 0 1 0 1 1"], ["2", "3"], BOXES[:2],
                  ["5 6 7 8 9 10 11 12 13 14 15 16 0 0 0 0", "5 6 7 8 9 10 11 12 13 14 0 0 0 0 0 0"]),
        "val": (NAMES[2:3], ["0 1 1 1 1 1 1"], ["3"], BOXES[2:3], ["5 6 7 8 9 10 11 12" + " 0" * 8]),
        "test": (NAMES[3:], ["1 1 1 1 1 1 1"], ["4"], BOXES[3:], ["5 6 7 8" + " 0" * 12]),
    }  # fmt: skip
    for split, (names, attributes, categories, boxes, points) in rows.items():
        kinds = {"": names, "_attr": attributes, "_cate": categories, "_bbox": boxes, f"_{landmarks}": points}
        for kind, lines in kinds.items():
            files[f"Anno_fine/{split}{kind}.txt"] = "".join(f"{line} \n" for line in lines)
    return files


@pytest.mark.parametrize("landmarks", ["landmards", "landmarks"])
def test_the_fine_annotations_are_read_line_by_line(tmp_path, landmarks):
    found = deepfashion.read(written(tmp_path, fine_files(landmarks)), "fine")
    manifest = found.manifest
    assert manifest["split"].tolist() == ["train", "train", "val", "test"]
    assert manifest["pattern"].tolist() == ["floral", "solid", "solid", "floral;solid"]
    assert manifest["neckline"].tolist() == ["v_neckline", "", "v_neckline", "v_neckline"]
    assert manifest["category"].tolist() == ["Button-Down", "Jeans", "Jeans", "Dress"]
    # By the category's type; but jeans with five points are no lower garment.
    assert manifest["clothes_type"].tolist() == ["upper", "upper", "lower", "full"]
    assert found.schema.encode(manifest)["pattern"].tolist() == [[1, 0], [0, 1], [0, 1], [1, 1]]


def changed(name: str, old: str, new: str) -> dict:
    text = FILES[name].replace(old, new, 1)
    assert text != FILES[name]
    return {name: text}


LANDMARKS = "Anno/list_landmarks.txt"
BAD = {
    "columns that fit neither layout": (
        changed(LANDMARKS, "0 177 232", "0 177"),
        r"list_landmarks\.txt, line 3 has 18 numbers for clothes type 1; allowed: 19, or 20 if every line has",
    ),
    "layouts mixed": (
        changed(LANDMARKS, "2  0 012", "2 1 0 012"), r"line 5 has 14 numbers for clothes type 2; allowed: 13, or 14"
    ),
    "clothes type 4": (changed(LANDMARKS, "3  0 101", "4  0 101"), r"line 4: clothes type 4; allowed: 1 upper"),
    "visibility 7": (
        changed(LANDMARKS, "1 205", "7 205"),
        r"list_landmarks\.txt, line 3: visibility 7; allowed: 0 visible, 1 occluded, 2 truncated",
    ),
    "an image in no partition": (
        {"Eval/list_eval_partition.txt": per_image("status", STATUS[:3], NAMES[:3])},
        r"list_category_img\.txt: 'img/A/b\.jpg' is in no partition \(1 such images\)",
    ),
    "an image in two partitions": (
        {"Eval/list_eval_partition.txt": per_image("status", [*STATUS, "test"], [*NAMES, NAMES[0]])},
        r"list_eval_partition\.txt: 'img/Sheer_Blouse/img_00000001\.jpg' is in train and test; allowed: each image once",
    ),
    "a partition of another name": (
        {"Eval/list_eval_partition.txt": per_image("status", ["train", "gallery", "val", "test"])},
        r"list_eval_partition\.txt, line 4: 'img/Sheer_Blouse/img_00000002\.jpg gallery'; allowed: an image and train",
    ),
    "an image without a box": (
        {"Anno/list_bbox.txt": per_image("x_1", BOXES[:3], NAMES[:3])},
        r"list_bbox\.txt has no 'img/A/b\.jpg' \(1 such images of the partition\)",
    ),
    "an image twice": (
        {"Anno/list_bbox.txt": per_image("x_1", [*BOXES, BOXES[0]], [*NAMES, NAMES[1]])},
        r"list_bbox\.txt has 'img/Sheer_Blouse/img_00000002\.jpg' twice; allowed: each image once",
    ),
    "a count that lies": (
        {"Anno/list_bbox.txt": per_image("x_1", BOXES, count=5)},
        r"list_bbox\.txt has 4 rows; allowed: 5, as its first line states",
    ),
    "a count of attributes that lies": (
        {"Anno/list_attr_cloth.txt": listed("attribute_name", [f"{n}  {k}" for n, k in ATTRIBUTES], 1000)},
        r"list_attr_cloth\.txt has 6 rows; allowed: 1,000",
    ),
    "no count": ({"Anno/list_bbox.txt": "image_name x_1\n"}, r"list_bbox\.txt, line 1: 'image_name x_1' is no number"),
    "an attribute too many": (
        {"Anno/list_attr_img.txt": per_image("labels", [signed([*row, 1]) for row in LABELS])},
        r"list_attr_img\.txt, line 3 has 7 numbers; allowed: 6",
    ),
    "a label of 2": (
        changed("Anno/list_attr_img.txt", "-1  1 -1  1", "-1  2 -1  1"),
        r"list_attr_img\.txt, line 3: 2 of attribute 1; allowed: -1, 0 and 1",
    ),
    "category 1000": (
        {"Anno/list_category_img.txt": per_image("category_label", ["2", "4", "1000", "1"])},
        r"list_category_img\.txt: category 1000; allowed: 1 to 4",
    ),
    "attribute type 6": (
        changed("Anno/list_attr_cloth.txt", "5", "6"),
        r"list_attr_cloth\.txt, line 8: 'boho 6'; allowed: a name and a type from 1 to 5",
    ),
    "a missing file": ({"Anno/list_attr_img.txt": None}, r"has no list_attr_img\.txt; allowed: the whole of DeepFashion"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_contradicts_itself_is_refused_by_file_and_line(tmp_path, case):
    changes, message = BAD[case]
    with pytest.raises(DataError, match=message):
        coarse(tmp_path, changes)


def test_images_that_are_not_there_and_unknown_benchmarks_are_refused(tmp_path):
    with pytest.raises(ValueError, match="benchmark 'inshop'; allowed: coarse, fine, landmarks"):
        deepfashion.read(tmp_path, "inshop")
    with pytest.raises(
        DataError, match=r"'img/Sheer_Blouse/img_00000001\.jpg' is not in .*; allowed: images in Img"
    ):
        deepfashion.read(written(tmp_path / "bare", names=[]))
    (tmp_path / "empty" / "Eval").mkdir(parents=True)
    with pytest.raises(DataError, match="has Eval alone; allowed: Anno_coarse or Anno beside it"):
        deepfashion.read(tmp_path / "empty")


def test_a_thousand_attributes_come_back_as_they_were_written(tmp_path, rng):
    images, attributes = 400, 1000
    names = [f"img/Item/img_{i:08d}.jpg" for i in range(images)]
    kinds = rng.integers(1, 6, attributes)
    labels = np.where(rng.random((images, attributes)) < 0.0033, 1, -1)
    files = FILES | {
        "Anno/list_attr_cloth.txt": listed("name type", [f"attribute {i}  {k}" for i, k in enumerate(kinds)]),
        "Anno/list_attr_img.txt": per_image("labels", [signed(row) for row in labels], names),
        "Anno/list_category_img.txt": per_image("category", ["1"] * images, names),
        "Anno/list_bbox.txt": per_image("box", ["1 1 9 9"] * images, names),
        "Anno/list_landmarks.txt": per_image("points", [POINTS[2]] * images, names),
        "Eval/list_eval_partition.txt": per_image("status", ["train"] * images, names),
    }
    found = deepfashion.read(written(tmp_path, files, names=names[:1]))
    codes = found.schema.encode(found.manifest)
    for kind, group in enumerate(deepfashion.GROUPS, 1):
        assert (codes[group] == (labels[:, kinds == kind] == 1)).all()
