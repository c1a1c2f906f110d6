"""Write the repository's address into the notebooks: badges, and a first cell that clones.

    python scripts/badges.py

The address stands in one place, ``[project.urls] Repository`` of ``pyproject.toml``. Colab and Binder open
what lies on GitHub; without such an address the notebooks have neither badges nor a cell that clones.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from urllib.parse import quote

import nbformat

ROOT = Path(__file__).resolve().parents[1]
TAG = "address"  # of the cells that are written here
CLONE = """\
import subprocess
import sys
from pathlib import Path

if "google.colab" in sys.modules and not Path("/content/swatchbook").exists():
    subprocess.run(["git", "clone", "--depth", "1", "{address}", "/content/swatchbook"], check=True)"""
BADGES = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{repository}/blob/HEAD/{path})\n"
    "[![Open in Binder](https://mybinder.org/badge_logo.svg)]"
    "(https://mybinder.org/v2/gh/{repository}/HEAD?labpath={quoted})"
)


def address_in(pyproject: Path) -> str | None:
    """The repository's address on GitHub, or None where there is none."""
    urls = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"].get("urls", {})
    return urls.get("Repository") or None


def with_address(notebook: nbformat.NotebookNode, name: str, address: str | None) -> nbformat.NotebookNode:
    """A notebook with badges below its title and a first cell that clones, or with neither.

    Args:
        notebook: Its source; cells written here before are replaced.
        name: Its file's name.
        address: Such as ``https://github.com/OWNER/NAME``; None takes the cells out.

    Raises:
        ValueError: If the address is another one than a repository's on GitHub.
    """
    cells = [cell for cell in notebook.cells if TAG not in cell.metadata.get("tags", [])]
    if address is not None:
        found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(\.git)?/?", address)
        if found is None:
            raise ValueError(f"address {address!r}; must be https://github.com/OWNER/NAME")
        path, tagged = f"notebooks/{name}", {"metadata": {"tags": [TAG]}}
        badges = BADGES.format(repository=found[1], path=path, quoted=quote(path, safe=""))
        clone = CLONE.format(address=f"https://github.com/{found[1]}")
        code = next(k for k, cell in enumerate(cells) if cell.cell_type == "code")
        cells.insert(code, nbformat.v4.new_code_cell(clone, **tagged))
        cells.insert(1, nbformat.v4.new_markdown_cell(badges, **tagged))
    for k, cell in enumerate(cells):
        cell.id = str(k)  # as nbstripout numbers them
    notebook.cells = cells
    return notebook


if __name__ == "__main__":
    address = address_in(ROOT / "pyproject.toml")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        nbformat.write(with_address(nbformat.read(path, as_version=4), path.name, address), path)
    print(f"{address or 'no address in pyproject.toml'}: notebooks written", file=sys.stderr)
