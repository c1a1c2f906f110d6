"""Steps that studies share where a person's photographs come in: their listing and their judgements."""

from __future__ import annotations

from pathlib import Path

from swatchbook.audit.sheet import read_sheet
from swatchbook.data import images
from swatchbook.pipeline.stage import Trace
from swatchbook.schema import Schema
from swatchbook.studies.labelling import classes_content
from swatchbook.studies.source import file_digest


def list_photographs(trace: Trace) -> None:
    """The folder → every photograph that can be read, with its hash and size."""
    listed = images.find(_folder(trace))
    try:
        sound, quarantine = images.examine(listed)
    except images.BrokenImagesError as error:
        trace.write_table("tables/quarantine.csv", error.quarantine)
        raise
    trace.write_table("tables/quarantine.csv", quarantine)
    trace.write_table("listing.parquet", sound.drop(columns="split"))


def folder_content(trace: Trace) -> dict[str, str]:
    """Names and content of the photographs, so that an exchanged one is noticed."""
    return {"images": images.fingerprint(_folder(trace))}


def _folder(trace: Trace) -> Path:
    return Path(trace.setting("source"))  # recorded: the manifest says where each file lies


def read_audit(trace: Trace) -> None:
    """The audit file → answers about photographs of this folder, and how each was taken.

    It may judge every attribute of the schema, whichever of them are labelled.
    """
    listing = trace.table("listing.parquet")
    path = Path(trace.setting("labelling.audit"))
    whole = Schema.load(trace.setting("schema"), trace.setting("material_map"))
    sheet = read_sheet(path, listing["image_id"].tolist(), _folder(trace), whole)
    trace.write_table("judged.parquet", sheet.judged)
    trace.write_table("tables/audit_answers.csv", sheet.answers)


def audit_content(trace: Trace) -> dict[str, str]:
    """Content of the audit file."""
    return {**classes_content(trace), "audit": file_digest(trace.setting("labelling.audit"))}
