"""The truth behind silver labels: models scored against a person, on a sample of the test split.

A model that imitates its teacher's errors scores high against silver labels and low against a person;
one that averages them out does the opposite. Silver scores alone cannot tell the two apart, so each
score against the person is estimated in several ways, from the plainest to the most precise, and the
bound that silver agreement alone puts on true accuracy stands beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from swatchbook.evaluation.known import KNOWN
from swatchbook.evaluation.misclassification import (
    WHAT_IF_COLUMNS,
    ErrorShare,
    corrected,
    reconciled,
    share_without_errors,
    without_errors,
    words,
)
from swatchbook.evaluation.resample import percentile_interval
from swatchbook.evaluation.survey import check_design, inverse, kish_size
from swatchbook.evaluation.truth_estimators import PostStratified, metric_bound, ppi_accuracy
from swatchbook.evaluation.weighted_scores import (
    FEWEST,
    NO_HUMAN_LABEL,
    TOO_FEW,
    Estimates,
    estimates,
    head_estimates,
    score_rows,
    stacked_scores,
)
from swatchbook.schema import Schema

Codes = Mapping[str, np.ndarray]

COLUMNS = [
    "model", "head", "class", "reference", "estimator", "statistic",
    "value", "low", "high", "n", "interval", *WHAT_IF_COLUMNS,
]  # fmt: skip
WHOLE, BY_CLASS = ("accuracy", "macro_f1"), ("f1",)
AGAINST = {
    "silver": "silver labels",
    "post_stratified": "{judge}",
    "bound": "bound from silver agreement",
    KNOWN: KNOWN,
}
THREE_COLUMNS = ["model", "head", "statistic", "against", "value", "low", "high", "n", "interval"]


def truth_table(
    human: Codes,
    silver: Codes,
    predictions: Mapping[str, Codes],
    population: Mapping[str, Codes],
    schema: Schema,
    *,
    stratum: np.ndarray,
    weight: np.ndarray,
    draws: int,
    rng: np.random.Generator,
    second: Codes | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Scores of the silver labels and of every model against a person's labels.

    Estimators: ``direct`` (unweighted, as a plain reader would), ``design`` (weighted by what each
    image stands for), ``post_stratified`` (see `PostStratified`; the recommended one; not by class, where too
    few images lie in a post-stratum; silver labels agree with themselves, so their macro-F1 is the design's),
    ``ppi``
    (prediction-powered accuracy, see `ppi_accuracy`), ``bound`` (see `metric_bound`; value is NaN, low
    and high are the outer ends of the bound over the interval of silver–audit agreement).

    Args:
        human: Attribute → codes of the judged images, shape (n,); −1 where the person could not tell
            or was not asked.
        silver: Attribute → codes of the judged images, shape (n,); −1 where the labeller abstained.
        predictions: Model → attribute → codes of the judged images, shape (n,).
        population: "silver" and every model → attribute → codes of the whole split, shape (N,); the
            judged images are among them.
        schema: Gives attributes, classes and their order.
        stratum: Stratum of each judged image, shape (n,).
        weight: How many images of the split each judged one stands for, shape (n,), positive.
        draws: Draws B from the posterior of post-stratified scores.
        rng: Source of randomness.
        second: Attribute → codes of a second, independent judgement, as in `audit_table`.
        level: Confidence level of the intervals.

    Returns:
        Tidy table with the columns `COLUMNS`; model "silver" is the labeller itself, an abstention
        counting as wrong (no bound: it agrees with itself). Intervals hold for this split, whose
        silver labels and predictions are all known. What-if columns as in `audit_table`.

    Raises:
        ValueError: If lengths differ, a weight is not a positive number, a model is missing
            from the population, or the population cannot hold the judged images.
    """
    labels = {"human": human, "silver": silver, **predictions}
    stratum, weight = check_design(stratum, weight, labels, schema)
    _check_population(predictions, population, schema)
    rows: list[dict] = []
    agreement: dict[str, tuple[float, float]] = {}
    errors: dict[str, ErrorShare | None] = dict.fromkeys(schema.names)
    if second is not None:
        both = {
            a.name: reconciled(human[a.name], second[a.name], silver[a.name], len(a), level) for a in schema
        }
        human = {name: codes for name, (codes, _) in both.items()}
        errors = {name: error for name, (_, error) in both.items()}
    for model, codes in {"silver": silver, **predictions}.items():
        for a in schema:
            judged, label, teacher = human[a.name], codes[a.name], silver[a.name]
            split, split_teacher = population[model][a.name], population["silver"][a.name]
            agrees, split_agrees = _same(label, teacher), _same(split, split_teacher)
            error = errors[a.name]
            of_head = {"model": model, "head": a.name}
            given = {"whole": WHOLE, "by_class": BY_CLASS, "level": level, "error": error}
            given["occurs"] = np.bincount(split[split >= 0], minlength=len(a)) > 0
            bases = {"direct": np.ones_like(weight), "design": weight}
            both = head_estimates(
                judged, label, len(a), stratum=stratum, weights=tuple(bases.values()), **given
            )
            for estimator, found in zip(bases, both, strict=True):
                made = list(score_rows(found, a.classes, WHOLE, BY_CLASS))
                rows += [of_head | {"estimator": estimator} | row for row in made]
            as_judged = found  # by design
            post = PostStratified(judged, label, agrees, split, split_agrees, len(a), weight, stratum)
            found = _post_stratified(post, draws, rng, level, error)
            macro_f1 = made[1] if model == "silver" else None
            made = list(score_rows(found, (), WHOLE, ()))
            if macro_f1:
                made[1] = macro_f1
            rows += [of_head | {"estimator": "post_stratified"} | row for row in made]
            ppi = _ppi(post, judged, label, agrees, split_agrees, weight, draws, rng, level)
            rows.append(of_head | _share_row("ppi", *ppi, len(post.truth), len(a), error))
            if model == "silver":
                if error is not None:  # agreement is with what was said, errors and all
                    given |= {"whole": ("accuracy",), "by_class": (), "error": None}
                    (as_judged,) = head_estimates(
                        judged, label, len(a), stratum=stratum, weights=(weight,), **given
                    )
                agreement[a.name] = (float(as_judged.low[0]), float(as_judged.high[0]))
            else:
                bound = _bound(*agreement[a.name], float(split_agrees.mean()), level)
                rows.append(of_head | _share_row("bound", *bound, len(post.truth), len(a), error))
    return pd.DataFrame(rows).assign(reference="audit")[COLUMNS]


