"""The judged set: its rows are whole, its photographs are checked, and nothing hidden is in it."""

import hashlib
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from swatchbook.data.strict_csv import DataError, read_csv
from swatchbook.labeller.judged import BOX, COMMIT, JUDGEMENTS, read_judgements, with_photographs
from swatchbook.schema import Schema
from tests.conftest import ROOT, real_data

sys.path.insert(0, str(ROOT / "scripts"))
import judged as script

CARD = JUDGEMENTS.with_name("README.md")


def test_every_judgement_is_a_class_of_the_schema_and_a_box_inside_the_photograph():
    for number, n in ((1, 4619), (2, 150)):
        rows = read_judgements(number)
        assert len(rows) == n and rows["image_id"].is_unique
        Schema.load("wardrobe").encode(rows)  # refuses whatever is no class
        box = rows[list(BOX)].to_numpy()
        assert ((box >= 0) & (box <= 1)).all() and (box[:, :2] < box[:, 2:]).all()
        assert np.allclose(box * 20, (box * 20).round())
        assert set(rows["judge"]) == {"Claude, a vision-language model"}
        assert rows["sha256"].str.fullmatch("[0-9a-f]{64}").all()
        forced = rows[rows["main_color"].notna()]
        assert set(forced["main_color"]) <= set(Schema.load("wardrobe")["color"].classes)
        assert forced["color"].isna().all() and set(forced["part"]) <= {"train"}


def test_the_second_round_is_of_the_first_and_a_quarter_of_each_draw_is_for_validation():
    first, second = read_judgements(1).set_index("image_id"), read_judgements(2).set_index("image_id")
    same = ["file", "kind", "part", "weight", "sha256"]
    pd.testing.assert_frame_equal(first.loc[second.index, same], second[same])
    drawn = first.groupby(["drawn", "part"]).size().to_dict()
    assert drawn == {
        ("kind", "train"): 926,
        ("kind", "val"): 306,
        ("labeller", "train"): 1020,
        ("labeller", "val"): 60,
        ("rest", "train"): 1731,
        ("rest", "val"): 576,
    }
    # A photograph stands for N / n of its kind, so the weights of a kind add up to a whole number of photographs.
    assert first["weight"].isna().equals(first["drawn"] != "kind")
    totals = first.groupby("kind")["weight"].sum()
    assert np.allclose(totals, totals.round(), atol=0.01)


def test_another_round_is_refused():
    with pytest.raises(ValueError, match="round 3 was not judged; allowed: 1 or 2"):
        read_judgements(3)


def test_a_photograph_that_is_missing_or_changed_is_named_once(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"as it was")
    right = hashlib.sha256(b"as it was").hexdigest()
    rows = pd.DataFrame({"file": ["a.jpg", "b.jpg"], "sha256": [right, right]})
    with pytest.raises(DataError, match=rf"b\.jpg in .*unreadable.*1 of 2.*{COMMIT[:12]}"):
        with_photographs(rows, tmp_path)
    (tmp_path / "images" / "b.jpg").write_bytes(b"saved again")
    with pytest.raises(DataError, match=r"b\.jpg in .*not the file that was judged \(1 of 2\)"):
        with_photographs(rows, tmp_path)
    found = with_photographs(rows[:1], tmp_path)
    assert found["path"].tolist() == [str(tmp_path / "images" / "a.jpg")]


def test_the_photographs_are_those_that_were_judged():
    rows = read_judgements()
    assert len(with_photographs(rows, real_data("clothing-dataset"))) == len(rows)


def test_neither_the_hidden_photographs_nor_the_scored_ones_are_in_the_set():
    home = real_data("clothing")
    hidden = set((home / "held_out_ids.txt").read_text(encoding="utf-8").split())
    scored = set(read_csv(home / "audit.csv", ("path",))["path"].str.extract(r"([^/]+)\.\w+$")[0])
    ids = set(read_judgements()["image_id"])
    # Sets in an assertion would print their ids.
    assert len(hidden) > 300 and len(scored) == 96
    assert not ids & hidden, "hidden photographs were judged"
    assert not ids & scored, "scored photographs were judged"


def test_the_card_has_the_tables_that_the_judgements_give():
    card = CARD.read_text(encoding="utf-8")
    counts, agreement = script.agreement().split("\n\n")
    assert counts in card
    for line in agreement.splitlines()[2:]:
        _, attribute, statistic, value, ends, n, _ = (cell.strip() for cell in line.split("|"))
        if statistic in ("same_answer", "agreement", "kappa"):
            low, high = ends.replace("0.", ".").split("–")
            shown = f"{value.removeprefix('0')} [{low}, {high}]"
            assert any(line.startswith(f"| {attribute} |") and shown in line for line in card.splitlines())
            assert f" {n}" in card


