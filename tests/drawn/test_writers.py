"""Drawn data sets in the files of others: the challenge, DeepFashion and DeepFashion-MultiModal."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from swatchbook.atomic import StoreError
from swatchbook.data.landmarks import BOX, POINTS, VISIBILITY
from swatchbook.data.readers import challenge, deepfashion, multimodal
from swatchbook.drawn import files
from swatchbook.drawn.challenge import write_challenge
from swatchbook.drawn.deepfashion import ATTRIBUTES, write_deepfashion
from swatchbook.drawn.garment_files import points_of
from swatchbook.drawn.garment_truth import challenge_groups
from swatchbook.drawn.latent import World
from swatchbook.drawn.multimodal import FABRICS, PATTERNS, shape_codes, worn_codes, write_multimodal
from swatchbook.drawn.tailoring import OPEN

CHALLENGE = {"n_train": 20, "n_val": 8, "n_test": 4, "seed": 3, "size": 72}
DEEPFASHION = {"n_train": 12, "n_val": 6, "n_test": 6, "seed": 5, "size": 72}
MULTIMODAL = {"n_items": 12, "seed": 7, "size": 96}
WRITERS = {
    "challenge": (write_challenge, CHALLENGE),
    "deepfashion": (write_deepfashion, DEEPFASHION),
    "multimodal": (write_multimodal, MULTIMODAL),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    home = tmp_path_factory.mktemp("written")
    return {
        name: (home / name, writer(home / name, **settings, workers=1))
        for name, (writer, settings) in WRITERS.items()
    }


def lines(path):
    text = path.read_text()
    assert text.endswith("\n")
    return text.removesuffix("\n").split("\n")


def numbers(path):
    return [[int(word) for word in line.split()] for line in lines(path)]


def files_of(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def corners(truth):
    """First and last pixel of each box, counted from 1."""
    return np.add(truth[list(BOX)].to_numpy(), [1, 1, 0, 0]).tolist()


# the challenge ------------------------------------------------------------------------------------


def test_the_challenges_files_are_there_with_as_many_rows_as_asked(written):
    out, truth = written["challenge"]
    split = out / "FashionDataset" / "split"
    expected = {f"{s}{kind}.txt" for s in ("train", "val", "test") for kind in ("", "_bbox", "_landmards")}
    assert {p.name for p in split.iterdir()} == expected | {
        "train_attr.txt",
        "val_attr.txt",
        "list_attr_cloth.txt",
    }
    images = sorted(p.name for p in (out / "FashionDataset" / "img").iterdir())
    assert images == [f"{number:05d}.jpg" for number in range(32)]
    for name, start, count in (("train", 0, 20), ("val", 20, 8), ("test", 28, 4)):
        assert lines(split / f"{name}.txt") == [f"img/{n:05d}.jpg" for n in range(start, start + count)]
        for kind in ("bbox", "landmards", *(["attr"] if name != "test" else [])):
            assert len(lines(split / f"{name}_{kind}.txt")) == count
    assert len(truth) == 32 and truth["split"].value_counts().to_dict() == {"train": 20, "val": 8, "test": 4}


def test_the_challenges_classes_stand_in_its_order(written):
    out, truth = written["challenge"]
    split = out / "FashionDataset" / "split"
    listed = lines(split / "list_attr_cloth.txt")
    assert listed[:2] == ["26 ", "attribute_name   attribute_type"]
    assert [line.split() for line in listed[2:5]] == [["floral", "1"], ["graphic", "1"], ["striped", "1"]]
    assert [line.split()[1] for line in listed[2:]] == list("1111111222333444455555566" + "6")
    pattern = ["floral", "graphic", "striped", "embroidered", "pleated", "solid", "lattice"]
    sleeve = {"long": 0, "short": 1, "sleeveless": 2, "na": 2}
    neck = {"crew": 0, "v": 1, "lapel": 1, "square": 2}
    fabric = ["denim", "chiffon", "cotton", "leather", "faux_fur", "knit"]
    expected = [
        [
            pattern.index(row.pattern),
            sleeve[row.sleeve],
            ["maxi", "mini", "no_dress"].index(row.length),
            neck.get(row.neckline, 3),
            fabric.index(row.fabric),
            ["tight", "loose", "conventional"].index(row.fit),
        ]
        for row in truth.itertuples()
    ]
    assert numbers(split / "train_attr.txt") == expected[:20]
    assert numbers(split / "val_attr.txt") == expected[20:28]


def test_the_challenges_boxes_and_landmarks_are_those_of_the_truth(written):
    out, truth = written["challenge"]
    split = out / "FashionDataset" / "split"
    boxes = [row for name in ("train", "val", "test") for row in numbers(split / f"{name}_bbox.txt")]
    assert boxes == corners(truth)
    assert all(re.fullmatch(r"\d{3}( \d{3}){3}", line) for line in lines(split / "train_bbox.txt"))
    upper = ["left_collar", "right_collar", "left_sleeve", "right_sleeve", "left_hem", "right_hem"]
    lower = ["left_waistline", "right_waistline", "left_hem", "right_hem"]
    full = [*upper[:4], *lower]
    rows = [row for name in ("train", "val", "test") for row in lines(split / f"{name}_landmards.txt")]
    for line, (_, row) in zip(rows, truth.iterrows(), strict=True):
        words = line.split(" ")
        assert len(words) == 16
        expected = []
        for slot in {"upper": upper, "lower": lower, "full": full}[row["clothes_type"]]:
            seen = row[f"{slot}_visibility"] in (0, 1)
            x, y = (row[f"{slot}_{axis}"] for axis in "xy")
            expected += [f"{int(x) + 1:03d}", f"{int(y) + 1:03d}"] if seen else ["0", "0"]
        assert words == expected + ["0"] * (16 - len(expected))


def test_every_box_and_point_lies_in_its_picture(written):
    for name in WRITERS:
        out, truth = written[name]
        for row in truth.to_dict("records"):
            with Image.open(out / row["path"]) as picture:
                assert picture.format == "JPEG" and picture.mode == "RGB"
                wide, tall = picture.size
            left, top, right, bottom = (row[name] for name in BOX)
            assert 0 <= left < right <= wide and 0 <= top < bottom <= tall
            for visibility, x, y in points_of(row):
                if visibility < 2:  # pixels counted from 1
                    assert left + 1 <= x <= right and top + 1 <= y <= bottom
                else:
                    assert (visibility, x, y) == (2, 0, 0)


# DeepFashion --------------------------------------------------------------------------------------


def listed(path):
    """A list file's header and its rows, cut at the last run of spaces that the padding makes."""
    count, header, *rows = lines(path)
    assert int(count) == len(rows)
    return header, rows


