"""The engine of stages, on a toy study: reuse, staleness with its reason, crash and recovery."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import field, replace
from types import SimpleNamespace

import pandas as pd
import pytest

from swatchbook.pipeline.complete import ensure_separately
from swatchbook.pipeline.run import Run, print_computed
from swatchbook.pipeline.settings import configure, section
from swatchbook.pipeline.spec import Profile, Spec
from swatchbook.pipeline.stage import Stage, Trace
from swatchbook.schema import Schema
from swatchbook.store import Store
from swatchbook.studies.settings import Evaluation

HERE = "tests.pipeline.test_run"
calls: list[str] = []
outside = {"file": "1"}


@section
class Config:
    profile: str = "toy"
    seed: int = 42
    evaluation: Evaluation = field(default_factory=Evaluation)


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


def outside_content(trace: Trace) -> dict[str, str]:
    return dict(outside)


def fail(trace: Trace) -> None:
    raise ValueError("no such luck")


STAGES = (
    Stage("numbers", ("numbers.parquet",), f"{HERE}:make_numbers"),
    Stage("sum", ("tables/sum.csv",), f"{HERE}:make_sum"),
    Stage("margin", ("tables/margin.csv",), f"{HERE}:make_margin"),
    Stage("page", ("page.txt",), f"{HERE}:make_page"),
)


def stages(config: Config) -> tuple[Stage, ...]:
    return STAGES


def schema(config: Config) -> Schema:
    return Schema.load()


TOY = Spec(
    "toy",
    Config,
    {"toy": Profile("A toy.")},
    stages,
    {"sum": ("tables/sum.csv", "A sum."), "absent": ("tables/absent.csv", "Never made.")},
    schema,
    report="",
)


def toy(folder, **overrides) -> Run:
    lines: list[str] = []
    run = Run(TOY, configure(TOY, "toy", overrides), Store(folder), lines.append)
    run.lines = lines
    return run


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


def test_a_stage_is_announced_before_it_is_computed(tmp_path):
    study = toy(tmp_path)
    study.ensure("tables/sum.csv")
    assert [line.split()[:2] for line in study.lines] == [
        ["begun", "sum"],
        ["begun", "numbers"],
        ["computed", "numbers"],
        ["computed", "sum"],
    ]


def test_progress_goes_to_standard_error_and_in_a_notebook_beside_the_results(monkeypatch, capsys):
    print_computed("  fresh     numbers")
    print_computed("  begun     sum")
    assert capsys.readouterr() == ("", "  begun     sum\n")
    shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", shell)
    print_computed("  begun     sum")
    assert capsys.readouterr() == ("  begun     sum\n", "")


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


def test_a_clock_that_was_set_back_or_ahead_changes_nothing(tmp_path, monkeypatch):
    run(tmp_path)
    for year in (0, 4_000_000_000):
        for path in tmp_path.rglob("*"):
            os.utime(path, (year, year))
        assert run(tmp_path) == []
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert run(tmp_path, margin=0.05) == ["margin", "page"] and run(tmp_path, margin=0.05) == []


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
            from tests.pipeline import test_run as t
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
    stages = (replace(STAGES[0], outside=f"{HERE}:outside_content"),)

    def again() -> Run:
        study = toy(tmp_path)
        study.stages = stages
        study.ensure("numbers.parquet")
        return study

    again(), again()
    assert calls == ["numbers"]
    outside["file"] = "2"
    assert "what it reads outside the run changed" in again().lines[-1]
    assert calls == ["numbers", "numbers"]


def test_a_stage_of_other_code_or_other_arguments_is_stale(tmp_path):
    run(tmp_path)
    for change in ({"code": ("evaluation/scores.py",)}, {"arguments": {}}):
        study = toy(tmp_path)
        study.stages = (replace(STAGES[0], **change), *STAGES[1:])
        stale = study.why_stale(study.stages[0])
        assert stale == (None if change == {"arguments": {}} else "its code changed")
    changed = replace(STAGES[0], arguments={"n": 6})
    assert toy(tmp_path).why_stale(changed) == "its code changed"


def test_an_unknown_artefact_is_named(tmp_path):
    with pytest.raises(KeyError, match=r"no stage of profile 'toy' produces 'tables/x\.csv'"):
        toy(tmp_path).ensure("tables/x.csv")


def test_results_are_attributes_and_one_that_a_run_lacks_names_those_that_it_has(tmp_path):
    study = toy(tmp_path)
    assert study.sum["value"].notna().all()
    assert "sum" in dir(study) and "absent" not in dir(study)
    for name in ("absent", "nonsense"):
        with pytest.raises(AttributeError, match=f"profile 'toy' has no result '{name}'; it offers sum$"):
            getattr(study, name)


def test_separate_stages_are_computed_in_other_processes_which_trust_what_was_verified(tmp_path):
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    study = toy(tmp_path)
    needs = ("tables/sum.csv", "tables/margin.csv")
    page = replace(STAGES[3], separate=True, needs=needs)
    study.stages = (*STAGES[:3], page)
    with study.hold(), ProcessPoolExecutor(1, get_context("spawn")) as pool:
        ensure_separately(study, [page], pool)
        assert calls == ["sum", "numbers", "margin"] and "page" not in calls
        record = study.store.records()["page"]
        assert set(record["reads"]) == set(needs)
        bad = replace(page, name="bad", compute=f"{HERE}:fail")
        with pytest.raises(ValueError, match="no such luck"):
            ensure_separately(study, [bad], pool)
    assert toy(tmp_path).why_stale(STAGES[3]) is None


def test_a_run_of_an_earlier_version_says_so_and_is_computed_anew(tmp_path):
    run(tmp_path)
    store = Store(tmp_path)
    assert store.foreign_record() is None
    store.write_json("stages.json", store.records())  # as it was written before records had a format
    assert "was made by an earlier version: every stage is computed anew" in store.foreign_record()
    assert run(tmp_path) == ["margin", "numbers", "page", "sum"]
    for damaged in (
        "[" * 100_000,
        '{"format": 2, "stages": {"sum": {"reads": 5}}}',
        "[1]",
        '{"format": 2, "stages": 7}',
        "{",
    ):
        store.path("stages.json").write_text(damaged)
        assert store.records() == {} and "cannot be read" in store.foreign_record()


def test_a_record_that_read_what_no_stage_makes_is_no_record(tmp_path):
    run(tmp_path)
    store = Store(tmp_path)
    record = store.records()["sum"]
    store.record("sum", {**record, "reads": {"../elsewhere.csv": "1"}})
    study = toy(tmp_path)
    assert study.why_stale(STAGES[1]) == "no stage makes '../elsewhere.csv', which it read"
    assert run(tmp_path) == ["sum"]
