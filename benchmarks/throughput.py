"""Images a second in training and in labelling, beside what others reach and beside the network alone.

    python benchmarks/throughput.py --device cpu --quick --out throughput.json
    python benchmarks/throughput.py --device cpu --out throughput.json
    python benchmarks/throughput.py --device cuda --out throughput.json --workers 2 14

All contestants have the same network, optimiser, precision and loss; they differ in how they are fed. Each
lives in a process of its own and they take turns, so that a busy neighbour meets all of them; a ratio
compares two rates of the same round. Photographs are drawn by the package unless --folder names some; files
are read from the system's cache. `--quick` measures little and answers within three minutes on two cores.
Beside FILE.json a figure FILE.png is drawn from it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from turns import Contestant, Outcome, in_turn, machine

CEILING = "ready tensors"
COMPILED = "ready tensors, compiled"
DEFAULTS = {  # of each device: backbones, profile, images, workers, warm-up steps
    "cpu": (["swatchbook-tower"], "demo", 768, [0, 2], 3),
    "cuda": (["vit_base_patch14_dinov2.lvd142m", "resnet50.tv_in1k"], "paper", 6400, [2, 14], 20),
}


QUICK = {"images": 48, "batch": 16, "workers": [2], "warmup": 1, "drawn": 16, "repeats": 1}
THOROUGH = {"drawn": 128, "repeats": 5}


def main(given: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    asked = _arguments(given)
    if asked.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the labeller takes a GPU where it sees one
    os.environ.update(TQDM_DISABLE="1", TOKENIZERS_PARALLELISM="false")
    result = measured(asked)
    asked.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    from drawings import throughput_figure

    throughput_figure(result, asked.out.with_suffix(".png"))
    print(table(result))
    print(f"written: {asked.out} and {asked.out.with_suffix('.png')}")


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=DEFAULTS, required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--backbone", action="append", help="repeatable; random weights")
    parser.add_argument("--images", type=int, help="a turn's images")
    parser.add_argument("--folder", type=Path, help="photographs of one's own, instead of drawn ones")
    parser.add_argument("--drawn", type=int, help="different photographs to draw")
    parser.add_argument("--size", type=int, default=256, help="short side of drawn JPEGs (%(default)s px)")
    parser.add_argument("--batch", type=int, help="images an optimiser step; the profile's by default")
    parser.add_argument("--workers", type=int, nargs="+", help="of the loaders; several are compared")
    parser.add_argument("--threads", type=int, help="torch's threads in training; the profile's by default")
    parser.add_argument("--repeats", type=int, help="rounds")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few images in small batches, one round, two workers of each loader",
    )
    parser.add_argument("--warmup", type=int, help="steps of a turn that are not timed")
    parser.add_argument("--labeller", default="bundled", help="none leaves labelling out (%(default)s)")
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="also compiled by torch; by default on a GPU, where the study compiles long trainings",
    )
    asked = parser.parse_args(given)
    backbones, asked.profile, images, workers, warmup = DEFAULTS[asked.device]
    asked.backbone = asked.backbone or backbones
    usual = {"images": images, "workers": workers, "warmup": warmup, **THOROUGH}
    for name, value in (QUICK if asked.quick else usual).items():
        if getattr(asked, name) is None:
            setattr(asked, name, value)
    asked.compile = asked.device == "cuda" if asked.compile is None else asked.compile
    if asked.out.suffix != ".json" or not asked.out.absolute().parent.is_dir():
        parser.error(f"--out {str(asked.out)!r}; allowed: a .json file in a folder that exists")
    for name, least in (("repeats", 1), ("warmup", 1), ("drawn", 1), ("size", 48), ("images", 1)):
        if getattr(asked, name) < least:
            parser.error(f"--{name} {getattr(asked, name)}; allowed: at least {least}")
    if min(asked.workers) < 0:
        parser.error(f"--workers {min(asked.workers)}; allowed: 0 or more")
    return asked


def measured(asked: argparse.Namespace) -> dict:
    """Measure everything; what goes into the JSON file."""
    from material import linked, photographs

    from swatchbook import Study
    from swatchbook.models.hardware import choose

    recipe = Study.open(asked.profile).config.training
    recipe = replace(recipe, batch=asked.batch or recipe.batch, threads=asked.threads or recipe.threads)
    if asked.images < recipe.batch:
        raise SystemExit(f"--images {asked.images}; allowed: at least a batch, {recipe.batch}")
    steps = asked.images // recipe.batch
    result = {
        "what": "images a second, side by side",
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "machine": machine(asked.device),
        "precision": choose(recipe.precision, asked.device).reason,
        "settings": {
            "profile": asked.profile,
            "image_size": recipe.image_size,
            "batch": recipe.batch,
            "threads": recipe.threads,
            "epochs": recipe.epochs,
            "steps_timed": steps,
            "rounds": asked.repeats,
            "photographs": str(asked.folder) if asked.folder else f"drawn, short side {asked.size} px, JPEG",
        },
        "results": [],
    }
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        files = photographs(place, asked.folder, asked.drawn, asked.size)
        folder = linked(files, (steps + 1) * recipe.batch, place / "linked")
        for backbone in asked.backbone:
            found = _training(asked, backbone, recipe, steps, folder, place)
            result["results"] += compared(f"training {backbone}", found, recipe.epochs)
        if asked.labeller != "none":
            found = _labelling(asked, folder, place)
            result["results"] += compared(f"labelling, {asked.labeller}", found, recipe.epochs)
    return result


def _training(
    asked: argparse.Namespace, backbone: str, recipe: object, steps: int, folder: Path, place: Path
) -> dict[str, Outcome]:
    """Name → what was found of each that trains."""
    import training_loops as loops
    from learner import Task

    array = place / "pixels.npy"
    if not array.exists():
        loops.decoded(folder, array)
    task = Task(backbone, recipe, asked.device, folder, array, steps, asked.warmup, asked.repeats + 1)
    who = [Contestant(CEILING, loops.ceiling, {"task": task, "compiled": False})]
    if asked.compile:
        who.append(Contestant(COMPILED, loops.ceiling, {"task": task, "compiled": True}))
    who.append(Contestant("Swatchbook", loops.ours, {"task": task, "compiled": False}))
    if asked.compile:
        who.append(Contestant("Swatchbook, compiled", loops.ours, {"task": task, "compiled": True}))
    who.append(Contestant("decoding once", loops.decoding, {"task": task}))
    for workers in asked.workers:
        settings = {"task": task, "workers": workers}
        who += [
            Contestant(f"DataLoader, {workers} workers", loops.plain, settings),
            Contestant(f"timm loader, {workers} workers", loops.timm_loader, settings),
            Contestant(f"HF Trainer, {workers} workers", loops.hf_trainer, settings),
        ]
    return _run(who, asked.repeats)


def _labelling(asked: argparse.Namespace, folder: Path, place: Path) -> dict[str, Outcome]:
    """Name → what was found of each that labels; on a CPU the study computes by ONNX Runtime where it can."""
    import labelling_loops as loops
    from material import without_graphs

    job = loops.Labelling(asked.labeller, "wardrobe", asked.device, folder)
    who = [
        Contestant(CEILING, loops.tower, {"job": job}),
        Contestant("Swatchbook", loops.whole, {"job": job}),
    ]
    if asked.device == "cpu" and (copy := without_graphs(asked.labeller, place)):
        who.append(Contestant("Swatchbook, by torch", loops.whole, {"job": replace(job, labeller=copy)}))
    for workers in asked.workers:
        settings = {"job": job, "workers": workers}
        who.append(Contestant(f"DataLoader, {workers} workers", loops.plain, settings))
    return _run(who, asked.repeats)


def _run(who: list[Contestant], rounds: int) -> dict[str, Outcome]:
    def log(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    outcomes = in_turn(who, rounds, log, uncounted=1)
    return dict(zip([each.name for each in who], outcomes, strict=True))


def compared(part: str, found: dict[str, Outcome], epochs: int) -> list[dict]:
    """An entry a contestant: rates of the rounds, and their ratio to the ceiling of the same round.

    Args:
        part: What was measured.
        found: Name → outcome; `CEILING` is among them. Where the study's training and its decoding are,
            entries with the decoding spread over the epochs are added; and one without loading where that
            was measured.
        epochs: Of a run.
    """
    rates, more = {}, {}
    for name, outcome in found.items():
        rates[name] = np.array([turn["images"] / turn["seconds"] for turn in outcome.found])
        peaks = [turn["peak_mib"] for turn in outcome.found]
        more[name] = {"peak_mib": round(max(peaks)) if peaks else None, "note": outcome.note}
        extra = {key for turn in outcome.found for key in turn} - {"images", "seconds", "peak_mib"}
        more[name] |= {key: [turn[key] for turn in outcome.found] for key in sorted(extra)}
    for name in ("Swatchbook", "Swatchbook, compiled"):
        if name in rates and "decoding once" in rates:
            once = 1 / (rates["decoding once"] * epochs)
            called = f"{name}, decoding in {epochs} epochs"
            rates[called], more[called] = 1 / (1 / rates[name] + once), {"note": "computed from the two"}
    turns = found["Swatchbook"].found if "Swatchbook" in found else []
    # Of a handful of photographs, loading is nearly all, and its own measurement may be the longer one.
    if turns and all(0 < turn.get("loading_seconds", 0) < turn["seconds"] for turn in turns):
        called = "Swatchbook, without loading"
        rates[called] = np.array([t["images"] / (t["seconds"] - t["loading_seconds"]) for t in turns])
        more[called] = {"note": "the seconds of loading the labeller taken off"}
    entries = []
    # The ceilings first, then the study's own together with what is computed from it.
    for name in sorted(rates, key=lambda n: (not n.startswith(CEILING), not n.startswith("Swatchbook"))):
        found_rates = rates[name]
        against = COMPILED if "compiled" in name and COMPILED in rates else CEILING
        ratio = found_rates / rates[against] if len(found_rates) else found_rates
        entry = {"part": part, "name": name, "images_per_s": spread(found_rates)}
        if name not in (against, "decoding once"):
            entry |= {"ratio": spread(ratio), "against": against}
        entries.append({**entry, "rounds": found_rates.round(3).tolist(), **more[name]})
    return entries


def spread(values: np.ndarray) -> dict[str, float] | None:
    """Median, smallest and largest; None of nothing."""
    if not len(values):
        return None
    return {"median": float(np.median(values)), "low": float(values.min()), "high": float(values.max())}


def table(result: dict) -> str:
    """The result as a person reads it."""
    host, gpu = result["machine"], result["machine"]["gpu"]
    chosen = result["settings"]
    lines = [
        f"{host['processor']}, {host['cores_allowed']} cores allowed, load {host['load_before']} before; "
        f"{gpu or 'no GPU'}; {result['precision']}",
        ", ".join(f"{name} {number}" for name, number in host["versions"].items() if number),
        f"batch {chosen['batch']}, {chosen['image_size']} px, {chosen['steps_timed']} steps timed a round, "
        f"{chosen['rounds']} rounds in turn, {chosen['threads']} threads; median (smallest to largest)",
    ]
    lines.append("Peak MiB: " + ("of the GPU." if gpu else "of the process, its workers apart."))
    part = None
    for entry in result["results"]:
        if entry["part"] != part:
            part = entry["part"]
            lines += ["", f"{part:<42}{'images/s':>24}{'of ready tensors':>22}   peak MiB"]
        if entry["images_per_s"] is None:
            lines.append(f"  {entry['name']:<40}{entry['note']:>24}")
            continue
        ratio = _formatted(entry["ratio"], ".2f") if "ratio" in entry else ""
        peak = entry.get("peak_mib") or "-"
        lines.append(
            f"  {entry['name']:<40}{_formatted(entry['images_per_s'], ',.0f'):>24}{ratio:>22}   {peak:>8}"
        )
    return "\n".join(lines)


def _formatted(values: dict[str, float], form: str) -> str:
    return f"{values['median']:{form}} ({values['low']:{form}}–{values['high']:{form}})"


if __name__ == "__main__":
    main()
