"""Nearness against likeness: scipy's rank correlation, one query at a time."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from swatchbook.evaluation import likeness
from swatchbook.evaluation.replicates import with_ones
from swatchbook.evaluation.resample import image_weights


def test_likeness_is_spearmans_correlation_over_all_others(rng):
    embeddings = rng.normal(size=(30, 4))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    codes = {"a": rng.integers(0, 3, 30), "b": rng.integers(0, 2, 30), "c": rng.integers(0, 4, 30)}
    found = likeness.likeness(embeddings, codes)
    for i in (0, 13, 29):
        others = np.delete(np.arange(30), i)
        alike = [np.mean([codes[n][i] == codes[n][j] for n in codes]) for j in others]
        assert found[i] == pytest.approx(spearmanr(embeddings[others] @ embeddings[i], alike).statistic)


def test_an_embedding_by_attributes_is_like_them_and_one_point_is_not_estimable(rng):
    codes = {"a": np.repeat([0, 1], 10), "b": np.tile([0, 1], 10)}
    by_attribute = np.stack(
        [codes["a"] == 0, codes["a"] == 1, codes["b"] == 0, codes["b"] == 1], 1
    ) / np.sqrt(2)
    weights = with_ones(image_weights(20, 30, rng))
    given = {("m", "1"): by_attribute, ("flat", "1"): np.ones((20, 1))}
    found = likeness.likeness_statistics(given, codes, weights)
    assert found["m", "1", "likeness", "", "spearman", likeness.np.nan].samples[0] == pytest.approx(1)
    assert np.isnan(found["flat", "1", "likeness", "", "spearman", likeness.np.nan].samples[0])
