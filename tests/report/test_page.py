"""The report: one file, whole and harmless, that shows what the notebooks showed."""

import base64
import io
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from swatchbook.pipeline.notebook_runner import execute
from swatchbook.report.page import tone, write_page
from swatchbook.report.pictures import with_palette
from tests.browser import check_page, open_page

HOSTILE = "<script>alert('x')</script>.jpg"

SETUP = """
import base64, io, sys
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown

class Shown:
    def __init__(self, html):
        self.html = html
    def _repr_html_(self):
        return self.html

def png(width):
    figure, axes = plt.subplots(figsize=(width, 2), dpi=100)
    axes.plot([0, 1], [0, 1])
    file = io.BytesIO()
    figure.savefig(file)
    plt.close(figure)
    return base64.b64encode(file.getvalue()).decode()
"""
FIGURE = """
Shown(f'<figure class="swatch-figure"><img src="data:image/png;base64,{png(9)}" alt="A rising line">'
      '<figcaption>A line, n = 2.</figcaption></figure>')
"""
TABLE = f"""
pd.DataFrame({{"file": [{HOSTILE!r}, "b.jpg"], "V": [0.1, 0.25], "how": ["a longer text " * 9, "short"]}})
"""
INTRO = """# 05 · Are the attributes independent?

[![Open in Colab](https://colab.research.google.com/badge.svg)](https://colab.research.google.com/x)

See [the audit](02_audit.ipynb), [below](#What-it-shows) and [a file](../figures/x.png).

| pair | V |
|:--|--:|
| a × b | .2 |
"""


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    """Two notebooks, one of them executed by the runner: (name, executed copy)."""
    folder = tmp_path_factory.mktemp("notebooks")
    cells = [
        new_markdown_cell(INTRO),
        new_code_cell("SEED = 1", metadata={"tags": ["parameters"]}),
        new_code_cell(SETUP),
        new_markdown_cell("## What it shows\n\n#### Too deep a heading"),
        new_code_cell(FIGURE),
        new_code_cell(TABLE),
        new_code_cell("print('to stdout')\nprint('to stderr', file=sys.stderr)"),
        new_code_cell("Markdown(f'The change is **+.035**, said {SEED} time.')"),
        new_code_cell("plt.plot([1, 2])\nplt.show()", metadata={"alt": "A line from the inline backend"}),
    ]
    about = {"swatchbook": {"summary": "Whether heads <couple> attributes."}}
    nbformat.write(new_notebook(cells=cells, metadata=about), folder / "05_orthogonality.ipynb")
    execute(folder / "05_orthogonality.ipynb", folder / "run" / "05_orthogonality.ipynb", {"SEED": 2})
    audit = new_notebook(
        cells=[new_markdown_cell("Words, and no heading.\n\n## Who judged\n\n## Who judged")]
    )
    nbformat.write(audit, folder / "run" / "02_audit.ipynb")
    return [(name, folder / "run" / f"{name}.ipynb") for name in ("02_audit", "05_orthogonality")]


