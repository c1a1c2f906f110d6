"""Figures of the benchmarks, drawn from their JSON."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from swatchbook.report.figure import DPI, FAINT, INK, PALETTE, RC, SMALL, SOFT, TITLE

OURS, OTHERS, BARE = PALETTE[0], PALETTE[1], "#8a857e"


def throughput_figure(result: dict, path: Path) -> None:
    """Horizontal bars of the median with a line from the smallest to the largest, a panel a part."""
    parts: dict[str, list[dict]] = {}
    for entry in result["results"]:
        if entry["images_per_s"]:
            parts.setdefault(entry["part"], []).append(entry)
    counts = [len(entries) for entries in parts.values()]
    host = result["machine"]
    with mpl.rc_context(RC):
        canvas = Figure(figsize=(10, 1.3 + 0.34 * sum(counts) + 0.75 * len(counts)), layout="constrained")
        canvas.suptitle(
            "Images a second, fed in different ways", x=0.01, ha="left", size=TITLE, weight="bold"
        )
        panels = canvas.subplots(len(parts), 1, height_ratios=counts, squeeze=False)[:, 0]
        for axes, (part, entries) in zip(panels, parts.items(), strict=True):
            _bars(axes, part, entries)
        panels[-1].set_xlabel("images a second")
        note = (
            f"Bars: median of {result['settings']['rounds']} rounds in turn; lines: smallest to largest. In "
            f"brackets: share of the ready tensors' rate in the same round.\n"
            f"{host['gpu'] or host['processor']}, {host['cores_allowed']} cores, torch "
            f"{host['versions']['torch']}, batch {result['settings']['batch']}, "
            f"{result['settings']['image_size']} px."
        )
        canvas.supxlabel(note, x=0.01, ha="left", size=SMALL, color=SOFT)
        canvas.savefig(path, dpi=DPI, metadata={"Software": None})


def _bars(axes: mpl.axes.Axes, part: str, entries: list[dict]) -> None:
    largest = max(entry["images_per_s"]["high"] for entry in entries)
    for place, entry in enumerate(entries):
        rate = entry["images_per_s"]
        ours = entry["name"].startswith("Swatchbook")
        bare = "ratio" not in entry
        axes.barh(place, rate["median"], height=0.62, color=OURS if ours else BARE if bare else OTHERS)
        axes.plot([rate["low"], rate["high"]], [place, place], color=INK, linewidth=1.6)
        share = f"  ({entry['ratio']['median']:.2f})" if "ratio" in entry else ""
        right = max(rate["high"], rate["median"]) + 0.012 * largest
        axes.text(right, place, f"{rate['median']:,.0f}{share}", va="center", size=SMALL)
    axes.set_yticks(range(len(entries)), [entry["name"] for entry in entries])
    axes.set(title=part, xlim=(0, 1.16 * largest))
    axes.invert_yaxis()
    axes.grid(axis="x", color=FAINT)
    axes.set_axisbelow(True)


def scaling_figure(result: dict, path: Path) -> None:
    """Seconds and memory against the number of images, and seconds against the number of classes."""
    panels = [
        ("images", "seconds", "seconds after the start"),
        ("images", "peak_mib", "peak memory, MiB"),
        ("classes", "seconds", "seconds after the start"),
    ]
    works = list(dict.fromkeys(entry["work"] for entry in result["results"]))
    styles = dict(zip(works, zip(PALETTE[:4], "os^D", strict=True), strict=False))
    with mpl.rc_context(RC):
        canvas = Figure(figsize=(10, 5.2), layout="constrained")
        canvas.suptitle("How work grows", x=0.01, ha="left", size=TITLE, weight="bold")
        for axes, (over, measure, called) in zip(canvas.subplots(1, 3), panels, strict=True):
            for entry in result["results"]:
                if entry["over"] == over:
                    _growth(axes, entry, measure, styles[entry["work"]])
            axes.set(xlabel=f"number of {over}", ylabel=called, xscale="log")
            axes.set_yscale("log" if measure == "seconds" else "linear")
            _plain_numbers(axes.xaxis)
            if measure == "seconds":
                _plain_numbers(axes.yaxis)
            else:
                axes.set_ylim(bottom=0)
            axes.grid(color=FAINT)
            axes.legend(fontsize=SMALL, loc="upper center", bbox_to_anchor=(0.5, -0.17))
        host = result["machine"]
        note = f"{host['processor']}, {host['cores_allowed']} cores; {result['settings']['rounds']} rounds."
        canvas.supxlabel(note, x=0.01, ha="left", size=SMALL, color=SOFT)
        canvas.savefig(path, dpi=DPI, metadata={"Software": None})


def _plain_numbers(axis: mpl.axis.Axis) -> None:
    """Powers of ten, or 1, 2 and 5 of them where they are few, written out: matplotlib's are formulas."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1,) if high / low > 50 else (1, 2, 5)))
    axis.set_major_formatter(lambda x, _: f"{x:,.0f}" if x >= 1 else f"{x:.2g}")
    axis.set_minor_locator(NullLocator())


def _growth(axes: mpl.axes.Axes, entry: dict, measure: str, style: tuple[str, str]) -> None:
    turns = [turn for turn in entry["turns"] if turn[measure] > 0]
    colour, marker = style
    sizes = sorted({turn["size"] for turn in turns})
    middle = [float(np.median([t[measure] for t in turns if t["size"] == size])) for size in sizes]
    called = entry["work"]
    if measure == "seconds" and entry["slope"]:
        slope = entry["slope"]
        called += f"\nslope {slope['value']:.2f} [{slope['low']:.2f}, {slope['high']:.2f}]"
    elif measure == "peak_mib" and entry["growth"]:
        called += f"\n{entry['growth']['value']:+.1f} MiB per 10,000"
    axes.plot(sizes, middle, color=colour, marker=marker, label=called)
    found = [(turn["size"], turn[measure]) for turn in turns]
    axes.scatter(*zip(*found, strict=True), color=colour, marker=marker, s=14, alpha=0.5)
