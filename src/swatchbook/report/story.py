"""An executed notebook as a section of a page: prose, figures and tables first, code behind a fold.

Nbconvert's filters turn Markdown, code and terminal text into HTML; this module puts the cells in a
reader's order, gives headings, tables and images what a page needs (levels, anchors, captions, scopes,
sizes), and lets nothing through that could run or load.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

import bleach
import nbformat
from bs4 import BeautifulSoup, Comment, Tag
from markupsafe import Markup
from nbconvert.filters import Highlight2HTML, ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

WIDE = 640  # CSS pixels; a figure at least this wide scrolls on a narrow screen instead of shrinking
SHORT = 24  # characters; a column whose texts are no longer stays on one line
IMAGES = ("image/png", "image/jpeg", "image/svg+xml", "image/gif", "image/webp")
WIDGET = "application/vnd.jupyter.widget-view+json"
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_TAG_NAMES = (
    "a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure h2 h3 h4"
    " h5 h6 hr i img kbd li mark ol p pre s small span strong sub summary sup table tbody td tfoot th thead"
    " tr ul"
)
TAGS = frozenset(_TAG_NAMES.split())
_NUMBER = re.compile(
    r"[-+−]?[\d\s,.]+( ?(%|pp|s|ms|MB|GB))?|[-+−]?\.\d+|[-+−]?\d[\d.]*e[-+]?\d+|nan|NaN|–|-|"
)


@dataclass(frozen=True)
class Heading:
    """A line of the table of contents: a level from 2, an anchor, and the words."""

    level: int
    anchor: str
    text: str


@dataclass(frozen=True)
class Story:
    """One notebook as a section.

    Attributes:
        anchor: Id of the section.
        headings: The first is the section's own (level 2); levels never skip.
        html: Safe HTML, headings included.
    """

    anchor: str
    headings: tuple[Heading, ...]
    html: Markup


def slug(text: str) -> str:
    """Lower-case words joined by hyphens, fit for an anchor."""
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-") or "section"


def tell(name: str, notebook: Path, anchors: dict[str, str] | None = None) -> Story:
    """Turn an executed notebook into a section of a page.

    Args:
        name: What the notebook is called; its section's title unless its first cell has one (``# …``).
        notebook: The executed copy.
        anchors: Names of all notebooks on the page → their anchors, so that links between them stay whole.

    Returns:
        The section. Its HTML holds no script, no style, no event handler and nothing that loads from
        elsewhere: images are data URIs, and an image that is not becomes its alternative text.
    """
    source = nbformat.read(notebook, as_version=4)
    soup = BeautifulSoup("\n".join(_blocks(source)), "html.parser")
    anchor = slug(name)
    for junk in [*soup.find_all("style"), *soup.find_all(string=lambda text: isinstance(text, Comment))]:
        junk.extract()
    for tag in soup.find_all(True):
        _plain(tag)
    headings = _set_headings(soup, name, anchor)
    _set_links(soup, {**(anchors or {}), name: anchor}, headings)
    _set_images(soup)
    _set_tables(soup)
    return Story(anchor, headings, _safe(str(soup)))


def _blocks(notebook: NotebookNode) -> Iterator[str]:
    """HTML block by block; code gathers until there is something to show, and folds beneath it."""
    code: list[NotebookNode] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            yield from _fold(code)
            code = []
            yield f'<div class="prose">{_markdown(cell.source, cell.get("attachments"))}</div>'
        elif cell.cell_type == "code" and cell.source.strip():
            code.append(cell)
            shown = [block for output in cell.outputs if (block := _output(output, cell))]
            if shown:
                yield from shown
                yield from _fold(code)
                code = []
    yield from _fold(code)


def _fold(cells: list[NotebookNode]) -> Iterator[str]:
    if not cells:
        return
    highlight = Highlight2HTML()
    tagged = all({"parameters", "injected-parameters"} & set(cell.metadata.get("tags", [])) for cell in cells)
    body = "".join(highlight(cell.source.strip("\n")) for cell in cells)
    yield f'<details class="code"><summary>{"Parameters" if tagged else "Code"}</summary>{body}</details>'


def _markdown(text: str, attachments: dict | None = None) -> str:
    renderer = IPythonRenderer(escape=False, exclude_anchor_links=True, attachments=attachments)
    return MarkdownWithMath(renderer=renderer).render(text)


def _output(output: NotebookNode, cell: NotebookNode) -> str:
    """One output as HTML; empty if a page has no place for it (a widget, a script)."""
    if output.output_type == "stream":
        text = "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in output.text.split("\n")).strip(
            "\n"
        )
        if not text.strip():
            return ""
        body = f"<pre>{ansi2html(text)}</pre>"
        if output.name == "stderr":
            return f'<details class="log"><summary>Messages</summary>{body}</details>'
        return f'<div class="stream scroll" role="region" aria-label="Output" tabindex="0">{body}</div>'
    if output.output_type == "error":
        return f'<div class="error"><pre>{ansi2html(chr(10).join(output.traceback))}</pre></div>'
    data = output.data
    if WIDGET in data:
        return ""
    if "text/html" in data:
        return f'<div class="shown">{data["text/html"]}</div>'
    if "text/markdown" in data:
        return f'<div class="prose">{_markdown(data["text/markdown"])}</div>'
    for kind in IMAGES:
        if kind in data:
            return _image(kind, data[kind], output.metadata, cell.metadata)
    if "text/plain" in data:
        body = f"<pre>{ansi2html(data['text/plain'])}</pre>"
        return f'<div class="stream scroll" role="region" aria-label="Output" tabindex="0">{body}</div>'
    return ""


def _image(kind: str, data: str, metadata: NotebookNode, cell: NotebookNode) -> str:
    alt = metadata.get(kind, {}).get("alt") or metadata.get("alt") or cell.get("alt") or ""
    if kind == "image/svg+xml":
        data = base64.b64encode(data.encode()).decode()
    data = "".join(data.split())
    return f'<figure><img src="data:{kind};base64,{data}" alt="{escape(alt)}"></figure>'


def _plain(tag: Tag) -> None:
    """Take away what would clash or style; alignment in a style attribute becomes a class."""
    style = tag.attrs.pop("style", "")
    if re.search(r"text-align:\s*right", style):
        tag["class"] = [*tag.get("class", []), "num"]
    tag.attrs.pop("id", None)


def _set_headings(soup: BeautifulSoup, name: str, anchor: str) -> tuple[Heading, ...]:
    """A title in the first cell is the section's, else its name is; the rest lie below without a gap."""
    found = soup.find_all(HEADINGS)
    first = soup.find(True)
    if found and found[0].name == "h1" and first.find("h1") is found[0]:
        title = found.pop(0).extract()  # a badge may stand above it
    else:
        title = soup.new_tag("h2")
        title.string = name
    soup.insert(0, title)
    found = [title, *found]
    headings: list[Heading] = []
    used: set[str] = set()
    for tag in found:
        level = 2
        if headings:
            level = min(max(3, int(tag.name[1]) + 1), headings[-1].level + 1, 6)
        base = anchor if not headings else f"{anchor}--{slug(tag.get_text())}"
        unique, again = base, 2
        while unique in used:
            unique, again = f"{base}-{again}", again + 1
        used.add(unique)
        tag.name = f"h{level}"
        tag["id"] = unique
        headings.append(Heading(level, unique, tag.get_text().strip()))
    return tuple(headings)


