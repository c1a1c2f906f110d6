"""Settings of a study: sections of frozen dataclasses, checked by pydantic, changed by dotted keys."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as _dataclass

from swatchbook.names import unknown
from swatchbook.pipeline import ConfigError
from swatchbook.pipeline.spec import Spec
from swatchbook.validation import in_words

section = _dataclass(frozen=True, config=ConfigDict(extra="forbid", validate_default=True))


def configure(spec: Spec, profile: str, overrides: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401
    """The configuration of a profile with overrides applied last.

    Args:
        spec: The study.
        profile: One of its profiles.
        overrides: Dotted key, or a last part that is unambiguous (``bootstrap``), → value. Strings are read
            as the setting's own type, so that ``--set bootstrap=500`` works.

    Returns:
        An instance of ``spec.config``.

    Raises:
        ConfigError: If the profile or a key is unknown, or a value has the wrong type or range.
    """
    if profile not in spec.profiles:
        raise ConfigError(unknown("profile", profile, spec.profiles))
    defaults = flat(spec.config())
    given = {
        _full_key(key, defaults): value
        for key, value in {**spec.profiles[profile].overrides, **(overrides or {})}.items()
    }
    given |= _shorter_warmup(
        {_full_key(key, defaults): value for key, value in (overrides or {}).items()}, given, defaults
    )
    if "seed" in given and "training.seed" in defaults:  # one seed moves everything random
        given.setdefault("training.seed", given["seed"])
    tree: dict[str, Any] = {"profile": profile}
    for key, value in {**defaults, **{k: _read(spec.config, k, v) for k, v in given.items()}}.items():
        if key != "profile":
            *sections, name = key.split(".")
            branch = tree
            for each in sections:
                branch = branch.setdefault(each, {})
            branch[name] = value
    try:
        return TypeAdapter(spec.config).validate_python(tree)
    except ValidationError as error:
        raise ConfigError(f"setting {in_words(error)}") from None


def _shorter_warmup(
    asked: Mapping[str, object], given: Mapping[str, object], defaults: Mapping[str, object]
) -> dict[str, object]:
    """A warm-up that nobody asked for, brought below the epochs that somebody did; said to standard error."""
    key, epochs = "training.warmup_epochs", str(asked.get("training.epochs", ""))
    if key not in defaults or key in asked or not epochs.isdecimal():
        return {}
    before = float(given.get(key, defaults[key]))
    after = min(before, max(int(epochs) - 1, 0))
    if after == before:
        return {}
    line = f"training.epochs = {epochs}, so {key} is brought down from {before:g} to {after:g}"
    print(line, file=sys.stderr, flush=True)
    return {key: after}


def flat(config: object) -> dict[str, object]:
    """Every setting by its dotted key, such as ``evaluation.bootstrap``."""

    def walk(tree: Mapping[str, object], prefix: str) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in tree.items():
            found |= walk(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        return found

    return walk(dataclasses.asdict(config), "")


def _full_key(key: str, known: Mapping[str, object]) -> str:
    known = [k for k in known if k != "profile"]
    matches = [k for k in known if k == key] or [k for k in known if k.rsplit(".", 1)[-1] == key]
    if not matches:
        raise ConfigError(unknown("setting", key, known))
    if len(matches) > 1:
        raise ConfigError(f"setting {key!r} is ambiguous; allowed: {', '.join(matches)}")
    return matches[0]


def _read(config: type, key: str, value: object) -> object:
    """None and lists as a command line says them; a path as text; no boolean is a number."""
    wanted: Any = config
    for part in key.split("."):
        wanted = typing.get_type_hints(wanted)[part]
    kinds = typing.get_args(wanted) if isinstance(wanted, types.UnionType) else (wanted,)
    if types.NoneType in kinds and value in ("none", "None", "null", ""):
        return None
    if isinstance(value, bool) and bool not in kinds:
        raise ConfigError(f"setting {key} = {value!r}; must be a valid {_name(kinds[0])}")
    if isinstance(value, str) and _numeric(kinds) and not re.fullmatch(r"[!-^`-~]*", value):
        raise ConfigError(
            f"setting {key} = {value!r}; must be written in the digits 0 to 9, without _ or blanks"
        )
    if any(typing.get_origin(kind) is tuple for kind in kinds) and isinstance(value, str):
        return value.split(",")
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _numeric(kinds: tuple[Any, ...]) -> bool:
    """Whether a setting is a number or a list of numbers."""
    parts = [part for kind in kinds for part in (typing.get_args(kind) or (kind,))]
    return any(part in (int, float) for part in parts)


def _name(kind: Any) -> str:  # noqa: ANN401 - a type hint
    return {int: "integer", float: "number", str: "string"}.get(kind, getattr(kind, "__name__", str(kind)))
