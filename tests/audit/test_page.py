"""The page on which a person judges: what it holds, and what comes of keys pressed in a real browser."""

import base64
import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from swatchbook.audit.answers import check_answers
from swatchbook.audit.columns import SAMPLE_COLUMNS, answer_columns
from swatchbook.audit.page import LONG_SIDE, asset, write_audit_page
from swatchbook.audit.sample import sample_id
from swatchbook.csv_io import guard, unguard
from swatchbook.data.strict_csv import DataError
from swatchbook.drawn.drawing import draw_image
from swatchbook.schema import Attribute, Schema
from tests.browser import INSPECT, new_context, open_page

ATTRIBUTES = ("material", "color", "pattern", "texture")
KEYS = "1234567890abcdehijkl"  # of the first, second, … class
HOSTILE = (
    "silk/<script>window.pwned=1<script>.jpg",
    'silk/=HYPERLINK("evil","x").jpg',
    "silk/'=1.jpg",
    "silk/a\"b'c,d&lt;.jpg",
    "@kleid 👗 שמלה.png",
)
SEVERAL_AT_ONCE = '=2+3, "<img src=x onerror=window.pwned=1>" 👗 שמלה'


def make_sample(ids: list[str], **columns) -> pd.DataFrame:
    sample = pd.DataFrame({"item": range(1, len(ids) + 1), "image_id": ids})
    return sample.assign(**{"stratum": "s01", "weight": 2.5, "repeat": 0} | columns)[list(SAMPLE_COLUMNS)]


def make_images(folder: Path, ids: list[str], size: tuple[int, int] = (90, 120)) -> dict[str, Path]:
    """A picture an id: the first three drawn garments, the others soft noise."""
    rng = np.random.default_rng(4)
    labels = {"color": "navy", "pattern": "striped", "texture": "smooth"}
    paths = {}
    for k, image_id in enumerate(dict.fromkeys(ids)):
        paths[image_id] = folder / f"{k}.png"
        if k < 3:
            image = draw_image(labels, "denim", rng, size=120)
        else:
            image = Image.fromarray(rng.integers(90, 220, (*size, 3), dtype=np.uint8))
        image.save(paths[image_id])
    return paths


@pytest.fixture(scope="module")
def small(tmp_path_factory, schema):
    """A page of eight images, five of them with hostile names, one asked twice; its sample."""
    folder = tmp_path_factory.mktemp("small")
    ids = [*HOSTILE, "plain/one.jpg", "plain/two.jpg", HOSTILE[0]]
    sample = make_sample(ids, repeat=[0] * 7 + [1])
    page = write_audit_page(sample, make_images(folder, ids), schema, folder / "audit.html", title="Wardrobe")
    return page, sample


@pytest.fixture(scope="module")
def large(tmp_path_factory, schema):
    """A page of 210 images; its sample."""
    folder = tmp_path_factory.mktemp("large")
    ids = [f"cloth/{k:03}.jpg" for k in range(210)]
    sample = make_sample(ids)
    return write_audit_page(sample, make_images(folder, ids), schema, folder / "audit.html"), sample


def sign_in(page, name: str = "Mia") -> None:
    page.fill("#annotator", name)
    page.keyboard.press("Enter")
    page.wait_for_selector(".judge-card")


def press(page, keys: str) -> None:
    """Press keys, given by name; single characters in one call, which is a press of each all the same."""
    names = keys.split()
    if all(len(name) == 1 for name in names):
        page.keyboard.type("".join(names))
        return
    for name in names:
        page.keyboard.press(name)


def save(page) -> bytes:
    more = page.locator(".judge-more")
    if more.is_visible() and more.get_attribute("aria-expanded") == "false":
        more.click()
    with page.expect_download() as download:
        page.locator(".judge-menu button", has_text="Save CSV").click()
    return Path(download.value.path()).read_bytes()


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))


def labels_of(data: bytes) -> list[tuple[str, ...]]:
    return [tuple(row[name] for name in ATTRIBUTES) for row in rows_of(data)]


def payload(page: Path) -> dict:
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="work">(.*?)</script>', text, re.S)[1])


# ---- what the file holds ------------------------------------------------------------------------------


