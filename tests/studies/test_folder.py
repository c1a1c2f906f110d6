"""Profile `folder`: a person's photographs and audit, from files to tables; every wrong line of an audit."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="the profile needs the extra 'models'")

import torch
from bs4 import BeautifulSoup

from swatchbook import audit
from swatchbook.audit.sheet import check_sheet, read_sheet, with_design
from swatchbook.cli.main import main
from swatchbook.data.strict_csv import DataError
from swatchbook.drawn import write_dataset
from swatchbook.labeller.measured import COLUMNS, MEASURED
from swatchbook.pipeline.stage import Trace
from swatchbook.report.page import write_page
from swatchbook.schema import Schema
from swatchbook.studies.attributes.folder import (
    SHARES,
    _notes_of_labels,
    _notes_of_quarantine,
    split_with_audit,
)
from swatchbook.studies.attributes.report import content
from swatchbook.studies.study import Study
from tests.bulk.test_label_command import small_labeller
from tests.conftest import real_data

IDS = ("a.jpg", "skirt/b.jpg", "=c.jpg", "skirt/d.jpg")
ROOT = Path("/home/someone/images")
SETTINGS = {
    "train": True,
    "schema": "textilenet",
    "bootstrap": 20,
    "permutations": 20,
    "null_draws": 20,
    "power_draws": 20,
    "power_sizes": "20,40",
    "warmup_epochs": 1,
    "epochs": 2,
    "image_size": 32,
    "training.threads": 1,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Several threads of several test processes would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def sheet(tmp_path):
    """Writes an audit file."""

    def write(text: str) -> Path:
        path = tmp_path / "audit.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


# ---- reading an audit ----------------------------------------------------------------------------------


def test_an_audit_is_read_with_every_way_to_name_an_image(sheet, schema):
    path = sheet(
        "path,color,pattern\na.jpg,black,solid\nimages/skirt/b.jpg,,striped\n'=c.jpg,navy,\n"
        "/home/someone/images/skirt/d.jpg,red,floral\n"
    )
    judged = read_sheet(path, IDS, ROOT, schema).judged
    assert judged["image_id"].tolist() == list(IDS)
    assert judged["color"].tolist() == ["black", None, "navy", "red"]
    assert judged["pattern"].tolist() == ["solid", "striped", None, "floral"]
    assert judged["texture"].isna().all() and judged["material"].isna().all()
    assert set(judged["annotator"]) == {"an unnamed judge"} and set(judged["stratum"]) == {"all"}
    by_id = sheet("image_id,note,color\nskirt/b.jpg,a hat?,white\n")
    assert read_sheet(by_id, IDS, ROOT, schema).judged["image_id"].tolist() == ["skirt/b.jpg"]


def test_what_the_schema_has_no_class_for_counts_as_cannot_tell_and_is_told(sheet, schema):
    path = sheet(
        "path,color,pattern\na.jpg,orange,polka_dot\nskirt/b.jpg,other,graphic\n=c.jpg,grey,graphic\n"
    )
    read = read_sheet(path, IDS, ROOT, schema)
    assert read.judged["color"].tolist() == [None, None, "grey"]
    assert read.judged["pattern"].isna().all()
    printed = read.answers.set_index(["attribute", "label"])
    assert printed.loc[("pattern", "graphic"), "n"] == 2
    assert printed.loc[("color", "orange"), "taken_as"] == "can't tell: no class of the schema"
    assert printed.loc[("color", "grey"), "taken_as"] == "grey"
    assert printed.loc[("texture", ""), "taken_as"] == "not judged"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg,bleu,", "audit.csv, line 3: color 'bleu'; allowed: black, white, red, navy"),
        ("a.jpg,Black,", "audit.csv, line 3: color 'Black'; allowed: "),
        ("a.jpg, black,", "audit.csv, line 3: color ' black'; allowed: "),
        ("a.jpg,,dotted", "polka_dot, graphic, other, or blank for can't tell"),
        (
            "e.jpg,,",
            "audit.csv, line 3: path 'e.jpg' is unknown; allowed: an image below '/home/someone/images'",
        ),
        ("../images/a.jpg,,", "line 3: path '../images/a.jpg' is unknown"),
        (
            "skirt/b.jpg,red,",
            "line 3: path 'skirt/b.jpg' was judged in line 2 already; allowed: each image once",
        ),
        ("images/skirt/b.jpg,red,", "line 3: path 'images/skirt/b.jpg' was judged in line 2 already"),
    ],
)
def test_a_wrong_line_refuses_the_audit_and_is_named(line, message, sheet, schema):
    path = sheet(f"path,color,pattern\nskirt/b.jpg,red,solid\n{line}\n")
    with pytest.raises(DataError) as refusal:
        read_sheet(path, IDS, ROOT, schema)
    assert message in str(refusal.value)
    assert len(check_sheet(path, IDS, ROOT, schema).problems) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path,colour\na.jpg,red\n",
            "audit.csv has an unknown column 'colour'; allowed: path, image_id, material",
        ),
        (
            "path,note\na.jpg,x\n",
            "audit.csv judges no attribute; allowed: a column for any of material, color",
        ),
        ("file,color\na.jpg,red\n", "audit.csv has no column path; its columns are file, color"),
        ("path,image_id,color\na.jpg,a.jpg,red\n", "names its images twice, by path and by image_id"),
        ("path,color,stratum\na.jpg,red,x\n", "has strata but no column weight; allowed: both"),
        ("path,color,color\na.jpg,red,red\n", "audit.csv has the column 'color' twice"),
        ("path;color\na.jpg;red\n", "audit.csv is not separated by commas"),
        ("\ufeffpath,color\na.jpg,red\n", "audit.csv starts with a byte-order mark"),
        ("path,color\na.jpg,red", "audit.csv, line 2 does not end in a line break"),
        ("path,color\na.jpg,red,\n", "audit.csv, line 2 has 3 fields; allowed: 2"),
        ("path,color\n", "audit.csv has a header and no rows"),
        ("", "audit.csv is empty; allowed: a header with path"),
        (b"path,color\na\xff.jpg,red\n", "audit.csv, line 2 is not UTF-8"),
    ],
)
def test_a_file_that_is_no_audit_is_refused(text, message, sheet, schema):
    with pytest.raises(DataError) as refusal:
        check_sheet(sheet(text), IDS, ROOT, schema)
    assert message in str(refusal.value)


def test_all_problems_are_told_by_line(sheet, schema):
    path = sheet(
        "path,color,annotator,stratum,weight\na.jpg,red,,x,1\nb.jpg,reed,me,,0\n=c.jpg,,me,x,many\n=c.jpg,,you,x,2\n"
    )
    lines = [p.split(": ")[0] for p in check_sheet(path, IDS, ROOT, schema).problems]
    assert lines == [f"audit.csv, line {n}" for n in (2, 3, 3, 3, 3, 4)]
    with pytest.raises(DataError, match="; and 1 more"):
        read_sheet(path, IDS, ROOT, schema)


def test_weights_add_up_to_the_split_for_each_annotator():
    judged = pd.DataFrame({"annotator": ["a", "a", "b"], "weight": [np.nan] * 3})
    assert with_design(judged, 30)["weight"].tolist() == [15, 15, 30]
    assert with_design(judged.assign(weight=[1.0, 2.0, 5.0]), 30)["weight"].tolist() == [10, 20, 30]


def test_the_audit_of_real_photographs_is_accepted(schema):
    data = real_data("clothing")
    ids = sorted(p.relative_to(data / "images").as_posix() for p in (data / "images").rglob("*.jpg"))
    read = read_sheet(data / "audit.csv", ids, data / "images", schema)
    assert len(read.judged) == 96 and set(read.judged["image_id"]) <= set(ids)
    printed = read.answers[read.answers["taken_as"] != read.answers["label"]].set_index(
        ["attribute", "label"]
    )["n"]
    assert printed[("pattern", "graphic")] == 17 and printed[("pattern", "polka_dot")] == 2
    assert (
        printed[("color", "orange")] == 1 and printed[("color", "")] == 17 and printed[("pattern", "")] == 11
    )


# ---- splitting -----------------------------------------------------------------------------------------


def test_judged_images_and_their_copies_are_in_test_and_shares_hold():
    manifest = pd.DataFrame({"image_id": [f"{i:03d}" for i in range(200)], "folder": "."})
    group = np.arange(200)
    group[[1, 2, 3]] = 0  # copies of a judged image
    group[[50, 51]] = 50  # and a pair that nobody judged
    judged = ["000", "077", "078"]
    split = split_with_audit(manifest, group, judged, seed=1)["split"].to_numpy()
    assert set(split[[0, 1, 2, 3, 77, 78]]) == {"test"}
    assert split[50] == split[51]
    for name, share in SHARES.items():
        assert (split == name).sum() == pytest.approx(200 * share, abs=1)
    again = split_with_audit(manifest, group, judged, seed=1)["split"].to_numpy()
    other = split_with_audit(manifest, group, judged, seed=2)["split"].to_numpy()
    assert (split == again).all() and (split != other).any()


def test_an_audit_larger_than_its_share_is_the_whole_test_split():
    manifest = pd.DataFrame({"image_id": [f"{i:03d}" for i in range(100)], "folder": "."})
    judged = manifest["image_id"][:40]
    split = split_with_audit(manifest, np.arange(100), judged, seed=1)
    assert split.loc[split["split"] == "test", "image_id"].tolist() == judged.tolist()
    assert (split["split"] == "train").sum() == 48 and (split["split"] == "val").sum() == 12
    with pytest.raises(ValueError, match=r"100 images, 100 of them judged .* train 0, val 0, test 100"):
        split_with_audit(manifest, np.arange(100), manifest["image_id"], seed=1)
    with pytest.raises(ValueError, match="every split needs images"):
        split_with_audit(manifest[:2], np.arange(2), [], seed=1)


# ---- from files to tables ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photographs(tmp_path_factory, schema):
    """Forty-two drawn garments, two of them copies, with their truth."""
    home = tmp_path_factory.mktemp("photographs")
    write_dataset(
        home / "drawn", n_train=40, n_test=0, coupling=0.7, seed=3, schema=schema, size=64, workers=1
    )
    truth = pd.read_csv(home / "drawn/truth.csv")
    (home / "images").mkdir()
    for number, path in enumerate(truth["path"]):
        shutil.copyfile(home / "drawn" / path, home / "images" / f"{number:02d}.jpg")
    for number in (0, 1):
        shutil.copyfile(home / "images" / f"{number:02d}.jpg", home / "images" / f"copy of {number:02d}.jpg")
    truth["path"] = [f"{i:02d}.jpg" for i in range(40)]
    return home, truth


@pytest.fixture(scope="module")
def opened(photographs, tmp_path_factory):
    """Opens a run on them."""
    home, _ = photographs
    labeller = small_labeller(tmp_path_factory.mktemp("folder") / "small")

    def open_run(run_dir, **more) -> Study:
        given = {"source": str(home / "images"), "labelling.labeller": labeller, **SETTINGS, **more}
        return Study.open("folder", run_dir, log=lambda _: None, **given)

    return open_run


@pytest.fixture(scope="module")
def run(photographs, opened, tmp_path_factory):
    """A run with an audit of ten images, as far as its tables."""
    home, truth = photographs
    judged = truth[["path", "color", "pattern"]].head(10)
    judged.assign(pattern=["graphic", *judged["pattern"][1:]]).to_csv(home / "audit.csv", index=False)
    study = opened(tmp_path_factory.mktemp("run") / "run", **{"labelling.audit": str(home / "audit.csv")})
    with study.hold():
        study.save_config()
        for stage in study.stages:
            if not stage.name.startswith("figure"):
                study.ensure_stage(stage)
    return study


def test_a_folder_and_its_audit_give_every_table(run, photographs, schema):
    _, truth = photographs
    manifest, audit = run.manifest.set_index("image_id"), run.audit_sheet
    assert len(manifest) == 42 and list(manifest["split"].value_counts()) == [24, 12, 6]
    assert audit["image_id"].tolist() == truth["path"].head(10).tolist()
    assert set(manifest.loc[[*audit["image_id"], "copy of 00.jpg", "copy of 01.jpg"], "split"]) == {"test"}
    assert audit["weight"].sum() == pytest.approx((manifest["split"] == "test").sum())
    assert audit["color"].tolist() == truth["color"].head(10).tolist() and pd.isna(audit["pattern"][0])
    copies = run.table("tables/duplicates.csv")
    assert (copies["split"] == copies["other_split"]).all()
    assert {("00.jpg", "copy of 00.jpg"), ("01.jpg", "copy of 01.jpg")} <= set(
        zip(copies["image_id"], copies["other"], strict=True)
    )
    silver = run.silver
    assert silver["material"].notna().all() and silver["material_confidence"].notna().all()
    scored = run.audit.query("`class` == 'all' and abstained == 'wrong' and weighting == 'none'")
    scored = scored[scored["statistic"] == "accuracy"].set_index("attribute")
    assert scored["n"].to_dict() == {"material": 0, "color": 10, "pattern": 9, "texture": 0}
    labels = silver.set_index("image_id").loc[audit["image_id"], "color"].to_numpy()
    assert scored["value"]["color"] == pytest.approx((labels == audit["color"].to_numpy()).mean())
    assert set(run.three_columns["against"]) >= {"silver labels", "auditor"}
    assert set(run.comparison["reference"]) == {"silver", "audit"}
    output = run.table("tables/notes.csv").set_index("about")["said"]
    assert "10 photographs were judged by an unnamed judge on color, pattern" in output["audit"]
    assert "pattern graphic (1)" in output["answers"]


def test_without_an_audit_nothing_is_judged_and_the_run_says_so(opened, run, tmp_path):
    shutil.copytree(run.store.root, tmp_path / "run")
    study = opened(tmp_path / "run")
    names = [stage.name for stage in study.stages]
    assert not {"audit sheet", "audit", "audit power", "truth"} & set(names)
    assert not {"figure truth", "figure audit_scores", "figure audit_power"} & set(names)
    assert {"scores", "coupling", "comparison", "figure f1_by_head", "figure coupling_matrix"} <= set(names)
    manifest, output = study.manifest, study.table("tables/notes.csv").set_index("about")["said"]
    assert len(manifest) == 42 and "No audit was given" in output["audit"] and "answers" not in output


def test_the_report_tells_scores_and_notes_with_and_without_an_audit(opened, run, tmp_path):
    printed = content(Trace(run))
    assert set(printed["headline"]["against"]) == {
        "silver labels",
        "auditor",
        "bound from silver agreement",
    }
    assert printed["headline"]["what"][0] == "silver labels, material: accuracy"
    row = printed["headline"].query("what == 'pretrained tower, texture: accuracy' and against == 'auditor'")
    assert row["value"].tolist() == ["not estimable"] and row["interval"].tolist() == [""]
    shutil.copytree(run.store.root, tmp_path / "run")
    for study, words in (
        (run, "10 photographs were judged"),
        (opened(tmp_path / "run"), "No audit was given"),
    ):
        printed = content(Trace(study))
        write_page(tmp_path / "index.html", title="t", notebooks=[], provenance={}, **printed)
        assert words in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert set(printed["headline"]["against"]) == {"silver labels"} and len(printed["headline"]) >= 16


# ---- labelled and audited, nothing trained -------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> str:
    """A labeller that was measured to know colours and patterns on photographs, not textures."""
    folder = tmp_path_factory.mktemp("measured") / "small"
    name, tail = small_labeller(folder), "a vision-language model,i"
    rows = [f"color,accuracy,0.7,0.6,0.8,100,0.2,{tail}", f"pattern,accuracy,0.8,0.7,0.9,90,0.5,{tail}"]
    rows += [f"texture,accuracy,0.9,0.85,0.94,80,0.9,{tail}"]
    (folder / MEASURED).write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
    return name


@pytest.fixture(scope="module")
def labelled(photographs, opened, measured, tmp_path_factory):
    """A run without training, with an audit of ten images, as far as its tables, figures and sheet."""
    _, truth = photographs
    judged = tmp_path_factory.mktemp("labelled") / "audit.csv"
    truth[["path", "material", "color", "pattern"]].head(10).to_csv(judged, index=False)
    given = {"train": False, "schema": "wardrobe", "labelling.labeller": measured}
    given["labelling.temperature"] = 1e4  # so that random weights are sure enough to label
    study = opened(judged.parent / "run", **given, **{"labelling.audit": str(judged)})
    with study.hold():
        study.save_config()
        for stage in study.stages:
            study.ensure_stage(stage)
    return study


def test_without_training_all_photographs_are_test_and_no_stage_trains_or_predicts(labelled):
    names = [stage.name for stage in labelled.stages]
    assert not [
        name for name in names if "training" in name or name in ("scores", "coupling", "grids", "truth")
    ]
    assert {"audit", "contact sheet", "figure label_coverage"} <= set(names)
    assert [name for name in names if "figure" in name] == ["figure label_coverage"]  # no other is shown
    assert set(labelled.manifest["split"]) == {"test"} and len(labelled.manifest) == 42
    assert not labelled.store.path("models").exists()
    assert labelled.audit_sheet["weight"].sum() == pytest.approx(42)  # the audit speaks for the folder


def test_only_what_the_labeller_can_do_on_photographs_is_labelled_and_the_rest_is_told(labelled):
    assert labelled.schema.names == ("color", "pattern")
    assert list(labelled.silver) == [
        "image_id",
        *(f"{n}{e}" for n in ("color", "pattern") for e in ("", "_confidence")),
    ]
    asked = labelled.asked.set_index("attribute")
    assert asked["labelled"].to_dict() == {
        "material": False,
        "color": True,
        "pattern": True,
        "texture": False,
    }
    assert asked.value["color"] == 0.7 and asked.judged_by["texture"] == "a vision-language model"
    notes = labelled.table("tables/notes.csv").set_index("about")["said"]
    assert notes["material"] == "Left out: not measured on photographs."
    assert notes["texture"].startswith("Left out: right on 90.0 % [85.0, 94.0] of photographs")
    assert "10 photographs were judged by an unnamed judge on color, pattern." in notes["audit"]
    assert "nothing was trained" in notes["photographs"]


def test_its_sheet_shows_every_photograph_and_what_was_measured(labelled):
    page = labelled.store.path("report/sheet.html").read_text(encoding="utf-8")
    work = json.loads(BeautifulSoup(page, "html.parser").find("script", id="work").string)
    assert len(work["photographs"]) == 42
    assert [a["name"] for a in work["attributes"]] == ["color", "pattern"]
    assert work["attributes"][0]["said"].startswith("right on 70.0 % [60.0, 80.0] of photographs")
    assert "Material is left out: not measured on photographs." in page


def sections_of(study: Study, out: Path) -> BeautifulSoup:
    write_page(
        out, title="t", notebooks=[], provenance={"Run": {"profile": "folder"}}, **content(Trace(study))
    )
    page = BeautifulSoup(out.read_text(encoding="utf-8"), "html.parser")
    for section in page.find_all("section"):
        heading = section.find("h2").extract().text
        assert len(section.get_text(" ", strip=True)) > 40, f"{heading} is empty"
    return page


def test_its_report_says_what_is_labelled_and_how_right_it_is(labelled, photographs, tmp_path):
    page = sections_of(labelled, tmp_path / "index.html")
    said = page.find(id="findings").get_text(" ", strip=True)
    assert (
        "Of 42 photographs" in said and "was right about color in 70.0\u00a0% [60.0, 80.0], n = 100" in said
    )
    assert "Material is left out: not measured on photographs." in said
    labels = labelled.silver.set_index("image_id")["color"]
    truth = photographs[1].head(10).set_index("path")["color"]
    given = labels[truth.index].dropna()
    right = 100 * (given == truth[given.index]).mean()
    assert f"of the labels given {right:.1f}\u00a0%" in said and f"(n = {len(given)})" in said
    rows = [row.get_text(" ", strip=True) for row in page.find(id="headline").find_all("tr")]
    assert sum("color: accuracy of the labels auditor" in row for row in rows) == 1
    assert not [word for word in ("trained tower", "baseline", "not in the exports") if word in page.text]


def test_without_an_audit_either_its_report_says_that_nobody_judged(labelled, opened, tmp_path):
    shutil.copytree(labelled.store.root, tmp_path / "run")
    given = {
        key: labelled.settings[key]
        for key in ("train", "schema", "labelling.labeller", "labelling.temperature")
    }
    study = opened(tmp_path / "run", **given)
    assert "audit" not in {stage.name for stage in study.stages}
    said = sections_of(study, tmp_path / "index.html").find(id="findings").get_text(" ", strip=True)
    assert "Nobody audited these labels" in said and "By the audit" not in said


def test_what_is_left_out_can_be_asked_for_by_a_setting(labelled, opened, tmp_path):
    given = {
        key: labelled.settings[key]
        for key in ("train", "schema", "labelling.labeller", "labelling.temperature")
    }
    assert opened(tmp_path / "run", **given, attributes="all").schema.names == Schema.load("wardrobe").names
    assert opened(tmp_path / "run", **given, attributes="texture").schema.names == ("texture",)


def test_a_notebook_opens_the_same_run_although_training_is_what_other_profiles_do_anyway(opened, tmp_path):
    study = opened(tmp_path / "run", train=True)
    again = Study.open("folder", tmp_path / "run", **study.changed_settings)
    assert again.config == study.config and again.config.train


def test_an_audit_is_drawn_from_what_was_labelled(labelled):
    run = audit.open_run(labelled.store.root)
    assert run.schema.names == ("color", "pattern")


# ---- refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", [".", "run", "deep/er/run"])
def test_a_run_folder_among_the_photographs_is_refused_naming_both(photographs, opened, below):
    images = photographs[0] / "images"
    with pytest.raises(ValueError, match=r"run folder .* lies in .* allowed: a place outside it") as refused:
        opened(images / below)
    assert str((images / below).resolve()) in str(refused.value) and f"lies in {str(images)!r}" in str(
        refused.value
    )
    assert not (images / "run").exists() and not (images / "deep").exists()


def test_photographs_that_cannot_be_read_are_told_on_the_first_screen():
    quarantine = pd.DataFrame({"image_id": ["x.jpg"], "reason": ["empty: 0 bytes"]})
    said = "1 of the files could not be read and are left out, such as x.jpg (empty: 0 bytes); "
    said += "tables/quarantine.csv lists them."
    assert _notes_of_quarantine(quarantine) == [("broken files", said)]
    assert _notes_of_quarantine(quarantine[:0]) == []


def test_an_attribute_that_got_one_label_only_is_told(schema):
    silver = pd.DataFrame({"material": ["cotton"] * 100, "texture": [None] * 100})
    silver["color"] = ["red"] * 98 + ["blue", "blue"]
    silver["pattern"] = ["solid"] * 99 + ["striped"]
    printed = dict(_notes_of_labels(silver, schema))
    assert set(printed) == {"labels", "material", "pattern"}
    assert printed["pattern"].startswith(
        "The labeller called 99.0% of the photographs that it labelled solid."
    )


def test_another_audit_redoes_the_split_but_decodes_and_encodes_nothing_again(
    opened, run, photographs, tmp_path
):
    _, truth = photographs
    shutil.copytree(run.store.root, tmp_path / "run")
    truth[["path", "color"]][20:30].to_csv(tmp_path / "audit.csv", index=False)
    lines = []
    study = opened(tmp_path / "run", **{"labelling.audit": str(tmp_path / "audit.csv")})
    study.log = lines.append
    assert set(study.audit_sheet["image_id"]) == set(truth["path"][20:30])
    states = {line[12:].split(" in ")[0]: line.split()[0] for line in lines}
    assert states == {
        "photographs": "fresh",
        "pixels": "fresh",
        "audit sheet": "computed",
        "split": "computed",
    }
    lines.clear()
    assert len(study.table("cosines.parquet")) == 42
    assert lines == ["  fresh     cosines"]


def test_the_command_says_what_an_audit_holds_and_refuses_a_wrong_one(run, photographs, capsys, tmp_path):
    home, _ = photographs
    assert main(["audit", str(home / "audit.csv"), "--run-dir", str(run.store.root)]) == 0
    printed = capsys.readouterr().out
    assert "audit.csv: 10 lines, 10 photographs, 1 annotator(s); 10 of the photographs lie in" in printed
    assert "    graphic 1: can't tell: no class of the schema" in printed and "texture: not judged" in printed
    assert printed.splitlines()[-1] == "accepted"
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("path,color\n00.jpg,reed\n99.jpg,red\n")
    assert main(["audit", str(wrong), "--run-dir", str(run.store.root)]) == 1
    printed = capsys.readouterr().out
    assert (
        "wrong.csv, line 2: color 'reed'" in printed
        and "wrong.csv, line 3: path '99.jpg' is unknown" in printed
    )
    assert printed.splitlines()[-1] == "refused: 2 problem(s)"
    assert main(["audit", str(wrong), "--run-dir", str(tmp_path)]) == 1
    assert "holds no run with photographs" in capsys.readouterr().err


def test_a_wrong_audit_stops_the_run_before_anything_is_split(opened, photographs, tmp_path):
    (tmp_path / "audit.csv").write_text("path,color\n00.jpg,reed\n")
    study = opened(tmp_path / "run", **{"labelling.audit": str(tmp_path / "audit.csv")})
    with pytest.raises(DataError, match=r"audit\.csv, line 2: color 'reed'; allowed: black"):
        study.ensure("manifest.parquet")
    assert not study.store.path("manifest.parquet").exists()
    gone = opened(tmp_path / "run", **{"labelling.audit": str(tmp_path / "none.csv")})
    with pytest.raises(DataError, match=r"none\.csv' is no file; allowed: a CSV file"):
        gone.ensure("manifest.parquet")
