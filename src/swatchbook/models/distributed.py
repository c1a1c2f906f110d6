"""Several processes that train one model: torch's DistributedDataParallel, started by `torchrun`.

The first process does all that a run does. When it trains, it tells the others what, and each takes its
share of every batch; the losses are divided by the labelled items of the whole batch, so that the gradient
is that of one process on the whole batch. Only the first writes files, which all must be able to read.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
from timm.layers import convert_sync_batchnorm
from torch import distributed, nn

from swatchbook.models.network import Network

# The others wait for as long as the first decodes, labels and draws figures.
_PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Team:
    """One process's place among those that train together.

    Attributes:
        rank: Its number, from 0.
        size: How many there are; 1 without `torchrun`.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def share(self, rows: np.ndarray) -> np.ndarray:
        """This process's part of a batch."""
        return rows[self.rank :: self.size]

    def prepared(self, network: Network, device: str, log: Callable[[str], object]) -> Network:
        """The network with batch normalisation over all processes, where torch has it."""
        if self.size > 1 and any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
            if device == "cuda":
                return convert_sync_batchnorm(network)  # timm's, which keeps the activation in its layers
            log("batch normalisation: on CPUs each process normalises its own part of a batch")
        return network

    def wrap(self, network: nn.Module, device: str) -> nn.Module:
        """The network whose gradients are averaged over all processes."""
        if self.size == 1:
            return network
        return nn.parallel.DistributedDataParallel(
            network, device_ids=[torch.cuda.current_device()] if device == "cuda" else None
        )

    def total(self, numbers: torch.Tensor) -> torch.Tensor:
        """The sum of a tensor over all processes."""
        if self.size > 1:
            distributed.all_reduce(numbers)
        return numbers

    def gathered(self, mine: Mapping[str, torch.Tensor], n: int) -> dict[str, torch.Tensor]:
        """Rows that each process worked out of its `share`, in the order of the n rows of all."""
        if self.size == 1:
            return dict(mine)
        parts: list[Any] = [None] * self.size
        distributed.all_gather_object(parts, dict(mine))
        places = np.concatenate([np.arange(n)[rank :: self.size] for rank in range(self.size)])
        order = torch.from_numpy(np.argsort(places))
        return {name: torch.cat([part[name] for part in parts])[order] for name in mine}

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            distributed.barrier()


def team() -> Team:
    """This process's place; alone where nothing was started by `assembled`."""
    if not distributed.is_available() or not distributed.is_initialized():
        return Team()
    return Team(distributed.get_rank(), distributed.get_world_size())


@contextmanager
def assembled(device: str = "auto") -> Iterator[Team]:
    """Join the processes that `torchrun` started, and part from them in the end.

    Args:
        device: ``cpu`` computes without GPUs; otherwise each process takes the GPU of its number.

    Raises:
        ValueError: If there are more processes on this machine than GPUs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Team()
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    backend = "gloo"
    if device != "cpu" and torch.cuda.is_available():
        if local >= torch.cuda.device_count():
            raise ValueError(
                f"process {local} of this machine has no GPU of its own; --nproc_per_node must be at most "
                f"{torch.cuda.device_count()}"
            )
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield team()
    finally:
        distributed.destroy_process_group()


def tell(task: Mapping[str, object] | None) -> None:
    """Tell the others what to do; None sends them home. Called by the first process."""
    if team().size > 1:
        sent = task and {name: _packed(value) for name, value in task.items()}
        distributed.broadcast_object_list([sent], src=0)


def follow(work: Callable[..., object]) -> None:
    """Do what the first process tells, until it sends all home.

    Args:
        work: Called with what `tell` was given, as keywords.
    """
    while True:
        told: list[Any] = [None]
        distributed.broadcast_object_list(told, src=0)
        if told[0] is None:
            return
        work(**{name: _unpacked(value) for name, value in told[0].items()})


@dataclass(frozen=True)
class _Map:
    """A memory map, which is opened again rather than sent."""

    path: str
    offset: int
    shape: tuple[int, ...]
    dtype: str


def _packed(value: object) -> object:
    # A part of a map is sent: it knows its file, but not where in it it begins.
    if isinstance(value, np.memmap) and isinstance(value.base, mmap.mmap) and value.flags.c_contiguous:
        return _Map(str(value.filename), value.offset, value.shape, value.dtype.str)
    return value


def _unpacked(value: object) -> object:
    if isinstance(value, _Map):
        return np.memmap(value.path, np.dtype(value.dtype), "r", value.offset, value.shape)
    return value
