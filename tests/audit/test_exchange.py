"""Label Studio's and FiftyOne's files: what goes out, what their own exports bring back, hostile JSON."""

import json
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from swatchbook.audit.answers import check_rows
from swatchbook.audit.columns import CANNOT_TELL, SEVERAL
from swatchbook.audit.exchange import read_exchange, write_exchange
from swatchbook.audit.sample import sample_id
from swatchbook.data.strict_csv import DataError

LABEL_STUDIO, FIFTYONE = "labelstudio", "fiftyone"
IMAGES = ("<script>x.png", '=HYPERLINK("a").png', "“q” 'r' \"s\".png", "👗.png", "\u202eقميص.png")


@pytest.fixture
def sample() -> pd.DataFrame:
    names = [*IMAGES, IMAGES[0]]
    about = {"item": range(1, 7), "image_id": names, "stratum": "s01", "weight": 7.5}
    return pd.DataFrame({**about, "repeat": [0] * 5 + [1]})


@pytest.fixture
def paths(tmp_path) -> dict[str, str]:
    """A picture of its own colour for each image."""
    (tmp_path / "in").mkdir()
    files = {name: tmp_path / "in" / f"{k}.png" for k, name in enumerate(IMAGES)}
    for k, path in enumerate(files.values()):
        Image.new("RGB", (4, 4), (40 * k, 0, 0)).save(path)
    return {name: str(path) for name, path in files.items()}


def rows_of(sample, schema, who="Anna", **cells) -> pd.DataFrame:
    blank = dict.fromkeys((*schema.names, "note", "seconds"), "")
    return sample.assign(sample=sample_id(sample), annotator=who, **{**blank, **cells})


def red_of(path) -> int:
    return int(np.asarray(Image.open(path))[0, 0, 0])


# ---- Label Studio ---------------------------------------------------------------------------------------


def test_the_configuration_asks_every_attribute_with_its_classes(sample, paths, schema, tmp_path):
    write_exchange(LABEL_STUDIO, sample, paths, schema, tmp_path / "out")
    view = ElementTree.parse(tmp_path / "out" / "config.xml").getroot()
    asked = {c.get("name"): [x.get("value") for x in c] for c in view.iter("Choices")}
    assert asked == {a.name: [*a.classes, CANNOT_TELL, SEVERAL] for a in schema}
    assert {c.get("toName") for c in view.iter("Choices")} == {view.find("Image").get("name")}


def test_blind_tasks_hold_names_as_text_and_nothing_of_the_machine(sample, paths, schema, tmp_path):
    write_exchange(LABEL_STUDIO, sample, paths, schema, tmp_path / "out")
    path = tmp_path / "out" / "tasks.json"
    tasks = json.loads(path.read_text(encoding="utf-8"))
    assert [task["data"]["image_id"] for task in tasks] == sample["image_id"].tolist()
    assert all(task["annotations"] == [] for task in tasks)
    assert {key for task in tasks for key in task["data"]} == {"image", "item", "sample", "image_id"}
    for k, task in enumerate(tasks):
        name = task["data"]["image"].removeprefix("/data/local-files/?d=")
        assert name == f"images/{k + 1:04d}.png" and red_of(tmp_path / "out" / name) == 40 * (k % 5)


def annotated(task, who, **choices):
    """An annotation as Label Studio exports it."""
    result = [
        {"id": "Dx_aB9", "origin": "manual", "from_name": name, "to_name": "photograph",
         "type": "choices", "value": {"choices": [label]}}
        for name, label in choices.items()
    ]  # fmt: skip
    task["annotations"].append(
        {"id": 7, "completed_by": who, "result": result, "was_cancelled": False, "ground_truth": False,
         "created_at": "2026-01-02T03:04:05.000Z", "lead_time": 4.288, "task": 1}
    )  # fmt: skip


@pytest.fixture
def tasks(sample, paths, schema, tmp_path):
    """Tasks as Label Studio exports them, and a way to read them when they are annotated."""
    write_exchange(LABEL_STUDIO, sample, paths, schema, tmp_path / "out")
    path = tmp_path / "out" / "tasks.json"
    content = json.loads(path.read_text(encoding="utf-8"))

    def read():
        export = tmp_path / "project-1-at-2026.json"
        export.write_text(json.dumps(content), encoding="utf-8")
        return read_exchange(LABEL_STUDIO, export, schema)

    return content, read


