"""Losses of many heads with missing labels, against hand-computed values."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from swatchbook.models.losses import (
    absent_classes,
    class_weights,
    combined,
    head_losses,
    item_losses,
    logit_shifts,
)
from swatchbook.models.recipe import Recipe
from swatchbook.schema import Attribute, Schema

LN = math.log


@pytest.fixture
def two_heads():
    heads = [
        Attribute(n, {c: c for c in cs}, ("{}",), "zero_shot", 0.5, "ours")
        for n, cs in [("hue", "abc"), ("cut", "de")]
    ]
    return Schema("two", tuple(heads))


def logits_of(*probabilities):
    return torch.tensor(probabilities, dtype=torch.float64).log()


def test_weighted_loss_with_masks_is_the_hand_computed_sum_over_heads():
    logits = {
        "hue": logits_of([0.5, 0.25, 0.25], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1], [1 / 3, 1 / 3, 1 / 3]),
        "cut": logits_of([0.5, 0.5], [0.9, 0.1], [0.25, 0.75], [0.4, 0.6]),
    }
    targets = {"hue": torch.tensor([0, 2, -1, -100]), "cut": torch.tensor([-1, 1, 1, -1])}
    weights = {"hue": torch.tensor([2.0, 1.0, 0.5]), "cut": torch.tensor([0.5, 3.0])}
    # hue: items 0 and 1 are labelled; cut: items 1 and 2. Plain means over those.
    hue = (2.0 * -LN(0.5) + 0.5 * -LN(0.6)) / 2
    cut = (3.0 * -LN(0.1) + 3.0 * -LN(0.75)) / 2
    losses = head_losses(logits, targets, Recipe(loss="weighted"), weights)
    assert losses["hue"].item() == pytest.approx(hue, rel=1e-6)
    assert losses["cut"].item() == pytest.approx(cut, rel=1e-6)
    assert combined(losses, Recipe()).item() == pytest.approx(hue + cut, rel=1e-6)
    assert combined(losses, Recipe(combine="mean")).item() == pytest.approx((hue + cut) / 2, rel=1e-6)
    weighed = Recipe(part_weights=(2.0, 0.25))
    assert combined(losses, weighed).item() == pytest.approx(2 * hue + cut / 4, rel=1e-6)
    with pytest.raises(ValueError, match=r"part_weights = \(1.0,\) for 2 parts: hue, cut"):
        combined(losses, Recipe(part_weights=(1.0,)))


def test_plain_smooth_and_gce_are_hand_computed():
    logits, target = logits_of([0.5, 0.3, 0.2]), torch.tensor([1])
    plain = item_losses(logits, target, Recipe(loss="plain"))
    assert plain.item() == pytest.approx(-LN(0.3), rel=1e-6)
    smooth = item_losses(logits, target, Recipe(loss="smooth", smoothing=0.1))
    expected = 0.9 * -LN(0.3) + 0.1 * -(LN(0.5) + LN(0.3) + LN(0.2)) / 3
    assert smooth.item() == pytest.approx(expected, rel=1e-6)
    gce = item_losses(logits, target, Recipe(loss="gce", gce_q=0.7))
    assert gce.item() == pytest.approx((1 - 0.3**0.7) / 0.7, rel=1e-6)


def test_binary_cross_entropy_of_every_class_is_hand_computed():
    logits, target, weights = torch.tensor([[0.0, 2.0]]), torch.tensor([1]), torch.tensor([5.0, 3.0])

    def softplus(x):
        return LN(1 + math.exp(x))

    plain = item_losses(logits, target, Recipe(loss="bce"))
    assert plain.item() == pytest.approx((LN(2) + softplus(-2)) / 2, rel=1e-6)
    weighted = item_losses(logits, target, Recipe(loss="weighted_bce"), weights)
    assert weighted.item() == pytest.approx((LN(2) + 3 * softplus(-2)) / 2, rel=1e-6)
    # System 001 gives the softmax's probabilities to a loss that takes logits.
    p = math.exp(2) / (1 + math.exp(2))
    faulty = item_losses(logits, target, Recipe(loss="weighted_bce", bce_of_softmax=True), weights)
    assert faulty.item() == pytest.approx((softplus(1 - p) + 3 * softplus(-p)) / 2, rel=1e-6)


def test_a_softmax_before_the_sigmoid_leaves_a_floor_that_no_answer_gets_below():
    """As 001's code computes it: torch's BCEWithLogitsLoss of a softmax, a mean over images and classes."""
    generator = torch.Generator().manual_seed(2)
    logits, targets = torch.randn(6, 4, generator=generator), torch.tensor([0, 1, 2, 3, 3, 0])
    weights = torch.tensor([2.0, 8.0, 4.0, 1.5])
    members = functional.one_hot(targets, 4).float()
    theirs = torch.nn.BCEWithLogitsLoss(pos_weight=weights)(logits.softmax(1), members)
    recipe = Recipe(loss="weighted_bce", bce_of_softmax=True)
    assert torch.allclose(item_losses(logits, targets, recipe, weights).mean(), theirs)
    sure = 1000 * (2 * members - 1)
    perfect = item_losses(sure, targets, recipe, weights)
    floor = (weights[targets] * LN(1 + math.exp(-1)) + 3 * LN(2)) / 4
    assert torch.allclose(perfect, floor, rtol=1e-5)
    correct = item_losses(sure, targets, Recipe(loss="weighted_bce"), weights)
    assert torch.allclose(correct, torch.zeros(6))


def test_losses_weighted_by_their_share_pass_no_gradient_through_it():
    first, second = torch.tensor(3.0, requires_grad=True), torch.tensor(1.0, requires_grad=True)
    total = combined({"a": first, "b": second}, Recipe(combine="share"))
    total.backward()
    assert total.item() == pytest.approx(3 / 4 * 3 + 1 / 4 * 1)
    assert (first.grad.item(), second.grad.item()) == pytest.approx((3 / 4, 1 / 4))
    assert combined({"a": 3.0, "b": 1.0}, Recipe(combine="share")) == pytest.approx(2.5)


def test_gce_is_absolute_error_at_one_and_cross_entropy_towards_zero():
    logits, target = logits_of([0.6, 0.4], [0.05, 0.95]), torch.tensor([1, 0])
    assert torch.allclose(
        item_losses(logits, target, Recipe(loss="gce", gce_q=1.0)), torch.tensor([0.6, 0.95]), atol=1e-6
    )
    near = item_losses(logits, target, Recipe(loss="gce", gce_q=1e-3))
    assert torch.allclose(near, item_losses(logits, target, Recipe(loss="plain")), rtol=2e-3)


def test_gce_of_a_hopeless_item_has_a_finite_gradient():
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    item_losses(logits, torch.tensor([1]), Recipe(loss="gce")).sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_soft_loss_is_the_divergence_and_an_abstained_image_can_teach():
    logits = logits_of([0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5])
    soft = torch.tensor([[0.9, 0.1], [0.0, 0.0], [math.nan, math.nan], [1.0, 0.0]])
    losses = item_losses(logits, soft, Recipe(loss="soft"))
    expected = 0.9 * LN(0.9 / 0.5) + 0.1 * LN(0.1 / 0.5)
    assert losses.tolist() == pytest.approx([expected, 0.0, 0.0, LN(2)], rel=1e-6)
    certain = item_losses(logits, torch.tensor([0, 0, 0, 0]), Recipe(loss="soft"))
    assert certain[3].item() == pytest.approx(losses[3].item(), rel=1e-6)


@pytest.mark.parametrize(
    "loss", ["weighted", "plain", "smooth", "gce", "effective", "soft", "bce", "weighted_bce"]
)
def test_masked_items_get_exactly_zero_gradient_and_a_masked_head_exactly_zero_loss(loss):
    generator = torch.Generator().manual_seed(1)
    logits = {
        n: torch.randn(4, k, generator=generator, requires_grad=True) for n, k in [("hue", 3), ("cut", 2)]
    }
    targets = {"hue": torch.tensor([0, -1, 2, -100]), "cut": torch.full((4,), -1)}
    if loss == "soft":
        targets = {
            "hue": torch.tensor([[1.0, 0, 0], [0, 0, 0], [0.2, 0.3, 0.5], [math.nan] * 3]),
            "cut": torch.zeros(4, 2),
        }
    weights = {"hue": torch.tensor([1.0, 0.0, 2.0]), "cut": torch.ones(2)}
    losses = head_losses(logits, targets, Recipe(loss=loss), weights)
    total = combined(losses, Recipe(loss=loss))
    total.backward()
    assert losses["cut"].item() == 0.0
    assert torch.equal(logits["cut"].grad, torch.zeros(4, 2))
    assert torch.equal(logits["hue"].grad[[1, 3]], torch.zeros(2, 3))
    assert (logits["hue"].grad[[0, 2]] != 0).all()
    assert total.item() == losses["hue"].item() > 0


def test_a_validation_class_of_weight_zero_gives_no_nan():
    weights = {"hue": torch.tensor([1.0, 0.0])}
    losses = head_losses({"hue": logits_of([0.5, 0.5])}, {"hue": torch.tensor([1])}, Recipe(), weights)
    assert losses["hue"].item() == 0.0


def test_parts_of_a_batch_add_up_to_the_batch():
    generator = torch.Generator().manual_seed(2)
    logits = {"hue": torch.randn(7, 3, generator=generator, dtype=torch.float64)}
    targets = {"hue": torch.tensor([0, -1, 2, 1, -1, 0, 2])}
    whole = head_losses(logits, targets, Recipe(loss="plain"))["hue"]
    parts = [
        head_losses(
            {"hue": logits["hue"][s]}, {"hue": targets["hue"][s]}, Recipe(loss="plain"), None, {"hue": 5}
        )["hue"]
        for s in (slice(0, 2), slice(2, 7))
    ]
    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-6)


def test_class_weights_follow_the_formula_and_an_empty_class_weighs_nothing(two_heads):
    codes = {"hue": np.array([0, 0, 0, 1, -1, -1]), "cut": np.array([-1, 1, 1, 1, 1, 0])}
    weights = class_weights(codes, two_heads, "weighted")
    assert weights["hue"].tolist() == pytest.approx([4 / (3 * 3), 4 / (3 * 1), 0.0])
    assert weights["cut"].tolist() == pytest.approx([5 / (2 * 1), 5 / (2 * 4)])
    positives = class_weights(codes, two_heads, "weighted_bce")
    assert positives["hue"].tolist() == pytest.approx([4 / 3, 4 / 1, 0.0])
    assert absent_classes(codes, two_heads) == {"hue": ["c"]}


def test_effective_weights_have_mean_one_over_items_and_lie_between_plain_and_balanced(two_heads):
    codes = {"hue": np.repeat([0, 1, 2], [90, 9, 1]), "cut": np.repeat([0, 1], 50)}
    effective = class_weights(codes, two_heads, "effective", beta=0.9)["hue"]
    raw = np.array([0.1 / (1 - 0.9**n) for n in (90, 9, 1)])
    assert effective.tolist() == pytest.approx((raw / (raw @ [0.9, 0.09, 0.01])).tolist(), rel=1e-6)
    assert (effective @ torch.tensor([0.9, 0.09, 0.01])).item() == pytest.approx(1, rel=1e-6)
    assert class_weights(codes, two_heads, "effective", beta=0.0)["hue"].tolist() == pytest.approx([1, 1, 1])
    balanced = class_weights(codes, two_heads, "weighted")["hue"]
    nearly = class_weights(codes, two_heads, "effective", beta=1 - 1e-7)["hue"]
    assert nearly.tolist() == pytest.approx(balanced.tolist(), rel=1e-4)


def test_a_head_without_any_training_label_has_weights_of_zero(two_heads):
    codes = {"hue": np.full(3, -1), "cut": np.array([0, 1, 1])}
    for kind in ("weighted", "effective"):
        assert class_weights(codes, two_heads, kind)["hue"].tolist() == [0, 0, 0]


def test_unmasked_plain_loss_agrees_with_torch():
    generator = torch.Generator().manual_seed(3)
    logits, target = torch.randn(20, 5, generator=generator), torch.randint(5, (20,), generator=generator)
    ours = head_losses({"hue": logits}, {"hue": target}, Recipe(loss="plain"))["hue"]
    assert torch.allclose(ours, functional.cross_entropy(logits, target))


def test_weights_are_asked_for_where_the_loss_needs_them(two_heads):
    with pytest.raises(ValueError, match="needs class weights"):
        head_losses({"hue": torch.zeros(1, 3)}, {"hue": torch.tensor([0])}, Recipe(loss="weighted"))
    with pytest.raises(ValueError, match="allowed: weighted, effective, weighted_bce"):
        class_weights({}, two_heads, "gce")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"loss": "focal"}, "loss = 'focal'; must be one of weighted"),
        ({"combine": "max"}, "combine = 'max'; must be one of sum, mean, share"),
        ({"gce_q": 0.0}, "gce_q = 0.0; must be above 0"),
        ({"warmup_epochs": 20}, "warmup_epochs = 20; must be below the epochs"),
        ({"batch": 0}, "batch = 0; must be at least 1"),
        ({"precision": "int8"}, "precision = 'int8'; must be one of auto"),
        ({"optimizer": "sgd"}, "optimizer = 'sgd'; must be one of adamw, adam"),
        ({"schedule": "step"}, "schedule = 'step'; must be one of cosine, exponential"),
        ({"hidden": (64, 0)}, r"hidden = \(64, 0\); must be widths of at least 1"),
        ({"train_blocks": -1}, "train_blocks = -1; must be 0 or more, or none"),
        ({"dropout": 1.0}, "dropout = 1.0; must be from 0 to below 1"),
        ({"average_last": 21}, "average_last = 21; must be from 0 to the epochs"),
        ({"ema": 0.9, "average_last": 2}, "ema = 0.9; must be 0 beside an average of the last epochs"),
        ({"vertical_flip": 1.5}, "vertical_flip = 1.5; must be from 0 to 1"),
        ({"bce_of_softmax": True}, "bce_of_softmax = True; must be False beside the loss 'weighted'"),
        ({"loss": "gce", "focal_gamma": 2.0}, "focal_gamma = 2.0; must be 0 beside the loss 'gce'"),
    ],
)
def test_a_recipe_refuses_what_cannot_be(setting, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**setting)


def test_the_recipe_of_the_paper_is_the_default():
    recipe = Recipe()
    published = (recipe.epochs, recipe.warmup_epochs, recipe.batch, recipe.backbone_lr, recipe.head_lr)
    assert published == (20, 2, 64, 1e-5, 1e-4)
    assert (recipe.image_size, round(recipe.image_size / recipe.crop_share)) == (224, 256)
    assert (recipe.loss, recipe.combine) == ("weighted", "sum")


def test_focal_loss_is_hand_computed_and_nothing_at_zero():
    logits, target = logits_of([0.5, 0.3, 0.2], [0.1, 0.8, 0.1]), torch.tensor([1, 1])
    focal = item_losses(logits, target, Recipe(loss="plain", focal_gamma=2.0))
    assert focal.tolist() == pytest.approx([0.7**2 * -LN(0.3), 0.2**2 * -LN(0.8)], rel=1e-6)
    weighted = item_losses(
        logits, target, Recipe(loss="weighted", focal_gamma=2.0), torch.tensor([1.0, 0.5, 1.0])
    )
    assert weighted.tolist() == pytest.approx((focal / 2).tolist(), rel=1e-6)
    plain = item_losses(logits, target, Recipe(loss="plain"))
    assert torch.equal(item_losses(logits, target, Recipe(loss="plain", focal_gamma=0.0)), plain)
    sure = torch.tensor([[200.0, 0.0]], requires_grad=True)
    item_losses(sure, torch.tensor([0]), Recipe(loss="plain", focal_gamma=0.5)).sum().backward()
    assert torch.isfinite(sure.grad).all()


def test_memberships_cost_the_mean_over_the_classes_that_are_known():
    logits = torch.tensor([[0.8, 0.3, 0.5], [0.6, 0.5, 0.5], [0.5, 0.5, 0.5]], dtype=torch.float64).logit()
    members = torch.tensor([[1, 0, -1], [1, 0, 1], [-1, -1, -1]], dtype=torch.int8)
    losses = item_losses(logits, members, Recipe(loss="plain"))
    expected = [(-LN(0.8) - LN(0.7)) / 2, (-LN(0.6) - 2 * LN(0.5)) / 3, 0.0]
    assert losses.tolist() == pytest.approx(expected, rel=1e-6)
    weighted = item_losses(logits, members, Recipe(), torch.tensor([3.0, 1.0, 2.0]))
    assert weighted[0].item() == pytest.approx((-3 * LN(0.8) - LN(0.7)) / 2, rel=1e-6)
    focal = item_losses(logits, members, Recipe(loss="plain", focal_gamma=2.0))
    assert focal[0].item() == pytest.approx((-(0.2**2) * LN(0.8) - 0.3**2 * LN(0.7)) / 2, rel=1e-6)
    schema = Schema(
        "parts", (Attribute("p", {c: c for c in "abc"}, ("{}",), "zero_shot", 0.5, "ours", True),)
    )
    codes = {"p": np.array([[1, 0, 0], [1, 0, -1], [0, 0, -1], [1, 1, -1]])}
    # Positives against negatives: 1 to 3, 3 to 1, and of the third none is positive.
    assert class_weights(codes, schema, "weighted")["p"].tolist() == pytest.approx([1 / 3, 3.0, 0.0])
    assert absent_classes(codes, schema) == {"p": ["c"]}


def test_adjusted_logits_are_shifted_by_the_log_of_the_class_frequencies(two_heads):
    codes = {"hue": np.repeat([0, 1, -1], [6, 2, 4]), "cut": np.array([0, 1])}
    shifts = logit_shifts(codes, two_heads, 0.5)
    assert shifts["hue"].tolist() == pytest.approx([LN(6 / 8.5) / 2, LN(2 / 8.5) / 2, LN(0.5 / 8.5) / 2])
    assert shifts["cut"].tolist() == pytest.approx([LN(0.5) / 2] * 2)
    # At strength 1 it is the balanced softmax: n_y·e^z over the sum of n_c·e^z.
    logits, n = torch.tensor([[0.3, -0.2, 0.1]]), torch.tensor([6.0, 2.0, 0.5])
    shifted = logits + logit_shifts(codes, two_heads, 1.0)["hue"]
    balanced = -(n[1] * logits[0, 1].exp() / (n * logits[0].exp()).sum()).log()
    assert item_losses(shifted, torch.tensor([1]), Recipe(loss="plain")).item() == pytest.approx(
        balanced.item()
    )
