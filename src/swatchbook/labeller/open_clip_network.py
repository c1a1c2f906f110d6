"""A labeller's network as open_clip builds it; torch computes, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.tokenizer import HFTokenizer
from open_clip.transform import MaybeToTensor, Normalize
from PIL import Image

from swatchbook.labeller import LabellerError, tower  # noqa: F401 - registers its network with timm
from swatchbook.labeller.files import has_tokenizer, small_files, text_config, weights_of


class OpenClipNetwork:
    """A `zero_shot.Network` by open_clip.

    Args:
        folder: Holds config and weights.
        config: As `files.config_of` gives it.
        cache_dir: The Hub's, where another repository's tokenizer may be.
        device: Such as ``cpu`` or ``cuda``; a GPU where there is one by default.

    Attributes:
        model: open_clip's, in evaluation mode, float32.
        preprocess: PIL picture → tensor of shape (3, height, width), as the model's config says; `shrink` and
            ``normalise`` are its two halves. Where it cannot be halved the first is all of it.
        normalise: Its second half, for a whole batch at once: as floats, normalised.

    Raises:
        LabellerError: If the files do not fit each other.
    """

    runtime = "open_clip"

    def __init__(self, folder: Path, config: dict, cache_dir: str | Path | None, device: str | None) -> None:
        try:
            # Read on the CPU first: moving while loading meets models under a meta device.
            model, self.preprocess = open_clip.create_model_from_pretrained(
                f"local-dir:{folder}", device="cpu", **text_config(folder, config)
            )
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            weights = weights_of(folder).name
            raise LabellerError(f"{weights} in {folder} cannot be loaded: {reason}") from error
        self.tokenizer = tokenizer_of(folder, config, cache_dir)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.logit_scale = float(model.logit_scale.detach().exp())
        # Pictures come as rows of pixels, in which order convolutions are faster too.
        self.model = model.eval().to(self.device).to(memory_format=torch.channels_last)
        self.preprocessing = dict(getattr(model.visual, "preprocess_cfg", {}))
        self._shrink, self.normalise = halved(self.preprocess)

    def shrink(self, picture: Image.Image) -> np.ndarray:
        """An RGB picture at the network's size: uint8 of shape (height, width, 3), for threads."""
        return self._shrink(picture)

    @torch.inference_mode()
    def embed(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Embeddings of pictures from `shrink`: float32, shape (pictures, dimensions), rows of length 1."""
        views = self.normalise(torch.from_numpy(np.stack(pictures)).to(self.device))
        return self.model.encode_image(views, normalize=True).float().cpu().numpy()

    @torch.inference_mode()
    def embed_texts(self, texts: list[str]) -> np.ndarray:
        """Embeddings of texts: float32, shape (texts, dimensions), rows of length 1."""
        found = self.model.encode_text(self.tokenizer(texts).to(self.device), normalize=True)
        return found.float().cpu().numpy()


def halved(
    preprocess: Callable[[Image.Image], torch.Tensor],
) -> tuple[Callable[[Image.Image], np.ndarray], Callable[[torch.Tensor], torch.Tensor]]:
    """A preprocessing as what is done to each picture and what can be done to many at once, bit for bit.

    Bytes are a quarter of the floats, so that less is copied, and to the device less is sent.

    Args:
        preprocess: As open_clip makes it; unless it ends in ``MaybeToTensor`` and ``Normalize``, nothing is
            left for the second half.
    """
    steps = getattr(preprocess, "transforms", [])
    if len(steps) < 2 or not isinstance(steps[-2], MaybeToTensor) or not isinstance(steps[-1], Normalize):
        return lambda picture: preprocess(picture).numpy(), lambda views: views
    *first, _, last = steps
    mean, std = (torch.tensor(values)[:, None, None] for values in (last.mean, last.std))

    def shrink(picture: Image.Image) -> np.ndarray:
        for step in first:
            picture = step(picture)
        return np.array(picture)

    def normalise(pictures: torch.Tensor) -> torch.Tensor:
        views = pictures.permute(0, 3, 1, 2).float().div_(255)
        return views.sub_(mean.to(views.device)).div_(std.to(views.device))

    return shrink, normalise


def tokenizer_of(
    folder: Path, config: dict, cache_dir: str | Path | None
) -> Callable[[list[str]], torch.Tensor]:
    """The tokenizer of the model's folder, or of the repository that its config names."""
    text = config["model_cfg"].get("text_cfg", {})
    other = text.get("hf_tokenizer_name", "")
    if not other or has_tokenizer(folder):
        return open_clip.get_tokenizer(f"local-dir:{folder}")
    return HFTokenizer(
        str(small_files(other, cache_dir)),
        context_length=text.get("context_length"),
        tokenizer_mode=text.get("tokenizer_mode"),
        **text.get("tokenizer_kwargs", {}),
    )
