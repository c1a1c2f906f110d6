"""What each machine of a job does: take a part's number, leave the part's answers on the shared disk.

A worker holds its model, the names and answers of one part and two batches of pictures.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from swatchbook.bulk.folder import Classifier, Work
from swatchbook.bulk.ray_parts import ClusterError, PartFolder
from swatchbook.labeller.cosines import cosine_parts
from swatchbook.labeller.zero_shot import Labeller
from swatchbook.schema import Schema

# Beside the model, what the bits of an answer depend on.
_PACKAGES = ("swatchbook", "torch", "torchvision", "open_clip_torch", "timm", "numpy", "scipy", "pillow")


def identity(work: Work, model: Labeller | Classifier) -> dict[str, object]:
    """What must be the same on all machines: the work, its model and the packages' versions."""
    # A build for a GPU and one for none are the same version, such as 2.11.0+cu126 and 2.11.0.
    versions = {name: version(name).partition("+")[0] for name in _PACKAGES}
    return {**work.told(model), "versions": versions}


class _Prepared:
    """A model with its classes embedded, once and not for every part."""

    def __init__(self, model: Labeller | Classifier, work: Work) -> None:
        self._model = model
        self._classes = model.class_embeddings(work.schema)
        self.enough = work.enough(model)

    def class_embeddings(self, _: Schema) -> dict[str, np.ndarray]:
        return self._classes

    def __getattr__(self, name: str) -> object:
        return getattr(self._model, name)


class Worker:
    """Answers parts, with a model of its own that it loads before the first.

    Args:
        work: What to do.
        job: As `PartFolder.claim` was told it.
        folder: Where parts go.
        cpus: Threads that read files.
    """

    def __init__(self, work: Work, job: Mapping[str, object], folder: PartFolder, cpus: int) -> None:
        self._work, self._job, self._folder, self._cpus = work, dict(job), folder, cpus
        self._model = None

    def __call__(self, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Answer one part: ``part``, its number, in; ``images``, how many it holds, and ``failed`` out.

        `failed` is why it could not be answered, or empty. What is raised here Ray would wrap in pages of its
        own, which differ by its versions.
        """
        (number,) = rows["part"]
        images, failed = 0, ""
        try:
            if self._model is None:
                self._model = self._loaded()
            images = self._answered(int(number))
        except (OSError, ValueError, RuntimeError) as error:
            failed = f"machine {socket.gethostname()!r}: {error}"
        return {"images": np.array([images]), "failed": np.array([failed])}

    def _loaded(self) -> _Prepared:
        torch.set_num_threads(self._job["threads"])
        model = self._work.load(self._job["device"], lambda _: None)
        for name, here in identity(self._work, model).items():
            if here != self._job[name]:
                raise ClusterError(
                    f"{name} is {here!r}, and {self._job[name]!r} where "
                    "the job was begun; all machines must have the same"
                )
        return _Prepared(model, self._work)

    def _answered(self, number: int) -> int:
        paths = self._folder.paths(number)
        key = self._folder.key(paths)
        if not self._folder.holds(number, key):
            with tempfile.TemporaryDirectory() as shards:
                parts = cosine_parts(
                    self._model,
                    paths,
                    self._work.schema,
                    Path(shards),
                    batch=self._job["batch"],
                    shard=len(paths),
                    workers=self._cpus,
                    enough=self._model.enough,
                )
                for cosines, broken in parts:  # one
                    self._folder.write(number, key, paths, self._work.answers(cosines), broken)
        return len(paths)
