"""The recipe of the bundled labeller: draw, train, measure, write.

``python -m swatchbook.labeller.training.train --work DIR`` regenerates the folder ``bundled`` of the
package: config, tokenizer, weights, fixture, ``recipe.json`` and ``MODEL_CARD.md``. A killed run resumes
at the last whole epoch. On a GPU the same command takes more images, more epochs and a larger tower:

    python -m swatchbook.labeller.training.train --work DIR --device cuda --bfloat16 \
        --images 200000 --epochs 30 --tower convnext_atto --pixels 128
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from swatchbook.atomic import write_file
from swatchbook.drawn.balanced import SIDE, drawer_sha256
from swatchbook.labeller import BUNDLED, WEIGHTS
from swatchbook.labeller.training.quality import drawn_quality, photograph_quality
from swatchbook.labeller.training.recipe import OPTIONS, RECIPE, Design
from swatchbook.labeller.training.task import train
from swatchbook.labeller.zero_shot import Labeller, write_fixture

LARGEST = 16 * 2**20  # bytes of weights that the package may carry
_JUDGE_SEED = 1_000_003  # of drawn images that are never trained on
_CARD = """# Model card: Swatchbook's bundled labeller

A small open_clip model ({parameters:.2f} million parameters, {megabytes:.1f} MB) that compares a picture of a
garment with a sentence. Image tower `{tower}` of timm, trained at up to {pixels} px and used at
{seen_pixels} px; text tower of {layers} layers and width {width}; {embed} dimensions. It was trained from
scratch on {images:,} garments drawn by this package, each seen {epochs} times on average, and captions made
from their known labels; no photograph was used.

Regenerate it with `python -m swatchbook.labeller.training.train --work DIR`; settings are in `recipe.json`.

## What it is for

It labels the drawn demo, and folders of photographs with no network, GPU or account. Its mistakes are part of
what the study measures. Confidences are a softmax of 100 × cosine.

## How good it is on drawn images

{n} images drawn with another seed, every attribute independent of the others and uniform; every image is
labelled, sure or not. {interval}. Majority is the share of the commonest class; ECE is the expected
calibration error of the confidences (15 bins). Prompts: the schema's, or sentences never trained on.

{drawn}

{useless}

## How good it is on photographs

{photographs}

## What it cannot do

- It knows only what it was trained on: {classes}. Of anything else it will answer one of these.
- It was trained on drawings. Where photographs differ (several garments, people, prints, dim light), expect
  errors, and confidences that are too high.
- Two colours that share a boundary (navy and black, beige and white, blue and navy) are told apart where a
  drawing's palette puts the boundary.
