"""Views of images: random ones for training, one exact one for evaluation."""

import colorsys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp
from torch.nn import functional
from torchvision import transforms
from torchvision.transforms import v2

from swatchbook.models import augment
from swatchbook.models.augment import COLUMNS, TRIES, at_side, random_draws
from swatchbook.models.recipe import Recipe

STILL = Recipe(crop_scale=1.0, flip=0.0, brightness=0.0, contrast=0.0, saturation=0.0)
SMALL = replace(STILL, image_size=28, crop_share=28 / 32)


def images(rng, n, side):
    return torch.from_numpy(rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8))


def draws(n, seed=0, epoch=1):
    return torch.from_numpy(random_draws(seed, epoch, n))


def training_view(*given):
    return augment.training_view(*given).pixels


def evaluation_view(*given):
    return augment.evaluation_view(*given).pixels


def test_the_evaluation_view_is_the_exact_centre_crop(rng):
    batch = images(rng, 2, 256)
    view = evaluation_view(batch, Recipe())
    by_hand = batch[:, 16:240, 16:240].permute(0, 3, 1, 2).float() / 255
    assert torch.equal(view, by_hand)
    theirs = transforms.Compose([transforms.CenterCrop(224), transforms.ToTensor()])
    for i in range(2):
        assert torch.equal(view[i], theirs(Image.fromarray(batch[i].numpy())))


@pytest.mark.parametrize(("side", "size"), [(33, 28), (31, 28), (35, 28)])
def test_odd_margins_are_cropped_as_torchvision_crops_them(rng, side, size):
    batch = images(rng, 1, side)
    view = evaluation_view(batch, replace(STILL, image_size=size, crop_share=size / side))
    assert torch.equal(
        view[0], v2.functional.center_crop(batch[0].permute(2, 0, 1), [size, size]).float() / 255
    )


def test_a_smaller_model_sees_the_same_field_of_view(rng):
    flat = torch.zeros(1, 256, 256, 3, dtype=torch.uint8)
    flat[:, 16:240, 16:240] = 200
    view = evaluation_view(flat, replace(Recipe(), image_size=112))
    assert view.shape == (1, 3, 112, 112)
    assert torch.allclose(view[..., 1:-1, 1:-1], torch.tensor(200 / 255), atol=1e-6)


def test_a_training_view_without_chance_is_the_whole_image(rng):
    batch = images(rng, 3, 32)
    still = replace(SMALL, image_size=32, crop_share=1.0)
    view = training_view(batch, draws(3), still)
    assert torch.allclose(view, batch.permute(0, 3, 1, 2).float() / 255, atol=1e-5)
    flipped = training_view(batch, draws(3), replace(still, flip=1.0))
    assert torch.allclose(flipped, view.flip(3), atol=1e-5)


def test_a_crop_is_the_box_that_its_draws_give(rng):
    batch = images(rng, 1, 64)
    # Area 0.25, square (shape ½), left edge at ¼ and top edge at ½ of what is free: x 8…40, y 16…48.
    numbers = torch.tensor([[0.25, 0.5, 1.0, 0.5, 0.5, 0.5, *[0.0, 0.5] * TRIES]])
    recipe = replace(SMALL, image_size=16, crop_share=0.25, crop_scale=0.25)
    view = training_view(batch, numbers, recipe)
    box = batch[:, 16:48, 8:40].permute(0, 3, 1, 2).float() / 255
    assert torch.allclose(
        view, functional.interpolate(box, (16, 16), mode="bilinear", align_corners=False), atol=1e-5
    )


def test_crops_stay_inside_and_keep_the_stated_area_and_ratio():
    side = 200
    ramp = torch.arange(side, dtype=torch.uint8)
    batch = torch.zeros(400, side, side, 3, dtype=torch.uint8)
    batch[..., 0], batch[..., 1] = ramp[None, None, :], ramp[None, :, None]
    recipe = replace(STILL, image_size=50, crop_share=0.25, crop_scale=0.7)
    view = training_view(batch, draws(400), recipe) * 255
    # The ramps' slope tells each crop's size; a crop that left the image would be flat at its border.
    width = (view[:, 0, 25, 48] - view[:, 0, 25, 1]) / 47 * 50 / side
    height = (view[:, 1, 48, 25] - view[:, 1, 1, 25]) / 47 * 50 / side
    area, ratio = width * height, width / height
    assert area.min() >= 0.7 - 0.01 and area.max() <= 1.01
    assert area.min() < 0.72 and area.max() > 0.98
    assert ratio.min() >= 0.74 and ratio.max() <= 1.35
    steps = view[:, 0, 25, 1:-1].diff(dim=1)
    assert (steps.amax(1) - steps.amin(1)).max() < 0.05


