"""A timm backbone with one linear head an attribute, its weights loaded strictly and never unpickled."""

from __future__ import annotations

import json
from pathlib import Path

import timm
import torch
from huggingface_hub import constants, hf_hub_download
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from swatchbook import labeller as labels
from swatchbook.labeller import TOWER
from swatchbook.schema import Schema
from swatchbook.store import sha256

LOCAL = "local-dir:"
LABELLER = labels.BUNDLED  # whose image tower is a backbone
WEIGHTS = "model.safetensors"
SETTINGS = ("num_classes", "fixed_input_size", "mean", "std")  # of timm's, those that matter here


class WeightsError(RuntimeError):
    """Weights that cannot be had or do not fit; the message says why and what to do."""


class Network(nn.Module):
    """A backbone's pooled features and, of each attribute, a linear layer's logits on them.

    It takes views in [0, 1] and normalises them itself, so that no caller can forget or mistake it.

    Attributes:
        backbone: The timm model without its classifier.
        heads: Linear layers in schema order.
        names: The attributes' names in the same order.
        image_size: Side of the input in pixels.
        info: What the weights are: `backbone` (the name with its tag), `architecture`, `source`,
            `revision`, `sha256`, and the `mean` and `std` that the backbone was trained with.
    """

    def __init__(self, backbone: nn.Module, schema: Schema, image_size: int, info: dict) -> None:
        super().__init__()
        self.backbone = backbone
        # A list and not a ModuleDict, which refuses attributes called `type` or `training`.
        self.heads = nn.ModuleList(nn.Linear(backbone.num_features, len(a)) for a in schema)
        self.names = schema.names
        self.image_size = image_size
        self.info = info
        self.register_buffer("mean", torch.tensor(info["mean"])[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(info["std"])[:, None, None], persistent=False)

    def place(self, device: str) -> Network:
        """Move to a device, in the memory layout that is fastest there for the backbone's kind."""
        convolutional = sum(parameter.ndim == 4 for parameter in self.parameters()) > 1
        # Channels last: convolutions gain up to a half, on GPUs and CPUs alike; transformers nothing.
        layout = torch.channels_last if convolutional else torch.preserve_format
        return self.to(device).to(memory_format=layout)

    def features(self, views: torch.Tensor) -> torch.Tensor:
        """Views in [0, 1], shape (n, 3, side, side) → pooled features of shape (n, D)."""
        return self.backbone((views - self.mean) / self.std)

    def forward(self, views: torch.Tensor) -> dict[str, torch.Tensor]:
        """Views in [0, 1], shape (n, 3, side, side) → attribute → logits of shape (n, K)."""
        features = self.features(views)
        return {name: head(features) for name, head in zip(self.names, self.heads, strict=True)}


def build(
    backbone: str,
    schema: Schema,
    *,
    pretrained: bool,
    cache_dir: str | Path | None = None,
    img_size: int = 224,
) -> Network:
    """Build a network by the backbone's name.

    A transformer with a fixed input, such as DINOv2, is built for `img_size`: timm resamples its
    position embedding once, when the weights are loaded, and not at every forward pass. Features are
    the CLS token of DINOv2 and DINOv3 and otherwise what the backbone pools itself.

    Args:
        backbone: A timm name, best with its tag (``resnet50.tv_in1k``); ``local-dir:PATH``, a folder
            with timm's `config.json` and `model.safetensors`; or ``swatchbook-tower``, the image tower of
            the labeller in the box, trained on drawn garments, without its projection.
        schema: Gives the heads.
        pretrained: Load the backbone's weights; False starts from random ones.
        cache_dir: The Hugging Face Hub cache to read and to download into; the user's own by default.
        img_size: Side of the input in pixels.

    Raises:
        ValueError: If the name is unknown or the size does not fit the backbone.
        WeightsError: If the weights are not there and cannot be downloaded, are offered as a pickle
            only, are damaged, or have missing, unknown or misshapen entries.
    """
    name, cfg, file, info = _resolve(backbone, pretrained, cache_dir)
    wanted = {"img_size": img_size} if cfg["fixed_input_size"] else {}
    if "dinov3" in name and cfg["fixed_input_size"]:
        wanted["global_pool"] = "token"  # timm averages the patches by default; DINOv2 gives its CLS token
    if pretrained and backbone != TOWER:
        # With the checkpoint's own number of classes timm loads strictly; with 0 it would drop strictness
        # and leave a missing entry random.
        wanted["num_classes"] = cfg["num_classes"]
        wanted["pretrained_cfg_overlay"] = {**cfg, "file": str(file), "custom_load": False}
    try:
        model = timm.create_model(name, pretrained=pretrained and backbone != TOWER, **wanted)
    except Exception as error:
        reason = " ".join(str(error).split())
        if not pretrained:
            raise ValueError(f"backbone {backbone!r} at img_size={img_size}: {reason}") from error
        raise WeightsError(f"weights {file} do not fit backbone {backbone!r}: {reason}") from error
    model.reset_classifier(0)
    if pretrained and backbone == TOWER:
        _load_tower(model, file)
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", (1, 1))
    if img_size % patch[0] or img_size % patch[1]:
        raise ValueError(
            f"img_size={img_size} does not fit {backbone!r}; allowed: multiples of its patch, {patch[0]}"
        )
    return Network(model, schema, img_size, info)


def _resolve(
    backbone: str, pretrained: bool, cache_dir: str | Path | None
) -> tuple[str, dict, Path | None, dict]:
    """The architecture, timm's settings of its weights, the file of weights, and what they are."""
    source, revision, file = "random", None, None
    if backbone.startswith(LOCAL):
        folder = Path(backbone.removeprefix(LOCAL)).expanduser()
        name, cfg = _read_local(folder)
        if pretrained:
            source, file = str(folder), _only_safetensors(folder)
    elif backbone == TOWER:
        name, cfg = _read_tower()
        if pretrained:
            source, file = "bundled labeller", LABELLER / labels.WEIGHTS
    else:
        default = _published_settings(backbone)
        name = f"{default.architecture}.{default.tag}" if default.tag else default.architecture
        cfg = {key: getattr(default, key) for key in SETTINGS}
        if pretrained:
            source, file = default.hf_hub_id, _from_hub(name, default, cache_dir)
            revision = file.parent.name
    info = {
        "backbone": backbone if backbone.startswith(LOCAL) or backbone == TOWER else name,
        "architecture": name.partition(".")[0],
        "source": source,
        "revision": revision,
        "sha256": sha256(file) if file else None,
        "mean": list(cfg["mean"]),
        "std": list(cfg["std"]),
    }
    return name, cfg, file, info


def _published_settings(name: str) -> timm.models.PretrainedCfg:
    """Timm's settings of a name; without a tag, of the default one."""
    architecture, _, tag = name.partition(".")
    tags = timm.list_models(f"{architecture}.*", pretrained=True)
    if timm.is_model(architecture) and (not tag or name in tags):
        return timm.get_pretrained_cfg(name)
    near = ", ".join((tags or timm.list_models(f"*{architecture}*", pretrained=True))[:8])
    such = f" such as {near}" if near else ""
    raise ValueError(f"backbone {name!r} is unknown; allowed: timm's names{such}, {LOCAL}PATH, or {TOWER}")


def _read_local(folder: Path) -> tuple[str, dict]:
    """Architecture and settings of a folder in timm's layout."""
    try:
        written = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        name, given = written["architecture"], written.get("pretrained_cfg", written)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{LOCAL}{folder}: a config.json that names its `architecture` is needed; received {error!r}"
        ) from None
    if not timm.is_model(name):
        raise WeightsError(f"{LOCAL}{folder}: architecture {name!r} is unknown to timm")
    default = timm.get_pretrained_cfg(name)
    return name, {key: given.get(key, getattr(default, key)) for key in SETTINGS}


