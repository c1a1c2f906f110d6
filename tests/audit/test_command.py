"""`swatchbook audit`, from drawing to tables, on a run folder made by hand; no model runs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from swatchbook.audit.answers import read_judgements
from swatchbook.audit.columns import CANNOT_TELL, answer_columns
from swatchbook.audit.sample import read_sample, sample_id
from swatchbook.audit.sheet import read_sheet
from swatchbook.cli.main import main
from swatchbook.csv_io import guard
from swatchbook.schema import Schema

HOSTILE = (
    "<script>alert(1)<",
    '=HYPERLINK("http:",1)',
    'a "quoted" name',
    "👗 dress",
    "\u202eقميص",
    "007",
)
CLASSES = {
    "color": ("black", "red"),
    "pattern": ("solid", "striped"),
    "texture": ("smooth", "ribbed_structured"),
}


def make_run(root: Path, images: int = 60) -> Path:
    """A run of three fabrics: pictures of 16 pixels, manifest, silver labels and configuration."""
    rng, rows = np.random.default_rng(5), []
    for k in range(images):
        folder = ("denim", "linen", "velvet")[k % 3]
        name = f"{HOSTILE[k] if k < len(HOSTILE) else f'{k:03d}'}.png".replace("/", "∕")
        path = root / "images" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
        rows.append((f"{folder}/{name}", str(path), folder, "train" if k >= 48 else "test"))
    manifest = pd.DataFrame(rows, columns=["image_id", "path", "folder", "split"])
    silver = manifest[["image_id"]].assign(material="cotton", material_confidence=np.nan)
    for name, classes in CLASSES.items():
        silver[name] = rng.choice(classes, images)
        silver.loc[rng.random(images) < 0.1, name] = None
        silver[f"{name}_confidence"] = rng.uniform(0.3, 1, images)
    run = root / "run"
    run.mkdir()
    manifest.to_parquet(run / "manifest.parquet", index=False)
    silver.to_parquet(run / "silver.parquet", index=False)
    settings = {"schema": "textilenet", "material_map": "paper", "seed": 42, "evaluation.bootstrap": 60}
    (run / "config.json").write_text(json.dumps({"settings": settings}))
    return run


def answered(sample: pd.DataFrame, schema: Schema, who: str, **answers) -> pd.DataFrame:
    """A file of answers as the page writes it: the same answer to every item unless given by item."""
    rows = pd.DataFrame({"sample": sample_id(sample), "item": sample["item"]}).astype(str)
    rows["image_id"], rows["annotator"] = sample["image_id"].map(guard), who
    for name in schema.names:
        given = answers.get(name, schema[name].classes[0])
        rows[name] = [given[int(k)] if isinstance(given, dict) else given for k in sample["item"]]
    return rows.assign(note="", seconds="4.2")[list(answer_columns(schema))]


def saved(rows: pd.DataFrame, path: Path) -> Path:
    rows.to_csv(path, index=False, lineterminator="\r\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run whose sample of 24 images, 6 of them twice, is drawn."""
    made = make_run(tmp_path_factory.mktemp("audit"))
    assert main(["audit", "draw", "--run-dir", str(made), "--n", "24", "--repeats", "6", "--seed", "3"]) == 0
    return made


@pytest.fixture
def sample(run) -> pd.DataFrame:
    return read_sample(run / "audit")


def test_a_sample_is_drawn_from_the_test_split_and_names_no_label(run, sample):
    manifest = pd.read_parquet(run / "manifest.parquet").set_index("image_id")
    assert (manifest.loc[sample["image_id"], "split"] == "test").all()
    assert len(sample) == 30 and sample["repeat"].sum() == 6
    assert sample.loc[sample["repeat"] == 0, "weight"].sum() == pytest.approx(48)
    assert not any(label in (run / "audit" / "sample.csv").read_text() for label in ("striped", "smooth"))


def test_the_same_draw_again_changes_nothing_and_another_one_is_refused(run, capsys):
    drawn = (run / "audit" / "sample.csv").read_bytes()
    again = ["audit", "draw", "--run-dir", str(run), "--n", "24", "--repeats", "6", "--seed"]
    assert main([*again, "3"]) == 0
    assert main([*again, "4"]) == 1
    assert "holds another sample already; allowed: --replace" in capsys.readouterr().err
    assert (run / "audit" / "sample.csv").read_bytes() == drawn


