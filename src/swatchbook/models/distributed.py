"""Several processes that train one model, started by `torchrun`: all run the same training.

Each process takes its share of every batch, and losses are divided by the labelled items of the whole batch,
so that the gradient is that of one process on the whole batch. Only the first writes files, which all must be
able to read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
from timm.layers import convert_sync_batchnorm
from torch import distributed, nn

Rows = TypeVar("Rows", np.ndarray, torch.Tensor)
# The others wait for as long as the first decodes and labels.
_PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Processes:
    """One process's place among those that train together.

    Attributes:
        rank: Its number, from 0.
        size: How many there are; 1 without `torchrun`.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes and prints for all."""
        return self.rank == 0

    def share(self, rows: Rows) -> Rows:
        """This process's part of the rows of a batch."""
        return rows[self.rank :: self.size]

    def with_common_normalisation(
        self, network: nn.Module, device: str, log: Callable[[str], object]
    ) -> nn.Module:
        """The network with batch normalisation over all processes, where torch has it."""
        if self.size > 1 and any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
            if device == "cuda":
                return convert_sync_batchnorm(network)  # timm's, which keeps the activation in its layers
            log("batch normalisation: on CPUs each process normalises its own part of a batch")
        return network

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over all processes, in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        together = torch.cat([g.flatten() for g in gradients])
        distributed.all_reduce(together)
        means = (together / self.size).split([g.numel() for g in gradients])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))

    def copy_buffers(self, network: nn.Module) -> None:
        """Give all processes the first one's statistics of batch normalisation."""
        if self.size > 1:
            for buffer in network.buffers():
                distributed.broadcast(buffer, src=0)

    def total(self, numbers: torch.Tensor) -> torch.Tensor:
        """The sum of a tensor over all processes."""
        if self.size > 1:
            distributed.all_reduce(numbers)
        return numbers

    def gathered(self, mine: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Rows that each process worked out of its `share`, in the order of the rows of all.

        A gradient of the result reaches the rows of this process only.
        """
        return {name: self._gathered(rows) for name, rows in mine.items()} if self.size > 1 else dict(mine)

    def _gathered(self, mine: torch.Tensor) -> torch.Tensor:
        n = int(self.total(torch.tensor(len(mine))))
        places = [np.arange(n)[rank :: self.size] for rank in range(self.size)]
        padded = mine.new_zeros(len(places[0]), *mine.shape[1:])
        padded[: len(mine)] = mine.detach()
        parts = [torch.empty_like(padded) for _ in places]
        distributed.all_gather(parts, padded)
        parts[self.rank] = mine
        rows = torch.cat([part[: len(place)] for part, place in zip(parts, places, strict=True)])
        return rows[torch.from_numpy(np.argsort(np.concatenate(places))).to(rows.device)]

    def broadcast(self, value: object = None) -> object:
        """The first process's value, for all; anything that can be pickled."""
        values = [value]
        if self.size > 1:
            distributed.broadcast_object_list(values, src=0)
        return values[0]

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            distributed.barrier()


def processes() -> Processes:
    """This process's place; alone where nothing was started by `joined`."""
    if not distributed.is_available() or not distributed.is_initialized():
        return Processes()
    return Processes(distributed.get_rank(), distributed.get_world_size())


@contextmanager
def joined(device: str = "auto") -> Iterator[Processes]:
    """Join the processes that `torchrun` started, and part from them in the end.

    Args:
        device: ``cpu`` computes without GPUs; otherwise each process takes the GPU of its number.

    Raises:
        ValueError: If there are more processes on this machine than GPUs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes()
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
        yield processes()
    finally:
        distributed.destroy_process_group()