@pytest.fixture(scope="module")
def arguments(notebooks):
    rows = [
        ["Macro-F1 of colour", ".744", 0.7441, ".72 to .77", 3760, "reproduced"],
        [f"{HOSTILE} & co", "+.035", float("nan"), "", None, "does not hold"],
        [
            "A number with a long name, so that the first column wraps",
            "29 of 29",
            1.0,
            "",
            29,
            "inconclusive",
        ],
    ]
    columns = ["what", "published", "ours", "interval", "n", "verdict"]
    claims = pd.DataFrame(
        {"printed": ["Perfect precision.", HOSTILE], "sentence": [f"Not for {HOSTILE}.", "No."]}
    )
    return {
        "title": "Four attributes & one photograph",
        "lead": "Every printed number is reproduced; two claims do not hold.",
        "headline": pd.DataFrame(rows, columns=columns).astype({"n": "Int64"}),
        "claims": claims.assign(verdict=["does not hold", None], where=["README", None]),
        "notebooks": notebooks,
        "provenance": {
            "run": {"date": "2026-01-01", "profile": "published", "commit": "0123abc" + 33 * "0"},
            "inputs": {HOSTILE: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
        },
    }


@pytest.fixture(scope="module")
def page(arguments, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "deep" / "index.html"
    write_page(out, **arguments)
    return out


@pytest.fixture(scope="module")
def soup(page):
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


EMPTY = {
    "title": "t",
    "lead": "",
    "headline": pd.DataFrame({"what": []}),
    "claims": pd.DataFrame({"printed": [], "sentence": []}),
    "provenance": {},
}


def chapter(tmp_path, *cells):
    """A notebook's section, parsed."""
    path = tmp_path / "x.ipynb"
    nbformat.write(new_notebook(cells=list(cells)), path)
    write_page(tmp_path / "x.html", notebooks=[("x", path)], **EMPTY)
    return BeautifulSoup((tmp_path / "x.html").read_text(encoding="utf-8"), "html.parser").find(id="x")


def png_of(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def shown(data, **metadata):
    """A code cell that displayed something."""
    return new_code_cell("show()", outputs=[new_output("display_data", data, metadata=metadata)])


def test_the_same_inputs_give_the_same_bytes(page, arguments, tmp_path):
    write_page(tmp_path / "again.html", **arguments)
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()
    assert [path.name for path in page.parent.iterdir()] == ["index.html"]


def test_text_from_data_comes_out_escaped(page, soup):
    text = page.read_text(encoding="utf-8")
    assert soup.find("script") is None
    assert "<script" not in text.lower()
    where = [soup.find(id=name).get_text() for name in ("headline", "claims", "provenance")]
    where.append(soup.find("table", class_="dataframe").get_text())
    assert all(HOSTILE in each for each in where)


def test_nothing_has_to_be_loaded(soup):
    sources = [tag["src"] for tag in soup.find_all(src=True)]
    assert len(sources) == 2
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert [tag["href"] for tag in soup.find_all("link")] == ["data:,"]
    assert "url(" not in soup.find("style").string
    assert "@import" not in soup.find("style").string


def test_headings_follow_each_other_without_a_gap(soup):
    levels = [(int(tag.name[1]), tag.get_text(strip=True)) for tag in soup.find_all(re.compile("^h[1-6]$"))]
    assert levels == [
        (1, "Four attributes & one photograph"),
        (2, "02_audit"),
        (3, "Who judged"),
        (3, "Who judged"),
        (2, "05 · Are the attributes independent?"),
        (3, "What it shows"),
        (4, "Too deep a heading"),
        (2, "The numbers"),
        (2, "What was printed, what we find"),
        (2, "Provenance"),
    ]


def test_contents_and_links_between_notebooks_lead_somewhere(soup):
    ids = [tag["id"] for tag in soup.find_all(id=True)]
    assert len(ids) == len(set(ids))
    inside = {a["href"][1:]: a.get_text(strip=True) for a in soup.find_all("a") if a["href"].startswith("#")}
    assert set(inside) <= set(ids)
    assert inside["02_audit"] == "the audit"
    assert inside["05_orthogonality--what-it-shows"] == "below"
    assert inside["02_audit--who-judged-2"] == "Who judged"
    assert soup.find("a", string="Open in Colab")["href"] == "https://colab.research.google.com/x"
    assert "a file" in soup.get_text()
    assert soup.find("a", string="a file") is None


def test_code_is_behind_folds_and_results_are_not(soup):
    folds = soup.find_all("details", class_="code")
    assert [fold.find("summary").get_text() for fold in folds] == ["Code"] * 6
    assert all(not fold.has_attr("open") for fold in folds)
    assert "SEED = 2" in folds[0].get_text()
    assert "import matplotlib" in folds[0].get_text()
    assert soup.find("details", class_="log").find("pre").get_text().strip() == "to stderr"
    for fold in folds:
        assert fold.find("img") is None
    assert soup.find("strong", string="+.035").find_parent("details") is None
    assert soup.find(string="to stdout").find_parent("details") is None


def test_figures_keep_caption_alternative_text_and_size(soup):
    figure = soup.find("figure", class_="swatch-figure")
    image = figure.find("img")
    assert (image["alt"], image["width"], image["height"]) == ("A rising line", "900", "200")
    assert figure.find("figcaption").get_text() == "A line, n = 2."
    assert image.find_parent("div", class_="scroll")["aria-label"] == "A line, n = 2."
    assert soup.find_all("img")[1]["alt"] == "A line from the inline backend"


def test_tables_have_scopes_and_numbers_stand_right(soup):
    table = soup.find("table", class_="dataframe")
    assert [cell.get("scope") for cell in table.find_all("th")] == ["col", "col", "col", "row", "row"]
    first_row = table.find("tbody").find("tr").find_all(["th", "td"])
    assert ["num" in cell.get("class", []) for cell in first_row] == [True, False, True, False]
    assert table.parent["role"] == "region"
    markdown = soup.find(id="05_orthogonality").find("table")
    assert ["num" in cell.get("class", []) for cell in markdown.find_all("td")] == [False, True]


def test_the_headline_shows_each_value_as_given(soup):
    rows = [
        [cell.get_text(" ", strip=True) for cell in row.find_all(["th", "td"])]
        for row in soup.find(id="headline").find_all("tr")
    ]
    assert rows[0] == ["What", "Verdict", "Published", "Ours", "Interval", "n"]
    assert rows[1] == ["Macro-F1 of colour", "✓ reproduced", ".744", "0.744", ".72 to .77", "3,760"]
    assert rows[2][1:] == ["✗ does not hold", "+.035", "–", "", "–"]
    assert rows[3][1::4] == ["≈ inconclusive", "29"]


def test_claims_say_what_was_printed_and_what_is_found(soup):
    first, second = soup.find(id="claims").find_all("li")
    assert first.get_text(" ", strip=True).split() == (
        f"Printed, README Perfect precision. ✗ does not hold We find Not for {HOSTILE}.".split()
    )
    assert second.get_text(" ", strip=True).split() == f"Printed {HOSTILE} We find No.".split()


def test_the_date_and_the_profile_are_in_the_masthead(soup):
    facts = soup.find("dl", class_="facts").get_text(" ", strip=True).split()
    assert facts == ["Date", "2026-01-01", "Profile", "published", "Commit", "0123abc000"]


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("reproduced", "good"),
        ("Reproduced, and inflated", "good"),
        ("not reproduced", "bad"),
        ("does not hold", "bad"),
        ("holds", "good"),
        ("holds in part", "mixed"),
        ("differs", "bad"),
        ("holds, as far as it goes", "good"),
        ("holdsome", "plain"),
        ("not in the exports", "plain"),
        ("not estimable", "mixed"),
        ("unresolved", "mixed"),
        ("different but within", "mixed"),
        ("", "plain"),
    ],
)
def test_a_verdicts_first_words_set_its_tone(verdict, expected):
    assert tone(verdict) == expected


@pytest.mark.parametrize(
    "html",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg onload=alert(1)></svg>",
        "<svg><style><img src=x onerror=alert(1)></style></svg>",
        "<iframe src='https://example.org'></iframe>",
        "<a href='javascript:alert(1)' onclick='alert(1)'>x</a>",
        "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
        "<img src='https://example.org/x.png' alt='x'>",
        "<img src='data:text/html;base64,AAAA' alt='x'>",
        "<base href='https://example.org'><meta http-equiv='refresh' content='0;url=https://example.org'>",
        "<link rel='stylesheet' href='https://example.org/x.css'><style>body{display:none}</style>",
        "<form action='https://example.org'><input name=a><button>go</button></form>",
        "<object data='x.swf'></object><embed src='x.swf'><video src='x.mp4'></video>",
        "<p style='background:url(https://example.org)' id='main'>x</p>",
        "<!--><script>alert(1)</script>-->",
        "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
        "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    ],
)
def test_hostile_outputs_are_disarmed(tmp_path, html):
    section = chapter(tmp_path, shown({"text/html": html}), new_markdown_cell(html))
    assert not section.find_all(
        [
            "script",
            "svg",
            "iframe",
            "base",
            "meta",
            "link",
            "style",
            "form",
            "input",
            "object",
            "embed",
            "video",
        ]
    )
    for tag in section.find_all(True):
        assert not [
            name for name in tag.attrs if name.startswith("on") or name in {"style", "data", "action"}
        ]
        assert tag.get("src", "data:image/").startswith("data:image/")
        assert tag.get("href", "https://").startswith(("https://", "http://", "mailto:", "#"))
        assert tag.get("id", "x") == "x"


def test_widgets_and_scripts_are_left_out_and_progress_keeps_its_last_state(tmp_path):
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "0%|   |"}
    progress = new_output("stream", name="stdout", text="\r 0 of 2\r 1 of 2\r 2 of 2\ndone\n")
    section = chapter(
        tmp_path,
        shown(widget),
        shown({"application/javascript": "alert(1)"}),
        new_code_cell("run()", outputs=[progress]),
    )
    assert section.find("div", class_="stream").get_text() == " 2 of 2\ndone"
    assert "0%" not in section.get_text()
    assert "alert" not in section.get_text()


