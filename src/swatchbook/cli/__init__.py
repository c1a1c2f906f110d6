"""The command line, and how numbers are written on it."""

from __future__ import annotations

import argparse
import re


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
