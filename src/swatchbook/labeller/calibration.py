"""Calibration: cosines corrected so that the softmax of 100 times them is how often a label is right.

For each attribute one factor (temperature) and, for each class, one number that is added, as fitted on judged
photographs. Corrected cosines are still on the scale of cosines, so that what is made of them stays as it is.
A correction holds for the classes that it was fitted with; cosines with others stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import optimize, special

from swatchbook.schema import Schema

CALIBRATION = "calibration.json"
_SPREAD = 1.0  # standard deviation that the added logits are expected to have


@dataclass(frozen=True)
class Calibration:
    """What is done to a labeller's cosines; nothing by default.

    Attributes:
        factors: Attribute → what its cosines are multiplied by, above 0.
        added: Attribute → class → what is then added, for every class that it was fitted with.
    """

    factors: Mapping[str, float] = field(default_factory=dict)
    added: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

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
            added = {name: {c: float(v) for c, v in some.items()} for name, some in written["added"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path}: factors and added, numbers by attribute, are needed ({error!r})"
            ) from None
        if factors.keys() != added.keys() or not all(0 < value < np.inf for value in factors.values()):
            raise ValueError(f"{path}: a factor above 0 for each attribute is needed; received {factors}")
        return cls(factors, added)

    def apply(self, cosines: np.ndarray, schema: Schema) -> np.ndarray:
        """Corrected cosines.

        Args:
            cosines: Shape (images, classes of all attributes), in the schema's order.
            schema: Gives attributes and classes; those without a correction stay as they are.
        """
        factors, added = [], []
        for a in schema:
            fitted = self.added.get(a.name, {})
            holds = set(fitted) == set(a.classes)
            factors += [self.factors[a.name] if holds else 1.0] * len(a.classes)
            added += [fitted[label] if holds else 0.0 for label in a.classes]
        return cosines * np.array(factors, np.float32) + np.array(added, np.float32)


def fit(logits: np.ndarray, truth: np.ndarray) -> tuple[float, np.ndarray]:
    """Temperature and bias by maximum likelihood, the biases held near 0 by a normal prior.

    Args:
        logits: Shape (n, classes).
        truth: Class numbers, shape (n,).

    Returns:
        The factor of the logits, and what is added to each class's, shape (classes,), of sum 0.

    Source:
        Bias-corrected temperature scaling: Alexandari et al. (2020), Maximum likelihood with bias-corrected
        calibration is hard-to-beat at label shift adaptation, arXiv 1901.06852.
    """
    rows, k = np.arange(len(truth)), logits.shape[1]

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        factor, added = np.exp(parameters[0]), parameters[1:]
        scaled = factor * logits + added
        value = (special.logsumexp(scaled, axis=1) - scaled[rows, truth]).sum()
        wrong = special.softmax(scaled, axis=1)
        wrong[rows, truth] -= 1
        prior = added / _SPREAD**2
        gradient = np.concatenate([[factor * (wrong * logits).sum()], wrong.sum(0) + prior])
        return value + added @ prior / 2, gradient

    found = optimize.minimize(loss, np.zeros(k + 1), jac=True, method="L-BFGS-B").x
    return float(np.exp(found[0])), found[1:] - found[1:].mean()
