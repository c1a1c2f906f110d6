"""Models and resume states on disk: exact, atomic, and never a pickle."""

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from swatchbook.models import checkpoint
from swatchbook.models.checkpoint import CheckpointError
from swatchbook.models.finished import schema_of
from swatchbook.models.network import build
from swatchbook.models.recipe import Recipe
from swatchbook.models.schedule import WeightAverage, optimizer_of
from swatchbook.models.tasks import heads
from swatchbook.models.tasks.heads import load, predict
from swatchbook.schema import Schema
from swatchbook.store import Store, sha256

RECIPE = Recipe(image_size=32, threads=1)


def finished(folder, schema, backbone="test_convnext", seed=0):
    """A finished model's folder and its network."""
    torch.manual_seed(seed)
    network = build(backbone, schema, pretrained=False, img_size=32)
    store = Store(folder)
    checkpoint.save_weights(store, "resume/best.safetensors", network)
    heads = [[a.name, list(a.classes)] for a in schema]
    config = {"network": network.info, "heads": heads, "recipe": asdict(RECIPE), "side": 36}
    checkpoint.finish(store, "resume/best.safetensors", config)
    return network


def rewritten(folder, **changed):
    """Change a finished model's config behind its seal, or, without changes, seal it as it is."""
    config = json.loads((folder / "config.json").read_text())
    config |= changed
    config["sha256"] = checkpoint.seal(config, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return config


def stepped(schema, steps, seed=0):
    """A network and its optimiser after a few steps on random images."""
    torch.manual_seed(seed)
    network = build("test_convnext", schema, pretrained=False, img_size=32)
    optimizer = optimizer_of(network.groups(), replace(RECIPE, backbone_lr=1e-3))
    for _ in range(steps):
        sum(v.square().mean() for v in network(torch.rand(2, 3, 32, 32)).values()).backward()
        optimizer.step()
        optimizer.zero_grad()
    return network, optimizer


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_model_comes_back_as_it_was_written(schema, tmp_path):
    written = finished(tmp_path / "a folder", schema)
    read, config = load(tmp_path / "a folder", schema)
    assert equal(read.state_dict(), written.state_dict())
    assert not read.training
    assert (config["side"], read.info) == (36, written.info)
    assert sorted(p.name for p in (tmp_path / "a folder").iterdir()) == ["config.json", "model.safetensors"]


def test_equal_weights_give_equal_bytes_and_other_weights_do_not(schema, tmp_path):
    for name, seed in [("one", 1), ("two", 1), ("three", 2)]:
        finished(tmp_path / name, schema, seed=seed)
    one, two, three = (sha256(tmp_path / n / "model.safetensors") for n in ("one", "two", "three"))
    assert one == two != three


def test_normalisation_comes_from_the_checkpoint(schema, tmp_path):
    finished(tmp_path, schema)
    config = json.loads((tmp_path / "config.json").read_text())
    rewritten(tmp_path, network={**config["network"], "mean": [0.1, 0.2, 0.3]})
    assert load(tmp_path, schema)[0].mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_another_schema_is_refused(schema, tmp_path):
    finished(tmp_path, schema)
    other = Schema(schema.name, tuple(reversed(schema.attributes)))
    with pytest.raises(
        CheckpointError, match=r"the model answers material \(cotton, .*; the schema asks texture"
    ):
        load(tmp_path, other)


def test_a_flipped_byte_is_noticed(schema, tmp_path):
    finished(tmp_path, schema)
    path = tmp_path / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="SHA-256 differs"):
        load(tmp_path, schema)


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_keys_must_match_strictly(schema, tmp_path, change):
    finished(tmp_path, schema)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    if change == "missing":
        del weights["heads.1.bias"]
    else:
        weights["heads.9.bias"] = torch.zeros(2)
    save_file(weights, path)
    rewritten(tmp_path)
    with pytest.raises(CheckpointError, match=r"does not fit test_convnext: .*heads\.[19]\.bias"):
        load(tmp_path, schema)


