"""A folder by the machines of a Ray cluster: the bytes of one machine, parts that are kept, refusals."""

import inspect
import os
import re
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="labelling needs the extra 'models'")

import pyarrow.parquet as pq
import torch
from PIL import Image

from swatchbook.bulk import folder as predicting
from swatchbook.bulk import ray_job as jobs
from swatchbook.bulk.folder import Labelling
from swatchbook.bulk.ray_job import Machines, label_on_ray, predict_on_ray
from swatchbook.bulk.ray_parts import ClusterError, PartFolder
from swatchbook.bulk.ray_worker import Worker, identity
from swatchbook.labeller.cosines import cosine_parts
from swatchbook.schema import Schema
from tests.bulk.test_label_command import small_labeller, small_model

IMAGES, PART, BATCH = 40, 16, 6
BROKEN = "017.png"

pytestmark = pytest.mark.usefixtures("one_thread")  # a worker takes a core


@pytest.fixture(scope="module")
def ray():
    """Two cores of this machine as a cluster of its own."""
    # Ray reads it so spelt; its own 15 would wait for the other tests.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
    ray = pytest.importorskip("ray", reason="many machines need the extra 'ray'")
    pytest.importorskip("ray.data", reason="many machines need the extra 'ray'")
    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=0,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
    )
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
    monkeypatch.setattr(predicting, "cosine_parts", partial(cosine_parts, shard=PART, batch=BATCH))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def machines(workers: int = 1, **changes) -> Machines:
    return Machines(**{"workers": workers, "batch": BATCH, "part": PART, **changes})


def quiet(_: str) -> None:
    pass


def test_parts_and_batches_are_those_of_one_machine():
    defaults = {name: p.default for name, p in inspect.signature(cosine_parts).parameters.items()}
    assert (Machines().part, Machines().batch) == (defaults["shard"], defaults["batch"])


def test_a_job_that_failed_refuses_others_and_goes_on_to_the_bytes_of_one_machine(
    ray, folder, labeller, schema, tmp_path, monkeypatch, on_one_machine
):
    one, many = tmp_path / "one.parquet", tmp_path / "many.parquet"
    place = Path(labeller.removeprefix("local-dir:"))
    monkeypatch.chdir(place.parent)  # workers are not here, and find it all the same
    labeller = f"local-dir:{place.name}"
    predicting.label_folder(folder, one, schema, labeller=labeller, html=tmp_path / "one.html", log=quiet)
    parts = Path(f"{many}.parts")
    in_the_way = parts / "part-00002.broken.csv"
    in_the_way.mkdir(parents=True)
    with pytest.raises(ClusterError, match=r"^machine '.+': .*part-00002\.broken\.csv'$"):
        label_on_ray(folder, many, schema, machines(), labeller=labeller, log=quiet)
    in_the_way.rmdir()
    names = ["part-00000.parquet", "part-00001.broken.csv", "part-00001.parquet"]
    assert sorted(p.name for p in parts.glob("part-*")) == names
    assert not many.exists()

    for other in ({"schema": Schema.load("wardrobe")}, {"temperature": 50.0}):
        asked = {"schema": schema, "temperature": 100.0, **other}
        with pytest.raises(ClusterError, match=f"holds the parts of another job: {next(iter(other))} was"):
            label_on_ray(folder, many, machines=machines(), labeller=labeller, log=quiet, **asked)
    assert sorted(p.name for p in parts.glob("part-*")) == names

    (parts / "part-00000.parquet").unlink()
    told = parts / "part-00001.broken.csv"
    told.write_text(told.read_text().replace("empty: 0 bytes", "as an earlier call found"))
    html = tmp_path / "many.html"
    written, broken = label_on_ray(folder, many, schema, machines(2), labeller=labeller, html=html, log=quiet)
    assert written == IMAGES - 1
    assert many.read_bytes() == one.read_bytes()
    assert pq.ParquetFile(many).num_row_groups == 3
    # Part 1 was taken up and not made again.
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


def test_predictions_are_the_bytes_of_one_machine(ray, folder, tmp_path, on_one_machine):
    model = small_model(tmp_path / "model", Schema.load())
    one, many = tmp_path / "one.csv", tmp_path / "many.csv"
    predicting.predict_folder(folder, one, model, device="cpu", log=quiet)
    written, broken = predict_on_ray(folder, many, model, machines(), log=quiet)
    assert (written, broken["path"].tolist()) == (IMAGES - 1, [BROKEN])
    assert many.read_bytes() == one.read_bytes()
    assert Path(f"{many}.broken.csv").read_bytes() == Path(f"{one}.broken.csv").read_bytes()
    assert pd.read_csv(many).nunique()["color_confidence"] > IMAGES / 2


def test_more_cores_than_any_machine_has_are_refused(ray, folder, labeller, schema, tmp_path):
    with pytest.raises(
        ValueError, match="cpus is 3 for a worker, and the largest machine of the cluster has 2"
    ):
        label_on_ray(folder, tmp_path / "o.csv", schema, machines(cpus=3), labeller=labeller, log=quiet)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photographs"]