def test_the_overlap_of_boxes_is_intersection_over_union():
    one = np.array([[0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 0.2, 0.2], [0.1, 0.1, 0.6, 0.6]])
    two = np.array([[0.25, 0.0, 0.75, 1.0], [0.5, 0.5, 1.0, 1.0], [0.1, 0.1, 0.6, 0.6]])
    assert np.allclose(script._overlap(one, two), [1 / 3, 0, 1])


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    """Forty pictures of three kinds: two pairs of copies, one of them of a picture that is left out."""
    root, rng = tmp_path_factory.mktemp("clothing"), np.random.default_rng(0)
    (root / "images").mkdir()
    rows = []
    for k in range(40):
        kind = ("Dress", "Hat", "Not sure")[0 if k < 24 else 1 if k < 34 else 2]
        coarse = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((64, 80), Image.Resampling.BILINEAR)
        picture.save(root / "images" / f"p{k:02d}.png")
        rows.append({"image": f"p{k:02d}", "label": kind})
    for k, of in ((40, 3), (41, 5)):
        Image.open(root / "images" / f"p{of:02d}.png").resize((128, 160)).save(root / "images" / f"p{k}.png")
        rows.append({"image": f"p{k}", "label": "Dress"})
    pd.DataFrame(rows).to_csv(root / "images.csv", index=False)
    (root / "out.txt").write_text("p03\n", encoding="utf-8")
    return root


def test_a_sample_leaves_out_what_is_named_and_its_copies_and_kinds_that_are_no_garment(data_set):
    sample = script.draw(data_set, [data_set / "out.txt"], 20, 7)
    assert len(sample) == 20 and not set(sample["image_id"]) & {"p03", "p40"}
    # Of 24 dresses and 10 hats; nothing of the kind "Not sure".
    assert sample.groupby("kind")["weight"].sum().round(9).to_dict() == {"Dress": 24.0, "Hat": 10.0}
    pd.testing.assert_frame_equal(sample, script.draw(data_set, [data_set / "out.txt"], 20, 7))
    with pytest.raises(ValueError, match=r"n must lie between 4 .* and 34; received 35"):
        script.draw(data_set, [data_set / "out.txt"], 35, 7)


def test_copies_are_on_one_side_and_rare_kinds_are_drawn_more_often(data_set):
    whole = script.draw(data_set, [], 36, 7).set_index("image_id")
    assert whole.loc["p05", "part"] == whole.loc["p41", "part"]
    few = script.draw(data_set, [], 12, 7)
    drawn = few["kind"].value_counts()
    # √26 : √10 of 12 are 7.4 and 4.6; in proportion to size they were 8.7 and 3.3.
    assert drawn.to_dict() == {"Dress": 7, "Hat": 5}


def test_more_of_each_class_are_drawn_but_no_photograph_of_the_sample_and_no_copy(data_set, monkeypatch):
    zero_shot = pytest.importorskip("swatchbook.labeller.zero_shot", reason="needs the extra 'models'")
    before = pd.DataFrame({"image_id": ["p00", "p05"]})  # p41 is a copy of p05

    class Blind:
        load = classmethod(lambda cls, name: cls())
        encode = staticmethod(lambda paths: paths)

    def answers(paths, schema, thresholds):  # every third picture is orange, every third floral, p01 both
        number = pd.Series(paths).str.extract(r"p(\d+)")[0].astype(int)
        color = number.map(lambda k: "orange" if k % 3 == 0 or k == 1 else None)
        return pd.DataFrame(
            {"color": color, "pattern": number.map(lambda k: "floral" if k % 3 == 1 else None)}
        )

    monkeypatch.setattr(zero_shot, "Labeller", Blind)
    monkeypatch.setattr("swatchbook.labeller.training.quality.cosines_of", lambda _, paths, schema: paths)
    monkeypatch.setattr("swatchbook.labeller.silver.silver_table", answers)
    added = script.more(data_set, [data_set / "out.txt"], before, 10, 7)
    number = added["image_id"].str[1:].astype(int)
    assert len(added) == 10 and added["image_id"].is_unique and added["weight"].isna().all()
    assert not set(added["image_id"]) & {"p00", "p03", "p05", "p40", "p41"}
    # As many of each: five of either class, unless p01 counts for both.
    assert sorted(number[number != 1] % 3) in ([0] * 5 + [1] * 5, [0] * 5 + [1] * 4, [0] * 4 + [1] * 5)
    assert added["item"].tolist() == list(range(3, 13)) and set(added["part"]) == {"train", "val"}


def test_the_rest_is_every_garment_that_is_left_a_quarter_of_it_for_validation(data_set):
    before = pd.DataFrame({"image_id": ["p00", "p05"]})  # p41 is a copy of p05
    left = script.rest(data_set, [data_set / "out.txt"], before, 7)
    garments = {f"p{k:02d}" for k in range(34)} - {"p00", "p03", "p05"}
    assert set(left["image_id"]) == garments and left["image_id"].is_unique
    assert left["weight"].isna().all() and left["item"].tolist() == list(range(3, 34))
    assert (left["part"] == "val").sum() == round(len(left) / 4)


def test_sheets_hold_a_dozen_photographs_each_and_the_second_round_has_new_numbers(data_set, tmp_path):
    sample = script.draw(data_set, [], 14, 7)
    assert script.sheets(sample, data_set, tmp_path) == 2
    assert Image.open(tmp_path / "sheet_002.png").size == (1232, 1284)
    again = script.again(sample, 5, 7)
    assert again["item"].tolist() == [1, 2, 3, 4, 5]
    before = sample.set_index("image_id").loc[again["image_id"]]
    assert before["sha256"].tolist() == again["sha256"].tolist() and before["item"].tolist() != [
        1,
        2,
        3,
        4,
        5,
    ]
