"""Thresholds certified by an import of answers, in a run made by hand; and a run that is trained by them."""

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from swatchbook.audit.sample import read_sample
from swatchbook.cli.main import main
from swatchbook.data.strict_csv import DataError
from swatchbook.evaluation import certification, temperature
from swatchbook.labeller.silver import silver_table
from swatchbook.labeller.thresholds import COLUMNS, read_thresholds
from swatchbook.pipeline import ConfigError
from tests.audit.test_command import answered, saved
from tests.conftest import configure

SURE = ("color", "pattern", "texture")
TEMPERATURE = 2.0  # of the labeller made by hand: its confidences are right once its logits are halved


def make_run(root: Path, schema, images: int = 1500, guessing: tuple[str, ...] = ()) -> pd.DataFrame:
    """A run whose labeller is too sure by a known factor, or guesses; returns what is true of each image."""
    rng = np.random.default_rng(11)
    folder = np.array(["denim", "knit", "velvet"])[np.arange(images) % 3]
    ids = [f"{f}/{k:04d}.jpg" for k, f in enumerate(folder)]
    split = np.where(np.arange(images) % 3 == 0, "train", "test")
    manifest = pd.DataFrame({"image_id": ids, "path": [f"/x/{i}" for i in ids], "folder": folder})
    manifest["split"] = rng.permutation(split)
    truth, cosines = manifest[["image_id"]].copy(), pd.DataFrame(index=manifest.index)
    for a in schema:
        true = rng.integers(0, len(a), images)
        truth[a.name] = np.array(a.classes)[true]
        z = rng.gumbel(size=(images, len(a)))
        # What is true is drawn with the probabilities that the halved logits give.
        strength = rng.uniform(0, 12, images)
        z += strength[:, None] * np.eye(len(a))[rng.integers(0, len(a), images)]
        if a.name not in guessing:
            p = np.exp(z - z.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            drawn = (rng.random(images)[:, None] > p.cumsum(1)).sum(1)
            truth[a.name] = np.array(a.classes)[np.minimum(drawn, len(a) - 1)]
        for k, label in enumerate(a.classes):
            cosines[f"{a.name}:{label}"] = TEMPERATURE * z[:, k] / 100
    silver = silver_table(cosines, schema, folder)
    root.mkdir(parents=True)
    manifest.to_parquet(root / "manifest.parquet", index=False)
    for name, table in (("silver", silver), ("cosines", cosines)):
        table.insert(0, "image_id", ids)
        table.to_parquet(root / f"{name}.parquet", index=False)
    settings = {"schema": "textilenet", "material_map": "paper", "seed": 42, "evaluation.bootstrap": 40}
    settings["labelling.temperature"] = 100.0
    (root / "config.json").write_text(json.dumps({"settings": settings}))
    return truth


def judged(run: Path, truth: pd.DataFrame, schema, out: Path, n: int = 600) -> Path:
    """Draw a sample and answer it with the truth."""
    assert main(["audit", "draw", "--run-dir", str(run), "--n", str(n), "--repeats", "0"]) == 0
    sample = read_sample(run / "audit")
    true = truth.set_index("image_id").loc[sample["image_id"]].set_index(sample["item"])
    answers = {name: true[name].to_dict() for name in schema.names}
    return saved(answered(sample, schema, "Anna", **answers), out / "answers-Anna.csv")


def imported(run: Path, path: Path, *more: str) -> int:
    return main(["audit", "import", str(path), "--run-dir", str(run), *more])


def fewer_replicates(run: Path) -> None:
    """Thresholds take no replicates; the tables beside them, which take most of the time, get by with a few."""
    config = json.loads((run / "config.json").read_text())
    config["settings"]["evaluation.bootstrap"] = 3
    (run / "config.json").write_text(json.dumps(config))


@pytest.fixture(scope="module")
def certified_run(tmp_path_factory):
    """A run whose pattern is guessed and the rest is not, with its answers taken in."""
    from swatchbook.schema import Schema

    home, schema = tmp_path_factory.mktemp("certified"), Schema.load()
    truth = make_run(home / "run", schema, guessing=("pattern",))
    path = judged(home / "run", truth, schema, home)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert imported(home / "run", path) == 0
    return home / "run", truth, path, printed.getvalue().splitlines()


def table(run: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(run / "audit" / f"{name}.csv", keep_default_na=False, na_values=[""])


def test_thresholds_are_those_that_could_be_certified(certified_run, schema):
    run, truth, *_ = certified_run
    made = table(run, "thresholds")
    assert tuple(made) == COLUMNS and made["attribute"].tolist() == ["color", "texture"]
    assert set(made["alpha"]) == {0.1} and set(made["delta"]) == {0.05}
    thresholds = read_thresholds(run / "audit" / "thresholds.csv", SURE)
    cosines = pd.read_parquet(run / "cosines.parquet").drop(columns="image_id")
    kept = silver_table(cosines, schema, thresholds=thresholds)
    test = (pd.read_parquet(run / "manifest.parquet")["split"] == "test").to_numpy()
    for row in made.itertuples():
        given = kept[row.attribute].notna().to_numpy() & test
        assert row.n == test.sum() and row.kept == pytest.approx(given.sum() / row.n, abs=1e-9)
        assert row.low == row.high == row.kept and 0.3 <= row.kept < 0.9
        assert (kept[row.attribute] != truth[row.attribute]).to_numpy()[given].mean() <= 0.1


def test_the_tables_of_the_estimators_are_written_whole(certified_run):
    run, *_ = certified_run
    made = table(run, "certified")
    assert list(made) == certification.COLUMNS and list(dict.fromkeys(made["attribute"])) == list(SURE)
    pattern = made[made["attribute"] == "pattern"]
    assert (pattern["interval"].str.contains(certification.UNCERTIFIED)).all() and len(pattern) == 2
    thresholds = made[(made["statistic"] == "threshold") & made["value"].notna()]
    assert thresholds["value"].to_numpy() == pytest.approx(table(run, "thresholds")["threshold"].to_numpy())


def test_calibration_finds_the_labellers_own_factor(certified_run):
    run, *_ = certified_run
    made = table(run, "calibration")
    assert list(made) == temperature.COLUMNS and set(made["attribute"]) == set(SURE)
    of = made[made["class"] == "all"].set_index(["attribute", "calibration", "statistic"])
    for name in ("color", "texture"):
        fitted = of.loc[(name, "temperature and bias", "temperature")]
        assert fitted["low"] <= TEMPERATURE <= fitted["high"] and fitted["high"] < 3
        change = of.loc[(name, "temperature", "ece_change")]
        assert change["high"] < 0 and "cross-fitted" in change["interval"]


def test_sentences_say_what_was_certified_and_how_to_use_it(certified_run):
    run, _, _, output = certified_run
    sentences = certification.statements(table(run, "certified"))
    assert set(sentences.values()) <= set(output)
    assert "of color labels are kept, at most 10% wrong (95%)" in sentences["color"]
    assert sentences["pattern"].startswith("No threshold keeps pattern labels with at most 10% wrong")
    path = run / "audit" / "thresholds.csv"
    assert f"{path}: color, texture; train by it with --set thresholds={path}" in output


def test_a_stricter_promise_keeps_fewer_labels(certified_run, tmp_path):
    run, _, path, _ = certified_run
    loose = table(run, "thresholds").set_index("attribute")["kept"]
    again = tmp_path / "run"
    shutil.copytree(run, again)
    fewer_replicates(again)
    assert imported(again, path, "--alpha", "0.3", "--delta", "0.2") == 0
    made = table(again, "thresholds").set_index("attribute")
    assert (made.loc[loose.index, "kept"] > loose).all() and set(made["delta"]) == {0.2}


def test_where_nothing_is_certified_one_line_says_so_and_the_table_is_there(tmp_path, schema, capsys):
    truth = make_run(tmp_path / "run", schema, images=300, guessing=SURE)
    path = judged(tmp_path / "run", truth, schema, tmp_path, n=60)
    fewer_replicates(tmp_path / "run")
    capsys.readouterr()
    assert imported(tmp_path / "run", path) == 0
    output = capsys.readouterr().out
    assert output.count("threshold") == 2  # the file's name and what it does not hold, in one line
    assert "no thresholds, because no attribute's labels can be promised to be at most 10% wrong" in output
    made = tmp_path / "run" / "audit" / "thresholds.csv"
    assert made.read_text() == ",".join(COLUMNS) + "\n"
    assert len(table(tmp_path / "run", "certified")) == 6
    with pytest.raises(DataError, match=r"thresholds.csv has a header and no rows"):
        read_thresholds(made, SURE)


def test_without_cosines_only_labels_that_were_given_count(tmp_path, schema, capsys):
    """What the labeller would have said where it abstained is not known then."""
    truth = make_run(tmp_path / "run", schema)
    run = tmp_path / "run"
    (run / "cosines.parquet").unlink()
    silver = pd.read_parquet(run / "silver.parquet")
    unsure = silver["color_confidence"] < 0.6
    silver["color"] = silver["color"].where(~unsure, None)
    silver.to_parquet(run / "silver.parquet", index=False)
    assert imported(run, judged(run, truth, schema, tmp_path)) == 0
    assert "The run keeps no cosines, so shares are of the labels that it gave." in capsys.readouterr().out
    test = (pd.read_parquet(run / "manifest.parquet")["split"] == "test").to_numpy()
    row = table(run, "thresholds").set_index("attribute").loc["color"]
    assert row["n"] == (test & silver["color"].notna()).sum() < test.sum() and row["threshold"] >= 0.6
    assert not (run / "audit" / "calibration.csv").exists()


def test_labels_without_confidences_buy_nothing(tmp_path, schema, capsys):
    truth = make_run(tmp_path / "run", schema, images=120)
    run = tmp_path / "run"
    silver = pd.read_parquet(run / "silver.parquet")
    silver[[f"{name}_confidence" for name in schema.names]] = np.nan
    silver.to_parquet(run / "silver.parquet", index=False)
    (run / "cosines.parquet").unlink()
    assert imported(run, judged(run, truth, schema, tmp_path, n=30)) == 0
    assert "the labels have no confidences, so there are no thresholds" in capsys.readouterr().out
    assert not (run / "audit" / "thresholds.csv").exists() and (run / "audit" / "scores.csv").exists()


@pytest.mark.parametrize("option", ["--alpha", "--delta"])
@pytest.mark.parametrize("given", ["0", "1", "-0.1", "nan", "ten"])
def test_a_promise_out_of_range_is_a_wrong_command_line(option, given, capsys):
    with pytest.raises(SystemExit) as done:
        main(["audit", "import", "a.csv", f"{option}={given}"])
    assert done.value.code == 2
    assert f"argument {option}: {given!r}; a number between 0 and 1 is needed" in capsys.readouterr().err


# ---- the setting ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("attribute,threshold\ncolour,0.5\n", "line 2: attribute 'colour'; allowed: color, pattern, texture"),
        ("attribute,threshold\nmaterial,0.5\n", "line 2: attribute 'material'; allowed: color, "),
        ("attribute,threshold\ncolor,0.5\ncolor,0.6\n", "line 3: attribute 'color'; allowed: each "),
        ("attribute,threshold\ncolor,1.01\n", "line 2: threshold '1.01'; allowed: a number from 0 to 1"),
        ("attribute,threshold\ncolor,-0.1\n", "line 2: threshold '-0.1'; allowed: a number from 0 to 1"),
        ("attribute,threshold\ncolor,nan\n", "line 2: threshold 'nan'; allowed: a number from 0 to 1"),
        ('attribute,threshold\ncolor,"0,5"\n', "line 2: threshold '0,5'; allowed: a number from 0 to 1"),
        ("attribute,threshold\ncolor,\n", "line 2: threshold ''; allowed: a number from 0 to 1"),
        ("attribute,threshold,treshold\ncolor,0.5,1\n", "an unknown column 'treshold'; allowed: attribute"),
        ("attribute\ncolor\n", "has no column threshold"),
        ("attribute;threshold\ncolor;0.5\n", "is not separated by commas"),
        ("attribute,threshold\ncolor,0.5", "does not end in a line break"),
        ("", "is empty"),
    ],
)
def test_a_damaged_file_of_thresholds_is_refused(text, message, tmp_path):
    path = tmp_path / "thresholds.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as raised:
        read_thresholds(path, SURE)
    assert message in str(raised.value)


