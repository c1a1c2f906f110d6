"""The benchmarks: they run and write what they promise; no time and no ratio is judged here."""

import dataclasses
import importlib.util
import json
import os
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import stats
from scipy.io import savemat

from swatchbook.data.images import examine, find
from tests.conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))  # as for a script in that folder

import costs
import drawn_images
import growth
import labeller_ablation
import labeller_outside
import same_accuracy
import scaling
import search
import soak
import throughput
import turns
from turns import Contestant, NotHereError, Outcome, in_turn

from tests.contestants import absent, counting, failing

TINY = ["--drawn", "2", "--size", "64"]


@pytest.fixture
def in_one_process(monkeypatch):
    """Contestants called here, one after the other, which spares each its own import of torch."""
    for name in ("CUDA_VISIBLE_DEVICES", "TQDM_DISABLE", "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, os.environ.get(name, ""))

    class Turns:
        def __init__(self, rounds):
            self.left, self.found = rounds, []

        def wait(self):
            if not self.left:
                raise turns.OverError
            self.left -= 1

        def tell(self, **found):
            self.found.append({**found, "peak_mib": turns.peak_mib()})

    def play(who, rounds, log, uncounted=0):
        outcomes = []
        for contestant in who:
            here, note = Turns(rounds + uncounted), ""
            try:
                contestant.work(here, **contestant.settings)
            except turns.OverError:
                pass
            except NotHereError as reason:
                note = str(reason)
            outcomes.append(Outcome(here.found[uncounted:], note))
        return outcomes

    monkeypatch.setattr(throughput, "in_turn", play)
    monkeypatch.setattr(scaling, "in_turn", play)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def is_figure(path):
    with Image.open(path) as opened:
        opened.load()
        return (
            opened.format == "PNG"
            and opened.width == 2000
            and len(np.unique(np.asarray(opened.convert("L")))) > 10
        )


def test_throughput_measures_all_and_writes_json_and_figure(tmp_path, in_one_process, capsys):
    out = tmp_path / "t.json"
    throughput.main(
        ["--device", "cpu", "--out", str(out), "--images", "16", "--batch", "8", "--repeats", "2",
         "--warmup", "1", "--workers", "0", "--threads", "1", *TINY]
    )  # fmt: skip
    result = json.loads(out.read_text())
    found = {(entry["part"].split()[0].strip(","), entry["name"]): entry for entry in result["results"]}
    trainer = found.pop(("training", "HF Trainer, 0 workers"))
    assert (trainer["note"] == "not installed: accelerate") == (
        importlib.util.find_spec("accelerate") is None
    )
    assert (trainer["images_per_s"] is None) == bool(trainer["note"])
    assert set(found) == {
        ("training", "ready tensors"),
        ("training", "Swatchbook"),
        ("training", "Swatchbook, decoding in 8 epochs"),
        ("training", "decoding once"),
        ("training", "DataLoader, 0 workers"),
        ("training", "timm loader, 0 workers"),
        ("labelling", "ready tensors"),
        ("labelling", "Swatchbook"),
        ("labelling", "Swatchbook, by torch"),
        ("labelling", "Swatchbook, without loading"),
        ("labelling", "DataLoader, 0 workers"),
    }
    for entry in found.values():
        rate = entry["images_per_s"]
        assert len(entry["rounds"]) == 2 and 0 < rate["low"] <= rate["median"] <= rate["high"]
        assert ("ratio" in entry) == (entry["name"] not in ("ready tensors", "decoding once"))
    assert result["settings"]["steps_timed"] == 2 and result["machine"]["cores_allowed"] >= 1
    assert is_figure(out.with_suffix(".png"))
    message = capsys.readouterr().out
    assert "DataLoader, 0 workers" in message and "of ready tensors" in message


def test_scaling_measures_all_and_writes_json_and_figure(tmp_path, in_one_process, capsys):
    out = tmp_path / "s.json"
    scaling.main(
        ["--out", str(out), "--images", "16", "48", "--tables", "500", "4000", "--classes", "2", "8",
         "--rounds", "2", *TINY]
    )  # fmt: skip
    result = json.loads(out.read_text())
    found = {(entry["work"], entry["over"]): entry for entry in result["results"]}
    assert set(found) == {
        ("label", "images"), ("predict", "images"), ("score table", "images"),
        ("label", "classes"), ("score table", "classes"),
    }  # fmt: skip
    for (_, over), entry in found.items():
        assert len(entry["turns"]) == 4 and all(turn["start"] > 0 for turn in entry["turns"])
        assert (entry["growth"] is not None) == (over == "images")
    assert is_figure(out.with_suffix(".png"))
    assert "slope of time" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("main", "given", "named"),
    [
        (throughput.main, ["--device", "cpu", "--out", "x.txt"], ".json"),
        (throughput.main, ["--device", "cpu", "--out", "x.json", "--repeats", "0"], "--repeats 0"),
        (throughput.main, ["--device", "cpu", "--out", "x.json", "--workers", "-1"], "--workers -1"),
        (scaling.main, ["--out", "x.json", "--images", "100"], "--images [100]"),
        (scaling.main, ["--out", "x.json", "--classes", "1", "3"], "--classes [1, 3]"),
    ],
)
def test_what_cannot_be_measured_is_refused(main, given, named, capsys):
    with pytest.raises(SystemExit):
        main(given)
    assert named in capsys.readouterr().err


