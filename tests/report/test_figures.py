"""The figures and the notebook views: drawn from made-up tables, from damaged ones, and byte for byte."""

import io
import json
from functools import cache
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
from matplotlib.collections import PathCollection

from swatchbook.drawn.latent import World
from swatchbook.evaluation.audit import audit_table, power_table
from swatchbook.evaluation.collapse import collapse_table
from swatchbook.evaluation.comparison import comparison_table
from swatchbook.evaluation.coupling import coupling_table
from swatchbook.evaluation.coupling_cells import cell_table
from swatchbook.evaluation.known import KNOWN
from swatchbook.evaluation.resample import image_weights
from swatchbook.evaluation.scores import confusion_table, majority_baseline, score_table
from swatchbook.evaluation.selection import keep_by_agreement, keep_by_confidence, selection_table
from swatchbook.evaluation.truth import truth_table
from swatchbook.report import figure as room
from swatchbook.report import (
    figures_audit,
    figures_collapse,
    figures_confusion,
    figures_coupling,
    figures_scores,
    plotting,
)
from swatchbook.report.display import NOTHING, figure_view, table_view
from swatchbook.report.figure import DPI, PALETTE, RC, draw, sheet, styles_of
from swatchbook.report.wording import estimate, number, p_value
from swatchbook.schema import Schema
from tests.report.drawings import HOSTILE, check_words, drawn, files_of, made_up_schema, marks_on, texts_on

#: Name → table, drawer, and what it takes beside the table.
FIGURES = {
    "f1_by_head": ("scores", figures_scores.f1_by_head, {}),
    "f1_by_class": ("scores", figures_scores.f1_by_class, {}),
    "backbone_dumbbell": ("scores", figures_scores.backbone_dumbbell, {}),
    "backbone_gaps": ("comparison", figures_scores.backbone_gaps, {}),
    "confusion": ("confusion", figures_confusion.confusion, {"model": "dinov2"}),
    "audit_scores": ("audit", figures_audit.audit_scores, {}),
    "audit_power": ("power", figures_audit.audit_power, {}),
    "truth": ("truth", figures_audit.truth, {}),
    "coupling_matrix": ("coupling", figures_coupling.coupling_matrix, {}),
    "coupling_deltas": ("coupling", figures_coupling.coupling_deltas, {}),
    "residuals": ("cells", figures_coupling.residuals, {}),
    "prior_collapse": ("collapse", figures_collapse.prior_collapse, {}),
    "v_by_selection": ("selection", figures_collapse.v_by_selection, {}),
}


def codes_of(schema: Schema, rng, models, n=120):
    """Labels with abstentions, and predictions of each model, more and less noisy."""
    world = World.random({a.name: len(a) for a in schema}, rng)
    truth = world.sample(n, rng)
    silver = {k: np.where(rng.random(n) < 0.1 * (i > 0), -1, v) for i, (k, v) in enumerate(truth.items())}
    predictions = {}
    for k, model in enumerate(models):
        other = world.sample(n, rng)
        noisy = rng.random(n) < 0.15 + 0.2 * k
        predictions[model] = {name: np.where(noisy, other[name], truth[name]) for name in truth}
    return truth, silver, predictions


def tables_of(schema: Schema, models=("dinov2", "resnet50"), seed=3) -> dict[str, pd.DataFrame]:
    """Every table that a figure is drawn from, small."""
    rng = np.random.default_rng(seed)
    truth, silver, predictions = codes_of(schema, rng, models)
    weights = image_weights(len(silver[schema.names[0]]), 30, rng)
    rows = np.arange(60)
    human = {name: np.where(i > 0, codes[rows], -1) for i, (name, codes) in enumerate(truth.items())}
    audited = {name: codes[rows] for name, codes in silver.items()}
    design = {"stratum": rows % 4, "weight": np.full(len(rows), 2.0), "rng": rng}
    population = {"silver": silver, **predictions}
    judged = {m: {k: v[rows] for k, v in p.items()} for m, p in predictions.items()}
    everyone = {**predictions, "majority": majority_baseline(silver, schema)}
    pair = [*predictions, *predictions][:2]
    keep = keep_by_agreement(silver, predictions, schema)
    return {
        "scores": score_table(silver, everyone, schema, weights).assign(published=0.5),
        "confusion": confusion_table(silver, predictions, schema),
        "audit": audit_table(
            human, audited, schema, stratum=design["stratum"], weight=design["weight"]
        ).assign(published=np.nan),
        "power": power_table(human, audited, schema, sizes=(50, 100), draws=40, audits=4, **design),
        "truth": truth_table(human, audited, judged, population, schema, draws=30, **design),
        "comparison": comparison_table(
            silver, predictions, schema, weights, model=pair[0], baseline=pair[1]
        ),
        "coupling": coupling_table(
            silver, predictions, schema, weights=weights, rng=rng, permutations=20, null_draws=20
        ),
        "cells": cell_table(silver, predictions, schema, weights=weights),
        "collapse": collapse_table(silver, predictions, schema, weights=weights),
        "selection": selection_table(silver, predictions, schema, keep=keep, weights=weights),
    }  # fmt: skip


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return tables_of(HOSTILE)


