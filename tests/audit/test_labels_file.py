"""Files of labels in and out: four forms say the same, and a correction changes what it corrects and no more."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from swatchbook.audit.labels_file import locate, read_rows, write_corrected
from swatchbook.data.strict_csv import DataError

ROWS = [
    ("a/1.jpg", "red", "0.9", "plain"),
    ("a/2.jpg", "blue", "0.25", "striped"),
    ("=b.jpg", "", "", "plain"),
]
CSV = (
    b'\xef\xbb\xbfimage,color,color_confidence,pattern,note\r\n"a/1.jpg",red,0.9,plain,"two\r\nlines, ""x"""\r\n'
    b"a/2.jpg,blue,0.25,striped,\r\n'=b.jpg,,,plain,last\r\n"
)


def label_studio() -> list[dict]:
    tasks = []
    for k, (path, color, sure, pattern) in enumerate(ROWS):
        result = [
            {"id": "x", "from_name": name, "to_name": "img", "type": "choices", "value": {"choices": [label]}}
            for name, label in (("color", color), ("pattern", pattern))
            if label
        ]
        if sure:
            result[0]["score"] = float(sure)
        box = {"from_name": "box", "to_name": "img", "type": "rectanglelabels", "value": {"x": 1.5}}
        data = {"image": f"/data/local-files/?d=photos/{path}", "extra": [1, "=x"]}
        tasks.append(
            {"id": k, "data": data, "predictions": [{"result": [*result, box], "model_version": "m"}]}
        )
    return tasks


def fiftyone() -> dict:
    samples = []
    for path, color, sure, pattern in ROWS:
        label = {"_cls": "Classification", "tags": ["t"], "label": color, "logits": None}
        label |= {"confidence": float(sure)} if sure else {}
        samples.append(
            {
                "filepath": f"photos/{path}",
                "tags": [],
                "color": label if color else None,
                "pattern": {"_cls": "Classification", "label": pattern},
                "boxes": {"_cls": "Detections", "detections": []},
            }
        )
    return {"samples": samples}