def test_thresholds_are_read_to_the_last_digit(tmp_path):
    path = tmp_path / "thresholds.csv"
    path.write_text("attribute,threshold\ncolor,0.12345678901234566\npattern,1\ntexture,2.5e-3\n")
    assert read_thresholds(path, SURE) == {"color": 0.12345678901234566, "pattern": 1.0, "texture": 0.0025}


def test_thresholds_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(DataError, match="is no file; allowed: a CSV file with attribute, threshold"):
        read_thresholds(tmp_path / "none.csv", SURE)


def test_the_setting_is_an_absolute_path_and_only_where_labels_are_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert configure("demo").labelling.thresholds is None
    for profile in ("demo", "paper", "best", "folder"):
        config = configure(profile, {"thresholds": "here/t.csv"})
        assert config.labelling.thresholds == str(tmp_path / "here" / "t.csv")
    for profile, reason in (
        ("published", "nothing is labelled"),
        ("labeller", "with its schema's thresholds"),
    ):
        with pytest.raises(ConfigError, match=reason):
            configure(profile, {"thresholds": "t.csv"})


# ---- a run by thresholds -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A tiny labeller and a tiny run, trained; see test_making."""
    pytest.importorskip("torch", reason="making labels and models needs the extra 'models'")
    import torch

    from swatchbook.drawn import files
    from tests.studies import test_demo as demo

    home, threads = tmp_path_factory.mktemp("small"), torch.get_num_threads()
    shutil.copy(demo.ROOT / "src" / "swatchbook" / "schemas" / "textilenet.yaml", home / "schema.yaml")
    labeller = demo.tiny_labeller(home / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "cores", lambda: 1)
        patch.setattr(torch.cuda, "is_available", lambda: False)
        torch.set_num_threads(1)
        demo.rerun(home / "run", labeller)
        yield demo, home / "run", labeller
    torch.set_num_threads(threads)


