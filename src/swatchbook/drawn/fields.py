"""Fields over the picture: smooth noise, periodic tiles and how to sample them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage
from scipy.spatial import cKDTree

TILE = 256  # side in pixels of the periodic tiles below


def noise(shape: tuple[int, int], cells: float, rng: np.random.Generator, stretch: float = 1.0) -> np.ndarray:
    """Smooth noise of roughly unit variance, float32 of the shape given.

    Args:
        shape: Height and width in pixels.
        cells: Bumps along the longer side.
        rng: Source of randomness.
        stretch: How much longer than wide the bumps are (below 1 they lie down).
    """
    per_pixel = cells / max(shape)
    rows = max(2, round(shape[0] * per_pixel / np.sqrt(stretch)) + 1)
    columns = max(2, round(shape[1] * per_pixel * np.sqrt(stretch)) + 1)
    small = rng.standard_normal((rows, columns), dtype=np.float32)
    grown = Image.fromarray(small).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(grown) * np.float32(1.2)


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
    """A mask in [0, 1] blurred by a Gaussian of the radius in pixels."""
    picture = Image.fromarray((mask * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(picture, dtype=np.float32) / 255


def slopes(height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much a surface rises from each pixel to the next, rightwards and downwards; 0 at the far edges."""
    right, down = np.zeros_like(height), np.zeros_like(height)
    np.subtract(height[:, 1:], height[:, :-1], out=right[:, :-1])
    np.subtract(height[1:], height[:-1], out=down[:-1])
    return right, down


def sample(tile: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Read a periodic tile at real coordinates, bilinearly.

    Args:
        tile: Shape (height, width) or (height, width, channels).
        u: Columns, in tile pixels, of any shape.
        v: Rows, likewise.

    Returns:
        Shape of u, with the tile's channels last where it has any.
    """
    height, width = tile.shape[:2]
    flat = tile.reshape(height * width, *tile.shape[2:])
    left, top = np.floor(u), np.floor(v)
    right_share, bottom_share = u - left, v - top
    if tile.ndim == 3:
        right_share, bottom_share = right_share[..., None], bottom_share[..., None]
    column, row = _wrapped(left.astype(np.int32), width), _wrapped(top.astype(np.int32), height)
    next_column, next_row = _wrapped(column + 1, width), _wrapped(row + 1, height) * width
    row *= width
    upper = flat[row + column] * (1 - right_share) + flat[row + next_column] * right_share
    lower = flat[next_row + column] * (1 - right_share) + flat[next_row + next_column] * right_share
    return upper * (1 - bottom_share) + lower * bottom_share


def nearest(tile: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Read a periodic tile of noise at real coordinates without smoothing; several times faster."""
    height, width = tile.shape
    return tile.ravel()[_wrapped(v.astype(np.int32), height) * width + _wrapped(u.astype(np.int32), width)]


def _wrapped(index: np.ndarray, length: int) -> np.ndarray:
    # Masking a power of two is several times faster than the remainder.
    return index & (length - 1) if length & (length - 1) == 0 else index % length


def _unit(a: np.ndarray) -> np.ndarray:
    return ((a - a.mean()) / a.std()).astype(np.float32)


@lru_cache(maxsize=1)
def strands() -> np.ndarray:
    """A periodic tile of fine hairs that run along its rows' axis, of unit variance."""
    white = np.random.default_rng(1).standard_normal((TILE, TILE))
    long = ndimage.gaussian_filter(white, (9, 0.8), mode="wrap")
    short = ndimage.gaussian_filter(np.roll(white, 71, axis=1), (4, 0.6), mode="wrap")
    return _unit(_unit(long) + 0.6 * _unit(short))


@lru_cache(maxsize=1)
def speckle() -> np.ndarray:
    """A periodic tile of grain about one and a half pixels wide, of unit variance."""
    return _unit(
        ndimage.gaussian_filter(np.random.default_rng(2).standard_normal((TILE, TILE)), 0.7, mode="wrap")
    )


@lru_cache(maxsize=1)
def nubs() -> np.ndarray:
    """A periodic tile of soft round tufts about eight pixels wide, in [0, 1]."""
    return _cells(1100, seed=3)[0]


@lru_cache(maxsize=1)
def grain() -> np.ndarray:
    """A periodic tile of leather's pebbles between thin creases, in [0, 1]."""
    return _cells(1500, seed=4)[1]


def _cells(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Worley noise: round bumps about scattered points, and the cells between them."""
    points = np.random.default_rng(seed).random((count, 2)) * TILE
    rows, columns = np.mgrid[:TILE, :TILE]
    near, _ = cKDTree(points, boxsize=TILE).query(np.stack([rows, columns], -1).reshape(-1, 2), k=2)
    near = near.reshape(TILE, TILE, 2)
    size = TILE / np.sqrt(count)
    bumps = np.clip(1 - near[..., 0] / size, 0, 1) ** 0.7
    cells = np.clip((near[..., 1] - near[..., 0]) / (0.55 * size), 0, 1)
    return bumps.astype(np.float32), ndimage.gaussian_filter(cells, 0.6, mode="wrap").astype(np.float32)


@lru_cache(maxsize=1)
def folds() -> np.ndarray:
    """A periodic tile of soft folds that run along its rows' axis, of unit variance."""
    white = np.random.default_rng(6).standard_normal((TILE, TILE))
    return _unit(ndimage.gaussian_filter(white, (26, 6), mode="wrap"))
