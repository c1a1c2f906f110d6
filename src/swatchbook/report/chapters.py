"""Executed notebooks as chapters of a page: a preprocessor of nbconvert leaves nothing to run or to load."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import bleach
from bs4 import BeautifulSoup, Comment, Tag
from markupsafe import Markup
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode
from traitlets import Bool, Instance, List, Set, Unicode

from swatchbook.report.pictures import Pictures

WIDE = 640  # CSS pixels; a picture at least this wide scrolls on a narrow screen instead of shrinking
LONG = 24  # letters; a cell of a table with more of them breaks into lines
MARKS = {"good": "✓", "bad": "✗", "mixed": "≈", "plain": "•"}  # of a verdict, before its words
ANCHORS = {"main", "findings", "headline", "claims", "provenance"}  # of the page's own sections
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
PICTURES = ("image/png", "image/jpeg", "image/svg+xml", "image/gif", "image/webp")
ACTIVE = {"application/vnd.jupyter.widget-view+json", "application/javascript"}
_REMOVED = ["script", "style", "noscript", "template", "iframe", "object", "embed", "form", "svg", "math"]
_TAG_NAMES = (
    "a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure h2 h3 h4"
    " h5 h6 hr i img kbd li mark ol p pre s small span strong sub summary sup table tbody td tfoot th thead"
    " tr ul"
)
_TAGS = frozenset(_TAG_NAMES.split())
_ATTRIBUTES = {
    "*": ["class", "id", "role", "tabindex", "aria-label", "title", "lang"],
    "a": ["href", "rel"],
    "img": ["src", "alt", "width", "height"],
    "td": ["scope", "colspan", "rowspan"],
    "th": ["scope", "colspan", "rowspan"],
    "ol": ["start"],
    "col": ["span"],
}
_NUMBER = re.compile(
    r"[-+−]?[\d\s,.]+( ?(%|pp|s|ms|MB|GB))?( to [-+−]?[\d,.]+)?|[-+−]?\.\d+|[-+−]?\d[\d.]*e[-+]?\d+|nan|–|-"
)


class Heading(NamedTuple):
    """A line of the table of contents: a level from 2, an anchor, and the words."""

    level: int
    anchor: str
    text: str


class Chapter(NamedTuple):
    """One notebook: title, summary, headings below, and cells; texts and outputs are harmless HTML."""

    title: Heading
    summary: str
    headings: Sequence[Heading]
    cells: Sequence[NotebookNode]


def slug(text: str) -> str:
    """Lower-case words joined by hyphens, fit for an anchor."""
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-") or "section"


def markdown(text: str, attachments: dict | None = None) -> str:
    """Markdown as HTML, in which tags of the text stay what they are."""
    renderer = IPythonRenderer(escape=False, exclude_anchor_links=True, attachments=attachments)
    return MarkdownWithMath(renderer=renderer).render(text)


class Chapters(Preprocessor):
    """Puts a list of `Chapter` into ``resources["chapters"]``.

    Each cell says in ``metadata["chapter"]`` which chapter it is of. A section whose code shows nothing
    is left out: the run had nothing for it. A title in the first cell
    of a chapter is its heading, else its name is. Links between notebooks and to headings lead to places of
    the page, others to files become plain text. Scripts, styles, widgets and pictures from elsewhere go.

    Attributes:
        names: The notebooks of the page, in its order.
        pictures: Takes their pictures.
    """

    enabled = Bool(True)
    names = List(Unicode())
    pictures = Instance(Pictures)
    _anchors = Set(Unicode())  # of the pictures that are shown

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Turn cells into chapters; called by the exporter."""
        resources["chapters"] = [
            self._chapter(
                name, nb.metadata["summaries"][name], [c for c in nb.cells if c.metadata["chapter"] == name]
            )
            for name in self.names
        ]
        return nb, resources

    def harmless(self, html: str, section: str) -> Markup:
        """HTML of a section's beginning, fit for the page; it may link to notebooks."""
        return self._finished(self._parsed(html), {name: name for name in ANCHORS}, section)[0]

    def _chapter(self, name: str, summary: str, cells: Sequence[NotebookNode]) -> Chapter:
        for before, cell in pairwise(cells):  # code gathers until there is something to show
            if before.cell_type == cell.cell_type == "code" and not before.outputs:
                before.source, cell.source = "", f"{before.source}\n\n{cell.source}".strip()
        cells = [cell for cell in cells if cell.cell_type != "raw" and cell.source.strip()]
        cells = [cell for section in _sections(cells) if not _is_empty(section) for cell in section]
        shown = [(place, key, self._parsed(html)) for cell in cells for place, key, html in _shown(cell)]
        title, *headings = _set_headings([soup for *_, soup in shown], name)
        own, section = {slug(heading.text): heading.anchor for heading in headings}, title.text
        for place, key, soup in shown:
            place[key], section = self._finished(soup, own, section)
        return Chapter(title, summary, headings, cells)

    def _parsed(self, html: str) -> BeautifulSoup:
        soup = BeautifulSoup(self.pictures.take_out(html), "html.parser")
        for tag in [*soup.find_all(_REMOVED), *soup.find_all(string=lambda text: isinstance(text, Comment))]:
            tag.extract()
        for tag in soup.find_all(True):
            if re.search(r"text-align:\s*right", str(tag.attrs.pop("style", ""))):
                tag["class"] = [*tag.get("class", []), "num"]
            tag.attrs.pop("id", None)
        return soup

    def _finished(self, soup: BeautifulSoup, own: dict[str, str], section: str) -> tuple[Markup, str]:
        """HTML in which tags that are not listed are escaped and attributes dropped; its last heading."""
        self._set_links(soup, own)
        _set_tables(soup)
        section = self._set_pictures(soup, section)
        protocols = {"http", "https", "mailto", "picture"}
        return Markup(bleach.clean(str(soup), _TAGS, _ATTRIBUTES, protocols)), section

    def _set_links(self, soup: BeautifulSoup, own: dict[str, str]) -> None:
        for link in soup.find_all("a"):
            target = str(link.get("href", ""))
            link.attrs = {}
            path, _, fragment = target.partition("#")
            if target.startswith(("https://", "http://", "mailto:")):
                link.attrs = {"href": target, "rel": "noreferrer"}
            elif not path and slug(fragment) in own:
                link["href"] = f"#{own[slug(fragment)]}"
            elif path.endswith(".ipynb") and Path(path).stem in self.names:
                link["href"] = f"#{slug(Path(path).stem)}"
            else:
                link.unwrap()

    def _set_pictures(self, soup: BeautifulSoup, section: str) -> str:
        """Give pictures size, words and a box to scroll in; what was shown before becomes a link."""
        for tag in soup.find_all([*HEADINGS, "img"]):
            if tag.name != "img":
                section = tag.get_text().strip()
                continue
            name, alt = str(tag.get("src", "")), str(tag.get("alt", "")).strip()
            anchor = f"figure-{name[8:16]}"
            if name not in self.pictures.sizes:
                tag.replace_with(alt)
            elif anchor in self._anchors:
                tag.name, tag.attrs, tag.string = "a", {"href": f"#{anchor}"}, "The figure is shown above"
            else:
                self._anchors.add(anchor)
                width, height = self.pictures.sizes[name] or (None, None)
                tag.attrs = {"src": name, "alt": alt or f"Figure in the section {section}", "id": anchor}
                tag.attrs |= {"width": width, "height": height} if width else {}
                if not width or width >= WIDE:
                    _set_scrolling(tag, tag.find_parent("figure"), "Figure")
        return section


