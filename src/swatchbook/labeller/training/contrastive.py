"""Training of the bundled labeller: an open_clip model, drawn garments and their captions.

Two losses are added. For each attribute a softmax over its classes, at the temperature of 100 that the
labels are made with later, so that its confidences mean something at once. And the sigmoid loss of
SigLIP (Zhai et al. 2023, arXiv 2303.15343) between images and captions, where a caption is right for
every image of the batch that has the classes it mentions, not only for its own.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from safetensors.torch import save_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from swatchbook.drawn.balanced import training_images
from swatchbook.labeller import WEIGHTS
from swatchbook.labeller.training.augment import augmented, normalised
from swatchbook.labeller.training.captions import WORDS, Caption, caption, class_prompts, corpus
from swatchbook.labeller.training.recipe import CONFIG, MEAN, STD, Recipe, model_config
from swatchbook.labeller.training.tokenizer import write_tokenizer
from swatchbook.memory import keep_freed
from swatchbook.schema import Schema

_CAPTIONS = 24  # captions in a step; the text tower would outweigh the image tower with one an image
# How many times as often a class is seen as others: near what wardrobes hold, since what cannot be told for
# sure (white or grey in dim light, a flower or a figure) is best told by what is common.
_OFTEN = {
    "color": {"black": 1.6, "white": 1.8, "blue": 1.5, "navy": 1.2, "beige": 1.2, "orange": 0.8},
    "pattern": {"floral": 1.4, "striped": 1.3, "checkered_plaid": 1.3, "geometric": 0.7, "animal_print": 0.6},
}
_INDIGO = ("denim", "chambray")  # cloths that are mostly blue
_WEIGHT = {"color": 1.0, "pattern": 1.0, "texture": 1.5, "material": 1.0, "folder": 0.25}


def train(
    recipe: Recipe,
    out: Path,
    work: Path,
    device: str = "cpu",
    *,
    bfloat16: bool = False,
    workers: int | None = None,
) -> None:
    """Train a labeller, resuming where an earlier run was stopped.

    Args:
        recipe: What to train.
        out: Folder for config, tokenizer and weights; made if absent.
        work: Folder for the drawn images and the state after each epoch; made if absent.
        device: Such as ``cpu`` or ``cuda``.
        bfloat16: Compute the towers in bfloat16: faster on GPUs from Ampere on and on some CPUs.
        workers: Processes that draw; all cores by default.

    Raises:
        ValueError: If ``work`` holds the images or the state of another recipe.
        FloatingPointError: If the loss stops being a number; the state of the last epoch is kept.
    """
    keep_freed()
    out.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    images, labels = training_images(work / "images", recipe.images, recipe.seed, workers)
    (out / CONFIG).write_text(json.dumps(model_config(recipe), indent=2) + "\n", encoding="utf-8")
    write_tokenizer(corpus(np.random.default_rng([recipe.seed, 0])), out)
    torch.manual_seed(recipe.seed)
    model = open_clip.create_model(f"local-dir:{out}", load_weights=False).to(device)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{out}")
    # Buffers too: weights that are averaged need batch statistics that are.
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.averaging), use_buffers=True)
    optimizer = torch.optim.AdamW(_groups(model, recipe.decay), lr=recipe.rate, betas=(0.9, 0.98))
    state = _State(recipe, work / "training.pt", model, average, optimizer)
    codes = _codes(labels)
    for epoch in range(state.resume(), recipe.epochs):
        _epoch(recipe, epoch, images, labels, codes, state, tokenizer, device, bfloat16)
        state.save(epoch + 1)
    with torch.no_grad():
        average.module.logit_scale.fill_(math.log(_scale(1.0)))
    export(average.module, out / WEIGHTS)


def export(model: torch.nn.Module, path: Path) -> None:
    """Write a model's weights as float16 safetensors, atomically."""
    temporary = path.with_name(f".writing-{path.name}")
    save_file(
        {name: tensor.detach().cpu().half().contiguous() for name, tensor in model.state_dict().items()},
        temporary,
    )
    temporary.chmod(0o644)  # a temporary file of safetensors is its owner's alone
    temporary.replace(path)


@dataclass
class _State:
    """What a run needs to go on."""

    recipe: Recipe
    path: Path
    model: torch.nn.Module
    average: AveragedModel
    optimizer: torch.optim.Optimizer

    def resume(self) -> int:
        """Load the last whole epoch, if there is one; returns how many are done."""
        if not self.path.is_file():
            return 0
        kept = torch.load(self.path, map_location="cpu", weights_only=True)
        if kept["recipe"] != dataclasses.asdict(self.recipe):
            raise ValueError(f"{self.path} belongs to another recipe; remove it or name another --out")
        for name in ("model", "average", "optimizer"):
            getattr(self, name).load_state_dict(kept[name])
        print(f"resuming after epoch {kept['epoch']} of {self.recipe.epochs}", flush=True)
        return kept["epoch"]

    def save(self, epoch: int) -> None:
        """Keep the state after a whole epoch, atomically."""
        temporary = self.path.with_name(f".writing-{self.path.name}")
        kept = {name: getattr(self, name).state_dict() for name in ("model", "average", "optimizer")}
        torch.save({"recipe": dataclasses.asdict(self.recipe), "epoch": epoch, **kept}, temporary)
        temporary.replace(self.path)


