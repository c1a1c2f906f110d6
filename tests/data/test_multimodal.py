"""DeepFashion-MultiModal: names, captions, labels with "does not apply", splits; and the In-shop photographs.

A real copy is looked for beside the other real data: ``mm`` with ``labels`` of sanjeevnara7/Neural-Fashion,
``captions`` of hongming21/pic2text, ``data`` of yangzheng-brown/CSCI2470-Final-Project.
"""

import json

import numpy as np
import pytest

from swatchbook.data.readers import multimodal
from swatchbook.data.strict_csv import DataError
from swatchbook.schema import Schema
from tests.conftest import real_data

SCHEMA = Schema.load("multimodal")
TEE = "WOMEN-Tees_Tanks-id_00000813-09_2_side.jpg"
TEE_FRONT = "WOMEN-Tees_Tanks-id_00000813-09_1_front.jpg"
TEE_OTHER = "WOMEN-Tees_Tanks-id_00000813-10_1_front.jpg"
COAT = "MEN-Jackets_Vests-id_00000080-01_7_additional.jpg"
CAPTIONS = {
    TEE: "A lady in a tank top.",
    TEE_FRONT: "A striped tank top.",
    COAT.removesuffix(".jpg"): "A vest.",
}
SHAPE = (
    f"{TEE} 0 0 0 0 0 1 0 1 1 2 2 1\n{TEE_FRONT} 0 0 0 0 0 1 0 1 1 2 2 1\n{COAT} 5 4 3 2 4 2 2 2 4 6 0 2\n"
)
FABRIC = f"{TEE} 1 0 7\n{TEE_FRONT} 5 0 7\n{TEE_OTHER} 6 0 7\n{COAT} 7 7 2\n"
PATTERN = f"{TEE} 2 3 7\n{TEE_FRONT} 2 3 7\n{TEE_OTHER} 0 3 7\n{COAT} 7 7 6\n"


def written(root, changes=None, images=(TEE, TEE_FRONT, TEE_OTHER, COAT)):
    files = {
        "captions.json": json.dumps(CAPTIONS),
        "labels/shape/shape_anno_all.txt": SHAPE,
        "labels/texture/fabric_ann.txt": FABRIC,
        "labels/texture/pattern_ann.txt": PATTERN,
    }
    for name, text in (files | (changes or {})).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            path.write_text(text, encoding="utf-8")
    (root / "images").mkdir(exist_ok=True)
    for name in images:
        (root / "images" / name).write_bytes(b"")
    return root


def test_names_captions_and_labels_are_joined_by_image(tmp_path):
    manifest, problems = multimodal.read(written(tmp_path))
    assert problems.empty
    assert manifest["image_id"].tolist() == sorted([TEE, TEE_FRONT, TEE_OTHER, COAT])
    row = manifest.set_index("image_id").loc[TEE]
    assert row[list(multimodal.NAME_COLUMNS)].tolist() == [
        "WOMEN",
        "Tees_Tanks",
        "id_00000813",
        "09",
        2,
        "side",
    ]
    assert row["caption"] == "A lady in a tank top."
    assert row[list(SCHEMA.names[1:])].tolist() == [
        "sleeveless", "three_point", "no_socks", "no_hat", "no_glasses", "neckwear", "no_wristwear", "ring", "belt",
        "round", "na", "navel_covered", "cotton", "denim", "na", "striped", "pure_color", "na",
    ]  # fmt: skip
    coat = manifest.set_index("image_id").loc[COAT]
    assert coat["caption"] == "A vest."  # its key has no .jpg
    assert coat["cardigan"] == "cardigan"  # yes is 0 here, unlike elsewhere
    assert coat["outer_fabric"] == "leather"
    other = manifest.set_index("image_id").loc[TEE_OTHER]
    assert other[["caption", "sleeve_length"]].isna().all()
    assert other["upper_pattern"] == "floral"


def test_every_code_of_every_file_is_a_class_and_the_last_is_na():
    assert [len(a) for a in SCHEMA] == [17, 6, 5, 4, 3, 5, 3, 3, 3, 5, 7, 3, 3, 8, 8, 8, 8, 8, 8]
    assert {a.classes[-1] for a in SCHEMA.attributes[1:]} == {"na"}