def test_a_section_that_a_run_had_nothing_for_is_left_out(tmp_path):
    section = chapter(
        tmp_path,
        new_markdown_cell("# Title"),
        new_code_cell("import nothing"),
        new_markdown_cell("## Two annotators\n\nWhether they agree."),
        new_code_cell("agreement() if annotators > 1 else None"),
        new_markdown_cell("**What it shows:** agreement."),
        new_markdown_cell("## Judged\n\nHow many."),
        shown({"text/plain": "210"}),
        new_markdown_cell("## Findings\n\n- One."),
    )
    assert [h.get_text() for h in section.find_all("h3")] == ["Judged", "Findings"]
    assert "agreement" not in section.get_text()


def test_an_image_without_words_is_named_after_its_section(tmp_path):
    png = png_of(Image.new("RGB", (256, 128), "red"))
    section = chapter(tmp_path, new_markdown_cell("# Title\n\n## Findings"), shown({"image/png": png}))
    image = section.find("img")
    assert image["alt"] == "Figure in the section Findings"
    assert (image["width"], image["height"]) == ("256", "128")
    assert image.find_parent("div", class_="scroll") is None


def test_a_picture_is_embedded_once_and_in_few_bytes(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (300, 700, 3), np.uint8)
    drawing, photograph = Image.effect_noise((700, 300), 60).convert("RGB"), Image.fromarray(noise)
    pictures = [png_of(drawing), png_of(photograph), png_of(drawing)]
    outputs = [shown({"image/png": data}, alt="Noise") for data in pictures]
    section = chapter(tmp_path, outputs[0], outputs[1], new_markdown_cell("## Two"), outputs[2])
    images = section.find_all("img")
    assert [image["alt"] for image in images] == ["Noise", "Noise"]
    assert section.find("a")["href"] == f"#{images[0]['id']}"
    assert section.find("a").get_text() == "The figure is shown above"
    embedded = [Image.open(io.BytesIO(base64.b64decode(i["src"].partition("base64,")[2]))) for i in images]
    assert [(each.format, each.mode) for each in embedded] == [("PNG", "P"), ("WEBP", "RGB")]
    assert [each.size for each in embedded] == [(700, 300)] * 2
    assert all(len(image["src"]) < 0.7 * len(data) for image, data in zip(images, pictures, strict=False))


