"""What the labeller in the box owes to drawings, to judged photographs, to its trunk and to its garment map.

    python benchmarks/labeller_ablation.py CLONE --work DIR --out docs/results/labeller_ablation.csv

CLONE holds the judged photographs (see `swatchbook.labeller.judged`). Each variant is trained anew with each
seed, on fewer drawings and at a smaller size than the labeller that is shipped, so its scores are below that
one's; they are for comparing with each other. Scored are the validation photographs of the judged set and
freshly drawn garments, every one labelled, before any calibration. Rows are written after each training, and
a training whose rows are in the file is not repeated. About an hour and a half on one core.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from timm.models import build_model_with_cfg, register_model
from torch import nn

from swatchbook.atomic import write_file
from swatchbook.csv_io import write_csv
from swatchbook.drawn.balanced import SIDE
from swatchbook.labeller.files import CONFIG
from swatchbook.labeller.tower import GarmentTower
from swatchbook.labeller.training.captions import corpus
from swatchbook.labeller.training.images import training_set
from swatchbook.labeller.training.quality import drawn_quality, judged_quality
from swatchbook.labeller.training.recipe import RECIPE, Design, model_config
from swatchbook.labeller.training.task import SCALE, GarmentCaptions
from swatchbook.labeller.training.tokenizer import write_tokenizer
from swatchbook.labeller.zero_shot import Labeller
from swatchbook.models import training
from swatchbook.models.finished import CONFIG as FINISHED
from swatchbook.models.tasks.contrastive import export
from swatchbook.pipeline.provenance import provenance

SMALL = Design(images=3000, photograph_share=0.5, seen_pixels=128, tower="garment_lite0", tuning=0)
VARIANTS = {
    "both": {},
    "drawings only": {"photograph_share": 0.0},
    "photographs only": {"photograph_share": 0.9999},  # one drawing in ten thousand
    "both, trunk frozen": {"frozen": 8},
    "both, no garment map": {"tower": "garment_lite0_everywhere"},
}
JUDGE_SEED, JUDGED = 1_000_004, 1000  # of drawn images that are never trained on
COLUMNS = ["variant", "seed", "photographs", "attribute", "metric", "value", "low", "high", "n", "minutes"]
COLUMNS += ["command", "commit"]


class _Everywhere(nn.Module):
    """A garment map that is the same everywhere."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(maps[:, :1])


class _Plain(GarmentTower):
    def __init__(self, *given: object, **named: object) -> None:
        super().__init__(*given, **named)
        self.garment = _Everywhere()


@register_model
def garment_lite0_everywhere(pretrained: bool = False, **arguments: object) -> GarmentTower:
    """`GarmentTower` that pools the whole picture and nothing beside it."""
    return build_model_with_cfg(_Plain, "garment_lite0", pretrained, size=0, **arguments)


def train(variant: str, seed: int, source: Path, work: Path, seen: int) -> Path:
    """Train a variant, or find it trained.

    Returns:
        The folder of the labeller.
    """
    design = dataclasses.replace(SMALL, **VARIANTS[variant])
    images, labels = training_set(work, design, 1, source)
    recipe = dataclasses.replace(
        RECIPE,
        seed=seed,
        epochs=max(1, round(seen / len(labels))),
        image_size=design.seen_pixels,
        crop_share=design.seen_pixels / SIDE,
        early=0.0,
        ema=0.98,  # of fewer steps
        threads=torch.get_num_threads(),
    )
    name = f"{variant.replace(', ', '_').replace(' ', '_')}_{seed}"
    model, out = work / "models" / name, work / "labellers" / name
    out.mkdir(parents=True, exist_ok=True)
    config = json.dumps(model_config(design)) + "\n"
    write_file(out / CONFIG, lambda path: path.write_text(config, encoding="utf-8"))
    write_tokenizer(corpus(np.random.default_rng([1, 0])), out)
    if not (model / FINISHED).is_file():
        training.train(GarmentCaptions(out, labels, design), images, recipe, model, device="cpu")
    export(model, out, scale=SCALE)
    return out


def main(given: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, metavar="CLONE")
    parser.add_argument("--work", type=Path, required=True, help="folder for images and models")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--seen", type=int, default=15_000, help="pictures seen in a training (%(default)s)")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    asked = parser.parse_args(given)
    command = shlex.join(["python", "benchmarks/labeller_ablation.py", *sys.argv[1:]])
    done = pd.read_csv(asked.out) if asked.out.is_file() else pd.DataFrame(columns=COLUMNS)
    for seed in asked.seeds:
        for variant in asked.variants:
            if ((done["variant"] == variant) & (done["seed"] == seed)).any():
                continue
            begun = time.perf_counter()
            folder = train(variant, seed, asked.source, asked.work, asked.seen)
            minutes = (time.perf_counter() - begun) / 60
            labeller = Labeller.load(f"local-dir:{folder}", device="cpu", runtime="open_clip")
            rng = np.random.default_rng(seed)
            drawn = drawn_quality(labeller, JUDGED, JUDGE_SEED, rng)
            tables = {
                "judged": judged_quality(labeller, asked.source, rng),
                "drawn": drawn[drawn["prompts"] == "schema"],
            }
            for photographs, table in tables.items():
                rows = table[(table["class"] == "all") & table["metric"].isin(["accuracy", "macro_f1"])]
                rows = rows.assign(variant=variant, seed=seed, photographs=photographs, minutes=minutes)
                rows = rows.assign(command=command, commit=provenance()["commit"])[COLUMNS]
                done = rows if done.empty else pd.concat([done, rows], ignore_index=True)
            write_file(asked.out, lambda path, table=done: write_csv(table, path, float_format="%.4f"))
            print(f"{variant}, seed {seed}: {minutes:.1f} min", flush=True)


if __name__ == "__main__":
    main()
