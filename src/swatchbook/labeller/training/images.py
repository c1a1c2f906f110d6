"""What the bundled labeller is trained on: drawn garments, and judged photographs of the part ``train``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.atomic import new_folder
from swatchbook.data.decoding import decode, read_bytes
from swatchbook.data.images import in_parallel
from swatchbook.drawn.balanced import SIDE, square, training_images
from swatchbook.labeller.judged import ATTRIBUTES, COMMIT, read_judgements, with_photographs
from swatchbook.labeller.training.recipe import Design
from swatchbook.schema import Schema


def training_set(
    work: Path, design: Design, seed: int, source: Path | None, workers: int | None = None
) -> tuple[np.ndarray, pd.DataFrame]:
    """The images to train on, made or reopened.

    Args:
        work: Folder that keeps them.
        design: How many are drawn, and whether photographs are among them.
        seed: Of the drawing.
        source: A clone of the data set of the judged photographs.
        workers: Processes that draw; all cores by default.

    Returns:
        Squares, uint8 of shape (n, SIDE, SIDE, 3), and a row each: ``folder`` and a class for colour,
        pattern, texture and material (null where it is not known; a photograph of several colours has its
        main one), and ``photograph``.

    Raises:
        ValueError: If photographs are wanted and there is no ``source``, or the folder holds others.
        DataError: If a photograph is missing or not the one that was judged.
    """
    drawn, labels = training_images(work / "images", design.images, seed, workers)
    rule = Schema.load("textilenet", folder_map="construction").folders
    labels = labels.assign(material=labels["folder"].map(rule).astype(object), photograph=False)
    if not design.photograph_share:
        return drawn, labels
    if source is None:
        raise ValueError(
            f"photograph_share = {design.photograph_share} without --source; "
            "allowed: 0, or a clone of the judged photographs' data set"
        )
    judged = read_judgements()
    judged = judged[judged["part"] == "train"].reset_index(drop=True)
    judged["color"] = judged["color"].fillna(judged["main_color"])
    photographs = _photographs(work / "photographs", judged, source)
    both = pd.concat([labels, judged[list(ATTRIBUTES)].assign(photograph=True)], ignore_index=True)
    return np.concatenate([drawn, photographs]), both.where(both.notna(), None)


def _photographs(folder: Path, judged: pd.DataFrame, source: Path) -> np.ndarray:
    files = hashlib.sha256(" ".join(judged["sha256"]).encode()).hexdigest()
    wanted = {"commit": COMMIT, "files": files, "side": SIDE}
    if not folder.exists():
        paths = with_photographs(judged, source)["path"].tolist()
        with new_folder(folder) as unfinished:
            np.save(
                unfinished / "images.npy", np.stack(in_parallel(_square, paths, None, "reading photographs"))
            )
            (unfinished / "judged.json").write_text(json.dumps(wanted) + "\n", encoding="utf-8")
    elif json.loads((folder / "judged.json").read_text(encoding="utf-8")) != wanted:
        raise ValueError(f"{folder} holds other photographs; remove it or name another folder")
    return np.load(folder / "images.npy", mmap_mode="r")


def _square(path: str) -> np.ndarray:
    return square(decode(read_bytes(path)))
