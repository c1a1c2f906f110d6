"""Answers back in: what a spreadsheet does to a file, and agreement computed by hand."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from swatchbook.audit.annotators import (
    between_table,
    differences,
    given_table,
    self_agreement_table,
    with_consensus,
)
from swatchbook.audit.answers import as_sheet, check_answers, merge, read_judgements
from swatchbook.audit.columns import CANNOT_TELL, answer_columns
from swatchbook.audit.importing import _table_lines, import_files
from swatchbook.audit.run import open_run
from swatchbook.audit.sample import sample_id
from swatchbook.audit.sheet import read_sheet
from swatchbook.csv_io import write_csv
from swatchbook.data.images import find
from swatchbook.data.readers import published
from swatchbook.data.strict_csv import DataError
from swatchbook.evaluation.audit import audit_table
from tests.conftest import real_data

IMAGES = ("007.jpg", "=c.jpg", "a/1-2.jpg", "a/<script>.jpg", "👗 d.jpg", "a/e.jpg")
NAMES = ("material", "color", "pattern", "texture")


@pytest.fixture
def sample() -> pd.DataFrame:
    """Six images of two strata, the first of which comes again."""
    strata = ["s01", "s01", "s02", "s02", "s02", "s02", "s01"]
    return pd.DataFrame(
        {
            "item": range(1, 8),
            "image_id": [*IMAGES, IMAGES[0]],
            "stratum": strata,
            "weight": [{"s01": 10.0, "s02": 25 / 4}[s] for s in strata],
            "repeat": [0] * 6 + [1],
        }
    )


@pytest.fixture
def answers(sample, schema, tmp_path):
    """Writes an answers file; the text may be changed on its way, as a spreadsheet would."""

    def write(who="Anna", change=lambda text: text, name="answers.csv", **cells):
        rows = []
        for row in sample.itertuples():
            image = f"'{row.image_id}" if row.image_id.startswith("=") else row.image_id
            given = {**{n: schema[n].classes[0] for n in NAMES}, **cells.get(f"item{row.item}", {})}
            output = [given[n] for n in schema.names]
            rows.append([sample_id(sample), row.item, image, who, *output, given.get("note", ""), "3.5"])
        text = pd.DataFrame(rows, columns=list(answer_columns(schema))).to_csv(
            index=False, lineterminator="\r\n"
        )
        path, changed = tmp_path / name, change(text)
        path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
        return path

    return write


def judged(path, sample, schema):
    table, problems = check_answers(path, sample, schema)
    assert problems == ()
    return table


# ---- one file -------------------------------------------------------------------------------------------


def test_a_file_as_the_page_saves_it_is_read_whole(answers, sample, schema):
    path = answers(item2={"color": "several", "note": "'=1+1"}, item3=dict.fromkeys(NAMES, ""))
    table = judged(path, sample, schema)
    assert table["image_id"].tolist() == sample["image_id"].tolist()
    assert table["weight"].tolist() == sample["weight"].tolist() and table["repeat"].sum() == 1
    assert table.loc[1, ["color", "note", "seconds"]].tolist() == ["several", "=1+1", "3.5"]
    assert (table.loc[2, list(NAMES)] == "").all()


def test_a_byte_order_mark_alone_and_another_order_of_lines_do_no_harm(answers, sample, schema):
    plain = judged(answers(), sample, schema)
    marked = answers(change=lambda text: b"\xef\xbb\xbf" + text.encode())
    pd.testing.assert_frame_equal(judged(marked, sample, schema), plain)

    def turned(text):
        head, *lines = text.splitlines(keepends=True)
        return "".join([head, *lines[::-1]])

    pd.testing.assert_frame_equal(judged(answers(change=turned), sample, schema), plain)


DAMAGE = {
    "semicolons": (lambda t: t.replace(",", ";"), "answers.csv is not separated by commas"),
    "tabs": (lambda t: t.replace(",", "\t"), "answers.csv is not separated by commas"),
    "utf-16": (lambda t: t.encode("utf-16"), "answers.csv starts with a byte-order mark"),
    "latin-1": (lambda t: t.replace("👗", "é").encode("latin-1"), "line 6 is not UTF-8"),
    "cut in a line": (lambda t: t[:-30], "does not end in a line break"),
    "cut between lines": (
        lambda t: "".join(t.splitlines(keepends=True)[:-2]),
        "lacks 2 of 7 items (item 6, 7), so it was cut off or filtered",
    ),
    "empty": (lambda t: "", "answers.csv is empty"),
    "header alone": (lambda t: t.splitlines(keepends=True)[0], "has a header and no rows"),
    "column gone": (lambda t: t.replace("note,", ""), "answers.csv has no column note"),
    "column named anew": (lambda t: t.replace("color", "colour"), "has no column color"),
    "formula run": (lambda t: t.replace("'=c.jpg", "#NAME?"), "line 3: image_id '#NAME?': it is a spreadsheet's error"),
    "formula bare": (lambda t: t.replace("'=c.jpg", "=c.jpg"), "line 3: image_id '=c.jpg' begins like a formula"),
    "zeros lost": (lambda t: t.replace("007.jpg", "7.jpg", 1), "line 2: image_id '7.jpg': leading zeros were lost"),
    "date": (lambda t: t.replace("a/1-2.jpg", "01/02/2026"), "line 4: image_id '01/02/2026': it is a date"),
    "date in words": (lambda t: t.replace("a/1-2.jpg", "2-Jan"), "line 4: image_id '2-Jan': it is a date"),
    "number": (lambda t: t.replace("a/e.jpg", "1.2E+10"), "line 7: image_id '1.2E+10': it is a number"),
    "shifted": (lambda t: t.replace("a/e.jpg", "a/1-2.jpg"), "line 7: image_id 'a/1-2.jpg': it is another item"),
    "unknown": (lambda t: t.replace("a/e.jpg", "a/f.jpg"), "line 7: image_id 'a/f.jpg': it is not in the sample"),
    "item gone": (lambda t: t.replace(",6,a/e", ",60,a/e"), "line 7: item '60'; allowed: a whole number from 1 to 7"),
    "item as float": (lambda t: t.replace(",6,a/e", ",6.0,a/e"), "line 7: item '6.0'; allowed"),
    "item twice": (
        lambda t: t + t.splitlines(keepends=True)[3],
        "line 9: item 3 was judged in line 4 already; allowed: each item once",
    ),
    "curly apostrophe": (lambda t: t.replace(",black,", ",can’t tell,", 1), "line 2: color 'can’t tell'; allowed"),
    "unknown label": (lambda t: t.replace(",black,", ",blak,", 1), "line 2: color 'blak'; allowed: black, white"),
    "comma as decimal point": (lambda t: t.replace("3.5", '"3,5"', 1), "line 2: seconds '3,5'; allowed"),
    "time": (lambda t: t.replace("3.5", "-3.5", 1), "line 2: seconds '-3.5'; allowed"),
    "two people": (lambda t: t.replace("Anna", "Bo", 1), "the file is by two annotators; allowed: one"),
    "nobody": (lambda t: t.replace("Anna", ""), "line 2 and 6 more: annotator ''; allowed: a name"),
    "everybody": (lambda t: t.replace("Anna", "all"), "annotator 'all'; allowed: a name"),
    "formula for a name": (lambda t: t.replace("Anna", "=1+1"), "annotator '=1+1'; allowed: a name"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_refused_and_named(damage, answers, sample, schema):
    change, message = DAMAGE[damage]
    table, problems = check_answers(answers(change=change), sample, schema)
    assert table is None and any(message in problem for problem in problems), problems


def test_answers_to_another_sample_are_refused_once_and_not_by_line(answers, sample, schema):
    path = answers()
    table, problems = check_answers(path, sample.iloc[::-1].assign(item=range(1, 8)), schema)
    assert table is None
    assert problems[0].startswith("answers.csv, line 2 and 6 more: sample '")
    assert "belong to another sample than the one drawn" in problems[0]


@pytest.mark.parametrize(
    ("given", "right", "reason"),
    [
        ("12345678901234", "0012345678901234", "a spreadsheet took its leading zeros"),
        ("1.23E+15", "1234567890123456", "a spreadsheet took it for a number"),
        ("INF", "12345678e1234567", "a spreadsheet took it for a number"),
    ],
)
def test_a_damaged_sample_number_is_told_from_another_sample(
    given, right, reason, answers, sample, schema, monkeypatch
):
    path = answers(change=lambda text: text.replace(sample_id(sample), given))
    monkeypatch.setattr("swatchbook.audit.answers.sample_id", lambda _: right)
    assert reason in check_answers(path, sample, schema)[1][0]


def test_every_wrong_line_is_told_in_order(answers, sample, schema):
    path = answers(item1={"color": "blak"}, item4={"texture": "soft"}, item7={"pattern": "plain"})
    problems = check_answers(path, sample, schema)[1]
    assert [problem.split(":")[0] for problem in problems] == [f"answers.csv, line {n}" for n in (2, 5, 8)]


def test_one_thing_wrong_in_some_lines_is_told_for_each_of_them(answers, sample, schema):
    path = answers(**{f"item{k}": {"color": "blak"} for k in (2, 3, 6)})
    problems = check_answers(path, sample, schema)[1]
    assert [problem.split(":")[0] for problem in problems] == [f"answers.csv, line {n}" for n in (3, 4, 7)]


def test_a_file_that_judges_nothing_is_refused(answers, sample, schema):
    path = answers(**{f"item{k}": dict.fromkeys(NAMES, "") for k in range(1, 8)})
    assert check_answers(path, sample, schema)[1] == ("answers.csv judges nothing: every answer is blank",)


# ---- several annotators ---------------------------------------------------------------------------------


@pytest.fixture
def both(answers, sample, schema):
    """Anna and Bo differ on the colour of items 2 and 3; Anna calls the pattern of item 4 several."""
    anna = answers("Anna", item4={"pattern": "several"}, item7={"color": "red"})
    first = judged(anna, sample, schema)
    bo = answers("Bo", item2={"color": "red"}, item3={"color": CANNOT_TELL}, item4={"pattern": ""})
    return merge(None, [first, judged(bo, sample, schema)])


def test_merging_replaces_who_comes_again_and_refuses_one_person_twice(both, answers, sample, schema):
    anew = judged(answers("Bo"), sample, schema)
    merged = merge(both, [anew])
    assert len(merged) == 14 and (merged.loc[merged["annotator"] == "Bo", "color"] == "black").all()
    with pytest.raises(DataError, match="two files are by the annotator 'Bo'"):
        merge(None, [anew, anew])


def test_given_answers_keep_several_and_cannot_tell_apart(both, schema):
    table = given_table(both, schema).set_index(["annotator", "attribute", "label"])
    assert table.loc[("Anna", "pattern", "several"), ["taken_as", "n"]].tolist() == [CANNOT_TELL, 1]
    assert table.loc[("Bo", "color", CANNOT_TELL), "n"] == 1
    assert table.loc[("Bo", "pattern", ""), ["taken_as", "n"]].tolist() == ["not judged", 1]
    assert table.loc[("Bo", "color", "black"), "n"] == 4
    assert table.groupby(level=[0, 1])["n"].sum().eq(6).all()


def test_agreement_is_of_first_judgements_with_a_class(both, schema, rng):
    table = between_table(both, schema).set_index(["attribute", "statistic"])
    assert table.loc[("color", "agreement"), ["value", "n"]].tolist() == [4 / 5, 5]
    assert table.loc[("pattern", "agreement"), ["value", "n"]].tolist() == [1.0, 5]


def test_self_agreement_is_of_repeats_alone_with_a_wilson_interval(both, schema, rng):
    table = self_agreement_table(both, schema)
    table = table.set_index(["annotator", "attribute", "statistic"])
    assert table.loc[("Anna", "color", "agreement"), ["value", "n"]].tolist() == [0.0, 1]
    row = table.loc[("Bo", "color", "same_answer")]
    z2 = 1.959963984540054**2
    assert (row["value"], row["n"]) == (1.0, 1) and row["interval"] == "95% Wilson score interval"
    assert (row["low"], row["high"]) == (pytest.approx(1 / (1 + z2)), pytest.approx(1))


def test_a_repeat_that_was_not_judged_is_no_answer(answers, sample, schema, rng):
    own = judged(answers(item7={"color": ""}), sample, schema)
    table = self_agreement_table(own, schema).set_index(["attribute", "statistic"])
    assert table.loc[("color", "same_answer"), "n"] == 0 and pd.isna(
        table.loc[("color", "same_answer"), "value"]
    )
    assert table.loc[("pattern", "same_answer"), ["value", "n"]].tolist() == [1.0, 1]


def test_nothing_judged_twice_is_not_estimable(both, schema, rng):
    table = self_agreement_table(both[both["repeat"] == 0], schema)
    assert (table["n"] == 0).all() and table["value"].isna().all()
    assert set(table["interval"]) == {"not estimable: nothing was judged twice"}


def test_differences_are_listed_with_what_is_agreed_filled_in(both, schema):
    cases = differences(both, schema)
    assert cases["item"].tolist() == [2, 3]
    assert cases["color"].tolist() == ["", ""] and set(cases["pattern"]) == {"solid"}
    assert cases["color: Bo"].tolist() == ["red", CANNOT_TELL]
    assert differences(both[both["annotator"] == "Anna"], schema).empty


def test_an_adjudicated_list_comes_first_and_is_whole(both, sample, schema, tmp_path):
    path = tmp_path / "adjudicate.csv"
    write_csv(differences(both, schema).assign(color=["navy", ""]), path)
    merged = merge(both, [judged(path, sample, schema)])
    sheet = as_sheet(with_consensus(merged, schema), schema)
    ours = sheet[sheet["annotator"] == "adjudicated"].set_index("image_id")
    assert sheet["annotator"].iloc[0] == "adjudicated" and len(ours) == 6
    assert ours["color"].fillna("open").tolist() == ["black", "navy", "open", "black", "black", "black"]
    assert pd.isna(ours.loc[IMAGES[3], "pattern"])  # several, by the one person who judged it
    left = differences(merged, schema)
    assert left["color"].tolist() == ["navy", ""]
    table = between_table(merged, schema)
    assert set(table["a"]) == {"Anna"} and set(table["b"]) == {"Bo"}


def test_a_sheet_of_half_a_stratum_stands_for_the_whole_stratum(answers, sample, schema):
    unjudged = {f"item{k}": dict.fromkeys(NAMES, "") for k in (4, 5)}
    sheet = as_sheet(judged(answers(**unjudged), sample, schema), schema)
    assert sheet["image_id"].tolist() == [IMAGES[k] for k in (0, 1, 2, 5)]
    assert sheet["weight"].tolist() == [10, 10, 12.5, 12.5]


def test_an_attribute_that_nobody_judged_is_no_column_of_the_sheet(answers, sample, schema):
    path = answers(**{f"item{k}": {"material": ""} for k in range(1, 8)})
    assert "material" not in as_sheet(judged(path, sample, schema), schema)


def test_the_sheet_is_read_by_a_run_and_judgements_come_back_as_they_were(both, schema, tmp_path):
    notes = ["=1+1", "line\r\nbreak", "lone\rreturn", 'a "b", c', "<script>", "\u202eقميص"]
    both = both.assign(note=[*notes, *[""] * 8])
    write_csv(both, tmp_path / "judgements.csv")
    pd.testing.assert_frame_equal(read_judgements(tmp_path / "judgements.csv", schema), both)
    write_csv(as_sheet(both, schema), tmp_path / "answers.csv")
    read = read_sheet(tmp_path / "answers.csv", IMAGES, tmp_path, schema).judged
    assert read["image_id"].tolist() == [*IMAGES, *IMAGES]
    assert read["weight"].tolist() == as_sheet(both, schema)["weight"].tolist()
    assert pd.isna(read.loc[3, "pattern"]) and read.loc[3, "color"] == "black"


# ---- audits in layouts of their own ---------------------------------------------------------------------


def run_of(folder, manifest, silver=None):
    folder.mkdir()
    manifest.to_parquet(folder / "manifest.parquet", index=False)
    if silver is not None:
        silver.to_parquet(folder / "silver.parquet", index=False)
    settings = {"schema": "textilenet", "material_map": "paper", "seed": 42, "evaluation.bootstrap": 40}
    (folder / "config.json").write_text(json.dumps({"settings": settings}))
    return open_run(folder)


@pytest.mark.parametrize("n", [1, 3, 4, 40])
def test_an_import_gives_an_interval_that_has_a_width_or_says_that_too_few_are_judged(schema, n):
    right = {a.name: np.zeros(n, dtype=int) for a in schema}
    scores = audit_table(right, right, schema, stratum=np.zeros(n), weight=np.full(n, 3.0))
    nobody = pd.DataFrame(columns=["statistic", "attribute", "n"])
    lines = _table_lines({"agreement": nobody, "self_agreement": nobody, "scores": scores})
    if n < 4:
        assert lines[1] == f"color: not estimable: fewer than 4 judged images, n = {n}"
    else:
        low, high = re.search(r"right on 100\.0% \((.*)% to (.*)%, n = ", lines[1]).groups()
        assert float(low) < float(high) == 100


@pytest.fixture(scope="module")
def study(published_dir, schema):
    return published.read(published.locate(published_dir), schema)


def test_the_published_audit_imports_as_the_study_reads_it(study, published_dir, tmp_path, schema):
    run = run_of(tmp_path / "run", study.manifest, study.silver)
    printed, accepted = import_files([published_dir / "audit.csv"], run)
    assert accepted and any("the machine's labels stood beside the answers" in line for line in printed)
    assert "published: 210 of 210 images judged" in printed
    ids = study.manifest["image_id"].tolist()
    ours = read_sheet(tmp_path / "run" / "audit" / "answers.csv", ids, run.root, schema).judged
    for name in ("image_id", "stratum", "weight", "color", "pattern", "texture"):
        both = pd.concat([ours[name], study.audit[name]], axis=1, keys=["ours", "theirs"])
        assert ((both["ours"] == both["theirs"]) | both.isna().all(axis=1)).all(), name
    assert ours["material"].isna().all()
    scores = pd.read_csv(tmp_path / "run" / "audit" / "scores.csv").query("abstained == 'wrong'")
    scores = scores.query("attribute == 'color' and `class` == 'all' and statistic == 'accuracy'")
    scores = scores.set_index("weighting")
    right = study.audit_silver["color"] == study.audit["color"]
    asked = study.audit["color"].notna()
    assert scores.loc["none", ["value", "n"]].tolist() == [pytest.approx(right[asked].mean()), asked.sum()]
    weighted = np.average(right[asked], weights=study.audit["weight"][asked])
    assert scores.loc["design", "value"] == pytest.approx(weighted) != right[asked].mean()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("/chambray/exo", "/chambray/exxo"), "line 3: path '"),
        (lambda t: t.replace(",True", ",False", 1), "line 2: audited 'False'; allowed: True"),
        (lambda t: t.replace("blue,solid,smooth,True", "bleu,solid,smooth,True", 1), "line 2: gt_color 'bleu'; allowed"),
        (lambda t: t.replace("vlm_color", "llm_color"), "has an unknown column 'llm_color'"),
        (lambda t: t + t.splitlines(keepends=True)[5], "was judged before; allowed: once"),
    ],
)  # fmt: skip
def test_a_damaged_published_audit_imports_nothing(change, message, study, published_dir, tmp_path):
    run = run_of(tmp_path / "run", study.manifest, study.silver)
    path = tmp_path / "audit.csv"
    path.write_text(change((published_dir / "audit.csv").read_text()))
    printed, accepted = import_files([path], run)
    assert not accepted and any(message in line for line in printed), printed
    assert not (tmp_path / "run" / "audit").exists()


def test_the_audit_of_real_photographs_imports(tmp_path, schema):
    data = real_data("clothing")
    listed = find(data / "images")
    run = run_of(tmp_path / "run", listed.assign(split="test"))
    printed, accepted = import_files([data / "audit.csv"], run)
    assert accepted and "an unnamed judge: 96 of 96 images judged" in printed
    assert any(
        "'polka_dot'" in line and "counts as can't tell: no class of the schema" in line for line in printed
    )
    sheet = pd.read_csv(tmp_path / "run" / "audit" / "answers.csv")
    assert list(sheet) == ["image_id", "annotator", "color", "pattern", "note"] and len(sheet) == 96
    assert not (tmp_path / "run" / "audit" / "scores.csv").exists()


def test_a_sheet_of_its_own_does_not_answer_a_drawn_sample(answers, sample, schema, tmp_path):
    manifest = pd.DataFrame(
        {"image_id": IMAGES, "path": [f"/x/{i}" for i in IMAGES], "folder": "x", "split": "test"}
    )
    run = run_of(tmp_path / "run", manifest)
    (run.folder).mkdir()
    write_csv(sample, run.folder / "sample.csv")
    plain = tmp_path / "plain.csv"
    plain.write_text("path,color\n007.jpg,black\n")
    with pytest.raises(DataError, match="holds a drawn sample, and the file does not say that it answers it"):
        import_files([plain], run)
    with pytest.raises(DataError, match="some files answer the drawn sample and others do not"):
        import_files([plain, answers()], run)
