"""The report of an audit of labels that came without a run: one HTML file that opens with the network off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from swatchbook.report.contact_sheet import plain, rendered, small_copies
from swatchbook.report.display import table_view, wide_view
from swatchbook.report.wording import capital, joined, number, percentage, words
from swatchbook.schema import Schema

SHOWN = 12  # suspects of an attribute
ENOUGH = 10  # judged at the head of the list, for it to be the one that is told


@dataclass(frozen=True)
class Findings:
    """The tables that the report is written from.

    Attributes:
        scores: As `evaluation.audit.audit_table` gives them.
        baseline: The same of the most frequent label, given to every image.
        certified: As `evaluation.certification.certify_thresholds`, or None without confidences.
        promises: A sentence an attribute on what is certified, likewise.
        suspects: As `evaluation.label_errors.suspects_table`.
        ranking: As `evaluation.label_errors.ranking_table`.
        again: As `audit.annotators.self_agreement_table`.
        corrected: As `audit.corrections.corrections_table`.
    """

    scores: pd.DataFrame
    baseline: pd.DataFrame
    certified: pd.DataFrame | None
    promises: Sequence[str]
    suspects: pd.DataFrame
    ranking: pd.DataFrame
    again: pd.DataFrame
    corrected: pd.DataFrame


def page(
    found: Findings,
    schema: Schema,
    root: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    copy: str,
    drawn: bool,
) -> str:
    """The report as HTML.

    Args:
        found: The tables.
        schema: Gives attributes and classes.
        root: The folder of images.
        title: The report's title.
        facts: Name → value, shown under the title.
        copy: The name of the file with the corrected labels.
        drawn: Whether the judged photographs are a sample that was drawn for it, and the judging blind.
    """
    shown = found.suspects[found.suspects["rank"] <= SHOWN]
    small = small_copies(root, sorted(set(shown["image_id"])))
    return rendered(
        "label_audit",
        title=title,
        facts=facts,
        drawn=drawn,
        found=[_sentence(found, name) for name in schema.names],
        bars=[{"name": words(a), "rows": _bars(found, a)} for a in schema.names],
        scores=_scores_html(found),
        classes=_classes_html(found),
        promises=found.promises,
        certified=_certified_html(found),
        ranking=_ranking_html(found),
        ranked=[_ranked(found, name) for name in dict.fromkeys(found.ranking["attribute"])],
        suspects=[_cards(name, rows, small) for name, rows in shown.groupby("attribute", sort=False)],
        again=_again(found),
        corrected=_corrected(found, copy),
        ways=list(dict.fromkeys(_of(found.scores)["interval"].dropna())),
    )


def _of(scores: pd.DataFrame, abstained: str = "left_out") -> pd.DataFrame:
    """Scores of whole attributes by the design."""
    kept = (scores["class"] == "all") & (scores["weighting"] == "design") & (scores["abstained"] == abstained)
    return scores[kept]


def _row(scores: pd.DataFrame, attribute: str, statistic: str) -> pd.Series:
    rows = _of(scores)
    return rows[(rows["attribute"] == attribute) & (rows["statistic"] == statistic)].iloc[0]


def _sentence(found: Findings, attribute: str) -> dict[str, str]:
    """What was found of an attribute: its name, and the rest of the sentence."""
    right, f1, cover = (_row(found.scores, attribute, s) for s in ("accuracy", "macro_f1", "coverage"))
    always = _row(found.baseline, attribute, "accuracy")
    name = capital(words(attribute))
    if pd.isna(right["value"]):
        judged = f"{int(right['n']):,} judged" if right["n"] else "nobody has judged it"
        return {"name": name, "text": f"too few are judged to say anything ({judged}; {right['interval']})."}
    labels = round(cover["value"] * cover["n"])
    wrong, least, most = (round((1 - right[end]) * labels) for end in ("value", "high", "low"))
    text = (
        f"about {wrong:,} of {labels:,} labels are wrong [{least:,}, {most:,}]; {percentage(right)} are "
        f"right ({int(right['n']):,} judged). "
    )
    text += (
        f"Macro-F1 {number(f1['value'], 2)} [{number(f1['low'], 2)}, {number(f1['high'], 2)}]."
        if not pd.isna(f1["value"])
        else f"No macro-F1: {f1['interval'].removeprefix('not estimable: ')}."
    )
    text += f" The most frequent label alone would be right on {percentage(always)}."
    if cover["value"] < 1:
        text += f" {int(cover['n']) - labels:,} photographs have no label."
    return {"name": name, "text": text}


def _bars(found: Findings, attribute: str) -> list[dict[str, object]]:
    """Accuracy and macro-F1 with their intervals, and the same of the most frequent label, in per cent."""
    rows = []
    for statistic, name in (("accuracy", "accuracy"), ("macro_f1", "macro-F1")):
        row, always = _row(found.scores, attribute, statistic), _row(found.baseline, attribute, statistic)
        known = not pd.isna(row["value"])
        ends = {end: f"{100 * row[end]:.1f}" for end in ("value", "low")} if known else {}
        rows.append(
            {
                "name": name,
                "known": known,
                "text": percentage(row) if known else "too few judged",
                "width": f"{100 * (row['high'] - row['low']):.1f}" if known else "",
                "always": "" if pd.isna(always["value"]) else f"{100 * always['value']:.1f}",
                **ends,
            }
        )
    return rows


def _scores_html(found: Findings) -> str:
    """Accuracy and macro-F1 of the labels and of the most frequent one, a line each."""
    whole = {"labels given": _of(found.scores), "the most frequent label": _of(found.baseline)}
    if (_of(found.scores).query("statistic == 'coverage'")["value"] < 1).any():
        whole["labels, wrong where there is none"] = _of(found.scores, "wrong")
    table = pd.concat([rows.assign(scored=who, judged=rows["n"]) for who, rows in whole.items()])
    table = table[table["statistic"].isin(("accuracy", "macro_f1"))]
    order = {name: k for k, name in enumerate(dict.fromkeys(found.scores["attribute"]))}
    table = table.sort_values("attribute", key=lambda names: names.map(order), kind="stable")
    return wide_view(table, rows=["attribute", "scored", "judged"], across="statistic").html


def _classes_html(found: Findings) -> str:
    scores = found.scores
    kept = (
        (scores["weighting"] == "design") & (scores["abstained"] == "left_out") & (scores["class"] != "all")
    )
    rows = scores[kept & scores["statistic"].isin(("precision", "recall"))]
    return table_view(rows, columns=["attribute", "class", "statistic", "value", "n"]).html


def _certified_html(found: Findings) -> str:
    if found.certified is None or found.certified.empty:
        return ""
    return table_view(
        found.certified, columns=["attribute", "statistic", "part", "value", "n", "interval"]
    ).html


def _ranking_html(found: Findings) -> str:
    if found.ranking.empty:
        return ""
    table = found.ranking.rename(columns={"part": "part of the list"})
    return table_view(table, columns=["attribute", "part of the list", "value", "n", "interval"]).html


def _ranked(found: Findings, attribute: str) -> str:
    """What the head of the list is worth, in one sentence."""
    rows = found.ranking[found.ranking["attribute"] == attribute].set_index("share")
    every, name = rows.loc[1.0], capital(words(attribute))
    known = rows[rows["value"].notna() & (rows.index < 1)]
    if known.empty or pd.isna(every["value"]):
        return f"{name}: too few of the first labels on the list were judged to say what it is worth."
    enough = known[known["n"] >= ENOUGH]
    head = enough.iloc[0] if len(enough) else known.iloc[-1]
    part = f"of the first {100 * head.name:.0f}\u00a0% of the list {percentage(head)} are wrong"
    return f"{name}: {part} ({int(head['n']):,} judged); in random order {percentage(every)}."


def _cards(attribute: str, rows: pd.DataFrame, small: Mapping[str, object]) -> dict[str, object]:
    cards = [
        {
            "name": plain(row.image_id),
            "picture": small[row.image_id],
            "left": words(row.label),
            "right": number(row.score, 2, zero=False),
            "labels": f"perhaps {words(row.instead)}" if row.instead else "",
        }
        for row in rows.itertuples()
    ]
    return {"name": words(attribute), "cards": cards}


def _again(found: Findings) -> list[str]:
    """How often each person said the same twice, which no label can beat save by chance."""
    rows = found.again[(found.again["statistic"] == "same_answer") & found.again["value"].notna()]
    lines = []
    for who, own in rows.groupby("annotator", sort=False):
        shares = [f"{words(row['attribute'])} {percentage(row)}" for row in own.to_dict("records")]
        lines.append(
            f"Of the {int(own['n'].max()):,} photographs that came twice {who} gave the same answer to: "
            f"{joined(shares)}."
        )
    return lines


def _corrected(found: Findings, copy: str) -> str:
    """What was corrected so far, and where the labels stand."""
    table = found.corrected
    if table.empty:
        return f"No label is corrected yet; {copy} holds the labels as they came."
    by = {who: int((table["by"] == who).sum()) for who in ("audit", "correction")}
    ways = [
        f"{n:,} by the {'audit' if who == 'audit' else 'page of corrections'}" for who, n in by.items() if n
    ]
    return f"{copy} holds the labels, {len(table):,} corrected: {joined(ways)}. Nothing else is changed."