def _sections(cells: Sequence[NotebookNode]) -> list[list[NotebookNode]]:
    """What stands before the first heading of the second level, then a list for each of these."""
    sections: list[list[NotebookNode]] = [[]]
    for cell in cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            sections.append([])
        sections[-1].append(cell)
    return sections


def _is_empty(section: Sequence[NotebookNode]) -> bool:
    """Whether a section was to show something, and a run had nothing to show in it."""
    code = [cell for cell in section if cell.cell_type == "code"]
    headed = section and section[0].cell_type == "markdown" and section[0].source.startswith("## ")
    return bool(headed and code) and not any(cell.outputs for cell in code)


def _shown(cell: NotebookNode) -> Iterator[tuple[dict, str, str]]:
    """Where a cell's HTML goes, and what it is to be."""
    if cell.cell_type == "markdown":
        yield cell, "source", markdown(cell.source, cell.get("attachments"))
        return
    cell.outputs = [output for output in cell.outputs if not ACTIVE & set(output.get("data", {}))]
    for output in cell.outputs:
        data = output.get("data", {})
        kind = next((kind for kind in ("text/html", "text/markdown", *PICTURES) if kind in data), None)
        if kind == "text/html":
            yield data, kind, data[kind]
        elif kind == "text/markdown":
            yield data, "text/html", f'<div class="prose">{markdown(data[kind])}</div>'
        elif kind is not None:
            about = {**cell.metadata, **output.metadata, **output.metadata.get(kind, {})}
            code = base64.b64encode(data[kind].encode()).decode() if "svg" in kind else data[kind]
            image = f'<img src="data:{kind};base64,{code}" alt="{escape(about.get("alt", ""))}">'
            yield data, "text/html", f"<figure>{image}</figure>"


