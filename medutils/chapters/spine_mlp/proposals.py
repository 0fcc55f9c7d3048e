"""What write-up 000 claims or proposes and nobody measured: dropout, batch normalisation, more data."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from medutils.chapters.spine_mlp.experiments import Folds, Task, nested_baseline, nested_mlp, own_split
from medutils.training.kept_replicas import kept_replicas
from medutils.training.loop import Progress, Settings, one_thread
from medutils.training.replicas import ReplicaFit


def parts_left_out(settings: Settings) -> dict[str, Settings]:
    """The write-up's network, and the same without dropout, without batch normalisation and without both."""
    return {
        "as_written": settings,
        "no_dropout": replace(settings, dropout=0.0),
        "no_batch_normalisation": replace(settings, batch_normalisation=False),
        "neither": replace(settings, dropout=0.0, batch_normalisation=False),
    }


def training_by_parts(
    task: Task, settings: Settings, seeds: Sequence[int], names: Sequence[str], progress: Progress | None = None
) -> dict[str, ReplicaFit]:
    """Those networks of `parts_left_out` that are named, on the chapter's split, once a seed."""
    train, validation = own_split(task)
    several = [train] * len(seeds), [validation] * len(seeds)
    parts = parts_left_out(settings)
    with one_thread():
        return {name: kept_replicas(task.x, task.y, *several, seeds, parts[name], progress=progress) for name in names}


def epochs_until(loss: np.ndarray, level: float) -> np.ndarray:
    """(replicas,) the first epoch, from 1, whose loss is at most `level`; NaN for a replica that never gets there.

    loss: (replicas, epochs)
    """
    there = loss <= level
    return np.where(there.any(1), there.argmax(1) + 1.0, np.nan)


def nested_by_parts(task: Task, folds: Folds, settings: Settings, seed: int) -> dict[str, pd.DataFrame]:
    """Nested predictions of each network of `parts_left_out`, on the same folds."""
    return {name: nested_mlp(task, folds, part, seed)[0] for name, part in parts_left_out(settings).items()}


def sizes(folds: Folds, halvings: int = 3) -> list[int]:
    """Training rows of a learning curve: an eighth, a quarter, half and all of them, for three halvings."""
    rows = len(folds.train[0])
    return [rows // 2**power for power in range(halvings, -1, -1)]


def learning_curve(
    task: Task, folds: Folds, settings: Settings, seed: int, whole: pd.DataFrame
) -> dict[int, dict[str, pd.DataFrame]]:
    """Nested predictions of the network and of logistic regression by how many rows they may train on.

    Each outer training part is cut to its first rows, which lie in random order; inner validation and test parts stay
    as they are. Logistic regression gets the same rows as the network and not the validation part. A size that leaves
    a training part with one class only is left out. `whole` are the network's predictions with all rows.
    """
    found = {}
    *some, every = sizes(folds)
    for size in some:
        cut = replace(folds, train=[rows[:size] for rows in folds.train])
        if any(len(np.unique(task.y[rows])) < 2 for rows in cut.train):
            continue
        found[size] = _both(task, cut, nested_mlp(task, cut, settings, seed)[0])
    return {**found, every: _both(task, folds, whole)}


def _both(task: Task, folds: Folds, network: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {"network": network, "logistic_regression": nested_baseline(task, folds, with_validation=False)}
