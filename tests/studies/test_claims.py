"""Printed numbers beside ours, and claims whose words follow the tables."""

import numpy as np
import pandas as pd
import pytest

from swatchbook.data.readers.published_files import printed_numbers
from swatchbook.studies.attributes.claims import claim_table
from swatchbook.studies.attributes.facts import fact_table, name_table
from swatchbook.studies.attributes.headline import headline_table
from swatchbook.studies.attributes.printed import number_table, with_printed

KEYS = dict.fromkeys(("model", "head", "class", "a", "b", "rows", "statistic", "where", "note"), "")


def printed(**row) -> pd.DataFrame:
    base = {**KEYS, "table": "scores", "model": "m", "head": "color", "class": "all", "statistic": "macro_f1"}
    return pd.DataFrame(
        [{**base, "value": 0.744, "text": "0.744", "tolerance": 0.0005, "where": "page", **row}]
    )


def scores(value: float) -> pd.DataFrame:
    row = {
        "model": "m",
        "head": "color",
        "class": "all",
        "metric": "macro_f1",
        "value": value,
        "low": 0.7,
        "high": 0.8,
        "n": 10,
        "interval": "x",
    }
    return pd.DataFrame([row, {**row, "metric": "accuracy", "value": 0.5, "n": 12}])


EMPTY = pd.DataFrame({"statistic": ["fabrics"], "value": [21.0], "n": [3], "interval": ["count"]})


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [(0.7444, "reproduced"), (0.7436, "reproduced"), (0.7446, "differs"), (0.7434, "differs")],
)
def test_a_number_is_reproduced_if_it_rounds_to_the_printed_digits(ours, verdict):
    found = number_table(printed(), {"scores": scores(ours), "curation": EMPTY}).iloc[0]
    assert found["verdict"] == verdict and found["value"] == ours and found["printed"] == "0.744"


def test_a_number_without_a_row_is_not_passed_over():
    found = number_table(printed(head="texture"), {"scores": scores(0.7), "curation": EMPTY}).iloc[0]
    assert found["verdict"] == "not in the exports" and np.isnan(found["value"])


def test_counts_and_facts_are_looked_up_where_they_stand():
    tables = {"scores": scores(0.7), "curation": EMPTY}
    count = printed(statistic="n", model="", value=12, text="12", tolerance=0.5)
    assert number_table(count, tables)["verdict"].item() == "reproduced"
    fabrics = printed(
        table="data",
        model="",
        head="",
        **{"class": ""},
        statistic="fabrics",
        value=21,
        text="21",
        tolerance=0.5,
    )
    assert number_table(fabrics, tables)["verdict"].item() == "reproduced"


def test_the_most_precise_of_two_printed_values_stands_beside_ours():
    both = pd.concat([printed(), printed(value=0.74412, text="0.74412", tolerance=5e-6)])
    assert with_printed(scores(0.7), both, "scores")["published"].tolist()[0] == 0.74412
    assert with_printed(scores(0.7), both, "audit")["published"].isna().all()


def test_empty_keys_survive_a_round_trip_through_a_file(tmp_path):
    numbers = printed_numbers()
    numbers.to_csv(tmp_path / "p.csv", index=False)
    again = pd.read_csv(tmp_path / "p.csv", keep_default_na=False, na_values=[""])
    tables = {"scores": scores(0.7), "curation": EMPTY}
    pd.testing.assert_series_equal(
        number_table(numbers, tables)["verdict"], number_table(again, tables)["verdict"]
    )