def test_wide_pictures_are_reduced_where_a_width_is_given_and_others_are_not(tmp_path):
    wide, narrow = (png_of(Image.effect_noise((w, 300), 60).convert("RGB")) for w in (1500, 600))
    nbformat.write(
        new_notebook(cells=[shown({"image/png": wide}, alt="a"), shown({"image/png": narrow}, alt="b")]),
        tmp_path / "x.ipynb",
    )
    given = {"title": "t", "lead": "", "notebooks": [("x", tmp_path / "x.ipynb")], "provenance": {}}
    write_page(tmp_path / "x.html", **given, picture_width=700)
    soup = BeautifulSoup((tmp_path / "x.html").read_text(encoding="utf-8"), "html.parser")
    assert [(i["width"], i["height"]) for i in soup.find_all("img")] == [("700", "140"), ("600", "300")]
    first, second = (
        Image.open(io.BytesIO(base64.b64decode(i["src"].partition("base64,")[2]))) for i in soup("img")
    )
    assert (first.format, first.size, second.size) == ("AVIF", (700, 140), (600, 300))
    assert soup.find(id="headline") is None and soup.find(id="claims") is None


def test_a_palette_keeps_the_colours_of_a_drawing_as_they_were():
    colours = [(255, 255, 255), (34, 33, 31), (1, 115, 178), (222, 143, 5), (122, 78, 45), (125, 78, 45)]
    rows = np.arange(250)[:, None]
    common, rare = (np.stack([rows, rows, np.full_like(rows, blue)], axis=2) for blue in (100, 101))
    shades = np.concatenate([np.repeat(common, 119, axis=1), rare], axis=1)  # 250 frequent, 250 rare ones
    patches = np.repeat(np.array(colours), 20, axis=0)[None].repeat(10, axis=0)
    drawing = np.concatenate([patches, shades]).astype(np.uint8)
    reduced = with_palette(np.asarray(Image.fromarray(drawing).convert("RGBA")))
    assert len(reduced.getcolors()) == 256
    exact = np.asarray(reduced.convert("RGB"), int)
    assert np.array_equal(exact[:10], patches)
    assert np.abs(exact - drawing).max() == 1
    assert with_palette(np.random.default_rng(0).integers(0, 256, (150, 150, 4), np.uint8)) is None
    assert with_palette(np.full((4, 5, 4), 255, np.uint8)).getcolors() == [(20, 0)]


