"""TextileNet's archive as it is found in the wild: unpacked safely, listed, capped and split."""

import gzip
import io
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
import types
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from PIL import Image

from swatchbook.data import archive
from swatchbook.data.archive import unpack
from swatchbook.data.images import examine
from swatchbook.data.readers import published, textilenet
from swatchbook.data.readers.textilenet import cap_and_split, native_split, open_source, published_split
from swatchbook.data.strict_csv import DataError


def jpeg(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


TREE = {
    "train/lace/266458_imaterial.jpeg": jpeg(1),
    "train/lace/robe d'été №1 (1).jpg": jpeg(2),
    "train/faux_fur/=HYPERLINK.jpg": jpeg(3),
    "train/tweed/x.jpg": jpeg(4),
    "test/lace/x.jpg%3Fw=400": jpeg(5),
    "test/lace/" + "long" * 50 + ".jpg": jpeg(6),
}
CLUTTER = (".DS_Store", "train/.gitkeep", "train/lace/._266458_imaterial.jpeg", "__MACOSX/train/lace/y.jpg")


def tarred(path: Path, entries: dict[str, bytes | tarfile.TarInfo], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as opened:
        for name, content in entries.items():
            if isinstance(content, tarfile.TarInfo):
                opened.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
    return path


def zipped(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in entries.items():
            opened.writestr(name, content)
    return path


def contents(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def nothing_but(folder: Path, *names: str) -> bool:
    return {p.name for p in folder.iterdir()} - {".fabric.lock"} == set(names)


# Unpacking


@pytest.mark.parametrize("lead", ["", "fabric/", "./fabric/", "./"])
@pytest.mark.parametrize("kind", ["w", "w:gz", "w:bz2", "w:xz", "zip"])
def test_every_packing_gives_the_same_tree(tmp_path, kind, lead):
    entries = {lead + name: content for name, content in TREE.items()}
    entries |= {lead + name: b"clutter" for name in CLUTTER}
    write = zipped if kind == "zip" else lambda path, e: tarred(path, e, kind)
    root = open_source(write(tmp_path / "downloaded", entries), tmp_path / "fabric")
    assert contents(root) == TREE
    assert nothing_but(tmp_path, "downloaded", "fabric")


def test_a_zip_with_backslashes_gives_the_same_tree(tmp_path):
    source = zipped(tmp_path / "a.zip", {"fabric\\" + n.replace("/", "\\"): c for n, c in TREE.items()})
    assert contents(open_source(source)) == TREE


def test_an_unpacked_folder_is_taken_as_it_is(tmp_path):
    for name, content in TREE.items():
        (tmp_path / "data/fabric" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data/fabric" / name).write_bytes(content)
    assert open_source(tmp_path / "data") == tmp_path / "data/fabric"
    assert open_source(tmp_path / "data/fabric") == tmp_path / "data/fabric"
    # What an earlier run unpacked is not unpacked again, even if the archive is no longer sound.
    (tmp_path / "data/fabric.tar.gz").write_bytes(b"")
    assert open_source(tmp_path / "data/fabric.tar.gz") == tmp_path / "data/fabric"


def test_a_source_without_train_and_test_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"nowhere' does not exist; allowed: fabric\.tar\.gz"):
        open_source(tmp_path / "nowhere")
    (tmp_path / "lace").mkdir()
    with pytest.raises(DataError, match="holds lace; allowed: one folder with train and test"):
        open_source(tmp_path)
    for name in ("fabric", "fibre"):
        for part in ("train", "test"):
            (tmp_path / name / part).mkdir(parents=True)
    with pytest.raises(DataError, match="holds fabric, fibre; allowed: one folder"):
        open_source(tmp_path)


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"../evil.jpg": b"x"}, r"'\.\./evil\.jpg' leads outside"),
        ({"train/../../evil.jpg": b"x"}, "leads outside"),
        ({"/etc/evil.jpg": b"x"}, "'/etc/evil.jpg' leads outside"),
        ({"C:/evil.jpg": b"x"}, "leads outside"),
        ({"train\\..\\..\\evil.jpg": b"x"}, "leads outside"),
        ({"\\\\host\\share\\evil.jpg": b"x"}, "leads outside"),
        ({"l": special("train/l.jpg", tarfile.SYMTYPE, "/etc/passwd")}, r"'train/l\.jpg' is a link"),
        ({"l": special("train/l.jpg", tarfile.LNKTYPE, "train/x.jpg")}, "is a link"),
        ({"d": special("train/d.jpg", tarfile.CHRTYPE)}, "is a device"),
        ({"d": special("train/d.jpg", tarfile.FIFOTYPE)}, "is a device"),
        ({".hidden": special(".hidden", tarfile.SYMTYPE, "/")}, "is a link"),
        ({"train/x.jpg": b"x", "./train/x.jpg": b"y"}, r"holds 'train/x\.jpg' twice"),
        ({".DS_Store": b"x"}, "holds no file"),
    ],
)
def test_hostile_tars_are_refused_and_leave_nothing(tmp_path, entries, reason):
    source = tarred(
        tmp_path / "a.tar.gz", {"train/first.jpg": b"1"} | entries if len(entries) > 1 else entries
    )
    with pytest.raises(DataError, match=reason):
        unpack(source, tmp_path / "fabric")
    assert nothing_but(tmp_path, "a.tar.gz")
    assert not (tmp_path.parent / "evil.jpg").exists()


