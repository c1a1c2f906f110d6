"""Periodic tiles: how they are read at any coordinates, and those of hairs, grain, tufts and folds."""

from __future__ import annotations

from functools import cache

import numpy as np

TILE = 256  # side in pixels of the tiles of noise


def periodic(tile: np.ndarray) -> np.ndarray:
    """A tile made ready for ``sample`` and ``nearest``: its first row and column stand again after its last.

    Args:
        tile: Shape (…, height, width).

    Returns:
        Shape (…, height + 1, width + 1), float32.
    """
    height, width = tile.shape[-2:]
    closed = np.empty((*tile.shape[:-2], height + 1, width + 1), dtype=np.float32)
    closed[..., :-1, :-1] = tile
    closed[..., -1, :-1] = tile[..., 0, :]
    closed[..., -1] = closed[..., 0]
    return closed


def sample(tile: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Read a periodic tile at real coordinates, bilinearly.

    Args:
        tile: From ``periodic``, of one channel or of several.
        u: Columns, in tile pixels, of any shape.
        v: Rows, likewise.

    Returns:
        Shape of u, after the tile's channels where it has any.
    """
    left, top = np.floor(u), np.floor(v)
    right_share, lower_share = u - left, v - top
    left_share, upper_share = 1 - right_share, 1 - lower_share
    first = _places(tile, left, top)
    step = tile.shape[-1]
    sampled = np.empty((tile.size // (tile.shape[-2] * step), *u.shape), dtype=np.float32)
    for channel, out in zip(tile.reshape(len(sampled), -1), sampled, strict=True):
        upper, upper_right, lower, lower_right = (
            channel[start:].take(first) for start in (0, 1, step, step + 1)
        )
        upper *= left_share
        upper_right *= right_share
        upper += upper_right
        lower *= left_share
        lower_right *= right_share
        lower += lower_right
        upper *= upper_share
        lower *= lower_share
        np.add(upper, lower, out=out)
    return sampled if tile.ndim == 3 else sampled[0]


def nearest(tile: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Read a periodic tile of noise at real coordinates without smoothing; several times faster."""
    return tile.ravel().take(_places(tile, u, v))


def _places(tile: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Where the pixels that hold the coordinates lie in the tile's rows laid end to end."""
    height, width = tile.shape[-2] - 1, tile.shape[-1] - 1
    row, column = _wrapped(v.astype(np.int32), height), _wrapped(u.astype(np.int32), width)
    # numpy looks up by its own index type several times faster than by a smaller one.
    return (row * np.int32(width + 1) + column).astype(np.intp)


def _wrapped(index: np.ndarray, length: int) -> np.ndarray:
    # Masking a power of two is several times faster than the remainder.
    return index & (length - 1) if length & (length - 1) == 0 else index % length


def _unit(a: np.ndarray) -> np.ndarray:
    return ((a - a.mean()) / a.std()).astype(np.float32)


def _smoothed(tile: np.ndarray, down: float, right: float) -> np.ndarray:
    """A square tile after a Gaussian of the deviations given, which goes on over its edges."""
    away = np.minimum(np.arange(TILE), TILE - np.arange(TILE))  # pixels around the tile to the first
    bells = [np.exp(-0.5 * (away / deviation) ** 2) for deviation in (down, right)]
    down_wave, right_wave = (np.fft.fft(bell / bell.sum()) for bell in bells)
    return np.fft.ifft2(np.fft.fft2(tile) * down_wave[:, None] * right_wave).real


@cache
def strands() -> np.ndarray:
    """A periodic tile of fine hairs that run along its rows' axis, of unit variance."""
    white = np.random.default_rng(1).standard_normal((TILE, TILE))
    long = _smoothed(white, 9, 0.8)
    short = _smoothed(np.roll(white, 71, axis=1), 4, 0.6)
    return periodic(_unit(_unit(long) + 0.6 * _unit(short)))


@cache
def speckle() -> np.ndarray:
    """A periodic tile of grain about one and a half pixels wide, of unit variance."""
    white = np.random.default_rng(2).standard_normal((TILE, TILE))
    return periodic(_unit(_smoothed(white, 0.7, 0.7)))


@cache
def nubs() -> np.ndarray:
    """A periodic tile of soft round tufts about eight pixels wide, in [0, 1]."""
    return periodic(_cells(1100, seed=3)[0])


@cache
def grain() -> np.ndarray:
    """A periodic tile of leather's pebbles between thin creases, in [0, 1]."""
    return periodic(_cells(1500, seed=4)[1])


def _cells(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Worley noise: round bumps about scattered points, and the cells between them."""
    points = np.random.default_rng(seed).random((count, 2)) * TILE
    size = TILE / np.sqrt(count)
    first, second = np.full((2, TILE, TILE), np.inf)
    window = np.arange(-int(3 * size), int(3 * size) + 2)  # every pixel has two points nearer than that
    for y, x in points:
        rows, columns = window + int(y), window + int(x)
        here = np.ix_(rows % TILE, columns % TILE)
        away = np.hypot((rows - y)[:, None], columns - x)
        second[here] = np.minimum(second[here], np.maximum(first[here], away))
        first[here] = np.minimum(first[here], away)
    bumps = np.clip(1 - first / size, 0, 1) ** 0.7
    cells = np.clip((second - first) / (0.55 * size), 0, 1)
    return bumps.astype(np.float32), _smoothed(cells, 0.6, 0.6).astype(np.float32)


@cache
def folds() -> np.ndarray:
    """A periodic tile of soft folds that run along its rows' axis, of unit variance."""
    white = np.random.default_rng(6).standard_normal((TILE, TILE))
    return periodic(_unit(_smoothed(white, 26, 6)))
