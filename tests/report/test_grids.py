"""Grids: their rules checked by hand, their figures, and where in an image an answer comes from."""

import io
from inspect import signature

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch

from swatchbook.evaluation.grids import SILVER, WINDOW, grid_table, occlusion_table
from swatchbook.models.explain import explain, occlusion
from swatchbook.models.recipe import Recipe
from swatchbook.models.tasks.heads import Heads, predict
from swatchbook.models.training import train
from swatchbook.pipeline.stage import resolve
from swatchbook.report import figures_grids
from swatchbook.report.display import NOTHING
from swatchbook.report.wording import number
from swatchbook.studies import spec_of
from tests.conftest import configure
from tests.report.drawings import HOSTILE, check_words, drawn, files_of, made_up_schema, texts_on

#: Name → table, drawer, and what it takes beside table and pictures.
FIGURES = {
    **{
        f"grid_{rule}": ("grid", figures_grids.grid, {"rule": rule})
        for rule in ("random", "most_confident", "most_wrong", "abstained")
    },
    "grid_by_pair": ("grid", figures_grids.grid_by_pair, {}),
    "grid_occlusion": ("occlusion", figures_grids.grid_occlusion, {}),
}

TWO = made_up_schema({"material": ("cotton", "silk"), "texture": ("smooth", "rough", "sheer")})


