"""Drawn images for training and judging a labeller: every class equally often, nothing coupled.

In the drawn world of the study the attributes depend on each other on purpose. A labeller must not learn
that, so here colour, pattern, texture and fabric are drawn independently of each other.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from swatchbook.atomic import new_folder
from swatchbook.drawn.drawing import FOLDERS, LABELS, draw_image
from swatchbook.drawn.files import in_blocks
from swatchbook.drawn.latent import truth_stream

SIDE = 256  # pixels kept of a training image; crops of it are what the model sees
_SIZES = (160, 224, 320)  # a fabric's grain differs by the size it is drawn at


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
    rng = truth_stream(seed)
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
        yield _picture(index, row, seed, size)


def _picture(index: int, row: Mapping[str, str], seed: int, size: int | None = None) -> Image.Image:
    rng = np.random.default_rng([seed, int(index)])
    drawn = int(rng.choice(_SIZES))
    return draw_image(row, row["folder"], rng, size or drawn)


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
        The pictures as squares, a read-only uint8 memory map of shape (n, SIDE, SIDE, 3), and their labels.

    Raises:
        ValueError: If the folder holds something else than these images.
    """
    folder = Path(folder)
    wanted = {"n": n, "seed": seed, "side": SIDE, "drawer": drawer_sha256()}
    labels = drawn_labels(n, seed)
    if folder.exists():
        record = folder / "drawn.json"
        if not record.is_file() or json.loads(record.read_text(encoding="utf-8")) != wanted:
            raise ValueError(f"{folder} does not hold {n} images of seed {seed}; remove it or name another")
    else:
        with new_folder(folder) as unfinished:
            images = np.lib.format.open_memmap(
                unfinished / "images.npy", mode="w+", dtype=np.uint8, shape=(n, SIDE, SIDE, 3)
            )
            drawn = 0
            for block in in_blocks(partial(_squares, seed), labels.to_dict("records"), workers):
                images[drawn : drawn + len(block)] = block
                drawn += len(block)
            images.flush()
            (unfinished / "drawn.json").write_text(json.dumps(wanted) + "\n", encoding="utf-8")
    return np.load(folder / "images.npy", mmap_mode="r"), labels


def drawer_sha256() -> str:
    """SHA-256 over the code that draws, without comments, docstrings and imports: other code draws others.

    It covers ``drawing`` and every module of this room that it imports, itself or through another. Python
    writes the code down from its syntax tree, so layout does not count either; nothing is imported.
    """
    sources: dict[str, str] = {}
    waiting = ["swatchbook.drawn.drawing"]
    while waiting:
        name = waiting.pop()
        if name in sources:
            continue
        tree = ast.parse(Path(__file__).with_name(name.rpartition(".")[2] + ".py").read_text("utf-8"))
        imports = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        waiting += [module for module in imports if module.startswith("swatchbook.drawn.")]
        sources[name] = ast.unparse(_Bare().visit(tree))
    content = "\0".join(f"{name}\0{source}" for name, source in sorted(sources.items()))
    return hashlib.sha256(content.encode()).hexdigest()


class _Bare(ast.NodeTransformer):
    """Takes imports and strings that stand alone, such as docstrings, out of a syntax tree."""

    def visit(self, node: ast.AST) -> ast.AST | None:
        alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        return None if alone or isinstance(node, ast.Import | ast.ImportFrom) else self.generic_visit(node)


def _squares(seed: int, block: list[tuple[int, Mapping[str, str]]]) -> np.ndarray:
    """A block's pictures, uint8 of shape (rows, SIDE, SIDE, 3)."""
    return np.stack([square(_picture(index, row, seed)) for index, row in block])


def square(picture: Image.Image) -> np.ndarray:
    """All of a picture, squashed into a square as the labeller sees it: uint8, shape (SIDE, SIDE, 3)."""
    return np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC))
