"""Pixels on disk are bit for bit what torchvision makes of the originals, or they are not there."""

import io
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from swatchbook.data import pixels
from swatchbook.data.decoding import MAX_ASPECT
from swatchbook.data.images import examine, find
from swatchbook.data.strict_csv import DataError
from swatchbook.store import StoreError
from tests.conftest import real_data

# Portrait, landscape, square, tiny, huge against tiny, and sides whose remainders meet every rounding.
SIZES = [
    *((1, 1), (1, 2), (2, 1), (3, 2), (7, 7), (1, MAX_ASPECT), (MAX_ASPECT, 1), (3, 599), (599, 3)),
    *((255, 255), (256, 256), (257, 257), (256, 257), (257, 256), (256, 341), (341, 256), (256, 255)),
    *((400, 533), (533, 400), (401, 533), (399, 640), (640, 427), (768, 1024), (1001, 333), (97, 1013)),
    *((256, 258), (256, 259), (256, 261), (259, 256), (261, 256), (258, 256), (224, 224), (224, 300)),
]


def photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth colours with noise, so that scaling has something to round."""
    rng = np.random.default_rng([seed, width, height])
    coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((width, height))
    noise = rng.integers(-20, 21, (height, width, 3))
    return Image.fromarray((np.asarray(coarse) + noise).clip(0, 255).astype(np.uint8))


def folder(root: Path, sizes: list[tuple[int, int]]) -> pd.DataFrame:
    """A manifest of photographs written below a folder."""
    root.mkdir(parents=True, exist_ok=True)
    for i, size in enumerate(sizes):
        if i % 2:
            photograph(*size, seed=i).save(root / f"{i:03}.png")
        else:
            photograph(*size, seed=i).save(root / f"{i:03}.jpg", quality=80)
    return examine(find(root))[0]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[pd.DataFrame, Path]:
    home = tmp_path_factory.mktemp("pixels")
    manifest = folder(home / "images", SIZES)
    pixels.build(manifest, home / "pixels.npy", workers=2)
    return manifest, home / "pixels.npy"


@pytest.fixture(scope="module")
def transforms():
    return pytest.importorskip("torchvision").transforms


def test_rows_and_their_centres_are_bit_identical_to_torchvision(built, transforms):
    manifest, path = built
    rows = pixels.read(path, len(SIZES))
    centres = pixels.centre(rows)
    for i, image_path in enumerate(manifest["path"]):
        with Image.open(image_path) as image:
            original = image.convert("RGB")
        for size, ours in ((256, rows[i]), (224, centres[i])):
            theirs = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(size)])(original)
            assert np.array_equal(ours, np.asarray(theirs)), (original.size, size)


def ramp(width: int, height: int, axis: int) -> Image.Image:
    """A picture whose every pixel holds the x (or y) of its middle."""
    middles = np.arange(width if axis == 0 else height, dtype=np.float32) + 0.5
    rows = np.broadcast_to(middles if axis == 0 else middles[:, None], (height, width))
    return Image.fromarray(np.ascontiguousarray(rows))


@pytest.mark.parametrize("sides", [s for s in SIZES if min(s) > 90] + [(90, 60), (31, 47)])
def test_points_of_a_picture_lie_in_its_square_where_the_geometry_says(sides):
    """Squared as a picture is, a picture of its own coordinates tells where each pixel came from."""
    (xs, geometry), (ys, again) = (pixels.square(ramp(*sides, axis)) for axis in (0, 1))
    assert geometry == again == pixels.Geometry.of(*sides)
    came_from = np.stack([xs, ys], axis=-1)
    here = np.stack(np.meshgrid(np.arange(256), np.arange(256)), axis=-1) + 0.5
    # Scaling mixes only what is there, so that within a pixel or two of the edge coordinates are drawn inwards.
    margin = max(2 * max(sides) / min(sides), 4)
    inside = ((came_from > margin) & (came_from < np.array(sides) - margin)).all(axis=-1)
    assert inside.mean() > 0.5
    apart = (geometry.points(came_from) - here)[inside]
    assert np.abs(apart).max() < 0.1  # weights of a filter over whole pixels are not quite even
    assert np.abs(apart.mean(axis=0)).max() < 0.005


def test_boxes_and_landmarks_follow_their_picture_by_hand():
    geometry = pixels.Geometry.of(512, 1024)  # halved to 256 × 512, and 128 rows cut off at each end
    assert geometry == pixels.Geometry((0.5, 0.5), (0, 128))
    assert geometry.points([[0, 256], [512, 768], [100, 0]]).tolist() == [[0, 0], [256, 256], [50, -128]]
    boxes = [[10, 300, 110, 700], [-20, 0, 512, 400], [0, 0, 512, 200]]
    assert geometry.boxes(boxes).tolist() == [[5, 22, 55, 222], [0, 0, 256, 72], [0, 0, 256, 0]]
    assert geometry.boxes(np.zeros((0, 4))).shape == (0, 4)


def test_a_box_drawn_into_a_picture_is_the_box_of_its_square(rng):
    """A white box on black, of any place in a picture of any size, is found again within a pixel."""
    for _ in range(60):
        width, height = rng.integers(150, 900, 2)
        left, top = rng.integers(0, width - 80), rng.integers(0, height - 80)
        box = [left, top, left + rng.integers(60, width - left + 1), top + rng.integers(60, height - top + 1)]
        image = Image.new("RGB", (int(width), int(height)))
        image.paste("white", tuple(map(int, box)))
        square = pixels.square(image)
        expected = square.geometry.boxes(box)
        white = square.pixels[..., 0] > 127
        if (expected[2:] - expected[:2]).min() < 2:
            continue  # cropped off, or all but
        rows, columns = (np.flatnonzero(white.any(axis=axis)) for axis in (1, 0))
        found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert np.abs(expected - found).max() <= 1, (width, height, box)


@pytest.mark.parametrize("size", [4, 128, 196, 240, 252, 256])
def test_other_centres_are_bit_identical_to_torchvision(transforms, size):
    crop = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(size)])
    for sides in SIZES[9:]:
        image = photograph(*sides)
        assert np.array_equal(pixels.centre(pixels.square(image).pixels, size), np.asarray(crop(image))), (
            sides
        )


def test_centres_whose_rounding_could_differ_are_refused():
    for size in (0, 222, 225, 260):
        with pytest.raises(ValueError, match="size must be a multiple of 4 from 4 to 256"):
            pixels.centre(np.zeros((1, 256, 256, 3), np.uint8), size)


def test_real_photographs_are_bit_identical_to_torchvision(tmp_path, transforms):
    manifest = examine(find(real_data("clothing") / "images"))[0].iloc[::12]
    pixels.build(manifest, tmp_path / "pixels.npy")
    evaluate = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
    rows = pixels.centre(pixels.read(tmp_path / "pixels.npy"))
    for row, path in zip(rows, manifest["path"], strict=True):
        with Image.open(path) as image:
            assert np.array_equal(row, np.asarray(evaluate(image.convert("RGB")))), path


def test_bytes_do_not_depend_on_workers_or_blocks(built, tmp_path, monkeypatch):
    manifest, path = built
    monkeypatch.setattr(pixels, "_BLOCK", 5)
    pixels.build(manifest, tmp_path / "one.npy", workers=1)
    pixels.build(manifest, tmp_path / "four.npy", workers=4)
    assert (tmp_path / "one.npy").read_bytes() == (tmp_path / "four.npy").read_bytes() == path.read_bytes()


def test_box_and_whole_picture_are_squashed_as_torchvision_squashes_them(built, transforms, tmp_path):
    manifest, _ = built
    some = manifest[(manifest["width"] > 40) & (manifest["height"] > 40)].assign(left=7.0, right=36.0)

    def both(image, row):
        box = (row["left"], 3.0, row["right"], 31.0)
        return np.stack([pixels.squashed(image, box, 64), pixels.squashed(image, None, 64)])

    pixels.build(some, tmp_path / "both.npy", row=(2, 64, 64, 3), cut=both)
    stored = pixels.read(tmp_path / "both.npy", len(some), (2, 64, 64, 3))
    squash = transforms.Resize((64, 64))
    for i, path in enumerate(some["path"]):
        with Image.open(path) as image:
            original = image.convert("RGB")
        assert np.array_equal(stored[i, 0], np.asarray(squash(original.crop((7, 3, 36, 31)))))
        assert np.array_equal(stored[i, 1], np.asarray(squash(original)))
    with pytest.raises(DataError, match=r"holds uint8 .*2, 64, 64, 3\); allowed: uint8 .*256, 256, 3\)"):
        pixels.read(tmp_path / "both.npy", len(some))


def test_row_i_is_image_i_of_the_manifest(built, tmp_path):
    manifest, path = built
    pixels.build(manifest.iloc[::-1], tmp_path / "reversed.npy")
    assert np.array_equal(pixels.read(tmp_path / "reversed.npy")[::-1], pixels.read(path))


def test_an_upright_picture_is_stored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8
    image = photograph(300, 200)
    image.save(tmp_path / "a.png", exif=exif)
    pixels.build(examine(find(tmp_path))[0], tmp_path / "pixels.npy")
    expected = pixels.square(image.transpose(Image.Transpose.ROTATE_90)).pixels
    assert np.array_equal(pixels.read(tmp_path / "pixels.npy")[0], expected)


def test_a_changed_file_stops_and_leaves_what_was_there(tmp_path):
    manifest = folder(tmp_path / "images", [(40, 30), (30, 40), (50, 50)])
    out = tmp_path / "pixels.npy"
    out.write_bytes(b"before")
    photograph(30, 40, seed=99).save(tmp_path / "images/001.png")
    with pytest.raises(DataError, match=r"'001\.png' is not as it was .* \(the file has changed\)"):
        pixels.build(manifest, out)
    (tmp_path / "images/001.png").unlink()
    with pytest.raises(DataError, match=r"'001\.png' is not as it was .* \(No such file or directory\)"):
        pixels.build(manifest, out)
    assert out.read_bytes() == b"before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images", "pixels.npy"]


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    manifest = folder(tmp_path / "images", [(40, 30)] * 8)

    def interrupted(image):
        raise KeyboardInterrupt

    monkeypatch.setattr(pixels, "square", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pixels.build(manifest, tmp_path / "pixels.npy")
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


def test_a_kill_leaves_nothing_under_the_final_name(tmp_path):
    folder(tmp_path / "images", [(40, 30)] * 8)
    program = f"""
