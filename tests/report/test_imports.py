"""What the room loads: no torch ever, and nothing that draws before a figure is drawn."""

import subprocess
import sys

CODE = """
import sys
from importlib import import_module
from pkgutil import iter_modules

import swatchbook.report as room

def loaded(*names):
    return sorted(m for m in sys.modules if m in names or m.startswith(tuple(f"{n}." for n in names)))

plain = ("display", "recipes", "pictures", "chapters", "page")
for name in plain:
    import_module(f"swatchbook.report.{name}")
print(loaded("matplotlib", "seaborn", "scipy", "torch"))
names = [module.name for module in iter_modules(room.__path__)]
assert set(plain) < set(names)
for name in names:
    import_module(f"swatchbook.report.{name}")
for name in ("confidence", "history", "grids"):
    import_module(f"swatchbook.evaluation.{name}")
print(loaded("seaborn", "torch", "swatchbook.models", "swatchbook.labeller", "swatchbook.audit"))
"""


def test_tables_load_nothing_that_draws_and_figures_no_torch():
    done = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[]", "[]"]
