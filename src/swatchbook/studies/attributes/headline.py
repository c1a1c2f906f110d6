"""The report's first table: the study's main printed numbers beside ours."""

from __future__ import annotations

import pandas as pd

from swatchbook.names import called
from swatchbook.report.wording import words

STATISTICS = {
    "macro_f1": "macro-F1",
    "accuracy": "accuracy",
    "delta_macro_f1": "gap in macro-F1",
    "delta_f1": "gap in F1",
    "v": "Cramér's V",
    "delta_v_mixed_rows": "ΔV as printed",
    "classes_won": "classes ahead",
}


def headline_table(numbers: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """The numbers that the study puts forward: scores, gaps, audit and coupling.

    Args:
        numbers: From `swatchbook.studies.attributes.printed.number_table`.
        baseline: The model that the gaps are measured from.

    Returns:
        Columns `what, published, ours, interval, n, verdict`, as text.
    """
    shown = numbers[
        numbers["statistic"].isin(list(STATISTICS)) & numbers["where"].str.contains("page|README")
    ]
    return pd.DataFrame(
        {
            "what": [_what(row, baseline) for row in shown.to_dict("records")],
            "published": shown["printed"].to_numpy(),
            "ours": [_number(row["value"], row["statistic"]) for row in shown.to_dict("records")],
            "interval": [_interval(row) for row in shown.to_dict("records")],
            "n": ["" if pd.isna(n) else f"{n:,.0f}" for n in shown["n"]],
            "verdict": shown["verdict"].to_numpy(),
        }
    )


def known_headline(known: pd.DataFrame) -> pd.DataFrame:
    """Every estimate of a world whose truth is known, beside that truth.

    Args:
        known: From `swatchbook.evaluation.known.known_table`.

    Returns:
        Columns `what, known, estimate, interval, n, verdict` as text; ``covers`` or ``misses``.
    """
    rows = known.to_dict("records")
    return pd.DataFrame(
        {
            "what": [
                f"{called(row['model'])}, {row['head']}: {row['what'].replace('macro_f1', 'macro-F1')}"
                for row in rows
            ],
            "known": [f"{row['known']:.3f}" for row in rows],
            "estimate": ["bound" if pd.isna(row["value"]) else f"{row['value']:.3f}" for row in rows],
            "interval": [f"{row['low']:.3f} to {row['high']:.3f}" for row in rows],
            "n": [f"{row['n']:,.0f}" for row in rows],
            "verdict": ["covers" if row["covered"] else "misses" for row in rows],
        }
    )


def _what(row: dict, baseline: str) -> str:
    statistic = STATISTICS[row["statistic"]]
    if row["table"] == "audit":
        return f"audit of silver {words(row['head'])}: {statistic}, as printed"
    if row["table"] == "coupling":
        rows = {"identical": "labelled rows", "all": "all rows", "mixed": "mixed rows"}[row["rows"]]
        return f"{called(row['model'])}, {words(row['a'])} × {words(row['b'])}: {statistic} ({rows})"
    label = words(row["head"]) + ("" if row["class"] == "all" else f", {words(row['class'])}")
    if row["table"] == "comparison":
        return f"{called(row['model'])} over {called(baseline)}, {label}: {statistic}"
    return f"{called(row['model'])}, {label}: {statistic}"


def _number(value: float, statistic: str) -> str:
    if pd.isna(value):
        return "not estimable"
    if statistic == "classes_won":
        return f"{value:.0f}"
    if statistic in ("delta_macro_f1", "delta_f1"):
        return f"{100 * value:+z.2f} pp"
    return f"{value:+z.4f}" if statistic.startswith("delta") else f"{value:.4f}"


def _interval(row: dict) -> str:
    if pd.isna(row["low"]):
        return ""
    scale, digits = (100, 1) if row["statistic"] in ("delta_macro_f1", "delta_f1") else (1, 3)
    return f"{scale * row['low']:z.{digits}f} to {scale * row['high']:z.{digits}f}"
