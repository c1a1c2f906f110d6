"""`swatchbook audit --labels`, as a person does it: from a file of labels to a report and corrected labels."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from swatchbook.audit.columns import answer_columns
from swatchbook.audit.sample import read_sample, sample_id
from swatchbook.cli.main import main
from swatchbook.csv_io import write_csv
from swatchbook.data.readers import published
from swatchbook.evaluation.weighted_scores import FEWEST
from swatchbook.schema import Schema
from swatchbook.studies.study import Study
from tests.browser import check_page, open_page

RGB = {"blue": (30, 60, 200), "red": (200, 40, 40), "green": (40, 160, 60)}
KEYS = {"color": {"blue": "1", "green": "2", "red": "3"}, "pattern": {"plain": "1", "striped": "2"}}


def make_labels(home: Path, images: int = 60, wrong: int = 12) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Photographs of one colour, half of them striped; labels of which some are wrong and the surer ones right."""
    rng = np.random.default_rng(3)
    color, pattern = rng.choice(list(RGB), images), rng.choice(["plain", "striped"], images)
    for k in range(images):
        pixels = np.full((24, 24, 3), RGB[color[k]], np.uint8)
        if pattern[k] == "striped":
            pixels[:, ::4] = pixels[:, 1::4] = 255
        path = home / "photos" / f"{k % 3}" / f"{k:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    truth = pd.DataFrame(
        {"image": [f"{k % 3}/{k:03d}.png" for k in range(images)], "color": color, "pattern": pattern}
    )
    labels, planted = truth.copy(), rng.choice(images, wrong, replace=False)
    others = {name: [each for each in RGB if each != name] for name in RGB}
    labels.loc[planted, "color"] = [rng.choice(others[c]) for c in color[planted]]
    sure = np.where(
        np.isin(np.arange(images), planted), rng.uniform(0.3, 0.6, images), rng.uniform(0.6, 1, images)
    )
    labels.insert(2, "color_confidence", sure.round(3))
    labels.to_csv(home / "labels.csv", index=False, lineterminator="\r\n")
    return labels, truth


def audit(home: Path, *more: object, labels: str = "labels.csv") -> int:
    command = ["audit", "--labels", home / labels, "--images", home / "photos", "--out", home / "out", *more]
    return main([str(each) for each in command])


def answered(home: Path, truth: pd.DataFrame, who: str = "Anna", items: int | None = None) -> Path:
    """A file of answers to the drawn sample, all of them true; the first so many items only."""
    schema, sample = Schema.load(home / "out" / "schema.yaml"), read_sample(home / "out" / "audit")
    rows = pd.DataFrame({"sample": sample_id(sample), "item": sample["item"], "image_id": sample["image_id"]})
    true = truth.set_index("image").loc[sample["image_id"]]
    for a in schema:
        rows[a.name] = true[a.name].to_numpy()
        if items is not None:
            rows.loc[items:, a.name] = ""
    path = home / f"answers-{who}.csv"
    columns = list(answer_columns(schema))
    rows.assign(annotator=who, note="", seconds="4.0")[columns].to_csv(
        path, index=False, lineterminator="\r\n"
    )
    return path


