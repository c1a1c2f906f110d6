"""`swatchbook label` and `predict`: a folder of photographs in, one table out, whole or not at all."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="labelling needs the extra 'models'")

import open_clip
import pyarrow.parquet as pq
import torch
from bs4 import BeautifulSoup
from PIL import Image
from safetensors.torch import save_file

from swatchbook.bulk import folder as predicting
from swatchbook.cli.main import main
from swatchbook.data import images, pixels
from swatchbook.data.decoding import decode
from swatchbook.labeller.cosines import CosineEncoder, cosine_table
from swatchbook.labeller.files import CONFIG
from swatchbook.labeller.measured import COLUMNS, MEASURED
from swatchbook.labeller.shards import encode_in_shards
from swatchbook.labeller.silver import silver_table
from swatchbook.labeller.training.tokenizer import write_tokenizer
from swatchbook.labeller.zero_shot import Labeller
from swatchbook.models import checkpoint
from swatchbook.models.network import build
from swatchbook.models.recipe import Recipe
from swatchbook.models.tasks.heads import predict
from swatchbook.schema import Schema
from swatchbook.store import Store
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = ("a.jpg", "shirts/b.jpg", "shirts/=1+1.jpg", "ü ñ/c d.jpg", "e.png", "f.jpg", "g.jpg", "h.jpg")


def small_labeller(folder: Path, seed: int = 0) -> str:
    """A random open_clip model, written to a folder; returns its name."""
    folder.mkdir(parents=True)
    config = {
        "model_cfg": {
            "embed_dim": 16,
            "vision_cfg": {"image_size": 32, "patch_size": 16, "layers": 1, "width": 32, "head_width": 16},
            "text_cfg": {
                "context_length": 24,
                "vocab_size": 768,
                "width": 16,
                "heads": 2,
                "layers": 1,
                "hf_tokenizer_name": "none",
            },
        },
        "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    }
    (folder / CONFIG).write_text(json.dumps(config))
    write_tokenizer(["a red garment", "blue fabric"], folder)
    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file(
        {k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors"
    )
    return f"local-dir:{folder}"


def small_model(folder: Path, schema: Schema, side: int = 256) -> Path:
    """A finished classifier with random weights."""
    torch.manual_seed(0)
    recipe = Recipe(image_size=32, threads=1)
    network = build("test_convnext", schema, pretrained=False, img_size=32)
    store = Store(folder)
    checkpoint.save_weights(store, "resume/best.safetensors", network)
    heads = [[a.name, list(a.classes)] for a in schema]
    output = {"network": network.info, "heads": heads, "recipe": asdict(recipe), "side": side}
    checkpoint.finish(store, "resume/best.safetensors", output)
    return folder


@pytest.fixture(scope="module")
def labeller(tmp_path_factory) -> str:
    return small_labeller(tmp_path_factory.mktemp("labeller") / "small")


def write_photographs(folder: Path) -> Path:
    """Eight pictures of noise under names of many kinds."""
    rng = np.random.default_rng(1)
    for name in NAMES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        colour = rng.integers(0, 256, 3)
        noise = rng.integers(-40, 40, (40, 30, 3))
        Image.fromarray(np.clip(colour + noise, 0, 255).astype(np.uint8)).save(path)
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_photographs(tmp_path / "photographs")


def below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_labels_are_those_of_the_study_in_parquet_and_in_csv(folder, labeller, schema, tmp_path, capsys):
    parquet, text = tmp_path / "labels.parquet", tmp_path / "labels.csv"
    asked = ["--labeller", labeller, "--schema", "textilenet"]
    assert main(["label", str(folder), "--out", str(parquet), *asked]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{parquet}: 8 photographs\n"
    assert printed.err.splitlines()[:2] == [
        "loading the model …",
        "how right this labeller is on photographs was not measured",
    ]
    assert main(["label", str(folder), "--out", str(text), *asked]) == 0
    listed = images.find(folder)
    model = Labeller.load(labeller, device="cpu", log=lambda _: None)
    cosines, _ = cosine_table(model, listed["path"].tolist(), schema, tmp_path / "shards")
    wanted = silver_table(cosines, schema)
    table = pd.read_parquet(parquet)
    assert list(table) == ["path", *(f"{a}{c}" for a in schema.names for c in ("", "_confidence"))]
    assert table["path"].tolist() == sorted(NAMES)
    pd.testing.assert_frame_equal(
        table.drop(columns="path").astype(object).where(table.notna(), None),
        wanted.astype(object).where(wanted.notna(), None),
    )
    read = pd.read_csv(text)
    assert read["path"].tolist() == table["path"].tolist()
    for name in schema.names:
        assert (
            read[name].astype(object).fillna("-").tolist() == table[name].astype(object).fillna("-").tolist()
        )
        np.testing.assert_allclose(read[f"{name}_confidence"], table[f"{name}_confidence"], atol=5.1e-7)
    assert below(tmp_path) == sorted(
        ["labels.csv", "labels.parquet", "photographs", "shards", "shards/shard-00000.npz"]
        + [f"photographs/{n}" for n in below(folder)]
    )


def test_abstention_and_temperature_can_be_chosen(folder, labeller, schema, tmp_path):
    shy, bold = tmp_path / "shy.parquet", tmp_path / "bold.parquet"
    cold = ["--labeller", labeller, "--schema", "textilenet", "--temperature", "1e-9"]
    assert main(["label", str(folder), "--out", str(shy), *cold]) == 0
    assert main(["label", str(folder), "--out", str(bold), "--no-abstain", *cold]) == 0
    shy, bold = pd.read_parquet(shy), pd.read_parquet(bold)
    for a in schema:
        np.testing.assert_allclose(bold[f"{a.name}_confidence"], 1 / len(a), rtol=1e-6)
        assert bold[a.name].notna().all()
        assert shy[a.name].isna().all() == (a.threshold is not None)


STOPPED = """
import os, signal, sys
from functools import partial
from swatchbook.bulk import folder as predicting
from swatchbook.labeller.zero_shot import Labeller
from swatchbook.schema import Schema
predicting.encode_in_shards = partial(predicting.encode_in_shards, shard=3, workers=1)
embed, calls = Labeller.embed, []
def dying(self, tensors):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return embed(self, tensors)
Labeller.embed = dying
predicting.label_folder(sys.argv[1], sys.argv[2], Schema.load(), labeller=sys.argv[3])
"""


def test_a_killed_command_goes_on_to_the_same_bytes(folder, labeller, schema, tmp_path, monkeypatch):
    out, whole = tmp_path / "labels.parquet", tmp_path / "whole.parquet"
    killed = subprocess.run(
        [sys.executable, "-c", STOPPED, str(folder), str(out), labeller],
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not out.exists()
    assert below(tmp_path / "labels.parquet.partial/shards") == ["shard-00000.npz", "shard-00001.npz"]
    monkeypatch.setattr(predicting, "encode_in_shards", partial(encode_in_shards, shard=3))
    predicting.label_folder(folder, whole, schema, labeller=labeller)
    embed, seen = Labeller.embed, []
    monkeypatch.setattr(Labeller, "embed", lambda self, some: seen.append(len(some)) or embed(self, some))
    predicting.label_folder(folder, out, schema, labeller=labeller)
    assert seen == [2]
    assert out.read_bytes() == whole.read_bytes()
    assert not Path(f"{out}.partial").exists()


@pytest.mark.parametrize("other", ["labeller", "schema", "batch"])
def test_shards_of_another_labeller_or_schema_are_not_taken(other, folder, labeller, schema, tmp_path):
    out = tmp_path / "labels.csv"
    label = ["label", str(folder), "--labeller", labeller, "--schema", "textilenet", "--out"]
    assert main([*label, str(tmp_path / "whole.csv")]) == 0
    given = {"labeller": labeller, "schema": schema, "batch": 16}
    if other == "labeller":
        given["labeller"] = small_labeller(tmp_path / "other", seed=1)
    elif other == "schema":
        given["schema"] = Schema.load("wardrobe")
    else:
        given["batch"] = 2
    model = Labeller.load(given["labeller"], device="cpu", log=lambda _: None)
    encoder = CosineEncoder(model, given["schema"], predicting.short_side_for(model))
    paths = images.find(folder)["path"].tolist()
    left = list(encode_in_shards(encoder, paths, Path(f"{out}.partial") / "shards", batch=given["batch"]))
    assert len(left) == 1
    assert main([*label, str(out)]) == 0
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_model_whose_values_are_no_numbers_stops(folder, schema, tmp_path, monkeypatch, capsys):
    model = small_model(tmp_path / "model", schema)
    shape = len([label for a in schema for label in a.classes])
    monkeypatch.setattr(
        "swatchbook.bulk.classifier.Classifier.encode",
        lambda _, pictures: np.full((len(pictures), shape), np.nan, np.float32),
    )
    assert main(["predict", str(folder), "--model", str(model), "--out", str(tmp_path / "o.csv")]) == 1
    assert "gives values that are not finite" in capsys.readouterr().err
    assert not (tmp_path / "o.csv").exists()


def test_a_part_is_written_before_the_next_is_encoded(folder, labeller, schema, tmp_path, monkeypatch):
    monkeypatch.setattr(predicting, "encode_in_shards", partial(encode_in_shards, shard=3))
    embed, write, done = Labeller.embed, pq.ParquetWriter.write_table, []
    monkeypatch.setattr(Labeller, "embed", lambda self, some: done.append(len(some)) or embed(self, some))
    monkeypatch.setattr(
        pq.ParquetWriter, "write_table", lambda self, t: done.append(f"{len(t)} written") or write(self, t)
    )
    out = tmp_path / "labels.parquet"
    predicting.label_folder(folder, out, schema, labeller=labeller)
    assert done == [3, "3 written", 3, "3 written", 2, "2 written"]
    assert pq.ParquetFile(out).num_row_groups == 3


def test_a_table_in_parts_is_the_table_in_one(folder, labeller, schema, tmp_path, monkeypatch):
    for suffix in (".csv", ".parquet"):
        whole, parts = tmp_path / f"whole{suffix}", tmp_path / f"parts{suffix}"
        predicting.label_folder(folder, whole, schema, labeller=labeller)
        with monkeypatch.context() as patch:
            patch.setattr(predicting, "encode_in_shards", partial(encode_in_shards, shard=3))
            predicting.label_folder(folder, parts, schema, labeller=labeller)
        read = pd.read_csv if suffix == ".csv" else pd.read_parquet
        pd.testing.assert_frame_equal(read(parts), read(whole), rtol=1e-4)


def test_a_contact_sheet_is_written_beside_the_table(folder, labeller, tmp_path, capsys):
    (folder / "f.jpg").write_bytes(b"")
    out, sheet = tmp_path / "labels.csv", tmp_path / "sheet.html"
    printed = ["--out", str(out), "--labeller", labeller, "--schema", "wardrobe", "--html", str(sheet)]
    assert main(["label", str(folder), *printed]) == 0
    assert f"{sheet}: contact sheet" in capsys.readouterr().out
    page = BeautifulSoup(sheet.read_text(encoding="utf-8"), "html.parser")
    work, table = json.loads(page.find("script", id="work").string), pd.read_csv(out)
    names = [attribute["name"] for attribute in work["attributes"]]
    assert names == ["material", "color", "pattern", "texture"]
    cards = {card["name"]: card for card in work["photographs"]}
    assert set(cards) == set(NAMES) - {"f.jpg"}
    for row in table.to_dict("records"):
        card = cards[row["path"].removeprefix("'")]
        for k, attribute in enumerate(work["attributes"]):
            label, given = card["labels"][k], row[attribute["name"]]
            assert (None if label < 0 else attribute["classes"][label]) == (None if pd.isna(given) else given)
            assert card["sure"][k] == pytest.approx(row[f"{attribute['name']}_confidence"], abs=6e-5)
    assert "Files that could not be read1" in page.find("dl").text.replace("\n", "")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "labels.csv", "labels.csv.broken.csv", "photographs", "sheet.html"
    ]  # fmt: skip


def test_what_a_labeller_cannot_do_on_photographs_has_no_columns_and_one_line_says_why(
    folder, tmp_path, capsys
):
    measured = small_labeller(tmp_path / "measured")
    head, tail = ",".join(COLUMNS), "a vision-language model,i"
    rows = [f"color,accuracy,0.7,0.6,0.8,100,0.2,{tail}", f"texture,accuracy,0.9,0.85,0.94,100,0.9,{tail}"]
    (tmp_path / "measured" / MEASURED).write_text("\n".join([head, *rows]) + "\n")
    out, page = tmp_path / "o.csv", tmp_path / "sheet.html"
    label = ["label", str(folder), "--labeller", measured, "--out", str(out), "--html", str(page)]
    assert main(label) == 0
    assert list(pd.read_csv(out)) == ["path", "color", "color_confidence"]
    loading, *said = capsys.readouterr().err.splitlines()
    assert loading == "loading the model …"
    assert said[0].startswith("material: left out: not measured on photographs; --attributes all")
    assert said[1].startswith("color: right on 70.0 % [60.0, 80.0] of photographs, n = 100 (")
    assert said[3].startswith("texture: left out: right on 90.0 % [85.0, 94.0] of photographs, n = 100 (")
    lead = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").find(class_="lead").text
    assert (
        "Material is left out: not measured on photographs." in lead and "Texture is left out: right" in lead
    )
    assert main([*label, "--attributes", "texture,color"]) == 0
    assert [c for c in pd.read_csv(out) if "_" not in c] == ["path", "color", "texture"]
    assert main([*label, "--attributes", "all"]) == 0
    assert [c for c in pd.read_csv(out) if "_" not in c] == ["path", *Schema.load("wardrobe").names]


def test_corrections_take_the_place_of_labels(folder, labeller, tmp_path, capsys):
    plain, out, given = tmp_path / "plain.csv", tmp_path / "out.csv", tmp_path / "corrections.csv"
    label = ["label", str(folder), "--labeller", labeller, "--no-abstain", "--out"]
    assert main([*label, str(plain)]) == 0
    given.write_text("path,annotator,color,pattern\na.jpg,me,orange,\n'=1+1.jpg,me,red,floral\n".replace(
        "'=1+1", "'shirts/=1+1"
    ))  # fmt: skip
    assert main([*label, str(out), "--corrections", str(given)]) == 0
    before, after = pd.read_csv(plain).set_index("path"), pd.read_csv(out).set_index("path")
    first, second = "a.jpg", next(name for name in after.index if "=1+1" in name)
    assert after.loc[[first, second], "color"].tolist() == ["orange", "red"]
    assert after.loc[[first, second], "color_confidence"].tolist() == [1, 1]
    assert pd.isna(after.pattern[first]) and after.pattern[second] == "floral"
    assert after.pattern_confidence[first] == before.pattern_confidence[first]
    others = after.index.difference([first, second])
    pd.testing.assert_frame_equal(after.loc[others], before.loc[others])
    pd.testing.assert_series_equal(after["texture"], before["texture"])
    given.write_text("path,color\nnone.jpg,red\n")
    assert main([*label, str(tmp_path / "o.csv"), "--corrections", str(given)]) == 1
    assert "corrections.csv, line 2: path 'none.jpg' is unknown" in capsys.readouterr().err
    assert not (tmp_path / "o.csv").exists() and not (tmp_path / "o.csv.partial").exists()


def large(scale: int, rng: np.random.Generator) -> bytes:
    """A JPEG of shades, edges, noise and full-contrast stripes, its short side 160 times the scale."""
    side = 160 * scale
    y, x = np.mgrid[:side, : side + 80].astype(np.float32)
    shades = 90 + 60 * np.sin(x / side * 5) + 40 * np.cos(y / side * 7)
    edges = np.where((x // (side / 6) + y // (side / 9)) % 2 > 0, 50, 0)
    stripes = np.where(y < side / 3, 120 * np.sign(np.sin(2 * np.pi * (x + 0.3 * y) / (3.7 * scale))), 0)
    picture = (shades + edges)[..., None] + stripes[..., None] * [1, 0.8, 0.5]
    noise = rng.normal(0, 8, (*x.shape, 3))
    file = io.BytesIO()
    Image.fromarray(np.clip(picture + noise, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_large_photographs_are_read_smaller_and_seen_as_if_whole(labeller, scale, rng):
    model = Labeller.load(labeller, device="cpu", log=lambda _: None)
    short_side = predicting.short_side_for(model)
    assert short_side == predicting.FINE * 32
    data = large(scale, rng)
    assert min(decode(data, short_side).size) == short_side  # the least that is allowed, so the worst
    preprocess = model.network.preprocess
    apart = (preprocess(decode(data, short_side)) - preprocess(decode(data))).abs() * 127.5
    assert 0 < apart.max() < 5.5 and apart.mean() < 1
    assert min(decode(data, short_side + 1).size) == 2 * short_side


def test_small_photographs_and_other_formats_are_read_in_full(rng):
    picture = Image.fromarray(rng.integers(0, 256, (319, 400, 3)).astype(np.uint8))
    for form in ("JPEG", "PNG", "WEBP"):
        file = io.BytesIO()
        picture.save(file, form)
        data = file.getvalue()
        short_side = 160 if form == "JPEG" else 20  # 160 is more than half of 319
        assert np.array_equal(np.asarray(decode(data, short_side)), np.asarray(decode(data)))


def test_names_that_a_spreadsheet_would_run_are_quoted_in_csv_only(labeller, schema, tmp_path):
    folder = tmp_path / "hostile"
    folder.mkdir()
    names = ["=1+1.jpg", "+a.jpg", "-b.jpg", "@c.jpg", "\td.jpg", "\re.jpg", 'f,"g".jpg', "h\ni.jpg", "k.jpg"]
    for name in names:
        Image.new("RGB", (20, 20), "red").save(folder / name)
    (folder / "=broken.jpg").write_bytes(b"")
    written, broken = predicting.label_folder(folder, tmp_path / "out.csv", schema, labeller=labeller)
    assert written == len(names)
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        written = [row["path"] for row in csv.DictReader(file)]
    assert written == [f"'{n}" if n[0] in "=+-@\t\r" else n for n in sorted(names)]
    assert broken["path"].tolist() == ["=broken.jpg"]
    with (tmp_path / "out.csv.broken.csv").open(newline="", encoding="utf-8") as file:
        assert [row["path"] for row in csv.DictReader(file)] == ["'=broken.jpg"]
    predicting.label_folder(folder, tmp_path / "out.parquet", schema, labeller=labeller)
    assert pd.read_parquet(tmp_path / "out.parquet")["path"].tolist() == sorted(names)


def test_broken_files_are_listed_with_reasons_and_left_out(folder, labeller, tmp_path, capsys):
    whole = (folder / "a.jpg").read_bytes()
    (folder / "f.jpg").write_bytes(b"")
    (folder / "g.jpg").write_text("<!doctype html><p>not here")
    (folder / "h.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / os.fsdecode(b"\xff.jpg")).write_bytes(whole)
    out, printed = tmp_path / "labels.csv", tmp_path / "labels.csv.broken.csv"
    assert main(["label", str(folder), "--out", str(out), "--labeller", labeller]) == 0
    assert f"{printed}: 4 files that cannot be read, with reasons" in capsys.readouterr().out
    reasons = pd.read_csv(printed).set_index("path")["reason"]
    assert reasons["f.jpg"] == "empty: 0 bytes"
    assert reasons["g.jpg"] == "a page of HTML or XML, not an image"
    assert reasons["h.jpg"].startswith("damaged: ")
    assert reasons["\\udcff.jpg"] == "its name is not UTF-8; rename it"
    assert pd.read_csv(out)["path"].tolist() == sorted(set(NAMES) - {"f.jpg", "g.jpg", "h.jpg"})
    for path in folder.iterdir():
        if path.name in ("f.jpg", "g.jpg", "h.jpg", os.fsdecode(b"\xff.jpg")):
            path.unlink()
    assert main(["label", str(folder), "--out", str(out), "--labeller", labeller]) == 0
    assert not printed.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "holds no image; allowed: files in .jpg"),
        ({"notes.txt": "hello", "table.csv": "a,b"}, "holds no image; allowed: files in .jpg"),
        (
            {"a.jpg": "hello", "b.png": ""},
            "none of the 2 images below '{}' can be read: 'a.jpg' (not an image",
        ),
    ],
)
def test_a_folder_without_photographs_is_one_error_and_leaves_nothing(
    content, message, labeller, schema, tmp_path, capsys
):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, text in content.items():
        (folder / name).write_text(text)
    before = below(tmp_path)
    model = small_model(tmp_path.with_name(f"{tmp_path.name}-model"), schema)
    for command in (["label", "--labeller", labeller], ["predict", "--model", str(model)]):
        assert main([command[0], str(folder), "--out", str(tmp_path / "o.csv"), *command[1:]]) == 1
        error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("swatchbook: ")]
        assert len(error) == 1 and message.format(folder) in error[0]
        assert below(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "o.txt"], "out 'o.txt' ends in '.txt'; allowed: .parquet or .csv"),
        (["--out", "none/o.csv"], "out 'none/o.csv' lies in a folder that does not exist"),
        (["--out", "folder.csv"], "out 'folder.csv' is a folder; allowed: a file"),
        (
            ["--out", "o.csv", "--labeller", "clip"],
            "labeller 'clip'; allowed: bundled, drawn-only, fashion-siglip",
        ),
        (["--out", "o.csv", "--labeller", "local-dir:no"], "no is no folder; local-dir: needs one with"),
        (
            ["--out", "o.csv", "--schema", "textile"],
            "schema 'textile' is unknown; did you mean textilenet? allowed: challenge, multimodal, textilenet",
        ),
        (["--out", "o.csv", "--html", "o.pdf"], "html 'o.pdf' ends in '.pdf'; allowed: .html or .htm"),
        (["--out", "o.csv", "--html", "no/o.html"], "html 'no/o.html' lies in a folder that does not exist"),
        (
            ["--out", "o.csv", "--temperature", "0"],
            "logit_scale (--temperature) must be a number above 0; received 0.0",
        ),
        (
            ["--out", "o.csv", "--temperature", "nan"],
            "logit_scale (--temperature) must be a number above 0; received nan",
        ),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(arguments, message, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("folder.csv").mkdir()
    before = below(tmp_path)
    assert main(["label", str(folder), *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert below(tmp_path) == before


def test_a_table_that_another_command_is_writing_is_not_touched(folder, labeller, schema, tmp_path, capsys):
    out = tmp_path / "labels.csv"
    with Store(f"{out}.partial").lock():
        assert main(["label", str(folder), "--out", str(out), "--labeller", labeller]) == 1
        assert f"is in use by another run (PID {os.getpid()}" in capsys.readouterr().err
        assert Path(f"{out}.partial").is_dir()
    assert not out.exists()


def test_predictions_are_those_of_the_study(folder, tmp_path, capsys):
    schema = Schema.load("textilenet", "construction")
    model = small_model(tmp_path / "model", schema)
    out = tmp_path / "predicted.parquet"
    assert main(["predict", str(folder), "--model", str(model), "--out", str(out)]) == 0
    manifest, _ = images.examine(images.find(folder))
    pixels.build(manifest, tmp_path / "pixels.npy")
    stored = pixels.read(tmp_path / "pixels.npy")
    wanted = predict(model, stored, np.arange(len(stored)), schema, device="cpu")
    table = pd.read_parquet(out)
    assert table["path"].tolist() == manifest["image_id"].tolist()
    assert list(table) == ["path", *(f"{a}{c}" for a in schema.names for c in ("", "_confidence"))]
    for a in schema:
        assert table[a.name].tolist() == wanted[a.name].tolist()
        p = wanted[[f"{a.name}:{label}" for label in a.classes]].to_numpy()
        np.testing.assert_allclose(table[f"{a.name}_confidence"], p.max(axis=1), atol=1e-5)
        assert np.ptp(p.max(axis=1)) > 1e-4  # the pictures differ, so an order mixed up would show


def test_a_folder_that_is_no_finished_model_is_refused(folder, schema, tmp_path, capsys):
    out = ["--out", str(tmp_path / "o.csv")]
    assert main(["predict", str(folder), "--model", str(tmp_path), *out]) == 1
    assert "no finished model (config.json gives FileNotFoundError" in capsys.readouterr().err
    model = small_model(tmp_path / "model", schema)
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    assert main(["predict", str(folder), "--model", str(model), *out]) == 1
    assert "are not those that training wrote together" in capsys.readouterr().err
    other = small_model(tmp_path / "other", schema, side=64)
    assert main(["predict", str(folder), "--model", str(other), *out]) == 1
    assert "was trained on images stored at 64 pixels; allowed: 256" in capsys.readouterr().err
    assert not (tmp_path / "o.csv").exists() and not (tmp_path / "o.csv.partial").exists()


@pytest.mark.skipif(os.name != "posix", reason="needs a home that nobody can write")
def test_a_clone_under_any_path_labels_in_any_locale_with_a_home_that_cannot_be_written(
    folder, labeller, tmp_path
):
    clone = tmp_path / """a clone, it's "mine" 🧥"""
    shutil.copytree(ROOT / "src", clone / "src", ignore=shutil.ignore_patterns("__pycache__", "bundled"))
    shutil.move(folder, clone / "Ölbilder İıĞ 🧵")
    env = {
        "PATH": os.environ["PATH"],
        "HOME": "/proc/nobody",
        "LC_ALL": "tr_TR.UTF-8",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "swatchbook", "label", "Ölbilder İıĞ 🧵", "--out", "labels.csv",
         "--html", "sheet.html", "--labeller", labeller],
        cwd=clone, env={**env, "PYTHONPATH": str(clone / "src")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(pd.read_csv(clone / "labels.csv")["path"].str.removeprefix("'")) == sorted(NAMES)
    assert sorted(p.name for p in clone.iterdir()) == sorted(
        ["labels.csv", "sheet.html", "src", "Ölbilder İıĞ 🧵"]
    )
