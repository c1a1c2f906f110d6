"""Random damage to what a person hands in: each file is read or refused by its own error, never a traceback.

    python benchmarks/fuzz.py --minutes 10                  # each of the four in turn
    python benchmarks/fuzz.py --minutes 10 --only images    # one of them

A target writes a file that hypothesis has made up, most of it right and a part of it wrong, and reads it as
the package does. The tests run a few examples of each.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from swatchbook.audit.sheet import check_sheet
from swatchbook.data.decoding import UnreadableError, decode, measure
from swatchbook.data.strict_csv import DataError
from swatchbook.labeller.thresholds import read_thresholds
from swatchbook.schema import Schema, SchemaError

BATCH = 200  # examples between two looks at the clock
ROOT = Path("/photographs")
IMAGES = ("a.jpg", "skirt/b.jpg", "=c.jpg")

WORDS = (
    *(
        "",
        " ",
        "=1+1",
        "＝1",
        "'",
        '"',
        "a\nb",
        "\r",
        "\0",
        "\ufeff",
        "../x",
        "nan",
        "1e999",
        "-0",
        "１",
        "{}",
    ),
    *(
        "{0.__class__}",
        "%s",
        "red",
        "red;blue",
        "null",
        "true",
        "x" * 300,
        "\u202e",
        "\ud7ff",
        "!!python/none",
    ),
)
hostile = st.text(max_size=12) | st.sampled_from(WORDS)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | hostile,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with a few of them exchanged, taken out or put in, and perhaps cut off."""
    content = bytearray(data)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(min(len(content) - 1, 400), 0)))
        what = draw(st.binary(max_size=4))
        content[at : at + draw(st.integers(0, 4))] = what
    return bytes(content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content)


@st.composite
def schemas(draw: st.DrawFn) -> bytes:
    """A schema file, right but for one or two places."""
    tone = {"labelled_by": "zero_shot", "prompts_by": "ours", "threshold": 0.5, "templates": ["a {} garment"]}
    tone |= {"classes": {"dark": "dark", "light": "light"}, "multiple": draw(st.booleans())}
    cloth = {"labelled_by": "folder", "prompts_by": "ours", "templates": ["{}"], "classes": {"wool": "wool"}}
    rule = {"source": "ours", "folders": {"tweed": "wool", "rest": None}}
    content = {"name": "x", "attributes": {"tone": tone, "cloth": cloth}, "folder_maps": {"plain": rule}}
    for _ in range(draw(st.integers(0, 2))):
        part: object = content
        while isinstance(part, dict) and part:
            key = draw(st.sampled_from(sorted(part, key=repr)))
            if draw(st.booleans()) or not isinstance(part[key], dict):
                break
            part = part[key]
        if isinstance(part, dict):
            part[draw(hostile) if draw(st.booleans()) or not part else key] = draw(values)
    text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")
    return draw(damaged(text)) if draw(st.booleans()) else text


@st.composite
def tables(draw: st.DrawFn, header: tuple[str, ...], cells: dict[str, list[str]]) -> bytes:
    """A CSV file with these columns, right but for some cells."""
    names = [draw(hostile) if draw(st.integers(0, 20)) == 0 else name for name in header]
    lines = [names]
    for _ in range(draw(st.integers(0, 4))):
        lines.append(
            [draw(hostile if draw(st.integers(0, 5)) == 0 else st.sampled_from(cells[n])) for n in header]
        )
    text = "\n".join(",".join(line) for line in lines) + draw(st.sampled_from(["\n", "\r\n", ""]))
    data = text.encode("utf-8", "surrogatepass")
    return draw(damaged(data)) if draw(st.integers(0, 3)) == 0 else data