def test_search_measures_all_and_writes_rows_in_the_place_of_older_ones(
    tmp_path, in_one_process, monkeypatch, capsys
):
    monkeypatch.setattr(search, "in_turn", throughput.in_turn)
    out = tmp_path / "s.csv"
    ways = ["index, exact", "index, graphs", "one array in memory, exact"]
    sizes = ["--vectors", "300", "2000", "--queries", "5", "--ways", *ways]
    search.main(["--out", str(out), *sizes, "--images", "8", "--rounds", "2", *TINY])
    table = pd.read_csv(out)
    recall = table[table["metric"] == "recall at 10"].set_index(["what", "size"])["value"]
    exact = recall[recall.index.get_level_values(0) != "index, graphs"]
    assert (
        len(recall) == (6 if importlib.util.find_spec("usearch") else 4)
        and (exact >= 0.98).all()
        and (recall > 0.8).all()
    )
    assert set(table["part"]) == {"index", "answer"} and table["command"].str.startswith("python").all()
    rates = table[table["metric"] == "images per second"].set_index("what")
    assert set(rates.index) == {"label", "index"} and (rates["low"] <= rates["high"]).all()
    weight = table[(table["metric"] == "bytes per vector") & (table["what"] == "index, exact")]
    assert weight["value"].between(256, 320).all()
    search.main(["--out", str(out), "--images", "0", "--vectors", "300", "--queries", "3", "--ways", ways[0]])
    again = pd.read_csv(out)
    assert len(again) == len(table)
    assert set(again[again["n"] == 3]["what"]) == {"index, exact"}
    assert "milliseconds to answer" in capsys.readouterr().out


# ---- turns ------------------------------------------------------------------------------------------


def test_contestants_take_turns_in_processes_of_their_own(tmp_path):
    order = tmp_path / "order"
    who = [
        Contestant("a", counting, {"start": 10, "path": order}),
        Contestant("b", absent),
        Contestant("c", counting, {"start": 20, "path": order}),
    ]
    a, b, c = in_turn(who, 3, lambda _: None)
    assert [turn["value"] for turn in a.found] == [10, 11, 12]
    assert [turn["value"] for turn in c.found] == [20, 21, 22]
    assert all(turn["peak_mib"] > 1 for turn in a.found)
    assert b.found == [] and b.note == "not installed: something"
    assert order.read_text().split() == ["10", "20", "20", "10", "10", "20"]


def test_a_round_that_does_not_count_is_not_kept(tmp_path):
    who = [Contestant("a", counting, {"start": 10, "path": tmp_path / "order"})]
    (a,) = in_turn(who, 2, lambda _: None, uncounted=1)
    assert [turn["value"] for turn in a.found] == [11, 12]


def test_a_contestant_that_fails_is_named():
    with pytest.raises(RuntimeError, match=r"(?s)the bad one failed:.*by nothing"):
        in_turn([Contestant("the bad one", failing)], 1, lambda _: None)


def test_ratios_are_of_the_same_round_and_decoding_is_spread_over_the_epochs():
    def outcome(*rates):
        return Outcome([{"images": 100, "seconds": 100 / rate, "peak_mib": 5.0} for rate in rates])

    entries = throughput.compared(
        "training x",
        {
            "ready tensors": outcome(100, 50, 80),
            "Swatchbook": outcome(90, 50, 60),
            "decoding once": outcome(30, 50, 20),
        },
        epochs=3,
    )
    found = {entry["name"]: entry for entry in entries}
    assert found["Swatchbook"]["ratio"] == pytest.approx({"median": 0.9, "low": 0.75, "high": 1.0})
    spread = found["Swatchbook, decoding in 3 epochs"]
    # 1/(1/90 + 1/90), 1/(1/50 + 1/150), 1/(1/60 + 1/60)
    assert spread["rounds"] == [45.0, 37.5, 30.0]
    assert spread["images_per_s"]["median"] == pytest.approx(37.5)


