"""A labeller: any open_clip model by name, always with its own preprocessing and tokenizer.

Weights are only ever read from a folder that holds its config beside them. Weights loaded into an
architecture by name would silently get OpenAI's mean and standard deviation (open_clip issue 1068).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.transform import MaybeToTensor, Normalize
from PIL import Image

from swatchbook.atomic import write_file
from swatchbook.data.decoding import decode, read_bytes, threads
from swatchbook.labeller import (
    LabellerError,
    tower,  # noqa: F401 - registers its network with timm
)
from swatchbook.labeller.files import (
    CONFIG,
    FIXTURE,
    SMALL,
    TEXT_CONFIG,
    check_digest,
    config_of,
    found_at,
    text_config,
    tokenizer_of,
    weights_of,
)
from swatchbook.labeller.silver import LOGIT_SCALE
from swatchbook.schema import Schema
from swatchbook.store import sha256

FASHION_SIGLIP = "hf-hub:Marqo/marqo-fashionSigLIP"


@dataclass(frozen=True)
class Labeller:
    """A loaded model.

    Attributes:
        name: As it was asked for.
        revision: Commit on the Hub, or the weights' SHA-256 for a folder.
        fingerprint: SHA-256 over weights, config and tokenizer: everything that a cosine depends on.
        device: Where it runs.
        logit_scale: The checkpoint's own scale of cosines (its inverse temperature).
        model: In evaluation mode, float32.
        preprocess: PIL picture → tensor of shape (3, height, width), as the model's config says.
        shrink: Its first half, for threads: PIL picture → uint8 tensor of shape (height, width, 3). Where a
            preprocessing cannot be halved it is all of it.
        normalise: Its second half, for a whole batch at once: as floats, normalised.
        tokenizer: Texts → token ids.
    """

    name: str
    revision: str
    fingerprint: str
    device: str
    logit_scale: float
    model: torch.nn.Module
    preprocess: Callable[[Image.Image], torch.Tensor]
    shrink: Callable[[Image.Image], torch.Tensor]
    normalise: Callable[[torch.Tensor], torch.Tensor]
    tokenizer: Callable[[list[str]], torch.Tensor]

    @classmethod
    def load(
        cls,
        name: str = "bundled",
        cache_dir: str | Path | None = None,
        device: str | None = None,
        log: Callable[[str], object] = print,
    ) -> Labeller:
        """Load a labeller by name.

        Args:
            name: ``bundled`` (in the package), ``hf-hub:OWNER/NAME`` with or without ``@REVISION``, or
                ``local-dir:PATH`` (a folder with ``open_clip_config.json`` and weights).
            cache_dir: The Hub's cache; its default by default. What lies there needs no network.
            device: Such as ``cpu`` or ``cuda``; a GPU where there is one by default.
            log: Told in one line what was loaded, with the checkpoint's own scale.

        Raises:
            ValueError: If the name has none of these forms.
            LabellerError: If files are missing and cannot be fetched, do not fit each other, are not the
                ones they claim to be, or the preprocessing differs from the one it was made with.
        """
        folder, revision = found_at(name, cache_dir)
        config = config_of(folder)
        weights = weights_of(folder)
        digest = sha256(weights)
        check_digest(weights, digest, folder)
        try:
            # Read on the CPU first: moving while loading meets models under a meta device.
            model, preprocess = open_clip.create_model_from_pretrained(
                f"local-dir:{folder}", device="cpu", **text_config(folder, config)
            )
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise LabellerError(f"{weights.name} in {folder} cannot be loaded: {reason}") from error
        tokenizer = tokenizer_of(folder, config, cache_dir)
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        own = sorted(p for p in folder.iterdir() if p.name in (*SMALL, TEXT_CONFIG))
        checksum = hashlib.sha256(digest.encode() + b"".join(p.read_bytes() for p in own)).hexdigest()
        scale = float(model.logit_scale.detach().exp())
        # Pictures come as rows of pixels, in which order convolutions are faster too.
        model = model.eval().to(device).to(memory_format=torch.channels_last)
        made = (preprocess, *halved(preprocess), tokenizer)
        labeller = cls(name, revision or digest, checksum, device, scale, model, *made)
        _check_fixture(labeller, folder)
        log(labeller.describe())
        return labeller

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

    def encode(self, images: Iterable[str | Path | Image.Image], batch: int = 64) -> np.ndarray:
        """Embed images, read and shrunk by several threads while the model works.

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
        found = [self.embed(tensors) for tensors in _batches(images, self._seen, batch)]
        if not found:
            raise ValueError("there are no images to encode")
        return np.concatenate(found)

    @torch.inference_mode()
    def embed(self, tensors: list[torch.Tensor]) -> np.ndarray:
        """Embed pictures from `shrink`: float32, shape (pictures, dimensions), rows of length 1."""
        views = self.normalise(torch.stack(tensors).to(self.device))
        return self.model.encode_image(views, normalize=True).float().cpu().numpy()

    @torch.inference_mode()
    def embed_text(self, sentences: Iterable[str]) -> np.ndarray:
        """Embed sentences as one: the mean of their normalised embeddings, float32, of length 1."""
        found = self.model.encode_text(self.tokenizer(list(sentences)).to(self.device), normalize=True)
        return torch.nn.functional.normalize(found.mean(0), dim=-1).float().cpu().numpy()

    def _seen(self, image: str | Path | Image.Image) -> torch.Tensor:
        known = isinstance(image, Image.Image)
        return self.shrink(image.convert("RGB") if known else decode(read_bytes(str(image))))


