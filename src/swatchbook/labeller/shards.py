"""Images → an encoder's values, in shards that survive an interruption.

A shard is a file of its own with the values of a fixed number of images, under a key of everything that they
depend on: the encoder, the images' bytes and the size of a batch. A shard of another key, or one that is
damaged, is made anew. The machines of a cluster write into one such folder.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from swatchbook.atomic import write_file
from swatchbook.data.decoding import UnreadableError, content_digest, decode, read_bytes, threads
from swatchbook.memory import keep_freed

SHARD = 1024  # images; a table has a row group a shard
_Prepared = tuple[str, np.ndarray | str]  # digest of a file; its prepared picture, or why there is none


class Encoder(Protocol):
    """A model that gives every image a row of values.

    Attributes:
        name: What it is, for a person.
        identity: Name → text, all that a value depends on but the image and the machine.
        columns: Names of the values.
        device: Where it runs, such as ``cpu``.
        precision: The number format that it computes in.
        threads: CPU threads that it must compute on; None leaves it to the runtime.
        short_side: Short side in pixels at which a JPEG may be read; None reads every image in full.
    """

    name: str
    identity: Mapping[str, str]
    columns: Sequence[str]
    device: str
    precision: str
    threads: int | None
    short_side: int | None

    def prepare(self, image: Image.Image) -> np.ndarray:
        """An RGB picture as the model takes it; called in threads that read files."""

    def encode(self, pictures: list[np.ndarray]) -> np.ndarray:
        """Values of prepared pictures, float32, shape (pictures, columns)."""


class Shard(NamedTuple):
    """Values of some images.

    Attributes:
        key: Of what the values depend on, a SHA-256.
        array: Their values, float32, shape (images, columns); NaN throughout where one could not be read.
        broken: Rows that could not be read, and why.
    """

    key: str
    array: np.ndarray
    broken: list[tuple[int, str]]

    def tables(
        self, columns: Sequence[str], paths: Sequence[str | Path], start: int
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The values, indexed from `start` on; and the broken files, ``path``, ``reason``."""
        index = range(start, start + len(self.array))
        lost = [(str(paths[row]), reason) for row, reason in self.broken]
        return (
            pd.DataFrame(self.array, columns=list(columns), index=index),
            pd.DataFrame(lost, columns=["path", "reason"]),
        )


