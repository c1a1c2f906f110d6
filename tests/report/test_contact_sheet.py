"""The contact sheet: which photographs it shows, in what order, and that names are only ever text."""

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from swatchbook.report import contact_sheet
from swatchbook.report.contact_sheet import Sheet, found_page, found_view, plain
from swatchbook.schema import Attribute, Schema
from tests.browser import check_page, open_page

HOSTILE = (
    "<script>document.title='run'<",
    '" onerror="document.title=1" x=".jpg',
    "&amp;<b>bold<",
    "{{ 7 * 7 }}.jpg",
    "a\u202egpj.exe.jpg",
    "new\nline\x01.jpg",
    "x" * 180 + ".jpg",
)


def attribute(name: str, *classes: str) -> Attribute:
    return Attribute(name, {c: c for c in classes}, ("{}",), "zero_shot", 0.4, "ours")


@pytest.fixture
def asked() -> Schema:
    return Schema("test", (attribute("color", "red", "blue", "orange"), attribute("pattern", "<b>dots</b>")))


def answers(names, colors, sure) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "path": list(names),
            "color": list(colors),
            "color_confidence": np.asarray(sure, dtype=float),
            "pattern": "<b>dots</b>",
            "pattern_confidence": 0.5,
        }
    )


def photographs(folder, names) -> None:
    for k, name in enumerate(names):
        Image.new("RGB", (60 + k % 7, 90), (40 * (k % 6), 90, 120)).save(folder / name, "JPEG")


def cards(page: str) -> dict[tuple[str, str], list[tuple[str, str, str]]]:
    """Attribute and heading of a group → label, confidence and name on each of its cards."""
    found = {}
    for section in BeautifulSoup(page, "html.parser").find_all("section"):
        for heading in section.find_all("h3"):
            group = [
                (*(s.text for s in li.find("div", class_="sure").find_all("span")), li.find("bdi").text)
                for li in heading.find_next_sibling("ul").find_all("li")
            ]
            found[section.h2.text, " ".join(heading.text.split())] = group
    return found


def test_groups_are_in_the_order_of_the_schema_and_the_least_sure_come_first(asked, tmp_path):
    names = [f"{k}.jpg" for k in range(6)]
    photographs(tmp_path, names)
    colors = ["blue", "red", None, "blue", "red", "blue"]
    sheet = Sheet(asked)
    sheet.add(answers(names, colors, [0.9, 0.5, 0.31, 0.41, 0.505, 0.41]))
    page = sheet.page(tmp_path, {"labeller": "a <b>labeller</b>"})
    found = cards(page)
    assert list(found) == [
        ("Color", "no label 1"),
        ("Color", "red 2"),
        ("Color", "blue 3"),
        ("Pattern", "<b>dots</b> 6"),
    ]
    assert found["Color", "no label 1"] == [("no label", "0.31", "2.jpg")]
    assert found["Color", "red 2"] == [("red", "0.50", "1.jpg"), ("red", "0.51", "4.jpg")]
    assert [c[1:] for c in found["Color", "blue 3"]] == [
        ("0.41", "3.jpg"),
        ("0.41", "5.jpg"),
        ("0.90", "0.jpg"),
    ]
    soup = BeautifulSoup(page, "html.parser")
    assert "No photograph was called orange." in soup.text and "All photographs are shown." in soup.text
    assert [d.text for d in soup.find_all(["dt", "dd"])] == [
        "Photographs",
        "6",
        "Labeller",
        "a <b>labeller</b>",
    ]
    assert len(soup.find_all("img")) == 12 and not soup.find_all(["script", "b", "iframe"])
    assert all(img["src"].startswith("data:image/jpeg;base64,") for img in soup.find_all("img"))


def test_answers_may_come_in_parts(asked, tmp_path, rng):
    names = [f"{k:03d}.jpg" for k in range(90)]
    photographs(tmp_path, names)
    whole = answers(names, rng.choice(["red", "blue", None], 90), rng.random(90).round(2))
    once, parts = Sheet(asked), Sheet(asked)
    once.add(whole)
    for part in np.array_split(np.arange(90), 7):
        parts.add(whole.iloc[part])
    assert once.page(tmp_path, {}) == parts.page(tmp_path, {})


def test_a_big_folder_is_capped_and_the_sheet_says_so(asked, tmp_path, rng, monkeypatch):
    monkeypatch.setattr(contact_sheet, "CARDS", 40)
    monkeypatch.setattr(contact_sheet, "HELD", 25)
    names = [f"{k:03d}.jpg" for k in range(100)]
    photographs(tmp_path, names)
    sure = rng.permutation(100) / 100
    sheet = Sheet(asked)
    for part in np.array_split(np.arange(100), 10):
        sheet.add(answers(names, ["red"] * 97 + ["blue"] * 3, sure).iloc[part])
        assert len(sheet._kept) <= 3 * 25
    page = sheet.page(tmp_path, {})
    found = cards(page)
    # min(97, k) + min(3, k) + min(100, k) ≤ 40 holds up to k = 18.
    assert {key: len(group) for key, group in found.items()} == {
        ("Color", "red 18 of 97 shown"): 18,
        ("Color", "blue 3"): 3,
        ("Pattern", "<b>dots</b> 18 of 100 shown"): 18,
    }
    assert "Of each label at most 18 photographs are shown" in page
    assert [c[2] for c in found["Color", "red 18 of 97 shown"]] == [
        names[k] for k in np.argsort(sure) if k < 97
    ][:18]


