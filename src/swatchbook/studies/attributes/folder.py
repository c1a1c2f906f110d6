"""Profile `folder`: a person's own photographs → split, contact sheet, and what a reader must know of them.

There are no fabric folders, so the labeller labels every attribute that it can do on photographs; and there
may be an audit, a CSV file in which somebody judged some of them. All else is the code of the other profiles.
`folder_report` is what the report tells where nothing was trained.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from swatchbook.audit.sheet import CANNOT_TELL, with_design
from swatchbook.data import duplicates, images, pixels
from swatchbook.labeller.measured import ACCURACY, Asked, asked_of
from swatchbook.pipeline.stage import Trace
from swatchbook.schema import Schema
from swatchbook.studies.source import digest

ONE_CLASS = 0.99  # share of the labels above which an attribute tells photographs apart no more
SHARES = {"train": 0.60, "val": 0.15, "test": 0.25}


def split_photographs(trace: Trace) -> None:
    """Photographs → train, validation and test, copies of one together, audited ones in test.

    Where nothing is trained all are test: an audit then speaks for the whole folder.
    """
    listing, judged = trace.table("listing.parquet"), None
    if trace.setting("labelling.audit") is not None:
        judged = trace.table("judged.parquet")
    whole = listing.assign(split=None)
    copies_found = duplicates.pairs(whole, pixels.read(trace.path("pixels.npy"), len(whole)))
    group = duplicates.groups(whole, copies_found)
    if trace.setting("train"):
        known = () if judged is None else judged["image_id"]
        manifest = split_with_audit(whole, group, known, trace.setting("seed"))
    else:
        manifest = whole.assign(split="test")
    by_image = manifest.set_index("image_id")["split"]
    copies_found = copies_found.assign(
        split=by_image[copies_found["image_id"]].to_numpy(),
        other_split=by_image[copies_found["other"]].to_numpy(),
    )
    trace.write_table("tables/duplicates.csv", copies_found)
    trace.write_table("manifest.parquet", manifest)
    if judged is not None:
        trace.write_table("audit.csv", with_design(judged, int((manifest["split"] == "test").sum())))


def split_with_audit(manifest: pd.DataFrame, group: np.ndarray, judged: object, seed: int) -> pd.DataFrame:
    """Split at random, 60 : 15 : 25, with every judged image and its copies in test.

    If the judged images are a random sample of the folder they are one of its test split as well, which
    other images fill up to its share; if they are more than that share, test is they alone.

    Args:
        manifest: With ``image_id, folder``.
        group: Number of each image's group of copies, shape (images,); see `duplicates.groups`.
        judged: Image ids that a person judged; none is allowed.
        seed: At least 0.

    Returns:
        The manifest with a new ``split``.

    Raises:
        ValueError: If there are too few images for three splits, or too few that nobody judged.
    """
    of_group = pd.Series(manifest["image_id"].isin(list(judged))).groupby(group).transform("any")
    forced = of_group.to_numpy()
    rest = manifest[~forced]
    n, lacking = len(manifest), SHARES["test"] * len(manifest) - forced.sum()
    wanted = {name: SHARES[name] * n for name in ("train", "val")}
    wanted |= {"test": lacking} if lacking > 0 else {}
    total = sum(wanted.values())
    split = pd.Series("test", index=manifest.index, dtype=object)
    if len(rest):
        shares = {name: size / total for name, size in wanted.items()}
        # One stratum: folders here are a person's filing, and many hold less than a split's share.
        chosen = duplicates.split_by_group(rest.assign(folder="all"), group[~forced], shares, seed)
        split[~forced] = chosen["split"].to_numpy()
    counts = {name: int((split == name).sum()) for name in SHARES}
    if not all(counts.values()):
        received = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise ValueError(
            f"{n} images, {int(forced.sum())} of them judged or copies of judged ones, give the splits "
            f"{received}; every split needs images, so give more that nobody judged"
        )
    return manifest.assign(split=split)


def _asked(trace: Trace) -> Asked:
    whole = Schema.load(trace.setting("schema"), trace.setting("material_map"))
    return asked_of(whole, trace.setting("labelling.labeller"), trace.setting("attributes"))


def asked_content(trace: Trace) -> dict[str, str]:
    """How right the labeller was found to be on photographs, which lies beside its weights."""
    return {"measured": digest(sorted(_asked(trace).said.items()))}


def list_asked(trace: Trace) -> None:
    """The attributes of the schema: which are labelled, and how right the labeller is on photographs."""
    asked = _asked(trace)
    measured = asked.measured[asked.measured["metric"] == ACCURACY].set_index("attribute")
    table = pd.DataFrame({"attribute": list(asked.said), "said": list(asked.said.values())})
    table.insert(1, "labelled", [name not in asked.withheld for name in table["attribute"]])
    numbers = measured.reindex(table["attribute"]).drop(columns="metric").reset_index(drop=True)
    trace.write_table("tables/asked.csv", table.join(numbers))


def write_sheet(trace: Trace) -> None:
    """A contact sheet of all labels, beside the report."""
    from swatchbook.report.contact_sheet import Sheet

    silver, asked = trace.table("silver.parquet"), trace.table("tables/asked.csv")
    sheet = Sheet(trace.schema)
    sheet.add(silver.rename(columns={"image_id": "path"}))
    facts = {"labeller": trace.setting("labelling.labeller"), "schema": trace.setting("schema")}
    said = dict(zip(asked["attribute"], asked["said"], strict=True))
    page = sheet.page(trace.setting("source"), facts, said)
    trace.write("report/sheet.html", lambda out: out.write_text(page, encoding="utf-8", newline="\n"))


def take_notes(trace: Trace) -> None:
    """What a reader must know of this folder's run, from what was found so far."""
    judged = answers = None
    if trace.setting("labelling.audit") is not None:
        judged, answers = trace.table("judged.parquet"), trace.table("tables/audit_answers.csv")
    copies, manifest = trace.table("tables/duplicates.csv"), trace.table("manifest.parquet")
    notes = [
        *_notes_of_split(manifest, len(copies)),
        *_notes_of_quarantine(trace.table("tables/quarantine.csv")),
        *_notes_of_asked(trace.table("tables/asked.csv")),
        *_notes_of_labels(trace.table("silver.parquet"), trace.schema),
        *_notes_of_audit(judged, answers, trace.schema, trained=trace.setting("train")),
    ]
    trace.write_table("tables/notes.csv", pd.DataFrame(notes, columns=["about", "said"]))


