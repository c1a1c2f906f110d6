"""One file's bytes → RGB pixels, by stated rules.

What becomes of a file, whatever its name says:

- EXIF (or XMP) orientation is applied; if that block is damaged the pixels are taken as they lie.
- Of 16 bits the upper 8 are kept, grey or colour, so that 65,535 becomes 255 and nothing saturates.
  Samples of 32 bits have no known white and are refused.
- Alpha, and a palette's or a grey's transparent entry, are laid on white.
- CMYK, YCbCr, palette, grey and bilevel become RGB as Pillow converts them; colour profiles are ignored,
  as torchvision's loader ignores them.
- Of an animation or a file of several pages, the first frame.

Nothing is mended: what cannot be read in full is refused with a reason.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 89_478_485  # where Pillow begins to warn of a decompression bomb
MAX_ASPECT = 200  # a longer strip would take hundreds of megabytes to scale and shows nothing
MAX_BYTES = 2**28
# Others, such as EPS, start interpreters or are never photographs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

T = TypeVar("T")


class UnreadableError(ValueError):
    """Bytes that do not give a picture; the message is the reason alone."""


def read_bytes(path: str) -> bytes:
    """The content of an image file.

    Raises:
        UnreadableError: If it is missing, may not be read, or is larger than any photograph.
    """
    try:
        about = Path(path).stat()
        if not stat.S_ISREG(about.st_mode):  # a pipe would block
            raise UnreadableError("not a file")
        if about.st_size > MAX_BYTES:
            raise UnreadableError(f"too large: {about.st_size:,} bytes; at most {MAX_BYTES:,}")
        return Path(path).read_bytes()
    except OSError as error:
        if "\\udc" in path:
            raise UnreadableError("its name is not UTF-8; rename it") from None
        raise UnreadableError(error.strerror or str(error)) from None


def content_digest(path: str) -> str:
    """SHA-256 of an image file in hexadecimal, or why it cannot be read; only regular files are opened."""
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()
    except UnreadableError as error:
        return f"unreadable: {error}"


def decode(data: bytes, short_side: int | None = None) -> Image.Image:
    """Bytes of an image file → an upright RGB picture, by the rules at the head of this module.

    Args:
        data: The file's content.
        short_side: In pixels, at least 1, that suffices. A JPEG is then read at a half, a quarter or
            an eighth of its size as long as its short side stays that long; every byte of it is still met.
            By default each picture is read in full.

    Raises:
        UnreadableError: If they are empty, cut off, no image, of an unread format, or too large or too long
            and thin (``MAX_PIXELS``, ``MAX_ASPECT``).
    """

    def decoded() -> Image.Image:
        image = _opened(data)
        if short_side:
            image.draft(None, (short_side, short_side))  # does nothing to other formats
        return _rgb(_upright(_loaded(image)))

    return _reasoned(decoded, data)


def measure(data: bytes) -> tuple[int, int, tuple[str, ...]]:
    """Width and height in pixels of what ``decode`` is sure to give, and what it converts.

    Returns:
        Width, height, and in words each of the conversions above by which something is lost or moved.

    Raises:
        UnreadableError: As ``decode``.
    """

    def measured() -> tuple[int, int, tuple[str, ...]]:
        image = _opened(data)
        deep = any(";16" in str(tile[3]) for tile in image.tile)  # known only until the pixels are loaded
        full = image.size if image.format == "JPEG" else None
        if full:
            image.draft(None, (1, 1))  # changes the size but still meets all bytes
        _loaded(image)
        width, height = full or image.size
        _rgb(image)
        turned = _orientation(image)
        found = {
            "16 bits a sample": deep,
            "CMYK": image.mode == "CMYK",
            "transparent": image.has_transparency_data,
            "turned by EXIF": turned != 1,
            "several frames or pages": _animated(image),
        }
        converted = tuple(name for name, holds in found.items() if holds)
        return (height, width, converted) if turned >= 5 else (width, height, converted)

    return _reasoned(measured, data)


def _reasoned(step: Callable[[], T], data: bytes) -> T:
    """Run a step of decoding; whatever Pillow raises on bad bytes becomes a reason."""
    try:
        return step()
    except UnreadableError:
        raise
    except UnidentifiedImageError:
        raise UnreadableError(_instead(data)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableError(f"too large: {error}") from None
    except Exception as error:  # damaged files raise almost anything: struct.error, SyntaxError, IndexError
        raise UnreadableError(f"damaged: {error or type(error).__name__}") from None


def _instead(data: bytes) -> str:
    """What bytes are that are no image."""
    start = data[:256].lstrip().lower()
    if not data:
        return "empty: 0 bytes"
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<svg")):
        return "a page of HTML or XML, not an image"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return "HEIC, which is not read; convert it to JPEG"
    return f"not an image in a format that is read ({', '.join(FORMATS)})"


@cache
def _formats() -> tuple[str, ...]:
    """The formats that this Pillow reads; some builds lack AVIF."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=_formats())
    short, long = sorted(image.size)
    if short * long > MAX_PIXELS:
        raise UnreadableError(f"too large: {image.width:,} × {image.height:,} pixels; at most {MAX_PIXELS:,}")
    if long > MAX_ASPECT * short:
        raise UnreadableError(
            f"too long and thin: {image.width:,} × {image.height:,} pixels; at most 1 to {MAX_ASPECT}"
        )
    return image


def _animated(image: Image.Image) -> bool:
    """Whether there are several frames or pages; a damaged later one is one too."""
    try:
        return getattr(image, "is_animated", False)
    except Exception:
        return True


def _loaded(image: Image.Image) -> Image.Image:
    image.load()
    return image


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
        return orientation if orientation in _TURNS else 1
    except Exception:  # a damaged block is no reason to lose sound pixels
        return 1


def _upright(image: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    # Older Pillows open a 16-bit grey PNG as "I".
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise UnreadableError("32 bits a sample, so its white is not known; convert it to 8 bits")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        return white.convert("RGB")
    return image.convert("RGB")


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def threads(
    workers: int | None = None, initializer: Callable[[], object] | None = None
) -> Iterator[ThreadPoolExecutor]:
    """A pool for decoding; Pillow lets other threads run while it decodes and scales.

    What has not been begun when the pool is left is not done any more.

    Args:
        workers: At least 1; all cores that this process may use by default.
        initializer: Called in each thread when it begins.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1; received {workers}")
    _formats()  # loads Pillow's plugins before threads would race to
    with warnings.catch_warnings(), ThreadPoolExecutor(workers or cores(), initializer=initializer) as pool:
        # Pillow only warns between one and two times its limit; `_opened` refuses there.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", "Corrupt EXIF", UserWarning)
        try:
            yield pool
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