def test_a_folder_of_broken_files_is_one_error_and_leaves_nothing(
    ray, labeller, schema, tmp_path, monkeypatch
):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jpg").write_text("hello")
    monkeypatch.setattr(jobs, "_run", lambda _, worker, count, *__: here(worker, count))
    with pytest.raises(ValueError, match=r"none of the 1 images below .* can be read: 'a.jpg'"):
        label_on_ray(folder, tmp_path / "o.csv", schema, machines(), labeller=labeller, log=quiet)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def here(worker: tuple, count: int):
    """A pool of one worker, in this process."""
    answer = Worker(*worker)
    answers = [answer({"part": np.array([number])}) for number in range(count)]
    assert [str(each["failed"][0]) for each in answers] == [""] * count
    return [int(each["images"][0]) for each in answers]


@pytest.fixture
def begun(folder, labeller, schema, tmp_path, on_one_machine) -> tuple:
    """A worker's arguments, all its parts being done; and how many there are."""
    work = Labelling(schema, labeller, 100.0, True)
    told = identity(work, work.load("cpu"))
    job = {**told, "threads": 1, "device": "cpu", "batch": BATCH, "part": PART}
    parts = PartFolder(tmp_path / "parts")
    parts.claim(job)
    count = parts.write_listing([str(path) for path in sorted(folder.iterdir())], PART)
    assert here((work, job, parts, 1), count) == [16, 16, 8]
    return (work, job, parts, 1), count


def state(parts: PartFolder) -> dict[str, tuple]:
    return {p.name: (p.stat().st_ino, p.read_bytes()) for p in sorted(parts.root.glob("part-*"))}


def test_only_what_is_missing_damaged_or_of_changed_photographs_is_made_again(begun, folder):
    worker, count = begun
    parts = worker[2]
    before = state(parts)
    here(worker, count)
    assert state(parts) == before

    (parts.root / "part-00000.parquet").unlink()
    cut = parts.root / "part-00002.parquet"
    cut.write_bytes(cut.read_bytes()[:-9])
    here(worker, count)
    after = state(parts)
    assert {name: content for name, (_, content) in after.items()} == {
        name: content for name, (_, content) in before.items()
    }
    assert after["part-00001.parquet"] == before["part-00001.parquet"]

    mended = folder / BROKEN
    mended.write_bytes((folder / "016.png").read_bytes())
    here(worker, count)
    assert not (parts.root / "part-00001.broken.csv").exists()
    table, broken = parts.read(1, PART)
    assert table.index.tolist() == list(range(16, 32)) and broken.empty
    assert table.loc[17].to_dict() == pytest.approx(table.loc[16].to_dict())
    same = state(parts)
    assert same["part-00000.parquet"] == after["part-00000.parquet"]
    assert same["part-00002.parquet"] == after["part-00002.parquet"]


def test_a_part_comes_back_as_it_was(tmp_path):
    parts = PartFolder(tmp_path / "parts")
    parts.claim({"work": "label"})
    paths = ["/p/a.jpg", '/p/b\r"c,\n.jpg']
    answers = pd.DataFrame(
        {
            "color": ["none", None],
            "color_confidence": [1 / 3, np.nan],
            "x": [None, None],
            "x_confidence": [0.1, 0.2],
        }
    )
    answers = answers.astype({"color": object, "x": object})
    broken = pd.DataFrame({"path": paths[1:], "reason": ["NA"]})
    parts.write(0, parts.key(paths), paths, answers, broken)
    table, lost = parts.read(0, 5)
    assert table.index.tolist() == [5, 6]
    pd.testing.assert_frame_equal(table.reset_index(drop=True), answers, check_exact=True)
    assert table["color"].tolist() == ["none", None]
    assert lost.to_dict("records") == broken.to_dict("records")
    (parts.root / "part-00000.broken.csv").write_text('"path","reason"\n')
    with pytest.raises(ClusterError, match=r"part 0 in .* is damaged; remove it"):
        parts.read(0, 5)


def test_a_machine_with_other_weights_or_versions_is_refused(begun):
    (work, job, parts, cpus), _ = begun
    for name, other in (("model", "0" * 64), ("versions", {**job["versions"], "torch": "1.0"})):
        said = Worker(work, {**job, name: other}, parts, cpus)({"part": np.array([0])})
        assert said["images"].tolist() == [0]
        assert re.match(f"machine '.+': {name} is .+ where the job was begun", str(said["failed"][0]))


def test_parts_of_nobody_and_an_unreadable_job_are_refused(tmp_path):
    parts = PartFolder(tmp_path)
    (tmp_path / "part-00000.parquet").write_bytes(b"")
    with pytest.raises(ClusterError, match=r"holds parts, but no job\.json says of what"):
        parts.claim({"work": "label"})
    (tmp_path / "job.json").write_text("{")
    with pytest.raises(ClusterError, match=r"job\.json cannot be read"):
        parts.claim({"work": "label"})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["job.json", "part-00000.parquet"]


def test_without_ray_the_extra_is_named(folder, labeller, schema, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"comes with the extra 'ray': pip install 'swatchbook\[ray\]'"):
        label_on_ray(folder, tmp_path / "o.csv", schema, machines(), labeller=labeller, log=quiet)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photographs"]


@pytest.mark.parametrize("name", ["workers", "cpus", "batch", "part"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1; received 0"):
        Machines(**{name: 0})
