"""Healthy or diseased: the task that the write-up states, at a threshold that a clinic would ask for."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from medutils.evaluation import Estimate, Task, binary, predictive_values, threshold_for
from medutils.training.courses import Trained

ILL = "diseased"


def task(healthy: str) -> Task:
    """The two classes, of which the positive one is a film that is not healthy."""
    return binary(ILL, healthy)


def as_two(table: pd.DataFrame, healthy: str) -> pd.DataFrame:
    """Predictions of any classes as those of `healthy` and `diseased`."""
    columns = [name for name in table if str(name).startswith("prob_")]
    found = table.drop(columns=columns).assign(y_true=table["y_true"].where(table["y_true"] == healthy, ILL))
    well = table[f"prob_{healthy}"]
    return found.assign(**{f"prob_{healthy}": well, f"prob_{ILL}": 1 - well})


def threshold(trained: Trained, healthy: str, sensitivity: float) -> float:
    """The highest threshold at which a network finds so large a share of the diseased validation films."""
    table = as_two(trained.predictions("validation", calibrated=True), healthy)
    ill = table["y_true"].eq(ILL).to_numpy(dtype=float)
    return threshold_for("sensitivity", sensitivity, ill, table[f"prob_{ILL}"].to_numpy())


def at_thresholds(trainings: Sequence[Trained], healthy: str, sensitivity: float) -> pd.DataFrame:
    """Test predictions of healthy or diseased, each training with the threshold of its own validation films."""
    tables = [
        as_two(one.predictions("test", calibrated=True), healthy).assign(
            repeat=number, threshold=threshold(one, healthy, sensitivity)
        )
        for number, one in enumerate(trainings)
    ]
    return pd.concat(tables, ignore_index=True)


def ppv(sensitivity: float, specificity: float, prevalence: float, times: int = 1) -> float:
    """The probability of disease after so many positive tests that err independently of each other."""
    found, well = np.array([sensitivity**times]), np.array([1 - (1 - specificity) ** times])
    return float(predictive_values(found, well, prevalence)[0][0])


def positive_twice(table: pd.DataFrame, healthy: str) -> dict[str, float]:
    """How often two trainings of one network both call a film diseased, of the diseased and of the healthy films.

    Means over all pairs of trainings; `table` is that of `at_thresholds`. `expected_...` is what two tests that err
    independently would give.
    """
    called = table.assign(positive=table[f"prob_{ILL}"] >= table["threshold"])
    wide = called.pivot(index="record_id", columns="repeat", values="positive")
    ill = called.drop_duplicates("record_id").set_index("record_id")["y_true"].loc[wide.index].eq(ILL)
    pairs = list(combinations(wide.columns, 2))
    found: dict[str, float] = {}
    for name, rows in (("ill", wide[ill]), ("healthy", wide[~ill])):
        both = [float((rows[one] & rows[two]).mean()) for one, two in pairs]
        apart = [float(rows[one].mean() * rows[two].mean()) for one, two in pairs]
        found |= {name: float(np.mean(both)) if pairs else np.nan}
        found |= {f"expected_{name}": float(np.mean(apart)) if pairs else np.nan}
    return found


def twice(found: dict[str, float], once: dict[str, Estimate], prevalence: float) -> dict[str, float]:
    """PPV after one positive test, after two that err independently, and after two networks on the same film."""
    sensitivity, specificity = once["sensitivity"].value, once["specificity"].value
    return {
        "once": ppv(sensitivity, specificity, prevalence),
        "independent": ppv(sensitivity, specificity, prevalence, 2),
        "same_film": ppv(found["ill"], 1 - found["healthy"], prevalence),
    }
