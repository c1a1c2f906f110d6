"""What is asked of a photograph: attributes, their classes, prompts, thresholds and folder rules.

A schema is one YAML file and the only place where classes are written. Heads, label columns, metrics,
tables and figures take their classes and their order from here, never from what happens to occur in
the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

LABELLED_BY = ("folder", "zero_shot")
SEVERAL = ";"  # between the classes of one cell, where an image may have several
RESERVED = ("unknown", "all", "", "image_id", "annotator", "stratum", "weight", "path", "folder", "split")


class SchemaError(ValueError):
    """A schema file that says something impossible; the message names the file and the key."""


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
        text, where = _read(name)
        return _build(_parse(text, where), where, folder_map)

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


def _read(name: str | Path) -> tuple[str, str]:
    if str(name).endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise SchemaError(f"schema file {str(path)!r} does not exist")
        return path.read_text(encoding="utf-8"), str(path)
    shipped = resources.files("swatchbook") / "schemas"
    known = sorted(p.name.removesuffix(".yaml") for p in shipped.iterdir() if p.name.endswith(".yaml"))
    if name not in known:
        raise SchemaError(
            f"schema {str(name)!r} is unknown; allowed: {', '.join(known)}, or a path to a .yaml"
        )
    return (shipped / f"{name}.yaml").read_text(encoding="utf-8"), f"{name}.yaml"


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML lets a later key silently replace an earlier one; a class written twice must be an error."""


def _mapping_without_duplicates(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict:
    seen: dict = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise SchemaError(f"line {key_node.start_mark.line + 1}: key {key!r} is no text; quote it")
        if key in seen:
            raise SchemaError(f"line {key_node.start_mark.line + 1}: {key!r} is written twice")
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_duplicates)