def table(home: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(home / "out" / "audit" / f"{name}.csv", keep_default_na=False, na_values=[""])


# ---- the whole way --------------------------------------------------------------------------------------


def seen(page) -> dict[str, str]:
    """What a person sees in the photograph on the card."""
    data = page.evaluate(
        """async () => {
          const image = document.querySelector('.judge-image');
          await image.decode();
          const canvas = document.createElement('canvas');
          [canvas.width, canvas.height] = [24, 24];
          const context = canvas.getContext('2d');
          context.drawImage(image, 0, 0, 24, 24);
          return [...context.getImageData(0, 12, 24, 1).data];
        }"""
    )
    row = np.array(data).reshape(24, 4)[:, :3].astype(int)
    dark = row[row.sum(1) <= np.median(row.sum(1))].mean(0)
    color = min(RGB, key=lambda name: np.abs(dark - RGB[name]).sum())
    return {"color": color, "pattern": "striped" if (row.sum(1) > 700).any() else "plain"}


def judge(path: Path, name: str, out: Path) -> list[dict[str, str]]:
    """Sign in, answer every question of every card by key, save; what was asked and what stood there."""
    problems, told = [], []
    with open_page(path, 1280, problems) as page:
        page.fill("#annotator", name)
        page.keyboard.press("Enter")
        page.wait_for_selector(".judge-card")
        while page.locator(".judge-card").is_visible():
            asked = page.locator(".judge-active .judge-heading > span:first-child").inner_text().lower()
            told.append(
                {
                    "where": page.locator(".judge-position").inner_text(),
                    "asked": asked,
                    "labelled": page.locator(".judge-active .judge-labelled").inner_text(),
                    "answers": page.locator(".judge-answer").all_inner_texts(),
                }
            )
            page.keyboard.press(KEYS[asked][seen(page)[asked]])
        with page.expect_download() as download:
            page.locator(".judge-finish button", has_text="Save CSV").click()
        download.value.save_as(out / download.value.suggested_filename)
    assert problems == []
    return told


@pytest.mark.browser
def test_an_hour_of_a_persons_eyes_tells_how_wrong_labels_are_and_corrects_them(tmp_path, capsys):
    labels, truth = make_labels(tmp_path, images=30, wrong=8)
    before = (tmp_path / "labels.csv").read_bytes()
    assert audit(tmp_path, "--n", 14) == 0
    printed = capsys.readouterr().out
    assert "color: 3 classes, 30 labels, with confidences" in printed
    assert "next: swatchbook audit --labels" in printed and "--answers answers-NAME.csv" in printed

    page = tmp_path / "out" / "audit.html"
    assert "labelled" not in [each for each in json.loads(_work(page)) if each in ("given", "asked")]
    told = judge(page, "Anna", tmp_path)
    assert len(told) == 2 * (14 + 1) and {each["labelled"] for each in told} == {""}

    answers = tmp_path / "answers-Anna.csv"
    assert audit(tmp_path, "--answers", answers) == 0
    printed = capsys.readouterr().out
    assert "color: silver labels are right on" in printed and "correct.html" in printed
    accuracy = _whole(table(tmp_path, "scores"), "color", "accuracy")
    really = (labels["color"] == truth["color"]).mean()
    assert accuracy["low"] < really < accuracy["high"] and accuracy["n"] == 14

    told = judge(tmp_path / "out" / "correct.html", "Anna", tmp_path)
    assert {each["asked"] for each in told} == {"color"} and len(told) == 16  # those that were not judged yet
    assert all(each["labelled"].startswith("labelled ") for each in told)
    assert all(each["answers"][1] in ("✓ plain", "✓ striped", "plain", "striped") for each in told)
    corrections = tmp_path / "corrections-Anna.csv"
    assert audit(tmp_path, "--answers", answers, corrections) == 0
    printed = capsys.readouterr().out
    assert "corrections: 16 of 16 photographs finished" in printed
    assert "no label is left that the list could ask about" in printed

    corrected = pd.read_csv(tmp_path / "out" / "labels-corrected.csv")
    pd.testing.assert_frame_equal(corrected[["image", "color", "pattern"]], truth)
    pd.testing.assert_frame_equal(corrected.drop(columns="color"), labels.drop(columns="color"))
    assert (tmp_path / "labels.csv").read_bytes() == before
    files = (_lines(tmp_path / path) for path in ("labels.csv", "out/labels-corrected.csv"))
    same = [a == b for a, b in zip(*files, strict=True)]
    assert same.count(False) == 8 == len(table(tmp_path, "corrected"))
    assert audit(tmp_path, "--answers", answers, corrections) == 0  # the same once more changes nothing
    assert "corrections-Anna.csv: imported before" in capsys.readouterr().out

    for width in (1280, 375):
        assert check_page(tmp_path / "out" / "report.html", width) == []


def _work(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    start = text.index('id="work">') + len('id="work">')
    return text[start : text.index("</script>", start)]


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def _whole(scores: pd.DataFrame, attribute: str, statistic: str, abstained: str = "wrong") -> pd.Series:
    kept = scores.query(
        "`class` == 'all' and weighting == 'design' and attribute == @attribute "
        "and statistic == @statistic and abstained == @abstained"
    )
    return kept.iloc[0]


def test_the_report_says_what_the_tables_hold(tmp_path, capsys):
    labels, truth = make_labels(tmp_path)
    assert audit(tmp_path, "--n", 30) == 0 and audit(tmp_path, "--answers", answered(tmp_path, truth)) == 0
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    row = _whole(table(tmp_path, "scores"), "color", "accuracy", "left_out")
    wrong = [round((1 - row[end]) * 60) for end in ("value", "high", "low")]
    assert f"about {wrong[0]} of 60 labels are wrong [{wrong[1]}, {wrong[2]}]" in report
    most = labels["color"].value_counts().idxmax()
    always = _whole(table(tmp_path, "baseline"), "color", "accuracy")
    judged = truth.set_index("image").loc[
        read_sample(tmp_path / "out" / "audit")["image_id"].unique(), "color"
    ]
    assert always["n"] == len(judged) == 30 and 0 < always["value"] < 1
    assert abs(always["value"] - (truth["color"] == most).mean()) < 0.25
    suspects = table(tmp_path, "suspects")
    assert suspects["attribute"].unique().tolist() == ["color"]
    planted = set(truth["image"][(labels["color"] != truth["color"]).to_numpy()])
    assert set(suspects["image_id"].head(12)) == planted
    assert report.count("<li>\n<img") == 12 and "http" not in report.replace("http-equiv", "")


# ---- few answers, and answers of other samples ------------------------------------------------------------


@pytest.mark.parametrize("items", [1, 3, 4, 7])
def test_no_interval_has_no_width_and_too_few_answers_are_called_so(items, tmp_path, capsys):
    _, truth = make_labels(tmp_path, images=24, wrong=0)
    assert audit(tmp_path, "--n", 12) == 0
    assert audit(tmp_path, "--answers", answered(tmp_path, truth, items=items)) == 0
    printed = capsys.readouterr().out
    assert "nan" not in printed
    n = _whole(table(tmp_path, "scores"), "color", "accuracy")["n"]
    few = f"color: not estimable: fewer than {FEWEST} judged images, n = "
    assert (few in printed) == (n < FEWEST)
    for name in ("scores", "baseline", "ranking", "agreement", "self_agreement"):
        made = table(tmp_path, name).query("interval != 'counted' and value == value")
        assert (made["low"] < made["high"]).all() and (made["n"] > 0).all()
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert ("too few are judged to say anything" in report) == (n < FEWEST)
    assert not re.search(r"\bnan\b", report)


def test_answers_to_another_sample_are_refused(tmp_path, capsys):
    _, truth = make_labels(tmp_path)
    assert audit(tmp_path, "--n", 20) == 0
    answers = answered(tmp_path, truth)
    answers.write_text(
        answers.read_text().replace(sample_id(read_sample(tmp_path / "out" / "audit")), "0" * 16)
    )
    assert audit(tmp_path, "--answers", answers) == 1
    printed = capsys.readouterr().out
    assert "the answers belong to another sample than the one drawn in this run" in printed
    assert "nothing was imported" in printed
    assert not (tmp_path / "out" / "report.html").exists()


def test_other_labels_do_not_go_into_the_folder_of_these(tmp_path, capsys):
    labels, _ = make_labels(tmp_path)
    assert audit(tmp_path, "--n", 20) == 0
    labels.assign(color="red").to_csv(tmp_path / "labels.csv", index=False)
    assert audit(tmp_path, "--schema", str(tmp_path / "out" / "schema.yaml")) == 1
    assert "holds the audit of other labels than labels.csv has now" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.rename(columns={"image": "photo"}), "no column that names the image"),
        (lambda t: t.assign(image="9/999.png"), "(60 such); allowed: an image below"),
        (lambda t: t.assign(color_confidence=2), "allowed: a number from 0 to 1"),
    ],
)
def test_labels_that_are_refused_leave_nothing_behind(change, message, tmp_path, capsys):
    labels, _ = make_labels(tmp_path)
    change(labels).to_csv(tmp_path / "labels.csv", index=False)
    assert audit(tmp_path) == 1
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_refused_before_the_labels_are_read(tmp_path, capsys):
    (tmp_path / "out").touch()
    (tmp_path / "labels.csv").write_text("not read")
    assert audit(tmp_path) == 1
    assert "is a file; allowed: a folder" in capsys.readouterr().err


