"""A folder of images → manifest rows: which files, their hashes and sizes, and which are broken."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pandas as pd
from tqdm import tqdm

from swatchbook.data.decoding import UnreadableError, content_digest, measure, read_bytes, threads
from swatchbook.data.strict_csv import DataError

SPLITS = ("train", "val", "test")
LIMIT = 0.01  # share of broken images above which something else is wrong than a few images
HEIC = (".heic", ".heif")  # listed, so that a telephone's photographs are refused and not overlooked
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"),
    *HEIC,
)
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*")
_BLOCK = 1024  # files handed to the threads at a time, so that memory does not grow with the data
_TOLD = 5

T = TypeVar("T")


class BrokenImagesError(DataError):
    """Too many images are broken to go on.

    Attributes:
        quarantine: The table that ``examine`` would have returned.
    """

    def __init__(self, message: str, quarantine: pd.DataFrame) -> None:
        super().__init__(message)
        self.quarantine = quarantine


def find(root: Path) -> pd.DataFrame:
    r"""List the images below a folder, nested or flat; nothing is decoded.

    A file is listed by its suffix, or, under any other name, if it begins as an image does. Files and
    folders that begin with a dot, and ``__MACOSX``, are passed over. Links are followed, each folder once.

    Args:
        root: The folder.

    Returns:
        ``image_id`` (POSIX path below the root), ``path`` (absolute), ``folder`` (name of the folder that
        holds it, ``.`` for the root itself) and ``split`` (the first folder below the root if that is
        train, val or test; else null), by image_id. Bytes of a name that are not UTF-8 are written as
        ``\udcXX``; ``examine`` puts such files into quarantine.

    Raises:
        DataError: If the root is no folder, a folder cannot be read, or there is no image.
    """
    root = folder_of_images(root)
    listed = []
    for below in _files(root):
        parts = below.split("/")
        split = parts[0] if len(parts) > 1 and parts[0] in SPLITS else None
        listed.append((below, f"{root.as_posix()}/{below}", parts[-2] if len(parts) > 1 else ".", split))
    if not listed:
        raise DataError(f"root {str(root)!r} holds no image; allowed: files in {', '.join(SUFFIXES)}")
    rows = [tuple(part and _utf8(part) for part in row) for row in sorted(listed)]
    return pd.DataFrame(rows, columns=["image_id", "path", "folder", "split"])


def folder_of_images(root: str | Path) -> Path:
    """A folder's absolute path.

    Raises:
        DataError: If it is no folder.
    """
    root = Path(root).absolute()
    if not root.is_dir():
        raise DataError(f"root {str(root)!r} is not a folder; allowed: a folder of images")
    return root


def _files(root: Path) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise DataError(f"folder {error.filename!r} cannot be read: {error.strerror}") from error

    seen: set[Path] = set()
    for folder, folders, files in os.walk(root, onerror=refuse, followlinks=True):
        real = Path(folder).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        below = Path(folder).relative_to(root).as_posix()
        for name in files:
            if not name.startswith(".") and (
                name.lower().endswith(SUFFIXES) or _begins_like_image(Path(folder, name))
            ):
                yield name if below == "." else f"{below}/{name}"


def _begins_like_image(path: Path) -> bool:
    try:
        if not path.is_file():  # a pipe would block
            return False
        with path.open("rb") as file:
            start = file.read(16)
    except OSError:
        return False
    return start.startswith(_STARTS) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


def _utf8(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def examine(
    listing: pd.DataFrame, *, limit: float = LIMIT, workers: int | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hash and read every listed image once, and set aside what is broken.

    JPEGs are read at an eighth of their size, which meets every byte and costs little.

    Args:
        listing: With ``image_id, path, folder, split``, as ``find`` gives it; further columns are kept.
        limit: Share in [0, 1] of broken images that is tolerated.
        workers: Threads; all cores by default. Pillow lets other threads run while it decodes.

    Returns:
        The manifest: the sound rows with ``sha256`` (of the file) and ``width, height`` (pixels, upright).
        The quarantine: ``image_id, path, folder, split, reason``, a row a broken file. Both in the order
        of the listing, whatever the number of workers.

    Raises:
        BrokenImagesError: If more than ``limit`` are broken; holds the quarantine.
        ValueError: If a column is missing or an image occurs twice.

    What is left out, and how many are converted in which way (see `decoding`), is said in a line each on
    standard error.
    """
    require(listing, ("image_id", "path", "folder", "split"))
    examined = in_parallel(_examined, listing["path"].tolist(), workers, "reading images")
    columns = ["sha256", "width", "height", "conversions", "reason"]
    seen = pd.DataFrame(examined, columns=columns, index=listing.index)
    broken = seen["reason"].notna()
    quarantine = listing[["image_id", "path", "folder", "split"]].assign(reason=seen["reason"])[broken]
    quarantine = quarantine.reset_index(drop=True)
    if len(quarantine) > limit * len(listing):
        raise BrokenImagesError(_too_many(quarantine, len(listing), limit), quarantine)
    counts = Counter(name for names in seen.loc[~broken, "conversions"] for name in names)
    converted = ", ".join(f"{n:,} {name}" for name, n in sorted(counts.items()))
    for line in (left_out(quarantine), f"converted: {converted}" if converted else ""):
        if line:
            print(f"  {line}", file=sys.stderr, flush=True)
    sound = seen.loc[~broken, ["sha256", "width", "height"]].astype({"width": "int64", "height": "int64"})
    return listing[~broken].join(sound).reset_index(drop=True), quarantine


