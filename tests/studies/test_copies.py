"""Photographs that lie in two splits: listed, said, and by the setting left out of training, kept or refused."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="training needs the extra 'models'")

from swatchbook.data.strict_csv import DataError
from swatchbook.store import Store
from swatchbook.studies.attributes import images, training

SPLITS = ["train", "train", "val", "val", "test", "test"]
FILES = ["1", "2", "3", "4", "1", "4"]  # a is e, and d is f


class FakeTrace:
    """A stage's reads and writes, without a run."""

    def __init__(self, store: Store, **settings: object) -> None:
        self.store, self.settings = store, settings
        self.table, self.path, self.folder, self.write_table = (
            store.read_table, store.path, store.path, store.write_table,
        )  # fmt: skip

    def setting(self, key: str) -> object:
        return self.settings.get(key)


class StoppedError(Exception):
    """Instead of a training."""


@pytest.fixture
def store(tmp_path, rng):
    store = Store(tmp_path)
    pictures = rng.integers(0, 256, (6, 256, 256, 3), dtype=np.uint8)
    np.save(store.path("pixels.npy"), pictures[[0, 1, 2, 3, 0, 3]])
    rows = {"image_id": list("abcdef"), "folder": "lace", "split": SPLITS, "sha256": FILES, "color": "red"}
    store.write_table("manifest.parquet", pd.DataFrame(rows))
    store.write_table("silver.parquet", pd.DataFrame(rows))
    return store


def learnt_from(trace: FakeTrace, schema, monkeypatch) -> tuple[list[int], list[int]]:
    """Rows that a training would see and choose its epoch by."""

    def stop(fit, **given):
        raise StoppedError(given["train_rows"].tolist(), given["val_rows"].tolist())

    monkeypatch.setattr(training, "on_all_processes", stop)
    monkeypatch.setattr(training, "recipe_of", lambda _: None)
    monkeypatch.setattr(
        training, "classes_and_prompts", lambda _: schema.__class__("one", (schema["color"],))
    )
    with pytest.raises(StoppedError) as stopped:
        training.train_and_predict(trace, "model")
    return stopped.value.args


def test_copies_are_left_out_of_what_is_learnt_from_or_kept_as_the_setting_says(
    store, schema, monkeypatch, capsys
):
    for decision, lost, learnt, words in (
        ("drop", ["a", "d"], ([1], [2]), "1 images were left out of train and 1 out of val."),
        ("keep", [], ([0, 1], [2, 3]), "and stayed there: scores on test are too high"),
    ):
        trace = FakeTrace(store, duplicates=decision, data="drawn", model="m")
        images.list_copies(trace)
        assert store.read_table("tables/duplicates.csv")["other"].tolist() == ["e", "f"]
        assert store.read_table("tables/copies_left_out.csv")["image_id"].tolist() == lost
        assert "2 pairs of copies lie in two splits (tables/duplicates.csv)" in (
            said := capsys.readouterr().err
        )
        assert words in said
        assert learnt_from(trace, schema, monkeypatch) == learnt


def test_copies_in_two_splits_can_be_refused_and_are_listed_all_the_same(store):
    with pytest.raises(DataError, match=r"'a' \(train\) and 'e' \(test\) are the same file \(2 such pairs\)"):
        images.list_copies(FakeTrace(store, duplicates="refuse"))
    assert len(store.read_table("tables/duplicates.csv")) == 2


def test_a_folders_photographs_are_all_learnt_from_since_their_copies_lie_in_one_split(
    store, schema, monkeypatch
):
    trace = FakeTrace(store, data="folder", model="m")
    assert learnt_from(trace, schema, monkeypatch) == ([0, 1], [2, 3])
