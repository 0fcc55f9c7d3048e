"""Counts of decisions by true class."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medutils.evaluation.task import Task, cells


def confusion(predictions: pd.DataFrame, task: Task, threshold: float | str = 0.5) -> pd.DataFrame:
    """Counts with the true class in the rows and the decision in the columns, in the task's order, see `evaluate`.

    Of two classes the positive one is last. All repeats and targets are counted together.
    """
    named = task.of(predictions)
    found = cells(predictions, named, threshold)
    return counts(found.y, found.said, named.classes)


def counts(y: NDArray[np.int64], said: NDArray[np.int64], classes: Sequence[str]) -> pd.DataFrame:
    """Counts of decisions by true class, from class numbers."""
    table = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(table, (y, said), 1)
    return pd.DataFrame(table, pd.Index(classes, name="true"), pd.Index(classes, name="decided"))
