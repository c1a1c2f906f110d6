"""Every notebook keeps the habits of the house; found by glob, so that a new one is held to them too."""

import ast
import json
import re
import statistics

import pytest

from swatchbook.pipeline.study import Result, Study
from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def code_of(path) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]


def test_there_are_notebooks():
    assert {p.stem[:2] for p in NOTEBOOKS} >= {"00", "02", "04", "05"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
class TestHabits:
    def test_sources_carry_no_outputs(self, path):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            assert not cell.get("outputs") and cell.get("execution_count") is None

    def test_cells_are_few_and_small_and_define_nothing_large(self, path):
        sources = code_of(path)
        lengths = [s.count("\n") + 1 for s in sources]
        assert len(sources) <= 30 and statistics.median(lengths) <= 8 and max(lengths) <= 25
        for source in sources:
            for node in ast.walk(ast.parse(source)):
                assert not isinstance(node, ast.ClassDef)
                if isinstance(node, ast.FunctionDef):
                    assert node.end_lineno - node.lineno < 5

    def test_one_cell_of_parameters_holds_literals_only(self, path):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        tagged = [c for c in cells if "parameters" in c["metadata"].get("tags", [])]
        assert len(tagged) == 1
        for statement in ast.parse("".join(tagged[0]["source"])).body:
            assert isinstance(statement, ast.AnnAssign)
            ast.literal_eval(statement.value)

    def test_it_asks_only_for_results_that_exist(self, path):
        for name in re.findall(r"\bstudy\.(\w+)", "\n".join(code_of(path))):
            assert hasattr(Study, name) or name == "config", name

    def test_text_cells_read_no_result_off_the_page(self, path):
        """A result with three decimals belongs in a table; quoted printed numbers stand in the introduction."""
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        for cell in cells[1:]:
            if cell["cell_type"] == "markdown":
                assert not re.search(r"\b0\.\d{3}\b", "".join(cell["source"])), cell["source"]


def test_results_of_the_study_are_documented():
    results = [r for r in vars(Study).values() if isinstance(r, Result)]
    assert len(results) > 15 and all(r.__doc__ and r.__doc__.endswith(".") for r in results)
