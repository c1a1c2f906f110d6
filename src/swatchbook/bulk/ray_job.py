"""A folder of photographs, by the machines of a Ray cluster → the same one table that one machine writes.

The listing is cut into parts of a fixed number of photographs. Workers answer them in any order, each part
into a file of its own in ``<out>.parts``; then the table is written from them, part after part, by the code
that writes it on one machine. A stopped job goes on with the parts that are missing.

All that is assumed of the machines is a disk that they share: photographs, table and a model's folder lie
under the same path everywhere, and the package is installed in the same versions. For equal bits they must
also be of one kind: another processor, GPU or number of threads may round otherwise.

What is held here: the names of all photographs, as on one machine, and the answers of one part. Ray is handed
the parts' numbers only.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pandas as pd
import torch
from tqdm import tqdm

from swatchbook.bulk.folder import Labelling, Prediction, Work
from swatchbook.bulk.ray_parts import ClusterError, PartFolder
from swatchbook.bulk.ray_worker import Worker, identity
from swatchbook.bulk.table import PAGES, Parts, answer_folder, checked
from swatchbook.labeller.cosines import usual_batch
from swatchbook.schema import Schema

PART = 1024  # as on one machine, `cosine_parts`: the table has a row group a part


@dataclass(frozen=True)
class Machines:
    """What of a cluster is used, and how a folder is cut.

    Attributes:
        workers: How many models work at a time, each on a GPU of its own where the cluster has GPUs. Those
            for which there is no room wait until there is.
        cpus: CPU cores of each worker, for so many threads. By default, to label, as many as torch computes
            with here; to predict, as many as the model's recipe says, with which it computes in any case.
        address: Of the cluster, such as ``auto`` or ``head:6379``. By default what ``RAY_ADDRESS``
            names, or a cluster that was started on this machine, or else one of this machine alone, which
            ends with the job.
        batch: Photographs in one go, on which the bits of an answer depend; by default as on one machine.
        part: Photographs in a part. Only the defaults of both give the bytes of one machine.

    Raises:
        ValueError: If a number is below 1.
    """

    workers: int = 1
    cpus: int | None = None
    address: str | None = None
    batch: int | None = None
    part: int = PART

    def __post_init__(self) -> None:
        for name in ("workers", "cpus", "batch", "part"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1; received {value}")


def label_on_ray(
    folder: str | Path,
    out: str | Path,
    schema: Schema,
    machines: Machines,
    *,
    labeller: str = "bundled",
    temperature: float = 100.0,
    abstain: bool = True,
    html: str | Path | None = None,
    log: Callable[[str], object] = print,
) -> tuple[int, pd.DataFrame]:
    """Do what `predicting.label_folder` does, by many machines.

    Args:
        folder: As in `label_folder`, on the shared disk.
        out: As in `label_folder`, on the shared disk; ``<out>.parts`` grows beside it.
        schema: As in `label_folder`.
        machines: By what.
        labeller: As in `label_folder`; a folder lies on the shared disk.
        temperature: As in `label_folder`.
        abstain: As in `label_folder`.
        html: As in `label_folder`.
        log: Told in a line what was loaded, and in one who works.

    Returns:
        As `label_folder`.

    Raises:
        ValueError: As `label_folder`; or if no machine has as many cores as a worker needs.
        LabellerError: If the labeller cannot be loaded.
        StoreError: If a file cannot be written, or another command is writing it.
        ClusterError: If Ray is not installed or not reached, ``<out>.parts`` is another job's, or a worker
            fails; the parts that are done are kept.
    """
    kind, _, where = labeller.partition(":")
    found = f"{kind}:{Path(where).absolute()}" if kind == "local-dir" and where else labeller
    work = Labelling(schema, found, temperature, abstain)  # workers start in other folders
    out = checked(out)
    html = None if html is None else checked(html, PAGES, "html")
    with _cluster(machines.address) as ray:
        model = work.load("cpu", _quiet)  # here only to know it; a wrong name fails before anything is begun
        log(f"labeller {model.name} at {model.revision[:12]}")
        threads = machines.cpus or torch.get_num_threads()
        told = {**identity(work, model), "threads": threads}
        facts = {"labeller": labeller, "schema": schema.name}
        return _done(ray, work, told, Path(folder), out, machines, threads, log, html=html, facts=facts)


def predict_on_ray(
    folder: str | Path,
    out: str | Path,
    model_dir: str | Path,
    machines: Machines,
    *,
    log: Callable[[str], object] = print,
) -> tuple[int, pd.DataFrame]:
    """Do what `predicting.predict_folder` does, by many machines.

    Args:
        folder: As in `label_on_ray`.
        out: As in `label_on_ray`.
        model_dir: As in `predict_folder`, on the shared disk.
        machines: By what.
        log: Told in a line who works.

    Returns:
        As `predict_folder`.

    Raises:
        ValueError: As `predict_folder`; or if no machine has as many cores as a worker needs.
        StoreError: As `label_on_ray`.
        ClusterError: As `label_on_ray`.
    """
    out = checked(out)
    work = Prediction(Path(model_dir).absolute())
    with _cluster(machines.address) as ray:
        model = work.load("cpu", _quiet)
        told = {**identity(work, model), "threads": model.recipe.threads}
        cpus = machines.cpus or model.recipe.threads
        return _done(ray, work, told, Path(folder), out, machines, cpus, log)


def _quiet(_: str) -> None:
    """Say nothing: what was loaded is told in other words."""


def _done(
    ray: ModuleType,
    work: Work,
    told: Mapping[str, object],
    folder: Path,
    out: Path,
    machines: Machines,
    cpus: int,
    log: Callable[[str], object],
    *,
    html: Path | None = None,
    facts: Mapping[str, str] | None = None,
) -> tuple[int, pd.DataFrame]:
    """Answers of all parts, then the table."""
    gpus = 1 if ray.cluster_resources().get("GPU", 0) else 0
    _check_room(ray, cpus, gpus)
    log(f"{machines.workers} workers of {cpus} cores and {gpus} GPUs; {_room(ray)}")
    device = "cuda" if gpus else "cpu"
    batch = usual_batch(device) if machines.batch is None else machines.batch
    settings = {"device": device, "batch": batch, "part": machines.part}
    job = {**told, **settings, "folder": str(folder.absolute())}
    parts = PartFolder(out.absolute().with_name(f"{out.name}.parts"))

    def answer(paths: list[str], shards: Path) -> Parts:
        shards.mkdir(parents=True, exist_ok=True)  # not used, but looked for where nothing can be read
        parts.claim(job)
        count = parts.write_listing(paths, machines.part)
        worker = (work, job, parts, cpus)
        with tqdm(total=len(paths), desc=str(told["work"]), unit="image") as progress:
            for images in _run(ray, worker, count, machines.workers, cpus, gpus):
                progress.update(images)
        sound = False
        for number in range(count):
            table, broken = parts.read(number, number * machines.part)
            sound = sound or len(broken) < len(table)
            yield table, broken
        if not sound:
            shutil.rmtree(parts.root)  # `answer_folder` refuses, and there is nothing to go on from

    result = answer_folder(folder, out, work.schema, answer, html=html, facts=facts)
    shutil.rmtree(parts.root, ignore_errors=True)  # the result stands, whatever becomes of the parts
    return result


def _run(ray: ModuleType, worker: tuple, count: int, workers: int, cpus: int, gpus: int) -> Iterator[int]:
    """Have parts 0 to `count` − 1 answered; how many images each has that is done, in any order."""
    # A block a part: what is lost with a machine is then a part, which another does again.
    data = ray.data.from_items([{"part": number} for number in range(count)], override_num_blocks=count)
    data.context.enable_progress_bars = False  # there is one
    data.context.print_on_execution_start = False
    data.context.execution_no_progress_timeout_s = -1  # a part of a large model may take an hour on a CPU
    done = data.map_batches(
        Worker,
        fn_constructor_args=worker,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=cpus,
        num_gpus=gpus,
        runtime_env={"env_vars": {"TQDM_DISABLE": "1"}},  # a bar a worker would hide the one of all
    )
    try:
        for some in done.iter_batches(batch_size=None, prefetch_batches=0):
            if reasons := [str(reason) for reason in some["failed"] if reason]:
                raise ClusterError(reasons[0])
            yield int(some["images"].sum())
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
