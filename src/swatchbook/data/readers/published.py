"""The published study's exports → manifest, silver labels, predictions and audit, checked.

Nothing is half-read: every file is parsed and held against the schema, the folder rule and the other
files before anything is returned. Errors name the file and the line (the header is line 1).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.data.readers.published_files import locate, pinned, printed_numbers
from swatchbook.data.strict_csv import DataError, read_csv, refuse, refuse_different
from swatchbook.schema import Schema

__all__ = ["MODELS", "DataError", "Published", "locate", "name_clashes", "pinned", "printed_numbers", "read"]

MODELS = ("dinov2", "resnet50")
ABSTAINED = "unknown"
SAMPLED_MODEL = "dinov2"  # whose predictions on the hand-picked images were shown


@dataclass(frozen=True)
class Published:
    """The exports, read and checked. Rows keep the order of the files.

    An ``image_id`` is the path from the split on, such as ``test/chambray/x.jpg``.

    Attributes:
        manifest: ``image_id, path, folder, split``; split is train, val or test.
        silver: Test split: ``image_id`` and a column an attribute; null where the labeller abstained.
        predictions: Model → ``image_id`` and a column an attribute, in the rows of ``silver``.
        audit: ``image_id, annotator, stratum, weight`` and a column an attribute; null where the auditor
            could not tell, and for the attribute that is labelled by folder, which was not judged.
            ``weight`` is how many test images of its fabric one audited image stands for.
        audit_silver: ``image_id`` and the silver labels of the audited images, in the rows of ``audit``.
        sample20: ``image_id`` and predictions of the images that the study picked to show.
        printed: Every number that the study printed; see ``printed_numbers``.
    """

    manifest: pd.DataFrame
    silver: pd.DataFrame
    predictions: dict[str, pd.DataFrame]
    audit: pd.DataFrame
    audit_silver: pd.DataFrame
    sample20: pd.DataFrame
    printed: pd.DataFrame


def read(files: Mapping[str, Path], schema: Schema) -> Published:
    """Read and check the exports.

    Args:
        files: Local file name → path, as ``locate`` gives them.
        schema: Whose classes and folder rule the files must follow.

    Raises:
        DataError: If a file is damaged, or says something that the schema or another file does not
            allow; names the file, the line, what was received and what is allowed.
    """
    lists = [_images(files[f"{split}_final.csv"], "train", schema, ("class",)) for split in ("train", "val")]
    tests = {model: _test_split(files[f"test_predictions_{model}.csv"], schema) for model in MODELS}
    _same_test_split(tests, schema)
    test = tests[MODELS[0]]
    silver = _labels(test, "gt_", schema, abstentions=True)
    by_split = zip(("train", "val", "test"), (*lists, test), strict=True)
    manifest = pd.concat([rows.assign(split=split) for split, rows in by_split], ignore_index=True)
    manifest = manifest[["image_id", "path", "folder", "split"]]
    _disjoint(manifest, files)
    _as_declared(files["manifest.json"], manifest, silver)
    predictions = {model: _labels(rows, "pred_", schema) for model, rows in tests.items()}
    audit, audit_silver = _audit(files["audit.csv"], test, silver, schema)
    sample20 = _sample(files["orthogonality_sample_20.csv"], predictions[SAMPLED_MODEL], schema)
    return Published(
        manifest=manifest,
        silver=silver.reset_index(drop=True),
        predictions={model: rows.reset_index(drop=True) for model, rows in predictions.items()},
        audit=audit,
        audit_silver=audit_silver,
        sample20=sample20,
        printed=printed_numbers(),
    )


def name_clashes(manifest: pd.DataFrame) -> pd.DataFrame:
    """File names that occur more than once: a hint at one photograph under two labels or in two splits.

    A web name such as ``1.jpg`` can recur by chance, so a clash is a reason to compare the pixels, not a
    proof of a duplicate.

    Args:
        manifest: With ``image_id, folder, split``.

    Returns:
        A row a name: ``name, images, folders, splits`` (joined by ", "), ``several_folders`` and
        ``train_and_test`` (bool), by name. The latter compares the data set's own train and test parts, the
        first words of the image_ids, so the validation images count as training images.
    """
    parts = manifest["image_id"].str.split("/")
    named = manifest.assign(part=parts.str[0], name=parts.str[-1])
    recurring = named[named["name"].duplicated(keep=False)]
    rows = [
        {
            "name": name,
            "images": len(group),
            "folders": ", ".join(sorted(set(group["folder"]))),
            "splits": ", ".join(s for s in ("train", "val", "test") if s in set(group["split"])),
            "several_folders": len(set(group["folder"])) > 1,
            "train_and_test": len(set(group["part"])) > 1,
        }
        for name, group in recurring.groupby("name")
    ]
    columns = ["name", "images", "folders", "splits", "several_folders", "train_and_test"]
    return pd.DataFrame(rows, columns=columns)


def _images(path: Path, part: str, schema: Schema, columns: tuple[str, ...]) -> pd.DataFrame:
    """A table of images with ``image_id``, ``folder`` and ``ruled`` (the folder rule's class) added."""
    table, name = read_csv(path, ("path", *columns)), path.name
    found = table["path"].str.extract(r"(?:^|/)(train|test)/([^/]+)/([^/]+)$")
    refuse(found[0] != part, name, table["path"], f"…/{part}/<fabric>/<image>")
    table["image_id"] = found[0] + "/" + found[1] + "/" + found[2]
    table["folder"] = found[1]
    ruled = {folder: label for folder, label in schema.folders.items() if label is not None}
    refuse(~table["folder"].isin(list(ruled)), name, table["folder"], ", ".join(ruled))
    table["ruled"] = table["folder"].map(ruled)
    if "class" in table:
        refuse_different(table["class"], table["folder"], name, "the folder in its path")
    first = table.drop_duplicates("image_id")
    twice = table["image_id"].duplicated()
    if twice.any():
        line = table.index[twice.to_numpy()][0]
        of = first.index[(first["image_id"] == table.loc[line, "image_id"]).to_numpy()][0]
        raise DataError(
            f"{name}, lines {of} and {line} hold the same image {table.loc[line, 'path']!r} "
            f"({int(twice.sum())} such); allowed: each image once"
        )
    return table


def _by_folder(schema: Schema) -> tuple[str, ...]:
    return tuple(a.name for a in schema if a.labelled_by == "folder")


def _rule(schema: Schema) -> str:
    return f"by the folder map {schema.folder_map!r}"


def _check_labels(
    table: pd.DataFrame, prefix: str, schema: Schema, name: str, abstentions: bool = False
) -> None:
    for attribute in schema:
        column = table[f"{prefix}{attribute.name}"]
        zero_shot = attribute.labelled_by != "folder"
        allowed = (*attribute.classes, ABSTAINED) if abstentions and zero_shot else attribute.classes
        refuse(~column.isin(allowed), name, column, ", ".join(allowed))


def _labels(table: pd.DataFrame, prefix: str, schema: Schema, abstentions: bool = False) -> pd.DataFrame:
    """``image_id`` and a column an attribute, null for an abstention; the labels are checked before."""
    labels = table[[f"{prefix}{attribute}" for attribute in schema.names]].set_axis(schema.names, axis=1)
    if abstentions:
        labels = labels.mask(labels == ABSTAINED)
    labels.insert(0, "image_id", table["image_id"])
    return labels


def _test_split(path: Path, schema: Schema) -> pd.DataFrame:
    columns = [f"{prefix}{attribute}" for attribute in schema.names for prefix in ("pred_", "gt_")]
    table = _images(path, "test", schema, ("dataset_idx", *columns))
    _check_labels(table, "gt_", schema, path.name, abstentions=True)
    _check_labels(table, "pred_", schema, path.name)
    for attribute in _by_folder(schema):
        refuse_different(table[f"gt_{attribute}"], table["ruled"], path.name, _rule(schema))
    position = pd.Series(np.arange(len(table)).astype(str), index=table.index)
    refuse_different(table["dataset_idx"], position, path.name, "counting from 0 without gaps")
    return table


def _same_test_split(tests: Mapping[str, pd.DataFrame], schema: Schema) -> None:
    first_model, *others = tests
    first, first_name = tests[first_model], f"test_predictions_{first_model}.csv"
    for model in others:
        name, other = f"test_predictions_{model}.csv", tests[model]
        if len(other) != len(first):
            raise DataError(
                f"{name} has {len(other):,} rows and {first_name} has {len(first):,}; allowed: the same "
                "images in the same order"
            )
        for column in ("image_id", *(f"gt_{attribute}" for attribute in schema.names)):
            wrong = np.flatnonzero(other[column].to_numpy() != first[column].to_numpy())
            if wrong.size:
                raise DataError(
                    f"{name}, line {other.index[wrong[0]]}: {column} {other[column].iloc[wrong[0]]!r} where "
                    f"{first_name} has {first[column].iloc[wrong[0]]!r} ({wrong.size} such lines); allowed: "
                    "the same images in the same order with the same labels"
                )


def _disjoint(manifest: pd.DataFrame, files: Mapping[str, Path]) -> None:
    twice = manifest["image_id"].duplicated(keep=False)
    if twice.any():
        image = manifest.loc[twice, "path"].iloc[0]
        raise DataError(
            f"{files['train_final.csv'].name} and {files['val_final.csv'].name} both hold {image!r} "
            f"({int(twice.sum()) // 2} such images); allowed: each image in one split"
        )


def _as_declared(path: Path, manifest: pd.DataFrame, silver: pd.DataFrame) -> None:
    """Hold split sizes and abstention rates against the study's own manifest: rows lost in between show."""
    try:
        declared = json.loads(path.read_text(encoding="utf-8"))
        totals = {split: declared["split"][f"{split}_final_total"] for split in ("train", "val", "test")}
        rates = {name: rate["test"] for name, rate in declared["labelling"]["abstain_rates"].items()}
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path.name} is not valid JSON: {error}") from None
    except (KeyError, TypeError) as error:
        raise DataError(f"{path.name} lacks split totals or abstention rates: {error}") from None
    for split, total in totals.items():
        received = int((manifest["split"] == split).sum())
        if received != total:
            raise DataError(f"the {split} split has {received:,} images; {path.name} says {total:,}")
    for attribute, rate in rates.items():
        received = float(silver[attribute].isna().mean())
        if abs(received - rate) > 1e-9:
            raise DataError(
                f"the labeller abstained on {received:.6f} of the test images for {attribute}; {path.name} "
                f"says {rate:.6f}"
            )


