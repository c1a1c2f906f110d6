"""Where the published study's exports come from, and the numbers that it printed.

The exports are pinned by commit and SHA-256 in ``published.yaml``; they are read from a folder or
downloaded once into a cache. The printed numbers live in the same file, as text, because a printed
number is a claim with a precision.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache as remember
from importlib import resources
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pooch
import yaml
from tqdm import tqdm

from swatchbook.data.strict_csv import DataError

HOST = "https://raw.githubusercontent.com"
RETRIES = 2
TIMEOUT = 20  # seconds without an answer
KEYS = ("table", "model", "head", "class", "a", "b", "rows", "statistic")


@remember
def source_facts() -> dict:
    """The content of ``published.yaml``: repository, commit, licence, files and printed numbers."""
    text = (resources.files("swatchbook.data.readers") / "published.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def base_url() -> str:
    """The pinned commit's address, without a slash at its end."""
    facts = source_facts()
    return f"{HOST}/{facts['repository']}/{facts['commit']}"


def locate(
    source: Path | None = None,
    cache: Path | None = None,
    *,
    checksums: bool = True,
    url: str | None = None,
) -> dict[str, Path]:
    """Find the exports in a folder, or download them once.

    Args:
        source: Folder that holds the files, under their names here, under their original names (with
            " (1)"), or laid out as in the study's repository. None downloads.
        cache: Folder to download into; the user's cache by default. What is there and intact is used
            without a network.
        checksums: Whether every file must be the pinned one, byte for byte. False is for other exports
            in the same layout, and has a meaning only with ``source``.
        url: Address to download from, in place of the pinned commit's; for mirrors.

    Returns:
        Local file name → path, in the order of ``published.yaml``.

    Raises:
        DataError: If files are missing, differ from the pinned ones, or cannot be downloaded.
    """
    if source is not None:
        return _from_folder(Path(source), checksums)
    if not checksums:
        raise DataError("checksums=False needs a source folder; a download is always checked")
    folder = Path(cache) if cache is not None else Path(pooch.os_cache("swatchbook"))
    return _from_network(folder / "published", url or base_url())


def _from_folder(source: Path, checksums: bool) -> dict[str, Path]:
    if not source.is_dir():
        raise DataError(f"source {str(source)!r} is not a folder; name the folder of the exports")
    found, missing = {}, []
    for name, file in source_facts()["files"].items():
        candidates = (source / name, source / Path(file["path"]).name, source / file["path"])
        path = next((p for p in candidates if p.is_file()), None)
        if path is None:
            missing.append(name)
        else:
            found[name] = path
    if missing:
        raise DataError(
            f"source {str(source)!r} lacks {', '.join(missing)}; it needs the {len(found) + len(missing)} "
            f"files of {base_url()}"
        )
    if checksums:
        for name, path in found.items():
            _check(name, path)
    return found


def _check(name: str, path: Path) -> None:
    file = source_facts()["files"][name]
    data = path.read_bytes()
    received = hashlib.sha256(data).hexdigest()
    if received != file["sha256"]:
        cut = "; it is shorter, so it may be cut off" if len(data) < file["bytes"] else ""
        raise DataError(
            f"{path}: wrong checksum: expected SHA-256 {file['sha256']} ({file['bytes']:,} bytes), received "
            f"{received} ({len(data):,} bytes){cut}. Restore it from {base_url()}/{quote(file['path'])}, or "
            "leave out the source folder to download it"
        )


def _from_network(folder: Path, url: str) -> dict[str, Path]:
    files = source_facts()["files"]
    shelf = pooch.create(
        path=folder,
        base_url=f"{url}/",
        registry={name: f"sha256:{file['sha256']}" for name, file in files.items()},
        urls={name: f"{url}/{quote(file['path'])}" for name, file in files.items()},
        retry_if_failed=RETRIES,
    )
    wanted = [name for name, file in files.items() if not _intact(folder / name, file["sha256"])]
    if wanted:
        pooch.get_logger().setLevel("WARNING")  # one line a file would break the progress bar
        total = sum(files[name]["bytes"] for name in wanted)
        with tqdm(total=total, unit="B", unit_scale=True, desc="published exports") as progress:
            for position, name in enumerate(wanted):
                _fetch(shelf, name, wanted[position:], url)
                progress.update(files[name]["bytes"])
    return {name: folder / name for name in files}


