"""A folder of photographs → one table, by a labeller or by a trained model.

    >>> from swatchbook import Schema, label_folder, predict_folder
    >>> label_folder("photographs", "labels.csv", Schema.load("wardrobe"))  # doctest: +SKIP
    >>> predict_folder("photographs", "labels.csv", "runs/demo/models/tower")  # doctest: +SKIP

Both encode images, as cosines or as class probabilities, and turn these into labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from swatchbook.atomic import PAGES, TABLES, output_file
from swatchbook.bulk.table import Encoded, Job, answer_folder
from swatchbook.labeller.cosines import CosineEncoder
from swatchbook.labeller.measured import asked_of
from swatchbook.labeller.shards import encode_in_shards
from swatchbook.labeller.silver import checked_scale, silver_table
from swatchbook.labeller.zero_shot import Labeller
from swatchbook.models.finished import schema_of
from swatchbook.schema import Schema

if TYPE_CHECKING:  # what torch and Ray compute is imported where it is asked for
    from swatchbook.bulk.classifier import Classifier
    from swatchbook.bulk.ray_cluster import Machines

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
    logit_scale: float = 100.0,
    abstain: bool = True,
    attributes: Sequence[str] = (),
    corrections: str | Path | None = None,
    html: str | Path | None = None,
    machines: Machines | None = None,
    log: Callable[[str], object] = print,
) -> tuple[int, pd.DataFrame]:
    """Label every photograph below a folder by an open_clip model and the schema's prompts; no training.

    A call that was stopped goes on where it was when it is made again.

        >>> images, broken = label_folder("photographs", "labels.parquet", Schema.load())  # doctest: +SKIP
        >>> pd.read_parquet("labels.parquet")[["path", "color", "color_confidence"]]  # doctest: +SKIP

    Args:
        folder: The photographs, nested or flat.
        out: A ``.parquet`` or ``.csv`` file to write: ``path`` (below the folder) and for each attribute a
            column of its name (null where it abstained) and ``<attribute>_confidence`` in [0, 1], a row an
            image, by path. Files that cannot be read are left out of it and listed with reasons in
            ``<out>.broken.csv``. In CSV, text that a spreadsheet would take for a formula begins with '.
        schema: Gives attributes, classes, prompts and thresholds. An attribute that it labels by folder is
            labelled by its prompts here, without a threshold.
        labeller: See `Labeller.load`.
        logit_scale: Factor on the cosines before the softmax, above 0.
        abstain: Whether a label below the schema's threshold is left out.
        attributes: Names of those to label, or ``all``. By default those that the labeller was measured to do
            on photographs, see `labeller.measured`; the others have no columns.
        corrections: A CSV file of judgements, ``path`` and a column an attribute, such as the contact sheet
            saves: its labels take the place of the labeller's, with confidence 1, and none where it is blank.
        html: An ``.html`` file to write: a contact sheet, a card a photograph, see `report.contact_sheet`.
        machines: The machines of a Ray cluster that encode the photographs, to the same table; this one
            alone by default. All must see ``folder``, ``out`` and a labeller's folder under these paths.
        log: Called with a line an attribute, how right it is on photographs or why it is left out; one that
            says what was loaded, and one about the machines.

    Returns:
        How many photographs the table holds; and the broken files, ``path`` (below the folder), ``reason``.

    Raises:
        ValueError: If an argument is not as described, no photograph can be read, or no machine has as many
            cores as a worker needs.
        LabellerError: If the labeller cannot be loaded.
        StoreError: If a file cannot be written, or another command is writing it.
        ClusterError: If Ray is not installed or not reached, ``<out>.partial`` holds another job's shards,
            or a worker fails; the shards that are done are kept.
    """
    asked = asked_of(schema, labeller, attributes)
    job = Labelling(asked.schema, found_from_anywhere(labeller), logit_scale, abstain)
    html = None if html is None else output_file(html, PAGES, "html")
    for line in asked.lines:
        log(line)
    more = {"html": html, "facts": {"labeller": labeller, "schema": schema.name}, "said": asked.said}
    more["corrections"] = None if corrections is None else Path(corrections)
    return answered(job, folder, out, machines, None, log, **more)


def predict_folder(
    folder: str | Path,
    out: str | Path,
    model_dir: str | Path,
    *,
    device: str = "auto",
    machines: Machines | None = None,
    log: Callable[[str], object] = print,
) -> tuple[int, pd.DataFrame]:
    """Predict every photograph below a folder with a trained model, which brings its own classes.

        >>> images, broken = predict_folder("photographs", "out.csv", "models/tower")  # doctest: +SKIP

    Args:
        folder: The photographs, nested or flat.
        out: As in `label_folder`; a model always answers, so no label is null.
        model_dir: A folder that `models.training.train` has finished.
        device: ``auto``, ``cuda`` or ``cpu``; on a cluster it has no effect.
        machines: As in `label_folder`; the model's folder lies on the shared disk too.
        log: Called with a line that says where it runs, and why.

    Returns:
        As `label_folder`.

    Raises:
        ValueError: If the folder holds no such model, an argument is not as described, no photograph can be
            read, or no machine has as many cores as a worker needs.
        StoreError: If a file cannot be written, or another command is writing it.
        ClusterError: As `label_folder`.
    """
    return answered(Prediction(Path(model_dir).absolute()), folder, out, machines, device, log)


def answered(
    job: Job,
    folder: str | Path,
    out: str | Path,
    machines: Machines | None,
    device: str | None,
    log: Callable[[str], object],
    **more: object,
) -> tuple[int, pd.DataFrame]:
    """Encode the photographs here or on a cluster, and write the table.

    Args:
        job: What is asked.
        folder: As of `predict_folder`, like those that follow.
        out: A table.
        machines: None for this one.
        device: None for the best there is.
        log: Called with a line about the model.
        **more: Further arguments of `table.answer_folder`.
    """
    out, folder = output_file(out, TABLES), Path(folder)

    def here(paths: list[str], shards: Path) -> Iterator[Encoded]:
        encoder = job.encoder(device, log)
        if not encoder.threads:
            yield from encode_in_shards(encoder, paths, shards)
            return
        from swatchbook.models.hardware import fixed_threads

        with fixed_threads(encoder.threads):
            yield from encode_in_shards(encoder, paths, shards)

    def on_cluster(paths: list[str], shards: Path) -> Iterator[Encoded]:
        from swatchbook.bulk.ray_cluster import encode_on_cluster

        yield from encode_on_cluster(job, machines, folder, paths, shards, log)

    return answer_folder(folder, out, job, here if machines is None else on_cluster, **more)


def found_from_anywhere(labeller: str) -> str:
    """A labeller's name, that of a folder by its absolute path: workers start in other folders."""
    kind, _, place = labeller.partition(":")
    return f"{kind}:{Path(place).absolute()}" if kind == "local-dir" and place else labeller


