"""The training loop: plain torch, one GPU or a CPU, and the same bits after an interruption."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from swatchbook.evaluation.resample import table
from swatchbook.evaluation.scores import macro_f1
from swatchbook.models import checkpoint
from swatchbook.models.augment import dice, training_view
from swatchbook.models.hardware import Hardware, choose, fixed_threads
from swatchbook.models.inputs import Gather, batches, checked_split, fingerprint, gatherer
from swatchbook.models.losses import absent_classes, class_weights, is_labelled, multi_head_loss
from swatchbook.models.network import Network, build
from swatchbook.models.prediction import evaluation_logits
from swatchbook.models.recipe import Recipe
from swatchbook.schema import Schema
from swatchbook.store import Store

Targets = dict[str, torch.Tensor]
CHECK_EVERY = 20  # steps between two looks at the loss: each look makes a GPU wait


class TrainingError(RuntimeError):
    """A training that cannot go on; the message says where it stood and which checkpoint is good."""


@dataclass
class _Job:
    """What one training holds in its hands."""

    network: Network
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    hardware: Hardware
    recipe: Recipe
    gather: Gather
    targets: Targets
    truth: Mapping[str, np.ndarray]
    weights: Targets | None
    train_rows: np.ndarray
    val_rows: np.ndarray
    log: Callable[[str], object]
    micro: int
    history: list[dict] = field(default_factory=list)


def train(
    pixels: np.ndarray,
    codes: Mapping[str, np.ndarray],
    train_rows: np.ndarray,
    val_rows: np.ndarray,
    schema: Schema,
    recipe: Recipe,
    backbone: str,
    out_dir: str | Path,
    *,
    pretrained: bool = True,
    cache_dir: str | Path | None = None,
    soft: Mapping[str, np.ndarray] | None = None,
    device: str = "auto",
    log: Callable[[str], object] = print,
) -> Path:
    """Train a backbone with a linear head an attribute; keep the epoch with the best validation score.

    The score is the mean over heads of macro-F1 on the labelled validation images. An interrupted
    training that is called again with the same arguments goes on after its last whole epoch and, on a
    CPU, ends in the same bytes as if nothing had happened.

    Args:
        pixels: uint8, shape (N, S, S, 3); a memory map will do.
        codes: Attribute → codes of all images, shape (N,), −1 where there is no label.
        train_rows: Rows to learn from.
        val_rows: Rows to choose the epoch by; none of them in `train_rows`.
        schema: Gives the heads and their classes.
        recipe: The settings.
        backbone: As in `network.build`.
        out_dir: The model's folder; an unfinished training in it is resumed if it is this one.
        pretrained: Start from the backbone's published weights.
        cache_dir: The Hugging Face Hub cache.
        soft: Attribute → probabilities of all images, shape (N, K), NaN or all 0 where there are none;
            the targets of the ``soft`` loss.
        device: ``auto``, ``cuda`` or ``cpu``.
        log: Receives the hardware's reason and one line an epoch.

    Returns:
        The model's folder: `model.safetensors`, `config.json`, and `history.csv` with a row an epoch
        (losses are means over labelled items, learning rates those of the epoch's last step).

    Raises:
        ValueError: If an argument is not as described, or there is nothing to learn or to choose by.
        WeightsError: If the backbone's weights cannot be had.
        TrainingError: If a loss is not finite, or one image is too much for the GPU's memory. The last
            good checkpoint is kept.
    """
    train_rows, val_rows = checked_split(pixels, codes, train_rows, val_rows, schema, recipe, soft)
    hardware = choose(recipe.precision, device)
    log(hardware.reason)
    seeds = torch.random.fork_rng() if hardware.device == "cuda" else torch.random.fork_rng(devices=[])
    with fixed_threads(recipe.threads), seeds:
        _seed(recipe.seed, 0)
        network = build(
            backbone, schema, pretrained=pretrained, cache_dir=cache_dir, img_size=recipe.image_size
        ).place(hardware.device)
        seen = {name: codes[name][train_rows] for name in schema.names}
        absent = absent_classes(seen, schema)
        for name, classes in absent.items():
            log(f"{name}: no training image is labelled {', '.join(classes)}; the model cannot learn it")
        weights = None
        if recipe.loss in ("weighted", "effective"):
            weights = class_weights(seen, schema, recipe.loss, recipe.effective_beta)
            weights = {name: w.to(hardware.device) for name, w in weights.items()}
        job = _Job(
            network=network,
            optimizer=optimizer_of(network, recipe),
            scaler=torch.amp.GradScaler(hardware.device, enabled=hardware.scales),
            hardware=hardware,
            recipe=recipe,
            gather=gatherer(pixels, hardware.device),
            targets={name: torch.from_numpy(np.array((soft or codes)[name])) for name in schema.names},
            truth={name: codes[name][val_rows] for name in schema.names},
            weights=weights,
            train_rows=train_rows,
            val_rows=val_rows,
            log=log,
            micro=recipe.batch,
        )
        store = Store(out_dir)
        key = fingerprint(pixels, codes, soft, train_rows, val_rows, schema, recipe, network.info)
        best = _run(job, store, key)
    said = {"absent_classes": absent, "side": pixels.shape[1], **_described(job, schema, best)}
    checkpoint.finish(store, best["weights"], said)
    return store.root


def optimizer_of(network: Network, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW with two groups: the backbone and, at a higher rate, the heads."""
    groups = [
        {"params": list(network.backbone.parameters()), "lr": recipe.backbone_lr},
        {"params": list(network.heads.parameters()), "lr": recipe.head_lr},
    ]
    fused = next(network.parameters()).is_cuda
    return torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, fused=fused)


