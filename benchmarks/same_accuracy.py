"""Does the fast path learn what a plain one learns? Validation macro-F1 of both, seed by seed.

    python benchmarks/same_accuracy.py --out same_accuracy.json

The same drawn photographs, network (random weights), optimiser, schedule and loss; one training is the
study's own, from decoded pixels that are kept at the working side and augmented in batches, the other a
DataLoader over the files with torchvision's transforms on Pillow pictures. Scores are those of the last
epoch. They agree if the means differ by no more than the seeds of one path do.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from learner import Learner, Task
from torch.utils.data import DataLoader
from torchvision import transforms
from training_loops import Files, views_of
from turns import machine

from swatchbook import Study
from swatchbook.data import pixels
from swatchbook.drawn.balanced import drawn_labels, drawn_pictures
from swatchbook.evaluation.resample import table
from swatchbook.evaluation.scores import macro_f1
from swatchbook.labeller.training.quality import drawn_schema
from swatchbook.models.augment import working_side
from swatchbook.models.recipe import Recipe
from swatchbook.models.schedule import lr_factor
from swatchbook.models.tasks.heads import Heads
from swatchbook.models.training import train
from swatchbook.schema import Schema


@dataclass(frozen=True)
class Labelled(Task):
    """A task with the labels of drawn photographs.

    Attributes:
        known: Attribute → codes of the photographs that are learned from.
    """

    known: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def schema(self) -> Schema:
        """What is known of a drawn photograph."""
        return drawn_schema()

    def codes(self) -> dict[str, np.ndarray]:
        """The true labels."""
        return self.known


def main(given: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--backbone", default="swatchbook-tower", help="random weights (%(default)s)")
    parser.add_argument("--learn", type=int, default=1536, help="photographs to learn from (%(default)s)")
    parser.add_argument("--judge", type=int, default=768, help="and to validate with (%(default)s)")
    parser.add_argument("--epochs", type=int, help="the profile's by default")
    parser.add_argument("--workers", type=int, default=2, help="of the DataLoader (%(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    asked = parser.parse_args(given)
    os.environ["TQDM_DISABLE"] = "1"
    profile = Study.open("demo" if asked.device == "cpu" else "paper").config.training
    epochs = asked.epochs or profile.epochs
    recipe = replace(profile, epochs=epochs, warmup_epochs=min(profile.warmup_epochs, epochs - 1))
    found = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        paths, stored, codes = drawn(place, asked.learn + asked.judge)
        for seed in asked.seeds:
            one = replace(recipe, seed=seed)
            for way, learn in (("Swatchbook", fast), ("plain", plain)):
                scores = learn(place / f"{way}-{seed}", one, asked, paths, stored, codes)
                found.append({"seed": seed, "way": way, **scores})
                print(f"seed {seed}, {way}: macro-F1 {scores['macro_f1']:.4f}", flush=True)
    facts = {"what": "validation macro-F1 of the last epoch", "machine": machine(asked.device)}
    facts |= {"settings": {k: str(v) for k, v in vars(asked).items()}, "epochs": recipe.epochs}
    asked.out.write_text(json.dumps({**facts, "results": found}, indent=1) + "\n", encoding="utf-8")
    print(verdict(pd.DataFrame(found)))


def drawn(place: Path, count: int) -> tuple[list[str], np.ndarray, dict[str, np.ndarray]]:
    """Squares of drawn photographs as JPEG files, the same decoded, and their true codes."""
    labels = drawn_labels(count, seed=5)
    (place / "files").mkdir()
    paths = [str(place / "files" / f"{number:06d}.jpg") for number in range(count)]
    stored = np.empty((count, pixels.SIZE, pixels.SIZE, 3), dtype=np.uint8)
    for row, picture in enumerate(drawn_pictures(labels, seed=5)):
        transforms.functional.to_pil_image(pixels.square(picture).pixels).save(paths[row], "JPEG", quality=95)
        stored[row] = np.asarray(Files([paths[row]], 1, lambda image: image)[0][0])
    rule = Schema.load("textilenet", folder_map="construction").folders
    truth = labels.assign(material=labels["folder"].map(rule).astype(object))
    return paths, stored, drawn_schema().encode(truth, "truth")


def fast(
    place: Path,
    recipe: Recipe,
    asked: argparse.Namespace,
    _: list[str],
    stored: np.ndarray,
    codes: dict[str, np.ndarray],
) -> dict[str, float]:
    """The study's own training."""
    learn, judge = np.split(np.arange(len(stored)), [asked.learn])
    task = Heads(drawn_schema(), codes, learn, judge, asked.backbone, pretrained=False)
    model = train(task, stored, recipe, place, device=asked.device, log=lambda _: None)
    last = pd.read_csv(model / "history.csv").iloc[-1]
    return {name: float(value) for name, value in last.items() if name.startswith("macro_f1")}


