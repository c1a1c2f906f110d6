"""`swatchbook search`: what is asked in words and by photographs, worked out by hand on made embeddings."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="searching needs the extra 'models'")

from bs4 import BeautifulSoup
from PIL import Image

from swatchbook import search_folder
from swatchbook.bulk import search as searching
from swatchbook.bulk.index import index_folder
from swatchbook.bulk.search import Search, attribute_distance, read_words
from swatchbook.bulk.vectors import IndexFileError, VectorTable
from swatchbook.cli.main import main
from swatchbook.labeller import BUNDLED
from swatchbook.labeller.files import CONFIG, config_of
from swatchbook.labeller.open_clip_network import tokenizer_of
from swatchbook.schema import Attribute, Schema
from tests.bulk.test_index import quiet, write_index
from tests.bulk.test_label_command import small_labeller

pytestmark = pytest.mark.usefixtures("one_thread")

EAST, NORTH, UP = np.eye(3, dtype=np.float32)
COLOURS = {"shirts": (200, 30, 30), "pants": (30, 30, 200)}


@pytest.fixture(scope="module")
def labeller(tmp_path_factory) -> str:
    return small_labeller(tmp_path_factory.mktemp("labeller") / "small")


@pytest.fixture(scope="module")
def indexed(tmp_path_factory, labeller) -> Path:
    """Six plain photographs in two folders, and their index."""
    home = tmp_path_factory.mktemp("indexed")
    for name, colour in COLOURS.items():
        (home / "in" / name).mkdir(parents=True)
        for k in range(3):
            shade = tuple(min(c + 20 * k, 255) for c in colour)
            Image.new("RGB", (40, 40), shade).save(home / "in" / name / f"{k}.png")
    index_folder(home / "in", home / "i.parquet", Schema.load("wardrobe"), labeller=labeller, log=quiet)
    return home / "i.parquet"


def attribute(name: str, *classes: str) -> Attribute:
    return Attribute(name, {c: c for c in classes}, ("{}",), "zero_shot", 0.5, "ours")


class Made(Search):
    """A search whose words and photographs have made embeddings."""

    def __init__(self, path: Path, **embeddings: np.ndarray) -> None:
        self.table, self.folder, self._embeddings, self._log = (
            VectorTable(path),
            path.parent,
            embeddings,
            quiet,
        )
        self.schema = Schema(
            "made", (attribute("color", "red", "blue"), attribute("pattern", "solid", "dots"))
        )
        classes = np.stack([EAST, NORTH, UP, -UP])
        self.labeller = SimpleNamespace(cosines=lambda embeddings, _: embeddings @ classes.T)

    def _words(self, words, name):
        return self._embeddings[words]

    def _photograph(self, like):
        return self._embeddings[like]


@pytest.fixture
def made(tmp_path) -> Made:
    """Four photographs: two red ones, a blue one with dots, and one between red and blue without a pattern."""
    between = (EAST + NORTH) / np.sqrt(2)
    path = write_index(
        tmp_path / "i.parquet",
        np.stack([EAST, (2 * EAST + UP) / np.sqrt(5), NORTH, between]),
        group=3,
        path=["shirts/0.jpg", "pants/1.jpg", "pants/2.jpg", "3.jpg"],
        color=["red", "red", "blue", None],
        color_confidence=[1.0, 0.9, 0.8, 0.5],
        pattern=["solid", "solid", "dots", None],
        pattern_confidence=[0.5, 1.0, 0.6, 0.4],
    )
    return Made(path, red=EAST, blue=NORTH, photo=(EAST + UP) / np.sqrt(2), **{"shirts/0.jpg": EAST})


def test_words_find_photographs_by_their_cosine(made):
    found = made.find("red", top=3)
    assert found["path"].tolist() == ["shirts/0.jpg", "pants/1.jpg", "3.jpg"]
    np.testing.assert_allclose(found["score"], [1, 2 / np.sqrt(5), np.sqrt(0.5)], rtol=1e-3)
    assert found["color"].tolist()[:2] == ["red", "red"] and found["color_confidence"].tolist() == [
        1,
        0.9,
        0.5,
    ]
    assert list(found) == ["path", "score", "color", "color_confidence", "pattern", "pattern_confidence"]


def test_a_filter_leaves_out_other_labels_and_abstentions(made):
    assert made.find("red", where={"color": "blue"})["path"].tolist() == ["pants/2.jpg"]
    both = made.find("red", where={"color": ["red", "blue"], "pattern": "solid"})
    assert both["path"].tolist() == ["shirts/0.jpg", "pants/1.jpg"]
    assert len(made.find("red", where={"color": "red", "pattern": "dots"})) == 0


def test_a_photograph_is_not_its_own_answer(made):
    assert made.find(like="shirts/0.jpg", top=2)["path"].tolist() == ["pants/1.jpg", "3.jpg"]
    assert len(made.find(like="shirts/0.jpg", top=10)) == 3


def test_each_part_of_a_question_counts_in_its_own_standard_deviations(made):
    vectors = made.table.sample()
    east, north = vectors[:, 0].std(), vectors[:, 1].std()
    wanted = np.array([1 / east, 1 / north, 0])
    wanted /= np.linalg.norm(wanted)
    np.testing.assert_allclose(made.combined([EAST, NORTH]), wanted, rtol=1e-5)
    found = made.find("red", but="blue", top=1)
    assert found["path"].tolist() == ["3.jpg"] and found["score"][0] == pytest.approx(
        vectors[3] @ wanted, abs=1e-3
    )
    # Along the third axis photographs differ less, so that a step on it counts more.
    assert made.combined([EAST, UP])[2] > made.combined([EAST, UP])[0]
    np.testing.assert_array_equal(made.combined([UP]), UP)


def test_what_goes_with_a_photograph_is_of_another_kind_and_agrees_otherwise(made):
    found = made.find(like="shirts/0.jpg", complete="folder")
    # It is surely red, and solid by half: both cosines with a pattern are 0, and .5 is the threshold. The first
    # agrees in both, the second differs in both, and 3.jpg has no label to compare.
    assert found["path"].tolist() == ["pants/1.jpg", "pants/2.jpg"]
    np.testing.assert_allclose(found["distance"], [0, 1])
    found = made.find(like="photo", complete="color")
    # Red and solid: only the second is of another colour, and it has dots.
    assert (found["path"].tolist(), found["distance"].tolist()) == (["pants/2.jpg"], [1])


def test_the_distance_of_attributes_is_their_weighted_share_that_differs():
    own = {"color": ("red", 0.5), "pattern": ("solid", 1.0)}
    labels = {
        "color": pd.Series(["red", "blue", None, None]),
        "pattern": pd.Series(["dots", "solid", "dots", None]),
    }
    sure = {"color": np.array([0.8, 0.4, 0.9, 0.9]), "pattern": np.array([0.6, 0.2, 0.3, 0.3])}
    found = attribute_distance(own, labels, sure, 4)
    # .6/(.4 + .6); .2/(.2 + .2); .3/.3; nothing to compare.
    np.testing.assert_allclose(found, [0.6, 0.5, 1.0, np.nan])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "nothing to search for; allowed: a text, a photograph, or both"),
        ({"text": "red", "top": 0}, "top must be at least 1; received 0"),
        (
            {"text": "red", "where": {"color": "teal"}},
            "where color=teal: not of schema 'made'.*allowed: red, blue",
        ),
        (
            {"text": "red", "where": {"sleeve": "long"}},
            "where sleeve=long: not of schema.*allowed: color, pattern",
        ),
        ({"text": "red", "complete": "color"}, "complete takes like"),
        ({"like": "photo", "complete": "kind"}, "complete 'kind'; allowed: folder, color, pattern"),
    ],
)
def test_what_cannot_be_answered_is_refused(made, asked, message):
    with pytest.raises(ValueError, match=message):
        made.find(**asked)


def test_a_search_by_the_command_answers_prints_and_shows(indexed, tmp_path, capsys):
    page = tmp_path / "found.html"
    photo = indexed.parent / "in" / "shirts" / "0.png"
    command = ["search", str(indexed), "--like", str(photo), "--top", "2"]
    assert main([*command, "--html", str(page)]) == 0
    lines = capsys.readouterr().out.splitlines()
    # Shades of red are nearer to red than blue is, whatever random weights see of them.
    assert [line.split()[1] for line in lines[:2]] == ["shirts/1.png", "shirts/2.png"]
    assert lines[2] == f"{page}: 2 photographs"
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    assert [bdi.text for bdi in soup.find_all("bdi")] == ["shirts/1.png", "shirts/2.png"]
    assert len(soup.find_all("img")) == 2 and not soup.find_all("script")
    assert (
        main([*command[:2], "a red garment", "--like", str(photo), "--but", "blue", "--complete", "folder"])
        == 1
    )
    assert "complete takes like" in capsys.readouterr().err
    assert main([*command, "--where", "color"]) == 2
    assert "--where 'color'; must be ATTRIBUTE=CLASS" in capsys.readouterr().err


def test_an_open_search_answers_as_the_function_does(indexed, labeller):
    opened = Search(indexed, log=quiet)
    found = search_folder(opened, "a red garment", top=3)
    pd.testing.assert_frame_equal(found, search_folder(indexed, "a red garment", top=3, log=quiet))
    vectors = np.stack([np.frombuffer(c, "float16") for c in pd.read_parquet(indexed)["embedding"]]).astype(
        "float32"
    )
    scores = vectors @ opened.labeller.embed_text(["a red garment"])
    np.testing.assert_allclose(found["score"], np.sort(scores)[::-1][:3], atol=1e-6)
    # By its path in the index, and from any folder, a photograph is the same.
    by_path = search_folder(opened, like="shirts/0.png")
    pd.testing.assert_frame_equal(
        by_path, search_folder(opened, like=indexed.parent / "in" / "shirts" / "0.png")
    )
    assert len(by_path) == 5


def test_another_model_or_preprocessing_is_refused(indexed, tmp_path, monkeypatch):
    other = tmp_path / "other"
    name = small_labeller(other)
    config = (other / CONFIG).read_text()
    (other / CONFIG).write_text(config.replace('"std": [0.5, 0.5, 0.5]', '"std": [0.4, 0.4, 0.4]'))
    with pytest.raises(IndexFileError, match=r"was made with another model than local-dir:.*other has now"):
        Search(indexed, labeller=name)
    monkeypatch.setattr("swatchbook.bulk.index.short_side_for", lambda _: 99)
    with pytest.raises(IndexFileError, match=r"was made with another preprocessing .*now .*'99'"):
        Search(indexed)


def test_a_photograph_that_cannot_be_read_is_named(indexed, tmp_path):
    (tmp_path / "a.jpg").write_text("hello")
    with pytest.raises(ValueError, match=r"like '.*a\.jpg': not an image"):
        search_folder(indexed, like=tmp_path / "a.jpg", log=quiet)
    with pytest.raises(ValueError, match=r"like 'none\.jpg': No such file"):
        search_folder(indexed, like="none.jpg", log=quiet)


# ---- words that a labeller knows ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundled_tokenizer():
    return tokenizer_of(BUNDLED, config_of(BUNDLED), None)


@pytest.mark.parametrize(
    ("text", "known", "unknown"),
    [
        ("a Striped SHIRT", ["a", "striped", "shirt"], []),
        ("striped shirt with long sleeves", ["striped", "shirt", "with"], ["long", "sleeves"]),
        ("a see-through t-shirt", ["a", "see", "through", "t", "shirt"], []),
        ("полосатая рубашка", [], ["полосатая", "рубашка"]),
        ("縞模様", [], ["縞模様"]),
        ("🧥", [], ["🧥"]),
    ],
)
def test_the_words_that_the_labeller_in_the_box_does_not_know_are_said(
    bundled_tokenizer, text, known, unknown
):
    assert read_words(bundled_tokenizer, text)[:2] == (known, unknown)


def test_odd_questions_are_answered_or_refused_in_one_line(indexed, capsys):
    told = []
    opened = Search(indexed, log=told.append)
    for empty in ("", " \n"):
        with pytest.raises(ValueError, match="text is empty; allowed: words"):
            search_folder(opened, empty)
    with pytest.raises(ValueError, match=r"text 'полосатая рубашка': labeller .* knows none of its words"):
        search_folder(opened, "полосатая рубашка")
    assert told == []
    assert len(search_folder(opened, "red " * 2500)) == 6
    assert told == ["text is longer than the labeller reads: its first 24 pieces of words count"]
    found = search_folder(opened, "a red xyzzy " + "garment" * 1400)
    assert len(found) == 6 and "does not know: xyzzy, garmentgarment" in told[1] and len(told[1]) < 250


def test_of_other_tokenizers_every_word_counts_as_known(monkeypatch):
    assert read_words(lambda texts: texts, "a red shirt") == (["a", "red", "shirt"], [], 0)
    monkeypatch.setattr(searching, "SMALL_VOCABULARY", 5)
    small = tokenizer_of(BUNDLED, config_of(BUNDLED), None)
    assert read_words(small, "long sleeves")[1] == []
