"""A folder of photographs → an index: one table of paths, labels and embeddings, to search in.

    >>> from swatchbook import Schema, index_folder
    >>> index_folder("photographs", "index.parquet", Schema.load("wardrobe"))  # doctest: +SKIP

It is the table of `label_folder` with one column more, made by the same stream.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from swatchbook.atomic import TABLES, output_file
from swatchbook.bulk.folder import Labelling, answered, found_from_anywhere, short_side_for
from swatchbook.bulk.table import Extra
from swatchbook.bulk.vectors import EMBEDDING, Graphs, about, field_of, packed
from swatchbook.labeller.cosines import CosineEncoder
from swatchbook.labeller.measured import asked_of
from swatchbook.labeller.zero_shot import Labeller
from swatchbook.schema import Schema

if TYPE_CHECKING:
    from swatchbook.bulk.ray_cluster import Machines


class PhotographEncoder(CosineEncoder):
    """A labeller as an `shards.Encoder`: images → their embeddings, and their cosines with every class.

    Args:
        labeller: The model.
        schema: Gives attributes, classes and prompts.
    """

    def __init__(self, labeller: Labeller, schema: Schema) -> None:
        super().__init__(labeller, schema, short_side_for(labeller))
        self.dimensions = self._classes.shape[1]
        self.columns = [*(f"{EMBEDDING} {k}" for k in range(self.dimensions)), *self.columns]

    def encode(self, pictures: list[np.ndarray]) -> np.ndarray:
        """float32, shape (pictures, dimensions and classes); embeddings have length 1."""
        found = self.labeller.embed(pictures)
        return np.concatenate([found, found @ self._classes.T], axis=1)


def facts_of(labeller: Labeller) -> dict[str, object]:
    """What an index notes of a model, as JSON can say it; who searches must have the same."""
    preprocessing = {name: json.dumps(value) for name, value in labeller.network.preprocessing.items()}
    return {
        "labeller": labeller.name,
        "model": labeller.fingerprint,
        "preprocessing": {**preprocessing, "short side of a JPEG": str(short_side_for(labeller))},
    }


class Indexing(Labelling):
    """To label by an open_clip model, and to keep the embeddings."""

    def encoder(self, device: str | None, log: Callable[[str], object]) -> PhotographEncoder:
        """The model, with the classes' prompts embedded."""
        return PhotographEncoder(Labeller.load(self.labeller, device=device, log=log), self.schema)

    def answers(self, values: pd.DataFrame) -> pd.DataFrame:
        """Labels and confidences, as label's, and the embedding."""
        return super().answers(values).assign(**{EMBEDDING: packed(embeddings(values))})


def embeddings(values: pd.DataFrame) -> np.ndarray:
    """The embeddings among an encoder's values, float32, shape (rows, dimensions)."""
    return values[[name for name in values if name.startswith(f"{EMBEDDING} ")]].to_numpy()


def index_folder(
    folder: str | Path,
    out: str | Path,
    schema: Schema,
    *,
    labeller: str = "bundled",
    machines: Machines | None = None,
    log: Callable[[str], object] = print,
) -> tuple[int, pd.DataFrame]:
    """Index every photograph below a folder, so that `search_folder` finds it by words or by a photograph.

    A call that was stopped goes on where it was when it is made again.

        >>> schema = Schema.load("wardrobe")  # doctest: +SKIP
        >>> images, broken = index_folder("photographs", "index.parquet", schema)  # doctest: +SKIP

    Args:
        folder: The photographs, nested or flat.
        out: A ``.parquet`` file to write: the table of `label_folder`, and ``embedding``, the model's
            half-precision embedding of length 1 as bytes (``numpy.frombuffer(cell, "float16")``). The
            file's metadata say by what model, schema and preprocessing. Of more than `vectors.BLOCK` bytes
            of embeddings, with the extra ``search``, graphs to search in are put into ``<out>.graphs``.
        schema: Gives attributes, classes, prompts and thresholds of the labels. An attribute that the
            labeller cannot do on photographs is left out, see `asked_of`.
        labeller: See `Labeller.load`.
        machines: As in `label_folder`.
        log: Called with a line that says what was loaded.

    Returns:
        How many photographs the index holds; and the broken files, ``path`` (below the folder), ``reason``.

    Raises:
        ValueError, LabellerError, StoreError, ClusterError: As `label_folder`.
    """
    out = output_file(out, TABLES[:1])
    schema = asked_of(schema, labeller).schema
    job = Indexing(schema, found_from_anywhere(labeller), 100.0, True)
    encoder = job.encoder("cpu", lambda _: None)
    record = {
        **facts_of(encoder.labeller),
        "schema": schema.name,
        "attributes": [asdict(attribute) for attribute in schema],
        "folder": str(Path(folder).absolute()),
        "dimensions": encoder.dimensions,
    }
    graphs = Graphs(out, encoder.dimensions, log)
    extra = Extra([field_of(encoder.dimensions)], graphs.add, lambda: about(record, graphs))
    found = answered(job, folder, out, machines, None, log, extra=extra)
    graphs.tidy()
    return found
