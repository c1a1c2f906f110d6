"""Pixels on their way to the device: kept there where they fit, else read ahead while it computes.

A model never sees more than the centre and random crops of an image at one side, so images are brought to
that side once and not in every epoch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from swatchbook.models.augment import at_side, working_side
from swatchbook.models.inputs import batches
from swatchbook.models.recipe import Recipe

SHARE = 0.25  # of the free memory; the rest is the model's, its gradients' and its activations'
_BLOCK = 256  # images brought to the device at a time


class PixelLoader:
    """Images of a data set, on the device and at the working side.

    Attributes:
        kept: All images it may be asked for, uint8, shape (n, side, side, 3), on the device; None where
            they are read ahead.
        reason: One sentence that says which, and why.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        recipe: Recipe,
        device: str,
        rows: np.ndarray | None = None,
        *,
        keep: bool = True,
        share: float = SHARE,
    ) -> None:
        """Keep the images on the device if they fit.

        Args:
            pixels: uint8, shape (N, S, S, 3); a memory map will do.
            recipe: Gives the working side.
            device: ``cuda`` or ``cpu``.
            rows: The images that will be asked for; all by default.
            keep: False where each image is asked for once, so that keeping it gains nothing.
            share: Of the device's free memory that they may take.
        """
        self._pixels, self._device, self._side = pixels, device, working_side(recipe)
        self.kept: torch.Tensor | None = None
        rows = np.arange(len(pixels)) if rows is None else np.unique(rows)
        needed, free = len(rows) * self._side**2 * 3, free_memory(device)
        as_stored = device == "cpu" and self._side == pixels.shape[1]
        if not keep or as_stored or needed > share * free:
            why = "as stored" if as_stored else "seen once" if not keep else f"{needed / 1e9:.1f} GB"
            room = "" if as_stored or not keep else f", more than {share:.0%} of {free / 1e9:.1f} GB free"
            self.reason = f"pixels read ahead from the disk's map: {why}{room}"
            return
        self._place = np.full(len(pixels), -1)
        self._place[rows] = np.arange(len(rows))
        self.kept = torch.empty((len(rows), self._side, self._side, 3), dtype=torch.uint8, device=device)
        for at in batches(np.arange(len(rows)), _BLOCK):
            self.kept[int(at[0]) : int(at[-1]) + 1] = self._sent(self._read(rows[at]))
        self.reason = f"pixels kept on {device}: {needed / 1e9:.2f} GB of {free / 1e9:.1f} GB free"

    def __call__(self, rows: np.ndarray) -> torch.Tensor:
        """Images of some rows: uint8, shape (n, side, side, 3), on the device."""
        if self.kept is None:
            return self._sent(self._read(rows))
        assert (self._place[rows] >= 0).all(), "images that were not kept"
        return self.kept[torch.from_numpy(self._place[rows]).to(self._device)]

    def ahead(self, parts: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Rows and their images, part by part, the next part being read while this one is used."""
        if self.kept is not None:
            yield from ((rows, self(rows)) for rows in parts)
            return
        with ThreadPoolExecutor(1) as reader:
            before = None
            for rows in parts:
                after = rows, reader.submit(self._read, rows)
                if before:
                    yield before[0], self._sent(before[1].result())
                before = after
            if before:
                yield before[0], self._sent(before[1].result())

    def _read(self, rows: np.ndarray) -> torch.Tensor:
        images = torch.from_numpy(np.ascontiguousarray(self._pixels[rows]))
        # From pinned memory a copy runs beside the computing, and torch keeps the buffer until it is done.
        return images.pin_memory() if self._device == "cuda" else images

    def _sent(self, images: torch.Tensor) -> torch.Tensor:
        return at_side(images.to(self._device, non_blocking=True), self._side)


def free_memory(device: str) -> int:
    """Bytes that are free on a device."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[0]
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not on Linux: a guess that small machines can bear
        return 4 * 2**30