def lr_factor(step: int, steps_per_epoch: int, recipe: Recipe) -> float:
    """The share of the peak learning rate at a step, in [0, 1].

    It rises linearly to 1 at the last step of the warm-up and then falls to 0 along half a cosine that
    begins after the warm-up, not inside it. A function of the step has no state to save.

    Args:
        step: Optimiser step, from 0.
        steps_per_epoch: Steps of an epoch.
        recipe: Its `epochs` and `warmup_epochs`.
    """
    warm, total = recipe.warmup_epochs * steps_per_epoch, recipe.epochs * steps_per_epoch
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))


def _run(job: _Job, store: Store, key: str) -> dict:
    """All epochs that are still to run; the best one's number, score and file of weights."""
    said = checkpoint.load_state(store, job.network, job.optimizer, key)
    if said is None:
        checkpoint.begin(store)
        best: dict = {"epoch": 0, "score": -math.inf, "weights": None}
    else:
        best, job.history, job.micro = said["best"], said["history"], said["micro"]
        if said["scaler"]:
            job.scaler.load_state_dict(said["scaler"])
        job.log(f"resumed after epoch {len(job.history)} of {job.recipe.epochs}")
    for epoch in range(len(job.history) + 1, job.recipe.epochs + 1):
        kept = (
            f"checkpoint of epoch {epoch - 1} in {store.root} is kept" if epoch > 1 else "no checkpoint yet"
        )
        began = time.perf_counter()
        learnt, speed = _train_epoch(job, epoch, kept)
        row = {"epoch": epoch, **learnt, **_validate(job)}
        if not math.isfinite(row["val_loss"]):
            raise TrainingError(f"epoch {epoch}: the validation loss is {row['val_loss']}; {kept}")
        row |= {"seconds": time.perf_counter() - began, "images_per_s": speed, "micro_batch": job.micro}
        job.history.append(row)
        old = best["weights"]
        if row["macro_f1"] > best["score"]:
            best = {
                "epoch": epoch,
                "score": row["macro_f1"],
                "weights": f"resume/best-{epoch:03d}.safetensors",
            }
            checkpoint.save_weights(store, best["weights"], job.network)
        state = {"fingerprint": key, "best": best, "history": job.history, "micro": job.micro}
        # The state names the best weights, so it comes after them, and the old ones go after it.
        checkpoint.save_state(store, job.network, job.optimizer, {**state, "scaler": job.scaler.state_dict()})
        if old not in (None, best["weights"]):
            store.path(old).unlink(missing_ok=True)
        store.write_table("history.csv", pd.DataFrame(job.history))
        job.log(_line(row, best, job.recipe))
    store.write_table("history.csv", pd.DataFrame(job.history))
    return best


def _described(job: _Job, schema: Schema, best: Mapping) -> dict:
    """What `config.json` says of a finished training."""
    return {
        "network": job.network.info,
        "heads": [[a.name, list(a.classes)] for a in schema],
        "recipe": asdict(job.recipe),
        "best_epoch": best["epoch"],
        "val_macro_f1": best["score"],
        "n_train": len(job.train_rows),
        "n_val": len(job.val_rows),
        "hardware": job.hardware.reason,
        "micro_batch": job.micro,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "timm", "safetensors", "numpy")},
        },
    }


