"""The one bootstrap of the package: patients drawn with replacement, all their rows with them.

A statistic is asked for the value under many weightings of the patients at once. Weightings come in blocks, so that no
array of all resamples by all rows is ever held, and with the same seed and patients they are always the same: whatever
is computed from them is paired.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LEVEL = 0.95
CELLS = 2**21  # numbers in one array of a block, 16 MiB: more of them leave the cache and gain nothing


def patient_codes(patients: ArrayLike, names: ArrayLike | None = None) -> tuple[NDArray[np.int64], int]:
    """The number of each row's patient in the sorted `names` (those of `patients` if None), and how many there are."""
    sorted_names = np.unique(np.asarray(patients if names is None else names, dtype=object).astype(str))
    return np.searchsorted(sorted_names, np.asarray(patients, dtype=object).astype(str)), len(sorted_names)


def draws(patients: int, resamples: int, seed: int, width: int) -> Iterator[Array]:
    """How often each patient counts, in blocks (patients, at most `width`); the very first column counts each once.

    The draws do not depend on `width`.
    """
    rng = np.random.default_rng(seed)
    first = np.ones((patients, 1))
    for start in range(0, resamples + 1, width):
        count = min(width, resamples + 1 - start) - first.shape[1]
        drawn = rng.multinomial(patients, np.full(patients, 1 / patients), size=count).T
        yield np.hstack([first, drawn])
        first = np.empty((patients, 0))


def resampled(statistic: Callable[[Array], Array], patients: int, resamples: int, seed: int, rows: int) -> Array:
    """`statistic` of the patients as they are, then of each resample: shape (..., 1 + resamples).

    statistic: takes weights (patients, weightings) and returns (..., weightings)
    rows: the longest first axis of an array with `weightings` columns that it makes; it decides how wide a block is
    """
    width = max(1, min(resamples + 1, CELLS // max(rows, patients, 1)))
    return np.concatenate([statistic(weights) for weights in draws(patients, resamples, seed, width)], axis=-1)


def interval(values: Array, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of the resamples of one number; NaN twice when it is defined in none of them."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def by_patient(values: Array, code: NDArray[np.int64], patients: int) -> Array:
    """Sums over the rows of each patient: (rows, columns) to (patients, columns).

    A sum over rows is linear in the weights, so that its resamples need no rows: `weights.T @ by_patient(...)`.
    """
    return pd.DataFrame(values).groupby(code).sum().reindex(range(patients), fill_value=0.0).to_numpy()
