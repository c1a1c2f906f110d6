"""Drawn images for training and judging a labeller: every class equally often, nothing coupled.

The drawn world of the study hangs its attributes together on purpose. A labeller must not learn that,
so here colour, pattern, texture and fabric are drawn independently of each other.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from tqdm import tqdm

from swatchbook import drawn as rendered
from swatchbook.drawn import FOLDERS, LABELS, draw_image

SIDE = 144  # pixels kept of a training image; crops of it are what the model sees
_SIZES = (160, 224, 320)  # a fabric's grain differs by the size it is drawn at
_BLOCK = 64  # images a worker takes at a time


def drawn_labels(n: int, seed: int) -> pd.DataFrame:
    """Labels of n images, each attribute uniform over its classes and independent of the others.

    Args:
        n: At least 1.
        seed: At least 0.

    Returns:
        A row an image: ``folder``, ``color``, ``pattern``, ``texture``.
    """
    if n < 1 or seed < 0:
        raise ValueError(f"n must be at least 1 and seed at least 0; received n={n}, seed={seed}")
    # A spawn key keeps this stream apart from every image's own.
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    classes = {"folder": FOLDERS, **LABELS}
    return pd.DataFrame({name: rng.choice(np.array(c, dtype=object), size=n) for name, c in classes.items()})


def drawn_pictures(labels: pd.DataFrame, seed: int, size: int | None = None) -> Iterator[Image.Image]:
    """The pictures of a table of labels, one after the other.

    Args:
        labels: As from ``drawn_labels``; row i is drawn by ``default_rng([seed, index i])`` alone.
        seed: At least 0.
        size: The longer side in pixels; one of 160, 224 and 320 at random by default.
    """
    for index, row in zip(labels.index, labels.to_dict("records"), strict=True):
        rng = np.random.default_rng([seed, int(index)])
        drawn = int(rng.choice(_SIZES))
        yield draw_image(row, row["folder"], rng, size or drawn)


def training_images(
    folder: Path, n: int, seed: int, workers: int | None = None
) -> tuple[np.ndarray, pd.DataFrame]:
    """Draw images for training, or reopen those that are there.

    Args:
        folder: Where they are kept; drawn into a temporary folder beside it and renamed at the end.
        n: Number of images.
        seed: At least 0.
        workers: Processes; all cores by default, 1 draws in this process.

    Returns:
        Centre squares, a read-only uint8 memory map of shape (n, 144, 144, 3), and their labels.

    Raises:
        ValueError: If the folder holds something else than these images.
    """
    folder = Path(folder)
    wanted = {"n": n, "seed": seed, "side": SIDE, "drawer": drawer_sha256()}
    labels = drawn_labels(n, seed)
    if folder.exists():
        told = folder / "drawn.json"
        if not told.is_file() or json.loads(told.read_text(encoding="utf-8")) != wanted:
            raise ValueError(f"{folder} does not hold {n} images of seed {seed}; remove it or name another")
        return np.load(folder / "images.npy", mmap_mode="r"), labels
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        shape = (n, SIDE, SIDE, 3)
        images = np.lib.format.open_memmap(partial / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
        _draw_all(images, labels, seed, workers or os.cpu_count() or 1)
        images.flush()
        (partial / "drawn.json").write_text(json.dumps(wanted) + "\n", encoding="utf-8")
        partial.replace(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return np.load(folder / "images.npy", mmap_mode="r"), labels


def drawer_sha256() -> str:
    """SHA-256 over the sources of the drawn world: other sources draw other images."""
    digest = hashlib.sha256()
    for path in sorted(Path(rendered.__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _draw_all(images: np.ndarray, labels: pd.DataFrame, seed: int, workers: int) -> None:
    blocks = [labels.iloc[start : start + _BLOCK] for start in range(0, len(labels), _BLOCK)]
    with tqdm(total=len(labels), desc="drawing", unit="image") as progress:
        if workers == 1:
            for block in blocks:
                images[block.index] = _draw_block(block, seed)
                progress.update(len(block))
            return
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            waiting = {pool.submit(_draw_block, block, seed): block for block in blocks}
            for done in as_completed(waiting):
                images[waiting[done].index] = done.result()
                progress.update(len(waiting[done]))


def _draw_block(block: pd.DataFrame, seed: int) -> np.ndarray:
    """Centre squares of a block's pictures, uint8 of shape (rows, side, side, 3)."""
    fitted = (
        ImageOps.fit(picture, (SIDE, SIDE), Image.Resampling.BICUBIC)
        for picture in drawn_pictures(block, seed)
    )
    return np.stack([np.asarray(picture) for picture in fitted])