class InOrder(np.random.Generator):
    """A source whose random order is the images' own, so that rules can be checked by hand."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def permutation(self, n):
        return np.arange(n)


def by_hand(**more):
    """Six images: what was predicted, how surely, and what silver and truth say."""
    given = {
        "predicted": {"material": np.array([0, 0, 1, 1, 0, 0]), "texture": np.array([0, 0, 1, 1, 2, 0])},
        "confidence": {
            "material": np.array([0.9, 0.8, 0.6, 0.95, 0.7, 0.8]),
            "texture": np.array([0.5, 0.9, 0.7, 0.4, 0.9, 0.85]),
        },
        "silver": {"material": np.array([0, 0, 0, 1, 0, 0]), "texture": np.array([0, -1, 1, 1, 0, -1])},
        "truth": {"material": np.array([0, 1, 1, 0, 0, 0]), "texture": np.array([0, 0, 1, 1, 0, 0])},
    }
    fixed = {
        "image_ids": np.array(list("abcdef")),
        "rows": np.arange(10, 16),
        "rng": InOrder(),
        "model": "dinov2",
    }
    return grid_table(schema=TWO, **{**given, **fixed, **more})


def ids(table, grid):
    return "".join(table.loc[table["grid"] == grid, "image_id"])


def test_every_rule_shows_the_images_that_were_worked_out_by_hand():
    table = by_hand(images=3)
    assert ids(table, "random") == "abc"
    # The least sure heads: .5 .8 .6 .4 .7 .8; b and f are equal, and b comes first in the random order.
    assert ids(table, "most_confident") == "bfe"
    # Wrong: b on material (.8), d on material (.95), e on texture (.9).
    assert ids(table, "most_wrong") == "deb"
    assert table.loc[table["grid"] == "most_wrong", "head"].tolist() == ["material", "texture", "material"]
    assert ids(table, "abstained") == "bf"
    pairs = table[table["grid"] == "by_pair"]
    assert pairs["cell"].tolist() == ["cotton × smooth"] * 3 + ["cotton × sheer"] + ["silk × rough"] * 2
    assert "".join(pairs["image_id"]) == "abfecd"
    assert pairs["cell_n"].tolist() == [3, 3, 3, 1, 2, 2]


def test_a_row_says_where_its_picture_is_and_what_everyone_says_of_it():
    row = by_hand().query("grid == 'most_wrong' and place == 3").iloc[0]
    assert row[["image_id", "row", "model", "reference"]].tolist() == ["b", 11, "dinov2", "truth"]
    message = row[["material_predicted", "material_confidence", "material_silver", "material_truth"]].tolist()
    assert message == ["cotton", 0.8, "cotton", "silk"]
    assert pd.isna(row["texture_silver"])
    assert row["texture_truth"] == "smooth"
    assert "surest wrong answer" in row["rule"] and "truth" in row["rule"]


def test_without_truth_answers_are_held_against_silver():
    table = by_hand(truth=None)
    assert set(table["reference"]) == {SILVER}
    assert (
        ids(table, "most_wrong") == "ec"
    )  # e on texture (.9), c on material (.6); b and f have no silver texture
    assert table["material_truth"].isna().all()


def test_a_truth_known_of_few_images_serves_only_their_mistakes():
    few = {"material": np.array([-1, 1, -1, -1, -1, -1]), "texture": np.full(6, -1)}
    table = by_hand(truth=few, reference="audit")
    assert ids(table, "most_wrong") == "b"
    held = table.drop_duplicates("grid").set_index("grid")["reference"]
    assert held["most_wrong"] == "audit"
    assert set(held.drop("most_wrong")) == {SILVER}


def test_ties_and_draws_follow_the_seed_and_nothing_else():
    def table(seed):
        return by_hand(rng=np.random.default_rng(seed), images=3)

    pd.testing.assert_frame_equal(table(1), table(1))
    firsts = {ids(table(seed), "random") for seed in range(20)}
    assert len(firsts) > 10
    best = {ids(table(seed), "most_confident") for seed in range(20)}
    assert best == {"bfe", "fbe"}  # the tie, broken either way; the third is no draw


def test_the_random_grid_is_a_fair_draw():
    """Every image is as likely as any other to be shown: 3 of 6, half of 400 seeds, give or take four sigma."""
    shown = "".join(ids(by_hand(rng=np.random.default_rng(s), images=3), "random") for s in range(400))
    counts = np.array([shown.count(image) for image in "abcdef"])
    assert counts.sum() == 1200
    assert np.abs(counts - 200).max() < 4 * np.sqrt(400 * 0.25)


def test_grids_that_no_image_fits_have_no_rows():
    right = {"material": np.zeros(6, int), "texture": np.zeros(6, int)}
    table = by_hand(predicted=right, silver=right, truth=right)
    assert set(table["grid"]) == {"random", "most_confident", "by_pair"}
    one = made_up_schema({"only": ("x", "y")})
    codes = {"only": np.array([0, 1])}
    table = grid_table(
        codes, {"only": np.ones(2)}, codes, one, image_ids=np.array(["a", "b"]), rows=np.arange(2),
        rng=InOrder(), model="m",
    )  # fmt: skip
    assert set(table["grid"]) == {"random", "most_confident"}
    assert by_hand(
        **{k: {n: np.zeros(0, int) for n in TWO.names} for k in ("predicted", "confidence", "silver", "truth")},
        image_ids=np.array([]), rows=np.array([]),
    ).empty  # fmt: skip


def test_grids_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="rows must have one entry an image; received 5 for 6"):
        by_hand(rows=np.arange(5))
    with pytest.raises(
        ValueError, match=r"silver\['material'\] must have one entry an image; received 1 for 6"
    ):
        by_hand(silver={"material": np.array([0]), "texture": np.array([0])})
    with pytest.raises(ValueError, match="at least 1; received 0, 3"):
        by_hand(images=0)


# ---- figures -----------------------------------------------------------------------------------------


def pictures_of(n, rng):
    return rng.integers(0, 256, (n, 64, 64, 3), dtype=np.uint8)


def tables_of(schema, seed=4, n=80, truth=True):
    rng = np.random.default_rng(seed)
    codes = [{a.name: rng.integers(0, len(a), n) for a in schema} for _ in range(3)]
    for code in codes[1].values():
        code[rng.random(n) < 0.3] = -1
    table = grid_table(
        codes[0],
        {a.name: rng.random(n) for a in schema},
        codes[1],
        schema,
        image_ids=np.array([f"<{k}>" for k in range(n)]),
        rows=np.arange(n),
        rng=rng,
        model="_mine",
        truth=codes[2] if truth else None,
    )
    shown = table[table["grid"] == "random"].head(3)
    falls = rng.uniform(-0.3, 0.6, (3, len(schema.names), 5, 5))
    return {
        "grid": table,
        "occlusion": occlusion_table(shown, falls, rng.random((3, len(schema.names))), schema),
        "pictures": pictures_of(len(table), rng),
    }


@pytest.fixture(scope="module")
def tables():
    return tables_of(HOSTILE)


def figure_of(name, tables):
    table, drawer, arguments = FIGURES[name]
    return drawn(drawer, tables[table], pictures=tables["pictures"], **arguments)


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_table_and_pictures_give_the_same_harmless_bytes(name, tables, tmp_path):
    table, drawer, arguments = FIGURES[name]
    arguments = {"pictures": tables["pictures"], **arguments}
    files = [files_of(drawer, tables[table], tmp_path, **arguments) for _ in range(2)]
    assert files[0] == files[1]
    check_words(figure_of(name, tables))
    data = pd.read_csv(io.BytesIO(files[0][".csv"]), keep_default_na=False, na_values=[""])
    assert len(data) and set(data) <= set(tables[table])


def images_on(canvas):
    return [np.asarray(image.get_array()) for axes in canvas.get_axes() for image in axes.get_images()]


@pytest.mark.parametrize("name", ["random", "most_confident", "most_wrong", "abstained"])
def test_every_row_of_a_grid_shows_its_own_picture_and_labels(name, tables):
    canvas, alt, data = figure_of(f"grid_{name}", tables)
    rows = tables["grid"][tables["grid"]["grid"] == name]
    shown = images_on(canvas)
    assert len(shown) == len(rows) == len(data) == 12
    for picture, index in zip(shown, rows.index, strict=True):
        assert np.array_equal(picture, tables["pictures"][index])
    texts = texts_on(canvas)
    right = 0
    for a in HOSTILE.names:
        hits = rows[f"{a}_predicted"] == rows[f"{a}_truth"]
        right += int(hits.sum())
        for value in rows[f"{a}_confidence"]:
            assert number(value, 2, zero=False) in texts
    signs = {sign: sum(text == sign for text in texts) for sign in "✓✗–"}
    silver = sum(int((rows[f"{a}_silver"] == rows[f"{a}_truth"]).sum()) for a in HOSTILE.names)
    unlabelled = sum(int(rows[f"{a}_silver"].isna().sum()) for a in HOSTILE.names)
    assert signs == {"✓": right + silver, "✗": 72 - right - silver - unlabelled, "–": unlabelled}
    assert f"{right} of 36 answers agree with the truth" in alt
    assert any(rows["rule"].iloc[0] in " ".join(t.split()) for t in texts)


def test_right_and_wrong_differ_in_sign_and_in_colour(tables):
    canvas, _, _ = figure_of("grid_random", tables)
    looks = {
        (t.get_text(), t.get_color()) for t in canvas.findobj(mpl.text.Text) if t.get_text() in list("✓✗–")
    }
    assert len(looks) == 3 and len({colour for _, colour in looks}) == 3


def test_the_head_at_fault_is_bold(tables):
    canvas, _, data = figure_of("grid_most_wrong", tables)
    axes = canvas.get_axes()[0]
    bold = [t.get_text() for t in axes.texts if t.get_weight() == "bold" and t.get_text() not in "✓✗–"]
    faults = [row[f"{row['head']}_predicted"] for _, row in data.iterrows()]
    assert sorted(bold) == sorted(text.replace("_", " ").strip() or text for text in faults)


def test_without_truth_the_signs_are_held_against_silver(tables):
    canvas, alt, data = figure_of("grid_random", tables_of(HOSTILE, truth=False))
    assert "agree with the silver labels" in alt
    texts = texts_on(canvas)
    assert "Truth" not in texts
    hits = sum(int((data[f"{a}_predicted"] == data[f"{a}_silver"]).sum()) for a in HOSTILE.names)
    assert texts.count("✓") == hits


def test_every_predicted_pair_has_its_row_of_pictures(tables):
    canvas, alt, data = figure_of("grid_by_pair", tables)
    cells = data.drop_duplicates("cell")
    assert len(cells) == 9  # all pairs of three classes occur among 80 images
    assert len(images_on(canvas)) == len(data) <= 27
    texts = texts_on(canvas)
    for count in cells["cell_n"]:
        assert any(text.endswith(f"  {count:.0f}") for text in texts)
    assert "9 of 9 pairs" in alt


@pytest.mark.parametrize("name", FIGURES)
def test_a_grid_without_images_says_so(name, tables):
    source = FIGURES[name][0]
    canvas, alt, data = figure_of(name, {**tables, source: tables[source].iloc[:0]})
    assert data.empty and alt.removeprefix(NOTHING) in texts_on(canvas)


def test_a_map_is_warm_where_covering_lowers_and_blue_where_it_raises(tables):
    canvas, alt, data = figure_of("grid_occlusion", tables)
    maps = [image for image in images_on(canvas) if image.shape == (5, 5, 4)]
    assert len(maps) == 3 * len(HOSTILE.names)
    first = data[(data["place"] == 1) & (data["head"] == HOSTILE.names[0])]
    fall = first["value"].to_numpy().reshape(5, 5)
    warm = maps[0][:, :, 0] > maps[0][:, :, 2]
    assert np.array_equal(warm, fall > 0)
    assert np.argmax(maps[0][:, :, 3]) == np.argmax(np.abs(fall))
    assert number(data["value"].max(), 2) in alt


# ---- where an answer comes from ------------------------------------------------------------------------


def corner_reader(views):
    """Sees nothing but the mean red of the patch at rows 12–15, columns 4–7: class 1 if it is high."""
    red = views[:, 0, 12:16, 4:8].mean((1, 2))
    return {"seen": torch.stack([1 - red, red], 1), "blind": torch.full((len(views), 2), 0.5)}


def test_occlusion_finds_the_one_patch_that_the_answer_depends_on():
    views = torch.zeros(2, 3, 32, 32)
    views[0, 0, 12:16, 4:8] = 1.0
    falls = occlusion(corner_reader, views, cells=8, window=1)
    wanted = torch.zeros(8, 8)
    wanted[3, 1] = 1 - 16 / 1024  # the patch becomes the image's mean colour
    assert torch.allclose(falls["seen"][0], wanted)
    assert torch.equal(falls["seen"][1], torch.zeros(8, 8))
    assert torch.equal(falls["blind"], torch.zeros(2, 8, 8))


def test_a_larger_square_spreads_the_fall_over_the_squares_that_touch_the_patch():
    views = torch.zeros(1, 3, 32, 32)
    views[0, 0, 12:16, 4:8] = 1.0
    falls = occlusion(corner_reader, views, cells=8, window=3)["seen"][0]
    whole = 1 - 16 / 1024
    # Squares cover the patch if they begin in rows 1–3 and columns 0–1: 3 · 2 of them.
    assert falls[3, 1] == pytest.approx(whole)  # every square over this cell covers the patch
    assert falls[3, 3] == pytest.approx(whole * 3 / 9)  # of 9 squares over it those beginning in column 1
    assert falls[7].abs().max() == 0
    assert falls[:, 4:].abs().max() == 0


def test_covering_what_speaks_against_the_answer_makes_it_surer():
    views = torch.ones(1, 3, 16, 16)
    views[0, :, 12:16, 4:8] = 0.4  # red .4 gives class 0 with .6; covered, class 0 loses
    falls = occlusion(corner_reader, views, cells=4, window=1)["seen"][0]
    mean = float(views[0, 0].mean())
    assert falls[3, 1] == pytest.approx(0.6 - (1 - mean))
    raised = occlusion(corner_reader, torch.where(views == 0.4, 0.9, 0.2), cells=4, window=1)["seen"][0]
    assert raised[3, 1] > 0
    views = torch.where(views == 0.4, 0.6, 1.0)
    assert occlusion(corner_reader, views, cells=4, window=1)["seen"][0][3, 1] < 0


def test_occlusion_refuses_cells_that_do_not_fit():
    with pytest.raises(ValueError, match=r"1 ≤ window ≤ cells ≤ 32 is needed; received window=3, cells=2"):
        occlusion(corner_reader, torch.zeros(1, 3, 32, 32), cells=2)
    with pytest.raises(ValueError, match="received window=3, cells=40"):
        occlusion(corner_reader, torch.zeros(1, 3, 32, 32), cells=40)


def test_a_trained_model_is_explained_with_the_probabilities_that_it_predicts(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (12, 36, 36, 3), dtype=np.uint8)
    codes = {a.name: rng.integers(0, len(a), 12).astype(np.int16) for a in TWO}
    recipe = Recipe(image_size=32, crop_share=8 / 9, epochs=1, warmup_epochs=0, batch=8, threads=1)
    task = Heads(TWO, codes, np.arange(8), np.arange(8, 12), "test_convnext", pretrained=False)
    folder = train(task, pixels, recipe, tmp_path, device="cpu", log=lambda line: None)
    rows = np.array([9, 2, 5])
    found = explain(folder, pixels, rows, TWO, cells=4, batch=2, device="cpu")
    assert found["falls"].shape == (3, 2, 4, 4) and np.abs(found["falls"]).max() > 0
    assert np.array_equal(found["seen"], pixels[rows][:, 2:34, 2:34])
    printed = predict(folder, pixels, rows, TWO, device="cpu")
    for k, a in enumerate(TWO):
        wanted = printed[[f"{a.name}:{c}" for c in a.classes]].max(axis=1)
        assert found["probability"][:, k] == pytest.approx(wanted.to_numpy(), abs=1e-6)
    shown = by_hand().iloc[:3]
    table = occlusion_table(shown, found["falls"], found["probability"], TWO)
    assert len(table) == 3 * 2 * 16
    assert table["value"].to_numpy().reshape(3, 2, 4, 4) == pytest.approx(found["falls"])
    assert table.loc[0, ["predicted", "reference_label"]].tolist() == ["cotton", "cotton"]
    with pytest.raises(ValueError, match="for 2 images and 2 heads"):
        occlusion_table(shown.head(2), found["falls"], found["probability"], TWO)
    assert WINDOW < 8


@pytest.mark.parametrize("profile", ["demo", "published", "folder", "labeller"])
def test_every_figure_has_a_stage_of_its_own_whose_drawer_takes_its_options(profile):
    spec = spec_of(profile)
    trains = {"train": True} if profile == "folder" else {}  # without it there is little to draw
    stages = spec.stages(configure(profile, trains))
    produced = [artefact for stage in stages for artefact in stage.produces]
    assert len(set(produced)) == len(produced)
    drawn = [stage.arguments for stage in stages if stage.name.startswith("figure ")]
    assert len(drawn) >= 8
    for given in drawn:
        pictures = {"pictures": None} if given["pictures"] else {}
        signature(resolve(given["drawer"])).bind(None, None, **given["options"], **pictures)
        assert given["table"] in produced
        assert given["pictures"] in (None, *produced)
    if profile == "demo":
        assert {f"figures/{name}.png" for name in FIGURES} < set(produced)
        shown = ("grid", "occlusion", "history", "confidence", "labeller")
        assert {f"tables/{table}.csv" for table in shown} < set(produced)
