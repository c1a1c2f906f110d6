"""How often the intervals of the evaluation hold the truth, in drawn splits whose truth is known.

Run it from the project's folder, in one process (about half an hour at the default size):

    python benchmarks/coverage.py --out docs/results/coverage.csv --figure docs/results/coverage.png

Audits: a split of 21 fabrics of 57 to 200 images and skewed margins, a labeller whose errors depend on the
class and on the image and that abstains on hard images, and a model that imitates it. Worlds differ in the
design of the audit, in the sizes of the fabrics, in rare classes and in how good the labels are. Then the
agreement of two annotators near 1, the size of the equivalence test at a true difference of the margin, and
how often Learn-then-Test breaks its promise. Every row has its Monte Carlo error.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import optimize

from swatchbook.evaluation.agreement import agreement_table, cohen_kappa, gwet_ac1
from swatchbook.evaluation.association import cramers_v
from swatchbook.evaluation.audit import audit_table
from swatchbook.evaluation.certification import thresholds_at, weighted_learn_then_test
from swatchbook.evaluation.comparison import comparison_table
from swatchbook.evaluation.coupling import coupling_table
from swatchbook.evaluation.rectified import rectified_table
from swatchbook.evaluation.resample import image_weights, rao_wu_weights, table
from swatchbook.evaluation.scores import accuracy, f1, macro_f1
from swatchbook.evaluation.truth import truth_table
from swatchbook.schema import Attribute, Schema

FABRICS = np.array([200] * 17 + [197, 60, 57, 57])
MARGINS = {
    "color": np.array([26, 18, 14, 11, 8, 6, 5, 4, 3, 2.4, 1.6, 1.0]),
    "pattern": np.array([52, 18, 12, 9, 6, 3.0]),
    "texture": np.array([40, 26, 17, 11, 6.0]),
}
HITS = {"color": 0.92, "pattern": 0.80, "texture": 0.68}
DRAWS = 300
PARTS = ("audits", "agreements", "couplings", "promises")


class World(NamedTuple):
    """Settings of a world of audits.

    Attributes:
        n: Images judged.
        neyman: Whether strata are labels by confidence, with more images where labels are uncertain.
        uneven: Whether a few fabrics hold most images.
        rare: Power of the margins; above 1, classes are rarer.
        wrong: What the labels' error rates are multiplied by.
        annotator: Share of judgements that are wrong.
        twice: Whether every image is judged twice.
        coupled: Whether the attributes go together, with V of about .2 instead of .05.
    """

    n: int = 210
    neyman: bool = False
    uneven: bool = False
    rare: float = 1.0
    wrong: float = 1.0
    annotator: float = 0.0
    twice: bool = False
    coupled: bool = False


WORLDS = {
    "by fabric, 210": World(),
    "by fabric, 60": World(n=60),
    "Neyman, 210": World(neyman=True),
    "Neyman, 60": World(n=60, neyman=True),
    "uneven fabrics, 210": World(uneven=True),
    "uneven fabrics, 60": World(n=60, uneven=True),
    "rare classes, 210": World(rare=1.7),
    "rare classes, Neyman, 210": World(rare=1.7, neyman=True),
    "nearly perfect labels, 210": World(wrong=0.08),
    "nearly perfect labels, 60": World(n=60, wrong=0.08),
    "coupled attributes, 210": World(coupled=True),
    "coupled attributes, Neyman, 60": World(n=60, neyman=True, coupled=True),
    "coupled attributes, uneven fabrics, 210": World(uneven=True, coupled=True),
    "annotator errs in 3 %, judged once, 210": World(annotator=0.03),
    "annotator errs in 3 %, judged twice, 210": World(annotator=0.03, twice=True),
}


def schema(names: tuple[str, ...] = tuple(MARGINS)) -> Schema:
    """Attributes with the numbers of classes of the published study."""
    classes = {name: {f"{name} {i}": f"{name} {i}" for i in range(len(MARGINS[name]))} for name in names}
    return Schema(
        "coverage", tuple(Attribute(a, c, ("{}",), "zero_shot", 0.4, "ours") for a, c in classes.items())
    )


def draw(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A code for each row of probabilities."""
    return (
        (p.cumsum(-1) < rng.random((len(p), 1)) * p.sum(-1, keepdims=True)).sum(-1).clip(max=p.shape[-1] - 1)
    )


