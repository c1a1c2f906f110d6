"""A notebook's source: which there are, and what parameters each takes."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

NUMBERED = "[0-9][0-9]_*.ipynb"
TEMPLATE = 0


def discover(folder: Path, numbers: Iterable[int | str] | None = None) -> list[Path]:
    """The numbered notebooks of a folder, in order.

    Args:
        folder: Where ``NN_name.ipynb`` files lie.
        numbers: Which to take, such as 2 or ``02``; all but the template (00) by default.

    Returns:
        Paths sorted by name.

    Raises:
        ValueError: If the folder holds no numbered notebook, or none with a number asked for.
    """
    found = [path for path in sorted(Path(folder).glob(NUMBERED)) if path.is_file()]
    if not found:
        raise ValueError(f"folder {str(folder)!r} holds no notebook named NN_name.ipynb")
    number = {path: int(path.name[:2]) for path in found}
    if numbers is None:
        return [path for path in found if number[path] != TEMPLATE]
    wanted = [int(n) for n in numbers]
    absent = [n for n in wanted if n not in number.values()]
    if absent:
        allowed = ", ".join(str(n) for n in sorted(set(number.values())))
        raise ValueError(f"numbers: there is no notebook {absent[0]!r} in {folder}; allowed: {allowed}")
    return [path for path in found if number[path] in wanted]


def parameters_of(notebook: Path) -> dict[str, object]:
    """The parameters a notebook takes, with their defaults.

    Args:
        notebook: A notebook with exactly one cell tagged ``parameters``, which holds nothing but
            assignments of literals to names.

    Returns:
        Name → default, in the order of the cell.

    Raises:
        ValueError: If the file is no notebook or its parameters cell is not as above.
    """
    return declared_in(read(Path(notebook)), Path(notebook))


def needs_of(notebook: Path) -> dict[str, list[str]]:
    """The results and figures that a notebook shows, as its metadata declares them.

    Returns:
        ``results`` and ``figures``, each a list of names; both empty where it declares none.

    Raises:
        ValueError: If the declaration is anything else.
    """
    content = json.loads(Path(notebook).read_text(encoding="utf-8"))  # nbformat takes a second to import
    declared = content["metadata"].get("swatchbook", {})
    needs = {key: declared.get(key, []) for key in ("results", "figures")}
    lists = all(isinstance(each, list) and all(isinstance(n, str) for n in each) for each in needs.values())
    if set(declared) - {*needs, "summary"} or not lists or not isinstance(declared.get("summary", ""), str):
        raise ValueError(
            f"{Path(notebook).name}: metadata 'swatchbook' is {dict(declared)!r}; allowed: lists of "
            "names under 'results' and 'figures', and a sentence under 'summary'"
        )
    return needs


def read(path: Path) -> NotebookNode:
    """A notebook file in format 4.

    Raises:
        ValueError: If it does not exist or is no notebook.
    """
    if not path.is_file():
        raise ValueError(f"notebook {str(path)!r} does not exist")
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises anything from KeyError to its own NotJSONError
        raise ValueError(f"notebook {str(path)!r} cannot be read: {str(error)[:200]}") from error


def is_code(cell: NotebookNode) -> bool:
    """Whether a cell has code to run."""
    return cell.cell_type == "code" and bool(cell.source.strip())


def tags_of(cell: NotebookNode) -> list[str]:
    """A cell's tags."""
    return cell.metadata.get("tags", [])


def declared_in(source: NotebookNode, notebook: Path) -> dict[str, object]:
    """Name → default; read by Python's own parser, for papermill's regular expressions skip some lines."""
    cells = [cell for cell in source.cells if "parameters" in tags_of(cell)]
    if len(cells) != 1:
        raise ValueError(
            f"{notebook.name}: {len(cells)} cells are tagged 'parameters'; exactly one is needed"
        )
    try:
        statements = ast.parse(cells[0].source).body
    except SyntaxError as error:
        raise ValueError(f"{notebook.name}: the parameters cell is not plain Python: {error}") from error
    declared: dict[str, object] = {}
    for statement in statements:
        try:
            name, default = _assignment(statement)
        except (ValueError, TypeError):
            raise ValueError(
                f"{notebook.name}: the parameters cell may hold only NAME = literal; "
                f"received {ast.unparse(statement)!r}"
            ) from None
        declared[name] = default
    return declared


def _assignment(statement: ast.stmt) -> tuple[str, object]:
    """Name and value of ``NAME = literal`` or ``NAME: type = literal``; ValueError for anything else."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target = statement.target
    else:
        raise ValueError("no plain assignment")
    if not isinstance(target, ast.Name):
        raise ValueError("no plain name")
    return target.id, ast.literal_eval(statement.value)


def check_given(parameters: Mapping[str, object], declared: Mapping[str, object], notebook: Path) -> None:
    """Refuse parameters that the notebook does not declare or that are no literals.

    Raises:
        ValueError: If there is one; names it and what is allowed.
    """
    for name, value in parameters.items():
        if name not in declared:
            allowed = ", ".join(declared) or "none"
            raise ValueError(f"{notebook.name}: parameter {name!r} is unknown; allowed: {allowed}")
        if not _literal(value):
            raise ValueError(
                f"{notebook.name}: parameter {name!r} is {value!r} ({type(value).__name__}); allowed: None, "
                "booleans, numbers, strings, and lists and string-keyed dicts of these"
            )


def _literal(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_literal, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(_literal, value.values()))
    return value is None or isinstance(value, bool | int | float | str)