def _set_links(soup: BeautifulSoup, anchors: dict[str, str], headings: tuple[Heading, ...]) -> None:
    """Links inside the page find their heading, links to the web stay, links to files become plain text."""
    own = {slug(heading.text): heading.anchor for heading in headings}
    for link in soup.find_all("a"):
        target = str(link.get("href", ""))
        link.attrs = {}
        path, _, fragment = target.partition("#")
        other = Path(path).stem
        if target.startswith(("https://", "http://", "mailto:")):
            link["href"] = target
            link["rel"] = "noreferrer"
        elif not path and slug(fragment) in own:
            link["href"] = f"#{own[slug(fragment)]}"
        elif path.endswith(".ipynb") and other in anchors:
            link["href"] = f"#{anchors[other]}"
        else:
            link.unwrap()


def _set_images(soup: BeautifulSoup) -> None:
    heading = ""
    for tag in soup.find_all([*HEADINGS, "img"]):
        if tag.name != "img":
            heading = tag.get_text().strip()
            continue
        source, alt = str(tag.get("src", "")), str(tag.get("alt", "")).strip()
        if not source.startswith(tuple(f"data:{kind}" for kind in IMAGES)):
            tag.replace_with(alt)
            continue
        figure = tag.find_parent("figure")
        caption = figure.find("figcaption") if figure is not None else None
        if not alt:
            alt = caption.get_text().strip() if caption is not None else ""
        tag.attrs = {"src": source, "alt": alt or f"Figure in the section {heading}"}
        if size := _png_size(source):
            tag["width"], tag["height"] = map(str, size)
        if size and size[0] < WIDE:
            tag["class"] = ["small"]
        else:
            box = soup.new_tag("div", attrs={"class": "scroll", "role": "region", "tabindex": "0"})
            box["aria-label"] = caption.get_text().strip() if caption is not None else "Figure"
            tag.wrap(box)


