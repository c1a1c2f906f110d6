"""The command line, and how numbers are written on it."""

from __future__ import annotations

import argparse
import re
from importlib.util import find_spec
from typing import NoReturn

from swatchbook.names import meant


class Parser(argparse.ArgumentParser):
    """A parser that says which command or choice was probably meant, and so do its sub-commands' parsers."""

    def error(self, message: str) -> NoReturn:
        """Refuse a command line."""
        if found := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)$", message):
            allowed = [choice.strip("'") for choice in found[2].split(", ")]
            said = f"{found[1]!r}; {meant(found[1], allowed)}allowed: {', '.join(allowed)}"
            message = message[: found.start()] + said
        super().error(message)


def require(*modules: str) -> None:
    """Refuse at once, and not when half is computed, what needs modules that are not installed."""
    for name in modules:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def needed_extra(command: str, module: str) -> str:
    """Says which extra of this package brings a module that a command needs."""
    extra = "ray" if module == "ray" else "models" if command in _WITH_MODELS else "study"
    return f"swatchbook {command} needs {module}: pip install 'swatchbook[{extra}]'"


_WITH_MODELS = ("label", "predict", "index", "search")


def whole(text: str) -> int:
    """A whole number of a command line; Python's own reading takes 1_000 and the digits of every script."""
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise argparse.ArgumentTypeError(f"{text!r}; a whole number in the digits 0 to 9 is needed")
    return int(text)


def number(text: str) -> float:
    """A number of a command line, written likewise."""
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|nan|inf", text):
        raise argparse.ArgumentTypeError(f"{text!r}; a number in the digits 0 to 9 is needed")
    return float(text)
