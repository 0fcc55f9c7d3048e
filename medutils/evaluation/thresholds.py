"""Thresholds, chosen on validation rows only."""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medutils.errors import InputError

Array = NDArray[np.float64]
Rule = Literal["F1", "balanced accuracy"]


def choose_threshold(y: Array, probability: Array, rule: Rule = "F1") -> float:
    """The threshold with the highest F1 or balanced accuracy; of several, the one nearest to 0.5.

    To be chosen on validation rows only. F1 hangs on the share of the positive class in them; balanced accuracy, the
    mean of sensitivity and specificity, does not.
    """
    edges = np.unique(probability)
    candidates = np.r_[0.5, (edges[1:] + edges[:-1]) / 2]
    hits, false_alarms = _called(y, probability, candidates)
    positives, negatives = int((y > 0.5).sum()), int((y <= 0.5).sum())
    if rule == "F1":
        worth = 2 * hits / np.maximum(hits + false_alarms + positives, 1)
    else:
        worth = hits / max(positives, 1) - false_alarms / max(negatives, 1)
    best = candidates[worth >= worth.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def threshold_for(name: Literal["sensitivity", "specificity"], wanted: float, y: Array, probability: Array) -> float:
    """The highest threshold with the wanted sensitivity at least, or the lowest with the wanted specificity at least.

    To be chosen on validation rows only; other rows meet the wanted value no better than by chance. Raises `InputError`
    when it is no share, or no row has the class that it is a share of.
    """
    of = int((y > 0.5).sum() if name == "sensitivity" else (y <= 0.5).sum())
    if not 0 <= wanted <= 1 or not of:
        raise InputError(f"{name}: found {wanted} on {of} rows of its class; expected 0 to 1, on one row at least")
    edges = np.unique(probability)
    over = np.nextafter(1, 2) if edges[-1] >= 1 else (edges[-1] + 1) / 2  # nothing is called positive from here on
    candidates = np.r_[0, (edges[1:] + edges[:-1]) / 2, over]
    hits, false_alarms = _called(y, probability, candidates)
    if name == "sensitivity":
        return float(candidates[hits >= wanted * of - 1e-9].max())
    return float(candidates[of - false_alarms >= wanted * of - 1e-9].min())


def operating_points(y: Array, probability: Array, thresholds: Array) -> pd.DataFrame:
    """Sensitivity and specificity at each threshold, a row a threshold: `threshold`, `sensitivity`, `specificity`."""
    hits, false_alarms = _called(y, probability, thresholds)
    positives, negatives = (y > 0.5).sum(), (y <= 0.5).sum()
    return pd.DataFrame(
        {"threshold": thresholds, "sensitivity": hits / positives, "specificity": 1 - false_alarms / negatives}
    )


def _called(y: Array, probability: Array, candidates: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positive and negative rows with a probability of each candidate or more."""
    parts = (np.sort(probability[rows]) for rows in (y > 0.5, y <= 0.5))
    hits, false_alarms = (len(part) - np.searchsorted(part, candidates, side="left") for part in parts)
    return hits, false_alarms
