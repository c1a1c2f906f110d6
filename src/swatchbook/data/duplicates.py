"""One photograph under two names: found by file hash and by perceptual hash, and kept in one split.

A photograph in training and in test makes a test score a memory test. Copies of a file are found by
SHA-256. Copies that were scaled or saved again are found by pHash (C. Zauner, Implementation and
benchmarking of perceptual image hash functions, 2010): the signs of the lowest 8 × 8 frequencies of a
32 × 32 grey picture against their median. Because a shirt in red and the same shirt in blue have nearly one
pHash, the colours of two pictures must agree as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from swatchbook.data.images import require
from swatchbook.data.strict_csv import DataError

# Photographs saved again at JPEG quality 30 or at half their size differ by at most 4 bits and 2 levels. Of
# the 451,725 pairs of 951 different photographs of garments, 15 differ by at most 10 bits. One of these lies
# within 12 levels and shows the same skirt twice; the next two, at 15 and 17, show different garments.
MAX_DISTANCE = 10  # of 64 bits; always an even number, as half of the bits are set
MAX_COLOUR = 12.0  # levels of 255
_FLAT = 3.0  # levels; with less contrast the signs of frequencies are noise
_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_BLOCK = 256
_COLUMNS = ["image_id", "other", "kind", "distance", "split", "other_split", "folder", "other_folder"]


def perceptual_hash(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Perceptual hash of each picture, and its colours at 8 × 8 for a second opinion.

    Args:
        pixels: uint8, shape (n, S, S, 3), S being a multiple of 32; may be a map on disk, of which a block
            at a time is read.

    Returns:
        Bits, bool of shape (n, 64); and mean colours of 8 × 8 equal fields, float32 of shape (n, 8, 8, 3),
        0 to 255.
    """
    side = pixels.shape[1] if pixels.ndim == 4 else 0
    if pixels.shape[1:] != (side, side, 3) or side % 32 or not side:
        raise ValueError(
            f"pixels have shape {pixels.shape}; allowed: (images, S, S, 3), S being a multiple of 32"
        )
    bits = np.empty((len(pixels), 64), dtype=bool)
    colours = np.empty((len(pixels), 8, 8, 3), dtype=np.float32)
    for start in range(0, len(pixels), _BLOCK):
        block = np.asarray(pixels[start : start + _BLOCK])
        # Whole numbers, rows before columns: exact, and five times as fast as a mean over both axes at once.
        rows = block.reshape(-1, 32, side // 32, side * 3).sum(axis=2, dtype=np.uint32)
        sums = rows.reshape(-1, 32, 32, side // 32, 3).sum(axis=3, dtype=np.uint32)
        small = sums.astype(np.float32) / np.float32((side // 32) ** 2)
        low = dctn(small @ _GREY, axes=(1, 2))[:, :8, :8].reshape(-1, 64)
        bits[start : start + _BLOCK] = low > np.median(low, axis=1, keepdims=True)
        colours[start : start + _BLOCK] = small.reshape(-1, 8, 4, 8, 4, 3).mean(axis=(2, 4))
    return bits, colours


def pairs(
    manifest: pd.DataFrame,
    pixels: np.ndarray | None = None,
    max_distance: int = MAX_DISTANCE,
    max_colour: float = MAX_COLOUR,
) -> pd.DataFrame:
    """Pairs of images that are copies of each other, exactly or nearly.

    Args:
        manifest: With ``image_id, folder, split, sha256``.
        pixels: Its rows as `perceptual_hash` takes them; None looks for exact copies only.
        max_distance: Most bits of 64 in which near copies differ.
        max_colour: Most that their colours differ on average over 8 × 8 fields and RGB, in levels of 255.

    Returns:
        ``image_id, other, kind`` (exact or near), ``distance`` (bits, 0 if exact) and both images'
        ``split, other_split, folder, other_folder``; exact before near, each by image_id and other. Of a
        file that is there k times, k − 1 exact pairs are listed, all with its first image_id; only that
        one stands for the file among near pairs. Pictures of (almost) one colour have no near copies.
    """
    require(manifest, ("image_id", "folder", "split", "sha256"))
    order = np.argsort(manifest["image_id"].to_numpy(dtype=object), kind="stable")
    code = pd.factorize(manifest["sha256"].to_numpy(dtype=object)[order])[0]
    first = order[np.unique(code, return_index=True)[1]]  # of each file, in the order of its appearance
    others = np.setdiff1d(order, first)
    representative = np.empty(len(manifest), dtype=np.int64)
    representative[order] = first[code]
    copies = [(representative[others], others, np.zeros(len(others), dtype=np.int64))]
    if pixels is not None:
        if len(pixels) != len(manifest):
            raise ValueError(f"pixels have {len(pixels):,} rows; allowed: the manifest's {len(manifest):,}")
        copies.append(_near(*perceptual_hash(pixels), np.sort(first), max_distance, max_colour))
    tables = [
        _table(manifest, a, b, kind, distance)
        for kind, (a, b, distance) in zip(("exact", "near"), copies, strict=False)
    ]
    return pd.concat(tables, ignore_index=True)


def _near(
    bits: np.ndarray, colours: np.ndarray, rows: np.ndarray, max_distance: int, max_colour: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs among some rows, and their distances in bits."""
    rows = rows[np.ptp(colours[rows], axis=(1, 2)).max(axis=1) > _FLAT]
    signs = np.where(bits[rows], np.float32(1), np.float32(-1))
    copies = []
    for start in range(0, len(rows), _BLOCK * 4):
        # The product of two signs is 1 where bits agree, so 64 − 2·distance is a matrix product.
        product = signs[start : start + _BLOCK * 4] @ signs[start:].T
        a, b = np.nonzero(product >= 64 - 2 * max_distance)
        distance = ((64 - product[a, b]) / 2).round().astype(np.int64)
        copies.append(np.stack([a + start, b + start, distance])[:, a < b])
    a, b, distance = np.concatenate(copies, axis=1) if copies else np.zeros((3, 0), dtype=np.int64)
    a, b = rows[a], rows[b]
    step = 100_000
    apart = [
        np.abs(colours[a[i : i + step]] - colours[b[i : i + step]]).mean(axis=(1, 2, 3))
        for i in range(0, len(a), step)
    ]
    alike = np.concatenate(apart) <= max_colour if apart else np.zeros(0, dtype=bool)
    return a[alike], b[alike], distance[alike]


def _table(
    manifest: pd.DataFrame, a: np.ndarray, b: np.ndarray, kind: str, distance: np.ndarray
) -> pd.DataFrame:
    ids = manifest["image_id"].to_numpy(dtype=object)
    a, b = np.where(ids[a] <= ids[b], a, b), np.where(ids[a] <= ids[b], b, a)
    table = pd.DataFrame({"image_id": ids[a], "other": ids[b], "kind": kind, "distance": distance})
    for column in ("split", "folder"):
        values = manifest[column].to_numpy(dtype=object)
        table[column], table[f"other_{column}"] = values[a], values[b]
    return table[_COLUMNS].sort_values(["image_id", "other"], ignore_index=True)


def straddling(copies: pd.DataFrame) -> pd.DataFrame:
    """The pairs whose images lie in different splits; an image without a split is in none."""
    placed = copies["split"].notna() & copies["other_split"].notna()
    return copies[placed & (copies["split"] != copies["other_split"])].reset_index(drop=True)


def label_conflicts(manifest: pd.DataFrame, found: pd.DataFrame, attributes: Sequence[str]) -> pd.DataFrame:
    """The pairs, with the attributes whose labels differ although the picture is one.

    Args:
        manifest: With ``image_id`` and a column an attribute.
        found: As ``pairs`` gives it.
        attributes: Names of the attributes. Where one of the two labels is null, nothing differs.

    Returns:
        ``found`` with ``conflicting``, names of attributes joined by "; ", empty where the labels agree.
    """
    labels = manifest.set_index("image_id")[list(attributes)].astype(object)
    ours, theirs = labels.loc[found["image_id"]], labels.loc[found["other"]]
    differ = (ours.to_numpy() != theirs.to_numpy()) & ours.notna().to_numpy() & theirs.notna().to_numpy()
    names = ["; ".join(name for name, wrong in zip(attributes, row, strict=True) if wrong) for row in differ]
    return found.assign(conflicting=np.array(names, dtype=object))


def refuse_straddling(copies: pd.DataFrame) -> None:
    """Stop if an exact copy lies in two splits; near copies are for a person to look at.

    Args:
        copies: As ``pairs`` gives it.

    Raises:
        DataError: Names the first pair.
    """
    exact = straddling(copies[copies["kind"] == "exact"])
    if len(exact):
        row = exact.iloc[0]
        raise DataError(
            f"{row['image_id']!r} ({row['split']}) and {row['other']!r} ({row['other_split']}) are the same "
            f"file ({len(exact):,} such pairs); allowed: copies in one split. Split by group, or leave "
            "out the copies"
        )


def leave_out_copies(manifest: pd.DataFrame, copies: pd.DataFrame) -> pd.DataFrame:
    """Leave test as it is, and drop from validation and training what has a copy in a split before it.

    Args:
        manifest: With ``image_id, split`` (train, val or test).
        copies: As ``pairs`` gives it, exact and near; whatever is listed counts as a copy, and so does a
            copy of a copy.

    Returns:
        The manifest without these rows.
    """
    group = groups(manifest, copies)
    rank = manifest["split"].map({"test": 0, "val": 1, "train": 2})
    if rank.isna().any():
        wrong = manifest.loc[rank.isna(), "split"].iloc[0]
        raise ValueError(f"split {wrong!r}; allowed: train, val, test")
    return manifest[(rank == rank.groupby(group).transform("min")).to_numpy()].reset_index(drop=True)


def said(found: int, lost: pd.DataFrame, decision: str) -> str:
    """A sentence on copies in two splits.

    Args:
        found: How many pairs.
        lost: The images that are left out, with ``split``.
        decision: ``drop``, if images were left out for it, or ``keep``.
    """
    pairs = f"{found:,} pairs of copies lie in two splits (tables/duplicates.csv)"
    if decision == "drop":
        counts = {split: int((lost["split"] == split).sum()) for split in ("train", "val")}
        return f"{pairs}: {counts['train']:,} images were left out of train and {counts['val']:,} out of val."
    return f"{pairs} and stayed there: scores on test are too high by as much as was learnt by heart."


def groups(manifest: pd.DataFrame, copies: pd.DataFrame) -> np.ndarray:
    """Number the groups of images that are linked by pairs; an image without a copy is a group.

    Args:
        manifest: With ``image_id``.
        copies: As ``pairs`` gives it.

    Returns:
        int64 of shape (images,), counted from 0 in the order of the manifest.
    """
    require(manifest, ("image_id",))
    index = pd.Index(manifest["image_id"])
    a, b = index.get_indexer(copies["image_id"]), index.get_indexer(copies["other"])
    if min(a.min(initial=0), b.min(initial=0)) < 0:
        raise ValueError("pairs name images that the manifest lacks; allowed: pairs of this manifest")
    links = coo_array((np.ones(len(a)), (a, b)), shape=(len(index), len(index)))
    component = connected_components(links, directed=False)[1]
    return pd.factorize(component)[0].astype(np.int64)


def split_by_group(
    manifest: pd.DataFrame, group: np.ndarray, shares: Mapping[str, float], seed: int
) -> pd.DataFrame:
    """Split at random, stratified by folder, so that each group stays together.

    A group belongs to the folder of its first image. In each folder the groups are shuffled, larger ones
    first, and dealt out in proportion to the shares, so that each split gets its part of the large ones.

    Args:
        manifest: With ``image_id, folder``.
        group: As ``groups`` gives it, shape (images,).
        shares: Split → share of the images, positive, with sum 1, such as
            ``{"train": 0.6, "val": 0.2, "test": 0.2}``.
        seed: At least 0.

    Returns:
        The manifest with a new ``split``.

    Source:
        The method of Sainte-Laguë, for groups of any size.
    """
    require(manifest, ("image_id", "folder"))
    share = np.array(list(shares.values()), dtype=float)
    if not len(share) or (share <= 0).any() or not np.isclose(share.sum(), 1):
        raise ValueError(f"shares must be positive with sum 1; received {dict(shares)}")
    if len(group) != len(manifest):
        raise ValueError(f"group has {len(group):,} entries; allowed: one a row of {len(manifest):,}")
    table = pd.DataFrame({"group": group, "folder": manifest["folder"].to_numpy(dtype=object)})
    units = table.groupby("group", sort=True).agg(folder=("folder", "first"), size=("folder", "size"))
    chosen = pd.Series(-1, index=units.index)
    for folder, rows in units.groupby("folder", sort=True):
        rng = np.random.default_rng([seed, *str(folder).encode()])
        rows = rows.iloc[rng.permutation(len(rows))].sort_values("size", ascending=False, kind="stable")
        # Ties are broken by lot, or many small folders would all overlook the same split.
        taken = np.zeros(len(share))
        for name, size in rows["size"].items():
            into = int(np.argmin((taken + size / 2) / share + 1e-6 * rng.random(len(share))))
            chosen[name] = into
            taken[into] += size
    names = np.array(list(shares), dtype=object)
    return manifest.assign(split=names[chosen.loc[group].to_numpy()])
