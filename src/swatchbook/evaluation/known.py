"""Estimates beside the truth that they estimate, where a world was made and its truth is known."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from swatchbook.evaluation.association import cramers_v
from swatchbook.evaluation.resample import table
from swatchbook.evaluation.scores import Codes, accuracy, macro_f1
from swatchbook.schema import Schema

COLUMNS = [
    "what", "model", "head", "statistic", "known", "value", "low", "high", "n", "interval", "covered",
    "world",
]  # fmt: skip

KNOWN = "known truth"  # the estimator, weighting or model of a row that is counted from the truth


def known_scores(truth_codes: Codes, labels: Mapping[str, Codes], schema: Schema) -> pd.DataFrame:
    """Accuracy and macro-F1 against the truth of all test images, as rows of a truth table.

    Args:
        truth_codes: As in `known_table`.
        labels: As in `known_table`.
        schema: As in `known_table`.

    Returns:
        Columns `model, head, class, reference, estimator, statistic, value, n, interval`; the reference and
        the estimator are `KNOWN`.
    """
    rows = [
        {
            "model": model, "head": a.name, "class": "all", "reference": KNOWN, "estimator": KNOWN,
            "statistic": statistic, "value": _score(truth_codes, codes, a.name, statistic, schema),
            "n": len(truth_codes[a.name]), "interval": "known of every test image",
        }
        for model, codes in labels.items()
        for a in schema
        for statistic in ("accuracy", "macro_f1")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def known_coupling(truth_codes: Codes, schema: Schema) -> pd.DataFrame:
    """Corrected V of every pair in the truth of all test images, and their mean, as rows of a coupling table.

    Args:
        truth_codes: As in `known_table`.
        schema: As in `known_table`.

    Returns:
        Columns `model, a, b, rows, statistic, value, n, interval`; the model is `KNOWN`, the rows ``all``.
    """
    v = {
        (a, b): float(
            cramers_v(table(truth_codes[a], truth_codes[b], (len(schema[a]), len(schema[b]))), truncate=False)
        )
        for a, b in schema.pairs
    }
    shared = {
        "model": KNOWN,
        "rows": "all",
        "statistic": "v_corrected",
        "interval": "known of every test image",
    }
    n = len(truth_codes[schema.names[0]])
    rows = [{**shared, "a": a, "b": b, "value": max(value, 0.0), "n": n} for (a, b), value in v.items()]
    return pd.DataFrame(
        [*rows, {**shared, "a": "all", "b": "all", "value": sum(v.values()) / len(v), "n": n}]
    )


def known_table(
    truth_codes: Codes,
    labels: Mapping[str, Codes],
    schema: Schema,
    *,
    truth: pd.DataFrame,
    rectified: pd.DataFrame,
    known_v: pd.DataFrame,
) -> pd.DataFrame:
    """Every estimator that has a known answer, and whether its interval holds it.

    Args:
        truth_codes: Attribute → known codes of the test images, shape (n,).
        labels: "silver" and every model → attribute → codes of the test images, −1 where it abstained.
        schema: Gives heads, classes and pairs.
        truth: From `truth_table`: estimates from the audit.
        rectified: From `rectified_table`: V of the truth, estimated from the audit.
        known_v: Columns `a, b, value`: the world's exact V.

    Returns:
        Columns `what, model, head, statistic, known, value, low, high, n, interval, covered, world`: true
        accuracy and macro-F1 of the silver labels and of every model by head, the bound on accuracy, and V
        by pair (head ``a × b``; ``world`` is the exact V of the world that the images were drawn from). An
        estimator without an interval is left out.
    """
    rows = []
    wanted = truth[(truth["class"] == "all") & truth["estimator"].isin(["post_stratified", "bound"])]
    for row in wanted[wanted["low"].notna()].to_dict("records"):
        if row["statistic"] not in ("accuracy", "macro_f1"):
            continue
        known = _score(truth_codes, labels[row["model"]], row["head"], row["statistic"], schema)
        what = "bound on true accuracy" if row["estimator"] == "bound" else f"true {row['statistic']}"
        rows.append({**row, "what": what, "known": known})
    exact = known_v.set_index(["a", "b"])["value"]
    for row in rectified[(rectified["statistic"] == "v_rectified") & rectified["low"].notna()].to_dict(
        "records"
    ):
        a, b = row["a"], row["b"]
        # The estimator speaks of these test images, whose plain V differs by chance from that of their world.
        counts = table(truth_codes[a], truth_codes[b], (len(schema[a]), len(schema[b])))
        here = {
            "what": "true V of the test images",
            "head": f"{a} × {b}",
            "known": float(cramers_v(counts, correct=False)),
        }
        rows.append({**row, **here, "world": exact[a, b]})
    frame = pd.DataFrame(rows).reindex(columns=COLUMNS)
    return frame.assign(covered=(frame["low"] <= frame["known"]) & (frame["known"] <= frame["high"]))


def _score(truth: Codes, labels: Codes, head: str, statistic: str, schema: Schema) -> float:
    """A score against the known truth; an abstention is an answer that is never right."""
    k = len(schema[head])
    answered = table(truth[head], (labels[head] + k + 1) % (k + 1), (k + 1, k + 1))  # −1 becomes class k
    return float({"accuracy": accuracy, "macro_f1": macro_f1}[statistic](answered))
