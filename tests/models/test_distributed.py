"""Processes that train one model together: two on a CPU end where one does."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from swatchbook.models import distributed
from swatchbook.models.distributed import Processes, joined, processes
from swatchbook.models.network import build
from swatchbook.models.tasks.heads import predict
from tests.models.test_training import history, run, toy

TWO = """
    import sys
    import numpy as np
    sys.path.insert(0, sys.argv[1])
    from pathlib import Path
    from tests.models.test_training import TINY, run, toy
    from swatchbook.models.distributed import joined
    from swatchbook.schema import Schema

    here, schema = Path(sys.argv[2]), Schema.load()
    with joined("cpu") as processes:
        mapped = np.load(here / "pixels.npy", mmap_mode="r")
        for name in ("first", "second"):
            run(here / name, schema, TINY, (mapped, toy(schema)[1]), log=print)
        last = processes.broadcast("finished" if processes.leads else None)
        (here / f"last_{processes.rank}").write_text(str(last))
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
    # The first process alone prints: one line an epoch of each of the two trainings.
    assert done.stdout.count("epoch   1/2") == 2 and "; 2 processes" in done.stdout
    assert [(tmp_path / f"last_{rank}").read_text() for rank in (0, 1)] == ["finished"] * 2
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
    shares = [Processes(rank, size).share(rows) for rank in range(size)]
    assert sorted(np.concatenate(shares)) == rows.tolist()
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    parts = [torch.from_numpy(share).double().requires_grad_() for share in shares]

    def gather(into, mine):
        assert len(mine) == len(into[0]) == len(parts[0])  # all send as much as the longest share
        for place, part in zip(into, parts, strict=True):
            place[: len(part)] = part.detach()

    monkeypatch.setattr(distributed.distributed, "all_gather", gather)
    monkeypatch.setattr(distributed.distributed, "all_reduce", lambda n: n.fill_(len(rows)))
    for rank in range(size):
        whole = Processes(rank, size).gathered({"head": parts[rank]})["head"]
        assert whole.tolist() == rows.tolist()
        whole.square().sum().backward()
        # A gradient reaches the own rows only.
        assert torch.equal(parts[rank].grad, 2 * parts[rank].detach())
        assert all(other.grad is None for other in parts[rank + 1 :])


def test_without_torchrun_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined() as alone:
        assert alone == processes() == Processes(0, 1) and alone.leads
    network = torch.nn.BatchNorm2d(2)
    assert alone.with_common_normalisation(network, "cpu", print) is network
    network(torch.rand(2, 2, 3, 3)).sum().backward()
    before = network.weight.grad.clone()
    alone.wait()
    alone.copy_buffers(network)
    alone.average_gradients(network.parameters())
    assert torch.equal(network.weight.grad, before)
    assert alone.total(torch.tensor(3.0)) == 3 and alone.broadcast("x") == "x"


def test_gradients_are_averaged_over_processes_in_one_message(monkeypatch):
    messages = []

    def add_the_other(numbers):
        messages.append(len(numbers))
        numbers += torch.arange(len(numbers))

    monkeypatch.setattr(distributed.distributed, "all_reduce", add_the_other)
    layer = torch.nn.Conv2d(1, 2, 2).to(memory_format=torch.channels_last)
    layer.weight.grad, layer.bias.grad = torch.ones_like(layer.weight), torch.full((2,), 3.0)
    frozen = torch.nn.Parameter(torch.zeros(1))
    Processes(0, 2).average_gradients([*layer.parameters(), frozen])
    assert messages == [10] and frozen.grad is None
    assert layer.weight.grad.flatten().tolist() == [(1 + k) / 2 for k in range(8)]
    assert layer.bias.grad.tolist() == [(3 + 8) / 2, (3 + 9) / 2]


def test_a_batch_too_small_for_the_processes_is_refused(schema, tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "processes", lambda: Processes(0, 5))
    with pytest.raises(ValueError, match=r"recipe.batch = 8 with 5 processes; at least 10 is needed"):
        run(tmp_path, schema)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match=r"process 2 .* --nproc_per_node must be at most 2"), joined():
        pass


def test_batch_normalisation_on_cpus_is_logged(schema):
    lines = []
    network, two = build("test_resnet", schema, pretrained=False), Processes(0, 2)
    assert two.with_common_normalisation(network, "cpu", lines.append) is network
    assert lines == ["batch normalisation: on CPUs each process normalises its own part of a batch"]
    views = torch.rand(2, 3, 32, 32)
    before = network.eval()(views)
    synced = two.with_common_normalisation(network, "cuda", lines.append)
    assert any(isinstance(module, torch.nn.SyncBatchNorm) for module in synced.modules())
    # Evaluation needs no statistics of a batch, so it runs on a CPU too, and must not have changed.
    assert all(torch.allclose(after, before[name]) for name, after in synced.eval()(views).items())
