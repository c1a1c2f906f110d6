"""Noise, tiles and masks over a picture, held against Pillow and SciPy."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree

from swatchbook.drawn import balanced, periodic
from swatchbook.drawn.fields import blurred, film_grain, moved, noise, painted, slopes


@pytest.mark.parametrize(("cells", "stretch"), [(2.5, 1.0), (9, 1.0), (16, 0.2), (60, 1.0)])
def test_noise_is_white_noise_grown_by_pillows_bicubic_filter(cells, stretch):
    field = noise((70, 90), cells, np.random.default_rng(3), stretch)
    rows, columns = (
        max(2, round(side * cells / 90 * share) + 1)
        for side, share in ((70, stretch**-0.5), (90, stretch**0.5))
    )
    small = np.random.default_rng(3).standard_normal((rows, columns), dtype=np.float32)
    grown = np.asarray(Image.fromarray(small).resize((90, 70), Image.Resampling.BICUBIC)) * 1.2
    assert field.dtype == np.float32 and field == pytest.approx(grown, abs=2e-6)


def test_tiles_are_read_as_scipy_interpolates_a_periodic_grid(rng):
    tile = rng.random((3, 12, 16)).astype(np.float32)
    u, v = rng.uniform(-40, 40, (2, 50)).astype(np.float32)
    found = periodic.sample(periodic.periodic(tile), u, v)
    for channel, values in zip(tile, found, strict=True):
        expected = ndimage.map_coordinates(channel, [v, u], order=1, mode="grid-wrap")
        assert values == pytest.approx(expected, abs=2e-5)
    inside = periodic.nearest(periodic.periodic(tile[0]), np.abs(u), np.abs(v))
    assert np.array_equal(inside, tile[0][np.abs(v).astype(int) % 12, np.abs(u).astype(int) % 16])


def test_tiles_of_noise_have_no_seam_and_the_statistics_that_they_claim():
    for tile in (periodic.strands(), periodic.speckle(), periodic.folds()):
        whole = tile[:-1, :-1]
        assert whole.mean() == pytest.approx(0, abs=1e-4) and whole.std() == pytest.approx(1, abs=1e-4)
        for axis in (0, 1):
            steps = np.abs(np.diff(np.moveaxis(tile, axis, 0), axis=0)).mean(axis=1)
            assert steps[-1] < 1.5 * steps.mean()


def test_tufts_are_scipys_distances_to_the_nearest_points_of_a_torus():
    points = np.random.default_rng(3).random((1100, 2)) * periodic.TILE
    pixels = np.stack(np.mgrid[: periodic.TILE, : periodic.TILE], axis=-1)
    near = cKDTree(points, boxsize=periodic.TILE).query(pixels)[0]
    expected = np.clip(1 - near / (periodic.TILE / np.sqrt(1100)), 0, 1) ** 0.7
    assert periodic.nubs()[:-1, :-1] == pytest.approx(expected, abs=1e-6)


def test_what_is_moved_out_of_a_field_does_not_come_in_at_the_other_side():
    field = np.arange(6.0).reshape(2, 3)
    assert moved(field, 1, 0).tolist() == [[0, 0, 1], [0, 3, 4]]
    assert moved(field, -2, 1).tolist() == [[0, 0, 0], [2, 0, 0]]
    assert moved(field, 0, 5).tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("radius", [1.2, 5.0, 12.0])
def test_a_blurred_mask_is_scipys_gaussian_within_a_twentieth_and_a_narrow_one_within_a_sixth(radius):
    mask = np.zeros((141, 160), dtype=np.float32)
    mask[45:95, 45:115] = 1
    expected = ndimage.gaussian_filter(mask, radius, mode="nearest")
    assert np.abs(blurred(mask, radius) - expected).mean() < 0.01
    assert np.abs(blurred(mask, radius) - expected).max() < (0.15 if radius < 2 else 0.05)


def test_slopes_and_paint_by_hand():
    right, down = slopes(np.array([[0.0, 1.0], [5.0, 3.0]]))
    assert right.tolist() == [[1, 0], [-2, 0]] and down.tolist() == [[5, 2], [0, 0]]
    picture = np.zeros((3, 1, 2))
    assert painted(picture, np.array([1.0, 0.5, 0.0]), np.array([[1.0, 0.5]])).tolist() == [
        [[1, 0.5]],
        [[0.5, 0.25]],
        [[0, 0]],
    ]


def test_film_grain_is_independent_with_unit_variance(rng):
    grain = film_grain((400, 400), rng)
    assert grain.mean() == pytest.approx(0, abs=0.01) and grain.std() == pytest.approx(1, abs=0.01)
    assert np.corrcoef(grain[:, 1:].ravel(), grain[:, :-1].ravel())[0, 1] == pytest.approx(0, abs=0.01)


def test_the_processes_that_draw_start_without_pandas_and_scipy():
    code = (
        "import sys, swatchbook.drawn.drawing, swatchbook.drawn.files\n"
        "print(sorted({'pandas', 'scipy', 'matplotlib', 'torch'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_drawers_hash_follows_its_code_and_not_its_comments(tmp_path, monkeypatch):
    (tmp_path / "drawing.py").write_text("from swatchbook.drawn.inks import red\nx = 1\n")
    (tmp_path / "inks.py").write_text("red = 255\n")
    (tmp_path / "other.py").write_text("y = 1\n")
    monkeypatch.setattr(balanced, "__file__", str(tmp_path / "balanced.py"))
    first = balanced.drawer_sha256()
    (tmp_path / "drawing.py").write_text(
        '"""Draws."""\nimport os\nfrom swatchbook.drawn.inks import red\n\nx  =  1  # one\n'
    )
    (tmp_path / "other.py").write_text("y = 2\n")
    assert balanced.drawer_sha256() == first
    (tmp_path / "inks.py").write_text("red = 254\n")
    assert balanced.drawer_sha256() != first
