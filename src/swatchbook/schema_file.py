"""The YAML file of a schema: read with every key written once, and checked."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from swatchbook.names import unknown
from swatchbook.validation import Checked, Label, Name, Text, in_words

SEVERAL = ";"  # between the classes of one cell, where an image may have several
RESERVED = (
    *("unknown", "all", "", "image_id", "annotator", "stratum", "weight", "path", "folder", "split"),
    "embedding",
)


class SchemaError(ValueError):
    """A schema file that says something impossible; the message names the file and the key."""


def _one_gap(template: str) -> str:
    if "{}" not in template or template.count("{") + template.count("}") != 2:
        raise ValueError(f"template {template!r} must hold exactly one {{}}")
    return template


def _no_null(label: str) -> str:
    if label in RESERVED:
        raise ValueError(f"class {label!r} stands for a missing label in files; rename it")
    return label


def _no_column(name: str) -> str:
    if name in RESERVED or name.endswith("_confidence") or name.startswith("true_"):
        raise ValueError(f"an attribute cannot be called {name!r}; tables have a column of that name")
    return name


Classes = Annotated[dict[Annotated[Label, AfterValidator(_no_null)], Text], Field(min_length=1)]
Template = Annotated[str, AfterValidator(_one_gap)]


class AttributeFile(Checked):
    """One attribute; see `schema.Attribute`."""

    labelled_by: Literal["folder", "zero_shot"]
    prompts_by: Text
    templates: Annotated[list[Template], Field(min_length=1)]
    classes: Classes
    threshold: Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)] = None
    multiple: bool = False

    @model_validator(mode="after")
    def _fits(self) -> AttributeFile:
        by_folder = self.labelled_by == "folder"
        if by_folder and (self.threshold is not None or self.multiple):
            raise ValueError("a threshold, and multiple, have no meaning for an attribute labelled by folder")
        if not by_folder and self.threshold is None:
            raise ValueError("threshold None; a number from 0 to 1 is needed")
        if len(set(self.templates)) < len(self.templates):
            raise ValueError("a template is written twice")
        joined = [label for label in self.classes if self.multiple and SEVERAL in label]
        if joined:
            raise ValueError(f"class {joined[0]!r} holds {SEVERAL!r}, which parts several classes")
        return self


class RuleFile(Checked):
    """A rule that labels by folder, with classes that only it knows."""

    folders: Annotated[dict[str, str | None], Field(min_length=1)]
    source: Text
    adds: Classes | None = None


class SchemaFile(Checked):
    """The whole file; the first of ``folder_maps`` is in force unless another is asked for."""

    name: Text
    attributes: Annotated[
        dict[Annotated[Name, AfterValidator(_no_column)], AttributeFile], Field(min_length=1)
    ]
    description: str | None = None
    folder_maps: dict[str, RuleFile] | None = None

    @property
    def ruled(self) -> str | None:
        """The attribute that a folder's rule labels."""
        return next((name for name, a in self.attributes.items() if a.labelled_by == "folder"), None)

    @model_validator(mode="after")
    def _rules_fit(self) -> SchemaFile:
        ruled = [name for name, a in self.attributes.items() if a.labelled_by == "folder"]
        if len(ruled) > 1 or bool(ruled) != bool(self.folder_maps):
            raise ValueError("folder_maps serve exactly one attribute labelled by folder")
        for name, rule in (self.folder_maps or {}).items():
            classes, adds = self.attributes[ruled[0]].classes, rule.adds or {}
            if twice := [label for label in adds if label in classes]:
                raise ValueError(f"folder_maps.{name}: class {twice[0]!r} is written twice")
            for folder, label in rule.folders.items():
                if label is not None and label not in {**classes, **adds}:
                    raise ValueError(
                        f"folder_maps.{name}: folder {folder!r} → {label!r} is no class; allowed: "
                        f"{', '.join([*classes, *adds])}, null"
                    )
        return self


def read_file(name: str | Path) -> tuple[SchemaFile, str]:
    """Read a schema that ships with the package, by name, or one's own, by path.

    Returns:
        Its content, and where it lies, for messages.

    Raises:
        SchemaError: If the name is unknown, or the file says something impossible.
    """
    text, where = _text(name)
    try:
        raw = yaml.load(text, Loader=_UniqueKeyLoader)  # a SafeLoader with one more check
        return SchemaFile.model_validate(raw), where
    except SchemaError as error:
        raise SchemaError(f"{where}, {error}") from None
    except yaml.YAMLError as error:
        raise SchemaError(f"{where} is not valid YAML: {error}") from None
    except RecursionError:
        raise SchemaError(f"{where} is nested too deeply; allowed: the keys of a schema") from None
    except ValidationError as error:
        raise SchemaError(f"{where}: {in_words(error)}") from None


def _text(name: str | Path) -> tuple[str, str]:
    if str(name).endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise SchemaError(f"schema file {str(path)!r} does not exist")
        try:
            return path.read_text(encoding="utf-8"), str(path)
        except UnicodeDecodeError as error:
            raise SchemaError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    shipped = resources.files("swatchbook") / "schemas"
    known = sorted(p.name.removesuffix(".yaml") for p in shipped.iterdir() if p.name.endswith(".yaml"))
    if name not in known:
        raise SchemaError(unknown("schema", name, known, ", or a path to a .yaml"))
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
