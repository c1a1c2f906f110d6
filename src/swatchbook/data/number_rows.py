"""Text files with a line an image: its name, whole numbers, or both, separated by any run of spaces.

DeepFashion and what was cut from it keep their labels so; the longest file has 289 million numbers. They are
parsed in numpy, a few megabytes of whole lines at a time. Nothing is mended: a line that does not fit is
refused by its number.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from swatchbook.data.strict_csv import DataError

BLOCK = 2**22  # bytes parsed at a time; the arrays beside them take about twenty times as much
_LONGEST = 9  # digits that fit into 32 bits
_END, _SPACE, _ZERO, _MINUS = 10, 32, 48, 45


class Block(NamedTuple):
    """Some consecutive lines.

    Attributes:
        first: Number of the first line in the file, counted from 1.
        names: The first word of each line; empty where lines have no names.
        counts: How many numbers each line has, shape (lines,).
        numbers: All of them, line after line, int32.
    """

    first: int
    names: list[str]
    counts: np.ndarray
    numbers: np.ndarray


def first_lines(path: Path, count: int) -> list[str]:
    """The first lines of a text file, without spaces around them; fewer where it has fewer.

    Raises:
        DataError: If it is missing or not UTF-8.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return [line.strip() for _, line in zip(range(count), file, strict=False)]
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not UTF-8 ({error.reason}); save it as UTF-8") from None


def read_blocks(path: Path, *, named: bool, skip: int = 0, size: int = BLOCK) -> Iterator[Block]:
    """Read a file block by block.

    Args:
        path: The file. Lines may end in CRLF or in spaces, and blank lines may follow the last one.
        named: Whether each line begins with a name, which has no spaces in it.
        skip: Lines of header that are passed over.
        size: Bytes to read at a time.

    Raises:
        DataError: If it is missing or not UTF-8, has no lines but its header, a blank line between others, or
            a word that is no whole number.
    """
    line, rest = skip + 1, b""
    try:
        with path.open("rb") as file:
            for _ in range(skip):
                file.readline()
            while chunk := file.read(size):
                data = rest + chunk
                end = data.rfind(b"\n", 0, len(data.rstrip())) + 1  # the last line may go on, or be blank
                if end:
                    block = _parsed(data[:end], line, named, path.name)
                    line += len(block.counts)
                    yield block
                rest = data[end:]
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    if rest.strip():
        yield _parsed(rest.rstrip() + b"\n", line, named, path.name)
    elif line == skip + 1:
        raise DataError(
            f"{path.name} is empty; at least one line is needed" + (", after its header" * (skip > 0))
        )


def read_rows(path: Path, width: int, *, named: bool, skip: int = 0) -> tuple[list[str], np.ndarray]:
    """Read a file whose lines have equally many numbers.

    Args:
        path: As for `read_blocks`.
        width: Numbers a line; 0 where a line is a name alone.
        named: As for `read_blocks`.
        skip: As for `read_blocks`.

    Returns:
        The names (none where lines have none), and int32 of shape (lines, width).

    Raises:
        DataError: As `read_blocks`, and if a line has another number of numbers.
    """
    names: list[str] = []
    parts = []
    for block in read_blocks(path, named=named, skip=skip):
        refuse_counts(block, width, path.name)
        names += block.names
        parts.append(
            block.numbers.reshape(-1, width) if width else np.empty((len(block.counts), 0), np.int32)
        )
    return names, np.concatenate(parts)


def refuse_counts(block: Block, width: int, file: str) -> None:
    """Refuse the first line of a block that has another number of numbers."""
    wrong = np.flatnonzero(block.counts != width)
    if wrong.size:
        count = block.counts[wrong[0]]
        line = f"{file}, line {block.first + wrong[0]:,}"
        raise DataError(f"{line} has {count:,} number{'s' if count != 1 else ''}; allowed: {width:,}")


def _parsed(data: bytes, first: int, named: bool, file: str) -> Block:
    """Parse whole lines, the last of which ends in a line break."""
    text = np.frombuffer(data, np.uint8)
    inside = text > _SPACE
    edges = np.flatnonzero(np.diff(inside, prepend=False))
    starts, ends = edges[::2], edges[1::2]
    breaks = np.flatnonzero(text == _END)
    words = np.diff(np.searchsorted(starts, breaks), prepend=0)
    if (words == 0).any():
        raise DataError(f"{file}, line {first + int(np.argmin(words)):,} is blank; allowed: no blank lines")
    names: list[str] = []
    if named:
        opening = np.cumsum(words) - words
        try:
            names = [data[a:b].decode() for a, b in zip(starts[opening], ends[opening], strict=True)]
        except UnicodeDecodeError as error:
            raise DataError(f"{file} is not UTF-8 ({error.reason}); save it as UTF-8") from None
        others = np.ones(len(starts), dtype=bool)
        others[opening] = False
        starts, ends, words = starts[others], ends[others], words - 1
    return Block(first, names, words, _numbers(text, starts, ends, words, first, file))


def _numbers(
    text: np.ndarray, starts: np.ndarray, ends: np.ndarray, words: np.ndarray, first: int, file: str
) -> np.ndarray:
    """The words as whole numbers, int32, shape (words,)."""
    negative = text[starts] == _MINUS
    at, digits = starts + negative, ends - starts - negative
    wrong = (digits < 1) | (digits > _LONGEST)
    values = np.zeros(len(starts), np.int32)
    for place in range(int(np.clip(digits, 0, _LONGEST).max(initial=0))):
        here = slice(None) if digits.min() > place else digits > place
        digit = text[at[here] + place] - np.uint8(_ZERO)  # below "0" this wraps around to above 9
        wrong[here] |= digit > 9
        values[here] = values[here] * 10 + digit
    if wrong.any():
        which = int(np.argmax(wrong))
        line = first + int(np.searchsorted(np.cumsum(words), which, side="right"))
        word = text[starts[which] : ends[which]].tobytes().decode("utf-8", "replace")
        raise DataError(f"{file}, line {line:,}: {word!r} is no whole number")
    return np.where(negative, -values, values)
