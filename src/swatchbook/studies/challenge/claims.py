"""What the two documents claim, asked of a run: a verdict and a sentence each, filled from its tables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.stats import binomtest, friedmanchisquare, spearmanr

from swatchbook.names import called
from swatchbook.pipeline.stage import Trace
from swatchbook.report.wording import joined, number, p_value, points
from swatchbook.schema import Schema
from swatchbook.studies.challenge.systems import SYSTEMS
from swatchbook.studies.documents import (
    HOLDS,
    NOT,
    OPEN,
    PART,
    UNASKED,
    NotAskedError,
    Verdict,
    read_curves,
    sign,
    verdicts,
)

ACA, OVERALL = "aca", "overall_accuracy"
SPEED = 0.9  # of the way that a group's training loss falls


class Evidence:
    """A run's tables, asked by what a row is about; `NotAskedError` where the run cannot answer."""

    def __init__(self, tables: dict[str, pd.DataFrame], schema: Schema) -> None:
        self.tables, self.schema = tables, schema
        systems = tables["challenge_systems"].set_index("model")
        self._random = {name for name in systems.index if systems.loc[name, "weights"] == "random"}

    def require_trained(self, model: str) -> None:
        """Refuse a model that was not trained, or whose frozen blocks have random weights."""
        if model not in set(self.tables["challenge_history"]["model"]):
            raise NotAskedError(f"This run has not trained {called(model)}.")
        if model in self._random and SYSTEMS[model].recipe.get("train_blocks") is not None:
            raise NotAskedError(f"The frozen blocks of {called(model)} have random weights in this run.")

    def difference(self, model: str, baseline: str, metric: str = OVERALL, group: str = "all") -> pd.Series:
        """The row of a paired difference between two plain models."""
        for name in (model, baseline):
            self.require_trained(name)
        table = self.tables["challenge_differences"]
        kept = (table["model"] == model) & (table["baseline"] == baseline) & (table["metric"] == metric)
        kept &= (table["group"] == group) & (table["class"] == "all") & (table["variant"] == "plain")
        return table[kept].iloc[0]

    def history(self, model: str) -> pd.DataFrame:
        """The epochs of a training."""
        self.require_trained(model)
        table = self.tables["challenge_history"]
        return table[table["model"] == model]

    def counts(self, split: str) -> int:
        """Images of a split."""
        table = self.tables["challenge_counts"]
        return int(table.loc[table["split"] == split, "n"].iloc[0])


def claim_table(trace: Trace) -> None:
    """The documents' claims, each with a verdict and one sentence from this run."""
    names = ("systems", "differences", "history", "counts")
    tables = {f"challenge_{name}": trace.table(f"tables/challenge_{name}.csv") for name in names}
    evidence = Evidence(tables, trace.schema)
    trace.write_table("tables/challenge_claims.csv", verdicts("challenge", CLAIMS, evidence))


# ---- kinds of evidence ----------------------------------------------------------------------------------


WORDS = {OVERALL: "overall accuracy", ACA: "average class accuracy"}


def _better(*pairs: tuple[str, str], metrics: tuple[str, ...] = (OVERALL,)) -> Callable[[Evidence], Verdict]:
    """The first model of each pair is better than the second."""

    def judge(evidence: Evidence) -> Verdict:
        rows = [(a, b, m, evidence.difference(a, b, m)) for a, b in pairs for m in metrics]
        found = [sign(row) for *_, row in rows]
        verdict = found[0] if len(set(found)) == 1 else PART if HOLDS in found else OPEN
        if HOLDS not in found and NOT in found and len(set(found)) > 1:
            verdict = NOT
        parts = [f"{called(a)} less {called(b)}: {points(row)} of {WORDS[m]}" for a, b, m, row in rows]
        return verdict, "; ".join(parts) + "."

    return judge


def _fact(verdict: str, sentence: str) -> Callable[[Evidence], Verdict]:
    """What needs no run."""
    return lambda _: (verdict, sentence)