@pytest.mark.parametrize("name", ["../evil.jpg", "/etc/evil.jpg", "..\\evil.jpg", "C:\\evil.jpg"])
def test_hostile_names_in_zips_are_refused(tmp_path, name):
    source = zipped(tmp_path / "a.zip", {"train/x.jpg": b"x", name: b"x"})
    with pytest.raises(DataError, match="leads outside"):
        unpack(source, tmp_path / "fabric")
    assert nothing_but(tmp_path, "a.zip")


def test_links_in_zips_are_refused(tmp_path):
    link = zipfile.ZipInfo("train/x.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match=r"'train/x\.jpg' is a link or a device"):
        unpack(tmp_path / "a.zip", tmp_path / "fabric")


def test_modes_of_an_archive_have_no_effect(tmp_path):
    info = tarfile.TarInfo("train/x.jpg")
    info.mode, info.size = 0o6777, 1
    with tarfile.open(tmp_path / "a.tar", "w") as opened:
        opened.addfile(info, io.BytesIO(b"x"))
    unpack(tmp_path / "a.tar", tmp_path / "fabric")
    assert not (tmp_path / "fabric/train/x.jpg").stat().st_mode & 0o7111


@pytest.mark.parametrize("write", [tarred, zipped])
def test_bombs_are_refused_and_leave_nothing(tmp_path, write, monkeypatch):
    source = write(tmp_path / "a", {f"train/lace/{i}.jpg": bytes(1000) for i in range(30)})
    bomb = "holds more than the limits allow"
    with pytest.raises(DataError, match=bomb):
        unpack(source, tmp_path / "fabric", max_bytes=29_999)
    with pytest.raises(DataError, match="has more than 29 entries"):
        unpack(source, tmp_path / "fabric", max_files=29)
    monkeypatch.setattr(archive, "_ANY_RATIO", 0)
    size = source.stat().st_size
    with pytest.raises(DataError, match=bomb):
        unpack(source, tmp_path / "fabric", max_ratio=29_999 / size)
    assert nothing_but(tmp_path, "a")
    unpack(source, tmp_path / "fabric", max_bytes=30_000, max_files=30, max_ratio=30_001 / size)
    assert len(contents(tmp_path / "fabric")) == 30


@pytest.mark.parametrize("stated", [10, 900])
def test_a_size_that_lies_gives_no_more_bytes_than_it_states(tmp_path, stated, monkeypatch):
    source = zipped(tmp_path / "a.zip", {"train/x.jpg": bytes(5000)})
    data = source.read_bytes()
    size = (5000).to_bytes(4, "little")
    assert data.count(size) == 2  # beside the content, and in the directory at the end
    source.write_bytes(data.replace(size, stated.to_bytes(4, "little")))
    real, sizes = archive._copy, []

    def copy(member, target):
        try:
            real(member, target)
        finally:
            sizes.append(target.stat().st_size)

    monkeypatch.setattr(archive, "_copy", copy)
    with pytest.raises(DataError, match="damaged or cut off"):
        unpack(source, tmp_path / "fabric", max_bytes=1000)
    assert max(sizes) <= stated
    assert nothing_but(tmp_path, "a.zip")


@pytest.mark.parametrize("kind", ["w", "w:gz", "w:bz2", "w:xz", "zip"])
def test_an_archive_cut_anywhere_is_refused_and_leaves_nothing(tmp_path, kind):
    source = tmp_path / "whole"
    zipped(source, TREE) if kind == "zip" else tarred(source, TREE, kind)
    whole = source.read_bytes()
    # Plain tars end in zeros whose number does not matter.
    useful = len(whole.rstrip(b"\0")) if kind == "w" else len(whole)
    cuts = {0, 1, 5, 512, *range(600, useful, max(useful // 25, 1)), useful - 1}
    cuts |= {n * 512 for n in range(1, useful // 512)} if kind == "w" else set()
    for cut in sorted(cuts):
        (tmp_path / "cut").write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"damaged or cut off|holds no file"):
            unpack(tmp_path / "cut", tmp_path / "fabric")
        assert nothing_but(tmp_path, "whole", "cut"), cut


def test_a_flipped_byte_in_the_compressed_data_is_found(tmp_path):
    source = tarred(tmp_path / "a.tar.gz", {"train/x.jpg": np.random.default_rng(0).bytes(50_000)})
    data = bytearray(source.read_bytes())
    for at in (len(data) // 2, len(data) - 6):
        wrong = data.copy()
        wrong[at] ^= 1
        source.write_bytes(wrong)
        with pytest.raises(DataError, match="damaged or cut off"):
            unpack(source, tmp_path / "fabric")


def test_the_checksum_is_read_even_behind_a_long_padding(tmp_path):
    plain = tarred(tmp_path / "a.tar", {"train/x.jpg": b"x"}, "w").read_bytes()
    data = bytearray(gzip.compress(plain.ljust(2**22, b"\0")))
    (tmp_path / "a.tar.gz").write_bytes(data)
    unpack(tmp_path / "a.tar.gz", tmp_path / "sound")
    data[-6] ^= 1
    (tmp_path / "a.tar.gz").write_bytes(data)
    with pytest.raises(DataError, match="damaged or cut off"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "fabric")


def test_other_files_and_encrypted_zips_are_refused(tmp_path):
    (tmp_path / "page.tar.gz").write_bytes(b"<!DOCTYPE html><html>quota exceeded</html>")
    with pytest.raises(DataError, match=r"page\.tar\.gz is damaged or cut off .*; its size is 42 bytes"):
        unpack(tmp_path / "page.tar.gz", tmp_path / "fabric")
    (tmp_path / "text.gz").write_bytes(gzip.compress(b"text" * 1000))
    with pytest.raises(DataError, match="damaged or cut off"):
        unpack(tmp_path / "text.gz", tmp_path / "fabric")
    data = bytearray(zipped(tmp_path / "a.zip", {"train/x.jpg": b"x"}).read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DataError, match="is encrypted"):
        unpack(tmp_path / "a.zip", tmp_path / "fabric")


def test_after_a_full_disk_only_the_rest_is_written(tmp_path, monkeypatch):
    source = tarred(tmp_path / "a.tar.gz", TREE)
    real, copied = archive._copy, []

    def copy(member, target):
        if len(copied) == 3:
            raise OSError(28, "No space left on device")
        copied.append(target)
        real(member, target)

    monkeypatch.setattr(archive, "_copy", copy)
    with pytest.raises(
        DataError, match=r"No space left on device\); what is there so far is kept in '\.fabric"
    ):
        unpack(source, tmp_path / "fabric")
    assert not (tmp_path / "fabric").exists()
    (partial,) = tmp_path.glob(".fabric.*.partial")
    kept = {path.name: path.stat().st_mtime_ns for path in partial.rglob("*") if path.is_file()}
    assert len(kept) == 3
    half = next(partial.rglob("*.jpeg"))
    half.write_bytes(half.read_bytes()[:10])  # as a kill in the middle of a file leaves it
    monkeypatch.setattr(archive, "_copy", real)
    unpack(source, tmp_path / "fabric")
    assert contents(tmp_path / "fabric") == TREE
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "fabric").rglob("*")}
    assert [name for name in kept if times[name] != kept[name]] == [half.name]


def test_a_kill_in_the_middle_leaves_nothing_under_the_final_name_and_is_made_good(tmp_path):
    source = tarred(tmp_path / "a.tar.gz", TREE)
    program = f"""
import os, signal
from pathlib import Path
from swatchbook.data import archive
real, copied = archive._copy, []
def copy(*args):
    copied.append(1)
    if len(copied) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args)
archive._copy = copy
archive.unpack(Path({str(source)!r}), Path({str(tmp_path / "fabric")!r}))
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == -signal.SIGKILL
    assert not (tmp_path / "fabric").exists()
    assert contents(unpack(source, tmp_path / "fabric")) == TREE
    assert nothing_but(tmp_path, "a.tar.gz", "fabric")


def test_a_name_that_no_disk_can_hold_is_the_archives_fault_and_leaves_nothing(tmp_path):
    """To try again would not help, so that is not what is said."""
    source = zipped(tmp_path / "a.zip", {"train/x.jpg": b"x", f"train/{'y' * 300}.jpg": b"x"})
    with pytest.raises(DataError, match=r"a.zip is damaged or cut off \(.*File name too long") as refused:
        unpack(source, tmp_path / "out")
    assert "next time" not in str(refused.value)
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == ["a.zip"]


def test_what_another_archive_left_is_not_mixed_in(tmp_path, monkeypatch):
    source = tarred(tmp_path / "a.tar.gz", {"train/x.jpg": b"old", "train/y.jpg": b"y"})
    real = archive._copy

    def copy(member, *rest):
        if member.name == "train/y.jpg":
            raise OSError(28, "No space left on device")
        return real(member, *rest)

    monkeypatch.setattr(archive, "_copy", copy)
    with pytest.raises(DataError):
        unpack(source, tmp_path / "fabric")
    monkeypatch.setattr(archive, "_copy", real)
    tarred(source, {"train/x.jpg": b"new"})
    os.utime(source, (time.time() + 5, time.time() + 5))
    assert contents(unpack(source, tmp_path / "fabric")) == {"train/x.jpg": b"new"}


def test_two_at_once_do_not_mix(tmp_path):
    source = tarred(tmp_path / "a.tar.gz", TREE)
    with (
        FileLock(tmp_path / ".fabric.lock"),
        pytest.raises(DataError, match="by another process; wait for it"),
    ):
        unpack(source, tmp_path / "fabric")


def test_too_little_room_is_told_before_anything_is_written(tmp_path, monkeypatch):
    source = tarred(tmp_path / "a.tar.gz", TREE)
    usage = archive.shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"unpacking a\.tar\.gz needs about 0\.0 GB"):
        unpack(source, tmp_path / "fabric")
    assert nothing_but(tmp_path, "a.tar.gz")


# Fetching


@pytest.fixture
def drive(monkeypatch):
    """A Google Drive of our own: set what it does, and see what it was asked."""
    fake = types.ModuleType("gdown")
    fake.asked = []
    fake.does = lambda output: None

    def download(**asked):
        fake.asked.append(asked)
        return fake.does(Path(asked["output"]))

    fake.download = download
    monkeypatch.setitem(sys.modules, "gdown", fake)
    monkeypatch.setattr(textilenet, "SIZES", (100, 200))
    return fake


def test_the_archive_is_fetched_with_resume_and_not_twice(tmp_path, drive):
    drive.does = lambda output: output.write_bytes(bytes(150))
    target = tmp_path / "fabric.tar.gz"
    assert textilenet.fetch_archive(tmp_path) == target
    assert textilenet.fetch_archive(target) == target
    assert drive.asked == [{"id": textilenet.DRIVE_ID, "output": str(target), "resume": True}]


def test_a_drive_that_refuses_gives_the_route_by_hand(tmp_path, drive):
    def refuse(output):
        raise RuntimeError("Too many users have viewed or downloaded this file recently")

    drive.does = refuse
    with pytest.raises(DataError) as refused:
        textilenet.fetch_archive(tmp_path / "sub/fabric.tar.gz")
    for part in (
        "Too many users have viewed",
        "Run again to go on from where it stopped",
        f"https://drive.google.com/uc?id={textilenet.DRIVE_ID}",
        f"save it as '{tmp_path}/sub/fabric.tar.gz'",
    ):
        assert part in str(refused.value)
    drive.does = lambda output: None
    with pytest.raises(DataError, match=r"gave no fabric\.tar\.gz\. Try again later, or get it by hand"):
        textilenet.fetch_archive(tmp_path)


def test_a_page_in_place_of_the_archive_is_refused_also_next_time(tmp_path, drive):
    drive.does = lambda output: output.write_bytes(b"<html>")
    for _ in range(2):
        with pytest.raises(DataError, match=r"has 6 bytes; allowed: 100 to 200\..* Remove|remove it and run"):
            textilenet.fetch_archive(tmp_path)
    assert len(drive.asked) == 1


def test_room_is_checked_less_what_is_there_already(tmp_path, drive, monkeypatch):
    drive.does = lambda output: output.write_bytes(bytes(100))
    usage = archive.shutil.disk_usage(tmp_path)._replace(free=40)
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"fabric\.tar\.gz needs about 0\.0 GB"):
        textilenet.fetch_archive(tmp_path)
    assert not drive.asked
    (tmp_path / "fabric.tar.gzabcdefgh.part").write_bytes(bytes(60))
    textilenet.fetch_archive(tmp_path)
    assert len(drive.asked) == 1


def test_without_gdown_the_way_to_get_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(DataError, match=r"needs gdown: pip install gdown\. Or get it by hand"):
        textilenet.fetch_archive(tmp_path)


# Listing


def archive_folder(root: Path, counts: dict[str, tuple[int, int]]) -> Path:
    for folder, numbers in counts.items():
        for part, number in zip(("train", "test"), numbers, strict=True):
            (root / part / folder).mkdir(parents=True, exist_ok=True)
            for i in range(number):
                (root / part / folder / f"{i}.jpg").touch()
    return root


def test_orphans_and_small_and_absent_folders_are_reported(tmp_path, schema):
    root = archive_folder(
        tmp_path, {"lace": (50, 3), "twill": (49, 9), "tweed": (60, 2), "serge": (1, 0), "vinyl": (50, 0)}
    )
    images, dropped = native_split(root, schema)
    assert Counter(zip(images["folder"], images["split"], strict=True)) == {
        ("lace", "train"): 50,
        ("lace", "test"): 3,
        ("vinyl", "train"): 50,
    }
    assert images["image_id"].is_monotonic_increasing
    assert Path(images["path"].iloc[0]) == root / images["image_id"].iloc[0]
    used = dropped[dropped[["images_train", "images_test"]].sum(axis=1) > 0]
    assert used.to_numpy().tolist() == [
        ["twill", "below the floor: fewer than 50 training images", 49, 9],
        ["tweed", "orphan: the schema has no class for it", 60, 2],
        ["serge", "orphan: the schema has no class for it", 1, 0],
    ]
    absent = dropped.drop(used.index)
    assert set(absent["reason"]) == {"absent: the archive has no image of it"}
    assert set(dropped["folder"]) == set(schema.folders) - {"lace", "vinyl"}
    assert "twill" in native_split(root, schema, floor=49)[0]["folder"].unique()


def test_folders_that_the_schema_does_not_name_are_an_error(tmp_path, schema):
    root = archive_folder(tmp_path, {"lace": (1, 1), "faux fur": (1, 0), "Linen": (0, 1)})
    with pytest.raises(DataError, match=r"does not name: 'Linen', 'faux fur'; allowed: chambray, "):
        native_split(root, schema)


def test_images_outside_the_layout_are_an_error(tmp_path, schema):
    root = archive_folder(tmp_path, {"lace": (1, 1)})
    (root / "train/lace/deeper").mkdir()
    (root / "train/lace/deeper/a.jpg").touch()
    assert native_split(root, schema, floor=1)[0]["folder"].tolist() == ["lace"] * 3
    for stray in ("train/x.jpg", "val/lace/x.jpg"):
        (root / stray).parent.mkdir(parents=True, exist_ok=True)
        (root / stray).touch()
        with pytest.raises(DataError, match=rf"holds '{stray}' \(1 such images\); allowed: images in train/"):
            native_split(root, schema)
        (root / stray).unlink()


def test_nothing_left_is_an_error(tmp_path, schema):
    with pytest.raises(DataError, match="no fabric with a class and at least 50 training images"):
        native_split(archive_folder(tmp_path, {"lace": (49, 1), "tweed": (90, 1)}), schema)


def test_an_archive_becomes_a_manifest(tmp_path, schema):
    root = open_source(tarred(tmp_path / "fabric.tar.gz", {f"./fabric/{n}": c for n, c in TREE.items()}))
    images, dropped = native_split(root, schema, floor=1)
    manifest, quarantine = examine(images)
    assert set(manifest["image_id"]) == {name for name in TREE if "tweed" not in name}
    assert "tweed" in dropped["folder"].tolist()
    assert quarantine.empty


# Capping and splitting


def listing(counts: dict[str, tuple[int, int]]) -> pd.DataFrame:
    rows = [
        (f"{part}/{folder}/{i}.jpg", f"/data/{part}/{folder}/{i}.jpg", folder, part)
        for folder, numbers in counts.items()
        for part, number in zip(("train", "test"), numbers, strict=True)
        for i in range(number)
    ]
    return pd.DataFrame(rows, columns=["image_id", "path", "folder", "split"])


def test_a_full_archive_gives_the_published_counts(published_dir):
    counts = pd.read_csv(published_dir / "class_distribution.csv").set_index("class")
    full = listing({name: (row.train, row.test) for name, row in counts.iterrows()})
    assert full["split"].value_counts().to_dict() == {"train": 96_094, "test": 23_755}
    drawn = cap_and_split(full)
    assert drawn["split"].value_counts(sort=False).to_dict() == {"train": 7_676, "val": 1_919, "test": 3_760}
    table = pd.crosstab(drawn["folder"], drawn["split"])
    small = {
        "plush": (167, 42, 57),
        "vinyl": (162, 40, 46),
        "neoprene": (147, 37, 60),
        "taffeta": (400, 100, 197),
    }
    for folder, row in table.iterrows():
        assert (row["train"], row["val"], row["test"]) == small.get(folder, (400, 100, 200)), folder
    assert len(table) == 21
    assert drawn["image_id"].is_unique
    in_train = drawn["split"] != "test"
    assert drawn.loc[in_train, "image_id"].str.startswith("train/").all()
    assert drawn.loc[~in_train, "image_id"].str.startswith("test/").all()


def test_the_draw_depends_on_the_seed_and_on_nothing_else():
    full = listing({"lace": (90, 30), "knit": (40, 25)})
    drawn = cap_and_split(full, cap_train=20, cap_test=10)
    shuffled = full.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(cap_and_split(shuffled, cap_train=20, cap_test=10), drawn)
    alone = cap_and_split(full[full["folder"] == "lace"], cap_train=20, cap_test=10)
    pd.testing.assert_frame_equal(alone, drawn[drawn["folder"] == "lace"].reset_index(drop=True))
    other = cap_and_split(full, cap_train=20, cap_test=10, seed=43)
    assert set(other["image_id"]) != set(drawn["image_id"])


def test_fabrics_of_one_size_are_not_drawn_by_the_same_numbers():
    drawn = cap_and_split(listing({"lace": (90, 0), "knit": (90, 0)}), cap_train=20)
    numbers = drawn["image_id"].str.rpartition("/")[2]
    assert set(numbers[drawn["folder"] == "lace"]) != set(numbers[drawn["folder"] == "knit"])


def test_every_image_has_the_same_chance():
    full = listing({"lace": (10, 0)})
    times = Counter()
    for seed in range(400):
        drawn = cap_and_split(full, cap_train=5, seed=seed)
        times.update(drawn.loc[drawn["split"] == "val", "image_id"])
    # One of ten each time: 40 expected, standard deviation 6.
    assert sum(times.values()) == 400
    assert min(times.values()) > 40 - 4 * 6
    assert max(times.values()) < 40 + 4 * 6


def test_small_classes_keep_an_image_on_each_side():
    drawn = cap_and_split(listing({"lace": (2, 1), "knit": (1, 1)}))
    assert drawn.groupby("folder")["split"].apply(sorted).to_dict() == {
        "knit": ["test", "train"],
        "lace": ["test", "train", "val"],
    }
    assert "val" not in set(cap_and_split(listing({"lace": (9, 1)}), validation=0)["split"])


def test_impossible_draws_are_refused():
    full = listing({"lace": (2, 1)})
    with pytest.raises(ValueError, match="cap_train and cap_test must be at least 1; received 0 and 200"):
        cap_and_split(full, cap_train=0)
    with pytest.raises(ValueError, match=r"validation must lie in \[0, 1\); received 1"):
        cap_and_split(full, validation=1)
    with pytest.raises(ValueError, match="split 'val'; allowed: train, test"):
        cap_and_split(full.assign(split="val"))


# The published images


@pytest.fixture(scope="module")
def lists(published_dir, schema) -> pd.DataFrame:
    return published.read(published.locate(published_dir), schema).manifest


def test_the_published_lists_give_the_exact_images(lists):
    more = listing({"lace": (50, 50)})
    archive_list = pd.concat([more, lists[["image_id"]].assign(path="/d/" + lists["image_id"])]).sample(
        frac=1, random_state=0
    )
    found = published_split(archive_list, lists)
    assert found.columns.tolist() == ["image_id", "path", "folder", "split"]
    assert found["split"].value_counts().to_dict() == {"train": 7_676, "test": 3_760, "val": 1_919}
    assert found["image_id"].tolist() == lists["image_id"].tolist()
    assert (found["path"] == "/d/" + found["image_id"]).all()
    pd.testing.assert_series_equal(found["folder"], lists["folder"])


def test_our_own_split_has_the_published_counts_of_every_fabric(lists, published_dir):
    counts = pd.read_csv(published_dir / "class_distribution.csv").set_index("class")
    full = listing({name: (row.train, row.test) for name, row in counts.iterrows()})
    ours = pd.crosstab(*(cap_and_split(full)[c] for c in ("folder", "split")))
    pd.testing.assert_frame_equal(ours, pd.crosstab(lists["folder"], lists["split"]))


def test_accents_taken_apart_by_unpacking_are_found():
    published_list = pd.DataFrame({"image_id": ["train/lace/é.jpg"], "folder": "lace", "split": "val"})
    here = pd.DataFrame({"image_id": ["train/lace/e\u0301.jpg"], "path": ["/d/e\u0301.jpg"]})
    assert published_split(here, published_list)["path"].tolist() == ["/d/e\u0301.jpg"]


def test_published_images_that_the_archive_lacks_are_an_error():
    wanted = listing({"lace": (5, 5)})
    with pytest.raises(DataError, match=r"lacks 6 of the 10 published images, such as 'train/lace/1\.jpg', "):
        published_split(wanted.iloc[[0, 5, 6, 7]], wanted)