def _read_tower() -> tuple[str, dict]:
    """Architecture of the labeller's image tower, and the mean and deviation it was trained with."""
    written = json.loads((LABELLER / "open_clip_config.json").read_text(encoding="utf-8"))
    name, seen = written["model_cfg"]["vision_cfg"]["timm_model_name"], written["preprocess_cfg"]
    default = timm.get_pretrained_cfg(name)
    return name, {key: seen.get(key, getattr(default, key)) for key in SETTINGS}


def _load_tower(model: nn.Module, file: Path) -> None:
    """Load the tower's weights, kept as half floats, and nothing else of the labeller."""
    prefix = "visual.trunk."
    try:
        weights = {k.removeprefix(prefix): v for k, v in load_file(file).items() if k.startswith(prefix)}
        model.load_state_dict(weights, strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"weights {file} do not fit backbone {TOWER!r}: {reason}") from error


def _only_safetensors(folder: Path) -> Path:
    file = folder / WEIGHTS
    if not file.is_file():
        others = sorted(p.name for p in folder.glob("*") if p.suffix in (".bin", ".pt", ".pth", ".pkl"))
        there = f"found {', '.join(others)}, which can run code when opened" if others else "found none"
        raise WeightsError(f"{LOCAL}{folder}: {WEIGHTS} is needed; {there}")
    return file


def _from_hub(name: str, cfg: timm.models.PretrainedCfg, cache_dir: str | Path | None) -> Path:
    """The file of weights in the local Hub cache, downloaded if it is not there."""
    if not cfg.hf_hub_id:
        raise WeightsError(f"no weights of {name!r} are published as safetensors on the Hugging Face Hub")
    wanted = cfg.hf_hub_filename or WEIGHTS
    wanted = wanted if wanted.endswith(".safetensors") else WEIGHTS
    try:
        return Path(hf_hub_download(cfg.hf_hub_id, wanted, cache_dir=cache_dir))
    except Exception as error:  # the Hub's client raises its own, requests' and the system's errors
        where = cache_dir or constants.HF_HUB_CACHE
        raise WeightsError(
            f"weights of {name!r} are not in the Hub cache {where} and cannot be downloaded "
            f"({type(error).__name__}); where there is a network, run: "
            f"hf download {cfg.hf_hub_id} {wanted} --cache-dir {where}"
        ) from error