# ---- claims that need more than one difference -----------------------------------------------------------


def _one_class_a_group(evidence: Evidence) -> Verdict:
    groups = len(evidence.schema.names)
    return NOT, (
        f"Each of the {evidence.counts('train') + evidence.counts('val'):,} labelled images has exactly one "
        f"class in each of the {groups} groups: {groups} single-label problems."
    )


def _flips(evidence: Evidence) -> Verdict:
    own = evidence.difference("vit_mended_flip", "vit_mended", ACA)
    vertical = evidence.difference("vit", "vit_no_flip", ACA)
    verdict = {HOLDS: NOT, NOT: HOLDS, OPEN: OPEN}[sign(own)]
    return verdict, (
        f"Horizontal flips change average class accuracy by {points(own)}, its own vertical ones by "
        f"{points(vertical)}."
    )


def _collapse(evidence: Evidence) -> Verdict:
    history = evidence.history("vit_row1")
    least, constant = float(history["aca"].min()), 1 / np.mean([len(a) for a in evidence.schema])
    still = bool(np.isclose(history["aca"], constant, atol=1e-9).all())
    verdict = NOT if still else OPEN
    said = (
        "in every epoch its answers are constant" if still else "its answers are not constant in every epoch"
    )
    return verdict, (
        f"Constant answers score {number(constant, 4)}, which is what is printed; trained so here, {said} "
        f"(lowest average class accuracy {number(least, 4)})."
    )


def _loss_against_score(evidence: Evidence) -> Verdict:
    history = evidence.history("vit")
    columns = {ACA: "aca", OVERALL: "accuracy"}
    if any(history[c].nunique() < 2 for c in ("val_loss", *columns.values())):
        return OPEN, "Its loss or its score is the same in every epoch, so that nothing can be ranked."
    found = {m: float(spearmanr(-history["val_loss"], history[c]).statistic) for m, c in columns.items()}
    told = joined([f"{WORDS[m]} {number(rho, 2, sign=True)}" for m, rho in found.items()])
    verdict = NOT if min(found.values()) > 0.5 else HOLDS if max(found.values()) < 0.5 else PART
    return verdict, (
        f"Over {len(history)} epochs the rank correlation of a falling validation loss with the score "
        f"is {told} "
        "(1: the loss orders epochs as the score does; one training)."
    )


def _stagnates(evidence: Evidence) -> Verdict:
    loss = evidence.history("vit_row5")["train_loss"].to_numpy()[-10:]
    change = (loss[0] - loss[-1]) / loss[0]
    verdict = NOT if change < 0.01 else HOLDS
    return verdict, f"Over the last ten epochs the training loss falls by {number(100 * change, 1)} %."


def _six_thousand(evidence: Evidence) -> Verdict:
    train, val = evidence.counts("train"), evidence.counts("val")
    if train + val != 6000:
        return UNASKED, f"This set is another one, of {train:,} training and {val:,} validation images."
    return HOLDS, f"The challenge's lists have {train:,} and {val:,}; DeepFashion itself has 289,222 images."


def _published(split: str, **keys: object) -> pd.DataFrame:
    """The curves of the trainings in 003's repository."""
    curves = read_curves("challenge")
    return curves[np.logical_and.reduce([curves[k] == v for k, v in {"split": split, **keys}.items()])]


def _by_training(split: str, groups: tuple[str, ...], of: Callable[[np.ndarray], int]) -> pd.DataFrame:
    """An epoch that a loss curve leads to: a row a published training, a column a group."""
    curves = _published(split).sort_values("epoch").groupby(["model", "fc_layers", "group"])["loss"]
    return curves.apply(lambda losses: of(losses.to_numpy())).unstack()[list(groups)]  # noqa: PD010