def test_deepfashions_lists_begin_with_their_count_and_columns(written):
    out, truth = written["deepfashion"]
    anno = out / "Anno_coarse"
    header, rows = listed(anno / "list_category_cloth.txt")
    assert header.split() == ["category_name", "category_type"] and len(rows) == 50
    assert [r.split() for r in (rows[0], rows[19], rows[20], rows[36], rows[49])] == [
        ["Anorak", "1"],
        ["Turtleneck", "1"],
        ["Capris", "2"],
        ["Caftan", "3"],
        ["Sundress", "3"],
    ]
    images = [path.removeprefix("Img/") for path in truth["path"]]
    assert images == sorted(images) and all(re.fullmatch(r"img/[\w-]+/img_\d{8}\.jpg", i) for i in images)
    header, rows = listed(anno / "list_category_img.txt")
    ids = {"Tee": 18, "Blouse": 3, "Jeans": 26, "Skirt": 33, "Coat": 39, "Dress": 41, "Romper": 48}
    for image, row, category in zip(images, rows, truth["category"], strict=True):
        name, label = row.split()
        assert name == image and row[70] == " " and ids.get(category, int(label)) == int(label)
    header, rows = listed(out / "Eval" / "list_eval_partition.txt")
    assert header.split() == ["image_name", "evaluation_status"]
    assert [row.split() for row in rows] == [list(pair) for pair in zip(images, truth["split"], strict=True)]
    header, rows = listed(anno / "list_bbox.txt")
    assert header.split() == ["image_name", "x_1", "y_1", "x_2", "y_2"]
    assert all(re.fullmatch(r"\S+ +\d{3} \d{3} \d{3} \d{3}", row) for row in rows)
    assert [[int(word) for word in row.split()[1:]] for row in rows] == corners(truth)


