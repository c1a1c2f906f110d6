"""A folder by the machines of a Ray cluster: the bytes of one machine, parts that are kept, refusals."""

import inspect
import os
import re
import shutil
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="labelling needs the extra 'models'")

import pyarrow.parquet as pq
import torch
from PIL import Image

from swatchbook.bulk import folder as predicting
from swatchbook.bulk import ray_cluster
from swatchbook.bulk.folder import Labelling, label_folder, predict_folder
from swatchbook.bulk.index import index_folder
from swatchbook.bulk.ray_cluster import ClusterError, Machines, Worker, claim, identity_of
from swatchbook.labeller.cosines import CosineEncoder
from swatchbook.labeller.shards import encode_in_shards, read_shard, shard_file
from swatchbook.schema import Schema
from tests.bulk.test_label_command import small_labeller, small_model

IMAGES, PART, BATCH = 40, 16, 6
BROKEN = "017.png"

pytestmark = pytest.mark.usefixtures("one_thread")  # a worker takes a core


@pytest.fixture(scope="session")
def ray():
    """Two cores of this machine as a cluster of its own."""
    # Ray reads it so spelt; its own 15 would wait for the other tests.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
    ray = pytest.importorskip("ray", reason="many machines need the extra 'ray'")
    pytest.importorskip("ray.data", reason="many machines need the extra 'ray'")
    cluster = {"address": "local", "num_cpus": 2, "num_gpus": 0, "include_dashboard": False}
    try:
        ray.init(**cluster, log_to_driver=False, logging_level="error")
    except (
        Exception
    ) as error:  # its own 30 seconds, which a machine with other work can need for its first start
        if "timed out during startup" not in str(error):
            raise
        ray.shutdown()
        ray.init(**cluster, log_to_driver=False, logging_level="error")
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def labeller(tmp_path_factory) -> str:
    return small_labeller(tmp_path_factory.mktemp("labeller") / "small")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Forty small pictures, one of which is broken."""
    rng = np.random.default_rng(1)
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(IMAGES):
        noise = rng.integers(0, 256, 3) + rng.integers(-40, 40, (40, 30, 3))
        Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).save(folder / f"{number:03}.png")
    (folder / BROKEN).write_bytes(b"")
    return folder


@pytest.fixture
def on_one_machine(monkeypatch):
    """The ordinary path, cut as these tests cut it, without a GPU."""
    monkeypatch.setattr(predicting, "encode_in_shards", partial(encode_in_shards, shard=PART, batch=BATCH))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def machines(workers: int = 1, **changes) -> Machines:
    return Machines(**{"workers": workers, "batch": BATCH, "shard": PART, **changes})


def quiet(_: str) -> None:
    pass


def here(_, worker: tuple, parts: list, *__):
    """A pool of one worker, in this process."""
    encode = Worker(*worker)
    for number, paths in enumerate(parts):
        yield encode({"part": np.array([number]), "paths": [paths]})


@pytest.fixture
def in_this_process(monkeypatch):
    """A cluster of one machine with two cores that is this process; only one test pays for Ray's own start."""
    machine = {"Alive": True, "Resources": {"CPU": 2.0}}
    cluster = SimpleNamespace(cluster_resources=lambda: {"CPU": 2.0}, nodes=lambda: [machine])
    monkeypatch.setattr(ray_cluster, "_cluster", lambda _: nullcontext(cluster))
    monkeypatch.setattr(ray_cluster, "_run", here)


def test_shards_and_batches_are_those_of_one_machine():
    defaults = {name: p.default for name, p in inspect.signature(encode_in_shards).parameters.items()}
    assert (Machines().shard, Machines().batch) == (defaults["shard"], defaults["batch"])


