"""Archives from strangers: fetched with resume, unpacked so that nothing lands outside or half.

Only the content of regular files is taken. Names are checked by the rules of both POSIX and Windows, and
contents are copied into new files of our own, so that owners, modes, links and devices of an archive
have no effect. The filter ``data`` of `tarfile` is laxer: it takes links, keeps modes and makes ``/etc/x``
into ``etc/x``.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import io
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from glob import escape
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, NamedTuple

from filelock import FileLock, Timeout
from tqdm import tqdm

from swatchbook.data.strict_csv import DataError

MAX_BYTES = 60_000_000_000
MAX_FILES = 1_000_000
MAX_RATIO = 20  # photographs are compressed already; a text may shrink to a hundredth, within _ANY_RATIO
_ANY_RATIO = 100_000_000  # bytes that may come of any archive, however small
_CHUNK = 2**20
_OPENERS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open))
# What a disk says of a member's name that it cannot hold: to unpack again would not help.
_NAMES = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL, errno.EILSEQ)
# bz2 says it by an OSError without a number, zipfile by NotImplementedError if it meets nonsense.
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, NotImplementedError)


def fetch(file_id: str, target: Path, sizes: tuple[int, int], advice: str) -> Path:
    """Fetch a file from Google Drive, going on where an earlier try stopped.

    Args:
        file_id: The file's id on the drive.
        target: Where it goes. A file of the right size that is there is taken as it is.
        sizes: Least and most bytes that it may have.
        advice: How to get the file by hand, for when the drive refuses, as it does when a file is asked
            for too often.

    Returns:
        ``target``.

    Raises:
        DataError: If gdown is not installed, there is no room, the drive refuses, or what came has a wrong
            size, such as a page that says why nothing came.
    """
    target = Path(target)
    if target.exists():
        return _sized(target, sizes, advice)
    try:
        import gdown  # only those who fetch need it
    except ImportError:
        raise DataError(f"fetching {target.name} needs gdown: pip install gdown. Or {advice}") from None
    target.parent.mkdir(parents=True, exist_ok=True)
    begun = sum(part.stat().st_size for part in target.parent.glob(f"{escape(target.name)}*.part"))
    _check_room(target.name, sizes[0] - begun, target.parent)
    try:
        gdown.download(id=file_id, output=str(target), resume=True)
    except Exception as error:  # its own, requests' and the system's
        raise DataError(
            f"{target.name} cannot be fetched from Google Drive ({type(error).__name__}: {error}). Run again "
            f"to go on from where it stopped, or {advice}"
        ) from error
    if not target.is_file():  # how older versions say that the drive refused
        raise DataError(f"Google Drive gave no {target.name}. Try again later, or {advice}")
    return _sized(target, sizes, advice)


def _sized(target: Path, sizes: tuple[int, int], advice: str) -> Path:
    size = target.stat().st_size
    if not sizes[0] <= size <= sizes[1]:
        raise DataError(
            f"{str(target)!r} has {size:,} bytes; allowed: {sizes[0]:,} to {sizes[1]:,}. If it is the "
            f"right file all the same, name it as the source; else remove it and run again, or {advice}"
        )
    return target


class _Member(NamedTuple):
    """One entry: its name, what it is, its size in bytes, and how far into the archive it starts."""

    name: str
    kind: str
    size: int
    at: int
    open: Callable[[], IO[bytes]]


def unpack(
    archive: Path,
    into: Path,
    *,
    max_bytes: int = MAX_BYTES,
    max_files: int = MAX_FILES,
    max_ratio: float = MAX_RATIO,
) -> Path:
    """Unpack a tar (plain, gz, bz2 or xz) or a zip into a folder that is either whole or not there.

    Dot-files, such as macOS's ``._x.jpg``, and ``__MACOSX`` are passed over. What was unpacked before an
    interruption is kept in ``.<into>.<archive>.partial`` beside the folder, and used when the same
    archive is unpacked again.

    Args:
        archive: The file; recognised by its content, not by its name.
        into: The folder to make. If it is there and holds something, it is whole, and returned as it is.
        max_bytes: Most bytes that may come out.
        max_files: Most entries.
        max_ratio: Most bytes that may come out for one byte of the archive; the first 100 MB are free.

    Returns:
        ``into``.

    Raises:
        DataError: If the archive is missing, damaged, cut off or encrypted; holds a link, a device, a path
            that leads outside, one name twice, or more than the limits allow; or if there is no room, or
            somebody else is unpacking it.
    """
    archive, into = Path(archive), Path(into)
    if into.is_dir() and any(into.iterdir()):
        return into
    if not archive.is_file():
        raise DataError(f"archive {str(archive)!r} is not a file; allowed: a .tar.gz or .zip")
    about = archive.stat()
    limit = int(min(max_bytes, max(max_ratio * about.st_size, _ANY_RATIO)))
    # The name tells one state of an archive from another without reading it.
    state = f"{archive.resolve()}|{about.st_size}|{about.st_mtime_ns}".encode("utf-8", "surrogateescape")
    partial = into.with_name(f".{into.name}.{hashlib.sha256(state).hexdigest()[:8]}.partial")
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(into.with_name(f".{into.name}.lock"), timeout=0):
            if not (into.is_dir() and any(into.iterdir())):  # or another process has just made it
                have = sum(f.stat().st_size for f in partial.rglob("*") if f.is_file())
                _check_room(f"unpacking {archive.name}", about.st_size - have, into.parent)
                partial.mkdir(exist_ok=True)
                _unpack_or_clear(archive, partial, limit, max_files)
                if into.is_dir():
                    into.rmdir()
                partial.rename(into)
    except Timeout:
        raise DataError(f"{str(into)!r} is being unpacked by another process; wait for it") from None
    except OSError as error:
        raise DataError(
            f"{archive.name} cannot be unpacked into {str(into)!r} ({error.strerror}); what is there so far "
            f"is kept in {partial.name!r} for the next time"
        ) from error
    return into


def _check_room(what: str, needed: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"{what} needs about {needed / 1e9:.1f} GB in {str(folder)!r}, where {free / 1e9:.1f} GB are free"
        )


def _unpack_or_clear(archive: Path, folder: Path, limit: int, max_files: int) -> None:
    """Unpack; what a bad archive has left is removed, what a full disk has left is kept to go on from."""
    try:
        _unpack_all(archive, folder, limit, max_files)
    except (*_DAMAGED, DataError, OSError) as error:
        if getattr(error, "errno", None) not in (None, *_NAMES):
            raise
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{archive.name} is damaged or cut off ({error or type(error).__name__}); its size is "
            f"{archive.stat().st_size:,} bytes. Remove it and fetch it again"
        ) from None


def _unpack_all(archive: Path, folder: Path, limit: int, max_files: int) -> None:
    # On a disk that ignores case, x.jpg would replace X.jpg.
    ignores_case = folder.with_name(folder.name.upper()).exists()
    seen: set[str] = set()
    total = 0
    with tqdm(total=archive.stat().st_size, unit="B", unit_scale=True, desc="unpacking") as progress:
        for count, member in enumerate(_members(archive), 1):
            progress.update(member.at - progress.n)
            if count > max_files:
                raise DataError(f"{archive.name} has more than {max_files:,} entries; allowed: no more")
            parts = _inside(member.name, archive)
            if member.kind not in ("file", "folder"):
                raise DataError(
                    f"{archive.name}: {member.name!r} is {member.kind}; allowed: files and folders"
                )
            if member.kind == "folder" or not parts:
                continue
            name = "/".join(parts)
            key = name.casefold() if ignores_case else name
            if key in seen:
                raise DataError(f"{archive.name} holds {name!r} twice; allowed: once")
            seen.add(key)
            total += member.size
            if total > limit:
                raise DataError(
                    f"{archive.name} ({archive.stat().st_size:,} bytes) holds more than the limits allow, as "
                    "an archive made to fill a disk does; if it is sound, unpack it by hand and name the "
                    "folder"
                )
            _copy(member, folder.joinpath(*parts))
        progress.update(progress.total - progress.n)
    if not seen:
        raise DataError(f"{archive.name} holds no file; allowed: an archive of images")


def _inside(name: str, archive: Path) -> tuple[str, ...]:
    """The parts of a member's path, none for what is passed over; refuses a path that leads outside."""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    outside = posix.is_absolute() or windows.drive or windows.root or "\0" in name
    if outside or ".." in posix.parts or ".." in windows.parts:
        raise DataError(f"{archive.name}: {name!r} leads outside the folder; allowed: paths inside it")
    hidden = any(part.startswith(".") for part in posix.parts) or "__MACOSX" in posix.parts
    return () if hidden else posix.parts