def test_strata_weights_and_repeats_leave_no_trace_but_the_fingerprint(tmp_path, schema):
    ids = ["a.png", "b.png", "a.png"]
    paths = make_images(tmp_path, ids)
    samples = (
        make_sample(ids, repeat=[0, 0, 1]),
        make_sample(ids, stratum=["s07", "s08", "s07"], weight=[41.5, 3.0, 41.5], repeat=[0, 0, 0]),
    )
    pages = [write_audit_page(s, paths, schema, tmp_path / "p.html").read_text() for s in samples]
    assert sample_id(samples[0]) in pages[0]
    assert pages[0].replace(sample_id(samples[0]), "") == pages[1].replace(sample_id(samples[1]), "")


def test_the_page_is_told_the_questions_and_nothing_more(small, schema):
    page, sample = small
    given = payload(page)
    assert set(given) == {
        *("title", "sample", "columns", "attributes", "cannot_tell", "several"),
        *("names", "shown", "pictures"),
    }
    assert given["attributes"] == [{"name": a.name, "classes": list(a.classes)} for a in schema]
    assert tuple(given["columns"]) == answer_columns(schema)
    assert json.loads(base64.b64decode(given["names"])) == sample["image_id"].tolist()
    assert "silk/" not in page.read_text(encoding="utf-8")  # a folder can be the machine's answer


def test_pictures_are_small_upright_jpegs_without_their_metadata(tmp_path, schema):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "denim jacket"  # turned by a quarter; a description
    Image.new("RGB", (1500, 1000), "navy").save(tmp_path / "x.jpg", exif=exif)
    page = write_audit_page(make_sample(["x"]), {"x": tmp_path / "x.jpg"}, schema, tmp_path / "p.html")
    [address] = payload(page)["pictures"]
    image = Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/jpeg;base64,"))))
    assert image.format == "JPEG"
    assert image.size == (round(LONG_SIDE * 2 / 3), LONG_SIDE)
    assert not image.getexif()


def test_210_photographs_full_of_detail_stay_under_12_megabytes(tmp_path, schema):
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[:512, :400]
    ids = [f"{k}.jpg" for k in range(210)]
    weave = 128 + 50 * np.sin(rows / 2) * np.sin(columns / 3) + rng.normal(0, 22, (512, 400))
    Image.fromarray(weave.clip(0, 255).astype(np.uint8)).convert("RGB").save(tmp_path / "w.jpg", quality=95)
    page = write_audit_page(
        make_sample(ids), dict.fromkeys(ids, tmp_path / "w.jpg"), schema, tmp_path / "p.html"
    )
    assert 6_000_000 < page.stat().st_size < 12_000_000  # not smaller than it must be


