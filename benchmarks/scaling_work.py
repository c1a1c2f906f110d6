"""What `scaling.py` measures: one size in a process of its own, after the same work on a few images.

The few go first, twice: once for what a process does only once, and once to measure what a call costs however
few the images are. That is taken off the time of the many, and reported beside it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from turns import Turns

from swatchbook.schema import Attribute, Schema

FEW = 8  # images whose time stands for that of a call as such
REPLICATES = 1000  # of the bootstrap


def label(turns: Turns, few: Path, many: Path, classes: int | None) -> None:
    """`label_folder`, from files to the written table, with the labeller in the box."""
    from swatchbook.bulk.folder import label_folder

    schema = Schema.load("wardrobe") if classes is None else schema_of(classes)

    def work(folder: Path, out: Path) -> None:
        label_folder(folder, out, schema, log=lambda _: None)

    _folders(turns, work, few, many)


def predict(turns: Turns, few: Path, many: Path, model: Path) -> None:
    """`predict_folder`, from files to the written table."""
    from swatchbook.bulk.folder import predict_folder

    def work(folder: Path, out: Path) -> None:
        predict_folder(folder, out, model, device="cpu", log=lambda _: None)

    _folders(turns, work, few, many)


def tables(turns: Turns, images: int, classes: int | None) -> None:
    """The score table of one model on random labels, with the bootstrap's weights and intervals."""
    from swatchbook.evaluation.resample import image_weights
    from swatchbook.evaluation.scores import score_table

    schema = Schema.load() if classes is None else schema_of(classes)

    def work(count: int) -> None:
        rng = np.random.default_rng(0)
        codes = [{a.name: rng.integers(0, len(a), count) for a in schema} for _ in range(2)]
        weights = image_weights(count, REPLICATES, rng)
        score_table(codes[0], {"model": codes[1]}, schema, weights)

    _measure(turns, lambda: work(FEW), lambda: work(images))


def model_for(place: Path, few: Path) -> Path:
    """A trained model of the demo's kind to predict with: its first steps on a few images, no more."""
    from training_loops import decoded

    from swatchbook import Study
    from swatchbook.models.tasks.heads import Heads
    from swatchbook.models.training import train

    decoded(few, place / "few.npy")
    stored = np.load(place / "few.npy", mmap_mode="r")
    schema = Schema.load()
    codes = {a.name: np.arange(len(stored)) % len(a) for a in schema}
    recipe = replace(Study.open("demo").config.training, epochs=1, warmup_epochs=0)
    learn, choose_by = np.split(np.arange(len(stored)), [len(stored) // 2])
    task = Heads(schema, codes, learn, choose_by, "swatchbook-tower")
    return train(task, stored, recipe, place / "model", device="cpu", log=lambda _: None)


def schema_of(classes: int) -> Schema:
    """One attribute with so many classes, at least 2, each with a prompt of its own."""
    surface = {f"class {number}": f"pattern number {number}" for number in range(classes)}
    asked = Attribute("pattern", surface, ("a garment with {}",), "zero_shot", 0.0, "none")
    return Schema(f"{classes} classes", (asked,))


def _folders(turns: Turns, work: Callable[[Path, Path], None], few: Path, many: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        out = Path(name, "out.parquet")
        _measure(turns, lambda: work(few, out), lambda: work(many, out))


def _measure(turns: Turns, few: Callable[[], object], many: Callable[[], object]) -> None:
    few()
    start, start_processor = _seconds(few)
    turns.wait()
    whole, processor = _seconds(many)
    turns.tell(
        seconds=whole - start,
        start=start,
        processor_seconds=processor - start_processor,
        start_processor=start_processor,
    )
    turns.wait()


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor
