"""Which images a person should judge: strata, how many of each, and the draw, with known weights.

``fabric`` takes the same number from every fabric, as published. ``neyman`` asks most where the machine is
least sure. An audit serves every attribute at once, so by default its strata are a crossing of the
confidence bands of all attributes, each attribute's abstentions being a band of their own. Strata from the
classes and confidences of one named attribute would serve that one better and the others worse than a
simple random sample of the same size (in drawn populations by about a third, and a fifth).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from swatchbook.audit.columns import SAMPLE_COLUMNS, STRATA_COLUMNS
from swatchbook.schema import Schema

DESIGNS = ("fabric", "neyman")
BANDS = 3
LEAST = 2  # judgements a stratum needs to show its variance
APART = 20  # items between the two judgements of one image, so that the first is forgotten
ABSTAINED = "abstained"
MIXED = "mixed"
_FLOOR = 0.1  # no image is taken to be surer than p(1 − p) = 0.1²: a labeller can be sure and wrong


@dataclass(frozen=True)
class Design:
    """Strata of a split and how many images of each are asked for.

    Attributes:
        stratum: Index of each image's stratum, shape (N,), values 0…H−1.
        drawn: Images to draw from each, shape (H,); they sum to n.
        key: A row a stratum: the columns of `STRATA_COLUMNS` but for the code.
    """

    stratum: np.ndarray
    drawn: np.ndarray
    key: pd.DataFrame


def draw_audit(
    test: pd.DataFrame,
    silver: pd.DataFrame | None,
    schema: Schema,
    *,
    design: str,
    n: int,
    repeats: int = 0,
    seed: int = 0,
    attribute: str | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw the images that a person is asked about, in the order of asking.

    Args:
        test: The test split, a row an image with ``image_id`` and ``folder``; of a whole manifest (with
            ``split``) the test split is taken.
        silver: ``image_id`` and, per attribute, label (null = abstained) and ``<attribute>_confidence``, for
            at least the test split; needed for ``neyman`` only.
        schema: Gives the attributes.
        design: ``fabric`` or ``neyman``.
        n: Images to be judged.
        repeats: How many of them are judged a second time, at least `APART` items later where the sample is
            long enough; chosen at random.
        seed: Same seed, same sample.
        attribute: With ``neyman``, the one attribute to serve; all by default.

    Returns:
        (sample, strata): columns `SAMPLE_COLUMNS`, n + ``repeats`` rows, and columns `STRATA_COLUMNS`. Codes
        of strata are dealt at random, because a stratum made from the machine's labels must not tell them.

    Raises:
        ValueError: If the design is unknown or lacks its silver labels, there are fewer images than asked
            for, or fewer judgements than two a stratum.

    Source:
        Neyman (1934), J. R. Stat. Soc. 97:558–625, for the allocation.
    """
    split = of_test_split(test)
    plan = make_design(split, silver, schema, design=design, n=n, attribute=attribute)
    if not 0 <= repeats <= n:
        raise ValueError(f"repeats must lie between 0 and n={n}; received {repeats}")
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(draw_within(plan.stratum, plan.drawn, rng))
    again = np.sort(_repeated(n, repeats, rng))
    where = np.concatenate([np.arange(n, dtype=float), _later(again, n, rng)])
    order = np.argsort(where, kind="stable")
    of_item = np.concatenate([chosen, chosen[again]])[order]
    strata = len(plan.drawn)
    codes = np.array([f"s{i:0{max(2, len(str(strata)))}d}" for i in range(1, strata + 1)], dtype=object)
    codes = rng.permutation(codes)
    population = np.bincount(plan.stratum, minlength=strata)
    of_stratum = plan.stratum[of_item]
    sample = pd.DataFrame(
        {
            "item": np.arange(1, n + repeats + 1),
            "image_id": split["image_id"].to_numpy(dtype=object)[of_item],
            "stratum": codes[of_stratum],
            "weight": (population / plan.drawn)[of_stratum],
            "repeat": (order >= n).astype(int),
        }
    )
    strata_key = plan.key.assign(stratum=codes).sort_values("stratum", ignore_index=True)
    return sample[list(SAMPLE_COLUMNS)], strata_key[list(STRATA_COLUMNS)]


def of_test_split(manifest: pd.DataFrame) -> pd.DataFrame:
    """The test split of a manifest; a table without the column ``split`` is taken to be one.

    Raises:
        ValueError: If it is empty or an image occurs twice.
    """
    split = manifest[manifest["split"] == "test"] if "split" in manifest else manifest
    if split.empty:
        raise ValueError("test: no image; at least two images of the test split are needed")
    twice = split["image_id"].duplicated()
    if twice.any():
        raise ValueError(f"test: image {split['image_id'][twice].iloc[0]!r} has two rows; one is allowed")
    return split.reset_index(drop=True)


def make_design(
    test: pd.DataFrame,
    silver: pd.DataFrame | None,
    schema: Schema,
    *,
    design: str,
    n: int,
    attribute: str | None = None,
) -> Design:
    """Strata and allocation for n judgements; arguments and errors as in `draw_audit`, nothing is random.

    Strata too small to be worth two judgements are joined with others of like uncertainty (their label in
    the key is "mixed"), so that a small audit has few strata and a large one many.
    """
    if design not in DESIGNS:
        raise ValueError(f"design {design!r} is unknown; allowed: {', '.join(DESIGNS)}")
    if not LEAST <= n <= len(test):
        raise ValueError(
            f"n must lie between {LEAST} and the {len(test):,} images of the test split; received {n}"
        )
    if design == "fabric":
        if attribute is not None:
            raise ValueError(f"attribute {attribute!r}: only the design neyman is for one attribute")
        names, stratum = np.unique(test["folder"].to_numpy(dtype=object).astype(str), return_inverse=True)
        population = np.bincount(stratum)
        drawn = allocate(np.ones(len(names)), population, n)
        return Design(stratum, drawn, _key(population, drawn, fabric=names))
    if silver is None:
        raise ValueError("design 'neyman' needs silver labels with their confidences; received none")
    labels = aligned(silver, test["image_id"])
    served = _served(labels, schema, attribute)
    cell, names = _cells(labels, schema, served, attribute)
    confidence = np.stack([labels[f"{name}_confidence"].to_numpy(dtype=float) for name in served])
    stratum, spread = _joined(cell, confidence, n)
    population = np.bincount(stratum)
    drawn = allocate(population * spread, population, n)
    frame = pd.DataFrame({"stratum": stratum, "name": names[cell], "sure": _mean(confidence)})
    by = frame.groupby("stratum")
    first, last = by["name"].min(), by["name"].max()
    label = first.where(first == last, MIXED).to_numpy(dtype=object)
    columns = {
        "attribute": "+".join(served),
        "label": label,
        "confidence_low": by["sure"].min().to_numpy(),
        "confidence_high": by["sure"].max().to_numpy(),
    }
    return Design(stratum, drawn, _key(population, drawn, **columns))


def allocate(size: np.ndarray, population: np.ndarray, n: int) -> np.ndarray:
    """Whole numbers in proportion to ``size`` that sum to n, two or more a stratum, never more than it has.

    Args:
        size: What the numbers are to be proportional to, such as N_h · S_h; positive, shape (H,).
        population: N_h, shape (H,), at least 1.
        n: Their sum.

    Returns:
        Shape (H,). A stratum of one image gives that one.

    Raises:
        ValueError: If n is more than there are, or less than the least of each stratum.
    """
    size, population = np.asarray(size, dtype=float), np.asarray(population, dtype=np.int64)
    least = np.minimum(population, LEAST)
    if not least.sum() <= n <= population.sum():
        raise ValueError(
            f"n must lie between {least.sum()} ({LEAST} from each of {len(least)} strata) and "
            f"{population.sum()}; received {n}"
        )
    low, high = 0.0, float((population / size).max())
    for _ in range(100):
        middle = (low + high) / 2
        wanted = np.clip(size * middle, least, population)
        low, high = (low, middle) if wanted.sum() > n else (middle, high)
    wanted = np.clip(size * low, least, population)
    drawn = np.floor(wanted + 1e-9).astype(np.int64)
    spare = np.where(drawn < population, wanted - drawn, -1.0)
    drawn[np.argsort(-spare, kind="stable")[: n - drawn.sum()]] += 1
    assert drawn.sum() == n and (drawn <= population).all()
    return drawn


