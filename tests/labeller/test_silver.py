import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from swatchbook.labeller.silver import abstention_table, confidences, coverage_table, silver_table
from swatchbook.schema import Attribute, Schema

COLOR = Attribute("color", {"red": "red", "blue": "blue"}, ("a {} thing",), "zero_shot", 0.7, "ours")
CLOTH = Attribute("cloth", {"wool": "wool", "silk": "silk"}, ("{}",), "folder", None, "ours")
SMALL = Schema("small", (CLOTH, COLOR), "rule", {"tweed": "wool", "satin": "silk", "mesh": None})
FOLDERS = ["tweed", "satin", "mesh", "tweed"]


@pytest.fixture
def cosines() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "cloth:wool": [0.1, 0.1, 0.2, np.nan],
            "cloth:silk": [0.0, 0.3, 0.2, np.nan],
            "color:red": [0.30, 0.200, 0.10, np.nan],
            "color:blue": [0.29, 0.195, 0.15, np.nan],
        },
        index=["a", "b", "c", "d"],
    )


def listed(labels: pd.Series) -> list[str | None]:
    return labels.astype(object).where(labels.notna(), None).tolist()


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_confidence_is_a_softmax_of_a_hundred_cosines(cosines):
    sure = confidences(cosines, COLOR)
    expected = [[sigmoid(1), sigmoid(-1)], [sigmoid(0.5), sigmoid(-0.5)], [sigmoid(-5), sigmoid(5)]]
    np.testing.assert_allclose(sure[:3], expected, rtol=1e-12)
    assert np.isnan(sure[3]).all()


def test_a_label_needs_the_threshold(cosines):
    silver = silver_table(cosines, SMALL, FOLDERS)
    assert listed(silver["color"]) == ["red", None, "blue", None]
    np.testing.assert_allclose(
        silver["color_confidence"], [sigmoid(1), sigmoid(0.5), sigmoid(5), np.nan], rtol=1e-12
    )
    assert list(silver.index) == ["a", "b", "c", "d"]


def test_a_confidence_equal_to_the_threshold_is_kept(cosines):
    exact = confidences(cosines, COLOR)[1, 0]
    assert silver_table(cosines, SMALL, FOLDERS, thresholds={"color": exact})["color"]["b"] == "red"
    above = np.nextafter(exact, 1)
    assert silver_table(cosines, SMALL, FOLDERS, thresholds={"color": above})["color"].isna()["b"]


def test_the_scale_changes_confidence_and_never_the_choice(cosines):
    thresholds = {"color": 0.0}
    cold = silver_table(cosines, SMALL, FOLDERS, logit_scale=100, thresholds=thresholds)
    warm = silver_table(cosines, SMALL, FOLDERS, logit_scale=10, thresholds=thresholds)
    assert cold["color"].equals(warm["color"])
    assert warm["color_confidence"]["a"] == pytest.approx(sigmoid(0.1), rel=1e-12)


def test_a_rule_labels_by_folder_and_orphans_have_no_class(cosines):
    silver = silver_table(cosines, SMALL, FOLDERS)
    assert listed(silver["cloth"]) == ["wool", "silk", None, "wool"]
    assert silver["cloth_confidence"].isna().all()


def test_without_folders_cosines_label_everything(cosines):
    silver = silver_table(cosines, SMALL)
    assert listed(silver["cloth"])[:2] == ["wool", "silk"]
    assert silver["cloth_confidence"]["c"] == 0.5
    assert pd.isna(silver["cloth"]["d"])


def test_labels_fit_the_schema(cosines):
    codes = SMALL.encode(silver_table(cosines, SMALL, FOLDERS))
    assert codes["color"].tolist() == [0, -1, 1, -1]


def test_bad_arguments_are_refused(cosines):
    with pytest.raises(ValueError, match=r"folder 'felt' is not in the rule 'rule'; allowed: tweed"):
        silver_table(cosines, SMALL, ["tweed", "felt", "mesh", "mesh"])
    with pytest.raises(ValueError, match=r"received 2 for 4"):
        silver_table(cosines, SMALL, ["tweed", "mesh"])
    with pytest.raises(ValueError, match=r"'cloth' is not labelled by confidence; allowed: color"):
        silver_table(cosines, SMALL, FOLDERS, thresholds={"cloth": 0.5})
    with pytest.raises(ValueError, match=r"color is 1.5; from 0 to 1"):
        silver_table(cosines, SMALL, FOLDERS, thresholds={"color": 1.5})
    with pytest.raises(ValueError, match=r"logit_scale .* must be a number above 0; received 0"):
        silver_table(cosines, SMALL, FOLDERS, logit_scale=0)
    with pytest.raises(ValueError, match=r"no column 'color:blue'"):
        silver_table(cosines.drop(columns="color:blue"), SMALL, FOLDERS)