def test_more_images_than_there_are_cannot_be_drawn(run, capsys):
    assert main(["audit", "draw", "--run-dir", str(run), "--n", "4000"]) == 1
    assert "n must lie between 2 and the 48 images" in capsys.readouterr().err


def test_a_plan_says_how_wide_intervals_will_be(run, capsys):
    assert main(["audit", "plan", "--run-dir", str(run)]) == 0
    table = pd.read_csv(run / "audit" / "plan.csv")
    assert set(table["design"]) == {"fabric", "neyman"} and set(table["attribute"]) >= set(CLASSES)
    assert "± to be expected" in capsys.readouterr().out


def test_the_page_is_written_from_the_sample(run, tmp_path, capsys):
    out = tmp_path / "audit.html"
    assert main(["audit", "page", "--run-dir", str(run), "--out", str(out)]) == 0
    assert "30 cards" in capsys.readouterr().out
    assert "data:image/jpeg" in out.read_text(encoding="utf-8")


def test_the_whole_way_from_answers_to_tables(run, sample, schema, tmp_path, capsys):
    """Two annotators who differ on the colour of two images, and what becomes of them."""
    first = sample[sample["repeat"] == 0].reset_index(drop=True)
    differing = first["item"].iloc[[1, 5]].tolist()
    again = sample.loc[sample["repeat"] == 1, "item"]
    anna = {"color": dict.fromkeys(sample["item"], "black") | dict.fromkeys(again[:3], "red")}
    bo = {"color": dict.fromkeys(sample["item"], "black") | dict.fromkeys(differing, "red")}
    files = [
        saved(answered(sample, schema, "Anna", **anna), tmp_path / "answers-Anna.csv"),
        saved(answered(sample, schema, "Bo", **bo), tmp_path / "answers-Bo.csv"),
    ]
    assert main(["audit", "import", *map(str, files), "--run-dir", str(run)]) == 0
    printed = capsys.readouterr().out
    assert "Anna: 24 of 24 images judged, 4 seconds an image" in printed
    assert "color: Anna and Bo agree on 91.7%" in printed
    assert "color: Anna gave the same answer twice to 50.0%" in printed

    audit = run / "audit"
    agreement = pd.read_csv(audit / "agreement.csv").set_index(["attribute", "statistic"])
    assert agreement.loc[("color", "agreement"), "value"] == pytest.approx(22 / 24)
    ceiling = pd.read_csv(audit / "self_agreement.csv").query("annotator == 'Anna'")
    ceiling = ceiling.set_index(["attribute", "statistic"])
    assert ceiling.loc[("color", "agreement"), ["value", "n"]].tolist() == [0.5, 6]
    silver = pd.read_parquet(run / "silver.parquet").set_index("image_id").loc[first["image_id"], "color"]
    scores = pd.read_csv(audit / "scores.csv").query("`class` == 'all' and statistic == 'accuracy'")
    plain = scores.query("attribute == 'color' and weighting == 'none' and abstained == 'wrong'")
    assert plain["value"].item() == pytest.approx((silver == "black").mean())

    cases = pd.read_csv(audit / "adjudicate.csv", keep_default_na=False)
    assert cases["item"].tolist() == sorted(differing)
    assert set(cases["color: Anna"]) == {"black"} and set(cases["color: Bo"]) == {"red"}
    assert set(cases["color"]) == {""} and set(cases["pattern"]) == {schema["pattern"].classes[0]}

    settled = saved(cases.assign(color="white"), tmp_path / "settled.csv")
    assert main(["audit", "import", str(settled), "--run-dir", str(run)]) == 0
    assert "2 images on which annotators differ, 0 answers open; all settled" in capsys.readouterr().out
    manifest = pd.read_parquet(run / "manifest.parquet")
    sheet = read_sheet(audit / "answers.csv", manifest["image_id"].tolist(), run.parent / "images", schema)
    assert list(dict.fromkeys(sheet.judged["annotator"])) == ["adjudicated", "Anna", "Bo"]
    ours = sheet.judged[sheet.judged["annotator"] == "adjudicated"].set_index("image_id")
    colors = first.set_index("item")["image_id"].loc[differing]
    assert set(ours.loc[colors, "color"]) == {"white"} and (ours["color"] == "black").sum() == 22
    assert ours["weight"].sum() == pytest.approx(48)
    assert main(["audit", "plan", "--run-dir", str(run)]) == 0
    assert "now, after 24 images judged by adjudicated" in capsys.readouterr().out


