"""The simplest colour labeller: the mean colour of an image's centre, called by the nearest name.

It knows nothing of garments, so it is what a learned labeller has to beat.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from PIL import Image

from swatchbook.drawn.colours import to_lab

# One middling shade a name, sRGB 0–255: those of the report's colour patches. A baseline should not be made
# weak: the keywords of CSS, and the drawn garments' own shades, name photographs worse.
NAMED: dict[str, tuple[int, int, int]] = {
    "black": (29, 29, 31),
    "white": (255, 255, 255),
    "grey": (154, 154, 152),
    "beige": (217, 197, 160),
    "brown": (122, 78, 45),
    "red": (179, 38, 46),
    "pink": (231, 157, 180),
    "orange": (224, 123, 40),
    "yellow": (232, 185, 49),
    "green": (76, 138, 74),
    "blue": (59, 116, 184),
    "navy": (31, 47, 92),
    "purple": (109, 74, 156),
}


def centre_colour(picture: Image.Image) -> np.ndarray:
    """The mean colour of a picture's middle: half its width by half its height.

    Args:
        picture: Any mode and size.

    Returns:
        sRGB in [0, 1], shape (3,); the mean is taken in sRGB.
    """
    width, height = picture.size
    left, top = width // 4, height // 4
    middle = picture.crop((left, top, max(width - left, left + 1), max(height - top, top + 1)))
    return np.asarray(middle.convert("RGB"), dtype=float).reshape(-1, 3).mean(0) / 255


def nearest_colour(colours: np.ndarray, allowed: Sequence[str]) -> np.ndarray:
    """The name whose shade lies nearest in CIELAB (ΔE*ab, CIE 1976).

    Args:
        colours: sRGB in [0, 1], shape (n, 3).
        allowed: Names to choose from; those without a shade in `NAMED` are never chosen.

    Returns:
        Names, an object array of shape (n,).

    Raises:
        ValueError: If none of the names has a shade, or the colours have another shape.
    """
    names = [name for name in allowed if name in NAMED]
    if not names:
        raise ValueError(f"allowed: {', '.join(allowed)}; at least one of {', '.join(NAMED)} is needed")
    colours = np.asarray(colours, dtype=float)
    if colours.ndim != 2 or colours.shape[1] != 3:
        raise ValueError(f"colours must have shape (n, 3); received {colours.shape}")
    shades = to_lab(np.array([NAMED[name] for name in names]) / 255)
    distance = np.linalg.norm(to_lab(colours)[:, None] - shades, axis=-1)
    return np.array(names, dtype=object)[distance.argmin(1)]


def navy_as_blue(labels: Sequence[str], judged: pd.Series) -> tuple[np.ndarray, bool]:
    """Count navy as blue where the judge did not tell them apart: answered blue, and never navy.

    Args:
        labels: Names of colours, shape (n,), null where there is none.
        judged: The judge's answers, null where there is none.

    Returns:
        The labels with navy as blue, an object array of shape (n,), and whether navy counts as blue.
    """
    labels, answers = np.asarray(labels, dtype=object), set(judged.dropna())
    merged = "blue" in answers and "navy" not in answers
    return (np.where(labels == "navy", "blue", labels) if merged else labels), merged
