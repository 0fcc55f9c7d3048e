"""What graded slices tell without a fine-tuned network: shares by level, and regressions on frozen embeddings.

Every fit counts an annotation as often as its grade's weight says, as the fine-tuning does: all are made for the
weighted log loss. Each gives predictions of the test annotations in the same table.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medutils import cache
from medutils.data.graded_slices import GradedSlices
from medutils.data.lumbar import GRADES, LEVELS
from medutils.training.grader import Recipe
from medutils.training.grading import table_of
from medutils.training.loop import Progress
from medutils.training.weighted_regression import Knows, fit
from medutils.training.workers import each_apart


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
    for done, _ in enumerate(each_apart([partial(_kept, one) for one in fits.values()]), start=1):
        if progress:
            progress(done, len(fits))
    return {name: regression(one) for name, one in fits.items()}


def regression(one: Fit) -> pd.DataFrame:
    """Test predictions of a multinomial logistic regression on standardised features.

    The penalty is the one of `STRENGTHS` with the lowest weighted log loss on the validation studies.
    """
    found = json.loads(_kept(one).read_text(encoding="utf-8"))
    return table_of(one.slices.records.iloc[one.slices.rows("test")], np.array(found["test"]))


def _kept(one: Fit) -> Path:
    records = one.slices.records
    y, level = (
        records[column].map(names.index).to_numpy(np.int64) for column, names in (("label", GRADES), ("level", LEVELS))
    )
    rows = {side: one.slices.rows(side) for side in ("train", "validation", "test")}
    sides = {side: some.tolist() for side, some in rows.items()}
    depends = [cache.array_hash(one.features), y.tolist(), level.tolist(), sides, one.knows, one.weights]

    def make(part: Path) -> None:
        found = fit(one.features, y, level, rows, one.knows, one.weights, len(LEVELS))
        part.write_text(json.dumps(found), encoding="utf-8")

    return cache.kept("grade_regressions", make, cache.key_of(fit, *depends, version("scikit-learn")), ".json")
