"""Contestants in processes of their own, measured one at a time and in turn.

A process each keeps their memory apart, so that each has a peak of its own; taking turns lets all of them
meet the same ups and downs of a shared machine, so that the ratio within a round says more than either rate.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context, set_start_method
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "accelerate",
    "open_clip_torch",
    "onnxruntime",
    "pillow",
    "numpy",
)


class NotHereError(RuntimeError):
    """A contestant that cannot take part on this machine; the message says why."""


class OverError(Exception):
    """No further turn: unwinds a contestant."""


@dataclass(frozen=True)
class Contestant:
    """One that is measured.

    Attributes:
        name: What it is, in words.
        work: Called in a process of its own with a `Turns` and `settings`; it sets itself up and then, for
            ever, waits for its turn, does its work and tells what it found. Importable by name.
        settings: Its further arguments; they are pickled.
    """

    name: str
    work: Callable[..., None]
    settings: Mapping[str, Any] = field(default_factory=dict)


class Turns:
    """A contestant's end of the wire."""

    def __init__(self, wire: Connection) -> None:
        self._wire = wire

    def wait(self) -> None:
        """Block until it is this contestant's turn; leaves the contestant when there is none any more."""
        self._wire.send(("waits", None))
        try:
            self._wire.recv()
        except EOFError:
            raise OverError from None

    def tell(self, **found: float) -> None:
        """What a turn found, with the peak of memory so far added."""
        self._wire.send(("found", {**found, "peak_mib": peak_mib()}))


@dataclass
class Outcome:
    """What was found of a contestant: an entry a round, or why there is none."""

    found: list[dict[str, float]] = field(default_factory=list)
    note: str = ""


def in_turn(
    contestants: Sequence[Contestant],
    rounds: int,
    log: Callable[[str], object] = print,
    *,
    uncounted: int = 0,
) -> list[Outcome]:
    """Set all contestants up, one after the other, and then give each a turn in every round.

    Args:
        contestants: Who takes part.
        rounds: At least 1.
        log: Receives a line when something begins.
        uncounted: Rounds before them that are not kept: a first turn is slower than those after it.

    Returns:
        In the order of the contestants.

    Raises:
        RuntimeError: If a contestant fails; `NotHereError` in a contestant is noted in its outcome instead.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1; received {rounds}")
    context = get_context("spawn")  # a GPU that this process has touched cannot be used after a fork
    outcomes = [Outcome() for _ in contestants]
    players = []
    try:
        for contestant, outcome in zip(contestants, outcomes, strict=True):
            log(f"setting up: {contestant.name}")
            here, there = context.Pipe()
            # Not a daemon, which may not have the workers of a DataLoader.
            process = context.Process(target=_play, args=(there, contestant.work, dict(contestant.settings)))
            process.start()
            there.close()
            players.append((here, process))
            _hear(here, contestant.name, "waits", outcome)
        for number in range(-uncounted, rounds):
            # Every other round backwards, so that nobody always follows the same neighbour.
            order = range(len(players))[:: -1 if number % 2 else 1]
            log(f"round {number + 1} of {rounds}" if number >= 0 else "a round that does not count")
            for place in order:
                if not outcomes[place].note:
                    players[place][0].send("go")
                    _hear(players[place][0], contestants[place].name, "found", outcomes[place])
                    _hear(players[place][0], contestants[place].name, "waits", outcomes[place])
        for outcome in outcomes:
            del outcome.found[:uncounted]
    finally:
        for wire, _ in players:
            wire.close()  # who waits for a turn now hears that it is over
        for _, process in players:
            process.join(timeout=30)
            if process.is_alive():
                process.terminate()
                process.join()
    return outcomes


def _hear(wire: Connection, name: str, wanted: str, outcome: Outcome) -> None:
    """Take the contestant's next word, which is the wanted one, an excuse or a failure."""
    if outcome.note:
        return
    try:
        word, content = wire.recv()
    except EOFError:
        raise RuntimeError(f"{name}: its process ended without a word, perhaps for want of memory") from None
    if word == "failed":
        raise RuntimeError(f"{name} failed:\n{content}")
    if word == "absent":
        outcome.note = content
    elif word == "found":
        outcome.found.append(content)
    if word not in ("absent", wanted):
        raise RuntimeError(f"{name} sent {word!r} where {wanted!r} was due")


def _play(wire: Connection, work: Callable[..., None], settings: dict[str, Any]) -> None:
    """A contestant's process."""
    set_start_method(None, force=True)  # its own workers start as they do in a script, not as it was started
    try:
        work(Turns(wire), **settings)
        wire.send(("failed", "it ended although it had further turns"))
    except OverError:
        pass
    except NotHereError as reason:
        wire.send(("absent", str(reason)))
    except BaseException:
        wire.send(("failed", traceback.format_exc()))


def peak_mib() -> float:
    """The most memory that this process has held so far: a GPU's where it uses one, else the main memory's.

    The kernel's own high-water mark is read where there is one: getrusage's begins at that of the process
    which started this one.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status")
    if status.is_file():
        marks = [line.split() for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        if marks:
            return int(marks[0][1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def machine(device: str) -> dict[str, object]:
    """What the figures were measured on: processor, cores, GPU, versions, and how busy it was."""
    import torch

    gpu = None
    if device == "cuda":
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        gpu = f"{torch.cuda.get_device_name()} ({memory:.0f} GiB), CUDA {torch.version.cuda}"
    return {
        "processor": _processor(),
        "cores_allowed": cores(),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "gpu": gpu,
        "free_disk_gib": round(shutil.disk_usage(".").free / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
