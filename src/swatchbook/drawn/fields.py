"""Fields over the picture: noise, blur, slopes, edges; colour comes first in arrays of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageFilter


def grid(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of a picture's rows, shape (height, 1), and of its columns, shape (1, width), float32."""
    rows, columns = (np.arange(side, dtype=np.float32) for side in shape)
    return rows[:, None], columns[None]


def turned(
    shape: tuple[int, int], angle: float, middle: tuple[float, float] | np.ndarray = (0, 0)
) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel's coordinates across and along a direction, float32.

    Args:
        shape: Height and width in pixels.
        angle: Of the direction from the vertical in radians, clockwise.
        middle: The origin (x, y) in pixels.
    """
    rows, columns = grid(shape)
    rows, columns = rows - np.float32(middle[1]), columns - np.float32(middle[0])
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return columns * c + rows * s, rows * c - columns * s


def moved(field: np.ndarray, right: int, down: int) -> np.ndarray:
    """A field moved by whole pixels; zeros take the place of what was there."""
    height, width = field.shape
    out = np.zeros_like(field)
    out[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = field[
        max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)
    ]
    return out


def noise(
    shape: tuple[int, int],
    cells: float,
    rng: np.random.Generator,
    stretch: float = 1.0,
) -> np.ndarray:
    """Smooth noise of roughly unit variance, float32 of the shape given.

    Args:
        shape: Height and width of the picture in pixels.
        cells: Bumps along the longer side.
        rng: Source of randomness.
        stretch: How much longer than wide the bumps are (below 1 they lie down).
    """
    per_pixel = cells / max(shape)
    rows = max(2, round(shape[0] * per_pixel / np.sqrt(stretch)) + 1)
    columns = max(2, round(shape[1] * per_pixel * np.sqrt(stretch)) + 1)
    small = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(1.2)
    if max(rows, columns) > 24:
        grown = Image.fromarray(small).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
        return np.asarray(grown)
    # Few bumps are several times faster as a product of matrices; not by BLAS, whose threads would wait
    # for each other when several processes draw.
    wide = np.einsum("ij,kj->ik", small, _bicubic(shape[1], columns))
    return np.einsum("ij,jk->ik", _bicubic(shape[0], rows), wide)


def film_grain(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Independent noise of mean 0 and variance 1, float32: four bytes a pixel added up, nearly normal."""
    words = np.frombuffer(rng.bytes(4 * shape[0] * shape[1]), dtype=np.uint32).reshape(shape)
    pairs = (words & 0x00FF00FF) + ((words >> 8) & 0x00FF00FF)
    total = ((pairs & 0xFFFF) + (pairs >> 16)).astype(np.float32)
    return (total - np.float32(510)) / np.float32(np.sqrt((256**2 - 1) / 3))


@cache
def _bicubic(long: int, short: int) -> np.ndarray:
    """The matrix that stretches a column of numbers as Pillow's bicubic resize does, shape (long, short)."""
    single = Image.fromarray(np.eye(short, dtype=np.float32))
    return np.asarray(single.resize((short, long), Image.Resampling.BICUBIC))


@dataclass(frozen=True)
class UVMap:
    """Coordinates on the cloth of pixels of a picture.

    Attributes:
        u: Across the grain, in pixels; one number a pixel, or the whole picture.
        v: Along the grain, likewise.
        picture: Height and width of the picture; the shape of u by default.
        pixels: Where these pixels lie in the picture's rows laid end to end; None for the whole picture.
    """

    u: np.ndarray
    v: np.ndarray
    picture: tuple[int, int] | None = None
    pixels: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what is computed for these pixels."""
        return self.u.shape

    @property
    def long(self) -> int:
        """The picture's longer side in pixels."""
        return max(self.picture or self.u.shape)

    def of(self, field: np.ndarray) -> np.ndarray:
        """The values that a field over the picture has at these pixels."""
        return field if self.pixels is None else field.ravel().take(self.pixels)

    def noise(self, cells: float, rng: np.random.Generator, stretch: float = 1.0) -> np.ndarray:
        """The values that ``noise`` over the picture has at these pixels."""
        return self.of(self.whole_noise(cells, rng, stretch))

    def whole_noise(self, cells: float, rng: np.random.Generator, stretch: float = 1.0) -> np.ndarray:
        """``noise`` over the picture."""
        return noise(self.picture or self.u.shape, cells, rng, stretch)


def channels(picture: Image.Image) -> np.ndarray:
    """A picture's red, green and blue in [0, 1], float32 of shape (3, height, width).

    Colour comes first in all arrays here: numpy's loops then run along rows of pixels instead of over
    three numbers at a time, several times faster.
    """
    return np.stack([np.asarray(band) for band in picture.split()]).astype(np.float32) / 255


def spread(colour: np.ndarray, field: np.ndarray) -> np.ndarray:
    """One colour, shape (3,), shaped so that it combines with a field of one number a pixel."""
    return np.asarray(colour).reshape(3, *(1,) * field.ndim)


def painted(picture: np.ndarray, ink: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """A picture with an ink over it.

    Args:
        picture: Shape (3, …).
        ink: One colour, shape (3,), or one a pixel, shape of the picture.
        coverage: In [0, 1], shape of the picture without its colours.
    """
    return picture + ((spread(ink, coverage) if np.ndim(ink) == 1 else ink) - picture) * coverage


def step(distance: np.ndarray, soft: float = 1.0) -> np.ndarray:
    """Coverage in [0, 1] of what lies inside an edge; distance in pixels, positive inside."""
    return np.clip(distance / np.float32(soft) + np.float32(0.5), 0, 1)


def fraction(x: np.ndarray) -> np.ndarray:
    """The fractional part, in [0, 1)."""
    return x - np.floor(x)


def bump(x: np.ndarray) -> np.ndarray:
    """A round ridge a unit: 0 at whole numbers, 1 half-way."""
    centred = 2 * fraction(x) - 1
    return np.sqrt(1.0001 - centred * centred)


def blurred(mask: np.ndarray, radius: float) -> np.ndarray:
    """A mask in [0, 1] after a Gaussian blur of a radius in pixels, at least 1; blurred small, then grown."""
    picture = Image.fromarray((mask * 255).astype(np.uint8))
    (width, height), shrink = picture.size, max(2, int(radius / 1.5))
    small = picture.reduce(shrink).filter(ImageFilter.GaussianBlur(radius / shrink))
    box = (0, 0, width / shrink, height / shrink)
    grown = small.resize((width, height), Image.Resampling.BILINEAR, box)
    return np.asarray(grown, dtype=np.float32) / 255


def slopes(height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much a surface rises from each pixel to the next, rightwards and downwards; 0 at the far edges."""
    right, down = np.zeros_like(height), np.zeros_like(height)
    np.subtract(height[:, 1:], height[:, :-1], out=right[:, :-1])
    np.subtract(height[1:], height[:-1], out=down[:-1])
    return right, down