def split(world: World, rng: np.random.Generator) -> tuple[np.ndarray, dict, dict, dict, np.ndarray]:
    """Fabric, truth, silver labels and the codes of two models by attribute, and one confidence."""
    sizes = FABRICS
    if world.uneven:
        sizes = np.exp(rng.normal(size=21) * 1.1)
        sizes = np.maximum((sizes / sizes.sum() * FABRICS.sum()).astype(int), 12)
    fabric = np.repeat(np.arange(21), sizes)
    n = len(fabric)
    hard, shared = (
        rng.normal(size=n) + 0.4 * rng.normal(size=21)[fabric],
        rng.dirichlet(np.full(6, 3.0), size=21),
    )
    kind = draw(shared[fabric], rng)
    truth, silver, models = {}, {}, {"imitator": {}, "other": {}}
    for name, margin in MARGINS.items():
        k, margin = len(margin), margin**world.rare / (margin**world.rare).sum()
        own, spread = (0.9, 2) if world.coupled else (0.4, 12)
        of_kind = (1 - own) * margin + own * rng.dirichlet(margin * spread + 0.01, size=6)
        true = draw(of_kind[kind], rng)
        of_class = np.clip((1 - HITS[name]) * rng.uniform(0.5, 1.6, size=k), 0, 0.8)[true]
        chance = np.clip(world.wrong * of_class * np.exp(0.7 * hard - 0.3), 0, 0.9)
        confusion = rng.dirichlet(margin * 6 + 0.05, size=k) * (1 - np.eye(k)) + 1e-9
        label = np.where(rng.random(n) < chance, draw(confusion[true], rng), true)
        silver[name] = np.where(rng.random(n) < np.clip(0.12 * np.exp(0.8 * hard), 0, 0.7), -1, label)
        truth[name] = true
        for model, copies in (("imitator", 0.75), ("other", 0.25)):
            own = np.where(
                rng.random(n) < np.clip(0.8 * chance + 0.02, 0, 0.9), draw(confusion[true], rng), true
            )
            models[model][name] = np.where(rng.random(n) < copies, label, own)
    return fabric, truth, silver, models, hard + 0.5 * rng.normal(size=n)


