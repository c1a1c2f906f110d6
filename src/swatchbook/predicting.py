"""A folder of photographs → one table of answers, by a labeller or by a trained model.

Pictures are streamed in batches, so memory holds a few of them and one row of numbers an image. What was
worked out is kept in shards in ``<out>.partial`` until the table is whole, so that a stopped command goes on
where it was, to the same bytes; the table itself appears at once or not at all.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from swatchbook.data import images
from swatchbook.data.pixels import SIZE, square
from swatchbook.data.strict_csv import DataError
from swatchbook.labels.encoding import cosine_table
from swatchbook.labels.labeller import Labeller
from swatchbook.labels.silver import silver_table
from swatchbook.models import checkpoint
from swatchbook.models.hardware import Hardware, choose, fixed_threads
from swatchbook.models.prediction import evaluation_logits
from swatchbook.models.recipe import Recipe
from swatchbook.schema import Attribute, Schema
from swatchbook.store import Store

SUFFIXES = (".parquet", ".csv")
RISKY = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet takes a cell that begins so for a formula
_TOLD = 3

Answers = tuple[pd.DataFrame, pd.DataFrame]  # a row an image; and the broken files, ``path, reason``


def label_folder(
    folder: str | Path,
    out: str | Path,
    schema: Schema,
    *,
    labeller: str = "bundled",
    temperature: float = 100.0,
    abstain: bool = True,
    log: Callable[[str], object] = print,
) -> Answers:
    """Label every photograph below a folder by an open_clip model and the schema's prompts.

    Args:
        folder: The photographs, nested or flat.
        out: A ``.parquet`` or ``.csv`` file to write: ``path`` (below the folder) and for each attribute a
            column of its name (null where it abstained) and ``<attribute>_confidence`` in [0, 1], a row an
            image, by path. Files that cannot be read are left out of it and listed with reasons in
            ``<out>.broken.csv``. In CSV, paths that a spreadsheet would take for a formula begin with '.
        schema: Gives attributes, classes, prompts and thresholds. An attribute that it labels by folder is
            labelled by its prompts here, without a threshold.
        labeller: See `Labeller.load`.
        temperature: Factor on the cosines before the softmax, above 0.
        abstain: Whether a label below the schema's threshold is left out.
        log: Told in a line what was loaded.

    Returns:
        The table as written, with plain paths; and the broken files.

    Raises:
        ValueError: If an argument is not as described, or no photograph can be read.
        LabellerError: If the labeller cannot be loaded.
        StoreError: If the file cannot be written, or another command is writing it.
    """
    if not temperature > 0 or not np.isfinite(temperature):
        raise ValueError(f"temperature must be a number above 0; received {temperature}")
    thresholds = None if abstain else dict.fromkeys(schema.names, 0.0)

    out = _checked(out)

    def answer(paths: list[str], shards: Path) -> Answers:
        model = Labeller.load(labeller, log=log)
        cosines, broken = cosine_table(model, paths, schema, shards, tolerated=1.0)
        return silver_table(cosines, schema, temperature=temperature, thresholds=thresholds), broken

    return _written(Path(folder), out, answer)


def predict_folder(
    folder: str | Path,
    out: str | Path,
    model_dir: str | Path,
    *,
    device: str = "auto",
    log: Callable[[str], object] = print,
) -> Answers:
    """Predict every photograph below a folder with a trained model, which brings its own classes.

    Args:
        folder: The photographs, nested or flat.
        out: As in `label_folder`; a model always answers, so no label is null.
        model_dir: A folder that `models.training.train` has finished.
        device: ``auto``, ``cuda`` or ``cpu``.
        log: Told in a line where it runs, and why.

    Returns:
        The table as written, with plain paths; and the broken files.

    Raises:
        ValueError: If the folder holds no such model, an argument is not as described, or no photograph
            can be read.
        StoreError: If the file cannot be written, or another command is writing it.
    """
    out = _checked(out)
    model = _Classifier.load(Path(model_dir), device)
    log(f"model {Path(model_dir)}: {model.hardware.reason}")

    def answer(paths: list[str], shards: Path) -> Answers:
        with fixed_threads(model.recipe.threads):
            found, broken = cosine_table(model, paths, model.schema, shards, tolerated=1.0)
        table = {}
        for a in model.schema:
            p = found[[f"{a.name}:{label}" for label in a.classes]].to_numpy()
            table[a.name] = np.array(a.classes, dtype=object)[p.argmax(axis=1)]
            table[f"{a.name}_confidence"] = p.max(axis=1)
        return pd.DataFrame(table), broken

    return _written(Path(folder), out, answer)


@dataclass(frozen=True)
class _Classifier:
    """A trained model in the shape of a labeller whose "cosines" are its class probabilities.

    Streaming, shards and their keys are thus the labeller's.
    """

    network: torch.nn.Module
    schema: Schema
    recipe: Recipe
    hardware: Hardware
    fingerprint: str

    @classmethod
    def load(cls, folder: Path, device: str) -> _Classifier:
        schema = schema_of(folder)
        network, config = checkpoint.load(folder, schema)
        if config["side"] != SIZE:
            raise ValueError(
                f"{folder} was trained on images stored at {config['side']} pixels; allowed: {SIZE}"
            )
        recipe = Recipe(**config["recipe"])
        # A precision insisted on for training may not exist on the machine that predicts.
        hardware = choose("auto" if recipe.precision == "auto" else "fp32", device)
        network.place(hardware.device)
        fingerprint = json.dumps(["classifier", config["sha256"], config["recipe"], hardware.precision])
        return cls(network, schema, recipe, hardware, fingerprint)

    def class_embeddings(self, schema: Schema) -> dict[str, np.ndarray]:
        """The identity, cut by attribute, which leaves the probabilities as they are."""
        ends = np.cumsum([len(a) for a in schema])
        rows = np.split(np.eye(ends[-1], dtype=np.float32), ends[:-1])
        return dict(zip(schema.names, rows, strict=True))

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        return torch.from_numpy(square(image).copy())

    def embed(self, pictures: list[torch.Tensor]) -> np.ndarray:
        stored = torch.stack(pictures)
        logits = evaluation_logits(
            self.network,
            lambda rows: stored[torch.from_numpy(rows)].to(self.hardware.device),
            np.arange(len(stored)),
            self.recipe,
            self.hardware,
            self.recipe.eval_batch,
        )
        return torch.cat([torch.softmax(logits[name], 1) for name in self.schema.names], 1).numpy()


def schema_of(model_dir: Path) -> Schema:
    """The attributes and classes that a trained model answers.

    Raises:
        CheckpointError: If the folder holds no finished model.
    """
    try:
        config = json.loads((model_dir / checkpoint.CONFIG).read_text(encoding="utf-8"))
        asked = tuple(
            Attribute(name, {label: label for label in classes}, ("{}",), "zero_shot", 0.0, "none")
            for name, classes in config["heads"]
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise checkpoint.CheckpointError(
            f"{model_dir}: no finished model ({checkpoint.CONFIG} gives {error!r}); allowed: a folder that "
            "training has finished, such as runs/demo/models/resnet"
        ) from None
    return Schema("model", asked)


def _checked(out: str | Path) -> Path:
    """Where the table goes, if a table can go there."""
    out = Path(out)
    if out.suffix not in SUFFIXES:
        raise ValueError(f"out {str(out)!r} ends in {out.suffix!r}; allowed: {' or '.join(SUFFIXES)}")
    if out.is_dir() or not out.absolute().parent.is_dir():
        reason = "is a folder" if out.is_dir() else "lies in a folder that does not exist"
        raise ValueError(f"out {str(out)!r} {reason}; allowed: a file in a folder that exists")
    return out


def _written(folder: Path, out: Path, answer: Callable[[list[str], Path], Answers]) -> Answers:
    """Answer for every photograph and write the tables."""
    listed = images.find(folder)
    work = Store(out.with_name(f"{out.name}.partial"))
    with work.lock():
        try:
            table, broken = _answered(folder, listed, work.path("shards"), answer)
            told = out.with_name(f"{out.name}.broken.csv")
            if len(broken):
                _publish(work, broken, told)
            else:
                told.unlink(missing_ok=True)  # of an earlier call: nothing is broken now
            _publish(work, table, out)
        except BaseException:
            if not any(work.path("shards").glob("*.npz")):  # nothing to go on from
                shutil.rmtree(work.root, ignore_errors=True)
            raise
        shutil.rmtree(work.root, ignore_errors=True)  # the result stands, whatever becomes of the shards
    return table, broken


def _answered(
    folder: Path, listed: pd.DataFrame, shards: Path, answer: Callable[[list[str], Path], Answers]
) -> Answers:
    """Answers by path below the folder, without the broken files."""
    table, broken = answer(listed["path"].tolist(), shards)
    broken = broken.assign(
        path=broken["path"].map(dict(zip(listed["path"], listed["image_id"], strict=True)))
    )
    if len(broken) == len(listed):
        shutil.rmtree(shards)
        raise DataError(_all_broken(folder, broken))
    table.insert(0, "path", listed["image_id"].to_numpy())
    return table[~table["path"].isin(broken["path"])].reset_index(drop=True), broken


def _all_broken(folder: Path, broken: pd.DataFrame) -> str:
    first = "; ".join(f"{row.path!r} ({row.reason})" for row in broken.head(_TOLD).itertuples())
    return f"none of the {len(broken):,} images below {str(folder)!r} can be read: {first}"


def _publish(work: Store, table: pd.DataFrame, out: Path) -> None:
    """Write a table in the working folder and then give it its name, in one step."""
    artefact = f"table{out.suffix}"
    if out.suffix == ".csv":
        quoted = [column for column in ("path", "reason") if column in table]
        safe = table.assign(**{c: table[c].map(_guarded) for c in quoted})
        for column in safe.select_dtypes("number"):
            safe[column] = safe[column].map("{:.6f}".format)
        # Before Python 3.13 a carriage return alone is not quoted, and would end the line for a reader.
        bare = any(safe[column].str.contains("\r", regex=False).any() for column in quoted)
        how = {"quoting": csv.QUOTE_ALL if bare else csv.QUOTE_MINIMAL, "lineterminator": "\n"}
        work.write(artefact, lambda p: safe.to_csv(p, index=False, encoding="utf-8", **how))
    else:
        work.write(artefact, lambda p: table.to_parquet(p, index=False))
    work.path(artefact).replace(out)


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell.startswith(RISKY) else cell
