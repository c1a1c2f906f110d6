"""What a report says first: sentences whose numbers are those of the tables, and none where there is no estimate."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from swatchbook.evaluation.known import KNOWN
from swatchbook.pipeline.notebook_source import needs_of
from swatchbook.studies.attributes import findings as attributes
from swatchbook.studies.labeller.report import findings as of_labeller
from tests.conftest import ROOT


def rows(columns: str, *lines: tuple) -> pd.DataFrame:
    return pd.DataFrame(lines, columns=columns.split())


def plain(sentence: str) -> str:
    """A sentence without its Markdown."""
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", sentence.replace("**", "").replace("\u00a0", " "))


TRUTH = rows(
    "model head class estimator statistic value low high n",
    ("silver", "color", "all", "post_stratified", "accuracy", 0.9, 0.85, 0.95, 210),
    ("silver", "texture", "all", "post_stratified", "accuracy", np.nan, np.nan, np.nan, 0),
    ("m", "color", "all", "post_stratified", "macro_f1", 0.8, 0.7, 0.85, 210),
    ("m", "color", "all", "silver", "macro_f1", 0.82, 0.81, 0.83, 900),
    ("m", "pattern", "all", "post_stratified", "macro_f1", 0.6, 0.5, 0.7, 210),
    ("m", "pattern", "all", "silver", "macro_f1", 0.75, 0.74, 0.76, 900),
    ("m", "pattern", "all", "bound", "accuracy", np.nan, 0.5, 0.9, 210),
    ("m", "color", "all", "bound", "accuracy", np.nan, 0.7, 0.8, 210),
)
COMPARISON = rows(
    "reference head class statistic value low high n",
    ("silver", "color", "all", "delta_macro_f1", 0.05, 0.04, 0.06, 900),
    ("silver", "pattern", "all", "delta_macro_f1", -0.02, -0.03, -0.01, 900),
    ("silver", "mean", "all", "delta_macro_f1", 0.015, 0.01, 0.02, 900),
    ("silver", "all", "all", "classes_won", 20, np.nan, np.nan, 29),
    ("silver", "all", "all", "classes_proved", 11, np.nan, np.nan, 29),
    ("audit", "mean", "all", "delta_macro_f1", 0.9, 0.8, 1.0, 210),
)
COUPLING = rows(
    "model a b rows statistic value low high n verdict",
    ("m", "color", "pattern", "identical", "delta_v_corrected", -0.05, -0.07, -0.03, 900, "outside"),
    ("m", "color", "texture", "identical", "delta_v_corrected", 0.04, 0.03, 0.05, 900, "outside"),
    ("m", "all", "all", "identical", "delta_v_corrected", -0.005, -0.01, 0.0, 900, "equivalent"),
    ("m", "color", "pattern", "identical", "excess", 0.1, 0.05, 0.15, 900, ""),
    ("m", "color", "texture", "identical", "excess", 0.01, -0.01, 0.03, 900, ""),
    ("other", "color", "texture", "identical", "excess", 0.9, 0.8, 1.0, 900, ""),
)


def test_labels_models_and_bounds_are_told_with_who_judged():
    assert plain(attributes.labels_right(TRUTH, "simulated auditor")) == (
        "Silver labels are right in 90.0 % [85.0, 95.0] of color, by the 210 images that the simulated auditor "
        "judged (the audit)."
    )
    told = plain(attributes.agreement(TRUTH, "m", "human auditor"))
    assert "macro-F1 of m on pattern is 0.750 [0.740, 0.760] against silver labels" in told
    assert "0.600 [0.500, 0.700] against the human auditor; agreement alone" in told
    assert "leaves its accuracy anywhere from 0.50 to 0.90" in told and "known" not in told


def test_a_known_truth_stands_beside_what_the_auditor_gives():
    known = [
        ("silver", "color", "all", KNOWN, "accuracy", 0.93, np.nan, np.nan, 900),
        ("m", "pattern", "all", KNOWN, "macro_f1", 0.66, np.nan, np.nan, 900),
    ]
    table = pd.concat([TRUTH, pd.DataFrame(known, columns=TRUTH.columns)])
    told = plain(attributes.labels_right(table, "simulated auditor"))
    assert "90.0 % [85.0, 95.0] of color" in told and "judged; the known truth is 93.0 % (" in told
    assert "against the simulated auditor (known truth 0.660)" in plain(
        attributes.agreement(table, "m", "simulated auditor")
    )


def test_without_an_audit_a_model_stands_beside_answers_that_see_no_image():
    scores = rows(
        "model head class metric value low high n",
        ("m", "mean", "all", "macro_f1", 0.7, 0.6, 0.8, 900),
        ("majority", "mean", "all", "macro_f1", 0.1, 0.09, 0.11, 900),
        ("m", "color", "all", "macro_f1", 0.9, 0.8, 1.0, 900),
    )
    assert plain(attributes.baselines(scores, "m")) == (
        "Against silver labels the mean macro-F1 of m is 0.700 [0.600, 0.800], n = 900; without a look at the "
        "image: most frequent class 0.100 [0.090, 0.110]."
    )
    assert attributes.baselines(scores, "x") == ""


def test_gaps_and_coupling_take_their_own_rows_and_keep_their_signs():
    told = plain(attributes.gap(COMPARISON, "m", "b"))
    assert "+1.5 points [1.0, 2.0] of mean macro-F1" in told
    assert "from −2.0 points [−3.0, −1.0] on pattern to +5.0 points [4.0, 6.0] on color" in told
    assert "ahead on 20 of 29 classes, 11 of them proved" in told
    told = plain(attributes.coupled(COUPLING, "m", 0.03))
    assert "by −0.005 [−0.010, 0.000] on average and by −0.050 [−0.070, −0.030] on color × pattern" in told
    assert "margin of ±0.03 “outside”" in told and "go together in 1 of 2 pairs" in told


def test_known_truths_that_are_missed_and_printed_numbers_that_differ_are_counted():
    known = rows("what model head covered", ("true accuracy", "silver", "color", True))
    assert plain(attributes.known_truths(known, 0.9)).startswith("1 of 1 known truths lie")
    both = pd.concat([known, known.assign(covered=False)])
    told = plain(attributes.known_truths(both, 0.9))
    assert told.startswith("1 of 2") and "in 90 % of audits" in told
    assert told.endswith("missed: silver labels, color: true accuracy.")
    numbers = rows("verdict", ("reproduced",), ("reproduced",), ("differs",), ("not in the exports",))
    claims = rows("verdict", ("holds",), ("does not hold",), ("does not hold",))
    told = plain(attributes.printed(numbers, claims))
    assert told.startswith("2 of 3 printed numbers come out again")
    assert "Of 3 claims of the published study: 2 do not hold and 1 holds (each of them)." in told


def test_the_attribute_with_the_fewest_labels_is_named():
    coverage = rows(
        "attribute class metric value low high n",
        ("color", "all", "coverage", 0.9, 0.8, 0.95, 100),
        ("texture", "all", "coverage", 0.6, 0.5, 0.7, 100),
        ("texture", "sheer", "share", 0.1, 0.05, 0.2, 100),
    )
    assert "most on texture: 60.0 % [50.0, 70.0] of 100 images" in plain(attributes.least_labelled(coverage))


@pytest.mark.parametrize(
    "sentence",
    [
        lambda: attributes.labels_right(TRUTH[TRUTH["model"] == "x"], "j"),
        lambda: attributes.agreement(TRUTH, "x", "j"),
        lambda: attributes.gap(COMPARISON[COMPARISON["head"] != "mean"], "m", "b"),
        lambda: attributes.coupled(COUPLING, "x", 0.03),
    ],
)
def test_what_is_not_estimable_is_not_told(sentence):
    assert sentence() == ""


def test_a_labeller_is_told_set_by_set_and_the_absence_of_photographs_too():
    scores = rows(
        "images attribute class labels metric value low high n",
        ("drawn", "color", "all", "all labels", "accuracy", 0.9, 0.88, 0.92, 500),
        ("drawn", "texture", "all", "all labels", "accuracy", 0.7, 0.68, 0.72, 500),
        ("drawn", "color", "all", "all labels", "macro_f1_gain", 0.1, 0.05, 0.15, 500),
        ("drawn", "color", "all", "all labels", "ece", 0.02, 0.01, 0.03, 500),
        ("drawn", "texture", "all", "all labels", "ece", 0.2, 0.1, 0.3, 500),
        ("drawn", "texture", "all", "labels kept", "accuracy_gain", 0.05, 0.04, 0.06, 400),
        ("drawn", "texture", "all", "labels kept", "coverage", 0.8, 0.75, 0.85, 500),
        ("drawn", "texture", "sheer", "all labels", "f1", 0.1, 0.0, 0.2, 500),
    )
    told = [plain(sentence) for sentence in of_labeller(scores)]
    assert len(told) == 5
    assert "right in 90.0 % [88.0, 92.0] of color and 70.0 % [68.0, 72.0] of texture, n = 500" in told[0]
    assert "on drawn images by +10.0 points [5.0, 15.0] on color" in told[1]
    assert "on texture: calibration error 0.200 [0.100, 0.300]" in told[2]
    assert "the 80.0 % [75.0, 85.0] of labels that are kept differ by +5.0 points [4.0, 6.0]" in told[3]
    assert told[4].startswith("No photographs were given")
    both = [plain(s) for s in of_labeller(pd.concat([scores, scores.assign(images="photographs")]))]
    assert len(both) == 5
    assert both[0].startswith("On photographs") and both[1].startswith("On drawn images")
    assert all("photographs" in sentence for sentence in both[2:])


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_each_notebook_has_the_sentence_that_stands_beside_its_fold(path):
    import json

    needs_of(path)
    summary = json.loads(path.read_text(encoding="utf-8"))["metadata"]["swatchbook"]["summary"]
    assert summary.endswith(".") and 5 < len(summary.split()) < 25


def test_copies_in_two_splits_and_broken_files_are_told():
    tables = {
        "tables/duplicates.csv": pd.DataFrame({"image_id": ["a", "b"]}),
        "tables/copies_left_out.csv": pd.DataFrame({"image_id": ["a"], "split": ["train"]}),
        "tables/quarantine.csv": pd.DataFrame({"image_id": ["c"], "reason": ["empty: 0 bytes"]}),
    }
    trace = SimpleNamespace(table=tables.get, setting=lambda _: "drop")
    copies, broken = map(plain, attributes.facts_of_images(trace))
    assert (
        copies.startswith("2 pairs of copies lie in two splits")
        and "1 images were left out of train" in copies
    )
    assert broken.startswith("1 of the files could not be read and are left out, such as c (empty: 0 bytes)")
    assert attributes.facts_of_images(SimpleNamespace(table=lambda n: tables[n][:0], setting=str)) == []