@pytest.fixture(scope="module")
def figures(tables, tmp_path_factory):
    """The files of every figure, drawn once."""
    return {
        name: files_of(drawer, tables[table], tmp_path_factory.mktemp("figure"), **arguments)
        for name, (table, drawer, arguments) in FIGURES.items()
    }


def drawing(name: str, table: pd.DataFrame, schema: Schema = HOSTILE, **more):
    """One of the figures, drawn from another table."""
    _, drawer, arguments = FIGURES[name]
    return drawn(drawer, table, schema, **arguments | more)


@pytest.fixture(scope="module")
def shown(tables):
    """Name → the figure of the made-up table, drawn once."""
    return cache(lambda name: drawing(name, tables[FIGURES[name][0]]))


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_table_gives_the_same_bytes(name, tables, figures, tmp_path):
    table, drawer, arguments = FIGURES[name]
    again = files_of(drawer, tables[table].copy(), tmp_path, **arguments)
    assert sorted(again) == [".csv", ".png", ".txt"]
    assert again == figures[name]
    assert int.from_bytes(again[".png"][16:20], "big") == 10 * room.DPI
    assert b"Matplotlib" not in again[".png"]


@pytest.mark.parametrize("name", FIGURES)
def test_hostile_names_reach_the_reader_unharmed(name, shown, figures, tmp_path):
    check_words(shown(name))
    for suffix in (".png", ".txt"):
        (tmp_path / f"x{suffix}").write_bytes(figures[name][suffix])
    tags = Reader(figure_view(tmp_path / "x").html).tags
    assert [tag for tag, _ in tags] == ["figure", "img"]
    assert tags[1][1]["alt"] == figures[name][".txt"].decode().strip()


def test_pictures_are_two_thousand_pixels_wide(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "DPI", DPI)
    header = files_of(figures_audit.audit_power, tables["power"], tmp_path)[".png"][16:24]
    assert int.from_bytes(header[:4], "big") == 2000
    assert int.from_bytes(header[4:], "big") > 300


def test_the_palette_is_seaborns_for_the_colour_blind():
    assert list(PALETTE) == sns.color_palette("colorblind").as_hex()


@pytest.mark.parametrize("name", FIGURES)
def test_the_csv_holds_rows_of_the_table_and_nothing_else(name, tables, figures):
    data = pd.read_csv(io.BytesIO(figures[name][".csv"]), keep_default_na=False, na_values=[""])
    table = tables[FIGURES[name][0]]
    assert len(data) > 0
    assert set(data.columns) <= set(table.columns)
    as_stored = io.StringIO(table[list(data.columns)].to_csv(index=False, float_format="%.10g"))
    stored = pd.read_csv(as_stored, keep_default_na=False, na_values=[""])
    found = stored.merge(
        data, how="inner", on=[c for c in data.columns if c not in ("low", "high", "published")]
    )
    assert len(found.drop_duplicates()) >= len(data)


@pytest.mark.parametrize("name", FIGURES)
def test_the_alt_text_says_a_number_of_the_table(name, figures):
    alt = figures[name][".txt"].decode()
    data = pd.read_csv(io.BytesIO(figures[name][".csv"]))
    column = "share" if "share" in data else "value"
    values = data[column].dropna()
    message = {number(v) for v in values} | {number(100 * v, 0) for v in values}
    message |= {number(np.exp(v), 2) for v in values} | {str(int((values > 0).sum()))}
    assert any(words_ in alt for words_ in message), alt