def test_a_page_that_cannot_be_small_enough_is_refused_with_its_size(tmp_path, schema):
    noise = np.random.default_rng(2).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "n.png")
    sample, paths = make_sample(["n"]), {"n": tmp_path / "n.png"}
    with pytest.raises(DataError, match=r"1 images need 0\.\d MB .* received 0\.1; allowed: a higher limit"):
        write_audit_page(sample, paths, schema, tmp_path / "p.html", limit_mb=0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["n.png"]


@pytest.mark.parametrize("wrong", ["no file", "no image", "no column", "no rows"])
def test_what_cannot_be_judged_is_refused_and_nothing_is_written(tmp_path, schema, wrong):
    (tmp_path / "x.jpg").write_bytes(b"<html>not found</html>" if wrong == "no image" else b"")
    sample, paths = make_sample(["x"]), {"x": tmp_path / "x.jpg"}
    message = {
        "no file": "no file for image 'x'",
        "no image": "image 'x' at .* a page of HTML",
        "no column": "received item, image_id, stratum, weight; allowed",
        "no rows": "received no rows",
    }[wrong]
    if wrong == "no file":
        paths = {}
    if wrong == "no column":
        sample = sample.drop(columns="repeat")
    if wrong == "no rows":
        sample = sample.iloc[:0]
    with pytest.raises(DataError, match=message):
        write_audit_page(sample, paths, schema, tmp_path / "p.html")
    assert [path.name for path in tmp_path.iterdir()] == ["x.jpg"]


def test_a_title_is_text_and_the_same_input_gives_the_same_bytes(tmp_path, schema):
    paths = make_images(tmp_path, ["a"])
    title = "</title><script>alert(1)</script>"
    first, second = (
        write_audit_page(make_sample(["a"]), paths, schema, tmp_path / name, title=title, annotator_hint='"x')
        for name in ("1.html", "2.html")
    )
    assert first.read_bytes() == second.read_bytes()
    assert "<script>alert" not in first.read_text()


# ---- in a browser -------------------------------------------------------------------------------------


def plan(schema, seed: int) -> list[list[tuple[str, str]]]:
    """For each image, a (key, label) for each attribute."""
    rng = np.random.default_rng(seed)
    choices = [[*zip(KEYS, a.classes, strict=False), ("t", "can't tell"), ("m", "several")] for a in schema]
    return [[each[rng.integers(len(each))] for each in choices] for _ in range(210)]


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(320, 568), (1280, 900)])
def test_210_images_judged_by_keyboard_come_out_as_the_keys_pressed(large, schema, tmp_path, width, height):
    path, sample = large
    planned = plan(schema, width)
    skipped = {20, 77, 209}
    problems = []
    with open_page(path, width, problems) as page:
        page.set_viewport_size({"width": width, "height": height})
        sign_in(page)
        for k, answers in enumerate(planned):
            if k in skipped:
                press(page, "s")
                continue
            if k == 50:  # a reload in the middle of an image
                press(page, " ".join(key for key, _ in answers[:2]))
                page.reload()
                press(page, " ".join(key for key, _ in answers[2:]))
                continue
            if k == 100:  # a wrong key, taken back after a reload
                press(page, "ArrowDown ArrowUp 5")
                page.reload()
                press(page, "u")
            if k == 120:  # the tab is closed and the page opened anew
                context = page.context
                page.close()
                page = context.new_page()
                page.on("pageerror", lambda error: problems.append(str(error)))
                page.goto(path.resolve().as_uri())
            press(page, " ".join(key for key, _ in answers))
            if k == 130:  # the last answer goes to the next image; taking it back returns
                press(page, f"u {answers[-1][0]}")
        assert page.locator(".judge-finish h2").inner_text() == "3 images are not finished."
        press(page, "g")
        for k in sorted(skipped):
            press(page, " ".join(key for key, _ in planned[k]))
        assert page.locator(".judge-finish h2").inner_text() == "All images are finished."
        data = save(page)
    assert labels_of(data) == [tuple(label for _, label in answers) for answers in planned]
    assert not problems
    (tmp_path / "answers-Mia.csv").write_bytes(data)
    judgements, printed = check_answers(tmp_path / "answers-Mia.csv", sample, schema)
    assert printed == ()
    assert judgements["color"].tolist() == [answers[1][1] for answers in planned]


@pytest.mark.browser
def test_names_and_notes_are_shown_and_stored_as_text(small, schema, tmp_path):
    path, sample = small
    with open_page(path, 375, problems := []) as page:
        sign_in(page, "שרה")
        page.locator(".judge-file summary").click()
        shown = []
        for _ in range(len(sample)):
            shown.append(page.locator(".judge-name").inner_text())
            page.locator(".judge-note input").fill(SEVERAL_AT_ONCE)
            page.keyboard.press("Enter")
            press(page, "1 ArrowRight")
        assert page.evaluate("window.pwned") is None
        with page.expect_download() as download:
            page.locator(".judge-finish button", has_text="Save CSV").click()
        data = Path(download.value.path()).read_bytes()
        assert download.value.suggested_filename == "answers-שרה.csv"
    assert not problems
    assert shown == [name.split("/")[-1] for name in sample["image_id"]]
    rows = rows_of(data)
    assert [row["image_id"] for row in rows] == [guard(name) for name in sample["image_id"]]
    assert [unguard(row["image_id"]) for row in rows] == sample["image_id"].tolist()
    assert {row["note"] for row in rows} == {f"'{SEVERAL_AT_ONCE}"}
    assert data.count(b"\r\n") == len(sample) + 1
    (tmp_path / "a.csv").write_bytes(data)
    assert check_answers(tmp_path / "a.csv", sample, schema)[1] == ()


@pytest.mark.browser
def test_the_page_guards_texts_as_the_package_does(rng):
    texts = ["".join(rng.choice(list("=+-@\t＝＋－＠'\r\n, a"), rng.integers(0, 7))) for _ in range(3000)]
    both = f"texts => {{ {asset('answers.js')}; return texts.map((text) => [guard(text), unguard(text)]); }}"
    with new_context(offline=True) as context:
        found = context.new_page().evaluate(both, texts)
    assert found == [[guard(text), unguard(text)] for text in texts]