def _png_size(source: str) -> tuple[int, int] | None:
    """Width and height in pixels, read from a PNG's header; None for anything else."""
    kind, _, data = source.partition(";base64,")
    if kind != "data:image/png":
        return None
    try:
        head = base64.b64decode(data[:64])
    except binascii.Error:
        return None
    if head[:8] != b"\x89PNG\r\n\x1a\n":
        return None
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def _set_tables(soup: BeautifulSoup) -> None:
    for table in soup.find_all("table"):
        table.attrs = {"class": table.get("class", [])}
        _set_scopes(soup, table)
        _set_columns(table)
        caption = table.find("caption")
        box = soup.new_tag("div", attrs={"class": "scroll table", "role": "region", "tabindex": "0"})
        box["aria-label"] = caption.get_text().strip() if caption is not None else "Table"
        table.wrap(box)


def _set_scopes(soup: BeautifulSoup, table: Tag) -> None:
    for cell in table.find_all("th"):
        if not cell.get_text().strip():
            cell.name = "td"  # a header that says nothing heads nothing
        elif cell.find_parent("thead") is not None:
            cell["scope"] = "colgroup" if int(cell.get("colspan", 1)) > 1 else "col"
        else:
            cell["scope"] = "rowgroup" if int(cell.get("rowspan", 1)) > 1 else "row"


def _set_columns(table: Tag) -> None:
    """Columns of numbers stand right, short ones do not wrap; spanning cells leave columns uncounted."""
    rows = [row.find_all(["td", "th"]) for row in table.find_all("tr")]
    if any(cell.has_attr("colspan") or cell.has_attr("rowspan") for row in rows for cell in row):
        return
    body = [row.find_all(["td", "th"]) for row in table.find_all("tr") if row.find_parent("thead") is None]
    for k in range(max(map(len, body), default=0)):
        texts = [row[k].get_text().strip() for row in body if k < len(row)]
        numbers = any(texts) and all(_NUMBER.fullmatch(text) for text in texts if text)
        looks = ["num"] if numbers else ["short"] if max(map(len, texts)) <= SHORT else []
        for row in rows:
            if looks and k < len(row):
                row[k]["class"] = sorted({*row[k].get("class", []), *looks})


def _allowed(tag: str, name: str, value: str) -> bool:
    if name in {"class", "id", "role", "tabindex", "aria-label", "title", "lang"}:
        return True
    if name == "src":
        return tag == "img" and value.startswith("data:image/")
    if name in {"alt", "width", "height"}:
        return tag == "img"
    if name in {"scope", "colspan", "rowspan"}:
        return tag in {"td", "th"}
    return (tag, name) in {("a", "href"), ("a", "rel"), ("ol", "start"), ("col", "span")}


def _safe(html: str) -> Markup:
    """Escape every tag and drop every attribute that is not on the list."""
    protocols = {"http", "https", "mailto", "data"}
    return Markup(bleach.clean(html, tags=TAGS, attributes=_allowed, protocols=protocols))
