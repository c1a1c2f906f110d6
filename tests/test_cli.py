"""The command: help, refusals and exit codes; nothing here runs the study."""

import subprocess
import sys

import pytest

from swatchbook.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--set", "bootstrap"], "--set 'bootstrap'; must be KEY=VALUE"),
        (["run", "--set", "bootstap=3"], "setting 'bootstap' is unknown; allowed: "),
        (["run", "--profile", "best"], "profile 'best' is unknown; allowed: published"),
        (["run", "--set", "level=2"], "setting evaluation.level = 2.0; must be from 0.5 to below 1"),
    ],
)
def test_a_wrong_command_line_exits_with_two_and_one_line(arguments, message, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_source_that_is_no_folder_exits_with_one_and_one_line(capsys, tmp_path):
    assert main(["run", "--source", str(tmp_path / "none"), "--run-dir", str(tmp_path / "run")]) == 1
    assert "is not a folder; name the folder of the exports" in capsys.readouterr().err.splitlines()[-1]


def test_profiles_lists_every_setting_with_its_default(capsys):
    assert main(["profiles"]) == 0
    told = capsys.readouterr().out
    assert "evaluation.bootstrap         2000" in told and "published" in told


def test_help_names_the_commands_and_does_not_import_the_heavy_rooms():
    code = (
        "import sys; from swatchbook.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('pandas', 'matplotlib', 'torch', 'papermill') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "run the study" in done.stdout and done.stdout.rstrip().endswith("[]")
