"""The command: help, refusals and exit codes; nothing here runs the study."""

import subprocess
import sys
import types

import pytest

from swatchbook.cli import main as cli
from swatchbook.cli import needed_extra, require
from swatchbook.cli.audit import with_step
from swatchbook.cli.main import main
from swatchbook.labeller import KNOWN, kind_and_place


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--set", "bootstrap"], "--set 'bootstrap'; must be KEY=VALUE"),
        (
            ["run", "--set", "bootstap=3"],
            "setting 'bootstap' is unknown; did you mean evaluation.bootstrap? allowed: ",
        ),
        (["run", "--profile", "nonesuch"], "profile 'nonesuch' is unknown; allowed: demo, published"),
        (["run", "--set", "level=2"], "setting evaluation.level = '2'; must be less than 1"),
        (["run", "--profile", "folder"], "profile 'folder' needs --images, and got none"),
        (
            ["run", "--profile", "demo", "--images", "x"],
            "--images with profile 'demo'; it is for folder and labeller",
        ),
        (
            ["run", "--source", "x"],
            "--source with profile 'demo'; it is for published, folder, paper, best, labeller, challenge, challenge-best, challenge-paper, retrieval, retrieval-best, "
            "retrieval-paper, landmarks, landmarks-best and landmarks-paper",
        ),
        (
            ["run", "--profile", "folder", "--images", "x", "--source", "y"],
            "--images and --source were both given; profile folder takes --images",
        ),
        (["run", "--profile", "demo", "--train"], "--train with profile 'demo'; it is for folder"),
        (["run", "--set", "train=false"], "train = false; it is for profile folder"),
        (["run", "--set", "attributes=color"], "attributes = color; it is for profile folder"),
        (
            ["run", "--profile", "demo", "--audit", "audit.csv"],
            "--audit with profile 'demo'; it is for folder, paper, best and labeller",
        ),
    ],
)
def test_a_wrong_command_line_exits_with_two_and_one_line(arguments, message, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["labl", "d"], "argument COMMAND: 'labl'; did you mean label? allowed: run, train, label"),
        (["audit", "drwa"], "argument STEP: 'drwa'; did you mean draw? allowed: labels, draw"),
        (["audit", "draw", "--design", "Neymann"], "'Neymann'; did you mean neyman? allowed: fabric, neyman"),
        (["quux"], "argument COMMAND: 'quux'; allowed: run"),
    ],
)
def test_a_mistyped_command_or_choice_names_the_one_that_was_meant(arguments, message, capsys):
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ["run", "--profile", "publishd"],
            2,
            "profile 'publishd' is unknown; did you mean published? allowed: ",
        ),
        (
            ["run", "--set", "epoch=3"],
            2,
            "setting 'epoch' is unknown; did you mean training.epochs? allowed: ",
        ),
        (["run", "--set", "training.bach=3"], 2, "did you mean training.batch? allowed: "),
        (["run", "--set", "qqq=3"], 2, "setting 'qqq' is unknown; allowed: "),
        (["label", ".", "--out", "o.csv", "--schema", "Wardobe"], 1, "did you mean wardrobe? allowed: "),
        (
            ["label", ".", "--out", "o.csv", "--labeller", "fashion-sigclip"],
            1,
            "labeller 'fashion-sigclip'; did you mean fashion-siglip? allowed: bundled, drawn-only, fashion-siglip",
        ),
    ],
)
def test_a_mistyped_name_is_told_which_was_meant(arguments, status, message, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == status
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_short_name_of_a_labeller_stands_for_the_name_in_full():
    for known in KNOWN.values():
        assert kind_and_place(known.name)[0] in ("bundled", "hf-hub", "local-dir")
    assert kind_and_place("fashion-siglip") == ("hf-hub", "Marqo/marqo-fashionSigLIP")


@pytest.mark.parametrize("command", ["label", "index"])
def test_help_says_of_each_labeller_what_it_downloads(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    printed = " ".join(capsys.readouterr().out.split()).replace("- ", "-")  # lines are broken at hyphens too
    for name, known in KNOWN.items():
        fetched = f"{known.megabytes:,} MB; " if known.megabytes else ""
        assert f"{name} ({fetched}{known.reaches})" in printed


def test_a_folder_without_a_model_is_refused_before_torch_is_imported(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None\nfrom swatchbook.cli.main import main\n"
        "sys.exit(main(['predict', '.', '--model', '.', '--out', 'o.csv']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "no finished model" in done.stderr and "loading" not in done.stderr


@pytest.mark.parametrize(
    ("command", "module", "said"),
    [
        ("run", "torch", "swatchbook run needs torch: pip install 'swatchbook[study]'"),
        ("label", "torch", "swatchbook label needs torch: pip install 'swatchbook[models]'"),
        ("label", "ray", "swatchbook label needs ray: pip install 'swatchbook[ray]'"),
    ],
)
def test_what_is_not_installed_comes_with_an_extra_that_is_named(command, module, said, monkeypatch):
    assert needed_extra(command, module) == said
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError) as refused:
        require("json", module)
    assert refused.value.name == module


def test_a_run_that_trains_is_refused_at_once_where_there_is_no_torch(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["run", "--run-dir", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err.endswith("\nswatchbook run needs torch: pip install 'swatchbook[study]'\n")
    assert not (tmp_path / "run").exists()


def test_a_source_that_is_no_folder_exits_with_one_and_one_line(capsys, tmp_path):
    given = ["--profile", "published", "--source", str(tmp_path / "none"), "--run-dir", str(tmp_path / "run")]
    assert main(["run", *given]) == 1
    assert "is not a folder; name the folder of the exports" in capsys.readouterr().err.splitlines()[-1]


def test_photographs_that_are_not_there_exit_with_one_and_one_line(capsys, tmp_path):
    run = [
        "run",
        "--profile",
        "folder",
        "--images",
        str(tmp_path / "none"),
        "--run-dir",
        str(tmp_path / "run"),
    ]
    assert main(run) == 1
    assert "none' is not a folder; allowed: a folder of images" in capsys.readouterr().err.splitlines()[-1]


def test_photographs_and_audit_are_named_absolutely_since_notebooks_run_elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    given = ["run", "--profile", "folder", "--images", "in", "--audit", "a.csv", "--set", "epochs=3"]
    wanted = {
        "epochs": "3",
        "source": str(tmp_path / "in"),
        "labelling.audit": str(tmp_path / "a.csv"),
    }
    assert cli._settings(cli._parser().parse_args(given)) == wanted
    assert cli._settings(cli._parser().parse_args([*given, "--train"])) == wanted | {"train": "true"}


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("run", "example: swatchbook run --profile folder --images"),
        ("label", "example: swatchbook label ~/photographs --out labels.csv"),
        (
            "predict",
            "example: swatchbook predict ~/photographs --model runs/demo/models/tower --out labels.csv",
        ),
        ("index", "example: swatchbook index ~/photographs --out index.parquet"),
        ("search", 'example: swatchbook search index.parquet "a striped shirt" --where color=blue'),
        ("audit", "example: swatchbook audit --labels labels.csv --images ~/photographs"),
    ],
)
def test_each_command_shows_an_example(command, printed, capsys):
    with pytest.raises(SystemExit) as done:
        main([command, "--help"])
    assert done.value.code == 0
    assert printed in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["audit", "a.csv"], ["audit", "check", "a.csv"]),
        (["audit", "--run-dir", "r", "a.csv"], ["audit", "check", "--run-dir", "r", "a.csv"]),
        (["audit", "page", "--out", "p.html"], ["audit", "page", "--out", "p.html"]),
        (["audit", "--labels", "l.csv"], ["audit", "labels", "--labels", "l.csv"]),
        (["audit", "--out", "o", "--labels=l.csv"], ["audit", "labels", "--out", "o", "--labels=l.csv"]),
        (["audit", "--help"], ["audit", "--help"]),
        (["audit"], ["audit"]),
        (["run", "a.csv"], ["run", "a.csv"]),
    ],
)
def test_an_audit_of_labels_needs_no_step_and_a_sheet_alone_is_checked(given, taken):
    assert with_step(given) == taken


