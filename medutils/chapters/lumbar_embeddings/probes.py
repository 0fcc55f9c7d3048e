"""Logistic regressions on numbers that stay as they are, cross-validated by patient."""

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medutils.tables import check_predictions

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

    Models = Sequence[LogisticRegression]

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Design = Callable[[Rows], Array]

STRENGTHS = (0.003, 0.03, 0.3)  # scikit-learn's C: the smaller, the stronger the penalty
FOLDS, INNER = 5, 3
# What is known of every row, such as the disc's number, comes so large that the penalty hardly holds it: it is the
# prior, and a penalty on it would make the prior of a model with many other columns a worse one.
KNOWN = 10.0


def cross_validated(
    design: Design,
    records: pd.DataFrame,
    classes: Sequence[str],
    repeats: int = 1,
    seed: int = 0,
    strengths: Sequence[float] = STRENGTHS,
    weights: Sequence[float] = (),
) -> pd.DataFrame:
    """Predictions of every row by regressions that were fitted without its patient.

    Parameters
    ----------
    design: from the training rows, places in `records`, to the numbers of all rows, (rows, numbers): what it
        standardises or reduces, it learns from training rows alone
    records: `record_id`, `patient` and `label`, one of `classes`
    repeats: how often the folds are drawn; the column `repeat` counts them
    strengths: of the penalty, scikit-learn's C; of several, each regression takes the one with the lowest log loss in
        folds of its own training patients
    weights: what a training row of each class counts; each the same when none are given

    The column `fold` says which fold held a row out.
    """
    from sklearn.linear_model import LogisticRegression

    y, patients = pd.Index(classes).get_indexer(records["label"]), records["patient"].to_numpy()
    of_class = dict(enumerate(weights)) or None
    models = [LogisticRegression(C=strength, class_weight=of_class, max_iter=1000) for strength in strengths]
    tables = []
    for repeat in range(repeats):
        table = records[["record_id", "patient"]].assign(y_true=records["label"], repeat=repeat)
        found = _held_out(design, y, patients, len(classes), seed + repeat, models)
        table[[f"prob_{name}" for name in classes]], table["fold"] = found
        tables.append(table)
    return check_predictions(pd.concat(tables, ignore_index=True))


def _held_out(
    design: Design, y: Rows, patients: NDArray[np.object_], classes: int, seed: int, models: "Models"
) -> tuple[Array, Rows]:
    """Probabilities (rows, classes) and the fold of each row."""
    from sklearn.model_selection import StratifiedGroupKFold
    from threadpoolctl import threadpool_limits

    found, fold = np.zeros((len(y), classes)), np.zeros(len(y), np.int64)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # rare grades, said by the counts
        warnings.filterwarnings("ignore", "Number of classes in training fold")
        for number, (train, test) in enumerate(folds.split(y, y, patients)):
            fold[test] = number
            x = design(train)
            model = _fitted(x[train], y[train], patients[train], seed, models)
            found[test[:, None], model.classes_] = model.predict_proba(x[test])
    return found, fold


def _fitted(x: Array, y: Rows, patients: NDArray[np.object_], seed: int, models: "Models") -> "LogisticRegression":
    """A regression, its penalty chosen in folds by patient where there is a choice."""
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    if len(models) == 1:
        return models[0].fit(x, y)
    parts = StratifiedGroupKFold(INNER, shuffle=True, random_state=seed)
    held = [cross_val_predict(one, x, y, groups=patients, cv=parts, method="predict_proba") for one in models]
    return models[int(np.argmin([log_loss(y, one, labels=np.unique(y)) for one in held]))].fit(x, y)
