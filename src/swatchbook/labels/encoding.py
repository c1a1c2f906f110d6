"""Images → cosines with every class, in shards that survive an interruption.

Cosines are what is kept: labels, confidences and abstentions follow from them, so thresholds and the
temperature can change without looking at an image again.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from swatchbook.data.decoding import UnreadableError, decode, read_bytes, threads
from swatchbook.labels.labeller import Labeller
from swatchbook.schema import Schema

_Seen = torch.Tensor | str  # a preprocessed picture, or why there is none


def cosine_table(
    labeller: Labeller,
    paths: Sequence[str | Path],
    schema: Schema,
    folder: Path,
    *,
    batch: int = 64,
    shard: int = 1024,
    tolerated: float = 0.01,
    workers: int | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cosines of images with every class, computed or taken up where an earlier call was stopped.

    A shard is kept under a key of everything that its cosines depend on: the model, the prompts, the
    images' bytes and the size of a batch. A shard of another key, or one that is damaged, is made anew.

    Args:
        labeller: The model.
        paths: Image files.
        schema: Gives attributes, classes and prompts.
        folder: Where shards are kept; made if absent.
        batch: Images in one go.
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
    if not len(paths):
        raise ValueError("paths is empty; at least one image is needed")
    if batch < 1 or shard < 1 or not 0 <= tolerated <= 1:
        raise ValueError(
            "batch and shard must be at least 1 and tolerated lie in [0, 1]; "
            f"received {batch}, {shard} and {tolerated}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    classes = np.concatenate(list(labeller.class_embeddings(schema).values()))
    parts, broken = [], []
    with (
        tqdm(total=len(paths), desc="labelling", unit="image") as progress,
        threads(workers) as pool,
    ):
        for number, start in enumerate(range(0, len(paths), shard)):
            some = [Path(path) for path in paths[start : start + shard]]
            key = _key(labeller, classes, list(pool.map(_digest, some)), batch)
            file = folder / f"shard-{number:05d}.npz"
            part = _kept(file, key, len(some), len(classes))
            if part is None:
                part = _encoded(labeller, classes, some, batch, pool, progress)
                _keep(file, key, *part)
            else:
                progress.update(len(some))
            parts.append(part[0])
            broken += [{"path": str(some[row]), "reason": reason} for row, reason in part[1]]
            if len(broken) > tolerated * len(paths):
                first = "; ".join(f"{b['path']} ({b['reason']})" for b in broken[:3])
                raise ValueError(
                    f"{len(broken)} of {len(paths)} images are unreadable, more than {tolerated:.1%}: {first}"
                )
    columns = [f"{a.name}:{label}" for a in schema for label in a.classes]
    return (
        pd.DataFrame(np.concatenate(parts), columns=columns),
        pd.DataFrame(broken, columns=["path", "reason"]),
    )


def _encoded(
    labeller: Labeller,
    classes: np.ndarray,
    paths: list[Path],
    batch: int,
    pool: ThreadPoolExecutor,
    progress: tqdm,
) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Cosines of a shard, float32 of shape (paths, classes), and which rows failed and why."""
    cosines = np.full((len(paths), len(classes)), np.nan, dtype=np.float32)
    broken = []
    for start, seen in _batches(labeller, paths, batch, pool):
        good = [row for row, picture in enumerate(seen) if isinstance(picture, torch.Tensor)]
        broken += [(start + row, picture) for row, picture in enumerate(seen) if isinstance(picture, str)]
        if good:
            cosines[[start + row for row in good]] = labeller.embed([seen[row] for row in good]) @ classes.T
        progress.update(len(seen))
    return cosines, broken


def _batches(
    labeller: Labeller, paths: list[Path], batch: int, pool: ThreadPoolExecutor
) -> Iterator[tuple[int, list[_Seen]]]:
    """Start and preprocessed pictures of each batch; the next is in the making while one is used."""

    def seen(path: Path) -> _Seen:
        try:
            return labeller.preprocess(decode(read_bytes(str(path))))
        except UnreadableError as error:
            return str(error)

    def begin(start: int) -> list:
        return [pool.submit(seen, path) for path in paths[start : start + batch]]

    coming = begin(0)
    for start in range(0, len(paths), batch):
        ready, coming = coming, begin(start + batch)
        yield start, [future.result() for future in ready]


def _key(labeller: Labeller, classes: np.ndarray, digests: list[str], batch: int) -> str:
    told = json.dumps([labeller.fingerprint, batch, digests]).encode()
    return hashlib.sha256(told + classes.tobytes()).hexdigest()


def _digest(path: Path) -> str:
    """SHA-256 of a file's bytes; of its absence where it cannot be read, which encoding reports."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "unreadable"


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


def _kept(path: Path, key: str, rows: int, columns: int) -> tuple[np.ndarray, list[tuple[int, str]]] | None:
    """A shard written earlier, or None if it is absent, damaged or of something else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["key"]) != key or file["cosines"].shape != (rows, columns):
                return None
            return file["cosines"], [
                (int(row), str(reason)) for row, reason in json.loads(str(file["broken"]))
            ]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
