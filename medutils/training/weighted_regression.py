"""A logistic regression that counts each row as often as its grade's weight says: what a kept fit hangs on, alone."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Knows = Literal["nothing", "level", "level apart"]

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2)  # scikit-learn's C: the smaller, the stronger the penalty
FREE = 30.0  # what stands for 1 where a level is named: the penalty hardly reaches what is learnt of a level alone


def fit(
    features: NDArray[Any],
    y: NDArray[np.int64],
    level: NDArray[np.int64],
    rows: Mapping[str, NDArray[np.int64]],
    knows: Knows,
    weights: tuple[float, ...],
    levels: int,
) -> dict[str, Any]:
    """Test probabilities (annotations, grades), and the penalty that the validation annotations chose.

    features: (annotations, numbers); y, level: the number of each annotation's grade and of its level
    rows: the annotations of `train`, `validation` and `test`
    knows: `nothing` of the level, the `level` as `levels` more numbers, or the `level apart`: a regression for each
    weights: what an annotation of each grade counts

    Returns `c`, the penalty of `STRENGTHS` with the lowest weighted log loss on `validation`, `losses` and `test`.
    """
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    x = StandardScaler().fit(features[rows["train"]]).transform(features.astype(np.float32))
    if knows == "level":
        x = np.hstack([x, FREE * np.eye(levels, dtype=np.float32)[level]])
    parts = [np.flatnonzero(level == one) for one in range(levels)] if knows == "level apart" else [np.arange(len(y))]
    weight = np.array(weights)[y]
    with threadpool_limits(1):
        found = {c: _probabilities(x, y, weight, rows["train"], parts, c, len(weights)) for c in STRENGTHS}
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
    grades: int,
) -> Array:
    """Probabilities (annotations, grades) of all rows, each part of them by a regression on its own training rows."""
    from sklearn.linear_model import LogisticRegression

    found = np.zeros((len(y), grades))
    for part in filter(len, parts):
        inside = np.intersect1d(part, train)
        model = LogisticRegression(C=c, max_iter=2000).fit(x[inside], y[inside], sample_weight=weight[inside])
        found[np.ix_(part, model.classes_)] = model.predict_proba(x[part].astype(float))
    return found


def _loss(p: Array, y: NDArray[np.int64], weight: Array) -> float:
    from sklearn.metrics import log_loss

    return float(log_loss(y, p, sample_weight=weight, labels=range(p.shape[1])))
