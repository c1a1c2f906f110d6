"""Processes that train one model together: two on a CPU end where one does."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from swatchbook.models import distributed as teams
from swatchbook.models import training
from swatchbook.models.distributed import Team, assembled, team
from swatchbook.models.prediction import predict
from tests.models.test_training import history, run, toy

TWO = """
    import sys
    import numpy as np
    sys.path.insert(0, sys.argv[1])
    from pathlib import Path
    from tests.models.test_training import TINY, run, toy
    from swatchbook.models.distributed import assembled, follow, tell
    from swatchbook.models.training import train
    from swatchbook.schema import Schema

    here = Path(sys.argv[2])
    with assembled("cpu") as team:
        if not team.leads:
            follow(train)
        else:
            schema = Schema.load()
            mapped = np.load(here / "pixels.npy", mmap_mode="r")
            for name in ("first", "second"):
                run(here / name, schema, TINY, (mapped, toy(schema)[1]), log=print)
            tell(None)
"""


def started(script, *arguments, processes=2):
    """A script run by torchrun in so many processes."""
    return subprocess.run(
        [
            *[
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--standalone",
                "--nproc_per_node",
                str(processes),
            ],
            *[str(script), *map(str, arguments)],
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def test_two_processes_have_the_losses_of_one_on_the_same_batches(schema, tmp_path):
    pixels, codes = toy(schema)
    np.save(tmp_path / "pixels.npy", pixels)
    script = tmp_path / "two.py"
    script.write_text(textwrap.dedent(TWO), encoding="utf-8")
    done = started(script, Path(__file__).parents[2], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    # The leader alone speaks: one line an epoch of each of the two trainings.
    assert done.stdout.count("epoch   1/2") == 2 and "; 2 processes" in done.stdout
    alone = history(run(tmp_path / "alone", schema, data=(pixels, codes)))
    for name in ("first", "second"):
        together = history(tmp_path / name)
        for column in ("train_loss", "val_loss", *(f"train_loss_{a.name}" for a in schema)):
            assert together[column].to_numpy() == pytest.approx(alone[column].to_numpy(), rel=2e-4), column
        assert not (tmp_path / name / "resume").exists()
    one = predict(tmp_path / "alone", pixels, np.arange(32), schema).select_dtypes("number")
    two = predict(tmp_path / "first", pixels, np.arange(32), schema).select_dtypes("number")
    assert np.abs(one.to_numpy() - two.to_numpy()).max() < 5e-3


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_shares_are_a_partition_and_come_back_in_order(size, monkeypatch):
    rows = np.arange(100, 111)
    shares = [Team(rank, size).share(rows) for rank in range(size)]
    assert sorted(np.concatenate(shares)) == rows.tolist()
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    parts = [{"head": torch.from_numpy(share)} for share in shares]
    monkeypatch.setattr(
        teams.distributed, "all_gather_object", lambda into, mine: into.__setitem__(slice(None), parts)
    )
    assert Team(0, size).gathered(parts[0], len(rows))["head"].tolist() == rows.tolist()


def test_without_torchrun_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with assembled() as alone:
        assert alone == team() == Team(0, 1) and alone.leads
    network = torch.nn.Linear(2, 2)
    assert alone.wrap(network, "cpu") is network and alone.prepared(network, "cpu", print) is network
    alone.wait()
    assert alone.total(torch.tensor(3.0)) == 3


def test_a_whole_map_is_sent_by_name_and_a_part_of_one_by_value(tmp_path):
    np.save(tmp_path / "pixels.npy", np.arange(24, dtype=np.uint8).reshape(4, 6))
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    sent = teams._packed(mapped)
    assert sent.path == str(tmp_path / "pixels.npy")
    assert np.array_equal(teams._unpacked(sent), mapped)
    assert teams._packed(mapped[1:]) is not None and not isinstance(teams._packed(mapped[1:]), teams._Map)


def test_a_batch_too_small_for_the_team_is_refused(schema, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "team", lambda: Team(0, 5))
    monkeypatch.setattr(training, "tell", lambda task: None)
    with pytest.raises(ValueError, match=r"recipe.batch = 8 with 5 processes; at least 10 is needed"):
        run(tmp_path, schema)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match=r"process 2 .* --nproc_per_node must be at most 2"), assembled():
        pass


def test_batch_normalisation_on_cpus_is_told(schema):
    said = []
    network = training.build("test_resnet", schema, pretrained=False)
    assert Team(0, 2).prepared(network, "cpu", said.append) is network
    assert said == ["batch normalisation: on CPUs each process normalises its own part of a batch"]
    views = torch.rand(2, 3, 32, 32)
    before = network.eval()(views)
    synced = Team(0, 2).prepared(network, "cuda", said.append)
    assert any(isinstance(module, torch.nn.SyncBatchNorm) for module in synced.modules())
    # Evaluation needs no statistics of a batch, so it runs on a CPU too, and must not have changed.
    assert all(torch.allclose(after, before[name]) for name, after in synced.eval()(views).items())