MARKED = {
    "f1_by_head": None, "f1_by_class": None, "backbone_dumbbell": None, "audit_scores": None, "truth": None,
    "backbone_gaps": "delta_f1", "prior_collapse": "log_ratio", "v_by_selection": None,
}  # fmt: skip


@pytest.mark.parametrize("name", MARKED)
def test_every_value_of_the_data_is_a_mark_and_every_mark_a_value(name, tables, shown):
    canvas, _, data = shown(name)
    if MARKED[name]:
        data = data[data["statistic"] == MARKED[name]]
    values = data["value"].dropna().to_numpy(float)
    marks = marks_on(canvas)
    assert len(values) > 3
    assert np.isin(values.round(9), marks.round(9)).all()
    outside = np.setdiff1d(marks[(marks > 0) & (marks < 1)].round(6), values.round(6))
    # What is left are heights of rows and printed values, never a score that no row holds.
    assert not np.isin(outside, tables[FIGURES[name][0]]["value"].dropna().round(6)).any()


@pytest.mark.parametrize("name", ["confusion", "residuals", "coupling_matrix"])
def test_cells_carry_the_numbers_of_the_data(name, shown):
    canvas, _, data = shown(name)
    texts = texts_on(canvas)
    if name == "confusion":
        wanted = [f"{100 * v:.0f}" for v in data["value"] if v >= 0.005]
    elif name == "coupling_matrix":
        pairs = data[(data["a"] != "all") & data["value"].notna()]
        signed = pairs["statistic"] == "delta_v_corrected"
        wanted = [number(v, sign=s, zero=False) for v, s in zip(pairs["value"], signed, strict=True)]
    else:
        wanted = [number(v, 1, sign=True) for v in data["residual"].dropna()]
    assert wanted
    for text in set(wanted):
        assert texts.count(text) >= wanted.count(text)


def test_coupling_names_every_verdict_of_its_table(shown):
    for name in ("coupling_matrix", "coupling_deltas"):
        canvas, _, data = shown(name)
        message = " ".join(texts_on(canvas))
        for verdict in data.loc[data["verdict"].fillna("") != "", "verdict"]:
            assert verdict.split(" but ")[0] in message


def test_the_margin_is_shaded_only_where_the_table_says_it(tables):
    def shades(table):
        canvas, _, data = drawing("coupling_deltas", table, HOSTILE)
        return [p for a in canvas.get_axes() for p in a.patches], data

    table = tables["coupling"]
    without, _ = shades(table[table["statistic"] != "margin"])
    row = table.iloc[[0]].assign(a="all", b="all", rows="identical", statistic="margin", value=0.07)
    with_margin, data = shades(pd.concat([table[table["statistic"] != "margin"], row]))
    assert len(without) == 0
    assert [(p.get_x(), p.get_width()) for p in with_margin] == [(-0.07, 0.14)]
    assert data["statistic"].iloc[-1] == "margin"


def test_silver_scores_join_the_truth_where_the_table_has_them(tables):
    silver = tables["scores"].query("`class` == 'all' and head in @HOSTILE.names and metric == 'accuracy'")
    silver = silver[silver["model"] == "dinov2"].rename(columns={"metric": "statistic"})
    table = pd.concat([tables["truth"], silver.assign(estimator="silver", reference="silver")])
    canvas, _, data = drawing("truth", table, HOSTILE)
    assert np.isin(silver["value"].round(9), marks_on(canvas).round(9)).all()
    assert (data["reference"] == "silver").sum() == len(HOSTILE.names)


NUMBERS = ["value", "low", "high", "published", "residual", "share", "p", "p_holm", "change"]


@pytest.mark.parametrize("holes", [1.0, 0.5])
@pytest.mark.parametrize("name", FIGURES)
def test_a_table_full_of_holes_is_drawn_all_the_same(name, holes, tables):
    table = tables[FIGURES[name][0]].copy()
    rng = np.random.default_rng(1)
    lost = rng.random(len(table)) < holes
    table.loc[lost, [c for c in NUMBERS if c in table]] = np.nan
    check_words(drawing(name, table))


