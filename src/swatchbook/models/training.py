"""The training loop: plain torch, a CPU, a GPU or many, and the same bits after an interruption.

Inside an epoch nothing waits for the device: images and targets are there, losses are added up there, and
whether they stayed finite is asked when the epoch is over.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from swatchbook.evaluation.resample import table
from swatchbook.evaluation.scores import macro_f1
from swatchbook.models import checkpoint
from swatchbook.models.augment import dice
from swatchbook.models.compiling import pays_back
from swatchbook.models.distributed import team, tell
from swatchbook.models.hardware import choose, fixed_threads
from swatchbook.models.inputs import batches, checked_split, fingerprint
from swatchbook.models.losses import absent_classes, class_weights, is_labelled, multi_head_loss
from swatchbook.models.network import build
from swatchbook.models.pixel_loader import Feed
from swatchbook.models.prediction import evaluation_logits
from swatchbook.models.recipe import Recipe
from swatchbook.models.schedule import lr_factor, optimizer_of
from swatchbook.models.step import Job, TrainingError, take_step
from swatchbook.schema import Schema
from swatchbook.store import Store


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

    In a process that `torchrun` started and `team.assembled` joined, all processes train together.

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
    together = team()
    if together.leads:
        data = {"pixels": pixels, "codes": codes, "train_rows": train_rows, "val_rows": val_rows}
        asked = {"schema": schema, "recipe": recipe, "backbone": backbone, "out_dir": out_dir}
        more = {"pretrained": pretrained, "cache_dir": cache_dir, "soft": soft, "device": device}
        tell({**data, **asked, **more})
    else:
        log = _silent
    if recipe.batch < 2 * together.size:
        raise ValueError(
            f"recipe.batch = {recipe.batch} with {together.size} processes; "
            f"at least {2 * together.size} is needed"
        )
    hardware = choose(recipe.precision, device)
    log(hardware.reason + (f"; {together.size} processes" if together.size > 1 else ""))
    seeds = torch.random.fork_rng() if hardware.device == "cuda" else torch.random.fork_rng(devices=[])
    with fixed_threads(recipe.threads), seeds:
        _seed(recipe.seed, 0)
        network = build(
            backbone, schema, pretrained=pretrained, cache_dir=cache_dir, img_size=recipe.image_size
        ).place(hardware.device)
        network = together.prepared(network, hardware.device, log)
        seen = {name: codes[name][train_rows] for name in schema.names}
        absent = absent_classes(seen, schema)
        for name, classes in absent.items():
            log(f"{name}: no training image is labelled {', '.join(classes)}; the model cannot learn it")
        weights = None
        if recipe.loss in ("weighted", "effective"):
            weights = class_weights(seen, schema, recipe.loss, recipe.effective_beta)
            weights = {name: w.to(hardware.device) for name, w in weights.items()}
        feed = Feed(pixels, recipe, hardware.device, np.concatenate([train_rows, val_rows]))
        log(feed.reason)
        targets = {name: torch.from_numpy(np.array((soft or codes)[name])) for name in schema.names}
        job = Job(
            network=network,
            forward=together.wrap(network, hardware.device),
            optimizer=optimizer_of(network, recipe),
            scaler=torch.amp.GradScaler(hardware.device, enabled=hardware.scales),
            hardware=hardware,
            recipe=recipe,
            feed=feed,
            targets={name: target.to(hardware.device) for name, target in targets.items()},
            labelled={name: is_labelled(target).numpy() for name, target in targets.items()},
            truth={name: codes[name][val_rows] for name in schema.names},
            weights=weights,
            train_rows=train_rows,
            val_rows=val_rows,
            log=log,
            micro=recipe.batch,
            team=together,
        )
        store = Store(out_dir)
        key = fingerprint(pixels, codes, soft, train_rows, val_rows, schema, recipe, network.info)
        best = _run(job, store, key)
    said = {"absent_classes": absent, "side": pixels.shape[1], **_described(job, schema, best)}
    if together.leads:
        checkpoint.finish(store, best["weights"], said)
    together.wait()
    return store.root


def _run(job: Job, store: Store, key: str) -> dict:
    """All epochs that are still to run; the best one's number, score and file of weights."""
    said = checkpoint.load_state(store, job.network, job.optimizer, key)
    job.team.wait()  # before the first process clears what all have just looked for
    if said is None:
        if job.team.leads:
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
        if job.team.leads:
            _save(job, store, best, old, key)
        job.log(_line(row, best, job.recipe))
        if epoch == len(job.history) == 1:
            _consider_compiling(job, row["seconds"] * (job.recipe.epochs - 1))
    if job.team.leads:
        store.write_table("history.csv", pd.DataFrame(job.history))
    return best