def _speeds(evidence: Evidence) -> Verdict:
    groups = evidence.schema.names
    least = _by_training("val", groups, lambda losses: int(np.nanargmin(losses)) + 1)
    p = float(friedmanchisquare(*(least[group] for group in groups)).pvalue)
    told = joined([f"{group} {number(least[group].mean(), 1)}" for group in groups])
    return HOLDS if p < 0.05 else OPEN, (
        f"Epoch of the least validation loss, mean of the repository's {len(least)} trainings: {told} "
        "(Friedman's "
        f"test over trainings, p {p_value(p)})."
    )


def _way(losses: np.ndarray) -> int:
    """The first epoch by which a loss has fallen by `SPEED` of its whole fall; counted from 1."""
    losses = losses[~np.isnan(losses)]
    return int((losses[0] - losses >= SPEED * (losses[0] - losses.min())).argmax()) + 1


def _fabric_slowest(evidence: Evidence) -> Verdict:
    way = _by_training("train", evidence.schema.names, _way)
    others = way[["sleeve", "length"]].max(axis=1)
    slower, decided = int((way["fabric"] > others).sum()), int((way["fabric"] != others).sum())
    p = float(binomtest(slower, decided).pvalue)
    verdict = OPEN if p >= 0.05 else HOLDS if 2 * slower > decided else NOT
    told = joined([f"{group} {number(way[group].mean(), 1)}" for group in ("fabric", "sleeve", "length")])
    return verdict, (
        "Epochs until the training loss has fallen nine tenths of its way, mean of the repository's "
        f"{len(way)} "
        f"trainings: {told}; fabric is slower than both in {slower} of {decided} (sign test, p {p_value(p)})."
    )


def _least_at_ten(evidence: Evidence) -> Verdict:
    history = evidence.history("se_resnet50_0fc")
    least, last = history.loc[history["val_loss"].idxmin()], history.iloc[-1]
    own = _published("val", group="all", fc_layers=0, model="se_resnet50")
    theirs = int(own.loc[own["loss"].idxmin(), "epoch"])
    verdict = HOLDS if 8 <= theirs <= 12 else NOT
    return verdict, (
        f"In the repository's own curves the least validation loss is at epoch {theirs}; here at "
        f"{least['epoch']:.0f} of {last['epoch']:.0f}, where accuracy is {number(least['accuracy'])} against "
        f"{number(last['accuracy'])} at the end."
    )


def _in_every_group(evidence: Evidence) -> Verdict:
    pair = ("se_resnet50_0fc", "resnet50_0fc")
    rows = {g: evidence.difference(*pair, "accuracy", g) for g in evidence.schema.names}
    ahead = [g for g, row in rows.items() if row["value"] > 0]
    proved = [g for g, row in rows.items() if row["value"] > 0 and row["p_holm"] < 0.05]
    behind = [g for g, row in rows.items() if row["value"] < 0 and row["p_holm"] < 0.05]
    verdict = HOLDS if len(proved) == len(rows) else NOT if behind else PART if proved else OPEN
    least = min(float(row["p_holm"]) for row in rows.values())
    return verdict, (
        f"Squeeze-and-excitation is ahead in {len(ahead)} of {len(rows)} groups, proved in "
        f"{len(proved)} (Holm over "
        f"the groups, least p {p_value(least)})."
    )


def _fabric_most(evidence: Evidence) -> Verdict:
    pair = ("se_resnet50_0fc", "resnet50_0fc")
    rows = {g: evidence.difference(*pair, "accuracy", g) for g in evidence.schema.names}
    fabric, others = rows["fabric"], np.mean([rows[g]["value"] for g in rows if g != "fabric"])
    verdict = HOLDS if fabric["low"] > others else NOT if fabric["high"] < others else OPEN
    return verdict, (
        f"In fabric the gain is {points(fabric)}, on average over the other groups "
        f"{number(100 * others, 1, sign=True)}."
    )


