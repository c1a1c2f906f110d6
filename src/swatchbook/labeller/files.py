"""Where a labeller's files are (package, folder, the Hub's cache), and that they are the right ones."""

from __future__ import annotations

import json
import re
from pathlib import Path

from swatchbook.labeller import LabellerError, folder_of, kind_and_place

# Commits that are loaded where a name gives none; others follow their main branch.
REVISIONS = {"Marqo/marqo-fashionSigLIP": "c56244cc94f92419e8369fa71efdaf403b124ce8"}
CONFIG = "open_clip_config.json"
WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
FIXTURE = "fixture.json"
TEXT_CONFIG = "config.json"  # of a text tower of transformers
_TOKENIZER = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
SMALL = (
    CONFIG,
    *_TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
)


def found_at(name: str, cache_dir: str | Path | None) -> tuple[Path, str]:
    """Where a named model lies on this disk, and its commit if it comes from the Hub."""
    if here := folder_of(name):
        return here, ""
    repository, _, revision = kind_and_place(name)[1].partition("@")
    folder = _snapshot(repository, revision or REVISIONS.get(repository, "main"), cache_dir, weights=True)
    return folder, folder.name


def _snapshot(repository: str, revision: str, cache_dir: str | Path | None, *, weights: bool) -> Path:
    """The folder of a repository at a commit: from the cache if it is whole, else from the network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import HfHubHTTPError

    needed = CONFIG if weights else "tokenizer_config.json"

    def look(patterns: tuple[str, ...], offline: bool) -> Path | None:
        found = Path(
            snapshot_download(
                repository,
                revision=revision,
                cache_dir=cache_dir,
                allow_patterns=list(patterns),
                local_files_only=offline,
            )
        )
        whole = (found / needed).is_file() and (not weights or any((found / w).is_file() for w in WEIGHTS))
        return found if whole else None

    reason = "the repository lacks " + (f"{needed} or weights of open_clip" if weights else needed)
    # Safetensors cannot carry code, so a pickle is asked for only where there is nothing else.
    attempts = [((), True), ((*SMALL, *WEIGHTS[:2]), False), ((*SMALL, *WEIGHTS), False)]
    for patterns, offline in attempts if weights else [((), True), (SMALL, False)]:
        try:
            if folder := look(patterns or (*SMALL, *WEIGHTS), offline):
                return folder
        except (OSError, ValueError, HfHubHTTPError) as error:
            reason = str(error).splitlines()[0]
            if not offline:
                break  # asking again for more would only wait again
    where = Path(cache_dir) if cache_dir else Path(HF_HUB_CACHE)
    option = f" --cache-dir {where}" if cache_dir else ""
    raise LabellerError(
        f"{repository} at {revision} is not whole in the cache {where} and cannot be fetched ({reason}). "
        f"Where there is a network: hf download {repository} --revision {revision}{option}"
    )


def config_of(folder: Path) -> dict:
    """The model's config; its preprocessing must be written in it, not left to defaults."""
    path = folder / CONFIG
    if not path.is_file():
        raise LabellerError(f"{folder} has no {CONFIG}")
    config = _json(path)
    missing = {"mean", "std"} - set(config.get("preprocess_cfg") or {})
    if "model_cfg" not in config or missing:
        raise LabellerError(
            f"{path} must hold model_cfg, and preprocess_cfg with mean and std; without them images would "
            "silently be normalised as OpenAI's are"
        )
    return config


def text_config(folder: Path, config: dict) -> dict[str, dict]:
    """What open_clip has to be told of a text tower whose own config lies in the model's folder.

    open_clip looks for such a config by a path or on the Hub and never beside its own, so that a folder that
    was moved would not be found, and no folder without a network.

    Returns:
        ``text_cfg``, to be given to open_clip by keyword; nothing where there is no such tower.
    """
    text = config["model_cfg"].get("text_cfg", {})
    if "hf_model_name" not in text or not (folder / TEXT_CONFIG).is_file():
        return {}
    return {"text_cfg": {**text, "hf_model_name": str(folder), "hf_model_pretrained": False}}


def weights_of(folder: Path) -> Path:
    """The model's file of weights, safetensors where there are any."""
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise LabellerError(f"{folder} has no weights; looked for {', '.join(WEIGHTS)}")


def has_tokenizer(folder: Path) -> bool:
    """Whether a tokenizer lies beside a model."""
    return any((folder / name).is_file() for name in _TOKENIZER)


def small_files(repository: str, cache_dir: str | Path | None) -> Path:
    """The folder of a repository's config and tokenizer, without its weights."""
    return _snapshot(repository, "main", cache_dir, weights=False)


def check_digest(weights: Path, digest: str, folder: Path) -> None:
    """Compare with the fixture's digest, or with the Hub's, which names its cached files by theirs."""
    fixture, stored = folder / FIXTURE, weights.resolve().name
    expected = stored if re.fullmatch(r"[0-9a-f]{64}", stored) else None
    if fixture.is_file():
        expected = _json(fixture).get("weights_sha256")
    if expected and digest != expected:
        raise LabellerError(
            f"{weights} has SHA-256 {digest}, not {expected}: it is damaged or another file; fetch it again"
        )


def _json(path: Path) -> dict:
    """The mapping that a file of a labeller holds."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise LabellerError(f"{path} is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise LabellerError(f"{path} holds {type(content).__name__}; a mapping is needed")
    return content
