"""What an audit reads of a run's folder, and the answers that were imported into it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from swatchbook.audit.answers import read_judgements
from swatchbook.audit.sample import SAMPLE
from swatchbook.data.strict_csv import DataError
from swatchbook.schema import Schema
from swatchbook.store import Store, StoreError

JUDGEMENTS = "audit/judgements.csv"
ANSWERS = "audit/answers.csv"
LABELS = "labels"  # the setting that says of which file the labels are, where they came without a run
READ = ("config.json", "manifest.parquet", "silver.parquet", "cosines.parquet")  # of a run, by an audit
_REPLICATES, _LEVEL = 2000, 0.95


@dataclass(frozen=True)
class Run:
    """What an audit needs of a run.

    Attributes:
        store: Its folder.
        manifest: A row an image, with ``image_id, path, folder, split``.
        silver: Labels and confidences (NaN where the run has none), or None before labelling.
        schema: What is asked.
        settings: The run's settings by name.
    """

    store: Store
    manifest: pd.DataFrame
    silver: pd.DataFrame | None
    schema: Schema
    settings: Mapping[str, object]

    @property
    def root(self) -> Path:
        """The folder of images."""
        first = self.manifest.iloc[0]
        return Path(first["path"].removesuffix(first["image_id"]))

    @property
    def folder(self) -> Path:
        """Where the audit lives."""
        return self.store.path("audit")

    @property
    def paths(self) -> dict[str, str]:
        """Image id → file."""
        return dict(zip(self.manifest["image_id"], self.manifest["path"], strict=True))

    def rng(self) -> np.random.Generator:
        """A source of randomness that gives the same tables again."""
        return np.random.default_rng(int(self.settings.get("seed", 0)))

    @property
    def level(self) -> float:
        """Confidence level of the intervals, as the run's own tables have it."""
        return float(self.settings.get("evaluation.level", _LEVEL))

    @property
    def bootstrap(self) -> dict[str, object]:
        """Replicates and level, as the run's own tables have them."""
        draws = int(self.settings.get("evaluation.bootstrap", _REPLICATES))
        return {"draws": draws, "level": self.level}

    def judgements(self, sample: str) -> pd.DataFrame | None:
        """Judgements that were imported, or None.

        Args:
            sample: The fingerprint of the sample that they must answer.

        Raises:
            DataError: If they answer another sample, or are damaged.
        """
        path = self.store.path(JUDGEMENTS)
        if not path.is_file():
            return None
        judgements = read_judgements(path, self.schema)
        if set(judgements["sample"]) != {sample}:
            raise DataError(f"{str(path)!r} holds answers to another sample than {SAMPLE}; move it away")
        return judgements


def scratch_copy(run_dir: str | Path, to: str | Path) -> Path:
    """Copy what an audit reads of a run, so that answers given to try it out leave the run as it is.

    Photographs stay where they are. What is there already is brought up to date; answers are kept.

    Args:
        run_dir: The run.
        to: Folder of the copy; made if needed.

    Returns:
        The copy's folder.
    """
    copy = Store(to)
    with copy.lock():
        for name in READ:
            if (original := Path(run_dir) / name).is_file():
                copy.write(name, partial(shutil.copyfile, original))
    return copy.root


def open_run(run_dir: str | Path) -> Run:
    """Open the folder of a run that has photographs.

    Raises:
        DataError: If there is no such run.
    """
    store, silver = Store(run_dir), None
    try:
        manifest = store.read_table("manifest.parquet")
        settings = dict(store.read_json("config.json")["settings"])
        own = store.path(str(settings["schema"]))  # of labels that came without a run
        schema = Schema.load(own if own.is_file() else settings["schema"], settings["material_map"])
    except (OSError, ValueError, KeyError, TypeError, StoreError) as error:
        raise DataError(
            f"{str(store.root)!r} holds no run with photographs ({error}); allowed: --run-dir DIR of a run, "
            "such as swatchbook run --profile folder --images DIR makes"
        ) from None
    if store.path("silver.parquet").is_file():
        silver = store.read_table("silver.parquet")
        schema = schema.only(a for a in schema.names if a in silver)  # what the labeller was asked for
        unknown = [f"{a}_confidence" for a in schema.names if f"{a}_confidence" not in silver]
        silver = silver.assign(**dict.fromkeys(unknown, np.nan))
    return Run(store, manifest, silver, schema, settings)
