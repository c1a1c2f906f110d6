"""The judged set of `swatchbook.labeller.judged`: which photographs, the sheets to judge, and the agreement.

    python scripts/judged.py draw clothing-dataset sample.csv --leave-out ids.txt
    python scripts/judged.py more clothing-dataset sample.csv more.csv --leave-out ids.txt
    python scripts/judged.py patterned clothing-dataset sample.csv patterned.csv --leave-out ids.txt
    python scripts/judged.py coloured clothing-dataset sample.csv coloured.csv --leave-out ids.txt
    python scripts/judged.py rest clothing-dataset sample.csv rest.csv --leave-out ids.txt
    python scripts/judged.py again sample.csv again.csv
    python scripts/judged.py sheets sample.csv clothing-dataset sheets
    python scripts/judged.py agreement

`draw` leaves out the kinds that are no garment, the images named in the files given, and whatever is nearly
the same picture as one of these; it draws from every kind in proportion to the square root of its size, so
that rare kinds are seen too, and keeps a quarter of the images for validation, near-duplicates on one side.
`more` adds photographs that the labeller in the box gives a class of which a sample at random holds few;
`patterned` those that it calls patterned, or of which it doubts it, and `coloured` those that it gives any
but the commonest colours with some confidence, all of them to train on. `rest` takes what is left.
`again` draws those that are judged a second time, under new numbers in a new order. `sheets` writes contact
sheets of numbered photographs, in the order of the sample, with thin lines at a quarter, a half and three
quarters of each photograph to read a garment's box from. `agreement` prints the tables of the set's card.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from swatchbook.audit.annotators import self_agreement_table
from swatchbook.audit.designs import allocate, draw_within
from swatchbook.csv_io import write_csv
from swatchbook.data import duplicates, images, pixels
from swatchbook.data.strict_csv import read_csv
from swatchbook.evaluation.intervals import share_row
from swatchbook.labeller.judged import BOX, CANNOT_TELL, read_judgements
from swatchbook.schema import Schema

NO_GARMENT = ("Not sure", "Skip", "Other")
OVERLAP = 0.8  # of two boxes, intersection over union, that counts as the same
COLUMNS = ["item", "image_id", "file", "kind", "part", "weight", "sha256"]
#: Classes of which a sample at random holds few.
SOUGHT = [
    *(("color", name) for name in ("orange", "purple", "yellow", "brown", "beige", "green", "pink")),
    *(("pattern", name) for name in ("animal_print", "polka_dot", "geometric", "floral", "striped")),
]
PATTERNED = [
    ("pattern", name)
    for name in ("graphic", "striped", "checkered_plaid", "floral", "geometric", "polka_dot", "animal_print")
]
COLOURED = [
    ("color", name)
    for name in ("orange", "purple", "yellow", "brown", "beige", "green", "red", "pink", "navy", "grey")
]
#: Command → classes sought, least confidence (None: the schema's), and whether all are to train on.
ADDED = {
    "more": (SOUGHT, None, False),
    "patterned": (PATTERNED, 0.0, True),
    "coloured": (COLOURED, 0.4, True),
}
SHARES = {"train": 0.75, "val": 0.25}
CELL, HEAD, GRID = (
    (300, 400),
    20,
    (4, 3),
)  # pixels of a photograph on a sheet and of its number; columns and rows


def draw(root: Path, leave_out: Sequence[Path], n: int, seed: int) -> pd.DataFrame:
    """The sample, in a random order of asking.

    Args:
        root: The data set, with ``images.csv`` and ``images``.
        leave_out: Files with an image's id or file name in each line, or CSV files with a column ``path``.
        n: Photographs to draw.
        seed: Same seed, same sample.

    Returns:
        ``item`` from 1, ``image_id, file, kind, part`` (train or val), ``weight`` (photographs of its kind
        that it stands for) and ``sha256`` of the file.
    """
    manifest, group = _eligible(root, _named(leave_out))
    stratum, kind = pd.factorize(manifest["folder"], sort=True)
    population = np.bincount(stratum)
    drawn = allocate(np.sqrt(population), population, n)
    rng = np.random.default_rng(seed)
    rows = draw_within(stratum, drawn, rng)
    sample = manifest.iloc[rows].assign(weight=(population / drawn)[stratum[rows]], kind=kind[stratum[rows]])
    sample = duplicates.split_by_group(sample, group[rows], SHARES, seed).rename(columns={"split": "part"})
    return sample.iloc[rng.permutation(n)].assign(item=np.arange(1, n + 1))[COLUMNS]


def more(
    root: Path,
    leave_out: Sequence[Path],
    sample: pd.DataFrame,
    n: int,
    seed: int,
    *,
    sought: Sequence[tuple[str, str]] = SOUGHT,
    threshold: float | None = None,
    labeller: str = "bundled",
) -> pd.DataFrame:
    """Photographs beside a sample that a labeller gives one of the classes sought, as many of each.

    Args:
        root: As in `draw`.
        leave_out: As in `draw`.
        sample: What was drawn before; neither it nor a near-duplicate of it is drawn again.
        n: Photographs to draw.
        seed: Same seed, same photographs.
        sought: Attributes and classes.
        threshold: Least confidence of the labeller; the schema's by default.
        labeller: Its name.

    Returns:
        As `draw`, numbered on from the sample; ``weight`` is NaN, as they stand for nothing but themselves.
    """
    from swatchbook.labeller.silver import silver_table
    from swatchbook.labeller.training.quality import cosines_of
    from swatchbook.labeller.zero_shot import Labeller

    manifest, group = _eligible(root, _named(leave_out) | set(sample["image_id"]))
    model, schema = Labeller.load(labeller), Schema.load("wardrobe")
    cosines = cosines_of(model, model.encode(manifest["path"].tolist()), schema)
    least = None if threshold is None else dict.fromkeys(schema.names, threshold)
    given = silver_table(cosines, schema, thresholds=least)
    rng = np.random.default_rng([seed, 3])
    waiting = [rng.permutation(np.flatnonzero(given[name] == label)).tolist() for name, label in sought]
    rows: list[int] = []
    while len(rows) < n and any(waiting):
        for queue in waiting:
            queue[:] = [row for row in queue if row not in rows]
            rows += queue[:1] if len(rows) < n else []
    return _numbered_on(manifest, group, np.array(rows), len(sample), seed, rng)


def rest(root: Path, leave_out: Sequence[Path], sample: pd.DataFrame, seed: int) -> pd.DataFrame:
    """All photographs that neither are in a sample nor nearly in it, a quarter of them for validation.

    Args:
        root: As in `draw`.
        leave_out: As in `draw`.
        sample: What was drawn before.
        seed: Same seed, same order and parts.

    Returns:
        As `more`.
    """
    manifest, group = _eligible(root, _named(leave_out) | set(sample["image_id"]))
    rng = np.random.default_rng([seed, 4])
    return _numbered_on(manifest, group, np.arange(len(manifest)), len(sample), seed, rng)


def _numbered_on(
    manifest: pd.DataFrame,
    group: np.ndarray,
    rows: np.ndarray,
    before: int,
    seed: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Rows of a manifest, split by near-duplicates, in a random order, numbered on from a sample."""
    drawn = duplicates.split_by_group(manifest.iloc[rows], group[rows], SHARES, seed)
    drawn = drawn.rename(columns={"split": "part"}).assign(weight=np.nan, kind=drawn["folder"])
    return drawn.iloc[rng.permutation(len(rows))].assign(item=before + 1 + np.arange(len(rows)))[COLUMNS]