def test_deepfashions_attributes_have_five_types_and_hold_where_the_truth_says(written):
    out, truth = written["deepfashion"]
    header, rows = listed(out / "Anno_coarse" / "list_attr_cloth.txt")
    assert header.split() == ["attribute_name", "attribute_type"]
    names = [row.rsplit(None, 1)[0].strip() for row in rows]
    assert names == sorted(names) == list(ATTRIBUTES) and "floral print" in names
    assert {row.rsplit(None, 1)[1] for row in rows} == set("12345")
    _, rows = listed(out / "Anno_coarse" / "list_attr_img.txt")
    signs = np.array([[int(word) for word in row.split()[1:]] for row in rows])
    assert signs.shape == (24, len(names)) and set(signs.ravel()) == {-1, 1}
    assert all(row[70:].startswith(" ") and len(row) == 71 + 3 * len(names) - 1 for row in rows)
    held = pd.DataFrame(signs > 0, columns=names)
    assert (held["solid"] == (truth["pattern"] == "solid")).all()
    assert (held["long sleeve"] == (truth["sleeve"] == "long")).all()
    assert (held["mini"] == (truth["length"] == "mini")).all()
    assert (held[["chiffon", "cotton", "denim", "faux fur", "knit", "leather"]].sum(axis=1) == 1).all()


def test_deepfashions_landmarks_have_as_many_triples_as_the_type_asks(written):
    out, truth = written["deepfashion"]
    header, rows = listed(out / "Anno_coarse" / "list_landmarks.txt")
    assert header.split()[:4] == [
        "image_name",
        "clothes_type",
        "landmark_visibility_1",
        "landmark_location_x_1",
    ]
    assert len(header.split()) == 2 + 24
    for line, row in zip(rows, truth.to_dict("records"), strict=True):
        _, kind, *words = line.split()
        assert row["clothes_type"] == ("upper", "lower", "full")[int(kind) - 1]
        assert len(words) == 3 * (6, 4, 8)[int(kind) - 1]
        points = [tuple(map(int, words[k : k + 3])) for k in range(0, len(words), 3)]
        assert points == points_of(row) and {point[0] for point in points} <= {0, 1, 2}
        assert all(len(word) == 3 for k, word in enumerate(words) if k % 3)


def test_deepfashions_fine_files_have_no_headers_and_agree_row_by_row(written):
    out, truth = written["deepfashion"]
    fine = out / "Anno_fine"
    assert len(listed(fine / "list_attr_cloth.txt")[1]) == 26
    for split, count in (("train", 12), ("val", 6), ("test", 6)):
        here = truth[truth["split"] == split]
        assert lines(fine / f"{split}.txt") == [path.removeprefix("Img/") for path in here["path"]]
        bits = np.array(numbers(fine / f"{split}_attr.txt"))
        assert bits.shape == (count, 26) and set(bits.ravel()) == {0, 1}
        cuts = np.cumsum([7, 3, 3, 4, 6])
        assert all((group.sum(axis=1) == 1).all() for group in np.split(bits, cuts, axis=1))
        assert (bits[:, 5] == (here["pattern"] == "solid")).all()
        assert numbers(fine / f"{split}_bbox.txt") == corners(here)
        points = numbers(fine / f"{split}_landmards.txt")
        expected = [[v for point in points_of(row) for v in point[1:]] for row in here.to_dict("records")]
        assert points == [row + [0] * (16 - len(row)) for row in expected]
        assert all(1 <= number <= 50 for (number,) in numbers(fine / f"{split}_cate.txt"))


# DeepFashion-MultiModal ---------------------------------------------------------------------------


