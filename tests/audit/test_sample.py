"""The sample a person is asked about: its fingerprint, and files that are read back exactly or refused."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from swatchbook.audit.columns import SAMPLE_COLUMNS, STRATA_COLUMNS, answer_columns
from swatchbook.audit.run import scratch_copy
from swatchbook.audit.sample import read_sample, sample_id, write_sample
from swatchbook.csv_io import guard, unguard
from swatchbook.data.strict_csv import DataError
from swatchbook.store import Store, StoreError

IDS = ["=1.jpg", 'a "b", c.jpg', "<script>x</script>.jpg", "'+2.jpg", "שלום 👩‍👧.jpg", "007"]


@pytest.fixture
def sample():
    weight = [10 / 3, 10 / 3, 0.1 + 0.2, 10 / 3, 0.1 + 0.2, 0.1 + 0.2]
    strata = ["s01", "s01", "s02", "s01", "s02", "s02"]
    firsts = pd.DataFrame({"image_id": IDS, "stratum": strata, "weight": weight, "repeat": 0})
    rows = pd.concat([firsts, firsts.iloc[[0]].assign(repeat=1)], ignore_index=True)
    return rows.assign(item=np.arange(1, 8))[list(SAMPLE_COLUMNS)]


@pytest.fixture
def strata():
    key = pd.DataFrame({"stratum": ["s01", "s02"], "population": [10, 1], "drawn": [3, 3]})
    key = key.assign(fabric=["=denim", None], attribute=None, label=None, confidence_low=[np.nan, 1 / 3])
    return key.assign(confidence_high=[np.nan, 0.9])[list(STRATA_COLUMNS)]


@pytest.fixture
def written(sample, strata, tmp_path):
    sample.loc[sample["stratum"] == "s02", "weight"] = 1 / 3
    write_sample(sample, strata, tmp_path / "audit")
    return tmp_path / "audit"


def test_the_fingerprint_is_the_hash_of_the_items_in_order(sample):
    text = "".join(
        f"{r.image_id}\t{r.stratum}\t{r.weight!r}\t{r.repeat}\n" for r in sample.astype(object).itertuples()
    )
    assert "\t0.30000000000000004\t0\n" in text
    assert sample_id(sample) == hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


@pytest.mark.parametrize(
    ("column", "value"), [("image_id", "x"), ("stratum", "s09"), ("weight", 3.0), ("repeat", 1)]
)
def test_the_fingerprint_changes_with_anything_that_counts(sample, column, value):
    changed = sample.copy()
    changed.loc[2, column] = value
    assert sample_id(changed) != sample_id(sample)
    assert sample_id(sample.iloc[::-1]) != sample_id(sample)


def test_what_is_written_is_read_back_to_the_last_bit(sample, strata, written):
    read = read_sample(written)
    assert read["image_id"].tolist() == [*IDS, IDS[0]]
    assert read["weight"].tolist() == sample["weight"].tolist()
    assert sample_id(read) == sample_id(sample)
    key = Store(written).read_table("strata.csv")
    assert key["fabric"].tolist()[0] == "=denim" and pd.isna(key["fabric"][1])
    assert key["confidence_low"].tolist()[1] == 1 / 3 and np.isnan(key["confidence_low"][0])
    assert key["population"].tolist() == [10, 1]


def test_weights_of_any_size_survive_the_file(tmp_path):
    rng = np.random.default_rng(4)
    drawn, population = rng.integers(1, 40, 60), rng.integers(40, 5000, 60)
    codes = [f"s{i:02d}" for i in range(60)]
    each = np.repeat(np.arange(60), drawn)
    sample = pd.DataFrame(
        {"item": np.arange(1, len(each) + 1), "image_id": [f"{i}.png" for i in range(len(each))]}
    )
    sample = sample.assign(stratum=np.array(codes)[each], weight=(population / drawn)[each], repeat=0)
    key = pd.DataFrame({"stratum": codes, "population": population, "drawn": drawn})
    write_sample(sample, key.reindex(columns=STRATA_COLUMNS), tmp_path)
    assert read_sample(tmp_path)["weight"].tolist() == sample["weight"].tolist()


def test_no_cell_of_the_file_begins_as_a_formula(written):
    lines = (written / "sample.csv").read_text(encoding="utf-8").splitlines()
    assert lines[1].split(",")[1] == "'=1.jpg"
    assert not any(line.split(",")[1][:1] in "=+-@" for line in lines[1:])


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@x", "\tx", "\rx", "'=1", "''@", "'plain", "", "a=1", "'"]
)
def test_a_guarded_text_is_no_formula_and_comes_back(text):
    assert guard(text)[:1] not in ("=", "+", "-", "@", "\t", "\r")
    assert unguard(guard(text)) == text


def test_a_text_that_is_no_formula_is_left_alone():
    assert [guard(t) for t in ("a=1", "'plain", "", "é-")] == ["a=1", "'plain", "", "é-"]
    assert guard("=1.jpg") == "'=1.jpg" and unguard("'=1.jpg") == "=1.jpg" and unguard("'n") == "'n"


def test_answers_have_a_column_for_every_attribute(schema):
    asked = ("material", "color", "pattern", "texture")
    assert answer_columns(schema) == ("sample", "item", "image_id", "annotator", *asked, "note", "seconds")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("item,image_id", "item,label,image_id", "fields"),
        ("item,image_id", "item,id", "no column image_id"),
        ("repeat", "repeat,color", "fields"),
        ("\n2,", "\n3,", "line 3: item"),
        ("\n2,", "\n٢,", "line 3: item"),
        (",s02,", ",,", "stratum ''"),
        ("007", "", "image_id ''"),
        ("007", "=1.jpg", "each image once"),
        ("007", "\x07", "control characters"),
        ("3.3333333333333335", "0", "number above 0"),
        ("3.3333333333333335", "3,3", "fields"),
        ("3.3333333333333335", "inf", "number above 0"),
        ("3.3333333333333335", "3.333", "one weight a stratum"),
        ("3.3333333333333335,1", "3.3333333333333335,2", "line 8: repeat 2;"),
        ("7,'=1.jpg,s01,3.3333333333333335,1", "7,007,s01,3.3333333333333335,1", "first judgement"),
        ("7,'=1.jpg,s01", "7,x,s01", "after the first"),
        ("0\n", "0\r\n", None),
    ],
)
def test_a_damaged_sample_is_refused_with_its_line(written, old, new, message):
    path = written / "sample.csv"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode("utf-8"))
    if message is None:
        assert len(read_sample(written)) == 7
        return
    with pytest.raises(DataError, match=message):
        read_sample(written)


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"\xef\xbb\xbf" + raw,
        lambda raw: raw.replace(b",", b";"),
        lambda raw: raw[:-3],
        lambda raw: raw.decode().encode("utf-16"),
        lambda raw: b"",
        lambda raw: raw.splitlines(keepends=True)[0],
    ],
)
def test_a_file_a_spreadsheet_or_a_full_disk_has_spoiled_is_refused(written, damage):
    path = written / "sample.csv"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"sample\.csv"):
        read_sample(written)


def test_a_missing_sample_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="draw an audit sample first"):
        read_sample(tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("weight", -1.0, "above 0"),
        ("image_id", "a\tb", "control"),
        ("image_id", "\udcff", "control"),
        ("item", 9, "item"),
    ],
)
def test_a_sample_that_could_not_be_read_back_is_not_written(
    sample, strata, tmp_path, column, value, message
):
    sample = sample.astype(object)
    sample.loc[3, column] = value
    with pytest.raises(DataError, match=message):
        write_sample(sample, strata, tmp_path / "audit")
    assert not (tmp_path / "audit").exists()


def test_a_key_of_another_sample_is_refused(sample, strata, written):
    with pytest.raises(DataError, match="population 11"):
        write_sample(sample, strata.assign(population=[11, 1]), written)
    with pytest.raises(DataError, match="other strata"):
        write_sample(sample, strata.assign(stratum=["s01", "s03"]), written)


def test_what_was_there_survives_a_write_that_fails(sample, strata, written, monkeypatch):
    before = (written / "sample.csv").read_bytes()

    def full(self, path, **options):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(StoreError, match="No space left"):
        write_sample(sample, strata, written)
    assert (written / "sample.csv").read_bytes() == before
    assert sorted(p.name for p in written.iterdir()) == ["sample.csv", "strata.csv"]


def test_a_scratch_copy_takes_what_an_audit_reads_and_keeps_its_answers(tmp_path):
    run, copy = Store(tmp_path / "demo"), tmp_path / "demo-judged"
    run.write_json("config.json", {"settings": {"schema": "textilenet", "material_map": "paper"}})
    run.write_table("manifest.parquet", pd.DataFrame({"image_id": ["a"]}))
    run.write("pixels.npy", lambda out: out.write_bytes(b"many"))
    assert scratch_copy(run.root, copy) == copy
    assert sorted(p.name for p in copy.iterdir() if not p.name.startswith(".")) == [
        "config.json",
        "manifest.parquet",
    ]
    Store(copy).write("audit/answers.csv", lambda out: out.write_text("mine"))
    run.write_table("manifest.parquet", pd.DataFrame({"image_id": ["b"]}))
    scratch_copy(run.root, copy)
    assert Store(copy).read_table("manifest.parquet")["image_id"].tolist() == ["b"]
    assert (copy / "audit" / "answers.csv").read_text() == "mine"
    assert not (run.root / "audit").exists()
