"""Files and folders appear whole or not at all, for those whom the umask lets read them."""

import os
import re
import stat
from pathlib import Path

import pytest

from swatchbook.atomic import PAGES, StoreError, new_folder, output_file, write_file
from swatchbook.store import Store


def put(text: str):
    return lambda path: path.write_text(text)


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0o002, 0o664, 0o775)]
)
def test_the_umask_decides_who_may_read(tmp_path, umask, file, folder):
    before = os.umask(umask)
    try:
        write_file(tmp_path / "a.txt", put("x"))
        Store(tmp_path / "run").write("tables/t.csv", put("x"))

        def private(path):
            path.unlink()
            path.touch(mode=0o600)

        write_file(tmp_path / "b.txt", private)  # as some libraries write
        with new_folder(tmp_path / "d") as path:
            (path / "c.txt").write_text("x")
    finally:
        os.umask(before)
    files = [tmp_path / name for name in ("a.txt", "b.txt", "run/tables/t.csv", "d/c.txt")]
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [file] * 4
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == folder


def test_a_folder_replaces_an_empty_one_and_no_other(tmp_path):
    (tmp_path / "out").mkdir()
    with new_folder(tmp_path / "out") as path:
        (path / "a.txt").write_text("a")
    assert (tmp_path / "out/a.txt").read_text() == "a"
    refused = pytest.raises(ValueError, match=r"out '.*out' already holds something")
    with refused, new_folder(tmp_path / "out"):
        pytest.fail("nothing may be written")
    refused = pytest.raises(StoreError, match=r"cannot write new in .*: Directory not empty; what was there")
    with refused, new_folder(tmp_path / "new") as path:
        (path / "b.txt").write_text("b")
        (tmp_path / "new").mkdir()
        (tmp_path / "new/c.txt").write_text("another's")
    (tmp_path / "new/c.txt").unlink()
    (tmp_path / "new").rmdir()
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "a.txt"]


def write_folder(path, writer):
    with new_folder(path) as partial:
        writer(partial)


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_a_writer_that_fails_leaves_what_was_there_and_nothing_of_its_own(tmp_path, write):
    (tmp_path / "kept").mkdir()

    def fail(path):
        (path / "half" if path.is_dir() else path).write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "new.txt", fail)
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "audit").write_text("")
    with pytest.raises(
        StoreError, match=r"cannot write a\.csv in .*audit: .*audit is a file and not a folder"
    ):
        write_file(tmp_path / "audit" / "a.csv", put("x"))
    assert [p.name for p in tmp_path.iterdir()] == ["audit"]


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("a.txt", "page 'a.txt' ends in '.txt'; allowed: .html or .htm"),
        ("none/a.html", "page 'none/a.html' lies in a folder that does not exist"),
        ("there.html", "page 'there.html' is a folder; allowed: a file in a folder that exists"),
        ("/proc/a.html", "page '/proc/a.html' cannot be written: "),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_any_work(tmp_path, monkeypatch, out, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.html").mkdir()
    with pytest.raises((ValueError, StoreError), match=re.escape(message)):
        output_file(out, PAGES, "page")
    assert output_file("a.html", PAGES) == Path("a.html")
    assert [p.name for p in tmp_path.iterdir()] == ["there.html"]


def test_what_a_killed_run_left_is_swept_by_the_next(tmp_path):
    (tmp_path / "images/.writing-0a.d").mkdir(parents=True)
    (tmp_path / "images/.writing-0a.d/.writing-1.png").write_text("")
    (tmp_path / ".writing-2.csv").write_text("")
    with Store(tmp_path).lock():
        assert not list(tmp_path.rglob(".writing-*"))