def _train_epoch(job: _Job, epoch: int, kept: str) -> tuple[dict, float]:
    """One pass over the training images: its part of the history's row, and images a second."""
    began = time.perf_counter()
    recipe, names = job.recipe, job.network.names
    _seed(recipe.seed, epoch)
    order = np.random.default_rng([recipe.seed, epoch, 1]).permutation(job.train_rows)
    thrown = torch.from_numpy(dice(recipe.seed, epoch, int(job.train_rows.max()) + 1))
    steps = -(-len(order) // recipe.batch)
    sums = {name: torch.zeros((), device=job.hardware.device) for name in names}
    counts = dict.fromkeys(names, 0)
    job.network.train()
    for step, rows in enumerate(batches(order, recipe.batch)):
        factor = lr_factor((epoch - 1) * steps + step, steps, recipe)
        for group, peak in zip(job.optimizer.param_groups, (recipe.backbone_lr, recipe.head_lr), strict=True):
            group["lr"] = peak * factor
        labelled = {name: int(is_labelled(job.targets[name][rows]).sum()) for name in names}
        losses = _step(job, rows, thrown[rows], labelled)
        for name in names:
            sums[name] += losses[name] * labelled[name]
            counts[name] += labelled[name]
        if step % CHECK_EVERY == 0 or step == steps - 1:
            wrong = [name for name in names if not math.isfinite(sums[name])]
            if wrong:
                raise TrainingError(
                    f"epoch {epoch}, step {step + 1} of {steps}: the loss of {', '.join(wrong)} is not "
                    f"finite; {kept}. A lower learning rate or precision fp32 may help"
                )
    means = {name: float(sums[name]) / max(counts[name], 1) for name in names}
    speed = len(order) / (time.perf_counter() - began)
    rates = {"lr_backbone": recipe.backbone_lr * factor, "lr_heads": recipe.head_lr * factor}
    by_head = {f"train_loss_{name}": means[name] for name in names}
    return {**rates, "train_loss": _combined(means, recipe), **by_head}, speed


def _step(job: _Job, rows: np.ndarray, thrown: torch.Tensor, labelled: Mapping[str, int]) -> Targets:
    """One optimiser step; where the memory does not suffice, in smaller parts of the same batch."""
    losses = None
    while losses is None:
        job.optimizer.zero_grad(set_to_none=True)
        try:
            losses = _gradients(job, rows, thrown, labelled)
        except torch.OutOfMemoryError:
            if job.micro == 1:
                raise TrainingError(
                    "the GPU's memory does not hold one image; use a smaller backbone"
                ) from None
        if losses is None:  # outside the handler, which holds on to the failed attempt's memory
            job.micro = (job.micro + 1) // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            job.log(f"out of memory: batches of {job.recipe.batch} in parts of {job.micro} from here on")
    job.scaler.unscale_(job.optimizer)
    torch.nn.utils.clip_grad_norm_(job.network.parameters(), job.recipe.clip)
    job.scaler.step(job.optimizer)
    job.scaler.update()
    return losses


def _gradients(job: _Job, rows: np.ndarray, thrown: torch.Tensor, labelled: Mapping[str, int]) -> Targets:
    """Add up the gradient of a batch part by part; the losses of its heads."""
    device, sums = job.hardware.device, {}
    for part in batches(np.arange(len(rows)), job.micro):
        views = training_view(job.gather(rows[part]), thrown[part].to(device), job.recipe)
        targets = {name: target[rows[part]].to(device) for name, target in job.targets.items()}
        with job.hardware.autocast():
            logits = job.network(views)
        losses = multi_head_loss(logits, targets, job.recipe, job.weights, labelled)
        job.scaler.scale(losses["loss"]).backward()
        for name in job.network.names:
            sums[name] = sums.get(name, 0) + losses[name].detach()
    return sums


def _validate(job: _Job) -> dict:
    """Loss and macro-F1 of each head on the labelled validation images, and their sum and mean."""
    recipe, names = job.recipe, job.network.names
    logits = evaluation_logits(job.network, job.gather, job.val_rows, recipe, job.hardware, recipe.eval_batch)
    truth = {name: torch.from_numpy(job.truth[name]) for name in names}
    weights = None if job.weights is None else {name: w.cpu() for name, w in job.weights.items()}
    losses = multi_head_loss(logits, truth, recipe, weights)
    scores = {}
    for name in names:
        k = logits[name].shape[1]
        scores[name] = float(macro_f1(table(job.truth[name], logits[name].argmax(1).numpy(), (k, k))))
    return {
        "val_loss": float(losses["loss"]),
        **{f"val_loss_{name}": float(losses[name]) for name in names},
        "macro_f1": float(np.nanmean(list(scores.values()))),
        **{f"macro_f1_{name}": score for name, score in scores.items()},
    }


def _combined(means: Mapping[str, float], recipe: Recipe) -> float:
    return sum(means.values()) / (len(means) if recipe.combine == "mean" else 1)


def _line(row: Mapping[str, float], best: Mapping, recipe: Recipe) -> str:
    return (
        f"epoch {row['epoch']:3d}/{recipe.epochs}  lr {row['lr_backbone']:.1e} {row['lr_heads']:.1e}  "
        f"loss {row['train_loss']:.3f} (validation {row['val_loss']:.3f})  macro-F1 {row['macro_f1']:.3f} "
        f"(best {best['score']:.3f} at {best['epoch']})  "
        f"{row['seconds']:.0f} s, {row['images_per_s']:.0f} images/s"
    )


def _seed(seed: int, epoch: int) -> None:
    """Seed torch for an epoch (0 for the start), so that seed 42's epoch 2 is not seed 43's epoch 1."""
    torch.manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0]))
