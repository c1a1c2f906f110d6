"""The project's own files: set-up that says what is wrong, a lock that fits, rooms that import one way only."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "swatchbook"

# What the scripts may use besides Python: the tests' PATH holds these and nothing else.
TOOLS = (
    "bash", "sh", "env", "dirname", "sha256sum", "shasum", "cat", "df", "awk", "grep", "find", "mkdir", "rm",
    "mv", "uname", "tee", "sleep", "id", "make", "cp", "chmod",
)  # fmt: skip

# Stands in for uv: writes what it was asked to install, and from which lines of the lock, to $CALLS.
FAKE_UV = """#!/usr/bin/env bash
if [ "$3" = --help ]; then echo "${FAKE_UV_HELP---torch-backend}"; exit 0; fi
echo "uv ${*:2}" >>"$CALLS"
for last; do :; done
if [ -f "$last" ]; then grep -cE '^(nvidia-|cuda-|triton=)' "$last" >>"$CALLS"; fi
[ -z "${FAKE_SLEEP:-}" ] || sleep "$FAKE_SLEEP"
if [ -n "${FAKE_ERROR:-}" ]; then echo "$FAKE_ERROR" >&2; exit 1; fi
printf '#!/usr/bin/env bash\\nprintf "<%%s>\\\\n" "$PWD" "$@"\\n' >.venv/bin/swatchbook
chmod +x .venv/bin/swatchbook
"""
# Stands in for Python: answers the set-up's questions, and lets pip "install" the uv above.
FAKE_PYTHON = f"""#!/usr/bin/env bash
case "$1 ${{2:-}}" in
  "-c "*ensurepip*) [ "${{FAKE_PROBE:-0}}" = 0 ] || exit "$FAKE_PROBE"; printf '%s\n' "$0" ;;
  "-c "*python_version*) echo 3.11.99 ;;
  "-c "*download.pytorch.org*) exit "${{FAKE_INDEX:-0}}" ;;
  "-m venv") echo "venv" >>"$CALLS"; mkdir -p .venv/bin; : >.venv/pyvenv.cfg; cp "$0" .venv/bin/python ;;
  "-m pip")
    echo "${{*:2}}" >>"$CALLS"
    cat >.venv/bin/uv <<'END'
{FAKE_UV}
END
    chmod +x .venv/bin/uv ;;
  *) exec "{sys.executable}" "$@" ;;