import os, signal
from pathlib import Path
from swatchbook.data import images, pixels
real, rows = pixels.square, []
def killed(image):
    rows.append(1)
    if len(rows) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(image)
pixels.square = killed
pixels.build(images.examine(images.find(Path({str(tmp_path / "images")!r})))[0], Path({str(tmp_path / "pixels.npy")!r}))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "pixels.npy").exists()
    assert all(p.name == "images" or p.name.startswith(".writing-") for p in tmp_path.iterdir())


def test_a_full_disk_is_told_before_anything_is_decoded(tmp_path, monkeypatch):
    manifest = folder(tmp_path / "images", [(40, 30)])
    usage = pixels.shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(pixels.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"the pixels need 0\.0 GB in .* where 0\.0 GB are free"):
        pixels.build(manifest, tmp_path / "pixels.npy")


def test_a_disk_that_fills_leaves_nothing(tmp_path, monkeypatch):
    manifest = folder(tmp_path / "images", [(40, 30)])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pixels.os, "posix_fallocate", full)
    with pytest.raises(StoreError, match=r"cannot write pixels\.npy in .*: No space left on device"):
        pixels.build(manifest, tmp_path / "pixels.npy")
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


def test_a_missing_folder_and_a_table_without_hashes_are_refused(tmp_path):
    manifest = folder(tmp_path / "images", [(40, 30)])
    with pytest.raises(DataError, match="nowhere' does not exist"):
        pixels.build(manifest, tmp_path / "nowhere/pixels.npy")
    with pytest.raises(ValueError, match="no column sha256"):
        pixels.build(manifest.drop(columns="sha256"), tmp_path / "pixels.npy")


