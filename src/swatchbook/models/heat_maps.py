"""Heat-maps of landmarks: what they should be, where their peaks lie, and what they cost."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention

from swatchbook.models.landmark_design import Design
from swatchbook.models.task import Tensors

POINTS, WHOLE = "points", "whole"  # predicted: finer than a cell, and the middle of one
SHARPNESS = (
    3  # power of a distribution before its mean: chosen on validation images, drawn ones and photographs
)


def heat_maps(points: torch.Tensor, seen: torch.Tensor, side: int, design: Design) -> torch.Tensor:
    """A heat-map a point, 1 at its place; 0 everywhere where it is not seen.

    Args:
        points: x and y as shares of the view's side, shape (n, S, 2).
        seen: Which of them count, shape (n, S).
        side: Of the maps, in cells.
        design: Gives shape and radius.

    Returns:
        Shape (n, S, side, side), of the cells' middles.
    """
    middles = (torch.arange(side, device=points.device) + 0.5) / side
    away = (torch.nan_to_num(points)[..., None] - middles).square() / design.radius**2
    squared = away[:, :, 0, None, :] + away[:, :, 1, :, None]
    values = torch.exp(-0.5 * (squared if design.shape == "gaussian" else squared.sqrt()))
    return values * seen[:, :, None, None]


def decoded(maps: torch.Tensor, fit: str) -> Tensors:
    """Where heat-maps say that their points lie, as shares of the side.

    Args:
        maps: Not negative, shape (n, S, side, side).
        fit: How they were fitted; see `Design`.

    Returns:
        `WHOLE`, the middle of the largest cell, and `POINTS`, both of shape (n, S, 2). After a regression the
        latter is moved from there to the top of the parabola through the logarithm of this cell and its
        neighbours, in x and in y. Of a distribution it is the mean place, weighted by the `SHARPNESS`-th
        power of the cells' probabilities: a broad one has no sharp top, and its plain mean is drawn towards
        whatever else it holds to be possible.

    Source:
        The logarithm's Taylor series: Zhang et al. (2020), Distribution-aware coordinate representation,
        CVPR, arXiv 1910.06278; here one axis at a time. The mean: Sun et al. (2018), Integral human pose
        regression, ECCV, arXiv 1711.08229.
    """
    side = maps.shape[-1]
    maps = maps.float()
    largest = maps.flatten(2).argmax(2)
    x, y = largest % side, largest // side
    whole = (torch.stack([x, y], 2) + 0.5) / side
    if fit == "distribution":
        weights = maps**SHARPNESS
        middles = (torch.arange(side, device=maps.device) + 0.5) / side
        marginals = torch.stack([weights.sum(2), weights.sum(3)], 2)
        return {WHOLE: whole, POINTS: (marginals * middles).sum(3) / marginals.sum(3)}
    logs = F.pad(maps.clamp(min=1e-6).log(), (1, 1, 1, 1), mode="replicate").flatten(2)

    def around(right: int, down: int) -> torch.Tensor:
        return logs.gather(2, ((y + 1 + down) * (side + 2) + x + 1 + right)[..., None])[..., 0]

    middle, moves = around(0, 0), []
    for right, down in ((1, 0), (0, 1)):
        before, after = around(-right, -down), around(right, down)
        bend = (2 * middle - before - after).clamp(min=1e-6)
        moves.append(((after - before) / (2 * bend)).clamp(-0.5, 0.5))
    return {WHOLE: whole, POINTS: whole + torch.stack(moves, 2) / side}


def map_losses(maps: torch.Tensor, points: torch.Tensor, seen: torch.Tensor, design: Design) -> torch.Tensor:
    """Loss of each heat-map, 0 where its point is not seen.

    Args:
        maps: As of the network in training, shape (n, S, h, h).
        points: Shares of the view's side, shape (n, S, 2).
        seen: Shape (n, S).
        design: Gives the heat-maps' shape, and how they are fitted: by the mean squared error over cells, or
            by cross-entropy.

    Returns:
        Shape (n, S).
    """
    wanted = heat_maps(points, seen, maps.shape[-1], design)
    if design.fit == "regression":
        return (maps - wanted).square().mean((2, 3)) * seen
    shares = wanted.flatten(2) / wanted.sum((2, 3)).clamp(min=1e-6)[:, :, None]
    return -(shares * maps.flatten(2).log_softmax(2)).sum(2)
