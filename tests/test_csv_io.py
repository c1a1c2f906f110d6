"""No text of a table is a formula to a spreadsheet, and every text comes back as it was."""

import csv
import io
import re

import numpy as np
import pandas as pd
import pytest

from swatchbook.csv_io import guard, unguard, unguarded, write_csv
from swatchbook.store import Store

RISKY = [
    "=1",
    "+1",
    "-1",
    "@x",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1",
    "＋1",
    "－1",
    "＠x",
    "a\n=1",
    "a\r\n@x",
    "\n\n-1",
]
OTHERS = ["'=1", "''@", "'plain", "", "a=1", "'", "é-", "'\n=1", "a\n'=1", "a\n\nb", "'\r", "x '=1"]
SIGNS = "=+-@\t＝＋－＠'\r\na1"


def is_formula(cell: str) -> bool:
    return bool(re.match(r"[\r\n]", cell) or re.search(r"(?:\A|[\r\n])[=+\-@\t＝＋－＠]", cell))


@pytest.mark.parametrize("text", RISKY)
def test_a_formula_is_guarded_at_the_start_of_every_line(text):
    assert is_formula(text) and not is_formula(guard(text))
    assert unguard(guard(text)) == text


@pytest.mark.parametrize("text", OTHERS)
def test_other_texts_come_back_too(text):
    assert unguard(guard(text)) == text


def test_a_text_that_is_no_formula_is_left_alone():
    for text in ("a=1", "'plain", "", "é-", "a\n\nb", "two\nlines", "x '=1"):
        assert guard(text) == unguard(text) == text


def test_random_texts_of_signs_come_back_and_are_no_formulas(rng):
    for _ in range(20_000):
        text = "".join(rng.choice(list(SIGNS), rng.integers(0, 7)))
        assert unguard(guard(text)) == text
        assert not is_formula(guard(text))


def test_names_classes_labels_and_notes_of_a_table_are_guarded_and_read_as_they_were(tmp_path):
    table = pd.DataFrame(
        {"class": ["=1+1", "red", None], "＝x": ["@a", "+13.2", "+13.2+1"], "value": [0.5, -2, np.nan]}
    )
    Store(tmp_path).write_table("t.csv", table)
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        cells = list(csv.reader(file))
    assert cells == [
        ["class", "'＝x", "value"],
        ["'=1+1", "'@a", "0.5"],
        ["red", "+13.2", "-2"],  # a number is one to a spreadsheet too
        ["", "'+13.2+1", ""],
    ]
    back = Store(tmp_path).read_table("t.csv")
    pd.testing.assert_frame_equal(back, table)


def test_a_lone_carriage_return_does_not_end_a_line():
    out = io.StringIO(newline="")
    table = pd.DataFrame({"note": ["lone\rreturn", "=a\r\nb"], "n": [1, 2]})
    write_csv(table, out)
    rows = list(csv.reader(io.StringIO(out.getvalue(), newline="")))
    assert rows == [["note", "n"], ["lone\rreturn", "1"], ["'=a\r\nb", "2"]]
    back = unguarded(pd.DataFrame(rows[1:], columns=rows[0]))
    assert back["note"].tolist() == table["note"].tolist()
