"""The report: tables and executed notebooks as one HTML file that opens with the network off."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, FunctionLoader, StrictUndefined

from swatchbook.report.story import slug, tell

CLAIMS = ("printed", "sentence")
RESERVED = {"main", "headline", "headline-caption", "claims", "provenance"}
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
MARKS = {"good": "✓", "bad": "✗", "mixed": "≈", "plain": "•"}


def write_page(
    out: Path,
    *,
    title: str,
    lead: str,
    headline: pd.DataFrame,
    claims: pd.DataFrame,
    notebooks: Sequence[tuple[str, Path]],
    provenance: Mapping[str, Mapping[str, str]],
    claims_title: str = "What was printed, what we find",
    headline_title: str = "What was published and what we find, each number with its interval",
) -> None:
    """Write the report as one HTML file without scripts, links to files or anything that must be loaded.

    The same inputs give the same bytes; the date is read from the provenance.

    Args:
        out: Where the page goes; its folder is made if needed, and the file appears whole or not at all.
        title: The page's title.
        lead: One sentence or two that say what was found.
        headline: One row a number. The first column heads its row; a column ``verdict`` is shown as a badge.
            Numbers are shown with three decimals, integers with thousands separators, missing as a dash;
            strings as they are.
        claims: One row a printed claim, with the columns ``printed`` (what was printed) and ``sentence``
            (what is found), and if wanted ``where`` (where it was printed) and ``verdict``.
        notebooks: Name and executed copy of each notebook, in the order of the story.
        provenance: Group → name → value. ``date``, ``profile`` and ``commit``, in whichever group, are shown
            under the title too.
        claims_title: Heading of the claims.
        headline_title: Caption of the headline table.

    Raises:
        ValueError: If a table lacks a column, a name occurs twice or an executed copy is not there.
    """
    missing = [column for column in CLAIMS if column not in claims]
    if missing:
        raise ValueError(f"claims: no column {missing[0]!r}; received {', '.join(map(str, claims))}")
    if not len(headline.columns):
        raise ValueError("headline: a table without columns; the first column heads its row")
    names = [name for name, _ in notebooks]
    anchors = {name: slug(name) for name in names}
    if len(set(anchors.values()) | RESERVED) < len(names) + len(RESERVED):
        raise ValueError(f"notebooks: every section needs a name of its own; received {', '.join(names)}")
    for name, path in notebooks:
        if not Path(path).is_file():
            raise ValueError(f"notebooks: the executed copy of {name!r} is not at {str(path)!r}")
    facts = {key: value for group in provenance.values() for key, value in group.items()}
    page = (
        _environment()
        .get_template("page.html.jinja")
        .render(
            title=title,
            lead=lead,
            claims_title=claims_title,
            headline_title=headline_title,
            facts={key: facts[key] for key in ("date", "profile", "commit") if facts.get(key)},
            columns=[str(column) for column in headline],
            numeric=[
                k > 0 and name != "verdict" and _is_numeric(headline[name]) for k, name in enumerate(headline)
            ],
            rows=[[_show(value) for value in row] for row in headline.astype(object).to_numpy()],
            claims=[
                {str(k): _show(v) for k, v in row.items()} for row in claims.astype(object).to_dict("records")
            ],
            stories=[tell(name, Path(path), anchors) for name, path in notebooks],
            provenance=provenance,
        )
    )
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        partial.write_text(page, encoding="utf-8", newline="\n")
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def tone(verdict: str) -> str:
    """``good``, ``bad`` or ``mixed``, by the verdict's first words; ``plain`` if they are not known."""
    said = verdict.strip().lower()
    fits = [words for words in TONES if re.match(rf"{words}\b", said)]
    return TONES[max(fits, key=len)] if fits else "plain"


def _is_numeric(column: pd.Series) -> bool:
    """Whether a column reads as numbers, so that it stands right."""
    words = {"", "not estimable"}
    return all(_show(value) in words or _show(value)[0] in "0123456789.+-−–" for value in column)


def _show(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or (isinstance(value, float | np.floating) and np.isnan(value)):
        return "–"
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        return f"{value:,.0f}" if value == round(value) and abs(value) >= 1000 else f"{value:.3f}"
    return str(value)


def _environment() -> Environment:
    folder = resources.files("swatchbook.report")
    environment = Environment(
        loader=FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(tone=tone, marks=MARKS, css=(folder / "page.css").read_text(encoding="utf-8"))
    return environment
