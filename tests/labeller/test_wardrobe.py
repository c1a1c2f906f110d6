"""The schema `wardrobe`: whole garments, every attribute by prompts, in sentences that the labeller knows."""

import re
from importlib import resources

import numpy as np
import pandas as pd
import pytest

from swatchbook.labeller.training.captions import FRAMES, NOUNS, WORDS
from swatchbook.schema import Schema
from swatchbook.studies.study import Study

ADDED = {
    "material": {"pile", "sheer_open"},
    "color": {"orange"},
    "pattern": {"polka_dot", "graphic"},
    "texture": set(),
}


@pytest.fixture(scope="module")
def wardrobe() -> Schema:
    return Schema.load("wardrobe")


def test_its_classes_are_those_of_textilenet_in_their_order_and_a_few_more(wardrobe, schema):
    assert wardrobe.name == "wardrobe" and wardrobe.names == schema.names
    for a in wardrobe:
        known = schema[a.name].classes
        assert a.classes[: len(known)] == known
        assert set(a.classes) - set(known) == ADDED[a.name]


def test_it_needs_no_folders(wardrobe):
    assert {a.labelled_by for a in wardrobe} == {"zero_shot"}
    assert wardrobe.folder_map is None and not wardrobe.folders


def test_its_sentences_are_of_those_that_the_labeller_was_taught(wardrobe):
    for a in wardrobe:
        taught = {frame.replace("{noun}", noun) for frame in FRAMES[a.name] + FRAMES["any"] for noun in NOUNS}
        assert len(a.templates) == 5 and set(a.templates) <= taught
        assert {label: WORDS[a.name][label][0] for label in a.classes} == dict(a.surface)


def test_the_profile_for_ones_own_photographs_opens_with_it(tmp_path):
    asked = {"source": str(tmp_path / "photographs"), "attributes": "all"}
    study = Study.open("folder", tmp_path / "run", **asked)
    assert study.schema == Schema.load("wardrobe")


def test_a_folder_is_labelled_with_it(wardrobe, tmp_path):
    pytest.importorskip("torch", reason="labelling needs the extra 'models'")
    from swatchbook.bulk.folder import label_folder
    from swatchbook.drawn.balanced import drawn_labels, drawn_pictures

    (tmp_path / "in").mkdir()
    for k, picture in enumerate(drawn_pictures(drawn_labels(6, 3), 3, size=96)):
        picture.save(tmp_path / "in" / f"{k}.jpg")
    out = tmp_path / "labels.parquet"
    asked = {"abstain": False, "attributes": ["all"]}
    written, broken = label_folder(tmp_path / "in", out, wardrobe, **asked, log=lambda _: None)
    assert (written, len(broken)) == (6, 0)
    table = pd.read_parquet(out)
    assert list(table) == ["path", *(f"{a}{c}" for a in wardrobe.names for c in ("", "_confidence"))]
    for a in wardrobe:
        assert set(table[a.name]) <= set(a.classes)
        sure = table[f"{a.name}_confidence"].to_numpy()
        assert ((sure >= 1 / len(a)) & (sure <= 1)).all() and np.ptp(sure) > 0


def test_its_file_says_how_many_classes_it_has(wardrobe):
    text = (resources.files("swatchbook") / "schemas/wardrobe.yaml").read_text(encoding="utf-8")
    assert int(re.search(r"(\d+) classes", text)[1]) == sum(len(a) for a in wardrobe)
