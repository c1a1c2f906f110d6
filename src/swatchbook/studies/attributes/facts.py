"""Plain counts of a data set: images, fabrics, abstentions, doubtful folders, recurring file names."""

from __future__ import annotations

import numpy as np
import pandas as pd

from swatchbook.schema import Schema

# Cloth that is not knitted, whatever a folder rule says: woven pile and openwork.
NOT_KNITTED = ("lace", "velvet", "faux_fur")
DINOV2_FEATURES = 768  # of ViT-B/14, whose heads the published study counts


def fact_table(
    manifest: pd.DataFrame,
    silver: pd.DataFrame,
    audit: pd.DataFrame | None,
    schema: Schema,
    features: int | None = None,
) -> pd.DataFrame:
    """Counts that a study prints about its data.

    Args:
        manifest: With `image_id, folder, split`.
        silver: Silver labels of the test images, a column an attribute, null where abstained.
        audit: The audit sheet, with `stratum` and a column an attribute; None where nobody judged.
        schema: Gives heads and the folder rule.
        features: Of the network whose linear heads were printed; None where none were.

    Returns:
        Columns `statistic, head, rows, value, n, interval`: `images` by split, `fabrics`,
        `head_parameters` of linear heads on so many features (a weight a feature and a bias, per class),
        `abstention_rate` by head on the test split, and `share_of_doubtful_folders`, the test images that
        a folder rule calls knitwear although the cloth is not knitted; of the audit `images`,
        `images_per_fabric` (the smallest number) and `n_excluded` by head, where the auditor could not tell.
    """
    splits = manifest["split"].value_counts()
    rows = [{"statistic": "images", "rows": "all", "value": len(manifest)}]
    rows += [{"statistic": "images", "rows": split, "value": splits[split]} for split in splits.index]
    rows.append({"statistic": "fabrics", "value": manifest["folder"].nunique()})
    if features is not None:
        rows.append({"statistic": "head_parameters", "value": sum(len(a) for a in schema) * (features + 1)})
    for a in schema:
        rate = float(silver[a.name].isna().mean())
        rows.append(
            {"statistic": "abstention_rate", "head": a.name, "rows": "test", "value": rate, "n": len(silver)}
        )
    rows += [] if audit is None else _audit_facts(audit, schema)
    test = manifest[manifest["split"] == "test"]
    doubtful = test["folder"].isin([f for f in NOT_KNITTED if schema.folders.get(f) == "knitwear"])
    share = float(doubtful.mean()) if len(test) else np.nan
    rows.append(
        {"statistic": "share_of_doubtful_folders", "rows": "test", "value": share, "n": int(doubtful.sum())}
    )
    return pd.DataFrame(rows).assign(interval="count")


def _audit_facts(audit: pd.DataFrame, schema: Schema) -> list[dict]:
    judged = [a.name for a in schema if audit[a.name].notna().any()]
    smallest = audit["stratum"].value_counts().min()
    return [
        {"statistic": "images", "head": "all", "rows": "audit", "value": len(audit)},
        {"statistic": "images_per_fabric", "head": "all", "value": smallest},
        *({"statistic": "n_excluded", "head": name, "value": audit[name].isna().sum()} for name in judged),
    ]


def name_table(clashes: pd.DataFrame) -> pd.DataFrame:
    """How many file names recur in several folders, and in both the training and the test split.

    Args:
        clashes: A row a recurring name, with booleans `several_folders` and `train_and_test`.
    """
    counts = {
        "names_in_several_folders": int(clashes["several_folders"].sum()),
        "names_in_train_and_test": int(clashes["train_and_test"].sum()),
    }
    return pd.DataFrame(
        {"statistic": list(counts), "value": list(counts.values()), "n": len(clashes), "interval": "count"}
    )