@cache
def pictures() -> tuple[bytes, ...]:
    """A small picture in every format and mode that is read."""
    rng, made = np.random.default_rng(0), []
    whole = Image.fromarray(rng.integers(0, 256, (9, 14, 4), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind, mode, more in (
        ("JPEG", "RGB", {"exif": exif}), ("JPEG", "CMYK", {}), ("PNG", "RGBA", {}), ("PNG", "P", {}),
        ("WEBP", "RGBA", {}), ("GIF", "P", {"save_all": True, "append_images": [whole.convert("P")]}),
        ("BMP", "RGB", {}), ("TIFF", "RGB", {}), ("TIFF", "L", {"compression": "tiff_lzw"}),
    ):  # fmt: skip
        buffer = io.BytesIO()
        whole.convert(mode).save(buffer, kind, **more)
        made.append(buffer.getvalue())
    return tuple(made)


def read_schema(data: bytes) -> None:
    """Whatever is accepted can be used: prompts are made, and its own labels are encoded."""
    with _file(data, ".yaml") as path:
        try:
            schema = Schema.load(path)
        except SchemaError:
            return
    assert all(a.prompts(label) for a in schema for label in a.classes)
    assert len({*schema.names, *(f"{name}_confidence" for name in schema.names)}) == 2 * len(schema.names)


def read_audit(data: bytes) -> None:
    """Whatever is accepted fits the schema."""
    schema = Schema.load()
    with _file(data, ".csv") as path:
        try:
            sheet = check_sheet(path, IMAGES, ROOT, schema)
        except DataError:
            return
    if not sheet.problems:
        assert set(sheet.judged["image_id"]) <= set(IMAGES)
        schema.encode(sheet.judged, "audit")


def read_levels(data: bytes) -> None:
    """Whatever is accepted lies between 0 and 1."""
    with _file(data, ".csv") as path:
        try:
            levels = read_thresholds(path, ("color", "pattern"))
        except DataError:
            return
    assert all(0 <= level <= 1 for level in levels.values())


def read_image(data: bytes) -> None:
    """Decoding and measuring agree on what is a picture."""
    sizes = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for read in (lambda: decode(data).size, lambda: measure(data)[:2]):
            try:
                sizes.append(read())
            except UnreadableError:
                sizes.append(None)
    assert sizes[0] == sizes[1]


SHEET = {
    "path": list(IMAGES),
    "color": ["red", "black", "other", ""],
    "pattern": ["solid", "striped", ""],
    "annotator": ["Anna", "Bo"],
    "stratum": ["x", "y"],
    "weight": ["1", "2.5"],
    "note": ["", "a hat?"],
}
LEVELS = {"attribute": ["color", "pattern"], "threshold": ["0.5", "0", "1", "0.25"]}
TARGETS: dict[str, tuple[st.SearchStrategy[bytes], Callable[[bytes], None]]] = {
    "schema": (schemas(), read_schema),
    "audit": (tables(tuple(SHEET), SHEET), read_audit),
    "thresholds": (tables(tuple(LEVELS), LEVELS), read_levels),
    "images": (st.sampled_from(pictures()).flatmap(damaged), read_image),
}


def attack(name: str, examples: int, number: int = 0) -> None:
    """Run a target on made-up files.

    Args:
        name: One of `TARGETS`.
        examples: How many.
        number: Which of many such calls; the same number gives the same files.

    Raises:
        Exception: What the package raised, with the smallest file by which it does.
    """
    made, target = TARGETS[name]
    options = settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    seed(number)(options(given(made)(target)))()


@contextmanager
def _file(data: bytes, suffix: str) -> Iterator[Path]:
    """A temporary file with this content."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"made_up{suffix}"
        path.write_bytes(data)
        yield path


def main() -> None:
    """Attack each target for so many minutes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="for each target (default: 10)")
    parser.add_argument("--only", choices=tuple(TARGETS), help="one target (default: all)")
    asked = parser.parse_args()
    for name in [asked.only] if asked.only else TARGETS:
        end, count = time.monotonic() + 60 * asked.minutes, 0
        while time.monotonic() < end:
            attack(name, BATCH, number=count // BATCH)
            count += BATCH
        print(f"{name}: {count:,} files in {asked.minutes:g} minutes, no traceback", flush=True)


if __name__ == "__main__":
    main()