def halved(
    preprocess: Callable[[Image.Image], torch.Tensor],
) -> tuple[Callable[[Image.Image], torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]:
    """A preprocessing as what is done to each picture and what can be done to many at once, bit for bit.

    Bytes are a quarter of the floats, so that less is copied, and to the device less is sent.

    Args:
        preprocess: As open_clip makes it; unless it ends in ``MaybeToTensor`` and ``Normalize``, nothing is
            left for the second half.
    """
    steps = getattr(preprocess, "transforms", [])
    if len(steps) < 2 or not isinstance(steps[-2], MaybeToTensor) or not isinstance(steps[-1], Normalize):
        return preprocess, lambda views: views
    *first, _, last = steps
    mean, std = (torch.tensor(values)[:, None, None] for values in (last.mean, last.std))

    def shrink(picture: Image.Image) -> torch.Tensor:
        for step in first:
            picture = step(picture)
        return torch.from_numpy(np.array(picture))

    def normalise(pictures: torch.Tensor) -> torch.Tensor:
        views = pictures.permute(0, 3, 1, 2).float().div_(255)
        return views.sub_(mean.to(views.device)).div_(std.to(views.device))

    return shrink, normalise


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
    labeller = Labeller.load(f"local-dir:{folder}", device="cpu", log=lambda _: None)
    embedding = [round(float(v), 6) for v in labeller.encode([fixture_picture()])[0]]
    fixture = json.dumps({"weights_sha256": sha256(weights_of(folder)), "embedding": embedding})
    write_file(folder / FIXTURE, lambda path: path.write_text(fixture + "\n", encoding="utf-8"))


def _check_fixture(labeller: Labeller, folder: Path) -> None:
    path = folder / FIXTURE
    if not path.is_file():
        return
    expected = np.array(json.loads(path.read_text(encoding="utf-8"))["embedding"])
    cosine = float(labeller.encode([fixture_picture()])[0] @ expected / np.linalg.norm(expected))
    if cosine < 0.999:
        raise LabellerError(
            f"preprocessing differs: the fixture picture's embedding has cosine {cosine:.4f} with the one "
            f"stored in {path} (at least 0.999 is needed); check mean, std, size and resize_mode in {CONFIG}"
        )


def _batches(
    images: Iterable[object], seen: Callable[[object], torch.Tensor], batch: int
) -> Iterator[list[torch.Tensor]]:
    """Preprocessed batches, the next one being prepared while this one is used."""
    source = iter(images)
    with threads() as pool:
        coming = [pool.submit(seen, image) for image in islice(source, batch)]
        while coming:
            ready, coming = coming, [pool.submit(seen, image) for image in islice(source, batch)]
            yield [future.result() for future in ready]