def test_multimodal_names_captions_and_labels_agree(written):
    out, truth = written["multimodal"]
    names = sorted(p.name for p in (out / "images").iterdir())
    pattern = r"(WOMEN|MEN)-[A-Za-z_]+-id_\d{8}-\d{2}_\d_(front|full|additional)\.jpg"
    assert names == [path.removeprefix("images/") for path in truth["path"]]
    assert all(re.fullmatch(pattern, name) for name in names) and truth["item"].nunique() == 12
    captions = json.loads((out / "captions.json").read_text())
    assert list(captions) == names and all(text.endswith(".") for text in captions.values())
    sizes = [6, 5, 4, 3, 5, 3, 3, 3, 5, 7, 3, 3]
    for line, name in zip(lines(out / "labels/shape/shape_anno_all.txt"), names, strict=True):
        image, *codes = line.split(" ")
        assert image == name and len(codes) == 12
        assert all(0 <= int(code) < size for code, size in zip(codes, sizes, strict=True))
    for kind in ("fabric", "pattern"):
        for line, name in zip(lines(out / f"labels/texture/{kind}_ann.txt"), names, strict=True):
            image, *codes = line.split(" ")
            assert image == name and len(codes) == 3 and all(0 <= int(code) <= 7 for code in codes)
    with Image.open(out / "images" / names[0]) as picture:
        assert picture.size == (65, 96)


