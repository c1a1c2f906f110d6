"""Where a data set lies: its folder, one of the folders in it, or an archive of either."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from swatchbook.data.archive import unpack
from swatchbook.data.strict_csv import DataError


def locate(source: Path, archive: str, parts: Sequence[str], into: Path | None = None) -> Path:
    """The folder that holds all parts of a data set, unpacking first if the source is an archive.

    Args:
        source: An archive; or a folder that holds the parts, or in which one folder does.
        archive: What the archive is called, for the error message.
        parts: Names of the files and folders that a data set is known by.
        into: Where an archive is unpacked; a folder beside it, of its name up to the first dot, by default.
            If that is there, it is taken as it is.

    Raises:
        DataError: If there is no such folder, there are several, or the archive cannot be unpacked.
    """
    source = Path(source)
    if not source.exists():
        raise DataError(f"source {str(source)!r} does not exist; allowed: {archive}, or its folder")
    if source.is_file():
        name = source.name.partition(".")[0]
        source = unpack(source, into or source.with_name(name if name != source.name else f"{name}_unpacked"))
    below = sorted(p for p in source.iterdir() if p.is_dir() and not p.name.startswith("."))
    homes = [home for home in (source, *below) if all((home / part).exists() for part in parts)]
    if not homes or (homes[0] != source and len(homes) > 1):
        received = ", ".join(p.name for p in (homes or below)[:5]) or "no folder"
        raise DataError(
            f"source {str(source)!r} holds {received}; allowed: one folder with {' and '.join(parts)}"
        )
    return homes[0]
