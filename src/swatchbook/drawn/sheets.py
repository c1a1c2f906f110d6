"""Contact sheets: every class of an attribute side by side, to be looked at by a person."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from swatchbook.drawn.drawing import FOLDERS, LABELS, draw_image
from swatchbook.schema import Schema

_MARGIN = 110  # pixels for the row's name


def contact_sheet(attribute: str, schema: Schema, n: int = 8, cell: int = 160, seed: int = 0) -> Image.Image:
    """A row a class, n examples each, everything else at random.

    Args:
        attribute: One of the schema's attributes, or ``folder``.
        schema: Where the classes come from.
        n: Examples a row, at least 1.
        cell: Side of an example in pixels, at least 48.
        seed: At least 0.

    Returns:
        An RGB picture of (110 + n · cell) by (classes · cell) pixels.

    Raises:
        ValueError: If the attribute is unknown or a number too small.
    """
    if attribute != "folder" and attribute not in schema.names:
        raise ValueError(f"attribute {attribute!r} is unknown; allowed: {', '.join(schema.names)}, folder")
    if n < 1 or cell < 48:
        raise ValueError(f"n must be at least 1 and cell at least 48; received n={n}, cell={cell}")
    classes = FOLDERS if attribute == "folder" else schema[attribute].classes
    sheet = Image.new("RGB", (_MARGIN + n * cell, len(classes) * cell), "white")
    write = ImageDraw.Draw(sheet)
    for row, label in enumerate(classes):
        write.text((4, row * cell + cell // 2), label, fill="black")
        for column in range(n):
            rng = np.random.default_rng([seed, row, column])
            labels = {name: str(rng.choice(_drawable(name, schema))) for name in LABELS}
            folders = _folders(attribute, label, schema)
            picture = draw_image(labels | {attribute: label}, str(rng.choice(folders)), rng, 2 * cell)
            picture.thumbnail((cell - 4, cell - 4), Image.Resampling.LANCZOS)
            sheet.paste(picture, (_MARGIN + column * cell, row * cell))
    return sheet


def _drawable(name: str, schema: Schema) -> tuple[str, ...]:
    return schema[name].classes if name in schema.names else LABELS[name]


def _folders(attribute: str, label: str, schema: Schema) -> list[str]:
    """The folders that an example of a class can come from."""
    if attribute == "folder":
        return [label]
    if schema[attribute].labelled_by == "folder":
        return [folder for folder, given in schema.folders.items() if given == label]
    return list(FOLDERS)
