"""The content that a stage's result depends on: files and folders of code, templates, styles and YAML."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
#: What every stage depends on: how tables are written and what is asked of an image.
GROUND = (
    "pipeline/stage.py",
    *(f"{name}.py" for name in ("atomic", "csv_io", "names", "schema", "schema_file", "store", "validation")),
)


@cache
def content_hash(place: str) -> str:
    """SHA-256 over the names and bytes of a file, or of every file below a folder; nothing is imported.

    Args:
        place: Path below the package, such as ``evaluation`` or ``evaluation/scores.py``.

    Raises:
        FileNotFoundError: If there is no such file or folder; the message names it.
    """
    return _hash(PACKAGE / place, place)


@cache
def module_hash(module: str) -> str:
    """SHA-256 over the source of a module by its dotted name; its parent packages are imported, it is not."""
    package, _, rest = module.partition(".")
    if package == PACKAGE.name:
        return content_hash(rest.replace(".", "/") + ".py")
    found = find_spec(module)
    if found is None or found.origin is None:
        raise FileNotFoundError(f"module {module!r} has no source file")
    return _hash(Path(found.origin), module)


def _hash(path: Path, name: str) -> str:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if _counts(p))
    if not files:
        raise FileNotFoundError(f"{name!r} is no file or folder with files of the package")
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(path.parent).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _counts(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts
