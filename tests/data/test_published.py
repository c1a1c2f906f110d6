"""The reader of the published exports: what it gives, and what it refuses with which words."""

import csv
import hashlib
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from swatchbook.data.readers import published_files as published_source
from swatchbook.data.readers.published import MODELS, locate, name_clashes, printed_numbers, read
from swatchbook.data.strict_csv import DataError
from swatchbook.schema import Schema
from swatchbook.studies.attributes.curation import curation_table, distinct_pairs, distinct_pairs_null

HOME = "/content/data/fabric"
FABRICS = {"denim": "denim", "lace": "knitwear", "satin": "silk_satin"}
DINOV2, RESNET50 = "test_predictions_dinov2.csv", "test_predictions_resnet50.csv"


def made_up_export(folder: Path) -> Path:
    """A small export in the published layout: 3 fabrics, 4/2/4 images each, 2 of each audited."""
    folder.mkdir(parents=True, exist_ok=True)

    def write(name, header, rows):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([header.split(","), *rows])

    for split, size, first in (("train", 4, 0), ("val", 2, 4)):
        rows = [(f"{HOME}/train/{f}/{f}_{i}.jpg", f) for f in FABRICS for i in range(first, first + size)]
        write(f"{split}_final.csv", "path,class", rows)

    test = [
        (
            f,
            m,
            f"{HOME}/test/{f}/{f}, no {i}.jpg",
            ("blue", "red")[i % 2],
            ("solid", "unknown")[i == 3],
            "sheer",
        )
        for f, m in FABRICS.items()
        for i in range(4)
    ]
    heads = [
        f"{prefix}_{a}" for a in ("material", "color", "pattern", "texture") for prefix in ("pred", "gt")
    ]
    for name, guess in ((DINOV2, "smooth"), (RESNET50, "sheer")):
        rows = [
            (n, m, m, "blue", color, "solid", pattern, guess, texture, path)
            for n, (_, m, path, color, pattern, texture) in enumerate(test)
        ]
        write(name, ",".join(["dataset_idx", *heads, "path"]), rows)
    audit = [
        (path, f, m, color, pattern, texture, color, "unknown" if f == "lace" else "solid", texture, "True")
        for f, m, path, color, pattern, texture in test[2:4] + test[6:8] + test[10:12]
    ]
    sheet = "path,class,material,vlm_color,vlm_pattern,vlm_texture,gt_color,gt_pattern,gt_texture,audited"
    write("audit.csv", sheet, audit)
    shown = [(n, path, m, "blue", "solid", "smooth") for n, (_, m, path, *_) in enumerate(test[::4])]
    header = "sample_idx,path,pred_material,pred_color,pred_pattern,pred_texture"
    write("orthogonality_sample_20.csv", header, shown)
    rates = {"color": {"test": 0.0}, "pattern": {"test": 0.25}, "texture": {"test": 0.0}}
    totals = {"train_final_total": 12, "val_final_total": 6, "test_final_total": 12}
    declared = {"split": totals, "labelling": {"abstain_rates": rates}}
    (folder / "manifest.json").write_text(json.dumps(declared), encoding="utf-8")
    for name in published_source.source_facts()["files"]:
        if not (folder / name).exists():
            (folder / name).write_text("not read\n", encoding="utf-8")
    return folder


@pytest.fixture
def export(tmp_path):
    return made_up_export(tmp_path / "export")


def read_folder(folder: Path, schema: Schema):
    return read(locate(folder, checksums=False), schema)


def edit(folder: Path, name: str, old: str, new: str, count: int = 1) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new, count), encoding="utf-8", newline="")


def lines_of(folder: Path, name: str) -> list[str]:
    return (folder / name).read_text(encoding="utf-8").splitlines(keepends=True)


# What is read


def test_a_made_up_export_is_read_whole(export, schema):
    got = read_folder(export, schema)
    assert got.manifest["split"].value_counts().to_dict() == {"train": 12, "val": 6, "test": 12}
    assert list(got.manifest) == ["image_id", "path", "folder", "split"]
    assert got.manifest["image_id"].iloc[0] == "train/denim/denim_0.jpg"
    assert got.silver["image_id"].iloc[5] == "test/lace/lace, no 1.jpg"
    assert list(got.silver) == ["image_id", *schema.names]
    assert got.silver["pattern"].isna().to_numpy().nonzero()[0].tolist() == [3, 7, 11]
    assert set(got.predictions) == set(MODELS)
    assert got.predictions["dinov2"]["texture"].eq("smooth").all()
    assert got.predictions["resnet50"]["texture"].eq("sheer").all()
    assert list(got.audit) == ["image_id", "annotator", "stratum", "weight", *schema.names]
    assert got.audit["weight"].tolist() == [2.0] * 6
    assert got.audit["material"].isna().all()
    assert got.audit["pattern"].isna().tolist() == [False, False, True, True, False, False]
    assert got.audit_silver["pattern"].isna().tolist() == [False, True] * 3
    assert got.audit_silver["material"].tolist() == ["denim"] * 2 + ["knitwear"] * 2 + ["silk_satin"] * 2
    assert distinct_pairs(got.sample20) == 3
    for frame in (got.silver, got.audit, got.audit_silver, *got.predictions.values()):
        schema.encode(frame)


def test_the_published_export_has_the_published_counts(published_dir, schema):
    got = read(locate(published_dir), schema)
    assert got.manifest["split"].value_counts().to_dict() == {"train": 7676, "val": 1919, "test": 3760}
    assert got.manifest["folder"].nunique() == 21
    assert got.silver.isna().sum().to_dict() == {
        "image_id": 0,
        "material": 0,
        "color": 17,
        "pattern": 233,
        "texture": 273,
    }
    assert got.audit.isna().sum()[list(schema.names)].to_dict() == {
        "material": 210,
        "color": 0,
        "pattern": 1,
        "texture": 0,
    }
    assert got.audit["stratum"].value_counts().eq(10).all() and len(got.audit) == 210
    in_test = got.silver["image_id"].str.split("/").str[1].value_counts()
    stood_for = got.audit.groupby("stratum")["weight"].sum()
    np.testing.assert_allclose(stood_for, in_test.sort_index(), rtol=1e-12)
    assert in_test[["taffeta", "neoprene", "plush", "vinyl", "denim"]].tolist() == [197, 60, 57, 46, 200]
    assert len(got.sample20) == 20
    codes = schema.encode(got.silver)
    assert np.bincount(codes["color"][codes["color"] >= 0])[:2].tolist() == [691, 463]


def test_abstention_rates_of_train_and_validation_are_whole_images():
    printed = printed_numbers().query("statistic == 'abstention_rate'").set_index(["rows", "head"])["value"]
    sizes = {"train": 7676, "val": 1919, "test": 3760}
    images = {key: rate * sizes[key[0]] for key, rate in printed.items()}
    heads = ("color", "pattern", "texture")
    assert [images["train", h] for h in heads] == pytest.approx([26, 447, 551], abs=1e-9)
    assert [images["val", h] for h in heads] == pytest.approx([8, 99, 142], abs=1e-9)
    assert [images["test", h] for h in heads] == pytest.approx([17, 233, 273], abs=1e-9)


def test_original_file_names_and_the_repository_layout_are_found_too(export, schema, tmp_path):
    expected = read_folder(export, schema).manifest
    for layout in ("names", "tree"):
        for name, file in published_source.source_facts()["files"].items():
            original = Path(file["path"])
            target = tmp_path / layout / (original.name if layout == "names" else original)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((export / name).read_bytes())
        pd.testing.assert_frame_equal(read_folder(tmp_path / layout, schema).manifest, expected)


# What is refused: files as a whole


def test_missing_files_are_named_all_at_once(export, schema):
    (export / "audit.csv").unlink()
    (export / DINOV2).unlink()
    with pytest.raises(
        DataError, match=r"lacks test_predictions_dinov2.csv, audit.csv; it needs the 12 files"
    ):
        locate(export, checksums=False)


def test_a_source_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"nowhere' is not a folder"):
        locate(tmp_path / "nowhere")


def test_a_wrong_checksum_names_file_expected_and_received(published_dir, tmp_path):
    for path in published_dir.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert set(locate(tmp_path)) == set(published_source.source_facts()["files"])
    data = (tmp_path / "audit.csv").read_bytes()
    changed = data.replace(b"grey", b"gray", 1)
    (tmp_path / "audit.csv").write_bytes(changed)
    with pytest.raises(DataError) as raised:
        locate(tmp_path)
    for part in ("audit.csv", hashlib.sha256(data).hexdigest(), hashlib.sha256(changed).hexdigest()):
        assert part in str(raised.value)
    (tmp_path / "audit.csv").write_bytes(data[:20000])
    with pytest.raises(DataError, match=r"28,752 bytes.*20,000 bytes\); it is shorter, so it may be cut off"):
        locate(tmp_path)


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe"])
def test_a_byte_order_mark_is_refused(export, schema, mark):
    data = (export / "audit.csv").read_bytes()
    (export / "audit.csv").write_bytes(mark + data)
    with pytest.raises(DataError, match=r"audit.csv starts with a byte-order mark.*save it as plain UTF-8"):
        read_folder(export, schema)


def test_another_encoding_is_refused_with_its_line(export, schema):
    data = (export / "train_final.csv").read_bytes()
    (export / "train_final.csv").write_bytes(data.replace(b"denim_1", b"denim_\xe9"))
    with pytest.raises(DataError, match=r"train_final.csv, line 3 is not UTF-8"):
        read_folder(export, schema)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_sheet_separated_by_something_else_is_refused(export, schema, separator):
    text = (export / "audit.csv").read_text(encoding="utf-8")
    (export / "audit.csv").write_text(text.replace(",", separator), encoding="utf-8")
    with pytest.raises(DataError, match=r"audit.csv is not separated by commas"):
        read_folder(export, schema)


def test_windows_line_ends_are_read(export, schema):
    expected = read_folder(export, schema).audit
    data = (export / "audit.csv").read_bytes()
    (export / "audit.csv").write_bytes(data.replace(b"\n", b"\r\n"))
    pd.testing.assert_frame_equal(read_folder(export, schema).audit, expected)


@pytest.mark.parametrize("name", ["train_final.csv", "val_final.csv", DINOV2, RESNET50, "audit.csv"])
@pytest.mark.parametrize("cut", [1, 5, 25])
def test_a_file_cut_off_in_its_last_line_is_refused(export, schema, name, cut):
    data = (export / name).read_bytes()
    (export / name).write_bytes(data[:-cut])
    with pytest.raises(
        DataError, match=rf"{name}, line \d+ does not end in a line break, so the file may be cut"
    ):
        read_folder(export, schema)


def test_a_list_that_lost_whole_lines_is_refused(export, schema):
    (export / "train_final.csv").write_text(
        "".join(lines_of(export, "train_final.csv")[:-2]), encoding="utf-8"
    )
    with pytest.raises(DataError, match=r"the train split has 10 images; manifest.json says 12"):
        read_folder(export, schema)


@pytest.mark.parametrize(("change", "fields"), [(",True\n", 9), (",True,\n", 11)])
def test_a_ragged_row_is_refused_with_its_line(export, schema, change, fields):
    lines = lines_of(export, "audit.csv")
    lines[3] = lines[3].replace(",True\n", change if fields == 11 else "\n")
    (export / "audit.csv").write_text("".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match=rf"audit.csv, line 4 has {fields} fields; allowed: 10"):
        read_folder(export, schema)


def test_an_open_quote_is_refused(export, schema):
    edit(export, "train_final.csv", f"{HOME}/train/satin/satin_3", f'"{HOME}/train/satin/satin_3')
    with pytest.raises(DataError, match=r"train_final.csv, line 13 is not valid CSV: unexpected end of data"):
        read_folder(export, schema)


@pytest.mark.parametrize("content", ["", " \n"])
def test_an_empty_file_is_refused(export, schema, content):
    (export / "audit.csv").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"audit.csv is empty; allowed: a header with path, class"):
        read_folder(export, schema)


def test_an_audit_without_rows_is_refused(export, schema):
    (export / "audit.csv").write_text(lines_of(export, "audit.csv")[0], encoding="utf-8")
    with pytest.raises(DataError, match=r"audit.csv has a header and no rows"):
        read_folder(export, schema)


@pytest.mark.parametrize("name", ["train_final.csv", DINOV2, "audit.csv", "orthogonality_sample_20.csv"])
def test_a_missing_column_is_refused(export, schema, name):
    edit(export, name, "path", "file")
    with pytest.raises(DataError, match=rf"{name} has no column path; its columns are .*file"):
        read_folder(export, schema)


def test_a_column_that_is_there_twice_is_refused(export, schema):
    edit(export, "audit.csv", "audited", "audited,audited")
    text = (export / "audit.csv").read_text(encoding="utf-8").replace(",True\n", ",True,True\n")
    (export / "audit.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"audit.csv has the column 'audited' twice; allowed: once"):
        read_folder(export, schema)


# What is refused: rows


@pytest.mark.parametrize("column", ["pred_color", "gt_color"])
def test_an_unknown_label_names_file_line_column_and_the_allowed_ones(export, schema, column):
    old, new = {"pred_color": ("denim,blue,red", "denim,teal,red"), "gt_color": (",blue,red", ",blue,teal")}[
        column
    ]
    edit(export, DINOV2, old, new)
    allowed = "black, white, red, navy"
    with pytest.raises(DataError, match=rf"{DINOV2}, line 3: {column} 'teal'; allowed: {allowed}"):
        read_folder(export, schema)


@pytest.mark.parametrize("nothing", ["", "unknown"])
def test_a_model_may_not_abstain(export, schema, nothing):
    edit(export, RESNET50, "solid,solid,sheer", f"{nothing},solid,sheer")
    with pytest.raises(
        DataError, match=rf"line 2: pred_pattern '{nothing}'; allowed: solid, .*animal_print$"
    ):
        read_folder(export, schema)


def test_a_blank_silver_label_is_refused_because_an_abstention_is_written_out(export, schema):
    edit(export, DINOV2, "solid,unknown", "solid,", 3)
    with pytest.raises(
        DataError, match=r"line 5: gt_pattern '' \(3 such lines\); allowed: .*animal_print, unknown$"
    ):
        read_folder(export, schema)


def test_an_unknown_fabric_folder_is_refused(export, schema):
    edit(export, "val_final.csv", f"{HOME}/train/lace/", f"{HOME}/train/linen/")
    with pytest.raises(
        DataError, match=r"val_final.csv, line 4: folder 'linen'; allowed: chambray, corduroy"
    ):
        read_folder(export, schema)


def test_a_folder_without_a_place_in_the_schema_is_refused(export, schema):
    edit(export, "val_final.csv", f"{HOME}/train/lace/", f"{HOME}/train/tweed/")
    with pytest.raises(DataError, match=r"line 4: folder 'tweed'; allowed: (?!.*tweed)"):
        read_folder(export, schema)


def test_a_class_that_is_not_the_folder_is_refused(export, schema):
    edit(export, "train_final.csv", "denim_2.jpg,denim", "denim_2.jpg,lace")
    with pytest.raises(
        DataError, match=r"train_final.csv, line 4: class 'lace'; allowed: 'denim', the folder"
    ):
        read_folder(export, schema)


def test_a_path_out_of_layout_is_refused(export, schema):
    edit(export, "train_final.csv", f"{HOME}/train/denim/denim_0.jpg", "denim_0.jpg")
    with pytest.raises(DataError, match=r"line 2: path 'denim_0.jpg'; allowed: …/train/<fabric>/<image>"):
        read_folder(export, schema)


def test_a_test_image_in_the_training_list_is_refused(export, schema):
    edit(export, "train_final.csv", f"{HOME}/train/denim/denim_0.jpg", f"{HOME}/test/denim/denim_0.jpg")
    with pytest.raises(DataError, match=r"line 2: path '.*/test/denim/denim_0.jpg'; allowed: …/train/"):
        read_folder(export, schema)


def test_a_duplicate_image_is_refused_with_both_lines(export, schema):
    edit(export, "train_final.csv", "denim_3.jpg", "denim_1.jpg")
    with pytest.raises(
        DataError, match=r"train_final.csv, lines 3 and 5 hold the same image '.*denim_1.jpg'"
    ):
        read_folder(export, schema)


def test_an_image_in_training_and_validation_is_refused(export, schema):
    edit(export, "val_final.csv", "satin_4.jpg", "satin_0.jpg")
    with pytest.raises(
        DataError, match=r"train_final.csv and val_final.csv both hold '.*satin_0.jpg' \(1 such"
    ):
        read_folder(export, schema)


def test_prediction_files_of_different_length_are_refused(export, schema):
    (export / RESNET50).write_text("".join(lines_of(export, RESNET50)[:-1]), encoding="utf-8")
    with pytest.raises(
        DataError, match=rf"{RESNET50} has 11 rows and {DINOV2} has 12; allowed: the same images"
    ):
        read_folder(export, schema)


def test_prediction_files_in_different_order_are_refused(export, schema):
    text = (export / RESNET50).read_text(encoding="utf-8")
    text = text.replace("denim, no 0", "X").replace("denim, no 2", "denim, no 0").replace("X", "denim, no 2")
    (export / RESNET50).write_text(text, encoding="utf-8")
    with pytest.raises(
        DataError,
        match=rf"{RESNET50}, line 2: image_id 'test/denim/denim, no 2.jpg' where {DINOV2} has .*no 0.jpg' \(2 such",
    ):
        read_folder(export, schema)


def test_prediction_files_that_disagree_on_the_labels_are_refused(export, schema):
    edit(export, RESNET50, "blue,red", "blue,green")
    with pytest.raises(DataError, match=rf"{RESNET50}, line 3: gt_color 'green' where {DINOV2} has 'red'"):
        read_folder(export, schema)


def test_a_material_that_the_folder_rule_does_not_give_is_refused(export, schema):
    edit(export, DINOV2, "knitwear,knitwear", "knitwear,cotton")
    with pytest.raises(
        DataError, match=r"line 6: gt_material 'cotton'; allowed: 'knitwear', by the folder map 'paper'"
    ):
        read_folder(export, schema)


def test_another_folder_rule_is_refused_because_the_models_learned_the_published_one(export):
    with pytest.raises(
        DataError, match=r"gt_material 'knitwear'.*'sheer_open', by the folder map 'construction'"
    ):
        read_folder(export, Schema.load(folder_map="construction"))


def test_a_gap_in_the_numbering_is_refused(export, schema):
    edit(export, DINOV2, "\n4,", "\n5,")
    with pytest.raises(
        DataError, match=r"line 6: dataset_idx '5'; allowed: '4', counting from 0 without gaps"
    ):
        read_folder(export, schema)


def test_silver_labels_that_abstain_otherwise_than_declared_are_refused(export, schema):
    for name in (DINOV2, RESNET50):
        edit(export, name, "red,solid,unknown", "red,solid,solid")
    edit(export, "audit.csv", "red,unknown,sheer", "red,solid,sheer")
    with pytest.raises(
        DataError, match=r"abstained on 0.166667 of the test images for pattern; .* says 0.250000"
    ):
        read_folder(export, schema)


@pytest.mark.parametrize(
    ("content", "say"), [("{", "is not valid JSON"), ("[]", "lacks split totals"), ("{}", "lacks")]
)
def test_a_damaged_manifest_is_refused(export, schema, content, say):
    (export / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=rf"manifest.json {say}"):
        read_folder(export, schema)


# What is refused: the audit and the shown images


def test_an_audited_image_that_is_not_in_the_test_split_is_refused(export, schema):
    edit(export, "audit.csv", "denim, no 2", "denim, no 9")
    with pytest.raises(
        DataError, match=r"audit.csv, line 2: path '.*no 9.jpg'; allowed: images of the test split"
    ):
        read_folder(export, schema)


def test_an_image_audited_twice_is_refused(export, schema):
    edit(export, "audit.csv", "denim, no 3", "denim, no 2")
    with pytest.raises(DataError, match=r"audit.csv, lines 2 and 3 hold the same image"):
        read_folder(export, schema)


def test_silver_labels_in_the_sheet_must_be_those_of_the_predictions(export, schema):
    edit(export, "audit.csv", "red,unknown,sheer", "red,floral,sheer")
    with pytest.raises(
        DataError, match=r"audit.csv, line 3: vlm_pattern 'floral'; allowed: 'unknown', the silver label"
    ):
        read_folder(export, schema)


def test_an_unknown_human_label_is_refused(export, schema):
    edit(export, "audit.csv", "sheer,True", "see-through,True")
    with pytest.raises(
        DataError, match=r"audit.csv, line 2: gt_texture 'see-through'; allowed: smooth, .*unknown"
    ):
        read_folder(export, schema)


def test_a_row_that_nobody_judged_is_refused(export, schema):
    edit(export, "audit.csv", "sheer,True", "sheer,False")
    with pytest.raises(DataError, match=r"audit.csv, line 2: audited 'False'; allowed: True; leave out"):
        read_folder(export, schema)


def test_a_fabric_without_an_audited_image_is_refused(export, schema):
    kept = [line for line in lines_of(export, "audit.csv") if "lace" not in line]
    (export / "audit.csv").write_text("".join(kept), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"audit.csv has no image of lace; allowed: at least one of each fabric"
    ):
        read_folder(export, schema)


def test_audit_weights_add_up_to_the_test_split_of_each_fabric(export, schema):
    kept = lines_of(export, "audit.csv")
    (export / "audit.csv").write_text("".join(kept[:-1]), encoding="utf-8")
    audit = read_folder(export, schema).audit
    assert audit.groupby("stratum")["weight"].sum().to_dict() == {"denim": 4, "lace": 4, "satin": 4}
    assert audit["weight"].tolist() == [2, 2, 2, 2, 4]


def test_shown_images_must_show_what_the_model_predicted(export, schema):
    edit(export, "orthogonality_sample_20.csv", "solid,smooth", "solid,sheer")
    with pytest.raises(
        DataError, match=r"line 2: pred_texture 'sheer'; allowed: 'smooth', as in test_predictions"
    ):
        read_folder(export, schema)


# Downloading


@pytest.fixture
def server(export, tmp_path, monkeypatch):
    """The made-up export served on this machine, with its own checksums in place of the pinned ones."""
    facts = published_source.source_facts()
    files = {}
    for name, file in facts["files"].items():
        data = (export / name).read_bytes()
        target = tmp_path / "served" / file["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        files[name] = {**file, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    monkeypatch.setattr(published_source, "source_facts", lambda: {**facts, "files": files})
    monkeypatch.setattr(published_source, "RETRIES", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    asked = []

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.root, running.asked = tmp_path / "served", asked
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_files_are_downloaded_once_and_then_read_offline(server, export, tmp_path, schema):
    files = locate(cache=tmp_path / "cache", url=server.url)
    assert {name: path.read_bytes() for name, path in files.items()} == {
        name: (export / name).read_bytes() for name in files
    }
    assert "/research/audit/audit%20%281%29.csv" in server.asked
    assert len(server.asked) == 12
    again = locate(cache=tmp_path / "cache", url="http://127.0.0.1:9/nobody")
    assert again == files and len(server.asked) == 12
    assert len(read(again, schema).audit) == 6


def test_only_what_is_missing_or_damaged_is_downloaded_again(server, tmp_path):
    files = locate(cache=tmp_path / "cache", url=server.url)
    server.asked.clear()
    files["manifest.json"].unlink()
    whole = files["audit.csv"].read_bytes()
    files["audit.csv"].write_bytes(whole[:100])
    locate(cache=tmp_path / "cache", url=server.url)
    assert sorted(server.asked) == [
        "/research/audit/audit%20%281%29.csv",
        "/research/data_manifests/manifest.json",
    ]
    assert files["audit.csv"].read_bytes() == whole


def test_a_download_that_is_not_the_pinned_file_is_refused_and_not_kept(server, tmp_path):
    served = server.root / "research/data_manifests/val_final.csv"
    expected, changed = served.read_bytes(), served.read_bytes() + b"more\n"
    served.write_bytes(changed)
    with pytest.raises(DataError) as raised:
        locate(cache=tmp_path / "cache", url=server.url)
    for part in ("val_final.csv", hashlib.sha256(expected).hexdigest(), hashlib.sha256(changed).hexdigest()):
        assert part in str(raised.value)
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == ["train_final.csv"]


def test_a_download_that_broke_off_is_resumed_at_the_missing_files(server, tmp_path):
    lost = server.root / "research/data_manifests/val_final.csv"
    data = lost.read_bytes()
    lost.unlink()
    with pytest.raises(
        DataError, match=r"val_final.csv cannot be downloaded .*still missing: val_final.csv, .*404"
    ):
        locate(cache=tmp_path / "cache", url=server.url)
    lost.write_bytes(data)
    server.asked.clear()
    locate(cache=tmp_path / "cache", url=server.url)
    assert len(server.asked) == 11
    assert not any("train_final" in path for path in server.asked)


def test_without_a_network_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(published_source, "RETRIES", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    url = "http://127.0.0.1:9/nobody"
    with pytest.raises(DataError) as raised:
        locate(cache=tmp_path, url=url)
    for part in (
        url,
        "Check the network and run again",
        "--source DIR",
        *published_source.source_facts()["files"],
    ):
        assert part in str(raised.value)


def test_a_cache_that_cannot_be_written_is_refused(server, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"train_final.csv cannot be written into the cache '.*cache/published'"
    ):
        locate(cache=tmp_path / "cache", url=server.url)


def test_a_download_is_always_checked():
    with pytest.raises(DataError, match=r"checksums=False needs a source folder"):
        locate(checksums=False)


def test_the_pinned_address_names_repository_and_commit():
    assert published_source.base_url() == (
        "https://raw.githubusercontent.com/obadaA1/fashion-attribute-recognition/"
        "af9d3f6cbd9e56d1e58e9812913f9303ef07a548"
    )


# Printed numbers


def printed_texts(printed: pd.DataFrame, **keys: str) -> dict[str, str]:
    chosen = printed[np.logical_and.reduce([printed[k] == v for k, v in keys.items()])]
    return chosen.set_index("head")["text"].to_dict()


def test_printed_numbers_are_the_cells_of_the_printed_files(published_dir):
    printed = printed_numbers()
    seen = 0
    for model in MODELS:
        name = f"test_results_{model}.csv"
        cells = (
            pd.read_csv(published_dir / name, dtype=str)
            .rename(columns={"n_eval": "n"})
            .set_index("attribute")
        )
        for statistic in cells:
            texts = printed_texts(printed, where=name, model=model, statistic=statistic)
            assert texts == cells[statistic].to_dict()
            seen += len(texts)
    cells = pd.read_csv(published_dir / "audit_accuracy.csv", dtype=str, index_col=0)
    for column in cells:
        statistic = {"n_eval": "n", "n_excl": "n_excluded"}.get(column, column)
        here = printed[printed["where"].str.contains("audit_accuracy.csv")]
        texts = printed_texts(here, statistic=statistic)
        assert texts == cells[column].to_dict()
        seen += len(texts)
    cells = pd.read_csv(published_dir / "cramers_v_comparison.csv", dtype=str).set_index("source")
    for source, model in (("ground_truth", "reference"), ("predicted", "dinov2")):
        here = printed[(printed["where"] == "cramers_v_comparison.csv") & (printed["model"] == model)]
        texts = here.set_index("statistic")["text"]
        assert texts.rename({"v": "cramers_v"}).to_dict() == cells.loc[source].to_dict()
        seen += len(texts)
    declared = json.loads((published_dir / "manifest.json").read_text())
    for row in printed[printed["where"] == "manifest.json"].itertuples():
        if row.statistic == "images":
            assert row.value == declared["split"][f"{row.rows}_final_total"]
        else:
            assert row.value == declared["labelling"]["abstain_rates"][row.head][row.rows]
        seen += 1
    from_files = printed["where"].str.contains(r"\.(?:csv|json)")
    assert seen == from_files.sum() == 69


def test_printed_scores_are_those_of_the_predictions(published_dir, schema):
    got = read(locate(published_dir), schema)
    printed = got.printed.query("table == 'scores'").set_index(["model", "head", "statistic"])
    for model, predictions in got.predictions.items():
        for head in schema.names:
            kept = got.silver[head].notna()
            truth, guess = got.silver.loc[kept, head], predictions.loc[kept, head]
            ours = {
                "macro_f1": f1_score(truth, guess, average="macro"),
                "weighted_f1": f1_score(truth, guess, average="weighted"),
                "accuracy": (truth == guess).mean(),
                "n": kept.sum(),
            }
            for statistic, value in ours.items():
                rows = printed.loc[[(model, head, statistic)]]
                assert (abs(rows["value"] - value) <= rows["tolerance"]).all(), (model, head, statistic)


def test_printed_numbers_have_their_value_precision_and_tolerance():
    printed = printed_numbers().set_index("text")
    row = printed.loc["+13.2"]
    assert (row["value"], row["decimals"], row["scale"]) == (pytest.approx(0.132), 1, 100)
    assert row["tolerance"] == pytest.approx(0.0005)
    assert printed.loc["13,355", "value"] == 13355 and printed.loc["13,355", "tolerance"] == pytest.approx(
        0.5
    )
    assert printed.loc["22.3k", "value"] == pytest.approx(22300)
    assert abs(printed.loc["22.3k", "value"] - 22301) < printed.loc["22.3k", "tolerance"] < 51
    assert printed.loc["±0.03", "value"] == 0.03
    assert printed.loc["2.186466552022297e-286", "value"] == 2.186466552022297e-286
    assert printed.loc["0.94", "tolerance"] == pytest.approx(0.0005)
    assert printed.loc["0.353", "tolerance"] == pytest.approx(0.0005)


def test_printed_numbers_have_one_row_a_key_and_place():
    printed = printed_numbers()
    keys = ["table", "model", "head", "class", "a", "b", "rows", "statistic", "where"]
    assert not printed.duplicated(keys).any()
    assert not printed.isna().any().any()
    schema = Schema.load()
    assert set(printed["head"]) <= {*schema.names, "mean", "all", ""}
    assert set(printed["model"]) <= {*MODELS, "reference", ""}


def test_one_number_printed_in_two_places_agrees_with_itself():
    printed = printed_numbers()
    keys = ["table", "model", "head", "class", "a", "b", "rows", "statistic"]
    for _, group in printed.groupby(keys):
        most_precise = group.loc[group["tolerance"].idxmin(), "value"]
        assert (abs(group["value"] - most_precise) <= group["tolerance"] + group["tolerance"].min()).all()


def test_a_printed_text_that_is_no_number_is_refused():
    for text in ("about 3", "", "1.2.3", "."):
        with pytest.raises(DataError, match=r"is no number"):
            published_source._number(text, 1)


# Name clashes and the hand-picked images


def test_name_clashes_are_counted_by_folder_and_by_part():
    images = [
        ("train", "train/denim/1.jpg"),
        ("train", "train/lace/1.jpg"),
        ("val", "train/lace/2.jpg"),
        ("test", "test/satin/2.jpg"),
        ("train", "train/lace/3.jpg"),
        ("test", "test/lace/3.jpg"),
        ("test", "test/lace/4.jpg"),
    ]
    manifest = pd.DataFrame(
        [(i, i.split("/")[1], s) for s, i in images], columns=["image_id", "folder", "split"]
    )
    clashes = name_clashes(manifest).set_index("name")
    assert list(clashes.index) == ["1.jpg", "2.jpg", "3.jpg"]
    assert clashes["several_folders"].tolist() == [True, True, False]
    assert clashes["train_and_test"].tolist() == [False, True, True]
    assert clashes.loc["2.jpg", ["folders", "splits"]].tolist() == ["lace, satin", "val, test"]
    assert len(name_clashes(manifest.iloc[[0, 6]])) == 0


def test_the_published_lists_have_fourteen_names_in_several_folders_and_three_across_train_and_test(
    published_dir, schema
):
    clashes = name_clashes(read(locate(published_dir), schema).manifest)
    assert clashes["several_folders"].sum() == 14 and clashes["train_and_test"].sum() == 3
    assert clashes.query("train_and_test")["splits"].tolist() == ["val, test", "val, test", "train, test"]


def pool_of(counts: list[int]) -> pd.DataFrame:
    materials = np.repeat([f"m{i}" for i in range(len(counts))], counts)
    return pd.DataFrame({"material": materials, "texture": "t"})


def test_distinct_pairs_of_two_by_hand():
    # 3 images of one pair, 1 of another: 3 of the 6 samples of two hold both pairs.
    np.testing.assert_allclose(distinct_pairs_null(pool_of([3, 1]), 2), [0, 0.5, 0.5], atol=1e-12)


def test_distinct_pairs_of_the_whole_pool_are_certain():
    np.testing.assert_allclose(distinct_pairs_null(pool_of([3, 1, 2]), 6), [0, 0, 0, 1, 0, 0, 0], atol=1e-12)


def test_distinct_pairs_null_agrees_with_drawing_samples(rng):
    counts = [40, 25, 10, 5, 3, 1, 1]
    p = distinct_pairs_null(pool_of(counts), 12)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    draws = 200_000
    drawn = (rng.multivariate_hypergeometric(counts, 12, size=draws) > 0).sum(axis=1)
    observed = np.bincount(drawn, minlength=13) / draws
    assert (abs(observed - p) <= 4.5 * np.sqrt(p * (1 - p) / draws) + 1e-12).all()


@pytest.mark.parametrize("size", [0, 5])
def test_a_sample_larger_than_its_pool_is_refused(size):
    with pytest.raises(ValueError, match=rf"size must be 1 to 4, the images of the pool; received {size}"):
        distinct_pairs_null(pool_of([3, 1]), size)


def test_the_shown_twenty_are_more_varied_than_chance(published_dir, schema):
    got = read(locate(published_dir), schema)
    table = curation_table(got.sample20, got.predictions["dinov2"], claimed=17).set_index("statistic")
    assert table.loc["distinct_pairs", "value"] == 20 and (table["n"] == 20).all()
    expected = table.loc["expected_distinct_pairs"]
    assert round(expected["value"], 1) == 11.6
    assert (expected["low"], expected["high"]) == (9, 15)
    assert table.loc["p_at_least_claimed", "value"] == pytest.approx(0.00049, abs=0.00001)
    assert table.loc["p_at_least_observed", "value"] < 1e-6
