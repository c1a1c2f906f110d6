"""`swatchbook index`: the labels of `label` and the embeddings in one table, whole or not at all."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

pytest.importorskip("torch", reason="indexing needs the extra 'models'")

import pyarrow.parquet as pq
import torch

from swatchbook.bulk import folder as labelling
from swatchbook.bulk import vectors
from swatchbook.bulk.folder import label_folder
from swatchbook.bulk.index import index_folder
from swatchbook.bulk.vectors import EMBEDDING, Graphs, IndexFileError, VectorTable, about, field_of, packed
from swatchbook.cli.main import main
from swatchbook.labeller.shards import encode_in_shards
from swatchbook.labeller.zero_shot import Labeller
from swatchbook.schema import Schema
from tests.bulk.test_label_command import below, small_labeller, write_photographs

pytestmark = pytest.mark.usefixtures("one_thread")


def quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def wardrobe() -> Schema:
    return Schema.load("wardrobe")


@pytest.fixture(scope="module")
def labeller(tmp_path_factory) -> str:
    return small_labeller(tmp_path_factory.mktemp("labeller") / "small")


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_photographs(tmp_path / "photographs")


def unit(rng: np.random.Generator, rows: int, dimensions: int) -> np.ndarray:
    found = rng.standard_normal((rows, dimensions)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def write_index(out: Path, made: np.ndarray, group: int = 10, block: int | None = None, **columns) -> Path:
    """An index of made vectors, written as `index_folder` writes one, in row groups."""
    given = {} if block is None else {"block": block}
    graphs = Graphs(out, made.shape[1], quiet, **given)
    columns = {"path": [f"{k:04d}.jpg" for k in range(len(made))], **columns}
    table = pd.DataFrame(columns).assign(**{EMBEDDING: packed(made)})
    kinds = {n: pa.float64() if n.endswith("_confidence") else pa.string() for n in columns}
    schema = pa.schema([*kinds.items(), field_of(made.shape[1])])
    record = {"dimensions": made.shape[1]}
    with pq.ParquetWriter(
        out, schema, compression="NONE", use_dictionary=False, write_page_checksum=True
    ) as file:
        for start in range(0, len(table), group):
            part = table.iloc[start : start + group]
            file.write_table(pa.Table.from_pandas(part, schema=schema, preserve_index=False))
            graphs.add(part)
        file.add_key_value_metadata(about(record, graphs))
    return out


def test_an_index_is_the_table_of_labels_with_the_embeddings_of_the_model(
    folder,
    labeller,
    wardrobe,
    tmp_path,
    capsys,
):
    out, labels = tmp_path / "index.parquet", tmp_path / "labels.parquet"
    (folder / "f.jpg").write_bytes(b"")
    assert main(["index", str(folder), "--out", str(out), "--labeller", labeller]) == 0
    assert f"{out}: 7 photographs" in capsys.readouterr().out
    label_folder(folder, labels, wardrobe, labeller=labeller, log=quiet)
    table = pd.read_parquet(out)
    pd.testing.assert_frame_equal(table.drop(columns=EMBEDDING), pd.read_parquet(labels))
    found = np.stack([np.frombuffer(cell, "float16") for cell in table[EMBEDDING]])
    model = Labeller.load(labeller, device="cpu", log=quiet)
    wanted = model.encode([folder / path for path in table["path"]])
    np.testing.assert_allclose(found, wanted, atol=5e-4)
    assert len(np.unique(found.round(2), axis=0)) == 7  # the pictures differ, so an order mixed up would show
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "index.parquet", "index.parquet.broken.csv", "labels.parquet", "labels.parquet.broken.csv", "photographs"
    ]  # fmt: skip
    record = VectorTable(out).record
    assert (record["labeller"], record["model"], record["schema"], record["dimensions"]) == (
        labeller, model.fingerprint, "wardrobe", 16,
    )  # fmt: skip
    assert record["preprocessing"]["mean"] == "[0.5, 0.5, 0.5]"
    assert [a["name"] for a in record["attributes"]] == ["material", "color", "pattern", "texture"]
    assert list(record["attributes"][2]["surface"]) == list(wardrobe["pattern"].classes)


STOPPED = """
import os, signal, sys
from functools import partial
from swatchbook.bulk import folder as labelling
from swatchbook.bulk.index import index_folder
from swatchbook.labeller.zero_shot import Labeller
from swatchbook.schema import Schema
labelling.encode_in_shards = partial(labelling.encode_in_shards, shard=3, workers=1)
embed, calls = Labeller.embed, []
def dying(self, tensors):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return embed(self, tensors)
Labeller.embed = dying
index_folder(sys.argv[1], sys.argv[2], Schema.load("wardrobe"), labeller=sys.argv[3])
"""


def test_a_killed_indexing_goes_on_to_the_same_bytes(folder, labeller, wardrobe, tmp_path, monkeypatch):
    out, whole = tmp_path / "index.parquet", tmp_path / "whole.parquet"
    killed = subprocess.run(
        [sys.executable, "-c", STOPPED, str(folder), str(out), labeller],
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not out.exists() and len(below(tmp_path / "index.parquet.partial/shards")) == 2
    monkeypatch.setattr(labelling, "encode_in_shards", partial(encode_in_shards, shard=3))
    index_folder(folder, whole, wardrobe, labeller=labeller, log=quiet)
    embed, seen = Labeller.embed, []
    monkeypatch.setattr(Labeller, "embed", lambda self, some: seen.append(len(some)) or embed(self, some))
    index_folder(folder, out, wardrobe, labeller=labeller, log=quiet)
    assert seen == [2]
    assert out.read_bytes() == whole.read_bytes()
    assert not Path(f"{out}.partial").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "o.csv"], "out 'o.csv' ends in '.csv'; allowed: .parquet"),
        (
            ["--out", "o.parquet", "--labeller", "clip"],
            "labeller 'clip'; allowed: bundled, drawn-only, fashion-siglip",
        ),
        (["--out", "o.parquet", "--schema", "textile"], "schema 'textile' is unknown"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(arguments, message, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = below(tmp_path)
    assert main(["index", str(folder), *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert below(tmp_path) == before


# ---- the file and its nearest rows -------------------------------------------------------------------


def test_the_nearest_of_made_vectors_are_those_by_hand(tmp_path):
    made = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1]] * np.float32([1, 1, 1, 1, 0.5, 0.5])[:, None]
    table = VectorTable(write_index(tmp_path / "i.parquet", made, group=2))
    query = np.float32([0.6, 0.8, 0, 0])
    rows, scores, far = table.nearest(query, 4)
    assert rows.tolist() == [1, 0, 5, 4] and far.tolist() == [0] * 4
    np.testing.assert_allclose(scores, [0.8, 0.6, 0.4, 0.3], rtol=1e-3)
    # Equal ones come in their order, whatever group of rows they lie in.
    assert table.nearest(np.float32([0, 0, 0, 0]), 6)[0].tolist() == list(range(6))
    kept = table.nearest(
        query, 4, columns=["path"], keep=lambda b: np.array(b.column("path").to_pylist()) > "0001.jpg"
    )
    assert kept[0].tolist() == [5, 4, 2, 3]
    nearer = table.nearest(query, 3, distance=lambda b: np.array([np.nan, 1, 1, 0, 0, 1])[: len(b)])
    assert (nearer[0].tolist(), nearer[2].tolist()) == ([4, 3, 1], [0, 0, 1])
    assert table.take(np.array([5, 0]))["path"].tolist() == ["0005.jpg", "0000.jpg"]
    assert table.sample(2).shape == (4, 4)


def test_full_blocks_are_looked_up_in_graphs_and_the_rest_is_compared(tmp_path, rng, monkeypatch):
    pytest.importorskip("usearch", reason="graphs need the extra 'search'")
    made = unit(rng, 730, 16)
    path = write_index(tmp_path / "i.parquet", made, group=50, block=300 * 32)
    table = VectorTable(path)
    assert table.in_graphs == 600 and len(list(Path(f"{path}.graphs").iterdir())) == 2
    queries = unit(rng, 40, 16)
    shares = []
    for query in queries:
        rows, scores, _ = table.nearest(query, 10)
        exact, best, _ = table.nearest(query, 10, exact=True)
        assert (
            exact.tolist() == np.argsort(-(made.astype(np.float16).astype(np.float32) @ query))[:10].tolist()
        )
        shares.append(len(set(rows) & set(exact)) / 10)
        for row, score in zip(rows, scores, strict=True):
            if row in exact:
                assert score == pytest.approx(best[exact.tolist().index(row)], abs=1e-6)
    assert np.mean(shares) > 0.97
    again = write_index(tmp_path / "again.parquet", made, group=50, block=300 * 32)
    assert again.read_bytes() == path.read_bytes()
    monkeypatch.setattr(vectors, "usearch", lambda: None)
    told = []
    alone = VectorTable(path, told.append)
    assert alone.in_graphs == 0 and told[0].endswith("pip install 'swatchbook[search]'")
    assert alone.nearest(queries[0], 10)[0].tolist() == table.nearest(queries[0], 10, exact=True)[0].tolist()


def test_without_the_extra_no_graph_is_made_and_one_line_says_so(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(vectors, "usearch", lambda: None)
    told = []
    graphs = Graphs(tmp_path / "i.parquet", 8, told.append, block=20 * 16)
    graphs.add(pd.DataFrame({EMBEDDING: packed(unit(rng, 70, 8))}))
    assert graphs.digests() == [] and len(told) == 1 and "need the extra 'search'" in told[0]
    assert below(tmp_path) == []


def test_a_damaged_index_is_one_clear_error(tmp_path, rng):
    path = write_index(tmp_path / "i.parquet", unit(rng, 40, 16))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(IndexFileError, match=r"i\.parquet is no index or is damaged \(.*\); make it again"):
        VectorTable(path)
    cell = packed(VectorTable(write_index(path, unit(rng, 40, 16))).sample())[17]
    flipped = bytearray(path.read_bytes())
    flipped[flipped.find(cell) + 5] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(IndexFileError, match="is no index or is damaged"):
        VectorTable(path).nearest(np.ones(16, np.float32), 3)
    path.write_text("hello")
    with pytest.raises(IndexFileError, match="is no index or is damaged"):
        VectorTable(path)
    with pytest.raises(IndexFileError, match="is no file; swatchbook index DIR"):
        VectorTable(tmp_path / "none.parquet")
    pd.DataFrame({"path": ["a.jpg"]}).to_parquet(path)
    with pytest.raises(IndexFileError, match="a table without embeddings, such as label writes"):
        VectorTable(path)


def test_a_damaged_graph_or_another_index_s_is_refused(tmp_path, rng):
    pytest.importorskip("usearch", reason="graphs need the extra 'search'")
    path = write_index(tmp_path / "i.parquet", unit(rng, 40, 16), block=20 * 32)
    graph = Path(f"{path}.graphs/00001.usearch")
    flipped = bytearray(graph.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    graph.write_bytes(flipped)
    with pytest.raises(IndexFileError, match=r"00001\.usearch is missing, damaged or of another index"):
        VectorTable(path)


def test_an_index_of_another_format_is_refused(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(vectors, "FORMAT", 2)
    path = write_index(tmp_path / "i.parquet", unit(rng, 4, 16))
    monkeypatch.undo()
    with pytest.raises(IndexFileError, match="has format 2, and this version reads 1"):
        VectorTable(path)


def test_graphs_of_an_earlier_and_larger_table_are_removed(tmp_path, rng):
    pytest.importorskip("usearch", reason="graphs need the extra 'search'")
    path = tmp_path / "i.parquet"
    write_index(path, unit(rng, 40, 16), block=20 * 32)
    one, none = (Graphs(path, 16, quiet, block=20 * 32) for _ in range(2))
    one.add(pd.DataFrame({EMBEDDING: packed(unit(rng, 25, 16))}))
    one.tidy()
    assert below(tmp_path) == ["i.parquet", "i.parquet.graphs", "i.parquet.graphs/00000.usearch"]
    none.tidy()
    assert below(tmp_path) == ["i.parquet"]


def test_the_memory_of_graphs_is_one_block(rng):
    assert Graphs(Path("i.parquet"), 128).rows == 1_048_576
    assert Graphs(Path("i.parquet"), 768).rows == 174_762
    assert json.loads(about({}, Graphs(Path("i.parquet"), 128))["swatchbook"])["graphs"] == []
    assert torch.get_num_threads() == 1
