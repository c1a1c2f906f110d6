"""A dual encoder with heads: one model that embeds images and texts, and reads category and attributes.

A finished one is a folder that open_clip can load, with two files beside the model's own:
``heads.safetensors``
and ``heads.json``. `load` opens all of it.

>>> model = load("checkpoints/ours_kept")  # doctest: +SKIP
>>> out = model(views, model.tokenizer(["a striped dress"]))  # doctest: +SKIP
>>> out["image"] @ out["text"].T, model.probabilities(out)["category"]  # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from swatchbook.labeller import WEIGHTS
from swatchbook.models import checkpoint
from swatchbook.models.finished import CheckpointError, read_config, task_of
from swatchbook.models.recipe import BINARY, Recipe
from swatchbook.models.scores import validation_scores
from swatchbook.models.task import Batch, Tensors
from swatchbook.models.tasks.contrastive import Contrastive, ImageText, write_model
from swatchbook.models.tasks.heads import Heads
from swatchbook.models.towers import freeze_text
from swatchbook.schema import Schema
from swatchbook.store import Store, sha256

HEADS, DESCRIPTION = "heads.safetensors", "heads.json"
PAIRS = "pairs"


class DualNetwork(ImageText):
    """An open_clip model, and of each attribute a linear layer on the features of its image tower.

    Attributes:
        heads: Linear layers in the order of `names`.
        names: The attributes' names.
        frozen: Whether the encoders stay as they are.
    """

    def __init__(self, folder: Path, attributes: Mapping[str, int], *, frozen: bool = False) -> None:
        """Make the model that a folder's config describes, with random weights.

        Args:
            folder: Holds ``open_clip_config.json``.
            attributes: Name → number of classes.
            frozen: Whether the encoders are not trained.
        """
        super().__init__(folder)
        width = self.model.visual.trunk.num_features
        self.names, self.frozen = tuple(attributes), frozen
        self.heads = nn.ModuleList(nn.Linear(width, classes) for classes in attributes.values())
        self.model.requires_grad_(not frozen)

    def train(self, mode: bool = True) -> DualNetwork:
        """Set the mode of all but frozen encoders, which stay as they are used later."""
        super().train(mode)
        if self.frozen:
            self.model.eval()  # else batch normalisation would go on learning, and BERT would drop
        return self

    def forward(
        self,
        views: torch.Tensor,
        texts: torch.Tensor | None = None,
        states: torch.Tensor | None = None,
    ) -> Tensors:
        """Views in [0, 1], shape (n, 3, side, side), and token ids, shape (m, L); see `embed_texts`.

        Returns:
            ``image``, shape (n, D), and, with texts, ``text``, shape (m, D), of length 1 and in float32; and
            attribute → logits of shape (n, K).
        """
        features = self.model.visual.trunk((views - self.mean) / self.std)
        outputs = {name: head(features) for name, head in zip(self.names, self.heads, strict=True)}
        outputs["image"] = F.normalize(self.model.visual.head(features).float(), dim=-1)
        if texts is not None:
            outputs["text"] = self.embed_texts(texts, states)
        return outputs

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """The trainable parameters by learning rate; see `ImageText`."""
        groups = super().groups()
        return {**groups, "heads": [*groups["heads"], *self.heads.parameters()]}


class DualEncoder(Contrastive):
    """Category and attributes on top of both encoders; see `models.task.Task`.

    The loss's parts are the attributes, and ``pairs`` where the contrastive loss is kept. With a binary loss
    the first attribute, the category, still has a cross-entropy, as document 002 has it.
    """

    name = "dual encoder"
    score = "macro_f1"

    def __init__(
        self,
        folder: str | Path,
        texts: np.ndarray,
        schema: Schema,
        codes: Mapping[str, np.ndarray],
        train_rows: np.ndarray,
        val_rows: np.ndarray,
        *,
        frozen: bool = False,
        contrastive: bool = True,
        start: str | Path | None = None,
        **options: object,
    ) -> None:
        """Describe a training.

        Args:
            folder: As for `Contrastive`.
            texts: As for `Contrastive`.
            schema: Gives the attributes, the category first.
            codes: Attribute → codes of all images, as from `Schema.encode`.
            train_rows: Rows to learn from.
            val_rows: Rows to choose the epoch by.
            frozen: Whether the encoders are not trained.
            contrastive: Whether pairs go on being told apart.
            start: A folder that a training of `Contrastive`, or of this, has finished: the weights to start
                from.
            **options: Of `Contrastive`.
        """
        super().__init__(folder, texts, train_rows, val_rows, **options)
        self.schema, self.codes, self.coupled = schema, codes, contrastive
        self.frozen, self.start = frozen, start
        parts = (schema.attributes[:1], schema.attributes[1:])
        self._heads = [Heads(Schema(schema.name, p), codes, train_rows, val_rows, "") for p in parts if p]

    def check(self, images: int, recipe: Recipe) -> None:
        """See `Task`."""
        super().check(images, recipe)
        if self.frozen and self.coupled:
            raise ValueError(
                "contrastive=True with frozen=True; frozen encoders have nothing to learn of pairs"
            )
        for part in self._heads:
            part.check(images, recipe)

    def build(self, recipe: Recipe) -> DualNetwork:
        """See `Task`."""
        sizes = {a.name: len(a) for a in self.schema}
        self.network = DualNetwork(self.folder, sizes, frozen=self.frozen)
        if self.start is not None:
            self._start_from(Path(self.start), sizes)
        elif self.towers:
            self.network.info["towers"] = self.towers.load_into(self.network.model)
        if self.towers:
            freeze_text(self.network.model, self.towers.text_blocks)
        self.network.model.logit_scale.requires_grad_(self.learn_scale and self.coupled)
        return self.network

    def _start_from(self, start: Path, sizes: Mapping[str, int]) -> None:
        """Take the weights of a finished training, its heads too where it has these."""
        kind = task_of(start)
        config = read_config(start, kind if kind == self.name else Contrastive.name)
        other = DualNetwork(self.folder, sizes) if kind == self.name else ImageText(self.folder)
        checkpoint.load_weights(start, config, other)
        self.network.load_state_dict(other.state_dict(), strict=kind == self.name)
        self.network.info |= {"towers": config["network"].get("towers"), "start": config["sha256"]}

    def targets(self) -> Mapping[str, np.ndarray]:
        """See `Task`."""
        return {name: values for part in self._heads for name, values in part.targets().items()}

    def labelled(self) -> Mapping[str, np.ndarray]:
        """See `Task`."""
        known = {name: values for part in self._heads for name, values in part.labelled().items()}
        return {**known, **(super().labelled() if self.coupled else {})}

    def prepare(self, recipe: Recipe, device: str, log: Callable[[str], object]) -> None:
        """See `Task`."""
        super().prepare(recipe, device, log)
        self.binary = recipe.loss in BINARY
        self._heads[0].prepare(replace(recipe, loss="plain") if self.binary else recipe, device, log)
        for part in self._heads[1:]:
            part.prepare(recipe, device, log)

    def inputs(self, rows: np.ndarray, rng: np.random.Generator | None) -> tuple[Tensors, Tensors]:
        """See `Task`: the texts, where they are learnt from or retrieval is validated."""
        return super().inputs(rows, rng) if self.coupled or rng is None else ({}, {})

    def loss(self, outputs: Tensors, batch: Batch) -> Tensors:
        """See `Task`."""
        losses = {name: loss for part in self._heads for name, loss in part.loss(outputs, batch).items()}
        return {**losses, **(super().loss(outputs, batch) if self.coupled else {})}

    def validate(self, outputs: Tensors) -> dict[str, float]:
        """See `Task`: macro-F1 of each attribute and their mean, and what `Contrastive` validates."""
        truth = {name: self.codes[name][self.val_rows] for name in self.schema.names}
        scores = validation_scores(self.score, self.schema, outputs, truth)
        return {**scores, **super().validate(outputs)}

    def facts(self) -> dict[str, object]:
        """See `Task`."""
        return {**super().facts(), "heads": [[a.name, list(a.classes)] for a in self.schema],
                "binary": self.binary}  # fmt: skip


def export(model_dir: str | Path, folder: str | Path) -> None:
    """Write a finished model as open_clip's files and, beside them, its heads.

    Args:
        model_dir: A folder that a training of `DualEncoder` has finished.
        folder: Holds ``open_clip_config.json`` and the tokenizer.
    """
    config = read_config(model_dir, DualEncoder.name)
    sizes = {name: len(classes) for name, classes in config["heads"]}
    network = checkpoint.load_weights(model_dir, config, DualNetwork(Path(folder), sizes))
    store, heads = Store(folder), {n: t.contiguous() for n, t in network.heads.state_dict().items()}
    write_model(network, folder)
    store.write(HEADS, lambda path: save_file(heads, path))
    store.write_json(
        DESCRIPTION,
        {"heads": config["heads"], "binary": config["binary"], "sha256": sha256(store.path(HEADS))},
    )


class LoadedDualEncoder(DualNetwork):
    """A finished dual encoder, ready to be asked.

    Attributes:
        classes: Attribute → its classes; none where the checkpoint has no heads.
        binary: Whether each class of an attribute was learnt by itself.
        tokenizer: Texts → token ids, shape (n, L).
        image_size: Side of the views in pixels.
    """

    def probabilities(self, outputs: Tensors) -> Tensors:
        """Attribute → probabilities of its classes, shape (n, K), from what a call gave."""
        first = next(iter(self.classes), None)
        return {
            name: torch.sigmoid(outputs[name].float())
            if self.binary and name != first
            else torch.softmax(outputs[name].float(), 1)
            for name in self.classes
        }


def load(folder: str | Path, device: str = "cpu") -> LoadedDualEncoder:
    """Open a finished dual encoder: both encoders, its tokenizer and, where it has any, its heads.

    Args:
        folder: As `export` writes it, or as `contrastive.export` does.
        device: Such as ``cpu`` or ``cuda``.

    Raises:
        CheckpointError: If files are missing, are damaged, or do not fit each other.
    """
    folder = Path(folder)
    about: dict = {"heads": [], "binary": False}
    try:
        if (folder / DESCRIPTION).is_file():
            about = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            if sha256(folder / HEADS) != about["sha256"]:
                raise CheckpointError(f"{folder / HEADS} is not the file that {DESCRIPTION} describes")
        network = LoadedDualEncoder(folder, {name: len(classes) for name, classes in about["heads"]})
        network.model.load_state_dict(load_file(folder / WEIGHTS), strict=True)
        if about["heads"]:
            network.heads.load_state_dict(load_file(folder / HEADS), strict=True)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, RuntimeError) as error:
        if isinstance(error, CheckpointError):
            raise
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{folder} is no finished dual encoder: {reason}") from None
    network.classes, network.binary = dict(about["heads"]), about["binary"]
    network.tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    network.image_size = network.model.visual.image_size[0]
    return network.eval().to(device)
