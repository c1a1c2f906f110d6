"""The report: findings, tables and executed notebooks as one HTML file that opens with the network off."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat
import pandas as pd
from nbconvert import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

from swatchbook.report.chapters import ANCHORS, MARKS, Chapters, markdown, slug
from swatchbook.report.display import VERDICT, figure_view, table_view
from swatchbook.report.pictures import Pictures
from swatchbook.report.wording import ABSENT

TEMPLATES = Path(__file__).parent / "templates"
CLAIMS = ("printed", "sentence")
FOUND = "What was found"
# The words that open a verdict, and how its badge looks; the longest that fits decides.
TONES = {
    "reproduced": "good",
    "covers": "good",
    "misses": "bad",
    "holds": "good",
    "equivalent": "good",
    "differs": "bad",
    "not reproduced": "bad",
    "does not hold": "bad",
    "outside": "bad",
    "holds in part": "mixed",
    "partly": "mixed",
    "unresolved": "mixed",
    "inconclusive": "mixed",
    "different but within": "mixed",
    "not estimable": "mixed",
}


def write_page(
    out: Path,
    *,
    title: str,
    lead: str,
    notebooks: Sequence[tuple[str, Path]],
    provenance: Mapping[str, Mapping[str, str]],
    headline: pd.DataFrame | None = None,
    claims: pd.DataFrame | None = None,
    findings: Sequence[str] = (),
    figure: Path | None = None,
    claims_title: str = "What was printed, what we find",
    headline_title: str = "What was published, and what we find",
    picture_width: int | None = None,
) -> None:
    """Write the report as one HTML file without scripts, links to files or anything that must be loaded.

    With findings, these and one figure are the first screen, and all else is folded below them: notebooks,
    then tables, each fold with its title and a sentence (of a notebook, the ``summary`` in its metadata). A
    browser opens the fold that a link leads into; one box opens all, and all are printed. The same inputs
    give the same bytes; the date is read from the provenance.

    Args:
        out: Where the page goes; its folder is made if needed.
        title: The page's title.
        lead: One sentence or two that say what was done.
        notebooks: Name and executed copy of each notebook, in the order of the story.
        provenance: Group → name → value. ``date``, ``profile`` and ``commit``, in whichever group, are shown
            under the title too.
        headline: One row a number; without it there is no such section. The first column heads its row; a
            column ``verdict`` is shown as a badge, next to the first. Numbers are shown with three decimals,
            integers with thousands separators, missing as a dash; strings as they are.
        claims: One row a printed claim, if there are any, with the columns ``printed`` (what was printed) and
            ``sentence`` (what is found), and if wanted ``where`` (where it was printed) and ``verdict``.
        findings: What was found, a sentence of Markdown with its numbers each; ``[…](02_audit.ipynb)`` links
            to that notebook's chapter, ``[…](#headline)`` and ``[…](#claims)`` to the tables.
        figure: Path without suffix of the figure that is shown with the findings; see `figure_view`.
        claims_title: Heading of the claims.
        headline_title: Caption of the headline table.
        picture_width: Pixels that wider pictures are reduced to; as they are by default.

    Raises:
        ValueError: If a table lacks a column, a name occurs twice or a file is not there.
    """
    headline = pd.DataFrame({"": []}) if headline is None else headline
    claims = pd.DataFrame(columns=list(CLAIMS)) if claims is None else claims
    missing = [column for column in CLAIMS if column not in claims]
    if missing:
        raise ValueError(f"claims: no column {missing[0]!r}; received {', '.join(map(str, claims))}")
    if not len(headline.columns):
        raise ValueError("headline: a table without columns; the first column heads its row")
    names = [name for name, _ in notebooks]
    if len({*map(slug, names), *ANCHORS}) < len(names) + len(ANCHORS):
        raise ValueError(f"notebooks: every section needs a name of its own; received {', '.join(names)}")
    for name, path in notebooks:
        if not Path(path).is_file():
            raise ValueError(f"notebooks: the executed copy of {name!r} is not at {str(path)!r}")
    chapters = Chapters(names=names, pictures=Pictures(picture_width))
    executed = _one_after_another(notebooks)
    facts = {key: str(value)[:10] for group in provenance.values() for key, value in group.items()}
    shown = headline.rename(columns=str)
    if VERDICT in shown:
        shown[VERDICT] = shown[VERDICT].map(with_mark)
    page = {
        "title": title,
        "lead": lead,
        "facts": {key: facts[key] for key in ("date", "profile", "commit") if facts.get(key)},
        "findings": [chapters.harmless(markdown(finding), FOUND) for finding in findings],
        "figure": "" if figure is None else chapters.harmless(figure_view(figure).html, FOUND),
        "headline": len(shown) and chapters.harmless(table_view(shown, caption=headline_title).html, ""),
        "headline_summary": f"{_verdicts(headline, 'rows') or headline_title}.",
        "claims_title": claims_title,
        "claims_summary": f"{_verdicts(claims, 'entries') or f'{len(claims)} entries'}.",
        "claims": claims.astype(object).where(claims.notna(), None).to_dict("records"),
        "provenance": provenance,
    }
    html, _ = _exporter(chapters).from_notebook_node(executed, {"page": page})
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(chapters.pictures.put_back(html), encoding="utf-8", newline="\n")


def tone(verdict: str) -> str:
    """``good``, ``bad`` or ``mixed``, by the verdict's first words; ``plain`` if they are not known."""
    fits = [words for words in TONES if re.match(rf"{words}\b", verdict.strip().lower())]
    return TONES[max(fits, key=len)] if fits else "plain"


def with_mark(verdict: str | float | None) -> str:
    """A verdict after the sign of its tone; a dash where there is none."""
    return f"{MARKS[tone(verdict)]} {verdict}" if isinstance(verdict, str) and verdict != ABSENT else ABSENT


def _verdicts(table: pd.DataFrame, what: str) -> str:
    """``3 rows: holds (2), differs (1)``, most frequent first; empty where nothing has a verdict."""
    given = table[VERDICT].dropna() if VERDICT in table else []
    counts = Counter(verdict for verdict in given if verdict != ABSENT).most_common()
    return f"{len(table)} {what}: {', '.join(f'{verdict} ({n})' for verdict, n in counts)}" if counts else ""


def _exporter(chapters: Chapters) -> HTMLExporter:
    exporter = HTMLExporter(
        template_name="page",
        extra_template_basedirs=[str(TEMPLATES)],
        preprocessors=[CoalesceStreamsPreprocessor(enabled=True), chapters],
        filters={"tone": tone, "with_mark": with_mark},
    )
    environment = exporter.environment
    environment.autoescape = environment.trim_blocks = environment.lstrip_blocks = True
    return exporter


def _one_after_another(notebooks: Sequence[tuple[str, Path]]) -> nbformat.NotebookNode:
    """The cells of all notebooks, each with its notebook's name; their summaries by that name."""
    whole = nbformat.v4.new_notebook(metadata={"summaries": {}})
    for name, path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        whole.metadata["summaries"][name] = notebook.metadata.get("swatchbook", {}).get("summary", "")
        for cell in notebook.cells:
            cell.metadata["chapter"], cell["id"] = name, f"cell-{len(whole.cells)}"
            whole.cells.append(cell)
    return whole
