"""The training loop on small images: it learns, repeats itself, and survives what happens to it."""

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import f1_score

from swatchbook.models import hardware, training
from swatchbook.models.hardware import choose, fixed_threads
from swatchbook.models.inputs import batches
from swatchbook.models.network import build
from swatchbook.models.recipe import Recipe
from swatchbook.models.schedule import lr_factor, optimizer_of, plateaus
from swatchbook.models.step import Stepper, TrainingError
from swatchbook.models.tasks import heads
from swatchbook.models.tasks.heads import Heads, predict
from swatchbook.models.training import train
from swatchbook.schema import Schema
from swatchbook.store import Store

BACKBONE = "test_convnext"
TINY = Recipe(
    image_size=32,
    crop_share=8 / 9,
    epochs=2,
    warmup_epochs=1,
    batch=8,
    backbone_lr=1e-3,
    head_lr=1e-3,
    threads=1,
    seed=7,
)


def toy(schema, n=32, side=36, seed=3):
    """Random images and labels, a fifth of the labels missing."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    codes = {a.name: rng.integers(0, len(a), n).astype(np.int16) for a in schema}
    for code in codes.values():
        code[rng.random(n) < 0.2] = -1
    return pixels, codes


def run(out, schema, recipe=TINY, data=None, rows=None, **more):
    pixels, codes = data or toy(schema)
    learn, choose_by = rows or (np.arange(24), np.arange(24, 32))
    loop = {"log": lambda line: None, "device": "cpu"}
    loop |= {name: more.pop(name) for name in loop if name in more}
    task = Heads(schema, codes, learn, choose_by, more.pop("backbone", BACKBONE), pretrained=False, **more)
    return train(task, pixels, recipe, out, **loop)


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def history(folder):
    return pd.read_csv(folder / "history.csv")


def stop_in_epoch(monkeypatch, number):
    """Interrupt a training at the end of an epoch, before anything of it is saved."""
    epoch_of = training._Training._train_epoch

    def stopped(self, epoch, kept):
        row = epoch_of(self, epoch, kept)
        if epoch == number:
            raise KeyboardInterrupt
        return row

    monkeypatch.setattr(training._Training, "_train_epoch", stopped)


def test_a_few_images_are_learnt_by_heart(schema, tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    pixels = np.concatenate([pixels, pixels])
    codes = {a.name: np.tile(rng.integers(0, len(a), 8), 2) for a in schema}
    for code in codes.values():
        code[[3, 11]] = -1
    recipe = replace(
        TINY, image_size=32, crop_share=1.0, crop_scale=1.0, flip=0.0, brightness=0.0, contrast=0.0, saturation=0.0,
        epochs=40, warmup_epochs=2, loss="plain", backbone_lr=3e-3, head_lr=1e-2, weight_decay=0.0,
    )  # fmt: skip
    folder = run(tmp_path, schema, recipe, (pixels, codes), (np.arange(8), np.arange(8, 16)))
    rows = history(folder)
    assert rows["train_loss"].iloc[0] > 6
    assert rows["train_loss"].iloc[-1] < 0.05
    # The validation images are the same pictures, so the whole way from view to score must agree.
    assert rows["val_loss"].iloc[-1] < 0.05
    assert rows["macro_f1"].iloc[-1] == 1.0
    table = predict(folder, pixels, np.arange(8, 16), schema)
    guess = schema.encode(table)
    for a in schema:
        known = codes[a.name][8:] >= 0
        assert np.array_equal(guess[a.name][known], codes[a.name][8:][known])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(schema, tmp_path):
    state = torch.random.get_rng_state()
    one = run(tmp_path / "one", schema)
    torch.rand(5)
    two = run(tmp_path / "two", schema)
    other = run(tmp_path / "other", schema, replace(TINY, seed=8))
    assert weights(one) == weights(two) != weights(other)
    drop = ["seconds", "images_per_s"]
    pd.testing.assert_frame_equal(history(one).drop(columns=drop), history(two).drop(columns=drop))
    # The caller's own random numbers are as if nothing had been trained in between.
    torch.random.set_rng_state(state)
    torch.rand(5)
    expected = torch.rand(3)
    torch.random.set_rng_state(state)
    torch.rand(5)
    run(tmp_path / "three", schema)
    assert torch.equal(torch.rand(3), expected)


def test_a_memory_map_trains_like_an_array(schema, tmp_path):
    pixels, codes = toy(schema)
    np.save(tmp_path / "pixels.npy", pixels)
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    array = run(tmp_path / "array", schema, data=(pixels, codes))
    assert weights(run(tmp_path / "map", schema, data=(mapped, codes))) == weights(array)


KILLED = """
    import os, signal, sys
    import numpy as np
    sys.path.insert(0, sys.argv[1])
    from test_training import TINY, run
    from swatchbook.models.step import Stepper
    from swatchbook.schema import Schema
    from pathlib import Path

    steps, take = [], Stepper.take
    def and_die(*given):
        done = take(*given)
        steps.append(1)
        if len(steps) == 5:  # the second of the three steps of epoch 2
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    Stepper.take = and_die
    run(Path(sys.argv[2]), Schema.load(), log=print)
"""


def test_a_training_killed_in_mid_epoch_ends_in_the_same_bytes(schema, tmp_path):
    undisturbed = run(tmp_path / "undisturbed", schema)
    here = str(Path(__file__).parent)
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), here, str(tmp_path / "killed")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "killed" / "config.json").exists()
    assert len(history(tmp_path / "killed")) == 1
    lines = []
    resumed = run(tmp_path / "killed", schema, log=lines.append)
    assert "resumed after epoch 1 of 2" in lines
    assert weights(resumed) == weights(undisturbed)
    assert not (resumed / "resume").exists()
    columns = ["epoch", "train_loss", "val_loss", "macro_f1", "lr_heads"]
    pd.testing.assert_frame_equal(history(resumed)[columns], history(undisturbed)[columns])


def test_batch_normalisation_survives_an_interruption_bit_for_bit(schema, tmp_path, monkeypatch):
    recipe = replace(TINY, epochs=3)
    undisturbed = run(tmp_path / "undisturbed", schema, recipe, backbone="test_resnet")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_in_epoch(patch, 3)
        run(tmp_path / "stopped", schema, recipe, backbone="test_resnet")
    assert weights(run(tmp_path / "stopped", schema, recipe, backbone="test_resnet")) == weights(undisturbed)


def test_dropout_and_order_go_on_after_an_interruption_as_if_there_had_been_none(
    schema, tmp_path, monkeypatch
):
    recipe, orders, order_of = replace(TINY, dropout=0.5), [], training._Training._order

    def noted(self, epoch):
        order, draws = order_of(self, epoch)
        orders.append(order)
        return order, draws

    monkeypatch.setattr(training._Training, "_order", noted)
    undisturbed = run(tmp_path / "undisturbed", schema, recipe)
    first, second = orders
    assert sorted(first) == sorted(second) == list(range(24))
    assert (first != second).sum() > 12
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_in_epoch(patch, 2)
        run(tmp_path / "stopped", schema, recipe)
    assert weights(run(tmp_path / "stopped", schema, recipe)) == weights(undisturbed)
    assert weights(undisturbed) != weights(run(tmp_path / "without", schema))


def test_an_interruption_at_any_write_ends_in_the_same_bytes(schema, tmp_path, monkeypatch):
    expected = weights(run(tmp_path / "undisturbed", schema))
    write, written = Store.write, []

    def counting(store, artefact, writer, stop_at):
        if len(written) == stop_at:
            raise KeyboardInterrupt
        written.append(artefact)
        write(store, artefact, writer)

    for stop_at in range(50):
        written.clear()
        folder = tmp_path / f"stopped-{stop_at}"
        monkeypatch.setattr(Store, "write", lambda s, a, w, n=stop_at: counting(s, a, w, n))
        try:
            run(folder, schema)
        except KeyboardInterrupt:
            assert not (folder / "config.json").exists()
            monkeypatch.setattr(Store, "write", write)
            assert weights(run(folder, schema)) == expected
        else:
            break
    assert stop_at >= 8  # best weights, state and history of two epochs, then the model and its config


def test_other_settings_or_other_pixels_are_not_resumed(schema, tmp_path, monkeypatch):
    pixels, codes = toy(schema)
    monkeypatch.setattr(training.checkpoint, "finish", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, schema, data=(pixels, codes))
    changed = pixels.copy()
    changed[5, 0, 0, 0] ^= 1
    for data, recipe in [((changed, codes), TINY), ((pixels, codes), replace(TINY, clip=2.0))]:
        lines = []
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, schema, recipe, data, log=lines.append)
        assert not any("resumed" in line for line in lines)
    lines = []
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, schema, replace(TINY, clip=2.0), (pixels, codes), log=lines.append)
    assert "resumed after epoch 2 of 2" in lines


def test_the_learning_rate_rises_for_two_epochs_and_then_falls_to_zero():
    steps, recipe = 120, Recipe()
    rate = [lr_factor(s, steps, recipe) for s in range(20 * steps + 1)]
    assert rate[0] == 1 / 240
    assert rate[119] == 0.5
    assert rate[239] == rate[240] == 1.0  # the cosine starts at the peak, not inside the warm-up
    assert rate[240 + 18 * 120 // 2] == pytest.approx(0.5, abs=1e-12)
    assert rate[-1] == 0.0
    assert (np.diff(rate[240:]) < 0).all()
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=18 * steps)
    for step in range(240, 20 * steps):
        assert rate[step] == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        cosine.step()
    assert lr_factor(0, 10, replace(recipe, warmup_epochs=0)) == 1.0


def test_a_plateau_is_what_torch_takes_for_one(rng):
    scores = np.round(np.minimum(np.linspace(0.1, 0.8, 40), 0.5) + rng.normal(0, 0.01, 40), 3)
    recipe = replace(TINY, schedule="plateau", epoch_factor=0.2, patience=2, warmup_epochs=0, epochs=40)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    torchs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", factor=0.2, patience=2, eps=0)
    for epoch in range(40):
        rate = lr_factor(3 * epoch + 1, 3, recipe, scores[:epoch])
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6)
        torchs.step(scores[epoch])
    assert plateaus(scores, 2) >= 3


def test_the_rates_of_the_schedule_reach_the_two_groups(schema, tmp_path, monkeypatch):
    seen, take = [], Stepper.take

    def spy(self, *given):
        seen.append([group["lr"] for group in self._optimizer.param_groups])
        return take(self, *given)

    monkeypatch.setattr(Stepper, "take", spy)
    folder = run(tmp_path, schema, replace(TINY, backbone_lr=1e-5, head_lr=1e-4))
    factors = [lr_factor(s, 3, TINY) for s in range(6)]
    assert np.array(seen) == pytest.approx(np.outer(factors, [1e-5, 1e-4]))
    assert history(folder)["lr_backbone"].tolist() == pytest.approx([1e-5, 1e-5 * factors[-1]])


def test_the_optimizer_has_two_groups_that_hold_every_parameter(schema):
    network = build(BACKBONE, schema, pretrained=False)
    optimizer = optimizer_of(network.groups(), Recipe())
    backbone, heads = optimizer.param_groups
    assert (backbone["lr"], heads["lr"]) == (1e-5, 1e-4)
    assert backbone["weight_decay"] == heads["weight_decay"] == 0.05
    assert len(heads["params"]) == 2 * len(schema.names)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in network.parameters()}


@pytest.mark.parametrize(
    ("capability", "name", "precision", "words"),
    [
        ((7, 5), "Tesla T4", "fp16", "no bf16"),
        ((8, 0), "NVIDIA A100", "bf16", "in hardware"),
        ((9, 0), "NVIDIA H200", "bf16", "in hardware"),
        ((6, 1), "Tesla P4", "fp32", "no tensor cores"),
    ],
)
def test_the_number_format_follows_the_hardware_with_a_reason(
    monkeypatch, capability, name, precision, words
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: name)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)  # as torch says even on a T4
    chosen = choose()
    assert (chosen.device, chosen.precision, chosen.scales) == ("cuda", precision, precision == "fp16")
    assert name in chosen.reason and words in chosen.reason
    assert choose("fp16").scales
    if capability < (8, 0):
        with pytest.raises(ValueError, match="only emulates it; allowed: auto, fp32, fp16"):
            choose("bf16")


def test_a_machine_without_gpu_computes_in_fp32_and_says_so(monkeypatch, schema, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose() == hardware.Hardware("cpu", "fp32", "cpu, fp32: torch sees no CUDA GPU")
    with pytest.raises(ValueError, match="sees no CUDA GPU here; allowed: auto, cpu"):
        choose(device="cuda")
    with pytest.raises(ValueError, match="'fp16' needs a CUDA GPU"):
        choose("fp16")
    lines = []
    folder = run(tmp_path, schema, device="auto", log=lines.append)
    assert lines[0] == "cpu, fp32: torch sees no CUDA GPU"
    assert json.loads((folder / "config.json").read_text())["hardware"] == lines[0]
    assert [line[:11] for line in lines if line.startswith("epoch ")] == ["epoch   1/2", "epoch   2/2"]


def test_half_precision_trains_on_a_cpu_too(schema, tmp_path):
    rows = history(run(tmp_path, schema, replace(TINY, precision="bf16")))
    assert np.isfinite(rows["train_loss"]).all()


def test_threads_are_fixed_during_training_and_given_back(schema, tmp_path, monkeypatch):
    before, seen, take = torch.get_num_threads(), [], Stepper.take
    monkeypatch.setattr(Stepper, "take", lambda *a: seen.append(torch.get_num_threads()) or take(*a))
    folder = run(tmp_path, schema, replace(TINY, threads=2))
    assert set(seen) == {2}
    assert torch.get_num_threads() == before
    assert json.loads((folder / "config.json").read_text())["recipe"]["threads"] == 2
    with pytest.raises(KeyError), fixed_threads(2):
        raise KeyError
    assert torch.get_num_threads() == before


def test_out_of_memory_halves_the_parts_and_takes_the_same_step(schema, tmp_path, monkeypatch):
    whole = run(tmp_path / "whole", schema)
    gradients = Stepper._gradients

    def small_gpu(self, *given):
        if self.micro_batch > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return gradients(self, *given)

    monkeypatch.setattr(Stepper, "_gradients", small_gpu)
    lines = []
    parts = run(tmp_path / "parts", schema, log=lines.append)
    assert [line for line in lines if "out of memory" in line] == [
        "out of memory: batches of 8 in parts of 4 from here on",
        "out of memory: batches of 8 in parts of 2 from here on",
    ]
    assert history(parts)["micro_batch"].tolist() == [2, 2]
    assert json.loads((parts / "config.json").read_text())["micro_batch"] == 2
    # Without batch normalisation the gradient of the parts is that of the batch, but for rounding.
    assert history(parts)["train_loss"].to_numpy() == pytest.approx(
        history(whole)["train_loss"].to_numpy(), rel=1e-3
    )
    # Asked for beforehand, it is the same training bit for bit.
    monkeypatch.setattr(Stepper, "_gradients", gradients)
    asked = run(tmp_path / "asked", schema, replace(TINY, micro_batch=2))
    assert weights(asked) == weights(parts)


def test_an_image_too_large_for_the_memory_is_an_error_in_words(schema, tmp_path, monkeypatch):
    def no_gpu(*given):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Stepper, "_gradients", no_gpu)
    with pytest.raises(TrainingError, match="does not hold one image"):
        run(tmp_path, schema)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    schema, tmp_path, monkeypatch, value
):
    real, calls = heads.head_losses, []

    def poisoned(logits, targets, *given):
        losses = real(logits, targets, *given)
        if losses["color"].requires_grad:  # not in validation
            calls.append(1)
            if len(calls) == 4:  # the first step of epoch 2
                losses["color"] = losses["color"] * value
        return losses

    monkeypatch.setattr(heads, "head_losses", poisoned)
    with pytest.raises(
        TrainingError, match=r"epoch 2, step 1 of 3: the loss of color is not finite; checkpoint of epoch 1"
    ):
        run(tmp_path, schema)
    assert (tmp_path / "resume" / "best-001.safetensors").exists()
    assert not (tmp_path / "config.json").exists()
    monkeypatch.setattr(heads, "head_losses", real)
    assert weights(run(tmp_path, schema)) == weights(run(tmp_path.with_name("fresh"), schema))


def test_weights_that_explode_never_become_a_checkpoint(schema, tmp_path, monkeypatch):
    epoch_of = training._Training._train_epoch

    def explode_after_the_last_look(self, epoch, kept):
        row = epoch_of(self, epoch, kept)
        if epoch == 2:
            next(self.network.parameters()).data.fill_(math.nan)
        return row

    monkeypatch.setattr(training._Training, "_train_epoch", explode_after_the_last_look)
    with pytest.raises(TrainingError, match="epoch 2: the validation loss is nan; checkpoint of epoch 1 in"):
        run(tmp_path, schema)
    for name in ("state", "best-001"):
        saved = load_file(tmp_path / "resume" / f"{name}.safetensors")
        assert all(torch.isfinite(v).all() for v in saved.values())


def test_a_head_without_any_label_trains_no_one_and_breaks_nothing(schema, tmp_path):
    pixels, codes = toy(schema)
    codes["color"][:] = -1
    lines = []
    folder = run(tmp_path, schema, data=(pixels, codes), log=lines.append)
    rows = history(folder)
    assert (rows["train_loss_color"] == 0).all() and (rows["val_loss_color"] == 0).all()
    assert rows["macro_f1_color"].isna().all() and rows["macro_f1"].notna().all()
    assert np.isfinite(rows["train_loss"]).all()
    assert any(line.startswith("color: no training image is labelled black, white") for line in lines)
    absent = json.loads((folder / "config.json").read_text())["absent_classes"]
    assert absent["color"] == list(schema["color"].classes)


def test_a_class_absent_from_training_is_reported_and_has_finite_losses(schema, tmp_path):
    pixels, codes = toy(schema)
    codes["texture"][:24][codes["texture"][:24] == 2] = 1
    codes["texture"][24:] = 2
    folder = run(tmp_path, schema, data=(pixels, codes))
    assert json.loads((folder / "config.json").read_text())["absent_classes"]["texture"] == [
        schema["texture"].classes[2]
    ]
    assert np.isfinite(history(folder)["val_loss"]).all()


@pytest.mark.parametrize("loss", ["plain", "smooth", "gce", "effective"])
def test_every_loss_trains(schema, tmp_path, loss):
    # The labels are random, so what can be learnt is each image itself.
    still = replace(TINY, crop_scale=1.0, flip=0.0, brightness=0.0, contrast=0.0, saturation=0.0)
    rows = history(run(tmp_path, schema, replace(still, loss=loss, epochs=8, combine="mean")))
    assert rows["train_loss"].iloc[-1] < rows["train_loss"].iloc[0]
    heads = rows[[f"train_loss_{name}" for name in schema.names]].mean(axis=1)
    assert heads.to_numpy() == pytest.approx(rows["train_loss"].to_numpy(), rel=1e-6)


def test_soft_targets_teach_from_images_that_have_no_label(schema, tmp_path):
    pixels, codes = toy(schema)
    soft = {a.name: np.full((32, len(a)), 1 / len(a)) for a in schema}
    for code in codes.values():
        code[:24] = -1
    recipe = replace(TINY, loss="soft", epochs=3)
    rows = history(run(tmp_path, schema, recipe, (pixels, codes), soft=soft))
    assert 0 < rows["train_loss"].iloc[-1] < rows["train_loss"].iloc[0]
    with pytest.raises(ValueError, match="loss 'soft' with soft=None"):
        run(tmp_path, schema, recipe, (pixels, codes))
    with pytest.raises(ValueError, match=r"soft\['material'\] has shape \(32, 2\); \(32, 6\) is needed"):
        run(tmp_path, schema, recipe, (pixels, codes), soft={**soft, "material": np.ones((32, 2))})


def test_the_best_epoch_is_kept_and_not_the_last(schema, tmp_path, monkeypatch):
    scores = iter([0.3, 0.6, 0.6, 0.1])
    validate, kept = training._Training._validate, []

    def scripted(self):
        row = validate(self)
        kept.append({k: v.clone() for k, v in self.network.state_dict().items()})
        return {**row, "macro_f1": next(scores)}

    monkeypatch.setattr(training._Training, "_validate", scripted)
    folder = run(tmp_path, schema, replace(TINY, epochs=4))
    config = json.loads((folder / "config.json").read_text())
    assert (config["best_epoch"], config["val_macro_f1"]) == (2, 0.6)
    saved = load_file(folder / "model.safetensors")
    assert all(torch.equal(saved[k], kept[1][k]) for k in saved)


@pytest.mark.parametrize("backbone", ["test_convnext", "test_resnet"])
def test_the_history_scores_the_labels_that_are_predicted(schema, tmp_path, backbone):
    pixels, codes = toy(schema, n=64)
    rows = (np.arange(24), np.arange(24, 64))
    recipe = replace(TINY, loss="plain", eval_batch=16)
    folder = run(tmp_path, schema, recipe, (pixels, codes), rows, backbone=backbone)
    best = json.loads((folder / "config.json").read_text())["best_epoch"]
    row = history(folder).iloc[best - 1]
    table = predict(folder, pixels, rows[1], schema, device="cpu")
    guess = schema.encode(table)
    for a in schema:
        truth = codes[a.name][rows[1]]
        known = np.flatnonzero(truth >= 0)
        truth = truth[known]
        score = f1_score(
            truth, guess[a.name][known], labels=np.unique(truth), average="macro", zero_division=0
        )
        assert row[f"macro_f1_{a.name}"] == pytest.approx(score, abs=1e-9)
        p = table[[f"{a.name}:{label}" for label in a.classes]].to_numpy()
        assert row[f"val_loss_{a.name}"] == pytest.approx(-np.log(p[known, truth]).mean(), rel=1e-4)


def test_predictions_are_probabilities_in_schema_order_whatever_the_batch(schema, tmp_path):
    pixels, codes = toy(schema)
    folder = run(tmp_path, schema, data=(pixels, codes))
    rows = np.array([9, 3, 30])
    table = predict(folder, pixels, rows, schema, device="cpu")
    columns = [c for a in schema for c in (a.name, *(f"{a.name}:{label}" for label in a.classes))]
    assert list(table) == columns
    assert table.index.tolist() == [9, 3, 30]
    for a in schema:
        p = table[[f"{a.name}:{label}" for label in a.classes]].to_numpy()
        assert p.sum(1) == pytest.approx(1, abs=1e-6)
        assert table[a.name].tolist() == [a.classes[k] for k in p.argmax(1)]
    one_by_one = predict(folder, pixels, rows, schema, batch=1, device="cpu")
    assert one_by_one.iloc[:, 1:7].to_numpy(float) == pytest.approx(
        table.iloc[:, 1:7].to_numpy(float), abs=1e-5
    )
    assert len(predict(folder, pixels, np.array([], int), schema)) == 0
    with pytest.raises(ValueError, match="pixels of side 40; the model was trained on images stored at 36"):
        predict(folder, np.zeros((2, 40, 40, 3), np.uint8), np.array([0]), schema)
    with pytest.raises(ValueError, match="rows from 0 to 32; allowed: 0 to 31"):
        predict(folder, pixels, np.array([0, 32]), schema)


def test_batches_are_of_nearly_equal_size_and_none_holds_a_single_image():
    sizes = [len(b) for b in batches(np.arange(65), 64)]
    assert sizes == [33, 32]
    assert np.array_equal(np.concatenate(list(batches(np.arange(131), 64))), np.arange(131))
    assert list(batches(np.arange(0), 64)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"pixels": np.zeros((4, 8, 8, 3), np.float32)},
            r"pixels of float32 and shape \(4, 8, 8, 3\); uint8",
        ),
        (
            {"pixels": np.zeros((4, 8, 9, 3), np.uint8)},
            r"shape \(4, 8, 9, 3\); uint8 of shape \(N, S, S, 3\)",
        ),
        ({"train_rows": np.array([0, 32])}, "train_rows from 0 to 32; allowed: 0 to 31"),
        ({"train_rows": np.array([0, 25])}, "1 rows are in train_rows and in val_rows, the first 25"),
        ({"val_rows": np.array([True] * 32)}, "val_rows of bool and shape"),
        ({"codes": {}}, r"codes\['material'\] of float64 and shape \(0,\); integers of shape \(32,\)"),
        ({"codes": "large"}, r"codes\['material'\] from 0 to 6; allowed: -1 to 5"),
        ({"codes": "train"}, "none of the 24 training images has a label"),
        ({"codes": "val"}, "none of the 8 validation images has a label"),
    ],
)
def test_impossible_input_is_refused_before_anything_is_built(schema, tmp_path, monkeypatch, change, message):
    pixels, codes = toy(schema)
    if change.get("codes") == "large":
        change = {"codes": {**codes, "material": np.arange(32) % 7}}
    elif change.get("codes"):
        hidden = slice(0, 24) if change["codes"] == "train" else slice(24, 32)
        for code in codes.values():
            code[hidden] = -1
        change = {"codes": codes}
    given = {"codes": codes, "train_rows": np.arange(24), "val_rows": np.arange(24, 32), **change}
    pixels = given.pop("pixels", pixels)
    monkeypatch.setattr(heads, "build", None)
    with pytest.raises(ValueError, match=message):
        train(Heads(schema, **given, backbone=BACKBONE), pixels, TINY, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_recipe_can_be_read_without_torch():
    check = "import sys, swatchbook.models.recipe; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_another_schema_trains_as_well(tmp_path):
    whole = Schema.load()
    schema = Schema("two", (whole["pattern"], whole["texture"]))
    folder = run(tmp_path, schema, backbone="test_vit", recipe=replace(TINY, image_size=32, crop_share=1.0))
    assert [n for n, _ in json.loads((folder / "config.json").read_text())["heads"]] == ["pattern", "texture"]