def test_a_job_that_failed_refuses_others_and_goes_on_to_the_bytes_of_one_machine(
    ray, folder, labeller, schema, tmp_path, monkeypatch, on_one_machine
):
    one, many = tmp_path / "one.parquet", tmp_path / "many.parquet"
    place = Path(labeller.removeprefix("local-dir:"))
    monkeypatch.chdir(place.parent)  # workers are not here, and find it all the same
    given = {"labeller": f"local-dir:{place.name}", "log": quiet}
    label_folder(folder, one, schema, html=tmp_path / "one.html", **given)
    shards = Path(f"{many}.partial") / "shards"
    in_the_way = shards / "shard-00002.npz"
    (in_the_way / "x").mkdir(parents=True)
    with (
        monkeypatch.context() as patch,
        pytest.raises(
            ClusterError, match=r"^machine '.+': cannot write shard-00002\.npz in .*: Is a directory"
        ),
    ):
        patch.setattr(ray_cluster, "_run", here)
        label_folder(folder, many, schema, machines=machines(), **given)
    shutil.rmtree(in_the_way)
    names = ["shard-00000.npz", "shard-00001.npz"]
    assert sorted(p.name for p in shards.iterdir()) == names
    assert not many.exists()

    with pytest.raises(ClusterError, match="holds the shards of another job: schema was"):
        label_folder(folder, many, Schema.load("wardrobe"), machines=machines(), **given)
    with pytest.raises(ClusterError, match="holds the shards of another job: batch was 6 and is now 7"):
        label_folder(folder, many, schema, machines=machines(batch=7), **given)
    assert sorted(p.name for p in shards.iterdir()) == names

    (shards / "shard-00000.npz").unlink()
    with np.load(shards / "shard-00001.npz") as content:
        kept = dict(content)
    kept["broken"] = np.array(str(kept["broken"]).replace("empty: 0 bytes", "as an earlier call found"))
    np.savez(shards / "shard-00001.npz", **kept)
    html = tmp_path / "many.html"
    with pytest.raises(ValueError, match=r"cpus is 3 .* and the largest machine of the cluster has 2"):
        label_folder(folder, many, schema, machines=machines(cpus=3), **given)
    written, broken = label_folder(folder, many, schema, machines=machines(2), html=html, **given)
    assert written == IMAGES - 1
    assert many.read_bytes() == one.read_bytes()
    assert pq.ParquetFile(many).num_row_groups == 3
    # Shard 1 was taken up and not made again.
    assert broken.to_dict("records") == [{"path": BROKEN, "reason": "as an earlier call found"}]
    pages = [path.read_text(encoding="utf-8") for path in (html, tmp_path / "one.html")]
    assert pages[0] == pages[1]
    left = sorted(p.name for p in tmp_path.iterdir())
    assert left == sorted(
        [
            "photographs",
            *(f"{n}.{s}" for n in ("one", "many") for s in ("html", "parquet", "parquet.broken.csv")),
        ]
    )


def test_cosines_serve_every_scale_of_logits(
    folder, labeller, schema, tmp_path, monkeypatch, on_one_machine, in_this_process
):
    """What was encoded for a job that stopped is not encoded again because labels are wanted otherwise."""
    one, many = tmp_path / "one.csv", tmp_path / "many.csv"
    given = {"labeller": labeller, "log": quiet}
    label_folder(folder, one, schema, logit_scale=50.0, **given)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Labelling, "answers", interrupt)
        label_folder(folder, many, schema, machines=machines(), **given)
    with monkeypatch.context() as patch:
        patch.setattr(CosineEncoder, "encode", interrupt)
        label_folder(folder, many, schema, machines=machines(), logit_scale=50.0, **given)
    assert many.read_bytes() == one.read_bytes()


def interrupt(*_):
    raise KeyboardInterrupt


def test_predictions_are_the_bytes_of_one_machine(folder, tmp_path, on_one_machine, in_this_process):
    model = small_model(tmp_path / "model", Schema.load())
    one, many = tmp_path / "one.csv", tmp_path / "many.csv"
    predict_folder(folder, one, model, device="cpu", log=quiet)
    written, broken = predict_folder(folder, many, model, machines=machines(), log=quiet)
    assert (written, broken["path"].tolist()) == (IMAGES - 1, [BROKEN])
    assert many.read_bytes() == one.read_bytes()
    assert Path(f"{many}.broken.csv").read_bytes() == Path(f"{one}.broken.csv").read_bytes()
    assert pd.read_csv(many).nunique()["color_confidence"] > IMAGES / 2


def test_an_index_is_the_bytes_of_one_machine(folder, labeller, tmp_path, on_one_machine, in_this_process):
    one, many = tmp_path / "one.parquet", tmp_path / "many.parquet"
    given = (Schema.load("wardrobe"),)
    index_folder(folder, one, *given, labeller=labeller, log=quiet)
    written, broken = index_folder(folder, many, *given, labeller=labeller, machines=machines(), log=quiet)
    assert (written, broken["path"].tolist()) == (IMAGES - 1, [BROKEN])
    assert many.read_bytes() == one.read_bytes()


