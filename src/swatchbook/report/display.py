"""How tables and figures are shown in a notebook, as HTML that the report can take over."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.names import called
from swatchbook.report.wording import ABSENT, capital, estimate, number, p_value, words

NOTHING = "Nothing to show: "  # begins the alt text of a figure whose table lacks the rows that it needs
COUNTS = ("n", "count", "size")
VERDICT = "verdict"
WIDTH = 1000  # CSS pixels at which figures are meant to be read
#: Columns whose values are names from the code, and are shown in words.
METRIC, MODEL = ("metric", "statistic", "estimator"), ("model", "baseline")
NAMED = (
    "a", "abstained", "attribute", "b", "class", "class_a", "class_b", "design", "folder", "head",
    "reference",
)  # fmt: skip
#: Columns whose values are typed as they stand, in a command or a program; other names are shown in words.
TYPED = ("setting", "here", "paper", "backbone", "image_tower", "text_tower", "weights", "image_weights")
NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+")  # of a class, an attribute, a rule: words joined by underscores
TERMS = {
    "f1": "F1",
    "macro_f1": "macro-F1",
    "weighted_f1": "weighted F1",
    "delta_accuracy": "gap in accuracy",
    "delta_f1": "gap in F1",
    "delta_macro_f1": "gap in macro-F1",
    "classes_won": "classes ahead",
    "classes_proved": "classes proved ahead",
    "all_classes_p": "p, ahead on all classes",
    "all_right": "all heads right",
    "aca": "average class accuracy",
    "ece": "calibration error",
    "mrr": "mean reciprocal rank",
    "null_v": "V, errors redrawn",
    "null_p": "p, errors redrawn",
    "v_rake": "V at the labels' margins",
    "plain_rule": "within the plain rule",
    "aurc": "area under risk–coverage",
    "ac1": "Gwet's AC1",
    "alpha": "Krippendorff's alpha",
    "kappa": "Cohen's kappa",
    "chi2": "χ²",
    "dof": "degrees of freedom",
    "v": "Cramér's V",
    "v_corrected": "corrected V",
    "v_ref": "V of independent errors",
    "v_ref_corrected": "corrected V of independent errors",
    "v_direct": "V of the judged images",
    "v_rectified": "rectified V",
    "delta_v": "ΔV",
    "delta_v_corrected": "corrected ΔV",
    "delta_v_corrected_90": "corrected ΔV, 90\u00a0%",
    "delta_v_mixed_rows": "ΔV on mixed rows",
    "delta_v_mixed_rows_corrected": "corrected ΔV on mixed rows",
    "p_holm": "p (Holm)",
    "permutation_p": "permutation p",
    "permutation_p_holm": "permutation p (Holm)",
    "post_stratified": "post-stratified",
    "ppi": "prediction-powered",
}


@dataclass(frozen=True)
class View:
    """Something to show: HTML in a notebook, plain text elsewhere.

    Attributes:
        html: A fragment of HTML, escaped where it has to be.
        text: The same for readers without HTML.
    """

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def figure_view(stem: Path) -> View:
    """A drawn figure: its picture, described by its alt text; of an empty one, what is missing, in words.

    Args:
        stem: Path without a suffix; ``.png`` and ``.txt`` are read.

    Raises:
        ValueError: If either file is missing.
    """
    stem = Path(stem)
    picture, words = (stem.with_name(stem.name + suffix) for suffix in (".png", ".txt"))
    for path in (picture, words):
        if not path.is_file():
            raise ValueError(f"stem: {str(path)!r} does not exist; a drawn figure has a .png and a .txt")
    alt = words.read_text(encoding="utf-8").strip()
    if alt.startswith(NOTHING):
        return View(f"<p>{escape(alt.removeprefix(NOTHING))}</p>", alt)
    data = base64.b64encode(picture.read_bytes()).decode("ascii")
    html = (
        f'<figure class="swatch-figure"><img src="data:image/png;base64,{data}" alt="{escape(alt)}" '
        f'style="width:{WIDTH}px;max-width:100%;height:auto"></figure>'
    )
    return View(html, f"[{stem.name}] {alt}")


def table_view(
    table: pd.DataFrame, *, columns: Sequence[str] | None = None, caption: str | None = None
) -> View:
    """A table for reading: values joined with their intervals, counts with thousands separators.

    The first column heads its row. ``low`` and ``high`` are joined to ``value``. Columns ``p`` and ``p_…``,
    and values of rows whose statistic is one, are p-values; values whose interval says ``count`` are counts.
    A column ``verdict`` comes second.
    A missing ``value`` is "not estimable"; any other missing number, which was not asked for, is a dash.
    Attributes, classes, metrics and models are shown in words. A table without rows is a sentence that says
    so.

    Args:
        table: Any table, a row a line.
        columns: Which columns, in which order; all by default. Choosing ``value`` brings its interval.
        caption: One line above the table.

    Raises:
        ValueError: If a column is not in the table or the table has none.
    """
    chosen = list(table.columns) if columns is None else list(columns)
    if VERDICT in chosen[2:]:  # where a narrow screen shows it without scrolling
        chosen.insert(1, chosen.pop(chosen.index(VERDICT)))
    unknown = [c for c in chosen if c not in table]
    if unknown or not chosen:
        raise ValueError(
            f"columns: {unknown[0] if unknown else 'none'!r}; the table has "
            f"{', '.join(map(str, table.columns)) or 'none'}"
        )
    if not len(table):
        return _nothing(caption)
    shown = _shown(table, chosen)
    return View(_html(shown, _numeric(table, shown), caption), _text(shown, caption))


def wide_view(table: pd.DataFrame, *, rows: Sequence[str], across: str, caption: str | None = None) -> View:
    """A tidy table turned wide: a line for each combination of `rows`, a column for each value of `across`.

    Args:
        table: A tidy table with ``value, low, high``.
        rows: Columns that head a line.
        across: The column whose values become columns, in the order in which they occur.
        caption: One line above the table.

    Raises:
        ValueError: If a column is missing, or a cell would hold two rows of the table.
    """
    keys = [*rows, across]
    missing = [c for c in (*keys, "value", "low", "high") if c not in table]
    if missing:
        raise ValueError(f"{missing[0]!r} is no column; the table has {', '.join(map(str, table.columns))}")
    if not len(table):
        return _nothing(caption)
    twice = table.duplicated(keys)
    if twice.any():
        first = table.loc[twice, keys].iloc[0].to_dict()
        raise ValueError(f"rows and across do not tell the rows of the table apart: {first} occurs twice")
    cells = dict(zip(table[keys].itertuples(index=False, name=None), _values(table), strict=True))
    lines = list(table[list(rows)].drop_duplicates().itertuples(index=False, name=None))
    columns = list(dict.fromkeys(table[across]))
    heads = _shown(pd.DataFrame(lines, columns=list(rows)), rows)
    body = {str(_in_words(across, c)): [cells.get((*line, c), ABSENT) for line in lines] for c in columns}
    numeric = [False] * len(rows) + [True] * len(columns)
    return View(_html(heads | body, numeric, caption), _text(heads | body, caption))


def _nothing(caption: str | None) -> View:
    """What a table without rows says."""
    said = f"{caption or 'The table'}: none."
    return View(f"<p>{escape(said)}</p>", said)


def _shown(table: pd.DataFrame, columns: Sequence[str]) -> dict[str, list[str]]:
    """Column → its cells in words; the ends of an interval go where the value goes."""
    with_interval = {"value", "low", "high"} <= set(table.columns) and "value" in columns
    return {
        column: _values(table) if column == "value" else _cells(table[column])
        for column in columns
        if not (with_interval and column in ("low", "high"))
    }


def _values(table: pd.DataFrame) -> list[str]:
    """The column ``value`` in words, each with its interval, by what its row holds."""
    blank = pd.Series("", table.index)
    kinds, ways = (table.get(column, blank) for column in ("statistic", "interval"))
    ends = [table.get(end, pd.Series(math.nan, table.index)) for end in ("low", "high")]
    texts = []
    for value, low, high, kind, way in zip(table["value"], *ends, kinds, ways, strict=True):
        if isinstance(value, str):
            texts.append(value)
        elif _is_p(kind):
            texts.append(p_value(_float(value)))
        elif str(kind).endswith("_rule") and not pd.isna(value):
            texts.append("yes" if value else "no")
        elif (str(way).startswith("count") or _is_integer(value)) and not pd.isna(value):
            texts.append(_count(value))
        else:
            texts.append(estimate(_float(value), _float(low), _float(high)))
    return texts


def _cells(cells: pd.Series) -> list[str]:
    """Any other column in words."""
    if _is_p(cells.name):
        return [ABSENT if pd.isna(p) else p_value(float(p)) for p in cells]
    if pd.api.types.is_bool_dtype(cells):
        return ["yes" if value else "no" for value in cells]
    if pd.api.types.is_numeric_dtype(cells):
        write = _count if _is_whole(cells) else number
        return [ABSENT if pd.isna(value) else write(value) for value in cells]
    return [_cell(_in_words(cells.name, value)) for value in cells]


def _in_words(column: object, value: object) -> object:
    """A name from the code by what its column says that it is; anything else as it is."""
    if not isinstance(value, str):
        return value
    if column in METRIC:
        return TERMS.get(value) or words(value)
    if column in MODEL:
        return words(called(value))
    is_name = column in NAMED or (column not in TYPED and NAME.fullmatch(value))
    return words(value) if is_name else value


def _cell(value: object) -> str:
    """One cell of a column of words."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    if _is_integer(value):
        return _count(value)
    return number(float(value)) if isinstance(value, float | np.floating) else str(value)


