"""Pictures in few bytes, and each of them in a page only once."""

from __future__ import annotations

import base64
import hashlib
import io
import re

from PIL import Image

COLOURS = 256
_DATA_URI = re.compile(r"data:image/(png|jpeg|gif|webp|svg\+xml);base64,([A-Za-z0-9+/=\s]+)")


def palette_png(image: Image.Image, dpi: int | None = None) -> bytes:
    """A picture as PNG with a palette of its own: a third of the bytes of a drawing in full colour.

    Args:
        image: Any picture; what is transparent becomes white.
        dpi: Pixels an inch, noted in the file.
    """
    opaque = Image.new("RGBA", image.size, "white")
    opaque.alpha_composite(image.convert("RGBA"))
    reduced = opaque.convert("RGB").quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    file = io.BytesIO()
    reduced.save(file, "PNG", optimize=True, **({"dpi": (dpi, dpi)} if dpi else {}))
    return file.getvalue()


class Pictures:
    """The pictures of a page by name, kept out of its HTML until that is finished.

    Attributes:
        sizes: Name → width and height in pixels; None for vectors.
    """

    def __init__(self) -> None:
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
                if kind == "png" and image.mode != "P":
                    content = min(content, palette_png(image), key=len)
                    data = base64.b64encode(content).decode("ascii")
            self.sizes[name], self._uris[name] = size, f"data:image/{kind};base64,{data}"
        return name
