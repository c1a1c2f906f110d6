"""A folder of photographs → one table of answers, by a labeller or by a trained model.

Both are a way from files to answers; listing, streaming and writing are `labelling`'s.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from swatchbook.bulk.table import PAGES, Parts, answer_folder, checked
from swatchbook.data.pixels import SIZE, square
from swatchbook.labeller.cosines import cosine_parts
from swatchbook.labeller.silver import silver_table
from swatchbook.labeller.zero_shot import Labeller
from swatchbook.models import checkpoint
from swatchbook.models.hardware import Hardware, choose, fixed_threads
from swatchbook.models.pixel_loader import Feed
from swatchbook.models.prediction import evaluation_logits
from swatchbook.models.recipe import Recipe
from swatchbook.schema import Attribute, Schema
from swatchbook.store import sha256

# A JPEG is read smaller while its short side stays so many times what the labeller looks at. The pixels that
# the labeller then gets are those of the whole picture to within 5 of 255, and mostly to within 1; only
# full-contrast stripes as fine as two pixels can leave more, up to 20. At 2 times it was up to 140.
FINE = 5


def label_folder(
    folder: str | Path,
    out: str | Path,
    schema: Schema,
    *,
    labeller: str = "bundled",
    temperature: float = 100.0,
    abstain: bool = True,
    html: str | Path | None = None,
    log: Callable[[str], object] = print,
) -> tuple[int, pd.DataFrame]:
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
        html: An ``.html`` file to write: a contact sheet of the least sure photographs of every label.
        log: Told in a line what was loaded.

    Returns:
        How many photographs the table holds; and the broken files, ``path`` (below the folder), ``reason``.

    Raises:
        ValueError: If an argument is not as described, or no photograph can be read.
        LabellerError: If the labeller cannot be loaded.
        StoreError: If a file cannot be written, or another command is writing it.
    """
    work = Labelling(schema, labeller, temperature, abstain)
    out = checked(out)
    html = None if html is None else checked(html, PAGES, "html")

    def answer(paths: list[str], shards: Path) -> Parts:
        model = work.load(log=log)
        for cosines, broken in cosine_parts(model, paths, schema, shards, enough=work.enough(model)):
            yield work.answers(cosines), broken

    facts = {"labeller": labeller, "schema": schema.name}
    return answer_folder(Path(folder), out, schema, answer, html=html, facts=facts)


def enough_for(labeller: Labeller) -> int | None:
    """Short side in pixels at which a JPEG holds what a labeller sees; None where its size is not known."""
    size = getattr(labeller.model.visual, "image_size", None)
    return size and FINE * int(np.max(size))


def predict_folder(
    folder: str | Path,
    out: str | Path,
    model_dir: str | Path,
    *,
    device: str = "auto",
    log: Callable[[str], object] = print,
) -> tuple[int, pd.DataFrame]:
    """Predict every photograph below a folder with a trained model, which brings its own classes.

    Args:
        folder: The photographs, nested or flat.
        out: As in `label_folder`; a model always answers, so no label is null.
        model_dir: A folder that `models.training.train` has finished.
        device: ``auto``, ``cuda`` or ``cpu``.
        log: Told in a line where it runs, and why.

    Returns:
        As `label_folder`.

    Raises:
        ValueError: If the folder holds no such model, an argument is not as described, or no photograph
            can be read.
        StoreError: If a file cannot be written, or another command is writing it.
    """
    out = checked(out)
    model = Prediction(Path(model_dir)).load(device, log)

    def answer(paths: list[str], shards: Path) -> Parts:
        for found, broken in cosine_parts(model, paths, model.schema, shards):
            yield most_probable(found, model.schema), broken

    with fixed_threads(model.recipe.threads):
        return answer_folder(Path(folder), out, model.schema, answer)