def test_a_full_sheet_is_a_few_megabytes(asked, tmp_path, rng):
    noise = rng.integers(0, 256, (200, 200, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.jpg")
    ((_, copy),) = contact_sheet._small_copies(tmp_path, ["noise.jpg"]).items()
    assert max(copy[1:]) == contact_sheet.SIDE
    # Noise is the worst that a JPEG can hold, so no sheet is larger than this.
    assert len(copy[0]) * contact_sheet.CARDS < 25e6


def test_small_copies_are_upright_and_keep_their_shape(tmp_path):
    sideways = Image.new("RGB", (400, 200), "red")
    sideways.paste("blue", (0, 0, 200, 200))
    exif = sideways.getexif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    sideways.save(tmp_path / "a.jpg", exif=exif)
    ((_, copy),) = contact_sheet._small_copies(tmp_path, ["a.jpg"]).items()
    assert copy[1:] == (80, 160)


def test_a_photograph_that_is_gone_is_said_to_be(asked, tmp_path):
    photographs(tmp_path, ["a.jpg", "b.jpg"])
    sheet = Sheet(asked)
    sheet.add(answers(["a.jpg", "b.jpg"], ["red", "red"], [0.5, 0.6]))
    (tmp_path / "a.jpg").unlink()
    soup = BeautifulSoup(sheet.page(tmp_path, {}), "html.parser")
    gone = soup.find_all("div", class_="lost")
    assert [li.parent.find("bdi").text for li in gone] == ["a.jpg", "a.jpg"]
    assert len(soup.find_all("img")) == 2


def test_a_sheet_of_nothing_is_refused(asked, tmp_path):
    with pytest.raises(ValueError, match="at least one answer is needed"):
        Sheet(asked).page(tmp_path, {})


def test_what_cannot_be_seen_in_a_name_is_written_out():
    assert plain("ü ñ/c d.jpg") == "ü ñ/c d.jpg"
    assert plain("a\u202eb\nc\x01") == "a\\u202eb\\nc\\x01"


@pytest.mark.browser
@pytest.mark.parametrize("width", [375, 1280])
def test_hostile_names_are_text_in_a_browser_without_a_network(asked, tmp_path, rng, width):
    names = [*HOSTILE, *(f"{k}.jpg" for k in range(40))]
    photographs(tmp_path, names)
    (tmp_path / "<i>sheet").mkdir()
    for name in names:
        (tmp_path / name).rename(tmp_path / "<i>sheet" / name)
    sheet = Sheet(asked)
    sheet.add(answers(names, rng.choice(["red", "blue", None], len(names)), rng.random(len(names))))
    page = tmp_path / "sheet.html"
    page.write_text(sheet.page(tmp_path / "<i>sheet", {}), encoding="utf-8")
    assert check_page(page, width) == []
    problems: list[str] = []
    with open_page(page, width, problems) as window:
        assert window.title() == "Contact sheet of <i>sheet"
        assert window.locator("script, b, main i:not(.swatch)").count() == 0
        shown = set(window.locator("section:first-of-type bdi").all_text_contents())
    assert shown == {plain(name) for name in names} and problems == []


def test_what_was_found_is_shown_in_its_order_with_names_as_text(asked, tmp_path):
    names = [*HOSTILE[:3], "gone.jpg"]
    photographs(tmp_path, [*HOSTILE[:2], HOSTILE[2]])
    found = pd.DataFrame(
        {
            "path": names,
            "score": [0.9, 0.812, 0.4, -0.1],
            "color": ["red", None, "blue", None],
            "pattern": ["<b>dots</b>", "<b>dots</b>", None, None],
        }
    )
    page = BeautifulSoup(found_page(found, tmp_path, asked, {"text": "a <b>red</b> one"}), "html.parser")
    assert [bdi.text for bdi in page.find_all("bdi")] == [plain(name) for name in names]
    assert [d.text for d in page.find_all("div", class_="labels")] == [
        "red, <b>dots</b>",
        "<b>dots</b>",
        "blue",
    ]
    assert [d.text.split() for d in page.find_all("div", class_="sure")][1] == ["2", "0.81"]
    assert len(page.find_all("img")) == 3 and len(page.find_all("div", class_="lost")) == 1
    assert not page.find_all(["script", "b", "iframe"])
    view = BeautifulSoup(found_view(found, tmp_path, ["color"]).html, "html.parser")
    cells = view.find_all("td")
    assert [cell.text for cell in cells] == [
        "0.90: red",
        "0.81: ",
        "0.40: blue",
        "can no longer be read-0.10: ",
    ]
    assert [img["alt"] for img in view.find_all("img")] == [f"Photograph {name}" for name in names[:3]]
    assert not view.find_all(["script", "b"])
    distant = found_page(found.assign(distance=0.25), tmp_path, asked, {})
    assert "each with its distance" in distant and distant.count("0.25") == 4
    assert "No photograph answers." in found_page(found.head(0), tmp_path, asked, {})