@pytest.mark.browser
def test_a_second_person_finds_nothing_of_the_first_and_the_first_everything(small):
    path, _ = small
    with open_page(path, 1280, problems := []) as page:
        sign_in(page, "Mia")
        press(page, "1 2 3 4")
        page.get_by_role("button", name="Change person").first.click()
        sign_in(page, "Ben")
        assert page.locator(".judge-choice[aria-pressed=true]").count() == 0
        press(page, "2 2")
        assert labels_of(save(page))[0] == ("silk_satin", "white", "", "")
        page.get_by_role("button", name="Change person").first.click()
        sign_in(page, "Mia")
        data = save(page)
        page.reload()
        assert page.locator(".judge-person").inner_text() == "Mia"
    assert labels_of(data)[0] == ("cotton", "white", "checkered_plaid", "ribbed_structured")
    assert {row["annotator"] for row in rows_of(data)} == {"Mia"}
    assert not problems


@pytest.mark.browser
def test_a_name_that_a_file_cannot_carry_is_asked_for_again(small):
    with open_page(small[0], 375, problems := []) as page:
        for name in ("", "=Mia", "all", "a" * 41, "x;y"):
            page.fill("#annotator", name)
            page.keyboard.press("Enter")
            press(page, "Escape")
            page.locator("#annotator").wait_for(state="visible")
            assert page.locator(".judge-card").count() == 0
        sign_in(page)
    assert not problems


FILL = """() => {
  let chunk = 'x'.repeat(1 << 20), k = 0;
  while (chunk.length) {
    try { localStorage.setItem(`filler ${k++}`, chunk); } catch { chunk = chunk.slice(chunk.length / 2 + 1); }
  }
}"""
FREE = "() => Object.keys(localStorage).filter(k => k.startsWith('filler')).forEach(k => localStorage.removeItem(k))"
FORBID = "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError'); }})"


@pytest.mark.browser
def test_a_full_storage_is_said_at_once_and_loses_nothing(small):
    with open_page(small[0], 375, problems := []) as page:
        sign_in(page)
        press(page, "1 1")
        page.evaluate(FILL)
        assert page.locator(".judge-warning").is_hidden()
        for _ in range(6):
            page.locator(".judge-note input").fill("word " * 100)
            page.keyboard.press("Enter")
            press(page, "1 1 2 3")
        assert "storage is full" in page.locator(".judge-warning").inner_text()
        with page.expect_download() as download:
            page.get_by_role("button", name="Save CSV now").click()
        before = labels_of(Path(download.value.path()).read_bytes())
        assert before[0][:2] == ("cotton", "black")
        assert sum(label != "" for row in before for label in row) == 26
        page.evaluate(FREE)
        press(page, "1")
        assert page.locator(".judge-warning").is_hidden()
        page.reload()
        assert sum(label != "" for row in labels_of(save(page)) for label in row) == 27
    assert not problems


@pytest.mark.browser
def test_a_forbidden_storage_is_said_and_the_page_works(small):
    with open_page(small[0], 375, problems := []) as first:
        page = first.context.new_page()
        page.add_init_script(FORBID)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(small[0].resolve().as_uri())
        sign_in(page)
        assert "storage is full or forbidden" in page.locator(".judge-warning").inner_text()
        press(page, "6 a t m")
        assert labels_of(save(page))[0] == ("knitwear", "pink", "can't tell", "several")
    assert not problems


@pytest.mark.browser
def test_a_half_done_file_goes_on_in_another_browser(small, tmp_path):
    path, _ = small
    with open_page(path, 1280, []) as page:
        sign_in(page, "Mia")
        press(page, "1 2 3 4 2 2")
        page.locator(".judge-note input").fill('\'=quoted, "twice"')
        half = save(page)
    (tmp_path / "half.csv").write_bytes(b"\xef\xbb\xbf" + half)
    with open_page(path, 1280, problems := []) as page:
        sign_in(page, "Somebody")
        page.set_input_files("input[type=file]", tmp_path / "half.csv")
        page.wait_for_function("() => document.querySelector('.judge-person').textContent === 'Mia'")
        assert page.locator(".judge-position").inner_text() == "2 of 8"
        assert re.sub(rb"\d+\.\d\r\n", b"", save(page)) == re.sub(rb"\d+\.\d\r\n", b"", half)
        press(page, "3 1")
        assert labels_of(save(page))[1] == ("silk_satin", "white", "checkered_plaid", "smooth")
    assert not problems