def encode_in_shards(
    encoder: Encoder,
    paths: Sequence[str | Path],
    folder: Path,
    *,
    batch: int | None = None,
    shard: int = SHARD,
    workers: int | None = None,
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Values of images, a shard at a time, so that memory does not grow with the images.

    Args:
        encoder: The model.
        paths: Image files.
        folder: Where shards are kept; made if absent.
        batch: Images in one go; by default ``usual_batch``.
        shard: Images in a shard.
        workers: Threads that read and prepare images; one a core by default.

    Yields:
        Of each shard the values, null throughout where a file is unreadable, the index being the place of
        its path; and the unreadable files, ``path``, ``reason``.

    Raises:
        ValueError: If there are no paths, an argument lies outside its range, or the model gives what is no
            number.
    """
    if not len(paths):
        raise ValueError("paths is empty; at least one image is needed")
    batch = usual_batch(encoder.device) if batch is None else batch
    if batch < 1 or shard < 1:
        raise ValueError(f"batch and shard must be at least 1; received {batch} and {shard}")
    with (
        tqdm(total=len(paths), desc="encoding", unit="image") as progress,
        reading_threads(encoder.device, workers) as pool,
    ):
        for number, start in enumerate(range(0, len(paths), shard)):
            some = paths[start : start + shard]
            made = encode_shard(encoder, some, shard_file(folder, number), batch, pool, progress.update)
            yield made.tables(encoder.columns, some, start)


def usual_batch(device: str) -> int:
    """Images in one go: few on a CPU, whose caches and whose threads' memory hold no more of them."""
    return 16 if device == "cpu" else 64


def shard_file(folder: Path, number: int) -> Path:
    """Where a shard lies."""
    return folder / f"shard-{number:05d}.npz"


@contextmanager
def reading_threads(device: str, workers: int | None) -> Iterator[ThreadPoolExecutor]:
    """Threads that read files; where the model runs on the CPU as well, each takes whole batches through it.

    A batch is then computed by one thread: several that share it wait for each other at every layer, and
    the longer the busier the cores are with reading. Its bits do not depend on the number of cores either.
    """
    if device != "cpu":
        with threads(workers) as pool:
            yield pool
        return
    keep_freed()
    torch = sys.modules.get("torch")  # loaded where it computes; other runtimes are told when they are made
    if torch is None:
        with threads(workers) as pool:
            yield pool
        return
    before = torch.get_num_threads()
    try:
        with threads(workers, lambda: torch.set_num_threads(1)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)  # what a thread sets holds for those that are begun after it


def encode_shard(
    encoder: Encoder,
    paths: Sequence[str | Path],
    file: Path,
    batch: int,
    pool: ThreadPoolExecutor,
    progress: Callable[[int], object] = lambda _: None,
) -> Shard:
    """One shard: what its file holds if that is of these images, else computed and written there.

    Args:
        encoder: The model.
        paths: The shard's images.
        file: See `shard_file`; its folder is made if absent.
        batch: Images in one go.
        pool: As `reading_threads` gives it for the encoder's device.
        progress: Called with the number of images that are done.

    Raises:
        StoreError: If the file cannot be written.
    """
    paths = [Path(path) for path in paths]
    if file.is_file():
        kept = read_shard(
            file, _key(encoder, batch, list(pool.map(content_digest, map(str, paths)))), len(paths)
        )
        if kept is not None:
            progress(len(paths))
            return kept
    values, broken, digests = [], [], []
    for some, failed, seen in _batches(encoder, paths, batch, pool):
        broken += [(len(digests) + row, reason) for row, reason in failed]
        values.append(some)
        digests += seen
        progress(len(seen))
    made = Shard(_key(encoder, batch, digests), np.concatenate(values), broken)
    content = {"key": np.array(made.key), "values": made.array, "broken": np.array(json.dumps(broken))}
    write_file(file, lambda partial: np.savez(partial, **content))
    return made


def read_shard(file: Path, key: str, rows: int) -> Shard | None:
    """A shard that was written under this key, or None if it is damaged or of something else."""
    try:
        with np.load(file, allow_pickle=False) as content:
            if str(content["key"]) != key or len(content["values"]) != rows:
                return None
            broken = [(int(row), str(reason)) for row, reason in json.loads(str(content["broken"]))]
            return Shard(key, content["values"], broken)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _batches(
    encoder: Encoder, paths: list[Path], batch: int, pool: ThreadPoolExecutor
) -> Iterator[tuple[np.ndarray, list[tuple[int, str]], list[str]]]:
    """Each batch's values, which of its rows failed and why, and the digests of its files."""

    def prepared(path: Path) -> _Prepared:
        digest = None
        try:
            data = read_bytes(str(path))
            digest = hashlib.sha256(data).hexdigest()
            return digest, encoder.prepare(decode(data, encoder.short_side))
        except UnreadableError as error:
            return digest or content_digest(str(path)), str(error)

    def encoded(pictures: list[_Prepared]) -> tuple[np.ndarray, list[tuple[int, str]], list[str]]:
        values = np.full((len(pictures), len(encoder.columns)), np.nan, dtype=np.float32)
        good = [row for row, (_, picture) in enumerate(pictures) if not isinstance(picture, str)]
        failed = [(row, picture) for row, (_, picture) in enumerate(pictures) if isinstance(picture, str)]
        if good:
            values[good] = made = encoder.encode([pictures[row][1] for row in good])
            if not np.isfinite(made).all():
                raise ValueError(f"{encoder.name} gives values that are not finite; fetch or train it again")
        return values, failed, [digest for digest, _ in pictures]

    some = [paths[start : start + batch] for start in range(0, len(paths), batch)]
    if encoder.device == "cpu":
        # Both at once, and all of them: what waits is names, and what is done is small.
        return pool.map(lambda part: encoded([prepared(path) for path in part]), some)
    return map(encoded, _ahead(prepared, some, pool))


def _ahead(
    prepared: Callable[[Path], _Prepared], some: list[list[Path]], pool: ThreadPoolExecutor
) -> Iterator[list[_Prepared]]:
    """Each batch's pictures, the next one being read while these are used."""
    coming = pool.map(prepared, some[0])
    for after in [*some[1:], []]:
        ready, coming = coming, pool.map(prepared, after)
        yield list(ready)


def _key(encoder: Encoder, batch: int, digests: list[str]) -> str:
    settings = [dict(encoder.identity), list(encoder.columns), encoder.precision, encoder.short_side, batch]
    return hashlib.sha256(json.dumps([settings, digests]).encode()).hexdigest()