def most_probable(found: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Class probabilities, a column ``<attribute>:<class>`` → the likeliest label and its probability."""
    table = {}
    for a in schema:
        p = found[[f"{a.name}:{label}" for label in a.classes]].to_numpy()
        table[a.name] = np.array(a.classes, dtype=object)[p.argmax(axis=1)]
        table[f"{a.name}_confidence"] = p.max(axis=1)
    return pd.DataFrame(table, index=found.index)


@dataclass(frozen=True)
class Classifier:
    """A trained model in the shape of a labeller whose "cosines" are its class probabilities.

    Streaming, shards and their keys are thus the labeller's.
    """

    network: torch.nn.Module
    schema: Schema
    recipe: Recipe
    hardware: Hardware
    fingerprint: str

    @classmethod
    def load(cls, folder: Path, device: str) -> Classifier:
        """Open a model that training has finished; ``device`` is ``auto``, ``cuda`` or ``cpu``."""
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

    @property
    def device(self) -> str:
        """Where it runs, as a labeller says it."""
        return self.hardware.device

    def class_embeddings(self, schema: Schema) -> dict[str, np.ndarray]:
        """The identity, cut by attribute, which leaves the probabilities as they are."""
        ends = np.cumsum([len(a) for a in schema])
        rows = np.split(np.eye(ends[-1], dtype=np.float32), ends[:-1])
        return dict(zip(schema.names, rows, strict=True))

    def shrink(self, image: Image.Image) -> torch.Tensor:
        """An RGB picture as it is stored for training: uint8, shape (256, 256, 3)."""
        return torch.from_numpy(square(image).copy())

    def embed(self, pictures: list[torch.Tensor]) -> np.ndarray:
        """Class probabilities of such pictures, all attributes side by side, shape (pictures, classes)."""
        stored = torch.stack(pictures).numpy()
        logits = evaluation_logits(
            self.network,
            Feed(stored, self.recipe, self.hardware.device, keep=False),
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


@dataclass(frozen=True)
class Labelling:
    """To label by an open_clip model; the arguments are those of `label_folder`."""

    schema: Schema
    labeller: str
    temperature: float
    abstain: bool

    def __post_init__(self) -> None:
        if not self.temperature > 0 or not np.isfinite(self.temperature):
            raise ValueError(f"temperature must be a number above 0; received {self.temperature}")

    def load(self, device: str | None = None, log: Callable[[str], object] = print) -> Labeller:
        """The model."""
        return Labeller.load(self.labeller, device=device, log=log)

    def told(self, model: Labeller) -> dict[str, object]:
        """All that answers depend on but photographs and machines, as JSON can say it."""
        classes = hashlib.sha256(json.dumps(asdict(self.schema)).encode()).hexdigest()
        return {
            "work": "label",
            "model": model.fingerprint,
            "schema": f"{self.schema.name} ({classes[:16]})",
            "temperature": self.temperature,
            "abstain": self.abstain,
        }

    def enough(self, model: Labeller) -> int | None:
        """See ``decode``."""
        return enough_for(model)

    def answers(self, cosines: pd.DataFrame) -> pd.DataFrame:
        """Cosines → labels and confidences."""
        thresholds = None if self.abstain else dict.fromkeys(self.schema.names, 0.0)
        return silver_table(cosines, self.schema, logit_scale=self.temperature, thresholds=thresholds)


@dataclass(frozen=True)
class Prediction:
    """To predict by a trained model in its folder."""

    model_dir: Path

    @property
    def schema(self) -> Schema:
        """The model's own."""
        return schema_of(self.model_dir)

    def load(self, device: str = "auto", log: Callable[[str], object] = print) -> Classifier:
        """The model."""
        model = Classifier.load(self.model_dir, device)
        log(f"model {self.model_dir}: {model.hardware.reason}")
        return model

    def told(self, _: Classifier) -> dict[str, object]:
        """As of `Labelling`."""
        # The config names the weights' SHA-256, which loading has compared. The model's own fingerprint says
        # a precision as well, which here is not the workers'.
        return {"work": "predict", "model": sha256(self.model_dir / checkpoint.CONFIG)}

    def enough(self, _: Classifier) -> None:
        """See ``decode``."""

    def answers(self, found: pd.DataFrame) -> pd.DataFrame:
        """Class probabilities → labels and confidences."""
        return most_probable(found, self.schema)


Work = Labelling | Prediction
