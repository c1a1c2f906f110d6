"""What a stage's result depends on: content is hashed without imports, and nothing can be forgotten."""

import ast
import subprocess
import sys
from functools import cache
from importlib import import_module

import pytest

from swatchbook.pipeline import content
from swatchbook.pipeline.content import GROUND, PACKAGE, content_hash
from swatchbook.pipeline.settings import configure
from swatchbook.pipeline.stage import Stage
from swatchbook.studies import PROFILES, spec_of
from tests.conftest import ROOT


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "rooms" / "__pycache__").mkdir(parents=True)
    for name in ("rooms/a.py", "rooms/page.css", "rooms/names.yaml", "rooms/__pycache__/a.pyc", "other.py"):
        (tmp_path / name).write_text("1")
    monkeypatch.setattr(content, "PACKAGE", tmp_path)
    content_hash.cache_clear()
    yield tmp_path
    content_hash.cache_clear()


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("rooms/a.py", True),
        ("rooms/page.css", True),
        ("rooms/names.yaml", True),
        ("rooms/new.jinja", True),
        ("rooms/__pycache__/a.pyc", False),
        ("other.py", False),
    ],
)
def test_code_templates_styles_and_yaml_count_as_content(package, file, changes):
    before = content_hash("rooms")
    (package / file).write_text("2")
    content_hash.cache_clear()
    assert (content_hash("rooms") != before) == changes


def test_a_place_that_is_not_there_is_named(package):
    with pytest.raises(FileNotFoundError, match="'romms' is no file or folder"):
        content_hash("romms")


def test_hashing_the_code_of_every_stage_imports_nothing_that_computes():
    code = (
        "import sys; from swatchbook.studies.study import Study\n"
        "for profile in ('demo', 'published', 'labeller', 'challenge', 'retrieval', 'landmarks'):\n"
        "    [stage.code_hash() for stage in Study.open(profile, '/nowhere').stages]\n"
        "heavy = {'torch', 'matplotlib', 'seaborn', 'scipy.stats', 'sklearn', 'PIL', 'open_clip'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


# ---- nothing can be forgotten ------------------------------------------------------------------------


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(file_of(module).read_text(encoding="utf-8"))


def file_of(module: str):
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def is_module(name: str) -> bool:
    return name.startswith("swatchbook") and file_of(name).is_file()


def imports_in(node: ast.AST) -> dict[str, str]:
    """Name → module of the package that it comes from, for the imports below a node."""
    found = {}
    for each in ast.walk(node):
        if isinstance(each, ast.ImportFrom) and each.module and each.module.startswith("swatchbook"):
            for alias in each.names:
                inner = f"{each.module}.{alias.name}"
                found[alias.asname or alias.name] = inner if is_module(inner) else each.module
    return found


@cache
def closure(module: str) -> frozenset[str]:
    """A module and all that it imports, type-checking imports left out."""
    seen, queue = set(), [module]
    while queue:
        current = queue.pop()
        if current not in seen:
            seen.add(current)
            queue += imports_in(without_type_checking(tree(current))).values()
    return frozenset(seen)


def without_type_checking(module: ast.Module) -> ast.Module:
    kept = [n for n in module.body if not (isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test))]
    return ast.Module(kept, [])


@cache
def used_by(reference: str) -> frozenset[str]:
    """Modules that a function rests on: by the names in it and in helpers beside it, and by its own imports.

    Functions of other studies' modules are followed one by one, those of other rooms by whole modules.
    """
    module, _, name = reference.partition(":")
    top = without_type_checking(tree(module))
    beside = {n.name: n for n in top.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    for node in top.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                beside |= {n.id: node for n in ast.walk(target) if isinstance(n, ast.Name)}
    imported = imports_in(ast.Module([n for n in top.body if isinstance(n, ast.ImportFrom)], []))
    seen, queue, modules = set(), [name], set()
    while queue:
        current = queue.pop()
        if current in seen:
            continue
        seen.add(current)
        if current in beside:
            modules |= set(imports_in(beside[current]).values())
            queue += [n.id for n in ast.walk(beside[current]) if isinstance(n, ast.Name)]
        elif current in imported:
            home = imported[current]
            modules |= (
                used_by(f"{home}:{current}") | {home} if home.startswith("swatchbook.studies.") else {home}
            )
    followed = (closure(each) if not each.startswith("swatchbook.studies.") else {each} for each in modules)
    return frozenset(found for some in followed for found in some)


def stages() -> list:
    found = []
    for profile in PROFILES:
        spec = spec_of(profile)
        changes = [{}, {"labelling.audit": "a.csv"}] if profile in ("paper", "folder") else [{}]
        changes += [{"train": True, "labelling.audit": "a.csv"}] if profile == "folder" else []
        changes += [{"source": "x", "labelling.audit": "a.csv"}] if profile == "labeller" else []
        for change in changes:
            for stage in spec.stages(configure(spec, profile, change)):
                found.append(pytest.param(stage, id=f"{profile}-{stage.name}{'-'.join(['', *change])}"))
        words = Stage("words", (), spec.report, code=("pipeline", "report", *spec.report_code))
        found.append(pytest.param(words, id=f"{profile}-words of the report"))
    return found


@pytest.mark.parametrize("stage", stages())
def test_a_stage_declares_all_code_that_its_function_rests_on(stage):
    references = [stage.compute, *([stage.outside] if stage.outside else [])]
    references += [stage.arguments["drawer"]] if "drawer" in stage.arguments else []
    own = {reference.partition(":")[0] for reference in (stage.compute,)}
    rests_on = {module for reference in references for module in used_by(reference)} - own
    rests_on |= {reference.partition(":")[0] for reference in references} - own
    allowed = {*stage.code, *GROUND, "pipeline", "memory.py", "__init__.py"}

    def declared(module: str) -> bool:
        path = file_of(module).relative_to(PACKAGE).as_posix()
        docstring_only = path.endswith("__init__.py") and len(tree(module).body) <= 1
        return docstring_only or any(path == place or path.startswith(f"{place}/") for place in allowed)

    assert sorted(module for module in rests_on if not declared(module)) == []


@pytest.mark.parametrize("stage", stages())
def test_a_stage_names_functions_that_exist(stage):
    for reference in (stage.compute, stage.outside, stage.arguments.get("drawer")):
        if reference:
            module, _, name = reference.partition(":")
            assert callable(getattr(import_module(module), name))