# ---- growth -----------------------------------------------------------------------------------------


def test_exponent_is_found_whatever_the_speed_of_a_round():
    sizes = np.array([10, 100, 1000] * 2)
    rounds = np.repeat([0, 1], 3)
    found = growth.exponent(sizes, np.where(rounds, 7.0, 2.0) * sizes**1.5, rounds)
    assert found["df"] == 3
    assert (found["value"], found["low"], found["high"]) == pytest.approx((1.5, 1.5, 1.5))


def test_slope_of_one_round_is_the_ordinary_one(rng):
    x, y = rng.normal(size=12), rng.normal(size=12)
    found, known = growth.slope(x, y, np.zeros(12)), stats.linregress(x, y)
    half = stats.t.ppf(0.975, 10) * known.stderr
    assert found["value"] == pytest.approx(known.slope)
    assert (found["low"], found["high"]) == pytest.approx((known.slope - half, known.slope + half))


def test_too_little_gives_no_slope():
    assert growth.slope([1, 2], [3, 4], [0, 0]) is None
    assert growth.slope([1, 1, 1], [3, 4, 5], [0, 0, 0]) is None
    assert growth.exponent([1, 2, 4], [0.0, -1.0, 3.0], [0, 0, 0]) is None


# ---- costs ------------------------------------------------------------------------------------------


def test_costs_by_hand():
    machine = {"devices": 2, "cores": 10, "efficiency": 0.5}
    read = costs.label_cost(7_200_000, rate=1000, reading=100, machine=machine)
    assert (read.hours, read.device_hours, read.limit) == pytest.approx((2.0, 4.0, "reading"))
    model = costs.label_cost(7_200_000, rate=250, reading=100, machine=machine)
    assert (model.hours, model.limit) == (pytest.approx(4.0), "model")
    alone = costs.label_cost(7_200_000, rate=1000, reading=100, machine={**machine, "cores": None})
    assert (alone.hours, alone.limit) == (pytest.approx(1.0), "model")
    known = {
        "dimensions": 100, "path_and_labels": 50, "block": 200_000, "graph_bytes": 400, "graph_rate": 500,
        "exact": 1e-6, "graph": 1e-3,
    }  # fmt: skip
    # Blocks of 1,000 images: two full ones and 300 more; half as many rows a block at twice the dimensions.
    assert costs.index_cost(2300, 100, known) == pytest.approx(
        {"table": 2300 * 250, "graphs": 800_000, "build": 4 / 3600, "exact": 2.3e-3, "answer": 2.3e-3}
    )
    assert costs.index_cost(1600, 200, known) == pytest.approx(
        {"table": 1600 * 450, "graphs": 1500 * 800, "build": 6 / 3600, "exact": 3.2e-3, "answer": 6.2e-3}
    )
    # 3.6 M decoded at 10 × 100/s: 1 h; 5 × .8 × 3.6 M at 2 × .5 × 400/s: 10 h.
    trained = costs.training_cost(3_600_000, 5, 400, 100, 0.8, machine)
    assert (trained.hours, trained.device_hours, trained.limit) == (
        pytest.approx(11.0), pytest.approx(22.0), "model",
    )  # fmt: skip


def test_page_holds_what_the_rates_give():
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert costs.with_tables(page, costs.read()) == page, (
        "run: python benchmarks/costs.py --page docs/scale.md"
    )
    printed = costs.read()
    printed["rates"][0]["rate"] += 100
    assert costs.with_tables(page, printed) != page


def test_every_estimate_is_marked_on_the_page():
    printed = costs.read()
    assert all(rate["source"] and isinstance(rate["measured"], bool) for rate in printed["rates"])
    lines = costs.tables(printed).splitlines()
    unmeasured = [line for line in lines if "T4" in line or "64 H200" in line]
    assert len(unmeasured) >= 12 and all("an estimate" in line for line in unmeasured)
    assert any("| one H200 | DINOv2 ViT-B/14 |" in line and "measured" in line for line in lines)


def test_a_page_without_marks_is_refused():
    with pytest.raises(ValueError, match="begin"):
        costs.with_tables("text", costs.read())
    with pytest.raises(ValueError, match="end"):
        costs.with_tables(f"text {costs.BEGIN}", costs.read())


