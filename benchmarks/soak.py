"""Commands killed at random moments and started again end in the same bytes, with nothing lost.

    python benchmarks/soak.py --minutes 30

`label`, `run --profile folder` and `audit import` work in turn on drawn photographs, some broken, each in a
way of its own: 2 % for `label`, and under 1 % for `run`, which stops above that. Each command first runs
undisturbed. Then it is killed (SIGKILL, with all that it started) at random moments, up to six times, and
runs to its end; what it wrote is compared byte for byte. What a clock wrote is left out: a run's record, and
the seconds of trainings in histories and in the one table that shows them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from swatchbook.data.images import examine, find
from swatchbook.drawn import write_dataset
from swatchbook.schema import Schema

KILLS = 6  # most of one round
SMALL = (
    *("bootstrap=20", "permutations=20", "null_draws=20", "power_draws=20", "power_sizes=20", "epochs=2"),
    *("warmup_epochs=1", "image_size=32", "training.threads=1"),
)
TIMES = ("seconds", "images_per_s")  # columns of a training's history
CAPTION = "Time of the trainings"  # of the table in a notebook that shows them


@dataclass
class Job:
    """A command, where it writes, and what was seen of it.

    Attributes:
        name: Of the command.
        arguments: After ``swatchbook``.
        out: The folder that it writes into.
        prepare: Makes that folder anew.
        seconds: How long it takes undisturbed.
        expected: Digest of each file that it then wrote.
    """

    name: str
    arguments: list[str]
    out: Path
    prepare: Callable[[], object]
    seconds: float = 0.0
    expected: dict[str, str] = field(default_factory=dict)


def write_photographs(folder: Path, images: int, broken: float, seed: int = 7) -> int:
    """Draw photographs of 96 pixels, and put broken ones in the place of a share of them.

    Args:
        folder: Made anew.
        images: How many files there are.
        broken: Share of them that cannot be read.
        seed: At least 0.

    Returns:
        How many are broken.
    """
    with tempfile.TemporaryDirectory() as drawn:
        write_dataset(
            Path(drawn) / "d",
            n_train=images,
            n_test=0,
            coupling=0.5,
            seed=seed,
            schema=Schema.load(),
            size=96,
        )
        folder.mkdir(parents=True)
        for number, path in enumerate(sorted(Path(drawn).rglob("*.jpg"))):
            shutil.move(path, folder / f"{number:05d}.jpg")
    victims = random.Random(seed).sample(sorted(folder.iterdir()), int(images * broken))
    for number, path in enumerate(victims):
        HARMS[number % len(HARMS)](path)
    return len(victims)


def _content(make: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(make(path.read_bytes()))


def _instead(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def harm(path: Path) -> None:
        path.unlink()
        make(path)

    return harm


def _socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(before)


_BOMB = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\xff\xff\x00\x00\xff\xff\x08\x02\x00\x00\x00"
HARMS: tuple[Callable[[Path], object], ...] = (
    _content(lambda data: data[: len(data) // 2]),
    _content(lambda data: b""),
    _content(lambda data: b"<!doctype html><title>404</title>"),
    _content(lambda data: bytes(255 - byte for byte in data)),
    _content(lambda data: data[:2] + b"\0" * 40 + data[42:]),
    _content(lambda data: _BOMB + data),
    _content(lambda data: b"\0\0\0\x18ftypheic" + data),
    _instead(os.mkfifo),
    _instead(lambda path: path.symlink_to("/dev/zero")),
    _instead(lambda path: path.symlink_to("nowhere.jpg")),
    _instead(_socket),
    lambda path: path.rename(path.with_name(os.fsdecode(b"caf\xe9-" + os.fsencode(path.name)))),
)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that a command wrote, without what a clock wrote."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.name in ("stages.json", ".lock") or name.startswith("run/audit/."):
            continue
        found[name] = hashlib.sha256(_without_times(path, path.read_bytes())).hexdigest()
    return found


def _without_times(path: Path, content: bytes) -> bytes:
    """A file's content without the seconds of trainings: in histories, and in the table that shows them."""
    if path.name == "history.csv":
        return pd.read_csv(path).drop(columns=list(TIMES), errors="ignore").to_csv().encode()
    if path.suffix == ".ipynb":
        notebook = json.loads(content)
        for cell in notebook["cells"]:
            outputs = cell.get("outputs", [])
            cell["outputs"] = [output for output in outputs if CAPTION not in json.dumps(output)]
        return json.dumps(notebook).encode()
    if path.suffix == ".html":
        table = rf"<table[^>]*>\s*<caption[^>]*>{CAPTION}.*?</table>"
        return re.sub(table, "", content.decode("utf-8"), flags=re.DOTALL).encode()
    return content


