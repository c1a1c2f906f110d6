"""How right a labeller is on photographs: its file, what is left out because of it, and how it is measured."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from swatchbook.data.strict_csv import DataError
from swatchbook.labeller import BUNDLED
from swatchbook.labeller.measured import ALL, COLUMNS, MEASURED, asked_of, read_measured
from swatchbook.schema import Attribute, Schema

JUDGE = "a model"
HEAD = ",".join(COLUMNS)


@pytest.fixture
def labeller(tmp_path):
    """Writes the measurement of a labeller; its name."""

    def write(*rows: str) -> str:
        (tmp_path / MEASURED).write_text("\n".join((HEAD, *rows)) + "\n")
        return f"local-dir:{tmp_path}"

    return write


@pytest.fixture
def wardrobe() -> Schema:
    return Schema.load("wardrobe")


def test_an_attribute_is_left_out_unless_its_lower_end_is_clearly_above_the_commonest_class(
    labeller, wardrobe
):
    name = labeller(
        f"color,accuracy,0.7,0.6,0.8,100,0.2,{JUDGE},i",
        f"pattern,accuracy,0.7,0.62,0.8,100,0.6,{JUDGE},i",  # by 2 points: just enough
        f"texture,accuracy,0.95,0.919,0.97,100,0.9,{JUDGE},i",
        f"color,accuracy_kept,0.9,0.8,0.95,60,0.25,{JUDGE},i",
    )
    asked = asked_of(wardrobe, name)
    assert asked.schema.names == ("color", "pattern") and asked.withheld == ("material", "texture")
    assert asked.said["color"] == (
        "right on 70.0 % [60.0, 80.0] of photographs, n = 100 (where it is sure 90.0 % [80.0, 95.0], n = 60; "
        "the commonest class 20.0 %; judged by a model)"
    )
    assert asked.said["texture"].startswith(
        "left out: right on 95.0 % [91.9, 97.0] of photographs, n = 100 ("
    )
    assert asked.said["material"] == "left out: not measured on photographs"
    assert asked.lines[0] == f"material: {asked.said['material']}; --attributes all labels it all the same"
    assert asked.lines[1] == f"color: {asked.said['color']}"


def test_what_is_left_out_can_be_asked_for(labeller, wardrobe):
    name = labeller(f"color,accuracy,0.7,0.6,0.8,100,0.2,{JUDGE},i")
    assert asked_of(wardrobe, name, [ALL]).schema == wardrobe
    asked = asked_of(wardrobe, name, ["texture", "color"])
    assert asked.schema.names == ("color", "texture") and asked.withheld == ("material", "pattern")
    with pytest.raises(
        ValueError, match="attributes: shape; allowed: any of material, color, pattern, texture"
    ):
        asked_of(wardrobe, name, ["shape"])


def test_a_labeller_that_can_do_nothing_is_refused_unless_it_is_asked(labeller, wardrobe):
    name = labeller(f"color,accuracy,0.3,0.2,0.4,100,0.3,{JUDGE},i")
    with pytest.raises(ValueError, match="of material, color, pattern, texture this labeller can do none"):
        asked_of(wardrobe, name)
    assert asked_of(wardrobe, name, ["color"]).schema.names == ("color",)


def test_a_measurement_says_nothing_of_other_classes_or_another_labeller(labeller, wardrobe, schema):
    name = labeller(f"color,accuracy,0.7,0.6,0.8,100,0.2,{JUDGE},i")
    own = dataclasses.replace(wardrobe["material"], surface={"wood": "wood", "stone": "stone"})
    shape = Attribute("shape", {"round": "round", "flat": "flat"}, ("{}",), "zero_shot", 0.4, "ours")
    asked = asked_of(Schema("own", (own, wardrobe["color"], shape)), name)
    assert asked.schema.names == ("material", "color", "shape")
    assert asked.said["material"] == asked.said["shape"] == "not measured on photographs"
    assert asked_of(schema, name).schema.names == ("color",)  # textilenet's classes are all among wardrobe's
    for unknown in ("hf-hub:Marqo/marqo-fashionSigLIP", f"local-dir:{BUNDLED.parent}"):
        asked = asked_of(wardrobe, unknown)
        assert asked.schema == wardrobe and not asked.withheld
        assert asked.lines == ["how right this labeller is on photographs was not measured"]


@pytest.mark.parametrize(
    "row",
    [
        "color,accuracy,0.7,0.75,0.8,100,0.2,m,i",
        "color,accuracy,0.7,0.6,1.2,100,0.2,m,i",
        "color,accuracy,0.7,0.6,0.8,0,0.2,m,i",
        "color,accuracy,0.7,0.6,0.8,100,,m,i",
        "color,accuracy,much,0.6,0.8,100,0.2,m,i",
    ],
)
def test_a_damaged_measurement_is_refused_by_line(labeller, row):
    name = labeller(f"color,accuracy,0.7,0.6,0.8,100,0.2,{JUDGE},i", row)
    with pytest.raises(DataError, match=r"measured\.csv', line 3: 0 ≤ low ≤ value ≤ high ≤ 1"):
        read_measured(name)


def test_the_labeller_in_the_box_was_measured_on_every_attribute(wardrobe):
    measured = read_measured("bundled")
    whole = measured[measured["metric"] == "accuracy"]
    assert whole["attribute"].tolist() == list(wardrobe.names)
    assert (whole["n"] > 100).all() and whole["judged_by"].str.contains("vision-language model").all()
    asked = asked_of(wardrobe, "bundled")
    rows = whole.set_index("attribute")
    assert set(asked.schema.names) == {n for n in rows.index if rows.low[n] >= rows.majority[n] + 0.02}


def test_scores_are_weighted_by_what_a_photograph_stands_for_and_unnamed_ones_do_not_count():
    pytest.importorskip("torch", reason="measuring needs the extra 'models'")
    from swatchbook.labeller.training.on_photographs import scored

    schema = Schema.load("wardrobe").only(["color"])
    rows = pd.DataFrame(
        {
            "kind": ["shirt"] * 6 + ["hat"] * 4,
            "weight": [3.0] * 6 + [1.0] * 4,
            "judge": JUDGE,
            "color": ["red", "red", "red", "blue", "blue", None, "red", "blue", "blue", "black"],
        }
    )
    labels = pd.DataFrame(
        {"color": ["red", "red", "blue", "blue", "red", "red", "red", "red", "blue", "black"]}
    )
    kept = labels.assign(color=labels["color"].where(np.arange(10) % 2 == 0, None))
    table = scored(rows, labels, kept, schema).set_index("metric")
    assert list(table.reset_index()[list(COLUMNS)]) == list(COLUMNS)
    # Right are 3 of 5 shirts and 3 of 4 hats; red are 3 of 5 shirts and 1 of 4 hats.
    assert table.value["accuracy"] == pytest.approx((3 * 3 + 3) / (5 * 3 + 4))
    assert table.majority["accuracy"] == pytest.approx((3 * 3 + 1) / (5 * 3 + 4))
    # Kept and named are shirts 0, 2, 4 (right: 0) and hats 6, 8 (right: both).
    assert table.value["accuracy_kept"] == pytest.approx((3 + 2) / (3 * 3 + 2))
    assert table.n.to_dict() == {"accuracy": 9, "accuracy_kept": 5}
    assert (table.low < table.value).all() and (table.value < table.high).all()
