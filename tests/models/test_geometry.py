"""Points and boxes follow the pixels: what is drawn at a place is found at the carried place."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from swatchbook.labeller.training.augment import COLUMNS as DRAWN_COLUMNS
from swatchbook.labeller.training.augment import DRAWN
from swatchbook.models.augment import STANDARD, evaluation_view, random_draws, training_view
from swatchbook.models.geometry import Geometry
from swatchbook.models.recipe import Recipe

SIDE, SIZE = 64, 48
RECIPE = Recipe(image_size=SIZE, crop_share=SIZE / SIDE, crop_scale=0.4)


def dots(places):
    """Dark squares with one bright disc each, about the pixel at x, y."""
    images = torch.zeros(len(places), SIDE, SIDE, 3, dtype=torch.uint8)
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    for image, place in zip(images, places, strict=True):
        image[(x - place[0]) ** 2 + (y - place[1]) ** 2 <= 9] = 200
    return images


def centre_of_light(view):
    """Where the light of each view has its centre, x and y in pixels from the corner, shape (n, 2)."""
    light = view.clamp(min=0).mean(1)
    light = torch.where(light > 0.5 * light.amax((1, 2), keepdim=True), light, 0.0)
    middles = torch.arange(light.shape[-1]) + 0.5
    x, y = (light.sum(1) * middles).sum(1), (light.sum(2) * middles).sum(1)
    return torch.stack([x, y], 1) / light.sum((1, 2))[:, None]


@pytest.mark.parametrize(("augmentation", "columns"), [(STANDARD, STANDARD.columns), (DRAWN, DRAWN_COLUMNS)])
def test_a_bright_dot_is_found_at_the_carried_point(rng, augmentation, columns):
    places = torch.from_numpy(rng.integers(8, SIDE - 8, (200, 2)))
    draws = torch.from_numpy(random_draws(5, 1, 200, columns))
    view, geometry = augmentation.training(dots(places), draws, RECIPE, SIZE)
    carried, inside = geometry.points(places[:, None] + 0.5)
    # A disc that the edge cuts has its centre of light elsewhere.
    whole = ((carried > 8) & (carried < SIZE - 8)).all(2)[:, 0]
    assert whole.sum() > 60 and inside[whole].all()
    missed = (centre_of_light(view[whole]) - carried[whole, 0]).norm(dim=1)
    assert missed.max() < 0.75
    assert geometry.mirrored.any() and not geometry.mirrored.all()
    # Those that left the picture left no light in it, but for what the border repeats.
    assert (~inside).any()
    assert torch.allclose(geometry.points_back(carried), places[:, None] + 0.5, atol=1e-3)


@pytest.mark.parametrize("side", [64, 63, 96])
def test_a_dot_of_the_evaluation_view_is_found_at_the_carried_point(rng, side):
    places = torch.from_numpy(rng.integers(20, 44, (50, 2)))
    recipe = replace(RECIPE, image_size=SIZE, crop_share=SIZE / side)
    view, geometry = evaluation_view(dots(places), recipe)
    carried, inside = geometry.points(places[:, None] + 0.5)
    assert inside.all() and not geometry.mirrored.any()
    assert (centre_of_light(view) - carried[:, 0]).norm(dim=1).max() < 0.3
    if side == SIDE:  # a plain crop of 8 pixels on every side
        assert torch.allclose(carried[:, 0], places - 7.5, atol=1e-4)


def test_a_flip_applied_twice_is_the_identity(rng):
    images = torch.from_numpy(rng.integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8))
    still = Recipe(
        image_size=SIDE,
        crop_share=1.0,
        crop_scale=1.0,
        flip=1.0,
        brightness=0.0,
        contrast=0.0,
        saturation=0.0,
    )
    draws = torch.from_numpy(random_draws(0, 1, 4))
    once, geometry = training_view(images, draws, still)
    again, second = training_view((once * 255).round().byte().permute(0, 2, 3, 1), draws, still)
    assert torch.allclose(again, images.permute(0, 3, 1, 2) / 255, atol=1e-5)
    places = torch.from_numpy(rng.uniform(0, SIDE, (4, 3, 2))).float()
    there, _ = geometry.points(places)
    assert torch.allclose(there[..., 0], SIDE - places[..., 0], atol=1e-4)
    assert torch.allclose(second.points(there)[0], places, atol=1e-4)
    assert geometry.mirrored.all()


def test_points_on_the_rim_are_inside_and_points_beyond_it_are_not():
    # The middle half of a square of 100 pixels, shown at 50: x and y from 25 to 75 become 0 to 50.
    geometry = Geometry.of_crops(torch.full((1, 2), 0.5), torch.zeros(1, 2), stored=100, size=50)
    places = torch.tensor([[[25.0, 25.0], [75.0, 50.0], [24.9, 50.0], [50.0, 75.1]]])
    carried, inside = geometry.points(places)
    assert torch.allclose(
        carried[0], torch.tensor([[0.0, 0.0], [50.0, 25.0], [-0.1, 25.0], [25.0, 50.1]]), atol=1e-4
    )
    assert inside.tolist() == [[True, True, False, False]]


def test_boxes_are_cut_at_the_edge_and_those_outside_are_named():
    geometry = Geometry.of_crops(torch.tensor([[-0.5, 0.5]]), torch.zeros(1, 2), stored=100, size=100)
    boxes = torch.tensor([[[30.0, 40.0, 50.0, 60.0], [0.0, 0.0, 40.0, 30.0], [80.0, 40.0, 99.0, 60.0]]])
    carried, inside = geometry.boxes(boxes)
    # Twice as large and mirrored: x 30…50 becomes 50…90, and y 40…60 becomes 30…70.
    assert torch.allclose(carried[0, 0], torch.tensor([50.0, 30.0, 90.0, 70.0]), atol=1e-3)
    assert torch.allclose(carried[0, 1], torch.tensor([70.0, 0.0, 100.0, 10.0]), atol=1e-3)
    assert inside.tolist() == [[True, True, False]]


def test_a_turned_box_is_the_upright_one_around_it():
    turn = torch.tensor([np.pi / 2])
    geometry = Geometry.of_crops(torch.ones(1, 2), torch.zeros(1, 2), stored=100, size=100, turn=turn)
    carried, _ = geometry.boxes(torch.tensor([[[10.0, 20.0, 30.0, 60.0]]]))
    width, height = carried[0, 0, 2:] - carried[0, 0, :2]
    assert (width.item(), height.item()) == pytest.approx((40, 20), abs=1e-3)
