"""The store: nothing half-written, one writer at a time, and a record that notices every change."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest

from swatchbook.store import Store, StoreError, sha256


def in_process(code: str, *arguments: object, **options: object) -> subprocess.CompletedProcess:
    """Run code in a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


def leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob(".writing-*"))


def test_a_table_comes_back_as_it_was_written(tmp_path):
    store = Store(tmp_path)
    table = pd.DataFrame(
        {"model": ["a", "none", 'quo"te,'], "value": [0.1 + 0.2, None, 1e-12], "n": [1, 2, 3]}
    )
    store.write_table("tables/t.csv", table)
    back = store.read_table("tables/t.csv")
    assert list(back["model"]) == ["a", "none", 'quo"te,']
    assert back["value"].iloc[0] == pytest.approx(0.3, abs=1e-10) and back["value"].isna().tolist() == [
        0,
        1,
        0,
    ]
    store.write_table("t.parquet", table)
    pd.testing.assert_frame_equal(store.read_table("t.parquet"), table)


def test_a_table_that_is_not_there_or_damaged_is_named(tmp_path):
    for name in ("t.csv", "t.parquet"):
        with pytest.raises(StoreError, match=rf"{name}: No such file or directory"):
            Store(tmp_path).read_table(name)
        (tmp_path / name).write_bytes(b"PAR1\xff\x00")
        with pytest.raises(StoreError, match=rf"{name} is damaged: "):
            Store(tmp_path).read_table(name)


def test_a_writer_that_fails_leaves_what_was_there(tmp_path):
    store = Store(tmp_path)
    store.write("note.txt", lambda p: p.write_text("before"))

    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match=r"cannot write note.txt in .*: No space left on device"):
        store.write("note.txt", fail)
    assert store.path("note.txt").read_text() == "before"
    assert not leftovers(tmp_path)


def test_a_disk_that_is_really_full_is_one_clear_error(tmp_path):
    """The operating system refuses the write itself: files of this process may hold 4 kB at most."""
    (tmp_path / "big.csv").write_text("before")
    code = """
        import resource, sys
        import pandas as pd
        from swatchbook.store import Store, StoreError
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            Store(sys.argv[1]).write_table("big.csv", pd.DataFrame({"x": range(100_000)}))
        except StoreError as error:
            print(error)
    """
    done = in_process(code, tmp_path)
    assert "cannot write big.csv in" in done.stdout and "untouched" in done.stdout, done.stderr
    assert (tmp_path / "big.csv").read_text() == "before"
    assert not leftovers(tmp_path)


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs a file system that nobody can write")
def test_a_folder_that_cannot_be_written_is_named_before_any_work():
    with (
        pytest.raises(StoreError, match="run folder /proc/swatchbook cannot be written"),
        Store("/proc/swatchbook").lock(),
    ):
        pass


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "run").write_text("")
    for below in ("run", "run/below"):
        refused = pytest.raises(StoreError, match=r"cannot be written: .*/run is a file and not a folder")
        with refused, Store(tmp_path / below).lock():
            pass


def test_a_second_run_is_refused_and_told_the_first_ones_pid(tmp_path):
    code = """
        import sys
        from swatchbook.store import Store, StoreError
        try:
            with Store(sys.argv[1]).lock():
                print("got in")
        except StoreError as error:
            print(error)
    """
    with Store(tmp_path).lock():
        refused = in_process(code, tmp_path)
    assert f"is in use by another run (PID {os.getpid()} on " in refused.stdout, refused.stderr
    assert "got in" in in_process(code, tmp_path).stdout


def test_kernels_that_a_run_starts_may_write_on_its_behalf(tmp_path):
    code = """
        import sys
        from swatchbook.store import Store
        store = Store(sys.argv[1])
        with store.lock():
            store.write("x.txt", lambda p: p.write_text("child"))
    """
    store = Store(tmp_path)
    with store.lock(), store.lend_lock():
        done = in_process(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert store.path("x.txt").read_text() == "child"


def test_the_lock_of_a_killed_run_is_free_and_its_leftovers_are_swept(tmp_path):
    code = """
        import os, signal, sys
        from swatchbook.store import Store
        store = Store(sys.argv[1])
        def die(path):
            path.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
        with store.lock():
            store.write("tables/x.csv", die)
    """
    killed = in_process(code, tmp_path)
    assert killed.returncode == -signal.SIGKILL
    assert len(leftovers(tmp_path)) == 1
    with Store(tmp_path).lock():
        assert not leftovers(tmp_path)
    assert not (tmp_path / "tables" / "x.csv").exists()


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="needs a device")
def test_only_regular_files_are_hashed(tmp_path):
    """A pipe would hang and /dev/zero go on for ever; /dev/null merely ends at once."""
    for path in (Path("/dev/null"), tmp_path):
        with pytest.raises(OSError, match="not a regular file"):
            sha256(path)
    with pytest.raises(FileNotFoundError):
        sha256(tmp_path / "none")


def test_the_lock_of_a_killed_run_is_taken_over_and_that_is_said(tmp_path, capsys):
    code = """
        import os, signal, sys
        from swatchbook.store import Store
        with Store(sys.argv[1]).lock():
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert in_process(code, tmp_path).returncode == -signal.SIGKILL
    for said in (True, False):
        with Store(tmp_path).lock():
            pass
        line = capsys.readouterr().err
        assert (
            re.search(r"an earlier run \(PID \d+ on .*\) was killed; its lock is taken", line) is not None
        ) == said
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("held", ["[1]", "7", "{", '{"pid": 1}', "[" * 100_000])
def test_a_damaged_note_of_the_holder_does_not_hide_that_the_folder_is_in_use(tmp_path, held):
    with Store(tmp_path).lock():
        (tmp_path / ".holder.json").write_text(held)
        with (
            pytest.raises(StoreError, match="in use by another run \\(PID unknown\\)"),
            Store(tmp_path).lock(),
        ):
            pass


def test_a_damaged_record_means_that_everything_is_redone(tmp_path):
    store = Store(tmp_path)
    record = {"code": "1", "reads": {}, "settings": {}, "outside": {}, "writes": {}}
    store.record("a", record)
    assert store.records() == {"a": record}
    store.path("stages.json").write_text('{"a": {"co')
    assert store.records() == {}


def test_sha256_is_that_of_the_content(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
