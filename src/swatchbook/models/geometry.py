"""Where a view lies in the stored square, so that points and boxes can follow the pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class Geometry:
    """The affine maps from the views of a batch to their stored squares.

    Places in pixels are continuous and counted from the upper left corner: pixel i covers i to i + 1, and its
    middle is i + ½.

    Attributes:
        theta: As of `torch.nn.functional.affine_grid`, view → square in coordinates from −1 to 1,
            shape (n, 2, 3).
        stored: Side of the squares in pixels.
        size: Side of the views in pixels.
    """

    theta: torch.Tensor
    stored: int
    size: int

    @classmethod
    def of_crops(
        cls,
        scale: torch.Tensor,
        offset: torch.Tensor,
        stored: int,
        size: int,
        turn: torch.Tensor | None = None,
    ) -> Geometry:
        """Crops, turned about their middles.

        Args:
            scale: Width and height of each crop as shares of the square, negative where mirrored,
                shape (n, 2).
            offset: Middle of each crop, from −1 to 1, x and y, shape (n, 2).
            stored: Side of the squares in pixels.
            size: Side of the views in pixels.
            turn: Angles in radians, shape (n,); none by default.
        """
        linear = torch.diag_embed(scale)
        if turn is not None:
            cosine, sine = turn.cos(), turn.sin()
            linear = (
                torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1) @ linear
            )
        return cls(torch.cat([linear, offset[:, :, None]], 2), stored, size)

    @property
    def mirrored(self) -> torch.Tensor:
        """Whether left and right are exchanged in a view, shape (n,); what is named by them must be too."""
        return torch.linalg.det(self.theta[:, :, :2]) < 0

    def mirror(self) -> Geometry:
        """Of the same views, left and right exchanged."""
        return replace(self, theta=self.theta * self.theta.new_tensor([-1, 1, 1]))

    def points(self, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Carry points of the stored squares into the views.

        Args:
            places: x and y in pixels of the square, shape (n, k, 2).

        Returns:
            x and y in pixels of the view, same shape; and whether each point is inside it, shape (n, k).
        """
        linear, offset = self.theta[:, :, :2], self.theta[:, :, 2:]
        there = (2 / self.stored * places - 1).transpose(1, 2)
        carried = (torch.linalg.solve_ex(linear, there - offset).result.transpose(1, 2) + 1) * (self.size / 2)
        return carried, ((carried >= 0) & (carried <= self.size)).all(2)

    def points_back(self, places: torch.Tensor) -> torch.Tensor:
        """Points in pixels of the views, shape (n, k, 2), in pixels of the stored squares."""
        linear, offset = self.theta[:, :, :2], self.theta[:, :, 2:]
        there = linear @ (2 / self.size * places - 1).transpose(1, 2) + offset
        return (there.transpose(1, 2) + 1) * (self.stored / 2)

    def boxes(self, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Carry boxes of the stored squares into the views.

        Args:
            boxes: Left, top, right and bottom in pixels of the square, shape (n, k, 4).

        Returns:
            The upright box around each carried one, cut off at the view's edges, same shape; and whether
            any of it is inside, shape (n, k).
        """
        corners = boxes[..., [0, 1, 2, 1, 2, 3, 0, 3]].flatten(1).unflatten(1, (-1, 2))
        carried = self.points(corners)[0].unflatten(1, (-1, 4))
        cut = torch.cat([carried.amin(2), carried.amax(2)], 2).clamp(0, self.size)
        return cut, (cut[..., 2:] > cut[..., :2]).all(2)
