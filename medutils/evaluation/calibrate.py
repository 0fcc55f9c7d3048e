"""Calibration: how often what is said with a probability is true, and the temperature that mends it."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medutils.evaluation.estimate import proportion
from medutils.tables import graded

Array = NDArray[np.float64]

TEMPERATURES = (0.05, 20.0)


def calibration(predictions: pd.DataFrame, name: str, bins: int = 8) -> pd.DataFrame:
    """Observed against predicted frequency of one class against the rest, in bins of about equal size.

    Columns: `predicted` (mean probability), `observed`, `low`, `high` (95 % Wilson), `n`. All repeats and targets are
    binned together. A patient counts once in a bin, however many rows of theirs lie there: the interval takes `n`
    patients.
    """
    table = graded(predictions)
    rows = table.assign(p=table[f"prob_{name}"], hit=table["y_true"].eq(name).astype(float))
    edges = pd.qcut(rows["p"].rank(method="first"), min(bins, len(rows)), labels=False)
    found = []
    for _, part in rows.groupby(edges):
        observed, patients = part["hit"].mean(), part["patient"].nunique()
        interval = proportion(round(observed * patients), patients, "", "wilson")
        found.append((part["p"].mean(), observed, interval.low, interval.high, patients))
    return pd.DataFrame(found, columns=["predicted", "observed", "low", "high", "n"])


def calibration_error(predictions: pd.DataFrame, name: str, bins: int = 10) -> float:
    """Expected calibration error of one class: the mean distance of `calibration`'s points from the diagonal.

    Bins hold about as many rows each, so each counts alike.
    """
    curve = calibration(predictions, name, bins)
    return float((curve["predicted"] - curve["observed"]).abs().mean())


def fit_temperature(logits: Array, y: NDArray[np.int64]) -> float:
    """The number by which logits, (rows,) or (rows, classes), are divided for the lowest log loss on these rows.

    Temperature scaling, see {cite}`guo2017`: it changes how sure a model is, never its ranking. Between 0.05 and 20;
    `at_bound` tells when it is one of these, which says that no temperature calibrates this model on these rows.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    z = np.asarray(logits, dtype=float)
    z = np.stack([np.zeros(len(z)), z], axis=1) if z.ndim == 1 else z
    rows = np.arange(len(y))
    found = minimize_scalar(
        lambda log: -log_softmax(z / np.exp(log), axis=1)[rows, y].mean(), bounds=np.log(TEMPERATURES), method="bounded"
    )
    return float(np.exp(found.x))


def at_bound(temperature: float) -> bool:
    """Whether a fitted temperature lies at an end of the range it was looked for in, to within one percent."""
    low, high = TEMPERATURES
    return temperature < low * 1.01 or temperature > high / 1.01
