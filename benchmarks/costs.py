"""Hours and device-hours of labels, an index and a training, computed from a table of rates.

    python benchmarks/costs.py                          # prints the tables
    python benchmarks/costs.py --page docs/scale.md     # puts them into the page, between its two marks

Rates, machines and scales stand in `rates.yaml`, each rate with whether it was measured, and where.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

RATES = Path(__file__).with_name("rates.yaml")
BEGIN = "<!-- computed by benchmarks/costs.py: begin -->"
END = "<!-- computed by benchmarks/costs.py: end -->"
HOUR = 3600


@dataclass(frozen=True)
class Cost:
    """What one job takes.

    Attributes:
        hours: By the clock.
        device_hours: Hours times devices, busy or waiting.
        limit: What keeps it from being faster.
    """

    hours: float
    device_hours: float
    limit: str


def label_cost(images: int, rate: float, reading: float, machine: Mapping) -> Cost:
    """Labels of so many images, read and encoded at the same time.

    Args:
        images: How many.
        rate: Images a second of one device.
        reading: Images a second that one core reads and shrinks.
        machine: Its ``devices`` and ``cores``; cores of None if `rate` has reading in it.
    """
    encoding = machine["devices"] * rate
    read = float("inf") if machine["cores"] is None else machine["cores"] * reading
    hours = images / min(encoding, read) / HOUR
    return Cost(hours, hours * machine["devices"], "reading" if read < encoding else "model")


def training_cost(
    images: int, epochs: int, rate: float, decoding: float, learnt_from: float, machine: Mapping
) -> Cost:
    """A training on so many images: all are decoded first, once, and then seen in every epoch.

    Args:
        images: How many there are.
        epochs: Passes over those that it learns from.
        rate: Images a second of one device in training.
        decoding: Images a second that one core decodes.
        learnt_from: Share of the images that it learns from.
        machine: Its ``devices``, ``cores`` and ``efficiency`` of several devices together.
    """
    once = images / (machine["cores"] * decoding)
    passes = epochs * learnt_from * images / (machine["devices"] * machine["efficiency"] * rate)
    hours = (once + passes) / HOUR
    return Cost(hours, hours * machine["devices"], "reading" if once > passes else "model")


def tables(measured: Mapping) -> str:
    """The page's tables in Markdown: labels, indexes, trainings, stored pixels, and the rates behind them."""
    parts = [
        "\n".join(_labels(measured)),
        "\n".join(_indexes(measured)),
        "\n".join(_trainings(measured)),
        "\n".join(_storage(measured)),
        "\n".join(_sources(measured)),
    ]
    return "\n\n".join(parts)


def with_tables(page: str, measured: Mapping) -> str:
    """A page with its computed part made anew.

    Raises:
        ValueError: If the page lacks one of the two marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN if not begin else END}")
    return f"{before}{BEGIN}\n\n{tables(measured)}\n\n{END}{after}"


def read(path: Path = RATES) -> dict:
    """Rates, machines and scales."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _rate(measured: Mapping, what: str, device: str) -> Mapping | None:
    """The entry of something on a device; None where there is none."""
    found = (rate for rate in measured["rates"] if rate["what"] == what and rate["device"] == device)
    return next(found, None)


def _labels(measured: Mapping) -> Iterator[str]:
    reading = _rate(measured, "read for labels", "core")["rate"]
    yield "| Labels of | on | by | time | device-hours | limited by | rates |"
    yield "|---|---|---|--:|--:|---|---|"
    for scale in measured["scales"]:
        for machine in _fit_for(scale, measured):
            found = _rate(measured, "label", machine["device"])
            if found:
                cost = label_cost(scale["images"], found["rate"], reading, machine)
                yield (
                    f"| {scale['name']} | {machine['name']} | {found['model']} | {_time(cost.hours)} | "
                    f"{_number(cost.device_hours)} | {cost.limit} | {_kind(found)} |"
                )


def index_cost(images: int, dimensions: int, measured: Mapping) -> dict[str, float]:
    """What an index takes beside the labels, on one core.

    Args:
        images: How many.
        dimensions: Of an embedding; time and bytes of graphs are taken to grow with it.
        measured: ``dimensions`` at which it was measured, ``path_and_labels`` (bytes of an image), ``block``
            (bytes of embeddings of a graph), ``graph_bytes`` (of an image), ``graph_rate`` (images a second),
            ``exact`` (seconds to compare an image) and ``graph`` (seconds to pass a graph).

    Returns:
        ``table`` and ``graphs`` in bytes; ``build`` in hours; ``exact`` and ``answer`` in seconds: to compare
        every image, and to pass all graphs and compare the rest.
    """
    wider = dimensions / measured["dimensions"]
    rows = measured["block"] // (2 * dimensions)
    blocks, rest = divmod(images, rows)
    return {
        "table": images * (measured["path_and_labels"] + 2 * dimensions),
        "graphs": blocks * rows * measured["graph_bytes"] * wider,
        "build": blocks * rows * wider / measured["graph_rate"] / HOUR,
        "exact": images * measured["exact"] * wider,
        "answer": blocks * measured["graph"] * wider + rest * measured["exact"] * wider,
    }


