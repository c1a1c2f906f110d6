"""The steps from labels, predictions and audit to tables: scores, truth, coupling, comparison, claims."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from swatchbook.data.readers import published
from swatchbook.drawn.worlds import true_cramers_v
from swatchbook.evaluation.agreement import agreement_table
from swatchbook.evaluation.audit import audit_table, power_table
from swatchbook.evaluation.collapse import collapse_table
from swatchbook.evaluation.comparison import comparison_table
from swatchbook.evaluation.coupling import coupling_table
from swatchbook.evaluation.coupling_cells import cell_table
from swatchbook.evaluation.known import KNOWN, known_coupling, known_scores, known_table
from swatchbook.evaluation.rectified import rectified_table
from swatchbook.evaluation.resample import image_weights, rao_wu_weights
from swatchbook.evaluation.scores import confusion_table, folder_baseline, majority_baseline, score_table
from swatchbook.evaluation.selection import keep_by_agreement, selection_table
from swatchbook.evaluation.truth import three_columns, truth_table, with_silver_scores
from swatchbook.pipeline.stage import Trace
from swatchbook.studies.attributes.claims import claim_table
from swatchbook.studies.attributes.curation import curation_table
from swatchbook.studies.attributes.facts import DINOV2_FEATURES, fact_table, name_table
from swatchbook.studies.attributes.labels import known_labels
from swatchbook.studies.attributes.printed import KEYS, number_table, with_printed

#: Kinds of data that the published study's claims were made of.
CLAIMED = ("published", "textilenet")


@dataclass(frozen=True)
class Labels:
    """The test images as codes, aligned row by row.

    Attributes:
        test: Their rows of the manifest, by `image_id`.
        silver: Attribute → codes, −1 where the labeller abstained.
        predictions: Model → attribute → codes.
    """

    test: pd.DataFrame
    silver: dict[str, np.ndarray]
    predictions: dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Audited:
    """The audited images as codes, aligned row by row.

    Attributes:
        sheet: Their rows of the audit sheet, first annotator.
        rows: Where each of them stands among the test images.
        human: Attribute → codes of the auditor's answers, −1 for "can't tell".
    """

    sheet: pd.DataFrame
    rows: np.ndarray
    human: dict[str, np.ndarray]

    @property
    def design(self) -> dict[str, np.ndarray]:
        """Stratum and inclusion weight of each image."""
        return {"stratum": self.sheet["stratum"].to_numpy(), "weight": self.sheet["weight"].to_numpy()}

    def of(self, codes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Codes of all test images → codes of the audited ones."""
        return {name: column[self.rows] for name, column in codes.items()}


def is_audited(trace: Trace) -> bool:
    """Whether somebody judged some images; see `Config.audited`."""
    return trace.setting("data") in ("published", "drawn") or trace.setting("labelling.audit") is not None


def test_labels(trace: Trace) -> Labels:
    """Silver labels of the test images, and both models' predictions where models were trained."""
    manifest, schema = trace.table("manifest.parquet"), trace.schema
    test = manifest[manifest["split"] == "test"].set_index("image_id")

    def codes(artefact: str) -> dict[str, np.ndarray]:
        return schema.encode(trace.table(artefact).set_index("image_id").loc[test.index], artefact)

    models = (trace.setting("model"), trace.setting("baseline")) if trace.setting("train") else ()
    return Labels(test, codes("silver.parquet"), {m: codes(f"predictions/{m}.parquet") for m in models})


def bootstrap(trace: Trace, test: pd.DataFrame) -> tuple[np.ndarray, str]:
    """One set of bootstrap weights for every table, so that all of them are paired, and its name.

    Files of one name may be one photograph, so they are drawn together.
    """
    names = test["path"].str.rsplit("/", n=1).str[-1].to_numpy()
    weights = image_weights(len(test), trace.setting("evaluation.bootstrap"), trace.rng("images"), names)
    return weights, f"{trace.setting('evaluation.level'):.0%} percentile bootstrap of images"


def audited(trace: Trace, test: pd.DataFrame) -> Audited:
    """The audit sheet beside the test images."""
    sheet = trace.table("audit.csv")
    sheet = sheet[sheet["annotator"] == sheet["annotator"].iloc[0]].reset_index(drop=True)
    return Audited(sheet, test.index.get_indexer(sheet["image_id"]), trace.schema.encode(sheet, "audit.csv"))


def printed(trace: Trace) -> pd.DataFrame:
    """What a study printed; nothing, where the study is our own."""
    if trace.setting("data") == "published":
        return trace.table("tables/printed.csv")
    return pd.DataFrame(columns=["table", *KEYS, "value", "tolerance"])


def known_codes(trace: Trace, test: pd.DataFrame) -> dict[str, np.ndarray] | None:
    """Codes of the known truth of the test images, where their world was made."""
    known = known_labels(test, trace.schema)
    return None if known is None else trace.schema.encode(known, "known truth")


