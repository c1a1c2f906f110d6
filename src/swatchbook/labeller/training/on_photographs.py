"""How right a labeller is on the photographs of the judged set that nobody trains on: ``measured.csv``.

``python -m swatchbook.labeller.training.on_photographs CLONE`` measures the labeller in the box; CLONE is the
data set that `labeller.judged` names. Photographs that were added by a labeller's answers are left out, and
each of the others is weighted by how many of its kind it stands for, so that scores are those of photographs
as they come.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.atomic import write_file
from swatchbook.csv_io import write_csv
from swatchbook.evaluation.audit import audit_table
from swatchbook.labeller import folder_of
from swatchbook.labeller.measured import ACCURACY, ACCURACY_KEPT, COLUMNS, MEASURED, SCHEMA
from swatchbook.labeller.silver import silver_table
from swatchbook.labeller.training.quality import judged_cosines
from swatchbook.labeller.zero_shot import Labeller
from swatchbook.schema import Schema


def accuracy_on_photographs(labeller: Labeller, source: Path) -> pd.DataFrame:
    """Accuracy of every label and of those kept, by attribute, on the validation part of the judged set.

    Args:
        labeller: The model.
        source: A clone of the data set, see `with_photographs`.

    Returns:
        The columns `COLUMNS` of `labeller.measured`.
    """
    rows, cosines = judged_cosines(labeller, source)
    as_they_come, schema = rows["drawn"] == "kind", Schema.load(SCHEMA)
    rows, cosines = (table[as_they_come].reset_index(drop=True) for table in (rows, cosines))
    everything = silver_table(cosines, schema, thresholds=dict.fromkeys(schema.names, 0.0))
    return scored(rows, everything, silver_table(cosines, schema), schema)


def scored(rows: pd.DataFrame, everything: pd.DataFrame, kept: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Labels against judgements, by design.

    Args:
        rows: Judgements: ``kind, weight, judge`` and a column an attribute, null where it could not be told.
        everything: Labels of the same photographs, sure or not.
        kept: Those labels that reach the thresholds, null elsewhere.
        schema: Gives attributes and classes.
    """
    truth, design = schema.encode(rows, "judgements"), {"stratum": rows["kind"], "weight": rows["weight"]}
    found = []
    for metric, labels in ((ACCURACY, everything), (ACCURACY_KEPT, kept)):
        codes = schema.encode(labels, "labels")
        table = audit_table(truth, codes, schema, **{k: v.to_numpy() for k, v in design.items()})
        table = table[(table["class"] == "all") & (table["statistic"] == "accuracy")]
        table = table[(table["weighting"] == "design") & (table["abstained"] == "left_out")]
        for row in table[table["value"].notna()].itertuples():
            judged = (truth[row.attribute] >= 0) & (codes[row.attribute] >= 0)
            counts = np.bincount(truth[row.attribute][judged], weights=rows["weight"][judged])
            majority = counts.max() / counts.sum()
            found.append((row.attribute, metric, row.value, row.low, row.high, row.n, majority, row.interval))
    table = pd.DataFrame(found, columns=[name for name in COLUMNS if name != "judged_by"])
    return table.assign(judged_by=rows["judge"].iloc[0])[list(COLUMNS)].sort_values(
        "attribute", key=lambda names: names.map(schema.names.index), kind="stable", ignore_index=True
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure a labeller and write ``measured.csv`` beside its weights; see ``--help``."""
    parser = argparse.ArgumentParser(
        prog="python -m swatchbook.labeller.training.on_photographs", description=__doc__
    )
    parser.add_argument("source", type=Path, metavar="CLONE", help="the photographs")
    parser.add_argument("--labeller", default="bundled", help="bundled or local-dir:PATH (%(default)s)")
    options = parser.parse_args(arguments)
    folder = folder_of(options.labeller)
    if folder is None:
        parser.error(f"--labeller {options.labeller}; allowed: one whose folder lies on this disk")
    table = accuracy_on_photographs(Labeller.load(options.labeller), options.source)
    out = folder / MEASURED
    write_file(out, lambda path: write_csv(table, path, float_format="%.4f"))
    print(f"{out}\n{table.to_string(index=False)}", flush=True)


if __name__ == "__main__":
    main()