esac
"""


def write_script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


class Sandbox:
    """A copy of the set-up files in a folder with spaces, a PATH of plain tools, and a Python that only pretends."""

    def __init__(self, home: Path) -> None:
        self.project = home / "a project with spaces"
        self.bin = home / "bin"
        self.calls = home / "calls"
        self.stamp = self.project / ".venv" / ".complete"
        self.bin.mkdir()
        for tool in TOOLS:
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)
        shutil.copytree(ROOT / "scripts", self.project / "scripts")
        for name in ("run_all.sh", "Makefile", "requirements.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, self.project / name)
        write_script(self.bin / "python3", FAKE_PYTHON)
        self.env = {
            "PATH": str(self.bin),
            "HOME": str(home),
            "CALLS": str(self.calls),
            "SWATCHBOOK_DISK_GB": "0",
            "SWATCHBOOK_TORCH": "cpu",
        }

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            arguments, cwd=self.project.parent, env=self.env | env, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **env)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def run_all(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.run(str(self.project / "run_all.sh"), *arguments, **env)

    def done(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


INTO = "uv install -q -p .venv/bin/python"
BOOTSTRAP = ["venv", "pip install -q uv>=0.8"]
CPU = [f"{INTO} --torch-backend cpu -r .venv/tmp/cpu.lock", "0"]  # none of NVIDIA's packages
WHOLE_SETUP = [*BOOTSTRAP, *CPU, f"{INTO} --no-deps -e ."]


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


def test_set_up_installs_the_lock_then_the_package_and_hands_all_arguments_on(sandbox: Sandbox) -> None:
    result = sandbox.run_all("--profile", "published", "--source", "a folder/with spaces", "--set", "a=*", "")
    assert result.returncode == 0, result.stderr
    assert sandbox.done() == WHOLE_SETUP
    here = str(sandbox.project.parent)  # relative paths keep their meaning: the caller's folder is kept
    given = ["run", "--profile", "published", "--source", "a folder/with spaces", "--set", "a=*", ""]
    assert result.stdout.splitlines() == [f"<{value}>" for value in [here, *given]]
    assert "Making .venv with Python 3.11.99" in result.stderr
    assert "not found" not in result.stderr
    assert re.search(r"Installing up to \d\d+ packages from requirements\.lock", result.stderr)


def test_an_up_to_date_environment_is_left_alone_in_silence(sandbox: Sandbox) -> None:
    assert sandbox.run_all().returncode == 0
    # No Python at all is needed any more: nothing is even looked for.
    (sandbox.bin / "python3").unlink()
    result = sandbox.run_all()
    assert (result.returncode, result.stderr, sandbox.done()) == (0, "", WHOLE_SETUP)
    assert sandbox.run("make", "-C", str(sandbox.project), ".venv").returncode == 0
    assert sandbox.done() == WHOLE_SETUP


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_changed_lock_or_project_file_makes_the_environment_anew(sandbox: Sandbox, name: str) -> None:
    assert sandbox.run_all().returncode == 0
    leftover = sandbox.project / ".venv" / "leftover"
    leftover.touch()
    with (sandbox.project / name).open("a") as file:
        file.write("# changed\n")
    result = sandbox.run("make", "-C", str(sandbox.project), ".venv")
    assert result.returncode == 0, result.stderr
    assert "making it anew" in result.stderr
    assert sandbox.done() == WHOLE_SETUP * 2
    assert not leftover.exists()


def test_an_environment_moved_with_its_folder_is_made_anew(sandbox: Sandbox) -> None:
    assert sandbox.run_all().returncode == 0
    sandbox.project = sandbox.project.rename(sandbox.project.with_name("moved"))
    assert sandbox.run_all().returncode == 0
    assert sandbox.done() == WHOLE_SETUP * 2


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("error: Failed to fetch: https://pypi.org/simple/six/\n  client error (Connect)", "no network"),
        ("OSError: [Errno 28] No space left on device", "disk filled up"),
        ("error: some wheel is broken", "could not be installed"),
    ],
)
def test_a_failing_installer_is_explained_and_the_next_call_starts_afresh(
    sandbox: Sandbox, words: str, reason: str
) -> None:
    failed = sandbox.run_all(FAKE_ERROR=words)
    assert failed.returncode == 1
    assert failed.stdout == ""  # the study was not started
    assert words in failed.stderr  # its own words stay visible
    assert reason in failed.stderr.split(words)[1]
    assert "Remedy:" in failed.stderr
    assert not sandbox.stamp.exists()

    again = sandbox.run_all()
    assert again.returncode == 0, again.stderr
    assert "was not finished" in again.stderr
    assert sandbox.done() == [*BOOTSTRAP, *CPU, *WHOLE_SETUP]
    assert sandbox.stamp.exists()


def test_a_killed_set_up_leaves_nothing_half_used(sandbox: Sandbox) -> None:
    process = sandbox.start(str(sandbox.project / "run_all.sh"), FAKE_SLEEP="30")
    deadline = time.monotonic() + 30
    while len(sandbox.done()) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, 9)
    process.communicate()
    assert sandbox.done() == [*BOOTSTRAP, *CPU]
    assert not sandbox.stamp.exists()
    assert sandbox.run_all().returncode == 0
    assert sandbox.done() == [*BOOTSTRAP, *CPU, *WHOLE_SETUP]


def test_two_set_ups_at_once_install_once(sandbox: Sandbox) -> None:
    script = str(sandbox.project / "run_all.sh")
    both = [sandbox.start(script, FAKE_SLEEP="0.7") for _ in range(2)]
    errors = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert sandbox.done() == WHOLE_SETUP
    assert sum("Another set-up" in text for text in errors) == 1


def nvidia_lines() -> str:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return str(sum(line.startswith(("nvidia-", "cuda-", "triton=")) for line in lines))


def test_cuda_builds_are_the_locks_own(sandbox: Sandbox) -> None:
    assert sandbox.run_all(SWATCHBOOK_TORCH="cuda").returncode == 0
    locked = [f"{INTO} -r requirements.lock", nvidia_lines(), WHOLE_SETUP[-1]]
    assert sandbox.done() == [*BOOTSTRAP, *locked] and int(nvidia_lines()) > 10
    assert sandbox.run_all(SWATCHBOOK_TORCH="cpu").returncode == 0  # another choice makes it anew
    assert sandbox.done() == [*BOOTSTRAP, *locked, *WHOLE_SETUP]


def test_where_the_index_of_cpu_builds_is_out_of_reach_the_locked_builds_are_taken(sandbox: Sandbox) -> None:
    result = sandbox.run_all(FAKE_INDEX="1")
    assert result.returncode == 0
    assert "cannot be reached: taking the locked builds" in result.stderr
    assert sandbox.done() == [*BOOTSTRAP, f"{INTO} -r requirements.lock", nvidia_lines(), WHOLE_SETUP[-1]]


@pytest.mark.parametrize(("driver", "builds"), [(True, "cuda"), (False, "cpu")])
def test_without_a_choice_the_machine_decides(sandbox: Sandbox, driver: bool, builds: str) -> None:
    if Path("/proc/driver/nvidia/version").exists() and not driver:
        pytest.skip("this machine has an NVIDIA driver")
    del sandbox.env["SWATCHBOOK_TORCH"]
    if driver:
        write_script(sandbox.bin / "nvidia-smi", "#!/usr/bin/env bash\n")
    (sandbox.bin / "uname").unlink()
    write_script(sandbox.bin / "uname", "#!/usr/bin/env bash\necho Linux\n")
    assert sandbox.run_all().returncode == 0
    assert ("--torch-backend cpu" in sandbox.done()[2]) == (builds == "cpu")


def test_a_choice_that_is_none_is_refused_before_anything_is_made(sandbox: Sandbox) -> None:
    result = sandbox.run_all(SWATCHBOOK_TORCH="rocm")
    assert result.returncode == 1 and sandbox.done() == []
    assert "SWATCHBOOK_TORCH=rocm is neither cpu nor cuda" in result.stderr


@pytest.mark.parametrize("old", [True, False])
def test_a_uv_on_the_path_is_used_unless_it_is_too_old(sandbox: Sandbox, old: bool) -> None:
    write_script(sandbox.bin / "uv", FAKE_UV.replace("--torch-backend}", "}" if old else "--torch-backend}"))
    assert sandbox.run_all().returncode == 0
    assert sandbox.done() == (WHOLE_SETUP if old else ["venv", *WHOLE_SETUP[2:]])


def test_no_python_is_refused_with_a_remedy(sandbox: Sandbox) -> None:
    (sandbox.bin / "python3").unlink()
    result = sandbox.run_all()
    assert result.returncode == 1
    assert "no Python 3.11 or newer" in result.stderr
    assert "python3-venv" in result.stderr
    assert not (sandbox.project / ".venv").exists()


def test_an_old_python_is_passed_over(sandbox: Sandbox) -> None:
    write_script(sandbox.bin / "python3", "#!/usr/bin/env bash\nexit 3\n")
    write_script(sandbox.bin / "python3.13", "#!/usr/bin/env bash\necho 'not installed here' >&2\nexit 127\n")
    assert "no Python 3.11 or newer" in sandbox.run_all().stderr
    write_script(sandbox.bin / "python", FAKE_PYTHON)
    assert sandbox.run_all().returncode == 0
    assert sandbox.done() == WHOLE_SETUP


def test_a_python_that_cannot_make_environments_is_named(sandbox: Sandbox) -> None:
    result = sandbox.run_all(FAKE_PROBE="4")
    assert result.returncode == 1
    assert "python3 has no venv or ensurepip" in result.stderr
    assert "apt-get install python3-venv" in result.stderr
    assert sandbox.done() == []


def test_the_python_a_person_names_is_used_or_refused(sandbox: Sandbox) -> None:
    mine = sandbox.project.parent / "my own python"
    refused = sandbox.run_all(PYTHON=str(mine))
    assert refused.returncode == 1
    assert f"PYTHON={mine}" in refused.stderr
    assert sandbox.done() == []
    write_script(mine, FAKE_PYTHON)
    assert f"({mine})" in sandbox.run_all(PYTHON=str(mine)).stderr
    assert sandbox.done() == WHOLE_SETUP


def test_too_little_disk_is_refused_before_anything_is_made(sandbox: Sandbox) -> None:
    del sandbox.env["SWATCHBOOK_DISK_GB"]
    (sandbox.bin / "df").unlink()
    write_script(
        sandbox.bin / "df",
        '#!/usr/bin/env bash\nprintf "Filesystem 1024-blocks Used Available Capacity Mounted on\\n"\n'
        'printf "/dev/x 100000000 97000000 3000000 97%% /\\n"\n',
    )
    result = sandbox.run_all()
    assert result.returncode == 1
    assert re.search(
        r"3 GB free on the disk of .*a project with spaces, and the set-up needs \d+ GB", result.stderr
    )
    assert sandbox.done() == []
    assert sandbox.run_all(SWATCHBOOK_DISK_GB="2").returncode == 0


def test_surroundings_do_not_lead_the_set_up_astray(sandbox: Sandbox) -> None:
    decoy = sandbox.project.parent / "decoy"
    (decoy / "scripts").mkdir(parents=True)
    result = sandbox.run("bash", "a project with spaces/run_all.sh", CDPATH=str(decoy), PYTHONHOME="/nowhere")
    assert result.returncode == 0, result.stderr
    assert sandbox.done() == WHOLE_SETUP


def test_a_missing_browser_is_said_and_does_not_stop_the_tests(sandbox: Sandbox) -> None:
    script = str(sandbox.project / "scripts" / "browser.sh")
    without = sandbox.run(script)
    assert without.returncode == 0
    assert "browser tests will skip" in without.stderr
    write_script(sandbox.bin / "chromium", "#!/usr/bin/env bash\nexit 1\n")
    assert sandbox.run(script).stderr == ""
    assert "cannot be run" in sandbox.run(script, SWATCHBOOK_BROWSER="/no/such/browser").stderr


def test_continuous_integration_runs_the_test_command_of_the_readme(sandbox: Sandbox) -> None:
    assert re.search(r"^\s*make test\b", (ROOT / "README.md").read_text(), re.MULTILINE)
    shutil.copytree(ROOT / ".ci", sandbox.project / ".ci")
    (sandbox.bin / "make").unlink()
    write_script(sandbox.bin / "make", '#!/usr/bin/env bash\nprintf "%s|" "$PWD" "$@"\n')
    assert sandbox.run(str(sandbox.project / ".ci" / "run")).stdout == f"{sandbox.project}|test|"


def test_scripts_are_executable_and_make_lists_every_target() -> None:
    scripts = [ROOT / "run_all.sh", ROOT / ".ci" / "run", *(ROOT / "scripts").glob("*.sh")]
    assert [path.name for path in scripts if not os.access(path, os.X_OK)] == []
    listed = subprocess.run(
        ["make", "-s", "-C", str(ROOT)], capture_output=True, text=True, check=True
    ).stdout
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert re.findall(r"^  make (\S+) +\S", listed, re.MULTILINE) == phony.group(1).split()


# The lock and what it must satisfy ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def locked() -> dict[str, set[Version]]:
    pins: dict[str, set[Version]] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if line and not line.startswith(("#", " ")):
            pin = Requirement(line)
            [spec] = pin.specifier
            assert spec.operator == "==", line
            pins.setdefault(canonicalize_name(pin.name), set()).add(Version(spec.version))
    return pins


def declared(project: dict) -> list[str]:
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    return [line for line in lines if not line.startswith("swatchbook[")]  # an extra that names another


def test_the_lock_satisfies_every_range_of_the_project(project: dict, locked: dict) -> None:
    wrong = [
        line
        for line in declared(project)
        if not (pins := locked.get(canonicalize_name(Requirement(line).name)))
        or not all(Requirement(line).specifier.contains(version) for version in pins)
    ]
    assert wrong == []


def test_the_lock_holds_the_constraints(locked: dict) -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    assert lines == ["torch==2.11.0", "torchvision==0.26.0"]
    for pin in map(Requirement, lines):
        [spec] = pin.specifier
        assert locked[pin.name] == {Version(spec.version)}


def test_every_dependency_gives_its_reason(project: dict) -> None:
    text = (ROOT / "pyproject.toml").read_text()
    for line in declared(project):
        reason = re.search(rf'^ *"{re.escape(line)}", +# (.*)$', text, re.MULTILINE)
        assert reason, f"{line} has no comment on its line"
        assert len(reason.group(1).split()) >= 2, line


def test_conda_takes_the_lock_first_and_then_the_package() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *packages, pip = environment["dependencies"]
    assert pip == {"pip": ["-r requirements.lock", "-e ."]}
    assert "pip" in packages
    [python] = [entry for entry in packages if entry.startswith("python=")]
    assert Version(python.removeprefix("python=")) >= Version("3.11")


def test_the_container_is_built_from_files_that_are_here_and_runs_the_command(project: dict) -> None:
    lines = [
        line.split() for line in (ROOT / "Dockerfile").read_text().splitlines() if line and line[0] != "#"
    ]
    copied = [words for words in lines if words[0] == "COPY" and not words[1].startswith("--from")]
    sources = [source for _, *some, _ in copied for source in some]
    assert set(sources) == {"pyproject.toml", "README.md", "LICENSE", "src", "requirements.lock"}
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert lines[-1] == ["ENTRYPOINT", '["swatchbook"]'] and "swatchbook" in project["scripts"]


def test_without_an_extra_nothing_heavy_is_asked_for(project: dict) -> None:
    names = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    assert not names & {
        "torch",
        "torchvision",
        "timm",
        "open-clip-torch",
        "jupyterlab",
        "papermill",
        "ipykernel",
    }
    assert "swatchbook[models]" in project["optional-dependencies"]["study"]


def test_workflow_actions_are_pinned_by_commit() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    unpinned = [
        s["uses"] for s in steps if "uses" in s and not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", s["uses"])
    ]
    assert unpinned == []
    commands = [step["run"] for step in steps if "run" in step]
    assert {"make lint", "make test"} <= set(commands)


# The rooms of the house ---------------------------------------------------------------------------------------

sys.path.insert(0, str(ROOT / "scripts"))
from house import FACADES, ROOMS, circles, import_graph, module_of, room_of  # noqa: E402 - it is no package

# Each room may import those before it; these, whose input is plain tables, less still.
PURE = {"evaluation": {"ground"}, "report": {"ground", "evaluation", "data"}}
HEAVY = {"torch", "torchvision", "timm", "open_clip", "transformers"}


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file; `from a import b` counts as a and a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            level = path.relative_to(PACKAGE.parent).with_suffix("").parts[: -node.level or None]
            base = ".".join([*(level if node.level else ()), *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found


def test_imports_run_against_the_flow_of_data() -> None:
    wrong = []
    for module, found in import_graph().items():
        room = room_of(module)
        allowed = PURE.get(room, set(ROOMS[: ROOMS.index(room)])) | {room}
        if module not in FACADES:
            wrong += [f"{module} imports {each}" for each in sorted(found) if room_of(each) not in allowed]
    assert wrong == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circles(import_graph()) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


@pytest.mark.parametrize("room", ["evaluation", "report"])
def test_a_room_without_torch_never_names_it(room: str) -> None:
    files = list((PACKAGE / room).rglob("*.py"))
    assert files
    named = {
        str(path): heavy for path in files if (heavy := {n.split(".")[0] for n in imports(path)} & HEAVY)
    }
    assert named == {}


@pytest.mark.parametrize("room", ["evaluation", "report"])
def test_a_room_without_torch_imports_where_there_is_none(room: str) -> None:
    modules = [module_of(path) for path in sorted((PACKAGE / room).rglob("*.py"))]
    # Refused as if not installed, so that a library's own optional use of torch may still fall back.
    script = f"""
import importlib, sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {sorted(HEAVY)}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, NotInstalled())
for name in {modules}:
    importlib.import_module(name)
print("imported", {len(modules)})
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"imported {len(modules)}\n"