def score(trace: Trace) -> None:
    """Scores of both models and of two baselines against silver labels."""
    labels, schema = test_labels(trace), trace.schema
    weights, how = bootstrap(trace, labels.test)
    folders = labels.test["folder"].to_numpy()
    everyone = {
        **labels.predictions,
        "majority": majority_baseline(labels.silver, schema),
        "fabric_folder": folder_baseline(labels.silver, folders, schema),
    }
    level = trace.setting("evaluation.level")
    table = score_table(labels.silver, everyone, schema, weights, level=level, how=how)
    trace.write_table("tables/scores.csv", with_printed(table, printed(trace), "scores"))
    trace.write_table("tables/confusion.csv", confusion_table(labels.silver, labels.predictions, schema))


def audit(trace: Trace) -> None:
    """Silver labels against the audit, what other sizes would give, and agreement."""
    labels = test_labels(trace)
    judged = audited(trace, labels.test)
    human, silver, level = judged.human, judged.of(labels.silver), trace.setting("evaluation.level")
    table = audit_table(human, silver, trace.schema, **judged.design, population=labels.silver, level=level)
    table = with_printed(table, printed(trace), "audit")
    table["published"] = table["published"].where(table["weighting"] == "none")
    asked = [name for name in trace.schema.names if (human[name] >= 0).any()]
    if asked and (known := known_codes(trace, labels.test)) is not None:
        table = pd.concat([table, _known_audit(trace, known, labels.silver, asked)], ignore_index=True)
    trace.write_table("tables/audit.csv", table)
    sheet = trace.table("audit.csv")
    agreement = agreement_table(sheet, trace.schema, level=level)
    trace.write_table("tables/agreement.csv", agreement)


def _known_audit(trace: Trace, known: dict, silver: dict, asked: list[str]) -> pd.DataFrame:
    """What an audit of every test image by somebody who never errs would give, for the judged attributes."""
    everywhere = np.zeros(len(known[asked[0]]))
    table = audit_table(known, silver, trace.schema, stratum=everywhere, weight=everywhere + 1)
    kept = (table["weighting"] == "none") & (table["abstained"] != "extra_class")
    table = table[kept & table["attribute"].isin(asked)]
    columns = ["attribute", "class", "abstained", "statistic", "value", "n"]
    return table[columns].assign(weighting=KNOWN, interval="known of every test image")


def power(trace: Trace) -> None:
    """How wide the audit's intervals would be at other sizes."""
    labels = test_labels(trace)
    judged = audited(trace, labels.test)
    table = power_table(
        judged.human,
        judged.of(labels.silver),
        trace.schema,
        **judged.design,
        rng=trace.rng("power"),
        sizes=trace.setting("evaluation.power_sizes"),
        draws=trace.setting("evaluation.power_draws"),
        level=trace.setting("evaluation.level"),
    )
    trace.write_table("tables/power.csv", table)


def truth(trace: Trace, judge: str) -> None:
    """Both models and the silver labels against what the judge saw, and V of the truth."""
    labels, schema = test_labels(trace), trace.schema
    judged = audited(trace, labels.test)
    shared = {**judged.design, "level": trace.setting("evaluation.level")}
    predictions = {model: judged.of(codes) for model, codes in labels.predictions.items()}
    table = truth_table(
        judged.human,
        judged.of(labels.silver),
        predictions,
        {"silver": labels.silver, **labels.predictions},
        schema,
        draws=trace.setting("evaluation.bootstrap"),
        rng=trace.rng("truth"),
        **shared,
    )
    table = with_silver_scores(table, trace.table("tables/scores.csv"), list(labels.predictions))
    if (known := known_codes(trace, labels.test)) is not None:
        counted = known_scores(known, {"silver": labels.silver, **labels.predictions}, schema)
        table = pd.concat([table, counted], ignore_index=True)
    trace.write_table("tables/truth.csv", with_printed(table, printed(trace), "truth"))
    columns = three_columns(table, list(labels.predictions), judge)
    trace.write_table("tables/three_columns.csv", columns)
    rectified = rectified_table(judged.human, judged.of(labels.silver), labels.silver, schema, **shared)
    trace.write_table("tables/rectified.csv", rectified)


def unaudited(trace: Trace) -> None:
    """What only an audit tells, where nobody judged: the truth's V of every pair, not estimable."""
    labels, schema = test_labels(trace), trace.schema
    nobody = {name: np.empty(0, dtype=np.int16) for name in schema.names}
    design = {"stratum": np.empty(0, dtype=object), "weight": np.empty(0)}
    trace.write_table(
        "tables/rectified.csv", rectified_table(nobody, nobody, labels.silver, schema, **design)
    )


def coupling(trace: Trace) -> None:
    """Cramér's V of all pairs: values, nulls, intervals and verdicts."""
    labels = test_labels(trace)
    table = coupling_table(
        labels.silver,
        labels.predictions,
        trace.schema,
        weights=bootstrap(trace, labels.test)[0],
        rng=trace.rng("coupling"),
        level=trace.setting("evaluation.level"),
        margin=trace.setting("evaluation.margin"),
        permutations=trace.setting("evaluation.permutations"),
        null_draws=trace.setting("evaluation.null_draws"),
    )
    if (known := known_codes(trace, labels.test)) is not None:
        table = pd.concat([table, known_coupling(known, trace.schema)], ignore_index=True)
    trace.write_table("tables/coupling.csv", with_printed(table, printed(trace), "coupling"))


def coupling_detail(trace: Trace) -> None:
    """Which cells carry the coupling, how priors collapse, and what abstention does to V."""
    labels, schema = test_labels(trace), trace.schema
    shared = {
        "weights": bootstrap(trace, labels.test)[0],
        "level": trace.setting("evaluation.level"),
    }
    trace.write_table("tables/cells.csv", cell_table(labels.silver, labels.predictions, schema, **shared))
    trace.write_table(
        "tables/collapse.csv", collapse_table(labels.silver, labels.predictions, schema, **shared)
    )
    keep = keep_by_agreement(labels.silver, labels.predictions, schema)
    selected = selection_table(labels.silver, labels.predictions, schema, keep=keep, **shared)
    trace.write_table("tables/selection.csv", selected)


def comparison(trace: Trace) -> None:
    """The two models on identical images: against silver labels, and against the audited truth."""
    labels, schema = test_labels(trace), trace.schema
    shared = {
        "model": trace.setting("model"),
        "baseline": trace.setting("baseline"),
        "level": trace.setting("evaluation.level"),
    }
    weights, how = bootstrap(trace, labels.test)
    silver = comparison_table(
        labels.silver, labels.predictions, schema, weights, how=f"paired {how}", **shared
    )
    if not is_audited(trace):
        trace.write_table("tables/comparison.csv", with_printed(silver, printed(trace), "comparison"))
        return
    judged = audited(trace, labels.test)
    draws, rng = trace.setting("evaluation.bootstrap"), trace.rng("audited comparison")
    human = comparison_table(
        judged.human,
        {model: judged.of(codes) for model, codes in labels.predictions.items()},
        schema,
        rao_wu_weights(judged.design["stratum"], draws, rng),
        design=judged.design["weight"],
        reference_name="audit",
        how=f"paired {shared['level']:.0%} percentile Rao–Wu bootstrap of audited images",
        **shared,
    )
    both = pd.concat([with_printed(silver, printed(trace), "comparison"), human])
    trace.write_table("tables/comparison.csv", both)


def curation(trace: Trace) -> None:
    """What can be checked without a model: counts, file names, the images picked for show."""
    manifest, silver = trace.table("manifest.parquet"), trace.table("silver.parquet")
    silver = silver[silver["image_id"].isin(manifest.loc[manifest["split"] == "test", "image_id"])]
    clashes = published.name_clashes(manifest)
    audit = trace.table("audit.csv") if is_audited(trace) else None
    exported = trace.setting("data") == "published"
    features = DINOV2_FEATURES if exported else None
    parts = [name_table(clashes), fact_table(manifest, silver, audit, trace.schema, features)]
    if exported:
        parts.insert(0, picked_images(trace))
    trace.write_table("tables/curation.csv", pd.concat(parts))
    trace.write_table("tables/name_clashes.csv", clashes)


def picked_images(trace: Trace) -> pd.DataFrame:
    """The images that the published study showed, against random ones."""
    numbers = printed(trace)
    shown = numbers[(numbers["table"] == "curation") & (numbers["statistic"] == "distinct_pairs")]
    pool = trace.table(f"predictions/{trace.setting('model')}.parquet")
    return curation_table(trace.table("sample20.csv"), pool, claimed=int(shown["value"].iloc[0]))


def claims(trace: Trace) -> None:
    """Every printed number and claim beside ours."""
    names = ["scores", "comparison", "coupling", "curation"]
    if is_audited(trace):
        names += ["audit", "truth"]
    tables = {name: trace.table(f"tables/{name}.csv") for name in names}
    if trace.setting("data") == "published":
        trace.write_table("tables/numbers.csv", number_table(printed(trace), tables))
    settings = {k: trace.setting(k) for k in ("model", "baseline")}
    settings |= {"margin": trace.setting("evaluation.margin"), "claimed": trace.setting("data") in CLAIMED}
    trace.write_table("tables/claims.csv", claim_table(tables, trace.schema, **settings))


def known(trace: Trace) -> None:
    """Every estimator beside the truth that it estimates."""
    labels, schema = test_labels(trace), trace.schema
    table = known_table(
        known_codes(trace, labels.test),
        {"silver": labels.silver, **labels.predictions},
        schema,
        truth=trace.table("tables/truth.csv"),
        rectified=trace.table("tables/rectified.csv"),
        known_v=true_cramers_v(trace.setting("drawn.coupling"), schema),
    )
    trace.write_table("tables/known.csv", table)