def _check_population(
    predictions: Mapping[str, Codes], population: Mapping[str, Codes], schema: Schema
) -> None:
    lacking = [model for model in ("silver", *predictions) if model not in population]
    if lacking:
        raise ValueError(f"population lacks {lacking[0]!r}; received {', '.join(population) or 'nothing'}")
    for model in predictions:
        for name in schema.names:
            size, wanted = len(population[model][name]), len(population["silver"][name])
            if size != wanted:
                raise ValueError(
                    f"population: {name} of {model} has {size} entries; silver has {wanted} images"
                )


def _same(label: np.ndarray, teacher: np.ndarray) -> np.ndarray:
    """Whether two labels agree; an abstention agrees with nothing, not even with another."""
    return (label == teacher) & (label >= 0)


def _post_stratified(
    post: PostStratified,
    draws: int,
    rng: np.random.Generator,
    level: float,
    error: ErrorShare | None,
) -> Estimates:
    """Post-stratified accuracy and macro-F1, with intervals from their posterior."""
    k, counts = post.k, post.counts
    support = np.bincount(post.truth, minlength=k)
    truth = counts.sum(1)[:k]
    one = inverse(np.where(truth > 0, truth + counts.sum(0)[:k], 0.0))
    share = np.append(one * inverse((truth > 0).sum()), 0.0)[None]

    def score(table: np.ndarray) -> np.ndarray:
        return stacked_scores(table, WHOLE, ())

    value = score(counts)
    value[0] = post.accuracy.value[0]
    ends = [post.accuracy.interval(draws, rng, level)]
    ends.append(post.scores(share, np.nan_to_num(value[1:])).interval(draws, rng, level))
    low, high = np.concatenate(ends, axis=1)
    parts = corrected(value, low, high, k, lambda e: score(without_errors(counts, e)), error)
    n = np.full(2, len(post.truth))
    how = f"{level:.0%} posterior of the hit rates by agreement, B={draws}; {words(error)}"
    lacking = int(((truth > 0) & (support == 0)).sum())
    return estimates(parts, n, how, WHOLE, (lacking, max(int((truth > 0).sum()), 1)))


