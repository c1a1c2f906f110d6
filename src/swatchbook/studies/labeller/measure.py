"""The steps of profile `labeller`: how good a labeller is on drawn images and on judged photographs.

Images are drawn for the purpose, every attribute uniform and independent of the others, and thrown away
once they are encoded; the few that a grid shows are drawn again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from swatchbook.audit.sheet import CANNOT_TELL
from swatchbook.data import pixels
from swatchbook.data.decoding import decode, read_bytes
from swatchbook.drawn.balanced import drawn_labels, drawn_pictures
from swatchbook.evaluation.grids import FIXED, grid_table
from swatchbook.evaluation.labelling import kept, labelling_scores, reliability_table, risk_table
from swatchbook.evaluation.resample import image_weights
from swatchbook.evaluation.scores import confusion_table
from swatchbook.labeller import folder_of
from swatchbook.labeller.nearest_colour import centre_colour, navy_as_blue, nearest_colour
from swatchbook.labeller.silver import silver_table
from swatchbook.pipeline import ConfigError
from swatchbook.pipeline.stage import Trace
from swatchbook.schema import Schema
from swatchbook.studies.labelling import classes_and_prompts, write_cosines

DRAWN, PHOTOGRAPHS = "drawn", "photographs"
SETS = (DRAWN, PHOTOGRAPHS)
REFERENCES = {DRAWN: "known truth", PHOTOGRAPHS: "judgement"}
MODEL = "The labeller"
NAVY = "navy counts as blue, as the judge did not tell them apart"
SHOWN = 12  # images of a grid
_CENTRE = ["centre_red", "centre_green", "centre_blue"]
_COSINES = {DRAWN: "drawn_cosines.parquet", PHOTOGRAPHS: "cosines.parquet"}
NAMES_OF_SETS = {DRAWN: "drawn images", PHOTOGRAPHS: "photographs"}
TABLES = ("labeller_scores", "labeller_confidence", "labeller_risk", "labeller_confusion")


@dataclass(frozen=True)
class Answers:
    """What a labeller says of a set of images, and what is true of them, aligned row by row.

    Attributes:
        images: A row an image, by ``image_id``.
        truth: Attribute → codes, −1 where it is not known.
        labels: Attribute → codes of the surest class, whether or not it is kept.
        confidence: Attribute → confidence in it.
        nearest: Codes of ``color`` by the nearest named colour; None without that attribute.
        note: What to know of ``color``; empty if nothing.
    """

    images: pd.DataFrame
    truth: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    confidence: dict[str, np.ndarray]
    nearest: np.ndarray | None
    note: str


def draw_and_encode(trace: Trace) -> None:
    """Draw images, and keep their truth, the colour of their centres and their cosines."""
    from swatchbook.labeller.training.quality import cosines_of
    from swatchbook.labeller.zero_shot import Labeller

    n, seed, schema = (
        trace.setting("quality.images"),
        trace.setting("quality.seed"),
        classes_and_prompts(trace),
    )
    name = trace.setting("labelling.labeller")
    _check_seed(name, seed)
    labels, labeller, centres = drawn_labels(n, seed), Labeller.load(name), np.empty((n, 3))

    def pictures() -> Iterator[Image.Image]:
        drawn = tqdm(drawn_pictures(labels, seed), total=n, desc="drawing, labelling", unit="image")
        for row, picture in enumerate(drawn):
            centres[row] = centre_colour(picture)
            yield picture

    cosines = cosines_of(labeller, labeller.encode(pictures()), schema)
    ids = [f"drawn-{row:06d}" for row in range(n)]
    cosines.insert(0, "image_id", ids)
    trace.write_table(_COSINES[DRAWN], cosines)
    truth = drawn_truth(labels, schema)
    truth.insert(0, "image_id", ids)
    trace.write_table("drawn.parquet", _with_centres(truth, centres))


def drawn_truth(labels: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """What is true of drawn images in a schema's words.

    Args:
        labels: As from `drawn_labels`.
        schema: Gives attributes and classes.

    Returns:
        A column an attribute: what was drawn where the schema has that class, else null. ``material`` is
        that of the fabric by how it is made, the rule ``construction`` of TextileNet's schema.
    """
    construction = Schema.load("textilenet", folder_map="construction").folders
    labelled = labels.assign(material=labels["folder"].map(construction).astype(object))
    truth = {
        a.name: labelled[a.name].where(labelled[a.name].isin(a.classes), None)
        for a in schema
        if a.name in labelled
    }
    return pd.DataFrame({name: truth.get(name) for name in schema.names}, index=labels.index, dtype=object)


def _check_seed(name: str, seed: int) -> None:
    """Refuse the seed that a labeller was trained with: its own images are no test of it."""
    folder = folder_of(name)
    recipe = folder and folder / "recipe.json"
    if recipe is None or not recipe.is_file():
        return
    if json.loads(recipe.read_text(encoding="utf-8")).get("recipe", {}).get("seed") == seed:
        raise ConfigError(
            f"setting quality.seed = {seed}; must be another than the labeller was trained with"
        )


def _with_centres(images: pd.DataFrame, centres: np.ndarray) -> pd.DataFrame:
    return images.assign(**dict(zip(_CENTRE, centres.T, strict=True)))


def encode_judged(trace: Trace) -> None:
    """The judged photographs: what was judged, the colour of their centres, and their cosines."""
    judged = trace.table("judged.parquet")
    first = judged[judged["annotator"] == judged["annotator"].iloc[0]].reset_index(drop=True)
    paths = trace.table("listing.parquet").set_index("image_id")["path"].loc[first["image_id"]]
    write_cosines(trace, paths.reset_index())
    centres = np.stack([centre_colour(decode(read_bytes(path))) for path in paths])
    trace.write_table("photographs.parquet", _with_centres(first.assign(path=paths.to_numpy()), centres))


def _answers(trace: Trace, of: str) -> Answers:
    schema, images = trace.schema, trace.table(f"{of}.parquet")
    cosines = trace.table(_COSINES[of]).set_index("image_id").loc[images["image_id"]]
    surest = silver_table(
        cosines.reset_index(drop=True),
        schema,
        logit_scale=trace.setting("labelling.temperature"),
        thresholds=dict.fromkeys(schema.names, 0.0),
    )
    nearest, note = None, ""
    if "color" in schema.names:
        names = nearest_colour(images[_CENTRE].to_numpy(), schema["color"].classes)
        if of == PHOTOGRAPHS and trace.setting("quality.blue_accepts_navy"):
            surest["color"], merged = navy_as_blue(surest["color"], images["color"])
            names, _ = navy_as_blue(names, images["color"])
            note = NAVY if merged and "navy" in schema["color"].classes else ""
        nearest = pd.Index(schema["color"].classes).get_indexer(names)
    sure = {name: surest[f"{name}_confidence"].to_numpy(dtype=float) for name in schema.names}
    truth, labels = schema.encode(images, f"{of}.parquet"), schema.encode(surest, "labels")
    return Answers(images, truth, labels, sure, nearest, note)


def _sets(trace: Trace) -> tuple[str, ...]:
    """The sets of images that this run measures on."""
    return SETS if trace.setting("labelling.audit") is not None else (DRAWN,)


def measure(trace: Trace) -> None:
    """Scores, calibration, risk and confusion of each set of images, in four tables."""
    schema, level, bins = trace.schema, trace.setting("evaluation.level"), trace.setting("quality.bins")
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
    for of in _sets(trace):
        answered = _answers(trace, of)
        weights = image_weights(len(answered.images), trace.setting("evaluation.bootstrap"), trace.rng(of))
        given = (answered.truth, answered.labels, answered.confidence, schema, weights)
        scores = labelling_scores(*given, nearest=answered.nearest, bins=bins, level=level)
        scores["note"] = np.where(scores["attribute"] == "color", answered.note, "")
        tables = {
            "labeller_scores": scores,
            "labeller_confidence": reliability_table(
                *given, reference=REFERENCES[of], bins=bins, level=level
            ),
            "labeller_risk": risk_table(*given, level=level),
            "labeller_confusion": confusion_table(answered.truth, {MODEL: answered.labels}, schema),
        }
        for name, table in tables.items():
            parts[name].append(table.assign(images=of))
    for name, some in parts.items():
        trace.write_table(f"tables/{name}.csv", pd.concat(some))


def find_mistakes(trace: Trace, of: str) -> None:
    """The surest mistakes of a set of images, and their pictures; without photographs nothing is shown.

    Args:
        trace: Of the stage.
        of: ``drawn`` or ``photographs``.
    """
    if of not in _sets(trace):
        trace.write_table(f"tables/grid_{of}.csv", pd.DataFrame(columns=FIXED))
        trace.write(f"grids/{of}.npy", lambda out: np.save(out, np.empty((0, *pixels.ROW), np.uint8)))
        return
    answered, schema = _answers(trace, of), trace.schema
    table = grid_table(
        answered.labels,
        answered.confidence,
        kept(answered.labels, answered.confidence, schema),
        schema,
        image_ids=answered.images["image_id"].to_numpy(),
        rows=np.arange(len(answered.images)),
        rng=trace.rng(f"mistakes {of}"),
        model=MODEL,
        truth=answered.truth,
        reference=REFERENCES[of],
        images=SHOWN,
    )
    table = table[table["grid"] == "most_wrong"].reset_index(drop=True)
    rule = f"the {SHOWN} {NAMES_OF_SETS[of]} with the surest wrong answer, whichever the attribute"
    table["rule"] = f"{rule}; {answered.note}" if answered.note else rule
    trace.write_table(f"tables/grid_{of}.csv", table)
    shown = np.stack([pixels.square(p).pixels for p in _pictures(trace, of, answered.images, table["row"])])
    trace.write(f"grids/{of}.npy", lambda out: np.save(out, shown))


def _pictures(trace: Trace, of: str, images: pd.DataFrame, rows: pd.Series) -> Iterator[Image.Image]:
    """Pictures of a few images: read again, or drawn again."""
    if of == PHOTOGRAPHS:
        yield from (decode(read_bytes(path)) for path in images["path"].iloc[rows])
        return
    seed = trace.setting("quality.seed")
    labels = drawn_labels(len(images), seed).iloc[rows]
    yield from drawn_pictures(labels, seed)


def take_notes(trace: Trace) -> None:
    """What a reader must know of this run."""
    n, seed = trace.setting("quality.images"), trace.setting("quality.seed")
    notes = [
        ("drawn images", f"{n:,} garments were drawn with the seed {seed:,}, each attribute uniform over its "
         "classes and independent of the others; so no class is easier for being frequent."),
    ]  # fmt: skip
    if PHOTOGRAPHS not in _sets(trace):
        notes.append(
            ("photographs", "None were given, so nothing here says how good the labels of photographs are. "
             "--images DIR and --audit FILE give judged ones.")
        )  # fmt: skip
    else:
        notes += _notes_of_photographs(_answers(trace, PHOTOGRAPHS), trace.table("tables/audit_answers.csv"))
    trace.write_table("tables/notes.csv", pd.DataFrame(notes, columns=["about", "said"]))


def _notes_of_photographs(answered: Answers, answers: pd.DataFrame) -> list[tuple[str, str]]:
    judged = {name: int((codes >= 0).sum()) for name, codes in answered.truth.items()}
    counts = ", ".join(f"{name} of {n:,}" for name, n in judged.items() if n) or "nothing"
    judge = answered.images["annotator"].iloc[0]
    notes = [
        ("photographs", f"{len(answered.images):,} were judged by “{judge}”: {counts}. The scores are those "
         "of these photographs, each counted once, whatever the design by which they were taken."),
    ]  # fmt: skip
    if answered.note:
        notes.append(("color", f"On photographs {answered.note}."))
    outside = answers[answers["taken_as"].str.startswith(f"{CANNOT_TELL}:")]
    if len(outside):
        given = ", ".join(f"{row.attribute} {row.label} ({row.n})" for row in outside.itertuples())
        notes.append(("answers", f"Answers that the schema has no class for are not scored: {given}."))
    return notes
