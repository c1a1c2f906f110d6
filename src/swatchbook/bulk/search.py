"""Search in an index: by words, by a photograph, by both, and for what goes with a photograph.

    >>> from swatchbook import search_folder
    >>> search_folder("index.parquet", "a striped shirt", where={"color": "blue"})  # doctest: +SKIP

Words and photographs are embedded by the model that made the index, and the cosine with a photograph's
embedding says how well it answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pyarrow as pa

from swatchbook.atomic import PAGES, output_file, write_file
from swatchbook.bulk.folder import found_from_anywhere, short_side_for
from swatchbook.bulk.index import facts_of
from swatchbook.bulk.vectors import IndexFileError, VectorTable
from swatchbook.data.decoding import UnreadableError, decode, read_bytes
from swatchbook.labeller.silver import silver_table
from swatchbook.labeller.zero_shot import Labeller
from swatchbook.schema import Attribute, Schema

FOLDER = "folder"  # as a kind: the name of the folder that a photograph lies in
# A tokenizer with fewer entries holds the words of the captions that its model was taught, each as one entry.
SMALL_VOCABULARY = 10_000
_TOLD = 5


class Search:
    """An index and the model that made it, opened once for any number of questions.

    Args:
        index: A file that `index_folder` has written.
        labeller: The model that made it, if it lies elsewhere now; by default the one that the index names.
        log: Called with what a person should know: words that the model does not know, a missing extra.

    Raises:
        IndexFileError: If the file is no index or is damaged, or the model or its preprocessing is another.
        LabellerError: If the model cannot be loaded.
    """

    def __init__(
        self, index: str | Path, *, labeller: str | None = None, log: Callable[[str], object] = print
    ) -> None:
        self.table, self._log = VectorTable(index, log), log
        record = self.table.record
        name = found_from_anywhere(labeller or record["labeller"])
        self.labeller = Labeller.load(name, log=lambda _: None)
        facts = facts_of(self.labeller)
        for what in ("model", "preprocessing"):
            if facts[what] != record[what]:
                raise IndexFileError(
                    f"{index} was made with another {what} than {name} has now ({record[what]}; now "
                    f"{facts[what]}): name that model by --labeller, or index the folder again"
                )
        self.folder = Path(record["folder"])
        asked = ({**a, "templates": tuple(a["templates"])} for a in record["attributes"])
        self.schema = Schema(record["schema"], tuple(Attribute(**a) for a in asked))

    def find(
        self,
        text: str | None = None,
        *,
        like: str | Path | None = None,
        but: str | None = None,
        where: Mapping[str, str | Sequence[str]] | None = None,
        complete: str | None = None,
        top: int = 20,
        exact: bool = False,
    ) -> pd.DataFrame:
        """Photographs that answer a question, the best first; arguments as of `search_folder`."""
        if top < 1:
            raise ValueError(f"top must be at least 1; received {top}")
        if text is None and like is None:
            raise ValueError("nothing to search for; allowed: a text, a photograph, or both")
        if complete is not None and (like is None or text is not None or but is not None):
            raise ValueError("complete takes like, the photograph to complete, and neither text nor but")
        parts = [self._words(*asked) for asked in ((text, "text"), (but, "but")) if asked[0] is not None]
        filters, columns, distance = self._filters(where or {}), list(where or {}), None
        below = None
        if like is not None:
            parts.append(self._photograph(like))
            below = self._below(like)
        if complete is not None:
            labels = self._labels(parts[0])
            kind = self._kind(like, below, labels, complete)
            filters.append(partial(_differs, complete, kind))
            own = {name: found for name, found in labels.items() if name != complete and found[0] is not None}
            distance = partial(_attribute_distances, own)
            columns += ["path", *(f"{name}{end}" for name in labels for end in ("", "_confidence"))]

        def keep(batch: pa.RecordBatch) -> np.ndarray:
            return np.logical_and.reduce([each(batch) for each in filters])

        rows, scores, far = self.table.nearest(
            self.combined(parts),
            top + (below is not None),
            columns=sorted(set(columns)),
            keep=keep if filters else None,
            distance=distance,
            exact=exact,
        )
        found = self.table.take(rows)
        found.insert(1, "score", scores)
        if complete is not None:
            found.insert(1, "distance", far)
        return found[found["path"] != below].head(top).reset_index(drop=True)

    def combined(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """The parts of a question as one embedding, with which photographs are compared.

        It is the sum of the parts, each divided by the standard deviation of its cosines with photographs of
        the index: these differ far more in their cosine with a photograph than in that with a text, so that a
        plain sum would hardly hear the words.

        Args:
            parts: At least one embedding, float32 of shape (dimensions,), of length 1.

        Returns:
            float32 of shape (dimensions,), of length 1.
        """
        if len(parts) == 1:
            return parts[0]
        spread = (self.table.sample() @ np.stack(parts, axis=1)).std(axis=0)
        whole = sum(part / (by or 1.0) for part, by in zip(parts, spread, strict=True))
        return (whole / np.linalg.norm(whole)).astype(np.float32)

    def _words(self, words: str, name: str) -> np.ndarray:
        if not words.strip():
            raise ValueError(f"{name} is empty; allowed: words, such as 'a striped shirt'")
        known, unknown, cut = read_words(self.labeller.network.tokenizer, words)
        if unknown and not known:
            raise ValueError(
                f"{name} {_short(words)!r}: labeller {self.labeller.name} knows none of its words; "
                "allowed: words of the captions that it was taught, in English for the labeller in the box"
            )
        if unknown:
            more = f" and {len(unknown) - _TOLD:,} more" if len(unknown) > _TOLD else ""
            told = ", ".join(_short(word) for word in unknown[:_TOLD])
            self._log(f"labeller {self.labeller.name} does not know: {told}{more}; the other words decide")
        if cut:
            self._log(f"{name} is longer than the labeller reads: its first {cut:,} pieces of words count")
        return self.labeller.embed_text([words])

    def _photograph(self, like: str | Path) -> np.ndarray:
        place = Path(like) if Path(like).exists() else self.folder / like
        try:
            picture = decode(read_bytes(str(place)), short_side_for(self.labeller))
        except UnreadableError as error:
            raise ValueError(f"like {str(like)!r}: {error}") from None
        return self.labeller.embed([self.labeller.shrink(picture)])[0]

    def _below(self, like: str | Path) -> str | None:
        """A photograph's path as the index has it; None if it is not of the folder."""
        place = Path(like).absolute() if Path(like).exists() else self.folder / like
        return place.relative_to(self.folder).as_posix() if place.is_relative_to(self.folder) else None

    def _filters(self, where: Mapping[str, str | Sequence[str]]) -> list[Callable]:
        """A condition each attribute."""
        made = []
        for name, wanted in where.items():
            wanted = [wanted] if isinstance(wanted, str) else list(wanted)
            classes = self.schema[name].classes if name in self.schema.names else ()
            wrong = [label for label in wanted if label not in classes] or (not wanted and [""])
            if wrong:
                allowed = ", ".join(classes or self.schema.names)
                raise ValueError(
                    f"where {name}={wrong[0]}: not of schema {self.schema.name!r}, with which the index was "
                    f"made; allowed: {allowed}"
                )
            made.append(
                lambda batch, name=name, wanted=wanted: batch.column(name).to_pandas().isin(wanted).to_numpy()
            )
        return made

    def _kind(self, like: str | Path, below: str | None, labels: Mapping[str, tuple], complete: str) -> str:
        """Of what kind a photograph is: its folder's name, or its label."""
        if complete == FOLDER:
            return Path(like).absolute().parent.name if below is None else PurePosixPath(below).parent.name
        if complete not in labels:
            raise ValueError(f"complete {complete!r}; allowed: {', '.join((FOLDER, *labels))}")
        if labels[complete][0] is None:
            raise ValueError(f"complete {complete!r}: the labeller is not sure of that of {str(like)!r}")
        return labels[complete][0]

    def _labels(self, embedding: np.ndarray) -> dict[str, tuple[str | None, float]]:
        """Attribute → label and confidence of an embedding, as the index would have them."""
        columns = [f"{a.name}:{label}" for a in self.schema for label in a.classes]
        cosines = self.labeller.cosines(embedding[None], self.schema)
        row = silver_table(pd.DataFrame(cosines, columns=columns), self.schema).iloc[0]
        return {name: (row[name], float(row[f"{name}_confidence"])) for name in self.schema.names}


