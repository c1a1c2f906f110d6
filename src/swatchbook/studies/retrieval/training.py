"""Steps that train: dual encoders in one or two stages, and linear probes on frozen features.

Each embeds or answers for the images that its model was not trained on, from the finished checkpoint.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd

from swatchbook.data import pixels
from swatchbook.evaluation.scores import macro_f1
from swatchbook.models.probe import PROBES, probe_probabilities
from swatchbook.models.text_towers import OWN_WORDS
from swatchbook.models.towers import Towers
from swatchbook.pipeline.stage import Trace
from swatchbook.schema import Schema
from swatchbook.studies.labelling import classes_and_prompts
from swatchbook.studies.retrieval.images import KNOWN, SQUARES, squares
from swatchbook.studies.retrieval.systems import ITEM, SPLITS, SYSTEMS, System, recipe_of
from swatchbook.studies.training import FILES, on_all_processes, tower_content

LIMITS = ("image_size", "batch", "micro_batch", "ema", "threads")
PUBLISHED_TOKENS = 40
_LONGEST = 512  # tokens that are counted


def probed(schema: Schema) -> Schema:
    """What the linear probes are asked: the category, and fabric and pattern of the three garments."""
    kept = [a for a in schema if a.name == "category" or a.name.endswith(("_fabric", "_pattern"))]
    return Schema(schema.name, tuple(kept))


def rows_of(manifest: pd.DataFrame, split: str, *parts: str) -> np.ndarray:
    """Rows of some parts of a split, in the manifest's order."""
    return np.flatnonzero(manifest[SPLITS[split]].isin(parts))


def towers_of(trace: Trace, system: System) -> Towers:
    """The pair of towers that a system is built on."""
    return Towers(
        trace.setting(f"networks.{system.image}"),
        trace.setting("networks.text"),
        trace.setting("networks.pretrained"),
        embed=trace.setting("networks.embed"),
        tokens=system.tokens or trace.setting("limits.tokens"),
        image_size=trace.setting("limits.image_size") or system.recipe.get("image_size", 224),
        text_blocks=trace.setting("limits.text_blocks"),
    )


def towers_content(trace: Trace, name: str) -> dict[str, str]:
    """What a training depends on outside the run."""
    return tower_content(trace.setting(f"networks.{SYSTEMS[name].image}"))


def train_and_embed(trace: Trace, name: str) -> None:
    """Train a system, write its checkpoint, and embed and read by it what it has not seen.

    Args:
        trace: Of the stage.
        name: Of the system.
    """
    from swatchbook.models.tasks import contrastive, dual_encoder

    system, schema = SYSTEMS[name], classes_and_prompts(trace)
    manifest, towers = trace.table("manifest.parquet"), towers_of(trace, system)
    train_rows = rows_of(manifest, system.split, "train")
    folder = trace.folder(f"checkpoints/{name}")
    folder.mkdir(parents=True, exist_ok=True)
    if towers.text == OWN_WORDS:
        from swatchbook.labeller.training.tokenizer import write_tokenizer

        write_tokenizer(sorted(set(manifest["caption"].iloc[train_rows].str.lower())), folder)
    towers.describe(folder)
    tokenizer, captions = open_clip.get_tokenizer(f"local-dir:{folder}"), manifest["caption"].tolist()
    texts, stored = tokenizer(captions).numpy(), squares(trace, len(manifest))
    if system.start:
        trace.path(f"models/{system.start}/{FILES[0]}")
    first = not system.start
    limits: dict[str, object] = {key: trace.setting(f"limits.{key}") for key in LIMITS}
    limits["epochs"] = trace.setting("limits.epochs" if first else "limits.task_epochs")
    limits |= dict.fromkeys(("backbone_lr", "head_lr", "text_lr"), trace.setting("limits.rate"))
    model = on_all_processes(
        fit_pairs,
        pixel_file=trace.path(SQUARES),
        row=stored.shape[1:],
        checkpoint=folder,
        texts=texts,
        codes=schema.encode(manifest, "manifest.parquet"),
        train_rows=train_rows,
        val_rows=rows_of(manifest, system.split, "val"),
        schema=schema,
        recipe=recipe_of(name, schema, seed=trace.setting("seed"), **limits),
        system=name,
        towers=towers,
        start=trace.folder(f"models/{system.start}") if system.start else None,
        folder=trace.folder(f"models/{name}"),
    )
    trace.wrote(*(f"models/{name}/{file}" for file in FILES))
    (dual_encoder if system.heads else contrastive).export(model, folder)
    trace.wrote(*sorted(f"checkpoints/{name}/{path.name}" for path in folder.iterdir() if path.is_file()))
    lengths = (tokenizer(captions, context_length=_LONGEST).numpy() != 0).sum(1)
    facts = {"tokens": towers.tokens, "median_tokens": np.median(lengths), "n": len(lengths),
             "cut": (lengths > towers.tokens).mean(),
             "over_published": (lengths > PUBLISHED_TOKENS).mean()}  # fmt: skip
    trace.write_table(f"captions/{name}.csv", pd.DataFrame([facts]))
    rows = rows_of(manifest, system.split, "val", "test", KNOWN)  # the first choose how answers are adjusted
    _write_answers(trace, name, folder, stored, texts, rows, manifest["image_id"].to_numpy()[rows])