def test_annotations_of_label_studio_become_judgements(tasks, sample, schema):
    content, read = tasks
    annotated(content[0], {"id": 3, "email": "anna@example.org"}, color="red", texture=SEVERAL)
    annotated(content[0], 12, color="black")
    annotated(content[2], {"id": 3, "email": "anna@example.org"}, pattern=CANNOT_TELL)
    note = {
        "from_name": "note",
        "to_name": "photograph",
        "type": "textarea",
        "value": {"text": ["=1", "<b>"]},
    }
    content[2]["annotations"][0]["result"].append(note)
    annotated(content[3], 12, color="navy")
    content[3]["annotations"][0]["was_cancelled"] = True
    content[4]["predictions"] = [{"result": [{"from_name": "color", "value": {"choices": ["blue"]}}]}]
    judged, problems = check_rows(read(), "export.json", sample, schema)
    assert problems == () and len(judged) == 12
    by = judged.set_index(["annotator", "item"])
    assert by.loc[("anna@example.org", 1), ["color", "texture", "seconds"]].tolist() == [
        "red",
        SEVERAL,
        "4.3",
    ]
    assert by.loc[("user 12", 1), "color"] == "black" and by.loc[("user 12", 4), "color"] == ""
    assert by.loc[("anna@example.org", 3), ["pattern", "note"]].tolist() == [CANNOT_TELL, "=1\n<b>"]
    assert (by.loc["user 12", "color"] == "").sum() == 5


def test_what_was_shifted_in_label_studio_is_told_by_task(tasks, sample, schema):
    content, read = tasks
    annotated(content[1], 12, color="red")
    content[1]["data"]["image_id"] = IMAGES[3]
    judged, problems = check_rows(read(), "export.json", sample, schema)
    assert judged is None
    assert problems[0].startswith(
        "export.json, task 2, annotation by user 12: image_id '👗.png': it is another"
    )


BAD_RESULTS = {
    "two choices": (
        [("color", {"choices": ["red", "blue"]})],
        r"color has \['red', 'blue'\]; allowed: one choice",
    ),
    "a choice twice": ([("color", {"choices": ["red"]})] * 2, "color has .* allowed: one choice"),
    "no choice": ([("color", {"choices": []})], "color has .* allowed: one choice"),
    "not asked": ([("size", {"choices": ["red"]})], "'size' was not asked; allowed: material, color"),
    "a box": (
        [("color", {"x": 1, "rectanglelabels": ["red"]})],
        "color holds .* allowed: one choice or text",
    ),
    "a number": ([("color", {"choices": [3]})], "color holds .* allowed: one choice or text"),
    "nothing": ([("color", None)], "color holds None; allowed: one choice or text"),
}


@pytest.mark.parametrize("case", BAD_RESULTS)
def test_annotations_that_are_no_answer_are_refused(case, tasks):
    results, message = BAD_RESULTS[case]
    content, read = tasks
    result = [{"from_name": name, "type": "choices", "value": value} for name, value in results]
    content[2]["annotations"] = [{"completed_by": 1, "result": result}]
    with pytest.raises(DataError, match=f"task 3, annotation by user 1: {message}"):
        read()


def test_one_person_twice_on_a_task_is_refused(tasks):
    content, read = tasks
    annotated(content[0], 1, color="red")
    annotated(content[0], 1, color="blue")
    with pytest.raises(DataError, match="task 1, annotation by user 1: there are two; allowed: one"):
        read()


# ---- FiftyOne -------------------------------------------------------------------------------------------


def test_the_data_set_declares_its_fields_and_has_no_version(sample, paths, schema, tmp_path):
    out = tmp_path / "out"
    write_exchange(FIFTYONE, sample, paths, schema, out)
    metadata = json.loads((out / "metadata.json").read_text())
    assert "version" not in metadata and metadata["media_type"] == "image"
    label = "fiftyone.core.fields.EmbeddedDocumentField(fiftyone.core.labels.Classification)"
    assert {metadata["sample_fields"][name] for name in schema.names} == {label}
    assert metadata["info"]["classes"]["color"] == [*schema["color"].classes, CANNOT_TELL, SEVERAL]
    samples = json.loads((out / "samples.json").read_text(encoding="utf-8"))["samples"]
    assert set(samples[0]) == set(metadata["sample_fields"])
    assert [entry["image_id"] for entry in samples] == sample["image_id"].tolist()
    assert all(entry[name] is None for entry in samples for name in schema.names)
    assert [red_of(out / entry["filepath"]) for entry in samples] == [0, 40, 80, 120, 160, 0]


