"""The strict runner: nothing but a notebook that ran from its first cell to its last counts as done."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from swatchbook.pipeline.notebook_runner import NotebookError, execute
from swatchbook.pipeline.notebook_source import discover, parameters_of
from swatchbook.store import Store

PARAMETERS = 'PROFILE: str | None = "demo"  # which profile, as in a = b\nSEED = -1\nSIZES = [1, 2]'


def write(
    path: Path, *cells: str, parameters: tuple[str, ...] = (PARAMETERS,), kernel: str = "python3"
) -> Path:
    """A notebook with a heading, its parameters cells and the given code cells."""
    all_cells = [new_markdown_cell("# The question\n\nSome words.")]
    all_cells += [new_code_cell(each, metadata={"tags": ["parameters"]}) for each in parameters]
    all_cells += [new_code_cell(each) for each in cells]
    spec = {"name": kernel, "display_name": kernel, "language": "python"}
    nbformat.write(new_notebook(cells=all_cells, metadata={"kernelspec": spec}), path)
    return path


def printed(path: Path) -> str:
    """Everything that an executed copy's cells wrote to stdout."""
    cells = nbformat.read(path, as_version=4).cells
    return "".join(o.text for c in cells for o in c.get("outputs", []) if o.get("name") == "stdout")


def test_parameters_reach_the_notebook_and_it_runs_in_its_own_folder(tmp_path, capsys):
    folder = tmp_path / "a folder with spaces, ümläuts and {braces}"
    folder.mkdir()
    show = "import os\nprint(repr((PROFILE, SEED, SIZES, EXTRA)), os.getcwd())"
    source = write(folder / "01_x.ipynb", "", show, parameters=(PARAMETERS + "\nEXTRA = None",))
    before = source.read_bytes()
    given = {"PROFILE": 'it\'s "{x}" ü\n\\', "SEED": 3, "EXTRA": {"a": [0.5, True, None]}}
    output = tmp_path / "run {1}" / "01_x.ipynb"
    execute(source, output, given)
    expected = (given["PROFILE"], 3, [1, 2], given["EXTRA"])
    assert printed(output) == f"{expected!r} {folder}\n"
    assert source.read_bytes() == before
    assert [p.name for p in output.parent.iterdir()] == ["01_x.ipynb"]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "01_x: running 2 cells"
    assert lines[-1].startswith("01_x: 2 cells in ")


def test_the_same_run_gives_the_same_bytes_and_no_scripts(tmp_path):
    show = "from IPython.display import HTML, Javascript, display"
    show += "\ndisplay(HTML('<p>a<SCRIPT>alert(1)</script >b</p><script src=x>'), Javascript('alert(1)'),"
    show += (
        ' HTML(\'<p onclick="a()">b</p><img src=x onerror=a()><a href=" javascript:a()">c</a><b>a < b</b>\'))'
    )
    source = write(tmp_path / "01_x.ipynb", "for k in range(3):\n    print(k, flush=True)", show)
    for name in ("a.ipynb", "b.ipynb"):
        execute(source, tmp_path / name, {"SEED": 5})
    assert (tmp_path / "a.ipynb").read_bytes() == (tmp_path / "b.ipynb").read_bytes()
    outputs = nbformat.read(tmp_path / "a.ipynb", as_version=4).cells[-1].outputs
    kept = ["<p>ab</p>", None, '<p>b</p><img src="x"/><a>c</a><b>a &lt; b</b>']
    assert [output.data.get("text/html") for output in outputs] == kept
    assert not any("application/javascript" in output.data for output in outputs)