@pytest.mark.parametrize("models", [("mine",), ("mine", "_other", "resnet50")])
def test_one_model_and_three_models_are_drawn(models):
    schema = made_up_schema({"kind": ("a", "b"), "colour": ("red", "x")})
    made = tables_of(schema, models)
    for name, (table, _, _) in FIGURES.items():
        more = {"model": models[0]} if name == "confusion" else {}
        figure = drawing(name, made[table], schema, **more)
        check_words(figure)
        shown = [text.lower() for text in texts_on(figure.drawing)]
        if name in ("f1_by_head", "f1_by_class", "coupling_matrix", "truth", "v_by_selection"):
            for model in models:
                assert any(styles_of([model])[model].name.lower() in text for text in shown)


def test_a_model_that_was_not_run_is_said_to_be_missing(tables):
    table = tables["confusion"]
    canvas, alt, data = drawing("confusion", table[table["model"] != "resnet50"], model="resnet50")
    assert alt == "Nothing to show: This run has no predictions of ResNet-50."
    assert alt.removeprefix(NOTHING) in texts_on(canvas)
    assert data.empty


def test_confidence_thresholds_take_the_place_of_levels(rng):
    schema = made_up_schema({"kind": ("a", "b"), "colour": ("red", "x")})
    _, silver, predictions = codes_of(schema, rng, ("mine",))
    confidence = {name: rng.random(len(silver[name])) * (silver[name] >= 0) for name in schema.names}
    keep = keep_by_agreement(silver, predictions, schema) | keep_by_confidence(confidence, (0.2, 0.4), schema)
    weights = image_weights(len(silver["kind"]), 20, rng)
    table = selection_table(silver, predictions, schema, keep=keep, weights=weights)
    canvas, _, data = drawing("v_by_selection", table, schema)
    assert set(data["threshold"]) == {0.2, 0.4}
    assert any("≥ 0.2\n" in text for text in texts_on(canvas))


def test_a_lead_is_claimed_only_where_the_table_shows_it(tables):
    table = tables["scores"].copy()
    whole = (table["metric"] == "macro_f1") & (table["class"] == "all")
    table.loc[whole & (table["model"] == "dinov2"), "value"] = 0.7
    table.loc[whole & (table["model"] == "resnet50"), "value"] = 0.6
    assert any(
        "ahead of ResNet-50 on every attribute: by 10.0 points" in t
        for t in texts_on(drawing("f1_by_head", table)[0])
    )
    table.loc[whole & (table["model"] == "resnet50") & (table["head"] == "color"), "value"] = 0.8
    assert not any("ahead" in t for t in texts_on(drawing("f1_by_head", table)[0]))


def test_the_audit_reads_out_the_three_ways_of_counting_abstentions(tables, shown):
    rows = tables["audit"].query("attribute == 'color' and `class` == 'all' and statistic == 'macro_f1'")
    rows = rows[rows["weighting"] == "none"].set_index("abstained")
    texts = texts_on(shown("audit_scores").drawing)
    for way in ("extra_class", "wrong", "left_out"):
        assert estimate(*rows.loc[way, ["value", "low", "high"]]) in texts


def test_colour_classes_carry_a_patch_of_their_colour(shown):
    canvas, _, _ = shown("f1_by_class")
    (squares,) = [c for a in canvas.get_axes() for c in a.collections if isinstance(c, PathCollection)]
    assert [mpl.colors.to_hex(c) for c in squares.get_facecolor()] == ["#b3262e", "#3b74b8", "#ffffff"]


def test_drawing_leaves_no_global_state(tables):
    from matplotlib import pyplot as plt

    before = json.dumps({k: str(v) for k, v in mpl.rcParams.items()})
    for _ in draw(figures_scores.f1_by_head, tables["scores"], HOSTILE):
        pass
    assert plt.get_fignums() == []
    assert json.dumps({k: str(v) for k, v in mpl.rcParams.items()}) == before