@pytest.mark.parametrize("count", [-1, 501])
def test_a_list_has_at_most_as_many_photographs_as_fit_on_a_page(count, tmp_path, capsys):
    make_labels(tmp_path, images=12, wrong=2)
    assert audit(tmp_path, f"--correct={count}") == 1
    assert f"correct must lie between 0 and 500; received {count}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# ---- a second labeller, other tools, the steps of an audit ------------------------------------------------


def test_without_confidences_a_second_labeller_gives_the_order(tmp_path, capsys):
    labels, truth = make_labels(tmp_path)
    labels.drop(columns="color_confidence").to_csv(tmp_path / "labels.csv", index=False)
    assert audit(tmp_path, "--n", 20) == 0
    answers = answered(tmp_path, truth)
    assert audit(tmp_path, "--answers", answers) == 0
    assert "no order of likely errors: the labels have no confidences" in capsys.readouterr().out
    second = truth.assign(
        color=truth["color"].replace("green", "teal")
    )  # a class that the labels do not know
    second.iloc[:50].to_csv(tmp_path / "second.csv", index=False)  # and not of all photographs
    assert audit(tmp_path, "--answers", answers, "--second", tmp_path / "second.csv") == 0
    suspects = table(tmp_path, "suspects").query("attribute == 'color'")
    known = truth.index.isin(range(50)) & (truth["color"] != "green")
    assert set(suspects["image_id"]) == set(truth["image"][known])
    wrong = set(truth["image"][known & (labels["color"] != truth["color"])])
    assert set(suspects["image_id"].head(len(wrong))) == wrong
    assert set(suspects.head(len(wrong))["instead"]) <= {"blue", "red"}


