"""Images and texts in one space: an open_clip model and pairs of an image and a text.

A finished model is exported as open_clip's own ``local-dir:`` folder, which the labeller and any user of
open_clip can load.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from safetensors.torch import save_file
from torch import nn

from swatchbook.labeller import WEIGHTS
from swatchbook.labeller.files import CONFIG, text_config
from swatchbook.models import checkpoint
from swatchbook.models.finished import read_config
from swatchbook.models.pixel_loader import SHARE, free_memory
from swatchbook.models.recipe import Recipe
from swatchbook.models.task import Batch, Task, Tensors
from swatchbook.models.towers import Towers, UpperText, freeze_text, lower_states
from swatchbook.store import Store

LARGEST_SCALE = 100.0  # of cosines, as CLIP has it
RANKS = (1, 5, 10)
MRR = "mrr"
# What no tower brings with it: projections, the scale, and what pools the features of `labeller.tower`.
_POOLING = tuple(f"visual.trunk.{part}." for part in ("colours", "garment", "norm"))
_NEW = ("visual.head.", "text.proj", "text.text_projection", "logit_", *_POOLING)
_TEXT = "text."


class ImageText(nn.Module):
    """An open_clip model as a training calls it.

    Attributes:
        model: The open_clip model.
        info: What it is: `architecture`, and the `mean` and `std` that it normalises by.
    """

    def __init__(self, folder: Path) -> None:
        """Make the model that a folder's config describes, with random weights."""
        super().__init__()
        written = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        self.model = open_clip.create_model(
            f"local-dir:{folder}", load_weights=False, pretrained_text=False, **text_config(folder, written)
        )
        seen = {name: written["preprocess_cfg"][name] for name in ("mean", "std")}
        self.info = {"architecture": written["model_cfg"]["vision_cfg"]["timm_model_name"], **seen}
        for name, values in seen.items():
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        self._upper: list[UpperText] = []  # in a list, since its parts are the model's own

    def forward(
        self, views: torch.Tensor, texts: torch.Tensor, states: torch.Tensor | None = None
    ) -> Tensors:
        """Views in [0, 1], shape (n, 3, side, side), and token ids, shape (m, L) → embeddings of length 1.

        Returns:
            ``image``, shape (n, D), and ``text``, shape (m, D), in float32; see `embed_texts`.
        """
        views = (views - self.mean) / self.std
        image = self.model.encode_image(views, normalize=True)
        return {"image": image.float(), "text": self.embed_texts(texts, states)}

    def embed_texts(self, texts: torch.Tensor, states: torch.Tensor | None = None) -> torch.Tensor:
        """Token ids, shape (m, L), and, once the lower blocks are `frozen_below`, their states → (m, D)."""
        if states is None:
            return self.model.encode_text(texts, normalize=True).float()
        return F.normalize(self._upper[0](texts, states.to(self.mean.dtype)), dim=-1).float()

    def frozen_below(self, texts: np.ndarray, trained: int, device: str) -> torch.Tensor:
        """Compute what is frozen once: `towers.lower_states` of token ids, for `embed_texts`."""
        self._upper = [UpperText(self.model.text, trained)]
        return lower_states(self.model.text, texts, trained, device)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """The parameters by learning rate: those of either tower, and the projections and scale."""
        named = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        towers = [(name.startswith(_TEXT), p) for name, p in named if not name.startswith(_NEW)]
        return {
            "backbone": [p for of_text, p in towers if not of_text],
            "text": [p for of_text, p in towers if of_text],
            "heads": [p for name, p in named if name.startswith(_NEW)],
        }

    def scale(self) -> torch.Tensor:
        """The learnt factor of cosines, at most `LARGEST_SCALE`."""
        return self.model.logit_scale.exp().clamp(max=LARGEST_SCALE)


