"""The labeller by ONNX Runtime: the same pixels, tokens, cosines and labels as by open_clip, without torch."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="open_clip, which is compared with, needs the extra 'models'")

import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import load_file, save_file

from swatchbook.drawn.balanced import drawn_labels, drawn_pictures
from swatchbook.labeller import BUNDLED, IMAGE_GRAPH, TEXT_GRAPH, WEIGHTS, LabellerError
from swatchbook.labeller.export import PARITY, export
from swatchbook.labeller.files import CONFIG
from swatchbook.labeller.onnx_network import shrunk
from swatchbook.labeller.open_clip_network import halved
from swatchbook.labeller.silver import silver_table
from swatchbook.labeller.training.quality import cosines_of, drawn_schema
from swatchbook.labeller.training.tokenizer import write_tokenizer
from swatchbook.labeller.zero_shot import Labeller, fixture_picture
from swatchbook.schema import Schema

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = [
    "a striped shirt",
    "A  Navy-Blue DRESS\n",
    "caf\u00e9 &amp; silk \u201csatin\u201d \u2013 it's soft",
    "полосатая рубашка 🧥",
    "",
    "polka dot " * 40,
]


def load(folder: Path | str, runtime: str) -> Labeller:
    name = "bundled" if folder == "bundled" else f"local-dir:{folder}"
    return Labeller.load(name, device="cpu", log=lambda _: None, runtime=runtime)


@pytest.fixture(scope="module")
def both() -> tuple[Labeller, Labeller]:
    """The labeller in the box by ONNX Runtime and by open_clip."""
    return load("bundled", "onnx"), load("bundled", "open_clip")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A random model of another kind: an EfficientNet, weights in half precision, other pixels and cleaning."""
    folder = tmp_path_factory.mktemp("model")
    text = {"context_length": 16, "vocab_size": 768, "hf_tokenizer_name": "none", "width": 16, "heads": 2}
    text |= {"layers": 1, "pool_type": "last", "tokenizer_kwargs": {"clean": "canonicalize"}}
    vision = {"timm_model_name": "test_efficientnet", "timm_model_pretrained": False, "timm_pool": "avg"}
    config = {
        "model_cfg": {
            "embed_dim": 16,
            "custom_text": True,
            "vision_cfg": {**vision, "timm_proj": "linear", "image_size": 64},
            "text_cfg": {**text, "no_causal_mask": True},
        },
        "preprocess_cfg": {"mean": [0.5, 0.25, 0.75], "std": [0.5, 0.125, 0.3], "resize_mode": "longest"},
    }
    (folder / CONFIG).write_text(json.dumps(config))
    write_tokenizer(["a red garment", "blue fabric"], folder)
    torch.manual_seed(0)
    state = open_clip.create_model(f"local-dir:{folder}", load_weights=False).state_dict()
    halves = {k: (v.half() if v.dtype == torch.float32 else v).contiguous() for k, v in state.items()}
    save_file(halves, folder / WEIGHTS)
    return folder


@pytest.fixture(scope="module")
def exported(model) -> Path:
    export(model)
    return model


def test_on_a_cpu_the_labeller_in_the_box_is_computed_by_onnx_runtime(both):
    loaded = Labeller.load("bundled", device="cpu", log=lambda _: None)
    assert loaded.network.runtime == "onnx" and loaded.device == "cpu"
    onnx, torchs = both
    assert (onnx.fingerprint, onnx.revision) == (torchs.fingerprint, torchs.revision)
    assert onnx.logit_scale == torchs.logit_scale


def test_cosines_and_labels_of_drawn_images_are_those_of_open_clip(both):
    pictures = list(drawn_pictures(drawn_labels(80, seed=31), seed=31))
    for schema in (Schema.load("wardrobe"), drawn_schema(held_out=True)):
        first, second = (cosines_of(each, each.encode(pictures), schema) for each in both)
        assert first.to_numpy().std() > 0.01, "images differ, so an order mixed up would show"
        np.testing.assert_allclose(first, second, rtol=0, atol=PARITY)
        labels = [silver_table(cosines, schema)[list(schema.names)] for cosines in (first, second)]
        pd.testing.assert_frame_equal(*labels)


def test_words_never_taught_are_embedded_as_by_open_clip(both):
    for text in TEXTS:
        onnx, torchs = (each.embed_text([text]) for each in both)
        np.testing.assert_allclose(onnx, torchs, atol=PARITY)
        assert np.linalg.norm(onnx) == pytest.approx(1)


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_pixels_are_those_of_open_clip(mode, interpolation, rng):
    asked = PreprocessCfg(size=(64, 64), resize_mode=mode, interpolation=interpolation)
    shrink, _ = halved(image_transform_v2(asked, is_train=False))
    ours = {"size": [64, 64], "resize_mode": mode, "interpolation": interpolation}
    for size in ((200, 301), (301, 200), (64, 64), (65, 64), (31, 50), (1, 90), (640, 67)):
        picture = Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        np.testing.assert_array_equal(shrunk(picture, ours), shrink(picture), err_msg=str(size))


def test_tokens_are_those_of_open_clip(both, exported):
    for onnx, torchs in (both, (load(exported, "onnx"), load(exported, "open_clip"))):
        ids = onnx.network.tokenizer(TEXTS)
        assert ids.dtype == np.int64
        np.testing.assert_array_equal(ids, torchs.network.tokenizer(TEXTS).numpy())


