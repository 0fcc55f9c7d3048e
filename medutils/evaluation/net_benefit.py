"""Decision curves: what acting on a prediction is worth beside acting on everybody and on nobody."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from medutils.bootstrap import by_patient, interval, patient_codes, resampled
from medutils.evaluation.task import Array, Task, cells

COLUMNS = ("threshold", "strategy", "value", "low", "high")
MODEL, EVERYBODY, OVER = "model", "everybody", "model minus everybody"


def decision_curve(
    predictions: pd.DataFrame, task: Task, thresholds: Sequence[float], resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Net benefit at each threshold, with intervals by patient: a row a threshold and strategy, `COLUMNS`.

    At a threshold t a false alarm is held to cost t / (1 - t) of what a hit is worth (Vickers and Elkin 2006):
    hits / rows - false alarms / rows * t / (1 - t), in hits a row. Strategies: to act where the probability of the
    positive class is t or more (`model`), to act always (`everybody`), and the first minus the better of the second and
    0, which is to act never (`model minus everybody` where that is the better one). Repeats are pooled.
    """
    found = cells(predictions, task.of(predictions))
    code, patients = patient_codes(found.patient)
    true, cut = found.y == 1, np.array(thresholds, float)
    called = found.p[:, 1:2] >= cut
    each = np.column_stack([called & true[:, None], called & ~true[:, None], true, ~true, np.ones(len(true))])
    sums = by_patient(each.astype(float), code, patients)
    price = (cut / (1 - cut))[:, None]

    def statistic(weights: Array) -> Array:
        total = sums.T @ weights
        hits, alarms = total[: len(cut)], total[len(cut) : 2 * len(cut)]
        ill, well, rows = total[-3:]
        model, everybody = (hits - alarms * price) / rows, (ill - well * price) / rows
        return np.stack([model, everybody, model - np.maximum(everybody, 0)])

    draws = resampled(statistic, patients, resamples, seed, len(cut))
    rows = [
        (threshold, name, values[place, 0], *interval(values[place, 1:]))
        for name, values in zip((MODEL, EVERYBODY, OVER), draws, strict=True)
        for place, threshold in enumerate(cut)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
