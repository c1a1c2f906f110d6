"""Executed notebooks of a run as small HTML files, to be read without Python.

    python scripts/notebooks.py runs/demo docs/notebooks/demo

They go through the report's own exporter. What depends on the machine, the cell of injected parameters, is
left out; pictures are made smaller until a file is below `LIMIT`. Each file names the hash of the cells that
it shows, by which a test sees whether the notebook has changed since.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import nbformat

from swatchbook.report.page import write_page

LIMIT = 300_000  # bytes of a file
WIDTHS = (1400, 1000, 720, 560)  # pixels of its pictures, tried in turn
INJECTED = "injected-parameters"


def cells_hash(notebook: nbformat.NotebookNode) -> str:
    """SHA-256 over the kinds and sources of a notebook's cells, injected ones left out."""
    cells = [(c.cell_type, c.source) for c in notebook.cells if INJECTED not in c.metadata.get("tags", [])]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def publish(run: Path, out: Path) -> list[Path]:
    """Write a file for each executed notebook of a run.

    Args:
        run: Folder of a run that went to its end.
        out: Folder of the files; those that are in it go first.

    Raises:
        ValueError: If the run has no executed notebook, or one does not fit into the limit.
    """
    executed = [
        path for path in sorted((run / "notebooks").glob("*.ipynb")) if ".failed" not in path.suffixes
    ]
    if not executed:
        raise ValueError(f"run: no executed notebook in {run / 'notebooks'}")
    about = json.loads((run / "config.json").read_text(encoding="utf-8"))
    for old in out.glob("*.html"):
        old.unlink()
    return [_publish(path, out / f"{path.stem}.html", about) for path in executed]


def _publish(path: Path, out: Path, about: dict) -> Path:
    notebook = nbformat.read(path, as_version=4)
    facts = {
        "profile": about["settings"]["profile"],
        "commit": about["commit"],
        "cells": cells_hash(notebook),
    }
    notebook.cells = [c for c in notebook.cells if INJECTED not in c.metadata.get("tags", [])]
    with tempfile.TemporaryDirectory() as folder:
        shown = Path(folder) / path.name
        nbformat.write(notebook, shown)
        for width in WIDTHS:
            write_page(
                out,
                title=f"Notebook {path.stem.replace('_', ' ')}",
                lead=notebook.metadata["swatchbook"]["summary"],
                notebooks=[(path.stem, shown)],
                provenance={"Executed copy": facts},
                picture_width=width,
            )
            if out.stat().st_size < LIMIT:
                return out
    raise ValueError(
        f"{path.name}: {out.stat().st_size:,} bytes with pictures of {width} px; at most {LIMIT:,}"
    )


if __name__ == "__main__":
    for written in publish(Path(sys.argv[1]), Path(sys.argv[2])):
        print(f"{written}  {written.stat().st_size:,} bytes")