def test_labels_of_label_studio_go_in_and_come_back(tmp_path):
    labels, truth = make_labels(tmp_path)
    tasks = [
        {
            "data": {"image": f"/data/local-files/?d=photos/{row.image}"},
            "predictions": [
                {
                    "result": [
                        {"from_name": name, "to_name": "i", "type": "choices", "value": {"choices": [label]}}
                        for name, label in (("color", row.color), ("pattern", row.pattern))
                    ]
                }
            ],
        }
        for row in labels.itertuples()
    ]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    assert audit(tmp_path, labels="export.json") == 0
    assert audit(tmp_path, "--answers", answered(tmp_path, truth), labels="export.json") == 0
    made = json.loads((tmp_path / "out" / "export-corrected.json").read_text())
    values = [[r["value"]["choices"][0] for r in task["predictions"][0]["result"]] for task in made]
    assert values == truth[["color", "pattern"]].to_numpy().tolist()


def test_the_folder_is_a_run_for_every_step_of_an_audit(tmp_path, capsys):
    _, truth = make_labels(tmp_path)
    assert audit(tmp_path, "--n", 20) == 0
    out = tmp_path / "out"
    assert main(["audit", "plan", "--run-dir", str(out)]) == 0
    exported = ["audit", "export", "--to", "fiftyone", "--run-dir", str(out), "--out", str(tmp_path / "fo")]
    assert main(exported) == 0 and (tmp_path / "fo" / "samples.json").is_file()
    assert main(["audit", "import", str(answered(tmp_path, truth)), "--run-dir", str(out)]) == 0
    assert audit(tmp_path) == 0  # what was imported step by step is reported as well
    assert (out / "report.html").is_file() and "report.html: the report" in capsys.readouterr().out


# ---- the published study ----------------------------------------------------------------------------------


def test_the_published_labels_as_a_plain_file_give_the_numbers_of_the_studys_notebook(
    published_dir, tmp_path
):
    study = Study.open("published", tmp_path / "study", source=str(published_dir))
    theirs = study.audit
    data = published.read(published.locate(published_dir), study.spec.schema(study.config))
    names = ["color", "pattern", "texture"]  # the material follows the folder, and nobody judged it
    for image in data.silver["image_id"]:
        (tmp_path / "photos" / image).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / image).touch()
    data.silver[["image_id", *names]].rename(columns={"image_id": "path"}).to_csv(
        tmp_path / "labels.csv", index=False
    )
    sheet = data.audit[["image_id", "annotator", "stratum", "weight", *names]]
    write_csv(sheet, tmp_path / "audit.csv")
    asked = ("--schema", "textilenet", "--attributes", ",".join(names))
    assert audit(tmp_path, *asked, "--answers", tmp_path / "audit.csv") == 0
    keys = ["attribute", "class", "abstained", "weighting", "statistic"]
    ours = table(tmp_path, "scores").set_index(keys)
    theirs = theirs[theirs["attribute"].isin(names)].set_index(keys)
    assert ours.index.tolist() == theirs.index.tolist()
    numbers = ["value", "low", "high", "n"]
    pd.testing.assert_frame_equal(ours[numbers], theirs[numbers], rtol=1e-8, check_dtype=False)
    assert ours["interval"].fillna("").tolist() == theirs["interval"].fillna("").tolist()
    assert (
        round(_whole(table(tmp_path, "scores"), "color", "accuracy")["n"])
        == data.audit["color"].notna().sum()
    )


def test_the_example_of_the_docstring_is_the_command(tmp_path):
    from swatchbook import audit_labels

    make_labels(tmp_path, images=12, wrong=2)
    lines, accepted = audit_labels(tmp_path / "labels.csv", tmp_path / "photos", tmp_path / "out")
    assert accepted and (tmp_path / "out" / "audit.html").is_file() and "next:" in lines[-1]
    assert ">>> lines, accepted = audit_labels(" in audit_labels.__doc__
    assert (
        pd.read_csv(io.StringIO((tmp_path / "out" / "audit" / "sample.csv").read_text()))["repeat"].sum() == 1
    )