@pytest.fixture(scope="module")
def folded(arguments, tmp_path_factory):
    """The same report with findings and a figure on its first screen."""
    folder = tmp_path_factory.mktemp("folded")
    Image.new("RGB", (900, 300), "white").save(folder / "truth.png")
    (folder / "truth.txt").write_text("Most labels are right.\n", encoding="utf-8")
    findings = [
        "**93 %** of the labels are right.",
        "See [the audit](02_audit.ipynb), [the claims](#claims) & <script>alert(1)</script>",
    ]
    write_page(folder / "index.html", **arguments, findings=findings, figure=folder / "truth")
    return folder / "index.html"


def test_findings_and_one_figure_come_first_and_all_else_is_folded(folded):
    soup = BeautifulSoup(folded.read_text(encoding="utf-8"), "html.parser")
    first, *rest = soup.find("main").find_all("section", recursive=False)
    assert first["id"] == "findings"
    assert first.find("li").find("strong").get_text() == "93 %"
    assert [a["href"] for a in first.find_all("a")] == ["#02_audit", "#claims"]
    assert first.find("img")["alt"] == "Most labels are right."
    assert first.find("details") is None
    assert soup.find("script") is None
    assert [section["id"] for section in rest] == [
        "02_audit", "05_orthogonality", "headline", "claims", "provenance",
    ]  # fmt: skip
    for section in rest:
        (fold,) = section.find_all("details", recursive=False)
        assert not fold.has_attr("open")
        assert fold.find("summary").find("h2").get_text()
    gists = {each.find_parent("section")["id"]: each.get_text() for each in soup.find_all(class_="gist")}
    assert gists.pop("provenance")
    assert gists == {
        "headline": "3 rows: reproduced (1), does not hold (1), inconclusive (1).",
        "claims": "2 entries: does not hold (1).",
        "05_orthogonality": "Whether heads <couple> attributes.",
    }
    contents = [a["href"] for a in soup.find("nav").find_all("a")]
    assert [anchor for anchor in contents if "--" not in anchor] == [
        "#findings", "#02_audit", "#05_orthogonality", "#headline", "#claims", "#provenance",
    ]  # fmt: skip


