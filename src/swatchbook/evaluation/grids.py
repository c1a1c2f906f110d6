"""Which images are looked at: chosen by rules that are written beside them, never by hand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from swatchbook.schema import Schema

Codes = Mapping[str, np.ndarray]

SILVER = "silver labels"
FIXED = ["grid", "rule", "place", "model", "image_id", "row", "head", "cell", "cell_n", "reference"]
OCCLUSION = [
    "place", "model", "image_id", "row", "head", "predicted", "reference", "reference_label", "probability",
    "cell_row", "cell_column", "value",
]  # fmt: skip
WINDOW = 3  # cells along a side of the square that covers part of an image
GRIDS = ("random", "most_confident", "most_wrong", "abstained", "by_pair")


def grid_table(
    predicted: Codes,
    confidence: Mapping[str, np.ndarray],
    silver: Codes,
    schema: Schema,
    *,
    image_ids: np.ndarray,
    rows: np.ndarray,
    rng: np.random.Generator,
    model: str,
    truth: Codes | None = None,
    reference: str = "truth",
    images: int = 12,
    pair: tuple[str, str] = ("material", "texture"),
    images_per_cell: int = 3,
) -> pd.DataFrame:
    """The images of every grid, in the order in which they are shown.

    One random order of the images is drawn first. It decides wherever a rule draws, and between images that
    a rule finds equal, so that the same seed shows the same images and nobody's eye has chosen them.

    - ``random``: the first of the random order.
    - ``most_confident``: by the confidence of the least sure head, highest first.
    - ``most_wrong``: by the confidence of a wrong answer, highest first, each image once, with its ``head``.
      Wrong is what differs from the reference, where the reference says something.
    - ``abstained``: the first of the random order among images without a silver label of at least one head.
    - ``by_pair``: for each pair of classes that is predicted, in schema order, the first of the random order.

    Args:
        predicted: Attribute → codes, shape (n,).
        confidence: Attribute → probability of the predicted class, in [0, 1], shape (n,).
        silver: Attribute → codes, −1 where the labeller abstained, shape (n,).
        schema: Gives heads and classes.
        image_ids: Shape (n,).
        rows: Where each image stands in the array of pixels, shape (n,).
        rng: Source of the random order.
        model: Whose predictions these are.
        truth: Attribute → codes, −1 where it is not known, shape (n,). None where nothing is known. Silver
            labels are the reference where it is known of less than half of the images, but in ``most_wrong``,
            which then shows images of which it is known.
        reference: What the truth is, in words.
        images: Most images of a grid, at least 1.
        pair: The two attributes of ``by_pair``; another pair is taken where the schema lacks one of them.
        images_per_cell: Most images of a pair of classes, at least 1.

    Returns:
        A row an image and grid: `FIXED` (``rule`` in words, ``place`` from 1, ``row`` in the array of pixels;
        ``cell`` such as ``cotton × smooth`` and ``cell_n``, how often it was predicted, in ``by_pair``), then
        for each attribute ``<attribute>_predicted``, ``_confidence``, ``_silver`` (null: abstained) and
        ``_truth`` (null: not known). A grid that no image fits has no row.

    Raises:
        ValueError: If lengths differ, or a number of images is below 1.
    """
    n = len(image_ids)
    if min(images, images_per_cell) < 1:
        raise ValueError(
            f"images and images_per_cell must be at least 1; received {images}, {images_per_cell}"
        )
    for what, codes in (
        ("predicted", predicted),
        ("confidence", confidence),
        ("silver", silver),
        ("truth", truth),
    ):
        for name in schema.names if codes is not None else ():
            if len(codes[name]) != n:
                raise ValueError(
                    f"{what}[{name!r}] must have one entry an image; received {len(codes[name])} for {n}"
                )
    if len(rows) != n:
        raise ValueError(f"rows must have one entry an image; received {len(rows)} for {n}")
    order = rng.permutation(n)
    against, called = (silver, SILVER) if truth is None else (truth, reference)
    mostly = np.any([np.asarray(against[name]) >= 0 for name in schema.names], axis=0).sum() >= n / 2
    sure = np.stack([np.asarray(confidence[name], dtype=float) for name in schema.names], axis=1)
    lacking = np.stack([np.asarray(silver[name]) < 0 for name in schema.names], axis=1).any(1)

    most_wrong, heads = _most_wrong(predicted, against, sure, schema, order, images)
    chosen: list[tuple[str, str, np.ndarray, list[dict]]] = [
        ("random", f"the first {images} of one random order of the test images", order[:images], []),
        (
            "most_confident",
            f"the {images} test images whose least sure head is the surest",
            _by(sure.min(1), order)[:images],
            [],
        ),
        (
            "most_wrong",
            f"up to {images} test images with the surest wrong answer of a head, held against the {called}",
            most_wrong,
            [{"head": head} for head in heads],
        ),
        (
            "abstained",
            f"the first {images} of one random order of the test images without a silver label of some head",
            order[lacking[order]][:images],
            [],
        ),
        _by_pair(predicted, schema, order, pair, images_per_cell),
    ]
    shown = [
        {"grid": grid, "rule": rule, "place": place, "image": image, **(more[place - 1] if more else {})}
        for grid, rule, picked, more in chosen
        for place, image in enumerate(picked, start=1)
    ]
    table = pd.DataFrame(shown, columns=[*FIXED[:3], "image", "head", "cell", "cell_n"])
    at = table.pop("image").to_numpy(dtype=np.int64)
    table = table.assign(model=model, image_id=np.asarray(image_ids)[at], row=np.asarray(rows)[at])
    held = np.where(mostly | (table["grid"] == "most_wrong"), called, SILVER)
    labels = _labels(predicted, sure, silver, truth, schema).iloc[at].reset_index(drop=True)
    return pd.concat([table.assign(reference=held)[FIXED], labels], axis=1)


def _by(score: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Images by a score, highest first, and by the random order where it is equal."""
    return order[np.argsort(-score[order], kind="stable")]


