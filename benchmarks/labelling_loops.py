"""Contestants that label: the labeller's image tower alone, the study's command, and a plain DataLoader."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader
from training_loops import Files
from turns import Turns

from swatchbook.bulk.folder import label_folder
from swatchbook.data import images
from swatchbook.labeller.shards import usual_batch
from swatchbook.labeller.zero_shot import Labeller
from swatchbook.memory import keep_freed
from swatchbook.schema import Schema

READY = 4  # batches that lie ready on the device for the ceiling


@dataclass(frozen=True)
class Labelling:
    """What all of them do in a turn: label every photograph of a folder once.

    Attributes:
        labeller: As in `Labeller.load`.
        schema: Name of the schema.
        device: ``cuda`` or ``cpu``.
        folder: The photographs.
    """

    labeller: str
    schema: str
    device: str
    folder: Path

    @property
    def batch(self) -> int:
        """Images in one go: as many as the study's own takes."""
        return usual_batch(self.device)

    def load(self, runtime: str | None = None) -> Labeller:
        """The labeller, without a word; the runtime as in `Labeller.load`."""
        keep_freed()  # as the study does
        return Labeller.load(self.labeller, device=self.device, log=lambda _: None, runtime=runtime)

    def synchronise(self) -> None:
        """Wait for the GPU, if there is one."""
        if self.device == "cuda":
            torch.cuda.synchronize()


@torch.inference_mode()
def tower(turns: Turns, job: Labelling) -> None:
    """The image tower on ready tensors on the device: what no way of feeding can surpass."""
    labeller, paths = job.load("open_clip"), images.find(job.folder)["path"].tolist()
    some = Files(paths, READY * job.batch, labeller.network.preprocess)
    ready = [view for view, _ in DataLoader(some, job.batch)]
    ready = [views.to(job.device) for views in ready]
    steps = -(-len(paths) // job.batch)
    labeller.network.model.encode_image(ready[0], normalize=True)
    while True:
        turns.wait()
        job.synchronise()
        began = time.perf_counter()
        for step in range(steps):
            labeller.network.model.encode_image(ready[step % READY], normalize=True)
        job.synchronise()
        turns.tell(images=steps * job.batch, seconds=time.perf_counter() - began)


def whole(turns: Turns, job: Labelling) -> None:
    """`label_folder`, from files to the written table; the seconds of loading the labeller apart."""
    schema = Schema.load(job.schema)
    count = len(images.find(job.folder))
    _label(job, schema)  # what a process does only once
    while True:
        turns.wait()
        began = time.perf_counter()
        job.load().class_embeddings(schema)
        loading = time.perf_counter() - began
        began = time.perf_counter()
        _label(job, schema)
        turns.tell(images=count, seconds=time.perf_counter() - began, loading_seconds=loading)


def plain(turns: Turns, job: Labelling, workers: int) -> None:
    """A DataLoader with the labeller's preprocessing, and its tower; labels stay in memory."""
    labeller, schema = job.load("open_clip"), Schema.load(job.schema)
    classes = [torch.from_numpy(rows).to(job.device) for rows in labeller.class_embeddings(schema).values()]
    paths = images.find(job.folder)["path"].tolist()
    while True:
        turns.wait()
        began = time.perf_counter()
        loader = DataLoader(
            Files(paths, len(paths), labeller.network.preprocess),
            job.batch,
            num_workers=workers,
            pin_memory=job.device == "cuda",
        )
        answers = []
        with torch.inference_mode():
            for views, _ in loader:
                views = views.to(job.device, non_blocking=True)
                seen = labeller.network.model.encode_image(views, normalize=True)
                sure = [torch.softmax(100 * seen.float() @ rows.T, 1).max(1) for rows in classes]
                answers.append(np.stack([found.indices.cpu().numpy() for found in sure]))
        turns.tell(images=sum(part.shape[1] for part in answers), seconds=time.perf_counter() - began)


def _label(job: Labelling, schema: Schema) -> None:
    with tempfile.TemporaryDirectory() as place:
        out = Path(place, "labels.parquet")
        label_folder(job.folder, out, schema, labeller=job.labeller, log=lambda _: None)
