"""Files and folders that appear whole or not at all: written beside their place, flushed, renamed.

    >>> write_file(Path("labels.csv"), lambda partial: table.to_csv(partial))  # doctest: +SKIP
    >>> write_folder(Path("images"), lambda partial: draw_into(partial))  # doctest: +SKIP

Every file of a run, and every output of a command, is written by these two.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".writing-"  # how the names of unfinished files and folders begin


class StoreError(RuntimeError):
    """A file or a run folder that cannot be used; the message says why and what to do."""


def write_file(path: str | Path, writer: Callable[[Path], object]) -> None:
    """Write a file that replaces what was there only when it is whole; the umask decides who may read it.

    Args:
        path: Where it goes; missing folders above it are made.
        writer: Called with a temporary path of the same suffix in the same folder; what it leaves there
            becomes the file.

    Raises:
        StoreError: If the disk is full or the folder cannot be written; what was there before is untouched
            and nothing half-written remains, as after any other error of the writer.
    """
    with _replacing(Path(path)) as partial:
        partial.open("xb").close()
        mode = partial.stat().st_mode  # as the umask has it; some writers make private files
        writer(partial)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.chmod(mode)


def write_folder(path: str | Path, writer: Callable[[Path], object]) -> None:
    """Write a whole folder; what may be there before is an empty folder.

    Args:
        path: Where it goes; missing folders above it are made.
        writer: Called with a new, empty folder beside it, which becomes the folder.

    Raises:
        StoreError: As `write_file`, or if the folder is there already and not empty.
    """
    with _replacing(Path(path)) as partial:
        partial.mkdir()
        writer(partial)
        if Path(path).is_dir():
            Path(path).rmdir()


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, which it replaces if the block ends well."""
    partial = path.with_name(f"{TEMPORARY}{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        reason = error.strerror or error
        if path.parent.exists() and not path.parent.is_dir():
            reason = f"{path.parent} is a file and not a folder"
        raise StoreError(
            f"cannot write {path.name} in {path.parent}: {reason}; what was there before is untouched"
        ) from error
    finally:
        remove(partial)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there and can be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        path.unlink(missing_ok=True)
    except OSError:  # such as below a file that stands where the folder should be
        return
