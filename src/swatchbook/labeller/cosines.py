"""Images → cosines with every class, in shards that survive an interruption.

Cosines are what is kept: labels, confidences and abstentions follow from them, so thresholds and the
temperature can change without looking at an image again.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from swatchbook.data.decoding import UnreadableError, decode, read_bytes, threads
from swatchbook.labeller.zero_shot import Labeller
from swatchbook.memory import keep_freed
from swatchbook.schema import Schema

_Seen = tuple[str, torch.Tensor | str]  # digest of a file; its preprocessed picture, or why there is none
_Part = tuple[np.ndarray, list[tuple[int, str]]]  # cosines of some rows; which of them failed, and why
_Encoded = tuple[_Part, list[str]]  # of a batch or a shard; and the digests of its files
_UNREAD = "unreadable"


def cosine_table(
    labeller: Labeller,
    paths: Sequence[str | Path],
    schema: Schema,
    folder: Path,
    *,
    batch: int | None = None,
    shard: int = 1024,
    tolerated: float = 0.01,
    workers: int | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cosines of images with every class, computed or taken up where an earlier call was stopped.

    Args:
        labeller: The model.
        paths: Image files.
        schema: Gives attributes, classes and prompts.
        folder: Where shards are kept; made if absent.
        batch: Images in one go; by default ``usual_batch``.
        shard: Images in a shard.
        tolerated: Share of files in [0, 1] that may be unreadable.
        workers: Threads that read and shrink images; one a core by default.

    Returns:
        The cosines, float32, a row a path in the order given and a column ``<attribute>:<class>``; null
        throughout where the file is unreadable. And the unreadable files: ``path``, ``reason``.

    Raises:
        ValueError: If there are no paths, an argument lies outside its range, or more than ``tolerated``
            of the files are unreadable.
    """
    if not 0 <= tolerated <= 1:
        raise ValueError(f"tolerated must lie in [0, 1]; received {tolerated}")
    parts: list[pd.DataFrame] = []
    lost: list[dict] = []
    for part, broken in cosine_parts(
        labeller, paths, schema, folder, batch=batch, shard=shard, workers=workers
    ):
        parts.append(part)
        lost += broken.to_dict("records")
        if len(lost) > tolerated * len(paths):
            first = "; ".join(f"{b['path']} ({b['reason']})" for b in lost[:3])
            raise ValueError(
                f"{len(lost)} of {len(paths)} images are unreadable, more than {tolerated:.1%}: {first}"
            )
    return pd.concat(parts), pd.DataFrame(lost, columns=["path", "reason"])