def _differs(attribute: str, kind: str, batch: pa.RecordBatch) -> np.ndarray:
    """Which photographs are known to be of another kind."""
    if attribute == FOLDER:
        folders = (PurePosixPath(path).parent.name for path in batch.column("path").to_pylist())
        return np.array([folder != kind for folder in folders])
    labels = batch.column(attribute).to_pandas()
    return (labels.notna() & (labels != kind)).to_numpy()


def _attribute_distances(own: Mapping[str, tuple[str, float]], batch: pa.RecordBatch) -> np.ndarray:
    labels = {name: batch.column(name).to_pandas() for name in own}
    sure = {name: batch.column(f"{name}_confidence").to_numpy() for name in own}
    return attribute_distance(own, labels, sure, len(batch))


def attribute_distance(
    own: Mapping[str, tuple[str, float]],
    labels: Mapping[str, pd.Series],
    sure: Mapping[str, np.ndarray],
    rows: int,
) -> np.ndarray:
    """How far photographs are from one in their attributes: the share in which they differ.

    An attribute counts as much as both its labels are sure (the product of the two confidences), and not at
    all where one of the two has no label.

    Args:
        own: Attribute → label and confidence of the one; only those that have a label.
        labels: Attribute → labels of the photographs, null where there is none.
        sure: Attribute → their confidences, float64 of shape (rows,).
        rows: How many photographs.

    Returns:
        float64 of shape (rows,), from 0 (all agree) to 1; NaN where there is nothing to compare.

    Source:
        Gower (1971), Biometrics 27:857–871, for nominal attributes with weights.
    """
    apart, compared = np.zeros(rows), np.zeros(rows)
    for name, (label, confidence) in own.items():
        weight = np.where(labels[name].notna(), sure[name] * confidence, 0.0)
        apart += weight * (labels[name] != label).to_numpy()
        compared += weight
    return np.divide(apart, compared, out=np.full(rows, np.nan), where=compared > 0)


