"""The labeller's image tower as a backbone: the same features, trained on, saved and opened again."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("torch", reason="the backbone needs the extra 'models'")

import timm
import torch
from safetensors.torch import load_file, save_file

from swatchbook.labeller.zero_shot import Labeller, fixture_picture
from swatchbook.models import backbones
from swatchbook.models.backbones import LABELLER, TOWER, WeightsError
from swatchbook.models.hardware import placed
from swatchbook.models.network import build
from swatchbook.models.recipe import Recipe
from swatchbook.models.tasks.heads import Heads, load, predict
from swatchbook.models.training import train
from swatchbook.store import sha256

RECIPE = Recipe(image_size=32, crop_share=8 / 9, epochs=2, warmup_epochs=1, batch=24, threads=1, seed=7)


@pytest.fixture(scope="module")
def labeller():
    return Labeller.load("drawn-only", device="cpu", log=lambda line: None, runtime="open_clip").network


@pytest.fixture(scope="module")
def written():
    return json.loads((LABELLER / "open_clip_config.json").read_text(encoding="utf-8"))


def test_features_are_the_labellers_own_bit_for_bit(labeller, schema):
    *steps, normalise = labeller.preprocess.transforms
    assert type(normalise).__name__ == "Normalize"
    view = fixture_picture()
    for step in steps:
        view = step(view)
    tower = placed(build(TOWER, schema, pretrained=True, img_size=view.shape[-1]), "cpu").eval()
    with torch.inference_mode():
        found = tower.features(view[None])
        wanted = labeller.model.visual.trunk(labeller.preprocess(fixture_picture())[None])
    assert found.dtype == torch.float32 and found.std() > 0
    assert torch.equal(found, wanted)


def test_it_says_what_its_weights_are(schema, written):
    info = build(TOWER, schema, pretrained=True, img_size=64).info
    assert info["backbone"] == TOWER and info["source"] == "labeller drawn-only"
    assert info["architecture"] == written["model_cfg"]["vision_cfg"]["timm_model_name"]
    assert info["sha256"] == sha256(LABELLER / "open_clip_model.safetensors")
    assert [info["mean"], info["std"]] == [written["preprocess_cfg"][name] for name in ("mean", "std")]


def test_from_scratch_it_is_the_same_architecture_with_other_weights(schema):
    trained, fresh = (build(TOWER, schema, pretrained=p, img_size=64) for p in (True, False))
    shapes = [{k: v.shape for k, v in n.state_dict().items()} for n in (trained, fresh)]
    assert shapes[0] == shapes[1] and fresh.info["sha256"] is None and fresh.info["source"] == "random"
    same = {k: v for k, v in trained.info.items() if k not in ("source", "sha256")}
    assert same == {k: v for k, v in fresh.info.items() if k not in ("source", "sha256")}
    first = [next(p for p in n.backbone.parameters() if p.ndim == 4) for n in (trained, fresh)]
    assert not torch.equal(*first)
    assert torch.equal(trained.mean, fresh.mean) and torch.equal(trained.std, fresh.std)


@pytest.mark.parametrize("pretrained", [True, False])
def test_two_steps_of_training_change_it_and_the_checkpoint_opens_again(pretrained, schema, tmp_path):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (32, 36, 36, 3), dtype=np.uint8)
    codes = {a.name: rng.integers(0, len(a), 32).astype(np.int16) for a in schema}
    task = Heads(schema, codes, np.arange(24), np.arange(24, 32), TOWER, pretrained=pretrained)
    folder = train(task, pixels, RECIPE, tmp_path / "model", device="cpu", log=lambda line: None)
    opened, config = load(folder, schema)
    assert config["network"]["backbone"] == TOWER
    assert (config["network"]["sha256"] is not None) == pretrained
    start = build(TOWER, schema, pretrained=True, img_size=32)
    moved = [
        not torch.equal(a, b)
        for a, b in zip(opened.backbone.parameters(), start.backbone.parameters(), strict=True)
    ]
    assert any(moved)
    assert torch.equal(opened.mean, start.mean) and torch.equal(opened.std, start.std)
    shares = predict(folder, pixels, np.arange(32), schema)
    assert shares[[f"color:{c}" for c in schema["color"].classes]].sum(axis=1).to_numpy() == pytest.approx(1)


def test_a_checkpoint_does_not_need_the_labeller_that_it_began_from(schema, tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (32, 36, 36, 3), dtype=np.uint8)
    codes = {a.name: rng.integers(0, len(a), 32).astype(np.int16) for a in schema}
    task = Heads(schema, codes, np.arange(24), np.arange(24, 32), TOWER)
    folder = train(task, pixels, RECIPE, tmp_path / "model", device="cpu", log=lambda line: None)
    monkeypatch.setattr(backbones, "LABELLER", tmp_path / "gone")
    opened, _ = load(folder, schema)
    kept = load_file(folder / "model.safetensors")
    assert all(torch.equal(value, kept[name]) for name, value in opened.state_dict().items())


@pytest.mark.parametrize("harm", ["missing", "misshapen", "truncated"])
def test_weights_that_do_not_fit_are_refused(harm, schema, tmp_path, monkeypatch):
    shutil.copytree(LABELLER, tmp_path / "labeller")
    file = tmp_path / "labeller/open_clip_model.safetensors"
    weights = load_file(file)
    first = next(name for name in weights if name.startswith("visual.trunk.") and weights[name].ndim == 4)
    if harm == "missing":
        del weights[first]
    else:
        weights[first] = weights[first][:-1].contiguous()
    save_file(weights, file)
    if harm == "truncated":
        file.write_bytes(file.read_bytes()[:-100])
    monkeypatch.setattr(backbones, "LABELLER", tmp_path / "labeller")
    with pytest.raises(WeightsError, match="do not fit backbone 'swatchbook-tower'"):
        build(TOWER, schema, pretrained=True, img_size=64)


def test_an_unknown_backbone_is_told_of_the_tower(schema):
    assert not timm.is_model(TOWER)
    with pytest.raises(ValueError, match=r"'swatchbok-tower' is unknown; allowed: .*, or swatchbook-tower"):
        build("swatchbok-tower", schema, pretrained=False)
