"""How fast the drawn worlds are drawn, in one process and by the pool that the data sets' writers use.

    python benchmarks/drawn_images.py --images 200 --size 224

Prints a line a world: images a second of the processor's time in this process (drawing alone, the fastest of
the rounds), and images a second by the clock of a whole data set with all cores, start of the pool included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from swatchbook.drawn import draw_image, draw_photograph, sample_garments, write_challenge, write_dataset
from swatchbook.drawn.balanced import drawn_labels
from swatchbook.drawn.files import Row
from swatchbook.schema import Schema


def processor_rate(draw: Callable[[Row, np.random.Generator], object], rows: list[Row], rounds: int) -> float:
    """Images a second of processor time, each image's fastest round."""
    best = np.full(len(rows), np.inf)
    for _ in range(rounds + 1):  # the first makes what is kept between images
        for number, row in enumerate(rows):
            began = time.process_time()
            draw(row, np.random.default_rng([1, number]))
            best[number] = min(best[number], time.process_time() - began)
    return len(rows) / best.sum()


def clock_rate(write: Callable[[Path], object], images: int) -> float:
    """Images a second by the clock."""
    with tempfile.TemporaryDirectory() as home:
        began = time.perf_counter()
        write(Path(home) / "drawn")
        return images / (time.perf_counter() - began)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print; see ``--help``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=200, help="images of a world (%(default)s)")
    parser.add_argument("--size", type=int, default=224, help="longer side in pixels (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds in this process (%(default)s)")
    given = parser.parse_args(arguments)
    n, size = given.images, given.size
    textilenet = {"n_train": n, "n_test": 0, "coupling": 0.7, "schema": Schema.load()}
    worlds = {
        "TextileNet": (
            lambda row, rng: draw_image(row, row["folder"], rng, size),
            drawn_labels(n, 1).to_dict("records"),
            lambda out: write_dataset(out, **textilenet, seed=1, size=size),
        ),
        "garments": (
            lambda row, rng: draw_photograph(row, rng, size),
            sample_garments(n, 1).to_dict("records"),
            lambda out: write_challenge(out, n_train=n, n_val=0, seed=1, size=size),
        ),
    }
    for name, (draw, rows, write) in worlds.items():
        processor = processor_rate(draw, rows, given.rounds)
        print(f"{name}: {processor:.1f} images/s of processor time, {clock_rate(write, n):.1f} by the clock")


if __name__ == "__main__":
    main()