def read_words(tokenizer: Callable, text: str) -> tuple[list[str], list[str], int]:
    """Words that a labeller knows, words that it does not, and how many pieces it reads if there are more.

    A word is not known if the tokenizer has no piece for a part of it, or, of a vocabulary below
    `SMALL_VOCABULARY` entries, if it has to be put together of several. Of tokenizers that are not Hugging
    Face's nothing is known: all words count as known.
    """
    pieces = getattr(tokenizer, "tokenizer", None)
    if pieces is None:
        return text.split(), [], 0
    text = tokenizer.clean_fn(text)
    words = list(dict.fromkeys(re.findall(r"\w+", text))) or [text.strip()]

    def read(some: str) -> list[int]:
        return pieces(some, add_special_tokens=False, verbose=False)["input_ids"]

    def is_known(word: str) -> bool:
        found = read(word)
        return pieces.unk_token_id not in found and (len(found) == 1 or len(pieces) >= SMALL_VOCABULARY)

    known = [word for word in words if is_known(word)]
    longest = tokenizer.context_length
    cut = longest if len(read(text)) > longest else 0
    return known, [word for word in words if word not in known], cut


def search_folder(
    index: str | Path | Search,
    text: str | None = None,
    *,
    like: str | Path | None = None,
    but: str | None = None,
    where: Mapping[str, str | Sequence[str]] | None = None,
    complete: str | None = None,
    top: int = 20,
    html: str | Path | None = None,
    folder: str | Path | None = None,
    labeller: str | None = None,
    exact: bool = False,
    log: Callable[[str], object] = print,
) -> pd.DataFrame:
    """Find photographs of an index by words, by a photograph, or by both.

        >>> found = search_folder("index.parquet", "a floral dress", top=5)  # doctest: +SKIP
        >>> search_folder("index.parquet", like="a.jpg", but="in blue", html="sheet.html")  # doctest: +SKIP

    Args:
        index: A file that `index_folder` has written; or a `Search`, which has it open for many questions.
        text: What is to be seen, such as ``a striped shirt``.
        like: A photograph, of the folder (its path there will do) or any other; itself it is not answered.
        but: Words that change what `like` or `text` asks, such as ``in blue``. Each part of a question counts
            equally, in standard deviations (`Search.combined`).
        where: Attribute → a class, or several of which one will do; photographs with another label, or with
            none, are left out.
        complete: What goes with `like`: photographs of another kind that agree with it otherwise. The kind
            is an attribute of the index, or ``folder``: the name of the folder that a photograph lies in.
            First come those whose other labels differ least (`attribute_distance`), of these the nearest.
        top: How many at most.
        html: An ``.html`` file to write: the photographs, the best first.
        folder: Where the photographs lie, if it is not where they were indexed.
        labeller: The model that made the index, if it lies elsewhere now.
        exact: Compare every photograph even where there are graphs.
        log: Called with what a person should know.

    Returns:
        ``path`` (below the folder), ``score`` (the cosine with the question; with `complete` before it
        ``distance`` in [0, 1]), and labels and confidences of every attribute; the best first.

    Raises:
        ValueError: If an argument is not as described, or the labeller knows no word of a text.
        IndexFileError: If the index is damaged, or was made with another model, schema or preprocessing.
        LabellerError: If the model cannot be loaded.
        StoreError: If the sheet cannot be written.
    """
    html = None if html is None else output_file(html, PAGES, "html")
    search = index if isinstance(index, Search) else Search(index, labeller=labeller, log=log)
    if folder is not None:
        search.folder = Path(folder).absolute()
    given = {"text": text, "like": like, "but": but, "where": where, "complete": complete}
    found = search.find(**given, top=top, exact=exact)
    if html is not None:
        # Its colours are matplotlib's, which takes a while to import.
        from swatchbook.report.contact_sheet import found_page

        facts = {name: _in_words(value) for name, value in given.items() if value is not None}
        facts |= {"searched": f"{search.table.rows:,} photographs", "labeller": search.labeller.name}
        page = found_page(found, search.folder, search.schema, facts)
        write_file(html, lambda path: path.write_text(page, encoding="utf-8", newline="\n"))
    return found


def _in_words(value: object) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{k} {v if isinstance(v, str) else ' or '.join(v)}" for k, v in value.items())
    return _short(str(value))


def _short(text: str, longest: int = 60) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
