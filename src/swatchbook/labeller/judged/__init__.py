"""The judged set: 4,619 CC0 photographs of garments, and what a vision-language model saw on them.

The judgements are in ``judgements.csv``; ``README.md`` says how they were made and how far to trust them.
The photographs are not part of the package: `with_photographs` finds them in a clone of the data set and
makes sure that they are the ones that were judged.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from swatchbook.data.decoding import content_digest
from swatchbook.data.images import in_parallel
from swatchbook.data.source import locate
from swatchbook.data.strict_csv import DataError, read_csv

JUDGEMENTS = Path(__file__).with_name("judgements.csv")
REPOSITORY = "https://github.com/alexeygrigorev/clothing-dataset"
COMMIT = "7ed86a9cc56763b6acb35e41cb35184e43a5d218"
ATTRIBUTES = ("color", "pattern", "texture", "material")
BOX = ("left", "top", "right", "bottom")
CANNOT_TELL = "can't tell"
COLUMNS = (
    *("image_id", "file", "kind", "part", "drawn", "weight"),
    *(*ATTRIBUTES, "main_color", "box", "judge", "date", "round", "sha256"),
)


def read_judgements(number: int = 1) -> pd.DataFrame:
    """The judgements of one round.

    Args:
        number: 1 is the judgement of all photographs, 2 that of those that were judged a second time.

    Returns:
        A row a photograph: ``image_id, file, kind, part`` (train or val), ``drawn`` ("kind" if at random by
        kind, "labeller" if added by a labeller's answers, "rest" if it was left), ``weight`` (photographs
        of its kind in the data set that it stands for; NaN unless at random), a class of the schema
        ``wardrobe`` for each of `ATTRIBUTES` (null where the judge could not tell), ``main_color`` (of
        photographs of ``train`` whose colour could not be told, the one that leads or lies nearest, or
        null), the garment's box as `BOX` in shares of width and height from the upper left corner, ``judge,
        date`` and ``sha256`` of the file.
    """
    rows = read_csv(JUDGEMENTS, COLUMNS)
    rows = rows[rows["round"] == str(number)].reset_index(drop=True)
    if rows.empty:
        raise ValueError(f"round {number!r} was not judged; allowed: 1 or 2")
    box = rows["box"].str.split(" ", expand=True).astype(float).set_axis(BOX, axis=1)
    named = {name: rows[name].where(rows[name] != CANNOT_TELL, None) for name in ATTRIBUTES}
    about = rows[["image_id", "file", "kind", "part", "drawn"]]
    about = about.assign(weight=pd.to_numeric(rows["weight"]))
    named["main_color"] = rows["main_color"].where(rows["main_color"] != "", None)
    return about.assign(**named).join(box).join(rows[["judge", "date", "sha256"]])


def with_photographs(judgements: pd.DataFrame, source: Path) -> pd.DataFrame:
    """The judgements with the ``path`` of each photograph.

    Args:
        judgements: With ``file`` and ``sha256``, as `read_judgements` gives them.
        source: A clone of the data set at `COMMIT`, or an archive of it.

    Raises:
        DataError: If a photograph is missing or not the one that was judged; names the first.
    """
    folder = locate(source, "an archive of the data set", ("images",)) / "images"
    paths = [str(folder / name) for name in judgements["file"]]
    found = pd.Series(in_parallel(content_digest, paths, None, "checking"), index=judgements.index)
    wrong = found != judgements["sha256"]
    if wrong.any():
        first = wrong.idxmax()
        why = found[first] if found[first].startswith("unreadable") else "not the file that was judged"
        raise DataError(
            f"{judgements['file'][first]} in {str(folder)!r}: {why} ({wrong.sum():,} of {len(wrong):,}); "
            f"allowed: a clone of {REPOSITORY} at commit {COMMIT[:12]}"
        )
    return judgements.assign(path=paths)