def test_what_is_read_cannot_be_written(built):
    rows = pixels.read(built[1])
    assert isinstance(rows, np.memmap)
    assert rows.dtype == np.uint8
    with pytest.raises(ValueError, match="read-only"):
        rows[0] = 0


def test_arrays_that_are_not_pixels_are_refused(built, tmp_path):
    def kept(array: np.ndarray) -> Path:
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=True)
        (tmp_path / "x.npy").write_bytes(buffer.getvalue())
        return tmp_path / "x.npy"

    whole = built[1].read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-1])
    (tmp_path / "empty.npy").write_bytes(b"")
    np.savez(tmp_path / "several.npz", a=np.zeros(3))
    for path in (tmp_path / "cut.npy", tmp_path / "empty.npy", tmp_path / "missing.npy"):
        with pytest.raises(DataError, match="is no array of pixels"):
            pixels.read(path)
    with pytest.raises(DataError, match="is no array of pixels"):
        pixels.read(kept(np.array([{"a": 1}], dtype=object)))
    for array in (
        np.zeros((2, 256, 256, 3), np.float32),
        np.zeros((2, 224, 224, 3), np.uint8),
        np.zeros((256, 256, 3), np.uint8),
        np.asfortranarray(np.zeros((2, 256, 256, 3), np.uint8)),
    ):
        with pytest.raises(DataError, match=r"allowed: uint8 \(images, 256, 256, 3\); build it again"):
            pixels.read(kept(array))
    with pytest.raises(DataError, match=r"several\.npz' holds"):
        pixels.read(tmp_path / "several.npz")
    with pytest.raises(DataError, match=r"allowed: uint8 \(7, 256, 256, 3\)"):
        pixels.read(built[1], images=7)
