"""Linear probes: logistic regressions on a frozen backbone's features, the baseline of every fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd

from swatchbook.evaluation.resample import table
from swatchbook.schema import Schema

#: Name of a probe → how its logistic regressions weigh the classes.
PROBES = {"probe": None, "probe_balanced": "balanced"}
STRENGTHS = (0.001, 0.01, 0.1)  # of the regularisation, C

Score = Callable[[np.ndarray], float]


def probe_probabilities(
    features: np.ndarray,
    parts: tuple[int, int],
    codes: Mapping[str, np.ndarray],
    schema: Schema,
    scores: Mapping[str, Score],
) -> Iterator[tuple[str, pd.DataFrame]]:
    """The probabilities of every class by each of `PROBES`; held-out images choose C, attribute by attribute.

    Args:
        features: Of the images to fit, those to choose with, and those that are asked, in this order; shape
            (n, D).
        parts: How many images are for fitting and how many for choosing.
        codes: Attribute → codes of the first ``sum(parts)`` images.
        schema: Gives the attributes.
        scores: Probe → what is maximised of the table of counts (truth by answer) of the images to choose
            with.

    Yields:
        The name of a probe, and columns ``<attribute>:<class>``, a row an image that is asked; 0 for a class
        that no image to fit has.
    """
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    fit, choose = parts
    scaled = StandardScaler().fit(features[:fit]).transform(features).astype(np.float32)
    seen, choosing, asked = np.split(scaled, [fit, fit + choose])
    for name, weights in PROBES.items():
        columns: dict[str, np.ndarray] = {}
        for a in schema:
            classes, held = codes[a.name][:fit], codes[a.name][fit : fit + choose]
            model = LogisticRegression(class_weight=weights, max_iter=300, warm_start=True)
            constant = len(np.unique(classes)) == 1
            best, p = -np.inf, np.zeros((len(asked), len(a)))
            for strength in STRENGTHS:  # each starts where the one before ended
                given = DummyClassifier() if constant else model.set_params(C=strength)
                given.fit(seen, classes)
                reached = scores[name](table(held, given.predict(choosing), (len(a), len(a))))
                if reached > best:
                    best = reached
                    p[:, given.classes_] = given.predict_proba(asked)
            columns |= {f"{a.name}:{label}": p[:, k] for k, label in enumerate(a.classes)}
        yield name, pd.DataFrame(columns)