def _ppi(
    post: PostStratified,
    judged: np.ndarray,
    label: np.ndarray,
    agrees: np.ndarray,
    split_agrees: np.ndarray,
    weight: np.ndarray,
    draws: int,
    rng: np.random.Generator,
    level: float,
) -> tuple[float, float, float, str]:
    """Value, ends and words: the posterior of the hit rates, and that of the agreement of the judged images.

    Apart from the part of agreement that λ does not correct, prediction-powered accuracy is the
    post-stratified one.
    """
    seen = judged >= 0
    if seen.sum() < FEWEST:
        return np.nan, np.nan, np.nan, ""
    w, agree = weight[seen], agrees[seen].astype(float)
    value, *_, lam = ppi_accuracy(judged[seen] == label[seen], agree, split_agrees, w)
    value = float(np.clip(value, 0, 1))
    hit = (1 - post.accuracy.rate[0]) * post.given_share  # no label is never right
    size, share = float(kish_size(w)), float(w @ agree / w.sum())
    drawn = rng.beta(size * share + 0.5, size * (1 - share) + 0.5, size=draws)
    moved = post.accuracy.draws(draws, rng)[:, 0] - post.accuracy.value[0]
    low, high = percentile_interval(value + moved + (lam - hit[1] + hit[0]) * (share - drawn), level)
    ends = min(max(float(low), 0.0), value), max(min(float(high), 1.0), value)
    return value, *ends, f"{level:.0%} posterior of the hit rates by agreement, B={draws}; λ={lam:.2f}"


def _bound(low: float, high: float, agreement: float, level: float) -> tuple[float, float, float, str]:
    """No value, outer ends of the bound, and words; agreement of model and silver label is counted."""
    least, _ = metric_bound(low, agreement)
    _, most = metric_bound(np.clip(agreement, low, high), agreement)
    how = f"outer ends of the bound over the {level:.0%} interval of silver–audit agreement"
    return np.nan, float(least), float(most), how


def _share_row(
    estimator: str, value: float, low: float, high: float, how: str, n: int, k: int, error: ErrorShare | None
) -> dict:
    """A row of accuracy from its value and ends."""
    row = {"estimator": estimator, "class": "all", "statistic": "accuracy", "n": n}
    if n < FEWEST:
        how = TOO_FEW if n else NO_HUMAN_LABEL
        return row | dict.fromkeys(("value", "low", "high", *WHAT_IF_COLUMNS), np.nan) | {"interval": how}
    middle = (low + high) / 2 if np.isnan(value) else value
    (centre,), (low,), (high,), (what_if,) = corrected(
        *np.array([[middle], [low], [high]]), k, lambda e: share_without_errors(middle, k, e), error
    )
    ends = {"value": np.nan if np.isnan(value) else centre, "low": low, "high": high}
    return (
        row | ends | {"interval": f"{how}; {words(error)}"} | dict(zip(WHAT_IF_COLUMNS, what_if, strict=True))
    )


def with_silver_scores(truth: pd.DataFrame, scores: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Put the scores against silver labels beside those against a person.

    Args:
        truth: From `truth_table`.
        scores: From `score_table`.
        models: Whose scores to take.

    Returns:
        `truth` with rows of ``estimator`` and ``reference`` ``silver`` after its own.
    """
    whole = scores[(scores["class"] == "all") & scores["metric"].isin(WHOLE) & scores["model"].isin(models)]
    silver = whole[whole["head"].isin(truth["head"].unique())].rename(columns={"metric": "statistic"})
    silver = silver.assign(estimator="silver", reference="silver").reindex(columns=truth.columns)
    return pd.concat([truth, silver], ignore_index=True)


def three_columns(truth: pd.DataFrame, models: Sequence[str], judge: str = "human auditor") -> pd.DataFrame:
    """The same score of the same model held against three things.

    Args:
        truth: From `with_silver_scores`.
        models: Which models.
        judge: Who judged, in words.

    Returns:
        Columns `model, head, statistic, against, value, low, high, n, interval`, for accuracy and
        macro-F1 of every head: ``against`` is ``silver labels``, the judge (post-stratified; NaN where
        nothing was asked), ``bound from silver agreement`` (accuracy only; value NaN, low
        and high its ends) or, where the table has it, the known truth.
    """
    kept = truth[(truth["class"] == "all") & truth["statistic"].isin(WHOLE) & truth["model"].isin(models)]
    kept = kept[kept["estimator"].isin(list(AGAINST))]
    ranked = kept.assign(
        against=[AGAINST[estimator].format(judge=judge) for estimator in kept["estimator"]],
        order=kept["model"].map(list(models).index),
        head_order=kept["head"].map(list(truth["head"].unique()).index),
        column=kept["estimator"].map(list(AGAINST).index),
    )
    keys = ["order", "head_order", "statistic", "column"]
    return ranked.sort_values(keys, kind="stable", ignore_index=True)[THREE_COLUMNS]