@pytest.mark.browser
@pytest.mark.parametrize("width", [375, 1280])
def test_a_folded_page_is_whole_and_its_main_line_short(folded, width):
    assert check_page(folded, width) == []
    with open_page(folded, width, []) as view:
        assert view.evaluate("document.documentElement.scrollHeight") < 6 * 900


@pytest.mark.browser
def test_a_link_into_a_fold_opens_it_and_one_box_shows_all(folded):
    target = "#05_orthogonality--what-it-shows"
    with open_page(folded, 1280, []) as view:
        shown = "id => document.getElementById(id).checkVisibility({contentVisibilityAuto: true})"
        assert not view.evaluate(shown, target[1:])
        view.locator(f"nav.beside a[href='{target}']").click()
        assert view.evaluate(shown, target[1:])
        assert not view.evaluate(shown, "02_audit--who-judged")
        view.locator(".unfold input").check()
        assert view.evaluate(shown, "02_audit--who-judged")
        view.locator(".unfold input").uncheck()
        assert not view.evaluate(shown, "02_audit--who-judged")
        view.emulate_media(media="print")
        view.wait_for_function(shown, arg="02_audit--who-judged")  # else a TimeoutError: a busy page lags


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"figure": "nowhere"}, "'nowhere.png' does not exist"),
        ({"claims": pd.DataFrame({"printed": ["x"]})}, "claims: no column 'sentence'; received printed"),
        ({"headline": pd.DataFrame()}, "headline: a table without columns"),
        ({"notebooks": [("a", "nowhere.ipynb")]}, "the executed copy of 'a' is not at 'nowhere.ipynb'"),
        (
            {"notebooks": [("a b", "x"), ("A-b", "x")]},
            "every section needs a name of its own; received a b, A-b",
        ),
        ({"notebooks": [("claims", "x")]}, "every section needs a name of its own"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(arguments, tmp_path, change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        write_page(tmp_path / "out" / "index.html", **{**arguments, **change})
    assert not (tmp_path / "out").exists()


@pytest.mark.browser
@pytest.mark.parametrize("width", [375, 1280])
def test_the_page_is_whole_in_a_browser_without_a_network(page, width):
    assert check_page(page, width) == []


@pytest.mark.browser
def test_contents_stand_beside_the_text_or_fold_above_it(page):
    for width, beside in ((375, False), (1280, True)):
        with open_page(page, width, []) as view:
            assert view.locator("nav.beside").is_visible() == beside
            assert view.locator("details.folded").is_visible() != beside
            figure = view.locator("figure .scroll").first.bounding_box()
            assert figure["x"] + figure["width"] <= width


@pytest.mark.browser
def test_a_faulty_page_is_found_faulty(tmp_path):
    body = """<!DOCTYPE html><title>x</title><h1>One</h1><h3 id="a">Three</h3><p id="a">x</p>
    <img src="data:image/png;base64,AAAA" alt="broken"><img src="https://example.org/x.png" alt="">
    <p style="color:#aaa">pale</p><p style="font-size:11px">tiny</p><div style="width:2000px">wide</div>
    <a href="#nowhere">dead</a><details><summary onclick="return false">Stuck</summary>x</details>
    <script>console.error("said aloud"); undefined_function()</script>"""
    (tmp_path / "bad.html").write_text(body)
    problems = "\n".join(check_page(tmp_path / "bad.html", 375))
    for expected in (
        "request failed: https://example.org/x.png",
        "console error: said aloud",
        "script error: undefined_function is not defined",
        "the page scrolls sideways",
        "image not shown: broken",
        "image without alternative text",
        "id twice: a",
        "link to nowhere #nowhere",
        "no table of contents",
        "no language",
        "heading out of order after h1: <h3> Three",
        "text of 11px: <p> tiny",
        "contrast 2.32: <p> pale",
        "fold does not open: Stuck",
    ):
        assert expected in problems, problems