def test_every_image_of_a_batch_gets_its_own_view(rng):
    same = images(rng, 1, 32).repeat(16, 1, 1, 1)
    recipe = replace(Recipe(), image_size=28)
    view = training_view(same, draws(16), recipe)
    assert len({v.numpy().tobytes() for v in view}) == 16
    for setting in ("crop_scale", "flip", "brightness", "contrast", "saturation"):
        alone = replace(SMALL, **{setting: getattr(recipe, setting)})
        views = {v.numpy().tobytes() for v in training_view(same, draws(16), alone)}
        assert len(views) == (2 if setting == "flip" else 16), setting


def test_a_view_depends_on_the_image_and_not_on_its_batch(rng):
    batch, recipe = images(rng, 6, 32), replace(Recipe(), image_size=28)
    numbers = draws(6)
    whole = training_view(batch, numbers, recipe)
    order = torch.tensor([5, 2, 0])
    assert torch.equal(training_view(batch[order], numbers[order], recipe), whole[order])


def test_draws_depend_on_seed_epoch_and_row_only():
    assert np.array_equal(random_draws(1, 2, 50)[:7], random_draws(1, 2, 7))
    assert random_draws(1, 2, 7).shape == (7, COLUMNS)
    for other in (random_draws(2, 2, 7), random_draws(1, 3, 7), random_draws(2, 1, 7)):
        assert not np.intersect1d(other, random_draws(1, 2, 7)).size


def test_hue_is_untouched_even_of_bright_colours():
    colours = [(250, 30, 40), (20, 30, 90), (255, 255, 40), (120, 80, 40), (40, 200, 255)]
    patches = torch.tensor(colours, dtype=torch.uint8)[:, None, None].repeat(1, 32, 32, 1)
    for epoch in range(1, 9):
        view = training_view(patches, draws(5, epoch=epoch), replace(Recipe(), image_size=28))
        for colour, mean in zip(colours, view.mean((2, 3)), strict=True):
            before = colorsys.rgb_to_hsv(*colour)[0]
            after = colorsys.rgb_to_hsv(*mean.tolist())[0]
            assert abs((after - before + 0.5) % 1 - 0.5) < 1e-4


def test_a_grey_patch_stays_grey_and_its_brightness_moves_by_the_stated_amount():
    grey = torch.full((200, 32, 32, 3), 100, dtype=torch.uint8)
    view = training_view(grey, draws(200), replace(SMALL, brightness=0.2, saturation=0.1))
    assert (view.amax(1) - view.amin(1)).max() < 1e-6
    level = view.mean((1, 2, 3)) * 2.55
    assert 0.8 <= level.min() < 0.82 and 1.18 < level.max() <= 1.2001


def test_jitter_agrees_with_torchvision_where_nothing_is_clipped(rng):
    batch = torch.from_numpy(rng.integers(70, 180, (1, 32, 32, 3), dtype=np.uint8))
    recipe = replace(SMALL, image_size=32, crop_share=1.0, brightness=0.2, contrast=0.2, saturation=0.1)
    numbers = torch.tensor([[0.5, 0.5, 1.0, 0.9, 0.2, 0.8, *[0.5, 0.5] * TRIES]])
    theirs = batch.permute(0, 3, 1, 2).float() / 255
    theirs = v2.functional.adjust_brightness(theirs, 1 + 0.2 * 0.8)
    theirs = v2.functional.adjust_contrast(theirs, 1 - 0.2 * 0.6)
    theirs = v2.functional.adjust_saturation(theirs, 1 + 0.1 * 0.6)
    # torchvision rounds the luma's coefficients to four digits.
    assert torch.allclose(training_view(batch, numbers, recipe), theirs, atol=2e-4)


def test_crops_are_distributed_as_torchvisions(rng):
    side, n = 64, 2000
    ramp = torch.arange(side, dtype=torch.uint8) * 4
    batch = torch.zeros(1, side, side, 3, dtype=torch.uint8)
    batch[..., 0], batch[..., 1] = ramp[None, None, :], ramp[None, :, None]
    for smallest in (0.08, 0.7):
        recipe = replace(STILL, image_size=16, crop_share=16 / side, crop_scale=smallest)
        view = training_view(batch.expand(n, -1, -1, -1), draws(n), recipe)
        # The ramps' values at two inner pixels, which are places, give each crop's place and size.
        place = (view * 255 / 4 + 0.5) / side
        width = (place[:, 0, 8, 12] - place[:, 0, 8, 3]) / 9 * 16
        height = (place[:, 1, 12, 8] - place[:, 1, 3, 8]) / 9 * 16
        left = place[:, 0, 8, 3] - 3.5 * width / 16
        torch.manual_seed(0)
        params = transforms.RandomResizedCrop.get_params
        fine = 4000  # torchvision rounds to whole pixels: small ones
        picture = torch.empty(1, 1, 1).expand(3, fine, fine)
        boxes = np.array([params(picture, (smallest, 1.0), (3 / 4, 4 / 3)) for _ in range(n)]) / fine
        theirs = {"area": boxes[:, 2] * boxes[:, 3], "ratio": boxes[:, 3] / boxes[:, 2], "left": boxes[:, 1]}
        ours = {"area": width * height, "ratio": width / height, "left": left}
        for what in theirs:
            assert ks_2samp(ours[what].numpy(), theirs[what]).pvalue > 0.01, (smallest, what)


