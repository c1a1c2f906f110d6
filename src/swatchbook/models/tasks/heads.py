"""Attributes of an image, a head each: one class of several, or several classes at once.

>>> from swatchbook.models.tasks.heads import Heads, predict  # doctest: +SKIP
>>> from swatchbook.models.training import train  # doctest: +SKIP
>>> task = Heads(schema, codes, train_rows, val_rows, "resnet50.tv_in1k")  # doctest: +SKIP
>>> folder = train(task, pixels, Recipe(), "models/resnet50")  # doctest: +SKIP
>>> table = predict(folder, pixels, test_rows, schema)  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from swatchbook.models import checkpoint
from swatchbook.models.finished import HEADS, CheckpointError, read_config
from swatchbook.models.hardware import Hardware, choose, fixed_threads, placed
from swatchbook.models.inference import outputs_of
from swatchbook.models.inputs import checked_rows
from swatchbook.models.losses import (
    WEIGHTED,
    absent_classes,
    class_counts,
    class_weights,
    combined,
    head_losses,
    is_labelled,
    logit_shifts,
)
from swatchbook.models.network import Network, build
from swatchbook.models.pixel_loader import PixelLoader
from swatchbook.models.recipe import Recipe
from swatchbook.models.scores import OF_ALL_CLASSES, SCORES, probabilities, validation_scores
from swatchbook.models.task import Batch, Task, Tensors
from swatchbook.schema import SEVERAL, Schema

_SHAPE = ("hidden", "dropout", "head_dropout", "train_blocks", "train_norm")  # of a recipe
_SOFT = "soft "  # before an attribute's name, its probabilities


class Heads(Task):
    """A backbone with a head an attribute; see `models.task.Task`.

    The loss's parts are the attributes; the scores, those of `validation_scores`.
    """

    name = HEADS

    def __init__(
        self,
        schema: Schema,
        codes: Mapping[str, np.ndarray],
        train_rows: np.ndarray,
        val_rows: np.ndarray,
        backbone: str,
        *,
        pretrained: bool = True,
        cache_dir: str | Path | None = None,
        classifier: bool = False,
        soft: Mapping[str, np.ndarray] | None = None,
        score: str = "macro_f1",
    ) -> None:
        """Describe a training.

        Args:
            schema: Gives the heads and their classes.
            codes: Attribute → codes of all images, as from `Schema.encode`.
            train_rows: Rows to learn from.
            val_rows: Rows to choose the epoch by; none of them in `train_rows`. Empty: the last epoch is
                kept.
            backbone: As in `backbones.create`.
            pretrained: Start from the backbone's published weights.
            cache_dir: The Hugging Face Hub cache.
            classifier: Build on the outputs of the classifier that the backbone was trained with.
            soft: Attribute → probabilities of all images, shape (N, K), NaN or all 0 where there are none;
                the targets of the ``soft`` loss.
            score: What chooses the epoch, one of `SCORES`.
        """
        if score not in SCORES:
            raise ValueError(f"score {score!r}; allowed: {', '.join(SCORES)}")
        if score in OF_ALL_CLASSES[1:] and any(a.multiple for a in schema):
            raise ValueError(
                f"score {score!r} with several classes at once; allowed: {', '.join(SCORES[:3])}"
            )
        self.schema, self.codes, self.soft, self.score = schema, codes, soft, score
        self.train_rows, self.val_rows, self.backbone = train_rows, val_rows, backbone
        self._weights_from = {"pretrained": pretrained, "cache_dir": cache_dir, "classifier": classifier}

    def check(self, images: int, recipe: Recipe) -> None:
        """See `Task`."""
        soft = self.soft
        if (recipe.loss == "soft") != (soft is not None):
            raise ValueError(
                f"loss {recipe.loss!r} with soft={'given' if soft else None}; soft targets serve 'soft'"
            )
        for a in self.schema:
            code = np.asarray(self.codes.get(a.name, ()))
            needed = (images, len(a)) if a.multiple else (images,)
            if code.shape != needed or not np.issubdtype(code.dtype, np.integer):
                raise ValueError(
                    f"codes[{a.name!r}] of {code.dtype} and shape {code.shape}; integers of shape "
                    f"{needed} are needed"
                )
            most = 1 if a.multiple else len(a) - 1
            if code.min() < -1 or code.max() > most:
                raise ValueError(
                    f"codes[{a.name!r}] from {code.min()} to {code.max()}; allowed: -1 to {most}"
                )
            if a.multiple and soft is not None:
                raise ValueError(f"soft targets with {a.name!r}, which has several classes at once")
            given, needed = np.shape(soft.get(a.name)) if soft else (), (images, len(a))
            if soft is not None and given != needed:
                raise ValueError(f"soft[{a.name!r}] has shape {given}; {needed} is needed")
        if not any(known[self.train_rows].any() for known in self.labelled().values()):
            raise ValueError(
                f"none of the {len(self.train_rows)} training images has a label; nothing can be learnt"
            )
        chosen = [(self.codes[name][self.val_rows] >= 0).any() for name in self.schema.names]
        if len(self.val_rows) and not any(chosen):
            raise ValueError(
                f"none of the {len(self.val_rows)} validation images has a label; no epoch can be chosen"
            )

    def build(self, recipe: Recipe) -> Network:
        """See `Task`."""
        return build(self.backbone, self.schema, **self._weights_from, **_shape(recipe))

    def targets(self) -> Mapping[str, np.ndarray]:
        """See `Task`."""
        soft = {_SOFT + name: values for name, values in (self.soft or {}).items()}
        return {**{name: np.asarray(self.codes[name]) for name in self.schema.names}, **soft}

    def labelled(self) -> Mapping[str, np.ndarray]:
        """See `Task`."""
        targets = self.soft or self.codes
        return {n: is_labelled(torch.from_numpy(np.array(targets[n]))).numpy() for n in self.schema.names}

    def prepare(self, recipe: Recipe, device: str, log: Callable[[str], object]) -> None:
        """See `Task`."""
        seen = {name: self.codes[name][self.train_rows] for name in self.schema.names}
        self._recipe, self._absent = recipe, absent_classes(seen, self.schema)
        for name, classes in self._absent.items():
            log(f"{name}: no training image is labelled {', '.join(classes)}; the model cannot learn it")
        self._class_weights = self._shifts = None
        if recipe.loss in WEIGHTED:
            weights = class_weights(seen, self.schema, recipe.loss, recipe.effective_beta)
            self._class_weights = {name: w.to(device) for name, w in weights.items()}
        if recipe.logit_adjustment:
            shifts = logit_shifts(seen, self.schema, recipe.logit_adjustment)
            self._shifts = {name: shift.to(device) for name, shift in shifts.items()}

    def sampling(self, recipe: Recipe) -> np.ndarray | None:
        """See `Task`."""
        if not recipe.sampling:
            return None
        total, labels = np.zeros(len(self.train_rows)), np.zeros(len(self.train_rows))
        for a in self.schema:
            codes = self.codes[a.name][self.train_rows]
            rarity = np.maximum(class_counts(codes, len(a)), 1) ** -recipe.sampling
            members = codes == 1 if a.multiple else np.arange(len(a)) == codes[:, None]
            total, labels = total + members @ rarity, labels + members.sum(1)
        weights = total / np.maximum(labels, 1)
        weights[labels == 0] = weights[labels > 0].min()  # an image without a label is as common as can be
        return weights

    def loss(self, outputs: Tensors, batch: Batch) -> Tensors:
        """See `Task`."""
        logits = {name: outputs[name] for name in self.schema.names}
        if self._shifts:
            logits = {name: scores + self._shifts[name] for name, scores in logits.items()}
        kind = _SOFT if self.soft else ""
        targets = {name: batch.targets[kind + name] for name in logits}
        return head_losses(logits, targets, self._recipe, self._class_weights, batch.counts)

    def validate(self, outputs: Tensors) -> dict[str, float]:
        """See `Task`; losses are those of the labels, without adjustment."""
        truth = {name: self.codes[name][self.val_rows] for name in self.schema.names}
        weights = self._class_weights and {name: w.cpu() for name, w in self._class_weights.items()}
        known = {name: torch.from_numpy(codes) for name, codes in truth.items()}
        logits = {name: outputs[name] for name in self.schema.names}
        losses = head_losses(logits, known, self._recipe, weights)
        return {
            "val_loss": float(combined(losses, self._recipe)),
            **{f"val_loss_{name}": float(loss) for name, loss in losses.items()},
            **validation_scores(self.score, self.schema, logits, truth),
        }

    def predictions(self, outputs: Tensors, rows: np.ndarray) -> pd.DataFrame:
        """See `Task` and `prediction_table`."""
        return prediction_table(outputs, rows, self.schema)

    def facts(self) -> dict[str, object]:
        """See `Task`."""
        return {
            "heads": _described(self.schema),
            "multiple": [a.name for a in self.schema if a.multiple],
            "classifier": self._weights_from["classifier"],
            "absent_classes": self._absent,
        }


def load(model_dir: str | Path, schema: Schema) -> tuple[Network, dict]:
    """Open a finished model.

    Args:
        model_dir: A folder that a training of `Heads` has finished.
        schema: Must have the model's attributes and classes, in its order.

    Returns:
        The network, on the CPU and ready to predict, and the content of its `config.json`.

    Raises:
        CheckpointError: If the folder holds no finished model, its weights are a pickle, are damaged or
            do not fit, or the schema is another one.
    """
    config = read_config(model_dir, Heads.name)
    wanted, multiple = _described(schema), [a.name for a in schema if a.multiple]
    if config.get("heads") != wanted or config.get("multiple", []) != multiple:
        raise CheckpointError(
            f"{model_dir}: the model answers {_listed(config.get('heads', []), config.get('multiple', []))}; "
            f"the schema asks {_listed(wanted, multiple)}"
        )
    info, recipe = config["network"], Recipe(**config["recipe"])
    shape = {**_shape(recipe), "classifier": config.get("classifier", False)}
    network = build(info["architecture"], schema, pretrained=False, **shape)
    network.info.update(info)
    checkpoint.load_weights(model_dir, config, network)
    for name in ("mean", "std"):
        setattr(network, name, torch.tensor(info[name])[:, None, None])
    return network, config


def predict(
    model_dir: str | Path,
    pixels: np.ndarray,
    rows: np.ndarray,
    schema: Schema,
    *,
    batch: int | None = None,
    device: str = "auto",
) -> pd.DataFrame:
    """What a trained model predicts of images, from their centre crop.

    Args:
        model_dir: A folder that a training of `Heads` has finished.
        pixels: uint8, shape (N, S, S, 3), S being the side that the model was trained with.
        rows: Which images, in the order of the answer, shape (n,).
        schema: Must have the model's attributes and classes, in its order.
        batch: Images a forward pass; the recipe's `eval_batch` by default.
        device: ``auto``, ``cuda`` or ``cpu``.

    Returns:
        As `prediction_table`.

    Raises:
        ValueError: If the folder holds no such model or pixels or rows are not as described.
    """
    network, config = load(model_dir, schema)
    rows = checked_rows(rows, pixels, "rows")
    if pixels.shape[1] != config["side"]:
        raise ValueError(
            f"pixels of side {pixels.shape[1]}; the model was trained on images stored at {config['side']}"
        )
    recipe, hardware = settings_of(config, device)
    with fixed_threads(recipe.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)  # of `flip_validation`, the only random thing here
        loader = PixelLoader(pixels, recipe, hardware.device, keep=False)
        outputs = outputs_of(placed(network, hardware.device), loader, rows, recipe, hardware, batch=batch)
    wrong = [name for name, logits in outputs.items() if not logits.isfinite().all()]
    if wrong:
        raise CheckpointError(f"{model_dir}: predictions of {wrong[0]} are not finite; train it again")
    return prediction_table(outputs, rows, schema)


def settings_of(config: Mapping, device: str) -> tuple[Recipe, Hardware]:
    """The recipe of a finished model, and the hardware to predict on."""
    recipe = Recipe(**config["recipe"])
    # A precision insisted on for training may not exist on the machine that predicts.
    return recipe, choose("auto" if recipe.precision == "auto" else "fp32", device)


def prediction_table(outputs: Tensors, rows: np.ndarray, schema: Schema) -> pd.DataFrame:
    """Logits as a table.

    Args:
        outputs: Attribute → logits, float32, shape (n, K).
        rows: Of the images, shape (n,).
        schema: Gives attributes and classes.

    Returns:
        A row an image, its index (named ``row``) being `rows`. Per attribute, in schema order: its label (of
        an attribute with several classes at once, those above ½ as `Schema.encode` takes them) and, in
        columns ``<attribute>:<class>``, the classes' probabilities (float32).
    """
    columns: dict[str, np.ndarray] = {}
    for a in schema:
        p = probabilities(outputs[a.name], a).numpy()
        if a.multiple:
            named = [SEVERAL.join(c for c, q in zip(a.classes, row, strict=True) if q > 0.5) for row in p]
            columns[a.name] = np.array(named, dtype=object)
        else:
            columns[a.name] = np.array(a.classes, dtype=object)[p.argmax(1)]
        columns.update({f"{a.name}:{label}": p[:, k] for k, label in enumerate(a.classes)})
    return pd.DataFrame(columns, index=pd.Index(rows, name="row"))


def _shape(recipe: Recipe) -> dict[str, object]:
    """The arguments of `build` that a recipe gives."""
    shape = {name: getattr(recipe, name) for name in _SHAPE}
    return {"img_size": recipe.image_size, **shape}


def _described(schema: Schema) -> list:
    return [[a.name, list(a.classes)] for a in schema]


def _listed(heads: list, multiple: list) -> str:
    several = dict.fromkeys(multiple, ", several at once")
    return "; ".join(f"{name} ({', '.join(classes)}{several.get(name, '')})" for name, classes in heads)