def draw_within(stratum: np.ndarray, drawn: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A simple random sample without replacement from each stratum: positions in increasing order.

    Args:
        stratum: Index of each image's stratum, shape (N,).
        drawn: Images to draw from each, shape (H,), at most as many as it has.
        rng: Source of randomness.
    """
    order = np.lexsort((rng.random(len(stratum)), stratum))
    first = np.searchsorted(stratum[order], np.arange(len(drawn)))
    rank = np.arange(len(order)) - first[stratum[order]]
    return np.sort(order[rank < drawn[stratum[order]]])


def aligned(silver: pd.DataFrame, image_ids: pd.Series) -> pd.DataFrame:
    """The silver labels of these images, in their order.

    Raises:
        ValueError: If an image has no row or two.
    """
    rows = pd.Index(silver["image_id"].to_numpy(dtype=object))
    if not rows.is_unique:
        raise ValueError(f"silver: image {rows[rows.duplicated()][0]!r} has two rows; one is allowed")
    place = rows.get_indexer(image_ids.to_numpy(dtype=object))
    if (place < 0).any():
        raise ValueError(f"silver: image {image_ids[place < 0].iloc[0]!r} has no row; each image needs one")
    return silver.iloc[place].reset_index(drop=True)


def _served(labels: pd.DataFrame, schema: Schema, attribute: str | None) -> list[str]:
    """Attributes with confidences: those that can tell sure from unsure."""
    able = [name for name in schema.names if labels[f"{name}_confidence"].notna().any()]
    if not able or (attribute is not None and attribute not in able):
        wanted = "design 'neyman'" if attribute is None else f"attribute {attribute!r}"
        raise ValueError(
            f"{wanted} needs confidences; the silver labels have some of: {', '.join(able) or 'none'}"
        )
    for name in able:
        sure = labels[f"{name}_confidence"].dropna()
        if not sure.between(0, 1).all():
            raise ValueError(
                f"silver: {name}_confidence from {sure.min():g} to {sure.max():g}; 0 to 1 is allowed"
            )
    return able if attribute is None else [attribute]


def _cells(
    labels: pd.DataFrame, schema: Schema, served: list[str], attribute: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """Index of each image's cell, shape (N,), and the cells' names."""
    parts = []
    for name in served:
        sure = labels[f"{name}_confidence"].to_numpy(dtype=float)
        band = _bands(sure, labels[name].notna().to_numpy() & ~np.isnan(sure))
        words = np.array([ABSTAINED, *(f"band {b} of {BANDS}" for b in range(1, BANDS + 1))], dtype=object)
        if attribute is None:
            parts.append(f"{name} " + words[band])
            continue
        code = schema.encode(labels, "silver")[name]
        classes = np.array([*schema[name].classes, ABSTAINED], dtype=object)
        parts.append(np.where(band == 0, ABSTAINED, classes[code] + ", " + words[band]))
    names, cell = np.unique(np.array([", ".join(x) for x in zip(*parts, strict=True)]), return_inverse=True)
    return cell, names


def _bands(sure: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """0 for an abstention, else 1 (least sure) … `BANDS`, each with an equal share of Σ √p(1 − p)."""
    band = np.zeros(len(sure), dtype=int)
    if labelled.any():
        values, inverse = np.unique(sure[labelled], return_inverse=True)
        doubt = np.bincount(inverse, np.maximum(np.sqrt(values * (1 - values)), _FLOOR)[inverse])
        before = (np.cumsum(doubt) - doubt) / doubt.sum()
        band[labelled] = 1 + np.minimum((before * BANDS).astype(int), BANDS - 1)[inverse]
    return band


def _joined(cell: np.ndarray, confidence: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Strata from cells: small cells joined by likeness; returns each image's and each stratum's S_h."""
    population, spread = np.bincount(cell), _spread(cell, confidence)
    expected = n * population * spread / (population * spread).sum()
    small = np.flatnonzero(expected < LEAST)
    small = small[np.argsort(spread[small], kind="stable")]
    groups = max(1, int(expected[small].sum() // LEAST))
    before = np.cumsum(expected[small]) - expected[small]
    joined = np.arange(len(population))
    joined[small] = len(population) + np.minimum((before / LEAST).astype(int), groups - 1)
    _, stratum = np.unique(joined[cell], return_inverse=True)
    return stratum, _spread(stratum, confidence)


def _spread(stratum: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """S_h: root of the mean over attributes of p(1 − p), p being a stratum's mean confidence; shape (H,)."""
    population = np.bincount(stratum)
    filled = np.where(np.isnan(confidence), 0.5, confidence)
    p = np.stack([np.bincount(stratum, sure) / population for sure in filled])
    return np.sqrt(np.maximum(p * (1 - p), _FLOOR**2).mean(axis=0))


def _mean(confidence: np.ndarray) -> np.ndarray:
    seen = ~np.isnan(confidence)
    total = np.where(seen, confidence, 0).sum(axis=0)
    return np.divide(total, seen.sum(0), out=np.full(len(total), np.nan), where=seen.any(axis=0))


def _key(population: np.ndarray, drawn: np.ndarray, **columns: object) -> pd.DataFrame:
    blank = dict.fromkeys(STRATA_COLUMNS[1:4]) | dict.fromkeys(STRATA_COLUMNS[4:6], np.nan)
    return pd.DataFrame({**blank, **columns, "population": population, "drawn": drawn})


def _repeated(n: int, repeats: int, rng: np.random.Generator) -> np.ndarray:
    """Which places of the order are asked again: at random among those early enough, then the latest."""
    early = max(n - APART + 1, 0)
    if repeats <= early:
        return rng.choice(early, repeats, replace=False) if repeats else np.zeros(0, dtype=int)
    return np.arange(repeats)


def _later(again: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Where each second judgement goes: `APART` items on or more, or in the order of the first at the end."""
    soonest = again + APART - 1.0
    return np.where(soonest < n, rng.uniform(np.minimum(soonest, n), n), n + again / n)
