"""Run a notebook headless, and call it done only if every cell of it ran without an error.

Papermill does the running. Left to itself it only warns of unknown parameters, takes ``sys.exit(0)`` for
success, and starts whatever kernel the user's Jupyter folders call ``python3``; this module is the
strict edge around it.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import nbformat
import papermill
from bs4 import BeautifulSoup
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from swatchbook.atomic import StoreError, write_file
from swatchbook.pipeline.notebook_source import check_given, declared_in, is_code, read, tags_of

# What papermill warns of has been checked here, more strictly; what it logs as an error is raised as well.
logging.getLogger("papermill").setLevel(logging.CRITICAL)
_MARKUP = ("text/html", "text/markdown", "image/svg+xml")
_ACTIVE = re.compile(r"<(script|iframe|object|embed)\b|[\s\"'/]on\w+\s*=|javascript:", re.IGNORECASE)


class NotebookError(RuntimeError):
    """A notebook that did not run to its end; the message names it, the cell and the exception.

    Attributes:
        notebook: Path of the source.
        cell: Number of the cell in the source, the first being 1; None if no cell is to blame.
        failed_copy: Path of the partial executed copy; None if there is none.
    """

    def __init__(
        self, message: str, notebook: Path, cell: int | None = None, failed_copy: Path | None = None
    ) -> None:
        super().__init__(message)
        self.notebook, self.cell, self.failed_copy = notebook, cell, failed_copy


class _ThisPython(AsyncKernelManager):
    """A kernel of the running interpreter, whatever kernelspecs the machine or its user has installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """The specification that ipykernel would install, never looked up by name."""
        if self._kernel_spec is None:
            spec = get_kernel_dict()
            # Named, so that a default provisioner from the user's configuration is not asked.
            provisioner = {"provisioner_name": "local-provisioner"}
            self._kernel_spec = KernelSpec(
                argv=spec["argv"],
                display_name=spec["display_name"],
                language=spec["language"],
                metadata={**spec.get("metadata", {}), "kernel_provisioner": provisioner},
                # Python 3.11 and later freeze the modules that a debugger would step into; nobody steps here.
                env={"PYDEVD_DISABLE_FILE_VALIDATION": "1"},
            )
        return self._kernel_spec


def execute(
    notebook: Path,
    output: Path,
    parameters: Mapping[str, object],
    *,
    title: str | None = None,
    timeout: float | None = None,
) -> None:
    """Run a notebook from top to bottom in a fresh kernel of the running Python.

    The kernel works in the notebook's folder and reads none of the user's IPython start-up files. The
    executed copy appears under its name only when every cell has run; it carries no times and no random
    identifiers, so that a notebook whose outputs are the same gives the same bytes. If anything fails,
    what ran is kept beside it as ``<notebook>.failed.ipynb``, and an earlier executed copy stays as it was.

    Args:
        notebook: The source, with one cell tagged ``parameters``.
        output: Where the executed copy goes; its folder is made if needed.
        parameters: Values for some or all of the notebook's parameters: None, booleans, numbers, strings,
            and lists and string-keyed dicts of these.
        title: What to call the notebook in the progress lines on stderr; its name by default.
        timeout: Longest time for one cell in seconds; no limit by default.

    Raises:
        ValueError: If a parameter is unknown or no literal, or the notebook does not declare its parameters
            in exactly one cell of literals. Nothing has run then.
        NotebookError: If a cell raises, exits, takes too long or is never executed, if the kernel dies, or if
            the executed copy cannot be written.
    """
    notebook, output = Path(notebook).resolve(), Path(output).resolve()
    source = read(notebook)
    check_given(parameters, declared_in(source, notebook), notebook)
    if output == notebook:
        raise ValueError(f"output {str(output)!r} is the notebook itself; the source carries no outputs")
    title = title or notebook.stem
    total = sum(is_code(cell) for cell in source.cells)
    failed = output.with_name(f"{notebook.stem}.failed.ipynb")
    started = time.monotonic()
    _say(f"{title}: running {total} cells")

    def run(partial: Path) -> None:
        failure = _run(notebook, partial, parameters, title, timeout)
        if not partial.stat().st_size:  # papermill gave up before its first save
            nbformat.write(source, partial)
        executed = read(partial)
        problem = _problem(executed, failure, timeout)
        if problem is None:
            nbformat.write(_without_noise(executed), partial)
            return
        cell, what = problem
        number, where = _place(executed, cell)
        nbformat.write(_without_noise(executed), partial)
        partial.replace(failed)
        message = f"{notebook.name}, {where}: {what}\nWhat ran is kept in {failed}"
        raise NotebookError(message, notebook, number, failed) from failure

    try:
        write_file(output, run)
    except StoreError as error:
        _say(f"{title}: failed")
        raise NotebookError(f"{notebook.name}: cannot write {output}: {error}", notebook) from error
    except NotebookError:
        _say(f"{title}: failed after {time.monotonic() - started:.1f} s")
        raise
    failed.unlink(missing_ok=True)
    _say(f"{title}: {total} cells in {time.monotonic() - started:.1f} s")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _run(
    notebook: Path, partial: Path, parameters: Mapping[str, object], title: str, timeout: float | None
) -> Exception | None:
    """Let papermill run the notebook into ``partial``; what it raised, if it is about the notebook."""

    def verbatim(path: Path) -> str:
        return str(path).replace("{", "{{").replace("}", "}}")  # papermill formats paths

    with tempfile.TemporaryDirectory(prefix="swatchbook-kernel-") as folder:
        connection = {"connection_file": str(Path(folder) / "kernel.json")}
        if os.name == "posix" and len(folder) < 80:
            # Sockets in a private folder: no port that another kernel takes first. Their names must be short.
            connection["transport"] = "ipc"
        try:
            papermill.execute_notebook(
                verbatim(notebook),
                verbatim(partial),
                dict(parameters),
                kernel_name="python3",
                language="python",
                progress_bar={"desc": title, "leave": False} if sys.stderr.isatty() else False,
                execution_timeout=timeout,
                kernel_manager_class=_ThisPython,
                config=Config(KernelManager=connection),
                # What the kernel itself logs (an interrupt while it shuts down) is no news of the notebook.
                extra_arguments=[f"--ipython-dir={folder}", "--log-level=50"],
                resources={"metadata": {"path": str(notebook.parent)}},
                record_timing=False,
            )
        except CellTimeoutError as error:  # it is an OSError too
            return error
        except OSError:
            raise
        except Exception as error:
            return error
    return None