def test_the_kernel_is_the_running_python_whatever_the_user_has_installed(tmp_path, monkeypatch):
    decoy = tmp_path / "bin" / "python3"
    decoy.parent.mkdir()
    decoy.write_text("#!/bin/sh\ntouch decoy-was-run\nexit 1\n")
    decoy.chmod(0o755)
    (decoy.parent / "python").symlink_to(decoy)
    home = tmp_path / "home"
    spec = {"argv": [str(decoy), "{connection_file}"], "display_name": "decoy", "language": "python"}
    for folder in (home / ".local/share/jupyter", home / "jupyter"):
        (folder / "kernels" / "python3").mkdir(parents=True)
        (folder / "kernels" / "python3" / "kernel.json").write_text(json.dumps(spec))
    startup = home / ".ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("started_by_user = True")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    monkeypatch.setenv("JUPYTER_PATH", str(home / "jupyter"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(home / "jupyter"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(decoy))  # a file: no connection file can lie there
    monkeypatch.setenv("PATH", str(decoy.parent) + os.pathsep + os.environ["PATH"])
    body = "import sys\nprint(sys.executable, 'started_by_user' in globals())"
    source = write(tmp_path / "01_x.ipynb", body, kernel="no-such-kernel")
    execute(source, tmp_path / "out.ipynb", {})
    assert printed(tmp_path / "out.ipynb") == f"{sys.executable} False\n"
    assert not list(tmp_path.rglob("decoy-was-run"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("\n1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import os; os._exit(0)", "the kernel died"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "the kernel died"),
        ("import time; time.sleep(60)", "no end after 2 s"),
    ],
)
def test_a_notebook_that_stops_midway_fails_and_names_the_cell(tmp_path, body, message):
    source = write(tmp_path / "02_audit.ipynb", "print('first')", body, "print('last')")
    output = tmp_path / "run" / "02_audit.ipynb"
    output.parent.mkdir()
    output.write_text("an earlier executed copy")
    with pytest.raises(NotebookError) as caught:
        execute(source, output, {"SEED": 1}, timeout=2)
    first_line = body.strip().splitlines()[0]
    assert f"02_audit.ipynb, cell 4, under 'The question', `{first_line}`: {message}" in str(caught.value)
    assert caught.value.cell == 4
    assert caught.value.failed_copy == output.with_name("02_audit.failed.ipynb")
    assert printed(caught.value.failed_copy) == "first\n"
    assert output.read_text() == "an earlier executed copy"
    assert {p.name for p in output.parent.iterdir()} == {"02_audit.ipynb", "02_audit.failed.ipynb"}


def test_exiting_in_the_last_cell_is_a_failure_too_and_success_clears_the_failed_copy(tmp_path):
    script = "from IPython.display import HTML, display\ndisplay(HTML('<script>a()</script>'))"
    source = write(tmp_path / "02_audit.ipynb", script, "raise SystemExit")
    output = tmp_path / "out" / "02_audit.ipynb"
    with pytest.raises(NotebookError, match="SystemExit; a notebook ends with its last cell"):
        execute(source, output, {})
    assert not output.exists() and "script" not in json.dumps(
        [cell.get("outputs") for cell in nbformat.read(output.with_name("02_audit.failed.ipynb"), 4).cells]
    )
    write(source, "print('well')")
    execute(source, output, {})
    assert [p.name for p in output.parent.iterdir()] == ["02_audit.ipynb"]


def test_a_cell_that_is_skipped_fails_the_notebook(tmp_path):
    source = write(tmp_path / "02_audit.ipynb", "print(1)", "print(2)")
    notebook = nbformat.read(source, as_version=4)
    notebook.cells[-1].metadata["tags"] = ["skip-execution"]
    nbformat.write(notebook, source)
    with pytest.raises(
        NotebookError, match=r"cell 4, under 'The question', `print\(2\)`: was never executed"
    ):
        execute(source, tmp_path / "out.ipynb", {})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"PROFIL": "demo"}, r"x.ipynb: parameter 'PROFIL' is unknown; allowed: PROFILE, SEED, SIZES"),
        ({"SEED": Path("x")}, r"parameter 'SEED' is .*Path.*; allowed: None, booleans, numbers, strings"),
        ({"SIZES": [1, {2: 3}]}, r"parameter 'SIZES' is \[1, \{2: 3\}\] \(list\)"),
        ({"SIZES": (1, 2)}, r"parameter 'SIZES' is \(1, 2\) \(tuple\)"),
    ],
)
def test_unknown_or_odd_parameters_are_refused_before_anything_runs(tmp_path, given, message):
    source = write(tmp_path / "x.ipynb", "open('ran', 'w')")
    with pytest.raises(ValueError, match=message):
        execute(source, tmp_path / "out.ipynb", given)
    assert [p.name for p in tmp_path.iterdir()] == ["x.ipynb"]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ((), "0 cells are tagged 'parameters'; exactly one is needed"),
        (("A = 1", "B = 2"), "2 cells are tagged 'parameters'; exactly one is needed"),
        (("A = 1\nB = A + 1",), r"may hold only NAME = literal; received 'B = A \+ 1'"),
        (("import os",), "may hold only NAME = literal; received 'import os'"),
        (("A = B = 1",), "received 'A = B = 1'"),
        (("A: int",), "received 'A: int'"),
        (("A += 1",), r"received 'A \+= 1'"),
        (("a.b = 1",), "received 'a.b = 1'"),
        (("%matplotlib inline",), "the parameters cell is not plain Python"),
    ],
)
def test_a_notebook_must_declare_its_parameters_in_one_cell_of_literals(tmp_path, cells, message):
    source = write(tmp_path / "x.ipynb", "print(1)", parameters=cells)
    with pytest.raises(ValueError, match=message):
        execute(source, tmp_path / "out.ipynb", {})


def test_parameters_are_read_with_their_defaults(tmp_path):
    source = write(tmp_path / "x.ipynb")
    assert parameters_of(source) == {"PROFILE": "demo", "SEED": -1, "SIZES": [1, 2]}
    assert parameters_of(write(tmp_path / "y.ipynb", parameters=("# none yet",))) == {}


