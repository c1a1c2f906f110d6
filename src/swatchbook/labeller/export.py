"""A labeller's folder → graphs by which ONNX Runtime computes the same embeddings without torch.

``python -m swatchbook.labeller.export FOLDER`` writes ``image.onnx`` and ``text.onnx`` beside the weights of
any model that `zero_shot` loads from a folder; the training of the labeller in the box ends with it. A graph
holds operations only and refers to the tensors where they lie in the file of weights, which stays the one
copy of them (external data of ONNX; safetensors keeps tensors as plain bytes).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, external_data_helper, helper, numpy_helper
from onnxscript import optimizer
from torch import nn

from swatchbook.atomic import write_file
from swatchbook.labeller import BUNDLED, IMAGE_GRAPH, TEXT_GRAPH, LabellerError
from swatchbook.labeller.files import weights_of
from swatchbook.labeller.onnx_network import ABOUT, CLEANINGS, RESIZE_MODES, TOKENIZER
from swatchbook.labeller.open_clip_network import OpenClipNetwork
from swatchbook.labeller.zero_shot import Labeller, fixture_picture
from swatchbook.schema import Schema

#: How far a cosine may lie from torch's. In labels at a scale of 100 that is a hundredth of a logit.
PARITY = 1e-4
_SMALL = 256  # bytes up to which a tensor stays in the graph


class _Images(nn.Module):
    """Pixels, uint8 of shape (n, height, width, 3) → embeddings of length 1."""

    def __init__(self, network: OpenClipNetwork) -> None:
        super().__init__()
        self.model, self._normalise = network.model, network.normalise

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model.encode_image(self._normalise(pixels), normalize=True)


class _Texts(nn.Module):
    """Token ids, int64 of shape (n, context length) → embeddings of length 1."""

    def __init__(self, network: OpenClipNetwork) -> None:
        super().__init__()
        self.model = network.model

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.model.encode_text(ids, normalize=True)


def export(folder: Path) -> None:
    """Write both graphs beside a labeller's weights, and compare what they compute with open_clip.

    Args:
        folder: Holds ``open_clip_config.json``, weights as safetensors and ``tokenizer.json``.

    Raises:
        LabellerError: If the folder holds no such model, its preprocessing or tokenizer has no counterpart
            without torch, or a cosine of the graphs is further than `PARITY` from open_clip's; graphs are
            then removed.
    """
    labeller = Labeller.load(f"local-dir:{folder}", device="cpu", log=lambda _: None, runtime="open_clip")
    network = labeller.network
    assert isinstance(network, OpenClipNetwork)
    about = {
        "fingerprint": labeller.fingerprint,
        "logit_scale": network.logit_scale,
        "preprocessing": _preprocessing(network),
        "tokenizer": _tokenizer(network, folder),
    }
    weights = weights_of(folder)
    shrunk = torch.from_numpy(np.stack([network.shrink(fixture_picture())] * 2))
    ids = network.tokenizer(["a red garment", "blue fabric"])
    try:
        for name, module, example in (
            (IMAGE_GRAPH, _Images(network), shrunk),
            (TEXT_GRAPH, _Texts(network), ids),
        ):
            graph = _graph(module.eval(), example)
            _refer(graph, weights)
            helper.set_model_props(graph, {ABOUT: json.dumps(about, sort_keys=True)})
            write_file(folder / name, lambda path, graph=graph: path.write_bytes(graph.SerializeToString()))
        apart = _apart(labeller, Labeller.load(f"local-dir:{folder}", device="cpu", log=lambda _: None))
        if not apart <= PARITY:
            raise LabellerError(f"{folder}: cosines of the graphs lie up to {apart:.1e} from open_clip's")
    except BaseException:
        for name in (IMAGE_GRAPH, TEXT_GRAPH):
            (folder / name).unlink(missing_ok=True)
        raise


def _preprocessing(network: OpenClipNetwork) -> dict[str, object]:
    """open_clip's preprocessing, if `onnx_network.shrunk` can do it."""
    asked = network.preprocessing
    size, mode = asked.get("size"), asked.get("resize_mode")
    square = isinstance(size, int) or (isinstance(size, Sequence) and size[0] == size[1])
    if mode not in RESIZE_MODES or (mode == "shortest" and not square) or asked.get("fill_color"):
        raise LabellerError(
            f"preprocessing {asked}; exported are resize_mode {', '.join(RESIZE_MODES)} with a black border, "
            "of them shortest for squares only"
        )
    return asked