def _parse(text: str, where: str) -> dict:
    try:
        raw = yaml.load(text, Loader=_UniqueKeyLoader)  # a SafeLoader with one more check
    except SchemaError as error:
        raise SchemaError(f"{where}, {error}") from None
    except yaml.YAMLError as error:
        raise SchemaError(f"{where} is not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise SchemaError(f"{where} must hold a mapping, not {type(raw).__name__}")
    return raw


def _only(mapping: object, where: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict:
    """Refuse anything but a mapping with the required and, perhaps, the optional keys."""
    if not isinstance(mapping, dict):
        raise SchemaError(f"{where} must be a mapping, not {mapping!r}")
    unknown = [key for key in mapping if key not in required + optional]
    missing = [key for key in required if key not in mapping]
    if unknown:
        raise SchemaError(f"{where}: unknown key {unknown[0]!r}; allowed: {', '.join(required + optional)}")
    if missing:
        raise SchemaError(f"{where}: {missing[0]!r} is missing")
    return mapping


def _text(value: object, where: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise SchemaError(f"{where} must be a text, not {value!r}")


def _surface(classes: object, where: str) -> dict[str, str]:
    if not isinstance(classes, dict) or not classes:
        raise SchemaError(f"{where} must map each class to the words of its prompts, not {classes!r}")
    for label, words in classes.items():
        if label in RESERVED:
            raise SchemaError(f"{where}: class {label!r} stands for a missing label in files; rename it")
        if not isinstance(words, str) or not words.strip():
            raise SchemaError(f"{where}: class {label!r} has no prompt words (received {words!r})")
    return dict(classes)


def _attribute(name: str, raw: object, where: str) -> Attribute:
    where = f"{where}, attribute {name!r}"
    raw = _only(raw, where, ("labelled_by", "prompts_by", "templates", "classes"), ("threshold", "multiple"))
    _text(raw["prompts_by"], f"{where}: prompts_by")
    if raw["labelled_by"] not in LABELLED_BY:
        raise SchemaError(f"{where}: labelled_by {raw['labelled_by']!r}; allowed: {', '.join(LABELLED_BY)}")
    threshold = raw.get("threshold")
    if raw["labelled_by"] == "zero_shot":
        number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if not number or not 0 <= threshold <= 1:
            raise SchemaError(f"{where}: threshold {threshold!r}; a number from 0 to 1 is needed")
    elif threshold is not None:
        raise SchemaError(f"{where}: a threshold has no meaning for an attribute labelled by folder")
    templates = raw["templates"]
    if not isinstance(templates, list) or not templates:
        raise SchemaError(f"{where}: no prompt templates (received {templates!r})")
    for template in templates:
        braces = template.count("{") + template.count("}") if isinstance(template, str) else 0
        if braces != 2 or "{}" not in template:
            raise SchemaError(f"{where}: template {template!r} must hold exactly one {{}}")
    if len(set(templates)) < len(templates):
        raise SchemaError(f"{where}: a template is written twice")
    surface = _surface(raw["classes"], f"{where}, classes")
    multiple = raw.get("multiple", False)
    if not isinstance(multiple, bool) or (multiple and raw["labelled_by"] == "folder"):
        raise SchemaError(f"{where}: multiple {multiple!r}; true or false is needed, and false by folder")
    joined = [label for label in surface if multiple and SEVERAL in label]
    if joined:
        raise SchemaError(f"{where}: class {joined[0]!r} holds {SEVERAL!r}, which parts several classes")
    return Attribute(
        name, surface, tuple(templates), raw["labelled_by"], threshold, raw["prompts_by"], multiple
    )


def _build(raw: dict, where: str, folder_map: str | None) -> Schema:
    raw = _only(raw, where, ("name", "attributes"), ("description", "folder_maps"))
    if not isinstance(raw["attributes"], dict) or not raw["attributes"]:
        raise SchemaError(f"{where}: no attributes")
    _text(raw["name"], f"{where}: name")
    taken = [name for name in raw["attributes"] if name in RESERVED]
    if taken:
        raise SchemaError(
            f"{where}: an attribute cannot be called {taken[0]!r}; tables have a column of that name"
        )
    attributes = [_attribute(name, body, where) for name, body in raw["attributes"].items()]
    by_folder = [a for a in attributes if a.labelled_by == "folder"]
    maps = raw.get("folder_maps") or {}
    if not isinstance(maps, dict):
        raise SchemaError(f"{where}: folder_maps must be a mapping of rules, not {maps!r}")
    if len(by_folder) > 1 or bool(by_folder) != bool(maps):
        raise SchemaError(f"{where}: folder_maps serve exactly one attribute labelled by folder")
    # A schema without folders has no use for a rule, so a study's setting does not hold for it.
    if folder_map is not None and maps and folder_map not in maps:
        raise SchemaError(
            f"{where}: folder map {folder_map!r} is unknown; allowed: {', '.join(maps) or 'none'}"
        )
    rules = {name: _rule(name, body, by_folder[0], where) for name, body in maps.items()}
    chosen = (folder_map if rules else None) or next(iter(rules), None)
    if chosen is None:
        return Schema(raw["name"], tuple(attributes))
    ruled, folders = rules[chosen]
    attributes = [ruled if a.name == ruled.name else a for a in attributes]
    return Schema(raw["name"], tuple(attributes), chosen, folders)


def _rule(name: str, raw: object, ruled: Attribute, where: str) -> tuple[Attribute, dict[str, str | None]]:
    """One folder rule: the ruled attribute with the rule's own classes, and folder → class."""
    where = f"{where}, folder map {name!r}"
    raw = _only(raw, where, ("folders", "source"), ("adds",))
    _text(raw["source"], f"{where}: source")
    adds = _surface(raw["adds"], f"{where}, adds") if "adds" in raw else {}
    twice = [label for label in adds if label in ruled.surface]
    if twice:
        raise SchemaError(f"{where}: class {twice[0]!r} is written twice")
    surface = {**ruled.surface, **adds}
    if not isinstance(raw["folders"], dict) or not raw["folders"]:
        raise SchemaError(f"{where}: no folders")
    for folder, label in raw["folders"].items():
        if label is not None and (not isinstance(label, str) or label not in surface):
            raise SchemaError(
                f"{where}: folder {folder!r} → {label!r} is no class; allowed: {', '.join(surface)}, null"
            )
    attribute = Attribute(
        ruled.name, surface, ruled.templates, ruled.labelled_by, ruled.threshold, ruled.prompts_by
    )
    return attribute, dict(raw["folders"])