def test_a_pickle_is_never_opened(schema, tmp_path):
    class Trap:
        def __reduce__(self):
            return (print, ("a pickle was opened",))

    network = finished(tmp_path, schema)
    (tmp_path / "model.safetensors").unlink()
    torch.save(network.state_dict(), tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"model\.safetensors is missing; other formats are not opened"):
        load(tmp_path, schema)
    torch.save({"w": Trap()}, tmp_path / "model.safetensors")
    rewritten(tmp_path)
    with pytest.raises(CheckpointError, match="does not fit"):
        load(tmp_path, schema)


def test_config_and_weights_are_sealed_together(schema, tmp_path):
    """Classes in another order would give other labels without a word."""
    finished(tmp_path, schema)
    config = json.loads((tmp_path / "config.json").read_text())
    name, classes = config["heads"][0]
    config["heads"][0] = [name, classes[::-1]]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"config.json and model.safetensors are not those .*SHA-256"):
        schema_of(tmp_path)
    finished(tmp_path / "other", schema, seed=1)
    shutil.copy(tmp_path / "other" / "config.json", tmp_path / "config.json")
    with pytest.raises(CheckpointError, match="SHA-256 differs"):
        load(tmp_path, schema)


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("network", "std"), [0.2, 0, 0.2], r"network.std.1 = 0; must be greater than 0"),
        (("network", "std"), [0.2, float("nan"), 0.2], r"network.std.1 = nan; must be"),
        (("network", "mean"), "grey", r"network.mean = 'grey'; must be a valid"),
        (("network",), [1], r"network = \[1\]; must be"),
        (("recipe", "image_size"), "32", r"recipe.image_size = '32'; must be a valid integer"),
        (("recipe", "image_size"), 0, r"recipe.image_size = 0; must be from 1"),
        (("recipe", "colour"), 1, r"unexpected keyword argument 'colour'"),
        (("side",), "256", r"side = '256'; must be a valid integer"),
        (("heads",), {"color": 3}, r"heads = \{'color': 3\}; must be a valid list"),
        (("heads",), [["color", []]], r"heads.0.1 = \[\]; must have at least 1 item"),
        (("heads",), [["../evil", ["a"]]], r"heads.0.0: name '../evil'; allowed"),
    ],
)
def test_a_config_that_says_what_cannot_be_is_refused_though_it_is_sealed(
    schema, tmp_path, where, value, message
):
    finished(tmp_path, schema)
    config = json.loads((tmp_path / "config.json").read_text())
    part = config
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = value
    rewritten(tmp_path, **config)
    with pytest.raises(CheckpointError, match=message):
        schema_of(tmp_path)


def test_weights_that_are_no_numbers_are_refused(schema, tmp_path):
    finished(tmp_path, schema)
    weights = load_file(tmp_path / "model.safetensors")
    weights["heads.1.bias"][0] = torch.nan
    save_file(weights, tmp_path / "model.safetensors")
    rewritten(tmp_path)
    with pytest.raises(CheckpointError, match=r"model.safetensors: heads.1.bias is not finite"):
        load(tmp_path, schema)


def test_predictions_that_are_no_numbers_stop(schema, tmp_path, monkeypatch):
    finished(tmp_path, schema)
    pixels = np.zeros((2, 36, 36, 3), np.uint8)
    assert len(predict(tmp_path, pixels, np.arange(2), schema)) == 2
    bad = {a.name: torch.full((2, len(a)), torch.inf if a.name == "color" else 0.0) for a in schema}
    monkeypatch.setattr(heads, "outputs_of", lambda *_, **__: bad)
    with pytest.raises(CheckpointError, match="predictions of color are not finite"):
        predict(tmp_path, pixels, np.arange(2), schema)


def test_an_unfinished_model_is_no_model(schema, tmp_path):
    finished(tmp_path, schema)
    (tmp_path / "config.json").unlink()
    with pytest.raises(CheckpointError, match="no finished model"):
        load(tmp_path, schema)
    with pytest.raises(CheckpointError, match="no finished model"):
        load(tmp_path / "nowhere", schema)


def test_a_state_restores_weights_and_moments_exactly(schema, tmp_path):
    store = Store(tmp_path)
    network, optimizer = stepped(schema, 3)
    progress = {"fingerprint": "f", "history": [{"loss": 0.1 + 0.2, "score": float("nan")}]}
    checkpoint.save_state(store, {"network": network}, optimizer, progress)
    other, fresh = stepped(schema, 1, seed=5)
    got = checkpoint.load_state(store, {"network": other}, fresh, "f")
    assert got["history"][0]["loss"] == 0.1 + 0.2 and np.isnan(got["history"][0]["score"])
    assert equal(other.state_dict(), network.state_dict())
    ours, theirs = optimizer.state_dict()["state"], fresh.state_dict()["state"]
    assert ours.keys() == theirs.keys() and len(ours) == len(list(network.parameters()))
    assert all(equal(ours[i], theirs[i]) for i in ours)


def test_an_average_of_the_weights_comes_back_beside_them(schema, tmp_path):
    network, optimizer = stepped(schema, 1)
    average = WeightAverage(network, decay=0.5)
    average.update()
    for parameter in network.parameters():
        parameter.data += 1
    average.update()
    networks = {"network": network, "average": average.network}
    checkpoint.save_state(Store(tmp_path), networks, optimizer, {"fingerprint": "f"})
    other, fresh = stepped(schema, 1, seed=5)
    again = {"network": other, "average": WeightAverage(other).network}
    checkpoint.load_state(Store(tmp_path), again, fresh, "f")
    assert equal(again["average"].state_dict(), average.network.state_dict())
    assert equal(other.state_dict(), network.state_dict())
    assert not equal(other.state_dict(), again["average"].state_dict())


def test_a_model_of_another_task_is_refused(schema, tmp_path):
    finished(tmp_path, schema)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "task": "contrastive"}))
    with pytest.raises(CheckpointError, match="a model of the task 'contrastive'; 'heads' is needed"):
        load(tmp_path, schema)


def test_moments_come_back_in_the_layout_of_their_parameters(schema, tmp_path):
    store = Store(tmp_path)
    network, optimizer = stepped(schema, 1)
    checkpoint.save_state(store, {"network": network}, optimizer, {"fingerprint": "f"})
    other, fresh = stepped(schema, 1, seed=5)
    other.to(memory_format=torch.channels_last)
    checkpoint.load_state(store, {"network": other}, fresh, "f")
    changed = [p for p in other.parameters() if not p.is_contiguous()]
    assert changed
    assert all(fresh.state[p]["exp_avg"].stride() == p.stride() for p in other.parameters())
    assert equal(other.state_dict(), network.state_dict())


@pytest.mark.parametrize("harm", ["other", "cut", "absent", "pickle"])
def test_a_state_that_is_not_this_trainings_is_left_alone(schema, tmp_path, harm):
    store = Store(tmp_path)
    network, optimizer = stepped(schema, 1)
    checkpoint.save_state(store, {"network": network}, optimizer, {"fingerprint": "f"})
    path = store.path(checkpoint.STATE)
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif harm == "absent":
        shutil.rmtree(path.parent)
    elif harm == "pickle":
        torch.save({}, path)
    other, fresh = stepped(schema, 1, seed=5)
    before = {k: v.clone() for k, v in other.state_dict().items()}
    assert checkpoint.load_state(store, {"network": other}, fresh, "g" if harm == "other" else "f") is None
    assert equal(before, other.state_dict())


def test_beginning_anew_leaves_nothing_that_could_pass_for_a_model(schema, tmp_path):
    finished(tmp_path, schema)
    (tmp_path / "notes.txt").write_text("mine")
    checkpoint.begin(Store(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
