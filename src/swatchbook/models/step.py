"""One optimiser step, on a whole batch or, where the memory is short, on parts of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import nn

from swatchbook.models.distributed import Processes
from swatchbook.models.hardware import Hardware
from swatchbook.models.losses import combined
from swatchbook.models.recipe import Recipe
from swatchbook.models.task import Batch, Task, Tensors


class TrainingError(RuntimeError):
    """A training that cannot go on; the message says where it stood and which checkpoint is good."""


class Stepper:
    """Takes the optimiser steps of a training.

    Attributes:
        network: What is trained.
        forward: The network as it is called, compiled or not.
        micro_batch: Images of this process that are computed at once; halved when the memory runs out.
    """

    def __init__(
        self,
        task: Task,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        hardware: Hardware,
        processes: Processes,
        stored: int,
        log: Callable[[str], object],
    ) -> None:
        """Get ready.

        Args:
            task: Gives views and losses.
            network: On the hardware's device.
            optimizer: Over the network's parameters.
            recipe: The settings.
            hardware: Where and how to compute.
            processes: Those that train together.
            stored: Side of the stored images in pixels.
            log: Receives a line when the memory runs out.
        """
        self.network, self.forward = network, network
        self.micro_batch = recipe.micro_batch or recipe.batch
        self.scaler = torch.amp.GradScaler(hardware.device, enabled=hardware.scales)
        self._task, self._optimizer, self._recipe, self._hardware = task, optimizer, recipe, hardware
        self._processes, self._stored, self._log = processes, stored, log

    def take(self, images: torch.Tensor, draws: torch.Tensor, batch: Batch, size: int) -> Tensors:
        """One optimiser step; where the memory does not suffice, in smaller parts of the same batch.

        Args:
            images: This process's share, uint8, shape (n, S, S, 3).
            draws: Random numbers of the augmentation of the whole batch.
            batch: The whole batch.
            size: Side of the views in pixels.

        Returns:
            Part of the loss → what this process adds to its value.
        """
        losses = None
        while losses is None:
            self._optimizer.zero_grad(set_to_none=True)
            try:
                losses = self._gradients(images, draws, batch, size)
            except torch.OutOfMemoryError:
                if self._processes.size > 1:
                    raise TrainingError(
                        f"out of memory in process {self._processes.rank} of {self._processes.size}; "
                        "a smaller micro_batch or batch is needed"
                    ) from None
                if self.micro_batch == 1:
                    raise TrainingError(
                        "the GPU's memory does not hold one image; use a smaller backbone"
                    ) from None
            if losses is None:  # outside the handler, which holds on to the failed attempt's memory
                self.micro_batch = (self.micro_batch + 1) // 2
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                self._log(
                    f"out of memory: batches of {self._recipe.batch} in parts of {self.micro_batch} "
                    "from here on"
                )
        self._processes.average_gradients(self.network.parameters())
        self.scaler.unscale_(self._optimizer)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._recipe.clip)
        self.scaler.step(self._optimizer)
        self.scaler.update()
        return losses

    def _gradients(self, images: torch.Tensor, draws: torch.Tensor, batch: Batch, size: int) -> Tensors:
        """Add up the gradient of this process's share part by part."""
        if self._task.coupled:
            return self._coupled_gradients(images, draws, batch, size)
        sums: Tensors = {}
        for views, part in self._parts(images, draws, batch, size):
            losses = self._task.loss(self._outputs(views, part), part)
            # Processes average their gradients, where the parts of a batch must be added.
            self.scaler.scale(combined(losses, self._recipe) * self._processes.size).backward()
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0) + loss.detach()
        return sums

    def _coupled_gradients(
        self, images: torch.Tensor, draws: torch.Tensor, batch: Batch, size: int
    ) -> Tensors:
        """The gradient of a loss that needs the outputs of the whole batch at once.

        In parts, the outputs are first computed without a graph; the loss's gradient on them is kept, and
        each part, computed again with the same random numbers, carries it on to the weights.

        Source:
            Gao et al. (2021), Scaling deep contrastive learning batch size under memory limited setup, arXiv
            2101.06983; negatives gathered over processes as in CLIP, Radford et al. (2021), arXiv 2103.00020.
        """
        pieces = list(self._parts(images, draws, batch, size))
        whole, device = len(pieces) == 1, images.device
        outputs, states = [], []
        statistics = [] if whole else [buffer.clone() for buffer in self.network.buffers()]
        for views, part in pieces:
            states.append(_random_state(device))
            with torch.set_grad_enabled(whole):
                outputs.append(self._outputs(views, part))
        leaves = {
            name: torch.cat([o[name].detach() for o in outputs]).requires_grad_() for name in outputs[0]
        }
        losses = self._task.loss(self._processes.gathered(leaves), batch)
        self.scaler.scale(combined(losses, self._recipe)).backward()
        # Every process has the gradient of the whole loss, on its own outputs only; they will be averaged.
        gradients = {
            name: (leaf.grad * self._processes.size).split([len(o[name]) for o in outputs])
            for name, leaf in leaves.items()
        }
        # The second pass finds the statistics of batch normalisation that the first has found.
        for buffer, before in zip(self.network.buffers(), statistics, strict=False):
            buffer.copy_(before)
        for k, (views, part) in enumerate(pieces):
            if not whole:
                _set_random_state(states[k], device)
                outputs[k] = self._outputs(views, part)
            torch.autograd.backward(list(outputs[k].values()), [gradients[name][k] for name in outputs[k]])
            outputs[k] = {}
        return {name: loss.detach() / self._processes.size for name, loss in losses.items()}

    def _outputs(self, views: torch.Tensor, part: Batch) -> Tensors:
        with self._hardware.autocast():
            return self.forward(views, **self._task.arguments(part.inputs, part.geometry))

    def _parts(
        self, images: torch.Tensor, draws: torch.Tensor, batch: Batch, size: int
    ) -> Iterator[tuple[torch.Tensor, Batch]]:
        """The views of this process's share, part by part, each with what belongs to it."""
        count, share = max(1, -(-len(images) // self.micro_batch)), self._processes.share

        def split(tensors: Tensors) -> dict[str, tuple[torch.Tensor, ...]]:
            return {name: share(tensor).tensor_split(count) for name, tensor in tensors.items()}

        targets, inputs = split(batch.targets), split(batch.inputs)
        pieces = zip(images.tensor_split(count), share(draws).tensor_split(count), strict=True)
        for k, (seen, numbers) in enumerate(pieces):
            views, geometry = self._task.augmentation.training(seen, numbers, self._recipe, size)
            yield (
                views,
                replace(
                    batch,
                    targets={name: parts[k] for name, parts in targets.items()},
                    inputs={name: parts[k] for name, parts in inputs.items()},
                    geometry=replace(geometry, stored=self._stored),
                ),
            )


def _random_state(device: torch.device) -> tuple[torch.Tensor, ...]:
    on_gpu = (torch.cuda.get_rng_state(device),) if device.type == "cuda" else ()
    return torch.get_rng_state(), *on_gpu


def _set_random_state(state: tuple[torch.Tensor, ...], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.cuda.set_rng_state(state[1], device)