def thresholds_file(path: Path, **thresholds: float) -> str:
    lines = [f"{name},{value!r}\n" for name, value in thresholds.items()]
    path.write_text("".join(["attribute,threshold\n", *lines]))
    return str(path)


def test_a_run_by_thresholds_has_their_coverage_and_trains_on_it(small, tmp_path):
    demo, run, labeller = small
    before = pd.read_parquet(run / "silver.parquet")
    middle = float(before["texture_confidence"].median())
    given = {"thresholds": thresholds_file(tmp_path / "t.csv", texture=middle, color=0.0)}
    old = {p.name: p.read_bytes() for p in (run / "predictions").iterdir()}
    redone = ["silver labels", *demo.TRAININGS]
    assert demo.names(demo.rerun(run, labeller, **given)) == redone
    after = pd.read_parquet(run / "silver.parquet")
    assert after["color"].notna().all()
    assert (after["texture"].notna() == (before["texture_confidence"] >= middle)).all()
    assert after["pattern"].equals(before["pattern"])  # not in the file: the schema's threshold holds
    coverage = pd.read_csv(run / "tables" / "coverage.csv").query("metric == 'coverage'")
    share = (before["texture_confidence"] >= middle).mean()
    assert coverage.set_index("attribute").loc["texture", "value"] == pytest.approx(share, abs=1e-9)
    assert not any((run / "predictions" / name).read_bytes() == content for name, content in old.items())
    # The same content elsewhere is the same; other content is not; and without it the schema's hold again.
    moved = thresholds_file(tmp_path / "moved.csv", texture=middle, color=0.0)
    assert demo.rerun(run, labeller, thresholds=moved) == []
    thresholds_file(tmp_path / "moved.csv", texture=1.0)
    (first, *others) = demo.rerun(run, labeller, thresholds=moved, upto="silver labels")
    assert first.startswith("silver labels") and "outside the run changed" in first and not others
    assert pd.read_parquet(run / "silver.parquet")["texture"].isna().all()
    assert demo.names(demo.rerun(run, labeller)) == redone
    pd.testing.assert_frame_equal(pd.read_parquet(run / "silver.parquet"), before)