def fit_pairs(
    pixel_file: Path,
    row: tuple[int, ...],
    checkpoint: Path,
    texts: np.ndarray,
    codes: Mapping[str, np.ndarray],
    train_rows: np.ndarray,
    val_rows: np.ndarray,
    schema: Schema,
    recipe: object,
    system: str,
    towers: Towers,
    start: Path | None,
    folder: Path,
    log: Callable[[str], object] = print,
) -> Path:
    """Train a system on stored images. All processes of a training call it alike.

    Args:
        pixel_file: The stored images.
        row: Shape of a stored image.
        checkpoint: Folder with open_clip's config and the tokenizer.
        texts: As for `models.tasks.dual_encoder.DualEncoder`, and so what follows.
        codes: Attribute → codes.
        train_rows: Rows to learn from.
        val_rows: Rows to choose the epoch by.
        schema: Gives the heads.
        recipe: The settings.
        system: Its name.
        towers: Whose weights to start from.
        start: Or the first stage's folder.
        folder: The model's.
        log: Receives a line an epoch.

    Returns:
        The model's folder.
    """
    from swatchbook.models.tasks.contrastive import Contrastive
    from swatchbook.models.tasks.dual_encoder import DualEncoder
    from swatchbook.models.training import train

    about = SYSTEMS[system]
    options = {"towers": towers, "learn_scale": about.learn_scale}
    task = (
        DualEncoder(
            checkpoint, texts, schema, codes, train_rows, val_rows, frozen=about.frozen,
            contrastive=about.contrastive, start=start, **options,
        )
        if about.heads
        else Contrastive(checkpoint, texts, train_rows, val_rows, **options)
    )  # fmt: skip
    return train(task, pixels.read(pixel_file, len(texts), row), recipe, folder, log=log)


def _write_answers(
    trace: Trace,
    name: str,
    folder: Path,
    stored: np.ndarray,
    texts: np.ndarray,
    rows: np.ndarray,
    ids: np.ndarray,
) -> None:
    """Embeddings of images and captions and, where the checkpoint has heads, probabilities of all classes."""
    import torch

    from swatchbook.models.hardware import choose
    from swatchbook.models.inference import outputs_of
    from swatchbook.models.pixel_loader import PixelLoader
    from swatchbook.models.recipe import Recipe
    from swatchbook.models.tasks.dual_encoder import load

    hardware = choose("fp32")
    network = load(folder, hardware.device)
    recipe = Recipe(image_size=network.image_size, crop_share=1.0, eval_batch=64)
    outputs = outputs_of(
        network,
        PixelLoader(stored, recipe, hardware.device, keep=False),
        rows,
        recipe,
        hardware,
        inputs=lambda some, _: {"texts": torch.from_numpy(texts[some]).to(hardware.device)},
    )
    into = io.BytesIO()
    np.savez(into, ids=ids.astype(str), image=outputs["image"].numpy(), text=outputs["text"].numpy())
    trace.write(f"embeddings/{name}.npz", lambda path: path.write_bytes(into.getvalue()))
    if network.classes:
        found = network.probabilities(outputs)
        columns = {
            f"{a}:{label}": found[a][:, k].numpy()
            for a, classes in network.classes.items()
            for k, label in enumerate(classes)
        }
        trace.write_table(f"predictions/{name}.parquet", pd.DataFrame({"image_id": ids, **columns}))


def probe(trace: Trace) -> None:
    """Logistic regressions on the image tower's frozen features before any training, plain and balanced.

    The validation images choose C of each attribute by macro-F1.
    """
    from swatchbook.models.inference import features_of

    schema, manifest = probed(classes_and_prompts(trace)), trace.table("manifest.parquet")
    fit, held, asked = (rows_of(manifest, ITEM, *p) for p in (("train",), ("val",), ("test", KNOWN)))
    image_size = trace.setting("limits.image_size") or trace.setting("side")
    stored, pretrained = squares(trace, len(manifest)), trace.setting("networks.pretrained")
    known = np.concatenate([fit, held])
    rows = np.concatenate([known, asked])
    features = features_of(trace.setting("networks.image"), stored, rows, image_size, pretrained=pretrained)
    codes = {name: values[known] for name, values in schema.encode(manifest, "manifest.parquet").items()}
    ids = manifest["image_id"].to_numpy()[asked]
    parts, scores = (len(fit), len(held)), dict.fromkeys(PROBES, lambda counts: float(macro_f1(counts)))
    for name, found in probe_probabilities(features, parts, codes, schema, scores):
        found.insert(0, "image_id", ids)
        trace.write_table(f"predictions/{name}.parquet", found)
