"""A toy system from its reader to its report: what CONTRIBUTING says of adding one is enough."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from swatchbook.pipeline.complete import complete
from swatchbook.pipeline.run import Run
from swatchbook.pipeline.settings import configure
from swatchbook.store import Store
from tests.conftest import ROOT
from tests.studies.toy import STUDY


def test_a_study_in_one_file_goes_from_reader_to_report(tmp_path):
    run = Run(STUDY, configure(STUDY, "toy"), Store(tmp_path), print)
    page = complete(run).read_text(encoding="utf-8")
    scores = run.toy_scores.query("metric == 'accuracy' and `class` == 'all' and head == 'color'").set_index(
        "model"
    )
    assert scores.loc["nearest", "low"] > scores.loc["majority", "value"]
    assert f"right for {scores.loc['nearest', 'value']:.1%} of 60 garments" in page
    assert (tmp_path / "figures" / "toy_f1.png").stat().st_size > 10_000
    again = Run(STUDY, configure(STUDY, "toy", {"images": 61}), Store(tmp_path), print)
    assert [again.why_stale(stage) for stage in again.stages[:1]] == ["images changed from 60 to 61"]


KILLED = """
    import os, resource, shutil, signal, sys
    from pathlib import Path
    from swatchbook.pipeline.complete import narrative_stages
    from swatchbook.pipeline.run import Run
    from swatchbook.pipeline.settings import configure
    from swatchbook.store import Store, StoreError
    from tests.studies.toy import STUDY

    def toy(folder):
        run = Run(STUDY, configure(STUDY, "toy", {"images": 20, "bootstrap": 20}), Store(folder), lambda line: None)
        run.stages += narrative_stages(run, Path.cwd())
        return run

    def killed(folder, artefact):
        run = toy(folder)
        write = run.store.write
        def half(name, writer):
            def cut(path):
                writer(path)
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            write(name, cut if name == artefact else writer)
        run.store.write = half
        run.ensure(artefact)

    def on_a_full_disk(folder, artefact):
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, 3_000))
        toy(folder).ensure(artefact)

    whole, folder = sys.argv[1:]
    toy(whole).ensure("tables/toy_scores.csv")
    shutil.copytree(whole, folder)
    for artefact in ("figures/toy_f1.png", "report/index.html"):
        toy(whole).ensure(artefact)
    for harm, artefact in (
        (killed, "figures/toy_f1.png"), (killed, "figures/toy_f1.txt"), (killed, "report/index.html"),
        (on_a_full_disk, "report/index.html"),
    ):
        child = os.fork()
        if not child:
            try:
                harm(folder, artefact)
            except StoreError as error:
                print(error, flush=True)
            finally:
                os._exit(1)
        print(artefact, os.waitpid(child, 0)[1], (Path(folder) / artefact).exists(), flush=True)
    for artefact in ("figures/toy_f1.png", "report/index.html"):
        toy(folder).ensure(artefact)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills children of its own")
def test_figures_and_report_killed_halfway_or_on_a_full_disk_end_in_the_same_bytes(tmp_path):
    whole, folder = tmp_path / "whole", tmp_path / "folder"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(whole), str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if not line.startswith("cannot write")]
    assert said == [
        *(f"figures/toy_f1{suffix} {signal.SIGKILL} False" for suffix in (".png", ".txt")),
        f"report/index.html {signal.SIGKILL} False",
        "report/index.html 256 False",
    ]
    assert f"cannot write index.html in {folder / 'report'}: File too large; what was there" in done.stdout
    files = [p.relative_to(whole) for p in whole.rglob("*") if p.is_file() and p.name != "stages.json"]
    assert {"toy_f1.png", "toy_f1.csv", "toy_f1.txt", "index.html"} <= {p.name for p in files}
    for path in files:
        assert (folder / path).read_bytes() == (whole / path).read_bytes(), path
    assert not list(folder.rglob(".writing-*"))
