"""Columns of a file → attributes, classes and confidences; and what no audit can be made of."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from swatchbook.audit.given_labels import MOST_CLASSES, read_labels, write_schema
from swatchbook.data.strict_csv import DataError
from swatchbook.schema import Schema

COLORS = ["red", "blue", "red", "blue", "red", "blue"]


@pytest.fixture
def photos(tmp_path):
    for k in range(6):
        path = tmp_path / "photos" / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    return tmp_path / "photos"


def table(**columns) -> pd.DataFrame:
    return pd.DataFrame({"path": [f"{'ab'[k % 2]}/{k}.png" for k in range(6)], "color": COLORS} | columns)


def read(labels: pd.DataFrame, photos, *arguments, **options):
    path = photos.parent / "labels.csv"
    labels.to_csv(path, index=False)
    return read_labels(path, photos, *arguments, **options)


def test_columns_of_classes_are_attributes_and_the_others_are_left_alone(photos):
    labels = table(
        color_p=[0.5, 0.75, 1, 0, 0.25, ""],
        sleeve=["long", "", "unknown", "short", "long", "long"],
        caption=[f"a garment, {k}" for k in range(6)],
        price=[10, 20, 10, 20, 10, 20],
        brand="none",
        width=64,
    )
    given = read(labels, photos)
    assert given.schema.names == ("color", "sleeve") and given.schema["sleeve"].classes == ("long", "short")
    assert given.table["image_id"].tolist() == labels["path"].tolist()
    assert given.table["sleeve"].isna().tolist() == [False, True, True, False, False, False]
    assert given.table["color_confidence"].tolist()[:5] == [0.5, 0.75, 1, 0, 0.25]
    assert given.table["sleeve_confidence"].isna().all() and given.probabilities == {}
    left, color, sleeve = given.notes
    assert left == (
        "left alone: caption (has nearly as many texts as rows), price (has numbers), brand (has one class only; "
        "--schema can name others), width (has one class only; --schema can name others)"
    )
    assert color == "color: 2 classes, 6 labels, with confidences"
    assert sleeve == "sleeve: 2 classes, 4 labels, 2 without one, no confidences"
    assert read(labels, photos, None, ["price"]).schema["price"].classes == ("10", "20")


def test_probabilities_of_all_classes_give_the_confidence_of_the_label(photos):
    red = np.array([0.9, 0.4, 0.7, 0.2, 0.5, 0.1])
    given = read(table(**{"color:red": red, "color:blue": 1 - red}), photos)
    assert given.schema.names == ("color",)
    assert given.probabilities["color"] == pytest.approx(np.stack([1 - red, red], axis=1))  # blue, red
    assert given.table["color_confidence"].tolist() == pytest.approx([0.9, 0.6, 0.7, 0.8, 0.5, 0.9])


def test_an_image_may_be_named_by_a_longer_path_or_one_of_another_machine(photos):
    labels = table()
    for prefix in ("", "./", "photos/", f"{photos}/", "/somewhere/else/photos/"):
        given = read(labels.assign(path=prefix + labels["path"]), photos)
        assert given.table["image_id"].tolist() == labels["path"].tolist()
    assert (
        read(labels.assign(path=labels["path"].str.replace("/", "\\")), photos).table["image_id"][0]
        == "a/0.png"
    )


def test_a_schema_says_what_the_labels_may_say(photos, tmp_path):
    schema = Schema.load("wardrobe")
    given = read(table(extra=list("xyxyxy")), photos, schema)
    assert given.schema.names == ("color",) and given.schema["color"].classes == schema["color"].classes
    foreign = read(table().replace("red", "vermilion"), photos, schema, foreign=True)
    assert foreign.table["color"].fillna("").tolist() == ["", "blue"] * 3
    assert foreign.notes[0].endswith(" classes, 3 labels, 3 outside the schema, no confidences")
    write_schema(given.schema, tmp_path / "s.yaml")
    again = Schema.load(tmp_path / "s.yaml")
    assert [(a.name, a.classes) for a in again] == [(a.name, a.classes) for a in given.schema]


MANY = [f"c{k}" for k in range(400)] * 2


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (table().rename(columns={"path": "photo"}), {}, "no column that names the image; allowed: image_id, path, "),
        (table(path=[*table()["path"][:5], "c/9.png"]), {}, "labels.csv, line 7: path 'c/9.png'; allowed: an image"),
        (table(path=["a/0.png", *table()["path"][:5]]), {}, "line 3: path 'a/0.png' is the image of line 2 (1 such)"),
        (table()[["path"]].assign(price=range(6)), {}, "no column of classes beside 'path'; not taken for some: price"),
        (table(), {"attributes": ["sleeve"]}, "has no column 'sleeve'; its columns are path, color"),
        (table(color_p=97), {}, "line 2: color_p '97' (6 such); allowed: a number from 0 to 1, or blank"),
        (table(**{"color:red": 0.5, "color:blue": 0.8}), {}, "the probabilities of color add up to 1.3; allowed: 1"),
        (table(color=["red ", "blue"] * 3), {}, "line 2: color 'red ' (3 such); allowed: a class whose signs"),
        (table(color=["several", "blue"] * 3), {}, "color 'several' (3 such); allowed: a class"),
        (table(note=["x", "y"] * 3), {"attributes": ["note"]}, "column 'note' has a name that tables use"),
        (
            table(color=["red", "bleu"] * 3),
            {"schema": Schema.load("wardrobe")},
            "line 3: color 'bleu' (3 such); allowed: black",
        ),
        (table().rename(columns={"color": "hue"}), {"schema": Schema.load("wardrobe")}, "none of the attributes of"),
    ],
)  # fmt: skip
def test_what_no_audit_can_be_made_of_is_refused_by_line_and_column(labels, options, message, photos):
    with pytest.raises(DataError) as refused:
        read(labels, photos, **options)
    assert message in str(refused.value)


def test_a_column_of_400_classes_is_left_alone_and_refused_if_it_is_named(photos):
    for k in range(800):
        (photos / f"{k:03d}.jpg").touch()
    labels = pd.DataFrame(
        {"image": [f"{k:03d}.jpg" for k in range(800)], "kind": MANY, "color": ["r", "b"] * 400}
    )
    given = read(labels, photos)
    told = f"has 400 classes, and a page asks for at most {MOST_CLASSES}"
    assert given.schema.names == ("color",) and given.notes[0] == f"left alone: kind ({told})"
    with pytest.raises(DataError, match=f"column 'kind' {told}; allowed: columns of classes"):
        read(labels, photos, None, ["kind", "color"])


def test_a_folder_without_images_is_refused(photos):
    with pytest.raises(DataError, match="is not a folder"):
        read(table(), photos / "none")