def test_a_contact_sheet_and_a_schema_reach_the_labeller(monkeypatch, tmp_path, capsys):
    asked = {}

    def label_folder(folder, out, schema, **options):
        asked.update(options, folder=folder, out=out, schema=schema.name)
        return 0, []

    module = types.ModuleType("swatchbook.bulk.folder")
    module.label_folder = label_folder
    monkeypatch.setitem(sys.modules, "swatchbook.bulk.folder", module)
    page = tmp_path / "sheet.html"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    command = ["label", "in", "--out", "o.csv", "--attributes", "color,texture", "--html", str(page)]
    assert main(command) == 0
    assert asked["html"] == page and asked["schema"] == "wardrobe"
    assert asked["attributes"] == ["color", "texture"] and asked["corrections"] is None
    assert f"{page}: contact sheet" in capsys.readouterr().out
    assert main(command[:-2]) == 0 and asked["html"] is None


def test_the_command_that_trains_asks_a_folder_for_training_too(monkeypatch, capsys):
    asked = {}

    def opened(arguments):
        asked.update(cli._settings(arguments))
        return types.SimpleNamespace(stages=())

    monkeypatch.setattr(cli, "_open", opened)
    assert main(["train", "--profile", "folder", "--images", "in"]) == 2
    assert asked["train"] == "true" and "trains nothing" in capsys.readouterr().err