def _intact(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _fetch(shelf: pooch.Pooch, name: str, missing: list[str], url: str) -> None:
    import requests  # slow to import, and not needed once the cache is full

    advice = f"or pass --source DIR with the files; still missing: {', '.join(missing)}"
    try:
        shelf.fetch(name, downloader=pooch.HTTPDownloader(timeout=TIMEOUT))
    except requests.RequestException as error:
        raise DataError(
            f"{name} cannot be downloaded from {url}. Check the network and run again, {advice}. The reason: "
            f"{type(error).__name__}: {error}"
        ) from error
    except ValueError as error:  # what the fetcher raises on a wrong checksum; it keeps nothing
        raise DataError(f"{name} from {url} is not the pinned file: {error} Run again, {advice}") from error
    except OSError as error:
        raise DataError(
            f"{name} cannot be written into the cache {str(shelf.abspath)!r} ({error}). Make room in "
            f"it, or let it be written, {advice}"
        ) from error


def printed_numbers() -> pd.DataFrame:
    """Every number that the study printed, a row a number and place.

    Returns:
        Columns ``table, model, head, class, a, b, rows, statistic`` (what the number is; "" where a key
        has no meaning), ``value`` (in our units: shares in [0, 1], not percent), ``text`` (as printed),
        ``decimals`` (digits after the point to which it was rounded), ``scale`` (printed number / ``value``),
        ``tolerance`` (half a unit of the last printed digit, in the units of ``value``: a recomputed
        number reproduces the printed one if it lies this near), ``where`` (who printed it) and ``note``.
    """
    rows = []
    for group in source_facts()["printed"]:
        by = group.get("by")
        texts = group["values"] if by else {None: group["text"]}
        for key, text in texts.items():
            keys = {**group["keys"], **({by: key} if by else {})}
            rows.append(
                {
                    **{k: keys.get(k, "") for k in KEYS},
                    **_number(text, group.get("scale", 1), group.get("decimals")),
                    "where": group["where"],
                    "note": group.get("notes", {}).get(key, group.get("note", "")),
                }
            )
    return pd.DataFrame(rows)


def _number(text: str, scale: float, decimals: int | None = None) -> dict[str, str | float | int]:
    """Take a printed number apart; ``3,760``, ``+13.2``, ``22.3k`` and ``2.1e-286`` are numbers."""
    found = re.fullmatch(r"[±+]?(-?[\d,]*\d)(?:\.(\d+))?(e-?\d+)?k?", text)
    if found is None:
        raise DataError(f"published.yaml: printed {text!r} is no number")
    whole, fraction, exponent = found[1].replace(",", ""), found[2] or "", found[3] or ""
    printed = float(f"{whole}.{fraction or 0}{exponent}")
    decimals = len(fraction) if decimals is None else decimals
    half_unit = 0.5 * 10.0**-decimals * float(f"1{exponent}")
    # Tables written at full precision differ from a recomputation by rounding errors of the arithmetic.
    tolerance = max(half_unit, 1e-9 * abs(printed)) / scale
    return {
        "value": printed / scale,
        "text": text,
        "decimals": decimals,
        "scale": scale,
        "tolerance": tolerance * (1 + 1e-9),
    }


def pinned() -> dict[str, str]:
    """SHA-256 of every pinned export, and of the list that pins them and holds the printed numbers."""
    text = (resources.files("swatchbook.data.readers") / "published.yaml").read_bytes()
    files = {name: file["sha256"] for name, file in source_facts()["files"].items()}
    return {**files, "published.yaml": hashlib.sha256(text).hexdigest()}