def test_multimodal_codes_and_captions_by_hand():
    tee = {
        "category": "Tee",
        "clothes_type": "upper",
        "sleeve": "short",
        "lower_length": "na",
        "neckline": "v",
    }
    tee |= {"fabric": "knit", "pattern": "striped", "belt": "no"}
    jeans = {"category": "Jeans", "sleeve": "na", "lower_length": "long", "neckline": "na"}
    jeans |= {"fabric": "denim", "pattern": "pleated"}
    row = tee | {f"other_{name}": value for name, value in jeans.items()}
    assert shape_codes(row) == [1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    assert worn_codes(row, "fabric", FABRICS) == [4, 0, 7]
    assert worn_codes(row, "pattern", PATTERNS) == [2, 5, 7]
    dress = tee | {"category": "Dress", "clothes_type": "full", "lower_length": "three_point", "belt": "yes"}
    assert shape_codes(dress) == [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1]
    assert worn_codes(dress, "fabric", FABRICS) == [4, 4, 7]
    cardigan = row | {"category": "Cardigan", "sleeve": "long"}
    assert shape_codes(cardigan) == [3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert worn_codes(cardigan, "fabric", FABRICS) == [1, 0, 4]


def test_a_caption_says_fabric_pattern_and_length(written):
    truth = written["multimodal"][1]
    words = {"faux_fur": "furry", "knit": "knitting"}
    patterns = {"solid": "pure color", "embroidered": "other", "pleated": "other"}
    for row in truth.to_dict("records"):
        caption = row["caption"]
        assert f"{words.get(row['fabric'], row['fabric'])} fabric" in caption
        assert f"{patterns.get(row['pattern'], row['pattern'])} patterns" in caption
        if row["sleeve"] == "short":
            assert "short-sleeve" in caption or "short sleeves" in caption
        man = re.search(r"\b(gentleman|man|guy)\b", caption)
        assert (row["gender"] == "MEN") or man is None


def test_photographs_of_an_item_share_their_truth(written):
    truth = written["multimodal"][1]
    same = ["category", "sleeve", "fabric", "pattern", "color", "cloth_seed", "other_category", "gender"]
    assert len(truth[["item", *same]].drop_duplicates()) == truth["item"].nunique()
    assert truth.groupby("item")["path"].count().between(1, 3).all() and truth["worn"].all()


# read back ----------------------------------------------------------------------------------------


def same(manifest, truth, *columns):
    for names in columns:
        names = list(names)
        np.testing.assert_array_equal(manifest[names].to_numpy(float), truth[names].to_numpy(float))


def test_the_challenges_reader_reads_the_truth(written):
    out, truth = written["challenge"]
    manifest, labels = challenge.read(out), challenge_groups(truth)
    known = truth["split"] != "test"
    for group in labels:
        assert manifest.loc[known, group].tolist() == labels.loc[known, group].tolist()
    assert manifest["split"].tolist() == truth["split"].tolist()
    same(manifest, truth, BOX)


def test_deepfashions_reader_reads_the_truth(written):
    out, truth = written["deepfashion"]
    coarse = deepfashion.read(out, "coarse")[0]
    for name in ("category", "split", "clothes_type"):
        assert coarse[name].tolist() == truth[name].tolist()
    same(coarse, truth, BOX, POINTS, VISIBILITY)
    fine = deepfashion.read(out, "fine")[0].set_index("image_id")
    ids = truth["path"].str.removeprefix("Img/")
    ordered = truth.set_index(ids).loc[fine.index]
    for name in ("category", "pattern", "fit", "split"):
        assert fine[name].tolist() == ordered[name].tolist()
    same(fine, ordered, BOX)


def test_multimodals_reader_reads_the_truth(written):
    out, truth = written["multimodal"]
    manifest = multimodal.read(out)[0]
    for name in ("caption", "item", "gender"):
        assert manifest[name].tolist() == truth[name].tolist()
    upper = truth[(truth["clothes_type"] == "upper") & ~truth["category"].isin(OPEN)]
    read = manifest.loc[upper.index]
    words = {"knit": "knitted", "faux_fur": "furry"}
    assert read["upper_fabric"].tolist() == [words.get(fabric, fabric) for fabric in upper["fabric"]]
    assert read["lower_fabric"].tolist() == [words.get(f, f) for f in upper["other_fabric"]]


# all of them --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITERS)
def test_bytes_depend_on_the_seed_and_not_on_the_number_of_workers(name, written, tmp_path):
    writer, settings = WRITERS[name]
    writer(tmp_path / "two", **settings, workers=2)
    assert files_of(tmp_path / "two") == files_of(written[name][0])
    writer(tmp_path / "other", **settings | {"seed": 99}, workers=1)
    pictures = {data for path, data in files_of(written[name][0]).items() if path.endswith("jpg")}
    assert not pictures & set(files_of(tmp_path / "other").values())


@pytest.mark.parametrize("name", WRITERS)
def test_the_truth_and_the_world_are_written_beside_the_files(name, written):
    out, truth = written[name]
    read = pd.read_csv(out / "truth.csv")
    assert list(read.columns) == list(truth.columns) and len(read) == len(truth)
    assert read["box_left"].tolist() == truth["box_left"].tolist()
    record = json.loads((out / "world.json").read_text())
    world = World(np.array(record["prior"]), {k: np.array(v) for k, v in record["given"].items()}, 0.7)
    assert record["coupling"] == 0.7 and len(record["cramers_v"]) == 15
    for row in record["cramers_v"]:
        assert world.cramers_v(row["a"], row["b"]) == row["value"]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("challenge", {"n_val": -1}, "n_val must be at least 0; received -1"),
        ("challenge", {"n_train": 0, "n_val": 0, "n_test": 0}, "images must be at least 1; received 0"),
        ("challenge", {"margins": {"fit": {"wide": 1}}}, "unknown class 'wide'"),
        ("deepfashion", {"size": 20}, "size must be at least 48; received 20"),
        ("deepfashion", {"coupling": 1.5}, r"coupling must lie in \[0, 1\]"),
        ("multimodal", {"n_items": 0}, "n_items must be at least 1; received 0"),
        ("multimodal", {"workers": 0}, "workers must be at least 1; received 0"),
    ],
)
def test_impossible_data_sets_are_refused_and_leave_nothing(name, change, message, tmp_path):
    writer, settings = WRITERS[name]
    with pytest.raises(ValueError, match=message):
        writer(tmp_path / "x", **settings | change)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_refused_and_kept(tmp_path):
    (tmp_path / "kept").write_text("kept")
    with pytest.raises(ValueError, match="already holds something"):
        write_challenge(tmp_path, **CHALLENGE)
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_an_error_while_writing_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "in_blocks", lambda *given: (_ for _ in ()).throw(OSError("No space left")))
    with pytest.raises(StoreError, match="No space left"):
        write_multimodal(tmp_path / "x", **MULTIMODAL)
    assert list(tmp_path.iterdir()) == []


def test_margins_of_a_data_set_are_those_asked_for(tmp_path):
    margins = {"fit": {"loose": 1}, "pattern": {"lattice": 1, "pleated": 1}}
    truth = write_challenge(tmp_path / "x", **CHALLENGE | {"margins": margins, "size": 48}, workers=1)
    assert set(truth["fit"]) == {"loose"} and set(truth["pattern"]) == {"lattice", "pleated"}
