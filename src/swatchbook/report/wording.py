"""How numbers and names are put into words, and which colour a colour's name has, in every report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

NOT_ESTIMABLE = "not estimable"
ABSENT = "–"
SMALLEST_P = 0.001
SWATCHES = {
    "black": "#1d1d1f", "white": "#ffffff", "grey": "#9a9a98", "gray": "#9a9a98", "beige": "#d9c5a0",
    "brown": "#7a4e2d", "red": "#b3262e", "pink": "#e79db4", "orange": "#e07b28", "yellow": "#e8b931",
    "green": "#4c8a4a", "blue": "#3b74b8", "navy": "#1f2f5c", "purple": "#6d4a9c",
}  # fmt: skip


def number(value: float, digits: int = 3, *, sign: bool = False, zero: bool = True) -> str:
    """A number with a fixed number of decimals and a true minus sign.

    Args:
        value: Any number; NaN gives "not estimable".
        digits: Decimals.
        sign: Write a plus sign too.
        zero: Write the 0 before the point; without it −0.031 becomes −.031.
    """
    if math.isnan(value):
        return NOT_ESTIMABLE
    text = f"{abs(value):.{digits}f}"
    negative = value < 0 and float(text) != 0
    if not zero and text.startswith("0."):
        text = text[1:]
    return ("−" if negative else "+" if sign else "") + text


def estimate(
    value: float, low: float, high: float, digits: int = 3, *, sign: bool = False, zero: bool = True
) -> str:
    """A value with its interval, ``0.744 [0.727, 0.760]``; only one of them where only one is there."""
    if math.isnan(low) or math.isnan(high):
        return number(value, digits, sign=sign, zero=zero)
    between = f"[{number(low, digits, zero=zero)}, {number(high, digits, zero=zero)}]"
    return between if math.isnan(value) else f"{number(value, digits, sign=sign, zero=zero)} {between}"


def percentage(row: Mapping[str, float]) -> str:
    """A share with its interval: ``90.8 % [86.0, 94.5]``.

    Args:
        row: ``value, low, high`` of a table.
    """
    return _with_unit(row, "%", sign=False)


def points(row: Mapping[str, float]) -> str:
    """A difference of shares with its interval: ``+18.1 points [16.5, 19.7]``; arguments as `percentage`."""
    return _with_unit(row, "points", sign=True)


def _with_unit(row: Mapping[str, float], unit: str, *, sign: bool) -> str:
    value, low, high = (100 * row[end] for end in ("value", "low", "high"))
    return f"{number(value, 1, sign=sign)}\u00a0{unit} [{number(low, 1)}, {number(high, 1)}]"


def p_value(p: float) -> str:
    """A p-value as it is usually printed: ``0.032``, ``< 0.001``."""
    if math.isnan(p):
        return NOT_ESTIMABLE
    return f"< {SMALLEST_P}" if p < SMALLEST_P else f"{p:.3f}"


def words(name: object) -> str:
    """A class, attribute or other name as it is read: without underscores."""
    return str(name).replace("_", " ").strip() or str(name)


def capital(text: str) -> str:
    """A text whose first letter is a capital, as a title's is; a symbol of one letter stays as it is."""
    return text[:1].upper() + text[1:] if len(text.split(" ")[0]) > 1 else text


def joined(parts: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)