def cosine_parts(
    labeller: Labeller,
    paths: Sequence[str | Path],
    schema: Schema,
    folder: Path,
    *,
    batch: int | None = None,
    shard: int = 1024,
    workers: int | None = None,
    enough: int | None = None,
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Cosines of images with every class, a shard at a time, so that memory does not grow with the images.

    A shard is kept under a key of everything that its cosines depend on: the model, the prompts, the
    images' bytes, the size of a batch and how small images may be read. A shard of another key, or one
    that is damaged, is made anew.

    Args:
        labeller: The model.
        paths: Image files.
        schema: Gives attributes, classes and prompts.
        folder: Where shards are kept; made if absent.
        batch: Images in one go; by default ``usual_batch``.
        shard: Images in a shard.
        workers: Threads that read and shrink images; one a core by default.
        enough: See ``decode``.

    Yields:
        Of each shard what ``cosine_table`` returns; the rows' index is the place of their paths.

    Raises:
        ValueError: If there are no paths or an argument lies outside its range.
    """
    if not len(paths):
        raise ValueError("paths is empty; at least one image is needed")
    batch = usual_batch(labeller.device) if batch is None else batch
    if batch < 1 or shard < 1:
        raise ValueError(f"batch and shard must be at least 1; received {batch} and {shard}")
    folder.mkdir(parents=True, exist_ok=True)
    classes = np.concatenate(list(labeller.class_embeddings(schema).values()))
    columns = [f"{a.name}:{label}" for a in schema for label in a.classes]
    settings = [labeller.fingerprint, batch, enough]
    with tqdm(total=len(paths), desc="labelling", unit="image") as progress, _pool(labeller, workers) as pool:
        for number, start in enumerate(range(0, len(paths), shard)):
            some = [Path(path) for path in paths[start : start + shard]]
            file = folder / f"shard-{number:05d}.npz"
            part = None
            if file.is_file():
                part = _kept(file, _key(settings, classes, list(pool.map(_digest, some))), len(some))
            if part is not None:
                progress.update(len(some))
            else:
                batches = _encoded(labeller, classes, some, batch, enough, pool)
                part, digests = _joined(batches, progress)
                _keep(file, _key(settings, classes, digests), *part)
            cosines, broken = part
            index = range(start, start + len(some))
            yield (
                pd.DataFrame(cosines, columns=columns, index=index),
                pd.DataFrame(
                    [(str(some[row]), reason) for row, reason in broken], columns=["path", "reason"]
                ),
            )


def usual_batch(device: str) -> int:
    """Images in one go: few on a CPU, whose caches and whose threads' memory hold no more of them."""
    return 16 if device == "cpu" else 64


@contextmanager
def _pool(labeller: Labeller, workers: int | None) -> Iterator[ThreadPoolExecutor]:
    """Threads that read files; where the model runs on the CPU as well, each takes whole batches through it.

    A batch is then computed by one thread: several that share it wait for each other at every layer, and
    the longer the busier the cores are with reading. Its bits do not depend on the number of cores either.
    """
    if labeller.device != "cpu":
        with threads(workers) as pool:
            yield pool
        return
    keep_freed()
    before = torch.get_num_threads()
    try:
        with threads(workers, lambda: torch.set_num_threads(1)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)  # what a thread sets holds for those that are begun after it


def _encoded(
    labeller: Labeller,
    classes: np.ndarray,
    paths: list[Path],
    batch: int,
    enough: int | None,
    pool: ThreadPoolExecutor,
) -> Iterator[_Encoded]:
    """A shard's batches, encoded; they are begun at once."""

    def seen(path: Path) -> _Seen:
        digest = _UNREAD
        try:
            data = read_bytes(str(path))
            digest = hashlib.sha256(data).hexdigest()
            return digest, labeller.shrink(decode(data, enough))
        except UnreadableError as error:
            return digest, str(error)

    def embedded(pictures: list[_Seen]) -> _Encoded:
        cosines = np.full((len(pictures), len(classes)), np.nan, dtype=np.float32)
        good = [row for row, (_, picture) in enumerate(pictures) if isinstance(picture, torch.Tensor)]
        broken = [(row, picture) for row, (_, picture) in enumerate(pictures) if isinstance(picture, str)]
        if good:
            cosines[good] = labeller.embed([pictures[row][1] for row in good]) @ classes.T
        return (cosines, broken), [digest for digest, _ in pictures]

    some = [paths[start : start + batch] for start in range(0, len(paths), batch)]
    if labeller.device == "cpu":
        # Both at once, and all of them: what waits is names, and what is done is small.
        return pool.map(lambda part: embedded([seen(path) for path in part]), some)
    return map(embedded, _ahead(seen, some, pool))


def _ahead(
    seen: Callable[[Path], _Seen], some: list[list[Path]], pool: ThreadPoolExecutor
) -> Iterator[list[_Seen]]:
    """Each batch's pictures, the next one's in the making while these are used."""
    coming = pool.map(seen, some[0])
    for after in [*some[1:], []]:
        ready, coming = coming, pool.map(seen, after)
        yield list(ready)


def _joined(batches: Iterator[_Encoded], progress: tqdm) -> _Encoded:
    """Batches as one: cosines of shape (rows, classes), which rows failed and why; all files' digests."""
    cosines, broken, digests = [], [], []
    for (found, failed), told in batches:
        broken += [(len(digests) + row, reason) for row, reason in failed]
        cosines.append(found)
        digests += told
        progress.update(len(told))
    return (np.concatenate(cosines), broken), digests


def _key(settings: list, classes: np.ndarray, digests: list[str]) -> str:
    told = json.dumps([*settings, digests]).encode()
    return hashlib.sha256(told + classes.tobytes()).hexdigest()


def _digest(path: Path) -> str:
    """SHA-256 of a file's bytes; of no file where it cannot be read, which encoding reports."""
    try:
        return hashlib.sha256(read_bytes(str(path))).hexdigest()
    except UnreadableError:
        return _UNREAD


def _keep(path: Path, key: str, cosines: np.ndarray, broken: list[tuple[int, str]]) -> None:
    """Write a shard atomically."""
    temporary = path.with_name(f".writing-{path.name}")
    try:
        with temporary.open("wb") as file:
            np.savez(file, key=np.array(key), cosines=cosines, broken=np.array(json.dumps(broken)))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _kept(path: Path, key: str, rows: int) -> _Part | None:
    """A shard written earlier, or None if it is damaged or of something else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["key"]) != key or len(file["cosines"]) != rows:
                return None
            return file["cosines"], [
                (int(row), str(reason)) for row, reason in json.loads(str(file["broken"]))
            ]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
