"""What the designs of an audit are worth, in drawn splits whose truth is known.

Run it from the project's folder; it prints three tables in about a minute:

    python benchmarks/audit_designs.py

1. Coverage of the 95 % Rao–Wu intervals over 500 audits of 210 images, and their mean half-width.
2. Half-widths (1.96 standard deviations over 1,000 audits): ten per fabric (210) against Neyman with half as
   many labels (105), and the number of labels at which Neyman's accuracy is as well known.
3. How often a threshold breaks its promise over 500 audits: weighted Learn-then-Test, chosen on one half,
   against the largest coverage whose observed weighted risk is low.

Fabrics come in two kinds of sizes: those of the published test split (almost equal) and lognormal ones.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from swatchbook.audit.designs import DESIGNS, Design, draw_within, make_design
from swatchbook.drawn.latent import draw_rows
from swatchbook.evaluation.certification import halves, thresholds_at, weighted_learn_then_test
from swatchbook.evaluation.resample import percentile_interval, rao_wu_weights, with_estimate
from swatchbook.evaluation.scores import accuracy, macro_f1
from swatchbook.evaluation.weighted_scores import abstention_tables
from swatchbook.schema import Schema

PUBLISHED = np.array([200] * 17 + [197, 60, 57, 46])
ACCURACY = {"color": 0.92, "pattern": 0.80, "texture": 0.67}  # of the labels, abstentions aside
SPREAD, SHARED = 4.0, 0.3  # of the confidences, and how much of it the attributes share


def lognormal_sizes(rng: np.random.Generator, images: int = 3760, fabrics: int = 21) -> np.ndarray:
    """Sizes of fabrics of which a few hold most images; each has at least twelve."""
    sizes = np.exp(rng.normal(size=fabrics))
    return np.maximum((sizes / sizes.sum() * images).astype(int), 12)


def drawn_split(
    sizes: np.ndarray, schema: Schema, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A test split with its truth: each label is right with the probability that its confidence says.

    Args:
        sizes: Images of each fabric.
        schema: Gives classes and thresholds of color, pattern and texture.
        rng: Source of randomness.

    Returns:
        (test, silver, truth, surest): as `draw_audit` takes them, and attribute → codes of the truth and of
        the labeller's surest class, abstained or not.
    """
    fabric = np.repeat(np.arange(len(sizes)), sizes)
    n, names = len(fabric), list(ACCURACY)
    common = np.eye(3) * (1 - SHARED) + SHARED
    uniform = stats.norm.cdf(rng.multivariate_normal(np.zeros(3), common, size=n))
    ids = [f"{f:02d}/{i:05d}.jpg" for i, f in enumerate(fabric)]
    test = pd.DataFrame({"image_id": ids, "folder": [f"fabric {f:02d}" for f in fabric], "split": "test"})
    silver = pd.DataFrame({"image_id": ids, "material": None, "material_confidence": np.nan})
    truth, surest = {}, {}
    for name, u in zip(names, uniform.T, strict=True):
        a, share = schema[name], ACCURACY[name]
        k = len(a)
        margin = 0.8 * rng.dirichlet(np.full(k, 3.0)) + 0.2 / k
        of_fabric = 0.7 * rng.dirichlet(margin * k, size=len(sizes)) + 0.3 * margin
        true = draw_rows(of_fabric[fabric], rng)
        sure = np.clip(stats.beta.ppf(u, share * SPREAD, (1 - share) * SPREAD), 1 / k, 1 - 1e-6)
        wrong = draw_rows(margin * (1 - np.eye(k)[true]), rng)
        surest[name] = np.where(rng.random(n) < sure, true, wrong)
        labels = np.array(a.classes, dtype=object)[surest[name]]
        silver[name] = np.where(sure >= a.threshold, labels, None)
        silver[f"{name}_confidence"], truth[name] = sure, true
    return test, silver, truth, surest


def weights_of(plan: Design) -> np.ndarray:
    """What each image would stand for if it were drawn, shape (N,)."""
    return (np.bincount(plan.stratum) / plan.drawn)[plan.stratum]


def accuracy_error(plan: Design, correct: np.ndarray) -> float:
    """Exact standard error of weighted accuracy in audits of this design."""
    population = np.bincount(plan.stratum)
    share = np.bincount(plan.stratum, correct) / population
    spread = share * (1 - share) * population / np.maximum(population - 1, 1)
    left = 1 - plan.drawn / population
    return float(np.sqrt(((population / population.sum()) ** 2 * spread / plan.drawn * left).sum()))