DAMAGE = {
    "another sample": (lambda text: re.sub(r"(?m)^[0-9a-f]{16}", "0" * 16, text), "line 2: .*another sample"),
    "unknown label": (lambda text: text.replace("cotton", "hemp"), "line 2: material “hemp” is no answer"),
    "semicolons": (lambda text: text.replace(",", ";"), "its columns are “sample;item"),
    "edited id": (lambda text: text.replace("plain/one", "plain/1"), "line 7: item 6 is another image"),
    "cut off": (lambda text: text[:-30], "line 9"),
    "item twice": (lambda text: text + text.split("\r\n")[1] + "\r\n", "line 10: item 1 is there twice"),
    "two people": (
        lambda text: text.replace(",8,", ",8,").replace("Mia", "Ben", 1),
        "line 3: annotator “Mia”",
    ),
    "stray quote": (lambda text: text.replace("Mia", 'M"ia', 1), "not valid CSV"),
}


@pytest.mark.browser
def test_a_damaged_file_is_refused_with_its_line_and_changes_nothing(small, tmp_path):
    with open_page(small[0], 1280, problems := []) as page:
        sign_in(page)
        press(page, "1 2 3 4 2 2")
        good = save(page)
        for name, (spoil, message) in DAMAGE.items():
            (tmp_path / f"{name}.csv").write_bytes(spoil(good.decode()).encode())
            page.set_input_files("input[type=file]", tmp_path / f"{name}.csv")
            page.wait_for_function(
                "name => document.querySelector('.judge-warning').textContent.includes(name)", arg=name
            )
            assert re.search(
                f"“{name}.csv” is not taken over: .*{message}", page.inner_text(".judge-warning")
            )
            assert labels_of(save(page)) == labels_of(good)
    assert not problems


@pytest.mark.browser
def test_two_tabs_of_one_person_do_not_undo_each_other(small):
    with open_page(small[0], 1280, problems := []) as page:
        sign_in(page)
        other = page.context.new_page()
        other.goto(small[0].resolve().as_uri())
        press(other, "1 2 3 4")
        page.wait_for_function("() => document.querySelector('.judge-position').textContent === '2 of 8'")
        press(page, "5")
        assert [row[0] for row in labels_of(save(page))[:2]] == ["cotton", "denim"]
    assert not problems


@pytest.mark.browser
def test_damaged_storage_is_set_aside_and_never_taken_for_answers(small):
    path, sample = small
    place = f"swatchbook audit {sample_id(sample)} Mia"
    with open_page(path, 1280, problems := []) as page:
        sign_in(page)
        press(page, "1 2")
        page.evaluate(
            "place => { const s = JSON.parse(localStorage[place]); s.entries[0].labels[0] = 'hemp';"
            "localStorage[place] = JSON.stringify(s); }",
            place,
        )
        page.reload()
        assert "damaged" in page.inner_text(".judge-warning")
        assert set(labels_of(save(page))) == {("", "", "", "")}
        assert "hemp" in page.evaluate("place => localStorage[`${place} damaged`]", place)
    assert not problems


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(320, 568), (375, 667), (1280, 900)])
def test_the_picture_and_the_question_are_in_sight_together(large, width, height):
    box = "e => { const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; }"
    with open_page(large[0], width, problems := []) as page:
        page.set_viewport_size({"width": width, "height": height})
        sign_in(page)
        press(page, "1 1 1 1")
        foot = page.locator(".judge-foot")
        for _ in ATTRIBUTES:
            picture = page.locator(".judge-picture").evaluate(box)
            question = page.locator(".judge-active").evaluate(box)
            bottom = foot.evaluate(box)[1]
            for left, top, right, low in (picture, question):
                assert left >= 0
                assert top >= 0
                assert right <= width
                assert low <= bottom
            assert picture[3] - picture[1] >= 0.38 * height
            press(page, "ArrowDown")
    assert not problems


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 375, 1280])
def test_the_page_is_whole_and_legible_in_every_state(small, width):
    expected = {"no table of contents"}  # a tool of one screen needs none
    with open_page(small[0], width, problems := []) as page:
        found = set(page.evaluate(INSPECT))
        sign_in(page)
        press(page, "1 t")
        page.wait_for_function("() => document.querySelector('.judge-image').naturalWidth > 0")
        found |= set(page.evaluate(INSPECT))
        press(page, "?")
        found |= set(page.evaluate(INSPECT))
        press(page, "Escape")
        page.evaluate(
            "for (let k = 0; k < 8; k++) document.querySelector('.judge-foot button:last-child').click()"
        )
        page.wait_for_selector(".judge-finish h2")
        found |= set(page.evaluate(INSPECT))
    assert found == expected
    assert not problems