def _problem(
    executed: NotebookNode, failure: Exception | None, timeout: float | None
) -> tuple[NotebookNode | None, str] | None:
    """The cell that is to blame, and what happened there; None if the notebook ran to its end."""
    if failure is not None:
        begun = [cell for cell in executed.cells if cell.metadata.get("papermill", {}).get("start_time")]
        return begun[-1] if begun else None, _explain(failure, timeout)
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                what = f"{output.ename}: {output.evalue}".rstrip(": ")
                return cell, f"{what}; a notebook ends with its last cell"
        if is_code(cell) and cell.execution_count is None:
            return cell, "was never executed"
    return None


def _explain(failure: Exception, timeout: float | None) -> str:
    if isinstance(failure, PapermillExecutionError):
        return f"{failure.ename}: {failure.evalue}"
    if isinstance(failure, DeadKernelError):
        return "the kernel died (it was killed, ran out of memory, or crashed)"
    if isinstance(failure, CellTimeoutError):
        return f"no end after {timeout:g} s"
    return f"{type(failure).__name__}: {failure}"


def _place(executed: NotebookNode, cell: NotebookNode | None) -> tuple[int | None, str]:
    """The cell's number in the source, and words that find it: the heading above it and its first line."""
    if cell is None:
        return None, "before its first cell"
    number, heading = 0, ""
    for each in executed.cells:
        # Cells that papermill puts in are not in the source.
        number += not {"injected-parameters", "papermill-error-cell-tag"} & set(tags_of(each))
        if each is cell:
            break
        if each.cell_type == "markdown" and (lines := re.findall(r"^#+ +(.+?)\s*$", each.source, re.M)):
            heading = lines[-1]
    first = next((line for line in cell.source.splitlines() if line.strip()), "")
    under = f", under {heading!r}" if heading else ""
    return number, f"cell {number}{under}, `{first.strip()}`"


def _without_noise(executed: NotebookNode) -> NotebookNode:
    """The same notebook without papermill's times, random identifiers, scripts and outputs in pieces."""
    executed.metadata.pop("papermill", None)
    for cell in executed.cells:
        cell.metadata.pop("papermill", None)
        if "injected-parameters" in tags_of(cell):
            cell.id = "injected-parameters"
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
            for data in (output.data for output in cell.outputs if "data" in output):
                data.pop("application/javascript", None)
                data.update({kind: _inactive(data[kind]) for kind in _MARKUP if kind in data})
    return executed


def _inactive(markup: str) -> str:
    """HTML or SVG without what a browser would run; as it is where it has none of that."""
    if not _ACTIVE.search(markup):
        return markup
    soup = BeautifulSoup(markup, "html.parser")
    for tag in soup.find_all(["script", "iframe", "object", "embed"]):
        tag.decompose()
    for tag in soup.find_all(True):
        for name, value in list(tag.attrs.items()):
            if name.lower().startswith("on") or re.match(r"\s*javascript:", str(value), re.IGNORECASE):
                del tag.attrs[name]
    return str(soup)


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    # Nbclient's own joining takes quadratic time in the length of a line.
    joined: list[NotebookNode] = []
    for output in outputs:
        if joined and output.output_type == "stream" and output.get("name") == joined[-1].get("name"):
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined
