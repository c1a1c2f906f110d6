"""Heads of one class and of several at once, and what a recipe can do with them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, recall_score
from torch import nn

from swatchbook.models import training
from swatchbook.models.checkpoint import CheckpointError, seal
from swatchbook.models.network import Network, build
from swatchbook.models.recipe import Recipe
from swatchbook.models.schedule import WeightAverage, lr_factor, optimizer_of
from swatchbook.models.step import Stepper
from swatchbook.models.tasks.heads import Heads, load, predict
from swatchbook.models.training import train
from swatchbook.schema import Attribute, Schema
from tests.models.test_training import TINY, history, run, toy, weights


def attribute(name, classes, multiple=False):
    return Attribute(name, {c: c for c in classes}, ("{}",), "zero_shot", 0.5, "ours", multiple)


MIXED = Schema("mixed", (attribute("hue", "abc"), attribute("parts", "vwxyz", multiple=True)))
STILL = replace(TINY, crop_scale=1.0, flip=0.0, brightness=0.0, contrast=0.0, saturation=0.0)


def mixed(n=32, seed=1):
    """Images whose mean colour says the class and whose left half says two of the parts."""
    rng = np.random.default_rng(seed)
    hue, parts = rng.integers(0, 3, n), (rng.random((n, 5)) < 0.4).astype(np.int8)
    pixels = rng.integers(0, 40, (n, 36, 36, 3), dtype=np.uint8)
    for k in range(n):
        pixels[k, :, :, hue[k]] += 120
        pixels[k, :18, :18] += 60 * parts[k, 0].astype(np.uint8)
    hue, parts = hue.astype(np.int16), parts.copy()
    hue[3], parts[5], parts[6, 2] = -1, -1, -1
    return pixels, {"hue": hue, "parts": parts}


def test_several_classes_at_once_are_learnt_predicted_and_scored(tmp_path, one_thread):
    pixels, codes = mixed(64)
    rows = np.arange(40), np.arange(40, 64)
    recipe = replace(STILL, epochs=8, loss="plain", backbone_lr=3e-3, head_lr=1e-2)
    folder = run(tmp_path, MIXED, recipe, (pixels, codes), rows)
    losses = history(folder)
    assert losses["train_loss_parts"].iloc[-1] < losses["train_loss_parts"].iloc[0] < 1.0
    best = losses.iloc[json.loads((folder / "config.json").read_text())["best_epoch"] - 1]
    table = predict(folder, pixels, rows[1], MIXED, device="cpu")
    guess, truth = MIXED.encode(table, "predictions")["parts"], codes["parts"][rows[1]]
    scored = [c for c in range(5) if truth[:, c].any()]
    expected = np.mean([f1_score(truth[:, c], guess[:, c], zero_division=0) for c in scored])
    assert best["macro_f1_parts"] == pytest.approx(expected, abs=1e-9)
    assert best["macro_f1"] == pytest.approx((best["macro_f1_parts"] + best["macro_f1_hue"]) / 2)
    p = table[[f"parts:{c}" for c in "vwxyz"]].to_numpy(float)
    assert np.array_equal(p > 0.5, guess == 1) and not np.allclose(p.sum(1), 1)
    by_hand = -(truth * np.log(p) + (1 - truth) * np.log(1 - p)).mean()
    assert best["val_loss_parts"] == pytest.approx(by_hand, rel=1e-4)
    with pytest.raises(CheckpointError, match=r"parts \(v, w, x, y, z, several at once\); the schema asks"):
        load(folder, Schema("other", (MIXED["hue"], attribute("parts", "vwxyz"))))


@pytest.mark.parametrize("score", ["macro_ap", "accuracy"])
def test_the_score_that_was_asked_for_chooses_the_epoch(tmp_path, one_thread, score):
    pixels, codes = mixed()
    recipe = replace(STILL, loss="plain", epochs=3)
    folder = run(tmp_path, MIXED, recipe, (pixels, codes), score=score)
    config, rows = json.loads((folder / "config.json").read_text()), history(folder)
    assert config[f"val_{score}"] == pytest.approx(rows[score].max(), rel=1e-9)
    assert config["best_epoch"] == rows[score].idxmax() + 1
    table = predict(folder, pixels, np.arange(24, 32), MIXED, device="cpu")
    p = {name: table[[f"{name}:{c}" for c in MIXED[name].classes]].to_numpy(float) for name in MIXED.names}
    members = {"hue": np.eye(3)[codes["hue"][24:]], "parts": codes["parts"][24:]}
    best = rows.iloc[config["best_epoch"] - 1]
    if score == "accuracy":
        assert best["accuracy_hue"] == (p["hue"].argmax(1) == codes["hue"][24:]).mean()
        assert best["accuracy_parts"] == ((p["parts"] > 0.5) == members["parts"]).mean()
    else:
        for name, wanted in members.items():
            known = [c for c in range(wanted.shape[1]) if wanted[:, c].any()]
            ap = np.mean([average_precision_score(wanted[:, c], p[name][:, c]) for c in known])
            assert best[f"macro_ap_{name}"] == pytest.approx(ap, abs=1e-6)
    with pytest.raises(ValueError, match="score 'f2'; allowed: macro_f1, macro_ap, accuracy, aca"):
        run(tmp_path, MIXED, score="f2")


def test_memberships_that_do_not_fit_are_refused(tmp_path):
    pixels, codes = mixed()
    for parts, message in [
        (codes["parts"][:, :4], r"codes\['parts'\] of int8 and shape \(32, 4\); integers of shape \(32, 5\)"),
        (codes["parts"] * 2, r"codes\['parts'\] from -2 to 2; allowed: -1 to 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            run(tmp_path, MIXED, data=(pixels, {**codes, "parts": parts}))
    soft = {"hue": np.ones((32, 3)), "parts": np.ones((32, 5))}
    with pytest.raises(ValueError, match="soft targets with 'parts', which has several classes at once"):
        run(tmp_path, MIXED, replace(TINY, loss="soft"), (pixels, codes), soft=soft)


def test_hidden_layers_and_dropout_are_shared_by_the_heads_and_come_back(schema, tmp_path, one_thread):
    recipe = replace(TINY, hidden=(24, 16), dropout=0.25)
    folder = run(tmp_path, schema, recipe)
    network, _ = load(folder, schema)
    kinds = [type(layer).__name__ for layer in network.hidden]
    assert kinds == ["Linear", "ReLU", "Dropout"] * 2 and network.hidden[2].p == 0.25
    assert [head.in_features for head in network.heads] == [16] * 4
    saved = load_file(folder / "model.safetensors")
    assert torch.equal(network.hidden[3].weight, saved["hidden.3.weight"])
    pixels, _ = toy(schema)
    assert len(predict(folder, pixels, np.arange(4), schema)) == 4


def test_the_challenge_vits_head_has_its_published_size():
    sizes = {"pattern": 7, "sleeve": 3, "length": 3, "neckline": 4, "fabric": 6, "fit": 3}
    six = Schema("six", tuple(attribute(n, [f"{n}{k}" for k in range(size)]) for n, size in sizes.items()))
    backbone = nn.Module()
    backbone.num_classes, backbone.num_features = 0, 768
    info = {"mean": [0.5] * 3, "std": [0.5] * 3}
    network = Network(backbone, six, 224, info, hidden=(1024, 1024, 1024), dropout=0.22)
    assert sum(p.numel() for p in network.parameters()) == 2_913_306


def test_the_challenge_vit_has_one_block_and_its_head_to_train():
    six = Schema.load("challenge")
    recipe = {"hidden": (1024, 1024, 1024), "dropout": 0.22, "train_blocks": 1, "train_norm": False}
    with torch.device("meta"):
        network = build("vit_base_patch16_224.orig_in21k", six, pretrained=False, **recipe)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == 10_001_178
    names = [n for n, p in network.backbone.named_parameters() if p.requires_grad]
    assert {n.rpartition(".")[0].split(".")[1] for n in names} == {"11"}
    assert network.info["mean"] == network.info["std"] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("backbone", "parameters"),
    [("seresnet50.ra2_in1k", 28_088_024), ("seresnext50_32x4d.racm_in1k", 27_559_896)],
)
def test_the_challenge_networks_stand_on_a_thousand_outputs(backbone, parameters):
    six = Schema.load("challenge")
    recipe = {"hidden": (512, 256), "head_dropout": 0.1, "classifier": True}
    with torch.device("meta"):
        network = build(backbone, six, pretrained=False, **recipe)
    assert sum(p.numel() for p in network.backbone.parameters()) == parameters
    fully_connected = 1000 * 512 + 512 + 512 * 256 + 256
    assert sum(p.numel() for p in network.hidden.parameters()) == fully_connected
    assert sum(p.numel() for p in network.heads.parameters()) == 26 * 256 + 26


def test_each_head_drops_inputs_of_its_own():
    network = build("test_resnet", Schema.load("challenge"), pretrained=False, head_dropout=0.5).train()
    kept = []
    for head in network.heads:
        head.register_forward_pre_hook(lambda _, given: kept.append(given[0] != 0))
    network(torch.rand(2, 3, 32, 32))
    assert len(kept) == 6 and not all(torch.equal(kept[0], other) for other in kept[1:])
    assert all(torch.equal(a, b) for a, b in _twice(network.eval(), torch.rand(2, 3, 32, 32)))


def _twice(network, views):
    with torch.no_grad():
        return zip(network(views).values(), network(views).values(), strict=True)


def test_scores_of_all_classes_are_sklearns_and_may_choose_the_epoch(tmp_path, one_thread):
    pixels, codes = mixed(48)
    one = Schema("one", (MIXED["hue"], attribute("cut", "de")))
    codes = {"hue": codes["hue"], "cut": np.arange(48, dtype=np.int16) % 2}
    rows = np.arange(28), np.arange(28, 48)
    folder = run(
        tmp_path, one, replace(STILL, epochs=3, loss="plain"), (pixels, codes), rows, score="product"
    )
    kept = json.loads((folder / "config.json").read_text())["best_epoch"]
    best, losses = history(folder).iloc[kept - 1], history(folder)
    guess = one.encode(predict(folder, pixels, rows[1], one, device="cpu"), "predictions")
    truth = {name: codes[name][rows[1]] for name in codes}
    recalls = [
        recall_score(truth[n], guess[n], labels=[k], average=None)[0]
        for n in ("hue", "cut") for k in np.unique(truth[n][truth[n] >= 0])
    ]  # fmt: skip
    assert best["aca"] == pytest.approx(np.mean(recalls))
    known = truth["hue"] >= 0
    assert best["accuracy_hue"] == pytest.approx(accuracy_score(truth["hue"][known], guess["hue"][known]))
    assert best["product"] == pytest.approx(best["accuracy"] * best["aca"]) == losses["product"].max()
    with pytest.raises(ValueError, match="score 'aca' with several classes at once; allowed: macro_f1"):
        Heads(MIXED, codes, *rows, "test_resnet", score="aca")


def test_without_validation_images_the_last_epoch_is_kept(tmp_path, one_thread):
    folder = run(tmp_path, MIXED, replace(TINY, epochs=2), mixed(), (np.arange(32), np.arange(0)))
    assert json.loads((folder / "config.json").read_text())["best_epoch"] == 2
    assert "val_loss" not in history(folder)


def test_predictions_of_a_model_that_flips_at_random_are_the_same_each_time(tmp_path, one_thread):
    recipe = replace(STILL, epochs=2, vertical_flip=0.5, flip_validation=True)
    pixels, codes = mixed(32)
    pixels[:, 18:] = 0  # upside down these are other images
    folder = run(tmp_path, MIXED, recipe, (pixels, codes))
    first, second = (predict(folder, pixels, np.arange(32), MIXED) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.parametrize(
    ("backbone", "trained", "first"),
    [("test_vit", 1, "blocks.5."), ("test_resnet", 2, "layer3."), ("test_efficientnet", 1, "conv_head")],
)
def test_all_but_the_last_blocks_are_frozen(backbone, trained, first):
    size = 160 if backbone == "test_vit" else 32
    network = build(backbone, MIXED, pretrained=False, img_size=size, train_blocks=trained)
    names = list(dict(network.backbone.named_parameters()))
    trainable = [n for n, p in network.backbone.named_parameters() if p.requires_grad]
    assert 0 < len(trainable) < len(names)
    assert trainable == names[names.index(trainable[0]) :]  # what comes last, and nothing in between
    assert any(n.startswith(first) for n in trainable) and not any(n.startswith(first) for n in names[:3])
    groups = network.groups()
    assert len(groups["backbone"]) == len(trainable) and len(groups["heads"]) == 4
    whole = build(backbone, MIXED, pretrained=False, img_size=size, train_blocks=0)
    assert not whole.groups()["backbone"] and len(whole.groups()["heads"]) == 4


def test_frozen_blocks_are_bit_for_bit_what_they_were(tmp_path, one_thread):
    recipe = replace(TINY, train_blocks=1, weight_decay=0.5)
    folder = run(tmp_path, MIXED, recipe, mixed(), backbone="test_resnet")
    torch.manual_seed(0)
    saved = load_file(folder / "model.safetensors")
    moved = run(tmp_path / "again", MIXED, replace(recipe, seed=8), mixed(), backbone="test_resnet")
    fresh = [n for n in saved if "running_mean" in n and not n.startswith("backbone.layer4")]
    # Their batch normalisation has learnt no statistics, either.
    assert fresh and all((saved[n] == 0).all() for n in fresh)
    assert any(
        (value != 0).any() for n, value in saved.items() if n.startswith("backbone.layer4") and "mean" in n
    )
    assert weights(folder) != weights(moved)


def test_a_linear_probe_trains_the_heads_only(tmp_path, one_thread):
    folder = run(tmp_path, MIXED, replace(TINY, train_blocks=0), mixed())
    assert list(history(folder).filter(like="lr_")) == ["lr_heads"]


class Pooled(nn.Module):
    """A neck that sees feature maps: their maxima, and where the first channel has its own."""

    num_features = 64

    def forward(self, maps):
        return maps.amax((2, 3)), {"where": maps[:, 0].flatten(1).argmax(1)}


def test_modules_between_backbone_and_heads_see_the_feature_maps():
    plain = build("test_convnext", MIXED, pretrained=False, img_size=64)
    network = Network(plain.backbone, MIXED, 64, plain.info, neck=Pooled()).eval()
    views = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        outputs = network(views)
        maps = network.backbone.forward_features((views - network.mean) / network.std)
        assert maps.ndim == 4
        assert torch.equal(outputs["hue"], network.heads[0](maps.amax((2, 3))))
    assert list(outputs) == ["hue", "parts", "where"] and outputs["where"].shape == (2,)


def test_the_outputs_of_the_backbones_classifier_can_be_the_features(tmp_path, one_thread):
    task = Heads(
        MIXED, mixed()[1], np.arange(24), np.arange(24, 32), "test_resnet", pretrained=False, classifier=True
    )
    folder = train(task, mixed()[0], TINY, tmp_path, device="cpu", log=lambda line: None)
    network, config = load(folder, MIXED)
    assert config["classifier"] and network.heads[0].in_features == network.backbone.num_classes == 1000


def test_an_average_of_the_last_epochs_is_what_is_judged_and_kept(tmp_path, one_thread, monkeypatch):
    states, judged, scores = [], [], iter([0.1, 0.2, 0.3, 0.4])
    update, validate = WeightAverage.update, training._Training._validate

    def noted(self):
        states.append({name: now.clone() for name, now in self.followed.state_dict().items()})
        update(self)

    def scripted(self):
        judged.append(self.judged is self.network)
        return {**validate(self), "macro_f1": next(scores)}

    monkeypatch.setattr(WeightAverage, "update", noted)
    monkeypatch.setattr(training._Training, "_validate", scripted)
    recipe = replace(TINY, epochs=4, average_last=2)
    folder = run(tmp_path, MIXED, recipe, mixed(), backbone="test_resnet")
    assert judged == [True, True, False, False]
    third, fourth = states
    for name, value in load_file(folder / "model.safetensors").items():
        if value.is_floating_point():
            assert torch.allclose(value, (third[name] + fourth[name]) / 2, atol=1e-6), name
    assert any(not torch.equal(third[name], fourth[name]) for name in third)


def test_a_moving_average_is_its_formula():
    layer = nn.Linear(1, 1, bias=False)
    average = WeightAverage(layer, decay=0.9)
    for value in (1.0, 2.0, 5.0):
        layer.weight.data.fill_(value)
        average.update()
    assert average.network.weight.item() == pytest.approx(0.9 * (0.9 * 1 + 0.1 * 2) + 0.1 * 5)
    mean = WeightAverage(layer)
    for value in (1.0, 2.0, 6.0):
        layer.weight.data.fill_(value)
        mean.update()
    assert mean.network.weight.item() == pytest.approx(3.0)


def test_an_averaged_training_goes_on_after_an_interruption_bit_for_bit(tmp_path, one_thread, monkeypatch):
    recipe = replace(TINY, epochs=4, ema=0.9, sampling=0.5)
    whole = run(tmp_path / "whole", MIXED, recipe, mixed(), backbone="test_resnet")
    assert weights(whole) != weights(
        run(tmp_path / "plain", MIXED, replace(recipe, ema=0.0), mixed(), backbone="test_resnet")
    )
    take, taken = Stepper.take, []

    def stopped(*given):
        taken.append(1)
        if len(taken) == 8:
            raise KeyboardInterrupt
        return take(*given)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Stepper, "take", stopped)
        run(tmp_path / "cut", MIXED, recipe, mixed(), backbone="test_resnet")
    cut = run(tmp_path / "cut", MIXED, recipe, mixed(), backbone="test_resnet")
    assert weights(cut) == weights(whole)


def test_rare_classes_are_drawn_more_often_and_each_time_seen_anew():
    codes = {"hue": np.repeat([0, 1, -1], [60, 20, 20]).astype(np.int16)}
    schema = Schema("one", (MIXED["hue"],))
    task = Heads(schema, codes, np.arange(100), np.arange(0), "test_resnet", pretrained=False)
    often = task.sampling(replace(TINY, sampling=1.0))
    assert often[:60] == pytest.approx(1 / 60) and often[60:80] == pytest.approx(1 / 20)
    assert often[80:] == pytest.approx(1 / 60)  # without a label, as common as can be
    half = task.sampling(replace(TINY, sampling=0.5))
    assert half[60] / half[0] == pytest.approx(np.sqrt(3))
    assert task.sampling(TINY) is None
    several = {"parts": np.array([[1, 1, 0, 0, 0], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0] * 5], np.int8)}
    task = Heads(Schema("two", (MIXED["parts"],)), several, np.arange(4), np.arange(0), "test_resnet")
    # n is 3 for the first part and 1 for the second; the first image has both.
    assert task.sampling(replace(TINY, sampling=1.0)) == pytest.approx([(1 / 3 + 1) / 2, 1 / 3, 1 / 3, 1 / 3])


def test_the_mirror_image_is_averaged_in_where_it_is_asked_for(tmp_path, one_thread):
    pixels, codes = mixed()
    folder = run(tmp_path, MIXED, replace(TINY, epochs=1, warmup_epochs=0), (pixels, codes))
    rows = np.arange(6)
    plain = predict(folder, pixels, rows, MIXED, device="cpu")
    mirrored = predict(folder, pixels[:, :, ::-1], rows, MIXED, device="cpu")
    config = json.loads((folder / "config.json").read_text())
    config["recipe"]["flip_test"] = True
    config["sha256"] = seal(config, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    both = predict(folder, pixels, rows, MIXED, device="cpu")
    names = [f"hue:{c}" for c in "abc"]
    logs = (np.log(plain[names].to_numpy(float)) + np.log(mirrored[names].to_numpy(float))) / 2
    expected = np.exp(logs) / np.exp(logs).sum(1, keepdims=True)
    assert both[names].to_numpy(float) == pytest.approx(expected, abs=1e-5)
    assert np.abs(both[names].to_numpy(float) - plain[names].to_numpy(float)).max() > 1e-4
    flipped = predict(folder, pixels[:, :, ::-1], rows, MIXED, device="cpu")
    assert flipped[names].to_numpy(float) == pytest.approx(both[names].to_numpy(float), abs=1e-6)


def test_the_first_epochs_can_see_smaller_images(tmp_path, one_thread, monkeypatch):
    sizes, forward = [], Network.forward

    def noted(self, views):
        if self.training:
            sizes.append(views.shape[-1])
        return forward(self, views)

    monkeypatch.setattr(Network, "forward", noted)
    run(tmp_path, MIXED, replace(TINY, epochs=4, early=0.5, early_size=24), mixed(), backbone="test_resnet")
    assert sizes == [24] * 6 + [32] * 6


def test_only_matrices_decay_where_that_is_asked_for():
    network = build("test_resnet", MIXED, pretrained=False)
    optimizer = optimizer_of(network.groups(), replace(TINY, decay_all=False, optimizer="adam", beta2=0.98))
    assert type(optimizer).__name__ == "Adam" and optimizer.defaults["betas"] == (0.9, 0.98)
    for group in optimizer.param_groups:
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in network.parameters())
    assert {group["name"] for group in optimizer.param_groups} == {"backbone", "heads"}


def test_an_exponential_schedule_falls_once_an_epoch_and_a_warm_up_may_be_half_of_one():
    recipe = Recipe(schedule="exponential", epoch_factor=0.8, warmup_epochs=0)
    assert [lr_factor(step, 10, recipe) for step in (0, 9, 10, 25)] == [1.0, 1.0, 0.8, 0.8**2]
    half = replace(Recipe(), warmup_epochs=0.5)
    assert [lr_factor(step, 10, half) for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert lr_factor(6, 10, half) < 1
    odd = replace(half, warmup_epochs=0.25)
    assert [lr_factor(step, 10, odd) for step in (0, 1, 2)] == [0.4, 0.8, 1.0]


def test_a_training_without_validation_images_keeps_its_last_epoch(tmp_path, one_thread, monkeypatch):
    monkeypatch.setattr(Heads, "check", lambda self, images, recipe: None)
    folder = run(tmp_path, MIXED, TINY, mixed(), (np.arange(32), np.arange(0)))
    config = json.loads((folder / "config.json").read_text())
    assert config["best_epoch"] == 2 and config["val_macro_f1"] is None
    assert not [c for c in history(folder) if c.startswith("val_")]


def test_a_table_of_several_classes_goes_to_codes_and_back(tmp_path, one_thread):
    table = pd.DataFrame({"hue": ["a", None, "c"], "parts": ["v;z", "", None]})
    codes = MIXED.encode(table)
    assert codes["parts"].dtype == np.int8
    assert codes["parts"].tolist() == [[1, 0, 0, 0, 1], [0] * 5, [-1] * 5]
