"""The engine of stages, on a toy study: reuse, staleness with its reason, crash and recovery."""

import os
import signal
import subprocess
import sys
import textwrap

import pandas as pd
import pytest

from swatchbook.pipeline.study import Stage, Study, Trace
from swatchbook.store import Store
from swatchbook.studies.config import configure

calls: list[str] = []


def make_numbers(trace: Trace) -> None:
    calls.append("numbers")
    trace.write_table("numbers.parquet", pd.DataFrame({"x": trace.rng("numbers").normal(size=5)}))


def make_sum(trace: Trace) -> None:
    calls.append("sum")
    total = trace.table("numbers.parquet")["x"].sum() * trace.setting("evaluation.bootstrap")
    trace.write_table("tables/sum.csv", pd.DataFrame({"value": [total]}))


def make_margin(trace: Trace) -> None:
    calls.append("margin")
    trace.write_table("tables/margin.csv", pd.DataFrame({"value": [trace.setting("evaluation.margin")]}))


def make_page(trace: Trace) -> None:
    calls.append("page")
    both = [trace.table(f"tables/{name}.csv")["value"].iloc[0] for name in ("sum", "margin")]
    trace.write("page.txt", lambda p: p.write_text(repr(both)))


def toy(folder, **overrides) -> Study:
    lines: list[str] = []
    study = Study(configure("published", overrides), Store(folder), lines.append)
    study.lines = lines
    study.stages = (
        Stage("numbers", ("numbers.parquet",), make_numbers),
        Stage("sum", ("tables/sum.csv",), make_sum),
        Stage("margin", ("tables/margin.csv",), make_margin),
        Stage("page", ("page.txt",), make_page),
    )
    return study


@pytest.fixture(autouse=True)
def _no_calls_yet():
    calls.clear()


def run(folder, **overrides) -> list[str]:
    """Bring the page up to date; which stages were computed."""
    calls.clear()
    toy(folder, **overrides).ensure("page.txt")
    return sorted(calls)


def test_asking_for_a_result_computes_what_it_needs_once_and_reopens_it_afterwards(tmp_path):
    assert run(tmp_path) == ["margin", "numbers", "page", "sum"]
    assert run(tmp_path) == []
    study = toy(tmp_path)
    study.ensure("page.txt")
    assert [line.split()[0] for line in study.lines] == ["fresh"] * 4


@pytest.mark.parametrize(
    ("change", "redone", "reason"),
    [
        ({"margin": 0.05}, ["margin", "page"], "evaluation.margin changed from 0.03 to 0.05"),
        ({"bootstrap": 50}, ["page", "sum"], "evaluation.bootstrap changed from 2000 to 50"),
        ({"seed": 1}, ["numbers", "page", "sum"], "seed changed from 42 to 1"),
        ({"permutations": 99}, [], None),
    ],
)
def test_a_changed_setting_redoes_only_what_depends_on_it_and_says_why(tmp_path, change, redone, reason):
    run(tmp_path)
    calls.clear()
    study = toy(tmp_path, **change)
    study.ensure("page.txt")
    assert sorted(calls) == redone
    assert reason is None or any(reason in line for line in study.lines)


def test_touching_a_file_redoes_nothing_but_one_changed_byte_is_noticed(tmp_path):
    run(tmp_path)
    table = tmp_path / "tables" / "margin.csv"
    os.utime(table)
    assert run(tmp_path) == []
    before = table.stat()
    table.write_bytes(table.read_bytes().replace(b"0.03", b"0.04"))
    os.utime(table, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert table.stat().st_size == before.st_size
    assert run(tmp_path) == ["margin"]


def test_a_deleted_artefact_is_made_again(tmp_path):
    run(tmp_path)
    (tmp_path / "numbers.parquet").unlink()
    assert run(tmp_path) == ["numbers"]


def test_a_killed_stage_is_redone_and_gives_the_same_bytes(tmp_path):
    """SIGKILL inside every stage in turn, after its data and before its record."""
    run(tmp_path / "whole")
    for stage in ("numbers", "sum", "margin", "page"):
        code = f"""
            import os, signal, sys
            from tests.pipeline import test_study as t
            folder = sys.argv[1]
            study = t.toy(folder)
            record = study.store.record
            def die(name, content):
                if name == {stage!r}:
                    os.kill(os.getpid(), signal.SIGKILL)
                record(name, content)
            study.store.record = die
            study.ensure("page.txt")
        """
        folder = tmp_path / stage
        killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code), folder], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert stage in run(folder)
        for name in ("tables/sum.csv", "tables/margin.csv", "page.txt", "numbers.parquet"):
            assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_what_a_stage_depends_on_outside_is_checked_before_reuse(tmp_path):
    outside = {"file": "1"}
    study = toy(tmp_path)
    study.stages = (Stage("numbers", ("numbers.parquet",), make_numbers, lambda trace: dict(outside)),)
    study.ensure("numbers.parquet")
    outside["file"] = "2"
    again = toy(tmp_path)
    again.stages = study.stages
    again.ensure("numbers.parquet")
    assert calls == ["numbers", "numbers"]
    assert "what it reads outside the run changed" in again.lines[0]


def test_an_unknown_artefact_is_named(tmp_path):
    with pytest.raises(KeyError, match=r"no stage of profile 'published' produces 'tables/x\.csv'"):
        toy(tmp_path).ensure("tables/x.csv")