def _audit(
    path: Path, test: pd.DataFrame, silver: pd.DataFrame, schema: Schema
) -> tuple[pd.DataFrame, pd.DataFrame]:
    judged = [a for a in schema.names if a not in _by_folder(schema)]
    columns = [f"{prefix}{attribute}" for attribute in judged for prefix in ("vlm_", "gt_")]
    sheet = _images(path, "test", schema, ("class", *_by_folder(schema), *columns, "audited"))
    refuse(~sheet["image_id"].isin(test["image_id"]), path.name, sheet["path"], "images of the test split")
    refuse(
        sheet["audited"].str.lower() != "true",
        path.name,
        sheet["audited"],
        "True; leave out what nobody judged",
    )
    for attribute in _by_folder(schema):
        refuse_different(sheet[attribute], sheet["ruled"], path.name, _rule(schema))
        # The sheet repeats the rule's class; nobody judged it.
        sheet[f"vlm_{attribute}"], sheet[f"gt_{attribute}"] = sheet[attribute], sheet[attribute]
    _check_labels(sheet, "vlm_", schema, path.name, abstentions=True)
    _check_labels(sheet, "gt_", schema, path.name, abstentions=True)
    expected = silver.set_index("image_id").loc[sheet["image_id"]].set_axis(sheet.index).fillna(ABSTAINED)
    for attribute in schema.names:
        reason = "the silver label in the prediction files"
        refuse_different(sheet[f"vlm_{attribute}"], expected[attribute], path.name, reason)

    audited, in_test = sheet["folder"].value_counts(), test["folder"].value_counts()
    unaudited = sorted(set(in_test.index) - set(audited.index))
    if unaudited:
        raise DataError(
            f"{path.name} has no image of {', '.join(unaudited)}; allowed: at least one of each fabric in "
            "the test split, or the audit does not speak for all of it"
        )
    human = _labels(sheet, "gt_", schema, abstentions=True)
    for attribute in _by_folder(schema):
        human[attribute] = human[attribute].mask(human[attribute].notna())
    human.insert(1, "annotator", "published")
    human.insert(2, "stratum", sheet["folder"])
    human.insert(3, "weight", (sheet["folder"].map(in_test) / sheet["folder"].map(audited)).astype(float))
    sheet_silver = _labels(sheet, "vlm_", schema, abstentions=True)
    return human.reset_index(drop=True), sheet_silver.reset_index(drop=True)


def _sample(path: Path, predictions: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    table = _images(path, "test", schema, tuple(f"pred_{attribute}" for attribute in schema.names))
    _check_labels(table, "pred_", schema, path.name)
    known = table["image_id"].isin(predictions["image_id"])
    refuse(~known, path.name, table["path"], "images of the test split")
    expected = predictions.set_index("image_id").loc[table["image_id"]].set_axis(table.index)
    for attribute in schema.names:
        reason = f"as in test_predictions_{SAMPLED_MODEL}.csv"
        refuse_different(table[f"pred_{attribute}"], expected[attribute], path.name, reason)
    return _labels(table, "pred_", schema).reset_index(drop=True)