def _more_layers(evidence: Evidence) -> Verdict:
    rows = []
    for network in ("resnet50", "se_resnet50", "se_resnext50"):
        for layers in (2, 4):
            try:
                rows.append((network, layers, evidence.difference(f"{network}_0fc", f"{network}_{layers}fc")))
            except NotAskedError:
                continue
    if not rows:
        raise NotAskedError("This run has trained no network with added layers.")
    found = [sign(row) for *_, row in rows]
    verdict = (
        HOLDS
        if len(rows) == 6 and set(found) == {HOLDS}
        else NOT
        if NOT in found
        else (PART if HOLDS in found else OPEN)
    )
    told = [f"{called(f'{n}_{k}fc')}: {points(row)}" for n, k, row in rows]
    return verdict, f"No added layers less some, {'; '.join(told)} of overall accuracy."


def _one_block(evidence: Evidence) -> Verdict:
    rows = {k: evidence.difference("vit", f"vit_k{k}", ACA) for k in ("0", "2", "4", "_all")}
    found = [sign(row) for row in rows.values()]
    verdict = HOLDS if set(found) == {HOLDS} else NOT if NOT in found else OPEN
    told = [f"{k.strip('_')}: {points(row)}" for k, row in rows.items()]
    return (
        verdict,
        f"One trained block less another number of them, average class accuracy: {'; '.join(told)}.",
    )


CLAIMS: dict[str, Callable[[Evidence], Verdict]] = {
    "multi_label": _one_class_a_group,
    "no_horizontal_flip": _flips,
    "weighted_loss_learns_all_classes": _better(("vit", "vit_unweighted"), metrics=(ACA,)),
    "attributes_need_task_layers": _better(("vit", "vit_linear"), metrics=(ACA, OVERALL)),
    "in21k_is_images": _fact(
        NOT,
        "ImageNet-21k has about 21,000 classes and 14 million images; the rule allowed ImageNet-1K alone.",
    ),
    "rate_in_the_middle": _better(("vit", "vit_row1"), ("vit", "vit_row5"), metrics=(ACA,)),
    "loss_does_not_show_the_score": _loss_against_score,
    "first_row_is_a_training": _collapse,
    "vit_is_unsuitable": _better(("vit_cnn", "vit"), metrics=(OVERALL, ACA)),
    "in21k_is_to_blame": _better(("vit_in1k", "vit_in21k"), metrics=(OVERALL, ACA)),
    "one_layer_is_best": _one_block,
    "less_dropout_is_better": _better(("vit", "vit_row3"), metrics=(ACA, OVERALL)),
    "small_rate_needs_more_epochs": _stagnates,
    "six_thousand_images": _six_thousand,
    "groups_learn_at_different_speeds": _speeds,
    "crop_by_box_helps": _better(("se_resnet50_0fc", "se_resnet50_whole")),
    "table_of_classes": _fact(
        NOT, "The data set's own list has lattice, which the table lacks, and pleated once."
    ),
    "focal_helps": _better(("se_resnet50_0fc", "se_resnet50_ce"), metrics=(OVERALL, ACA)),
    "fabric_learns_slowest": _fabric_slowest,
    "loss_is_least_at_epoch_ten": _least_at_ten,
    "flip_helps": _better(("se_resnet50_0fc", "se_resnet50_no_flip")),
    "se_wins_in_every_group": _in_every_group,
    "se_helps_fabric_most": _fabric_most,
    "se_resnext_is_worse": _better(("se_resnet50_0fc", "se_resnext50_0fc")),
    "because_it_is_larger": _fact(
        NOT, "SE-ResNeXt-50 32×4d has 27,559,896 parameters, SE-ResNet-50 28,088,024: it is the smaller one."
    ),
    "more_layers_are_worse": _more_layers,
    "weighted_focal_is_best": _better(("se_resnet50_weighted", "se_resnet50_0fc")),
    "template_of_se_resnet": _fact(
        NOT, "32 groups of 4 channels make a ResNeXt; the text itself gives them to SE-ResNeXt-50."
    ),
}