def plain(
    place: Path,
    recipe: Recipe,
    asked: argparse.Namespace,
    paths: list[str],
    stored: np.ndarray,
    codes: dict[str, np.ndarray],
) -> dict[str, float]:
    """A DataLoader over the files, torchvision's transforms, a plain loop."""
    known = {name: code[: asked.learn] for name, code in codes.items()}
    steps = -(-asked.learn // recipe.batch)
    task = Labelled(asked.backbone, recipe, asked.device, place, place, steps, 0, 1, known=known)
    learner = Learner(task)
    loader = DataLoader(
        Files(paths[: asked.learn], asked.learn, views_of(learner)),
        recipe.batch,
        shuffle=True,
        num_workers=asked.workers,
        generator=torch.Generator().manual_seed(recipe.seed),
    )
    for epoch in range(recipe.epochs):
        learner.bare.train()
        for step, (views, rows) in enumerate(loader):
            factor = lr_factor(epoch * steps + step, steps, recipe)
            for group, peak in zip(
                learner.optimizer.param_groups, (recipe.backbone_lr, recipe.head_lr), strict=True
            ):
                group["lr"] = peak * factor
            learner.step(views, rows)
    return _judged(learner, paths[asked.learn :], {name: code[asked.learn :] for name, code in codes.items()})


@torch.inference_mode()
def _judged(learner: Learner, paths: list[str], truth: dict[str, np.ndarray]) -> dict[str, float]:
    """Macro-F1 of each head on the centre crops, and their mean."""
    recipe = learner.task.recipe
    seen = transforms.Compose(
        [
            transforms.Resize(working_side(recipe)),
            transforms.CenterCrop(recipe.image_size),
            transforms.ToTensor(),
            transforms.Normalize(learner.mean, learner.std),
        ]
    )
    learner.bare.eval()
    answers: dict[str, list[np.ndarray]] = {name: [] for name in truth}
    for views, _ in DataLoader(Files(paths, len(paths), seen), recipe.batch):
        with learner.hardware.autocast():
            logits = learner.bare(views.to(learner.device))
        for name, scores in logits.items():
            answers[name].append(scores.argmax(1).cpu().numpy())
    found = {}
    for a in drawn_schema():
        both = table(truth[a.name], np.concatenate(answers[a.name]), (len(a), len(a)))
        found[f"macro_f1_{a.name}"] = float(macro_f1(both))
    return {"macro_f1": float(np.mean(list(found.values()))), **found}


def verdict(found: pd.DataFrame) -> str:
    """Both ways' scores, and whether they agree within the spread of the seeds."""
    by = found.groupby("way")["macro_f1"]
    lines = [
        f"{way:<12}{scores.mean():.4f} mean of {len(scores)} seeds ({scores.min():.4f}–{scores.max():.4f})"
        for way, scores in by
    ]
    apart = abs(by.mean()["Swatchbook"] - by.mean()["plain"])
    spread = float((by.max() - by.min()).max())
    word = "agree" if apart <= spread else "DIFFER"
    return "\n".join([*lines, f"means {apart:.4f} apart, seeds of one way up to {spread:.4f}: they {word}"])


if __name__ == "__main__":
    main()
