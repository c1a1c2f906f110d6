"""How fast a folder is labelled, beside the model alone, and how much memory it takes.

    python benchmarks/label_rate.py ~/photographs
    python benchmarks/label_rate.py ~/photographs --memory 300 3000

Rates of a shared machine go up and down, so both are measured in turn and their ratio is what to compare;
so are seconds of the processor an image. Memory is the peak of a process of its own for each number of
images, which are links to those of the folder, over and over.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from swatchbook.data import images
from swatchbook.data.decoding import decode, read_bytes

_LABEL = """
import resource, sys
from swatchbook.predicting import label_folder
from swatchbook.schema import Schema
folder, out, labeller, html = sys.argv[1:]
label_folder(folder, out, Schema.load("wardrobe"), labeller=labeller, html=html or None, log=lambda _: None)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="photographs, nested or flat")
    parser.add_argument("--labeller", default="bundled")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="torch's threads; its own choice by default")
    parser.add_argument("--memory", type=int, nargs="+", metavar="N", help="measure memory at N images")
    arguments = parser.parse_args()
    files = images.find(arguments.folder)["path"].tolist()
    if arguments.memory:
        for html in (False, True):
            for number in arguments.memory:
                peak = peak_memory(files, number, arguments.labeller, html=html)
                print(f"{number:>7,} images{', with a contact sheet' if html else '':<22} {peak:7.0f} MiB")
    else:
        measure_rates(files, arguments.labeller, arguments.rounds, arguments.threads)


def measure_rates(files: list[str], name: str, rounds: int, torch_threads: int | None) -> None:
    """Print the rate of the model alone and of labelling, in turn, and their ratio."""
    import torch

    from swatchbook.labels.encoding import cosine_parts
    from swatchbook.labels.labeller import Labeller
    from swatchbook.predicting import enough_for
    from swatchbook.schema import Schema

    if torch_threads:
        torch.set_num_threads(torch_threads)
    labeller, schema = Labeller.load(name), Schema.load("wardrobe")
    batch = [labeller.shrink(decode(read_bytes(files[k % len(files)]))) for k in range(64)]

    def alone() -> int:
        repeats = max(len(files) // 64, 1)
        for _ in range(repeats):
            labeller.embed(batch)
        return 64 * repeats

    def whole() -> int:
        with tempfile.TemporaryDirectory() as shards:
            for _ in cosine_parts(labeller, files, schema, Path(shards), enough=enough_for(labeller)):
                pass
        return len(files)

    alone()
    found = np.array([[*measured(alone), *measured(whole)] for _ in range(rounds)])
    print(
        f"{len(files):,} files, {rounds} rounds in turn, {torch.get_num_threads()} threads of torch, medians"
    )
    bare, bare_cpu, end, end_cpu = np.median(found, axis=0)
    print(f"model alone   {bare:7.1f} images/s   {1000 * bare_cpu:6.2f} ms of the processor an image")
    print(f"labelling     {end:7.1f} images/s   {1000 * end_cpu:6.2f} ms of the processor an image")
    ratios = found[:, 2] / found[:, 0]
    print(f"ratio {np.median(ratios):.2f} (from {ratios.min():.2f} to {ratios.max():.2f})")


def measured(work: Callable[[], int]) -> tuple[float, float]:
    """Images a second, and seconds of the processor an image."""
    wall, processor = time.perf_counter(), time.process_time()
    done = work()
    return done / (time.perf_counter() - wall), (time.process_time() - processor) / done


def peak_memory(files: list[str], number: int, labeller: str, *, html: bool) -> float:
    """MiB that a process holds at its peak while it labels so many images."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "images")
        folder.mkdir()
        for k, file in zip(range(number), itertools.cycle(files), strict=False):
            (folder / f"{k:06d}{Path(file).suffix}").symlink_to(file)
        told = [
            str(folder),
            str(Path(place, "out.parquet")),
            labeller,
            str(Path(place, "o.html")) if html else "",
        ]
        done = subprocess.run(
            [sys.executable, "-c", _LABEL, *told], capture_output=True, text=True, check=True, env=os.environ
        )
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    main()
