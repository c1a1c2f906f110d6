"""Stages that several studies have: the labeller, and a person's photographs with what was judged of them."""

from __future__ import annotations

from swatchbook.pipeline.stage import Stage

LABELLING = "swatchbook.studies.labelling"
PHOTOGRAPHS = "swatchbook.studies.photographs"
# What the rooms of the functions rest on.
DATA = ("data", "studies/labelling.py", "studies/source.py")
LABELLER = (
    "labeller",
    "data",
    "evaluation/intervals.py",
    "evaluation/resample.py",
    "studies/labelling.py",
    "studies/source.py",
)


def listed_photographs(audited: bool) -> tuple[Stage, ...]:
    """The stages that list a person's photographs and, where there are any, read judgements of them."""
    code = (*DATA, "audit")
    photographs = Stage(
        "photographs",
        ("listing.parquet", "tables/quarantine.csv"),
        f"{PHOTOGRAPHS}:list_photographs",
        code=code,
        outside=f"{PHOTOGRAPHS}:folder_content",
    )
    sheet = Stage(
        "audit sheet",
        ("judged.parquet", "tables/audit_answers.csv"),
        f"{PHOTOGRAPHS}:read_audit",
        code=code,
        outside=f"{PHOTOGRAPHS}:audit_content",
    )
    return (photographs, sheet) if audited else (photographs,)


def labeller_stage() -> Stage:
    """The stage that describes the labeller."""
    return Stage(
        "labeller",
        ("tables/labeller.csv",),
        f"{LABELLING}:describe_labeller",
        code=LABELLER,
        outside=f"{LABELLING}:prompts_content",
    )
