"""What made a run: the checkout that the code runs from, its commit, and versions."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path


def project_root() -> Path | None:
    """The checkout that this package runs from (the folder with `notebooks/`), or None."""
    for folder in (Path(__file__).resolve().parents[3], Path.cwd(), *Path.cwd().parents):
        if (folder / "notebooks").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    return None


def provenance() -> dict[str, object]:
    """Versions of Python and of the packages that bear on numbers, and the commit of the code."""
    packages = [
        "numpy",
        "pandas",
        "scipy",
        "scikit-learn",
        "matplotlib",
        "seaborn",
        "papermill",
        "swatchbook",
    ]
    versions = {"python": platform.python_version(), **{p: metadata.version(p) for p in packages}}
    return {"versions": versions, "commit": _commit()}


def _commit() -> str:
    root = project_root()
    if root is None or not (root / ".git").exists():
        return "not a git checkout"
    try:
        git = ["git", "-C", str(root)]
        run = {"capture_output": True, "text": True, "check": True}
        commit = subprocess.run([*git, "rev-parse", "HEAD"], **run).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--", "src", "notebooks"], **run
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + (" with uncommitted changes" if changed else "")
