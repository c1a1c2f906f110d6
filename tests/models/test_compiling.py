"""When compiling pays back, and that it is said."""

from dataclasses import replace

import pytest
import torch

from swatchbook.models.compiling import pays_back
from swatchbook.models.network import build
from swatchbook.schema import Schema
from tests.models.test_training import TINY, history, run, weights


@pytest.fixture(scope="module")
def networks():
    schema = Schema.load()
    return {
        name: build(name, schema, pretrained=False, img_size=size)
        for name, size in (("test_resnet", 32), ("test_vit", 160))
    }


@pytest.mark.parametrize(
    ("backbone", "left", "expected"),
    [
        ("test_vit", 500.0, True),  # 150 s saved, twice 60 s wanted
        ("test_vit", 399.0, False),  # 119.7 s
        ("test_resnet", 9000.0, False),  # a convolutional network was no faster compiled
    ],
)
def test_it_must_save_twice_what_it_costs(networks, backbone, left, expected):
    decision = pays_back("auto", "cuda", networks[backbone], left)
    assert decision.compile is expected
    assert f"of the {left:.0f} s left" in decision.reason and "60 s to compile" in decision.reason


def test_a_cpu_does_not_compile_and_who_insists_is_heard(networks):
    assert not pays_back("auto", "cpu", networks["test_vit"], 1e6).compile
    assert pays_back("yes", "cpu", networks["test_vit"], 0.0).compile
    assert not pays_back("no", "cuda", networks["test_vit"], 1e6).compile


def test_the_training_compiles_after_its_first_epoch_and_goes_on(schema, tmp_path, monkeypatch):
    compiled, said = [], []

    def watched(module, **how):
        compiled.append(how)
        return module

    monkeypatch.setattr(torch, "compile", watched)
    folder = run(tmp_path / "yes", schema, replace(TINY, compile="yes"), log=said.append)
    assert compiled == [{"dynamic": False}]
    first = next(k for k, line in enumerate(said) if line.startswith("epoch   1/2"))
    assert said[first + 1] == "torch.compile: yes, asked for"
    plain = run(tmp_path / "no", schema, replace(TINY, compile="no"))
    assert len(compiled) == 1
    assert history(folder)["train_loss"].tolist() == history(plain)["train_loss"].tolist()
    assert weights(folder) == weights(plain)


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValueError, match=r"recipe.compile = 'perhaps'; must be one of auto, yes, no"):
        replace(TINY, compile="perhaps")
