"""Files with random damage are read or refused, a few of each kind; `benchmarks/fuzz.py` tries many."""

import sys

import pytest

from tests.conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))  # as for a script in that folder

import fuzz


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_a_damaged_file_is_read_or_refused_by_its_own_error(name):
    fuzz.attack(name, examples=60)


def test_an_error_that_is_not_its_own_is_found(monkeypatch):
    def broken(data: bytes) -> None:
        if b"\x00" in data:
            raise KeyError("a traceback")

    monkeypatch.setitem(fuzz.TARGETS, "images", (fuzz.TARGETS["images"][0], broken))
    with pytest.raises(KeyError, match="a traceback"):
        fuzz.attack("images", examples=60)