def test_two_paths_agree_within_the_spread_of_the_seeds_and_not_beyond():
    def found(*plain):
        ways = {"Swatchbook": (0.40, 0.42, 0.44), "plain": plain}
        rows = [(way, score) for way, scores in ways.items() for score in scores]
        return same_accuracy.verdict(pd.DataFrame(rows, columns=["way", "macro_f1"]))

    assert found(0.43, 0.45, 0.47).endswith("means 0.0300 apart, seeds of one way up to 0.0400: they agree")
    assert found(0.47, 0.48, 0.49).endswith("means 0.0600 apart, seeds of one way up to 0.0400: they DIFFER")


def test_same_accuracy_trains_both_ways_and_writes_their_scores(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    out = tmp_path / "same.json"
    tiny = ["--learn", "64", "--judge", "16", "--epochs", "2", "--workers", "0", "--seeds", "1"]
    same_accuracy.main(["--out", str(out), *tiny])
    rows = json.loads(out.read_text())["results"]
    assert [(row["seed"], row["way"]) for row in rows] == [(1, "Swatchbook"), (1, "plain")]
    heads = ("material", "color", "pattern", "texture")
    for row in rows:
        assert row["macro_f1"] == pytest.approx(np.nanmean([row[f"macro_f1_{head}"] for head in heads]))
        assert 0 < row["macro_f1"] < 1
    assert "means" in capsys.readouterr().out


def test_drawn_images_says_a_rate_of_both_worlds(capsys, monkeypatch):
    monkeypatch.setattr("swatchbook.drawn.files.cores", lambda: 1)
    drawn_images.main(["--images", "3", "--size", "64", "--rounds", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["TextileNet", "garments"]
    assert all("images/s of processor time" in line and "by the clock" in line for line in lines)


def test_every_harm_of_the_soak_makes_a_file_that_is_listed_with_a_reason_of_its_own(tmp_path):
    broken = soak.write_photographs(tmp_path / "photographs", 24, 0.5)
    sound, quarantine = examine(find(tmp_path / "photographs"), limit=1)
    assert (len(sound), len(quarantine), broken) == (12, 12, len(soak.HARMS))
    assert quarantine["reason"].str.replace(r"[\d,]+", "", regex=True).nunique() >= 8


def test_a_soak_finds_bytes_that_differ_and_commands_that_fail(tmp_path, monkeypatch):
    def job(code: str) -> soak.Job:
        made = soak.Job("toy", [], tmp_path / "out", lambda: (tmp_path / "out").mkdir(exist_ok=True))
        script = [sys.executable, "-c", code, str(tmp_path / "out" / "x")]
        monkeypatch.setattr(soak.subprocess, "Popen", lambda _, **more: popen(script, **more))
        return made

    popen = soak.subprocess.Popen
    monkeypatch.setattr(soak, "jobs_in", lambda *_: [job("import sys; open(sys.argv[1], 'w').write('same')")])
    counts = soak.soak(tmp_path, 0.001, 1, seed=0)
    assert counts["toy: rounds"] == counts["toy: files compared"] >= 1
    random = "import os, sys; open(sys.argv[1], 'wb').write(os.urandom(9))"
    monkeypatch.setattr(soak, "jobs_in", lambda *_: [job(random)])
    with pytest.raises(RuntimeError, match="toy: other bytes in x"):
        soak.soak(tmp_path, 0.001, 1, seed=0)
    monkeypatch.setattr(soak, "jobs_in", lambda *_: [job("raise SystemExit('no luck')")])
    with pytest.raises(RuntimeError, match="toy failed: no luck"):
        soak.soak(tmp_path, 0.001, 1, seed=0)


@pytest.fixture
def collections(tmp_path, rng):
    """Twelve pictures in the layout of each outside collection."""

    def picture(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (48, 32, 3), dtype=np.uint8)).save(path)

    folders = {name: tmp_path / name for name in ("dresses", "stanford", "products")}
    for k in range(12):
        picture(folders["dresses"] / "image" / f"{k}.jpg")
        picture(folders["stanford"] / "images" / f"{k + 1:06d}.jpg")
        picture(folders["products"] / "images" / f"{k}.jpg")
    lines = [
        f"{k} {(0, 1, 16)[k % 3]}" for k in range(12)
    ]  # plain, floral, and a pattern of no class of ours
    (folders["dresses"] / "valid.txt").write_text("\n".join(lines), encoding="utf-8")
    labels = folders["stanford"] / "labels"
    labels.mkdir()
    given = {
        "black": [2, 1, 2] * 4,
        "cyan": [1, 2, 1] * 4,
        "red": [1, 1, 2] * 4,
        "pattern_solid": [2, np.nan, 1] * 4,
    }
    for classes in labeller_outside.STANFORD.values():
        for name in classes:
            column = np.array(given.get(name, [1] * 12), dtype=float)[:, None]
            savemat(labels / f"{name}_GT.mat", {"GT": column})
    rows = [
        f"{k},{('Apparel', 'Footwear', 'Accessories')[k % 3]},{('Navy Blue', 'Teal')[k % 2]}"
        for k in range(12)
    ]
    styles = "\n".join(["id,masterCategory,baseColour", *rows])
    (folders["products"] / "styles.csv").write_text(styles, encoding="utf-8")
    return folders


def test_outside_collections_are_read_as_they_are_written(collections):
    read = {name: getattr(labeller_outside, name)(folder) for name, folder in collections.items()}
    assert read["dresses"]["pattern"].tolist() == ["solid", "floral"] * 4
    # One colour of ours, or none: cyan is no class, and black with red are two.
    assert read["stanford"]["color"].fillna("none").tolist() == ["black", "none", "none"] * 4
    assert read["stanford"]["pattern"].fillna("none").tolist() == ["solid", "none", "none"] * 4
    assert (
        set(read["products"]["color"]) == {"navy"} and len(read["products"]) == 4
    )  # worn, of a colour of ours


def test_labellers_are_scored_on_outside_collections(collections, tmp_path):
    out = tmp_path / "outside.csv"
    given = [part for name, folder in collections.items() for part in (f"--{name}", str(folder))]
    labeller_outside.main([*given, "--labellers", "drawn-only", "--out", str(out)])
    table = pd.read_csv(out)
    whole = table[(table["class"] == "all") & (table["metric"] == "accuracy")].set_index(
        ["set", "labeller", "attribute"]
    )
    assert set(whole.index) == {
        ("dresses", "drawn-only", "pattern"),
        ("stanford", "drawn-only", "color"),
        ("stanford", "drawn-only", "pattern"),
        ("stanford", "nearest colour", "color"),
        ("products", "drawn-only", "color"),
        ("products", "nearest colour", "color"),
    }
    assert whole["n"].tolist() == [8, 4, 4, 4, 4, 4] and whole["value"].between(0, 1).all()


def test_ablation_trains_each_variant_once_with_each_seed(tmp_path, monkeypatch):
    """Two variants of two drawings and photographs that were made up, scored by stand-ins for the real sets."""
    trained, real = [], labeller_ablation.train

    def train(variant, seed, source, work, seen):
        trained.append((variant, seed))
        return real(variant, seed, source, work, seen)

    def images(work, design, seed, source):
        labels = pd.DataFrame(
            {
                "folder": "denim",
                "color": ["blue", "navy"] * 4,
                "pattern": "solid",
                "texture": "smooth",
                "material": None,
            }
        ).assign(photograph=[False, True] * 4)
        return np.random.default_rng(0).integers(0, 255, (8, 256, 256, 3), dtype=np.uint8), labels

    def scores(*_):
        return pd.DataFrame(
            {"attribute": "color", "class": "all", "prompts": "schema", "metric": ["accuracy", "ece"], "value": 0.5,
             "low": 0.4, "high": 0.6, "n": 9}
        )  # fmt: skip

    monkeypatch.setattr(labeller_ablation, "train", train)
    monkeypatch.setattr(labeller_ablation, "training_set", images)
    monkeypatch.setattr(labeller_ablation, "drawn_quality", scores)
    monkeypatch.setattr(labeller_ablation, "judged_quality", scores)
    monkeypatch.setattr(labeller_ablation, "RECIPE", dataclasses.replace(labeller_ablation.RECIPE, batch=4))
    out = tmp_path / "ablation.csv"
    given = [
        str(tmp_path),
        "--work",
        str(tmp_path / "work"),
        "--out",
        str(out),
        "--seen",
        "8",
        "--seeds",
        "1",
    ]
    given += ["--variants", "both, trunk frozen", "both, no garment map"]
    for _ in range(2):
        labeller_ablation.main(given)
    assert trained == [("both, trunk frozen", 1), ("both, no garment map", 1)]
    table = pd.read_csv(out)
    assert len(table) == 4 and set(table["metric"]) == {"accuracy"}
    assert table["photographs"].tolist() == ["judged", "drawn"] * 2