def _save(job: Job, store: Store, best: Mapping, old: str | None, key: str) -> None:
    """Keep the state after a whole epoch, and its weights if they are the best."""
    if best["epoch"] == len(job.history):
        checkpoint.save_weights(store, best["weights"], job.network)
    state = {"fingerprint": key, "best": best, "history": job.history, "micro": job.micro}
    # The state names the best weights, so it comes after them, and the old ones go after it.
    checkpoint.save_state(store, job.network, job.optimizer, {**state, "scaler": job.scaler.state_dict()})
    if old not in (None, best["weights"]):
        store.path(old).unlink(missing_ok=True)
    store.write_table("history.csv", pd.DataFrame(job.history))


def _consider_compiling(job: Job, seconds_left: float) -> None:
    """Compile the network for the epochs to come if that pays back; processes decide alike."""
    seconds = job.team.total(torch.tensor(seconds_left)) / job.team.size
    decision = pays_back(job.recipe.compile, job.hardware.device, job.network, float(seconds))
    job.log(decision.reason)
    if decision.compile:
        job.forward = torch.compile(job.forward, dynamic=False)


def _described(job: Job, schema: Schema, best: Mapping) -> dict:
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


def _train_epoch(job: Job, epoch: int, kept: str) -> tuple[dict, float]:
    """One pass over the training images: its part of the history's row, and images a second."""
    began = time.perf_counter()
    recipe, names, device = job.recipe, job.network.names, job.hardware.device
    _seed(recipe.seed, epoch)
    order = np.random.default_rng([recipe.seed, epoch, 1]).permutation(job.train_rows)
    thrown = torch.from_numpy(dice(recipe.seed, epoch, int(job.train_rows.max()) + 1)).to(device)
    whole = list(batches(order, recipe.batch))
    sums = {name: torch.zeros((), device=device) for name in names}
    wrong = {name: torch.full((), len(whole), device=device) for name in names}
    counts = {name: int(job.labelled[name][order].sum()) for name in names}
    job.network.train()
    for step, (rows, images) in enumerate(job.feed.ahead(job.team.share(rows) for rows in whole)):
        factor = lr_factor((epoch - 1) * len(whole) + step, len(whole), recipe)
        for group, peak in zip(job.optimizer.param_groups, (recipe.backbone_lr, recipe.head_lr), strict=True):
            group["lr"] = peak * factor
        labelled = {name: int(job.labelled[name][whole[step]].sum()) for name in names}
        losses = take_step(job, rows, images, thrown, labelled)
        for name in names:
            sums[name] += losses[name] * labelled[name]
            bad = ~torch.isfinite(losses[name])
            wrong[name] = torch.where(bad & (wrong[name] == len(whole)), step, wrong[name])
    totals = job.team.total(torch.stack([sums[name] for name in names])).tolist()
    failed = {name: int(wrong[name]) for name, total in zip(names, totals, strict=True) if total - total}
    if failed:
        first = min(failed.values()) + 1
        raise TrainingError(
            f"epoch {epoch}, step {first} of {len(whole)}: the loss of {', '.join(failed)} is not finite; "
            f"{kept}. A lower learning rate or precision fp32 may help"
        )
    means = {name: total / max(counts[name], 1) for name, total in zip(names, totals, strict=True)}
    speed = len(order) / (time.perf_counter() - began)
    rates = {"lr_backbone": recipe.backbone_lr * factor, "lr_heads": recipe.head_lr * factor}
    by_head = {f"train_loss_{name}": means[name] for name in names}
    return {**rates, "train_loss": _combined(means, recipe), **by_head}, speed


def _validate(job: Job) -> dict:
    """Loss and macro-F1 of each head on the labelled validation images, and their sum and mean."""
    recipe, names = job.recipe, job.network.names
    mine = job.team.share(job.val_rows)
    logits = evaluation_logits(job.network, job.feed, mine, recipe, job.hardware, recipe.eval_batch)
    logits = job.team.gathered(logits, len(job.val_rows))
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


def _silent(line: str) -> None:
    """Nothing: only the first process speaks."""
