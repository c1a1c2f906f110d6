"""Images → cosines with every class.

Cosines are what is kept: labels, confidences and abstentions follow from them, so thresholds and the scale of
logits can change without looking at an image again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from swatchbook.labeller.shards import SHARD, encode_in_shards
from swatchbook.labeller.zero_shot import Labeller
from swatchbook.schema import Schema


class CosineEncoder:
    """A labeller and the classes of a schema as an `shards.Encoder`: images → cosines.

    Args:
        labeller: The model.
        schema: Gives attributes, classes and prompts.
        short_side: See `shards.Encoder`.

    Attributes:
        columns: ``<attribute>:<class>`` of every class.
    """

    precision, threads = "fp32", None

    def __init__(self, labeller: Labeller, schema: Schema, short_side: int | None = None) -> None:
        self.labeller, self.schema, self.short_side = labeller, schema, short_side
        self.device = labeller.device
        self.name = f"labeller {labeller.name} at {labeller.revision[:12]}"
        self.columns = [f"{a.name}:{label}" for a in schema for label in a.classes]
        # Here and not in the threads that encode, which compute on one core and may round otherwise.
        self._classes = np.concatenate(list(labeller.class_embeddings(schema).values()))

    @property
    def identity(self) -> dict[str, str]:
        """The schema with its prompts, the model's files, and the runtime, whose rounding is its own."""
        prompts = [[a.name, label, a.prompts(label)] for a in self.schema for label in a.classes]
        digest = hashlib.sha256(json.dumps(prompts).encode()).hexdigest()
        name, runtime = f"{self.schema.name} ({digest[:16]})", self.labeller.network.runtime
        return {"schema": name, "model": self.labeller.fingerprint, "runtime": runtime}

    def prepare(self, image: Image.Image) -> np.ndarray:
        """An RGB picture at the labeller's size."""
        return self.labeller.shrink(image)

    def encode(self, pictures: list[np.ndarray]) -> np.ndarray:
        """Cosines of pictures with every class, float32, shape (pictures, classes)."""
        cosines = self.labeller.embed(pictures) @ self._classes.T
        return self.labeller.calibration.apply(cosines, self.schema)


def cosine_table(
    labeller: Labeller,
    paths: Sequence[str | Path],
    schema: Schema,
    folder: Path,
    *,
    batch: int | None = None,
    shard: int = SHARD,
    tolerated: float = 0.01,
    workers: int | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cosines of images with every class, computed or taken up where an earlier call was stopped.

    Args:
        labeller: The model.
        paths: Image files.
        schema: Gives attributes, classes and prompts.
        folder: Where shards are kept; made if absent.
        batch: Images in one go; by default ``shards.usual_batch``.
        shard: Images in a shard.
        tolerated: Share of files in [0, 1] that may be unreadable.
        workers: Threads that read and shrink images; one a core by default.

    Returns:
        The cosines, float32, a row a path in the order given and a column ``<attribute>:<class>``; null
        throughout where the file is unreadable. And the unreadable files: ``path``, ``reason``.

    Raises:
        ValueError: If there are no paths, an argument lies outside its range, or more than ``tolerated``
            of the files are unreadable.
    """
    if not 0 <= tolerated <= 1:
        raise ValueError(f"tolerated must lie in [0, 1]; received {tolerated}")
    parts: list[pd.DataFrame] = []
    lost: list[dict] = []
    encoder = CosineEncoder(labeller, schema)
    for part, broken in encode_in_shards(encoder, paths, folder, batch=batch, shard=shard, workers=workers):
        parts.append(part)
        lost += broken.to_dict("records")
        if len(lost) > tolerated * len(paths):
            first = "; ".join(f"{b['path']} ({b['reason']})" for b in lost[:3])
            raise ValueError(
                f"{len(lost)} of {len(paths)} images are unreadable, more than {tolerated:.1%}: {first}"
            )
    return pd.concat(parts), pd.DataFrame(lost, columns=["path", "reason"])
