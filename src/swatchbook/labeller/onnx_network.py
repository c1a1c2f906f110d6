"""A labeller's network by ONNX Runtime on the CPU: no torch, a second to import, the same cosines.

`export` writes the graphs, and in them what else is needed: the preprocessing, the settings of the tokenizer,
and of which files they were made.
"""

from __future__ import annotations

import html
import json
import string
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ftfy
import numpy as np
import onnxruntime
import tokenizers
from PIL import Image

from swatchbook.labeller import IMAGE_GRAPH, TEXT_GRAPH, LabellerError

ABOUT = "swatchbook"  # the key of a graph's metadata under which JSON says what was exported
TOKENIZER = "tokenizer.json"
RESIZE_MODES = ("shortest", "longest", "squash")
CLEANINGS = ("lower", "whitespace", "canonicalize")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class OnnxNetwork:
    """A `zero_shot.Network` by ONNX Runtime.

    Args:
        folder: Holds the graphs, the weights that they refer to, and the tokenizer.
        fingerprint: Of the folder's weights, config and tokenizer.

    Raises:
        LabellerError: If a graph cannot be read, or was exported from other files.
    """

    runtime, device = "onnx", "cpu"

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._images, about = _opened(folder / IMAGE_GRAPH, fingerprint)
        self._texts, _ = _opened(folder / TEXT_GRAPH, fingerprint)
        self.logit_scale: float = about["logit_scale"]
        self.preprocessing: dict[str, Any] = about["preprocessing"]
        self.tokenizer = Tokenizer(folder, **about["tokenizer"])

    def shrink(self, picture: Image.Image) -> np.ndarray:
        """An RGB picture at the network's size: uint8 of shape (height, width, 3), for threads."""
        return shrunk(picture, self.preprocessing)

    def embed(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Embeddings of pictures from `shrink`: float32, shape (pictures, dimensions), rows of length 1."""
        return self._images.run(None, {"input": np.stack(pictures)})[0]

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        """Embeddings of texts: float32, shape (texts, dimensions), rows of length 1."""
        return self._texts.run(None, {"input": self.tokenizer(texts)})[0]


def _opened(graph: Path, fingerprint: str) -> tuple[onnxruntime.InferenceSession, dict[str, Any]]:
    """A graph, ready to run, and what it says of itself."""
    options = onnxruntime.SessionOptions()
    # A batch is computed by the thread that asks for it, as many at a time as there are cores.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    again = f"export it again: python -m swatchbook.labeller.export {graph.parent}"
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        about = json.loads(session.get_modelmeta().custom_metadata_map[ABOUT])
    except Exception as error:  # ONNX Runtime's own classes have no common one
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LabellerError(f"{graph} cannot be loaded ({reason}); {again}") from error
    if about["fingerprint"] != fingerprint:
        raise LabellerError(f"{graph} was exported from other weights or another config; {again}")
    return session, about


def shrunk(picture: Image.Image, preprocessing: Mapping[str, Any]) -> np.ndarray:
    """An RGB picture at a network's size, pixel for pixel as open_clip makes it with torchvision.

    Args:
        picture: RGB, of any size.
        preprocessing: open_clip's: ``size``, ``resize_mode`` and ``interpolation``. A border that has to be
            added is black.

    Returns:
        uint8 of shape (height, width, 3).
    """
    size = preprocessing["size"]
    height, width = (size, size) if isinstance(size, int) else size
    by = Image.Resampling[preprocessing["interpolation"].upper()]
    if preprocessing["resize_mode"] == "squash":
        return np.array(picture.resize((width, height), by))
    if preprocessing["resize_mode"] == "longest":
        ratio = max(picture.width / width, picture.height / height)
        scaled = [round(side / ratio) for side in picture.size]
    else:  # torchvision cuts fractions off here, and keeps to whole numbers until then
        scaled = [int(height * side / min(picture.size)) for side in picture.size]
    left, top = (_start(have, want) for have, want in zip(scaled, (width, height), strict=True))
    return np.array(picture.resize(scaled, by).crop((left, top, left + width, top + height)))


def _start(have: int, want: int) -> int:
    """Where a crop of the middle begins; before the picture where that is smaller."""
    return round((have - want) / 2) if have >= want else -((want - have) // 2)


class Tokenizer:
    """open_clip's tokenizer of a folder's ``tokenizer.json``, by the library beneath it alone.

    Args:
        folder: Holds the file.
        context_length: Ids of a text; longer ones are cut, shorter ones filled up.
        clean: How texts are cleaned first, one of `CLEANINGS`.
        padding: The id that fills up.
        unknown: The id of what has no piece; None if there is none.

    Attributes:
        clean_fn: Cleans a text.
        tokenizer: The vocabulary alone, called as a tokenizer of transformers is.
    """

    def __init__(
        self, folder: Path, context_length: int, clean: str, padding: int, unknown: int | None
    ) -> None:
        self.context_length = context_length
        self.clean_fn = partial(cleaned, how=clean)
        self.tokenizer = _Pieces(folder / TOKENIZER, unknown)
        self._whole = tokenizers.Tokenizer.from_file(str(folder / TOKENIZER))
        self._whole.enable_truncation(context_length)
        self._whole.enable_padding(length=context_length, pad_id=padding)

    def __call__(self, texts: list[str]) -> np.ndarray:
        """Token ids, int64 of shape (texts, context length)."""
        return np.array([self._whole.encode(self.clean_fn(text)).ids for text in texts], dtype=np.int64)


class _Pieces:
    """The pieces of a vocabulary, as transformers' tokenizers give them."""

    def __init__(self, file: Path, unknown: int | None) -> None:
        self._pieces, self.unk_token_id = tokenizers.Tokenizer.from_file(str(file)), unknown

    def __len__(self) -> int:
        return self._pieces.get_vocab_size()

    def __call__(self, text: str, **_: bool) -> dict[str, list[int]]:
        return {"input_ids": self._pieces.encode(text, add_special_tokens=False).ids}


def cleaned(text: str, how: str) -> str:
    """A text as open_clip cleans it before it is cut into pieces; `how` is one of `CLEANINGS`."""
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    if how == "canonicalize":
        text = text.replace("_", " ").translate(_NO_PUNCTUATION)
    text = " ".join(text.split())
    return text if how == "whitespace" else text.lower()