Notes = list[tuple[str, str]]


def _notes_of_split(manifest: pd.DataFrame, pairs: int) -> Notes:
    counts = manifest["split"].value_counts()
    if len(counts) == 1:
        said = f"{len(manifest):,} photographs were labelled, and nothing was trained on them."
        return [("photographs", f"{said} Pairs of copies found: {pairs:,}.")]
    sizes = ", ".join(f"{counts[name]:,} {name}" for name in SHARES)
    copies = f"Pairs of copies found, each kept in one split: {pairs:,}."
    return [("split", f"{len(manifest):,} photographs were split at random: {sizes}. {copies}")]


def _notes_of_quarantine(quarantine: pd.DataFrame) -> Notes:
    return [("broken files", sentence)] if (sentence := images.left_out(quarantine)) else []


def _notes_of_asked(asked: pd.DataFrame) -> Notes:
    """How right the labeller is on photographs, and which attributes are left out."""
    return [(row.attribute, f"{row.said[0].upper()}{row.said[1:]}.") for row in asked.itertuples()]


def _notes_of_labels(silver: pd.DataFrame, schema: Schema) -> Notes:
    """How labels came about, and which attributes say nothing as nearly all photographs got one label."""
    notes = [("labels", "There are no fabric folders, so the labeller labelled every attribute named here.")]
    for name in schema.names:
        shares = silver[name].value_counts(normalize=True)
        if len(shares) and shares.iloc[0] >= ONE_CLASS:
            notes.append(
                (name, f"The labeller called {shares.iloc[0]:.1%} of the photographs that it labelled "
                 f"{shares.index[0]}. That tells them apart no more, so a model's score on {name}, and its "
                 "share in a mean over attributes, means nothing.")
            )  # fmt: skip
    return notes


def _notes_of_audit(
    judged: pd.DataFrame | None, answers: pd.DataFrame | None, schema: Schema, *, trained: bool
) -> Notes:
    if judged is None:
        return [
            ("audit", "No audit was given, so nothing here says how good the silver labels are, and every "
             "score is agreement with them. --audit FILE gives one.")
        ]  # fmt: skip
    first = judged[judged["annotator"] == judged["annotator"].iloc[0]]
    answers = answers[answers["attribute"].isin(schema.names)]  # others may be judged, but have no labels
    asked = answers.loc[answers["taken_as"] != "not judged", "attribute"].unique()
    design = (
        "They are taken for a simple random sample."
        if judged["weight"].isna().all()
        else "They are weighted as the file says."
    )
    notes = [
        ("audit", f"{len(first):,} photographs were judged by {first['annotator'].iloc[0]} on "
         f"{', '.join(asked)}{'; all of them, and their copies, were put into test' * trained}. {design}")
    ]  # fmt: skip
    outside = answers[answers["taken_as"].str.startswith(f"{CANNOT_TELL}:")]
    if len(outside):
        given = ", ".join(f"{row.attribute} {row.label} ({row.n})" for row in outside.itertuples())
        notes.append(
            ("answers", f"Answers that the schema has no class for count as “{CANNOT_TELL}” and are not "
             f"scored: {given}. Scores hold for photographs whose answer is a class.")
        )  # fmt: skip
    return notes