@pytest.mark.parametrize(
    ("content", "message"), [(None, "does not exist"), ("{", "cannot be read"), ("[]", "cannot be read")]
)
def test_a_file_that_is_no_notebook_is_refused(tmp_path, content, message):
    path = tmp_path / "x.ipynb"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=message):
        execute(path, tmp_path / "out.ipynb", {})


def test_the_source_is_never_overwritten(tmp_path):
    source = write(tmp_path / "x.ipynb", "print(1)")
    (tmp_path / "sub").mkdir()
    with pytest.raises(ValueError, match="is the notebook itself"):
        execute(source, tmp_path / "sub" / ".." / "x.ipynb", {})


def test_an_output_that_cannot_be_written_fails_before_the_notebook_runs(tmp_path):
    source = write(tmp_path / "x.ipynb", "open('ran', 'w')")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NotebookError, match=r"x.ipynb: cannot write .*out.ipynb"):
        execute(source, tmp_path / "file" / "out.ipynb", {})
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(os.name != "posix", reason="resource limits are POSIX")
def test_a_disk_that_fills_up_is_reported_and_leaves_the_earlier_copy(tmp_path):
    source = write(tmp_path / "x.ipynb", "print('a' * 300_000)", "open('went-on', 'w')")
    output = tmp_path / "out" / "x.ipynb"
    output.parent.mkdir()
    output.write_text("an earlier executed copy")
    command = f"""
import resource
from swatchbook.pipeline.notebook_runner import NotebookError, execute
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    execute({str(source)!r}, {str(output)!r}, {{}})
except NotebookError as error:
    print(error)
"""
    message = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, timeout=60
    ).stdout
    assert message.startswith(f"x.ipynb: cannot write {output}: ")
    assert "File too large" in message
    assert {path.name: path.read_text() for path in output.parent.iterdir()} == {
        "x.ipynb": "an earlier executed copy"
    }
    assert not (tmp_path / "went-on").exists()


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_an_interrupted_run_leaves_no_copy_and_no_kernel(tmp_path):
    body = "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))\ntime.sleep(60)"
    source = write(tmp_path / "x.ipynb", body)
    # A shell that starts the tests in the background has them ignore the signal.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    command = f"{heed}from swatchbook.pipeline.notebook_runner import execute\nexecute({str(source)!r}, {str(tmp_path / 'out/x.ipynb')!r}, {{}})"
    runner = subprocess.Popen([sys.executable, "-c", command], stderr=subprocess.DEVNULL)
    pid = tmp_path / "pid"
    while not (pid.exists() and pid.read_text()) and runner.poll() is None:
        time.sleep(0.05)
    kernel = int(pid.read_text())
    runner.send_signal(signal.SIGINT)
    assert runner.wait(timeout=120) != 0
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(kernel, 0)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_a_run_killed_in_the_middle_of_a_notebook_leaves_the_earlier_copy_and_goes_on(tmp_path):
    """The cell kills the process that runs it, so that it is killed in the middle of the cell."""
    body = "import os, signal\nSIZES and {}"
    kill = "os.kill(os.getppid(), signal.SIGKILL)"
    source = write(tmp_path / "x.ipynb", body.format("1"), "print('last')")
    output = tmp_path / "out" / "x.ipynb"
    execute(source, output, {})
    before = output.read_bytes()
    write(source, body.format(kill), "print('last')")
    command = "from swatchbook.pipeline.notebook_runner import execute\n"
    command += f"execute({str(source)!r}, {str(output)!r}, {{}})"
    done = subprocess.run([sys.executable, "-c", command], stderr=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert output.read_bytes() == before
    write(source, body.format("1"), "print('last')")
    with Store(tmp_path / "out").lock():  # as the next run has it
        assert [p.name for p in output.parent.glob("*.ipynb")] == ["x.ipynb"]
        execute(source, output, {})
    assert printed(output) == "last\n"


def test_notebooks_are_found_by_their_numbers(tmp_path):
    for name in ("04_backbones.ipynb", "00_template.ipynb", "02_audit.ipynb", "notes.ipynb", "03_x.txt"):
        (tmp_path / name).touch()
    (tmp_path / "05_folder.ipynb").mkdir()

    def names(numbers=None):
        return [path.name for path in discover(tmp_path, numbers)]

    assert names() == ["02_audit.ipynb", "04_backbones.ipynb"]
    assert names([0, 4]) == ["00_template.ipynb", "04_backbones.ipynb"]
    assert names(("04", "02")) == ["02_audit.ipynb", "04_backbones.ipynb"]
    with pytest.raises(ValueError, match=r"there is no notebook 5 in .*; allowed: 0, 2, 4"):
        names([5])
    with pytest.raises(ValueError, match="holds no notebook"):
        discover(tmp_path / "05_folder.ipynb")
