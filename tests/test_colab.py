"""The notebooks' first cell: on an imitated Colab, on a machine of one's own, and twice over."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from importlib import metadata
from pathlib import Path

import packaging
import pytest

from tests.conftest import ROOT

CELL = """\
import sys

sys.path.append("/content/swatchbook/src")  # on Colab the project's folder lies there
try:
    from swatchbook.colab import prepare
except ModuleNotFoundError:
    where = "on Colab upload its folder to /content/swatchbook, or git clone it there; elsewhere ./run_all.sh"
    raise ModuleNotFoundError(f"Swatchbook is not installed: {where}; then run this cell again") from None
prepare()"""

# What a Colab runtime brings, as far as the project asks for it.
COLAB = {
    **{"torch": "2.11.0+cu128", "torchvision": "0.26.0+cu128", "timm": "1.0.28", "transformers": "5.15.0"},
    **{"accelerate": "1.14.0", "huggingface_hub": "1.5.0", "safetensors": "0.7.0", "numpy": "2.1.3"},
    **{
        "pandas": "2.2.3",
        "scipy": "1.16.3",
        "scikit-learn": "1.6.1",
        "pillow": "11.3.0",
        "pyarrow": "18.1.0",
    },
    **{"matplotlib": "3.10.0", "seaborn": "0.13.2", "PyYAML": "6.0.3", "Jinja2": "3.1.6", "tqdm": "4.67.1"},
    **{"nbconvert": "7.16.6", "nbformat": "5.10.4", "nbclient": "0.10.2", "beautifulsoup4": "4.13.5"},
    **{"filelock": "3.20.0", "pooch": "1.8.2", "ipykernel": "6.17.1", "jupyter-client": "7.4.9"},
    **{"gdown": "5.2.0", "bleach": "5.0.0"},
}
TORCH = """
float32, float16, bfloat16 = "float32", "float16", "bfloat16"
class cuda:
    is_available = staticmethod(lambda: True)
    get_device_capability = staticmethod(lambda: (7, 5))
    get_device_name = staticmethod(lambda: "Tesla T4")
"""
PIP = """
import json, os, sys
from pathlib import Path
if os.environ.get("PIP_FAILS"):
    sys.exit("ERROR: ResolutionImpossible: torch==2.11.0+cu128 is held")
given = sys.argv[1:]
kept = Path(given[given.index("--constraint") + 1]).read_text() if "--constraint" in given else ""
with Path(__file__).parents[1].joinpath("asked.jsonl").open("a") as file:
    file.write(json.dumps({"given": given, "kept": kept}) + "\\n")
