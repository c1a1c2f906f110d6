"""The file of an index: photographs, their labels and embeddings as one Parquet table, and who is nearest.

An embedding is a cell of half-precision numbers. Up to `BLOCK` bytes of them a query is compared with every
one. Of more, each full block of rows has a graph beside the table (HNSW, extra ``search``), in which a query
looks at few of them and misses some; rows after the last full block are always compared one by one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from swatchbook.atomic import remove, write_file
from swatchbook.store import sha256

EMBEDDING = "embedding"
FORMAT = 1
#: Bytes of embeddings that one graph holds: those of 1,048,576 photographs at 128 dimensions.
BLOCK = 2**28
# Of the graphs: links of a node, candidates when it is put in, candidates when a query passes. What is missed
# with these, by size: docs/results/search.csv.
LINKS, EXPANSION_ADD, EXPANSION_SEARCH = 16, 128, 512
_KEY = "swatchbook"
_TYPE = np.float16
_AT_A_TIME = 2**14  # rows

#: A batch of rows → a value of each.
Measure = Callable[[pa.RecordBatch], np.ndarray]


class IndexFileError(RuntimeError):
    """A file that is no index, is damaged, or does not fit what is asked; the message says what to do."""


def field_of(dimensions: int) -> pa.Field:
    """The column of embeddings of so many dimensions."""
    return pa.field(EMBEDDING, pa.binary(dimensions * np.dtype(_TYPE).itemsize))


def packed(vectors: np.ndarray) -> list[bytes]:
    """Embeddings, shape (rows, dimensions), as cells of the column."""
    return [row.tobytes() for row in vectors.astype(_TYPE)]


def graphs_of(path: Path) -> Path:
    """The folder of a table's graphs."""
    return path.with_name(f"{path.name}.graphs")


class Graphs:
    """Makes the graphs of a table while its rows pass; memory holds one block and its graph.

    Args:
        path: The table's.
        dimensions: Of an embedding.
        log: Told once if there is a full block and the extra is not installed.
        block: Bytes of embeddings of a block.
    """

    def __init__(
        self, path: Path, dimensions: int, log: Callable[[str], object] = print, block: int = BLOCK
    ) -> None:
        self._folder, self._dimensions, self._log = graphs_of(path), dimensions, log
        self.rows = block // (dimensions * np.dtype(_TYPE).itemsize)
        self._waiting: list[np.ndarray] = []
        self._usearch = usearch()
        self.files: list[str] = []

    def add(self, part: pd.DataFrame) -> None:
        """Take note of rows, whose embeddings are cells as `packed` gives them."""
        self._waiting.append(_unpacked(b"".join(part[EMBEDDING]), self._dimensions))
        while sum(map(len, self._waiting)) >= self.rows:
            vectors = np.concatenate(self._waiting)
            self._waiting = [vectors[self.rows :].copy()]
            self._write_graph(vectors[: self.rows])

    def _write_graph(self, vectors: np.ndarray) -> None:
        if self._usearch is None:
            if not self.files:
                self._log(_absent(self.rows))
            self.files.append("")
            return
        graph = self._usearch.Index(
            ndim=self._dimensions,
            metric="ip",
            dtype="f16",
            connectivity=LINKS,
            expansion_add=EXPANSION_ADD,
        )
        # One thread, so that the same rows give the same graph.
        graph.add(np.arange(self.rows), vectors, threads=1)
        name = f"{len(self.files):05d}.usearch"
        write_file(self._folder / name, lambda path: graph.save(str(path)))
        self.files.append(name)

    def digests(self) -> list[str]:
        """SHA-256 of each graph, in order; none where the extra is not installed."""
        return [sha256(self._folder / name) for name in self.files if name]

    def tidy(self) -> None:
        """Remove the graphs of an earlier table that this one does not have."""
        if self._folder.is_dir():
            for file in self._folder.iterdir():
                if file.name not in self.files:
                    remove(file)
            if not any(self._folder.iterdir()):
                self._folder.rmdir()


