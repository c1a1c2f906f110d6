"""A small vocabulary of our own: byte-level pieces learned from the captions.

The usual CLIP vocabulary has 49,408 entries; at the width of a small text tower its table alone would
outweigh the rest of the model, and nearly all of it would never be trained.
"""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from swatchbook.atomic import write_file

VOCABULARY = 768
_SPECIAL = ("<pad>", "<end>", "<unknown>")


def write_tokenizer(sentences: list[str], folder: Path) -> None:
    """Learn byte-pair pieces and write ``tokenizer.json`` and ``tokenizer_config.json``.

    Args:
        sentences: Lower-case text to learn from.
        folder: An existing folder.

    Source:
        Byte-pair encoding, Sennrich et al. (2016), arXiv 1508.07909.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=_SPECIAL[2]))
    # Hyphens part words, so that see-through and see through are one.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("-", "removed"), pre_tokenizers.ByteLevel(add_prefix_space=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {_SPECIAL[1]}", special_tokens=[(_SPECIAL[1], 1)]
    )
    write_file(folder / "tokenizer.json", lambda path: tokenizer.save(str(path)))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": _SPECIAL[0],
        "eos_token": _SPECIAL[1],
        "unk_token": _SPECIAL[2],
        "model_max_length": 24,
    }
    text = json.dumps(config, indent=2) + "\n"
    write_file(folder / "tokenizer_config.json", lambda path: path.write_text(text, encoding="utf-8"))
