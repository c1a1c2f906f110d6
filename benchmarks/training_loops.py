"""Contestants that train: the same network, optimiser, precision and loss, fed in different ways.

Each is a function for `turns.Contestant`. All but the study's own loop use `Learner`, a plain loop written as
a careful person would write it; the study's own is `models.training.train` itself.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from learner import Learner, Task
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision import transforms
from turns import NotHereError, Turns

from swatchbook.data import images, pixels
from swatchbook.models.augment import LARGEST_RATIO
from swatchbook.models.pixel_loader import PixelLoader
from swatchbook.models.tasks.heads import Heads
from swatchbook.models.training import train

READY = 4  # batches that lie ready on the device for the ceiling


class Files(Dataset):
    """Photographs by their row, over and over; items are a view and the row."""

    def __init__(self, paths: Sequence[str], length: int, transform: object = None) -> None:
        self.paths, self.length, self.transform = list(paths), length, transform

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple:
        row = index % len(self.paths)
        with Image.open(self.paths[row]) as opened:
            return self.transform(opened.convert("RGB")), row


def ceiling(turns: Turns, task: Task, compiled: bool) -> None:
    """Ready float tensors on the device: what no way of feeding can surpass."""
    learner, recipe = Learner(task, compiled=compiled), task.recipe
    shape = (recipe.batch, 3, recipe.image_size, recipe.image_size)
    views = [torch.randn(shape).to(task.device, memory_format=learner.layout) for _ in range(READY)]
    rows = torch.arange(recipe.batch, device=task.device)
    while True:
        turns.wait()
        steps = task.warmup + task.steps
        seconds = learner.timed(((views[k % READY], rows) for k in range(steps)), task.warmup)
        learner.release()
        turns.tell(images=task.timed, seconds=seconds)


def ours(turns: Turns, task: Task, compiled: bool) -> None:
    """The study's own training from decoded pixels; in a turn, an epoch to warm up and one that is timed.

    The seconds are those of the pass over the training images alone, as `train` writes them into its history.
    It validates and writes a checkpoint besides, which the other loops do not: `epoch_seconds` has that.
    """
    stored = np.load(task.array, mmap_mode="r")
    learn, choose_by = np.split(np.arange(len(stored)), [task.timed])
    # Two epochs to set up, since it is after the first that the network is compiled.
    recipe = replace(
        task.recipe, epochs=2 * task.rounds + 3, warmup_epochs=1, compile="yes" if compiled else "no"
    )
    with tempfile.TemporaryDirectory() as place:
        history, done = Path(place, "model", "history.csv"), 0

        def between_epochs(_: str) -> None:
            # The only place where a training can be held up: it says something after each epoch, when the
            # epoch's row of the history has been written.
            nonlocal done
            rows = pd.read_csv(history) if history.is_file() else ()
            if len(rows) == done:
                return
            done = len(rows)
            if done % 2:
                return
            if done > 2:
                last = rows.iloc[-1]
                seconds = task.timed / float(last["images_per_s"])
                turns.tell(images=task.timed, seconds=seconds, epoch_seconds=float(last["seconds"]))
            if task.device == "cuda":
                torch.cuda.empty_cache()
            turns.wait()

        heads = Heads(task.schema, task.codes(), learn, choose_by, task.backbone, pretrained=False)
        train(heads, stored, recipe, history.parent, device=task.device, log=between_epochs)


def decoding(turns: Turns, task: Task) -> None:
    """What the study does once with a folder: list, hash, check, decode, and bring to the training's side."""
    while True:
        turns.wait()
        with tempfile.TemporaryDirectory() as place:
            began = time.perf_counter()
            decoded(task.folder, Path(place, "pixels.npy"))
            stored = np.load(Path(place, "pixels.npy"), mmap_mode="r")
            loader = PixelLoader(stored, task.recipe, task.device)
            if task.device == "cuda":
                torch.cuda.synchronize()
            seconds = time.perf_counter() - began
            del loader
            turns.tell(images=len(stored), seconds=seconds)


def decoded(folder: Path, out: Path) -> None:
    """Decode a folder's photographs into an array, as the study does."""
    manifest, _ = images.examine(images.find(folder))
    pixels.build(manifest, out)


def plain(turns: Turns, task: Task, workers: int) -> None:
    """A DataLoader over the files with torchvision's transforms on Pillow pictures."""
    learner = Learner(task)
    data = Files(_paths(task), _length(task, workers), views_of(learner))
    while True:
        turns.wait()
        loader = DataLoader(
            data,
            task.recipe.batch,
            shuffle=True,
            num_workers=workers,
            drop_last=True,
            pin_memory=task.device == "cuda",
        )
        _loaded(turns, task, learner, loader, workers)