def _set_headings(soups: Sequence[BeautifulSoup], name: str) -> list[Heading]:
    """Give headings their levels and anchors; the first that is returned is the title, taken out."""
    anchor, tags = slug(name), [tag for soup in soups for tag in soup.find_all(HEADINGS)]
    headings = [Heading(2, anchor, name)]
    if tags and tags[0].name == "h1" and soups[0].find("h1") is tags[0]:
        headings = [Heading(2, anchor, tags.pop(0).extract().get_text().strip())]
    for tag in tags:
        level = min(max(3, int(tag.name[1]) + 1), headings[-1].level + 1, 6)
        base = f"{anchor}--{slug(tag.get_text())}"
        again = sum(re.fullmatch(rf"{base}(-\d+)?", heading.anchor) is not None for heading in headings)
        tag.name, tag["id"] = f"h{level}", f"{base}-{again + 1}" if again else base
        headings.append(Heading(level, tag["id"], tag.get_text().strip()))
    return headings


def _set_tables(soup: BeautifulSoup) -> None:
    """Scopes of headers, the look of numbers, verdicts and long texts, and a box to scroll in."""
    for table in soup.find_all("table"):
        for cell in table.find_all(["th", "td"]):
            text = cell.get_text().strip()
            if cell.name == "th" and not text:
                cell.name = "td"  # a header that says nothing heads nothing
            elif cell.name == "th":
                cell["scope"] = "row" if cell.find_parent("thead") is None else "col"
            more = ["num"] if _NUMBER.fullmatch(text) else ["long"] if len(text) > LONG else []
            cell["class"] = [*cell.get("class", []), *more]
            for tone, mark in MARKS.items():
                if text.startswith(f"{mark} ") and cell.string:
                    cell.string.wrap(Tag(name="span", attrs={"class": f"badge {tone}"}))
        _set_scrolling(table, table, "Table")


def _set_scrolling(tag: Tag, around: Tag | None, name: str) -> None:
    """Wrap a tag into a box that scrolls, named by the caption where there is one."""
    caption = around.find(["caption", "figcaption"]) if around is not None else None
    name = name if caption is None else caption.get_text().strip()
    tag.wrap(
        Tag(name="div", attrs={"class": "scroll", "role": "region", "tabindex": "0", "aria-label": name})
    )