@pytest.mark.parametrize("name", ["audit_scores", "audit_power", "truth", "backbone_gaps"])
def test_a_simulated_auditor_is_called_so(name, tables):
    table = tables[FIGURES[name][0]]
    table = table.assign(reference="audit") if name == "backbone_gaps" else table

    def everything(figure):
        return " ".join([figure.alt, *texts_on(figure.drawing)])

    simulated = everything(drawing(name, table, judge="simulated auditor"))
    assert "simulated auditor" in simulated
    assert "human" not in simulated
    assert "human auditor" in everything(drawing(name, table))


def test_long_titles_are_wrapped_into_even_lines():
    with mpl.rc_context(RC):
        canvas = sheet(1.0, "word " * 40)
    lines = canvas.texts[0].get_text().split("\n")
    assert len(lines) == 3
    assert max(map(len, lines)) - min(map(len, lines)) <= 10


# ---- views ------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Tags with their attributes, and the text, of a fragment."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def test_numbers_are_written_as_a_reader_expects():
    assert number(0.7441) == "0.744"
    assert number(-0.0312, zero=False) == "−.031"
    assert number(-0.0001) == "0.000"
    assert number(0.034, 1, sign=True) == "+0.0"
    assert number(float("nan")) == "not estimable"
    assert estimate(0.7441, 0.727, 0.76) == "0.744 [0.727, 0.760]"
    assert estimate(0.5, np.nan, np.nan) == "0.500"
    assert estimate(np.nan, 0.1, 0.2) == "[0.100, 0.200]"
    assert p_value(0.0005) == "< 0.001"
    assert p_value(0.0321) == "0.032"


def test_a_table_view_joins_values_with_their_intervals():
    table = pd.DataFrame(
        {
            "class": ["<b>", "$x$", "_", "both"],
            "statistic": ["f1", "f1", "permutation_p", "only_model_right"],
            "value": [0.7441, np.nan, 0.00001, 543.0],
            "low": [0.727, np.nan, np.nan, np.nan],
            "high": [0.76, np.nan, np.nan, np.nan],
            "p_holm": [0.0001, 0.25, np.nan, np.nan],
            "n": [3760.0, 0.0, 12.0, np.nan],
            "interval": ["bootstrap", "", np.nan, "count of images"],
            "published": [0.744, np.nan, np.nan, np.nan],
        }
    )
    view = table_view(table, caption="Scores & more")
    read = Reader(view._repr_html_())
    assert [a for t, a in read.tags if t == "table"] == [{"class": "swatch-table"}]
    assert "b" not in {t for t, _ in read.tags}
    assert sum(a.get("scope") == "row" for _, a in read.tags) == 4
    assert sum(a.get("scope") == "col" for _, a in read.tags) == 7
    cells = "|".join(read.texts)
    assert cells.startswith("Scores & more|Class|Statistic|Value|p (Holm)|n|Interval|Published|<b>|")
    assert "|F1|0.744 [0.727, 0.760]|< 0.001|3,760|bootstrap|0.744|$x$|" in cells
    assert "|F1|not estimable|0.250|0|–|_|permutation p|< 0.001|–|12|–|both|" in cells
    assert cells.endswith("|only model right|543|–|–|count of images|–")
    assert "0.744 [0.727, 0.760]" in repr(view)
    assert not hasattr(view, "_repr_png_")


def test_a_table_view_shows_the_columns_that_were_asked_for():
    table = pd.DataFrame(
        {"model": ["a"], "value": [0.5], "low": [0.4], "high": [0.6], "ok": [True], "n": [1234]}
    )
    assert Reader(table_view(table, columns=["n", "value"]).html).texts == [
        "n",
        "Value",
        "1,234",
        "0.500 [0.400, 0.600]",
    ]
    assert Reader(table_view(table, columns=["model", "ok", "low"]).html).texts[3:] == ["a", "yes", "0.400"]


def test_a_table_view_shows_names_from_the_code_in_words_and_what_is_typed_as_it_is():
    table = pd.DataFrame({"setting": ["image_size"], "grid": ["most_wrong"], "statistic": ["plain_rule"]})
    table = table.assign(value=1.0, low=np.nan, high=np.nan, file="faux_fur/1.jpg")
    read = Reader(table_view(table).html).texts[5:]
    assert read == ["image_size", "most wrong", "within the plain rule", "yes", "faux_fur/1.jpg"]


