"""What pydantic finds wrong, in one line that names the place, what was received and what is allowed."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator


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
            raise ValueError(f"unknown key {unknown[0]!r}; allowed: {', '.join(cls.model_fields)}")
        return given


def in_words(error: ValidationError) -> str:
    """The first of the errors: ``a.b = 7; must be …``, or ``a.b: …`` where the check names the value."""
    first = error.errors()[0]
    *above, last = first["loc"] or ("",)
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"{'.'.join(map(str, above))}: {last!r} is missing".removeprefix(": ")
    if first["type"] == "value_error":
        return f"{place}: {first['ctx']['error']}".removeprefix(": ")
    reason = re.sub(r"^(Input|List|Dictionary|Tuple) should", "must", first["msg"])
    reason = reason.replace("dictionary", "mapping").replace(" after validation, not 0", "")
    return f"{place} = {first['input']!r}; {reason}"