def test_a_wrong_file_of_thresholds_changes_nothing(small, tmp_path):
    demo, run, labeller = small
    before = (run / "silver.parquet").read_bytes()
    wrong = thresholds_file(tmp_path / "t.csv", material=0.5)
    with pytest.raises(DataError, match="'material'; allowed: color, pattern, texture"):
        demo.rerun(run, labeller, thresholds=wrong)
    with pytest.raises(DataError, match="is no file"):
        demo.rerun(run, labeller, thresholds=str(tmp_path / "none.csv"))
    assert (run / "silver.parquet").read_bytes() == before
    assert demo.rerun(run, labeller) == []


def test_a_folder_of_photographs_is_labelled_by_thresholds_of_any_attribute(small, tmp_path):
    from swatchbook.studies.study import Study

    demo, run, labeller = small
    settings = {k: v for k, v in demo.SETTINGS.items() if not k.startswith(("drawn", "subset"))}
    settings |= {"source": str(run / "images"), "labeller": f"local-dir:{labeller}"}
    settings["thresholds"] = thresholds_file(tmp_path / "t.csv", material=1.0, color=0.0)
    study = Study.open("folder", tmp_path / "folder", log=lambda line: None, **settings)
    assert study.silver["material"].isna().all() and study.silver["color"].notna().all()