def test_facts_count_what_is_there(schema):
    manifest = pd.DataFrame(
        {
            "image_id": list("abcd"),
            "folder": ["lace", "denim", "denim", "knit"],
            "split": ["test", "test", "train", "test"],
        }
    )
    silver = pd.DataFrame({a.name: ["x", None, "x"] for a in schema})
    audit = pd.DataFrame(
        {a.name: [None, None] if a.name == "material" else ["x", None] for a in schema}
        | {"stratum": ["lace", "knit"]}
    )
    facts = fact_table(manifest, silver, audit, schema, 768).set_index(["statistic", "head", "rows"])["value"]
    assert facts["images", :, "all"].item() == 4 and facts["images", :, "test"].item() == 3
    assert facts["head_parameters"].item() == 29 * 769 == 22_301
    other = fact_table(manifest, silver, audit, schema)["statistic"]
    assert "head_parameters" not in set(other)  # of networks whose heads nobody printed
    assert facts["abstention_rate", "color", "test"] == pytest.approx(1 / 3)
    assert facts["share_of_doubtful_folders"].item() == pytest.approx(1 / 3)  # lace is called knitwear
    assert facts["n_excluded", "pattern"].item() == 1 and "material" not in facts["n_excluded"].index


def test_names_are_counted():
    clashes = pd.DataFrame({"several_folders": [True, True, False], "train_and_test": [False, True, False]})
    assert name_table(clashes)["value"].tolist() == [2, 1]


def made_up(shift: float = 0.0) -> dict[str, pd.DataFrame]:
    """Just enough of every table for the claims; `shift` moves ΔV."""
    c = {"reference": "silver", "low": 0.01, "high": 0.2, "n": 10.0, "interval": ""}
    delta = [
        {
            "head": h,
            "class": "all",
            "statistic": "delta_macro_f1",
            "value": v,
            "p": 0.001,
            **c,
            "low": v - 0.01,
            "high": v + 0.01,
        }
        for h, v in (("material", 0.15), ("color", 0.05), ("pattern", 0.1), ("texture", 0.1), ("mean", 0.1))
    ]
    classes = [
        {"head": "color", "class": k, "statistic": "delta_f1", "value": v, "p": p, **c}
        for k, v, p in (("red", 0.03, 0.02), ("blue", 0.1, 0.001))
    ]
    verdicts = [
        {"head": "all", "class": "all", "statistic": s, "value": v, **c, "n": 2}
        for s, v in (("classes_won", 2), ("classes_proved", 2), ("all_classes_p", 0.02))
    ]
    judged = ("color", "pattern", "texture")
    audit = [
        {
            "attribute": a,
            "class": "all",
            "weighting": "none",
            "abstained": how,
            "statistic": "macro_f1",
            "value": v,
            "low": v - 0.1,
            "high": v + 0.1,
            "n": 210.0,
            "interval": "",
        }
        for a in judged
        for how, v in (
            ("extra_class", 0.7 if a != "color" else 0.9),
            ("wrong", 0.84 if a != "color" else 0.9),
            ("left_out", 0.95),
        )
    ]
    truth = [
        {
            "model": "m",
            "head": a,
            "class": "all",
            "estimator": e,
            "statistic": s,
            "value": 0.66,
            "low": 0.6,
            "high": 0.7,
            "n": 210.0,
            "interval": "",
        }
        for a in judged
        for e, s in (("post_stratified", "macro_f1"), ("bound", "accuracy"))
    ]
    metric = [
        {
            "model": "m",
            "head": a,
            "class": "all",
            "metric": "macro_f1",
            "value": 0.75,
            "low": 0.7,
            "high": 0.8,
            "n": 3000.0,
            "interval": "",
        }
        for a in judged
    ]
    pair = {"a": "material", "b": "texture", "n": 3000.0, "interval": "", "verdict": ""}
    rows = {
        ("reference", "identical", "v"): 0.3,
        ("m", "all", "v"): 0.34,
        ("m", "identical", "v"): 0.34,
        ("m", "mixed", "delta_v_mixed_rows"): 0.035 + shift,
        ("m", "mixed", "delta_v_mixed_rows_corrected"): 0.035 + shift,
        ("m", "identical", "delta_v"): 0.036 + shift,
        ("m", "identical", "delta_v_corrected"): 0.036 + shift,
        ("m", "identical", "delta_v_corrected_90"): 0.036 + shift,
        ("m", "identical", "provable_margin"): 0.05 + shift,
        ("m", "identical", "v_ref"): 0.2,
        ("m", "identical", "excess"): 0.14,
        ("m", "identical", "null_v"): 0.2,
        ("m", "identical", "null_p"): 0.0005,
    }
    coupling = [
        {"model": m, "rows": r, "statistic": s, "value": v, "low": v - 0.01, "high": v + 0.01, **pair}
        for (m, r, s), v in rows.items()
    ]
    for row in coupling:
        if row["statistic"] == "delta_v_corrected":
            row["verdict"] = "outside" if row["low"] > 0.03 else "inconclusive"
    curation = [
        {"statistic": s, "value": v, "low": 9, "high": 15, "n": 20}
        for s, v in (
            ("distinct_pairs", 20),
            ("expected_distinct_pairs", 11.6),
            ("p_at_least_claimed", 0.0005),
            ("names_in_several_folders", 14),
            ("names_in_train_and_test", 3),
            ("share_of_doubtful_folders", 0.16),
        )
    ]
    return {
        k: pd.DataFrame(v)
        for k, v in {
            "comparison": delta + classes + verdicts,
            "audit": audit,
            "truth": truth,
            "scores": metric,
            "coupling": coupling,
            "curation": curation,
        }.items()
    }


