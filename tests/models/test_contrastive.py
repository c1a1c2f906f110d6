"""Images and texts in one space: in parts and over processes the gradient of the whole batch."""

import json
import math
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from swatchbook.labeller.training.recipe import Design, model_config
from swatchbook.labeller.training.tokenizer import write_tokenizer
from swatchbook.models.augment import random_draws
from swatchbook.models.distributed import Processes
from swatchbook.models.hardware import choose
from swatchbook.models.recipe import Recipe
from swatchbook.models.schedule import optimizer_of
from swatchbook.models.step import Stepper
from swatchbook.models.task import Batch
from swatchbook.models.tasks.contrastive import CONFIG, Contrastive, export
from swatchbook.models.training import train
from tests.models.test_distributed import started

RECIPE = Recipe(
    image_size=32, crop_share=8 / 9, epochs=2, warmup_epochs=1, batch=8, backbone_lr=1e-3, head_lr=3e-3, threads=1,
    precision="fp32", optimizer="adamw", decay_all=False,
)  # fmt: skip
WORDS = ("red", "green", "blue", "striped", "plain", "dress", "coat", "skirt")


def task_in(folder, *, tower="test_convnext", val=4):
    """Twelve noisy images and a caption of random words each, and a small model for them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(model_config(Design(tower=tower, embed=16, width=32, layers=1))))
    rng = np.random.default_rng(3)
    captions = [" ".join(rng.choice(WORDS, 3, replace=False)) for _ in range(12)]
    write_tokenizer(captions, folder)
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(captions).numpy()
    pixels = rng.integers(0, 256, (12, 36, 36, 3), dtype=np.uint8)
    return Contrastive(folder, tokens, np.arange(12 - val), np.arange(12 - val, 12)), pixels


def gradients_of(folder, micro_batch, processes=Processes(), dropout=0.0):  # noqa: B008 - frozen
    """Loss and gradient of a batch of eight pairs, in parts of so many."""
    torch.manual_seed(1)
    task, pixels = task_in(folder)
    network = task.build(RECIPE).train()
    for module in network.modules():
        if isinstance(module, torch.nn.MultiheadAttention):
            module.dropout = dropout
    task.prepare(RECIPE, "cpu", print)
    optimizer, rows = optimizer_of(network.groups(), RECIPE), np.arange(8)
    recipe = replace(RECIPE, micro_batch=micro_batch)
    stepper = Stepper(task, network, optimizer, recipe, choose("fp32", "cpu"), processes, 36, print)
    batch = Batch({}, {"pairs": 8}, task.inputs(rows, None)[0])
    images = torch.from_numpy(pixels[processes.share(rows)])
    losses = stepper._gradients(images, torch.from_numpy(random_draws(0, 1, 8)), batch, 32)
    processes.average_gradients(network.parameters())
    total = processes.total(losses["pairs"])
    return float(total), {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


def assert_same(one, other, tolerance=1e-4):
    (loss, gradients), (loss_too, gradients_too) = one, other
    assert loss == pytest.approx(loss_too, rel=1e-5)
    assert gradients.keys() == gradients_too.keys()
    largest = max(float(g.abs().max()) for g in gradients.values())
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, gradients_too[name], atol=tolerance * largest), name


@pytest.mark.parametrize("micro_batch", [4, 3, 1])
def test_parts_with_cached_gradients_have_the_gradient_of_the_whole_batch(tmp_path, one_thread, micro_batch):
    whole = gradients_of(tmp_path, 8)
    assert math.log(8) * 0.5 < whole[0] < math.log(8) * 3
    # The scale of cosines is learnt, so it has a gradient, and once only.
    assert whole[1]["model.logit_scale"].abs() > 1e-4
    assert_same(whole, gradients_of(tmp_path, micro_batch))
    # Independent parts would be another loss: fewer negatives.
    assert gradients_of(tmp_path, 8)[0] == whole[0]


def test_the_second_pass_drops_what_the_first_has_dropped(tmp_path, one_thread):
    torch.manual_seed(1)
    task, pixels = task_in(tmp_path)
    network = task.build(RECIPE).train()
    dropped = []

    def dropping(module, given, out):
        mask = (torch.rand_like(out) < 0.5).float()
        dropped.append(mask.sum().item())
        return out * mask

    network.model.visual.register_forward_hook(dropping)
    task.prepare(RECIPE, "cpu", print)
    recipe = replace(RECIPE, micro_batch=4)
    optimizer = optimizer_of(network.groups(), RECIPE)
    stepper = Stepper(task, network, optimizer, recipe, choose("fp32", "cpu"), Processes(), 36, print)
    batch = Batch({}, {"pairs": 8}, task.inputs(np.arange(8), None)[0])
    stepper._gradients(torch.from_numpy(pixels[:8]), torch.from_numpy(random_draws(0, 1, 8)), batch, 32)
    assert len(dropped) == 4 and dropped[:2] == dropped[2:] and dropped[0] != dropped[1]


def test_statistics_of_batch_normalisation_are_learnt_once_a_step(tmp_path, one_thread):
    torch.manual_seed(1)
    task, pixels = task_in(tmp_path, tower="test_resnet")
    network = task.build(RECIPE).train()
    task.prepare(RECIPE, "cpu", print)
    recipe = replace(RECIPE, micro_batch=4)
    optimizer = optimizer_of(network.groups(), RECIPE)
    stepper = Stepper(task, network, optimizer, recipe, choose("fp32", "cpu"), Processes(), 36, print)
    batch = Batch({}, {"pairs": 8}, task.inputs(np.arange(8), None)[0])
    stepper._gradients(torch.from_numpy(pixels[:8]), torch.from_numpy(random_draws(0, 1, 8)), batch, 32)
    counted = {int(b) for n, b in network.named_buffers() if n.endswith("num_batches_tracked")}
    assert counted == {2}  # two parts, and not two passes of two


TWO = """
    import sys
    sys.path.insert(0, sys.argv[1])
    import torch
    from pathlib import Path
    from swatchbook.models.distributed import joined
    from tests.models.test_contrastive import gradients_of

    torch.set_num_threads(1)
    here = Path(sys.argv[2])
    with joined("cpu") as processes:
        found = {part: gradients_of(here / f"{processes.rank}-{part}", part, processes) for part in (8, 3)}
        if processes.leads:
            torch.save(found, here / "found.pt")
