"""What is asked of a photograph: attributes, their classes, prompts, thresholds and folder rules.

A schema is one YAML file and the only place where classes are written. Heads, label columns, metrics,
tables and figures take their classes and their order from here, never from what happens to occur in
the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.schema_file import RESERVED, SEVERAL, SchemaError, read_file

__all__ = ["RESERVED", "SEVERAL", "Attribute", "Schema", "SchemaError"]


@dataclass(frozen=True)
class Attribute:
    """One question asked of every image.

    Attributes:
        name: Column name, such as ``color``.
        surface: Class name → the words that stand for it in a prompt, in the order of the schema.
        templates: Prompt templates with one ``{}`` each.
        labelled_by: ``folder`` (a rule) or ``zero_shot`` (a labeller's cosines).
        threshold: Confidence in [0, 1] below which the zero-shot labeller abstains; None for a rule.
        prompts_by: Who wrote the prompts (``ours`` where the publication gives none).
        multiple: Whether an image may have several of the classes at once, or none.
    """

    name: str
    surface: Mapping[str, str]
    templates: tuple[str, ...]
    labelled_by: str
    threshold: float | None
    prompts_by: str
    multiple: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the schema's order."""
        return tuple(self.surface)

    def __len__(self) -> int:
        return len(self.surface)

    def prompts(self, label: str) -> tuple[str, ...]:
        """The prompts of one class: every template filled with its surface form."""
        return tuple(template.format(self.surface[label]) for template in self.templates)


@dataclass(frozen=True)
class Schema:
    """A named set of attributes and the folder rule that labels one of them.

    Iterating gives the attributes in order; ``schema["color"]`` gives one.

    Attributes:
        name: The schema's name.
        attributes: In the order of the file.
        folder_map: The name of the folder rule in use.
        folders: Folder → class, or None where the folder has no place in the schema.
    """

    name: str
    attributes: tuple[Attribute, ...]
    folder_map: str | None = None
    folders: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def load(cls, name: str | Path = "textilenet", folder_map: str | None = None) -> Schema:
        """Read a schema by name (one that ships with the package) or by path.

        Args:
            name: ``textilenet``, ``wardrobe``, or a path that ends in ``.yaml`` or ``.yml``.
            folder_map: Which of the file's folder rules to use; the file's first one by default, and none
                where it has none.

        Raises:
            SchemaError: If the name is unknown, or the file holds unknown keys, duplicates, classes
                without prompts, thresholds outside [0, 1] or rules that name unknown classes.
        """
        file, where = read_file(name)
        maps = file.folder_maps or {}
        # A schema without folders has no use for a rule, so a study's setting does not hold for it.
        if folder_map is not None and maps and folder_map not in maps:
            raise SchemaError(
                f"{where}: folder map {folder_map!r} is unknown; allowed: {', '.join(maps) or 'none'}"
            )
        chosen = (folder_map if maps else None) or next(iter(maps), None)
        adds = {file.ruled: maps[chosen].adds or {}} if chosen else {}
        attributes = tuple(
            Attribute(
                name,
                {**a.classes, **adds.get(name, {})},
                tuple(a.templates),
                a.labelled_by,
                a.threshold,
                a.prompts_by,
                a.multiple,
            )
            for name, a in file.attributes.items()
        )
        return cls(file.name, attributes, chosen, dict(maps[chosen].folders) if chosen else {})

    def __iter__(self) -> Iterator[Attribute]:
        return iter(self.attributes)

    def __getitem__(self, name: str) -> Attribute:
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute
        raise KeyError(f"attribute {name!r}; the schema {self.name!r} has {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Attribute names in order."""
        return tuple(a.name for a in self.attributes)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """All unordered pairs of attributes, in schema order."""
        return tuple(combinations(self.names, 2))

    def only(self, names: Iterable[str]) -> Schema:
        """Some of its attributes, in its own order; the folder rule goes with the attribute that it labels.

        Raises:
            ValueError: If a name is no attribute's, or none is given.
        """
        wanted = set(names)
        if not wanted or not wanted <= set(self.names):
            received = ", ".join(sorted(wanted)) or "none"
            raise ValueError(f"attributes: {received}; allowed: any of {', '.join(self.names)}")
        kept = tuple(a for a in self.attributes if a.name in wanted)
        ruled = any(a.labelled_by == "folder" for a in kept)
        return Schema(self.name, kept, *((self.folder_map, self.folders) if ruled else ()))

    def encode(self, labels: pd.DataFrame, what: str = "labels") -> dict[str, np.ndarray]:
        """Turn label columns into integer codes over the schema's classes.

        Args:
            labels: One row an image, a column an attribute; null means no label. Of an attribute with several
                classes at once, their names joined by ``;``, and an empty text where it has none of them.
            what: What the table is, for the error message.

        Returns:
            Attribute → int16 array of shape (rows,), values 0…K−1, or −1 where there is no label; of an
            attribute with several classes at once int8 of shape (rows, K), 1 or 0, or −1 in the whole row.

        Raises:
            ValueError: If a column is missing or a label is not in the schema; names the row.
        """
        codes = {}
        for attribute in self.attributes:
            if attribute.name not in labels:
                raise ValueError(f"{what}: no column {attribute.name!r}; got {', '.join(map(str, labels))}")
            if list(labels).count(attribute.name) > 1:
                raise ValueError(
                    f"{what}: column {attribute.name!r} occurs twice; got {', '.join(map(str, labels))}"
                )
            column = labels[attribute.name].astype(object)
            code, wrong = (_memberships if attribute.multiple else _codes)(column, attribute.classes)
            if wrong.size:
                row = labels.index[[wrong[0]]].tolist()[0]
                raise ValueError(
                    f"{what}: {attribute.name} {column.iloc[wrong[0]]!r} in row {row!r} "
                    f"is not in the schema ({wrong.size} such); allowed: {', '.join(attribute.classes)}"
                )
            codes[attribute.name] = code
        return codes


def _codes(column: pd.Series, classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Codes of a column, and the places of what is no class."""
    code = pd.Index(classes).get_indexer(column)
    return code.astype(np.int16), np.flatnonzero((code < 0) & column.notna().to_numpy())


def _memberships(column: pd.Series, classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Which classes each cell of a column names, and the places of cells that name something else."""
    members, wrong = np.full((len(column), len(classes)), -1, np.int8), []
    for row, cell in enumerate(column):
        if pd.notna(cell):
            names = {part.strip() for part in str(cell).split(SEVERAL)} - {""}
            members[row] = [label in names for label in classes]
            wrong += [] if names <= set(classes) else [row]
    return members, np.array(wrong, int)
