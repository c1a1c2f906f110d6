"""Time to index and to answer, and what approximate search misses.

    python benchmarks/search.py --out docs/results/search.csv
    python benchmarks/search.py --out search.csv --vectors 1000 100000 --images 256 --rounds 1

Indexed are photographs, drawn unless --folder names some, beside `label` on the same ones, in turn. Answered
are questions among made vectors whose variance falls with the number of the dimension, as that of embeddings
does (--flat: it does not, the hardest case): by an index as the package writes it, exactly and by its graphs;
by LanceDB and by one array in memory, for comparison. Each lives in a process of its own. Rows of other
measurements in the file stay.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from turns import Contestant, NotHereError, Turns, in_turn, machine

TOP = 10
DIMENSIONS = 128  # of the labeller in the box
BATCH = 2**14
COLUMNS = ["part", "what", "size", "metric", "value", "low", "high", "n", "interval", "command", "commit"]


def main(given: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    asked = _arguments(given)
    os.environ.update(CUDA_VISIBLE_DEVICES="", TQDM_DISABLE="1", TOKENIZERS_PARALLELISM="false")
    os.environ.update(RUST_LOG="error", LANCE_CPU_THREADS="1", RAYON_NUM_THREADS="1")  # a core each
    print(machine("cpu"), file=sys.stderr)
    if asked.images:
        write_rows(asked.out, "index", indexing(asked), given)
    for rows in answering(asked):
        write_rows(asked.out, "answer", rows, given)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.csv")
    parser.add_argument("--vectors", type=int, nargs="*", default=[1000, 100_000, 1_000_000], metavar="N")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument(
        "--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY", help=", ".join(WAYS)
    )
    parser.add_argument("--flat", action="store_true", help="equal variance in every dimension")
    parser.add_argument("--images", type=int, default=2000, help="photographs of a turn; 0 leaves this out")
    parser.add_argument("--rounds", type=int, default=3, help="turns that index and label")
    parser.add_argument("--folder", type=Path, help="photographs of one's own, instead of drawn ones")
    parser.add_argument("--drawn", type=int, default=128, help="different photographs to draw (%(default)s)")
    parser.add_argument("--size", type=int, default=256, help="short side of drawn JPEGs (%(default)s px)")
    asked = parser.parse_args(given)
    if asked.out.suffix != ".csv" or not asked.out.absolute().parent.is_dir():
        parser.error(f"--out {str(asked.out)!r}; allowed: a .csv file in a folder that exists")
    if min(asked.vectors, default=TOP) < TOP or asked.queries < 2 or asked.rounds < 1:
        parser.error(f"allowed: --vectors from {TOP}, --queries from 2, --rounds from 1")
    return asked


def write_rows(out: Path, part: str, rows: list[dict], given: Sequence[str] | None) -> None:
    """Put rows into the file in the place of earlier ones of the same part, subject and size; print them."""
    from swatchbook.pipeline.provenance import provenance

    asked = sys.argv[1:] if given is None else given
    command = f"python benchmarks/{Path(sys.argv[0]).name} {shlex.join(map(str, asked))}"
    table = pd.DataFrame(rows).assign(part=part, command=command, commit=provenance()["commit"])[COLUMNS]
    if out.is_file():
        before = pd.read_csv(out)
        same = before.set_index(COLUMNS[:3]).index.isin(table.set_index(COLUMNS[:3]).index)
        table = pd.concat([before[~same], table], ignore_index=True)
    table.to_csv(out, index=False, float_format="%.5g")
    print(pd.DataFrame(rows).to_string(index=False))


# ---- photographs a second ---------------------------------------------------------------------------


def indexing(asked: argparse.Namespace) -> list[dict]:
    """Images a second of `label` and `index`, and the bytes of an index."""
    from material import linked, photographs

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        folder = linked(photographs(place, asked.folder, asked.drawn, asked.size), asked.images, place / "in")
        who = [
            Contestant(what, work_through, {"folder": folder, "what": what}) for what in ("label", "index")
        ]
        label, index = (each.found for each in in_turn(who, asked.rounds, _log, uncounted=1))
    rows = []
    for what, turns in (("label", label), ("index", index)):
        for clock, metric in (("seconds", "images per second"), ("processor", "images per processor second")):
            rates = [asked.images / turn[clock] for turn in turns]
            rows.append(_spread(what, asked.images, metric, rates, "rounds"))
        rows.append(_spread(what, asked.images, "peak MiB", [turn["peak_mib"] for turn in turns], "rounds"))
        size = [turn["bytes"] / asked.images for turn in turns]
        rows.append(_spread(what, asked.images, "bytes of the table per image", size, "rounds"))
    ratios = [b["processor"] / a["processor"] for a, b in zip(label, index, strict=True)]
    return [
        *rows,
        _spread("index", asked.images, "processor time as a multiple of label's", ratios, "rounds"),
    ]


def work_through(turns: Turns, folder: Path, what: str) -> None:
    """`label` or `index`, from files to the written table."""
    from swatchbook import Schema, index_folder, label_folder

    work = {"label": label_folder, "index": index_folder}[what]
    schema = Schema.load("wardrobe")
    while True:
        turns.wait()
        with tempfile.TemporaryDirectory() as name:
            out, began, processor = Path(name, "out.parquet"), time.perf_counter(), time.process_time()
            work(folder, out, schema, log=lambda _: None)
            taken = {"seconds": time.perf_counter() - began, "processor": time.process_time() - processor}
            turns.tell(**taken, bytes=out.stat().st_size)


# ---- answers among made vectors ---------------------------------------------------------------------


def answering(asked: argparse.Namespace) -> Iterator[list[dict]]:
    """Seconds to build, bytes, milliseconds to answer and recall: of each size and way in turn."""
    for size in asked.vectors:
        given = {"size": size, "queries": asked.queries, "flat": asked.flat}
        for name in asked.ways:
            (outcome,) = in_turn([Contestant(name, WAYS[name], given)], 1, _log)
            if outcome.note:
                _log(f"{name}: {outcome.note}")
                continue
            turn, rows = outcome.found[0], []
            what = f"{name}{', flat' if asked.flat else ''}"
            rows.append(_spread(what, size, "milliseconds to answer", turn["times"], "questions"))
            processor = [turn["processor"]]
            rows.append(_spread(what, size, "processor milliseconds to answer", processor, ""))
            rows.append(_mean(what, size, f"recall at {TOP}", turn["recalls"]))
            for metric in ("processor seconds to build", "bytes per vector", "peak_mib"):
                rows.append(_spread(what, size, metric.replace("_mib", " MiB"), [turn[metric]], ""))
            yield rows


def made(rows: int, seed: int, flat: bool) -> Iterator[np.ndarray]:
    """Unit vectors, float32, a batch at a time."""
    rng = np.random.default_rng(seed)
    scale = np.ones(DIMENSIONS) if flat else 1 / np.sqrt(np.arange(1, DIMENSIONS + 1))
    for start in range(0, rows, BATCH):
        vectors = rng.standard_normal((min(BATCH, rows - start), DIMENSIONS), dtype=np.float32) * scale
        yield (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def exact_index(turns: Turns, size: int, queries: int, flat: bool) -> None:
    """The package's table, every row compared."""
    _index(turns, size, queries, flat, exact=True)