def timm_loader(turns: Turns, task: Task, workers: int) -> None:
    """Timm's own loader: its transforms give bytes, which the device makes to floats while it works."""
    from timm.data import create_loader

    learner, recipe = Learner(task), task.recipe
    data = Files(_paths(task), _length(task, workers))
    loader = create_loader(
        data,
        input_size=(3, recipe.image_size, recipe.image_size),
        batch_size=recipe.batch,
        is_training=True,
        scale=(recipe.crop_scale, 1.0),
        ratio=(1 / LARGEST_RATIO, LARGEST_RATIO),
        hflip=recipe.flip,
        color_jitter=(recipe.brightness, recipe.contrast, recipe.saturation),
        interpolation="bilinear",
        mean=learner.mean,
        std=learner.std,
        num_workers=workers,
        device=learner.device,
        pin_memory=task.device == "cuda",
        persistent_workers=False,
    )
    while True:
        turns.wait()
        _loaded(turns, task, learner, loader, workers)


def hf_trainer(turns: Turns, task: Task, workers: int) -> None:
    """Hugging Face's Trainer around the same network, with the plain loop's photographs and transforms."""
    try:
        import accelerate  # noqa: F401 - Trainer cannot be made without it
        from transformers import Trainer, TrainerCallback, TrainingArguments
    except ImportError as error:
        raise NotHereError(f"not installed: {error.name}") from None
    learner, recipe = Learner(task), task.recipe
    warmup = task.warmup + 2 * workers

    class WithLoss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bare = learner.bare

        def forward(self, views: torch.Tensor, rows: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"loss": learner.loss(self.bare(views.to(memory_format=learner.layout)), rows)}

    class Clock(TrainerCallback):
        def on_step_end(self, args: object, state: object, control: object, **_: object) -> None:
            if state.global_step in (warmup, warmup + task.steps):
                learner.synchronise()
                self.seconds = time.perf_counter() - getattr(self, "began", 0.0)
                self.began = time.perf_counter()

    data = Files(_paths(task), _length(task, workers), views_of(learner))
    place = tempfile.mkdtemp()
    try:
        arguments = TrainingArguments(
            output_dir=place,
            per_device_train_batch_size=recipe.batch,
            max_steps=warmup + task.steps,
            dataloader_num_workers=workers,
            bf16=learner.hardware.precision == "bf16",
            fp16=learner.hardware.precision == "fp16",
            use_cpu=task.device == "cpu",
            max_grad_norm=recipe.clip,
            remove_unused_columns=False,
            dataloader_pin_memory=task.device == "cuda",
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        while True:
            turns.wait()
            clock = Clock()
            schedule = torch.optim.lr_scheduler.ConstantLR(learner.optimizer, factor=1.0)
            trainer = Trainer(
                model=WithLoss(),
                args=arguments,
                data_collator=_named,
                train_dataset=data,
                optimizers=(learner.optimizer, schedule),
                callbacks=[clock],
            )
            # It would spread over all GPUs that it sees; the others here use one.
            trainer.args._n_gpu = min(trainer.args.n_gpu, 1)
            trainer.train()
            del trainer
            learner.release()
            turns.tell(images=task.timed, seconds=clock.seconds)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _loaded(turns: Turns, task: Task, learner: Learner, loader: object, workers: int) -> None:
    """A turn with a loader; its workers are gone afterwards."""

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        yield from loader

    # What the workers have prepared before the first step would flatter the steps after it.
    with closing(batches()) as stream:
        seconds = learner.timed(stream, task.warmup + 2 * workers)
    learner.release()
    turns.tell(images=task.timed, seconds=seconds)


def _named(items: list[tuple]) -> dict[str, torch.Tensor]:
    """A batch under the names that the network of the Trainer takes it by."""
    views, rows = default_collate(items)
    return {"views": views, "rows": rows}


def _paths(task: Task) -> list[str]:
    return images.find(task.folder)["path"].tolist()


def _length(task: Task, workers: int) -> int:
    """Items of a turn: more than it takes, so that the workers are as busy at its end as before."""
    return (task.warmup + task.steps + 4 * workers + 2) * task.recipe.batch


def views_of(learner: Learner) -> transforms.Compose:
    """The study's training view as torchvision has it."""
    recipe = learner.task.recipe
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(
                recipe.image_size,
                scale=(recipe.crop_scale, 1.0),
                ratio=(1 / LARGEST_RATIO, LARGEST_RATIO),
            ),
            transforms.RandomHorizontalFlip(recipe.flip),
            transforms.ColorJitter(recipe.brightness, recipe.contrast, recipe.saturation),
            transforms.ToTensor(),
            transforms.Normalize(learner.mean, learner.std),
        ]
    )