def write(kind: str, folder: Path) -> Path:
    if kind == "csv":
        path = folder / "labels.csv"
        path.write_bytes(CSV)
    elif kind == "parquet":
        path = folder / "labels.parquet"
        table = pa.table(
            {
                "image": [row[0] for row in ROWS],
                "color": pa.array([row[1] or None for row in ROWS]).dictionary_encode(),
                "color_confidence": pa.array([0.9, 0.25, None], pa.float32()),
                "pattern": [row[3] for row in ROWS],
                "embedding": pa.array([[1.0], [2.0], [3.0]]),
            }
        )
        pq.write_table(table.replace_schema_metadata({"made": "by a model"}), path)
    else:
        path = folder / ("samples.json" if kind == "fiftyone" else "export.json")
        content = fiftyone() if kind == "fiftyone" else label_studio()
        path.write_text(json.dumps(content, indent=2), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet", "labelstudio", "fiftyone"])
def test_every_form_gives_the_same_labels_and_confidences(kind, tmp_path):
    rows = read_rows(locate(write(kind, tmp_path)))
    assert rows["color"].tolist() == ["red", "blue", ""] and rows["pattern"].tolist() == [
        "plain",
        "striped",
        "plain",
    ]
    assert pd.to_numeric(rows["color_confidence"]).tolist()[:2] == pytest.approx([0.9, 0.25])
    key = "image" if kind in ("csv", "parquet") else "path"
    assert [name.removeprefix("photos/").lstrip("'") for name in rows[key]] == [row[0] for row in ROWS]
    assert (
        rows.index[0]
        == {"csv": "line 3", "parquet": "row 1", "labelstudio": "task 1", "fiftyone": "sample 1"}[kind]
    )


CHANGES = {(0, "color"): "pink", (2, "color"): "green"}


def test_lines_of_a_csv_that_nothing_changes_keep_their_bytes(tmp_path):
    path, out = write("csv", tmp_path), tmp_path / "out.csv"
    write_corrected(path, out, {})
    assert out.read_bytes() == CSV
    write_corrected(path, out, CHANGES)
    expected = CSV.replace(b'"a/1.jpg",red', b"a/1.jpg,pink").replace(b"jpg,,,plain", b"jpg,green,,plain")
    assert out.read_bytes() == expected


def test_a_line_that_was_quoted_throughout_stays_so(tmp_path):
    path, out = tmp_path / "l.csv", tmp_path / "out.csv"
    path.write_text('"image","color"\n"1.jpg","red"\n"2.jpg","red"\n')
    write_corrected(path, out, {(1, "color"): "blue"})
    assert out.read_text() == '"image","color"\n"1.jpg","red"\n"2.jpg","blue"\n'


def test_parquet_keeps_types_metadata_and_nested_columns(tmp_path):
    path, out = write("parquet", tmp_path), tmp_path / "out.parquet"
    before = pq.read_table(path)
    write_corrected(path, out, CHANGES)
    after = pq.read_table(out)
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after["color"].to_pylist() == ["pink", "blue", "green"]
    assert after.drop(["color"]).equals(before.drop(["color"]))


@pytest.mark.parametrize("kind", ["labelstudio", "fiftyone"])
def test_json_is_the_same_but_for_the_corrected_labels(kind, tmp_path):
    path, out = write(kind, tmp_path), tmp_path / "out.json"
    write_corrected(path, out, {})
    assert json.loads(out.read_text()) == json.loads(path.read_text())
    assert out.read_text().splitlines()[:3] == path.read_text().splitlines()[:3]
    write_corrected(path, out, CHANGES)
    expected, made = json.loads(path.read_text()), json.loads(out.read_text())
    assert read_rows(out)["color"].tolist() == ["pink", "blue", "green"]
    if kind == "fiftyone":
        expected["samples"][0]["color"]["label"] = "pink"
        expected["samples"][2]["color"] = {"_cls": "Classification", "tags": [], "label": "green"}
    else:
        expected[0]["predictions"][0]["result"][0]["value"]["choices"] = ["pink"]
        added = {"from_name": "color", "to_name": "img", "type": "choices", "value": {"choices": ["green"]}}
        expected[2]["predictions"][0]["result"].append(added)
    assert made == expected


def test_a_folder_of_fiftyone_is_its_samples(tmp_path):
    assert locate(write("fiftyone", tmp_path).parent) == tmp_path / "samples.json"


def test_annotations_are_the_labels_where_no_model_predicted(tmp_path):
    tasks = label_studio()
    for task in tasks:
        task["annotations"] = task.pop("predictions")
    (tmp_path / "e.json").write_text(json.dumps(tasks))
    assert read_rows(tmp_path / "e.json")["color"].tolist() == ["red", "blue", ""]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "is no file of labels; allowed: a CSV or Parquet file"),
        ("l.txt", "a", "is no file of labels"),
        ("l.csv", "image;color\na;red\n", "l.csv is not separated by commas"),
        ("l.csv", "image,color\na,red", "does not end in a line break"),
        ("l.csv", "image,color\n", "has a header and no rows"),
        ("l.parquet", "no parquet", "l.parquet is no Parquet file that can be read"),
        ("l.json", "{", "l.json is not whole JSON"),
        ("l.json", "[]", "l.json holds no label"),
        ("l.json", "{}", "l.json is no FiftyOne data set"),
        ("l.json", '[{"x": 1}]', "l.json is no list of Label Studio tasks"),
        (
            "l.json",
            '[{"data": {"image": "a"}, "predictions": [{"result": []}, {"result": []}]}]',
            "l.json, task 1 has 2 predictions; allowed: one",
        ),
        (
            "l.json",
            '[{"data": {"image": "a"}, "predictions": [{"result": [{"from_name": "color", "value": '
            '{"choices": ["red", "blue"]}}]}]}]',
            "l.json, task 1: color holds ['red', 'blue']; allowed: one choice",
        ),
    ],
)
def test_what_is_no_file_of_labels_is_refused(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as refused:
        read_rows(locate(tmp_path / name))
    assert message in str(refused.value)
