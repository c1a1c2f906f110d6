"""The machines of a Ray cluster encode a folder's shards; needs the extra ``ray``.

The listing is cut into shards as on one machine. Workers encode them in any order, each into its own file of
the shard folder; then the shards are read in order, as if this machine had computed them. A stopped job goes
on with the shards that are missing, by the cluster or by one machine.

All that is assumed of the machines is a disk that they share: photographs, table and a model's folder lie
under the same path everywhere, and the package is installed in the same versions. For equal bits they must
also be of one kind: another processor, GPU or number of threads may round otherwise.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
from tqdm import tqdm

from swatchbook.bulk.table import Encoded, Job
from swatchbook.data.decoding import cores
from swatchbook.labeller.shards import (
    SHARD,
    Encoder,
    encode_shard,
    read_shard,
    reading_threads,
    shard_file,
    usual_batch,
)
from swatchbook.store import Store

# Beside the model, what the bits of a value depend on.
_PACKAGES = (
    *("swatchbook", "torch", "torchvision", "open_clip_torch", "timm", "onnxruntime", "numpy", "scipy"),
    "pillow",
)
_JOB = "job.json"


class ClusterError(RuntimeError):
    """A job that cannot be done by these machines; the message says what to do."""


@dataclass(frozen=True)
class Machines:
    """What of a cluster is used, and how a folder is cut.

    Attributes:
        workers: How many models work at a time, each on a GPU of its own where the cluster has GPUs. Those
            for which there is no room wait until there is.
        cpus: CPU cores of each worker, for so many threads. By default, to label, as many as torch computes
            with here, or as there are; to predict, as many as the model's recipe says, with which it computes
            in any case.
        address: Of the cluster, such as ``auto`` or ``head:6379``. By default what ``RAY_ADDRESS``
            names, or a cluster that was started on this machine, or else one of this machine alone, which
            ends with the job.
        batch: Photographs in one go, on which the bits of an answer depend; by default as on one machine.
        shard: Photographs in a shard. Only the defaults of both give the bytes of one machine.

    Raises:
        ValueError: If a number is below 1.
    """

    workers: int = 1
    cpus: int | None = None
    address: str | None = None
    batch: int | None = None
    shard: int = SHARD

    def __post_init__(self) -> None:
        for name in ("workers", "cpus", "batch", "shard"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1; received {value}")


def encode_on_cluster(
    job: Job,
    machines: Machines,
    folder: Path,
    paths: Sequence[str],
    shards: Path,
    log: Callable[[str], object],
) -> Iterator[Encoded]:
    """Do what `labeller.shards.encode_in_shards` does, by many machines.

    Args:
        job: Gives the encoder.
        machines: By what.
        folder: The photographs', for the record of the job.
        paths: All photographs.
        shards: Where shards are kept, on the shared disk.
        log: Called with a line about the model, and one about the machines.

    Raises:
        ValueError: If no machine has as many cores as a worker needs.
        ClusterError: If Ray is not installed or not reached, there are another job's shards, or a worker
            fails; the shards that are done are kept.
    """
    with _cluster(machines.address) as ray:
        encoder = job.encoder("cpu", _silent)  # only to know it; a wrong name fails before anything is begun
        log(encoder.name)
        torch = sys.modules.get("torch")  # loaded where it computes
        threads = encoder.threads or machines.cpus or (torch.get_num_threads() if torch else cores())
        cpus = machines.cpus or threads
        gpus = 1 if ray.cluster_resources().get("GPU", 0) else 0
        _check_room(ray, cpus, gpus)
        log(f"{machines.workers} workers of {cpus} cores and {gpus} GPUs; {_room(ray)}")
        device = "cuda" if gpus else "cpu"
        record = {
            **identity_of(job, encoder),
            "threads": threads,
            "device": device,
            "batch": machines.batch or usual_batch(device),
            "shard": machines.shard,
            "folder": str(folder.absolute()),
        }
        claim(shards.parent, record)
        starts = range(0, len(paths), machines.shard)
        parts = [paths[start : start + machines.shard] for start in starts]
        keys: dict[int, str] = {}
        with tqdm(total=len(paths), desc="encoding", unit="image") as progress:
            worker = (job, record, shards.absolute(), cpus)
            for done in _run(ray, worker, parts, machines.workers, gpus):
                for number, key, failed in zip(done["part"], done["key"], done["failed"], strict=True):
                    if failed:
                        raise ClusterError(str(failed))
                    keys[int(number)] = str(key)
                    progress.update(len(parts[number]))
        for number, (start, some) in enumerate(zip(starts, parts, strict=True)):
            made = read_shard(shard_file(shards, number), keys[number], len(some))
            if made is None:
                raise ClusterError(f"{shard_file(shards, number)} was damaged; give the command again")
            yield made.tables(encoder.columns, some, start)


def _silent(_: str) -> None:
    """Say nothing: what was loaded is logged in other words."""


def identity_of(job: Job, encoder: Encoder) -> dict[str, object]:
    """What must be the same on all machines: the work, its model and the packages' versions."""
    versions = {name: _version(name) for name in _PACKAGES}
    return {"work": type(job).__name__.lower(), **encoder.identity, "versions": versions}


