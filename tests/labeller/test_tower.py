"""The labeller's image tower: what it pools, and what stays as ImageNet had it."""

import pytest

pytest.importorskip("torch", reason="the tower needs the extra 'models'")

import timm
import torch
from torch import nn

from swatchbook.labeller import tower


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    return timm.create_model("garment_lite0").eval()


def test_features_are_weighted_means_and_spreads_by_hand():
    features = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])
    weights = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    mean, spread = tower._spread(features, weights)
    assert mean.item() == pytest.approx(2.0, rel=1e-3) and spread.item() == pytest.approx(1.0, rel=2e-3)
    # A map of another side is repeated or averaged first.
    assert tower._at(weights, 4)[0, 0, :, 0].tolist() == [1, 1, 0, 0]
    assert tower._at(weights, 1).item() == 0.5


@torch.inference_mode()
def test_what_lies_outside_the_garment_changes_only_what_is_asked_of_the_ground(network):
    torch.manual_seed(2)
    pictures = torch.rand(1, 3, 64, 64)
    other = pictures.clone()
    other[..., 32:] = 0.0
    plain = network.norm
    try:
        network.norm, network.garment = nn.Identity(), nn.Sequential(_Left())
        one, two = network(pictures), network(other)
    finally:
        network.norm = plain
    colours = 3 + tower._COLOURS
    inside, ground = slice(-3 * colours, -colours), slice(-colours, None)
    assert torch.allclose(one[:, inside], two[:, inside], atol=1e-5)
    assert (one[:, ground] - two[:, ground]).abs().max() > 0.1


class _Left(nn.Module):
    """The left half is the garment."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        side = features.shape[-1]
        left = torch.arange(side) < side // 2
        return torch.where(left, 40.0, -40.0).expand(len(features), 1, side, side)


def test_batch_normalisation_keeps_its_statistics_in_training():
    network = timm.create_model("garment_lite0").train()
    before = {name: value.clone() for name, value in network.named_buffers()}
    network(torch.rand(2, 3, 64, 64))
    assert network.training and network.norm.training
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())
