"""Ranks and recalls against naive loops, and chance and ceilings against simulation."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import label_ranking_average_precision_score

from swatchbook.evaluation import retrieval
from swatchbook.evaluation.replicates import beside_others, with_ones
from swatchbook.evaluation.resample import image_weights


def unit(values):
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def naive(queries, targets, same):
    exact, best = [], []
    for i in range(len(queries)):
        nearness = [float(queries[i] @ target) for target in targets]
        exact.append(sum(x >= nearness[i] for x in nearness))
        alike = [j for j in range(len(targets)) if same[j] == same[i]]
        top = max(nearness[j] for j in alike)
        best.append(1 + sum(nearness[j] >= top for j in range(len(targets)) if j not in alike))
    return exact, best


def test_ranks_equal_a_naive_loop(rng):
    # Whole numbers, whose products are exact, so that ties are ties.
    queries, targets = rng.integers(-2, 3, (60, 4)).astype(float), rng.integers(-2, 3, (60, 4)).astype(float)
    same = rng.integers(0, 25, 60)
    exact, best = retrieval.pair_ranks(queries, targets, same)
    wanted = naive(queries, targets, same)
    assert exact.tolist() == wanted[0]
    assert best.tolist() == wanted[1]
    assert (best <= exact).all()


def test_blocks_do_not_change_ranks(rng, monkeypatch):
    queries, targets = unit(rng.normal(size=(50, 8))), unit(rng.normal(size=(50, 8)))
    whole = retrieval.pair_ranks(queries, targets)
    monkeypatch.setattr(retrieval, "_BLOCK", 7)
    assert np.array_equal(retrieval.pair_ranks(queries, targets), whole)


def test_equal_embeddings_are_found_last_and_equal_captions_first():
    ones = np.ones((10, 3))
    exact, best = retrieval.pair_ranks(ones, ones, ["a"] * 10)
    assert exact.tolist() == [10] * 10  # nothing is owed to a tie
    assert best.tolist() == [1] * 10


def test_an_embedding_that_is_not_finite_or_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        retrieval.pair_ranks(np.full((2, 2), np.nan), np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"queries \(2, 2\) and targets \(3, 2\)"):
        retrieval.pair_ranks(np.ones((2, 2)), np.ones((3, 2)))
    with pytest.raises(ValueError, match="same has 1 entries; allowed: one a target, 2"):
        retrieval.pair_ranks(np.ones((2, 2)), np.ones((2, 2)), ["a"])


def drawn(items, rng, draws):
    """Weights of as many draws of items, after a row of ones."""
    return with_ones(image_weights(len(items), draws, rng, np.asarray(items, dtype=object)))


def scores_of(ranks, rng, draws):
    items = ranks["item"][ranks["model"] == ranks["model"].iloc[0]]
    return retrieval.score_table(retrieval.retrieval_statistics(ranks, drawn(items, rng, draws)), len(items))


def references(captions, attributes, rng, **options):
    n = len(captions)
    weights = drawn(range(n), rng, 20)
    return retrieval.score_table(retrieval.reference_statistics(captions, attributes, weights, **options), n)


def ranks_of(rank, items, model="m"):
    columns = {"stage": "1", "direction": "image to text", "item": items, "rank": rank}
    return pd.DataFrame(columns).assign(rank_same_caption=1, pool=len(items), model=model)


def test_recall_median_and_reciprocal_rank_by_hand(rng):
    table = scores_of(ranks_of([1, 3, 6, 20], list("abcd")), rng, draws=50)
    assert list(table) == retrieval.COLUMNS
    exact = table[table["task"] == "exact pair"].fillna({"k": 0}).set_index(["metric", "k"])["value"]
    assert exact["recall"].to_dict() == {1.0: 0.25, 5.0: 0.5, 10.0: 0.75}
    assert exact["median_rank", 0] == 4.5
    assert exact["mrr", 0] == pytest.approx((1 + 1 / 3 + 1 / 6 + 1 / 20) / 4)
    same = table[(table["task"] == "same caption") & (table["metric"] == "recall")]
    assert same["value"].tolist() == [1, 1, 1]
    assert table["pool"].unique().tolist() == [4]
    assert table["interval"].str.contains("bootstrap of items").all()


def test_the_mean_reciprocal_rank_is_scikit_learns(rng):
    queries, targets = unit(rng.normal(size=(80, 5))), unit(rng.normal(size=(80, 5)))
    exact, _ = retrieval.pair_ranks(queries, targets)
    assert (1 / exact).mean() == pytest.approx(
        label_ranking_average_precision_score(np.eye(80), queries @ targets.T)
    )


def test_photographs_of_one_item_make_wider_intervals_than_as_many_items(rng):
    rank = np.repeat(np.where(np.arange(100) % 2, 1, 50), 5)
    alone = scores_of(ranks_of(rank, np.arange(500)), rng, draws=500)
    together = scores_of(ranks_of(rank, np.repeat(np.arange(100), 5)), rng, draws=500)
    width = [
        (t["high"] - t["low"])[t["metric"].eq("recall") & t["task"].eq("exact pair")].iloc[0]
        for t in (alone, together)
    ]
    assert width[1] / width[0] == pytest.approx(np.sqrt(5), rel=0.2)


def test_the_weighted_median_is_numpys(rng):
    values = rng.integers(1, 9, 31)
    weights = image_weights(31, 40, rng)
    wanted = [np.median(np.repeat(values, row.astype(int))) for row in weights]
    assert retrieval.weighted_median(values, weights).tolist() == wanted


def test_models_of_different_queries_are_refused(rng):
    both = pd.concat([ranks_of([1, 2], list("ab")), ranks_of([1, 2], list("ac"), "n")])
    with pytest.raises(ValueError, match="ranks of different queries"):
        scores_of(both, rng, draws=20)


def test_a_table_of_ranks_has_both_directions(rng):
    images, texts = unit(rng.normal(size=(6, 3))), unit(rng.normal(size=(6, 3)))
    table = retrieval.rank_table(images, texts, list("aabbcc"), list("uvwxyy"), model="m", stage="1")
    assert list(table) == retrieval.RANKS
    assert table["rank"].tolist() == [
        *retrieval.pair_ranks(images, texts)[0],
        *retrieval.pair_ranks(texts, images)[0],
    ]
    assert table["direction"].value_counts().to_dict() == {"image to text": 6, "text to image": 6}


def test_chance_and_ceilings_are_what_a_search_by_lot_and_by_attributes_reaches(rng):
    n = 40
    captions = [f"caption {i % 25}" for i in range(n)]
    attributes = (np.arange(n) % 11)[:, None] == np.arange(11)
    table = references(captions, attributes, rng).set_index(["model", "task", "direction", "metric", "k"])[
        "value"
    ]
    equal = pd.factorize(np.array(captions))[0]
    trials, kinds = 4000, np.argmax(attributes, axis=1)
    hits = {"chance": [], "same": [], "bag": []}
    ranks = []
    for _ in range(trials):
        lot = rng.random(n)
        i = rng.integers(n)
        order = np.argsort(-lot)
        hits["chance"].append(i in order[:5])
        hits["same"].append((equal[order[:5]] == equal[i]).any())
        by_attribute = np.lexsort([lot, kinds != kinds[i]])
        hits["bag"].append(i in by_attribute[:2])
        ranks.append(1 + np.flatnonzero(by_attribute == i)[0])
    error = 4 * 0.5 / np.sqrt(trials)
    assert table["chance", "exact pair", "image to text", "recall", 5] == pytest.approx(5 / n)
    assert table["chance", "same caption", "text to image", "recall", 5] == pytest.approx(
        np.mean(hits["same"]), abs=error
    )
    by_attributes = references(captions, attributes, rng, ks=(2,))
    ceiling = by_attributes.query(
        "model == 'bag of attributes' and metric == 'recall' and direction == 'image to text'"
    )
    assert ceiling["value"].iloc[0] == pytest.approx(np.mean(hits["bag"]), abs=error)
    mrr = by_attributes.query(
        "model == 'bag of attributes' and metric == 'mrr' and direction == 'image to text'"
    )
    assert mrr["value"].iloc[0] == pytest.approx(np.mean(1 / np.array(ranks)), abs=error)
    # 15 captions occur twice and 10 once: half of the 30 doubled queries find their own first.
    first = table["captions", "exact pair", "image to text", "recall", 1]
    assert first == pytest.approx((30 * 0.5 + 10) / 40)


def test_a_perfect_encoder_of_captions_meets_its_ceiling(rng):
    captions = [f"caption {i % 30}" for i in range(50)]
    same = pd.factorize(np.array(captions))[0]
    embedding = np.eye(30)[same]
    exact, best = retrieval.pair_ranks(embedding, embedding, captions)
    assert (best == 1).all()
    size = np.bincount(same)[same]
    assert exact.tolist() == size.tolist()  # worst place among the equal ones


def test_a_difference_is_paired_and_between_two_stages(rng):
    one, other = (
        ranks_of([1, 3, 6, 20], list("abcd")),
        ranks_of([1, 1, 6, 20], list("abcd")).assign(stage="2"),
    )
    weights = drawn(list("abcd"), rng, 60)
    found = retrieval.retrieval_statistics(pd.concat([one, other]), weights)
    table = retrieval.difference_table(found, [(("m", "2"), ("m", "1"))])
    assert list(table) == retrieval.DIFFERENCES
    exact = table[(table["task"] == "exact pair") & (table["metric"] == "recall")].set_index("k")
    assert exact["value"].to_dict() == {1: 0.25, 5: 0.0, 10: 0.0}
    # One query of four differs: it is drawn k times of 4, and never to the other's advantage.
    assert exact.loc[1, "low"] >= 0
    assert (exact.loc[5, "low"], exact.loc[5, "high"]) == (0, 0)
    assert exact["interval"].str.contains("paired").all()


def test_a_score_is_held_against_many_others_with_both_errors(rng):
    few, many = (rng.integers(1, 30, n) for n in (40, 200))
    here = retrieval.retrieval_statistics(ranks_of(few, np.arange(40)), drawn(range(40), rng, 400))
    there = retrieval.retrieval_statistics(ranks_of(many, np.arange(200)), drawn(range(200), rng, 400))
    table = beside_others([here], [there], retrieval.COLUMNS[:6], level=0.95, how=retrieval.HOW)
    row = table[(table["task"] == "exact pair") & (table["k"] == 10)].iloc[0]
    p, q = (few <= 10).mean(), (many <= 10).mean()
    assert (row["value"], row["known"]) == (pytest.approx(p), pytest.approx(q))
    reach = 1.96 * np.sqrt(p * (1 - p) / 40 + q * (1 - q) / 200)
    assert row["low"] == pytest.approx(p - q - reach, abs=0.05)
    assert row["high"] == pytest.approx(p - q + reach, abs=0.05)
    assert row["covered"] == (row["low"] <= 0 <= row["high"])
