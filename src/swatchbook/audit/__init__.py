"""An audit: a person judges a sample of a run's photographs, blind to the machine's labels.

    >>> from swatchbook import audit
    >>> run = audit.open_run("runs/folder")  # doctest: +SKIP
    >>> audit.draw(run, n=210, repeats=20)  # doctest: +SKIP
    >>> audit.write_page(run, "audit.html")  # doctest: +SKIP
    >>> audit.import_files(["answers-anna.csv"], run)  # doctest: +SKIP

`steps` and `importing` are its steps, `columns` says what its files hold, `page` and `widget` are where a
person judges, `exchange` is for other tools; `designs` and `planner` choose what to ask, `annotators` and
`certification` say what follows from the answers.
"""

from importlib import import_module

_HOMES = {
    "AuditJudge": "widget",
    "check_file": "importing",
    "draw": "steps",
    "export": "steps",
    "import_files": "importing",
    "open_run": "run",
    "plan": "steps",
    "write_page": "steps",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    # Nobody who reads a sheet should wait for scipy or a widget.
    if name in _HOMES:
        return getattr(import_module(f"swatchbook.audit.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'swatchbook.audit' has no attribute {name!r}")
