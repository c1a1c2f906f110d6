"""A labeller: any open_clip model by name, always with its own preprocessing and tokenizer.

A network computes its embeddings: by open_clip with torch, or, of a folder that `export` has written graphs
into, by ONNX Runtime on the CPU, without torch. Nothing heavy is imported before the choice is made.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from swatchbook.atomic import write_file
from swatchbook.data.decoding import cores, decode, read_bytes
from swatchbook.labeller import IMAGE_GRAPH, LabellerError, kind_and_place
from swatchbook.labeller.calibration import CALIBRATION, Calibration
from swatchbook.labeller.files import (
    CONFIG,
    FIXTURE,
    SMALL,
    TEXT_CONFIG,
    check_digest,
    config_of,
    found_at,
    weights_of,
)
from swatchbook.labeller.shards import reading_threads
from swatchbook.labeller.silver import LOGIT_SCALE
from swatchbook.schema import Schema
from swatchbook.store import sha256

RUNTIMES = ("onnx", "open_clip")


class Network(Protocol):
    """What computes embeddings.

    Attributes:
        runtime: One of `RUNTIMES`.
        device: Where it runs, such as ``cpu``.
        logit_scale: The checkpoint's own scale of cosines (its inverse temperature).
        preprocessing: As open_clip knows it: size, mean, std, resize_mode, …
        tokenizer: Texts → token ids.
    """

    runtime: str
    device: str
    logit_scale: float
    preprocessing: dict[str, Any]
    tokenizer: Callable[[list[str]], Any]

    def shrink(self, picture: Image.Image) -> np.ndarray:
        """An RGB picture at the network's size: uint8 of shape (height, width, 3), for threads."""

    def embed(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Embeddings of pictures from `shrink`: float32, shape (pictures, dimensions), rows of length 1."""

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        """Embeddings of texts: float32, shape (texts, dimensions), rows of length 1."""


@dataclass(frozen=True)
class Labeller:
    """A loaded model.

    Attributes:
        name: As it was asked for.
        revision: Commit on the Hub, or the weights' SHA-256 for a folder.
        fingerprint: SHA-256 over weights, config and tokenizer: everything that a cosine depends on but the
            rounding of the machine and the runtime.
        network: What computes.
        calibration: How its cosines are corrected.
    """

    name: str
    revision: str
    fingerprint: str
    network: Network
    calibration: Calibration = field(default_factory=Calibration)

    @classmethod
    def load(
        cls,
        name: str = "bundled",
        cache_dir: str | Path | None = None,
        device: str | None = None,
        log: Callable[[str], object] = print,
        runtime: str | None = None,
    ) -> Labeller:
        """Load a labeller by name.

        Args:
            name: ``bundled`` (in the package), a name of `labeller.KNOWN`, ``hf-hub:OWNER/NAME`` with or
                without ``@REVISION``, or ``local-dir:PATH`` (a folder with ``open_clip_config.json`` and
                weights).
            cache_dir: The Hub's cache; its default by default. What lies there needs no network.
            device: Such as ``cpu`` or ``cuda``; a GPU where there is one by default.
            log: Told in one line what was loaded, with the checkpoint's own scale.
            runtime: ``onnx`` or ``open_clip``; by default the first on a CPU where the folder has graphs.

        Raises:
            ValueError: If the name has none of these forms, or the runtime is none or cannot be had.
            LabellerError: If files are missing and cannot be fetched, do not fit each other, are not the
                ones they claim to be, or the preprocessing differs from the one it was made with.
        """
        if kind_and_place(name)[0] == "hf-hub":
            import torch  # noqa: F401 - where it is missing, no hundreds of megabytes are fetched in vain
        folder, revision = found_at(name, cache_dir)
        config = config_of(folder)
        weights = weights_of(folder)
        digest = sha256(weights)
        check_digest(weights, digest, folder)
        own = sorted(p for p in folder.iterdir() if p.name in (*SMALL, TEXT_CONFIG, CALIBRATION))
        checksum = hashlib.sha256(digest.encode() + b"".join(p.read_bytes() for p in own)).hexdigest()
        network: Network
        if _runtime(folder, device, runtime) == "onnx":
            from swatchbook.labeller.onnx_network import OnnxNetwork

            network = OnnxNetwork(folder, checksum)
        else:
            from swatchbook.labeller.open_clip_network import OpenClipNetwork

            network = OpenClipNetwork(folder, config, cache_dir, device)
        labeller = cls(name, revision or digest, checksum, network, Calibration.read(folder))
        _check_fixture(labeller, folder)
        log(labeller.describe())
        return labeller

    @property
    def device(self) -> str:
        """Where it runs."""
        return self.network.device

    @property
    def logit_scale(self) -> float:
        """The checkpoint's own scale of cosines."""
        return self.network.logit_scale

    def describe(self) -> str:
        """One line: what it is, where it runs, and its own scale beside the one in use."""
        return (
            f"labeller {self.name} at {self.revision[:12]} on {self.device}: "
            f"its own logit scale is {self.logit_scale:.1f}; confidences are a softmax at {LOGIT_SCALE:.0f}"
        )

    def class_embeddings(self, schema: Schema) -> dict[str, np.ndarray]:
        """Embed each class: every prompt normalised, their mean over the templates, normalised again.

        Args:
            schema: Gives classes and prompts; attributes labelled by a rule are embedded too.

        Returns:
            Attribute → float32 array of shape (classes, dimensions), rows of length 1.

        Source:
            Prompt ensembling of Radford et al. (2021), arXiv 2103.00020, section 3.1.4.
        """
        return {a.name: np.stack([self.embed_text(a.prompts(label)) for label in a.classes]) for a in schema}

    def cosines(self, embeddings: np.ndarray, schema: Schema) -> np.ndarray:
        """Cosines of embedded images with every class, corrected by the labeller's calibration.

        Args:
            embeddings: Rows of length 1, shape (images, dimensions).
            schema: Gives attributes, classes and prompts.

        Returns:
            float32 of shape (images, classes of all attributes), in the schema's order.
        """
        classes = np.concatenate(list(self.class_embeddings(schema).values()))
        return self.calibration.apply(embeddings @ classes.T, schema)

    def encode(self, images: Iterable[str | Path | Image.Image], batch: int = 64) -> np.ndarray:
        """Embed images, read, shrunk and on a CPU embedded by several threads, each a batch at a time.

        Args:
            images: Paths or pictures; only a few batches are held in memory.
            batch: Images in one go.

        Returns:
            float32 array of shape (images, dimensions), rows of length 1.

        Raises:
            ValueError: If ``batch`` is below 1, there are no images, or a file cannot be read as one
                (``UnreadableError``; ``cosine_table`` goes on without such files).
        """
        if batch < 1:
            raise ValueError(f"batch must be at least 1; received {batch}")
        source, found, coming = iter(images), [], deque()
        with reading_threads(self.device, None) as pool:
            while some := list(islice(source, batch)):
                coming.append(pool.submit(self._encoded, some))
                if len(coming) > 2 * cores():
                    found.append(coming.popleft().result())
            found += [future.result() for future in coming]
        if not found:
            raise ValueError("there are no images to encode")
        return np.concatenate(found)

    def shrink(self, picture: Image.Image) -> np.ndarray:
        """An RGB picture at the model's size; see `Network.shrink`."""
        return self.network.shrink(picture)

    def embed(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Embed pictures from `shrink`: float32, shape (pictures, dimensions), rows of length 1."""
        return self.network.embed(pictures)

    def embed_text(self, sentences: Iterable[str]) -> np.ndarray:
        """Embed sentences as one: the mean of their normalised embeddings, float32, of length 1."""
        mean = self.network.embed_texts(list(sentences)).mean(axis=0)
        return mean / np.linalg.norm(mean)

    def _encoded(self, some: list[str | Path | Image.Image]) -> np.ndarray:
        return self.embed([self._seen(image) for image in some])

    def _seen(self, image: str | Path | Image.Image) -> np.ndarray:
        known = isinstance(image, Image.Image)
        return self.shrink(image.convert("RGB") if known else decode(read_bytes(str(image))))


def _runtime(folder: Path, device: str | None, asked: str | None) -> str:
    """Which runtime computes: ONNX Runtime on a CPU where there are graphs, else open_clip."""
    exported = (folder / IMAGE_GRAPH).is_file()
    if asked not in (None, *RUNTIMES):
        raise ValueError(f"runtime {asked!r}; allowed: {', '.join(RUNTIMES)}")
    if asked == "onnx" and (not exported or device not in (None, "cpu")):
        wrong = f"{folder} has no {IMAGE_GRAPH}" if not exported else f"device {device!r} is none of its own"
        raise ValueError(f"runtime 'onnx': {wrong}; allowed: open_clip")
    if asked:
        return asked
    on_cpu = device == "cpu" or (device is None and not _has_gpu())
    return "onnx" if exported and on_cpu else "open_clip"


def _has_gpu() -> bool:
    """Whether torch has a GPU; it is asked only where there is a driver, as to import it takes long."""
    if not Path("/proc/driver/nvidia/version").exists() or find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def fixture_picture() -> Image.Image:
    """A picture drawn by code, whose embedding shows whether the preprocessing is the right one.

    It is not square, so that another way of resizing shows; it holds fine lines beside a gradient, so that
    another filter does; and no two channels are alike, so that another mean or deviation does.
    """
    y, x = np.mgrid[0:300, 0:200].astype(np.float64)
    lines = 255 * ((x + y) // 6 % 2)
    channels = [255 * x / 199, 255 * y / 299, np.where(y < 100, lines, 255 - 255 * x / 199)]
    return Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8))


def write_fixture(folder: Path) -> None:
    """Write ``fixture.json`` beside a model: its embedding of the fixture and its weights' SHA-256.

    Args:
        folder: A model's folder; an older fixture in it is replaced.
    """
    (folder / FIXTURE).unlink(missing_ok=True)
    labeller = Labeller.load(f"local-dir:{folder}", device="cpu", log=lambda _: None, runtime="open_clip")
    embedding = [round(float(v), 6) for v in labeller.encode([fixture_picture()])[0]]
    fixture = json.dumps({"weights_sha256": sha256(weights_of(folder)), "embedding": embedding})
    write_file(folder / FIXTURE, lambda path: path.write_text(fixture + "\n", encoding="utf-8"))


def _check_fixture(labeller: Labeller, folder: Path) -> None:
    path = folder / FIXTURE
    if not path.is_file():
        return
    expected = np.array(json.loads(path.read_text(encoding="utf-8"))["embedding"])
    seen = labeller.embed([labeller.shrink(fixture_picture())])[0]
    cosine = float(seen @ expected / np.linalg.norm(expected))
    if cosine < 0.999:
        raise LabellerError(
            f"preprocessing differs: the fixture picture's embedding has cosine {cosine:.4f} with the one "
            f"stored in {path} (at least 0.999 is needed); check mean, std, size and resize_mode in {CONFIG}"
        )
