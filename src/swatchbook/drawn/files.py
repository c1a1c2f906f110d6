"""Pictures drawn by several processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from swatchbook.memory import keep_freed

T = TypeVar("T")
Row = Mapping[str, Any]
_BLOCK = 16  # images a process takes at a time


def draw_files(
    root: Path,
    rows: Sequence[Row],
    draw: Callable[[Row, np.random.Generator], tuple[Image.Image, T]],
    seed: int,
    workers: int | None = None,
) -> list[T]:
    """Draw a JPEG file a row.

    Image i is drawn by ``default_rng([seed, i])`` alone, so that its bytes depend neither on the number of
    processes nor on their order. The pool starts fresh processes, so a script that calls this with several
    needs the usual ``if __name__ == "__main__":``; a notebook does not.

    Args:
        root: Where the files go.
        rows: What is drawn; ``path`` says where, relative to ``root``.
        draw: Makes the picture and what else is known of it, from a row and the image's own randomness;
            importable by name.
        seed: At least 0.
        workers: Processes; all cores by default, 1 draws in this process.

    Returns:
        What else is known of each picture, in the order of the rows.
    """
    for folder in sorted({str(Path(row["path"]).parent) for row in rows}):
        (root / folder).mkdir(parents=True, exist_ok=True)
    return list(chain.from_iterable(in_blocks(partial(_save, root, draw, seed), rows, workers)))


def in_blocks(
    work: Callable[[list[tuple[int, Row]]], T], rows: Sequence[Row], workers: int | None = None
) -> Iterator[T]:
    """Results of work on blocks of numbered rows, in their order, with progress.

    Args:
        work: Takes a block of numbers and rows; importable by name.
        rows: What there is to draw.
        workers: Processes; all cores by default, 1 works in this process.
    """
    numbered = list(enumerate(rows))
    blocks = [numbered[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
    workers = min(workers or cores(), len(blocks))
    with tqdm(total=len(rows), desc="drawing", unit="image") as progress:
        if workers <= 1:
            for block in blocks:
                yield work(block)
                progress.update(len(block))
            return
        with ProcessPoolExecutor(workers, get_context("spawn"), initializer=keep_freed) as pool:
            for block, result in zip(blocks, pool.map(work, blocks), strict=True):
                progress.update(len(block))
                yield result


def require_at_least(**values: tuple[int, int]) -> None:
    """Refuse arguments that are too small.

    Args:
        values: Name → value and the least that is allowed.

    Raises:
        ValueError: If one is; the message names it.
    """
    for name, (value, least) in values.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}; received {value}")


def require_drawable(*, seed: int, size: int, workers: int | None, **counts: tuple[int, int]) -> None:
    """Refuse what no data set can be drawn by.

    Args:
        seed: At least 0.
        size: Pixels, at least 48.
        workers: None or at least 1.
        counts: Name → how many and the least that is allowed.

    Raises:
        ValueError: If one is too small; the message names it.
    """
    workers = 1 if workers is None else workers
    require_at_least(**counts, seed=(seed, 0), size=(size, 48), workers=(workers, 1))


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _save(
    root: Path,
    draw: Callable[[Row, np.random.Generator], tuple[Image.Image, T]],
    seed: int,
    block: list[tuple[int, Row]],
) -> list[T]:
    known = []
    for index, row in block:
        rng = np.random.default_rng([seed, index])
        picture, more = draw(row, rng)
        quality = int(rng.integers(62, 96))
        picture.save(root / row["path"], "JPEG", quality=quality, subsampling=2, optimize=False)
        known.append(more)
    return known
