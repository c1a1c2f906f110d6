"""The tables of coupling, cells, collapse and selection: paired, defined everywhere, and as printed."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from swatchbook.drawn.latent import World, draw_rows
from swatchbook.evaluation.association import cramers_v
from swatchbook.evaluation.collapse import collapse_table, effective_classes
from swatchbook.evaluation.contingency import chi2_shares
from swatchbook.evaluation.coupling import coupling_table
from swatchbook.evaluation.coupling_cells import cell_table
from swatchbook.evaluation.resample import image_weights, table
from swatchbook.evaluation.selection import keep_by_agreement, keep_by_confidence, selection_table
from swatchbook.schema import Schema

ROWS = 1200


@pytest.fixture(scope="module")
def labels(schema: Schema) -> dict:
    """Labels of a coupled world; two attributes abstain here and there."""
    rng = np.random.default_rng(3)
    world = World.random({a.name: len(a) for a in schema}, rng, concentration=0.5)
    drawn = world.sample(ROWS, rng)
    for name, share in (("texture", 0.1), ("pattern", 0.05)):
        drawn[name] = np.where(rng.random(ROWS) < share, -1, drawn[name]).astype(np.int16)
    return drawn


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    return image_weights(ROWS, 200, np.random.default_rng(4))


@pytest.fixture(scope="module")
def models(schema: Schema, labels: dict) -> dict:
    """An honest model with errors of its own in every head, and one that collapsed."""
    rng = np.random.default_rng(5)
    honest, collapsed = {}, {}
    for a in schema:
        filled = np.where(labels[a.name] < 0, 0, labels[a.name])
        wrong = rng.integers(0, len(a), ROWS)
        honest[a.name] = np.where(rng.random(ROWS) < 0.2, wrong, filled).astype(np.int16)
        collapsed[a.name] = (filled % 2).astype(np.int16)
    collapsed["texture"] = np.zeros(ROWS, np.int16)
    return {"honest": honest, "collapsed": collapsed}


def coupling(labels: dict, models: dict, schema: Schema, weights: np.ndarray, **changes) -> pd.DataFrame:
    settings = {"rng": np.random.default_rng(6), "permutations": 99, "null_draws": 200} | changes
    return coupling_table(labels, models, schema, weights=weights, **settings)


@pytest.fixture(scope="module")
def found(labels: dict, models: dict, schema: Schema, weights: np.ndarray) -> pd.DataFrame:
    return coupling(labels, models, schema, weights)


def value(frame: pd.DataFrame, **where) -> pd.Series:
    """The one row that fits; `a_b` stands for a pair."""
    chosen = frame
    if "a_b" in where:
        where["a"], where["b"] = where.pop("a_b")
    for column, wanted in where.items():
        chosen = chosen[chosen[column] == wanted]
    assert len(chosen) == 1, f"{len(chosen)} rows for {where}"
    return chosen.iloc[0]


# coupling_table


def test_the_table_holds_every_pair_and_says_how_each_interval_was_made(found, schema):
    assert list(found) == [
        "model", "a", "b", "rows", "statistic", "value", "low", "high", "n", "interval", "verdict",
    ]  # fmt: skip
    for model in ("reference", "honest", "collapsed"):
        for rows in ("identical", "listwise"):
            pairs = found[(found["model"] == model) & (found["rows"] == rows)][["a", "b"]].drop_duplicates()
            assert list(map(tuple, pairs.to_numpy())) == [*schema.pairs, ("all", "all")]
    assert not found.duplicated(["model", "a", "b", "rows", "statistic"]).any()
    with_ends = found[found["low"].notna()]
    assert (with_ends["interval"] != "").all()
    assert (with_ends["low"] <= with_ends["high"]).all()
    assert not with_ends["statistic"].isin(["v", "delta_v", "delta_v_mixed_rows"]).any()
    inside = with_ends[with_ends["statistic"] != "null_v"]
    holds = (inside["low"] <= inside["value"] + 1e-12) & (inside["value"] <= inside["high"] + 1e-12)
    assert holds.all(), inside[~holds].to_string()


def test_values_are_what_the_tables_give(found, labels, models, schema):
    a, b = "material", "texture"
    keep = (labels[a] >= 0) & (labels[b] >= 0)
    counts = {
        who: table(np.where(keep, codes[a], -1), codes[b], (6, 5))
        for who, codes in (("reference", labels), ("honest", models["honest"]))
    }
    for who, counted in counts.items():
        row = value(found, model=who, a_b=(a, b), rows="identical", statistic="v_corrected")
        assert row["value"] == pytest.approx(float(cramers_v(counted)), abs=1e-12)
        assert row["n"] == keep.sum()
    delta = value(found, model="honest", a_b=(a, b), rows="identical", statistic="delta_v")["value"]
    plain = {who: float(cramers_v(c, correct=False)) for who, c in counts.items()}
    assert delta == pytest.approx(plain["honest"] - plain["reference"], abs=1e-12)
    everywhere = float(cramers_v(table(models["honest"][a], models["honest"][b], (6, 5)), correct=False))
    mixed = value(found, model="honest", a_b=(a, b), statistic="delta_v_mixed_rows")
    assert mixed["value"] == pytest.approx(everywhere - plain["reference"], abs=1e-12)


def test_differences_add_up(found):
    wide = found[(found["rows"] == "identical") & (found["a"] != "all")]
    wide = wide.pivot_table(index=["model", "a", "b"], columns="statistic", values="value").dropna()
    assert len(wide) > 0
    assert np.allclose(wide["marginal_shift"] + wide["odds_ratio_change"], wide["delta_v"], atol=1e-12)
    assert np.allclose(wide["excess"], wide["v"] - wide["v_ref"], atol=1e-12)
    assert np.allclose(wide["excess_corrected"], wide["v_corrected"] - wide["v_ref_corrected"], atol=1e-12)


def test_a_model_that_repeats_the_reference_differs_in_nothing(labels, schema, weights):
    frame = coupling(labels, {"copy": labels}, schema, weights)
    nothing = ["delta_v", "delta_v_corrected", "delta_v_corrected_90", "excess", "excess_corrected",
               "marginal_shift", "odds_ratio_change", "mean_abs_cell_change", "delta_v_mixed_rows_corrected"]  # fmt: skip
    chosen = frame[frame["statistic"].isin(nothing)]
    assert len(chosen) == 6 * len(nothing) + 6 * 3 + 2 * 3
    ends = chosen[chosen["statistic"] != "delta_v"][["low", "high"]]
    assert (chosen["value"] == 0).all() and (ends == 0).all(axis=None)
    assert set(chosen["verdict"]) == {"", "equivalent"}
    assert (frame[frame["statistic"] == "null_p"]["value"] == 1).all()
    assert (frame[frame["statistic"] == "provable_margin"]["value"] == 0).all()


def test_verdicts_follow_the_ninety_percent_interval(found):
    ninety = found[found["statistic"] == "delta_v_corrected_90"]
    inside = (ninety["low"] > -0.03) & (ninety["high"] < 0.03)
    beyond = (ninety["low"] > 0.03) | (ninety["high"] < -0.03)
    assert set(ninety[inside]["verdict"]) <= {"equivalent", "different but within"}
    assert set(ninety[beyond]["verdict"]) == {"outside"}
    assert set(ninety[~inside & ~beyond]["verdict"]) <= {"inconclusive"}


def test_a_collapsed_model_is_not_rewarded(found):
    gone = found[(found["model"] == "collapsed") & (found["b"] == "texture") & (found["rows"] == "identical")]
    assert (gone[gone["statistic"].isin(["v", "v_corrected"])]["value"] == 0).all()
    delta = gone[gone["statistic"] == "delta_v_corrected"]
    assert (delta["value"] < 0).all() and "equivalent" not in set(delta["verdict"])
    # A class that is never predicted has no place at the reference's margins.
    raked = gone[gone["statistic"].isin(["v_rake", "marginal_shift", "odds_ratio_change"])]
    assert raked["value"].isna().all() and set(raked["interval"]) == {"not estimable"}


def test_honest_errors_have_no_excess(found):
    honest = found[(found["model"] == "honest") & (found["rows"] == "identical")]
    excess = honest[honest["statistic"] == "excess_corrected"]
    assert (excess["value"].abs() < 0.05).all()
    assert ((excess["low"] <= 0.02) & (excess["high"] >= -0.02)).all()
    # On the other hand V itself falls clearly, which a rule about ΔV would call a fault.
    assert (honest[honest["statistic"] == "delta_v_corrected"]["value"] < -0.02).sum() >= 4


def test_the_same_seed_gives_the_same_table(labels, models, schema, weights, found):
    pd.testing.assert_frame_equal(coupling(labels, models, schema, weights), found, check_exact=True)
    for build in (cell_table, collapse_table):
        first, again = (build(labels, models, schema, weights=weights) for _ in range(2))
        pd.testing.assert_frame_equal(first, again, check_exact=True)


def test_the_order_of_images_changes_no_estimate(labels, models, schema, weights, found, rng):
    mixed = rng.permutation(ROWS)
    shuffled = coupling(
        {name: codes[mixed] for name, codes in labels.items()},
        {m: {name: codes[mixed] for name, codes in c.items()} for m, c in models.items()},
        schema, weights[:, mixed],
    )  # fmt: skip
    drawn = found["statistic"].isin(["permutation_p", "permutation_p_holm", "null_v", "null_p"])
    for column in ("value", "low", "high"):
        assert np.allclose(found[~drawn][column], shuffled[~drawn][column], atol=1e-10, equal_nan=True)


def test_the_mean_over_pairs_keeps_negative_estimates(schema, rng):
    independent = {a.name: rng.integers(0, len(a), 300).astype(np.int16) for a in schema}
    frame = coupling(independent, {}, schema, image_weights(300, 20, rng))
    pairs = frame[(frame["rows"] == "identical") & (frame["statistic"] == "v_corrected")]
    mean = value(pairs, a="all")["value"]
    signed = [
        float(
            cramers_v(table(independent[a], independent[b], (len(schema[a]), len(schema[b]))), truncate=False)
        )
        for a, b in schema.pairs
    ]
    assert min(signed) < 0 < pairs[pairs["a"] != "all"]["value"].mean()
    assert mean == pytest.approx(np.mean(signed), abs=1e-12)


def test_rows_without_a_prediction_are_left_out_of_both_sides(labels, models, schema, weights):
    partial = {name: codes.copy() for name, codes in models["honest"].items()}
    partial["material"][:400] = -1
    frame = coupling(labels, {"partial": partial}, schema, weights)
    row = value(frame, model="partial", a_b=("material", "color"), rows="identical", statistic="delta_v")
    rest = slice(400, None)
    by_hand = [
        float(cramers_v(table(c["material"][rest], c["color"][rest], (6, 12)), correct=False))
        for c in (partial, labels)
    ]
    assert row["n"] == ROWS - 400
    assert row["value"] == pytest.approx(by_hand[0] - by_hand[1], abs=1e-12)


def test_the_margin_in_force_stands_in_the_table(labels, models, schema, weights):
    frame = coupling(labels, models, schema, weights, margin=0.05)
    assert frame.loc[frame["statistic"] == "margin", ["a", "rows", "value"]].values.tolist() == [
        ["all", "identical", 0.05]
    ]


@pytest.mark.parametrize("damage", ["no labels", "one label", "no predictions", "one row"])
def test_a_head_without_variation_gives_nan_and_no_crash(labels, models, schema, weights, damage):
    reference = {name: codes.copy() for name, codes in labels.items()}
    model = {name: codes.copy() for name, codes in models["honest"].items()}
    if damage == "no labels":
        reference["color"][:] = -1
    elif damage == "one label":
        reference["color"][:] = 3
    elif damage == "no predictions":
        model["color"][:] = -1
    else:
        reference["color"][1:] = -1
        for name in schema.names:
            reference[name][0] = 0
    frame = coupling(reference, {"m": model}, schema, weights)
    hit = frame[(frame["model"] == "m") & (frame["a"] == "material") & (frame["b"] == "color")]
    dependent = hit[hit["statistic"].isin(
        ["delta_v", "delta_v_corrected", "excess", "null_v", "null_p", "v_rake", "delta_v_mixed_rows"]
    )]  # fmt: skip
    assert dependent["value"].isna().all() and set(dependent["verdict"]) == {""}
    assert set(dependent[dependent["statistic"] != "null_p"]["interval"]) == {"not estimable"}
    untouched = value(frame, model="m", a_b=("material", "texture"), rows="identical", statistic="delta_v")
    assert math.isfinite(untouched["value"])
    mean = value(frame, model="m", a="all", rows="identical", statistic="v")["value"]
    assert math.isnan(mean) == (damage in ("no labels", "no predictions"))
    cell_table(reference, {"m": model}, schema, weights=weights)
    collapse_table(reference, {"m": model}, schema, weights=weights)
    keep = keep_by_agreement(reference, {"m": model}, schema)
    selection_table(reference, {"m": model}, schema, keep=keep, weights=weights)


def test_an_attribute_with_one_class_in_the_schema_gives_nan(labels, models, schema, weights):
    texture = schema["texture"]
    single = dataclasses.replace(texture, surface={"smooth": texture.surface["smooth"]})
    narrow = dataclasses.replace(schema, attributes=(schema["material"], single))
    codes = {"material": labels["material"], "texture": np.zeros(ROWS, np.int16)}
    frame = coupling(codes, {"m": codes}, narrow, weights)
    assert (
        frame[frame["statistic"].isin(["v", "v_corrected", "delta_v", "v_ref", "null_v"])]["value"]
        .isna()
        .all()
    )
    assert frame[frame["statistic"] == "permutation_p"]["value"].isna().all()


def test_bad_codes_are_refused(labels, models, schema, weights):
    with pytest.raises(ValueError, match="a model cannot be called 'reference'"):
        coupling(labels, {"reference": labels}, schema, weights)
    with pytest.raises(ValueError, match=r"honest: texture must have shape \(1200,\); received \(7,\)"):
        short = models["honest"] | {"texture": models["honest"]["texture"][:7]}
        coupling(labels, {"honest": short}, schema, weights)
    with pytest.raises(ValueError, match="honest: no codes of 'texture'; got material, color, pattern"):
        coupling(labels, {"honest": {n: models["honest"][n] for n in schema.names[:3]}}, schema, weights)
    with pytest.raises(ValueError, match="reference: texture must hold −1 … 4; received 9 … 9"):
        coupling(labels | {"texture": np.full(ROWS, 9)}, {}, schema, weights)
    with pytest.raises(ValueError, match=r"weights must have shape \(B ≥ 2, 1200\); received \(200, 1199\)"):
        coupling(labels, models, schema, weights[:, 1:])
    with pytest.raises(ValueError, match="margin must be positive; received 0"):
        coupling(labels, models, schema, weights, margin=0)
    with pytest.raises(ValueError, match="reference: no rows"):
        coupling({name: codes[:0] for name, codes in labels.items()}, {}, schema, weights[:, :0])


# cell_table


def test_cells_add_up_and_stand_beside_the_reference(labels, models, schema, weights):
    cells = cell_table(labels, models, schema, weights=weights)
    assert len(cells) == 3 * (6 * 12 + 6 * 6 + 6 * 5 + 12 * 6 + 12 * 5 + 6 * 5)
    for (_, _, _), group in cells.groupby(["model", "a", "b"]):
        assert group["count"].sum() == group["n"].iloc[0]
        assert group["share"].sum() == pytest.approx(1) or group["share"].isna().all()
    pair = (cells["a"] == "material") & (cells["b"] == "texture")
    keep = (labels["material"] >= 0) & (labels["texture"] >= 0)
    shares = [
        chi2_shares(table(np.where(keep, c["material"], -1), c["texture"], (6, 5)))
        for c in (models["honest"], labels)
    ]
    honest = cells[pair & (cells["model"] == "honest")]
    assert np.allclose(honest["change"], (shares[0] - shares[1]).ravel(), atol=1e-12)
    assert cells[cells["model"] == "reference"]["change"].isna().all()


# collapse_table


def test_effective_classes_of_hand_made_distributions():
    assert effective_classes(np.full(7, 1 / 7)) == pytest.approx(7)
    assert effective_classes(np.array([1.0, 0.0, 0.0])) == 1
    assert effective_classes(np.array([0.5, 0.25, 0.25])) == pytest.approx(2**1.5)


def test_collapse_is_measured_against_the_reference_on_the_same_rows(labels, models, schema, weights):
    frame = collapse_table(labels, models, schema, weights=weights)
    keep = labels["texture"] >= 0
    predicted = np.bincount(models["honest"]["texture"][keep], minlength=5) / keep.sum()
    true = np.bincount(labels["texture"][keep], minlength=5) / keep.sum()
    chosen = frame[(frame["model"] == "honest") & (frame["head"] == "texture")]
    logs = chosen[chosen["statistic"] == "log_ratio"]
    assert np.allclose(logs["value"], np.log(predicted / true), atol=1e-12)
    tv = value(chosen, statistic="total_variation")
    assert tv["value"] == pytest.approx(np.abs(predicted - true).sum() / 2) and tv["n"] == keep.sum()
    gone = frame[(frame["model"] == "collapsed") & (frame["head"] == "texture") & (frame["other"] == "")]
    assert value(gone, statistic="effective_classes")["value"] == 1
    assert value(gone, statistic="effective_classes_change")["value"] < -1
    never = gone[(gone["statistic"] == "log_ratio") & (gone["class"] != schema["texture"].classes[0])]
    assert never["value"].isna().all() and set(never["interval"]) == {"not estimable"}


def test_a_copy_of_the_reference_has_not_collapsed(labels, schema, weights):
    frame = collapse_table(labels, {"copy": labels}, schema, weights=weights)
    frame = frame[frame["model"] == "copy"]
    zero = frame[frame["statistic"].isin(["log_ratio", "total_variation", "effective_classes_change"])]
    assert (zero[["value", "low", "high"]] == 0).all(axis=None)
    right = frame[frame["statistic"].isin(["accuracy_typical", "accuracy_atypical"])]
    assert (right["value"] == 1).all()


def test_guessing_the_typical_shows_as_a_drop_of_accuracy_on_the_atypical(labels, schema, weights, rng):
    keep = (labels["material"] >= 0) & (labels["texture"] >= 0)
    counts = table(np.where(keep, labels["material"], -1), labels["texture"], (6, 5))
    common = counts.argmax(axis=1)
    guess = {name: np.where(codes < 0, 0, codes).astype(np.int16) for name, codes in labels.items()}
    guess["texture"] = common[guess["material"]].astype(np.int16)
    frame = collapse_table(labels, {"guess": guess}, schema, weights=weights)
    drop = value(frame, model="guess", head="texture", other="material", statistic="accuracy_drop")
    assert drop["low"] > 0.2
    typical, atypical = (
        value(frame, model="guess", head="texture", other="material", statistic=f"accuracy_{kind}")
        for kind in ("typical", "atypical")
    )
    assert drop["value"] == pytest.approx(typical["value"] - atypical["value"])
    assert typical["n"] + atypical["n"] == drop["n"] == keep.sum()
    other_way = value(frame, model="guess", head="material", other="texture", statistic="accuracy_drop")
    assert other_way["value"] == 0


# selection_table


def test_keeping_confident_rows_inflates_v(schema):
    rng = np.random.default_rng(8)
    n = 4000
    world = World.random({a.name: len(a) for a in schema}, rng, concentration=0.1)
    # A coupled image is a typical one, and confidence follows typicality, as it does for a labeller.
    typical = rng.random(n) < 0.6
    coupled, loose = world.sample(n, rng), world.with_coupling(0).sample(n, rng)
    truth = {name: np.where(typical, coupled[name], loose[name]) for name in schema.names}
    confidence = {name: rng.beta(np.where(typical, 4, 2), 2) for name in schema.names}
    keep = keep_by_confidence(confidence, [0.0, 0.4, 0.5, 0.7], schema)
    frame = selection_table(truth, {}, schema, keep=keep, weights=image_weights(n, 100, rng))
    curve = frame[
        (frame["a"] == "material") & (frame["b"] == "texture") & (frame["statistic"] == "v_corrected")
    ]
    assert curve["threshold"].tolist() == [0, 0.4, 0.5, 0.7]
    assert curve["coverage"].iloc[0] == 1 and (np.diff(curve["coverage"]) < 0).all()
    true = 0.6 * world.cramers_v("material", "texture")
    first, last = curve.iloc[0], curve.iloc[-1]
    assert first["low"] <= true <= first["high"]
    assert last["low"] > true + 0.03


def test_selection_by_agreement_keeps_what_it_says(labels, models, schema, weights):
    keep = keep_by_agreement(labels, models, schema)
    frame = selection_table(labels, models, schema, keep=keep, weights=weights)
    a, b = "material", "texture"
    has = (labels[a] >= 0) & (labels[b] >= 0)
    honest, collapsed = (
        has & (m[a] == labels[a]) & (m[b] == labels[b]) for m in (models["honest"], models["collapsed"])
    )
    wanted = {"all rows": ROWS, "labelled": has.sum(), "any model agrees": (honest | collapsed).sum(),
              "all models agree": (honest & collapsed).sum()}  # fmt: skip
    chosen = frame[(frame["a"] == a) & (frame["b"] == b) & (frame["statistic"] == "v")]
    for model in ("reference", "honest", "collapsed"):
        of_model = chosen[chosen["model"] == model].set_index("keep")
        assert of_model["n"].to_dict() == wanted
        assert of_model["coverage"].to_dict() == {name: n / ROWS for name, n in wanted.items()}
    assert math.isnan(value(chosen, model="reference", keep="all rows")["value"])
    agreed = chosen[chosen["keep"] == "all models agree"].set_index("model")["value"]
    assert agreed["honest"] == agreed["collapsed"]


def test_bad_masks_are_refused(labels, schema, weights):
    with pytest.raises(ValueError, match=r"keep 'some': no mask for \(material, color\); got none"):
        selection_table(labels, {}, schema, keep={"some": {}}, weights=weights)
    with pytest.raises(
        ValueError, match=r"must be boolean of shape \(1200,\); received float64 of shape \(3,\)"
    ):
        masks = dict.fromkeys(schema.pairs, np.ones(3))
        selection_table(labels, {}, schema, keep={0.5: masks}, weights=weights)
    with pytest.raises(ValueError, match="confidence: no 'texture'; got material, color, pattern"):
        keep_by_confidence({name: np.ones(3) for name in schema.names[:3]}, [0.5], schema)


# The published study


@pytest.fixture(scope="module")
def study(published_dir, schema) -> tuple[dict, dict]:
    predictions, reference = {}, None
    for model in ("dinov2", "resnet50"):
        frame = pd.read_csv(published_dir / f"test_predictions_{model}.csv")
        silver = pd.DataFrame(
            {n: frame[f"gt_{n}"].where(frame[f"gt_{n}"] != "unknown") for n in schema.names}
        )
        reference = schema.encode(silver)
        predictions[model] = schema.encode(pd.DataFrame({n: frame[f"pred_{n}"] for n in schema.names}))
    return reference, predictions


def test_the_published_numbers_come_out_as_printed(study, schema, published_dir):
    reference, predictions = study
    rng = np.random.default_rng(0)
    weights = image_weights(len(reference["color"]), 1000, rng)
    frame = coupling_table(reference, predictions, schema, weights=weights, rng=rng, permutations=999)
    pair = ("material", "texture")
    printed = pd.read_csv(published_dir / "cramers_v_comparison.csv").set_index("source")
    for who, rows, source in (("reference", "identical", "ground_truth"), ("dinov2", "all", "predicted")):
        row = value(frame, model=who, a_b=pair, rows=rows, statistic="v")
        assert row["value"] == pytest.approx(printed.loc[source, "cramers_v"], abs=1e-12)
        assert row["n"] == printed.loc[source, "n"]
        chi2 = row["value"] ** 2 * 4 * row["n"]
        assert chi2 == pytest.approx(printed.loc[source, "chi2"], abs=1e-8)
    v = {
        (who, rows): f"{value(frame, model=who, a_b=pair, rows=rows, statistic='v')['value']:.4f}"
        for who, rows in (
            ("reference", "identical"), ("dinov2", "all"), ("dinov2", "identical"),
            ("resnet50", "all"), ("resnet50", "identical"),
        )
    }  # fmt: skip
    assert list(v.values()) == ["0.3177", "0.3531", "0.3551", "0.4448", "0.4448"]
    mixed = value(frame, model="dinov2", a_b=pair, rows="mixed", statistic="delta_v_mixed_rows")
    assert f"{mixed['value']:+.3f}" == "+0.035" and math.isnan(mixed["low"])
    mixed = value(frame, model="dinov2", a_b=pair, rows="mixed", statistic="delta_v_mixed_rows_corrected")
    assert mixed["verdict"] == "inconclusive"
    assert mixed["low"] == pytest.approx(0.020, abs=0.0015)
    assert mixed["high"] == pytest.approx(0.051, abs=0.0015)
    same = value(frame, model="dinov2", a_b=pair, rows="identical", statistic="delta_v")
    assert f"{same['value']:+.3f}" == "+0.037" and same["n"] == 3487
    assert value(frame, model="dinov2", a_b=pair, rows="identical", statistic="plain_rule")["value"] == 0
    other = value(frame, model="resnet50", a_b=pair, rows="identical", statistic="delta_v_corrected")
    assert f"{other['value']:+.2f}" == "+0.13" and other["verdict"] == "outside"


def test_a_draw_that_ignores_the_picture_is_seen_in_the_published_layout(study, schema, rng):
    # A head that is drawn from the other head's prediction must stand out among the real ones.
    reference, predictions = study
    material = predictions["dinov2"]["material"]
    given = table(reference["material"], reference["texture"], (6, 5))
    given /= given.sum(axis=1, keepdims=True)
    leaking = reference | {"material": material, "texture": draw_rows(given[material], rng)}
    leaking = {name: np.where(codes < 0, 0, codes).astype(np.int16) for name, codes in leaking.items()}
    weights = image_weights(len(material), 50, rng)
    frame = coupling_table(reference, {"leak": leaking}, schema, weights=weights, rng=rng, permutations=99,
                           null_draws=200)  # fmt: skip
    pair = {"model": "leak", "a_b": ("material", "texture"), "rows": "identical"}
    assert abs(value(frame, **pair, statistic="delta_v_corrected")["value"]) < 0.03
    assert value(frame, **pair, statistic="null_p")["value"] == pytest.approx(1 / 201)
    assert value(frame, **pair, statistic="excess_corrected")["low"] > 0.1
