"""Pixels on their way to the device: kept or read ahead, they are the same pixels."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from swatchbook.models import pixel_loader
from swatchbook.models.pixel_loader import PixelLoader
from swatchbook.models.recipe import Recipe

SMALL = replace(Recipe(), image_size=16, crop_share=0.8)  # a working side of 20


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (30, 24, 24, 3), dtype=np.uint8)


PARTS = (np.array([3, 1, 4]), np.array([15, 9]), np.array([26, 5]))


@pytest.mark.parametrize("crop_share", [0.8, 16 / 24])
def test_kept_or_read_ahead_the_images_are_the_same(pixels, tmp_path, crop_share):
    recipe = replace(SMALL, crop_share=crop_share)
    np.save(tmp_path / "pixels.npy", pixels)
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    kept, ahead = PixelLoader(pixels, recipe, "cpu"), PixelLoader(mapped, recipe, "cpu", share=0.0)
    assert ahead.kept is None and (kept.kept is None) == (crop_share != 0.8)
    assert kept(PARTS[0]).shape == (3, round(16 / crop_share), round(16 / crop_share), 3)
    for (rows, one), (same, two), wanted in zip(kept.ahead(PARTS), ahead.ahead(PARTS), PARTS, strict=True):
        assert np.array_equal(rows, wanted) and np.array_equal(same, wanted)
        assert one.dtype == torch.uint8 and torch.equal(one, two) and torch.equal(one, ahead(wanted))


def test_only_the_images_asked_for_are_kept(pixels):
    loader = PixelLoader(pixels, SMALL, "cpu", np.array([9, 4, 4, 1]))
    assert len(loader.kept) == 3
    assert torch.equal(loader(np.array([4, 1])), PixelLoader(pixels, SMALL, "cpu")(np.array([4, 1])))
    with pytest.raises(AssertionError):
        loader(np.array([4, 2]))


def test_the_reason_says_what_is_done_and_why(pixels, monkeypatch):
    monkeypatch.setattr(pixel_loader, "free_memory", lambda device: 4 * 30 * 20 * 20 * 3)
    assert PixelLoader(pixels, SMALL, "cpu").kept is not None  # just a quarter
    monkeypatch.setattr(pixel_loader, "free_memory", lambda device: 4 * 30 * 20 * 20 * 3 - 4)
    tight = PixelLoader(pixels, SMALL, "cpu")
    assert tight.kept is None and "more than 25% of" in tight.reason
    assert "seen once" in PixelLoader(pixels, SMALL, "cpu", keep=False).reason
    assert "as stored" in PixelLoader(pixels, replace(SMALL, crop_share=16 / 24), "cpu").reason


def test_an_error_while_reading_ahead_reaches_the_caller(pixels):
    seen = []
    with pytest.raises(IndexError):
        for rows, _ in PixelLoader(pixels, SMALL, "cpu", keep=False).ahead([np.array([1]), np.array([99])]):
            seen.append(rows)
    assert [int(rows[0]) for rows in seen] == [1]


def test_free_memory_is_a_number_of_bytes():
    assert 2**20 < pixel_loader.free_memory("cpu") < 2**50