def test_a_data_set_that_fiftyone_exported_becomes_judgements(sample, paths, schema, tmp_path):
    out = tmp_path / "out"
    write_exchange(FIFTYONE, sample, paths, schema, out)
    content = json.loads((out / "samples.json").read_text(encoding="utf-8"))
    for k, entry in enumerate(content["samples"]):  # as its database writes them
        entry |= {"_id": {"$oid": f"{k:024x}"}, "_media_type": "image", "created_at": {"$date": "2026-01-02"}}
    one = {"_id": {"$oid": "6b" * 12}, "_cls": "Classification", "tags": [], "label": "red", "logits": None}
    content["samples"][0]["color"] = one
    content["samples"][1] |= {"annotator": "Bo", "color": one | {"label": "several"}, "note": "<script>"}
    many = [one | {"label": "solid", "annotator": "Cy"}, one | {"label": "striped", "annotator": "Bo"}]
    content["samples"][2]["pattern"] = {"_cls": "Classifications", "classifications": many, "logits": None}
    (out / "samples.json").write_text(json.dumps(content))
    judged, problems = check_rows(read_exchange(FIFTYONE, out, schema), "samples.json", sample, schema)
    assert problems == ()
    by = judged.set_index(["annotator", "item"])
    assert by.loc[("fiftyone", 1), "color"] == "red" and by.loc[("Cy", 3), "pattern"] == "solid"
    assert by.loc[("Bo", 2), ["color", "note"]].tolist() == ["several", "<script>"]
    assert by.loc[("Bo", 3), "pattern"] == "striped" and by.loc[("Bo", 1), "color"] == ""


@pytest.mark.parametrize("tool", [LABEL_STUDIO, FIFTYONE])
def test_answers_written_are_the_answers_read(tool, sample, paths, schema, tmp_path):
    notes = ["=1+1", "<script>", 'a "b", c', "\u202eقميص", "two\nlines", ""]
    first = rows_of(sample, schema, "Anna", color="red", pattern=CANNOT_TELL, note=notes)
    second = rows_of(sample, schema, "Bo", color=["", *["black"] * 5])
    given = pd.concat([first, second], ignore_index=True)
    write_exchange(tool, sample, paths, schema, tmp_path / "out", given)
    rows = read_exchange(tool, tmp_path / "out", schema)
    judged, problems = check_rows(rows, "back", sample, schema)
    assert problems == ()
    columns = ["annotator", "item", "image_id", *schema.names, "note"]
    pd.testing.assert_frame_equal(judged[columns], given[columns], check_dtype=False)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([{"color": "red"}], "sample 1: color is 'red'; allowed: a mapping"),
        ([{"color": {"label": 3}}], "sample 1: color has the label 3; allowed: text"),
        ([{"color": {"classifications": "red"}}], "color is 'red'; allowed: a list of mappings"),
        ([{"color": {"classifications": [{"label": "red"}] * 2}}], "sample 1: color has two labels by 'fiftyone'"),
        ([5], "sample 1 is 5; allowed: a mapping"),
        ([{"color": None}], "holds no annotation that was submitted"),
        ([], "holds no annotation that was submitted"),
    ],
)  # fmt: skip
def test_a_data_set_that_says_something_impossible_is_refused(samples, message, schema, tmp_path):
    path = tmp_path / "samples.json"
    path.write_text(json.dumps({"samples": samples}))
    with pytest.raises(DataError, match=message):
        read_exchange(FIFTYONE, path, schema)


# ---- both -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", [LABEL_STUDIO, FIFTYONE])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[{"data": {}, "annota', "is not whole JSON"),
        (b"\xff\xfe[]", "is not UTF-8"),
        (b"item,color\n1,red\n", "is not whole JSON"),
        (b"[" * 100_000, "is not whole JSON"),
        (b'"text"', "is no "),
        (b'[{"image": "1.jpg", "color": "red"}]', "is no "),
    ],
)
def test_a_file_that_is_something_else_is_refused(tool, content, message, schema, tmp_path):
    path = tmp_path / "export.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_exchange(tool, path, schema)


@pytest.mark.parametrize("tool", [LABEL_STUDIO, FIFTYONE])
def test_nothing_is_written_without_every_picture_or_over_something(tool, sample, paths, schema, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"1 pictures are not there, the first is '.*none\.png'"):
        write_exchange(tool, sample, paths | {IMAGES[2]: str(tmp_path / "none.png")}, schema, out)
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("")
    with pytest.raises(ValueError, match="already holds something"):
        write_exchange(tool, sample, paths, schema, out)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
