"""Every notebook keeps the habits of the house; found by glob, so that a new one is held to them too."""

import ast
import json
import re
import statistics

import pytest

from swatchbook.pipeline.notebook_source import needs_of
from swatchbook.studies import PROFILES, spec_of
from swatchbook.studies.study import Study
from tests.conftest import ROOT

SPECS = list({spec_of(name).name: spec_of(name) for name in PROFILES}.values())
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

    def test_it_declares_the_results_and_figures_that_it_asks_for(self, path):
        source, needs = "\n".join(code_of(path)), needs_of(path)
        results = {name for spec in SPECS for name in spec.results}
        asked = set(re.findall(r"\bstudy\.(\w+)", source))
        assert all(name in results or hasattr(Study, name) or name == "config" for name in asked)
        claims = {"claims"} if "study.say(" in source else set()
        assert set(needs["results"]) == (asked & results) | claims
        assert set(needs["figures"]) == set(re.findall(r"study\.show\(\"(\w+)\"", source))

    def test_text_cells_read_no_result_off_the_page(self, path):
        """A result with three decimals belongs in a table; quoted printed numbers stand in the introduction."""
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        for cell in cells[1:]:
            if cell["cell_type"] == "markdown":
                assert not re.search(r"\b0\.\d{3}\b", "".join(cell["source"])), cell["source"]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_results_of_a_study_are_documented_and_hide_no_attribute_of_the_run(spec):
    assert spec.results and all(words.endswith(".") for _, words in spec.results.values())
    assert not [name for name in spec.results if hasattr(Study, name)]
