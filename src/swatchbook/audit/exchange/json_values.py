"""Values of a stranger's JSON, taken with care."""

from __future__ import annotations


class MalformedError(ValueError):
    """JSON that is not of the tool's form; the message goes on after the file's name."""


def mapping(value: object, what: str) -> dict:
    """The value, if it is a JSON object."""
    if not isinstance(value, dict):
        raise MalformedError(f", {what} is {value!r:.80}; allowed: a mapping")
    return value


def mappings(value: object, what: str) -> list[dict]:
    """The value, if it is a list of JSON objects."""
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise MalformedError(f", {what} is {value!r:.80}; allowed: a list of mappings")
    return value


def text_of(value: object) -> str:
    """A value as a cell's text; null is blank."""
    return "" if value is None else str(value)
