"""A labeller: any open_clip model by name, always with its own preprocessing and tokenizer.

Weights are only ever read from a folder that holds its config beside them. Weights loaded into an
architecture by name would silently get OpenAI's mean and standard deviation (open_clip issue 1068).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import open_clip
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.errors import HfHubHTTPError
from open_clip.tokenizer import HFTokenizer
from PIL import Image

from swatchbook.data.decoding import decode, read_bytes, threads
from swatchbook.labels import BUNDLED
from swatchbook.schema import Schema

TEMPERATURE = 100.0
FASHION_SIGLIP = "hf-hub:Marqo/marqo-fashionSigLIP"
# Commits that are loaded where a name gives none; others follow their main branch.
REVISIONS = {"Marqo/marqo-fashionSigLIP": "c56244cc94f92419e8369fa71efdaf403b124ce8"}
CONFIG = "open_clip_config.json"
WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
FIXTURE = "fixture.json"
_TOKENIZER = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
_SMALL = (
    CONFIG,
    *_TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
)


class LabellerError(RuntimeError):
    """A labeller that cannot be loaded or is not what it should be; the message says what to do."""


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
        tokenizer: Texts → token ids.
    """

    name: str
    revision: str
    fingerprint: str
    device: str
    logit_scale: float
    model: torch.nn.Module
    preprocess: Callable[[Image.Image], torch.Tensor]
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
        folder, revision = _folder(name, cache_dir)
        config = _config(folder)
        weights = _weights(folder)
        digest = _sha256(weights)
        _check_digest(weights, digest, folder)
        try:
            # Read on the CPU first: moving while loading meets models under a meta device.
            model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}", device="cpu")
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise LabellerError(f"{weights.name} in {folder} cannot be loaded: {reason}") from error
        tokenizer = _tokenizer(folder, config, cache_dir)
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        own = sorted(p for p in folder.iterdir() if p.name in _SMALL)
        told = hashlib.sha256(digest.encode() + b"".join(p.read_bytes() for p in own)).hexdigest()
        scale = float(model.logit_scale.detach().exp())
        model = model.eval().to(device)
        labeller = cls(name, revision or digest, told, device, scale, model, preprocess, tokenizer)
        _check_fixture(labeller, folder)
        log(labeller.describe())
        return labeller

    def describe(self) -> str:
        """One line: what it is, where it runs, and its own scale beside the one in use."""
        return (
            f"labeller {self.name} at {self.revision[:12]} on {self.device}: "
            f"its own logit scale is {self.logit_scale:.1f}; confidences are a softmax at {TEMPERATURE:.0f}"
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
        return {a.name: np.stack([self._mean_text(a.prompts(label)) for label in a.classes]) for a in schema}

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
        """Embed preprocessed pictures: float32 array of shape (pictures, dimensions), rows of length 1."""
        return (
            self.model.encode_image(torch.stack(tensors).to(self.device), normalize=True)
            .float()
            .cpu()
            .numpy()
        )

    def _seen(self, image: str | Path | Image.Image) -> torch.Tensor:
        known = isinstance(image, Image.Image)
        return self.preprocess(image.convert("RGB") if known else decode(read_bytes(str(image))))

    @torch.inference_mode()
    def _mean_text(self, prompts: Iterable[str]) -> np.ndarray:
        found = self.model.encode_text(self.tokenizer(list(prompts)).to(self.device), normalize=True)
        return torch.nn.functional.normalize(found.mean(0), dim=-1).float().cpu().numpy()


def fixture_picture() -> Image.Image:
    """A picture drawn by code, whose embedding tells whether the preprocessing is the right one.

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
    told = {"weights_sha256": _sha256(_weights(folder)), "embedding": embedding}
    (folder / FIXTURE).write_text(json.dumps(told) + "\n", encoding="utf-8")


def _folder(name: str, cache_dir: str | Path | None) -> tuple[Path, str]:
    """Where a named model lies on this disk, and its commit if it comes from the Hub."""
    kind, _, rest = name.partition(":")
    if name == "bundled":
        return BUNDLED, ""
    if kind == "local-dir" and rest:
        if not Path(rest).is_dir():
            raise LabellerError(f"{rest} is no folder; local-dir: needs one with {CONFIG} and weights")
        return Path(rest), ""
    if kind == "hf-hub" and re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", rest):
        repository, _, revision = rest.partition("@")
        folder = _snapshot(repository, revision or REVISIONS.get(repository, "main"), cache_dir, weights=True)
        return folder, folder.name
    raise ValueError(
        f"labeller {name!r}; allowed: bundled, hf-hub:OWNER/NAME, hf-hub:OWNER/NAME@REVISION, local-dir:PATH"
    )


def _snapshot(repository: str, revision: str, cache_dir: str | Path | None, *, weights: bool) -> Path:
    """The folder of a repository at a commit: from the cache if it is whole, else from the network."""
    needed = CONFIG if weights else "tokenizer_config.json"

    def look(patterns: tuple[str, ...], offline: bool) -> Path | None:
        found = Path(
            snapshot_download(
                repository,
                revision=revision,
                cache_dir=cache_dir,
                allow_patterns=list(patterns),
                local_files_only=offline,
            )
        )
        whole = (found / needed).is_file() and (not weights or any((found / w).is_file() for w in WEIGHTS))
        return found if whole else None

    reason = "the repository lacks " + (f"{needed} or weights of open_clip" if weights else needed)
    # Safetensors cannot carry code, so a pickle is asked for only where there is nothing else.
    attempts = [((), True), ((*_SMALL, *WEIGHTS[:2]), False), ((*_SMALL, *WEIGHTS), False)]
    for patterns, offline in attempts if weights else [((), True), (_SMALL, False)]:
        try:
            if folder := look(patterns or (*_SMALL, *WEIGHTS), offline):
                return folder
        except (OSError, ValueError, HfHubHTTPError) as error:
            reason = str(error).splitlines()[0]
            if not offline:
                break  # asking again for more would only wait again
    where = Path(cache_dir) if cache_dir else Path(HF_HUB_CACHE)
    option = f" --cache-dir {where}" if cache_dir else ""
    raise LabellerError(
        f"{repository} at {revision} is not whole in the cache {where} and cannot be fetched ({reason}). "
        f"Where there is a network: hf download {repository} --revision {revision}{option}"
    )


def _config(folder: Path) -> dict:
    """The model's config; its preprocessing must be written in it, not left to defaults."""
    path = folder / CONFIG
    if not path.is_file():
        raise LabellerError(f"{folder} has no {CONFIG}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LabellerError(f"{path} is no JSON: {error}") from None
    missing = {"mean", "std"} - set(config.get("preprocess_cfg") or {})
    if "model_cfg" not in config or missing:
        raise LabellerError(
            f"{path} must hold model_cfg, and preprocess_cfg with mean and std; without them images would "
            "silently be normalised as OpenAI's are"
        )
    return config


def _weights(folder: Path) -> Path:
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise LabellerError(f"{folder} has no weights; looked for {', '.join(WEIGHTS)}")


def _tokenizer(
    folder: Path, config: dict, cache_dir: str | Path | None
) -> Callable[[list[str]], torch.Tensor]:
    """The tokenizer of the model's folder, or of the repository that its config names."""
    text = config["model_cfg"].get("text_cfg", {})
    other = text.get("hf_tokenizer_name", "")
    if not other or any((folder / name).is_file() for name in _TOKENIZER):
        return open_clip.get_tokenizer(f"local-dir:{folder}")
    named = _snapshot(other, "main", cache_dir, weights=False)
    return HFTokenizer(
        str(named),
        context_length=text.get("context_length"),
        tokenizer_mode=text.get("tokenizer_mode"),
        **text.get("tokenizer_kwargs", {}),
    )


def _check_digest(weights: Path, digest: str, folder: Path) -> None:
    """Compare with the fixture's digest, or with the Hub's, which names its cached files by theirs."""
    fixture, stored = folder / FIXTURE, weights.resolve().name
    expected = stored if re.fullmatch(r"[0-9a-f]{64}", stored) else None
    if fixture.is_file():
        expected = json.loads(fixture.read_text(encoding="utf-8"))["weights_sha256"]
    if expected and digest != expected:
        raise LabellerError(
            f"{weights} has SHA-256 {digest}, not {expected}: it is damaged or another file; fetch it again"
        )


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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _batches(
    images: Iterable[object], seen: Callable[[object], torch.Tensor], batch: int
) -> Iterator[list[torch.Tensor]]:
    """Preprocessed batches, the next one in the making while this one is used."""
    source = iter(images)
    with threads() as pool:
        coming = [pool.submit(seen, image) for image in islice(source, batch)]
        while coming:
            ready, coming = coming, [pool.submit(seen, image) for image in islice(source, batch)]
            yield [future.result() for future in ready]
