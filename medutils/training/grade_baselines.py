"""What graded slices tell without a fine-tuned network: shares by level, and regressions on frozen embeddings.

Every fit counts an annotation as often as its grade's weight says, as the fine-tuning does: all are made for the
weighted log loss. Each gives predictions of the test annotations in the same table.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medutils import cache
from medutils.data.graded_slices import GradedSlices
from medutils.data.lumbar import GRADES, LEVELS
from medutils.training.grader import Recipe
from medutils.training.grading import table_of
from medutils.training.loop import Progress
from medutils.training.workers import each_apart

Array = NDArray[np.float64]
Knows = Literal["nothing", "level", "level apart"]

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2)  # scikit-learn's C: the smaller, the stronger the penalty
FREE = 30.0  # what stands for 1 where a level is named: the penalty hardly reaches what is learnt of a level alone


@dataclass(frozen=True, eq=False)
class Fit:
    """A regression to be fitted.

    features: (annotations, numbers), in the order of the records
    knows: `nothing` of the level, the `level` as five more numbers, or the `level apart`: a regression for each
    """

    slices: GradedSlices
    features: NDArray[Any]
    knows: Knows = "level"
    weights: tuple[float, ...] = Recipe.weights


def prior(slices: GradedSlices, by_level: bool = True, weights: tuple[float, ...] = Recipe.weights) -> pd.DataFrame:
    """Test predictions that give each annotation the weighted shares of the grades in training, at its level or at all.

    A level that training lacks has the shares of all.
    """
    train, test = (slices.records.iloc[slices.rows(side)] for side in ("train", "test"))
    counts = pd.crosstab(train["level"], train["label"]).reindex(index=LEVELS, columns=GRADES, fill_value=0)
    counts = counts * np.array(weights)
    overall = counts.sum()
    if not by_level:
        counts.loc[:] = overall.to_numpy()
    counts.loc[counts.sum(axis=1) == 0] = overall.to_numpy()
    shares = counts.div(counts.sum(axis=1), axis=0)
    return table_of(test, shares.loc[test["level"]].to_numpy())


def on_annotated(slices: GradedSlices, embedded: NDArray[Any]) -> NDArray[Any]:
    """Each annotation's own slice: (annotations, numbers) of embeddings (slices, numbers)."""
    return embedded[slices.records["slice"]]


def on_studies(slices: GradedSlices, embedded: NDArray[Any]) -> NDArray[Any]:
    """The mean over the slices of each annotation's study, each counted once, which tells no side and no level."""
    pairs = slices.records[["patient", "slice"]].drop_duplicates()
    means = pd.DataFrame(embedded[pairs["slice"]]).groupby(pairs["patient"].to_numpy()).mean()
    return means.loc[slices.records["patient"]].to_numpy()


def noise(slices: GradedSlices, numbers: int, seed: int = 0) -> NDArray[np.float32]:
    """Gaussian noise in place of an embedding, one draw a slice: (annotations, numbers)."""
    files = int(slices.records["slice"].max()) + 1
    return on_annotated(slices, np.random.default_rng(seed).standard_normal((files, numbers), dtype=np.float32))


def regressions(fits: Mapping[str, Fit], progress: Progress | None = None) -> dict[str, pd.DataFrame]:
    """Test predictions of each regression, by name; fitted beside each other, each on one core, and kept."""
    for done, _ in enumerate(each_apart([partial(_kept, fit) for fit in fits.values()]), start=1):
        if progress:
            progress(done, len(fits))
    return {name: regression(fit) for name, fit in fits.items()}


def regression(fit: Fit) -> pd.DataFrame:
    """Test predictions of a multinomial logistic regression on standardised features.

    The penalty is the one of `STRENGTHS` with the lowest weighted log loss on the validation studies.
    """
    found = json.loads(_kept(fit).read_text(encoding="utf-8"))
    return table_of(fit.slices.records.iloc[fit.slices.rows("test")], np.array(found["test"]))


def _kept(fit: Fit) -> Path:
    records = fit.slices.records
    y, level = (
        records[column].map(names.index).to_numpy(np.int64) for column, names in (("label", GRADES), ("level", LEVELS))
    )
    rows = {side: fit.slices.rows(side) for side in ("train", "validation", "test")}
    sides = {side: some.tolist() for side, some in rows.items()}
    depends = [cache.array_hash(fit.features), y.tolist(), level.tolist(), sides, fit.knows, fit.weights]

    def make(part: Path) -> None:
        found = _fit(fit.features, y, level, rows, fit.knows, fit.weights)
        part.write_text(json.dumps(found), encoding="utf-8")

    return cache.kept("grade_regressions", make, cache.key_of(_fit, *depends), ".json")


def _fit(
    features: NDArray[Any],
    y: NDArray[np.int64],
    level: NDArray[np.int64],
    rows: Mapping[str, NDArray[np.int64]],
    knows: Knows,
    weights: tuple[float, ...],
) -> dict[str, Any]:
    """Test probabilities (annotations, grades), and the penalty that the validation annotations chose."""
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    x = StandardScaler().fit(features[rows["train"]]).transform(features.astype(np.float32))
    if knows == "level":
        x = np.hstack([x, FREE * np.eye(len(LEVELS), dtype=np.float32)[level]])
    parts = (
        [np.flatnonzero(level == one) for one in range(len(LEVELS))] if knows == "level apart" else [np.arange(len(y))]
    )
    weight = np.array(weights)[y]
    with threadpool_limits(1):
        found = {c: _probabilities(x, y, weight, rows["train"], parts, c) for c in STRENGTHS}
    held = rows["validation"]
    losses = {c: _loss(p[held], y[held], weight[held]) for c, p in found.items()}
    best = min(losses, key=losses.__getitem__)
    return {"c": best, "losses": list(losses.values()), "test": found[best][rows["test"]].tolist()}


def _probabilities(
    x: NDArray[Any],
    y: NDArray[np.int64],
    weight: Array,
    train: NDArray[np.int64],
    parts: list[NDArray[np.int64]],
    c: float,
) -> Array:
    """Probabilities (annotations, grades) of all rows, each part of them by a regression on its own training rows."""
    from sklearn.linear_model import LogisticRegression

    found = np.zeros((len(y), len(GRADES)))
    for part in filter(len, parts):
        inside = np.intersect1d(part, train)
        model = LogisticRegression(C=c, max_iter=2000).fit(x[inside], y[inside], sample_weight=weight[inside])
        found[np.ix_(part, model.classes_)] = model.predict_proba(x[part].astype(float))
    return found


def _loss(p: Array, y: NDArray[np.int64], weight: Array) -> float:
    from sklearn.metrics import log_loss

    return float(log_loss(y, p, sample_weight=weight, labels=range(len(GRADES))))