def fingerprint(root: Path) -> str:
    """SHA-256 over the names and the content of every image below a folder, in hexadecimal.

    Args:
        root: The folder; `find` says which files are images. Of one that cannot be read the reason counts.
    """
    listing = find(root)
    contents = in_parallel(content_digest, listing["path"].tolist(), None, "checking")
    lines = (f"{name}\0{content}\n" for name, content in zip(listing["image_id"], contents, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _too_many(quarantine: pd.DataFrame, images: int, limit: float) -> str:
    first = [f"{row.image_id!r} ({row.reason})" for row in quarantine.head(_TOLD).itertuples()]
    more = f" and {len(quarantine) - _TOLD:,} more" if len(quarantine) > _TOLD else ""
    return (
        f"{len(quarantine):,} of {images:,} images are broken, and at most {100 * limit:.3g} % of them may "
        f"be: {'; '.join(first)}{more}. Mend or remove them, or fetch the data again"
    )


def left_out(quarantine: pd.DataFrame) -> str:
    """A sentence on the files that could not be read; empty where there are none."""
    if quarantine.empty:
        return ""
    first = quarantine.iloc[0]
    return (
        f"{len(quarantine):,} of the files could not be read and are left out, such as {first['image_id']} "
        f"({first['reason']}); tables/quarantine.csv lists them."
    )


def _examined(path: str) -> tuple[str | None, int | None, int | None, tuple[str, ...], str | None]:
    try:
        data = read_bytes(path)
        return hashlib.sha256(data).hexdigest(), *measure(data), None
    except UnreadableError as error:
        return None, None, None, (), str(error)


def require(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a table of images without these columns, without rows, or with an image twice."""
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(f"no column {', '.join(missing)}; received {', '.join(map(str, table)) or 'none'}")
    if table.empty:
        raise ValueError("a table of images without rows; at least one image is needed")
    twice = table["image_id"].duplicated()
    if twice.any():
        first = table.loc[twice, "image_id"].iloc[0]
        raise ValueError(f"image {first!r} occurs twice ({int(twice.sum())} such); allowed: each image once")


def in_parallel(step: Callable[[str], T], items: Sequence[str], workers: int | None, what: str) -> list[T]:
    """Results of a step in the order of its items, by threads, with progress."""
    results: list[T] = []
    with threads(workers) as pool, tqdm(total=len(items), desc=what, unit="image") as progress:
        for start in range(0, len(items), _BLOCK):
            for result in pool.map(step, items[start : start + _BLOCK]):
                results.append(result)
                progress.update()
    return results