def test_a_crop_that_never_fits_is_the_whole_image(rng):
    batch = images(rng, 1, 32)
    wide = torch.tensor([[0.5, 0.5, 1.0, 0.5, 0.5, 0.5, *[1.0, 1.0] * TRIES]])
    recipe = replace(SMALL, image_size=32, crop_share=1.0, crop_scale=0.7)
    view = training_view(batch, wide, recipe)
    assert torch.allclose(view, batch.permute(0, 3, 1, 2).float() / 255, atol=1e-5)


def test_vertical_flips_are_independent_of_horizontal_ones_and_points_follow(rng):
    batch = images(rng, 1, 32)
    recipe = replace(STILL, image_size=32, crop_share=1.0, flip=0.5, vertical_flip=0.5)
    view, geometry = augment.training_view(batch.expand(400, -1, -1, -1), draws(400), recipe)
    plain = batch[0].permute(2, 0, 1).float() / 255
    kinds = {(h, v): plain.flip([2] * h + [1] * v) for h in (0, 1) for v in (0, 1)}
    counts = dict.fromkeys(kinds, 0)
    corner, _ = geometry.points(torch.tensor([[[4.0, 6.0]]]).expand(400, 1, 2))
    for seen, (x, y) in zip(view, corner[:, 0].tolist(), strict=True):
        kind = next(k for k, flipped in kinds.items() if torch.allclose(seen, flipped, atol=1e-4))
        counts[kind] += 1
        assert (x, y) == pytest.approx((28.0 if kind[0] else 4.0, 26.0 if kind[1] else 6.0), abs=1e-3)
    assert all(70 < count < 130 for count in counts.values())  # 100 each, ± 3.5 deviations
    never = training_view(batch, draws(1), replace(recipe, flip=1.0, vertical_flip=0.0))
    assert torch.allclose(never[0], kinds[1, 0], atol=1e-4)


def test_validation_is_random_only_where_it_is_asked_for(rng):
    batch = images(rng, 64, 32)
    recipe = replace(STILL, image_size=32, crop_share=1.0, vertical_flip=0.5)
    plain = evaluation_view(batch, recipe)
    assert torch.equal(plain, batch.permute(0, 3, 1, 2).float() / 255)
    torch.manual_seed(0)
    first, geometry = augment.evaluation_view(batch, replace(recipe, flip_validation=True))
    second = evaluation_view(batch, replace(recipe, flip_validation=True))
    flipped = (first == plain.flip(2)).flatten(1).all(1)
    assert 16 < flipped.sum() < 48 and torch.equal(first[~flipped], plain[~flipped])
    assert not torch.equal(first, second)
    points, _ = geometry.points(torch.tensor([[[4.0, 6.0]]]).expand(64, 1, 2))
    assert torch.allclose(points[:, 0, 1], torch.where(flipped, 26.0, 6.0), atol=1e-4)


def test_jittered_pixels_have_the_statistics_of_torchvisions(rng):
    batch = torch.from_numpy(rng.integers(90, 160, (1, 16, 16, 3), dtype=np.uint8))
    recipe = replace(SMALL, image_size=16, crop_share=1.0, brightness=0.2, contrast=0.2, saturation=0.1)
    ours = training_view(batch.expand(4000, -1, -1, -1), draws(4000), recipe)
    torch.manual_seed(0)
    jitter = v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.1)
    picture = batch[0].permute(2, 0, 1).float() / 255
    theirs = torch.stack([jitter(picture) for _ in range(4000)])
    # Standard errors over 4,000 draws: .001 of the mean, .0005 of the deviation.
    assert torch.allclose(ours.mean(0), theirs.mean(0), atol=0.006)
    assert torch.allclose(ours.std(0), theirs.std(0), atol=0.003)


def test_images_are_resized_as_torchvision_resizes_them(rng):
    batch = images(rng, 3, 64)
    channels_first, ours = batch.permute(0, 3, 1, 2), at_side(batch, 40)
    exact = v2.functional.resize(channels_first.float(), [40, 40], antialias=True).permute(0, 2, 3, 1)
    assert (ours - exact).abs().max() <= 0.5 + 1e-3
    # On bytes torchvision rounds its weights too, so that some pixels differ by one.
    theirs = v2.functional.resize(channels_first, [40, 40], antialias=True).permute(0, 2, 3, 1)
    assert (ours.int() - theirs.int()).abs().max() <= 1
    assert at_side(batch, 64) is batch
