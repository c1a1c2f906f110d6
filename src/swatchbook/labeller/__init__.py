"""Silver labels: any open_clip model, prompts from the schema, abstention where it is not sure.

Nothing heavy is imported here, so that ``silver`` (tables only) does not wait for torch.
"""

import re
from pathlib import Path
from typing import NamedTuple

from swatchbook.names import meant

BUNDLED = Path(__file__).with_name("bundled")  # the labeller in the box
DRAWN_ONLY = Path(__file__).with_name("drawn_only")  # a smaller one, trained on drawings alone
WEIGHTS = "open_clip_model.safetensors"  # of a labeller's folder, as open_clip names them
IMAGE_GRAPH, TEXT_GRAPH = "image.onnx", "text.onnx"  # both towers for ONNX Runtime, where `export` wrote them
TOWER = "swatchbook-tower"  # the image tower of `DRAWN_ONLY`, as the name of a backbone


class Known(NamedTuple):
    """A labeller with a name of its own.

    Attributes:
        name: In full, as `kind_and_place` reads it.
        megabytes: Of weights that are fetched from the Hugging Face Hub, once; all but the first need torch.
        reaches: What is known of it.
    """

    name: str
    megabytes: int
    reaches: str


#: Labellers by a short name. Recall is from a text to its image, the mean over six fashion data sets.
KNOWN = {
    "bundled": Known("bundled", 0, "on drawn images and on photographs what its model card says"),
    "drawn-only": Known(
        f"local-dir:{DRAWN_ONLY}",
        0,
        "for drawn images: a tenth of its weights, and faster; poor on photographs",
    ),
    "fashion-siglip": Known(
        "hf-hub:Marqo/marqo-fashionSigLIP",
        813,
        "recall at 10 .340 (its makers); of close-ups of fabric, judged by one person, macro-F1 of colour "
        ".97, pattern .94, texture .82 (the published study)",
    ),
    "fashion-clip": Known("hf-hub:Marqo/marqo-fashionCLIP", 599, "recall at 10 .290 (its makers)"),
    "siglip2": Known("hf-hub:timm/ViT-B-16-SigLIP2", 1500, "nothing measured on garments that we know of"),
}


class LabellerError(RuntimeError):
    """A labeller that cannot be loaded or is not what it should be; the message says what to do."""


def folder_of(name: str) -> Path | None:
    """The folder of a labeller on this disk; None where the Hub has it. Raises as `kind_and_place`."""
    kind, place = kind_and_place(name)
    return None if kind == "hf-hub" else Path(place) if place else BUNDLED


def kind_and_place(name: str) -> tuple[str, str]:
    """What a labeller's name says: ``bundled``, ``local-dir`` or ``hf-hub``, and what follows the colon.

    A short name of `KNOWN` stands for the name in full.

    Raises:
        ValueError: If the name has none of these forms.
        LabellerError: If the folder that it names is not there.
    """
    kind, _, place = (KNOWN[name].name if name in KNOWN else name).partition(":")
    if kind == "bundled" and not place:
        return kind, ""
    if kind == "local-dir" and place:
        if not Path(place).is_dir():
            raise LabellerError(
                f"{place} is no folder; local-dir: needs one with open_clip_config.json and weights"
            )
        return kind, place
    if kind == "hf-hub" and re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", place):
        return kind, place
    raise ValueError(
        f"labeller {name!r}; {meant(name, KNOWN)}allowed: {', '.join(KNOWN)}, hf-hub:OWNER/NAME, "
        "hf-hub:OWNER/NAME@REVISION, local-dir:PATH"
    )