class VectorTable:
    """An index, opened.

    Attributes:
        path: Its file.
        record: What `index_folder` noted of how it was made.
        rows: How many photographs it holds.
        dimensions: Of an embedding.
    """

    def __init__(self, path: str | Path, log: Callable[[str], object] = print) -> None:
        """Open an index.

        Args:
            path: Its file.
            log: Told once if the index has graphs and the extra is not installed.

        Raises:
            IndexFileError: If it is no index, is damaged, or was written by another version.
        """
        self.path = Path(path)
        if not self.path.is_file():
            raise IndexFileError(
                f"index {str(path)!r} is no file; swatchbook index DIR --out FILE.parquet makes one"
            )
        with self._whole():
            # Checksums are compared as pages are read, so what is answered from was undamaged.
            self._file = pq.ParquetFile(self.path, memory_map=True, page_checksum_verification=True)
            about = (self._file.metadata.metadata or {}).get(_KEY.encode())
            if about is None:
                raise IndexFileError(
                    f"{self.path} is a table without embeddings, such as label writes; make an index: "
                    "swatchbook index"
                )
            self.record = json.loads(about)
            if self.record["format"] != FORMAT:
                raise IndexFileError(
                    f"{self.path} has format {self.record['format']}, and this version reads {FORMAT}; "
                    "index the folder again"
                )
            self.dimensions, self.rows = int(self.record["dimensions"]), self._file.metadata.num_rows
            if self._file.schema_arrow.field(EMBEDDING) != field_of(self.dimensions):
                raise ValueError("its embeddings have another length than it says")
            self._starts = np.cumsum(
                [0] + [self._file.metadata.row_group(n).num_rows for n in range(self._file.num_row_groups)]
            )
        self._graphs = self._opened(log)

    @property
    def in_graphs(self) -> int:
        """How many rows are looked up in graphs."""
        return len(self._graphs) * int(self.record["block_rows"])

    def nearest(
        self,
        query: np.ndarray,
        top: int,
        *,
        columns: Sequence[str] = (),
        keep: Measure | None = None,
        distance: Measure | None = None,
        exact: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The rows nearest to a query: the least distance first, of equal ones the greatest inner product.

        Args:
            query: float32, shape (dimensions,).
            top: How many at most, at least 1.
            columns: What `keep` and `distance` read of a row beside its embedding.
            keep: Says of rows whether they may be answered; every row is compared then.
            distance: Of rows; NaN leaves one out. Every row is compared then. 0 by default.
            exact: Compare every row in any case.

        Returns:
            Rows, their inner products with the query, and their distances, of equal length.

        Raises:
            IndexFileError: If a page that is read is damaged.
        """
        query = np.ascontiguousarray(query, dtype=np.float32)
        plain = keep is None and distance is None and not exact
        first = self.in_graphs if plain else 0
        best = [self._in_graph(number, query, top) for number in range(len(self._graphs) if plain else 0)]
        for start, batch, vectors in self._batches(columns, first):
            rows = np.arange(start, start + len(vectors))
            far = np.zeros(len(rows)) if distance is None else distance(batch)
            held = ~np.isnan(far) if keep is None else ~np.isnan(far) & keep(batch)
            best = [_first([*best, (rows[held], (vectors @ query)[held], far[held])], top)]
        return _first(best, top) if best else (np.zeros(0, int), np.zeros(0), np.zeros(0))

    def take(self, rows: np.ndarray) -> pd.DataFrame:
        """The rows' paths and labels, in their order."""
        names = [name for name in self._file.schema_arrow.names if name != EMBEDDING]
        groups = np.searchsorted(self._starts, rows, side="right") - 1
        with self._whole():
            read = {g: self._file.read_row_group(int(g), columns=names) for g in np.unique(groups)}
        parts = [read[g].slice(int(row - self._starts[g]), 1) for g, row in zip(groups, rows, strict=True)]
        return pa.concat_tables(parts).to_pandas() if parts else pd.DataFrame(columns=names)

    def sample(self, groups: int = 16) -> np.ndarray:
        """Embeddings of evenly spread groups of rows, float32, shape (rows, dimensions)."""
        chosen = np.unique(np.linspace(0, self._file.num_row_groups - 1, groups).round().astype(int))
        with self._whole():
            found = [self._file.read_row_group(int(g), columns=[EMBEDDING]) for g in chosen]
        return np.concatenate([self._embeddings(b) for t in found for b in t.to_batches()]).astype(np.float32)

    def _batches(
        self, columns: Sequence[str], first: int
    ) -> Iterator[tuple[int, pa.RecordBatch, np.ndarray]]:
        """Rows from `first` on, a few at a time: the place of the first, the batch and its embeddings."""
        if first >= self.rows:
            return
        group = int(np.searchsorted(self._starts, first, side="right")) - 1
        start = int(self._starts[group])
        with self._whole():
            for batch in self._file.iter_batches(
                _AT_A_TIME,
                row_groups=range(group, self._file.num_row_groups),
                columns=[EMBEDDING, *columns],
            ):
                skipped = min(max(first - start, 0), len(batch))
                start += skipped
                if rest := batch.slice(skipped):
                    yield start, rest, self._embeddings(rest).astype(np.float32)
                start += len(rest)

    def _embeddings(self, batch: pa.RecordBatch) -> np.ndarray:
        """Embeddings of a batch without a copy, shape (rows, dimensions)."""
        cells = batch.column(EMBEDDING)
        size = self.dimensions * np.dtype(_TYPE).itemsize
        content = memoryview(cells.buffers()[1])[cells.offset * size : (cells.offset + len(cells)) * size]
        return _unpacked(content, self.dimensions)

    def _in_graph(
        self, number: int, query: np.ndarray, top: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        graph = self._graphs[number]
        # A graph compares in half precision; what it found is compared as every other row is.
        keys = graph.search(query / np.linalg.norm(query), min(top, len(graph)), threads=1).keys
        scores = np.asarray(graph.get(keys), dtype=np.float32) @ query
        return keys.astype(int) + number * len(graph), scores, np.zeros(len(keys))

    def _opened(self, log: Callable[[str], object]) -> list:
        """The graphs, each looked at where it lies on the disk."""
        digests = self.record["graphs"]
        if not digests:
            return []
        library = usearch()
        if library is None:
            log(_absent(self.rows))
            return []
        found = []
        for number, digest in enumerate(digests):
            file = graphs_of(self.path) / f"{number:05d}.usearch"
            # What a damaged graph points to may lie outside of it, so every byte is checked before.
            if not file.is_file() or sha256(file) != digest:
                raise IndexFileError(
                    f"{file} is missing, damaged or of another index; index the folder again"
                )
            graph = library.Index.restore(str(file), view=True)
            graph.expansion_search = EXPANSION_SEARCH
            found.append(graph)
        return found

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """What reading a damaged file raises, as one error."""
        try:
            yield
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise IndexFileError(
                f"{self.path} is no index or is damaged ({reason}); make it again: swatchbook index"
            ) from error


def about(record: Mapping[str, object], graphs: Graphs) -> dict[str, str]:
    """What the file says of itself, beside the columns that Parquet knows."""
    more = {"format": FORMAT, "graphs": graphs.digests(), "block_rows": graphs.rows}
    return {_KEY: json.dumps({**record, **more})}


def usearch() -> ModuleType | None:
    """The library of graphs; None where it is not installed."""
    try:
        import usearch.index
    except ImportError:
        return None
    return usearch.index


def _absent(rows: int) -> str:
    return (
        f"{rows:,} photographs or more are compared one by one: graphs, which are faster, need the extra "
        "'search': pip install 'swatchbook[search]'"
    )


def _unpacked(cells: bytes | memoryview, dimensions: int) -> np.ndarray:
    return np.frombuffer(cells, dtype=_TYPE).reshape(-1, dimensions)


def _first(
    parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], top: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first of several lists together: by distance, inner product and row."""
    rows, scores, far = (np.concatenate(some) for some in zip(*parts, strict=True))
    order = np.lexsort((rows, -scores, far))[:top]
    return rows[order], scores[order], far[order]