def graph_index(turns: Turns, size: int, queries: int, flat: bool) -> None:
    """The package's table with one graph over all rows."""
    from swatchbook.bulk.vectors import usearch

    if usearch() is None:
        raise NotHereError("not installed: usearch")
    _index(turns, size, queries, flat, exact=False)


def _index(turns: Turns, size: int, queries: int, flat: bool, exact: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from swatchbook.bulk.vectors import EMBEDDING, Graphs, VectorTable, about, field_of, packed

    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "index.parquet")
        began = time.process_time()
        graphs = Graphs(path, DIMENSIONS, block=2**40 if exact else size * DIMENSIONS * 2)
        columns = pa.schema([("path", pa.string()), field_of(DIMENSIONS)])
        packing = {"compression": {"path": "SNAPPY", EMBEDDING: "NONE"}, "use_dictionary": ["path"]}
        with pq.ParquetWriter(
            path, columns, write_page_checksum=True, write_statistics=["path"], **packing
        ) as file:
            for number, vectors in enumerate(made(size, 1, flat)):
                for start in range(0, len(vectors), 1024):
                    some = packed(vectors[start : start + 1024])
                    names = [f"{number * BATCH + start + k:09d}.jpg" for k in range(len(some))]
                    file.write_table(pa.table([names, some], schema=columns))
                    if not exact:
                        graphs.add(pd.DataFrame({EMBEDDING: some}))
            file.add_key_value_metadata(about({"dimensions": DIMENSIONS}, graphs))
        built = time.process_time() - began
        files = [file for file in Path(name).rglob("*") if file.is_file()]
        weight = sum(file.stat().st_size for file in files) / size
        table = VectorTable(path)
        _tell(turns, size, queries, flat, built, weight, lambda q: table.nearest(q, TOP, exact=exact)[0])


def array(turns: Turns, size: int, queries: int, flat: bool) -> None:
    """All vectors in memory as one float32 array."""
    began = time.process_time()
    held = np.concatenate(list(made(size, 1, flat)))
    built = time.process_time() - began

    def answer(query: np.ndarray) -> np.ndarray:
        scores = held @ query
        best = np.argpartition(-scores, TOP - 1)[:TOP]
        return best[np.argsort(-scores[best])]

    _tell(turns, size, queries, flat, built, held.nbytes / size, answer)


