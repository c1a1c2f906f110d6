"""The training loop: plain torch, any task, a CPU, a GPU or many, and the same bits after an interruption.

Inside an epoch nothing waits for the device: images and targets are there, losses are added up there, and
whether they stayed finite is checked when the epoch is over.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from swatchbook.models import checkpoint, distributed
from swatchbook.models.augment import random_draws
from swatchbook.models.hardware import Hardware, choose, compiling_pays, fixed_threads, placed
from swatchbook.models.inference import outputs_of
from swatchbook.models.inputs import batches, checked_split, fingerprint
from swatchbook.models.losses import combined
from swatchbook.models.pixel_loader import PixelLoader
from swatchbook.models.recipe import Recipe
from swatchbook.models.schedule import WeightAverage, lr_factor, optimizer_of
from swatchbook.models.step import Stepper, TrainingError
from swatchbook.models.task import Batch, Task
from swatchbook.store import Store


def train(
    task: Task,
    pixels: np.ndarray,
    recipe: Recipe,
    out_dir: str | Path,
    *,
    device: str = "auto",
    log: Callable[[str], object] = print,
) -> Path:
    """Train a task's network; keep the epoch with the best validation score.

    In processes that `torchrun` started and `distributed.joined` joined, all call this with the same
    arguments and train together.

    An interrupted training that is called again with the same arguments goes on after its last whole epoch
    and, on a CPU, ends in the same bytes as if nothing had happened.

    Args:
        task: Targets, network, losses and score.
        pixels: uint8, shape (N, S, S, 3); a memory map will do.
        recipe: The settings.
        out_dir: The model's folder; an unfinished training in it is resumed if it is this one.
        device: ``auto``, ``cuda`` or ``cpu``.
        log: Receives the hardware's reason and one line an epoch, in the first process.

    Returns:
        The model's folder: `model.safetensors`, `config.json`, and `history.csv` with a row an epoch
        (losses are means over labelled items, learning rates those of the epoch's last step).

    Raises:
        ValueError: If an argument is not as described, or there is nothing to learn or to choose by.
        WeightsError: If the backbone's weights cannot be had.
        TrainingError: If a loss is not finite, or one image is too much for the GPU's memory. The last
            good checkpoint is kept.
    """
    rows = checked_split(pixels, task.train_rows, task.val_rows)
    task.check(len(pixels), recipe)
    processes = distributed.processes()
    if recipe.batch < 2 * processes.size:
        raise ValueError(
            f"recipe.batch = {recipe.batch} with {processes.size} processes; "
            f"at least {2 * processes.size} is needed"
        )
    log = log if processes.leads else _silent
    hardware = choose(recipe.precision, device)
    log(hardware.reason + (f"; {processes.size} processes" if processes.size > 1 else ""))
    seeds = torch.random.fork_rng() if hardware.device == "cuda" else torch.random.fork_rng(devices=[])
    with fixed_threads(recipe.threads), seeds:
        _seed(recipe.seed, 0)
        return _Training(task, pixels, rows, recipe, hardware, log).run(Store(out_dir))


class _Training:
    """One training: what it holds on the device, and how far it has come."""

    def __init__(
        self,
        task: Task,
        pixels: np.ndarray,
        rows: tuple[np.ndarray, np.ndarray],
        recipe: Recipe,
        hardware: Hardware,
        log: Callable[[str], object],
    ) -> None:
        self.task, self.recipe, self.hardware, self.log = task, recipe, hardware, log
        self.processes, self.side = distributed.processes(), pixels.shape[1]
        self.train_rows, self.val_rows = rows
        network = placed(task.build(recipe), hardware.device)
        self.network = self.processes.with_common_normalisation(network, hardware.device, log)
        task.prepare(recipe, hardware.device, log)
        self.loader = PixelLoader(pixels, recipe, hardware.device, np.concatenate(rows))
        log(self.loader.reason)
        self.targets = {
            n: torch.from_numpy(np.array(t)).to(hardware.device) for n, t in task.targets().items()
        }
        self.labelled = task.labelled()
        self.optimizer = optimizer_of(network.groups(), recipe)
        averages = recipe.ema or recipe.average_last
        self.average = WeightAverage(self.network, recipe.ema) if averages else None
        shared = (self.optimizer, recipe, hardware, self.processes, self.side, log)
        self.stepper = Stepper(task, self.network, *shared)
        self.history: list[dict] = []
        self.best: dict = {"epoch": 0, "score": -math.inf, "weights": None}
        self.fingerprint = fingerprint(
            [asdict(recipe), task.name, self.network.info], task.targets(), pixels, *rows
        )

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept: the average of the weights, where there is one already."""
        return self.average.network if self.average and self.average.count else self.network

    @property
    def _networks(self) -> dict[str, nn.Module]:
        """What is saved of the weights to go on from."""
        return {"network": self.network, **({"average": self.average.network} if self.average else {})}

    def run(self, store: Store) -> Path:
        """All epochs that are still to run, and the model's folder."""
        self._resume(store)
        for epoch in range(len(self.history) + 1, self.recipe.epochs + 1):
            kept = (
                f"checkpoint of epoch {epoch - 1} in {store.root} is kept"
                if epoch > 1
                else "no checkpoint yet"
            )
            began = time.perf_counter()
            trained, speed = self._train_epoch(epoch, kept)
            row = {"epoch": epoch, **trained, **self._validate()}
            if not math.isfinite(row.get("val_loss", 0.0)):
                raise TrainingError(f"epoch {epoch}: the validation loss is {row['val_loss']}; {kept}")
            row |= {"seconds": time.perf_counter() - began, "images_per_s": speed}
            self.history.append(row | {"micro_batch": self.stepper.micro_batch})
            old, score = self.best["weights"], row.get(self.task.score)
            if score is None or score > self.best["score"]:  # without a score, the last epoch is kept
                weights = f"resume/best-{epoch:03d}.safetensors"
                self.best = {"epoch": epoch, "score": score, "weights": weights}
            if self.processes.leads:
                self._save(store, old)
            self.log(_line(row, self.best, self.recipe, self.task.score))
            if epoch == len(self.history) == 1:
                self._consider_compiling(row["seconds"] * (self.recipe.epochs - 1))
        if self.processes.leads:
            store.write_table("history.csv", pd.DataFrame(self.history))
            checkpoint.finish(store, self.best["weights"], self._described())
        self.processes.wait()
        return store.root

    def _resume(self, store: Store) -> None:
        """Go on from the state that an interrupted training left, or clear the folder."""
        progress = checkpoint.load_state(store, self._networks, self.optimizer, self.fingerprint)
        self.processes.wait()  # before the first process clears what all have just looked for
        if progress is None:
            if self.processes.leads:
                checkpoint.begin(store)
            return
        self.best, self.history = progress["best"], progress["history"]
        self.stepper.micro_batch = progress["micro_batch"]
        if self.average:
            self.average.count = progress["averaged"]
        if progress["scaler"]:
            self.stepper.scaler.load_state_dict(progress["scaler"])
        self.log(f"resumed after epoch {len(self.history)} of {self.recipe.epochs}")

    def _save(self, store: Store, old: str | None) -> None:
        """Keep the state after a whole epoch, and its weights if they are the best."""
        if self.best["epoch"] == len(self.history):
            checkpoint.save_weights(store, self.best["weights"], self.judged)
        progress = {
            "fingerprint": self.fingerprint,
            "best": self.best,
            "history": self.history,
            "micro_batch": self.stepper.micro_batch,
            "averaged": self.average.count if self.average else 0,
            "scaler": self.stepper.scaler.state_dict(),
        }
        # The state names the best weights, so it comes after them, and the old ones go after it.
        checkpoint.save_state(store, self._networks, self.optimizer, progress)
        if old not in (None, self.best["weights"]):
            store.path(old).unlink(missing_ok=True)
        store.write_table("history.csv", pd.DataFrame(self.history))

    def _consider_compiling(self, seconds_left: float) -> None:
        """Compile the network for the epochs to come if that pays back; processes decide alike."""
        seconds = float(self.processes.total(torch.tensor(seconds_left))) / self.processes.size
        pays, reason = compiling_pays(self.recipe.compile, self.hardware.device, self.network, seconds)
        self.log(reason)
        if pays:
            self.stepper.forward = torch.compile(self.network, dynamic=False)

    def _train_epoch(self, epoch: int, kept: str) -> tuple[dict, float]:
        """One pass over the training images: its part of the history's row, and images a second."""
        began = time.perf_counter()
        recipe, device, parts = self.recipe, self.hardware.device, list(self.labelled)
        _seed(recipe.seed, epoch)
        order, draws = self._order(epoch)
        drawn = torch.from_numpy(draws).to(device)
        places = list(batches(np.arange(len(order)), recipe.batch))
        size = recipe.early_size if epoch <= round(recipe.early * recipe.epochs) else recipe.image_size
        sums = {name: torch.zeros((), device=device) for name in parts}
        wrong = {name: torch.full((), len(places), device=device) for name in parts}
        rng = np.random.default_rng([recipe.seed, epoch, 3])
        scores = [row[self.task.score] for row in self.history if self.task.score in row]
        self.network.train()
        for step, (_, images) in enumerate(
            self.loader.ahead(self.processes.share(order[at]) for at in places)
        ):
            done = (epoch - 1) * len(places) + step
            factor = lr_factor(done, len(places), recipe, scores)
            for group in self.optimizer.param_groups:
                group["lr"] = group["peak"] * factor
            batch = self._batch(order[places[step]], rng, done / (recipe.epochs * len(places)))
            at = places[step]
            losses = self.stepper.take(images, drawn[at[0] : at[-1] + 1], batch, size)
            if self.average and recipe.ema:
                self.average.update()
            for name in parts:
                sums[name] += losses[name] * batch.counts[name]
                bad = ~torch.isfinite(losses[name])
                wrong[name] = torch.where(bad & (wrong[name] == len(places)), step, wrong[name])
        if self.average and epoch > recipe.epochs - recipe.average_last:
            self.average.update()
        totals = self.processes.total(torch.stack([sums[name] for name in parts])).tolist()
        failed = {name: int(wrong[name]) for name, total in zip(parts, totals, strict=True) if total - total}
        if failed:
            first = min(failed.values())  # what failed later may have caught it from the weights
            raise TrainingError(
                f"epoch {epoch}, step {first + 1} of {len(places)}: the loss of "
                f"{', '.join(name for name in failed if failed[name] == first)} is not finite; {kept}. "
                "A lower learning rate or precision fp32 may help"
            )
        counts = {name: int(self.labelled[name][order].sum()) for name in parts}
        means = {name: total / max(counts[name], 1) for name, total in zip(parts, totals, strict=True)}
        speed = len(order) / (time.perf_counter() - began)
        rates = {f"lr_{group['name']}": group["peak"] * factor for group in self.optimizer.param_groups}
        by_part = {f"train_loss_{name}": means[name] for name in parts}
        return {**rates, "train_loss": combined(means, recipe), **by_part}, speed

    def _order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows of an epoch in their order, and the random numbers of each one's view."""
        recipe, columns = self.recipe, self.task.augmentation.columns
        rng, often = np.random.default_rng([recipe.seed, epoch, 1]), self.task.sampling(recipe)
        if often is None:
            order = rng.permutation(self.train_rows)
            return order, random_draws(recipe.seed, epoch, int(order.max()) + 1, columns)[order]
        # An image that comes twice is seen differently each time.
        order = rng.choice(self.train_rows, len(self.train_rows), p=often / often.sum())
        return order, random_draws(recipe.seed, epoch, len(order), columns)

    def _batch(self, rows: np.ndarray, rng: np.random.Generator, progress: float) -> Batch:
        """What belongs to the images of a whole batch, alike in all processes."""
        at = torch.from_numpy(rows).to(self.hardware.device)
        inputs, drawn = self.task.inputs(rows, rng)
        counts = {name: int(units[rows].sum()) for name, units in self.labelled.items()}
        targets = {name: target[at] for name, target in self.targets.items()}
        return Batch({**targets, **drawn}, counts, inputs, progress)

    def _validate(self) -> dict[str, float]:
        """The task's losses and scores on the validation images."""
        if not len(self.val_rows):
            return {}
        self.processes.copy_buffers(self.judged)
        outputs = outputs_of(
            self.judged,
            self.loader,
            self.processes.share(self.val_rows),
            self.recipe,
            self.hardware,
            augmentation=self.task.augmentation,
            inputs=lambda rows, geometry: self.task.arguments(self.task.inputs(rows, None)[0], geometry),
        )
        return self.task.validate(self.processes.gathered(outputs))

    def _described(self) -> dict:
        """What `config.json` has to say of a finished training."""
        return {
            "task": self.task.name,
            **self.task.facts(),
            "network": self.network.info,
            "recipe": asdict(self.recipe),
            "side": self.side,
            "best_epoch": self.best["epoch"],
            f"val_{self.task.score}": self.best["score"],
            "n_train": len(self.train_rows),
            "n_val": len(self.val_rows),
            "hardware": self.hardware.reason,
            "micro_batch": self.stepper.micro_batch,
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("torch", "timm", "safetensors", "numpy")},
            },
        }


def _line(row: Mapping[str, float], best: Mapping, recipe: Recipe, score: str) -> str:
    rates = " ".join(f"{value:.1e}" for name, value in row.items() if name.startswith("lr_"))
    losses = f"{row['train_loss']:.3f}" + (
        f" (validation {row['val_loss']:.3f})" if "val_loss" in row else ""
    )
    scores = ""
    if score in row:
        best_one = f"(best {best['score']:.3f} at {best['epoch']})"
        scores = f"  {_SCORES.get(score, score)} {row[score]:.3f} {best_one}"
    return (
        f"epoch {row['epoch']:3d}/{recipe.epochs}  lr {rates}  loss {losses}{scores}  "
        f"{row['seconds']:.0f} s, {row['images_per_s']:.0f} images/s"
    )


_SCORES = {"macro_f1": "macro-F1", "macro_ap": "macro-AP"}


def _seed(seed: int, epoch: int) -> None:
    """Seed torch for an epoch (0 for the start), so that seed 42's epoch 2 is not seed 43's epoch 1."""
    torch.manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0]))


def _silent(line: str) -> None:
    """Nothing: only the first process prints."""