def test_profiles_lists_every_setting_with_its_default(capsys):
    assert main(["profiles"]) == 0
    printed = capsys.readouterr().out
    assert "evaluation.bootstrap         2000" in printed and "published" in printed


def test_help_names_the_commands_and_does_not_import_the_heavy_rooms():
    code = (
        "import sys; from swatchbook.cli.main import main\ntry:\n    main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('pandas', 'matplotlib', 'torch', 'papermill') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "run the study" in done.stdout and done.stdout.rstrip().endswith("[]")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["audit", "draw", "--n", "1_000"],
            "argument --n: '1_000'; a whole number in the digits 0 to 9 is needed",
        ),
        (["audit", "draw", "--seed", "１００"], "argument --seed: '１００'; a whole number"),
        (["audit", "import", "a.csv", "--alpha", "٠.٥"], "argument --alpha: '٠.٥'; a number between 0 and 1"),
        (["label", "d", "--out", "o.csv", "--temperature", "1_0"], "argument --temperature: '1_0'; a number"),
        (["search", "i.parquet", "x", "--top", "²"], "argument --top: '²'; a whole number"),
    ],
)
def test_numbers_are_written_in_plain_digits(arguments, message, capsys):
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["label", "in", "--out", "o.txt"], "out 'o.txt' ends in '.txt'"),
        (["label", "none", "--out", "o.csv"], "none' is not a folder"),
        (
            ["label", "in", "--out", "o.csv", "--html", "/proc/o.html"],
            "html '/proc/o.html' cannot be written",
        ),
        (["label", "in", "--out", "o.csv", "--labeller", "clip"], "labeller 'clip'; allowed: bundled"),
        (["label", "in", "--out", "o.csv", "--temperature", "0"], "must be a number above 0; received 0.0"),
        (["label", "in", "--out", "o.csv", "--schema", "textile"], "schema 'textile' is unknown"),
        (
            ["label", "in", "--out", "o.csv", "--attributes", "colour"],
            "attributes: colour; allowed: any of material",
        ),
        (["predict", "in", "--model", "m", "--out", "o.txt"], "out 'o.txt' ends in '.txt'"),
        (["index", "in", "--out", "o.csv"], "out 'o.csv' ends in '.csv'; allowed: .parquet"),
        (["search", "i.parquet", "x", "--html", "o.pdf"], "html 'o.pdf' ends in '.pdf'"),
    ],
)
def test_arguments_are_refused_before_anything_heavy_is_imported(
    arguments, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    monkeypatch.setitem(sys.modules, "swatchbook.bulk", None)  # to import it, and with it torch, would fail
    for name in [name for name in sys.modules if name.startswith("swatchbook.bulk.")]:
        monkeypatch.delitem(sys.modules, name)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file or directory", "a.csv"), "No such file or directory: a.csv"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (ValueError("/some/path"), "ValueError /some/path"),
        (ValueError("in words already"), "in words already"),
    ],
)
def test_no_message_is_a_path_alone(error, said, monkeypatch, capsys):
    def fail(_):
        raise error

    monkeypatch.setattr(cli, "_profiles", fail)
    assert main(["profiles"]) == 1
    assert capsys.readouterr().err == f"swatchbook: {said}\n"


def test_an_interrupted_command_says_so_and_exits_with_130(monkeypatch, capsys):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_profiles", interrupt)
    assert main(["profiles"]) == 130
    assert capsys.readouterr().err.startswith("swatchbook: interrupted; what is finished is kept")