def _copy(member: _Member, target: Path) -> None:
    """Write a member's bytes, unless an earlier try has; no more come than the size that is stated."""
    if not (target.is_file() and target.stat().st_size == member.size):
        target.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, _CHUNK)
    if target.stat().st_size != member.size:
        raise EOFError(f"{member.name!r} has {target.stat().st_size:,} of {member.size:,} bytes")


def _members(archive: Path) -> Iterator[_Member]:
    with archive.open("rb") as file:
        start = file.read(6)
    if zipfile.is_zipfile(archive) and not start.startswith(tuple(magic for magic, _ in _OPENERS)):
        return _in_zip(archive)
    return _in_tar(archive, next((opener for magic, opener in _OPENERS if start.startswith(magic)), None))


def _in_zip(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as opened:
        done = 0
        for info in opened.infolist():
            if info.flag_bits & 1:
                raise DataError(f"{archive.name} is encrypted; allowed: an archive without a password")
            mode = info.external_attr >> 16
            kind = "folder" if info.is_dir() else "file"
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                kind = "a link or a device"
            # Some Windows tools write backslashes between folders.
            name = info.filename.replace("\\", "/")
            yield _Member(name, kind, info.file_size, done, lambda info=info: opened.open(info))
            done += info.compress_size


def _in_tar(archive: Path, opener: Callable[..., IO[bytes]] | None) -> Iterator[_Member]:
    with archive.open("rb") as raw:
        if opener is None:
            raw.seek(-min(512, archive.stat().st_size), io.SEEK_END)
            # Without a checksum, only the end shows that it is whole.
            if raw.read(512) != bytes(512):
                raise EOFError("it is no archive, or its end is missing")
            raw.seek(0)
        # Opened here and not by tarfile, whose own reader of streams does not check the checksum.
        with (
            opener(raw) if opener else raw as plain,
            tarfile.open(fileobj=plain, mode="r|", bufsize=_CHUNK) as opened,
        ):
            while (info := opened.next()) is not None:
                opened.members = []  # or all 124,000 would stay in memory
                kind = "file" if info.isreg() else "folder" if info.isdir() else "a device"
                kind = "a link" if info.issym() or info.islnk() else kind
                yield _Member(
                    info.name, kind, info.size, raw.tell(), lambda info=info: opened.extractfile(info)
                )
            while plain.read(_CHUNK):  # to the checksum at the end
                pass