"""


def test_two_processes_with_gathered_negatives_have_the_gradient_of_one(tmp_path, one_thread):
    script = tmp_path / "two.py"
    script.write_text(textwrap.dedent(TWO), encoding="utf-8")
    done = started(script, Path(__file__).parents[2], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    whole = gradients_of(tmp_path / "alone", 8)
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    for part in (8, 3):  # each process's four pairs at once, and in two parts
        assert_same(whole, found[part])


def test_the_loss_is_the_symmetric_cross_entropy(tmp_path):
    task, _ = task_in(tmp_path)
    network = task.build(RECIPE)
    images = functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), dim=1)
    texts = functional.normalize(torch.tensor([[1.0, 0.2], [0.0, 1.0], [-1.0, 1.0]]), dim=1)
    with torch.no_grad():
        network.model.logit_scale.fill_(math.log(1 / 0.07))
    found = task.loss({"image": images, "text": texts}, Batch({}, {"pairs": 3}))["pairs"].item()
    p = (images @ texts.T).double().numpy() / 0.07
    rows, columns = (np.log(np.exp(p).sum(axis)) for axis in (1, 0))
    by_hand = ((rows - np.diag(p)).mean() + (columns - np.diag(p)).mean()) / 2
    assert found == pytest.approx(by_hand, rel=1e-5)
    with torch.no_grad():
        network.model.logit_scale.fill_(10.0)
    assert network.scale().item() == 100.0  # as far as CLIP lets it grow


def test_ranks_count_the_own_one_and_ties_against_us(tmp_path):
    task, _ = task_in(tmp_path)
    images = torch.eye(3)
    texts = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.6, 0.8], [0.0, 0.8, 0.6]])
    scores = task.validate({"image": images, "text": texts})
    # Image 0 finds its text first; images 1 and 2 find each other's first, theirs second; the same way back.
    assert scores["image_to_text_r1"] == scores["text_to_image_r1"] == pytest.approx(1 / 3)
    assert scores["image_to_text_r5"] == 1.0
    assert scores["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    collapsed = torch.tensor([[1.0, 0.0]]).expand(20, 2)
    assert task.validate({"image": collapsed, "text": collapsed})["mrr"] == pytest.approx(1 / 20)


def test_a_training_learns_pairs_and_becomes_a_model_of_open_clip(tmp_path, one_thread):
    task, pixels = task_in(tmp_path / "clip")
    still = replace(
        RECIPE,
        crop_scale=1.0,
        flip=0.0,
        brightness=0.0,
        contrast=0.0,
        saturation=0.0,
        epochs=25,
        micro_batch=4,
    )
    folder = train(task, pixels, still, tmp_path / "model", device="cpu", log=lambda line: None)
    rows = pd.read_csv(folder / "history.csv")
    assert rows["train_loss"].iloc[0] > 1.5 and rows["train_loss"].iloc[-1] < 0.7
    assert rows["mrr"].between(0.25, 1).all()  # four pairs: at worst all last
    config = json.loads((folder / "config.json").read_text())
    assert config["task"] == "contrastive"
    assert config["val_mrr"] == pytest.approx(rows["mrr"].max(), rel=1e-9)
    export(folder, tmp_path / "clip")
    model, *_ = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'clip'}")
    trained = load_file(folder / "model.safetensors")
    learnt = trained["model.logit_scale"].clamp(max=math.log(100))
    assert float(model.logit_scale.detach()) == pytest.approx(float(learnt), rel=1e-3)
    name = "visual.head.proj.weight"
    assert torch.allclose(model.state_dict()[name], trained[f"model.{name}"], atol=1e-3)


def test_a_contrastive_training_goes_on_after_an_interruption_bit_for_bit(tmp_path, one_thread, monkeypatch):
    task, pixels = task_in(tmp_path / "clip", tower="test_resnet")
    recipe = replace(RECIPE, epochs=3, micro_batch=4, ema=0.9)
    whole = train(task, pixels, recipe, tmp_path / "whole", device="cpu", log=lambda line: None)
    take, taken = Stepper.take, []

    def stopped(*given):
        taken.append(1)
        if len(taken) == 3:  # the last of three steps, one an epoch
            raise KeyboardInterrupt
        return take(*given)

    monkeypatch.setattr(Stepper, "take", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(task, pixels, recipe, tmp_path / "cut", device="cpu", log=lambda line: None)
    lines = []
    cut = train(task, pixels, recipe, tmp_path / "cut", device="cpu", log=lines.append)
    assert "resumed after epoch 2 of 3" in lines
    assert (cut / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_texts_that_do_not_fit_are_refused(tmp_path):
    task, pixels = task_in(tmp_path)
    for texts in (task.texts[:5], task.texts.astype(float), task.texts[:, 0]):
        wrong = Contrastive(tmp_path, texts, task.train_rows, task.val_rows)
        with pytest.raises(ValueError, match=r"texts of .*; integers of shape \(12, L\) are needed"):
            train(wrong, pixels, RECIPE, tmp_path / "model")
