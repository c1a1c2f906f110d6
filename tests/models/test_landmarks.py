"""The landmark network and its task: published sizes and arithmetic, geometry, and what parts leave untouched."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import timm
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention

from swatchbook.data.landmarks import OCCLUDED, SLOTS, TRUNCATED, VISIBLE
from swatchbook.models.augment import STANDARD, random_draws
from swatchbook.models.geometry import Geometry
from swatchbook.models.heat_maps import POINTS, WHOLE, decoded, heat_maps, map_losses
from swatchbook.models.landmark_answers import answer, carried, prediction_table
from swatchbook.models.landmark_design import Design
from swatchbook.models.landmark_network import (
    ATTENTION,
    ATTRIBUTES,
    MAPS,
    SWAPPED,
    Attention,
    LandmarkNetwork,
    build,
    count,
    localisation,
)
from swatchbook.models.recipe import Recipe
from swatchbook.models.step import Stepper
from swatchbook.models.task import Batch
from swatchbook.models.tasks.landmarks import LANDMARKS, Landmarks, attribute_losses
from swatchbook.models.training import train
from swatchbook.schema import Attribute, Schema


def attribute(name, size, multiple=False):
    return Attribute(
        name, {f"{name}{k}": "x" for k in range(size)}, ("{}",), "zero_shot", 0, "ours", multiple
    )


BENCHMARK = Schema("benchmark", (attribute("category", 48), attribute("attributes", 1000, True)))
SMALL = Schema("small", (attribute("category", 5), attribute("shape", 3, True), attribute("part", 2, True)))
DESIGN = Design(localisation="thesis", upsamplings=1, flatten=False, width=16, radius=0.1, shape="gaussian")
CAT = replace(DESIGN, localisation="none", guide="none")
RECIPE = Recipe(
    image_size=32, crop_share=1.0, epochs=1, warmup_epochs=0, batch=8, backbone_lr=1e-3, head_lr=1e-3,
    threads=1, seed=7, loss="plain",
)  # fmt: skip
BACKBONE = "test_resnet"


# ---- sizes ----------------------------------------------------------------------------------------------


def published(**changes):
    with torch.device("meta"):
        vgg = timm.create_model("vgg16", num_classes=0)
        return LandmarkNetwork(vgg, BENCHMARK, Design(**changes), 224, {"mean": [0.5] * 3, "std": [0.5] * 3})


def test_the_published_networks_have_their_published_sizes():
    mtl = published()
    assert mtl.info["parameters"] == count(mtl) == 69_218_600
    assert count(mtl.localisation) == 447_496
    assert count(mtl.attention) == 574_944
    assert count(published(localisation="none", guide="none")) == 68_196_160
    # With the conv5 of VGG that Liu & Lu's code keeps beside its copies.
    assert count(mtl) + 3 * (512 * 512 * 9 + 512) == 76_298_024


def test_conv4_3_is_where_vgg_is_cut():
    mtl = published()
    convolutions = [
        [m for m in part.modules() if isinstance(m, torch.nn.Conv2d)] for part in (mtl.lower, mtl.upper)
    ]
    assert [len(some) for some in convolutions] == [10, 3]
    assert isinstance(mtl.lower[-1], torch.nn.ReLU)
    assert mtl.branches[0][0].in_features == 512 * 7 * 7


@pytest.mark.parametrize(("kind", "convolutions"), [("liu", 10), ("thesis", 4)])
def test_localisation_has_its_convolutions_and_ends_at_the_inputs_side(kind, convolutions):
    layers = localisation(Design(localisation=kind), 512)
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in layers) == convolutions
    assert sum(isinstance(layer, torch.nn.ConvTranspose2d) for layer in layers) == 3
    assert layers(torch.zeros(1, 512, 2, 2)).shape == (1, 8, 16, 16)


@pytest.mark.parametrize(("channels", "inputs"), [("max", 513), ("all", 520)])
def test_attention_sees_the_largest_value_or_every_heat_map(channels, inputs):
    assert published(channels=channels).attention.enter.in_channels == inputs


def test_a_wider_cat_has_as_many_parameters_as_mtl():
    wide = count(published(localisation="none", guide="none", equal="liu"))
    assert abs(wide - 69_218_600) <= (2 * 25_089 + 2_048) / 2  # half of what a hidden unit costs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"localisation": "wang"}, r"design\.localisation = 'wang'; must be one of liu, thesis, none"),
        ({"localisation": "none"}, r"design\.guide = 'predicted'; must be true or none without localisation"),
        ({"upsamplings": 4}, r"design\.upsamplings = 4; must be from 0 to 3"),
        ({"width": 0, "equal": "liu"}, r"design\.equal = 'liu'; must be none beside a linear layer alone"),
        ({"radius": 8.0}, r"design\.radius = 8\.0; must be above 0 and below 1"),
    ],
)
def test_designs_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Design(**change)


def test_backbones_without_such_features_are_refused():
    with pytest.raises(
        ValueError, match=r"stride 8 at image_size=36; this backbone's features have strides 2"
    ):
        build(BACKBONE, SMALL, CAT, pretrained=False, img_size=36)
    with pytest.raises(ValueError, match="the backbone's layers do not follow each other"):
        build("test_vit", SMALL, CAT, pretrained=False, img_size=160)


# ---- heat-maps ------------------------------------------------------------------------------------------


def test_a_cone_and_a_bell_have_their_published_values():
    # A view of 224 pixels, R = 8: cells' middles at 0.5, 1.5, …; the point lies on the middle of cell (3, 1).
    point = torch.tensor([[[3.5 / 224, 1.5 / 224]]])
    cone = heat_maps(point, torch.ones(1, 1), 224, Design())[0, 0]
    assert cone[1, 3] == 1
    assert cone[1, 11].item() == pytest.approx(np.exp(-0.5 * 8 / 8), rel=1e-5)  # 8 pixels to the right
    assert cone[5, 6].item() == pytest.approx(np.exp(-0.5 * 5 / 8), rel=1e-5)  # 3 right, 4 down: 5
    bell = heat_maps(point, torch.ones(1, 1), 224, Design(shape="gaussian"))[0, 0]
    assert bell[5, 6].item() == pytest.approx(np.exp(-0.5 * 25 / 64), rel=1e-5)
    assert not heat_maps(point, torch.zeros(1, 1), 224, Design()).any()
    assert not heat_maps(torch.full((1, 1, 2), torch.nan), torch.zeros(1, 1), 8, Design()).isnan().any()


@pytest.mark.parametrize("shape", ["gaussian", "cone"])
def test_points_between_cells_are_found_where_they_are(shape):
    points = torch.from_numpy(np.random.default_rng(0).uniform(0.15, 0.85, (200, 1, 2))).float()
    maps = heat_maps(points, torch.ones(200, 1), 24, Design(shape=shape, radius=0.08))
    found = decoded(maps, "regression")
    error, by_cell = ((found[name] - points).norm(dim=2).mean().item() for name in (POINTS, WHOLE))
    assert by_cell == pytest.approx(0.3826 / 24, rel=0.1)  # mean distance of a square's points to its middle
    assert error < (1e-4 if shape == "gaussian" else 0.5 * by_cell)
    assert (found[POINTS] - found[WHOLE]).abs().max() <= 0.5 / 24 + 1e-6


@pytest.mark.parametrize("fit", ["regression", "distribution"])
def test_a_peak_on_the_rim_stays_in_the_picture(fit):
    maps = torch.zeros(1, 1, 8, 8)
    maps[0, 0, 0, 7] = 1
    found = decoded(maps, fit)
    assert found[WHOLE].flatten().tolist() == [7.5 / 8, 0.5 / 8]
    assert ((found[POINTS] >= 0) & (found[POINTS] <= 1)).all()


def test_a_distribution_is_decoded_by_the_mean_of_its_cube():
    maps = torch.zeros(1, 1, 4, 4)
    maps[0, 0, 1, 0], maps[0, 0, 1, 1] = 0.6, 0.4  # cubes: 27 to 8
    found = decoded(maps, "distribution")
    assert found[WHOLE].flatten().tolist() == [0.125, 0.375]
    assert found[POINTS].flatten().tolist() == pytest.approx([0.125 + 8 / 35 / 4, 0.375])
    # Whatever the scale: networks give 1 to the likeliest cell.
    assert decoded(maps / 0.6, "distribution")[POINTS].equal(found[POINTS])


# ---- losses, by hand ------------------------------------------------------------------------------------


def make_task(schema=SMALL, design=DESIGN, n=24, seed=3, **options):
    rng = np.random.default_rng(seed)
    codes = {
        a.name: (rng.random((n, len(a))) < 0.3).astype(np.int8) if a.multiple else rng.integers(0, len(a), n)
        for a in schema
    }
    points, visibility = rng.random((n, 8, 2)).astype(np.float32), rng.choice([0, 0, 1, 2, -1], (n, 8))
    points[visibility < 0] = np.nan
    pixels = rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    rows = np.arange(n - 8), np.arange(n - 8, n)
    task = Landmarks(schema, codes, points, visibility, *rows, BACKBONE, design, pretrained=False, **options)
    return task, pixels


def test_two_way_attribute_losses_are_torchs_weighted_mean():
    rng = torch.Generator().manual_seed(0)
    logits, members = torch.randn(6, 2, 9, generator=rng), torch.randint(0, 2, (6, 9), generator=rng)
    units = (1 + 9 * members).sum()
    ours = attribute_losses(logits, members).sum() / units
    assert ours.item() == pytest.approx(
        F.cross_entropy(logits, members, torch.tensor([0.1, 1.0])).item(), rel=1e-5
    )
    # By hand: a positive with logits (0, ln 3) costs −ln ¾, a negative −ln ¼, at a tenth of the weight.
    two = attribute_losses(
        torch.tensor([[[0.0, 0.0], [np.log(3), np.log(3)]]]).float(), torch.tensor([[1, 0]])
    )
    assert two[0].tolist() == pytest.approx([-10 * np.log(0.75), -np.log(0.25)], rel=1e-5)
    masked = attribute_losses(logits, torch.full((6, 9), -1))
    assert not masked.any()


def test_sigmoids_are_binary_cross_entropy():
    logits, members = torch.tensor([[0.0, np.log(3)]]).float(), torch.tensor([[1, -1]])
    assert attribute_losses(logits, members)[0].tolist() == pytest.approx([np.log(2), 0])


def test_the_landmark_loss_is_the_published_mean_over_all_pixels_masked_ones_too():
    task, _ = make_task()
    task.prepare(RECIPE, "cpu", print)
    points, codes = torch.rand(2, 8, 2), torch.tensor([[0, 1, 2, -1, 0, 0, 0, 0]] * 2)
    maps = torch.rand(2, 8, 4, 4)
    whole = Geometry.of_crops(torch.ones(2, 2), torch.zeros(2, 2), 32, 32)
    targets = {"points": points, "visibility": codes, "category": torch.zeros(2, dtype=torch.long)}
    targets[ATTRIBUTES] = torch.zeros(2, 5, dtype=torch.long)
    outputs = {MAPS: maps, "category": torch.zeros(2, 5), ATTRIBUTES: torch.zeros(2, 2, 5)}
    counts = {"category": 2, ATTRIBUTES: 10, LANDMARKS: 16}
    losses = task.loss(outputs, Batch(targets, counts, geometry=whole))
    seen = codes == 0
    wanted = (seen[:, :, None, None] * (maps - heat_maps(points, seen, 4, DESIGN))).square().mean()
    assert losses[LANDMARKS].item() == pytest.approx(wanted.item(), rel=1e-5)
    assert losses["category"].item() == pytest.approx(np.log(5), rel=1e-5)
    assert losses[ATTRIBUTES].item() == pytest.approx(np.log(2), rel=1e-5)


def test_a_distribution_over_cells_is_fitted_by_cross_entropy():
    design = replace(DESIGN, fit="distribution", radius=0.01)  # so narrow that one cell has it all
    points, seen = torch.full((1, 2, 2), 0.375), torch.tensor([[True, False]])  # the middle of cell (1, 1)
    maps = torch.zeros(1, 2, 4, 4)
    assert map_losses(maps, points, seen, design)[0].tolist() == pytest.approx([np.log(16), 0], rel=1e-4)
    maps[0, :, 1, 1] = np.log(45)  # 45 of 45 + 15
    assert map_losses(maps, points, seen, design)[0].tolist() == pytest.approx([-np.log(0.75), 0], rel=1e-4)
    spread = map_losses(torch.rand(1, 2, 4, 4), points, seen, replace(design, radius=0.2))
    assert spread[0, 0] > 0 and spread[0, 1] == 0


def test_maps_of_a_distribution_guide_and_place_as_heat_maps_do():
    torch.manual_seed(2)
    network = build(BACKBONE, SMALL, replace(DESIGN, fit="distribution"), pretrained=False, img_size=32)
    views = torch.rand(2, 3, 32, 32)
    guides = []
    network.attention.register_forward_hook(lambda _, seen, __: guides.append(seen[0][:, 0]))
    logits = network.eval().localisation(network.lower((views - 0.5) / 0.5))
    placed = network(views)[WHOLE][0, 0] * logits.shape[-1]
    at = int(logits[0, 0].argmax())
    assert placed.tolist() == pytest.approx([at % 8 + 0.5, at // 8 + 0.5], abs=1e-4)
    assert 0 < guides[0].max() <= 1


def test_units_of_the_loss_are_its_weights():
    task, _ = make_task()
    units = task.labelled()
    positives = sum((task.codes[name] == 1).sum(1) for name in ("shape", "part"))
    assert (units[ATTRIBUTES] == 5 + 9 * positives).all()
    assert (units[LANDMARKS] == 8).all()
    assert LANDMARKS not in make_task(landmark_loss=False)[0].labelled()
    assert (make_task(design=replace(DESIGN, pairs=False))[0].labelled()[ATTRIBUTES] == 5).all()


# ---- geometry -------------------------------------------------------------------------------------------


def test_a_mirror_image_exchanges_slots_and_twice_is_the_identity():
    points, codes = torch.rand(3, 8, 2), torch.randint(-1, 3, (3, 8))
    mirror = Geometry.of_crops(torch.tensor([[-1.0, 1.0]] * 3), torch.zeros(3, 2), 32, 32)
    once, codes_once = carried(mirror, points, codes)
    left, right = SLOTS.index("left_sleeve"), SLOTS.index("right_sleeve")
    assert torch.allclose(once[:, left, 0], 1 - points[:, right, 0], atol=1e-5)
    assert torch.allclose(once[:, left, 1], points[:, right, 1], atol=1e-5)
    assert (codes_once[:, left] == codes[:, right]).all()
    again, codes_again = carried(mirror, once, codes_once)
    assert torch.allclose(again, points, atol=1e-5)
    assert (codes_again == codes).all()
    plain = carried(mirror.mirror(), points, codes)  # mirrored twice: nothing happened
    assert torch.allclose(plain[0], points, atol=1e-5)
    assert (plain[1] == codes).all()


def test_points_that_leave_the_view_are_cut_off_and_crops_move_the_others():
    # The left upper quarter, shown at 16 pixels: a point at (¼, ¼) of the square is in its middle.
    quarter = Geometry.of_crops(torch.full((1, 2), 0.5), torch.full((1, 2), -0.5), 32, 16)
    points = torch.full((1, 8, 2), 0.75)
    points[0, 0] = 0.25
    points[0, 7] = torch.nan
    codes = torch.tensor([[VISIBLE, VISIBLE, OCCLUDED, TRUNCATED, -1, VISIBLE, VISIBLE, -1]])
    there, seen = carried(quarter, points, codes)
    assert there[0, 0].tolist() == pytest.approx([0.5, 0.5], abs=1e-6)
    assert seen[0].tolist() == [VISIBLE, TRUNCATED, TRUNCATED, TRUNCATED, -1, TRUNCATED, TRUNCATED, -1]


def test_random_views_and_their_points_agree_with_the_geometry_room():
    recipe = replace(RECIPE, crop_scale=0.5, flip=1.0)
    images = torch.zeros(5, 32, 32, 3, dtype=torch.uint8)
    _, geometry = STANDARD.training(images, torch.from_numpy(random_draws(1, 1, 5)), recipe, 24)
    points = torch.rand(5, 8, 2)
    there, _ = carried(geometry, points, torch.zeros(5, 8, dtype=torch.long))
    assert torch.allclose(there[:, list(SWAPPED)] * 24, geometry.points(points * 32)[0], atol=1e-4)


def test_outputs_of_mirrored_views_come_back():
    network = build(BACKBONE, SMALL, DESIGN, pretrained=False, img_size=32).eval()
    outputs = {POINTS: torch.rand(2, 8, 2), WHOLE: torch.rand(2, 8, 2), ATTENTION: torch.rand(2, 4, 4)}
    back = network.mirrored(network.mirrored(outputs))
    assert all(torch.allclose(back[name], outputs[name], atol=1e-6) for name in outputs)
    once = network.mirrored(outputs)
    assert torch.allclose(once[POINTS][:, 0, 0], 1 - outputs[POINTS][:, 1, 0])
    assert torch.equal(once[ATTENTION][:, :, 0], outputs[ATTENTION][:, :, 3])


# ---- the network, and its parts left out ------------------------------------------------------------------


def test_without_attention_the_answers_do_not_depend_on_localisation():
    torch.manual_seed(1)
    mtl = build(BACKBONE, SMALL, replace(DESIGN, guide="none"), pretrained=False, img_size=32).eval()
    torch.manual_seed(1)
    cat = build(BACKBONE, SMALL, CAT, pretrained=False, img_size=32).eval()
    views = torch.rand(2, 3, 32, 32)
    ours, theirs = mtl(views), cat(views)
    assert set(ours) - set(theirs) == {POINTS, WHOLE}
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_attention_of_zero_leaves_the_features_and_true_points_need_no_prediction():
    torch.manual_seed(1)
    true = build(BACKBONE, SMALL, replace(DESIGN, guide="true"), pretrained=False, img_size=32).eval()
    torch.manual_seed(1)
    cat = build(BACKBONE, SMALL, CAT, pretrained=False, img_size=32).eval()
    views, points = torch.rand(2, 3, 32, 32), torch.rand(2, 8, 2)
    with torch.no_grad():
        one, other = (true(views, points, seen)["category"] for seen in (torch.ones(2, 8), torch.zeros(2, 8)))
        assert not torch.equal(one, other)
        true.attention.leave[1].weight.zero_()
        true.attention.leave[1].bias.zero_()
        outputs = true(views, points, torch.ones(2, 8))
    assert torch.equal(outputs["category"], cat(views)["category"])
    assert torch.equal(outputs[ATTENTION], torch.ones(2, 4, 4))


def test_the_attention_is_a_u_net_that_keeps_the_side():
    attention = Attention(9, 8).eval()
    for side in (8, 7, 6):
        assert attention(torch.rand(1, 9, side, 12)).shape == (1, 8, side, 12)
    assert attention(100 * torch.rand(1, 9, 4, 4)).abs().max() <= 1


def test_frozen_blocks_learn_nothing_not_even_statistics(tmp_path, one_thread):
    torch.manual_seed(0)
    network = build(BACKBONE, SMALL, DESIGN, pretrained=False, img_size=32, train_blocks=1).train()
    before = {name: value.clone() for name, value in network.lower.state_dict().items()}
    network(torch.rand(4, 3, 32, 32))["category"].sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in network.lower.state_dict().items())
    assert not any(p.requires_grad for p in network.lower.parameters())
    groups = network.groups()
    assert sum(p.numel() for part in groups.values() for p in part) < count(network)
    assert groups["backbone"]


# ---- trainings ------------------------------------------------------------------------------------------


def test_cat_and_mtl_see_the_same_batches(tmp_path, one_thread, monkeypatch):
    seen = []
    take = Stepper.take

    def watched(self, images, draws, batch, size):
        seen.append((images.clone(), draws.clone(), batch.targets["category"].clone()))
        return take(self, images, draws, batch, size)

    monkeypatch.setattr(Stepper, "take", watched)
    for name, design in (("mtl", DESIGN), ("cat", CAT)):
        task, pixels = make_task(design=design)
        train(task, pixels, RECIPE, tmp_path / name, log=lambda _: None, device="cpu")
    half = len(seen) // 2
    assert half == 2
    for ours, theirs in zip(seen[:half], seen[half:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("guide", ["predicted", "true"])
def test_a_finished_model_answers_as_it_was_validated(tmp_path, one_thread, guide):
    task, pixels = make_task(design=replace(DESIGN, guide=guide))
    recipe = replace(RECIPE, flip_test=True, part_weights=(1.0, 20.0, 10.0))
    folder = train(task, pixels, recipe, tmp_path / "model", log=lambda _: None, device="cpu")
    given = {"points": task.points, "visibility": task.visibility}
    outputs = answer(folder, pixels, task.val_rows, SMALL, device="cpu", **given)
    kept = task.validate(outputs)
    history = np.genfromtxt(folder / "history.csv", delimiter=",", names=True)
    for name in ("answers", "normalized_error", "category_accuracy_3", "shape_recall_3"):
        assert kept[name] == pytest.approx(float(history[name]), abs=1e-5)
    table = prediction_table(outputs, task.val_rows, SMALL)
    assert table.index.tolist() == task.val_rows.tolist()
    assert np.allclose(table[[f"category:category{k}" for k in range(5)]].sum(axis=1), 1, atol=1e-5)
    assert table["left_collar_x"].between(-0.05, 1.05).all()
    if guide == "true":
        with pytest.raises(ValueError, match="points = None with attention from true points"):
            answer(folder, pixels, task.val_rows, SMALL, device="cpu")
    other = Schema("other", (attribute("category", 4),))
    with pytest.raises(ValueError, match="the model was trained for another schema"):
        answer(folder, pixels, task.val_rows, other, device="cpu")


def test_parts_of_a_batch_have_the_gradient_of_the_batch(tmp_path, one_thread):
    rates = {}
    for micro in (0, 3):
        task, pixels = make_task(design=replace(CAT, pairs=True))
        folder = train(task, pixels, replace(RECIPE, micro_batch=micro, epochs=1, train_blocks=0),
                       tmp_path / str(micro), log=lambda _: None, device="cpu")  # fmt: skip
        rates[micro] = np.genfromtxt(folder / "history.csv", delimiter=",", names=True)
    for name in ("train_loss", "train_loss_several", "answers"):
        assert float(rates[0][name]) == pytest.approx(float(rates[3][name]), rel=1e-4)


def test_six_groups_stand_in_the_place_of_category_and_attributes(tmp_path, one_thread):
    schema = Schema.load("challenge")
    task, pixels = make_task(schema=schema, n=32)
    folder = train(task, pixels, RECIPE, tmp_path / "six", log=lambda _: None, device="cpu")
    names = pd.read_csv(folder / "history.csv").columns
    assert {"overall_accuracy", "aca", "pattern_accuracy", "train_loss_fit", "answers"} <= set(names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop_share": 0.875}, r"recipe\.crop_share = 0\.875 for landmarks; must be 1"),
        ({"vertical_flip": 0.5}, r"recipe\.vertical_flip = 0\.5 for landmarks"),
        ({"loss": "weighted"}, r"recipe\.loss = 'weighted' for landmarks; must be one without class weights"),
    ],
)
def test_recipes_that_points_cannot_follow_are_refused(change, message):
    task, _ = make_task()
    with pytest.raises(ValueError, match=message):
        task.check(24, replace(RECIPE, **change))


def test_points_that_do_not_fit_are_refused():
    task, _ = make_task()
    with pytest.raises(ValueError, match=r"points \(24, 8, 2\) and visibility \(24, 8\) of 25 images"):
        task.check(25, RECIPE)
    task.points[task.visibility == VISIBLE] = np.nan
    with pytest.raises(ValueError, match="a visible point has no coordinates"):
        task.check(24, RECIPE)
    with pytest.raises(ValueError, match="score 'top'; allowed: answers, located"):
        make_task(score="top")