def lance_exact(turns: Turns, size: int, queries: int, flat: bool) -> None:
    """LanceDB's table, every row compared."""
    _lance(turns, size, queries, flat, exact=True)


def lance_graph(turns: Turns, size: int, queries: int, flat: bool) -> None:
    """LanceDB's graphs over vectors of 8 bits, the ten times as many best compared exactly."""
    _lance(turns, size, queries, flat, exact=False)


def _lance(turns: Turns, size: int, queries: int, flat: bool, exact: bool) -> None:
    try:
        import lancedb
        from lancedb.index import HnswSq
    except ImportError:
        raise NotHereError("not installed: lancedb") from None
    import pyarrow as pa

    def parts() -> Iterator[pa.RecordBatch]:
        for number, vectors in enumerate(made(size, 1, flat)):
            rows = np.arange(len(vectors)) + number * BATCH
            cells = pa.FixedSizeListArray.from_arrays(
                pa.array(vectors.astype(np.float16).ravel()), DIMENSIONS
            )
            yield pa.record_batch([pa.array(rows), cells], schema=columns)

    columns = pa.schema([("row", pa.int64()), ("vector", pa.list_(pa.float16(), DIMENSIONS))])
    with tempfile.TemporaryDirectory() as name:
        began = time.process_time()
        table = lancedb.connect(name).create_table("photographs", parts(), schema=columns)
        if not exact:
            table.create_index("vector", config=HnswSq(distance_type="cosine"))
        built = time.process_time() - began
        weight = sum(file.stat().st_size for file in Path(name).rglob("*") if file.is_file()) / size

        def answer(query: np.ndarray) -> np.ndarray:
            search = table.search(query).distance_type("cosine").limit(TOP).select(["row", "_distance"])
            search = search.bypass_vector_index() if exact else search.refine_factor(10)
            return search.to_arrow()["row"].to_numpy()

        _tell(turns, size, queries, flat, built, weight, answer)


#: How questions are answered.
WAYS = {
    "index, exact": exact_index,
    "index, graphs": graph_index,
    "one array in memory, exact": array,
    "LanceDB, exact": lance_exact,
    "LanceDB, IVF_HNSW_SQ": lance_graph,
}


def _tell(
    turns: Turns,
    size: int,
    queries: int,
    flat: bool,
    built: float,
    weight: float,
    answer: Callable[[np.ndarray], np.ndarray],
) -> None:
    """Ask every question once, after one that does not count, and compare with all rows."""
    asked = next(made(queries, 2, flat))
    turns.wait()
    answer(asked[0])
    times, found, processor = [], [], time.process_time()
    for query in asked:
        began = time.perf_counter()
        found.append(answer(query))
        times.append(1000 * (time.perf_counter() - began))
    processor = 1000 * (time.process_time() - processor) / queries
    true = truth(size, asked, flat)
    recalls = [len(set(map(int, a)) & set(b)) / TOP for a, b in zip(found, true.tolist(), strict=True)]
    more = {"processor": processor, "processor seconds to build": built, "bytes per vector": weight}
    turns.tell(times=times, recalls=recalls, **more)
    turns.wait()


def truth(size: int, asked: np.ndarray, flat: bool) -> np.ndarray:
    """The rows with the greatest inner products, in any order, in full precision: shape (questions, TOP)."""
    rows, scores = np.zeros((len(asked), 0), int), np.zeros((len(asked), 0), np.float32)
    for number, vectors in enumerate(made(size, 1, flat)):
        rows = np.hstack([rows, np.tile(np.arange(len(vectors)) + number * BATCH, (len(asked), 1))])
        scores = np.hstack([scores, asked @ vectors.T])
        best = np.argpartition(-scores, TOP - 1, axis=1)[:, :TOP]
        rows, scores = np.take_along_axis(rows, best, 1), np.take_along_axis(scores, best, 1)
    return rows


def _spread(what: str, size: int, metric: str, values: Sequence[float], of: str) -> dict:
    """The median of some measurements and how far they spread."""
    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    several = {"low": low, "high": high, "interval": f"median; the middle 95 % of the {of}"}
    one = {"low": np.nan, "high": np.nan, "interval": "measured once"}
    more = several if len(values) > 1 else one
    return {"what": what, "size": size, "metric": metric, "value": middle, "n": len(values), **more}


def _mean(what: str, size: int, metric: str, values: Sequence[float]) -> dict:
    """The mean over questions with its percentile bootstrap."""
    from swatchbook.evaluation.resample import image_weights, percentile_interval

    values = np.asarray(values)
    weights = image_weights(len(values), 2000, np.random.default_rng(0))
    low, high = percentile_interval(weights @ values / weights.sum(1))
    interval = "95 % percentile bootstrap of questions, B=2000"
    return {
        "what": what, "size": size, "metric": metric, "value": values.mean(), "low": float(low),
        "high": float(high), "n": len(values), "interval": interval,
    }  # fmt: skip


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