def sample(
    world: World, fabric: np.ndarray, silver: dict, hard: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images judged, their strata, and what each stands for."""
    stratum, share = fabric, np.full(21, 1 / 21)
    if world.neyman:
        stratum = (silver["pattern"] + 1) * 3 + np.digitize(hard, np.quantile(hard, [0.5, 0.85]))
        stratum = np.unique(stratum, return_inverse=True)[1]
        doubt = np.bincount(stratum, np.clip(0.2 * np.exp(0.7 * hard), 0.02, 0.9)) / np.bincount(stratum)
        share = np.bincount(stratum) * np.sqrt(doubt * (1 - doubt).clip(min=0.05))
    size = np.bincount(stratum)
    least = min(4, world.n // len(size)) if world.neyman else 1
    wanted = np.minimum(np.maximum(np.round(world.n * share / share.sum()).astype(int), least), size)
    chosen = np.concatenate(
        [rng.choice(np.flatnonzero(stratum == h), m, replace=False) for h, m in enumerate(wanted)]
    )
    return chosen, stratum[chosen], (size / wanted)[stratum[chosen]]


class Tally:
    """Coverage, bias and width of each estimator."""

    def __init__(self) -> None:
        self.seen: dict[tuple, list[tuple]] = defaultdict(list)

    def add(self, key: tuple, value: float, low: float, high: float, true: float) -> None:
        """Record one interval, NaN where it was not estimable."""
        self.seen[key].append((value, low, high, true))

    def rows(self, columns: tuple[str, ...]) -> list[dict]:
        """A row a key."""
        made = []
        for key, found in self.seen.items():
            value, low, high, true = np.array(found).T
            known = ~np.isnan(low) & ~np.isnan(high) & ~np.isnan(true)
            row = dict(zip(columns, key, strict=True)) | {"n": len(found), "estimable": known.mean()}
            if known.any():
                inside = ((low <= true + 1e-9) & (true <= high + 1e-9))[known]
                row |= {
                    "value": inside.mean(),
                    "error": np.sqrt(max(inside.mean() * (1 - inside.mean()), 1 / known.sum()) / known.sum()),
                }
                row |= {
                    "bias": np.nanmean((value - true)[known]) if np.isfinite(value[known]).any() else np.nan
                }
                row |= {"width": (high - low)[known].mean(), "zero_width": ((high - low)[known] <= 0).mean()}
            made.append(row)
        return made


def scores_of(truth: np.ndarray, label: np.ndarray, k: int) -> dict[str, float | np.ndarray]:
    """True scores, an abstention counting as wrong."""
    counts = table(truth, np.where(label < 0, k, label), (k + 1, k + 1))
    return {"accuracy": float(accuracy(counts)), "macro_f1": float(macro_f1(counts)), "f1": f1(counts)[:k]}


def audits(world: World, replications: int, rng: np.random.Generator, tally: Tally, name: str) -> None:
    """Audit, truth, V of the truth and the comparison of two models, over many splits."""
    s = schema()
    for _ in range(replications):
        fabric, truth, silver, models, hard = split(world, rng)
        at, stratum, weight = sample(world, fabric, silver, hard, rng)
        humans = []
        for _ in range(2):
            human = {}
            for a in s:
                errs = rng.random(len(at)) < world.annotator
                human[a.name] = (truth[a.name][at] + errs * rng.integers(1, len(a), len(at))) % len(a)
            humans.append(human)
        of = {
            model: {x: codes[x][at] for x in s.names}
            for model, codes in (("silver", silver), *models.items())
        }
        design = {"stratum": stratum, "weight": weight}
        second = humans[1] if world.twice else None
        known = {
            m: {a.name: scores_of(truth[a.name], c[a.name], len(a)) for a in s}
            for m, c in (("silver", silver), *models.items())
        }
        frame = audit_table(humans[0], of["silver"], s, **design, population=silver, second=second)
        frame = frame[(frame["abstained"] == "wrong") & (frame["weighting"] == "design")]
        _record(
            frame.assign(model="silver", estimator="audit", head=frame["attribute"]), known, s, tally, name
        )
        frame = truth_table(
            humans[0],
            of["silver"],
            {m: of[m] for m in models},
            {"silver": silver, **models},
            s,
            **design,
            draws=DRAWS,
            rng=rng,
            second=second,
        )
        _record(frame[frame["estimator"].isin(["post_stratified", "ppi", "design"])], known, s, tally, name)
        if world.annotator:
            continue
        frame = rectified_table(humans[0], of["silver"], silver, s, **design)
        for row in frame.itertuples():
            a, b = row.a, row.b
            counts = table(truth[a], truth[b], (len(s[a]), len(s[b])))
            tally.add(
                (name, row.statistic, "truth", f"{a} × {b}", "v"),
                row.value,
                row.low,
                row.high,
                float(cramers_v(counts, correct=False)),
            )
        pair = {m: of[m] for m in models}
        frame = comparison_table(
            humans[0],
            pair,
            s,
            rao_wu_weights(stratum, DRAWS, rng),
            design=weight,
            model="other",
            baseline="imitator",
        )
        for row in frame[
            frame["statistic"].isin(["delta_accuracy", "delta_macro_f1"]) & (frame["head"] != "mean")
        ].itertuples():
            what = row.statistic.removeprefix("delta_")
            tally.add(
                (name, "comparison", "other − imitator", row.head, row.statistic),
                row.value,
                row.low,
                row.high,
                known["other"][row.head][what] - known["imitator"][row.head][what],
            )


def _record(frame: pd.DataFrame, known: dict, s: Schema, tally: Tally, name: str) -> None:
    for row in frame.to_dict("records"):
        true, what = known[row["model"]][row["head"]], row["statistic"]
        if what not in ("accuracy", "macro_f1", "f1"):
            continue
        if what == "f1":
            n = row["n"]
            what = (
                "f1, 1 to 3 judged" if n < 4 else "f1, 4 to 9 judged" if n < 10 else "f1, 10 or more judged"
            )
            true = {"f1": true["f1"][s[row["head"]].classes.index(row["class"])]}
            if not n:
                continue
        key = (name, row["estimator"], row["model"], row["head"], what)
        tally.add(key, row["value"], row["low"], row["high"], true["f1" if what.startswith("f1") else what])


def agreements(replications: int, rng: np.random.Generator, tally: Tally) -> None:
    """Two annotators who agree in .85 or .985 of the images."""
    margin = MARGINS["pattern"] / MARGINS["pattern"].sum()
    s = schema(("pattern",))
    for apart in (0.15, 0.015):
        joint = np.diag(margin * (1 - apart)) + apart * np.outer(margin, margin) * (1 - np.eye(6)) / (
            1 - (margin**2).sum()
        )
        both = (joint + joint.T) / 2
        true = {
            "agreement": np.trace(both),
            "kappa": cohen_kappa(both),
            "ac1": gwet_ac1(both),
            "alpha": cohen_kappa(both),
        }
        for n in (30, 60, 210):
            for _ in range(replications):
                cell = rng.choice(36, size=n, p=both.ravel() / both.sum())
                codes = np.array(s["pattern"].classes, dtype=object)
                sheet = pd.concat(
                    [
                        pd.DataFrame({"image_id": np.arange(n), "annotator": who, "pattern": codes[x]})
                        for who, x in zip("ab", np.divmod(cell, 6), strict=True)
                    ]
                )
                for row in agreement_table(sheet, s).itertuples():
                    key = (
                        f"agreement {np.trace(both):.3f}, {n}",
                        "agreement",
                        "annotators",
                        "pattern",
                        row.statistic,
                    )
                    tally.add(key, row.value, row.low, row.high, float(true[row.statistic]))


def pair_of_tables(v: float, delta: float, rng: np.random.Generator) -> np.ndarray:
    """Joint distribution of the reference's and a model's labels of two attributes: V is v and v + delta."""
    a, b = (MARGINS[x] / MARGINS[x].sum() for x in ("pattern", "texture"))
    alone, most = np.outer(a, b), 12.0

    def at(t: float) -> np.ndarray:
        p = alone * np.exp(t * score)
        for _ in range(60):
            p *= (a / p.sum(1))[:, None]
            p *= b / p.sum(0)
        return p

    def apart(t: float, want: float) -> float:
        return float(cramers_v(at(t), correct=False)) - want

    while True:
        score = np.outer(rng.normal(size=len(a)), rng.normal(size=len(b)))
        score -= (a @ score)[None, :]
        score -= (score @ b)[:, None]
        if apart(most, v + delta) > 0:  # a few directions never reach a large V
            break
    wanted = [optimize.brentq(apart, 0, most, args=(want,)) if want else 0.0 for want in (v, v + delta)]
    return np.stack([at(t) for t in wanted])


def couplings(replications: int, rng: np.random.Generator, tally: Tally) -> list[dict]:
    """Coverage of V and ΔV, and how often "equivalent" is said where ΔV is .03."""
    s = schema(("pattern", "texture"))
    rows = []
    for n in (600, 3743):
        for v in (0.0, 0.05, 0.1, 0.15, 0.3):
            equivalent = []
            for i in range(replications):
                if i % 20 == 0:
                    reference, other = pair_of_tables(v, 0.03, rng)
                cell = rng.choice(reference.size, size=n, p=reference.ravel() / reference.sum())
                # The model keeps the reference's row where it can, so the two are paired.
                keep = np.minimum(other / reference, 1).ravel()[cell] > rng.random(n)
                rest = np.maximum(other - reference, 0).ravel()
                moved = np.where(keep, cell, rng.choice(rest.size, size=n, p=rest / rest.sum()))
                codes = [
                    dict(zip(s.names, np.divmod(x, reference.shape[1]), strict=True)) for x in (cell, moved)
                ]
                frame = coupling_table(
                    codes[0],
                    {"model": codes[1]},
                    s,
                    weights=image_weights(n, 100, rng),
                    rng=rng,
                    permutations=1,
                    null_draws=2,
                )
                frame = frame[(frame["a"] == "pattern") & (frame["rows"] == "identical")].set_index(
                    ["model", "statistic"]
                )
                delta, own = (
                    frame.loc[("model", "delta_v_corrected")],
                    frame.loc[("reference", "v_corrected")],
                )
                world = f"V of {v:g}, ΔV .03, {n}"
                tally.add(
                    (world, "coupling", "model", "pattern × texture", "delta_v"),
                    delta["value"],
                    delta["low"],
                    delta["high"],
                    0.03,
                )
                tally.add(
                    (world, "coupling", "reference", "pattern × texture", "v"),
                    own["value"],
                    own["low"],
                    own["high"],
                    v,
                )
                equivalent.append(delta["verdict"] in ("equivalent", "different but within"))
            rows.append(_share(world, "equivalence test", "size", np.array(equivalent), 0.05))
    return rows


def promises(replications: int, rng: np.random.Generator) -> list[dict]:
    """How often Learn-then-Test breaks its promise, and how often it certifies nothing."""
    rows = []
    for uneven in (False, True):
        for n in (60, 210, 420):
            for alpha, delta in ((0.1, 0.1), (0.1, 0.05), (0.2, 0.1)):
                broken, nothing = [], []
                for _ in range(replications):
                    sizes = (
                        FABRICS
                        if not uneven
                        else np.maximum(np.exp(rng.normal(size=21) * 1.1) * 110, 12).astype(int)
                    )
                    fabric = np.repeat(np.arange(21), sizes)
                    sure = rng.beta(4, 1.2, size=len(fabric))
                    risk = np.clip((1 - sure) * np.exp(0.8 * rng.normal(size=21))[fabric], 0, 1)
                    right = rng.random(len(fabric)) >= risk
                    each = np.minimum(n // 21, sizes)
                    at = np.concatenate(
                        [
                            rng.choice(np.flatnonzero(fabric == f), m, replace=False)
                            for f, m in enumerate(each)
                        ]
                    )
                    chosen = weighted_learn_then_test(
                        sure[at],
                        right[at],
                        thresholds_at(sure),
                        fabric[at],
                        (sizes / each)[fabric[at]],
                        alpha=alpha,
                        delta=delta,
                        starts=3,
                    )
                    nothing.append(chosen.accepted == 0)
                    broken.append(chosen.accepted > 0 and (~right[sure >= chosen.value]).mean() > alpha)
                world = f"{'uneven' if uneven else 'even'} fabrics, α {alpha:g}, δ {delta:g}, {n}"
                rows.append(_share(world, "Learn-then-Test", "violation", np.array(broken), delta))
                rows.append(_share(world, "Learn-then-Test", "nothing certified", np.array(nothing), np.nan))
    return rows


def _share(world: str, estimator: str, statistic: str, hits: np.ndarray, promised: float) -> dict:
    p = hits.mean()
    return {
        "world": world,
        "estimator": estimator,
        "statistic": statistic,
        "n": len(hits),
        "estimable": 1.0,
        "value": p,
        "error": np.sqrt(max(p * (1 - p), 1 / len(hits)) / len(hits)),
        "promised": promised,
    }


def draw_figure(frame: pd.DataFrame, path: Path) -> None:
    """Coverage of every estimator in every world, with two Monte Carlo errors."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shown = frame[
        frame["promised"].eq(0.95) & frame["value"].notna() & (frame["n"] * frame["estimable"] >= 100)
    ]
    worlds = list(dict.fromkeys(shown["world"]))
    figure, axes = plt.subplots(figsize=(9, 0.34 * len(worlds) + 1.2), layout="constrained")
    axes.axvspan(0.93, 0.97, color="#dddddd", zorder=0)
    for i, (estimator, rows) in enumerate(shown.groupby("estimator", sort=False)):
        y = np.array([worlds.index(w) for w in rows["world"]]) + 0.09 * (i - 3)
        axes.errorbar(
            rows["value"], y, xerr=2 * rows["error"], fmt="o", ms=3, lw=0.5, color=f"C{i}", label=estimator
        )
    axes.set(
        yticks=range(len(worlds)), yticklabels=worlds, xlabel="share of 95 % intervals that hold the truth"
    )
    axes.invert_yaxis()
    axes.legend(fontsize=7, loc="lower left")
    figure.savefig(path, dpi=130)