@pytest.mark.browser
def test_every_control_has_a_name_and_a_visible_focus_and_the_state_is_announced(small):
    with open_page(small[0], 1280, problems := []) as page:
        sign_in(page)
        unnamed = page.evaluate(
            "[...document.querySelectorAll('button, input')].filter(e => e.getClientRects().length"
            " && !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length)).length"
        )
        assert unnamed == 0
        for _ in range(8):
            page.keyboard.press("Tab")
            style = page.evaluate(
                "(() => { const s = getComputedStyle(document.activeElement);"
                " return [s.outlineStyle, parseFloat(s.outlineWidth)]; })()"
            )
            assert style[0] == "solid"
            assert style[1] >= 2
        page.locator(".judge-choice", has_text="leather").focus()
        press(page, "Space")
        assert page.locator("[aria-live=polite]").inner_text() == "material: leather. color?"
        assert page.locator(".judge-choice[aria-pressed=true]").all_inner_texts() == ["3\nleather"]
    assert not problems


@pytest.mark.browser
def test_zoom_notes_and_held_keys_answer_nothing_by_accident(small):
    with open_page(small[0], 1280, problems := []) as page:
        sign_in(page)
        scale = "new DOMMatrix(getComputedStyle(document.querySelector('.judge-image')).transform).a"
        press(page, "z")
        page.wait_for_function(f"() => {scale} === 3")
        press(page, "Shift+ArrowRight")
        assert page.locator(".judge-position").inner_text() == "1 of 8"
        assert page.locator(".judge-image").evaluate("e => e.style.transformOrigin") == "70% 50%"
        press(page, "z")
        page.wait_for_function(f"() => {scale} === 1")
        press(page, "n")
        page.keyboard.type("1 2 u s")
        press(page, "Enter Control+1 Alt+2")
        for _ in range(3):  # a key held down
            page.keyboard.down("1")
        page.keyboard.up("1")
        row = rows_of(save(page))[0]
        assert row["note"] == "1 2 u s"
        assert [row[name] for name in ATTRIBUTES] == ["cotton", "", "", ""]
        allowed = page.locator(".judge-zoom").evaluate("e => getComputedStyle(e).touchAction")
        assert "pinch-zoom" in allowed
    assert not problems


@pytest.mark.browser
def test_seconds_add_up_over_visits_and_time_left_follows_them(large):
    with open_page(large[0], 1280, problems := []) as page:
        page.clock.install()
        page.reload()
        sign_in(page)
        for _ in range(5):
            page.clock.run_for(12_000)
            press(page, "1 1 1 1")
        assert "about 41 min left" in page.inner_text(".judge-progress")  # 205 × 12 s
        page.clock.run_for(600_000)  # a long pause is not all work
        press(page, "1 ArrowLeft")
        page.clock.run_for(2_000)
        press(page, "2 ArrowRight")
        seconds = [float(row["seconds"]) for row in rows_of(save(page))]
        assert seconds[:6] == pytest.approx([12, 12, 12, 12, 14, 60], abs=0.35)
        assert set(seconds[6:]) == {0.0}
    assert not problems


@pytest.mark.browser
def test_twenty_classes_have_a_key_each_and_none_is_a_command(tmp_path):
    labels = [f"class_{k}" for k in range(20)]
    attribute = Attribute("finish", {label: label for label in labels}, ("{}",), "zero_shot", 0.5, "ours")
    ids = [f"{k}.png" for k in range(20)]
    paths = dict.fromkeys(ids, make_images(tmp_path, ids[:1])["0.png"])
    page_path = write_audit_page(
        make_sample(ids), paths, Schema("finish", (attribute,)), tmp_path / "audit.html"
    )
    with open_page(page_path, 375, problems := []) as page:
        sign_in(page)
        press(page, " ".join(KEYS))
        assert page.inner_text(".judge-finish h2") == "All images are finished."
        given = [row["finish"] for row in rows_of(save(page))]
    assert given == labels
    assert not problems
