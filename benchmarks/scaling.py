"""How time and memory grow with the number of images, and time with the number of classes.

    python benchmarks/scaling.py --out scaling.json
    python benchmarks/scaling.py --out scaling.json --images 1000 10000 100000 --rounds 3

Measured are `label` and `predict`, from files to the written table, and a score table with its bootstrap.
Each size runs in a process of its own, which gives its peak of memory. The time of the same call on eight
images, measured in that process just before, is taken off; what is left is fitted as c·n^s, s being the
slope of its logarithm on that of n, with an intercept a round, so that a machine that is slower in one
round does not bend the line. The same is done with the seconds of the processor, which a busy machine
disturbs less. Images are links to a few drawn photographs. Beside FILE.json a figure FILE.png is drawn from
it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from growth import exponent, slope
from turns import Contestant, in_turn, machine

PER = 10_000  # images, for which the growth of memory is stated


def main(given: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    asked = _arguments(given)
    os.environ.update(CUDA_VISIBLE_DEVICES="", TQDM_DISABLE="1", TOKENIZERS_PARALLELISM="false")
    result = measured(asked)
    asked.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    from drawings import scaling_figure

    scaling_figure(result, asked.out.with_suffix(".png"))
    print(table(result))
    print(f"written: {asked.out} and {asked.out.with_suffix('.png')}")


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 3000, 10_000], metavar="N")
    parser.add_argument(
        "--tables", type=int, nargs="+", default=[3000, 10_000, 30_000], metavar="N", help="of score tables"
    )
    parser.add_argument("--classes", type=int, nargs="+", default=[4, 16, 64], metavar="K")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="photographs of one's own, instead of drawn ones")
    parser.add_argument("--drawn", type=int, default=128, help="different photographs to draw (%(default)s)")
    parser.add_argument("--size", type=int, default=256, help="short side of drawn JPEGs (%(default)s px)")
    asked = parser.parse_args(given)
    if asked.out.suffix != ".json" or not asked.out.absolute().parent.is_dir():
        parser.error(f"--out {str(asked.out)!r}; allowed: a .json file in a folder that exists")
    for name, least in (("images", 16), ("tables", 16), ("classes", 2)):
        sizes = getattr(asked, name)
        if min(sizes) < least or len(set(sizes)) < 2:
            parser.error(f"--{name} {sizes}; allowed: at least two different numbers from {least}")
    if asked.rounds < 1:
        parser.error(f"--rounds {asked.rounds}; allowed: at least 1")
    return asked


def measured(asked: argparse.Namespace) -> dict:
    """Measure everything; what goes into the JSON file."""
    from material import photographs

    found: dict[tuple[str, str], list[dict]] = {}
    host = machine("cpu")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        files = photographs(place, asked.folder, asked.drawn, asked.size)
        jobs = list(_jobs(asked, files, place))
        for number in range(asked.rounds):
            # Every other round from the largest to the smallest, so that a drift of the machine cancels.
            for work, over, size, contestant in jobs[:: -1 if number % 2 else 1]:
                progress = f"round {number + 1} of {asked.rounds}: {contestant.name}"
                print(progress, file=sys.stderr, flush=True)
                turn = in_turn([contestant], 1, lambda _: None)[0].found[0]
                found.setdefault((work, over), []).append({"round": number, "size": size, **turn})
    return {
        "what": "how time and memory grow",
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "machine": host,
        "settings": {"rounds": asked.rounds, "images_for_classes": min(asked.images)},
        "results": [fitted(work, over, turns) for (work, over), turns in found.items()],
    }


def _jobs(
    asked: argparse.Namespace, files: list[str], place: Path
) -> Iterator[tuple[str, str, int, Contestant]]:
    """What is measured, over what, at which size, and who does it."""
    import scaling_work as works
    from material import linked

    few = linked(files, works.FEW, place / "few")
    model = works.model_for(place, few)
    for size in sorted(set(asked.images)):
        many = linked(files, size, place / f"{size}")
        yield (
            "label",
            "images",
            size,
            Contestant(f"label {size:,}", works.label, {"few": few, "many": many, "classes": None}),
        )
        yield (
            "predict",
            "images",
            size,
            Contestant(f"predict {size:,}", works.predict, {"few": few, "many": many, "model": model}),
        )
    for size in sorted(set(asked.tables)):
        settings = {"images": size, "classes": None}
        yield "score table", "images", size, Contestant(f"score table {size:,}", works.tables, settings)
    least = min(asked.images)
    for classes in sorted(set(asked.classes)):
        settings = {"few": few, "many": place / f"{least}", "classes": classes}
        yield "label", "classes", classes, Contestant(f"label, {classes} classes", works.label, settings)
        settings = {"images": min(asked.tables), "classes": classes}
        called = f"score table, {classes} classes"
        yield "score table", "classes", classes, Contestant(called, works.tables, settings)


def fitted(work: str, over: str, turns: list[dict]) -> dict:
    """The turns of one work with the exponents of its time and, over images, the growth of its memory."""
    sizes, rounds = [turn["size"] for turn in turns], [turn["round"] for turn in turns]
    entry = {"work": work, "over": over, "turns": turns, "growth": None}
    entry["slope"] = exponent(sizes, [turn["seconds"] for turn in turns], rounds)
    entry["slope_processor"] = exponent(sizes, [turn["processor_seconds"] for turn in turns], rounds)
    if over == "images":
        scaled = [size / PER for size in sizes]
        entry["growth"] = slope(scaled, [turn["peak_mib"] for turn in turns], rounds)
    return entry


def table(result: dict) -> str:
    """The result as a person reads it."""
    host = result["machine"]
    lines = [
        f"{host['processor']}, {host['cores_allowed']} cores allowed, load {host['load_before']} before; "
        f"{result['settings']['rounds']} rounds; 95 % intervals",
        f"{'':<14}{'over':<9}{'slope of time':>22}{'of processor time':>22}{f'MiB per {PER:,} images':>28}",
    ]
    for entry in result["results"]:
        lines.append(
            f"{entry['work']:<14}{entry['over']:<9}{_formatted(entry['slope'], '.3f'):>22}"
            f"{_formatted(entry['slope_processor'], '.3f'):>22}{_formatted(entry['growth'], '.1f'):>28}"
        )
        for size in sorted({turn["size"] for turn in entry["turns"]}):
            some = [turn for turn in entry["turns"] if turn["size"] == size]
            seconds, start, peak = (
                sorted(turn[key] for turn in some)[len(some) // 2] for key in ("seconds", "start", "peak_mib")
            )
            lines.append(f"    {size:>9,}  {seconds:9.2f} s after a start of {start:.2f} s  {peak:7.0f} MiB")
    return "\n".join(lines)


def _formatted(found: dict | None, form: str) -> str:
    return f"{found['value']:{form}} [{found['low']:{form}}, {found['high']:{form}}]" if found else "-"


if __name__ == "__main__":
    main()
