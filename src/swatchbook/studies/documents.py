"""What the documents behind a study claim and print (``claims.yaml`` in the study's folder), and verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import pandas as pd
import yaml

HOLDS, NOT, OPEN, PART, UNASKED = "holds", "does not hold", "unresolved", "holds in part", "not asked"
VERDICTS = ["claim", "document", "place", "printed", "verdict", "sentence"]
Verdict = tuple[str, str]  # and one sentence
Asked = TypeVar("Asked")
CLAIMS = ["claim", "printed", "tested_by", "note", "document", "place", "title"]


def read_claims(study: str) -> pd.DataFrame:
    """The claims of a study's documents, a row a claim, in the order of the file.

    Args:
        study: Name of the study, whose folder holds the file.

    Returns:
        Columns `CLAIMS`: ``printed`` is a quotation, ``tested_by`` the quantity that decides, ``note`` what
        the document contradicts or leaves open ("" where nothing), ``title`` the document's.
    """
    content = _content(study)
    table = pd.DataFrame(content["claims"]).rename(columns={"id": "claim"})
    titles = {name: about["title"] for name, about in content["documents"].items()}
    return table.assign(title=table["document"].map(titles)).reindex(columns=CLAIMS).fillna({"note": ""})


class NotAskedError(LookupError):
    """A run cannot answer a claim; the message, a sentence, says why."""


def verdicts(study: str, tests: Mapping[str, Callable[[Asked], Verdict]], evidence: Asked) -> pd.DataFrame:
    """The claims of a study's documents, each with a verdict and one sentence from a run.

    Args:
        study: Name of the study.
        tests: Claim → what decides it; it may raise `NotAskedError`.
        evidence: What the tests are given.

    Returns:
        Columns `VERDICTS`, a row a claim, in the order of the documents.
    """
    rows = []
    for claim in read_claims(study).to_dict("records"):
        try:
            verdict, sentence = tests[claim["claim"]](evidence)
        except NotAskedError as error:
            verdict, sentence = UNASKED, str(error)
        rows.append({**claim, "verdict": verdict, "sentence": sentence})
    return pd.DataFrame(rows)[VERDICTS]


def sign(row: Mapping) -> str:
    """Whether an interval proves a difference to be above zero."""
    return HOLDS if row["low"] > 0 else NOT if row["high"] < 0 else OPEN


def read_numbers(study: str) -> pd.DataFrame:
    """The numbers that a study's documents print, keyed as the rows of the study's own tables are.

    Args:
        study: Name of the study, whose folder holds the file.

    Returns:
        ``table`` (which table has the same quantity), ``document``, ``place``, the key columns of that table
        ("" where a key is not stated), ``text`` (as printed), ``value``, and ``tolerance``, half a unit of
        the last printed digit.
    """
    rows = []
    for group in _content(study)["numbers"]:
        about = {key: group[key] for key in ("table", "document", "place")}
        for row in group["rows"]:
            keys = {**group["keys"], **dict(zip(group["columns"], row, strict=True))}
            text = keys.pop("value")
            tolerance = 0.5 * 10.0 ** -len(text.partition(".")[2])
            rows.append({**about, **keys, "text": text, "value": float(text), "tolerance": tolerance})
    last = ["text", "value", "tolerance"]
    table = pd.DataFrame(rows)
    keys = [column for column in table if column not in last]
    return table[keys].astype(object).fillna("").join(table[last])


def read_curves(study: str) -> pd.DataFrame:
    """The training curves of the documents that have any, as numbers.

    Args:
        study: Name of the study, whose folder holds the file.

    Returns:
        ``model, fc_layers, split, group, epoch, loss, accuracy, seconds`` (an epoch's; of ``train`` and
        ``all`` only), and the ``document``; what the columns hold is said in the study's ``claims.yaml``.
    """
    tables = [
        pd.read_csv(Path(__file__).parent / study / about["curves"]).assign(document=name)
        for name, about in _content(study)["documents"].items()
        if "curves" in about
    ]
    return pd.concat(tables, ignore_index=True)


def _content(study: str) -> dict:
    return yaml.safe_load((Path(__file__).parent / study / "claims.yaml").read_text(encoding="utf-8"))