for name in given[1:]:
    if "=" in name or name.endswith("swatchbook") or "--editable" in given and name == given[-1]:
        name = "swatchbook" if "--editable" in given else name.split(">")[0]
        home = Path(__file__).parents[1] / f"{name}-99.0.dist-info"
        home.mkdir(exist_ok=True)
        (home / "METADATA").write_text(f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 99.0\\n")
"""


def installed(site: Path, name: str, version: str) -> None:
    home = site / f"{name.replace('-', '_')}-{version}.dist-info"
    home.mkdir(parents=True)
    (home / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def site(tmp_path) -> Path:
    """A Python with Colab's packages by name and version, a torch that sees a T4, and a pip that notes."""
    site = tmp_path / "site"
    for name, version in COLAB.items():
        installed(site, name, version)
    for module, text in {"google": "", "google/colab": "", "torch": TORCH, "pip": ""}.items():
        (site / module).mkdir()
        (site / module / "__init__.py").write_text(text)
    (site / "pip" / "__main__.py").write_text(PIP)
    shutil.copytree(Path(packaging.__file__).parent, site / "packaging")
    return site


def run(site: Path, project: Path = ROOT, before: str = "import google.colab", times: int = 1, **environment):
    """Run the first cell, as a notebook of that Python would."""
    cell = CELL.replace("/content/swatchbook", str(project))
    code = "\n".join([before, *[cell] * times])
    return subprocess.run(
        [sys.executable, "-S", "-c", code],  # -S: nothing of this environment but what `site` holds
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        | {"PYTHONPATH": str(site)}
        | environment,
        cwd=site.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def asked(site: Path) -> list[dict]:
    path = site / "asked.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def torch_files(site: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(p.relative_to(site)): (p.read_bytes(), p.stat().st_mtime_ns)
        for p in site.rglob("*")
        if p.is_file() and p.relative_to(site).parts[0].startswith("torch") and "pycache" not in str(p)
    }


def test_on_colab_only_what_is_missing_is_installed_and_torch_stays_as_it_is(site):
    before = torch_files(site)
    assert len(before) == 3
    done = run(site)
    assert done.returncode == 0, done.stderr
    assert torch_files(site) == before
    packages, itself = asked(site)
    requirements = [r for r in packages["given"] if ">=" in r]
    # Two are not there, one is too old; whatever else the project comes to need is not there either.
    assert {"bleach>=6.1", "papermill>=2.6", "open_clip_torch>=3.0"} <= set(requirements)
    assert not {r.split(">")[0] for r in requirements} & (set(COLAB) - {"bleach"})
    kept = packages["kept"].splitlines()
    assert {"torch==2.11.0+cu128", "torchvision==0.26.0+cu128", "numpy==2.1.3", "pandas==2.2.3"} <= set(kept)
    assert {"timm==1.0.28", "transformers==5.15.0", "pillow==11.3.0", "ipykernel==6.17.1"} <= set(kept)
    # Itself is installed by its metadata alone, so that no dependency is looked at again.
    assert itself["given"][-3:] == ["--no-deps", "--editable", str(ROOT)]
    assert not [r for r in requirements if r.startswith(("torch", "jupyter", "ipykernel"))]


def test_the_cell_prints_device_number_format_and_why(site):
    message = run(site).stdout.splitlines()
    assert message[-1].endswith(
        "cuda, fp16 with scaled gradients: Tesla T4 (compute capability 7.5) has no bf16 in hardware"
    )
    assert message[-1].startswith("swatchbook ")
    assert len(message) == 2 and message[0].startswith(
        "installing cleanlab, pydantic, onnxruntime, tokenizers, ftfy, bleach, papermill, "
    )
    assert message[0].endswith("; Colab's torch 2.11.0+cu128 stays")


def test_a_second_time_nothing_is_installed(site):
    assert run(site, times=2).returncode == 0
    assert run(site).returncode == 0
    assert len(asked(site)) == 2


def test_what_colab_has_in_an_older_version_is_kept_and_told(site):
    shutil.rmtree(site / "timm-1.0.28.dist-info")
    installed(site, "timm", "1.0.3")
    done = run(site)
    assert "Colab's timm 1.0.3 is kept; timm>=1.0.17 was meant" in done.stdout
    assert not any("timm" in part for call in asked(site) for part in call["given"])


def test_a_runtime_without_torch_is_refused_and_gets_none(site):
    shutil.rmtree(site / "torch-2.11.0+cu128.dist-info")
    shutil.rmtree(site / "torch")
    done = run(site)
    assert done.returncode == 1
    assert "SetupError: this runtime has no torch, and Swatchbook does not replace Colab's" in done.stderr
    assert asked(site) == []


def test_a_pip_that_fails_is_one_clear_error(site):
    done = run(site, PIP_FAILS="1")
    assert done.returncode == 1
    assert "SetupError: pip could not install" in done.stderr
    assert "ResolutionImpossible: torch==2.11.0+cu128 is held. Nothing of Colab's was replaced" in done.stderr


def test_on_colab_without_the_project_the_cell_says_what_to_do(site, tmp_path):
    done = run(site, project=tmp_path / "nowhere")
    assert done.returncode == 1
    assert f"on Colab upload its folder to {tmp_path / 'nowhere'}, or git clone it there" in done.stderr
    assert asked(site) == []


def test_elsewhere_nothing_is_installed(site):
    """With everything missing, as a machine of one's own could have it: pip is not ours to call there."""
    done = run(site, before=f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})")
    assert done.returncode == 0, done.stderr
    assert asked(site) == []
    assert done.stdout.startswith("swatchbook ") and "Tesla T4" not in done.stdout  # asked when it is needed


def test_without_torch_elsewhere_the_cell_says_what_that_means(site):
    shutil.rmtree(site / "torch")
    done = run(site, before=f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})")
    assert done.returncode == 0, done.stderr
    assert "torch is not installed: published results and the labeller in the box" in done.stdout


def test_the_cell_works_in_a_headless_notebook(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    from swatchbook.pipeline import notebook_runner as notebooks

    parameters = nbformat.v4.new_code_cell('PROFILE: str = "demo"', metadata={"tags": ["parameters"]})
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL), parameters])
    nbformat.write(book, tmp_path / "book.ipynb")
    notebooks.execute(tmp_path / "book.ipynb", tmp_path / "out.ipynb", {})
    cells = nbformat.read(tmp_path / "out.ipynb", 4).cells
    printed = next(c for c in cells if "prepare()" in c.source).outputs[0].text
    assert printed == f"swatchbook {metadata.version('swatchbook')}\n"


def test_every_notebook_begins_with_the_cell():
    first = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [
            c for c in cells if c["cell_type"] == "code" and "address" not in c["metadata"].get("tags", [])
        ]
        first[path.name] = "".join(code[0]["source"])
    if not any("swatchbook.colab" in source for source in first.values()):
        pytest.skip("no notebook prepares itself for Colab yet")
    assert [name for name, source in first.items() if source != CELL] == []


def test_the_cell_is_short():
    assert len([line for line in CELL.splitlines() if line.strip()]) <= 8
    compile(textwrap.dedent(CELL), "cell", "exec")
