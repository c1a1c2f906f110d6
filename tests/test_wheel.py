"""The wheel in an empty environment: label, search and audit work there, and what needs more says so."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from swatchbook.drawn.balanced import drawn_labels, drawn_pictures
from swatchbook.schema import Schema
from tests.audit.test_command import answered, make_run, saved
from tests.bulk.test_label_audit import answered as answers_to
from tests.bulk.test_label_audit import make_labels
from tests.conftest import ROOT

NETWORK = ("error sending request", "dns error", "client error", "network connectivity is disabled")


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    """The folder of a Python with the wheel, what it depends on, and nothing else."""
    own = Path(sys.executable).with_name("uv")
    uv = str(own) if own.exists() else shutil.which("uv")
    if uv is None:
        pytest.skip("uv, which builds the wheel and installs it, is not here")
    place = tmp_path_factory.mktemp("wheel")

    def run(*command: str) -> None:
        # What uv has cached needs no network.
        for more in (["--offline"], []):
            done = subprocess.run([uv, *command, *more], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return
        if any(words in done.stderr.lower() for words in NETWORK):
            pytest.skip(f"no network here, and uv has not cached what the wheel needs: {done.stderr[-200:]}")
        raise AssertionError(done.stderr)

    run("build", "--wheel", "--out-dir", str(place), "--python", sys.executable, str(ROOT))
    (wheel,) = place.glob("*.whl")
    run("venv", "--python", sys.executable, str(place / "env"))
    lock = ["--constraint", str(ROOT / "requirements.lock")]
    run("pip", "install", "--python", str(place / "env"), *lock, str(wheel))
    return place / "env"


def command(environment: Path, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    run = [environment / "bin" / "swatchbook", *map(str, arguments)]
    env = {"PATH": "/nowhere", "HOME": str(cwd), "OMP_NUM_THREADS": "1"}
    return subprocess.run(run, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def test_it_is_light(environment):
    packages = {path.name.lower() for path in environment.glob("lib/python*/site-packages/*")}
    assert "onnxruntime" in packages
    assert not packages & {
        "torch",
        "timm",
        "open_clip",
        "transformers",
        "notebook",
        "jupyterlab",
        "papermill",
    }
    size = sum(path.stat().st_size for path in environment.rglob("*") if path.is_file())
    assert size < 700e6, f"{size / 1e6:.0f} MB"


def test_it_labels_and_searches(environment, tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    truth = drawn_labels(5, seed=8)
    for number, picture in enumerate(drawn_pictures(truth, seed=8)):
        picture.save(folder / f"{number}.png")
    more = ("--schema", "wardrobe", "--no-abstain", "--html", "sheet.html")
    done = command(environment, "label", folder, "--out", "labels.csv", *more, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("loading the model …") and (tmp_path / "sheet.html").is_file()
    table = pd.read_csv(tmp_path / "labels.csv")
    assert (table["color"] == truth["color"].tolist()).sum() >= 3
    done = command(environment, "index", folder, "--out", "index.parquet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = command(environment, "search", "index.parquet", "striped", "--top", "2", cwd=tmp_path)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 2, done.stderr


def test_it_draws_shows_and_imports_an_audit(environment, tmp_path):
    run, schema = make_run(tmp_path), Schema.load("textilenet")
    where = ("--run-dir", run)
    done = command(environment, "audit", "draw", *where, "--n", "24", "--repeats", "6", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = command(environment, "audit", "page", *where, "--out", "audit.html", cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / "audit.html").stat().st_size > 10_000, done.stderr
    sample = pd.read_csv(run / "audit" / "sample.csv", dtype={"image_id": str})
    answers = saved(answered(sample, schema, "anna"), tmp_path / "answers-anna.csv")
    done = command(environment, "audit", "import", answers, *where, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    scores = pd.read_csv(run / "audit" / "scores.csv")
    assert np.isfinite(scores["value"]).any()


def test_it_audits_the_labels_of_a_file(environment, tmp_path):
    _, truth = make_labels(tmp_path, images=24, wrong=5)
    asked = ("audit", "--labels", "labels.csv", "--images", "photos", "--out", "out")
    done = command(environment, *asked, "--n", "12", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answers = answers_to(tmp_path, truth)
    done = command(environment, *asked, "--answers", answers, cwd=tmp_path)
    assert done.returncode == 0 and "correct.html: " in done.stdout, done.stderr
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made >= {"audit.html", "report.html", "correct.html", "labels-corrected.csv"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "swatchbook run needs torch: pip install 'swatchbook[study]'"),
        (
            ["run", "--profile", "published"],
            "swatchbook run needs papermill: pip install 'swatchbook[study]'",
        ),
        (
            ["label", ".", "--out", "o.csv", "--labeller", "siglip2"],
            "swatchbook label needs torch: pip install 'swatchbook[models]'",
        ),
    ],
)
def test_what_needs_an_extra_says_so_in_one_line(arguments, said, environment, tmp_path):
    Path(tmp_path, "a.png").write_bytes(b"\x89PNG\r\n")
    done = command(environment, *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == said
    assert not any(path.name.startswith("runs") for path in tmp_path.iterdir())
