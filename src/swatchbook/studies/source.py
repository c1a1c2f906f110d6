"""Where a study's images come from, a data set that is given or a drawn one, and when either has changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from swatchbook.data import images
from swatchbook.pipeline.stage import Trace
from swatchbook.store import sha256


def digest(*content: object) -> str:
    """SHA-256 of what Python prints of some values."""
    return hashlib.sha256(repr(content).encode()).hexdigest()


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file that may not be there."""
    try:
        return sha256(Path(path))
    except OSError:  # who reads it says what is wrong with it
        return "unreadable"


def given_or_drawn(trace: Trace) -> Path:
    """The data set that was given, a folder or an archive, or the folder of the drawn one."""
    source = trace.location("source")
    if source is None:
        trace.path("images/truth.csv")
        source = trace.folder("images")
    return source


def source_content(trace: Trace, *lists: str) -> dict[str, str]:
    """What a step depends on that reads the data set, so that an image or list exchanged since is noticed.

    Args:
        trace: Of the step.
        *lists: Patterns of the files beside the images, from the folder down, such as ``split/*.txt``.
    """
    source = given_or_drawn(trace)
    if source.is_file():
        return {"images": file_digest(source)}
    texts = sorted({path for pattern in lists for path in source.rglob(pattern)})
    contents = digest([(path.relative_to(source).as_posix(), file_digest(path)) for path in texts])
    return {"images": images.fingerprint(source), "lists": contents}