def verdicts_of(tables, schema, **more) -> pd.Series:
    return claim_table(tables, schema, model="m", baseline="b", margin=0.03, **more).set_index("claim")


def test_data_that_no_claim_was_made_of_gets_sentences_and_no_verdicts(schema):
    tables = made_up()
    asked = verdicts_of(tables, schema)
    tables["curation"] = tables["curation"][tables["curation"]["statistic"] != "distinct_pairs"]
    found = verdicts_of(tables, schema, claimed=False)
    assert set(found["verdict"]) == {""}
    assert found.index[found["sentence"] == ""].tolist() == ["twenty_images"]
    assert found.loc["uniform_gap", "sentence"] == asked.loc["uniform_gap", "sentence"]


def test_the_verdict_follows_the_tables(schema):
    base, moved = verdicts_of(made_up(), schema), verdicts_of(made_up(shift=0.02), schema)
    assert (
        base.loc["just_outside", "verdict"] == "unresolved"
        and "contains the threshold" in base.loc["just_outside", "sentence"]
    )
    assert (
        moved.loc["just_outside", "verdict"] == "holds"
        and "does not contain" in moved.loc["just_outside", "sentence"]
    )
    assert "+0.056" in moved.loc["just_outside", "sentence"]
    assert base.loc["uniform_gap", "verdict"] == "does not hold"


def test_a_claim_about_all_classes_falls_with_one_class(schema):
    tables = made_up()
    assert verdicts_of(tables, schema).loc["all_classes", "verdict"] == "holds"
    comparison = tables["comparison"]
    comparison.loc[comparison["statistic"] == "all_classes_p", "value"] = 0.2
    assert verdicts_of(tables, schema).loc["all_classes", "verdict"] == "does not hold"


def test_an_audit_that_never_counted_an_extra_class_holds(schema):
    tables = made_up()
    audit = tables["audit"]
    audit.loc[audit["abstained"] == "extra_class", "value"] = audit.loc[
        audit["abstained"] == "wrong", "value"
    ].to_numpy()
    assert verdicts_of(tables, schema).loc["audit_classes", "verdict"] == "holds"


def test_a_missing_row_is_an_error_and_never_a_blank(schema):
    tables = made_up()
    tables["coupling"] = tables["coupling"][tables["coupling"]["statistic"] != "excess"]
    with pytest.raises(LookupError, match=r"tables/coupling\.csv has 0 rows for .*'excess'"):
        verdicts_of(tables, schema)


def test_the_headline_is_text_with_the_printed_digits():
    numbers = number_table(
        printed(where="project page, table"), {"scores": scores(0.7441), "curation": EMPTY}
    )
    row = headline_table(numbers, "b").iloc[0]
    assert row.to_dict() == {
        "what": "m, color: macro-F1",
        "published": "0.744",
        "ours": "0.7441",
        "interval": "0.700 to 0.800",
        "n": "10",
        "verdict": "reproduced",
    }
