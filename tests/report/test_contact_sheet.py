"""The contact sheet: what it holds, what its script does in a real browser, and that names are only ever text."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from swatchbook.audit.sheet import read_sheet
from swatchbook.report import contact_sheet
from swatchbook.report.contact_sheet import JUDGE, Sheet, found_page, found_view, plain
from swatchbook.schema import Attribute, Schema
from tests.browser import check_page, open_page

HOSTILE = (
    "<script>document.title='run'<",
    '" onerror="document.title=1" x=".jpg',
    "&amp;<b>bold<",
    "{{ 7 * 7 }}.jpg",
    "=HYPERLINK(1).jpg",
    "a\u2028b'c\"\u2029.jpg",
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


def work_of(page: str) -> dict:
    return json.loads(BeautifulSoup(page, "html.parser").find("script", id="work").string)


def page_of(folder: Path, asked: Schema, table: pd.DataFrame, said=None) -> Path:
    sheet = Sheet(asked)
    sheet.add(table)
    page = folder.parent / f"{folder.name}.html"
    page.write_text(sheet.page(folder, {"labeller": "a <b>labeller</b>"}, said or {}), encoding="utf-8")
    return page


# ---- what the file holds -------------------------------------------------------------------------------


def test_every_photograph_has_one_card_with_all_its_labels_and_confidences(asked, tmp_path):
    photographs(tmp_path, ["b.jpg", "a.jpg"])
    sheet = Sheet(asked)
    sheet.add(answers(["b.jpg", "a.jpg"], ["blue", None], [0.91234, 0.3]))
    page = sheet.page(
        tmp_path, {"labeller": "a <b>labeller</b>"}, {"color": "right on 70 %", "shape": "left out"}
    )
    work = work_of(page)
    assert [each["name"] for each in work["photographs"]] == ["a.jpg", "b.jpg"]
    assert [each["labels"] for each in work["photographs"]] == [[-1, 0], [1, 0]]
    assert [each["sure"] for each in work["photographs"]] == [[0.3, 0.5], [0.9123, 0.5]]
    assert all(each["picture"][0].startswith("data:image/jpeg;base64,") for each in work["photographs"])
    assert [a["classes"] for a in work["attributes"]] == [["red", "blue", "orange"], ["<b>dots</b>"]]
    assert work["attributes"][0]["said"] == "right on 70 %" and work["attributes"][0]["swatches"]
    soup = BeautifulSoup(page, "html.parser")
    assert "Shape is left out." in soup.find(class_="lead").text and "All photographs are shown." in soup.text
    assert [d.text for d in soup.find_all(["dt", "dd"])] == [
        "Photographs", "2", "Labeller", "a <b>labeller</b>"
    ]  # fmt: skip
    assert len(soup.find_all("script")) == 2 and not soup.find_all(["b", "iframe", "link"], href=None)


def test_answers_may_come_in_parts(asked, tmp_path, rng, monkeypatch):
    names = [f"{k:03d}.jpg" for k in range(90)]
    photographs(tmp_path, names)
    whole = answers(names, rng.choice(["red", "blue", None], 90), rng.random(90).round(2))
    for cards in (100, 40):
        monkeypatch.setattr(contact_sheet, "CARDS", cards)
        monkeypatch.setattr(contact_sheet, "HELD", 25)
        once, parts = Sheet(asked), Sheet(asked)
        once.add(whole)
        for part in np.array_split(np.arange(90), 7):
            parts.add(whole.iloc[part])
        assert once.page(tmp_path, {}, {}) == parts.page(tmp_path, {}, {})


def test_of_a_big_folder_the_least_sure_of_every_label_are_shown_and_the_sheet_says_so(
    asked, tmp_path, rng, monkeypatch
):
    monkeypatch.setattr(contact_sheet, "CARDS", 20)
    monkeypatch.setattr(contact_sheet, "HELD", 15)
    names = [f"{k:03d}.jpg" for k in range(100)]
    photographs(tmp_path, names)
    sure = rng.permutation(100) / 100
    table = answers(names, ["red"] * 97 + ["blue"] * 3, sure).assign(pattern_confidence=np.arange(100) / 100)
    sheet = Sheet(asked)
    for part in np.array_split(np.arange(100), 10):
        sheet.add(table.iloc[part])
        assert len(sheet._kept) <= 3 * 15
    page = sheet.page(tmp_path, {}, {})
    shown = {each["name"] for each in work_of(page)["photographs"]}
    red = [names[k] for k in np.argsort(sure) if k < 97]
    fits = max(k for k in range(1, 16) if len({*red[:k], *names[97:][:k], *names[:k]}) <= 20)
    assert shown == {*red[:fits], *names[97:][:fits], *names[:fits]}
    assert f"{len(shown)} are shown, the least sure of each label" in page and len(shown) <= 20


def test_a_full_sheet_is_some_megabytes(asked, tmp_path, rng):
    noise = rng.integers(0, 256, (200, 200, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.jpg")
    ((_, copy),) = contact_sheet.small_copies(tmp_path, ["noise.jpg"]).items()
    assert max(copy[1:]) == contact_sheet.SIDE
    # Noise is the worst that a JPEG can hold, so no sheet is larger than this.
    assert len(copy[0]) * contact_sheet.CARDS < 50e6


def test_small_copies_are_upright_and_keep_their_shape(tmp_path):
    sideways = Image.new("RGB", (400, 200), "red")
    sideways.paste("blue", (0, 0, 200, 200))
    exif = sideways.getexif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    sideways.save(tmp_path / "a.jpg", exif=exif)
    ((_, copy),) = contact_sheet.small_copies(tmp_path, ["a.jpg"]).items()
    assert copy[1:] == (80, 160)


def test_a_sheet_of_nothing_is_refused(asked, tmp_path):
    with pytest.raises(ValueError, match="at least one answer is needed"):
        Sheet(asked).page(tmp_path, {}, {})


def test_what_cannot_be_seen_in_a_name_is_written_out():
    assert plain("ü ñ/c d.jpg") == "ü ñ/c d.jpg"
    assert plain("a\u202eb\nc\x01") == "a\\u202eb\\nc\\x01"


def test_no_name_can_end_the_element_or_the_line_that_holds_it(asked, tmp_path):
    sheet = Sheet(asked)
    hostile = "</script>\u2028\u2029'\"<!--.jpg"
    sheet.add(answers([hostile, "b.jpg"], ["red", None], [0.5, 0.6]))
    page = sheet.page(tmp_path, {}, {})
    held = page.partition('id="work">')[2].partition("</script>")[0]
    assert not {"<", "\u2028", "\u2029"} & set(held)
    assert {each["name"] for each in work_of(page)["photographs"]} == {hostile, "b.jpg"}


# ---- what it does in a browser -------------------------------------------------------------------------


@pytest.fixture
def twelve(asked, tmp_path) -> Path:
    """A sheet of twelve photographs: 4 red, 3 blue, 5 without a colour; the surer the later."""
    folder = tmp_path / "twelve"
    folder.mkdir()
    names = [f"{k:02d}.jpg" for k in range(12)]
    photographs(folder, names)
    colors = ["red", "blue", None] * 3 + ["red", None, None]
    table = answers(names, colors, np.linspace(0.04, 0.92, 12))
    return page_of(folder, asked, table.assign(pattern_confidence=0.99), {"color": "right on 70 %"})


def cards(window) -> list[str]:
    return window.locator("#cards button").evaluate_all("all => all.map((button) => button.title)")


def tick(window, words: str) -> None:
    window.locator(".facet", has_text=re.compile(rf"^\s*{words}")).locator("input").check()


def facets(window) -> dict[str, str]:
    rows = window.locator(".facet").all_inner_texts()
    return {" ".join(row.split()[:-1]): row.split()[-1] for row in rows}


@pytest.mark.browser
@pytest.mark.parametrize("width", [375, 1280])
def test_hostile_names_are_text_in_a_browser_without_a_network(asked, tmp_path, rng, width):
    folder = tmp_path / "<i>sheet"
    folder.mkdir()
    names = [*HOSTILE, *(f"{k}.jpg" for k in range(30))]
    photographs(folder, names)
    page = page_of(
        folder, asked, answers(names, rng.choice(["red", "blue", None], len(names)), rng.random(len(names)))
    )
    assert check_page(page, width) == []
    problems: list[str] = []
    with open_page(page, width, problems) as window:
        assert window.title() == "Contact sheet of <i>sheet"
        assert window.locator("#cards :is(script, b, iframe)").count() == 0
        assert set(cards(window)) == {plain(name) for name in names}
    assert problems == []


@pytest.mark.browser
def test_filters_count_what_is_left_and_orders_sort(twelve):
    with open_page(twelve, 1280, problems := []) as window:
        assert cards(window) == [f"{k:02d}.jpg" for k in range(12)]
        assert "ight on 70 %." in window.locator(".said").first.inner_text()
        assert facets(window) == {
            "no label": "5", "red": "4", "blue": "3", "<b>dots</b>": "12",
            "not yet looked at": "12", "right": "0", "corrected": "0",
        }  # fmt: skip
        assert "None: orange." in window.locator("#asked").inner_text()
        tick(window, "red")
        assert cards(window) == ["00.jpg", "03.jpg", "06.jpg", "09.jpg"]
        assert window.locator("#found").inner_text() == "4 of 12 photographs"
        assert (
            facets(window)["blue"] == "3" and facets(window)["<b>dots</b>"] == "4"
        )  # its own filter is left out
        tick(window, "blue")
        window.get_by_label("Confidence from").fill("0.3")
        # .04 + .08 k lies above .3 from k = 4 on: 4 and 7 are blue, 6 and 9 red.
        assert cards(window) == ["04.jpg", "06.jpg", "07.jpg", "09.jpg"]
        assert facets(window)["red"] == "2" and facets(window)["no label"] == "4"
        window.select_option("#order", label="surest first")
        assert cards(window) == ["09.jpg", "07.jpg", "06.jpg", "04.jpg"]
        window.select_option("#of", label="Pattern")
        assert len(cards(window)) == 7
        window.get_by_role("button", name="Clear all filters").click()
        window.get_by_label("Part of the file's name").fill("1")
        assert sorted(cards(window)) == ["01.jpg", "10.jpg", "11.jpg"]
    assert problems == []


@pytest.mark.browser
def test_corrections_by_keyboard_are_kept_and_saved_as_an_audit(twelve, asked, tmp_path):
    folder = twelve.with_suffix("")
    with open_page(twelve, 1280, problems := []) as window:
        window.locator("#cards button").first.focus()
        press = window.keyboard.press
        press("r")  # 00 is right, and the next is at hand
        press("Enter")
        assert (
            window.locator("#editor").is_visible() and window.locator("#editor bdi").inner_text() == "01.jpg"
        )
        window.keyboard.type("orange")  # as a list of choices takes letters
        press("Enter")  # 01 is orange, not blue
        press("ArrowRight")
        press("ArrowLeft")
        press("Enter")
        press("Escape")  # 02 stays as it was
        press("End")
        press("r")
        press("u")  # 11 is taken back
        assert facets(window)["right"] == "1" and facets(window)["corrected"] == "1"
        assert "orange" in window.locator("#cards li").nth(1).inner_text()
        with window.expect_download() as download:
            window.get_by_role("button", name="Save 2 answers as CSV").click()
        data = Path(download.value.path()).read_bytes()
        assert download.value.suggested_filename == "corrections.csv"
        window.reload()
        assert facets(window)["corrected"] == "1"  # the browser has kept them
        press("/")
        assert window.evaluate("document.activeElement.type") == "checkbox"
    assert problems == []
    assert list(csv.reader(io.StringIO(data.decode(), newline=""))) == [
        ["path", "annotator", "color", "pattern"],
        ["00.jpg", JUDGE, "red", "<b>dots</b>"],
        ["01.jpg", JUDGE, "orange", "<b>dots</b>"],
    ]
    (tmp_path / "corrections.csv").write_bytes(data)
    read = read_sheet(tmp_path / "corrections.csv", [f"{k:02d}.jpg" for k in range(12)], folder, asked)
    assert read.judged["color"].tolist() == ["red", "orange"]


@pytest.mark.browser
def test_names_in_a_saved_file_are_guarded_and_read_back(asked, tmp_path):
    folder = tmp_path / "names"
    folder.mkdir()
    names = [name for name in HOSTILE if "\n" not in name]
    photographs(folder, names)
    page = page_of(folder, asked, answers(names, ["red"] * len(names), np.full(len(names), 0.5)))
    with open_page(page, 375, problems := []) as window:
        window.locator("#cards button").first.focus()
        for _ in names:
            window.keyboard.press("r")
        with window.expect_download() as download:
            window.locator("#save").click()
        data = Path(download.value.path()).read_bytes()
    assert problems == []
    (tmp_path / "corrections.csv").write_bytes(data)
    assert "'=HYPERLINK(1).jpg" in data.decode()
    assert read_sheet(tmp_path / "corrections.csv", names, folder, asked).judged[
        "image_id"
    ].tolist() == sorted(names)


@pytest.mark.browser
def test_more_than_five_hundred_photographs_come_in_pages(asked, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    names = [f"{k:04d}.jpg" for k in range(1003)]  # none is there: nothing has to be encoded
    page = page_of(folder, asked, answers(names, ["red"] * 1003, np.linspace(0, 1, 1003)))
    with open_page(page, 1280, problems := []) as window:
        assert cards(window) == names[:500] and window.locator("#page").inner_text() == "Page 1 of 3"
        assert window.locator("#cards .lost").count() == 500
        window.get_by_role("button", name="Next page").click()
        window.get_by_role("button", name="Next page").click()
        assert cards(window) == names[1000:] and window.locator("#after").is_disabled()
        window.get_by_label("Part of the file's name").fill("000")
        assert cards(window) == [*names[:10], "1000.jpg"] and window.locator("#pages").is_hidden()
    assert problems == []


# ---- what a search has found ---------------------------------------------------------------------------


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