def test_another_model_is_exported_from_half_precision_and_computes_the_same(exported, rng):
    onnx, torchs = load(exported, "onnx"), load(exported, "open_clip")
    pictures = [Image.fromarray(rng.integers(0, 256, (90, 70, 3), dtype=np.uint8)), fixture_picture()]
    np.testing.assert_allclose(onnx.encode(pictures), torchs.encode(pictures), atol=PARITY)
    assert 0 < onnx.network.preprocessing["size"][0] == 64
    one_by_one = np.concatenate([onnx.encode([picture]) for picture in pictures])
    np.testing.assert_allclose(onnx.encode(pictures), one_by_one, atol=1e-6)


def test_graphs_hold_no_copy_of_the_weights(exported):
    for folder in (BUNDLED, exported):
        weights = load_file(folder / WEIGHTS)
        largest = sorted((t.numel() * t.element_size() for t in weights.values()), reverse=True)
        for name in (IMAGE_GRAPH, TEXT_GRAPH):
            graph = (folder / name).read_bytes()
            assert len(graph) < 300_000
            assert WEIGHTS.encode() in graph
            assert not [k for k, t in weights.items() if t.numel() > 512 and t.numpy().tobytes() in graph]
        assert largest[0] > 10_000
    committed = sum((BUNDLED / name).stat().st_size for name in (WEIGHTS, IMAGE_GRAPH, TEXT_GRAPH))
    assert committed <= 16 * 2**20


def test_graphs_of_other_weights_or_another_config_are_refused(tmp_path):
    folder = shutil.copytree(BUNDLED, tmp_path / "changed")
    config = json.loads((folder / CONFIG).read_text())
    config["preprocess_cfg"]["mean"] = [0.4] * 3
    (folder / CONFIG).write_text(json.dumps(config))
    with pytest.raises(LabellerError, match=r"was exported from other weights or another config; export it"):
        load(folder, "onnx")
    shutil.copy(BUNDLED / CONFIG, folder)
    load(folder, "onnx")
    (folder / IMAGE_GRAPH).write_bytes(b"no graph")
    with pytest.raises(
        LabellerError, match=r"image\.onnx cannot be loaded \(.+\); export it again: python -m"
    ):
        load(folder, "onnx")


def test_a_runtime_that_is_none_or_cannot_be_had_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match=r"runtime 'tensorrt'; allowed: onnx, open_clip"):
        load("bundled", "tensorrt")
    bare = shutil.copytree(model, tmp_path / "bare", ignore=shutil.ignore_patterns("*.onnx"))
    with pytest.raises(ValueError, match=r"runtime 'onnx': .*bare has no image\.onnx; allowed: open_clip"):
        load(bare, "onnx")
    with pytest.raises(ValueError, match=r"device 'cuda' is none of its own; allowed: open_clip"):
        Labeller.load("bundled", device="cuda", runtime="onnx")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"preprocess_cfg": {"fill_color": 255}},
            r"resize_mode shortest, longest, squash with a black border",
        ),
        (
            {"model_cfg": {"text_cfg": {"tokenizer_kwargs": {"strip_sep_token": True}}}},
            r"only a tokenizer of",
        ),
    ],
)
def test_what_has_no_counterpart_without_torch_is_not_exported(changed, message, model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "other", ignore=shutil.ignore_patterns("*.onnx"))
    config = json.loads((folder / CONFIG).read_text())
    for section, values in changed.items():
        for key, value in values.items():
            config[section][key] = {**config[section][key], **value} if isinstance(value, dict) else value
    (folder / CONFIG).write_text(json.dumps(config))
    with pytest.raises(LabellerError, match=message):
        export(folder)
    assert not list(folder.glob("*.onnx"))


WITHOUT = """
import sys
for name in ("torch", "torchvision", "timm", "open_clip", "transformers", "huggingface_hub", "sklearn",
             "matplotlib", "seaborn", "nbformat", "nbconvert", "papermill", "IPython", "anywidget", "pooch"):
    sys.modules[name] = None  # to import it would fail
from swatchbook.cli.main import main
sys.exit(max(main(command.split()) for command in sys.argv[1:]))
"""


def test_label_index_and_search_need_neither_torch_nor_jupyter(tmp_path, both):
    folder = tmp_path / "photographs"
    folder.mkdir()
    pictures = list(drawn_pictures(drawn_labels(5, seed=8), seed=8))
    for number, picture in enumerate(pictures):
        picture.save(folder / f"{number}.png")
    commands = [
        "label photographs --out labels.parquet --html sheet.html --no-abstain --attributes all",
        "index photographs --out index.parquet",
        "search index.parquet red",
        "label photographs --out o.csv --labeller fashion-siglip",
    ]
    command = [sys.executable, "-c", WITHOUT, *commands]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    said = done.stderr.splitlines()
    assert said[-1] == "swatchbook label needs torch: pip install 'swatchbook[models]'"
    assert done.returncode == 1 and said[0] == "loading the model …"
    assert "labels.parquet: 5 photographs" in done.stdout and (tmp_path / "sheet.html").is_file()
    assert len([line for line in done.stdout.splitlines() if ".png  " in line]) == 5
    schema = Schema.load("wardrobe")
    wanted = silver_table(
        cosines_of(both[1], both[1].encode(pictures), schema),
        schema,
        thresholds=dict.fromkeys(schema.names, 0.0),
    )
    table = pd.read_parquet(tmp_path / "labels.parquet")
    for name in schema.names:
        assert table[name].tolist() == wanted[name].tolist()
        np.testing.assert_allclose(table[f"{name}_confidence"], wanted[f"{name}_confidence"], atol=0.01)
