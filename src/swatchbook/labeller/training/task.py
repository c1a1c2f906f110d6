"""The bundled labeller's task: drawn garments and judged photographs, class prompts and captions.

Two kinds of loss are added. For each attribute a softmax over its classes, at the scale of 100 that the
labels are made with later, so that its confidences mean something at once. And the sigmoid loss of
SigLIP (Zhai et al. 2023, arXiv 2303.15343) between images and captions, where a caption is right for
every image of the batch that has the classes it mentions, not only for its own, and where it counts only for
images of which all that it mentions is known: nobody knows a photograph's kind of cloth.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from swatchbook.atomic import write_file
from swatchbook.labeller.files import CONFIG
from swatchbook.labeller.tower import GarmentTower  # its module registers the network with timm
from swatchbook.labeller.training.augment import DRAWN
from swatchbook.labeller.training.captions import WORDS, Caption, caption, class_prompts, corpus
from swatchbook.labeller.training.images import training_set
from swatchbook.labeller.training.recipe import Design, model_config, tuning_recipe
from swatchbook.labeller.training.tokenizer import write_tokenizer
from swatchbook.models import checkpoint, training
from swatchbook.models.backbones import WEIGHTS, create
from swatchbook.models.finished import CONFIG as FINISHED
from swatchbook.models.finished import read_config
from swatchbook.models.recipe import Recipe
from swatchbook.models.task import Batch, Tensors
from swatchbook.models.tasks.contrastive import Contrastive, ImageText, export
from swatchbook.store import Store, sha256

PROMPTED = ("color", "pattern", "texture", "material", "folder")
CAPTIONED = ("color", "pattern", "texture", "folder")
SCALE = 100.0  # of cosines in the finished model
_CAPTIONS = 24  # captions in a step; the text tower would outweigh the image tower with one an image
# How many times as often a class is seen as others: near what wardrobes hold, since what is ambiguous (white
# or grey in dim light, a flower or a figure) is best decided by what is common.
_OFTEN = {
    "color": {"black": 1.6, "white": 1.8, "blue": 1.5, "navy": 1.2, "beige": 1.2, "orange": 0.8},
    "pattern": {"floral": 1.4, "striped": 1.3, "checkered_plaid": 1.3, "geometric": 0.7, "animal_print": 0.6},
}
_INDIGO = ("denim", "chambray")  # cloths that are mostly blue


class GarmentCaptions(Contrastive):
    """Garments drawn and photographed, and sentences; see `models.task.Task`. The last epoch is kept."""

    augmentation = DRAWN

    def __init__(self, folder: Path, labels: pd.DataFrame, design: Design, start: Path | None = None) -> None:
        """Describe the training.

        Args:
            folder: Holds the open_clip config and the tokenizer.
            labels: A row an image, ``folder`` and a class for each other of `PROMPTED` (null where it is not
                known), and ``photograph``, whether it is one.
            design: What is trained.
            start: The folder of a finished training that is tuned; None trains from the start.
        """
        self._codes = {n: pd.Index(list(WORDS[n])).get_indexer(labels[n]).astype(np.int64) for n in PROMPTED}
        self._labels, self._design, self._start = labels, design, start
        self._drawn = ~labels["photograph"].to_numpy(bool)
        super().__init__(folder, np.empty((len(labels), 0), int), np.arange(len(labels)), np.array([], int))

    def check(self, images: int, recipe: Recipe) -> None:
        """See `Task`."""
        super().check(images, recipe)
        for name in ("image_size", "early_size"):
            if getattr(recipe, name) % 32:
                raise ValueError(f"recipe.{name} must be a multiple of 32; received {getattr(recipe, name)}")

    def build(self, recipe: Recipe) -> ImageText:
        """See `Task`."""
        self._tokenizer = open_clip.get_tokenizer(f"local-dir:{self.folder}")
        network = super().build(recipe)
        trunk = network.model.visual.trunk
        ours = isinstance(trunk, GarmentTower)
        if self._start:
            checkpoint.load_weights(self._start, read_config(self._start, self.name), network)
            network.info["start"] = sha256(self._start / WEIGHTS)
        elif ours:
            pretrained, network.info["trunk"] = create(f"efficientnet_lite{trunk.size}", pretrained=True)
            trunk.trunk.load_state_dict(pretrained.state_dict())
        if ours:
            frozen = [trunk.trunk.conv_stem, trunk.trunk.bn1, *trunk.trunk.blocks[: self._design.frozen]]
            if self._design.frozen > len(trunk.trunk.blocks):
                frozen = [trunk.trunk]
            for part in frozen:
                part.requires_grad_(False)
        return network

    def targets(self) -> Mapping[str, np.ndarray]:
        """See `Task`: class numbers over ``WORDS``, −1 where the folder has no material."""
        return self._codes

    def labelled(self) -> Mapping[str, np.ndarray]:
        """See `Task`."""
        return {**{name: codes >= 0 for name, codes in self._codes.items()}, **super().labelled()}

    def sampling(self, recipe: Recipe) -> np.ndarray:
        """See `Task`: photographs have their share, those of rare colours and patterns more of it."""
        labels = self._labels
        often = np.where(labels["pattern"] == "solid", self._design.plain, 1.0)
        for name, factors in _OFTEN.items():
            often *= labels[name].map(factors).fillna(1.0).to_numpy(float)
        blue = labels["color"].isin(["blue", "navy"])
        often *= np.where(labels["folder"].isin(_INDIGO), np.where(blue, 3.0, 0.5), 1.0)
        if (~self._drawn).any():
            seen = labels[~self._drawn]
            share = self._design.tuning_share if self._start else self._design.photograph_share
            rare = sum(seen[n].map(seen[n].value_counts() ** -0.5).fillna(0.0) for n in ("color", "pattern"))
            often[self._drawn] *= (1 - share) / often[self._drawn].sum()
            often[~self._drawn] = share * rare / rare.sum()
        return often

    def inputs(self, rows: np.ndarray, rng: np.random.Generator | None) -> tuple[Tensors, Tensors]:
        """See `Task`: prompts, attribute by attribute, then captions; and what images those are right for."""
        some = rng.permutation(rows[self._drawn[rows]])[:_CAPTIONS]
        captions = [caption(row, rng) for row in self._labels.iloc[some].to_dict("records")]
        prompts = [prompt for name in PROMPTED for prompt in class_prompts(name, rng)]
        texts = self._tokenizer([*prompts, *(c.text for c in captions)])
        right = torch.from_numpy(matches(self._labels.iloc[rows], captions))
        return {"texts": texts.to(self._device)}, {"right": right.to(self._device)}

    def loss(self, outputs: Tensors, batch: Batch) -> Tensors:
        """See `Task`."""
        return drawn_losses(
            outputs["image"],
            outputs["text"],
            batch,
            bias=self.network.model.logit_bias,
            scale=SCALE if self._start else scale_at(batch.progress),
            smoothing=self._design.smoothing if self._start else 0.0,
        )


def drawn_losses(
    images: torch.Tensor,
    texts: torch.Tensor,
    batch: Batch,
    *,
    bias: torch.Tensor,
    scale: float,
    smoothing: float = 0.0,
) -> Tensors:
    """Softmax over the classes of each attribute, and sigmoid over image–caption pairs.

    Args:
        images: Embeddings of length 1, shape (n, D).
        texts: Embeddings of the prompts, attribute by attribute, then of the captions.
        batch: Its targets are class numbers or −1, shape (n,), and ``right``, shape (n, captions), as
            `matches` gives it.
        bias: Added to the scaled cosines of pairs.
        scale: Factor of cosines.
        smoothing: Share of a class's target that is spread over all of its attribute.
    """
    right = batch.targets["right"]
    attributes = [name for name in batch.targets if name != "right"]
    *prompts, captions = texts.split([*(len(WORDS[name]) for name in attributes), right.shape[1]])
    losses = {}
    for name, part in zip(attributes, prompts, strict=True):
        logits, target = scale * images @ part.T, batch.targets[name]
        total = F.cross_entropy(logits, target, ignore_index=-1, reduction="sum", label_smoothing=smoothing)
        losses[name] = total / max(batch.counts[name], 1)
    fits, fails = right == 1, right == 0
    pairs = F.binary_cross_entropy_with_logits(
        scale * images @ captions.T + bias, fits.float(), reduction="none"
    )
    # Halves of equal weight: most pairs are wrong ones.
    halves = ((pairs * of).sum() / of.sum().clamp(min=1) / 2 for of in (fits, fails))
    losses["pairs"] = sum(halves)
    return losses


def matches(labels: pd.DataFrame, captions: list[Caption]) -> np.ndarray:
    """Whether captions are right for images: 1, 0, or −1 where it is not known, shape (images, captions)."""
    right = np.ones((len(labels), len(captions)), dtype=np.float32)
    for name in CAPTIONED:
        have = labels[name].to_numpy(object)[:, None]
        mentioned = np.array([c.classes.get(name, "") for c in captions], dtype=object)[None]
        unknown = (mentioned != "") & pd.isna(have)
        right[unknown & (right == 1)] = -1
        right[(mentioned != "") & ~unknown & (have != mentioned)] = 0
    return right


def scale_at(progress: float) -> float:
    """16 while the classes are being separated, then up to the 100 that labels are made with.

    At 100 from the start a random model is as sure as it is wrong, and learns little.
    """
    return 16.0 * (SCALE / 16.0) ** min(1.0, max(0.0, (progress - 0.4) / 0.5))


def train(
    design: Design,
    recipe: Recipe,
    out: Path,
    work: Path,
    device: str = "auto",
    *,
    source: Path | None = None,
    workers: int | None = None,
) -> None:
    """Train a labeller, resuming where an earlier run was stopped.

    Args:
        design: What to train.
        recipe: How.
        out: Folder for config, tokenizer and weights; made if absent.
        work: Folder for the images and the state after each epoch; made if absent.
        device: ``auto``, ``cuda`` or ``cpu``.
        source: A clone of the judged photographs' data set; needed unless ``design.photograph_share`` is 0.
        workers: Processes that draw; all cores by default.

    Raises:
        ValueError: If ``work`` holds the images or the training of another recipe, or there are fewer images
            than a batch.
        TrainingError: If the loss stops being a number; the state of the last epoch is kept.
    """
    if design.images < recipe.batch:
        raise ValueError(f"images must be at least batch={recipe.batch}; received {design.images}")
    store, model, tuned = Store(work), work / "model", work / "tuned"
    wanted = json.loads(
        json.dumps({"design": dataclasses.asdict(design), "recipe": dataclasses.asdict(recipe)})
    )
    noted = store.path("training.json")
    if noted.is_file() and json.loads(noted.read_text(encoding="utf-8")) != wanted:
        raise ValueError(f"{work} belongs to another recipe; remove it or name another")
    images, labels = training_set(work, design, recipe.seed, source, workers)
    store.write_json("training.json", wanted)
    config = json.dumps(model_config(design), indent=2) + "\n"
    write_file(out / CONFIG, lambda path: path.write_text(config, encoding="utf-8"))
    write_tokenizer(corpus(np.random.default_rng([recipe.seed, 0])), out)
    if not (model / FINISHED).is_file():
        training.train(GarmentCaptions(out, labels, design), images, recipe, model, device=device)
    if design.tuning and not (tuned / FINISHED).is_file():
        task = GarmentCaptions(out, labels, design, start=model)
        training.train(task, images, tuning_recipe(design, recipe), tuned, device=device)
    export(tuned if design.tuning else model, out, scale=SCALE)