def _version(name: str) -> str:
    """A package's version; builds for a GPU and for none are the same, such as 2.11.0+cu126 and 2.11.0."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return "not installed"


def claim(folder: Path, record: Mapping[str, object]) -> None:
    """Make the folder of shards this job's.

    Args:
        folder: ``<out>.partial``.
        record: All that values depend on but the photographs, as JSON can say it.

    Raises:
        ClusterError: If it is another job's; names what differs.
        StoreError: If it cannot be written.
    """
    try:
        held = json.loads((folder / _JOB).read_text(encoding="utf-8"))
    except FileNotFoundError:
        held = dict(record)
    except (OSError, ValueError) as error:
        raise ClusterError(f"{folder / _JOB} cannot be read ({error}); remove {folder}") from error
    if held != record:
        names = [name for name in {**held, **record} if held.get(name) != record.get(name)]
        differing = "; ".join(f"{n} was {held.get(n)!r} and is now {record.get(n)!r}" for n in names)
        raise ClusterError(
            f"{folder} holds the shards of another job: {differing}. Finish that job, remove the "
            "folder, or write to another file"
        )
    Store(folder).write_json(_JOB, record)


class Worker:
    """Encodes shards on a machine of the cluster, with a model of its own that it loads before the first.

    Args:
        job: Gives the encoder.
        record: As `claim` was given it.
        shards: Where shards go.
        cpus: Threads that read files.
    """

    def __init__(self, job: Job, record: Mapping[str, object], shards: Path, cpus: int) -> None:
        self._job, self._record, self._shards, self._cpus = job, dict(record), shards, cpus
        self._encoder: Encoder | None = None

    def __call__(self, rows: Mapping[str, Sequence]) -> dict[str, np.ndarray]:
        """Encode one shard: ``part``, its number, and ``paths`` in; ``part``, ``key`` and ``failed`` out.

        `failed` is why it could not be encoded, or empty. What is raised here Ray would wrap in pages of its
        own, which differ by its versions.
        """
        (number,), (paths,) = rows["part"], rows["paths"]
        key, failed = "", ""
        try:
            encoder = self._loaded()
            with reading_threads(encoder.device, self._cpus) as pool:
                file = shard_file(self._shards, number)
                key = encode_shard(encoder, list(paths), file, self._record["batch"], pool).key
        except (OSError, ValueError, RuntimeError) as error:
            failed = f"machine {socket.gethostname()!r}: {error}"
        return {"part": np.array([number]), "key": np.array([key]), "failed": np.array([failed])}

    def _loaded(self) -> Encoder:
        if self._encoder is None:
            if find_spec("torch"):
                import torch

                torch.set_num_threads(self._record["threads"])
            encoder = self._job.encoder(self._record["device"], _silent)
            for name, here in identity_of(self._job, encoder).items():
                if here != self._record[name]:
                    raise ClusterError(
                        f"{name} is {here!r}, and {self._record[name]!r} where "
                        "the job was begun; all machines must have the same"
                    )
            self._encoder = encoder
        return self._encoder


def _run(
    ray: ModuleType, worker: tuple, parts: Sequence[Sequence[str]], workers: int, gpus: int
) -> Iterator[Mapping[str, np.ndarray]]:
    """Have every part encoded by so many of `Worker(*worker)`; what they return, in any order."""
    items = [{"part": number, "paths": list(paths)} for number, paths in enumerate(parts)]
    # A block a part: what is lost with a machine is then a part, which another does again.
    data = ray.data.from_items(items, override_num_blocks=len(items))
    data.context.enable_progress_bars = False  # there is one
    data.context.print_on_execution_start = False
    data.context.execution_no_progress_timeout_s = -1  # a part of a large model may take an hour on a CPU
    done = data.map_batches(
        Worker,
        fn_constructor_args=worker,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=worker[-1],
        num_gpus=gpus,
    )
    try:
        yield from done.iter_batches(batch_size=None, prefetch_batches=0)
    except ray.exceptions.RayError as error:
        raise ClusterError(f"Ray gives up: {error}") from error


@contextmanager
def _cluster(address: str | None) -> Iterator[ModuleType]:
    """Ray, connected; a connection that was there before is used and left."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ClusterError(
            f"many machines need Ray, which cannot be imported ({error}); it comes with the extra 'ray': "
            "pip install 'swatchbook[ray]'"
        ) from error
    if ray.is_initialized():
        yield ray
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere unasked
    try:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="warning")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ClusterError(f"no Ray cluster at {address or 'the default address'!r}: {error}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_room(ray: ModuleType, cpus: int, gpus: int) -> None:
    """Refuse a worker that no machine can hold, for which Ray would wait for ever."""
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most = max((int(has.get("CPU", 0)) for has in alive if has.get("GPU", 0) >= gpus), default=0)
    if cpus > most:
        which = "with a GPU " if gpus else ""
        raise ValueError(
            f"cpus is {cpus} for a worker, and the largest machine {which}of the cluster has {most}; "
            f"allowed: 1 to {most}"
        )


def _room(ray: ModuleType) -> str:
    has = ray.cluster_resources()
    machines = sum(node["Alive"] for node in ray.nodes())
    return f"the cluster has {machines} machines, {has.get('CPU', 0):g} cores and {has.get('GPU', 0):g} GPUs"
