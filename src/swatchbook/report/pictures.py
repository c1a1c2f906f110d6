"""Pictures in few bytes, and each of them in a page only once."""

from __future__ import annotations

import base64
import hashlib
import io
import re

import numpy as np
import pandas as pd
from PIL import Image

COLOURS = 256  # of a palette
PHOTOGRAPHS = 16_000  # colours; a picture with more of them has photographs in it
_DATA_URI = re.compile(r"data:image/(png|jpeg|gif|webp|svg\+xml);base64,([A-Za-z0-9+/=\s]+)")


def png(rgba: np.ndarray, dpi: int, *, photographs: bool) -> bytes:
    """A drawing as PNG: with a palette, a third of the bytes, or in full colour.

    Args:
        rgba: uint8 of shape (height, width, 4), opaque.
        dpi: Pixels an inch, noted in the file.
        photographs: Whether there are photographs in it, which need all their colours.
    """
    file, picture = io.BytesIO(), None if photographs else with_palette(rgba)
    if picture is None:  # level 4: half the time of 6 for a fortieth more bytes
        Image.fromarray(rgba).convert("RGB").save(file, "PNG", dpi=(dpi, dpi), compress_level=4)
    else:
        picture.save(file, "PNG", dpi=(dpi, dpi))
    return file.getvalue()


def with_palette(rgba: np.ndarray) -> Image.Image | None:
    """A drawing in its most frequent colours, all others in the nearest of these; None if it has photographs.

    Quantisers of Pillow choose colours of their own, so that small patches of colour come out wrong.

    Args:
        rgba: uint8 of shape (height, width, 4), opaque.
    """
    pixels = np.ascontiguousarray(rgba).view(np.uint32).ravel()
    drawn = np.flatnonzero(pixels != pixels[0])  # the first one is the ground, and most of a drawing
    codes, colours = pd.factorize(pixels[drawn])
    if len(colours) > PHOTOGRAPHS:
        return None
    rgb = np.append(colours, pixels[:1]).astype(np.uint32).view(np.uint8).reshape(-1, 4)[:, :3]
    rgb = rgb.astype(np.float32)
    frequent = np.argsort(-np.bincount(codes, minlength=len(colours)), kind="stable")[: COLOURS - 1]
    palette = rgb[[-1, *frequent]]
    nearest = ((palette**2).sum(axis=1) - 2 * rgb @ palette.T).argmin(axis=1).astype(np.uint8)
    indices = np.zeros(len(pixels), np.uint8)
    indices[drawn] = nearest[codes]
    reduced = Image.fromarray(indices.reshape(rgba.shape[:2]))
    reduced.putpalette(palette.astype(np.uint8).tobytes())
    return reduced


class Pictures:
    """The pictures of a page by name, kept out of its HTML until that is finished.

    Attributes:
        sizes: Name → width and height in pixels; None for vectors.
        width: Pixels that wider pictures are reduced to, as AVIF; None leaves them as they are.
    """

    def __init__(self, width: int | None = None) -> None:
        self.width = width
        self.sizes: dict[str, tuple[int, int] | None] = {}
        self._uris: dict[str, str] = {}

    def take_out(self, html: str) -> str:
        """HTML with a name in the place of each data URI of an image; equal pictures have one name."""
        return _DATA_URI.sub(lambda found: self._add(found[1], "".join(found[2].split())), html)

    def put_back(self, html: str) -> str:
        """HTML with the pictures in it."""
        return re.sub(r"picture:[0-9a-f]{32}", lambda name: self._uris.get(name[0], name[0]), html)

    def _add(self, kind: str, data: str) -> str:
        name = f"picture:{hashlib.sha256(data.encode()).hexdigest()[:32]}"
        if name not in self.sizes:
            size = None
            if kind != "svg+xml":
                content = base64.b64decode(data)
                try:
                    image = Image.open(io.BytesIO(content))
                except OSError:
                    return ""  # no browser could show it
                size = image.size
                if self.width is not None and image.width > self.width:
                    high = round(self.width * image.height / image.width)
                    smaller = image.convert("RGB").resize((self.width, high), Image.Resampling.LANCZOS)
                    file, kind, size = io.BytesIO(), "avif", smaller.size
                    smaller.save(file, "AVIF", quality=40)
                    content = file.getvalue()
                    data = base64.b64encode(content).decode("ascii")
                elif kind == "png" and image.mode != "P":
                    kind, content = min((kind, content), _reduced(image), key=lambda pair: len(pair[1]))
                    data = base64.b64encode(content).decode("ascii")
            self.sizes[name], self._uris[name] = size, f"data:image/{kind};base64,{data}"
        return name


def _reduced(image: Image.Image) -> tuple[str, bytes]:
    """Kind and content of a picture in few bytes; what is transparent becomes white."""
    opaque, file = Image.new("RGBA", image.size, "white"), io.BytesIO()
    opaque.alpha_composite(image.convert("RGBA"))
    if (reduced := with_palette(np.asarray(opaque))) is not None:
        reduced.save(file, "PNG")
        return "png", file.getvalue()
    opaque.convert("RGB").save(file, "WEBP", quality=70)
    return "webp", file.getvalue()
