"""Folders of images become manifests, and every odd file is read by its rule or set aside with a reason."""

import hashlib
import io
import os
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from swatchbook.data.decoding import MAX_ASPECT, MAX_PIXELS, UnreadableError, decode, measure
from swatchbook.data.images import BrokenImagesError, examine, find, fingerprint
from swatchbook.data.strict_csv import DataError
from tests.conftest import real_data


def picture(width: int = 20, height: int = 12, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def put(root: Path, name: str, data: bytes) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(data)


def png(header: bytes, rows: bytes, more: bytes = b"") -> bytes:
    """A PNG written by hand, for what Pillow does not write; ``more`` holds whole chunks."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    ends = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + ends


# Finding


def test_nested_and_flat_folders_are_listed_in_order_of_their_names(tmp_path):
    for name in ("test/lace/b.JPG", "train/faux fur/ä 1.png", "x.webp", "shirts/deep/red/c.jpeg"):
        put(tmp_path, name, b"")
    listed = find(tmp_path)
    assert listed["image_id"].tolist() == [
        "shirts/deep/red/c.jpeg",
        "test/lace/b.JPG",
        "train/faux fur/ä 1.png",
        "x.webp",
    ]
    assert listed["folder"].tolist() == ["red", "lace", "faux fur", "."]
    assert listed["split"].fillna("").tolist() == ["", "test", "train", ""]
    assert [Path(path) for path in listed["path"]] == [tmp_path / name for name in listed["image_id"]]


def test_a_file_called_train_is_in_no_split(tmp_path):
    put(tmp_path, "train.jpg", b"")
    assert find(tmp_path)["split"].isna().all()


def test_hidden_files_and_texts_are_passed_over_and_odd_suffixes_are_not(tmp_path):
    jpeg = saved(picture(), "JPEG")
    for name in ("._a.jpg", ".hidden/a.jpg", "__MACOSX/a.jpg", "Thumbs.db", "notes.txt", "jpg"):
        put(tmp_path, name, b"text")
    for name in ("a.jpg?width=400", "no_suffix", "photo.heic"):
        put(tmp_path, name, jpeg)
    assert find(tmp_path)["image_id"].tolist() == ["a.jpg?width=400", "no_suffix", "photo.heic"]


def test_linked_folders_are_listed_once_and_circles_end(tmp_path):
    put(tmp_path, "elsewhere/a.jpg", b"")
    put(tmp_path, "root/own/b.jpg", b"")
    (tmp_path / "root/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root/own/circle").symlink_to(tmp_path / "root")
    assert find(tmp_path / "root")["image_id"].tolist() == ["linked/a.jpg", "own/b.jpg"]


def test_no_folder_and_no_image_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"nowhere' is not a folder"):
        find(tmp_path / "nowhere")
    put(tmp_path, "notes.txt", b"text")
    with pytest.raises(DataError, match=r"holds no image; allowed: files in \.jpg"):
        find(tmp_path)


# Examining


def test_the_manifest_holds_hash_and_upright_size(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    put(tmp_path, "a/turned.jpg", saved(picture(40, 20), "JPEG", exif=exif))
    put(tmp_path, "a/plain.png", saved(picture(7, 5), "PNG"))
    manifest, quarantine = examine(find(tmp_path))
    assert manifest[["image_id", "width", "height"]].to_numpy().tolist() == [
        ["a/plain.png", 7, 5],
        ["a/turned.jpg", 20, 40],
    ]
    for row in manifest.itertuples():
        assert row.sha256 == hashlib.sha256(Path(row.path).read_bytes()).hexdigest()
    assert quarantine.empty
    assert quarantine.columns.tolist() == ["image_id", "path", "folder", "split", "reason"]


def test_broken_files_are_set_aside_with_their_reasons(tmp_path):
    jpeg = saved(picture(200, 200), "JPEG")
    with Image.open(io.BytesIO(jpeg[: len(jpeg) // 2])) as cut:
        cut.verify()  # which is why verify() is not enough
    huge = struct.pack(">IIBBBBB", 20_000, 10_000, 1, 0, 0, 0, 0)
    broken = {
        "bomb.png": (png(huge, bytes(2501 * 10_000)), "too large"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "damaged: image file is truncated"),
        "eps.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not an image in a format"),
        "page.jpg": (b"\n<!DOCTYPE html><title>404</title>", "a page of HTML or XML"),
        "telephone.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC, which is not read"),
        "zero.jpg": (b"", "empty: 0 bytes"),
    }
    for name, (data, _) in broken.items():
        put(tmp_path, f"train/lace/{name}", data)
    put(tmp_path, "train/lace/sound.jpg", jpeg)
    manifest, quarantine = examine(find(tmp_path), limit=0.9)
    assert manifest["image_id"].tolist() == ["train/lace/sound.jpg"]
    assert quarantine["image_id"].tolist() == [f"train/lace/{name}" for name in broken]
    for (name, (_, reason)), found in zip(broken.items(), quarantine["reason"], strict=True):
        assert found.startswith(reason), name


def test_a_missing_file_and_a_dead_link_are_set_aside(tmp_path):
    put(tmp_path, "a.jpg", saved(picture(), "JPEG"))
    put(tmp_path, "b.jpg", saved(picture(), "JPEG"))
    (tmp_path / "c.jpg").symlink_to(tmp_path / "gone")
    listing = find(tmp_path)
    (tmp_path / "b.jpg").unlink()
    quarantine = examine(listing, limit=1)[1]
    assert quarantine[["image_id", "reason"]].to_numpy().tolist() == [
        ["b.jpg", "No such file or directory"],
        ["c.jpg", "No such file or directory"],
    ]


def test_a_name_that_is_not_utf8_is_set_aside(tmp_path):
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(saved(picture(), "JPEG"))
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    put(tmp_path, "café.jpg", saved(picture(), "JPEG"))
    manifest, quarantine = examine(find(tmp_path), limit=0.5)
    assert manifest["image_id"].tolist() == ["café.jpg"]
    assert quarantine["image_id"].tolist() == [r"caf\udce9.jpg"]
    assert quarantine["reason"].tolist() == ["its name is not UTF-8; rename it"]


def test_a_pipe_does_not_block(tmp_path):
    put(tmp_path, "a.jpg", saved(picture(), "JPEG"))
    os.mkfifo(tmp_path / "b.jpg")
    os.mkfifo(tmp_path / "pipe")
    assert examine(find(tmp_path), limit=0.5)[1]["reason"].tolist() == ["not a file"]


def test_only_regular_files_are_opened_whatever_is_asked_of_a_folder(tmp_path):
    """Pipes, sockets, devices and dead links are a row of the quarantine each, and a part of the fingerprint."""
    put(tmp_path, "a.jpg", saved(picture(), "JPEG"))
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "endless.jpg").symlink_to("/dev/zero")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as bound:
        before = Path.cwd()
        os.chdir(tmp_path)  # the path of a socket is short
        try:
            bound.bind("socket.jpg")
        finally:
            os.chdir(before)
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"")
    manifest, quarantine = examine(find(tmp_path), limit=1)
    assert manifest["image_id"].tolist() == ["a.jpg"]
    assert dict(quarantine[["image_id", "reason"]].to_numpy()) == {
        r"caf\udce9.jpg": "its name is not UTF-8; rename it",
        "endless.jpg": "not a file",
        "gone.jpg": "No such file or directory",
        "pipe.jpg": "not a file",
        "socket.jpg": "not a file",
    }
    first = fingerprint(tmp_path)
    (tmp_path / "pipe.jpg").unlink()
    (tmp_path / "pipe.jpg").write_bytes(b"x")
    assert fingerprint(tmp_path) != first


def test_more_than_one_percent_broken_stops_and_tells_the_first(tmp_path):
    for i in range(100):
        put(tmp_path, f"{i:03}.png", saved(picture(2, 2, seed=i), "PNG"))
    put(tmp_path, "007.png", b"")
    manifest, quarantine = examine(find(tmp_path))
    assert len(manifest) == 99
    assert len(quarantine) == 1
    put(tmp_path, "011.png", b"<html>")
    with pytest.raises(
        BrokenImagesError, match=r"^2 of 100 images are broken, and at most 1 % of them may be"
    ) as stopped:
        examine(find(tmp_path))
    assert "'007.png' (empty: 0 bytes); '011.png' (a page of HTML" in str(stopped.value)
    assert stopped.value.quarantine["image_id"].tolist() == ["007.png", "011.png"]


def test_the_manifest_does_not_depend_on_the_number_of_workers(tmp_path):
    for i in range(40):
        put(tmp_path, f"{i:02}.png", saved(picture(3 + i, 5, seed=i), "PNG") if i % 4 else b"")
    one, three = (examine(find(tmp_path), limit=1, workers=workers) for workers in (1, 3))
    pd.testing.assert_frame_equal(one[0], three[0])
    pd.testing.assert_frame_equal(one[1], three[1])


def test_tables_without_columns_rows_or_with_an_image_twice_are_refused(tmp_path):
    put(tmp_path, "a.png", saved(picture(), "PNG"))
    listing = find(tmp_path)
    with pytest.raises(ValueError, match="no column folder; received image_id, path, split"):
        examine(listing.drop(columns="folder"))
    with pytest.raises(ValueError, match="without rows"):
        examine(listing.head(0))
    with pytest.raises(ValueError, match=r"'a\.png' occurs twice"):
        examine(pd.concat([listing, listing]))
    with pytest.raises(ValueError, match="workers must be at least 1; received 0"):
        examine(listing, workers=0)


def test_real_photographs_are_all_sound():
    root = real_data("clothing") / "images"
    manifest, quarantine = examine(find(root))
    assert len(manifest) == 951
    assert quarantine.empty
    assert manifest["folder"].value_counts().index.tolist()[0] == "t-shirt"
    assert manifest[["width", "height"]].min(axis=1).unique().tolist() == [256]


# Decoding


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(picture(), kind, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    assert decode(data).size == measure(data)[:2] == ((20, 12) if orientation < 5 else (12, 20))
    assert np.array_equal(decode(data), expected)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_exif_block_does_not_cost_the_image():
    data = saved(picture(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(10))
    assert np.array_equal(decode(data), decode(saved(picture(), "JPEG")))


def test_orientation_of_a_transparent_palette_keeps_its_transparency():
    exif = Image.Exif()
    exif[0x0112] = 3
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    data = saved(image, "PNG", exif=exif, transparency=0)
    assert np.asarray(decode(data)).tolist() == [[[40, 50, 60], [255, 255, 255]]]


SIXTEEN = np.array([[0, 255, 256], [40_000, 65_279, 65_535]], dtype=np.uint16)
EIGHT = [[0, 0, 1], [156, 254, 255]]  # the upper eight bits, by hand


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_and_does_not_saturate(kind):
    data = saved(Image.fromarray(SIXTEEN), kind)
    assert np.asarray(decode(data)).tolist() == [[[v] * 3 for v in row] for row in EIGHT]


def test_sixteen_bit_grey_of_the_other_byte_order_is_scaled():
    data = saved(Image.frombytes("I;16B", (3, 2), SIXTEEN.astype(">u2").tobytes()), "TIFF")
    assert np.asarray(decode(data)).tolist() == [[[v] * 3 for v in row] for row in EIGHT]


def test_sixteen_bit_colour_is_scaled_as_sixteen_bit_grey_is():
    rows = b"".join(b"\0" + np.repeat(row, 3).astype(">u2").tobytes() for row in SIXTEEN)
    data = png(struct.pack(">IIBBBBB", 3, 2, 16, 2, 0, 0, 0), rows)
    assert np.asarray(decode(data)).tolist() == [[[v] * 3 for v in row] for row in EIGHT]


def test_samples_of_32_bits_are_refused():
    for mode in ("F", "I"):
        with pytest.raises(UnreadableError, match="32 bits a sample"):
            decode(saved(Image.new(mode, (3, 3)), "TIFF"))


def test_cmyk_becomes_rgb():
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan: red
    for data in (saved(cmyk, "JPEG", quality=100), saved(cmyk, "TIFF")):
        red, green, blue = np.asarray(decode(data)).reshape(-1, 3).T
        assert red.min() >= 253
        assert max(green.max(), blue.max()) <= 2


def test_alpha_is_laid_on_white():
    image = Image.fromarray(np.array([[[200, 0, 100, 0], [200, 0, 100, 255], [200, 0, 100, 51]]], np.uint8))
    # 51/255 = 0.2: 0.2·200 + 0.8·255 = 244, 0.8·255 = 204, 0.2·100 + 0.8·255 = 224
    expected = [[[255, 255, 255], [200, 0, 100], [244, 204, 224]]]
    for kind, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})):
        assert np.asarray(decode(saved(image, kind, **options))).tolist() == expected


def test_grey_with_alpha_and_a_transparent_grey_are_laid_on_white():
    image = Image.merge("LA", [Image.new("L", (2, 1), 9), Image.frombytes("L", (2, 1), b"\xff\0")])
    assert np.asarray(decode(saved(image, "PNG"))).tolist() == [[[9] * 3, [255] * 3]]
    grey = Image.frombytes("L", (2, 1), b"\x09\x0a")
    assert np.asarray(decode(saved(grey, "PNG", transparency=10))).tolist() == [[[9] * 3, [255] * 3]]


def test_palette_grey_and_bilevel_become_rgb():
    palette = Image.frombytes("P", (2, 1), b"\1\0")
    palette.putpalette([1, 2, 3, 4, 5, 6])
    assert np.asarray(decode(saved(palette, "PNG"))).tolist() == [[[4, 5, 6], [1, 2, 3]]]
    assert np.asarray(decode(saved(Image.new("L", (1, 1), 77), "PNG"))).tolist() == [[[77] * 3]]
    assert np.asarray(decode(saved(Image.new("1", (1, 1), 1), "PNG"))).tolist() == [[[255] * 3]]


@pytest.mark.parametrize(("kind", "exact"), [("GIF", True), ("PNG", True), ("WEBP", False), ("TIFF", True)])
def test_the_first_frame_of_an_animation_is_taken(kind, exact):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 3
    apart = np.abs(np.asarray(decode(data)).astype(int) - [255, 0, 0])
    assert apart.max() <= (0 if exact else 3)


def test_pictures_of_two_in_one_jpeg_give_the_first():
    data = saved(
        Image.new("RGB", (8, 8), "red"), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))]
    )
    assert np.asarray(decode(data))[0, 0, 0] >= 253


def bomb(side: int) -> bytes:
    """A bilevel PNG of a few bytes that says that it has so many pixels."""
    return png(struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0), bytes(10))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_460, 13_500])  # 1.0002 and 2.04 times the limit
def test_bombs_are_refused_where_pillow_only_warns_and_where_it_refuses(side):
    with pytest.raises(UnreadableError, match="too large"):
        decode(bomb(side))


def test_one_pixel_row_below_the_limit_is_no_bomb():
    assert 9_459**2 <= MAX_PIXELS < 9_460**2
    with pytest.raises(UnreadableError, match="damaged"):
        decode(bomb(9_459))


@pytest.mark.filterwarnings("error")
def test_bombs_and_damaged_exif_warn_nobody_while_a_folder_is_read(tmp_path):
    put(tmp_path, "bomb.png", bomb(9_460))
    put(tmp_path, "exif.jpg", saved(picture(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(10)))
    manifest, quarantine = examine(find(tmp_path), limit=0.5)
    assert manifest["image_id"].tolist() == ["exif.jpg"]
    assert quarantine["reason"].tolist() == ["too large: 9,460 × 9,460 pixels; at most 89,478,485"]


def test_strips_are_refused():
    assert decode(saved(Image.new("L", (MAX_ASPECT, 1)), "PNG")).size == (MAX_ASPECT, 1)
    with pytest.raises(UnreadableError, match=r"too long and thin: 1 × 201 pixels; at most 1 to 200"):
        decode(saved(Image.new("L", (1, MAX_ASPECT + 1)), "PNG"))


def test_conversions_and_what_is_left_out_are_counted_in_a_line_each(tmp_path, capsys):
    put(tmp_path, "a.png", saved(Image.fromarray(SIXTEEN), "PNG"))
    put(tmp_path, "b.jpg", saved(picture().convert("CMYK"), "JPEG"))
    for name in ("c.png", "d.png"):
        put(tmp_path, name, saved(picture().convert("RGBA"), "PNG"))
    exif = Image.Exif()
    exif[0x0112] = 6
    put(tmp_path, "e.jpg", saved(picture(), "JPEG", exif=exif))
    put(tmp_path, "f.gif", saved(picture(), "GIF", save_all=True, append_images=[picture(seed=1)]))
    put(tmp_path, "g.jpg", saved(picture(), "JPEG"))
    examine(find(tmp_path), limit=0)
    said = [line for line in capsys.readouterr().err.splitlines() if "converted" in line]
    assert said == [
        "  converted: 1 16 bits a sample, 1 CMYK, 1 several frames or pages, 2 transparent, 1 turned by EXIF"
    ]
    (tmp_path / "g.jpg").write_bytes(b"")
    examine(find(tmp_path), limit=1)
    assert (
        "  1 of the files could not be read and are left out, such as g.jpg (empty: 0 bytes); "
        "tables/quarantine.csv lists them.\n"
    ) in capsys.readouterr().err


def test_a_name_does_not_decide_what_a_file_is(tmp_path):
    put(tmp_path, "really_png.jpg", saved(picture(), "PNG"))
    put(tmp_path, "really_jpeg.gif", saved(picture(), "JPEG"))
    assert len(examine(find(tmp_path))[0]) == 2


def test_every_cut_of_a_file_is_either_refused_by_both_or_by_neither():
    for kind in ("JPEG", "PNG", "GIF", "BMP"):
        data = saved(picture(64, 48), kind)
        for end in range(0, len(data), 97):
            results = []
            for step in (decode, measure):
                try:
                    found = step(data[:end])
                    results.append(found[:2] if step is measure else found.size)
                except UnreadableError:
                    results.append(None)
            assert results[0] == results[1], (kind, end)
        assert measure(data)[:2] == (64, 48)
        with pytest.raises(UnreadableError):
            decode(data[: len(data) // 2])