def test_one_wrong_line_in_one_file_imports_nothing(run, sample, schema, tmp_path, capsys):
    before = {path.name: path.read_bytes() for path in (run / "audit").iterdir()}
    right = saved(answered(sample, schema, "Cy"), tmp_path / "right.csv")
    wrong = answered(sample, schema, "Di")
    wrong.loc[4, "color"] = "bleu"
    command = [
        "audit",
        "import",
        str(right),
        str(saved(wrong, tmp_path / "wrong.csv")),
        "--run-dir",
        str(run),
    ]
    assert main(command) == 1
    printed = capsys.readouterr().out
    assert "wrong.csv, line 6: color 'bleu'; allowed: black" in printed and "nothing was imported" in printed
    assert {path.name: path.read_bytes() for path in (run / "audit").iterdir()} == before


@pytest.mark.parametrize("tool", ["labelstudio", "fiftyone"])
def test_answers_come_back_from_another_tool_as_they_went(tool, tmp_path, schema, capsys):
    run, out = make_run(tmp_path), tmp_path / "out"
    assert main(["audit", "draw", "--run-dir", str(run), "--n", "48", "--repeats", "2"]) == 0
    sample = read_sample(run / "audit")
    rows = answered(sample, schema, "Zoë", pattern=CANNOT_TELL)
    rows["note"] = [guard(note) for note in ("=1+1", "<script>", "\u202eقميص 👗", 'a "b", c', *[""] * 46)]
    assert main(["audit", "import", str(saved(rows, tmp_path / "a.csv")), "--run-dir", str(run)]) == 0
    before = read_judgements(run / "audit" / "judgements.csv", schema)
    assert main(["audit", "export", "--to", tool, "--run-dir", str(run), "--out", str(out), "--answers"]) == 0
    (run / "audit" / "judgements.csv").unlink()
    back = out / "tasks.json" if tool == "labelstudio" else out
    assert main(["audit", "import", "--from", tool, str(back), "--run-dir", str(run)]) == 0
    after = read_judgements(run / "audit" / "judgements.csv", schema)
    kept = [name for name in before if tool == "labelstudio" or name != "seconds"]
    pd.testing.assert_frame_equal(before[kept], after[kept])
    assert set(HOSTILE) <= {Path(image).stem for image in after["image_id"]}


def test_a_run_without_a_sample_or_answers_says_what_is_missing(tmp_path, schema, capsys):
    run = make_run(tmp_path)
    for command in (
        ["page", "--out", str(tmp_path / "p.html")],
        ["export", "--to", "fiftyone", "--out", "x"],
    ):
        assert main(["audit", *command, "--run-dir", str(run)]) == 1
        assert "draw an audit sample first" in capsys.readouterr().err
    assert main(["audit", "draw", "--run-dir", str(tmp_path / "none")]) == 1
    assert "holds no run with photographs" in capsys.readouterr().err


def test_a_sheet_alone_is_short_for_check(run, tmp_path, capsys):
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("path,color\ndenim/048.png,black\n")
    assert main(["audit", str(sheet), "--run-dir", str(run)]) == 0
    short = capsys.readouterr().out
    assert main(["audit", "check", str(sheet), "--run-dir", str(run)]) == 0
    assert capsys.readouterr().out == short and "accepted" in short