def _epoch(
    recipe: Recipe,
    epoch: int,
    images: np.ndarray,
    labels: pd.DataFrame,
    codes: dict[str, torch.Tensor],
    state: _State,
    tokenizer: open_clip.tokenizer.HFTokenizer,
    device: str,
    bfloat16: bool,
) -> None:
    """One pass over the images; everything random in it follows from the seed and the epoch."""
    rng = np.random.default_rng([recipe.seed, 1 + epoch])
    steps = len(images) // recipe.batch
    often = _often(labels, recipe.plain)
    order = rng.choice(len(images), (steps, recipe.batch), p=often / often.sum())
    pixels = recipe.early_pixels if epoch < round(recipe.early * recipe.epochs) else recipe.pixels
    state.model.train()
    total, started = 0.0, time.perf_counter()
    progress = tqdm(order, desc=f"epoch {epoch + 1}/{recipe.epochs}", unit_scale=recipe.batch, unit="image")
    for step, rows in enumerate(progress):
        rows = np.sort(rows)  # a memory map is read in order
        done = (epoch + step / steps) / recipe.epochs
        for group in state.optimizer.param_groups:
            group["lr"] = recipe.rate * _warm_then_cosine(done, recipe.epochs)
        batch = torch.from_numpy(images[rows]).to(device)
        seen = normalised(augmented(batch, pixels, int(rng.integers(2**31))), MEAN, STD)
        told = [caption(row, rng) for row in labels.iloc[_some(rows, rng)].to_dict("records")]
        prompts = [class_prompts(name, rng) for name in _WEIGHT]
        texts = tokenizer([*(p for several in prompts for p in several), *(c.text for c in told)])
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=bfloat16):
            found = state.model.encode_image(seen, normalize=True)
            spoken = state.model.encode_text(texts.to(device), normalize=True)
        # Cosines times 100 need more digits than bfloat16 has.
        loss = _loss(
            found.float(),
            spoken.float(),
            {name: code[torch.from_numpy(rows)].to(device) for name, code in codes.items()},
            torch.from_numpy(_matches(labels.iloc[rows], told)).to(device),
            state.model.logit_bias,
            _scale(done),
        )
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} in epoch {epoch + 1}; lower the rate and rerun"
            )
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(state.model.parameters(), 1.0)
        state.optimizer.step()
        with torch.no_grad():
            state.model.logit_scale.fill_(math.log(_scale(done)))
        state.average.update_parameters(state.model)
        total += loss.item()
    seconds = time.perf_counter() - started
    print(
        f"epoch {epoch + 1}/{recipe.epochs}: loss {total / steps:.3f}, {pixels} px, "
        f"{steps * recipe.batch / seconds:.0f} images/s",
        flush=True,
    )


def _often(labels: pd.DataFrame, plain: float) -> np.ndarray:
    """How often each image is seen, relative to others."""
    often = np.where(labels["pattern"] == "solid", plain, 1.0)
    for name, factors in _OFTEN.items():
        often *= labels[name].map(factors).fillna(1.0).to_numpy(float)
    blue = labels["color"].isin(["blue", "navy"])
    return np.where(labels["folder"].isin(_INDIGO), np.where(blue, 3.0, 0.5), 1.0) * often


def _loss(
    found: torch.Tensor,
    spoken: torch.Tensor,
    targets: dict[str, torch.Tensor],
    right: torch.Tensor,
    bias: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    """Softmax over the classes of each attribute, plus sigmoid over image–caption pairs.

    ``found`` and ``spoken`` are embeddings of length 1: of the images; and of the prompts, attribute by
    attribute, then of the captions. ``targets`` are class numbers or −1; ``right`` says which captions
    are right for which images, shape (images, captions).
    """
    *prompts, captions = spoken.split([*(len(WORDS[name]) for name in _WEIGHT), right.shape[1]])
    loss = found.new_zeros(())
    for (name, weight), part in zip(_WEIGHT.items(), prompts, strict=True):
        if (targets[name] >= 0).any():
            loss = loss + weight * F.cross_entropy(scale * found @ part.T, targets[name], ignore_index=-1)
    pairs = F.binary_cross_entropy_with_logits(scale * found @ captions.T + bias, right, reduction="none")
    wrong = 1 - right
    # Halves of equal weight: most pairs are wrong ones.
    return (
        loss + (pairs * right).sum() / right.sum() / 2 + (pairs * wrong).sum() / wrong.sum().clamp(min=1) / 2
    )


def _some(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(rows)[:_CAPTIONS]


def _matches(labels: pd.DataFrame, told: list[Caption]) -> np.ndarray:
    """Which captions are right for which images, float32 of shape (images, captions)."""
    right = np.ones((len(labels), len(told)), dtype=np.float32)
    for name in ("color", "pattern", "texture", "folder"):
        have = labels[name].to_numpy()[:, None]
        said = np.array([c.says.get(name, "") for c in told], dtype=object)[None]
        right *= (said == "") | (have == said)
    return right


def _codes(labels: pd.DataFrame) -> dict[str, torch.Tensor]:
    """Class numbers over ``WORDS``, −1 where the folder has no material."""
    rule = Schema.load("textilenet", folder_map="construction").folders
    told = labels.assign(material=labels["folder"].map(rule))
    return {
        name: torch.from_numpy(pd.Index(list(WORDS[name])).get_indexer(told[name])).long() for name in _WEIGHT
    }


def _groups(model: torch.nn.Module, decay: float) -> list[dict]:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    # The scale is set, not learned, so that confidences are made for the temperature in use.
    others = [p for name, p in model.named_parameters() if p.ndim <= 1 and name != "logit_scale"]
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _scale(done: float) -> float:
    """16 while the classes are being told apart, then up to the 100 that labels are made with.

    At 100 from the start a random model is as sure as it is wrong, and learns little.
    """
    return 16.0 * (100.0 / 16.0) ** min(1.0, max(0.0, (done - 0.4) / 0.5))


def _warm_then_cosine(done: float, epochs: int) -> float:
    warm = 1.0 / epochs
    return (
        done / warm + 1e-3
        if done < warm
        else 0.5 * (1 + math.cos(math.pi * (done - warm) / (1 - warm + 1e-9)))
    )
