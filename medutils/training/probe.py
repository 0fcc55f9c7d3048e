"""A logistic regression on features that stay as they are: how much of the answer lies in them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from medutils import cache
from medutils.data.films import Films
from medutils.evaluation import Rule, choose_threshold
from medutils.tables import check_predictions

Array = NDArray[np.float64]

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # scikit-learn's C: the smaller, the stronger the penalty


@dataclass(frozen=True, eq=False)
class Probe:
    """What a logistic regression on fixed features gave.

    predictions: of the test films, with the column `threshold`
    out_of_fold: of the training films, each by the regression that was fitted without its patient
    c: the strength of the penalty with the lowest out-of-fold log loss
    """

    predictions: pd.DataFrame
    out_of_fold: pd.DataFrame
    c: float


def linear_probe(
    films: Films, features: NDArray[Any], rule: Rule = "balanced accuracy", folds: int = 5, seed: int = 0
) -> Probe:
    """Fit a logistic regression to features, (films, numbers), of the training films, and predict the test films.

    The folds keep all films of a patient together. They choose the penalty, by log loss, and the threshold, by `rule`,
    from the out-of-fold probabilities of the positive class. Validation films that a folder brings are training films.
    """
    films = films.undivided()
    train, test = films.rows("train"), films.rows("test")
    patients = films.records["patient"].iloc[train].tolist()
    split = {"train": features[train], "test": features[test], "y": films.y[train].numpy()}
    hashes = {name: cache.array_hash(values) for name, values in split.items()}
    key = cache.key_of(_fit, hashes, patients, folds, seed)

    def make(part: Path) -> None:
        # On one thread: matrices of this size gain nothing from a second, and lose much where others compute too.
        with threadpool_limits(1):
            part.write_text(json.dumps(_fit(**split, patients=patients, folds=folds, seed=seed)), encoding="utf-8")

    found = json.loads(cache.kept("probes", make, key, ".json").read_text(encoding="utf-8"))
    positive = np.array(found["train"])[:, -1]
    threshold = choose_threshold((split["y"] == len(films.classes) - 1).astype(float), positive, rule)
    tables = {side: _table(films, rows, found[side], threshold) for side, rows in (("train", train), ("test", test))}
    return Probe(tables["test"], tables["train"], found["c"])


def _fit(
    train: NDArray[Any], test: NDArray[Any], y: NDArray[np.int64], patients: list[str], folds: int, seed: int
) -> Mapping[str, Any]:
    """Out-of-fold and test probabilities, (films, classes), with the penalty of the lowest log loss."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parts = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    x, best = train.astype(float), np.inf
    found: dict[str, Any] = {}
    for c in STRENGTHS:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=5000))
        held = cross_val_predict(model, x, y, groups=patients, cv=parts, method="predict_proba")
        if (loss := log_loss(y, held)) < best:
            best, found = loss, {"c": c, "train": held.tolist(), "model": model}
    model = found.pop("model").fit(x, y)
    return {**found, "test": model.predict_proba(test.astype(float)).tolist()}


def _table(films: Films, rows: NDArray[np.int64], probability: list[list[float]], threshold: float) -> pd.DataFrame:
    records = films.records.iloc[rows]
    table = records[["record_id", "patient"]].assign(y_true=records["label"], threshold=threshold)
    table[[f"prob_{name}" for name in films.classes]] = np.array(probability)
    return check_predictions(table.reset_index(drop=True))
