"""The first cell of a notebook: on Colab it installs what is missing and keeps what is there.

Colab's torch fits its GPU and driver; another one from a package index costs minutes and may not. So
nothing of Colab's own is replaced: its versions are written into a constraints file for pip, and only
what is missing is asked for. Elsewhere nothing is installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from swatchbook import __version__

# Colab's own, whatever the versions: what its GPU, its kernel and what is loaded already depend on.
KEPT = (
    *("torch", "torchvision", "torchaudio", "triton", "numpy", "pandas", "scipy", "scikit-learn", "pyarrow"),
    *("pillow", "matplotlib", "timm", "transformers", "tokenizers", "safetensors", "huggingface-hub"),
    *("accelerate", "ipython", "ipykernel", "jupyter-client", "jupyter-server", "tornado", "google-colab"),
)
# Never asked for: torch must come with the machine, and Colab is itself the place to open a notebook.
NEVER = ("torch", "torchvision", "jupyterlab", "ipykernel", "jupyter-client")


class SetupError(RuntimeError):
    """The notebook's surroundings cannot be prepared; the message says what to do."""


def prepare(log: Callable[[str], object] = print) -> None:
    """Make a notebook's surroundings ready.

    On Colab packages that are missing are installed, and this package by its metadata only; a second call
    finds nothing missing and installs nothing; device and number format are printed with the reason.
    Elsewhere nothing is installed, and the hardware is asked when something is first computed on it.

    Args:
        log: Called with a line or two about what was done.

    Raises:
        SetupError: If, on Colab, the runtime has no torch or pip fails; nothing of Colab's was replaced.
    """
    if importlib.util.find_spec("torch") is None and not on_colab():
        has = "published results and the labeller in the box, no other models"
        log(f"swatchbook {__version__}; torch is not installed: {has}")
        return
    if not on_colab():
        log(f"swatchbook {__version__}")
        return
    _install(Path(__file__).resolve().parents[2], log)
    from swatchbook.models.hardware import choose

    log(f"swatchbook {__version__}; {choose().reason}")


def on_colab() -> bool:
    """Whether this kernel is Colab's."""
    return "google.colab" in sys.modules


def missing(requirements: Sequence[str]) -> list[str]:
    """The requirements that are not there, or too old; without what is kept or never asked for.

    Args:
        requirements: As in `pyproject.toml`, such as ``timm>=1.0.17``.
    """
    return [r for r in requirements if _lacks(r) and _name(r) not in NEVER and not _is_kept(r)]


def _lacks(requirement: str) -> bool:
    from packaging.requirements import Requirement  # of matplotlib and many others, so Colab has it

    found = _version(_name(requirement))
    return found is None or not Requirement(requirement).specifier.contains(found, prereleases=True)


def _is_kept(requirement: str) -> bool:
    return _name(requirement) in KEPT and _version(_name(requirement)) is not None


def constraints() -> str:
    """What pip must leave as it is: a line ``name==version`` for each of `KEPT` that is installed."""
    return "".join(f"{name}=={_version(name)}\n" for name in KEPT if _version(name))


def _install(root: Path, log: Callable[[str], object]) -> None:
    if _version("torch") is None:
        raise SetupError(
            "this runtime has no torch, and Swatchbook does not replace Colab's; choose Runtime > Change "
            "runtime type > T4 GPU, or Runtime > Disconnect and delete runtime, and run this cell again"
        )
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["study"], *extras["models"]]
    wanted = [r for r in wanted if _name(r) != "swatchbook"]  # an extra that names another
    lacking = missing(wanted)
    old = [r for r in wanted if _is_kept(r) and _lacks(r) and _name(r) not in NEVER]
    for requirement in old:
        log(f"Colab's {_name(requirement)} {_version(_name(requirement))} is kept; {requirement} was meant")
    if lacking:
        log(f"installing {', '.join(map(_name, lacking))}; Colab's torch {_version('torch')} stays")
        with tempfile.TemporaryDirectory() as folder:
            kept = Path(folder) / "constraints.txt"
            kept.write_text(constraints(), encoding="utf-8")
            _pip("--constraint", str(kept), *lacking)
    if _version("swatchbook") is None:  # versions of a run are read from the metadata of what is installed
        _pip("--no-deps", "--editable", str(root))
    importlib.invalidate_caches()


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        output = (done.stderr or done.stdout).strip().splitlines()
        raise SetupError(
            f"pip could not install {', '.join(arguments[-3:])}: {' '.join(output[-3:])}. Nothing of Colab's "
            "was replaced; check the network and run this cell again"
        )


def _name(requirement: str) -> str:
    """The package's name, as indexes compare names."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement.strip())[0]).lower()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
