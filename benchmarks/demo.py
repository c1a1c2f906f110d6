"""How long the demo takes, beside another checkout of the project: whole runs in turn, in one sitting.

    git worktree add ../before a2b42b0
    python benchmarks/demo.py --other ../before --pairs 3 --out demo.json

Each pair runs the demo of the other checkout and of this one into empty folders, and then each again with
nothing changed; ratios are those of one pair, since a machine's speed drifts. Processor seconds, those of all
processes of a run together, say more than the clock where others use the machine. Both use this Python.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
KINDS = ("", ", processor")  # of seconds: by the clock, and of the processor


def run(checkout: Path, folder: Path, profile: str, more: list[str]) -> tuple[float, float]:
    """Seconds of one run of a checkout, by the clock and of the processor.

    Raises:
        SystemExit: If it fails; its last words are printed.
    """
    command = [
        sys.executable,
        "-m",
        "swatchbook",
        "run",
        "--profile",
        profile,
        "--run-dir",
        str(folder),
        *more,
    ]
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{checkout}: exit status {done.returncode}\n{done.stderr[-2000:]}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, processor


def main() -> None:
    """Run the pairs and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--other", type=Path, required=True, help="the other checkout")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--out", type=Path, help="where the seconds go, as JSON")
    asked, more = parser.parse_known_args()
    pairs = []
    for number in range(asked.pairs):
        with tempfile.TemporaryDirectory() as home:
            row = {}
            for when in ("first", "nothing changed"):
                for name, checkout in (("other", asked.other.resolve()), ("this", HERE)):
                    taken = run(checkout, Path(home) / name, asked.profile, more)
                    row |= {f"{name}, {when}{of}": s for of, s in zip(KINDS, taken, strict=True)}
                for of in KINDS:
                    row[f"ratio, {when}{of}"] = row[f"this, {when}{of}"] / row[f"other, {when}{of}"]
        pairs.append(row)
        print(f"pair {number + 1}: " + "; ".join(f"{k} {v:.2f}" for k, v in row.items()), flush=True)
    for key in pairs[0]:
        values = [pair[key] for pair in pairs]
        print(f"{key:<34} median {statistics.median(values):8.2f}  ({min(values):.2f} to {max(values):.2f})")
    if asked.out:
        asked.out.write_text(json.dumps(pairs, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
