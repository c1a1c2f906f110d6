"""A toy system from its reader to its report: what CONTRIBUTING says of adding one is enough."""

from swatchbook.pipeline.complete import complete
from swatchbook.pipeline.run import Run
from swatchbook.pipeline.settings import configure
from swatchbook.store import Store
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
