"""How right a labeller is on photographs, as measured; an attribute that it cannot do there is left out.

A labeller's folder may hold ``measured.csv``, written where it was trained: a row an attribute and metric,
scored with the schema `SCHEMA` on photographs that it never learnt from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from swatchbook.data.strict_csv import DataError, read_csv
from swatchbook.labeller import folder_of
from swatchbook.schema import Schema

MEASURED = "measured.csv"
SCHEMA = "wardrobe"
COLUMNS = ("attribute", "metric", "value", "low", "high", "n", "majority", "judged_by", "interval")
#: Accuracy of every photograph's surest label, and of those labels that reach the schema's thresholds.
ACCURACY, ACCURACY_KEPT = "accuracy", "accuracy_kept"
#: An accuracy whose lower end is not this far above the share of the commonest class is of no use.
CLEARLY = 0.02
ALL = "all"


@dataclass(frozen=True)
class Asked:
    """Which attributes of a schema are labelled, and how right their labels are on photographs.

    Attributes:
        schema: The schema, with the attributes that are labelled.
        said: Attribute of the whole schema → one sentence: how right it is, or why it is left out.
        withheld: The attributes that are left out.
        measured: The rows of ``measured.csv``, `COLUMNS`; none where the labeller was not measured.
    """

    schema: Schema
    said: Mapping[str, str]
    withheld: tuple[str, ...]
    measured: pd.DataFrame

    @property
    def lines(self) -> list[str]:
        """The same, a line an attribute; one line where nothing was measured."""
        if self.measured.empty:
            return ["how right this labeller is on photographs was not measured"]
        more = f"; --attributes {ALL} labels it all the same"
        return [f"{name}: {text}{more * (name in self.withheld)}" for name, text in self.said.items()]


def asked_of(schema: Schema, labeller: str, attributes: Sequence[str] = ()) -> Asked:
    """The attributes that a labeller is asked for on photographs.

    An attribute is left out if its accuracy there is not clearly above the share of the commonest class, or
    was not measured although the labeller was. A labeller without a measurement is asked for all, and so are
    attributes with classes of one's own, of which a measurement with other classes says nothing.

    Args:
        schema: What could be asked.
        labeller: Its name, see `kind_and_place`.
        attributes: Names of those to label whatever was measured, or ``all``; by default those it can do.

    Raises:
        ValueError: If an attribute is not in the schema, or none would be left.
        DataError: If ``measured.csv`` is damaged.
    """
    measured = read_measured(labeller)
    standard = Schema.load(SCHEMA)
    comparable = [
        a.name for a in schema if a.name in standard.names and {*a.classes} <= {*standard[a.name].classes}
    ]
    useless = [name for name in comparable if len(measured) and not is_useful(measured, name)]
    if not attributes and len(useless) == len(schema.names):
        raise ValueError(
            f"attributes: of {', '.join(useless)} this labeller can do none on photographs; "
            f"allowed: {ALL}, or names, to label them all the same"
        )
    chosen = list(attributes) or [name for name in schema.names if name not in useless]
    asked = schema if chosen == [ALL] else schema.only(chosen)
    withheld = tuple(name for name in schema.names if name not in asked.names)
    said = {}
    for name in schema.names:
        found = sentence(measured, name) if name in comparable else "not measured on photographs"
        reason = "left out: " if name in withheld and name in useless else "not asked for: "
        said[name] = f"{reason * (name in withheld)}{found}"
    return Asked(asked, said, withheld, measured)


def read_measured(labeller: str) -> pd.DataFrame:
    """The measurement beside a labeller's weights: `COLUMNS`, without rows where there is none.

    Raises:
        DataError: If a number is none, or an interval does not hold its value within [0, 1].
    """
    folder = folder_of(labeller)
    path = folder and folder / MEASURED
    if path is None or not path.is_file():
        return pd.DataFrame(columns=list(COLUMNS))
    rows = read_csv(path, COLUMNS)
    numbers = ["value", "low", "high", "n", "majority"]
    rows[numbers] = rows[numbers].apply(pd.to_numeric, errors="coerce")
    right = (rows["low"] >= 0) & (rows["low"] <= rows["value"]) & (rows["value"] <= rows["high"])
    right &= (rows["high"] <= 1) & (rows["n"] > 0) & rows["majority"].between(0, 1)
    if not right.all():
        raise DataError(
            f"{str(path)!r}, line {right.idxmin()}: 0 ≤ low ≤ value ≤ high ≤ 1, n above 0 and majority from "
            "0 to 1 are allowed"
        )
    return rows[list(COLUMNS)].reset_index(drop=True)


def is_useful(measured: pd.DataFrame, attribute: str) -> bool:
    """Whether its accuracy was measured and lies clearly above the share of the commonest class."""
    row = _row(measured, attribute, ACCURACY)
    return row is not None and row.low >= row.majority + CLEARLY


def sentence(measured: pd.DataFrame, attribute: str) -> str:
    """How right an attribute's labels are on photographs, with n, what must be beaten, and who judged."""
    row, kept = (_row(measured, attribute, metric) for metric in (ACCURACY, ACCURACY_KEPT))
    if row is None:
        return "not measured on photographs"
    sure = "" if kept is None else f"where it is sure {_share(kept)}, n = {kept.n:,.0f}; "
    return (
        f"right on {_share(row)} of photographs, n = {row.n:,.0f} ({sure}the commonest class "
        f"{100 * row.majority:.1f} %; judged by {row.judged_by})"
    )


def _row(measured: pd.DataFrame, attribute: str, metric: str) -> object | None:
    rows = measured[(measured["attribute"] == attribute) & (measured["metric"] == metric)]
    return next(rows.itertuples(), None)


def _share(row: object) -> str:
    return f"{100 * row.value:.1f} % [{100 * row.low:.1f}, {100 * row.high:.1f}]"