def _indexes(measured: Mapping) -> Iterator[str]:
    yield "| Index of | by | table | graphs | making them, a core | an answer, a core | without graphs |"
    yield "|---|---|--:|--:|--:|--:|--:|"
    for scale in measured["scales"]:
        for name, dimensions in measured["index"]["models"].items():
            cost = index_cost(scale["images"], dimensions, measured["index"])
            table, graphs = (f"{_number(cost[what] / 1e9)} GB" for what in ("table", "graphs"))
            build, answer, exact = (
                _time(hours) for hours in (cost["build"], cost["answer"] / HOUR, cost["exact"] / HOUR)
            )
            known = dimensions == measured["index"]["dimensions"] and not cost["graphs"]
            kind = "" if known else ", **an estimate**"
            made = f"{graphs} | {build}" if cost["graphs"] else "none | "
            yield (
                f"| {scale['name']} | {name}, {dimensions} dimensions{kind} | {table} | {made} "
                f"| {answer} | {exact} |"
            )


def _trainings(measured: Mapping) -> Iterator[str]:
    decoding = _rate(measured, "decode once", "core")["rate"]
    yield "| Training on | epochs | on | network | time | device-hours | limited by | rates |"
    yield "|---|--:|---|---|--:|--:|---|---|"
    trained = list(dict.fromkeys(r["what"] for r in measured["rates"] if r["what"].startswith("train ")))
    for scale in measured["scales"]:
        for machine in _fit_for(scale, measured):
            for what in trained:
                found = _rate(measured, what, machine["device"])
                if found:
                    cost = training_cost(
                        scale["images"],
                        scale["epochs"],
                        found["rate"],
                        decoding,
                        measured["learnt_from"],
                        machine,
                    )
                    yield (
                        f"| {scale['name']} | {scale['epochs']} | {machine['name']} | "
                        f"{what.removeprefix('train ')} | {_time(cost.hours)} | "
                        f"{_number(cost.device_hours)} | {cost.limit} | "
                        f"{_kind(found, machine)} |"
                    )


def _fit_for(scale: Mapping, measured: Mapping) -> list[Mapping]:
    """The machines that one would take for so many images; for few, starting many takes longer."""
    return [machine for machine in measured["machines"] if scale["images"] >= machine["least_images"]]


def _storage(measured: Mapping) -> Iterator[str]:
    yield "| Decoded pixels of | take |"
    yield "|---|--:|"
    for scale in measured["scales"]:
        gigabytes = scale["images"] * 3 * measured["side"] ** 2 / 1e9
        yield f"| {scale['name']} | {_number(gigabytes)} GB |"


def _sources(measured: Mapping) -> Iterator[str]:
    yield "| Rate of | one | images/s | | from |"
    yield "|---|---|--:|---|---|"
    for rate in measured["rates"]:
        what = f"{rate['what']} by {rate['model']}" if "model" in rate else rate["what"]
        yield (f"| {what} | {rate['device']} | {rate['rate']:,} | {_kind(rate)} | {rate['source']} |")


def _kind(rate: Mapping, machine: Mapping | None = None) -> str:
    """How a rate is known; one device's says only a guess of many that train together."""
    if not rate["measured"] or (machine and machine["efficiency"] != 1):
        return "**an estimate**"
    return "measured, a bound" if rate.get("bound") else "measured"


def _time(hours: float) -> str:
    """A time in the unit in which it has one to three figures before the point."""
    if hours * HOUR < 90:
        return f"{_number(hours * HOUR)} s"
    return f"{_number(hours * 60)} min" if hours < 1.5 else f"{_number(hours)} h"


def _number(value: float) -> str:
    """Two figures, more before the point."""
    if value >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", type=Path, help="a page with the two marks, whose tables are made anew")
    asked = parser.parse_args()
    if asked.page is None:
        print(tables(read()))
        return
    made = with_tables(asked.page.read_text(encoding="utf-8"), read())
    asked.page.write_text(made, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