def labels_needed(
    test: pd.DataFrame, silver: pd.DataFrame, schema: Schema, correct: np.ndarray, error: float
) -> int:
    """Fewest labels, in steps of 5, at which the Neyman design knows accuracy as well as ``error``."""
    for n in range(50, len(test) // 2, 5):
        if accuracy_error(make_design(test, silver, schema, design="neyman", n=n), correct) <= error:
            return n
    return len(test)


def coverage(
    sizes: np.ndarray, schema: Schema, seed: int, audits: int = 500, draws: int = 500
) -> pd.DataFrame:
    """Table 1."""
    rng = np.random.default_rng(seed)
    test, silver, truth, _ = drawn_split(sizes, schema, rng)
    codes = schema.encode(silver, "silver")
    one = np.ones((1, len(test)))
    true = np.concatenate([_statistics(truth[a], codes[a], len(schema[a]), one) for a in ACCURACY], axis=1)[0]
    rows = []
    for design in DESIGNS:
        plan = make_design(test, silver, schema, design=design, n=210)
        weight = weights_of(plan)
        covered, width = [], []
        for _ in range(audits):
            x = draw_within(plan.stratum, plan.drawn, rng)
            drawn = with_estimate(weight[x], rao_wu_weights(plan.stratum[x], draws, rng))
            pair = [_statistics(truth[a][x], codes[a][x], len(schema[a]), drawn) for a in ACCURACY]
            low, high = percentile_interval(np.concatenate(pair, axis=1)[1:])
            covered.append((low <= true) & (true <= high))
            width.append((high - low) / 2)
        share, half = np.mean(covered, axis=0), np.mean(width, axis=0)
        for i, name in enumerate(ACCURACY):
            row = {"design": design, "attribute": name}
            for j, statistic in enumerate(("accuracy", "macro_f1")):
                row |= {f"{statistic} covered": share[2 * i + j], f"{statistic} ±": half[2 * i + j]}
            rows.append(row)
    return pd.DataFrame(rows)


def half_the_labels(sizes: np.ndarray, schema: Schema, seed: int, audits: int = 1000) -> pd.DataFrame:
    """Table 2."""
    rng = np.random.default_rng(seed)
    test, silver, truth, _ = drawn_split(sizes, schema, rng)
    codes = schema.encode(silver, "silver")
    plans = {
        "fabric 210": make_design(test, silver, schema, design="fabric", n=210),
        "neyman 105": make_design(test, silver, schema, design="neyman", n=105),
    }
    errors: dict[str, np.ndarray] = {}
    for name, plan in plans.items():
        weight, made = weights_of(plan), []
        for _ in range(audits):
            x = draw_within(plan.stratum, plan.drawn, rng)
            made.append(
                [_statistics(truth[a][x], codes[a][x], len(schema[a]), weight[None, x])[0] for a in ACCURACY]
            )
        errors[name] = 1.96 * np.std(made, axis=0, ddof=1)
    rows = []
    for i, a in enumerate(ACCURACY):
        correct = codes[a] == truth[a]
        needed = labels_needed(test, silver, schema, correct, accuracy_error(plans["fabric 210"], correct))
        row = {"attribute": a}
        for j, statistic in enumerate(("accuracy", "macro_f1")):
            row |= {f"{statistic}, {name}": width[i, j] for name, width in errors.items()}
        rows.append(row | {"labels needed": needed, "of fabric's": needed / 210})
    return pd.DataFrame(rows)


def promises(
    sizes: np.ndarray, schema: Schema, seed: int, audits: int = 500, alpha: float = 0.2, delta: float = 0.1
) -> pd.DataFrame:
    """Table 3, for texture."""
    rng = np.random.default_rng(seed)
    test, silver, truth, surest = drawn_split(sizes, schema, rng)
    sure, wrong = silver["texture_confidence"].to_numpy(), surest["texture"] != truth["texture"]
    grid, rows = thresholds_at(sure), []
    for design in DESIGNS:
        for n in (210, 600):
            plan = make_design(test, silver, schema, design=design, n=n)
            weight, made = weights_of(plan), []
            for _ in range(audits):
                x = draw_within(plan.stratum, plan.drawn, rng)
                x = x[halves(plan.stratum[x], rng)]
                safe = weighted_learn_then_test(
                    sure[x], ~wrong[x], grid, plan.stratum[x], weight[x], alpha=alpha, delta=delta
                ).value
                naive = naive_threshold(sure[x], wrong[x], weight[x], alpha)
                made.append([f(sure, wrong, t) for t in (safe, naive) for f in (_risk, _kept)])
            safe_risk, safe_kept, naive_risk, naive_kept = np.transpose(made)
            rows.append(
                {
                    "design": design,
                    "n": n,
                    "LTT broken": (safe_risk > alpha).mean(),
                    "allowed": delta + 2 * np.sqrt(delta * (1 - delta) / audits),
                    "LTT keeps": safe_kept.mean(),
                    "naive broken": (naive_risk > alpha).mean(),
                    "naive keeps": naive_kept.mean(),
                }
            )
    return pd.DataFrame(rows)


def naive_threshold(sure: np.ndarray, wrong: np.ndarray, weight: np.ndarray, alpha: float) -> float:
    """The loosest threshold whose observed weighted risk is at most α; infinite where there is none."""
    order = np.argsort(-sure)
    risk = np.cumsum((weight * wrong)[order]) / np.cumsum(weight[order])
    good = np.flatnonzero(risk <= alpha)
    return float(sure[order][good[-1]]) if good.size else float("inf")


def _statistics(true: np.ndarray, label: np.ndarray, k: int, weights: np.ndarray) -> np.ndarray:
    """Accuracy and macro-F1, abstentions wrong, of each replicate; shape (B, 2)."""
    counts = abstention_tables(true, label, k, weights)
    return np.stack([accuracy(counts), macro_f1(counts)], axis=1)


def _risk(sure: np.ndarray, wrong: np.ndarray, threshold: float) -> float:
    kept = sure >= threshold
    return float(wrong[kept].mean()) if kept.any() else 0.0


def _kept(sure: np.ndarray, wrong: np.ndarray, threshold: float) -> float:
    return float((sure >= threshold).mean())


def main() -> None:
    """Print the tables."""
    schema = Schema.load()
    kinds = {"published": PUBLISHED, "lognormal": lognormal_sizes(np.random.default_rng(5))}
    for kind, sizes in kinds.items():
        for title, study in (
            ("intervals of 500 audits of 210 images", coverage),
            ("half-widths", half_the_labels),
            ("promises: texture, at most 20% wrong, may fail in 10%", promises),
        ):
            print(f"\n{kind} sizes: {title}")
            print(study(sizes, schema, seed=11).to_string(index=False, float_format="%.3f"), flush=True)


if __name__ == "__main__":
    main()