def _tokenizer(network: OpenClipNetwork, folder: Path) -> dict[str, object]:
    """The arguments of `onnx_network.Tokenizer`."""
    tokenizer = network.tokenizer
    pieces = getattr(tokenizer, "tokenizer", None)
    clean = getattr(getattr(tokenizer, "clean_fn", None), "__name__", "").removeprefix("_clean_")
    whole = (folder / TOKENIZER).is_file() and clean in CLEANINGS
    if pieces is None or not whole or tokenizer.tokenizer_mode or tokenizer.strip_sep_token:
        raise LabellerError(
            f"{folder}: only a tokenizer of Hugging Face with a {TOKENIZER} beside the model is exported"
        )
    return {
        "context_length": tokenizer.context_length,
        "clean": clean,
        "padding": pieces.pad_token_id,
        "unknown": pieces.unk_token_id,
    }


def _graph(module: nn.Module, example: torch.Tensor) -> onnx.ModelProto:
    """A module as ONNX, its tensors the module's own, byte for byte: only what is small is simplified.

    ONNX Runtime fuses them when it loads the graph, which it cannot do behind casts of no effect.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, about itself
        program = torch.onnx.export(
            module,
            (example,),
            input_names=["input"],
            output_names=["embeddings"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            dynamo=True,
            optimize=False,
            verbose=False,
        )
    optimizer.inline(program.model)
    # A transposed tensor would be a copy; what else is folded here leaves bytes as they are, or is tiny.
    keep = {"should_fold": lambda node: False if node.op_type == "Transpose" else None}
    optimizer.fold_constants(program.model, **keep)
    optimizer.remove_unused_nodes(program.model)
    graph = program.model_proto
    # Traces of the exporter's own, with this machine's paths in them.
    for part in (graph, graph.graph, *graph.graph.node, *graph.graph.initializer):
        part.ClearField("metadata_props")
    graph.graph.ClearField("value_info")
    return graph


def _refer(graph: onnx.ModelProto, weights: Path) -> None:
    """Let a graph's tensors refer to the file of weights instead of holding a copy.

    Where the file holds half precision the graph reads that and makes it float32, as open_clip does.
    """
    places, used = _places(weights), {name for node in graph.graph.node for name in node.input}
    kept, casts = [tensor for tensor in graph.graph.initializer if tensor.name in used], []
    for tensor in kept:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.nbytes <= _SMALL:
            continue
        halves = values.astype(np.float16)
        if place := places.get(_digest(values)):
            external_data_helper.set_external_data(tensor, weights.name, *place)
        elif (halves == values).all() and (place := places.get(_digest(halves))):
            whole, tensor.name = tensor.name, f"{tensor.name} in half precision"
            casts.append(helper.make_node("Cast", [tensor.name], [whole], to=TensorProto.FLOAT))
            tensor.data_type = TensorProto.FLOAT16
            external_data_helper.set_external_data(tensor, weights.name, *place)
        else:
            continue
        tensor.ClearField("raw_data")
    nodes = [*casts, *graph.graph.node]
    for field, content in ((graph.graph.initializer, kept), (graph.graph.node, nodes)):
        content = [type(each).FromString(each.SerializeToString()) for each in content]
        del field[:]
        field.extend(content)


def _digest(values: np.ndarray) -> bytes:
    return hashlib.sha256(values.tobytes()).digest()


def _places(weights: Path) -> dict[bytes, tuple[int, int]]:
    """SHA-256 of a tensor's bytes → where they begin in a file of safetensors, and how many they are."""
    if weights.suffix != ".safetensors":
        raise LabellerError(f"{weights} is no safetensors, to whose tensors a graph can refer")
    data = weights.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    found = {}
    for name, entry in json.loads(data[8:begin]).items():
        if name != "__metadata__":
            first, last = (begin + offset for offset in entry["data_offsets"])
            found[hashlib.sha256(data[first:last]).digest()] = first, last - first
    return found


def _apart(ours: Labeller, theirs: Labeller) -> float:
    """How far cosines of two labellers lie apart at most: of pictures, and of every prompt of a schema."""
    schema = Schema.load("wardrobe")
    picture = fixture_picture()
    turned = [picture.rotate(angle, expand=True) for angle in (0, 90, 180)]
    cosines = []
    for labeller in (ours, theirs):
        seen = labeller.encode(turned)
        classes = np.concatenate(list(labeller.class_embeddings(schema).values()))
        cosines.append(seen @ classes.T)
    return float(np.abs(cosines[0] - cosines[1]).max())


def main(arguments: Sequence[str] | None = None) -> None:
    """Export a folder's model; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m swatchbook.labeller.export", description=export.__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=BUNDLED, help="default: the package's")
    folder = parser.parse_args(arguments).folder
    export(folder)
    sizes = {name: (folder / name).stat().st_size for name in (IMAGE_GRAPH, TEXT_GRAPH)}
    print(f"{folder}: {', '.join(f'{name} {size / 1e3:.0f} kB' for name, size in sizes.items())}")


if __name__ == "__main__":
    main()
