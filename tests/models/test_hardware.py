"""When compiling pays, and that the reason is logged."""

from dataclasses import replace

import pytest
import torch

from swatchbook.models.hardware import compiling_pays
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
    pays, reason = compiling_pays("auto", "cuda", networks[backbone], left)
    assert pays is expected
    assert f"of the {left:.0f} s left" in reason and "60 s to compile" in reason


def test_a_cpu_does_not_compile_unless_it_is_asked_to(networks):
    assert not compiling_pays("auto", "cpu", networks["test_vit"], 1e6)[0]
    assert compiling_pays("yes", "cpu", networks["test_vit"], 0.0)[0]
    assert not compiling_pays("no", "cuda", networks["test_vit"], 1e6)[0]


def test_the_training_compiles_after_its_first_epoch_and_goes_on(schema, tmp_path, monkeypatch):
    compiled, lines = [], []

    def watched(module, **how):
        compiled.append(how)
        return module

    monkeypatch.setattr(torch, "compile", watched)
    folder = run(tmp_path / "yes", schema, replace(TINY, compile="yes"), log=lines.append)
    assert compiled == [{"dynamic": False}]
    first = next(k for k, line in enumerate(lines) if line.startswith("epoch   1/2"))
    assert lines[first + 1] == "torch.compile: yes, asked for"
    plain = run(tmp_path / "no", schema, replace(TINY, compile="no"))
    assert len(compiled) == 1
    assert history(folder)["train_loss"].tolist() == history(plain)["train_loss"].tolist()
    assert weights(folder) == weights(plain)


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValueError, match=r"compile = 'perhaps'; must be one of auto, yes, no"):
        replace(TINY, compile="perhaps")
