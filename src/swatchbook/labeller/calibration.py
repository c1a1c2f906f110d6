"""Calibration: cosines scaled so that the softmax of 100 times them is how often a label is right.

One factor an attribute, its temperature, as fitted on judged photographs. Scaled cosines stay on the scale of
cosines, so that what is made of them stays as it is, and keep their order, so that no label changes. A factor
holds for the classes that it was fitted with; cosines with others stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from swatchbook.schema import Schema

CALIBRATION = "calibration.json"
_RANGE = (1 / 20, 20.0)  # of factors


@dataclass(frozen=True)
class Calibration:
    """What is done to a labeller's cosines; nothing by default.

    Attributes:
        factors: Attribute → what its cosines are multiplied by, above 0.
        classes: Attribute → the classes that its factor was fitted with.
    """

    factors: Mapping[str, float] = field(default_factory=dict)
    classes: Mapping[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Calibration:
        """That of a labeller's folder; none where it has no such file.

        Raises:
            ValueError: If the file is not one of ours.
        """
        path = folder / CALIBRATION
        if not path.is_file():
            return cls()
        try:
            written = json.loads(path.read_text(encoding="utf-8"))
            factors = {name: float(value) for name, value in written["factors"].items()}
            classes = {name: list(some) for name, some in written["classes"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: factors and classes by attribute are needed ({error!r})") from None
        if factors.keys() != classes.keys() or not all(0 < value < np.inf for value in factors.values()):
            raise ValueError(f"{path}: a factor above 0 for each attribute is needed; received {factors}")
        return cls(factors, classes)

    def apply(self, cosines: np.ndarray, schema: Schema) -> np.ndarray:
        """Scaled cosines.

        Args:
            cosines: Shape (images, classes of all attributes), in the schema's order.
            schema: Gives attributes and classes.
        """
        factors = []
        for a in schema:
            holds = set(self.classes.get(a.name, ())) == set(a.classes)
            factors += [self.factors[a.name] if holds else 1.0] * len(a.classes)
        return cosines * np.array(factors, np.float32)


def temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """The factor of logits that makes the truth likeliest.

    Args:
        logits: Shape (n, classes).
        truth: Class numbers, shape (n,).

    Source:
        Temperature scaling: Guo et al. (2017), On calibration of modern neural networks, arXiv 1706.04599.
    """
    from scipy import optimize, special  # here, since labelling alone need not wait for it

    right = logits[np.arange(len(truth)), truth]

    def loss(log_factor: float) -> float:
        factor = np.exp(log_factor)
        return float((special.logsumexp(factor * logits, axis=1) - factor * right).sum())

    found = optimize.minimize_scalar(loss, bounds=tuple(np.log(_RANGE)), method="bounded")
    return float(np.exp(found.x))
