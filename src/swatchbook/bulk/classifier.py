"""A trained model as an encoder of images: photographs → class probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from swatchbook.data.pixels import SIZE, square
from swatchbook.models.finished import CONFIG, schema_of
from swatchbook.models.hardware import placed
from swatchbook.models.inference import outputs_of
from swatchbook.models.pixel_loader import PixelLoader
from swatchbook.models.tasks import heads
from swatchbook.store import sha256


class Classifier:
    """A model that training has finished, as a `labeller.shards.Encoder`.

    Args:
        folder: The model's.
        device: ``auto``, ``cuda`` or ``cpu``.

    Attributes:
        schema: The attributes and classes that it answers.
        recipe: How it was trained.
        columns: ``<attribute>:<class>`` of every class; the values are their probabilities.
        hardware: Where it runs, and why.

    Raises:
        CheckpointError: If the folder holds no finished model.
        ValueError: If it was trained on images of another size than this package stores.
    """

    short_side = None  # it was trained on images that were scaled from their full size

    def __init__(self, folder: Path, device: str = "auto") -> None:
        self.name, self.schema = f"model {folder}", schema_of(folder)
        network, config = heads.load(folder, self.schema)
        if config["side"] != SIZE:
            raise ValueError(
                f"{folder} was trained on images stored at {config['side']} pixels; allowed: {SIZE}"
            )
        self.recipe, self.hardware = heads.settings_of(config, device)
        self.threads = self.recipe.threads
        self.network = placed(network, self.hardware.device)
        self.device, self.precision = self.hardware.device, self.hardware.precision
        # The config holds a SHA-256 over itself and the weights, which loading has compared.
        self.identity = {"model": sha256(folder / CONFIG)}
        self.columns = [f"{a.name}:{label}" for a in self.schema for label in a.classes]

    def prepare(self, image: Image.Image) -> np.ndarray:
        """An RGB picture as it is stored for training: uint8, shape (256, 256, 3)."""
        return square(image).pixels

    def encode(self, pictures: list[np.ndarray]) -> np.ndarray:
        """Class probabilities of such pictures, float32, shape (pictures, classes)."""
        stored = np.stack(pictures)
        loader = PixelLoader(stored, self.recipe, self.device, keep=False)
        rows = np.arange(len(stored))
        logits = outputs_of(self.network, loader, rows, self.recipe, self.hardware)
        return torch.cat([torch.softmax(logits[name], 1) for name in self.schema.names], 1).numpy()
