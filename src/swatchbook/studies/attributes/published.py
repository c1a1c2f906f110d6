"""The step of profile `published`: the study's own exports instead of labels and models of ours."""

from __future__ import annotations

from swatchbook.data.readers import published
from swatchbook.pipeline.stage import Trace


def read_published(trace: Trace) -> None:
    """The published exports → manifest, silver labels, predictions, audit, printed numbers."""
    read = published.read(published.locate(trace.location("source")), trace.schema)
    trace.write_table("manifest.parquet", read.manifest)
    trace.write_table("silver.parquet", read.silver)
    for model, predictions in read.predictions.items():
        trace.write_table(f"predictions/{model}.parquet", predictions)
    trace.write_table("audit.csv", read.audit)
    trace.write_table("sample20.csv", read.sample20)
    trace.write_table("tables/printed.csv", read.printed)


def published_files(trace: Trace) -> dict[str, str]:
    """What `read_published` depends on outside the run: the content of the exports and of their list.

    The exports are pinned, so without a source nothing is downloaded to know their content; a source
    that is named is checked every time.
    """
    if source := trace.location("source"):
        published.locate(source)
    return published.pinned()