def main() -> None:
    """Read the arguments, simulate, write the table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parts", default=",".join(PARTS), help="which of them, with commas between")
    parser.add_argument("--worlds", default="", help="only worlds whose name holds this")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    tally, rows, begun = Tally(), [], time.perf_counter()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(PARTS):
        if part not in given.parts.split(","):
            continue
        rng = np.random.default_rng([given.seed, number])  # so that a part alone gives the same rows
        if part == "audits":
            for name, world in WORLDS.items():
                if given.worlds in name:
                    audits(world, given.replications, rng, tally, name)
                    print(f"{name}: {time.perf_counter() - begun:.0f} s", flush=True)
        elif part == "agreements":
            agreements(given.replications, rng, tally)
        elif part == "couplings":
            rows += couplings(given.replications, rng, tally)
        else:
            rows += promises(given.replications, rng)
        print(f"{part}: {time.perf_counter() - begun:.0f} s", flush=True)
        covered = tally.rows(("world", "estimator", "model", "head", "statistic"))
        frame = pd.DataFrame([{**row, "promised": 0.95} for row in covered] + rows)
        frame.to_csv(given.out, index=False, float_format="{:z.4f}".format)
    if given.figure:
        draw_figure(frame, given.figure)


if __name__ == "__main__":
    main()