@dataclass(frozen=True)
class Labelling:
    """To label by an open_clip model; the arguments are those of `label_folder`."""

    schema: Schema
    labeller: str
    logit_scale: float
    abstain: bool

    def __post_init__(self) -> None:
        checked_scale(self.logit_scale)

    def encoder(self, device: str | None, log: Callable[[str], object]) -> CosineEncoder:
        """The model, with the classes' prompts embedded."""
        labeller = Labeller.load(self.labeller, device=device, log=log)
        return CosineEncoder(labeller, self.schema, short_side_for(labeller))

    def answers(self, cosines: pd.DataFrame) -> pd.DataFrame:
        """Cosines → labels and confidences."""
        thresholds = None if self.abstain else dict.fromkeys(self.schema.names, 0.0)
        return silver_table(cosines, self.schema, logit_scale=self.logit_scale, thresholds=thresholds)


def short_side_for(labeller: Labeller) -> int | None:
    """Short side in pixels at which a JPEG holds what a labeller sees; None where its size is not known."""
    size = labeller.network.preprocessing.get("size")
    return size and FINE * int(np.max(size))


@dataclass(frozen=True)
class Prediction:
    """To predict by a trained model in its folder; one that holds none is refused at once."""

    model_dir: Path

    def __post_init__(self) -> None:
        schema_of(self.model_dir)

    @property
    def schema(self) -> Schema:
        """The model's own."""
        return schema_of(self.model_dir)

    def encoder(self, device: str | None, log: Callable[[str], object]) -> Classifier:
        """The model."""
        from swatchbook.bulk.classifier import Classifier

        model = Classifier(self.model_dir, device or "auto")
        log(f"{model.name}: {model.hardware.reason}")
        return model

    def answers(self, probabilities: pd.DataFrame) -> pd.DataFrame:
        """Class probabilities → labels and confidences."""
        return most_probable(probabilities, self.schema)


def most_probable(probabilities: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Class probabilities, a column ``<attribute>:<class>`` → the likeliest label and its probability."""
    table = {}
    for a in schema:
        p = probabilities[[f"{a.name}:{label}" for label in a.classes]].to_numpy()
        table[a.name] = np.array(a.classes, dtype=object)[p.argmax(axis=1)]
        table[f"{a.name}_confidence"] = p.max(axis=1)
    return pd.DataFrame(table, index=probabilities.index)