class Contrastive(Task):
    """Pairs of an image and a text; see `models.task.Task`.

    The loss is the symmetric cross-entropy of telling each image's text among those of its batch, and each
    text's image. The score is the mean reciprocal rank of the own one among all validation pairs, over both
    directions.

    Source:
        Radford et al. (2021), Learning transferable visual models from natural language supervision, arXiv
        2103.00020, figure 3.
    """

    name = "contrastive"
    score = MRR
    coupled = True

    def __init__(
        self,
        folder: str | Path,
        texts: np.ndarray,
        train_rows: np.ndarray,
        val_rows: np.ndarray,
        *,
        towers: Towers | None = None,
        learn_scale: bool = True,
    ) -> None:
        """Describe a training.

        Args:
            folder: Holds ``open_clip_config.json`` and whatever else its tokenizer needs.
            texts: Token ids of each image's text, shape (N, L).
            train_rows: Rows to learn from.
            val_rows: Rows to choose the epoch by; none of them in `train_rows`.
            towers: Whose weights to start from; None: random ones.
            learn_scale: Whether the scale of cosines is learnt; else it stays 1/.07, open_clip's first.
        """
        self.folder, self.texts = Path(folder), np.asarray(texts)
        self.train_rows, self.val_rows = train_rows, val_rows
        self.towers, self.learn_scale = towers, learn_scale

    def check(self, images: int, recipe: Recipe) -> None:
        """See `Task`."""
        shape, kind = self.texts.shape, self.texts.dtype
        if len(shape) != 2 or shape[0] != images or not np.issubdtype(kind, np.integer):
            raise ValueError(f"texts of {kind} and shape {shape}; integers of shape ({images}, L) are needed")

    def build(self, recipe: Recipe) -> ImageText:
        """See `Task`."""
        self.network = ImageText(self.folder)
        if self.towers:
            self.network.info["towers"] = self.towers.load_into(self.network.model)
            freeze_text(self.network.model, self.towers.text_blocks)
        self.network.model.logit_scale.requires_grad_(self.learn_scale)
        return self.network

    def targets(self) -> Mapping[str, np.ndarray]:
        """See `Task`."""
        return {"texts": self.texts}

    def labelled(self) -> Mapping[str, np.ndarray]:
        """See `Task`; every pair counts."""
        return {"pairs": np.ones(len(self.texts), int)}

    def prepare(self, recipe: Recipe, device: str, log: Callable[[str], object]) -> None:
        """See `Task`; what is frozen of the text tower is computed now, where there is room to keep it."""
        self._device, self._states = device, None
        if self.towers is None or self.towers.text_blocks is None:
            return
        rows = np.concatenate([self.train_rows, self.val_rows]) if self.coupled else self.val_rows
        width = self.network.model.text.config.hidden_size
        needed, free = 2 * width * len(rows) * self.texts.shape[1], free_memory("cpu")
        kept = needed <= SHARE * free
        log(
            f"states of {len(rows):,} texts below the trained blocks: {needed / 1e9:.2f} GB of "
            f"{free / 1e9:.1f} GB free, {'computed once' if kept else 'computed in every step'}"
        )
        if kept:
            self._states = self.network.frozen_below(self.texts[rows], self.towers.text_blocks, device)
            self._place = np.empty(len(self.texts), np.int64)
            self._place[rows] = np.arange(len(rows))

    def inputs(self, rows: np.ndarray, rng: np.random.Generator | None) -> tuple[Tensors, Tensors]:
        """See `Task`: the texts."""
        given = {"texts": torch.from_numpy(self.texts[rows])}
        if self._states is not None:
            given["states"] = self._states[self._place[rows]]
        return {name: values.to(self._device) for name, values in given.items()}, {}

    def loss(self, outputs: Tensors, batch: Batch) -> Tensors:
        """See `Task`."""
        logits = self.network.scale() * outputs["image"] @ outputs["text"].T
        own = torch.arange(len(logits), device=logits.device)
        return {"pairs": (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2}

    def validate(self, outputs: Tensors) -> dict[str, float]:
        """See `Task`: mean reciprocal rank, and recall at several ranks each way."""
        images, texts = (F.normalize(outputs[name], dim=1) for name in ("image", "text"))
        cosines = images @ texts.T
        scores: dict[str, float] = {}
        reciprocal = []
        for direction, table in (("image_to_text", cosines), ("text_to_image", cosines.T)):
            # A tie counts against us, so that an encoder that collapsed has no hits.
            ranks = (table >= table.diagonal()[:, None]).sum(1).double()
            reciprocal.append(float((1 / ranks).mean()))
            scores |= {f"{direction}_r{k}": float((ranks <= k).double().mean()) for k in RANKS}
        return {MRR: sum(reciprocal) / 2, **scores}

    def facts(self) -> dict[str, object]:
        """See `Task`."""
        return {"open_clip": json.loads((self.folder / CONFIG).read_text(encoding="utf-8"))}


def export(model_dir: str | Path, folder: str | Path, *, scale: float | None = None) -> None:
    """Write a finished model's weights beside its open_clip config, as float16 safetensors.

    Args:
        model_dir: A folder that a training has finished.
        folder: Holds ``open_clip_config.json``.
        scale: Factor of cosines to write; the learnt one by default.
    """
    config = read_config(model_dir, Contrastive.name)
    write_model(checkpoint.load_weights(model_dir, config, ImageText(Path(folder))), folder, scale=scale)


def write_model(network: ImageText, folder: str | Path, *, scale: float | None = None) -> None:
    """Write a network's open_clip model beside its config, as float16 safetensors; see `export`."""
    model = network.model
    with torch.no_grad():
        model.logit_scale.fill_(float(np.log(scale)) if scale else float(network.scale().log()))
    weights = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    Store(folder).write(WEIGHTS, lambda path: save_file(weights, path))
