"""The audit as one HTML page: images embedded, nothing loaded, answers kept by the browser and saved as CSV.

``answers.js`` (what was answered, as an object and as CSV), ``card.js`` (what is shown) and ``judge.js``
(what keys do) serve two hosts: ``page.js``, this page, and ``widget.js``, `swatchbook.audit.widget`.
The machine's labels, strata and weights are not given to either.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import pandas as pd
from jinja2 import Environment, StrictUndefined, Template
from PIL import Image

from swatchbook.atomic import write_file
from swatchbook.audit.columns import CANNOT_TELL, SAMPLE_COLUMNS, SEVERAL, answer_columns
from swatchbook.audit.sample import sample_id
from swatchbook.data.decoding import UnreadableError, decode, read_bytes
from swatchbook.data.strict_csv import DataError
from swatchbook.schema import Schema

LONG_SIDE = 512  # pixels; enough to tell a weave from a knit at three-fold zoom
QUALITIES = (90, 80, 68, 54, 40)  # of JPEG; below the last, texture is no longer to be judged
MEGABYTE = 1_000_000


def write_audit_page(
    sample: pd.DataFrame,
    paths: Mapping[str, str | Path],
    schema: Schema,
    out: str | Path,
    *,
    title: str = "Audit",
    annotator_hint: str = "",
    limit_mb: float = 12.0,
    given: pd.DataFrame | None = None,
    asked: pd.DataFrame | None = None,
) -> Path:
    """Write the page on which a person judges a sample, as one file that works without a network.

    With ``given`` it is no blind audit but corrects labels: it shows them, and only some are asked about.

    Args:
        sample: Columns as in ``audit/sample.csv``, a row an item in the order of asking.
        paths: Image id → file.
        schema: Gives attributes and classes; every attribute is asked.
        out: Where the page goes; its folder is made if needed, and the file appears whole or not at all.
        title: The page's title.
        annotator_hint: What stands greyed in the empty field for the person's name.
        limit_mb: Largest size of the page, in 10⁶ bytes; the quality of the images follows from it.
        given: Labels to correct, a row an item of the sample and a column an attribute; null for none.
        asked: Which of them are asked about, likewise; the others stand as answers from the start.

    Returns:
        ``out``.

    Raises:
        DataError: If the sample is not one, an image is missing or cannot be read, or the page would be
            larger than allowed at the lowest quality. No file is written then.
        StoreError: If the file cannot be written.
    """
    out = Path(out)
    work = work_of(sample, schema, title)
    if given is not None and asked is not None:
        names = list(schema.names)
        work["given"] = given[names].astype(object).where(given[names].notna(), "").to_numpy().tolist()
        work["asked"] = asked[names].to_numpy(dtype=bool).tolist()
    files = {image: _file(image, paths) for image in dict.fromkeys(work["names"])}
    room = int(limit_mb * MEGABYTE) - len(_page(work, [], title, annotator_hint).encode())
    pictures = _pictures(files, room, limit_mb)
    page = _page(work, pictures, title, annotator_hint)
    write_file(out, lambda partial: partial.write_bytes(page.encode()))
    return out


def work_of(sample: pd.DataFrame, schema: Schema, title: str) -> dict[str, object]:
    """What the judge shows: the sample's fingerprint, the questions and the images' names in order.

    Args:
        sample: As for `write_audit_page`.
        schema: Gives attributes and classes.
        title: What the audit is called.

    Returns:
        A mapping that JSON can hold; without strata, weights, repeats or anything of the machine's.

    Raises:
        DataError: If a column of the sample is missing or it has no rows.
    """
    missing = [column for column in SAMPLE_COLUMNS if column not in sample]
    if missing or not len(sample):
        received = ", ".join(map(str, sample)) if missing else "no rows"
        raise DataError(f"sample: received {received}; allowed: rows with {', '.join(SAMPLE_COLUMNS)}")
    return {
        "title": title,
        "sample": sample_id(sample),
        "columns": list(answer_columns(schema)),
        "attributes": [{"name": each.name, "classes": list(each.classes)} for each in schema],
        "cannot_tell": CANNOT_TELL,
        "several": SEVERAL,
        "names": [str(name) for name in sample["image_id"]],
    }


def picture(path: str | Path, quality: int = QUALITIES[0]) -> bytes:
    """An image file as an upright JPEG whose long side is at most `LONG_SIDE`; its metadata stay behind.

    Raises:
        UnreadableError: If the file is no image that can be read.
    """
    return _jpeg(_small(path), quality)


def asset(*names: str) -> str:
    """The text of files of this package, one after the other; answers are saved by ``csv_io.js``."""
    package = resources.files("swatchbook")
    files = ([package / "csv_io.js"] if "answers.js" in names else []) + [
        package / "audit/page" / name for name in names
    ]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def _file(image: str, paths: Mapping[str, str | Path]) -> Path:
    if image not in paths:
        raise DataError(f"paths: no file for image {image!r}; every image of the sample needs one")
    return Path(paths[image])


def _small(path: str | Path) -> Image.Image:
    image = decode(read_bytes(str(path)))
    image.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return image


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def _pictures(files: Mapping[str, Path], room: int, limit_mb: float) -> list[str]:
    """Data addresses of the images in the best quality that fits into ``room`` bytes."""
    totals = dict.fromkeys(QUALITIES, 0)
    kept: dict[int, list[str]] = {quality: [] for quality in QUALITIES}
    for image, path in files.items():
        try:
            small = _small(path)
        except UnreadableError as error:
            raise DataError(f"image {image!r} at {str(path)!r} cannot be shown: {error}") from None
        for quality in list(kept):
            address = f"data:image/jpeg;base64,{base64.b64encode(_jpeg(small, quality)).decode('ascii')}"
            totals[quality] += len(address) + 4  # quotes, comma and space around it
            kept[quality].append(address)
            if totals[quality] > room and quality != QUALITIES[-1]:
                del kept[quality]  # too good to fit; the lower ones go on
    best = next(iter(kept))
    if totals[best] > room:
        needed = limit_mb + (totals[best] - room) / MEGABYTE
        raise DataError(
            f"limit_mb: {len(files):,} images need {needed:.1f} MB at the lowest quality; received "
            f"{limit_mb:g}; allowed: a higher limit, or a sample in parts"
        )
    return kept[best]


def _page(work: Mapping[str, object], pictures: Sequence[str], title: str, hint: str) -> str:
    names: list[str] = work["names"]  # type: ignore[assignment]
    first = {name: k for k, name in enumerate(dict.fromkeys(names))}
    given = {
        **work,
        "names": base64.b64encode(json.dumps(names).encode()).decode("ascii"),
        "shown": [first[name] for name in names],
        "pictures": list(pictures),
    }
    css, script = asset("judge.css", "page.css"), asset("answers.js", "card.js", "judge.js", "page.js")
    assert "</" not in script and "</" not in css, "would end the element that holds it"
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_fingerprint(script)}",
            f"style-src {_fingerprint(css)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    return _template().render(
        title=title, hint=hint, images=f"{len(names):,}", css=css, script=script, policy=policy,
        work=json.dumps(given).replace("<", "\\u003c"),
    )  # fmt: skip


def _fingerprint(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(asset("judge.html"))
