"""Statistics with their replicates, as rows, over seeds and as differences."""

import numpy as np
import pytest

from swatchbook.evaluation.replicates import (
    Replicates,
    differences,
    mean_of_defined,
    over_seeds,
    tidy,
    weighted_means,
    with_ones,
)
from swatchbook.evaluation.resample import image_weights


def test_the_first_row_of_weights_gives_the_plain_mean_without_what_is_unknown():
    values = np.array([[1.0, np.nan], [3.0, 5.0], [np.nan, np.nan]])
    weights = with_ones(np.array([[2.0, 0, 1], [0, 3, 0]]))
    assert weighted_means(values, weights).tolist()[0] == [2, 5]
    assert weighted_means(values[:, 0], weights).tolist() == [2, 1, 3]
    assert np.isnan(weighted_means(values[:, 1], weights)[1])
    assert mean_of_defined(np.array([[1, np.nan, 3], [np.nan] * 3]))[0] == 2
    assert np.isnan(mean_of_defined(np.full((1, 3), np.nan))[0])


def test_a_row_has_its_percentiles_and_an_undefined_statistic_says_so():
    samples = np.concatenate([[0.5], np.arange(101) / 100])
    table = tidy(
        {("a", 1): Replicates(samples, 7, "; so"), ("b", 2): Replicates(np.full(3, np.nan), 0)},
        ["name", "k"], level=0.9, how="bootstrap",
    )  # fmt: skip
    assert list(table) == ["name", "k", "value", "low", "high", "n", "interval"]
    assert table.iloc[0, 2:6].tolist() == pytest.approx([0.5, 0.05, 0.95, 7])
    assert table.loc[0, "interval"] == "90% percentile bootstrap, B=101; so"
    assert table.loc[1, "interval"] == "not estimable"
    assert table.loc[1, ["value", "low", "high"]].isna().all()


def test_seeds_are_averaged_and_paired_in_their_differences(rng):
    weights = with_ones(image_weights(200, 400, rng))
    truth = rng.random(200)
    ours = [
        {("x",): Replicates(weighted_means(truth + 0.1 + 0.01 * seed, weights), 200)} for seed in range(3)
    ]
    theirs = [{("x",): Replicates(weighted_means(truth, weights), 200)} for _ in range(3)]
    mean = over_seeds(ours)[("x",)]
    assert mean.samples[0] == pytest.approx(truth.mean() + 0.11)
    assert mean.note == "; mean of 3 seeds, which deviate by 0.0100"
    difference = differences(ours, theirs)[("x",)]
    # The same images in every replicate: what is added to each of them is the difference in each replicate.
    assert difference.samples == pytest.approx(np.full(401, 0.11))
    assert over_seeds(ours[:1])[("x",)].note == ""


def test_trainings_that_cannot_be_compared_are_refused():
    one = {("x",): Replicates(np.ones(3), 1)}
    with pytest.raises(ValueError, match="different statistics"):
        over_seeds([one, {("y",): Replicates(np.ones(3), 1)}])
    with pytest.raises(ValueError, match="2 trainings against 1; allowed: as many"):
        differences([one, one], [one])