def _eligible(root: Path, taken: set[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """The garments of the data set but those taken and their near-duplicates, and their groups."""
    kinds = read_csv(root / "images.csv", ("image", "label")).set_index("image")["label"]
    manifest, _ = images.examine(images.find(root / "images"))
    names = manifest["image_id"].map(lambda name: Path(name).stem)
    manifest = manifest.assign(file=manifest["image_id"], image_id=names, folder=names.map(kinds))
    with tempfile.TemporaryDirectory() as folder:
        array = Path(folder) / "pixels.npy"
        pixels.build(manifest, array)
        found = duplicates.pairs(manifest, pixels.read(array, len(manifest)))
    group = duplicates.groups(manifest, found)
    copies = np.isin(group, group[manifest["image_id"].isin(taken)])
    kept = ~copies & ~manifest["folder"].isin(NO_GARMENT) & manifest["folder"].notna()
    return manifest[kept].reset_index(drop=True), group[kept]


def again(sample: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """Photographs of a sample that are judged a second time, numbered anew in a random order."""
    rows = np.random.default_rng([seed, 2]).permutation(len(sample))[:n]
    return sample.iloc[rows].assign(item=np.arange(1, n + 1))


def _named(files: Sequence[Path]) -> set[str]:
    """The ids in files of ids, file names or paths."""
    given: list[str] = []
    for file in files:
        csv = file.suffix == ".csv"
        given += read_csv(file, ("path",))["path"].tolist() if csv else file.read_text("utf-8").split()
    return {Path(name).stem for name in given}


def sheets(sample: pd.DataFrame, root: Path, out: Path) -> int:
    """Write the contact sheets of a sample, a dozen photographs each, and say how many there are."""
    out.mkdir(parents=True, exist_ok=True)
    columns, rows = GRID
    a_sheet = columns * rows
    for start in range(0, len(sample), a_sheet):
        sheet = Image.new("RGB", (columns * (CELL[0] + 8), rows * (CELL[1] + HEAD + 8)), "white")
        for k, row in enumerate(sample.iloc[start : start + a_sheet].itertuples()):
            left, top = k % columns * (CELL[0] + 8), k // columns * (CELL[1] + HEAD + 8)
            cell = _ruled(Image.open(root / "images" / row.file).convert("RGB"))
            ImageDraw.Draw(sheet).text((left + 4, top + 2), str(row.item), "black", font_size=16)
            sheet.paste(cell, (left + (CELL[0] - cell.width) // 2, top + HEAD))
        sheet.save(out / f"sheet_{start // a_sheet + 1:03d}.png")
    return -(-len(sample) // a_sheet)


def _ruled(picture: Image.Image) -> Image.Image:
    """A photograph that fits a cell, with thin lines at its quarters."""
    scale = min(CELL[0] / picture.width, CELL[1] / picture.height)
    size = tuple(round(side * scale) for side in picture.size)
    picture = picture.resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    lines = Image.new("RGBA", size)
    pen = ImageDraw.Draw(lines)
    for share in (0.25, 0.5, 0.75):
        x, y = round(size[0] * share), round(size[1] * share)
        pen.line([(x, 0), (x, size[1])], (255, 0, 255, 90))
        pen.line([(0, y), (size[0], y)], (255, 0, 255, 90))
    return Image.alpha_composite(picture, lines).convert("RGB")


def agreement() -> str:
    """How often each class was given, and how far the two rounds agree, as Markdown."""
    schema = Schema.load("wardrobe")
    first, second = read_judgements(1), read_judgements(2)
    lines = ["| attribute | named | classes, most frequent first |", "|---|---|---|"]
    for a in schema:
        counts = first[a.name].value_counts()
        classes = ", ".join(f"{name} {n}" for name, n in counts.items())
        lines.append(f"| {a.name} | {counts.sum():,} | {classes} |")
    both = [t.assign(repeat=k) for k, t in enumerate((first, second))]
    answers = pd.concat(both, ignore_index=True).rename(columns={"judge": "annotator"})
    answers = answers.assign(**{a.name: answers[a.name].fillna(CANNOT_TELL) for a in schema})
    lines += ["", "| attribute | statistic | value | 95 % | n |", "|---|---|---|---|---|"]
    rows = self_agreement_table(answers, schema).to_dict("records")
    twice = first.set_index("image_id").loc[second["image_id"], list(BOX)].to_numpy()
    near = int((_overlap(twice, second[list(BOX)].to_numpy()) >= OVERLAP).sum())
    rows.append({"attribute": "box", "statistic": f"overlap_{OVERLAP:.2f}"} | share_row(near, len(second)))
    for row in rows:
        value, low, high = (f"{row[name]:.3f}" for name in ("value", "low", "high"))
        lines.append(f"| {row['attribute']} | {row['statistic']} | {value} | {low}–{high} | {row['n']} |")
    return "\n".join(lines)


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (left, top, right, bottom), shapes (n, 4)."""
    sides = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None)
    shared = sides.prod(axis=1)
    areas = [(box[:, 2:] - box[:, :2]).prod(axis=1) for box in (a, b)]
    return shared / (sum(areas) - shared)


def main() -> None:
    """Draw photographs, write their sheets, or print the agreement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, n, places in (
        ("draw", 1232, ("root", "out")),
        ("more", 240, ("root", "sample", "out")),
        ("patterned", 420, ("root", "sample", "out")),
        ("coloured", 420, ("root", "sample", "out")),
        ("rest", None, ("root", "sample", "out")),
        ("again", 150, ("sample", "out")),
        ("sheets", None, ("sample", "root", "out")),
        ("agreement", None, ()),
    ):
        asked = commands.add_parser(command)
        for place in places:
            asked.add_argument(place, type=Path)
        if n is not None:
            asked.add_argument("--n", type=int, default=n)
        if "out" in places and command != "sheets":
            asked.add_argument("--seed", type=int, default=20261129)
        if command in ADDED:
            asked.add_argument("--labeller", default="bundled")
        if "root" in places and command != "sheets":
            asked.add_argument("--leave-out", type=Path, nargs="*", default=[], metavar="FILE")
    given = parser.parse_args()
    if given.command == "draw":
        write_csv(draw(given.root, given.leave_out, given.n, given.seed), given.out)
    elif given.command == "agreement":
        print(agreement())
    else:
        sample = read_csv(given.sample, ("item", "image_id", "file"))
        if given.command in ADDED:
            sought, least, to_train = ADDED[given.command]
            asked = (given.root, given.leave_out, sample, given.n, given.seed)
            found = more(*asked, labeller=given.labeller, sought=sought, threshold=least)
            write_csv(found.assign(part="train") if to_train else found, given.out)
        elif given.command == "rest":
            write_csv(rest(given.root, given.leave_out, sample, given.seed), given.out)
        elif given.command == "again":
            write_csv(again(sample, given.n, given.seed), given.out)
        else:
            print(sheets(sample, given.root, given.out), "sheets in", given.out)


if __name__ == "__main__":
    main()
