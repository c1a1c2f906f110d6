"""What is written about the project is true of it: links lead somewhere, trees are today's, copies are not stale."""

import re
import sys
from html import unescape

import nbformat
import pytest

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
from badges import TAG, address_in, with_address
from notebooks import INJECTED, LIMIT, cells_hash, publish

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COPIES = sorted((ROOT / "docs" / "notebooks").rglob("*.html"))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_of_a_page_lead_to_files_that_are_there(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    dead = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert dead == []


def test_the_tree_of_the_contributors_page_is_todays():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tree = re.search(r"```\n(notebooks/ .*?)```", text, re.DOTALL)[1]
    named = set()
    for line in tree.splitlines():
        inside = re.match(r"( {0,2})(\S.*?)(?: {2,}|$)", line)
        if inside:
            folder = "src/swatchbook/" if inside[1] else ""
            named |= {folder + name.rstrip("/") for name in inside[2].split(", ")}
    assert [name for name in named if not (ROOT / name).exists()] == []
    kept = {p for p in (ROOT / "src" / "swatchbook").iterdir() if not p.name.startswith("_")}
    assert {str(p.relative_to(ROOT)) for p in kept} <= named


def test_the_first_page_is_short_and_shows_the_way_and_a_result():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(re.sub(r"\]\([^)]*\)", "]", text).split()) < 900
    assert re.findall(r"!\[[^]]+\]\(([^)]+)\)", text) == ["docs/way.svg", "figures/published/truth.png"]


@pytest.mark.parametrize("copy", COPIES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_published_copy_is_small_and_its_notebook_has_not_changed_since(copy):
    page = copy.read_text(encoding="utf-8")
    assert copy.stat().st_size < LIMIT
    assert "<script" not in page
    source = nbformat.read(ROOT / "notebooks" / f"{copy.stem}.ipynb", as_version=4)
    stale = f"{copy.name} shows another state of the notebook; run the profile, then make notebooks"
    assert cells_hash(source) in unescape(page), stale
    assert not re.search(r"/(home|root|tmp|work|Users)/", re.sub(r"base64,[^\"]*", "", page))


def test_copies_of_the_demo_and_the_published_study_are_there():
    names = {f"{path.parent.name}/{path.stem[:2]}" for path in COPIES}
    assert names >= {
        *(f"demo/0{k}" for k in range(1, 7)),
        *(f"published/0{k}" for k in (2, 4, 5)),
    }


def test_publishing_leaves_out_what_the_machine_put_in(tmp_path):
    (tmp_path / "run" / "notebooks").mkdir(parents=True)
    (tmp_path / "run" / "config.json").write_text('{"commit": "abc", "settings": {"profile": "demo"}}')
    cells = [
        nbformat.v4.new_markdown_cell("# Title"),
        nbformat.v4.new_code_cell("RUN_DIR = '/home/someone'", metadata={"tags": [INJECTED]}),
        nbformat.v4.new_code_cell("1 + 1"),
    ]
    about = {"swatchbook": {"summary": "A sum."}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=about)
    nbformat.write(notebook, tmp_path / "run" / "notebooks" / "01_sum.ipynb")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "99_gone.html").touch()
    assert publish(tmp_path / "run", tmp_path / "out") == [tmp_path / "out" / "01_sum.html"]
    page = (tmp_path / "out" / "01_sum.html").read_text(encoding="utf-8")
    assert "someone" not in page and "A sum." in page and "99_gone.html" not in str(list(tmp_path.rglob("*")))
    without = nbformat.v4.new_notebook(cells=[cells[0], nbformat.v4.new_code_cell("1 + 1")])
    assert cells_hash(notebook) == cells_hash(without) and cells_hash(without) in page
    without.cells[1].source = "1 + 2"
    assert cells_hash(notebook) != cells_hash(without)
    with pytest.raises(ValueError, match="no executed notebook"):
        publish(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_has_badges_and_clones_where_the_projects_address_is_known(path):
    source = nbformat.read(path, as_version=4)
    known = with_address(nbformat.from_dict(source), path.name, address_in(ROOT / "pyproject.toml"))
    assert known == nbformat.read(path, as_version=4), "run: python scripts/badges.py"
    there = with_address(nbformat.from_dict(source), path.name, "https://github.com/some-one/swatches.git")
    title, badges, *_ = there.cells
    assert title.source.startswith("# ") and badges.metadata["tags"] == [TAG]
    assert (
        f"(https://colab.research.google.com/github/some-one/swatches/blob/HEAD/notebooks/{path.name})"
        in (badges.source)
    )
    assert f"some-one/swatches/HEAD?labpath=notebooks%2F{path.name})" in badges.source
    first = next(cell.source for cell in there.cells if cell.cell_type == "code")
    assert '"https://github.com/some-one/swatches", "/content/swatchbook"' in first
    compile(first, "cell", "exec")
    assert with_address(there, path.name, None) == nbformat.read(path, as_version=4)


def test_an_address_that_no_badge_can_open_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must be https://github\.com/OWNER/NAME"):
        with_address(nbformat.v4.new_notebook(), "01_x.ipynb", "https://example.org/swatches")
    (tmp_path / "pyproject.toml").write_text('[project]\n[project.urls]\nRepository = ""\n')
    assert address_in(tmp_path / "pyproject.toml") is None


def test_every_fault_of_the_plan_has_a_row_and_every_row_a_test_that_is_there():
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (\d+) \|", page, re.MULTILINE) == [str(n) for n in range(1, 35)]
    rows = re.findall(r"^\| (?!# |fault ).*", page, re.MULTILINE)
    assert [row for row in rows if "::" not in row] == []
    missing = []
    for module, name in re.findall(r"`([\w/]*test_\w+)::(test_\w+)`", page):
        text = (ROOT / "tests" / f"{module}.py").read_text(encoding="utf-8")
        if not re.search(rf"^def {name}\(", text, re.MULTILINE):
            missing.append(f"{module}::{name}")
    assert missing == []