def started(job: Job) -> subprocess.Popen:
    """The command, in a group of processes of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "swatchbook", *job.arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finished(job: Job) -> None:
    """Run the command to its end.

    Raises:
        RuntimeError: If it fails.
    """
    process = started(job)
    _, error = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{job.name} failed: {error.decode(errors='replace')[-2000:]}")


def killed(job: Job, rng: random.Random) -> int:
    """Start the command and kill it at a random moment, up to `KILLS` times; how often it was killed."""
    kills = 0
    for _ in range(rng.randint(1, KILLS)):
        process = started(job)
        try:
            process.communicate(timeout=rng.uniform(0.05, 1.0) * job.seconds)
            break  # it was faster
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
    return kills


def jobs_in(home: Path, images: int) -> list[Job]:
    """The three commands, with what they work on."""
    many, few, run = home / "photographs", home / "fewer", home / "folder" / "run"
    judged, imported = home / "audit.csv", home / "import"
    broken = write_photographs(many, images, 0.02), write_photographs(few, images // 2, 0.009, seed=8)
    print(f"{images:,} files, {broken[0]} broken, for label; {images // 2:,}, {broken[1]} broken, for run")
    labels = home / "labels"
    sound, _ = examine(find(few))
    table = pd.DataFrame({"path": sound["image_id"].head(40)})
    table.assign(color="red", pattern="solid").to_csv(judged, index=False)

    def emptied(folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()

    def with_run(folder: Path) -> None:
        emptied(folder)
        shutil.copytree(home / "finished", folder / "run")

    given = [part for pair in SMALL for part in ("--set", pair)]
    return [
        Job("label", ["label", str(many), "--out", str(labels / "labels.csv"), "--html",
                      str(labels / "labels.html")], labels, lambda: emptied(labels)),
        Job("run", ["run", "--profile", "folder", "--train", "--images", str(few), "--run-dir", str(run),
                    *given], run.parent, lambda: emptied(run.parent)),
        Job("audit import", ["audit", "import", str(judged), "--run-dir", str(imported / "run")],
            imported, lambda: with_run(imported)),
    ]  # fmt: skip


def soak(home: Path, minutes: float, images: int, seed: int) -> Counter:
    """Kill and resume until the time is up; what was counted.

    Args:
        home: An empty folder.
        minutes: Beside the undisturbed runs, which come first.
        images: Files that `label` reads.
        seed: Of the moments.

    Raises:
        RuntimeError: If a command fails or writes other bytes than undisturbed; the folder is kept.
    """
    rng, counts = random.Random(seed), Counter()
    jobs = jobs_in(home, images)
    for job in jobs:
        job.prepare()
        began = time.monotonic()
        finished(job)
        job.seconds, job.expected = time.monotonic() - began, digests(job.out)
        print(f"{job.name}: {job.seconds:.1f} s undisturbed, {len(job.expected)} files", flush=True)
        if job.name == "run":
            shutil.copytree(job.out / "run", home / "finished")
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        for job in jobs:
            job.prepare()
            counts[f"{job.name}: kills"] += killed(job, rng)
            finished(job)
            found = digests(job.out)
            wrong = {n for n in {*found, *job.expected} if found.get(n) != job.expected.get(n)}
            if wrong:
                raise RuntimeError(f"{job.name}: other bytes in {', '.join(sorted(wrong))}; see {job.out}")
            counts[f"{job.name}: rounds"] += 1
            counts[f"{job.name}: files compared"] += len(found)
    return counts


def main() -> None:
    """Soak and print the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--minutes", type=float, default=30.0, help="after the undisturbed runs (default: 30)"
    )
    parser.add_argument("--images", type=int, default=600, help="files that label reads (default: 600)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    asked = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="soak-"))
    counts = soak(home, asked.minutes, asked.images, asked.seed)
    for what, count in sorted(counts.items()):
        print(f"{what} {count:,}")
    shutil.rmtree(home)


if __name__ == "__main__":
    main()
