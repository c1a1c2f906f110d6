"""Seconds from Enter to the labels of a few photographs, by ONNX Runtime and by torch, side by side.

    python benchmarks/first_labels.py --out first_labels.json

`swatchbook label` runs as a person runs it, a process of its own each time and in turn, with the labeller in
the box and with a copy of it that has no graphs, so that torch computes. A first round, after which all files
are in the system's cache, is not counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from material import photographs, without_graphs
from turns import machine

WORDS = {"said": "Enter to the first line", "done": "Enter to the table", "cpu": "of all cores together"}


def main(given: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--photographs", type=int, default=5, help="how many to label (%(default)s)")
    parser.add_argument("--size", type=int, default=1000, help="their short side (%(default)s px)")
    parser.add_argument("--rounds", type=int, default=5, help="of each, in turn (%(default)s)")
    asked = parser.parse_args(given)
    for name, least in (("photographs", 1), ("size", 48), ("rounds", 1)):
        if getattr(asked, name) < least:
            parser.error(f"--{name} {getattr(asked, name)}; allowed: at least {least}")
    with tempfile.TemporaryDirectory() as place:
        photographs(Path(place), None, asked.photographs, asked.size)
        labellers = {"ONNX Runtime": "bundled", "torch": without_graphs("bundled", Path(place))}
        found: dict[str, list[dict[str, float]]] = {name: [] for name in labellers}
        for turn in range(asked.rounds + 1):
            for name, labeller in labellers.items():
                seconds = _labelled(Path(place, "drawn"), Path(place, "labels.csv"), str(labeller))
                found[name] += [seconds] if turn else []
    result = {
        "what": f"seconds of `swatchbook label` of {asked.photographs} photographs",
        "machine": machine("cpu"),
        "settings": {"photographs": asked.photographs, "size": asked.size, "rounds": asked.rounds},
        "rounds": found,
    }
    asked.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name, rounds in found.items():
        for what, words in WORDS.items():
            values = np.array([each[what] for each in rounds])
            print(
                f"{name:<14}{words:<28}{np.median(values):.2f} s ({values.min():.2f} to {values.max():.2f})"
            )
    print(f"written: {asked.out}")


def _labelled(folder: Path, out: Path, labeller: str) -> dict[str, float]:
    """Seconds to the first line, to the table, and of all cores, of one call."""
    command = [sys.executable, "-m", "swatchbook", "label", str(folder), "--out", str(out)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with subprocess.Popen([*command, "--labeller", labeller], stderr=subprocess.PIPE, text=True) as process:
        first = process.stderr.readline()
        said = time.perf_counter() - began
        rest = process.stderr.read()
    done = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(first + rest)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"said": round(said, 3), "done": round(done, 3), "cpu": round(cpu, 3)}


if __name__ == "__main__":
    main()