def test_answers_can_be_checked_without_being_taken_in(run, sample, schema, tmp_path, capsys):
    before = {path.name: path.read_bytes() for path in (run / "audit").iterdir()}
    path = saved(answered(sample, schema, "Eve"), tmp_path / "answers-Eve.csv")
    assert main(["audit", "check", str(path), "--run-dir", str(run)]) == 0
    assert "Eve: 24 of 24 images judged" in capsys.readouterr().out
    path.write_text(path.read_text(encoding="utf-8").replace("cotton", "coton", 1), encoding="utf-8")
    assert main(["audit", "check", str(path), "--run-dir", str(run)]) == 1
    assert "line 2: material 'coton'; allowed: cotton" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in (run / "audit").iterdir()} == before


def test_annotators_stay_until_they_come_again_and_their_strata_are_told(tmp_path, schema, capsys):
    run = make_run(tmp_path)
    assert main(["audit", "draw", "--run-dir", str(run), "--n", "24", "--repeats", "0"]) == 0
    sample = read_sample(run / "audit")
    one = sample["stratum"].iloc[0]
    part = answered(sample, schema, "Bo")
    part.loc[(sample["stratum"] != one).to_numpy(), list(schema.names)] = ""
    files = {"Anna": answered(sample, schema, "Anna"), "Bo": part}
    for who, rows in files.items():
        assert (
            main(["audit", "import", str(saved(rows, tmp_path / f"{who}.csv")), "--run-dir", str(run)]) == 0
        )
    assert "Bo: 2 of 3 strata have no judged image yet" in capsys.readouterr().out
    sheet = pd.read_csv(run / "audit" / "answers.csv")
    assert sheet["annotator"].value_counts().to_dict() == {"Anna": 24, "Bo": 8}
    assert sheet.groupby("annotator")["weight"].sum().to_dict() == {"Anna": 48, "Bo": 16}
    assert main(["audit", "import", str(tmp_path / "Bo.csv"), "--run-dir", str(run)]) == 0
    assert "Bo: the answers imported earlier are replaced" in capsys.readouterr().out
    again = ["audit", "draw", "--run-dir", str(run), "--n", "20", "--replace"]
    assert main(again) == 1
    assert "holds answers to another sample; move" in capsys.readouterr().err


@pytest.mark.parametrize("step", ["labels", "draw", "plan", "page", "import", "check", "export"])
def test_each_step_shows_an_example(step, capsys):
    with pytest.raises(SystemExit) as done:
        main(["audit", step, "--help"])
    assert done.value.code == 0
    named = "" if step == "labels" else f"{step} "
    assert f"example: swatchbook audit {named}" in " ".join(capsys.readouterr().out.split())


def test_an_export_among_the_photographs_is_refused(run, sample, capsys):
    """Its copies would be taken for further photographs."""
    images = run.parent / "images" / "denim"
    before = sorted(images.iterdir())
    export = ["audit", "export", "--to", "labelstudio", "--run-dir", str(run), "--out", str(images / "out")]
    assert main(export) == 1
    assert f"lies in {str(run.parent / 'images')!r}" in capsys.readouterr().err
    assert sorted(images.iterdir()) == before


@pytest.mark.parametrize("text", ["{", "[1]", '{"settings": [1]}', '{"settings": 7}', "[" * 50_000, "\xff"])
def test_a_folder_whose_config_is_damaged_holds_no_run(run, text, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "config.json").write_bytes(text.encode("latin-1"))
    assert main(["audit", "plan", "--run-dir", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert "holds no run with photographs (" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("a file", "is a file; allowed: a folder"),
        ("a file/below", "a file' is a file; allowed: a folder"),
        ("full", "already holds something; remove it or name another folder"),
        ("/proc/out", "'/proc/out' cannot be written"),
    ],
)
def test_an_export_that_cannot_be_written_is_refused_before_anything_is_read(
    run, out, message, tmp_path, capsys, monkeypatch
):
    if out.startswith("/proc") and not Path("/proc").is_dir():
        pytest.skip("no /proc here")
    (tmp_path / "a file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    monkeypatch.setattr("swatchbook.audit.steps.read_sample", lambda folder: pytest.fail("was read"))
    export = ["audit", "export", "--to", "labelstudio", "--run-dir", str(run), "--out", str(tmp_path / out)]
    assert main(export) == 1
    assert message in capsys.readouterr().err