def test_more_cores_than_any_machine_has_are_refused(folder, labeller, schema, tmp_path, in_this_process):
    with pytest.raises(
        ValueError, match="cpus is 3 for a worker, and the largest machine of the cluster has 2"
    ):
        label_folder(
            folder, tmp_path / "o.csv", schema, machines=machines(cpus=3), labeller=labeller, log=quiet
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photographs"]


def test_a_folder_of_broken_files_is_one_error_and_leaves_nothing(
    labeller, schema, tmp_path, in_this_process
):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jpg").write_text("hello")
    with pytest.raises(ValueError, match=r"none of the 1 images below .* can be read: 'a.jpg'"):
        label_folder(folder, tmp_path / "o.csv", schema, machines=machines(), labeller=labeller, log=quiet)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


@pytest.fixture
def begun(folder, labeller, schema, tmp_path, on_one_machine) -> tuple:
    """A worker's arguments, all its shards being done; what its machine returned; and the parts."""
    job = Labelling(schema, labeller, 100.0, True)
    identity = identity_of(job, job.encoder("cpu", quiet))
    record = {**identity, "threads": 1, "device": "cpu", "batch": BATCH, "shard": PART}
    paths = [str(path) for path in sorted(folder.iterdir())]
    parts = [paths[start : start + PART] for start in range(0, IMAGES, PART)]
    worker = (job, record, tmp_path / "shards", 1)
    done = list(here(None, worker, parts))
    assert [message["failed"].tolist() for message in done] == [[""]] * 3
    return worker, [str(message["key"][0]) for message in done], parts


def state(shards: Path) -> dict[str, tuple]:
    return {p.name: (p.stat().st_ino, p.read_bytes()) for p in sorted(shards.iterdir())}


def test_only_what_is_missing_damaged_or_of_changed_photographs_is_made_again(begun, folder):
    worker, keys, parts = begun
    shards = worker[2]
    before = state(shards)
    list(here(None, worker, parts))
    assert state(shards) == before

    shard_file(shards, 0).unlink()
    cut = shard_file(shards, 2)
    cut.write_bytes(cut.read_bytes()[:-9])
    list(here(None, worker, parts))
    after = state(shards)
    assert {name: content for name, (_, content) in after.items()} == {
        name: content for name, (_, content) in before.items()
    }
    assert after["shard-00001.npz"] == before["shard-00001.npz"]

    assert read_shard(shard_file(shards, 1), keys[1], PART).broken == [(1, "empty: 0 bytes")]
    mended = folder / BROKEN
    mended.write_bytes((folder / "016.png").read_bytes())
    again = [str(message["key"][0]) for message in here(None, worker, parts)]
    assert read_shard(shard_file(shards, 1), keys[1], PART) is None
    table, broken = read_shard(shard_file(shards, 1), again[1], PART).tables(
        "abcdefghijklmnopqrstuvwxyzäöü", parts[1], PART
    )
    assert table.index.tolist() == list(range(16, 32)) and broken.empty
    assert table.loc[17].to_dict() == pytest.approx(table.loc[16].to_dict())
    same = state(shards)
    assert same["shard-00000.npz"] == after["shard-00000.npz"]
    assert same["shard-00002.npz"] == after["shard-00002.npz"]


def test_a_machine_with_other_weights_or_versions_is_refused(begun):
    (job, record, shards, cpus), _, parts = begun
    for name, other in (("model", "0" * 64), ("versions", {**record["versions"], "torch": "1.0"})):
        (message,) = here(None, (job, {**record, name: other}, shards, cpus), parts[:1])
        assert message["key"].tolist() == [""]
        assert re.match(f"machine '.+': {name} is .+ where the job was begun", str(message["failed"][0]))


def test_a_shard_damaged_before_it_is_read_is_one_error(
    folder, labeller, schema, tmp_path, monkeypatch, in_this_process
):
    def damaging(*given):
        for done in here(*given):
            for path in tmp_path.rglob("shard-*.npz"):
                path.write_bytes(b"")
            yield done

    monkeypatch.setattr(ray_cluster, "_run", damaging)
    with pytest.raises(ClusterError, match=r"shard-00000\.npz was damaged; give the command again"):
        label_folder(folder, tmp_path / "o.csv", schema, machines=machines(), labeller=labeller, log=quiet)


def test_an_unreadable_record_is_refused_and_shards_of_nobody_are_not_taken(begun, tmp_path):
    (job, record, shards, cpus), keys, parts = begun
    (shards.parent / "job.json").write_text("{")
    with pytest.raises(ClusterError, match=r"job\.json cannot be read .*; remove"):
        claim(shards.parent, record)
    shard_file(shards, 0).write_bytes(shard_file(shards, 1).read_bytes())  # its key is of other photographs
    (message,) = here(None, (job, record, shards, cpus), parts[:1])
    assert message["key"].tolist() == keys[:1] and read_shard(shard_file(shards, 0), keys[0], PART)


def test_without_ray_the_extra_is_named(folder, labeller, schema, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"comes with the extra 'ray': pip install 'swatchbook\[ray\]'"):
        label_folder(folder, tmp_path / "o.csv", schema, machines=machines(), labeller=labeller, log=quiet)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photographs"]


@pytest.mark.parametrize("name", ["workers", "cpus", "batch", "shard"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1; received 0"):
        Machines(**{name: 0})
