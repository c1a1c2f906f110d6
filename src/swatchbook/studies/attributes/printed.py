"""Printed numbers beside ours: which row of which table a number is, and whether ours rounds to it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

Tables = Mapping[str, pd.DataFrame]
KEYS = ("model", "head", "class", "a", "b", "rows", "statistic")
NUMBER_COLUMNS = [
    "table", *KEYS, "printed", "value", "low", "high", "n", "interval", "verdict", "where", "note",
]  # fmt: skip


def with_printed(table: pd.DataFrame, printed: pd.DataFrame, name: str) -> pd.DataFrame:
    """Put the printed value beside each row of a table that has one, in a column ``published``.

    Args:
        table: A tidy table; its statistic may be called ``metric`` and its head ``attribute``.
        printed: Printed numbers with the key columns and ``table, value, tolerance``.
        name: The table's name in `printed`.
    """
    keys = [k for k in KEYS if _column(k, table) is not None]
    printed = printed.fillna(dict.fromkeys(KEYS, ""))
    listed = printed[printed["table"] == name].sort_values("tolerance", kind="stable")
    listed = listed.drop_duplicates(list(KEYS))  # the most precise of several places that print it
    matching = {tuple(row): value for *row, value in listed[[*keys, "value"]].itertuples(index=False)}
    columns = [table[_column(k, table)].fillna("").astype(str) for k in keys]
    rows = zip(*columns, strict=True)
    return table.assign(published=[matching.get(row, np.nan) for row in rows])


def _column(key: str, table: pd.DataFrame) -> str | None:
    for column in {"statistic": ("statistic", "metric"), "head": ("head", "attribute")}.get(key, (key,)):
        if column in table:
            return column
    return None


def number_table(printed: pd.DataFrame, tables: Tables) -> pd.DataFrame:
    """Every printed number beside ours, and whether ours rounds to it.

    Args:
        printed: Printed numbers: key columns, ``table, value, text, tolerance, where, note``.
        tables: Name → table.

    Returns:
        A row a printed number: its keys, ``printed`` (the text), ``value, low, high, n, interval`` (ours)
        and ``verdict``: ``reproduced`` if ours lies within half a unit of the last printed digit, else
        ``differs``; ``not in the exports`` where nothing to recompute it from was published. A printed
        threshold (statistic ``margin``) is a choice and has no row.
    """
    rows = []
    printed = printed[printed["statistic"] != "margin"].fillna(dict.fromkeys(KEYS, ""))
    for row in printed.to_dict("records"):
        ours = _ours(row, tables.get(row["table"])) or _ours(row, tables["curation"])
        if ours is None:
            verdict, ours = "not in the exports", {}
        else:
            verdict = "reproduced" if abs(ours["value"] - row["value"]) <= row["tolerance"] else "differs"
        absent = dict.fromkeys(("value", "low", "high", "n"), np.nan)
        rows.append({**row, **absent, **ours, "printed": row["text"], "verdict": verdict})
    return pd.DataFrame(rows).reindex(columns=NUMBER_COLUMNS)


def _ours(row: Mapping[str, object], table: pd.DataFrame | None) -> dict | None:
    """Our row for a printed number in a table, or None."""
    if table is None:
        return None
    wanted = {k: row[k] for k in KEYS if row[k] != "" and _column(k, table) is not None}
    is_count = wanted.get("statistic") == "n"
    if is_count:  # an n stands beside every score of its head
        wanted["statistic"] = "v" if row["table"] == "coupling" else "accuracy"
    if "weighting" in table:  # the audit as it was printed
        wanted |= {"weighting": "none", "abstained": "extra_class"}
    matches = np.logical_and.reduce([table[_column(k, table) or k] == v for k, v in wanted.items()])
    if not matches.any():
        return None
    matching = table[matches].iloc[0]
    ours = {k: matching.get(k) for k in ("value", "low", "high", "n", "interval")}
    return {"value": matching["n"], "interval": "count"} if is_count else ours