def test_a_table_without_rows_is_a_sentence():
    read = Reader(table_view(pd.DataFrame({"name": []}), caption="Copies & more").html)
    assert [tag for tag, _ in read.tags] == ["p"] and read.texts == ["Copies & more: none."]


def test_a_table_view_refuses_columns_that_are_not_there():
    with pytest.raises(ValueError, match="columns: 'speed'; the table has model"):
        table_view(pd.DataFrame({"model": ["a"]}), columns=["speed"])
    with pytest.raises(ValueError, match="columns: 'none'"):
        table_view(pd.DataFrame())


def test_a_figure_view_holds_the_picture_and_its_words(tmp_path):
    (tmp_path / "f1.by.head.png").write_bytes(b"\x89PNG")
    (tmp_path / "f1.by.head.txt").write_text('F1 of "<b>" & co.\n', encoding="utf-8")
    view = figure_view(tmp_path / "f1.by.head")
    read = Reader(view._repr_html_())
    assert [t for t, _ in read.tags] == ["figure", "img"]
    assert read.tags[0][1] == {"class": "swatch-figure"}
    assert read.tags[1][1]["src"] == "data:image/png;base64,iVBORw=="
    assert read.tags[1][1]["alt"] == 'F1 of "<b>" & co.'
    assert repr(view) == '[f1.by.head] F1 of "<b>" & co.'


def test_an_empty_figure_is_shown_as_words(tmp_path):
    for suffix, writer in draw(
        lambda *_: room.empty_figure("T", "Nobody <judged>.", pd.DataFrame()), None, HOSTILE
    ):
        writer(tmp_path / f"figure{suffix}")
    view = figure_view(tmp_path / "figure")
    assert view.html == "<p>Nobody &lt;judged&gt;.</p>"
    assert repr(view) == "Nothing to show: Nobody <judged>."


def test_a_known_truth_is_drawn_and_named(tables):
    truth = tables["truth"][tables["truth"]["estimator"] == "post_stratified"]
    known = truth.assign(estimator=KNOWN, reference=KNOWN, low=np.nan, high=np.nan, value=0.125)
    canvas, _, data = drawing("truth", pd.concat([tables["truth"], known]))
    assert (data["reference"] == KNOWN).any() and KNOWN in texts_on(canvas)
    assert 0.125 in marks_on(canvas)
    heads = tables["audit"][(tables["audit"]["weighting"] == "none")].assign(weighting=KNOWN, value=0.25)
    canvas, _, data = drawing(
        "audit_scores", pd.concat([tables["audit"], heads.assign(low=np.nan, high=np.nan)])
    )
    assert (data["weighting"] == KNOWN).any() and KNOWN in texts_on(canvas) and 0.25 in marks_on(canvas)
    pairs = tables["coupling"].query(
        "model == 'reference' and rows == 'identical' and statistic == 'v_corrected'"
    )
    pairs = pairs.assign(model=KNOWN, rows="all", low=np.nan, high=np.nan, value=0.0625)
    canvas, _, data = drawing("coupling_deltas", pd.concat([tables["coupling"], pairs]))
    assert (data["model"] == KNOWN).any() and KNOWN in texts_on(canvas) and 0.0625 in marks_on(canvas)
    for name in ("truth", "audit_scores", "coupling_deltas"):
        assert KNOWN not in texts_on(drawing(name, tables[FIGURES[name][0]])[0])


def test_a_figure_view_says_which_file_is_missing(tmp_path):
    with pytest.raises(ValueError, match=r"f1\.png' does not exist"):
        figure_view(tmp_path / "f1")


def test_a_note_on_intervals_says_once_what_all_rows_have_in_common():
    rows = pd.DataFrame(
        {
            "low": [0.1, 0.1, 0.1, np.nan],
            "interval": [
                "95% bootstrap, B=9; mean of 3 seeds, which deviate by 0.0240; over 2 classes",
                "95% bootstrap, B=9; mean of 3 seeds, which deviate by 0.0019; over 5 classes",
                "95% Wilson",
                "not estimable",
            ],
        }
    )
    assert plotting.interval_note(rows) == (
        "Lines are intervals: 95% bootstrap, B=9; mean of 3 seeds; 95% Wilson."
    )
