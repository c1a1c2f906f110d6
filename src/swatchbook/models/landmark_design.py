"""What a network for landmarks, category and attributes is made of; controls leave parts of it out."""

from __future__ import annotations

from dataclasses import dataclass

LOCALISATIONS = ("liu", "thesis", "none")
GUIDES = ("predicted", "true", "none")
CHANNELS = ("max", "all")
SHAPES = ("cone", "gaussian")
FITS = ("regression", "distribution")
LARGEST = 3  # transposed convolutions


@dataclass(frozen=True)
class Design:
    """The parts of a network; the defaults are those published by Liu & Lu (2018), ECCV workshops.

    Attributes:
        stride: Pixels of the view to a cell of the features that localisation and attention work on.
        localisation: ``liu`` (10 convolutions and 3 transposed ones), ``thesis`` (4 and 3) or ``none``.
        upsamplings: Transposed convolutions of the localisation, each of which doubles the side.
        localisation_width: Channels of its first layers; then come twice as many, as many, half, a quarter.
        norm: Whether batch normalisation follows the localisation's inner layers.
        shape: Of a point's heat-map at distance d: ``cone``, exp(−½·d/R), or ``gaussian``, exp(−½·(d/R)²).
        radius: R as a share of the view's side.
        fit: ``regression`` of heat-maps, by their squared error, or a ``distribution``, a softmax over their
            cells, by its cross-entropy with the heat-map's share in each cell. Most cells of a heat-map are
            0, so that a regression of few images stays at 0 everywhere.
        guide: Which heat-maps the attention sees: ``predicted`` ones, ``true`` ones (then visible points
            are an input of the network), or ``none``: there is no attention.
        channels: ``max`` gives it the largest value over all points, ``all`` a heat-map a point.
        flatten: Whether the branches see every cell of the last features, or their mean over the cells.
        width: Hidden units of each branch; 0: a linear layer alone.
        pairs: Whether attributes, several at once, have a softmax of two logits each, or else a sigmoid.
        equal: Widen the branches by as many parameters as this localisation and the attention have;
            ``none``: not at all.
    """

    stride: int = 8
    localisation: str = "liu"
    upsamplings: int = LARGEST
    localisation_width: int = 64
    norm: bool = False
    shape: str = "cone"
    radius: float = 8 / 224
    fit: str = "regression"
    guide: str = "predicted"
    channels: str = "max"
    flatten: bool = True
    width: int = 1024
    pairs: bool = True
    equal: str = "none"

    def __post_init__(self) -> None:
        for name, allowed, holds in (
            ("stride", "4, 8, 16 or 32", self.stride in (4, 8, 16, 32)),
            ("localisation", f"one of {', '.join(LOCALISATIONS)}", self.localisation in LOCALISATIONS),
            ("upsamplings", f"from 0 to {LARGEST}", 0 <= self.upsamplings <= LARGEST),
            ("localisation_width", "4 or more", self.localisation_width >= 4),
            ("shape", f"one of {', '.join(SHAPES)}", self.shape in SHAPES),
            ("fit", f"one of {', '.join(FITS)}", self.fit in FITS),
            ("radius", "above 0 and below 1", 0 < self.radius < 1),
            ("guide", f"one of {', '.join(GUIDES)}", self.guide in GUIDES),
            ("guide", "true or none without localisation", self.guide != "predicted" or self.locates),
            ("channels", f"one of {', '.join(CHANNELS)}", self.channels in CHANNELS),
            ("width", "0 or more", self.width >= 0),
            ("equal", f"one of {', '.join(LOCALISATIONS)}", self.equal in LOCALISATIONS),
            ("equal", "none beside a linear layer alone", self.width > 0 or self.equal == "none"),
        ):
            if not holds:
                raise ValueError(f"design.{name} = {getattr(self, name)!r}; must be {allowed}")

    @property
    def locates(self) -> bool:
        """Whether it predicts landmarks."""
        return self.localisation != "none"
