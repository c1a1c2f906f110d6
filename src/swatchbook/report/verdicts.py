"""Verdicts on claims, in a sentence."""

from __future__ import annotations

import pandas as pd

from swatchbook.report.wording import joined

#: A verdict as the verb of one claim, and of several.
_VERBS = {
    "holds": ("holds", "hold"),
    "holds in part": ("holds in part", "hold in part"),
    "does not hold": ("does not hold", "do not hold"),
    "unresolved": ("is unresolved", "are unresolved"),
    "not asked": ("was not asked", "were not asked"),
}


def counted(claims: pd.DataFrame, whose: str) -> str:
    """A sentence of Markdown on how many claims of a document have which verdict, the most frequent first.

    Args:
        claims: With the column ``verdict``.
        whose: Such as ``the thesis``.
    """
    counts = claims["verdict"].value_counts()
    told = joined([f"{n} {_VERBS[verdict][n > 1]}" for verdict, n in counts.items()])
    return f"**Of {len(claims)} claims of {whose}**: {told} ([each of them](#claims))."
