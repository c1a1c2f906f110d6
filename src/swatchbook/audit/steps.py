"""The steps of an audit up to a person: draw a sample, plan its size, write the page or another tool's files.

Each returns lines that say what was done.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from swatchbook.atomic import PAGES, output_file, output_folder, refuse_inside
from swatchbook.audit.annotators import with_consensus
from swatchbook.audit.answers import as_sheet, read_judgements
from swatchbook.audit.designs import draw_audit
from swatchbook.audit.exchange import write_exchange
from swatchbook.audit.page import write_audit_page
from swatchbook.audit.planner import next_strata, plan_table, progress_table
from swatchbook.audit.run import JUDGEMENTS, Run
from swatchbook.audit.sample import SAMPLE, read_sample, sample_id, write_sample
from swatchbook.data.strict_csv import DataError

SHOWN = (100, 200, 300, 500, 1000, 2000)


def draw(
    run: Run,
    *,
    design: str = "fabric",
    n: int = 210,
    repeats: int = 20,
    seed: int = 0,
    replace: bool = False,
) -> list[str]:
    """Draw the images that a person will judge, and write sample and key; see `audit.designs`.

    Args:
        run: The run.
        design: ``fabric`` or ``neyman``.
        n: Images.
        repeats: How many of them come a second time.
        seed: Same seed, same sample.
        replace: Whether a sample that is there may be given up.

    Raises:
        DataError: If there is another sample already, or answers to it.
        ValueError: As `designs.draw_audit`.
    """
    drawn = {"design": design, "n": n, "repeats": repeats, "seed": seed}
    sample, strata = draw_audit(run.manifest, run.silver, run.schema, **drawn)
    with run.store.lock():
        there = run.store.path(f"audit/{SAMPLE}")
        if there.is_file() and not replace and sample_id(read_sample(run.folder)) != sample_id(sample):
            raise DataError(
                f"{str(there)!r} holds another sample already; allowed: --replace, which gives it up"
            )
        judgements = run.store.path(JUDGEMENTS)
        if judgements.is_file() and sample_id(sample) not in set(
            read_judgements(judgements, run.schema)["sample"]
        ):
            raise DataError(
                f"{JUDGEMENTS} holds answers to another sample; move {str(run.folder)!r} away to start anew"
            )
        write_sample(sample, strata, run.folder)
    return [
        f"{there}: {n:,} images in {len(strata):,} strata, {repeats:,} of them twice; "
        f"sample {sample_id(sample)}",
        f"next: swatchbook audit page --run-dir {run.store.root} --out audit.html",
    ]


def plan(run: Run) -> list[str]:
    """How wide intervals will be by number of images and design; and, with answers in, how wide they are.

    Args:
        run: The run; needs silver labels.

    Raises:
        DataError: If the run has no silver labels yet.
        ValueError: As `planner.plan_table`.
    """
    if run.silver is None:
        raise DataError(f"{str(run.store.root)!r} has no silver labels to plan from; run the study first")
    level = run.level
    table = plan_table(run.manifest, run.silver, run.schema, level=level)
    with run.store.lock():
        run.store.write_table("audit/plan.csv", table)
    return [
        "± to be expected, by design and number of images (acc: accuracy; F1: macro-F1)",
        *_plan_lines(table),
        f"all sizes: {run.store.path('audit/plan.csv')}",
        *_progress_lines(run),
    ]


def _plan_lines(table: pd.DataFrame) -> list[str]:
    """One line a design and size that can be drawn, with accuracy and macro-F1 of each attribute."""
    short = table["statistic"].map({"accuracy": "acc", "macro_f1": "F1"})
    shown = table.assign(what=table["attribute"] + " " + short)[table["size"].isin(SHOWN)]
    wide = shown.pivot_table("value", ["design", "size"], "what", sort=False)
    width = max(map(len, wide.columns), default=0) + 2
    head = f"{'design':<8}{'n':>6}" + "".join(f"{what:>{width}}" for what in wide)
    rows = [
        f"{design:<8}{size:>6,}" + "".join(f"{x:>{width}.3f}" for x in values)
        for (design, size), values in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    return [head, *rows]


def _progress_lines(run: Run) -> list[str]:
    """How wide the intervals are with the answers that are in, and where the next ones are worth most."""
    if not (run.folder / SAMPLE).is_file():
        return []
    sample = read_sample(run.folder)
    judgements = run.judgements(sample_id(sample))
    if judgements is None:
        return []
    sheet = as_sheet(with_consensus(judgements, run.schema), run.schema)
    who = sheet["annotator"].iloc[0]
    answers = sheet[sheet["annotator"] == who].reindex(columns=["image_id", *run.schema.names])
    now = progress_table(sample, answers, run.silver, run.schema, level=run.level)
    after = next_strata(sample, answers, run.silver, run.schema).head(1)
    return [
        f"now, after {len(answers):,} images judged by {who}:",
        *(f"  {row.attribute} {row.statistic}: {_number(row)}" for row in now.itertuples()),
        *(f"next best stratum: {row.stratum} ({row.waiting:,} waiting)" for row in after.itertuples()),
    ]


def _number(row: tuple) -> str:
    if pd.isna(row.value):
        return row.interval
    return f"{row.estimate:.3f} ± {row.value:.3f} (n = {row.n:,})"


def write_page(run: Run, out: str | Path, title: str = "Audit") -> list[str]:
    """Write the page on which a person judges the drawn sample; see `audit.page`."""
    output_file(out, PAGES)
    sample = read_sample(run.folder)
    made = write_audit_page(sample, run.paths, run.schema, out, title=title)
    return [
        f"{made}: {len(sample):,} cards, {made.stat().st_size / 1e6:.1f} MB; open it in a browser, it needs "
        "no network",
        f"next: swatchbook audit import answers-NAME.csv --run-dir {run.store.root}",
    ]


def export(run: Run, tool: str, out: str | Path, answers: bool = False) -> list[str]:
    """Write the drawn sample for another tool; see `audit.exchange`.

    Args:
        run: The run.
        tool: ``labelstudio`` or ``fiftyone``.
        out: A folder that is empty or not there yet.
        answers: Whether to write the imported answers as well. Without, the task is blind.

    Raises:
        DataError: If nothing was drawn, there are no answers to write, or as `audit.exchange`.
        ValueError: If `out` lies among the run's photographs, is a file or holds something.
        StoreError: If `out` cannot be written.
    """
    refuse_inside(out, run.root, "out")
    out = output_folder(out, empty=True)
    sample, judgements = read_sample(run.folder), None
    if answers:
        judgements = run.judgements(sample_id(sample))
        if judgements is None:
            raise DataError(
                f"{str(run.folder)!r} holds no answers to this sample; import some, or export without"
            )
    write_exchange(tool, sample, run.paths, run.schema, out, judgements)
    done = f"{out}: {len(sample):,} items{'' if judgements is None else ' with their answers'}; "
    if tool == "fiftyone":
        load = f"fiftyone.Dataset.from_dir({str(out)!r}, dataset_type=fiftyone.types.FiftyOneDataset)"
        return [f"{done}load it there by {load}"]
    return [
        f"{done}in Label Studio make a project with config.xml and import tasks.json",
        "Label Studio finds the photographs if it is started with "
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
        f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={out.resolve()}, and the project has the folder images as "
        "a local source storage",
    ]
