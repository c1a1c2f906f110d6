"""Files and folders that appear whole or not at all: written beside their place, flushed, renamed.

    >>> write_file(Path("labels.csv"), lambda partial: table.to_csv(partial))  # doctest: +SKIP
    >>> with new_folder(Path("images")) as partial:  # doctest: +SKIP
    ...     draw_into(partial)

Every file of a run, and every output of a command, is written by these two; `output_file` and
`output_folder` say before any work whether one can be.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PAGES = (".html", ".htm")
TABLES = (".parquet", ".csv")
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


@contextmanager
def new_folder(out: str | Path) -> Iterator[Path]:
    """A new, empty folder that takes the place of `out` when the block ends; after an error nothing is left.

    Args:
        out: Where it goes; missing folders above it are made. What may be there before is an empty folder.

    Raises:
        ValueError: If there is something else.
        StoreError: As `write_file`.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"out {str(out)!r} already holds something; remove it or name another folder")
    with _replacing(out) as partial:
        partial.mkdir()
        yield partial
        if out.is_dir():
            out.rmdir()


def output_file(out: str | Path, suffixes: Sequence[str], what: str = "out") -> Path:
    """Where a command's output goes, if a file can go there: asked before anything is read or computed.

    Args:
        out: The file.
        suffixes: What its name may end in.
        what: The argument's name, for the message.

    Raises:
        ValueError: If it ends otherwise, is a folder or lies in none.
        StoreError: If its folder cannot be written.
    """
    out = Path(out)
    if out.suffix not in suffixes:
        raise ValueError(f"{what} {str(out)!r} ends in {out.suffix!r}; allowed: {' or '.join(suffixes)}")
    if out.is_dir() or not out.absolute().parent.is_dir():
        reason = "is a folder" if out.is_dir() else "lies in a folder that does not exist"
        raise ValueError(f"{what} {str(out)!r} {reason}; allowed: a file in a folder that exists")
    _try_writing(out.absolute().parent, f"{what} {str(out)!r}")
    return out


def output_folder(out: str | Path, what: str = "out", *, empty: bool = False) -> Path:
    """Where a command's folder goes, if it can: asked before anything is read or computed; makes nothing.

    Args:
        out: The folder, which need not be there yet.
        what: The argument's name, for the message.
        empty: Whether it may hold nothing.

    Raises:
        ValueError: If it is a file or lies in one, or holds something and must not.
        StoreError: If nothing can be written there.
    """
    out = Path(out)
    there = next(place for place in (out.absolute(), *out.absolute().parents) if place.exists())
    if not there.is_dir():
        raise ValueError(f"{what} {str(out)!r}: {str(there)!r} is a file; allowed: a folder")
    if empty and there == out.absolute() and any(out.iterdir()):
        raise ValueError(f"{what} {str(out)!r} already holds something; remove it or name another folder")
    _try_writing(there, f"{what} {str(out)!r}")
    return out


def _try_writing(folder: Path, what: str) -> None:
    """Only a write shows whether a disk is full or mounted to be read."""
    trial = folder / f"{TEMPORARY}{secrets.token_hex(4)}"
    try:
        trial.open("xb").close()
    except OSError as error:
        raise StoreError(f"{what} cannot be written: {error.strerror or error}") from None
    finally:
        remove(trial)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, which it replaces if the block ends well."""
    partial = path.with_name(f"{TEMPORARY}{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise StoreError(
            f"cannot write {path.name} in {path.parent}: {reason_of(error, path.parent)}; what was there "
            "before is untouched"
        ) from error
    finally:
        remove(partial)


def reason_of(error: OSError, folder: Path) -> str:
    """Why nothing can be written into a folder; of a file in its place the system says "File exists"."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        taken = next((p for p in (folder, *folder.parents) if p.exists()), folder)
        return f"{taken} is a file and not a folder"
    return error.strerror or str(error)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there and can be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        path.unlink(missing_ok=True)
    except OSError:  # such as below a file that stands where the folder should be
        return


def refuse_inside(place: str | Path, root: str | Path, what: str) -> None:
    """Refuse to write pictures where a later listing of images would find them.

    Args:
        place: A folder that is to be written.
        root: A folder of images.
        what: What the place is, for the message.

    Raises:
        ValueError: If the place is that folder or lies in it.
    """
    inside, outside = Path(place).resolve(), Path(root).resolve()
    if outside.is_dir() and inside.is_relative_to(outside):
        raise ValueError(
            f"{what} {str(inside)!r} lies in {str(outside)!r}, so that its pictures would be taken for "
            "photographs of that folder; allowed: a place outside it"
        )
