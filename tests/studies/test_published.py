"""The published study end to end: what it printed comes out again, and a run survives what happens to runs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from swatchbook.pipeline.complete import narrative_stages
from swatchbook.studies.attributes.claims import claim_table
from swatchbook.studies.study import Study
from tests.browser import check_page
from tests.conftest import ROOT

QUICK = ("bootstrap=200", "permutations=199", "null_draws=100", "power_draws=40", "power_sizes=100,210")


def command(run_dir: Path, source: Path, *more: str, settings: tuple[str, ...] = QUICK) -> list[str]:
    options = [option for pair in settings for option in ("--set", pair)]
    program = [sys.executable, "-m", "swatchbook.cli.main", "run", "--profile", "published"]
    return [*program, "--source", str(source), "--run-dir", str(run_dir), *options, *more]


def swatchbook(run_dir: Path, source: Path, *more: str, **options: object) -> subprocess.CompletedProcess:
    run_dir.parent.mkdir(exist_ok=True)
    here = Path(os.path.relpath(source, run_dir.parent))  # as a person would type it
    call = command(run_dir, here, *more, **options)
    return subprocess.run(call, capture_output=True, text=True, timeout=300, check=False, cwd=run_dir.parent)


def computed(done: subprocess.CompletedProcess) -> list[str]:
    """Names of the stages that a run computed."""
    lines = [line.split(maxsplit=1)[1] for line in done.stderr.splitlines() if line.startswith("  computed")]
    return [line.rsplit(" in ", 1)[0] for line in lines]


def checkout() -> str:
    """What git sees of the checkout: nothing where it is no clone."""
    call = ["git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=all"]
    return subprocess.run(call, capture_output=True, text=True, check=False).stdout


def table_stages() -> list[str]:
    """The stages that make tables, in order."""
    return [
        stage.name
        for stage in Study.open("published", "/nowhere").stages
        if not stage.name.startswith("figure")
    ]


def tables(run_dir: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted((run_dir / "tables").glob("*.csv"))}


@pytest.fixture(scope="session")
def made_once(tmp_path_factory, published_dir) -> Path:
    """A whole run with few replicates, made by the first test process that asks and read by all."""
    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place
    folder, made = place / "published run", place / "published run is made"
    with FileLock(place / "published run.lock"):
        if not made.exists():
            before = checkout()
            done = swatchbook(folder, published_dir)
            assert done.returncode == 0, done.stderr
            assert checkout() == before  # a run leaves the clone as it is
            assert Path(done.stdout.strip()) == folder.resolve() / "report" / "index.html"
            made.touch()
    return folder


@pytest.fixture(scope="module")
def run_dir(made_once, tmp_path_factory) -> Path:
    """A copy of it, shared by the tests of this file."""
    return shutil.copytree(made_once, tmp_path_factory.mktemp("published") / "run")


def table(run_dir: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(run_dir / "tables" / f"{name}.csv", keep_default_na=False, na_values=[""])


def test_every_number_that_can_be_recomputed_is_reproduced_but_two(run_dir):
    numbers = table(run_dir, "numbers")
    differs = numbers[numbers["verdict"] == "differs"]
    assert set(zip(differs["table"], differs["statistic"], differs["printed"], strict=True)) == {
        ("comparison", "delta_macro_f1", "+13.2"),  # the difference of two rounded scores
        ("curation", "distinct_pairs", "17"),  # the exported list holds twenty
    }
    missing = numbers[numbers["verdict"] == "not in the exports"]
    # The labels of the training and validation images were not published.
    assert set(missing["statistic"]) == {"abstention_rate"} and set(missing["rows"]) == {"train", "val"}


@pytest.mark.parametrize(
    ("model", "metric", "head", "printed"),
    [
        *[
            ("dinov2", "macro_f1", *p)
            for p in (
                ("material", 0.744),
                ("color", 0.827),
                ("pattern", 0.737),
                ("texture", 0.753),
                ("mean", 0.765),
            )
        ],
        *[
            ("resnet50", "macro_f1", *p)
            for p in (
                ("material", 0.612),
                ("color", 0.738),
                ("pattern", 0.616),
                ("texture", 0.630),
                ("mean", 0.649),
            )
        ],
    ],
)
def test_scores_are_those_printed(run_dir, model, metric, head, printed):
    scores = table(run_dir, "scores")
    assert list(scores.columns[:9]) == [
        "model",
        "head",
        "class",
        "metric",
        "value",
        "low",
        "high",
        "n",
        "interval",
    ]
    row = scores.query("model == @model and metric == @metric and head == @head and `class` == 'all'").iloc[0]
    assert round(row["value"], 3) == printed == round(row["published"], 3)
    assert row["low"] < row["value"] < row["high"] < row["low"] + 0.05
    expected = {"material": 3760, "color": 3743, "pattern": 3527, "texture": 3487, "mean": 3760}
    assert row["n"] == expected[head] and row["reference"] == "silver"


def test_gaps_audit_and_coupling_are_those_printed(run_dir):
    gaps = table(run_dir, "comparison").query("statistic == 'delta_f1' and reference == 'silver'")
    assert len(gaps) == 29 and (gaps["value"] > 0).all()
    smallest, largest = gaps.loc[gaps["value"].idxmin()], gaps.loc[gaps["value"].idxmax()]
    assert (smallest["class"], round(100 * smallest["value"], 1)) == ("red", 3.4)
    assert (largest["class"], round(100 * largest["value"], 1)) == ("striped", 19.6)
    audit = table(run_dir, "audit").query(
        "statistic == 'macro_f1' and weighting == 'none' and `class` == 'all'"
    )
    audit = audit.set_index(["abstained", "attribute"])["value"].round(3)
    assert [audit["extra_class", a] for a in ("color", "pattern", "texture")] == [0.971, 0.803, 0.681]
    assert [audit["wrong", a] for a in ("color", "pattern", "texture")] == [0.971, 0.937, 0.817]
    pair = (
        table(run_dir, "coupling")
        .query("a == 'material' and b == 'texture'")
        .set_index(["model", "rows", "statistic"])
    )
    assert round(pair.loc[("reference", "identical", "v"), "value"], 3) == 0.318
    assert round(pair.loc[("dinov2", "all", "v"), "value"], 3) == 0.353
    assert pair.loc[("dinov2", "identical", "delta_v_corrected"), "verdict"] == "inconclusive"


def test_models_are_compared_by_what_each_judged_image_stands_for(run_dir):
    """Ten images of each fabric were judged, whether the split has 57 or 200 of it."""
    audit = pd.read_csv(run_dir / "audit.csv")
    right = [
        pd.read_parquet(run_dir / "predictions" / f"{model}.parquet")
        .set_index("image_id")
        .loc[audit["image_id"], "color"]
        .to_numpy()
        == audit["color"].to_numpy()
        for model in ("dinov2", "resnet50")
    ]
    ahead = np.average(right[0].astype(float) - right[1], weights=audit["weight"])
    found = table(run_dir, "comparison").query(
        "reference == 'audit' and head == 'color' and statistic == 'delta_accuracy'"
    )
    assert found["value"].tolist() == pytest.approx([ahead], abs=1e-9)


def test_each_claim_has_a_verdict_and_a_sentence_with_numbers(run_dir):
    claims = table(run_dir, "claims").set_index("claim")
    assert len(claims) == 11 and claims["sentence"].str.contains(r"\d").all()
    verdicts = {"holds", "does not hold", "unresolved", "holds in part"}
    assert set(claims["verdict"]) <= verdicts
    assert claims.loc["just_outside", "verdict"] == "unresolved"
    assert claims.loc["twenty_images", "verdict"] == "does not hold"
    assert (
        "0.937" in claims.loc["audit_classes", "sentence"]
        and "0.817" in claims.loc["audit_classes", "sentence"]
    )


def test_every_number_has_an_interval_or_says_why_not_and_an_n(run_dir):
    for name in ("scores", "audit", "truth", "coupling", "comparison"):
        frame = table(run_dir, name)
        assert {"value", "low", "high", "n"} <= set(frame.columns)
        assert frame["n"].notna().all(), name
        output = frame["interval"].fillna("") != ""
        bare = frame["value"].notna() & frame["low"].isna() & ~output
        statistics = "metric" if name == "scores" else "statistic"
        # Only p-values, rules and counts stand without an interval.
        assert frame.loc[bare, statistics].str.contains("_p$|_p_holm$|rule|margin|chi2|dof|p_value").all(), (
            name
        )


def test_the_report_opens_without_a_network_at_both_widths(run_dir):
    for width in (375, 1280):
        assert check_page(run_dir / "report" / "index.html", width) == []


def test_the_report_tells_every_claim_and_number(run_dir):
    page = (run_dir / "report" / "index.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "")
    for text in ("0.744", "0.827", "0.971", "0.318", "just outside", "inconclusive"):
        assert text in page
    findings = page.split('<ul class="findings">')[1].split("</ul>")[0]
    assert findings.count("<li>") == 5 and "human auditor" in findings


def test_executed_notebooks_are_kept_and_hold_no_error(run_dir):
    kept = sorted(p.name for p in (run_dir / "notebooks").glob("*.ipynb"))
    assert kept == ["02_audit.ipynb", "04_backbone_comparison.ipynb", "05_orthogonality.ipynb"]
    for name in kept:
        cells = json.loads((run_dir / "notebooks" / name).read_text())["cells"]
        code = [c for c in cells if c["cell_type"] == "code"]
        assert all(c["execution_count"] for c in code)
        assert not [o for c in code for o in c["outputs"] if o["output_type"] == "error"]


def test_nothing_changed_means_nothing_redone(run_dir, published_dir):
    before = tables(run_dir)
    done = swatchbook(run_dir, published_dir)
    assert done.returncode == 0, done.stderr
    assert computed(done) == []
    assert tables(run_dir) == before


def test_another_margin_redoes_only_what_depends_on_it(run_dir, published_dir, tmp_path):
    folder, lines = tmp_path / "copy", []
    shutil.copytree(run_dir, folder)
    settings = dict(pair.split("=") for pair in QUICK) | {"margin": 0.05, "source": str(published_dir)}
    study = Study.open("published", folder, log=lines.append, **settings)
    for stage in table_stages():
        study.ensure(next(s for s in study.stages if s.name == stage).produces[0])
    now = {line.split(maxsplit=1)[1].rsplit(" in ", 1)[0] for line in lines if "computed  " in line}
    assert now == {"coupling", "claims"}
    assert any("evaluation.margin changed from 0.03 to 0.05" in line for line in lines)
    # The notebooks quote claims, and one claim quotes the margin; so they would be executed again, and no others.
    narrative = narrative_stages(study, ROOT)
    study.stages += narrative
    stale = {stage.name for stage in narrative if study.why_stale(stage)}
    assert stale == {
        "notebook 02_audit", "notebook 04_backbone_comparison", "notebook 05_orthogonality", "report",
    }  # fmt: skip


def test_another_number_of_replicates_redoes_the_intervals_and_nothing_else(run_dir, published_dir, tmp_path):
    folder, lines = tmp_path / "copy", []
    shutil.copytree(run_dir, folder)
    settings = dict(pair.split("=") for pair in QUICK) | {"bootstrap": 210, "source": str(published_dir)}
    study = Study.open("published", folder, log=lines.append, **settings)
    for stage in table_stages():
        study.ensure(next(s for s in study.stages if s.name == stage).produces[0])
    now = {line.split(maxsplit=1)[1].rsplit(" in ", 1)[0] for line in lines if "computed  " in line}
    # The audit table takes no replicates.
    assert now == {"scores", "truth", "coupling", "coupling in detail", "comparison", "claims"}


def test_a_run_killed_in_every_stage_completes_with_the_same_tables(run_dir, published_dir, tmp_path):
    """SIGKILL half-way through the last file of each stage, one stage a process, in one folder."""
    code = """
        import os, signal, sys
        from swatchbook.studies.study import Study
        folder, source, victims, *settings = sys.argv[1:]

        def opened():
            return Study.open("published", folder, source=source, **dict(s.split("=") for s in settings))

        def killed(study, victim):
            stage = next(s for s in study.stages if s.name == victim)
            last, write = stage.produces[-1], study.store.write
            def die(artefact, writer):
                def half(path):
                    writer(path)
                    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                write(artefact, half if artefact == last else writer)
            study.store.write = die
            study.ensure_stage(stage)

        for victim in victims.split(","):
            child = os.fork()
            if not child:
                try:
                    killed(opened(), victim)
                finally:
                    os._exit(1)
            assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, victim
        study = opened()
        for stage in study.stages:
            if stage.name in victims.split(","):
                study.ensure_stage(stage)
    """
    folder = tmp_path / "killed"
    names = table_stages()
    assert len(names) == 10
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), folder, published_dir, ",".join(names), *QUICK],
        check=False,
        capture_output=True,
        text=True,
    )
    assert killed.returncode == 0, killed.stderr
    assert tables(folder) == tables(run_dir)
    assert not list(folder.rglob(".writing-*"))


def test_a_run_killed_while_it_tells_is_finished_by_the_next(run_dir, published_dir, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(run_dir, folder)
    shutil.rmtree(folder / "notebooks")
    (folder / "report" / "index.html").unlink()
    with subprocess.Popen(
        command(folder, published_dir), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as run:
        for line in run.stderr:
            if line.startswith("  computed  notebook"):
                finished = line.split()[2]
                run.send_signal(signal.SIGKILL)
                break
    assert run.returncode == -signal.SIGKILL
    done = swatchbook(folder, published_dir)
    assert done.returncode == 0, done.stderr
    now = {name for name in computed(done) if name.startswith("notebook")}
    assert f"notebook {finished}" not in now and "notebook 05_orthogonality" in now
    assert (folder / "report" / "index.html").stat().st_size > 100_000


def test_a_second_run_at_once_is_refused_naming_the_first(run_dir, published_dir):
    from swatchbook.store import Store

    with Store(run_dir).lock():
        done = swatchbook(run_dir, published_dir)
    assert done.returncode == 1
    assert f"is in use by another run (PID {os.getpid()}" in done.stderr


def test_a_notebook_opened_alone_computes_what_it_needs(published_dir, tmp_path):
    from swatchbook.pipeline import notebook_runner as notebooks

    settings = dict(pair.split("=") for pair in QUICK) | {"source": str(published_dir)}
    parameters = {"PROFILE": "published", "RUN_DIR": str(tmp_path / "run"), "SETTINGS": settings}
    notebooks.execute(ROOT / "notebooks" / "00_template.ipynb", tmp_path / "out.ipynb", parameters)
    assert (tmp_path / "run" / "tables" / "scores.csv").exists()
    assert not (tmp_path / "run" / "tables" / "power.csv").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-100]), "test_predictions_dinov2.csv: wrong checksum"),
        (lambda p: p.unlink(), "lacks test_predictions_dinov2.csv"),
    ],
)
def test_damaged_exports_stop_the_run_with_one_line_and_leave_nothing(
    published_dir, tmp_path, damage, message
):
    source = tmp_path / "exports"
    shutil.copytree(published_dir, source)
    (source / "test_predictions_dinov2.csv").chmod(0o644)
    source.chmod(0o755)
    damage(source / "test_predictions_dinov2.csv")
    done = swatchbook(tmp_path / "run", source)
    assert done.returncode == 1 and message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "tables").exists()


def test_where_nobody_audited_the_claims_that_take_an_audit_say_so(run_dir, schema):
    tables = {name: table(run_dir, name) for name in ("scores", "comparison", "coupling", "curation")}
    given = {"model": "dinov2", "baseline": "resnet50", "margin": 0.03}
    found = claim_table(tables, schema, **given).set_index("claim")
    whole = table(run_dir, "claims").set_index("claim")
    unasked = found.index[found["verdict"] == "not asked"]
    assert list(unasked) == ["audit_classes", "ceiling", "silver_is_truth"]
    assert list(found.index) == list(whole.index)
    others = found.index.difference(unasked)
    assert (found.loc[others, "sentence"] == whole.loc[others, "sentence"]).all()


def test_a_study_with_pixels_of_its_own_says_where_its_copies_are_listed(run_dir, schema):
    tables = {name: table(run_dir, name) for name in ("scores", "comparison", "coupling", "curation")}
    own = tables["curation"]["statistic"] != "distinct_pairs"
    tables["curation"] = tables["curation"][own]
    given = {"model": "dinov2", "baseline": "resnet50", "margin": 0.03}
    row = claim_table(tables, schema, **given).set_index("claim").loc["name_clashes"]
    assert row["verdict"] == "does not hold" and "tables/duplicates.csv" in row["sentence"]
    assert "exports" not in row["sentence"]