- Words that no caption used mean little to it.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, measure and write a labeller; see ``--help``."""
    options = _parser().parse_args(arguments)
    design = Design(**{f.name: getattr(options, f.name) for f in dataclasses.fields(Design)})
    chosen = {setting: getattr(options, option) for option, setting in OPTIONS.items()}
    recipe = dataclasses.replace(
        RECIPE,
        **chosen,
        text_lr=options.rate,
        crop_share=min(1.0, options.pixels / SIDE),
        precision="bf16" if options.bfloat16 else "fp32",
        threads=options.threads or torch.get_num_threads(),
    )
    started = time.perf_counter()
    train(
        design,
        recipe,
        options.out,
        options.work,
        options.device,
        source=options.source,
        workers=options.workers,
    )
    seconds = time.perf_counter() - started
    size = (options.out / WEIGHTS).stat().st_size
    if size > LARGEST:
        raise SystemExit(f"the weights take {size / 2**20:.1f} MiB; at most 16 may be kept in the package")
    write_fixture(options.out)
    labeller = Labeller.load(f"local-dir:{options.out}", device=options.device)
    rng = np.random.default_rng(recipe.seed)
    drawn = drawn_quality(labeller, options.judged, _JUDGE_SEED, rng)
    photographs = photograph_quality(labeller, options.photographs, rng) if options.photographs else None
    facts = {
        "recipe": {**dataclasses.asdict(design), **{name: getattr(options, name) for name in OPTIONS}},
        "device": options.device,
        "bfloat16": options.bfloat16,
        "seconds_of_last_run": round(seconds),
        "drawer_sha256": drawer_sha256(),
        "versions": {name: version(name) for name in ("torch", "timm", "open_clip_torch", "swatchbook")},
        "parameters": sum(p.numel() for p in labeller.model.parameters()),
        "judged_images": options.judged,
        "judged_seed": _JUDGE_SEED,
        "drawn": _records(drawn),
        "photographs": None if photographs is None else _records(photographs),
        "photographs_consulted": options.consulted,
    }
    written = {
        "recipe.json": json.dumps(facts, indent=1) + "\n",
        "MODEL_CARD.md": model_card(facts, size, drawn, photographs),
    }
    for name, text in written.items():
        write_file(options.out / name, lambda path, text=text: path.write_text(text, encoding="utf-8"))
    print(f"{options.out}: {size / 2**20:.1f} MiB of weights, card and recipe written", flush=True)


def model_card(facts: dict, size: int, drawn: pd.DataFrame, photographs: pd.DataFrame | None) -> str:
    """The model card as Markdown.

    Args:
        facts: The content of ``recipe.json``.
        size: Bytes of weights.
        drawn: As from ``drawn_quality``.
        photographs: As from ``photograph_quality``, or None where none were given.
    """
    classes = drawn[(drawn["metric"] == "f1") & (drawn["prompts"] == "schema")]
    by_attribute = classes.groupby("attribute", sort=False)["class"].agg(", ".join)
    if photographs is None:
        seen = "Not measured: no judged photographs were given (`--photographs`)."
    else:
        times = facts["photographs_consulted"]
        seen = (
            "Colour and pattern of photographs judged by a vision-language model, not by a person; every one "
            "labelled, `blue` accepting navy. They were never trained on, "
            f"and were consulted {times} time{'' if times == 1 else 's'}, this one included.\n\n"
            f"{_markdown(photographs)}"
        )
    return _CARD.format(
        **facts["recipe"],
        parameters=facts["parameters"] / 1e6,
        megabytes=size / 1e6,
        n=facts["judged_images"],
        interval=f"95 % intervals: {drawn['interval'].iloc[0]}",
        drawn=_markdown(drawn),
        useless=_useless(drawn),
        photographs=seen,
        classes="; ".join(f"{attribute}: {labels}" for attribute, labels in by_attribute.items()),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m swatchbook.labeller.training.train", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--work", type=Path, required=True, help="folder of drawn images and training state")
    parser.add_argument("--source", type=Path, help="clone of the judged photographs' data set")
    parser.add_argument("--out", type=Path, default=BUNDLED, help="folder to write (default: the package's)")
    defaults = {field.name: field.default for field in dataclasses.fields(Design)}
    defaults |= {option: getattr(RECIPE, setting) for option, setting in OPTIONS.items()}
    for name, default in defaults.items():
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=type(default), default=default, help="(%(default)s)")
    parser.add_argument("--device", default="cpu", help="such as cpu or cuda (%(default)s)")
    parser.add_argument("--bfloat16", action="store_true", help="faster on GPUs from Ampere on and some CPUs")
    parser.add_argument("--threads", type=int, help="threads of a CPU (default: all)")
    parser.add_argument("--workers", type=int, help="processes that draw (default: all cores)")
    parser.add_argument("--judged", type=int, default=2000, help="drawn images to measure on (%(default)s)")
    parser.add_argument(
        "--photographs", type=Path, help="folder with audit.csv, to measure on, never to train"
    )
    parser.add_argument("--consulted", type=int, default=1, help="how often these photographs were looked at")
    return parser


def _useless(drawn: pd.DataFrame) -> str:
    """Which attributes it answers no better than by naming the commonest class, as a sentence."""
    whole = drawn[(drawn["class"] == "all") & (drawn["prompts"] == "schema")]
    by = whole.pivot_table(index="attribute", columns="metric", values="value")
    low = whole[whole["metric"] == "accuracy"].set_index("attribute")["low"]
    # Two points: what is barely above the commonest class is of no use either.
    useless = [name for name in by.index if low[name] < by.loc[name, "majority"] + 0.02]
    if not useless:
        return "On every attribute it is clearly better than always naming the commonest class."
    return f"**Do not use it for {' or '.join(useless)}**: there it is no better than the commonest class."


def _records(table: pd.DataFrame) -> list[dict]:
    return json.loads(table.round(4).to_json(orient="records"))


def _markdown(table: pd.DataFrame) -> str:
    """Whole attributes of a quality table, a line each."""
    lines = [
        "| attribute | prompts | n | accuracy | macro-F1 | majority | ECE |",
        "|---|---|---|---|---|---|---|",
    ]
    whole = table[table["class"] == "all"]
    for (attribute, prompts), rows in whole.groupby(["attribute", "prompts"], sort=False):
        by = rows.set_index("metric")
        scores = [f"{by.value[m]:.3f} ({by.low[m]:.3f}–{by.high[m]:.3f})" for m in ("accuracy", "macro_f1")]
        plain = [f"{by.value[m]:.3f}" for m in ("majority", "ece")]
        cells = [attribute, prompts, str(int(by.n["accuracy"])), *scores, *plain]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
