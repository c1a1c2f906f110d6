"""A folder of drawn photographs in TextileNet's layout, with its truth beside it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.atomic import new_folder
from swatchbook.csv_io import write_csv
from swatchbook.drawn.drawing import draw_row
from swatchbook.drawn.files import draw_files, require_drawable
from swatchbook.drawn.latent import truth_stream
from swatchbook.drawn.worlds import IDEAS, drawn_world, folder_world, placed_folders, true_cramers_v
from swatchbook.schema import Schema


def write_dataset(
    out: Path,
    *,
    n_train: int,
    n_test: int,
    coupling: float,
    seed: int,
    schema: Schema,
    size: int = 320,
    workers: int | None = None,
    orphans: float = 0.0,
) -> pd.DataFrame:
    """Draw a data set: ``fabric/{train,test}/<folder>/<image>.jpg``, ``truth.csv`` and ``world.json``.

    Either all of it is there in the end or nothing is; the files do not depend on the number of workers,
    see ``swatchbook.drawn.files.draw_files``.

    Args:
        out: The folder to make; it must not hold anything yet.
        n_train: Images in the training split, at least 0.
        n_test: Images in the test split, at least 0.
        coupling: λ in [0, 1]; true V by pair is λ times its value at 1.
        seed: At least 0.
        schema: What the truth is written in; its folder rule gives the material.
        size: The longer side in pixels.
        workers: Processes; all cores by default, 1 draws in this process.
        orphans: Share in [0, 1) of images put, at random and independently of everything else, into one
            of the folders that the schema has no place for. Their material is null; V among labelled
            images is not touched.

    Returns:
        The truth, a row an image: ``path`` (relative to ``out``), ``split``, ``folder`` and a column an
        attribute of the schema.

    Raises:
        ValueError: If an argument lies outside its range, ``out`` holds something, or the schema cannot
            be drawn.
        StoreError: If the target cannot be written; nothing is left behind.
    """
    _check(n_train, n_test, seed, size, workers, orphans, schema)
    truth = _truth(n_train, n_test, coupling, seed, schema, orphans)
    with new_folder(out) as folder:
        rows = truth.drop(columns=["split"]).to_dict("records")
        draw_files(folder, rows, partial(draw_row, size=size), seed, workers)
        write_csv(truth, folder / "truth.csv")
        _write_world(folder / "world.json", coupling, seed, size, schema, orphans)
    return truth


def _check(
    n_train: int,
    n_test: int,
    seed: int,
    size: int,
    workers: int | None,
    orphans: float,
    schema: Schema,
) -> None:
    counts = {"n_train": (n_train, 0), "n_test": (n_test, 0)}
    require_drawable(seed=seed, size=size, workers=workers, **counts)
    if n_train + n_test == 0:
        raise ValueError("n_train and n_test are both 0; at least one image is needed")
    if not 0 <= orphans < 1:
        raise ValueError(f"orphans must lie in [0, 1); received {orphans}")
    if orphans and None not in schema.folders.values():
        raise ValueError(f"orphans is {orphans}, but the schema {schema.name!r} has a place for every folder")


def _truth(
    n_train: int, n_test: int, coupling: float, seed: int, schema: Schema, orphans: float
) -> pd.DataFrame:
    """The labels of all images, drawn from the world before any image is."""
    n, rng = n_train + n_test, truth_stream(seed)
    classes = {"folder": placed_folders(schema)} | {attribute.name: attribute.classes for attribute in schema}
    labels = folder_world(coupling, schema).labels(n, rng, classes)
    folders = labels["folder"]
    unplaced = np.array([folder for folder, label in schema.folders.items() if label is None], dtype=object)
    stray = rng.random(n) < orphans
    if stray.any():
        folders[stray] = rng.choice(unplaced, size=int(stray.sum()))
    truth = pd.DataFrame({"split": np.repeat(["train", "test"], [n_train, n_test]), "folder": folders})
    for attribute in schema:
        if attribute.labelled_by == "folder":
            truth[attribute.name] = truth["folder"].map(schema.folders).astype(object)
        else:
            truth[attribute.name] = labels[attribute.name]
    names = [
        f"fabric/{s}/{f}/{i:06d}.jpg" for i, (s, f) in enumerate(zip(truth["split"], folders, strict=True))
    ]
    truth.insert(0, "path", names)
    return truth


def _write_world(path: Path, coupling: float, seed: int, size: int, schema: Schema, orphans: float) -> None:
    """Everything that determines the truth, and the V by pair that follows from it."""
    world = drawn_world(coupling, schema)
    known = {
        "coupling": coupling,
        "seed": seed,
        "size": size,
        "orphans": orphans,
        "schema": schema.name,
        "folder_map": schema.folder_map,
        "ideas": list(IDEAS),
        "prior": world.prior.tolist(),
        "given": {name: theta.tolist() for name, theta in world.given.items()},
        "given_folder": folder_world(coupling, schema).given["folder"].tolist(),
        "cramers_v": true_cramers_v(coupling, schema).to_dict("records"),
    }
    path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