def test_missing_images_doubled_captions_and_unreadable_names_are_reported(tmp_path):
    twice = json.dumps(CAPTIONS)[:-1] + f', "{TEE}": "Again.", "photo.jpg": "What?"}}'
    shirt = "WOMEN-Hats-id_00000001-01_1_front.jpg"
    root = written(
        tmp_path,
        {"captions.json": twice, "labels/texture/fabric_ann.txt": FABRIC + f"{shirt} 1 1 1\n"},
        [COAT],
    )
    manifest, problems = multimodal.read(root)
    assert manifest["image_id"].tolist() == [COAT]
    assert problems.to_numpy().tolist() == [
        ["captioned twice", TEE, "Again."],
        ["name not readable", shirt, ""],
        ["name not readable", "photo.jpg", ""],
        ["image missing", TEE_FRONT, ""], ["image missing", TEE, ""], ["image missing", TEE_OTHER, ""],
    ]  # fmt: skip


BAD = {
    "no labels": ({"labels/texture/fabric_ann.txt": None}, r"has none; allowed: one fabric_ann\.txt"),
    "labels twice": ({"copy/fabric_ann.txt": FABRIC}, r"has copy/fabric_ann\.txt, labels/texture/fabric_ann\.txt; allowed"),
    "fabric 8": (
        {"labels/texture/fabric_ann.txt": f"{TEE} 1 8 7\n"}, r"fabric_ann\.txt, line 1: lower_fabric 8; allowed: 0 to 7"
    ),
    "eleven shapes": (
        {"labels/shape/shape_anno_all.txt": f"{TEE} 0 0 0 0 0 1 0 1 1 2 2\n"},
        r"shape_anno_all\.txt, line 1 has 11 numbers; allowed: 12",
    ),
    "an image twice": (
        {"labels/texture/pattern_ann.txt": PATTERN + PATTERN}, r"pattern_ann\.txt has '.*' twice; allowed: each image once"
    ),
    "captions in a list": ({"captions.json": "[1, 2]"}, r"captions\.json is no dictionary; allowed: image → caption"),
    "captions cut off": ({"captions.json": '{"a": "b'}, r"captions\.json cannot be read: Unterminated"),
    "an empty caption": ({"captions.json": f'{{"{TEE}": " "}}'}, rf"the caption of '{TEE}' is ' '; allowed: a text"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused_by_file_and_line(tmp_path, case):
    changes, message = BAD[case]
    with pytest.raises(DataError, match=message):
        multimodal.read(written(tmp_path, changes))


def test_a_set_without_images_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds none of the labelled images; allowed: their JPEG files"):
        multimodal.read(written(tmp_path, images=[]))
    with pytest.raises(DataError, match="allowed: one folder with images"):
        multimodal.read(tmp_path / "labels")


def test_the_ninety_two_attributes_and_the_forty_eight_are_as_published(tmp_path):
    manifest, _ = multimodal.read(written(tmp_path))
    values, names = multimodal.multi_hot(manifest, 92)
    assert values.shape == (4, 92)
    assert sum(not name.startswith(("upper_", "lower_f", "lower_p", "outer_")) for name in names) == 50
    assert names.count("sleeve_length:na") == 1
    assert "upper_fabric:na" not in names
    by_name = dict(zip(manifest["image_id"], values, strict=True))
    # The coat's fabrics and patterns but the outer ones do not apply: 12 of shape, 2 of 6.
    assert by_name[COAT].sum() == 14
    assert by_name[COAT][names.index("outer_fabric:leather")] == 1
    assert (by_name[TEE_OTHER] == -1).all()  # it has no labels of shape
    values, names = multimodal.multi_hot(manifest, 48)
    assert values.shape == (4, 48)
    assert values.sum(1).tolist() == [6] * 4
    assert names[7] == "upper_fabric:na"
    with pytest.raises(ValueError, match="version 50; allowed: 48, 92"):
        multimodal.multi_hot(manifest, 50)


def many(items: int, views: int):
    names = [
        f"WOMEN-{'Dresses' if i % 3 else 'Skirts'}-id_{i:08d}-01_{v}_front.jpg"
        for i in range(items)
        for v in range(1, views + 1)
    ]
    table = multimodal.parse_names(names).rename_axis("image_id").reset_index()
    return table.assign(folder=table["category"])


def test_the_published_split_has_the_published_sizes_and_parts_garments():
    table = many(10636, 4)
    split = multimodal.published_split(table, seed=1)["split"]
    assert split.value_counts().to_dict() == {"train": 29780, "test": 6383, "val": 6381}
    assert split.groupby(table["item"]).nunique().max() > 1
    again = multimodal.published_split(table, seed=1)["split"]
    assert (split == again).all()
    assert (split != multimodal.published_split(table, seed=2)["split"]).any()


def test_a_split_by_item_keeps_every_garment_together():
    table = many(300, 4)
    split = multimodal.item_split(table, seed=1)["split"]
    assert split.groupby(table["item"]).nunique().max() == 1
    assert split.value_counts(normalize=True).to_dict() == pytest.approx(
        {"train": 0.7, "val": 0.15, "test": 0.15}, abs=0.01
    )


def test_inshop_photographs_get_the_front_view_of_their_items_first_variant(tmp_path):
    root = written(tmp_path / "labels")
    (tmp_path / "img").mkdir()
    for name in ("id_00000813.jpg", "id_00000080.jpg", "id_00009999.jpg", "notes.txt"):
        (tmp_path / "img" / name).write_bytes(b"")
    colors = tmp_path / "list_color_cloth.csv"
    colors.write_text(
        "\ufeffimage_name,clothes_color\nimg/MEN/Jackets_Vests/id_00000080/01_1_front.jpg,Navy \n"
        "img/MEN/Jackets_Vests/id_00000080/01_2_side.jpg,Navy\nimg/WOMEN/T/id_00000813/09_1_front.jpg,Red\n"
        "img/WOMEN/T/id_00000813/10_1_front.jpg,Blue\n",
        encoding="utf-8",
    )
    joined = multimodal.join_inshop(tmp_path / "img", root, [root / "captions.json"], colors)
    assert joined["image_id"].tolist() == ["id_00000080.jpg", "id_00000813.jpg"]
    assert joined["variants"].tolist() == [1, 2]
    assert joined["caption"].tolist() == ["A vest.", "A striped tank top."]
    assert joined["upper_fabric"].tolist() == ["na", "chiffon"]
    assert joined["color_name"].tolist()[0] == "Navy"
    assert joined["color_name"].isna().tolist() == [False, True]
    with pytest.raises(DataError, match=r"holds no id_XXXXXXXX\.jpg; allowed: the In-shop photographs"):
        multimodal.join_inshop(tmp_path, root, [root / "captions.json"])


# Real copies ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real():
    home = real_data("mm")
    captions = [home / "captions" / f"{part}_captions.json" for part in ("train", "test")]
    return multimodal.join_inshop(
        home / "data/img", home / "labels", captions, home / "data/list_color_cloth.csv"
    )


def test_the_real_files_join_to_the_published_counts(real):
    assert len(real) == 7939
    assert real[["upper_fabric", "upper_pattern"]].notna().all(axis=None)
    assert real["caption"].notna().sum() == 6872
    assert (real["variants"] == 1).sum() == 5347


def test_the_real_labels_have_the_published_rows_and_only_known_codes():
    labels = multimodal.read_labels(real_data("mm") / "labels")
    assert len(labels) == 44096
    assert labels["sleeve_length"].notna().sum() == 42544
    names = multimodal.parse_names(labels.index)
    assert len(names) == 44096
    assert names["category"].nunique() == 17
    values, _ = multimodal.multi_hot(labels.rename_axis("image_id").reset_index(), 48)
    assert (values.sum(1) == 6).all()
    assert names["category"].value_counts(normalize=True).iloc[0] == pytest.approx(0.315, abs=0.001)


def test_the_real_captions_are_one_an_image_and_mostly_distinct():
    home = real_data("mm") / "captions"
    captions, problems = multimodal.read_captions([home / "train_captions.json", home / "test_captions.json"])
    assert problems == []
    assert (len(captions), captions.nunique()) == (12693, 12677)
    items = multimodal.parse_names(captions.index)["item"]
    test, _ = multimodal.read_captions([home / "test_captions.json"])
    tested = set(items[test.index])
    shared = tested & set(items[~items.index.isin(test.index)])
    assert (len(tested), len(shared)) == (2134, 1198)


def test_a_split_of_the_real_items_by_item_leaves_none_in_two_parts(real):
    single = real[real["variants"] == 1].reset_index(drop=True)
    split = multimodal.item_split(single, seed=0)["split"]
    assert (
        np.abs(split.value_counts(normalize=True).reindex(["train", "val", "test"]) - [0.7, 0.15, 0.15]).max()
        < 0.002
    )