def _most_wrong(
    predicted: Codes, against: Codes, sure: np.ndarray, schema: Schema, order: np.ndarray, images: int
) -> tuple[np.ndarray, list[str]]:
    """Images with the surest wrong answers, and the head that gave each."""
    wrong = np.stack(
        [(against[m] >= 0) & (np.asarray(predicted[m]) != against[m]) for m in schema.names], axis=1
    )
    score = np.where(wrong, sure, -np.inf)
    ranked = _by(score.max(1), order)
    found = ranked[wrong[ranked].any(1)][:images]
    return found, [schema.names[k] for k in score[found].argmax(1)]


def _by_pair(
    predicted: Codes, schema: Schema, order: np.ndarray, pair: tuple[str, str], most: int
) -> tuple[str, str, np.ndarray, list[dict]]:
    """Images of every predicted pair of classes."""
    pairs = schema.pairs
    a, b = pair if set(pair) <= set(schema.names) or not pairs else pairs[0]
    rule = f"of every pair of {a} and {b} that is predicted, the first {most} of one random order"
    if not {a, b} <= set(schema.names):
        return "by_pair", rule, order[:0], []
    picked, cells = [], []
    for i, one in enumerate(schema[a].classes):
        for j, other in enumerate(schema[b].classes):
            inside = order[(predicted[a][order] == i) & (predicted[b][order] == j)]
            picked += list(inside[:most])
            cell = {"head": f"{a} × {b}", "cell": f"{one} × {other}", "cell_n": len(inside)}
            cells += [cell] * len(inside[:most])
    return "by_pair", rule, np.array(picked, dtype=np.int64), cells


def _labels(
    predicted: Codes, sure: np.ndarray, silver: Codes, truth: Codes | None, schema: Schema
) -> pd.DataFrame:
    """The answers about every image, in words."""
    columns: dict[str, object] = {}
    for k, a in enumerate(schema):
        names = np.array([*a.classes, None], dtype=object)  # code −1 is the last
        columns[f"{a.name}_predicted"] = names[predicted[a.name]]
        columns[f"{a.name}_confidence"] = sure[:, k]
        columns[f"{a.name}_silver"] = names[silver[a.name]]
        columns[f"{a.name}_truth"] = None if truth is None else names[truth[a.name]]
    return pd.DataFrame(columns, index=range(len(sure)))


def occlusion_table(
    shown: pd.DataFrame, falls: np.ndarray, probability: np.ndarray, schema: Schema
) -> pd.DataFrame:
    """How far each head's probability falls when a patch of an image is covered, a row a cell.

    Args:
        shown: Rows of `grid_table`, one an image, n of them.
        falls: Falls in probability, in [−1, 1], shape (n, heads, cells, cells), heads in schema order.
        probability: Of each head's answer before anything was covered, shape (n, heads).
        schema: Gives the heads.

    Returns:
        Columns `OCCLUSION`: ``value`` is the fall; ``cell_row`` and ``cell_column`` count from 0 at the top
        left.        There are no intervals: a fall is computed, not sampled.

    Raises:
        ValueError: If shapes do not fit.
    """
    heads, cells = len(schema.names), np.shape(falls)[-1]
    wanted = (len(shown), heads, cells, cells)
    if np.shape(falls) != wanted or np.shape(probability) != wanted[:2]:
        raise ValueError(
            f"falls {np.shape(falls)} and probability {np.shape(probability)} for {len(shown)} images and "
            f"{heads} heads; allowed: (images, heads, cells, cells) and (images, heads)"
        )
    against = "silver" if (shown["reference"] == SILVER).all() else "truth"
    rows = []
    for k, (_, image) in enumerate(shown.iterrows()):
        for h, name in enumerate(schema.names):
            answer = {"head": name, "predicted": image[f"{name}_predicted"], "probability": probability[k, h]}
            answer["reference_label"] = image[f"{name}_{against}"]
            same = {c: image[c] for c in ("place", "model", "image_id", "row", "reference")} | answer
            rows += [
                {**same, "cell_row": i, "cell_column": j, "value": falls[k, h, i, j]}
                for i in range(cells)
                for j in range(cells)
            ]
    return pd.DataFrame(rows, columns=OCCLUSION)