def _is_p(name: object) -> bool:
    name = str(name)
    return name == "p" or name.startswith("p_") or name.endswith(("_p", "_p_holm"))


def _is_whole(cells: pd.Series) -> bool:
    """Whether a column holds counts: integers, perhaps read back as floats because some are missing."""
    if pd.api.types.is_integer_dtype(cells):
        return True
    return str(cells.name) in COUNTS and bool((cells.dropna() % 1 == 0).all())


def _count(value: object) -> str:
    return f"{int(value):,}".replace("-", "−")


def _is_integer(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _float(value: object) -> float:
    return math.nan if pd.isna(value) else float(value)


def _numeric(table: pd.DataFrame, shown: dict[str, list[str]]) -> list[bool]:
    return [k > 0 and pd.api.types.is_numeric_dtype(table[column]) for k, column in enumerate(shown)]


def _html(shown: dict[str, list[str]], numeric: list[bool], caption: str | None) -> str:
    classes = [' class="num"' if is_number else "" for is_number in numeric]
    head = "".join(
        f'<th scope="col"{kind}>{escape(_heading(c))}</th>' for c, kind in zip(shown, classes, strict=True)
    )
    body = []
    for first, *rest in zip(*shown.values(), strict=True):
        cells = (f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(rest, classes[1:], strict=True))
        body.append(f'<tr><th scope="row">{escape(first)}</th>{"".join(cells)}</tr>')
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<table class="swatch-table">{title}<thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>"
    )


def _heading(column: object) -> str:
    """A column's name in words; of one with a comma, such as ``mrr, image to text``, the part before it."""
    first, comma, rest = str(column).partition(", ")
    return capital(TERMS.get(first) or words(first)) + comma + rest


def _text(shown: dict[str, list[str]], caption: str | None) -> str:
    frame = pd.DataFrame({_heading(column): cells for column, cells in shown.items()})
    return (f"{caption}\n" if caption else "") + frame.to_string(index=False)
