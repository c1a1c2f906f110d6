"""What is shown of one model: queries with what they find, and a map of the test images."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd

from swatchbook.evaluation.retrieval import DIRECTIONS, pair_ranks
from swatchbook.pipeline.stage import Trace
from swatchbook.studies.retrieval.images import squares
from swatchbook.studies.retrieval.systems import SYSTEMS
from swatchbook.studies.retrieval.tables import answers_of

SHOWN = 5  # found pictures, or captions, of a query
SIDE = 112  # of a picture, in pixels
MAPPED = ("category", "sleeve_length", "upper_fabric", "upper_pattern")
_MOST = 2000  # images of the map
RULE = "queries at equal steps of the rank of their own pair, from the best to the worst"


def show(trace: Trace, name: str) -> None:
    """Queries and the nearest pictures and captions, with pictures; and the map.

    Args:
        trace: Of the stage.
        name: Of the system.
    """
    from PIL import Image

    system = SYSTEMS[name]
    answers = answers_of(trace, [name], system.split, "test")
    images, texts = answers.embeddings[system.key]
    about = answers.manifest
    rows = []
    for direction, (queries, targets) in zip(DIRECTIONS, ((images, texts), (texts, images)), strict=True):
        exact, _ = pair_ranks(queries, targets)
        chosen = at_equal_steps(exact, trace.setting("gallery"))
        for query in chosen:
            nearness = targets @ queries[query]
            found = np.argsort(-nearness, kind="stable")[:SHOWN]
            for place, target in enumerate([query, *found]):
                rows.append(
                    {
                        "system": name,
                        "direction": direction,
                        "query": about["image_id"].iloc[query],
                        "rank": int(exact[query]),
                        "pool": len(about),
                        "place": place,  # 0: the query and its own pair
                        "image_id": about["image_id"].iloc[target],
                        "caption": about["caption"].iloc[target],
                        "cosine": float(nearness[target]),
                        "own": target == query,
                        "same_caption": about["caption"].iloc[target] == about["caption"].iloc[query],
                    }
                )
    table = pd.DataFrame(rows)
    trace.write_table("tables/retrieval_gallery.csv", table)
    manifest = trace.table("manifest.parquet")
    stored = squares(trace, len(manifest))
    place = pd.Index(manifest["image_id"]).get_indexer(table["image_id"])
    pictures = np.stack([np.asarray(Image.fromarray(stored[row]).resize((SIDE, SIDE))) for row in place])
    into = io.BytesIO()
    np.save(into, pictures)
    trace.write("gallery.npy", lambda path: path.write_bytes(into.getvalue()))
    trace.write_table("tables/retrieval_map.csv", map_table(about, images, trace.setting("seed")))


def at_equal_steps(ranks: np.ndarray, count: int) -> np.ndarray:
    """Queries at equal steps of their rank's order, first and last included; ties in their own order."""
    order = np.argsort(ranks, kind="stable")
    return order[np.unique(np.linspace(0, len(order) - 1, count).round().astype(int))]


def map_table(about: pd.DataFrame, images: np.ndarray, seed: int) -> pd.DataFrame:
    """Two dimensions in which near images stay near: ``image_id, x, y`` and `MAPPED`.

    Source:
        t-SNE, van der Maaten & Hinton (2008), JMLR 9:2579–2605, as scikit-learn has it.
    """
    from sklearn.manifold import TSNE

    some, images = about.iloc[:_MOST], images[:_MOST]
    perplexity = min(30.0, (len(some) - 1) / 3)
    method = TSNE(2, perplexity=perplexity, metric="cosine", init="random", random_state=seed)
    places = method.fit_transform(images)
    table = some[["image_id", *MAPPED]].reset_index(drop=True)
    table.insert(1, "x", places[:, 0])
    table.insert(2, "y", places[:, 1])
    return table