def rows(table: pd.DataFrame, **where: str) -> pd.DataFrame:
    for column, value in where.items():
        table = table[table[column] == value]
    return table


def test_coverage_counts_by_hand(cosines):
    silver = silver_table(cosines, SMALL, FOLDERS)
    table = coverage_table(silver, SMALL)
    whole = rows(table, attribute="color", metric="coverage").iloc[0]
    assert (whole["value"], whole["n"]) == (0.5, 4)
    # Wilson (1927) for 2 of 4 at 95 %: (p + z²/2n ± z·√(pq/n + z²/4n²)) / (1 + z²/n)
    z2 = 1.959963984540054**2
    half = math.sqrt(z2 * (0.25 / 4 + z2 / 64))
    assert whole["low"] == pytest.approx((0.5 + z2 / 8 - half) / (1 + z2 / 4), rel=1e-9)
    assert whole["high"] == pytest.approx((0.5 + z2 / 8 + half) / (1 + z2 / 4), rel=1e-9)
    assert rows(table, attribute="color", metric="share")["value"].tolist() == [0.5, 0.5]
    mean = rows(table, attribute="color", metric="confidence", **{"class": "all"}).iloc[0]
    assert mean["value"] == pytest.approx((sigmoid(1) + sigmoid(5)) / 2, rel=1e-12)
    assert mean["n"] == 2
    cloth = rows(table, attribute="cloth", metric="confidence")
    assert cloth["value"].isna().all() and (cloth["n"] == 0).all()


def test_coverage_of_a_true_class_counts_its_own_images(cosines):
    silver = silver_table(cosines, SMALL, FOLDERS)
    truth = pd.DataFrame({"cloth": ["wool", "silk", None, "wool"], "color": ["red", "red", "red", None]})
    table = rows(coverage_table(silver, SMALL, truth), metric="coverage_of_class", attribute="color")
    assert table["value"].iloc[0] == pytest.approx(2 / 3)
    assert table["n"].tolist() == [3, 0]
    assert np.isnan(table["value"].iloc[1])


def test_tables_name_every_class_in_order_even_if_absent(schema):
    empty = pd.DataFrame({a.name: [None, None] for a in schema})
    for a in schema:
        empty[f"{a.name}_confidence"] = [0.1, 0.2]
    table = coverage_table(empty, schema)
    for a in schema:
        assert tuple(rows(table, attribute=a.name, metric="share")["class"]) == a.classes
    assert rows(table, metric="coverage")["value"].eq(0).all()
    assert rows(table, metric="share")["value"].isna().all()


def test_abstention_differs_by_folder_where_it_does():
    hidden = [True] * 30 + [False] * 70 + [True] * 2 + [False] * 98
    folders = ["satin"] * 100 + ["tweed"] * 100
    silver = pd.DataFrame(
        {
            "cloth": "wool",
            "cloth_confidence": np.nan,
            "color": [None if h else "red" for h in hidden],
            "color_confidence": 0.5,
        }
    )
    table = abstention_table(silver, SMALL, folders)
    assert table["attribute"].unique().tolist() == ["color"], "a rule does not abstain for want of confidence"
    assert table["folder"].tolist() == ["all", "tweed", "satin"], "folders in the schema's order"
    assert table["value"].tolist() == [0.16, 0.02, 0.30]
    assert table["n"].tolist() == [200, 100, 100]
    # Fisher's exact test of [[30, 70], [2, 98]], hypergeometric by hand, doubled by Holm over two folders.
    total = math.comb(200, 32)
    chance = [math.comb(100, k) * math.comb(100, 32 - k) / total for k in range(33)]
    exact = sum(c for c in chance if c <= chance[30] * (1 + 1e-7))
    np.testing.assert_allclose(table["p"].iloc[1:], 2 * exact, rtol=1e-6)


def test_equal_abstention_is_no_bias():
    silver = pd.DataFrame({"color": [None, "red"] * 20, "color_confidence": 0.5})
    only = Schema("only", (COLOR,))
    table = abstention_table(silver, only, ["b", "b", "a", "a"] * 10)
    assert table["folder"].tolist() == ["all", "a", "b"]
    assert table["p"].iloc[1:].tolist() == [1.0, 1.0]


def test_silver_needs_no_torch():
    code = "import sys, swatchbook.labeller.silver; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent).returncode == 0
