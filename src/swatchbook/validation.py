"""Which names are allowed; and what pydantic finds wrong: place, what was received, what is allowed."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator

from swatchbook.names import meant


def _name(text: str) -> str:
    if not re.fullmatch(r"\w([\w .+-]{0,62}[\w+-])?", text):
        raise ValueError(
            f"name {text!r}; allowed: up to 64 letters, digits, blanks and _ - + ., of which a letter or "
            "digit is first and no blank or dot last"
        )
    return text


def _words(text: str) -> str:
    if not text.strip():
        raise ValueError(f"must be a text with words, not {text!r}")
    return text


def _label(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError(f"name {text!r}; allowed: signs that can be printed, without a blank at either end")
    return text


#: Of a model or an attribute: it becomes the name of files and of columns.
Name = Annotated[str, AfterValidator(_name)]
#: Of a class: it becomes a cell of tables and a word in figures.
Label = Annotated[str, AfterValidator(_label)]
Text = Annotated[str, AfterValidator(_words)]


class Checked(BaseModel):
    """A mapping from a file: no key but its own, no value but of its own kind."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _keys(cls, given: object) -> object:
        if not isinstance(given, dict):
            raise ValueError(f"must be a mapping, not {given!r}")
        unknown = [key for key in given if key not in cls.model_fields]
        if unknown:
            near, allowed = meant(unknown[0], cls.model_fields), ", ".join(cls.model_fields)
            raise ValueError(f"unknown key {unknown[0]!r}; {near}allowed: {allowed}")
        return given


def in_words(error: ValidationError) -> str:
    """The first of the errors: ``a.b = 7; must be …``, or ``a.b: …`` where the check names the value.

    A section's own check begins with the key that it is about, ``b = 7; must be …``.
    """
    first = error.errors()[0]
    *above, last = first["loc"] or ("",)
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"{'.'.join(map(str, above))}: {last!r} is missing".removeprefix(": ")
    if first["type"] == "value_error":
        said = str(first["ctx"]["error"])
        return (
            f"{place}.{said}".removeprefix(".")
            if re.match(r"[\w.]+ = ", said)
            else f"{place}: {said}".removeprefix(": ")
        )
    reason = re.sub(r"^(Input|List|Dictionary|Tuple) should", "must", first["msg"])
    reason = reason.replace("dictionary", "mapping").replace(" after validation, not 0", "")
    return f"{place} = {first['input']!r}; {reason}"
