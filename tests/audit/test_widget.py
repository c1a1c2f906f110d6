"""The judge in a notebook: its file after every message, and a live JupyterLab driven by keyboard."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from swatchbook.audit.answers import check_answers
from swatchbook.audit.columns import SAMPLE_COLUMNS, answer_columns
from swatchbook.audit.sample import sample_id
from swatchbook.audit.widget import AuditJudge, answers_file
from swatchbook.data.strict_csv import DataError
from tests.audit.test_page import ATTRIBUTES, HOSTILE, SEVERAL_AT_ONCE, make_images, make_sample
from tests.browser import new_context

IDS = [*HOSTILE, "one.jpg"]
BLANK = [""] * 4


class Heard(AuditJudge):
    """Keeps what is sent to the view, as a view would hear it."""

    def send(self, content, buffers=None):
        self.__dict__.setdefault("sent", []).append((content, buffers))


@pytest.fixture
def new(tmp_path, schema):
    """Make a judge over six images; each call is another session of the same person."""
    paths = make_images(tmp_path, IDS)

    def judge(annotator="Mia", sample=None, **given):
        sample = make_sample(IDS) if sample is None else sample
        return Heard(sample, given.get("paths", paths), schema, tmp_path / "audit", annotator)

    return judge


def tell(judge, **message) -> dict:
    """Hand a message in as the view sends it; the reply."""
    judge._handle_custom_msg(message, [])
    return judge.sent[-1][0]


def answer(judge, k, labels, note="", seconds=1.0, at=0, active=0) -> dict:
    entry = {"k": k, "labels": labels, "note": note, "seconds": seconds}
    return tell(judge, kind="answers", revision=7, entries=[entry], at=at, active=active)


def rows(judge) -> list[dict[str, str]]:
    with judge.path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def test_every_answer_is_in_the_file_before_it_is_confirmed(new, schema):
    judge = new()
    assert not judge.path.exists()
    assert answer(judge, 1, ["cotton", "", "", ""]) == {"kind": "saved", "revision": 7}
    assert [row["material"] for row in rows(judge)] == ["", "cotton", "", "", "", ""]
    answer(judge, 1, ["cotton", "can't tell", "several", "sheer"], SEVERAL_AT_ONCE, 3.25)
    answer(judge, 0, ["denim", *BLANK[1:]])
    assert check_answers(judge.path, make_sample(IDS), schema)[1] == ()
    row = rows(judge)[1]
    assert list(row) == list(answer_columns(schema))
    assert [row[name] for name in ATTRIBUTES] == ["cotton", "can't tell", "several", "sheer"]
    assert row["note"] == f"'{SEVERAL_AT_ONCE}"
    assert row["seconds"] in {"3.2", "3.3"}
    table = judge.answers
    assert table["image_id"].tolist() == IDS
    assert table["note"][1] == SEVERAL_AT_ONCE
    assert table["item"].tolist() == [1, 2, 3, 4, 5, 6]


def test_a_later_session_goes_on_at_the_first_open_question(new):
    judge = new()
    answer(judge, 0, ["cotton", "red", "solid", "smooth"])
    answer(judge, 1, ["cotton", "red", "", ""], "'=note", 2.5)
    tell(judge, kind="answers", revision=8, entries=[], at=5, active=3)
    resumed = new()
    state = tell(resumed, kind="open")["state"]
    assert (state["at"], state["active"]) == (1, 2)
    assert state["entries"][1] == {"labels": ["cotton", "red", "", ""], "note": "'=note", "seconds": 2.5}
    assert state["entries"] == tell(judge, kind="open")["state"]["entries"]
    answer(resumed, 2, ["denim", *BLANK[1:]])
    assert [row["material"] for row in rows(resumed)] == ["cotton", "cotton", "denim", "", "", ""]


def test_two_people_have_a_file_each(new):
    answer(new("Mia"), 0, ["cotton", *BLANK[1:]])
    ben = new("Ben O'Neil ")
    answer(ben, 0, ["denim", *BLANK[1:]])
    assert ben.path.name == "answers-Ben-O-Neil.csv"
    assert {row["annotator"] for row in rows(ben)} == {"Ben O'Neil"}
    assert rows(new("Mia"))[0]["material"] == "cotton"


def test_a_picture_comes_as_a_jpeg_when_it_is_asked_for_and_a_bad_one_as_a_reason(new, tmp_path):
    judge = new()
    assert tell(judge, kind="picture", k=3) == {"kind": "picture", "k": 3}
    assert judge.sent[-1][1][0].startswith(b"\xff\xd8\xff")
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    bad = new(paths=dict.fromkeys(IDS, tmp_path / "bad.jpg"))
    assert "not an image" in tell(bad, kind="picture", k=0)["problem"]
    assert "allowed: a whole number from 0 to 5" in tell(bad, kind="picture", k=6)["problem"]


@pytest.mark.parametrize(
    ("wrong", "printed"),
    [
        ({"labels": ["hemp", "", "", ""]}, "material 'hemp'; allowed: cotton"),
        ({"labels": ["cotton"]}, "one an attribute"),
        ({"note": None}, "note None"),
        ({"seconds": float("nan")}, "seconds nan"),
        ({"seconds": -1}, "seconds -1"),
        ({"k": 6}, "position 6; allowed: a whole number from 0 to 5"),
        ({"k": True}, "position True"),
    ],
)
def test_a_wrong_message_is_refused_whole(new, wrong, printed):
    judge = new()
    answer(judge, 0, ["denim", *BLANK[1:]])
    before = judge.path.read_bytes()
    good = {"k": 1, "labels": ["cotton", *BLANK[1:]], "note": "", "seconds": 1.0}
    entries = [good, {"k": 2, "labels": BLANK, "note": "", "seconds": 1.0} | wrong]
    reply = tell(judge, kind="answers", revision=9, entries=entries, at=0, active=0)
    assert reply["kind"] == "failed"
    assert printed in reply["problem"]
    assert judge.path.read_bytes() == before
    assert judge.answers["material"].tolist() == ["denim", "", "", "", "", ""]


def test_a_disk_that_cannot_be_written_is_said_and_tried_again(new, tmp_path):
    judge = new()
    (tmp_path / "audit").write_text("a file where the folder should be")
    reply = answer(judge, 0, ["denim", *BLANK[1:]])
    assert reply["kind"] == "failed"
    assert reply["revision"] == 7
    (tmp_path / "audit").unlink()
    assert answer(judge, 0, ["denim", *BLANK[1:]])["kind"] == "saved"
    assert [path.name for path in (tmp_path / "audit").iterdir()] == ["answers-Mia.csv"]


@pytest.mark.parametrize(
    ("old", "put", "printed"),
    [
        ("{sample}", "0" * 16, "line 2 and 5 more: sample '0000000000000000': .*another sample.*; allowed"),
        ("Mia", "Ben", "answers-Mia.csv is by the annotator 'Ben'; allowed: 'Mia'"),
        ("denim", "hemp", "line 2: material 'hemp'; allowed"),
        ("one.jpg", "two.jpg", "line 7: image_id 'two.jpg': .*; allowed: 'one.jpg'"),
        (",6,", ",5,", "line 7: item 5 was judged in line 6 already"),
        ("note,", "notes,", "note"),
    ],
)
def test_a_file_that_is_not_this_persons_is_refused_and_left_alone(new, old, put, printed):
    judge = new()
    answer(judge, 0, ["denim", *BLANK[1:]])
    text = judge.path.read_bytes().decode()
    judge.path.write_bytes(text.replace(old.format(sample=sample_id(make_sample(IDS))), put).encode())
    before = judge.path.read_bytes()
    with pytest.raises(DataError, match=printed):
        new()
    assert judge.path.read_bytes() == before


def test_answers_to_another_draw_are_not_taken_for_answers_to_this_one(new):
    answer(new(), 0, ["denim", *BLANK[1:]])
    with pytest.raises(DataError, match="belong to another sample"):
        new(sample=make_sample(IDS, weight=9.0))


@pytest.mark.parametrize("name", ["", " ", "=Mia", "all", "a" * 41, "x/y", "a\tb"])
def test_a_name_that_a_file_cannot_carry_is_refused(new, name):
    with pytest.raises(ValueError, match="annotator: received"):
        new(name)


def test_file_names_of_any_script_are_kept_and_the_rest_is_joined():
    assert answers_file("Zoë .. O'Hara") == "answers-Zoë-O-Hara.csv"
    assert answers_file("שרה") == "answers-שרה.csv"


def test_the_view_is_not_told_strata_weights_or_repeats(tmp_path, schema):
    ids = ["a.png", "b.png", "a.png"]
    paths = make_images(tmp_path, ids)
    samples = [make_sample(ids, repeat=[0, 0, 1]), make_sample(ids, stratum="s9", weight=8.5)]
    works = [AuditJudge(s, paths, schema, tmp_path, "Mia").work for s in samples]
    assert works[0].pop("sample") != works[1].pop("sample")
    assert works[0] == works[1]
    with pytest.raises(DataError, match=r"paths: no file for image 'a\.png'"):
        AuditJudge(samples[0], {}, schema, tmp_path, "Mia")


# ---- live ---------------------------------------------------------------------------------------------

CELL = """
import json, os, pathlib, pandas as pd
from swatchbook.audit.widget import AuditJudge
from swatchbook.schema import Schema
pathlib.Path("pid").write_text(str(os.getpid()))
sample = pd.read_csv("sample.csv")
judge = AuditJudge(sample, json.load(open("paths.json")), Schema.load(), "audit", "Mia")
judge
"""


@contextmanager
def running_lab(folder: Path):
    """Address of a JupyterLab over a folder, with settings of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {f"JUPYTER_{kind}_DIR": str(folder / f".{kind}") for kind in ("CONFIG", "DATA", "RUNTIME")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--allow-root"]
    command += ["--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=", "--ServerApp.port_retries=0"]
    command += [f"--ServerApp.root_dir={folder}", "--LabApp.news_url="]
    command += ["--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate"]
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=os.environ | own, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(lambda: _answers(f"{address}/api"), 90, lambda: (folder / "lab.log").read_text()[-2000:])
        yield address
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as reply:
            return reply.status == 200
    except OSError:
        return False


def _kernel_waits(address: str) -> bool:
    """Whether a kernel is there, connected to the page and idle; keys pressed before could be lost."""
    with urllib.request.urlopen(f"{address}/api/kernels", timeout=10) as reply:
        kernels = json.load(reply)
    return any(k["execution_state"] == "idle" and k["connections"] for k in kernels)


def _wait(true, seconds: float, why) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, why()
        time.sleep(0.1)


def write_notebook(folder: Path) -> None:
    ids = [f"cloth/{k}.jpg" for k in range(12)]
    paths = make_images(folder, ids, size=(200, 150))
    (folder / "paths.json").write_text(json.dumps({k: str(v) for k, v in paths.items()}))
    make_sample(ids)[list(SAMPLE_COLUMNS)].to_csv(folder / "sample.csv", index=False)
    cell = {"cell_type": "code", "id": "judge", "metadata": {}, "outputs": [], "execution_count": None}
    notebook = {"cells": [cell | {"source": CELL}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    notebook["metadata"] = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
    }
    (folder / "audit.ipynb").write_text(json.dumps(notebook))


def show_judge(page, address: str) -> None:
    """Open the notebook, run its cell and put the keys on the judge."""
    page.goto(f"{address}/doc/tree/audit.ipynb?reset", timeout=90_000)
    page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click(timeout=90_000)
    _wait(lambda: _kernel_waits(address), 90, lambda: "no kernel is connected and idle")
    page.keyboard.press("Shift+Enter")
    page.locator(".judge-card").wait_for(timeout=90_000)
    page.wait_for_function("() => document.querySelector('.judge-image').naturalWidth > 0")
    page.locator(".judge-where").click()


@pytest.mark.browser
@pytest.mark.skipif(find_spec("jupyterlab") is None, reason="jupyterlab is not installed")
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="a kernel cannot be halted here")
def test_the_judge_works_by_keyboard_in_a_live_jupyterlab(tmp_path):
    write_notebook(tmp_path)
    path = tmp_path / "audit" / "answers-Mia.csv"
    rng = np.random.default_rng(3)
    planned = rng.integers(1, 6, (12, 4))
    problems = []
    with new_context(viewport={"width": 1280, "height": 900}) as context, running_lab(tmp_path) as address:
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        show_judge(page, address)
        for keys in planned[:6]:
            for key in keys:
                page.keyboard.press(str(key))
        page.keyboard.press("1")
        page.keyboard.press("u")
        page.keyboard.press("n")
        page.keyboard.type("a note, dd 00")
        page.keyboard.press("Enter")
        page.wait_for_function("() => document.querySelector('.judge-position').textContent === '7 of 12'")
        _wait(lambda: "a note, dd 00" in path.read_text(encoding="utf-8"), 10, path.read_text)
        kernel = int((tmp_path / "pid").read_text())
        warning = page.locator(".judge-warning")
        os.kill(kernel, signal.SIGSTOP)
        try:
            page.keyboard.press("1")
            warning.get_by_text("Not saved yet: the kernel is busy").wait_for(timeout=20_000)
            page.keyboard.press("u")
        finally:
            os.kill(kernel, signal.SIGCONT)
        warning.wait_for(state="hidden", timeout=20_000)
        page.set_viewport_size({"width": 375, "height": 667})
        show_judge(page, address)  # a reload, and the cell run again
        for keys in planned[6:]:
            for key in keys:
                page.keyboard.press(str(key))
        page.wait_for_function("() => !document.querySelector('.judge-finish').hidden")
        assert page.inner_text(".judge-finish h2") == "All images are finished."
        assert page.locator(".judge-warning").is_hidden()
        assert page.locator(".jp-Cell").count() <= 2  # no key went to the notebook (a, b, dd, m …)
        expected = [[classes[k - 1] for classes, k in zip(CLASSES, keys, strict=True)] for keys in planned]
        _wait(lambda: labels(path) == expected, 10, lambda: str(labels(path)))
    assert not problems


CLASSES = (
    ("cotton", "silk_satin", "leather", "synthetic", "denim"),
    ("black", "white", "red", "navy", "beige"),
    ("solid", "striped", "checkered_plaid", "floral", "geometric"),
    ("smooth", "rough_coarse", "fluffy_furry", "ribbed_structured", "sheer"),
)


def labels(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [[row[name] for name in ATTRIBUTES] for row in csv.DictReader(file, strict=True)]
