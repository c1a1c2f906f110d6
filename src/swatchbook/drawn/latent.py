"""A world whose truth is known: attributes coupled through a hidden class, with an exact Cramér's V.

A hidden class z ~ π has M values; given z the attributes are independent with θ_j. With probability
1 − λ every attribute is drawn independently from its own margin instead. The margins then do not
depend on λ, and V_ab(λ) = λ · V_ab(1) exactly, so an estimator can be held against the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class World:
    """A joint distribution of attributes with known coupling.

    Attributes:
        prior: π, shape (M,), sums to 1.
        given: Attribute → θ_j, shape (M, K_j), rows sum to 1.
        coupling: λ in [0, 1].
    """

    prior: np.ndarray
    given: Mapping[str, np.ndarray]
    coupling: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.coupling <= 1:
            raise ValueError(f"coupling must lie in [0, 1]; received {self.coupling}")

    @classmethod
    def random(
        cls, sizes: Mapping[str, int], rng: np.random.Generator, hidden: int = 10, concentration: float = 0.1
    ) -> World:
        """Draw a world: π and every row of θ from Dirichlet distributions.

        Args:
            sizes: Attribute → number of classes K_j.
            rng: Source of randomness.
            hidden: M, the number of hidden classes.
            concentration: Dirichlet parameter of θ; small values couple the attributes strongly.
        """
        given = {name: rng.dirichlet(np.full(k, concentration), size=hidden) for name, k in sizes.items()}
        return cls(rng.dirichlet(np.ones(hidden)), given)

    def with_coupling(self, coupling: float) -> World:
        """The same margins with another λ in [0, 1]."""
        return replace(self, coupling=coupling)

    def margin(self, a: str) -> np.ndarray:
        """P(attribute a), shape (K_a,); the same for every λ."""
        return self.prior @ self.given[a]

    def joint(self, a: str, b: str) -> np.ndarray:
        """P(a, b), shape (K_a, K_b)."""
        coupled = (self.given[a] * self.prior[:, None]).T @ self.given[b]
        return self.coupling * coupled + (1 - self.coupling) * np.outer(self.margin(a), self.margin(b))

    def cramers_v(self, a: str, b: str) -> float:
        """The exact Cramér's V of a and b in [0, 1]."""
        p, independent = self.joint(a, b), np.outer(self.margin(a), self.margin(b))
        occurs = independent > 0
        phi2 = ((p - independent)[occurs] ** 2 / independent[occurs]).sum()
        return float(np.sqrt(phi2 / (min(p.shape) - 1)))

    def sample(self, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw n images: attribute → int16 codes of shape (n,)."""
        z = rng.choice(len(self.prior), size=n, p=self.prior)
        coupled = rng.random(n) < self.coupling
        drawn = {}
        for name, theta in self.given.items():
            rows = np.where(coupled[:, None], theta[z], self.margin(name))
            drawn[name] = draw_rows(rows, rng)
        return drawn

    def labels(
        self, n: int, rng: np.random.Generator, classes: Mapping[str, Sequence[str]]
    ) -> dict[str, np.ndarray]:
        """Draw n images: attribute → the names of their classes, objects of shape (n,).

        Args:
            n: Number of images.
            rng: Source of randomness, see ``truth_stream``.
            classes: Attribute → names of its classes; more attributes than the world's may be there.
        """
        codes = self.sample(n, rng)
        return {name: np.array(classes[name], dtype=object)[drawn] for name, drawn in codes.items()}


def truth_stream(seed: int) -> np.random.Generator:
    """The randomness of a data set's labels, which are all drawn before any image is.

    Image i has a stream of its own, ``default_rng([seed, i])``; a spawn key keeps this one apart from them.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))


def draw_rows(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One category from each row of probabilities: int16 codes of shape (n,).

    Args:
        p: Shape (n, K), rows sum to 1.
        rng: Source of randomness.
    """
    cumulative = np.cumsum(p, axis=1)
    # The last column can fall short of 1 by rounding; a draw there must still be a class that occurs.
    drawn = (rng.random(len(p))[:, None] * cumulative[:, -1:] > cumulative).sum(axis=1)
    return drawn.astype(np.int16)
